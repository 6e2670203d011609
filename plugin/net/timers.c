#include "plugin/net/timers.h"

#include <stdlib.h>

#include "plugin/base/mem.h"
#include "plugin/net/loop.h"

#define TIMERS_FIRST_CAP 32

void timers_fini(struct timers *t)
{
    free(t->heap);
    *t = (struct timers){0};
}

static void place(struct timers *t, size_t i, struct timer *timer)
{
    t->heap[i] = timer;
    timer->slot = i + 1;
}

static void sift_up(struct timers *t, size_t i, struct timer *timer)
{
    while (i > 0 && timer->due_ms < t->heap[(i - 1) / 2]->due_ms) {
        place(t, i, t->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    place(t, i, timer);
}

static void sift_down(struct timers *t, size_t i, struct timer *timer)
{
    for (;;) {
        size_t child = 2 * i + 1;

        if (child >= t->len)
            break;
        if (child + 1 < t->len && t->heap[child + 1]->due_ms < t->heap[child]->due_ms)
            child++;
        if (timer->due_ms <= t->heap[child]->due_ms)
            break;
        place(t, i, t->heap[child]);
        i = child;
    }
    place(t, i, timer);
}

static void settle(struct timers *t, size_t i, struct timer *timer)
{
    if (i > 0 && timer->due_ms < t->heap[(i - 1) / 2]->due_ms)
        sift_up(t, i, timer);
    else
        sift_down(t, i, timer);
}

void timers_put(struct timers *t, struct timer *timer)
{
    if (timer->slot) {
        settle(t, timer->slot - 1, timer);
        return;
    }
    if (t->len == t->cap) {
        t->cap = t->cap ? t->cap * 2 : TIMERS_FIRST_CAP;
        t->heap = mem_resize(t->heap, t->cap, sizeof *t->heap);
    }
    t->len++;
    sift_up(t, t->len - 1, timer);
}

void timers_remove(struct timers *t, struct timer *timer)
{
    size_t i = timer->slot - 1;
    struct timer *last = t->heap[--t->len];

    timer->slot = 0;
    if (last != timer)
        settle(t, i, last);
}

struct timer *timers_first(const struct timers *t)
{
    return t->len > 0 ? t->heap[0] : NULL;
}

static size_t due_below(const struct timers *t, size_t i, int64_t now_ms)
{
    if (i >= t->len || t->heap[i]->due_ms > now_ms)
        return 0;
    return 1 + due_below(t, 2 * i + 1, now_ms) + due_below(t, 2 * i + 2, now_ms);
}

size_t timers_due(const struct timers *t, int64_t now_ms)
{
    return due_below(t, 0, now_ms);
}
