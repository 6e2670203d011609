#include "tests/unit/disk_vfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

#include "plugin/base/mem.h"

#define SECTOR_BYTES 512

/* A change that was not synced yet. */
struct change {
    struct change *next, *prev;
    sqlite3_int64 offset;
    int len; /* -1: the file was cut at offset */
    unsigned char data[];
};

/* What is known of a file while the layer is installed, open or not. */
struct image {
    struct image *next, *prev;
    char *path;
    unsigned char *data; /* as last synced */
    size_t size;
    struct change *changes; /* since then */
};

struct disk_file {
    sqlite3_file base;
    struct image *image; /* NULL: a temporary file */
    sqlite3_file *real;  /* behind this struct */
};

static sqlite3_vfs *real_vfs;
static sqlite3_vfs vfs;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t released = PTHREAD_COND_INITIALIZER;
static bool held;
static struct image *images;
static int fill_at = -1, writes, break_at = -1, syncs;
static struct {
    enum disk_fault kind;
    int at; /* -1: none */
    bool for_good;
    int operations;
    const char *failed;
} fault = { .at = -1 };

void disk_hold(bool hold)
{
    pthread_mutex_lock(&mutex);
    held = hold;
    pthread_cond_broadcast(&released);
    pthread_mutex_unlock(&mutex);
}

void disk_fill_at(int write)
{
    pthread_mutex_lock(&mutex);
    fill_at = write;
    writes = 0;
    pthread_mutex_unlock(&mutex);
}

void disk_break_at(int sync)
{
    pthread_mutex_lock(&mutex);
    break_at = sync;
    syncs = 0;
    pthread_mutex_unlock(&mutex);
}

int disk_writes(void)
{
    pthread_mutex_lock(&mutex);
    int n = writes;
    pthread_mutex_unlock(&mutex);
    return n;
}

int disk_syncs(void)
{
    pthread_mutex_lock(&mutex);
    int n = syncs;
    pthread_mutex_unlock(&mutex);
    return n;
}

/* --- faults at any operation --- */
void disk_fail_at(enum disk_fault kind, int operation, bool for_good)
{
    pthread_mutex_lock(&mutex);
    fault.kind = kind;
    fault.at = operation;
    fault.for_good = for_good;
    fault.operations = 0;
    fault.failed = NULL;
    pthread_mutex_unlock(&mutex);
}

int disk_operations(void)
{
    pthread_mutex_lock(&mutex);
    int n = fault.operations;
    pthread_mutex_unlock(&mutex);
    return n;
}

const char *disk_failed(void)
{
    pthread_mutex_lock(&mutex);
    const char *what = fault.failed;
    pthread_mutex_unlock(&mutex);
    return what;
}

/* SQLite's result code for the next operation: `code`, or SQLITE_FULL, if it is
 * to fail, and errno says why, as after a call of the system; else SQLITE_OK. */
static int next_operation(const char *what, int code)
{
    pthread_mutex_lock(&mutex);
    int n = fault.operations++;
    bool fails = fault.kind != DISK_LIES && fault.at >= 0 && (n == fault.at || (fault.for_good && n > fault.at));
    bool full = fault.kind != DISK_FAILS && (code == SQLITE_IOERR_WRITE || code == SQLITE_IOERR_SHMSIZE || code == SQLITE_CANTOPEN);
    if (fails && !fault.failed)
        fault.failed = what;
    pthread_mutex_unlock(&mutex);
    if (!fails)
        return SQLITE_OK;
    errno = full ? ENOSPC : EIO;
    return full && code == SQLITE_IOERR_WRITE ? SQLITE_FULL : code;
}

static sqlite3_file *real_of(sqlite3_file *file)
{
    return ((struct disk_file *)file)->real;
}

/* --- images, with the mutex held --- */
static void drop_changes(struct image *image)
{
    struct change *c, *next;
    DL_FOREACH_SAFE(image->changes, c, next) {
        DL_DELETE(image->changes, c);
        free(c);
    }
}

static void add_change(struct image *image, const void *data, int len, sqlite3_int64 offset)
{
    if (!image)
        return;
    struct change *c = mem_alloc(sizeof *c + (len > 0 ? (size_t)len : 0));
    c->offset = offset;
    c->len = len;
    if (len > 0)
        memcpy(c->data, data, (size_t)len);
    DL_APPEND(image->changes, c);
}

static void resize(struct image *image, size_t size)
{
    if (size > image->size) {
        image->data = mem_resize(image->data, size, 1);
        memset(image->data + image->size, 0, size - image->size);
    }
    image->size = size;
}

static void apply(struct image *image, const struct change *c, int from, int len)
{
    size_t end = (size_t)c->offset + (size_t)(from + len);
    if (end > image->size)
        resize(image, end);
    memcpy(image->data + c->offset + from, c->data + from, (size_t)len);
}

static void synced(struct image *image)
{
    struct change *c;
    DL_FOREACH(image->changes, c) {
        if (c->len < 0)
            resize(image, (size_t)c->offset);
        else
            apply(image, c, 0, c->len);
    }
    drop_changes(image);
}

static struct image *image_of(const char *path)
{
    struct image *image;
    DL_FOREACH(images, image)
        if (strcmp(image->path, path) == 0)
            return image;
    return NULL;
}

/* What is there when the layer first sees a file counts as synced. */
static struct image *image_open(const char *path)
{
    struct image *image = image_of(path);
    if (image)
        return image;
    image = mem_alloc(sizeof *image);
    image->path = mem_dup(path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    off_t size = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
    if (size > 0) {
        resize(image, (size_t)size);
        if (pread(fd, image->data, (size_t)size, 0) != size)
            abort();
        /* SQLite holds no lock on it yet, so that closing drops none. */
    }
    if (fd >= 0)
        close(fd);
    DL_APPEND(images, image);
    return image;
}

static void image_free(struct image *image)
{
    DL_DELETE(images, image);
    drop_changes(image);
    free(image->data);
    free(image->path);
    free(image);
}

/* --- files --- */
static int file_close(sqlite3_file *file)
{
    return real_of(file)->pMethods->xClose(real_of(file));
}

static int file_read(sqlite3_file *file, void *data, int len, sqlite3_int64 offset)
{
    int rc = next_operation("read", SQLITE_IOERR_READ);
    return rc ? rc : real_of(file)->pMethods->xRead(real_of(file), data, len, offset);
}

static int file_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 offset)
{
    struct disk_file *f = (struct disk_file *)file;
    int failed = next_operation("write", SQLITE_IOERR_WRITE);
    pthread_mutex_lock(&mutex);
    bool full = fill_at >= 0 && writes >= fill_at;
    writes++;
    if (failed)
        len = fault.kind == DISK_TEARS ? len / 2 : 0;
    int rc = full ? SQLITE_FULL : len ? f->real->pMethods->xWrite(f->real, data, len, offset) : SQLITE_OK;
    if (rc == SQLITE_OK && len)
        add_change(f->image, data, len, offset);
    pthread_mutex_unlock(&mutex);
    return failed ? failed : rc;
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct disk_file *f = (struct disk_file *)file;
    int rc = next_operation("truncate", SQLITE_IOERR_TRUNCATE);
    if (rc)
        return rc;
    pthread_mutex_lock(&mutex);
    rc = f->real->pMethods->xTruncate(f->real, size);
    if (rc == SQLITE_OK)
        add_change(f->image, NULL, -1, size);
    pthread_mutex_unlock(&mutex);
    return rc;
}

static int file_sync(sqlite3_file *file, int flags)
{
    struct disk_file *f = (struct disk_file *)file;
    (void)flags;
    int rc = next_operation("sync", SQLITE_IOERR_FSYNC);
    pthread_mutex_lock(&mutex);
    while (held)
        pthread_cond_wait(&released, &mutex);
    if (break_at >= 0 && syncs >= break_at)
        rc = SQLITE_IOERR_FSYNC;
    syncs++;
    bool lies = fault.kind == DISK_LIES && fault.at >= 0;
    if (rc == SQLITE_OK && f->image && !lies)
        synced(f->image);
    pthread_mutex_unlock(&mutex);
    return rc;
}

static int file_size(sqlite3_file *file, sqlite3_int64 *size)
{
    int rc = next_operation("size", SQLITE_IOERR_FSTAT);
    return rc ? rc : real_of(file)->pMethods->xFileSize(real_of(file), size);
}

static int file_lock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xLock(real_of(file), level);
}

static int file_unlock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int file_check_lock(sqlite3_file *file, int *reserved)
{
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), reserved);
}

static int file_control(sqlite3_file *file, int op, void *arg)
{
    return real_of(file)->pMethods->xFileControl(real_of(file), op, arg);
}

static int file_sector_size(sqlite3_file *file)
{
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int file_characteristics(sqlite3_file *file)
{
    return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static int file_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **p)
{
    int rc = next_operation("shared memory", SQLITE_IOERR_SHMSIZE);
    return rc ? rc : real_of(file)->pMethods->xShmMap(real_of(file), page, size, extend, p);
}

static int file_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    return real_of(file)->pMethods->xShmLock(real_of(file), offset, n, flags);
}

static void file_shm_barrier(sqlite3_file *file)
{
    real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int file_shm_unmap(sqlite3_file *file, int delete_it)
{
    return real_of(file)->pMethods->xShmUnmap(real_of(file), delete_it);
}

/* --- the layer --- */
static int vfs_open(sqlite3_vfs *self, const char *path, sqlite3_file *file, int flags, int *flags_r)
{
    static const sqlite3_io_methods methods = {
        .iVersion = 2,
        .xClose = file_close,
        .xRead = file_read,
        .xWrite = file_write,
        .xTruncate = file_truncate,
        .xSync = file_sync,
        .xFileSize = file_size,
        .xLock = file_lock,
        .xUnlock = file_unlock,
        .xCheckReservedLock = file_check_lock,
        .xFileControl = file_control,
        .xSectorSize = file_sector_size,
        .xDeviceCharacteristics = file_characteristics,
        .xShmMap = file_shm_map,
        .xShmLock = file_shm_lock,
        .xShmBarrier = file_shm_barrier,
        .xShmUnmap = file_shm_unmap,
    };
    (void)self;
    struct disk_file *f = (struct disk_file *)file;
    memset(f, 0, sizeof *f);
    f->real = (sqlite3_file *)(f + 1);
    int rc = next_operation("open", SQLITE_CANTOPEN);
    if (rc)
        return rc;
    pthread_mutex_lock(&mutex);
    struct image *image = path ? image_open(path) : NULL;
    pthread_mutex_unlock(&mutex);
    rc = real_vfs->xOpen(real_vfs, path, f->real, flags, flags_r);
    if (rc == SQLITE_OK) {
        f->base.pMethods = &methods;
        f->image = image;
    }
    return rc;
}

static int vfs_delete(sqlite3_vfs *self, const char *path, int sync_dir)
{
    (void)self;
    int rc = next_operation("delete", SQLITE_IOERR_DELETE);
    if (rc)
        return rc;
    rc = real_vfs->xDelete(real_vfs, path, sync_dir);
    pthread_mutex_lock(&mutex);
    struct image *image = image_of(path);
    if (rc == SQLITE_OK && image)
        image_free(image);
    pthread_mutex_unlock(&mutex);
    return rc;
}

void disk_install(void)
{
    real_vfs = sqlite3_vfs_find(NULL);
    vfs = *real_vfs;
    vfs.zName = "disk";
    vfs.szOsFile = (int)sizeof(struct disk_file) + real_vfs->szOsFile;
    vfs.pNext = NULL;
    vfs.xOpen = vfs_open;
    vfs.xDelete = vfs_delete;
    if (sqlite3_vfs_register(&vfs, 1) != SQLITE_OK)
        abort();
    disk_fill_at(-1);
    disk_break_at(-1);
    disk_fail_at(DISK_FAILS, -1, false);
}

void disk_remove(void)
{
    sqlite3_vfs_unregister(&vfs);
    sqlite3_vfs_register(real_vfs, 1);
    struct image *image, *next;
    DL_FOREACH_SAFE(images, image, next)
        image_free(image);
}

/* --- the power cut --- */
static void write_out(const struct image *image, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || pwrite(fd, image->data, image->size, 0) != (ssize_t)image->size)
        abort();
    close(fd);
}

static void keep_some_sectors(struct image *image, unsigned *seed)
{
    struct change *c;
    DL_FOREACH(image->changes, c) {
        if (c->len < 0 && rand_r(seed) % 2)
            resize(image, (size_t)c->offset);
        for (int at = 0; at < c->len; at += SECTOR_BYTES)
            if (rand_r(seed) % 2)
                apply(image, c, at, c->len - at < SECTOR_BYTES ? c->len - at : SECTOR_BYTES);
    }
}

static void copy_after_cut(const struct image *image, const char *path, unsigned *seed)
{
    struct image copy = { .changes = image->changes };
    resize(&copy, image->size);
    if (image->size)
        memcpy(copy.data, image->data, image->size);
    keep_some_sectors(&copy, seed);
    write_out(&copy, path);
    free(copy.data);
}

void disk_power_cut(const char *from_dir, const char *to_dir, unsigned seed)
{
    size_t len = strlen(from_dir);
    pthread_mutex_lock(&mutex);
    const struct image *image;
    DL_FOREACH(images, image) {
        if (strncmp(image->path, from_dir, len) != 0 || image->path[len] != '/')
            continue;
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s%s", to_dir, image->path + len);
        copy_after_cut(image, path, &seed);
    }
    pthread_mutex_unlock(&mutex);
}
