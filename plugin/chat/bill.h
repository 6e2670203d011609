/* bill.h: what one answer cost, from the question to the commit of the answer:
 * the row of the ledger and the metrics. Private to chat/. */
#ifndef WARBLER_CHAT_BILL_H
#define WARBLER_CHAT_BILL_H

#include "plugin/chat/channel.h"
#include "plugin/model/completion.h"

struct bill;

/* For the turn that lead leads, whose request is about so many tokens long. The
 * configuration is referenced, the channel must outlive the bill. */
struct bill *bill_new(struct channel *ch, struct config *config, const struct bot_conf *bot, const struct question *lead,
                      size_t prompt_tokens);
void bill_free(struct bill **b); /* NULL-safe */

/* How it ended; r NULL: it was cancelled when this text had come. What the
 * server did not count is estimated. A failure before anything came costs
 * nothing. */
void bill_settle(struct bill *b, const struct model_conf *m, const struct completion_result *r, const struct buf *text);

/* For store_finish; what it points to is the bill's. False: nothing to pay. b may be NULL. */
bool bill_row(const struct bill *b, struct store_usage *row_r);
void bill_written(const struct bill *b); /* on disk: the metrics count it. b may be NULL */

#endif
