/* completion.c and endpoint.c: one answer's journey over several keys and
 * models. What counts is how many requests each server saw. Virtual clock. */
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
#include "plugin/base/log.h"
#include "plugin/base/mem.h"
#include "plugin/base/metric.h"
#include "plugin/model/breaker.h"
#include "plugin/model/completion.h"
#include "plugin/model/endpoint.h"
#include "tests/unit/scripted.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define MODELS 3
#define ASKS 8
#define STEP_MS 5
#define PATIENCE_MS (10 * 60 * 1000)

#define STATUS(line, headers, body) "HTTP/1.1 " line "\r\n" headers "\r\n" body
#define SSE "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
#define DELTA(text) "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" text "\"}}]}\n\n"
#define END "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
#define SAYS(text) SSE DELTA(text) END
#define USED(text, prompt, all)                                                                        \
    SSE DELTA(text) "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":" prompt ",\"total_tokens\":" all \
                    ",\"completion_tokens\":1}}\n\n" END
#define ECHO(text) "[{\"role\":\"user\",\"content\":\"#echo " text "\"}]"

struct world;

/* One answer that is asked for. */
struct asked {
    struct world *w;
    struct completion *completion;
    struct buf seen;
    int restarts, dones, shortened, wasted;
    struct completion_result waste; /* the last that was */
    size_t budget, shorter; /* what shorten() heard, and answers: 0: it cannot */
    bool cancel;            /* with the first text */
    struct completion_result result;
    struct err e;
};

struct world {
    struct loop *loop;
    struct http_client *http;
    struct model_client *client;
    struct model_conf models[MODELS];
    struct secret keys[MODELS][3];
    struct config config;
    struct scripted *servers[MODELS];
    char urls[MODELS][64];
    char *fallbacks[MODELS][MODELS];
    struct asked asked[ASKS];
    struct buf order; /* names of the answers, as they were done */
};

static const char *const names[MODELS] = {"a", "b", "c"};

static void set_fallback(struct world *w, int from, int to)
{
    struct model_conf *m = &w->models[from];
    m->fallback.v = w->fallbacks[from];
    m->fallback.v[m->fallback.n++] = w->models[to].name;
}

static int setup(void **state)
{
    struct world *w = mem_alloc(sizeof *w);
    struct err e = ERR_INIT;
    static int64_t now = 1800000000000;
    log_setup(LOG_ERROR, false);
    clock_test_freeze(now += PATIENCE_MS);
    assert_int_equal(loop_new(0, &w->loop, &e), ERR_OK);
    assert_int_equal(http_client_new(w->loop, &w->http, &e), ERR_OK);
    assert_int_equal(model_client_new(w->loop, w->http, &w->client, &e), ERR_OK);
    w->config = (struct config){.models = w->models, .n_models = MODELS, .refs = 1};
    for (int i = 0; i < MODELS; i++) {
        w->models[i] = (struct model_conf){
            .name = (char *)(uintptr_t)names[i],
            .model = (char *)(uintptr_t)names[i],
            .base_url = w->urls[i],
            .temperature = NAN,
            .top_p = NAN,
            .frequency_penalty = NAN,
            .presence_penalty = NAN,
            .seed = INT64_MIN,
            .stream = true,
            .connect_timeout = PATIENCE_MS,
            .first_byte_timeout = PATIENCE_MS,
            .idle_timeout = PATIENCE_MS,
            .retry_ceiling = 60000,
            .retry_budget = 60000,
            .practice_knobs = {.chunk_chars = 1000},
        };
    }
    for (size_t i = 0; i < ASKS; i++) {
        w->asked[i].w = w;
        buf_init(&w->asked[i].seen, 65536);
    }
    buf_init(&w->order, 1024);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    model_client_free(&w->client);
    http_client_free(&w->http);
    for (int i = 0; i < MODELS; i++)
        if (w->servers[i])
            scripted_free(w->servers[i]);
    loop_free(&w->loop);
    for (int i = 0; i < MODELS; i++)
        for (int k = 0; k < 3; k++)
            secret_clear(&w->keys[i][k]);
    for (size_t i = 0; i < ASKS; i++)
        buf_free(&w->asked[i].seen);
    buf_free(&w->order);
    assert_int_equal(w->config.refs, 1);
    free(w);
    return 0;
}

/* Model i is served by a server that plays these; the last one again and again. */
static void serve(struct world *w, int i, const struct script *scripts, size_t n)
{
    w->servers[i] = scripted_new(w->loop, scripts, n);
    snprintf(w->urls[i], sizeof w->urls[i], "http://127.0.0.1:%d/v1", scripted_port(w->servers[i]));
}
#define SERVE(w, i, ...)                                                      \
    do {                                                                      \
        static const struct script scripts_[] = {__VA_ARGS__};                \
        serve(w, i, scripts_, COUNT(scripts_));                               \
    } while (0)

static void set_keys(struct world *w, int i, int n)
{
    for (int k = 0; k < n; k++) {
        char key[] = "sk-key-0";
        key[sizeof key - 2] = (char)('1' + k);
        secret_set(&w->keys[i][k], key, strlen(key));
    }
    w->models[i].keys = (struct secrets){w->keys[i], (size_t)n};
}

static int requests(const struct world *w, int i)
{
    return scripted_requests(w->servers[i]);
}

static void on_text(void *arg, const char *delta, size_t len)
{
    struct asked *a = arg;
    buf_add(&a->seen, delta, len);
    if (a->cancel)
        completion_cancel(&a->completion);
}

static void on_restart(void *arg)
{
    struct asked *a = arg;
    a->restarts++;
    buf_reset(&a->seen);
}

static bool on_too_long(void *arg, struct completion_request *req, size_t max_tokens)
{
    struct asked *a = arg;
    a->shortened++;
    a->budget = max_tokens;
    if (a->shorter == 0)
        return false;
    req->messages = "[{\"role\":\"user\",\"content\":\"short\"}]";
    req->messages_len = strlen(req->messages);
    req->tokens = a->shorter;
    return true;
}

static void on_done(void *arg, const struct completion_result *r, const struct err *e)
{
    struct asked *a = arg;
    a->dones++;
    a->result = *r;
    a->e = *e;
    a->completion = NULL;
    assert_true((r->finish == FINISH_ERROR) == (e->code != ERR_OK));
    buf_addf(&a->w->order, "%d", (int)(a - a->w->asked));
}

static void on_wasted(void *arg, const struct completion_result *r)
{
    struct asked *a = arg;
    assert_int_equal(a->dones, 0);
    a->wasted++;
    a->waste = *r;
}

static struct asked *start(struct world *w, int i, const char *flow, const char *messages)
{
    static const struct completion_handler handler = {on_text, NULL, on_restart, on_too_long, on_done, on_wasted};
    struct asked *a = &w->asked[i];
    const struct completion_request req = {
        .model = &w->models[0],
        .config = &w->config,
        .flow = flow,
        .messages = messages,
        .messages_len = strlen(messages),
        .tokens = 1000,
    };
    buf_reset(&a->seen);
    a->restarts = a->dones = a->wasted = 0;
    a->completion = completion_start(w->client, &req, &handler, a);
    return a;
}

static void turns(struct world *w, int n)
{
    while (n-- > 0)
        loop_turn(w->loop, false);
}

static void pass(struct world *w, int64_t ms)
{
    for (; ms > 0; ms -= STEP_MS) {
        turns(w, 4);
        clock_test_advance(STEP_MS);
    }
    turns(w, 20);
}

/* How long it took, in virtual time. */
static int64_t finish(struct world *w, struct asked *a)
{
    int64_t begin = clock_mono_ms();
    for (int idle = 0; !a->dones; idle++) {
        turns(w, 4);
        if (idle > 50) /* the servers had their time */
            clock_test_advance(STEP_MS);
        assert_true(clock_mono_ms() - begin < PATIENCE_MS);
    }
    turns(w, 4);
    assert_int_equal(a->dones, 1);
    return clock_mono_ms() - begin;
}

static struct asked *ask(struct world *w)
{
    struct asked *a = start(w, 0, "web:x", ECHO("x"));
    finish(w, a);
    return a;
}

static void expect(const struct asked *a, enum err_code code, const char *seen, int model, int attempts)
{
    if (a->e.code != code)
        fail_msg("%s: %s", err_name(a->e.code), a->e.text);
    assert_string_equal(buf_str(&a->seen), seen);
    assert_string_equal(a->result.model->name, names[model]);
    assert_int_equal(a->result.attempts, attempts);
}

/* --- the next model --- */

static void test_fallback(void **state)
{
    struct world *w = *state;
    SERVE(w, 0, {.answer = STATUS("404 x", "", "")});
    SERVE(w, 1, {.answer = SSE DELTA("half")});
    SERVE(w, 2, {.answer = SAYS("good")});
    set_fallback(w, 0, 1);
    set_fallback(w, 1, 2); /* a fallback's fallback */
    struct asked *a = ask(w);
    expect(a, ERR_OK, "good", 2, 3);
    assert_int_equal(a->restarts, 1); /* in place of what broke */
    assert_int_equal(a->wasted, 1);   /* which has to be paid for; the 404 has not */
    assert_string_equal(a->waste.model->name, "b");
    assert_int_equal(a->waste.estimated.prompt_tokens, 1000);
    assert_true(a->waste.estimated.completion_tokens > 0 && !a->waste.usage.known);
    assert_true(requests(w, 0) == 1 && requests(w, 1) == 1 && requests(w, 2) == 1);
    assert_int_equal(metric_model_get(METRIC_MODEL_FALLBACKS, "a"), 1);
}

static void test_all_fail(void **state)
{
    struct world *w = *state;
    w->models[0].retries = w->models[1].retries = 1;
    SERVE(w, 0, {.answer = STATUS("503 x", "", "")});
    SERVE(w, 1, {.answer = STATUS("500 x", "", "")});
    set_fallback(w, 0, 1);
    expect(ask(w), ERR_SERVER, "", 1, 4);
    assert_true(requests(w, 0) == 2 && requests(w, 1) == 2);
}

/* What is not the model's fault goes to no other. */
static void test_filter_is_no_reason(void **state)
{
    struct world *w = *state;
    SERVE(w, 0, {.answer = STATUS("400 x", "", "{\"error\":{\"code\":\"content_filter\",\"message\":\"x\"}}")});
    SERVE(w, 1, {.answer = SAYS("good")});
    set_fallback(w, 0, 1);
    expect(ask(w), ERR_CONTENT, "", 0, 1);
    assert_int_equal(requests(w, 1), 0);
}

/* --- the breaker --- */

static void test_breaker(void **state)
{
    struct world *w = *state;
    struct model_state s;
    SERVE(w, 0, {.answer = ""}, {.answer = ""}, {.answer = ""}, {.answer = ""}, {.answer = ""}, {.answer = ""},
          {.answer = SAYS("back")});
    SERVE(w, 1, {.answer = SAYS("good")});
    set_fallback(w, 0, 1);
    assert_false(model_state(w->client, "a", &s));
    for (int i = 0; i < BREAKER_FAILURES; i++)
        expect(ask(w), ERR_OK, "good", 1, 2);
    assert_int_equal(requests(w, 0), BREAKER_FAILURES);
    assert_true(model_state(w->client, "a", &s));
    assert_true(s.avoided && s.avoided_ms > 0);
    assert_int_equal(s.last_error, ERR_NET);
    assert_int_equal(metric_model_get(METRIC_MODEL_BREAKER, "a"), BREAKER_OPEN);
    for (int i = 0; i < 20; i++)
        expect(ask(w), ERR_OK, "good", 1, 1); /* at once: nothing is tried first */
    assert_int_equal(requests(w, 0), BREAKER_FAILURES);

    pass(w, BREAKER_OPEN_MS); /* one is let through; it fails */
    expect(ask(w), ERR_OK, "good", 1, 2);
    expect(ask(w), ERR_OK, "good", 1, 1);
    assert_int_equal(requests(w, 0), BREAKER_FAILURES + 1);
    pass(w, BREAKER_OPEN_MS);
    expect(ask(w), ERR_OK, "good", 1, 1); /* it is open for twice as long now */
    pass(w, BREAKER_OPEN_MS);
    expect(ask(w), ERR_OK, "back", 0, 1);
    expect(ask(w), ERR_OK, "back", 0, 1);
    assert_int_equal(requests(w, 0), BREAKER_FAILURES + 3);
    model_state(w->client, "a", &s);
    assert_false(s.avoided);
    assert_int_equal(metric_model_get(METRIC_MODEL_BREAKER, "a"), BREAKER_CLOSED);
}

/* Where there is nobody else, asking is the best that is left. */
static void test_breaker_of_the_only_one(void **state)
{
    struct world *w = *state;
    struct model_state s;
    SERVE(w, 0, {.answer = ""}, {.answer = ""}, {.answer = ""}, {.answer = ""}, {.answer = ""}, {.answer = ""},
          {.answer = SAYS("back")});
    for (int i = 0; i < BREAKER_FAILURES + 1; i++)
        expect(ask(w), ERR_NET, "", 0, 1);
    model_state(w->client, "a", &s);
    assert_true(s.avoided);
    expect(ask(w), ERR_OK, "back", 0, 1);
    model_state(w->client, "a", &s);
    assert_false(s.avoided);
}

/* A server that refuses requests is well. */
static void test_no_breaker_for_refusals(void **state)
{
    struct world *w = *state;
    struct model_state s;
    SERVE(w, 0, {.answer = STATUS("404 x", "", "")});
    for (int i = 0; i < 2 * BREAKER_FAILURES; i++)
        expect(ask(w), ERR_MODEL, "", 0, 1);
    model_state(w->client, "a", &s);
    assert_false(s.avoided);
    assert_int_equal(s.last_error, ERR_MODEL);
}

/* --- keys --- */

static bool was_key(const struct world *w, const char *key)
{
    char line[64];
    snprintf(line, sizeof line, "Authorization: Bearer sk-key-%s\r\n", key);
    return strstr(scripted_last(w->servers[0]), line) != NULL;
}

static void test_keys_take_turns(void **state)
{
    struct world *w = *state;
    SERVE(w, 0, {.answer = SAYS("good")});
    set_keys(w, 0, 3);
    for (int i = 0; i < 6; i++) {
        const char key[] = {(char)('1' + i % 3), '\0'};
        expect(ask(w), ERR_OK, "good", 0, 1);
        assert_true(was_key(w, key));
    }
}

static void test_limited_key_rests(void **state)
{
    struct world *w = *state;
    struct model_state s;
    SERVE(w, 0, {.answer = STATUS("429 x", "Retry-After: 30\r\n", "")}, {.answer = SAYS("good")});
    set_keys(w, 0, 2);
    expect(ask(w), ERR_OK, "good", 0, 2); /* at once, with the other key, and without a retry: there is none */
    assert_true(was_key(w, "2"));
    model_state(w->client, "a", &s);
    assert_true(s.keys == 2 && s.keys_resting == 1 && s.keys_dead == 0);
    assert_int_equal(metric_model_get(METRIC_MODEL_KEYS_RESTING, "a"), 1);
    for (int i = 0; i < 3; i++) {
        expect(ask(w), ERR_OK, "good", 0, 1);
        assert_true(was_key(w, "2"));
    }
    pass(w, 30000);
    assert_int_equal(metric_model_get(METRIC_MODEL_KEYS_RESTING, "a"), 0);
    ask(w);
    assert_true(was_key(w, "1"));
    assert_int_equal(requests(w, 0), 6);
}

/* A longer rest than is waited for: the next model, without asking. */
static void test_all_keys_rest(void **state)
{
    struct world *w = *state;
    SERVE(w, 0, {.answer = STATUS("429 x", "Retry-After: 61\r\n", "")});
    SERVE(w, 1, {.answer = SAYS("good")});
    set_keys(w, 0, 2);
    set_fallback(w, 0, 1);
    expect(ask(w), ERR_OK, "good", 1, 3);
    for (int i = 0; i < 3; i++)
        expect(ask(w), ERR_OK, "good", 1, 1);
    assert_int_equal(requests(w, 0), 2);
}

/* A shorter one is waited for, by whoever comes. */
static void test_rest_is_waited_for(void **state)
{
    struct world *w = *state;
    SERVE(w, 0, {.answer = STATUS("429 x", "Retry-After: 20\r\n", "")}, {.answer = SAYS("good")});
    w->models[0].retries = 1;
    struct asked *first = start(w, 0, "web:x", ECHO("x"));
    pass(w, 1000);
    struct asked *second = start(w, 1, "web:y", ECHO("y"));
    pass(w, 18000);
    assert_int_equal(requests(w, 0), 1);
    finish(w, first);
    finish(w, second);
    expect(first, ERR_OK, "good", 0, 2);
    expect(second, ERR_OK, "good", 0, 1);
    assert_int_equal(requests(w, 0), 3);
}

static void test_dead_key_is_out(void **state)
{
    static const char *const refusals[] = {
        STATUS("401 x", "", ""),
        STATUS("402 x", "", ""),
        STATUS("403 x", "", ""),
        STATUS("429 x", "", "{\"error\":{\"code\":\"insufficient_quota\",\"message\":\"x\"}}"),
    };
    struct world *w = *state;
    for (size_t i = 0; i < COUNT(refusals); i++) {
        const struct script scripts[] = {{.answer = refusals[i]}, {.answer = SAYS("good")}};
        serve(w, 0, scripts, COUNT(scripts)); /* another URL: what was known before is forgotten */
        set_keys(w, 0, 2);
        expect(ask(w), ERR_OK, "good", 0, 2);
        assert_int_equal(metric_model_get(METRIC_MODEL_KEYS_DEAD, "a"), 1);
        for (int n = 0; n < 4; n++) {
            expect(ask(w), ERR_OK, "good", 0, 1);
            assert_true(was_key(w, "2"));
        }
        scripted_free(w->servers[0]);
        w->servers[0] = NULL;
    }
}

static void test_all_keys_dead(void **state)
{
    struct world *w = *state;
    SERVE(w, 0, {.answer = STATUS("401 x", "", "")}, {.answer = STATUS("402 x", "", "")}, {.answer = SAYS("back")});
    SERVE(w, 1, {.answer = SAYS("good")});
    set_keys(w, 0, 2);
    set_fallback(w, 0, 1);
    expect(ask(w), ERR_OK, "good", 1, 3);
    for (int i = 0; i < 3; i++)
        expect(ask(w), ERR_OK, "good", 1, 1);
    assert_int_equal(requests(w, 0), 2);
    pass(w, KEYRING_PROBE_FIRST_MS); /* one is tried again: money was paid in */
    expect(ask(w), ERR_OK, "back", 0, 1);
}

static void test_only_key_dead(void **state)
{
    struct world *w = *state;
    SERVE(w, 0, {.answer = STATUS("401 x", "", "")}, {.answer = STATUS("403 x", "", "")}, {.answer = SAYS("back")});
    expect(ask(w), ERR_AUTH, "", 0, 1);
    expect(ask(w), ERR_AUTH, "", 0, 1); /* there is nothing else to try */
    expect(ask(w), ERR_OK, "back", 0, 1);
}

/* A reload with other keys, another model or server starts afresh. */
static void test_reload(void **state)
{
    struct world *w = *state;
    struct model_state s;
    SERVE(w, 0, {.answer = STATUS("401 x", "", "")});
    set_keys(w, 0, 2);
    expect(ask(w), ERR_AUTH, "", 0, 2);
    model_state(w->client, "a", &s);
    assert_int_equal(s.keys_dead, 2);
    set_keys(w, 0, 3);
    struct asked *old = start(w, 0, "web:x", ECHO("x"));
    model_state(w->client, "a", &s);
    assert_true(s.keys == 3 && s.keys_dead == 0);
    w->models[0].model = (char *)"other"; /* while a request of the old one is out */
    struct asked *fresh = start(w, 1, "web:x", ECHO("x"));
    model_state(w->client, "a", &s);
    assert_int_equal(s.keys_dead, 0);
    finish(w, old);
    finish(w, fresh);
    model_state(w->client, "a", &s);
    assert_int_equal(s.keys_dead, 3);
}

/* --- a rival --- */

static void test_hedge(void **state)
{
    struct world *w = *state;
    SERVE(w, 0, {.answer = SSE ": nothing to say\n\n", .after = AFTER_KEEP});
    SERVE(w, 1, {.answer = SAYS("good")});
    set_fallback(w, 0, 1);
    w->models[0].hedge_after = 3000;
    struct asked *a = start(w, 0, "web:x", ECHO("x"));
    pass(w, 2900);
    assert_true(requests(w, 0) == 1 && requests(w, 1) == 0);
    assert_int_equal(scripted_open(w->servers[0]), 1);
    pass(w, 200);
    finish(w, a);
    turns(w, 20);
    expect(a, ERR_OK, "good", 1, 2);
    assert_true(a->result.hedged);
    assert_int_equal(scripted_open(w->servers[0]), 0); /* cancelled */
    assert_int_equal(a->restarts, 0);
    assert_int_equal(a->wasted, 1);
    assert_string_equal(a->waste.model->name, "a");
    assert_int_equal(a->waste.estimated.total_tokens, 1000);
    assert_int_equal(metric_model_get(METRIC_MODEL_HEDGES, "a"), 1);
}

/* The one that was cut off is better than nobody when the faster one breaks. */
static void test_hedge_breaks(void **state)
{
    struct world *w = *state;
    SERVE(w, 0, {.answer = SSE ": nothing to say\n\n", .after = AFTER_KEEP}, {.answer = SAYS("good")});
    SERVE(w, 1, {.answer = SSE DELTA("half")});
    set_fallback(w, 0, 1);
    w->models[0].hedge_after = 3000;
    struct asked *a = start(w, 0, "web:x", ECHO("x"));
    pass(w, 3100);
    finish(w, a);
    expect(a, ERR_OK, "good", 0, 3);
    assert_true(requests(w, 0) == 2 && requests(w, 1) == 1);
    assert_int_equal(a->restarts, 1);
}

static void test_hedge_is_not_needed(void **state)
{
    struct world *w = *state;
    SERVE(w, 0, {.answer = SSE DELTA("slowly"), .after = AFTER_KEEP});
    SERVE(w, 1, {.answer = SAYS("good")});
    set_fallback(w, 0, 1);
    w->models[0].hedge_after = 3000;
    struct asked *a = start(w, 0, "web:x", ECHO("x"));
    pass(w, 10000);
    assert_string_equal(buf_str(&a->seen), "slowly");
    assert_int_equal(requests(w, 1), 0);
    bool spoke;
    assert_ptr_equal(completion_asked(a->completion, &spoke), &w->models[0]);
    assert_true(spoke);
    completion_cancel(&a->completion);
}

/* The first was only slow; the rival is cancelled. */
static void test_first_wins(void **state)
{
    struct world *w = *state;
    w->models[0].practice = w->models[1].practice = true;
    w->models[0].practice_knobs.delay_ms = 5000;
    w->models[1].practice_knobs.delay_ms = 9000;
    w->models[0].hedge_after = 1000;
    set_fallback(w, 0, 1);
    struct asked *a = ask(w);
    expect(a, ERR_OK, "x", 0, 2);
    assert_true(a->result.hedged);
    pass(w, 10000);
    assert_int_equal(a->dones, 1);
    assert_string_equal(buf_str(&a->seen), "x");
}

static void test_both_fail(void **state)
{
    static const struct {
        const char *first, *second;
        enum err_code code;
        int model;
    } cases[] = {
        {NULL, STATUS("500 x", "", ""), ERR_TIMEOUT, 0}, /* the rival fails first */
        {STATUS("404 x", "", ""), NULL, ERR_TIMEOUT, 1}, /* the first fails before it is silent for long */
    };
    struct world *w = *state;
    set_fallback(w, 0, 1);
    w->models[0].hedge_after = 1000;
    w->models[0].first_byte_timeout = w->models[1].first_byte_timeout = 5000;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct script first = {.answer = cases[i].first ? cases[i].first : "", .after = cases[i].first ? AFTER_CLOSE : AFTER_KEEP};
        const struct script second = {.answer = cases[i].second ? cases[i].second : "", .after = cases[i].second ? AFTER_CLOSE : AFTER_KEEP};
        serve(w, 0, &first, 1);
        serve(w, 1, &second, 1);
        struct asked *a = start(w, 0, "web:x", ECHO("x"));
        finish(w, a);
        expect(a, cases[i].code, "", cases[i].model, 2);
        assert_true(requests(w, 0) == 1 && requests(w, 1) == 1);
        scripted_free(w->servers[0]);
        scripted_free(w->servers[1]);
        w->servers[0] = w->servers[1] = NULL;
    }
}

/* --- what servers say about trying again --- */

static void test_should_retry(void **state)
{
    static const struct {
        const char *answer;
        int attempts;
    } cases[] = {
        {STATUS("503 x", "x-should-retry: false\r\n", ""), 1},
        {STATUS("400 x", "x-should-retry: true\r\nretry-after-ms: 5\r\n", ""), 2},
        {STATUS("400 x", "", ""), 1},
        {STATUS("429 x", "x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 20ms\r\n", ""), 2},
        {STATUS("429 x", "x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 61s\r\n", ""), 1},
        {STATUS("429 x", "x-should-retry: true\r\nretry-after-ms: 5\r\n", /* and that is the key's end */
                "{\"error\":{\"code\":\"insufficient_quota\",\"message\":\"x\"}}"), 1},
    };
    struct world *w = *state;
    w->models[0].retries = 1;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct script scripts[] = {{.answer = cases[i].answer}, {.answer = SAYS("good")}};
        serve(w, 0, scripts, COUNT(scripts));
        struct asked *a = ask(w);
        if (a->result.attempts != cases[i].attempts || (a->e.code == ERR_OK) != (cases[i].attempts == 2))
            fail_msg("%s: %d attempts, %s", cases[i].answer, a->result.attempts, a->e.text);
        scripted_free(w->servers[0]);
        w->servers[0] = NULL;
    }
}

static void test_retry_budget(void **state)
{
    struct world *w = *state;
    w->models[0].retries = 10;
    w->models[0].retry_budget = 10000;
    SERVE(w, 0, {.answer = STATUS("503 x", "Retry-After: 4\r\n", "")});
    expect(ask(w), ERR_OVERLOAD, "", 0, 3); /* after 0, 4 and 8 s: 12 s would be too late */
}

/* --- what is learned --- */

static void test_quirk(void **state)
{
    struct world *w = *state;
    w->models[0].max_tokens = 100;
    SERVE(w, 0,
          {.answer = STATUS("400 x", "",
                            "{\"error\":{\"message\":\"Unsupported parameter: 'max_tokens' is not supported with this model. "
                            "Use 'max_completion_tokens' instead.\",\"type\":\"invalid_request_error\","
                            "\"param\":\"max_tokens\",\"code\":\"unsupported_parameter\"}}")},
          {.answer = SAYS("good")});
    expect(ask(w), ERR_OK, "good", 0, 2); /* at once, and without a retry: there is none */
    expect(ask(w), ERR_OK, "good", 0, 1);
    assert_int_equal(requests(w, 0), 3);
}

static void on_learned(void *arg, const struct model_conf *model, const char *lessons)
{
    struct buf *kept = arg;
    assert_string_equal(model->name, "a");
    buf_reset(kept);
    buf_adds(kept, lessons);
}

static void test_recall(void **state)
{
    struct world *w = *state;
    static const char refusal[] = STATUS("400 x", "", "{\"error\":{\"message\":\"Unsupported parameter: 'seed'\"}}");
    SERVE(w, 0, {.answer = refusal}, {.answer = SAYS("good")});
    struct buf kept;
    buf_init(&kept, 4096);
    w->models[0].seed = 1;
    model_client_watch(w->client, on_learned, &kept);
    expect(ask(w), ERR_OK, "good", 0, 2);
    assert_non_null(strstr(buf_str(&kept), " seed"));
    for (int k = 0; k < 3; k++) { /* the same server; another one; another of its models: those taught nothing */
        struct err e = ERR_INIT;
        model_client_free(&w->client);
        turns(w, 2);
        assert_int_equal(model_client_new(w->loop, w->http, &w->client, &e), ERR_OK);
        if (k == 1) {
            scripted_free(w->servers[0]);
            SERVE(w, 0, {.answer = SAYS("good")});
        }
        if (k == 2)
            w->models[0].model = (char *)"newer";
        model_recall(w->client, &w->models[0], buf_str(&kept));
        expect(ask(w), ERR_OK, "good", 0, 1);
        assert_true((strstr(scripted_last(w->servers[0]), "\"seed\":1") != NULL) == (k > 0));
    }
    buf_free(&kept);
}

#define TOO_LONG                                                                                          \
    STATUS("400 x", "", "{\"error\":{\"code\":400,\"type\":\"exceed_context_size_error\",\"message\":\"x\","  \
                        "\"n_prompt_tokens\":2000,\"n_ctx\":1024}}")

static void test_too_long(void **state)
{
    struct world *w = *state;
    SERVE(w, 0, {.answer = TOO_LONG}, {.answer = SAYS("good")});
    w->models[0].max_tokens = 100;
    struct asked *a = &w->asked[0];
    a->shorter = 400;
    ask(w);
    expect(a, ERR_OK, "good", 0, 2);
    assert_int_equal(a->shortened, 1);
    assert_true(a->budget < 512); /* by our count, of which the server's is twice as much */
    assert_non_null(strstr(scripted_last(w->servers[0]), "short"));
    ask(w);
    expect(a, ERR_OK, "good", 0, 1); /* known by now: shortened before it is sent */
    assert_int_equal(a->shortened, 2);
}

/* How a fallback counts is learned only from what was counted its way. */
static void test_learned_from_its_own_count(void **state)
{
    struct world *w = *state;
    SERVE(w, 0, {.answer = STATUS("500 x", "", "")});
    SERVE(w, 1, {.answer = USED("good", "2000", "2001")});
    set_fallback(w, 0, 1);
    w->models[1].context_tokens = 10000;
    w->models[1].vocabulary = (char *)"b.vocab";
    size_t before = model_budget(w->client, &w->models[1], NULL);
    expect(ask(w), ERR_OK, "good", 1, 2);
    assert_int_equal(model_budget(w->client, &w->models[1], NULL), before);
    w->models[0].vocabulary = w->models[1].vocabulary;
    expect(ask(w), ERR_OK, "good", 1, 2);
    assert_true(model_budget(w->client, &w->models[1], NULL) < before);
}

static void test_cannot_be_shorter(void **state)
{
    struct world *w = *state;
    SERVE(w, 0, {.answer = TOO_LONG});
    expect(ask(w), ERR_CONTEXT, "", 0, 1);
    assert_int_equal(w->asked[0].shortened, 1);
    w->asked[0].shorter = 900; /* shorter, and not short enough */
    SERVE(w, 1, {.answer = SAYS("good")});
    set_fallback(w, 0, 1);
    ask(w);
    assert_int_equal(w->asked[0].e.code, ERR_OK);
    assert_string_equal(w->asked[0].result.model->name, "b"); /* another model may take more */
}

/* --- limits of ours --- */

static void test_concurrent(void **state)
{
    struct world *w = *state;
    struct model_state s;
    w->models[0].practice = true;
    w->models[0].practice_knobs.delay_ms = 1000;
    w->models[0].max_concurrent = 1;
    static const char *const flows[] = {"busy", "busy", "busy", "busy", "quiet", "calm"};
    for (int i = 0; i < (int)COUNT(flows); i++) {
        start(w, i, flows[i], ECHO("x"));
        turns(w, 4); /* timers of the same millisecond have no order */
    }
    pass(w, 500);
    model_state(w->client, "a", &s);
    assert_int_equal(s.running, 1);
    assert_int_equal(s.waiting, 5);
    assert_int_equal(metric_model_get(METRIC_MODEL_WAITING, "a"), 5);
    finish(w, &w->asked[3]);
    assert_string_equal(buf_str(&w->order), "014523"); /* the busy one waits for itself */
    model_state(w->client, "a", &s);
    assert_int_equal(s.running + s.waiting, 0);
}

static void test_requests_per_minute(void **state)
{
    struct world *w = *state;
    w->models[0].requests_per_minute = 2;
    SERVE(w, 0, {.answer = SAYS("good")});
    for (int i = 0; i < 3; i++)
        start(w, i, "web:x", ECHO("x"));
    pass(w, 29000);
    assert_int_equal(requests(w, 0), 2);
    finish(w, &w->asked[2]);
    expect(&w->asked[2], ERR_OK, "good", 0, 1);
}

/* What a request was thought to need is settled by what it used. */
static void test_tokens_per_minute(void **state)
{
    struct world *w = *state;
    w->models[0].tokens_per_minute = 1200; /* less than the 1000 of two, with their answers */
    w->models[0].max_tokens = 100;
    SERVE(w, 0, {.answer = USED("good", "50", "60")}, {.answer = USED("good", "1000", "1200")},
          {.answer = SAYS("good")});
    expect(ask(w), ERR_OK, "good", 0, 1);
    int64_t begin = clock_mono_ms();
    struct asked *a = start(w, 0, "web:x", ECHO("x"));
    turns(w, 200);
    assert_int_equal(requests(w, 0), 2); /* 60 were used, so there is room */
    finish(w, a);
    a = start(w, 0, "web:x", ECHO("x"));
    finish(w, a);
    assert_true(clock_mono_ms() - begin > 40000); /* now there was not */
    expect(a, ERR_OK, "good", 0, 1);
}

static void test_waited_too_long(void **state)
{
    struct world *w = *state;
    SERVE(w, 0, {.answer = SSE, .after = AFTER_KEEP});
    w->models[0].max_concurrent = 1;
    start(w, 0, "web:x", ECHO("x"));
    struct asked *a = start(w, 1, "web:y", ECHO("x"));
    pass(w, ENDPOINT_WAIT_MAX_MS - 1000);
    assert_int_equal(a->dones, 0);
    finish(w, a);
    expect(a, ERR_OVERLOAD, "", 0, 0);
    assert_int_equal(requests(w, 0), 1);
}

/* A limit that leaves no room soon: the next model at once. */
static void test_limit_and_fallback(void **state)
{
    struct world *w = *state;
    SERVE(w, 0, {.answer = SSE, .after = AFTER_KEEP});
    SERVE(w, 1, {.answer = SAYS("good")});
    w->models[0].max_concurrent = 1;
    set_fallback(w, 0, 1);
    start(w, 0, "web:x", ECHO("x"));
    struct asked *a = start(w, 1, "web:y", ECHO("x"));
    pass(w, ENDPOINT_WAIT_MAX_MS + 1000);
    expect(a, ERR_OK, "good", 1, 1);
}

/* --- cancelling --- */

static void test_cancel_anywhere(void **state)
{
    struct world *w = *state;
    struct model_state s;
    SERVE(w, 0, {.answer = SSE, .after = AFTER_KEEP});
    SERVE(w, 1, {.answer = SSE, .after = AFTER_KEEP});
    set_fallback(w, 0, 1);
    w->models[0].hedge_after = 1000;
    w->models[0].max_concurrent = w->models[1].max_concurrent = 1;
    for (int i = 0; i < 4; i++)
        start(w, i, "web:x", ECHO("x"));
    pass(w, 2000); /* one asks both, one waits for both, … */
    for (int i = 0; i < 4; i += 2)
        completion_cancel(&w->asked[i].completion);
    pass(w, 1000);
    model_state(w->client, "a", &s);
    assert_true(s.running == 1 && s.waiting == 1);
    start(w, 4, "web:y", ECHO("x"));
    turns(w, 20);
    model_client_free(&w->client); /* with all of them in it */
    pass(w, 5000);
    for (int i = 0; i < 5; i++)
        assert_int_equal(w->asked[i].dones, 0);
}

static void test_cancel_in_text(void **state)
{
    struct world *w = *state;
    SERVE(w, 0, {.answer = SSE, .after = AFTER_KEEP});
    SERVE(w, 1, {.answer = SAYS("good")});
    set_fallback(w, 0, 1);
    w->models[0].hedge_after = 1000;
    w->asked[0].cancel = true;
    struct asked *a = start(w, 0, "web:x", ECHO("x"));
    pass(w, 3000);
    assert_null(a->completion);
    assert_int_equal(a->dones, 0);
    assert_int_equal(scripted_open(w->servers[0]), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_fallback),
        TEST(test_all_fail),
        TEST(test_filter_is_no_reason),
        TEST(test_breaker),
        TEST(test_breaker_of_the_only_one),
        TEST(test_no_breaker_for_refusals),
        TEST(test_keys_take_turns),
        TEST(test_limited_key_rests),
        TEST(test_all_keys_rest),
        TEST(test_rest_is_waited_for),
        TEST(test_dead_key_is_out),
        TEST(test_all_keys_dead),
        TEST(test_only_key_dead),
        TEST(test_reload),
        TEST(test_hedge),
        TEST(test_hedge_breaks),
        TEST(test_hedge_is_not_needed),
        TEST(test_first_wins),
        TEST(test_both_fail),
        TEST(test_should_retry),
        TEST(test_retry_budget),
        TEST(test_quirk),
        TEST(test_recall),
        TEST(test_too_long),
        TEST(test_learned_from_its_own_count),
        TEST(test_cannot_be_shorter),
        TEST(test_concurrent),
        TEST(test_requests_per_minute),
        TEST(test_tokens_per_minute),
        TEST(test_waited_too_long),
        TEST(test_limit_and_fallback),
        TEST(test_cancel_anywhere),
        TEST(test_cancel_in_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
