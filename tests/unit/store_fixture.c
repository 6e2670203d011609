#include "tests/unit/store_fixture.h"

#include <ftw.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugin/base/mem.h"

/* --- the store and its directory --- */
int fx_setup_shut(void **state)
{
    struct fixture *f = mem_alloc(sizeof *f);
    struct err e = ERR_INIT;
    const char *tmp = getenv("TMPDIR");
    snprintf(f->top, sizeof f->top, "%s/warbler-store-XXXXXX", tmp && strlen(tmp) < 30 ? tmp : "/tmp");
    assert_non_null(mkdtemp(f->top));
    snprintf(f->dir, sizeof f->dir, "%s/data", f->top);
    f->arena = arena_new();
    assert_int_equal(loop_new(0, &f->loop, &e), ERR_OK);
    *state = f;
    return 0;
}

int fx_setup(void **state)
{
    fx_setup_shut(state);
    fx_open(*state);
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

int fx_teardown(void **state)
{
    struct fixture *f = *state;
    store_close(&f->store);
    loop_free(&f->loop);
    arena_free(&f->arena);
    int rc = nftw(f->top, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(f);
    return rc;
}

void fx_open(struct fixture *f)
{
    struct err e = ERR_INIT;
    if (store_open(f->loop, f->dir, true, &f->store, &e))
        fail_msg("cannot open: %s", e.text);
}

void fx_reopen(struct fixture *f)
{
    store_close(&f->store);
    fx_open(f);
}

void fx_wait(struct fixture *f)
{
    while (f->waiting)
        loop_turn(f->loop, true);
}

char *fx_path(struct fixture *f, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    return arena_dup(f->arena, path);
}

const char *fx_sql(struct fixture *f, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *stmt;
    const char *value = NULL;
    assert_int_equal(sqlite3_open(fx_path(f, "warbler.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    if (sqlite3_step(stmt) == SQLITE_ROW)
        value = arena_dup(f->arena, (const char *)sqlite3_column_text(stmt, 0));
    assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
    sqlite3_close(db);
    return value;
}

/* --- results --- */
static void finish_call(struct fixture *f, const struct err *e)
{
    f->err = *e;
    f->waiting = false;
}

static enum err_code wait_for(struct fixture *f)
{
    fx_wait(f);
    return f->err.code;
}

static void start_call(struct fixture *f)
{
    assert_false(f->waiting);
    f->waiting = true;
}

static void *copy_rows(struct fixture *f, const void *rows, size_t n, size_t size)
{
    f->n = n;
    void *copy = arena_alloc(f->arena, n * size + 1);
    if (n)
        memcpy(copy, rows, n * size);
    return copy;
}

static void keep(struct fixture *f, const char **s)
{
    *s = arena_dup(f->arena, *s);
}

static void keep_answers(struct fixture *f, struct store_msg *m)
{
    size_t n = 0;
    while (m->answers && m->answers[n])
        n++;
    const char **copy = arena_alloc(f->arena, (n + 1) * sizeof *copy);
    for (size_t i = 0; i < n; i++)
        copy[i] = arena_dup(f->arena, m->answers[i]);
    if (m->answers)
        m->answers = copy;
}

static void got_error(void *arg, const struct err *e)
{
    finish_call(arg, e);
}

static void got_msgs(void *arg, const struct store_msg *msgs, size_t n, const struct err *e)
{
    struct fixture *f = arg;
    f->msgs = copy_rows(f, msgs, n, sizeof *msgs);
    for (size_t i = 0; i < n; i++) {
        struct store_msg *m = &f->msgs[i];
        const char **texts[] = { &m->id, &m->sender, &m->name, &m->reply_to, &m->lang, &m->text, &m->finish, &m->usage };
        for (size_t j = 0; j < sizeof texts / sizeof *texts; j++)
            keep(f, texts[j]);
        keep_answers(f, m);
    }
    finish_call(f, e);
}

/* --- the journal --- */
struct store_msg fx_person(int64_t seq, const char *sender, const char *id)
{
    return (struct store_msg){ .seq = seq,
                               .time_ms = 1000 * seq,
                               .kind = STORE_PERSON,
                               .flags = STORE_ADDRESSED,
                               .id = id,
                               .sender = sender,
                               .name = "Ann",
                               .text = "hello" };
}

static void got_accepted(void *arg, const struct store_accepted *r, const struct err *e)
{
    struct fixture *f = arg;
    f->accepted = *r;
    finish_call(f, e);
}

static const char *channel_name(struct fixture *f, const char *chat)
{
    char name[64];
    snprintf(name, sizeof name, "web:%s", chat);
    return arena_dup(f->arena, name);
}

enum err_code fx_accept_msg(struct fixture *f, const char *chat, const struct store_msg *m)
{
    start_call(f);
    struct store_accept a = { .account = "web", .channel = channel_name(f, chat), .msg = *m };
    store_accept(f->store, &a, got_accepted, f);
    return wait_for(f);
}

int64_t fx_accept_ok(struct fixture *f, const char *chat, int64_t seq)
{
    char id[32];
    snprintf(id, sizeof id, "m%lld", (long long)seq);
    struct store_msg m = fx_person(seq, "ann", id);
    assert_int_equal(fx_accept_msg(f, chat, &m), ERR_OK);
    assert_false(f->accepted.duplicate);
    return f->accepted.channel_id;
}

enum err_code fx_turn_of(struct fixture *f, int64_t channel, int64_t lead, const int64_t *seqs, size_t n,
                      const int64_t *drop, size_t n_drop)
{
    start_call(f);
    store_turn(f->store, channel, lead, seqs, n, drop, n_drop, got_error, f);
    return wait_for(f);
}

enum err_code fx_finish_full(struct fixture *f, const struct store_finish *in)
{
    start_call(f);
    store_finish(f->store, in, got_error, f);
    return wait_for(f);
}

enum err_code fx_finish_parts(struct fixture *f, int64_t channel, int64_t lead, enum store_outcome outcome, int64_t answer,
                           size_t n_parts)
{
    char id[32], txn[8][32], text[8][32];
    struct store_part parts[8];
    assert_true(n_parts <= 8);
    snprintf(id, sizeof id, "b%lld", (long long)answer);
    struct store_msg m = { .seq = answer,
                           .time_ms = 1000 * answer,
                           .kind = outcome == STORE_ANSWERED ? STORE_BOT : STORE_NOTICE,
                           .id = id,
                           .reply_to = "asked",
                           .text = "answer" };
    for (size_t i = 0; i < n_parts; i++) {
        snprintf(txn[i], sizeof txn[i], "txn%lld-%zu", (long long)lead, i);
        snprintf(text[i], sizeof text[i], "part %zu", i);
        parts[i] = (struct store_part){ txn[i], text[i] };
    }
    struct store_finish in = { .account = "web",
                               .channel = "web:x",
                               .channel_id = channel,
                               .lead = lead,
                               .outcome = outcome,
                               .reason = outcome == STORE_DEAD ? "why" : NULL,
                               .answer = answer ? &m : NULL,
                               .parts = n_parts ? parts : NULL,
                               .n_parts = n_parts };
    return fx_finish_full(f, &in);
}

enum err_code fx_finish_with(struct fixture *f, int64_t channel, int64_t lead, enum store_outcome outcome, int64_t answer)
{
    return fx_finish_parts(f, channel, lead, outcome, answer, 0);
}

static void got_pending(void *arg, const struct store_pending *p, size_t n, const struct err *e)
{
    struct fixture *f = arg;
    f->pendings = copy_rows(f, p, n, sizeof *p);
    for (size_t i = 0; i < n; i++) {
        keep(f, &f->pendings[i].account);
        keep(f, &f->pendings[i].channel);
    }
    finish_call(f, e);
}

enum err_code fx_pending(struct fixture *f)
{
    start_call(f);
    store_count_tries(f->store, NULL, NULL);
    store_pending(f->store, got_pending, f);
    return wait_for(f);
}

enum err_code fx_channel_put(struct fixture *f, const struct store_channel *c)
{
    start_call(f);
    store_channel_put(f->store, c, got_error, f);
    return wait_for(f);
}

/* --- the outbox --- */
static void got_outs(void *arg, const struct store_out *outs, size_t n, const struct err *e)
{
    struct fixture *f = arg;
    f->outs = copy_rows(f, outs, n, sizeof *outs);
    for (size_t i = 0; i < n; i++) {
        struct store_out *o = &f->outs[i];
        const char **texts[] = { &o->account, &o->channel, &o->txn, &o->text, &o->reply_to, &o->platform_id,
                                 &o->finish, &o->usage };
        for (size_t j = 0; j < sizeof texts / sizeof *texts; j++)
            keep(f, texts[j]);
    }
    finish_call(f, e);
}

static void got_open(void *arg, const struct store_out *o, bool fresh, const struct err *e)
{
    struct fixture *f = arg;
    f->flag = fresh;
    got_outs(arg, o, o != NULL, e);
}

enum err_code fx_out_open(struct fixture *f, const struct store_open *in)
{
    start_call(f);
    store_out_open(f->store, in, got_open, f);
    return wait_for(f);
}

static void got_withdrawn(void *arg, const struct store_withdrawn *w, const struct err *e)
{
    struct fixture *f = arg;
    f->withdrawn = *w;
    f->withdrawn.channel = NULL;
    f->flag = w->channel != NULL;
    finish_call(f, e);
}

enum err_code fx_withdraw(struct fixture *f, const char *chat, const char *sender, const char *id)
{
    start_call(f);
    store_withdraw(f->store, "web", channel_name(f, chat), sender, id, got_withdrawn, f);
    return wait_for(f);
}

enum err_code fx_out_list(struct fixture *f, int64_t after, int limit)
{
    start_call(f);
    store_out_list(f->store, after, limit, got_outs, f);
    return wait_for(f);
}

enum err_code fx_on_row(struct fixture *f, row_call *call, int64_t id)
{
    start_call(f);
    call(f->store, id, got_error, f);
    return wait_for(f);
}

enum err_code fx_out_sent(struct fixture *f, int64_t id, const char *platform_id)
{
    start_call(f);
    store_out_sent(f->store, id, platform_id, got_error, f);
    return wait_for(f);
}

enum err_code fx_out_dead(struct fixture *f, int64_t id, const char *reason)
{
    start_call(f);
    store_out_dead(f->store, id, reason, got_error, f);
    return wait_for(f);
}

static void got_items(void *arg, const struct store_item *items, size_t n, const struct err *e)
{
    struct fixture *f = arg;
    f->items = copy_rows(f, items, n, sizeof *items);
    for (size_t i = 0; i < n; i++) {
        keep(f, &f->items[i].account);
        keep(f, &f->items[i].channel);
        keep(f, &f->items[i].text);
        keep(f, &f->items[i].reason);
    }
    finish_call(f, e);
}

enum err_code fx_queue_list(struct fixture *f, int limit)
{
    start_call(f);
    store_queue_list(f->store, limit, got_items, f);
    return wait_for(f);
}

/* --- history --- */
static void got_loaded(void *arg, const struct store_loaded *r, const struct err *e)
{
    struct fixture *f = arg;
    f->channel = r->channel;
    keep(f, &f->channel.model);
    keep(f, &f->channel.prompt);
    keep(f, &f->channel.summary);
    keep(f, &f->channel.pins);
    got_msgs(f, r->msgs, r->n, e);
}

enum err_code fx_load(struct fixture *f, const char *chat, int n)
{
    start_call(f);
    store_load(f->store, "web", channel_name(f, chat), n, got_loaded, f);
    return wait_for(f);
}

enum err_code fx_history(struct fixture *f, int64_t channel, int64_t after, int limit)
{
    start_call(f);
    store_history(f->store, channel, after, limit, got_msgs, f);
    return wait_for(f);
}

static void got_answer(void *arg, const struct store_msg *msg, const struct err *e)
{
    got_msgs(arg, msg, msg != NULL, e);
}

enum err_code fx_answer_to(struct fixture *f, int64_t channel, int64_t seq)
{
    start_call(f);
    store_answer(f->store, channel, seq, got_answer, f);
    return wait_for(f);
}

static void got_flag(void *arg, bool flag, const struct err *e)
{
    struct fixture *f = arg;
    f->flag = flag;
    finish_call(f, e);
}

enum err_code fx_prune(struct fixture *f, int64_t before_ms)
{
    start_call(f);
    store_prune(f->store, before_ms, got_flag, f);
    return wait_for(f);
}

/* --- counters --- */
static void got_counts(void *arg, const struct store_count *counts, size_t n, const struct err *e)
{
    struct fixture *f = arg;
    f->counts = copy_rows(f, counts, n, sizeof *counts);
    for (size_t i = 0; i < n; i++)
        keep(f, &f->counts[i].key);
    finish_call(f, e);
}

enum err_code fx_counts(struct fixture *f, int64_t now_ms)
{
    start_call(f);
    store_counts(f->store, now_ms, got_counts, f);
    return wait_for(f);
}

/* --- the ledger --- */
enum err_code fx_usage_add(struct fixture *f, const struct store_usage *u)
{
    start_call(f);
    store_bill_add(f->store, &(struct store_bill){ .usage = u, .n_usage = 1 }, got_error, f);
    return wait_for(f);
}

static void got_sums(void *arg, const struct store_usage_sum *sums, size_t n, const struct err *e)
{
    struct fixture *f = arg;
    f->sums = copy_rows(f, sums, n, sizeof *sums);
    for (size_t i = 0; i < n; i++) {
        keep(f, &f->sums[i].key);
        keep(f, &f->sums[i].currency);
    }
    finish_call(f, e);
}

enum err_code fx_usage_sum(struct fixture *f, enum store_usage_by by, int64_t since_ms, int64_t until_ms)
{
    start_call(f);
    store_usage_sum(f->store, by, since_ms, until_ms, got_sums, f);
    return wait_for(f);
}

enum err_code fx_usage_prune(struct fixture *f, int64_t before_ms)
{
    start_call(f);
    store_usage_prune(f->store, before_ms, got_flag, f);
    return wait_for(f);
}

/* --- facts --- */
enum err_code fx_kv_put(struct fixture *f, const char *key, const char *value, int64_t expires_ms)
{
    start_call(f);
    store_kv_put(f->store, "web", key, value, expires_ms, got_error, f);
    return wait_for(f);
}

static void got_value(void *arg, const char *value, int64_t expires_ms, const struct err *e)
{
    struct fixture *f = arg;
    f->value = arena_dup(f->arena, value);
    f->expires_ms = expires_ms;
    finish_call(f, e);
}

enum err_code fx_kv_get(struct fixture *f, const char *key)
{
    start_call(f);
    store_kv_get(f->store, "web", key, got_value, f);
    return wait_for(f);
}

enum err_code fx_beat(struct fixture *f)
{
    start_call(f);
    store_beat(f->store, got_flag, f);
    return wait_for(f);
}
