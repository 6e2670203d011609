/* revise.h: what people change, take back or mark after they said it. The store
 * knows first, so that a crash changes nothing; then follows what is in memory.
 * Private to chat/. */
#ifndef WARBLER_CHAT_REVISE_H
#define WARBLER_CHAT_REVISE_H

#include "plugin/chat/channel.h"
#include "plugin/chat/core.h"

#define EDIT_FRESH_MS (5 * 60 * 1000) /* a younger answer is made anew when its question is edited */

/* Answers since then may be made anew there; INT64_MAX: none may. For store_accept. */
int64_t revise_fresh_ms(struct channel *ch);

/* What store_accept() made of an edit: row is the edit's own, of which this may
 * make a question. */
void revise_edited(struct channel *ch, const struct store_msg *row, const struct store_accepted *r);

#endif
