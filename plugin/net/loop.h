/* loop.h: the one event loop.
 *
 * Everything that talks to the network runs in the thread that calls
 * loop_run(). Callbacks are called from loop_run() only, never from inside a
 * function of this header. Every registration is an object of its owner, who
 * cancels it before the memory goes away. Not thread-safe but for loop_post().
 *
 * Beneath: libwebsockets' poll is the host; one private epoll descriptor is
 * adopted into it and holds every other descriptor, the timer and the wake-up
 * (Linux; net/poller.h is the seam for other systems). */
#ifndef WARBLER_NET_LOOP_H
#define WARBLER_NET_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin/base/err.h"

struct loop;

/* fd_limit: the most descriptors that the process will hold open; 0 takes the
 * hard RLIMIT_NOFILE, but no more than 16384. The loop's thread is the one that
 * calls this. SIGPIPE is ignored from then on. */
enum err_code loop_new(int fd_limit, struct loop **loop_r, struct err *e);
void loop_free(struct loop **loop); /* every registration must be gone; runs what is posted and loop_free_later */

void loop_run(struct loop *loop);   /* until loop_stop() */
void loop_stop(struct loop *loop);  /* loop_run() returns after the current turn */
void loop_turn(struct loop *loop, bool wait); /* one turn, for tests and tools */
uint64_t loop_turns(const struct loop *loop); /* turns made so far: a watchdog's pulse */

/* --- timers: millisecond deadlines on the monotonic clock (base/clock.h) --- */
struct timer {
    struct loop *loop;
    void (*fn)(void *arg);
    void *arg;
    int64_t due_ms;
    size_t slot; /* private: place in the heap + 1; 0 when not set */
};
void timer_init(struct timer *t, struct loop *loop, void (*fn)(void *arg), void *arg);
void timer_set(struct timer *t, int64_t delay_ms); /* one shot; setting again moves it */
void timer_cancel(struct timer *t);                /* legal on a zeroed or unset timer */
bool timer_pending(const struct timer *t);

/* --- deferred calls: once, at the end of the current turn (or of the next, if
 * asked for outside a turn). Asking again before that is one call. A deferred
 * call may defer again: that one comes in the next turn, which then does not
 * wait. --- */
struct defer {
    struct loop *loop;
    void (*fn)(void *arg);
    void *arg;
    struct defer *next, *prev; /* private */
    bool pending;              /* private */
};
void defer_init(struct defer *d, struct loop *loop, void (*fn)(void *arg), void *arg);
void defer_set(struct defer *d);
void defer_cancel(struct defer *d);

/* The one deferred free: nothing is freed inside its own callback. free_fn(p)
 * runs at the end of the turn, after the deferred calls. */
void loop_free_later(struct loop *loop, void *p, void (*free_fn)(void *p));

/* --- descriptors (level-triggered). The owner closes fd after watch_free. --- */
#define WATCH_READ 1U
#define WATCH_WRITE 2U
#define WATCH_ERROR 4U /* only reported */
struct watch;
struct watch *watch_new(struct loop *loop, int fd, unsigned events, void (*fn)(void *arg, unsigned events),
                        void *arg); /* NULL if the poller refuses fd (errno set) */
void watch_set(struct watch *w, unsigned events);
void watch_free(struct watch **w); /* NULL-safe; legal inside its own callback */

/* --- signals: blocked in every thread, delivered here --- */
/* Call before any thread is started. fn gets the signal's number. */
enum err_code loop_signals(struct loop *loop, const int *signos, size_t n, void (*fn)(void *arg, int signo), void *arg,
                           struct err *e);

/* --- results from other threads --- */
struct post {
    void (*fn)(struct post *post);
    struct post *next; /* private */
};
/* Any thread. fn(post) runs in the loop's thread; posts of one thread keep
 * their order. The post belongs to the loop until fn is called. */
void loop_post(struct loop *loop, struct post *post);

#endif
