/* intake.h: events to the host. A conversation's events go one after the other,
 * the next when the last one is on disk; what the host cannot take now is
 * offered again, so nothing is lost once the server gave it to us. */
#ifndef WARBLER_LANYING_INTAKE_H
#define WARBLER_LANYING_INTAKE_H

#include "adapters/lanying/chats.h"
#include "plugin/adapter.h"

#define INTAKE_SEEN 4096      /* ids remembered: pulls repeat, notices too */
#define INTAKE_RETRY_MS 1000  /* before an event that was refused is offered again */
#define INTAKE_TEXTS 64       /* recent messages that are remembered: their text, for edits that add to it */
#define INTAKE_TEXT_BYTES_MAX 4096U /* of a text that is remembered */

struct recent {
    uint64_t id;
    int64_t edit_ms; /* of the last edit */
    char *text;
    char *feedback; /* of its ext, for the answer; or NULL */
};

struct intake {
    uint64_t seen[INTAKE_SEEN]; /* a ring */
    size_t next;
    struct recent recent[INTAKE_TEXTS]; /* another */
    size_t next_recent;
    struct chat *ready; /* conversations that may go on */
    struct defer pump;
    struct timer retry;
};

void ly_intake_init(struct lanying *ly);
void ly_intake_fini(struct lanying *ly);
/* Takes ev. False: there is nothing to wait for, it was seen before or is of no interest. */
bool ly_intake_add(struct lanying *ly, struct chat *c, struct event *ev);
void ly_intake_drop(struct event *ev); /* nothing is to be done about it, or was */
bool ly_intake_seen(const struct lanying *ly, uint64_t id); /* what has no id (0) never was */
void ly_intake_note(struct lanying *ly, uint64_t id); /* it is seen now */
void ly_intake_accepted(struct lanying *ly, const struct msg_in *m, const struct msg_accepted *r, const struct err *e);
/* What the answer to a recent message repeats of its ext: JSON, or NULL; good until the next event. */
const char *ly_intake_feedback(struct lanying *ly, uint64_t id);
void ly_intake_named(struct lanying *ly); /* something that events waited for is there */

#endif
