#include "plugin/cli_cell.h"

#include <string.h>

#include "plugin/base/utf8.h"

#define MORE "…"
#define COLUMN_BYTES 32U /* looked at for each column: enough for a family of emoji */

/* Bytes of text that fit, at a border between characters as people see them. */
static size_t fitting(const struct buf *text, size_t columns)
{
    size_t n = utf8_cut(text->data, text->len, columns * COLUMN_BYTES);
    while (n && utf8_width(text->data, n) > columns)
        n = utf8_cut(text->data, text->len, n - 1);
    return n;
}

static void trim(struct buf *text)
{
    while (text->len && text->data[text->len - 1] == ' ')
        buf_cut(text, text->len - 1);
    buf_drop(text, strspn(buf_str(text), " "));
}

void cell_put(struct buf *out, const char *text, size_t columns)
{
    struct buf line;
    buf_init(&line, out->max);
    utf8_clean(&line, text, strlen(text));
    for (size_t i = 0; i < line.len; i++)
        if (line.data[i] == '\n' || line.data[i] == '\t')
            line.data[i] = ' ';
    trim(&line);
    if (utf8_width(buf_str(&line), line.len) <= columns) {
        buf_add(out, buf_str(&line), line.len);
    } else {
        buf_add(out, line.data, fitting(&line, columns - 1));
        buf_adds(out, MORE);
    }
    buf_free(&line);
}

size_t cell_width(const struct buf *cell)
{
    return utf8_width(buf_str(cell), cell->len);
}
