/* store.h's journal, over a real file. */
#include "tests/unit/store_fixture.h"

#include <stdlib.h>
#include <string.h>

static void assert_text(const char *got, const char *expected)
{
    if (!expected)
        assert_null(got);
    else
        assert_string_equal(got, expected);
}

static void assert_same_msg(const struct store_msg *m, const struct store_msg *expected)
{
    assert_int_equal(m->seq, expected->seq);
    assert_int_equal(m->time_ms, expected->time_ms);
    assert_int_equal(m->kind, expected->kind);
    assert_int_equal(m->outcome, expected->outcome);
    assert_int_equal(m->flags, expected->flags);
    assert_int_equal(m->turn, expected->turn);
    assert_text(m->id, expected->id);
    assert_text(m->sender, expected->sender);
    assert_text(m->name, expected->name);
    assert_text(m->reply_to, expected->reply_to);
    assert_text(m->lang, expected->lang);
    assert_text(m->text, expected->text);
    assert_text(m->finish, expected->finish);
    assert_text(m->usage, expected->usage);
}

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

/* --- accepting --- */
static void test_accept_keeps_all_members(void **state)
{
    struct fixture *f = *state;
    struct store_msg m = { .seq = 7,
                           .time_ms = 1700000000123,
                           .kind = STORE_PERSON,
                           .outcome = STORE_SILENT,
                           .flags = STORE_ADDRESSED | STORE_DIRECT,
                           .turn = 3,
                           .id = "id'1",
                           .sender = "ann",
                           .name = "Ann \xE8\x8E\xBA",
                           .reply_to = "b5",
                           .lang = "zh",
                           .text = "line\nline %s" };
    assert_int_equal(fx_accept_msg(f, "x", &m), ERR_OK);
    assert_false(f->accepted.duplicate);
    assert_int_equal(f->accepted.seq, 7);
    assert_int_equal(f->accepted.turn, 3);
    assert_int_equal(f->accepted.outcome, STORE_SILENT);
    fx_reopen(f);
    assert_int_equal(fx_load(f, "x", 10), ERR_OK);
    assert_int_equal(f->n, 1);
    assert_same_msg(f->msgs, &m);
    assert_int_equal(f->channel.id, f->accepted.channel_id);
}

static void test_accept_finds_duplicates(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *chat;
        const char *sender, *id;
        bool duplicate;
    } cases[] = {
        { "x", "ann", "m1", true },
        { "x", "ann", "m2", false },
        { "x", "bob", "m1", false },
        { "y", "ann", "m1", false },
        { "x", "ann", "M1", false },
        { "x", "bob", "m1", true },
        { "x", "ann", "b50", false }, /* the bot's ids are not people's */
    };
    int64_t channel = fx_accept_ok(f, "x", 1);
    assert_int_equal(fx_finish_with(f, channel, 1, STORE_ANSWERED, 50), ERR_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct store_msg m = fx_person(100 + (int64_t)i, cases[i].sender, cases[i].id);
        assert_int_equal(fx_accept_msg(f, cases[i].chat, &m), ERR_OK);
        assert_int_equal(f->accepted.duplicate, cases[i].duplicate);
        if (!cases[i].duplicate)
            assert_int_equal(f->accepted.seq, m.seq);
    }
}

static void test_duplicate_tells_the_first_ones_fate(void **state)
{
    struct fixture *f = *state;
    int64_t channel = fx_accept_ok(f, "x", 1);
    struct store_msg again = fx_person(9, "ann", "m1");
    assert_int_equal(fx_accept_msg(f, "x", &again), ERR_OK);
    assert_true(f->accepted.duplicate);
    assert_int_equal(f->accepted.seq, 1);
    assert_int_equal(f->accepted.turn, 0);
    assert_int_equal(f->accepted.outcome, STORE_PENDING);
    assert_int_equal(f->accepted.channel_id, channel);

    assert_int_equal(fx_finish_with(f, channel, 1, STORE_NOTICED, 2), ERR_OK);
    assert_int_equal(fx_accept_msg(f, "x", &again), ERR_OK);
    assert_true(f->accepted.duplicate);
    assert_int_equal(f->accepted.seq, 1);
    assert_int_equal(f->accepted.turn, 1);
    assert_int_equal(f->accepted.outcome, STORE_NOTICED);
    assert_int_equal(fx_load(f, "x", 10), ERR_OK);
    ASSERT_SEQS(f, 1, 2);
}

static void got_plain(void *arg, const struct store_accepted *r, const struct err *e)
{
    struct fixture *f = arg;
    f->accepted = *r;
    f->err = *e;
    f->waiting = false;
}

static void test_accept_moves_the_position(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *id, *position, *expected;
    } cases[] = {
        { "m1", NULL, NULL },
        { "m2", "p2", "p2" },
        { "m2", "p3", "p3" }, /* a repeat brings the account on all the same */
        { "m4", NULL, "p3" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct store_accept a = { .account = "web",
                                  .channel = "web:x",
                                  .msg = fx_person(1 + (int64_t)i, "ann", cases[i].id),
                                  .position = cases[i].position };
        f->waiting = true;
        store_accept(f->store, &a, got_plain, f);
        fx_wait(f);
        assert_int_equal(f->err.code, ERR_OK);
        assert_int_equal(fx_kv_get(f, STORE_KEY_POSITION), ERR_OK);
        assert_text(f->value, cases[i].expected);
    }
}

static void test_accept_refuses(void **state)
{
    struct fixture *f = *state;
    struct store_msg taken = fx_person(5, "ann", "m5"), same_seq = fx_person(5, "ann", "other"),
                     zero = fx_person(0, "ann", "a"), negative = fx_person(-1, "ann", "b"),
                     beyond = fx_person(STORE_SEQ_MAX + 1, "ann", "c"), last = fx_person(STORE_SEQ_MAX, "ann", "d"),
                     nobody = fx_person(6, NULL, "e"), nameless = fx_person(6, "ann", NULL), wordless = fx_person(6, "ann", "f");
    wordless.text = NULL;
    const struct {
        const struct store_msg *m;
        enum err_code code;
    } cases[] = {
        { &taken, ERR_OK },         { &same_seq, ERR_EXISTS }, { &zero, ERR_INVALID },
        { &negative, ERR_INVALID }, { &beyond, ERR_INVALID },  { &last, ERR_OK },
        { &nobody, ERR_INVALID },   { &nameless, ERR_INVALID }, { &wordless, ERR_INVALID },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(fx_accept_msg(f, "x", cases[i].m), cases[i].code);
        if (cases[i].code) {
            assert_int_equal(f->accepted.channel_id, 0);
            assert_true(f->err.text[0] != '\0');
        }
    }
    assert_int_equal(fx_load(f, "x", 10), ERR_OK);
    ASSERT_SEQS(f, 5, STORE_SEQ_MAX);

    /* What a refused message began is undone too. */
    assert_int_equal(fx_accept_msg(f, "new", &nobody), ERR_INVALID);
    assert_int_equal(fx_load(f, "new", 10), ERR_OK);
    assert_int_equal(f->channel.id, 0);
}

static void test_seq_limit_only_rises(void **state)
{
    struct fixture *f = *state;
    static const struct {
        int64_t seq, limit, expected;
    } cases[] = {
        { 1, 0, 1 }, { 2, 258, 258 }, { 3, 0, 258 }, { 4, 100, 258 }, { 300, 0, 300 }, { 301, 600, 600 },
    };
    int64_t channel = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char id[2] = { (char)('a' + i), '\0' };
        struct store_accept a = { .account = "web",
                                  .channel = "web:x",
                                  .channel_id = i % 2 ? channel : 0, /* known or not */
                                  .msg = fx_person(cases[i].seq, "ann", id),
                                  .seq_limit = cases[i].limit };
        f->waiting = true;
        store_accept(f->store, &a, got_plain, f);
        fx_wait(f);
        channel = f->accepted.channel_id;
        assert_int_equal(fx_load(f, "x", 1), ERR_OK);
        assert_int_equal(f->channel.seq_limit, cases[i].expected);
    }
    assert_int_equal(fx_finish_with(f, channel, 1, STORE_ANSWERED, 700), ERR_OK);
    assert_int_equal(fx_load(f, "x", 1), ERR_OK);
    assert_int_equal(f->channel.seq_limit, 700);
    struct store_channel lower = { .id = channel, .seq_limit = 5 };
    assert_int_equal(fx_channel_put(f, &lower), ERR_OK);
    assert_int_equal(fx_load(f, "x", 1), ERR_OK);
    assert_int_equal(f->channel.seq_limit, 700);
}

/* --- turns --- */
static void assert_fate(struct fixture *f, int64_t seq, enum store_outcome outcome, int64_t turn)
{
    assert_int_equal(fx_load(f, "x", 100), ERR_OK);
    for (size_t i = 0; i < f->n; i++)
        if (f->msgs[i].seq == seq) {
            assert_int_equal(f->msgs[i].outcome, outcome);
            assert_int_equal(f->msgs[i].turn, turn);
            return;
        }
    fail_msg("no message %lld", (long long)seq);
}

static void test_two_turns(void **state)
{
    struct fixture *f = *state;
    int64_t channel = 0;
    for (int64_t seq = 1; seq <= 5; seq++)
        channel = fx_accept_ok(f, "x", seq);
    assert_int_equal(fx_turn_of(f, channel, 2, (int64_t[]){ 1, 2 }, 2, (int64_t[]){ 3 }, 1), ERR_OK);
    assert_fate(f, 1, STORE_PENDING, 2);
    assert_fate(f, 2, STORE_PENDING, 2);
    assert_fate(f, 3, STORE_SILENT, 0);
    assert_fate(f, 4, STORE_PENDING, 0);

    fx_reopen(f);
    assert_int_equal(fx_finish_with(f, channel, 2, STORE_ANSWERED, 6), ERR_OK);
    assert_fate(f, 1, STORE_ANSWERED, 2);
    assert_fate(f, 2, STORE_ANSWERED, 2);
    assert_fate(f, 4, STORE_PENDING, 0);
    assert_int_equal(fx_finish_with(f, channel, 4, STORE_NOTICED, 7), ERR_OK);
    assert_fate(f, 4, STORE_NOTICED, 4);
    assert_fate(f, 5, STORE_PENDING, 0);

    static const struct {
        int64_t question, answer;
    } cases[] = { { 1, 6 }, { 2, 6 }, { 3, 0 }, { 4, 7 }, { 5, 0 }, { 6, 0 }, { 99, 0 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(fx_answer_to(f, channel, cases[i].question), ERR_OK);
        assert_int_equal(f->n, cases[i].answer != 0);
        if (cases[i].answer)
            assert_int_equal(f->msgs->seq, cases[i].answer);
    }
}

static void test_turn_leaves_what_is_decided(void **state)
{
    struct fixture *f = *state;
    int64_t channel = fx_accept_ok(f, "x", 1);
    fx_accept_ok(f, "x", 2);
    assert_int_equal(fx_finish_with(f, channel, 1, STORE_ANSWERED, 3), ERR_OK);
    assert_int_equal(fx_turn_of(f, channel, 2, (int64_t[]){ 1, 2 }, 2, (int64_t[]){ 1, 3, 77 }, 3), ERR_OK);
    assert_fate(f, 1, STORE_ANSWERED, 1);
    assert_fate(f, 2, STORE_PENDING, 2);
    assert_int_equal(fx_turn_of(f, channel, 0, NULL, 0, (int64_t[]){ 2 }, 1), ERR_OK);
    assert_fate(f, 2, STORE_SILENT, 0);
    assert_int_equal(fx_turn_of(f, channel, 2, NULL, 0, NULL, 0), ERR_OK);
}

static void test_finish_never_twice(void **state)
{
    struct fixture *f = *state;
    int64_t channel = fx_accept_ok(f, "x", 1);
    fx_accept_ok(f, "y", 1);
    assert_int_equal(fx_finish_with(f, channel, 1, STORE_ANSWERED, 2), ERR_OK);
    assert_int_equal(fx_finish_parts(f, channel, 1, STORE_NOTICED, 3, 2), ERR_EXISTS);
    assert_int_equal(fx_finish_with(f, channel, 2, STORE_ANSWERED, 3), ERR_NOT_FOUND); /* the bot's own */
    assert_int_equal(fx_finish_with(f, channel, 9, STORE_ANSWERED, 3), ERR_NOT_FOUND);
    assert_int_equal(fx_finish_with(f, channel, 1, STORE_ANSWERED, STORE_SEQ_MAX + 1), ERR_INVALID);
    assert_int_equal(fx_load(f, "x", 10), ERR_OK);
    ASSERT_SEQS(f, 1, 2);
    assert_int_equal(f->channel.seq_limit, 2);
    assert_fate(f, 1, STORE_ANSWERED, 1);
    assert_int_equal(fx_out_list(f, 0, 10), ERR_OK);
    assert_int_equal(f->n, 0);
}

static void test_finish_keeps_the_answer(void **state)
{
    struct fixture *f = *state;
    int64_t channel = fx_accept_ok(f, "x", 1);
    struct store_msg answer = { .seq = 4,
                                .time_ms = 99,
                                .kind = STORE_BOT,
                                .flags = STORE_CUT,
                                .turn = 1,
                                .id = "b1",
                                .reply_to = "m1",
                                .text = "hi there",
                                .finish = "length",
                                .usage = "{\"total_tokens\":3}" };
    struct store_finish in = { .account = "web",
                               .channel = "web:x",
                               .channel_id = channel,
                               .lead = 1,
                               .outcome = STORE_ANSWERED,
                               .answer = &answer,
                               .seq_limit = 260 };
    assert_int_equal(fx_finish_full(f, &in), ERR_OK);
    fx_reopen(f);
    assert_int_equal(fx_answer_to(f, channel, 1), ERR_OK);
    assert_int_equal(f->n, 1);
    assert_same_msg(f->msgs, &answer);
    assert_int_equal(fx_load(f, "x", 1), ERR_OK);
    assert_int_equal(f->channel.seq_limit, 260);
}

static void test_finish_without_answer_and_superseding(void **state)
{
    struct fixture *f = *state;
    int64_t channel = fx_accept_ok(f, "x", 1);
    assert_int_equal(fx_finish_with(f, channel, 1, STORE_ANSWERED, 2), ERR_OK);
    fx_accept_ok(f, "x", 3);
    assert_int_equal(fx_finish_with(f, channel, 3, STORE_SILENT, 0), ERR_OK);
    assert_fate(f, 3, STORE_SILENT, 3);
    assert_int_equal(fx_answer_to(f, channel, 3), ERR_OK);
    assert_int_equal(f->n, 0);

    fx_accept_ok(f, "x", 4);
    struct store_finish in = { .channel_id = channel, .lead = 4, .outcome = STORE_ANSWERED, .supersedes = 2 };
    assert_int_equal(fx_finish_full(f, &in), ERR_OK);
    assert_int_equal(fx_history(f, channel, 1, 1), ERR_OK);
    assert_int_equal(f->msgs->seq, 2);
    assert_int_equal(f->msgs->flags, STORE_NO_PROMPT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_accept_keeps_all_members),
        TEST(test_accept_finds_duplicates),
        TEST(test_duplicate_tells_the_first_ones_fate),
        TEST(test_accept_moves_the_position),
        TEST(test_accept_refuses),
        TEST(test_seq_limit_only_rises),
        TEST(test_two_turns),
        TEST(test_turn_leaves_what_is_decided),
        TEST(test_finish_never_twice),
        TEST(test_finish_keeps_the_answer),
        TEST(test_finish_without_answer_and_superseding),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
