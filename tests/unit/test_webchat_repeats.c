/* POST /chat several times in one conversation, or with one key. CONTRACTS, section 5. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/base/clock.h"
#include "tests/unit/webchat_calls.h"

static struct world *w;

static int setup(void **state)
{
    (void)state;
    w = world_new(calls_tokens);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    calls_world_free(&w);
    return 0;
}

/* --- several messages of one conversation --- */

static void each_gets_its_own_answer(void **state)
{
    (void)state;
    char *conversation = begin_conversation(w);
    struct peer *a = post_in(w, conversation, AUTH, "a"), *b, *c;
    struct world_event ev = { .id = "m2", .text = "help", .done = true, .notice = true, .finish = "stop" };
    int64_t seq_a, seq_b;

    until_messages(w, 3);
    seq_a = w->messages[2].past.seq;
    b = post_in(w, conversation, AUTH, "b");
    until_messages(w, 4);
    seq_b = w->messages[3].past.seq;
    c = post_in(w, conversation, AUTH, "/help");
    until_messages(w, 5);
    ev.chat = w->last.chat;
    world_bot(w, &ev); /* a command's result overtakes */
    assert_non_null(strstr(peer_body(c), "\"reply\":\"help\""));
    world_turns(w, 10);
    ev = (struct world_event){ .chat = w->last.chat, .id = "m3", .text = "for a", .done = true, .reply_seq = seq_a };
    world_bot(w, &ev);
    assert_non_null(strstr(peer_body(a), "\"reply\":\"for a\""));
    ev = (struct world_event){ .chat = w->last.chat, .id = "m4", .text = "for b", .done = true, .reply_seq = seq_b };
    world_bot(w, &ev);
    assert_non_null(strstr(peer_body(b), "\"reply\":\"for b\""));
    peer_free(&a);
    peer_free(&b);
    peer_free(&c);
    free(conversation);
}

static void merged_and_passed_over(void **state)
{
    (void)state;
    char *conversation = begin_conversation(w);
    struct peer *passed = post_in(w, conversation, AUTH, "a"), *merged, *newest;
    const char *answers[3] = { NULL };

    until_messages(w, 3);
    merged = post_in(w, conversation, AUTH, "b");
    until_messages(w, 4);
    newest = post_in(w, conversation, AUTH, "c");
    until_messages(w, 5);
    answers[0] = w->messages[3].id;
    answers[1] = w->messages[4].id;
    world_bot(w, &(struct world_event){ .chat = w->last.chat, .id = "m2", .text = "both", .done = true,
                                        .answers = answers });
    assert_non_null(strstr(peer_body(newest), "\"reply\":\"both\""));
    assert_non_null(strstr(peer_body(merged), "\"reply\":\"both\""));
    assert_non_null(strstr(peer_body(passed), "\"reply\":\"\",\"finish_reason\":\"cancelled\""));
    peer_free(&passed);
    peer_free(&merged);
    peer_free(&newest);
    free(conversation);
}

/* --- repeats --- */

static void a_repeat_with_a_key(void **state)
{
    (void)state;
    struct peer *a = post(w, AUTH "Idempotency-Key: k1\r\n", "{\"message\":\"hi\"}"),
               *b = post(w, AUTH "Idempotency-Key: k1\r\n", "{\"message\":\"hi\"}"),
               *other = post(w, "Authorization: Bearer two\r\nIdempotency-Key: k1\r\n", "{\"message\":\"hi\"}");
    struct peer *late;
    char *conversation, *same;

    until_messages(w, 2);
    world_turns(w, 20);
    assert_int_equal(w->n_messages, 2); /* a and b are one message; the other's key is its own */
    assert_string_not_equal(w->messages[0].chat, w->messages[1].chat);
    for (size_t i = 0; i < 2; i++)
        world_bot(w, &(struct world_event){ .chat = w->messages[i].chat, .id = "m1", .text = "ho", .done = true });
    assert_string_equal(peer_body(a), peer_body(b));
    conversation = peer_member(a, "conversation");

    world_turns(w, 20); /* nothing of it is in memory any more */
    late = post(w, AUTH "Idempotency-Key: k1\r\n", "{\"message\":\"hi\"}");
    assert_string_equal(peer_body(late), peer_body(a));
    peer_free(&late);
    late = post_in(w, conversation, AUTH "Idempotency-Key: k1\r\n", "hi");
    same = peer_member(late, "reply");
    assert_string_equal(same, "ho");
    assert_int_equal(w->n_messages, 4);
    peer_free(&late);
    peer_free(&a);
    peer_free(&b);
    peer_free(&other);
    free(same);
    free(conversation);
}

static void a_repeat_waits_for_the_running_answer(void **state)
{
    (void)state;
    struct peer *a = post(w, AUTH "Idempotency-Key: k1\r\n", "{\"message\":\"hi\"}"), *b;

    until_messages(w, 1);
    peer_free(&a); /* gone; its message stays */
    world_turns(w, 20);
    b = post(w, AUTH SSE "Idempotency-Key: k1\r\n", "{\"message\":\"hi\"}");
    world_turns(w, 50);
    assert_int_equal(w->n_messages, 1);
    answer(w, "ho");
    assert_non_null(strstr(peer_all(b), "\"reply\":\"ho\""));
    peer_free(&b);
}

static void keys_of_any_kind(void **state)
{
    (void)state;
    char *conversation = begin_conversation(w), header[256];
    const size_t lengths[] = { 1, 64, 65, 100 };

    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct peer *r;
        size_t n = w->n_messages;

        snprintf(header, sizeof header, AUTH "Idempotency-Key: %0*d\r\n", (int)lengths[i], 7);
        r = post_in(w, conversation, header, "hi");
        until_messages(w, n + 1);
        assert_int_equal(strlen(w->messages[n].id), lengths[i] > 64 ? 64 : lengths[i]);
        answer(w, "ho");
        peer_all(r);
        peer_free(&r);
        r = post_in(w, conversation, header, "hi");
        assert_non_null(strstr(peer_body(r), "\"reply\":\"ho\""));
        assert_int_equal(w->n_messages, n + 2);
        peer_free(&r);
    }
    free(conversation);
}

static void leaving_at_every_step(void **state)
{
    (void)state;

    for (int steps = 0; steps < 5; steps++) {
        struct peer *a, *b;

        world_pause(w);
        a = post(w, AUTH "Idempotency-Key: k\r\n", "{\"message\":\"hi\"}");
        b = post(w, AUTH "Idempotency-Key: k\r\n", "{\"message\":\"hi\"}");
        for (int i = 0; i < steps && w->jobs; i++)
            world_step(w);
        peer_free(&a);
        if (steps % 2 == 0)
            peer_free(&b);
        world_turns(w, 50);
        world_resume(w);
        world_turns(w, 50);
        assert_null(w->jobs);
        if (steps == 0) {
            assert_int_equal(w->n_messages, 0);
            continue;
        }
        until_messages(w, 1);
        if (w->n_messages == 1)
            answer(w, "ho");
        if (b)
            assert_int_equal(peer_status(b), 200);
        if (b)
            peer_free(&b);
        world_turns(w, 20);
        assert_null(((struct webchat *)w->a.priv)->calls);
    }
    assert_int_equal(w->n_messages, 2);
}

static void stopping(void **state)
{
    (void)state;
    struct peer *plain = post(w, AUTH, "{\"message\":\"hi\"}"), *stream = post(w, AUTH SSE, "{\"message\":\"hi\"}"), *early;

    until_messages(w, 2);
    world_bot(w, &(struct world_event){ .chat = w->last.chat, .id = "m1", .text = "h" });
    world_pause(w);
    early = post(w, AUTH, "{\"message\":\"hi\"}");
    world_turns(w, 20);
    w->a.ops->stop(&w->a);
    world_turns(w, 20);
    assert_int_equal(w->stopped, 1);
    peer_expect_error(plain, 503, "busy");
    peer_expect_error(early, 503, "busy");
    assert_null(strstr(peer_all(stream), "\"done\""));
    peer_free(&stream);
    world_resume(w);
    world_turns(w, 20);
    peer_expect_error(post(w, AUTH, "{\"message\":\"hi\"}"), 503, "busy");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_gets_its_own_answer),
        TEST(merged_and_passed_over),
        TEST(a_repeat_with_a_key),
        TEST(a_repeat_waits_for_the_running_answer),
        TEST(keys_of_any_kind),
        TEST(leaving_at_every_step),
        TEST(stopping),
    };

    clock_test_freeze(INT64_C(1800000000000));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
