/* store.h: what must survive: the journal and the history, on disk.
 *
 * Every call but store_open/store_close is asynchronous: it copies its
 * arguments, queues a job for the worker thread, and calls back from the loop,
 * in the order of the calls, after the job's transaction is durable (group
 * commit: the jobs that wait form one transaction; a job that fails is rolled
 * back alone). So a callback with ERR_OK is a promise that a crash keeps.
 * Reads see every write that was asked for before them. Rows given to a
 * callback are borrowed for its duration; with an error there are none. A
 * callback that tells nothing but the error may be NULL.
 *
 * Errors: ERR_FULL (disk full), ERR_IO; both may pass, the caller decides
 * whether to ask again. ERR_BUSY: STORE_QUEUE_JOBS_MAX calls wait for their
 * callbacks, or another process holds the store's lock for seconds. It comes
 * from the loop too, but where the queue was full not after the results of the
 * calls that fill it. ERR_INVALID: seq out of range, or a message lacks what
 * struct store_msg asks for. The worker tries nothing twice.
 *
 * A PostgreSQL store would be a second implementation of this header. */
#ifndef WARBLER_STORE_STORE_H
#define WARBLER_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin/base/err.h"
#include "plugin/net/loop.h"

#define STORE_QUEUE_JOBS_MAX 65536
#define STORE_SEQ_MAX 4294967295LL /* a conversation's last number */

struct store;

/* Opens DIR/warbler.db, making DIR (0700) and the file (0600) if missing,
 * migrating an older schema forward. With lock, a second daemon on the same
 * directory is refused (ERR_BUSY); without, it is for tools beside a running
 * daemon. Errors name the file and say what to do: ERR_VERSION (store from a
 * newer program), ERR_IO (not writable, damaged), ERR_FULL. */
enum err_code store_open(struct loop *loop, const char *dir, bool lock, struct store **store_r, struct err *e);
/* Finishes every queued job; their callbacks are not called. NULL-safe. Not
 * from inside a callback of this store. */
void store_close(struct store **store);

/* Tells, from the loop, when the store begins to fail at what it should do or
 * fails in another way (e says how), and, with ERR_OK, when a write of it is on
 * disk again: before the callback of the call that showed it. Nobody is told
 * that the store works at first, or about calls that fail by what they ask for. */
void store_watch(struct store *s, void (*changed)(void *arg, const struct err *e), void *arg);

/* --- rows --- */
enum store_kind { STORE_PERSON = 1, STORE_BOT = 2, STORE_NOTICE = 3 };

/* What became of a person's message: exactly one of those behind the first (CONTRACTS, section 6). */
enum store_outcome {
    STORE_PENDING = 0,  /* accepted, not decided yet */
    STORE_ANSWERED = 1,
    STORE_NOTICED = 2,  /* ended with a plain error notice, or as a command's result */
    STORE_SILENT = 3,   /* decided not to answer */
    STORE_DEAD = 4,     /* dead letter: `warbler queue` shows it */
    STORE_WITHDRAWN = 5, /* its sender took it back before it was answered */
};

#define STORE_ADDRESSED 1U /* for the bot: has or will have an answer */
#define STORE_COMMAND 2U   /* a chat command or its result */
#define STORE_NO_PROMPT 4U /* never given to the model */
#define STORE_CUT 8U       /* answer ended by length, cancel or a break */
#define STORE_DIRECT 16U   /* written in a private conversation with the bot */
#define STORE_AGAIN 64U    /* asks for another answer to the question that reply_to names, in place of the one it has */
#define STORE_QUOTED 32U   /* answer that begins with what the model thought, as a quote: not given to a model */

struct store_msg {
    int64_t seq;        /* place in the conversation, 1 to STORE_SEQ_MAX */
    int64_t time_ms;    /* wall clock */
    enum store_kind kind;
    enum store_outcome outcome; /* of a PERSON's */
    unsigned flags;
    int64_t turn;       /* PERSON: seq of the question that leads its turn, 0: no turn began; else: the question answered */
    const char *id;     /* PERSON: the sender's own id; BOT, NOTICE: the id people see */
    const char *sender; /* PERSON: stable key of the person within the account; else NULL */
    const char *name;   /* how the person is shown */
    const char *reply_to; /* id of the message it replies to, or NULL */
    const char *lang;   /* "en", "zh" or NULL */
    const char *text;
    const char *quoted; /* PERSON: the text that reply_to names, or NULL */
    const char *quoted_name; /* who wrote that, or NULL */
    const char *wish;   /* PERSON: what it asks of its answer, chat/wish.h; or NULL */
    int64_t answer;     /* PERSON: seq of its answer, or, of a PENDING one with STORE_AGAIN, of the one to replace; 0: none */
    const char *finish; /* BOT: finish reason or NULL */
    const char *usage;  /* BOT: JSON object or NULL */
    const char *const *answers; /* BOT, NOTICE: ids of all questions of the turn, NULL-terminated; NULL: one, or not asked
                                   for; read only: store_history, store_answer */
};

struct store_channel {
    int64_t id;         /* 0: not on disk yet */
    int64_t seq_limit;  /* every number given out so far is <= this */
    int64_t reset_seq;  /* the prompt begins after this */
    bool muted;
    const char *model;  /* override or NULL */
    const char *prompt; /* override or NULL */
    const char *summary; /* of the turns up to summary_seq, or NULL */
    int64_t summary_seq; /* seq of the last question whose turn the summary covers */
    const char *pins;   /* what people pinned, a line each, or NULL */
    const char *preset; /* that people chose, or NULL */
};

/* What a chat calls itself, in all its threads. Each may be NULL. */
struct store_room {
    const char *name, *topic;
    const char *aliases; /* a line each */
};

/* --- the ledger: what answers cost --- */
struct store_usage {
    int64_t time_ms;
    int64_t turn;        /* seq of the question that leads the turn, or 0 */
    const char *account, *channel;
    const char *person;  /* key of the sender of that question, or NULL */
    const char *bot, *model; /* as the configuration calls them */
    const char *server_model; /* as the server calls it, or NULL */
    int64_t prompt, cached, cache_write, completion, reasoning; /* tokens; cached and written are parts of prompt,
                                                                   reasoning of completion */
    int64_t cost;         /* in 10^-12 of the currency */
    const char *currency; /* NULL: nobody knows what it cost */
    bool estimated;       /* the server did not say how many tokens */
    const char *raw;      /* its own words, JSON, or NULL */
};

/* --- counters of people's limits --- */
struct store_count {
    const char *key;
    int64_t begin_ms, end_ms; /* the period, wall clock */
    int64_t messages, tokens, money;
};

/* What an answer came to: a row for each request that cost something, and the
 * counters as they stand now, written over what was there. Zeroed: nothing. */
struct store_bill {
    const struct store_usage *usage;
    size_t n_usage;
    const struct store_count *counts;
    size_t n_counts;
};

/* --- the journal --- */
/* A person's message, and the account's stream position that it covers, in one
 * commit. The message is new unless the channel has a PERSON row with the same
 * sender and id. */
struct store_accept {
    const char *account, *channel; /* channel: full name; made if it is not on disk */
    int64_t channel_id;            /* that the channel is known to have; 0: not known */
    struct store_msg msg;          /* outcome PENDING, or SILENT for what is context only; seq given by the caller */
    int64_t seq_limit;             /* raise to this; 0: leave */
    const char *position;          /* NULL: unchanged */
    const struct store_room *room; /* NULL: unchanged */
    const char *edits;             /* id of the sender's earlier message whose text this one replaces; or NULL */
    int64_t fresh_ms;              /* with edits: an answer given since then may be made anew, INT64_MAX: none */
};
struct store_accepted {
    int64_t channel_id;
    bool duplicate;             /* then seq, turn and outcome are those of the first */
    int64_t seq, turn;
    enum store_outcome outcome;
    const struct store_msg *edited; /* the earlier message as it is now; NULL: none was found */
    int64_t again;              /* seq of the answer to be made anew: the message is PENDING with STORE_AGAIN; 0: none is */
};
void store_accept(struct store *s, const struct store_accept *a,
                  void (*done)(void *arg, const struct store_accepted *r, const struct err *e), void *arg);

/* The messages seqs[0..n) of the channel are answered together by a turn that
 * `lead` leads (one of them); those in drop[0..n_drop) are decided SILENT. n or
 * n_drop may be 0; messages that are not PENDING are left as they are.
 * Needed before an answer to more than one message becomes visible. */
void store_turn(struct store *s, int64_t channel_id, int64_t lead, const int64_t *seqs, size_t n, const int64_t *drop,
                size_t n_drop, void (*done)(void *arg, const struct err *e), void *arg);

/* --- what people take back, or want otherwise --- */
/* The sender's message leaves the prompt and loses its text. If it was PENDING it
 * is WITHDRAWN; its turn, if it was in one, is dissolved: the others in it are
 * asked anew, and what may be seen of an answer is taken back. */
struct store_withdrawn {
    const char *channel; /* where it was found: in this one, or, of a chat, in a thread of it; NULL: there is no such message */
    int64_t seq;
    int64_t turn;   /* that led its turn, or 0 */
    int64_t answer; /* seq of the answer, which leaves the prompt too because it answered nothing else; or 0 */
    bool pending;   /* it was */
};
void store_withdraw(struct store *s, const char *account, const char *channel, const char *sender, const char *id,
                    void (*done)(void *arg, const struct store_withdrawn *w, const struct err *e), void *arg);

/* The bot's message under this name. */
struct store_posted {
    const char *channel; /* as in store_withdrawn; NULL: there is no such message */
    int64_t channel_id;
    int64_t turn;      /* seq that leads the turn that it answers */
    int64_t question;  /* seq of the question, which is another one if that was asked again */
    int64_t answer;    /* its seq; 0: it is being made */
    bool asked;        /* by the given sender */
};
void store_posted(struct store *s, const char *account, const char *channel, const char *platform_id, const char *sender,
                  void (*done)(void *arg, const struct store_posted *p, const struct err *e), void *arg);

/* Asks for another answer, by a PENDING message with STORE_AGAIN and this number,
 * in the name of whoever asked first: to `question`, if no other question but
 * commands came behind it and its answer is not from before fresh_ms. m NULL: nothing
 * is asked. */
struct store_again {
    int64_t channel_id, question, seq, fresh_ms;
    int64_t seq_limit; /* raise to this; 0: leave */
};
void store_again(struct store *s, const struct store_again *in,
                 void (*done)(void *arg, const struct store_msg *m, const struct err *e), void *arg);

/* The answer leaves the prompt with its question, and all its messages the platform. */
void store_take_back(struct store *s, int64_t channel_id, int64_t answer, void (*done)(void *arg, const struct err *e),
                     void *arg);

/* One part of an answer on its way to a platform. */
struct store_part {
    const char *txn;  /* stable transaction id, unique per account */
    const char *text;
};

/* The end of a turn, in one commit: its answer, the outcome of all its PENDING
 * messages, and the parts to send. A row that store_out_open() made for the turn
 * becomes the first of them. If the leading message is not PENDING any more,
 * nothing is written and ERR_EXISTS comes back: never two answers. */
struct store_finish {
    const char *account, *channel;
    int64_t channel_id, lead;
    enum store_outcome outcome;
    const char *reason;             /* why NOTICED or DEAD; or NULL */
    const struct store_msg *answer; /* NULL: none */
    int64_t seq_limit;              /* raise to this; 0: leave */
    int64_t supersedes;             /* seq of an older answer that leaves the prompt; 0: none */
    const struct store_part *parts; /* NULL where storing is delivering */
    size_t n_parts;
    bool untouched;                 /* nothing of the row that is open has left */
    int64_t adopts;                 /* seq of an older answer whose messages this one's parts take over; 0: none */
    struct store_bill bill;
};
void store_finish(struct store *s, const struct store_finish *f, void (*done)(void *arg, const struct err *e),
                  void *arg);

/* --- the outbox --- */
/* What is to become of a message on a platform; ARCHITECTURE.md, "An answer that grows". */
enum store_out_kind {
    STORE_OUT_SEND = 0,
    STORE_OUT_OPEN = 1,
    STORE_OUT_EDIT = 2,
    STORE_OUT_REMOVE = 3,
};
struct store_out {
    int64_t id;
    enum store_out_kind kind;
    const char *account, *channel, *txn, *text; /* text: "" of what is open or to be removed */
    const char *platform_id; /* NULL: not known, or not there yet */
    const char *reply_to; /* of the answer that it is a part of */
    const char *finish, *usage; /* of the answer, or NULL */
    bool notice;          /* so is the answer */
    int64_t turn;
    int64_t answer;       /* seq of the answer; of an open row that of the one whose message it takes over, or 0 */
    int part, n_parts;
    int attempts;
};

/* The question `lead`, which leads its turn, will be answered by a message that
 * grows: the row of it, made now under txn unless there is one already. */
struct store_open {
    int64_t channel_id, lead;
    const char *txn;
    int64_t adopts; /* as in store_finish */
};
/* fresh: it was made. With ERR_EXISTS the question is decided, and o NULL, as with any error. */
void store_out_open(struct store *s, const struct store_open *in,
                    void (*done)(void *arg, const struct store_out *o, bool fresh, const struct err *e), void *arg);
/* The message of a row that stays is on the platform, under this name. */
void store_out_named(struct store *s, int64_t id, const char *platform_id, void (*done)(void *arg, const struct err *e),
                     void *arg);
/* Parts whose end is not confirmed yet, oldest first, at most limit, with id > after. */
void store_out_list(struct store *s, int64_t after, int limit,
                    void (*done)(void *arg, const struct store_out *outs, size_t n, const struct err *e), void *arg);
/* About to be sent on a platform that cannot drop repeats: counts an attempt,
 * so that after a crash the doubt is known (CONTRACTS, section 6).
 * ERR_NOT_FOUND: not to be sent any more (`warbler queue drop`). */
void store_out_try(struct store *s, int64_t id, void (*done)(void *arg, const struct err *e), void *arg);
/* Confirmed: the row goes, and leaves the platform's name of the message (its
 * own, else platform_id) with the answer. Here and in store_out_dead a row that
 * is gone already is no error. */
void store_out_sent(struct store *s, int64_t id, const char *platform_id,
                    void (*done)(void *arg, const struct err *e), void *arg);
/* Cannot be sent, ever: this and the later parts of the turn become a dead letter.
 * Its reason, like that of a question that ends DEAD, says to the operator what
 * happened and what to do about it: `warbler queue` prints it as it is. */
void store_out_dead(struct store *s, int64_t id, const char *reason, void (*done)(void *arg, const struct err *e),
                    void *arg);

/* --- channels and history --- */
struct store_loaded {
    struct store_channel channel;
    struct store_room room;
    const struct store_msg *msgs; /* ascending seq: the last n, and before them every PENDING one */
    size_t n;
};
void store_load(struct store *s, const char *account, const char *channel, int n,
                void (*done)(void *arg, const struct store_loaded *r, const struct err *e), void *arg);

/* Rows with seq > after, ascending, at most limit. Finished messages only: PERSON, BOT, NOTICE rows. */
void store_history(struct store *s, int64_t channel_id, int64_t after, int limit,
                   void (*done)(void *arg, const struct store_msg *msgs, size_t n, const struct err *e), void *arg);

/* The answer of the turn that holds question seq; msg NULL if there is none (yet). */
void store_answer(struct store *s, int64_t channel_id, int64_t seq,
                  void (*done)(void *arg, const struct store_msg *msg, const struct err *e), void *arg);

/* Counts a try for the oldest PENDING message of each channel, which may be what
 * crashed us. To be asked once, at start. done may be NULL. */
void store_count_tries(struct store *s, void (*done)(void *arg, const struct err *e), void *arg);

/* Channels that hold PENDING messages. */
struct store_pending {
    const char *account, *channel;
    int tries; /* of its oldest pending message */
    int64_t seq; /* of that message */
};
void store_pending(struct store *s, void (*done)(void *arg, const struct store_pending *p, size_t n, const struct err *e),
                   void *arg);

/* Writes all but account and name of c->id as they stand in c. */
void store_channel_put(struct store *s, const struct store_channel *c, void (*done)(void *arg, const struct err *e),
                       void *arg);

/* --- small facts that an account keeps: stream position, device ids, visitors --- */
/* expires_ms: wall clock after which store_prune may drop it; 0: never. value NULL deletes. */
void store_kv_put(struct store *s, const char *account, const char *key, const char *value, int64_t expires_ms,
                  void (*done)(void *arg, const struct err *e), void *arg);
/* value NULL: no such key. */
void store_kv_get(struct store *s, const char *account, const char *key,
                  void (*done)(void *arg, const char *value, int64_t expires_ms, const struct err *e), void *arg);
#define STORE_KEY_POSITION "position" /* where store_accept keeps the stream position */

/* Drops messages older than before_ms that are neither pending nor dead,
 * expired facts, and counters of periods that are over, a bounded number per call; more: there is more to do. */
void store_prune(struct store *s, int64_t before_ms, void (*done)(void *arg, bool more, const struct err *e),
                 void *arg);

/* The counters whose period was not over at that time, by key. */
void store_counts(struct store *s, int64_t now_ms,
                  void (*done)(void *arg, const struct store_count *counts, size_t n, const struct err *e), void *arg);

/* --- sums over the ledger --- */
/* What was paid for outside of a turn. */
void store_bill_add(struct store *s, const struct store_bill *b, void (*done)(void *arg, const struct err *e), void *arg);

enum store_usage_by {
    STORE_BY_ACCOUNT,
    STORE_BY_CHANNEL,
    STORE_BY_PERSON, /* ACCOUNT:KEY, "" where it was nobody */
    STORE_BY_MODEL,
    STORE_BY_DAY,    /* "2026-11-01", local time */
};
/* Of all rows with this key and this currency; ordered by both. Numbers stay at
 * the end of an int64_t where they would be larger. */
struct store_usage_sum {
    const char *key;
    const char *currency; /* NULL: of those without a price */
    int64_t answers, estimated; /* rows; those of them that are estimated */
    int64_t prompt, cached, cache_write, completion, reasoning;
    int64_t cost;
};
void store_usage_sum(struct store *s, enum store_usage_by by, int64_t since_ms, int64_t until_ms,
                     void (*done)(void *arg, const struct store_usage_sum *sums, size_t n, const struct err *e), void *arg);

/* Drops rows from before that time, a bounded number per call; more: there are more. */
void store_usage_prune(struct store *s, int64_t before_ms, void (*done)(void *arg, bool more, const struct err *e),
                       void *arg);

/* A small write that proves that the disk still takes them; changed: another
 * process (`warbler queue`) wrote since the last beat. */
void store_beat(struct store *s, void (*done)(void *arg, bool changed, const struct err *e), void *arg);

/* --- dead letters, for `warbler queue` --- */
/* A question that waits for its answer, that is a dead letter, or whose
 * answer's parts wait or cannot be sent; dead letters first, oldest first. */
struct store_item {
    int64_t id;          /* for retry and drop: stable, unique in the store */
    bool dead;           /* else waiting */
    const char *account, *channel, *text, *reason;
    int64_t time_ms;
    int tries;
};
void store_queue_list(struct store *s, int limit,
                      void (*done)(void *arg, const struct store_item *items, size_t n, const struct err *e), void *arg);
/* Of a dead letter: its message is PENDING again, no try counted, or its parts
 * wait again. An item that waits begins to count its tries anew. ERR_NOT_FOUND. */
void store_queue_retry(struct store *s, int64_t id, void (*done)(void *arg, const struct err *e), void *arg);
/* The message is decided SILENT, or its unsent parts go. ERR_NOT_FOUND. */
void store_queue_drop(struct store *s, int64_t id, void (*done)(void *arg, const struct err *e), void *arg);

size_t store_queued(const struct store *s); /* calls whose callbacks are still to come: metrics */

#endif
