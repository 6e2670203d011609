#include "plugin/store/gather.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/base/mem.h"

#define KEPT_FIRST_BYTES (16 * 1024)
#define KEPT_BYTES_MAX 0x1FFFF /* SQLite's own layer writes no more at once, and calls what is left a full disk */

struct gather {
    sqlite3_vfs vfs;
    sqlite3_vfs *real;
    char name[32];
};

/* The log; the real layer's file stands behind it. Other files are the real layer's alone. */
struct log_file {
    sqlite3_file base;
    sqlite3_file *real;
    char *kept;
    int len, cap;
    sqlite3_int64 offset; /* of what is kept */
};

static struct log_file *log_of(sqlite3_file *file)
{
    return (struct log_file *)file;
}

/* What cannot be written is forgotten: SQLite writes it anew, or never. */
static int flush(struct log_file *log)
{
    int len = log->len;
    log->len = 0;
    return len ? log->real->pMethods->xWrite(log->real, log->kept, len, log->offset) : SQLITE_OK;
}

static void make_room(struct log_file *log, int len)
{
    int cap = log->cap ? log->cap : KEPT_FIRST_BYTES;
    while (cap < log->len + len)
        cap = cap > KEPT_BYTES_MAX / 2 ? KEPT_BYTES_MAX : 2 * cap;
    if (cap == log->cap)
        return;
    log->kept = mem_resize(log->kept, (size_t)cap, 1);
    log->cap = cap;
}

static void release(struct log_file *log)
{
    free(log->kept);
    log->kept = NULL;
    log->cap = 0;
}

static int log_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 offset)
{
    struct log_file *log = log_of(file);
    bool follows = offset == log->offset + log->len;
    int rc = log->len && (!follows || len > KEPT_BYTES_MAX - log->len) ? flush(log) : SQLITE_OK;
    if (rc || len > KEPT_BYTES_MAX)
        return rc ? rc : log->real->pMethods->xWrite(log->real, data, len, offset);
    make_room(log, len);
    if (!log->len)
        log->offset = offset;
    memcpy(log->kept + log->len, data, (size_t)len);
    log->len += len;
    return SQLITE_OK;
}

static int log_sync(sqlite3_file *file, int flags)
{
    struct log_file *log = log_of(file);
    bool quiet = log->len < KEPT_FIRST_BYTES;
    int rc = flush(log);
    if (quiet && log->cap > KEPT_FIRST_BYTES) /* the burst is over */
        release(log);
    return rc ? rc : log->real->pMethods->xSync(log->real, flags);
}

static int log_read(sqlite3_file *file, void *data, int len, sqlite3_int64 offset)
{
    struct log_file *log = log_of(file);
    int rc = flush(log);
    return rc ? rc : log->real->pMethods->xRead(log->real, data, len, offset);
}

static int log_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct log_file *log = log_of(file);
    int rc = flush(log);
    return rc ? rc : log->real->pMethods->xTruncate(log->real, size);
}

static int log_size(sqlite3_file *file, sqlite3_int64 *size_r)
{
    struct log_file *log = log_of(file);
    int rc = flush(log);
    return rc ? rc : log->real->pMethods->xFileSize(log->real, size_r);
}

static int log_close(sqlite3_file *file)
{
    struct log_file *log = log_of(file);
    int rc = flush(log), closed = log->real->pMethods->xClose(log->real);
    release(log);
    return rc ? rc : closed;
}

/* --- what a log is asked besides, which is little: its locks and its index are the database's --- */
static int log_lock(sqlite3_file *file, int lock)
{
    return log_of(file)->real->pMethods->xLock(log_of(file)->real, lock);
}

static int log_unlock(sqlite3_file *file, int lock)
{
    return log_of(file)->real->pMethods->xUnlock(log_of(file)->real, lock);
}

static int log_is_reserved(sqlite3_file *file, int *reserved_r)
{
    return log_of(file)->real->pMethods->xCheckReservedLock(log_of(file)->real, reserved_r);
}

static int log_control(sqlite3_file *file, int op, void *arg)
{
    return log_of(file)->real->pMethods->xFileControl(log_of(file)->real, op, arg);
}

static int log_sector(sqlite3_file *file)
{
    return log_of(file)->real->pMethods->xSectorSize(log_of(file)->real);
}

static int log_characteristics(sqlite3_file *file)
{
    return log_of(file)->real->pMethods->xDeviceCharacteristics(log_of(file)->real);
}

static const sqlite3_io_methods log_methods = {
    .iVersion = 1,
    .xClose = log_close,
    .xRead = log_read,
    .xWrite = log_write,
    .xTruncate = log_truncate,
    .xSync = log_sync,
    .xFileSize = log_size,
    .xLock = log_lock,
    .xUnlock = log_unlock,
    .xCheckReservedLock = log_is_reserved,
    .xFileControl = log_control,
    .xSectorSize = log_sector,
    .xDeviceCharacteristics = log_characteristics,
};

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *flags_r)
{
    sqlite3_vfs *real = ((struct gather *)vfs)->real;
    if (!(flags & SQLITE_OPEN_WAL))
        return real->xOpen(real, name, file, flags, flags_r);
    struct log_file *log = log_of(file);
    *log = (struct log_file){.real = (sqlite3_file *)(log + 1)};
    int rc = real->xOpen(real, name, log->real, flags, flags_r);
    if (log->real->pMethods)
        log->base.pMethods = &log_methods;
    return rc;
}

struct gather *gather_new(void)
{
    sqlite3_vfs *real = sqlite3_vfs_find(NULL);
    struct gather *g = mem_alloc(sizeof *g);
    g->real = real;
    g->vfs = *real; /* whose other functions know themselves by pAppData */
    snprintf(g->name, sizeof g->name, "gather-%p", (void *)g);
    g->vfs.zName = g->name;
    g->vfs.pNext = NULL;
    g->vfs.szOsFile = (int)sizeof(struct log_file) + real->szOsFile;
    g->vfs.xOpen = open_file;
    if (sqlite3_vfs_register(&g->vfs, 0) != SQLITE_OK) {
        free(g);
        return NULL;
    }
    return g;
}

void gather_free(struct gather **g)
{
    if (!*g)
        return;
    sqlite3_vfs_unregister(&(*g)->vfs);
    free(*g);
    *g = NULL;
}

const char *gather_name(const struct gather *g)
{
    return g->name;
}
