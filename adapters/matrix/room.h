/* room.h: what is known of the rooms: what they are called, who is there, and
 * whether we may speak. Fed with their state events; asks nothing. */
#ifndef WARBLER_MATRIX_ROOM_H
#define WARBLER_MATRIX_ROOM_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "adapters/matrix/event.h"
#include "plugin/adapter.h"
#include "plugin/base/table.h"

#define ROOM_NAMES_MAX 32U     /* people whose names are remembered, of each room */
#define ROOM_VERSION_BYTES 32

struct matrix;
struct lane;
struct sign;

struct person {
    UT_hash_handle hh;
    char *user, *name; /* name "": none of their own */
};

struct room {
    UT_hash_handle hh;
    struct matrix *m;
    char *id;
    char *name, *topic;
    char **aliases;        /* NULL-terminated, or NULL */
    char *successor;       /* the room that took its place, or NULL */
    char *replaced_by;     /* who said so */
    bool followed;         /* there, or tried to */
    int64_t joined, invited; /* people, us included; -1: not known */
    bool member;           /* we are in it */
    bool surveyed;         /* survey.c asked for all this */
    int64_t counted_ms, answer_from_ms; /* backlog.c */
    bool listed_direct;    /* in m.direct */
    bool encrypted, space;
    bool mute;             /* we may not speak */
    bool about_due;        /* the host has not heard what it is called now */
    bool told_encrypted;   /* looked after the notice in this process: secrecy.c */
    struct person *people; /* oldest first */
    struct lane *lane;     /* events on their way to the host: intake.c */
    struct sign *sign;     /* typing and receipts: sign.c */
};

struct room *room_find(const struct matrix *m, const char *id);
struct room *room_get(struct matrix *m, const char *id); /* made if it is not there */
void room_free_all(struct matrix *m);

/* A state event, from the stream or an invitation. */
void room_state(struct room *r, const struct event *ev);
/* How many people there are, as /sync tells; -1: not said. */
void room_counts(struct room *r, int64_t joined, int64_t invited);
/* Account data m.direct as a whole. */
void room_direct_list(struct matrix *m, const cJSON *content);

bool room_direct(const struct room *r); /* a private conversation */
const char *room_person(const struct room *r, const char *user); /* name; "" if they have none; NULL: not known */
void room_note_person(struct room *r, const char *user, const char *name);
/* Fills *about, borrowed from the room; false: the host knows it already. */
bool room_about(struct room *r, struct chat_about *about);
/* Tells the operator in which rooms we may not speak. */
void room_remark_mute(struct matrix *m);
/* Appends the names of the first rooms for which is() holds, and how many more there are; how many in all. */
unsigned room_list(const struct matrix *m, bool (*is)(const struct room *r), struct buf *out);
const char *room_label(const struct room *r); /* for the log and the operator */

#endif
