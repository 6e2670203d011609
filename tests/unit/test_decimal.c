/* decimal.c: numbers as text, without a double. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/base/decimal.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

static void test_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int places;
        enum decimal result;
        int64_t n;
    } cases[] = {
        { "0", 12, DECIMAL_EXACT, 0 },
        { "2.50", 12, DECIMAL_EXACT, 2500000000000 },
        { "2.50", 2, DECIMAL_EXACT, 250 },
        { "007", 0, DECIMAL_EXACT, 7 },
        { "0.000000000001", 12, DECIMAL_EXACT, 1 },
        { "0.0000000000010", 12, DECIMAL_EXACT, 1 },
        { "0.0000000000004", 12, DECIMAL_ROUNDED, 0 },
        { "0.0000000000005", 12, DECIMAL_ROUNDED, 1 },
        { "0.00000000000049999", 12, DECIMAL_ROUNDED, 0 },
        { "0.00014250000000000002", 12, DECIMAL_ROUNDED, 142500000 },
        { "9.5", 0, DECIMAL_ROUNDED, 10 },
        { "1e-05", 12, DECIMAL_EXACT, 10000000 },
        { "1.25E-5", 12, DECIMAL_EXACT, 12500000 },
        { "1.25e+2", 2, DECIMAL_EXACT, 12500 },
        { "1e-13", 12, DECIMAL_ROUNDED, 0 },
        { "5e-13", 12, DECIMAL_ROUNDED, 1 },
        { "5e-14", 12, DECIMAL_ROUNDED, 0 },
        { "1e-99999999999999999999", 12, DECIMAL_ROUNDED, 0 },
        { "0e99999999999999999999", 12, DECIMAL_EXACT, 0 },
        { "9223372036854775806", 0, DECIMAL_EXACT, INT64_MAX - 1 },
        { "9223372036854775807", 0, DECIMAL_TOO_LARGE, INT64_MAX },
        { "9223372036854775806.5", 0, DECIMAL_TOO_LARGE, INT64_MAX },
        { "9223372.036854775806", 12, DECIMAL_EXACT, INT64_MAX - 1 },
        { "9223372.036854775808", 12, DECIMAL_TOO_LARGE, INT64_MAX },
        { "1e7", 12, DECIMAL_TOO_LARGE, INT64_MAX },
        { "1e999999999999", 12, DECIMAL_TOO_LARGE, INT64_MAX },
        { "", 12, DECIMAL_NO_NUMBER, 0 },
        { ".5", 12, DECIMAL_NO_NUMBER, 0 },
        { "5.", 12, DECIMAL_NO_NUMBER, 0 },
        { "-1", 12, DECIMAL_NO_NUMBER, 0 },
        { "+1", 12, DECIMAL_NO_NUMBER, 0 },
        { "1,5", 12, DECIMAL_NO_NUMBER, 0 },
        { " 1", 12, DECIMAL_NO_NUMBER, 0 },
        { "1 ", 12, DECIMAL_NO_NUMBER, 0 },
        { "1e", 12, DECIMAL_NO_NUMBER, 0 },
        { "1e+", 12, DECIMAL_NO_NUMBER, 0 },
        { "1e1.5", 12, DECIMAL_NO_NUMBER, 0 },
        { "null", 12, DECIMAL_NO_NUMBER, 0 },
        { "0x10", 12, DECIMAL_NO_NUMBER, 0 },
        { "nan", 12, DECIMAL_NO_NUMBER, 0 },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t n = -1;
        enum decimal result = decimal_read(cases[i].text, strlen(cases[i].text), cases[i].places, &n);
        if (result != cases[i].result || n != cases[i].n)
            fail_msg("\"%s\": %d, %lld", cases[i].text, (int)result, (long long)n);
    }
}

/* What is behind the length is not looked at. */
static void test_length(void **state)
{
    (void)state;
    int64_t n;
    assert_int_equal(decimal_read("12.5e3", 4, 1, &n), DECIMAL_EXACT);
    assert_int_equal(n, 125);
}

static void test_print(void **state)
{
    (void)state;
    static const struct {
        int64_t n;
        int places, least;
        const char *text;
    } cases[] = {
        { 0, 12, 2, "0.00" },
        { 0, 0, 0, "0" },
        { 1, 12, 2, "0.000000000001" },
        { 2500000000000, 12, 2, "2.50" },
        { 2500000000000, 12, 0, "2.5" },
        { 3000000000000, 12, 0, "3" },
        { 3000000000000, 12, 2, "3.00" },
        { 142500000, 12, 2, "0.0001425" },
        { 125, 1, 1, "12.5" },
        { INT64_MAX, 12, 2, "9223372.036854775807" },
        { INT64_MAX, 0, 0, "9223372036854775807" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf out;
        buf_init(&out, 64);
        assert_int_equal(decimal_print(&out, cases[i].n, cases[i].places, cases[i].least), ERR_OK);
        assert_string_equal(buf_str(&out), cases[i].text);
        buf_free(&out);
    }
}

static void test_saturation(void **state)
{
    (void)state;
    assert_int_equal(decimal_add(1, 2), 3);
    assert_int_equal(decimal_add(INT64_MAX - 1, 1), INT64_MAX);
    assert_int_equal(decimal_add(INT64_MAX, 1), INT64_MAX);
    assert_int_equal(decimal_add(INT64_MAX, INT64_MAX), INT64_MAX);
    assert_int_equal(decimal_mul(3, 4), 12);
    assert_int_equal(decimal_mul(INT64_MAX / 2 + 1, 2), INT64_MAX);
    assert_int_equal(decimal_mul(INT64_MAX, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_length),
        cmocka_unit_test(test_print),
        cmocka_unit_test(test_saturation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
