/* room.h: the conversations that somebody is connected to, and how an event
 * reaches all of them. A private conversation is a room too: its members are
 * the windows of one visitor, or the requests that wait for its answers. */
#ifndef WARBLER_WEBCHAT_ROOM_H
#define WARBLER_WEBCHAT_ROOM_H


#include "adapters/webchat/webchat.h"
#include "plugin/base/buf.h"
#include "plugin/base/table.h"

struct room {
    UT_hash_handle hh;
    struct webchat *w;
    struct session *members; /* by room_prev, room_next */
    struct call *calls;      /* the same */
    struct buf partial;      /* newest edit of the running answer, if a member could not take it yet */
    char chat[];             /* the host's name of the conversation */
};

/* Each joins one room. The room is gone with the last that leaves. */
void room_join(struct session *s, struct webchat *w, const char *chat);
void room_leave(struct session *s); /* legal in no room */
void room_join_call(struct call *p, struct webchat *w, const char *chat);
void room_leave_call(struct call *p);

/* An event of the bot. as_edit: people saw an earlier one of the same message. */
void room_event(struct webchat *w, const struct msg_out *m, bool as_edit);
/* A person's message, to all but the session that sent it (or NULL). */
void room_said(struct webchat *w, const struct msg_in *m, int64_t seq, const struct session *from);
void room_typing(struct webchat *w, const char *chat, const char *name, bool on, const struct session *from);

#endif
