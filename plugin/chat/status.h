/* status.h: what /status says of a conversation and of the model behind it, in
 * plain words: no provider's text. Private to chat/. */
#ifndef WARBLER_CHAT_STATUS_H
#define WARBLER_CHAT_STATUS_H

#include "plugin/chat/channel.h"
#include "plugin/chat/notice.h"

/* Appends a list, one line each, as q asks for it. model: the one that the
 * conversation asks. */
void status_write(struct buf *out, const struct channel *ch, const struct bot_conf *bot, const struct model_conf *model,
                  const struct question *q);

#endif
