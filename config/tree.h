/* tree.h: a file of libconfig syntax into libconfig's tree. */
#ifndef WARBLER_CONFIG_TREE_H
#define WARBLER_CONFIG_TREE_H

#include <libconfig.h>

#include "config/problem.h"
#include "config/schema.h"

#define TREE_FILE_BYTES_MAX (1u << 20) /* a megabyte */

/* Reads file into the initialised tree. folder is where @include looks. files
 * gets what was read. False if there is no usable tree; the problems say why, in
 * plain words. */
bool tree_read(config_t *tree, const char *file, const char *folder, struct strings *files, struct problems *problems);

#endif
