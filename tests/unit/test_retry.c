/* retry.c: what is worth it, and how long to wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/model/retry.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define YEAR_MS (INT64_C(365) * 24 * 3600 * 1000)

static void test_worth(void **state)
{
    (void)state;
    static const enum err_code worth[] = {ERR_NET,    ERR_TIMEOUT, ERR_RATE, ERR_OVERLOAD,
                                          ERR_SERVER, ERR_PROTO,   ERR_EMPTY};
    size_t n = 0;
    for (size_t i = 0; i < COUNT(worth); i++)
        assert_true(retry_worth(worth[i]));
    for (int code = 0; code < ERR_COUNT; code++)
        n += retry_worth((enum err_code)code);
    assert_int_equal(n, COUNT(worth));
}

static void test_backoff(void **state)
{
    (void)state;
    static const struct {
        int n;
        int64_t longest_ms;
    } cases[] = {{0, 500}, {1, 1000}, {2, 2000}, {3, 4000}, {4, 8000}, {5, 8000}, {1000, 8000}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t longest = cases[i].longest_ms;
        assert_int_equal(retry_backoff_ms(cases[i].n, 0), longest);
        assert_int_equal(retry_backoff_ms(cases[i].n, 0.5), longest * 7 / 8);
        assert_in_range(retry_backoff_ms(cases[i].n, 0.999999), longest * 3 / 4, longest * 3 / 4 + 1);
    }
}

static void test_next(void **state)
{
    (void)state;
    static const struct {
        int64_t retries;
        enum err_code codes[4];
        int64_t after_ms, waits[4];
    } cases[] = {
        {2, {ERR_NET, ERR_SERVER, ERR_NET}, -1, {500, 1000, RETRY_GIVE_UP}},
        {2, {ERR_RATE, ERR_RATE, ERR_RATE}, 1500, {1500, 1500, RETRY_GIVE_UP}},
        {2, {ERR_RATE}, 0, {0}},
        {2, {ERR_RATE}, 60000, {60000}},
        {2, {ERR_RATE}, 60001, {RETRY_GIVE_UP}},
        {2, {ERR_OVERLOAD}, 60001, {RETRY_GIVE_UP}},
        {0, {ERR_NET}, -1, {RETRY_GIVE_UP}},
        {5, {ERR_EMPTY, ERR_EMPTY}, -1, {500, RETRY_GIVE_UP}},
        {5, {ERR_EMPTY, ERR_NET, ERR_EMPTY}, -1, {500, 1000, RETRY_GIVE_UP}},
        {1, {ERR_EMPTY, ERR_EMPTY}, -1, {500, RETRY_GIVE_UP}},
        {0, {ERR_EMPTY}, -1, {RETRY_GIVE_UP}},
        {5, {ERR_AUTH}, -1, {RETRY_GIVE_UP}},
        {5, {ERR_QUOTA}, 1000, {RETRY_GIVE_UP}},
        {5, {ERR_SERVER, ERR_CONTENT}, -1, {500, RETRY_GIVE_UP}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct retry r;
        retry_init(&r, cases[i].retries, 60000);
        for (size_t k = 0; k < 4 && cases[i].codes[k] != ERR_OK; k++)
            assert_int_equal(retry_next(&r, cases[i].codes[k], cases[i].after_ms, 0), cases[i].waits[k]);
    }
}

static void test_durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        {"20s", 20000},
        {"1.5s", 1500},
        {"450ms", 450},
        {"12ms", 12},
        {"6m0s", 360000},
        {"1h2m3.5s", 3723500},
        {"37s", 37000},
        {"20", 20000},
        {"0", 0},
        {"0.25", 250},
        {"1.2345s", 1234},
        {"3.s", 3000},
        {"20 seconds", 20000},
        {"20s. Contact us", 20000},
        {"1.5.5s", 1500},
        {"", -1},
        {"s", -1},
        {"-5s", -1},
        {"NaN", -1},
        {".5s", -1},
        {"99999999999999999999999999s", YEAR_MS},
        {"99999999h", YEAR_MS},
        {"8760h", YEAR_MS},
        {"8000h8000h8000h", YEAR_MS},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t got = retry_duration_ms(cases[i].text);
        if (got != cases[i].ms)
            fail_msg("%s: %lld", cases[i].text, (long long)got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_worth),
        cmocka_unit_test(test_backoff),
        cmocka_unit_test(test_next),
        cmocka_unit_test(test_durations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
