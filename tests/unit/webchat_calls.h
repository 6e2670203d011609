/* webchat_calls.h: POST /chat, for tests. */
#ifndef WARBLER_TESTS_WEBCHAT_CALLS_H
#define WARBLER_TESTS_WEBCHAT_CALLS_H

#include "tests/unit/webchat_world.h"

#define AUTH "Authorization: Bearer one\r\n"
#define SSE "Accept: text/event-stream\r\n"

void calls_tokens(struct webchat_conf *conf); /* "one" and "two" */
void calls_world_free(struct world **w);      /* and its tokens */

struct peer *post(struct world *w, const char *headers, const char *body);
struct peer *post_in(struct world *w, const char *conversation, const char *headers, const char *text);
void until_messages(struct world *w, size_t n); /* that the host has stored */
void answer(struct world *w, const char *text); /* the newest message, at once */
char *begin_conversation(struct world *w);      /* two messages: a question and its answer. free() its id */

void peer_expect_error(struct peer *r, int status, const char *code); /* and frees r */
char *peer_member(struct peer *r, const char *name); /* a string of the answer's JSON; free() it */

#endif
