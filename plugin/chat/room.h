/* room.h: what a chat calls itself: for the rules of `channels`, which may match
 * any of its names, and for prompts. All of it was written by people: it is
 * cleaned and cut, and no more is believed of it. Pure. */
#ifndef WARBLER_CHAT_ROOM_H
#define WARBLER_CHAT_ROOM_H

#include <stdbool.h>

#include "plugin/adapter.h"
#include "plugin/store/store.h"

#define ROOM_NAME_BYTES_MAX 256U  /* of the name and of an alias */
#define ROOM_TOPIC_BYTES_MAX 1024U
#define ROOM_ALIASES_MAX 32U

/* Its texts are the caller's: room_fini(). */
void room_read(struct store_room *room, const struct chat_about *about);
void room_copy(struct store_room *to, const struct store_room *from);
bool room_equal(const struct store_room *a, const struct store_room *b);
void room_fini(struct store_room *room); /* legal on a zeroed one, which it is afterwards */

/* The full names of a channel: its own first, then those by its chat's name and
 * aliases; of a thread with the thread behind them. Ends with NULL. */
char **room_names(const char *channel, const struct store_room *room);
void room_names_free(char ***names); /* NULL-safe */

/* For people: its name, else an alias, else NULL. The result is the caller's. */
char *room_title(const struct store_room *room);

#endif
