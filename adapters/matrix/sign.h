/* sign.h: the small signs in a room: that we are typing, and how far we have
 * read. Of each there is at most one call per room at a time, and what became
 * untrue meanwhile is not sent. Client-server API: "Typing Notifications",
 * "Receipts". */
#ifndef WARBLER_MATRIX_SIGN_H
#define WARBLER_MATRIX_SIGN_H

#include <stdbool.h>

#define TYPING_MS 30000       /* what the server believes without hearing more */
#define TYPING_RENEW_MS 20000
#define READ_PAUSE_MS 300     /* the answer goes first, and what is read at once is marked at once */

struct matrix;
struct room;

void sign_typing(struct matrix *m, struct room *r, bool on); /* counts: each on has its off */
void sign_read(struct matrix *m, struct room *r, const char *event);
/* Nobody types any more; true: calls that say so are on their way. */
bool sign_leave(struct matrix *m);
bool sign_busy(const struct matrix *m); /* such calls are not answered yet */
void sign_free_all(struct matrix *m);

#endif
