#include "plugin/cli_chat_link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "plugin/base/clock.h"
#include "plugin/base/json.h"
#include "plugin/base/mem.h"
#include "plugin/base/secret.h"
#include "plugin/net/ws.h"

#define FRAME_BYTES_MAX (2U * 1024 * 1024) /* 256 KB of text, escaped */
#define QUEUE_BYTES_MAX (2U * LINK_UNACKED_MAX * FRAME_BYTES_MAX)
#define PING_MS 25000
#define HANGUP_MS 60000
#define ID_BYTES 16
#define NO_SEQ (-1)

struct unacked {
    struct unacked *prev, *next;
    char id[2 * ID_BYTES + 1];
    char text[];
};

struct chat_link {
    struct loop *loop;
    char *url, *name, *room, *lang, *visitor;
    const struct link_handler *handler;
    void *arg;
    struct ws *ws;
    bool open, welcomed, again; /* again: was welcomed before, on whatever connection */
    bool closed;                /* by link_close() */
    struct timer connect, patience;
    unsigned failures;
    int64_t welcomed_ms;
    int64_t seq;                /* the highest seen */
    struct unacked *unacked;
};

/* --- sending --- */
static void send_frame(struct chat_link *l, struct buf *frame)
{
    if (l->open && !buf_error(frame))
        ws_send(l->ws, buf_str(frame), frame->len); /* what does not leave now is sent again after the next welcome */
    buf_free(frame);
}

static void put_member(struct buf *frame, const char *name, const char *value)
{
    if (!value)
        return;
    buf_addf(frame, ",\"%s\":", name);
    json_quote(frame, value);
}

static void send_hello(struct chat_link *l)
{
    struct buf frame;
    buf_init(&frame, FRAME_BYTES_MAX);
    buf_adds(&frame, "{\"type\":\"hello\"");
    put_member(&frame, "visitor", l->visitor);
    put_member(&frame, "room", l->room);
    put_member(&frame, "name", l->name);
    put_member(&frame, "lang", l->lang);
    if (l->seq != NO_SEQ) {
        buf_adds(&frame, ",\"last\":");
        buf_addi(&frame, l->seq);
    }
    buf_addc(&frame, '}');
    send_frame(l, &frame);
}

static void send_message(struct chat_link *l, const struct unacked *u)
{
    struct buf frame;
    buf_init(&frame, FRAME_BYTES_MAX);
    buf_adds(&frame, "{\"type\":\"message\"");
    put_member(&frame, "id", u->id);
    put_member(&frame, "text", u->text);
    buf_addc(&frame, '}');
    send_frame(l, &frame);
}

const char *link_send(struct chat_link *l, const char *text)
{
    int n;
    struct unacked *u;
    DL_COUNT(l->unacked, u, n);
    if (n >= LINK_UNACKED_MAX)
        return NULL;
    size_t size = strlen(text) + 1;
    u = mem_alloc(sizeof(*u) + size);
    random_hex(u->id, ID_BYTES);
    memcpy(u->text, text, size);
    DL_APPEND(l->unacked, u);
    if (l->welcomed)
        send_message(l, u);
    return u->id;
}

bool link_idle(const struct chat_link *l)
{
    return !l->unacked;
}

static struct unacked *find_unacked(const struct chat_link *l, const char *id)
{
    struct unacked *u;
    DL_FOREACH(l->unacked, u)
        if (id && strcmp(u->id, id) == 0)
            return u;
    return NULL;
}

static void forget_unacked(struct chat_link *l, struct unacked *u)
{
    DL_DELETE(l->unacked, u);
    free(u);
}

static void ack(struct chat_link *l, struct unacked *u)
{
    forget_unacked(l, u);
    if (l->handler->acked)
        l->handler->acked(l->arg);
}

static void refuse_unacked(struct chat_link *l, struct unacked *u, const char *code, const char *text)
{
    DL_DELETE(l->unacked, u);
    l->handler->refused(l->arg, u->id, code, text);
    free(u);
}

/* --- frames of the server --- */
static const char *str_or(const cJSON *frame, const char *key, const char *fallback)
{
    const char *s = json_str(frame, key);
    return s ? s : fallback;
}

static void on_welcome(struct chat_link *l, const cJSON *frame)
{
    const char *visitor = json_str(frame, "visitor");
    if (visitor) {
        free(l->visitor);
        l->visitor = mem_dup(visitor);
    }
    struct link_welcome w = {
        .visitor = str_or(frame, "visitor", ""),
        .room = str_or(frame, "room", ""),
        .bot = str_or(frame, "bot", ""),
        .again = l->again,
    };
    if (l->seq == NO_SEQ) /* or what comes before our first message would be lost with this connection */
        l->seq = json_int(frame, "last", NO_SEQ);
    timer_cancel(&l->patience);
    l->welcomed = l->again = true;
    l->welcomed_ms = clock_mono_ms();
    struct unacked *u;
    DL_FOREACH(l->unacked, u)
        send_message(l, u);
    l->handler->welcome(l->arg, &w);
}

static void on_ack(struct chat_link *l, const cJSON *frame)
{
    struct unacked *u = find_unacked(l, json_str(frame, "id"));
    if (u)
        ack(l, u);
}

static void on_event(struct chat_link *l, const cJSON *frame)
{
    struct link_message m = {
        .id = json_str(frame, "id"),
        .text = json_str(frame, "text"),
        .from = json_str(frame, "from"),
        .done = json_bool(frame, "done", true),
        .notice = json_bool(frame, "notice", false),
        .reply_to = json_str(frame, "reply_to"),
        .replied = json_get(frame, "answers"),
    };
    struct unacked *own = find_unacked(l, json_str(frame, "client_id"));
    if (own) {
        ack(l, own);
        return;
    }
    m.bot = !m.from || strcmp(m.from, "bot") == 0;
    if (m.id && m.text)
        l->handler->message(l->arg, &m);
}

static void on_typing(struct chat_link *l, const cJSON *frame)
{
    l->handler->typing(l->arg, str_or(frame, "from", ""), json_bool(frame, "on", false));
}

/* An error before welcome is about our hello. A visitor may be unknown by now;
 * who we become instead, welcome tells. */
static void on_hello_refused(struct chat_link *l, const char *code, const char *text)
{
    bool unauthorized = strcmp(code, "unauthorized") == 0;
    if (unauthorized && l->visitor) {
        free(l->visitor);
        l->visitor = NULL;
        l->seq = NO_SEQ;
        l->open = false;
        ws_abort(&l->ws);
        timer_cancel(&l->patience);
        timer_set(&l->connect, 0);
    } else if (unauthorized || strcmp(code, "bad_frame") == 0) {
        link_close(l);
        l->handler->denied(l->arg, text);
    }
}

static void on_error(struct chat_link *l, const cJSON *frame)
{
    const char *code = str_or(frame, "code", ""), *text = str_or(frame, "text", "");
    struct unacked *u = find_unacked(l, json_str(frame, "id"));
    if (u)
        refuse_unacked(l, u, code, text);
    else if (!l->welcomed)
        on_hello_refused(l, code, text);
}

static void on_frame(void *conn, const char *data, size_t len, bool binary)
{
    static const struct {
        const char *type;
        void (*fn)(struct chat_link *l, const cJSON *frame);
    } types[] = {
        { "welcome", on_welcome }, { "ack", on_ack },       { "message", on_event },
        { "edit", on_event },      { "typing", on_typing }, { "error", on_error },
    };
    struct chat_link *l = conn;
    cJSON *frame = binary ? NULL : json_parse(data, len);
    const char *type = str_or(frame, "type", "");
    int64_t seq = json_int(frame, "seq", NO_SEQ);
    if (seq > l->seq)
        l->seq = seq;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]) && !l->closed; i++)
        if (strcmp(types[i].type, type) == 0) {
            types[i].fn(l, frame);
            break;
        }
    cJSON_Delete(frame);
}

bool link_answers(const struct link_message *m, const char *our_id)
{
    if (m->reply_to && strcmp(m->reply_to, our_id) == 0)
        return true;
    const cJSON *id;
    cJSON_ArrayForEach(id, m->replied)
        if (cJSON_IsString(id) && strcmp(id->valuestring, our_id) == 0)
            return true;
    return false;
}

/* --- connections --- */
int64_t link_pause_ms(unsigned failures, double dice)
{
    int64_t pause = LINK_AGAIN_MIN_MS;
    while (failures-- && pause < LINK_AGAIN_MAX_MS)
        pause *= 2;
    if (pause > LINK_AGAIN_MAX_MS)
        pause = LINK_AGAIN_MAX_MS;
    return pause - (int64_t)(dice * 0.5 * (double)pause);
}

/* Sent again it would close every connection that is to come. */
static void refuse_longest(struct chat_link *l)
{
    struct unacked *u, *longest = l->unacked;
    DL_FOREACH(l->unacked, u)
        if (strlen(u->text) > strlen(longest->text))
            longest = u;
    if (longest)
        refuse_unacked(l, longest, "too_long", "The message is too long.");
}

static void lost(struct chat_link *l, int code, const char *reason)
{
    struct link_loss loss = { .reached = l->open, .code = code, .reason = reason };
    if (l->welcomed && clock_mono_ms() - l->welcomed_ms >= LINK_CALM_MS)
        l->failures = 0;
    l->ws = NULL;
    l->open = l->welcomed = false;
    timer_cancel(&l->patience);
    timer_set(&l->connect, link_pause_ms(l->failures++, random_unit()));
    if (code == WS_CLOSE_TOO_LARGE)
        refuse_longest(l);
    if (!l->closed)
        l->handler->lost(l->arg, &loss);
}

static void *on_open(void *conn, struct ws *ws, const struct http_in *upgrade)
{
    struct chat_link *l = conn;
    (void)ws;
    (void)upgrade;
    l->open = true;
    send_hello(l);
    return l;
}

static void on_closed(void *conn, int code, const struct err *e)
{
    char reason[64];
    snprintf(reason, sizeof(reason), "closed with code %d", code);
    lost(conn, code, e && e->code ? e->text : reason);
}

static void on_no_welcome(void *arg)
{
    struct chat_link *l = arg;
    ws_abort(&l->ws);
    lost(l, 0, "no answer");
}

static bool start_connecting(struct chat_link *l, struct err *e)
{
    static const struct ws_handler handler = { .open = on_open, .message = on_frame, .closed = on_closed };
    static const struct ws_limits limits = { FRAME_BYTES_MAX, QUEUE_BYTES_MAX, PING_MS, HANGUP_MS };
    struct ws_connect c = { .url = l->url, .connect_timeout_ms = LINK_WELCOME_MS };
    l->ws = ws_connect(l->loop, &c, &handler, &limits, l, e);
    if (l->ws)
        timer_set(&l->patience, LINK_WELCOME_MS);
    return l->ws != NULL;
}

static void on_connect_time(void *arg)
{
    struct chat_link *l = arg;
    struct err e = ERR_INIT;
    if (!start_connecting(l, &e))
        lost(l, 0, e.text);
}

struct chat_link *link_new(struct loop *loop, const struct link_conf *conf, const struct link_handler *handler,
                           void *arg, struct err *e)
{
    struct chat_link *l = mem_alloc(sizeof(*l));
    *l = (struct chat_link) {
        .loop = loop,
        .url = mem_dup(conf->url),
        .name = mem_dup(conf->name),
        .room = mem_dup(conf->room),
        .lang = mem_dup(conf->lang),
        .visitor = mem_dup(conf->visitor),
        .handler = handler,
        .arg = arg,
        .seq = NO_SEQ,
    };
    timer_init(&l->connect, loop, on_connect_time, l);
    timer_init(&l->patience, loop, on_no_welcome, l);
    if (!start_connecting(l, e))
        link_free(&l);
    return l;
}

void link_close(struct chat_link *l)
{
    l->closed = true;
    l->open = l->welcomed = false;
    timer_cancel(&l->connect);
    timer_cancel(&l->patience);
    ws_abort(&l->ws);
}

void link_free(struct chat_link **link)
{
    struct chat_link *l = *link;
    struct unacked *u, *next;
    if (!l)
        return;
    link_close(l);
    DL_FOREACH_SAFE(l->unacked, u, next)
        forget_unacked(l, u);
    free(l->url);
    free(l->name);
    free(l->room);
    free(l->lang);
    free(l->visitor);
    free(l);
    *link = NULL;
}
