/* invite.h: coming into rooms and leaving them: invitations that the account's
 * `invite` allows are accepted and all others declined, a room that was replaced
 * is followed, an empty one is left if so configured. Client-server API: "Room
 * membership", "Room Upgrades". */
#ifndef WARBLER_MATRIX_INVITE_H
#define WARBLER_MATRIX_INVITE_H

#include <cjson/cJSON.h>

#define INVITES_RUNNING_MAX 8   /* rooms that are joined or left at once; the others wait in line */
#define INVITE_TRIES 5
#define INVITE_PAUSE_MS 2000    /* after a try that failed; doubles */
#define INVITE_JOIN_MS 120000   /* a join of a large room takes other servers long */

struct matrix;
struct room;

/* An invitation; state: what the server tells of the room with it, array of
 * stripped events, among them ours. */
void invite_heard(struct matrix *m, const char *room, const cJSON *state);
/* Follows each room that says where it goes on, once. */
void invite_follow_all(struct matrix *m);
/* Who is there changed. */
void invite_look_around(struct matrix *m, struct room *r);
void invite_free_all(struct matrix *m);

#endif
