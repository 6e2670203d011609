/* Any bytes: as a text, cut and counted; as the body of a vocabulary file, read. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/model/bpe.h"
#include "plugin/model/bpe_split.h"
#include "tests/unit/vocabulary_fake.c" /* NOLINT: fuzzers link no test code */

static struct vocabulary *fake(unsigned encoding)
{
    static const char *const tokens[] = { "  ", "ab", "the", " the", "\xE4\xBD\xA0", "\n\n", "aa", "aaaa", NULL };
    struct vocabulary *v;
    struct buf file;
    buf_init(&file, VOCABULARY_FAKE_MAX);
    vocabulary_fake(&file, encoding, tokens);
    if (vocabulary_parse(file.data, file.len, "fake", &v, NULL))
        abort();
    buf_free(&file);
    return v;
}

static void check_text(const char *s, size_t len)
{
    static struct vocabulary *vocabularies[BPE_ENCODINGS];
    for (unsigned encoding = 0; encoding < BPE_ENCODINGS; encoding++) {
        size_t pieces = 0;
        for (size_t at = 0, end; at < len; at = end, pieces++) {
            end = bpe_split((enum bpe_encoding)encoding, s, len, at);
            assert(end > at && end <= len);
        }
        if (!vocabularies[encoding])
            vocabularies[encoding] = fake(encoding);
        size_t n = vocabulary_count(vocabularies[encoding], s, len);
        assert(n >= pieces && n <= len);
    }
}

/* The input's numbers and body behind a good beginning and with a good checksum, or nothing would get further. */
static void check_file(const char *s, size_t len)
{
    if (len < HEADER_BYTES)
        return;
    struct vocabulary *v;
    char *file = malloc(len);
    memcpy(file, s, len);
    memcpy(file, "warblbpe\1\0\0\0", 12);
    vocabulary_fake_seal(file, len);
    if (vocabulary_parse(file, len, "fuzz", &v, NULL) == ERR_OK)
        assert(vocabulary_count(v, s, len) <= len);
    vocabulary_free(&v);
    free(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_text((const char *)data, size);
    check_file((const char *)data, size);
    return 0;
}
