/* The fence around system calls: a seccomp filter, seccomp(2), written by hand.
 * libseccomp would compile the same lists, and be one more library to install
 * and to map into memory; what it adds is other processors, which do without
 * this fence until somebody tries it there. */
#include "plugin/sandbox.h"

#if defined(__linux__) && (defined(__x86_64__) || (defined(__aarch64__) && defined(__AARCH64EL__)))

#include <assert.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __x86_64__
#define OWN_ARCH AUDIT_ARCH_X86_64
#else
#define OWN_ARCH AUDIT_ARCH_AARCH64
#endif

#define PROGRAM_MAX 1024 /* instructions */

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41 /* how newer C libraries name their memory */
#endif

/* Younger than the oldest headers that we build with; the numbers are the same everywhere. */
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_faccessat2
#define SYS_faccessat2 439
#endif
#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif
#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

/* What the program, SQLite, libcurl, libwebsockets, OpenSSL and the resolver do,
 * with glibc and with musl. */
static const uint16_t allowed[] = {
    /* memory */
    SYS_brk, SYS_munmap, SYS_mremap, SYS_madvise, SYS_membarrier,
    /* threads and the end */
    SYS_futex, SYS_futex_waitv, SYS_set_robust_list, SYS_get_robust_list, SYS_rseq, SYS_set_tid_address, SYS_gettid, SYS_getpid,
    SYS_getppid, SYS_sched_yield, SYS_sched_getaffinity, SYS_getcpu, SYS_restart_syscall, SYS_exit, SYS_exit_group,
    /* signals */
    SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigpending, SYS_rt_sigtimedwait, SYS_rt_sigsuspend, SYS_rt_sigreturn,
    SYS_sigaltstack, SYS_signalfd4,
    /* time and chance */
    SYS_clock_gettime, SYS_clock_getres, SYS_clock_nanosleep, SYS_nanosleep, SYS_gettimeofday, SYS_timerfd_create,
    SYS_timerfd_settime, SYS_timerfd_gettime, SYS_getrandom,
    /* who and where we are */
    SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_uname, SYS_sysinfo, SYS_getrusage, SYS_times, SYS_getcwd, SYS_umask,
    /* files */
    SYS_openat, SYS_close, SYS_close_range, SYS_read, SYS_pread64, SYS_readv, SYS_preadv, SYS_write, SYS_pwrite64, SYS_writev,
    SYS_pwritev, SYS_lseek, SYS_fstat, SYS_newfstatat, SYS_statx, SYS_statfs, SYS_fstatfs, SYS_faccessat, SYS_faccessat2,
    SYS_readlinkat, SYS_getdents64, SYS_fcntl, SYS_flock, SYS_fsync, SYS_fdatasync, SYS_ftruncate, SYS_fallocate,
    SYS_fadvise64, SYS_unlinkat, SYS_fchmod, SYS_fchown, SYS_dup, SYS_dup3, SYS_pipe2, SYS_eventfd2,
    /* the network */
    SYS_connect, SYS_bind, SYS_accept, SYS_accept4, SYS_getsockname, SYS_getpeername, SYS_getsockopt, SYS_setsockopt,
    SYS_sendto, SYS_recvfrom, SYS_sendmsg, SYS_recvmsg, SYS_sendmmsg, SYS_recvmmsg, SYS_shutdown,
    /* waiting */
    SYS_ppoll, SYS_pselect6, SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait, SYS_epoll_pwait2,
#ifdef __x86_64__ /* older forms of the above, which other processors never had */
    SYS_open, SYS_stat, SYS_lstat, SYS_access, SYS_readlink, SYS_unlink, SYS_dup2, SYS_pipe, SYS_poll, SYS_select,
    SYS_epoll_wait, SYS_epoll_create, SYS_eventfd, SYS_getdents, SYS_time, SYS_arch_prctl, SYS_getrlimit,
#endif
#ifndef __GLIBC__
    SYS_tkill, /* musl's raise() and abort() */
#endif
#if SANDBOX_SANITIZED
    SYS_ptrace, SYS_wait4,
#endif
};

/* Of no use but to somebody who took the process over. */
static const uint16_t deadly[] = {
    SYS_execve, SYS_execveat, SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kexec_load, SYS_init_module,
    SYS_finit_module, SYS_delete_module, SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_mount, SYS_umount2,
    SYS_pivot_root, SYS_chroot, SYS_setns, SYS_unshare, SYS_setuid, SYS_setgid, SYS_setreuid, SYS_setregid, SYS_setresuid,
    SYS_setresgid, SYS_setfsuid, SYS_setfsgid, SYS_setgroups, SYS_capset, SYS_keyctl, SYS_add_key, SYS_request_key,
    SYS_reboot, SYS_swapon, SYS_swapoff, SYS_acct, SYS_quotactl, SYS_syslog, SYS_sethostname, SYS_setdomainname,
    SYS_settimeofday, SYS_clock_settime, SYS_open_by_handle_at,
#ifdef __x86_64__
    SYS_iopl, SYS_ioperm, SYS_modify_ldt,
#endif
};

#define ALLOW SECCOMP_RET_ALLOW
#define REFUSE(error) (SECCOMP_RET_ERRNO | (error))

/* An argument, of which only these bits count; mask 0: it does not matter. */
struct condition {
    uint32_t argument, mask, value;
};

#define ARG(n, is) { n, UINT32_MAX, is }
#define BITS(n, set) { n, set, set }

/* Calls whose arguments decide: the first rule that fits. Only the lower halves
 * of arguments are looked at; the kernel takes no more of these. */
static const struct rule {
    uint16_t call;
    struct condition both[2];
    uint32_t action;
} rules[] = {
    /* Memory that was written is never run. Libraries are still loaded: the C library does so for look-ups of names. */
    { SYS_mmap, { BITS(2, PROT_WRITE | PROT_EXEC) }, REFUSE(EPERM) },
    { SYS_mmap, { BITS(2, PROT_EXEC), BITS(3, MAP_ANONYMOUS) }, REFUSE(EPERM) },
    { SYS_mmap, { { 0 } }, ALLOW },
    { SYS_mprotect, { { 2, PROT_EXEC, 0 } }, ALLOW },
    { SYS_mprotect, { { 0 } }, REFUSE(EPERM) },
    /* Threads, but no processes. The flags of clone3 lie in memory, where no filter looks, so it is unknown here and
     * libraries fall back to clone. */
    { SYS_clone, { BITS(0, CLONE_THREAD | CLONE_VM | CLONE_SIGHAND) }, ALLOW },
    { SYS_clone, { { 0 } }, SANDBOX_SANITIZED ? ALLOW : REFUSE(EPERM) },
    { SYS_socket, { ARG(0, AF_UNIX) }, ALLOW },
    { SYS_socket, { ARG(0, AF_INET), { 1, 0xF, SOCK_STREAM } }, ALLOW },
    { SYS_socket, { ARG(0, AF_INET), { 1, 0xF, SOCK_DGRAM } }, ALLOW },
    { SYS_socket, { ARG(0, AF_INET6), { 1, 0xF, SOCK_STREAM } }, ALLOW },
    { SYS_socket, { ARG(0, AF_INET6), { 1, 0xF, SOCK_DGRAM } }, ALLOW },
    { SYS_socket, { ARG(0, AF_NETLINK), ARG(2, 0) }, ALLOW }, /* NETLINK_ROUTE: which addresses this machine has */
    { SYS_socket, { { 0 } }, REFUSE(EAFNOSUPPORT) },
    { SYS_socketpair, { ARG(0, AF_UNIX) }, ALLOW },
    { SYS_socketpair, { { 0 } }, REFUSE(EAFNOSUPPORT) },
    { SYS_ioctl, { ARG(1, FIONBIO) }, ALLOW },
    { SYS_ioctl, { ARG(1, FIONREAD) }, ALLOW },
    { SYS_ioctl, { ARG(1, FIOCLEX) }, ALLOW },
    { SYS_ioctl, { ARG(1, TCGETS) }, ALLOW },
    { SYS_ioctl, { ARG(1, TIOCGWINSZ) }, ALLOW },
    { SYS_ioctl, { ARG(1, 0x8933) }, ALLOW }, /* SIOCGIFINDEX: the number of an interface, in link-local addresses */
    { SYS_ioctl, { { 0 } }, REFUSE(ENOTTY) },
    { SYS_prctl, { ARG(0, PR_SET_NAME) }, ALLOW },
    { SYS_prctl, { ARG(0, PR_GET_NAME) }, ALLOW },
    { SYS_prctl, { ARG(0, PR_SET_VMA) }, ALLOW },
    { SYS_prctl, { { 0 } }, SANDBOX_SANITIZED ? ALLOW : REFUSE(EPERM) },
    { SYS_prlimit64, { ARG(0, 0) }, ALLOW }, /* our own limits */
    { SYS_prlimit64, { { 0 } }, REFUSE(EPERM) },
};

struct program {
    struct sock_filter v[PROGRAM_MAX];
    uint16_t n;
};

static void emit(struct program *p, uint16_t code, uint32_t k, uint8_t jump_true, uint8_t jump_false)
{
    assert(p->n < PROGRAM_MAX);
    p->v[p->n++] = (struct sock_filter)BPF_JUMP(code, k, jump_true, jump_false);
}

static void load(struct program *p, size_t offset)
{
    emit(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void answer(struct program *p, uint32_t action)
{
    emit(p, BPF_RET | BPF_K, action, 0, 0);
}

/* With the number of the call loaded. */
static void answer_to(struct program *p, uint32_t call, uint32_t action)
{
    emit(p, BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1);
    answer(p, action);
}

/* Instructions of a condition: load, mask, compare. */
static uint8_t size_of(const struct condition *c)
{
    return c->mask ? 3 : 0;
}

static void add_condition(struct program *p, const struct condition *c, uint8_t to_end)
{
    if (!c->mask)
        return;
    load(p, offsetof(struct seccomp_data, args) + c->argument * sizeof(uint64_t)); /* little endian: the lower half */
    emit(p, BPF_ALU | BPF_AND | BPF_K, c->mask, 0, 0);
    emit(p, BPF_JMP | BPF_JEQ | BPF_K, c->value, 0, to_end);
}

static void add_rule(struct program *p, uint32_t call, const struct condition both[2], uint32_t action)
{
    uint8_t second = size_of(&both[1]), first = size_of(&both[0]);

    load(p, offsetof(struct seccomp_data, nr));
    emit(p, BPF_JMP | BPF_JEQ | BPF_K, call, 0, (uint8_t)(first + second + 1));
    add_condition(p, &both[0], (uint8_t)(second + 1));
    add_condition(p, &both[1], 1);
    answer(p, action);
}

/* Numbers in allowed and deadly never stand in both; where they do, allowed comes first. */
static void write_program(struct program *p)
{
    const struct condition ourselves[2] = { ARG(0, (uint32_t)getpid()) };

    load(p, offsetof(struct seccomp_data, arch));
    emit(p, BPF_JMP | BPF_JEQ | BPF_K, OWN_ARCH, 1, 0);
    answer(p, SECCOMP_RET_KILL_PROCESS); /* the numbers of another processor mean other calls */
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        add_rule(p, rules[i].call, rules[i].both, rules[i].action);
    add_rule(p, SYS_tgkill, ourselves, ALLOW); /* abort() */
    load(p, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        answer_to(p, allowed[i], ALLOW);
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++)
        answer_to(p, deadly[i], SECCOMP_RET_KILL_PROCESS);
    answer(p, REFUSE(ENOSYS));
}

enum err_code sandbox_calls(struct err *e)
{
    struct program p = { .n = 0 };
    struct sock_fprog filter = { .filter = p.v };
    long rc;

    write_program(&p);
    filter.len = p.n;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return err_set(e, ERR_IO, "seccomp: %s", strerror(errno));
    rc = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter);
    if (rc > 0)
        return err_set(e, ERR_IO, "seccomp: thread %ld has a filter of its own", rc);
    if (rc < 0 && (errno == ENOSYS || errno == EINVAL))
        return err_set(e, ERR_NOT_FOUND, "this kernel has no seccomp filters");
    return rc < 0 ? err_set(e, ERR_IO, "seccomp: %s", strerror(errno)) : ERR_OK;
}

#else

enum err_code sandbox_calls(struct err *e)
{
    return err_set(e, ERR_NOT_FOUND, "system calls are restricted on Linux with x86-64 or arm64 only");
}

#endif
