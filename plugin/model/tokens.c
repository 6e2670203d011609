#include "plugin/model/tokens.h"

#include <stdbool.h>
#include <stdint.h>
#include <utf8proc.h>

#include "plugin/base/utf8.h"
#include "plugin/model/bpe.h"

/* Hundredths of a token, fitted on 22,267 texts against o200k_base. */
enum weight {
    ASCII_WORD = 94,       /* a run of A-Z a-z, and each camelCase step inside */
    ASCII_LETTER = 13,     /* from the fifth letter on */
    LATIN_WORD = 28,       /* a run of letters with at least one beyond ASCII */
    LATIN_LETTER = 30,
    DIGITS = 152,          /* each started group of three */
    SIGNS = 78,            /* a run of punctuation */
    SIGN = 10,             /* from the second on */
    NEWLINES = 62,         /* a line break with the blanks behind it */
    SPACES = 130,          /* two or more blanks; a single one costs nothing */
    HAN = 76,
    HIRAGANA = 69,
    KATAKANA = 70,
    HANGUL = 69,
    CYRILLIC_WORD = 138,
    CYRILLIC_LETTER = 6,
    GREEK_WORD = 3,
    GREEK_LETTER = 38,
    EMOJI = 224,
    OTHER = 37,
};

#define NO_BREAK_SPACE 0xA0

enum kind { KIND_LETTER, KIND_DIGIT, KIND_NEWLINE, KIND_SPACE, KIND_CYRILLIC, KIND_GREEK, KIND_SIGN, KIND_SINGLE };

struct reader {
    const char *s;
    size_t len, at;
    uint32_t cp; /* the code point at `at`, 0 at the end */
    size_t next; /* behind it */
};

static void look(struct reader *r)
{
    r->next = r->at;
    r->cp = 0;
    if (r->at == r->len)
        return;
    unsigned char first = (unsigned char)r->s[r->at];
    if (first < 0x80) { /* most text: no call for each letter */
        r->cp = first;
        r->next++;
    } else {
        r->cp = utf8_next(r->s, r->len, &r->next);
    }
}

static void step(struct reader *r)
{
    r->at = r->next;
    look(r);
}

static bool more(const struct reader *r)
{
    return r->at < r->len;
}

static bool in(uint32_t cp, uint32_t first, uint32_t end)
{
    return cp >= first && cp < end;
}

static bool is_ascii_upper(uint32_t cp)
{
    return in(cp, 'A', 'Z' + 1);
}

static bool is_ascii_letter(uint32_t cp)
{
    return in(cp | 0x20, 'a', 'z' + 1);
}

static bool is_latin(uint32_t cp)
{
    return in(cp, 0xC0, 0x250) || in(cp, 0x1E00, 0x1F00);
}

/* Digits of all scripts, and those in circles, brackets, raised or lowered. */
static bool is_digit(uint32_t cp)
{
    static const struct {
        uint32_t first, last;
    } dressed[] = {
        {0xB2, 0xB3},       {0xB9, 0xB9},       {0x1369, 0x1371},   {0x19DA, 0x19DA},   {0x2070, 0x2070},
        {0x2074, 0x2079},   {0x2080, 0x2089},   {0x2460, 0x2468},   {0x2474, 0x247C},   {0x2488, 0x2490},
        {0x24EA, 0x24EA},   {0x24F5, 0x24FD},   {0x24FF, 0x24FF},   {0x2776, 0x277E},   {0x2780, 0x2788},
        {0x278A, 0x2792},   {0x10A40, 0x10A43}, {0x10E60, 0x10E68}, {0x11052, 0x1105A}, {0x1F100, 0x1F10A},
    };
    if (cp < 0x80)
        return in(cp, '0', '9' + 1);
    if (utf8proc_category((utf8proc_int32_t)cp) == UTF8PROC_CATEGORY_ND)
        return true;
    for (size_t i = 0; i < sizeof dressed / sizeof dressed[0]; i++)
        if (cp >= dressed[i].first && cp <= dressed[i].last)
            return true;
    return false;
}

static bool is_space(uint32_t cp)
{
    return cp == ' ' || cp == '\t' || cp == NO_BREAK_SPACE;
}

/* Goes on a run of punctuation; what begins one is a little more (kind_of). */
static bool is_sign(uint32_t cp)
{
    if (cp < 0x80)
        return cp > ' ' && !is_ascii_letter(cp) && !in(cp, '0', '9' + 1);
    return in(cp, 0x2010, 0x2070) || in(cp, 0x3000, 0x3041) || in(cp, 0xFF00, 0xFF66);
}

static bool is_cyrillic(uint32_t cp)
{
    return in(cp, 0x400, 0x530);
}

static bool is_greek(uint32_t cp)
{
    return in(cp, 0x370, 0x400) || in(cp, 0x1F00, 0x2000);
}

static bool is_han(uint32_t cp)
{
    return in(cp, 0x4E00, 0xA000) || in(cp, 0x3400, 0x4DC0) || in(cp, 0xF900, 0xFB00) || in(cp, 0x20000, 0x40000);
}

static enum kind kind_of(uint32_t cp)
{
    if (is_ascii_letter(cp) || is_latin(cp))
        return KIND_LETTER;
    if (is_han(cp)) /* like the letters before the dearer questions */
        return KIND_SINGLE;
    if (is_digit(cp))
        return KIND_DIGIT;
    if (cp == '\n' || cp == '\r')
        return KIND_NEWLINE;
    if (is_space(cp))
        return KIND_SPACE;
    if (is_cyrillic(cp))
        return KIND_CYRILLIC;
    if (is_greek(cp))
        return KIND_GREEK;
    if (cp < 0x80 || in(cp, 0x2000, 0x2010) || is_sign(cp))
        return KIND_SIGN;
    return KIND_SINGLE;
}

static size_t word(struct reader *r)
{
    size_t letters = 0, latin = 0, camel = 0;
    uint32_t before = 'A'; /* the first letter is no camelCase step */
    for (; more(r) && (is_ascii_letter(r->cp) || is_latin(r->cp)); step(r)) {
        letters++;
        latin += is_latin(r->cp);
        camel += is_ascii_upper(r->cp) && !is_ascii_upper(before);
        before = r->cp;
    }
    if (latin > 0)
        return LATIN_WORD + LATIN_LETTER * letters;
    return ASCII_WORD * (1 + camel) + (letters > 4 ? ASCII_LETTER * (letters - 4) : 0);
}

static size_t run(struct reader *r, bool (*belongs)(uint32_t cp))
{
    size_t n = 0;
    do {
        n++;
        step(r);
    } while (more(r) && belongs(r->cp));
    return n;
}

static bool after_newline(uint32_t cp)
{
    return cp == '\n' || cp == '\r' || cp == '\t' || cp == ' ';
}

/* U+2000 to U+200F and controls are a run of their own each. */
static size_t signs(struct reader *r)
{
    if (is_sign(r->cp))
        return SIGNS + SIGN * (run(r, is_sign) - 1);
    step(r);
    return SIGNS;
}

static size_t single(uint32_t cp)
{
    if (is_han(cp))
        return HAN;
    if (in(cp, 0x3041, 0x30A0))
        return HIRAGANA;
    if (in(cp, 0x30A0, 0x3100) || in(cp, 0xFF66, 0xFF9E))
        return KATAKANA;
    if (in(cp, 0xAC00, 0xD7A4) || in(cp, 0x1100, 0x1200) || in(cp, 0x3130, 0x3190))
        return HANGUL;
    if (cp >= 0x1F000 || in(cp, 0x2600, 0x27C0) || cp == 0xFE0F)
        return EMOJI;
    return OTHER;
}

static size_t piece(struct reader *r)
{
    uint32_t cp = r->cp;
    switch (kind_of(cp)) {
    case KIND_LETTER:
        return word(r);
    case KIND_DIGIT:
        return DIGITS * ((run(r, is_digit) + 2) / 3);
    case KIND_NEWLINE:
        run(r, after_newline);
        return NEWLINES;
    case KIND_SPACE:
        return run(r, is_space) > 1 ? SPACES : 0;
    case KIND_SIGN:
        return signs(r);
    case KIND_CYRILLIC:
        return CYRILLIC_WORD + CYRILLIC_LETTER * run(r, is_cyrillic);
    case KIND_GREEK:
        return GREEK_WORD + GREEK_LETTER * run(r, is_greek);
    case KIND_SINGLE:
        break;
    }
    step(r);
    return single(cp);
}

size_t tokens_estimate(const char *utf8, size_t len)
{
    struct reader r = {.s = utf8, .len = len};
    size_t hundredths = 0;
    for (look(&r); more(&r);)
        hundredths += piece(&r);
    size_t tokens = (hundredths + 50) / 100;
    return tokens > 0 || len == 0 ? tokens : 1;
}

size_t tokens_count(const struct vocabulary *v, const char *utf8, size_t len)
{
    return v ? vocabulary_count(v, utf8, len) : tokens_estimate(utf8, len);
}
