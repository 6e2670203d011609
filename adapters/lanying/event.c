#include "adapters/lanying/event.h"

#include <stdlib.h>
#include <string.h>

#include "plugin/base/json.h"
#include "plugin/base/mem.h"
#include "plugin/base/utf8.h"

#define CAPTION_BYTES_MAX 2048U

static struct event *event_new(uint64_t id, uint64_t from, uint64_t to, uint64_t time_ms)
{
    struct event *ev = mem_alloc(sizeof *ev);

    ev->id = id;
    ev->from = from;
    ev->to = to;
    ev->time_ms = time_ms <= INT64_MAX ? (int64_t)time_ms : 0;
    return ev;
}

void event_free(struct event *ev)
{
    if (!ev)
        return;
    ext_fini(&ev->ext);
    config_said_fini(&ev->config);
    free(ev->text);
    free(ev);
}

/* --- what was said --- */

/* A text for what is none, so that those who read along know of it. */
static char *caption(int ctype, const char *attachment, size_t len)
{
    static const char *const names[] = {
        [LY_IMAGE] = "image", [LY_AUDIO] = "voice message", [LY_VIDEO] = "video", [LY_FILE] = "file",
        [LY_LOCATION] = "location", [LY_FORWARD] = "forwarded messages",
    };
    const char *name = ctype >= 0 && (size_t)ctype < sizeof names / sizeof *names ? names[ctype] : NULL;
    cJSON *tree = len > 0 && len <= EXT_BYTES_MAX ? ly_json_parse(attachment, len) : NULL;
    const char *detail = json_str(tree, ctype == LY_LOCATION ? "addr" : "dName");
    struct buf text;

    buf_init(&text, CAPTION_BYTES_MAX);
    if (name && detail && strlen(detail) < CAPTION_BYTES_MAX / 2)
        buf_addf(&text, "[%s: %s]", name, detail);
    else if (name)
        buf_addf(&text, "[%s]", name);
    cJSON_Delete(tree);
    return buf_take(&text);
}

static void set_text(struct event *ev, struct ly_bytes content, struct ly_bytes attachment)
{
    size_t len = content.len;

    if (len == 0 && ev->ctype != LY_TEXT) {
        ev->text = caption(ev->ctype, attachment.p, attachment.len);
        ev->len = ev->text ? strlen(ev->text) : 0;
        return;
    }
    if (len > EVENT_TEXT_BYTES_MAX)
        len = utf8_valid(content.p, EVENT_TEXT_BYTES_MAX) ? EVENT_TEXT_BYTES_MAX
                                                          : utf8_span(content.p, EVENT_TEXT_BYTES_MAX, (bool[256]){ false });
    ev->text = mem_dupn(len > 0 ? content.p : "", len);
    ev->len = len;
}

static void set_about(struct event *ev, struct ly_bytes ext, struct ly_bytes config, uint64_t bot)
{
    ext_read(&ev->ext, ext.p, ext.len);
    config_said_read(&ev->config, config.p, config.len, bot);
}

static enum event_kind kind_of_oper(uint32_t oper)
{
    switch (oper) {
    case LY_OPER_APPEND:
        return EVENT_APPENDED;
    case LY_OPER_REPLACE:
        return EVENT_REPLACED;
    case LY_OPER_RECALL:
        return EVENT_RECALLED;
    default:
        return EVENT_OTHER;
    }
}

/* --- from the long connection --- */

static enum event_kind kind_of_body(const struct ly_body *body)
{
    switch (body->type) {
    case LY_BODY_OPER:
        return kind_of_oper(body->oper.type);
    case LY_BODY_CHAT:
    case LY_BODY_GROUPCHAT:
        return body->ctype == LY_COMMAND || body->ctype == LY_RTC ? EVENT_OTHER : EVENT_SAID;
    default:
        return EVENT_OTHER;
    }
}

/* Neither side is the bot, so the receiver is a group. */
static bool names_group(const struct event *ev, uint64_t bot)
{
    return ev->to != 0 && ev->to != bot && ev->from != bot;
}

static enum err_code read_body(struct event *ev, struct ly_bytes payload, uint64_t bot, struct err *e)
{
    struct ly_body body;

    if (ly_read(&ly_body_type, &body, payload, e) != ERR_OK)
        return ERR_PROTO;
    ev->kind = kind_of_body(&body);
    ev->by_system = body.is_system != 0;
    ev->group = body.type == LY_BODY_GROUPCHAT;
    ev->ctype = (int)body.ctype;
    ev->edit_ms = body.edit_timestamp <= INT64_MAX ? (int64_t)body.edit_timestamp : 0;
    if (body.type == LY_BODY_OPER) {
        ev->target = body.oper.mid;
        ev->where = body.oper.xid.uid;
        ev->group = names_group(ev, bot);
    }
    set_about(ev, body.ext, body.config, bot);
    if (!ev->config.nickname && body.sender.len > 0 && body.sender.len <= EXT_NAME_BYTES_MAX)
        ev->config.nickname = mem_dupn(body.sender.p, body.sender.len);
    set_text(ev, body.content, body.attachment);
    return ERR_OK;
}

static bool lists(const struct ly_list *list, uint64_t uid)
{
    struct ly_xid xid;
    size_t at = 0;

    while (ly_next(&ly_xid_type, list, &at, &xid))
        if (xid.uid == uid)
            return true;
    return false;
}

static enum err_code read_group_notice(struct event *ev, struct ly_bytes payload, uint64_t bot, struct err *e)
{
    struct ly_group_notice n;

    if (ly_read(&ly_group_notice_type, &n, payload, e) != ERR_OK)
        return ERR_PROTO;
    ev->kind = EVENT_GROUP;
    ev->notice = (int)n.type;
    ev->to = n.gid.uid;
    if (n.from.uid != 0)
        ev->from = n.from.uid;
    ev->names_bot = lists(&n.to, bot) || (n.to.n == 0 && ev->from == bot);
    return ERR_OK;
}

static enum err_code read_roster_notice(struct event *ev, struct ly_bytes payload, struct err *e)
{
    struct ly_roster_notice n;

    if (ly_read(&ly_roster_notice_type, &n, payload, e) != ERR_OK)
        return ERR_PROTO;
    ev->kind = EVENT_ROSTER;
    ev->notice = (int)n.type;
    if (n.from.uid != 0)
        ev->from = n.from.uid;
    return ERR_OK;
}

static enum err_code read_user_notice(struct event *ev, struct ly_bytes payload, struct err *e)
{
    struct ly_user_notice n;

    if (ly_read(&ly_user_notice_type, &n, payload, e) != ERR_OK)
        return ERR_PROTO;
    ev->kind = EVENT_USER;
    ev->notice = (int)n.type;
    return ERR_OK;
}

static enum err_code read_payload(struct event *ev, const struct ly_meta *meta, uint64_t bot, struct err *e)
{
    switch (meta->ns) {
    case LY_NS_MESSAGE:
        return read_body(ev, meta->payload, bot, e);
    case LY_NS_GROUP:
        return read_group_notice(ev, meta->payload, bot, e);
    case LY_NS_ROSTER:
        return read_roster_notice(ev, meta->payload, e);
    case LY_NS_USER:
        return read_user_notice(ev, meta->payload, e);
    default:
        return ERR_OK;
    }
}

struct event *event_from_meta(const struct ly_meta *meta, uint64_t bot, struct err *e)
{
    struct event *ev = event_new(meta->id, meta->from.uid, meta->to.uid, meta->timestamp);

    if (read_payload(ev, meta, bot, e) == ERR_OK)
        return ev;
    event_free(ev);
    return NULL;
}

/* --- from HTTP --- */

static struct ly_bytes member(const cJSON *obj, const char *key)
{
    return ly_bytes_of(json_str(obj, key));
}

/* -1: a name that we do not know. */
static int ctype_of(const char *name)
{
    static const char *const names[] = {
        [LY_TEXT] = "TEXT", [LY_IMAGE] = "IMAGE", [LY_AUDIO] = "AUDIO", [LY_VIDEO] = "VIDEO", [LY_FILE] = "FILE",
        [LY_LOCATION] = "LOCATION", [LY_COMMAND] = "COMMAND", [LY_FORWARD] = "FORWARD", [LY_RTC] = "RTC",
    };

    for (size_t i = 0; name && i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            return (int)i;
    return -1;
}

static void set_said(struct event *ev, const cJSON *obj, uint64_t bot)
{
    ev->ctype = ctype_of(json_str(obj, "ctype"));
    set_about(ev, member(obj, "ext"), member(obj, "config"), bot);
    set_text(ev, member(obj, "content"), member(obj, "attachment"));
}

static bool is_message(const struct event *ev)
{
    return ev->ctype >= 0 && ev->ctype != LY_COMMAND && ev->ctype != LY_RTC;
}

/* Callbacks come for everybody whom the app's subscription names. */
static bool is_for(const struct event *ev, uint64_t bot)
{
    return ev->group || ev->to == bot || ev->from == bot;
}

static enum event_kind kind_of_callback(const struct event *ev, const char *type, uint64_t bot)
{
    static const struct {
        const char *type;
        enum event_kind kind;
    } opers[] = { { "APPEND", EVENT_APPENDED }, { "REPLACE", EVENT_REPLACED }, { "RECALL", EVENT_RECALLED } };

    if (strcmp(type, "CHAT") == 0 || strcmp(type, "GROUPCHAT") == 0)
        return is_message(ev) && is_for(ev, bot) ? EVENT_SAID : EVENT_OTHER;
    for (size_t i = 0; i < sizeof opers / sizeof *opers; i++)
        if (strcmp(type, opers[i].type) == 0 && ev->target != 0)
            return opers[i].kind;
    return EVENT_OTHER;
}

struct event *event_from_callback(const cJSON *body, uint64_t bot, const char **app_r)
{
    const char *type = json_str(body, "type");
    uint64_t id = ly_json_get_id(body, "msgId"), target;
    struct event *ev;

    *app_r = json_str(body, "appId");
    if (!type || id == 0 || !*app_r)
        return NULL;
    ev = event_new(id, ly_json_get_id(json_get(body, "from"), "uid"), ly_json_get_id(json_get(body, "to"), "uid"),
                   ly_json_get_id(body, "timestamp"));
    target = ly_json_get_id(body, "relatedMid");
    ev->target = target ? target : ly_json_get_id(body, "related_mid");
    ev->group = strcmp(type, "GROUPCHAT") == 0;
    set_said(ev, body, bot);
    ev->kind = kind_of_callback(ev, type, bot);
    return ev;
}

struct event *event_from_past(const cJSON *message, uint64_t bot, bool group)
{
    uint64_t id = ly_json_get_id(message, "msg_id");
    struct event *ev;

    if (id == 0)
        return NULL;
    ev = event_new(id, ly_json_get_id(json_get(message, "from_xid"), "uid"),
                   ly_json_get_id(json_get(message, "to_xid"), "uid"), ly_json_get_id(message, "timestamp"));
    ev->group = group || names_group(ev, bot);
    set_said(ev, message, bot);
    ev->kind = is_message(ev) ? EVENT_SAID : EVENT_OTHER;
    return ev;
}

/* --- what it means --- */

static bool is_oper(const struct event *ev)
{
    return ev->kind == EVENT_APPENDED || ev->kind == EVENT_REPLACED || ev->kind == EVENT_RECALLED;
}

uint64_t event_chat(const struct event *ev, uint64_t bot, bool (*is_group)(void *arg, uint64_t id), void *arg)
{
    if (ev->kind == EVENT_GROUP || ev->kind == EVENT_ROSTER || ev->kind == EVENT_USER)
        return 0;
    if (ev->group || is_group(arg, ev->to))
        return ev->to;
    if (is_oper(ev) && ev->where != 0 && is_group(arg, ev->where))
        return ev->where;
    return ev->from == bot ? ev->to : ev->from;
}

const char *event_why_not(const struct event *ev, uint64_t bot)
{
    if (ev->kind == EVENT_OTHER)
        return "nothing for a bot";
    if (ev->kind != EVENT_SAID && !is_oper(ev))
        return NULL;
    if (ev->from == bot)
        return "the bot's own";
    if (ev->from == 0 || ev->by_system)
        return "the system's";
    if (ev->ext.typing)
        return "somebody types";
    if (ev->ext.control)
        return "control traffic";
    if (ev->ext.by_ai)
        return "another program's answer";
    return ev->kind == EVENT_SAID && ev->len == 0 ? "empty" : NULL;
}
