/* Small facts of accounts, and the sign of life. */
#include "plugin/base/clock.h"
#include "plugin/store/db.h"
#include "plugin/store/job.h"

enum err_code fact_put(struct db *db, const char *account, const char *key, const char *value, int64_t expires_ms,
                       struct err *e)
{
    struct query q = query_new(db, "INSERT INTO fact (account, key, value, expires_ms) VALUES (?, ?, ?, ?)"
                                   " ON CONFLICT DO UPDATE SET value = excluded.value, expires_ms = excluded.expires_ms");
    bind_text(&q, account);
    bind_text(&q, key);
    bind_text(&q, value);
    bind_int(&q, expires_ms);
    return query_run(&q, e);
}

static enum err_code fact_remove(struct db *db, const char *account, const char *key, struct err *e)
{
    struct query q = query_new(db, "DELETE FROM fact WHERE account = ? AND key = ?");
    bind_text(&q, account);
    bind_text(&q, key);
    return query_run(&q, e);
}

enum err_code kv_put_work(struct db *db, struct job *job, struct err *e)
{
    const struct kv_job *j = (const struct kv_job *)job;
    if (!j->value)
        return fact_remove(db, j->account, j->key, e);
    return fact_put(db, j->account, j->key, j->value, j->expires_ms, e);
}

enum err_code kv_get_work(struct db *db, struct job *job, struct err *e)
{
    struct kv_job *j = (struct kv_job *)job;
    struct query q = query_new(db, "SELECT value, expires_ms FROM fact WHERE account = ? AND key = ?");
    bind_text(&q, j->account);
    bind_text(&q, j->key);
    j->value = NULL;
    j->expires_ms = 0;
    if (query_step(&q)) {
        j->value = column_text(&q, 0, job_arena(job));
        j->expires_ms = column_int(&q, 1);
    }
    return query_end(&q, e);
}

enum err_code beat_work(struct db *db, struct job *job, struct err *e)
{
    struct query q = query_new(db, "PRAGMA data_version");
    if (query_step(&q))
        db->version = column_int(&q, 0);
    enum err_code code = query_end(&q, e);
    if (code)
        return code;
    ((struct beat_job *)job)->changed = db->version != db->version_seen;
    q = query_new(db, "INSERT INTO beat (one, time_ms) VALUES (1, ?)"
                      " ON CONFLICT DO UPDATE SET time_ms = excluded.time_ms");
    bind_int(&q, clock_wall_ms());
    return query_run(&q, e);
}
