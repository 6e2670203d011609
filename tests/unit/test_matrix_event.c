/* matrix/event.c: room events as strangers write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "adapters/matrix/event.h"
#include "plugin/base/buf.h"
#include "plugin/base/json.h"
#include "plugin/base/utf8.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define RLO "\xE2\x80\xAE" /* right-to-left override */
#define FAMILY "\xF0\x9F\x91\xA8\xE2\x80\x8D\xF0\x9F\x91\xA9" /* with a joiner */

struct read {
    cJSON *tree;
    struct event ev;
    enum err_code code;
    struct err e;
};

static struct read read_json(const char *json)
{
    struct read r = { .tree = json_parse(json, strlen(json)) };
    if (!r.tree)
        fail_msg("not JSON: %s", json);
    r.code = event_read(&r.ev, r.tree, &r.e);
    return r;
}

static struct read read_event(const char *type, const char *more, const char *content)
{
    struct buf json;
    buf_init(&json, 8 * 1024 * 1024);
    buf_addf(&json, "{\"type\":\"%s\",\"sender\":\"@ann:example.org\",\"event_id\":\"$e\",\"origin_server_ts\":1700000000000%s,"
             "\"content\":", type, more);
    buf_adds(&json, content);
    buf_addc(&json, '}');
    struct read r = read_json(buf_str(&json));
    buf_free(&json);
    return r;
}

static struct read read_message(const char *content)
{
    return read_event("m.room.message", "", content);
}

static struct read read_state(const char *type, const char *content)
{
    return read_event(type, ",\"state_key\":\"\"", content);
}

static void drop(struct read *r)
{
    event_fini(&r->ev);
    cJSON_Delete(r->tree);
}

static bool same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static char *repeat(const char *s, size_t times)
{
    struct buf b;
    buf_init(&b, 8 * 1024 * 1024);
    while (times--)
        buf_adds(&b, s);
    return buf_take(&b);
}

/* --- the envelope --- */

static void test_envelope(void **state)
{
    (void)state;
    struct read r = read_json("{\"type\":\"m.room.message\",\"sender\":\"@ann:example.org\",\"event_id\":\"$e\",\"room_id\":\"!r\","
                              "\"origin_server_ts\":1700000000000,\"unsigned\":{\"transaction_id\":\"t1\"},"
                              "\"content\":{\"msgtype\":\"m.text\",\"body\":\"hi\"}}");
    assert_int_equal(r.code, ERR_OK);
    assert_int_equal(r.ev.kind, EVENT_TEXT);
    assert_string_equal(r.ev.id, "$e");
    assert_string_equal(r.ev.sender, "@ann:example.org");
    assert_string_equal(r.ev.room, "!r");
    assert_null(r.ev.state_key);
    assert_string_equal(r.ev.txn, "t1");
    assert_true(r.ev.time_ms == 1700000000000);
    assert_string_equal(r.ev.text, "hi");
    assert_int_equal(r.ev.len, 2);
    drop(&r);
}

static void test_no_event(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "[]", "\"x\"", "null", "7", "{}",
        "{\"type\":\"m.x\",\"event_id\":\"$e\",\"content\":{}}",
        "{\"type\":\"m.x\",\"event_id\":\"$e\",\"sender\":7,\"content\":{}}",
        "{\"type\":\"m.x\",\"event_id\":\"$e\",\"sender\":\"ann\",\"content\":{}}",
        "{\"type\":\"m.x\",\"event_id\":\"$e\",\"sender\":\"@ann\",\"content\":{}}",
        "{\"type\":\"m.x\",\"event_id\":\"$e\",\"sender\":\"@a:b\"}",
        "{\"type\":\"m.x\",\"event_id\":\"$e\",\"sender\":\"@a:b\",\"content\":null}",
        "{\"type\":\"m.x\",\"event_id\":\"$e\",\"sender\":\"@a:b\",\"content\":[]}",
        "{\"type\":\"m.x\",\"sender\":\"@a:b\",\"content\":{}}",
        "{\"type\":\"m.x\",\"event_id\":\"e\",\"sender\":\"@a:b\",\"content\":{}}",
        "{\"type\":\"m.x\",\"event_id\":{},\"sender\":\"@a:b\",\"state_key\":\"\",\"content\":{}}",
        "{\"type\":\"m.x\",\"event_id\":\"$e\",\"sender\":\"@a:b\",\"state_key\":{},\"content\":{}}",
        "{\"type\":7,\"event_id\":\"$e\",\"sender\":\"@a:b\",\"content\":{}}",
        "{\"event_id\":\"$e\",\"sender\":\"@a:b\",\"content\":{}}",
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct read r = read_json(cases[i]);
        if (r.code != ERR_PROTO || !r.e.text[0] || r.ev.kind != EVENT_OTHER)
            fail_msg("taken: %s", cases[i]);
        drop(&r);
    }
    struct event ev;
    assert_int_equal(event_read(&ev, NULL, NULL), ERR_PROTO);
    event_fini(&ev);
}

static void test_stripped_state_has_no_id(void **state)
{
    (void)state;
    struct read r = read_json("{\"type\":\"m.room.member\",\"sender\":\"@a:b\",\"state_key\":\"@bot:b\","
                              "\"content\":{\"membership\":\"invite\",\"is_direct\":true}}");
    assert_int_equal(r.code, ERR_OK);
    assert_int_equal(r.ev.kind, EVENT_MEMBER);
    assert_null(r.ev.id);
    assert_true(r.ev.direct);
    drop(&r);
}

static void test_identifiers(void **state)
{
    (void)state;
    static const struct {
        const char *s;
        char sigil;
        bool ok;
    } cases[] = {
        { NULL, '@', false },
        { "", '@', false },
        { "@", '@', false },
        { "@a", '@', false },
        { "@a:b", '@', true },
        { "@:b", '@', true }, /* old accounts */
        { "@A/b=c+d_.-:b:8448", '@', true },
        { "@a:[::1]", '@', true },
        { "@a:b", '!', false },
        { "a:b", '@', false },
        { "@a b:c", '@', false },
        { "@a\nb:c", '@', false },
        { "@a\x7F:c", '@', false },
        { "@a" RLO ":c", '@', false },
        { "@a\xFF:c", '@', false },
        { "@小:b", '@', true },
        { "!opaque:b", '!', true },
        { "!noserver", '!', true }, /* room version 12 */
        { "$base64-_", '$', true },
        { "#a:b", '#', true },
        { "#a", '#', false },
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        if (event_id_ok(cases[i].s, cases[i].sigil) != cases[i].ok)
            fail_msg("%s", cases[i].s ? cases[i].s : "NULL");

    char *longest = repeat("x", EVENT_ID_BYTES_MAX), *over = repeat("x", EVENT_ID_BYTES_MAX + 1);
    longest[0] = over[0] = '$';
    assert_true(event_id_ok(longest, '$'));
    assert_false(event_id_ok(over, '$'));
    free(longest);
    free(over);
}

static void test_time(void **state)
{
    (void)state;
    static const char *const none[] = { "-1", "\"5\"", "1e300", "1.5", "null", "{}" };
    for (size_t i = 0; i < COUNT(none); i++) {
        struct buf json;
        buf_init(&json, 1024);
        buf_addf(&json, "{\"type\":\"m.x\",\"sender\":\"@a:b\",\"event_id\":\"$e\",\"content\":{},\"origin_server_ts\":%s}", none[i]);
        struct read r = read_json(buf_str(&json));
        assert_int_equal(r.code, ERR_OK);
        assert_true(r.ev.time_ms == 0);
        drop(&r);
        buf_free(&json);
    }
}

/* --- messages --- */

static void test_messages(void **state)
{
    (void)state;
    static const struct {
        const char *content;
        enum event_kind kind;
        const char *text, *file;
    } cases[] = {
        { "{\"msgtype\":\"m.text\",\"body\":\"hi\"}", EVENT_TEXT, "hi", NULL },
        { "{\"msgtype\":\"m.notice\",\"body\":\"hi\"}", EVENT_NOTICE, "hi", NULL },
        { "{\"msgtype\":\"m.emote\",\"body\":\"waves\"}", EVENT_EMOTE, "waves", NULL },
        { "{\"msgtype\":\"m.text\",\"body\":\"a\\r\\nb\\u0007c\\u0000\\td\"}", EVENT_TEXT, "a\nbc\td", NULL },
        { "{\"msgtype\":\"m.text\",\"body\":\"\"}", EVENT_OTHER, "", NULL },
        { "{\"msgtype\":\"m.text\",\"body\":\" \\n\\t\\u0007\"}", EVENT_OTHER, "", NULL },
        { "{\"msgtype\":\"m.text\",\"body\":7}", EVENT_OTHER, "", NULL },
        { "{\"msgtype\":\"m.text\"}", EVENT_OTHER, "", NULL },
        { "{\"msgtype\":[],\"body\":\"hi\"}", EVENT_OTHER, "", NULL },
        { "{\"body\":\"hi\"}", EVENT_OTHER, "", NULL },
        { "{\"msgtype\":\"m.server_notice\",\"body\":\"hi\"}", EVENT_OTHER, "", NULL },
        { "{\"msgtype\":\"m.key.verification.request\",\"body\":\"hi\"}", EVENT_OTHER, "", NULL },
        { "{}", EVENT_OTHER, "", NULL }, /* redacted */
        { "{\"msgtype\":\"m.image\",\"body\":\"cat.jpg\"}", EVENT_MEDIA, "", "cat.jpg" },
        { "{\"msgtype\":\"m.image\",\"body\":\"cat.jpg\",\"filename\":\"cat.jpg\"}", EVENT_MEDIA, "", "cat.jpg" },
        { "{\"msgtype\":\"m.image\",\"body\":\"what is it?\",\"filename\":\"cat.jpg\"}", EVENT_MEDIA, "what is it?", "cat.jpg" },
        { "{\"msgtype\":\"m.file\",\"body\":\"read it\",\"filename\":\"a\\nb\"}", EVENT_MEDIA, "read it", "a b" },
        { "{\"msgtype\":\"m.audio\",\"body\":\"x\",\"filename\":7}", EVENT_MEDIA, "", "x" },
        { "{\"msgtype\":\"m.video\",\"body\":\"\"}", EVENT_MEDIA, "", "" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct read r = read_message(cases[i].content);
        if (r.code != ERR_OK || r.ev.kind != cases[i].kind || !same(r.ev.text, cases[i].text) ||
            !same(r.ev.file, cases[i].file))
            fail_msg("%s: kind %d, text \"%s\", file \"%s\"", cases[i].content, (int)r.ev.kind, r.ev.text,
                     r.ev.file ? r.ev.file : "none");
        assert_int_equal(r.ev.len, strlen(r.ev.text));
        drop(&r);
    }
}

static void test_message_with_state_key_is_none(void **state)
{
    (void)state;
    struct read r = read_event("m.room.message", ",\"state_key\":\"\"", "{\"msgtype\":\"m.text\",\"body\":\"hi\"}");
    assert_int_equal(r.code, ERR_OK);
    assert_int_equal(r.ev.kind, EVENT_OTHER);
    drop(&r);
}

static void test_largest_body(void **state)
{
    (void)state;
    for (size_t over = 0; over < 2; over++) {
        char *text = repeat("x", EVENT_TEXT_BYTES_MAX + over);
        struct buf content;
        buf_init(&content, 2 * EVENT_TEXT_BYTES_MAX);
        buf_adds(&content, "{\"msgtype\":\"m.text\",\"body\":\"");
        buf_adds(&content, text);
        buf_adds(&content, "\"}");
        struct read r = read_message(buf_str(&content));
        assert_int_equal(r.code, ERR_OK);
        assert_int_equal(r.ev.kind, over ? EVENT_OTHER : EVENT_TEXT);
        assert_int_equal(r.ev.len, over ? 0 : EVENT_TEXT_BYTES_MAX);
        drop(&r);
        buf_free(&content);
        free(text);
    }
}

/* The worst that cleaning can make of a body of the largest size. */
static void test_body_of_bad_bytes(void **state)
{
    (void)state;
    cJSON *tree = cJSON_Parse("{\"type\":\"m.room.message\",\"sender\":\"@a:b\",\"event_id\":\"$e\","
                              "\"content\":{\"msgtype\":\"m.text\"}}");
    char *text = repeat("\xFF", EVENT_TEXT_BYTES_MAX);
    cJSON_AddStringToObject(cJSON_GetObjectItem(tree, "content"), "body", text);
    struct event ev;
    assert_int_equal(event_read(&ev, tree, NULL), ERR_OK);
    assert_int_equal(ev.kind, EVENT_TEXT);
    assert_int_equal(ev.len, 3 * EVENT_TEXT_BYTES_MAX);
    assert_true(utf8_valid(ev.text, ev.len));
    event_fini(&ev);
    cJSON_Delete(tree);
    free(text);
}

#define REPLY "\"m.relates_to\":{\"m.in_reply_to\":{\"event_id\":\"$q\"}}"

static void test_reply_fallback(void **state)
{
    (void)state;
    static const struct {
        const char *body, *text; /* text NULL: no message */
    } cases[] = {
        { "> <@bob:b> one\\n> two\\n\\nmine", "mine" },
        { "> <@bob:b> one\\n>\\n> two\\n\\nmine\\n> quoted", "mine\n> quoted" },
        { "> * <@bob:b> waves\\n\\nmine", "mine" },
        { "> <@bob:b> one\\r\\n\\r\\nmine", "mine" },
        { "> <@bob:b> one\\nmine", "mine" },
        { "> <@bob:b> one", NULL },
        { "> <@bob:b> one\\n\\n", NULL },
        { "> what I quote myself\\n\\nmine", "> what I quote myself\n\nmine" },
        { "mine", "mine" },
        { ">", ">" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf content;
        buf_init(&content, 4096);
        buf_addf(&content, "{\"msgtype\":\"m.text\",\"body\":\"%s\"," REPLY "}", cases[i].body);
        struct read r = read_message(buf_str(&content));
        if (r.ev.kind != (cases[i].text ? EVENT_TEXT : EVENT_OTHER) || strcmp(r.ev.text, cases[i].text ? cases[i].text : "") != 0)
            fail_msg("%s: \"%s\"", cases[i].body, r.ev.text);
        assert_string_equal(r.ev.reply_to, "$q");
        drop(&r);
        buf_free(&content);
    }
    struct read r = read_message("{\"msgtype\":\"m.text\",\"body\":\"> <@bob:b> one\\n\\nmine\"}");
    assert_string_equal(r.ev.text, "> <@bob:b> one\n\nmine"); /* no reply, so a person wrote all of it */
    drop(&r);
}

static void test_relations(void **state)
{
    (void)state;
    static const struct {
        const char *relates;
        const char *reply_to, *thread;
    } cases[] = {
        { "{\"m.in_reply_to\":{\"event_id\":\"$q\"}}", "$q", NULL },
        { "{\"m.in_reply_to\":{\"event_id\":\"q\"}}", NULL, NULL },
        { "{\"m.in_reply_to\":\"$q\"}", NULL, NULL },
        { "{\"rel_type\":\"m.thread\",\"event_id\":\"$t\"}", NULL, "$t" },
        { "{\"rel_type\":\"m.thread\",\"event_id\":\"$t\",\"is_falling_back\":true,\"m.in_reply_to\":{\"event_id\":\"$q\"}}", NULL, "$t" },
        { "{\"rel_type\":\"m.thread\",\"event_id\":\"$t\",\"is_falling_back\":false,\"m.in_reply_to\":{\"event_id\":\"$q\"}}", "$q", "$t" },
        { "{\"rel_type\":\"m.thread\",\"event_id\":\"$t\",\"m.in_reply_to\":{\"event_id\":\"$q\"}}", "$q", "$t" },
        { "{\"rel_type\":\"m.thread\",\"event_id\":7,\"is_falling_back\":true,\"m.in_reply_to\":{\"event_id\":\"$q\"}}", "$q", NULL },
        { "{\"rel_type\":\"m.reference\",\"event_id\":\"$t\"}", NULL, NULL },
        { "{\"rel_type\":{},\"event_id\":\"$t\"}", NULL, NULL },
        { "[]", NULL, NULL },
        { "\"$q\"", NULL, NULL },
        { "null", NULL, NULL },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf content;
        buf_init(&content, 4096);
        buf_addf(&content, "{\"msgtype\":\"m.text\",\"body\":\"hi\",\"m.relates_to\":%s}", cases[i].relates);
        struct read r = read_message(buf_str(&content));
        if (r.ev.kind != EVENT_TEXT || !same(r.ev.reply_to, cases[i].reply_to) || !same(r.ev.thread, cases[i].thread) || r.ev.edits)
            fail_msg("%s", cases[i].relates);
        drop(&r);
        buf_free(&content);
    }
}

#define REPLACES "\"m.relates_to\":{\"rel_type\":\"m.replace\",\"event_id\":\"$old\"}"

static void test_edits(void **state)
{
    (void)state;
    static const struct {
        const char *content;
        enum event_kind kind;
        const char *text;
    } cases[] = {
        { "{\"msgtype\":\"m.text\",\"body\":\"* new\",\"m.new_content\":{\"msgtype\":\"m.text\",\"body\":\"new\"}," REPLACES "}", EVENT_TEXT, "new" },
        { "{\"msgtype\":\"m.text\",\"body\":\"* new\",\"m.new_content\":{\"msgtype\":\"m.notice\",\"body\":\"new\"}," REPLACES "}", EVENT_NOTICE, "new" },
        { "{\"m.new_content\":{\"msgtype\":\"m.text\",\"body\":\"> <@b:b> q\\n\\nnew\"}," REPLACES "}", EVENT_TEXT, "new" },
        { "{\"msgtype\":\"m.text\",\"body\":\"* new\"," REPLACES "}", EVENT_OTHER, "" },
        { "{\"msgtype\":\"m.text\",\"body\":\"* new\",\"m.new_content\":\"new\"," REPLACES "}", EVENT_OTHER, "" },
        { "{\"msgtype\":\"m.text\",\"body\":\"* new\",\"m.new_content\":{}," REPLACES "}", EVENT_OTHER, "" },
        { "{\"msgtype\":\"m.text\",\"body\":\"* new\",\"m.new_content\":{\"msgtype\":\"m.text\",\"body\":\"new\"},"
          "\"m.relates_to\":{\"rel_type\":\"m.replace\"}}", EVENT_OTHER, "" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct read r = read_message(cases[i].content);
        if (r.ev.kind != cases[i].kind || strcmp(r.ev.text, cases[i].text) != 0)
            fail_msg("%s: kind %d, \"%s\"", cases[i].content, (int)r.ev.kind, r.ev.text);
        if (r.ev.kind != EVENT_OTHER)
            assert_string_equal(r.ev.edits, "$old");
        assert_null(r.ev.reply_to);
        drop(&r);
    }
}

/* --- marks, and what is taken back --- */

static void test_redactions(void **state)
{
    (void)state;
    static const struct {
        const char *more, *content, *target;
    } cases[] = {
        { ",\"redacts\":\"$x\"", "{}", "$x" },
        { "", "{\"redacts\":\"$x\"}", "$x" },
        { ",\"redacts\":\"$x\"", "{\"redacts\":\"$y\",\"reason\":\"no\"}", "$x" },
        { ",\"redacts\":7", "{\"redacts\":\"$y\"}", "$y" },
        { ",\"redacts\":7", "{}", NULL },
        { "", "{}", NULL },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct read r = read_event("m.room.redaction", cases[i].more, cases[i].content);
        assert_int_equal(r.code, ERR_OK);
        assert_int_equal(r.ev.kind, cases[i].target ? EVENT_REDACTION : EVENT_OTHER);
        assert_true(same(r.ev.target, cases[i].target));
        drop(&r);
    }
}

static void test_reactions(void **state)
{
    (void)state;
    static const struct {
        const char *relates;
        enum event_kind kind;
        enum event_mark mark;
    } cases[] = {
        { "{\"rel_type\":\"m.annotation\",\"event_id\":\"$a\",\"key\":\"🔁\"}", EVENT_REACTION, MARK_RETRY },
        { "{\"rel_type\":\"m.annotation\",\"event_id\":\"$a\",\"key\":\"🔁\\ufe0f\"}", EVENT_REACTION, MARK_RETRY },
        { "{\"rel_type\":\"m.annotation\",\"event_id\":\"$a\",\"key\":\"🗑\"}", EVENT_REACTION, MARK_REMOVE },
        { "{\"rel_type\":\"m.annotation\",\"event_id\":\"$a\",\"key\":\"🗑️\"}", EVENT_REACTION, MARK_REMOVE },
        { "{\"rel_type\":\"m.annotation\",\"event_id\":\"$a\",\"key\":\"🗑\\ufe0e\"}", EVENT_REACTION, MARK_REMOVE },
        { "{\"rel_type\":\"m.annotation\",\"event_id\":\"$a\",\"key\":\"🗑x\"}", EVENT_REACTION, MARK_NONE },
        { "{\"rel_type\":\"m.annotation\",\"event_id\":\"$a\",\"key\":\"🗑️🗑️\"}", EVENT_REACTION, MARK_NONE },
        { "{\"rel_type\":\"m.annotation\",\"event_id\":\"$a\",\"key\":\"\"}", EVENT_REACTION, MARK_NONE },
        { "{\"rel_type\":\"m.annotation\",\"event_id\":\"$a\",\"key\":\"👍\"}", EVENT_REACTION, MARK_NONE },
        { "{\"rel_type\":\"m.annotation\",\"event_id\":\"$a\"}", EVENT_OTHER, MARK_NONE },
        { "{\"rel_type\":\"m.annotation\",\"key\":\"🔁\"}", EVENT_OTHER, MARK_NONE },
        { "{\"rel_type\":\"m.thread\",\"event_id\":\"$a\",\"key\":\"🔁\"}", EVENT_OTHER, MARK_NONE },
        { "{\"event_id\":\"$a\",\"key\":\"🔁\"}", EVENT_OTHER, MARK_NONE },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf content;
        buf_init(&content, 4096);
        buf_addf(&content, "{\"m.relates_to\":%s}", cases[i].relates);
        struct read r = read_event("m.reaction", "", buf_str(&content));
        if (r.ev.kind != cases[i].kind || r.ev.mark != cases[i].mark)
            fail_msg("%s: kind %d, mark %d", cases[i].relates, (int)r.ev.kind, (int)r.ev.mark);
        if (r.ev.kind == EVENT_REACTION)
            assert_string_equal(r.ev.target, "$a");
        drop(&r);
        buf_free(&content);
    }
}

static void test_encrypted(void **state)
{
    (void)state;
    struct read r = read_event("m.room.encrypted", "", "{\"algorithm\":\"m.megolm.v1.aes-sha2\",\"ciphertext\":\"x\","
                               "\"m.relates_to\":{\"rel_type\":\"m.thread\",\"event_id\":\"$t\"}}");
    assert_int_equal(r.ev.kind, EVENT_ENCRYPTED);
    assert_string_equal(r.ev.thread, "$t");
    drop(&r);
}

/* --- state --- */

static void test_plain_events_are_no_state(void **state)
{
    (void)state;
    static const char *const types[] = {
        "m.room.member", "m.room.name", "m.room.topic", "m.room.canonical_alias", "m.room.create", "m.room.tombstone",
        "m.room.encryption", "m.room.power_levels",
    };
    for (size_t i = 0; i < COUNT(types); i++) {
        struct read r = read_event(types[i], "", "{\"name\":\"x\",\"membership\":\"join\",\"replacement_room\":\"!x:y\"}");
        assert_int_equal(r.ev.kind, EVENT_OTHER);
        drop(&r);
        r = read_event(types[i], ",\"state_key\":\"other\"", "{\"name\":\"x\",\"membership\":\"join\"}");
        assert_int_equal(r.ev.kind, EVENT_OTHER);
        drop(&r);
    }
}

static void test_members(void **state)
{
    (void)state;
    static const struct {
        const char *more, *content;
        enum event_kind kind;
        enum event_membership member, before;
        const char *name;
    } cases[] = {
        { "", "{\"membership\":\"join\",\"displayname\":\"Ann\"}", EVENT_MEMBER, MEMBER_JOIN, MEMBER_NONE, "Ann" },
        { ",\"unsigned\":{\"prev_content\":{\"membership\":\"invite\"}}", "{\"membership\":\"leave\"}", EVENT_MEMBER, MEMBER_LEAVE,
          MEMBER_INVITE, "" },
        { ",\"prev_content\":{\"membership\":\"join\"}", "{\"membership\":\"ban\",\"displayname\":null}", EVENT_MEMBER, MEMBER_BAN,
          MEMBER_JOIN, "" },
        { "", "{\"membership\":\"knock\",\"displayname\":7}", EVENT_MEMBER, MEMBER_KNOCK, MEMBER_NONE, "" },
        { "", "{\"membership\":\"hover\"}", EVENT_OTHER, MEMBER_NONE, MEMBER_NONE, "" },
        { "", "{\"membership\":[]}", EVENT_OTHER, MEMBER_NONE, MEMBER_NONE, "" },
        { "", "{}", EVENT_OTHER, MEMBER_NONE, MEMBER_NONE, "" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf more;
        buf_init(&more, 1024);
        buf_addf(&more, ",\"state_key\":\"@bob:b\"%s", cases[i].more);
        struct read r = read_event("m.room.member", buf_str(&more), cases[i].content);
        if (r.ev.kind != cases[i].kind || r.ev.member != cases[i].member || r.ev.member_before != cases[i].before ||
            (r.ev.kind == EVENT_MEMBER && strcmp(r.ev.text, cases[i].name) != 0))
            fail_msg("%s", cases[i].content);
        assert_string_equal(r.ev.state_key, "@bob:b");
        drop(&r);
        buf_free(&more);
    }
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
    } cases[] = {
        { "\"Tea room\"", "Tea room" },
        { "\"  Tea \\n\\r\\n room\\t\"", "Tea room" },
        { "\"Tea" RLO "moor\\u0007\\u001b[31m\"", "Teamoor[31m" },
        { "\"a\\u2028b\\u2029c\"", "a b c" },
        { "\"" FAMILY " 家\"", FAMILY " 家" },
        { "\"\\ud83d\"", "" }, /* half a surrogate pair */
        { "\"\"", "" },
        { "\"\\u202e\\u200b\"", "" },
        { "7", "" },
        { "null", "" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf content;
        buf_init(&content, 4096);
        buf_addf(&content, "{\"name\":%s}", cases[i].name);
        struct read r = read_state("m.room.name", buf_str(&content));
        if (r.ev.kind != EVENT_NAME || strcmp(r.ev.text, cases[i].text) != 0)
            fail_msg("%s: \"%s\"", cases[i].name, r.ev.text);
        drop(&r);
        buf_free(&content);
    }
}

static void read_long_name(const char *s, size_t times, const char *type, const char *key, size_t expected)
{
    struct buf content;
    char *name = repeat(s, times);
    buf_init(&content, 8 * 1024 * 1024);
    buf_addf(&content, "{\"%s\":\"", key);
    buf_adds(&content, name);
    buf_adds(&content, "\"}");
    struct read r = read_state(type, buf_str(&content));
    assert_int_equal(r.ev.len, expected);
    assert_memory_equal(r.ev.text, name, expected);
    drop(&r);
    buf_free(&content);
    free(name);
}

static void test_long_names_are_cut_between_characters(void **state)
{
    (void)state;
    read_long_name("x", EVENT_NAME_BYTES_MAX, "m.room.name", "name", EVENT_NAME_BYTES_MAX);
    read_long_name("x", EVENT_NAME_BYTES_MAX + 1, "m.room.name", "name", EVENT_NAME_BYTES_MAX);
    read_long_name("房", 1024 * 1024, "m.room.name", "name", EVENT_NAME_BYTES_MAX / 3 * 3);
    read_long_name("x", EVENT_TOPIC_BYTES_MAX, "m.room.topic", "topic", EVENT_TOPIC_BYTES_MAX);
    read_long_name("题", 1024 * 1024, "m.room.topic", "topic", EVENT_TOPIC_BYTES_MAX / 3 * 3);
    read_long_name("\xCC\x81", 1024, "m.room.name", "name", 0); /* one character of a thousand accents */
}

static void test_aliases(void **state)
{
    (void)state;
    struct read r = read_state("m.room.canonical_alias", "{\"alias\":\"#a:b\",\"alt_aliases\":[\"#c:d\",7,\"e\",\"#f:g\"]}");
    assert_int_equal(r.ev.kind, EVENT_ALIASES);
    assert_string_equal(r.ev.aliases[0], "#a:b");
    assert_string_equal(r.ev.aliases[1], "#c:d");
    assert_string_equal(r.ev.aliases[2], "#f:g");
    assert_null(r.ev.aliases[3]);
    drop(&r);
    r = read_state("m.room.canonical_alias", "{\"alias\":7,\"alt_aliases\":{\"x\":\"#a:b\"}}");
    assert_null(r.ev.aliases[0]);
    drop(&r);

    char *many = repeat("\"#x:y\",", EVENT_ALIASES_MAX + 1);
    struct buf content;
    buf_init(&content, 64 * 1024);
    buf_addf(&content, "{\"alt_aliases\":[%s7]}", many);
    r = read_state("m.room.canonical_alias", buf_str(&content));
    assert_non_null(r.ev.aliases[EVENT_ALIASES_MAX - 1]);
    assert_null(r.ev.aliases[EVENT_ALIASES_MAX]);
    drop(&r);
    buf_free(&content);
    free(many);
}

static void test_rooms_that_move(void **state)
{
    (void)state;
    struct read r = read_state("m.room.tombstone", "{\"body\":\"moved\",\"replacement_room\":\"!new:b\"}");
    assert_int_equal(r.ev.kind, EVENT_TOMBSTONE);
    assert_string_equal(r.ev.successor, "!new:b");
    drop(&r);
    r = read_state("m.room.tombstone", "{\"replacement_room\":\"new\"}");
    assert_int_equal(r.ev.kind, EVENT_TOMBSTONE);
    assert_null(r.ev.successor);
    drop(&r);
    r = read_state("m.room.create", "{\"type\":\"m.space\",\"predecessor\":{\"room_id\":\"!old:b\"}}");
    assert_int_equal(r.ev.kind, EVENT_CREATE);
    assert_true(r.ev.space);
    assert_string_equal(r.ev.predecessor, "!old:b");
    drop(&r);
    r = read_state("m.room.create", "{\"type\":7,\"predecessor\":\"!old:b\"}");
    assert_false(r.ev.space);
    assert_null(r.ev.predecessor);
    drop(&r);
    r = read_state("m.room.encryption", "{}");
    assert_int_equal(r.ev.kind, EVENT_ENCRYPTION);
    drop(&r);
}

static void test_power(void **state)
{
    (void)state;
    static const struct {
        const char *content;
        bool may;
    } cases[] = {
        { "{}", true },
        { "{\"events_default\":0}", true },
        { "{\"events_default\":1}", false },
        { "{\"events_default\":1,\"users_default\":1}", true },
        { "{\"events_default\":50,\"users\":{\"@bot:b\":50}}", true },
        { "{\"events_default\":50,\"users\":{\"@bot:b\":49}}", false },
        { "{\"events_default\":50,\"users\":{\"@bot:b\":\"50\"}}", true }, /* before room version 10 */
        { "{\"events_default\":\" 50\",\"users\":{\"@bot:b\":\"49\"}}", false },
        { "{\"events_default\":50,\"users\":{\"@bot:b\":\"50x\"}}", false },
        { "{\"events_default\":50,\"users\":{\"@bot:b\":\"\"}}", false },
        { "{\"events_default\":50,\"users\":{\"@bot:b\":\"99999999999999999999\"}}", false },
        { "{\"events\":{\"m.room.message\":10}}", false },
        { "{\"events\":{\"m.room.message\":10},\"users_default\":10}", true },
        { "{\"events\":{\"m.room.message\":0},\"events_default\":10}", true },
        { "{\"events\":{\"m.reaction\":10}}", true },
        { "{\"users_default\":-1}", false },
        { "{\"users\":[],\"events\":7,\"events_default\":{}}", true },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct read r = read_state("m.room.power_levels", cases[i].content);
        assert_int_equal(r.ev.kind, EVENT_POWER);
        if (event_may_send(&r.ev, "@bot:b", "m.room.message") != cases[i].may)
            fail_msg("%s", cases[i].content);
        drop(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_envelope),
        cmocka_unit_test(test_no_event),
        cmocka_unit_test(test_stripped_state_has_no_id),
        cmocka_unit_test(test_identifiers),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_message_with_state_key_is_none),
        cmocka_unit_test(test_largest_body),
        cmocka_unit_test(test_body_of_bad_bytes),
        cmocka_unit_test(test_reply_fallback),
        cmocka_unit_test(test_relations),
        cmocka_unit_test(test_edits),
        cmocka_unit_test(test_redactions),
        cmocka_unit_test(test_reactions),
        cmocka_unit_test(test_encrypted),
        cmocka_unit_test(test_plain_events_are_no_state),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_long_names_are_cut_between_characters),
        cmocka_unit_test(test_aliases),
        cmocka_unit_test(test_rooms_that_move),
        cmocka_unit_test(test_power),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
