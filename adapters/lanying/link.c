#include "adapters/lanying/link.h"

#include <stdlib.h>
#include <string.h>

#include "adapters/lanying/socketio.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"
#include "plugin/net/ws.h"

/* The protocol brings its own signs of life; the WebSocket's are of no use. */
#define NO_PINGS_MS INT64_C(86400000)
#define ENGINE_PATH "/socket.io/"

struct ly_link {
    struct loop *loop;
    enum ly_transport transport;
    const struct ly_link_handler *handler;
    void *arg;
    struct ws *ws;
    struct socketio io;
    bool open, ready, leaving;
    struct timer deadline; /* to be ready; then for the pong */
    struct timer ping;
};

/* --- the URL --- */

struct scheme {
    const char *given, *ours;
};

static const struct scheme *scheme_of(const char *base)
{
    static const struct scheme schemes[] = {
        { "wss://", "wss://" }, { "ws://", "ws://" }, { "https://", "wss://" }, { "http://", "ws://" },
    };

    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (strncmp(base, schemes[i].given, strlen(schemes[i].given)) == 0)
            return &schemes[i];
    return NULL;
}

enum err_code ly_link_url(struct buf *out, const char *base, enum ly_transport transport)
{
    const struct scheme *scheme = scheme_of(base);
    const char *rest = scheme ? base + strlen(scheme->given) : base, *engine = strstr(rest, ENGINE_PATH);
    size_t len = engine ? (size_t)(engine - rest) : strcspn(rest, "?#");

    if (!scheme || len == 0)
        return ERR_INVALID;
    while (len > 0 && rest[len - 1] == '/')
        len--;
    buf_adds(out, scheme->ours);
    buf_add(out, rest, len);
    buf_adds(out, transport == LY_SOCKETIO ? SOCKETIO_QUERY : "/");
    return buf_error(out);
}

const char *ly_transport_name(enum ly_transport transport)
{
    return transport == LY_SOCKETIO ? "socket.io" : "raw";
}

/* --- the end --- */

static void hang_up(struct ly_link *l)
{
    ws_abort(&l->ws);
    timer_cancel(&l->deadline);
    timer_cancel(&l->ping);
    l->open = false;
}

static void end(struct ly_link *l, const struct err *e)
{
    bool was_ready = l->ready;

    hang_up(l);
    l->ready = false;
    l->handler->closed(l->arg, e, was_ready);
}

static void break_off(struct ly_link *l, enum err_code code, const char *why)
{
    struct err e;

    err_set(&e, code, "%s: %s", ly_transport_name(l->transport), why);
    end(l, &e);
}

static void on_closed(void *conn, int code, const struct err *e)
{
    struct ly_link *l = conn;
    struct err why = *e;

    l->ws = NULL;
    if (why.code == ERR_OK)
        err_set(&why, ERR_NET, "the server closed the connection (%d)", code);
    end(l, &why);
}

/* --- life --- */

static void become_ready(struct ly_link *l)
{
    l->ready = true;
    timer_cancel(&l->deadline);
    l->handler->ready(l->arg);
}

static void on_deadline(void *arg)
{
    struct ly_link *l = arg;

    if (l->ready)
        break_off(l, ERR_TIMEOUT, "the server answers no pings");
    else if (l->open)
        break_off(l, ERR_TIMEOUT, "the server does not greet");
    else
        break_off(l, ERR_TIMEOUT, "no connection in time");
}

static void on_ping_due(void *arg)
{
    struct ly_link *l = arg;

    ws_send(l->ws, SOCKETIO_PING, strlen(SOCKETIO_PING));
    timer_set(&l->ping, l->io.ping_ms);
    if (!timer_pending(&l->deadline))
        timer_set(&l->deadline, l->io.timeout_ms);
}

static void *on_open(void *arg, struct ws *ws, const struct http_in *upgrade)
{
    struct ly_link *l = arg;

    (void)ws;
    (void)upgrade;
    l->open = true;
    if (l->transport == LY_RAW)
        become_ready(l);
    return l;
}

static void on_text(struct ly_link *l, const char *text, size_t len)
{
    switch (socketio_text(&l->io, text, len)) {
    case SOCKETIO_OPENED:
        timer_set(&l->ping, l->io.ping_ms);
        break;
    case SOCKETIO_CONNECTED:
        if (!l->ready)
            become_ready(l);
        break;
    case SOCKETIO_PINGED:
        ws_send(l->ws, SOCKETIO_PONG, strlen(SOCKETIO_PONG));
        break;
    case SOCKETIO_PONGED:
        if (l->ready)
            timer_cancel(&l->deadline);
        break;
    case SOCKETIO_LEFT:
        break_off(l, ERR_NET, "the server ended the session");
        break;
    case SOCKETIO_REFUSED:
        break_off(l, ERR_NET, "the server refuses the session");
        break;
    case SOCKETIO_NOTHING:
        break;
    }
}

static void on_binary(struct ly_link *l, const char *data, size_t len)
{
    struct ly_bytes frame = { data, len };
    enum err_code code = l->transport == LY_RAW ? ERR_OK : socketio_binary(&l->io, data, len, &frame);

    if (code == ERR_PROTO)
        log_warn("lanying", "a binary message that nothing announced is ignored");
    if (code == ERR_OK && l->ready && !l->leaving)
        l->handler->frame(l->arg, frame);
}

static void on_message(void *conn, const char *data, size_t len, bool binary)
{
    struct ly_link *l = conn;

    if (binary)
        on_binary(l, data, len);
    else if (l->transport == LY_SOCKETIO)
        on_text(l, data, len);
}

static const struct ws_handler ws_events = { .open = on_open, .message = on_message, .closed = on_closed };

struct ly_link *ly_link_new(struct loop *loop, const char *base, enum ly_transport transport,
                            const struct ly_link_handler *handler, void *arg, struct err *e)
{
    static const struct ws_limits limits = {
        .max_message_bytes = LY_FRAME_BYTES_MAX,
        .max_queue_bytes = LINK_QUEUE_BYTES_MAX,
        .ping_ms = NO_PINGS_MS,
        .hangup_ms = NO_PINGS_MS + 1,
    };
    struct ly_link *l = mem_alloc(sizeof *l);
    struct buf url;

    l->loop = loop;
    l->transport = transport;
    l->handler = handler;
    l->arg = arg;
    timer_init(&l->deadline, loop, on_deadline, l);
    timer_init(&l->ping, loop, on_ping_due, l);
    buf_init(&url, LINK_URL_BYTES_MAX);
    if (ly_link_url(&url, base, transport) != ERR_OK)
        err_set(e, ERR_INVALID, "\"%s\" is no ws, wss, http or https URL", base);
    else
        l->ws = ws_connect(loop, &(struct ws_connect){ .url = buf_str(&url), .connect_timeout_ms = LINK_OPEN_MS },
                           &ws_events, &limits, l, e);
    buf_free(&url);
    if (!l->ws) {
        free(l);
        return NULL;
    }
    timer_set(&l->deadline, LINK_OPEN_MS);
    return l;
}

void ly_link_free(struct ly_link **link)
{
    struct ly_link *l = *link;

    *link = NULL;
    if (!l)
        return;
    hang_up(l);
    l->ready = false;
    loop_free_later(l->loop, l, free);
}

/* --- out --- */

enum err_code ly_link_send(struct ly_link *link, const struct buf *frame)
{
    struct buf marked;
    enum err_code code;

    if (!link->ready || link->leaving)
        return ERR_NET;
    if (buf_error(frame))
        return ERR_TOO_LARGE;
    if (link->transport == LY_RAW)
        return ws_send_binary(link->ws, frame->data, frame->len);
    if (ws_queued(link->ws) + frame->len + strlen(SOCKETIO_FRAME) + 1 > LINK_QUEUE_BYTES_MAX)
        return ERR_BUSY; /* never half a pair */
    buf_init(&marked, LY_FRAME_BYTES_MAX + 1);
    buf_addc(&marked, SOCKETIO_MARK);
    buf_add(&marked, frame->data, frame->len);
    code = buf_error(&marked);
    if (code == ERR_OK) {
        ws_send(link->ws, SOCKETIO_FRAME, strlen(SOCKETIO_FRAME));
        ws_send_binary(link->ws, marked.data, marked.len);
    }
    buf_free(&marked);
    return code;
}

void ly_link_leave(struct ly_link *link)
{
    link->leaving = true;
    if (link->open && link->ws)
        ws_close(link->ws, WS_CLOSE_GOING_AWAY, NULL);
}
