/* glob.h: what a channel rule's pattern covers. The matching itself is
 * config_glob() of config.h. */
#ifndef WARBLER_CONFIG_GLOB_H
#define WARBLER_CONFIG_GLOB_H

#include <stdbool.h>

/* The pattern matches the channel's name, or that name without its thread: a
 * rule for a chat holds in the chat's threads too. */
bool glob_matches_channel(const char *pattern, const char *channel);

/* ... any of these names, which end with NULL. */
bool glob_matches_any(const char *pattern, const char *const *names);

/* True only if every channel that `later` matches is matched by `earlier`.
 * False where that is not easily said. */
bool glob_covers(const char *earlier, const char *later);

/* The pattern can match a channel of this account. */
bool glob_reaches_account(const char *pattern, const char *account);

#endif
