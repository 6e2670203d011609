#include "plugin/base/decimal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

#define EXPONENT_MAX 9999 /* beyond it everything is 0 or too large anyway */

int64_t decimal_add(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

int64_t decimal_mul(int64_t a, int64_t b)
{
    int64_t product;
    return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}

/* The parts of "12.50e-3": 12, 50, -3. */
struct parts {
    const char *whole, *fraction;
    size_t n_whole, n_fraction;
    int exponent;
};

static size_t digits(const char *text, size_t len)
{
    size_t n = 0;
    while (n < len && text[n] >= '0' && text[n] <= '9')
        n++;
    return n;
}

static bool read_exponent(const char *text, size_t len, int *exponent_r)
{
    bool negative = len && *text == '-';
    size_t sign = len && (*text == '-' || *text == '+'), n = digits(text + sign, len - sign);
    int value = 0;
    for (size_t i = 0; i < n && value < EXPONENT_MAX; i++)
        value = value * 10 + (text[sign + i] - '0');
    *exponent_r = negative ? -value : value;
    return n > 0 && sign + n == len;
}

static bool split(const char *text, size_t len, struct parts *p)
{
    *p = (struct parts){ .whole = text, .n_whole = digits(text, len) };
    size_t at = p->n_whole;
    if (at == 0)
        return false;
    if (at < len && text[at] == '.') {
        p->fraction = text + at + 1;
        p->n_fraction = digits(p->fraction, len - at - 1);
        at += 1 + p->n_fraction;
        if (p->n_fraction == 0)
            return false;
    }
    if (at < len && (text[at] == 'e' || text[at] == 'E'))
        return read_exponent(text + at + 1, len - at - 1, &p->exponent);
    return at == len;
}

/* Digit i of all, from the left. */
static int digit(const struct parts *p, size_t i)
{
    return (i < p->n_whole ? p->whole[i] : p->fraction[i - p->n_whole]) - '0';
}

enum decimal decimal_read(const char *text, size_t len, int places, int64_t *n_r)
{
    struct parts p;
    bool up = false, rounded = false;
    int64_t n = 0;
    assert(places >= 0 && places <= DECIMAL_PLACES_MAX);
    *n_r = 0;
    if (!split(text, len, &p))
        return DECIMAL_NO_NUMBER;
    int64_t power = (int64_t)p.n_whole + p.exponent + places; /* of ten, one above the next digit's */
    for (size_t i = 0; i < p.n_whole + p.n_fraction; i++) {
        int d = digit(&p, i);
        if (--power >= 0)
            n = decimal_add(decimal_mul(n, 10), d);
        else if (power == -1)
            up = d >= 5;
        rounded |= power < 0 && d > 0;
    }
    for (; power > 0 && n > 0 && n < INT64_MAX; power--)
        n = decimal_mul(n, 10);
    *n_r = n = decimal_add(n, up);
    return n == INT64_MAX ? DECIMAL_TOO_LARGE : rounded ? DECIMAL_ROUNDED : DECIMAL_EXACT;
}

enum err_code decimal_print(struct buf *out, int64_t n, int places, int least)
{
    char text[32];
    assert(n >= 0 && least <= places && places <= DECIMAL_PLACES_MAX);
    int len = snprintf(text, sizeof text, "%0*" PRId64, places + 1, n); /* all places, and a digit before them */
    int kept = places;
    while (kept > least && text[len - places + kept - 1] == '0')
        kept--;
    buf_add(out, text, (size_t)(len - places));
    if (kept)
        buf_addf(out, ".%.*s", kept, text + len - places);
    return buf_error(out);
}
