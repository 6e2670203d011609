#include "tests/bench/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BYTES_MIN 128U
#define READ_BYTES 65536U
#define BACKLOG 4096

#define FRAME_FINAL_PING 0x89U
#define FRAME_FINAL_PONG 0x8aU
#define FRAME_FINAL_TEXT 0x81U
#define FRAME_MASKED 0x80U
#define FRAME_LEN_16 126U
#define MASK_BYTES 4U

void die(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* --- bytes --- */
static void reserve(struct bytes *b, size_t more)
{
    if (b->cap - b->len >= more)
        return;
    size_t cap = b->cap ? b->cap : BYTES_MIN;
    while (cap < b->len + more)
        cap *= 2;
    b->data = realloc(b->data, cap);
    b->cap = cap;
    if (!b->data)
        die("out of memory");
}

void bytes_add(struct bytes *b, const void *data, size_t len)
{
    reserve(b, len);
    memcpy(b->data + b->len, data, len);
    b->len += len;
}

void bytes_addf(struct bytes *b, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    reserve(b, (size_t)len + 1);
    vsnprintf(b->data + b->len, (size_t)len + 1, fmt, again);
    b->len += (size_t)len;
    va_end(again);
    va_end(args);
}

void bytes_drop(struct bytes *b, size_t n)
{
    b->len -= n;
    if (b->len > 0)
        memmove(b->data, b->data + n, b->len);
}

void bytes_free(struct bytes *b)
{
    free(b->data);
    *b = (struct bytes){ 0 };
}

struct span span_of(const char *str)
{
    return (struct span){ str, strlen(str) };
}

bool span_is(struct span s, const char *str)
{
    return s.data && s.len == strlen(str) && memcmp(s.data, str, s.len) == 0;
}

struct span span_find(struct span in, const char *what)
{
    const char *at = in.len > 0 ? memmem(in.data, in.len, what, strlen(what)) : NULL;
    return at ? (struct span){ at, in.len - (size_t)(at - in.data) } : (struct span){ 0 };
}

struct span json_string(struct span json, const char *key)
{
    char begin[64];
    int len = snprintf(begin, sizeof begin, "\"%s\":\"", key);
    struct span s = span_find(json, begin);
    if (!s.data)
        return s;
    const char *value = s.data + len, *end = s.data + s.len, *at = value;
    while (at < end && *at != '"')
        at += *at == '\\' ? 2 : 1;
    return at < end ? (struct span){ value, (size_t)(at - value) } : (struct span){ 0 };
}

/* --- sockets --- */
void allow_many_files(void)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){ .sin_family = AF_INET,
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                 .sin_port = htons((uint16_t)port) };
}

static int new_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket: %s", strerror(errno));
    return fd;
}

int listen_loopback(int *port_r)
{
    struct sockaddr_in address = loopback(0);
    socklen_t len = sizeof address;
    int fd = new_socket();
    if (bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        die("listen: %s", strerror(errno));
    *port_r = ntohs(address.sin_port);
    return fd;
}

void end_accepted(struct end *e, int poller, int fd)
{
    struct epoll_event watch = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = e };
    int on = 1;
    e->fd = fd;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &watch) != 0)
        die("epoll_ctl: %s", strerror(errno));
}

void end_connect(struct end *e, int poller, int port)
{
    struct sockaddr_in address = loopback(port);
    int fd = new_socket();
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS)
        die("connect to port %d: %s", port, strerror(errno));
    end_accepted(e, poller, fd);
}

bool end_read(struct end *e)
{
    static char buffer[READ_BYTES];
    for (;;) {
        ssize_t n = recv(e->fd, buffer, sizeof buffer, 0);
        if (n > 0)
            bytes_add(&e->in, buffer, (size_t)n);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            return false;
        if (n < (ssize_t)sizeof buffer) /* what comes from here on is a new edge */
            return true;
    }
}

void end_flush(struct end *e)
{
    if (e->out.len == 0)
        return;
    ssize_t n = send(e->fd, e->out.data, e->out.len, MSG_NOSIGNAL);
    if (n > 0)
        bytes_drop(&e->out, (size_t)n);
}

void end_close(struct end *e)
{
    close(e->fd);
    bytes_free(&e->in);
    bytes_free(&e->out);
}

/* --- WebSocket --- */
bool take_head(struct bytes *in, struct bytes *head)
{
    struct span rest = span_find((struct span){ in->data, in->len }, "\r\n\r\n");
    if (!rest.data)
        return false;
    size_t len = (size_t)(rest.data - in->data) + 4;
    bytes_add(head, in->data, len);
    bytes_drop(in, len);
    return true;
}

void ws_add(struct bytes *out, bool masked, const char *text, size_t len)
{
    static const unsigned char no_mask[MASK_BYTES]; /* a mask of zeros is legal, and free */
    unsigned char head[MASK_BYTES] = { FRAME_FINAL_TEXT };
    bool small = len < FRAME_LEN_16;
    head[1] = (unsigned char)((masked ? FRAME_MASKED : 0) | (small ? len : FRAME_LEN_16));
    head[2] = (unsigned char)(len >> 8);
    head[3] = (unsigned char)len;
    bytes_add(out, head, small ? 2 : 4);
    if (masked)
        bytes_add(out, no_mask, MASK_BYTES);
    bytes_add(out, text, len);
}

size_t ws_peek(struct bytes *in, struct span *text_r)
{
    const unsigned char *head = (const unsigned char *)in->data;
    if (in->len < 2)
        return 0;
    if (head[0] != FRAME_FINAL_TEXT || (head[1] & ~FRAME_MASKED) > FRAME_LEN_16)
        die("a WebSocket frame that is no whole text of moderate size: %02x %02x", head[0], head[1]);
    size_t at = 2, len = head[1] & ~FRAME_MASKED;
    if (len == FRAME_LEN_16) {
        at = 4;
        if (in->len < at)
            return 0;
        len = (size_t)head[2] << 8 | head[3];
    }
    size_t mask = at;
    at += head[1] & FRAME_MASKED ? MASK_BYTES : 0;
    if (in->len < at + len)
        return 0;
    for (size_t i = 0; at > mask && i < len; i++)
        in->data[at + i] ^= in->data[mask + i % MASK_BYTES];
    *text_r = (struct span){ in->data + at, len };
    return at + len;
}

bool ws_take_ping(struct bytes *in, struct bytes *out)
{
    static const char no_mask[MASK_BYTES];
    const unsigned char *head = (const unsigned char *)in->data;
    if (in->len < 2 || head[0] != FRAME_FINAL_PING || head[1] >= FRAME_LEN_16 || in->len < 2U + head[1])
        return false;
    const char pong[] = { (char)FRAME_FINAL_PONG, (char)(FRAME_MASKED | head[1]) };
    bytes_add(out, pong, sizeof pong);
    bytes_add(out, no_mask, sizeof no_mask);
    bytes_add(out, in->data + 2, head[1]);
    bytes_drop(in, 2U + head[1]);
    return true;
}
