#include "plugin/model/practice_call.h"

#include <stdlib.h>

#include "plugin/base/mem.h"

#define PORTION_BYTES 16384U /* given out at once where nothing is to be waited for */
#define PORTION_BYTES_MAX (16U * 1024 * 1024)

struct practice_call {
    struct loop *loop;
    struct timer timer;
    struct practice_reply reply;
    struct buf portion;
    const struct http_handler *handler;
    void *arg;
    bool begun, over;
};

static void call_free(void *p)
{
    struct practice_call *c = p;
    practice_reply_fini(&c->reply);
    buf_free(&c->portion);
    free(c);
}

static void release(struct practice_call *c)
{
    if (c->over)
        return;
    c->over = true;
    timer_cancel(&c->timer);
    loop_free_later(c->loop, c, call_free);
}

/* An event, or as many as are due. False: there was none left. */
static bool fill(struct practice_call *c)
{
    buf_reset(&c->portion);
    bool more = practice_next(&c->reply, &c->portion);
    while (more && c->reply.chunk_ms <= 0 && c->portion.len < PORTION_BYTES)
        more = practice_next(&c->reply, &c->portion);
    return c->portion.len > 0;
}

static void finish(struct practice_call *c, const struct http_reply *head, enum err_code code)
{
    struct err e = ERR_INIT;
    if (code != ERR_OK)
        err_set(&e, code, "stopped");
    release(c);
    c->handler->done(c->arg, head, &e);
}

static void on_timer(void *arg)
{
    struct practice_call *c = arg;
    struct http_reply head = {.status = c->reply.status, .limits = RATELIMIT_INIT};
    head.limits.retry_after_ms = c->reply.retry_after_ms;
    if (!c->begun && c->handler->head)
        c->handler->head(c->arg, &head);
    c->begun = true;
    if (c->over)
        return;
    if (!fill(c)) {
        finish(c, &head, ERR_OK);
        return;
    }
    bool go_on = c->handler->body(c->arg, c->portion.data, c->portion.len);
    if (c->over)
        return;
    if (go_on)
        timer_set(&c->timer, c->reply.chunk_ms);
    else
        finish(c, &head, ERR_CANCELLED);
}

struct practice_call *practice_call_start(struct loop *loop, struct practice_reply *reply,
                                          const struct http_handler *handler, void *arg)
{
    struct practice_call *c = mem_alloc(sizeof *c);
    *c = (struct practice_call){.loop = loop, .reply = *reply, .handler = handler, .arg = arg};
    *reply = (struct practice_reply){.status = 0};
    buf_init(&c->portion, PORTION_BYTES_MAX);
    timer_init(&c->timer, loop, on_timer, c);
    timer_set(&c->timer, c->reply.delay_ms);
    return c;
}

void practice_call_cancel(struct practice_call **call)
{
    if (*call)
        release(*call);
    *call = NULL;
}
