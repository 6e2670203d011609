#include "plugin/chat/limit.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config/glob.h"
#include "config/price_text.h"
#include "plugin/base/decimal.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"
#include "plugin/base/table.h"

#define MINUTE_MS 60000
#define HOUR_MS (60 * MINUTE_MS)
#define KEY_BYTES_MAX 4096
#define RESERVED_MAX (INT64_MAX / 65536) /* by one answer, so that no number of them overflows */
#define SWEEP_FROM 1024 /* counters, before those are looked for that are over */

struct amounts {
    int64_t messages, tokens, money;
};

struct counter {
    UT_hash_handle hh;
    char *key;
    int period;                /* enum limit_period */
    int64_t begin_ms, end_ms;  /* of the running period */
    struct amounts used, reserved;
    unsigned holds;
};

struct limits {
    struct counter *by_key;
    unsigned sweep_at;
};

struct held {
    struct counter *counter;
    const char *currency;
    struct amounts amounts;
    int64_t begin_ms; /* of the period in which it was reserved */
};

struct limit_hold {
    bool settled;
    size_t n;
    struct held v[];
};

/* --- periods --- */
/* The first moment of a local day, whose numbers may be too large. Some nights
 * have no midnight, some have two. */
static int64_t day_start(int year, int month, int day)
{
    struct tm noon = { .tm_year = year, .tm_mon = month, .tm_mday = day, .tm_hour = 12, .tm_isdst = -1 }, tm;
    time_t t = 0, hour_before;
    mktime(&noon);
    for (int hour = 0; hour < 12; hour++) {
        tm = (struct tm){ .tm_year = year, .tm_mon = month, .tm_mday = day, .tm_hour = hour, .tm_isdst = -1 };
        t = mktime(&tm);
        if (tm.tm_mday == noon.tm_mday)
            break;
    }
    hour_before = t - HOUR_MS / 1000;
    localtime_r(&hour_before, &tm);
    return (int64_t)(tm.tm_mday == noon.tm_mday ? hour_before : t) * 1000;
}

static void begin_period(struct counter *c, int64_t now_ms)
{
    time_t now = (time_t)(now_ms / 1000);
    struct tm tm;
    localtime_r(&now, &tm);
    c->begin_ms = now_ms;
    switch (c->period) {
    case LIMIT_MINUTE:
        c->end_ms = now_ms + MINUTE_MS;
        break;
    case LIMIT_HOUR:
        c->end_ms = now_ms + HOUR_MS;
        break;
    case LIMIT_DAY:
        c->begin_ms = day_start(tm.tm_year, tm.tm_mon, tm.tm_mday);
        c->end_ms = day_start(tm.tm_year, tm.tm_mon, tm.tm_mday + 1);
        break;
    default:
        c->begin_ms = day_start(tm.tm_year, tm.tm_mon, 1);
        c->end_ms = day_start(tm.tm_year, tm.tm_mon + 1, 1);
    }
}

static bool is_over(const struct counter *c, int64_t now_ms)
{
    return now_ms >= c->end_ms || now_ms < c->begin_ms;
}

/* Into the period of now. Tokens and money that are reserved are still to be taken. */
static void roll(struct counter *c, int64_t now_ms)
{
    if (!is_over(c, now_ms))
        return;
    c->used = (struct amounts){ 0 };
    c->reserved.messages = 0;
    begin_period(c, now_ms);
}

/* --- counters --- */
static const char *subject(const struct limit_conf *limit, const struct limit_ask *ask)
{
    switch (limit->per) {
    case LIMIT_PERSON: return ask->person;
    case LIMIT_CHANNEL: return ask->channel;
    case LIMIT_ACCOUNT: return ask->account;
    default: return "";
    }
}

static bool applies(const struct limit_conf *limit, const struct limit_ask *ask)
{
    return subject(limit, ask) && (glob_matches_channel(limit->match, ask->channel) ||
                                   (ask->names && glob_matches_any(limit->match, ask->names)));
}

/* By what is counted and not by how much of it is allowed: that may change. */
static void write_key(struct buf *out, const struct limit_conf *limit, const struct limit_ask *ask)
{
    buf_init(out, KEY_BYTES_MAX);
    buf_addf(out, "%d\t%d\t%s\t%s\t%s\t%s", limit->per, limit->period, limit->currency, limit->match,
             limit->per == LIMIT_PERSON ? ask->account : "", subject(limit, ask));
}

static struct counter *find(const struct limits *l, const struct limit_conf *limit, const struct limit_ask *ask)
{
    struct counter *c;
    struct buf key;
    write_key(&key, limit, ask);
    HASH_FIND_STR(l->by_key, buf_str(&key), c);
    buf_free(&key);
    return c;
}

static void drop(struct limits *l, struct counter *c)
{
    HASH_DEL(l->by_key, c);
    free(c->key);
    free(c);
}

static void sweep(struct limits *l, int64_t now_ms)
{
    struct counter *c, *tmp;
    HASH_ITER(hh, l->by_key, c, tmp)
        if (!c->holds && is_over(c, now_ms))
            drop(l, c);
    l->sweep_at = 2 * HASH_COUNT(l->by_key);
    if (l->sweep_at < SWEEP_FROM)
        l->sweep_at = SWEEP_FROM;
}

static struct counter *add(struct limits *l, const char *key)
{
    struct counter *c = mem_alloc(sizeof *c);
    c->key = mem_dup(key);
    HASH_ADD_KEYPTR(hh, l->by_key, c->key, strlen(c->key), c);
    return c;
}

/* The counter of a limit that applies, in the period of now. */
static struct counter *counter_of(struct limits *l, const struct limit_conf *limit, const struct limit_ask *ask)
{
    struct counter *c = find(l, limit, ask);
    struct buf key;
    if (!c) {
        write_key(&key, limit, ask);
        c = add(l, buf_str(&key));
        buf_free(&key);
    }
    c->period = limit->period;
    roll(c, ask->now_ms);
    return c;
}

struct limits *limits_new(void)
{
    struct limits *l = mem_alloc(sizeof *l);
    l->sweep_at = SWEEP_FROM;
    return l;
}

void limits_free(struct limits **limits)
{
    struct counter *c, *tmp;
    if (!*limits)
        return;
    HASH_ITER(hh, (*limits)->by_key, c, tmp)
        drop(*limits, c);
    free(*limits);
    *limits = NULL;
}

void limits_load(struct limits *l, const struct store_count *counts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct counter *c;
        HASH_FIND_STR(l->by_key, counts[i].key, c);
        if (!c)
            c = add(l, counts[i].key);
        c->begin_ms = counts[i].begin_ms;
        c->end_ms = counts[i].end_ms;
        c->used = (struct amounts){ counts[i].messages, counts[i].tokens, counts[i].money };
    }
}

/* --- reserving --- */
static int64_t at_most(int64_t n, int64_t max)
{
    return n < max ? n : max;
}

static struct amounts estimate(const struct limit_ask *ask, const char *currency)
{
    int64_t answer = ask->model->max_tokens > 0 ? ask->model->max_tokens : LIMIT_ANSWER_TOKENS;
    const struct usage u = { .prompt_tokens = ask->prompt_tokens, .completion_tokens = answer };
    struct amounts a = { .messages = ask->messages, .tokens = at_most(ask->prompt_tokens + answer, RESERVED_MAX) };
    struct money cost;
    if (price_cost(ask->config, ask->model, &u, NULL, ask->now_ms, &cost) && strcmp(cost.currency, currency) == 0)
        a.money = at_most(cost.amount, RESERVED_MAX);
    return a;
}

static int64_t money_of(const struct limit_conf *limit)
{
    int64_t amount = 0;
    if (limit->money)
        price_text_amount(limit->money, &amount);
    return amount;
}

/* max 0: no limit. */
static bool fits(int64_t used, int64_t reserved, int64_t more, int64_t max)
{
    if (max == 0)
        return true;
    if (more > max)
        return used < max && reserved == 0;
    return decimal_add(decimal_add(used, reserved), more) <= max;
}

static bool is_used_up(const struct limit_conf *limit, const struct counter *c, const struct amounts *more,
                       struct limit_stop *stop_r)
{
    const struct amounts *used = &c->used, *reserved = &c->reserved;
    const struct {
        int64_t used, reserved, more, max;
    } all[] = {
        { used->messages, reserved->messages, more->messages, limit->messages },
        { used->tokens, reserved->tokens, more->tokens, limit->tokens },
        { used->money, reserved->money, more->money, money_of(limit) },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (fits(all[i].used, all[i].reserved, all[i].more, all[i].max))
            continue;
        bool soon = fits(all[i].used, 0, all[i].more, all[i].max);
        *stop_r = (struct limit_stop){ limit, i == 0, soon ? 0 : c->end_ms };
        return true;
    }
    return false;
}

/* Whom to ask; NULL: nobody. Each limit passes at most once, so it ends. */
static const struct model_conf *choose_model(struct limits *l, struct limit_ask *ask, struct limit_stop *stop_r)
{
    const struct config *config = ask->config;
    bool *passed = mem_array(config->n_limits + 1, sizeof *passed), stopped = false;
    for (size_t i = 0; i < config->n_limits && !stopped; i++) {
        const struct limit_conf *limit = &config->limits[i];
        if (passed[i] || !applies(limit, ask))
            continue;
        struct amounts more = estimate(ask, limit->currency);
        if (!is_used_up(limit, counter_of(l, limit, ask), &more, stop_r))
            continue;
        stopped = !limit->degrade_ref;
        passed[i] = true;
        if (stopped || limit->degrade_ref == ask->model)
            continue;
        log_debug("limit", "%s: a limit is used up: model %s instead of %s", ask->channel, limit->degrade_ref->name,
                  ask->model->name);
        ask->model = limit->degrade_ref;
        i = (size_t)-1; /* what was looked at before was for another model */
    }
    free(passed);
    return stopped ? NULL : ask->model;
}

/* Limits that count the same have one counter. */
static bool is_held(const struct limit_hold *h, const struct counter *c)
{
    for (size_t i = 0; i < h->n; i++)
        if (h->v[i].counter == c)
            return true;
    return false;
}

static void hold(struct limit_hold *h, struct counter *c, const struct limit_conf *limit, const struct limit_ask *ask)
{
    if (is_held(h, c))
        return;
    struct held *held = &h->v[h->n++];
    *held = (struct held){ c, limit->currency, estimate(ask, limit->currency), c->begin_ms };
    c->holds++;
    c->reserved.messages += held->amounts.messages;
    c->reserved.tokens += held->amounts.tokens;
    c->reserved.money += held->amounts.money;
}

bool limit_reserve(struct limits *l, struct limit_ask *ask, struct limit_hold **hold_r, struct limit_stop *stop_r)
{
    const struct config *config = ask->config;
    *hold_r = NULL;
    if (HASH_COUNT(l->by_key) >= l->sweep_at)
        sweep(l, ask->now_ms);
    if (!choose_model(l, ask, stop_r))
        return false;
    struct limit_hold *h = mem_alloc(sizeof *h + config->n_limits * sizeof *h->v);
    for (size_t i = 0; i < config->n_limits; i++)
        if (applies(&config->limits[i], ask))
            hold(h, counter_of(l, &config->limits[i], ask), &config->limits[i], ask);
    *hold_r = h;
    return true;
}

/* --- settling --- */
static void give_back(const struct held *held)
{
    struct counter *c = held->counter;
    if (held->begin_ms == c->begin_ms)
        c->reserved.messages -= held->amounts.messages;
    c->reserved.tokens -= held->amounts.tokens;
    c->reserved.money -= held->amounts.money;
}

void limit_take(struct limit_hold *h, int64_t tokens, const struct money *cost, int64_t now_ms)
{
    for (struct held *held = h->v; held < h->v + h->n; held++) {
        struct counter *c = held->counter;
        roll(c, now_ms);
        c->used.tokens = decimal_add(c->used.tokens, tokens);
        if (cost && strcmp(cost->currency, held->currency) == 0)
            c->used.money = decimal_add(c->used.money, cost->amount);
    }
}

void limit_settle(struct limit_hold *h, int64_t now_ms)
{
    for (struct held *held = h->v; held < h->v + h->n; held++) {
        struct counter *c = held->counter;
        roll(c, now_ms);
        give_back(held);
        if (held->begin_ms == c->begin_ms)
            c->used.messages = decimal_add(c->used.messages, held->amounts.messages);
    }
    h->settled = true;
}

size_t limit_count(const struct limit_hold *h)
{
    return h->n;
}

void limit_counts(const struct limit_hold *h, struct store_count *counts_r)
{
    for (size_t i = 0; i < h->n; i++) {
        const struct counter *c = h->v[i].counter;
        counts_r[i] = (struct store_count){ c->key, c->begin_ms, c->end_ms, c->used.messages, c->used.tokens, c->used.money };
    }
}

void limit_release(struct limit_hold **hold_r)
{
    struct limit_hold *h = *hold_r;
    if (!h)
        return;
    for (struct held *held = h->v; held < h->v + h->n; held++) {
        if (!h->settled)
            give_back(held);
        held->counter->holds--;
    }
    free(h);
    *hold_r = NULL;
}

/* --- what is left --- */
static int64_t rest(int64_t max, int64_t used)
{
    return used < max ? max - used : 0;
}

static int percent(int64_t n, int64_t of)
{
    if (of == 0)
        return 0;
    return (int)(n < INT64_MAX / 100 ? n * 100 / of : n / (of / 100));
}

void limit_each_left(const struct limits *l, const struct limit_ask *ask,
                     void (*fn)(void *arg, const struct limit_left *left), void *arg)
{
    static const struct counter fresh;
    for (const struct limit_conf *limit = ask->config->limits; limit < ask->config->limits + ask->config->n_limits; limit++) {
        if (limit->per != LIMIT_PERSON || !applies(limit, ask))
            continue;
        const struct counter *c = find(l, limit, ask);
        if (!c || is_over(c, ask->now_ms))
            c = &fresh;
        int64_t money = money_of(limit);
        fn(arg, &(struct limit_left){
                    .limit = limit,
                    .messages = rest(limit->messages, c->used.messages),
                    .tokens = rest(limit->tokens, c->used.tokens),
                    .money_percent = percent(rest(money, c->used.money), money),
                });
    }
}
