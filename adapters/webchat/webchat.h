/* webchat.h: one web chat account, as the files of this folder share it.
 *
 *   webchat.c  ops, settings, start and stop
 *   site.c     GET / and the files it needs (pages.h has them)
 *   session.c  a WebSocket; catchup.c: from its hello to what it missed
 *   room.c     who is in a conversation; events to all of them
 *   call.c     a POST /chat; opening.c: which conversation it belongs to;
 *              answer.c: what it waits for
 *
 * The host keeps messages, numbers and answers; here is only who is connected
 * and waits for what. Below these, all pure: codec, identity, limits, access. */
#ifndef WARBLER_WEBCHAT_WEBCHAT_H
#define WARBLER_WEBCHAT_WEBCHAT_H

#include "adapters/webchat/limits.h"
#include "config/schema.h"
#include "plugin/adapter.h"
#include "plugin/base/err.h"
#include "plugin/net/loop.h"

#define SECRET_LIFE_MS INT64_C(7776000000)   /* 90 days: a visitor or conversation not seen for longer is forgotten */
#define SECRET_REFRESH_MS INT64_C(86400000)  /* 1 day: no more often is its time of expiry moved */
#define STOP_MS 2000                         /* for the other sides to hear that we stop */

struct webchat_conf {
    int64_t max_connections, max_connections_per_address;
    int64_t messages_per_minute;
    int64_t max_message_bytes, max_frame_bytes;
    struct strings origins, rooms;
    struct secrets tokens;
    bool open_rooms, demo;
};

struct session;
struct call;

/* A message that is with the host: the token of its msg_in. Whoever sent it
 * may leave before accepted() comes; then both are NULL. */
struct pending {
    struct pending *prev, *next;
    struct session *session;
    struct call *call;
};

struct webchat {
    struct adapter *a; /* NULL until init() */
    struct limits limits;
    struct room *rooms;
    struct session *sessions;
    struct call *calls;
    struct opening *openings;
    struct pending *pendings;
    char *page_headers;    /* of HTML pages; site.c */
    bool listening;        /* has its routes */
    bool running;          /* between start() and stop() */
    bool stopping;         /* stop() was called, adapter_stopped() not yet */
    struct timer stop_timer;
    struct defer later;    /* for the up-calls that a down-call asks for */
    bool online_due, stopped_due;
    struct sent *sents;
};

static inline const struct webchat_conf *webchat_conf(const struct webchat *w)
{
    return w->a->conf->settings;
}

static inline bool failed(const struct err *e)
{
    return e && e->code != ERR_OK;
}

/* What a sender is told when the host did not take its message. */
struct refusal {
    const char *code, *text;
    int status; /* over HTTP; 503: trying again can help */
};
struct refusal webchat_refusal(const struct err *e);
/* Gives a message to the host. */
struct pending *webchat_say(struct webchat *w, struct msg_in *m, struct session *session, struct call *call);
/* A connection or request is gone: stop() may be complete. */
void webchat_left(struct webchat *w);
/* When a secret given out now expires, wall clock. */
int64_t webchat_expiry(void);
/* Moves the expiry of a secret that was seen again, if it is time. */
void webchat_refresh(struct webchat *w, const char *fact, int64_t expires_ms);

/* site.c. ERR_INVALID: an entry of `origins` is none. */
enum err_code site_init(struct webchat *w, struct err *e);
void site_routes(struct webchat *w, struct server *server);

#endif
