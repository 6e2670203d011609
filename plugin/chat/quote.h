/* quote.h: what a model thought, as a Markdown quote above its answer. Pure. */
#ifndef WARBLER_CHAT_QUOTE_H
#define WARBLER_CHAT_QUOTE_H

#include <stdbool.h>

#include "plugin/base/buf.h"

#define QUOTE_THOUGHT_BYTES_MAX 8192U                    /* of a longer one the end is shown: what leads to the answer */
#define QUOTE_BYTES_MAX (3 * QUOTE_THOUGHT_BYTES_MAX + 64) /* with the marks of its lines */

/* Appends the quote, without a line break at its end; nothing for blanks. */
void quote_add(struct buf *out, const char *thought, size_t len);

/* Appends what people see of an answer: its text, with the thoughts before it if
 * they are kept or all there is. True if there are thoughts in it. */
bool quote_view(struct buf *out, const struct buf *thought, const struct buf *text, bool keep);

/* The answer in a text that begins with a quote and an empty line. */
const char *quote_skip(const char *text);

#endif
