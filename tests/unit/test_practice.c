/* practice.c: the brain of the practice model, without a network. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/base/clock.h"
#include "plugin/base/json.h"
#include "plugin/base/utf8.h"
#include "plugin/model/delta.h"
#include "plugin/model/practice.h"
#include "plugin/net/sse.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define OUT_MAX (8U * 1024 * 1024)

static const struct practice_conf quick = {.chunk_chars = 4};

/* What came of one request, read with the same code that reads any server. */
struct run {
    struct practice_reply reply;
    struct buf bytes;
    struct delta d;
    struct failure f;
    enum err_code code;
    int pieces, events;
};

static bool on_event(void *arg, const struct sse_event *ev)
{
    struct run *r = arg;
    r->events++;
    assert_int_equal(delta_event(&r->d, ev->type, ev->data, ev->len, &r->f), ERR_OK);
    return true;
}

static void read_answer(struct run *r)
{
    struct sse sse;
    if (r->reply.status != 200) {
        failure_read(&r->f, r->reply.status, r->bytes.data, r->bytes.len);
        r->code = r->f.err.code;
    } else if (r->reply.stream) {
        sse_init(&sse, on_event, r);
        sse_feed(&sse, r->bytes.data, r->bytes.len);
        sse_end(&sse);
        sse_fini(&sse);
        r->code = delta_end(&r->d, &r->f);
    } else {
        r->code = delta_whole(&r->d, r->bytes.data, r->bytes.len, &r->f);
        r->code = r->code == ERR_OK ? delta_end(&r->d, &r->f) : r->code;
    }
}

static void run(struct run *r, struct practice *p, const struct practice_conf *knobs, const char *body)
{
    memset(r, 0, sizeof *r);
    buf_init(&r->bytes, OUT_MAX);
    delta_init(&r->d, OUT_MAX);
    practice_answer(p, knobs, body, strlen(body), &r->reply);
    while (practice_next(&r->reply, &r->bytes))
        r->pieces++;
    assert_int_equal(buf_error(&r->bytes), ERR_OK);
    read_answer(r);
    assert_true(utf8_valid(buf_str(&r->d.text), r->d.text.len));
}

static void run_fini(struct run *r)
{
    practice_reply_fini(&r->reply);
    buf_free(&r->bytes);
    delta_fini(&r->d);
}

/* A conversation of one message. */
static void ask(struct run *r, const struct practice_conf *knobs, const char *text, bool stream)
{
    struct practice p;
    struct buf body;
    practice_init(&p, 0);
    buf_init(&body, OUT_MAX);
    buf_addf(&body, "{\"model\":\"m\",\"stream\":%s,\"messages\":[{\"role\":\"user\",\"content\":", stream ? "true" : "false");
    json_quote(&body, text);
    buf_adds(&body, "}]}");
    run(r, &p, knobs, body.data);
    buf_free(&body);
}

static const char *text_of(const struct run *r)
{
    return buf_str(&r->d.text);
}

static void test_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *asked, *answered; /* a part of the answer */
    } cases[] = {
        {"hello", "Things to try"},
        {"Hi!", "Things to try"},
        {"this is white", "You wrote: “this is white”"},
        {"what is it?", "You asked: “what is it?”"},
        {"Alice: what is it?", "You asked: “Alice: what is it?”"},
        {"show me some code", "```c"},
        {"a long answer please", "| Step |"},
        {"你好", "可以试试"},
        {"这是什么？", "你问的是：“这是什么？”"},
        {"写一段代码", "```c"},
        {"请详细介绍", "| 步骤 |"},
        {"好", "你写的是：“好”"},
        {"コードを書いて", "You wrote"}, /* kana: not Chinese */
        {"", "You wrote: “”"},
        {"a\n  b\t c", "“a   b  c”"},
        {"100% sure", "“100% sure”"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct run r;
        ask(&r, &quick, cases[i].asked, true);
        assert_int_equal(r.code, ERR_OK);
        if (!strstr(text_of(&r), cases[i].answered))
            fail_msg("%s: %s", cases[i].asked, text_of(&r));
        run_fini(&r);
    }
}

static void test_honest_in_the_first_answer(void **state)
{
    (void)state;
    static const struct {
        const char *messages, *honest; /* NULL: says nothing of it */
    } cases[] = {
        {"[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"hello\"}]", "**practice model**"},
        {"[{\"role\":\"user\",\"content\":\"你好\"}]", "**练习模型**"},
        {"[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"},"
         "{\"role\":\"user\",\"content\":\"hello\"}]",
         NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct practice p;
        struct run r;
        char body[512];
        practice_init(&p, 0);
        snprintf(body, sizeof body, "{\"messages\":%s}", cases[i].messages);
        run(&r, &p, &quick, body);
        if (cases[i].honest) {
            assert_non_null(strstr(text_of(&r), cases[i].honest));
            assert_non_null(strstr(text_of(&r), "OPENAI_API_KEY"));
        } else {
            assert_null(strstr(text_of(&r), "OPENAI_API_KEY"));
        }
        run_fini(&r);
    }
}

static void test_long_quotes_are_cut(void **state)
{
    (void)state;
    struct run r;
    struct buf text;
    buf_init(&text, OUT_MAX);
    for (int i = 0; i < 100; i++)
        buf_adds(&text, "👩‍👩‍👧");
    ask(&r, &quick, text.data, false);
    assert_int_equal(r.code, ERR_OK);
    assert_non_null(strstr(text_of(&r), "👩‍👩‍👧…”"));
    run_fini(&r);
    buf_free(&text);
}

static void test_orders(void **state)
{
    (void)state;
    static const struct {
        const char *asked;
        enum err_code code;
        const char *text; /* NULL: not looked at */
        int64_t delay_ms;
    } cases[] = {
        {"#echo hello", ERR_OK, "hello", 7},
        {"Alice: #echo  two\nlines #sleep 5", ERR_OK, " two\nlines #sleep 5", 7},
        {"#sleep 300 #echo hello", ERR_OK, "hello", 300},
        {"#sleep 0 x", ERR_OK, NULL, 0},
        {"#echo", ERR_EMPTY, "", 7},
        {"#echo ", ERR_EMPTY, "", 7},
        {"#fail 429", ERR_RATE, NULL, 7},
        {"#fail 500 #echo x", ERR_SERVER, NULL, 7},
        {"#fail 404", ERR_OK, NULL, 7}, /* not one of the orders */
        {"#fail cut #echo abcdef", ERR_NET, "abc", 7},
        {"#fail cut #echo 你好", ERR_NET, "你", 7},
        {"a#echo b", ERR_OK, NULL, 7},
        {"#echoes b", ERR_OK, NULL, 7},
        {"#sleep", ERR_OK, NULL, 7},
        {"#sleep -5", ERR_OK, NULL, 7},
        {"#sleep 99999999999999999999", ERR_OK, NULL, 7},
        {"#len 5 hello", ERR_OK, "> I a", 7},
        {"#history", ERR_OK, "1 messages\n1. user: #history", 7},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct practice_conf knobs = {.chunk_chars = 1, .delay_ms = 7};
        struct run r;
        ask(&r, &knobs, cases[i].asked, true);
        if (r.code != cases[i].code || r.reply.delay_ms != cases[i].delay_ms ||
            (cases[i].text && strcmp(text_of(&r), cases[i].text) != 0))
            fail_msg("%s: %s, \"%s\", %d ms", cases[i].asked, err_name(r.code), text_of(&r), (int)r.reply.delay_ms);
        run_fini(&r);
    }
}

static void test_orders_are_not_quoted(void **state)
{
    (void)state;
    struct run r;
    ask(&r, &quick, "one #sleep 3 two", false);
    assert_non_null(strstr(text_of(&r), "“one  two”"));
    run_fini(&r);
}

static void test_history(void **state)
{
    (void)state;
    struct practice p;
    struct run r;
    practice_init(&p, 0);
    run(&r, &p, &quick,
        "{\"messages\":[{\"role\":\"system\",\"content\":\"You are\\nhelpful.\"},{\"role\":\"user\",\"content\":"
        "[{\"type\":\"text\",\"text\":\"in\"},{\"type\":\"text\",\"text\":\" parts\"}]},{\"role\":\"assistant\","
        "\"content\":null},{\"content\":5},{\"role\":\"user\",\"content\":\"#history\"}]}");
    assert_string_equal(text_of(&r), "5 messages\n1. system: You are helpful.\n2. user: in parts\n3. assistant: \n4. ?: "
                                     "\n5. user: #history");
    run_fini(&r);
}

static void test_once(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"messages\":[{\"role\":\"user\",\"content\":\"#fail 500 once #echo a\"}]}",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"#fail cut once #echo b\"}]}",
    };
    static const struct {
        size_t body;
        enum err_code code;
    } steps[] = {{0, ERR_SERVER}, {1, ERR_PROTO}, {0, ERR_OK}, {1, ERR_OK}, {0, ERR_SERVER}, {0, ERR_OK}};
    struct practice p;
    practice_init(&p, 0);
    for (size_t i = 0; i < COUNT(steps); i++) {
        struct run r;
        run(&r, &p, &quick, bodies[steps[i].body]);
        assert_int_equal(r.code, steps[i].code);
        if (r.code == ERR_OK)
            assert_string_equal(text_of(&r), steps[i].body ? "b" : "a");
        run_fini(&r);
    }
}

static void test_retry_after(void **state)
{
    (void)state;
    struct run r;
    ask(&r, &quick, "#fail 429", true);
    assert_int_equal(r.reply.status, 429);
    assert_int_equal(r.reply.retry_after_ms, PRACTICE_RETRY_AFTER_MS);
    run_fini(&r);
    ask(&r, &quick, "#fail 500", true);
    assert_int_equal(r.reply.retry_after_ms, -1);
    run_fini(&r);
}

static void test_length(void **state)
{
    (void)state;
    static const int64_t lengths[] = {1, 2, 100, 500, 5000, 100000};
    static const char *const asked[] = {"hello", "你好"};
    for (size_t i = 0; i < COUNT(lengths); i++) {
        for (size_t k = 0; k < COUNT(asked); k++) {
            struct practice_conf knobs = {.length_chars = lengths[i]};
            struct run r;
            ask(&r, &knobs, asked[k], false);
            size_t points = utf8_points(text_of(&r), r.d.text.len);
            assert_in_range(points, lengths[i] > 7 ? lengths[i] - 7 : 1, lengths[i]);
            run_fini(&r);
        }
    }
    struct practice_conf endless = {.length_chars = INT32_MAX};
    struct run r;
    ask(&r, &endless, "hello", false);
    assert_in_range(r.d.text.len, PRACTICE_TEXT_BYTES_MAX - 256, PRACTICE_TEXT_BYTES_MAX);
    run_fini(&r);
}

static void test_max_tokens(void **state)
{
    (void)state;
    struct practice p;
    struct run r;
    practice_init(&p, 0);
    run(&r, &p, &quick, "{\"max_tokens\":20,\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}");
    assert_int_equal(r.d.finish, FINISH_LENGTH);
    assert_in_range(r.d.usage.completion_tokens, 10, 30);
    run_fini(&r);
}

static void test_chunks(void **state)
{
    (void)state;
    static const struct {
        int64_t chunk_chars;
        int events; /* role, contents, finish, [DONE] */
    } cases[] = {{1, 3 + 6}, {2, 3 + 3}, {4, 3 + 2}, {5, 3 + 2}, {6, 3 + 1}, {100, 3 + 1}, {0, 3 + 1}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct practice_conf knobs = {.chunk_chars = cases[i].chunk_chars};
        struct run r;
        ask(&r, &knobs, "#echo a你😀b\"c", true);
        assert_int_equal(r.events, cases[i].events);
        assert_int_equal(r.pieces, cases[i].events);
        assert_string_equal(text_of(&r), "a你😀b\"c");
        assert_false(r.d.usage.known);
        run_fini(&r);
    }
}

static void test_usage(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"messages\":[{\"role\":\"user\",\"content\":\"#echo hello world\"}]}",
        "{\"stream\":true,\"stream_options\":{\"include_usage\":true},\"messages\":[{\"role\":\"user\",\"content\":\"#echo "
        "hello world\"}]}",
    };
    for (size_t i = 0; i < COUNT(bodies); i++) {
        struct practice p;
        struct run r;
        practice_init(&p, 0);
        run(&r, &p, &quick, bodies[i]);
        assert_true(r.d.usage.known);
        assert_int_equal(r.d.usage.prompt_tokens, 3 + 4 + 4); /* "#", three words */
        assert_int_equal(r.d.usage.completion_tokens, 2);
        assert_int_equal(r.d.usage.total_tokens, 13);
        run_fini(&r);
    }
}

#define TOOLS                                                                                                          \
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"get_time\"}},{\"type\":\"function\",\"function\":{"    \
    "\"name\":\"get_weather\",\"parameters\":{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"},"     \
    "\"unit\":{\"type\":\"string\",\"enum\":[\"celsius\"]},\"days\":{\"type\":\"integer\"},\"x\":{\"type\":"           \
    "\"boolean\"},\"l\":{\"type\":\"array\"},\"o\":{\"type\":\"object\"},\"other\":{}},\"required\":[\"city\","        \
    "\"unit\",\"days\",\"x\",\"l\",\"o\",5]}}}]"

static void test_tools(void **state)
{
    (void)state;
    static const struct {
        const char *messages, *name, *arguments, *text;
    } cases[] = {
        {"[{\"role\":\"user\",\"content\":\"Weather \\\"here\\\"\"}]", "get_weather",
         "{\"city\":\"Weather \\\"here\\\"\",\"unit\":\"celsius\",\"days\":1,\"x\":true,\"l\":[],\"o\":{}}", ""},
        {"[{\"role\":\"user\",\"content\":\"the time\"}]", "get_time", "{}", ""},
        {"[{\"role\":\"user\",\"content\":\"get it\"}]", NULL, NULL, "You wrote"},
        {"[{\"role\":\"user\",\"content\":\"#echo weather\"}]", NULL, NULL, "weather"},
        {"[{\"role\":\"user\",\"content\":\"weather\"},{\"role\":\"assistant\",\"content\":\"\"},{\"role\":\"tool\","
         "\"content\":\"21 °C\"}]",
         NULL, NULL, "The tool answered: “21 °C”."},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (int stream = 0; stream < 2; stream++) {
            struct practice p;
            struct run r;
            char body[2048];
            practice_init(&p, 0);
            snprintf(body, sizeof body, "{\"stream\":%s," TOOLS ",\"messages\":%s}", stream ? "true" : "false",
                     cases[i].messages);
            run(&r, &p, &quick, body);
            assert_int_equal(r.code, ERR_OK);
            assert_int_equal(r.d.n_calls, cases[i].name != NULL);
            assert_int_equal(r.d.finish, cases[i].name ? FINISH_TOOL_CALLS : FINISH_STOP);
            assert_non_null(strstr(text_of(&r), cases[i].text));
            if (cases[i].name) {
                assert_string_equal(r.d.calls[0].name, cases[i].name);
                assert_string_equal(buf_str(&r.d.calls[0].arguments), cases[i].arguments);
            }
            run_fini(&r);
        }
    }
}

static void test_bad_requests(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "",   "{",   "[]", "{}", "{\"messages\":[]}", "{\"messages\":null}", "{\"messages\":{\"role\":\"user\"}}",
        "\"", "null"};
    for (size_t i = 0; i < COUNT(bodies); i++) {
        struct practice p;
        struct run r;
        practice_init(&p, 0);
        run(&r, &p, &quick, bodies[i]);
        assert_int_equal(r.reply.status, 400);
        assert_int_equal(r.code, ERR_PARAM);
        run_fini(&r);
    }
}

/* The outcomes of n requests as letters. */
static void outcomes(char *letters, size_t n, uint64_t seed, double rate)
{
    static const char body[] = "{\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}";
    struct practice_conf knobs = {.fail_rate = rate};
    struct practice p;
    practice_init(&p, seed);
    for (size_t i = 0; i < n; i++) {
        struct run r;
        run(&r, &p, &knobs, body);
        letters[i] = r.code == ERR_OK ? '.' : r.code == ERR_RATE ? 'r' : r.code == ERR_SERVER ? 's' : 'c';
        run_fini(&r);
    }
    letters[n] = '\0';
}

static size_t count(const char *letters, char c)
{
    size_t n = 0;
    for (; *letters; letters++)
        n += *letters == c;
    return n;
}

static void test_fail_rate(void **state)
{
    (void)state;
    char a[401], b[401];
    outcomes(a, 400, 1, 0);
    assert_int_equal(count(a, '.'), 400);
    outcomes(a, 400, 1, 1);
    assert_int_equal(count(a, '.'), 0);
    outcomes(a, 400, 1, 0.3);
    assert_in_range(count(a, '.'), 240, 320); /* 280 on average, 9 the deviation */
    assert_in_range(count(a, 'r'), 15, 65);
    assert_in_range(count(a, 's'), 15, 65);
    assert_in_range(count(a, 'c'), 15, 65);
    outcomes(b, 400, 1, 0.3);
    assert_string_equal(a, b);
    outcomes(b, 400, 2, 0.3);
    assert_string_not_equal(a, b);
}

static void test_same_every_time(void **state)
{
    (void)state;
    struct run a, b;
    clock_test_freeze(1800000000000);
    ask(&a, &quick, "a long story", true);
    ask(&b, &quick, "a long story", true);
    assert_string_equal(buf_str(&a.bytes), buf_str(&b.bytes));
    assert_non_null(strstr(buf_str(&a.bytes), "\"created\":1800000000,\"model\":\"m\""));
    run_fini(&a);
    run_fini(&b);
}

static void test_models(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, OUT_MAX);
    practice_models(&b);
    cJSON *tree = json_parse(b.data, b.len);
    assert_string_equal(json_str(json_get(tree, "data")->child, "id"), "practice");
    cJSON_Delete(tree);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_honest_in_the_first_answer),
        cmocka_unit_test(test_long_quotes_are_cut),
        cmocka_unit_test(test_orders),
        cmocka_unit_test(test_orders_are_not_quoted),
        cmocka_unit_test(test_history),
        cmocka_unit_test(test_once),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_length),
        cmocka_unit_test(test_max_tokens),
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_usage),
        cmocka_unit_test(test_tools),
        cmocka_unit_test(test_bad_requests),
        cmocka_unit_test(test_fail_rate),
        cmocka_unit_test(test_same_every_time),
        cmocka_unit_test(test_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
