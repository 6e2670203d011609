/* completion.c against scripted servers: answers of a given form, reasoning, and
 * servers that do not speak Chat Completions. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/base/json.h"
#include "plugin/base/mem.h"
#include "plugin/model/completion.h"
#include "tests/unit/scripted.h"
#include "tests/unit/transcript.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define HELLO "[{\"role\":\"user\",\"content\":\"hello\"}]"
#define SEEN_MAX 65536U

#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
#define SSE_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
#define CHUNK(delta) "data: {\"choices\":[{\"index\":0,\"delta\":{" delta "}}]}\n\n"
#define STOP "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
#define WHOLE(content) \
    HEAD "{\"choices\":[{\"message\":{\"content\":" content "},\"finish_reason\":\"stop\"}]}"
#define REFUSED(text) "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n\r\n" \
    "{\"error\":{\"message\":\"" text "\",\"type\":\"invalid_request_error\",\"param\":\"response_format\",\"code\":null}}"

struct bench {
    struct loop *loop;
    struct http_client *http;
    struct model_client *client;
    struct model_conf conf;
    char url[96];
    struct scripted *server;
    struct completion *completion;
    struct buf seen, thought;
    int texts, restarts, dones, wasted;
    bool keep;
    struct completion_result result;
    struct err e;
};

static int setup(void **state)
{
    struct bench *b = mem_alloc(sizeof *b);
    assert_int_equal(loop_new(0, &b->loop, &b->e), ERR_OK);
    assert_int_equal(http_client_new(b->loop, &b->http, &b->e), ERR_OK);
    assert_int_equal(model_client_new(b->loop, b->http, &b->client, &b->e), ERR_OK);
    b->conf = (struct model_conf){
        .name = (char *)"test",
        .model = (char *)"m",
        .template = (char *)"chatml",
        .temperature = NAN,
        .top_p = NAN,
        .frequency_penalty = NAN,
        .presence_penalty = NAN,
        .seed = INT64_MIN,
        .stream = true,
        .include_obfuscation = true,
        .merge_consecutive = true,
        .connect_timeout = 5000,
        .first_byte_timeout = 5000,
        .idle_timeout = 5000,
    };
    buf_init(&b->seen, SEEN_MAX);
    buf_init(&b->thought, SEEN_MAX);
    *state = b;
    return 0;
}

static void stop_server(struct bench *b)
{
    if (b->server)
        scripted_free(b->server);
    b->server = NULL;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    stop_server(b);
    model_client_free(&b->client);
    http_client_free(&b->http);
    loop_free(&b->loop);
    secret_clear(&b->conf.api_key);
    buf_free(&b->seen);
    buf_free(&b->thought);
    free(b);
    return 0;
}

static void on_text(void *arg, const char *delta, size_t len)
{
    struct bench *b = arg;
    b->texts++;
    buf_add(&b->seen, delta, len);
}

static void on_reasoning(void *arg, const char *delta, size_t len, bool keep)
{
    struct bench *b = arg;
    b->keep = keep;
    buf_add(&b->thought, delta, len);
}

static void on_restart(void *arg)
{
    struct bench *b = arg;
    b->restarts++;
    buf_reset(&b->seen);
    buf_reset(&b->thought);
}

static void on_done(void *arg, const struct completion_result *r, const struct err *e)
{
    struct bench *b = arg;
    b->dones++;
    b->result = *r;
    b->e = *e;
    b->completion = NULL;
}

static void on_wasted(void *arg, const struct completion_result *r)
{
    struct bench *b = arg;
    b->wasted++;
    assert_true(r->usage.known || r->estimated.completion_tokens > 0);
}

static void play(struct bench *b, const struct script *scripts, size_t n, const char *path)
{
    static const struct completion_handler handler = {on_text, on_reasoning, on_restart, NULL, on_done, on_wasted};
    struct completion_request req = {.model = &b->conf, .system = "be kind", .messages = HELLO, .messages_len = strlen(HELLO)};
    b->server = scripted_new(b->loop, scripts, n);
    snprintf(b->url, sizeof b->url, "http://127.0.0.1:%d%s", scripted_port(b->server), path);
    b->conf.base_url = b->url;
    b->texts = b->restarts = b->dones = b->wasted = 0;
    buf_reset(&b->seen);
    buf_reset(&b->thought);
    b->completion = completion_start(b->client, &req, &handler, b);
    while (!b->dones)
        loop_turn(b->loop, true);
}

static void replay(struct bench *b, const struct script *scripts, size_t n)
{
    play(b, scripts, n, "/v1");
}

static const char *last_body(const struct bench *b)
{
    const char *body = strstr(scripted_last(b->server), "\r\n\r\n");
    assert_non_null(body);
    return body + 4;
}

/* --- answers of a given form --- */

#define FORM "{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\",\"schema\":{\"type\":\"object\",\"required\":[\"a\"]}}}"

static void test_good_form_is_shown_at_once(void **state)
{
    struct bench *b = *state;
    static const struct script scripts[] = {
        {.answer = SSE_HEAD CHUNK("\"content\":\"```json\\n{\\\"a\\\"\"") CHUNK("\"content\":\": 1.0}\\n```\"") STOP, .portion = 7},
    };
    b->conf.response_format = (char *)FORM;
    replay(b, scripts, 1);
    assert_int_equal(b->e.code, ERR_OK);
    assert_string_equal(buf_str(&b->seen), "{\"a\": 1.0}");
    assert_int_equal(b->texts, 1);
    assert_int_equal(b->result.attempts, 1);
    assert_non_null(strstr(last_body(b), "\"response_format\":" FORM));
}

static void test_wrong_form_is_asked_again_with_the_reason(void **state)
{
    struct bench *b = *state;
    static const struct script scripts[] = {{.answer = WHOLE("\"{}\"")}, {.answer = WHOLE("\"{\\\"a\\\":2}\"")}};
    b->conf.response_format = (char *)FORM;
    replay(b, scripts, 2);
    assert_string_equal(buf_str(&b->seen), "{\"a\":2}");
    assert_int_equal(b->result.attempts, 2);
    assert_int_equal(b->wasted, 1); /* has to be paid for all the same */
    assert_int_equal(b->restarts, 0);
    cJSON *body = json_parse(last_body(b), strlen(last_body(b)));
    const cJSON *messages = json_get(body, "messages");
    assert_int_equal(cJSON_GetArraySize(messages), 4);
    assert_string_equal(json_str(cJSON_GetArrayItem(messages, 2), "content"), "{}");
    assert_non_null(strstr(json_str(cJSON_GetArrayItem(messages, 3), "content"), "must have the member \"a\""));
    cJSON_Delete(body);
}

static void test_ladder_ends(void **state)
{
    struct bench *b = *state;
    static const struct script scripts[] = {{.answer = WHOLE("\"no\"")}};
    b->conf.response_format = (char *)FORM;
    replay(b, scripts, 1);
    assert_int_equal(b->e.code, ERR_PROTO);
    assert_string_equal(buf_str(&b->seen), "");
    assert_int_equal(b->result.attempts, 6);
    assert_int_equal(b->wasted, 6);
    assert_int_equal(b->result.estimated.total_tokens, 0);
    assert_null(strstr(last_body(b), "response_format"));
    assert_non_null(strstr(last_body(b), "JSON Schema"));
    assert_null(strstr(b->e.text, "no\""));
}

static void test_refused_form_is_learned(void **state)
{
    struct bench *b = *state;
    static const struct script scripts[] = {
        {.answer = REFUSED("'response_format' of type 'json_schema' is not supported")},
        {.answer = WHOLE("\"{\\\"a\\\":2}\"")},
        {.answer = WHOLE("\"{\\\"a\\\":3}\"")},
    };
    b->conf.response_format = (char *)FORM;
    replay(b, scripts, 3);
    assert_int_equal(b->e.code, ERR_OK);
    assert_int_equal(b->result.attempts, 2);
    assert_null(strstr(last_body(b), "\"response_format\":" FORM));
    assert_non_null(strstr(last_body(b), "JSON Schema"));
    assert_string_equal(buf_str(&b->seen), "{\"a\":2}");
}

static void test_what_is_not_judged(void **state)
{
    struct bench *b = *state;
    static const struct {
        struct script script;
        enum err_code code;
        const char *seen;
        enum finish_reason finish;
    } cases[] = {
        {{.answer = HEAD "{\"choices\":[{\"message\":{\"content\":null,\"refusal\":\"I won't\"},\"finish_reason\":\"stop\"}]}"},
         ERR_OK, "I won't", FINISH_STOP},
        {{.answer = HEAD "{\"choices\":[{\"message\":{\"content\":\"{\"},\"finish_reason\":\"content_filter\"}]}"},
         ERR_OK, "", FINISH_CONTENT_FILTER},
        {{.answer = HEAD "{\"choices\":[{\"message\":{\"content\":\"{\\\"a\"},\"finish_reason\":\"length\"}]}"}, ERR_PROTO, "",
         FINISH_ERROR},
    };
    b->conf.response_format = (char *)"json_object";
    for (size_t i = 0; i < COUNT(cases); i++) {
        replay(b, &cases[i].script, 1);
        assert_int_equal(b->e.code, cases[i].code);
        assert_string_equal(buf_str(&b->seen), cases[i].seen);
        assert_int_equal(b->result.finish, cases[i].finish);
        assert_int_equal(b->result.attempts, 1);
        stop_server(b);
    }
}

/* --- reasoning --- */

static void test_reasoning_as_configured(void **state)
{
    struct bench *b = *state;
    static const char *const answers[] = {
        SSE_HEAD CHUNK("\"reasoning_content\":\"h\"") CHUNK("\"reasoning_content\":\"m\"") CHUNK("\"content\":\"4\"") STOP,
        SSE_HEAD CHUNK("\"content\":\"<think>h\"") CHUNK("\"content\":\"m</think>4\"") STOP,
        SSE_HEAD CHUNK("\"content\":\"hm\"") CHUNK("\"content\":\"\\n</think>\\n\"") CHUNK("\"content\":\"4\"") STOP,
    };
    for (int show = SHOW_REASONING_NO; show <= SHOW_REASONING_QUOTE; show++)
        for (size_t i = 0; i < COUNT(answers); i++) {
            const struct script script = {.answer = answers[i], .portion = 40};
            b->conf.show_reasoning = show;
            b->keep = false;
            replay(b, &script, 1);
            assert_int_equal(b->e.code, ERR_OK);
            assert_string_equal(buf_str(&b->seen), "4");
            assert_int_equal(strstr(buf_str(&b->thought), "hm") != NULL, show != SHOW_REASONING_NO);
            assert_int_equal(b->keep, show == SHOW_REASONING_QUOTE);
            stop_server(b);
        }
}

/* An attempt that broke after its thoughts were seen leaves nothing of them. */
static void test_reasoning_starts_over(void **state)
{
    struct bench *b = *state;
    static const struct script scripts[] = {
        {.answer = SSE_HEAD CHUNK("\"reasoning\":\"first\"") "data: {\"error\":{\"message\":\"x\",\"code\":503}}\n\n"},
        {.answer = SSE_HEAD CHUNK("\"reasoning\":\"second\"") CHUNK("\"content\":\"4\"") STOP},
    };
    b->conf.show_reasoning = SHOW_REASONING_LIVE;
    b->conf.retries = 1;
    b->conf.retry_ceiling = b->conf.retry_budget = 60000;
    replay(b, scripts, 2);
    assert_int_equal(b->e.code, ERR_OK);
    assert_string_equal(buf_str(&b->seen), "4");
    assert_string_equal(buf_str(&b->thought), "second");
    assert_int_equal(b->restarts, 1);
}

/* --- other servers --- */

static void play_transcript(struct bench *b, const char *name, const char *path, size_t portion)
{
    struct transcript t;
    transcript_read(&t, name);
    /* The recorded head says how the body was sent, which it is not now. */
    struct buf http;
    buf_init(&http, 1 << 20);
    buf_adds(&http, "HTTP/1.1 200 OK\r\n\r\n");
    buf_add(&http, t.body, t.len);
    const struct script script = {.answer = buf_str(&http), .len = http.len, .portion = portion};
    play(b, &script, 1, path);
    buf_free(&http);
    transcript_free(&t);
}

static void test_completions(void **state)
{
    struct bench *b = *state;
    static const char *const paths[][2] = {
        {"/v1", "POST /v1/completions HTTP/1.1\r\n"},
        {"/v1/engines/e", "POST /v1/engines/e/completions HTTP/1.1\r\n"},
    };
    static const char *const names[] = {"llamacpp-30-completions", "llamacpp-31-completions-stream"};
    b->conf.api = MODEL_API_COMPLETIONS;
    for (size_t i = 0; i < COUNT(paths); i++)
        for (size_t k = 0; k < COUNT(names); k++) {
            b->conf.stream = k == 1;
            play_transcript(b, names[k], paths[i][0], k ? 11 : 0);
            assert_int_equal(b->e.code, ERR_OK);
            assert_string_equal(buf_str(&b->seen), "{\"lang\":\"zh\",\"text\":\"早上好\"}");
            assert_int_equal(b->result.usage.completion_tokens, 8);
            assert_int_equal(strncmp(scripted_last(b->server), paths[i][1], strlen(paths[i][1])), 0);
            assert_null(strstr(scripted_last(b->server), "Authorization"));
            assert_int_equal(strstr(last_body(b), "\"model\"") != NULL, i == 0);
            assert_non_null(strstr(last_body(b), "\"prompt\":\"<|im_start|>system\\nbe kind<|im_end|>\\n"));
            assert_non_null(strstr(last_body(b), "\"max_tokens\":1024"));
            stop_server(b);
        }
}

static void test_azure(void **state)
{
    struct bench *b = *state;
    static const struct script filtered = {
        .answer = "HTTP/1.1 400 Bad Request\r\n\r\n{\"error\":{\"message\":\"The response was filtered\",\"type\":null,\"param\":"
                  "\"prompt\",\"code\":\"content_filter\",\"status\":400,\"innererror\":{\"code\":"
                  "\"ResponsibleAIPolicyViolation\",\"content_filter_result\":{\"hate\":{\"filtered\":true}}}}}",
    };
    static const char line[] = "POST /openai/deployments/gpt4o/chat/completions?api-version=2024-10-21 HTTP/1.1\r\n";
    b->conf.api = MODEL_API_AZURE;
    b->conf.model = (char *)"gpt4o";
    secret_set(&b->conf.api_key, "azure-key", strlen("azure-key"));
    play_transcript(b, "aimock-12-azure", "", 0);
    assert_int_equal(b->e.code, ERR_OK);
    assert_string_equal(buf_str(&b->seen), "Hello from aimock 你好 👩‍👩‍👧‍👦!");
    assert_int_equal(strncmp(scripted_last(b->server), line, strlen(line)), 0);
    assert_non_null(strstr(scripted_last(b->server), "\r\napi-key: azure-key\r\n"));
    assert_null(strstr(scripted_last(b->server), "Authorization"));
    stop_server(b);
    play(b, &filtered, 1, "/");
    assert_int_equal(b->e.code, ERR_CONTENT);
}

static void on_ping(void *arg, const struct err *e)
{
    struct bench *b = arg;
    b->e = *e;
    b->dones++;
}

static void test_ping(void **state)
{
    struct bench *b = *state;
    static const struct {
        int api;
        const char *path, *line;
    } cases[] = {
        {MODEL_API_COMPLETIONS, "/v1/engines/e", "GET /v1/models HTTP/1.1\r\n"},
        {MODEL_API_AZURE, "/", "GET /openai/models?api-version=2024-10-21 HTTP/1.1\r\n"},
        {MODEL_API_AZURE, "/openai/v1", "GET /openai/v1/models HTTP/1.1\r\n"},
    };
    static const struct script list = {.answer = HEAD "{\"data\":[]}"};
    for (size_t i = 0; i < COUNT(cases); i++) {
        b->server = scripted_new(b->loop, &list, 1);
        snprintf(b->url, sizeof b->url, "http://127.0.0.1:%d%s", scripted_port(b->server), cases[i].path);
        b->conf.base_url = b->url;
        b->conf.api = cases[i].api;
        b->dones = 0;
        model_ping(b->client, &b->conf, on_ping, b);
        while (!b->dones)
            loop_turn(b->loop, true);
        assert_int_equal(b->e.code, ERR_OK);
        assert_int_equal(strncmp(scripted_last(b->server), cases[i].line, strlen(cases[i].line)), 0);
        stop_server(b);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_good_form_is_shown_at_once),
        TEST(test_wrong_form_is_asked_again_with_the_reason),
        TEST(test_ladder_ends),
        TEST(test_refused_form_is_learned),
        TEST(test_what_is_not_judged),
        TEST(test_reasoning_as_configured),
        TEST(test_reasoning_starts_over),
        TEST(test_completions),
        TEST(test_azure),
        TEST(test_ping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
