/* read.h: fills C structs from libconfig's tree, as the tables of schema.h say.
 *
 * What is wrong goes to the list of problems and the setting keeps its
 * default, so that one run finds everything. */
#ifndef WARBLER_CONFIG_READ_H
#define WARBLER_CONFIG_READ_H

#include <libconfig.h>

#include "config/problem.h"
#include "config/schema.h"

#define LIST_ENTRIES_MAX 4096 /* of any list in the file */

struct reader {
    struct problems *problems;  /* NULL: only defaults are asked for, nothing can be wrong */
    const char *folder;         /* of the file; absolute, without ".." */
    struct strings *files;      /* gets what the file names to be read; NULL: nobody wants to know */
    const struct setting *root; /* the whole file's table, to say where a misplaced setting belongs */
    struct place group;         /* private: the group being read */
};

/* group may be NULL: all defaults. out is zeroed storage. */
void read_group(struct reader *r, const config_setting_t *group, const struct setting *table, void *out);

/* Each member of group that is in none of the tables is an error. more may be NULL. */
void read_unknown(struct reader *r, const config_setting_t *group, const struct setting *table,
                  const struct setting *more);

/* "X is missing", with an example. */
void read_missing(struct problems *problems, struct place where, const struct setting *s);

struct place read_place(const config_setting_t *setting);

/* The place of group's member name, or of group itself if it has none. */
struct place read_place_of(const config_setting_t *group, const char *name);

#endif
