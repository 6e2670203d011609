/* sandbox.h: the running daemon gives up what it does not need, so that whoever
 * gets hold of it through a message gets little else.
 *
 * Two fences, each for good and for every thread there is from then on:
 *
 *   sandbox_files   Landlock: reads the system's own folders, the folders of
 *                   the configuration's files and /proc; writes below data_dir
 *                   only; starts no program; listens on one TCP port only. Only
 *                   for threads started afterwards, so it comes before them.
 *   sandbox_calls   seccomp: a list of the system calls that the program and its
 *                   libraries make. For all threads, those that run too; no
 *                   socket can begin to listen after it.
 *
 * What is outside the second fence ends in one of two ways. A call that no
 * library makes by accident (exec, ptrace, mount, loading code into the kernel,
 * another user's rights) ends the process: it is somebody else's by then, and
 * nothing that it might still do is worth it; all that was accepted is on disk.
 * Every other one fails with ENOSYS, as on a kernel that does not have it, so
 * that a C library of next year falls back to an older call; or with the error
 * that says best what is wrong with its arguments (EPERM, EAFNOSUPPORT).
 *
 * Where the system has no such fences (not Linux, an old kernel, another
 * processor for sandbox_calls) the functions say so and change nothing. */
#ifndef WARBLER_SANDBOX_H
#define WARBLER_SANDBOX_H

#include <stddef.h>

#include "plugin/base/err.h"

/* 1 in builds with sanitizers, which are let do more: their leak checker stops
 * all threads with ptrace, from a process that shares their memory, and their
 * reports read the program's own file. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANDBOX_SANITIZED 1
#endif
#endif
#ifndef SANDBOX_SANITIZED
#define SANDBOX_SANITIZED 0
#endif

struct sandbox {
    const char *data_dir;     /* exists */
    const char *const *files; /* to be read, now or when they were replaced: all that is beside them can be read too */
    size_t n_files;
    int port;                 /* that may be listened on; 0: one that the system chooses */
};

/* ERR_NOT_FOUND: there is no such fence here. Any other error: it could not be
 * put up. The text is for the log. */
enum err_code sandbox_files(const struct sandbox *s, struct err *e);
enum err_code sandbox_calls(struct err *e);

#endif
