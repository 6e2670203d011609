#include "plugin/net/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "plugin/base/clock.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"
#include "plugin/net/server_conn.h"
#include "plugin/net/ws_conn.h"

#define BACKLOG 1024
#define ACCEPTS_PER_TURN 64
#define ACCEPT_AGAIN_MS 200
#define WARN_AGAIN_MS 60000

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* --- listening --- */
static void numeric_peer(const union address *a, char *out, size_t size)
{
    if (a->any.sa_family == AF_INET)
        inet_ntop(AF_INET, &a->v4.sin_addr, out, (socklen_t)size);
    else if (IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr))
        inet_ntop(AF_INET, &a->v6.sin6_addr.s6_addr[12], out, (socklen_t)size);
    else
        inet_ntop(AF_INET6, &a->v6.sin6_addr, out, (socklen_t)size);
}

static bool out_of_descriptors(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void warn_full(struct server *s, const char *why)
{
    int64_t now = clock_mono_ms();

    if (s->warned_ms == 0 || now - s->warned_ms >= WARN_AGAIN_MS) {
        s->warned_ms = now;
        log_warn("net", "port %d: no more connections: %s", s->port, why);
    }
}

/* False when there is nothing more to accept now. */
static bool accept_one(struct server *s)
{
    union address from = {.v6 = {0}};
    socklen_t len = sizeof from;
    char peer[INET6_ADDRSTRLEN] = "";
    int on = 1, fd = accept4(s->fd, &from.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0 && out_of_descriptors(errno)) {
        warn_full(s, strerror(errno));
        watch_set(s->watch, 0);
        timer_set(&s->accept_again, ACCEPT_AGAIN_MS);
        return false;
    }
    if (fd < 0)
        return errno == ECONNABORTED || errno == EINTR;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    numeric_peer(&from, peer, sizeof peer);
    conn_open(s, fd, peer);
    return true;
}

static void on_listen(void *arg, unsigned events)
{
    struct server *s = arg;

    (void)events;
    for (int n = 0; n < ACCEPTS_PER_TURN && s->fd >= 0 && accept_one(s); n++)
        ;
}

static void on_accept_again(void *arg)
{
    struct server *s = arg;

    watch_set(s->watch, WATCH_READ);
}

static int listen_at(const struct addrinfo *ai)
{
    int on = 1, off = 0, saved;
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on); /* over the last run's TIME_WAIT */
    if (ai->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off); /* "::" is both families */
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static int bound_port(int fd)
{
    union address at = {.v6 = {0}};
    socklen_t len = sizeof at;

    if (getsockname(fd, &at.any, &len) != 0)
        return 0;
    return ntohs(at.any.sa_family == AF_INET6 ? at.v6.sin6_port : at.v4.sin_port);
}

static const char *advice(int error)
{
    switch (error) {
    case EADDRINUSE:
        return "; stop the program that uses it, or set another port in listen";
    case EADDRNOTAVAIL:
        return "; this machine has no such address, set one of its own in listen";
    case EACCES:
        return "; set a port of 1024 or above in listen, or give the program CAP_NET_BIND_SERVICE";
    default:
        return "";
    }
}

static enum err_code start_listening(struct server *s, struct err *e)
{
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM}, *ai;
    char port[16];
    int rc, error;

    snprintf(port, sizeof port, "%d", s->port);
    rc = getaddrinfo(s->address, port, &hints, &ai);
    if (rc != 0)
        return err_set(e, ERR_IO, "cannot listen on %s port %d: %s", s->address, s->port, gai_strerror(rc));
    s->fd = listen_at(ai);
    error = errno;
    freeaddrinfo(ai);
    if (s->fd < 0)
        return err_set(e, ERR_IO, "cannot listen on %s port %d: %s%s", s->address, s->port, strerror(error), advice(error));
    s->port = bound_port(s->fd);
    s->watch = watch_new(s->loop, s->fd, WATCH_READ, on_listen, s);
    if (!s->watch)
        return err_set(e, ERR_IO, "cannot listen on %s port %d: %s", s->address, s->port, strerror(errno));
    return ERR_OK;
}

/* --- life --- */
enum err_code server_new(struct loop *loop, const struct server_config *conf, struct server **server_r, struct err *e)
{
    struct server *s = mem_alloc(sizeof *s);
    enum err_code code;

    s->loop = loop;
    s->address = mem_dup(conf->address);
    s->port = conf->port;
    s->max_body_bytes = conf->max_body_bytes;
    s->request_timeout_ms = conf->request_timeout_ms;
    s->fd = -1;
    timer_init(&s->accept_again, loop, on_accept_again, s);
    code = start_listening(s, e);
    if (code != ERR_OK)
        server_free(&s);
    *server_r = s;
    return code;
}

void server_stop_listening(struct server *server)
{
    timer_cancel(&server->accept_again);
    watch_free(&server->watch);
    if (server->fd >= 0)
        close(server->fd);
    server->fd = -1;
}

void server_free(struct server **server)
{
    struct server *s = *server;

    if (!s)
        return;
    server_stop_listening(s);
    while (s->sockets)
        ws_drop(s->sockets, WS_CLOSE_GOING_AWAY);
    while (s->conns) {
        if (s->conns->req)
            s->conns->req->gone = NULL;
        conn_drop(s->conns);
    }
    while (s->routes) {
        struct http_route *next = s->routes->next;

        free(s->routes);
        s->routes = next;
    }
    free(s->address);
    free(s);
    *server = NULL;
}

int server_port(const struct server *server)
{
    return server->port;
}

const char *server_address(const struct server *server)
{
    return server->address;
}

/* --- routes --- */
static struct http_route *add_route(struct server *s, const char *method, const char *path)
{
    struct http_route *r = mem_alloc(sizeof *r);

    r->method = method;
    r->path = path;
    LL_APPEND(s->routes, r);
    return r;
}

void server_route(struct server *server, const char *method, const char *path,
                  void (*fn)(void *arg, struct http_in *req), void *arg)
{
    struct http_route *r = add_route(server, method, path);

    r->fn = fn;
    r->arg = arg;
}

void server_route_prefix(struct server *server, const char *method, const char *prefix,
                         void (*fn)(void *arg, struct http_in *req), void *arg)
{
    struct http_route *r = add_route(server, method, prefix);

    r->prefix = true;
    r->fn = fn;
    r->arg = arg;
}

void server_route_body(struct server *server, const char *path, size_t max_body_bytes)
{
    struct http_route *r;

    LL_FOREACH(server->routes, r)
    if (strcmp(r->path, path) == 0)
        r->max_body_bytes = max_body_bytes;
}

void server_ws_route(struct server *server, const char *path, const struct ws_handler *handler,
                     const struct ws_limits *limits, void *arg)
{
    struct http_route *r = add_route(server, NULL, path);

    r->ws = handler;
    r->limits = *limits;
    r->arg = arg;
}

void server_unroute(struct server *server, const void *arg)
{
    struct http_route *r, *next;

    LL_FOREACH_SAFE(server->routes, r, next)
    {
        if (r->arg != arg)
            continue;
        LL_DELETE(server->routes, r);
        free(r);
    }
}

/* The path that decides: the exact one, else the longest prefix; NULL: none. */
static const struct http_route *best_match(const struct server *s, const char *path)
{
    const struct http_route *best = NULL;

    for (const struct http_route *r = s->routes; r; r = r->next) {
        if (!r->prefix && strcmp(r->path, path) == 0)
            return r;
        if (r->prefix && strncmp(r->path, path, strlen(r->path)) == 0 &&
            (!best || strlen(r->path) > strlen(best->path)))
            best = r;
    }
    return best;
}

size_t server_body_max(const struct server *s, const char *path)
{
    const struct http_route *match = best_match(s, path);

    return match && match->max_body_bytes > s->max_body_bytes ? match->max_body_bytes : s->max_body_bytes;
}

static bool serves(const struct http_route *r, const struct http1 *head)
{
    if (!r->method)
        return head->upgrade_ws && strcmp(head->method, "GET") == 0;
    return strcmp(r->method, head->method) == 0 ||
           (strcmp(r->method, "GET") == 0 && strcmp(head->method, "HEAD") == 0);
}

static void list_method(struct buf *allow, const char *method)
{
    if (allow->len > 0)
        buf_adds(allow, ", ");
    buf_adds(allow, method);
    if (strcmp(method, "GET") == 0)
        buf_adds(allow, ", HEAD");
}

const struct http_route *server_find(const struct server *s, const struct http1 *head, int *status_r, struct buf *allow)
{
    const struct http_route *match = best_match(s, head->path), *found = NULL;

    *status_r = match ? 405 : 404;
    for (const struct http_route *r = s->routes; match && r; r = r->next) {
        if (r->prefix != match->prefix || strcmp(r->path, match->path) != 0)
            continue;
        if (r->method)
            list_method(allow, r->method);
        if (serves(r, head) && (!found || !r->method)) /* an upgrade goes before a page of the same path */
            found = r;
    }
    if (match && allow->len == 0)
        *status_r = 426; /* only a WebSocket lives there */
    return found;
}
