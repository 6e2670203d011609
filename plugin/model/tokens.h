/* tokens.h: how many tokens a text will be, by script; chat-completions
 * reference, section 11.3, weights of o200k_base. No vocabulary needed, about
 * 10 % mean error per message. Pure. */
#ifndef WARBLER_MODEL_TOKENS_H
#define WARBLER_MODEL_TOKENS_H

#include <stddef.h>

#define TOKENS_PER_MESSAGE 4 /* role and separators; section 11.2 */

size_t tokens_estimate(const char *utf8, size_t len); /* 0 for an empty text, else at least 1 */

#endif
