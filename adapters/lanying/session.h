/* session.h: from nothing to online, and down again. lanying.md, sections 2, 3,
 * 7, 14 to 16.
 *
 * What is known of the bot's user lives on disk under one key per app and
 * user: token, uid, device number and guid, and the salt of our message ids. */
#ifndef WARBLER_LANYING_SESSION_H
#define WARBLER_LANYING_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "adapters/lanying/codec.h"
#include "adapters/lanying/link.h"
#include "plugin/base/err.h"
#include "plugin/base/secret.h"
#include "plugin/net/loop.h"

#define SESSION_GUID_BYTES 64
#define SESSION_GREET_MS 20000      /* for the answer to our login */
#define SESSION_RENEW_MS INT64_C(600000) /* 10 min: this long before its end, a token is renewed */
#define SESSION_DNS_MOVE_MS 2000    /* before a login that the server asked for, section 14 */

struct lanying;
struct api_call;

enum session_state {
    SESSION_DOWN,
    SESSION_RECALLING, /* what is on disk */
    SESSION_FINDING,   /* servers */
    SESSION_ENTERING,  /* a token, and who we are */
    SESSION_KEEPING,   /* the guid goes to disk before the server hears of it */
    SESSION_LINKING,   /* a WebSocket */
    SESSION_GREETING,  /* the login frame */
    SESSION_ONLINE,
    SESSION_LEAVING,
};

struct session {
    enum session_state state;
    bool pinging;  /* `warbler ping`: nothing is read from disk, nobody is logged in */
    bool recalled;
    bool told;     /* the host believes that we are online */
    int64_t login_ms; /* wall clock of the last login */

    uint64_t uid;
    struct secret token;
    int64_t token_end_ms; /* wall clock; 0: not known */
    int64_t token_at_ms;  /* monotonic, when this process got it; 0: it is an old one */
    uint32_t device;
    char guid[SESSION_GUID_BYTES]; /* "": none yet */
    uint64_t salt;

    struct api_call *call; /* the step's */
    size_t dns_tried;

    struct ly_link *link;
    enum ly_transport transport; /* in use, or the next to try */
    bool other_tried;      /* both were, at this server */
    bool device_new;       /* the guid was made anew in this try */
    struct timer patience; /* of the state */
    struct timer renewal;
    struct defer begin, stopped;
    struct err why;        /* of the last failed try */
};

void session_init(struct lanying *ly);
void session_start(struct lanying *ly, bool ping); /* adapter_online() or adapter_down() follows from the loop */
void session_stop(struct lanying *ly);             /* adapter_stopped() follows from the loop */
void session_fini(struct lanying *ly);

static inline bool session_online(const struct session *s)
{
    return s->state == SESSION_ONLINE;
}

/* A call showed that the token is not valid any more. True: ly_api_token_renewed() follows. */
bool session_token_over(struct lanying *ly);
/* From the loop only. The connection is of no more use; retry: the host tries again. */
void session_down(struct lanying *ly, const struct err *e, bool retry);
/* A frame was answered with a status that concerns the login, not the frame. */
bool session_is_status_ours(const struct ly_status *status);
void session_refused(struct lanying *ly, const struct ly_status *status);
/* A user notice ended or moved the login (section 14). */
void session_noticed(struct lanying *ly, int notice);

#endif
