/* breaker.c: scripts of requests and their ends, each limit at its edge. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/model/breaker.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* What happens at a time: a bad or good end of a request that begins then; a
 * begin whose ticket is kept, and later its end; whether it must be allowed. */
enum what { NOTHING, BAD, GOOD, KEEP, KEPT_BAD, KEPT_GOOD, KEPT_ABANDON, ALLOWED, REFUSED };

struct moment {
    int64_t at_ms;
    enum what what;
    enum breaker_state then; /* afterwards */
};

#define MOMENTS_MAX 16
#define C BREAKER_CLOSED
#define O BREAKER_OPEN
#define H BREAKER_HALF_OPEN

static const struct {
    const char *name;
    struct moment moments[MOMENTS_MAX];
} scripts[] = {
    {"five in a row", {{0, BAD, C}, {1, BAD, C}, {2, BAD, C}, {3, BAD, C}, {4, ALLOWED, C}, {4, BAD, O}, {4, REFUSED, O}}},
    {"a good one between", {{0, BAD, C}, {1, BAD, C}, {2, BAD, C}, {3, BAD, C}, {4, GOOD, C}, {5, BAD, C}, {6, BAD, C}, {7, BAD, C}, {8, BAD, C}, {9, BAD, O}}},
    {"just within the window", {{0, BAD, C}, {1, BAD, C}, {2, BAD, C}, {3, BAD, C}, {59999, BAD, O}}},
    {"just outside", {{0, BAD, C}, {1, BAD, C}, {2, BAD, C}, {3, BAD, C}, {60000, BAD, C}, {60000, BAD, O}}},
    {"open for 30 s, then one probe",
     {{0, BAD, C}, {0, BAD, C}, {0, BAD, C}, {0, BAD, C}, {0, BAD, O}, {29999, REFUSED, O}, {30000, ALLOWED, O},
      {30000, KEEP, H}, {30001, REFUSED, H}, {90000, REFUSED, H}, {90000, KEPT_GOOD, C}, {90000, ALLOWED, C}}},
    {"each failed probe doubles, up to five minutes",
     {{0, BAD, C}, {0, BAD, C}, {0, BAD, C}, {0, BAD, C}, {0, BAD, O}, {30000, BAD, O}, {89999, REFUSED, O},
      {90000, BAD, O}, {210000, BAD, O}, {449999, REFUSED, O}, {450000, BAD, O}, {749999, REFUSED, O}, {750000, BAD, O},
      {1049999, REFUSED, O}, {1050000, ALLOWED, O}}},
    {"a cancelled probe makes room for another",
     {{0, BAD, C}, {0, BAD, C}, {0, BAD, C}, {0, BAD, C}, {0, BAD, O}, {30000, KEEP, H}, {30005, KEPT_ABANDON, O},
      {30005, ALLOWED, O}, {30005, GOOD, C}}},
    {"an old failure does not decide for the probe",
     {{0, KEEP, C}, {0, BAD, C}, {0, BAD, C}, {0, BAD, C}, {0, BAD, C}, {0, BAD, O}, {10, KEPT_BAD, O},
      {30000, ALLOWED, O}}},
    {"an old success does not close",
     {{0, KEEP, C}, {0, BAD, C}, {0, BAD, C}, {0, BAD, C}, {0, BAD, C}, {0, BAD, O}, {10, KEPT_GOOD, O}}},
    {"what was abandoned says nothing", {{0, BAD, C}, {0, BAD, C}, {0, BAD, C}, {0, BAD, C}, {0, KEEP, C}, {1, KEPT_ABANDON, C}, {2, BAD, O}}},
    {"closed again: counted from nothing, and 30 s again",
     {{0, BAD, C}, {0, BAD, C}, {0, BAD, C}, {0, BAD, C}, {0, BAD, O}, {30000, BAD, O}, {90000, GOOD, C}, {90001, BAD, C},
      {90002, BAD, C}, {90003, BAD, C}, {90004, BAD, C}, {90005, BAD, O}, {120004, REFUSED, O}, {120005, ALLOWED, O}}},
};

static void play(struct breaker *b, const struct moment *m, uint32_t *kept)
{
    switch (m->what) {
    case BAD: {
        enum breaker_state before = b->state;
        bool opened = breaker_bad(b, breaker_begin(b, m->at_ms), m->at_ms);
        assert_true(opened == (b->state == O && (before == C || b->until_ms > m->at_ms)));
        break;
    }
    case GOOD: {
        enum breaker_state before = b->state;
        assert_true(breaker_good(b, breaker_begin(b, m->at_ms)) == (before != C));
        break;
    }
    case KEEP:
        *kept = breaker_begin(b, m->at_ms);
        break;
    case KEPT_BAD:
        breaker_bad(b, *kept, m->at_ms);
        break;
    case KEPT_GOOD:
        breaker_good(b, *kept);
        break;
    case KEPT_ABANDON:
        breaker_abandon(b, *kept, m->at_ms);
        break;
    case ALLOWED:
        assert_true(breaker_allows(b, m->at_ms));
        break;
    default:
        assert_false(breaker_allows(b, m->at_ms));
    }
}

static void test_scripts(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(scripts); i++) {
        struct breaker b;
        uint32_t kept = 0;
        breaker_init(&b);
        for (size_t j = 0; j < MOMENTS_MAX && scripts[i].moments[j].what != NOTHING; j++) {
            const struct moment *m = &scripts[i].moments[j];
            play(&b, m, &kept);
            if (b.state != m->then)
                fail_msg("%s, step %zu: %s", scripts[i].name, j, breaker_state_name(b.state));
        }
    }
}

static void test_waits(void **state)
{
    (void)state;
    struct breaker b;
    breaker_init(&b);
    assert_int_equal(breaker_wait_ms(&b, 5), 0);
    for (int i = 0; i < BREAKER_FAILURES; i++)
        breaker_bad(&b, breaker_begin(&b, 5), 5);
    assert_int_equal(breaker_wait_ms(&b, 5), BREAKER_OPEN_MS);
    assert_int_equal(breaker_wait_ms(&b, 5 + BREAKER_OPEN_MS), 0);
    breaker_begin(&b, 5 + BREAKER_OPEN_MS);
    assert_int_equal(breaker_wait_ms(&b, 5 + BREAKER_OPEN_MS), -1);
}

static void test_many_failures_far_apart(void **state)
{
    (void)state;
    struct breaker b;
    breaker_init(&b);
    for (int64_t i = 0; i < 100; i++)
        assert_false(breaker_bad(&b, breaker_begin(&b, i * 15000), i * 15000));
    assert_true(breaker_bad(&b, breaker_begin(&b, 99 * 15000 + 14999), 99 * 15000 + 14999));
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(breaker_state_name(C), "closed");
    assert_string_equal(breaker_state_name(O), "open");
    assert_string_equal(breaker_state_name(H), "half-open");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scripts),
        cmocka_unit_test(test_waits),
        cmocka_unit_test(test_many_failures_far_apart),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
