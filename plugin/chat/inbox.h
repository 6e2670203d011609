/* inbox.h: a person's message, from the adapter to the disk.
 *
 * Finds the conversation, decides whether the message is for the bot, numbers
 * it, writes it together with the account's stream position, and only then
 * tells the adapter that it may acknowledge. A repeat is recognised by the
 * store, so also after a crash. Private to chat/. */
#ifndef WARBLER_CHAT_INBOX_H
#define WARBLER_CHAT_INBOX_H

#include "plugin/chat/core.h"

void inbox_take(struct chat *core, struct adapter *a, const struct msg_in *m);

#endif
