#include "tests/unit/scripted.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "plugin/base/mem.h"

#define REQUEST_BYTES_MAX (1024U * 1024)

struct peer {
    struct scripted *server;
    int fd;
    struct watch *watch;
    struct buf in;
    struct defer defer;
    const struct script *script; /* being played; NULL: the next request is read */
    size_t sent;
    struct peer *next, *prev;
};

struct scripted {
    struct loop *loop;
    int fd, port;
    struct watch *watch;
    const struct script *scripts;
    size_t n_scripts;
    int requests, connections;
    struct buf last;
    struct peer *peers;
};

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    exit(1);
}

static void peer_close(struct peer *p, bool reset)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    if (reset)
        setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    watch_free(&p->watch);
    close(p->fd);
    defer_cancel(&p->defer);
    DL_DELETE(p->server->peers, p);
    buf_free(&p->in);
    loop_free_later(p->server->loop, p, free);
}

/* Bytes of the complete request at the beginning of p->in, or 0. */
static size_t request_bytes(const struct peer *p)
{
    const char *head = buf_str(&p->in), *end = strstr(head, "\r\n\r\n");
    const char *length = strcasestr(head, "\r\ncontent-length:");
    if (!end)
        return 0;
    size_t bytes = (size_t)(end - head) + 4;
    if (length && length < end)
        bytes += strtoul(length + strlen("\r\ncontent-length:"), NULL, 10);
    return bytes <= p->in.len ? bytes : 0;
}

static void play(void *arg)
{
    struct peer *p = arg;
    size_t len = p->script->len ? p->script->len : strlen(p->script->answer);
    size_t n = len - p->sent;
    if (p->script->portion && n > p->script->portion)
        n = p->script->portion;
    ssize_t sent = n ? send(p->fd, p->script->answer + p->sent, n, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
    p->sent += sent > 0 ? (size_t)sent : 0;
    if (p->sent < len) {
        defer_set(&p->defer);
    } else {
        enum after after = p->script->after;
        p->script = NULL;
        if (after != AFTER_KEEP)
            peer_close(p, after == AFTER_RESET);
    }
}

static void take_request(struct peer *p)
{
    struct scripted *s = p->server;
    size_t bytes = p->script ? 0 : request_bytes(p);
    if (bytes == 0)
        return;
    size_t i = (size_t)s->requests++;
    buf_reset(&s->last);
    buf_add(&s->last, p->in.data, bytes);
    buf_drop(&p->in, bytes);
    p->script = &s->scripts[i < s->n_scripts ? i : s->n_scripts - 1];
    p->sent = 0;
    play(p);
}

static void on_readable(void *arg, unsigned events)
{
    struct peer *p = arg;
    char part[4096];
    ssize_t n = recv(p->fd, part, sizeof part, MSG_DONTWAIT);
    (void)events;
    if (n <= 0) {
        peer_close(p, false);
        return;
    }
    buf_add(&p->in, part, (size_t)n);
    take_request(p);
}

static void on_connection(void *arg, unsigned events)
{
    struct scripted *s = arg;
    int on = 1, fd = accept(s->fd, NULL, NULL);
    (void)events;
    check(fd >= 0, "accept");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct peer *p = mem_alloc(sizeof *p);
    p->server = s;
    p->fd = fd;
    buf_init(&p->in, REQUEST_BYTES_MAX);
    defer_init(&p->defer, s->loop, play, p);
    p->watch = watch_new(s->loop, fd, WATCH_READ, on_readable, p);
    DL_APPEND(s->peers, p);
    s->connections++;
}

struct scripted *scripted_new(struct loop *loop, const struct script *scripts, size_t n)
{
    struct scripted *s = mem_alloc(sizeof *s);
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof addr;
    *s = (struct scripted){.loop = loop, .scripts = scripts, .n_scripts = n};
    buf_init(&s->last, REQUEST_BYTES_MAX);
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    check(s->fd >= 0, "socket");
    check(bind(s->fd, (struct sockaddr *)&addr, len) == 0, "bind");
    check(listen(s->fd, 16) == 0, "listen");
    check(getsockname(s->fd, (struct sockaddr *)&addr, &len) == 0, "getsockname");
    s->port = ntohs(addr.sin_port);
    s->watch = watch_new(loop, s->fd, WATCH_READ, on_connection, s);
    return s;
}

void scripted_free(struct scripted *s)
{
    while (s->peers)
        peer_close(s->peers, false);
    watch_free(&s->watch);
    close(s->fd);
    buf_free(&s->last);
    free(s);
}

int scripted_port(const struct scripted *s)
{
    return s->port;
}

int scripted_requests(const struct scripted *s)
{
    return s->requests;
}

int scripted_connections(const struct scripted *s)
{
    return s->connections;
}

int scripted_open(const struct scripted *s)
{
    struct peer *p;
    int n;
    DL_COUNT(s->peers, p, n);
    return n;
}

const char *scripted_last(const struct scripted *s)
{
    return buf_str(&s->last);
}
