/* Questions and the turns that answer them. */
#include "plugin/base/clock.h"
#include "plugin/store/db.h"
#include "plugin/store/job.h"

static enum err_code check_seq(int64_t seq, struct err *e)
{
    if (seq < 1 || seq > STORE_SEQ_MAX)
        return err_set(e, ERR_INVALID, "message number %lld is out of range", (long long)seq);
    return ERR_OK;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* --- channels --- */
static enum err_code find_channel(struct db *db, const char *account, const char *name, int64_t *id_r,
                                  int64_t *limit_r, struct err *e)
{
    struct query q = query_new(db, "SELECT id, seq_limit FROM channel WHERE account = ? AND name = ?");
    bind_text(&q, account);
    bind_text(&q, name);
    *id_r = *limit_r = 0;
    if (query_step(&q)) {
        *id_r = column_int(&q, 0);
        *limit_r = column_int(&q, 1);
    }
    return query_end(&q, e);
}

static enum err_code add_channel(struct db *db, const char *account, const char *name, int64_t limit, int64_t *id_r,
                                 struct err *e)
{
    struct query q = query_new(db, "INSERT INTO channel (account, name, seq_limit) VALUES (?, ?, ?)");
    bind_text(&q, account);
    bind_text(&q, name);
    bind_int(&q, limit);
    enum err_code code = query_run(&q, e);
    *id_r = sqlite3_last_insert_rowid(db->sqlite);
    return code;
}

static enum err_code write_limit(struct db *db, int64_t channel, int64_t limit, struct err *e)
{
    struct query q = query_new(db, "UPDATE channel SET seq_limit = ?2 WHERE id = ?1 AND seq_limit < ?2");
    bind_int(&q, channel);
    bind_int(&q, limit);
    return query_run(&q, e);
}

/* Mostly it is high enough already, and mostly that is known. */
enum err_code raise_limit(struct db *db, int64_t channel, int64_t limit, struct err *e)
{
    struct seq_limit *known = &db->limits[channel % DB_LIMITS_KNOWN];
    if (known->channel == channel && known->limit >= limit)
        return ERR_OK;
    enum err_code code = write_limit(db, channel, limit, e);
    if (!code)
        *known = (struct seq_limit){ channel, limit };
    return code;
}

/* Finds or makes the channel, with its limit at least this. *id: of the channel, if it is known. */
static enum err_code need_channel(struct db *db, const char *account, const char *name, int64_t limit, int64_t *id,
                                  struct err *e)
{
    int64_t old_limit = 0;
    enum err_code code = *id ? ERR_OK : find_channel(db, account, name, id, &old_limit, e);
    if (code)
        return code;
    if (!*id)
        return add_channel(db, account, name, limit, id, e);
    return old_limit < limit ? raise_limit(db, *id, limit, e) : ERR_OK;
}

enum err_code channel_put_work(struct db *db, struct job *job, struct err *e)
{
    const struct store_channel *c = &((struct channel_job *)job)->in;
    struct query q = query_new(db, "UPDATE channel SET muted = ?2, reset_seq = ?3, model = ?4, prompt = ?5,"
                                   " seq_limit = max(seq_limit, ?6), summary = ?7, summary_seq = ?8, pins = ?9,"
                                   " preset = ?10 WHERE id = ?1");
    bind_int(&q, c->id);
    bind_int(&q, c->muted);
    bind_int(&q, c->reset_seq);
    bind_text(&q, c->model);
    bind_text(&q, c->prompt);
    bind_int(&q, c->seq_limit);
    bind_text(&q, c->summary);
    bind_int(&q, c->summary_seq);
    bind_text(&q, c->pins);
    bind_text(&q, c->preset);
    int64_t changed;
    enum err_code code = query_change(&q, &changed, e);
    if (!code && !changed)
        code = err_set(e, ERR_NOT_FOUND, "no channel %lld", (long long)c->id);
    return code;
}

/* --- messages --- */
#define INSERT_MESSAGE                                                                                                   \
    "INSERT INTO message (channel, " MESSAGE_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

static void bind_message(struct query *q, int64_t channel, const struct store_msg *m)
{
    bind_int(q, channel);
    bind_int(q, m->seq);
    bind_int(q, m->time_ms);
    bind_int(q, m->kind);
    bind_int(q, m->outcome);
    bind_int(q, m->flags);
    bind_int(q, m->turn);
    bind_text(q, m->id);
    bind_text(q, m->sender);
    bind_text(q, m->name);
    bind_text(q, m->reply_to);
    bind_text(q, m->lang);
    bind_text(q, m->text);
    bind_text(q, m->quoted);
    bind_text(q, m->quoted_name);
    bind_text(q, m->wish);
    bind_int(q, m->answer);
    bind_text(q, m->finish);
    bind_text(q, m->usage);
}

enum err_code message_add(struct db *db, int64_t channel, const struct store_msg *m, struct err *e)
{
    struct query q = query_new(db, INSERT_MESSAGE);
    bind_message(&q, channel, m);
    return query_run(&q, e);
}

/* *added_r 0: its sender has said it before. */
static enum err_code message_add_once(struct db *db, int64_t channel, const struct store_msg *m, int64_t *added_r,
                                      struct err *e)
{
    struct query q = query_new(db, INSERT_MESSAGE " ON CONFLICT (channel, sender, id) WHERE kind = 1 DO NOTHING");
    bind_message(&q, channel, m);
    return query_change(&q, added_r, e);
}

static enum err_code find_first(struct db *db, const struct store_msg *m, struct store_accepted *r, struct err *e)
{
    struct query q = query_new(db, "SELECT seq, turn, outcome FROM message"
                                   " WHERE kind = 1 AND channel = ? AND sender = ? AND id = ?");
    bind_int(&q, r->channel_id);
    bind_text(&q, m->sender);
    bind_text(&q, m->id);
    if (query_step(&q)) {
        r->duplicate = true;
        r->seq = column_int(&q, 0);
        r->turn = column_int(&q, 1);
        r->outcome = (enum store_outcome)column_int(&q, 2);
    }
    return query_end(&q, e);
}

static enum err_code put_room(struct db *db, const struct accept_job *j, struct err *e)
{
    struct query q = query_new(db, "INSERT OR REPLACE INTO room (account, chat, name, topic, aliases)"
                                   " VALUES (?1, substr(?2, 1, instr(?2 || '/', '/') - 1), ?3, ?4, ?5)");
    bind_text(&q, j->in.account);
    bind_text(&q, j->in.channel);
    bind_text(&q, j->room.name);
    bind_text(&q, j->room.topic);
    bind_text(&q, j->room.aliases);
    return query_run(&q, e);
}

static enum err_code read_edited(struct db *db, struct accept_job *j, int64_t seq, struct err *e)
{
    struct query q = query_new(db, "SELECT " MESSAGE_COLUMNS " FROM message WHERE channel = ? AND seq = ?");
    bind_int(&q, j->out.channel_id);
    bind_int(&q, seq);
    if (query_step(&q))
        message_read(&q, &j->job);
    return query_end(&q, e);
}

/* The message itself is kept to be known again, and may ask for another answer. */
static enum err_code accept_edit(struct db *db, struct accept_job *j, struct err *e)
{
    struct store_accepted *r = &j->out;
    struct store_msg m = j->in.msg;
    int64_t seq;
    enum err_code code = find_first(db, &m, r, e);
    if (code || r->duplicate)
        return code;
    code = revise_text(db, r->channel_id, &m, j->in.edits, &seq, e);
    if (!code && seq)
        code = revise_fresh(db, r->channel_id, seq, j->in.fresh_ms, &r->again, e);
    if (!code && seq)
        code = read_edited(db, j, seq, e);
    if (r->again) {
        m.outcome = r->outcome = STORE_PENDING;
        m.flags |= STORE_ADDRESSED | STORE_AGAIN;
        m.answer = r->again;
        if (!m.wish)
            m.wish = ((const struct store_msg *)j->job.rows.items)->wish;
    }
    return code ? code : message_add(db, r->channel_id, &m, e);
}

/* The message that is no repeat is the rule. */
static enum err_code accept_new(struct db *db, struct accept_job *j, struct err *e)
{
    int64_t added;
    enum err_code code = message_add_once(db, j->out.channel_id, &j->in.msg, &added, e);
    return code || added ? code : find_first(db, &j->in.msg, &j->out, e);
}

enum err_code accept_work(struct db *db, struct job *job, struct err *e)
{
    struct accept_job *j = (struct accept_job *)job;
    const struct store_accept *a = &j->in;
    const struct store_msg *m = &a->msg;
    struct store_accepted *r = &j->out;
    *r = (struct store_accepted){ .channel_id = a->channel_id, .seq = m->seq, .turn = m->turn, .outcome = m->outcome };

    enum err_code code = check_seq(m->seq, e);
    if (!code)
        code = need_channel(db, a->account, a->channel, larger(a->seq_limit, m->seq), &r->channel_id, e);
    if (!code)
        code = a->edits ? accept_edit(db, j, e) : accept_new(db, j, e);
    if (!code && a->room)
        code = put_room(db, j, e);
    if (!code && a->position)
        code = fact_put(db, a->account, STORE_KEY_POSITION, a->position, 0, e);
    return code;
}

/* --- turns --- */
static enum err_code join_turn(struct db *db, int64_t channel, int64_t seq, int64_t lead, struct err *e)
{
    struct query q = query_new(db, "UPDATE message SET turn = ?3"
                                   " WHERE channel = ?1 AND seq = ?2 AND kind = 1 AND outcome = 0");
    bind_int(&q, channel);
    bind_int(&q, seq);
    bind_int(&q, lead);
    return query_run(&q, e);
}

static enum err_code leave_silent(struct db *db, int64_t channel, int64_t seq, struct err *e)
{
    struct query q = query_new(db, "UPDATE message SET turn = 0, outcome = 3"
                                   " WHERE channel = ?1 AND seq = ?2 AND kind = 1 AND outcome = 0");
    bind_int(&q, channel);
    bind_int(&q, seq);
    return query_run(&q, e);
}

enum err_code turn_work(struct db *db, struct job *job, struct err *e)
{
    const struct turn_job *j = (const struct turn_job *)job;
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < j->n && !code; i++)
        code = join_turn(db, j->channel, j->seqs[i], j->lead, e);
    for (size_t i = 0; i < j->n_drop && !code; i++) {
        code = leave_silent(db, j->channel, j->drop[i], e);
        if (!code)
            code = out_abandon(db, j->channel, j->drop[i], e);
    }
    return code;
}

/* --- the end of a turn --- */
/* Whether this question may still be decided: ERR_EXISTS if it is already. */
static enum err_code check_pending(struct db *db, int64_t channel, int64_t seq, struct err *e)
{
    struct query q = query_new(db, "SELECT outcome FROM message WHERE channel = ? AND seq = ? AND kind = 1");
    bind_int(&q, channel);
    bind_int(&q, seq);
    bool found = query_step(&q);
    int64_t outcome = found ? column_int(&q, 0) : 0;
    enum err_code code = query_end(&q, e);
    if (!code && !found)
        code = err_set(e, ERR_NOT_FOUND, "no question %lld in channel %lld", (long long)seq, (long long)channel);
    if (!code && outcome != STORE_PENDING)
        code = err_set(e, ERR_EXISTS, "question %lld in channel %lld is decided already", (long long)seq,
                       (long long)channel);
    return code;
}

static enum err_code decide(struct db *db, const struct store_finish *f, int64_t answer, struct err *e)
{
    /* By the pending ones, which are few; on its own SQLite might read the whole channel. */
    struct query q = query_new(db, "UPDATE message INDEXED BY message_pending"
                                   " SET outcome = ?3, turn = ?2, answer = ?4, reason = ?5"
                                   " WHERE channel = ?1 AND kind = 1 AND outcome = 0 AND (seq = ?2 OR turn = ?2)");
    bind_int(&q, f->channel_id);
    bind_int(&q, f->lead);
    bind_int(&q, f->outcome);
    bind_int(&q, answer);
    bind_text(&q, f->reason);
    return query_run(&q, e);
}

static enum err_code add_answer(struct db *db, const struct store_finish *f, struct store_msg answer, struct err *e)
{
    answer.turn = f->lead;
    return message_add(db, f->channel_id, &answer, e);
}

/* A question that was asked again has the answer that was asked for. */
static enum err_code move_answer(struct db *db, const struct store_finish *f, int64_t answer, struct err *e)
{
    struct query q = query_new(db, "UPDATE message SET answer = ?3, outcome = ?4 WHERE (channel, seq) IN"
                                   " (SELECT q.channel, q.seq FROM message a JOIN message q ON q.channel = a.channel"
                                   " AND q.sender = a.sender AND q.id = a.reply_to AND q.kind = 1"
                                   " WHERE a.channel = ?1 AND a.seq = ?2 AND a.kind = 1 AND a.flags & 64)");
    bind_int(&q, f->channel_id);
    bind_int(&q, f->lead);
    bind_int(&q, answer);
    bind_int(&q, f->outcome);
    return query_run(&q, e);
}

static enum err_code leave_prompt(struct db *db, int64_t channel, int64_t seq, struct err *e)
{
    struct query q = query_new(db, "UPDATE message SET flags = flags | ?3 WHERE channel = ?1 AND seq = ?2");
    bind_int(&q, channel);
    bind_int(&q, seq);
    bind_int(&q, STORE_NO_PROMPT);
    return query_run(&q, e);
}

enum err_code finish_work(struct db *db, struct job *job, struct err *e)
{
    const struct finish_job *j = (const struct finish_job *)job;
    const struct store_finish *f = &j->in;
    int64_t answer = f->answer ? j->answer.seq : 0;

    enum err_code code = f->answer ? check_seq(answer, e) : ERR_OK;
    if (!code)
        code = check_pending(db, f->channel_id, f->lead, e);
    if (!code)
        code = decide(db, f, answer, e);
    if (!code && f->answer)
        code = add_answer(db, f, j->answer, e);
    if (!code && (f->adopts || f->supersedes))
        code = move_answer(db, f, answer, e);
    if (!code && f->supersedes)
        code = leave_prompt(db, f->channel_id, f->supersedes, e);
    if (!code)
        code = ledger_add(db, &f->bill, e);
    if (!code)
        code = out_put_parts(db, f, answer, e);
    int64_t limit = larger(f->seq_limit, answer);
    if (!code && limit)
        code = raise_limit(db, f->channel_id, limit, e);
    return code;
}

/* --- after a start --- */
#define OLDEST_PENDING \
    "(SELECT channel, min(seq) FROM message INDEXED BY message_pending WHERE kind = 1 AND outcome = 0 GROUP BY channel)"

enum err_code count_tries_work(struct db *db, struct job *job, struct err *e)
{
    (void)job;
    struct query q = query_new(db, "UPDATE message SET tries = tries + 1 WHERE (channel, seq) IN " OLDEST_PENDING);
    return query_run(&q, e);
}

enum err_code pending_work(struct db *db, struct job *job, struct err *e)
{
    struct query q = query_new(db, "SELECT c.account, c.name, m.tries, m.seq FROM message m JOIN channel c ON c.id = m.channel"
                                   " WHERE (m.channel, m.seq) IN " OLDEST_PENDING);
    while (query_step(&q)) {
        struct store_pending *p = job_row(job, sizeof *p);
        p->account = column_text(&q, 0, job_arena(job));
        p->channel = column_text(&q, 1, job_arena(job));
        p->tries = (int)column_int(&q, 2);
        p->seq = column_int(&q, 3);
    }
    return query_end(&q, e);
}
