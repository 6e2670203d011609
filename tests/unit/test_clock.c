/* clock.c: real time moves, frozen time moves only when told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plugin/base/clock.h"

#define YEAR_2020_MS INT64_C(1577836800000)

/* First, because freezing cannot be undone. */
static void test_real(void **state)
{
    (void)state;
    int64_t start = clock_mono_us();
    while (clock_mono_us() == start) {
    }
    assert_true(clock_mono_us() > start);
    int64_t us = clock_mono_us(), ms = clock_mono_ms();
    assert_in_range(ms - us / 1000, 0, 10000);
    assert_true(clock_wall_ms() > YEAR_2020_MS);
}

static void test_frozen(void **state)
{
    (void)state;
    int64_t before = clock_mono_us();
    clock_test_freeze(1000);
    int64_t mono = clock_mono_us();
    assert_true(mono >= before);
    assert_int_equal(clock_wall_ms(), 1000);
    clock_test_advance(250);
    assert_int_equal(clock_wall_ms(), 1250);
    assert_int_equal(clock_mono_us(), mono + 250000);
    assert_int_equal(clock_mono_ms(), (mono + 250000) / 1000);

    clock_test_freeze(5); /* sets the wall clock; the monotonic one never steps back */
    assert_int_equal(clock_wall_ms(), 5);
    assert_int_equal(clock_mono_us(), mono + 250000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_real),
        cmocka_unit_test(test_frozen),
    };
    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
