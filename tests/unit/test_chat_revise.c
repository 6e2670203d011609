/* What people change, take back or mark after they said it. */
#include "tests/unit/chat_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/base/metric.h"
#include "plugin/chat/revise.h"

#define EDITS (ADAPTER_EDIT | ADAPTER_IDEMPOTENT)
#define ALL (EDITS | ADAPTER_REMOVE)

static struct chat_world *world(const char *model, unsigned caps)
{
    return chat_world_new(&(struct setup){ .model = model, .caps = caps });
}

static void edit_as(struct chat_world *w, const char *sender, const char *id, const char *edits, const char *text)
{
    struct msg_in m = { .chat = "c", .id = id, .sender = sender, .sender_name = sender, .edits = edits, .text = text,
                        .len = strlen(text), .direct = true };
    adapter_message(&w->account, &m);
}

static void edit(struct chat_world *w, const char *id, const char *edits, const char *text)
{
    edit_as(w, "alice", id, edits, text);
}

static void withdraw(struct chat_world *w, const char *id)
{
    adapter_withdrawn(&w->account, "c", NULL, id, "alice");
}

static void mark(struct chat_world *w, size_t posting, const char *sender, enum reaction what)
{
    adapter_reaction(&w->account, "c", NULL, w->postings[posting].id, sender, what);
}

static void wait_for_text(struct chat_world *w, size_t posting, const char *text)
{
    for (int i = 0; i < TURNS_MAX; i++) {
        if (w->n_postings > posting && w->postings[posting].done && strcmp(w->postings[posting].text, text) == 0)
            return;
        loop_turn(w->loop, true);
    }
    fail_msg("message %zu says \"%s\", not \"%s\"", posting, w->postings[posting].text, text);
}

static void answered(struct chat_world *w, const char *id, const char *text, const char *answer)
{
    size_t n = w->n_postings;
    say(w, id, text);
    wait_for_text(w, n, answer);
    deliver_all(w);
}

static void assert_posted_once(struct chat_world *w, const char *text)
{
    assert_int_equal(w->n_postings, 1);
    assert_true(w->postings[0].done && !w->postings[0].removed);
    assert_string_equal(w->postings[0].text, text);
}

/* What the model is shown, and that nothing more is there than has been asked for. */
static const char *shown_history(struct chat_world *w, const char *id)
{
    size_t n = w->n_postings;
    say(w, id, "#history");
    for (int i = 0; i < TURNS_MAX && (w->n_postings == n || !w->postings[n].done); i++)
        loop_turn(w->loop, true);
    deliver_all(w);
    return w->postings[n].text;
}

/* --- edits --- */
static void a_waiting_question_is_asked_as_it_is_now(void **state)
{
    (void)state;
    struct chat_world *w = world(NULL, EDITS);
    say(w, "1", "#sleep 100 #echo first");
    say(w, "2", "#echo old");
    edit(w, "3", "2", "#echo new");
    wait_for(w, "ack", 3);
    assert_false(nth(w, "ack", 2)->notice); /* no answer of its own */
    wait_for_text(w, 1, "new");
    deliver_all(w);
    assert_int_equal(w->n_postings, 2);
    edit(w, "3", "2", "#echo newer");
    wait_for(w, "dup", 1); /* by its own id */
    chat_world_free(w);
}

static void an_answer_starts_over_in_the_same_message(void **state)
{
    (void)state;
    struct chat_world *w = world("drip", EDITS);
    say(w, "1", "#len 4000");
    wait_for(w, "edit", 1);
    edit(w, "2", "1", "#echo short");
    wait_for_text(w, 0, "short");
    deliver_all(w);
    assert_int_equal(w->n_postings, 1);
    assert_non_null(strstr(shown_history(w, "3"), "user: #echo short"));
    restart(w);
    assert_non_null(strstr(shown_history(w, "4"), "user: #echo short"));
    chat_world_free(w);
}

static void before_anything_came_it_starts_over_too(void **state)
{
    (void)state;
    struct chat_world *w = world("slow", EDITS);
    say(w, "1", "hello");
    wait_for(w, "ack", 1);
    edit(w, "2", "1", "#sleep 1 #echo short");
    wait_for_text(w, 0, "short");
    chat_world_free(w);
}

static void a_fresh_answer_is_made_anew_in_its_message(void **state)
{
    (void)state;
    struct chat_world *w = world("drip", EDITS);
    answered(w, "1", "#echo a long and winding answer", "a long and winding answer");
    edit(w, "2", "1", "#echo short");
    wait_for(w, "ack", 2);
    assert_true(nth(w, "ack", 1)->notice);
    wait_for_text(w, 0, "short");
    edit(w, "3", "1", "#echo shorter");
    wait_for_text(w, 0, "shorter");
    deliver_all(w);
    assert_int_equal(w->n_postings, 1);
    const char *past = shown_history(w, "4");

    assert_non_null(strstr(past, "2. user: #echo shorter"));
    assert_non_null(strstr(past, "3. assistant: shorter"));
    assert_null(strstr(past, "winding"));
    restart(w);
    past = shown_history(w, "5");
    assert_non_null(strstr(past, "2. user: #echo shorter"));
    assert_non_null(strstr(past, "3. assistant: shorter"));
    chat_world_free(w);
}

static void what_is_made_anew_survives_a_crash(void **state)
{
    (void)state;
    for (int turns = 0; turns < 40; turns += 4) {
        struct chat_world *w = world("drip", EDITS);
        answered(w, "1", "#echo a long and winding answer", "a long and winding answer");
        edit(w, "2", "1", "#echo another answer that is as long");
        wait_for(w, "ack", 2);
        for (int i = 0; i < turns && chat_busy(w->chat); i++)
            loop_turn(w->loop, true);
        restart(w);
        wait_for_text(w, 0, "another answer that is as long");
        deliver_all(w);
        assert_int_equal(w->n_postings, 1);
        chat_world_free(w);
    }
}

/* A second edit while the first one is being answered. */
static void an_edit_of_what_is_made_anew(void **state)
{
    (void)state;
    struct chat_world *w = world("drip", EDITS);
    answered(w, "1", "#echo one", "one");
    edit(w, "2", "1", "#len 4000");
    wait_for(w, "edit", count(w, "edit") + 1);
    edit(w, "3", "1", "#echo three");
    wait_for_text(w, 0, "three");
    deliver_all(w);
    assert_int_equal(w->n_postings, 1);
    chat_world_free(w);
}

static void what_is_no_longer_the_newest_is_history(void **state)
{
    (void)state;
    struct chat_world *w = world(NULL, EDITS);
    answered(w, "1", "#echo one", "one");
    answered(w, "2", "#echo two", "two");
    edit(w, "3", "1", "#echo other");
    wait_for(w, "ack", 3);
    deliver_all(w);
    assert_string_equal(w->postings[0].text, "one");
    assert_int_equal(w->n_postings, 2);
    assert_non_null(strstr(shown_history(w, "4"), "2. user: #echo other"));
    chat_world_free(w);
}

static void the_preset_of_an_edited_question_counts(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&(struct setup){
        .caps = EDITS, .bot = "presets = ( { name = \"poet\"; system_prompt = \"rhyme\"; } );" });
    answered(w, "1", "#echo one", "one");
    edit(w, "2", "1", "/poet #history");
    wait_for(w, "ack", 2);
    deliver_all(w);
    assert_int_equal(w->n_postings, 1);
    assert_non_null(strstr(w->postings[0].text, "1. system: rhyme\n2. user: #history"));
    chat_world_free(w);
}

static void where_nothing_can_be_edited_it_is_history(void **state)
{
    (void)state;
    struct chat_world *w = world(NULL, ADAPTER_IDEMPOTENT);
    answered(w, "1", "#echo one", "one");
    edit(w, "2", "1", "#echo other");
    wait_for(w, "ack", 2);
    deliver_all(w);
    assert_int_equal(w->n_postings, 1);
    assert_string_equal(w->postings[0].text, "one");
    assert_non_null(strstr(shown_history(w, "3"), "2. user: #echo other"));
    chat_world_free(w);
}

static void nobody_edits_what_another_said(void **state)
{
    (void)state;
    struct chat_world *w = world(NULL, EDITS);
    answered(w, "1", "#echo one", "one");
    edit_as(w, "bob", "2", "1", "#echo other");
    edit(w, "3", "9", "#echo of nothing");
    wait_for(w, "ack", 3);
    deliver_all(w);
    assert_int_equal(w->n_postings, 1);
    assert_string_equal(w->postings[0].text, "one");
    chat_world_free(w);
}

/* More parts than before, then fewer. */
static void parts_come_and_go_with_the_answer(void **state)
{
    (void)state;
    struct chat_world *w = world(NULL, ALL);
    w->ops.facts.text_limit = 100;
    answered(w, "1", "#echo one", "one");
    edit(w, "2", "1", "#len 250");
    wait_for(w, "ack", 2);
    deliver_all(w);
    size_t n = w->n_postings;
    assert_true(n >= 3);
    for (size_t i = 0; i < n; i++)
        assert_true(strlen(w->postings[i].text) > 3 && w->postings[i].done && !w->postings[i].removed);
    edit(w, "3", "1", "#echo two");
    wait_for_text(w, 0, "two");
    deliver_all(w);
    assert_int_equal(w->n_postings, n);
    for (size_t i = 1; i < n; i++)
        assert_true(w->postings[i].removed);
    chat_world_free(w);
}

/* The model fails: what there was is better than an excuse in its place. */
static void an_answer_that_cannot_be_made_anew_stays(void **state)
{
    (void)state;
    struct chat_world *w = world(NULL, EDITS);
    answered(w, "1", "#echo one", "one");
    edit(w, "2", "1", "#fail 500");
    wait_for(w, "ack", 2);
    deliver_all(w);
    assert_int_equal(w->n_postings, 2);
    assert_string_equal(w->postings[0].text, "one");
    assert_non_null(strstr(shown_history(w, "3"), "3. assistant: one"));
    chat_world_free(w);
}

/* --- withdrawals --- */
static void a_waiting_question_is_dropped(void **state)
{
    (void)state;
    struct chat_world *w = world(NULL, ALL);
    say(w, "1", "#sleep 100 #echo first");
    say(w, "2", "#echo second");
    wait_for(w, "ack", 2);
    withdraw(w, "2");
    wait_for(w, "silent", 1);
    assert_int_equal(nth(w, "silent", 0)->seq, nth(w, "ack", 1)->seq);
    wait_for_text(w, 0, "first");
    deliver_all(w);
    assert_int_equal(w->n_postings, 1);
    say(w, "2", "#echo second");
    wait_for(w, "dup", 1);
    assert_false(nth(w, "dup", 0)->notice); /* decided: no answer follows */
    assert_null(strstr(shown_history(w, "3"), "second"));
    restart(w);
    assert_null(strstr(shown_history(w, "4"), "second"));
    chat_world_free(w);
}

static void an_answer_under_way_stops(void **state)
{
    (void)state;
    static const unsigned caps[] = { ALL, EDITS, ADAPTER_EDIT | ADAPTER_FETCH | ADAPTER_REMOVE };
    for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) {
        struct chat_world *w = world("drip", caps[i]);
        say(w, "1", "#len 4000");
        wait_for(w, "edit", 1);
        withdraw(w, "1");
        wait_for(w, "silent", 1);
        deliver_all(w);
        assert_int_equal(w->n_postings, 1);
        if (caps[i] & ADAPTER_REMOVE)
            assert_true(w->postings[0].removed);
        else
            assert_string_equal(w->postings[0].text, "Stopped.");
        answered(w, "2", "#echo two", "two");
        restart(w);
        deliver_all(w);
        assert_int_equal(w->n, 0);
        chat_world_free(w);
    }
}

static void before_anything_came_nothing_comes(void **state)
{
    (void)state;
    struct chat_world *w = world("slow", ALL);
    say(w, "1", "hello");
    wait_for(w, "ack", 1);
    withdraw(w, "1");
    wait_for(w, "silent", 1);
    deliver_all(w);
    assert_int_equal(w->n_postings, 0);
    chat_world_free(w);
}

/* In the same breath: the question is on its way to the disk. */
static void withdrawn_at_once(void **state)
{
    (void)state;
    struct chat_world *w = world(NULL, ALL);
    say(w, "1", "#sleep 50 #echo one");
    loop_turn(w->loop, false);
    withdraw(w, "1");
    wait_for(w, "silent", 1);
    deliver_all(w);
    assert_int_equal(w->n_postings, 0);
    chat_world_free(w);
}

static void the_others_of_its_turn_are_answered(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&(struct setup){ .caps = ALL, .model = "drip", .bot = "queue = \"merge\";" });
    say(w, "1", "#sleep 100 #echo one");
    wait_for(w, "ack", 1);
    say(w, "2", "hello");
    say(w, "3", "#len 4000");
    wait_for_text(w, 0, "one");
    wait_for(w, "edit", count(w, "edit") + 1);
    withdraw(w, "3");
    wait_for(w, "silent", 1);
    deliver_all(w);
    assert_int_equal(w->n_postings, 3);
    assert_true(w->postings[1].removed);
    assert_true(w->postings[2].done && !w->postings[2].removed);
    chat_world_free(w);
}

static void a_question_leaves_the_prompt_with_its_answer(void **state)
{
    (void)state;
    struct chat_world *w = world(NULL, ALL);
    answered(w, "1", "#echo secret", "secret");
    answered(w, "2", "#echo two", "two");
    withdraw(w, "1");
    const char *past = shown_history(w, "3");
    assert_null(strstr(past, "secret"));
    assert_non_null(strstr(past, "2. user: #echo two"));
    restart(w);
    assert_null(strstr(shown_history(w, "4"), "secret"));
    assert_false(w->postings[0].removed); /* the answer itself stays where it is */
    chat_world_free(w);
}

static void a_withdrawal_survives_a_crash(void **state)
{
    (void)state;
    for (int turns = 0; turns < 12; turns++) {
        struct chat_world *w = world("drip", ALL);
        say(w, "1", "#len 4000");
        wait_for(w, "edit", 1);
        withdraw(w, "1");
        for (int i = 0; i < turns; i++)
            loop_turn(w->loop, false);
        restart(w);
        deliver_all(w);
        assert_int_equal(w->n_postings, 1);
        assert_true(w->postings[0].removed);
        chat_world_free(w);
    }
}

/* A platform that does not say which thread the message was in. */
static void it_is_found_in_its_thread(void **state)
{
    (void)state;
    struct chat_world *w = world("drip", ALL);
    struct msg_in m = { .chat = "c", .thread = "t", .id = "1", .sender = "alice", .text = "#len 4000", .len = 9,
                        .direct = true };
    adapter_message(&w->account, &m);
    wait_for(w, "edit", 1);
    withdraw(w, "1");
    wait_for(w, "silent", 1);
    deliver_all(w);
    assert_true(w->postings[0].removed);
    chat_world_free(w);
}

/* --- marks --- */
/* Each answer is another one: it says how many messages there are. */
static void retry_edits_the_newest_answer(void **state)
{
    (void)state;
    struct chat_world *w = world(NULL, EDITS);
    answered(w, "1", "#echo one", "one");
    say(w, "2", "#history");
    wait_for(w, "final", 2);
    deliver_all(w);
    int edits = w->postings[1].edits;
    mark(w, 1, "alice", REACTION_RETRY);
    wait_for(w, "final", 3);
    deliver_all(w);
    assert_int_equal(w->n_postings, 2);
    assert_true(w->postings[1].edits > edits);
    assert_non_null(strstr(w->postings[1].text, "4. user: #history"));
    assert_null(strstr(w->postings[1].text, "5."));
    mark(w, 0, "alice", REACTION_RETRY); /* not the newest */
    mark(w, 1, "bob", REACTION_RETRY);   /* who asked for nothing */
    answered(w, "3", "#echo three", "three");
    assert_int_equal(count(w, "final"), 4);
    chat_world_free(w);
}

/* The model is asked once more, and there is one answer. */
static void retry_starts_an_answer_over(void **state)
{
    (void)state;
    struct chat_world *w = world("drip", EDITS);
    say(w, "1", "#len 800");
    wait_for(w, "edit", 1);
    int64_t asked = metric_get(METRIC_MODEL_REQUESTS);
    mark(w, 0, "bob", REACTION_RETRY); /* who asked for nothing */
    mark(w, 0, "alice", REACTION_RETRY);
    wait_for(w, "final", 1);
    deliver_all(w);
    assert_int_equal(metric_get(METRIC_MODEL_REQUESTS), asked + 1);
    assert_int_equal(w->n_postings, 1);
    assert_true(w->postings[0].done);
    chat_world_free(w);
}

static void retry_without_edits_is_another_message(void **state)
{
    (void)state;
    struct chat_world *w = world(NULL, ADAPTER_IDEMPOTENT);
    answered(w, "1", "#echo one", "one");
    mark(w, 0, "alice", REACTION_RETRY);
    wait_for(w, "final", 2);
    deliver_all(w);
    assert_int_equal(w->n_postings, 2);
    assert_string_equal(w->postings[1].text, "one");
    assert_string_equal(w->postings[1].reply_to, "1");
    const char *past = shown_history(w, "2");
    assert_non_null(strstr(past, "3. assistant: one\n4. user: #history"));
    chat_world_free(w);
}

static void retry_survives_a_crash(void **state)
{
    (void)state;
    struct chat_world *w = world(NULL, EDITS);
    answered(w, "1", "#echo one", "one");
    configure(w, &(struct setup){ .caps = EDITS, .model = "slow" });
    restart(w);
    mark(w, 0, "alice", REACTION_RETRY);
    while (metric_get(METRIC_TURNS_RUNNING) == 0)
        loop_turn(w->loop, true);
    configure(w, &(struct setup){ .caps = EDITS, .model = "drip" });
    restart(w);
    wait_for(w, "final", 1);
    deliver_all(w);
    assert_posted_once(w, "one");
    chat_world_free(w);
}

static void an_answer_is_taken_back(void **state)
{
    (void)state;
    struct chat_world *w = world(NULL, ALL);
    w->ops.facts.text_limit = 100;
    say(w, "1", "#len 250");
    wait_for(w, "ack", 1);
    deliver_all(w);
    size_t n = w->n_postings;
    assert_true(n >= 3);
    mark(w, 1, "bob", REACTION_REMOVE);
    mark(w, 1, "alice", REACTION_REMOVE); /* any of its parts */
    wait_for(w, "remove", n);
    deliver_all(w);
    for (size_t i = 0; i < n; i++)
        assert_true(w->postings[i].removed);
    mark(w, 1, "alice", REACTION_REMOVE);
    const char *past = shown_history(w, "2");
    assert_non_null(strstr(past, "2. user: #history"));
    restart(w);
    assert_non_null(strstr(shown_history(w, "3"), "2. user: #history"));
    assert_int_equal(count(w, "remove"), 0);
    chat_world_free(w);
}

static void an_answer_under_way_is_taken_back(void **state)
{
    (void)state;
    struct chat_world *w = world("drip", ALL);
    say(w, "1", "#len 4000");
    wait_for(w, "edit", 1);
    mark(w, 0, "alice", REACTION_REMOVE);
    wait_for(w, "silent", 1);
    deliver_all(w);
    assert_true(w->postings[0].removed);
    assert_int_equal(w->n_postings, 1);
    chat_world_free(w);
}

/* Its last edit is not confirmed yet; the removal comes behind it. */
static void what_is_unconfirmed_is_taken_back_too(void **state)
{
    (void)state;
    for (int crash = 0; crash < 2; crash++) {
        struct chat_world *w = world("drip", ALL);
        say(w, "1", "#len 800");
        wait_for(w, "edit", 1);
        w->hold = true;
        wait_for(w, "final", 1);
        mark(w, 0, "alice", REACTION_REMOVE);
        wait_for_rows(w, 2);
        assert_int_equal(count(w, "remove"), 0);
        w->hold = false;
        if (crash)
            restart(w);
        else
            adapter_sent(&w->account, nth(w, "final", 0)->handle, NULL);
        deliver_all(w);
        assert_true(w->postings[0].removed);
        chat_world_free(w);
    }
}

static void admins_may_take_back_what_others_asked_for(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&(struct setup){ .caps = ALL, .bot = "admins = (\"web:root\");" });
    answered(w, "1", "#echo one", "one");
    mark(w, 0, "root", REACTION_REMOVE);
    wait_for(w, "remove", 1);
    deliver_all(w);
    assert_true(w->postings[0].removed);
    chat_world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_waiting_question_is_asked_as_it_is_now),
        cmocka_unit_test(an_answer_starts_over_in_the_same_message),
        cmocka_unit_test(before_anything_came_it_starts_over_too),
        cmocka_unit_test(a_fresh_answer_is_made_anew_in_its_message),
        cmocka_unit_test(what_is_made_anew_survives_a_crash),
        cmocka_unit_test(an_edit_of_what_is_made_anew),
        cmocka_unit_test(what_is_no_longer_the_newest_is_history),
        cmocka_unit_test(the_preset_of_an_edited_question_counts),
        cmocka_unit_test(where_nothing_can_be_edited_it_is_history),
        cmocka_unit_test(nobody_edits_what_another_said),
        cmocka_unit_test(parts_come_and_go_with_the_answer),
        cmocka_unit_test(an_answer_that_cannot_be_made_anew_stays),
        cmocka_unit_test(a_waiting_question_is_dropped),
        cmocka_unit_test(an_answer_under_way_stops),
        cmocka_unit_test(before_anything_came_nothing_comes),
        cmocka_unit_test(withdrawn_at_once),
        cmocka_unit_test(the_others_of_its_turn_are_answered),
        cmocka_unit_test(a_question_leaves_the_prompt_with_its_answer),
        cmocka_unit_test(a_withdrawal_survives_a_crash),
        cmocka_unit_test(it_is_found_in_its_thread),
        cmocka_unit_test(retry_edits_the_newest_answer),
        cmocka_unit_test(retry_starts_an_answer_over),
        cmocka_unit_test(retry_without_edits_is_another_message),
        cmocka_unit_test(retry_survives_a_crash),
        cmocka_unit_test(an_answer_is_taken_back),
        cmocka_unit_test(an_answer_under_way_is_taken_back),
        cmocka_unit_test(what_is_unconfirmed_is_taken_back_too),
        cmocka_unit_test(admins_may_take_back_what_others_asked_for),
    };
    return cmocka_run_group_tests_name("chat_revise", tests, NULL, NULL);
}
