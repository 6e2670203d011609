/* db.h: one SQLite connection: its file, transactions and statements.
 *
 * Used by one thread at a time; store.c hands it to the worker. SQL stands
 * where it is used, as a string literal: query_new() prepares it once per
 * connection and finds it again by the literal's address. */
#ifndef WARBLER_STORE_DB_H
#define WARBLER_STORE_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "plugin/base/arena.h"
#include "plugin/base/err.h"

#define DB_BUSY_MS 5000      /* how long a lock of another process is waited for */
#define DB_CACHE_KIB 4096    /* pages kept in memory at most: three for each of some 300 lively conversations */
/* A checkpoint is made when the log is longer: 16 MB, so that a page which many
 * commits wrote is copied once. */
#define DB_WAL_PAGES 4000
#define DB_WAL_KEEP_BYTES (18 * 1024 * 1024) /* a log that a burst made longer is cut to this afterwards */

#define DB_LIMITS_KNOWN 256  /* channels whose limit of numbers need not be looked up */

struct gather;
struct statement;

/* What a channel's seq_limit is at least; channel 0: of none. */
struct seq_limit {
    int64_t channel, limit;
};

struct db {
    sqlite3 *sqlite;
    struct gather *files;         /* its file layer */
    char *path;
    int lock_fd;                  /* -1: not held */
    struct statement *statements; /* uthash, by the literal's address */
    int64_t version, version_seen; /* PRAGMA data_version: now, and at the last committed beat */
    struct seq_limit limits[DB_LIMITS_KNOWN]; /* by the channel's id; forgotten with a rollback */
    int64_t prune_channel, prune_seq; /* where the next store_prune goes on */
};

/* store_open's contract, without the thread. */
enum err_code db_open(const char *dir, bool lock, struct db **db_r, struct err *e);
void db_close(struct db **db); /* NULL-safe */

enum err_code db_begin(struct db *db, struct err *e); /* with the write lock */
enum err_code db_commit(struct db *db, struct err *e); /* durable afterwards; on failure roll back */
void db_rollback(struct db *db); /* legal outside a transaction: SQLite ends a badly failed one itself */
/* ledger.c's function for sums; SQLite's result code. */
int ledger_functions(struct db *db);
int64_t db_changes(const struct db *db); /* rows changed since the connection was opened */

/* One line that says what to do; rc is SQLite's result code. */
enum err_code db_fail(struct db *db, int rc, struct err *e);

/* One run of a statement: parameters in the order of their numbers, then
 * query_step while there are rows, then query_end. The first failure is kept
 * for query_end; what follows it does nothing. Text is borrowed until then. */
struct query {
    struct db *db;
    sqlite3_stmt *stmt; /* NULL: could not be prepared */
    int rc;
    int bound;
};
struct query query_new(struct db *db, const char *literal);
void bind_int(struct query *q, int64_t n);
void bind_text(struct query *q, const char *s); /* NULL is SQL's NULL */
bool query_step(struct query *q);               /* true: there is a row */
int64_t column_int(const struct query *q, int i);
char *column_text(const struct query *q, int i, struct arena *arena); /* copy; NULL for NULL */
enum err_code query_end(struct query *q, struct err *e);
enum err_code query_run(struct query *q, struct err *e);                   /* one that yields no rows */
enum err_code query_change(struct query *q, int64_t *rows_r, struct err *e); /* and tells how many it changed */

#endif
