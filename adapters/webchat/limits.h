/* limits.h: how much one visitor and one address may do. Pure: the caller says
 * what time it is. A limit of 0 is none. */
#ifndef WARBLER_WEBCHAT_LIMITS_H
#define WARBLER_WEBCHAT_LIMITS_H

#include <stddef.h>
#include <stdint.h>

/* Visitors whose recent messages are remembered; beyond that those who spoke
 * longest ago are forgotten, which lets them speak earlier. */
#define LIMITS_VISITORS_MAX 65536U

struct address;
struct speaker;

struct limits {
    size_t connections;         /* open now, requests that wait for an answer included */
    struct address *addresses;  /* private, as below */
    struct speaker *speakers;
};

void limits_fini(struct limits *l); /* legal on a zeroed struct */

/* 0: one more connection is fine; else the HTTP status to refuse it with: 503
 * (there are max), 429 (this address has max_per_address). */
int limits_check(const struct limits *l, int64_t max, int64_t max_per_address, const char *address);
/* Counts a connection. address NULL counts for the total only. The result goes
 * to limits_close(), which clears it. */
struct address *limits_open(struct limits *l, const char *address);
void limits_close(struct limits *l, struct address **address);

/* Takes note of a message of this visitor: per_minute at once, then one more
 * each 60/per_minute seconds. 0: fine; else the milliseconds until it would be. */
int64_t limits_speak(struct limits *l, int64_t per_minute, const char *sender, int64_t now_us);

#endif
