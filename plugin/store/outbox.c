/* Messages on their way to platforms. In the SQL, kind 0 is STORE_OUT_SEND,
 * 1 OPEN, 2 EDIT, 3 REMOVE; flag 64 is STORE_AGAIN. */
#include "plugin/base/clock.h"
#include "plugin/store/db.h"
#include "plugin/store/job.h"

/* --- reading --- */
/* q is the question, m the answer; an open row has no answer of its own yet. */
#define SELECT_OUT                                                                                                    \
    "SELECT o.id, o.kind, c.account, c.name, o.txn, o.text, o.platform_id, coalesce(m.reply_to,"                       \
    " CASE WHEN q.flags & 64 THEN q.reply_to ELSE q.id END), m.finish, m.usage, m.kind, o.turn, o.answer, o.part,"     \
    " o.n_parts, o.attempts FROM outbox o"                                                                             \
    " JOIN channel c ON c.id = o.channel"                                                                              \
    " LEFT JOIN message m ON m.channel = o.channel AND m.seq = o.answer"                                               \
    " LEFT JOIN message q ON q.channel = o.channel AND q.seq = o.turn "

static void read_out(const struct query *q, struct job *job)
{
    struct store_out *o = job_row(job, sizeof *o);
    struct arena *arena = job_arena(job);
    o->id = column_int(q, 0);
    o->kind = (enum store_out_kind)column_int(q, 1);
    o->account = column_text(q, 2, arena);
    o->channel = column_text(q, 3, arena);
    o->txn = column_text(q, 4, arena);
    o->text = column_text(q, 5, arena);
    o->platform_id = column_text(q, 6, arena);
    o->reply_to = column_text(q, 7, arena);
    o->finish = column_text(q, 8, arena);
    o->usage = column_text(q, 9, arena);
    o->notice = column_int(q, 10) == STORE_NOTICE;
    o->turn = column_int(q, 11);
    o->answer = column_int(q, 12);
    o->part = (int)column_int(q, 13);
    o->n_parts = (int)column_int(q, 14);
    o->attempts = (int)column_int(q, 15);
}

enum err_code out_list_work(struct db *db, struct job *job, struct err *e)
{
    const struct out_list_job *j = (const struct out_list_job *)job;
    struct query q = query_new(db, SELECT_OUT "WHERE o.id > ? AND o.dead = 0 ORDER BY o.id LIMIT ?");
    bind_int(&q, j->after);
    bind_int(&q, job_limit(j->limit));
    while (query_step(&q))
        read_out(&q, job);
    return query_end(&q, e);
}

/* --- answers that grow --- */
static enum err_code find_open(struct db *db, struct job *job, const struct store_open *in, struct err *e)
{
    struct query q = query_new(db, SELECT_OUT "WHERE o.channel = ? AND o.turn = ? AND o.kind = 1");
    bind_int(&q, in->channel_id);
    bind_int(&q, in->lead);
    if (query_step(&q))
        read_out(&q, job);
    return query_end(&q, e);
}

/* The message that it takes over is known by its end, or waits for it in a row of its own. */
static enum err_code add_open(struct db *db, const struct store_open *in, struct err *e)
{
    struct query q = query_new(
        db, "INSERT INTO outbox (kind, channel, turn, answer, part, n_parts, time_ms, txn, text, platform_id)"
            " VALUES (1, ?1, ?2, ?3, 0, 1, ?4, ?5, coalesce((SELECT text FROM message WHERE channel = ?1 AND seq = ?3), ''),"
            " coalesce((SELECT platform_id FROM posted WHERE channel = ?1 AND answer = ?3 AND part = 0),"
            " (SELECT platform_id FROM outbox WHERE channel = ?1 AND answer = ?3 AND ?3 <> 0 AND part = 0)))");
    bind_int(&q, in->channel_id);
    bind_int(&q, in->lead);
    bind_int(&q, in->adopts);
    bind_int(&q, clock_wall_ms());
    bind_text(&q, in->txn);
    return query_run(&q, e);
}

/* From here on the question leads its turn: it will not be asked together with others. */
static enum err_code lead_turn(struct db *db, const struct store_open *in, struct err *e)
{
    struct query q = query_new(db, "UPDATE message SET turn = seq WHERE channel = ? AND seq = ? AND kind = 1"
                                   " AND outcome = 0");
    bind_int(&q, in->channel_id);
    bind_int(&q, in->lead);
    int64_t changed;
    enum err_code code = query_change(&q, &changed, e);
    if (!code && !changed)
        code = err_set(e, ERR_EXISTS, "question %lld in channel %lld is decided already", (long long)in->lead,
                       (long long)in->channel_id);
    return code;
}

enum err_code out_open_work(struct db *db, struct job *job, struct err *e)
{
    struct out_open_job *j = (struct out_open_job *)job;
    j->fresh = false;
    enum err_code code = lead_turn(db, &j->in, e);
    if (!code)
        code = find_open(db, job, &j->in, e);
    if (code || job->rows.n)
        return code;
    j->fresh = true;
    code = add_open(db, &j->in, e);
    return code ? code : find_open(db, job, &j->in, e);
}

enum err_code out_named_work(struct db *db, struct job *job, struct err *e)
{
    const struct row_job *j = (const struct row_job *)job;
    struct query q = query_new(db, "UPDATE outbox SET platform_id = ?2 WHERE id = ?1");
    bind_int(&q, j->id);
    bind_text(&q, j->text);
    return query_run(&q, e);
}

/* What took over an older answer's message gives it back. */
enum err_code out_abandon(struct db *db, int64_t channel, int64_t lead, struct err *e)
{
    struct query q = query_new(db, "UPDATE outbox SET kind = CASE answer WHEN 0 THEN 3 ELSE 2 END"
                                   " WHERE channel = ? AND turn = ? AND kind = 1");
    bind_int(&q, channel);
    bind_int(&q, lead);
    return query_run(&q, e);
}

/* --- the parts of an answer --- */
static enum err_code close_open(struct db *db, const struct store_finish *f, int64_t answer, int64_t *closed_r,
                                struct err *e)
{
    struct query q = query_new(db, "UPDATE outbox SET kind = CASE ?5 WHEN 1 THEN 0 ELSE 2 END, answer = ?3, text = ?4,"
                                   " n_parts = ?6, platform_id = CASE ?5 WHEN 1 THEN NULL ELSE platform_id END"
                                   " WHERE channel = ?1 AND turn = ?2 AND kind = 1");
    bind_int(&q, f->channel_id);
    bind_int(&q, f->lead);
    bind_int(&q, answer);
    bind_text(&q, f->parts[0].text);
    bind_int(&q, f->untouched && !f->adopts);
    bind_int(&q, (int64_t)f->n_parts);
    return query_change(&q, closed_r, e);
}

static enum err_code add_part(struct db *db, const struct store_finish *f, int64_t answer, size_t i, struct err *e)
{
    struct query q = query_new(db, "INSERT INTO outbox (channel, turn, answer, part, n_parts, time_ms, txn, text, kind,"
                                   " platform_id) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, CASE WHEN it IS NULL THEN 0 ELSE 2 END,"
                                   " it FROM (SELECT (SELECT platform_id FROM posted WHERE channel = ?1 AND answer = ?9"
                                   " AND part = ?4) AS it)");
    bind_int(&q, f->channel_id);
    bind_int(&q, f->lead);
    bind_int(&q, answer);
    bind_int(&q, (int64_t)i);
    bind_int(&q, (int64_t)f->n_parts);
    bind_int(&q, clock_wall_ms());
    bind_text(&q, f->parts[i].txn);
    bind_text(&q, f->parts[i].text);
    bind_int(&q, f->adopts);
    return query_run(&q, e);
}

static enum err_code forget_posted(struct db *db, int64_t channel, int64_t answer, struct err *e)
{
    struct query q = query_new(db, "DELETE FROM posted WHERE channel = ? AND answer = ?");
    bind_int(&q, channel);
    bind_int(&q, answer);
    return query_run(&q, e);
}

/* What an older answer has more of goes. */
static enum err_code remove_rest(struct db *db, const struct store_finish *f, int64_t answer, struct err *e)
{
    struct query q = query_new(db, "INSERT INTO outbox (kind, channel, turn, answer, part, n_parts, time_ms, txn, text,"
                                   " platform_id) SELECT 3, channel, ?2, ?3, part, ?4, ?5, ?6 || '-' || part, '', platform_id"
                                   " FROM posted WHERE channel = ?1 AND answer = ?7 AND part >= ?4 ORDER BY part");
    bind_int(&q, f->channel_id);
    bind_int(&q, f->lead);
    bind_int(&q, answer);
    bind_int(&q, (int64_t)f->n_parts);
    bind_int(&q, clock_wall_ms());
    bind_text(&q, f->parts[0].txn);
    bind_int(&q, f->adopts);
    enum err_code code = query_run(&q, e);
    return code ? code : forget_posted(db, f->channel_id, f->adopts, e);
}

enum err_code out_put_parts(struct db *db, const struct store_finish *f, int64_t answer, struct err *e)
{
    if (f->n_parts == 0)
        return out_abandon(db, f->channel_id, f->lead, e);
    int64_t closed;
    enum err_code code = close_open(db, f, answer, &closed, e);
    for (size_t i = closed ? 1 : 0; i < f->n_parts && !code; i++)
        code = add_part(db, f, answer, i, e);
    return code || !f->adopts ? code : remove_rest(db, f, answer, e);
}

/* --- the end of a part --- */
enum err_code out_try_work(struct db *db, struct job *job, struct err *e)
{
    const struct row_job *j = (const struct row_job *)job;
    struct query q = query_new(db, "UPDATE outbox SET attempts = attempts + 1 WHERE id = ? AND dead = 0");
    bind_int(&q, j->id);
    int64_t changed;
    enum err_code code = query_change(&q, &changed, e);
    if (!code && !changed)
        code = err_set(e, ERR_NOT_FOUND, "part %lld does not wait any more", (long long)j->id);
    return code;
}

static enum err_code keep_platform_id(struct db *db, int64_t part, const char *platform_id, struct err *e)
{
    struct query q = query_new(db, "INSERT OR REPLACE INTO posted SELECT channel, answer, part, coalesce(platform_id, ?2)"
                                   " FROM outbox WHERE id = ?1 AND kind IN (0, 2) AND answer <> 0"
                                   " AND coalesce(platform_id, ?2) IS NOT NULL AND NOT EXISTS"
                                   " (SELECT 1 FROM outbox r WHERE r.channel = outbox.channel AND r.answer = outbox.answer"
                                   " AND r.part = outbox.part AND r.kind = 3)");
    bind_int(&q, part);
    bind_text(&q, platform_id);
    return query_run(&q, e);
}

/* Where it is to be removed, that waited for its name. */
static enum err_code name_removals(struct db *db, int64_t part, const char *platform_id, struct err *e)
{
    struct query q = query_new(db, "UPDATE outbox SET platform_id = coalesce(it.platform_id, ?2) FROM"
                                   " (SELECT id, channel, answer, part, platform_id FROM outbox WHERE id = ?1) AS it"
                                   " WHERE outbox.channel = it.channel AND outbox.answer = it.answer AND outbox.answer <> 0"
                                   " AND outbox.part = it.part AND outbox.kind = 3 AND outbox.id <> it.id");
    bind_int(&q, part);
    bind_text(&q, platform_id);
    return query_run(&q, e);
}

enum err_code out_sent_work(struct db *db, struct job *job, struct err *e)
{
    const struct row_job *j = (const struct row_job *)job;
    enum err_code code = keep_platform_id(db, j->id, j->text, e);
    if (!code)
        code = name_removals(db, j->id, j->text, e);
    if (code)
        return code;
    struct query q = query_new(db, "DELETE FROM outbox WHERE id = ?");
    bind_int(&q, j->id);
    return query_run(&q, e);
}

enum err_code out_dead_work(struct db *db, struct job *job, struct err *e)
{
    const struct row_job *j = (const struct row_job *)job;
    struct query q = query_new(db, "UPDATE outbox SET dead = 1, reason = ?2 FROM"
                                   " (SELECT channel, turn, answer, part FROM outbox WHERE id = ?1) AS it"
                                   " WHERE outbox.channel = it.channel AND outbox.turn = it.turn"
                                   " AND outbox.answer = it.answer AND outbox.part >= it.part");
    bind_int(&q, j->id);
    bind_text(&q, j->text);
    return query_run(&q, e);
}
