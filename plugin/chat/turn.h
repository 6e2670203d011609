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
/* The text of one of its questions, or of the one that it asks again, is another
 * now, or somebody does not like where the answer goes: it starts over, in the
 * same message. False: there is no such turn, or its answer is complete. */
bool turn_start_over(struct channel *ch, int64_t seq);
/* A question was taken back: what came of the answer is, too, and the others of
 * its turn are asked again. The store knows already. */
void turn_withdraw(struct channel *ch, int64_t seq);
/* The answer is not wanted: it ends as if nothing had been asked. False: too late, or too early. */
bool turn_drop(struct turn *t);
bool turn_is_storing(const struct turn *t); /* its answer is complete and on its way to the disk */
/* Forgets the turn without an outcome (shutdown). Frees t. */
void turn_abandon(struct turn *t);
/* Something that held back partial text may be over. */
void turn_kick(struct turn *t);

/* The answer being made, as people may see it now: false if nothing is shown.
 * Fields of *m are borrowed until the next loop turn. */
bool turn_shown(const struct channel *ch, struct msg_out *m);

bool turn_has_sender(const struct turn *t, const char *sender); /* among those whom t answers */
/* Is it being answered, or was it and is asked again? NULL: no. */
struct turn *turn_of(const struct channel *ch, int64_t seq);
struct question *turn_question(const struct turn *t, int64_t seq); /* one that it answers, or NULL */

#endif
