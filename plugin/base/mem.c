#include "plugin/base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "plugin/base/log.h"

static void *must(void *p, size_t size)
{
    if (!p) {
        log_error("mem", "out of memory: %zu bytes more were refused", size);
        abort();
    }
    return p;
}

static size_t product(size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        must(NULL, SIZE_MAX);
    return bytes ? bytes : 1; /* malloc(0) may give NULL */
}

void *mem_alloc(size_t size)
{
    return mem_array(1, size);
}

void *mem_array(size_t n, size_t size)
{
    size_t bytes = product(n, size);
    return must(calloc(1, bytes), bytes);
}

void *mem_resize(void *p, size_t n, size_t size)
{
    size_t bytes = product(n, size);
    return must(realloc(p, bytes), bytes);
}

char *mem_dup(const char *s)
{
    return s ? mem_dupn(s, strlen(s)) : NULL;
}

char *mem_dupn(const char *s, size_t len)
{
    char *copy = must(malloc(len + 1), len + 1);
    if (len)
        memcpy(copy, s, len);
    copy[len] = '\0';
    return copy;
}

void mem_out(const char *library)
{
    log_error("mem", "out of memory: %s was refused some", library);
    abort();
}

void mem_give_back(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}
