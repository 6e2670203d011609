/* err.c: one line, whole characters, and names for every code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/base/err.h"
#include "plugin/base/utf8.h"

static void test_set(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    assert_int_equal(e.code, ERR_OK);
    assert_string_equal(e.text, "");
    assert_int_equal(err_set(&e, ERR_IO, "open %s: %d", "x", 2), ERR_IO);
    assert_int_equal(e.code, ERR_IO);
    assert_string_equal(e.text, "open x: 2");
    assert_int_equal(err_set(NULL, ERR_RATE, "%s", "nobody asks"), ERR_RATE);
}

static void test_prefix(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    err_set(&e, ERR_NET, "refused");
    assert_int_equal(err_prefix(&e, "connect to %s", "host"), ERR_NET);
    assert_string_equal(e.text, "connect to host: refused");
    assert_int_equal(err_prefix(NULL, "%s", "nobody asks"), ERR_INTERNAL);
}

static void test_own_text_as_argument(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    err_set(&e, ERR_IO, "inner");
    err_set(&e, ERR_INVALID, "outer (%s)", e.text);
    assert_string_equal(e.text, "outer (inner)");
    err_prefix(&e, "%s", e.text);
    assert_string_equal(e.text, "outer (inner): outer (inner)");
}

static void test_one_line(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    err_set(&e, ERR_PROTO, "a\nb\r\tc\x1b[0m\x7f 好");
    assert_string_equal(e.text, "a b  c [0m  好");
}

/* Fills text with n bytes of 'x' followed by tail. */
static const char *padded(size_t n, const char *tail)
{
    static char text[ERR_TEXT_BYTES * 2];
    memset(text, 'x', n);
    memcpy(text + n, tail, strlen(tail) + 1);
    return text;
}

static void test_cut_at_characters(void **state)
{
    (void)state;
    static const struct {
        size_t before;
        const char *tail;
        size_t left;
    } cases[] = {
        {ERR_TEXT_BYTES - 1, "", ERR_TEXT_BYTES - 1},
        {ERR_TEXT_BYTES, "", ERR_TEXT_BYTES - 1},
        {ERR_TEXT_BYTES - 4, "好", ERR_TEXT_BYTES - 1},
        {ERR_TEXT_BYTES - 3, "好", ERR_TEXT_BYTES - 3},
        {ERR_TEXT_BYTES - 2, "好", ERR_TEXT_BYTES - 2},
        {ERR_TEXT_BYTES - 2, "e\xCC\x81", ERR_TEXT_BYTES - 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = ERR_INIT;
        err_set(&e, ERR_IO, "%s", padded(cases[i].before, cases[i].tail));
        assert_int_equal(strlen(e.text), cases[i].left);
        assert_true(utf8_valid(e.text, strlen(e.text)));
    }
}

static void test_long_prefix(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    err_set(&e, ERR_IO, "%s", padded(ERR_TEXT_BYTES - 1, ""));
    err_prefix(&e, "%s", "好");
    assert_int_equal(strlen(e.text), ERR_TEXT_BYTES - 1);
    assert_memory_equal(e.text, "好: xx", 7);
    err_prefix(&e, "%s", padded(ERR_TEXT_BYTES - 2, "好好好"));
    assert_int_equal(strlen(e.text), ERR_TEXT_BYTES - 2);
    assert_int_equal(e.code, ERR_IO);
}

static void test_names(void **state)
{
    (void)state;
    for (int a = 0; a < ERR_COUNT; a++) {
        const char *name = err_name((enum err_code)a);
        assert_non_null(name);
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
        assert_true(strlen(name) > 0);
        for (int b = 0; b < a; b++)
            assert_string_not_equal(name, err_name((enum err_code)b));
    }
    assert_string_equal(err_name(ERR_RATE), "rate");
    assert_string_equal(err_name(ERR_TIMEOUT), "timeout");
    assert_string_equal(err_name(ERR_COUNT), "unknown");
    assert_string_equal(err_name((enum err_code)-1), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_own_text_as_argument),
        cmocka_unit_test(test_one_line),
        cmocka_unit_test(test_cut_at_characters),
        cmocka_unit_test(test_long_prefix),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
