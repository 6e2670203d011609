/* Any bytes: as a room event, and as every text within one of each type. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/matrix/event.h"
#include "adapters/matrix/mention.h"
#include "plugin/base/json.h"
#include "plugin/base/utf8.h"

#define BOT "@birdie:example.org"

static void check_id(const char *id, char sigil)
{
    assert(!id || (id[0] == sigil && strlen(id) <= EVENT_ID_BYTES_MAX && utf8_valid(id, strlen(id))));
}

static void check_line(const char *s, size_t max)
{
    assert(strlen(s) <= max && !strpbrk(s, "\t\n\r\x1b") && utf8_valid(s, strlen(s)));
}

static void check_text(const struct event *ev)
{
    struct buf clean;
    buf_init(&clean, 2 * ev->len + 1);
    utf8_clean(&clean, ev->text, ev->len);
    assert(clean.len == ev->len && ev->text[ev->len] == '\0');
    buf_free(&clean);
    if (ev->kind == EVENT_NAME || ev->kind == EVENT_MEMBER)
        check_line(ev->text, EVENT_NAME_BYTES_MAX);
    if (ev->kind == EVENT_TOPIC)
        check_line(ev->text, EVENT_TOPIC_BYTES_MAX);
    if (ev->file)
        check_line(ev->file, EVENT_NAME_BYTES_MAX);
}

static void check_kind(const struct event *ev)
{
    bool message = ev->kind == EVENT_TEXT || ev->kind == EVENT_NOTICE || ev->kind == EVENT_EMOTE;
    bool state = ev->kind >= EVENT_CREATE;
    assert(!message || ev->len > 0);
    assert(ev->kind == EVENT_OTHER || state == (ev->state_key != NULL));
    assert(state || ev->kind == EVENT_OTHER || ev->id);
    assert((ev->kind != EVENT_REDACTION && ev->kind != EVENT_REACTION) || ev->target);
    assert(ev->kind != EVENT_MEMBER || ev->member != MEMBER_NONE);
    assert(ev->kind != EVENT_ALIASES || ev->aliases);
    assert(ev->kind != EVENT_MEDIA || ev->file);
    assert(!ev->edits || (!ev->reply_to && !ev->thread));
}

static void check_read(const cJSON *tree)
{
    struct err e = ERR_INIT;
    struct event ev;

    if (event_read(&ev, tree, &e) == ERR_OK) {
        assert(ev.sender && cJSON_IsObject(ev.content) && ev.time_ms >= 0);
        check_id(ev.sender, '@');
        check_id(ev.id, '$');
        check_id(ev.room, '!');
        check_id(ev.edits, '$');
        check_id(ev.reply_to, '$');
        check_id(ev.thread, '$');
        check_id(ev.target, '$');
        check_id(ev.successor, '!');
        check_id(ev.predecessor, '!');
        for (size_t i = 0; ev.aliases && ev.aliases[i]; i++) {
            assert(i < EVENT_ALIASES_MAX);
            check_id(ev.aliases[i], '#');
        }
        check_kind(&ev);
        check_text(&ev);
        mention_of(&ev, BOT, "Little Bird");
        event_may_send(&ev, BOT, "m.room.message");
    } else {
        assert(e.code == ERR_PROTO && e.text[0] && ev.kind == EVENT_OTHER);
    }
    event_fini(&ev);
}

/* As a name with which a text is searched, too. */
static void check_name(const cJSON *tree, const char *text)
{
    struct event ev;

    if (event_read(&ev, tree, NULL) == ERR_OK && strlen(text) <= EVENT_NAME_BYTES_MAX)
        mention_of(&ev, BOT, text);
    event_fini(&ev);
}

/* "?" stands for the text. */
static void check_within(const char *text)
{
    static const char *const events[] = {
        "{\"type\":\"m.room.message\",\"sender\":\"@a:b\",\"event_id\":\"$e\",\"content\":{\"msgtype\":\"m.text\",\"body\":?,"
        "\"formatted_body\":?,\"m.relates_to\":{\"m.in_reply_to\":{\"event_id\":?}}}}",
        "{\"type\":\"m.room.message\",\"sender\":\"@a:b\",\"event_id\":\"$e\",\"content\":{\"msgtype\":\"m.image\",\"body\":?,"
        "\"filename\":\"x\",\"m.mentions\":{\"user_ids\":[?]}}}",
        "{\"type\":\"m.room.message\",\"sender\":\"@a:b\",\"event_id\":\"$e\",\"content\":{\"m.new_content\":{\"msgtype\":?,"
        "\"body\":?},\"m.relates_to\":{\"rel_type\":\"m.replace\",\"event_id\":\"$o\"}}}",
        "{\"type\":\"m.reaction\",\"sender\":\"@a:b\",\"event_id\":\"$e\",\"content\":{\"m.relates_to\":{\"rel_type\":"
        "\"m.annotation\",\"event_id\":\"$o\",\"key\":?}}}",
        "{\"type\":\"m.room.name\",\"sender\":\"@a:b\",\"state_key\":\"\",\"content\":{\"name\":?}}",
        "{\"type\":\"m.room.topic\",\"sender\":\"@a:b\",\"state_key\":\"\",\"content\":{\"topic\":?}}",
        "{\"type\":\"m.room.member\",\"sender\":\"@a:b\",\"state_key\":\"@a:b\",\"content\":{\"membership\":\"join\",\"displayname\":?}}",
        "{\"type\":\"m.room.power_levels\",\"sender\":\"@a:b\",\"state_key\":\"\",\"content\":{\"events_default\":?}}",
        "{\"type\":?,\"sender\":?,\"event_id\":?,\"content\":{}}",
    };
    struct buf json;

    buf_init(&json, 64 * 1024 * 1024);
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        buf_reset(&json);
        for (const char *at = events[i]; *at; at++) {
            if (*at == '?')
                json_quote(&json, text);
            else
                buf_addc(&json, *at);
        }
        cJSON *tree = json_parse(buf_str(&json), json.len);
        assert(tree);
        check_read(tree);
        check_name(tree, text);
        cJSON_Delete(tree);
    }
    buf_free(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    memcpy(text, data, size);
    text[size] = '\0';
    cJSON *tree = json_parse(text, size);
    if (tree)
        check_read(tree);
    cJSON_Delete(tree);
    check_within(text);
    free(text);
    return 0;
}
