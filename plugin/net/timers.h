/* timers.h: the heap beneath loop.h's timers, soonest first. */
#ifndef WARBLER_NET_TIMERS_H
#define WARBLER_NET_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct timer;

struct timers {
    struct timer **heap;
    size_t len, cap;
};

void timers_fini(struct timers *t);
void timers_put(struct timers *t, struct timer *timer); /* by its due_ms; moves it if it is there */
void timers_remove(struct timers *t, struct timer *timer);
struct timer *timers_first(const struct timers *t); /* NULL: none */
size_t timers_due(const struct timers *t, int64_t now_ms); /* how many have due_ms <= now_ms */

#endif
