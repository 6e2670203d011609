/* bucket.c: levels and waits, in integers, each limit at its edge. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/model/bucket.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

#define MINUTE_MS 60000

static void test_waits(void **state)
{
    (void)state;
    static const struct {
        int64_t per_minute, taken, passed_ms, amount, wait_ms;
    } cases[] = {
        {60, 0, 0, 60, 0},
        {60, 60, 0, 1, 1000},
        {60, 60, 999, 1, 1},
        {60, 60, 1000, 1, 0},
        {60, 60, 0, 60, 60000},
        {60, 60, 59999, 60, 1},
        {60, 60, 60000, 60, 0},
        {60, 60, INT64_C(1) << 50, 60, 0}, /* holds no more than a minute */
        {7, 7, 0, 1, 8572},                /* rounded up */
        {60, 0, 0, 61, 0},                 /* more than it holds: waits for all of it */
        {60, 1, 0, 1000000, 1000},
        {60, 0, 0, 0, 0},
        {60, 0, 0, -5, 0},
        {60, 60, -5, 1, 1000}, /* a clock that goes back gives nothing */
        {0, 1000, 0, 1000, 0}, /* no limit */
        {-1, 1000, 0, 1000, 0},
        {BUCKET_PER_MINUTE_MAX, BUCKET_PER_MINUTE_MAX, 0, BUCKET_PER_MINUTE_MAX, 60000},
        {INT64_MAX, INT64_MAX, 0, INT64_MAX, 60000},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bucket b;
        bucket_init(&b, cases[i].per_minute, 1000);
        bucket_take(&b, cases[i].taken, 1000);
        int64_t wait = bucket_wait_ms(&b, cases[i].amount, 1000 + cases[i].passed_ms);
        if (wait != cases[i].wait_ms)
            fail_msg("case %zu: %lld", i, (long long)wait);
    }
}

static void test_settling(void **state)
{
    (void)state;
    static const struct {
        int64_t taken, real, level;
    } cases[] = {
        {100, 100, 500}, {100, 0, 600}, {100, 40, 560}, {100, 250, 350}, {600, 600, 0},
        {100, 100000, 0}, /* counts as a minute's worth */
        {0, 0, 600}, {100, -1, 600},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bucket b;
        bucket_init(&b, 600, 0);
        bucket_take(&b, cases[i].taken, 0);
        bucket_settle(&b, cases[i].taken, cases[i].real, 0);
        assert_int_equal(bucket_level(&b, 0), cases[i].level);
    }
}

/* However much is taken, two minutes later it is full. */
static void test_debt_is_limited(void **state)
{
    (void)state;
    struct bucket b;
    bucket_init(&b, 60, 0);
    for (int i = 0; i < 100; i++)
        bucket_take(&b, 60, 0);
    assert_int_equal(bucket_level(&b, 0), -60);
    assert_int_equal(bucket_wait_ms(&b, 60, 0), 2 * MINUTE_MS);
    assert_int_equal(bucket_wait_ms(&b, 60, 2 * MINUTE_MS - 1), 1);
    assert_int_equal(bucket_wait_ms(&b, 60, 2 * MINUTE_MS), 0);
}

/* Nothing is lost to rounding, however often one looks. */
static void test_small_steps(void **state)
{
    (void)state;
    struct bucket b;
    bucket_init(&b, 7, 0);
    bucket_take(&b, 7, 0);
    for (int64_t now = 1; now <= MINUTE_MS; now++)
        bucket_take(&b, 0, now);
    assert_int_equal(bucket_level(&b, MINUTE_MS), 7);
}

static void test_another_limit(void **state)
{
    (void)state;
    static const struct {
        int64_t before, taken, after, level;
    } cases[] = {
        {60, 50, 120, 70}, {60, 50, 30, -20}, {60, 60, 10, -10}, {60, 50, 0, 0}, {0, 50, 60, 60}, {60, 0, 60, 60},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bucket b;
        bucket_init(&b, cases[i].before, 0);
        bucket_take(&b, cases[i].taken, 0);
        bucket_resize(&b, cases[i].after, 0);
        assert_int_equal(bucket_level(&b, 0), cases[i].level);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_waits),
        cmocka_unit_test(test_settling),
        cmocka_unit_test(test_debt_is_limited),
        cmocka_unit_test(test_small_steps),
        cmocka_unit_test(test_another_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
