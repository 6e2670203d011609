#include "plugin/net/loop.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "plugin/base/clock.h"
#include "plugin/base/mem.h"
#include "plugin/net/dns.h"
#include "plugin/net/loop_private.h"
#include "plugin/net/lws_crowd.h"
#include "plugin/net/lws_host.h"
#include "plugin/net/poller.h"
#include "plugin/net/timers.h"

#define ALARM_NEVER INT64_MAX

struct free_later {
    void *p;
    void (*fn)(void *p);
    struct free_later *next;
};

struct loop {
    struct poller *poller;
    struct lws_host *lws;
    struct lws_crowd *crowd; /* NULL until somebody asks, as dns */
    struct dns *dns;
    struct timers timers;
    int64_t alarm_ms;        /* when the poller wakes us; ALARM_NEVER: not set */
    struct defer deferred;   /* ring of what was asked for; the head is no member */
    struct defer running;    /* ring of what this turn still has to call */
    struct free_later *frees;
    void (*on_signal)(void *arg, int signo);
    void *signal_arg;
    uint64_t turns;
    bool stop;

    pthread_mutex_t lock; /* guards the posts */
    struct post *posts, **posts_end;
};

struct watch {
    struct loop *loop;
    void (*fn)(void *arg, unsigned events); /* NULL: freed, waiting for the end of the turn */
    void *arg;
    int fd;
    unsigned events;
};

/* --- life --- */
static void ring_init(struct defer *head)
{
    head->next = head->prev = head;
}

static bool ring_empty(const struct defer *head)
{
    return head->next == head;
}

static void on_ready(void *arg, void *tag, unsigned events)
{
    struct watch *w = tag;

    (void)arg;
    if (w->fn)
        w->fn(w->arg, events);
}

static void on_woken(void *arg)
{
    struct loop *loop = arg;
    struct post *post;

    pthread_mutex_lock(&loop->lock);
    post = loop->posts;
    loop->posts = NULL;
    loop->posts_end = &loop->posts;
    pthread_mutex_unlock(&loop->lock);
    while (post) {
        struct post *next = post->next; /* fn may free or post again */

        post->fn(post);
        post = next;
    }
}

static void on_signal(void *arg, int signo)
{
    struct loop *loop = arg;

    loop->on_signal(loop->signal_arg, signo);
}

static void on_poller(void *arg)
{
    struct loop *loop = arg;

    poller_dispatch(loop->poller);
}

enum err_code loop_new(int fd_limit, struct loop **loop_r, struct err *e)
{
    static const struct poller_handler handler = {on_ready, on_woken, on_signal};
    struct loop *loop = mem_alloc(sizeof *loop);
    enum err_code code;

    ring_init(&loop->deferred);
    ring_init(&loop->running);
    loop->alarm_ms = ALARM_NEVER;
    loop->posts_end = &loop->posts;
    pthread_mutex_init(&loop->lock, NULL);
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes to sockets that may be gone */
    code = poller_new(&handler, loop, &loop->poller, e);
    if (code == ERR_OK)
        code = lws_host_new(fd_limit, poller_fd(loop->poller), on_poller, loop, &loop->lws, e);
    if (code != ERR_OK)
        loop_free(&loop);
    *loop_r = loop;
    return code;
}

static void run_frees(struct loop *loop)
{
    while (loop->frees) {
        struct free_later *f = loop->frees;

        loop->frees = f->next;
        f->fn(f->p);
        free(f);
    }
}

void loop_free(struct loop **loop)
{
    struct loop *l = *loop;

    if (!l)
        return;
    on_woken(l); /* who posts may have ended without waiting for the loop to look */
    dns_free(&l->dns);
    lws_crowd_free(&l->crowd);
    assert(!timers_first(&l->timers) && ring_empty(&l->deferred));
    lws_host_free(&l->lws);
    run_frees(l);
    poller_free(&l->poller);
    timers_fini(&l->timers);
    pthread_mutex_destroy(&l->lock);
    free(l);
    *loop = NULL;
}

struct lws_host *loop_lws(struct loop *loop)
{
    return loop->lws;
}

struct lws_crowd *loop_crowd(struct loop *loop)
{
    if (!loop->crowd)
        loop->crowd = lws_crowd_new(loop);
    return loop->crowd;
}

struct dns *loop_dns(struct loop *loop)
{
    if (!loop->dns)
        loop->dns = dns_new(loop);
    return loop->dns;
}

/* --- turns --- */
static void run_timers(struct loop *loop)
{
    int64_t now = clock_mono_ms();
    struct timer *t;

    /* The count keeps a timer that sets itself to now from holding the turn. */
    for (size_t n = timers_due(&loop->timers, now); n > 0; n--) {
        t = timers_first(&loop->timers);
        if (!t || t->due_ms > now)
            break;
        timers_remove(&loop->timers, t);
        t->fn(t->arg);
    }
}

static void ring_remove(struct defer *d)
{
    d->prev->next = d->next;
    d->next->prev = d->prev;
    d->next = d->prev = NULL;
}

static void run_deferred(struct loop *loop)
{
    struct defer *from = &loop->deferred, *to = &loop->running;

    if (ring_empty(from))
        return;
    to->next = from->next;
    to->prev = from->prev;
    to->next->prev = to->prev->next = to;
    ring_init(from);
    while (!ring_empty(to)) {
        struct defer *d = to->next;

        ring_remove(d);
        d->pending = false;
        d->fn(d->arg);
    }
}

static bool must_not_wait(const struct loop *loop)
{
    const struct timer *first = timers_first(&loop->timers);

    return !ring_empty(&loop->deferred) || (first && first->due_ms <= clock_mono_ms());
}

static void set_alarm(struct loop *loop)
{
    const struct timer *first = timers_first(&loop->timers);
    int64_t now = clock_mono_ms();

    if (loop->alarm_ms <= now)
        loop->alarm_ms = ALARM_NEVER; /* it has gone off */
    /* One set too early costs one idle turn; setting it back each time costs a call per timer. */
    if (first && first->due_ms < loop->alarm_ms) {
        loop->alarm_ms = first->due_ms;
        poller_alarm(loop->poller, first->due_ms > now ? first->due_ms - now : 0);
    }
}

void loop_turn(struct loop *loop, bool wait)
{
    wait = wait && !must_not_wait(loop);
    if (wait)
        set_alarm(loop);
    lws_host_service(loop->lws, wait); /* descriptors, WebSockets, signals, posts */
    run_timers(loop);
    run_deferred(loop);
    run_frees(loop);
    loop->turns++;
}

void loop_run(struct loop *loop)
{
    while (!loop->stop)
        loop_turn(loop, true);
    loop->stop = false;
}

void loop_stop(struct loop *loop)
{
    loop->stop = true;
}

uint64_t loop_turns(const struct loop *loop)
{
    return loop->turns;
}

/* --- timers --- */
void timer_init(struct timer *t, struct loop *loop, void (*fn)(void *arg), void *arg)
{
    *t = (struct timer){.loop = loop, .fn = fn, .arg = arg};
}

void timer_set(struct timer *t, int64_t delay_ms)
{
    t->due_ms = clock_mono_ms() + (delay_ms > 0 ? delay_ms : 0);
    timers_put(&t->loop->timers, t);
}

void timer_cancel(struct timer *t)
{
    if (t->slot)
        timers_remove(&t->loop->timers, t);
}

bool timer_pending(const struct timer *t)
{
    return t->slot != 0;
}

/* --- deferred calls and frees --- */
void defer_init(struct defer *d, struct loop *loop, void (*fn)(void *arg), void *arg)
{
    *d = (struct defer){.loop = loop, .fn = fn, .arg = arg};
}

void defer_set(struct defer *d)
{
    struct defer *head = &d->loop->deferred;

    if (d->pending)
        return;
    d->pending = true;
    d->prev = head->prev;
    d->next = head;
    head->prev->next = d;
    head->prev = d;
}

void defer_cancel(struct defer *d)
{
    if (!d->pending)
        return;
    d->pending = false;
    ring_remove(d);
}

void loop_free_later(struct loop *loop, void *p, void (*free_fn)(void *p))
{
    struct free_later *f = mem_alloc(sizeof *f);

    *f = (struct free_later){p, free_fn, loop->frees};
    loop->frees = f;
}

/* --- descriptors --- */
struct watch *watch_new(struct loop *loop, int fd, unsigned events, void (*fn)(void *arg, unsigned events), void *arg)
{
    struct watch *w = mem_alloc(sizeof *w);

    *w = (struct watch){loop, fn, arg, fd, events};
    if (poller_add(loop->poller, fd, events, w) != 0) {
        free(w);
        return NULL;
    }
    return w;
}

void watch_set(struct watch *w, unsigned events)
{
    if (events == w->events)
        return;
    w->events = events;
    poller_mod(w->loop->poller, w->fd, events, w);
}

void watch_free(struct watch **watch)
{
    struct watch *w = *watch;

    if (!w)
        return;
    poller_del(w->loop->poller, w->fd);
    w->fn = NULL;
    loop_free_later(w->loop, w, free);
    *watch = NULL;
}

/* --- signals and posts --- */
enum err_code loop_signals(struct loop *loop, const int *signos, size_t n, void (*fn)(void *arg, int signo), void *arg,
                           struct err *e)
{
    loop->on_signal = fn;
    loop->signal_arg = arg;
    return poller_signals(loop->poller, signos, n, e);
}

void loop_post(struct loop *loop, struct post *post)
{
    bool first;

    post->next = NULL;
    pthread_mutex_lock(&loop->lock);
    first = !loop->posts;
    *loop->posts_end = post;
    loop->posts_end = &post->next;
    pthread_mutex_unlock(&loop->lock);
    if (first)
        poller_wake(loop->poller);
}
