/* Answers that grow on a platform that is not our own store, killed at each stage. */
#include "tests/unit/chat_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/base/clock.h"
#include "plugin/base/mem.h"
#include "plugin/base/metric.h"
#include "tests/unit/disk_vfs.h"

#define ANSWER "one two three four five six seven"
#define LONG "#len 800" /* takes long enough that it is seen to grow however slow the machine is */
#define LONG_BYTES 800
#define KILLS 60 /* turns of the loop that an answer takes, and some more */

#define REPEATS (ADAPTER_EDIT | ADAPTER_IDEMPOTENT)
#define LOOKS (ADAPTER_EDIT | ADAPTER_FETCH)

static struct chat_world *growing(unsigned caps)
{
    return chat_world_new(&(struct setup){ .model = "drip", .caps = caps });
}

/* While there is something to be done. */
static void turns(struct chat_world *w, int n)
{
    while (n-- > 0 && chat_busy(w->chat))
        loop_turn(w->loop, true);
    while (n-- > 0)
        loop_turn(w->loop, false);
}

static void until_posted(struct chat_world *w, size_t n)
{
    for (int i = 0; i < TURNS_MAX && w->n_postings < n; i++)
        loop_turn(w->loop, true);
    assert_int_equal(w->n_postings, n);
}

/* One message is there for everybody, and this is what it says. */
static void assert_posted(const struct chat_world *w, const char *text)
{
    assert_int_equal(w->n_postings, 1);
    assert_false(w->postings[0].removed);
    assert_true(w->postings[0].done);
    assert_string_equal(w->postings[0].text, text);
}

static void an_answer_grows_by_edits(void **state)
{
    (void)state;
    struct chat_world *w = growing(REPEATS);
    say(w, "1", LONG);
    wait_for(w, "ack", 1);
    deliver_all(w);
    assert_int_equal(w->n_postings, 1);
    assert_true(strlen(w->postings[0].text) >= LONG_BYTES);
    assert_int_equal(count(w, "first"), 1);
    assert_true(count(w, "edit") >= 2);
    assert_int_equal(count(w, "final"), 1);
    const struct event *first = nth(w, "first", 0), *edit = nth(w, "edit", 0), *final = nth(w, "final", 0);
    assert_string_equal(first->reply_to, "1");
    assert_string_equal(first->id, final->id);
    assert_string_equal(first->id, edit->id);
    assert_string_equal(first->txn, first->id);
    assert_string_not_equal(edit->txn, first->txn);
    assert_string_not_equal(edit->txn, nth(w, "edit", 1)->txn);
    assert_string_not_equal(final->txn, edit->txn);
    assert_string_equal(final->finish, "stop");
    assert_true(strlen(first->text) < strlen(edit->text));
    restart(w);
    deliver_all(w);
    assert_int_equal(w->n, 0); /* confirmed, so not sent again */
    chat_world_free(w);
}

/* What comes at once needs no edit. */
static void a_short_answer_is_sent_whole(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&(struct setup){ .caps = REPEATS });
    say(w, "1", "/help");
    wait_for(w, "ack", 1);
    deliver_all(w);
    assert_int_equal(count(w, "final"), 1);
    assert_int_equal(w->n, 2); /* and the ack */
    chat_world_free(w);
}

/* Where a crash would leave half a message and nobody could tell. */
static void without_a_way_back_nothing_grows(void **state)
{
    (void)state;
    struct chat_world *w = growing(ADAPTER_EDIT);
    say(w, "1", "#echo " ANSWER);
    wait_for(w, "ack", 1);
    deliver_all(w);
    assert_posted(w, ANSWER);
    assert_int_equal(count(w, "first") + count(w, "edit"), 0);
    chat_world_free(w);
}

static void killed(unsigned caps, int after, bool hold, bool deaf)
{
    struct chat_world *w = growing(caps);
    w->hold = hold;
    w->deaf = deaf;
    say(w, "1", "#echo " ANSWER);
    wait_for(w, "ack", 1);
    turns(w, after);
    w->hold = w->deaf = false;
    restart(w);
    deliver_all(w);
    if (w->n_postings != 1)
        fail_msg("killed %d turns after the ack: %zu messages", after, w->n_postings);
    assert_posted(w, ANSWER);
    restart(w);
    deliver_all(w);
    assert_posted(w, ANSWER);
    chat_world_free(w);
}

static void killed_at_any_time_it_is_there_once(void **state)
{
    (void)state;
    for (int after = 0; after < KILLS; after++)
        killed(after % 2 ? REPEATS : LOOKS, after, false, false);
}

static void killed_before_anything_is_confirmed(void **state)
{
    (void)state;
    for (int after = 0; after < KILLS; after += 11) {
        killed(REPEATS, after, true, false);
        killed(LOOKS, after, true, false);
        killed(REPEATS, after, true, true);
        killed(LOOKS, after, true, true);
    }
}

/* Nothing of it is left half done: it is gone, or says that it was stopped. */
static void assert_taken_back(const struct chat_world *w, bool can_remove)
{
    for (size_t i = 0; i < w->n_postings; i++) {
        const struct posting *p = &w->postings[i];
        if (can_remove)
            assert_true(p->removed);
        else
            assert_string_equal(p->text, "Stopped.");
        assert_true(can_remove || p->done);
    }
}

/* At the next start no bot serves the channel any more. */
static void what_nobody_finishes_is_taken_back(void **state)
{
    static const unsigned caps[] = { REPEATS, REPEATS | ADAPTER_REMOVE, LOOKS, LOOKS | ADAPTER_REMOVE };
    (void)state;
    for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++)
        for (int hold = 0; hold < 2; hold++) {
            struct chat_world *w = growing(caps[i]);
            w->hold = hold;
            say(w, "1", "#len 4000");
            until_posted(w, 1);
            turns(w, 3);
            w->hold = false;
            configure(w, &(struct setup){ .caps = caps[i], .channels = "{ match = \"web:*\"; bot = \"none\"; }" });
            restart(w);
            deliver_all(w);
            assert_taken_back(w, caps[i] & ADAPTER_REMOVE);
            assert_int_equal(w->n_postings, 1);
            chat_world_free(w);
        }
}

/* Of which nothing was seen. */
static void what_nobody_saw_is_forgotten(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&(struct setup){ .model = "slow", .caps = REPEATS });
    say(w, "1", "hello");
    wait_for(w, "ack", 1);
    say(w, "2", "/stop");
    wait_for(w, "ack", 2);
    deliver_all(w);
    assert_int_equal(w->n_postings, 2);
    assert_string_equal(w->postings[0].text, "Stopped.");
    assert_int_equal(w->postings[0].edits, 0);
    assert_string_equal(w->postings[1].text, "I have stopped.");
    chat_world_free(w);
}

static void a_stopped_answer_keeps_what_came(void **state)
{
    (void)state;
    struct chat_world *w = growing(REPEATS);
    say(w, "1", "#len 4000");
    wait_for(w, "edit", 1);
    say(w, "2", "/stop");
    wait_for(w, "ack", 2);
    deliver_all(w);
    assert_int_equal(w->n_postings, 2);
    assert_true(w->postings[0].done);
    assert_true(strlen(w->postings[0].text) < 4000);
    assert_string_equal(w->postings[1].text, "I have stopped.");
    restart(w);
    deliver_all(w);
    assert_int_equal(w->n, 0);
    chat_world_free(w);
}

/* A /status in the midst does not wait for the end of the answer. */
static void it_stands_in_nobodys_way(void **state)
{
    (void)state;
    struct chat_world *w = growing(REPEATS);
    say(w, "1", "#len 4000");
    wait_for(w, "edit", 1);
    say(w, "2", "/help");
    until_posted(w, 2);
    assert_true(w->postings[1].done);
    assert_false(w->postings[0].done);
    chat_world_free(w);
}

/* The first message grows as far as it may; the rest follows when all is there. */
static void a_long_answer_grows_in_its_first_part(void **state)
{
    (void)state;
    struct chat_world *w = growing(REPEATS);
    w->ops.facts.text_limit = 100;
    say(w, "1", LONG);
    wait_for(w, "ack", 1);
    deliver_all(w);
    assert_true(w->n_postings >= 8);
    for (size_t i = 0; i < w->n; i++)
        assert_true(!w->events[i].text || strlen(w->events[i].text) <= 100);
    assert_true(w->postings[0].edits >= 1);
    size_t len = 0;
    for (size_t i = 0; i < w->n_postings; i++) {
        assert_true(w->postings[i].done);
        len += strlen(w->postings[i].text);
    }
    assert_true(len > 700);
    chat_world_free(w);
}

static void edits_keep_their_pace(void **state)
{
    (void)state;
    struct chat_world *w = growing(REPEATS);
    w->ops.facts.edit_interval_ms = 60000;
    say(w, "1", LONG);
    wait_for(w, "ack", 1);
    deliver_all(w);
    assert_int_equal(w->n_postings, 1);
    assert_true(strlen(w->postings[0].text) >= LONG_BYTES);
    assert_int_equal(count(w, "first"), 1);
    assert_int_equal(count(w, "edit"), 0);
    assert_int_equal(count(w, "final"), 1);
    chat_world_free(w);
}

/* --- platforms that say no --- */
static void the_beginning_is_refused_for_now(void **state)
{
    (void)state;
    struct chat_world *w = growing(REPEATS);
    w->refuse = ERR_RATE; /* once */
    say(w, "1", "#echo " ANSWER);
    wait_for(w, "ack", 1);
    deliver_all(w);
    assert_posted(w, ANSWER);
    chat_world_free(w);
}

static void the_account_is_away_for_a_while(void **state)
{
    (void)state;
    struct chat_world *w = growing(REPEATS);
    w->online = false;
    say(w, "1", "#echo " ANSWER);
    wait_for(w, "ack", 1);
    settle(w);
    assert_int_equal(count(w, "first"), 0);
    w->online = true;
    chat_online(w->chat, &w->account);
    deliver_all(w);
    assert_posted(w, ANSWER);
    assert_int_equal(w->postings[0].edits, 0); /* nothing had left before all was there */
    chat_world_free(w);
}

/* As when the configuration is read again: the answer is finished while there is no such account. */
static void the_account_is_made_anew(void **state)
{
    static const unsigned caps[] = { REPEATS, LOOKS, ADAPTER_EDIT };
    (void)state;
    for (size_t i = 0; i < 2 * sizeof(caps) / sizeof(caps[0]); i++) {
        struct chat_world *w = growing(caps[i / 2]);
        w->hold = i % 2;
        say(w, "1", LONG);
        wait_for(w, "ack", 1);
        for (int k = 0; k < TURNS_MAX && !w->n_postings && caps[i / 2] != ADAPTER_EDIT; k++)
            loop_turn(w->loop, true);
        w->gone = true;
        chat_forget(w->chat, &w->account);
        w->hold = false;
        settle(w);
        w->gone = false;
        chat_online(w->chat, &w->account);
        deliver_all(w);
        assert_int_equal(w->n_postings, 1);
        assert_true(w->postings[0].done);
        assert_true(strlen(w->postings[0].text) >= LONG_BYTES);
        chat_world_free(w);
    }
}

static void an_edit_that_is_refused_is_a_message(void **state)
{
    (void)state;
    struct chat_world *w = growing(REPEATS);
    w->no_edits = true;
    say(w, "1", LONG);
    wait_for(w, "ack", 1);
    deliver_all(w);
    assert_int_equal(w->n_postings, 2);
    assert_true(strlen(w->postings[1].text) >= LONG_BYTES);
    chat_world_free(w);
}

/* After a crash nobody knows where the message is that was begun. */
static void a_message_without_a_name_is_followed_by_another(void **state)
{
    (void)state;
    struct chat_world *w = growing(REPEATS);
    w->hold = w->nameless = true;
    say(w, "1", LONG);
    until_posted(w, 1);
    w->hold = false;
    restart(w);
    deliver_all(w);
    assert_int_equal(w->n_postings, 2);
    assert_true(strlen(w->postings[1].text) >= LONG_BYTES);
    assert_true(w->postings[1].done);
    chat_world_free(w);
}

/* The attempt is being written down when the answer is complete: what leaves then is all of it. */
static void complete_before_its_beginning_left(void **state)
{
    (void)state;
    disk_install();
    struct chat_world *w = growing(LOOKS);
    say(w, "1", "#sleep 100 #echo " ANSWER);
    wait_for_rows(w, 1);
    disk_hold(true);
    for (int i = 0; i < TURNS_MAX && metric_get(METRIC_STORE_QUEUE) < 2; i++) /* the attempt, then the answer */
        loop_turn(w->loop, true);
    assert_int_equal(w->n_postings, 0);
    disk_hold(false);
    deliver_all(w);
    assert_posted(w, ANSWER);
    chat_world_free(w);
    disk_remove();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_nobody_finishes_is_taken_back),
        cmocka_unit_test(what_nobody_saw_is_forgotten),
        cmocka_unit_test(a_stopped_answer_keeps_what_came),
        cmocka_unit_test(it_stands_in_nobodys_way),
        cmocka_unit_test(a_long_answer_grows_in_its_first_part),
        cmocka_unit_test(edits_keep_their_pace),
        cmocka_unit_test(the_beginning_is_refused_for_now),
        cmocka_unit_test(the_account_is_away_for_a_while),
        cmocka_unit_test(the_account_is_made_anew),
        cmocka_unit_test(an_edit_that_is_refused_is_a_message),
        cmocka_unit_test(a_message_without_a_name_is_followed_by_another),
        cmocka_unit_test(an_answer_grows_by_edits),
        cmocka_unit_test(a_short_answer_is_sent_whole),
        cmocka_unit_test(without_a_way_back_nothing_grows),
        cmocka_unit_test(killed_at_any_time_it_is_there_once),
        cmocka_unit_test(killed_before_anything_is_confirmed),
        cmocka_unit_test(complete_before_its_beginning_left),
    };
    return cmocka_run_group_tests_name("chat_growth", tests, NULL, NULL);
}
