/* loop.c: timers under the virtual clock, deferred calls, descriptors, posts
 * and signals, and what may be done from inside callbacks. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "plugin/base/clock.h"
#include "plugin/base/mem.h"
#include "plugin/net/timers.h"
#include "tests/unit/net_util.h"

#define MANY 501 /* a multiple of 3 */

static struct loop *loop;

static int set_up(void **state)
{
    (void)state;
    loop = net_loop_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    loop_free(&loop);
    assert_null(loop);
    return 0;
}

/* --- the heap --- */
static void assert_heap(const struct timers *t)
{
    for (size_t i = 0; i < t->len; i++) {
        assert_int_equal(t->heap[i]->slot, i + 1);
        if (i > 0)
            assert_true(t->heap[(i - 1) / 2]->due_ms <= t->heap[i]->due_ms);
    }
}

static void test_heap_orders(void **state)
{
    struct timers t = {0};
    struct timer timer[MANY] = {0};
    int64_t last = -1;
    unsigned seed = 7;

    (void)state;
    for (int i = 0; i < MANY; i++) {
        timer[i].due_ms = rand_r(&seed) % 100;
        timers_put(&t, &timer[i]);
        assert_heap(&t);
    }
    for (int i = 0; i < MANY; i += 3) { /* move some, remove some */
        timer[i].due_ms = rand_r(&seed) % 100;
        timers_put(&t, &timer[i]);
        timers_remove(&t, &timer[i + 1]);
        assert_heap(&t);
    }
    while (timers_first(&t)) {
        struct timer *first = timers_first(&t);

        assert_true(first->due_ms >= last);
        last = first->due_ms;
        timers_remove(&t, first);
        assert_int_equal(first->slot, 0);
    }
    timers_fini(&t);
}

static void test_heap_counts_due(void **state)
{
    struct timers t = {0};
    struct timer timer[10] = {0};

    (void)state;
    for (int i = 0; i < 10; i++) {
        timer[i].due_ms = i * 10;
        timers_put(&t, &timer[i]);
    }
    assert_int_equal(timers_due(&t, -1), 0);
    assert_int_equal(timers_due(&t, 0), 1);
    assert_int_equal(timers_due(&t, 49), 5);
    assert_int_equal(timers_due(&t, 50), 6);
    assert_int_equal(timers_due(&t, 1000), 10);
    timers_fini(&t);
}

/* --- timers; the clock stands still in this program from the first of these tests on --- */
struct ticker {
    struct timer timer;
    int fired;
    int64_t again_ms; /* negative: not */
    struct timer *cancels;
};

static void on_tick(void *arg)
{
    struct ticker *t = arg;

    t->fired++;
    if (t->again_ms >= 0)
        timer_set(&t->timer, t->again_ms);
    if (t->cancels)
        timer_cancel(t->cancels);
}

static void ticker_init(struct ticker *t)
{
    *t = (struct ticker){.again_ms = -1};
    timer_init(&t->timer, loop, on_tick, t);
}

static void test_timer_fires_when_due(void **state)
{
    struct ticker t;

    (void)state;
    ticker_init(&t);
    assert_false(timer_pending(&t.timer));
    timer_set(&t.timer, 100);
    assert_true(timer_pending(&t.timer));
    loop_turn(loop, false);
    clock_test_advance(99);
    loop_turn(loop, false);
    assert_int_equal(t.fired, 0);
    clock_test_advance(1);
    loop_turn(loop, false);
    assert_int_equal(t.fired, 1);
    assert_false(timer_pending(&t.timer));
    clock_test_advance(1000);
    loop_turn(loop, false);
    assert_int_equal(t.fired, 1);
}

static void test_timer_set_again_moves(void **state)
{
    struct ticker t;

    (void)state;
    ticker_init(&t);
    timer_set(&t.timer, 100);
    timer_set(&t.timer, 300);
    clock_test_advance(200);
    loop_turn(loop, false);
    assert_int_equal(t.fired, 0);
    timer_set(&t.timer, 10);
    clock_test_advance(10);
    loop_turn(loop, false);
    assert_int_equal(t.fired, 1);
}

static void test_timer_cancel(void **state)
{
    struct ticker a, b;
    struct timer zeroed = {0};

    (void)state;
    timer_cancel(&zeroed);
    ticker_init(&a);
    ticker_init(&b);
    timer_cancel(&a.timer);
    timer_set(&a.timer, 5);
    timer_cancel(&a.timer);
    timer_cancel(&a.timer);
    timer_set(&a.timer, 5); /* fires first and cancels the other, due in the same turn */
    timer_set(&b.timer, 6);
    a.cancels = &b.timer;
    clock_test_advance(10);
    loop_turn(loop, false);
    assert_int_equal(a.fired, 1);
    assert_int_equal(b.fired, 0);
}

static void test_timer_that_sets_itself_lets_the_turn_end(void **state)
{
    struct ticker t;

    (void)state;
    ticker_init(&t);
    t.again_ms = 0;
    timer_set(&t.timer, -5);
    for (int i = 1; i <= 3; i++) {
        loop_turn(loop, true); /* does not wait: it is due */
        assert_int_equal(t.fired, i);
    }
    timer_cancel(&t.timer);
}

static void test_many_timers(void **state)
{
    struct ticker *t = mem_array(MANY, sizeof *t);
    unsigned seed = 3;

    (void)state;
    for (int i = 0; i < MANY; i++) {
        ticker_init(&t[i]);
        timer_set(&t[i].timer, rand_r(&seed) % 1000);
    }
    clock_test_advance(1000);
    loop_turn(loop, false);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(t[i].fired, 1);
    free(t);
}

/* --- deferred calls --- */
struct deferred {
    struct defer defer;
    int called;
    bool again;
    struct defer *cancels;
};

static void on_deferred(void *arg)
{
    struct deferred *d = arg;

    d->called++;
    if (d->again)
        defer_set(&d->defer);
    if (d->cancels)
        defer_cancel(d->cancels);
}

static void deferred_init(struct deferred *d)
{
    *d = (struct deferred){0};
    defer_init(&d->defer, loop, on_deferred, d);
}

static void test_defer_is_one_call(void **state)
{
    struct deferred d;

    (void)state;
    deferred_init(&d);
    defer_set(&d.defer);
    defer_set(&d.defer);
    assert_int_equal(d.called, 0);
    loop_turn(loop, true); /* does not wait: somebody is waiting for it */
    loop_turn(loop, false);
    assert_int_equal(d.called, 1);
}

static void test_defer_again_comes_in_the_next_turn(void **state)
{
    struct deferred d;

    (void)state;
    deferred_init(&d);
    d.again = true;
    defer_set(&d.defer);
    for (int i = 1; i <= 3; i++) {
        loop_turn(loop, true);
        assert_int_equal(d.called, i);
    }
    defer_cancel(&d.defer);
    defer_cancel(&d.defer);
    loop_turn(loop, false);
    assert_int_equal(d.called, 3);
}

static void test_defer_cancels_one_that_is_about_to_run(void **state)
{
    struct deferred a, b;

    (void)state;
    deferred_init(&a);
    deferred_init(&b);
    a.cancels = &b.defer;
    defer_set(&a.defer);
    defer_set(&b.defer);
    loop_turn(loop, false);
    assert_int_equal(a.called, 1);
    assert_int_equal(b.called, 0);
}

static int frees_in_order;

static void count_free(void *p)
{
    struct deferred *d = p;

    frees_in_order += d->called; /* the deferred call came first */
    free(d);
}

static void test_free_comes_after_deferred_calls(void **state)
{
    struct deferred *d = mem_alloc(sizeof *d);

    (void)state;
    frees_in_order = 0;
    deferred_init(d);
    loop_free_later(loop, d, count_free);
    defer_set(&d->defer);
    loop_turn(loop, false);
    assert_int_equal(frees_in_order, 1);
    loop_free_later(loop, mem_alloc(16), free); /* loop_free() runs it */
}

/* --- descriptors --- */
struct pipe_end {
    int fd[2];
    struct watch *watch;
    struct pipe_end *kills; /* frees that one's watch, too */
    unsigned events;
    int calls;
    bool called;
};

static void on_pipe(void *arg, unsigned events)
{
    struct pipe_end *p = arg;

    p->events = events;
    p->calls++;
    p->called = true;
    if (p->kills) {
        watch_free(&p->kills->watch);
        watch_free(&p->watch);
    }
}

static void pipe_open(struct pipe_end *p)
{
    *p = (struct pipe_end){0};
    assert_int_equal(pipe2(p->fd, O_CLOEXEC | O_NONBLOCK), 0);
    p->watch = watch_new(loop, p->fd[0], WATCH_READ, on_pipe, p);
    assert_non_null(p->watch);
}

static void pipe_close(struct pipe_end *p)
{
    watch_free(&p->watch);
    close(p->fd[0]);
    if (p->fd[1] >= 0)
        close(p->fd[1]);
}

static void test_watch(void **state)
{
    struct pipe_end p;

    (void)state;
    pipe_open(&p);
    net_turns(loop, 2);
    assert_int_equal(p.calls, 0);
    assert_int_equal(write(p.fd[1], "x", 1), 1);
    net_until(loop, &p.called);
    assert_int_equal(p.events, WATCH_READ);
    loop_turn(loop, false); /* level-triggered */
    assert_true(p.calls >= 2);
    watch_set(p.watch, 0);
    p.calls = 0;
    net_turns(loop, 3);
    assert_int_equal(p.calls, 0);
    watch_set(p.watch, WATCH_READ);
    p.called = false;
    net_until(loop, &p.called);
    pipe_close(&p);
}

static void test_watch_tells_of_the_end(void **state)
{
    struct pipe_end p;

    (void)state;
    pipe_open(&p);
    close(p.fd[1]);
    p.fd[1] = -1;
    net_until(loop, &p.called);
    assert_true(p.events & WATCH_READ);
    assert_true(p.events & WATCH_ERROR);
    pipe_close(&p);
}

static void test_watch_freed_by_another_in_the_same_turn(void **state)
{
    struct pipe_end a, b;

    (void)state;
    pipe_open(&a);
    pipe_open(&b);
    a.kills = &b;
    b.kills = &a;
    assert_int_equal(write(a.fd[1], "x", 1), 1);
    assert_int_equal(write(b.fd[1], "x", 1), 1);
    net_turns(loop, 3);
    assert_int_equal(a.calls + b.calls, 1);
    pipe_close(&a);
    pipe_close(&b);
}

static void test_watch_refuses_what_cannot_be_polled(void **state)
{
    FILE *file = tmpfile();
    struct pipe_end p = {0};

    (void)state;
    assert_non_null(file);
    assert_null(watch_new(loop, fileno(file), WATCH_READ, on_pipe, &p));
    assert_int_equal(errno, EPERM);
    assert_null(watch_new(loop, -1, WATCH_READ, on_pipe, &p));
    fclose(file);
}

/* --- posts --- */
#define POSTS 2000

struct parcel {
    struct post post;
    int number;
};

static int next_number;
static bool all_came, from_loop_thread;
static pthread_t loop_thread;

static void on_parcel(struct post *post)
{
    struct parcel *p = (struct parcel *)post;

    assert_int_equal(p->number, next_number);
    next_number++;
    from_loop_thread = pthread_equal(pthread_self(), loop_thread) != 0;
    all_came = next_number == POSTS;
    free(p);
}

static void *post_all(void *arg)
{
    for (int i = 0; i < POSTS; i++) {
        struct parcel *p = mem_alloc(sizeof *p);

        p->post.fn = on_parcel;
        p->number = i;
        loop_post(arg, &p->post);
    }
    return NULL;
}

static void test_posts_keep_their_order(void **state)
{
    pthread_t thread;

    (void)state;
    next_number = 0;
    all_came = false;
    loop_thread = pthread_self();
    assert_int_equal(pthread_create(&thread, NULL, post_all, loop), 0);
    while (!all_came)
        loop_turn(loop, true); /* the posts wake it */
    pthread_join(thread, NULL);
    assert_true(from_loop_thread);
}

static void stop_from_post(struct post *post)
{
    (void)post;
    loop_stop(loop);
}

static void test_run_and_stop(void **state)
{
    struct post post = {.fn = stop_from_post};
    uint64_t before = loop_turns(loop);

    (void)state;
    loop_post(loop, &post);
    loop_run(loop);
    assert_true(loop_turns(loop) > before);
    loop_stop(loop); /* before it runs: it does not */
    before = loop_turns(loop);
    loop_run(loop);
    assert_int_equal(loop_turns(loop), before);
}

/* --- signals --- */
static int got_signo;
static bool got_signal;

static void on_signal(void *arg, int signo)
{
    (void)arg;
    got_signo = signo;
    got_signal = true;
}

static void test_signals_come_through_the_loop(void **state)
{
    const int signos[] = {SIGUSR1, SIGUSR2};
    struct err e = ERR_INIT;

    (void)state;
    got_signal = false;
    assert_int_equal(loop_signals(loop, signos, 2, on_signal, NULL, &e), ERR_OK);
    raise(SIGUSR2); /* blocked: does not kill us */
    assert_false(got_signal);
    net_until(loop, &got_signal);
    assert_int_equal(got_signo, SIGUSR2);
}

/* --- descriptors allowed --- */
static void test_fd_limit(void **state)
{
    struct rlimit lim;
    struct loop *other;
    struct err e = ERR_INIT;

    (void)state;
    assert_int_equal(loop_new(300, &other, &e), ERR_OK);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &lim), 0);
    assert_true(lim.rlim_cur >= 300 && lim.rlim_cur < 400);
    loop_free(&other);
}

/* A soft limit of 1024 is what most sessions begin with, and the web chat's own is 10,000. */
static void test_fd_limit_unasked(void **state)
{
    struct rlimit before, lim;
    struct loop *other;
    struct err e = ERR_INIT;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    lim = before;
    lim.rlim_cur = 1024;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &lim), 0);
    assert_int_equal(loop_new(0, &other, &e), ERR_OK);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &lim), 0);
    assert_int_equal(lim.rlim_cur, lim.rlim_max < 16384 ? lim.rlim_max : 16384);
    loop_free(&other);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

/* --- real time --- */
static void test_timer_in_real_time(void **state)
{
    struct ticker t;
    int64_t start = clock_mono_ms();

    (void)state;
    ticker_init(&t);
    timer_set(&t.timer, 30);
    while (t.fired == 0)
        loop_turn(loop, true);
    assert_true(clock_mono_ms() - start >= 30);
    assert_true(clock_mono_ms() - start < NET_PATIENCE_MS);
}

static void test_alarm_follows_the_soonest(void **state)
{
    struct ticker late, soon;

    (void)state;
    ticker_init(&late);
    ticker_init(&soon);
    timer_set(&late.timer, 60);
    loop_turn(loop, false);
    timer_set(&soon.timer, 10);
    while (soon.fired == 0)
        loop_turn(loop, true);
    assert_int_equal(late.fired, 0);
    while (late.fired == 0)
        loop_turn(loop, true);
}

int main(void)
{
    const struct CMUnitTest real[] = {
        cmocka_unit_test_setup_teardown(test_watch, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_watch_tells_of_the_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_watch_freed_by_another_in_the_same_turn, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_watch_refuses_what_cannot_be_polled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_posts_keep_their_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_run_and_stop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_signals_come_through_the_loop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_timer_in_real_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_alarm_follows_the_soonest, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fd_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fd_limit_unasked, set_up, tear_down),
    };
    const struct CMUnitTest frozen[] = {
        cmocka_unit_test(test_heap_orders),
        cmocka_unit_test(test_heap_counts_due),
        cmocka_unit_test_setup_teardown(test_timer_fires_when_due, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_timer_set_again_moves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_timer_cancel, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_timer_that_sets_itself_lets_the_turn_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_timers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_defer_is_one_call, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_defer_again_comes_in_the_next_turn, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_defer_cancels_one_that_is_about_to_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_free_comes_after_deferred_calls, set_up, tear_down),
    };
    int failed = cmocka_run_group_tests(real, NULL, NULL);

    clock_test_freeze(1000);
    return failed + cmocka_run_group_tests(frozen, NULL, NULL);
}
