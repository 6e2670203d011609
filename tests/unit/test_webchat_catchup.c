/* What a web chat client missed, and what runs: nothing is lost, and nothing
 * comes twice, whatever happens in between. */
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

static void expect_old(struct client *c, int seq, const char *text)
{
    client_expect(c, "{\"type\":\"message\",\"seq\":%d,\"id\":\"m%dp\",\"from\":\"Old\",\"text\":\"%s\",\"done\":true}", seq,
                  seq, text);
}

static void five_old(void)
{
    world_past(w, "tea", "a", "s", "one");
    world_past(w, "tea", "b", "s", "two");
    world_past(w, "tea", "c", "s", "three");
    world_past(w, "tea", "d", "s", "four");
    world_past(w, "tea", "e", "s", "five");
}

static struct world_event in_tea(const char *id, const char *text, bool done)
{
    return (struct world_event){ .chat = "tea", .id = id, .text = text, .done = done };
}

/* The answer that runs, for pages. */
static void run(const char *text)
{
    w->running = (struct msg_out){ .chat = "tea", .id = "m1", .text = text, .len = strlen(text), .seq = ++w->seq,
                                   .reply_to = "e", .reply_seq = 5 };
}

/* --- catching up --- */

static void everything_from_the_start(void **state)
{
    (void)state;
    struct client *c = client_new(w, NULL, ""), *again, *nothing;
    int64_t asked = client_message(c, "a", "hi"), answered;

    answered = world_bot(w, &(struct world_event){ .chat = c->id.chat, .id = "m1", .text = "ho", .done = true });
    again = client_new(w, c->visitor, ",\"last\":0");
    assert_int_equal(again->last, answered);
    client_expect(again, "{\"type\":\"message\",\"seq\":%d,\"id\":\"m%dp\",\"from\":\"you\",\"client_id\":\"a\","
                         "\"text\":\"hi\",\"done\":true}", (int)asked, (int)asked);
    client_expect(again, "{\"type\":\"message\",\"seq\":%d,\"id\":\"m1\",\"from\":\"bot\",\"text\":\"ho\",\"done\":true,"
                         "\"reply_to\":\"a\",\"reply_seq\":%d}", (int)answered, (int)asked);
    client_expect_nothing(again);
    nothing = client_new(w, c->visitor, "");
    assert_int_equal(nothing->last, answered);
    client_expect_nothing(nothing);
    client_free(&c);
    client_free(&again);
    client_free(&nothing);
}

static void what_stands_after_last(void **state)
{
    (void)state;
    struct client *c;

    five_old();
    c = client_new(w, NULL, ",\"room\":\"tea\",\"last\":3");
    expect_old(c, 4, "four");
    expect_old(c, 5, "five");
    client_expect_nothing(c);
    client_free(&c);
    c = client_new(w, NULL, ",\"room\":\"tea\",\"last\":5");
    client_expect_nothing(c);
    client_free(&c);
    c = client_new(w, NULL, ",\"room\":\"tea\",\"last\":99"); /* of a store that is no more */
    client_expect_nothing(c);
    world_bot(w, &(struct world_event){ .chat = "tea", .id = "m1", .text = "ho", .done = true });
    assert_non_null(strstr(client_next(c), "\"text\":\"ho\""));
    client_free(&c);
}

static void page_by_page(void **state)
{
    (void)state;

    five_old();
    for (w->page_limit = 1; w->page_limit <= 6; w->page_limit++) {
        struct client *c = client_new(w, NULL, ",\"room\":\"tea\",\"last\":0");
        const char *texts[] = { "one", "two", "three", "four", "five" };

        for (int i = 0; i < 5; i++)
            expect_old(c, i + 1, texts[i]);
        client_expect_nothing(c);
        client_free(&c);
    }
}

/* Between two pages somebody speaks, and the bot answers him. */
static void events_between_pages(void **state)
{
    (void)state;
    struct client *ben = client_new(w, NULL, ",\"room\":\"tea\",\"name\":\"Ben\""), *c;
    struct world_event ev = in_tea("m1", "h", false);

    five_old();
    w->page_limit = 3;
    c = client_open(w, NULL);
    world_pause(w);
    client_say(c, "{\"type\":\"hello\",\"room\":\"tea\",\"last\":0}");
    world_step(w); /* kept */
    world_step(w); /* first page: 1, 2, 3 */
    client_say(ben, "{\"type\":\"message\",\"id\":\"b\",\"text\":\"now\"}");
    world_turns(w, 20); /* c's second page waits before ben's message */
    world_step(w);      /* second page: 4, 5; now c is live */
    world_step(w);      /* ben's message */
    world_bot(w, &ev);
    ev.edit = ev.done = true;
    ev.text = "ho";
    world_bot(w, &ev);
    assert_non_null(strstr(client_next(c), "welcome"));
    for (int i = 0; i < 5; i++)
        assert_non_null(strstr(client_next(c), "\"Old\""));
    client_expect(c, "{\"type\":\"message\",\"seq\":6,\"id\":\"m6p\",\"from\":\"Ben\",\"text\":\"now\",\"done\":true}");
    client_expect(c, "{\"type\":\"message\",\"seq\":7,\"id\":\"m1\",\"from\":\"bot\",\"text\":\"h\",\"done\":false,"
                     "\"reply_to\":\"b\",\"reply_seq\":6}");
    client_expect(c, "{\"type\":\"edit\",\"seq\":8,\"id\":\"m1\",\"text\":\"ho\",\"done\":true}");
    world_resume(w);
    client_expect_nothing(c);
    client_free(&ben);
    client_free(&c);
}

/* The same, but it all happens before the last page: there it stands, and nowhere else. */
static void events_before_the_last_page(void **state)
{
    (void)state;
    struct client *ben = client_new(w, NULL, ",\"room\":\"tea\",\"name\":\"Ben\""), *c;
    struct world_event ev = in_tea("m1", "h", false);

    five_old();
    w->page_limit = 3;
    c = client_open(w, NULL);
    world_pause(w);
    client_say(ben, "{\"type\":\"message\",\"id\":\"b\",\"text\":\"now\"}");
    world_turns(w, 20);
    client_say(c, "{\"type\":\"hello\",\"room\":\"tea\",\"last\":0}");
    world_turns(w, 20);
    world_step(w); /* ben's message, of a chat that c has joined and is not live in */
    world_step(w); /* kept */
    world_step(w); /* first page */
    world_bot(w, &ev);
    ev.edit = ev.done = true;
    ev.text = "ho";
    world_bot(w, &ev);
    world_resume(w);
    client_next(c);
    for (int i = 0; i < 5; i++)
        assert_non_null(strstr(client_next(c), "\"Old\""));
    client_expect(c, "{\"type\":\"message\",\"seq\":6,\"id\":\"m6p\",\"from\":\"Ben\",\"text\":\"now\",\"done\":true}");
    client_expect(c, "{\"type\":\"message\",\"seq\":8,\"id\":\"m1\",\"from\":\"bot\",\"text\":\"ho\",\"done\":true,"
                     "\"reply_to\":\"b\",\"reply_seq\":6}");
    client_expect_nothing(c);
    client_free(&ben);
    client_free(&c);
}

static void own_messages_wait_for_the_past(void **state)
{
    (void)state;
    struct client *c = client_open(w, NULL);
    char want[64];

    five_old();
    w->page_limit = 1;
    world_pause(w);
    client_say(c, "{\"type\":\"hello\",\"room\":\"tea\",\"last\":0}");
    for (unsigned i = 0; i <= SESSION_HELD_MAX; i++)
        client_say(c, "{\"type\":\"message\",\"id\":\"x%u\",\"text\":\"early\"}", i);
    snprintf(want, sizeof want, "\"id\":\"x%u\"", SESSION_HELD_MAX);
    assert_non_null(strstr(client_next(c), want)); /* one too many */
    world_resume(w);
    assert_non_null(strstr(client_next(c), "welcome"));
    for (int i = 0; i < 5; i++)
        assert_non_null(strstr(client_next(c), "\"Old\""));
    for (unsigned i = 0; i < SESSION_HELD_MAX; i++)
        client_expect(c, "{\"type\":\"ack\",\"id\":\"x%u\",\"seq\":%u}", i, 6 + i);
    client_expect_nothing(c);
    client_free(&c);
}

static void a_page_that_cannot_be_read(void **state)
{
    (void)state;
    struct peer *r = peer_ws(w, "");

    five_old();
    w->page_limit = 3;
    world_pause(w);
    peer_say(r, "{\"type\":\"hello\",\"room\":\"tea\",\"last\":0}");
    world_step(w);
    world_step(w);
    peer_until(r, "three");
    err_set(&w->refuse, ERR_IO, "no");
    world_step(w);
    peer_until(r, "\"full\"");
    peer_until(r, "\x03\xf5"); /* 1013 */
    peer_free(&r);
}

/* --- the running answer --- */

static void a_running_answer(void **state)
{
    (void)state;
    const char *members[] = { ",\"room\":\"tea\",\"last\":4", ",\"room\":\"tea\"" };
    struct world_event ev = in_tea("m1", "hell", false);

    five_old();
    run("hel");
    for (int i = 0; i < 2; i++) {
        struct client *c = client_new(w, NULL, members[i]);

        if (i == 0)
            expect_old(c, 5, "five");
        client_expect(c, "{\"type\":\"message\",\"seq\":6,\"id\":\"m1\",\"from\":\"bot\",\"text\":\"hel\",\"done\":false,"
                         "\"reply_to\":\"e\",\"reply_seq\":5}");
        client_expect_nothing(c);
        client_free(&c);
    }

    /* Its first event comes only now: to this client it is no news. */
    struct client *c = client_new(w, NULL, ",\"room\":\"tea\"");

    assert_non_null(strstr(client_next(c), "\"hel\""));
    world_bot(w, &ev);
    client_expect(c, "{\"type\":\"edit\",\"seq\":7,\"id\":\"m1\",\"text\":\"hell\",\"done\":false}");
    ev.edit = ev.done = true;
    ev.text = "hello";
    world_bot(w, &ev);
    client_expect(c, "{\"type\":\"edit\",\"seq\":8,\"id\":\"m1\",\"text\":\"hello\",\"done\":true}");
    ev = in_tea("m2", "more", true);
    world_bot(w, &ev);
    assert_non_null(strstr(client_next(c), "\"type\":\"message\""));
    client_free(&c);
}

static void an_answer_that_ends_while_somebody_catches_up(void **state)
{
    (void)state;
    struct client *c = client_open(w, NULL);
    struct world_event ev = in_tea("m1", "hello", true);

    five_old();
    run("hel");
    w->page_limit = 3;
    world_pause(w);
    client_say(c, "{\"type\":\"hello\",\"room\":\"tea\",\"last\":2}");
    world_step(w);
    world_step(w); /* 3, 4, 5, and there is no more; the answer runs */
    w->running.id = NULL;
    ev.edit = true;
    world_bot(w, &ev);
    client_next(c);
    for (int i = 0; i < 3; i++)
        assert_non_null(strstr(client_next(c), "\"Old\""));
    assert_non_null(strstr(client_next(c), "\"text\":\"hel\""));
    client_expect(c, "{\"type\":\"edit\",\"seq\":7,\"id\":\"m1\",\"text\":\"hello\",\"done\":true}");
    client_free(&c);

    c = client_open(w, NULL);
    run("ag");
    w->running.id = "m2";
    client_say(c, "{\"type\":\"hello\",\"room\":\"tea\",\"last\":1}");
    world_step(w);
    world_step(w); /* 2, 3, 4, and there is more */
    w->running.id = NULL;
    ev = in_tea("m2", "again", true);
    world_bot(w, &ev);
    world_resume(w);
    client_next(c);
    for (int i = 0; i < 4; i++)
        assert_non_null(strstr(client_next(c), "\"Old\""));
    assert_non_null(strstr(client_next(c), "\"text\":\"hello\""));
    assert_non_null(strstr(client_next(c), "\"text\":\"again\""));
    client_expect_nothing(c);
    client_free(&c);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(everything_from_the_start),
        TEST(what_stands_after_last),
        TEST(page_by_page),
        TEST(events_between_pages),
        TEST(events_before_the_last_page),
        TEST(own_messages_wait_for_the_past),
        TEST(a_page_that_cannot_be_read),
        TEST(a_running_answer),
        TEST(an_answer_that_ends_while_somebody_catches_up),
    };

    clock_test_freeze(INT64_C(1800000000000));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
