/* look.h: asks the server for what an event refers to. */
#ifndef WARBLER_MATRIX_LOOK_H
#define WARBLER_MATRIX_LOOK_H

#include "adapters/matrix/api.h"

#define LOOK_MS 5000 /* an event must not wait longer for what it refers to */

struct matrix;
struct room;
struct recent_event;

/* Another event of the room, for `recent`. done() hands its reply on to look_event_heard(). */
struct api_call *look_event(struct matrix *m, const char *room, const char *id, api_done *done, void *arg);
/* NULL: it cannot be seen. */
const struct recent_event *look_event_heard(const struct room *room, const char *id, const struct api_reply *r);

/* How a person is called in the room. */
struct api_call *look_person(struct matrix *m, const struct room *room, const char *user, api_done *done, void *arg);
void look_person_heard(struct room *room, const char *user, const struct api_reply *r);

#endif
