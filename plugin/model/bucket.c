#include "plugin/model/bucket.h"

#include <stdbool.h>

#define UNITS 60000 /* of one: as many as a minute has milliseconds */

static int64_t at_most(int64_t n, int64_t limit)
{
    return n < limit ? n : limit;
}

static int64_t at_least(int64_t n, int64_t limit)
{
    return n > limit ? n : limit;
}

static bool limited(const struct bucket *b)
{
    return b->per_minute > 0;
}

static int64_t capacity(const struct bucket *b)
{
    return b->per_minute * UNITS;
}

/* Two minutes fill it from its deepest debt. */
static int64_t level_at(const struct bucket *b, int64_t now_ms)
{
    int64_t passed = at_most(at_least(now_ms - b->then_ms, 0), (int64_t)2 * UNITS);
    return at_most(b->level + passed * b->per_minute, capacity(b));
}

static void set_level(struct bucket *b, int64_t level, int64_t now_ms)
{
    b->level = at_most(at_least(level, -capacity(b)), capacity(b));
    b->then_ms = now_ms;
}

/* What an amount costs, capped at what the bucket can hold. */
static int64_t cost(const struct bucket *b, int64_t amount)
{
    return at_most(at_least(amount, 0), b->per_minute) * UNITS;
}

void bucket_init(struct bucket *b, int64_t per_minute, int64_t now_ms)
{
    *b = (struct bucket){.per_minute = at_most(at_least(per_minute, 0), BUCKET_PER_MINUTE_MAX), .then_ms = now_ms};
    b->level = capacity(b);
}

void bucket_resize(struct bucket *b, int64_t per_minute, int64_t now_ms)
{
    int64_t missing = capacity(b) - level_at(b, now_ms);
    bucket_init(b, per_minute, now_ms);
    set_level(b, capacity(b) - missing, now_ms);
}

int64_t bucket_wait_ms(const struct bucket *b, int64_t amount, int64_t now_ms)
{
    int64_t missing = limited(b) ? cost(b, amount) - level_at(b, now_ms) : 0;
    return missing > 0 ? (missing + b->per_minute - 1) / b->per_minute : 0;
}

void bucket_take(struct bucket *b, int64_t amount, int64_t now_ms)
{
    set_level(b, level_at(b, now_ms) - cost(b, amount), now_ms);
}

void bucket_settle(struct bucket *b, int64_t taken, int64_t real, int64_t now_ms)
{
    set_level(b, level_at(b, now_ms) + cost(b, taken) - cost(b, real), now_ms);
}

int64_t bucket_level(const struct bucket *b, int64_t now_ms)
{
    return level_at(b, now_ms) / UNITS;
}
