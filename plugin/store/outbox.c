/* Parts of answers on their way to platforms. */
#include "plugin/store/db.h"
#include "plugin/store/job.h"

enum err_code out_list_work(struct db *db, struct job *job, struct err *e)
{
    const struct out_list_job *j = (const struct out_list_job *)job;
    struct query q = query_new(db, "SELECT o.id, c.account, c.name, o.txn, o.text, m.reply_to, m.kind, o.turn, o.part,"
                                   " o.n_parts, o.attempts FROM outbox o JOIN channel c ON c.id = o.channel"
                                   " LEFT JOIN message m ON m.channel = o.channel AND m.seq = o.answer"
                                   " WHERE o.id > ? AND o.dead = 0 ORDER BY o.id LIMIT ?");
    bind_int(&q, j->after);
    bind_int(&q, job_limit(j->limit));
    while (query_step(&q)) {
        struct store_out *o = job_row(job, sizeof *o);
        struct arena *arena = job_arena(job);
        o->id = column_int(&q, 0);
        o->account = column_text(&q, 1, arena);
        o->channel = column_text(&q, 2, arena);
        o->txn = column_text(&q, 3, arena);
        o->text = column_text(&q, 4, arena);
        o->reply_to = column_text(&q, 5, arena);
        o->notice = column_int(&q, 6) == STORE_NOTICE;
        o->turn = column_int(&q, 7);
        o->part = (int)column_int(&q, 8);
        o->n_parts = (int)column_int(&q, 9);
        o->attempts = (int)column_int(&q, 10);
    }
    return query_end(&q, e);
}

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
    struct query q = query_new(db, "UPDATE message SET platform_id = ?2 WHERE (channel, seq) IN"
                                   " (SELECT channel, answer FROM outbox WHERE id = ?1 AND part = 0)");
    bind_int(&q, part);
    bind_text(&q, platform_id);
    return query_run(&q, e);
}

enum err_code out_sent_work(struct db *db, struct job *job, struct err *e)
{
    const struct row_job *j = (const struct row_job *)job;
    enum err_code code = j->text ? keep_platform_id(db, j->id, j->text, e) : ERR_OK;
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
