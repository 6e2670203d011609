#include "plugin/store/db.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugin/base/log.h"
#include "plugin/base/mem.h"
#include "plugin/base/table.h"
#include "plugin/store/dir.h"
#include "plugin/store/gather.h"
#include "plugin/store/schema.h"

struct statement {
    const char *literal;
    sqlite3_stmt *stmt;
    UT_hash_handle hh;
};

/* --- errors --- */
static bool is_disk_full(struct db *db, int primary)
{
    if (primary == SQLITE_FULL)
        return true;
    int os = sqlite3_system_errno(db->sqlite);
    return primary == SQLITE_IOERR && (os == ENOSPC || os == EDQUOT);
}

enum err_code db_fail(struct db *db, int rc, struct err *e)
{
    int primary = rc & 0xFF;
    if (is_disk_full(db, primary))
        return err_set(e, ERR_FULL, "disk full: %s cannot grow; free some space on its disk", db->path);
    switch (primary) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(e, ERR_BUSY, "%s is being written by another process; try again", db->path);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return err_set(e, ERR_IO, "%s is damaged (%s): stop warbler and restore it from a backup, or move it away to start empty",
                       db->path, sqlite3_errstr(rc));
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return dir_not_writable(db->path, sqlite3_system_errno(db->sqlite), e);
    case SQLITE_IOERR: {
        int os = sqlite3_system_errno(db->sqlite);
        return err_set(e, ERR_IO, "%s: the disk fails: %s", db->path, os ? strerror(os) : sqlite3_errstr(rc));
    }
    case SQLITE_CONSTRAINT:
        if (rc == SQLITE_CONSTRAINT_PRIMARYKEY || rc == SQLITE_CONSTRAINT_UNIQUE)
            return err_set(e, ERR_EXISTS, "such a row exists (%s)", sqlite3_errmsg(db->sqlite));
        return err_set(e, ERR_INVALID, "row refused: %s", sqlite3_errmsg(db->sqlite));
    case SQLITE_TOOBIG:
        return err_set(e, ERR_TOO_LARGE, "row too large for the store");
    default:
        return err_set(e, ERR_INTERNAL, "%s: %s", db->path, sqlite3_errmsg(db->sqlite));
    }
}

/* --- queries --- */
static int prepare(struct db *db, const char *literal, sqlite3_stmt **stmt_r)
{
    struct statement *s;
    HASH_FIND_PTR(db->statements, &literal, s);
    if (!s) {
        sqlite3_stmt *stmt;
        int rc = sqlite3_prepare_v3(db->sqlite, literal, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL);
        if (rc)
            return rc;
        s = mem_alloc(sizeof *s);
        s->literal = literal;
        s->stmt = stmt;
        HASH_ADD_PTR(db->statements, literal, s);
    }
    *stmt_r = s->stmt;
    return SQLITE_OK;
}

static void free_statements(struct db *db)
{
    struct statement *s, *next;
    HASH_ITER(hh, db->statements, s, next) {
        HASH_DEL(db->statements, s);
        sqlite3_finalize(s->stmt);
        free(s);
    }
}

struct query query_new(struct db *db, const char *literal)
{
    struct query q = { .db = db };
    q.rc = prepare(db, literal, &q.stmt);
    return q;
}

void bind_int(struct query *q, int64_t n)
{
    if (!q->rc)
        q->rc = sqlite3_bind_int64(q->stmt, ++q->bound, n);
}

void bind_text(struct query *q, const char *s)
{
    if (!q->rc)
        q->rc = sqlite3_bind_text(q->stmt, ++q->bound, s, -1, SQLITE_STATIC);
}

bool query_step(struct query *q)
{
    if (q->rc && q->rc != SQLITE_ROW)
        return false;
    assert(q->bound == sqlite3_bind_parameter_count(q->stmt));
    q->rc = sqlite3_step(q->stmt);
    return q->rc == SQLITE_ROW;
}

int64_t column_int(const struct query *q, int i)
{
    return sqlite3_column_int64(q->stmt, i);
}

char *column_text(const struct query *q, int i, struct arena *arena)
{
    const char *text = (const char *)sqlite3_column_text(q->stmt, i);
    return text ? arena_dupn(arena, text, (size_t)sqlite3_column_bytes(q->stmt, i)) : NULL;
}

enum err_code query_end(struct query *q, struct err *e)
{
    enum err_code code = ERR_OK;
    if (q->rc && q->rc != SQLITE_ROW && q->rc != SQLITE_DONE)
        code = db_fail(q->db, q->rc, e); /* before the reset, which forgets the text */
    if (q->stmt)
        sqlite3_reset(q->stmt);
    return code;
}

enum err_code query_run(struct query *q, struct err *e)
{
    query_step(q);
    return query_end(q, e);
}

enum err_code query_change(struct query *q, int64_t *rows_r, struct err *e)
{
    query_step(q);
    *rows_r = sqlite3_changes(q->db->sqlite);
    return query_end(q, e);
}

/* --- transactions --- */
enum err_code db_begin(struct db *db, struct err *e)
{
    struct query q = query_new(db, "BEGIN IMMEDIATE");
    return query_run(&q, e);
}

enum err_code db_commit(struct db *db, struct err *e)
{
    struct query q = query_new(db, "COMMIT");
    enum err_code code = query_run(&q, e);
    if (!code)
        db->version_seen = db->version;
    return code;
}

void db_rollback(struct db *db)
{
    memset(db->limits, 0, sizeof db->limits);
    if (sqlite3_get_autocommit(db->sqlite))
        return;
    struct query q = query_new(db, "ROLLBACK");
    struct err e = ERR_INIT;
    if (query_run(&q, &e))
        log_error("store", "cannot roll back: %s", e.text);
}

int64_t db_changes(const struct db *db)
{
    return sqlite3_total_changes(db->sqlite);
}

/* --- opening --- */
static enum err_code set_up(struct db *db, struct err *e)
{
    char sql[512];
    snprintf(sql, sizeof sql,
             "PRAGMA journal_mode = WAL;"
             "PRAGMA synchronous = FULL;"
             "PRAGMA cache_size = -%d;"
             "PRAGMA mmap_size = 0;"
             "PRAGMA temp_store = MEMORY;"
             "PRAGMA secure_delete = FAST;"
             "PRAGMA wal_autocheckpoint = %d;"
             "PRAGMA journal_size_limit = %d;",
             DB_CACHE_KIB, DB_WAL_PAGES, DB_WAL_KEEP_BYTES);
    int rc = sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL);
    if (!rc)
        rc = ledger_functions(db);
    if (rc)
        return db_fail(db, rc, e);

    struct query q = query_new(db, "PRAGMA journal_mode");
    bool wal = query_step(&q) && !strcmp((const char *)sqlite3_column_text(q.stmt, 0), "wal");
    enum err_code code = query_end(&q, e);
    if (!code && !wal)
        code = err_set(e, ERR_IO, "%s: its file system cannot share memory between processes (a network disk?): use a local one",
                       db->path);
    return code;
}

/* A tool that finds an older store upgrades it only if no daemon is at work on it. */
static enum err_code bring_up_to_date(struct db *db, const char *dir, struct err *e)
{
    size_t version;
    enum err_code code = schema_check(db, schema_n_steps, &version, e);
    if (code || version == schema_n_steps)
        return code;
    bool lock = db->lock_fd < 0;
    if (lock)
        code = dir_lock(dir, &db->lock_fd, e);
    if (!code)
        code = schema_upgrade(db, schema_steps, schema_n_steps, e);
    if (lock)
        dir_unlock(&db->lock_fd);
    return code;
}

static enum err_code read_version(struct db *db, struct err *e)
{
    struct query q = query_new(db, "PRAGMA data_version");
    if (query_step(&q))
        db->version = db->version_seen = column_int(&q, 0);
    return query_end(&q, e);
}

static enum err_code open_file(struct db *db, struct err *e)
{
    enum err_code code = dir_make_file(db->path, e);
    if (code)
        return code;
    db->files = gather_new();
    if (!db->files)
        return err_set(e, ERR_INTERNAL, "SQLite does not start");
    int rc = sqlite3_open_v2(db->path, &db->sqlite, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, gather_name(db->files));
    if (rc)
        return db_fail(db, rc, e);
    sqlite3_extended_result_codes(db->sqlite, 1);
    sqlite3_busy_timeout(db->sqlite, DB_BUSY_MS);
    if (sqlite3_db_readonly(db->sqlite, "main")) /* what SQLite does quietly when it may not write */
        return dir_not_writable(db->path, faccessat(AT_FDCWD, db->path, W_OK, AT_EACCESS) < 0 ? errno : 0, e);
    return set_up(db, e);
}

enum err_code db_open(const char *dir, bool lock, struct db **db_r, struct err *e)
{
    struct db *db = mem_alloc(sizeof *db);
    db->lock_fd = -1;
    db->path = dir_path(dir, "warbler.db");
    enum err_code code = dir_make(dir, e);
    if (!code && lock)
        code = dir_lock(dir, &db->lock_fd, e);
    if (!code)
        code = open_file(db, e);
    if (!code)
        code = bring_up_to_date(db, dir, e);
    if (!code)
        code = read_version(db, e);
    if (code)
        db_close(&db);
    *db_r = db;
    return code;
}

void db_close(struct db **db)
{
    struct db *d = *db;
    if (!d)
        return;
    free_statements(d);
    /* A tool leaves the log alone: emptying it would look like a change to the daemon beside it. */
    if (d->sqlite && d->lock_fd >= 0)
        sqlite3_wal_checkpoint_v2(d->sqlite, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL); /* else the next opening does it */
    sqlite3_close(d->sqlite);
    gather_free(&d->files);
    dir_unlock(&d->lock_fd);
    free(d->path);
    free(d);
    *db = NULL;
}
