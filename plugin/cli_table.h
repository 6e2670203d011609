/* cli_table.h: a table for people to read: columns as wide as a terminal shows
 * their widest cell, whatever the script. */
#ifndef WARBLER_CLI_TABLE_H
#define WARBLER_CLI_TABLE_H

#include "plugin/base/buf.h"

#define TABLE_CELL_BYTES_MAX (1024U * 1024)

struct table {
    size_t columns;
    unsigned right;    /* bit i: column i ends at the same place in each row, as numbers do */
    struct buf *cells; /* private, as all below; row by row */
    size_t n, cap;
};

/* The next cell, to be filled by cell_put() or as a buffer; until the next call. */
struct buf *table_cell(struct table *t);
void table_print(const struct table *t); /* on standard output */
void table_fini(struct table *t);        /* legal on a table without cells */

#endif
