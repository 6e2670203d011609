/* session.h: one WebSocket of the web chat.
 *
 *   NEW -hello-> IDENTIFYING -visitor is on disk-> CATCHING_UP -all sent-> LIVE
 *
 * and from each to CLOSING. A session gets events only while it is LIVE;
 * messages that it sends before are held until then. */
#ifndef WARBLER_WEBCHAT_SESSION_H
#define WARBLER_WEBCHAT_SESSION_H

#include "adapters/webchat/codec.h"
#include "adapters/webchat/identity.h"
#include "adapters/webchat/room.h"
#include "adapters/webchat/webchat.h"

#define HELLO_MS 10000            /* from opening to hello */
#define PING_MS 30000             /* of silence, then we ask whether it is still there */
#define HANGUP_MS 75000           /* of silence */
#define SESSION_SLOW_BYTES 32768U /* with more in its queue a session gets no partial text */
#define SESSION_HELD_MAX 16U      /* messages that wait until their session is live */
#define SESSION_PENDING_MAX 256U  /* messages of one session that are with the host */
#define FRAME_IN_BYTES_MAX (16U * 1024 * 1024) /* whatever max_frame_bytes says */
#define TYPING_MS 1000            /* a session's typing is passed on no more often */

enum session_state { SESSION_NEW, SESSION_IDENTIFYING, SESSION_CATCHING_UP, SESSION_LIVE, SESSION_CLOSING };

/* A message that came before the session was live. */
struct held {
    struct held *prev, *next;
    struct frame frame;
};

struct session {
    struct session *prev, *next;           /* of the account */
    struct session *room_prev, *room_next; /* of its room */
    struct webchat *w;
    struct ws *ws;           /* NULL: gone, and only the answer of the host is waited for */
    struct address *address; /* of limits.h */
    struct room *room;
    enum session_state state;
    struct timer hello;      /* when it is due */
    bool direct;             /* in its private conversation */
    bool asking;             /* the host will call back, with this session */
    bool behind;             /* room->partial is for it too */
    char sender[33];
    char *name;
    char *lang;              /* or NULL */
    int64_t typing_ms;       /* monotonic; when typing was passed on last */
    struct held *held;
    unsigned n_held, n_pending; /* pending: of webchat->pendings */
    struct catchup *catchup; /* while IDENTIFYING and CATCHING_UP */
    char *shown;             /* id of the answer that was running when the session caught up; NULL: none, or it is done */
};

/* Adds the route. */
void session_routes(struct webchat *w, struct server *server);
void session_close_all(struct webchat *w, int code, const char *reason);
void session_free_all(struct webchat *w); /* at once, without callbacks */

/* The rest is for catchup.c and room.c. */

/* Queues a frame. A session that does not take what it must have is closed: it
 * finds all of it when it comes back. False: the frame did not go out. */
bool session_send(struct session *s, const struct buf *frame);
bool session_slow(const struct session *s);
void session_error(struct session *s, const char *code, const char *text, const char *id);
void session_close(struct session *s, int code, const char *reason);
/* The host called back. False: it comes too late; `s` may be gone. */
bool session_answered(struct session *s);
/* The store did not do what hello needs. */
void session_unserved(struct session *s, const struct err *e);
void session_live(struct session *s);

/* accepted() for a message of this session. */
void session_accepted(struct session *s, const struct msg_in *m, const struct msg_accepted *r, const struct err *e);

/* --- catchup.c --- */
void catchup_begin(struct session *s, const struct frame *hello);
void catchup_drained(struct session *s);
void catchup_free(struct session *s); /* legal without one */

#endif
