#include "plugin/cli_input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugin/base/buf.h"
#include "plugin/base/mem.h"

#define READ_BYTES 4096

struct input {
    const struct input_handler *handler;
    void *arg;
    int fd;
    struct watch *watch; /* NULL: reading does not wait; the poller refuses files */
    struct defer serve;
    struct buf bytes;
    bool wanted, skipping, ended;
};

static void take_chunk(struct input *in)
{
    char chunk[READ_BYTES];
    ssize_t n = read(in->fd, chunk, sizeof(chunk));
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) /* a terminal that went away gives EIO */
        in->ended = true;
    else
        buf_add(&in->bytes, chunk, (size_t)n);
    if (in->bytes.len > INPUT_LINE_BYTES_MAX && !memchr(in->bytes.data, '\n', in->bytes.len)) {
        in->skipping = true;
        buf_reset(&in->bytes);
    }
}

static void give_line(struct input *in, size_t len, size_t used)
{
    bool skipped = in->skipping;
    in->wanted = in->skipping = false;
    in->bytes.data[len] = '\0';
    if (skipped)
        in->handler->too_long(in->arg);
    else
        in->handler->line(in->arg, in->bytes.data, len);
    buf_drop(&in->bytes, used);
}

/* False: more must be read first. */
static bool give(struct input *in)
{
    char *end = in->bytes.len ? memchr(in->bytes.data, '\n', in->bytes.len) : NULL;
    if (end) {
        size_t len = (size_t)(end - in->bytes.data);
        give_line(in, len, len + 1);
    } else if (in->ended && in->bytes.len) {
        give_line(in, in->bytes.len, in->bytes.len);
    } else if (in->ended && in->skipping) {
        in->wanted = in->skipping = false;
        in->handler->too_long(in->arg);
    } else if (in->ended) {
        in->wanted = false;
        in->handler->end(in->arg);
    } else {
        return false;
    }
    return true;
}

static void serve(void *arg)
{
    struct input *in = arg;
    if (!in->wanted || give(in))
        return;
    if (in->watch) {
        watch_set(in->watch, WATCH_READ);
        return;
    }
    take_chunk(in);
    defer_set(&in->serve);
}

static void on_readable(void *arg, unsigned events)
{
    struct input *in = arg;
    if (events & WATCH_ERROR) /* hung up: told for ever, wanted or not, and reading waits no more */
        watch_free(&in->watch);
    else
        watch_set(in->watch, 0);
    if (in->wanted)
        take_chunk(in);
    serve(in);
}

struct input *input_new(struct loop *loop, int fd, const struct input_handler *handler, void *arg)
{
    struct input *in = mem_alloc(sizeof(*in));
    in->handler = handler;
    in->arg = arg;
    in->fd = fd;
    buf_init(&in->bytes, INPUT_LINE_BYTES_MAX + READ_BYTES);
    defer_init(&in->serve, loop, serve, in);
    in->watch = watch_new(loop, fd, 0, on_readable, in);
    return in;
}

void input_next(struct input *in)
{
    in->wanted = true;
    defer_set(&in->serve);
}

void input_free(struct input **in)
{
    if (!*in)
        return;
    watch_free(&(*in)->watch);
    defer_cancel(&(*in)->serve);
    buf_free(&(*in)->bytes);
    free(*in);
    *in = NULL;
}
