/* What chats call themselves: names that rules and limits go by, and prompts tell. */
#include "tests/unit/chat_world.h"

#include <stdio.h>
#include <string.h>

#include "plugin/base/mem.h"
#include "plugin/chat/room.h"

/* --- names --- */
static void assert_names(const char *channel, const struct chat_about *about, const char *const *want)
{
    struct store_room room;
    room_read(&room, about);
    char **names = room_names(channel, &room);
    size_t i = 0;
    for (; want[i]; i++) {
        assert_non_null(names[i]);
        assert_string_equal(names[i], want[i]);
    }
    assert_null(names[i]);
    room_names_free(&names);
    room_fini(&room);
}

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void a_channel_has_all_names_of_its_chat(void **state)
{
    (void)state;
    assert_names("mx:!r:a", &(struct chat_about){ 0 }, LIST("mx:!r:a"));
    assert_names("mx:!r:a/$t", &(struct chat_about){ .name = "The lobby", .aliases = LIST("#lobby:a", "#a/b:a") },
                 LIST("mx:!r:a/$t", "mx:The lobby/$t", "mx:#lobby:a/$t", "mx:#a%2Fb:a/$t"));
    assert_names("mx:!r:a", &(struct chat_about){ .name = " \n", .aliases = LIST("", "#x\n#y", "\x01") },
                 LIST("mx:!r:a", "mx:#x #y"));
}

static void long_names_are_cut(void **state)
{
    (void)state;
    static char text[3 * ROOM_TOPIC_BYTES_MAX];
    const char *aliases[ROOM_ALIASES_MAX + 2] = { NULL };
    struct store_room room;
    memset(text, 'x', sizeof(text) - 1);
    for (size_t i = 0; i <= ROOM_ALIASES_MAX; i++)
        aliases[i] = text;
    room_read(&room, &(struct chat_about){ text, text, aliases });
    assert_int_equal(strlen(room.name), ROOM_NAME_BYTES_MAX);
    assert_int_equal(strlen(room.topic), ROOM_TOPIC_BYTES_MAX);
    assert_int_equal(strlen(room.aliases), ROOM_ALIASES_MAX * (ROOM_NAME_BYTES_MAX + 1) - 1);
    char **names = room_names("a:b", &room);
    size_t n = 0;
    while (names[n])
        n++;
    assert_int_equal(n, ROOM_ALIASES_MAX + 2);
    room_names_free(&names);
    room_fini(&room);
}

/* --- in the bot --- */
static const struct setup BY_ALIAS = {
    .caps = ADAPTER_IDEMPOTENT,
    .bot = "system_prompt = \"{room}: {topic}\"; trigger = (\"always\");",
    .channels = "{ match = \"web:#help:*\"; bot = \"bo\"; }, { match = \"web:Shop\"; bot = \"bo\"; model = \"other\"; }",
};

static void say_in(struct chat_world *w, const char *thread, const char *id, const char *text, const struct chat_about *about)
{
    struct msg_in m = { .chat = "!c", .thread = thread, .id = id, .sender = "alice", .text = text, .len = strlen(text),
                        .about = about };
    adapter_message(&w->account, &m);
}

static const struct chat_about HELP = { .name = "Help desk", .topic = "all about tea", .aliases = LIST("#help:a") };

static void a_rule_matches_by_alias(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&BY_ALIAS);
    say_in(w, NULL, "1", "#history", NULL);
    wait_for(w, "ack", 1);
    say_in(w, NULL, "2", "#history", &HELP);
    wait_for(w, "ack", 2);
    deliver_all(w);
    assert_int_equal(w->n_postings, 1);
    assert_non_null(strstr(w->postings[0].text, "1. system: Help desk: all about tea"));
    say_in(w, "t", "3", "#history", NULL); /* a thread of it */
    wait_for(w, "ack", 3);
    deliver_all(w);
    assert_int_equal(w->n_postings, 2);
    assert_non_null(strstr(w->postings[1].text, "1. system: Help desk: all about tea"));
    restart(w);
    say_in(w, "u", "4", "#history", NULL);
    wait_for(w, "ack", 1);
    deliver_all(w);
    assert_int_equal(w->n_postings, 3);
    say_in(w, NULL, "5", "#history", &(struct chat_about){ .name = "Elsewhere" });
    wait_for(w, "ack", 2);
    deliver_all(w);
    assert_int_equal(w->n_postings, 3);
    chat_world_free(w);
}

/* With all of its history, though nothing but the store knows that a bot serves it. */
static void a_question_is_resumed_by_the_same_rule(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&BY_ALIAS);
    say_in(w, NULL, "1", "#echo one", &HELP);
    wait_for(w, "ack", 1);
    deliver_all(w);
    say_in(w, NULL, "2", "#sleep 100 #history", NULL);
    wait_for(w, "ack", 2);
    restart(w);
    wait_for(w, "final", 1);
    deliver_all(w);
    assert_non_null(strstr(w->postings[1].text, "3. assistant: one"));
    chat_world_free(w);
}

static void the_first_rule_counts_whatever_it_matches(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&BY_ALIAS);
    say_in(w, NULL, "1", "/status", &(struct chat_about){ .name = "Shop" });
    wait_for(w, "ack", 1);
    say_in(w, NULL, "2", "/status", &(struct chat_about){ .name = "Shop", .aliases = LIST("#help:a") });
    wait_for(w, "ack", 2);
    deliver_all(w);
    assert_non_null(strstr(w->postings[0].text, "- model: other\n"));
    assert_non_null(strstr(w->postings[1].text, "- model: p\n"));
    chat_world_free(w);
}

static void limits_go_by_them_too(void **state)
{
    (void)state;
    struct setup s = BY_ALIAS;
    s.file = "limits = ( { match = \"web:#help:a\"; messages = 1; } );\n";
    struct chat_world *w = chat_world_new(&s);
    say_in(w, NULL, "1", "#echo one", &HELP);
    say_in(w, NULL, "2", "#echo two", NULL);
    wait_for(w, "final", 2);
    assert_true(nth(w, "final", 1)->notice);
    chat_world_free(w);
}

/* --- how long what platforms call them may be --- */
static void say_at(struct chat_world *w, const char *chat, const char *thread, const char *id)
{
    adapter_message(&w->account, &(struct msg_in){ .chat = chat, .thread = thread, .id = id, .sender = "alice", .text = "#echo a",
                                                   .len = 7, .direct = true });
}

static void a_chat_and_a_thread_have_ids_of_their_own_length(void **state)
{
    (void)state;
    struct chat_world *w = chat_world_new(&(struct setup){ .caps = ADAPTER_IDEMPOTENT });
    char longest[CHAT_ID_BYTES_MAX + 1] = "", over[CHAT_ID_BYTES_MAX + 2] = "";
    memset(longest, '/', CHAT_ID_BYTES_MAX); /* escaped, three bytes each */
    memset(over, '/', CHAT_ID_BYTES_MAX + 1);
    say_at(w, longest, longest, "1");
    wait_for(w, "final", 1);
    assert_string_equal(w->postings[0].chat, longest);
    say_at(w, longest, over, "2");
    say_at(w, over, longest, "3");
    wait_for(w, "refused", 2);
    assert_int_equal(nth(w, "refused", 0)->error, ERR_INVALID);
    assert_int_equal(nth(w, "refused", 1)->error, ERR_INVALID);
    chat_world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_channel_has_all_names_of_its_chat),
        cmocka_unit_test(long_names_are_cut),
        cmocka_unit_test(a_rule_matches_by_alias),
        cmocka_unit_test(a_question_is_resumed_by_the_same_rule),
        cmocka_unit_test(the_first_rule_counts_whatever_it_matches),
        cmocka_unit_test(limits_go_by_them_too),
        cmocka_unit_test(a_chat_and_a_thread_have_ids_of_their_own_length),
    };
    return cmocka_run_group_tests_name("chat_room", tests, NULL, NULL);
}
