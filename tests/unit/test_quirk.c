/* quirk.c: what real refusals teach, what they must not teach, and what is
 * done about it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/model/quirk.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define LEARNED_BYTES 256

static const struct model_conf old_field = {.max_tokens = 100, .max_tokens_field = MAX_TOKENS_OLD};

/* What the whole way from the body teaches; "" if it says that nothing is new. */
static const char *learn(struct quirks *q, const struct model_conf *m, long status, const char *body)
{
    static char learned[LEARNED_BYTES];
    struct failure f;
    struct buf text;
    failure_read(&f, status, body, strlen(body));
    buf_init(&text, sizeof learned - 1);
    if (quirk_learn(q, m, &f))
        quirk_describe(&text, q, m);
    snprintf(learned, sizeof learned, "%s", buf_str(&text));
    buf_free(&text);
    return learned;
}

#define E(message) "{\"error\":{\"message\":\"" message "\",\"type\":\"invalid_request_error\"}}"
#define EP(param, message) \
    "{\"error\":{\"message\":\"" message "\",\"type\":\"invalid_request_error\",\"param\":\"" param "\"}}"

/* What is kept is what was learned. */
static void check_kept(const struct quirks *q)
{
    struct quirks again = {0};
    struct buf text;
    buf_init(&text, QUIRK_TEXT_BYTES_MAX);
    quirk_write(&text, q);
    quirk_read(&again, buf_str(&text));
    assert_memory_equal(&again, q, sizeof again);
    buf_free(&text);
}

static void test_lessons(void **state)
{
    (void)state;
    static const struct {
        long status;
        const char *body, *learned;
    } cases[] = {
        /* OpenAI */
        {400, "{\"error\":{\"message\":\"Unsupported parameter: 'max_tokens' is not supported with this model. Use "
              "'max_completion_tokens' instead.\",\"type\":\"invalid_request_error\",\"param\":\"max_tokens\",\"code\":"
              "\"unsupported_parameter\"}}",
         "max_completion_tokens"},
        {400, EP("temperature", "Unsupported value: 'temperature' does not support 0.7 with this model. Only the default (1) "
                                "value is supported."),
         "no temperature"},
        {400, EP("top_p", "Unsupported parameter: 'top_p' is not supported with this model."), "no top_p"},
        {400, EP("reasoning_effort", "Unrecognized request argument supplied: reasoning_effort"), "no reasoning_effort"},
        {400, EP("verbosity", "Unsupported value: 'verbosity' does not support 'low' with this model."), "no verbosity"},
        {400, EP("stream", "Unsupported value: 'stream' does not support true with this model."), "no stream, no stream_options"},
        {400, EP("stream_options.include_obfuscation", "Unknown parameter: 'stream_options.include_obfuscation'."),
         "no include_obfuscation"},
        {400, EP("messages[0].role", "Unsupported value: 'messages[0].role' does not support 'system' with this model."),
         "role user"},
        {400, EP("messages[1].name", "Invalid 'messages[1].name': string does not match pattern."), "no names"},
        {400, EP("response_format", "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this "
                                    "model."),
         "json_object instead of a schema"},
        {400, E("Unrecognized request argument supplied: stream_options"), "no stream_options"},
        /* Groq */
        {400, E("'messages.0' : for 'role:user' the following must be satisfied[('messages.0' : property 'name' is "
                "unsupported)]"),
         "no names"},
        {400, E("property 'logit_bias' is unsupported"), "no logit_bias"},
        /* vLLM, Mistral, FastAPI: pydantic */
        {400, "{\"object\":\"error\",\"message\":\"[{'type': 'extra_forbidden', 'loc': ('body', 'store'), 'msg': 'Extra "
              "inputs are not permitted', 'input': True}]\",\"type\":\"BadRequestError\",\"code\":400}",
         "no store"},
        {422, "{\"detail\":[{\"type\":\"extra_forbidden\",\"loc\":[\"body\",\"stream_options\"],\"msg\":\"Extra inputs are not "
              "permitted\",\"input\":{}}]}",
         "no stream_options"},
        {422, "{\"object\":\"error\",\"message\":{\"detail\":[{\"type\":\"extra_forbidden\",\"loc\":[\"body\",\"user\"],\"msg\":"
              "\"Extra inputs are not permitted\"}]},\"type\":\"invalid_request_error\"}",
         "no user"},
        {422, "{\"detail\":[{\"type\":\"extra_forbidden\",\"loc\":[\"body\",\"messages\",0,\"name\"],\"msg\":\"Extra inputs "
              "are not permitted\"}]}",
         "no names"},
        {400, E("stream_options: Extra inputs are not permitted"), "no stream_options"},
        {400, E("Extra inputs are not permitted, field: 'seed', value: 5"), "no seed"},
        /* Anthropic, Gemini, xAI, serde, Go, LiteLLM, DashScope */
        {400, E("`temperature` and `top_p` cannot both be specified for this model. Please use only one."), "no top_p"},
        {400, E("`temperature` is deprecated for this model."), "no temperature"},
        {400, "[{\"error\":{\"code\":400,\"message\":\"Invalid JSON payload received. Unknown name \\\"frequency_penalty\\\": "
              "Cannot find field.\",\"status\":\"INVALID_ARGUMENT\"}}]",
         "no frequency_penalty"},
        {400, "{\"code\":\"invalid\",\"error\":\"Argument not supported on this model: presencePenalty\"}", "no presence_penalty"},
        {400, "{\"error\":\"Argument not supported on this model: stop\"}", "no stop"},
        {422, "Failed to deserialize the JSON body into the target type: unknown field `metadata`, expected one of `model`",
         "no metadata"},
        {400, "json: unknown field \"prompt_cache_key\"", "no prompt_cache_key"},
        {400, E("litellm.UnsupportedParamsError: openai does not support parameters: ['temperature'], for model=o1"),
         "no temperature"},
        {400, E("参数 top_p 不支持"), "no top_p"},
        /* roles */
        {400, E("Unknown role: system"), "role user"},
        {400, E("System role not supported"), "role user"},
        {500, "{\"error\":{\"code\":500,\"message\":\"... raise_exception('System role not supported')\",\"type\":\"server_error\"}}",
         "role user"},
        {400, E("This model does not support 'system' in role. Use 'developer'."), "role developer"},
        {400, E("After the optional system message, conversation roles must alternate user/assistant/user/assistant/..."),
         "alternating roles"},
        {500, E("Conversation roles must alternate user/assistant/user/assistant/..."), "alternating roles"},
        /* formats */
        {400, E("This response_format type is unavailable now"), "json_object instead of a schema"},
        {400, EP("response_format.type", "response_format.type `json_schema` is not supported"),
         "json_object instead of a schema"},
        {400, "{\"error\":\"'response_format.type' must be 'json_schema' or 'text'\"}", "no response_format"},
        {400, E("Unknown parameter: 'response_format'."), "no response_format"},
        {400, E("'json_object' is not supported"), "no response_format"},
        /* two at once */
        {400, E("Unsupported parameter: 'temperature'. Unsupported parameter: 'max_tokens'."),
         "max_completion_tokens, no temperature"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct quirks q = {0};
        const char *learned = learn(&q, &old_field, cases[i].status, cases[i].body);
        if (strcmp(learned, cases[i].learned) != 0)
            fail_msg("%s: \"%s\"", cases[i].body, learned);
        check_kept(&q);
        int more = 0; /* a ladder may have one more step; then it ends */
        while (*learn(&q, &old_field, cases[i].status, cases[i].body))
            assert_true(++more < 2);
    }
}

static void test_what_teaches_nothing(void **state)
{
    (void)state;
    static const struct {
        long status;
        const char *body;
    } cases[] = {
        /* values, not parameters */
        {400, EP("temperature", "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 3.")},
        {400, EP("max_tokens", "max_tokens is too large: 50000. This model supports at most 4096 completion tokens.")},
        {400, EP("service_tier", "Invalid value: 'x'. Supported values are: 'auto' and 'default'.")},
        {400, EP("stop", "Invalid 'stop': array too long. Expected at most 4.")},
        {422, "{\"detail\":[{\"type\":\"missing\",\"loc\":[\"body\",\"metadata\"],\"msg\":\"Field required\"}]}"},
        /* mentioned only */
        {400, E("Try another temperature or stop here.")},
        {400, E("Your stop is not supported by user agreements, and neither is the store")},
        {400, E("This user is not allowed to do that")},
        {400, E("The metadata is not available")},
        {400, E("'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.")},
        {400, E("stopgap is not supported")},
        {400, E("not_temperature is not supported")},
        {400, E("temperature_scale is not supported")},
        {400, E("max_completion_tokens is not supported")}, /* is not what we send */
        {400, E("The role of the system is to be helpful")},
        {400, E("developer role is not supported")}, /* nor is this */
        {400, E("messages: 'name' is a nice word")},
        {400, ""},
        {400, "{}"},
        {400, "<html><title>temperature</title></html>"},
        /* other failures */
        {401, E("Unsupported parameter: 'temperature'")},
        {404, E("Unsupported parameter: 'temperature'")},
        {429, E("Unsupported parameter: 'temperature'")},
        {500, E("Unsupported parameter: 'temperature'")},
        {503, E("System role not supported")},
        {400, "{\"error\":{\"message\":\"Unsupported parameter: 'temperature'\",\"code\":\"context_length_exceeded\"}}"},
    };
    static const struct quirks none = {0};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct quirks q = {0};
        if (*learn(&q, &old_field, cases[i].status, cases[i].body) || memcmp(&q, &none, sizeof q) != 0)
            fail_msg("%ld %s", cases[i].status, cases[i].body);
    }
}

/* Refusals of one model, one after the other. */
static void test_ladders(void **state)
{
    (void)state;
    static const char schema[] = EP("response_format", "response_format type is not supported");
    static const char old[] = E("Unsupported parameter: 'max_tokens'");
    static const char completion[] = E("Unsupported parameter: 'max_completion_tokens'");
    static const char developer[] = EP("messages[0].role", "Invalid value: 'developer'. Supported values are: 'system', 'user'");
    static const char system[] = E("System role is not supported");
    static const struct {
        struct model_conf m;
        const char *steps[6]; /* body, what is then known; "": nothing new */
    } cases[] = {
        {{.max_tokens = 1}, {schema, "json_object instead of a schema", schema, "no response_format", schema, ""}},
        {{.max_tokens = 1}, {old, "max_completion_tokens", old, "", completion, "no max_tokens"}},
        {{.max_tokens = 1, .max_tokens_field = MAX_TOKENS_COMPLETION}, {completion, "max_tokens", old, "no max_tokens", old, ""}},
        {{.max_tokens = 1, .max_tokens_field = MAX_TOKENS_NONE}, {completion, "", old, "", "", ""}},
        {{.max_tokens = 0}, {completion, "", old, "", "", ""}},
        {{.system_role = SYSTEM_ROLE_DEVELOPER}, {developer, "role system", developer, "", system, "role user"}},
        {{.system_role = SYSTEM_ROLE_SYSTEM}, {developer, "", system, "role user", system, ""}},
        {{.system_role = SYSTEM_ROLE_USER}, {developer, "", system, "", E("User role is not supported"), ""}},
        {{.system_role = SYSTEM_ROLE_DEVELOPER}, {E("Unexpected message role."), "role system", system, "role user", "", ""}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct quirks q = {0};
        for (size_t k = 0; k < 6; k += 2) {
            const char *learned = learn(&q, &cases[i].m, 400, cases[i].steps[k]);
            if (strcmp(learned, cases[i].steps[k + 1]) != 0)
                fail_msg("case %zu, step %zu: \"%s\"", i, k / 2, learned);
        }
    }
}

static void test_nothing_learned(void **state)
{
    (void)state;
    static const struct quirks none = {0};
    const struct model_conf m = {.system_role = SYSTEM_ROLE_DEVELOPER, .max_tokens_field = MAX_TOKENS_COMPLETION};
    const struct quirks *both[] = {NULL, &none};
    for (size_t i = 0; i < COUNT(both); i++) {
        assert_false(quirk_drops(both[i], "temperature"));
        assert_false(quirk_drops(both[i], "model"));
        assert_int_equal(quirk_max_tokens_field(both[i], &m), MAX_TOKENS_COMPLETION);
        assert_int_equal(quirk_system_role(both[i], &m), SYSTEM_ROLE_DEVELOPER);
        assert_int_equal(quirk_format(both[i]), FORMAT_CONFIGURED);
        assert_false(quirk_no_names(both[i]) || quirk_alternate(both[i]));
    }
}

static void test_drops(void **state)
{
    (void)state;
    struct quirks q = {0};
    learn(&q, &old_field, 400, E("Unsupported parameter: 'stream'"));
    assert_true(quirk_drops(&q, "stream") && quirk_drops(&q, "stream_options"));
    assert_false(quirk_drops(&q, "temperature") || quirk_drops(&q, "stre") || quirk_drops(&q, ""));
    learn(&q, &old_field, 400, E("Conversation roles must alternate"));
    assert_true(quirk_alternate(&q));
    learn(&q, &old_field, 400, EP("messages.2.name", "no"));
    assert_true(quirk_no_names(&q));
}

static void test_kept(void **state)
{
    (void)state;
    static const struct quirks none = {0};
    struct quirks all, q = {0};
    memset(&all, 0, sizeof all);
    all.dropped = (1U << 24) - 1;
    all.fields_refused = 3;
    all.roles_refused = 7;
    all.format = FORMAT_NONE;
    all.no_names = all.alternate = true;
    check_kept(&all);
    check_kept(&none);
    quirk_read(&q, "tomorrow's word  field:  temperatur role:pope \x01");
    assert_memory_equal(&q, &none, sizeof q);
    quirk_read(&q, "format:none x temperature");
    quirk_read(&q, "format:json_object"); /* never up again */
    assert_true(q.format == FORMAT_NONE && quirk_drops(&q, "temperature"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lessons),         cmocka_unit_test(test_what_teaches_nothing),
        cmocka_unit_test(test_ladders),         cmocka_unit_test(test_nothing_learned),
        cmocka_unit_test(test_drops),           cmocka_unit_test(test_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
