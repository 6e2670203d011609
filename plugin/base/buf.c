#include "plugin/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/base/mem.h"

#define BUF_FIRST_BYTES 64U
#define INT64_DIGITS 20 /* of -2^63, with the sign */

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_free(struct buf *b)
{
    free(b->data);
    buf_init(b, b->max);
}

void buf_reset(struct buf *b)
{
    b->failed = false;
    buf_cut(b, 0);
}

static enum err_code fail(struct buf *b)
{
    buf_free(b);
    b->failed = true;
    return ERR_TOO_LARGE;
}

/* Makes room for more bytes and the NUL behind them. */
static enum err_code reserve(struct buf *b, size_t more)
{
    if (b->failed || more > b->max - b->len || more >= SIZE_MAX - b->len)
        return fail(b);
    size_t need = b->len + more + 1;
    if (need <= b->cap)
        return ERR_OK;
    size_t cap = b->cap ? b->cap : BUF_FIRST_BYTES;
    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    if (cap - 1 > b->max)
        cap = b->max + 1;
    b->data = mem_resize(b->data, cap, 1);
    b->cap = cap;
    return ERR_OK;
}

void buf_expect(struct buf *b, size_t more)
{
    size_t need = b->len + (more < b->max - b->len ? more : b->max - b->len) + 1;
    if (b->failed || need <= b->cap)
        return;
    b->data = mem_resize(b->data, need, 1);
    b->data[b->len] = '\0';
    b->cap = need;
}

enum err_code buf_add(struct buf *b, const void *data, size_t len)
{
    if (len == 0)
        return buf_error(b);
    enum err_code code = reserve(b, len);
    if (code != ERR_OK)
        return code;
    memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
    return ERR_OK;
}

enum err_code buf_adds(struct buf *b, const char *str)
{
    return buf_add(b, str, strlen(str));
}

enum err_code buf_addc(struct buf *b, char c)
{
    return buf_add(b, &c, 1);
}

__attribute__((format(printf, 2, 0))) static enum err_code add_formatted(struct buf *b, const char *fmt, va_list measure,
                                                                         va_list print)
{
    int len = vsnprintf(NULL, 0, fmt, measure);
    if (len < 0)
        return fail(b); /* longer than INT_MAX */
    if (len == 0)
        return buf_error(b);
    enum err_code code = reserve(b, (size_t)len);
    if (code != ERR_OK)
        return code;
    vsnprintf(b->data + b->len, (size_t)len + 1, fmt, print);
    b->len += (size_t)len;
    return ERR_OK;
}

enum err_code buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list measure, print;
    va_start(measure, fmt);
    va_start(print, fmt);
    enum err_code code = add_formatted(b, fmt, measure, print);
    va_end(print);
    va_end(measure);
    return code;
}

enum err_code buf_addi(struct buf *b, int64_t n)
{
    char digits[INT64_DIGITS];
    size_t at = sizeof digits;
    uint64_t rest = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (n < 0)
        digits[--at] = '-';
    return buf_add(b, digits + at, sizeof digits - at);
}

enum err_code buf_error(const struct buf *b)
{
    return b->failed ? ERR_TOO_LARGE : ERR_OK;
}

const char *buf_str(const struct buf *b)
{
    return b->data ? b->data : "";
}

char *buf_take(struct buf *b)
{
    if (b->failed)
        return NULL;
    char *data = b->data ? b->data : mem_dup("");
    buf_init(b, b->max);
    return data;
}

void buf_drop(struct buf *b, size_t n)
{
    if (n >= b->len) {
        buf_cut(b, 0);
        return;
    }
    memmove(b->data, b->data + n, b->len - n);
    buf_cut(b, b->len - n);
}

void buf_cut(struct buf *b, size_t len)
{
    if (len >= b->len)
        return;
    b->len = len;
    b->data[len] = '\0';
}
