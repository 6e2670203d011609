/* arena.h: memory that is freed all at once, for what one turn needs. */
#ifndef WARBLER_BASE_ARENA_H
#define WARBLER_BASE_ARENA_H

#include <stddef.h>

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena **a); /* NULL-safe; clears *a */
void *arena_alloc(struct arena *a, size_t size); /* zeroed, aligned for any type, never NULL */
char *arena_dup(struct arena *a, const char *s); /* NULL gives NULL */
char *arena_dupn(struct arena *a, const char *s, size_t len);
size_t arena_bytes(const struct arena *a); /* taken from malloc so far */

#endif
