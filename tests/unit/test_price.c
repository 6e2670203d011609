/* price.c and price_text.c: what answers cost, and how prices are written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/price_text.h"
#include "plugin/base/decimal.h"
#include "plugin/model/price.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define UNIT INT64_C(1000000000000) /* of money */
#define NOON 1785585600000          /* 2026-08-01 12:00 UTC */
#define HOUR_MS 3600000

static void test_amounts(void **state)
{
    (void)state;
    static const char *const bad[] = { "", "2,50", "-1", "1e3", "0.0000000000001", "$2", "9223373", " 1", "1." };
    int64_t n;
    assert_true(price_text_amount("2.50", &n));
    assert_int_equal(n, 5 * UNIT / 2);
    assert_true(price_text_amount("0.000000000001", &n));
    assert_int_equal(n, 1);
    for (size_t i = 0; i < COUNT(bad); i++)
        if (price_text_amount(bad[i], &n))
            fail_msg("\"%s\"", bad[i]);
}

static void test_tiers(void **state)
{
    (void)state;
    static const char *const bad[] = { "", "flex", "=0.5", "flex=", "flex=x", "flex=-1", "Flex=1", "flex =1", "flex=1000.000001",
                                       "flex=0.0000001", "flex=1e2" };
    size_t name;
    int64_t factor;
    assert_true(price_text_tier("flex=0.5", &name, &factor));
    assert_int_equal(name, 4);
    assert_int_equal(factor, FACTOR_ONE / 2);
    assert_true(price_text_tier("p=1000", &name, &factor));
    assert_int_equal(factor, FACTOR_MAX);
    assert_true(price_text_tier("free=0", &name, &factor));
    assert_int_equal(factor, 0);
    for (size_t i = 0; i < COUNT(bad); i++)
        if (price_text_tier(bad[i], &name, &factor))
            fail_msg("\"%s\"", bad[i]);
}

static void test_hours_text(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int from, to, east;
    } good[] = {
        { "00:30-08:30+08:00=0.5", 30, 510, 480 },
        { "22:00-06:00=2", 1320, 360, 0 },
        { "00:00-24:00-09:30=1", 0, 1440, -570 },
        { "10:00-11:00+14:00=1", 600, 660, 840 },
    };
    static const char *const bad[] = { "", "0:30-08:30=1", "00:30-08:30", "00:30-08:30=", "00:30-00:30=1", "00:60-01:00=1",
                                       "24:01-01:00=1", "00:00-01:00+14:01=1", "00:00-01:00+8=1", "00:00-01:00=1x",
                                       "00:00 01:00=1" };
    struct price_hours h;
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_true(price_text_hours(good[i].text, &h));
        assert_int_equal(h.from, good[i].from);
        assert_int_equal(h.to, good[i].to);
        assert_int_equal(h.east, good[i].east);
    }
    for (size_t i = 0; i < COUNT(bad); i++)
        if (price_text_hours(bad[i], &h))
            fail_msg("\"%s\"", bad[i]);
}

static void test_dates(void **state)
{
    (void)state;
    static const char *const bad[] = { "", "2026", "2026-8-1", "2026-02-29", "2026-13-01", "2026-00-10", "2026-01-00",
                                       "2026-08-01x", "01.08.2026" };
    int64_t ms;
    assert_true(price_text_date("2026-08-01", &ms));
    assert_int_equal(ms, NOON - 12 * HOUR_MS);
    assert_true(price_text_date("2028-02-29", &ms));
    assert_true(price_text_date("1970-01-01", &ms));
    assert_int_equal(ms, 0);
    for (size_t i = 0; i < COUNT(bad); i++)
        if (price_text_date(bad[i], &ms))
            fail_msg("\"%s\"", bad[i]);
}

/* --- costs --- */
static struct price_conf plain(const char *model)
{
    return (struct price_conf){
        .model = (char *)model,
        .currency = (char *)"USD",
        .unit = 1000000,
        .amounts = { .input = (char *)"2.50", .output = (char *)"10.00" },
    };
}

static struct model_conf gpt = { .name = (char *)"main", .model = (char *)"gpt-4o-mini" };

/* -1: no price. */
static int64_t cost(struct price_conf *prices, size_t n, const struct usage *u, const char *tier, int64_t ms)
{
    const struct config c = { .prices = prices, .n_prices = n };
    struct money m = { -1, NULL };
    bool known = price_cost(&c, &gpt, u, tier, ms, &m);
    assert_int_equal(known, m.currency != NULL);
    return m.amount;
}

static void test_tokens(void **state)
{
    (void)state;
    static const struct {
        struct usage usage;
        int64_t cost; /* with input 2.50, cached 0.25, written 3.125, output 10, reasoning 12 */
    } cases[] = {
        { { 0 }, 0 },
        { { .prompt_tokens = 1 }, 2500000 },
        { { .completion_tokens = 1 }, 10000000 },
        { { .prompt_tokens = 1000000, .completion_tokens = 1000000 }, 25 * UNIT / 2 },
        { { .prompt_tokens = 10, .cached_tokens = 10 }, 2500000 },
        { { .prompt_tokens = 10, .cached_tokens = 4, .cache_write_tokens = 6 }, 1000000 + 18750000 },
        { { .prompt_tokens = 10, .cached_tokens = 4, .cache_write_tokens = 5 }, 2500000 + 1000000 + 15625000 },
        { { .completion_tokens = 10, .reasoning_tokens = 10 }, 120000000 },
        { { .completion_tokens = 10, .reasoning_tokens = 3 }, 70000000 + 36000000 },
        /* parts that are more than the whole */
        { { .prompt_tokens = 10, .cached_tokens = 11 }, 2500000 },
        { { .prompt_tokens = 10, .cached_tokens = 8, .cache_write_tokens = 8 }, 2000000 + 6250000 },
        { { .completion_tokens = 10, .reasoning_tokens = 11 }, 120000000 },
        { { .prompt_tokens = -5, .completion_tokens = -5, .cached_tokens = -1 }, 0 },
        /* at the end of the numbers */
        { { .prompt_tokens = INT64_MAX }, INT64_MAX },
        { { .prompt_tokens = INT64_MAX / 2500000 }, INT64_MAX / 2500000 * 2500000 },
        { { .prompt_tokens = INT64_MAX / 2500000 + 1 }, INT64_MAX },
        { { .prompt_tokens = INT64_MAX, .completion_tokens = INT64_MAX, .cached_tokens = INT64_MAX }, INT64_MAX },
        /* the server's own word */
        { { .prompt_tokens = 10, .cost_known = true, .cost = 77 }, 77 },
        { { .prompt_tokens = 10, .cost_known = true }, 0 },
    };
    struct price_conf p = plain("gpt*");
    p.amounts.cached_input = (char *)"0.25";
    p.amounts.cache_write = (char *)"3.125";
    p.amounts.reasoning = (char *)"12";
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t is = cost(&p, 1, &cases[i].usage, NULL, NOON);
        if (is != cases[i].cost)
            fail_msg("case %zu: %lld", i, (long long)is);
    }
}

/* What is not set is as input or output. */
static void test_missing_amounts(void **state)
{
    (void)state;
    const struct usage u = { .prompt_tokens = 10, .cached_tokens = 3, .cache_write_tokens = 3, .completion_tokens = 10,
                             .reasoning_tokens = 5 };
    struct price_conf p = plain("gpt*");
    assert_int_equal(cost(&p, 1, &u, NULL, NOON), 25000000 + 100000000);
}

static void test_unit_and_request(void **state)
{
    (void)state;
    const struct usage u = { .prompt_tokens = 2000, .completion_tokens = 1 };
    struct price_conf p = plain("gpt*");
    p.unit = 1000;
    assert_int_equal(cost(&p, 1, &u, NULL, NOON), 5 * UNIT + UNIT / 100);
    p.request = (char *)"0.005";
    assert_int_equal(cost(&p, 1, &u, NULL, NOON), 5 * UNIT + UNIT / 100 + UNIT / 200);
    p.tiers = (struct strings){ (char *[]){ (char *)"flex=0" }, 1 };
    assert_int_equal(cost(&p, 1, &u, "flex", NOON), UNIT / 200);
}

static void test_tier_cost(void **state)
{
    (void)state;
    const struct usage u = { .prompt_tokens = 1 };
    struct price_conf p = plain("gpt*");
    p.tiers = (struct strings){ (char *[]){ (char *)"flex=0.5", (char *)"priority=2", (char *)"odd=0.333333" }, 3 };
    assert_int_equal(cost(&p, 1, &u, NULL, NOON), 2500000);
    assert_int_equal(cost(&p, 1, &u, "", NOON), 2500000);
    assert_int_equal(cost(&p, 1, &u, "default", NOON), 2500000);
    assert_int_equal(cost(&p, 1, &u, "fle", NOON), 2500000);
    assert_int_equal(cost(&p, 1, &u, "flexi", NOON), 2500000);
    assert_int_equal(cost(&p, 1, &u, "flex", NOON), 1250000);
    assert_int_equal(cost(&p, 1, &u, "priority", NOON), 5000000);
    assert_int_equal(cost(&p, 1, &u, "odd", NOON), 833333); /* of 833332.5 */
    const struct usage most = { .prompt_tokens = INT64_MAX };
    assert_int_equal(cost(&p, 1, &most, "priority", NOON), INT64_MAX);
    assert_int_equal(cost(&p, 1, &most, "flex", NOON), INT64_MAX / 2 + 1);
}

static void test_steps(void **state)
{
    (void)state;
    struct price_step steps[] = {
        { 200, { .input = (char *)"20" } },
        { 100, { .input = (char *)"5", .output = (char *)"15" } },
    };
    static const struct {
        int64_t prompt, cost;
    } cases[] = { { 100, 250000000 + 10000000 },    /* not above */
                  { 101, 505000000 + 15000000 },
                  { 200, 1000000000 + 15000000 },
                  { 201, 4020000000 + 10000000 } }; /* its output is the usual one */
    struct price_conf p = plain("gpt*");
    p.above = steps;
    p.n_above = COUNT(steps);
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct usage u = { .prompt_tokens = cases[i].prompt, .completion_tokens = 1 };
        assert_int_equal(cost(&p, 1, &u, NULL, NOON), cases[i].cost);
    }
    /* A step's input is also what its cached tokens cost, unless that has a price of its own. */
    const struct usage cached = { .prompt_tokens = 101, .cached_tokens = 101 };
    assert_int_equal(cost(&p, 1, &cached, NULL, NOON), 505000000);
    p.amounts.cached_input = (char *)"1";
    assert_int_equal(cost(&p, 1, &cached, NULL, NOON), 101000000);
}

static void test_hours(void **state)
{
    (void)state;
    static const struct {
        const char *hours;
        int64_t minute; /* of the day, by UTC */
        bool half;
    } cases[] = {
        { "00:30-08:30+08:00=0.5", 16 * 60 + 29, false }, { "00:30-08:30+08:00=0.5", 16 * 60 + 30, true },
        { "00:30-08:30+08:00=0.5", 23 * 60 + 59, true },  { "00:30-08:30+08:00=0.5", 0, true },
        { "00:30-08:30+08:00=0.5", 29, true },            { "00:30-08:30+08:00=0.5", 30, false },
        { "22:00-06:00=0.5", 22 * 60 - 1, false },        { "22:00-06:00=0.5", 22 * 60, true },
        { "22:00-06:00=0.5", 0, true },                   { "22:00-06:00=0.5", 6 * 60, false },
        { "00:00-24:00=0.5", 23 * 60 + 59, true },        { "23:00-24:00-09:30=0.5", 8 * 60 + 30, true },
        { "23:00-24:00-09:30=0.5", 9 * 60 + 30, false },  { "23:00-24:00-09:30=0.5", 8 * 60 + 29, false },
    };
    const struct usage u = { .prompt_tokens = 2 };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *hours[] = { (char *)cases[i].hours };
        struct price_conf p = plain("gpt*");
        p.hours = (struct strings){ hours, 1 };
        int64_t is = cost(&p, 1, &u, NULL, NOON - 12 * HOUR_MS + cases[i].minute * 60000);
        if (is != (cases[i].half ? 2500000 : 5000000))
            fail_msg("case %zu: %lld", i, (long long)is);
    }
}

/* --- which entry --- */
static void test_find(void **state)
{
    (void)state;
    struct price_conf prices[] = { plain("*"), plain("gpt-4o*"), plain("gpt-4o-mini"), plain("main"), plain("gpt-4o-mini"),
                                   plain("gpt-4o-mini") };
    prices[2].valid_from = (char *)"2026-08-02";
    prices[4].valid_from = (char *)"2026-08-01";
    prices[5].valid_from = (char *)"2026-08-03";
    const struct config c = { .prices = prices, .n_prices = COUNT(prices) };
    static const struct {
        const char *name, *model;
        bool practice;
        int64_t ms;
        int found; /* -1: none */
    } cases[] = {
        { "x", "claude", false, NOON, 0 },
        { "x", "gpt-4o", false, NOON, 1 },
        { "main", "claude", false, NOON, 3 },
        { "main", "gpt-4o", false, NOON, 1 }, /* the longest pattern, whichever name it matches */
        { "x", "gpt-4o-mini", false, NOON, 4 },
        { "x", "gpt-4o-mini", false, NOON + 24 * HOUR_MS, 2 },
        { "x", "gpt-4o-mini", false, NOON + 48 * HOUR_MS, 5 },
        { "x", "gpt-4o-mini", false, NOON - 12 * HOUR_MS, 4 },
        { "x", "gpt-4o-mini", false, NOON - 12 * HOUR_MS - 1, 1 }, /* not begun yet */
        { "gpt-4o-mini", NULL, false, NOON, 4 },
        { "x", "gpt-4o-mini", true, NOON, 0 }, /* the practice model in its place */
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct model_conf m = { .name = (char *)cases[i].name, .model = (char *)cases[i].model, .practice = cases[i].practice };
        const struct price_conf *p = price_find(&c, &m, cases[i].ms);
        if (p != &prices[cases[i].found])
            fail_msg("case %zu: %d", i, p ? (int)(p - prices) : -1);
    }
    const struct config none = { .prices = prices + 1, .n_prices = 1 };
    const struct model_conf other = { .name = (char *)"x", .model = (char *)"claude" };
    assert_null(price_find(&none, &other, NOON));
}

static void test_unknown(void **state)
{
    (void)state;
    const struct usage u = { .prompt_tokens = 5 }, said = { .cost_known = true, .cost = 9 };
    const struct config none = { 0 };
    struct money m;
    assert_int_equal(cost(NULL, 0, &u, NULL, NOON), -1);
    assert_int_equal(cost(NULL, 0, &said, NULL, NOON), 9);
    assert_true(price_cost(&none, &gpt, &said, NULL, NOON, &m));
    assert_string_equal(m.currency, PRICE_SERVER_CURRENCY);
    struct price_conf p = plain("*");
    p.currency = (char *)"EUR";
    const struct config euro = { .prices = &p, .n_prices = 1 };
    assert_true(price_cost(&euro, &gpt, &said, NULL, NOON, &m));
    assert_string_equal(m.currency, "EUR");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_amounts),
        cmocka_unit_test(test_tiers),
        cmocka_unit_test(test_hours_text),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_missing_amounts),
        cmocka_unit_test(test_unit_and_request),
        cmocka_unit_test(test_tier_cost),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_hours),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
