/* bill.h: what one answer costs, from the question to the commit of the answer:
 * people's limits (limit.h), the rows of the ledger, and the metrics. A summary
 * that is made in the background has one too. Private to chat/. */
#ifndef WARBLER_CHAT_BILL_H
#define WARBLER_CHAT_BILL_H

#include "plugin/chat/channel.h"
#include "plugin/model/completion.h"

struct bill;

/* For the turn that lead leads; NULL: for no turn, and no person's. The
 * configuration is referenced, the channel must outlive the bill. */
struct bill *bill_new(struct channel *ch, struct config *config, const struct bot_conf *bot, const struct question *lead);
void bill_free(struct bill **b); /* NULL-safe */

/* Before the model is asked, with a request of about so many tokens: *model
 * becomes the one that limits leave. False: none; *n_r says why. */
bool bill_reserve(struct bill *b, const struct model_conf **model, size_t prompt_tokens, struct notice_limit *n_r);

/* A request that was not the answer (wasted() of struct completion_handler). */
void bill_add(struct bill *b, const struct completion_result *r);
/* How it ended; done() of it. What the server did not count is estimated. If
 * nothing cost anything, nothing is taken of the limits either. */
void bill_settle(struct bill *b, const struct completion_result *r);
/* The same if c is about to be cancelled, when this text had come. c may be NULL. */
void bill_settle_cancelled(struct bill *b, const struct completion *c, const struct buf *text);

/* For the commit; what it points to is the bill's. b may be NULL. */
struct store_bill bill_rows(struct bill *b);
void bill_written(const struct bill *b); /* on disk: the metrics count it. b may be NULL */

#endif
