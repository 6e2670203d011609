#include "adapters/webchat/session.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "adapters/webchat/access.h"
#include "plugin/base/clock.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"
#include "plugin/base/metric.h"
#include "plugin/net/ws.h"

#define ERROR_BYTES_MAX 4096U

/* --- the end --- */

static void held_free(struct session *s, struct held *h)
{
    DL_DELETE(s->held, h);
    s->n_held--;
    frame_fini(&h->frame);
    free(h);
}

static void session_free(void *p)
{
    struct session *s = p;

    free(s->name);
    free(s->lang);
    free(s->shown);
    free(s);
}

static void session_forget(struct session *s)
{
    DL_DELETE(s->w->sessions, s);
    loop_free_later(s->w->a->loop, s, session_free);
}

static void orphan_pendings(struct session *s)
{
    struct pending *p;

    if (s->n_pending > 0)
        DL_FOREACH(s->w->pendings, p)
        if (p->session == s)
            p->session = NULL;
}

/* The WebSocket is no more. */
static void session_gone(struct session *s)
{
    struct held *h, *next;

    s->ws = NULL;
    s->state = SESSION_CLOSING;
    timer_cancel(&s->hello);
    orphan_pendings(s);
    room_leave(s);
    catchup_free(s);
    DL_FOREACH_SAFE(s->held, h, next)
    held_free(s, h);
    limits_close(&s->w->limits, &s->address);
    metric_add(METRIC_WEBCHAT_CONNECTIONS, -1);
    if (!s->asking)
        session_forget(s);
}

void session_close(struct session *s, int code, const char *reason)
{
    if (s->state == SESSION_CLOSING)
        return;
    s->state = SESSION_CLOSING;
    ws_close(s->ws, code, reason);
}

void session_close_all(struct webchat *w, int code, const char *reason)
{
    struct session *s;

    DL_FOREACH(w->sessions, s)
    session_close(s, code, reason);
}

void session_free_all(struct webchat *w)
{
    struct session *s, *next;

    DL_FOREACH_SAFE(w->sessions, s, next)
    {
        s->asking = false;
        if (s->ws) {
            ws_abort(&s->ws);
            session_gone(s);
        } else {
            session_forget(s);
        }
    }
}

static void on_no_hello(void *arg)
{
    session_close(arg, WS_CLOSE_POLICY, "no hello");
}

static void on_closed(void *conn, int code, const struct err *e)
{
    struct session *s = conn;
    struct webchat *w = s->w;

    log_debug(w->a->conf->name, "a connection closed (%d%s%s)", code, e ? ": " : "", e ? e->text : "");
    session_gone(s);
    webchat_left(w);
}

bool session_answered(struct session *s)
{
    s->asking = false;
    if (!s->ws)
        session_forget(s);
    else if (s->state != SESSION_CLOSING)
        return true;
    return false;
}

/* --- to the client --- */

bool session_send(struct session *s, const struct buf *frame)
{
    enum err_code code;

    if (s->state == SESSION_CLOSING)
        return false;
    if (buf_error(frame)) {
        log_error(s->w->a->conf->name, "a frame would be over %u bytes; it is not sent", FRAME_OUT_BYTES_MAX);
        return false;
    }
    code = ws_send(s->ws, buf_str(frame), frame->len);
    if (code == ERR_BUSY)
        session_close(s, WS_CLOSE_TRY_LATER, "you do not read what is sent");
    return code == ERR_OK;
}

bool session_slow(const struct session *s)
{
    return s->ws && ws_queued(s->ws) > SESSION_SLOW_BYTES;
}

void session_error(struct session *s, const char *code, const char *text, const char *id)
{
    struct buf frame;

    buf_init(&frame, ERROR_BYTES_MAX);
    put_error(&frame, code, text, id);
    session_send(s, &frame);
    buf_free(&frame);
}

void session_unserved(struct session *s, const struct err *e)
{
    struct refusal why = webchat_refusal(e);

    log_debug(s->w->a->conf->name, "hello cannot be served: %s", e->text); /* the store itself warns */
    session_error(s, why.code, why.text, NULL);
    session_close(s, WS_CLOSE_TRY_LATER, why.code);
}

static void on_drained(void *conn)
{
    struct session *s = conn;

    if (s->state == SESSION_CATCHING_UP)
        catchup_drained(s);
    if (s->state != SESSION_LIVE || !s->behind)
        return;
    s->behind = false;
    session_send(s, &s->room->partial);
}

/* --- messages of the client --- */

static void refuse(struct session *s, const char *code, const char *text, const char *id)
{
    metric_add(METRIC_MESSAGES_REFUSED, 1);
    session_error(s, code, text, id);
}

static void say(struct session *s, const struct frame *f)
{
    const struct webchat_conf *conf = webchat_conf(s->w);
    struct msg_in m = {
        .chat = s->room->chat,
        .id = f->id,
        .sender = s->sender,
        .sender_name = s->name,
        .text = f->text,
        .len = strlen(f->text),
        .reply_to = f->reply_to,
        .lang = s->lang,
        .direct = s->direct,
    };

    if (s->n_pending >= SESSION_PENDING_MAX) {
        refuse(s, "busy", "Too many of your messages are on their way. Wait for an ack.", f->id);
    } else if (limits_speak(&s->w->limits, conf->messages_per_minute, s->sender, clock_mono_us()) > 0) {
        refuse(s, "rate", "Too many messages in a minute. Wait a little.", f->id);
    } else {
        s->n_pending++;
        webchat_say(s->w, &m, s, NULL);
    }
}

/* Takes the frame. */
static void hold(struct session *s, struct frame *f)
{
    struct held *h;

    if (s->n_held >= SESSION_HELD_MAX) {
        refuse(s, "busy", "Wait for welcome, and for what you missed.", f->id);
        return;
    }
    h = mem_alloc(sizeof *h);
    h->frame = *f;
    *f = (struct frame){ 0 };
    DL_APPEND(s->held, h);
    s->n_held++;
}

static void on_message_frame(struct session *s, struct frame *f)
{
    int64_t max = webchat_conf(s->w)->max_message_bytes;

    if (max > 0 && strlen(f->text) > (size_t)max)
        refuse(s, "too_long", "The message is too long.", f->id);
    else if (s->state == SESSION_LIVE)
        say(s, f);
    else
        hold(s, f);
}

static void on_typing_frame(struct session *s)
{
    int64_t now = clock_mono_ms();

    if (s->state != SESSION_LIVE || s->direct || now - s->typing_ms < TYPING_MS)
        return;
    s->typing_ms = now;
    room_typing(s->w, s->room->chat, s->name, true, s);
}

static void on_frame(struct session *s, struct frame *f)
{
    switch (f->type) {
    case FRAME_HELLO:
        if (s->state == SESSION_NEW)
            catchup_begin(s, f);
        else
            session_error(s, "bad_frame", "hello was said already", NULL);
        break;
    case FRAME_MESSAGE:
        on_message_frame(s, f);
        break;
    case FRAME_TYPING:
        on_typing_frame(s);
        break;
    case FRAME_NONE:
        break; /* frame_read() gives an error for it */
    }
}

static void on_data(void *conn, const char *data, size_t len, bool binary)
{
    struct session *s = conn;
    struct frame f = { .why = "frames are text" };
    enum err_code code = ERR_INVALID;

    if (s->state == SESSION_CLOSING)
        return;
    if (!binary)
        code = frame_read(&f, data, len);
    if (s->state == SESSION_NEW && f.type != FRAME_HELLO) {
        session_error(s, "bad_frame", "hello comes first", NULL);
        session_close(s, WS_CLOSE_POLICY, "hello comes first");
    } else if (code != ERR_OK) {
        session_error(s, "bad_frame", f.why, f.id);
    } else {
        on_frame(s, &f);
    }
    frame_fini(&f);
}

void session_live(struct session *s)
{
    struct held *h, *next;

    s->state = SESSION_LIVE;
    catchup_free(s);
    DL_FOREACH_SAFE(s->held, h, next)
    {
        say(s, &h->frame);
        held_free(s, h);
    }
}

void session_accepted(struct session *s, const struct msg_in *m, const struct msg_accepted *r, const struct err *e)
{
    struct refusal why;
    struct buf frame;

    s->n_pending--;
    if (failed(e)) {
        why = webchat_refusal(e); /* counted by the host */
        session_error(s, why.code, why.text, m->id);
        return;
    }
    s->behind = false;
    buf_init(&frame, ERROR_BYTES_MAX);
    put_ack(&frame, m->id, r->seq);
    session_send(s, &frame);
    buf_free(&frame);
}

/* --- the beginning --- */

static int on_check(void *arg, const struct http_in *upgrade)
{
    struct webchat *w = arg;
    const struct webchat_conf *conf = webchat_conf(w);
    char address[ACCESS_ADDRESS_SIZE];

    if (!w->running)
        return 503;
    if (!access_ok(upgrade, server_address(w->a->server), &conf->origins))
        return 403;
    access_address(upgrade, address);
    return limits_check(&w->limits, conf->max_connections, conf->max_connections_per_address, address);
}

static void *on_open(void *arg, struct ws *ws, const struct http_in *upgrade)
{
    struct webchat *w = arg;
    struct session *s = mem_alloc(sizeof *s);
    char address[ACCESS_ADDRESS_SIZE];

    access_address(upgrade, address);
    s->w = w;
    s->ws = ws;
    s->address = limits_open(&w->limits, address);
    s->typing_ms = clock_mono_ms() - TYPING_MS;
    timer_init(&s->hello, w->a->loop, on_no_hello, s);
    timer_set(&s->hello, HELLO_MS);
    DL_APPEND(w->sessions, s);
    metric_add(METRIC_WEBCHAT_CONNECTIONS, 1);
    return s;
}

void session_routes(struct webchat *w, struct server *server)
{
    static const struct ws_handler handler = {
        .check = on_check,
        .open = on_open,
        .message = on_data,
        .drained = on_drained,
        .closed = on_closed,
    };
    int64_t max = webchat_conf(w)->max_frame_bytes;
    struct ws_limits limits = {
        .max_message_bytes = max > 0 && max < FRAME_IN_BYTES_MAX ? (size_t)max : FRAME_IN_BYTES_MAX,
        .max_queue_bytes = FRAME_OUT_BYTES_MAX + 65536, /* the longest event, and the small ones about it */
        .ping_ms = PING_MS,
        .hangup_ms = HANGUP_MS,
    };

    server_ws_route(server, "/chat/ws", &handler, &limits, w);
}
