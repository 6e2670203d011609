/* waitline.c: who is served after whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/model/waitline.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

#define WAITERS 64

/* "a b" joins a waiter of flow a, then one of b; "." serves one, "-3" lets the
 * fourth that joined leave. served: the numbers of the waiters, in order. */
static const struct {
    const char *script, *served;
} cases[] = {
    {"", ""},
    {".", "_"},
    {"a a a . . . .", "0 1 2 _"},
    {"a a a b c . . . . .", "0 3 4 1 2"},
    {"a a a a b b . . . . . .", "0 4 1 5 2 3"},
    {"a a . b . .", "0 1 2"}, /* b comes after those that are there */
    {"a a b . . a . .", "0 2 1 3"},
    {"a b -0 . .", "1 _"},
    {"a a b -0 . .", "1 2"},
    {"a b -1 -1 . .", "0 _"},
    {"a b . -0 .", "0 1"}, /* who was served waits no more */
    {"a -0 a . .", "1 _"},
    {"a a a a a a a a b . .", "0 8"},
};

static void play(struct waitline *l, struct waiter *w, const char *script, char *served, size_t size)
{
    size_t joined = 0, len = 0;
    for (const char *s = script; *s; s += strcspn(s, " "), s += *s == ' ') {
        char flow[8];
        snprintf(flow, sizeof flow, "%.*s", (int)strcspn(s, " "), s);
        if (*s == '-') {
            waitline_leave(l, &w[strtol(s + 1, NULL, 10)]);
        } else if (*s == '.') {
            struct waiter *first = waitline_first(l);
            assert_ptr_equal(waitline_next(l), first);
            assert_true(!first || !waitline_waits(first));
            len += (size_t)(first ? snprintf(served + len, size - len, "%s%td", len ? " " : "", first - w)
                                  : snprintf(served + len, size - len, "%s_", len ? " " : ""));
        } else {
            assert_true(waitline_join(l, &w[joined], flow));
            assert_true(waitline_waits(&w[joined++]));
        }
    }
}

static void test_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct waiter w[WAITERS] = {{.flow = NULL}};
        struct waitline l;
        char served[128] = "";
        waitline_init(&l, WAITERS, WAITERS);
        play(&l, w, cases[i].script, served, sizeof served);
        if (strcmp(served, cases[i].served) != 0)
            fail_msg("%s: %s", cases[i].script, served);
        waitline_fini(&l);
    }
}

static void test_limits(void **state)
{
    (void)state;
    struct waiter w[6] = {{.flow = NULL}};
    struct waitline l;
    waitline_init(&l, 3, 2);
    assert_true(waitline_join(&l, &w[0], "a"));
    assert_true(waitline_join(&l, &w[1], "a"));
    assert_false(waitline_join(&l, &w[2], "a"));
    assert_false(waitline_waits(&w[2]));
    assert_true(waitline_join(&l, &w[3], "b"));
    assert_false(waitline_join(&l, &w[4], "c"));
    assert_int_equal(l.n, 3);
    waitline_leave(&l, &w[0]);
    assert_int_equal(l.n, 2);
    assert_true(waitline_join(&l, &w[2], "a"));
    waitline_fini(&l);
    assert_int_equal(l.n, 0);
    for (size_t i = 0; i < COUNT(w); i++)
        assert_false(waitline_waits(&w[i]));
    waitline_init(&l, 0, 2);
    assert_false(waitline_join(&l, &w[0], "a"));
    waitline_init(&l, 2, 0);
    assert_false(waitline_join(&l, &w[0], "a"));
    waitline_fini(&l);
}

/* One channel with a thousand questions, ten with one each: each of the ten is
 * among the first twenty. */
static void test_a_busy_flow(void **state)
{
    (void)state;
    static struct waiter busy[1000], other[10];
    struct waitline l;
    int seen = 0;
    waitline_init(&l, 2000, 1000);
    for (size_t i = 0; i < COUNT(busy); i++)
        assert_true(waitline_join(&l, &busy[i], "busy"));
    for (size_t i = 0; i < COUNT(other); i++) {
        char name[16];
        snprintf(name, sizeof name, "other%zu", i);
        assert_true(waitline_join(&l, &other[i], name));
    }
    for (int i = 0; i < 20; i++) {
        struct waiter *w = waitline_next(&l);
        seen += w >= other && w < other + COUNT(other);
    }
    assert_int_equal(seen, COUNT(other));
    waitline_fini(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_a_busy_flow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
