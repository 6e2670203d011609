/* trigger.h: is this message for the bot? Pure but for the dice. */
#ifndef WARBLER_CHAT_TRIGGER_H
#define WARBLER_CHAT_TRIGGER_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"

/* Work that one keyword pattern may take on one message (PCRE2 match and depth
 * limits); beyond it the pattern counts as not matching, and the log says so. */
#define KEYWORD_MATCH_LIMIT 50000U
#define KEYWORD_DEPTH_LIMIT 250U

/* A bot's compiled `keywords`. NULL stands for none. */
struct keywords;
struct keywords *keywords_new(const struct strings *patterns); /* patterns were checked by config */
void keywords_free(struct keywords **k);

struct trigger_in {
    const struct bot_conf *bot;
    const struct keywords *keywords;
    unsigned triggers; /* enum trigger_kind bits of the rule */
    const char *text;  /* valid UTF-8 */
    size_t len;
    bool direct, mentioned, reply_to_bot;
    double dice;       /* [0,1) */
};

/* Why the bot speaks, 0: it does not. *skip_r: bytes at the front that were
 * only there to call it (the prefix). */
enum trigger_kind trigger_match(const struct trigger_in *in, size_t *skip_r);
const char *trigger_name(enum trigger_kind kind); /* as in the configuration */

/* True if text has "@name", case folded, without a letter or digit of the Latin
 * alphabet before or behind it ("@bob" is not in "@bobby", nor in "a@bob.example";
 * "你好@bob你好" is a mention). *end_r: behind the mention if it stands at the front, else 0. */
bool trigger_mention(const char *text, size_t len, const char *name, size_t *end_r);

#endif
