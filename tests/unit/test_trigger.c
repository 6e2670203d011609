/* Is a message for the bot, and is it a command? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "plugin/base/clock.h"
#include "plugin/chat/command.h"
#include "plugin/chat/trigger.h"

static char *patterns[] = { (char[]){ "help\\b" }, (char[]){ "帮.?忙" }, (char[]){ "(a+)+$" } };

static struct bot_conf BOT = { .name = (char[]){ "bo" }, .prefix = (char[]){ "!ai " }, .chance = 0.25,
                               .command_prefix = (char[]){ "/" }, .keywords = { patterns, 3 } };

static void table(void **state)
{
    (void)state;
    struct keywords *k = keywords_new(&BOT.keywords);
    const unsigned all = TRIGGER_PREFIX | TRIGGER_DIRECT | TRIGGER_MENTION | TRIGGER_REPLY | TRIGGER_KEYWORD;
    const struct {
        unsigned triggers;
        const char *text;
        bool direct, mentioned, reply;
        double dice;
        enum trigger_kind want;
        size_t skip;
    } cases[] = {
        { all, "hello", false, false, false, 0, 0, 0 },
        { all, "hello", true, false, false, 0, TRIGGER_DIRECT, 0 },
        { TRIGGER_MENTION, "hello", true, false, false, 0, 0, 0 },
        { all, "!ai hello", true, false, false, 0, TRIGGER_PREFIX, 4 },
        { all, "hi @bo", false, false, false, 0, TRIGGER_MENTION, 0 },
        { all, "hi @BO!", false, false, false, 0, TRIGGER_MENTION, 0 },
        { all, "@bo你好", false, false, false, 0, TRIGGER_MENTION, 0 },
        { all, "hi @bob", false, false, false, 0, 0, 0 },
        { all, "@bob and @bo", false, false, false, 0, TRIGGER_MENTION, 0 },
        { all, "mail me at x@bo_x", false, false, false, 0, 0, 0 },
        { all, "mail me at x@bo.example", false, false, false, 0, 0, 0 },
        { all, "你好@bo", false, false, false, 0, TRIGGER_MENTION, 0 },
        { all, "hello", false, true, false, 0, TRIGGER_MENTION, 0 },
        { all, "hello", false, false, true, 0, TRIGGER_REPLY, 0 },
        { all, "HELP me", false, false, false, 0, TRIGGER_KEYWORD, 0 },
        { all, "请帮个忙", false, false, false, 0, TRIGGER_KEYWORD, 0 },
        { all, "helpless", false, false, false, 0, 0, 0 },
        { TRIGGER_ALWAYS, "x", false, false, false, 0, TRIGGER_ALWAYS, 0 },
        { TRIGGER_CHANCE, "x", false, false, false, 0.2499, TRIGGER_CHANCE, 0 },
        { TRIGGER_CHANCE, "x", false, false, false, 0.25, 0, 0 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct trigger_in in = { &BOT, k, cases[i].triggers, cases[i].text, strlen(cases[i].text),
                                 cases[i].direct, cases[i].mentioned, cases[i].reply, cases[i].dice };
        size_t skip;
        enum trigger_kind got = trigger_match(&in, &skip);
        if (got != cases[i].want || skip != cases[i].skip)
            fail_msg("case %zu \"%s\": %s, skip %zu", i, cases[i].text, trigger_name(got), skip);
    }
    keywords_free(&k);
}

/* A pattern that would take exponential time gives up at its limits. */
static void hostile_text_is_bounded(void **state)
{
    (void)state;
    struct keywords *k = keywords_new(&BOT.keywords);
    char text[4096];
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 2] = '!';
    text[sizeof(text) - 1] = '\0';
    struct trigger_in in = { &BOT, k, TRIGGER_KEYWORD, text, strlen(text), false, false, false, 0 };
    size_t skip;
    assert_int_equal(trigger_match(&in, &skip), 0);
    keywords_free(&k);
}

static void commands(void **state)
{
    (void)state;
    char *extra[] = { (char[]){ "help=hilfe,aide" }, (char[]){ "status=" } };
    struct bot_conf bot = BOT;
    bot.commands = (struct strings){ extra, 2 };
    const struct {
        const char *text;
        enum command want;
        const char *args;
    } cases[] = {
        { "/help", COMMAND_HELP, "" },
        { "/HELP", COMMAND_HELP, "" },
        { "/帮助", COMMAND_HELP, "" },
        { "/hilfe", COMMAND_HELP, "" },
        { "/aide", COMMAND_HELP, "" },
        { "/aid", COMMAND_NONE, "" },
        { " /help", COMMAND_HELP, "" },
        { "@bo /重置", COMMAND_RESET, "" },
        { "@bo  /model  fast one", COMMAND_MODEL, "fast one" },
        { "/prompt You are\nkind.", COMMAND_PROMPT, "You are\nkind." },
        { "/status", COMMAND_NONE, "" },
        { "/", COMMAND_NONE, "" },
        { "/etc/passwd", COMMAND_NONE, "" },
        { "help", COMMAND_NONE, "" },
        { "", COMMAND_NONE, "" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *args;
        enum command got = command_parse(&bot, cases[i].text, &args);
        if (got != cases[i].want || (got && strcmp(args, cases[i].args) != 0))
            fail_msg("case %zu \"%s\": command %d, arguments \"%s\"", i, cases[i].text, (int)got, args);
    }
    bot.command_prefix = (char[]){ "" };
    const char *args;
    assert_int_equal(command_parse(&bot, "/help", &args), COMMAND_NONE); /* switched off */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table),
        cmocka_unit_test(hostile_text_is_bounded),
        cmocka_unit_test(commands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
