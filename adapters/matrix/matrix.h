/* matrix.h: one Matrix account, as the files of this folder share it.
 *
 *   matrix.c     ops, settings, coming and going
 *   api.c        one call of the client-server API
 *   login.c      from a token or password to a session
 *   sync.c       the stream of events: a snapshot of the rooms, then /sync
 *   appservice.c the same stream, pushed by the homeserver
 *   intake.c     events on their way to the host: order, answers waited for,
 *                the stream's position; gap.c: what the stream left out
 *   look.c       what an event refers to; recent.c (pure): events seen lately
 *   room.c       what is known of each room; survey.c: asked for as a whole;
 *   backlog.c    how much of what an application service missed it answers
 *   invite.c     coming into rooms and leaving them
 *   send.c       messages and their edits; sign.c: typing and read receipts
 *   secrecy.c    encrypted rooms, which it says that it cannot read
 * Pure: event.c (JSON to what was said), html.c (Markdown to content).
 *
 * The host keeps messages and answers; here is only where in the stream we
 * are, what the rooms are like, and what is on its way. */
#ifndef WARBLER_MATRIX_MATRIX_H
#define WARBLER_MATRIX_MATRIX_H

#include "adapters/matrix/api.h"
#include "adapters/matrix/appservice.h"
#include "adapters/matrix/gap.h"
#include "adapters/matrix/intake.h"
#include "adapters/matrix/login.h"
#include "adapters/matrix/recent.h"
#include "adapters/matrix/room.h"
#include "adapters/matrix/send.h"
#include "adapters/matrix/sync.h"
#include "config/schema.h"
#include "plugin/adapter.h"

enum matrix_mode { MODE_SYNC, MODE_APPSERVICE };
enum matrix_msgtype { MSGTYPE_NOTICE, MSGTYPE_TEXT };
/* What is one conversation. */
enum matrix_scope {
    SCOPE_FOLLOW, /* a thread, and the rest of the room */
    SCOPE_ROOM,   /* the room with its threads */
    SCOPE_THREAD, /* as SCOPE_FOLLOW, and a question outside of threads begins one */
    SCOPE_PERSON, /* each person in the room */
};

struct matrix_conf {
    char *homeserver;
    struct secret access_token, password;
    char *user;
    int mode; /* enum matrix_mode */
    struct {
        struct strings allow, deny;
    } invite;
    struct {
        int64_t max_age; /* ms */
        int64_t max_messages;
    } catch_up;
    int thread;  /* enum matrix_scope */
    int msgtype; /* enum matrix_msgtype */
    int64_t edit_interval_ms;
    bool notices, reactions, leave_empty;
    char *greeting;
    char *ca_file, *proxy;
    struct {
        char *id, *url;
        struct secret hs_token;
    } appservice;
};

/* What the account keeps on disk, besides its position. */
#define FACT_POSITION "position" /* the host writes it with the messages that it covers */
#define FACT_SESSION "session"   /* {"homeserver","login","token","device"} of a login by password */
#define FACT_ORIGIN "origin"     /* {"began","salt"} of the first start */

struct matrix {
    struct adapter *a; /* NULL until init() */
    struct api api;
    char *user;       /* "@bot:example.org"; NULL until the first whoami */
    char *name;       /* how people see us; NULL: no display name */
    int64_t began_ms; /* first start ever, wall clock */
    char *salt;       /* makes transaction ids of this store unlike those of any other */
    bool pinging;     /* `warbler ping`: no services of the host, nothing is changed */
    bool running;     /* between start() and the next down or stop() */
    int64_t started_ms; /* when that began, monotonic */
    struct login login;
    struct sync sync;
    struct appservice appservice;
    struct intake intake;
    struct gaps gaps;
    struct room *rooms; /* hash by id */
    struct recent recent;
    struct sender sender;
    struct errand *errands; /* invite.c */
    struct timer start_timer; /* a server that limits us is left alone for so long */
    struct timer stop_timer;
    int64_t stop_by_ms; /* monotonic */
    struct defer later; /* for the up-calls that a down-call asks for */
    struct err down_why;
    bool down_due, down_retry, stopped_due;
};

static inline const struct matrix_conf *matrix_conf(const struct matrix *m)
{
    return m->a->conf->settings;
}

static inline const char *matrix_area(const struct matrix *m) /* for the log */
{
    return m->a->conf->name;
}

/* login.c is done. */
void matrix_logged_in(struct matrix *m);
/* The stream runs. */
void matrix_online(struct matrix *m);
/* A call was refused for its token. */
void matrix_unauthorized(struct matrix *m, struct api_reply *r);
/* The connection is of no use any more. Legal anywhere; tells the host once per start(). */
void matrix_down(struct matrix *m, const struct err *e, bool retry);

#endif
