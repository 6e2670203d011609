/* server.h: HTTP/1.1 and WebSocket server, on the loop. WebSockets are
 * libwebsockets'; HTTP is read here (server_conn.h says why).
 *
 * It knows routes, bodies, frames and limits, and nothing of chat. Callbacks
 * come from the loop only, never from inside a function of this header.
 * RFC 9110, 9112, 6455. Nothing is compressed here. */
#ifndef WARBLER_NET_SERVER_H
#define WARBLER_NET_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin/base/buf.h"
#include "plugin/base/err.h"
#include "plugin/net/loop.h"

struct server;
struct http_in; /* one request */
struct ws;      /* one WebSocket, of either side (net/ws.h has the client) */

struct server_config {
    const char *address; /* "127.0.0.1", "::1", "0.0.0.0" */
    int port;            /* 0: any free port, see server_port() */
    size_t max_body_bytes;       /* larger: 413 */
    int64_t request_timeout_ms;  /* from connect or the last answer's end to a complete request */
};

/* ERR_IO with a text that names address, port and the reason ("in use"). */
enum err_code server_new(struct loop *loop, const struct server_config *conf, struct server **server_r, struct err *e);
void server_free(struct server **server); /* closes everything at once, WebSockets with 1001; no callbacks after */
int server_port(const struct server *server);
const char *server_address(const struct server *server); /* as configured */
void server_stop_listening(struct server *server); /* what is open stays open */

/* --- HTTP --- */
/* Exact path; method in capitals. Strings are borrowed for the server's life.
 * Unknown path: 404; known path, other method: 405 with Allow. HEAD is served
 * by the GET route without the body. */
void server_route(struct server *server, const char *method, const char *path,
                  void (*fn)(void *arg, struct http_in *req), void *arg);
/* Every path that begins with prefix and has no exact route. */
void server_route_prefix(struct server *server, const char *method, const char *prefix,
                         void (*fn)(void *arg, struct http_in *req), void *arg);

/* Bodies on the routes with this path may have so many bytes, more than max_body_bytes. */
void server_route_body(struct server *server, const char *path, size_t max_body_bytes);

/* Removes the routes with this arg, of WebSockets too. What they brought stays. */
void server_unroute(struct server *server, const void *arg);

const char *http_in_path(const struct http_in *req);   /* without the query; decoded by the server */
const char *http_in_query(const struct http_in *req);  /* raw, "" if none */
const char *http_in_header(const struct http_in *req, const char *name); /* lower-case name; NULL if absent.
    Kept: authorization, accept, accept-encoding, accept-language, content-type, host, idempotency-key, if-none-match, origin,
    signature, x-forwarded-for, user-agent */
const char *http_in_body(const struct http_in *req, size_t *len_r);
const char *http_in_peer(const struct http_in *req);   /* numeric address, no port */

/* Answers in one piece. headers: "Name: value\r\n…" or NULL. Copies body. The
 * request is gone when the call returns, unless http_in_keep() was called. */
void http_in_reply(struct http_in *req, int status, const char *content_type, const char *headers, const char *body,
                   size_t len);

/* Answers later, or in pieces: call http_in_keep() inside the route's function.
 * gone(arg) is called if the peer goes away first; the request is then dead and
 * must not be touched again. After http_in_reply()/http_in_end() neither. */
void http_in_keep(struct http_in *req, void (*gone)(void *arg), void *arg);
void http_in_begin(struct http_in *req, int status, const char *content_type, const char *headers);
enum err_code http_in_write(struct http_in *req, const char *data, size_t len); /* ERR_TOO_LARGE: the peer does not read */
void http_in_end(struct http_in *req);

/* --- WebSocket --- */
#define WS_CLOSE_NORMAL 1000
#define WS_CLOSE_GOING_AWAY 1001
#define WS_CLOSE_BAD_DATA 1007
#define WS_CLOSE_POLICY 1008
#define WS_CLOSE_TOO_LARGE 1009
#define WS_CLOSE_TRY_LATER 1013

struct ws_handler {
    /* Server side: 0 accepts the upgrade, else the HTTP status to refuse with. May be NULL. */
    int (*check)(void *arg, const struct http_in *upgrade);
    /* Open. upgrade is NULL on the client side. What is returned is `conn` below. */
    void *(*open)(void *arg, struct ws *ws, const struct http_in *upgrade);
    /* One whole message; text is valid UTF-8 (else closed with 1007 before) and
     * at most max_message bytes (else closed with 1009 before). */
    void (*message)(void *conn, const char *data, size_t len, bool binary);
    /* The out-queue fell below half of its limit after a send that filled it, or to empty. May be NULL. */
    void (*drained)(void *conn);
    /* Gone, for whatever reason; once; ws is dead. e is never NULL. code 0 and e->code set: broken, silent, or (client)
     * never opened. Otherwise the code of the close frame, theirs or ours. */
    void (*closed)(void *conn, int code, const struct err *e);
};

struct ws_limits {
    size_t max_message_bytes; /* incoming, assembled from fragments */
    size_t max_queue_bytes;   /* outgoing, waiting for the peer */
    int64_t ping_ms;          /* ping after this silence */
    int64_t hangup_ms;        /* closed if nothing at all came for this long; > ping_ms */
};

void server_ws_route(struct server *server, const char *path, const struct ws_handler *handler,
                     const struct ws_limits *limits, void *arg);

/* Copies. ERR_BUSY: the queue is full and nothing was queued. ERR_TOO_LARGE: it
 * never fits. ERR_NET: already closing. */
enum err_code ws_send(struct ws *ws, const char *text, size_t len);
enum err_code ws_send_binary(struct ws *ws, const void *data, size_t len);
size_t ws_queued(const struct ws *ws); /* bytes waiting */
void ws_close(struct ws *ws, int code, const char *reason); /* after what is queued; closed() follows from the loop */
const char *ws_peer(const struct ws *ws);

#endif
