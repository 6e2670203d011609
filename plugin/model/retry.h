/* retry.h: whether and when a failed request is made again (chat-completions
 * reference, section 7). Pure: time and chance come from the caller. */
#ifndef WARBLER_MODEL_RETRY_H
#define WARBLER_MODEL_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "plugin/base/err.h"

#define RETRY_FIRST_MS 500
#define RETRY_MAX_MS 8000
#define RETRY_JITTER 0.25 /* share of a delay that chance takes away */
#define RETRY_GIVE_UP (-1)

struct retry {
    int64_t left;       /* requests that may still be made */
    int64_t ceiling_ms; /* a server that wants a longer pause is not asked again */
    int made;           /* so far: the exponent of the back-off */
    bool empty_seen;    /* a second empty answer is taken for an answer */
};

void retry_init(struct retry *r, int64_t retries, int64_t ceiling_ms);

/* How long to wait after a failure before the next request, or RETRY_GIVE_UP.
 * after_ms: what the server asked for, -1 if nothing. chance: [0,1). */
int64_t retry_next(struct retry *r, enum err_code code, int64_t after_ms, double chance);

/* The back-off of OpenAI's SDKs before retry n = 0, 1, …: doubling, with jitter. */
int64_t retry_backoff_ms(int n, double chance);

#endif
