/* decimal.h: decimal numbers as text, into whole numbers of a small unit and
 * back. Money goes this way: it never passes through a double. */
#ifndef WARBLER_BASE_DECIMAL_H
#define WARBLER_BASE_DECIMAL_H

#include <stddef.h>
#include <stdint.h>

#include "plugin/base/buf.h"

#define DECIMAL_PLACES_MAX 18

enum decimal {
    DECIMAL_EXACT,
    DECIMAL_ROUNDED,   /* it has more places; rounded half up */
    DECIMAL_TOO_LARGE, /* *n_r is INT64_MAX */
    DECIMAL_NO_NUMBER, /* *n_r is 0 */
};

/* text[0..len) as JSON writes a number that is not negative ("2.50", "1e-05"),
 * in units of 10^-places. */
enum decimal decimal_read(const char *text, size_t len, int places, int64_t *n_r);

/* n units of 10^-places, n >= 0: at least `least` places, more only where they
 * are not 0: 2500000000000 with 12 and 2 is "2.50". */
enum err_code decimal_print(struct buf *out, int64_t n, int places, int least);

/* a + b and a * b of numbers that are not negative; INT64_MAX where that is too little. */
int64_t decimal_add(int64_t a, int64_t b);
int64_t decimal_mul(int64_t a, int64_t b);

#endif
