#include "plugin/model/waitline.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "plugin/base/mem.h"
#include "plugin/base/table.h"

/* Exists as long as somebody waits in it. */
struct waitline_flow {
    struct waiter *waiters;
    size_t n;
    struct waitline_flow *next, *prev; /* turn */
    UT_hash_handle hh;                 /* flows */
    char name[];
};

void waitline_init(struct waitline *l, size_t max, size_t flow_max)
{
    *l = (struct waitline){.max = max, .flow_max = flow_max};
}

void waitline_fini(struct waitline *l)
{
    while (waitline_next(l))
        ;
}

static struct waitline_flow *flow_new(struct waitline *l, const char *name)
{
    size_t len = strlen(name);
    struct waitline_flow *flow = mem_alloc(sizeof *flow + len + 1);
    memcpy(flow->name, name, len + 1);
    HASH_ADD_KEYPTR(hh, l->flows, flow->name, len, flow);
    DL_APPEND(l->turn, flow);
    return flow;
}

static void flow_free(struct waitline *l, struct waitline_flow *flow)
{
    HASH_DEL(l->flows, flow);
    DL_DELETE(l->turn, flow);
    free(flow);
}

bool waitline_join(struct waitline *l, struct waiter *w, const char *name)
{
    struct waitline_flow *flow;
    HASH_FIND_STR(l->flows, name, flow);
    if (l->n >= l->max || (flow ? flow->n : 0) >= l->flow_max)
        return false;
    if (!flow)
        flow = flow_new(l, name);
    DL_APPEND(flow->waiters, w);
    w->flow = flow;
    flow->n++;
    l->n++;
    return true;
}

struct waiter *waitline_first(const struct waitline *l)
{
    return l->turn ? l->turn->waiters : NULL;
}

struct waiter *waitline_next(struct waitline *l)
{
    struct waiter *w = waitline_first(l);
    struct waitline_flow *flow = l->turn;
    if (!w)
        return NULL;
    DL_DELETE(l->turn, flow);
    DL_APPEND(l->turn, flow);
    waitline_leave(l, w);
    return w;
}

void waitline_leave(struct waitline *l, struct waiter *w)
{
    struct waitline_flow *flow = w->flow;
    if (!flow)
        return;
    DL_DELETE(flow->waiters, w);
    *w = (struct waiter){.flow = NULL};
    flow->n--;
    l->n--;
    if (flow->n == 0)
        flow_free(l, flow);
}
