/* practice_call.h: an answer of the practice model given out over time, with
 * the callbacks of an HTTP call, so that whoever reads one reads the other. */
#ifndef WARBLER_MODEL_PRACTICE_CALL_H
#define WARBLER_MODEL_PRACTICE_CALL_H

#include "plugin/model/practice.h"
#include "plugin/net/http.h"
#include "plugin/net/loop.h"

struct practice_call;

/* Takes over what *reply holds. The callbacks and their rules are those of http_start(). */
struct practice_call *practice_call_start(struct loop *loop, struct practice_reply *reply,
                                          const struct http_handler *handler, void *arg);
void practice_call_cancel(struct practice_call **call); /* NULL-safe; legal inside the call's own callbacks */

#endif
