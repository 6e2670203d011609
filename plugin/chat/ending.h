/* ending.h: how a message ends: its outcome is written, then its last event
 * leaves. The one place where answers, notices and command results meet the
 * disk. Tries again while the store fails: what people were promised is not
 * given up because a disk is full. Private to chat/. */
#ifndef WARBLER_CHAT_ENDING_H
#define WARBLER_CHAT_ENDING_H

#include "plugin/chat/bill.h"
#include "plugin/chat/channel.h"
#include "plugin/chat/core.h"

struct ending {
    struct pending link; /* private */
    struct timer again;  /* private */
    struct channel *ch;
    int64_t lead;            /* the message that it answers, or that leads its turn */
    char *reply_to;          /* its id */
    char **answers;          /* ids of all, NULL-terminated; NULL if only one */
    enum store_outcome outcome;
    unsigned flags;          /* STORE_CUT, STORE_COMMAND */
    bool notice;             /* not a model's words */
    bool shown;              /* events of it have left already */
    char *text;              /* of the answer; ours */
    const char *finish;      /* static */
    char *usage;             /* JSON or NULL; ours */
    struct bill *bill;       /* what it cost, or NULL; ours */
    enum err_code error;
    char *reason;            /* why it is no answer: store_finish; ours, or NULL */
    int64_t supersedes;      /* seq of the answer that it replaces in the prompt */
    int64_t adopts;          /* seq of the answer whose messages on the platform it takes over; 0: none */
    int64_t accepted_ms;     /* for the latency metric */
    int64_t seq, limit;      /* private: of the try that is under way */
    char *first;             /* private: the first part that goes through the outbox; NULL: none does */
    size_t n_parts;          /* private */
    bool fresh;              /* its row in the outbox, if it has one, was made by this turn */
    bool untouched;          /* private: as in store_finish */
    bool dropped;            /* in done: the message was decided otherwise, nothing was written */
    void (*done)(void *arg, const struct ending *end); /* on disk and sent; may be NULL */
    void *arg;
};

struct ending *ending_new(struct channel *ch, int64_t lead, const char *reply_to);
/* Fills answers: what it ends are the messages of this list, which stays the caller's. */
void ending_answers(struct ending *end, const struct question *list);
void ending_start(struct ending *end); /* frees itself after done */

/* The list's messages, out of the queue, are decided not to be answered. Owns them. */
void ending_silent(struct channel *ch, struct question *list);

#define ANSWER_ID_BYTES 32
void answer_id(char out[ANSWER_ID_BYTES], int64_t lead); /* "m", lead, "a" */
bool is_answer_id(const char *id);

#endif
