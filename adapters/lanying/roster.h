/* roster.h: who people and groups are. Names are asked for when a message
 * needs them, many at a time, and kept for a while. lanying.md, section 3. */
#ifndef WARBLER_LANYING_ROSTER_H
#define WARBLER_LANYING_ROSTER_H

#include <stdbool.h>
#include <stdint.h>

#include "adapters/lanying/chats.h"
#include "plugin/base/table.h"

#define ROSTER_NAMES_MAX 4096
#define ROSTER_NAME_BYTES_MAX 256U
#define ROSTER_FRESH_MS INT64_C(3600000) /* 1 h */
#define ROSTER_ASK_MAX 100   /* people in one call */
#define ROSTER_WAIT_MS 3000  /* a message waits no longer for a name */
#define ROSTER_JOINED_MAX 2048 /* groups taken from the list */

struct lanying;
struct api_call;

struct roster {
    struct person *people; /* in the order of asking */
    struct api_call *people_call, *group_call, *joined_call;
    uint64_t people_group; /* of the call: 0 asks for names outside of groups */
    uint64_t group;        /* whose name is asked for */
    struct timer patience;
    struct defer next;
};

void roster_init(struct lanying *ly);
void roster_fini(struct lanying *ly);
void roster_joined(struct lanying *ly);  /* asks which groups the bot is in */
void roster_forget(struct lanying *ly, uint64_t uid);

/* True: *name_r is what is known, NULL if nobody knows it. False: it is being
 * asked for, and ly_intake_named() follows. */
bool roster_person(struct lanying *ly, uint64_t group, uint64_t uid, const char **name_r);
/* True: c->name is what is known. */
bool roster_group(struct lanying *ly, struct chat *c);

#endif
