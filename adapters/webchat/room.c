#include "adapters/webchat/room.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "adapters/webchat/codec.h"
#include "adapters/webchat/call.h"
#include "adapters/webchat/session.h"
#include "plugin/base/mem.h"

/* --- members --- */

static struct room *room_find(struct webchat *w, const char *chat)
{
    struct room *r;

    HASH_FIND_STR(w->rooms, chat, r);
    return r;
}

static struct room *room_get(struct webchat *w, const char *chat)
{
    struct room *r = room_find(w, chat);

    if (!r) {
        r = mem_alloc(sizeof *r + strlen(chat) + 1);
        r->w = w;
        memcpy(r->chat, chat, strlen(chat) + 1);
        buf_init(&r->partial, FRAME_OUT_BYTES_MAX);
        HASH_ADD_STR(w->rooms, chat, r);
    }
    return r;
}

static void room_drop_empty(struct room *r)
{
    if (r->members || r->calls)
        return;
    HASH_DEL(r->w->rooms, r);
    buf_free(&r->partial);
    free(r);
}

void room_join(struct session *s, struct webchat *w, const char *chat)
{
    s->room = room_get(w, chat);
    DL_APPEND2(s->room->members, s, room_prev, room_next);
}

void room_leave(struct session *s)
{
    struct room *r = s->room;

    if (!r)
        return;
    DL_DELETE2(r->members, s, room_prev, room_next);
    s->room = NULL;
    room_drop_empty(r);
}

void room_join_call(struct call *p, struct webchat *w, const char *chat)
{
    p->room = room_get(w, chat);
    DL_APPEND2(p->room->calls, p, room_prev, room_next);
}

void room_leave_call(struct call *p)
{
    struct room *r = p->room;

    if (!r)
        return;
    DL_DELETE2(r->calls, p, room_prev, room_next);
    p->room = NULL;
    room_drop_empty(r);
}

/* --- events --- */

/* One event in its two forms, each made when the first member needs it. */
struct event {
    const struct msg_out *m;
    struct buf answer, edit;
};

static const struct buf *event_form(struct event *ev, bool as_edit)
{
    struct buf *form = as_edit ? &ev->edit : &ev->answer;

    if (form->len == 0 && !buf_error(form))
        (as_edit ? put_edit : put_answer)(form, ev->m);
    return form;
}

/* Of partial texts only the newest matters: a member that reads slowly gets it
 * when its queue is empty, and whatever has a later seq makes it pointless. The
 * first event of a message and the last one everybody must have. */
static void deliver(struct session *s, struct event *ev, bool as_edit)
{
    if (s->shown && strcmp(s->shown, ev->m->id) == 0) {
        as_edit = true;
        if (ev->m->done) {
            free(s->shown);
            s->shown = NULL;
        }
    }
    if (as_edit && !ev->m->done && session_slow(s)) {
        s->behind = true;
        return;
    }
    s->behind = false;
    session_send(s, event_form(ev, as_edit));
}

static bool somebody_behind(const struct room *r)
{
    const struct session *s;

    DL_FOREACH2(r->members, s, room_next)
    if (s->behind)
        return true;
    return false;
}

void room_event(struct webchat *w, const struct msg_out *m, bool as_edit)
{
    struct room *r = room_find(w, m->chat);
    struct event ev = { .m = m };
    struct session *s;

    if (!r)
        return;
    buf_init(&ev.answer, FRAME_OUT_BYTES_MAX);
    buf_init(&ev.edit, FRAME_OUT_BYTES_MAX);
    DL_FOREACH2(r->members, s, room_next)
    if (s->state == SESSION_LIVE)
        deliver(s, &ev, as_edit);
    buf_free(&r->partial);
    if (somebody_behind(r)) {
        event_form(&ev, true);
        r->partial = ev.edit;
        buf_init(&ev.edit, FRAME_OUT_BYTES_MAX);
    }
    buf_free(&ev.answer);
    buf_free(&ev.edit);
    call_events(r, m); /* may be the end of r */
}

static void to_others(struct room *r, const struct buf *frame, const struct session *from, bool counted)
{
    struct session *s;

    DL_FOREACH2(r->members, s, room_next)
    {
        if (s->state != SESSION_LIVE || s == from)
            continue;
        if (counted)
            s->behind = false;
        else if (session_slow(s))
            continue;
        session_send(s, frame);
    }
}

void room_said(struct webchat *w, const struct msg_in *m, int64_t seq, const struct session *from)
{
    struct room *r = room_find(w, m->chat);
    struct buf frame;

    if (!r || !r->members || (r->members == from && !from->room_next))
        return;
    buf_init(&frame, FRAME_OUT_BYTES_MAX);
    put_said(&frame, m, seq);
    to_others(r, &frame, from, true);
    buf_free(&frame);
}

void room_typing(struct webchat *w, const char *chat, const char *name, bool on, const struct session *from)
{
    struct room *r = room_find(w, chat);
    struct buf frame;

    if (!r)
        return;
    buf_init(&frame, FRAME_OUT_BYTES_MAX);
    put_typing(&frame, name, on);
    to_others(r, &frame, from, false);
    buf_free(&frame);
}
