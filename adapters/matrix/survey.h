/* survey.h: what a room is like, asked for as a whole: what /sync would have told
 * and pushed transactions do not. */
#ifndef WARBLER_MATRIX_SURVEY_H
#define WARBLER_MATRIX_SURVEY_H

#include "adapters/matrix/api.h"

#define SURVEY_BYTES_MAX (4U * 1024 * 1024) /* of a room's state; a larger room is known by its events only */

struct matrix;
struct room;

/* done() hands its reply on to survey_heard(). */
struct api_call *survey_start(struct matrix *m, struct room *r, api_done *done, void *arg);
void survey_heard(struct room *r, const struct api_reply *reply);

#endif
