/* server_conn.h: what the files of the server share. Private to plugin/net.
 *
 * server.c listens and finds routes, server_http.c reads requests,
 * server_reply.c writes answers, server_ws.c turns a connection into a
 * WebSocket. HTTP is ours: libwebsockets 4.1 decodes no chunks, and while
 * a request waits for its answer it spins over whatever else comes, calls back
 * for the same body over and over, and does not notice that the peer has gone. It gets the connection, and
 * a request that we wrote, when a WebSocket begins. */
#ifndef WARBLER_NET_SERVER_CONN_H
#define WARBLER_NET_SERVER_CONN_H

#include <netinet/in.h>
#include <sys/uio.h>

#include "plugin/net/http1.h"
#include "plugin/net/server.h"

#define HTTP_OUT_BYTES_MAX (1024 * 1024) /* of a streamed answer, waiting for the peer */

struct http_conn;

struct http_route {
    const char *method; /* NULL: WebSocket */
    const char *path;
    bool prefix;
    size_t max_body_bytes; /* 0: the server's */
    void (*fn)(void *arg, struct http_in *req);
    void *arg;
    const struct ws_handler *ws;
    struct ws_limits limits;
    struct http_route *next;
};

struct server {
    struct loop *loop;
    char *address;
    int port;
    size_t max_body_bytes;
    int64_t request_timeout_ms;
    int fd; /* listening; -1: stopped */
    struct watch *watch;
    struct timer accept_again; /* after descriptors ran out */
    int64_t warned_ms;         /* of that, last */
    struct http_route *routes;
    struct http_conn *conns;
    struct ws *sockets;
};

enum conn_state {
    CONN_HEAD,  /* reading a request's head, or idle between two */
    CONN_BODY,
    CONN_ROUTE, /* the request is with its route; nothing is read */
    CONN_FLUSH, /* answered; the rest waits for the peer */
    CONN_LINGER, /* answered and shut; reads on so that no reset overtakes the answer */
    CONN_DEAD
};

struct http_conn {
    struct server *server;
    enum conn_state state;
    int fd;
    struct watch *watch;
    struct timer timer;
    struct defer resume; /* after an answer from outside: serve what came meanwhile */
    struct buf in;
    size_t scanned; /* bytes of in that hold no end of a head */
    struct buf out;
    size_t out_sent; /* bytes of out that are gone already */
    struct http_in *req; /* NULL in CONN_HEAD, CONN_LINGER */
    bool close_after;
    bool broken;     /* a write failed; the poller will tell */
    bool serving;    /* conn_serve() is running */
    bool peer_quiet; /* in CONN_ROUTE: more came, so do not watch for reading */
    char peer[INET6_ADDRSTRLEN];
    struct http_conn *next, *prev;
};

struct http_in {
    struct http_conn *conn;
    struct http1 head;
    char *text; /* what head points into */
    const char *body;
    bool is_head;
    bool begun, chunked, no_body, kept;
    void (*gone)(void *arg);
    void *gone_arg;
};

/* server.c */
/* NULL, and the status and (405) the methods for Allow. */
const struct http_route *server_find(const struct server *s, const struct http1 *head, int *status_r, struct buf *allow);
size_t server_body_max(const struct server *s, const char *path); /* bytes */

/* server_http.c */
void conn_open(struct server *s, int fd, const char *peer);
void conn_drop(struct http_conn *c); /* at once; a kept request hears of it */
void conn_answered(struct http_conn *c); /* the answer is complete, in out or sent */
void conn_watch(struct http_conn *c);    /* for what its state needs */
void http_in_free(struct http_in *req);

/* server_reply.c */
bool conn_flush(struct http_conn *c); /* false: the connection is broken */
void conn_refuse(struct http_conn *c, int status); /* instead of serving what is being read */
void http_in_fail(struct http_in *req, int status, const char *headers); /* the error JSON of the contract */

/* server_ws.c */
/* c's request asks for the WebSocket of this route. Answers it or takes the connection away. */
void conn_upgrade(struct http_conn *c, const struct http_route *route);

#endif
