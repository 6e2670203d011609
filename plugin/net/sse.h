/* sse.h: server-sent events out of bytes in any portions. WHATWG HTML section
 * 9.2.6, with the tolerance that model servers need (chat-completions
 * reference, section 5.1): LF, CRLF and CR; a BOM; comments; an unterminated
 * last event is dispatched at the end; a bare line that begins with '{' is an
 * event; two data lines that are each complete JSON are two events. Pure. */
#ifndef WARBLER_NET_SSE_H
#define WARBLER_NET_SSE_H

#include <stdbool.h>
#include <stddef.h>

#include "plugin/base/buf.h"

#define SSE_LINE_BYTES_MAX (4U * 1024 * 1024)

struct sse_event {
    const char *type; /* "" or the event field; borrowed for the call */
    const char *data; /* NUL-terminated */
    size_t len;
};

struct sse {
    struct buf line, data, type; /* private, as all below */
    size_t data_lines; /* in data; 0: none came, and nothing is dispatched */
    bool skip_lf, started;
    /* Return false to stop parsing: sse_feed() returns ERR_CANCELLED. */
    bool (*event)(void *arg, const struct sse_event *ev);
    void *arg;
};

void sse_init(struct sse *s, bool (*event)(void *arg, const struct sse_event *ev), void *arg);
void sse_fini(struct sse *s);
enum err_code sse_feed(struct sse *s, const char *data, size_t len); /* ERR_TOO_LARGE: a line over the limit */
enum err_code sse_end(struct sse *s); /* end of input: dispatches what is left */

#endif
