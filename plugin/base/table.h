/* table.h: uthash.h, whose own answer to a refused allocation is exit() in the
 * midst of things. Here it is that of mem.h. */
#ifndef WARBLER_BASE_TABLE_H
#define WARBLER_BASE_TABLE_H

#include "plugin/base/mem.h"

#define uthash_malloc(size) mem_alloc(size)
#include <uthash.h>

#endif
