/* count.so: what a program allocates. Loaded into it with LD_PRELOAD, adds up
 * the calls and bytes of malloc and its family in the file that WARBLER_COUNTS
 * names: two 64-bit numbers, which whoever measures reads while the program runs.
 * Linux (glibc, musl) only, as LD_PRELOAD is. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define EARLY_BYTES 65536U /* for dlsym() itself, which allocates before it has found anything */

static struct counts {
    _Atomic uint64_t calls, bytes;
} uncounted, *counts = &uncounted;

static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);
static void (*real_free)(void *);
static _Alignas(16) char early[EARLY_BYTES];
static size_t early_used;

__attribute__((constructor)) static void begin(void)
{
    const char *name = getenv("WARBLER_COUNTS");
    int fd = name ? open(name, O_RDWR | O_CLOEXEC) : -1;
    void *map = fd >= 0 ? mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (map != MAP_FAILED)
        counts = map;
    if (fd >= 0)
        close(fd);
}

static void find(void)
{
    static _Thread_local int finding;
    if (finding++ == 0) {
        *(void **)&real_calloc = dlsym(RTLD_NEXT, "calloc");
        *(void **)&real_realloc = dlsym(RTLD_NEXT, "realloc");
        *(void **)&real_free = dlsym(RTLD_NEXT, "free");
        *(void **)&real_malloc = dlsym(RTLD_NEXT, "malloc");
    }
    finding--;
}

static void *give_early(size_t size)
{
    void *p = early + early_used;
    early_used += (size + 15) / 16 * 16;
    if (early_used > sizeof early)
        abort();
    return p;
}

static int is_early(const void *p)
{
    return (const char *)p >= early && (const char *)p < early + sizeof early;
}

static void count(size_t size)
{
    atomic_fetch_add_explicit(&counts->calls, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&counts->bytes, size, memory_order_relaxed);
}

void *malloc(size_t size)
{
    if (!real_malloc)
        find();
    count(size);
    return real_malloc ? real_malloc(size) : give_early(size);
}

void *calloc(size_t nmemb, size_t size)
{
    if (!real_malloc)
        find();
    count(nmemb * size);
    return real_malloc ? real_calloc(nmemb, size) : give_early(nmemb * size); /* which is zero */
}

void *realloc(void *ptr, size_t size)
{
    if (!real_malloc)
        find();
    count(size);
    if (!is_early(ptr))
        return real_realloc(ptr, size);
    size_t most = (size_t)(early + sizeof early - (char *)ptr);
    return memcpy(malloc(size), ptr, size < most ? size : most);
}

void free(void *ptr)
{
    if (!is_early(ptr) && real_free)
        real_free(ptr);
}
