/* outbox.h: parts of answers on their way to platforms.
 *
 * A part is on disk before it is sent and leaves the disk when the platform
 * confirmed it; the rows are the queue, so that a restart and normal running
 * take the same way. Per conversation the parts go one after the other. Where
 * a platform drops repeats by transaction id, a part in doubt is simply sent
 * again; elsewhere the attempt is written down first and doubt is settled as
 * CONTRACTS section 6 says. Platforms that are our own store (web chat) have no
 * parts. Partial text is not sent through here, so only they see answers grow.
 * Private to chat/. */
#ifndef WARBLER_CHAT_OUTBOX_H
#define WARBLER_CHAT_OUTBOX_H

#include "plugin/adapter.h"

#define OUTBOX_PARTS_MAX 1024       /* held in memory; the rest waits on disk */
#define OUTBOX_BACKOFF_MIN_MS 1000  /* after a failure that may pass; doubles */
#define OUTBOX_BACKOFF_MAX_MS 60000

struct chat;
struct outbox;

struct outbox *outbox_new(struct chat *core);
void outbox_free(struct outbox **box);
void outbox_kick(struct chat *core); /* there may be new parts, or an account that takes them */
void outbox_look_again(struct chat *core); /* rows that were done with may be there again */
void outbox_forget(struct chat *core, const struct adapter *a);
void outbox_sent(struct chat *core, int64_t handle, const char *platform_id);
void outbox_failed(struct chat *core, int64_t handle, const struct err *e, bool retry, int64_t retry_after_ms);

#endif
