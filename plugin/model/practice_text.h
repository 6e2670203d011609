/* practice_text.h: what the practice model says, in English and Chinese. */
#ifndef WARBLER_MODEL_PRACTICE_TEXT_H
#define WARBLER_MODEL_PRACTICE_TEXT_H

#include <stdbool.h>

enum practice_kind {
    PRACTICE_PLAIN,    /* %words: the person's words */
    PRACTICE_GREETING,
    PRACTICE_QUESTION, /* %words, %count: messages that the request held */
    PRACTICE_CODE,
    PRACTICE_LONG,
    PRACTICE_TOOL,     /* %words: what the tool gave */
    PRACTICE_HONEST,   /* stands before the first answer of a conversation */
    PRACTICE_FILLER,   /* one sentence, for answers that are to be longer */
    PRACTICE_KINDS
};

const char *practice_text(enum practice_kind kind, bool chinese);

/* Which answer fits. words: what the person wrote. */
enum practice_kind practice_kind_of(const char *words);

#endif
