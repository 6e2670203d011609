/* ws.h: WebSocket client. Same struct ws and handler as the server side. The
 * name is resolved in the resolver thread (libwebsockets' own look-up blocks);
 * the connection goes to the address, SNI and Host keep the name. */
#ifndef WARBLER_NET_WS_H
#define WARBLER_NET_WS_H

#include "plugin/net/server.h"

struct ws_connect {
    const char *url;         /* ws:// or wss:// */
    const char *subprotocol; /* NULL: no header */
    const char *origin;      /* NULL: no header */
    const char *ca_file;     /* NULL: the system's bundle */
    int64_t connect_timeout_ms;
};

/* NULL and *e if the URL is not one. Otherwise handler->open or ->closed
 * follows from the loop. `arg` is `conn` for closed() until open() returned. */
struct ws *ws_connect(struct loop *loop, const struct ws_connect *c, const struct ws_handler *handler,
                      const struct ws_limits *limits, void *arg, struct err *e);

/* Gives up a connection of any state; no callback follows. NULL-safe. */
void ws_abort(struct ws **ws);

#endif
