/* lesson.h: what models' refusals taught, kept in the store: a parameter that a
 * server does not take is tried once, and not once per start. Forgotten after a
 * while, for servers learn too. Private to chat/. */
#ifndef WARBLER_CHAT_LESSON_H
#define WARBLER_CHAT_LESSON_H

#define LESSON_DAYS 30

struct chat;

void lesson_begin(struct chat *core);  /* keeps what is learned from now on */
void lesson_recall(struct chat *core); /* reads what was kept of the configured models */

#endif
