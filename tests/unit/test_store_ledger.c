/* store.h's ledger, over a real file. */
#include "tests/unit/store_fixture.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "plugin/base/clock.h"
#include "plugin/store/schema.h"


#define EVER INT64_MAX
#define LEDGER_VERSION 4 /* the first that had a ledger, and no counters of limits */

static struct store_usage usage(int64_t time_ms, const char *person, const char *model)
{
    return (struct store_usage){
        .time_ms = time_ms,
        .turn = 1,
        .account = "web",
        .channel = "web:x",
        .person = person,
        .bot = "b",
        .model = model,
        .server_model = "gpt",
        .prompt = 100,
        .cached = 40,
        .cache_write = 10,
        .completion = 20,
        .reasoning = 5,
        .cost = 1000,
        .currency = "USD",
    };
}

static void add(struct fixture *f, const struct store_usage *u)
{
    assert_int_equal(fx_usage_add(f, u), ERR_OK);
}

static void assert_sum(const struct store_usage_sum *s, const char *key, const char *currency, int64_t answers, int64_t cost)
{
    assert_string_equal(s->key, key);
    assert_int_equal(s->currency != NULL, currency != NULL);
    if (currency)
        assert_string_equal(s->currency, currency);
    assert_int_equal(s->answers, answers);
    assert_int_equal(s->cost, cost);
}

/* --- with the answer --- */
static void test_comes_with_the_answer(void **state)
{
    struct fixture *f = *state;
    int64_t channel = fx_accept_ok(f, "x", 1);
    struct store_usage u = usage(5, "ann", "m");
    u.raw = "{\"prompt_tokens\":100}";
    struct store_finish in = { .channel_id = channel, .lead = 1, .outcome = STORE_NOTICED, .bill = { .usage = &u, .n_usage = 1 } };
    assert_int_equal(fx_finish_full(f, &in), ERR_OK);
    assert_int_equal(fx_finish_full(f, &in), ERR_EXISTS); /* no second row */
    assert_string_equal(fx_sql(f, "SELECT group_concat(time_ms || turn || account || channel || person || bot || model ||"
                                  " server_model || prompt || ',' || cached || ',' || cache_write || ',' || completion ||"
                                  " ',' || reasoning || ',' || cost || currency || estimated || raw) FROM ledger"),
                        "51webweb:xannbmgpt100,40,10,20,5,1000USD0{\"prompt_tokens\":100}");
}

/* An answer that took several requests. */
static void test_several_rows(void **state)
{
    struct fixture *f = *state;
    int64_t channel = fx_accept_ok(f, "x", 1);
    const struct store_usage rows[] = { usage(5, "ann", "first"), usage(6, NULL, "second") };
    const struct store_count counts[] = { { "a", 1, 2, 3, 4, 5 }, { "b", 6, 7, 8, 9, 10 } };
    const struct store_part parts[] = { { "t1", "one" }, { "t2", "two" } };
    struct store_msg answer = { .seq = 2, .kind = STORE_BOT, .turn = 1, .id = "m", .text = "one two" };
    struct store_finish in = { .channel_id = channel, .lead = 1, .outcome = STORE_ANSWERED, .answer = &answer, .parts = parts,
                               .n_parts = 2, .bill = { rows, 2, counts, 2 } };
    assert_int_equal(fx_finish_full(f, &in), ERR_OK);
    assert_string_equal(fx_sql(f, "SELECT group_concat(time_ms || model || turn) FROM ledger"), "5first1,6second1");
    assert_string_equal(fx_sql(f, "SELECT group_concat(key || messages || tokens || money) FROM count"), "a345,b8910");
}

static void test_what_may_be_missing(void **state)
{
    struct fixture *f = *state;
    struct store_usage u = usage(5, NULL, "m");
    u.server_model = u.currency = NULL;
    u.prompt = -1;
    u.estimated = true;
    add(f, &u);
    assert_string_equal(fx_sql(f, "SELECT count(*) FROM ledger WHERE person IS NULL AND server_model IS NULL AND raw IS NULL"
                                  " AND cost IS NULL AND currency IS NULL AND estimated AND prompt = 0"),
                        "1");
}

/* --- sums --- */
static void test_sums(void **state)
{
    struct fixture *f = *state;
    struct store_usage u = usage(10, "ann", "m");
    add(f, &u);
    u.estimated = true;
    add(f, &u);
    u = usage(20, "bob", "m");
    u.currency = "EUR";
    u.cost = 7;
    add(f, &u);
    u = usage(30, NULL, "free");
    u.account = "mx";
    u.channel = "mx:y";
    u.currency = NULL;
    add(f, &u);

    assert_int_equal(fx_usage_sum(f, STORE_BY_ACCOUNT, 0, EVER), ERR_OK);
    assert_int_equal(f->n, 3);
    assert_sum(&f->sums[0], "mx", NULL, 1, 0);
    assert_sum(&f->sums[1], "web", "EUR", 1, 7);
    assert_sum(&f->sums[2], "web", "USD", 2, 2000);
    const struct store_usage_sum *s = &f->sums[2];
    assert_int_equal(s->estimated, 1);
    assert_int_equal(s->prompt, 200);
    assert_int_equal(s->cached, 80);
    assert_int_equal(s->cache_write, 20);
    assert_int_equal(s->completion, 40);
    assert_int_equal(s->reasoning, 10);

    assert_int_equal(fx_usage_sum(f, STORE_BY_CHANNEL, 0, EVER), ERR_OK);
    assert_int_equal(f->n, 3);
    assert_sum(&f->sums[0], "mx:y", NULL, 1, 0);
    assert_int_equal(fx_usage_sum(f, STORE_BY_PERSON, 0, EVER), ERR_OK);
    assert_int_equal(f->n, 3);
    assert_sum(&f->sums[0], "", NULL, 1, 0);
    assert_sum(&f->sums[1], "web:ann", "USD", 2, 2000);
    assert_sum(&f->sums[2], "web:bob", "EUR", 1, 7);
    assert_int_equal(fx_usage_sum(f, STORE_BY_MODEL, 0, EVER), ERR_OK);
    assert_int_equal(f->n, 3);
    assert_sum(&f->sums[0], "free", NULL, 1, 0);
}

static void test_bounds(void **state)
{
    struct fixture *f = *state;
    struct store_usage u = usage(10, "ann", "m");
    static const struct {
        int64_t since, until;
        size_t n;
    } cases[] = { { 10, 11, 1 }, { 11, EVER, 0 }, { 0, 10, 0 }, { 10, 10, 0 }, { INT64_MIN, EVER, 1 } };
    add(f, &u);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(fx_usage_sum(f, STORE_BY_MODEL, cases[i].since, cases[i].until), ERR_OK);
        assert_int_equal(f->n, cases[i].n);
    }
}

/* By the local calendar, in the night when summer time ends too. */
static void test_days(void **state)
{
    struct fixture *f = *state;
    static const int64_t midnight = 1792879200000; /* 2026-10-25 00:00 in Berlin */
    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    tzset();
    for (int i = 0; i < 4; i++) {
        struct store_usage u = usage((const int64_t[]){ midnight - 1, midnight, midnight + 25 * 3600000 - 1,
                                                        midnight + 25 * 3600000 }[i], "ann", "m");
        add(f, &u);
    }
    assert_int_equal(fx_usage_sum(f, STORE_BY_DAY, 0, EVER), ERR_OK);
    unsetenv("TZ");
    tzset();
    assert_int_equal(f->n, 3);
    assert_sum(&f->sums[0], "2026-10-24", "USD", 1, 1000);
    assert_sum(&f->sums[1], "2026-10-25", "USD", 2, 2000);
    assert_sum(&f->sums[2], "2026-10-26", "USD", 1, 1000);
}

/* One absurd row does not take the sums away. */
static void test_sums_stay_at_the_end(void **state)
{
    struct fixture *f = *state;
    struct store_usage u = usage(10, "ann", "m");
    u.prompt = u.cost = INT64_MAX;
    add(f, &u);
    add(f, &u);
    assert_int_equal(fx_usage_sum(f, STORE_BY_MODEL, 0, EVER), ERR_OK);
    assert_int_equal(f->sums[0].prompt, INT64_MAX);
    assert_int_equal(f->sums[0].cost, INT64_MAX);
    assert_int_equal(f->sums[0].completion, 40);
}

/* --- time --- */
static void test_prune(void **state)
{
    struct fixture *f = *state;
    for (int64_t t = 1; t <= 3; t++) {
        struct store_usage u = usage(t, "ann", "m");
        add(f, &u);
    }
    assert_int_equal(fx_usage_prune(f, 0), ERR_OK);
    assert_string_equal(fx_sql(f, "SELECT count(*) FROM ledger"), "3");
    assert_int_equal(fx_usage_prune(f, 3), ERR_OK);
    assert_false(f->flag);
    assert_string_equal(fx_sql(f, "SELECT group_concat(time_ms) FROM ledger"), "3");
    fx_sql(f, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500) INSERT INTO ledger (time_ms,"
              " turn, account, channel, bot, model, prompt, cached, cache_write, completion, reasoning, estimated)"
              " SELECT 2, 1, 'a', 'c', 'b', 'm', 0, 0, 0, 0, 0, 0 FROM n");
    assert_int_equal(fx_usage_prune(f, 3), ERR_OK);
    assert_true(f->flag);
    assert_int_equal(fx_usage_prune(f, 3), ERR_OK);
    assert_false(f->flag);
    assert_string_equal(fx_sql(f, "SELECT group_concat(time_ms) FROM ledger"), "3");
}

/* Messages go after history_days; what they cost stays. */
static void test_outlives_its_messages(void **state)
{
    struct fixture *f = *state;
    int64_t channel = fx_accept_ok(f, "x", 1);
    struct store_usage u = usage(5, "ann", "m");
    struct store_finish in = { .channel_id = channel, .lead = 1, .outcome = STORE_NOTICED, .bill = { .usage = &u, .n_usage = 1 } };
    assert_int_equal(fx_finish_full(f, &in), ERR_OK);
    do
        assert_int_equal(fx_prune(f, EVER), ERR_OK);
    while (f->flag);
    assert_string_equal(fx_sql(f, "SELECT count(*) FROM message"), "0");
    assert_string_equal(fx_sql(f, "SELECT count(*) FROM ledger"), "1");
}

/* --- counters of limits --- */
static enum err_code finish_with_counts(struct fixture *f, int64_t channel, int64_t lead, const struct store_count *counts,
                                        size_t n)
{
    struct store_finish in = { .channel_id = channel, .lead = lead, .outcome = STORE_NOTICED, 
                               .bill = { .counts = counts, .n_counts = n } };
    return fx_finish_full(f, &in);
}

static void test_counts(void **state)
{
    struct fixture *f = *state;
    int64_t channel = fx_accept_ok(f, "x", 1);
    struct store_count counts[] = { { "a", 10, 20, 1, 2, 3 }, { "b", 10, 30, INT64_MAX, INT64_MAX, INT64_MAX } };
    fx_accept_ok(f, "x", 2);
    assert_int_equal(fx_counts(f, 0), ERR_OK);
    assert_int_equal(f->n, 0);
    assert_int_equal(finish_with_counts(f, channel, 1, counts, 2), ERR_OK);
    assert_int_equal(finish_with_counts(f, channel, 1, (struct store_count[]){ { "c", 1, 99, 1, 1, 1 } }, 1), ERR_EXISTS);
    counts[0] = (struct store_count){ "a", 20, 40, 4, 5, 6 };
    assert_int_equal(finish_with_counts(f, channel, 2, counts, 1), ERR_OK);
    fx_reopen(f);
    assert_int_equal(fx_counts(f, 29), ERR_OK);
    assert_int_equal(f->n, 2);
    assert_string_equal(f->counts[0].key, "a");
    assert_int_equal(f->counts[0].begin_ms, 20);
    assert_int_equal(f->counts[0].end_ms, 40);
    assert_int_equal(f->counts[0].messages, 4);
    assert_int_equal(f->counts[0].tokens, 5);
    assert_int_equal(f->counts[0].money, 6);
    assert_int_equal(f->counts[1].money, INT64_MAX);
    assert_int_equal(fx_counts(f, 30), ERR_OK);
    assert_int_equal(f->n, 1);
}

/* Counters go with their period. */
static void test_counts_are_pruned(void **state)
{
    struct fixture *f = *state;
    int64_t channel = fx_accept_ok(f, "x", 1), now = clock_wall_ms();
    const struct store_count counts[] = { { "old", 1, now, 1, 1, 1 }, { "new", 1, now + 3600000, 1, 1, 1 } };
    assert_int_equal(finish_with_counts(f, channel, 1, counts, 2), ERR_OK);
    assert_int_equal(fx_prune(f, 0), ERR_OK);
    assert_string_equal(fx_sql(f, "SELECT group_concat(key) FROM count"), "new");
}

/* --- from the version before --- */
static void make_version_1(struct fixture *f)
{
    sqlite3 *db;
    assert_int_equal(mkdir(f->dir, 0700), 0);
    assert_int_equal(sqlite3_open(fx_path(f, "warbler.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, schema_steps[0], NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 1; INSERT INTO channel (account, name, seq_limit)"
                                      " VALUES ('web', 'web:x', 1); INSERT INTO message (channel, seq, time_ms, kind,"
                                      " outcome, flags, turn, id, sender, text) VALUES (1, 1, 1, 1, 0, 1, 0, 'i', 'ann', 't')",
                                  NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* The step from version i. */
static void run_step(struct fixture *f, size_t i)
{
    char set_version[64];
    sqlite3 *db;
    snprintf(set_version, sizeof set_version, "PRAGMA user_version = %zu", i + 1);
    assert_int_equal(sqlite3_open(fx_path(f, "warbler.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, schema_steps[i], NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, set_version, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void test_upgrade(void **state)
{
    struct fixture *f = *state;
    make_version_1(f);
    fx_open(f);
    assert_int_equal(fx_load(f, "x", 10), ERR_OK);
    assert_string_equal(f->msgs[0].text, "t");
    int64_t channel = f->channel.id;
    struct store_usage u = usage(5, "ann", "m");
    struct store_finish in = { .channel_id = channel, .lead = 1, .outcome = STORE_NOTICED, .bill = { .usage = &u, .n_usage = 1 } };
    assert_int_equal(fx_finish_full(f, &in), ERR_OK);
    assert_string_equal(fx_sql(f, "SELECT count(*) FROM ledger"), "1");
}

static void test_upgrade_from_the_ledger(void **state)
{
    struct fixture *f = *state;
    make_version_1(f);
    for (size_t i = 1; i < LEDGER_VERSION; i++)
        run_step(f, i);
    fx_sql(f, "INSERT INTO ledger (time_ms, turn, account, channel, bot, model, prompt, cached, cache_write, completion,"
              " reasoning, estimated) VALUES (1, 1, 'web', 'web:x', 'b', 'm', 7, 0, 0, 0, 0, 0)");
    fx_open(f);
    assert_int_equal(fx_usage_sum(f, STORE_BY_MODEL, 0, EVER), ERR_OK);
    assert_int_equal(f->sums[0].prompt, 7);
    assert_int_equal(fx_load(f, "x", 10), ERR_OK);
    int64_t channel = f->channel.id;
    const struct store_count c = { "a", 10, 20, 1, 2, 3 };
    assert_int_equal(finish_with_counts(f, channel, 1, &c, 1), ERR_OK);
    assert_int_equal(fx_counts(f, 0), ERR_OK);
    assert_int_equal(f->n, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_comes_with_the_answer),
        TEST(test_several_rows),
        TEST(test_what_may_be_missing),
        TEST(test_sums),
        TEST(test_bounds),
        TEST(test_days),
        TEST(test_sums_stay_at_the_end),
        TEST(test_prune),
        TEST(test_outlives_its_messages),
        TEST(test_counts),
        TEST(test_counts_are_pruned),
        cmocka_unit_test_setup_teardown(test_upgrade, fx_setup_shut, fx_teardown),
        cmocka_unit_test_setup_teardown(test_upgrade_from_the_ledger, fx_setup_shut, fx_teardown),
    };
    return cmocka_run_group_tests_name("store_ledger", tests, NULL, NULL);
}
