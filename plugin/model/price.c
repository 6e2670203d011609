#include "plugin/model/price.h"

#include <assert.h>
#include <string.h>

#include "config/price_text.h"
#include "plugin/base/decimal.h"

#define MINUTE_MS 60000
#define DAY_MINUTES (24 * 60)

/* --- which entry --- */
/* The practice model costs nothing under the name of what it stands in for. */
static bool matches(const struct price_conf *p, const struct model_conf *m)
{
    return config_glob(p->model, m->name) || (m->model && !m->practice && config_glob(p->model, m->model));
}

static int64_t begins(const struct price_conf *p)
{
    int64_t ms = INT64_MIN;
    if (p->valid_from)
        price_text_date(p->valid_from, &ms);
    return ms;
}

static bool is_better(const struct price_conf *p, const struct price_conf *best)
{
    size_t length = strlen(p->model), longest = strlen(best->model);
    return length != longest ? length > longest : begins(p) > begins(best);
}

const struct price_conf *price_find(const struct config *c, const struct model_conf *m, int64_t wall_ms)
{
    const struct price_conf *best = NULL;
    for (size_t i = 0; i < c->n_prices; i++) {
        const struct price_conf *p = &c->prices[i];
        if (matches(p, m) && begins(p) <= wall_ms && (!best || is_better(p, best)))
            best = p;
    }
    return best;
}

/* --- factors --- */
/* amount * factor / FACTOR_ONE, rounded half up. */
static int64_t scale(int64_t amount, int64_t factor)
{
    int64_t whole = decimal_mul(amount / FACTOR_ONE, factor);
    return decimal_add(whole, (amount % FACTOR_ONE * factor + FACTOR_ONE / 2) / FACTOR_ONE);
}

static int64_t tier_factor(const struct price_conf *p, const char *tier)
{
    size_t name;
    int64_t factor;
    for (size_t i = 0; tier && i < p->tiers.n; i++)
        if (price_text_tier(p->tiers.v[i], &name, &factor) && strlen(tier) == name && memcmp(tier, p->tiers.v[i], name) == 0)
            return factor;
    return FACTOR_ONE;
}

static bool within(const struct price_hours *h, int minute)
{
    return h->from < h->to ? minute >= h->from && minute < h->to : minute >= h->from || minute < h->to;
}

static int64_t hour_factor(const struct price_conf *p, int64_t wall_ms)
{
    struct price_hours h;
    for (size_t i = 0; i < p->hours.n; i++)
        if (price_text_hours(p->hours.v[i], &h) && within(&h, (int)((wall_ms / MINUTE_MS + DAY_MINUTES + h.east) % DAY_MINUTES)))
            return h.factor;
    return FACTOR_ONE;
}

/* --- amounts --- */
static const struct price_amounts *step_of(const struct price_conf *p, int64_t prompt_tokens)
{
    const struct price_step *best = NULL;
    for (size_t i = 0; i < p->n_above; i++)
        if (prompt_tokens > p->above[i].tokens && (!best || p->above[i].tokens > best->tokens))
            best = &p->above[i];
    return best ? &best->amounts : NULL;
}

/* Of `tokens` at the first of these amounts that is set. */
static int64_t cost_of(const struct price_conf *p, int64_t tokens, const char *const amounts[4])
{
    int64_t amount = 0;
    for (size_t i = 0; i < 4; i++)
        if (amounts[i]) {
            price_text_amount(amounts[i], &amount);
            break;
        }
    return decimal_mul(tokens, amount / p->unit);
}

static int64_t between(int64_t n, int64_t max)
{
    return n < 0 ? 0 : n > max ? max : n;
}

/* The parts never add up to more than the whole, whatever the server says. */
static int64_t cost_of_tokens(const struct price_conf *p, const struct usage *u)
{
    static const struct price_amounts none;
    const struct price_amounts *a = &p->amounts, *s = step_of(p, u->prompt_tokens);
    int64_t prompt = between(u->prompt_tokens, INT64_MAX), completion = between(u->completion_tokens, INT64_MAX);
    int64_t cached = between(u->cached_tokens, prompt), written = between(u->cache_write_tokens, prompt - cached);
    int64_t reasoning = between(u->reasoning_tokens, completion);
    s = s ? s : &none;
    const struct {
        int64_t tokens;
        const char *amounts[4];
    } parts[] = {
        { prompt - cached - written, { s->input, a->input } },
        { cached, { s->cached_input, a->cached_input, s->input, a->input } },
        { written, { s->cache_write, a->cache_write, s->input, a->input } },
        { completion - reasoning, { s->output, a->output } },
        { reasoning, { s->reasoning, a->reasoning, s->output, a->output } },
    };
    int64_t sum = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        sum = decimal_add(sum, cost_of(p, parts[i].tokens, parts[i].amounts));
    return sum;
}

bool price_cost(const struct config *c, const struct model_conf *m, const struct usage *u, const char *tier,
                int64_t wall_ms, struct money *cost_r)
{
    const struct price_conf *p = price_find(c, m, wall_ms);
    assert(wall_ms >= 0);
    if (u->cost_known) {
        *cost_r = (struct money){ u->cost, p ? p->currency : PRICE_SERVER_CURRENCY };
        return true;
    }
    if (!p)
        return false;
    int64_t request = 0, tokens = scale(scale(cost_of_tokens(p, u), tier_factor(p, tier)), hour_factor(p, wall_ms));
    if (p->request)
        price_text_amount(p->request, &request);
    *cost_r = (struct money){ decimal_add(tokens, request), p->currency };
    return true;
}
