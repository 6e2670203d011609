/* event.h: what happened in a conversation, whichever way it was heard of: a
 * meta of the long connection, a callback, or a page of history over HTTP.
 * Pure: no state, no I/O. lanying.md, sections 6 to 14 and 17. */
#ifndef WARBLER_LANYING_EVENT_H
#define WARBLER_LANYING_EVENT_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "adapters/lanying/codec.h"
#include "adapters/lanying/ext.h"

#define EVENT_TEXT_BYTES_MAX 262144U /* of a message; what is longer is cut at a character's border */

enum event_kind {
    EVENT_OTHER,  /* of no meaning for a bot */
    EVENT_SAID,
    EVENT_APPENDED, /* text was added to message `target` */
    EVENT_REPLACED, /* its text was replaced */
    EVENT_RECALLED, /* it was taken back */
    EVENT_GROUP,    /* group notice `notice` about group `to` */
    EVENT_ROSTER,   /* roster notice `notice` */
    EVENT_USER,     /* user notice `notice` */
};

enum { /* of the notices that a bot minds, section 14 */
    GROUP_DESTROYED = 4,
    GROUP_CREATED = 3,
    GROUP_JOINED = 5,
    GROUP_LEAVED = 6,
    GROUP_APPLY_ACCEPTED = 8,
    GROUP_INVITED = 10,
    GROUP_INVITE_ACCEPTED = 11,
    GROUP_KICKED = 13,
    GROUP_BLOCKED = 14,
    GROUP_INFO_UPDATED = 23,
    ROSTER_APPLIED = 7,
    ROSTER_INFO_UPDATED = 8,
    USER_PASSWORD_CHANGED = 1,
    USER_FROZEN = 2,
    USER_REMOVED = 3,
    USER_KICK_BY_SAME_DEVICE = 4,
    USER_KICKED_BY_OTHER_DEVICE = 5,
    USER_DEVICE_REMOVED = 10,
    USER_CLUSTER_CHANGED = 11,
    USER_DNS_UPDATE = 12,
    USER_TRAFFIC_LIMIT_EXCEEDED = 13,
};

struct event {
    struct event *prev, *next; /* the owner's */
    enum event_kind kind;
    uint64_t id, from, to;
    uint64_t target;    /* of an operation: the message it is about */
    uint64_t where;     /* of an operation: the conversation as it names it; 0 */
    int64_t time_ms;    /* 0: not said */
    int64_t edit_ms;    /* of an edit */
    bool group;         /* it says itself that `to` is a group */
    bool by_system;     /* it says itself that no person wrote it */
    bool history;       /* found by looking back, not told */
    bool late;          /* too old or too many to be answered: context only */
    bool names_bot;     /* a group notice: the bot is who it is about */
    int notice;
    int ctype;          /* enum ly_ctype */
    char *text;         /* owned; valid or not */
    size_t len;
    struct ext ext;
    struct config_said config;
    struct callback *callback; /* webhook.c: who waits until it is in the journal; NULL: nobody */
};

/* NULL with *e: malformed. Never NULL for what is only unknown: EVENT_OTHER. */
struct event *event_from_meta(const struct ly_meta *meta, uint64_t bot, struct err *e);
/* The body of a callback, section 17.3; *app_r is its app id, borrowed. NULL: it is none. */
struct event *event_from_callback(const cJSON *body, uint64_t bot, const char **app_r);
/* One of messages[] of GET /message/conversation, section 17.2; group: the conversation is known to be one. */
struct event *event_from_past(const cJSON *message, uint64_t bot, bool group);
void event_free(struct event *ev); /* NULL-safe */

/* The conversation that it belongs to, for the bot: the other person's id, or
 * the group's; 0: the system's. is_group knows the groups that the bot is in. */
uint64_t event_chat(const struct event *ev, uint64_t bot, bool (*is_group)(void *arg, uint64_t id), void *arg);

/* Why nobody needs to hear of it, or NULL: it is for the host. */
const char *event_why_not(const struct event *ev, uint64_t bot);

#endif
