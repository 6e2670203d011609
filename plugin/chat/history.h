/* history.h: the part of a conversation that the model is given, in memory.
 *
 * Entries stand in prompt order: people's messages by seq, each answer right
 * behind the question that leads its turn. The text is kept already escaped as
 * JSON: a request is then a matter of copying. Pure. */
#ifndef WARBLER_CHAT_HISTORY_H
#define WARBLER_CHAT_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin/store/store.h"

#define HISTORY_QUOTED_BYTES_MAX 2048U /* of the text that a message quotes; the rest is left out */
#define HISTORY_NAME_MAX 64U /* characters; chat-completions reference, section 3 */

struct entry {
    struct entry *prev, *next;
    int64_t seq;
    int64_t time_ms;  /* wall clock */
    int64_t turn;     /* PERSON: seq that leads its turn (its own if alone), 0: only context; BOT: the same */
    enum store_kind kind;
    bool pending;     /* a question that waits: not in the prompt of another turn */
    bool noticed;     /* a question that ended with a notice: in the prompt only if asked again */
    size_t tokens;    /* by the history's vocabulary, with the message's overhead */
    const char *name; /* the speaker, as a request can have it: HISTORY_NAME_MAX of A-Z a-z 0-9 _ -; NULL: none.
                         Stands behind json */
    size_t len;       /* of json */
    char json[];      /* content, escaped, without quotes; speaker's name first if there is one */
};

struct vocabulary;

struct history {
    struct entry *head;
    size_t count, tokens, bytes;
    const struct vocabulary *vocabulary; /* what tokens are counted by; NULL: by estimate */
};

/* name: the speaker, or NULL for none. Line breaks and colons leave the name:
 * a nick like "system:" must not look like a role. What entry.name cannot have
 * becomes '_', and a hash tells such names apart. What the message quotes stands
 * before its text, in lines that begin with '>', so that nobody's words can be taken
 * for somebody else's. */
struct entry *history_add(struct history *h, const struct store_msg *m, const char *name);
/* The same message, with another text. */
struct entry *history_replace(struct history *h, struct entry *e, const struct store_msg *m, const char *name);
void history_clear(struct history *h);
/* From here on tokens are counted so; counts all entries again if that is new, which it returns. */
bool history_count_by(struct history *h, const struct vocabulary *v);
struct entry *history_find(struct history *h, int64_t seq);
void history_drop(struct history *h, struct entry *e);
void history_drop_before(struct history *h, int64_t seq); /* every turn whose question stands before it */

/* The number of the question that e belongs to: its own, or the one it answers. */
int64_t history_place(const struct entry *e);

/* Drops the oldest whole turns once there are more than max_messages or
 * max_tokens, down to HISTORY_TRIM_PERCENT of both, so that the front of the
 * prompt stays the same for many turns and servers can cache it. Nothing from
 * `keep` on is dropped. gone is told of each entry before it is freed; NULL: nobody. */
#define HISTORY_TRIM_PERCENT 75
typedef void history_gone_fn(void *arg, const struct entry *e);
void history_trim(struct history *h, size_t max_messages, size_t max_tokens, int64_t keep, history_gone_fn *gone, void *arg);
/* Likewise the oldest whole turns of which nothing is from since_ms or later. */
void history_expire(struct history *h, int64_t since_ms, int64_t keep, history_gone_fn *gone, void *arg);

/* The first entry of the newest whole turns that together have at most
 * max_tokens, for a model that takes less; nothing is dropped. Never behind the
 * turn of `keep`. NULL only if the history is empty. */
const struct entry *history_within(const struct history *h, size_t max_tokens, int64_t keep);

#endif
