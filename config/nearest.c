#include "config/nearest.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define WORD_MAX 64     /* bytes compared; no name of ours is longer */
#define PREFIX_MIN 3    /* letters that two names must share before a prefix counts as near */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static char lower(char c)
{
    return (char)tolower((unsigned char)c);
}

/* Optimal string alignment: three rows of the table are enough, since a swap
 * looks back two. */
size_t nearest_distance(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b);
    size_t rows[3][WORD_MAX + 1];

    if (la > WORD_MAX || lb > WORD_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= lb; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];

        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            bool same = lower(a[i - 1]) == lower(b[j - 1]);

            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + !same);
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]))
                row[j] = least(row[j], above2[j - 2] + 1);
        }
    }
    return rows[la % 3][lb];
}

/* "warning" for "warn", "history" for "history_days". */
static bool shares_prefix(const char *a, const char *b)
{
    size_t shorter = least(strlen(a), strlen(b));

    return shorter >= PREFIX_MIN && strncasecmp(a, b, shorter) == 0;
}

void nearest_init(struct nearest *n, const char *word)
{
    *n = (struct nearest){ .word = word, .distance = SIZE_MAX };
}

void nearest_try(struct nearest *n, const char *known)
{
    size_t len = strlen(n->word), allowed = len < 6 ? 1 : len / 3, d;

    if (!known)
        return;
    d = nearest_distance(n->word, known);
    if (d > allowed && shares_prefix(n->word, known))
        d = allowed;
    if (d <= allowed && d < n->distance) {
        n->best = known;
        n->distance = d;
    }
}

void nearest_try_all(struct nearest *n, const char *const *known)
{
    for (; *known; known++)
        nearest_try(n, *known);
}

const char *nearest_hint(const struct nearest *n, char out[NEAREST_BYTES])
{
    out[0] = '\0';
    if (n->best)
        snprintf(out, NEAREST_BYTES, "; did you mean \"%s\"?", n->best);
    return out;
}
