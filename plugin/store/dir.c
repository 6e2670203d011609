#include "plugin/store/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plugin/base/mem.h"

#define PID_TEXT_BYTES 24

char *dir_path(const char *dir, const char *name)
{
    size_t size = strlen(dir) + strlen(name) + 2;
    char *path = mem_alloc(size);
    snprintf(path, size, "%s/%s", dir, name);
    return path;
}

enum err_code dir_not_writable(const char *path, int error, struct err *e)
{
    if (error == ENOSPC || error == EDQUOT)
        return err_set(e, ERR_FULL, "disk full: cannot make %s; free some space on its disk", path);
    const char *why = error ? strerror(error) : "read-only";
    struct stat st;
    if (stat(path, &st) == 0 && st.st_uid != geteuid())
        return err_set(e, ERR_IO, "cannot write %s: %s (it belongs to user %u, warbler runs as user %u)", path, why,
                       (unsigned)st.st_uid, (unsigned)geteuid());
    return err_set(e, ERR_IO, "cannot write %s: %s", path, why);
}

/* A new name is on disk only when the directory above it is. */
static void sync_parent(const char *dir)
{
    char *parent = dir_path(dir, "..");
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(parent);
}

enum err_code dir_make(const char *dir, struct err *e)
{
    if (mkdir(dir, 0700) == 0) {
        sync_parent(dir);
        return ERR_OK;
    }
    if (errno == EEXIST)
        return ERR_OK;
    if (errno == ENOENT)
        return err_set(e, ERR_IO, "cannot make %s: the directory above it is missing", dir);
    return dir_not_writable(dir, errno, e);
}

/* Never opens a file that is there: closing it would drop the locks that
 * SQLite holds on it elsewhere in this process. */
enum err_code dir_make_file(const char *path, struct err *e)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == EEXIST ? ERR_OK : dir_not_writable(path, errno, e);
    close(fd);
    return ERR_OK;
}

static enum err_code locked_by_another(const char *dir, int fd, struct err *e)
{
    char pid[PID_TEXT_BYTES] = "";
    ssize_t len = pread(fd, pid, sizeof pid - 1, 0);
    pid[len > 0 ? strspn(pid, "0123456789") : 0] = '\0';
    return err_set(e, ERR_BUSY, "%s is in use by another warbler (process %s): stop that one, or set another data_dir", dir,
                   *pid ? pid : "unknown");
}

static void write_pid(int fd)
{
    char pid[PID_TEXT_BYTES];
    int len = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    /* Only told to people: a lock without a readable number is still one. */
    if (ftruncate(fd, 0) == 0 && pwrite(fd, pid, (size_t)len, 0) < 0)
        errno = 0;
}

enum err_code dir_lock(const char *dir, int *fd_r, struct err *e)
{
    char *path = dir_path(dir, "warbler.lock");
    enum err_code code = ERR_OK;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        code = dir_not_writable(path, errno, e);
    } else if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        code = errno == EWOULDBLOCK ? locked_by_another(dir, fd, e) : dir_not_writable(path, errno, e);
        close(fd);
        fd = -1;
    } else {
        write_pid(fd);
    }
    free(path);
    *fd_r = fd;
    return code;
}

void dir_unlock(int *fd)
{
    if (*fd >= 0)
        close(*fd); /* the file stays: who removes it may remove the next daemon's lock */
    *fd = -1;
}
