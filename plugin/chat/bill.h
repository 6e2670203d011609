/* bill.h: what one answer costs, from the question to the commit of the answer:
 * people's limits (limit.h), the row of the ledger, and the metrics. Private to
 * chat/. */
#ifndef WARBLER_CHAT_BILL_H
#define WARBLER_CHAT_BILL_H

#include "plugin/chat/channel.h"
#include "plugin/model/completion.h"

struct bill;

/* For the turn that lead leads. The configuration is referenced, the channel
 * must outlive the bill. */
struct bill *bill_new(struct channel *ch, struct config *config, const struct bot_conf *bot, const struct question *lead);
void bill_free(struct bill **b); /* NULL-safe */

/* Before the model is asked, with a request of about so many tokens: *model
 * becomes the one that limits leave. False: none; out says why, to people. */
bool bill_reserve(struct bill *b, const struct model_conf **model, size_t prompt_tokens, struct buf *out, enum language lang);

/* How it ended; r NULL: it was cancelled when this text had come. What the
 * server did not count is estimated. A failure before anything came costs
 * nothing. */
void bill_settle(struct bill *b, const struct model_conf *m, const struct completion_result *r, const struct buf *text);

/* For store_finish; what it points to is the bill's. False: nothing to pay. b may be NULL. */
bool bill_row(const struct bill *b, struct store_usage *row_r);
const struct store_count *bill_counts(struct bill *b, size_t *n_r); /* the same */
void bill_written(const struct bill *b); /* on disk: the metrics count it. b may be NULL */

#endif
