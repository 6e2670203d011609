#include "plugin/base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/base/mem.h"

/* Most turns need little, so the first chunk is small and each next one is
 * twice as large: few calls to malloc for a large turn, no waste for a small. */
#define CHUNK_FIRST_BYTES 1024U
#define CHUNK_MAX_BYTES 32768U

struct chunk {
    struct chunk *next;
    size_t used, size; /* bytes of data */
    alignas(max_align_t) char data[];
};

struct arena {
    struct chunk *chunks; /* the first is the one being filled */
    size_t next_size;
    size_t bytes;
};

struct arena *arena_new(void)
{
    struct arena *a = mem_alloc(sizeof *a);
    a->next_size = CHUNK_FIRST_BYTES;
    a->bytes = sizeof *a;
    return a;
}

void arena_free(struct arena **a)
{
    if (!*a)
        return;
    struct chunk *next;
    for (struct chunk *c = (*a)->chunks; c; c = next) {
        next = c->next;
        free(c);
    }
    free(*a);
    *a = NULL;
}

static struct chunk *chunk_new(struct arena *a, size_t size)
{
    struct chunk *c = mem_alloc(sizeof *c + size);
    c->size = size;
    a->bytes += sizeof *c + size;
    return c;
}

/* A large object gets a chunk for itself, behind the one being filled, whose
 * remaining bytes stay in use. */
static void *alloc_alone(struct arena *a, size_t size)
{
    struct chunk *c = chunk_new(a, size);
    c->used = size;
    if (a->chunks) {
        c->next = a->chunks->next;
        a->chunks->next = c;
    } else {
        a->chunks = c;
    }
    return c->data;
}

static void chunk_push(struct arena *a)
{
    struct chunk *c = chunk_new(a, a->next_size);
    c->next = a->chunks;
    a->chunks = c;
    if (a->next_size < CHUNK_MAX_BYTES)
        a->next_size *= 2;
}

void *arena_alloc(struct arena *a, size_t size)
{
    const size_t align = alignof(max_align_t);
    if (size > SIZE_MAX / 2)
        return mem_alloc(size); /* aborts, and says why */
    size = size ? (size + align - 1) / align * align : align;
    struct chunk *c = a->chunks;
    if (!c || c->size - c->used < size) {
        if (size > a->next_size / 4)
            return alloc_alone(a, size);
        chunk_push(a);
        c = a->chunks;
    }
    void *p = c->data + c->used;
    c->used += size;
    return p;
}

char *arena_dup(struct arena *a, const char *s)
{
    return s ? arena_dupn(a, s, strlen(s)) : NULL;
}

char *arena_dupn(struct arena *a, const char *s, size_t len)
{
    char *copy = arena_alloc(a, len + 1);
    if (len)
        memcpy(copy, s, len);
    return copy;
}

size_t arena_bytes(const struct arena *a)
{
    return a->bytes;
}
