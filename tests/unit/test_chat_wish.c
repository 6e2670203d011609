/* Presets, and what messages ask of their own answers. */
#include "tests/unit/chat_world.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/chat/wish.h"

#define PRESETS \
    "system_prompt = \"plain\"; trigger = (\"direct\"); " \
    "presets = ( { name = \"translator\"; help = \"translates\"; system_prompt = \"translate\"; model = \"other\"; }," \
    "            { name = \"Poet\"; system_prompt = \"rhyme\"; } ); "

static struct chat_world *world(const char *bot)
{
    return chat_world_new(&(struct setup){ .caps = STORED, .bot = bot });
}

static void wish_in(struct chat_world *w, const char *id, const char *text, const struct msg_wish *wish, bool direct)
{
    struct msg_in m = { .chat = "c", .id = id, .sender = "alice", .sender_name = "alice", .text = text,
                        .len = strlen(text), .direct = direct, .wish = wish };
    adapter_message(&w->account, &m);
}

/* The answer to a message that is written now. */
static const char *answer(struct chat_world *w, const char *id, const char *text, const struct msg_wish *wish)
{
    size_t n = count(w, "final");
    wish_in(w, id, text, wish, true);
    wait_for(w, "final", n + 1);
    return nth(w, "final", n)->text;
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" does not say \"%s\"", text, part);
}

/* --- presets --- */
static void a_preset_is_for_the_conversation(void **state)
{
    (void)state;
    struct chat_world *w = world(PRESETS);
    assert_has(answer(w, "1", "#history", NULL), "1. system: plain");
    assert_has(answer(w, "2", "/TRANSLATOR", NULL), "as \"translator\"");
    assert_has(answer(w, "3", "#history", NULL), "1. system: translate");
    assert_has(answer(w, "4", "/status", NULL), "- preset: translator\n- model: other\n");
    restart(w);
    assert_has(answer(w, "5", "#history", NULL), "1. system: translate");
    assert_has(answer(w, "6", "/poet #history", NULL), "1. system: rhyme"); /* for once */
    assert_has(answer(w, "7", "#history", NULL), "1. system: translate");
    assert_has(answer(w, "8", "/default #history", NULL), "1. system: plain");
    assert_has(answer(w, "9", "#history", NULL), "1. system: translate");
    assert_has(answer(w, "10", "/默认", NULL), "已恢复默认设定");
    assert_has(answer(w, "11", "#history", NULL), "1. system: plain");
    chat_world_free(w);
}

/* The model sees the text without the preset's name. */
static void a_preset_for_once_survives_a_crash(void **state)
{
    (void)state;
    struct chat_world *w = world(PRESETS);
    answer(w, "1", "hello", NULL);
    wish_in(w, "2", "/poet #sleep 100 #history", NULL, true);
    wait_for(w, "ack", 2);
    restart(w);
    wait_for(w, "final", 1);
    assert_has(nth(w, "final", 0)->text, "1. system: rhyme");
    assert_has(nth(w, "final", 0)->text, "user: #sleep 100 #history");
    chat_world_free(w);
}

static void presets_stand_in_the_help(void **state)
{
    (void)state;
    struct chat_world *w = world(PRESETS);
    const char *help = answer(w, "1", "/help", NULL);
    assert_has(help, "- `/default` goes back");
    assert_has(help, "- `/translator` translates\n- `/Poet` answers in another manner\n");
    chat_world_free(w);
    w = world(NULL);
    assert_null(strstr(answer(w, "1", "/help", NULL), "/default"));
    assert_int_equal(count(w, "final"), 1);
    chat_world_free(w);
}

static void a_preset_that_is_gone_is_none(void **state)
{
    (void)state;
    struct chat_world *w = world(PRESETS);
    answer(w, "1", "/poet", NULL);
    configure(w, &(struct setup){ .caps = STORED, .bot = "system_prompt = \"plain\";" });
    restart(w);
    assert_has(answer(w, "2", "#history", NULL), "1. system: plain");
    assert_null(strstr(answer(w, "3", "/status", NULL), "preset"));
    chat_world_free(w);
}

/* --- wishes --- */
static const struct msg_wish POET = { .preset = "poet" }, MORE = { .prompt = "be\nbrief" }, RESET = { .reset = true },
                             SILENT = { .silent = true }, ANSWER = { .answer = true };

static void nothing_is_granted_unless_allowed(void **state)
{
    (void)state;
    struct chat_world *w = world(PRESETS);
    answer(w, "1", "#echo one", NULL);
    assert_has(answer(w, "2", "#history", &POET), "1. system: plain");
    assert_has(answer(w, "3", "#history", &MORE), "1. system: plain\n2. user: #echo one");
    assert_has(answer(w, "4", "#history", &RESET), "2. user: #echo one");
    assert_has(answer(w, "5", "#echo five", &SILENT), "five");
    wish_in(w, "6", "#echo six", &ANSWER, false);
    wait_for(w, "ack", 6);
    settle(w);
    assert_int_equal(count(w, "final"), 5);
    chat_world_free(w);
}

#define ALLOWED PRESETS "wishes = (\"preset\", \"prompt\", \"max_tokens\", \"reset\", \"silent\", \"answer\");"

static void what_is_allowed_is_granted(void **state)
{
    (void)state;
    struct chat_world *w = world(ALLOWED);
    answer(w, "1", "#echo one", NULL);
    assert_has(answer(w, "2", "#history", &POET), "1. system: rhyme");
    assert_has(answer(w, "3", "#history", &(struct msg_wish){ .preset = "nobody" }), "1. system: plain");
    assert_has(answer(w, "4", "#history", &MORE), "1. system: plain");
    assert_has(answer(w, "5", "#history", NULL), "2. user: #echo one");
    wish_in(w, "6", "remember this", &SILENT, true);
    wait_for(w, "ack", 6);
    assert_false(nth(w, "ack", 5)->notice);
    wish_in(w, "7", "#history", &ANSWER, false);
    wait_for(w, "final", 6);
    assert_has(nth(w, "final", 5)->text, "user: remember this");
    chat_world_free(w);
}

/* As /reset does it, but the message itself is answered. */
static void the_conversation_is_forgotten_first(void **state)
{
    (void)state;
    struct chat_world *w = world(ALLOWED);
    answer(w, "1", "#echo one", NULL);
    answer(w, "2", "/pin tea", NULL);
    assert_has(answer(w, "3", "#history", &RESET), "2 messages\n1. system: plain\n2. user: #history");
    assert_has(answer(w, "4", "#history", NULL), "4 messages\n");
    restart(w);
    assert_has(answer(w, "5", "#history", NULL), "6 messages\n1. system: plain\n2. user: #history");
    chat_world_free(w);
}

static void what_waits_is_not_forgotten(void **state)
{
    (void)state;
    struct chat_world *w = world(ALLOWED " queue = \"merge\";");
    wish_in(w, "1", "#sleep 100 #echo one", NULL, true);
    wish_in(w, "2", "#echo two", NULL, true);
    wish_in(w, "3", "#history", &RESET, true);
    wish_in(w, "4", "#echo four", NULL, true);
    wait_for(w, "final", 4); /* it stands alone */
    assert_has(nth(w, "final", 2)->text, "2 messages\n");
    assert_has(nth(w, "final", 3)->text, "four");
    chat_world_free(w);
}

/* --- pure --- */
static void assert_written(const struct msg_wish *m, unsigned wishes, const char *preset, const char *want)
{
    struct preset_conf presets[] = { { .name = (char *)"poet" } };
    struct bot_conf bot = { .wishes = wishes, .presets = presets, .n_presets = 1 };
    char *json = wish_write(m, &bot, preset);
    if (want)
        assert_string_equal(json, want);
    else
        assert_null(json);
    free(json);
}

static void wishes_are_kept_as_json(void **state)
{
    (void)state;
    static char text[2 * WISH_PROMPT_BYTES_MAX];
    const struct msg_wish all = { .preset = "Poet", .prompt = "a \"b\"\x01", .max_tokens = 7, .reset = true };
    assert_written(NULL, 63, NULL, NULL);
    assert_written(&all, 0, NULL, NULL);
    assert_written(&all, 0, "poet", "{\"preset\":\"poet\"}");
    assert_written(&all, 63, "default", "{\"preset\":\"default\",\"prompt\":\"a \\\"b\\\"\",\"max_tokens\":7,\"reset\":true}");
    assert_written(&all, WISH_PRESET | WISH_MAX_TOKENS, NULL, "{\"preset\":\"Poet\",\"max_tokens\":7}");
    assert_written(&(struct msg_wish){ .preset = "other", .max_tokens = -1 }, 63, NULL, NULL);

    memset(text, 'x', sizeof(text) - 1);
    struct bot_conf bot = { .wishes = WISH_PROMPT };
    struct wish w;
    char *json = wish_write(&(struct msg_wish){ .prompt = text }, &bot, NULL);
    wish_read(&w, json);
    assert_int_equal(strlen(w.prompt), WISH_PROMPT_BYTES_MAX);
    wish_fini(&w);
    free(json);
    wish_read(&w, "{");
    assert_null(w.prompt);
    assert_false(w.reset);
}

static void answers_are_never_longer_than_configured(void **state)
{
    (void)state;
    struct request_tuning t;
    struct wish w = { .max_tokens = 0 };
    struct preset_conf p = { .temperature = NAN, .top_p = NAN, .frequency_penalty = NAN, .presence_penalty = NAN };
    assert_false(wish_tuning(&w, NULL, &t));
    assert_false(wish_tuning(&w, &p, &t));
    p.max_tokens = 50;
    w.max_tokens = 100;
    assert_true(wish_tuning(&w, &p, &t));
    assert_int_equal(t.max_tokens, 50);
    assert_int_equal(t.most_tokens, 100);
    p.temperature = 0;
    assert_true(wish_tuning(&w, &p, &t));
    assert_true(t.temperature == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_preset_is_for_the_conversation),
        cmocka_unit_test(a_preset_for_once_survives_a_crash),
        cmocka_unit_test(presets_stand_in_the_help),
        cmocka_unit_test(a_preset_that_is_gone_is_none),
        cmocka_unit_test(nothing_is_granted_unless_allowed),
        cmocka_unit_test(what_is_allowed_is_granted),
        cmocka_unit_test(the_conversation_is_forgotten_first),
        cmocka_unit_test(what_waits_is_not_forgotten),
        cmocka_unit_test(wishes_are_kept_as_json),
        cmocka_unit_test(answers_are_never_longer_than_configured),
    };
    return cmocka_run_group_tests_name("chat_wish", tests, NULL, NULL);
}
