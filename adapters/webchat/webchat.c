#include "adapters/webchat/webchat.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "adapters/webchat/opening.h"
#include "adapters/webchat/call.h"
#include "adapters/webchat/room.h"
#include "adapters/webchat/session.h"
#include "plugin/base/clock.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"
#include "plugin/net/ws.h"

#define EDIT_INTERVAL_MS 60 /* some 16 a second look like flowing text, and each carries the whole of it */

/* --- settings --- */

#define AT(member) offsetof(struct webchat_conf, member)

static const struct setting settings[] = {
    { .name = "max_connections", .type = SETTING_INT, .offset = AT(max_connections), .max = 1000000,
      .fallback = "10000", .help = "Connections and waiting requests at the same time. 0: no limit." },
    { .name = "max_connections_per_address", .type = SETTING_INT, .offset = AT(max_connections_per_address),
      .max = 1000000, .fallback = "32", .help = "WebSockets from one address at the same time. 0: no limit." },
    { .name = "messages_per_minute", .type = SETTING_INT, .offset = AT(messages_per_minute), .max = 1000000,
      .fallback = "30", .help = "Messages that one visitor, or one conversation of POST /chat, may send in a minute. "
                                "0: no limit." },
    { .name = "max_message_bytes", .type = SETTING_INT, .offset = AT(max_message_bytes), .max = 262144,
      .fallback = "16384", .help = "Longest text of a message. 0: as long as a frame." },
    { .name = "max_frame_bytes", .type = SETTING_INT, .offset = AT(max_frame_bytes), .max = FRAME_IN_BYTES_MAX,
      .fallback = "65536", .help = "Longest WebSocket message from a client. 0: 16 MiB." },
    { .name = "origins", .type = SETTING_STRINGS, .offset = AT(origins), .fallback = "()",
      .help = "Sites that may embed the chat and open WebSockets from their pages, like \"https://www.example.org\". "
              "Behind a proxy: also the site under which it serves the chat. \"*\": all." },
    { .name = "tokens", .type = SETTING_SECRETS, .offset = AT(tokens), .fallback = "()",
      .help = "Who may use POST /chat. None: nobody, the endpoint is not there." },
    { .name = "open_rooms", .type = SETTING_BOOL, .offset = AT(open_rooms), .fallback = "false",
      .help = "Whether anyone may open a room under any name." },
    { .name = "rooms", .type = SETTING_STRINGS, .offset = AT(rooms), .fallback = "()",
      .help = "Rooms that are always there." },
    { .name = "demo", .type = SETTING_BOOL, .offset = AT(demo), .fallback = "false",
      .help = "Whether POST /chat works without tokens, on a listener on loopback." },
    SETTING_END,
};

/* --- up-calls that a down-call asks for, from the loop --- */

/* Our own store is the platform: what the host sends is delivered. */
struct sent {
    struct sent *next;
    int64_t handle;
    char id[];
};

static void tell_sent(struct webchat *w)
{
    struct sent *s;

    while ((s = w->sents)) {
        LL_DELETE(w->sents, s);
        adapter_sent(w->a, s->handle, s->id);
        free(s);
    }
}

static void on_later(void *arg)
{
    struct webchat *w = arg;
    bool online = w->online_due, stopped = w->stopped_due;

    w->online_due = w->stopped_due = false;
    tell_sent(w);
    call_look_up(w);
    if (online)
        adapter_online(w->a);
    if (stopped)
        adapter_stopped(w->a);
}

static void note_sent(struct webchat *w, const struct msg_out *m)
{
    struct sent *s;
    size_t size = strlen(m->id) + 1;

    if (m->handle == 0)
        return;
    s = mem_alloc(sizeof *s + size);
    s->handle = m->handle;
    memcpy(s->id, m->id, size);
    LL_APPEND(w->sents, s);
    defer_set(&w->later);
}

/* --- shared by the files of this folder --- */

struct refusal webchat_refusal(const struct err *e)
{
    switch (e->code) {
    case ERR_FULL:
    case ERR_IO:
        return (struct refusal){ "full", "The service cannot store anything now. Try again later.", 503 };
    case ERR_TOO_LARGE:
        return (struct refusal){ "too_long", "The message is too long.", 413 };
    case ERR_INVALID:
        return (struct refusal){ "bad_frame", "This message cannot be taken.", 400 };
    default:
        return (struct refusal){ "busy", "Too much is waiting here. Try again in a moment.", 503 };
    }
}

struct pending *webchat_say(struct webchat *w, struct msg_in *m, struct session *session, struct call *call)
{
    struct pending *p = mem_alloc(sizeof *p);

    p->session = session;
    p->call = call;
    DL_APPEND(w->pendings, p);
    m->token = p;
    adapter_message(w->a, m);
    return p;
}

int64_t webchat_expiry(void)
{
    return clock_wall_ms() + SECRET_LIFE_MS;
}

/* It was good before; if this write fails it still is, and the next one tries again. */
static void on_refreshed(void *arg, const struct err *e)
{
    (void)arg;
    if (failed(e))
        log_warn("webchat", "a visitor's time of expiry was not moved: %s", e->text);
}

void webchat_refresh(struct webchat *w, const char *fact, int64_t expires_ms)
{
    if (expires_ms < webchat_expiry() - SECRET_REFRESH_MS)
        adapter_keep(w->a, fact, "1", webchat_expiry(), on_refreshed, NULL);
}

/* --- ops --- */

/* They all would want "/" of the one listener. */
static bool listener_taken;

static void stopped(struct webchat *w)
{
    timer_cancel(&w->stop_timer);
    w->stopping = false;
    w->stopped_due = true;
    defer_set(&w->later);
}

static void on_stop_timer(void *arg)
{
    stopped(arg);
}

void webchat_left(struct webchat *w)
{
    if (w->stopping && w->limits.connections == 0)
        stopped(w);
}

static enum err_code webchat_init(struct adapter *a, struct err *e)
{
    struct webchat *w = a->priv;

    w->a = a;
    defer_init(&w->later, a->loop, on_later, w);
    timer_init(&w->stop_timer, a->loop, on_stop_timer, w);
    if (site_init(w, e) != ERR_OK)
        return e->code;
    if (!a->server)
        return ERR_OK;
    if (listener_taken)
        return err_set(e, ERR_EXISTS, "there is a web chat account already, and one listener has room for one");
    listener_taken = w->listening = true;
    site_routes(w, a->server);
    session_routes(w, a->server);
    call_routes(w, a->server);
    return ERR_OK;
}

static void webchat_start(struct adapter *a)
{
    struct webchat *w = a->priv;

    w->running = true;
    w->stopping = false;
    timer_cancel(&w->stop_timer);
    w->online_due = true;
    defer_set(&w->later);
}

static void webchat_accepted(struct adapter *a, const struct msg_in *m, const struct msg_accepted *r, const struct err *e)
{
    struct webchat *w = a->priv;
    struct pending *p = m->token;

    DL_DELETE(w->pendings, p);
    if (p->session)
        session_accepted(p->session, m, r, e);
    if (!failed(e) && !r->duplicate)
        room_said(w, m, r->seq, p->session);
    if (p->call)
        call_accepted(p->call, r, e);
    free(p);
}

static void webchat_send(struct adapter *a, const struct msg_out *m)
{
    room_event(a->priv, m, false);
    note_sent(a->priv, m);
}

static void webchat_edit(struct adapter *a, const struct msg_out *m)
{
    room_event(a->priv, m, true);
    note_sent(a->priv, m);
}

static void webchat_typing(struct adapter *a, const char *chat, const char *thread, bool on)
{
    (void)thread;
    room_typing(a->priv, chat, "bot", on, NULL);
}

static void webchat_stop(struct adapter *a)
{
    struct webchat *w = a->priv;

    w->running = false;
    w->stopping = true;
    timer_set(&w->stop_timer, STOP_MS);
    call_stop_all(w);
    session_close_all(w, WS_CLOSE_GOING_AWAY, "the service is stopping");
    webchat_left(w);
}

static void free_waiting(struct webchat *w)
{
    struct pending *p, *next;
    struct sent *s;

    DL_FOREACH_SAFE(w->pendings, p, next)
    free(p);
    w->pendings = NULL;
    while ((s = w->sents)) {
        LL_DELETE(w->sents, s);
        free(s);
    }
}

static void webchat_fini(struct adapter *a)
{
    struct webchat *w = a->priv;

    if (!w->a)
        return;
    w->stopping = false;
    if (w->listening) {
        server_unroute(a->server, w);
        listener_taken = w->listening = false;
    }
    call_free_all(w);
    session_free_all(w);
    opening_free_all(w);
    free_waiting(w);
    limits_fini(&w->limits);
    free(w->page_headers);
    timer_cancel(&w->stop_timer);
    defer_cancel(&w->later);
}

const struct adapter_ops adapter_webchat = {
    .abi = ADAPTER_ABI,
    .name = "webchat",
    .size = sizeof(struct webchat),
    .settings = settings,
    .settings_size = sizeof(struct webchat_conf),
    .facts = {
        .caps = ADAPTER_EDIT | ADAPTER_TYPING | ADAPTER_STORED | ADAPTER_IDEMPOTENT,
        .markup = MARKUP_MARKDOWN,
        .edit_interval_ms = EDIT_INTERVAL_MS,
    },
    .init = webchat_init,
    .start = webchat_start,
    .accepted = webchat_accepted,
    .send = webchat_send,
    .edit = webchat_edit,
    .typing = webchat_typing,
    .stop = webchat_stop,
    .fini = webchat_fini,
};
