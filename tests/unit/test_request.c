/* request.c: body, URL and headers. */
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
#include "plugin/model/request.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define MESSAGES "[{\"role\":\"user\",\"content\":\"hi\"}]"
#define HEAD "{\"model\":\"m\",\"messages\":" MESSAGES

/* As the tables of config/ leave it when nothing is said. */
static struct model_conf plain(void)
{
    return (struct model_conf){
        .model = (char *)"m",
        .temperature = NAN,
        .top_p = NAN,
        .frequency_penalty = NAN,
        .presence_penalty = NAN,
        .seed = INT64_MIN,
    };
}

static struct strings list(const char *const *v)
{
    struct strings s = {(char **)(uintptr_t)v, 0};
    while (v[s.n])
        s.n++;
    return s;
}

static struct request_parts parts_of(const char *messages)
{
    return (struct request_parts){.messages = messages, .messages_len = strlen(messages)};
}

static void check_parts(const struct model_conf *conf, const struct request_parts *parts, const char *expected)
{
    struct buf b;
    buf_init(&b, REQUEST_BYTES_MAX);
    assert_int_equal(request_body(&b, conf, NULL, parts), ERR_OK);
    assert_string_equal(buf_str(&b), expected);
    cJSON *tree = json_parse(b.data, b.len);
    assert_non_null(tree);
    cJSON_Delete(tree);
    buf_free(&b);
}

static void check_body(const struct model_conf *conf, const char *expected)
{
    struct request_parts parts = parts_of(MESSAGES);
    check_parts(conf, &parts, expected);
}

static void test_only_what_is_configured(void **state)
{
    (void)state;
    struct model_conf c = plain();
    check_body(&c, HEAD "}");
    c.model = NULL;
    check_body(&c, "{\"messages\":" MESSAGES "}");
    c.model = (char *)"a/b:c@\"d\"";
    check_body(&c, "{\"model\":\"a/b:c@\\\"d\\\"\",\"messages\":" MESSAGES "}");
}

static void test_system_message(void **state)
{
    (void)state;
    static const char *const roles[] = {"system", "developer", "user"};
    struct model_conf c = plain();
    char expected[256];
    for (int role = SYSTEM_ROLE_SYSTEM; role <= SYSTEM_ROLE_USER; role++) {
        struct request_parts parts = parts_of(MESSAGES);
        c.system_role = role;
        parts.system = "be \\\"kind\\\"";
        snprintf(expected, sizeof expected, "{\"model\":\"m\",\"messages\":[{\"role\":\"%s\",\"content\":\"%s\"},%s}",
                 roles[role], parts.system, MESSAGES + 1);
        check_parts(&c, &parts, expected);
        parts = parts_of("[]");
        parts.system = "s";
        snprintf(expected, sizeof expected, "{\"model\":\"m\",\"messages\":[{\"role\":\"%s\",\"content\":\"s\"}]}",
                 roles[role]);
        check_parts(&c, &parts, expected);
        parts.system = "";
        check_parts(&c, &parts, "{\"model\":\"m\",\"messages\":[]}");
    }
}

static void test_sampling(void **state)
{
    (void)state;
    struct model_conf c = plain();
    c.temperature = 0.7;
    check_body(&c, HEAD ",\"temperature\":0.7}");
    c.temperature = 0;
    c.top_p = 1;
    c.frequency_penalty = -2;
    c.presence_penalty = 0.1;
    c.seed = INT64_MAX;
    check_body(&c, HEAD ",\"temperature\":0,\"top_p\":1,\"frequency_penalty\":-2,\"presence_penalty\":0.1,"
                        "\"seed\":9223372036854775807}");
    c = plain();
    c.seed = 0;
    check_body(&c, HEAD ",\"seed\":0}");
}

static void test_max_tokens(void **state)
{
    (void)state;
    struct model_conf c = plain();
    c.max_tokens = 100;
    c.max_tokens_field = MAX_TOKENS_OLD;
    check_body(&c, HEAD ",\"max_tokens\":100}");
    c.max_tokens_field = MAX_TOKENS_COMPLETION;
    check_body(&c, HEAD ",\"max_completion_tokens\":100}");
    c.max_tokens_field = MAX_TOKENS_NONE;
    check_body(&c, HEAD "}");
}

static void test_stop(void **state)
{
    (void)state;
    struct model_conf c = plain();
    c.stop = list((const char *const[]){"\n", "你\"", NULL});
    check_body(&c, HEAD ",\"stop\":[\"\\n\",\"你\\\"\"]}");
}

static void test_stream(void **state)
{
    (void)state;
    struct model_conf c = plain();
    c.stream_usage = true; /* has no meaning without a stream, and servers refuse it */
    check_body(&c, HEAD "}");
    c.stream = true;
    check_body(&c, HEAD ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
    c.stream_usage = false;
    check_body(&c, HEAD ",\"stream\":true}");
}

static void test_extra_and_drop(void **state)
{
    (void)state;
    struct model_conf c = plain();
    c.temperature = 0.5;
    c.extra = (char *)" { \"top_k\": 5, \"id\":12345678901234567890 } ";
    check_body(&c, HEAD ",\"temperature\":0.5, \"top_k\": 5, \"id\":12345678901234567890 }");
    c.extra = (char *)"{\"temperature\":1,\"model\":\"n\"}"; /* ours give way */
    check_body(&c, "{\"messages\":" MESSAGES ",\"temperature\":1,\"model\":\"n\"}");
    c.extra = (char *)"{}";
    check_body(&c, HEAD ",\"temperature\":0.5}");
    c.drop = list((const char *const[]){"temperature", "model", "other", NULL});
    check_body(&c, "{\"messages\":" MESSAGES "}");
    c.drop = list((const char *const[]){"temperature", "model", "messages", NULL});
    c.extra = (char *)"{\"a\":{}}";
    check_body(&c, "{\"a\":{}}");
    c.extra = NULL;
    check_body(&c, "{}");
}

static void test_appends(void **state)
{
    (void)state;
    struct model_conf c = plain();
    struct buf b;
    buf_init(&b, REQUEST_BYTES_MAX);
    buf_adds(&b, "before ");
    struct request_parts parts = parts_of("[]");
    request_body(&b, &c, NULL, &parts);
    assert_string_equal(buf_str(&b), "before {\"model\":\"m\",\"messages\":[]}");
    buf_free(&b);
}

static void test_limit(void **state)
{
    (void)state;
    struct model_conf c = plain();
    size_t around = strlen("{\"model\":\"m\",\"messages\":}");
    for (size_t over = 0; over < 2; over++) {
        struct buf b;
        size_t len = REQUEST_BYTES_MAX - around + over;
        char *messages = malloc(len);
        assert_non_null(messages);
        memset(messages, ' ', len);
        struct request_parts parts = {.messages = messages, .messages_len = len};
        buf_init(&b, REQUEST_BYTES_MAX);
        assert_int_equal(request_body(&b, &c, NULL, &parts), over ? ERR_TOO_LARGE : ERR_OK);
        free(messages);
        buf_free(&b);
    }
}

static void test_urls(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"https://api.openai.com/v1", "https://api.openai.com/v1/models"},
        {"https://api.openai.com/v1/", "https://api.openai.com/v1/models"},
        {"https://api.openai.com/v1//", "https://api.openai.com/v1//models"}, /* exactly one */
        {"https://api.deepseek.com", "https://api.deepseek.com/models"},
        {"http://h/openai/v1?api-version=preview", "http://h/openai/v1/models?api-version=preview"},
        {"http://h/openai/v1/?a=b/", "http://h/openai/v1/models?a=b/"},
        {"", "/models"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf b;
        buf_init(&b, REQUEST_URL_BYTES_MAX);
        assert_int_equal(request_url(&b, cases[i][0], "/models"), ERR_OK);
        assert_string_equal(buf_str(&b), cases[i][1]);
        buf_free(&b);
    }
}

static const char *find_header(const struct request_headers *h, const char *name)
{
    const char *found = NULL;
    size_t len = strlen(name);
    for (const char **line = h->lines; *line; line++) {
        if (strncasecmp(*line, name, len) == 0 && (*line)[len] == ':') {
            assert_null(found); /* once */
            found = *line;
        }
    }
    return found;
}

static void test_headers(void **state)
{
    (void)state;
    struct model_conf c = plain();
    struct secret key = {.value = NULL};
    struct request_headers h;
    request_headers_init(&h, &c, &key, true);
    assert_string_equal(find_header(&h, "Content-Type"), "Content-Type: application/json");
    assert_string_equal(find_header(&h, "Accept"), "Accept: text/event-stream");
    assert_non_null(find_header(&h, "User-Agent"));
    assert_null(find_header(&h, "Authorization")); /* local servers need no key */
    request_headers_fini(&h);

    secret_set(&key, "sk-x", 4);
    request_headers_init(&h, &c, &key, false);
    assert_string_equal(find_header(&h, "Accept"), "Accept: application/json");
    assert_string_equal(find_header(&h, "Authorization"), "Authorization: Bearer sk-x");
    request_headers_fini(&h);

    c.headers = list((const char *const[]){"X-Title: Warbler", "authorization: Basic y", "Accept: */*", NULL});
    request_headers_init(&h, &c, &key, false);
    assert_string_equal(find_header(&h, "X-Title"), "X-Title: Warbler");
    assert_string_equal(find_header(&h, "Authorization"), "authorization: Basic y");
    assert_string_equal(find_header(&h, "Accept"), "Accept: */*");
    request_headers_fini(&h);
    request_headers_fini(&h);
    secret_clear(&key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_what_is_configured),
        cmocka_unit_test(test_system_message),
        cmocka_unit_test(test_sampling),
        cmocka_unit_test(test_max_tokens),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_extra_and_drop),
        cmocka_unit_test(test_appends),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
