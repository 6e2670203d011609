/* The beginning of a web chat: who says hello, when, and how it is received.
 * CONTRACTS, section 4. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "adapters/webchat/session.h"
#include "plugin/base/clock.h"
#include "plugin/base/metric.h"
#include "tests/unit/webchat_world.h"

#define HELLO_FIRST "{\"type\":\"error\",\"code\":\"bad_frame\",\"text\":\"hello comes first\"}"
#define DAY_MS INT64_C(86400000)

static struct world *w;

static int setup(void **state)
{
    (void)state;
    w = world_new(NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_free(&w);
    assert_int_equal(metric_get(METRIC_WEBCHAT_CONNECTIONS), 0);
    return 0;
}

static void a_visitor_is_on_disk_before_welcome(void **state)
{
    (void)state;
    struct client *c = client_open(w, NULL), *back;

    world_pause(w);
    client_say(c, "{\"type\":\"hello\"}");
    world_turns(w, 20);
    assert_int_equal(w->n_facts, 0);
    world_step(w);
    assert_int_equal(w->n_facts, 1);
    world_turns(w, 20);
    assert_int_equal(c->frames.len, 0);
    world_resume(w);
    assert_non_null(strstr(client_next(c), "\"type\":\"welcome\""));
    client_free(&c);

    c = client_new(w, NULL, "");
    assert_string_equal(w->facts[1].key, c->id.fact);
    assert_string_equal(w->facts[1].value, "1");
    assert_true(w->facts[1].expires_ms > clock_wall_ms() + 89 * DAY_MS);
    back = client_new(w, c->visitor, "");
    assert_string_equal(back->visitor, c->visitor);
    assert_int_equal(w->n_facts, 2);
    client_free(&back);
    client_free(&c);
}

static void a_visitor_is_refreshed_once_a_day(void **state)
{
    (void)state;
    struct client *c = client_new(w, NULL, ""), *back;
    size_t keeps = w->n_keeps;

    w->facts[0].expires_ms = clock_wall_ms() + 89 * DAY_MS + 60000;
    back = client_new(w, c->visitor, "");
    assert_int_equal(w->n_keeps, keeps);
    client_free(&back);
    w->facts[0].expires_ms = clock_wall_ms() + 89 * DAY_MS - 1;
    back = client_new(w, c->visitor, "");
    world_turns(w, 20);
    assert_int_equal(w->n_keeps, keeps + 1);
    assert_true(w->facts[0].expires_ms > clock_wall_ms() + 89 * DAY_MS + 60000);
    client_free(&back);
    client_free(&c);
}

static void an_unknown_visitor_is_sent_away(void **state)
{
    (void)state;
    const char *visitors[] = { "v0123456789abcdef0123456789abcdef", "v1", "" };

    for (size_t i = 0; i < sizeof visitors / sizeof *visitors; i++) {
        struct client *c = client_open(w, NULL);

        client_say(c, "{\"type\":\"hello\",\"visitor\":\"%s\"}", visitors[i]);
        assert_non_null(strstr(client_next(c), "\"code\":\"unauthorized\""));
        client_expect_close(c, WS_CLOSE_POLICY);
        client_free(&c);
    }
}

static void hello_comes_first(void **state)
{
    (void)state;
    const char *early[] = { "{\"type\":\"message\",\"id\":\"a\",\"text\":\"hi\"}", "{\"type\":\"typing\"}", "{}", "x" };

    for (size_t i = 0; i < sizeof early / sizeof *early; i++) {
        struct client *c = client_open(w, NULL);

        client_say(c, "%s", early[i]);
        client_expect(c, HELLO_FIRST);
        client_expect_close(c, WS_CLOSE_POLICY);
        client_free(&c);
    }
}

static void a_wrong_hello_may_be_said_again(void **state)
{
    (void)state;
    struct client *c = client_open(w, NULL);

    client_say(c, "{\"type\":\"hello\",\"last\":\"x\"}");
    assert_non_null(strstr(client_next(c), "\"code\":\"bad_frame\""));
    client_say(c, "{\"type\":\"hello\",\"name\":\"Bot\"}");
    assert_non_null(strstr(client_next(c), "\"code\":\"bad_frame\""));
    client_hello(c, "");
    client_say(c, "{\"type\":\"hello\"}");
    client_expect(c, "{\"type\":\"error\",\"code\":\"bad_frame\",\"text\":\"hello was said already\"}");
    client_message(c, "a", "still usable");
    client_free(&c);
}

static void hello_is_due_after_ten_seconds(void **state)
{
    (void)state;
    struct client *c, *quick;

    c = client_open(w, NULL);
    quick = client_new(w, NULL, "");
    clock_test_advance(HELLO_MS - 1);
    world_turns(w, 20);
    assert_false(c->closed);
    clock_test_advance(1);
    client_expect_close(c, WS_CLOSE_POLICY);
    client_expect_nothing(quick);
    client_free(&c);
    client_free(&quick);
}

static void a_store_that_fails_is_said(void **state)
{
    (void)state;
    const struct {
        enum err_code code;
        const char *want;
    } cases[] = { { ERR_FULL, "\"full\"" }, { ERR_IO, "\"full\"" }, { ERR_BUSY, "\"busy\"" } };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct peer *r = peer_ws(w, ""); /* libwebsockets' client takes 1013 for an error and tells no code */

        err_set(&w->refuse, cases[i].code, "no");
        peer_say(r, "{\"type\":\"hello\"}");
        peer_until(r, cases[i].want);
        peer_until(r, "\x03\xf5"); /* 1013 */
        peer_free(&r);
    }
}

/* The host calls back for somebody who left in the meantime. */
static void leaving_at_every_step(void **state)
{
    (void)state;

    for (int steps = 0; steps < 4; steps++) {
        struct client *c = client_open(w, NULL);

        world_pause(w);
        client_say(c, "{\"type\":\"hello\",\"last\":0}");
        client_say(c, "{\"type\":\"message\",\"id\":\"a\",\"text\":\"held\"}");
        for (int i = 0; i < steps && i < 3; i++)
            world_step(w);
        client_free(&c);
        world_turns(w, 50);
        world_resume(w);
        world_turns(w, 50);
        assert_null(w->jobs);
    }
    assert_int_equal(w->n_messages, 2); /* twice the session was live and had passed it up */
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_visitor_is_on_disk_before_welcome),
        TEST(a_visitor_is_refreshed_once_a_day),
        TEST(an_unknown_visitor_is_sent_away),
        TEST(hello_comes_first),
        TEST(a_wrong_hello_may_be_said_again),
        TEST(hello_is_due_after_ten_seconds),
        TEST(a_store_that_fails_is_said),
        TEST(leaving_at_every_step),
    };

    clock_test_freeze(INT64_C(1800000000000));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
