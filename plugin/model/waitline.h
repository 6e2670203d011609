/* waitline.h: a fair line. Waiters belong to flows (channels); each flow is
 * served in its order, and the flows take turns: one that asks a lot waits for
 * itself, not the others for it. Pure.
 *
 * A waiter is embedded in whatever waits, and zeroed before its first use. */
#ifndef WARBLER_MODEL_WAITLINE_H
#define WARBLER_MODEL_WAITLINE_H

#include <stdbool.h>
#include <stddef.h>

struct waitline_flow;

struct waiter {
    struct waitline_flow *flow; /* private, as the rest; NULL: waits nowhere */
    struct waiter *next, *prev;
};

struct waitline {
    struct waitline_flow *flows; /* by name */
    struct waitline_flow *turn;  /* the first is served next */
    size_t n;                    /* waiters; may be read */
    size_t max, flow_max;
};

void waitline_init(struct waitline *l, size_t max, size_t flow_max); /* waiters in all, and of one flow */
void waitline_fini(struct waitline *l); /* lets all go; legal on a zeroed struct */

/* At the end of its flow; a flow that was not there comes after those that are.
 * False: full. w must not wait already. */
bool waitline_join(struct waitline *l, struct waiter *w, const char *flow);
struct waiter *waitline_first(const struct waitline *l); /* who is served next; NULL: nobody */
struct waiter *waitline_next(struct waitline *l);        /* takes it out; its flow goes to the end */
void waitline_leave(struct waitline *l, struct waiter *w); /* legal if it does not wait */
static inline bool waitline_waits(const struct waiter *w)
{
    return w->flow != NULL;
}

#endif
