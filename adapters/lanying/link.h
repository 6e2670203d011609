/* link.h: one WebSocket to the long-connection server, over either transport,
 * as a pipe of frames. It knows nothing of what frames mean. lanying.md,
 * sections 4 and 5.
 *
 * Callbacks come from the loop only. After closed(), and after ly_link_free(),
 * there are none; the owner frees the link in both cases. */
#ifndef WARBLER_LANYING_LINK_H
#define WARBLER_LANYING_LINK_H

#include <stdbool.h>

#include "adapters/lanying/codec.h"
#include "plugin/net/loop.h"

#define LINK_OPEN_MS 10000  /* to be ready for frames, from the start */
#define LINK_QUEUE_BYTES_MAX (8U * 1024 * 1024)
#define LINK_URL_BYTES_MAX 2048U

enum ly_transport { LY_SOCKETIO, LY_RAW };

struct ly_link_handler {
    void (*ready)(void *arg); /* frames may be sent */
    void (*frame)(void *arg, struct ly_bytes frame);
    /* e->code is never ERR_OK. was_ready false: this transport or host did not take us. */
    void (*closed)(void *arg, const struct err *e, bool was_ready);
};

struct ly_link;

/* base: ws, wss, http or https, with or without a path. NULL and *e if it is no such URL. */
struct ly_link *ly_link_new(struct loop *loop, const char *base, enum ly_transport transport,
                            const struct ly_link_handler *handler, void *arg, struct err *e);
void ly_link_free(struct ly_link **link); /* hangs up; NULL-safe; legal inside its own callbacks */
/* ERR_BUSY: too much is queued. ERR_NET: not ready, or closing. */
enum err_code ly_link_send(struct ly_link *link, const struct buf *frame);
/* Hangs up after what is queued; closed() follows. */
void ly_link_leave(struct ly_link *link);

/* The URL to connect to. Pure. */
enum err_code ly_link_url(struct buf *out, const char *base, enum ly_transport transport);
const char *ly_transport_name(enum ly_transport transport);

#endif
