#include "plugin/chat/outbox.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "plugin/base/clock.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"
#include "plugin/base/metric.h"
#include "plugin/chat/core.h"

enum part_state {
    PART_WAITING,  /* for its turn, its time or its account */
    PART_LOOKING,  /* in doubt: the adapter looks whether it is there */
    PART_NOTING,   /* the attempt is being written down */
    PART_SENDING,
    PART_SETTLING, /* its end is being written down */
};

struct part {
    UT_hash_handle hh;  /* by id; iteration is in the order of the ids */
    int64_t id;         /* of the row, and the handle that the adapter gets */
    enum part_state state;
    struct outbox *box;
    char *account, *channel, *txn, *text, *reply_to;
    int64_t turn;
    int index, n;
    bool notice, doubt;
    struct adapter *adapter; /* while it is looking or sending */
    int64_t not_before_ms, backoff_ms;
};

struct outbox {
    struct chat *core;
    struct part *parts;
    int64_t after;   /* rows up to this id are here or gone */
    bool listing, again;
    struct timer timer;
    struct defer pump;
};

static void part_free(struct outbox *box, struct part *p)
{
    HASH_DEL(box->parts, p);
    free(p->account);
    free(p->channel);
    free(p->txn);
    free(p->text);
    free(p->reply_to);
    free(p);
    metric_set(METRIC_OUTBOX_PARTS, HASH_COUNT(box->parts));
}

static struct part *part_find(struct outbox *box, int64_t id)
{
    struct part *p;
    HASH_FIND(hh, box->parts, &id, sizeof(id), p);
    return p;
}

/* --- reading the rows --- */
static int by_id(const struct part *a, const struct part *b)
{
    return (a->id > b->id) - (a->id < b->id);
}

static void part_new(struct outbox *box, const struct store_out *row)
{
    struct part *p = mem_alloc(sizeof(*p));
    p->id = row->id;
    p->box = box;
    p->account = mem_dup(row->account);
    p->channel = mem_dup(row->channel);
    p->txn = mem_dup(row->txn);
    p->text = mem_dup(row->text);
    p->reply_to = mem_dup(row->reply_to);
    p->turn = row->turn;
    p->index = row->part;
    p->n = row->n_parts;
    p->notice = row->notice;
    p->doubt = row->attempts > 0;
    p->backoff_ms = OUTBOX_BACKOFF_MIN_MS;
    HASH_ADD_INORDER(hh, box->parts, id, sizeof(p->id), p, by_id);
    metric_set(METRIC_OUTBOX_PARTS, HASH_COUNT(box->parts));
}

static void listed(void *arg, const struct store_out *outs, size_t n, const struct err *e)
{
    struct outbox *box = arg;
    box->listing = false;
    if (e->code) {
        log_error("outbox", "cannot read what is to be sent: %s; trying again", e->text);
        timer_set(&box->timer, STORE_RETRY_MS);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (!part_find(box, outs[i].id))
            part_new(box, &outs[i]);
        box->after = outs[i].id;
    }
    if (n || box->again)
        outbox_kick(box->core);
}

void outbox_kick(struct chat *core)
{
    struct outbox *box = core->outbox;
    defer_set(&box->pump);
    box->again = box->listing;
    if (box->listing || HASH_COUNT(box->parts) >= OUTBOX_PARTS_MAX)
        return;
    box->listing = true;
    store_out_list(core->env.store, box->after, OUTBOX_PARTS_MAX, listed, box);
}

void outbox_look_again(struct chat *core)
{
    core->outbox->after = 0;
    outbox_kick(core);
}

/* --- the end of a part --- */
static void settled(void *arg, const struct err *e)
{
    struct part *p = arg;
    struct outbox *box = p->box;
    if (e->code) /* stays in the store; the next start settles it again */
        log_error("outbox", "cannot write what became of %s in %s: %s", p->txn, p->channel, e->text);
    part_free(box, p);
    outbox_kick(box->core);
}

void outbox_sent(struct chat *core, int64_t handle, const char *platform_id)
{
    struct part *p = part_find(core->outbox, handle);
    if (!p || (p->state != PART_SENDING && p->state != PART_LOOKING))
        return;
    p->state = PART_SETTLING;
    p->adapter = NULL;
    store_out_sent(core->env.store, p->id, platform_id, settled, p);
}

static void give_up(struct part *p, const char *reason)
{
    log_error("outbox", "%s: part %d of the answer to message %" PRId64 " is kept for `warbler queue`: %s", p->channel,
              p->index + 1, p->turn, reason);
    metric_add(METRIC_TURNS_DEAD, 1);
    p->state = PART_SETTLING;
    p->adapter = NULL;
    store_out_dead(p->box->core->env.store, p->id, reason, settled, p);
}

static void refused(struct part *p, const struct err *e)
{
    char reason[ERR_TEXT_BYTES + 80];
    snprintf(reason, sizeof(reason), "the platform refused it: %s; mend that and retry, or drop it",
             *e->text ? e->text : "it did not say why");
    give_up(p, reason);
}

void outbox_failed(struct chat *core, int64_t handle, const struct err *e, bool retry, int64_t retry_after_ms)
{
    struct part *p = part_find(core->outbox, handle);
    if (!p || (p->state != PART_SENDING && p->state != PART_LOOKING))
        return;
    if (p->state == PART_LOOKING && e->code == ERR_NOT_FOUND) {
        p->doubt = false;
        p->state = PART_WAITING;
    } else if (!retry) {
        refused(p, e);
    } else {
        int64_t wait = retry_after_ms > p->backoff_ms ? retry_after_ms : p->backoff_ms;
        p->backoff_ms = p->backoff_ms * 2 < OUTBOX_BACKOFF_MAX_MS ? p->backoff_ms * 2 : OUTBOX_BACKOFF_MAX_MS;
        p->not_before_ms = clock_mono_ms() + wait;
        p->state = PART_WAITING;
    }
    p->adapter = NULL;
    defer_set(&core->outbox->pump);
}

/* --- sending --- */
static void fill(const struct part *p, struct msg_out *m, char **chat_r)
{
    const char *thread;
    channel_name_split(p->channel, chat_r, &thread);
    *m = (struct msg_out){
        .handle = p->id,
        .chat = *chat_r,
        .thread = thread,
        .id = p->txn,
        .txn = p->txn,
        .text = p->text,
        .len = strlen(p->text),
        .first = true,
        .done = true,
        .notice = p->notice,
        .reply_to = p->index == 0 ? p->reply_to : NULL,
        .reply_seq = p->turn,
    };
}

static void call(struct part *p, struct adapter *a, enum part_state state,
                 void (*op)(struct adapter *a, const struct msg_out *m))
{
    struct msg_out m;
    char *chat;
    fill(p, &m, &chat);
    p->state = state;
    p->adapter = a;
    op(a, &m);
    free(chat);
}

static struct adapter *open_account(const struct part *p)
{
    const struct chat_env *env = &p->box->core->env;
    struct adapter *a = env->find(env->arg, p->account);
    return a && env->online(env->arg, a) ? a : NULL;
}

static void noted(void *arg, const struct err *e)
{
    struct part *p = arg;
    struct adapter *a = open_account(p);
    p->state = PART_WAITING;
    if (e->code || !a) {
        p->not_before_ms = clock_mono_ms() + STORE_RETRY_MS;
        defer_set(&p->box->pump);
    } else {
        call(p, a, PART_SENDING, a->ops->send);
    }
}

static void start(struct part *p, struct adapter *a)
{
    unsigned caps = a->ops->facts.caps;
    if (caps & ADAPTER_IDEMPOTENT) {
        call(p, a, PART_SENDING, a->ops->send);
    } else if (p->doubt && caps & ADAPTER_FETCH) {
        call(p, a, PART_LOOKING, a->ops->fetch);
    } else if (p->doubt && a->conf->on_doubt == ON_DOUBT_DROP) {
        give_up(p, "it may have been sent before a crash, and the platform cannot tell (on_doubt = \"drop\"): "
                   "look there, then drop it if it arrived, else retry");
    } else {
        if (p->doubt)
            log_warn("outbox", "%s: sending %s again; it may be there twice (on_doubt = \"resend\")", p->channel, p->txn);
        p->doubt = false;
        p->state = PART_NOTING;
        store_out_try(p->box->core->env.store, p->id, noted, p);
    }
}

/* The first part of each conversation is the one that may go. */
static bool is_first(const struct outbox *box, const struct part *part)
{
    for (const struct part *p = box->parts; p && p != part; p = p->hh.next)
        if (strcmp(p->channel, part->channel) == 0)
            return false;
    return true;
}

static void pump(void *arg)
{
    struct outbox *box = arg;
    int64_t now = clock_mono_ms(), soonest = INT64_MAX;
    struct part *p, *tmp;
    HASH_ITER(hh, box->parts, p, tmp) {
        struct adapter *a = p->state == PART_WAITING && is_first(box, p) ? open_account(p) : NULL;
        if (!a)
            continue;
        if (p->not_before_ms <= now)
            start(p, a);
        else if (p->not_before_ms < soonest)
            soonest = p->not_before_ms;
    }
    if (soonest != INT64_MAX)
        timer_set(&box->timer, soonest - now);
}

static void on_timer(void *arg)
{
    struct outbox *box = arg;
    outbox_kick(box->core);
}

/* What was on its way through this account is in doubt, until the account is back. */
void outbox_forget(struct chat *core, const struct adapter *a)
{
    struct part *p, *tmp;
    HASH_ITER(hh, core->outbox->parts, p, tmp)
        if (p->adapter == a) {
            p->adapter = NULL;
            p->doubt = true;
            p->state = PART_WAITING;
        }
}

struct outbox *outbox_new(struct chat *core)
{
    struct outbox *box = mem_alloc(sizeof(*box));
    box->core = core;
    timer_init(&box->timer, core->env.loop, on_timer, box);
    defer_init(&box->pump, core->env.loop, pump, box);
    return box;
}

void outbox_free(struct outbox **box_r)
{
    struct outbox *box = *box_r;
    if (!box)
        return;
    struct part *p, *tmp;
    HASH_ITER(hh, box->parts, p, tmp)
        part_free(box, p);
    timer_cancel(&box->timer);
    defer_cancel(&box->pump);
    free(box);
    *box_r = NULL;
}
