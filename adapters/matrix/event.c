#include "adapters/matrix/event.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/base/buf.h"
#include "plugin/base/json.h"
#include "plugin/base/mem.h"
#include "plugin/base/utf8.h"

#define REPLACEMENT_BYTES 3U /* of U+FFFD, to which cleaning turns one bad byte */

/* --- identifiers and texts --- */

bool event_id_ok(const char *s, char sigil)
{
    if (!s || s[0] != sigil || !s[1])
        return false;
    size_t len = strnlen(s, EVENT_ID_BYTES_MAX + 1);
    if (len > EVENT_ID_BYTES_MAX || strchr(s, ' ') || !utf8_printable(s, len))
        return false;
    /* Rooms of version 12 and events from version 3 on carry no server's name. */
    return sigil == '!' || sigil == '$' || strchr(s, ':');
}

/* The member if it is an identifier of this kind, else NULL. */
static const char *id_member(const cJSON *obj, const char *key, char sigil)
{
    const char *s = json_str(obj, key);
    return event_id_ok(s, sigil) ? s : NULL;
}

static bool is_blank(uint32_t cp)
{
    return cp == ' ' || cp == '\t' || cp == '\n' || cp == '\r' || cp == 0x2028 || cp == 0x2029;
}

/* Names stand in prompts, logs and headings: one line, nothing invisible. What
 * is printable as a whole keeps the joiners that emoji and some scripts need. */
static char *one_line(const char *s, size_t max)
{
    struct buf out;
    size_t len = strlen(s);
    bool printable = utf8_printable(s, len), blank = false;
    buf_init(&out, max + 8); /* a blank and a character more, to see where the cut falls */
    for (size_t i = 0; i < len && out.len <= max;) {
        size_t at = i;
        if (is_blank(utf8_next(s, len, &i))) {
            blank = out.len > 0;
        } else if (printable || utf8_printable(s + at, i - at)) {
            buf_add(&out, " ", blank);
            buf_add(&out, s + at, i - at);
            blank = false;
        }
    }
    if (out.len > max)
        buf_cut(&out, utf8_cut(out.data, out.len, max));
    char *line = mem_dup(buf_str(&out));
    buf_free(&out);
    return line;
}

static void own_text(struct event *ev, char *text)
{
    free(ev->text_owned);
    ev->text = ev->text_owned = text;
    ev->len = strlen(text);
}

static void own_line(struct event *ev, const cJSON *obj, const char *key, size_t max)
{
    const char *s = json_str(obj, key);
    own_text(ev, one_line(s ? s : "", max));
}

/* --- messages --- */

/* Behind the quote that older clients put before a reply ("Fallbacks for rich
 * replies"). Newer ones put none, so a quote that a person wrote must stay: the
 * fallback's first line names the sender of what it quotes. */
static const char *behind_fallback(const char *text)
{
    if (strncmp(text, "> <@", 4) != 0 && strncmp(text, "> * <@", 6) != 0)
        return text;
    while (*text == '>') {
        const char *eol = strchr(text, '\n');
        if (!eol)
            return "";
        text = eol + 1;
    }
    return text + strspn(text, "\n");
}

static bool only_blanks(const char *s)
{
    return s[strspn(s, " \t\n")] == '\0';
}

/* Takes the text of a message, whose front may be a fallback if it `quotes`. */
static void take_body(struct event *ev, const char *body, bool quotes)
{
    struct buf clean;
    buf_init(&clean, REPLACEMENT_BYTES * (size_t)EVENT_TEXT_BYTES_MAX);
    utf8_clean(&clean, body, strlen(body));
    const char *text = quotes ? behind_fallback(buf_str(&clean)) : buf_str(&clean);
    own_text(ev, mem_dup(only_blanks(text) ? "" : text));
    buf_free(&clean);
}

static enum event_kind message_kind(const char *msgtype)
{
    static const struct {
        const char *msgtype;
        enum event_kind kind;
    } table[] = {
        { "m.text", EVENT_TEXT },   { "m.notice", EVENT_NOTICE }, { "m.emote", EVENT_EMOTE }, { "m.image", EVENT_MEDIA },
        { "m.file", EVENT_MEDIA },  { "m.audio", EVENT_MEDIA },   { "m.video", EVENT_MEDIA },
    };
    for (size_t i = 0; msgtype && i < sizeof table / sizeof table[0]; i++)
        if (strcmp(msgtype, table[i].msgtype) == 0)
            return table[i].kind;
    return EVENT_OTHER;
}

/* A file's body is its caption only where a different file name stands beside it. */
static void take_media(struct event *ev, const char *body, bool quotes)
{
    const char *file = json_str(ev->content, "filename");
    ev->file = ev->file_owned = one_line(file ? file : body, EVENT_NAME_BYTES_MAX);
    if (file && strcmp(file, body) != 0)
        take_body(ev, body, quotes);
}

/* Sets what the event relates to; false for an edit that says not what or into what. */
static bool relate(struct event *ev)
{
    const cJSON *relates = json_get(ev->content, "m.relates_to");
    const char *rel_type = json_str(relates, "rel_type");
    bool threaded = rel_type && strcmp(rel_type, "m.thread") == 0;
    if (rel_type && strcmp(rel_type, "m.replace") == 0) {
        const cJSON *new_content = json_get(ev->content, "m.new_content");
        ev->edits = id_member(relates, "event_id", '$');
        if (!ev->edits || !cJSON_IsObject(new_content))
            return false;
        ev->content = new_content;
        return true;
    }
    if (threaded)
        ev->thread = id_member(relates, "event_id", '$');
    if (!ev->thread || !json_bool(relates, "is_falling_back", false))
        ev->reply_to = id_member(json_get(relates, "m.in_reply_to"), "event_id", '$');
    return true;
}

static void read_message(struct event *ev)
{
    const cJSON *relates = json_get(ev->content, "m.relates_to");
    bool quotes = json_get(relates, "m.in_reply_to") != NULL;
    if (!relate(ev))
        return;
    const char *body = json_str(ev->content, "body");
    if (!body || strlen(body) > EVENT_TEXT_BYTES_MAX)
        return;
    ev->kind = message_kind(json_str(ev->content, "msgtype"));
    if (ev->kind == EVENT_MEDIA)
        take_media(ev, body, quotes || ev->edits);
    else if (ev->kind != EVENT_OTHER)
        take_body(ev, body, quotes || ev->edits);
    if (ev->len == 0 && ev->kind != EVENT_MEDIA)
        ev->kind = EVENT_OTHER;
}

/* Relations stand outside of what is encrypted. */
static void read_encrypted(struct event *ev)
{
    relate(ev);
}

/* --- marks and what is taken back --- */

/* Room versions before 11 name the target beside the content, later ones in it;
 * servers write it in both places for clients that know one. */
static void read_redaction(struct event *ev)
{
    ev->target = id_member(ev->json, "redacts", '$');
    if (!ev->target)
        ev->target = id_member(ev->content, "redacts", '$');
    if (!ev->target)
        ev->kind = EVENT_OTHER;
}

/* The sign alone, or with one of the selectors that say how to draw it. */
static enum event_mark mark_of(const char *key)
{
    static const struct {
        const char *sign;
        enum event_mark mark;
    } table[] = { { "🔁", MARK_RETRY }, { "🗑", MARK_REMOVE } };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        size_t n = strlen(table[i].sign);
        if (strncmp(key, table[i].sign, n) == 0 &&
            (!key[n] || strcmp(key + n, "\xEF\xB8\x8E") == 0 || strcmp(key + n, "\xEF\xB8\x8F") == 0))
            return table[i].mark;
    }
    return MARK_NONE;
}

static void read_reaction(struct event *ev)
{
    const cJSON *relates = json_get(ev->content, "m.relates_to");
    const char *rel_type = json_str(relates, "rel_type"), *key = json_str(relates, "key");
    ev->target = id_member(relates, "event_id", '$');
    if (ev->target && key && rel_type && strcmp(rel_type, "m.annotation") == 0)
        ev->mark = mark_of(key);
    else
        ev->kind = EVENT_OTHER;
}

/* --- state --- */

static enum event_membership membership(const cJSON *content)
{
    static const struct {
        const char *name;
        enum event_membership member;
    } table[] = {
        { "invite", MEMBER_INVITE }, { "join", MEMBER_JOIN }, { "leave", MEMBER_LEAVE },
        { "ban", MEMBER_BAN },       { "knock", MEMBER_KNOCK },
    };
    const char *s = json_str(content, "membership");
    for (size_t i = 0; s && i < sizeof table / sizeof table[0]; i++)
        if (strcmp(s, table[i].name) == 0)
            return table[i].member;
    return MEMBER_NONE;
}

static void read_member(struct event *ev)
{
    const cJSON *before = json_get(json_get(ev->json, "unsigned"), "prev_content");
    ev->member = membership(ev->content);
    if (ev->member == MEMBER_NONE || !event_id_ok(ev->state_key, '@'))
        ev->kind = EVENT_OTHER;
    ev->member_before = membership(before ? before : json_get(ev->json, "prev_content"));
    ev->direct = json_bool(ev->content, "is_direct", false);
    own_line(ev, ev->content, "displayname", EVENT_NAME_BYTES_MAX);
}

static void read_name(struct event *ev)
{
    own_line(ev, ev->content, "name", EVENT_NAME_BYTES_MAX);
}

static void read_topic(struct event *ev)
{
    own_line(ev, ev->content, "topic", EVENT_TOPIC_BYTES_MAX);
}

static void read_aliases(struct event *ev)
{
    const char *first = id_member(ev->content, "alias", '#');
    const cJSON *others = json_get(ev->content, "alt_aliases"), *item = NULL;
    size_t n = 0;
    ev->aliases = ev->aliases_owned = mem_array(EVENT_ALIASES_MAX + 1, sizeof *ev->aliases_owned);
    if (first)
        ev->aliases_owned[n++] = first;
    if (!cJSON_IsArray(others))
        others = NULL;
    cJSON_ArrayForEach(item, others) {
        const char *alias = cJSON_GetStringValue(item);
        if (n < EVENT_ALIASES_MAX && event_id_ok(alias, '#'))
            ev->aliases_owned[n++] = alias;
    }
}

static void read_create(struct event *ev)
{
    const char *type = json_str(ev->content, "type");
    ev->space = type && strcmp(type, "m.space") == 0;
    ev->predecessor = id_member(json_get(ev->content, "predecessor"), "room_id", '!');
}

static void read_tombstone(struct event *ev)
{
    ev->successor = id_member(ev->content, "replacement_room", '!');
}

/* --- any event --- */

/* Anybody may send any type as a plain event: a room's name is only what has a state key. */
enum keyed { NO_KEY, EMPTY_KEY, ANY_KEY };

static const struct type {
    const char *name;
    enum keyed key;
    enum event_kind kind;
    void (*read)(struct event *ev); /* NULL: the kind says it all; may turn the kind into EVENT_OTHER */
} types[] = {
    { "m.room.message", NO_KEY, EVENT_OTHER, read_message },
    { "m.room.redaction", NO_KEY, EVENT_REDACTION, read_redaction },
    { "m.reaction", NO_KEY, EVENT_REACTION, read_reaction },
    { "m.room.encrypted", NO_KEY, EVENT_ENCRYPTED, read_encrypted },
    { "m.room.member", ANY_KEY, EVENT_MEMBER, read_member },
    { "m.room.name", EMPTY_KEY, EVENT_NAME, read_name },
    { "m.room.topic", EMPTY_KEY, EVENT_TOPIC, read_topic },
    { "m.room.canonical_alias", EMPTY_KEY, EVENT_ALIASES, read_aliases },
    { "m.room.create", EMPTY_KEY, EVENT_CREATE, read_create },
    { "m.room.tombstone", EMPTY_KEY, EVENT_TOMBSTONE, read_tombstone },
    { "m.room.encryption", EMPTY_KEY, EVENT_ENCRYPTION, NULL },
    { "m.room.power_levels", EMPTY_KEY, EVENT_POWER, NULL },
};

static bool key_fits(enum keyed want, const char *state_key)
{
    if (want == NO_KEY)
        return !state_key;
    return state_key && (want == ANY_KEY || state_key[0] == '\0');
}

static const struct type *type_of(const char *name, const char *state_key)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(name, types[i].name) == 0)
            return key_fits(types[i].key, state_key) ? &types[i] : NULL;
    return NULL;
}

static enum err_code read_envelope(struct event *ev, const cJSON *json, struct err *e)
{
    const cJSON *key = json_get(json, "state_key");
    ev->content = json_get(json, "content");
    ev->id = id_member(json, "event_id", '$');
    ev->room = id_member(json, "room_id", '!');
    ev->sender = id_member(json, "sender", '@');
    ev->state_key = cJSON_GetStringValue(key);
    ev->txn = json_str(json_get(json, "unsigned"), "transaction_id");
    ev->time_ms = json_int(json, "origin_server_ts", 0);
    if (ev->time_ms < 0)
        ev->time_ms = 0;
    if (!json_str(json, "type"))
        return err_set(e, ERR_PROTO, "an event without a type");
    if (!ev->sender)
        return err_set(e, ERR_PROTO, "an event without a sender");
    if (!cJSON_IsObject(ev->content))
        return err_set(e, ERR_PROTO, "an event without content");
    if (key && (!ev->state_key || strlen(ev->state_key) > EVENT_ID_BYTES_MAX))
        return err_set(e, ERR_PROTO, "an event whose state key is no text or too long");
    if (!ev->id && (!ev->state_key || json_get(json, "event_id")))
        return err_set(e, ERR_PROTO, "an event without an identifier");
    return ERR_OK;
}

enum err_code event_read(struct event *ev, const cJSON *json, struct err *e)
{
    *ev = (struct event){ .kind = EVENT_OTHER, .text = "", .json = json };
    enum err_code code = read_envelope(ev, json, e);
    const struct type *type = code ? NULL : type_of(json_str(json, "type"), ev->state_key);
    if (type)
        ev->kind = type->kind;
    if (type && type->read)
        type->read(ev);
    return code;
}

void event_fini(struct event *ev)
{
    free(ev->text_owned);
    free(ev->file_owned);
    free(ev->aliases_owned);
    *ev = (struct event){ .kind = EVENT_OTHER };
}

/* --- who may speak --- */

/* Rooms before version 10 may have levels as decimal text. */
static int64_t level(const cJSON *obj, const char *key, int64_t fallback)
{
    const char *s = json_str(obj, key);
    char *end;
    if (!s)
        return json_int(obj, key, fallback);
    errno = 0;
    long long n = strtoll(s, &end, 10);
    return errno || end == s || *end ? fallback : n;
}

bool event_may_send(const struct event *power, const char *user, const char *type)
{
    int64_t has = level(json_get(power->content, "users"), user, level(power->content, "users_default", 0));
    int64_t needs = level(json_get(power->content, "events"), type, level(power->content, "events_default", 0));
    return has >= needs;
}
