/* The calls of store.h: how each one's arguments are packed into a job, and how
 * the job's result is called back. */
#include "plugin/store/job.h"
#include "plugin/store/store.h"

static void deliver_plain(struct job *job, const struct err *e)
{
    if (job->done)
        job->done(job->arg, e);
}

/* --- the journal --- */
static void pack_msg(struct pack *p, struct store_msg *m)
{
    pack_text(p, &m->id);
    pack_text(p, &m->sender);
    pack_text(p, &m->name);
    pack_text(p, &m->reply_to);
    pack_text(p, &m->lang);
    pack_text(p, &m->text);
    pack_text(p, &m->quoted);
    pack_text(p, &m->quoted_name);
    pack_text(p, &m->wish);
    pack_text(p, &m->finish);
    pack_text(p, &m->usage);
}

static void pack_accept(struct job *job, struct pack *p)
{
    struct accept_job *j = (struct accept_job *)job;
    pack_text(p, &j->in.account);
    pack_text(p, &j->in.channel);
    pack_text(p, &j->in.position);
    pack_text(p, &j->in.edits);
    pack_msg(p, &j->in.msg);
    pack_text(p, &j->room.name);
    pack_text(p, &j->room.topic);
    pack_text(p, &j->room.aliases);
}

static void deliver_accept(struct job *job, const struct err *e)
{
    static const struct store_accepted nothing;
    struct accept_job *j = (struct accept_job *)job;
    j->out.edited = job->rows.n ? job->rows.items : NULL;
    j->done(job->arg, e->code ? &nothing : &j->out, e);
}

void store_accept(struct store *s, const struct store_accept *a,
                  void (*done)(void *arg, const struct store_accepted *r, const struct err *e), void *arg)
{
    static const struct job_type type = { sizeof(struct accept_job), pack_accept, accept_work, deliver_accept };
    struct accept_job j = { .job = { .type = &type, .arg = arg }, .in = *a, .done = done };
    if (a->room)
        j.room = *a->room;
    job_submit(s, &j.job);
}

static void pack_turn(struct job *job, struct pack *p)
{
    struct turn_job *j = (struct turn_job *)job;
    j->seqs = pack_array(p, j->seqs, j->n * sizeof *j->seqs);
    j->drop = pack_array(p, j->drop, j->n_drop * sizeof *j->drop);
}

/* NOLINTNEXTLINE(readability-function-size): the contract's parameters */
void store_turn(struct store *s, int64_t channel_id, int64_t lead, const int64_t *seqs, size_t n, const int64_t *drop,
                size_t n_drop, void (*done)(void *arg, const struct err *e), void *arg)
{
    static const struct job_type type = { sizeof(struct turn_job), pack_turn, turn_work, deliver_plain };
    struct turn_job j = { .job = { .type = &type, .done = done, .arg = arg },
                          .channel = channel_id,
                          .lead = lead,
                          .seqs = seqs,
                          .n = n,
                          .drop = drop,
                          .n_drop = n_drop };
    job_submit(s, &j.job);
}

static void pack_usage(struct pack *p, struct store_usage *u)
{
    pack_text(p, &u->account);
    pack_text(p, &u->channel);
    pack_text(p, &u->person);
    pack_text(p, &u->bot);
    pack_text(p, &u->model);
    pack_text(p, &u->server_model);
    pack_text(p, &u->currency);
    pack_text(p, &u->raw);
}

static void pack_bill_arrays(struct pack *p, struct store_bill *b)
{
    b->usage = pack_array(p, b->usage, b->n_usage * sizeof *b->usage);
    b->counts = pack_array(p, b->counts, b->n_counts * sizeof *b->counts);
}

static void pack_bill_texts(struct pack *p, struct store_bill *b)
{
    struct store_usage *usage = (struct store_usage *)b->usage;
    struct store_count *counts = (struct store_count *)b->counts;
    for (size_t i = 0; i < b->n_usage; i++)
        pack_usage(p, &usage[i]);
    for (size_t i = 0; i < b->n_counts; i++)
        pack_text(p, &counts[i].key);
}

static void pack_finish(struct job *job, struct pack *p)
{
    struct finish_job *j = (struct finish_job *)job;
    struct store_finish *f = &j->in;
    f->parts = pack_array(p, f->parts, f->n_parts * sizeof *f->parts);
    pack_bill_arrays(p, &f->bill);
    pack_bill_texts(p, &f->bill);
    struct store_part *parts = (struct store_part *)f->parts;
    for (size_t i = 0; i < f->n_parts; i++) {
        pack_text(p, &parts[i].txn);
        pack_text(p, &parts[i].text);
    }
    pack_text(p, &f->reason);
    pack_msg(p, &j->answer);
    f->account = f->channel = NULL; /* channel_id says it all */
}

void store_finish(struct store *s, const struct store_finish *f, void (*done)(void *arg, const struct err *e),
                  void *arg)
{
    static const struct job_type type = { sizeof(struct finish_job), pack_finish, finish_work, deliver_plain };
    struct finish_job j = { .job = { .type = &type, .done = done, .arg = arg }, .in = *f };
    if (f->answer)
        j.answer = *f->answer;
    job_submit(s, &j.job);
}

void store_count_tries(struct store *s, void (*done)(void *arg, const struct err *e), void *arg)
{
    static const struct job_type type = { sizeof(struct job), NULL, count_tries_work, deliver_plain };
    struct job j = { .type = &type, .done = done, .arg = arg };
    job_submit(s, &j);
}

static void deliver_pending(struct job *job, const struct err *e)
{
    struct pending_job *j = (struct pending_job *)job;
    j->done(job->arg, job->rows.items, job->rows.n, e);
}

void store_pending(struct store *s, void (*done)(void *arg, const struct store_pending *p, size_t n, const struct err *e),
                   void *arg)
{
    static const struct job_type type = { sizeof(struct pending_job), NULL, pending_work, deliver_pending };
    struct pending_job j = { .job = { .type = &type, .arg = arg }, .done = done };
    job_submit(s, &j.job);
}

static void pack_channel(struct job *job, struct pack *p)
{
    struct channel_job *j = (struct channel_job *)job;
    pack_text(p, &j->in.model);
    pack_text(p, &j->in.prompt);
    pack_text(p, &j->in.summary);
    pack_text(p, &j->in.pins);
    pack_text(p, &j->in.preset);
}

void store_channel_put(struct store *s, const struct store_channel *c, void (*done)(void *arg, const struct err *e),
                       void *arg)
{
    static const struct job_type type = { sizeof(struct channel_job), pack_channel, channel_put_work, deliver_plain };
    struct channel_job j = { .job = { .type = &type, .done = done, .arg = arg }, .in = *c };
    job_submit(s, &j.job);
}

/* --- history --- */
static void pack_load(struct job *job, struct pack *p)
{
    struct load_job *j = (struct load_job *)job;
    pack_text(p, &j->account);
    pack_text(p, &j->channel);
}

static void deliver_load(struct job *job, const struct err *e)
{
    struct load_job *j = (struct load_job *)job;
    struct store_loaded r = { 0 };
    if (!e->code)
        r = (struct store_loaded){ .channel = j->out, .room = j->room, .msgs = job->rows.items, .n = job->rows.n };
    j->done(job->arg, &r, e);
}

void store_load(struct store *s, const char *account, const char *channel, int n,
                void (*done)(void *arg, const struct store_loaded *r, const struct err *e), void *arg)
{
    static const struct job_type type = { sizeof(struct load_job), pack_load, load_work, deliver_load };
    struct load_job j = { .job = { .type = &type, .arg = arg },
                          .account = account,
                          .channel = channel,
                          .n = n,
                          .done = done };
    job_submit(s, &j.job);
}

static void deliver_history(struct job *job, const struct err *e)
{
    struct history_job *j = (struct history_job *)job;
    j->done(job->arg, job->rows.items, job->rows.n, e);
}

void store_history(struct store *s, int64_t channel_id, int64_t after, int limit,
                   void (*done)(void *arg, const struct store_msg *msgs, size_t n, const struct err *e), void *arg)
{
    static const struct job_type type = { sizeof(struct history_job), NULL, history_work, deliver_history };
    struct history_job j = { .job = { .type = &type, .arg = arg },
                             .channel = channel_id,
                             .after = after,
                             .limit = limit,
                             .done = done };
    job_submit(s, &j.job);
}

static void deliver_answer(struct job *job, const struct err *e)
{
    struct answer_job *j = (struct answer_job *)job;
    j->done(job->arg, job->rows.n ? job->rows.items : NULL, e);
}

void store_answer(struct store *s, int64_t channel_id, int64_t seq,
                  void (*done)(void *arg, const struct store_msg *msg, const struct err *e), void *arg)
{
    static const struct job_type type = { sizeof(struct answer_job), NULL, answer_work, deliver_answer };
    struct answer_job j = { .job = { .type = &type, .arg = arg }, .channel = channel_id, .seq = seq, .done = done };
    job_submit(s, &j.job);
}

static void deliver_prune(struct job *job, const struct err *e)
{
    struct prune_job *j = (struct prune_job *)job;
    j->done(job->arg, !e->code && j->more, e);
}

void store_prune(struct store *s, int64_t before_ms, void (*done)(void *arg, bool more, const struct err *e), void *arg)
{
    static const struct job_type type = { sizeof(struct prune_job), NULL, prune_work, deliver_prune };
    struct prune_job j = { .job = { .type = &type, .arg = arg }, .before_ms = before_ms, .done = done };
    job_submit(s, &j.job);
}

/* --- what people take back --- */
static void pack_withdraw(struct job *job, struct pack *p)
{
    struct withdraw_job *j = (struct withdraw_job *)job;
    pack_text(p, &j->account);
    pack_text(p, &j->channel);
    pack_text(p, &j->sender);
    pack_text(p, &j->id);
}

static void deliver_withdraw(struct job *job, const struct err *e)
{
    static const struct store_withdrawn nothing;
    struct withdraw_job *j = (struct withdraw_job *)job;
    j->done(job->arg, e->code ? &nothing : &j->out, e);
}

/* NOLINTNEXTLINE(readability-function-size): the contract's parameters */
void store_withdraw(struct store *s, const char *account, const char *channel, const char *sender, const char *id,
                    void (*done)(void *arg, const struct store_withdrawn *w, const struct err *e), void *arg)
{
    static const struct job_type type = { sizeof(struct withdraw_job), pack_withdraw, withdraw_work, deliver_withdraw };
    struct withdraw_job j = { .job = { .type = &type, .arg = arg }, .account = account, .channel = channel,
                              .sender = sender, .id = id, .done = done };
    job_submit(s, &j.job);
}

static void pack_posted(struct job *job, struct pack *p)
{
    struct posted_job *j = (struct posted_job *)job;
    pack_text(p, &j->account);
    pack_text(p, &j->channel);
    pack_text(p, &j->platform_id);
    pack_text(p, &j->sender);
}

static void deliver_posted(struct job *job, const struct err *e)
{
    static const struct store_posted nothing;
    struct posted_job *j = (struct posted_job *)job;
    j->done(job->arg, e->code ? &nothing : &j->out, e);
}

/* NOLINTNEXTLINE(readability-function-size): the contract's parameters */
void store_posted(struct store *s, const char *account, const char *channel, const char *platform_id, const char *sender,
                  void (*done)(void *arg, const struct store_posted *p, const struct err *e), void *arg)
{
    static const struct job_type type = { sizeof(struct posted_job), pack_posted, posted_work, deliver_posted };
    struct posted_job j = { .job = { .type = &type, .arg = arg }, .account = account, .channel = channel,
                            .platform_id = platform_id, .sender = sender, .done = done };
    job_submit(s, &j.job);
}

static void deliver_again(struct job *job, const struct err *e)
{
    struct again_job *j = (struct again_job *)job;
    j->done(job->arg, job->rows.n ? job->rows.items : NULL, e);
}

void store_again(struct store *s, const struct store_again *in,
                 void (*done)(void *arg, const struct store_msg *m, const struct err *e), void *arg)
{
    static const struct job_type type = { sizeof(struct again_job), NULL, again_work, deliver_again };
    struct again_job j = { .job = { .type = &type, .arg = arg }, .in = *in, .done = done };
    job_submit(s, &j.job);
}

void store_take_back(struct store *s, int64_t channel_id, int64_t answer, void (*done)(void *arg, const struct err *e),
                     void *arg)
{
    static const struct job_type type = { sizeof(struct turn_job), pack_turn, take_back_work, deliver_plain };
    struct turn_job j = { .job = { .type = &type, .done = done, .arg = arg }, .channel = channel_id, .lead = answer };
    job_submit(s, &j.job);
}

/* --- counters --- */
static void deliver_counts(struct job *job, const struct err *e)
{
    struct counts_job *j = (struct counts_job *)job;
    j->done(job->arg, job->rows.items, job->rows.n, e);
}

void store_counts(struct store *s, int64_t now_ms,
                  void (*done)(void *arg, const struct store_count *counts, size_t n, const struct err *e), void *arg)
{
    static const struct job_type type = { sizeof(struct counts_job), NULL, counts_work, deliver_counts };
    struct counts_job j = { .job = { .type = &type, .arg = arg }, .now_ms = now_ms, .done = done };
    job_submit(s, &j.job);
}

/* --- the ledger --- */
static void pack_bill(struct job *job, struct pack *p)
{
    struct store_bill *b = &((struct bill_job *)job)->in;
    pack_bill_arrays(p, b);
    pack_bill_texts(p, b);
}

void store_bill_add(struct store *s, const struct store_bill *b, void (*done)(void *arg, const struct err *e), void *arg)
{
    static const struct job_type type = { sizeof(struct bill_job), pack_bill, bill_add_work, deliver_plain };
    struct bill_job j = { .job = { .type = &type, .done = done, .arg = arg }, .in = *b };
    job_submit(s, &j.job);
}

static void deliver_usage_sum(struct job *job, const struct err *e)
{
    struct usage_sum_job *j = (struct usage_sum_job *)job;
    j->done(job->arg, job->rows.items, job->rows.n, e);
}

void store_usage_sum(struct store *s, enum store_usage_by by, int64_t since_ms, int64_t until_ms,
                     void (*done)(void *arg, const struct store_usage_sum *sums, size_t n, const struct err *e), void *arg)
{
    static const struct job_type type = { sizeof(struct usage_sum_job), NULL, usage_sum_work, deliver_usage_sum };
    struct usage_sum_job j = { .job = { .type = &type, .arg = arg },
                               .by = by,
                               .since_ms = since_ms,
                               .until_ms = until_ms,
                               .done = done };
    job_submit(s, &j.job);
}

void store_usage_prune(struct store *s, int64_t before_ms, void (*done)(void *arg, bool more, const struct err *e),
                       void *arg)
{
    static const struct job_type type = { sizeof(struct prune_job), NULL, usage_prune_work, deliver_prune };
    struct prune_job j = { .job = { .type = &type, .arg = arg }, .before_ms = before_ms, .done = done };
    job_submit(s, &j.job);
}

/* --- the outbox --- */
static void deliver_out_list(struct job *job, const struct err *e)
{
    struct out_list_job *j = (struct out_list_job *)job;
    j->done(job->arg, job->rows.items, job->rows.n, e);
}

void store_out_list(struct store *s, int64_t after, int limit,
                    void (*done)(void *arg, const struct store_out *outs, size_t n, const struct err *e), void *arg)
{
    static const struct job_type type = { sizeof(struct out_list_job), NULL, out_list_work, deliver_out_list };
    struct out_list_job j = { .job = { .type = &type, .arg = arg }, .after = after, .limit = limit, .done = done };
    job_submit(s, &j.job);
}

static void pack_out_open(struct job *job, struct pack *p)
{
    pack_text(p, &((struct out_open_job *)job)->in.txn);
}

static void deliver_out_open(struct job *job, const struct err *e)
{
    struct out_open_job *j = (struct out_open_job *)job;
    j->done(job->arg, e->code ? NULL : job->rows.items, j->fresh, e);
}

void store_out_open(struct store *s, const struct store_open *in,
                    void (*done)(void *arg, const struct store_out *o, bool fresh, const struct err *e), void *arg)
{
    static const struct job_type type = { sizeof(struct out_open_job), pack_out_open, out_open_work, deliver_out_open };
    struct out_open_job j = { .job = { .type = &type, .arg = arg }, .in = *in, .done = done };
    job_submit(s, &j.job);
}

static void pack_row(struct job *job, struct pack *p)
{
    struct row_job *j = (struct row_job *)job;
    pack_text(p, &j->text);
}

static void submit_row(struct store *s, const struct job_type *type, int64_t id, const char *text, job_done_fn *done,
                       void *arg)
{
    struct row_job j = { .job = { .type = type, .done = done, .arg = arg }, .id = id, .text = text };
    job_submit(s, &j.job);
}

void store_out_named(struct store *s, int64_t id, const char *platform_id, void (*done)(void *arg, const struct err *e),
                     void *arg)
{
    static const struct job_type type = { sizeof(struct row_job), pack_row, out_named_work, deliver_plain };
    submit_row(s, &type, id, platform_id, done, arg);
}

void store_out_try(struct store *s, int64_t id, void (*done)(void *arg, const struct err *e), void *arg)
{
    static const struct job_type type = { sizeof(struct row_job), pack_row, out_try_work, deliver_plain };
    submit_row(s, &type, id, NULL, done, arg);
}

void store_out_sent(struct store *s, int64_t id, const char *platform_id,
                    void (*done)(void *arg, const struct err *e), void *arg)
{
    static const struct job_type type = { sizeof(struct row_job), pack_row, out_sent_work, deliver_plain };
    submit_row(s, &type, id, platform_id, done, arg);
}

void store_out_dead(struct store *s, int64_t id, const char *reason, void (*done)(void *arg, const struct err *e),
                    void *arg)
{
    static const struct job_type type = { sizeof(struct row_job), pack_row, out_dead_work, deliver_plain };
    submit_row(s, &type, id, reason, done, arg);
}

/* --- `warbler queue` --- */
static void deliver_queue_list(struct job *job, const struct err *e)
{
    struct queue_list_job *j = (struct queue_list_job *)job;
    j->done(job->arg, job->rows.items, job->rows.n, e);
}

void store_queue_list(struct store *s, int limit,
                      void (*done)(void *arg, const struct store_item *items, size_t n, const struct err *e), void *arg)
{
    static const struct job_type type = { sizeof(struct queue_list_job), NULL, queue_list_work, deliver_queue_list };
    struct queue_list_job j = { .job = { .type = &type, .arg = arg }, .limit = limit, .done = done };
    job_submit(s, &j.job);
}

void store_queue_retry(struct store *s, int64_t id, void (*done)(void *arg, const struct err *e), void *arg)
{
    static const struct job_type type = { sizeof(struct row_job), pack_row, queue_retry_work, deliver_plain };
    submit_row(s, &type, id, NULL, done, arg);
}

void store_queue_drop(struct store *s, int64_t id, void (*done)(void *arg, const struct err *e), void *arg)
{
    static const struct job_type type = { sizeof(struct row_job), pack_row, queue_drop_work, deliver_plain };
    submit_row(s, &type, id, NULL, done, arg);
}

/* --- small facts --- */
static void pack_kv(struct job *job, struct pack *p)
{
    struct kv_job *j = (struct kv_job *)job;
    pack_text(p, &j->account);
    pack_text(p, &j->key);
    pack_text(p, &j->value);
}

void store_kv_put(struct store *s, const char *account, const char *key, const char *value, int64_t expires_ms,
                  void (*done)(void *arg, const struct err *e), void *arg)
{
    static const struct job_type type = { sizeof(struct kv_job), pack_kv, kv_put_work, deliver_plain };
    struct kv_job j = { .job = { .type = &type, .done = done, .arg = arg },
                        .account = account,
                        .key = key,
                        .value = value,
                        .expires_ms = expires_ms };
    job_submit(s, &j.job);
}

static void deliver_kv(struct job *job, const struct err *e)
{
    struct kv_job *j = (struct kv_job *)job;
    if (e->code)
        j->done(job->arg, NULL, 0, e);
    else
        j->done(job->arg, j->value, j->expires_ms, e);
}

void store_kv_get(struct store *s, const char *account, const char *key,
                  void (*done)(void *arg, const char *value, int64_t expires_ms, const struct err *e), void *arg)
{
    static const struct job_type type = { sizeof(struct kv_job), pack_kv, kv_get_work, deliver_kv };
    struct kv_job j = { .job = { .type = &type, .arg = arg }, .account = account, .key = key, .done = done };
    job_submit(s, &j.job);
}

static void deliver_beat(struct job *job, const struct err *e)
{
    struct beat_job *j = (struct beat_job *)job;
    j->done(job->arg, !e->code && j->changed, e);
}

void store_beat(struct store *s, void (*done)(void *arg, bool changed, const struct err *e), void *arg)
{
    static const struct job_type type = { sizeof(struct beat_job), NULL, beat_work, deliver_beat };
    struct beat_job j = { .job = { .type = &type, .arg = arg }, .done = done };
    job_submit(s, &j.job);
}
