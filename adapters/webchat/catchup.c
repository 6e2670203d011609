/* From a session's hello to the moment when it is live.
 *
 * Why nothing is lost or repeated on the way: each page of history is how the
 * conversation stands at the moment of its callback. What finished before that
 * moment is in this page or, if there is more, in a later one, because pages
 * are asked for by seq and a message that finishes later has a higher one; what
 * finishes after the moment of the last page reaches us through send, edit and
 * accepted. So a session is passed over by all live events (room.c looks at its
 * state) until the callback of a page without `more`, and is live from within
 * that very callback, after the page's messages and the running answer were
 * queued: no event can come in between. If they do not all fit into the
 * session's queue, it is not live yet: the rest is asked for again, as a new
 * page, once the queue has drained. Messages that the session sends meanwhile
 * are held, so that their acks do not overtake what it missed.
 *
 * A running answer may be in the last page before its first event was sent;
 * `shown` makes that event an edit for this session. */
#include <stdlib.h>
#include <string.h>

#include "adapters/webchat/session.h"
#include "plugin/base/clock.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"
#include "plugin/net/ws.h"

#define PAGE_MESSAGES 50

struct catchup {
    char secret[IDENTITY_SECRET_SIZE];
    char fact[IDENTITY_FACT_SIZE];
    int64_t after; /* what the client has; -1: it wants nothing of the past */
    bool welcomed;
    bool paused;   /* the next page is for when the queue has drained */
};

void catchup_free(struct session *s)
{
    free(s->catchup);
    s->catchup = NULL;
}

/* --- what was missed --- */

static void on_page(void *arg, const struct msg_page *page, const struct err *e);

static void ask(struct session *s)
{
    s->asking = true;
    s->catchup->paused = false;
    adapter_history(s->w->a, s->room->chat, NULL, s->catchup->after, PAGE_MESSAGES, on_page, s);
}

void catchup_drained(struct session *s)
{
    if (s->catchup->paused)
        ask(s);
}

static void ask_when_drained(struct session *s)
{
    s->catchup->paused = true;
    if (ws_queued(s->ws) == 0)
        ask(s);
}

static void welcome(struct session *s, const struct msg_page *page)
{
    struct buf frame;

    buf_init(&frame, FRAME_OUT_BYTES_MAX);
    put_welcome(&frame, s->catchup->secret, s->direct ? "" : s->room->chat, page->bot, page->last);
    s->catchup->welcomed = session_send(s, &frame);
    buf_free(&frame);
}

/* False: the queue is full. The limits let any one frame into an empty one, so
 * that each page brings the session on. */
static bool fits(struct session *s, const struct buf *frame)
{
    if (ws_queued(s->ws) == 0 || buf_error(frame)) {
        session_send(s, frame);
        return true;
    }
    return ws_send(s->ws, buf_str(frame), frame->len) != ERR_BUSY;
}

static bool replay(struct session *s, const struct msg_page *page)
{
    struct buf frame;
    bool all = true;

    buf_init(&frame, FRAME_OUT_BYTES_MAX);
    for (size_t i = 0; all && i < page->n; i++) {
        buf_reset(&frame);
        put_past(&frame, &page->msgs[i], s->sender);
        all = fits(s, &frame);
        if (all)
            s->catchup->after = page->msgs[i].seq;
    }
    buf_free(&frame);
    return all;
}

static bool show_running(struct session *s, const struct msg_out *running)
{
    struct buf frame;
    bool shown;

    if (!running)
        return true;
    buf_init(&frame, FRAME_OUT_BYTES_MAX);
    put_answer(&frame, running);
    shown = fits(s, &frame);
    buf_free(&frame);
    if (shown) {
        free(s->shown);
        s->shown = mem_dup(running->id);
    }
    return shown;
}

static void on_page(void *arg, const struct msg_page *page, const struct err *e)
{
    struct session *s = arg;

    if (!session_answered(s))
        return;
    if (failed(e)) {
        session_unserved(s, e);
        return;
    }
    if (!s->catchup->welcomed)
        welcome(s, page);
    if (!replay(s, page) || page->more || !show_running(s, page->running)) {
        if (s->state != SESSION_CLOSING)
            ask_when_drained(s);
    } else if (s->state != SESSION_CLOSING) {
        session_live(s);
    }
}

/* --- who it is --- */

static void identified(struct session *s)
{
    s->state = SESSION_CATCHING_UP;
    ask(s);
}

static void on_kept(void *arg, const struct err *e)
{
    struct session *s = arg;

    if (!session_answered(s))
        return;
    if (failed(e))
        session_unserved(s, e);
    else
        identified(s);
}

static void unauthorized(struct session *s, const char *text)
{
    session_error(s, "unauthorized", text, NULL);
    session_close(s, WS_CLOSE_POLICY, "unauthorized");
}

static void on_recalled(void *arg, const char *value, int64_t expires_ms, const struct err *e)
{
    struct session *s = arg;

    if (!session_answered(s))
        return;
    if (failed(e) && e->code != ERR_NOT_FOUND) {
        session_unserved(s, e);
    } else if (!value) {
        unauthorized(s, "This visitor is not known. Say hello without one to become a new visitor.");
    } else {
        webchat_refresh(s->w, s->catchup->fact, expires_ms);
        identified(s);
    }
}

static bool room_allowed(const struct webchat_conf *conf, const char *room)
{
    for (size_t i = 0; i < conf->rooms.n; i++)
        if (strcmp(conf->rooms.v[i], room) == 0)
            return true;
    return conf->open_rooms;
}

static void enter(struct session *s, const struct frame *hello)
{
    char guest[IDENTITY_GUEST_SIZE];
    struct identity id;

    identity_of(&id, IDENTITY_VISITOR, s->w->a->conf->name, s->catchup->secret);
    memcpy(s->catchup->fact, id.fact, sizeof id.fact);
    memcpy(s->sender, id.sender, sizeof id.sender);
    identity_guest(guest, s->sender);
    s->name = mem_dup(hello->name ? hello->name : guest);
    s->lang = mem_dup(hello->lang);
    s->direct = !hello->room;
    room_join(s, s->w, s->direct ? id.chat : hello->room);
}

void catchup_begin(struct session *s, const struct frame *hello)
{
    if (hello->room && !room_allowed(webchat_conf(s->w), hello->room)) {
        unauthorized(s, "There is no such room.");
        return;
    }
    if (hello->visitor && !identity_plausible(hello->visitor, IDENTITY_VISITOR)) {
        unauthorized(s, "This visitor is not known. Say hello without one to become a new visitor.");
        return;
    }
    timer_cancel(&s->hello);
    s->state = SESSION_IDENTIFYING;
    s->catchup = mem_alloc(sizeof *s->catchup);
    s->catchup->after = hello->last;
    if (hello->visitor)
        memcpy(s->catchup->secret, hello->visitor, IDENTITY_SECRET_SIZE);
    else
        identity_secret(s->catchup->secret, IDENTITY_VISITOR);
    enter(s, hello);
    s->asking = true;
    if (hello->visitor)
        adapter_recall(s->w->a, s->catchup->fact, on_recalled, s);
    else
        adapter_keep(s->w->a, s->catchup->fact, "1", webchat_expiry(), on_kept, s);
}
