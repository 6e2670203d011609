#include "plugin/chat/chat.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "plugin/base/clock.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"
#include "plugin/chat/core.h"
#include "plugin/chat/ending.h"
#include "plugin/chat/inbox.h"
#include "plugin/chat/lesson.h"
#include "plugin/chat/limit.h"
#include "plugin/chat/outbox.h"
#include "plugin/chat/turn.h"
#include "plugin/model/vocabularies.h"

/* --- what waits for the store --- */
void pending_add(struct chat *core, struct pending *p, struct adapter *a, void (*free_fn)(struct pending *p))
{
    p->adapter = a;
    p->free_fn = free_fn;
    DL_APPEND(core->pending, p);
}

void pending_done(struct chat *core, struct pending *p)
{
    DL_DELETE(core->pending, p);
    p->free_fn(p);
}

/* --- configuration --- */
static void drop_keywords(struct chat *core)
{
    for (size_t i = 0; i < core->n_keywords; i++)
        keywords_free(&core->keywords[i]);
    free(core->keywords);
}

void chat_reload(struct chat *core, struct config *config)
{
    drop_keywords(core);
    config_unref(&core->config);
    core->config = config_ref(config);
    core->n_keywords = config->n_bots;
    core->keywords = mem_array(config->n_bots, sizeof(struct keywords *));
    for (size_t i = 0; i < config->n_bots; i++)
        core->keywords[i] = keywords_new(&config->bots[i].keywords);
    vocabularies_refresh(core->vocabularies);
    for (size_t i = 0; i < config->n_models; i++) /* now, and not while somebody waits */
        vocabularies_get(core->vocabularies, config->models[i].vocabulary);
    caches_reload(core->caches, config);
    lesson_recall(core);
    /* A new configuration may lie where an old one lay. */
    for (struct channel *ch = core->by_name; ch; ch = ch->hh.next) {
        ch->rule_of = NULL;
        channel_rule(ch);
        turn_next(ch);
    }
}

/* An answer takes 20 KB, and malloc keeps what a crowd of them took. */
static void rest(void *arg)
{
    struct chat *core = arg;
    if (core->running)
        return;
    core->crowd = 0;
    mem_give_back();
}

/* Comes before the first message can be accepted: the store keeps the order. */
static void counts_read(void *arg, const struct store_count *counts, size_t n, const struct err *e)
{
    struct chat *core = arg;
    if (e->code)
        log_error("chat", "cannot read what was taken of the limits; they begin anew: %s", e->text);
    limits_load(core->limits, counts, n);
}

struct chat *chat_new(const struct chat_env *env)
{
    struct chat *core = mem_alloc(sizeof(*core));
    core->env = *env;
    core->outbox = outbox_new(core);
    core->vocabularies = vocabularies_new();
    core->limits = limits_new();
    store_counts(env->store, clock_wall_ms(), counts_read, core);
    core->caches = caches_new();
    timer_init(&core->rest, env->loop, rest, core);
    person_begin(core);
    lesson_begin(core);
    chat_reload(core, env->config);
    return core;
}

void chat_free(struct chat **core_r)
{
    struct chat *core = *core_r;
    if (!core)
        return;
    while (core->pending)
        pending_done(core, core->pending);
    channel_free_all(core);
    timer_cancel(&core->rest);
    outbox_free(&core->outbox);
    vocabularies_free(&core->vocabularies);
    limits_free(&core->limits);
    drop_keywords(core);
    caches_free(&core->caches);
    config_unref(&core->config);
    free(core);
    *core_r = NULL;
}

/* --- taking up what an earlier run left --- */
#define RESUME_AGAIN_MS 1000 /* between looks at a channel that cannot be read, or is busy */

struct resume {
    struct pending link;
    struct waiter wait;
    struct timer again;
    struct chat *core;
    struct channel *ch;
    char *account, *channel;
    int64_t seq;
    int tries;
};

static void free_resume(struct pending *link)
{
    struct resume *r = (struct resume *)link;
    timer_cancel(&r->again);
    free(r->account);
    free(r->channel);
    free(r);
}

#define REASON_BYTES 160

/* Takes the message, and all that an earlier run bound to the same turn, off
 * the queue: they end together. */
static struct question *take_bound(struct channel *ch, int64_t seq)
{
    struct question *first, *q, *tmp, *list = NULL;
    DL_SEARCH_SCALAR(ch->queue, first, seq, seq);
    if (!first)
        return NULL;
    int64_t turn = first->turn;
    DL_FOREACH_SAFE(ch->queue, q, tmp)
        if (q == first || (turn && q->turn == turn)) {
            channel_dequeue(ch, q);
            DL_APPEND(list, q);
        }
    return list;
}

static void bury(struct channel *ch, int64_t seq, int tries)
{
    char why[REASON_BYTES];
    struct question *q, *tmp, *list = take_bound(ch, seq);
    if (!list)
        return;
    log_error("chat", "message %" PRId64 " of %s was unanswered at %d starts in a row; it is a dead letter now: "
              "`warbler queue` shows it", seq, ch->name, tries);
    struct question *lead = list->prev; /* utlist: the head's prev is the tail */
    struct ending *end = ending_new(ch, lead->seq, lead->reply_to);
    ending_answers(end, list);
    end->outcome = STORE_DEAD;
    end->notice = true;
    end->error = ERR_INTERNAL;
    snprintf(why, sizeof(why), "unanswered at %d starts in a row, so it may be what makes the bot crash: look into the log, "
             "then retry or drop it", tries);
    end->reason = mem_dup(why);
    end->finish = "error";
    end->text = mem_dup(notice_text(NOTICE_DEAD, channel_language(ch, lead)));
    ending_start(end);
    DL_FOREACH_SAFE(list, q, tmp)
        question_free(q);
}

static void resumed(struct waiter *w, const struct err *e)
{
    struct resume *r = (struct resume *)((char *)w - offsetof(struct resume, wait));
    channel_unref(r->ch);
    if (e->code) {
        timer_set(&r->again, RESUME_AGAIN_MS);
        return;
    }
    if (r->tries > RESUME_TRIES_MAX)
        bury(r->ch, r->seq, r->tries);
    pending_done(r->core, &r->link);
}

static void resume_one(void *arg)
{
    struct resume *r = arg;
    struct adapter *a = r->core->env.find(r->core->env.arg, r->account);
    if (!a) {
        log_warn("chat", "messages of %s wait for an answer, but the account \"%s\" is not configured any more", r->channel,
                 r->account);
        pending_done(r->core, &r->link);
        return;
    }
    if (!channel_forget(r->core, r->channel)) { /* `warbler queue retry` gave back a message of a busy channel */
        timer_set(&r->again, RESUME_AGAIN_MS);
        return;
    }
    r->ch = channel_get_named(r->core, a, r->channel);
    channel_ref(r->ch);
    r->wait.fn = resumed;
    channel_when_ready(r->ch, &r->wait);
}

static void list_pending(void *arg, const struct store_pending *p, size_t n, const struct err *e)
{
    struct chat *core = arg;
    if (e->code)
        log_error("chat", "cannot read which messages wait for an answer: %s", e->text);
    for (size_t i = 0; i < n; i++) {
        struct resume *r = mem_alloc(sizeof(*r));
        r->core = core;
        r->account = mem_dup(p[i].account);
        r->channel = mem_dup(p[i].channel);
        r->seq = p[i].seq;
        r->tries = p[i].tries;
        timer_init(&r->again, core->env.loop, resume_one, r);
        pending_add(core, &r->link, NULL, free_resume);
        resume_one(r);
    }
    if (n)
        log_info("chat", "messages of %zu conversation%s wait for an answer", n, n == 1 ? "" : "s");
}

void chat_resume(struct chat *core)
{
    store_count_tries(core->env.store, NULL, NULL);
    chat_look_again(core);
}

void chat_look_again(struct chat *core)
{
    store_pending(core->env.store, list_pending, core);
    outbox_look_again(core);
}

/* --- the end --- */
void chat_drain(struct chat *core)
{
    core->draining = true;
}

bool chat_busy(const struct chat *core)
{
    return core->running || core->commits;
}

void chat_park(struct chat *core)
{
    for (struct channel *ch = core->by_name; ch; ch = ch->hh.next)
        if (ch->turn && !turn_is_storing(ch->turn))
            turn_abandon(ch->turn);
}

void chat_forget(struct chat *core, struct adapter *a)
{
    struct pending *p;
    DL_FOREACH(core->pending, p)
        if (p->adapter == a)
            p->adapter = NULL;
    for (struct channel *ch = core->by_name; ch; ch = ch->hh.next)
        if (ch->adapter == a)
            ch->adapter = NULL;
    outbox_forget(core, a);
}

/* --- the adapters' host --- */
void chat_online(struct chat *core, struct adapter *a)
{
    (void)a;
    outbox_kick(core);
}

void chat_message(struct chat *core, struct adapter *a, const struct msg_in *m)
{
    inbox_take(core, a, m);
}

void chat_sent(struct chat *core, struct adapter *a, int64_t handle, const char *platform_id)
{
    (void)a;
    outbox_sent(core, handle, platform_id);
}

void chat_send_failed(struct chat *core, struct adapter *a, int64_t handle, const struct err *e, bool retry,
                      int64_t retry_after_ms)
{
    (void)a;
    outbox_failed(core, handle, e, retry, retry_after_ms);
}
