/* socketio.h: transport B: what Socket.IO 2 over Engine.IO 3 wraps around a
 * frame. Pure. lanying.md, section 5. */
#ifndef WARBLER_LANYING_SOCKETIO_H
#define WARBLER_LANYING_SOCKETIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "adapters/lanying/codec.h"

#define SOCKETIO_QUERY "/socket.io/?EIO=3&transport=websocket"
#define SOCKETIO_FRAME "451-[\"frame\",{\"_placeholder\":true,\"num\":0}]" /* sent before each frame */
#define SOCKETIO_MARK '\x04' /* first byte of each binary message: Engine.IO "message" */
#define SOCKETIO_PING "2"
#define SOCKETIO_PONG "3"

/* What the server wants from its clients: used where it does not say, or says nonsense. */
#define SOCKETIO_PING_MS 25000
#define SOCKETIO_TIMEOUT_MS 5000
#define SOCKETIO_TIME_MAX_MS 600000

enum socketio_event {
    SOCKETIO_NOTHING,   /* of no meaning for us, or a frame's first half */
    SOCKETIO_OPENED,    /* both times are known */
    SOCKETIO_CONNECTED, /* now the client may speak */
    SOCKETIO_PINGED,    /* wants a pong */
    SOCKETIO_PONGED,
    SOCKETIO_LEFT,      /* the server ended the session */
    SOCKETIO_REFUSED,   /* an error packet */
};

/* A zeroed one is a connection that has just been made. */
struct socketio {
    int64_t ping_ms, timeout_ms;
    unsigned expected; /* binary messages that belong to the last text */
    bool frame;        /* they are one frame */
};

enum socketio_event socketio_text(struct socketio *s, const char *text, size_t len);
/* ERR_OK: *frame_r is a frame. ERR_NOT_FOUND: an attachment that means nothing
 * to us. ERR_PROTO: a message that nothing announced, or not marked as one. */
enum err_code socketio_binary(struct socketio *s, const char *data, size_t len, struct ly_bytes *frame_r);

#endif
