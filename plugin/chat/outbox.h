/* outbox.h: messages on their way to platforms.
 *
 * A message is a row on disk before it is sent and leaves the disk when the
 * platform confirmed it; the rows are the queue, so that a restart and normal
 * running take the same way. Per conversation they go one after the other. Where
 * a platform drops repeats by transaction id, a message in doubt is simply sent
 * again; elsewhere the attempt is written down first and doubt is settled as
 * CONTRACTS section 6 says. Platforms that are our own store (web chat) have no
 * rows.
 *
 * An answer that grows in sight is a row too, which is open until the answer is
 * written; ARCHITECTURE.md, "An answer that grows", says what may happen to it.
 * It is known by its channel and by the question that leads its turn. Private to
 * chat/. */
#ifndef WARBLER_CHAT_OUTBOX_H
#define WARBLER_CHAT_OUTBOX_H

#include "plugin/adapter.h"
#include "plugin/chat/channel.h"

#define OUTBOX_PARTS_MAX 1024       /* held in memory, beside answers that grow; the rest waits on disk */
#define OUTBOX_BACKOFF_MIN_MS 1000  /* after a failure that may pass; doubles */
#define OUTBOX_BACKOFF_MAX_MS 60000

struct chat;
struct outbox;

struct outbox *outbox_new(struct chat *core);
void outbox_free(struct outbox **box);
void outbox_kick(struct chat *core); /* there may be new rows, or an account that takes them */
void outbox_look_again(struct chat *core); /* rows that were done with may be there again */
void outbox_forget(struct chat *core, const struct adapter *a);
void outbox_sent(struct chat *core, int64_t handle, const char *platform_id);
void outbox_failed(struct chat *core, int64_t handle, const struct err *e, bool retry, int64_t retry_after_ms);

/* --- an answer that grows --- */
bool outbox_can_edit(const struct adapter_facts *f); /* are there messages of ours, and can their text be another one? */
bool outbox_can_grow(const struct adapter_facts *f); /* ... and grow in sight? */
/* Has its row made. adopts: seq of an older answer whose message it takes over,
 * or 0. This and outbox_show() draw a number of the channel, so
 * channel_has_seq() must hold. */
void outbox_open(struct channel *ch, int64_t lead, int64_t adopts);
/* Shows its text so far, as far as one message takes it: sent the first time,
 * as an edit afterwards. False: not now; turn_kick() is told when it can be. */
bool outbox_show(struct channel *ch, int64_t lead, const struct buf *text);
bool outbox_is_seen(const struct channel *ch, int64_t lead); /* people may see a part of it */
/* Its text is being written down: nothing more of it leaves. True: nothing did;
 * fresh says that of a row that is being made. */
bool outbox_hold(struct channel *ch, int64_t lead, bool fresh);
/* The answer is on disk, in so many parts (none: it has no message), of which this is the first. */
struct outbox_final {
    int64_t answer; /* its seq */
    size_t n_parts;
    const char *text, *finish, *usage, *reply_to;
    bool notice, fresh; /* fresh: store_finish was told that it is untouched, and adopts nothing */
};
void outbox_close(struct channel *ch, int64_t lead, const struct outbox_final *f);
/* Its question is decided otherwise: what is to become of the row is on disk. */
void outbox_lost(struct channel *ch, int64_t lead);

#endif
