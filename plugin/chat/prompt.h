/* prompt.h: what the model is given: system prompt, history, question.
 *
 * The system prompt stands first and changes as seldom as possible, so that
 * servers can cache the prefix: {date} has the day only, {language} and
 * {channel} are fixed per conversation. Each message stands by itself, with its
 * speaker where names are on: how a model wants them is model/layout.h's business.
 * Pure. */
#ifndef WARBLER_CHAT_PROMPT_H
#define WARBLER_CHAT_PROMPT_H

#include "config/config.h"
#include "plugin/base/buf.h"
#include "plugin/chat/history.h"

#define PROMPT_BYTES_MAX (16U * 1024 * 1024)

struct prompt_vars {
    const char *date;     /* "2026-11-21 (Saturday)" */
    const char *channel;
    const char *bot;
    const char *language; /* "English" */
    const char *room, *topic; /* what the chat calls itself */
};

/* Replaces {date} {channel} {bot} {language} {room} {topic}; {{ and }} are braces; anything
 * else stays as it stands. */
enum err_code prompt_expand(struct buf *out, const char *text, const struct prompt_vars *vars);

/* Appends what a conversation keeps when its turns are trimmed, as marked
 * blocks of plain text. pins: a line each; both may be NULL. It stays the same
 * from one trimming to the next, so that servers can cache it. */
void prompt_front(struct buf *out, const char *pins, const char *summary);

/* Appends the JSON array of messages for the turn that `lead` leads, without
 * the system prompt; entries before `from` (NULL: none) and behind the turn are
 * left out. front, JSON-escaped, "" none, comes first, and as a message of the
 * people: it is their words, and must have no more weight than those.
 * *tokens_r: what the entries have. */
enum err_code prompt_build(struct buf *out, const char *front, const struct history *h, const struct entry *from,
                           int64_t lead, size_t *tokens_r);

/* Do these messages say nothing but the question: not who asks, nor what was
 * said before? question: an entry of the history, or NULL. */
bool prompt_is_only(const struct buf *messages, const struct entry *question);

#endif
