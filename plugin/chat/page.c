/* What adapters ask of the store: pages of a conversation, an answer, small
 * facts (chat.h). A request ends quietly when its account is forgotten. */
#include <stdlib.h>

#include "plugin/base/mem.h"
#include "plugin/chat/core.h"
#include "plugin/chat/ending.h"
#include "plugin/chat/turn.h"

enum page_kind { PAGE_STATE, PAGE_HISTORY, PAGE_ANSWER };

struct page_request {
    struct pending link;
    struct waiter wait;
    struct defer now;
    struct chat *core;
    struct channel *ch;
    enum page_kind kind;
    int64_t seq; /* after, or the question's */
    int limit;
    adapter_page_fn *fn;
    void *arg;
};

static void free_page(struct pending *link)
{
    struct page_request *r = (struct page_request *)link;
    defer_cancel(&r->now);
    free(r);
}

static void fill(struct msg_past *p, const struct store_msg *m)
{
    *p = (struct msg_past){
        .seq = m->seq,
        .time_ms = m->time_ms,
        .reply_seq = m->kind == STORE_PERSON ? 0 : m->turn,
        .from_bot = m->kind != STORE_PERSON,
        .notice = m->kind == STORE_NOTICE,
        .id = m->id,
        .sender = m->sender,
        .name = m->name,
        .text = m->text,
        .reply_to = m->reply_to,
        .answers = m->answers,
        .finish = m->finish,
        .usage = m->usage,
    };
}

static void give(struct page_request *r, const struct store_msg *msgs, size_t n, const struct err *e)
{
    static const struct err none = ERR_INIT;
    struct channel *ch = r->ch;
    if (!r->link.adapter) {
        /* nobody waits any more */
    } else if (e && e->code) {
        r->fn(r->arg, NULL, e);
    } else {
        struct msg_past *past = mem_array(n ? n : 1, sizeof(*past));
        struct msg_out running;
        for (size_t i = 0; i < n; i++)
            fill(&past[i], &msgs[i]);
        const struct bot_conf *bot = channel_bot(ch);
        struct msg_page page = {
            .msgs = past,
            .n = n,
            .more = r->kind == PAGE_HISTORY && n == (size_t)r->limit,
            .last = ch->out,
            .running = turn_shown(ch, &running) ? &running : NULL,
            .bot = bot ? bot->name : "",
        };
        r->fn(r->arg, &page, &none);
        free(past);
    }
    channel_unref(ch);
    pending_done(r->core, &r->link);
}

static void got_history(void *arg, const struct store_msg *msgs, size_t n, const struct err *e)
{
    give(arg, msgs, n, e);
}

static void got_answer(void *arg, const struct store_msg *msg, const struct err *e)
{
    give(arg, msg, msg != NULL, e);
}

/* A channel that is not on disk at this moment has no page: what is being
 * written comes as an event. */
static void ask_store(void *arg)
{
    struct page_request *r = arg;
    struct store *store = r->core->env.store;
    if (r->kind == PAGE_STATE || !r->ch->row.id)
        give(r, NULL, 0, NULL);
    else if (r->kind == PAGE_HISTORY)
        store_history(store, r->ch->row.id, r->seq, r->limit, got_history, r);
    else
        store_answer(store, r->ch->row.id, r->seq, got_answer, r);
}

static void ready(struct waiter *w, const struct err *e)
{
    struct page_request *r = (struct page_request *)((char *)w - offsetof(struct page_request, wait));
    if (e->code)
        give(r, NULL, 0, e);
    else
        defer_set(&r->now);
}

static void request(struct chat *core, struct adapter *a, const char *chat, const char *thread, enum page_kind kind,
                    int64_t seq, int limit, adapter_page_fn *fn, void *arg)
{
    struct page_request *r = mem_alloc(sizeof(*r));
    r->core = core;
    r->kind = kind;
    r->seq = seq;
    r->limit = limit;
    r->fn = fn;
    r->arg = arg;
    r->wait.fn = ready;
    defer_init(&r->now, core->env.loop, ask_store, r);
    pending_add(core, &r->link, a, free_page);
    r->ch = channel_get(core, a, chat, thread);
    channel_ref(r->ch);
    channel_when_ready(r->ch, &r->wait);
}

void chat_history(struct chat *core, struct adapter *a, const char *chat, const char *thread, int64_t after, int limit,
                  adapter_page_fn *fn, void *arg)
{
    request(core, a, chat, thread, after < 0 ? PAGE_STATE : PAGE_HISTORY, after, limit, fn, arg);
}

void chat_answer(struct chat *core, struct adapter *a, const char *chat, const char *thread, int64_t seq,
                 adapter_page_fn *fn, void *arg)
{
    request(core, a, chat, thread, PAGE_ANSWER, seq, 1, fn, arg);
}

/* --- small facts --- */
struct fact_request {
    struct pending link;
    struct chat *core;
    void (*put)(void *arg, const struct err *e);
    void (*got)(void *arg, const char *value, int64_t expires_ms, const struct err *e);
    void *arg;
};

static void free_fact(struct pending *link)
{
    free(link);
}

static struct fact_request *fact_new(struct chat *core, struct adapter *a, void *arg)
{
    struct fact_request *r = mem_alloc(sizeof(*r));
    r->core = core;
    r->arg = arg;
    pending_add(core, &r->link, a, free_fact);
    return r;
}

static void kept(void *arg, const struct err *e)
{
    struct fact_request *r = arg;
    if (r->link.adapter && r->put)
        r->put(r->arg, e);
    pending_done(r->core, &r->link);
}

static void recalled(void *arg, const char *value, int64_t expires_ms, const struct err *e)
{
    struct fact_request *r = arg;
    if (r->link.adapter)
        r->got(r->arg, value, expires_ms, e);
    pending_done(r->core, &r->link);
}

void chat_keep(struct chat *core, struct adapter *a, const char *key, const char *value, int64_t expires_ms,
               void (*done)(void *arg, const struct err *e), void *arg)
{
    struct fact_request *r = fact_new(core, a, arg);
    r->put = done;
    store_kv_put(core->env.store, a->conf->name, key, value, expires_ms, kept, r);
}

void chat_recall(struct chat *core, struct adapter *a, const char *key,
                 void (*done)(void *arg, const char *value, int64_t expires_ms, const struct err *e), void *arg)
{
    struct fact_request *r = fact_new(core, a, arg);
    r->got = done;
    store_kv_get(core->env.store, a->conf->name, key, recalled, r);
}
