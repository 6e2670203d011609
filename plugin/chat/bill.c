#include "plugin/chat/bill.h"

#include <stdlib.h>
#include <utlist.h>

#include "plugin/base/clock.h"
#include "plugin/base/decimal.h"
#include "plugin/base/mem.h"
#include "plugin/base/metric.h"
#include "plugin/chat/core.h"
#include "plugin/chat/limit.h"
#include "plugin/model/price.h"
#include "plugin/model/tokens.h"

/* One request that cost something. */
struct charge {
    struct charge *next;
    const struct model_conf *model;
    int64_t time_ms;
    struct usage usage; /* not `known`: estimated */
    char *raw;
    struct money cost;
    bool priced;
};

struct bill {
    struct channel *ch;
    struct config *config; /* holds the models */
    const struct bot_conf *bot;
    char *person;
    int64_t turn;
    int64_t prompt_tokens; /* estimated */
    struct charge *charges;
    size_t n_charges;
    struct limit_hold *hold;
    struct store_usage *rows;
    struct store_count *counts;
};

struct bill *bill_new(struct channel *ch, struct config *config, const struct bot_conf *bot, const struct question *lead)
{
    struct bill *b = mem_alloc(sizeof *b);
    b->ch = ch;
    b->config = config_ref(config);
    b->bot = bot;
    if (lead) {
        b->person = mem_dup(lead->sender);
        b->turn = lead->seq;
    }
    return b;
}

void bill_free(struct bill **bill)
{
    struct bill *b = *bill;
    struct charge *charge, *tmp;
    if (!b)
        return;
    LL_FOREACH_SAFE(b->charges, charge, tmp) {
        free(charge->raw);
        free(charge);
    }
    limit_release(&b->hold);
    config_unref(&b->config);
    free(b->rows);
    free(b->counts);
    free(b->person);
    free(b);
    *bill = NULL;
}

bool bill_reserve(struct bill *b, const struct model_conf **model, size_t prompt_tokens, struct notice_limit *n_r)
{
    struct limit_stop stop;
    struct limit_ask ask = {
        .config = b->config,
        .account = b->ch->account,
        .channel = b->ch->name,
        .names = channel_names(b->ch),
        .person = b->person,
        .model = *model,
        .messages = b->turn ? 1 : 0,
        .prompt_tokens = (int64_t)prompt_tokens,
        .now_ms = clock_wall_ms(),
    };
    b->prompt_tokens = ask.prompt_tokens;
    if (limit_reserve(b->ch->core->limits, &ask, &b->hold, &stop)) {
        *model = ask.model;
        return true;
    }
    *n_r = (struct notice_limit){
        .per = (enum limit_per)stop.limit->per,
        .period = (enum limit_period)stop.limit->period,
        .messages = stop.by_messages ? stop.limit->messages : 0,
        .now_ms = ask.now_ms,
        .again_ms = stop.again_ms,
    };
    return false;
}

/* --- charges --- */
static void charge(struct bill *b, const struct model_conf *m, const struct usage *u, const char *raw, const char *tier)
{
    struct charge *c = mem_alloc(sizeof *c);
    c->model = m;
    c->time_ms = clock_wall_ms();
    c->usage = *u;
    c->raw = mem_dup(raw);
    c->priced = price_cost(b->config, m, u, tier, c->time_ms, &c->cost);
    LL_APPEND(b->charges, c);
    b->n_charges++;
    if (b->hold)
        limit_take(b->hold, decimal_add(u->prompt_tokens, u->completion_tokens), c->priced ? &c->cost : NULL, c->time_ms);
}

void bill_add(struct bill *b, const struct completion_result *r)
{
    bool known = r->usage.known;
    charge(b, r->model, known ? &r->usage : &r->estimated, known ? r->usage_json : NULL, r->service_tier);
}

/* Not only when the bill is freed: the next turn may begin before that. */
static void settle(struct bill *b)
{
    if (b->hold && b->n_charges > 0)
        limit_settle(b->hold, clock_wall_ms());
    else
        limit_release(&b->hold);
}

void bill_settle(struct bill *b, const struct completion_result *r)
{
    if (r->finish != FINISH_ERROR) /* then bill_add() heard of everything */
        bill_add(b, r);
    settle(b);
}

void bill_settle_cancelled(struct bill *b, const struct completion *c, const struct buf *text)
{
    bool spoke = false;
    const struct model_conf *m = c ? completion_asked(c, &spoke) : NULL;
    struct usage u = { .prompt_tokens = b->prompt_tokens };
    if (spoke)
        u.completion_tokens = (int64_t)tokens_estimate(buf_str(text), text->len);
    if (m)
        charge(b, m, &u, NULL, NULL);
    settle(b);
}

/* --- the commit --- */
static struct store_usage row(const struct bill *b, const struct charge *c)
{
    return (struct store_usage){
        .time_ms = c->time_ms,
        .turn = b->turn,
        .account = b->ch->account,
        .channel = b->ch->name,
        .person = b->person,
        .bot = b->bot->name,
        .model = c->model->name,
        .server_model = c->model->model,
        .prompt = c->usage.prompt_tokens,
        .cached = c->usage.cached_tokens,
        .cache_write = c->usage.cache_write_tokens,
        .completion = c->usage.completion_tokens,
        .reasoning = c->usage.reasoning_tokens,
        .cost = c->cost.amount,
        .currency = c->priced ? c->cost.currency : NULL,
        .estimated = !c->usage.known,
        .raw = c->raw,
    };
}

struct store_bill bill_rows(struct bill *b)
{
    struct store_bill s = { 0 };
    const struct charge *c;
    if (!b || !b->n_charges)
        return s;
    s.n_counts = b->hold ? limit_count(b->hold) : 0;
    if (!b->rows) {
        b->rows = mem_array(b->n_charges, sizeof *b->rows);
        b->counts = mem_array(s.n_counts + 1, sizeof *b->counts);
    }
    LL_FOREACH(b->charges, c)
        b->rows[s.n_usage++] = row(b, c);
    if (s.n_counts)
        limit_counts(b->hold, b->counts);
    s.usage = b->rows;
    s.counts = b->counts;
    return s;
}

void bill_written(const struct bill *b)
{
    const struct charge *c;
    if (!b)
        return;
    LL_FOREACH(b->charges, c) {
        metric_add(METRIC_TOKENS_CACHED, c->usage.cached_tokens);
        metric_add(METRIC_TOKENS_CACHE_WRITE, c->usage.cache_write_tokens);
        metric_add(METRIC_TOKENS_REASONING, c->usage.reasoning_tokens);
        if (c->priced)
            metric_money(c->cost.currency, c->cost.amount);
    }
}
