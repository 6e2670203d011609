/* POST /chat: who may ask, what, and how the answer comes. CONTRACTS, section 5. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/webchat/call.h"
#include "plugin/base/clock.h"
#include "plugin/base/mem.h"
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

static void again_with(void (*tweak)(struct webchat_conf *conf))
{
    calls_world_free(&w);
    w = world_new(tweak);
}

/* --- question and answer --- */

static void a_question_and_its_answer(void **state)
{
    (void)state;
    struct peer *r = post(w, AUTH "Accept-Language: zh-CN,en;q=0.5\r\n", "{\"message\":\"hi\",\"name\":\"Ann\"}");
    char *conversation, body[256], *second;

    until_messages(w, 1);
    assert_string_equal(w->last.sender_name, "Ann");
    assert_true(w->last.direct);
    assert_non_null(w->last.lang);
    assert_int_equal(w->last.chat[0], '~');
    answer(w, "ho");
    assert_int_equal(peer_status(r), 200);
    conversation = peer_member(r, "conversation");
    assert_true(identity_plausible(conversation, IDENTITY_CONVERSATION));
    snprintf(body, sizeof body, "{\"conversation\":\"%s\",\"reply\":\"ho\",\"finish_reason\":\"stop\","
                                "\"usage\":{\"total_tokens\":3}}", conversation);
    assert_string_equal(peer_body(r), body);
    peer_free(&r);

    snprintf(body, sizeof body, "{\"message\":\"more\",\"conversation\":\"%s\"}", conversation);
    r = post(w, AUTH "Content-Type: application/x-www-form-urlencoded\r\n", body);
    until_messages(w, 2);
    until_messages(w, w->n_messages);
    assert_string_equal(w->messages[0].chat, w->messages[2].chat);
    answer(w, "more");
    second = peer_member(r, "conversation");
    assert_string_equal(second, conversation);
    peer_free(&r);
    free(conversation);
    free(second);
}

static void who_may_ask(void **state)
{
    (void)state;

    peer_expect_error(post(w, "", "{\"message\":\"hi\"}"), 401, "unauthorized");
    peer_expect_error(post(w, "Authorization: Bearer three\r\n", "{\"message\":\"hi\"}"), 401, "unauthorized");
    peer_expect_error(post(w, AUTH "Origin: https://evil.example\r\n", "{\"message\":\"hi\"}"), 403, "forbidden");
    peer_expect_error(post(w, AUTH "Host: evil.example\r\n", "{\"message\":\"hi\"}"), 403, "forbidden");
    assert_int_equal(w->n_facts, 0);
    again_with(NULL);
    peer_expect_error(post(w, AUTH, "{\"message\":\"hi\"}"), 404, "not_found");
}

static void demo(struct webchat_conf *conf)
{
    conf->demo = true;
}

static void a_demo_needs_no_token(void **state)
{
    (void)state;
    struct peer *r;

    again_with(demo);
    peer_expect_error(post(w, "Origin: null\r\nContent-Type: text/plain\r\n", "{\"message\":\"hi\"}"), 403, "forbidden");
    r = post(w, "Origin: http://localhost\r\n", "{\"message\":\"hi\"}");
    until_messages(w, 1);
    answer(w, "ho");
    assert_int_equal(peer_status(r), 200);
    peer_free(&r);
}

static void what_cannot_be_asked(void **state)
{
    (void)state;
    char *body = mem_alloc(20000);
    struct peer *r;

    peer_expect_error(post(w, AUTH, "message=hi"), 400, "bad_request");
    peer_expect_error(post(w, AUTH, "{\"message\":7}"), 400, "bad_request");
    peer_expect_error(post(w, AUTH, "{\"message\":\"hi\",\"conversation\":\"c1\"}"), 404, "not_found");
    peer_expect_error(post(w, AUTH, "{\"message\":\"hi\",\"conversation\":\"c0123456789abcdef0123456789abcdef\"}"), 404,
                 "not_found");
    snprintf(body, 20000, "{\"message\":\"%0*d\"}", 16385, 0);
    peer_expect_error(post(w, AUTH, body), 413, "too_long");
    snprintf(body, 20000, "{\"message\":\"%0*d\"}", 16384, 0);
    r = post(w, AUTH, body);
    until_messages(w, 1);
    answer(w, "ho");
    assert_int_equal(peer_status(r), 200);
    peer_free(&r);
    free(body);
    r = peer_open(w, "GET /chat HTTP/1.1\r\n", NULL);
    assert_int_equal(peer_status(r), 405);
    peer_free(&r);
}

static void tight(struct webchat_conf *conf)
{
    calls_tokens(conf);
    conf->messages_per_minute = 2;
    conf->max_connections = 1;
}

static void limits(void **state)
{
    (void)state;
    struct peer *r;
    char *conversation = NULL, body[128];

    again_with(tight);
    for (size_t i = 0; i < 2; i++) {
        snprintf(body, sizeof body, conversation ? "{\"message\":\"hi\",\"conversation\":\"%s\"}" : "{\"message\":\"hi\"}",
                 conversation);
        r = post(w, AUTH, body);
        until_messages(w, 2 * i + 1);
        peer_expect_error(post(w, AUTH, body), 503, "busy"); /* one waits already */
        answer(w, "ho");
        assert_int_equal(peer_status(r), 200);
        free(conversation);
        conversation = peer_member(r, "conversation");
        peer_free(&r);
    }
    snprintf(body, sizeof body, "{\"message\":\"hi\",\"conversation\":\"%s\"}", conversation);
    r = post(w, AUTH, body);
    peer_until(r, "Retry-After: 30\r\n");
    peer_expect_error(r, 429, "rate");
    clock_test_advance(30000);
    r = post(w, AUTH, body);
    until_messages(w, 5);
    answer(w, "ho");
    assert_int_equal(peer_status(r), 200);
    peer_free(&r);
    free(conversation);
}

static void refusals_of_the_host(void **state)
{
    (void)state;
    const struct {
        enum err_code code;
        int status;
        const char *text;
    } cases[] = { { ERR_BUSY, 503, "busy" }, { ERR_FULL, 503, "full" }, { ERR_IO, 503, "full" },
                  { ERR_INVALID, 400, "bad_frame" },  { ERR_TOO_LARGE, 413, "too_long" } };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct peer *r;

        w->refuse.code = ERR_OK;
        world_pause(w);
        r = post(w, AUTH, "{\"message\":\"hi\"}");
        world_step(w); /* the conversation is kept */
        err_set(&w->refuse, cases[i].code, "no");
        world_resume(w);
        peer_expect_error(r, cases[i].status, cases[i].text);
    }
    err_set(&w->refuse, ERR_FULL, "no"); /* at the conversation already */
    peer_expect_error(post(w, AUTH, "{\"message\":\"hi\"}"), 503, "full");
}

/* --- streams --- */

static void a_stream(void **state)
{
    (void)state;
    struct peer *r = post(w, AUTH SSE, "{\"message\":\"hi\"}");
    struct world_event ev = { .id = "m1", .text = "one" };

    until_messages(w, 1);
    ev.chat = w->last.chat;
    world_bot(w, &ev);
    assert_non_null(strstr(peer_until(r, "data: {\"delta\":\"one\"}\n\n"), "Content-Type: text/event-stream\r\n"));
    ev.edit = true;
    ev.text = "one two";
    world_bot(w, &ev);
    peer_until(r, "data: {\"delta\":\" two\"}\n\n");
    world_bot(w, &ev); /* nothing new */
    ev.text = "again";
    world_bot(w, &ev);
    peer_until(r, "data: {\"replace\":\"again\"}\n\n");
    ev.text = "again, better";
    ev.done = true;
    ev.finish = "length";
    ev.usage = "{\"total_tokens\":9}";
    world_bot(w, &ev);
    peer_until(r, "data: {\"delta\":\", better\"}\n\n");
    assert_non_null(strstr(peer_all(r), "data: {\"done\":true,\"conversation\":\"c"));
    assert_non_null(strstr(peer_all(r), "\"reply\":\"again, better\",\"finish_reason\":\"length\","
                                       "\"usage\":{\"total_tokens\":9}}\n\n"));
    assert_null(strstr(peer_all(r), "\"delta\":\"\""));
    peer_free(&r);
}

static void an_answer_at_once_streams_too(void **state)
{
    (void)state;
    struct peer *r = post(w, AUTH SSE, "{\"message\":\"hi\"}");

    until_messages(w, 1);
    answer(w, "ho");
    assert_non_null(strstr(peer_all(r), "data: {\"delta\":\"ho\"}\n\n"));
    assert_non_null(strstr(peer_all(r), "data: {\"done\":true"));
    peer_free(&r);
}

static void silence_is_filled(void **state)
{
    (void)state;
    struct peer *stream = post(w, AUTH SSE, "{\"message\":\"hi\"}"), *plain = post(w, AUTH, "{\"message\":\"hi\"}");

    until_messages(w, 2);
    clock_test_advance(CALL_BEAT_MS);
    assert_int_equal(peer_status(stream), 200);
    peer_until(stream, ":\n\n");
    for (int64_t ms = CALL_BEAT_MS; ms < CALL_WAIT_MS; ms += CALL_BEAT_MS) {
        assert_false(plain->eof);
        clock_test_advance(CALL_BEAT_MS);
        world_turns(w, 5);
    }
    peer_expect_error(plain, 503, "timeout");
    assert_null(strstr(peer_all(stream), "\"done\"")); /* cut */
    peer_free(&stream);
}

/* --- failures --- */

static void failures_of_the_model(void **state)
{
    (void)state;
    const struct {
        enum err_code error;
        int status;
        const char *code;
    } cases[] = {
        { ERR_RATE, 429, "rate" },        { ERR_OVERLOAD, 503, "overload" }, { ERR_NET, 503, "net" },
        { ERR_TIMEOUT, 503, "timeout" },  { ERR_SERVER, 503, "server" },     { ERR_PROTO, 503, "proto" },
        { ERR_EMPTY, 200, NULL },         { ERR_QUOTA, 200, NULL },
        { ERR_CONTENT, 200, NULL },       { ERR_AUTH, 200, NULL },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int stream = 0; stream < 2; stream++) {
            struct peer *r = post(w, stream ? AUTH SSE : AUTH, "{\"message\":\"hi\"}");
            struct world_event ev = { .id = "m1", .text = "Sorry.", .done = true, .notice = true, .finish = "error",
                                      .error = cases[i].error };

            until_messages(w, w->n_messages + 1);
            ev.chat = w->last.chat;
            world_bot(w, &ev);
            if (cases[i].status != 200) {
                peer_until(r, "Retry-After: ");
                peer_until(r, "\"message\":\"Sorry.\"");
                peer_expect_error(r, cases[i].status, cases[i].code);
                continue;
            }
            assert_int_equal(peer_status(r), 200);
            assert_non_null(strstr(peer_all(r), "\"reply\":\"Sorry.\",\"finish_reason\":\"error\""));
            assert_non_null(strstr(peer_all(r), "\"notice\":true"));
            peer_free(&r);
        }
    }
}

static void a_failure_in_the_middle_of_a_stream(void **state)
{
    (void)state;
    struct peer *r = post(w, AUTH SSE, "{\"message\":\"hi\"}");
    struct world_event ev = { .id = "m1", .text = "I th" };

    until_messages(w, 1);
    ev.chat = w->last.chat;
    world_bot(w, &ev);
    peer_until(r, "I th");
    ev = (struct world_event){ .chat = w->last.chat, .id = "m1", .text = "Sorry.", .edit = true, .done = true,
                               .notice = true, .finish = "error", .error = ERR_SERVER };
    world_bot(w, &ev);
    assert_non_null(strstr(peer_all(r), "data: {\"replace\":\"Sorry.\"}"));
    assert_non_null(strstr(peer_all(r), "\"finish_reason\":\"error\""));
    assert_non_null(strstr(peer_all(r), "\"notice\":true}"));
    peer_free(&r);
}

static void a_bot_that_says_nothing(void **state)
{
    (void)state;
    struct peer *r;

    w->silent = true;
    r = post(w, AUTH, "{\"message\":\"hi\"}");
    assert_int_equal(peer_status(r), 200);
    assert_non_null(strstr(peer_body(r), "\"reply\":\"\",\"finish_reason\":\"cancelled\""));
    peer_free(&r);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_question_and_its_answer),
        TEST(who_may_ask),
        TEST(a_demo_needs_no_token),
        TEST(what_cannot_be_asked),
        TEST(limits),
        TEST(refusals_of_the_host),
        TEST(a_stream),
        TEST(an_answer_at_once_streams_too),
        TEST(silence_is_filled),
        TEST(failures_of_the_model),
        TEST(a_failure_in_the_middle_of_a_stream),
        TEST(a_bot_that_says_nothing),
    };

    clock_test_freeze(INT64_C(1800000000000));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
