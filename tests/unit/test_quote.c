/* quote.c: what a model thought, above its answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/base/utf8.h"
#include "plugin/chat/quote.h"

static void test_quote(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "", "" },
        { " \n\t", "" },
        { "hm", "> hm" },
        { "\n a\n\nb \n", "> a\n> \n> b" },
        { "> a\n```", "> > a\n> ```" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf out;
        buf_init(&out, QUOTE_BYTES_MAX + 16);
        quote_add(&out, cases[i][0], strlen(cases[i][0]));
        assert_string_equal(buf_str(&out), cases[i][1]);
        buf_adds(&out, out.len ? "\n\n" : "");
        buf_adds(&out, "> quoted\n\nanswer");
        assert_string_equal(quote_skip(buf_str(&out)), *cases[i][1] ? "> quoted\n\nanswer" : "answer");
        buf_free(&out);
    }
    assert_string_equal(quote_skip("answer"), "answer");
    assert_string_equal(quote_skip("> only"), "");
}

static void test_view(void **state)
{
    (void)state;
    static const struct {
        const char *thought, *text;
        bool keep;
        const char *view;
        bool quoted;
    } cases[] = {
        { "", "", true, "", false },
        { "", "a", true, "a", false },
        { " ", "a", true, "a", false },
        { "hm", "", false, "> hm", true }, /* live */
        { "hm", "a", false, "a", false },
        { "hm", "", true, "> hm", true },
        { "h\nm", "a", true, "> h\n> m\n\na", true },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf out, thought, text;
        buf_init(&out, 4096);
        buf_init(&thought, 64);
        buf_init(&text, 64);
        buf_adds(&thought, cases[i].thought);
        buf_adds(&text, cases[i].text);
        assert_int_equal(quote_view(&out, &thought, &text, cases[i].keep), cases[i].quoted);
        assert_string_equal(buf_str(&out), cases[i].view);
        assert_string_equal(quote_skip(buf_str(&out)), cases[i].quoted ? cases[i].text : cases[i].view);
        buf_free(&out);
        buf_free(&thought);
        buf_free(&text);
    }
}

static void test_limit(void **state)
{
    (void)state;
    struct buf thought, out;
    buf_init(&thought, 1 << 20);
    buf_init(&out, QUOTE_BYTES_MAX);
    while (thought.len <= QUOTE_THOUGHT_BYTES_MAX)
        buf_adds(&thought, "你");
    quote_add(&out, buf_str(&thought), thought.len);
    assert_false(out.failed);
    assert_true(utf8_valid(out.data, out.len));
    assert_int_equal(strncmp(buf_str(&out), "> …\n> 你", strlen("> …\n> 你")), 0);
    buf_reset(&out);
    buf_reset(&thought);
    buf_addc(&thought, 'a');
    while (thought.len < 3 * QUOTE_THOUGHT_BYTES_MAX)
        buf_addc(&thought, '\n');
    buf_addc(&thought, 'b');
    quote_add(&out, buf_str(&thought), thought.len); /* as long as one can be */
    assert_false(out.failed);
    buf_free(&out);
    buf_free(&thought);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quote),
        cmocka_unit_test(test_view),
        cmocka_unit_test(test_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
