/* completion.c: the client against the practice server, against the practice
 * model in the process, and against a server that does everything wrong. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/base/clock.h"
#include "plugin/base/mem.h"
#include "plugin/base/utf8.h"
#include "plugin/model/completion.h"
#include "plugin/model/practice_server.h"
#include "tests/unit/scripted.h"
#include "tests/unit/transcript.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define HELLO "[{\"role\":\"user\",\"content\":\"hello\"}]"
#define SEEN_MAX (8U * 1024 * 1024)

/* A loop with a client; and what one completion came to. */
struct bench {
    struct loop *loop;
    struct http_client *http;
    struct model_client *client;
    struct model_conf conf;
    char url[64];
    struct completion *completion;
    struct buf seen;
    int texts, restarts, dones, cancel_at; /* cancel_at: the text that cancels */
    bool free_client;                      /* by that text */
    struct completion_result result;
    struct err e;
};

static void set_port(struct bench *b, int port)
{
    snprintf(b->url, sizeof b->url, "http://127.0.0.1:%d/v1", port);
    b->conf.base_url = b->url;
}

static int setup(void **state)
{
    struct bench *b = mem_alloc(sizeof *b);
    assert_int_equal(loop_new(0, &b->loop, &b->e), ERR_OK);
    assert_int_equal(http_client_new(b->loop, &b->http, &b->e), ERR_OK);
    assert_int_equal(model_client_new(b->loop, b->http, &b->client, &b->e), ERR_OK);
    b->conf = (struct model_conf){
        .name = (char *)"test",
        .model = (char *)"m",
        .temperature = NAN,
        .top_p = NAN,
        .frequency_penalty = NAN,
        .presence_penalty = NAN,
        .seed = INT64_MIN,
        .stream = true,
        .stream_usage = true,
        .include_obfuscation = true,
        .connect_timeout = 5000,
        .first_byte_timeout = 5000,
        .idle_timeout = 5000,
        .retries = 2,
        .retry_ceiling = 60000,
        .retry_budget = 60000,
        .practice_knobs = {.chunk_chars = 4},
    };
    secret_set(&b->conf.api_key, "sk-test-key", strlen("sk-test-key"));
    buf_init(&b->seen, SEEN_MAX);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    model_client_free(&b->client);
    http_client_free(&b->http);
    loop_free(&b->loop);
    secret_clear(&b->conf.api_key);
    buf_free(&b->seen);
    free(b);
    return 0;
}

static void on_text(void *arg, const char *delta, size_t len)
{
    struct bench *b = arg;
    assert_true(utf8_valid(delta, len));
    assert_true(len > 0);
    buf_add(&b->seen, delta, len);
    if (++b->texts != b->cancel_at)
        return;
    if (b->free_client)
        model_client_free(&b->client);
    else
        completion_cancel(&b->completion);
}

static void on_restart(void *arg)
{
    struct bench *b = arg;
    b->restarts++;
    buf_reset(&b->seen);
}

static void on_done(void *arg, const struct completion_result *r, const struct err *e)
{
    struct bench *b = arg;
    b->dones++;
    b->result = *r;
    b->e = *e;
    assert_true((r->finish == FINISH_ERROR) == (e->code != ERR_OK));
    completion_cancel(&b->completion); /* legal, and nothing more */
}

static void start(struct bench *b, const char *messages)
{
    static const struct completion_handler handler = {on_text, NULL, on_restart, NULL, on_done, NULL};
    struct completion_request req = {.model = &b->conf, .messages = messages, .messages_len = strlen(messages)};
    b->texts = b->restarts = b->dones = 0;
    buf_reset(&b->seen);
    b->completion = completion_start(b->client, &req, &handler, b);
    assert_int_equal(b->dones, 0);
}

static void finish(struct bench *b)
{
    while (!b->dones)
        loop_turn(b->loop, true);
}

static void run(struct bench *b, const char *messages)
{
    start(b, messages);
    finish(b);
    for (int i = 0; i < 3; i++)
        loop_turn(b->loop, false);
    assert_int_equal(b->dones, 1);
}

/* Runs one completion against scripts. */
static struct scripted *play(struct bench *b, const struct script *scripts, size_t n)
{
    struct scripted *s = scripted_new(b->loop, scripts, n);
    set_port(b, scripted_port(s));
    run(b, HELLO);
    return s;
}

static void expect(struct bench *b, enum err_code code, const char *seen, int attempts)
{
    if (b->e.code != code)
        fail_msg("%s: %s", err_name(b->e.code), b->e.text);
    assert_string_equal(buf_str(&b->seen), seen);
    assert_int_equal(b->result.attempts, attempts);
}

/* --- the practice server --- */

static struct practice_server *serve(struct bench *b, const struct practice_conf *knobs)
{
    struct practice_server_config conf = {.address = "127.0.0.1", .knobs = *knobs};
    struct practice_server *s;
    if (practice_server_new(b->loop, &conf, &s, &b->e) != ERR_OK)
        fail_msg("%s", b->e.text);
    set_port(b, practice_server_port(s));
    return s;
}

static void test_practice_server(void **state)
{
    struct bench *b = *state;
    struct practice_conf knobs = {.chunk_chars = 4};
    struct practice_server *s = serve(b, &knobs);
    char text[4096];
    for (int stream = 1; stream >= 0; stream--) {
        b->conf.stream = stream;
        run(b, HELLO);
        assert_int_equal(b->e.code, ERR_OK);
        assert_int_equal(b->result.finish, FINISH_STOP);
        assert_int_equal(b->result.attempts, 1);
        assert_true(b->result.usage.known);
        assert_true(b->result.usage.completion_tokens > 20);
        assert_non_null(strstr(buf_str(&b->seen), "practice model"));
        assert_int_equal(strncmp(b->result.request_id, "chatcmpl-practice-", 18), 0);
        if (stream)
            snprintf(text, sizeof text, "%s", buf_str(&b->seen));
        else
            assert_string_equal(buf_str(&b->seen), text);
    }
    practice_server_free(&s);
}

static void test_practice_in_the_process(void **state)
{
    struct bench *b = *state;
    struct practice_server *s = serve(b, &b->conf.practice_knobs);
    static const char *const messages[] = {HELLO, "[{\"role\":\"user\",\"content\":\"#echo 你好 😀\"}]",
                                           "[{\"role\":\"user\",\"content\":\"a long story\"}]"};
    for (size_t i = 0; i < COUNT(messages); i++) {
        char text[8192];
        b->conf.practice = false;
        run(b, messages[i]);
        assert_int_equal(b->e.code, ERR_OK);
        snprintf(text, sizeof text, "%s", buf_str(&b->seen));
        b->conf.practice = true;
        run(b, messages[i]);
        assert_int_equal(b->e.code, ERR_OK);
        assert_string_equal(buf_str(&b->seen), text);
    }
    practice_server_free(&s);
}

/* Every order that fails, over HTTP and in the process, streamed and not. */
static void test_practice_failures(void **state)
{
    struct bench *b = *state;
    struct practice_server *s = serve(b, &b->conf.practice_knobs);
    static const struct {
        const char *messages;
        enum err_code stream, whole;
        const char *seen;
    } cases[] = {
        {"[{\"role\":\"user\",\"content\":\"#fail 500\"}]", ERR_SERVER, ERR_SERVER, ""},
        {"[{\"role\":\"user\",\"content\":\"#fail 429\"}]", ERR_RATE, ERR_RATE, ""},
        {"[{\"role\":\"user\",\"content\":\"#fail cut #echo abcd\"}]", ERR_NET, ERR_PROTO, "ab"},
        {"[]", ERR_PARAM, ERR_PARAM, ""},
    };
    b->conf.retries = 0;
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (int way = 0; way < 4; way++) {
            b->conf.practice = way & 1;
            b->conf.stream = way & 2;
            run(b, cases[i].messages);
            enum err_code code = b->conf.stream ? cases[i].stream : cases[i].whole;
            expect(b, code, b->conf.stream ? cases[i].seen : "", 1);
        }
    }
    practice_server_free(&s);
}

/* A virtual clock: nothing here waits. */
static void test_practice_takes_its_time(void **state)
{
    struct bench *b = *state;
    b->conf.practice = true;
    b->conf.practice_knobs = (struct practice_conf){.delay_ms = 1000, .chunk_ms = 50, .chunk_chars = 1};
    clock_test_freeze(1800000000000);
    start(b, "[{\"role\":\"user\",\"content\":\"#echo abc\"}]");
    int64_t first = -1;
    for (int64_t ms = 0; !b->dones; ms += 10) {
        for (int i = 0; i < 3; i++)
            loop_turn(b->loop, false);
        if (b->texts && first < 0)
            first = ms;
        assert_in_range(ms, 0, 2000);
        clock_test_advance(10);
    }
    assert_in_range(first, 1050, 1060); /* the role comes first */
    expect(b, ERR_OK, "abc", 1);
    assert_int_equal(b->texts, 3);
}

static void test_break_is_repeated(void **state)
{
    struct bench *b = *state;
    b->conf.practice = true;
    clock_test_freeze(1800000000000);
    start(b, "[{\"role\":\"user\",\"content\":\"#fail cut once #echo abcdef\"}]");
    for (int64_t ms = 0; !b->dones; ms += 5) {
        loop_turn(b->loop, false);
        loop_turn(b->loop, false);
        if (b->texts && ms < 370)
            assert_string_equal(buf_str(&b->seen), "abc"); /* stays until there is better */
        assert_in_range(ms, 0, 700);
        clock_test_advance(5);
    }
    expect(b, ERR_OK, "abcdef", 2);
    assert_int_equal(b->restarts, 1);
}

/* --- a server with a script --- */

#define SSE_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nretry-after-ms: 1\r\n\r\n"
#define JSON_HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nretry-after-ms: 1\r\n\r\n"
#define DELTA(text) "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" text "\"}}]}\n\n"
#define STOP "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define DONE "data: [DONE]\n\n"
#define GOOD SSE_HEAD DELTA("good") STOP DONE

static void test_request(void **state)
{
    struct bench *b = *state;
    static const struct script scripts[] = {{.answer = GOOD}};
    struct scripted *s = play(b, scripts, 1);
    const char *last = scripted_last(s);
    expect(b, ERR_OK, "good", 1);
    assert_int_equal(strncmp(last, "POST /v1/chat/completions HTTP/1.1\r\n", 36), 0);
    assert_non_null(strstr(last, "\r\nAuthorization: Bearer sk-test-key\r\n"));
    assert_non_null(strstr(last, "\r\nAccept: text/event-stream\r\n"));
    assert_non_null(strstr(last, "\r\nContent-Type: application/json\r\n"));
    assert_string_equal(strstr(last, "\r\n\r\n") + 4, "{\"model\":\"m\",\"messages\":" HELLO
                                                      ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
    scripted_free(s);
}

/* One attempt each: a body, and what it is. */
static void test_answers(void **state)
{
    struct bench *b = *state;
    static const struct {
        struct script script;
        enum err_code code;
        const char *seen;
        enum finish_reason finish;
    } cases[] = {
        {{.answer = GOOD}, ERR_OK, "good", FINISH_STOP},
        {{.answer = SSE_HEAD "\xEF\xBB\xBF" DELTA("a") STOP}, ERR_OK, "a", FINISH_STOP},
        {{.answer = SSE_HEAD ": hello\r\n\r\n" DELTA("a") ": x\n" STOP DONE}, ERR_OK, "a", FINISH_STOP},
        {{.answer = SSE_HEAD "data:{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\rdata: [DONE]"}, ERR_OK, "a", FINISH_STOP},
        {{.answer = SSE_HEAD DELTA("a") "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}]}"}, ERR_OK, "a",
         FINISH_LENGTH},
        {{.answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" DELTA("a") STOP}, ERR_OK, "a", FINISH_STOP},
        {{.answer = SSE_HEAD "{\"choices\":[{\"message\":{\"content\":\"plain\"},\"finish_reason\":\"stop\"}]}"}, ERR_OK,
         "plain", FINISH_STOP},
        {{.answer = JSON_HEAD "\n\n\n{\"choices\":[{\"message\":{\"content\":\"late\"}}]}", .portion = 1}, ERR_OK, "late",
         FINISH_STOP},
        {{.answer = JSON_HEAD "{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n{\"choices\":[{\"delta\":{},"
                              "\"finish_reason\":\"stop\"}]}\n"},
         ERR_OK, "a", FINISH_STOP},
        {{.answer = SSE_HEAD DELTA("a") STOP, .after = AFTER_RESET}, ERR_OK, "a", FINISH_STOP},
        {{.answer = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" DELTA("a") STOP}, ERR_OK, "a", FINISH_STOP},
        {{.answer = SSE_HEAD DELTA("a")}, ERR_NET, "a", FINISH_ERROR},
        {{.answer = SSE_HEAD DELTA("a") "data: {\"choi"}, ERR_PROTO, "a", FINISH_ERROR},
        {{.answer = SSE_HEAD DELTA("a"), .after = AFTER_RESET}, ERR_NET, "a", FINISH_ERROR},
        {{.answer = SSE_HEAD DELTA("a") "data: {\"error\":{\"code\":402,\"message\":\"x\"}}\n\n" DELTA("b"), .after = AFTER_KEEP},
         ERR_QUOTA, "a", FINISH_ERROR},
        {{.answer = SSE_HEAD "event: error\ndata: {\"message\":\"overloaded\"}\n\n"}, ERR_OVERLOAD, "", FINISH_ERROR},
        {{.answer = JSON_HEAD "{\"error\":{\"message\":\"x\",\"type\":\"invalid_request_error\"}}"}, ERR_PARAM, "", FINISH_ERROR},
        {{.answer = JSON_HEAD "[{\"error\":{\"code\":403,\"message\":\"x\"}}]"}, ERR_AUTH, "", FINISH_ERROR},
        {{.answer = JSON_HEAD "{malformed json: <<<chaos>>>"}, ERR_PROTO, "", FINISH_ERROR},
        {{.answer = JSON_HEAD "{\"choices\":[{\"message\":{\"content\":\"cu"}, ERR_PROTO, "", FINISH_ERROR},
        {{.answer = JSON_HEAD "<html><title>Sign in</title>"}, ERR_PROTO, "", FINISH_ERROR},
        {{.answer = JSON_HEAD}, ERR_PROTO, "", FINISH_ERROR},
        {{.answer = JSON_HEAD " \n "}, ERR_PROTO, "", FINISH_ERROR},
        {{.answer = SSE_HEAD STOP DONE}, ERR_EMPTY, "", FINISH_ERROR},
        {{.answer = SSE_HEAD "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"id\":\"a\",\"function\":{\"name\":\"f\"}}]},"
                             "\"finish_reason\":\"tool_calls\"}]}\n\n"},
         ERR_EMPTY, "", FINISH_ERROR},
        {{.answer = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 26\r\n\r\n<html><title>Bad</title>\r\n"}, ERR_SERVER, "",
         FINISH_ERROR},
        {{.answer = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"}, ERR_AUTH, "", FINISH_ERROR},
        {{.answer = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"}, ERR_PARAM, "",
         FINISH_ERROR},
        {{.answer = "HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\n{\"error\":"}, ERR_SERVER, "", FINISH_ERROR},
        {{.answer = "nonsense\r\n\r\n"}, ERR_NET, "", FINISH_ERROR},
        {{.answer = "", .len = 0}, ERR_NET, "", FINISH_ERROR},
    };
    b->conf.retries = 0;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct scripted *s = play(b, &cases[i].script, 1);
        if (b->e.code != cases[i].code || strcmp(buf_str(&b->seen), cases[i].seen) != 0 ||
            b->result.finish != cases[i].finish)
            fail_msg("%s: %s (%s), \"%s\"", cases[i].script.answer, err_name(b->e.code), b->e.text, buf_str(&b->seen));
        assert_int_equal(b->result.attempts, 1);
        scripted_free(s);
    }
}

static void test_every_split_over_tcp(void **state)
{
    struct bench *b = *state;
    static const char *const names[] = {"llamacpp-02-plain-stream", "aimock-02-stream-usage"};
    for (size_t i = 0; i < COUNT(names); i++) {
        struct transcript t;
        struct buf answer;
        transcript_read(&t, names[i]);
        buf_init(&answer, SEEN_MAX);
        buf_adds(&answer, SSE_HEAD);
        buf_add(&answer, t.body, t.len);
        char whole[256] = "";
        for (size_t portion = 0; portion < 8; portion++) {
            struct script script = {.answer = answer.data, .len = answer.len, .portion = portion};
            struct scripted *s = play(b, &script, 1);
            if (portion == 0)
                snprintf(whole, sizeof whole, "%s", buf_str(&b->seen));
            expect(b, ERR_OK, whole, 1);
            assert_non_null(strstr(whole, "👩‍👩‍👧‍👦"));
            scripted_free(s);
        }
        buf_free(&answer);
        transcript_free(&t);
    }
}

static void test_request_id(void **state)
{
    struct bench *b = *state;
    static const struct {
        const char *answer, *id;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nX-Request-Id:  req-1 \r\n\r\n" DELTA("a") STOP, "req-1"},
        {"HTTP/1.1 401 x\r\nx-request-id: req-2\r\nContent-Length: 0\r\n\r\n", "req-2"},
        {SSE_HEAD "data: {\"id\":\"chat-3\",\"choices\":[]}\n\n" DELTA("a") STOP, "chat-3"},
        {GOOD, ""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct script script = {.answer = cases[i].answer};
        struct scripted *s = play(b, &script, 1);
        assert_string_equal(b->result.request_id, cases[i].id);
        scripted_free(s);
    }
}

#define STATUS(line, headers) "HTTP/1.1 " line "\r\nContent-Length: 0\r\n" headers "\r\n"

#define BRIEFLY "retry-after-ms: 1\r\n"

static void test_retries(void **state)
{
    struct bench *b = *state;
    static const struct {
        const char *what;
        const char *answers[4]; /* the last one again and again */
        enum err_code code;
        const char *seen;
        int attempts, restarts;
    } cases[] = {
        {"429 with a delay", {STATUS("429 x", BRIEFLY), GOOD}, ERR_OK, "good", 2, 0},
        {"429 over the ceiling", {STATUS("429 x", "Retry-After: 61\r\n"), GOOD}, ERR_RATE, "", 1, 0},
        {"503 over the ceiling", {STATUS("503 x", "Retry-After: 3600\r\n"), GOOD}, ERR_OVERLOAD, "", 1, 0},
        {"429 again and again", {STATUS("429 x", BRIEFLY)}, ERR_RATE, "", 3, 0},
        {"502, 503, good", {STATUS("502 x", BRIEFLY), STATUS("503 x", BRIEFLY), GOOD}, ERR_OK, "good", 3, 0},
        {"401", {STATUS("401 x", BRIEFLY), GOOD}, ERR_AUTH, "", 1, 0},
        {"404", {STATUS("404 x", BRIEFLY), GOOD}, ERR_MODEL, "", 1, 0},
        {"400", {STATUS("400 x", BRIEFLY), GOOD}, ERR_PARAM, "", 1, 0},
        {"501", {STATUS("501 x", BRIEFLY), GOOD}, ERR_PARAM, "", 1, 0},
        {"cut, then good", {SSE_HEAD DELTA("half"), GOOD}, ERR_OK, "good", 2, 1},
        {"cut before any text", {SSE_HEAD, GOOD}, ERR_OK, "good", 2, 0},
        {"cut, refused, good", {SSE_HEAD DELTA("half"), STATUS("503 x", BRIEFLY), GOOD}, ERR_OK, "good", 3, 1},
        {"cut twice", {SSE_HEAD DELTA("one"), SSE_HEAD DELTA("two"), GOOD}, ERR_OK, "good", 3, 2},
        {"cut for ever", {SSE_HEAD DELTA("half")}, ERR_NET, "half", 3, 2},
        {"cut, then no money", {SSE_HEAD DELTA("half"), STATUS("402 x", "")}, ERR_QUOTA, "half", 2, 0},
        {"error inside, then good",
         {SSE_HEAD DELTA("half") "data: {\"error\":{\"code\":502,\"message\":\"x\"}}\n\n", GOOD},
         ERR_OK, "good", 2, 1},
        {"failed by its own word",
         {SSE_HEAD DELTA("half") "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"network_error\"}]}\n\n", GOOD},
         ERR_OK, "good", 2, 1},
        {"malformed, then good", {JSON_HEAD "{malformed", GOOD}, ERR_OK, "good", 2, 0},
        {"a page, then good", {JSON_HEAD "<html>", GOOD}, ERR_OK, "good", 2, 0},
        {"empty, then good", {SSE_HEAD STOP DONE, GOOD}, ERR_OK, "good", 2, 0},
        {"empty twice", {SSE_HEAD STOP DONE, SSE_HEAD STOP DONE, GOOD}, ERR_EMPTY, "", 2, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct script scripts[4] = {{.answer = NULL}};
        size_t n = 0;
        for (; n < COUNT(scripts) && cases[i].answers[n]; n++)
            scripts[n].answer = cases[i].answers[n];
        struct scripted *s = play(b, scripts, n);
        if (b->e.code != cases[i].code || b->result.attempts != cases[i].attempts || b->restarts != cases[i].restarts ||
            strcmp(buf_str(&b->seen), cases[i].seen) != 0)
            fail_msg("%s: %s (%s), \"%s\", %d attempts, %d restarts", cases[i].what, err_name(b->e.code), b->e.text,
                     buf_str(&b->seen), b->result.attempts, b->restarts);
        assert_int_equal(scripted_requests(s), cases[i].attempts);
        scripted_free(s);
    }
}

/* A complete answer in chunks, without "Connection: close". */
static void chunked(struct buf *answer)
{
    static const char *const parts[] = {DELTA("good"), STOP, DONE, ""};
    buf_init(answer, SEEN_MAX);
    buf_adds(answer, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nKeep-Alive: timeout=5, max=100\r\n\r\n");
    for (size_t i = 0; i < COUNT(parts); i++)
        buf_addf(answer, "%zx\r\n%s\r\n", strlen(parts[i]), parts[i]);
}

/* A server that closes after each answer without saying so, as llama-server
 * does: the next request finds a dead connection, and that is no failure. */
static void test_closed_after_a_stream(void **state)
{
    struct bench *b = *state;
    struct buf answer;
    chunked(&answer);
    struct script script = {.answer = answer.data};
    struct scripted *s = scripted_new(b->loop, &script, 1);
    b->conf.retries = 0;
    set_port(b, scripted_port(s));
    for (int i = 0; i < 20; i++) {
        run(b, HELLO);
        expect(b, ERR_OK, "good", 1);
    }
    scripted_free(s);
    buf_free(&answer);
}

static void test_connection_is_kept(void **state)
{
    struct bench *b = *state;
    struct buf answer;
    chunked(&answer);
    struct script script = {.answer = answer.data, .after = AFTER_KEEP};
    struct scripted *s = scripted_new(b->loop, &script, 1);
    set_port(b, scripted_port(s));
    for (int i = 0; i < 5; i++) {
        run(b, HELLO);
        expect(b, ERR_OK, "good", 1);
    }
    assert_int_equal(scripted_requests(s), 5);
    assert_int_equal(scripted_connections(s), 1);
    scripted_free(s);
    buf_free(&answer);
}

/* The answer is complete and the connection stays open. Virtual clock. */
static void test_open_after_the_end(void **state)
{
    struct bench *b = *state;
    static const struct {
        struct script script;
        int64_t at_least_ms, at_most_ms;
    } cases[] = {
        {{.answer = GOOD, .after = AFTER_KEEP}, 50, 60},
        {{.answer = SSE_HEAD DELTA("good") STOP, .after = AFTER_KEEP}, 2000, 2010},
    };
    clock_test_freeze(1800000000000);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct scripted *s = scripted_new(b->loop, &cases[i].script, 1);
        set_port(b, scripted_port(s));
        start(b, HELLO);
        while (b->texts == 0)
            loop_turn(b->loop, false);
        int64_t ms = 0;
        for (; !b->dones; ms += 10) {
            loop_turn(b->loop, false);
            clock_test_advance(10);
            assert_in_range(ms, 0, 3000);
        }
        assert_in_range(ms, cases[i].at_least_ms, cases[i].at_most_ms + 10);
        expect(b, ERR_OK, "good", 1);
        scripted_free(s);
    }
}

static void test_deadlines(void **state)
{
    struct bench *b = *state;
    static const struct {
        const char *answer, *seen;
    } cases[] = {
        {"", ""},                                      /* not even a head */
        {SSE_HEAD, ""},                                /* a head and nothing more */
        {SSE_HEAD DELTA("a"), "a"},                    /* silent in the middle */
        {SSE_HEAD DELTA("a") ": still here\n\n", "a"}, /* a comment is a byte, but then */
    };
    b->conf.retries = 0;
    b->conf.first_byte_timeout = b->conf.idle_timeout = 60;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct script script = {.answer = cases[i].answer, .after = AFTER_KEEP};
        struct scripted *s = play(b, &script, 1);
        expect(b, ERR_TIMEOUT, cases[i].seen, 1);
        scripted_free(s);
    }
}

static void test_refused(void **state)
{
    struct bench *b = *state;
    struct scripted *s = scripted_new(b->loop, &(struct script){.answer = GOOD}, 1);
    set_port(b, scripted_port(s));
    scripted_free(s);
    b->conf.retries = 0;
    run(b, HELLO);
    expect(b, ERR_NET, "", 1);
    b->conf.base_url = (char *)"ftp://127.0.0.1/";
    run(b, HELLO);
    expect(b, ERR_INVALID, "", 1);
}

static void test_key_stays_secret(void **state)
{
    struct bench *b = *state;
    static const struct script scripts[] = {{
        .answer = "HTTP/1.1 400 Bad\r\nContent-Length: 44\r\n\r\n{\"error\":\"not sk-test-key but sk-test-key x\"}",
    }};
    struct scripted *s = play(b, scripts, 1);
    assert_int_equal(b->e.code, ERR_PARAM);
    assert_non_null(strstr(b->e.text, "***"));
    assert_null(strstr(b->e.text, "test-key"));
    assert_int_equal(strncmp(b->e.text, "model test: HTTP 400", 20), 0);
    scripted_free(s);
}

/* What is longer than an answer may be ends the request, at a character. */
static void test_text_limit(void **state)
{
    struct bench *b = *state;
    for (int over = 0; over < 2; over++) {
        struct buf answer;
        buf_init(&answer, SEEN_MAX);
        buf_adds(&answer, SSE_HEAD);
        for (size_t n = 0; n < COMPLETION_TEXT_BYTES_MAX / 1024 + (size_t)over; n++) {
            buf_adds(&answer, "data: {\"choices\":[{\"delta\":{\"content\":\"");
            for (int i = 0; i < 256; i++)
                buf_adds(&answer, "😀");
            buf_adds(&answer, "\"}}]}\n\n");
        }
        buf_adds(&answer, over ? ": and no end\n" : DONE);
        struct script script = {.answer = answer.data, .len = answer.len, .after = AFTER_KEEP};
        struct scripted *s = play(b, &script, 1);
        assert_int_equal(b->e.code, ERR_OK);
        assert_int_equal(b->seen.len, COMPLETION_TEXT_BYTES_MAX);
        assert_int_equal(b->result.finish, over ? FINISH_LENGTH : FINISH_STOP);
        scripted_free(s);
        buf_free(&answer);
    }
}

static void test_response_limit(void **state)
{
    struct bench *b = *state;
    struct buf answer;
    buf_init(&answer, COMPLETION_RESPONSE_BYTES_MAX + 4096);
    buf_adds(&answer, SSE_HEAD DELTA("good"));
    while (answer.len <= COMPLETION_RESPONSE_BYTES_MAX + 1024)
        buf_adds(&answer, ": much ado about nothing, again and again and again, for ever and a day\n\n");
    struct script script = {.answer = answer.data, .len = answer.len};
    struct scripted *s = play(b, &script, 1);
    expect(b, ERR_OK, "good", 1);
    assert_int_equal(b->result.finish, FINISH_LENGTH);
    scripted_free(s);
    buf_free(&answer);
}

/* --- cancelling --- */

static void test_cancel(void **state)
{
    struct bench *b = *state;
    static const struct script scripts[] = {{.answer = SSE_HEAD DELTA("a") DELTA("b"), .after = AFTER_KEEP}};
    struct scripted *s = scripted_new(b->loop, scripts, 1);
    set_port(b, scripted_port(s));
    for (int practice = 0; practice < 2; practice++) {
        b->conf.practice = practice;
        start(b, HELLO); /* before it began */
        completion_cancel(&b->completion);
        assert_null(b->completion);
        completion_cancel(&b->completion);
        b->cancel_at = 1; /* inside its own callback */
        start(b, HELLO);
        while (b->texts == 0)
            loop_turn(b->loop, true);
        for (int i = 0; i < 20; i++)
            loop_turn(b->loop, false);
        assert_int_equal(b->texts, 1);
        assert_int_equal(b->dones, 0);
        assert_null(b->completion);
    }
    scripted_free(s);
}

static void test_client_freed(void **state)
{
    struct bench *b = *state;
    static const struct script scripts[] = {{.answer = SSE_HEAD DELTA("a"), .after = AFTER_KEEP}};
    struct scripted *s = scripted_new(b->loop, scripts, 1);
    set_port(b, scripted_port(s));
    start(b, HELLO);
    start(b, HELLO);
    b->cancel_at = 1;
    b->free_client = true;
    while (b->texts == 0)
        loop_turn(b->loop, true);
    for (int i = 0; i < 20; i++)
        loop_turn(b->loop, false);
    assert_int_equal(b->texts, 1);
    assert_int_equal(b->dones, 0);
    scripted_free(s);
}

/* --- ping --- */

static void on_ping(void *arg, const struct err *e)
{
    struct bench *b = arg;
    b->dones++;
    b->e = *e;
}

static void ping(struct bench *b)
{
    b->dones = 0;
    model_ping(b->client, &b->conf, on_ping, b);
    assert_int_equal(b->dones, 0);
    finish(b);
}

static void test_ping(void **state)
{
    struct bench *b = *state;
    struct practice_server *p = serve(b, &b->conf.practice_knobs);
    ping(b);
    assert_int_equal(b->e.code, ERR_OK);
    practice_server_free(&p);

    static const struct {
        struct script script;
        enum err_code code;
    } cases[] = {
        {{.answer = JSON_HEAD "{\"data\":[]}"}, ERR_OK},
        {{.answer = JSON_HEAD " [\"m\"]"}, ERR_OK},
        {{.answer = JSON_HEAD "<html>"}, ERR_PROTO},
        {{.answer = JSON_HEAD}, ERR_PROTO},
        {{.answer = STATUS("401 x", "")}, ERR_AUTH},
        {{.answer = STATUS("404 x", "")}, ERR_MODEL},
        {{.answer = "", .len = 0}, ERR_NET},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct scripted *s = scripted_new(b->loop, &cases[i].script, 1);
        set_port(b, scripted_port(s));
        ping(b);
        assert_int_equal(b->e.code, cases[i].code);
        assert_int_equal(strncmp(scripted_last(s), "GET /v1/models HTTP/1.1\r\n", 25), 0);
        scripted_free(s);
    }

    b->conf.base_url = (char *)"nonsense://";
    ping(b);
    assert_int_equal(b->e.code, ERR_INVALID);
    b->conf.practice = true;
    ping(b);
    assert_int_equal(b->e.code, ERR_OK);
}

static void test_ping_tries_each_key(void **state)
{
    struct bench *b = *state;
    static const struct script good[] = {{.answer = JSON_HEAD "{\"data\":[]}"}};
    static const struct script bad[] = {{.answer = JSON_HEAD "{\"data\":[]}"}, {.answer = STATUS("401 x", "")},
                                        {.answer = STATUS("402 x", "")}};
    struct secret keys[3] = {{NULL}};
    b->conf.keys = (struct secrets){keys, COUNT(keys)};
    for (size_t i = 0; i < COUNT(keys); i++)
        secret_set(&keys[i], "sk-test-key", strlen("sk-test-key"));
    struct scripted *s = scripted_new(b->loop, good, COUNT(good));
    set_port(b, scripted_port(s));
    ping(b);
    assert_int_equal(b->e.code, ERR_OK);
    assert_int_equal(scripted_requests(s), 3);
    scripted_free(s);
    s = scripted_new(b->loop, bad, COUNT(bad));
    set_port(b, scripted_port(s));
    ping(b);
    assert_true(b->e.code == ERR_AUTH || b->e.code == ERR_QUOTA); /* whose request comes first is not said */
    assert_non_null(strstr(b->e.text, " of 3: HTTP 401"));
    assert_non_null(strstr(b->e.text, "; key "));
    assert_non_null(strstr(b->e.text, " of 3: HTTP 402"));
    scripted_free(s);
    for (size_t i = 0; i < COUNT(keys); i++)
        secret_clear(&keys[i]);
}

static void test_ping_ends_with_the_client(void **state)
{
    struct bench *b = *state;
    static const struct script scripts[] = {{.answer = JSON_HEAD, .after = AFTER_KEEP}};
    struct scripted *s = scripted_new(b->loop, scripts, 1);
    set_port(b, scripted_port(s));
    b->dones = 0;
    model_ping(b->client, &b->conf, on_ping, b);
    while (scripted_requests(s) == 0)
        loop_turn(b->loop, true);
    model_client_free(&b->client);
    for (int i = 0; i < 5; i++)
        loop_turn(b->loop, false);
    assert_int_equal(b->dones, 0);
    scripted_free(s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    /* First what lives in real time: a frozen clock stays frozen. */
    const struct CMUnitTest tests[] = {
        TEST(test_practice_server),
        TEST(test_practice_in_the_process),
        TEST(test_practice_failures),
        TEST(test_request),
        TEST(test_request_id),
        TEST(test_answers),
        TEST(test_every_split_over_tcp),
        TEST(test_retries),
        TEST(test_closed_after_a_stream),
        TEST(test_connection_is_kept),
        TEST(test_deadlines),
        TEST(test_refused),
        TEST(test_key_stays_secret),
        TEST(test_text_limit),
        TEST(test_response_limit),
        TEST(test_cancel),
        TEST(test_client_freed),
        TEST(test_ping),
        TEST(test_ping_tries_each_key),
        TEST(test_ping_ends_with_the_client),
        TEST(test_open_after_the_end),
        TEST(test_practice_takes_its_time),
        TEST(test_break_is_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
