/* ratelimit.h: what the headers of an answer say about limits (chat-completions
 * reference, section 7), in the dialects of OpenAI, Azure, Anthropic and
 * OpenRouter. Pure, tolerant, bounded: what makes no sense was not said. */
#ifndef WARBLER_NET_RATELIMIT_H
#define WARBLER_NET_RATELIMIT_H

#include <stdbool.h>
#include <stdint.h>

#define RATELIMIT_MAX_MS ((int64_t)365 * 24 * 3600 * 1000) /* longer is as good as never */
#define RATELIMIT_COUNT_MAX INT64_C(1000000000000)

struct ratelimit_window {
    int64_t limit, remaining; /* -1: not said */
    int64_t reset_ms;         /* from now until it is full again; -1: not said */
};

struct ratelimit {
    int64_t retry_after_ms; /* retry-after-ms, else retry-after, else x-ms-retry-after-ms; -1: not said */
    int rank;               /* private: of the header that said so */
    int should_retry;       /* x-should-retry: 1, 0; -1: not said. It overrides what the status means */
    struct ratelimit_window requests, tokens;
};

#define RATELIMIT_INIT \
    {.retry_after_ms = -1, .should_retry = -1, .requests = {-1, -1, -1}, .tokens = {-1, -1, -1}}

/* One header; names in any case. wall_ms: now, for dates. False: it is none of these. */
bool ratelimit_header(struct ratelimit *r, const char *name, const char *value, int64_t wall_ms);

/* How long nothing is left of one of the windows; -1: there is, or nobody said. */
int64_t ratelimit_pause_ms(const struct ratelimit *r);

/* Milliseconds of "20s", "1.5s", "450ms", "6m0s", "1h2m3.5s"; without a unit:
 * seconds. Reads as far as it is a duration; -1 if it does not begin with one. */
int64_t ratelimit_duration_ms(const char *text);

#endif
