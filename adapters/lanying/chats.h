/* chats.h: the conversations that the account knows, and up to where each of
 * them is in the journal.
 *
 * Positions go to disk after the messages that they cover, never before: a
 * crash between the two makes us look back over messages that the journal
 * recognises. A conversation itself is on disk before its first message is
 * fetched, because a server may count as delivered what it sent. */
#ifndef WARBLER_LANYING_CHATS_H
#define WARBLER_LANYING_CHATS_H

#include <stdbool.h>
#include <stdint.h>

#include "adapters/lanying/event.h"
#include "plugin/base/buf.h"
#include "plugin/base/table.h"
#include "plugin/net/loop.h"

#define CHATS_MAX 4096      /* in memory; the ones unused for longest go first */
#define CHATS_KEPT_MAX 1000 /* on disk */
#define CHATS_FLUSH_MS 5000 /* positions wait this long, to go to disk together */
#define CHATS_LIST_BYTES_MAX 262144U

struct lanying;

enum chat_task { TASK_NONE, TASK_PULL, TASK_LOOK };

struct chat {
    UT_hash_handle hh; /* by id; in the order of use */
    uint64_t id;       /* user or group; 0: the system's */
    bool group;
    bool kept, being_kept; /* on disk; in the list that is being written */
    uint64_t at;       /* newest message that is in the journal; 0: none */
    int64_t at_ms;     /* its time */
    int64_t active_ms; /* wall clock of the last message or answer */

    /* sync.c */
    enum chat_task task; /* under way */
    bool pull_due, look_due, asked, queued;
    bool doubt;        /* something of ours may have arrived: look back before it is sent again */
    bool catching_up;  /* until what came while we were away is taken */
    int64_t late;      /* so many of the next messages are beyond catch_up.max_messages */
    uint64_t key;      /* of the next page */
    int64_t asked_ms;
    int failures;      /* to get a page, in a row */
    struct event *past; /* found by looking back, newest first */
    size_t n_past;
    uint64_t past_from; /* oldest message seen by looking back */
    bool past_over;     /* what comes now is known */
    int pages;
    uint64_t past_newest, past_next; /* rest.c: the newest message seen; where the next page begins */
    size_t unread;      /* rest.c: messages that nobody has read; 0: not known */
    struct chat *queue_prev, *queue_next;

    /* intake.c */
    struct event *in;  /* to the host, in order */
    bool with_host, ready; /* ready: in intake's list */
    struct chat *ready_prev, *ready_next;
    char *name;        /* of a group; NULL: none, or not known yet */
    bool name_known, name_told;

    /* answer.c: the question with this seq in the host's count; later parts of its answer do not name it */
    uint64_t question;
    int64_t question_seq;
};

struct chats {
    struct lanying *ly;
    struct chat *all;
    struct timer flush;
    bool known;  /* the list was read */
    bool writing, again;
    void (*loaded)(struct lanying *ly, const struct err *e);
};

void chats_init(struct lanying *ly);
void chats_fini(struct lanying *ly);
/* Reads those that were kept; loaded() follows from the loop. */
void chats_load(struct lanying *ly, void (*loaded)(struct lanying *ly, const struct err *e));

struct chat *chats_find(struct lanying *ly, uint64_t id); /* NULL: not known */
struct chat *chats_get(struct lanying *ly, uint64_t id, bool group); /* makes it if it is not known */
bool chats_is_group(void *lanying, uint64_t id);          /* for event_chat() */
void chats_used(struct lanying *ly, struct chat *c);      /* something was said in it just now */
void chats_moved(struct lanying *ly, struct chat *c, const struct event *ev); /* ev is in the journal */
void chats_write_soon(struct lanying *ly);
void chats_write_now(struct lanying *ly); /* ly_sync_kept() follows when those that are new are on disk */

#endif
