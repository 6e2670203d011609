/* secrecy.h: encrypted rooms, which cannot be read yet: whoever speaks to us
 * there is told so once per room, and the operator sees which rooms those are.
 * What decrypts one day takes an m.room.encrypted event here and gives the
 * intake the event that was in it. */
#ifndef WARBLER_MATRIX_SECRECY_H
#define WARBLER_MATRIX_SECRECY_H

struct matrix;
struct room;

/* Somebody (their id) wrote, or invited us, where it is encrypted. like: what
 * the room is called, if it does not know that yet, or NULL. */
void secrecy_heard(struct matrix *m, struct room *r, const char *user, const char *like);
/* Rooms came, left or became encrypted. */
void secrecy_changed(struct matrix *m);

#endif
