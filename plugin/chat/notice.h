/* notice.h: what the bot itself says to people, in their language: plain,
 * short, and what to do next. Never a provider's text. */
#ifndef WARBLER_CHAT_NOTICE_H
#define WARBLER_CHAT_NOTICE_H

#include <stdint.h>

#include "config/config.h"
#include "plugin/base/buf.h"
#include "plugin/base/err.h"

enum language { LANG_EN, LANG_ZH, LANG_COUNT };

/* "zh", "zh-CN", "zh_TW" are Chinese; anything else English; NULL or "": by the
 * text, Chinese if it has a Han character. */
enum language language_of(const char *tag, const char *text);
const char *language_name(enum language lang); /* for prompts: "English", "Chinese" */

enum notice {
    NOTICE_STOPPED,         /* in place of an answer that had no text yet */
    NOTICE_STOP_DONE,
    NOTICE_STOP_NOTHING,
    NOTICE_RESET,
    NOTICE_RETRY_NOTHING,
    NOTICE_NOT_ADMIN,
    NOTICE_MUTED,
    NOTICE_UNMUTED,
    NOTICE_MODEL_UNKNOWN,   /* %s: name, %s: list */
    NOTICE_MODEL_SET,       /* %s */
    NOTICE_MODEL_IS,        /* %s, %s: list */
    NOTICE_PROMPT_SET,
    NOTICE_PROMPT_CLEARED,
    NOTICE_PROMPT_IS,       /* %s */
    NOTICE_PRESET_SET,      /* %s */
    NOTICE_PRESET_CLEARED,
    NOTICE_PRESET_HELP,     /* of one that has no help of its own */
    NOTICE_PINNED,
    NOTICE_PINS_ARE,        /* %s: a line each */
    NOTICE_PINS_NONE,
    NOTICE_PINS_FULL,
    NOTICE_DEAD,            /* a dead letter */
    NOTICE_INTERRUPTED,     /* behind the part of an answer that came */
    NOTICE_HELP_HEAD,       /* %s: bot's name */
    NOTICE_COUNT
};
const char *notice_text(enum notice n, enum language lang);
/* Appends why there is no answer. again_ms: when asking again may help, as far as is known; else -1. */
void notice_error(struct buf *out, enum err_code code, int64_t again_ms, enum language lang);
const char *notice_class(enum err_code code, enum language lang); /* what went wrong in two or three words, for /status */

/* That a limit is used up, and when it goes on. Never how much money it is. */
struct notice_limit {
    enum limit_per per;
    enum limit_period period;
    int64_t messages; /* that were allowed; 0: it was tokens or money */
    int64_t now_ms, again_ms; /* wall clock; again 0: as soon as answers under way are done */
};
void notice_limit(struct buf *out, const struct notice_limit *n, enum language lang);
/* "today", "this hour": for what is left of a limit. */
const char *notice_period(enum limit_period period, enum language lang);

#endif
