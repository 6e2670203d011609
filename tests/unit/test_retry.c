/* retry.c: how often, and after what pause. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/model/retry.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backoff),
        cmocka_unit_test(test_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
