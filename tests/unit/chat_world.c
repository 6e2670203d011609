#include "tests/unit/chat_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugin/base/mem.h"

/* --- a platform --- */
static struct chat_world *world_of(struct adapter *a)
{
    return (struct chat_world *)((char *)a - offsetof(struct chat_world, account));
}

static struct event *add(struct chat_world *w, const char *kind)
{
    assert_true(w->n < EVENTS_MAX);
    struct event *e = &w->events[w->n++];
    snprintf(e->kind, sizeof(e->kind), "%s", kind);
    return e;
}

static void on_accepted(struct adapter *a, const struct msg_in *m, const struct msg_accepted *r, const struct err *e)
{
    struct event *ev = add(world_of(a), e ? "refused" : r->duplicate ? "dup" : "ack");
    ev->id = mem_dup(m->id);
    ev->error = e ? e->code : ERR_OK;
    ev->seq = e ? 0 : r->seq;
    ev->notice = !e && r->to_answer;
}

static void on_silent(struct adapter *a, const char *chat, const char *thread, int64_t seq)
{
    (void)chat;
    (void)thread;
    add(world_of(a), "silent")->seq = seq;
}

static void record(struct chat_world *w, const struct msg_out *m)
{
    struct event *e = add(w, m->done ? "final" : m->first ? "first" : "edit");
    e->id = mem_dup(m->id);
    e->txn = mem_dup(m->txn);
    e->text = mem_dupn(m->text, m->len);
    e->reply_to = mem_dup(m->reply_to);
    e->finish = mem_dup(m->finish);
    e->handle = m->handle;
    e->seq = m->seq;
    e->reply_seq = m->reply_seq;
    while (m->answers && m->answers[e->answers])
        e->answers++;
    e->notice = m->notice;
    e->error = m->error;
}

/* --- what is posted --- */
#define REFUSED "no" /* in place of a platform id */

static struct posting *posting_of(struct chat_world *w, const char *txn)
{
    for (size_t i = 0; i < w->n_postings; i++)
        if (strcmp(w->postings[i].txn, txn) == 0)
            return &w->postings[i];
    return NULL;
}

static struct posting *posting_at(struct chat_world *w, const char *id)
{
    for (size_t i = 0; i < w->n_postings; i++)
        if (strcmp(w->postings[i].id, id) == 0)
            return &w->postings[i];
    fail_msg("nothing is posted at %s", id);
    return NULL;
}

static struct posting *post(struct chat_world *w, const struct msg_out *m)
{
    char id[16];
    assert_true(w->n_postings < EVENTS_MAX);
    struct posting *p = &w->postings[w->n_postings++];
    snprintf(id, sizeof(id), "$%zu", w->n_postings);
    p->id = mem_dup(id);
    p->txn = mem_dup(m->txn);
    p->chat = mem_dup(m->chat);
    p->text = mem_dupn(m->text, m->len);
    p->reply_to = mem_dup(m->reply_to);
    p->done = m->done;
    return p;
}

static void complete(struct chat_world *w, int64_t handle, const char *platform_id)
{
    if (!handle || w->hold)
        return;
    assert_true(w->n_due < EVENTS_MAX);
    w->due[w->n_due++] = (struct due){ handle, mem_dup(platform_id) };
    defer_set(&w->confirm);
}

static bool is_refused(const struct chat_world *w)
{
    return w->deaf || w->refuse;
}

static void on_send(struct adapter *a, const struct msg_out *m)
{
    struct chat_world *w = world_of(a);
    struct posting *p = w->ops.facts.caps & ADAPTER_IDEMPOTENT ? posting_of(w, m->txn) : NULL;
    bool repeat = p != NULL;
    record(w, m);
    if (!p && !is_refused(w) && !(w->ops.facts.caps & ADAPTER_STORED))
        p = post(w, m);
    complete(w, m->handle, p && !(repeat && w->nameless) ? p->id : NULL);
}

static void on_edit(struct adapter *a, const struct msg_out *m)
{
    struct chat_world *w = world_of(a);
    record(w, m);
    if (w->ops.facts.caps & ADAPTER_STORED)
        return;
    struct posting *p = posting_at(w, m->platform_id);
    if (!is_refused(w) && !(w->no_edits && m->done)) {
        free(p->text);
        p->text = mem_dupn(m->text, m->len);
        p->done = m->done;
        p->edits++;
    }
    complete(w, m->handle, w->no_edits ? REFUSED : NULL);
}

static void on_remove(struct adapter *a, const struct msg_out *m)
{
    struct chat_world *w = world_of(a);
    add(w, "remove")->id = mem_dup(m->platform_id);
    if (!is_refused(w))
        posting_at(w, m->platform_id)->removed = true;
    complete(w, m->handle, NULL);
}

static void on_fetch(struct adapter *a, const struct msg_out *m)
{
    struct chat_world *w = world_of(a);
    const struct posting *p = posting_of(w, m->txn);
    add(w, "fetch")->id = mem_dup(m->txn);
    if (!p)
        w->refuse = ERR_NOT_FOUND;
    complete(w, m->handle, p ? p->id : NULL);
}

static void confirm(void *arg)
{
    struct chat_world *w = arg;
    struct err e = ERR_INIT;
    while (w->n_due) {
        struct due due = w->due[--w->n_due];
        if (due.platform_id && strcmp(due.platform_id, REFUSED) == 0)
            adapter_send_failed(&w->account, due.handle, (err_set(&e, ERR_INVALID, "no"), &e), false, 0);
        else if (w->refuse)
            adapter_send_failed(&w->account, due.handle, (err_set(&e, w->refuse, "no"), &e), !w->refuse_for_good, 0);
        else
            adapter_sent(&w->account, due.handle, due.platform_id);
        free(due.platform_id);
    }
}

static void host_message(void *host, struct adapter *a, const struct msg_in *m)
{
    chat_message(((struct chat_world *)host)->chat, a, m);
}

static void host_sent(void *host, struct adapter *a, int64_t handle, const char *id)
{
    chat_sent(((struct chat_world *)host)->chat, a, handle, id);
}

static void host_failed(void *host, struct adapter *a, int64_t handle, const struct err *e, bool retry, int64_t after)
{
    struct chat_world *w = host;
    if (!w->refuse_for_good)
        w->refuse = ERR_OK; /* the next try works */
    chat_send_failed(w->chat, a, handle, e, retry, after);
}

static void host_withdrawn(void *host, struct adapter *a, const char *chat, const char *thread, const char *id,
                           const char *sender)
{
    chat_withdrawn(((struct chat_world *)host)->chat, a, chat, thread, id, sender);
}

static void host_reaction(void *host, struct adapter *a, const char *chat, const char *thread, const char *platform_id,
                          const char *sender, enum reaction what)
{
    chat_reaction(((struct chat_world *)host)->chat, a, chat, thread, platform_id, sender, what);
}

static const struct adapter_host HOST = { .message = host_message, .withdrawn = host_withdrawn,
                                          .reaction = host_reaction, .sent = host_sent, .send_failed = host_failed };

/* --- the world --- */
static struct adapter *find(void *arg, const char *account)
{
    struct chat_world *w = arg;
    return strcmp(account, "web") == 0 && !w->gone ? &w->account : NULL;
}

static bool online(void *arg, const struct adapter *a)
{
    (void)a;
    return ((struct chat_world *)arg)->online;
}

static const struct remark *remarks(void *arg, const struct adapter *a)
{
    (void)a;
    return ((struct chat_world *)arg)->remarks;
}

static void open_world(struct chat_world *w)
{
    static const struct config_adapter adapters[] = { { "fake", NULL, 0 }, { NULL, NULL, 0 } };
    struct err e = ERR_INIT;
    struct config_report report;
    config_report_init(&report);
    w->config = config_load(w->file, adapters, &report);
    if (!w->config)
        fail_msg("%s", buf_str(&report.errors));
    config_report_fini(&report);
    if (loop_new(64, &w->loop, &e) || store_open(w->loop, w->dir, true, &w->store, &e) ||
        http_client_new(w->loop, &w->http, &e) || model_client_new(w->loop, w->http, &w->models, &e))
        fail_msg("%s", e.text);
    struct chat_env env = { w->loop, w->store, w->models, w->config, find, online, remarks, w };
    w->chat = chat_new(&env);
    w->account = (struct adapter){ .ops = &w->ops, .conf = &w->config->accounts[0], .loop = w->loop,
                                   .host = &HOST, .host_arg = w };
    defer_init(&w->confirm, w->loop, confirm, w);
}

void configure(struct chat_world *w, const struct setup *s)
{
    FILE *f = fopen(w->file, "w");
    assert_non_null(f);
    fprintf(f,
            "models = ( { name = \"p\"; api = \"practice\"; retries = 0;\n"
            "             practice = { delay_ms = 0; chunk_ms = 0; }; },\n"
            "           { name = \"other\"; api = \"practice\"; practice = { delay_ms = 0; chunk_ms = 0; }; },\n"
            "           { name = \"small\"; api = \"practice\"; context_tokens = 300; max_tokens = 100;\n"
            "             practice = { delay_ms = 0; chunk_ms = 0; }; },\n"
            "           { name = \"drip\"; api = \"practice\"; retries = 0;\n"
            "             practice = { delay_ms = 0; chunk_ms = 2; chunk_chars = 4; }; },\n"
            "           { name = \"slow\"; api = \"practice\"; practice = { delay_ms = 600000; }; },\n"
            "           { name = \"broken\"; api = \"practice\"; retries = 0;\n"
            "             practice = { delay_ms = 0; chunk_ms = 0; fail_rate = 1.0; }; } );\n"
            "bots = ( { name = \"bo\"; model = \"%s\"; %s } );\n"
            "accounts = ( { name = \"web\"; adapter = \"fake\"; on_doubt = \"%s\"; } );\n"
            "channels = ( %s );\n"
            "%s",
            s->model ? s->model : "p", s->bot ? s->bot : "", s->on_doubt ? s->on_doubt : "drop",
            s->channels ? s->channels : "{ match = \"web:*\"; bot = \"bo\"; }", s->file ? s->file : "");
    fclose(f);
    w->ops.facts.caps = s->caps;
}

struct chat_world *chat_world_new(const struct setup *s)
{
    struct chat_world *w = mem_alloc(sizeof(*w));
    snprintf(w->dir, sizeof(w->dir), "/tmp/warbler-chat-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->file, sizeof(w->file), "%s/warbler.conf", w->dir);
    w->ops = (struct adapter_ops){ .abi = ADAPTER_ABI, .name = "fake", .accepted = on_accepted, .silent = on_silent,
                                   .send = on_send, .edit = on_edit, .fetch = on_fetch, .remove = on_remove };
    configure(w, s);
    w->online = true;
    open_world(w);
    return w;
}

void forget_events(struct chat_world *w)
{
    for (size_t i = 0; i < w->n; i++) {
        free(w->events[i].id);
        free(w->events[i].txn);
        free(w->events[i].text);
        free(w->events[i].reply_to);
        free(w->events[i].finish);
    }
    memset(w->events, 0, sizeof(w->events));
    w->n = 0;
}

/* As daemon.c does it: running turns are given up, what is on disk stays. */
static void close_world(struct chat_world *w)
{
    chat_park(w->chat);
    store_close(&w->store);
    chat_forget(w->chat, &w->account);
    chat_free(&w->chat);
    while (w->n_due)
        free(w->due[--w->n_due].platform_id);
    model_client_free(&w->models);
    http_client_free(&w->http);
    defer_cancel(&w->confirm);
    loop_free(&w->loop);
    config_unref(&w->config);
    remark_free_all(&w->remarks);
}

void restart(struct chat_world *w)
{
    close_world(w);
    forget_events(w);
    open_world(w);
    chat_resume(w->chat);
}

void chat_world_free(struct chat_world *w)
{
    char command[128];
    close_world(w);
    forget_events(w);
    for (size_t i = 0; i < w->n_postings; i++) {
        struct posting *p = &w->postings[i];
        char **texts[] = { &p->id, &p->txn, &p->chat, &p->text, &p->reply_to };
        for (size_t j = 0; j < sizeof(texts) / sizeof(texts[0]); j++)
            free(*texts[j]);
    }
    snprintf(command, sizeof(command), "rm -r %s", w->dir);
    assert_int_equal(system(command), 0);
    free(w);
}

/* --- acting --- */
void say_as(struct chat_world *w, const char *chat, const char *sender, const char *id, const char *text, bool direct)
{
    struct msg_in m = { .chat = chat, .id = id, .sender = sender, .sender_name = sender, .text = text,
                        .len = strlen(text), .direct = direct };
    adapter_message(&w->account, &m);
}

void say(struct chat_world *w, const char *id, const char *text)
{
    say_as(w, "c", "alice", id, text, true);
}

size_t count(const struct chat_world *w, const char *kind)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n; i++)
        n += strcmp(w->events[i].kind, kind) == 0;
    return n;
}

void wait_for(struct chat_world *w, const char *kind, size_t n)
{
    for (int i = 0; i < TURNS_MAX && count(w, kind) < n; i++)
        loop_turn(w->loop, true);
    if (count(w, kind) != n)
        fail_msg("%zu events \"%s\", not %zu", count(w, kind), kind, n);
}

const struct event *nth(const struct chat_world *w, const char *kind, size_t n)
{
    for (size_t i = 0; i < w->n; i++)
        if (strcmp(w->events[i].kind, kind) == 0 && n-- == 0)
            return &w->events[i];
    fail_msg("there is no such event \"%s\"", kind);
    return NULL;
}

/* Every event's number is higher than that of the event before. */
void assert_rising(const struct chat_world *w)
{
    int64_t last = 0;
    for (size_t i = 0; i < w->n; i++) {
        const struct event *e = &w->events[i];
        if (strcmp(e->kind, "dup") == 0 || strcmp(e->kind, "silent") == 0 || !e->seq)
            continue;
        if (e->seq <= last)
            fail_msg("event %zu (%s) has number %lld after %lld", i, e->kind, (long long)e->seq, (long long)last);
        last = e->seq;
    }
}

/* Leaves the loop until nothing is under way. */
void settle(struct chat_world *w)
{
    for (int i = 0; i < TURNS_MAX && chat_busy(w->chat); i++)
        loop_turn(w->loop, true);
    assert_false(chat_busy(w->chat));
}

static void count_rows(void *arg, const struct store_out *outs, size_t n, const struct err *e)
{
    (void)outs;
    assert_int_equal(e->code, ERR_OK);
    *(int *)arg = (int)n;
}

static int rows(struct chat_world *w)
{
    int n = -1;
    store_out_list(w->store, 0, 100, count_rows, &n);
    while (n < 0)
        loop_turn(w->loop, true);
    return n;
}

void wait_for_rows(struct chat_world *w, int n)
{
    for (int i = 0; i < TURNS_MAX && rows(w) != n; i++)
        ;
}

void deliver_all(struct chat_world *w)
{
    do
        settle(w);
    while (rows(w) || chat_busy(w->chat)); /* an answer that is finished now has its row before */
}

/* --- what `warbler queue` shows --- */
struct why {
    bool came;
    size_t dead;
    char text[512]; /* of the last dead letter */
};

static void got_items(void *arg, const struct store_item *items, size_t n, const struct err *e)
{
    struct why *why = arg;
    assert_int_equal(e->code, ERR_OK);
    why->came = true;
    for (size_t i = 0; i < n; i++)
        if (items[i].dead) {
            why->dead++;
            snprintf(why->text, sizeof(why->text), "%s", items[i].reason);
        }
}

/* There is one dead letter, and this is why. */
void assert_dead(struct chat_world *w, const char *reason)
{
    struct why why = { 0 };
    store_queue_list(w->store, 100, got_items, &why);
    for (int i = 0; i < TURNS_MAX && !why.came; i++)
        loop_turn(w->loop, true);
    assert_int_equal(why.dead, 1);
    assert_string_equal(why.text, reason);
}

