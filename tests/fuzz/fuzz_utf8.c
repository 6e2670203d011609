/* Any bytes: utf8.c keeps its promises on them. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/base/utf8.h"

#define GROWTH_MAX 100 /* bytes out per byte in, more than any character folds to */

static void check_valid(const char *s, size_t len)
{
    static const bool nowhere[256];
    size_t points = 0, replaced = 0;
    for (size_t i = 0; i < len; points++) {
        size_t at = i;
        uint32_t cp = utf8_next(s, len, &i);
        assert(i > at && i <= len && cp <= 0x10FFFF && (cp < 0xD800 || cp > 0xDFFF));
        replaced += cp >= 0x80 && i == at + 1;
    }
    assert(utf8_points(s, len) == points);
    assert(utf8_valid(s, len) == (replaced == 0));
    assert((utf8_span(s, len, nowhere) == len) == (replaced == 0));
    assert(replaced == 0 || !utf8_printable(s, len));
    assert(utf8_width(s, len) <= 2 * points);
}

/* Cuts rise with max, and cutting again at a cut changes nothing. */
static void check_cuts(const char *s, size_t len)
{
    size_t last = 0, step = len / 16 + 1;
    for (size_t max = 0; max <= len + step; max += step) {
        size_t cut = utf8_cut(s, len, max);
        assert(cut <= max && cut <= len && cut >= last);
        assert(utf8_cut(s, len, cut) == cut);
        assert(utf8_valid(s, cut));
        last = cut;
    }
    assert(last == len);
}

static void check_clean(const char *s, size_t len)
{
    struct buf once, twice;
    buf_init(&once, 3 * len);
    buf_init(&twice, 3 * len);
    assert(utf8_clean(&once, s, len) == ERR_OK);
    const char *cleaned = buf_str(&once);
    assert(strlen(cleaned) == once.len && utf8_valid(cleaned, once.len));
    for (size_t i = 0; i < once.len; i++)
        assert((unsigned char)cleaned[i] >= ' ' || cleaned[i] == '\n' || cleaned[i] == '\t');
    assert(utf8_clean(&twice, cleaned, once.len) == ERR_OK);
    assert(twice.len == once.len && strcmp(buf_str(&twice), cleaned) == 0);
    check_cuts(cleaned, once.len);
    buf_free(&once);
    buf_free(&twice);
}

static void check_fold(const char *s, size_t len)
{
    struct buf folded;
    buf_init(&folded, GROWTH_MAX * len);
    assert(utf8_fold(&folded, s, len) == ERR_OK);
    assert(utf8_valid(buf_str(&folded), folded.len));
    for (size_t i = 0; i < folded.len; i++)
        assert(folded.data[i] < 'A' || folded.data[i] > 'Z');
    buf_free(&folded);
}

/* A small maximum anywhere fails cleanly instead of writing past it. */
static void check_maximum(const char *s, size_t len)
{
    struct buf b;
    buf_init(&b, len / 2);
    enum err_code code = utf8_clean(&b, s, len);
    assert(b.len <= len / 2 && code == buf_error(&b));
    buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *s = (const char *)data;
    check_valid(s, size);
    check_clean(s, size);
    check_fold(s, size);
    check_maximum(s, size);
    return 0;
}
