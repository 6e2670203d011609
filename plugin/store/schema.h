/* schema.h: the tables, and how an older store becomes a current one.
 *
 * The version is the number of steps that made the file (PRAGMA user_version).
 * A released step is never changed; a new one is added behind it. */
#ifndef WARBLER_STORE_SCHEMA_H
#define WARBLER_STORE_SCHEMA_H

#include <stddef.h>

#include "plugin/base/err.h"

#define SCHEMA_APPLICATION_ID 1467114092 /* "Wrbl": tells our files from other programs' */

struct db;

extern const char *const schema_steps[]; /* SQL; step i leads from version i to i + 1 */
extern const size_t schema_n_steps;

/* ERR_VERSION: from a newer program. ERR_IO: not a store of ours, damaged. */
enum err_code schema_check(struct db *db, size_t n_steps, size_t *version_r, struct err *e);
/* Each step is a transaction of its own: an interrupted upgrade goes on next time. */
enum err_code schema_upgrade(struct db *db, const char *const *steps, size_t n_steps, struct err *e);

#endif
