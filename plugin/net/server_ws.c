#include <string.h>
#include <utlist.h>

#include "plugin/net/loop_private.h"
#include "plugin/net/lws_crowd.h"
#include "plugin/net/server_conn.h"
#include "plugin/net/ws_conn.h"

#define KEY_CHARS 24 /* RFC 6455 4.1: 16 bytes in base64 */
#define UPGRADE_BYTES_MAX 512

static bool good_key(const char *key)
{
    static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    return key && strlen(key) == KEY_CHARS && strspn(key, base64) == KEY_CHARS - 2 &&
           strcmp(key + KEY_CHARS - 2, "==") == 0;
}

/* 0, or the status to refuse the upgrade with. */
static int check(const struct http_in *req, const struct http_route *route)
{
    const char *version = req->head.header[HTTP1_WS_VERSION];

    if (!version || strcmp(version, "13") != 0)
        return 426;
    if (req->head.length > 0 || !good_key(req->head.header[HTTP1_WS_KEY]))
        return 400;
    return route->ws->check ? route->ws->check(route->arg, req) : 0;
}

/* What libwebsockets gets to read instead of the client's own request: no
 * subprotocol and no extension, so none is selected, and its own view of
 * headers and virtual hosts does not matter. Frames that already came follow. */
static void add_upgrade(struct buf *b, const struct http_conn *c)
{
    buf_addf(b,
             "GET / HTTP/1.1\r\nHost: " LWS_CROWD_HOST "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
             "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n",
             c->req->head.header[HTTP1_WS_KEY]);
    buf_add(b, c->in.data, c->in.len);
}

static void hand_over(struct http_conn *c, struct ws *ws)
{
    struct buf bytes;
    int fd = c->fd;

    buf_init(&bytes, UPGRADE_BYTES_MAX + c->in.max);
    add_upgrade(&bytes, c);
    watch_free(&c->watch);
    c->fd = -1;
    lws_crowd_adopt(ws->crowd, fd, bytes.data, bytes.len, ws);
    buf_free(&bytes);
}

void conn_upgrade(struct http_conn *c, const struct http_route *route)
{
    struct lws_crowd *crowd = loop_crowd(c->server->loop);
    int status = crowd ? check(c->req, route) : 503;
    struct ws *ws;

    if (status != 0) {
        http_in_fail(c->req, status, status == 426 ? "Sec-WebSocket-Version: 13\r\n" : NULL);
        return;
    }
    ws = ws_new(c->server->loop, route->ws, &route->limits, route->arg);
    memcpy(ws->peer, c->peer, sizeof ws->peer);
    ws->upgrade = c->req;
    ws->crowd = crowd;
    ws->siblings = &c->server->sockets;
    DL_APPEND(c->server->sockets, ws);
    hand_over(c, ws);
    ws->upgrade = NULL;
    if (ws->state == WS_CONNECTING) /* the peer was gone already: nobody has heard of it */
        ws_drop(ws, 0);
    conn_drop(c);
}
