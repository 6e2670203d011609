/* utf8.h: text as people see it. Thin over utf8proc for everything that needs
 * Unicode tables. Text is cut at grapheme borders only, never by bytes. */
#ifndef WARBLER_BASE_UTF8_H
#define WARBLER_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin/base/buf.h"

bool utf8_valid(const char *s, size_t len);

/* Bytes of the longest well-formed prefix with no character whose first byte b
 * has stop[b]: what may be copied as it is. */
size_t utf8_span(const char *s, size_t len, const bool stop[256]);

/* Decodes one code point at *i and moves *i behind it. Ill-formed input gives
 * U+FFFD and moves one byte. *i must be < len. */
uint32_t utf8_next(const char *s, size_t len, size_t *i);

size_t utf8_points(const char *s, size_t len); /* number of code points */

/* Appends s with ill-formed sequences as U+FFFD, NUL dropped, CR LF and CR as
 * LF, and other control characters but LF and TAB dropped. */
enum err_code utf8_clean(struct buf *out, const char *s, size_t len);

/* The largest n <= max such that s[0..n) ends at a grapheme border. 0 if the
 * first grapheme is already longer than max. s must be valid UTF-8. */
size_t utf8_cut(const char *s, size_t len, size_t max);

/* Columns on a terminal; control characters count 0. */
size_t utf8_width(const char *s, size_t len);

/* True if every code point is one that may stand in a person's or room's name:
 * no control or format characters, no line separators. The two joiners may
 * stand between characters beyond ASCII, where Persian and emoji need them.
 * Ill-formed text is not printable. */
bool utf8_printable(const char *s, size_t len);

/* True for a letter with upper and lower case, a digit, an accent or '_': beside
 * one of these, what was found is only a part of a word. Scripts without case
 * mostly write their words, or what is added to a name, without a blank. */
bool utf8_in_word(uint32_t cp);

/* Appends a case-folded copy (NFKC_Casefold), for keyword and name comparison. */
enum err_code utf8_fold(struct buf *out, const char *s, size_t len);

/* Appends code point cp (surrogates too, as WTF-8, for json.h). */
enum err_code utf8_put(struct buf *out, uint32_t cp);

#endif
