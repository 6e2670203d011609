/* What answers cost: one row each, and sums over them. */
#include "plugin/base/decimal.h"
#include "plugin/store/db.h"
#include "plugin/store/job.h"

#define PRUNE_ROWS 1000 /* per store_usage_prune */

/* --- adding up --- */
/* SQLite's sum() fails where a number becomes too large, and one absurd row
 * would do; this one stays at the end of the numbers. */
static void add_step(sqlite3_context *context, int n, sqlite3_value **values)
{
    int64_t *sum = sqlite3_aggregate_context(context, sizeof *sum);
    (void)n;
    if (sum)
        *sum = decimal_add(*sum, sqlite3_value_int64(values[0]));
}

static void add_final(sqlite3_context *context)
{
    int64_t *sum = sqlite3_aggregate_context(context, 0);
    sqlite3_result_int64(context, sum ? *sum : 0);
}

int ledger_functions(struct db *db)
{
    return sqlite3_create_function(db->sqlite, "total_up", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, NULL, add_step,
                                   add_final);
}

/* --- rows --- */
static int64_t not_negative(int64_t n)
{
    return n > 0 ? n : 0;
}

static enum err_code add_row(struct db *db, const struct store_usage *u, struct err *e)
{
    struct query q = query_new(db, "INSERT INTO ledger (time_ms, turn, account, channel, person, bot, model, server_model,"
                                   " prompt, cached, cache_write, completion, reasoning, cost, currency, estimated, raw)"
                                   " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,"
                                   " CASE WHEN ?15 IS NOT NULL THEN ?14 END, ?15, ?16, ?17)");
    bind_int(&q, u->time_ms);
    bind_int(&q, u->turn);
    bind_text(&q, u->account);
    bind_text(&q, u->channel);
    bind_text(&q, u->person);
    bind_text(&q, u->bot);
    bind_text(&q, u->model);
    bind_text(&q, u->server_model);
    bind_int(&q, not_negative(u->prompt));
    bind_int(&q, not_negative(u->cached));
    bind_int(&q, not_negative(u->cache_write));
    bind_int(&q, not_negative(u->completion));
    bind_int(&q, not_negative(u->reasoning));
    bind_int(&q, not_negative(u->cost));
    bind_text(&q, u->currency);
    bind_int(&q, u->estimated);
    bind_text(&q, u->raw);
    return query_run(&q, e);
}

enum err_code ledger_add(struct db *db, const struct store_bill *b, struct err *e)
{
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < b->n_usage && !code; i++)
        code = add_row(db, &b->usage[i], e);
    for (size_t i = 0; i < b->n_counts && !code; i++)
        code = count_put(db, &b->counts[i], e);
    return code;
}

enum err_code bill_add_work(struct db *db, struct job *job, struct err *e)
{
    return ledger_add(db, &((const struct bill_job *)job)->in, e);
}

/* --- sums --- */
#define SUMS(key)                                                                                                        \
    "SELECT " key ", currency, count(*), count(*) FILTER (WHERE estimated), total_up(prompt), total_up(cached),"         \
    " total_up(cache_write), total_up(completion), total_up(reasoning), total_up(cost) FROM ledger"                      \
    " WHERE time_ms >= ?1 AND time_ms < ?2 GROUP BY 1, 2 ORDER BY 1, 2"

enum err_code usage_sum_work(struct db *db, struct job *job, struct err *e)
{
    static const char *const sums[] = {
        [STORE_BY_ACCOUNT] = SUMS("account"),
        [STORE_BY_CHANNEL] = SUMS("channel"),
        [STORE_BY_PERSON] = SUMS("coalesce(account || ':' || person, '')"),
        [STORE_BY_MODEL] = SUMS("model"),
        [STORE_BY_DAY] = SUMS("date(time_ms / 1000, 'unixepoch', 'localtime')"),
    };
    const struct usage_sum_job *j = (const struct usage_sum_job *)job;
    struct query q = query_new(db, sums[j->by]);
    bind_int(&q, j->since_ms);
    bind_int(&q, j->until_ms);
    while (query_step(&q)) {
        struct store_usage_sum *s = job_row(job, sizeof *s);
        s->key = column_text(&q, 0, job_arena(job));
        s->currency = column_text(&q, 1, job_arena(job));
        s->answers = column_int(&q, 2);
        s->estimated = column_int(&q, 3);
        s->prompt = column_int(&q, 4);
        s->cached = column_int(&q, 5);
        s->cache_write = column_int(&q, 6);
        s->completion = column_int(&q, 7);
        s->reasoning = column_int(&q, 8);
        s->cost = column_int(&q, 9);
    }
    return query_end(&q, e);
}

enum err_code usage_prune_work(struct db *db, struct job *job, struct err *e)
{
    struct prune_job *j = (struct prune_job *)job;
    struct query q = query_new(db, "DELETE FROM ledger WHERE id IN"
                                   " (SELECT id FROM ledger WHERE time_ms < ?1 ORDER BY time_ms LIMIT ?2)");
    bind_int(&q, j->before_ms);
    bind_int(&q, PRUNE_ROWS);
    int64_t removed;
    enum err_code code = query_change(&q, &removed, e);
    j->more = removed == PRUNE_ROWS;
    return code;
}
