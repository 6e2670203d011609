/* ratelimit.c: headers of every dialect, and of none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/net/ratelimit.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

#define NOW_MS INT64_C(1795251600000) /* 2026-11-21T09:00:00Z */
#define LONGEST RATELIMIT_MAX_MS

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
        {"2m59.56s", 179560},
        {"1d2h", 93600000},
        {"500us", 0},
        {"1500\xC2\xB5s", 1},
        {"900000000ns", 900},
        {"37.123456s", 37123},
        {"20", 20000},
        {"0", 0},
        {"0.25", 250},
        {"1.2345s", 1234},
        {"3.s", 3000},
        {"20 seconds", 20000},
        {"26 Seconds.", 26000},
        {"1 second", 1000},
        {"5 minutes", 300000},
        {"1 minute", 60000},
        {"2 hours", 7200000},
        {"1 day", 86400000},
        {"500 milliseconds", 500},
        {"20 messages", 20000},
        {"20s. Contact us", 20000},
        {"1.5.5s", 1500},
        {"", -1},
        {"s", -1},
        {"-5s", -1},
        {"NaN", -1},
        {"inf", -1},
        {".5s", -1},
        {"99999999999999999999999999s", LONGEST},
        {"99999999h", LONGEST},
        {"8760h", LONGEST},
        {"8759h", LONGEST - 3600000},
        {"8000h8000h8000h", LONGEST},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t got = ratelimit_duration_ms(cases[i].text);
        if (got != cases[i].ms)
            fail_msg("%s: %lld", cases[i].text, (long long)got);
    }
}

/* Headers as "name: value", in the order in which they come. */
static void take(struct ratelimit *r, const char *const *headers)
{
    *r = (struct ratelimit)RATELIMIT_INIT;
    for (; *headers; headers++) {
        char name[64];
        size_t len = strcspn(*headers, ":");
        snprintf(name, sizeof name, "%.*s", (int)len, *headers);
        assert_true(ratelimit_header(r, name, *headers + len + 2, NOW_MS));
    }
}

static void test_delays(void **state)
{
    (void)state;
    static const struct {
        const char *headers[4];
        int64_t ms;
    } cases[] = {
        {{"retry-after-ms: 250"}, 250},
        {{"Retry-After-Ms: 250.7"}, 250},
        {{"retry-after: 7"}, 7000},
        {{"Retry-After: 1.25"}, 1250},
        {{"retry-after: 20s"}, 20000},
        {{"x-ms-retry-after-ms: 80"}, 80},
        {{"retry-after-ms: 0"}, 0},
        {{"retry-after: 9", "retry-after-ms: 250", "x-ms-retry-after-ms: 80"}, 250},
        {{"retry-after-ms: 250", "retry-after: 9"}, 250},
        {{"x-ms-retry-after-ms: 80", "retry-after: 9"}, 9000},
        {{"retry-after: 9", "x-ms-retry-after-ms: 80"}, 9000},
        {{"retry-after: 9", "retry-after-ms: nonsense"}, 9000},
        {{"retry-after: 9", "retry-after: 10"}, 10000},
        {{"retry-after: Sat, 21 Nov 2026 09:00:30 GMT"}, 30000},
        {{"retry-after: Saturday, 21-Nov-26 09:00:30 GMT"}, 30000},
        {{"retry-after: Sat Nov 21 09:00:30 2026"}, 30000},
        {{"retry-after: Sat, 21 Nov 2026 08:59:59 GMT"}, 0},
        {{"retry-after: Thu, 01 Jan 1970 00:00:00 GMT"}, 0},
        {{"retry-after: Sat, 21 Nov 2099 09:00:30 GMT"}, LONGEST},
        {{"retry-after: Sat, 21 Nov 1795251660 09:00:30 GMT"}, LONGEST},
        {{"retry-after: soon"}, -1},
        {{"retry-after: -1"}, -1},
        {{"retry-after: .5"}, -1},
        {{"retry-after: 1e3"}, -1},
        {{"retry-after: 0x10"}, -1},
        {{"retry-after: 5 x"}, -1},
        {{"retry-after: NaN"}, -1},
        {{"retry-after: Infinity"}, -1},
        {{"retry-after: "}, -1},
        {{"retry-after: 7,5"}, -1},
        {{"retry-after: 99999999999999999999999999"}, LONGEST},
        {{"retry-after-ms: 99999999999999999999999999"}, LONGEST},
        {{"retry-after-ms: -0"}, -1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct ratelimit r;
        take(&r, cases[i].headers);
        if (r.retry_after_ms != cases[i].ms)
            fail_msg("%s, …: %lld", cases[i].headers[0], (long long)r.retry_after_ms);
    }
}

static void test_should_retry(void **state)
{
    (void)state;
    static const struct {
        const char *headers[3];
        int should;
    } cases[] = {
        {{"x-should-retry: true"}, 1},   {{"X-Should-Retry: TRUE"}, 1}, {{"x-should-retry: false"}, 0},
        {{"x-should-retry: maybe"}, -1}, {{"x-should-retry: "}, -1},    {{"x-should-retry: 1"}, -1},
        {{"retry-after: 1"}, -1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct ratelimit r;
        take(&r, cases[i].headers);
        assert_int_equal(r.should_retry, cases[i].should);
    }
}

static void test_windows(void **state)
{
    (void)state;
    static const struct {
        const char *headers[7];
        struct ratelimit_window requests, tokens;
        int64_t pause_ms;
    } cases[] = {
        /* OpenAI */
        {{"x-ratelimit-limit-requests: 60", "x-ratelimit-remaining-requests: 59", "x-ratelimit-reset-requests: 1s",
          "X-RateLimit-Limit-Tokens: 150000", "x-ratelimit-remaining-tokens: 149984", "x-ratelimit-reset-tokens: 6m0s"},
         {60, 59, 1000}, {150000, 149984, 360000}, -1},
        {{"x-ratelimit-remaining-requests: 0", "x-ratelimit-reset-requests: 12ms", "x-ratelimit-remaining-tokens: 0",
          "x-ratelimit-reset-tokens: 6m0s"},
         {-1, 0, 12}, {-1, 0, 360000}, 360000},
        {{"x-ratelimit-remaining-requests: 0", "x-ratelimit-reset-requests: 8.64s", "x-ratelimit-remaining-tokens: 5",
          "x-ratelimit-reset-tokens: 6m0s"},
         {-1, 0, 8640}, {-1, 5, 360000}, 8640},
        {{"x-ratelimit-remaining-requests: 0"}, {-1, 0, -1}, {-1, -1, -1}, -1},
        /* OpenRouter */
        {{"X-RateLimit-Limit: 20", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 1795251660000"},
         {20, 0, 60000}, {-1, -1, -1}, 60000},
        /* seconds since 1970, seconds from now */
        {{"x-ratelimit-reset: 1795251660"}, {-1, -1, 60000}, {-1, -1, -1}, -1},
        {{"x-ratelimit-reset: 1795251599"}, {-1, -1, 0}, {-1, -1, -1}, -1},
        {{"x-ratelimit-reset: 999999999"}, {-1, -1, LONGEST}, {-1, -1, -1}, -1},
        {{"x-ratelimit-reset: 30"}, {-1, -1, 30000}, {-1, -1, -1}, -1},
        /* Anthropic */
        {{"anthropic-ratelimit-requests-limit: 1000", "anthropic-ratelimit-requests-remaining: 999",
          "anthropic-ratelimit-requests-reset: 2026-11-21T09:00:01Z", "anthropic-ratelimit-tokens-limit: 80000",
          "anthropic-ratelimit-tokens-remaining: 0", "anthropic-ratelimit-tokens-reset: 2026-11-21T09:00:05.250Z"},
         {1000, 999, 1000}, {80000, 0, 5000}, 5000},
        {{"anthropic-ratelimit-tokens-reset: 2026-11-21T10:00:05+01:00"}, {-1, -1, -1}, {-1, -1, 5000}, -1},
        {{"anthropic-ratelimit-tokens-reset: 2026-11-21T03:30:05-05:30"}, {-1, -1, -1}, {-1, -1, 5000}, -1},
        {{"anthropic-ratelimit-tokens-reset: 2026-11-21T08:00:00Z"}, {-1, -1, -1}, {-1, -1, 0}, -1},
        {{"anthropic-ratelimit-tokens-reset: 2026-11-21T08:00:00"}, {-1, -1, -1}, {-1, -1, -1}, -1},
        {{"anthropic-ratelimit-tokens-reset: 2026-11-21T08:00:00+5"}, {-1, -1, -1}, {-1, -1, -1}, -1},
        {{"anthropic-ratelimit-tokens-reset: 2026-11-21T10:00:05+01:999999999999999999999"}, {-1, -1, -1}, {-1, -1, -1}, -1},
        {{"anthropic-ratelimit-tokens-reset: 2026-11-21T10:00:051Z"}, {-1, -1, -1}, {-1, -1, -1}, -1},
        {{"anthropic-ratelimit-tokens-reset: 9999-99-99T99:99:99Z"}, {-1, -1, -1}, {-1, -1, LONGEST}, -1},
        /* nonsense */
        {{"x-ratelimit-limit-requests: -1", "x-ratelimit-remaining-requests: many", "x-ratelimit-reset-requests: -5s"},
         {-1, -1, -1}, {-1, -1, -1}, -1},
        {{"x-ratelimit-limit-requests: 100, 100;w=60", "x-ratelimit-remaining-requests: 12.9"}, {100, 12, -1}, {-1, -1, -1}, -1},
        {{"x-ratelimit-limit-requests: 99999999999999999999999999", "x-ratelimit-remaining-requests: 5x"},
         {RATELIMIT_COUNT_MAX, -1, -1}, {-1, -1, -1}, -1},
        {{"x-ratelimit-reset-tokens: NaN", "x-ratelimit-reset-requests: 99999999999999999999999999"},
         {-1, -1, LONGEST}, {-1, -1, -1}, -1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct ratelimit r;
        take(&r, cases[i].headers);
        if (memcmp(&r.requests, &cases[i].requests, sizeof r.requests) != 0 ||
            memcmp(&r.tokens, &cases[i].tokens, sizeof r.tokens) != 0)
            fail_msg("%s: %lld %lld %lld, %lld %lld %lld", cases[i].headers[0], (long long)r.requests.limit,
                     (long long)r.requests.remaining, (long long)r.requests.reset_ms, (long long)r.tokens.limit,
                     (long long)r.tokens.remaining, (long long)r.tokens.reset_ms);
        assert_int_equal(ratelimit_pause_ms(&r), cases[i].pause_ms);
    }
}

static void test_others(void **state)
{
    (void)state;
    static const char *const names[] = {
        "", "x-retry-after", "retry", "x-ratelimit-", "x-ratelimit-limit-images", "x-ratelimit-limit-project-tokens",
        "anthropic-ratelimit-input-tokens-limit", "anthropic-ratelimit-limit", "anthropic-ratelimit-", "x-ratelimit-policy",
        "x-ratelimit-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-tokens", "x-request-id",
    };
    static const struct ratelimit none = RATELIMIT_INIT;
    for (size_t i = 0; i < COUNT(names); i++) {
        struct ratelimit r = RATELIMIT_INIT;
        if (ratelimit_header(&r, names[i], "5", NOW_MS))
            fail_msg("%s", names[i]);
        assert_memory_equal(&r, &none, sizeof r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations), cmocka_unit_test(test_delays), cmocka_unit_test(test_should_retry),
        cmocka_unit_test(test_windows),   cmocka_unit_test(test_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
