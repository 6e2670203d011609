/* mention.h: does a message speak to the bot? Pure. Client-server API: "User
 * and room mentions", "Matrix URIs", "Default Underride Rules". */
#ifndef WARBLER_MATRIX_MENTION_H
#define WARBLER_MATRIX_MENTION_H

#include <stdbool.h>

#include "adapters/matrix/event.h"

#define MENTION_TEXT_BYTES_MAX (16U * 1024) /* names are looked for in this much of a text, links in all of it */

/* True if the message means this user: by m.mentions, by a link (matrix.to or
 * matrix:), by id, by display name (NULL: none) or localpart. Whoever's client
 * writes m.mentions was asked whom they mean, so there a bare name counts only
 * with an @ or at the very front, as in "Name: …". Names are compared
 * case-folded, and as whole words where the script has such. */
bool mention_of(const struct event *ev, const char *user, const char *name);

#endif
