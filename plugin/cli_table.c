#include "plugin/cli_table.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "plugin/base/mem.h"
#include "plugin/cli_cell.h"

#define GAP_COLUMNS 2

struct buf *table_cell(struct table *t)
{
    if (t->n == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 64;
        t->cells = mem_resize(t->cells, t->cap, sizeof *t->cells);
    }
    struct buf *cell = &t->cells[t->n++];
    buf_init(cell, TABLE_CELL_BYTES_MAX);
    return cell;
}

static size_t width_of(const struct table *t, size_t column)
{
    size_t widest = 0;
    for (size_t i = column; i < t->n; i += t->columns) {
        size_t width = cell_width(&t->cells[i]);
        widest = width > widest ? width : widest;
    }
    return widest;
}

static void print_cell(const struct buf *cell, size_t width, bool right, bool last)
{
    int room = (int)(width - cell_width(cell));
    if (right)
        printf("%*s%s", room, "", buf_str(cell));
    else
        printf("%s%*s", buf_str(cell), last ? 0 : room, "");
    printf("%*s", last ? 0 : GAP_COLUMNS, "");
}

/* No blanks behind the last cell that has something. */
static void print_row(const struct table *t, const struct buf *row, const size_t *width)
{
    size_t last = t->columns - 1;
    while (last && !row[last].len)
        last--;
    for (size_t k = 0; k <= last; k++)
        print_cell(&row[k], width[k], t->right >> k & 1, k == last);
    putchar('\n');
}

void table_print(const struct table *t)
{
    size_t *width = mem_array(t->columns, sizeof *width);
    for (size_t k = 0; k < t->columns; k++)
        width[k] = width_of(t, k);
    for (size_t i = 0; i + t->columns <= t->n; i += t->columns)
        print_row(t, &t->cells[i], width);
    free(width);
}

void table_fini(struct table *t)
{
    for (size_t i = 0; i < t->n; i++)
        buf_free(&t->cells[i]);
    free(t->cells);
    t->cells = NULL;
    t->n = t->cap = 0;
}
