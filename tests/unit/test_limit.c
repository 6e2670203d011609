/* limit.c and what notices say of it: a clock that the tests move, zones that
 * they invent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "plugin/chat/limit.h"
#include "plugin/chat/notice.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define UNIT INT64_C(1000000000000) /* of money */
#define MINUTE_MS INT64_C(60000)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)
#define NOON INT64_C(1785585600000) /* 2026-08-01 12:00 UTC */
#define HOLDS_MAX 1000

static struct model_conf dear = { .name = (char *)"dear", .max_tokens = 100 };
static struct model_conf cheap = { .name = (char *)"cheap", .max_tokens = 100 };
static struct price_conf prices[] = {
    { .model = (char *)"dear", .currency = (char *)"USD", .unit = 1, .amounts = { .input = (char *)"0.01", .output = (char *)"0.01" } },
    { .model = (char *)"cheap", .currency = (char *)"USD", .unit = 1,
      .amounts = { .input = (char *)"0.0001", .output = (char *)"0.0001" } },
};

static struct limit_conf limit_of(enum limit_per per, enum limit_period period, int64_t messages)
{
    return (struct limit_conf){ .per = per, .period = period, .match = (char *)"*", .currency = (char *)"USD",
                                .messages = messages };
}

/* One test's limits, and who asks. */
struct fixture {
    struct config config;
    struct limits *limits;
    struct limit_ask ask;
    struct limit_stop stop;
};

static void begin(struct fixture *f, struct limit_conf *v, size_t n)
{
    *f = (struct fixture){ .config = { .limits = v, .n_limits = n, .prices = prices, .n_prices = COUNT(prices) } };
    f->limits = limits_new();
    f->ask = (struct limit_ask){ .config = &f->config, .account = "web", .channel = "web:x", .person = "ann", .model = &dear,
                                 .messages = 1, .prompt_tokens = 50, .now_ms = NOON };
}

static void end(struct fixture *f)
{
    limits_free(&f->limits);
}

static struct limit_hold *reserve(struct fixture *f)
{
    struct limit_hold *h;
    f->ask.model = &dear;
    bool may = limit_reserve(f->limits, &f->ask, &h, &f->stop);
    assert_int_equal(may, h != NULL);
    return h;
}

static void settle(struct fixture *f, struct limit_hold *h, int64_t tokens, int64_t money)
{
    const struct money cost = { money, "USD" };
    assert_non_null(h);
    limit_take(h, tokens, &cost, f->ask.now_ms);
    limit_settle(h, f->ask.now_ms);
    limit_release(&h);
}

static void use(struct fixture *f, int64_t tokens)
{
    settle(f, reserve(f), tokens, 0);
}

static void assert_stopped(struct fixture *f, int64_t again_ms)
{
    assert_null(reserve(f));
    assert_int_equal(f->stop.again_ms, again_ms);
}

/* --- what is counted --- */
static void test_messages(void **state)
{
    (void)state;
    struct fixture f;
    struct limit_conf v[] = { limit_of(LIMIT_PERSON, LIMIT_DAY, 2) };
    begin(&f, v, 1);
    use(&f, 1);
    use(&f, 1);
    assert_stopped(&f, NOON + 12 * HOUR_MS);
    assert_ptr_equal(f.stop.limit, &v[0]);
    assert_true(f.stop.by_messages);
    f.ask.now_ms += 12 * HOUR_MS - 1;
    assert_stopped(&f, NOON + 12 * HOUR_MS);
    f.ask.now_ms++;
    use(&f, 1);
    end(&f);
}

static void test_tokens_and_money(void **state)
{
    (void)state;
    struct fixture f;
    struct limit_conf v[] = { limit_of(LIMIT_PERSON, LIMIT_DAY, 0) };
    v[0].tokens = 300; /* an answer reserves 150 */
    begin(&f, v, 1);
    use(&f, 150);
    use(&f, 0);
    use(&f, 1);
    assert_stopped(&f, NOON + 12 * HOUR_MS); /* 151 + 150 */
    assert_false(f.stop.by_messages);
    end(&f);
    v[0].tokens = 0;
    v[0].money = (char *)"3"; /* an answer reserves 1.50 */
    begin(&f, v, 1);
    settle(&f, reserve(&f), 1000000, 3 * UNIT / 2);
    settle(&f, reserve(&f), 0, 1);
    assert_stopped(&f, NOON + 12 * HOUR_MS);
    end(&f);
    v[0].currency = (char *)"EUR"; /* what costs dollars does not count */
    begin(&f, v, 1);
    for (int i = 0; i < 5; i++)
        settle(&f, reserve(&f), 0, 3 * UNIT);
    end(&f);
}

static void test_subjects(void **state)
{
    (void)state;
    static const struct {
        enum limit_per per;
        bool other_person, other_channel, other_account; /* may still ask */
    } cases[] = {
        { LIMIT_PERSON, true, false, true },
        { LIMIT_CHANNEL, false, true, true },
        { LIMIT_ACCOUNT, false, false, true },
        { LIMIT_ALL, false, false, false },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct fixture f;
        struct limit_conf v[] = { limit_of(cases[i].per, LIMIT_DAY, 1) };
        begin(&f, v, 1);
        use(&f, 1);
        for (int k = 0; k < 3; k++) {
            f.ask.person = k == 0 ? "bob" : "ann";
            f.ask.channel = k == 1 ? "web:y" : k == 2 ? "mx:x" : "web:x";
            f.ask.account = k == 2 ? "mx" : "web";
            struct limit_hold *h = reserve(&f);
            assert_int_equal(h != NULL, k == 0 ? cases[i].other_person : k == 1 ? cases[i].other_channel : cases[i].other_account);
            limit_release(&h);
        }
        end(&f);
    }
}

static void test_match(void **state)
{
    (void)state;
    struct fixture f;
    struct limit_conf v[] = { limit_of(LIMIT_PERSON, LIMIT_DAY, 1) };
    v[0].match = (char *)"web:x*";
    begin(&f, v, 1);
    use(&f, 1);
    assert_stopped(&f, NOON + 12 * HOUR_MS);
    f.ask.channel = "web:xy/thread"; /* one person, all channels that match */
    assert_stopped(&f, NOON + 12 * HOUR_MS);
    f.ask.channel = "web:y";
    use(&f, 1);
    use(&f, 1);
    f.ask.channel = "web:x";
    f.ask.person = NULL;
    use(&f, 1);
    use(&f, 1);
    end(&f);
}

/* --- reserving --- */
static void test_never_over_together(void **state)
{
    (void)state;
    struct fixture f;
    struct limit_conf v[] = { limit_of(LIMIT_PERSON, LIMIT_DAY, 10), limit_of(LIMIT_ALL, LIMIT_MONTH, 0) };
    struct limit_hold *holds[20];
    int got = 0;
    v[1].tokens = 8 * 150;
    begin(&f, v, 2);
    for (int i = 0; i < 20; i++)
        got += (holds[got] = reserve(&f)) != NULL;
    assert_int_equal(got, 8);
    assert_int_equal(f.stop.again_ms, 0); /* nothing is used yet: soon */
    for (int i = 0; i < got; i++)
        settle(&f, holds[i], 1, 0);
    use(&f, 1);
    use(&f, 1);
    assert_stopped(&f, NOON + 12 * HOUR_MS);
    end(&f);
}

/* Any order of beginnings, ends and failures: what is taken stays within. */
static void test_random_order(void **state)
{
    (void)state;
    struct fixture f;
    struct limit_conf v[] = { limit_of(LIMIT_PERSON, LIMIT_DAY, 400) };
    struct limit_hold *holds[HOLDS_MAX];
    size_t n = 0;
    int64_t tokens = 0, messages = 0;
    unsigned seed = 1;
    v[0].tokens = 20000;
    begin(&f, v, 1);
    for (int i = 0; i < 20000; i++) {
        seed = seed * 1103515245 + 12345;
        unsigned r = seed >> 16;
        if (r % 2 && n < HOLDS_MAX) {
            n += (holds[n] = reserve(&f)) != NULL;
        } else if (n && r % 3 == 0) {
            limit_release(&holds[--n]);
        } else if (n) {
            int64_t t = r % 151;
            settle(&f, holds[--n], t, 0);
            tokens += t;
            messages++;
        }
        assert_true(messages + (int64_t)n <= 400 && tokens + 150 * (int64_t)n <= 20000);
    }
    assert_true(messages == 400 || tokens + 150 > 20000);
    while (n)
        limit_release(&holds[--n]);
    end(&f);
}

/* An answer that is over the limit all by itself. */
static void test_larger_than_the_limit(void **state)
{
    (void)state;
    struct fixture f;
    struct limit_conf v[] = { limit_of(LIMIT_PERSON, LIMIT_DAY, 0) };
    v[0].tokens = 149;
    begin(&f, v, 1);
    struct limit_hold *h = reserve(&f);
    assert_stopped(&f, 0); /* not beside another */
    settle(&f, h, 148, 0);
    use(&f, 1);
    assert_stopped(&f, NOON + 12 * HOUR_MS);
    end(&f);
    v[0].tokens = 150;
    begin(&f, v, 1);
    use(&f, 1);
    assert_stopped(&f, NOON + 12 * HOUR_MS);
    end(&f);
}

static void test_huge_numbers(void **state)
{
    (void)state;
    struct fixture f;
    struct limit_conf v[] = { limit_of(LIMIT_PERSON, LIMIT_DAY, 1000) };
    struct limit_hold *holds[10];
    v[0].money = (char *)"9000000";
    begin(&f, v, 1);
    f.ask.prompt_tokens = INT64_MAX / 2;
    for (int i = 0; i < 10; i++)
        holds[i] = reserve(&f);
    for (int i = 0; i < 10; i++)
        if (holds[i])
            settle(&f, holds[i], INT64_MAX, INT64_MAX);
    assert_stopped(&f, NOON + 12 * HOUR_MS);
    end(&f);
}

static void test_failures_give_back(void **state)
{
    (void)state;
    struct fixture f;
    struct limit_conf v[] = { limit_of(LIMIT_PERSON, LIMIT_DAY, 1) };
    begin(&f, v, 1);
    for (int i = 0; i < 3; i++) {
        struct limit_hold *h = reserve(&f);
        assert_stopped(&f, 0);
        limit_release(&h);
    }
    use(&f, 1);
    assert_stopped(&f, NOON + 12 * HOUR_MS);
    end(&f);
}

/* Limits that count the same thing count it once. */
static void test_one_counter_for_two_limits(void **state)
{
    (void)state;
    struct fixture f;
    struct limit_conf v[] = { limit_of(LIMIT_PERSON, LIMIT_DAY, 2), limit_of(LIMIT_PERSON, LIMIT_DAY, 3) };
    v[0].degrade_ref = &cheap;
    begin(&f, v, 2);
    for (int i = 0; i < 3; i++) {
        use(&f, 1);
        assert_ptr_equal(f.ask.model, i < 2 ? &dear : &cheap);
    }
    assert_stopped(&f, NOON + 12 * HOUR_MS);
    assert_ptr_equal(f.stop.limit, &v[1]);
    end(&f);
}

/* --- another model --- */
static void test_degrade(void **state)
{
    (void)state;
    struct fixture f;
    struct limit_conf v[] = { limit_of(LIMIT_CHANNEL, LIMIT_DAY, 0), limit_of(LIMIT_PERSON, LIMIT_DAY, 1),
                              limit_of(LIMIT_ALL, LIMIT_DAY, 4) };
    v[0].money = (char *)"2"; /* dear reserves 1.50, cheap 0.015 */
    v[1].degrade_ref = &cheap;
    begin(&f, v, 3);
    settle(&f, reserve(&f), 1, UNIT);
    assert_stopped(&f, NOON + 12 * HOUR_MS); /* the first in the file, and it has no other model */
    assert_ptr_equal(f.stop.limit, &v[0]);
    v[0].degrade_ref = &cheap;
    for (int i = 0; i < 3; i++) {
        settle(&f, reserve(&f), 1, 0);
        assert_ptr_equal(f.ask.model, &cheap);
    }
    assert_stopped(&f, NOON + 12 * HOUR_MS);
    assert_ptr_equal(f.stop.limit, &v[2]);
    end(&f);
}

/* Limits that send each other their models do not go round for ever. */
static void test_degrade_in_a_circle(void **state)
{
    (void)state;
    struct fixture f;
    struct limit_conf v[] = { limit_of(LIMIT_PERSON, LIMIT_DAY, 1), limit_of(LIMIT_CHANNEL, LIMIT_DAY, 1),
                              limit_of(LIMIT_ALL, LIMIT_DAY, 1) };
    v[0].degrade_ref = &cheap;
    v[1].degrade_ref = &dear;
    v[2].degrade_ref = &cheap;
    begin(&f, v, 3);
    for (int i = 0; i < 5; i++)
        use(&f, 1);
    assert_ptr_equal(f.ask.model, &cheap);
    end(&f);
}

/* --- periods --- */
static void test_windows(void **state)
{
    (void)state;
    static const struct {
        enum limit_period period;
        int64_t length_ms;
    } cases[] = { { LIMIT_MINUTE, MINUTE_MS }, { LIMIT_HOUR, HOUR_MS } };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct fixture f;
        struct limit_conf v[] = { limit_of(LIMIT_PERSON, cases[i].period, 1) };
        begin(&f, v, 1);
        f.ask.now_ms += 12345;
        int64_t over = f.ask.now_ms + cases[i].length_ms;
        use(&f, 1);
        f.ask.now_ms = over - 1;
        assert_stopped(&f, over);
        f.ask.now_ms = over;
        use(&f, 1);
        f.ask.now_ms -= 2 * DAY_MS; /* somebody set the clock back: no waiting until it is there again */
        use(&f, 1);
        end(&f);
    }
}

static void set_zone(const char *zone)
{
    if (zone)
        setenv("TZ", zone, 1);
    else
        unsetenv("TZ");
    tzset();
}

/* From each moment: when the day or month that runs there ends. */
static void test_calendar(void **state)
{
    (void)state;
    static const char berlin[] = "CET-1CEST,M3.5.0,M10.5.0/3";
    static const char beirut[] = "EET-2EEST,M3.5.0/0,M10.5.0/0"; /* summer time begins and ends at midnight */
    static const struct {
        const char *zone;
        enum limit_period period;
        int64_t now_ms, end_ms;
    } cases[] = {
        { "UTC0", LIMIT_DAY, NOON, NOON + 12 * HOUR_MS },
        { "UTC0", LIMIT_MONTH, NOON, NOON - 12 * HOUR_MS + 31 * DAY_MS },
        { "UTC0", LIMIT_MONTH, 1772323199999, 1772323200000 },        /* the last moment of February 2026 */
        { "UTC0", LIMIT_MONTH, 1772323200000, 1775001600000 },        /* the first of March */
        { "UTC0", LIMIT_MONTH, 1798761599999, 1798761600000 },        /* the year's last */
        { "CST-8", LIMIT_DAY, NOON, NOON + 4 * HOUR_MS },
        { berlin, LIMIT_DAY, 1774738800000, 1774738800000 + 23 * HOUR_MS }, /* 29 March 2026 has 23 hours */
        { berlin, LIMIT_DAY, 1774738800000 - 1, 1774738800000 },
        { berlin, LIMIT_DAY, 1792879200000, 1792879200000 + 25 * HOUR_MS }, /* 25 October has 25 */
        { berlin, LIMIT_DAY, 1792879200000 + 25 * HOUR_MS - 1, 1792879200000 + 25 * HOUR_MS },
        { berlin, LIMIT_MONTH, 1792879200000, 1793487600000 },
        { beirut, LIMIT_DAY, 1774735200000 - 1, 1774735200000 }, /* 29 March begins at 01:00 */
        { beirut, LIMIT_DAY, 1774735200000, 1774735200000 + 23 * HOUR_MS },
        { beirut, LIMIT_DAY, 1792872000000, 1792879200000 }, /* 24 October has 23:00 twice */
        { beirut, LIMIT_DAY, 1792879200000, 1792879200000 + 24 * HOUR_MS },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct fixture f;
        struct limit_conf v[] = { limit_of(LIMIT_PERSON, cases[i].period, 1) };
        set_zone(cases[i].zone);
        begin(&f, v, 1);
        f.ask.now_ms = cases[i].now_ms;
        use(&f, 1);
        assert_null(reserve(&f));
        if (f.stop.again_ms != cases[i].end_ms)
            fail_msg("case %zu: %lld", i, (long long)f.stop.again_ms);
        f.ask.now_ms = cases[i].end_ms - 1;
        assert_null(reserve(&f));
        f.ask.now_ms = cases[i].end_ms;
        use(&f, 1);
        end(&f);
    }
    set_zone(NULL);
}

/* A message counts where it was asked, tokens where they were taken. */
static void test_over_the_end_of_a_period(void **state)
{
    (void)state;
    struct fixture f;
    struct limit_conf v[] = { limit_of(LIMIT_PERSON, LIMIT_MINUTE, 1), limit_of(LIMIT_CHANNEL, LIMIT_MINUTE, 0) };
    v[1].tokens = 300;
    begin(&f, v, 2);
    struct limit_hold *slow = reserve(&f);
    f.ask.now_ms += MINUTE_MS;
    struct limit_hold *h = reserve(&f); /* the next minute's message; 2 * 150 tokens are reserved */
    assert_non_null(h);
    settle(&f, slow, 100, 0);
    assert_stopped(&f, 0); /* not because of slow, but h is under way */
    limit_release(&h);
    h = reserve(&f);
    settle(&f, h, 51, 0);
    f.ask.person = "bob";
    assert_stopped(&f, f.ask.now_ms + MINUTE_MS); /* 100 + 51 + 150 */
    assert_ptr_equal(f.stop.limit, &v[1]);
    end(&f);
}

/* --- over a restart --- */
static void test_restart(void **state)
{
    (void)state;
    struct fixture f, g;
    struct limit_conf v[] = { limit_of(LIMIT_PERSON, LIMIT_DAY, 2), limit_of(LIMIT_ALL, LIMIT_HOUR, 0) };
    struct store_count counts[2];
    v[1].tokens = 1000;
    begin(&f, v, 2);
    struct limit_hold *h = reserve(&f), *lost = reserve(&f);
    const struct money cost = { UNIT, "USD" };
    limit_take(h, 300, &cost, f.ask.now_ms);
    limit_settle(h, f.ask.now_ms);
    assert_int_equal(limit_count(h), 2);
    limit_counts(h, counts);
    assert_int_equal(counts[0].begin_ms, NOON - 12 * HOUR_MS);
    assert_int_equal(counts[0].end_ms, NOON + 12 * HOUR_MS);
    assert_int_equal(counts[1].messages, 1);
    assert_int_equal(counts[1].tokens, 300);
    assert_int_equal(counts[1].money, UNIT);

    begin(&g, v, 2);
    limits_load(g.limits, counts, 2);
    use(&g, 1); /* what was only reserved is forgotten */
    assert_stopped(&g, NOON + 12 * HOUR_MS);
    assert_ptr_equal(g.stop.limit, &v[0]);
    g.ask.person = "bob";
    g.ask.prompt_tokens = 600; /* 301 + 700 */
    assert_stopped(&g, NOON + HOUR_MS);
    v[0].messages = 3; /* another configuration: what was taken stays */
    g.ask.person = "ann";
    g.ask.prompt_tokens = 0;
    use(&g, 1);
    assert_stopped(&g, NOON + 12 * HOUR_MS);
    g.ask.now_ms += DAY_MS;
    use(&g, 1);
    limit_release(&h);
    limit_release(&lost);
    end(&f);
    end(&g);
}

/* Counters of people who are gone do not stay for ever; those in use do. */
static void test_many_people(void **state)
{
    (void)state;
    struct fixture f;
    char name[16];
    struct limit_conf v[] = { limit_of(LIMIT_PERSON, LIMIT_MINUTE, 1) };
    begin(&f, v, 1);
    struct limit_hold *h = reserve(&f);
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "p%d", i);
        f.ask.person = name;
        f.ask.now_ms += 100;
        use(&f, 1);
    }
    f.ask.person = "p4999";
    assert_stopped(&f, f.ask.now_ms + MINUTE_MS);
    settle(&f, h, 1, 0);
    end(&f);
}

/* --- what is left --- */
struct lefts {
    struct limit_left v[4];
    size_t n;
};

static void take_left(void *arg, const struct limit_left *left)
{
    struct lefts *l = arg;
    l->v[l->n++] = *left;
}

static void test_left(void **state)
{
    (void)state;
    struct fixture f;
    struct limit_conf v[] = { limit_of(LIMIT_ALL, LIMIT_DAY, 5), limit_of(LIMIT_PERSON, LIMIT_DAY, 5) };
    struct lefts l = { .n = 0 };
    v[1].tokens = 1000;
    v[1].money = (char *)"3";
    begin(&f, v, 2);
    limit_each_left(f.limits, &f.ask, take_left, &l);
    settle(&f, reserve(&f), 1001, UNIT);
    limit_each_left(f.limits, &f.ask, take_left, &l);
    f.ask.now_ms += DAY_MS;
    limit_each_left(f.limits, &f.ask, take_left, &l);
    assert_int_equal(l.n, 3);
    assert_int_equal(l.v[0].messages, 5);
    assert_int_equal(l.v[0].tokens, 1000);
    assert_int_equal(l.v[0].money_percent, 100);
    assert_int_equal(l.v[1].messages, 4);
    assert_int_equal(l.v[1].tokens, 0);
    assert_int_equal(l.v[1].money_percent, 66);
    assert_int_equal(l.v[2].messages, 5);
    end(&f);
}

/* --- what people read --- */
static void test_notices(void **state)
{
    (void)state;
    static const struct {
        struct notice_limit n;
        const char *en, *zh;
    } cases[] = {
        { { LIMIT_PERSON, LIMIT_DAY, 50, NOON, NOON + 12 * HOUR_MS },
          "You have used up today's 50 messages. It goes on tomorrow at 00:00.", "您今天的 50 条消息已用完，明天 00:00 恢复。" },
        { { LIMIT_PERSON, LIMIT_DAY, 0, NOON, NOON + 12 * HOUR_MS },
          "You have used up the share for today. It goes on tomorrow at 00:00.", "您今天的额度已用完，明天 00:00 恢复。" },
        { { LIMIT_CHANNEL, LIMIT_HOUR, 1, NOON, NOON + 35 * MINUTE_MS },
          "This conversation has used up this hour's 1 message. It goes on at 12:35.",
          "本会话这一小时的 1 条消息已用完，12:35 恢复。" },
        { { LIMIT_ALL, LIMIT_HOUR, 9, NOON + 12 * HOUR_MS - 1, NOON + 13 * HOUR_MS - 1 },
          "The bot has used up this hour's 9 messages. It goes on tomorrow at 00:59.",
          "机器人这一小时的 9 条消息已用完，明天 00:59 恢复。" },
        { { LIMIT_ACCOUNT, LIMIT_MINUTE, 0, NOON, NOON + 39001 },
          "The bot has used up the share for this minute. It goes on in 40 seconds.", "机器人这一分钟的额度已用完，40 秒后恢复。" },
        { { LIMIT_PERSON, LIMIT_MINUTE, 2, NOON, NOON + 1 },
          "You have used up this minute's 2 messages. It goes on in 1 second.", "您这一分钟的 2 条消息已用完，1 秒后恢复。" },
        { { LIMIT_PERSON, LIMIT_MONTH, 2, NOON, NOON - 12 * HOUR_MS + 31 * DAY_MS },
          "You have used up this month's 2 messages. It goes on again on 1 September.",
          "您这个月的 2 条消息已用完，9 月 1 日恢复。" },
        { { LIMIT_PERSON, LIMIT_DAY, 2, NOON, 0 },
          "The answers that are being written take up what is left for now. Please wait for them, then send /retry.",
          "剩余的额度正被其他回答占用，请等它们完成后发送 /retry。" },
    };
    set_zone("UTC0");
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf en, zh;
        buf_init(&en, 4096);
        buf_init(&zh, 4096);
        notice_limit(&en, &cases[i].n, LANG_EN);
        notice_limit(&zh, &cases[i].n, LANG_ZH);
        assert_string_equal(buf_str(&en), cases[i].en);
        assert_string_equal(buf_str(&zh), cases[i].zh);
        buf_free(&en);
        buf_free(&zh);
    }
    set_zone(NULL);
}

static void test_waits(void **state)
{
    (void)state;
    static const struct {
        int64_t again_ms;
        const char *en, *zh;
    } cases[] = {
        { -1, "a minute", "一分钟" },
        { 0, "a minute", "一分钟" },
        { 90000, "a minute", "一分钟" },
        { 90001, "about 2 minutes", "约 2 分钟" },
        { 90 * MINUTE_MS, "about 90 minutes", "约 90 分钟" },
        { 90 * MINUTE_MS + 1, "about 2 hours", "约 2 小时" },
        { 36 * HOUR_MS, "about 36 hours", "约 36 小时" },
        { 36 * HOUR_MS + 1, "about 2 days", "约 2 天" },
        { 365 * DAY_MS, "about 365 days", "约 365 天" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf out, expected;
        buf_init(&out, 4096);
        buf_init(&expected, 4096);
        notice_error(&out, ERR_OVERLOAD, cases[i].again_ms, LANG_EN);
        notice_error(&out, ERR_RATE, cases[i].again_ms, LANG_ZH);
        buf_addf(&expected, "The model is overloaded. Please wait %s, then send /retry.当前提问过多，请等%s后发送 /retry 重试。",
                 cases[i].en, cases[i].zh);
        assert_string_equal(buf_str(&out), buf_str(&expected));
        buf_free(&out);
        buf_free(&expected);
    }
}

/* Whatever went wrong, people read a sentence. */
static void test_every_error_has_a_notice(void **state)
{
    (void)state;
    for (int code = 0; code < ERR_COUNT; code++)
        for (int lang = 0; lang < LANG_COUNT; lang++) {
            struct buf out;
            buf_init(&out, 4096);
            notice_error(&out, (enum err_code)code, -1, (enum language)lang);
            assert_true(out.len > 20 && !strchr(buf_str(&out), '%'));
            assert_true(strlen(notice_class((enum err_code)code, (enum language)lang)) > 5);
            buf_free(&out);
        }
}

static int setup(void **state)
{
    (void)state;
    set_zone("UTC0");
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(test_messages),
        TEST(test_tokens_and_money),
        TEST(test_subjects),
        TEST(test_match),
        TEST(test_never_over_together),
        TEST(test_random_order),
        TEST(test_larger_than_the_limit),
        TEST(test_huge_numbers),
        TEST(test_failures_give_back),
        TEST(test_one_counter_for_two_limits),
        TEST(test_degrade),
        TEST(test_degrade_in_a_circle),
        TEST(test_windows),
        TEST(test_calendar),
        TEST(test_over_the_end_of_a_period),
        TEST(test_restart),
        TEST(test_many_people),
        TEST(test_left),
        TEST(test_notices),
        TEST(test_waits),
        TEST(test_every_error_has_a_notice),
    };
    return cmocka_run_group_tests_name("limit", tests, NULL, NULL);
}
