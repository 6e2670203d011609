/* matrix/mention.c: whom a message means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "adapters/matrix/mention.h"
#include "plugin/base/buf.h"
#include "plugin/base/json.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define BOT "@birdie:example.org"

static bool mentions(const char *members, const char *body, const char *user, const char *name)
{
    struct buf json;
    struct event ev;
    buf_init(&json, 1024 * 1024);
    buf_adds(&json, "{\"type\":\"m.room.message\",\"sender\":\"@ann:example.org\",\"event_id\":\"$e\","
                    "\"content\":{\"msgtype\":\"m.text\",\"body\":");
    json_quote(&json, body);
    buf_addf(&json, "%s}}", members);
    cJSON *tree = json_parse(buf_str(&json), json.len);
    assert_non_null(tree);
    assert_int_equal(event_read(&ev, tree, NULL), ERR_OK);
    bool found = mention_of(&ev, user, name);
    event_fini(&ev);
    cJSON_Delete(tree);
    buf_free(&json);
    return found;
}

static void test_members(void **state)
{
    (void)state;
    static const struct {
        const char *members;
        bool found;
    } cases[] = {
        { "", false },
        { ",\"m.mentions\":{\"user_ids\":[\"" BOT "\"]}", true },
        { ",\"m.mentions\":{\"user_ids\":[7,\"@x:y\",\"" BOT "\"]}", true },
        { ",\"m.mentions\":{\"user_ids\":[\"@BIRDIE:example.org\"]}", false },
        { ",\"m.mentions\":{\"user_ids\":{\"x\":\"" BOT "\"}}", false },
        { ",\"m.mentions\":{\"user_ids\":\"" BOT "\"}", false },
        { ",\"m.mentions\":[\"" BOT "\"]", false },
        { ",\"m.mentions\":{\"room\":true}", false },
        { ",\"formatted_body\":\"<a href=\\\"https://matrix.to/#/" BOT "\\\">B</a>\"", true },
        { ",\"formatted_body\":\"<a href='https://matrix.to/#/%40birdie%3Aexample.org?via=x'>B</a>\"", true },
        { ",\"formatted_body\":\"<a href=\\\"matrix:u/birdie:example.org\\\">B</a>\"", true },
        { ",\"formatted_body\":\"<a href=\\\"https://matrix.to/#/@birdie:example.org.uk\\\">B</a>\"", false },
        { ",\"formatted_body\":\"<a href=\\\"https://matrix.to/#/@birdie:example.org:8448\\\">B</a>\"", false },
        { ",\"formatted_body\":\"<a href=\\\"https://matrix.to/#/@birdie:example.orgy\\\">B</a>\"", false },
        { ",\"formatted_body\":\"<a href=\\\"https://matrix.to/#/@birdie%3\\\">B</a>\"", false },
        { ",\"formatted_body\":\"https://matrix.to/#/\"", false },
        { ",\"formatted_body\":7", false },
        { ",\"formatted_body\":\"<mx-reply><a href=\\\"https://matrix.to/#/" BOT "\\\">B</a></mx-reply>hi\"", false },
        { ",\"formatted_body\":\"<mx-reply>x</mx-reply><a href=\\\"https://matrix.to/#/" BOT "\\\">B</a>\"", true },
        { ",\"formatted_body\":\"<mx-reply><a href=\\\"https://matrix.to/#/" BOT "\\\">B</a>\"", false },
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        if (mentions(cases[i].members, "hello", BOT, "Little Bird") != cases[i].found)
            fail_msg("%s", cases[i].members);
}

/* asked: the client writes m.mentions, so the person could have named the bot there. */
static void test_texts(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        bool found, asked_found;
    } cases[] = {
        { "hello", false, false },
        { "hello " BOT, true, true },
        { "hello " BOT ", you", true, true },
        { "(" BOT ")", true, true },
        { "hello @birdie:example.org.", true, true },
        { "hello @birdie:example.org.uk", false, false }, /* somebody else */
        { "@birdie:example.net hello", false, false },
        { "@birdie: hello", true, true },
        { "birdie:hello", true, true },
        { "see https://matrix.to/#/" BOT, true, true },
        { "see https://matrix.to/#/@birdiex:example.org", false, false },
        { "hello @birdie", true, true },
        { "hello @Birdie!", true, true },
        { "@birdie", true, true },
        { "hello @birdies", false, false },
        { "mail to ann@birdie", false, false },
        { "birdie: hello", true, true },
        { "Birdie, hello", true, true },
        { " birdie: hello", true, true },
        { "birdie hello", true, false },
        { "hello birdie", true, false },
        { "hello birdie: you", true, false },
        { "birdies are birds", false, false },
        { "a_birdie", false, false },
        { "a-birdie", true, false },
        { "hello little bird", true, false },
        { "LITTLE BIRD: hello", true, true },
        { "@little bird hello", true, true },
        { "little birds", false, false },
        { "ＢＩＲＤＩＥ：你好", true, true }, /* full width */
        { "你好birdie你好", true, false },
        { "你好@birdie你好", true, true },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (mentions("", cases[i].body, BOT, "Little Bird") != cases[i].found)
            fail_msg("%s", cases[i].body);
        if (mentions(",\"m.mentions\":{}", cases[i].body, BOT, "Little Bird") != cases[i].asked_found)
            fail_msg("asked: %s", cases[i].body);
    }
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *name, *body;
        bool found;
    } cases[] = {
        { "小莺", "请问小莺，天气如何", true },
        { "小莺", "请问", false },
        { "莺", "草长莺飞", false }, /* one character stands in many words */
        { "莺", "@莺 你好", true },
        { "莺", "莺：你好", true },
        { "Бот", "это работает", false },
        { "Бот", "эй бот, привет", true },
        { "Bot (beta)", "ask bot (BETA) now", true },
        { "Straße", "hey STRASSE", true },
        { "", "hello", false },
        { NULL, "hello", false },
        { "\xC2\xAD", "hello", false }, /* a soft hyphen folds to nothing */
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        if (mentions("", cases[i].body, BOT, cases[i].name) != cases[i].found)
            fail_msg("%s in %s", cases[i].name ? cases[i].name : "NULL", cases[i].body);
}

/* A name behind the first MENTION_TEXT_BYTES_MAX bytes is not seen, an id is. */
static void test_long_text(void **state)
{
    (void)state;
    for (size_t behind = 0; behind < 2; behind++) {
        struct buf text;
        buf_init(&text, 2 * MENTION_TEXT_BYTES_MAX);
        while (text.len < MENTION_TEXT_BYTES_MAX - strlen("birdie") + behind)
            buf_addc(&text, ' ');
        buf_adds(&text, "birdie");
        assert_int_equal(mentions("", buf_str(&text), BOT, NULL), !behind);
        buf_adds(&text, " " BOT);
        assert_true(mentions("", buf_str(&text), BOT, NULL));
        buf_free(&text);
    }
}

/* Folding makes eleven times as much of this character. */
static void test_text_that_grows(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, 2 * MENTION_TEXT_BYTES_MAX);
    buf_adds(&text, "birdie ");
    while (text.len < MENTION_TEXT_BYTES_MAX)
        buf_adds(&text, "\xEF\xB7\xBA");
    assert_true(mentions("", buf_str(&text), BOT, NULL));
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_long_text),
        cmocka_unit_test(test_text_that_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
