/* Counters of people's limits. */
#include "plugin/store/db.h"
#include "plugin/store/job.h"

enum err_code count_put(struct db *db, const struct store_count *c, struct err *e)
{
    struct query q = query_new(db, "INSERT INTO count (key, begin_ms, end_ms, messages, tokens, money)"
                                   " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET begin_ms = excluded.begin_ms,"
                                   " end_ms = excluded.end_ms, messages = excluded.messages, tokens = excluded.tokens,"
                                   " money = excluded.money");
    bind_text(&q, c->key);
    bind_int(&q, c->begin_ms);
    bind_int(&q, c->end_ms);
    bind_int(&q, c->messages);
    bind_int(&q, c->tokens);
    bind_int(&q, c->money);
    return query_run(&q, e);
}

enum err_code counts_work(struct db *db, struct job *job, struct err *e)
{
    struct query q = query_new(db, "SELECT key, begin_ms, end_ms, messages, tokens, money FROM count WHERE end_ms > ? ORDER BY key");
    bind_int(&q, ((const struct counts_job *)job)->now_ms);
    while (query_step(&q)) {
        struct store_count *c = job_row(job, sizeof *c);
        c->key = column_text(&q, 0, job_arena(job));
        c->begin_ms = column_int(&q, 1);
        c->end_ms = column_int(&q, 2);
        c->messages = column_int(&q, 3);
        c->tokens = column_int(&q, 4);
        c->money = column_int(&q, 5);
    }
    return query_end(&q, e);
}

enum err_code count_prune(struct db *db, int64_t now_ms, int limit, bool *more_r, struct err *e)
{
    struct query q = query_new(db, "DELETE FROM count WHERE key IN (SELECT key FROM count WHERE end_ms <= ?1 LIMIT ?2)");
    bind_int(&q, now_ms);
    bind_int(&q, limit);
    int64_t removed;
    enum err_code code = query_change(&q, &removed, e);
    *more_r = removed == limit;
    return code;
}
