/* poller.h: readiness of descriptors, one wake-up timer, wake-ups from other
 * threads and signals: what loop.c needs of the operating system, and the seam
 * for others than Linux. Loop thread only, but for poller_wake(). */
#ifndef WARBLER_NET_POLLER_H
#define WARBLER_NET_POLLER_H

#include <stddef.h>
#include <stdint.h>

#include "plugin/base/err.h"

struct poller;

struct poller_handler {
    void (*ready)(void *arg, void *tag, unsigned events); /* WATCH_* of loop.h */
    void (*woken)(void *arg);                             /* poller_wake() was called, once or more */
    void (*signal)(void *arg, int signo);
};

enum err_code poller_new(const struct poller_handler *handler, void *arg, struct poller **poller_r, struct err *e);
void poller_free(struct poller **poller);

/* Readable whenever poller_dispatch() has something to do. */
int poller_fd(const struct poller *p);
/* Calls the handler for what is ready now, at most POLLER_BATCH descriptors. Never waits. */
void poller_dispatch(struct poller *p);

#define POLLER_BATCH 256

/* 0, or -1 with errno. tag comes back in ready(), also once more after a
 * poller_del() in the same poller_dispatch(). */
int poller_add(struct poller *p, int fd, unsigned events, void *tag);
int poller_mod(struct poller *p, int fd, unsigned events, void *tag);
void poller_del(struct poller *p, int fd);

/* Makes poller_fd() readable after that time, once; negative: never. */
void poller_alarm(struct poller *p, int64_t delay_ms);

void poller_wake(struct poller *p); /* any thread */

enum err_code poller_signals(struct poller *p, const int *signos, size_t n, struct err *e);

#endif
