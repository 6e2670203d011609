/* How our count of tokens is brought in line with the server's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "plugin/model/calibrate.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

static void assert_near(double got, double want)
{
    if (got < want - 1e-9 || got > want + 1e-9)
        fail_msg("%.12f, not %.12f", got, want);
}

static void the_first_answer_counts_whole_later_ones_by_weight(void **state)
{
    (void)state;
    struct calibration c = { 0 };
    assert_true(calibrate_learn(&c, 100, 150));
    assert_near(c.ratio, 1.5);
    assert_true(calibrate_learn(&c, 100, 50));
    assert_near(c.ratio, 0.7 * 1.5 + 0.3 * 0.5);
    assert_int_equal(calibrate_expect(&c, 1000), 1200);
}

static void nonsense_teaches_nothing(void **state)
{
    (void)state;
    static const struct {
        size_t counted;
        int64_t actual;
        bool learned;
    } cases[] = {
        { 100, 0, false },
        { 100, -5, false },
        { 0, 100, false },
        { CALIBRATE_TOKENS_MIN - 1, 10, false },
        { CALIBRATE_TOKENS_MIN, 10, true },
        { 100, 20, true }, /* CALIBRATE_RATIO_MIN and MAX themselves */
        { 100, 19, false },
        { 100, 800, true },
        { 100, 801, false },
        { 100, INT64_MAX, false },
        { SIZE_MAX, 100, false },
        { CALIBRATE_TOKENS_MAX, CALIBRATE_TOKENS_MAX, true },
        { CALIBRATE_TOKENS_MAX, CALIBRATE_TOKENS_MAX + 1, false },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct calibration c = { .ratio = 0.9, .context = 4096 }, before = c;
        assert_int_equal(calibrate_learn(&c, cases[i].counted, cases[i].actual), cases[i].learned);
        assert_int_equal(c.ratio != before.ratio, cases[i].learned);
        assert_int_equal(c.context, before.context);
    }
}

static void budgets(void **state)
{
    (void)state;
    static const struct {
        struct calibration c;
        int64_t configured, max_output;
        size_t budget;
    } cases[] = {
        { { 0, 0 }, 0, 0, SIZE_MAX },           /* nobody knows */
        { { 1.5, 0 }, 0, 500, SIZE_MAX },
        { { 0, 0 }, 10000, 2500, 6000 },        /* 7500 / 1.25 */
        { { 1, 0 }, 10000, 2500, 7000 },        /* 7500 - 5 % of the context */
        { { 2, 0 }, 10000, 2500, 3500 },
        { { 0.5, 0 }, 10000, 2500, 14000 },
        { { 1, 4000 }, 10000, 1000, 2800 },     /* the server takes less than was configured */
        { { 1, 20000 }, 10000, 2500, 7000 },    /* the operator wants less than the server takes */
        { { 1, 4000 }, 0, 1000, 2800 },
        { { 1, 0 }, 10000, 0, 8476 },           /* CALIBRATE_OUTPUT_TOKENS */
        { { 1, 0 }, 10000, 10000000, 4500 },    /* half for the answer, not all */
        { { 1, 0 }, 1000, 0, 450 },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t got = calibrate_budget(&cases[i].c, cases[i].configured, cases[i].max_output);
        if (got != cases[i].budget)
            fail_msg("case %zu: %zu, not %zu", i, got, cases[i].budget);
    }
}

static void an_error_with_numbers_corrects_exactly(void **state)
{
    (void)state;
    struct calibration c = { .ratio = 1 };
    calibrate_overflow(&c, 5000, 9000, 8192, 0, 0);
    assert_near(c.ratio, 1.8);
    assert_int_equal(c.context, 8192);
    assert_int_equal(calibrate_budget(&c, 0, 0), (8192 - 1024 - 8192 * 0.05) / 1.8);
}

static void what_did_not_fit_is_over_budget_whatever_the_error_said(void **state)
{
    (void)state;
    static const int64_t numbers[] = { 0, -1, 1, 63, 64, 100, 999, 1000, 1001, 100000, INT64_MAX };
    static const struct calibration before[] = { { 0, 0 }, { 1, 0 }, { 0.2, 0 }, { 8, 0 }, { 1, 500 }, { 0.5, 1000000 } };
    static const size_t counted[] = { 65, 1000, 200000, SIZE_MAX };
    for (size_t b = 0; b < COUNT(before); b++)
        for (size_t n = 0; n < COUNT(counted); n++)
            for (size_t u = 0; u < COUNT(numbers); u++)
                for (size_t m = 0; m < COUNT(numbers); m++)
                    for (size_t k = 0; k < COUNT(numbers); k++) {
                        struct calibration c = before[b];
                        calibrate_overflow(&c, counted[n], numbers[u], numbers[m], numbers[k] < 0 ? 0 : numbers[k], 256);
                        size_t budget = calibrate_budget(&c, numbers[k] < 0 ? 0 : numbers[k], 256);
                        if (budget >= counted[n])
                            fail_msg("%zu of %zu: used %lld max %lld configured %lld", budget, counted[n],
                                     (long long)numbers[u], (long long)numbers[m], (long long)numbers[k]);
                        assert_true(c.ratio == 0 || (c.ratio >= CALIBRATE_RATIO_MIN && c.ratio <= CALIBRATE_RATIO_MAX));
                    }
}

static void repeated_errors_shrink_until_it_fits(void **state)
{
    (void)state;
    struct calibration c = { 0 };
    size_t counted = 100000;
    int errors = 0;
    for (; counted > 3000; errors++) { /* a server with a context of 3000 that never says so */
        calibrate_overflow(&c, counted, 0, 0, 0, 100);
        size_t budget = calibrate_budget(&c, 0, 100);
        assert_true(budget < counted && budget >= counted / 2);
        counted = budget;
    }
    assert_true(errors < 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_answer_counts_whole_later_ones_by_weight),
        cmocka_unit_test(nonsense_teaches_nothing),
        cmocka_unit_test(budgets),
        cmocka_unit_test(an_error_with_numbers_corrects_exactly),
        cmocka_unit_test(what_did_not_fit_is_over_budget_whatever_the_error_said),
        cmocka_unit_test(repeated_errors_shrink_until_it_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
