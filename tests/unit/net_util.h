/* net_util.h: for the tests of plugin/net: a loop that gives up, a socket that
 * says exactly what it is told to, and a server that answers from a script. */
#ifndef WARBLER_TESTS_NET_UTIL_H
#define WARBLER_TESTS_NET_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plugin/base/buf.h"
#include "plugin/net/loop.h"

#define NET_PATIENCE_MS 30000

struct loop *net_loop_new(void);

/* Turns until *done or, failing the test, for NET_PATIENCE_MS. */
void net_until(struct loop *loop, const bool *done);
void net_turns(struct loop *loop, int n); /* without waiting */
void net_sleeps(struct loop *loop); /* fails if what is open keeps the loop busy; not under the virtual clock */

/* --- a client's socket --- */
struct tcp {
    struct loop *loop;
    int fd;
    struct watch *watch;
    struct buf in; /* all that came */
    bool eof;
    bool reset; /* the peer cut it */
};

void tcp_open(struct tcp *r, struct loop *loop, int port);
void tcp_close(struct tcp *r);
void tcp_send(struct tcp *r, const void *data, size_t len);
void tcp_says(struct tcp *r, const char *text);
void tcp_until(struct tcp *r, const char *part); /* what came contains it */
void tcp_until_bytes(struct tcp *r, size_t len);
void tcp_until_eof(struct tcp *r);

/* --- a server --- */
/* How the next request is answered, on whichever connection it comes. */
struct step {
    const char *reply; /* NULL: never answer */
    bool close;        /* after the reply */
    bool reset;        /* cut the connection instead of closing it */
};

struct script_conn {
    struct script *script;
    int fd;
    struct watch *watch;
    struct script_conn *next, *prev;
};

struct script {
    struct loop *loop;
    int fd, port;
    struct watch *watch;
    const struct step *steps;
    size_t next;          /* step */
    unsigned connections; /* accepted so far */
    struct buf got;       /* of all connections */
    struct script_conn *conns; /* that are open */
};

void script_start(struct script *s, struct loop *loop, const struct step *steps);
void script_says(struct script *s, const char *text); /* on the newest connection */
void script_stop(struct script *s);

#endif
