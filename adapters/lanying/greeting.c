/* The WebSocket, and the login on it. */
#include "adapters/lanying/session_steps.h"

#include <string.h>

#include "adapters/lanying/lanying.h"
#include "plugin/base/clock.h"
#include "plugin/base/log.h"

#define FRESH_TOKEN_MS 60000 /* a token that is refused within this time is no old one */

/* --- the long connection --- */

bool session_next_way(struct lanying *ly)
{
    struct session *s = &ly->session;
    bool both = lanying_conf(ly)->transport == TRANSPORT_AUTO, other = both && !s->other_tried;

    if (both)
        s->transport = s->transport == LY_SOCKETIO ? LY_RAW : LY_SOCKETIO;
    s->other_tried = other;
    if (other || places_next_ws(&ly->places))
        return true;
    session_forget_servers(ly);
    return false;
}

static void link_failed(struct lanying *ly, const struct err *e)
{
    struct session *s = &ly->session;

    s->why = *e;
    err_prefix(&s->why, "%s", places_ws(&ly->places));
    if (session_next_way(ly))
        session_connect(ly);
    else
        session_down(ly, &s->why, true);
}

static void on_ready(void *arg)
{
    struct lanying *ly = arg;
    struct session *s = &ly->session;
    const struct wire_self self = { s->uid, s->device };
    struct buf frame;

    if (s->pinging) {
        session_go_online(ly);
        return;
    }
    session_set_state(ly, SESSION_GREETING);
    buf_init(&frame, LY_FRAME_BYTES_MAX);
    wire_login(&frame, &self, secret_reveal(&s->token), s->guid);
    ly_link_send(s->link, &frame);
    buf_free(&frame);
    timer_set(&s->patience, SESSION_GREET_MS);
}

static void on_link_closed(void *arg, const struct err *e, bool was_ready)
{
    struct lanying *ly = arg;
    struct session *s = &ly->session;
    struct err why = *e;

    ly_link_free(&s->link);
    if (s->state == SESSION_LEAVING) {
        defer_set(&s->stopped);
    } else if (!was_ready) {
        link_failed(ly, &why);
    } else {
        err_prefix(&why, "connection to %s", places_ws(&ly->places));
        if (s->state == SESSION_GREETING)
            session_next_way(ly);
        session_down(ly, &why, true);
    }
}

static void on_greeted(struct lanying *ly, struct ly_bytes payload);

static void on_frame(void *arg, struct ly_bytes bytes)
{
    struct lanying *ly = arg;
    struct ly_frame frame;
    struct err e;

    if (ly_read(&ly_frame_type, &frame, bytes, &e) != ERR_OK) {
        log_warn("lanying", "%s: %s; it is dropped", lanying_name(ly), e.text);
    } else if (frame.compress != 0 || frame.encrypt != 0) {
        log_warn("lanying", "%s: a frame that is compressed or encrypted (%u, %u) is dropped", lanying_name(ly), frame.compress,
                 frame.encrypt);
    } else if (ly->session.state == SESSION_GREETING && frame.command == LY_PROVISION) {
        on_greeted(ly, frame.payload);
    } else if (session_online(&ly->session)) {
        websocket_frame(ly, &frame);
    }
}

void session_connect(struct lanying *ly)
{
    static const struct ly_link_handler handler = { on_ready, on_frame, on_link_closed };
    struct session *s = &ly->session;
    int wanted = lanying_conf(ly)->transport;
    struct err e = ERR_INIT;

    session_set_state(ly, SESSION_LINKING);
    if (wanted != TRANSPORT_AUTO)
        s->transport = wanted == TRANSPORT_RAW ? LY_RAW : LY_SOCKETIO;
    s->link = ly_link_new(ly->a->loop, places_ws(&ly->places), s->transport, &handler, ly, &e);
    if (!s->link)
        session_down(ly, &e, false);
}

/* --- the answer to the login --- */

static bool wants_login(const struct ly_status *status)
{
    static const char text[] = "you must login first";

    return status->code == LY_CODE_INVALID_TOKEN || status->code == LY_CODE_PUBLIC_KEY_CHANGED ||
           (status->code == LY_CODE_UNAUTHORIZED && status->reason.len >= sizeof text - 1 &&
            memmem(status->reason.p, status->reason.len, text, sizeof text - 1));
}

/* Trying again cannot help; and what can. */
static const char *hopeless(uint32_t code)
{
    switch (code) {
    case LY_CODE_USER_FROZEN:
        return "the user is frozen: see the vendor's console";
    case LY_CODE_TOO_MANY_DEVICES:
        return "the user has too many devices: remove some (GET /user/device/list, POST /user/kick)";
    case LY_CODE_INVALID_LICENSE:
        return "the app's licence is invalid: see the vendor's console";
    case LY_CODE_LICENSE_LIMIT:
        return "the limit of the app's licence is reached: see the vendor's console";
    case LY_CODE_APP_FROZEN:
        return "the app is frozen: see the vendor's console";
    default:
        return NULL;
    }
}

bool session_is_status_ours(const struct ly_status *status)
{
    return wants_login(status) || status->code == LY_CODE_DEVICE_GUID_CONFLICT ||
           (status->code != LY_CODE_TOO_MANY_DEVICES && hopeless(status->code));
}

/* A token that has just been made and is refused is not the reason: no hurry then. */
static void token_refused(struct lanying *ly, const struct err *why)
{
    struct session *s = &ly->session;
    bool fresh = s->token_at_ms != 0 && clock_mono_ms() - s->token_at_ms < FRESH_TOKEN_MS;

    session_drop_token(s);
    if (fresh)
        session_down(ly, why, true);
    else
        session_relogin(ly);
}

void session_refused(struct lanying *ly, const struct ly_status *status)
{
    struct session *s = &ly->session;
    int shown = lanying_shown(ly, status->reason.p, status->reason.len);
    struct err e;

    err_set(&e, ERR_AUTH, "the server refuses the login with status %u%s%.*s", status->code, shown ? ": " : "", shown,
            shown ? status->reason.p : "");
    if (hopeless(status->code)) {
        err_set(&e, ERR_AUTH, "%s", hopeless(status->code));
        session_down(ly, &e, false);
    } else if (wants_login(status)) {
        token_refused(ly, &e);
    } else if (status->code == LY_CODE_DEVICE_GUID_CONFLICT && !s->device_new) {
        s->device_new = true;
        session_make_guid(s, 0);
        session_relogin(ly);
    } else {
        session_down(ly, &e, true);
    }
}

static void on_greeted(struct lanying *ly, struct ly_bytes payload)
{
    struct session *s = &ly->session;
    struct ly_provision p;
    struct err e;

    if (ly_read(&ly_provision_type, &p, payload, &e) != ERR_OK) {
        session_down(ly, &e, true);
    } else if (p.status.code != LY_CODE_OK && (p.has & LY_HAS(1))) {
        session_refused(ly, &p.status);
    } else if (p.xid.uid != s->uid && (p.xid.uid != 0 || !(p.has & LY_HAS(1)))) {
        session_fail(ly, ERR_PROTO, true, "the server greets somebody else");
    } else {
        if (p.xid.device != 0 && p.xid.device != s->device) {
            s->device = p.xid.device;
            session_write_fact(ly, session_on_written);
        }
        session_go_online(ly);
    }
}
