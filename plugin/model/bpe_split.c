#include "plugin/model/bpe_split.h"

#include <stdbool.h>
#include <stdint.h>
#include <utf8proc.h>

#include "plugin/base/utf8.h"

#define LONG_S 0x17F /* the only letter beyond ASCII that a contraction's matches, whatever the case */
#define DIGITS_MAX 3

/* What the expressions tell apart. */
enum class { OTHER, UPPER, LOWER, LETTER, MARK, NUMBER, SPACE, END };

/* A place in the text, and what stands there. */
struct place {
    const char *s;
    size_t len, at, next;
    uint32_t cp;
    enum class class;
};

/* Unicode's White_Space, which is not a category. */
static bool is_space(uint32_t cp)
{
    return (cp >= 9 && cp <= 13) || cp == ' ' || cp == 0x85 || cp == 0xA0 || cp == 0x1680 ||
           (cp >= 0x2000 && cp <= 0x200A) || cp == 0x2028 || cp == 0x2029 || cp == 0x202F || cp == 0x205F || cp == 0x3000;
}

static enum class class_of(uint32_t cp)
{
    if (is_space(cp))
        return SPACE;
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LT: return UPPER;
    case UTF8PROC_CATEGORY_LL: return LOWER;
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: return LETTER;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME: return MARK;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return NUMBER;
    default: return OTHER;
    }
}

static struct place look(const char *s, size_t len, size_t at)
{
    struct place p = { s, len, at, at, 0, END };
    if (at < len) {
        p.cp = utf8_next(s, len, &p.next);
        p.class = class_of(p.cp);
    }
    return p;
}

static void step(struct place *p)
{
    *p = look(p->s, p->len, p->next);
}

static bool is_newline(const struct place *p)
{
    return p->class == SPACE && (p->cp == '\r' || p->cp == '\n');
}

/* \p{L} */
static bool is_letter(const struct place *p)
{
    return p->class == UPPER || p->class == LOWER || p->class == LETTER;
}

/* [^\r\n\p{L}\p{N}] */
static bool is_prefix(const struct place *p)
{
    return p->class == OTHER || p->class == MARK || (p->class == SPACE && !is_newline(p));
}

/* [^\s\p{L}\p{N}] */
static bool is_sign(const struct place *p)
{
    return p->class == OTHER || p->class == MARK;
}

/* [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}] */
static bool is_head(const struct place *p)
{
    return p->class == UPPER || p->class == LETTER || p->class == MARK;
}

/* [\p{Ll}\p{Lm}\p{Lo}\p{M}] */
static bool is_tail(const struct place *p)
{
    return p->class == LOWER || p->class == LETTER || p->class == MARK;
}

static void skip(struct place *p, bool (*belongs)(const struct place *p))
{
    while (belongs(p))
        step(p);
}

/* (?i:'s|'t|'re|'ve|'m|'ll|'d)? : its end, or where it would begin. */
static size_t contraction(const struct place *begin)
{
    struct place p = *begin;
    if (p.cp != '\'')
        return p.at;
    step(&p);
    uint32_t first = p.cp == LONG_S ? 's' : p.cp | 0x20;
    if (first == 's' || first == 't' || first == 'm' || first == 'd')
        return p.next;
    step(&p);
    uint32_t second = p.cp | 0x20;
    bool two = second == 'e' ? first == 'r' || first == 'v' : second == 'l' && first == 'l';
    return two ? p.next : begin->at;
}

/* [head]*[tail]+ : its end, or 0. Where nothing but heads come, those are given
 * back until one of them is a tail as well. */
static size_t word_with_tail(struct place p)
{
    size_t last_tail = 0;
    for (; is_head(&p); step(&p))
        if (is_tail(&p))
            last_tail = p.next;
    if (!is_tail(&p))
        return last_tail;
    skip(&p, is_tail);
    return p.at;
}

/* [head]+[tail]* : its end, or 0. */
static size_t word_with_head(struct place p)
{
    if (!is_head(&p))
        return 0;
    skip(&p, is_head);
    skip(&p, is_tail);
    return p.at;
}

/* The two word alternatives of o200k_base, each tried behind a prefix first. */
static size_t word_o200k(const struct place *begin)
{
    static size_t (*const words[])(struct place) = { word_with_tail, word_with_head };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t end = is_prefix(begin) ? words[i](look(begin->s, begin->len, begin->next)) : 0;
        if (!end)
            end = words[i](*begin);
        if (end) {
            struct place rest = look(begin->s, begin->len, end);
            return contraction(&rest);
        }
    }
    return 0;
}

/* (?i:'s|…) and [^\r\n\p{L}\p{N}]?\p{L}+ of cl100k_base. */
static size_t word_cl100k(const struct place *begin)
{
    size_t end = contraction(begin);
    if (end > begin->at)
        return end;
    struct place p = *begin;
    if (is_prefix(&p))
        step(&p);
    if (!is_letter(&p))
        return 0;
    skip(&p, is_letter);
    return p.at;
}

/* \p{N}{1,3} */
static size_t number(const struct place *begin)
{
    struct place p = *begin;
    for (int n = 0; n < DIGITS_MAX && p.class == NUMBER; n++)
        step(&p);
    return p.at;
}

/* " ?[^\s\p{L}\p{N}]+[\r\n]*", and in o200k_base slashes behind it too: its end, or 0. */
static size_t signs(const struct place *begin, bool slashes)
{
    struct place p = *begin;
    if (p.cp == ' ')
        step(&p);
    if (!is_sign(&p))
        return 0;
    skip(&p, is_sign);
    while (is_newline(&p) || (slashes && p.cp == '/'))
        step(&p);
    return p.at;
}

/* \s*[\r\n]+|\s+(?!\S)|\s+ : up to the last line break; without one, the last
 * blank is left for the word behind, if there is one. */
static size_t blanks(const struct place *begin)
{
    struct place p = *begin;
    size_t newline = 0, last = p.at;
    for (; p.class == SPACE; step(&p)) {
        if (is_newline(&p))
            newline = p.next;
        last = p.at;
    }
    if (newline)
        return newline;
    return p.class == END || last == begin->at ? p.at : last;
}

size_t bpe_split(enum bpe_encoding encoding, const char *s, size_t len, size_t at)
{
    struct place p = look(s, len, at);
    size_t end = encoding == BPE_O200K ? word_o200k(&p) : word_cl100k(&p);
    if (end)
        return end;
    if (p.class == NUMBER)
        return number(&p);
    end = signs(&p, encoding == BPE_O200K);
    return end ? end : blanks(&p);
}
