/* The journey, from adapter_message() to the last event. */
#include "tests/unit/chat_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/base/clock.h"
#include "plugin/base/mem.h"
#include "plugin/base/metric.h"
#include "plugin/chat/person.h"

static const struct setup PLAIN = { .caps = STORED };

/* --- tests --- */
static void a_message_is_acknowledged_then_answered(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&PLAIN);
    say(w, "1", "#echo hello");
    assert_int_equal(w->n, 0); /* nothing from inside the up-call */
    wait_for(w, "final", 1);
    const struct event *ack = nth(w, "ack", 0), *final = nth(w, "final", 0);
    assert_true(ack < final);
    assert_int_equal(ack->seq, 2);
    assert_string_equal(final->text, "hello");
    assert_string_equal(final->id, "m2a");
    assert_string_equal(final->reply_to, "1");
    assert_int_equal(final->reply_seq, 2);
    assert_string_equal(final->finish, "stop");
    assert_false(final->notice);
    assert_rising(w);
    chat_world_free(w);
}

static void a_repeat_is_the_same_message(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&PLAIN);
    say(w, "1", "#echo a");
    say(w, "1", "#echo b");
    wait_for(w, "final", 1);
    say(w, "1", "#echo c");
    wait_for(w, "dup", 2);
    restart(w);
    say(w, "1", "#echo d");
    wait_for(w, "dup", 1);
    assert_int_equal(nth(w, "dup", 0)->seq, 2);
    settle(w);
    assert_int_equal(count(w, "final"), 0);
    say_as(w, "c", "bob", "1", "#echo e", true); /* another person's 1 is another message */
    wait_for(w, "final", 1);
    chat_world_free(w);
}

static void one_after_the_other(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&PLAIN);
    char id[16], text[32];
    for (int i = 0; i < 20; i++) {
        snprintf(id, sizeof(id), "%d", i);
        snprintf(text, sizeof(text), "#echo word%d", i);
        say(w, id, text);
    }
    wait_for(w, "final", 20);
    for (size_t i = 0; i < 20; i++) {
        snprintf(text, sizeof(text), "word%zu", i);
        assert_string_equal(nth(w, "final", i)->text, text);
    }
    assert_rising(w);
    chat_world_free(w);
}

struct page {
    bool came;
    size_t n, n_answers;   /* messages, and those that name what they answer */
    char ids[64];          /* each followed by a space */
};

static void got_page(void *arg, const struct msg_page *page, const struct err *e)
{
    struct page *p = arg;
    assert_int_equal(e->code, ERR_OK);
    *p = (struct page){ .came = true, .n = page->n };
    for (size_t i = 0; i < page->n; i++) {
        const char *const *ids = page->msgs[i].answers;
        p->n_answers += ids != NULL;
        for (; ids && *ids; ids++) {
            size_t len = strlen(p->ids);
            snprintf(p->ids + len, sizeof(p->ids) - len, "%s ", *ids);
        }
    }
}

static void wait_for_page(struct chat_world *w, const struct page *p)
{
    for (int i = 0; i < TURNS_MAX && !p->came; i++)
        loop_turn(w->loop, true);
    assert_true(p->came);
}

/* As the event did: messages 2 and 3 were answered at once, 1 alone. */
static void assert_pages_say_the_same(struct chat_world *w, int64_t seq_of_2)
{
    struct page past = { 0 }, answer = { 0 };
    chat_history(w->chat, &w->account, "c", NULL, 0, 100, got_page, &past);
    wait_for_page(w, &past);
    assert_int_equal(past.n, 5);
    assert_int_equal(past.n_answers, 1);
    assert_string_equal(past.ids, "2 3 ");
    chat_answer(w->chat, &w->account, "c", NULL, seq_of_2, got_page, &answer);
    wait_for_page(w, &answer);
    assert_int_equal(answer.n, 1);
    assert_string_equal(answer.ids, "2 3 ");
}

static void merged(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&(struct setup){ .caps = STORED, .bot = "queue = \"merge\";" });
    say(w, "1", "#sleep 50 #echo one");
    wait_for(w, "ack", 1);
    say(w, "2", "two");
    say(w, "3", "#history");
    wait_for(w, "final", 2);
    const struct event *second = nth(w, "final", 1);
    assert_string_equal(second->reply_to, "3");
    assert_non_null(strstr(second->text, "two")); /* both were asked together */
    assert_int_equal(second->answers, 2);
    assert_int_equal(nth(w, "first", 1)->answers, 2); /* and so says its first part already */
    settle(w);
    assert_pages_say_the_same(w, nth(w, "ack", 1)->seq);
    restart(w);
    settle(w);
    assert_int_equal(w->n, 0); /* all of them have their outcome */
    assert_pages_say_the_same(w, 4);
    chat_world_free(w);
}

static void newest_wins(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&(struct setup){ .caps = STORED, .bot = "queue = \"latest\";" });
    say(w, "1", "#sleep 50 #echo one");
    wait_for(w, "ack", 1);
    say(w, "2", "#echo two");
    say(w, "3", "#echo three");
    wait_for(w, "final", 2);
    wait_for(w, "silent", 1);
    assert_string_equal(nth(w, "final", 1)->text, "three");
    assert_int_equal(nth(w, "silent", 0)->seq, nth(w, "ack", 1)->seq);
    settle(w);
    restart(w);
    settle(w);
    assert_int_equal(w->n, 0);
    chat_world_free(w);
}

static void the_queue_is_full_at_its_limit(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&(struct setup){ .caps = STORED, .bot = "queue_max = 2;" });
    say(w, "0", "#sleep 60 #echo zero"); /* being answered: waits for nobody */
    wait_for(w, "ack", 1);
    say(w, "1", "#echo one");
    wait_for(w, "ack", 2);
    say(w, "2", "#echo two");
    wait_for(w, "ack", 3);
    say(w, "3", "#echo three");
    wait_for(w, "refused", 1);
    assert_int_equal(nth(w, "refused", 0)->error, ERR_BUSY);
    wait_for(w, "final", 3);
    say(w, "3", "#echo three"); /* it may be sent again */
    wait_for(w, "final", 4);
    chat_world_free(w);
}

static void silent_without_a_trigger_and_context_all_the_same(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&PLAIN);
    say_as(w, "room", "bob", "1", "the sky is green", false);
    wait_for(w, "ack", 1);
    assert_false(nth(w, "ack", 0)->notice); /* nothing to wait for */
    say_as(w, "room", "alice", "2", "@bo #history", false);
    wait_for(w, "final", 1);
    assert_non_null(strstr(nth(w, "final", 0)->text, "bob: the sky"));
    chat_world_free(w);
}

static void conversations_do_not_meet(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&PLAIN);
    say_as(w, "x", "alice", "1", "#sleep 40 secret-x", true);
    say_as(w, "y", "bob", "1", "#history", true);
    wait_for(w, "final", 2);
    assert_null(strstr(nth(w, "final", 0)->text, "secret-x")); /* y was not kept waiting by x, and saw nothing of it */
    chat_world_free(w);
}

static void stop_ends_the_answer_and_what_waits(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&PLAIN);
    say(w, "1", "#sleep 60000 #echo never");
    say(w, "2", "#echo neither");
    wait_for(w, "ack", 2);
    say(w, "3", "/stop");
    wait_for(w, "final", 2);
    wait_for(w, "silent", 1);
    assert_string_equal(nth(w, "final", 0)->finish, "cancelled");
    assert_true(nth(w, "final", 0)->notice);
    assert_string_equal(nth(w, "final", 1)->reply_to, "3");
    say(w, "4", "/停止");
    wait_for(w, "final", 3);
    assert_non_null(strstr(nth(w, "final", 2)->text, "当前没有"));
    assert_rising(w);
    chat_world_free(w);
}

static void a_new_message_interrupts_where_configured(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&(struct setup){ .caps = STORED, .bot = "interrupt = true;" });
    say(w, "1", "#sleep 60000 #echo never");
    wait_for(w, "ack", 1);
    say(w, "2", "#echo now");
    wait_for(w, "final", 2);
    assert_string_equal(nth(w, "final", 0)->finish, "cancelled");
    assert_string_equal(nth(w, "final", 1)->text, "now");
    chat_world_free(w);
}

static void retry_replaces_the_answer_in_the_history(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&PLAIN);
    say(w, "0", "/retry");
    wait_for(w, "final", 1);
    assert_non_null(strstr(nth(w, "final", 0)->text, "no question"));
    say(w, "1", "#fail 500 once #echo good");
    wait_for(w, "final", 2);
    assert_true(nth(w, "final", 1)->notice);
    assert_string_equal(nth(w, "final", 1)->finish, "error");
    say(w, "2", "/retry");
    wait_for(w, "final", 3);
    assert_string_equal(nth(w, "final", 2)->text, "good");
    assert_string_equal(nth(w, "final", 2)->reply_to, "2");
    say(w, "3", "/retry"); /* this one fails again: the good answer stays */
    wait_for(w, "final", 4);
    say(w, "4", "#history");
    wait_for(w, "final", 5);
    assert_string_equal(nth(w, "final", 4)->text, "4 messages\n1. system: You are a helpful assistant.\n"
                        "2. user: #fail 500 once #echo good\n3. assistant: good\n4. user: #history");
    chat_world_free(w);
}

static void reset_forgets_also_over_a_restart(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&PLAIN);
    say(w, "1", "remember the word heron");
    wait_for(w, "final", 1);
    say(w, "2", "/reset");
    wait_for(w, "final", 2);
    say(w, "3", "#history");
    wait_for(w, "final", 3);
    assert_null(strstr(nth(w, "final", 2)->text, "heron"));
    settle(w);
    restart(w);
    say(w, "4", "#history");
    wait_for(w, "final", 1);
    assert_null(strstr(nth(w, "final", 0)->text, "heron"));
    chat_world_free(w);
}

static void people_keep_their_pseudonyms(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&(struct setup){ 0 });
    char alice[PERSON_DIGITS + 1], again[PERSON_DIGITS + 1], other[PERSON_DIGITS + 1];
    while (!person_of(alice, w->chat, "web", "alice"))
        loop_turn(w->loop, true);
    assert_int_equal(strspn(alice, "0123456789abcdef"), PERSON_DIGITS);
    assert_true(person_of(other, w->chat, "web", "bob"));
    assert_string_not_equal(alice, other);
    assert_true(person_of(other, w->chat, "we", "balice"));
    assert_string_not_equal(alice, other);
    restart(w);
    while (!person_of(again, w->chat, "web", "alice"))
        loop_turn(w->loop, true);
    assert_string_equal(alice, again);
    chat_world_free(w);
}

/* --- what is remembered of older turns --- */
static void wait_for_metric(struct chat_world *w, enum metric m, int64_t at_least)
{
    for (int i = 0; i < TURNS_MAX && metric_get(m) < at_least; i++)
        loop_turn(w->loop, true);
    assert_true(metric_get(m) >= at_least);
}

static const char *asked_for_history(struct chat_world *w, const char *id)
{
    size_t n = count(w, "final");
    say(w, id, "#history");
    wait_for(w, "final", n + 1);
    return nth(w, "final", n)->text;
}

static void what_is_old_is_forgotten(void **state)
{
    static const struct {
        const char *bot;
        bool remembered;
    } cases[] = { { "history_age = \"1ms\";", false }, { "history_age = \"1h\";", true }, { "history_age = \"0s\";", true } };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct chat_world *w = chat_world_new(&(struct setup){ .bot = cases[i].bot, .caps = STORED });
        say(w, "1", "remember the word heron");
        wait_for(w, "final", 1);
        settle(w);
        int64_t answered = clock_wall_ms();
        restart(w); /* it is the same for what comes from the disk */
        while (clock_wall_ms() <= answered + 1)
            loop_turn(w->loop, false);
        const char *shown = asked_for_history(w, "2");
        assert_int_equal(strstr(shown, "heron") != NULL, cases[i].remembered);
        chat_world_free(w);
    }
}

/* Turns of two messages each, of which four are remembered. */
static struct chat_world *world_with_summaries(const char *model)
{
    char bot[128];
    snprintf(bot, sizeof bot, "history_messages = 4; summary_model = \"%s\";", model);
    return chat_world_new(&(struct setup){ .bot = bot, .caps = STORED });
}

static void say_turns(struct chat_world *w, int from, int to)
{
    for (int i = from; i <= to; i++) {
        char id[16], text[64];
        size_t n = count(w, "final");
        snprintf(id, sizeof id, "t%d", i);
        snprintf(text, sizeof text, "#echo heron %d", i);
        say(w, id, text);
        wait_for(w, "final", n + 1);
    }
}

#define FRONT "2. user: [Summary of the conversation so far: "

static void older_turns_are_summarised(void **state)
{
    (void)state;
    int64_t made = metric_get(METRIC_SUMMARIES);
    struct chat_world *w = world_with_summaries("other");
    say_turns(w, 1, 2);
    assert_null(strstr(asked_for_history(w, "a"), "Summary")); /* the first turn goes here; its summary comes after */
    wait_for_metric(w, METRIC_SUMMARIES, made + 1);
    const char *shown = asked_for_history(w, "b");
    assert_non_null(strstr(shown, FRONT "heron 1")); /* the practice model echoes what it was to summarise */
    wait_for_metric(w, METRIC_SUMMARIES, made + 2);
    settle(w);
    restart(w);
    shown = asked_for_history(w, "c");
    assert_non_null(strstr(shown, FRONT));
    assert_null(strstr(shown, "#echo heron 1")); /* not once more beside its summary */
    say(w, "d", "/reset");
    wait_for(w, "final", 2);
    assert_null(strstr(asked_for_history(w, "e"), "Summary"));
    settle(w);
    restart(w);
    assert_null(strstr(asked_for_history(w, "f"), "Summary"));
    chat_world_free(w);
}

static void a_summary_that_fails_changes_nothing(void **state)
{
    (void)state;
    int64_t failed = metric_get(METRIC_SUMMARY_ERRORS), made = metric_get(METRIC_SUMMARIES);
    struct chat_world *w = world_with_summaries("broken");
    say_turns(w, 1, 3);
    wait_for_metric(w, METRIC_SUMMARY_ERRORS, failed + 1);
    assert_null(strstr(asked_for_history(w, "a"), "Summary"));
    wait_for_metric(w, METRIC_SUMMARY_ERRORS, failed + 2); /* tried again with the next that went */
    say_turns(w, 4, 6);
    assert_int_equal(metric_get(METRIC_SUMMARIES), made);
    settle(w);
    restart(w);
    assert_non_null(strstr(asked_for_history(w, "b"), "heron 6"));
    chat_world_free(w);
}

static void no_answer_waits_for_a_summary(void **state)
{
    (void)state;
    struct chat_world *w = world_with_summaries("slow");
    say_turns(w, 1, 8); /* the first summary is still being made */
    say(w, "r", "/reset"); /* and is given up */
    wait_for(w, "final", 9);
    say_turns(w, 9, 12);
    chat_world_free(w); /* with one being made */
}

static void a_small_context_is_kept_to(void **state)
{
    (void)state;
    int64_t made = metric_get(METRIC_SUMMARIES);
    struct chat_world *w = chat_world_new(&(struct setup){ .caps = STORED, .model = "small", .bot = "summary_model = \"other\";" });
    for (int i = 0; i < 3; i++) {
        say(w, (const char *const[]){ "1", "2", "3" }[i], "#len 300"); /* about 60 tokens each, where 160 fit beside the answer */
        wait_for(w, "final", (size_t)i + 1);
    }
    wait_for_metric(w, METRIC_SUMMARIES, made + 1);
    chat_world_free(w);
}

static void pins_stay(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&(struct setup){ .bot = "history_messages = 2;", .caps = STORED });
    char long_text[5000] = "/pin ";
    say(w, "1", "/pin");
    wait_for(w, "final", 1);
    assert_non_null(strstr(nth(w, "final", 0)->text, "Nothing is pinned"));
    say(w, "2", "/pin the word is\nheron");
    say(w, "3", "/钉住 白鹭");
    wait_for(w, "final", 3);
    assert_non_null(strstr(nth(w, "final", 1)->text, "Pinned."));
    assert_non_null(strstr(nth(w, "final", 2)->text, "已钉住"));
    memset(long_text + 5, 'x', sizeof(long_text) - 6);
    say(w, "4", long_text);
    wait_for(w, "final", 4);
    assert_non_null(strstr(nth(w, "final", 3)->text, "no room"));
    settle(w);
    restart(w);
    say_turns(w, 1, 4);
    const char *shown = asked_for_history(w, "5");
    assert_non_null(strstr(shown, "2. user: [Pinned by the people of this conversation"));
    say(w, "6", "/pin");
    wait_for(w, "final", 6);
    assert_non_null(strstr(nth(w, "final", 5)->text, "Pinned here:\n\n- the word is heron\n- 白鹭"));
    say(w, "7", "/reset");
    wait_for(w, "final", 7);
    assert_null(strstr(asked_for_history(w, "8"), "Pinned"));
    chat_world_free(w);
}

static void history_is_there_after_a_restart(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&PLAIN);
    say(w, "1", "remember the word heron");
    wait_for(w, "final", 1);
    settle(w);
    restart(w);
    say(w, "2", "#history");
    wait_for(w, "final", 1);
    assert_non_null(strstr(nth(w, "final", 0)->text, "heron"));
    chat_world_free(w);
}

static void only_administrators_command(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&(struct setup){ .caps = STORED, .bot = "admins = ( \"web:root\" );" });
    say(w, "1", "/mute");
    wait_for(w, "final", 1);
    assert_non_null(strstr(nth(w, "final", 0)->text, "administrator"));
    say_as(w, "c", "root", "2", "/model nonsense", true);
    wait_for(w, "final", 2);
    assert_non_null(strstr(nth(w, "final", 1)->text, "p, other, small, drip, slow, broken"));
    say_as(w, "c", "root", "3", "/model other", true);
    wait_for(w, "final", 3);
    say_as(w, "c", "root", "4", "/prompt You are a heron.", true);
    wait_for(w, "final", 4);
    say(w, "5", "#history");
    wait_for(w, "final", 5);
    assert_non_null(strstr(nth(w, "final", 4)->text, "heron"));
    say_as(w, "c", "root", "6", "/mute", true);
    wait_for(w, "final", 6);
    say(w, "7", "hello?");
    wait_for(w, "ack", 7);
    settle(w);
    assert_int_equal(count(w, "final"), 6);
    restart(w); /* still muted, still the other model */
    say(w, "8", "hello?");
    say_as(w, "c", "root", "9", "/unmute", true);
    wait_for(w, "final", 1);
    say_as(w, "c", "root", "10", "/model", true);
    wait_for(w, "final", 2);
    assert_non_null(strstr(nth(w, "final", 1)->text, "\"other\""));
    chat_world_free(w);
}

static void remarks_are_for_administrators(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&(struct setup){ .caps = STORED, .bot = "admins = (\"web:root\");" });
    remark_set(&w->remarks, "rooms", "!secret:a is encrypted");
    say(w, "1", "/status");
    say_as(w, "c", "root", "2", "/status", true);
    wait_for(w, "final", 2);
    assert_null(strstr(nth(w, "final", 0)->text, "secret"));
    assert_non_null(strstr(nth(w, "final", 1)->text, "- web: !secret:a is encrypted\n"));
    chat_world_free(w);
}

static void what_was_not_answered_is_asked_again(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&PLAIN);
    say(w, "1", "#sleep 100 #echo first");
    say(w, "2", "#echo second");
    say_as(w, "d", "bob", "1", "#sleep 100 #echo third", true);
    wait_for(w, "ack", 3);
    assert_int_equal(count(w, "final"), 0);
    restart(w);
    wait_for(w, "final", 3);
    settle(w);
    assert_int_equal(count(w, "final"), 3);
    for (size_t i = 0; i < 3; i++)
        assert_non_null(strstr("first second third", nth(w, "final", i)->text));
    chat_world_free(w);
}

static void left(void *arg, const struct store_accepted *r, const struct err *e)
{
    (void)r;
    assert_int_equal(e->code, ERR_OK);
    *(bool *)arg = true;
}

/* As if the bot had been killed right after it accepted that. */
static void leave_pending(struct chat_world *w, int64_t seq, const char *id, const char *text)
{
    bool done = false;
    unsigned command = *text == '/' ? STORE_COMMAND | STORE_NO_PROMPT : 0;
    struct store_accept a = { .account = "web", .channel = "web:c", .seq_limit = seq,
                              .msg = { .seq = seq, .kind = STORE_PERSON, .outcome = STORE_PENDING, .id = id,
                                       .flags = STORE_ADDRESSED | STORE_DIRECT | command,
                                       .sender = "alice", .name = "alice", .text = text } };
    store_accept(w->store, &a, left, &done);
    while (!done)
        loop_turn(w->loop, true);
}

/* Commands stay commands and are obeyed before anything is asked, in the order
 * in which they were given; what they ask for comes in its turn. */
static void commands_are_obeyed_after_a_restart(void **state)
{
    (void)state;
    static const struct {
        const char *texts[4], *answers[4]; /* in the order in which they were given */
    } cases[] = {
        { { "/status" }, { "- bot: bo" } },
        { { "/status", "#echo b" }, { "- bot: bo", "b" } },
        { { "#echo a", "/status", "#echo c" }, { "a", "- bot: bo", "c" } },
        { { "/stop", "#echo b" }, { "not answering", "b" } },
        { { "#echo a", "/stop" }, { "Stopped", "have stopped" } },
        { { "#echo a", "/stop", "#echo c" }, { "Stopped", "have stopped", "c" } },
        { { "/reset", "#echo b" }, { "", "b" } },
        { { "/retry", "/retry" }, { "one", "one" } },
        { { "/retry", "#echo b", "/retry" }, { "one", "b", "b" } },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct chat_world *w = chat_world_new(&PLAIN);
        size_t n = 0;
        say(w, "1", "#echo one");
        wait_for(w, "final", 1);
        settle(w);
        for (; n < 4 && cases[i].texts[n]; n++)
            leave_pending(w, 100 + 2 * (int64_t)n, (const char[]){ (char)('a' + n), '\0' }, cases[i].texts[n]);
        restart(w);
        wait_for(w, "final", n);
        settle(w);
        assert_int_equal(count(w, "final"), n);
        for (size_t k = 0; k < n; k++) {
            const struct event *final = nth(w, "final", k);
            assert_non_null(strstr(final->text, cases[i].answers[final->reply_to[0] - 'a']));
        }
        chat_world_free(w);
    }
}

static void what_is_pinned_twice_stands_once(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&PLAIN);
    const char *texts[] = { "/pin heron", "/pin her", "/pin heron", "/pin" };
    for (size_t i = 0; i < 4; i++) {
        say(w, (const char[]){ (char)('a' + i), '\0' }, texts[i]);
        wait_for(w, "final", i + 1);
    }
    assert_string_equal(nth(w, "final", 2)->text, nth(w, "final", 0)->text);
    assert_string_equal(nth(w, "final", 3)->text, "Pinned here:\n\n- heron\n- her");
    chat_world_free(w);
}

/* Seen in part or not, it was asked for alone: its answer ends, whatever else came meanwhile. */
static void what_was_asked_for_alone_is_asked_again_alone(void **state)
{
    (void)state;
    static const char *const policies[] = { "merge", "latest" };
    for (size_t i = 0; i < 2; i++) {
        char bot[32];
        snprintf(bot, sizeof bot, "queue = \"%s\";", policies[i]);
        struct chat_world *w = chat_world_new(&(struct setup){ .caps = STORED, .bot = bot });
        leave_pending(w, 98, "1", "#echo first");
        leave_pending(w, 100, "a", "#echo a");
        leave_pending(w, 102, "b", "#echo b");
        restart(w);
        wait_for(w, "final", 1);
        assert_string_equal(nth(w, "final", 0)->reply_to, "1");
        assert_int_equal(nth(w, "final", 0)->answers, 0);
        wait_for(w, "final", 2);
        assert_string_equal(nth(w, "final", 1)->reply_to, "b");
        chat_world_free(w);
    }
}

/* The same message is found unanswered at every start: RESUME_TRIES_MAX times it is asked again. */
static void a_message_that_kills_us_is_buried(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&PLAIN);
    say(w, "1", "#sleep 60000 #echo never");
    say(w, "2", "#echo after");
    wait_for(w, "ack", 2);
    for (int i = 0; i < RESUME_TRIES_MAX; i++) {
        restart(w);
        for (int turns = 0; turns < TURNS_MAX && !chat_busy(w->chat); turns++)
            loop_turn(w->loop, true);
        assert_int_equal(count(w, "final"), 0);
    }
    restart(w);
    wait_for(w, "final", 2);
    assert_true(nth(w, "final", 0)->notice);
    assert_string_equal(nth(w, "final", 0)->reply_to, "1");
    assert_string_equal(nth(w, "final", 1)->text, "after");
    assert_dead(w, "unanswered at 11 starts in a row, so it may be what makes the bot crash: look into the log, then retry or "
                   "drop it");
    chat_world_free(w);
}

/* Nobody knows which of those that were asked together it is, so they all are; and the notice names them. */
static void what_is_bound_to_it_is_buried_along(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&(struct setup){ .caps = STORED, .bot = "queue = \"merge\";" });
    struct page past = { 0 };
    say(w, "1", "#sleep 60 #echo one");
    wait_for(w, "ack", 1);
    say(w, "2", "two");
    say(w, "3", "#sleep 60000 #echo never");
    wait_for(w, "final", 1);
    for (int i = 0; i <= RESUME_TRIES_MAX; i++) {
        say(w, "4", "#echo after"); /* when it is acknowledged, those two are bound */
        wait_for(w, i == 0 ? "ack" : "dup", i == 0 ? 4 : 1);
        restart(w);
    }
    wait_for(w, "final", 2);
    size_t events = 0;
    for (size_t i = 0; i < w->n; i++)
        events += w->events[i].id && strcmp(w->events[i].id, nth(w, "final", 0)->id) == 0;
    assert_int_equal(events, 1);
    assert_true(nth(w, "final", 0)->notice);
    assert_string_equal(nth(w, "final", 0)->reply_to, "3");
    assert_int_equal(nth(w, "final", 0)->answers, 2);
    assert_string_equal(nth(w, "final", 1)->text, "after");
    chat_history(w->chat, &w->account, "c", NULL, 0, 100, got_page, &past);
    wait_for_page(w, &past);
    assert_string_equal(past.ids, "2 3 ");
    chat_world_free(w);
}

static void answers_grow_in_order(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&PLAIN);
    say(w, "1", "#sleep 1 #len 4000");
    say_as(w, "c", "bob", "1", "nobody hears this", false); /* a commit in between */
    wait_for(w, "final", 1);
    assert_rising(w);
    for (size_t i = 0; i < w->n; i++)
        if (strcmp(w->events[i].kind, "edit") == 0)
            assert_int_equal(w->events[i].reply_seq, nth(w, "ack", 0)->seq);
    chat_world_free(w);
}

/* --- platforms that are not our own store --- */
static void parts_go_through_the_outbox(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&(struct setup){ .caps = ADAPTER_IDEMPOTENT });
    w->ops.facts.text_limit = 200;
    say(w, "1", "#len 1000");
    wait_for(w, "final", 1);
    settle(w);
    for (int i = 0; i < TURNS_MAX && count(w, "final") < 5; i++)
        loop_turn(w->loop, true);
    size_t n = count(w, "final");
    assert_true(n >= 5);
    assert_int_equal(count(w, "first") + count(w, "edit"), 0);
    for (size_t i = 0; i < n; i++)
        assert_true(strlen(nth(w, "final", i)->text) <= 200);
    restart(w);
    settle(w);
    assert_int_equal(w->n, 0); /* confirmed, so not sent again */
    chat_world_free(w);
}

static void unconfirmed_parts_are_sent_again_under_their_id(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&(struct setup){ .caps = ADAPTER_IDEMPOTENT });
    w->hold = true;
    say(w, "1", "#echo hi");
    wait_for(w, "final", 1);
    char *txn = mem_dup(nth(w, "final", 0)->id);
    w->hold = false;
    restart(w);
    wait_for(w, "final", 1);
    assert_string_equal(nth(w, "final", 0)->id, txn);
    free(txn);
    chat_world_free(w);
}

/* A later answer in another conversation comes behind whatever the restart had to send. */
static void marked(struct chat_world *w, const char *id, size_t sent_again, size_t looked)
{
    say_as(w, "other", "bob", id, "#echo mark", true);
    wait_for(w, "final", sent_again + 1);
    assert_int_equal(count(w, "fetch"), looked);
    settle(w);
    assert_int_equal(count(w, "final"), sent_again + 1);
}

static void crash_while_sending(const struct setup *s, bool there, size_t sent_again, size_t looked)
{
    struct chat_world *w = chat_world_new(s);
    w->hold = true;
    w->deaf = !there;
    say(w, "1", "#echo hi");
    wait_for(w, "final", 1);
    w->hold = w->deaf = false;
    restart(w);
    marked(w, "2", sent_again, looked);
    restart(w);
    marked(w, "3", 0, 0);
    if (!sent_again && !there)
        assert_dead(w, "it may have been sent before a crash, and the platform cannot tell (on_doubt = \"drop\"): look there, "
                       "then drop it if it arrived, else retry");
    chat_world_free(w);
}

static void a_part_that_is_refused_for_good_says_why(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&(struct setup){ .caps = ADAPTER_IDEMPOTENT });
    w->refuse = ERR_AUTH;
    w->refuse_for_good = true;
    say(w, "1", "#echo hi");
    wait_for(w, "final", 1);
    while (w->n_due)
        loop_turn(w->loop, true);
    assert_dead(w, "the platform refused it: no; mend that and retry, or drop it");
    chat_world_free(w);
}

static void doubt_is_settled_as_configured(void **state)
{
    (void)state;
    crash_while_sending(&(struct setup){ .caps = 0 }, false, 0, 0);                         /* drop */
    crash_while_sending(&(struct setup){ .caps = 0, .on_doubt = "resend" }, false, 1, 0);
    crash_while_sending(&(struct setup){ .caps = ADAPTER_FETCH }, true, 0, 1);
    crash_while_sending(&(struct setup){ .caps = ADAPTER_FETCH }, false, 1, 1);
}

/* --- money --- */
static const struct setup PRICED = {
    .caps = STORED,
    .file = "prices = ( { model = \"p\"; unit = 1; input = \"1\"; output = \"100\"; } );\n",
};

struct sums {
    struct store_usage_sum v; /* of the only row; its texts are gone */
    size_t n;
    bool done;
};

static void got_sums(void *arg, const struct store_usage_sum *sums, size_t n, const struct err *e)
{
    struct sums *s = arg;
    assert_int_equal(e->code, ERR_OK);
    if (n)
        s->v = sums[0];
    s->n = n;
    s->done = true;
}

static struct store_usage_sum ledger(struct chat_world *w, size_t n)
{
    struct sums s = { .done = false };
    settle(w);
    store_usage_sum(w->store, STORE_BY_PERSON, 0, INT64_MAX, got_sums, &s);
    for (int i = 0; i < TURNS_MAX && !s.done; i++)
        loop_turn(w->loop, true);
    assert_int_equal(s.n, n);
    return s.v;
}

static void an_answer_is_written_down_with_what_it_cost(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&PRICED);
    say(w, "1", "#echo hi");
    wait_for(w, "final", 1);
    struct store_usage_sum s = ledger(w, 1);
    assert_int_equal(s.answers, 1);
    assert_int_equal(s.estimated, 0);
    assert_true(s.prompt > 0 && s.completion > 0);
    assert_int_equal(s.cost, (s.prompt + 100 * s.completion) * 1000000000000);
    say(w, "2", "/status");
    wait_for(w, "final", 2);
    assert_int_equal(ledger(w, 1).answers, 1);
    chat_world_free(w);
}

static void a_stopped_answer_is_estimated(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&PRICED);
    say(w, "1", "#sleep 60000");
    wait_for(w, "ack", 1);
    say(w, "2", "/stop");
    wait_for(w, "final", 2);
    struct store_usage_sum s = ledger(w, 1);
    assert_int_equal(s.answers, 1);
    assert_int_equal(s.estimated, 1);
    assert_true(s.prompt > 0);
    assert_int_equal(s.completion, 0);
    assert_int_equal(s.cost, s.prompt * 1000000000000);
    chat_world_free(w);
}

static void a_broken_answer_is_estimated(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&PRICED);
    say(w, "1", "#fail cut");
    wait_for(w, "final", 1);
    struct store_usage_sum s = ledger(w, 1);
    assert_int_equal(s.estimated, 1);
    assert_true(s.completion > 0);
    chat_world_free(w);
}

static void a_refusal_costs_nothing(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&PRICED);
    say(w, "1", "#fail 500");
    wait_for(w, "final", 1);
    ledger(w, 0);
    chat_world_free(w);
}

/* --- people's limits --- */
static const struct setup LIMITED = {
    .caps = STORED,
    .file = "limits = ( { period = \"day\"; messages = 2; } );\n",
};

static void a_used_up_limit_is_a_notice(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&LIMITED);
    say(w, "1", "/status");
    wait_for(w, "final", 1);
    assert_non_null(strstr(nth(w, "final", 0)->text, "- messages left today: 2 of 2\n"));
    say(w, "2", "#echo a");
    say(w, "3", "#fail 500"); /* an answer that fails does not count */
    say(w, "4", "#echo b");
    say(w, "5", "#echo c");
    wait_for(w, "final", 5);
    assert_string_equal(nth(w, "final", 3)->text, "b");
    const struct event *refused = nth(w, "final", 4);
    assert_true(refused->notice);
    assert_int_equal(refused->error, ERR_RATE);
    assert_non_null(strstr(refused->text, "You have used up today's 2 messages. It goes on tomorrow at 0"));
    say_as(w, "c", "alice", "6", "再来一次", true);
    say(w, "7", "/retry"); /* asks the model, so it is limited */
    wait_for(w, "final", 7);
    say(w, "8", "/status");
    wait_for(w, "final", 8);
    assert_non_null(strstr(nth(w, "final", 5)->text, "您今天的 2 条消息已用完，明天 0"));
    assert_true(nth(w, "final", 6)->notice);
    assert_non_null(strstr(nth(w, "final", 7)->text, "0 of 2\n"));
    say_as(w, "c", "bob", "9", "#echo d", true);
    wait_for(w, "final", 9);
    assert_string_equal(nth(w, "final", 8)->text, "d");
    assert_rising(w);
    chat_world_free(w);
}

static void limits_hold_over_a_restart(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&LIMITED);
    say(w, "1", "#echo a");
    wait_for(w, "final", 1);
    say(w, "2", "#sleep 60000"); /* reserved, and asked again after the restart */
    wait_for(w, "ack", 2);
    restart(w);
    say(w, "3", "/stop");
    wait_for(w, "final", 2);
    settle(w);
    restart(w);
    say(w, "4", "#echo b");
    wait_for(w, "final", 1);
    assert_true(nth(w, "final", 0)->notice);
    assert_int_equal(nth(w, "final", 0)->error, ERR_RATE);
    chat_world_free(w);
}

static const struct setup DEGRADED = {
    .caps = STORED,
    .file = "limits = ( { messages = 1; degrade_to = \"other\"; } );\n",
};

static void another_model_answers_without_a_word(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&DEGRADED);
    say(w, "1", "#echo a");
    say(w, "2", "#echo b");
    say(w, "3", "#echo c");
    wait_for(w, "final", 3);
    assert_string_equal(nth(w, "final", 2)->text, "c");
    settle(w);
    struct sums s = { .done = false };
    store_usage_sum(w->store, STORE_BY_MODEL, 0, INT64_MAX, got_sums, &s);
    for (int i = 0; i < TURNS_MAX && !s.done; i++)
        loop_turn(w->loop, true);
    assert_int_equal(s.n, 2);
    assert_int_equal(s.v.answers, 2); /* of the first by name: "other" */
    chat_world_free(w);
}

/* Two conversations of one person at the same time. */
static void answers_under_way_are_reserved(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&(struct setup){ .caps = STORED, .file = "limits = ( { messages = 1; } );\n" });
    say_as(w, "c", "alice", "1", "#sleep 60000", true);
    wait_for(w, "ack", 1);
    say_as(w, "d", "alice", "2", "#echo a", true);
    wait_for(w, "final", 1);
    assert_non_null(strstr(nth(w, "final", 0)->text, "are being written take up what is left for now"));
    chat_world_free(w);
}

static void a_stopped_answer_gives_back_what_it_held(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&(struct setup){ .caps = STORED, .file = "limits = ( { tokens = 1500; } );\n" });
    say_as(w, "c", "alice", "1", "#sleep 60000", true);
    wait_for(w, "ack", 1);
    say_as(w, "d", "alice", "2", "#echo a", true); /* 1000 are reserved for each answer */
    wait_for(w, "final", 1);
    assert_int_equal(nth(w, "final", 0)->error, ERR_RATE);
    say_as(w, "c", "alice", "3", "/stop", true);
    wait_for(w, "final", 3);
    say_as(w, "d", "alice", "4", "#echo b", true);
    wait_for(w, "final", 4);
    assert_string_equal(nth(w, "final", 3)->text, "b");
    chat_world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_acknowledged_then_answered),
        cmocka_unit_test(a_repeat_is_the_same_message),
        cmocka_unit_test(one_after_the_other),
        cmocka_unit_test(merged),
        cmocka_unit_test(newest_wins),
        cmocka_unit_test(the_queue_is_full_at_its_limit),
        cmocka_unit_test(silent_without_a_trigger_and_context_all_the_same),
        cmocka_unit_test(conversations_do_not_meet),
        cmocka_unit_test(stop_ends_the_answer_and_what_waits),
        cmocka_unit_test(a_new_message_interrupts_where_configured),
        cmocka_unit_test(retry_replaces_the_answer_in_the_history),
        cmocka_unit_test(reset_forgets_also_over_a_restart),
        cmocka_unit_test(people_keep_their_pseudonyms),
        cmocka_unit_test(history_is_there_after_a_restart),
        cmocka_unit_test(what_is_old_is_forgotten),
        cmocka_unit_test(older_turns_are_summarised),
        cmocka_unit_test(a_summary_that_fails_changes_nothing),
        cmocka_unit_test(no_answer_waits_for_a_summary),
        cmocka_unit_test(a_small_context_is_kept_to),
        cmocka_unit_test(pins_stay),
        cmocka_unit_test(only_administrators_command),
        cmocka_unit_test(remarks_are_for_administrators),
        cmocka_unit_test(what_was_not_answered_is_asked_again),
        cmocka_unit_test(commands_are_obeyed_after_a_restart),
        cmocka_unit_test(what_is_pinned_twice_stands_once),
        cmocka_unit_test(what_was_asked_for_alone_is_asked_again_alone),
        cmocka_unit_test(a_message_that_kills_us_is_buried),
        cmocka_unit_test(what_is_bound_to_it_is_buried_along),
        cmocka_unit_test(answers_grow_in_order),
        cmocka_unit_test(parts_go_through_the_outbox),
        cmocka_unit_test(unconfirmed_parts_are_sent_again_under_their_id),
        cmocka_unit_test(an_answer_is_written_down_with_what_it_cost),
        cmocka_unit_test(a_stopped_answer_is_estimated),
        cmocka_unit_test(a_broken_answer_is_estimated),
        cmocka_unit_test(a_refusal_costs_nothing),
        cmocka_unit_test(a_used_up_limit_is_a_notice),
        cmocka_unit_test(limits_hold_over_a_restart),
        cmocka_unit_test(another_model_answers_without_a_word),
        cmocka_unit_test(answers_under_way_are_reserved),
        cmocka_unit_test(a_stopped_answer_gives_back_what_it_held),
        cmocka_unit_test(doubt_is_settled_as_configured),
        cmocka_unit_test(a_part_that_is_refused_for_good_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
