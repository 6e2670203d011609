/* bpe_split.h: where tiktoken cuts a text before it merges bytes to tokens: its
 * regular expressions by hand, because PCRE2 would take most of the time. Pure.
 * Private to bpe.c. */
#ifndef WARBLER_MODEL_BPE_SPLIT_H
#define WARBLER_MODEL_BPE_SPLIT_H

#include <stddef.h>

enum bpe_encoding { BPE_O200K, BPE_CL100K, BPE_ENCODINGS };

/* The end of the piece that begins at `at`, which is < len. Over a whole text,
 * the work is linear. */
size_t bpe_split(enum bpe_encoding encoding, const char *s, size_t len, size_t at);

#endif
