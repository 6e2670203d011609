/* schema_check.c: which values fit which schemas. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/model/schema_check.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

static void check(const char *schema, const char *value, const char *complaint)
{
    cJSON *s = json_parse(schema, strlen(schema)), *v = json_parse(value, strlen(value));
    struct buf out;
    assert_non_null(s);
    assert_non_null(v);
    buf_init(&out, SCHEMA_COMPLAINT_BYTES);
    bool good = schema_fits(s, v, &out);
    if (good != !complaint || strcmp(buf_str(&out), complaint ? complaint : "") != 0)
        fail_msg("%s against %s: %s", value, schema, good ? "fits" : buf_str(&out));
    buf_free(&out);
    cJSON_Delete(s);
    cJSON_Delete(v);
}

static void test_keywords(void **state)
{
    (void)state;
    static const struct {
        const char *schema, *value, *complaint; /* NULL: fits */
    } cases[] = {
        {"{}", "1", NULL},
        {"true", "1", NULL},
        {"false", "1", "the value must not be there"},
        {"5", "1", NULL}, /* no schema at all */
        {"{\"pattern\":\"^a\",\"format\":\"date\",\"$schema\":\"x\",\"description\":\"d\"}", "\"b\"", NULL},
        /* type */
        {"{\"type\":\"string\"}", "\"\"", NULL},
        {"{\"type\":\"string\"}", "1", "the value must be of type \"string\""},
        {"{\"type\":\"number\"}", "1.5", NULL},
        {"{\"type\":\"number\"}", "\"1\"", "the value must be of type \"number\""},
        {"{\"type\":\"integer\"}", "1.0", NULL},
        {"{\"type\":\"integer\"}", "1.5", "the value must be of type \"integer\""},
        {"{\"type\":\"boolean\"}", "false", NULL},
        {"{\"type\":\"boolean\"}", "null", "the value must be of type \"boolean\""},
        {"{\"type\":\"null\"}", "null", NULL},
        {"{\"type\":\"array\"}", "{}", "the value must be of type \"array\""},
        {"{\"type\":\"object\"}", "[]", "the value must be of type \"object\""},
        {"{\"type\":[\"string\",\"null\"]}", "null", NULL},
        {"{\"type\":[\"string\",\"null\"]}", "1", "the value must be of one of the types [\"string\",\"null\"]"},
        {"{\"type\":\"what\"}", "1", "the value must be of type \"what\""},
        /* enum, const */
        {"{\"enum\":[1,\"a\",[2],{\"b\":null}]}", "\"a\"", NULL},
        {"{\"enum\":[1,\"a\",[2],{\"b\":null}]}", "[2]", NULL},
        {"{\"enum\":[1,\"a\",[2],{\"b\":null}]}", "{\"b\":null}", NULL},
        {"{\"enum\":[1,\"a\"]}", "2", "the value must be one of [1,\"a\"]"},
        {"{\"enum\":[[2]]}", "[2,3]", "the value must be one of [[2]]"},
        {"{\"enum\":[true]}", "false", "the value must be one of [true]"},
        {"{\"enum\":[]}", "1", "the value must be one of []"},
        {"{\"const\":{\"a\":1,\"b\":[2]}}", "{\"b\":[2],\"a\":1}", NULL},
        {"{\"const\":{\"a\":1}}", "{\"a\":2}", "the value must be {\"a\":1}"},
        {"{\"const\":{\"a\":1}}", "{\"b\":1}", "the value must be {\"a\":1}"},
        /* objects */
        {"{\"required\":[\"a\"]}", "{\"a\":null}", NULL},
        {"{\"required\":[\"a\",\"b\"]}", "{\"a\":1}", "the value must have the member \"b\""},
        {"{\"required\":[\"a\"]}", "[]", NULL},
        {"{\"properties\":{\"a\":{\"type\":\"string\"}}}", "{\"a\":\"x\",\"b\":1}", NULL},
        {"{\"properties\":{\"a\":{\"type\":\"string\"}}}", "{\"a\":1}", "/a must be of type \"string\""},
        {"{\"properties\":{\"a\":{\"properties\":{\"b\":{\"type\":\"null\"}}}}}", "{\"a\":{\"b\":1}}",
         "/a/b must be of type \"null\""},
        {"{\"properties\":{\"a\":{}},\"additionalProperties\":false}", "{\"a\":1}", NULL},
        {"{\"additionalProperties\":false,\"properties\":{\"a\":{}}}", "{\"a\":1,\"b\":1}", "/b must not be there"},
        {"{\"additionalProperties\":{\"type\":\"string\"}}", "{\"a\":1}", "/a must be of type \"string\""},
        {"{\"additionalProperties\":false}", "[1]", NULL},
        /* arrays */
        {"{\"items\":{\"type\":\"number\"}}", "[1,2]", NULL},
        {"{\"items\":{\"type\":\"number\"}}", "[1,\"a\"]", "/1 must be of type \"number\""},
        {"{\"items\":false}", "[]", NULL},
        {"{\"minItems\":2}", "[1,2]", NULL},
        {"{\"minItems\":2}", "[1]", "the value must have at least this many items: 2"},
        {"{\"maxItems\":1}", "[1]", NULL},
        {"{\"maxItems\":1}", "[1,2]", "the value must have at most this many items: 1"},
        {"{\"maxItems\":1}", "\"ab\"", NULL},
        /* sizes */
        {"{\"minLength\":2,\"maxLength\":2}", "\"你好\"", NULL},
        {"{\"minLength\":2}", "\"你\"", "the value must have at least this many characters: 2"},
        {"{\"maxLength\":2}", "\"abc\"", "the value must have at most this many characters: 2"},
        {"{\"minimum\":0.5,\"maximum\":1}", "0.5", NULL},
        {"{\"minimum\":0.5}", "0.25", "the value must be at least 0.5"},
        {"{\"maximum\":1}", "1.5", "the value must be at most 1"},
        {"{\"maximum\":\"x\",\"required\":5,\"enum\":5,\"properties\":5,\"anyOf\":5,\"$ref\":5,\"type\":5}", "1", NULL},
        /* anyOf, $ref */
        {"{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}", "null", NULL},
        {"{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}", "1",
         "the value must fit one of the alternatives of the schema"},
        {"{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"type\":\"string\"}}}", "\"x\"", NULL},
        {"{\"$ref\":\"#/$defs/a~1b~0\",\"$defs\":{\"a/b~\":{\"type\":\"string\"}}}", "1", "the value must be of type \"string\""},
        {"{\"$ref\":\"#/$defs/none\"}", "1", NULL},
        {"{\"$ref\":\"http://elsewhere\"}", "1", NULL},
        {"{\"type\":\"object\",\"properties\":{\"next\":{\"$ref\":\"#\"},\"n\":{\"type\":\"number\"}}}",
         "{\"n\":1,\"next\":{\"n\":2,\"next\":{\"n\":\"3\"}}}", "/next/next/n must be of type \"number\""},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        check(cases[i].schema, cases[i].value, cases[i].complaint);
}

/* Schemas and values that would keep us busy for ever, or end the stack. */
static void test_bounds(void **state)
{
    (void)state;
    check("{\"$ref\":\"#\"}", "1", "the value is nested too deep");
    check("{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"$ref\":\"#/$defs/b\"},\"b\":{\"$ref\":\"#/$defs/a\"}}}", "1",
          "the value is nested too deep");
    check("{\"anyOf\":[{\"$ref\":\"#\"},{\"$ref\":\"#\"},{\"$ref\":\"#\"}]}", "1", "the value is too large to be checked");
    struct buf many;
    buf_init(&many, 1 << 20);
    buf_adds(&many, "{\"a\":[");
    for (int i = 0; i < 50000; i++)
        buf_adds(&many, i ? ",1" : "1");
    buf_adds(&many, "]}");
    check("{\"properties\":{\"a\":{\"items\":{\"enum\":[2,3,1]}}}}", buf_str(&many), NULL);
    buf_free(&many);
}

/* Paths and values that are too long for a complaint are cut, not refused. */
static void test_long_complaint(void **state)
{
    (void)state;
    struct buf value;
    static const char text[] = "{\"additionalProperties\":{\"additionalProperties\":false}}";
    cJSON *schema = json_parse(text, strlen(text));
    buf_init(&value, 4096);
    assert_non_null(schema);
    for (int round = 0; round < 2; round++) {
        buf_reset(&value);
        buf_adds(&value, "{\"");
        for (int i = 0; i < 300; i++)
            buf_adds(&value, "é");
        buf_adds(&value, round ? "\":{\"b\":1}}" : "\":{\"\":1}}");
        cJSON *v = json_parse(buf_str(&value), value.len);
        struct buf out;
        buf_init(&out, SCHEMA_COMPLAINT_BYTES);
        assert_false(schema_fits(schema, v, &out));
        assert_non_null(strstr(buf_str(&out), round ? "é must not be there" : "é/ must not be there"));
        buf_free(&out);
        cJSON_Delete(v);
    }
    buf_free(&value);
    cJSON_Delete(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keywords),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_long_complaint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
