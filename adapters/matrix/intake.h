/* intake.h: events on their way to the host. Each room has a lane, in which one
 * event after the other is looked at, completed with what it refers to, and
 * handed over; lanes do not wait for each other. The events of one answer of
 * /sync, or of one transaction, are a batch: when all of it and of the batches
 * before is on disk, the account's position moves behind it, in the same commit
 * as the last message where that is possible. */
#ifndef WARBLER_MATRIX_INTAKE_H
#define WARBLER_MATRIX_INTAKE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "adapters/matrix/event.h"
#include "plugin/adapter.h"
#include "plugin/net/loop.h"

#define INTAKE_ITEMS_MAX 4000U       /* waiting in all lanes: then no more is asked for */
#define INTAKE_CONTEXT_MAX 100U      /* older messages of a gap that become context, of each room */
#define LANE_PAUSE_MS 1000           /* between two tries to hand over a message */
#define LANE_PATIENCE_MS 60000       /* with a room whose queue is full */
#define LANE_PATIENCE_MISSED_MS 600000 /* the same with what was missed, which all comes at once */
#define LANE_PATIENCE_PUSHED_MS 15000  /* the same while the homeserver waits for the end of its transaction */
#define LANE_ASKS_MAX 300            /* about one room, of a homeserver that is there but does not say */
#define LIVE_AGE_MS 300000           /* a message that the server delivers late is answered if it is younger */
#define KEEP_MS 60000                /* a position without messages is written no more often */

struct matrix;
struct room;
struct batch;
struct item;
struct gap;

/* The events of a room that wait. */
struct lane {
    struct room *room;
    struct item *items;
    bool waiting;       /* for the server or the host */
    struct timer again;
    struct defer step;
};

struct intake {
    struct batch *batches; /* oldest first */
    size_t items;
    char *reached, *kept;  /* positions: of all that is done, and on disk */
    struct timer keep;
};

void intake_init(struct matrix *m);
void intake_fini(struct matrix *m);
bool intake_full(const struct matrix *m);
void intake_keep(struct matrix *m); /* writes the position now, if it moved */

/* done (may be NULL) is called from the loop when all is on disk. missed: events
 * of the time when we were away. */
struct batch *intake_open(struct matrix *m, const char *position, bool missed, void (*done)(void *arg), void *arg);
enum intake_worth {
    WORTH_ANSWER,
    WORTH_CONTEXT, /* never answered */
    WORTH_STATE,   /* from before our time in the room: tells what the room is like, its messages are not for us */
};
/* An event of the room; the JSON is the intake's from now on. Where nobody told
 * what the room is like, that is asked for first. */
void intake_event(struct batch *b, struct room *r, cJSON *json, enum intake_worth worth);
void intake_close(struct batch *b);

/* What a room's part of a batch left out; comes before its events. */
struct intake_gap {
    const char *from, *to; /* tokens; NULL: from the room's end; to the beginning */
    bool joined;           /* no further back than to our own joining */
    bool began;            /* no further back than to the account's first start */
    size_t later;          /* messages behind the gap */
};
void intake_gap(struct batch *b, struct room *r, const struct intake_gap *gap);
/* gap.c found these, oldest first, and nothing is missing any more. */
struct found {
    cJSON *json;
    bool context;
};
void intake_filled(struct item *gap, struct found *events, size_t n);

void intake_accepted(struct matrix *m, struct item *i, const struct msg_accepted *r, const struct err *e);

/* The conversation of a message in the room (msg_in.thread), as far as sender and
 * thread tell it; NULL: the room's. */
const char *intake_talk(const struct room *r, const char *sender, const char *thread);
/* Would this be a message to the host? By its type alone. */
bool intake_is_message(const cJSON *json, const char *user);
/* Does the user come into the room with it, or are they invited? */
bool intake_is_coming(const cJSON *json, const char *user);
/* Was it said before we were here? */
bool intake_is_missed(const struct matrix *m, const cJSON *json);
/* Too old to be answered. The homeserver's own measure of its age comes first: clocks differ. */
bool intake_too_old(const struct matrix *m, const cJSON *json, bool missed);

#endif
