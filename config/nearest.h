/* nearest.h: "did you mean": the known name that a misspelt one resembles. */
#ifndef WARBLER_CONFIG_NEAREST_H
#define WARBLER_CONFIG_NEAREST_H

#include <stddef.h>

struct nearest {
    const char *word;
    const char *best; /* NULL while nothing is near enough */
    size_t distance;  /* of best */
};

void nearest_init(struct nearest *n, const char *word);
void nearest_try(struct nearest *n, const char *known); /* NULL is ignored; borrowed */
void nearest_try_all(struct nearest *n, const char *const *known);

#define NEAREST_BYTES 96

/* `; did you mean "best"?`, or "" if there is none. Returns out. */
const char *nearest_hint(const struct nearest *n, char out[NEAREST_BYTES]);

/* Inserted, missing, wrong and swapped neighbouring letters between a and b,
 * without regard to ASCII case. SIZE_MAX if one is longer than 64 bytes. */
size_t nearest_distance(const char *a, const char *b);

#endif
