/* backlog.h: which of the messages that an application service missed in a room
 * it still answers: the newest `max_messages` of catch_up. Pushed transactions
 * do not tell what comes behind them, so that the room is asked, once after each
 * start, how far back these go. Where it cannot be told, only max_age bounds them. */
#ifndef WARBLER_MATRIX_BACKLOG_H
#define WARBLER_MATRIX_BACKLOG_H

#include <stdbool.h>

#include "adapters/matrix/api.h"

#define BACKLOG_BYTES_MAX (4U * 1024 * 1024) /* of these messages */

struct matrix;
struct room;
struct event;

/* done() hands its reply on to backlog_heard(). */
struct api_call *backlog_start(struct matrix *m, struct room *r, api_done *done, void *arg);
void backlog_heard(struct room *r, const struct api_reply *reply);
bool backlog_known(const struct room *r);
bool backlog_too_long(const struct room *r, const struct event *ev); /* for this missed message to be answered */

#endif
