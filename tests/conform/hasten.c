/* hasten.c: a shared object for LD_PRELOAD under which time passes HASTEN times
 * faster, so that a test need not wait a minute for what a program does after a
 * minute. Monotonic time only: what is stored or shown keeps the world's clock.
 * It covers what this project's loop and libwebsockets wait with; a wait that
 * it does not know takes as long as ever. */
#include <dlfcn.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>

#define NS_PER_S INT64_C(1000000000)

static int64_t factor, begin_ns;

static void *next(const char *name)
{
    void *fn = dlsym(RTLD_NEXT, name);
    if (!fn)
        abort();
    return fn;
}

static int64_t to_ns(const struct timespec *t)
{
    return t->tv_sec * NS_PER_S + t->tv_nsec;
}

static void from_ns(struct timespec *t, int64_t ns)
{
    t->tv_sec = (time_t)(ns / NS_PER_S);
    t->tv_nsec = (long)(ns % NS_PER_S);
}

/* Others' constructors may ask for the time before ours has run. */
static void begin(const struct timespec *now)
{
    const char *text = getenv("HASTEN");
    factor = text ? strtoll(text, NULL, 10) : 1;
    if (factor < 1)
        abort();
    begin_ns = to_ns(now);
}

int clock_gettime(clockid_t id, struct timespec *t)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        *(void **)&real = next("clock_gettime");
    int rc = real(id, t);
    if (rc != 0 || id != CLOCK_MONOTONIC)
        return rc;
    if (factor == 0)
        begin(t);
    from_ns(t, begin_ns + (to_ns(t) - begin_ns) * factor);
    return 0;
}

static int64_t shorter(int64_t time)
{
    return factor > 1 && time > 0 ? (time + factor - 1) / factor : time;
}

/* Relative times, as the loop sets them. */
int timerfd_settime(int fd, int flags, const struct itimerspec *set, struct itimerspec *old)
{
    static int (*real)(int, int, const struct itimerspec *, struct itimerspec *);
    struct itimerspec s = *set;
    if (!real)
        *(void **)&real = next("timerfd_settime");
    if (flags & TFD_TIMER_ABSTIME)
        abort();
    from_ns(&s.it_value, shorter(to_ns(&set->it_value)));
    return real(fd, flags, &s, old);
}

int poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
    static int (*real)(struct pollfd *, nfds_t, int);
    if (!real)
        *(void **)&real = next("poll");
    return real(fds, n, (int)shorter(timeout_ms));
}
