/* strike: runs a program and kills it at one of its system calls, whichever
 * thread makes it. Linux only: a seccomp filter hands each call to this tracer
 * before the kernel looks at it, so that also those count which a library makes
 * inside of libc, and the program itself is as it was built.
 *
 *   usage: strike [-n N] [-h] [-f PATH] -o REPORT PROGRAM ARGUMENT...
 *
 * The N-th call is not made any more: nothing of the program runs after that,
 * not even what exit would do. (Killed after a call is the same as killed
 * before the next one: between two calls there is nothing to be seen from
 * outside.) With -h only calls that hand bytes to the kernel are counted, and
 * of the N-th the first half of the bytes is handed over before the end. Calls
 * count from the opening of PATH on; without it, all do. Without -n they are
 * only counted.
 *
 * REPORT gets a line for each name, "NAME COUNT", and at last what was struck:
 * "struck NAME", or "spared". SIGTERM, SIGINT and SIGHUP go on to the program;
 * strike ends as it does. */
#include <elf.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALLS_MAX 1024 /* numbers that are counted; those above it count as one */
#define PATH_BYTES_MAX 512
#define EXIT_USAGE 125

static const struct {
    long number;
    const char *name;
} names[] = {
#include "build/gen/syscalls.h"
};

/* struct ptrace_syscall_info of the kernel at such a stop: libcs call it otherwise, each by a name of its own. */
struct call {
    uint8_t op, pad[3];
    uint32_t arch;
    uint64_t instruction, stack, number, args[6];
    uint32_t data, pad_end;
};

static struct {
    long at;          /* -1: only count */
    bool half;
    const char *from; /* NULL: from the beginning */
    const char *report;
} options = { .at = -1 };

static pid_t program;
static bool counting;
static long calls, counts[CALLS_MAX + 1];
static long struck = -1;

static void fail(const char *what)
{
    perror(what);
    exit(EXIT_USAGE);
}

/* --- the program --- */
static void hand_over_calls(void)
{
    struct sock_filter to_tracer = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
    struct sock_fprog filter = { .len = 1, .filter = &to_tracer };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter))
        fail("strike: seccomp");
}

static void become(char **argv, int go)
{
    char byte;
    if (read(go, &byte, 1) != 1) /* the tracer is not there yet, or never will be */
        _exit(EXIT_USAGE);
    close(go);
    hand_over_calls();
    execvp(*argv, argv);
    _exit(EXIT_USAGE);
}

static void start(char **argv)
{
    int go[2];
    if (pipe(go))
        fail("strike: pipe");
    program = fork();
    if (program < 0)
        fail("strike: fork");
    if (program == 0) {
        close(go[1]);
        become(argv, go[0]);
    }
    close(go[0]);
    if (ptrace(PTRACE_SEIZE, program, NULL, PTRACE_O_EXITKILL | PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
                                                PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC))
        fail("strike: ptrace");
    if (write(go[1], "", 1) != 1)
        fail("strike: pipe");
    close(go[1]);
}

static void pass_on(int signo)
{
    kill(program, signo);
}

/* --- one call --- */
static const char *name_of(long number)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].number == number)
            return names[i].name;
    return "other";
}

static bool hands_bytes(long number)
{
    return number == SYS_write || number == SYS_pwrite64 || number == SYS_sendto;
}

/* The length is the third argument of each call that hands_bytes(). */
static void halve_length(pid_t thread)
{
    struct user_regs_struct regs;
    struct iovec at = { &regs, sizeof regs };
    if (ptrace(PTRACE_GETREGSET, thread, (void *)NT_PRSTATUS, &at))
        fail("strike: registers");
#if defined(__x86_64__)
    regs.rdx /= 2;
#elif defined(__aarch64__)
    regs.regs[2] /= 2;
#else
    fputs("strike: -h is not known on this processor\n", stderr);
    exit(EXIT_USAGE);
#endif
    if (ptrace(PTRACE_SETREGSET, thread, (void *)NT_PRSTATUS, &at))
        fail("strike: registers");
}

/* Lets the thread make its call, or get killed by somebody else in it. */
static void finish_call(pid_t thread)
{
    int status;
    if (ptrace(PTRACE_SYSCALL, thread, NULL, 0) == 0)
        waitpid(thread, &status, __WALL);
}

static void strike(pid_t thread, long number)
{
    struck = number;
    if (options.half) {
        halve_length(thread);
        finish_call(thread);
    }
    kill(program, SIGKILL);
}

static bool opens(pid_t thread, const struct call *call, const char *path)
{
    char found[PATH_BYTES_MAX] = "";
    size_t len = strlen(path) + 1;
    struct iovec here = { found, len }, there = { (void *)(uintptr_t)call->args[1], len };
    return (long)call->number == SYS_openat && process_vm_readv(thread, &here, 1, &there, 1, 0) == (ssize_t)len &&
           memcmp(found, path, len) == 0;
}

static void on_call(pid_t thread)
{
    struct call call;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, (void *)sizeof call, &call) <= 0)
        return; /* killed meanwhile */
    long number = (long)call.number;
    if (!counting)
        counting = !options.from || opens(thread, &call, options.from);
    if (!counting || (options.half && !hands_bytes(number)))
        return;
    counts[number < CALLS_MAX ? number : CALLS_MAX]++;
    if (++calls == options.at)
        strike(thread, number);
}

/* --- until the end --- */
/* What a stopped thread is to get when it goes on. */
static int signal_of(pid_t thread, int status)
{
    switch (status >> 16) {
    case 0:
        return WSTOPSIG(status);
    case PTRACE_EVENT_SECCOMP:
        on_call(thread);
        return 0;
    default:
        return 0; /* a new thread, or exec */
    }
}

static int watch(void)
{
    for (;;) {
        int status;
        pid_t thread = waitpid(-1, &status, __WALL);
        if (thread < 0 && errno == EINTR)
            continue;
        if (thread < 0)
            fail("strike: wait");
        if (WIFSTOPPED(status))
            ptrace(PTRACE_CONT, thread, NULL, signal_of(thread, status));
        else if (thread == program)
            return status;
    }
}

static void report(void)
{
    FILE *f = fopen(options.report, "w");
    if (!f)
        fail(options.report);
    for (long i = 0; i <= CALLS_MAX; i++)
        if (counts[i])
            fprintf(f, "%s %ld\n", name_of(i), counts[i]);
    if (struck >= 0)
        fprintf(f, "struck %s\n", name_of(struck));
    else
        fputs("spared\n", f);
    if (fclose(f))
        fail(options.report);
}

static bool read_options(int argc, char **argv)
{
    int c;
    while ((c = getopt(argc, argv, "+n:hf:o:")) != -1) {
        switch (c) {
        case 'n': options.at = strtol(optarg, NULL, 10); break;
        case 'h': options.half = true; break;
        case 'f': options.from = optarg; break;
        case 'o': options.report = optarg; break;
        default: return false;
        }
    }
    return options.report && argv[optind] && (!options.from || strlen(options.from) < PATH_BYTES_MAX);
}

int main(int argc, char **argv)
{
    if (!read_options(argc, argv)) {
        fputs("usage: strike [-n N] [-h] [-f PATH] -o REPORT PROGRAM ARGUMENT...\n", stderr);
        return EXIT_USAGE;
    }
    start(argv + optind);
    static const int passed_on[] = { SIGTERM, SIGINT, SIGHUP };
    for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++)
        signal(passed_on[i], pass_on);
    int status = watch();
    report();
    if (WIFSIGNALED(status)) {
        signal(WTERMSIG(status), SIG_DFL);
        raise(WTERMSIG(status));
    }
    return WEXITSTATUS(status);
}
