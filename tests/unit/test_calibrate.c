/* How our count of tokens is brought in line with the server's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/model/calibrate.h"
#include "plugin/model/tokens.h"

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

static void a_conversation_knows_its_ratio_and_the_model_its_context(void **state)
{
    (void)state;
    const struct calibration model = { 1.5, 8000 }, own = { 3, 4000 }, fresh = { 0, 0 };
    assert_near(calibrate_joined(&model, NULL).ratio, 1.5);
    assert_near(calibrate_joined(&model, &fresh).ratio, 1.5);
    assert_near(calibrate_joined(&model, &own).ratio, 3);
    assert_int_equal(calibrate_joined(&model, &own).context, 8000);
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

/* --- measured --- */
#define CORPUS "tests/data/tokens/corpus.tsv" /* language, tokens in o200k_base, in cl100k_base (tiktoken's), text */
#define LINES_MAX 1024
#define CONTEXT_MESSAGES 20
#define CONTEXTS 200            /* of each language */
#define PROMPT_TOKENS 3         /* before the answer, whatever the messages; reference, section 11.2 */
#define MEAN_ERROR_MAX 0.03
#define SEED 20260311U

enum { O200K, CL100K, ENCODINGS };

struct line {
    char language[8];
    int64_t real[ENCODINGS];
    size_t counted;
};

static struct line lines[LINES_MAX];
static size_t n_lines;

static void unescape(char *s)
{
    char *out = s;
    for (; *s; s++)
        *out++ = *s != '\\' ? *s : *++s == 'n' ? '\n' : *s;
    *out = '\0';
}

static int read_corpus(void **state)
{
    (void)state;
    char row[4096];
    int at;
    FILE *f = fopen(CORPUS, "r");
    assert_non_null(f);
    while (fgets(row, sizeof row, f)) {
        struct line *l = &lines[n_lines++];
        long long o200k, cl100k;
        assert_true(n_lines < LINES_MAX);
        row[strcspn(row, "\n")] = '\0';
        assert_int_equal(sscanf(row, "%7[a-z]\t%lld\t%lld\t%n", l->language, &o200k, &cl100k, &at), 3);
        unescape(row + at);
        l->real[O200K] = o200k + TOKENS_PER_MESSAGE;
        l->real[CL100K] = cl100k + TOKENS_PER_MESSAGE;
        l->counted = tokens_estimate(row + at, strlen(row + at)) + TOKENS_PER_MESSAGE;
    }
    fclose(f);
    assert_true(n_lines > 200);
    return 0;
}

/* Sums of a context of messages in one language, picked at random. */
static void pick_context(size_t first, size_t n, unsigned *seed, size_t *counted, int64_t real[ENCODINGS])
{
    *counted = 0;
    real[O200K] = real[CL100K] = PROMPT_TOKENS;
    for (int i = 0; i < CONTEXT_MESSAGES; i++) {
        *seed = *seed * 1103515245U + 12345U;
        const struct line *l = &lines[first + (*seed >> 8) % n];
        *counted += l->counted;
        real[O200K] += l->real[O200K];
        real[CL100K] += l->real[CL100K];
    }
}

static size_t language_lines(size_t first)
{
    size_t n = 0;
    while (first + n < n_lines && strcmp(lines[first + n].language, lines[first].language) == 0)
        n++;
    return n;
}

static double error_of(int64_t expected, int64_t real)
{
    double e = (double)(expected - real) / (double)real;
    return e < 0 ? -e : e;
}

/* What a conversation's next context has, learned from those before it: with
 * the vocabulary that the estimate was fitted for, and with another one. */
static void a_context_of_20_messages_is_foreseen(void **state)
{
    (void)state;
    double sum[ENCODINGS] = { 0 }, raw[ENCODINGS] = { 0 };
    size_t n = 0;
    unsigned seed = SEED;
    for (size_t first = 0; first < n_lines; first += language_lines(first)) {
        struct calibration c[ENCODINGS] = { { 0 } };
        for (int i = 0; i <= CONTEXTS; i++) {
            size_t counted;
            int64_t real[ENCODINGS];
            pick_context(first, language_lines(first), &seed, &counted, real);
            for (int e = 0; e < ENCODINGS; e++) {
                if (i > 0) {
                    sum[e] += error_of(calibrate_expect(&c[e], counted), real[e]);
                    raw[e] += error_of((int64_t)counted, real[e]);
                }
                assert_true(calibrate_learn(&c[e], counted, real[e]));
            }
            n += i > 0;
        }
    }
    for (int e = 0; e < ENCODINGS; e++)
        print_message("%s: mean error of %zu contexts %.2f %%, before calibration %.2f %%\n", e ? "cl100k" : "o200k", n,
                      100 * sum[e] / (double)n, 100 * raw[e] / (double)n);
    assert_true(sum[O200K] / (double)n <= MEAN_ERROR_MAX);
    assert_true(sum[CL100K] / (double)n <= MEAN_ERROR_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_answer_counts_whole_later_ones_by_weight),
        cmocka_unit_test(nonsense_teaches_nothing),
        cmocka_unit_test(budgets),
        cmocka_unit_test(a_conversation_knows_its_ratio_and_the_model_its_context),
        cmocka_unit_test(an_error_with_numbers_corrects_exactly),
        cmocka_unit_test(what_did_not_fit_is_over_budget_whatever_the_error_said),
        cmocka_unit_test(repeated_errors_shrink_until_it_fits),
        cmocka_unit_test_setup(a_context_of_20_messages_is_foreseen, read_corpus),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
