#include "plugin/model/breaker.h"

void breaker_init(struct breaker *b)
{
    *b = (struct breaker){.open_ms = BREAKER_OPEN_MS};
}

const char *breaker_state_name(enum breaker_state state)
{
    static const char *const names[] = {"closed", "open", "half-open"};
    return names[state];
}

static void enter(struct breaker *b, enum breaker_state state)
{
    b->state = state;
    b->ticket++;
}

int64_t breaker_wait_ms(const struct breaker *b, int64_t now_ms)
{
    if (b->state == BREAKER_CLOSED)
        return 0;
    if (b->state == BREAKER_HALF_OPEN)
        return -1;
    return b->until_ms > now_ms ? b->until_ms - now_ms : 0;
}

bool breaker_allows(const struct breaker *b, int64_t now_ms)
{
    return breaker_wait_ms(b, now_ms) == 0;
}

uint32_t breaker_begin(struct breaker *b, int64_t now_ms)
{
    if (b->state == BREAKER_OPEN && breaker_allows(b, now_ms))
        enter(b, BREAKER_HALF_OPEN);
    return b->ticket;
}

bool breaker_good(struct breaker *b, uint32_t ticket)
{
    if (ticket != b->ticket)
        return false;
    b->failures = 0;
    if (b->state != BREAKER_HALF_OPEN)
        return false;
    enter(b, BREAKER_CLOSED);
    b->open_ms = BREAKER_OPEN_MS;
    return true;
}

static void trip(struct breaker *b, int64_t now_ms)
{
    enter(b, BREAKER_OPEN);
    b->failures = 0;
    b->until_ms = now_ms + b->open_ms;
    b->open_ms = b->open_ms > BREAKER_OPEN_MAX_MS / 2 ? BREAKER_OPEN_MAX_MS : b->open_ms * 2;
}

/* True if it is the last of enough failures that are close together. */
static bool count_failure(struct breaker *b, int64_t now_ms)
{
    b->failed_ms[b->failures % BREAKER_FAILURES] = now_ms;
    b->failures++;
    int64_t first = b->failed_ms[b->failures % BREAKER_FAILURES]; /* the oldest, once there are enough */
    return b->failures >= BREAKER_FAILURES && now_ms - first < BREAKER_WINDOW_MS;
}

bool breaker_bad(struct breaker *b, uint32_t ticket, int64_t now_ms)
{
    if (ticket != b->ticket)
        return false;
    if (b->state == BREAKER_CLOSED && !count_failure(b, now_ms))
        return false;
    trip(b, now_ms);
    return true;
}

void breaker_abandon(struct breaker *b, uint32_t ticket, int64_t now_ms)
{
    if (ticket != b->ticket || b->state != BREAKER_HALF_OPEN)
        return;
    enter(b, BREAKER_OPEN);
    b->until_ms = now_ms;
}
