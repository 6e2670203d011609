/* starve.c: a shared object for LD_PRELOAD under which one allocation is
 * refused. It counts those that the program itself asks for and those that
 * libraries ask for; the C library's own are among the latter, and a sanitizer
 * goes on seeing every one.
 *
 *   STARVE_WHO     own | libraries: whose allocation is refused
 *   STARVE_AT      which one, from 1; 0: none, they are only counted
 *   STARVE_REPORT  a file that gets "refused" and the callers when it happens;
 *                  when they are counted, "place own N KEY" for the first one of
 *                  each place, which is its next callers, and whose key is the same
 *                  in all programs if they are libraries'; at the end "own N" and
 *                  "libraries N"
 *
 * What the program starts is left in peace. For Linux with glibc. */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EARLY_BYTES 65536U /* asked for while nobody knows where to pass it on to */
#define EARLY_ALIGN 16U
#define FRAMES_MAX 24
#define PLACE_FRAMES 6   /* callers that make a place */
#define PLACE_SKIPPED 4  /* of them, ours */
#define PLACES_MAX 65536U /* a power of two */
#define RANGES_MAX 256
#define REPORT_FD 900 /* out of the way of who counts descriptors from below */

enum who { OWN, LIBRARIES, NOBODY };
static const char *const names[] = {"own", "libraries"};

struct range {
    uintptr_t begin, end;
    enum who who;
    uint64_t salt; /* of its name */
};

static struct {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void *(*memalign)(size_t, size_t);
    int (*posix_memalign)(void **, size_t, size_t);
    void (*free)(void *);
} next;

static char early[EARLY_BYTES] __attribute__((aligned(EARLY_ALIGN)));
static atomic_size_t early_used;

static struct range ranges[RANGES_MAX];
static atomic_size_t n_ranges;
static atomic_long counts[2];
static long strike_at;
static enum who strike_who;
static bool counting;
static int report = -1;
static uint64_t own_salt; /* of the program's name */

/* --- before everything is in place --- */
static void *early_alloc(size_t size)
{
    size_t at = atomic_fetch_add(&early_used, (size + EARLY_ALIGN - 1) / EARLY_ALIGN * EARLY_ALIGN);

    if (at + size > EARLY_BYTES)
        abort();
    return early + at;
}

static bool is_early(const void *p)
{
    return (uintptr_t)p >= (uintptr_t)early && (uintptr_t)p < (uintptr_t)early + EARLY_BYTES;
}

static void find(void *slot, const char *name)
{
    *(void **)slot = dlsym(RTLD_NEXT, name);
}

static bool find_next(void)
{
    static atomic_bool looking;

    if (next.free)
        return true;
    if (atomic_exchange(&looking, true))
        return false; /* dlsym() allocates */
    find(&next.malloc, "malloc");
    find(&next.calloc, "calloc");
    find(&next.realloc, "realloc");
    find(&next.memalign, "memalign");
    find(&next.posix_memalign, "posix_memalign");
    find(&next.free, "free");
    return true;
}

static uint64_t mix(uint64_t h, uint64_t value) /* FNV-1a, by words */
{
    return (h ^ value) * UINT64_C(1099511628211);
}

static uint64_t mix_text(const char *text)
{
    uint64_t h = UINT64_C(14695981039346656037);

    while (*text)
        h = mix(h, (unsigned char)*text++);
    return h;
}

/* --- who asks --- */
/* The tests' own harness and the loader are nobody's business. */
static enum who who_is(const char *name, bool is_program)
{
    static const char *const spared[] = {"libcmocka", "ld-linux", "libasan", "libubsan", "starve.so"};

    if (is_program)
        return OWN;
    for (size_t i = 0; i < sizeof spared / sizeof *spared; i++)
        if (strstr(name, spared[i]))
            return NOBODY;
    return LIBRARIES;
}

static int add_ranges(struct dl_phdr_info *info, size_t size, void *arg)
{
    bool *is_program = arg;
    enum who who = who_is(info->dlpi_name, *is_program);

    (void)size;
    *is_program = false;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        size_t n = n_ranges;
        if (p->p_type != PT_LOAD || !(p->p_flags & PF_X) || n == RANGES_MAX)
            continue;
        ranges[n] = (struct range){info->dlpi_addr + p->p_vaddr, info->dlpi_addr + p->p_vaddr + p->p_memsz, who,
                                   mix_text(info->dlpi_name)};
        n_ranges = n + 1;
    }
    return 0;
}

static const struct range *range_of(const void *address)
{
    size_t n = n_ranges;

    for (size_t i = 0; i < n; i++)
        if ((uintptr_t)address >= ranges[i].begin && (uintptr_t)address < ranges[i].end)
            return &ranges[i];
    return NULL;
}

/* What is loaded later are libraries' parts. */
static enum who caller_of(const void *address)
{
    const struct range *r = range_of(address);

    return r ? r->who : LIBRARIES;
}

/* --- the report --- */
static void tell(const char *text, size_t len)
{
    if (report >= 0 && write(report, text, len) != (ssize_t)len)
        report = -1;
}

__attribute__((noinline)) static uint64_t place_of(void)
{
    void *frames[PLACE_SKIPPED + PLACE_FRAMES];
    int n = backtrace(frames, PLACE_SKIPPED + PLACE_FRAMES);
    uint64_t h = 0;

    for (int i = PLACE_SKIPPED; i < n; i++) {
        const struct range *r = range_of(frames[i]);
        h = r ? mix(mix(h, r->who == OWN ? own_salt : r->salt), (uintptr_t)frames[i] - r->begin) : mix(h, 1);
    }
    return h ? h : 1;
}

/* False: it was there, or there is no room. */
static bool add_place(uint64_t place)
{
    static _Atomic uint64_t places[PLACES_MAX];

    for (size_t i = 0; i < PLACES_MAX; i++) {
        _Atomic uint64_t *slot = &places[(place + i) % PLACES_MAX];
        uint64_t empty = 0;
        if (atomic_compare_exchange_strong(slot, &empty, place))
            return true;
        if (empty == place)
            return false;
    }
    return false;
}

__attribute__((noinline)) static void note_place(enum who who, long n)
{
    char line[64];

    uint64_t place = place_of();

    if (add_place(place))
        tell(line, (size_t)snprintf(line, sizeof line, "place %s %ld %llx\n", names[who], n, (unsigned long long)place));
}

/* --- the strike --- */

static void tell_callers(void)
{
    void *frames[FRAMES_MAX];
    int n = backtrace(frames, FRAMES_MAX);

    tell("refused\n", 8);
    if (report >= 0)
        backtrace_symbols_fd(frames, n, report);
}

__attribute__((noinline)) static bool refuse(const void *caller)
{
    enum who who = counting ? caller_of(caller) : NOBODY;
    long n;

    if (who == NOBODY)
        return false;
    n = atomic_fetch_add(&counts[who], 1) + 1;
    if (strike_at == 0)
        note_place(who, n);
    if (who != strike_who || n != strike_at)
        return false;
    tell_callers();
    errno = ENOMEM;
    return true;
}

#define CALLER __builtin_return_address(0)

void *malloc(size_t size)
{
    if (!find_next())
        return early_alloc(size);
    return refuse(CALLER) ? NULL : next.malloc(size);
}

void *calloc(size_t n, size_t size)
{
    if (!find_next())
        return early_alloc(n * size);
    return refuse(CALLER) ? NULL : next.calloc(n, size);
}

void *realloc(void *p, size_t size)
{
    void *copy;

    if (find_next() && !is_early(p))
        return refuse(CALLER) ? NULL : next.realloc(p, size);
    copy = malloc(size);
    if (p && copy)
        memcpy(copy, p, size < (size_t)(early + EARLY_BYTES - (char *)p) ? size : (size_t)(early + EARLY_BYTES - (char *)p));
    return copy;
}

void *memalign(size_t align, size_t size)
{
    return !find_next() || refuse(CALLER) ? NULL : next.memalign(align, size);
}

void *aligned_alloc(size_t align, size_t size)
{
    return !find_next() || refuse(CALLER) ? NULL : next.memalign(align, size);
}

int posix_memalign(void **p, size_t align, size_t size)
{
    return !find_next() || refuse(CALLER) ? ENOMEM : next.posix_memalign(p, align, size);
}

void free(void *p)
{
    if (!is_early(p) && find_next())
        next.free(p);
}

/* A sanitizer's would not ask us. */
static char *copy(const char *s, size_t len, const void *caller)
{
    char *to = find_next() && !refuse(caller) ? next.malloc(len + 1) : NULL;

    if (to) {
        memcpy(to, s, len);
        to[len] = '\0';
    }
    return to;
}

char *strdup(const char *s)
{
    return copy(s, strlen(s), CALLER);
}

char *strndup(const char *s, size_t max)
{
    return copy(s, strnlen(s, max), CALLER);
}

/* --- begin and end --- */
__attribute__((constructor)) static void begin(void)
{
    const char *who = getenv("STARVE_WHO"), *at = getenv("STARVE_AT"), *path = getenv("STARVE_REPORT");
    bool is_program = true;
    void *frame;

    if (!who || !at || !path)
        return;
    strike_who = strcmp(who, names[OWN]) == 0 ? OWN : LIBRARIES;
    strike_at = strtol(at, NULL, 10);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    report = fcntl(fd, F_DUPFD_CLOEXEC, REPORT_FD);
    close(fd);
    if (report < 0)
        abort();
    unsetenv("LD_PRELOAD");
    own_salt = mix_text(program_invocation_name);
    backtrace(&frame, 1); /* loads what it needs */
    dl_iterate_phdr(add_ranges, &is_program);
    counting = true;
}

__attribute__((destructor)) static void end(void)
{
    char line[64];

    for (enum who who = OWN; who <= LIBRARIES; who++)
        tell(line, (size_t)snprintf(line, sizeof line, "%s %ld\n", names[who], (long)counts[who]));
}
