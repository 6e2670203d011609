/* opening.h: which conversation a POST /chat belongs to: the one it names, if
 * that was given out; else a new one, which is on disk before it is used. With
 * an idempotency key a repeat finds the conversation that the first one began,
 * whether that one is still under way or was before a crash. */
#ifndef WARBLER_WEBCHAT_OPENING_H
#define WARBLER_WEBCHAT_OPENING_H

#include "adapters/webchat/webchat.h"

/* call_opened() or call_not_opened() follows from the loop, unless opening_leave() was
 * called. conversation: what the request named, plausible, or NULL. key: NULL
 * without one; token: whose key it is, "" without one. */
void opening_start(struct webchat *w, struct call *p, const char *conversation, const char *token, const char *key);
void opening_leave(struct call *p);
void opening_free_all(struct webchat *w);

#endif
