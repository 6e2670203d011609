/* job.h: one call of store.h on its way through the worker and back.
 *
 * calls.c makes the jobs, store.c moves them, the *_work functions (journal.c,
 * history.c, outbox.c, facts.c) do them in the worker's thread, inside a
 * transaction that store.c begins and ends. A job may be worked on again after
 * its transaction was rolled back; job_clear() comes between. */
#ifndef WARBLER_STORE_JOB_H
#define WARBLER_STORE_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin/base/arena.h"
#include "plugin/store/store.h"

#define JOB_ROWS_MAX 10000 /* that one list call yields, whatever it asks for */

struct db;
struct job;
struct pack;
struct query;

typedef void job_done_fn(void *arg, const struct err *e);

struct job_type {
    size_t size; /* of the struct that begins with struct job */
    void (*pack)(struct job *job, struct pack *p); /* NULL: the arguments point to nothing */
    enum err_code (*work)(struct db *db, struct job *job, struct err *e);
    void (*deliver)(struct job *job, const struct err *e); /* calls back */
};

struct rows {
    void *items;
    size_t n, cap;
};

struct job {
    const struct job_type *type;
    job_done_fn *done; /* where the result is nothing but e */
    void *arg;
    struct job *next, *prev;
    struct err *err;     /* NULL: it worked */
    struct arena *arena; /* what the result points to; made when first needed */
    struct rows rows;
    bool wrote;   /* something, which is on disk if it worked */
    bool refused; /* never queued */
};

/* Copies the draft and all it points to into one block and queues it. */
void job_submit(struct store *s, struct job *draft);
void *job_row(struct job *job, size_t size);    /* adds a zeroed row to the result */
struct arena *job_arena(struct job *job);
void job_clear(struct job *job);                /* forgets the result */
int64_t job_limit(int limit);                   /* of a list: 0 to JOB_ROWS_MAX */
/* What a pack function calls for each thing that its arguments point to. It is
 * run twice, to count and to copy; only a copy is written to. */
void pack_text(struct pack *p, const char **s); /* NULL stays NULL */
const void *pack_array(struct pack *p, const void *array, size_t bytes); /* before any text, for its alignment */

/* --- the jobs, by what they need --- */
struct accept_job {
    struct job job;
    struct store_accept in;
    struct store_room room; /* what in.room pointed to */
    struct store_accepted out;
    void (*done)(void *arg, const struct store_accepted *r, const struct err *e);
};
struct turn_job {
    struct job job;
    int64_t channel, lead;
    const int64_t *seqs, *drop;
    size_t n, n_drop;
};
struct withdraw_job {
    struct job job;
    const char *account, *channel, *sender, *id;
    int64_t channel_id;
    struct store_withdrawn out;
    void (*done)(void *arg, const struct store_withdrawn *w, const struct err *e);
};
struct posted_job {
    struct job job;
    const char *account, *channel, *platform_id, *sender;
    struct store_posted out;
    void (*done)(void *arg, const struct store_posted *p, const struct err *e);
};
struct again_job {
    struct job job;
    struct store_again in;
    void (*done)(void *arg, const struct store_msg *m, const struct err *e);
};
struct finish_job {
    struct job job;
    struct store_finish in;
    struct store_msg answer; /* what in.answer pointed to */
};
struct row_job { /* names one row, and may say something about it */
    struct job job;
    int64_t id;
    const char *text;
};
struct out_open_job {
    struct job job;
    struct store_open in;
    bool fresh;
    void (*done)(void *arg, const struct store_out *o, bool fresh, const struct err *e);
};
struct out_list_job {
    struct job job;
    int64_t after;
    int limit;
    void (*done)(void *arg, const struct store_out *outs, size_t n, const struct err *e);
};
struct load_job {
    struct job job;
    const char *account, *channel;
    int n;
    struct store_channel out;
    struct store_room room;
    void (*done)(void *arg, const struct store_loaded *r, const struct err *e);
};
struct history_job {
    struct job job;
    int64_t channel, after;
    int limit;
    void (*done)(void *arg, const struct store_msg *msgs, size_t n, const struct err *e);
};
struct answer_job {
    struct job job;
    int64_t channel, seq;
    void (*done)(void *arg, const struct store_msg *msg, const struct err *e);
};
struct pending_job {
    struct job job;
    void (*done)(void *arg, const struct store_pending *p, size_t n, const struct err *e);
};
struct channel_job {
    struct job job;
    struct store_channel in;
};
struct kv_job {
    struct job job;
    const char *account, *key, *value; /* value: put, or found by a get */
    int64_t expires_ms;
    void (*done)(void *arg, const char *value, int64_t expires_ms, const struct err *e);
};
struct prune_job {
    struct job job;
    int64_t before_ms;
    bool more;
    void (*done)(void *arg, bool more, const struct err *e);
};
struct bill_job {
    struct job job;
    struct store_bill in;
};
struct usage_sum_job {
    struct job job;
    enum store_usage_by by;
    int64_t since_ms, until_ms;
    void (*done)(void *arg, const struct store_usage_sum *sums, size_t n, const struct err *e);
};
struct counts_job {
    struct job job;
    int64_t now_ms;
    void (*done)(void *arg, const struct store_count *counts, size_t n, const struct err *e);
};
struct beat_job {
    struct job job;
    bool changed;
    void (*done)(void *arg, bool changed, const struct err *e);
};
struct queue_list_job {
    struct job job;
    int limit;
    void (*done)(void *arg, const struct store_item *items, size_t n, const struct err *e);
};

typedef enum err_code work_fn(struct db *db, struct job *job, struct err *e);
work_fn accept_work, turn_work, finish_work, count_tries_work, pending_work, channel_put_work; /* journal.c */
work_fn withdraw_work, posted_work, again_work, take_back_work;                       /* revise.c */
work_fn load_work, history_work, answer_work, prune_work;                            /* history.c */
work_fn out_open_work, out_named_work, out_list_work, out_try_work, out_sent_work, out_dead_work; /* outbox.c */
work_fn queue_list_work, queue_retry_work, queue_drop_work;                          /* queue.c */
work_fn kv_put_work, kv_get_work, beat_work;                                         /* facts.c */
work_fn bill_add_work, usage_sum_work, usage_prune_work;                            /* ledger.c */
work_fn counts_work;                                                                 /* count.c */
/* --- what they have in common --- */
#define MESSAGE_COLUMNS                                                                                               \
    "seq, time_ms, kind, outcome, flags, turn, id, sender, name, reply_to, lang, text, quoted, quoted_name, wish,"     \
    " answer, finish, usage"
void message_read(const struct query *q, struct job *job); /* a row of MESSAGE_COLUMNS becomes one of the result */
enum err_code message_add(struct db *db, int64_t channel, const struct store_msg *m, struct err *e);
/* Replaces the text of the sender's message `edits`: then *seq_r is its number, else 0. */
enum err_code revise_text(struct db *db, int64_t channel, const struct store_msg *m, const char *edits, int64_t *seq_r,
                          struct err *e);
/* The answer to the question, if it may be made anew; else 0. */
enum err_code revise_fresh(struct db *db, int64_t channel, int64_t question, int64_t fresh_ms, int64_t *answer_r,
                           struct err *e);
enum err_code raise_limit(struct db *db, int64_t channel, int64_t limit, struct err *e);
enum err_code fact_put(struct db *db, const char *account, const char *key, const char *value, int64_t expires_ms,
                       struct err *e);
enum err_code out_put_parts(struct db *db, const struct store_finish *f, int64_t answer, struct err *e);
/* The turn that lead leads will have no answer: what may be seen of it is taken back. */
enum err_code out_abandon(struct db *db, int64_t channel, int64_t lead, struct err *e);
enum err_code ledger_add(struct db *db, const struct store_bill *b, struct err *e);
enum err_code count_put(struct db *db, const struct store_count *c, struct err *e);
enum err_code count_prune(struct db *db, int64_t now_ms, int limit, bool *more_r, struct err *e);

#endif
