/* mem.h: small objects of ours. Allocation succeeds or the program aborts with
 * a log line: what the network sizes goes into a capped struct buf instead. */
#ifndef WARBLER_BASE_MEM_H
#define WARBLER_BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t size);                 /* zeroed; free() it */
void *mem_array(size_t n, size_t size);       /* zeroed; aborts on overflow */
void *mem_resize(void *p, size_t n, size_t size);
char *mem_dup(const char *s);                 /* NULL gives NULL */
char *mem_dupn(const char *s, size_t len);    /* adds a NUL */

/* The same end, where a library was refused memory and going on without would
 * be worse: what it was to hold would be missing. */
_Noreturn void mem_out(const char *library);

/* Gives what was freed back to the system, where the C library can: it keeps
 * what lies between live objects. A few milliseconds after a burst. */
void mem_give_back(void);

#endif
