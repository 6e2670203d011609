/* usage.h: what an answer took, as servers say it: the object `usage` in all
 * the shapes of the chat-completions reference, section 4. Pure. */
#ifndef WARBLER_MODEL_USAGE_H
#define WARBLER_MODEL_USAGE_H

#include <stdbool.h>

#include "plugin/base/json.h"
#include "plugin/model/completion.h"

/* text[0..len): the object as it came, because a cost must not become a double
 * on its way. False, and nothing changed: it counts no tokens. */
bool usage_read(struct usage *u, const cJSON *usage, const char *text, size_t len);

#endif
