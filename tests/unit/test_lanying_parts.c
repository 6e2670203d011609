/* Lanying's small parsers: ids in JSON, ext and config, mentions, discovery
 * answers, addresses, events from callbacks and from history. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "adapters/lanying/address.h"
#include "adapters/lanying/event.h"
#include "adapters/lanying/ext.h"
#include "adapters/lanying/ids.h"
#include "adapters/lanying/link.h"
#include "adapters/lanying/places.h"
#include "plugin/base/json.h"

#define BOT UINT64_C(6597450563888)
#define USER UINT64_C(6597450563889)
#define GROUP UINT64_C(6597450570001)

static cJSON *parse(const char *text)
{
    return ly_json_parse(text, strlen(text));
}

/* --- ids --- */

static void ids_of_text(void **state)
{
    const struct {
        const char *text;
        bool ok;
        uint64_t id;
    } cases[] = {
        { "0", true, 0 },
        { "987654321098765432", true, UINT64_C(987654321098765432) },
        { "18446744073709551615", true, UINT64_MAX },
        { "18446744073709551616", false, 0 },
        { "99999999999999999999", false, 0 },
        { "", false, 0 },
        { "-1", false, 0 },
        { "1 ", false, 0 },
        { NULL, false, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t id = 0;
        assert_int_equal(ly_id_parse(cases[i].text, &id), cases[i].ok);
        assert_true(id == cases[i].id);
    }
}

static void ids_in_json(void **state)
{
    cJSON *tree = parse("{\"a\":987654321098765432,\"b\":\"18446744073709551615\",\"c\":6597450563888,"
                        "\"d\":[1234567890123456,123456789012345],\"e\":-5,\"f\":1.5e3,\"g\":\"x\\\"12345678901234567\","
                        "\"h\":12345678901234567890123,\"i\":true}");

    (void)state;
    assert_non_null(tree);
    assert_true(ly_json_get_id(tree, "a") == UINT64_C(987654321098765432));
    assert_true(ly_json_get_id(tree, "b") == UINT64_MAX);
    assert_true(ly_json_get_id(tree, "c") == BOT);
    assert_true(ly_json_id(cJSON_GetArrayItem(json_get(tree, "d"), 0)) == UINT64_C(1234567890123456));
    assert_true(cJSON_IsNumber(cJSON_GetArrayItem(json_get(tree, "d"), 1)));
    assert_true(ly_json_get_id(tree, "e") == 0);
    assert_true(ly_json_get_id(tree, "f") == 1500);
    assert_string_equal(json_str(tree, "g"), "x\"12345678901234567");
    assert_true(ly_json_get_id(tree, "h") == 0 && ly_json_get_id(tree, "i") == 0 && ly_json_get_id(tree, "j") == 0);
    cJSON_Delete(tree);
    assert_null(parse("{\"a\":1234567890123456,"));
    assert_null(parse("\"1234567890123456"));
}

/* --- ext and config --- */

static void ext_of_others(void **state)
{
    const struct {
        const char *json;
        bool by_ai, typing, control, reset, silent, answer;
        const char *preset, *prompt, *feedback;
        int max_tokens, seq;
    } cases[] = {
        { "", .by_ai = false },
        { "nonsense", .by_ai = false },
        { "[1]", .by_ai = false },
        { "{\"ai\":7}", .by_ai = false },
        { "{\"ai\":{\"role\":\"ai\"}}", .by_ai = true },
        { "{\"ai\":{\"role\":\"user\"}}", .by_ai = false },
        { "{\"lanying_connector\":{\"role\":\"ai\"}}", .by_ai = true },
        { "{\"input_status\":\"typing\"}", .typing = true },
        { "{\"openclaw\":{\"type\":\"probe\"}}", .control = true },
        { "{\"ai\":{\"reset_prompt\":true}}", .reset = true },
        { "{\"ai\":{\"reset_prompt\":\"yes\"}}", .reset = false },
        { "{\"ai\":{\"ai_generate\":false}}", .silent = true },
        { "{\"ai\":{\"ai_generate\":true}}", .answer = true },
        { "{\"ai\":{\"preset_name\":\"poet\",\"max_tokens\":20}}", .preset = "poet", .max_tokens = 20 },
        { "{\"ai\":{\"max_tokens\":-3}}", .max_tokens = 0 },
        { "{\"ai\":{\"max_tokens\":99999999999}}", .max_tokens = 0 },
        { "{\"ai\":{\"prompt_ext\":[{\"role\":\"system\",\"content\":\"Rhyme.\"},{\"role\":\"user\",\"content\":\"hi\"},7,"
          "{\"role\":\"user\"}]}}", .prompt = "Rhyme.\nuser: hi" },
        { "{\"ai\":{\"prompt_ext\":{}}}", .prompt = NULL },
        { "{\"ai\":{\"role\":\"ai\",\"seq\":7}}", .by_ai = true, .seq = 7 },
        { "{\"ai\":{\"seq\":-1}}", .seq = 0 },
        { "{\"ai\":{\"seq\":99999999999}}", .seq = 0 },
        { "{\"ai\":{\"feedback\":{\"id\":[1, \"x\"]}}}", .feedback = "{\"id\":[1,\"x\"]}" },
        { "{\"ai\":{\"feedback\":\"y\"}}", .feedback = "\"y\"" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ext x;
        ext_read(&x, cases[i].json, strlen(cases[i].json));
        assert_int_equal(x.by_ai, cases[i].by_ai);
        assert_int_equal(x.typing, cases[i].typing);
        assert_int_equal(x.control, cases[i].control);
        assert_int_equal(x.wish.reset, cases[i].reset);
        assert_int_equal(x.wish.silent, cases[i].silent);
        assert_int_equal(x.wish.answer, cases[i].answer);
        assert_int_equal(x.wish.max_tokens, cases[i].max_tokens);
        assert_int_equal(x.seq, cases[i].seq);
        assert_true(!x.wish.preset == !cases[i].preset && !x.wish.prompt == !cases[i].prompt && !x.feedback == !cases[i].feedback);
        if (cases[i].feedback)
            assert_string_equal(x.feedback, cases[i].feedback);
        if (cases[i].preset)
            assert_string_equal(x.wish.preset, cases[i].preset);
        if (cases[i].prompt)
            assert_string_equal(x.wish.prompt, cases[i].prompt);
        ext_fini(&x);
    }
}

static void config_of_others(void **state)
{
    const struct {
        const char *json;
        bool bot, all, ack;
        const char *nickname;
    } cases[] = {
        { "", .bot = false },
        { "{\"mentionList\":[6597450563888]}", .bot = true },
        { "{\"mentionList\":[\"6597450563888\",1]}", .bot = true },
        { "{\"mention_list\":[6597450563888]}", .bot = true },
        { "{\"mentionList\":[6597450563889]}", .bot = false },
        { "{\"mentionList\":6597450563888}", .bot = false },
        { "{\"mentionAll\":true,\"mentionList\":[]}", .all = true },
        { "{\"mentionAll\":1}", .all = false },
        { "{\"senderNickname\":\"Alice\",\"groupMemberList\":[1]}", .nickname = "Alice", .ack = true },
        { "{\"sender_nickname\":\"Bob\"}", .nickname = "Bob" },
        { "{\"senderNickname\":\"\"}", .nickname = NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config_said c;
        config_said_read(&c, cases[i].json, strlen(cases[i].json), BOT);
        assert_int_equal(c.mentions_bot, cases[i].bot);
        assert_int_equal(c.mentions_all, cases[i].all);
        assert_int_equal(c.wants_ack, cases[i].ack);
        assert_true(!c.nickname == !cases[i].nickname);
        if (cases[i].nickname)
            assert_string_equal(c.nickname, cases[i].nickname);
        config_said_fini(&c);
    }
}

static void ext_of_the_bot(void **state)
{
    const struct {
        struct ext_out x;
        const char *want;
    } cases[] = {
        { { .finish = true, .reason = "stop", .question = "7", .client_id = 9 },
          "{\"ai\":{\"role\":\"ai\",\"stream\":false,\"finish\":true,\"finish_reason\":\"stop\",\"request_msg_id\":\"7\"},"
          "\"warbler\":{\"client_id\":\"9\"}}" },
        { { .stream = true, .interval_s = 3, .seq = 2, .feedback = "[1]" },
          "{\"ai\":{\"role\":\"ai\",\"stream\":true,\"stream_interval\":3,\"seq\":2,\"finish\":false,\"feedback\":[1]}}" },
        { { .finish = true, .error = "rate", .error_text = "Later, \"please\"." },
          "{\"ai\":{\"role\":\"ai\",\"stream\":false,\"finish\":true,\"result\":\"error\",\"error_code\":\"rate\","
          "\"error_message\":\"Later, \\\"please\\\".\"}}" },
    };
    struct buf out;
    struct ext x;

    (void)state;
    buf_init(&out, EXT_BYTES_MAX);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ext_write(&out, &cases[i].x);
        assert_string_equal(buf_str(&out), cases[i].want);
        ext_read(&x, out.data, out.len); /* other bots keep away, and so do we; and it is found again */
        assert_true(x.by_ai && x.client_id == cases[i].x.client_id);
        ext_fini(&x);
        buf_reset(&out);
    }
    buf_free(&out);
}

/* --- whom a message is for --- */

static void leading_mentions(void **state)
{
    const struct {
        const char *text;
        const char *rest;
    } cases[] = {
        { "@bot hi", "hi" },
        { "@bot\xe2\x80\x85@alice\xe3\x80\x80 hi @bot", "hi @bot" },
        { " @bot\xe2\x81\xa0hi", "hi" },
        { "hi @bot", "hi @bot" },
        { "@bot", "@bot" },
        { "@bot \xe2\x80\x8b", "@bot \xe2\x80\x8b" },
        { "@", "@" },
        { "", "" },
        { "@机器人 你好", "你好" },
        { "@\xff\xfe hi", "hi" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(cases[i].text + address_mentions(cases[i].text, strlen(cases[i].text)), cases[i].rest);
}

static void who_is_heard(void **state)
{
    char all[] = "*", own[] = "6597450563889", tens[] = "659745056*";
    char *v_all[] = { all }, *v_own[] = { own }, *v_tens[] = { tens };
    const struct {
        struct address_list list;
        uint64_t id;
        bool heard;
    } cases[] = {
        { { { NULL, 0 }, { NULL, 0 } }, USER, false },
        { { { v_all, 1 }, { NULL, 0 } }, USER, true },
        { { { v_all, 1 }, { v_own, 1 } }, USER, false },
        { { { v_all, 1 }, { v_own, 1 } }, BOT, true },
        { { { v_tens, 1 }, { NULL, 0 } }, USER, true },
        { { { v_tens, 1 }, { NULL, 0 } }, GROUP, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(address_allowed(&cases[i].list, cases[i].id), cases[i].heard);
}

/* --- servers --- */

static void discovery_answers(void **state)
{
    struct places p;
    struct err e;
    cJSON *data = parse("{\"app_status\":\"normal\",\"dns_server_list\":[{\"domain\":\"d.example\"},{\"domain\":\"http://e\"}],"
                        "\"dns_list\":[{\"group_level\":1,\"clusters\":[{\"ratel\":[{\"host\":\"no\"}]}]},"
                        "{\"group_level\":0,\"clusters\":[{\"ratel\":[{\"protocol\":\"http\",\"host\":\"a:81\"},{\"host\":\"b\"}],"
                        "\"webim\":[{\"protocol\":\"https\",\"host\":\"w1\"},{\"protocol\":\"http\",\"host\":\"w2\"},{}]},"
                        "{\"ratel\":[{\"host\":\"c\"}],\"ws\":[{\"protocol\":\"ws\",\"host\":\"w3\"}]},{},7]}]}");

    (void)state;
    assert_int_equal(places_read(&p, data, &e), ERR_OK);
    assert_int_equal(p.n, 2);
    assert_string_equal(places_api(&p), "http://a:81");
    assert_string_equal(places_ws(&p), "https://w1");
    assert_true(places_next_ws(&p));
    assert_string_equal(places_ws(&p), "http://w2");
    assert_true(places_next_ws(&p));
    assert_string_equal(places_ws(&p), "http://w3");
    assert_string_equal(places_api(&p), "https://c");
    assert_false(places_next_ws(&p));
    assert_string_equal(places_ws(&p), "https://w1");
    assert_true(places_next_api(&p));
    assert_string_equal(places_api(&p), "https://b");
    assert_int_equal(p.dns.n, 2);
    assert_string_equal(p.dns.v[0], "https://d.example");
    places_fini(&p);
    cJSON_Delete(data);
}

static void refused_discovery_answers(void **state)
{
    const struct {
        const char *json;
        enum err_code code;
    } cases[] = {
        { "{\"app_status\":\"frozen\"}", ERR_AUTH },  { "{\"app_status\":\"banned\"}", ERR_AUTH },
        { "{\"app_status\":\"revoked\"}", ERR_AUTH }, { "{}", ERR_PROTO },
        { "{\"dns_list\":[]}", ERR_PROTO },           { "{\"dns_list\":[{\"group_level\":0,\"clusters\":[{\"ratel\":7}]}]}", ERR_PROTO },
        { "{\"dns_list\":[{\"group_level\":0,\"clusters\":[{\"ratel\":[{\"host\":\"a/b\"},{\"host\":\"x\\r\\nY: 1\"}]}]}]}", ERR_PROTO },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e;
        struct places p;
        cJSON *data = parse(cases[i].json);
        assert_int_equal(places_read(&p, data, &e), cases[i].code);
        assert_null(places_api(&p));
        cJSON_Delete(data);
    }
}

static void discovery_urls(void **state)
{
    const struct {
        const char *base, *want;
    } cases[] = {
        { "https://d.example", "https://d.example/v2/app_dns?app_id=a%20b&source=sdk" },
        { "https://d.example/", "https://d.example/v2/app_dns?app_id=a%20b&source=sdk" },
        { "http://d:81/v2/app_dns", "http://d:81/v2/app_dns?app_id=a%20b&source=sdk" },
        { "http://d/own?x=1", "http://d/own?x=1&app_id=a%20b&source=sdk" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out;
        buf_init(&out, 256);
        assert_int_equal(places_url(&out, cases[i].base, "a b"), ERR_OK);
        assert_string_equal(buf_str(&out), cases[i].want);
        buf_free(&out);
    }
}

static void link_urls(void **state)
{
    const struct {
        const char *base, *socketio, *raw;
    } cases[] = {
        { "wss://w", "wss://w/socket.io/?EIO=3&transport=websocket", "wss://w/" },
        { "https://w:444/", "wss://w:444/socket.io/?EIO=3&transport=websocket", "wss://w:444/" },
        { "http://w/sub", "ws://w/sub/socket.io/?EIO=3&transport=websocket", "ws://w/sub/" },
        { "ws://w/socket.io/?EIO=3", "ws://w/socket.io/?EIO=3&transport=websocket", "ws://w/" },
        { "ws://[::1]:8/?x=1", "ws://[::1]:8/socket.io/?EIO=3&transport=websocket", "ws://[::1]:8/" },
    };
    struct buf out;

    (void)state;
    buf_init(&out, LINK_URL_BYTES_MAX);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(ly_link_url(&out, cases[i].base, LY_SOCKETIO), ERR_OK);
        assert_string_equal(buf_str(&out), cases[i].socketio);
        buf_reset(&out);
        assert_int_equal(ly_link_url(&out, cases[i].base, LY_RAW), ERR_OK);
        assert_string_equal(buf_str(&out), cases[i].raw);
        buf_reset(&out);
    }
    assert_int_equal(ly_link_url(&out, "ftp://w", LY_RAW), ERR_INVALID);
    assert_int_equal(ly_link_url(&out, "w", LY_RAW), ERR_INVALID);
    assert_int_equal(ly_link_url(&out, "wss://", LY_RAW), ERR_INVALID);
    buf_free(&out);
}

/* --- events --- */

static bool is_group(void *arg, uint64_t id)
{
    (void)arg;
    return id == GROUP;
}

static void callbacks(void **state)
{
    const struct {
        const char *json;
        enum event_kind kind; /* -1: none */
        uint64_t chat;
        const char *text, *why_not;
    } cases[] = {
        { "{\"appId\":\"a\",\"msgId\":\"987654321098765432\",\"type\":\"CHAT\",\"ctype\":\"TEXT\",\"from\":{\"uid\":6597450563889},"
          "\"to\":{\"uid\":\"6597450563888\"},\"content\":\"hi\",\"ext\":\"\",\"config\":\"{}\"}", EVENT_SAID, USER, "hi", NULL },
        { "{\"appId\":\"a\",\"msgId\":987654321098765433,\"type\":\"GROUPCHAT\",\"ctype\":\"TEXT\",\"from\":{\"uid\":6597450563889},"
          "\"to\":{\"uid\":7},\"content\":\"hi\"}", EVENT_SAID, 7, "hi", NULL },
        { "{\"appId\":\"a\",\"msgId\":1,\"type\":\"CHAT\",\"ctype\":\"COMMAND\",\"from\":{\"uid\":6597450563889}}", EVENT_OTHER,
          USER, "", "nothing for a bot" },
        { "{\"appId\":\"a\",\"msgId\":1,\"type\":\"CHAT\",\"ctype\":\"FILE\",\"attachment\":\"{\\\"dName\\\":\\\"cv.pdf\\\"}\","
          "\"from\":{\"uid\":6597450563889},\"to\":{\"uid\":6597450563888}}", EVENT_SAID, USER, "[file: cv.pdf]", NULL },
        { "{\"appId\":\"a\",\"msgId\":1,\"type\":\"CHAT\",\"ctype\":\"IMAGE\",\"attachment\":\"{\",\"from\":{\"uid\":6597450563889},"
          "\"to\":{\"uid\":6597450563888}}", EVENT_SAID, USER, "[image]", NULL },
        { "{\"appId\":\"a\",\"msgId\":1,\"type\":\"REPLACE\",\"ctype\":\"TEXT\",\"relatedMid\":\"5\",\"content\":\"new\","
          "\"from\":{\"uid\":6597450563889},\"to\":{\"uid\":6597450570001}}", EVENT_REPLACED, GROUP, "new", NULL },
        { "{\"appId\":\"a\",\"msgId\":1,\"type\":\"REPLACE\",\"ctype\":\"TEXT\",\"content\":\"new\"}", EVENT_OTHER, 0, "new",
          "nothing for a bot" },
        { "{\"appId\":\"a\",\"msgId\":1,\"type\":\"CHAT\",\"ctype\":\"TEXT\",\"from\":{\"uid\":6597450563888},\"to\":{\"uid\":9},"
          "\"content\":\"own\"}", EVENT_SAID, 9, "own", "the bot's own" },
        { "{\"appId\":\"a\",\"msgId\":1,\"type\":\"CHAT\",\"ctype\":\"TEXT\",\"from\":{\"uid\":9},"
          "\"to\":{\"uid\":6597450563888},\"content\":\"\"}", EVENT_SAID, 9, "", "empty" },
        { "{\"appId\":\"a\",\"msgId\":1,\"type\":\"CHAT\",\"ctype\":\"TEXT\",\"from\":{\"uid\":9},\"to\":{\"uid\":10},"
          "\"content\":\"hi\"}", EVENT_OTHER, 9, "hi", "nothing for a bot" },
        { "{\"appId\":\"a\",\"type\":\"CHAT\"}", (enum event_kind)-1, 0, NULL, NULL },
        { "{\"msgId\":1,\"type\":\"CHAT\"}", (enum event_kind)-1, 0, NULL, NULL },
        { "[]", (enum event_kind)-1, 0, NULL, NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *app, *why;
        cJSON *body = parse(cases[i].json);
        struct event *ev = event_from_callback(body, BOT, &app);
        assert_true(!ev == ((int)cases[i].kind == -1));
        if (ev) {
            assert_int_equal(ev->kind, cases[i].kind);
            assert_true(event_chat(ev, BOT, is_group, NULL) == cases[i].chat);
            assert_string_equal(ev->text, cases[i].text);
            why = event_why_not(ev, BOT);
            assert_true(!why == !cases[i].why_not && (!why || strcmp(why, cases[i].why_not) == 0));
        }
        event_free(ev);
        cJSON_Delete(body);
    }
}

/* Whether its conversation is a group, a message says by its receiver. */
static void a_page_of_the_past(void **state)
{
    cJSON *m = parse("{\"msg_id\":987654321098765432,\"from_xid\":{\"uid\":6597450563889,\"device_sn\":3},"
                     "\"to_xid\":{\"uid\":6597450570001},\"ctype\":\"TEXT\",\"content\":\"hi\",\"timestamp\":1700000000123,"
                     "\"config\":\"{\\\"mentionList\\\":[6597450563888]}\"}");
    struct event *ev = event_from_past(m, BOT, false);

    (void)state;
    assert_non_null(ev);
    assert_true(ev->kind == EVENT_SAID && ev->group && ev->config.mentions_bot && ev->time_ms == INT64_C(1700000000123));
    assert_true(event_chat(ev, BOT, is_group, NULL) == GROUP);
    event_free(ev);
    cJSON_Delete(m);
}

static struct event *event_of_body(struct ly_meta *meta, const struct ly_body *body)
{
    struct event *ev;
    struct buf payload;

    buf_init(&payload, LY_FRAME_BYTES_MAX);
    ly_write(&ly_body_type, body, &payload);
    meta->ns = LY_NS_MESSAGE;
    meta->payload = (struct ly_bytes){ payload.data, payload.len };
    ev = event_from_meta(meta, BOT, NULL);
    buf_free(&payload);
    assert_non_null(ev);
    return ev;
}

/* An edit in a group that nobody has heard of yet is not one of the member's private conversation. */
static void operations_in_unknown_groups(void **state)
{
    const struct {
        uint64_t from, to, chat;
        bool group;
    } cases[] = {
        { USER, BOT, USER, false },
        { USER, 77, 77, true },
        { BOT, USER, USER, false },
        { USER, GROUP, GROUP, true },
    };
    const struct ly_body body = { .has = LY_HAS(1) | LY_HAS(6), .type = LY_BODY_OPER,
                                  .oper = { .has = LY_HAS(1) | LY_HAS(2), .type = LY_OPER_RECALL, .mid = 5 } };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ly_meta meta = { .id = 1, .from = { .uid = cases[i].from }, .to = { .uid = cases[i].to } };
        struct event *ev = event_of_body(&meta, &body);
        assert_true(ev->kind == EVENT_RECALLED && ev->target == 5 && ev->group == cases[i].group);
        assert_true(event_chat(ev, BOT, is_group, NULL) == cases[i].chat);
        event_free(ev);
    }
}

static void system_messages_and_names(void **state)
{
    struct ly_body body = { .has = LY_HAS(1) | LY_HAS(4) | LY_HAS(7) | LY_HAS(11), .type = LY_BODY_CHAT,
                            .content = ly_bytes_of("hi"), .sender = ly_bytes_of("Alice") };
    struct ly_meta meta = { .id = 1, .from = { .uid = USER }, .to = { .uid = BOT } };
    struct event *ev = event_of_body(&meta, &body);

    (void)state;
    assert_null(event_why_not(ev, BOT));
    assert_string_equal(ev->config.nickname, "Alice");
    event_free(ev);

    body.config = ly_bytes_of("{\"senderNickname\":\"Ally\"}");
    body.has |= LY_HAS(12);
    body.is_system = 1;
    ev = event_of_body(&meta, &body);
    assert_string_equal(event_why_not(ev, BOT), "the system's");
    assert_string_equal(ev->config.nickname, "Ally");
    event_free(ev);
}

static void long_texts_end_at_a_character(void **state)
{
    struct ly_body body = { .has = LY_HAS(1) | LY_HAS(4) | LY_HAS(5), .type = LY_BODY_CHAT };
    struct ly_meta meta = { .id = 1, .from = { .uid = USER } };
    char *text = malloc(EVENT_TEXT_BYTES_MAX + 2);
    struct event *ev;

    (void)state;
    memset(text, 'x', EVENT_TEXT_BYTES_MAX - 1);
    memcpy(text + EVENT_TEXT_BYTES_MAX - 1, "\xe9\xb8\x9f", 3);
    body.content = (struct ly_bytes){ text, EVENT_TEXT_BYTES_MAX + 2 };
    ev = event_of_body(&meta, &body);
    assert_int_equal(ev->len, EVENT_TEXT_BYTES_MAX - 1);
    event_free(ev);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_of_text),       cmocka_unit_test(ids_in_json),
        cmocka_unit_test(ext_of_others),     cmocka_unit_test(config_of_others),
        cmocka_unit_test(ext_of_the_bot),    cmocka_unit_test(leading_mentions),
        cmocka_unit_test(who_is_heard),      cmocka_unit_test(discovery_answers),
        cmocka_unit_test(refused_discovery_answers), cmocka_unit_test(discovery_urls),
        cmocka_unit_test(link_urls),         cmocka_unit_test(callbacks),
        cmocka_unit_test(a_page_of_the_past), cmocka_unit_test(long_texts_end_at_a_character),
        cmocka_unit_test(operations_in_unknown_groups), cmocka_unit_test(system_messages_and_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
