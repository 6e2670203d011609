/* cli_cell.h: text in the cells of a table, as wide as a terminal shows it. */
#ifndef WARBLER_CLI_CELL_H
#define WARBLER_CLI_CELL_H

#include "plugin/base/buf.h"

#define CELL_NO_LIMIT SIZE_MAX

/* Appends text as one line of at most `columns` columns, the last of which is
 * "…" if there was more. Blanks at the ends go, other control characters and
 * line breaks become blanks. */
void cell_put(struct buf *out, const char *text, size_t columns);
size_t cell_width(const struct buf *cell);

#endif
