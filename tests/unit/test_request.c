/* request.c: body, URL and headers. */
#include <locale.h>
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
        .include_obfuscation = true,
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

/* What one answer wants otherwise: in place of what is configured, but never longer than that allows. */
static void test_tuning(void **state)
{
    (void)state;
    static const struct {
        int64_t configured, max, most;
        const char *expected;
    } cases[] = {
        {0, 0, 0, ""},
        {9, 0, 0, ",\"max_tokens\":9"},
        {0, 5, 0, ",\"max_tokens\":5"},
        {9, 50, 0, ",\"max_tokens\":50"},
        {0, 0, 7, ",\"max_tokens\":7"},
        {9, 0, 7, ",\"max_tokens\":7"},
        {9, 0, 11, ",\"max_tokens\":9"},
        {9, 50, 11, ",\"max_tokens\":11"},
    };
    char expected[256];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model_conf c = plain();
        const struct request_tuning t = {0, NAN, -1, NAN, cases[i].max, cases[i].most};
        struct request_parts parts = parts_of(MESSAGES);
        c.temperature = 0.7;
        c.top_p = 0.5;
        c.max_tokens = cases[i].configured;
        parts.tuning = &t;
        snprintf(expected, sizeof expected, HEAD ",\"temperature\":0,\"top_p\":0.5,\"frequency_penalty\":-1%s}",
                 cases[i].expected);
        check_parts(&c, &parts, expected);
    }
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
        struct buf b, messages;
        size_t len = REQUEST_BYTES_MAX - around + over;
        buf_init(&messages, len);
        buf_adds(&messages, "[{\"role\":\"user\",\"content\":\"");
        while (messages.len < len - 3)
            buf_addc(&messages, 'a');
        buf_adds(&messages, "\"}]");
        struct request_parts parts = {.messages = buf_str(&messages), .messages_len = messages.len};
        buf_init(&b, REQUEST_BYTES_MAX);
        assert_int_equal(request_body(&b, &c, NULL, &parts), over ? ERR_TOO_LARGE : ERR_OK);
        assert_int_equal(b.failed, over);
        buf_free(&messages);
        buf_free(&b);
    }
}

/* --- members of section 2 --- */

static void test_words(void **state)
{
    (void)state;
    struct model_conf c = plain();
    c.reasoning_effort = (char *)"low";
    c.verbosity = (char *)"high";
    c.service_tier = (char *)"flex";
    c.store = true;
    check_body(&c, HEAD ",\"reasoning_effort\":\"low\",\"verbosity\":\"high\",\"service_tier\":\"flex\",\"store\":true}");
    c.drop = list((const char *const[]){"verbosity", "store", NULL});
    check_body(&c, HEAD ",\"reasoning_effort\":\"low\",\"service_tier\":\"flex\"}");
}

static void test_objects(void **state)
{
    (void)state;
    struct model_conf c = plain();
    c.logit_bias = (char *)"{\"50256\": -100}";
    c.metadata = (char *)"{\"a\":\"b\"}";
    c.prediction = (char *)"{\"type\":\"content\",\"content\":\"x\"}";
    c.web_search_options = (char *)"{}";
    c.moderation = (char *)"{\"model\":\"o\"}";
    check_body(&c, HEAD ",\"logit_bias\":{\"50256\": -100},\"metadata\":{\"a\":\"b\"},"
                        "\"prediction\":{\"type\":\"content\",\"content\":\"x\"},\"web_search_options\":{},"
                        "\"moderation\":{\"model\":\"o\"}}");
}

static void test_person(void **state)
{
    (void)state;
    static const struct {
        int field;
        const char *member;
    } cases[] = {
        {USER_FIELD_NONE, ""},
        {USER_FIELD_USER, ",\"user\":\"p1\""},
        {USER_FIELD_SAFETY_IDENTIFIER, ",\"safety_identifier\":\"p1\""},
        {USER_FIELD_USER_ID, ",\"user_id\":\"p1\""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct model_conf c = plain();
        struct request_parts parts = parts_of(MESSAGES);
        char expected[256];
        c.user_field = cases[i].field;
        check_body(&c, HEAD "}"); /* nobody is known */
        parts.person = "p1";
        snprintf(expected, sizeof expected, HEAD "%s}", cases[i].member);
        check_parts(&c, &parts, expected);
    }
}

static void test_cache(void **state)
{
    (void)state;
    struct model_conf c = plain();
    struct request_parts parts = parts_of(MESSAGES);
    c.prompt_cache_key = true;
    check_body(&c, HEAD "}");
    parts.flow = "web:room";
    check_parts(&c, &parts, HEAD ",\"prompt_cache_key\":\"730b1bd47e3061ff022c16770739d38a\"}");
    c.prompt_cache_key = false;
    c.prompt_cache_retention = (char *)"24h";
    c.prompt_cache_options = (char *)"{\"ttl\":\"30m\"}";
    check_parts(&c, &parts, HEAD ",\"prompt_cache_retention\":\"24h\",\"prompt_cache_options\":{\"ttl\":\"30m\"}}");
}

static void test_stream_options(void **state)
{
    (void)state;
    struct model_conf c = plain();
    c.include_obfuscation = false;
    check_body(&c, HEAD "}");
    c.stream = true;
    check_body(&c, HEAD ",\"stream\":true,\"stream_options\":{\"include_obfuscation\":false}}");
    c.stream_usage = true;
    check_body(&c, HEAD ",\"stream\":true,\"stream_options\":{\"include_usage\":true,\"include_obfuscation\":false}}");
}

#define SCHEMA "{\"type\":\"object\"}"
#define JSON_SCHEMA "{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\",\"schema\":" SCHEMA "}}"

static void test_response_format(void **state)
{
    (void)state;
    static const struct {
        const char *conf;
        enum quirk_format asked, learned;
        const char *member; /* "" : none */
        bool told, with_schema;
    } cases[] = {
        {"text", FORMAT_CONFIGURED, FORMAT_CONFIGURED, "{\"type\":\"text\"}", false, false},
        {"json_object", FORMAT_CONFIGURED, FORMAT_CONFIGURED, "{\"type\":\"json_object\"}", true, false},
        {"json_object", FORMAT_CONFIGURED, FORMAT_NONE, "", true, false},
        {JSON_SCHEMA, FORMAT_CONFIGURED, FORMAT_CONFIGURED, JSON_SCHEMA, false, false},
        {JSON_SCHEMA, FORMAT_JSON_OBJECT, FORMAT_CONFIGURED, "{\"type\":\"json_object\"}", true, true},
        {JSON_SCHEMA, FORMAT_CONFIGURED, FORMAT_JSON_OBJECT, "{\"type\":\"json_object\"}", true, true},
        {JSON_SCHEMA, FORMAT_NONE, FORMAT_JSON_OBJECT, "", true, true},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct model_conf c = plain();
        struct quirks learned = {.format = cases[i].learned};
        struct request_parts parts = parts_of(MESSAGES);
        struct buf b;
        c.response_format = (char *)(uintptr_t)cases[i].conf;
        parts.system = "be kind";
        parts.format = cases[i].asked;
        buf_init(&b, REQUEST_BYTES_MAX);
        assert_int_equal(request_body(&b, &c, &learned, &parts), ERR_OK);
        cJSON *tree = json_parse(b.data, b.len);
        char *member = cJSON_PrintUnformatted(json_get(tree, "response_format"));
        const char *system = json_str(json_get(tree, "messages")->child, "content");
        assert_string_equal(member ? member : "", cases[i].member);
        assert_int_equal(strncmp(system, "be kind", 7), 0);
        assert_int_equal(strstr(system, "\n\nAnswer with one JSON") != NULL, cases[i].told);
        assert_int_equal(strstr(system, SCHEMA) != NULL, cases[i].with_schema);
        cJSON_free(member);
        cJSON_Delete(tree);
        buf_free(&b);
    }
}

static void test_quirks(void **state)
{
    (void)state;
    struct model_conf c = plain();
    struct quirks q = {.alternate = true, .no_names = true};
    struct request_parts parts = parts_of("[{\"role\":\"user\",\"name\":\"x\",\"content\":\"a\"},"
                                          "{\"role\":\"user\",\"name\":\"x\",\"content\":\"b\"}]");
    struct buf b;
    c.send_name = true;
    check_parts(&c, &parts, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"name\":\"x\",\"content\":\"a\"},"
                            "{\"role\":\"user\",\"name\":\"x\",\"content\":\"b\"}]}");
    buf_init(&b, REQUEST_BYTES_MAX);
    request_body(&b, &c, &q, &parts);
    assert_string_equal(buf_str(&b), "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\\nb\"}]}");
    buf_free(&b);
    c.send_name = false;
    c.merge_consecutive = true;
    parts.more = "[{\"role\":\"assistant\",\"content\":\"c\"}]";
    check_parts(&c, &parts, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\\nb\"},"
                            "{\"role\":\"assistant\",\"content\":\"c\"}]}");
}

/* A decimal comma would be another member. */
static void test_locale(void **state)
{
    (void)state;
    struct model_conf c = plain();
    if (!setlocale(LC_ALL, "de_DE.UTF-8") && !setlocale(LC_ALL, "de_DE.utf8"))
        skip();
    c.temperature = 0.7;
    c.top_p = 1e-7;
    check_body(&c, HEAD ",\"temperature\":0.7,\"top_p\":1e-07}");
    setlocale(LC_ALL, "C");
}

/* --- the older interface --- */

static void test_completions(void **state)
{
    (void)state;
    struct model_conf c = plain();
    struct request_parts parts = parts_of(MESSAGES);
    c.api = MODEL_API_COMPLETIONS;
    c.base_url = (char *)"http://h/v1";
    c.template = (char *)"plain";
    check_parts(&c, &parts, "{\"model\":\"m\",\"prompt\":\"User: hi\\nAssistant:\",\"max_tokens\":1024,"
                            "\"stop\":[\"\\nUser:\"]}");
    c.template = (char *)"chatml";
    c.stop = list((const char *const[]){"END", NULL});
    c.stream = c.stream_usage = true;
    c.temperature = 0.5;
    c.max_tokens = 7;
    c.max_tokens_field = MAX_TOKENS_COMPLETION; /* unknown there */
    c.user_field = USER_FIELD_SAFETY_IDENTIFIER;
    c.reasoning_effort = (char *)"low";
    c.base_url = (char *)"http://h/v1/engines/e";
    parts.system = "say \\\"x\\\"";
    parts.person = "p1";
    check_parts(&c, &parts,
                "{\"prompt\":\"<|im_start|>system\\nsay \\\"x\\\"<|im_end|>\\n<|im_start|>user\\nhi<|im_end|>\\n"
                "<|im_start|>assistant\\n\",\"temperature\":0.5,\"max_tokens\":7,"
                "\"stop\":[\"END\",\"<|im_end|>\",\"<|im_start|>\"],\"stream\":true,"
                "\"stream_options\":{\"include_usage\":true}}");
    c = plain();
    c.api = MODEL_API_COMPLETIONS;
    c.base_url = (char *)"http://h/v1";
    c.user_field = USER_FIELD_USER;
    c.response_format = (char *)JSON_SCHEMA;
    parts.system = NULL;
    struct buf b;
    buf_init(&b, REQUEST_BYTES_MAX);
    assert_int_equal(request_body(&b, &c, NULL, &parts), ERR_OK);
    assert_null(strstr(buf_str(&b), "response_format"));
    assert_non_null(strstr(buf_str(&b), "JSON Schema"));
    assert_non_null(strstr(buf_str(&b), "\"user\":\"p1\""));
    buf_free(&b);
}

static void test_urls(void **state)
{
    (void)state;
    static const struct {
        int api;
        const char *base, *model, *version, *url, *models;
    } cases[] = {
        {MODEL_API_CHAT, "https://api.openai.com/v1", "m", NULL, "https://api.openai.com/v1/chat/completions",
         "https://api.openai.com/v1/models"},
        {MODEL_API_CHAT, "https://api.openai.com/v1/", "m", NULL, "https://api.openai.com/v1/chat/completions",
         "https://api.openai.com/v1/models"},
        {MODEL_API_CHAT, "https://h/v1//", "m", NULL, "https://h/v1//chat/completions", "https://h/v1//models"}, /* exactly one */
        {MODEL_API_CHAT, "https://api.deepseek.com", "m", NULL, "https://api.deepseek.com/chat/completions",
         "https://api.deepseek.com/models"},
        {MODEL_API_CHAT, "https://h/engines/x", "m", "v", "https://h/engines/x/chat/completions", "https://h/engines/x/models"},
        {MODEL_API_COMPLETIONS, "http://h/v1/", "m", NULL, "http://h/v1/completions", "http://h/v1/models"},
        {MODEL_API_COMPLETIONS, "http://h/v1/engines/e", NULL, NULL, "http://h/v1/engines/e/completions", "http://h/v1/models"},
        {MODEL_API_AZURE, "https://r.openai.azure.com/", "gpt 4/o", NULL,
         "https://r.openai.azure.com/openai/deployments/gpt%204%2Fo/chat/completions?api-version=2024-10-21",
         "https://r.openai.azure.com/openai/models?api-version=2024-10-21"},
        {MODEL_API_AZURE, "https://r.openai.azure.com/openai", "d.-_~", "preview",
         "https://r.openai.azure.com/openai/deployments/d.-_~/chat/completions?api-version=preview",
         "https://r.openai.azure.com/openai/models?api-version=preview"},
        {MODEL_API_AZURE, "https://r.openai.azure.com/openai/deployments/d", NULL, NULL,
         "https://r.openai.azure.com/openai/deployments/d/chat/completions?api-version=2024-10-21",
         "https://r.openai.azure.com/openai/models?api-version=2024-10-21"},
        {MODEL_API_AZURE, "https://r.openai.azure.com/openai/v1/", "d", NULL,
         "https://r.openai.azure.com/openai/v1/chat/completions", "https://r.openai.azure.com/openai/v1/models"},
        {MODEL_API_AZURE, "https://r.openai.azure.com/openai/v1", "d", "latest",
         "https://r.openai.azure.com/openai/v1/chat/completions?api-version=latest",
         "https://r.openai.azure.com/openai/v1/models?api-version=latest"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct model_conf c = {
            .api = cases[i].api,
            .base_url = (char *)(uintptr_t)cases[i].base,
            .model = (char *)(uintptr_t)cases[i].model,
            .api_version = (char *)(uintptr_t)cases[i].version,
        };
        struct buf b;
        buf_init(&b, REQUEST_URL_BYTES_MAX);
        assert_int_equal(request_url(&b, &c), ERR_OK);
        assert_string_equal(buf_str(&b), cases[i].url);
        buf_reset(&b);
        assert_int_equal(request_models_url(&b, &c), ERR_OK);
        assert_string_equal(buf_str(&b), cases[i].models);
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

    c.api = MODEL_API_AZURE;
    request_headers_init(&h, &c, &key, false);
    assert_string_equal(find_header(&h, "api-key"), "api-key: sk-x");
    assert_null(find_header(&h, "Authorization"));
    request_headers_fini(&h);
    c.api = MODEL_API_CHAT;

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
        cmocka_unit_test(test_tuning),
        cmocka_unit_test(test_only_what_is_configured),
        cmocka_unit_test(test_system_message),
        cmocka_unit_test(test_sampling),
        cmocka_unit_test(test_max_tokens),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_extra_and_drop),
        cmocka_unit_test(test_appends),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_objects),
        cmocka_unit_test(test_person),
        cmocka_unit_test(test_cache),
        cmocka_unit_test(test_stream_options),
        cmocka_unit_test(test_response_format),
        cmocka_unit_test(test_quirks),
        cmocka_unit_test(test_locale),
        cmocka_unit_test(test_completions),
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
