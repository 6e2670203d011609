#include "plugin/net/ws_conn.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <utlist.h>

#include "plugin/base/clock.h"
#include "plugin/base/mem.h"
#include "plugin/base/utf8.h"
#include "plugin/net/lws_crowd.h"

#define BURST_FRAMES 64     /* written per turn and connection, so that one cannot starve the others */
#define CLOSE_REASON_MAX 123 /* bytes */
#define CLOSE_NO_CODE 1005  /* RFC 6455 7.4.1: a close frame without a code */

struct ws_frame {
    struct ws_frame *next;
    size_t len;
    enum lws_write_protocol kind;
    unsigned char data[]; /* LWS_PRE bytes of room for the frame's header, then the message */
};

/* --- life --- */
static void on_timer(void *arg);
static void on_flush(void *arg);

struct ws *ws_new(struct loop *loop, const struct ws_handler *handler, const struct ws_limits *limits, void *arg)
{
    struct ws *ws = mem_alloc(sizeof *ws);

    ws->loop = loop;
    ws->handler = handler;
    ws->conn = arg;
    ws->limits = *limits;
    ws->out_end = &ws->out;
    buf_init(&ws->in, limits->max_message_bytes);
    timer_init(&ws->timer, loop, on_timer, ws);
    defer_init(&ws->flush, loop, on_flush, ws);
    return ws;
}

static void pop_frame(struct ws *ws)
{
    struct ws_frame *f = ws->out;

    ws->out = f->next;
    if (!ws->out)
        ws->out_end = &ws->out;
    ws->out_bytes -= f->len;
    free(f);
}

/* libwebsockets forgets us, and closes its socket when it next runs: it may be
 * calling us at this moment. */
static void detach(struct ws *ws)
{
    if (!ws->wsi)
        return;
    lws_set_opaque_user_data(ws->wsi, NULL);
    lws_set_timeout(ws->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
    ws->wsi = NULL;
    if (ws->crowd)
        lws_crowd_reap(ws->crowd);
}

static void die(struct ws *ws)
{
    ws->state = WS_DEAD;
    watch_free(&ws->watch); /* while the socket is still open */
    detach(ws);
    timer_cancel(&ws->timer);
    defer_cancel(&ws->flush);
    ws_connecting_free(ws);
    while (ws->out)
        pop_frame(ws);
    buf_free(&ws->in);
    if (ws->siblings)
        DL_DELETE(*ws->siblings, ws);
    loop_free_later(ws->loop, ws, free);
}

void ws_gone(struct ws *ws, int code, const struct err *e)
{
    bool known = ws->state != WS_CONNECTING || !ws->crowd;

    if (ws->state == WS_DEAD)
        return;
    die(ws);
    if (known)
        ws->handler->closed(ws->conn, code, e);
}

void ws_drop(struct ws *ws, int code)
{
    /* By hand: libwebsockets sends a close frame only as part of a handshake that takes turns of the loop. */
    unsigned char frame[] = {0x88, 2, (unsigned char)(code >> 8), (unsigned char)code};

    if (ws->state == WS_DEAD)
        return;
    if (code != 0 && ws->crowd && ws->state == WS_OPEN && !lws_partial_buffered(ws->wsi))
        send(lws_get_socket_fd(ws->wsi), frame, sizeof frame, MSG_NOSIGNAL | MSG_DONTWAIT);
    die(ws);
}

/* --- the socket --- */
static void want_write(struct ws *ws)
{
    if (ws->crowd)
        defer_set(&ws->flush);
    else
        lws_callback_on_writable(ws->wsi);
}

static bool owes_write(const struct ws *ws)
{
    return ws->out || lws_partial_buffered(ws->wsi) || (ws->state == WS_CLOSING && !ws->close_begun);
}

/* libwebsockets does what the events allow; what it could not write waits for the next. */
static void serve(struct ws *ws, unsigned events)
{
    lws_crowd_serve(ws->crowd, lws_get_socket_fd(ws->wsi), events);
    if (ws->watch)
        watch_set(ws->watch, WATCH_READ | (owes_write(ws) ? WATCH_WRITE : 0));
}

static void on_flush(void *arg)
{
    serve(arg, WATCH_WRITE);
}

static void on_socket(void *arg, unsigned events)
{
    struct ws *ws = arg;

    serve(ws, events);
    if (ws->watch && (events & WATCH_READ))
        want_write(ws); /* it may owe a pong or a close frame */
}

/* --- silence --- */
static void heard(struct ws *ws)
{
    ws->heard_ms = clock_mono_ms();
    if (!ws->pinged)
        return;
    ws->pinged = false;
    timer_set(&ws->timer, ws->limits.ping_ms);
}

static void check_silence(struct ws *ws)
{
    int64_t silent = clock_mono_ms() - ws->heard_ms;
    struct err e = ERR_INIT;

    if (silent >= ws->limits.hangup_ms) {
        err_set(&e, ERR_TIMEOUT, "nothing was heard for %lld ms", (long long)silent);
        ws_gone(ws, 0, &e);
        return;
    }
    if (silent < ws->limits.ping_ms) {
        timer_set(&ws->timer, ws->limits.ping_ms - silent);
        return;
    }
    ws->pinged = true;
    ws->ping_due = true;
    want_write(ws);
    timer_set(&ws->timer, ws->limits.hangup_ms - silent);
}

static void on_timer(void *arg)
{
    struct ws *ws = arg;
    struct err e = ERR_INIT;

    if (ws->state == WS_OPEN) {
        check_silence(ws);
        return;
    }
    if (ws->state == WS_CONNECTING) {
        detach(ws);
        if (ws_try_again(ws))
            return;
        err_set(&e, ERR_TIMEOUT, "no connection in time");
    }
    ws_gone(ws, ws->close_code, &e);
}

/* --- out --- */
static enum err_code queue_frame(struct ws *ws, const void *data, size_t len, enum lws_write_protocol kind)
{
    struct ws_frame *f;

    if (ws->state != WS_OPEN)
        return ERR_NET;
    if (len > ws->limits.max_queue_bytes)
        return ERR_TOO_LARGE;
    if (len > ws->limits.max_queue_bytes - ws->out_bytes) {
        ws->was_full = true;
        return ERR_BUSY;
    }
    f = mem_alloc(sizeof *f + LWS_PRE + len);
    f->len = len;
    f->kind = kind;
    if (len > 0)
        memcpy(f->data + LWS_PRE, data, len);
    *ws->out_end = f;
    ws->out_end = &f->next;
    ws->out_bytes += len;
    want_write(ws);
    return ERR_OK;
}

enum err_code ws_send(struct ws *ws, const char *text, size_t len)
{
    return queue_frame(ws, text, len, LWS_WRITE_TEXT);
}

enum err_code ws_send_binary(struct ws *ws, const void *data, size_t len)
{
    return queue_frame(ws, data, len, LWS_WRITE_BINARY);
}

size_t ws_queued(const struct ws *ws)
{
    return ws->out_bytes;
}

const char *ws_peer(const struct ws *ws)
{
    return ws->peer;
}

void ws_close(struct ws *ws, int code, const char *reason)
{
    size_t len = reason ? strlen(reason) : 0;

    if (ws->state != WS_OPEN)
        return;
    ws->state = WS_CLOSING;
    ws->close_code = code;
    if (len > 0) {
        len = utf8_cut(reason, len, CLOSE_REASON_MAX);
        memcpy(ws->close_reason, reason, len);
    }
    ws->close_reason[len] = '\0';
    timer_set(&ws->timer, WS_CLOSE_WAIT_MS);
    want_write(ws);
}

/* What to return to libwebsockets so that it sends the close frame and waits for its answer. */
static int start_close(struct ws *ws, int code, const char *reason)
{
    unsigned char text[CLOSE_REASON_MAX];
    size_t len = strlen(reason);

    ws->state = WS_CLOSING;
    ws->close_begun = true;
    ws->close_code = code;
    memcpy(text, reason, len);
    lws_close_reason(ws->wsi, (enum lws_close_status)code, text, len);
    timer_set(&ws->timer, WS_CLOSE_WAIT_MS);
    want_write(ws);
    return -1;
}

static int write_frames(struct ws *ws)
{
    for (int n = 0; n < BURST_FRAMES && ws->out && !lws_partial_buffered(ws->wsi); n++) {
        if (lws_write(ws->wsi, ws->out->data + LWS_PRE, ws->out->len, ws->out->kind) < 0)
            return -1;
        pop_frame(ws);
    }
    return 0;
}

static void tell_drained(struct ws *ws)
{
    bool now_free = ws->was_full && ws->out_bytes < ws->limits.max_queue_bytes / 2;

    if (ws->state != WS_OPEN || (ws->out && !now_free))
        return;
    ws->was_full = false;
    if (ws->handler->drained)
        ws->handler->drained(ws->conn);
}

static int on_writable(struct ws *ws)
{
    unsigned char ping[LWS_PRE + 1] = {0};
    bool had_frames = ws->out != NULL;

    if (ws->ping_due) {
        ws->ping_due = false;
        /* One byte: libwebsockets does not tell of an empty pong. */
        if (lws_write(ws->wsi, ping + LWS_PRE, 1, LWS_WRITE_PING) < 0)
            return -1;
    }
    if (write_frames(ws) != 0)
        return -1;
    if (ws->state == WS_CLOSING && !ws->close_begun && !ws->out && !lws_partial_buffered(ws->wsi))
        return start_close(ws, ws->close_code, ws->close_reason);
    if (!ws->crowd && owes_write(ws))
        want_write(ws);
    if (had_frames)
        tell_drained(ws);
    return 0;
}

/* --- in --- */
static void pass_up(struct ws *ws, const char *data, size_t len, bool binary)
{
    char *whole = NULL;

    if (ws->in.len > 0) { /* ours: message() may drop ws and its buffer */
        whole = buf_take(&ws->in);
        data = whole;
    }
    ws->handler->message(ws->conn, data, len, binary);
    free(whole);
}

/* Says nothing to libwebsockets: told from here to close, 4.1 forgets to empty
 * the buffer that it collects a client's frame in, and writes on behind its end. */
static void on_receive(struct ws *ws, const char *data, size_t len)
{
    bool binary = lws_frame_is_binary(ws->wsi), final = lws_is_final_fragment(ws->wsi);
    size_t more = lws_remaining_packet_payload(ws->wsi), total = ws->in.len + len;

    if (ws->state != WS_OPEN)
        return;
    heard(ws);
    if (total > ws->limits.max_message_bytes || more > ws->limits.max_message_bytes - total) {
        ws_close(ws, WS_CLOSE_TOO_LARGE, "message too large");
        return;
    }
    if (!final || ws->in.len > 0)
        buf_add(&ws->in, data, len);
    if (!final)
        return;
    if (binary || utf8_valid(ws->in.len > 0 ? ws->in.data : data, total))
        pass_up(ws, data, total, binary);
    else
        ws_close(ws, WS_CLOSE_BAD_DATA, "not UTF-8");
}

static void on_peer_close(struct ws *ws, const unsigned char *payload, size_t len)
{
    ws->close_begun = true;
    if (ws->close_code != 0) /* it answers ours */
        return;
    ws->state = WS_CLOSING;
    ws->close_code = CLOSE_NO_CODE;
    if (len >= 2)
        ws->close_code = payload[0] << 8 | payload[1];
    timer_set(&ws->timer, WS_CLOSE_WAIT_MS);
}

/* libwebsockets is about to free it. */
static void forget(struct ws *ws, struct lws *wsi)
{
    lws_set_opaque_user_data(wsi, NULL);
    ws->wsi = NULL;
}

static void on_closed(struct ws *ws, struct lws *wsi)
{
    struct err e = ERR_INIT;

    forget(ws, wsi);
    if (ws->state == WS_CONNECTING && ws_try_again(ws))
        return;
    if (ws->close_code == 0)
        err_set(&e, ERR_NET, ws->state == WS_CONNECTING ? "closed before it was open" : "connection lost");
    ws_gone(ws, ws->close_code, &e);
}

/* False if the system has no room for it: nobody hears of it then. */
static bool on_open(struct ws *ws)
{
    if (ws->crowd) {
        ws->watch = watch_new(ws->loop, lws_get_socket_fd(ws->wsi), WATCH_READ, on_socket, ws);
        if (!ws->watch)
            return false;
    }
    ws->state = WS_OPEN;
    ws_connecting_free(ws);
    ws->heard_ms = clock_mono_ms();
    timer_set(&ws->timer, ws->limits.ping_ms);
    ws->conn = ws->handler->open(ws->conn, ws, ws->upgrade);
    return true;
}

int ws_on_lws(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    struct ws *ws = lws_get_opaque_user_data(wsi);

    if (!ws) /* dropped, or no WebSocket: then only data or room for it is a reason to hang up */
        return reason == LWS_CALLBACK_RECEIVE || reason == LWS_CALLBACK_CLIENT_RECEIVE ||
                       reason == LWS_CALLBACK_SERVER_WRITEABLE || reason == LWS_CALLBACK_CLIENT_WRITEABLE
                   ? -1
                   : 0;
    switch ((int)reason) {
    case LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED:
        ws->wsi = wsi;
        break;
    case LWS_CALLBACK_ESTABLISHED:
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        return on_open(ws) ? 0 : -1;
    case LWS_CALLBACK_RECEIVE:
    case LWS_CALLBACK_CLIENT_RECEIVE:
        on_receive(ws, in, len);
        break;
    case LWS_CALLBACK_RECEIVE_PONG:
    case LWS_CALLBACK_CLIENT_RECEIVE_PONG:
        heard(ws);
        break;
    case LWS_CALLBACK_SERVER_WRITEABLE:
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return on_writable(ws);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        on_peer_close(ws, in, len);
        break;
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
        ws_reached(ws);
        break;
    case LWS_CALLBACK_OPENSSL_PERFORM_SERVER_CERT_VERIFICATION:
        if (len == 0) /* OpenSSL says no; so does what we return */
            ws_distrusts(ws, user);
        break;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        forget(ws, wsi);
        ws_refused(ws, in, len);
        break;
    case LWS_CALLBACK_CLOSED:
    case LWS_CALLBACK_CLIENT_CLOSED:
    case LWS_CALLBACK_WSI_DESTROY: /* whatever path it took, the owner hears of it */
        on_closed(ws, wsi);
        break;
    default:
        break;
    }
    return 0;
}
