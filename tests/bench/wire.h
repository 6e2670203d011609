/* wire.h: what the floor and the load generator have in common: bytes, sockets
 * on epoll, WebSocket frames, and as much JSON as both ends of a benchmark
 * need. Only the C library below.
 *
 * Texts of JSON are never unescaped: they are compared and passed on as they
 * stand between their quotes. A system call that fails ends the program. */
#ifndef WARBLER_BENCH_WIRE_H
#define WARBLER_BENCH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
int64_t now_ns(void); /* CLOCK_MONOTONIC */

/* --- bytes --- */
struct bytes {
    char *data;
    size_t len, cap;
};

/* Part of somebody else's bytes. data NULL: not there. */
struct span {
    const char *data;
    size_t len;
};

void bytes_add(struct bytes *b, const void *data, size_t len);
void bytes_addf(struct bytes *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void bytes_drop(struct bytes *b, size_t n); /* from the front */
void bytes_free(struct bytes *b);

struct span span_of(const char *str);
bool span_is(struct span s, const char *str);
struct span span_find(struct span in, const char *what); /* from what to the end of in */
struct span json_string(struct span json, const char *key); /* the first member of that name */

/* --- sockets --- */
struct end {
    int fd;
    struct bytes in, out;
};

void allow_many_files(void);
int listen_loopback(int *port_r);
/* Non-blocking, both directions watched by the edge. What epoll_wait() gives is the end. */
void end_connect(struct end *e, int poller, int port);
void end_accepted(struct end *e, int poller, int fd);
bool end_read(struct end *e);  /* all there is, into `in`; false: the peer has closed */
void end_flush(struct end *e); /* what fits of `out`; the rest when the socket is writable */
void end_close(struct end *e);

/* --- WebSocket (RFC 6455) --- */
#define WS_KEY "dGhlIHNhbXBsZSBub25jZQ=="

/* Takes the head of an HTTP message off `in`. False: not all there yet. */
bool take_head(struct bytes *in, struct bytes *head);
void ws_add(struct bytes *out, bool masked, const char *text, size_t len);
/* The payload of the text frame at the beginning, unmasked in place, and its
 * size with the header. 0: not all there yet. Anything but a whole text
 * message below 64 KiB ends the program: nobody here sends it. */
size_t ws_peek(struct bytes *in, struct span *text_r);

/* True: a ping stood first, and its masked answer is in out. */
bool ws_take_ping(struct bytes *in, struct bytes *out);

#endif
