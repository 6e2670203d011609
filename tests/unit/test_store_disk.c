/* The store on a disk that is full, fails, or loses power. */
#include "tests/unit/store_fixture.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plugin/base/metric.h"
#include "plugin/store/schema.h"
#include "tests/unit/disk_vfs.h"

static int setup(void **state)
{
    disk_install();
    return fx_setup(state);
}

static int teardown(void **state)
{
    disk_fill_at(-1);
    disk_break_at(-1);
    int rc = fx_teardown(state);
    disk_remove();
    return rc;
}

/* --- a full disk --- */
static void test_full_disk_refuses_and_recovers(void **state)
{
    struct fixture *f = *state;
    int64_t channel = fx_accept_ok(f, "x", 1), errors = metric_get(METRIC_STORE_ERRORS);
    struct store_msg m = fx_person(2, "ann", "m2");
    disk_fill_at(0);
    assert_int_equal(fx_accept_msg(f, "x", &m), ERR_FULL);
    assert_non_null(strstr(f->err.text, "disk full"));
    assert_non_null(strstr(f->err.text, f->dir));
    assert_int_equal(fx_beat(f), ERR_FULL);
    assert_int_equal(metric_get(METRIC_STORE_ERRORS) - errors, 2);
    assert_int_equal(fx_load(f, "x", 10), ERR_OK); /* reading goes on */
    assert_int_equal(f->n, 1);
    assert_int_equal(fx_finish_with(f, channel, 1, STORE_ANSWERED, 3), ERR_FULL);

    disk_fill_at(-1);
    assert_int_equal(fx_beat(f), ERR_OK);
    assert_int_equal(fx_accept_msg(f, "x", &m), ERR_OK);
    assert_false(f->accepted.duplicate);
    assert_int_equal(fx_finish_with(f, channel, 1, STORE_ANSWERED, 3), ERR_OK);
    fx_reopen(f);
    assert_int_equal(fx_load(f, "x", 10), ERR_OK);
    assert_int_equal(f->n, 3);
}

/* --- who watches --- */
struct watch {
    enum err_code code; /* as told last */
    int told;
    char text[ERR_TEXT_BYTES];
};

static void note_change(void *arg, const struct err *e)
{
    struct watch *w = arg;
    w->code = e->code;
    w->told++;
    snprintf(w->text, sizeof w->text, "%s", e->text);
}

/* The watcher knows before who asked does, and is told once. */
static void test_watcher_hears_at_once(void **state)
{
    struct fixture *f = *state;
    struct watch w = { 0 };
    store_watch(f->store, note_change, &w);
    int64_t channel = fx_accept_ok(f, "x", 1);
    assert_int_equal(fx_finish_with(f, channel, 9, STORE_ANSWERED, 10), ERR_NOT_FOUND);
    struct store_msg m = fx_person(0, "ann", "m0");
    assert_int_equal(fx_accept_msg(f, "x", &m), ERR_INVALID);
    assert_int_equal(w.told, 0); /* these are not the store's fault */

    disk_fill_at(0);
    m = fx_person(2, "ann", "m2");
    assert_int_equal(fx_accept_msg(f, "x", &m), ERR_FULL);
    assert_int_equal(w.code, ERR_FULL);
    assert_non_null(strstr(w.text, "disk full"));
    assert_int_equal(fx_finish_with(f, channel, 1, STORE_ANSWERED, 3), ERR_FULL);
    assert_int_equal(fx_beat(f), ERR_FULL);
    assert_int_equal(fx_load(f, "x", 10), ERR_OK); /* reading proves nothing */
    assert_int_equal(fx_kv_get(f, "k"), ERR_OK);
    assert_int_equal(w.told, 1);

    disk_fill_at(-1);
    assert_int_equal(fx_kv_put(f, "none", NULL, 0), ERR_OK); /* neither does what changes nothing */
    assert_int_equal(fx_finish_with(f, channel, 9, STORE_ANSWERED, 10), ERR_NOT_FOUND);
    assert_int_equal(w.told, 1);
    assert_int_equal(fx_accept_msg(f, "x", &m), ERR_OK);
    assert_int_equal(w.code, ERR_OK);
    assert_int_equal(w.told, 2);

    disk_fill_at(0);
    assert_int_equal(fx_beat(f), ERR_FULL);
    assert_int_equal(w.told, 3);
    disk_fill_at(-1);
    disk_break_at(0);
    assert_int_equal(fx_finish_with(f, channel, 1, STORE_ANSWERED, 3), ERR_IO); /* another failure is news */
    assert_int_equal(w.code, ERR_IO);
    assert_int_equal(w.told, 4);
    disk_break_at(-1);
    assert_int_equal(fx_beat(f), ERR_OK);
    assert_int_equal(w.code, ERR_OK);
    assert_int_equal(w.told, 5);
}

/* What a failed commit raised is raised by the next one. */
static void test_seq_limit_after_a_failed_commit(void **state)
{
    struct fixture *f = *state;
    int64_t channel = fx_accept_ok(f, "x", 1);
    disk_fill_at(0);
    assert_int_equal(fx_finish_with(f, channel, 1, STORE_ANSWERED, 300), ERR_FULL);
    disk_fill_at(-1);
    assert_int_equal(fx_finish_with(f, channel, 1, STORE_ANSWERED, 300), ERR_OK);
    assert_int_equal(fx_load(f, "x", 1), ERR_OK);
    assert_int_equal(f->channel.seq_limit, 300);
}

/* --- full at any moment --- */
#define ROUNDS 8
#define ROUND_JOBS 60 /* more than the log takes with one write */

struct tally {
    int calls, ok, full, other;
    bool accepted[ROUNDS * ROUND_JOBS + 1]; /* by seq */
};

struct one {
    struct tally *tally;
    int64_t seq; /* 0: a read */
};

static void count(struct one *one, const struct err *e)
{
    struct tally *t = one->tally;
    t->calls++;
    t->ok += e->code == ERR_OK;
    t->full += e->code == ERR_FULL;
    t->other += e->code != ERR_OK && e->code != ERR_FULL;
    if (one->seq)
        t->accepted[one->seq] = e->code == ERR_OK;
    else
        assert_int_equal(e->code, ERR_OK);
}

static void count_accepted(void *arg, const struct store_accepted *r, const struct err *e)
{
    (void)r;
    count(arg, e);
}

static void count_loaded(void *arg, const struct store_loaded *r, const struct err *e)
{
    (void)r;
    count(arg, e);
}


/* Rounds of messages large enough to need new pages, with a read in each. */
static void fill_with_messages(struct fixture *f, struct tally *t)
{
    static char text[3000];
    memset(text, 'x', sizeof text - 1);
    struct one ones[ROUND_JOBS];
    for (int64_t seq = 1; seq <= ROUNDS * ROUND_JOBS; seq++) {
        char id[32];
        snprintf(id, sizeof id, "m%" PRId64, seq);
        struct one *one = &ones[seq % ROUND_JOBS];
        *one = (struct one){ t, seq % ROUND_JOBS ? seq : 0 };
        struct store_accept a = { .account = "web", .channel = "web:x", .msg = fx_person(seq, "ann", id) };
        a.msg.text = text;
        if (one->seq)
            store_accept(f->store, &a, count_accepted, one);
        else
            store_load(f->store, "web", "web:x", 5, count_loaded, one);
        if (seq % ROUND_JOBS == 0)
            while (t->calls < seq)
                loop_turn(f->loop, true);
    }
}

static void assert_holds_what_was_accepted(struct fixture *f, const struct tally *t)
{
    assert_int_equal(fx_load(f, "x", 1000), ERR_OK);
    size_t n = 0;
    for (int64_t seq = 1; seq <= ROUNDS * ROUND_JOBS; seq++)
        if (t->accepted[seq])
            assert_int_equal(f->msgs[n++].seq, seq);
    assert_int_equal(f->n, n);
}

/* The disk gets full at each write there is, one after the other. */
static void test_full_at_every_write(void **state)
{
    struct fixture *f = *state;
    int full_somewhere = 0;
    for (int at = 0;; at++) {
        struct tally t = { 0 };
        disk_fill_at(at);
        fill_with_messages(f, &t);
        int needed = disk_writes();
        disk_fill_at(-1);
        assert_int_equal(t.other, 0);
        full_somewhere += t.full > 0;
        assert_holds_what_was_accepted(f, &t);
        store_close(&f->store);
        assert_int_equal(unlink(fx_path(f, "warbler.db")), 0);
        disk_remove();
        disk_install();
        fx_open(f);
        if (needed <= at)
            break;
    }
    assert_true(full_somewhere > 20);
}

/* Some two hundred pages, each with a header, and a checkpoint less. */
static void test_commit_is_few_writes(void **state)
{
    struct fixture *f = *state;
    struct tally t = { 0 };
    int64_t commits = metric_get(METRIC_STORE_COMMITS);
    disk_fill_at(-1);
    fill_with_messages(f, &t);
    commits = metric_get(METRIC_STORE_COMMITS) - commits;
    assert_int_equal(t.ok, ROUNDS * ROUND_JOBS);
    assert_in_range(disk_writes(), commits, 4 * commits);
}

/* With the tables of a first version, or with nothing. */
static void lay_down(struct fixture *f, bool old)
{
    sqlite3 *db;
    unlink(fx_path(f, "warbler.db"));
    unlink(fx_path(f, "warbler.db-wal"));
    if (!old)
        return;
    assert_int_equal(sqlite3_open(fx_path(f, "warbler.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, schema_steps[0], NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 1", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* How many of the writes that an opening needs can fail it. */
static int open_on_a_full_disk(struct fixture *f, bool old)
{
    int refused = 0, needed = 1;
    for (int at = 0; at < needed; at++) {
        struct err e = ERR_INIT;
        disk_remove();
        disk_install();
        lay_down(f, old);
        disk_fill_at(at);
        enum err_code code = store_open(f->loop, f->dir, true, &f->store, &e);
        if (code) {
            assert_int_equal(code, ERR_FULL);
            refused++;
        }
        needed = disk_writes() + 1;
        disk_fill_at(-1);
        store_close(&f->store);
        fx_open(f); /* over whatever the try left behind */
        fx_accept_ok(f, "x", 1);
        store_close(&f->store);
    }
    return refused;
}

static void test_full_while_opening(void **state)
{
    struct fixture *f = *state;
    store_close(&f->store);
    assert_true(open_on_a_full_disk(f, false) > 1);
    assert_true(open_on_a_full_disk(f, true) > 5);
}

/* --- a disk that fails --- */
static void test_failing_sync(void **state)
{
    struct fixture *f = *state;
    fx_accept_ok(f, "x", 1);
    struct store_msg m = fx_person(2, "ann", "m2");
    disk_break_at(0);
    assert_int_equal(fx_accept_msg(f, "x", &m), ERR_IO);
    assert_non_null(strstr(f->err.text, "the disk fails"));
    assert_int_equal(fx_beat(f), ERR_IO);
    disk_break_at(-1);
    assert_int_equal(fx_beat(f), ERR_OK);
    assert_int_equal(fx_load(f, "x", 10), ERR_OK);
    assert_int_equal(f->n, 1);
    assert_int_equal(fx_accept_msg(f, "x", &m), ERR_OK);
    assert_false(f->accepted.duplicate);
    fx_reopen(f);
    assert_int_equal(fx_load(f, "x", 10), ERR_OK);
    assert_int_equal(f->n, 2);
}

static void test_every_acknowledged_write_was_synced(void **state)
{
    struct fixture *f = *state;
    disk_break_at(-1);
    for (int64_t seq = 1; seq <= 20; seq++) {
        int before = disk_syncs();
        fx_accept_ok(f, "x", seq);
        assert_true(disk_syncs() > before);
    }
    int before = disk_syncs();
    assert_int_equal(fx_load(f, "x", 10), ERR_OK);
    assert_int_equal(disk_syncs(), before); /* reading costs none */
}

/* --- a power cut --- */
struct journal {
    int64_t accepted, finished; /* the highest numbers told */
};

static void note_accepted(void *arg, const struct store_accepted *r, const struct err *e)
{
    assert_int_equal(e->code, ERR_OK);
    ((struct journal *)arg)->accepted = r->seq;
}

static void note_finished(void *arg, const struct err *e)
{
    assert_int_equal(e->code, ERR_OK);
    *(int64_t *)arg += 1;
}

#define CUTS 40
#define CUT_STEPS_MAX 300

/* Channel 1 is the only one: message n is asked and answered at once, at 2n - 1 and 2n. */
static void step(struct fixture *f, struct journal *j, int64_t n)
{
    char id[32];
    static char text[900];
    memset(text, 'x', sizeof text - 1);
    snprintf(id, sizeof id, "m%" PRId64, n);
    struct store_accept a = { .account = "web", .channel = "web:x", .msg = fx_person(2 * n - 1, "ann", id) };
    a.msg.text = text;
    store_accept(f->store, &a, note_accepted, j);
    struct store_msg answer = { .seq = 2 * n, .kind = STORE_BOT, .id = "b", .text = text };
    struct store_finish finish = { .channel_id = 1, .lead = 2 * n - 1, .outcome = STORE_ANSWERED, .answer = &answer };
    store_finish(f->store, &finish, note_finished, &j->finished);
}

static void assert_survived(struct fixture *after, const struct journal *j)
{
    fx_open(after);
    assert_string_equal(fx_sql(after, "PRAGMA integrity_check"), "ok");
    assert_int_equal(fx_load(after, "x", 2 * CUT_STEPS_MAX), ERR_OK);
    int64_t asked = 0, answered = 0;
    for (size_t i = 0; i < after->n; i++) {
        const struct store_msg *m = &after->msgs[i];
        assert_int_equal(m->seq, i + 1); /* and none is missing between them */
        asked = m->kind == STORE_PERSON ? m->seq : asked;
        answered += m->kind == STORE_BOT;
    }
    assert_true(asked >= j->accepted);
    assert_true(answered >= j->finished);
}

static void test_power_cut(void **state)
{
    struct fixture *f = *state;
    struct journal j = { 0 };
    unsigned seed = 20240501;
    int64_t n = 0;
    for (int cut = 0; cut < CUTS; cut++) {
        int64_t until = n + 1 + rand_r(&seed) % (CUT_STEPS_MAX / CUTS);
        while (n < until) {
            step(f, &j, ++n);
            loop_turn(f->loop, false);
        }
        int64_t told = j.accepted;
        while (told == j.accepted && told < 2 * n - 1) /* let some be told, leave some under way */
            loop_turn(f->loop, true);
        void *other;
        fx_setup_shut(&other);
        struct fixture *after = other;
        assert_int_equal(mkdir(after->dir, 0700), 0);
        disk_power_cut(f->dir, after->dir, seed);
        assert_survived(after, &j);
        fx_teardown(&other);
    }
    assert_true(j.accepted > CUTS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_full_disk_refuses_and_recovers),
        TEST(test_watcher_hears_at_once),
        TEST(test_seq_limit_after_a_failed_commit),
        TEST(test_full_at_every_write),
        TEST(test_commit_is_few_writes),
        TEST(test_full_while_opening),
        TEST(test_failing_sync),
        TEST(test_every_acknowledged_write_was_synced),
        TEST(test_power_cut),
    };
    return cmocka_run_group_tests_name("store_disk", tests, NULL, NULL);
}
