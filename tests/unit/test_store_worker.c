/* The store's worker: order, batches, what fails alone, full queue, closing. */
#include "tests/unit/store_fixture.h"

#include <inttypes.h>
#include <sched.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "plugin/base/metric.h"

/* --- a batch that is certainly one --- */
/* Another process's lock: the first job waits for it in the worker, and what is
 * asked for meanwhile forms one batch. */
static sqlite3 *hold_lock(struct fixture *f)
{
    sqlite3 *other;
    assert_int_equal(sqlite3_open(fx_path(f, "warbler.db"), &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    return other;
}

static void release_lock(sqlite3 *other)
{
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
}

static void ignore_flag(void *arg, bool flag, const struct err *e)
{
    (void)flag;
    assert_int_equal(e->code, ERR_OK);
    ++*(int *)arg;
}

/* With the lock held: something for the worker to wait with. */
static void occupy_worker(struct fixture *f, int *calls)
{
    store_beat(f->store, ignore_flag, calls);
}

typedef void accepted_fn(void *arg, const struct store_accepted *r, const struct err *e);

static void submit_message(struct fixture *f, int64_t seq, accepted_fn *done, void *arg)
{
    char id[32];
    snprintf(id, sizeof id, "m%" PRId64, seq);
    struct store_accept a = { .account = "web", .channel = "web:x", .msg = fx_person(seq, "ann", id) };
    store_accept(f->store, &a, done, arg);
}

/* --- order --- */
#define ORDER_JOBS 3000

struct order {
    int next;
    int errors;
};

struct numbered {
    struct order *order;
    int number;
};

static void check_order(void *arg, const struct err *e)
{
    struct numbered *n = arg;
    assert_int_equal(n->order->next, n->number);
    n->order->next++;
    n->order->errors += e->code != ERR_OK;
}

static void check_order_accepted(void *arg, const struct store_accepted *r, const struct err *e)
{
    (void)r;
    check_order(arg, e);
}

static void check_order_value(void *arg, const char *value, int64_t expires_ms, const struct err *e)
{
    struct numbered *n = arg;
    char expected[16];
    snprintf(expected, sizeof expected, "%d", n->number - 1);
    assert_string_equal(value, expected); /* reads see the write before them */
    assert_int_equal(expires_ms, n->number - 1);
    check_order(arg, e);
}

static void test_callbacks_keep_the_order_of_the_calls(void **state)
{
    struct fixture *f = *state;
    static struct numbered numbered[ORDER_JOBS];
    struct order order = { 0 };
    for (int i = 0; i < ORDER_JOBS; i++) {
        numbered[i] = (struct numbered){ &order, i };
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        struct store_accept a = { .account = "web", .channel = "web:x", .msg = fx_person(i + 1, "ann", text) };
        if (i % 3 == 0)
            store_accept(f->store, &a, check_order_accepted, &numbered[i]);
        else if (i % 3 == 1)
            store_kv_put(f->store, "web", "k", text, i, check_order, &numbered[i]);
        else
            store_kv_get(f->store, "web", "k", check_order_value, &numbered[i]);
        if (i % 700 == 0)
            loop_turn(f->loop, false);
    }
    while (order.next < ORDER_JOBS)
        loop_turn(f->loop, true);
    assert_int_equal(order.errors, 0);
    assert_int_equal(store_queued(f->store), 0);
}

/* --- failures --- */
struct outcomes {
    int n;
    enum err_code codes[600];
};

static void note_outcome(void *arg, const struct store_accepted *r, const struct err *e)
{
    (void)r;
    struct outcomes *o = arg;
    o->codes[o->n++] = e->code;
}

static void wait_outcomes(struct fixture *f, const struct outcomes *o, int n)
{
    while (o->n < n)
        loop_turn(f->loop, true);
}

static void test_a_failing_job_fails_alone(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *what;
        const char *id, *sender, *text;
        int64_t seq;
        enum err_code code;
    } cases[] = {
        { "breaks a rule of the table", NULL, "ann", "t", 30, ERR_INVALID },
        { "lacks its text", "a", "ann", NULL, 31, ERR_INVALID },
        { "takes a number that is taken", "b", "ann", "t", 1, ERR_EXISTS },
        { "has no number", "c", "ann", "t", 0, ERR_INVALID },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct outcomes o = { 0 };
        char chat[32], id[32];
        snprintf(chat, sizeof chat, "web:%zu", i);
        int64_t commits = metric_get(METRIC_STORE_COMMITS);
        int beats = 0;
        sqlite3 *other = hold_lock(f);
        occupy_worker(f, &beats);
        for (int64_t seq = 1; seq <= 20; seq++) {
            struct store_accept a = { .account = "web", .channel = chat, .msg = fx_person(seq, "ann", id) };
            snprintf(id, sizeof id, "m%" PRId64, seq);
            if (seq == 13) {
                a.msg.seq = cases[i].seq;
                a.msg.id = cases[i].id;
                a.msg.sender = cases[i].sender;
                a.msg.text = cases[i].text;
            }
            store_accept(f->store, &a, note_outcome, &o);
        }
        release_lock(other);
        wait_outcomes(f, &o, 20);
        assert_int_equal(beats, 1);
        for (int j = 0; j < 20; j++)
            assert_int_equal(o.codes[j], j == 12 ? cases[i].code : ERR_OK);
        assert_true(metric_get(METRIC_STORE_COMMITS) - commits < 10); /* not one for each */
        assert_int_equal(fx_load(f, chat + strlen("web:"), 100), ERR_OK);
        assert_int_equal(f->n, 19);
    }
}

static void test_a_batch_is_one_commit(void **state)
{
    struct fixture *f = *state;
    struct outcomes o = { 0 };
    int64_t commits = metric_get(METRIC_STORE_COMMITS), jobs = metric_get(METRIC_STORE_JOBS);
    int beats = 0;
    sqlite3 *other = hold_lock(f);
    occupy_worker(f, &beats);
    for (int64_t seq = 1; seq <= 513; seq++)
        submit_message(f, seq, note_outcome, &o);
    assert_int_equal(store_queued(f->store), 514);
    assert_int_equal(metric_get(METRIC_STORE_QUEUE), 514);
    release_lock(other);
    wait_outcomes(f, &o, 513);
    /* The beat alone or with what came before it was taken; then by 512. */
    assert_in_range(metric_get(METRIC_STORE_COMMITS) - commits, 2, 3);
    assert_int_equal(metric_get(METRIC_STORE_JOBS) - jobs, 514);
    assert_int_equal(metric_get(METRIC_STORE_QUEUE), 0);
}

static void test_another_process_holds_the_lock(void **state)
{
    struct fixture *f = *state;
    struct outcomes o = { 0 };
    sqlite3 *other = hold_lock(f);
    for (int64_t seq = 1; seq <= 30; seq++)
        submit_message(f, seq, note_outcome, &o);
    wait_outcomes(f, &o, 1); /* DB_BUSY_MS later */
    assert_int_equal(o.codes[0], ERR_BUSY);
    release_lock(other);
    wait_outcomes(f, &o, 30);
    fx_accept_ok(f, "y", 1);
    struct store_msg again = fx_person(1, "ann", "m1");
    assert_int_equal(fx_accept_msg(f, "x", &again), ERR_OK);
    assert_false(f->accepted.duplicate); /* the one that failed left nothing */
}

/* --- a full queue --- */
static void count_codes(void *arg, const struct err *e)
{
    int *counts = arg;
    counts[e->code]++;
}

static void test_full_queue(void **state)
{
    struct fixture *f = *state;
    int counts[ERR_COUNT] = { 0 };
    for (int i = 0; i < STORE_QUEUE_JOBS_MAX; i++)
        store_kv_put(f->store, "web", "k", "v", i, count_codes, counts);
    assert_int_equal(store_queued(f->store), STORE_QUEUE_JOBS_MAX);
    store_kv_put(f->store, "web", "k", "too many", 0, count_codes, counts);
    store_out_dead(f->store, 1, "too many", count_codes, counts);
    assert_int_equal(counts[ERR_BUSY], 0); /* from the loop only */
    assert_int_equal(store_queued(f->store), STORE_QUEUE_JOBS_MAX);
    while (counts[ERR_OK] < STORE_QUEUE_JOBS_MAX || counts[ERR_BUSY] < 2)
        loop_turn(f->loop, true);
    assert_int_equal(counts[ERR_OK], STORE_QUEUE_JOBS_MAX);
    assert_int_equal(counts[ERR_BUSY], 2);
    assert_int_equal(fx_kv_get(f, "k"), ERR_OK);
    assert_string_equal(f->value, "v");
    assert_int_equal(f->expires_ms, STORE_QUEUE_JOBS_MAX - 1);
}

/* --- callbacks --- */
struct chain {
    struct fixture *f;
    int left;
};

static void go_on(void *arg, const struct err *e)
{
    struct chain *c = arg;
    assert_int_equal(e->code, ERR_OK);
    if (c->left-- > 0)
        store_kv_put(c->f->store, "web", "k", "v", 0, go_on, c);
}

static void test_calls_from_a_callback(void **state)
{
    struct fixture *f = *state;
    struct chain c = { f, 20 };
    go_on(&c, &(const struct err)ERR_INIT);
    while (c.left >= 0)
        loop_turn(f->loop, true);
    store_kv_put(f->store, "web", "k", "nobody asks", 0, NULL, NULL);
    assert_int_equal(fx_kv_get(f, "k"), ERR_OK);
    assert_string_equal(f->value, "nobody asks");
}

/* --- closing --- */
static void never_called(void *arg, const struct store_accepted *r, const struct err *e)
{
    (void)arg;
    (void)r;
    (void)e;
    fail_msg("called back after store_close");
}

static void test_close_finishes_what_waits(void **state)
{
    struct fixture *f = *state;
    for (int64_t seq = 1; seq <= 2000; seq++)
        submit_message(f, seq, never_called, NULL);
    store_close(&f->store);
    assert_null(f->store);
    loop_turn(f->loop, false); /* what was posted finds nobody */
    store_close(&f->store);    /* NULL-safe */
    fx_open(f);
    assert_int_equal(fx_load(f, "x", 5000), ERR_OK);
    assert_int_equal(f->n, 2000);
}

static void test_close_with_results_not_fetched(void **state)
{
    struct fixture *f = *state;
    int64_t jobs = metric_get(METRIC_STORE_JOBS);
    submit_message(f, 1, never_called, NULL);
    while (metric_get(METRIC_STORE_JOBS) == jobs)
        sched_yield();
    store_close(&f->store);
    loop_turn(f->loop, false);
    assert_int_equal(metric_get(METRIC_STORE_QUEUE), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_callbacks_keep_the_order_of_the_calls),
        TEST(test_a_failing_job_fails_alone),
        TEST(test_a_batch_is_one_commit),
        TEST(test_another_process_holds_the_lock),
        TEST(test_full_queue),
        TEST(test_calls_from_a_callback),
        TEST(test_close_finishes_what_waits),
        TEST(test_close_with_results_not_fetched),
    };
    return cmocka_run_group_tests_name("store_worker", tests, NULL, NULL);
}
