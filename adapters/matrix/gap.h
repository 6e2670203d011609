/* gap.h: fetches what the stream left out of a room, newest first from
 * /messages, and hands it to the intake oldest first. It goes back until the
 * newest `max_messages` of catch_up are there, and INTAKE_CONTEXT_MAX older ones
 * for context; what is still older stays out. Client-server API: "Syncing",
 * on limited timelines. */
#ifndef WARBLER_MATRIX_GAP_H
#define WARBLER_MATRIX_GAP_H

#include "adapters/matrix/intake.h"

#define GAP_PAGE_EVENTS 50
#define GAP_PAGE_EVENTS_SMALL 4            /* where those are too large */
#define GAP_PAGE_BYTES_MAX (1024U * 1024)
#define GAP_BYTES_MAX (2U * 1024 * 1024)   /* of the pages kept; then it is enough */
#define GAP_PAGES_MAX 200                  /* looked at */
#define GAPS_RUNNING_MAX 3                 /* at once; the others wait in line */
#define GAP_TRIES_MAX 30                   /* of a page, by a homeserver that is there: about 25 minutes */
#define GAP_RETRY_MS 2000                  /* doubles */
#define GAP_RETRY_MAX_MS 60000

/* Those at work and in line, oldest first. */
struct gaps {
    struct gap *all;
    unsigned running;
};

/* intake_filled() follows from the loop, unless it is freed before. */
struct gap *gap_start(struct matrix *m, struct room *r, const struct intake_gap *what, struct item *item);
void gap_free(struct gap **gap); /* NULL-safe */

#endif
