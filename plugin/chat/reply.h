/* reply.h: an answer in portions that a platform takes. Pure. */
#ifndef WARBLER_CHAT_REPLY_H
#define WARBLER_CHAT_REPLY_H

#include <stddef.h>

#include "plugin/adapter.h"

#define REPLY_PARTS_MAX 64  /* messages that one answer may become; the last ends with "…" if there was more */
#define REPLY_LIMIT_MIN 64U /* a smaller limit of a platform is taken as this */

/* Splits Markdown into parts of at most limit units (0: no limit), each cut
 * behind a paragraph, a line, a sentence, a word or, failing all, a grapheme. A
 * code fence that a cut goes through is closed and opened again. Hands each
 * part to fn; returns how many there were. text must be valid UTF-8. */
size_t reply_split(const char *text, size_t len, size_t limit, enum text_unit unit,
                   void (*fn)(void *arg, const char *part, size_t len), void *arg);

#endif
