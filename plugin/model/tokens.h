/* tokens.h: how many tokens a text will be. By script (chat-completions
 * reference, section 11.3, weights of o200k_base) it needs no vocabulary and is
 * 10 % off per message in the mean; calibrate.h makes up for most of that. Pure. */
#ifndef WARBLER_MODEL_TOKENS_H
#define WARBLER_MODEL_TOKENS_H

#include <stddef.h>

#define TOKENS_PER_MESSAGE 4 /* role and separators; section 11.2 */

struct vocabulary;

size_t tokens_estimate(const char *utf8, size_t len); /* 0 for an empty text, else at least 1 */

/* Exactly, by the vocabulary; by estimate if it is NULL. */
size_t tokens_count(const struct vocabulary *v, const char *utf8, size_t len);

#endif
