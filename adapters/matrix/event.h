/* event.h: one room event of Matrix, from JSON to a struct: what kind it is,
 * who sent it, what a person wrote in it, and to what it relates. Pure: no
 * connection, no state. This is the seam where decryption will sit: what it
 * makes of an m.room.encrypted event comes through here like any other.
 *
 * Events are written by strangers. Whatever has the wrong type, is too long or
 * makes no sense is as if it were not there; an event that cannot be told apart
 * without it is refused. Client-server API: "Room events", "Instant messaging",
 * and the modules named below. */
#ifndef WARBLER_MATRIX_EVENT_H
#define WARBLER_MATRIX_EVENT_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin/base/err.h"

#define EVENT_ID_BYTES_MAX 255U             /* of any identifier: user, room, event, alias, state key */
#define EVENT_TEXT_BYTES_MAX (1024U * 1024) /* of a body; servers allow 64 KiB for a whole event */
#define EVENT_NAME_BYTES_MAX 256U           /* of names of rooms and people; a longer one is cut */
#define EVENT_TOPIC_BYTES_MAX 2048U         /* likewise */
#define EVENT_ALIASES_MAX 32U               /* the rest is ignored */

enum event_kind {
    EVENT_OTHER, /* nothing here for the bot: unknown, redacted, or a message without a text */
    /* m.room.message */
    EVENT_TEXT,
    EVENT_NOTICE,
    EVENT_EMOTE,
    EVENT_MEDIA, /* image, file, audio, video: `text` is its caption, may be empty */
    /* other messages */
    EVENT_REDACTION,
    EVENT_REACTION,
    EVENT_ENCRYPTED, /* a message that nobody here can read */
    /* state */
    EVENT_CREATE,
    EVENT_MEMBER,
    EVENT_NAME,  /* `text` "": the name was taken away; likewise topic */
    EVENT_TOPIC,
    EVENT_ALIASES,
    EVENT_TOMBSTONE,
    EVENT_ENCRYPTION, /* the room is encrypted from here on */
    EVENT_POWER,
};

enum event_membership { MEMBER_NONE, MEMBER_INVITE, MEMBER_JOIN, MEMBER_LEAVE, MEMBER_BAN, MEMBER_KNOCK };

/* Of a reaction's key, whatever variation selectors and skin tones it has. */
enum event_mark { MARK_NONE, MARK_RETRY /* 🔁 */, MARK_REMOVE /* 🗑 */ };

/* Identifiers belong to the JSON tree, everything else to the event. NULL where
 * it does not apply or is absent, unless said otherwise. */
struct event {
    enum event_kind kind;
    const char *id;        /* NULL in stripped state (invitations) */
    const char *sender;    /* never NULL */
    const char *room;      /* NULL in what /sync sends: there it stands beside the event */
    const char *state_key; /* NULL: not a state event; of EVENT_MEMBER the person meant, never NULL */
    const char *txn;       /* our own transaction id, if this device sent it */
    int64_t time_ms;       /* the sending server's clock, 0: absent */

    /* Messages: what the person wrote, without the fallback of a rich reply.
     * EVENT_NAME, EVENT_TOPIC: the text; EVENT_MEMBER: the display name;
     * these three on one line. Valid UTF-8, no control characters, never NULL. */
    const char *text;
    size_t len;
    const char *file;     /* EVENT_MEDIA: the file's name, on one line, may be empty */
    const char *edits;    /* the event that this message replaces; `text` is the new text */
    const char *reply_to; /* the event answered on purpose; a thread's fallback is none */
    const char *thread;   /* the thread's first event */

    const char *target;   /* EVENT_REDACTION: what is taken back; EVENT_REACTION: what is marked */
    enum event_mark mark; /* EVENT_REACTION */

    enum event_membership member, member_before; /* EVENT_MEMBER; before: as far as the server tells */
    bool direct;                /* EVENT_MEMBER: an invitation to a private conversation */
    const char *const *aliases; /* EVENT_ALIASES: canonical one first, NULL-terminated, never NULL there */
    const char *successor;      /* EVENT_TOMBSTONE: the room to follow to */
    const char *predecessor;    /* EVENT_CREATE: the room that this one replaces */
    bool space;                 /* EVENT_CREATE: a room that lists rooms */

    const cJSON *json;    /* the event itself */
    const cJSON *content; /* its content, of an edit the new one; never NULL */
    char *text_owned, *file_owned; /* private */
    const char **aliases_owned;    /* private */
};

/* ERR_PROTO: this is no event; *e says what is wrong with it. `json` must
 * outlive the event. Legal and needed in every case: event_fini(). */
enum err_code event_read(struct event *ev, const cJSON *json, struct err *e);
void event_fini(struct event *ev);

/* EVENT_POWER: may this user send events of this type ("m.room.message")?
 * Someone who created a room of version 12 may whatever stands here. */
bool event_may_send(const struct event *power, const char *user, const char *type);

/* Is it an identifier that begins with this sign: '@' user, '!' room, '$' event,
 * '#' alias? NULL is none. */
bool event_id_ok(const char *s, char sigil);

#endif
