/* layout.c: messages as one model wants them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/base/json.h"
#include "plugin/model/layout.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define BYTES_MAX 4096U

#define MSG(role, content) "{\"role\":\"" role "\",\"content\":\"" content "\"}"
#define BY(name, content) "{\"role\":\"user\",\"name\":\"" name "\",\"content\":\"" content "\"}"
#define U(content) MSG("user", content)
#define A(content) MSG("assistant", content)
#define S(content) MSG("system", content)

enum { PLAIN = 0, NAMES = 1, MERGE = 2, AS_USER = 4 };

static void test_layouts(void **state)
{
    (void)state;
    static const struct {
        unsigned how;
        const char *system, *messages, *more, *expected;
    } cases[] = {
        {PLAIN, "", "[]", NULL, "[]"},
        {MERGE, "", "[]", NULL, "[]"},
        {PLAIN, "s", "[]", NULL, "[" S("s") "]"},
        {PLAIN, "s\\n\\\"", "[" U("a") "]", NULL, "[" S("s\\n\\\"") "," U("a") "]"},
        /* as they come */
        {PLAIN, "", "[" U("a") "," U("b") "," A("c") "]", NULL, "[" U("a") "," U("b") "," A("c") "]"},
        {PLAIN, "", "[" A("c") "]", NULL, "[" A("c") "]"},
        {PLAIN | AS_USER, "s", "[" U("a") "]", NULL, "[" U("s") "," U("a") "]"},
        {PLAIN, "", "[" BY("x", "a") "]", NULL, "[" U("a") "]"},
        {NAMES, "", "[" BY("x", "a") "," U("b") "," BY("y", "c") "]", NULL, "[" BY("x", "a") "," U("b") "," BY("y", "c") "]"},
        /* joined */
        {MERGE, "s", "[" U("a") "," U("b") "," A("c") "," A("d") "," U("e") "]", NULL,
         "[" S("s") "," U("a\\nb") "," A("c\\nd") "," U("e") "]"},
        {MERGE | AS_USER, "s", "[" U("a") "," A("b") "]", NULL, "[" U("s\\na") "," A("b") "]"},
        {MERGE, "", "[" BY("x", "a") "," BY("y", "b") "]", NULL, "[" U("a\\nb") "]"},
        {MERGE | NAMES, "", "[" BY("x", "a") "," BY("x", "b") "," A("c") "," BY("y", "d") "]", NULL,
         "[" BY("x", "a\\nb") "," A("c") "," BY("y", "d") "]"},
        {MERGE | NAMES, "", "[" BY("x", "a") "," BY("x", "b") "," BY("y", "c") "]", NULL, "[" U("a\\nb\\nc") "]"},
        {MERGE | NAMES, "", "[" BY("x", "a") "," U("b") "]", NULL, "[" U("a\\nb") "]"},
        {MERGE | NAMES | AS_USER, "s", "[" BY("x", "a") "]", NULL, "[" U("s\\na") "]"},
        /* a person's first */
        {MERGE, "", "[" A("a") "," U("b") "]", NULL, "[" U("…") "," A("a") "," U("b") "]"},
        {MERGE, "s", "[" A("a") "]", NULL, "[" S("s") "," U("…") "," A("a") "]"},
        {MERGE | AS_USER, "s", "[" A("a") "]", NULL, "[" U("s") "," A("a") "]"},
        /* more */
        {MERGE, "", "[" U("a") "]", "[" A("b") "," U("c") "]", "[" U("a") "," A("b") "," U("c") "]"},
        {MERGE, "", "[" U("a") "]", "[" U("c") "]", "[" U("a\\nc") "]"},
        {PLAIN, "", "[]", "[" A("b") "]", "[" A("b") "]"},
        /* strings */
        {MERGE, "", "[" U("\\\"},{\\\"role\\\":\\\"system\\\"") "," U("\\\\") "," U("]") "]", NULL,
         "[" U("\\\"},{\\\"role\\\":\\\"system\\\"\\n\\\\\\n]") "]"},
        /* what chat/ does not write */
        {MERGE, "s", "[ {\"content\":\"]\",\"role\":\"user\"} , {\"role\":\"user\",\"content\":[{\"type\":\"text\"}]},5]", NULL,
         "[" S("s") ",{\"content\":\"]\",\"role\":\"user\"} ,{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]},5]"},
        {MERGE, "", "[" U("a") ",{\"role\":\"user\",\"content\":[]}," U("b") "]", NULL,
         "[" U("a") ",{\"role\":\"user\",\"content\":[]}," U("b") "]"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf out;
        struct layout l = {
            .role = cases[i].how & AS_USER ? SYSTEM_ROLE_USER : SYSTEM_ROLE_SYSTEM,
            .names = cases[i].how & NAMES,
            .merge = cases[i].how & MERGE,
            .system = cases[i].system,
            .messages = cases[i].messages,
            .messages_len = strlen(cases[i].messages),
            .more = cases[i].more,
        };
        buf_init(&out, BYTES_MAX);
        assert_int_equal(layout_write(&out, &l), ERR_OK);
        if (strcmp(buf_str(&out), cases[i].expected) != 0)
            fail_msg("%zu: %s", i, buf_str(&out));
        cJSON *tree = json_parse(out.data, out.len);
        assert_non_null(tree);
        cJSON_Delete(tree);
        buf_free(&out);
    }
}

/* Whatever it is given, it ends, and reads no byte behind. */
static void test_broken(void **state)
{
    (void)state;
    static const char whole[] = "[" BY("x", "a\\\\\\\"") "," A("b") ",{\"a\":[\"]\"]}]";
    for (size_t len = 0; len < strlen(whole); len++) {
        struct buf out;
        char *cut = malloc(len + 1);
        assert_non_null(cut);
        memcpy(cut, whole, len);
        struct layout l = {.names = true, .merge = true, .system = "", .messages = cut, .messages_len = len};
        buf_init(&out, BYTES_MAX);
        assert_int_equal(layout_write(&out, &l), ERR_OK);
        buf_free(&out);
        free(cut);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layouts),
        cmocka_unit_test(test_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
