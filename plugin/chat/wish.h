/* wish.h: what a message asks of its own answer (struct msg_wish), as far as the
 * bot allows it, and the preset that it is answered by. Kept with the message as
 * JSON, so that it is answered the same way after a restart. Private to chat/. */
#ifndef WARBLER_CHAT_WISH_H
#define WARBLER_CHAT_WISH_H

#include "config/config.h"
#include "plugin/adapter.h"
#include "plugin/model/request.h"

#define WISH_PROMPT_BYTES_MAX 8192U

struct wish {
    char *preset, *prompt; /* NULL: none */
    int64_t max_tokens;    /* 0: as configured */
    bool reset;
};

/* What of m the bot allows, as JSON; preset: one that the text names itself,
 * which is always allowed, or NULL. NULL: nothing. The caller frees. */
char *wish_write(const struct msg_wish *m, const struct bot_conf *bot, const char *preset);
void wish_read(struct wish *w, const char *json); /* json NULL: nothing */
void wish_fini(struct wish *w);                   /* legal on a zeroed one */

/* The preset that the message wants, else that of the conversation (name or
 * NULL); NULL: none, or it is not configured any more. */
const struct preset_conf *wish_preset(const struct wish *w, const struct bot_conf *bot, const char *conversation);

/* True if the answer is to be made otherwise than the model's configuration says. */
bool wish_tuning(const struct wish *w, const struct preset_conf *preset, struct request_tuning *tuning_r);

#endif
