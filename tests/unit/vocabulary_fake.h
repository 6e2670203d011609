/* vocabulary_fake.h: files in the format of model/bpe.h with few tokens. */
#ifndef WARBLER_TESTS_VOCABULARY_FAKE_H
#define WARBLER_TESTS_VOCABULARY_FAKE_H

#include "plugin/base/buf.h"

#define VOCABULARY_FAKE_MAX 65536U

/* Appends a file: the 256 single bytes in order, then the tokens (NULL at the
 * end) in the order of their ranks; encoding: 0 o200k_base, 1 cl100k_base. */
void vocabulary_fake(struct buf *out, unsigned encoding, const char *const *tokens);
/* Makes the checksum right again. */
void vocabulary_fake_seal(char *data, size_t len);

#endif
