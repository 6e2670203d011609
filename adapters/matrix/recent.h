/* recent.h: the events of the last while, by id: who wrote them and in which
 * thread, so that a reply, an edit, a reaction or an answer need not ask the
 * server what it refers to. A ring: the oldest makes room. Pure. */
#ifndef WARBLER_MATRIX_RECENT_H
#define WARBLER_MATRIX_RECENT_H

#include <stdbool.h>
#include <stddef.h>

#include "plugin/base/table.h"

#define RECENT_MAX 512U             /* events */
#define RECENT_TEXT_BYTES_MAX 1024U /* of each text, cut at a character */

struct recent_event {
    UT_hash_handle hh;
    char *id, *sender;
    char *thread; /* its thread's first event, or NULL */
    char *talk;   /* the conversation that the host has it in, within its room, or NULL: intake.h */
    char *text;   /* what it said, or NULL: not known */
    char *person; /* of a message of ours: whom it answers, or NULL */
    bool asked;   /* the host took it in this process and will answer */
};

struct recent {
    struct recent_event *events; /* in the order in which they came */
};

/* Whatever is NULL leaves what is known as it is. */
struct recent_event *recent_note(struct recent *r, const char *id, const char *sender, const char *thread,
                                 const char *text, size_t len);
struct recent_event *recent_find(const struct recent *r, const char *id); /* NULL-safe id; valid until the next note */
void recent_fini(struct recent *r);

#endif
