/* structured.c: how an answer of a given form is asked for, found and judged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/model/structured.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define SCHEMA "{\"type\":\"object\",\"required\":[\"a\"]}"
#define FORM "{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\",\"schema\":" SCHEMA "}}"

static struct model_conf conf_of(const char *format)
{
    return (struct model_conf){.response_format = (char *)(uintptr_t)format};
}

static void test_wanted(void **state)
{
    (void)state;
    static const struct {
        const char *format;
        bool wanted;
    } cases[] = {
        {NULL, false}, {"", false}, {"text", false}, {"{\"type\":\"text\"}", false},
        {"json_object", true}, {"{\"type\":\"json_object\"}", true}, {FORM, true},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct model_conf c = conf_of(cases[i].format);
        assert_int_equal(structured_wanted(&c), cases[i].wanted);
    }
}

static void test_extract(void **state)
{
    (void)state;
    static const struct {
        const char *text, *found; /* NULL: nothing */
    } cases[] = {
        {"{\"a\":1}", "{\"a\":1}"},
        {" \n{\"a\":1}\n ", "{\"a\":1}"},
        {"5", "5"},
        {"[1]", "[1]"},
        {"```json\n{\"a\":1}\n```", "{\"a\":1}"},
        {"```\n{\"a\":{\"b\":\"}\\\"}\"}}\n```\nDone {really}.", "{\"a\":{\"b\":\"}\\\"}\"}}"},
        {"Here: {\"a\":[\"]\"]} and {\"b\":2}", "{\"a\":[\"]\"]}"},
        {"In {braces} first: {\"a\":1}", "{\"a\":1}"},
        {"{ {\"a\":1}", "{\"a\":1}"},
        {"{\"a\":", NULL},
        {"{\"a\":1", NULL},
        {"nothing", NULL},
        {"", NULL},
        {"{\"a\\", NULL},
        {"]}{", NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *begin = "";
        size_t len = 0;
        char *copy = malloc(strlen(cases[i].text) + 1); /* the sanitizer sees every byte too far */
        assert_non_null(copy);
        memcpy(copy, cases[i].text, strlen(cases[i].text));
        cJSON *value = structured_extract(copy, strlen(cases[i].text), &begin, &len);
        if (!value != !cases[i].found || (value && (strlen(cases[i].found) != len || memcmp(begin, cases[i].found, len) != 0)))
            fail_msg("%s: %.*s", cases[i].text, (int)len, begin);
        cJSON_Delete(value);
        free(copy);
    }
}

/* One answer after the other, and what is done about each. */
static void test_ladder(void **state)
{
    (void)state;
    static const struct {
        const char *conf;
        enum quirk_format learned;
        const char *answers[8];
        const char *steps; /* of each: g(ood), b(ad), else the next rung 0..2, with ! where it says what was wrong */
    } cases[] = {
        {FORM, FORMAT_CONFIGURED, {"{\"a\":1}"}, "g"},
        {FORM, FORMAT_CONFIGURED, {"{}", "{\"a\":1}"}, "0!g"},
        {FORM, FORMAT_CONFIGURED, {"{}", "x", "x", "x", "x", "x"}, "0!1 1!2 2!b"},
        {FORM, FORMAT_JSON_OBJECT, {"{}", "x", "{\"a\":1}"}, "1!2 g"},
        {FORM, FORMAT_NONE, {"{}", "x"}, "2!b"},
        {"json_object", FORMAT_CONFIGURED, {"[1]", "[1]", "5", "{}"}, "0!2 2!g"},
        {"json_object", FORMAT_CONFIGURED, {"so: {\"b\":1}"}, "g"},
        {"json_object", FORMAT_JSON_OBJECT, {"x", "x", "x", "x"}, "1!2 2!b"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct model_conf c = conf_of(cases[i].conf);
        struct structured s;
        struct buf steps;
        buf_init(&steps, 64);
        structured_init(&s, &c, cases[i].learned);
        for (const char *const *answer = cases[i].answers; *answer; answer++) {
            enum structured_verdict v = structured_judge(&s, *answer, strlen(*answer));
            if (v == STRUCTURED_AGAIN)
                buf_addf(&steps, "%d%c", (int)s.format, s.more.len ? '!' : ' ');
            else
                buf_addc(&steps, v == STRUCTURED_GOOD ? 'g' : 'b');
        }
        if (strcmp(buf_str(&steps), cases[i].steps) != 0)
            fail_msg("%zu: %s", i, buf_str(&steps));
        buf_free(&steps);
        structured_fini(&s);
    }
}

static void test_what_is_said(void **state)
{
    (void)state;
    struct model_conf c = conf_of(FORM);
    struct structured s;
    structured_init(&s, &c, FORMAT_CONFIGURED);
    assert_int_equal(structured_judge(&s, "so:\n{\"a\":", 9), STRUCTURED_AGAIN);
    cJSON *more = json_parse(buf_str(&s.more), s.more.len);
    assert_int_equal(cJSON_GetArraySize(more), 2);
    assert_string_equal(json_str(more->child, "content"), "so:\n{\"a\":");
    assert_string_equal(json_str(more->child->next, "role"), "user");
    assert_string_equal(json_str(more->child->next, "content"),
                        "That is not what was asked for: there is no complete JSON value in it. Answer again, with the "
                        "corrected JSON and nothing else.");
    cJSON_Delete(more);
    assert_int_equal(structured_judge(&s, "```\n{\"a\": 1.50}\n```", 19), STRUCTURED_GOOD);
    assert_string_equal(buf_str(&s.text), "{\"a\": 1.50}");
    structured_fini(&s);
    structured_fini(&s);
}

static void test_completions_know_only_words(void **state)
{
    (void)state;
    struct model_conf c = conf_of(FORM);
    struct structured s;
    c.api = MODEL_API_COMPLETIONS;
    structured_init(&s, &c, FORMAT_CONFIGURED);
    assert_int_equal(s.format, FORMAT_NONE);
    structured_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wanted),
        cmocka_unit_test(test_extract),
        cmocka_unit_test(test_ladder),
        cmocka_unit_test(test_what_is_said),
        cmocka_unit_test(test_completions_know_only_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
