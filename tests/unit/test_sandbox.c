/* plugin/sandbox.h: what must fail fails, and what the program needs works.
 * Each case runs in a child that puts the fences up and then tries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plugin/sandbox.h"

#ifdef __linux__

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/perf_event.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define PATH_BYTES 256
#define NOT_FENCED 200 /* a child's exit status: there is no such fence here */
#define BROKEN 201     /* ... and: it could not be put up */

/* A folder with the folders data, conf and other, a file in each. */
static char base[PATH_BYTES], listen_port[16];
static int port; /* that may be listened on */

/* Good until the next call but one. */
static const char *below(const char *path)
{
    static char full[2][2 * PATH_BYTES];
    static size_t at;
    at = !at;
    snprintf(full[at], sizeof full[at], "%s/%s", base, path);
    return full[at];
}

static void write_file(const char *path)
{
    int fd = open(below(path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && write(fd, "text", 4) == 4);
    close(fd);
}

/* A port that nobody else has now. */
static int free_port(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    close(fd);
    return ntohs(at.sin_port);
}

static int setup(void **state)
{
    (void)state;
    static const char *const folders[] = { "data", "conf", "other" }, *const files[] = { "data/a", "conf/a", "conf/b", "other/a" };
    const char *tmp = getenv("TMPDIR");
    snprintf(base, sizeof base, "%s/warbler-sandbox-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(base));
    for (size_t i = 0; i < COUNT(folders); i++)
        assert_int_equal(mkdir(below(folders[i]), 0700), 0);
    for (size_t i = 0; i < COUNT(files); i++)
        write_file(files[i]);
    assert_int_equal(symlink("../other/a", below("conf/link")), 0);
    port = free_port();
    snprintf(listen_port, sizeof listen_port, "%d", port);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    static const char *const names[] = { "data/a", "data/new", "conf/a", "conf/b", "conf/c", "conf/link", "other/a", "data", "conf",
                                         "other", "" };
    for (size_t i = 0; i < COUNT(names); i++)
        remove(below(names[i]));
    return 0;
}

/* --- a child behind the fences --- */

enum fences { FILES = 1, CALLS = 2 };

static void put_up(enum fences which)
{
    char data[PATH_BYTES + 8], conf[PATH_BYTES + 8];
    const char *const files[] = { conf };
    struct sandbox s = { .data_dir = data, .files = files, .n_files = 1, .port = port };
    struct err e = ERR_INIT;
    snprintf(data, sizeof data, "%s/data", base);
    snprintf(conf, sizeof conf, "%s/conf/a", base);
    enum err_code code = which & FILES ? sandbox_files(&s, &e) : ERR_OK;
    if (!code && which & CALLS)
        code = sandbox_calls(&e);
    if (code)
        _exit(code == ERR_NOT_FOUND ? NOT_FENCED : BROKEN);
}

/* What became of fn() behind the fences: its exit status, or the negative of
 * the signal that ended it. The child ends without a word: it owns nothing. */
static int behind(enum fences which, int (*fn)(void))
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        put_up(which);
        _exit(fn());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* A kernel without Landlock or seccomp is no failure of ours; one on which they cannot be put up is. */
static void need(enum fences which, int (*nothing)(void))
{
    if (behind(which, nothing) == NOT_FENCED)
        skip();
}

static int nothing(void)
{
    return 0;
}

/* errno of a call, 0: it succeeded. */
static int failure(long result)
{
    return result < 0 ? errno : 0;
}

struct attempt {
    const char *what;
    int (*fn)(void);
    int outcome; /* of behind() */
};

static void try_all(enum fences which, const struct attempt *attempts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int outcome = behind(which, attempts[i].fn);
        if (outcome != attempts[i].outcome)
            fail_msg("%s: %d (%s), not %d", attempts[i].what, outcome, strerror(outcome), attempts[i].outcome);
    }
}

/* --- files --- */

static int opened(const char *path, int flags)
{
    return failure(open(path, flags | O_CLOEXEC, 0600));
}

static int write_in_data(void) { return opened(below("data/a"), O_RDWR | O_TRUNC); }
static int make_in_data(void) { return opened(below("data/new"), O_WRONLY | O_CREAT | O_EXCL); }
static int remove_in_data(void) { return failure(unlink(below("data/new"))); }
static int list_data(void) { return opened(below("data"), O_RDONLY | O_DIRECTORY); }
static int folder_in_data(void) { return failure(mkdir(below("data/folder"), 0700)); }
static int link_in_data(void) { return failure(symlink("/etc/passwd", below("data/link"))); }
static int read_conf(void) { return opened(below("conf/a"), O_RDONLY); }
static int read_beside_conf(void) { return opened(below("conf/b"), O_RDONLY); }
static int write_conf(void) { return opened(below("conf/a"), O_WRONLY); }
static int truncate_conf(void) { return failure(truncate(below("conf/a"), 0)); }
static int make_in_conf(void) { return opened(below("conf/c"), O_WRONLY | O_CREAT); }
static int remove_in_conf(void) { return failure(unlink(below("conf/b"))); }
static int through_link(void) { return opened(below("conf/link"), O_RDONLY); }
static int read_elsewhere(void) { return opened(below("other/a"), O_RDONLY); }
static int write_elsewhere(void) { return opened(below("other/a"), O_WRONLY); }
static int list_elsewhere(void) { return opened(below("other"), O_RDONLY | O_DIRECTORY); }
static int move_out(void) { return failure(rename(below("data/a"), below("other/a"))); }
static int write_shadow(void) { return opened("/etc/shadow", O_WRONLY | O_APPEND); }
static int make_in_etc(void) { return opened("/etc/warbler-was-here", O_WRONLY | O_CREAT); }
static int make_in_tmp(void) { return opened("/tmp/warbler-was-here", O_WRONLY | O_CREAT); }
static int list_home(void) { return opened("/root", O_RDONLY | O_DIRECTORY); }
static int read_resolv(void) { return opened("/etc/nsswitch.conf", O_RDONLY); }
static int read_statm(void) { return opened("/proc/self/statm", O_RDONLY); }
static int list_fds(void) { return opened("/proc/self/fd", O_RDONLY | O_DIRECTORY); }

static int replace_conf(void) /* as an editor does: another file under the same name */
{
    return opened(below("conf/a"), O_RDONLY);
}

static int run_program(void)
{
    char name[] = "true", *const argv[] = { name, NULL };
    return failure(execv("/bin/true", argv));
}

static int listens_on(int number)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)number) };
    int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    return failure(bind(fd, (struct sockaddr *)&at, sizeof at));
}

static int landlock_abi(void)
{
    return (int)syscall(444 /* landlock_create_ruleset */, NULL, 0, 1U);
}

static int own_port(void) { return listens_on(port); }
static int other_port(void) { return listens_on(port == 65535 ? 65534 : port + 1); }
static int signal_parent(void) { return failure(kill(getppid(), 0)); }

static void test_files(void **state)
{
    (void)state;
    static const struct attempt attempts[] = {
        { "write in data", write_in_data, 0 },
        { "make in data", make_in_data, 0 },
        { "remove in data", remove_in_data, 0 },
        { "list data", list_data, 0 },
        { "make a folder in data", folder_in_data, EACCES },
        { "make a link in data", link_in_data, EACCES },
        { "read the configuration", read_conf, 0 },
        { "read beside it", read_beside_conf, 0 },
        { "write the configuration", write_conf, EACCES },
        { "make beside it", make_in_conf, EACCES },
        { "remove beside it", remove_in_conf, EACCES },
        { "read through a link", through_link, EACCES },
        { "read elsewhere", read_elsewhere, EACCES },
        { "write elsewhere", write_elsewhere, EACCES },
        { "list elsewhere", list_elsewhere, EACCES },
        { "move a file out", move_out, EACCES },
        { "write /etc/shadow", write_shadow, EACCES },
        { "make in /etc", make_in_etc, EACCES },
        { "make in /tmp", make_in_tmp, EACCES },
        { "list a home", list_home, EACCES },
        { "run a program", run_program, EACCES },
        { "read how names are looked up", read_resolv, 0 },
        { "read /proc/self/statm", read_statm, 0 },
        { "list the descriptors", list_fds, 0 },
    };
    static const struct attempt later[] = {
        { "truncate the configuration", truncate_conf, EACCES }, /* ABI 3 */
        { "listen on the port", own_port, 0 },                   /* 4 */
        { "listen on another port", other_port, EACCES },
        { "signal the parent", signal_parent, EPERM },           /* 6 */
    };
    need(FILES, nothing);
    try_all(FILES, attempts, COUNT(attempts));
    try_all(FILES, later, landlock_abi() >= 6 ? 4 : landlock_abi() >= 4 ? 3 : landlock_abi() >= 3 ? 1 : 0);
}

/* Editors, certificate updates and DHCP clients write a new file and give it the old name. */
static void test_replaced_file(void **state)
{
    (void)state;
    int status;
    int go[2];
    char byte;
    need(FILES, nothing);
    assert_int_equal(pipe(go), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        put_up(FILES);
        _exit(read(go[0], &byte, 1) == 1 ? replace_conf() : BROKEN);
    }
    write_file("conf/c");
    assert_int_equal(rename(below("conf/c"), below("conf/a")), 0);
    assert_int_equal(write(go[1], "!", 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    close(go[0]);
    close(go[1]);
}

/* --- system calls --- */

#if defined(__x86_64__) || defined(__aarch64__)
#define FILTERED true
#else
#define FILTERED false
#endif

static int run_at(void) { return failure(syscall(SYS_execveat, AT_FDCWD, "/bin/true", NULL, NULL, 0)); }
static int trace_parent(void) { return failure(ptrace(PTRACE_PEEKDATA, getppid(), NULL, NULL)); }
static int mount_something(void) { return failure(mount("none", base, "tmpfs", 0, NULL)); }
static int be_another(void) { return failure(setuid(1)); }
static int new_namespace(void) { return failure(unshare(CLONE_NEWUSER)); }
static int root_elsewhere(void) { return failure(chroot(base)); }
static int load_module(void) { return failure(syscall(SYS_finit_module, 0, "", 0)); }
static int load_bpf(void) { return failure(syscall(SYS_bpf, 0, NULL, 0)); }
static int read_keys(void) { return failure(syscall(SYS_keyctl, 0, 0, 0, 0, 0)); }
static int host_name(void) { return failure(sethostname("x", 1)); }

static int look_into_parent(void)
{
    char here[8];
    struct iovec to = { here, sizeof here }, from = { here, sizeof here };
    return failure(process_vm_readv(getppid(), &to, 1, &from, 1, 0));
}

static int measure(void)
{
    struct perf_event_attr attr = { .size = sizeof attr };
    return failure(syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0));
}

static int fork_child(void)
{
    pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        _exit(0);
    return failure(pid);
}

static int spawn(void)
{
    char name[] = "true", *const argv[] = { name, NULL };
    return posix_spawn(&(pid_t){ 0 }, "/bin/true", NULL, NULL, argv, argv + 1);
}

static int clone_3(void) { return failure(syscall(435 /* clone3 */, NULL, 0)); }
static int from_the_future(void) { return failure(syscall(100000)); }
static int io_uring(void) { return failure(syscall(425 /* io_uring_setup */, 1, NULL)); }
static int kill_parent(void) { return failure(kill(getppid(), 0)); }
static int packet_socket(void) { return failure(socket(AF_PACKET, SOCK_RAW, 0)); }
static int raw_socket(void) { return failure(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)); }
static int vsock(void) { return failure(socket(AF_VSOCK, SOCK_STREAM, 0)); }
static int kernel_socket(void) { return failure(socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT)); }
static int route_socket(void) { return failure(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)); }
static int udp_6(void) { return failure(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)); }
static int unix_pair(void) { return failure(socketpair(AF_UNIX, SOCK_STREAM, 0, (int[2]){ 0, 0 })); }
static int tty_input(void) { return failure(ioctl(0, TIOCSTI, "x")); }
static int core_of_parent(void) { return failure(prlimit(getppid(), RLIMIT_CORE, NULL, &(struct rlimit){ 0, 0 })); }
static int own_limit(void) { return failure(getrlimit(RLIMIT_NOFILE, &(struct rlimit){ 0, 0 })); }

static int begin_to_listen(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return failure(listen(fd, 1));
}

static int mapped(int prot, int flags)
{
    void *p = mmap(NULL, 4096, prot, flags | MAP_PRIVATE, flags & MAP_ANONYMOUS ? -1 : open("/bin/true", O_RDONLY), 0);
    return p == MAP_FAILED ? errno : 0;
}

static int map_writable_code(void) { return mapped(PROT_READ | PROT_WRITE | PROT_EXEC, 0); }
static int map_new_code(void) { return mapped(PROT_READ | PROT_EXEC, MAP_ANONYMOUS); }
static int map_library(void) { return mapped(PROT_READ | PROT_EXEC, 0); }

static int turn_data_into_code(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return failure(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static void *thread(void *arg)
{
    return arg;
}

static int start_thread(void)
{
    pthread_t t;
    int error = pthread_create(&t, NULL, thread, NULL);
    return error ? error : pthread_join(t, NULL);
}

static int look_up_a_name(void)
{
    struct addrinfo *found = NULL, hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
    int rc = getaddrinfo("localhost", listen_port, &hints, &found);
    return rc;
}

static int abort_ourselves(void)
{
    signal(SIGABRT, SIG_DFL);
    abort();
}

/* A line of the own status in /proc, as a number. */
static int status_of(const char *name)
{
    char line[256];
    int value = -1;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, name, strlen(name)) == 0)
            value = (int)strtol(line + strlen(name), NULL, 10);
    return value;
}

static int seccomp_mode(void) { return status_of("Seccomp:"); }
static int no_new_privileges(void) { return status_of("NoNewPrivs:"); }

static void test_calls(void **state)
{
    (void)state;
    static const struct attempt attempts[] = {
        { "run a program", run_program, -SIGSYS },
        { "run a program beside it", run_at, -SIGSYS },
        { "trace the parent", trace_parent, SANDBOX_SANITIZED ? ESRCH : -SIGSYS },
        { "read the parent's memory", look_into_parent, -SIGSYS },
        { "mount", mount_something, -SIGSYS },
        { "become another user", be_another, -SIGSYS },
        { "make a namespace", new_namespace, -SIGSYS },
        { "change the root", root_elsewhere, -SIGSYS },
        { "load a module", load_module, -SIGSYS },
        { "load a BPF program", load_bpf, -SIGSYS },
        { "read keys", read_keys, -SIGSYS },
        { "rename the machine", host_name, -SIGSYS },
        { "count events", measure, -SIGSYS },
        { "fork", fork_child, SANDBOX_SANITIZED ? 0 : EPERM },
        { "spawn", spawn, SANDBOX_SANITIZED ? 0 : EPERM },
        { "clone3", clone_3, ENOSYS },
        { "a call that is not there yet", from_the_future, ENOSYS },
        { "io_uring", io_uring, ENOSYS },
        { "signal the parent", kill_parent, ENOSYS },
        { "packets", packet_socket, EAFNOSUPPORT },
        { "raw sockets", raw_socket, EAFNOSUPPORT },
        { "sockets to the hypervisor", vsock, EAFNOSUPPORT },
        { "sockets to the kernel", kernel_socket, EAFNOSUPPORT },
        { "which addresses there are", route_socket, 0 },
        { "UDP", udp_6, 0 },
        { "a pair of sockets", unix_pair, 0 },
        { "listen", begin_to_listen, ENOSYS },
        { "type at the terminal", tty_input, ENOTTY },
        { "the parent's limits", core_of_parent, EPERM },
        { "the own limits", own_limit, 0 },
        { "code that can be written", map_writable_code, EPERM },
        { "code of nowhere", map_new_code, EPERM },
        { "code of a library", map_library, 0 },
        { "data that becomes code", turn_data_into_code, EPERM },
        { "a thread", start_thread, 0 },
        { "look a name up", look_up_a_name, 0 },
        { "abort", abort_ourselves, -SIGABRT },
        { "the mode", seccomp_mode, 2 },
        { "new privileges", no_new_privileges, 1 },
    };
    if (!FILTERED)
        skip();
    need(CALLS, nothing);
    try_all(CALLS, attempts, COUNT(attempts));
}

/* The filter holds for threads that run already. */
static atomic_int_fast32_t found;
static pthread_barrier_t meet;

static void *earlier_thread(void *arg)
{
    pthread_barrier_wait(&meet);
    found = failure(listen(*(int *)arg, 1));
    return NULL;
}

static int thread_from_before(void)
{
    pthread_t t;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct err e = ERR_INIT;
    pthread_barrier_init(&meet, NULL, 2);
    pthread_create(&t, NULL, earlier_thread, &fd);
    if (sandbox_calls(&e))
        return BROKEN;
    pthread_barrier_wait(&meet);
    pthread_join(t, NULL);
    return (int)found;
}

static void test_running_threads(void **state)
{
    (void)state;
    if (!FILTERED)
        skip();
    need(CALLS, nothing);
    assert_int_equal(behind(FILES, thread_from_before), ENOSYS);
}

static void test_both(void **state)
{
    (void)state;
    static const struct attempt attempts[] = {
        { "write in data", write_in_data, 0 },
        { "write elsewhere", write_elsewhere, EACCES },
        { "run a program", run_program, -SIGSYS },
        { "look a name up", look_up_a_name, 0 },
        { "a thread", start_thread, 0 },
    };
    if (!FILTERED)
        skip();
    need(FILES | CALLS, nothing);
    try_all(FILES | CALLS, attempts, COUNT(attempts));
}

/* valgrind writes code and makes calls of its own: it is no program that fits in. */
static bool under_valgrind(void)
{
    const char *preloaded = getenv("LD_PRELOAD");
    return preloaded && strstr(preloaded, "vgpreload");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_replaced_file),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_running_threads),
        cmocka_unit_test(test_both),
    };
    return under_valgrind() ? 0 : cmocka_run_group_tests(tests, setup, teardown);
}

#else

static void test_none(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct sandbox s = { .data_dir = "." };
    assert_int_equal(sandbox_files(&s, &e), ERR_NOT_FOUND);
    assert_int_equal(sandbox_calls(&e), ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_none) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
