#include "plugin/chat/bill.h"

#include <stdlib.h>

#include "plugin/base/clock.h"
#include "plugin/base/decimal.h"
#include "plugin/base/mem.h"
#include "plugin/base/metric.h"
#include "plugin/chat/core.h"
#include "plugin/chat/limit.h"
#include "plugin/model/price.h"
#include "plugin/model/tokens.h"

struct bill {
    struct channel *ch;
    struct config *config;
    const struct bot_conf *bot;
    const struct model_conf *model; /* NULL: nothing to pay */
    char *person;
    int64_t turn, time_ms;
    int64_t prompt_tokens; /* estimated */
    struct usage usage; /* not `known`: estimated */
    char *raw;
    struct money cost;
    bool priced;
    struct limit_hold *hold;
    struct store_count *counts;
};

struct bill *bill_new(struct channel *ch, struct config *config, const struct bot_conf *bot, const struct question *lead)
{
    struct bill *b = mem_alloc(sizeof *b);
    b->ch = ch;
    b->config = config_ref(config);
    b->bot = bot;
    b->person = mem_dup(lead->sender);
    b->turn = lead->seq;
    return b;
}

void bill_free(struct bill **bill)
{
    struct bill *b = *bill;
    if (!b)
        return;
    limit_release(&b->hold);
    config_unref(&b->config);
    free(b->counts);
    free(b->person);
    free(b->raw);
    free(b);
    *bill = NULL;
}

bool bill_reserve(struct bill *b, const struct model_conf **model, size_t prompt_tokens, struct buf *out, enum language lang)
{
    struct limit_stop stop;
    struct limit_ask ask = {
        .config = b->config,
        .account = b->ch->account,
        .channel = b->ch->name,
        .person = b->person,
        .model = *model,
        .prompt_tokens = (int64_t)prompt_tokens,
        .now_ms = clock_wall_ms(),
    };
    b->prompt_tokens = ask.prompt_tokens;
    if (limit_reserve(b->ch->core->limits, &ask, &b->hold, &stop)) {
        *model = ask.model;
        return true;
    }
    const struct notice_limit n = {
        .per = (enum limit_per)stop.limit->per,
        .period = (enum limit_period)stop.limit->period,
        .messages = stop.by_messages ? stop.limit->messages : 0,
        .now_ms = ask.now_ms,
        .again_ms = stop.again_ms,
    };
    notice_limit(out, &n, lang);
    metric_add(METRIC_TURNS_LIMITED, 1);
    return false;
}

static struct usage estimate(const struct bill *b, const struct buf *text)
{
    return (struct usage){ .prompt_tokens = b->prompt_tokens,
                           .completion_tokens = (int64_t)tokens_estimate(buf_str(text), text->len) };
}

void bill_settle(struct bill *b, const struct model_conf *m, const struct completion_result *r, const struct buf *text)
{
    bool known = r && r->usage.known;
    if (!known && r && r->finish == FINISH_ERROR && text->len == 0) {
        limit_release(&b->hold); /* now: the next turn may begin before the bill is freed */
        return;
    }
    b->model = m;
    b->time_ms = clock_wall_ms();
    b->usage = known ? r->usage : r ? r->estimated : estimate(b, text);
    if (known)
        b->raw = mem_dup(r->usage_json);
    b->priced = price_cost(b->config, m, &b->usage, r ? r->service_tier : NULL, b->time_ms, &b->cost);
    if (b->hold)
        limit_settle(b->hold, 1, decimal_add(b->usage.prompt_tokens, b->usage.completion_tokens), b->priced ? &b->cost : NULL,
                     b->time_ms);
}

bool bill_row(const struct bill *b, struct store_usage *row_r)
{
    if (!b || !b->model)
        return false;
    *row_r = (struct store_usage){
        .time_ms = b->time_ms,
        .turn = b->turn,
        .account = b->ch->account,
        .channel = b->ch->name,
        .person = b->person,
        .bot = b->bot->name,
        .model = b->model->name,
        .server_model = b->model->model,
        .prompt = b->usage.prompt_tokens,
        .cached = b->usage.cached_tokens,
        .cache_write = b->usage.cache_write_tokens,
        .completion = b->usage.completion_tokens,
        .reasoning = b->usage.reasoning_tokens,
        .cost = b->cost.amount,
        .currency = b->priced ? b->cost.currency : NULL,
        .estimated = !b->usage.known,
        .raw = b->raw,
    };
    return true;
}

const struct store_count *bill_counts(struct bill *b, size_t *n_r)
{
    *n_r = b && b->model && b->hold ? limit_count(b->hold) : 0;
    if (*n_r == 0)
        return NULL;
    if (!b->counts)
        b->counts = mem_array(*n_r, sizeof *b->counts);
    limit_counts(b->hold, b->counts);
    return b->counts;
}

void bill_written(const struct bill *b)
{
    if (!b || !b->model)
        return;
    metric_add(METRIC_TOKENS_CACHED, b->usage.cached_tokens);
    metric_add(METRIC_TOKENS_CACHE_WRITE, b->usage.cache_write_tokens);
    metric_add(METRIC_TOKENS_REASONING, b->usage.reasoning_tokens);
    if (b->priced)
        metric_money(b->cost.currency, b->cost.amount);
}
