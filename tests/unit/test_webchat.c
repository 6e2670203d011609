/* The web chat as its WebSocket clients see it: CONTRACTS, section 4. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "adapters/webchat/session.h"
#include "plugin/base/clock.h"
#include "plugin/base/metric.h"
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
    assert_int_equal(metric_get(METRIC_WEBCHAT_CONNECTIONS), 0);
    return 0;
}

/* Instead of setup: with other settings. */
static void again_with(void (*tweak)(struct webchat_conf *conf))
{
    world_free(&w);
    w = world_new(tweak);
}

/* --- messages --- */

static void acks(void **state)
{
    (void)state;
    struct client *c = client_new(w, NULL, ",\"lang\":\"zh\"");
    int64_t seq;

    world_pause(w);
    client_say(c, "{\"type\":\"message\",\"id\":\"a\",\"text\":\"hi\",\"reply_to\":\"m9\"}");
    world_turns(w, 20);
    assert_int_equal(c->frames.len, c->read);
    world_resume(w);
    client_expect(c, "{\"type\":\"ack\",\"id\":\"a\",\"seq\":1}");
    assert_string_equal(w->last.chat, c->id.chat);
    assert_string_equal(w->last.sender, c->id.sender);
    assert_int_equal(strncmp(w->last.sender_name, "guest-", 6), 0);
    assert_int_equal(strncmp(w->last.sender_name + 6, c->id.sender, 4), 0);
    assert_string_equal(w->last.reply_to, "m9");
    assert_non_null(w->last.lang);
    assert_true(w->last.direct);
    seq = client_message(c, "b", "ho");
    assert_true(seq > 1);
    assert_int_equal(client_message(c, "a", "hi"), 1); /* harmless, and the same number */
    assert_int_equal(client_message(c, "b", "other text"), seq);
    assert_int_equal(w->n_messages, 2);
    client_free(&c);
}

static void refusals_of_the_host(void **state)
{
    (void)state;
    struct client *c = client_new(w, NULL, "");

    err_set(&w->refuse, ERR_BUSY, "no");
    client_say(c, "{\"type\":\"message\",\"id\":\"a\",\"text\":\"hi\"}");
    client_expect(c, "{\"type\":\"error\",\"code\":\"busy\",\"text\":\"Too much is waiting here. Try again in a moment.\","
                     "\"id\":\"a\"}");
    err_set(&w->refuse, ERR_FULL, "no");
    client_say(c, "{\"type\":\"message\",\"id\":\"a\",\"text\":\"hi\"}");
    client_expect(c, "{\"type\":\"error\",\"code\":\"full\",\"text\":\"The service cannot store anything now. Try again "
                     "later.\",\"id\":\"a\"}");
    w->refuse.code = ERR_OK;
    client_message(c, "a", "hi");
    client_free(&c);
}

static void nonsense(void **state)
{
    (void)state;
    struct peer *r = peer_ws(w, "");
    struct client *c = client_new(w, NULL, "");

    client_say(c, "{\"type\":\"shout\"}");
    assert_non_null(strstr(client_next(c), "\"bad_frame\""));
    client_say(c, "{\"type\":\"message\",\"id\":\"a\"}");
    client_expect(c, "{\"type\":\"error\",\"code\":\"bad_frame\",\"text\":\"text: a string that is not empty\",\"id\":\"a\"}");
    client_message(c, "a", "still usable");
    client_free(&c);

    peer_say(r, "{\"type\":\"hello\"}");
    peer_until(r, "welcome");
    peer_frame(r, 2, "{\"type\":\"typing\"}", 17);
    peer_until(r, "frames are text");
    peer_say(r, "{\"type\":\"message\",\"id\":\"b\",\"text\":\"still usable\"}");
    peer_until(r, "\"ack\"");
    peer_frame(r, 1, "\xff", 1);
    peer_until(r, "\x03\xef"); /* 1007 */
    peer_free(&r);
}

static void tight(struct webchat_conf *conf)
{
    conf->max_message_bytes = 10;
    conf->max_frame_bytes = 200;
    conf->messages_per_minute = 3;
    conf->max_connections = 3;
    conf->max_connections_per_address = 2;
}

static void limits_of_size(void **state)
{
    (void)state;
    struct client *c;
    char frame[256];

    again_with(tight);
    c = client_new(w, NULL, "");
    client_message(c, "a", "0123456789");
    client_message(c, "b", "鸟鸟鸟1");
    client_say(c, "{\"type\":\"message\",\"id\":\"c\",\"text\":\"01234567890\"}");
    client_expect(c, "{\"type\":\"error\",\"code\":\"too_long\",\"text\":\"The message is too long.\",\"id\":\"c\"}");
    memset(frame, ' ', sizeof frame);
    memcpy(frame, "{}", 2);
    client_say(c, "%.200s", frame);
    assert_non_null(strstr(client_next(c), "\"bad_frame\""));
    client_say(c, "%.201s", frame);
    client_expect_close(c, WS_CLOSE_TOO_LARGE);
    client_free(&c);
}

static void limits_of_messages(void **state)
{
    (void)state;
    struct client *c, *window;
    int64_t refused = metric_get(METRIC_MESSAGES_REFUSED);

    again_with(tight);
    c = client_new(w, NULL, "");
    for (int i = 0; i < 3; i++)
        client_message(c, i == 0 ? "a" : i == 1 ? "b" : "c", "hi");
    client_say(c, "{\"type\":\"message\",\"id\":\"d\",\"text\":\"hi\"}");
    client_expect(c, "{\"type\":\"error\",\"code\":\"rate\",\"text\":\"Too many messages in a minute. Wait a little.\","
                     "\"id\":\"d\"}");
    window = client_new(w, c->visitor, ""); /* a new connection is the same visitor */
    client_say(window, "{\"type\":\"message\",\"id\":\"d\",\"text\":\"hi\"}");
    assert_non_null(strstr(client_next(window), "\"rate\""));
    assert_int_equal(metric_get(METRIC_MESSAGES_REFUSED), refused + 2);
    clock_test_advance(20000);
    client_message(c, "d", "hi");
    client_free(&window);
    client_free(&c);
}

static void limits_of_connections(void **state)
{
    (void)state;
    struct client *a, *b, *c;
    struct peer *elsewhere, *full;

    again_with(tight);
    a = client_open(w, NULL);
    b = client_open(w, NULL);
    c = client_open(w, NULL);
    assert_true(a->open && b->open && !c->open);
    client_free(&c);
    elsewhere = peer_ws(w, "X-Forwarded-For: 10.0.0.1, 10.0.0.2\r\n"); /* as our own proxy says */
    assert_int_equal(peer_status(elsewhere), 101);
    full = peer_ws(w, "X-Forwarded-For: 10.0.0.3\r\n");
    assert_int_equal(peer_status(full), 503);
    peer_free(&full);
    client_free(&b);
    world_turns(w, 20);
    full = peer_ws(w, "X-Forwarded-For: 127.0.0.1\r\n");
    assert_int_equal(peer_status(full), 101);
    peer_free(&full);
    peer_free(&elsewhere);
    client_free(&a);
}

/* --- rooms --- */

static void two_rooms(struct webchat_conf *conf)
{
    static char tea[] = "tea", coffee[] = "coffee", *names[] = { tea, coffee };

    conf->open_rooms = false;
    conf->rooms = (struct strings){ names, 2 };
}

static void rooms(void **state)
{
    (void)state;
    struct client *ann, *ben, *window, *alone, *coffee;
    int64_t seq;

    again_with(two_rooms);
    ann = client_new(w, NULL, ",\"room\":\"tea\",\"name\":\"Ann\"");
    ben = client_new(w, NULL, ",\"room\":\"tea\",\"name\":\"Ben\"");
    window = client_new(w, ann->visitor, ",\"room\":\"tea\",\"name\":\"Ann\"");
    alone = client_new(w, ann->visitor, "");
    coffee = client_new(w, ann->visitor, ",\"room\":\"coffee\"");
    seq = client_message(ann, "a", "hi");
    assert_string_equal(w->last.chat, "tea");
    assert_false(w->last.direct);
    client_expect(ben, "{\"type\":\"message\",\"seq\":%d,\"id\":\"m%dp\",\"from\":\"Ann\",\"text\":\"hi\",\"done\":true}",
                  (int)seq, (int)seq);
    assert_non_null(strstr(client_next(window), "\"from\":\"Ann\""));
    client_message(ann, "a", "hi"); /* a repeat is for its sender only */
    client_expect_nothing(ben);
    client_expect_nothing(window);
    client_expect_nothing(ann);
    client_expect_nothing(alone);
    client_expect_nothing(coffee);
    client_free(&ann);
    client_free(&window);
    client_free(&alone);
    client_free(&coffee);

    ann = client_open(w, NULL);
    client_say(ann, "{\"type\":\"hello\",\"room\":\"beer\"}");
    client_expect(ann, "{\"type\":\"error\",\"code\":\"unauthorized\",\"text\":\"There is no such room.\"}");
    client_expect_close(ann, WS_CLOSE_POLICY);
    client_free(&ann);
    client_free(&ben);
}

static void windows_of_one_visitor(void **state)
{
    (void)state;
    struct client *a = client_new(w, NULL, ""), *b = client_new(w, a->visitor, ""), *stranger = client_new(w, NULL, "");

    client_message(a, "a", "hi");
    assert_non_null(strstr(client_next(b), "\"text\":\"hi\""));
    world_bot(w, &(struct world_event){ .chat = a->id.chat, .id = "m1", .text = "ho", .done = true });
    assert_non_null(strstr(client_next(a), "\"text\":\"ho\""));
    assert_non_null(strstr(client_next(b), "\"text\":\"ho\""));
    client_expect_nothing(stranger);
    client_free(&a);
    client_free(&b);
    client_free(&stranger);
}

static void typing(void **state)
{
    (void)state;
    struct client *ann, *ben, *alone, *window;

    ann = client_new(w, NULL, ",\"room\":\"tea\",\"name\":\"Ann\"");
    ben = client_new(w, NULL, ",\"room\":\"tea\",\"name\":\"Ben\"");
    client_say(ann, "{\"type\":\"typing\"}");
    client_say(ann, "{\"type\":\"typing\"}"); /* too soon to be told again */
    client_expect(ben, "{\"type\":\"typing\",\"from\":\"Ann\",\"on\":true}");
    client_expect_nothing(ben);
    client_expect_nothing(ann);
    clock_test_advance(TYPING_MS);
    client_say(ann, "{\"type\":\"typing\"}");
    client_expect(ben, "{\"type\":\"typing\",\"from\":\"Ann\",\"on\":true}");
    w->a.ops->typing(&w->a, "tea", NULL, true);
    client_expect(ann, "{\"type\":\"typing\",\"from\":\"bot\",\"on\":true}");
    client_expect(ben, "{\"type\":\"typing\",\"from\":\"bot\",\"on\":true}");
    w->a.ops->typing(&w->a, "tea", NULL, false);
    client_expect(ben, "{\"type\":\"typing\",\"from\":\"bot\",\"on\":false}");
    client_free(&ann);
    client_free(&ben);

    alone = client_new(w, NULL, "");
    window = client_new(w, alone->visitor, "");
    client_say(alone, "{\"type\":\"typing\"}");
    client_expect_nothing(alone);
    client_expect_nothing(window);
    client_free(&alone);
    client_free(&window);
}

/* --- the account --- */

static void stopping(void **state)
{
    (void)state;
    struct client *c = client_new(w, NULL, ""), *late = client_open(w, NULL);

    w->a.ops->stop(&w->a);
    assert_int_equal(w->stopped, 0);
    client_expect_close(c, WS_CLOSE_GOING_AWAY);
    client_expect_close(late, WS_CLOSE_GOING_AWAY);
    world_turns(w, 20);
    assert_int_equal(w->stopped, 1);
    client_free(&late);
    late = client_open(w, NULL);
    assert_false(late->open);
    client_free(&c);
    client_free(&late);
}

/* Somebody does not even read that we stop. */
static void stopping_does_not_wait_for_ever(void **state)
{
    (void)state;
    struct webchat *chat = w->a.priv;
    struct peer *r = peer_ws(w, "");
    char *text = calloc(1, 65536);

    peer_say(r, "{\"type\":\"hello\",\"room\":\"tea\"}");
    peer_until(r, "welcome");
    world_past(w, "tea", "a", "s", "hi");
    memset(text, 'x', 65535);
    while (!session_slow(chat->sessions)) {
        world_bot(w, &(struct world_event){ .chat = "tea", .id = "m1", .text = text, .done = true });
        world_turns(w, 5);
    }
    w->a.ops->stop(&w->a);
    world_turns(w, 20);
    assert_int_equal(w->stopped, 0);
    clock_test_advance(STOP_MS - 1);
    world_turns(w, 20);
    assert_int_equal(w->stopped, 0);
    clock_test_advance(1);
    world_turns(w, 20);
    assert_int_equal(w->stopped, 1);
    peer_free(&r);
    free(text);
}

static void unlucky_accounts(void **state)
{
    (void)state;
    static char bad[] = "shop.example", *list[] = { bad };
    struct webchat_conf conf = { .origins = { list, 1 } };
    struct account_conf account = { .name = bad, .settings = &conf };
    struct adapter a = w->a;
    struct err e = ERR_INIT;

    a.conf = &account;
    a.priv = calloc(1, a.ops->size);
    assert_int_equal(a.ops->init(&a, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "shop.example"));
    a.ops->fini(&a);
    memset(a.priv, 0, a.ops->size);
    conf.origins.n = 0;
    assert_int_equal(a.ops->init(&a, &e), ERR_EXISTS);
    a.ops->fini(&a);
    memset(a.priv, 0, a.ops->size);
    a.server = NULL; /* warbler ping */
    assert_int_equal(a.ops->init(&a, &e), ERR_OK);
    a.ops->start(&a);
    world_turns(w, 2);
    assert_int_equal(w->online, 2);
    a.ops->fini(&a);
    free(a.priv);
}

static void sent_is_confirmed_from_the_loop(void **state)
{
    (void)state;
    struct client *c = client_new(w, NULL, "");

    client_message(c, "a", "hi");
    world_bot(w, &(struct world_event){ .chat = c->id.chat, .id = "m1", .text = "h" });
    world_turns(w, 3);
    assert_int_equal(w->sent_handle, 0);
    world_bot(w, &(struct world_event){ .chat = c->id.chat, .id = "m1", .text = "ho", .edit = true, .done = true,
                                        .handle = 77 });
    assert_int_equal(w->sent_handle, 0);
    world_turns(w, 3);
    assert_int_equal(w->sent_handle, 77);
    assert_string_equal(w->sent_id, "m1");
    client_free(&c);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(acks),
        TEST(refusals_of_the_host),
        TEST(nonsense),
        TEST(limits_of_size),
        TEST(limits_of_messages),
        TEST(limits_of_connections),
        TEST(rooms),
        TEST(windows_of_one_visitor),
        TEST(typing),
        TEST(stopping),
        TEST(stopping_does_not_wait_for_ever),
        TEST(unlucky_accounts),
        TEST(sent_is_confirmed_from_the_loop),
    };

    clock_test_freeze(INT64_C(1800000000000));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
