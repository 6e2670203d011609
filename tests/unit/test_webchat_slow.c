/* Web chat clients that do not keep up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/webchat/session.h"
#include "plugin/base/clock.h"
#include "tests/unit/webchat_world.h"

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
    return 0;
}

static char *big_text(size_t len, char c)
{
    char *text = calloc(1, len + 1);

    memset(text, c, len);
    return text;
}

static size_t count(const struct buf *in, const char *part)
{
    size_t n = 0;
    const char *at = in->data, *end = in->data + in->len;

    while ((at = memmem(at, (size_t)(end - at), part, strlen(part)))) {
        n++;
        at += strlen(part);
    }
    return n;
}

#define MANY 300

/* More than its queue holds: the host is asked only for what fits. */
static void a_long_past_and_a_slow_reader(void **state)
{
    (void)state;
    struct webchat *chat = w->a.priv;
    struct peer *r = peer_ws(w, "");
    char *text = big_text(60000, 'x'), id[16];

    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof id, "i%d", i);
        world_past(w, "tea", id, "s", text);
    }
    peer_say(r, "{\"type\":\"hello\",\"room\":\"tea\",\"last\":0}");
    world_turns(w, 2000);
    assert_int_equal(chat->sessions->state, SESSION_CATCHING_UP);
    assert_true(w->jobs_done < MANY / 50);
    world_bot(w, &(struct world_event){ .chat = "tea", .id = "m1", .text = "the end", .done = true });
    peer_until(r, "the end");
    assert_int_equal(count(&r->in, "\"from\":\"Old\""), MANY);
    assert_int_equal(count(&r->in, "the end"), 1);
    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof id, "\"m%dp\"", i + 1);
        assert_int_equal(count(&r->in, id), 1);
    }
    peer_say(r, "{\"type\":\"message\",\"id\":\"a\",\"text\":\"hi\"}");
    peer_until(r, "\"ack\"");
    peer_free(&r);
    free(text);
}

/* The one session of the world gets slow. */
static void fill(struct peer *r)
{
    struct webchat *chat = w->a.priv;
    char *text = big_text(65535, 'x');

    peer_say(r, "{\"type\":\"hello\",\"room\":\"tea\"}");
    peer_until(r, "welcome");
    world_past(w, "tea", "a", "s", "hi");
    while (!session_slow(chat->sessions)) {
        world_bot(w, &(struct world_event){ .chat = "tea", .id = "m0", .text = text, .done = true });
        world_turns(w, 5);
    }
    free(text);
}

static void parts(const char *id, int n)
{
    char text[32];
    struct world_event ev = { .chat = "tea", .id = id, .text = text };

    for (int i = 0; i < n; i++) {
        snprintf(text, sizeof text, "%s part %d.", id, i);
        ev.edit = i > 0;
        world_bot(w, &ev);
        world_turns(w, 2);
    }
}

static void partial_texts_are_dropped_but_the_newest(void **state)
{
    (void)state;
    struct peer *r = peer_ws(w, "");
    struct world_event end = { .chat = "tea", .id = "m1", .text = "m1 final", .edit = true, .done = true };

    fill(r);
    parts("m1", 10);
    peer_until(r, "m1 part 9.");
    assert_int_equal(count(&r->in, "m1 part 0."), 1); /* the answer's beginning everybody gets */
    for (int i = 1; i < 9; i++) {
        char text[32];

        snprintf(text, sizeof text, "m1 part %d.", i);
        assert_int_equal(count(&r->in, text), 0);
    }
    world_bot(w, &end);
    peer_until(r, "m1 final");
    parts("m2", 3); /* fast again: nothing is dropped */
    peer_until(r, "m2 part 2.");
    assert_int_equal(count(&r->in, "m2 part 1."), 1);
    peer_free(&r);
}

/* seq must rise: a part that waits is worth nothing once something newer is on its way. */
static void a_late_part_does_not_follow_what_is_newer(void **state)
{
    (void)state;
    struct peer *r = peer_ws(w, "");
    struct client *ben = client_new(w, NULL, ",\"room\":\"tea\",\"name\":\"Ben\"");

    fill(r);
    parts("m1", 5);
    client_say(ben, "{\"type\":\"message\",\"id\":\"b\",\"text\":\"newer\"}");
    peer_until(r, "newer");
    world_bot(w, &(struct world_event){ .chat = "tea", .id = "m1", .text = "m1 final", .edit = true, .done = true });
    peer_until(r, "m1 final");
    assert_int_equal(count(&r->in, "m1 part 0."), 1);
    assert_int_equal(count(&r->in, "m1 part 4."), 0);
    client_free(&ben);
    peer_free(&r);
}

static void who_never_reads_is_closed(void **state)
{
    (void)state;
    struct webchat *chat = w->a.priv;
    struct peer *r = peer_ws(w, "");
    char *text = big_text(65536, 'y'), last[64];
    int n = 0;

    fill(r);
    while (chat->sessions->state == SESSION_LIVE) {
        snprintf(last, sizeof last, "\"id\":\"n%d\"", n);
        world_bot(w, &(struct world_event){ .chat = "tea", .id = strchr(last, 'n'), .text = text, .done = true });
        assert_true(++n < 100);
    }
    assert_true(n >= (int)(FRAME_OUT_BYTES_MAX / 65536U));
    world_bot(w, &(struct world_event){ .chat = "tea", .id = "m9", .text = "too late", .done = true });
    peer_until(r, "\x03\xf5"); /* 1013 */
    assert_int_equal(count(&r->in, "too late"), 0);
    peer_free(&r);
    free(text);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_long_past_and_a_slow_reader),
        TEST(partial_texts_are_dropped_but_the_newest),
        TEST(a_late_part_does_not_follow_what_is_newer),
        TEST(who_never_reads_is_closed),
    };

    clock_test_freeze(INT64_C(1800000000000));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
