/* ws_conn.h: one open WebSocket, of either side, on top of libwebsockets.
 * Private to plugin/net: server_ws.c and ws.c make them. */
#ifndef WARBLER_NET_WS_CONN_H
#define WARBLER_NET_WS_CONN_H

#include <libwebsockets.h>
#include <netinet/in.h>

#include "plugin/base/buf.h"
#include "plugin/net/loop.h"
#include "plugin/net/server.h"

#define WS_LWS_PROTOCOL "ws"
/* libwebsockets reads this much at a time, and every connection owns a buffer of it. */
#define WS_READ_BYTES 1024
#define WS_CLOSE_WAIT_MS 5000 /* for the out-queue to drain after ws_close() */

enum ws_state {
    WS_CONNECTING, /* until open() */
    WS_OPEN,
    WS_CLOSING, /* what is queued still leaves; nothing is passed up */
    WS_DEAD     /* closed() was called or is not wanted; freed at the end of the turn */
};

struct ws_frame;

struct ws {
    enum ws_state state;
    struct loop *loop;
    struct lws *wsi; /* NULL: libwebsockets has none, or it no longer knows us */
    const struct ws_handler *handler;
    void *conn; /* the handler's arg until open() returned */
    struct ws_limits limits;
    struct buf in; /* the fragments of a message so far */

    struct ws_frame *out, **out_end;
    size_t out_bytes;
    bool was_full; /* a send was refused since the last drained() */

    struct lws_crowd *crowd; /* server: who serves the socket; NULL: libwebsockets' own poll does */
    struct watch *watch;     /* server */
    struct defer flush;      /* server: let libwebsockets write, at the end of the turn */

    struct timer timer;
    int64_t heard_ms; /* last sign of life */
    bool pinged;      /* since then */
    bool ping_due;

    int close_code;   /* 0: none was sent or received */
    bool close_begun; /* libwebsockets sends or answers the close frame; before, what is queued leaves */
    char close_reason[124]; /* RFC 6455 5.5: a control frame holds 125 bytes, two are the code */
    char peer[INET6_ADDRSTRLEN];

    const struct http_in *upgrade; /* server: while open() has not been called */
    struct ws_connecting *connecting; /* client: while the connection is being made (ws.c) */
    struct ws *next, *prev, **siblings; /* server: all that are open */
};

struct ws *ws_new(struct loop *loop, const struct ws_handler *handler, const struct ws_limits *limits, void *arg);

/* ws.c: what a client needs before it is open. */
void ws_connecting_free(struct ws *ws);
bool ws_try_again(struct ws *ws); /* at another address, at the end of the turn; false: there is none */
void ws_reached(struct ws *ws);   /* the server's TCP, and TLS if any, are fine */
void ws_distrusts(struct ws *ws, void *x509_store_ctx); /* the server's certificate */
void ws_refused(struct ws *ws, const char *why, size_t len); /* this try failed; why may be NULL */

/* Ends it without a callback. A server's sends the code, unless it is 0 or a
 * frame is under way. */
void ws_drop(struct ws *ws, int code);

/* closed(), unless it is dead already, or a server's that was never open. */
void ws_gone(struct ws *ws, int code, const struct err *e);

/* The callback for all WebSockets; the struct ws is the wsi's opaque user data. */
int ws_on_lws(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len);

#endif
