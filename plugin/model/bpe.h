/* bpe.h: exact token counts from a vocabulary: byte-pair encoding as OpenAI's
 * tiktoken does it, for o200k_base and cl100k_base (chat-completions reference,
 * section 11.1). The file comes from config/make-vocabulary; none is shipped.
 * Unicode's classes are utf8proc's. */
#ifndef WARBLER_MODEL_BPE_H
#define WARBLER_MODEL_BPE_H

#include <stddef.h>

#include "plugin/base/err.h"

#define BPE_FILE_BYTES_MAX (16U * 1024 * 1024)
#define BPE_TOKENS_MAX 1000000U
/* A run without a break that is longer is counted in parts of this size, which
 * bounds the memory; each cut makes the count wrong by a token or two. */
#define BPE_PIECE_BYTES_MAX 4096U

struct vocabulary;

/* The file is read whole: what happens to it afterwards does no harm, unlike
 * with a mapped one. ERR_IO: cannot be read; ERR_INVALID: not such a file, or
 * damaged; ERR_VERSION: of a format that this program does not know;
 * ERR_TOO_LARGE. The text names the file and says what to do. */
enum err_code vocabulary_load(const char *file, struct vocabulary **v_r, struct err *e);
/* The same for a file's bytes, which are copied; file is for the error's text. */
enum err_code vocabulary_parse(const char *data, size_t len, const char *file, struct vocabulary **v_r, struct err *e);
void vocabulary_free(struct vocabulary **v); /* NULL-safe */

const char *vocabulary_name(const struct vocabulary *v); /* "o200k_base" */

/* Special tokens are text like any other. Linear in len but for a factor
 * log(BPE_PIECE_BYTES_MAX), whatever the text. Ill-formed UTF-8 counts as the
 * bytes that it is. */
size_t vocabulary_count(const struct vocabulary *v, const char *utf8, size_t len);

#endif
