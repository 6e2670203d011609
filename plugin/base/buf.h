/* buf.h: a growing byte buffer that is born with a maximum.
 *
 * Every byte that comes from a network grows into one of these. When a buffer
 * would pass its maximum it frees itself, stays empty, and every later call on
 * it fails too: a caller may add many times and look once, with buf_error().
 * Memory exhaustion aborts (mem.h); ERR_TOO_LARGE is the only failure. */
#ifndef WARBLER_BASE_BUF_H
#define WARBLER_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin/base/err.h"

struct buf {
    char *data;  /* NUL after data[len - 1]; NULL while nothing was added */
    size_t len;  /* bytes, without the NUL */
    size_t cap;  /* bytes allocated */
    size_t max;  /* bytes allowed in len */
    bool failed; /* went over max; only buf_free, buf_reset clear it */
};

void buf_init(struct buf *b, size_t max); /* allocates nothing */
void buf_free(struct buf *b);             /* legal on a zeroed struct; usable again afterwards */
void buf_reset(struct buf *b);            /* empty, memory kept */
void buf_expect(struct buf *b, size_t more); /* so many bytes are about to come: one allocation instead of many */

enum err_code buf_add(struct buf *b, const void *data, size_t len);
enum err_code buf_adds(struct buf *b, const char *str);
enum err_code buf_addc(struct buf *b, char c);
enum err_code buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
enum err_code buf_addi(struct buf *b, int64_t n); /* decimal, whatever the locale */

enum err_code buf_error(const struct buf *b); /* ERR_OK or ERR_TOO_LARGE */
const char *buf_str(const struct buf *b);     /* NUL-terminated, never NULL, valid until the next call */
char *buf_take(struct buf *b);                /* the caller frees; never NULL unless failed; b is empty then */
void buf_drop(struct buf *b, size_t n);       /* remove n bytes from the front */
void buf_cut(struct buf *b, size_t len);      /* keep the first len bytes */

#endif
