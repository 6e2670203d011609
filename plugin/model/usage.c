#include "plugin/model/usage.h"

#include "config/price_text.h"
#include "plugin/base/decimal.h"

static int64_t count(const cJSON *obj, const char *key)
{
    int64_t n = json_int(obj, key, 0);
    return n > 0 ? n : 0;
}

static int64_t first_count(int64_t a, int64_t b, int64_t c)
{
    return a ? a : b ? b : c;
}

/* A member that is an amount of money, if it can be one. */
static bool read_amount(const char *text, size_t len, const char *key, int64_t *amount_r)
{
    const char *number;
    size_t n;
    return json_member(text, len, key, &number, &n) && decimal_read(number, n, MONEY_PLACES, amount_r) < DECIMAL_TOO_LARGE;
}

/* OpenRouter. With a key of one's own at the provider behind it, `cost` is
 * OpenRouter's share alone. */
static void read_cost(struct usage *u, const cJSON *usage, const char *text, size_t len)
{
    const char *details;
    size_t n;
    int64_t upstream;
    u->cost_known = read_amount(text, len, "cost", &u->cost);
    if (!u->cost_known)
        u->cost = 0;
    else if (json_bool(usage, "is_byok", false) && json_member(text, len, "cost_details", &details, &n) &&
             read_amount(details, n, "upstream_inference_cost", &upstream))
        u->cost = decimal_add(u->cost, upstream);
}

bool usage_read(struct usage *u, const cJSON *usage, const char *text, size_t len)
{
    const cJSON *prompt = json_get(usage, "prompt_tokens_details"), *completion = json_get(usage, "completion_tokens_details");
    if (!cJSON_IsNumber(json_get(usage, "prompt_tokens")) && !cJSON_IsNumber(json_get(usage, "completion_tokens")))
        return false;
    *u = (struct usage){
        .known = true,
        .prompt_tokens = count(usage, "prompt_tokens"),
        .completion_tokens = count(usage, "completion_tokens"),
        .total_tokens = count(usage, "total_tokens"),
        /* OpenAI and most; DeepSeek; Moonshot */
        .cached_tokens = first_count(count(prompt, "cached_tokens"), count(usage, "prompt_cache_hit_tokens"),
                                     count(usage, "cached_tokens")),
        /* OpenAI and OpenRouter; LiteLLM */
        .cache_write_tokens = first_count(count(prompt, "cache_write_tokens"), count(usage, "cache_creation_input_tokens"), 0),
        .reasoning_tokens = count(completion, "reasoning_tokens"),
    };
    int64_t sum = u->prompt_tokens + u->completion_tokens;
    if (u->total_tokens > sum) /* xAI and Gemini count reasoning on top */
        u->completion_tokens = u->total_tokens - u->prompt_tokens;
    else if (u->total_tokens < sum)
        u->total_tokens = sum;
    read_cost(u, usage, text, len);
    return true;
}
