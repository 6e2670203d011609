/* store.h's history, pruning, facts and sign of life, over a real file. */
#include "tests/unit/store_fixture.h"

#include <stdio.h>

#include "plugin/base/clock.h"

static void assert_seqs(const struct fixture *f, const int64_t *seqs, size_t n)
{
    assert_int_equal(f->n, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(f->msgs[i].seq, seqs[i]);
}
#define ASSERT_SEQS(f, ...)                                      \
    do {                                                         \
        const int64_t seqs_[] = { __VA_ARGS__ };                 \
        assert_seqs(f, seqs_, sizeof seqs_ / sizeof *seqs_);     \
    } while (0)

/* --- reading back --- */
static void test_load(void **state)
{
    struct fixture *f = *state;
    int64_t channel = 0;
    for (int64_t seq = 1; seq <= 9; seq += 2) {
        channel = fx_accept_ok(f, "x", seq);
        if (seq != 3)
            assert_int_equal(fx_finish_with(f, channel, seq, STORE_ANSWERED, seq + 1), ERR_OK);
    }
    assert_int_equal(fx_load(f, "x", 100), ERR_OK);
    ASSERT_SEQS(f, 1, 2, 3, 5, 6, 7, 8, 9, 10);
    assert_int_equal(fx_load(f, "x", 3), ERR_OK);
    ASSERT_SEQS(f, 3, 8, 9, 10);
    assert_int_equal(fx_load(f, "x", 0), ERR_OK);
    ASSERT_SEQS(f, 3);
    assert_int_equal(fx_load(f, "x", -1), ERR_OK);
    ASSERT_SEQS(f, 3);

    struct store_channel c = { .id = channel, .reset_seq = 8 };
    assert_int_equal(fx_channel_put(f, &c), ERR_OK);
    assert_int_equal(fx_load(f, "x", 100), ERR_OK);
    ASSERT_SEQS(f, 3, 9, 10);
    assert_int_equal(fx_load(f, "x", 1), ERR_OK);
    ASSERT_SEQS(f, 3, 10);

    assert_int_equal(fx_load(f, "unknown", 10), ERR_OK);
    assert_int_equal(f->channel.id, 0);
    assert_int_equal(f->n, 0);
}

static void test_history(void **state)
{
    struct fixture *f = *state;
    int64_t channel = 0;
    for (int64_t seq = 1; seq <= 4; seq++)
        channel = fx_accept_ok(f, "x", seq);
    fx_accept_ok(f, "y", 3);
    assert_int_equal(fx_finish_with(f, channel, 1, STORE_ANSWERED, 5), ERR_OK);
    assert_int_equal(fx_history(f, channel, 0, 100), ERR_OK);
    ASSERT_SEQS(f, 1, 2, 3, 4, 5);
    assert_int_equal(fx_history(f, channel, 2, 2), ERR_OK);
    ASSERT_SEQS(f, 3, 4);
    static const struct {
        int64_t after;
        int limit;
    } empty[] = { { 5, 10 }, { 0, 0 }, { 0, -1 } };
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        assert_int_equal(fx_history(f, channel, empty[i].after, empty[i].limit), ERR_OK);
        assert_int_equal(f->n, 0);
    }
}

/* --- what was answered at once --- */
static void assert_answers(const struct store_msg *m, const char *const *ids)
{
    size_t n = 0;
    for (; ids[n]; n++) {
        assert_non_null(m->answers);
        assert_string_equal(m->answers[n], ids[n]);
    }
    assert_null(m->answers ? m->answers[n] : NULL);
}
#define ASSERT_ANSWERS(m, ...) assert_answers(m, (const char *const[]){ __VA_ARGS__, NULL })

/* Answers `seqs` at once with the message `answer`; the last one leads. */
static void finish_merged(struct fixture *f, int64_t channel, const int64_t *seqs, size_t n, enum store_outcome outcome,
                          int64_t answer)
{
    char lead[32];
    snprintf(lead, sizeof lead, "m%lld", (long long)seqs[n - 1]);
    struct store_msg m = { .seq = answer, .time_ms = 1000 * answer, .kind = STORE_BOT, .id = "b", .reply_to = lead, .text = "x" };
    struct store_finish in = { .channel_id = channel, .lead = seqs[n - 1], .outcome = outcome, .answer = &m };
    assert_int_equal(fx_turn_of(f, channel, seqs[n - 1], seqs, n, NULL, 0), ERR_OK);
    assert_int_equal(fx_finish_full(f, &in), ERR_OK);
}
#define FINISH_MERGED(f, channel, outcome, answer, ...)                                                   \
    finish_merged(f, channel, (const int64_t[]){ __VA_ARGS__ },                                           \
                  sizeof((const int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t), outcome, answer)

static void test_history_tells_what_was_answered_at_once(void **state)
{
    struct fixture *f = *state;
    int64_t channel = 0;
    for (int64_t seq = 1; seq <= 7; seq++)
        channel = fx_accept_ok(f, "x", seq);
    fx_accept_ok(f, "y", 2); /* numbers mean nothing elsewhere */
    fx_accept_ok(f, "y", 3);
    FINISH_MERGED(f, channel, STORE_ANSWERED, 8, 1);
    FINISH_MERGED(f, channel, STORE_ANSWERED, 9, 2, 3, 4);
    FINISH_MERGED(f, channel, STORE_NOTICED, 10, 5, 6);
    FINISH_MERGED(f, f->accepted.channel_id, STORE_ANSWERED, 9, 2, 3);
    fx_reopen(f);
    for (int64_t after = 0; after <= 9; after += 3) { /* whether the questions are on the page or not */
        assert_int_equal(fx_history(f, channel, after, 100), ERR_OK);
        assert_int_equal(f->n, 10 - after);
        for (size_t i = 0; i < f->n; i++)
            if (f->msgs[i].seq == 9)
                ASSERT_ANSWERS(&f->msgs[i], "m2", "m3", "m4");
            else if (f->msgs[i].seq == 10)
                ASSERT_ANSWERS(&f->msgs[i], "m5", "m6");
            else
                assert_null(f->msgs[i].answers);
    }
    for (int64_t seq = 2; seq <= 4; seq++) {
        assert_int_equal(fx_answer_to(f, channel, seq), ERR_OK);
        ASSERT_ANSWERS(f->msgs, "m2", "m3", "m4");
    }
    assert_int_equal(fx_answer_to(f, channel, 1), ERR_OK);
    assert_null(f->msgs->answers);
    assert_int_equal(fx_answer_to(f, channel, 7), ERR_OK);
    assert_int_equal(f->n, 0);
}

/* A dead letter that is tried again gets an answer of its own; and dead letters
 * outlive the notice about them. */
static void test_answers_to_dead_letters(void **state)
{
    struct fixture *f = *state;
    int64_t channel = 0;
    for (int64_t seq = 1; seq <= 3; seq++)
        channel = fx_accept_ok(f, "x", seq);
    FINISH_MERGED(f, channel, STORE_DEAD, 4, 1, 2, 3);
    assert_int_equal(fx_queue_list(f, 10), ERR_OK);
    assert_int_equal(f->n, 3);
    assert_int_equal(fx_on_row(f, store_queue_retry, f->items[2].id), ERR_OK); /* the one that led */
    FINISH_MERGED(f, channel, STORE_ANSWERED, 5, 3);
    assert_int_equal(fx_history(f, channel, 3, 10), ERR_OK);
    ASSERT_SEQS(f, 4, 5);
    ASSERT_ANSWERS(&f->msgs[0], "m1", "m2", "m3");
    assert_null(f->msgs[1].answers);
    store_close(&f->store);
    fx_sql(f, "DELETE FROM message WHERE seq = 4"); /* as pruning does */
    fx_open(f);
    assert_int_equal(fx_history(f, channel, 0, 10), ERR_OK);
    ASSERT_SEQS(f, 1, 2, 3, 5);
    assert_null(f->msgs[3].answers);
}

static void test_pending_counts_tries(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fx_pending(f), ERR_OK);
    assert_int_equal(f->n, 0);
    int64_t channel = fx_accept_ok(f, "x", 1);
    fx_accept_ok(f, "x", 2);
    fx_accept_ok(f, "y", 5);
    struct store_msg context = fx_person(9, "ann", "m9");
    context.outcome = STORE_SILENT;
    assert_int_equal(fx_accept_msg(f, "z", &context), ERR_OK);

    assert_int_equal(fx_pending(f), ERR_OK);
    assert_int_equal(fx_pending(f), ERR_OK);
    assert_int_equal(f->n, 2);
    assert_string_equal(f->pendings[0].account, "web");
    assert_string_equal(f->pendings[0].channel, "web:x");
    assert_int_equal(f->pendings[0].seq, 1);
    assert_int_equal(f->pendings[0].tries, 2);
    assert_string_equal(f->pendings[1].channel, "web:y");
    assert_int_equal(f->pendings[1].seq, 5);

    assert_int_equal(fx_finish_with(f, channel, 1, STORE_ANSWERED, 3), ERR_OK);
    assert_int_equal(fx_pending(f), ERR_OK);
    assert_int_equal(f->pendings[0].seq, 2);
    assert_int_equal(f->pendings[0].tries, 1); /* each message's tries are its own */
    assert_int_equal(f->pendings[1].tries, 3);
}

static void test_channel_settings(void **state)
{
    struct fixture *f = *state;
    struct store_channel c = { .id = fx_accept_ok(f, "x", 1), .muted = true, .reset_seq = 3, .model = "m", .prompt = "p\n",
                               .summary = "s", .summary_seq = 2, .pins = "- a\n- b" };
    assert_int_equal(fx_channel_put(f, &c), ERR_OK);
    fx_reopen(f);
    assert_int_equal(fx_load(f, "x", 1), ERR_OK);
    assert_true(f->channel.muted);
    assert_int_equal(f->channel.reset_seq, 3);
    assert_string_equal(f->channel.model, "m");
    assert_string_equal(f->channel.prompt, "p\n");
    assert_string_equal(f->channel.summary, "s");
    assert_int_equal(f->channel.summary_seq, 2);
    assert_string_equal(f->channel.pins, "- a\n- b");
    c = (struct store_channel){ .id = c.id };
    assert_int_equal(fx_channel_put(f, &c), ERR_OK);
    assert_int_equal(fx_load(f, "x", 1), ERR_OK);
    assert_false(f->channel.muted);
    assert_null(f->channel.model);
    assert_null(f->channel.prompt);
    assert_null(f->channel.summary);
    assert_int_equal(f->channel.summary_seq, 0);
    assert_null(f->channel.pins);
    c.id = 77;
    assert_int_equal(fx_channel_put(f, &c), ERR_NOT_FOUND);
}

/* --- facts and pruning --- */
static void test_facts(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fx_kv_get(f, "k"), ERR_OK);
    assert_null(f->value);
    assert_int_equal(fx_kv_put(f, "k", "one", 0), ERR_OK);
    assert_int_equal(fx_kv_put(f, "k2", "", 77), ERR_OK);
    assert_int_equal(fx_kv_put(f, "k", "two", 5), ERR_OK);
    fx_reopen(f);
    assert_int_equal(fx_kv_get(f, "k"), ERR_OK);
    assert_string_equal(f->value, "two");
    assert_int_equal(f->expires_ms, 5);
    assert_int_equal(fx_kv_get(f, "k2"), ERR_OK);
    assert_string_equal(f->value, "");
    assert_int_equal(fx_kv_put(f, "k", NULL, 0), ERR_OK);
    assert_int_equal(fx_kv_get(f, "k"), ERR_OK);
    assert_null(f->value);
    assert_int_equal(fx_kv_put(f, "k", NULL, 0), ERR_OK);
}

static void prune_all(struct fixture *f, int64_t before_ms)
{
    do
        assert_int_equal(fx_prune(f, before_ms), ERR_OK);
    while (f->flag);
}

static void test_prune_messages(void **state)
{
    struct fixture *f = *state;
    int64_t channel = 0;
    for (int64_t seq = 1; seq <= 6; seq++) /* at 1000 ms each */
        channel = fx_accept_ok(f, "x", seq);
    fx_accept_ok(f, "y", 2);
    assert_int_equal(fx_finish_with(f, channel, 1, STORE_ANSWERED, 11), ERR_OK);
    assert_int_equal(fx_finish_with(f, channel, 2, STORE_DEAD, 0), ERR_OK);
    assert_int_equal(fx_finish_with(f, channel, 4, STORE_SILENT, 0), ERR_OK);
    assert_int_equal(fx_finish_with(f, channel, 5, STORE_NOTICED, 0), ERR_OK);
    prune_all(f, 1000);
    assert_int_equal(fx_history(f, channel, 0, 100), ERR_OK);
    ASSERT_SEQS(f, 1, 2, 3, 4, 5, 6, 11); /* message 1 is as old as that, not older */
    prune_all(f, 5000);
    assert_int_equal(fx_history(f, channel, 0, 100), ERR_OK);
    ASSERT_SEQS(f, 2, 3, 5, 6, 11); /* dead, pending, young */
    assert_int_equal(fx_answer_to(f, channel, 1), ERR_OK);
    assert_int_equal(f->n, 0);
    prune_all(f, 12000);
    assert_int_equal(fx_history(f, channel, 0, 100), ERR_OK);
    ASSERT_SEQS(f, 2, 3, 6);
    assert_int_equal(fx_load(f, "y", 100), ERR_OK);
    ASSERT_SEQS(f, 2);
    assert_true(f->channel.seq_limit == 2); /* numbers are never given out again */
}

static void test_prune_is_bounded(void **state)
{
    struct fixture *f = *state;
    fx_accept_ok(f, "x", 1);
    assert_int_equal(fx_finish_with(f, f->accepted.channel_id, 1, STORE_SILENT, 0), ERR_OK);
    store_close(&f->store);
    fx_sql(f, "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)"
                   " INSERT INTO message (channel, seq, time_ms, kind, outcome, flags, turn, text)"
                   " SELECT 1, i, i, 2, 0, 0, 0, 'x' FROM n");
    fx_sql(f, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1001)"
                   " INSERT INTO fact (account, key, value, expires_ms) SELECT 'web', i, 'x', 1 FROM n");
    fx_open(f);
    int calls = 1;
    for (; fx_prune(f, 5000) == ERR_OK && f->flag; calls++)
        ;
    assert_int_equal(calls, 3);
    assert_string_equal(fx_sql(f, "SELECT count(*) FROM message"), "0");
    assert_string_equal(fx_sql(f, "SELECT count(*) FROM fact"), "0");
}

static void test_prune_facts(void **state)
{
    struct fixture *f = *state;
    int64_t now = clock_wall_ms();
    fx_kv_put(f, "past", "v", now - 1000);
    fx_kv_put(f, "future", "v", now + 3600000);
    fx_kv_put(f, "ever", "v", 0);
    prune_all(f, 0);
    assert_int_equal(fx_kv_get(f, "past"), ERR_OK);
    assert_null(f->value);
    assert_int_equal(fx_kv_get(f, "future"), ERR_OK);
    assert_non_null(f->value);
    assert_int_equal(fx_kv_get(f, "ever"), ERR_OK);
    assert_non_null(f->value);
}

static void test_beat_sees_other_writers(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fx_beat(f), ERR_OK);
    assert_false(f->flag);
    fx_accept_ok(f, "x", 1);
    assert_int_equal(fx_beat(f), ERR_OK);
    assert_false(f->flag);
    fx_sql(f, "INSERT INTO fact VALUES ('a', 'k', 'v', 0)");
    assert_int_equal(fx_beat(f), ERR_OK);
    assert_true(f->flag);
    assert_int_equal(fx_beat(f), ERR_OK);
    assert_false(f->flag);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_load),
        TEST(test_history),
        TEST(test_history_tells_what_was_answered_at_once),
        TEST(test_answers_to_dead_letters),
        TEST(test_pending_counts_tries),
        TEST(test_channel_settings),
        TEST(test_facts),
        TEST(test_prune_messages),
        TEST(test_prune_is_bounded),
        TEST(test_prune_facts),
        TEST(test_beat_sees_other_writers),
    };
    return cmocka_run_group_tests_name("store_history", tests, NULL, NULL);
}
