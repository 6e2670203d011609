/* turn.h: the making of one answer; the state machine in the middle.
 *
 *   BINDING ──► ASKING ──► STREAMING ──► STORING ──► (gone)
 *      │           │           │            ▲
 *      └───────────┴───────────┴── cancel ──┘
 *
 * BINDING: several messages are answered at once, which is being written down
 * before anything of it can be seen. ASKING: the model was asked. STREAMING:
 * text came. STORING: the answer is being written; when it is on disk its last
 * event leaves and the turn is gone. A crash in any state leaves the messages
 * PENDING in the store: the next start asks again, under the same id.
 *
 * A channel has at most one turn. Private to chat/. */
#ifndef WARBLER_CHAT_TURN_H
#define WARBLER_CHAT_TURN_H

#include "plugin/adapter.h"
#include "plugin/chat/channel.h"

struct turn;

/* Begins the channel's next turn if there is a question, no turn, and a free
 * place. Safe to call at any time. */
void turn_next(struct channel *ch);

/* Ends the answer now: what came of it stays, marked as cancelled. */
void turn_cancel(struct turn *t);
/* The same, and what waits from before seq is decided not to be answered. False: there was nothing. */
bool turn_cancel_all(struct channel *ch, int64_t seq);
bool turn_is_storing(const struct turn *t); /* its answer is complete and on its way to the disk */
/* Forgets the turn without an outcome (shutdown). Frees t. */
void turn_abandon(struct turn *t);
/* Something that held back partial text may be over. */
void turn_kick(struct turn *t);

/* The answer being made, as people may see it now: false if nothing is shown.
 * Fields of *m are borrowed until the next loop turn. */
bool turn_shown(const struct channel *ch, struct msg_out *m);

/* Is this message (id NULL: any message of the sender) among what t answers? */
bool turn_has_question(const struct turn *t, const char *sender, const char *id);

#endif
