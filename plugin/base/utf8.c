#include "plugin/base/utf8.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "plugin/base/mem.h"

#define REPLACEMENT 0xFFFDU
#define POINT_MAX 0x10FFFFU
#define FIRST_PRINTABLE_AFTER_ASCII 0xA0U /* U+0080 to U+009F are controls */
#define ASCII_WORD_MASK UINT64_C(0x8080808080808080)
#define MIXED_BYTES 32U /* read singly before words are tried again, which costs text of mixed scripts */
#define ZWNJ 0x200CU
#define ZWJ 0x200DU

/* Bytes of the well-formed sequence at s, 0 if there is none (Unicode 15,
 * table 3-7). len > 0. */
static size_t sequence(const unsigned char *s, size_t len)
{
    unsigned char lead = s[0], low = 0x80, high = 0xBF;
    if (lead < 0x80)
        return 1;
    if (lead < 0xC2 || lead > 0xF4)
        return 0;
    size_t n = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (len < n)
        return 0;
    if (lead == 0xE0)
        low = 0xA0; /* no overlong forms */
    else if (lead == 0xED)
        high = 0x9F; /* no surrogates */
    else if (lead == 0xF0)
        low = 0x90;
    else if (lead == 0xF4)
        high = 0x8F; /* not above POINT_MAX */
    if (s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    return n;
}

/* Bytes of ASCII at s that do not stop, in whole words: whole histories pass
 * through here, and eight at a time are four times as fast. */
static size_t ascii_words(const unsigned char *s, size_t len, const bool stop[256])
{
    size_t i = 0;
    for (; len - i >= sizeof(uint64_t); i += sizeof(uint64_t)) {
        const unsigned char *p = s + i;
        uint64_t word;
        memcpy(&word, p, sizeof word);
        if (word & ASCII_WORD_MASK)
            break;
        if (stop[p[0]] | stop[p[1]] | stop[p[2]] | stop[p[3]] | stop[p[4]] | stop[p[5]] | stop[p[6]] | stop[p[7]])
            break;
    }
    return i;
}

/* The same for any text, character by character. */
static size_t characters(const unsigned char *s, size_t len, size_t enough, const bool stop[256])
{
    size_t i = 0;
    while (i < len && i < enough && !stop[s[i]]) {
        size_t n = sequence(s + i, len - i);
        if (n == 0)
            break;
        i += n;
    }
    return i;
}

size_t utf8_span(const char *s, size_t len, const bool stop[256])
{
    const unsigned char *p = (const unsigned char *)s;
    size_t i = 0, n;
    do {
        i += ascii_words(p + i, len - i, stop);
        n = characters(p + i, len - i, MIXED_BYTES, stop);
        i += n;
    } while (n >= MIXED_BYTES);
    return i;
}

bool utf8_valid(const char *s, size_t len)
{
    static const bool nowhere[256];
    return utf8_span(s, len, nowhere) == len;
}

uint32_t utf8_next(const char *s, size_t len, size_t *i)
{
    static const unsigned char lead_bits[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    const unsigned char *p = (const unsigned char *)s + *i;
    size_t n = sequence(p, len - *i);
    if (n == 0) {
        *i += 1;
        return REPLACEMENT;
    }
    uint32_t cp = p[0] & lead_bits[n];
    for (size_t k = 1; k < n; k++)
        cp = cp << 6 | (p[k] & 0x3FU);
    *i += n;
    return cp;
}

size_t utf8_points(const char *s, size_t len)
{
    size_t points = 0;
    for (size_t i = 0; i < len; points++)
        utf8_next(s, len, &i);
    return points;
}

/* Adds what stands in s[*i], where utf8_clean's span stopped. */
static void clean_one(struct buf *out, const char *s, size_t len, size_t *i)
{
    uint32_t cp = utf8_next(s, len, i);
    if (cp == '\r') {
        if (*i == len || s[*i] != '\n')
            buf_addc(out, '\n');
    } else if (cp >= FIRST_PRINTABLE_AFTER_ASCII) {
        utf8_put(out, cp);
    }
}

enum err_code utf8_clean(struct buf *out, const char *s, size_t len)
{
    /* C2 leads the upper controls and Latin-1 signs; they are told apart one by one. */
    static const bool stop[256] = {[0 ... 8] = 1, [11 ... 31] = 1, [0x7F] = 1, [0xC2] = 1};
    for (size_t i = 0; i < len;) {
        size_t n = utf8_span(s + i, len - i, stop);
        buf_add(out, s + i, n);
        i += n;
        if (i < len)
            clean_one(out, s, len, &i);
    }
    return buf_error(out);
}

static bool ascii_printable(uint32_t cp)
{
    return cp >= ' ' && cp < 0x7F;
}

static bool border(uint32_t before, uint32_t after, int32_t *state)
{
    if (ascii_printable(before) && ascii_printable(after)) {
        *state = 0; /* as at the start of a text; nothing before a border matters */
        return true;
    }
    return utf8proc_grapheme_break_stateful((utf8proc_int32_t)before, (utf8proc_int32_t)after, state);
}

size_t utf8_cut(const char *s, size_t len, size_t max)
{
    if (len <= max)
        return len;
    size_t last = 0, i = 0;
    int32_t state = 0;
    uint32_t before = utf8_next(s, len, &i);
    while (i <= max) { /* max < len: there is a character at i */
        size_t at = i;
        uint32_t after = utf8_next(s, len, &i);
        if (border(before, after, &state))
            last = at;
        before = after;
    }
    return last;
}

size_t utf8_width(const char *s, size_t len)
{
    size_t width = 0;
    int widest = 0; /* of the grapheme so far: its parts are drawn in one place */
    uint32_t before = 0;
    int32_t state = 0;
    for (size_t i = 0; i < len;) {
        bool first = i == 0;
        uint32_t cp = utf8_next(s, len, &i);
        if (!first && border(before, cp, &state)) {
            width += (size_t)widest;
            widest = 0;
        }
        int columns = utf8proc_charwidth((utf8proc_int32_t)cp);
        if (columns > widest)
            widest = columns;
        before = cp;
    }
    return width + (size_t)widest;
}

static bool point_printable(uint32_t cp)
{
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return false;
    default:
        return true;
    }
}

bool utf8_printable(const char *s, size_t len)
{
    if (!utf8_valid(s, len))
        return false;
    uint32_t before = 0;
    for (size_t i = 0; i < len;) {
        uint32_t cp = utf8_next(s, len, &i);
        bool joins = (cp == ZWNJ || cp == ZWJ) && before >= 0x80 && i < len && (unsigned char)s[i] >= 0x80;
        if (!joins && !point_printable(cp))
            return false;
        before = cp;
    }
    return true;
}

bool utf8_in_word(uint32_t cp)
{
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ND:
        return true;
    default:
        return cp == '_';
    }
}

/* s is well-formed. */
static void fold_run(struct buf *out, const char *s, size_t len)
{
    const utf8proc_uint8_t *text = (const utf8proc_uint8_t *)s;
    const utf8proc_option_t how =
        UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT | UTF8PROC_CASEFOLD | UTF8PROC_IGNORE;
    utf8proc_ssize_t n = utf8proc_decompose(text, (utf8proc_ssize_t)len, NULL, 0, how);
    if (n <= 0)
        return;
    utf8proc_int32_t *points = mem_array((size_t)n + 1, sizeof *points); /* + 1: reencode adds a NUL */
    utf8proc_decompose(text, (utf8proc_ssize_t)len, points, n, how);
    utf8proc_ssize_t bytes = utf8proc_reencode(points, n, how);
    if (bytes > 0)
        buf_add(out, points, (size_t)bytes);
    free(points);
}

static void fold_ascii(struct buf *out, const char *s, size_t len)
{
    char part[256];
    for (size_t i = 0; i < len;) {
        size_t n = 0;
        for (; n < sizeof part && i < len; n++, i++)
            part[n] = (char)(s[i] >= 'A' && s[i] <= 'Z' ? s[i] + ('a' - 'A') : s[i]);
        buf_add(out, part, n);
    }
}

static bool all_ascii(const char *s, size_t len)
{
    unsigned char bits = 0;
    for (size_t i = 0; i < len; i++)
        bits |= (unsigned char)s[i];
    return bits < 0x80;
}

enum err_code utf8_fold(struct buf *out, const char *s, size_t len)
{
    static const bool nowhere[256];
    if (all_ascii(s, len)) {
        fold_ascii(out, s, len);
        return buf_error(out);
    }
    for (size_t i = 0; i < len; i++) {
        size_t n = utf8_span(s + i, len - i, nowhere);
        fold_run(out, s + i, n);
        i += n;
        if (i < len)
            utf8_put(out, REPLACEMENT);
    }
    return buf_error(out);
}

enum err_code utf8_put(struct buf *out, uint32_t cp)
{
    char b[4];
    size_t n = 0;
    if (cp > POINT_MAX)
        cp = REPLACEMENT;
    if (cp < 0x80) {
        b[n++] = (char)cp;
    } else if (cp < 0x800) {
        b[n++] = (char)(0xC0 | cp >> 6);
        b[n++] = (char)(0x80 | (cp & 0x3F));
    } else if (cp < 0x10000) {
        b[n++] = (char)(0xE0 | cp >> 12);
        b[n++] = (char)(0x80 | (cp >> 6 & 0x3F));
        b[n++] = (char)(0x80 | (cp & 0x3F));
    } else {
        b[n++] = (char)(0xF0 | cp >> 18);
        b[n++] = (char)(0x80 | (cp >> 12 & 0x3F));
        b[n++] = (char)(0x80 | (cp >> 6 & 0x3F));
        b[n++] = (char)(0x80 | (cp & 0x3F));
    }
    return buf_add(out, b, n);
}
