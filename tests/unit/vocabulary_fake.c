#include "tests/unit/vocabulary_fake.h"

#include <string.h>

#define HEADER_BYTES 32

static void put(char *at, uint64_t n, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        at[i] = (char)(n >> 8 * i & 0xFF);
}

void vocabulary_fake_seal(char *data, size_t len)
{
    uint64_t h = 0xCBF29CE484222325U;
    for (size_t i = HEADER_BYTES; i < len; i++)
        h = (h ^ (unsigned char)data[i]) * 0x100000001B3U;
    put(data + 24, h, 8);
}

void vocabulary_fake(struct buf *out, unsigned encoding, const char *const *tokens)
{
    char head[HEADER_BYTES] = "warblbpe";
    uint32_t n = 256, bytes = 256;
    for (const char *const *t = tokens; *t; t++, n++)
        bytes += (uint32_t)strlen(*t);
    put(head + 8, 1, 4);
    put(head + 12, encoding, 4);
    put(head + 16, n, 4);
    put(head + 20, bytes, 4);
    buf_add(out, head, sizeof head);
    for (int i = 0; i < 256; i++)
        buf_addc(out, 1);
    for (const char *const *t = tokens; *t; t++)
        buf_addc(out, (char)strlen(*t));
    for (int i = 0; i < 256; i++)
        buf_addc(out, (char)i);
    for (const char *const *t = tokens; *t; t++)
        buf_adds(out, *t);
    vocabulary_fake_seal(out->data, out->len);
}
