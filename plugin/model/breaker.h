/* breaker.h: stops asking a server that keeps failing, so that people get the
 * answer of the next model without waiting for the failure of this one. Pure.
 *
 * Closed until BREAKER_FAILURES failures come in a row within BREAKER_WINDOW_MS;
 * then open for a while; then half-open: a single request is let through, and
 * its result closes the breaker or opens it again for twice the time.
 *
 * A request begins with breaker_begin() and ends with exactly one of good, bad,
 * abandon, to which it gives the ticket back. The results of requests that
 * began before the breaker last changed its state do not count: what an old
 * one says is no news. */
#ifndef WARBLER_MODEL_BREAKER_H
#define WARBLER_MODEL_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#define BREAKER_FAILURES 5
#define BREAKER_WINDOW_MS 60000
#define BREAKER_OPEN_MS 30000
#define BREAKER_OPEN_MAX_MS 300000

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

struct breaker {
    enum breaker_state state; /* may be read */
    uint32_t ticket;          /* changes with the state */
    int64_t until_ms;         /* open: the next request may go then */
    int64_t open_ms;          /* how long it is opened next time */
    int failures;             /* in a row; the times of the last ones are */
    int64_t failed_ms[BREAKER_FAILURES];
};

void breaker_init(struct breaker *b);
const char *breaker_state_name(enum breaker_state state); /* "closed", "open", "half-open" */

bool breaker_allows(const struct breaker *b, int64_t now_ms);
/* Until breaker_allows(): 0 now, -1 when the running probe is done. */
int64_t breaker_wait_ms(const struct breaker *b, int64_t now_ms);

/* Only when allowed. The ticket of the request. */
uint32_t breaker_begin(struct breaker *b, int64_t now_ms);
bool breaker_good(struct breaker *b, uint32_t ticket); /* true: it closed the breaker */
bool breaker_bad(struct breaker *b, uint32_t ticket, int64_t now_ms); /* true: it opened it */
/* Says nothing of the server: cancelled, or the fault was ours. Another probe may go. */
void breaker_abandon(struct breaker *b, uint32_t ticket, int64_t now_ms);

#endif
