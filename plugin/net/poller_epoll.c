#include "plugin/net/poller.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "plugin/base/mem.h"
#include "plugin/net/loop.h"

struct poller {
    const struct poller_handler *handler;
    void *arg;
    int epoll_fd;
    int timer_fd;
    int wake_fd;
    int signal_fd; /* -1 until poller_signals() */
};

static int open_all(struct poller *p)
{
    p->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    p->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    p->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (p->epoll_fd < 0 || p->timer_fd < 0 || p->wake_fd < 0)
        return -1;
    /* Our own descriptors are told from the watches by a tag that points into the poller. */
    if (poller_add(p, p->timer_fd, WATCH_READ, &p->timer_fd) != 0)
        return -1;
    return poller_add(p, p->wake_fd, WATCH_READ, &p->wake_fd);
}

enum err_code poller_new(const struct poller_handler *handler, void *arg, struct poller **poller_r, struct err *e)
{
    struct poller *p = mem_alloc(sizeof *p);

    p->handler = handler;
    p->arg = arg;
    p->epoll_fd = p->timer_fd = p->wake_fd = p->signal_fd = -1;
    if (open_all(p) != 0) {
        err_set(e, ERR_IO, "event loop: %s", strerror(errno));
        poller_free(&p);
        return ERR_IO;
    }
    *poller_r = p;
    return ERR_OK;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

void poller_free(struct poller **poller)
{
    struct poller *p = *poller;

    if (!p)
        return;
    close_fd(p->signal_fd);
    close_fd(p->wake_fd);
    close_fd(p->timer_fd);
    close_fd(p->epoll_fd);
    free(p);
    *poller = NULL;
}

int poller_fd(const struct poller *p)
{
    return p->epoll_fd;
}

static uint32_t to_epoll(unsigned events)
{
    uint32_t ev = 0;

    if (events & WATCH_READ)
        ev |= EPOLLIN;
    if (events & WATCH_WRITE)
        ev |= EPOLLOUT;
    return ev;
}

static unsigned from_epoll(uint32_t ev)
{
    unsigned events = 0;

    if (ev & (EPOLLIN | EPOLLHUP))
        events |= WATCH_READ;
    if (ev & EPOLLOUT)
        events |= WATCH_WRITE;
    if (ev & (EPOLLERR | EPOLLHUP))
        events |= WATCH_ERROR;
    return events;
}

static int control(struct poller *p, int op, int fd, unsigned events, void *tag)
{
    struct epoll_event ev = {.events = to_epoll(events), .data.ptr = tag};

    return epoll_ctl(p->epoll_fd, op, fd, &ev);
}

int poller_add(struct poller *p, int fd, unsigned events, void *tag)
{
    return control(p, EPOLL_CTL_ADD, fd, events, tag);
}

int poller_mod(struct poller *p, int fd, unsigned events, void *tag)
{
    return control(p, EPOLL_CTL_MOD, fd, events, tag);
}

void poller_del(struct poller *p, int fd)
{
    control(p, EPOLL_CTL_DEL, fd, 0, NULL);
}

/* Timer and wake-up descriptors hold a counter that one read clears. */
static void clear_counter(int fd)
{
    uint64_t n;

    while (read(fd, &n, sizeof n) < 0 && errno == EINTR)
        ;
}

static void read_signals(struct poller *p)
{
    struct signalfd_siginfo info;

    while (read(p->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
        p->handler->signal(p->arg, (int)info.ssi_signo);
}

void poller_dispatch(struct poller *p)
{
    struct epoll_event ev[POLLER_BATCH];
    int n = epoll_wait(p->epoll_fd, ev, POLLER_BATCH, 0);

    for (int i = 0; i < n; i++) {
        void *tag = ev[i].data.ptr;

        if (tag == &p->timer_fd) {
            clear_counter(p->timer_fd);
        } else if (tag == &p->wake_fd) {
            clear_counter(p->wake_fd);
            p->handler->woken(p->arg);
        } else if (tag == &p->signal_fd) {
            read_signals(p);
        } else {
            p->handler->ready(p->arg, tag, from_epoll(ev[i].events));
        }
    }
}

void poller_alarm(struct poller *p, int64_t delay_ms)
{
    struct itimerspec spec = {.it_value = {0, 0}};

    if (delay_ms >= 0) {
        spec.it_value.tv_sec = (time_t)(delay_ms / 1000);
        spec.it_value.tv_nsec = (long)(delay_ms % 1000) * 1000000L;
        if (delay_ms == 0)
            spec.it_value.tv_nsec = 1; /* zero would disarm */
    }
    timerfd_settime(p->timer_fd, 0, &spec, NULL);
}

void poller_wake(struct poller *p)
{
    uint64_t one = 1;

    while (write(p->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

enum err_code poller_signals(struct poller *p, const int *signos, size_t n, struct err *e)
{
    sigset_t set;
    int fd;

    sigemptyset(&set);
    for (size_t i = 0; i < n; i++)
        sigaddset(&set, signos[i]);
    errno = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (errno != 0)
        return err_set(e, ERR_IO, "signals: %s", strerror(errno));
    fd = signalfd(p->signal_fd, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        return err_set(e, ERR_IO, "signals: %s", strerror(errno));
    if (p->signal_fd < 0 && poller_add(p, fd, WATCH_READ, &p->signal_fd) != 0) {
        close(fd);
        return err_set(e, ERR_IO, "signals: %s", strerror(errno));
    }
    p->signal_fd = fd;
    return ERR_OK;
}
