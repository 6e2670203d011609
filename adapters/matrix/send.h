/* send.h: messages on their way to rooms. A message that grows is one event and
 * replacements of it, no more often than the server likes: partial text that
 * comes too soon is left out, the final text never is. The event of a message
 * has the host's transaction id, so that the server drops a repeat after a
 * crash; replacements need none that lasts, because repeating one changes
 * nothing. Client-server API: "Sending events to a room", "Event replacements". */
#ifndef WARBLER_MATRIX_SEND_H
#define WARBLER_MATRIX_SEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "adapters/matrix/event.h"
#include "plugin/adapter.h"

#define EDIT_INTERVAL_MAX_MS 30000 /* a server that limits us gets edits no rarer than this */
#define PLACES 64U                 /* of the newest answers, for their later parts */
#define NOTE_TRIES 6               /* of a word of our own */
#define NOTE_PAUSE_MS 5000         /* between them */

struct matrix;
struct room;
struct out;
struct removal;

/* In which thread (NULL: none) the message with this number is answered. */
struct place {
    char *chat, *root;
    int64_t seq;
};

struct sender {
    struct matrix *m;
    struct out *outs; /* hash by conversation and id */
    struct removal *removals;
    int64_t limited_until_ms; /* the server wants nothing before, monotonic */
    int64_t interval_ms;      /* between two edits of a message, as the server lets us */
    struct place places[PLACES]; /* a ring */
    unsigned next_place;
    unsigned finals;          /* final texts that wait: partial ones stand back */
    char boot[17];            /* makes transaction ids of this process unlike those of any other */
    uint64_t edits;           /* counts them */
};

void sender_init(struct sender *s, struct matrix *m);
void sender_fini(struct sender *s);

/* ops->send, ops->edit and ops->remove. */
void sender_say(struct sender *s, const struct msg_out *m);
void sender_remove(struct sender *s, const struct msg_out *m);

/* A word of our own, as a notice. txn: stable, unique per account. told (may be
 * NULL) hears from the loop whether it arrived. */
struct note {
    const char *room, *thread, *reply_to, *text, *txn;
    void (*told)(struct matrix *m, const char *room, bool ok);
};
void sender_note(struct sender *s, const struct note *note);
/* "This message was not taken": the room has too many that wait. */
void sender_too_busy(struct sender *s, const struct room *r, const struct event *ev);

#endif
