/* Reading conversations back, and forgetting old ones. */
#include <assert.h>

#include "plugin/base/clock.h"
#include "plugin/store/db.h"
#include "plugin/store/job.h"

#define PRUNE_STEPS 1000 /* messages looked at, and facts dropped, by one call */

void message_read(const struct query *q, struct job *job)
{
    struct store_msg *m = job_row(job, sizeof *m);
    struct arena *arena = job_arena(job);
    int i = 0;
    m->seq = column_int(q, i++);
    m->time_ms = column_int(q, i++);
    m->kind = (enum store_kind)column_int(q, i++);
    m->outcome = (enum store_outcome)column_int(q, i++);
    m->flags = (unsigned)column_int(q, i++);
    m->turn = column_int(q, i++);
    m->id = column_text(q, i++, arena);
    m->sender = column_text(q, i++, arena);
    m->name = column_text(q, i++, arena);
    m->reply_to = column_text(q, i++, arena);
    m->lang = column_text(q, i++, arena);
    m->text = column_text(q, i++, arena);
    m->quoted = column_text(q, i++, arena);
    m->quoted_name = column_text(q, i++, arena);
    m->wish = column_text(q, i++, arena);
    m->answer = column_int(q, i++);
    m->finish = column_text(q, i++, arena);
    m->usage = column_text(q, i++, arena);
}

static enum err_code read_messages(struct query *q, struct job *job, struct err *e)
{
    while (query_step(q))
        message_read(q, job);
    return query_end(q, e);
}

/* --- store_load --- */
static enum err_code read_channel(struct db *db, struct load_job *j, struct err *e)
{
    struct query q = query_new(db, "SELECT id, seq_limit, reset_seq, muted, model, prompt, summary, summary_seq,"
                                   " pins, preset FROM channel WHERE account = ? AND name = ?");
    bind_text(&q, j->account);
    bind_text(&q, j->channel);
    j->out = (struct store_channel){ 0 };
    if (query_step(&q)) {
        j->out.id = column_int(&q, 0);
        j->out.seq_limit = column_int(&q, 1);
        j->out.reset_seq = column_int(&q, 2);
        j->out.muted = column_int(&q, 3) != 0;
        j->out.model = column_text(&q, 4, job_arena(&j->job));
        j->out.prompt = column_text(&q, 5, job_arena(&j->job));
        j->out.summary = column_text(&q, 6, job_arena(&j->job));
        j->out.summary_seq = column_int(&q, 7);
        j->out.pins = column_text(&q, 8, job_arena(&j->job));
        j->out.preset = column_text(&q, 9, job_arena(&j->job));
    }
    return query_end(&q, e);
}

/* A thread is in its chat, whose name ends at the first slash. */
static enum err_code read_room(struct db *db, struct load_job *j, struct err *e)
{
    struct query q = query_new(db, "SELECT name, topic, aliases FROM room WHERE account = ?1"
                                   " AND chat = substr(?2, 1, instr(?2 || '/', '/') - 1)");
    bind_text(&q, j->account);
    bind_text(&q, j->channel);
    j->room = (struct store_room){ 0 };
    if (query_step(&q)) {
        j->room.name = column_text(&q, 0, job_arena(&j->job));
        j->room.topic = column_text(&q, 1, job_arena(&j->job));
        j->room.aliases = column_text(&q, 2, job_arena(&j->job));
    }
    return query_end(&q, e);
}

static enum err_code read_last(struct db *db, struct load_job *j, struct err *e)
{
    struct query q = query_new(db, "SELECT " MESSAGE_COLUMNS " FROM message WHERE channel = ? AND seq > ? ORDER BY seq DESC LIMIT ?");
    bind_int(&q, j->out.id);
    bind_int(&q, j->out.reset_seq);
    bind_int(&q, job_limit(j->n));
    return read_messages(&q, &j->job, e);
}

static enum err_code read_pending(struct db *db, struct load_job *j, int64_t before, struct err *e)
{
    struct query q = query_new(db, "SELECT " MESSAGE_COLUMNS " FROM message INDEXED BY message_pending"
                                   " WHERE channel = ? AND seq < ? AND kind = 1 AND outcome = 0 ORDER BY seq DESC");
    bind_int(&q, j->out.id);
    bind_int(&q, before);
    return read_messages(&q, &j->job, e);
}

static void reverse(struct store_msg *msgs, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        struct store_msg m = msgs[i];
        msgs[i] = msgs[n - 1 - i];
        msgs[n - 1 - i] = m;
    }
}

enum err_code load_work(struct db *db, struct job *job, struct err *e)
{
    struct load_job *j = (struct load_job *)job;
    enum err_code code = read_channel(db, j, e);
    if (!code)
        code = read_room(db, j, e);
    if (code || !j->out.id)
        return code;
    code = read_last(db, j, e);
    if (code)
        return code;
    struct store_msg *msgs = job->rows.items;
    code = read_pending(db, j, job->rows.n ? msgs[job->rows.n - 1].seq : INT64_MAX, e);
    reverse(job->rows.items, job->rows.n);
    return code;
}

/* --- pages and single answers --- */
/* Names the questions of those answers that have several, the leading one last
 * (an answer replies to it). Followers and messages both come by the answer's
 * number, so one walk does for all. */
static enum err_code read_followers(struct db *db, struct job *job, int64_t channel, struct err *e)
{
    struct store_msg *m = job->rows.items, *end = m + job->rows.n;
    if (m == end)
        return ERR_OK;
    struct query q = query_new(db, "SELECT answer, id, count(*) OVER (PARTITION BY answer)"
                                   " FROM message INDEXED BY message_follower"
                                   " WHERE channel = ? AND kind = 1 AND answer <> 0 AND turn <> seq"
                                   " AND answer BETWEEN ? AND ? ORDER BY answer, seq");
    bind_int(&q, channel);
    bind_int(&q, m->seq);
    bind_int(&q, end[-1].seq);
    const char **next = NULL;
    while (query_step(&q)) {
        while (m < end && m->seq < column_int(&q, 0))
            m++;
        if (m == end || m->seq != column_int(&q, 0))
            continue; /* the answer was dropped as too old, this question is a dead letter */
        if (!m->answers) {
            size_t n = (size_t)column_int(&q, 2);
            m->answers = next = arena_alloc(job_arena(job), (n + 2) * sizeof *next);
            next[n] = m->reply_to;
            next[n + 1] = NULL;
        }
        assert(next);
        *next++ = column_text(&q, 1, job_arena(job));
    }
    return query_end(&q, e);
}

enum err_code history_work(struct db *db, struct job *job, struct err *e)
{
    const struct history_job *j = (const struct history_job *)job;
    struct query q = query_new(db, "SELECT " MESSAGE_COLUMNS " FROM message WHERE channel = ? AND seq > ? ORDER BY seq LIMIT ?");
    bind_int(&q, j->channel);
    bind_int(&q, j->after);
    bind_int(&q, job_limit(j->limit));
    enum err_code code = read_messages(&q, job, e);
    return code ? code : read_followers(db, job, j->channel, e);
}

enum err_code answer_work(struct db *db, struct job *job, struct err *e)
{
    const struct answer_job *j = (const struct answer_job *)job;
    struct query q = query_new(db, "SELECT " MESSAGE_COLUMNS " FROM message WHERE channel = ?1"
                                   " AND seq = (SELECT answer FROM message WHERE channel = ?1 AND seq = ?2)");
    bind_int(&q, j->channel);
    bind_int(&q, j->seq);
    enum err_code code = read_messages(&q, job, e);
    return code ? code : read_followers(db, job, j->channel, e);
}

/* --- store_prune --- */
/* A walk over all messages that goes on where the last call ended; in each
 * channel it ends at the first message that is young enough. */
struct place {
    int64_t channel, seq;
};

static enum err_code remove_message(struct db *db, struct place at, struct err *e)
{
    struct query posted = query_new(db, "DELETE FROM posted WHERE channel = ? AND answer = ?");
    bind_int(&posted, at.channel);
    bind_int(&posted, at.seq);
    enum err_code code = query_run(&posted, e);
    if (code)
        return code;
    struct query q = query_new(db, "DELETE FROM message WHERE channel = ? AND seq = ?");
    bind_int(&q, at.channel);
    bind_int(&q, at.seq);
    return query_run(&q, e);
}

/* Moves to the next message; channel 0 behind the last one. */
static enum err_code prune_step(struct db *db, int64_t before_ms, struct place *at, struct err *e)
{
    struct query q = query_new(db, "SELECT channel, seq, time_ms, kind = 1 AND outcome IN (0, 4) FROM message"
                                   " WHERE (channel, seq) > (?, ?) ORDER BY channel, seq LIMIT 1");
    bind_int(&q, at->channel);
    bind_int(&q, at->seq);
    *at = (struct place){ 0 };
    bool old = false, open = false;
    if (query_step(&q)) {
        *at = (struct place){ column_int(&q, 0), column_int(&q, 1) };
        old = column_int(&q, 2) < before_ms;
        open = column_int(&q, 3);
    }
    enum err_code code = query_end(&q, e);
    if (code || !at->channel)
        return code;
    if (!old)
        at->seq = INT64_MAX; /* on to the next channel */
    else if (!open)
        code = remove_message(db, *at, e);
    return code;
}

static enum err_code prune_facts(struct db *db, bool *more_r, struct err *e)
{
    struct query q = query_new(db, "DELETE FROM fact WHERE (account, key) IN"
                                   " (SELECT account, key FROM fact WHERE expires_ms > 0 AND expires_ms < ?1 LIMIT ?2)");
    bind_int(&q, clock_wall_ms());
    bind_int(&q, PRUNE_STEPS);
    int64_t removed;
    enum err_code code = query_change(&q, &removed, e);
    *more_r = removed == PRUNE_STEPS;
    return code;
}

enum err_code prune_work(struct db *db, struct job *job, struct err *e)
{
    struct prune_job *j = (struct prune_job *)job;
    struct place at = { db->prune_channel, db->prune_seq };
    bool more_facts = false, more_counts = false;
    enum err_code code = prune_facts(db, &more_facts, e);
    if (!code)
        code = count_prune(db, clock_wall_ms(), PRUNE_STEPS, &more_counts, e);
    for (int i = 0; i < PRUNE_STEPS && !code; i++) {
        code = prune_step(db, j->before_ms, &at, e);
        if (!at.channel)
            break;
    }
    if (code)
        return code;
    db->prune_channel = at.channel;
    db->prune_seq = at.seq;
    j->more = more_facts || more_counts || at.channel;
    return ERR_OK;
}
