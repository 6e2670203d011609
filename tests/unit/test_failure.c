/* failure.c: the class and the log line of every shape of error; no secrets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/base/utf8.h"
#include "plugin/model/failure.h"
#include "tests/unit/transcript.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* Hands over a copy without a NUL behind it. */
static void read_exact(struct failure *f, long status, const char *body, size_t len)
{
    char *exact = malloc(len + (len == 0));
    assert_non_null(exact);
    memcpy(exact, body, len);
    failure_read(f, status, exact, len);
    free(exact);
}

static void test_statuses(void **state)
{
    (void)state;
    static const struct {
        long status;
        const char *body;
        enum err_code code;
        const char *text; /* NULL: not looked at */
    } cases[] = {
        /* OpenAI */
        {401, "{\"error\":{\"message\":\"no key\",\"type\":\"invalid_request_error\",\"param\":null,"
              "\"code\":\"invalid_api_key\"}}",
         ERR_AUTH, "HTTP 401 invalid_api_key: no key"},
        {429, "{\"error\":{\"message\":\"slow down\",\"type\":\"requests\",\"param\":null,"
              "\"code\":\"rate_limit_exceeded\"}}",
         ERR_RATE, "HTTP 429 rate_limit_exceeded: slow down"},
        {429, "{\"error\":{\"message\":\"pay\",\"type\":\"insufficient_quota\",\"code\":\"insufficient_quota\"}}",
         ERR_QUOTA, NULL},
        {429, "{\"error\":{\"message\":\"pay\",\"type\":\"insufficient_quota\",\"code\":null}}", ERR_QUOTA, NULL},
        {400, "{\"error\":{\"message\":\"x\",\"code\":\"context_length_exceeded\"}}", ERR_CONTEXT, NULL},
        {404, "{\"error\":{\"message\":\"The model `x` does not exist\",\"code\":\"model_not_found\"}}", ERR_MODEL,
         NULL},
        {400, "{\"error\":{\"message\":\"Unsupported parameter: 'max_tokens'\",\"type\":\"invalid_request_error\","
              "\"code\":\"unsupported_parameter\"}}",
         ERR_PARAM, NULL},
        {429, "{\"error\":{\"message\":\"limit\",\"type\":\"tokens\",\"code\":\"billing_hard_limit_reached\"}}",
         ERR_QUOTA, NULL},
        /* llama.cpp: the code is a number */
        {503, "{\"error\":{\"message\":\"Loading model\",\"type\":\"unavailable_error\",\"code\":503}}", ERR_OVERLOAD,
         "HTTP 503: Loading model"},
        {400, "{\"error\":{\"code\":400,\"message\":\"request (15017 tokens) exceeds the available context size\","
              "\"type\":\"exceed_context_size_error\",\"n_prompt_tokens\":15017,\"n_ctx\":4096}}",
         ERR_CONTEXT, NULL},
        /* OpenRouter */
        {403, "{\"error\":{\"code\":403,\"message\":\"no\",\"metadata\":{\"reasons\":[\"x\"],\"flagged_input\":\"y\"}}}",
         ERR_CONTENT, NULL},
        {502, "{\"error\":{\"code\":502,\"message\":\"Provider returned error\",\"metadata\":{\"raw\":\"upstream\"}}}",
         ERR_SERVER, "HTTP 502: upstream"},
        {402, "{\"error\":{\"code\":402,\"message\":\"Insufficient credits\"}}", ERR_QUOTA, NULL},
        /* what a provider behind it said, as text that is JSON, as JSON, as nonsense, too deep */
        {400, "{\"error\":{\"code\":400,\"message\":\"Provider returned error\",\"metadata\":{\"raw\":\"{\\\"error\\\":{"
              "\\\"message\\\":\\\"too much\\\",\\\"code\\\":\\\"context_length_exceeded\\\"}}\",\"provider_name\":\"x\"}}}",
         ERR_CONTEXT, "HTTP 400 context_length_exceeded: too much"},
        {429, "{\"error\":{\"code\":429,\"message\":\"Provider returned error\",\"metadata\":{\"raw\":{\"error\":{\"message\":"
              "\"no money\",\"type\":\"insufficient_quota\"}}}}}",
         ERR_QUOTA, "HTTP 429 insufficient_quota: no money"},
        {502, "{\"error\":{\"code\":502,\"message\":\"Provider returned error\",\"metadata\":{\"raw\":{}}}}", ERR_SERVER,
         "HTTP 502: Provider returned error"},
        {502, "{\"error\":{\"code\":502,\"message\":\"Provider returned error\",\"metadata\":{\"raw\":\"\"}}}", ERR_SERVER,
         "HTTP 502: Provider returned error"},
        {502, "{\"error\":{\"metadata\":{\"raw\":{\"error\":{\"metadata\":{\"raw\":{\"error\":{\"message\":\"x\"}}}}}}}}",
         ERR_SERVER, "HTTP 502"},
        {400, "{\"error\":{\"message\":\"said\",\"metadata\":{\"raw\":\"not this\"}}}", ERR_PARAM, "HTTP 400: said"},
        /* strings, other names */
        {500, "{\"error\":\"model runner has stopped\"}", ERR_SERVER, "HTTP 500: model runner has stopped"},
        {404, "{\"error\":\"model 'x' not found\"}", ERR_MODEL, NULL},
        {400, "{\"status\":\"failure\",\"message\":\"bad\"}", ERR_PARAM, "HTTP 400 failure: bad"},
        {400, "{\"html-message\":\"bad\"}", ERR_PARAM, "HTTP 400: bad"},
        {400, "{\"object\":\"error\",\"message\":\"This model's maximum context length is 4096 tokens\","
              "\"type\":\"BadRequestError\",\"param\":null,\"code\":400}",
         ERR_CONTEXT, "HTTP 400: This model's maximum context length is 4096 tokens"},
        {400, "{\"errorMsg\":\"bad\"}", ERR_PARAM, "HTTP 400: bad"},
        {422, "{\"detail\":[{\"loc\":[\"body\",\"messages\"],\"msg\":\"field required\",\"type\":\"missing\"}]}",
         ERR_PARAM, "HTTP 422: field required"},
        {404, "{\"detail\":\"Not Found\"}", ERR_MODEL, "HTTP 404: Not Found"},
        {422, "{\"object\":\"error\",\"message\":{\"detail\":[{\"loc\":[\"body\",\"user\"],\"msg\":\"Extra inputs are not "
              "permitted\"}]},\"type\":\"invalid_request_error\"}",
         ERR_PARAM, "HTTP 422 invalid_request_error: Extra inputs are not permitted"},
        {400, "{\"detail\":{\"error\":\"x\",\"message\":\"inside\"}}", ERR_PARAM, "HTTP 400: inside"},
        {422, "{\"detail\":[]}", ERR_PARAM, "HTTP 422: {\"detail\":[]}"},
        {422, "{\"detail\":[\"x\"]}", ERR_PARAM, NULL},
        {446, "{\"status\":\"failure\",\"message\":\"openai error: hooks failed\",\"provider\":\"openai\"}", ERR_PARAM,
         "HTTP 446 failure: openai error: hooks failed"},
        /* Gemini: in an array */
        {400, "[{\"error\":{\"code\":400,\"message\":\"API key not valid.\",\"status\":\"INVALID_ARGUMENT\"}}]",
         ERR_AUTH, "HTTP 400: API key not valid."},
        {429, "[{\"error\":{\"code\":429,\"message\":\"You exceeded your current quota. Please retry in 37.5s.\",\"status\":"
              "\"RESOURCE_EXHAUSTED\",\"details\":[]}}]",
         ERR_RATE, NULL},
        {503, "[{\"error\":{\"code\":503,\"message\":\"The model is overloaded.\",\"status\":\"UNAVAILABLE\"}}]", ERR_OVERLOAD,
         "HTTP 503: The model is overloaded."},
        /* Azure */
        {401, "{\"statusCode\":401,\"message\":\"Unauthorized. Access token is missing\"}", ERR_AUTH,
         "HTTP 401: Unauthorized. Access token is missing"},
        {429, "{\"error\":{\"code\":\"429\",\"message\":\"Requests have exceeded call rate limit. Please retry after 26 "
              "seconds.\"}}",
         ERR_RATE, NULL},
        {404, "{\"error\":{\"code\":\"DeploymentNotFound\",\"message\":\"x\"}}", ERR_MODEL, NULL},
        {400, "{\"error\":{\"code\":\"content_filter\",\"status\":400,\"message\":\"filtered\",\"innererror\":{\"code\":"
              "\"ResponsibleAIPolicyViolation\"}}}",
         ERR_CONTENT, NULL},
        {400, "{\"error\":{\"code\":null,\"message\":\"filtered\",\"innererror\":{\"code\":"
              "\"ResponsibleAIPolicyViolation\"}}}",
         ERR_CONTENT, NULL},
        /* DashScope, Zhipu, Moonshot, DeepSeek */
        {429, "{\"code\":\"Throttling.RateQuota\",\"message\":\"too fast\",\"request_id\":\"x\"}", ERR_RATE,
         "HTTP 429 Throttling.RateQuota: too fast"},
        {400, "{\"code\":\"DataInspectionFailed\",\"message\":\"x\"}", ERR_CONTENT, NULL},
        {400, "{\"error\":{\"code\":\"invalid_parameter_error\",\"message\":\"Range of input length should be [1, 6000]\"}}",
         ERR_CONTEXT, NULL},
        {429, "{\"error\":{\"code\":\"1302\",\"message\":\"x\"}}", ERR_RATE, "HTTP 429 1302: x"},
        {429, "{\"error\":{\"code\":\"1113\",\"message\":\"x\"}}", ERR_QUOTA, NULL},
        {400, "{\"error\":{\"code\":\"1261\",\"message\":\"x\"}}", ERR_CONTEXT, NULL},
        {400, "{\"error\":{\"code\":\"1301\",\"message\":\"x\"}}", ERR_CONTENT, NULL},
        {400, "{\"error\":{\"code\":\"1211\",\"message\":\"x\"}}", ERR_MODEL, NULL},
        {400, "{\"error\":{\"code\":\"1214\",\"message\":\"x\"}}", ERR_PARAM, "HTTP 400 1214: x"},
        {429, "{\"error\":{\"code\":\"1305\",\"message\":\"x\"}}", ERR_OVERLOAD, NULL},
        {429, "{\"error\":{\"message\":\"x\",\"code\":\"limit_requests\"},\"request_id\":\"y\"}", ERR_RATE, NULL},
        {403, "{\"error\":{\"code\":\"AccountOverdueError\",\"message\":\"x\"}}", ERR_QUOTA, NULL},
        {400, "{\"error\":{\"type\":\"content_filter\",\"message\":\"x\"}}", ERR_CONTENT, NULL},
        {403, "{\"error\":{\"message\":\"insufficient balance\",\"type\":\"permission_error\"}}", ERR_QUOTA, NULL},
        {400, "{\"error\":{\"message\":\"Content Exists Risk\",\"type\":\"invalid_request_error\"}}", ERR_CONTENT, NULL},
        {400, "{\"error\":{\"message\":\"Model Not Exist\",\"type\":\"invalid_request_error\"}}", ERR_MODEL, NULL},
        {429, "{\"error\":{\"message\":\"busy\",\"type\":\"engine_overloaded_error\"}}", ERR_OVERLOAD, NULL},
        {413, "{\"error\":{\"message\":\"Request too large: tokens per minute\",\"code\":\"rate_limit_exceeded\"}}",
         ERR_CONTEXT, NULL},
        {429, "{\"error\":{\"message\":\"Request too large for gpt-4o: Limit 30000, Requested 45000\",\"type\":\"tokens\","
              "\"code\":\"rate_limit_exceeded\"}}",
         ERR_CONTEXT, NULL},
        /* Anthropic, Bedrock, DeepSeek */
        {400, "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"Your credit balance is too low to "
              "access the API.\"}}",
         ERR_QUOTA, NULL},
        {400, "{\"error\":{\"type\":\"invalid_request_error\",\"message\":\"prompt is too long: 214295 tokens > 200000 "
              "maximum\"}}",
         ERR_CONTEXT, NULL},
        {529, "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}", ERR_OVERLOAD, NULL},
        {400, "{\"error\":{\"type\":\"ThrottlingException\",\"message\":\"x\"}}", ERR_RATE, NULL},
        {402, "{\"error\":{\"message\":\"Insufficient Balance\",\"type\":\"unknown_error\",\"code\":\"invalid_request_error\"}}",
         ERR_QUOTA, NULL},
        /* SiliconFlow */
        {400, "{\"code\":20012,\"message\":\"Model does not exist. Please check it carefully.\",\"data\":null}", ERR_MODEL, NULL},
        /* the limit of the answer is no limit of the conversation */
        {400, "{\"error\":{\"message\":\"max_tokens is too large: 5000. This model supports at most 4096 completion "
              "tokens\",\"param\":\"max_tokens\"}}",
         ERR_PARAM, NULL},
        /* nothing to read */
        {502, "<html>\n<head><title>502 Bad\n Gateway</title></head><body>nginx</body></html>", ERR_SERVER,
         "HTTP 502: 502 Bad  Gateway"},
        {521, "<HTML><TITLE>Web server is down</TITLE>", ERR_SERVER, "HTTP 521: Web server is down"},
        {403, "<!doctype html><p>captcha", ERR_AUTH, "HTTP 403: <!doctype html><p>captcha"},
        {500, "", ERR_SERVER, "HTTP 500"},
        {500, "   \n", ERR_SERVER, NULL},
        {500, "Internal Server Error", ERR_SERVER, "HTTP 500: Internal Server Error"},
        {500, "{malformed json: <<<chaos>>>", ERR_SERVER, "HTTP 500: {malformed json: <<<chaos>>>"},
        {500, "{}", ERR_SERVER, "HTTP 500: {}"},
        {500, "null", ERR_SERVER, "HTTP 500: null"},
        {500, "[]", ERR_SERVER, "HTTP 500: []"},
        {500, "\"text\"", ERR_SERVER, NULL},
        {500, "a\xFF\x01\x1B[31mb", ERR_SERVER, "HTTP 500: a\xEF\xBF\xBD[31mb"},
        /* bare statuses */
        {301, "", ERR_PARAM, "HTTP 301"},
        {400, "", ERR_PARAM, NULL},
        {402, "", ERR_QUOTA, NULL},
        {403, "", ERR_AUTH, NULL},
        {404, "", ERR_MODEL, NULL},
        {405, "", ERR_PARAM, NULL},
        {408, "", ERR_TIMEOUT, NULL},
        {409, "", ERR_OVERLOAD, NULL},
        {413, "", ERR_CONTEXT, NULL},
        {422, "", ERR_PARAM, NULL},
        {429, "", ERR_RATE, NULL},
        {499, "", ERR_PARAM, NULL},
        {501, "", ERR_PARAM, NULL},
        {503, "", ERR_OVERLOAD, NULL},
        {504, "", ERR_TIMEOUT, NULL},
        {520, "", ERR_SERVER, NULL},
        {521, "error code: 521", ERR_SERVER, "HTTP 521: error code: 521"},
        {522, "", ERR_SERVER, NULL},
        {523, "", ERR_SERVER, NULL},
        {524, "", ERR_SERVER, NULL},
        {529, "", ERR_OVERLOAD, NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct failure f;
        read_exact(&f, cases[i].status, cases[i].body, strlen(cases[i].body));
        if (f.err.code != cases[i].code || (cases[i].text && strcmp(f.err.text, cases[i].text) != 0))
            fail_msg("%ld %s: %s, \"%s\"", cases[i].status, cases[i].body, err_name(f.err.code), f.err.text);
    }
}

static void test_inside_answers(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        enum err_code code; /* ERR_OK: no error at all */
        const char *text;
    } cases[] = {
        {"{\"choices\":[]}", ERR_OK, NULL},
        {"{\"choices\":[],\"error\":null}", ERR_OK, NULL},
        {"{\"choices\":[],\"error\":\"\"}", ERR_OK, NULL},
        {"{\"choices\":[],\"error\":false}", ERR_OK, NULL},
        {"{\"choices\":[],\"message\":\"x\"}", ERR_OK, NULL},
        {"{\"type\":\"ping\"}", ERR_OK, NULL},
        {"[1,2]", ERR_OK, NULL},
        {"null", ERR_OK, NULL},
        {"{\"error\":{\"code\":429,\"message\":\"slow\"}}", ERR_RATE, "429: slow"},
        {"{\"error\":{\"code\":502,\"message\":\"x\"},\"choices\":[{\"finish_reason\":\"error\"}]}", ERR_SERVER, NULL},
        {"{\"error\":{\"message\":\"x\",\"type\":\"invalid_request_error\"}}", ERR_PARAM, NULL},
        {"{\"error\":{\"message\":\"The server had an error\",\"type\":\"server_error\"}}", ERR_SERVER, NULL},
        {"{\"error\":{\"message\":\"x\",\"type\":\"overloaded_error\"}}", ERR_OVERLOAD, NULL},
        {"{\"error\":{\"message\":\"Rate limit reached\"}}", ERR_RATE, NULL},
        {"{\"error\":{}}", ERR_SERVER, "error without a reason"},
        {"{\"error\":\"out of memory\"}", ERR_SERVER, "out of memory"},
        {"{\"code\":\"Throttling\",\"message\":\"x\"}", ERR_RATE, NULL},
        {"{\"code\":1e300,\"error\":{\"code\":1e300,\"message\":\"x\"}}", ERR_SERVER, "x"},
        {"{\"error\":{\"code\":9007199254740991,\"message\":\"x\"}}", ERR_SERVER, "9007199254740991: x"},
        {"{\"object\":\"error\",\"message\":\"x\",\"code\":400}", ERR_PARAM, NULL},
        {"[{\"error\":{\"code\":401,\"message\":\"x\"}}]", ERR_AUTH, NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct failure f = {.err = ERR_INIT};
        cJSON *root = json_parse(cases[i].json, strlen(cases[i].json));
        bool found = failure_find(&f, root);
        if (found != (cases[i].code != ERR_OK) || f.err.code != cases[i].code ||
            (cases[i].text && strcmp(f.err.text, cases[i].text) != 0))
            fail_msg("%s: %s, \"%s\"", cases[i].json, err_name(f.err.code), f.err.text);
        cJSON_Delete(root);
    }
}

static void test_transcripts(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum err_code code;
    } cases[] = {
        {"aimock-05-ratelimit", ERR_RATE},         {"aimock-06-quota", ERR_QUOTA},
        {"aimock-08-unmatched", ERR_MODEL},        {"llamacpp-36-moderations", ERR_MODEL},
        {"llamacpp-37-badutf8", ERR_PARAM},
        {"aimock-11-chaos-drop", ERR_SERVER},      {"llamacpp-15-503-loading", ERR_OVERLOAD},
        {"llamacpp-20-err-401", ERR_AUTH},         {"llamacpp-21-err-badjson", ERR_PARAM},
        {"llamacpp-22-err-nomessages", ERR_PARAM}, {"llamacpp-23-err-404", ERR_MODEL},
        {"llamacpp-25-err-image", ERR_SERVER},     {"llamacpp-26-err-context", ERR_CONTEXT},
        {"llamacpp-27-err-context-stream", ERR_CONTEXT}, {"llamacpp-28-err-badtemp", ERR_PARAM},
        {"llamacpp-29-err-embeddings", ERR_PARAM},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct transcript t;
        struct failure f;
        transcript_read(&t, cases[i].name);
        read_exact(&f, t.status, t.body, t.len);
        if (f.err.code != cases[i].code)
            fail_msg("%s: %s, \"%s\"", cases[i].name, err_name(f.err.code), f.err.text);
        transcript_free(&t);
    }
}

static void test_delays(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        int64_t ms;
    } cases[] = {
        {"{\"error\":{\"message\":\"Rate limit reached. Please try again in 20s. Visit\"}}", 20000},
        {"{\"error\":{\"message\":\"Please Try Again In 6m0s.\"}}", 360000},
        {"{\"error\":{\"message\":\"Please try again in 1.242s\"}}", 1242},
        {"{\"error\":{\"message\":\"Please try again in a while\"}}", -1},
        {"{\"error\":{\"message\":\"slow\"}}", -1},
        {"[{\"error\":{\"code\":429,\"message\":\"x\",\"details\":[{\"@type\":\"a\"},{\"@type\":\"RetryInfo\","
         "\"retryDelay\":\"37s\"}]}}]",
         37000},
        {"[{\"error\":{\"code\":429,\"message\":\"Please retry in 37.5s.\"}}]", 37500},
        {"{\"error\":{\"message\":\"Please retry after 26 seconds.\"}}", 26000},
        {"{\"error\":{\"message\":\"retry after a while\"}}", -1},
        {"{\"error\":{\"message\":\"try again in 99999999999999999999 days\"}}", INT64_C(365) * 24 * 3600 * 1000},
        {"try again in 5s", 5000},
        {"", -1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct failure f;
        read_exact(&f, 429, cases[i].body, strlen(cases[i].body));
        assert_int_equal(f.retry_after_ms, cases[i].ms);
    }
}

static void test_details(void **state)
{
    (void)state;
    static const struct {
        long status;
        const char *body, *param, *message;
        int64_t context_max, context_used;
    } cases[] = {
        {400, "{\"error\":{\"message\":\"no\",\"param\":\"temperature\"}}", "temperature", "no", -1, -1},
        {400, "{\"error\":{\"message\":\"no\",\"param\":null}}", "", "no", -1, -1},
        {400, "{\"error\":{\"message\":\"no\",\"param\":\"\"}}", "", "no", -1, -1},
        {400, "{\"error\":{\"message\":\"no\",\"param\":7}}", "", "no", -1, -1},
        {400, "{\"message\":\"no\",\"param\":\"messages[0].name\"}", "messages[0].name", "no", -1, -1},
        {400, "{\"error\":{\"param\":\"123456789012345678901234567890123456789012345678901234567890123\"}}",
         "123456789012345678901234567890123456789012345678901234567890123", "", -1, -1},
        {400, "{\"error\":{\"param\":\"1234567890123456789012345678901234567890123456789012345678901234\"}}", "", "", -1, -1},
        {422, "{\"detail\":[{\"loc\":[\"body\",\"messages\",0,\"name\"],\"msg\":\"no\"},{\"loc\":[\"x\"],\"msg\":\"y\"}]}",
         "messages.0.name", "no", -1, -1},
        {422, "{\"detail\":[{\"loc\":[\"query\",\"a\"],\"msg\":\"no\"}]}", "query.a", "no", -1, -1},
        {422, "{\"detail\":[{\"loc\":[],\"msg\":\"no\"}]}", "", "no", -1, -1},
        {422, "{\"detail\":[{\"loc\":\"body\",\"msg\":\"no\"}]}", "", "no", -1, -1},
        {422, "{\"detail\":[{\"loc\":[\"12345678901234567890123456789012\",\"12345678901234567890123456789012\"],\"msg\":\"no\"}]}",
         "", "no", -1, -1},
        {400, "plain", "", "plain", -1, -1},
        {400, "{\"error\":{\"message\":\"a\xFF\",\"param\":\"\xFF\"}}", "\xEF\xBF\xBD", "a\xEF\xBF\xBD", -1, -1},
        {400, "{\"error\":{\"message\":\"context size\",\"type\":\"exceed_context_size_error\",\"n_prompt_tokens\":15017,"
              "\"n_ctx\":4096}}",
         "", "context size", 4096, 15017},
        {400, "{\"error\":{\"message\":\"context size\",\"n_prompt_tokens\":-1,\"n_ctx\":1e300}}", "", "context size", -1, -1},
        {400, "{\"error\":{\"message\":\"This model's maximum context length is 8192 tokens. However, you requested 9000 "
              "tokens\"}}",
         "", "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens", 8192, 9000},
        {500, "{\"error\":{\"message\":\"maximum context length is 8192 tokens\"}}", "",
         "maximum context length is 8192 tokens", -1, -1}, /* of another failure */
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct failure f;
        read_exact(&f, cases[i].status, cases[i].body, strlen(cases[i].body));
        assert_int_equal(f.status, cases[i].status);
        if (strcmp(f.param, cases[i].param) != 0 || strcmp(f.message, cases[i].message) != 0 ||
            f.context_max != cases[i].context_max || f.context_used != cases[i].context_used)
            fail_msg("%s: \"%s\" \"%s\" %lld %lld", cases[i].body, f.param, f.message, (long long)f.context_max,
                     (long long)f.context_used);
    }
}

/* The message is kept as it is, as far as it fits, and whole characters of it. */
static void test_long_messages(void **state)
{
    (void)state;
    static const size_t sizes[] = {FAILURE_MESSAGE_BYTES - 2, FAILURE_MESSAGE_BYTES - 1, FAILURE_MESSAGE_BYTES, 4000};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct buf body;
        struct failure f;
        buf_init(&body, 8192);
        buf_adds(&body, "{\"error\":\"");
        for (size_t n = 0; n + 1 < sizes[i]; n++)
            buf_addc(&body, 'a');
        buf_adds(&body, "\xC3\xA9\"}");
        read_exact(&f, 400, body.data, body.len);
        size_t len = strlen(f.message);
        assert_int_equal(len, sizes[i] < FAILURE_MESSAGE_BYTES - 1   ? sizes[i] + 1
                              : sizes[i] == FAILURE_MESSAGE_BYTES - 1 ? FAILURE_MESSAGE_BYTES - 2
                                                                      : FAILURE_MESSAGE_BYTES - 1);
        assert_true(utf8_valid(f.message, len));
        buf_free(&body);
    }
}

static void test_large_bodies(void **state)
{
    (void)state;
    static const size_t sizes[] = {199, 200, 201, 4096, FAILURE_BODY_BYTES_MAX, FAILURE_BODY_BYTES_MAX + 1};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct failure f;
        char *body = malloc(sizes[i]);
        assert_non_null(body);
        memset(body, '!', sizes[i]);
        failure_read(&f, 500, body, sizes[i]);
        assert_int_equal(strlen(f.err.text), strlen("HTTP 500: ") + (sizes[i] < 200 ? sizes[i] : 200));
        memset(body, 0xFF, sizes[i]);
        failure_read(&f, 500, body, sizes[i]);
        assert_true(utf8_valid(f.err.text, strlen(f.err.text)));
        free(body);
    }
}

static void test_masks(void **state)
{
    (void)state;
    static const struct {
        const char *text, *masked;
    } cases[] = {
        {"", ""},
        {"plain text stays.", "plain text stays."},
        {"Incorrect API key provided: sk-abc***xyz1. Find", "Incorrect API key provided: *** Find"},
        {"key sk-proj-0123456789 was", "key *** was"},
        {"Bearer abc.def", "Bearer ***"},
        {"Authorization: Bearer  abc", "Authorization: Bearer  ***"},
        {"api_key=hunter2&x=1", "api_key=***&x=1"},
        {"{\"api_key\": \"hunter2\"}", "{\"api_key\": \"***\"}"},
        {"password: hunter2", "password: ***"},
        {"AIzaSyD-1234567890", "***"},
        {"0123456789abcdef0123456789abcdef.AbCdEfGhIjKlMnOp", "***"},
        {"eyJhbGciOiJIUzI1NiJ9.e30.x", "***"},
        {"http://user:hunter2@example.org/v1", "http://***@example.org/v1"},
        {"https://example.org/v1/chat", "https://example.org/v1/chat"},
        {"a//b", "a//b"},
        {"model gpt-4o-mini-2024-07-18 does not exist", "model gpt-4o-mini-2024-07-18 does not exist"},
        {"meta-llama/Llama-3.1-405B-Instruct-Turbo", "meta-llama/Llama-3.1-405B-Instruct-Turbo"},
        {"12345678901234567890123456", "12345678901234567890123456"},
        {"internationalizationalization", "internationalizationalization"},
        {"abcdefghijklmnopqrstuv1", "abcdefghijklmnopqrstuv1"},    /* 23 */
        {"abcdefghijklmnopqrstuvw1", "***"},                       /* 24 */
        {"the token limit", "the token limit"},
        {"monkey business", "monkey business"},
        {"你好 sk-abcdef 世界", "你好 *** 世界"},
        {"a\nb\x7F" "c\xFF", "a b c\xEF\xBF\xBD"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf b;
        buf_init(&b, 4096);
        failure_mask(&b, cases[i].text, strlen(cases[i].text));
        assert_string_equal(buf_str(&b), cases[i].masked);
        buf_free(&b);
    }
}

static void test_hides_the_known_key(void **state)
{
    (void)state;
    static const struct {
        const char *text, *secret, *hidden;
    } cases[] = {
        {"wrong key swordfish, swordfish!", "swordfish", "wrong key ***, ***!"},
        {"wrong key swordf", "swordfish", "wrong key ***"}, /* cut */
        {"wrong key swo", "swordfish", "wrong key swo"},
        {"abcabc", "abc", "abcabc"}, /* too short to be one */
        {"abcd", "abcd", "***"},
        {"****", "****", "***"},
        {"nothing", "", "nothing"},
        {"nothing", NULL, "nothing"},
        {"", "swordfish", ""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct err e = ERR_INIT;
        err_set(&e, ERR_AUTH, "%s", cases[i].text);
        failure_hide(&e, cases[i].secret);
        assert_string_equal(e.text, cases[i].hidden);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statuses),     cmocka_unit_test(test_inside_answers),
        cmocka_unit_test(test_transcripts),  cmocka_unit_test(test_delays),
        cmocka_unit_test(test_large_bodies), cmocka_unit_test(test_masks),
        cmocka_unit_test(test_hides_the_known_key), cmocka_unit_test(test_details),
        cmocka_unit_test(test_long_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
