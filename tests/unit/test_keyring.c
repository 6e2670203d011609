/* keyring.c: turns, rests, deaths and second chances, each limit at its edge. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/model/keyring.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

#define MINUTE_MS 60000
#define HOUR_MS (60 * MINUTE_MS)
#define START_MS 1000

static struct keyring k;

static void set_up_keys(int n)
{
    keyring_fini(&k);
    keyring_init(&k, n);
}

static int tear_down(void **state)
{
    (void)state;
    keyring_fini(&k);
    return 0;
}

static void test_turns(void **state)
{
    (void)state;
    set_up_keys(3);
    for (int i = 0; i < 7; i++)
        assert_int_equal(keyring_pick(&k, START_MS), i % 3);
    set_up_keys(1);
    assert_int_equal(keyring_pick(&k, START_MS), 0);
    assert_int_equal(keyring_pick(&k, START_MS), 0);
}

static void test_rest(void **state)
{
    (void)state;
    set_up_keys(2);
    keyring_cool(&k, 0, START_MS + 100, START_MS);
    assert_int_equal(keyring_state(&k, 0, START_MS + 99), ERR_RATE);
    assert_int_equal(keyring_state(&k, 0, START_MS + 100), ERR_OK);
    assert_int_equal(keyring_pick(&k, START_MS + 99), 1);
    assert_int_equal(keyring_pick(&k, START_MS + 99), 1);
    assert_int_equal(keyring_pick(&k, START_MS + 100), 0);
    assert_int_equal(keyring_wait_ms(&k, START_MS), 0);
}

static void test_all_rest(void **state)
{
    (void)state;
    set_up_keys(2);
    keyring_cool(&k, 0, START_MS + 300, START_MS);
    keyring_cool(&k, 1, START_MS + 100, START_MS);
    keyring_cool(&k, 1, START_MS + 50, START_MS); /* shorter: the longer one stays */
    assert_int_equal(keyring_pick(&k, START_MS), -1);
    assert_int_equal(keyring_why(&k, START_MS), ERR_RATE);
    assert_int_equal(keyring_wait_ms(&k, START_MS), 100);
    assert_int_equal(keyring_wait_ms(&k, START_MS + 99), 1);
    assert_int_equal(keyring_pick(&k, START_MS + 100), 1);
    assert_int_equal(keyring_why(&k, START_MS + 100), ERR_OK);
    assert_int_equal(keyring_wait_ms(&k, START_MS + 100), 0);
}

static void test_no_rest_is_endless(void **state)
{
    (void)state;
    set_up_keys(1);
    keyring_cool(&k, 0, INT64_MAX, START_MS);
    assert_int_equal(keyring_wait_ms(&k, START_MS), KEYRING_COOL_MAX_MS);
    keyring_good(&k, 0); /* of a request from before: the rest goes on */
    assert_int_equal(keyring_wait_ms(&k, START_MS), KEYRING_COOL_MAX_MS);
}

static void test_dead_keys_are_skipped(void **state)
{
    (void)state;
    set_up_keys(3);
    assert_true(keyring_kill(&k, 1, ERR_QUOTA, START_MS));
    assert_false(keyring_kill(&k, 1, ERR_QUOTA, START_MS)); /* told once */
    assert_int_equal(keyring_state(&k, 1, START_MS), ERR_QUOTA);
    assert_int_equal(keyring_pick(&k, START_MS), 0);
    assert_int_equal(keyring_pick(&k, START_MS), 2);
    assert_int_equal(keyring_pick(&k, START_MS), 0);
    /* also when it could be tried again: others live */
    assert_int_equal(keyring_pick(&k, START_MS + HOUR_MS), 2);
    assert_int_equal(keyring_pick(&k, START_MS + HOUR_MS), 0);
    /* and when they only rest */
    keyring_cool(&k, 0, START_MS + 2 * HOUR_MS, START_MS + HOUR_MS);
    keyring_cool(&k, 2, START_MS + 3 * HOUR_MS, START_MS + HOUR_MS);
    assert_int_equal(keyring_pick(&k, START_MS + HOUR_MS), -1);
    assert_int_equal(keyring_why(&k, START_MS + HOUR_MS), ERR_RATE);
    assert_int_equal(keyring_wait_ms(&k, START_MS + HOUR_MS), HOUR_MS);
}

/* Each failed trial doubles the pause, up to an hour. */
static void test_trials(void **state)
{
    (void)state;
    static const int pauses_min[] = {1, 2, 4, 8, 16, 32, 60, 60};
    int64_t now = START_MS;
    set_up_keys(2);
    assert_true(keyring_kill(&k, 1, ERR_QUOTA, now - 1));
    assert_true(keyring_kill(&k, 0, ERR_AUTH, now));
    assert_true(keyring_kill(&k, 1, ERR_AUTH, now + 1) == false);
    set_up_keys(1);
    assert_true(keyring_kill(&k, 0, ERR_AUTH, now));
    for (size_t i = 0; i < COUNT(pauses_min); i++) {
        int64_t pause = (int64_t)pauses_min[i] * MINUTE_MS;
        assert_int_equal(keyring_wait_ms(&k, now), -1);
        assert_int_equal(keyring_why(&k, now), ERR_AUTH);
        assert_int_equal(keyring_pick(&k, now + pause - 1), -1);
        now += pause;
        assert_int_equal(keyring_pick(&k, now), 0);
        assert_int_equal(keyring_pick(&k, now), -1); /* one request tries it */
        assert_false(keyring_kill(&k, 0, ERR_AUTH, now));
        assert_false(keyring_kill(&k, 0, ERR_AUTH, now)); /* of an old request: changes nothing */
    }
}

static void test_trial_that_came_to_nothing(void **state)
{
    (void)state;
    set_up_keys(1);
    keyring_kill(&k, 0, ERR_AUTH, START_MS);
    assert_int_equal(keyring_pick(&k, START_MS + MINUTE_MS), 0);
    assert_int_equal(keyring_pick(&k, START_MS + 2 * MINUTE_MS - 1), -1);
    assert_int_equal(keyring_pick(&k, START_MS + 2 * MINUTE_MS), 0);
}

static void test_revival(void **state)
{
    (void)state;
    set_up_keys(2);
    keyring_kill(&k, 0, ERR_QUOTA, START_MS);
    keyring_kill(&k, 1, ERR_AUTH, START_MS);
    assert_int_equal(keyring_why(&k, START_MS), ERR_QUOTA);
    assert_int_equal(keyring_pick(&k, START_MS + MINUTE_MS), 0);
    keyring_good(&k, 0);
    assert_int_equal(keyring_state(&k, 0, START_MS + MINUTE_MS), ERR_OK);
    assert_int_equal(keyring_pick(&k, START_MS + MINUTE_MS), 0);
    assert_int_equal(keyring_pick(&k, START_MS + MINUTE_MS), 0); /* 1 is still dead */
    assert_true(keyring_kill(&k, 0, ERR_QUOTA, START_MS));       /* told again, and from the first pause on */
    assert_int_equal(keyring_pick(&k, START_MS + MINUTE_MS), 1);
    keyring_cool(&k, 1, START_MS + 2 * MINUTE_MS, START_MS + MINUTE_MS); /* a limit: so the key is good */
    assert_int_equal(keyring_state(&k, 1, START_MS + MINUTE_MS), ERR_RATE);
    assert_int_equal(keyring_wait_ms(&k, START_MS + MINUTE_MS), MINUTE_MS);
}

static void test_any_is_better_than_none(void **state)
{
    (void)state;
    set_up_keys(3);
    assert_int_equal(keyring_pick_any(&k, START_MS), 0); /* in turns, while there are some */
    assert_int_equal(keyring_pick_any(&k, START_MS), 1);
    keyring_kill(&k, 0, ERR_AUTH, START_MS);
    keyring_cool(&k, 1, START_MS + 2 * MINUTE_MS, START_MS);
    keyring_cool(&k, 2, START_MS + MINUTE_MS + 1, START_MS);
    assert_int_equal(keyring_pick(&k, START_MS), -1);
    assert_int_equal(keyring_pick_any(&k, START_MS), 2); /* soonest rested, though a dead one is tried sooner */
    keyring_kill(&k, 1, ERR_AUTH, START_MS);
    keyring_kill(&k, 2, ERR_AUTH, START_MS - 1);
    assert_int_equal(keyring_pick_any(&k, START_MS), 2);
}

int main(void)
{
#define T(f) cmocka_unit_test_teardown(f, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_turns),  T(test_rest),  T(test_all_rest),
        T(test_no_rest_is_endless), T(test_dead_keys_are_skipped),
        T(test_trials), T(test_trial_that_came_to_nothing), T(test_revival),
        T(test_any_is_better_than_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
