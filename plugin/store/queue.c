/* `warbler queue`: what waits and what failed for good.
 *
 * An item is a question, with what is to become of it: it waits for an answer,
 * it is a dead letter, or parts of its answer wait or cannot be sent. So its
 * number is made of the question's place, channel and seq, and stays the same
 * without being stored: their bits take turns, so that the numbers of a small
 * store are short enough to type. */
#include "plugin/store/db.h"
#include "plugin/store/job.h"

#define PLACE_BITS 32 /* of seq (STORE_SEQ_MAX); no disk holds 2^31 channels */

static uint64_t spread(int64_t place)
{
    uint64_t bits = 0;
    for (int i = 0; i < PLACE_BITS; i++)
        bits |= ((uint64_t)place >> i & 1) << 2 * i;
    return bits;
}

static int64_t gather(uint64_t bits)
{
    uint64_t place = 0;
    for (int i = 0; i < PLACE_BITS; i++)
        place |= (bits >> 2 * i & 1) << i;
    return (int64_t)place;
}

static int64_t item_id(int64_t channel, int64_t seq)
{
    return (int64_t)(spread(channel) << 1 | spread(seq));
}

static int64_t item_channel(int64_t id)
{
    return gather((uint64_t)id >> 1);
}

static int64_t item_seq(int64_t id)
{
    return gather((uint64_t)id);
}

/* --- list --- */
#define QUESTION_COLUMNS "m.channel, m.seq, m.outcome = 4, c.account, c.name, m.text, m.reason, m.time_ms, m.tries"

/* Dead letters first, each kind oldest first. Parts stand for themselves only
 * where their question is not an item already: a dead letter's notice. Of the
 * parts of one answer the first that cannot be sent speaks, else the next. */
static const char list_sql[] =
    "SELECT " QUESTION_COLUMNS " FROM message m INDEXED BY message_dead JOIN channel c ON c.id = m.channel"
    " WHERE m.kind = 1 AND m.outcome = 4 "
    "UNION ALL "
    "SELECT " QUESTION_COLUMNS " FROM message m INDEXED BY message_pending JOIN channel c ON c.id = m.channel"
    " WHERE m.kind = 1 AND m.outcome = 0 "
    "UNION ALL "
    "SELECT o.channel, o.turn, o.dead, c.account, c.name, o.text, o.reason, o.time_ms, o.attempts FROM"
    " (SELECT *, row_number() OVER (PARTITION BY channel, turn ORDER BY dead DESC, id) AS nth FROM outbox) AS o"
    " JOIN channel c ON c.id = o.channel"
    " WHERE o.nth = 1 AND NOT EXISTS (SELECT 1 FROM message m WHERE m.channel = o.channel AND m.seq = o.turn"
    " AND m.kind = 1 AND m.outcome IN (0, 4)) "
    "ORDER BY 3 DESC, 8, 1, 2 LIMIT ?";

enum err_code queue_list_work(struct db *db, struct job *job, struct err *e)
{
    const struct queue_list_job *j = (const struct queue_list_job *)job;
    struct query q = query_new(db, list_sql);
    bind_int(&q, job_limit(j->limit));
    while (query_step(&q)) {
        struct store_item *item = job_row(job, sizeof *item);
        struct arena *arena = job_arena(job);
        item->id = item_id(column_int(&q, 0), column_int(&q, 1));
        item->dead = column_int(&q, 2) != 0;
        item->account = column_text(&q, 3, arena);
        item->channel = column_text(&q, 4, arena);
        item->text = column_text(&q, 5, arena);
        item->reason = column_text(&q, 6, arena);
        item->time_ms = column_int(&q, 7);
        item->tries = (int)column_int(&q, 8);
    }
    return query_end(&q, e);
}

/* --- retry and drop --- */
/* One change to an item, by its channel and seq. */
static enum err_code change(struct db *db, const char *literal, int64_t id, int64_t *changed_r, struct err *e)
{
    struct query q = query_new(db, literal);
    bind_int(&q, item_channel(id));
    bind_int(&q, item_seq(id));
    return query_change(&q, changed_r, e);
}

/* What is left of an earlier end of a question that is open again, or closed now. */
static enum err_code remove_dead_parts(struct db *db, int64_t id, struct err *e)
{
    int64_t changed;
    return change(db, "DELETE FROM outbox WHERE channel = ? AND turn = ? AND dead = 1", id, &changed, e);
}

static enum err_code no_such_item(int64_t id, struct err *e)
{
    return err_set(e, ERR_NOT_FOUND, "nothing in the queue has the number %lld", (long long)id);
}

/* A dead letter is asked alone: the others of its turn are items of their own. */
enum err_code queue_retry_work(struct db *db, struct job *job, struct err *e)
{
    int64_t id = ((const struct row_job *)job)->id, changed;
    enum err_code code = change(db,
                                "UPDATE message SET tries = 0, turn = CASE outcome WHEN 4 THEN 0 ELSE turn END,"
                                " outcome = 0, answer = 0, reason = NULL"
                                " WHERE channel = ? AND seq = ? AND kind = 1 AND outcome IN (0, 4)",
                                id, &changed, e);
    if (!code && changed)
        return remove_dead_parts(db, id, e);
    if (!code)
        code = change(db,
                      "UPDATE outbox SET attempts = CASE dead WHEN 1 THEN 0 ELSE attempts END, dead = 0, reason = NULL"
                      " WHERE channel = ? AND turn = ?",
                      id, &changed, e);
    return code || changed ? code : no_such_item(id, e);
}

/* Those who wait for an answer together with this one must not lose theirs. */
static enum err_code free_followers(struct db *db, int64_t id, struct err *e)
{
    int64_t changed;
    return change(db, "UPDATE message INDEXED BY message_pending SET turn = 0"
                      " WHERE channel = ? AND turn = ? AND kind = 1 AND outcome = 0",
                  id, &changed, e);
}

enum err_code queue_drop_work(struct db *db, struct job *job, struct err *e)
{
    int64_t id = ((const struct row_job *)job)->id, changed;
    enum err_code code = change(db,
                                "UPDATE message SET outcome = 3, reason = 'dropped by hand'"
                                " WHERE channel = ? AND seq = ? AND kind = 1 AND outcome IN (0, 4)",
                                id, &changed, e);
    if (!code && changed) {
        code = free_followers(db, id, e);
        if (!code)
            code = out_abandon(db, item_channel(id), item_seq(id), e);
        return code ? code : remove_dead_parts(db, id, e);
    }
    if (!code)
        code = change(db, "DELETE FROM outbox WHERE channel = ? AND turn = ?", id, &changed, e);
    return code || changed ? code : no_such_item(id, e);
}
