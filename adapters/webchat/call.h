/* call.h: one POST /chat, from its checks to its answer. The message it brought
 * is answered and stored even if its client leaves. call.c is the request,
 * answer.c what it waits for. */
#ifndef WARBLER_WEBCHAT_CALL_H
#define WARBLER_WEBCHAT_CALL_H

#include "adapters/webchat/codec.h"
#include "adapters/webchat/identity.h"
#include "adapters/webchat/room.h"
#include "adapters/webchat/webchat.h"

#define CALL_WAIT_MS 900000 /* for the answer; then the client may ask again */
#define CALL_BEAT_MS 15000  /* a stream with nothing to say says so, lest a proxy gives it up */
#define CALL_RETRY_S 15     /* Retry-After, where trying again soon can help */

struct call {
    struct call *prev, *next;                 /* of the account */
    struct call *room_prev, *room_next;       /* of its room */
    struct call *opening_prev, *opening_next; /* of its opening */
    struct webchat *w;
    struct http_in *req;     /* NULL: answered or gone, and only the host's call-back is waited for */
    struct address *address; /* of limits.h; always NULL: it counts for the total */
    struct opening *opening; /* until the conversation is known */
    struct pending *pending; /* until the host took the message */
    struct room *room;       /* once the conversation is known */
    bool stream;             /* the client wants server-sent events */
    bool begun;              /* their head is out */
    bool settled;            /* answered before: adapter_answer() is to be asked */
    bool asking;             /* it will call back */
    struct identity id;
    char conversation[IDENTITY_SECRET_SIZE];
    char message_id[65];
    char lang[LANG_BYTES_MAX + 1]; /* "": not known */
    char *name;                    /* NULL: none given */
    char *text;                    /* until the host has it */
    int64_t seq;                   /* of the message; 0: not accepted yet */
    struct buf shown;              /* what the stream's client sees of the answer */
    int64_t deadline_ms;           /* monotonic */
    struct timer beat;
};

void call_routes(struct webchat *w, struct server *server);
void call_stop_all(struct webchat *w); /* answers all: we stop */
void call_free_all(struct webchat *w); /* the same, and at once */

/* opening.c */
void call_opened(struct call *p, const char *conversation, const struct identity *id);
void call_not_opened(struct call *p, const struct err *e);

/* Ends it with an answer, or without one, if its client knows already. */
void call_error(struct call *p, int status, bool retry, const char *code, const char *text);
void call_end(struct call *p);

/* --- answer.c --- */
/* accepted() for its message. */
void call_accepted(struct call *p, const struct msg_accepted *r, const struct err *e);
/* Asks for the answers of those that were settled. */
void call_look_up(struct webchat *w);
/* An event of the bot, to all requests in the room, which may be gone then. */
void call_events(struct room *r, const struct msg_out *m);
void call_beat(void *call);

#endif
