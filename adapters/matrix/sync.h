/* sync.h: the stream of events by /sync. A snapshot tells once per process what
 * the rooms are like, and nothing of what was said in them; from then on the
 * stream goes on from where the account was, kept on disk. An account that
 * starts for the first time begins where the snapshot was taken, so what was
 * said before is never answered. Client-server API: "Syncing". */
#ifndef WARBLER_MATRIX_SYNC_H
#define WARBLER_MATRIX_SYNC_H

#include <stdbool.h>
#include <stddef.h>

#include "plugin/net/loop.h"

#define SYNC_POLL_MS 20000         /* the server waits so long for news */
#define SYNC_GRACE_MS 10000        /* and then has so long to say that there are none: else it hangs */
#define SYNC_LONG_MS 180000        /* for all that was missed, or a snapshot */
#define SYNC_BYTES_MAX (16U * 1024 * 1024)
#define SYNC_LARGE_BYTES (512U * 1024) /* an answer after which memory is given back */
#define SYNC_FULL_PAUSE_MS 200     /* while the intake is full */
#define SYNC_BREATH_MS 30          /* after an answer with events: what they lead to goes to the server first */
#define TIMELINE_EVENTS 30         /* of a room in one answer; what is left out is fetched: gap.c */
#define TIMELINE_EVENTS_SMALL 1    /* where the answer would be over SYNC_BYTES_MAX */

struct matrix;
struct api_call;

enum sync_state {
    SYNC_IDLE,
    SYNC_RECALLING, /* the position */
    SYNC_SNAPSHOT,
    SYNC_KEEPING,   /* the very first position */
    SYNC_POLLING,
};

struct sync {
    enum sync_state state;
    struct api_call *call;
    char *since;       /* NULL: none yet */
    bool recalled;
    bool has_snapshot;
    bool lost;         /* the server does not know our position: look at all rooms */
    bool found_again;  /* that was done, and the server has not answered since */
    bool small;
    bool missed;       /* what comes next is of the time when we were away */
    struct timer pause;
};

void sync_init(struct matrix *m);
/* matrix_online() follows from the loop, or matrix_down() at any time. */
void sync_start(struct matrix *m);
void sync_stop(struct matrix *m);
void sync_fini(struct matrix *m);

#endif
