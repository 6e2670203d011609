/* summary.h: what a conversation remembers of turns that left its history.
 *
 * When the history is trimmed, the turns that go and the summary so far are
 * given to the bot's summary_model, which makes the next summary of them, in
 * the background: no answer waits for it. It is stored with the channel and
 * stands in front of the prompt (prompt.h). If it fails, the one so far stays,
 * and the turns are tried again together with the next that go. What it costs is
 * in the ledger, and counts for every limit but those of persons. Private to chat/. */
#ifndef WARBLER_CHAT_SUMMARY_H
#define WARBLER_CHAT_SUMMARY_H

#include "plugin/chat/channel.h"

#define SUMMARY_TOKENS 400                 /* asked of the model */
#define SUMMARY_BYTES_MAX 8192U            /* of a summary; what is longer is cut */
#define SUMMARY_KEPT_BYTES_MAX (256U * 1024) /* of turns that wait to be summarised; more are forgotten */

/* Trims the history to the bot's history_age and history_messages and to max_tokens; see history_trim(). */
void summary_trim(struct channel *ch, const struct bot_conf *bot, size_t max_tokens, int64_t keep);

/* Begins with what was trimmed, unless there is nothing, or the channel is
 * busy with an answer or a summary. Safe to call at any time. */
void summary_next(struct channel *ch);

bool summary_running(const struct channel *ch);
void summary_forget(struct channel *ch); /* all of it, also in ch->row */
void summary_free(struct channel *ch);   /* what is in memory; a running one is cancelled */

#endif
