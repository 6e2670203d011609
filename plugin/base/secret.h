/* secret.h: keys and tokens. A secret cannot be printed by accident: there is
 * no conversion to a string but secret_reveal(), which is easy to grep for. */
#ifndef WARBLER_BASE_SECRET_H
#define WARBLER_BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>

struct secret {
    char *value; /* private: use secret_reveal() */
};

#define SECRET_PRINTED "***"

void secret_set(struct secret *s, const char *value, size_t len); /* copies; wipes the old value */
void secret_clear(struct secret *s);                              /* wipes; legal on a zeroed struct */
bool secret_empty(const struct secret *s);
const char *secret_reveal(const struct secret *s); /* "" if empty; never log it */

/* Compares in time that depends on len of the candidate only. An empty
 * secret equals nothing. */
bool secret_equal(const struct secret *s, const char *candidate, size_t len);

/* n bytes from the system's generator as 2n lower-case hex digits and a NUL.
 * Aborts if there is no randomness. */
void random_hex(char *out, size_t n_bytes);
double random_unit(void); /* [0,1), for jitter and chance; from the same generator */

/* SHA-256 of data as hex: 64 digits and a NUL. Aborts if OpenSSL cannot. */
void sha256_hex(char out[65], const void *data, size_t len);

#endif
