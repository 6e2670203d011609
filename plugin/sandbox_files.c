/* The fence around files: Landlock, landlock(7), which has no functions in the
 * C library. */
#include "plugin/sandbox.h"

#ifdef __linux__

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "plugin/base/mem.h"

/* The same numbers on every processor; headers of 2021 and before lack them. */
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

/* The kernel's interface grows; what the headers at hand may not know yet stands here. */
#define FS_REFER (UINT64_C(1) << 13)     /* from ABI 2 on */
#define FS_TRUNCATE (UINT64_C(1) << 14)  /* 3 */
#define FS_IOCTL_DEV (UINT64_C(1) << 15) /* 5 */
#define NET_BIND_TCP UINT64_C(1)         /* 4 */
#define SCOPE_ABSTRACT_UNIX UINT64_C(1)  /* 6 */
#define SCOPE_SIGNAL UINT64_C(2)         /* 6 */
#define RULE_NET_PORT 2

#define FS_OF_FILES (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE | FS_TRUNCATE)
#define FS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_WRITE (FS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE | FS_TRUNCATE)
#define FS_ABI_1 (LANDLOCK_ACCESS_FS_MAKE_SYM * 2 - 1) /* all up to the last of the first version */

struct ruleset_attr {
    uint64_t fs, net, scoped;
};

struct port_attr {
    uint64_t access, port;
};

struct fence {
    int fd, abi;
    struct ruleset_attr handled;
};

/* Where the C library, OpenSSL and the resolver look things up, long after the
 * start too. Folders, not files: who replaces resolv.conf or the certificates
 * makes a new file, and a rule is about the old one. /proc and not
 * /proc/self: a rule about the latter ends when the kernel needs memory. */
static const char *const system_places[] = {
    "/etc", "/usr", "/lib", "/lib64", "/nix/store", "/proc", "/sys/devices/system/cpu", "/dev/null", "/dev/urandom",
};

/* Links there lead to files that others write: systemd-resolved, NetworkManager, a provisioning tool. */
static const char *const system_files[] = { "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/localtime" };

/* What names a file, or a folder, that libraries or we read. */
static const char *const variables[] = { "SSL_CERT_FILE", "OPENSSL_CONF" };
static const char *const folder_variables[] = { "CREDENTIALS_DIRECTORY", "LOCPATH", "TZDIR" };

/* What is not there needs no rule. */
static void allow(const struct fence *f, const char *path, uint64_t access)
{
    struct landlock_path_beneath_attr rule = { .allowed_access = access & f->handled.fs };
    struct stat st;

    rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0)
        return;
    if (fstat(rule.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
        rule.allowed_access &= FS_OF_FILES;
    syscall(SYS_landlock_add_rule, f->fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    close(rule.parent_fd);
}

/* The folder of a file; what lies right below the root brings the file alone. */
static void allow_beside(const struct fence *f, const char *file)
{
    char *folder = mem_dup(file), *slash = strrchr(folder, '/');

    if (slash)
        *slash = '\0';
    allow(f, !slash ? "." : *folder ? folder : file, FS_READ);
    free(folder);
}

static void allow_file(const struct fence *f, const char *file)
{
    char *real = realpath(file, NULL);

    allow_beside(f, file);
    if (real && strcmp(real, file) != 0)
        allow_beside(f, real);
    free(real);
}

static void allow_all(const struct fence *f, const struct sandbox *s)
{
    for (size_t i = 0; i < sizeof system_places / sizeof *system_places; i++)
        allow(f, system_places[i], FS_READ);
    for (size_t i = 0; i < sizeof system_files / sizeof *system_files; i++)
        allow_file(f, system_files[i]);
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        if (getenv(variables[i]))
            allow_file(f, getenv(variables[i]));
    for (size_t i = 0; i < sizeof folder_variables / sizeof *folder_variables; i++)
        if (getenv(folder_variables[i]))
            allow(f, getenv(folder_variables[i]), FS_READ);
    for (size_t i = 0; i < s->n_files; i++)
        allow_file(f, s->files[i]);
    if (SANDBOX_SANITIZED)
        allow_file(f, "/proc/self/exe");
    allow(f, s->data_dir, FS_WRITE);
}

/* systemd may be told things through an abstract socket. */
static bool notifies_abstract(void)
{
    const char *path = getenv("NOTIFY_SOCKET");

    return path && *path == '@';
}

static struct ruleset_attr all_of(int abi)
{
    struct ruleset_attr all = { .fs = FS_ABI_1 };

    if (abi >= 2)
        all.fs |= FS_REFER;
    if (abi >= 3)
        all.fs |= FS_TRUNCATE;
    if (abi >= 4)
        all.net = NET_BIND_TCP;
    if (abi >= 5)
        all.fs |= FS_IOCTL_DEV;
    if (abi >= 6)
        all.scoped = SCOPE_SIGNAL | (notifies_abstract() ? 0 : SCOPE_ABSTRACT_UNIX);
    return all;
}

/* An older kernel refuses a struct with members that it does not know. */
static size_t size_for(int abi)
{
    return abi >= 6 ? sizeof(struct ruleset_attr) : abi >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
}

static enum err_code put_up(struct fence *f, const struct sandbox *s, struct err *e)
{
    struct port_attr port = { NET_BIND_TCP, (uint64_t)s->port };

    f->fd = (int)syscall(SYS_landlock_create_ruleset, &f->handled, size_for(f->abi), 0);
    if (f->fd < 0)
        return err_set(e, ERR_IO, "Landlock: %s", strerror(errno));
    allow_all(f, s);
    if (f->handled.net && syscall(SYS_landlock_add_rule, f->fd, RULE_NET_PORT, &port, 0) != 0)
        return err_set(e, ERR_IO, "Landlock: port %d: %s", s->port, strerror(errno));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(SYS_landlock_restrict_self, f->fd, 0) != 0)
        return err_set(e, ERR_IO, "Landlock: %s", strerror(errno));
    return ERR_OK;
}

enum err_code sandbox_files(const struct sandbox *s, struct err *e)
{
    struct fence f = { .fd = -1 };
    enum err_code code;

    f.abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (f.abi < 1)
        return err_set(e, ERR_NOT_FOUND, "this kernel has no Landlock");
    f.handled = all_of(f.abi);
    code = put_up(&f, s, e);
    if (f.fd >= 0)
        close(f.fd);
    return code;
}

#else

enum err_code sandbox_files(const struct sandbox *s, struct err *e)
{
    (void)s;
    return err_set(e, ERR_NOT_FOUND, "this system has no Landlock");
}

#endif
