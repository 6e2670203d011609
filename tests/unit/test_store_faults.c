/* A conversation of the store, with each operation on the disk failing once, and
 * with all failing from it on: full, broken, or writing the half. What was
 * promised is there afterwards, also when the power fails on top of it; the
 * rest is as if it had never been asked for; and the store goes on by itself. */
#include "tests/unit/store_fixture.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/disk_vfs.h"

#define QUESTIONS 6
#define TEXT_BYTES 3000 /* so that a message needs pages of its own */
#define MEMORY_DIR "/dev/shm"
#define EVERY 17         /* of the operations; STORE_FAULTS_EVERY says otherwise */

/* What the store said of question n, which stands at 2n + 1, its answer at 2n + 2. */
struct told {
    bool accepted, finished, sent;
    bool sending; /* it was asked to note that */
};

struct talk {
    struct fixture *f;
    struct told told[QUESTIONS];
    int errors;
};

static char text[TEXT_BYTES];

/* --- the conversation --- */
/* An error is one of the disk's, and says which file it is about. */
static bool ok(struct talk *t, enum err_code code, const struct err *e)
{
    if (!code)
        return true;
    t->errors++;
    if (code != ERR_FULL && code != ERR_IO)
        fail_msg("%s: %s", err_name(code), e->text);
    assert_non_null(strstr(e->text, t->f->dir));
    return false;
}

static bool open_store(struct talk *t)
{
    struct err e = ERR_INIT;
    return ok(t, store_open(t->f->loop, t->f->dir, true, &t->f->store, &e), &e);
}

static void ask_and_answer(struct talk *t, int n)
{
    struct fixture *f = t->f;
    char id[16];
    snprintf(id, sizeof id, "m%d", n);
    struct store_msg m = fx_person(2 * n + 1, "ann", id);
    m.text = text;
    t->told[n].accepted = ok(t, fx_accept_msg(f, "x", &m), &f->err);
    if (!t->told[n].accepted)
        return;
    t->told[n].finished = ok(t, fx_finish_parts(f, f->accepted.channel_id, 2 * n + 1, STORE_ANSWERED, 2 * n + 2, 1), &f->err);
    if (!t->told[n].finished || !ok(t, fx_out_list(f, 0, 100), &f->err) || !f->n)
        return;
    t->told[n].sending = true;
    t->told[n].sent = ok(t, fx_out_sent(f, f->outs[f->n - 1].id, "there"), &f->err);
}

static void live(struct talk *t, int from, int to)
{
    if (!open_store(t))
        return;
    for (int n = from; n < to; n++) {
        ask_and_answer(t, n);
        ok(t, fx_kv_put(t->f, "key", "value", 0), &t->f->err);
        ok(t, fx_load(t->f, "x", 2), &t->f->err);
        ok(t, fx_beat(t->f), &t->f->err);
    }
    store_close(&t->f->store);
}

/* --- what is left --- */
/* A question's row, its answer's, its outcome, and its rows in the outbox; for each question. */
static const char states[] =
    "WITH RECURSIVE q(n) AS (VALUES (0) UNION ALL SELECT n + 1 FROM q WHERE n < 5) "
    "SELECT group_concat((SELECT count(*) FROM message WHERE seq = 2 * n + 1) || (SELECT count(*) FROM message WHERE seq = 2 * n + 2)"
    " || coalesce((SELECT outcome FROM message WHERE seq = 2 * n + 1), 0) || (SELECT count(*) FROM outbox WHERE turn = 2 * n + 1), '')"
    " FROM q";
#define STATE_DIGITS 4

/* What is broken of the promise, or NULL. */
static const char *broken(const char *state, const struct told *told)
{
    bool here = state[0] == '1', answered = state[1] == '1', waits = state[3] == '1';
    if (told->accepted && !here)
        return "a question is lost";
    if (told->finished && !answered)
        return "an answer is lost";
    if ((answered && !here) || state[2] - '0' != (answered ? STORE_ANSWERED : STORE_PENDING))
        return "question, outcome and answer do not fit together";
    if (waits && (told->sent || !answered))
        return "something is sent again";
    return answered && !told->sending && !waits ? "something is not sent" : NULL;
}

static const char *first_broken(struct fixture *f, const struct talk *t)
{
    fx_open(f);
    assert_string_equal(fx_sql(f, "PRAGMA integrity_check"), "ok");
    const char *found = fx_sql(f, states), *what = NULL;
    assert_int_equal(strlen(found), QUESTIONS * STATE_DIGITS);
    for (int n = 0; n < QUESTIONS && !what; n++)
        what = broken(found + (ptrdiff_t)n * STATE_DIGITS, &t->told[n]);
    store_close(&f->store);
    return what;
}

/* On another disk, as the power cut left it. */
static const char *broken_by_power_cut(const struct talk *t, unsigned seed)
{
    void *other;
    fx_setup_shut(&other);
    struct fixture *after = other;
    assert_int_equal(mkdir(after->dir, 0700), 0);
    disk_power_cut(t->f->dir, after->dir, seed);
    const char *what = first_broken(after, t);
    fx_teardown(&other);
    return what;
}

static void assert_kept(const char *what)
{
    if (what)
        fail_msg("%s", what);
}

static void assert_goes_on(struct talk *t)
{
    struct fixture *f = t->f;
    fx_open(f);
    for (int n = 0; n < QUESTIONS; n++) {
        char id[16];
        snprintf(id, sizeof id, "m%d", n);
        struct store_msg m = fx_person(2 * n + 1, "ann", id);
        assert_int_equal(fx_accept_msg(f, "x", &m), ERR_OK);
        assert_true(f->accepted.duplicate || !t->told[n].accepted);
    }
    store_close(&f->store);
}

/* --- one after the other --- */
#define KINDS_MAX 16

static const char *kinds[KINDS_MAX]; /* of operations that failed */
static size_t n_kinds;

static void note_kind(const char *what)
{
    for (size_t i = 0; i < n_kinds; i++)
        if (strcmp(kinds[i], what) == 0)
            return;
    assert_true(n_kinds < KINDS_MAX);
    kinds[n_kinds++] = what;
}

/* Returns how many operations there were. */
static int run_with(enum disk_fault fault, int at, bool for_good, int *errors)
{
    void *state;
    disk_install();
    fx_setup_shut(&state);
    struct talk t = { .f = state };
    disk_fail_at(fault, at, for_good);
    live(&t, 0, QUESTIONS / 2);
    live(&t, QUESTIONS / 2, QUESTIONS);
    int operations = disk_operations();
    if (disk_failed())
        note_kind(disk_failed());
    disk_fail_at(fault, -1, false);
    *errors += t.errors;
    assert_kept(broken_by_power_cut(&t, (unsigned)at));
    assert_kept(first_broken(t.f, &t));
    assert_goes_on(&t);
    fx_teardown(&state);
    disk_remove();
    return operations;
}

static void fail_at_each(enum disk_fault fault, bool for_good)
{
    const char *say = getenv("STORE_FAULTS_EVERY");
    int every = say ? (int)strtol(say, NULL, 10) : EVERY, errors = 0, runs = 0;
    int operations = run_with(fault, -1, false, &errors);
    assert_int_equal(errors, 0);
    int first = ((int)fault * 2 + for_good) * (EVERY / 6) % every; /* each way of failing at operations of its own */
    for (int at = first; at < operations; at += every, runs++)
        run_with(fault, at, for_good, &errors);
    print_message("%d operations, %d runs, %d calls of the store failed\n", operations, runs, errors);
    assert_true(runs > 5 && errors > runs / 4);
}

static void test_full_once(void **state)
{
    (void)state;
    fail_at_each(DISK_IS_FULL, false);
}

static void test_full_from_there_on(void **state)
{
    (void)state;
    fail_at_each(DISK_IS_FULL, true);
}

static void test_fails_once(void **state)
{
    (void)state;
    fail_at_each(DISK_FAILS, false);
}

static void test_fails_from_there_on(void **state)
{
    (void)state;
    fail_at_each(DISK_FAILS, true);
}

static void test_tears_once(void **state)
{
    (void)state;
    fail_at_each(DISK_TEARS, false);
}

static void test_tears_from_there_on(void **state)
{
    (void)state;
    fail_at_each(DISK_TEARS, true);
}

/* That all this would notice a loss: a disk that only says it synced. */
static void test_a_lying_disk_is_seen(void **state)
{
    (void)state;
    void *fixture;
    disk_install();
    fx_setup_shut(&fixture);
    struct talk t = { .f = fixture };
    live(&t, 0, QUESTIONS / 2);
    assert_kept(broken_by_power_cut(&t, 1));
    assert_true(open_store(&t));
    disk_fail_at(DISK_LIES, 0, true);
    ask_and_answer(&t, QUESTIONS / 2);
    assert_string_equal(broken_by_power_cut(&t, 1), "a question is lost");
    fx_teardown(&fixture);
    disk_remove();
}

static void test_all_kinds_were_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_kinds; i++)
        print_message("failed: %s\n", kinds[i]);
    assert_true(n_kinds >= 6);
}

int main(void)
{
    if (access(MEMORY_DIR, W_OK) == 0) /* nothing of this needs a disk */
        setenv("TMPDIR", MEMORY_DIR, 0);
    memset(text, 'x', sizeof text - 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_once),  cmocka_unit_test(test_full_from_there_on),
        cmocka_unit_test(test_fails_once), cmocka_unit_test(test_fails_from_there_on),
        cmocka_unit_test(test_tears_once), cmocka_unit_test(test_tears_from_there_on),
        cmocka_unit_test(test_all_kinds_were_there), cmocka_unit_test(test_a_lying_disk_is_seen),
    };
    return cmocka_run_group_tests_name("store_faults", tests, NULL, NULL);
}
