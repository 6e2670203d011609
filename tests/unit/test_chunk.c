/* chunk.c: which events it takes, and that they mean what they mean as any JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/model/chunk.h"
#include "plugin/model/delta.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define CHOICE(delta) "{\"choices\":[{\"index\":0,\"delta\":" delta ",\"finish_reason\":null}]}"

static const char *const taken[] = {
    CHOICE("{}"),
    CHOICE("{\"content\":\"a\"}"),
    CHOICE("{\"role\":\"assistant\",\"content\":null,\"refusal\":null,\"tool_calls\":null,\"reasoning_content\":null}"),
    CHOICE("{\"content\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t, \xE4\xBD\xA0\"}"),
    "{\"choices\":[{\"delta\":{\"content\":\"a\"},\"logprobs\":null,\"finish_reason\":\"stop\"}]}",
    "{\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"\"}]}",
    "{\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"length\"}],\"usage\":null}",
    "{\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"error\"}],\"error\":null}",
    "{\"id\":\"x\",\"object\":\"chunk\",\"created\":-12,\"model\":\"m\",\"system_fingerprint\":null,\"service_tier\":\"flex\","
    "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}],\"obfuscation\":\"abc\",\"p\":true,\"q\":false}",
    "{ \"id\" : \"x\" , \"choices\" : [ { \"delta\" : { \"content\" : \"a\" } } ] } ",
};

static const char *const not_taken[] = {
    "",
    "{}",
    "[]",
    "{\"choices\":[]}",
    "{\"choices\":null}",
    "{\"choices\":[{}]}",
    "{\"choices\":[{\"index\":0,\"text\":\"a\"}]}",
    "{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"a\"}}]}",
    "{\"choices\":[{\"delta\":{}},{\"delta\":{}}]}",
    "{\"choices\":[{\"delta\":{},\"delta\":{}}]}",
    "{\"choices\":[{\"delta\":{}}],\"choices\":[{\"delta\":{}}]}",
    "{\"choices\":[{\"delta\":{}}],\"usage\":{}}",
    "{\"choices\":[{\"delta\":{}}],\"error\":\"no\"}",
    "{\"choices\":[{\"delta\":{}}],\"error\":{}}",
    "{\"choices\":[{\"delta\":{}}],\"created\":1.5}",
    "{\"choices\":[{\"delta\":{}}],\"created\":-}",
    "{\"choices\":[{\"delta\":{}}],\"created\":123456789012345678901}",
    "{\"choices\":[{\"delta\":{}}],\"created\":nil}",
    "{\"choices\":[{\"delta\":{}}],\"id\":null,\"id\":\"x\"}",
    "{\"choices\":[{\"delta\":{}}],\"id\":5}",
    "{\"choices\":[{\"delta\":{}}],\"i\\td\":5}",
    "{\"choices\":[{\"delta\":{}}],\"service_tier\":\"\"}",
    "{\"choices\":[{\"delta\":{},\"message\":{}}]}",
    CHOICE("{\"content\":\"a\",\"content\":\"b\"}"),
    CHOICE("{\"content\":null,\"content\":\"b\"}"),
    CHOICE("{\"content\":[]}"),
    CHOICE("{\"content\":5}"),
    CHOICE("{\"content\":\"\\u0041\"}"),
    CHOICE("{\"content\":\"\\x\"}"),
    CHOICE("{\"content\":\"a\nb\"}"),
    CHOICE("{\"reasoning_content\":\"hm\"}"),
    CHOICE("{\"refusal\":\"no\"}"),
    CHOICE("{\"tool_calls\":[]}"),
    CHOICE("{\"content\":\"a\",}"),
    CHOICE("{\"content\":\"a\"}") "}",
    CHOICE("{\"content\":\"a\"}") "x",
};

static void take_event(struct delta *d, const char *text)
{
    struct failure f = FAILURE_INIT;
    delta_init(d, 1000);
    assert_int_equal(delta_event(d, "", text, strlen(text), &f), ERR_OK);
}

/* The same with a member that chunk.c leaves to others. */
static void assert_same_as_json(const char *text)
{
    char other[1024];
    struct chunk c;
    struct delta a, b;
    const char *end = strrchr(text, '}');
    snprintf(other, sizeof other, "%.*s,\"other\":{}}", (int)(end - text), text);
    assert_false(chunk_read(&c, other, strlen(other)));
    take_event(&a, text);
    take_event(&b, other);
    assert_string_equal(buf_str(&a.text), buf_str(&b.text));
    assert_string_equal(a.id, b.id);
    assert_string_equal(a.service_tier, b.service_tier);
    assert_int_equal(a.finished, b.finished);
    assert_int_equal(a.finish, b.finish);
    assert_string_equal(a.fault, b.fault);
    delta_fini(&a);
    delta_fini(&b);
}

static void test_taken(void **state)
{
    (void)state;
    struct chunk c;
    for (size_t i = 0; i < COUNT(taken); i++) {
        if (!chunk_read(&c, taken[i], strlen(taken[i])))
            fail_msg("not taken: %s", taken[i]);
        assert_same_as_json(taken[i]);
    }
}

static void test_not_taken(void **state)
{
    (void)state;
    struct chunk c;
    for (size_t i = 0; i < COUNT(not_taken); i++)
        if (chunk_read(&c, not_taken[i], strlen(not_taken[i])))
            fail_msg("taken: %s", not_taken[i]);
}

/* Also one that is cut off anywhere. */
static void test_cut(void **state)
{
    (void)state;
    struct chunk c;
    for (size_t i = 0; i < COUNT(taken); i++)
        for (size_t len = 0; len < (size_t)(strrchr(taken[i], '}') - taken[i]); len++)
            assert_false(chunk_read(&c, taken[i], len));
}

/* After one that it fits, only the content counts, which must still be a string's. */
static void test_mold(void **state)
{
    (void)state;
    static const struct {
        const char *cast, *text;
        bool fits;
    } cases[] = {
        {CHOICE("{\"content\":\"a\"}"), CHOICE("{\"content\":\"b\"}"), true},
        {CHOICE("{\"content\":\"\"}"), CHOICE("{\"content\":\"\\n\\\"\"}"), true},
        {CHOICE("{\"content\":\"a\"}"), CHOICE("{\"content\":\"\"}"), true},
        {CHOICE("{\"content\":\"a\"}"), CHOICE("{\"content\":\"\",\"content\":\"\"}"), false},
        {CHOICE("{\"content\":\"a\"}"), CHOICE("{\"content\":\"\\\"}"), false},
        {CHOICE("{\"content\":\"a\"}"), CHOICE("{\"content\":\"\\u0041\"}"), false},
        {CHOICE("{\"content\":\"a\"}"), CHOICE("{\"content\":\"\t\"}"), false},
        {CHOICE("{\"content\":\"a\"}"), CHOICE("{\"content\":null}"), false},
        {CHOICE("{\"content\":null}"), CHOICE("{\"content\":xnull}"), false},
        {CHOICE("{}"), CHOICE("{}"), false},
        {"{\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}",
         "{\"choices\":[{\"delta\":{\"content\":\"b\"},\"finish_reason\":\"stop\"}]}", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct chunk_mold m = {.before = 0};
        struct chunk c;
        assert_false(chunk_fits(&m, cases[i].text, strlen(cases[i].text), &c));
        assert_true(chunk_read(&c, cases[i].cast, strlen(cases[i].cast)));
        chunk_cast(&m, &c, cases[i].cast, strlen(cases[i].cast));
        if (chunk_fits(&m, cases[i].text, strlen(cases[i].text), &c) != cases[i].fits)
            fail_msg("%s %s", cases[i].fits ? "does not fit:" : "fits:", cases[i].text);
    }
}

/* One byte more around the content than is kept. */
static void test_mold_limit(void **state)
{
    (void)state;
    for (size_t around = CHUNK_MOLD_BYTES; around <= CHUNK_MOLD_BYTES + 1; around++) {
        static const char head[] = "{\"id\":\"", tail[] = "\",\"choices\":[{\"delta\":{\"content\":\"abc\"}}]}";
        char text[CHUNK_MOLD_BYTES + 8];
        size_t len = around + strlen("abc");
        struct chunk_mold m = {.before = 0};
        struct chunk c;
        memset(text, 'x', sizeof text);
        memcpy(text, head, strlen(head));
        memcpy(text + len - strlen(tail), tail, strlen(tail));
        assert_true(chunk_read(&c, text, len));
        chunk_cast(&m, &c, text, len);
        assert_int_equal(chunk_fits(&m, text, len, &c), around <= CHUNK_MOLD_BYTES);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_not_taken),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_mold),
        cmocka_unit_test(test_mold_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
