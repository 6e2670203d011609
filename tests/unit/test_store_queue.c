/* The store's outbox and `warbler queue`. */
#include "tests/unit/store_fixture.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "plugin/store/schema.h"

#define NAMES_VERSION 6 /* of the store that keeps the names of all parts */

/* --- the outbox --- */
static void test_parts_are_listed_in_order(void **state)
{
    struct fixture *f = *state;
    int64_t channel = fx_accept_ok(f, "x", 1);
    fx_accept_ok(f, "x", 2);
    assert_int_equal(fx_finish_parts(f, channel, 1, STORE_ANSWERED, 3, 2), ERR_OK);
    assert_int_equal(fx_finish_parts(f, channel, 2, STORE_NOTICED, 4, 1), ERR_OK);
    fx_reopen(f);
    assert_int_equal(fx_out_list(f, 0, 100), ERR_OK);
    static const struct {
        const char *txn, *text;
        int64_t turn;
        int part, n_parts;
        bool notice;
    } expected[] = {
        { "txn1-0", "part 0", 1, 0, 2, false },
        { "txn1-1", "part 1", 1, 1, 2, false },
        { "txn2-0", "part 0", 2, 0, 1, true },
    };
    assert_int_equal(f->n, 3);
    for (size_t i = 0; i < 3; i++) {
        const struct store_out *o = &f->outs[i];
        assert_string_equal(o->account, "web");
        assert_string_equal(o->channel, "web:x");
        assert_string_equal(o->reply_to, "asked");
        assert_string_equal(o->txn, expected[i].txn);
        assert_string_equal(o->text, expected[i].text);
        assert_int_equal(o->turn, expected[i].turn);
        assert_int_equal(o->part, expected[i].part);
        assert_int_equal(o->n_parts, expected[i].n_parts);
        assert_int_equal(o->notice, expected[i].notice);
        assert_int_equal(o->attempts, 0);
    }
    const struct store_out *all = f->outs;
    assert_int_equal(fx_out_list(f, all[0].id, 1), ERR_OK);
    assert_int_equal(f->n, 1);
    assert_int_equal(f->outs->id, all[1].id);
    assert_int_equal(fx_out_list(f, all[2].id, 100), ERR_OK);
    assert_int_equal(f->n, 0);
}

static void test_attempts_are_remembered(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fx_finish_parts(f, fx_accept_ok(f, "x", 1), 1, STORE_ANSWERED, 2, 1), ERR_OK);
    assert_int_equal(fx_out_list(f, 0, 1), ERR_OK);
    int64_t id = f->outs->id;
    assert_int_equal(fx_on_row(f, store_out_try, id), ERR_OK);
    assert_int_equal(fx_on_row(f, store_out_try, id), ERR_OK);
    fx_reopen(f);
    assert_int_equal(fx_out_list(f, 0, 1), ERR_OK);
    assert_int_equal(f->outs->attempts, 2);
    assert_int_equal(fx_out_dead(f, id, "gone"), ERR_OK);
    assert_int_equal(fx_on_row(f, store_out_try, id), ERR_NOT_FOUND);
    assert_int_equal(fx_on_row(f, store_out_try, id + 1), ERR_NOT_FOUND);
}

#define POSTED \
    "SELECT group_concat(answer || '/' || part || '=' || platform_id, ' ') FROM (SELECT * FROM posted ORDER BY 2, 3)"

static void test_sent_part_leaves_its_platform_id(void **state)
{
    struct fixture *f = *state;
    int64_t channel = fx_accept_ok(f, "x", 1);
    assert_int_equal(fx_finish_parts(f, channel, 1, STORE_ANSWERED, 2, 3), ERR_OK);
    assert_int_equal(fx_out_list(f, 0, 10), ERR_OK);
    const struct store_out *all = f->outs;
    assert_int_equal(fx_out_sent(f, all[0].id, "$event0"), ERR_OK);
    assert_int_equal(fx_out_sent(f, all[1].id, "$event1"), ERR_OK);
    assert_int_equal(fx_out_sent(f, all[1].id, "$event1"), ERR_OK); /* gone already */
    assert_string_equal(fx_sql(f, POSTED), "2/0=$event0 2/1=$event1");
    assert_int_equal(fx_out_list(f, 0, 10), ERR_OK);
    assert_int_equal(f->n, 1);
    assert_int_equal(f->outs->part, 2);
    assert_int_equal(fx_out_sent(f, all[2].id, NULL), ERR_OK);

    /* A number is not used again, even of the last row. */
    fx_accept_ok(f, "x", 3);
    assert_int_equal(fx_finish_parts(f, channel, 3, STORE_ANSWERED, 4, 1), ERR_OK);
    assert_int_equal(fx_out_list(f, 0, 10), ERR_OK);
    assert_true(f->outs->id > all[2].id);
    assert_int_equal(fx_out_sent(f, f->outs->id, NULL), ERR_OK);
    assert_string_equal(fx_sql(f, POSTED), "2/0=$event0 2/1=$event1");
}

/* A store from before: an answer has one name, of its first part. */
static void test_names_survive_the_upgrade(void **state)
{
    struct fixture *f = *state;
    sqlite3 *db;
    assert_int_equal(mkdir(f->dir, 0700), 0);
    assert_int_equal(sqlite3_open(fx_path(f, "warbler.db"), &db), SQLITE_OK);
    for (size_t i = 0; i < NAMES_VERSION - 1; i++)
        assert_int_equal(sqlite3_exec(db, schema_steps[i], NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "INSERT INTO channel (account, name, seq_limit) VALUES ('web', 'web:x', 9);"
                                      "INSERT INTO message (channel, seq, time_ms, kind, outcome, flags, turn, answer, id, sender,"
                                      " text, platform_id) VALUES (1, 1, 1, 1, 1, 1, 1, 2, 'i', 'ann', 'q', NULL),"
                                      " (1, 2, 1, 2, 0, 0, 1, 0, NULL, NULL, 'a', '$old'), (1, 3, 1, 1, 1, 1, 3, 4, 'j', 'ann',"
                                      " 'q', NULL), (1, 4, 1, 2, 0, 0, 3, 0, NULL, NULL, 'b', NULL);"
                                      "INSERT INTO outbox (channel, turn, answer, part, n_parts, time_ms, txn, text)"
                                      " VALUES (1, 3, 4, 0, 1, 1, 't', 'b')",
                                  NULL, NULL, NULL), SQLITE_OK);
    char version[64];
    snprintf(version, sizeof version, "PRAGMA user_version = %d", NAMES_VERSION - 1);
    assert_int_equal(sqlite3_exec(db, version, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    fx_open(f);
    assert_string_equal(fx_sql(f, POSTED), "2/0=$old");
    assert_int_equal(fx_out_list(f, 0, 10), ERR_OK);
    assert_int_equal(f->n, 1);
    assert_int_equal(f->outs->kind, STORE_OUT_SEND);
    assert_null(f->outs->platform_id);
    assert_int_equal(fx_out_sent(f, f->outs->id, "$new"), ERR_OK);
    assert_string_equal(fx_sql(f, POSTED), "2/0=$old 4/0=$new");
    assert_int_equal(fx_load(f, "x", 10), ERR_OK);
    assert_int_equal(f->n, 4);
    assert_string_equal(f->msgs[1].text, "a");
    assert_null(f->msgs[0].quoted);
    assert_null(f->channel.preset);
}

/* --- answers that grow --- */
#define ROWS                                                                                                          \
    "SELECT group_concat(kind || ':' || txn || ':' || coalesce(platform_id, '') || ':' || text, ' ')"                 \
    " FROM (SELECT * FROM outbox ORDER BY id)"

static void open_row(struct fixture *f, int64_t channel, int64_t lead, int64_t adopts, bool fresh)
{
    const struct store_open in = { .channel_id = channel, .lead = lead, .txn = fresh ? "w" : "other", .adopts = adopts };
    assert_int_equal(fx_out_open(f, &in), ERR_OK);
    assert_int_equal(f->n, 1);
    assert_int_equal(f->flag, fresh);
    assert_int_equal(f->outs->kind, STORE_OUT_OPEN);
    assert_string_equal(f->outs->txn, "w");
    assert_string_equal(f->outs->channel, "web:x");
    assert_int_equal(f->outs->turn, lead);
}

static void test_an_open_row_becomes_the_first_part(void **state)
{
    struct fixture *f = *state;
    int64_t channel = fx_accept_ok(f, "x", 1);
    open_row(f, channel, 1, 0, true);
    assert_string_equal(f->outs->reply_to, "m1");
    assert_int_equal(fx_on_row(f, store_out_try, f->outs->id), ERR_OK);
    fx_reopen(f);
    open_row(f, channel, 1, 0, false);
    assert_int_equal(f->outs->attempts, 1);
    assert_int_equal(fx_load(f, "x", 10), ERR_OK);
    assert_int_equal(f->msgs->turn, 1); /* it will not be asked with others */
    assert_int_equal(fx_finish_parts(f, channel, 1, STORE_ANSWERED, 2, 2), ERR_OK);
    assert_string_equal(fx_sql(f, ROWS), "2:w::part 0 0:txn1-1::part 1");
    assert_int_equal(fx_out_open(f, &(struct store_open){ .channel_id = channel, .lead = 1, .txn = "w" }), ERR_EXISTS);
    assert_int_equal(f->n, 0);
}

static void test_an_untouched_row_is_sent(void **state)
{
    struct fixture *f = *state;
    int64_t channel = fx_accept_ok(f, "x", 1);
    const struct store_part part = { "t", "text" };
    struct store_msg m = { .seq = 2, .kind = STORE_BOT, .text = "text" };
    open_row(f, channel, 1, 0, true);
    struct store_finish in = { .channel_id = channel, .lead = 1, .outcome = STORE_ANSWERED, .answer = &m, .parts = &part,
                               .n_parts = 1, .untouched = true };
    assert_int_equal(fx_finish_full(f, &in), ERR_OK);
    assert_string_equal(fx_sql(f, ROWS), "0:w::text");
}

/* However the question is decided without an answer. */
static void test_what_is_not_answered_is_taken_back(void **state)
{
    struct fixture *f = *state;
    for (int64_t i = 1; i < 10; i += 3) {
        int64_t channel = fx_accept_ok(f, "x", i);
        open_row(f, channel, i, 0, true);
        if (i == 1)
            assert_int_equal(fx_turn_of(f, channel, 0, NULL, 0, &i, 1), ERR_OK);
        if (i == 4) {
            assert_int_equal(fx_queue_list(f, 10), ERR_OK);
            assert_int_equal(fx_on_row(f, store_queue_drop, f->items[0].id), ERR_OK);
        }
        if (i == 7)
            assert_int_equal(fx_withdraw(f, "x", "ann", "m7"), ERR_OK);
        assert_string_equal(fx_sql(f, ROWS), "3:w::");
        fx_sql(f, "DELETE FROM outbox");
    }
}

/* An answer that takes over the messages of an older one: two of three, or back to what it said. */
static void test_messages_are_taken_over(void **state)
{
    struct fixture *f = *state;
    int64_t channel = fx_accept_ok(f, "x", 1), three = 3;
    assert_int_equal(fx_finish_parts(f, channel, 1, STORE_ANSWERED, 2, 3), ERR_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fx_out_list(f, 0, 1), ERR_OK);
        assert_int_equal(fx_out_sent(f, f->outs->id, (const char *[]){ "$0", "$1", "$2" }[i]), ERR_OK);
    }
    fx_accept_ok(f, "x", 3);
    open_row(f, channel, 3, 2, true);
    assert_string_equal(fx_sql(f, ROWS), "1:w:$0:answer");
    assert_int_equal(fx_turn_of(f, channel, 0, NULL, 0, &three, 1), ERR_OK);
    assert_string_equal(fx_sql(f, ROWS), "2:w:$0:answer");
    fx_sql(f, "DELETE FROM outbox");

    fx_accept_ok(f, "x", 5);
    open_row(f, channel, 5, 2, true);
    const struct store_part parts[] = { { "t0", "a" }, { "t1", "b" } };
    struct store_msg m = { .seq = 6, .kind = STORE_BOT, .text = "ab" };
    struct store_finish in = { .channel_id = channel, .lead = 5, .outcome = STORE_ANSWERED, .answer = &m, .parts = parts,
                               .n_parts = 2, .untouched = true, .adopts = 2, .supersedes = 2 };
    assert_int_equal(fx_finish_full(f, &in), ERR_OK);
    assert_string_equal(fx_sql(f, ROWS), "2:w:$0:a 2:t1:$1:b 3:t0-2:$2:");
    assert_null(fx_sql(f, POSTED));
    assert_int_equal(fx_out_list(f, 0, 10), ERR_OK);
    for (size_t i = 0, n = f->n; i < n; i++)
        assert_int_equal(fx_out_sent(f, f->outs[i].id, NULL), ERR_OK);
    assert_string_equal(fx_sql(f, POSTED), "6/0=$0 6/1=$1");
}

static void test_names_go_with_their_answer(void **state)
{
    struct fixture *f = *state;
    int64_t channel = fx_accept_ok(f, "x", 1);
    assert_int_equal(fx_finish_parts(f, channel, 1, STORE_ANSWERED, 2, 1), ERR_OK);
    assert_int_equal(fx_out_list(f, 0, 1), ERR_OK);
    assert_int_equal(fx_out_sent(f, f->outs->id, "$0"), ERR_OK);
    assert_int_equal(fx_prune(f, INT64_MAX), ERR_OK);
    assert_null(fx_sql(f, POSTED));
}

static void test_withdrawn_messages_say_nothing(void **state)
{
    struct fixture *f = *state;
    int64_t channel = fx_accept_ok(f, "x", 1);
    fx_accept_ok(f, "x/thread", 3);
    assert_int_equal(fx_withdraw(f, "x", "bob", "m1"), ERR_OK);
    assert_false(f->flag);
    assert_int_equal(fx_withdraw(f, "x", "ann", "m3"), ERR_OK); /* in a thread of it */
    assert_true(f->flag && f->withdrawn.pending);
    assert_int_equal(fx_withdraw(f, "x", "ann", "m1"), ERR_OK);
    assert_true(f->flag && f->withdrawn.pending);
    assert_int_equal(fx_withdraw(f, "x", "ann", "m1"), ERR_OK);
    assert_true(f->flag && !f->withdrawn.pending);
    assert_int_equal(fx_load(f, "x", 10), ERR_OK);
    assert_int_equal(f->msgs->outcome, STORE_WITHDRAWN);
    assert_string_equal(f->msgs->text, "");
    assert_true(f->msgs->flags & STORE_NO_PROMPT);
    assert_int_equal(fx_finish_with(f, channel, 1, STORE_ANSWERED, 2), ERR_EXISTS);
    assert_int_equal(fx_queue_list(f, 10), ERR_OK);
    assert_int_equal(f->n, 0);
}

static void test_dead_part_takes_the_later_ones_along(void **state)
{
    struct fixture *f = *state;
    int64_t channel = fx_accept_ok(f, "x", 1);
    fx_accept_ok(f, "x", 2);
    assert_int_equal(fx_finish_parts(f, channel, 1, STORE_ANSWERED, 3, 3), ERR_OK);
    assert_int_equal(fx_finish_parts(f, channel, 2, STORE_ANSWERED, 4, 1), ERR_OK);
    assert_int_equal(fx_out_list(f, 0, 10), ERR_OK);
    const struct store_out *all = f->outs;
    assert_int_equal(fx_out_dead(f, all[1].id, "banned"), ERR_OK);
    assert_int_equal(fx_out_dead(f, 999, "banned"), ERR_OK);
    assert_int_equal(fx_out_list(f, 0, 10), ERR_OK);
    assert_int_equal(f->n, 2);
    assert_int_equal(f->outs[0].id, all[0].id);
    assert_int_equal(f->outs[1].id, all[3].id);

    assert_int_equal(fx_queue_list(f, 10), ERR_OK);
    assert_int_equal(f->n, 2);
    assert_true(f->items[0].dead);
    assert_string_equal(f->items[0].reason, "banned");
    assert_string_equal(f->items[0].text, "part 1");
    assert_false(f->items[1].dead);
    assert_string_equal(f->items[1].text, "part 0");

    int64_t id = f->items[0].id;
    assert_int_equal(fx_on_row(f, store_out_try, all[0].id), ERR_OK);
    assert_int_equal(fx_on_row(f, store_queue_retry, id), ERR_OK);
    assert_int_equal(fx_out_list(f, 0, 10), ERR_OK);
    assert_int_equal(f->n, 4);
    assert_int_equal(f->outs[0].attempts, 1); /* was not dead: still in doubt */
    assert_int_equal(f->outs[1].attempts, 0);
    assert_int_equal(fx_queue_list(f, 10), ERR_OK);
    assert_int_equal(f->items[0].id, id);
    assert_false(f->items[0].dead);
    assert_null(f->items[0].reason);

    assert_int_equal(fx_on_row(f, store_queue_drop, id), ERR_OK);
    assert_int_equal(fx_on_row(f, store_queue_drop, id), ERR_NOT_FOUND);
    assert_int_equal(fx_out_list(f, 0, 10), ERR_OK);
    assert_int_equal(f->n, 1);
    assert_int_equal(f->outs[0].id, all[3].id);
}

/* --- `warbler queue` --- */
static void test_list_shows_dead_letters_first(void **state)
{
    struct fixture *f = *state;
    int64_t channel = 0;
    for (int64_t seq = 1; seq <= 4; seq++)
        channel = fx_accept_ok(f, "x", seq);
    fx_accept_ok(f, "y", 1);
    assert_int_equal(fx_finish_with(f, channel, 1, STORE_ANSWERED, 5), ERR_OK);
    assert_int_equal(fx_finish_with(f, channel, 3, STORE_DEAD, 6), ERR_OK);
    assert_int_equal(fx_pending(f), ERR_OK);
    assert_int_equal(fx_queue_list(f, 10), ERR_OK);
    static const struct {
        bool dead;
        const char *channel, *reason;
        int64_t time_ms;
        int tries;
    } expected[] = {
        { true, "web:x", "why", 3000, 0 },
        { false, "web:y", NULL, 1000, 1 },
        { false, "web:x", NULL, 2000, 1 },
        { false, "web:x", NULL, 4000, 0 },
    };
    assert_int_equal(f->n, 4);
    for (size_t i = 0; i < 4; i++) {
        const struct store_item *item = &f->items[i];
        assert_int_equal(item->dead, expected[i].dead);
        assert_string_equal(item->account, "web");
        assert_string_equal(item->channel, expected[i].channel);
        assert_string_equal(item->text, "hello");
        if (expected[i].reason)
            assert_string_equal(item->reason, expected[i].reason);
        else
            assert_null(item->reason);
        assert_int_equal(item->time_ms, expected[i].time_ms);
        assert_int_equal(item->tries, expected[i].tries);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(f->items[j].id, item->id);
    }
    const struct store_item *all = f->items;
    fx_reopen(f);
    assert_int_equal(fx_queue_list(f, 2), ERR_OK);
    assert_int_equal(f->n, 2);
    assert_int_equal(f->items[0].id, all[0].id);
    assert_int_equal(f->items[1].id, all[1].id);
}

static void test_numbers_at_their_edges(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *chat;
        int64_t seq;
    } cases[] = { { "a", 1 }, { "a", 2 }, { "b", 1 }, { "b", STORE_SEQ_MAX }, { "a", STORE_SEQ_MAX } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        fx_accept_ok(f, cases[i].chat, cases[i].seq);
    store_close(&f->store);
    fx_sql(f, "UPDATE message SET channel = 2147483647 WHERE channel = 2"); /* the last channel there can be */
    fx_sql(f, "UPDATE channel SET id = 2147483647 WHERE id = 2");
    fx_open(f);
    assert_int_equal(fx_queue_list(f, 10), ERR_OK);
    assert_int_equal(f->n, 5);
    const struct store_item *all = f->items;
    for (size_t i = 0; i < 5; i++) {
        assert_true(all[i].id > 0);
        assert_int_equal(fx_on_row(f, store_queue_drop, all[i].id), ERR_OK);
        assert_int_equal(fx_queue_list(f, 10), ERR_OK);
        assert_int_equal(f->n, 4 - i); /* that one, and no other */
        for (size_t j = 0; j < f->n; j++)
            assert_int_equal(f->items[j].id, all[i + 1 + j].id);
    }
    static const int64_t nobody[] = { 0, -1, 1, 12345, INT64_MAX, INT64_MIN };
    for (size_t i = 0; i < sizeof nobody / sizeof *nobody; i++) {
        assert_int_equal(fx_on_row(f, store_queue_retry, nobody[i]), ERR_NOT_FOUND);
        assert_int_equal(fx_on_row(f, store_queue_drop, nobody[i]), ERR_NOT_FOUND);
    }
}

static void test_dead_letter_is_asked_again(void **state)
{
    struct fixture *f = *state;
    int64_t channel = fx_accept_ok(f, "x", 1);
    fx_accept_ok(f, "x", 2);
    assert_int_equal(fx_turn_of(f, channel, 1, (int64_t[]){ 1, 2 }, 2, NULL, 0), ERR_OK);
    assert_int_equal(fx_pending(f), ERR_OK);
    assert_int_equal(fx_finish_parts(f, channel, 1, STORE_DEAD, 3, 1), ERR_OK);
    assert_int_equal(fx_queue_list(f, 10), ERR_OK);
    assert_int_equal(f->n, 2); /* each message is an item; the notice's part is none */
    assert_int_equal(f->items[0].tries, 1);
    assert_int_equal(fx_on_row(f, store_queue_retry, f->items[0].id), ERR_OK);

    fx_reopen(f);
    assert_int_equal(fx_pending(f), ERR_OK);
    assert_int_equal(f->n, 1);
    assert_int_equal(f->pendings->seq, 1);
    assert_int_equal(f->pendings->tries, 1);
    assert_int_equal(fx_answer_to(f, channel, 1), ERR_OK);
    assert_int_equal(f->n, 0); /* none yet; the notice is history */
    assert_int_equal(fx_history(f, channel, 2, 10), ERR_OK);
    assert_int_equal(f->n, 1);

    assert_int_equal(fx_finish_parts(f, channel, 1, STORE_ANSWERED, 4, 1), ERR_OK);
    assert_int_equal(fx_answer_to(f, channel, 1), ERR_OK);
    assert_int_equal(f->msgs->seq, 4);
    assert_int_equal(fx_answer_to(f, channel, 2), ERR_OK);
    assert_int_equal(f->msgs->seq, 3); /* the other one stays dead */
    assert_int_equal(fx_queue_list(f, 10), ERR_OK);
    assert_true(f->items[0].dead);
    assert_int_equal(fx_on_row(f, store_queue_retry, f->items[0].id), ERR_OK);
    assert_int_equal(fx_finish_with(f, channel, 2, STORE_ANSWERED, 5), ERR_OK);
}

/* The notice of a dead letter could not be sent either: one item, and what is
 * left of the notice goes with it. */
static void test_dead_letter_with_a_dead_notice(void **state)
{
    struct fixture *f = *state;
    static row_call *const calls[] = { store_queue_retry, store_queue_drop };
    for (size_t i = 0; i < 2; i++) {
        int64_t seq = 1 + 10 * (int64_t)i;
        int64_t channel = fx_accept_ok(f, "x", seq);
        assert_int_equal(fx_finish_parts(f, channel, seq, STORE_DEAD, seq + 1, 1), ERR_OK);
        assert_int_equal(fx_out_list(f, 0, 10), ERR_OK);
        assert_int_equal(fx_out_dead(f, f->outs->id, "gone"), ERR_OK);
        assert_int_equal(fx_queue_list(f, 10), ERR_OK);
        assert_int_equal(f->n, 1);
        assert_string_equal(f->items->reason, "why");
        assert_int_equal(fx_on_row(f, calls[i], f->items->id), ERR_OK);
        assert_string_equal(fx_sql(f, "SELECT count(*) FROM outbox"), "0");
        if (calls[i] == store_queue_retry)
            assert_int_equal(fx_finish_with(f, channel, seq, STORE_ANSWERED, seq + 2), ERR_OK);
        assert_int_equal(fx_queue_list(f, 10), ERR_OK);
        assert_int_equal(f->n, 0);
    }
}

static void test_drop_decides_silently(void **state)
{
    struct fixture *f = *state;
    int64_t channel = 0;
    for (int64_t seq = 1; seq <= 3; seq++)
        channel = fx_accept_ok(f, "x", seq);
    assert_int_equal(fx_turn_of(f, channel, 1, (int64_t[]){ 1, 2 }, 2, NULL, 0), ERR_OK);
    assert_int_equal(fx_finish_with(f, channel, 3, STORE_DEAD, 0), ERR_OK);
    assert_int_equal(fx_queue_list(f, 10), ERR_OK);
    assert_int_equal(f->n, 3);
    assert_int_equal(fx_on_row(f, store_queue_drop, f->items[0].id), ERR_OK);
    assert_int_equal(fx_on_row(f, store_queue_drop, f->items[1].id), ERR_OK);

    assert_int_equal(fx_history(f, channel, 0, 10), ERR_OK);
    assert_int_equal(f->msgs[0].outcome, STORE_SILENT);
    assert_int_equal(f->msgs[1].outcome, STORE_PENDING);
    assert_int_equal(f->msgs[1].turn, 0); /* led by the dropped one before */
    assert_int_equal(f->msgs[2].outcome, STORE_SILENT);
    assert_int_equal(fx_finish_with(f, channel, 1, STORE_ANSWERED, 4), ERR_EXISTS);
    assert_int_equal(fx_finish_with(f, channel, 2, STORE_ANSWERED, 4), ERR_OK);
    assert_int_equal(fx_queue_list(f, 10), ERR_OK);
    assert_int_equal(f->n, 0);
}

static void test_retry_of_a_waiting_one(void **state)
{
    struct fixture *f = *state;
    int64_t channel = fx_accept_ok(f, "x", 1);
    fx_accept_ok(f, "x", 2);
    assert_int_equal(fx_turn_of(f, channel, 1, (int64_t[]){ 1, 2 }, 2, NULL, 0), ERR_OK);
    assert_int_equal(fx_pending(f), ERR_OK);
    assert_int_equal(fx_queue_list(f, 10), ERR_OK);
    assert_int_equal(f->items[0].tries, 1);
    assert_int_equal(fx_on_row(f, store_queue_retry, f->items[0].id), ERR_OK);
    assert_int_equal(fx_on_row(f, store_queue_retry, f->items[1].id), ERR_OK);
    assert_int_equal(fx_queue_list(f, 10), ERR_OK);
    assert_int_equal(f->items[0].tries, 0);
    assert_int_equal(fx_history(f, channel, 1, 1), ERR_OK);
    assert_int_equal(f->msgs->turn, 1); /* it may be in the model's hands */
}

/* As `warbler queue` does it, beside a running daemon. */
static void test_tool_beside_the_daemon(void **state)
{
    struct fixture *f = *state;
    int64_t channel = fx_accept_ok(f, "x", 1);
    assert_int_equal(fx_finish_with(f, channel, 1, STORE_DEAD, 0), ERR_OK);
    struct store *daemon = f->store, *tool;
    struct err e = ERR_INIT;
    assert_int_equal(store_open(f->loop, f->dir, false, &tool, &e), ERR_OK);
    f->store = tool;
    assert_int_equal(fx_queue_list(f, 10), ERR_OK);
    assert_int_equal(f->n, 1);
    assert_int_equal(fx_on_row(f, store_queue_retry, f->items->id), ERR_OK);
    store_close(&f->store);

    f->store = daemon;
    assert_int_equal(fx_beat(f), ERR_OK);
    assert_true(f->flag);
    assert_int_equal(fx_pending(f), ERR_OK);
    assert_int_equal(f->n, 1);
}

/* The daemon takes up its work anew when something changed: looking must not
 * be taken for that. */
static void test_looking_changes_nothing(void **state)
{
    struct fixture *f = *state;
    fx_accept_ok(f, "x", 1);
    for (int i = 0; i < 3; i++) {
        struct store *daemon = f->store;
        struct err e = ERR_INIT;
        assert_int_equal(store_open(f->loop, f->dir, false, &f->store, &e), ERR_OK);
        assert_int_equal(fx_queue_list(f, 10), ERR_OK);
        assert_int_equal(f->n, 1);
        store_close(&f->store);
        f->store = daemon;
        assert_int_equal(fx_beat(f), ERR_OK);
        assert_false(f->flag);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_parts_are_listed_in_order),
        TEST(test_attempts_are_remembered),
        TEST(test_sent_part_leaves_its_platform_id),
        TEST(test_an_open_row_becomes_the_first_part),
        TEST(test_an_untouched_row_is_sent),
        TEST(test_what_is_not_answered_is_taken_back),
        TEST(test_messages_are_taken_over),
        TEST(test_names_go_with_their_answer),
        TEST(test_withdrawn_messages_say_nothing),
        cmocka_unit_test_setup_teardown(test_names_survive_the_upgrade, fx_setup_shut, fx_teardown),
        TEST(test_dead_part_takes_the_later_ones_along),
        TEST(test_list_shows_dead_letters_first),
        TEST(test_numbers_at_their_edges),
        TEST(test_dead_letter_is_asked_again),
        TEST(test_dead_letter_with_a_dead_notice),
        TEST(test_drop_decides_silently),
        TEST(test_retry_of_a_waiting_one),
        TEST(test_tool_beside_the_daemon),
        TEST(test_looking_changes_nothing),
    };
    return cmocka_run_group_tests_name("store_queue", tests, NULL, NULL);
}
