#include "plugin/store/schema.h"

#include <stdint.h>
#include <stdio.h>

#include "plugin/base/log.h"
#include "plugin/store/db.h"

/* Numbers in the SQL: kind 1 is STORE_PERSON, outcome 0 STORE_PENDING, 4 STORE_DEAD. */
static const char step_1[] =
    "PRAGMA application_id = 1467114092;"
    "CREATE TABLE channel ("
    "  id INTEGER PRIMARY KEY,"
    "  account TEXT NOT NULL,"
    "  name TEXT NOT NULL,"
    "  seq_limit INTEGER NOT NULL,"
    "  reset_seq INTEGER NOT NULL DEFAULT 0,"
    "  muted INTEGER NOT NULL DEFAULT 0,"
    "  model TEXT,"
    "  prompt TEXT,"
    "  UNIQUE (account, name)"
    ") STRICT;"
    /* Clustered by conversation: its last messages are read from neighbouring pages. */
    "CREATE TABLE message ("
    "  channel INTEGER NOT NULL,"
    "  seq INTEGER NOT NULL,"
    "  time_ms INTEGER NOT NULL,"
    "  kind INTEGER NOT NULL,"
    "  outcome INTEGER NOT NULL,"
    "  flags INTEGER NOT NULL,"
    "  turn INTEGER NOT NULL,"
    "  answer INTEGER NOT NULL DEFAULT 0," /* of a question: seq of its answer */
    "  tries INTEGER NOT NULL DEFAULT 0,"
    "  id TEXT,"
    "  sender TEXT,"
    "  name TEXT,"
    "  reply_to TEXT,"
    "  lang TEXT,"
    "  text TEXT NOT NULL,"
    "  finish TEXT,"
    "  usage TEXT,"
    "  platform_id TEXT,"
    "  reason TEXT,"
    "  PRIMARY KEY (channel, seq),"
    "  CHECK (kind <> 1 OR (id IS NOT NULL AND sender IS NOT NULL))"
    ") WITHOUT ROWID, STRICT;"
    "CREATE UNIQUE INDEX message_person ON message (channel, sender, id) WHERE kind = 1;"
    "CREATE INDEX message_pending ON message (channel, seq) WHERE kind = 1 AND outcome = 0;"
    "CREATE INDEX message_dead ON message (channel, seq) WHERE kind = 1 AND outcome = 4;"
    /* AUTOINCREMENT: a late word about a part that is gone must not meet another one under its id. */
    "CREATE TABLE outbox ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  channel INTEGER NOT NULL,"
    "  turn INTEGER NOT NULL,"
    "  answer INTEGER NOT NULL,"
    "  part INTEGER NOT NULL,"
    "  n_parts INTEGER NOT NULL,"
    "  attempts INTEGER NOT NULL DEFAULT 0,"
    "  dead INTEGER NOT NULL DEFAULT 0,"
    "  time_ms INTEGER NOT NULL,"
    "  txn TEXT NOT NULL,"
    "  text TEXT NOT NULL,"
    "  reason TEXT"
    ") STRICT;"
    "CREATE INDEX outbox_turn ON outbox (channel, turn);"
    "CREATE TABLE fact ("
    "  account TEXT NOT NULL,"
    "  key TEXT NOT NULL,"
    "  value TEXT NOT NULL,"
    "  expires_ms INTEGER NOT NULL,"
    "  PRIMARY KEY (account, key)"
    ") WITHOUT ROWID, STRICT;"
    "CREATE INDEX fact_expiry ON fact (expires_ms) WHERE expires_ms > 0;"
    "CREATE TABLE beat (one INTEGER PRIMARY KEY CHECK (one = 1), time_ms INTEGER NOT NULL) STRICT;";

/* Of what was answered at once, all but the message that led the turn, by the
 * answer: empty for bots that answer one by one. */
static const char step_2[] =
    "CREATE INDEX message_follower ON message (channel, answer) WHERE kind = 1 AND answer <> 0 AND turn <> seq;"
    "UPDATE message INDEXED BY message_dead SET reason = 'unanswered at ' || tries || ' starts in a row: look into the"
    " log, then retry or drop it' WHERE kind = 1 AND outcome = 4 AND reason = 'internal';"; /* was a name, not a reason */

/* The summary of a conversation's older turns, and what people pinned. */
static const char step_3[] =
    "ALTER TABLE channel ADD COLUMN summary TEXT;"
    "ALTER TABLE channel ADD COLUMN summary_seq INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE channel ADD COLUMN pins TEXT;";

/* What answers cost. By name and not by channel's id: it outlives the messages. */
static const char step_4[] =
    "CREATE TABLE ledger ("
    "  id INTEGER PRIMARY KEY,"
    "  time_ms INTEGER NOT NULL,"
    "  turn INTEGER NOT NULL,"
    "  account TEXT NOT NULL,"
    "  channel TEXT NOT NULL,"
    "  person TEXT,"
    "  bot TEXT NOT NULL,"
    "  model TEXT NOT NULL,"
    "  server_model TEXT,"
    "  prompt INTEGER NOT NULL,"
    "  cached INTEGER NOT NULL,"
    "  cache_write INTEGER NOT NULL,"
    "  completion INTEGER NOT NULL,"
    "  reasoning INTEGER NOT NULL,"
    "  cost INTEGER," /* in 10^-12 of the currency */
    "  currency TEXT,"
    "  estimated INTEGER NOT NULL,"
    "  raw TEXT,"
    "  CHECK ((cost IS NULL) = (currency IS NULL))"
    ") STRICT;"
    "CREATE INDEX ledger_time ON ledger (time_ms);";

/* What was taken of people's limits in the period that runs. */
static const char step_5[] =
    "CREATE TABLE count ("
    "  key TEXT PRIMARY KEY,"
    "  begin_ms INTEGER NOT NULL,"
    "  end_ms INTEGER NOT NULL,"
    "  messages INTEGER NOT NULL,"
    "  tokens INTEGER NOT NULL,"
    "  money INTEGER NOT NULL"
    ") WITHOUT ROWID, STRICT;"
    "CREATE INDEX count_end ON count (end_ms);";

/* Messages on platforms: what is to become of them, and where they are. What
 * chats call themselves; what messages quote and wish. */
static const char step_6[] =
    "ALTER TABLE outbox ADD COLUMN kind INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE outbox ADD COLUMN platform_id TEXT;"
    "CREATE TABLE posted ("
    "  channel INTEGER NOT NULL,"
    "  answer INTEGER NOT NULL,"
    "  part INTEGER NOT NULL,"
    "  platform_id TEXT NOT NULL,"
    "  PRIMARY KEY (channel, answer, part)"
    ") WITHOUT ROWID, STRICT;"
    "CREATE INDEX posted_id ON posted (channel, platform_id);"
    "INSERT INTO posted SELECT channel, seq, 0, platform_id FROM message WHERE platform_id IS NOT NULL;"
    "ALTER TABLE message DROP COLUMN platform_id;"
    "ALTER TABLE message ADD COLUMN quoted TEXT;"
    "ALTER TABLE message ADD COLUMN quoted_name TEXT;"
    "ALTER TABLE message ADD COLUMN wish TEXT;"
    "ALTER TABLE channel ADD COLUMN preset TEXT;"
    /* By the name of the channel without a thread. */
    "CREATE TABLE room ("
    "  account TEXT NOT NULL,"
    "  chat TEXT NOT NULL,"
    "  name TEXT,"
    "  topic TEXT,"
    "  aliases TEXT," /* a line each */
    "  PRIMARY KEY (account, chat)"
    ") WITHOUT ROWID, STRICT;";

const char *const schema_steps[] = { step_1, step_2, step_3, step_4, step_5, step_6 };
const size_t schema_n_steps = sizeof schema_steps / sizeof *schema_steps;

static enum err_code read_number(struct db *db, const char *sql, int64_t *n_r, struct err *e)
{
    struct query q = query_new(db, sql);
    *n_r = query_step(&q) ? column_int(&q, 0) : 0;
    return query_end(&q, e);
}

enum err_code schema_check(struct db *db, size_t n_steps, size_t *version_r, struct err *e)
{
    int64_t tables, application, version;
    enum err_code code = read_number(db, "SELECT count(*) FROM sqlite_schema", &tables, e);
    if (!code)
        code = read_number(db, "PRAGMA application_id", &application, e);
    if (!code)
        code = read_number(db, "PRAGMA user_version", &version, e);
    if (code)
        return code;
    if ((tables || version) && application != SCHEMA_APPLICATION_ID)
        return err_set(e, ERR_IO, "%s is not a store of warbler but another program's file: move it away, or set another data_dir",
                       db->path);
    if (version < 0 || (uint64_t)version > n_steps)
        return err_set(e, ERR_VERSION, "%s was written by a newer warbler (store version %lld, this one knows %zu): upgrade warbler",
                       db->path, (long long)version, n_steps);
    *version_r = (size_t)version;
    return ERR_OK;
}

static enum err_code run_script(struct db *db, const char *sql, struct err *e)
{
    int rc = sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL);
    return rc ? db_fail(db, rc, e) : ERR_OK;
}

/* Looks at the version inside the transaction: another process may be upgrading too. */
static enum err_code upgrade_once(struct db *db, const char *const *steps, size_t n_steps, size_t *version_r,
                                  struct err *e)
{
    enum err_code code = schema_check(db, n_steps, version_r, e);
    if (code || *version_r == n_steps)
        return code;
    char set_version[64];
    snprintf(set_version, sizeof set_version, "PRAGMA user_version = %zu", *version_r + 1);
    code = run_script(db, steps[*version_r], e);
    if (!code)
        code = run_script(db, set_version, e);
    ++*version_r;
    return code;
}

enum err_code schema_upgrade(struct db *db, const char *const *steps, size_t n_steps, struct err *e)
{
    size_t from = 0;
    enum err_code code = schema_check(db, n_steps, &from, e);
    size_t version = from;
    while (!code && version < n_steps) {
        code = db_begin(db, e);
        do
            code = code ? code : upgrade_once(db, steps, n_steps, &version, e);
        while (!code && from == 0 && version < n_steps); /* a new store is made with one commit */
        if (!code)
            code = db_commit(db, e);
        if (code)
            db_rollback(db);
    }
    if (!code && from > 0 && from < n_steps)
        log_info("store", "%s: upgraded from store version %zu to %zu", db->path, from, n_steps);
    return code;
}
