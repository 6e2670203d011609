/* thought.h: the reasoning of a model, apart from its answer (chat-completions
 * reference, section 4). It is kept only where somebody may see it. Pure. */
#ifndef WARBLER_MODEL_THOUGHT_H
#define WARBLER_MODEL_THOUGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin/base/buf.h"
#include "plugin/base/json.h"

#define THOUGHT_BYTES_MAX (64U * 1024) /* more of it is dropped */

struct thought {
    struct buf text;  /* valid UTF-8 without control characters */
    bool kept;        /* set it before the first piece comes; else every piece is dropped */

    size_t shown;     /* private, as all below */
    struct buf piece;
    uint32_t pending;
    size_t seen_bytes;
};

void thought_init(struct thought *t);
void thought_fini(struct thought *t); /* legal on a zeroed struct */

void thought_add(struct thought *t, const char *wtf8, size_t len);

/* Takes the reasoning out of a message or delta, in all spellings: the members
 * reasoning_content, reasoning, reasoning_details, and parts of content of the
 * type thinking. whole: the message holds everything so far. */
void thought_take(struct thought *t, const cJSON *message, bool whole);

/* What came since the last call. */
const char *thought_show(struct thought *t, size_t *len_r);

#endif
