/* channel.h: the conversations that are in memory.
 *
 * A channel is loaded from the store when somebody needs it and leaves memory,
 * least recently used first, once it is idle and there are more than
 * CHANNELS_IDLE_MAX. Owned by struct chat; private to chat/. */
#ifndef WARBLER_CHAT_CHANNEL_H
#define WARBLER_CHAT_CHANNEL_H


#include "plugin/adapter.h"
#include "plugin/base/table.h"
#include "plugin/chat/history.h"
#include "plugin/chat/notice.h"
#include "plugin/model/calibrate.h"
#include "plugin/store/store.h"

#define CHANNELS_IDLE_MAX 2000U
#define CHANNEL_NAME_BYTES_MAX 2048U /* account:chat/thread, the chat escaped */
#define SEQ_RESERVE 256 /* numbers reserved on disk ahead of use; a crash leaves a gap of at most this */

struct chat;
struct summary;
struct turn;

/* A message that waits for its turn. */
struct question {
    struct question *prev, *next;
    int64_t seq, turn;       /* turn: already bound to the turn that this seq leads, or 0 */
    int64_t accepted_ms;     /* monotonic */
    bool command, retry;     /* retry: asks the last question again */
    bool again;              /* and does so in place of the answer with number `replaces`, not as a command */
    int64_t replaces;
    bool withdrawn;          /* by its sender, while its turn ran */
    bool seen;               /* an earlier run may have shown a part of its answer */
    char *id, *sender, *name, *lang, *text;
    char *wish;              /* wish.h; NULL: none */
    char *reply_to;          /* id of the message that an answer replies to: its own, or that of what is asked again */
};
struct question *question_new(const struct store_msg *m);
void question_free(struct question *q);

/* Somebody who waits until the channel is loaded. */
struct waiter {
    struct waiter *prev, *next;
    void (*fn)(struct waiter *w, const struct err *e); /* e->code ERR_OK: the channel is ready */
};

enum channel_state { CHANNEL_LOADING, CHANNEL_READY };

struct channel {
    UT_hash_handle hh;
    struct channel *prev, *next;   /* least recently used first */
    struct channel *ready_prev, *ready_next; /* waits for a free place among the running turns */
    bool in_ready;
    struct chat *core;
    char *account, *name, *chat, *thread; /* name = ACCOUNT:CHAT or ACCOUNT:CHAT/THREAD, see channel_get_named() */
    struct adapter *adapter;       /* NULL: the account is gone; or see channel_adapter() */
    const struct adapter_facts *facts; /* of its platform, also while it is gone */
    enum channel_state state;
    struct waiter *waiters;        /* only while loading */
    struct store_channel row;      /* its texts are ours; seq_limit: what is on disk */
    int loaded;                    /* messages that were asked of the store */
    struct store_room room;        /* its texts are ours */
    bool room_kept;                /* it is on disk */
    char **names;                  /* room_names(), for rules */
    int64_t seq;                   /* the last number given out */
    int64_t out;                   /* the last number whose event has left; what is between is being written */
    int64_t reserving;             /* the limit that is being written, or 0 */
    bool direct;                   /* a private conversation; known from its messages */
    int lang;                      /* enum language, or -1: nobody spoke yet */
    unsigned refs;                 /* store jobs and requests under way */
    unsigned commits;              /* of refs: writes whose number is given and whose event is not out yet */
    struct history history;
    struct calibration calibration; /* of our count with the model calibrated_for (owned; NULL: none yet) */
    char *calibrated_for;
    struct question *queue;
    size_t n_queue;
    struct turn *turn;             /* the answer being made, or NULL */
    struct summary *summary;       /* of turns that left the history, being made; or NULL */
    const struct config *rule_of;  /* the configuration that rule was looked up in */
    const struct channel_rule *rule;
    const struct keywords *keywords;
};

/* Of its account, which may be there again; NULL: it is not. */
struct adapter *channel_adapter(struct channel *ch);
/* Never NULL. The channel may still be loading: channel_when_ready(). */
struct channel *channel_get(struct chat *core, struct adapter *a, const char *chat, const char *thread);
/* By its full name, of which CHAT has '%' and '/' as %25 and %2F. */
struct channel *channel_get_named(struct chat *core, struct adapter *a, const char *name);
void channel_add_escaped(struct buf *out, const char *chat); /* as it stands in a name */
void channel_name(struct buf *out, const struct adapter *a, const char *chat, const char *thread); /* out is begun here */
/* What a full name is made of; *chat_r is the caller's, *thread_r points into name or is NULL. */
void channel_name_split(const char *name, char **chat_r, const char **thread_r);
/* fn is called at once if the channel is ready, else when it is or cannot be. */
void channel_when_ready(struct channel *ch, struct waiter *w);
void channel_ref(struct channel *ch);
void channel_unref(struct channel *ch);
void channel_free_all(struct chat *core);
/* Lets go of the channel if it is in memory, so that the next one who needs it
 * sees what is on disk. False: it is busy. */
bool channel_forget(struct chat *core, const char *name);

/* The rule that applies now; looked up again after a reload. NULL: the bot is silent. */
const struct channel_rule *channel_rule(struct channel *ch);
const struct bot_conf *channel_bot(struct channel *ch); /* NULL: silent */
/* The names that rules go by, the channel's own first; ends with NULL. */
const char *const *channel_names(const struct channel *ch);
/* What the chat of ch calls itself now, which holds for its threads too. */
void channel_set_room(struct channel *ch, const struct store_room *room);

/* Every second number, so that the one behind `out` is always free: with it a
 * running answer is shown to somebody who joins while events are being written. */
int64_t channel_next_seq(struct channel *ch);
void channel_event_out(struct channel *ch, int64_t seq);
/* What a commit with this seq shall raise seq_limit to; 0: enough is reserved. */
int64_t channel_limit_for(const struct channel *ch, int64_t seq);
void channel_limit_written(struct channel *ch, int64_t limit);
/* True if a number can be given out without a commit of its own. If not, one is under way. */
bool channel_has_seq(struct channel *ch);

/* Writes row as it stands; a failure is logged. */
void channel_save(struct channel *ch);

/* At the end of the queue. */
void channel_enqueue(struct channel *ch, struct question *q);
void channel_put_back(struct channel *ch, struct question *list); /* at its front */
struct question *channel_dequeue(struct channel *ch, struct question *q); /* returns q */

enum language channel_language(const struct channel *ch, const struct question *q);

#endif
