#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "plugin/base/log.h"
#include "plugin/base/mem.h"
#include "plugin/net/server_conn.h"

#define READ_BYTES 16384
#define LINGER_MS 2000

/* --- life --- */
void http_in_free(struct http_in *req)
{
    if (!req)
        return;
    free(req->text);
    free(req);
}

static void free_conn(void *p)
{
    struct http_conn *c = p;

    buf_free(&c->in);
    buf_free(&c->out);
    free(c);
}

void conn_drop(struct http_conn *c)
{
    struct http_in *req = c->req;

    if (c->state == CONN_DEAD)
        return;
    c->state = CONN_DEAD;
    watch_free(&c->watch);
    if (c->fd >= 0)
        close(c->fd);
    timer_cancel(&c->timer);
    defer_cancel(&c->resume);
    DL_DELETE(c->server->conns, c);
    loop_free_later(c->server->loop, c, free_conn);
    c->req = NULL;
    if (req && req->gone)
        req->gone(req->gone_arg);
    http_in_free(req);
}

void conn_watch(struct http_conn *c)
{
    bool reads = c->state == CONN_HEAD || c->state == CONN_BODY || c->state == CONN_LINGER ||
                 (c->state == CONN_ROUTE && !c->peer_quiet);

    if (c->watch)
        watch_set(c->watch, (reads ? WATCH_READ : 0) | (c->out.len > 0 ? WATCH_WRITE : 0));
}

/* Between requests. Memory goes back: most connections are idle most of the time. */
static void await_request(struct http_conn *c)
{
    c->state = CONN_HEAD;
    c->scanned = 0;
    c->peer_quiet = false;
    if (c->in.len == 0)
        buf_free(&c->in);
    timer_set(&c->timer, c->server->request_timeout_ms);
    conn_watch(c);
}

static void linger(struct http_conn *c)
{
    shutdown(c->fd, SHUT_WR);
    c->state = CONN_LINGER;
    buf_free(&c->in);
    timer_set(&c->timer, LINGER_MS);
    conn_watch(c);
}

/* --- requests --- */
/* Takes the head of n bytes off the input. */
static int take_head(struct http_conn *c, size_t n)
{
    struct http_in *req = mem_alloc(sizeof *req);
    int status;

    req->conn = c;
    req->text = mem_dupn(c->in.data, n);
    status = http1_parse(&req->head, req->text, n);
    if (status != 0) {
        http_in_free(req);
        return status;
    }
    req->is_head = strcmp(req->head.method, "HEAD") == 0;
    c->req = req;
    c->close_after = !req->head.keep_alive;
    buf_drop(&c->in, n);
    return 0;
}

/* The status to refuse the request's body with; 0: it is welcome. */
static int check_body(struct http_conn *c)
{
    size_t max = server_body_max(c->server, c->req->head.path);
    const struct http1 *head = &c->req->head;
    const char *expect = head->header[HTTP1_EXPECT], *m = head->method;

    if (head->has_encoding)
        return 411; /* RFC 9112 6.3: a server may insist on a length */
    if (!head->has_length && (strcmp(m, "POST") == 0 || strcmp(m, "PUT") == 0 || strcmp(m, "PATCH") == 0))
        return 411;
    if (head->length > max)
        return 413;
    c->in.max = HTTP1_HEAD_BYTES_MAX + max + READ_BYTES;
    return expect && strcasecmp(expect, "100-continue") != 0 ? 417 : 0;
}

static void invite_body(struct http_conn *c)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

    if (!c->req->head.header[HTTP1_EXPECT] || c->in.len >= c->req->head.length)
        return;
    buf_add(&c->out, go_on, sizeof go_on - 1);
    if (!conn_flush(c))
        c->broken = true;
}

/* False if a head is not complete yet, or the connection takes no more requests. */
static bool read_head(struct http_conn *c)
{
    size_t blank = 0, n;
    int status;

    while (c->in.len >= blank + 2 && memcmp(c->in.data + blank, "\r\n", 2) == 0)
        blank += 2; /* RFC 9112 2.2: lines that a careless client put behind its last request */
    buf_drop(&c->in, blank);
    n = http1_head_length(buf_str(&c->in), c->in.len, blank > 0 ? 0 : c->scanned);
    c->scanned = c->in.len;
    if (n > HTTP1_HEAD_BYTES_MAX || (n == 0 && c->in.len >= HTTP1_HEAD_BYTES_MAX)) {
        conn_refuse(c, 431);
        return false;
    }
    if (n == 0)
        return false;
    status = take_head(c, n);
    if (status != 0) {
        conn_refuse(c, status);
        return false;
    }
    c->state = CONN_BODY;
    status = check_body(c);
    if (status != 0) {
        conn_refuse(c, status);
        return false;
    }
    invite_body(c);
    return true;
}

static void answer_unrouted(struct http_conn *c, int status, struct buf *allow)
{
    struct buf headers;

    buf_init(&headers, 512);
    if (status == 405)
        buf_addf(&headers, "Allow: %s\r\n", buf_str(allow));
    if (status == 426)
        buf_adds(&headers, "Upgrade: websocket\r\n");
    http_in_fail(c->req, status, buf_str(&headers));
    buf_free(&headers);
}

static void call_route(struct http_conn *c, const struct http_route *route)
{
    struct http_in *req = c->req;

    req->body = c->in.data ? c->in.data : "";
    route->fn(route->arg, req);
    if (c->req == req && c->state == CONN_ROUTE && !req->kept) {
        log_error("net", "%s: neither answered nor kept", req->head.path);
        conn_drop(c);
    }
}

/* The whole request is there. */
static void dispatch(struct http_conn *c)
{
    const struct http_route *route;
    struct buf allow;
    int status;

    timer_cancel(&c->timer);
    c->state = CONN_ROUTE;
    buf_init(&allow, 256);
    route = server_find(c->server, &c->req->head, &status, &allow);
    if (!route)
        answer_unrouted(c, status, &allow);
    else if (route->ws)
        conn_upgrade(c, route);
    else
        call_route(c, route);
    buf_free(&allow);
}

/* Serves what is complete in the input, one request after the other. */
static void serve(struct http_conn *c)
{
    c->serving = true;
    for (;;) {
        if (c->state == CONN_HEAD && !read_head(c))
            break;
        if (c->state != CONN_BODY || c->in.len < c->req->head.length)
            break;
        dispatch(c);
        if (c->state != CONN_HEAD)
            break;
    }
    c->serving = false;
    if (c->state != CONN_DEAD)
        conn_watch(c);
}

void conn_answered(struct http_conn *c)
{
    c->req->gone = NULL;
    if (c->broken) {
        conn_drop(c);
        return;
    }
    if (c->out.len > 0) {
        c->state = CONN_FLUSH;
        timer_set(&c->timer, c->server->request_timeout_ms);
        conn_watch(c);
        return;
    }
    buf_drop(&c->in, c->req->head.length);
    http_in_free(c->req);
    c->req = NULL;
    if (c->close_after) {
        linger(c);
        return;
    }
    await_request(c);
    if (c->in.len > 0 && !c->serving)
        defer_set(&c->resume);
}

static void on_resume(void *arg)
{
    serve(arg);
}

/* --- events --- */
static void on_input(struct http_conn *c)
{
    char data[READ_BYTES];
    ssize_t n = recv(c->fd, data, sizeof data, 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        conn_drop(c);
        return;
    }
    if (c->state == CONN_LINGER)
        return;
    buf_add(&c->in, data, (size_t)n);
    serve(c);
}

/* While a request is with its route we only want to know whether the peer is still there. */
static void on_waiting_peer(struct http_conn *c)
{
    char byte;
    ssize_t n = recv(c->fd, &byte, 1, MSG_PEEK);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        conn_drop(c);
        return;
    }
    c->peer_quiet = true;
    conn_watch(c);
}

static void on_writable(struct http_conn *c)
{
    size_t before = c->out.len - c->out_sent;

    if (!conn_flush(c)) {
        conn_drop(c);
        return;
    }
    if (c->state == CONN_FLUSH && c->out.len == 0)
        conn_answered(c);
    else if (c->state == CONN_FLUSH && c->out.len - c->out_sent < before)
        timer_set(&c->timer, c->server->request_timeout_ms);
    if (c->state != CONN_DEAD)
        conn_watch(c);
}

static void on_ready(void *arg, unsigned events)
{
    struct http_conn *c = arg;

    if (events & WATCH_ERROR) {
        conn_drop(c);
        return;
    }
    if (events & WATCH_WRITE)
        on_writable(c);
    if (!(events & WATCH_READ))
        return;
    if (c->state == CONN_ROUTE)
        on_waiting_peer(c);
    else if (c->state == CONN_HEAD || c->state == CONN_BODY || c->state == CONN_LINGER)
        on_input(c);
}

static void on_timer(void *arg)
{
    struct http_conn *c = arg;
    bool mid_request = c->state == CONN_BODY || (c->state == CONN_HEAD && c->in.len > 0);

    if (!mid_request) {
        conn_drop(c);
        return;
    }
    conn_refuse(c, 408);
}

void conn_open(struct server *s, int fd, const char *peer)
{
    struct http_conn *c = mem_alloc(sizeof *c);

    c->server = s;
    c->fd = fd;
    memcpy(c->peer, peer, strlen(peer) + 1);
    buf_init(&c->in, HTTP1_HEAD_BYTES_MAX + s->max_body_bytes + READ_BYTES);
    buf_init(&c->out, SIZE_MAX); /* answers are ours; streams are held to HTTP_OUT_BYTES_MAX */
    timer_init(&c->timer, s->loop, on_timer, c);
    defer_init(&c->resume, s->loop, on_resume, c);
    DL_APPEND(s->conns, c);
    c->watch = watch_new(s->loop, fd, WATCH_READ, on_ready, c);
    if (!c->watch) {
        log_warn("net", "%s: cannot watch the connection: %s", peer, strerror(errno));
        conn_drop(c);
        return;
    }
    await_request(c);
}

/* --- the request, as its route sees it --- */
const char *http_in_path(const struct http_in *req)
{
    return req->head.path;
}

const char *http_in_query(const struct http_in *req)
{
    return req->head.query;
}

const char *http_in_header(const struct http_in *req, const char *name)
{
    enum http1_header id = http1_header_id(name, strlen(name));

    assert(id != HTTP1_HEADERS);
    return req->head.header[id];
}

const char *http_in_body(const struct http_in *req, size_t *len_r)
{
    *len_r = req->head.length;
    return req->body;
}

const char *http_in_peer(const struct http_in *req)
{
    return req->conn->peer;
}

void http_in_keep(struct http_in *req, void (*gone)(void *arg), void *arg)
{
    req->kept = true;
    req->gone = gone;
    req->gone_arg = arg;
}
