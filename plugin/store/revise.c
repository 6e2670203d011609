/* What people change, take back, or want answered otherwise. In the SQL, kind 1
 * is STORE_PERSON and 2 STORE_BOT; flag 1 is STORE_ADDRESSED, 2 COMMAND, 4
 * NO_PROMPT, 64 AGAIN; outcome 0 is PENDING, 1 ANSWERED, 2 NOTICED, 3 SILENT, 5
 * WITHDRAWN. */
#include "plugin/base/clock.h"
#include "plugin/store/db.h"
#include "plugin/store/job.h"

/* One change to what has these two numbers. */
static enum err_code run2(struct db *db, const char *literal, int64_t a, int64_t b, struct err *e)
{
    struct query q = query_new(db, literal);
    bind_int(&q, a);
    bind_int(&q, b);
    return query_run(&q, e);
}

/* A channel, and the threads of what is a chat: '0' is what follows '/'. */
#define CHANNELS "c.account = ?1 AND (c.name = ?2 OR (c.name > ?2 || '/' AND c.name < ?2 || '0'))"

/* --- edits --- */
static enum err_code find_original(struct db *db, int64_t channel, const char *sender, const char *id, int64_t *seq_r,
                                   struct err *e)
{
    struct query q = query_new(db, "SELECT seq FROM message WHERE kind = 1 AND channel = ? AND sender = ? AND id = ?"
                                   " AND outcome <> 5");
    bind_int(&q, channel);
    bind_text(&q, sender);
    bind_text(&q, id);
    *seq_r = query_step(&q) ? column_int(&q, 0) : 0;
    return query_end(&q, e);
}

enum err_code revise_text(struct db *db, int64_t channel, const struct store_msg *m, const char *edits, int64_t *seq_r,
                          struct err *e)
{
    enum err_code code = find_original(db, channel, m->sender, edits, seq_r, e);
    if (code || !*seq_r)
        return code;
    struct query q = query_new(db, "UPDATE message SET text = ?3 WHERE channel = ?1 AND seq = ?2");
    bind_int(&q, channel);
    bind_int(&q, *seq_r);
    bind_text(&q, m->text);
    return query_run(&q, e);
}

/* --- another answer --- */
/* Of the later messages only questions of another turn matter, and requests of this kind that wait. */
enum err_code revise_fresh(struct db *db, int64_t channel, int64_t question, int64_t fresh_ms, int64_t *answer_r,
                           struct err *e)
{
    struct query q = query_new(
        db, "SELECT q.answer FROM message q JOIN message a ON a.channel = q.channel AND a.seq = q.answer"
            " JOIN channel c ON c.id = q.channel WHERE q.channel = ?1 AND q.seq = ?2 AND q.kind = 1 AND q.outcome IN (1, 2)"
            " AND q.flags & 3 = 1 AND a.time_ms >= ?3 AND a.seq > c.reset_seq AND NOT EXISTS"
            " (SELECT 1 FROM message l WHERE l.channel = q.channel AND l.seq > q.seq AND (l.kind = 2 AND l.seq > q.answer OR"
            " l.kind = 1 AND l.flags & 3 = 1 AND l.turn <> q.turn AND l.outcome NOT IN (3, 5)"
            " AND (l.flags & 64 = 0 OR l.outcome = 0)))");
    bind_int(&q, channel);
    bind_int(&q, question);
    bind_int(&q, fresh_ms);
    *answer_r = query_step(&q) ? column_int(&q, 0) : 0;
    return query_end(&q, e);
}

static enum err_code add_again(struct db *db, const struct store_again *in, int64_t answer, struct err *e)
{
    struct query q = query_new(
        db, "INSERT INTO message (channel, seq, time_ms, kind, outcome, flags, turn, id, sender, name, reply_to, lang, text,"
            " answer, wish) SELECT channel, ?3, ?4, 1, 0, flags & 16 | 69, 0, 'again-' || ?3, sender, name, id, lang, '', ?5, wish"
            " FROM message WHERE channel = ?1 AND seq = ?2");
    bind_int(&q, in->channel_id);
    bind_int(&q, in->question);
    bind_int(&q, in->seq);
    bind_int(&q, clock_wall_ms());
    bind_int(&q, answer);
    return query_run(&q, e);
}

static enum err_code read_row(struct db *db, struct job *job, int64_t channel, int64_t seq, struct err *e)
{
    struct query q = query_new(db, "SELECT " MESSAGE_COLUMNS " FROM message WHERE channel = ? AND seq = ?");
    bind_int(&q, channel);
    bind_int(&q, seq);
    if (query_step(&q))
        message_read(&q, job);
    return query_end(&q, e);
}

enum err_code again_work(struct db *db, struct job *job, struct err *e)
{
    const struct store_again *in = &((struct again_job *)job)->in;
    int64_t answer;
    enum err_code code = revise_fresh(db, in->channel_id, in->question, in->fresh_ms, &answer, e);
    if (code || !answer)
        return code;
    code = add_again(db, in, answer, e);
    if (!code)
        code = raise_limit(db, in->channel_id, in->seq_limit > in->seq ? in->seq_limit : in->seq, e);
    return code ? code : read_row(db, job, in->channel_id, in->seq, e);
}

/* --- the bot's message --- */
static enum err_code find_message(struct db *db, const char *literal, struct posted_job *j, struct err *e)
{
    struct query q = query_new(db, literal);
    bind_text(&q, j->account);
    bind_text(&q, j->channel);
    bind_text(&q, j->platform_id);
    if (query_step(&q)) {
        j->out.channel_id = column_int(&q, 0);
        j->out.channel = column_text(&q, 1, job_arena(&j->job));
        j->out.turn = column_int(&q, 2);
        j->out.answer = column_int(&q, 3);
    }
    return query_end(&q, e);
}

static const char in_outbox[] =
    "SELECT c.id, c.name, o.turn, CASE o.kind WHEN 1 THEN 0 ELSE o.answer END FROM channel c JOIN outbox o"
    " ON o.channel = c.id AND o.platform_id = ?3 AND o.kind IN (1, 2) WHERE " CHANNELS " ORDER BY o.id DESC LIMIT 1";
static const char in_posted[] =
    "SELECT c.id, c.name, m.turn, m.seq FROM channel c JOIN posted p ON p.channel = c.id AND p.platform_id = ?3"
    " JOIN message m ON m.channel = p.channel AND m.seq = p.answer WHERE " CHANNELS " ORDER BY p.answer DESC LIMIT 1";

/* Whoever sent any message of the turn asked. */
static enum err_code find_asker(struct db *db, struct posted_job *j, struct err *e)
{
    struct query q = query_new(
        db, "SELECT coalesce(o.seq, m.seq), m.sender = ?3 OR EXISTS (SELECT 1 FROM message f INDEXED BY message_follower"
            " WHERE f.channel = ?1 AND f.kind = 1 AND f.answer = ?4 AND f.answer <> 0 AND f.turn <> f.seq AND f.sender = ?3)"
            " OR EXISTS (SELECT 1 FROM message w INDEXED BY message_pending WHERE w.channel = ?1 AND w.kind = 1"
            " AND w.outcome = 0 AND w.turn = ?2 AND w.sender = ?3)"
            " FROM message m LEFT JOIN message o ON m.flags & 64 AND o.channel = m.channel AND o.kind = 1"
            " AND o.sender = m.sender AND o.id = m.reply_to WHERE m.channel = ?1 AND m.seq = ?2");
    bind_int(&q, j->out.channel_id);
    bind_int(&q, j->out.turn);
    bind_text(&q, j->sender);
    bind_int(&q, j->out.answer);
    if (query_step(&q)) {
        j->out.question = column_int(&q, 0);
        j->out.asked = column_int(&q, 1) != 0;
    }
    return query_end(&q, e);
}

enum err_code posted_work(struct db *db, struct job *job, struct err *e)
{
    struct posted_job *j = (struct posted_job *)job;
    j->out = (struct store_posted){ 0 };
    enum err_code code = find_message(db, in_outbox, j, e);
    if (!code && !j->out.channel)
        code = find_message(db, in_posted, j, e);
    return code || !j->out.channel ? code : find_asker(db, j, e);
}

/* --- taking an answer back --- */
/* What is unconfirmed of it is removed as soon as it has a name. */
static enum err_code remove_waiting(struct db *db, int64_t channel, int64_t answer, struct err *e)
{
    return run2(db, "INSERT INTO outbox (kind, channel, turn, answer, part, n_parts, time_ms, txn, text, platform_id)"
                    " SELECT 3, channel, turn, answer, part, n_parts, time_ms, txn, '', platform_id FROM outbox"
                    " WHERE channel = ? AND answer = ? AND kind IN (0, 2) AND dead = 0 ORDER BY id",
                channel, answer, e);
}

static enum err_code remove_posted(struct db *db, int64_t channel, int64_t answer, struct err *e)
{
    return run2(db, "INSERT INTO outbox (kind, channel, turn, answer, part, n_parts, time_ms, txn, text, platform_id)"
                    " SELECT 3, p.channel, m.turn, p.answer, p.part, 1, m.time_ms,"
                    " 'w' || p.channel || '-' || p.answer || '-' || p.part, '', p.platform_id FROM posted p"
                    " JOIN message m ON m.channel = p.channel AND m.seq = p.answer WHERE p.channel = ? AND p.answer = ?"
                    " ORDER BY p.part",
                channel, answer, e);
}

/* The questions have no answer any more; a model that sees them without one would answer them now. */
static const char *const unanswer[] = {
    "UPDATE message SET outcome = 2, reason = 'the answer was taken back' WHERE channel = ?1 AND kind = 1 AND outcome = 1"
    " AND seq = (SELECT turn FROM message WHERE channel = ?1 AND seq = ?2)",
    "UPDATE message SET outcome = 2, reason = 'the answer was taken back' WHERE outcome = 1 AND (channel, seq) IN"
    " (SELECT q.channel, q.seq FROM message b JOIN message a ON a.channel = b.channel AND a.seq = b.turn AND a.flags & 64"
    " JOIN message q ON q.channel = a.channel AND q.sender = a.sender AND q.id = a.reply_to AND q.kind = 1"
    " WHERE b.channel = ?1 AND b.seq = ?2)",
    "UPDATE message INDEXED BY message_follower SET outcome = 2, reason = 'the answer was taken back'"
    " WHERE channel = ?1 AND answer = ?2 AND kind = 1 AND answer <> 0 AND turn <> seq AND outcome = 1",
    "UPDATE message SET flags = flags | 4 WHERE channel = ?1 AND seq = ?2",
    "DELETE FROM outbox WHERE channel = ?1 AND answer = ?2 AND dead = 1",
    "DELETE FROM posted WHERE channel = ?1 AND answer = ?2",
};

enum err_code take_back_work(struct db *db, struct job *job, struct err *e)
{
    const struct turn_job *j = (const struct turn_job *)job;
    enum err_code code = remove_waiting(db, j->channel, j->lead, e);
    if (!code)
        code = remove_posted(db, j->channel, j->lead, e);
    for (size_t i = 0; i < sizeof unanswer / sizeof *unanswer && !code; i++)
        code = run2(db, unanswer[i], j->channel, j->lead, e);
    return code;
}

/* --- taking a question back --- */
static enum err_code find_withdrawn(struct db *db, struct withdraw_job *j, struct err *e)
{
    struct query q = query_new(db, "SELECT c.id, c.name, m.seq, m.turn, m.answer, m.outcome = 0 FROM channel c JOIN message m"
                                   " ON m.kind = 1 AND m.channel = c.id AND m.sender = ?3 AND m.id = ?4 WHERE " CHANNELS
                                   " LIMIT 1");
    bind_text(&q, j->account);
    bind_text(&q, j->channel);
    bind_text(&q, j->sender);
    bind_text(&q, j->id);
    if (query_step(&q)) {
        j->channel_id = column_int(&q, 0);
        j->out.channel = column_text(&q, 1, job_arena(&j->job));
        j->out.seq = column_int(&q, 2);
        j->out.turn = column_int(&q, 3);
        j->out.answer = column_int(&q, 4);
        j->out.pending = column_int(&q, 5) != 0;
    }
    return query_end(&q, e);
}

static enum err_code blank(struct db *db, const struct withdraw_job *j, struct err *e)
{
    return run2(db, "UPDATE message SET flags = flags | 4, text = '', quoted = NULL, quoted_name = NULL,"
                    " turn = CASE outcome WHEN 0 THEN 0 ELSE turn END, outcome = CASE outcome WHEN 0 THEN 5 ELSE outcome END"
                    " WHERE channel = ? AND seq = ?",
                j->channel_id, j->out.seq, e);
}

/* The turn that lead leads is no more. */
static enum err_code dissolve(struct db *db, int64_t channel, int64_t lead, struct err *e)
{
    enum err_code code = run2(db, "UPDATE message INDEXED BY message_pending SET turn = 0"
                                  " WHERE channel = ? AND kind = 1 AND outcome = 0 AND turn = ?",
                              channel, lead, e);
    return code ? code : out_abandon(db, channel, lead, e);
}

/* Another answer to it was asked for, and is not there. */
static enum err_code withdraw_again(struct db *db, const struct withdraw_job *j, struct err *e)
{
    int64_t seq = 0;
    struct query q = query_new(db, "SELECT seq FROM message INDEXED BY message_pending WHERE channel = ? AND kind = 1"
                                   " AND outcome = 0 AND flags & 64 AND sender = ? AND reply_to = ?");
    bind_int(&q, j->channel_id);
    bind_text(&q, j->sender);
    bind_text(&q, j->id);
    if (query_step(&q))
        seq = column_int(&q, 0);
    enum err_code code = query_end(&q, e);
    if (code || !seq)
        return code;
    code = run2(db, "UPDATE message SET outcome = 5, turn = 0 WHERE channel = ? AND seq = ?", j->channel_id, seq, e);
    return code ? code : out_abandon(db, j->channel_id, seq, e);
}

/* An answer that answered nothing else leaves the prompt too. */
static enum err_code leave_alone(struct db *db, struct withdraw_job *j, struct err *e)
{
    struct query q = query_new(db, "SELECT 1 FROM message INDEXED BY message_follower WHERE channel = ?1 AND kind = 1"
                                   " AND answer = ?2 AND answer <> 0 AND turn <> seq UNION ALL"
                                   " SELECT 1 WHERE ?3 <> 0 AND ?3 <> ?4");
    bind_int(&q, j->channel_id);
    bind_int(&q, j->out.answer);
    bind_int(&q, j->out.turn);
    bind_int(&q, j->out.seq);
    bool others = query_step(&q);
    enum err_code code = query_end(&q, e);
    if (others)
        j->out.answer = 0;
    if (code || !j->out.answer)
        return code;
    return run2(db, "UPDATE message SET flags = flags | 4 WHERE channel = ? AND seq = ?", j->channel_id, j->out.answer, e);
}

enum err_code withdraw_work(struct db *db, struct job *job, struct err *e)
{
    struct withdraw_job *j = (struct withdraw_job *)job;
    j->out = (struct store_withdrawn){ 0 };
    enum err_code code = find_withdrawn(db, j, e);
    if (code || !j->out.channel)
        return code;
    code = blank(db, j, e);
    if (!code && j->out.pending)
        code = dissolve(db, j->channel_id, j->out.turn ? j->out.turn : j->out.seq, e);
    if (!code && !j->out.pending)
        code = withdraw_again(db, j, e);
    if (!code && !j->out.pending)
        code = leave_alone(db, j, e);
    return code;
}
