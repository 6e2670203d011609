#include "adapters/webchat/codec.h"

#include <string.h>

#include "plugin/base/json.h"
#include "plugin/base/utf8.h"

/* --- reading --- */

/* An absent member gives NULL and true; one that is no string, false. */
static bool optional_str(const cJSON *tree, const char *key, const char **value_r)
{
    const cJSON *member = json_get(tree, key);

    *value_r = json_str(tree, key);
    return !member || *value_r;
}

static bool points_ok(const char *s)
{
    size_t len = strlen(s);

    return len > 0 && utf8_valid(s, len) && utf8_points(s, len) <= NAME_POINTS_MAX;
}

static bool label_ok(const char *s)
{
    return points_ok(s) && utf8_printable(s, strlen(s)) && s[strspn(s, " ")] != '\0';
}

/* The server speaks as "bot" and "you"; blanks around them or capitals would
 * look the same to people. */
static bool name_taken(const char *name)
{
    struct buf folded;
    size_t start = strspn(name, " "), len = strlen(name);
    bool taken;

    while (len > start && name[len - 1] == ' ')
        len--;
    buf_init(&folded, 16 * NAME_POINTS_MAX);
    utf8_fold(&folded, name + start, len - start);
    taken = strcmp(buf_str(&folded), "bot") == 0 || strcmp(buf_str(&folded), "you") == 0;
    buf_free(&folded);
    return taken;
}

static const char *name_problem(const char *name)
{
    if (!label_ok(name))
        return "name: 1 to 64 characters, none of them control characters";
    return name_taken(name) ? "name: this one is the server's own" : NULL;
}

static bool lang_ok(const char *lang)
{
    size_t len = strlen(lang);

    return len > 0 && len <= LANG_BYTES_MAX &&
           strspn(lang, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == len;
}

static const char *read_hello(struct frame *f)
{
    if (!optional_str(f->tree, "visitor", &f->visitor) || !optional_str(f->tree, "room", &f->room) ||
        !optional_str(f->tree, "name", &f->name) || !optional_str(f->tree, "lang", &f->lang))
        return "hello: visitor, room, name and lang are strings";
    if (json_get(f->tree, "last")) {
        f->last = json_int(f->tree, "last", -1);
        if (f->last < 0)
            return "last: a whole number, 0 or more";
    }
    if (f->room && !label_ok(f->room))
        return "room: 1 to 64 characters, none of them control characters";
    if (f->room && f->room[0] == '~')
        return "room: a name does not begin with '~'";
    if (f->lang && !lang_ok(f->lang))
        return "lang: a language tag like \"en\" or \"zh-CN\"";
    return f->name ? name_problem(f->name) : NULL;
}

static const char *read_message(struct frame *f)
{
    const char *id = json_str(f->tree, "id");

    if (!id || !points_ok(id))
        return "id: a string of 1 to 64 characters";
    f->id = id;
    f->text = json_str(f->tree, "text");
    if (!f->text || f->text[0] == '\0')
        return "text: a string that is not empty";
    if (!optional_str(f->tree, "reply_to", &f->reply_to) || (f->reply_to && !points_ok(f->reply_to)))
        return "reply_to: the id of a message";
    return NULL;
}

static const char *read_any(struct frame *f)
{
    const char *type = json_str(f->tree, "type");

    if (!type)
        return "a frame is a JSON object with a type";
    if (strcmp(type, "hello") == 0) {
        f->type = FRAME_HELLO;
        return read_hello(f);
    }
    if (strcmp(type, "message") == 0) {
        f->type = FRAME_MESSAGE;
        return read_message(f);
    }
    if (strcmp(type, "typing") == 0) {
        f->type = FRAME_TYPING;
        return NULL;
    }
    return "type: hello, message or typing";
}

enum err_code frame_read(struct frame *f, const char *data, size_t len)
{
    *f = (struct frame){ .last = -1, .tree = json_parse(data, len) };
    f->why = f->tree ? read_any(f) : "this is not JSON";
    return f->why ? ERR_INVALID : ERR_OK;
}

void frame_fini(struct frame *f)
{
    cJSON_Delete(f->tree);
    *f = (struct frame){ .last = -1 };
}

static const char *read_question(struct question_body *q)
{
    q->message = json_str(q->tree, "message");
    if (!q->message || q->message[0] == '\0')
        return "message: a string that is not empty";
    if (!optional_str(q->tree, "conversation", &q->conversation))
        return "conversation: a string";
    if (!optional_str(q->tree, "name", &q->name))
        return "name: a string";
    return q->name ? name_problem(q->name) : NULL;
}

enum err_code question_read(struct question_body *q, const char *data, size_t len)
{
    *q = (struct question_body){ .tree = json_parse(data, len) };
    q->why = q->tree ? read_question(q) : "the body is not JSON";
    return q->why ? ERR_INVALID : ERR_OK;
}

void question_fini(struct question_body *q)
{
    cJSON_Delete(q->tree);
    *q = (struct question_body){ 0 };
}

/* --- writing: every object begins with a member, so the rest follow a comma --- */

static void begin(struct buf *out, const char *type)
{
    buf_adds(out, "{\"type\":\"");
    buf_adds(out, type);
    buf_addc(out, '"');
}

static void end(struct buf *out)
{
    buf_addc(out, '}');
}

static void key(struct buf *out, const char *name)
{
    buf_adds(out, ",\"");
    buf_adds(out, name);
    buf_adds(out, "\":");
}

static void strn(struct buf *out, const char *name, const char *value, size_t len)
{
    key(out, name);
    json_quoten(out, value, len);
}

static void str(struct buf *out, const char *name, const char *value)
{
    strn(out, name, value, strlen(value));
}

static void number(struct buf *out, const char *name, int64_t value)
{
    key(out, name);
    buf_addi(out, value);
}

static void flag(struct buf *out, const char *name, bool value)
{
    key(out, name);
    buf_adds(out, value ? "true" : "false");
}

/* The host knows a person's message by its sender and the sender's own id; the
 * others in the room need one name for it, and its number is one. The letter
 * behind it keeps it apart from the ids of the bot's messages. */
static void person_id(struct buf *out, int64_t seq)
{
    key(out, "id");
    buf_adds(out, "\"m");
    buf_addi(out, seq);
    buf_adds(out, "p\"");
}

static void replied(struct buf *out, const char *reply_to, int64_t reply_seq, bool notice)
{
    if (reply_to) {
        str(out, "reply_to", reply_to);
        number(out, "reply_seq", reply_seq);
    }
    if (notice)
        flag(out, "notice", true);
}

void put_welcome(struct buf *out, const char *visitor, const char *room, const char *bot, int64_t last)
{
    begin(out, "welcome");
    str(out, "visitor", visitor);
    str(out, "room", room);
    str(out, "bot", bot);
    number(out, "last", last);
    end(out);
}

void put_ack(struct buf *out, const char *id, int64_t seq)
{
    begin(out, "ack");
    str(out, "id", id);
    number(out, "seq", seq);
    end(out);
}

static void answers(struct buf *out, const char *const *ids)
{
    if (!ids || !ids[0])
        return;
    key(out, "answers");
    for (size_t i = 0; ids[i]; i++) {
        buf_addc(out, i == 0 ? '[' : ',');
        json_quote(out, ids[i]);
    }
    buf_addc(out, ']');
}

void put_answer(struct buf *out, const struct msg_out *m)
{
    begin(out, "message");
    number(out, "seq", m->seq);
    str(out, "id", m->id);
    str(out, "from", "bot");
    strn(out, "text", m->text, m->len);
    flag(out, "done", m->done);
    replied(out, m->reply_to, m->reply_seq, m->notice);
    answers(out, m->answers);
    end(out);
}

void put_edit(struct buf *out, const struct msg_out *m)
{
    begin(out, "edit");
    number(out, "seq", m->seq);
    str(out, "id", m->id);
    strn(out, "text", m->text, m->len);
    flag(out, "done", m->done);
    if (m->notice) /* took the place of an answer that people saw begin */
        flag(out, "notice", true);
    end(out);
}

void put_said(struct buf *out, const struct msg_in *m, int64_t seq)
{
    begin(out, "message");
    number(out, "seq", seq);
    person_id(out, seq);
    str(out, "from", m->sender_name);
    strn(out, "text", m->text, m->len);
    flag(out, "done", true);
    end(out);
}

void put_past(struct buf *out, const struct msg_past *m, const char *self)
{
    bool own = !m->from_bot && m->sender && strcmp(m->sender, self) == 0;

    begin(out, "message");
    number(out, "seq", m->seq);
    if (m->from_bot)
        str(out, "id", m->id);
    else
        person_id(out, m->seq);
    str(out, "from", m->from_bot ? "bot" : own ? "you" : m->name ? m->name : "");
    if (own)
        str(out, "client_id", m->id);
    str(out, "text", m->text);
    flag(out, "done", true);
    if (m->from_bot) {
        replied(out, m->reply_to, m->reply_seq, m->notice);
        answers(out, m->answers);
    }
    end(out);
}

void put_typing(struct buf *out, const char *from, bool on)
{
    begin(out, "typing");
    str(out, "from", from);
    flag(out, "on", on);
    end(out);
}

void put_error(struct buf *out, const char *code, const char *text, const char *id)
{
    begin(out, "error");
    str(out, "code", code);
    str(out, "text", text);
    if (id)
        str(out, "id", id);
    end(out);
}

static void answer_members(struct buf *out, const struct answer_body *a)
{
    buf_adds(out, "\"conversation\":");
    json_quote(out, a->conversation);
    strn(out, "reply", a->reply, a->reply_len);
    str(out, "finish_reason", a->finish ? a->finish : "stop");
    key(out, "usage");
    buf_adds(out, a->usage ? a->usage : "{\"prompt_tokens\":0,\"completion_tokens\":0,\"total_tokens\":0}");
    if (a->notice)
        flag(out, "notice", true);
    end(out);
}

void put_answer_body(struct buf *out, const struct answer_body *a)
{
    buf_addc(out, '{');
    answer_members(out, a);
}

void put_event_done(struct buf *out, const struct answer_body *a)
{
    buf_adds(out, "data: {\"done\":true,");
    answer_members(out, a);
    buf_adds(out, "\n\n");
}

static void event(struct buf *out, const char *name, const char *text, size_t len)
{
    buf_adds(out, "data: {\"");
    buf_adds(out, name);
    buf_adds(out, "\":");
    json_quoten(out, text, len);
    buf_adds(out, "}\n\n");
}

void put_event_delta(struct buf *out, const char *text, size_t len)
{
    event(out, "delta", text, len);
}

void put_event_replace(struct buf *out, const char *text, size_t len)
{
    event(out, "replace", text, len);
}
