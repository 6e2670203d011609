#include "plugin/chat/quote.h"

#include <string.h>

#define BLANKS " \t\n"
#define MARK "> "
#define CUT_MARK "…\n"

static void trim(const char **s, size_t *len)
{
    while (*len > 0 && strchr(BLANKS, **s)) {
        (*s)++;
        (*len)--;
    }
    while (*len > 0 && strchr(BLANKS, (*s)[*len - 1]))
        (*len)--;
}

/* Leaves its end, from the beginning of a character on. */
static bool cut(const char **s, size_t *len)
{
    if (*len <= QUOTE_THOUGHT_BYTES_MAX)
        return false;
    *s += *len - QUOTE_THOUGHT_BYTES_MAX;
    *len = QUOTE_THOUGHT_BYTES_MAX;
    while (*len > 0 && ((unsigned char)**s & 0xC0) == 0x80) {
        (*s)++;
        (*len)--;
    }
    return true;
}

void quote_add(struct buf *out, const char *thought, size_t len)
{
    trim(&thought, &len);
    if (len == 0)
        return;
    buf_adds(out, MARK);
    if (cut(&thought, &len))
        buf_adds(out, CUT_MARK MARK);
    for (size_t i = 0; i < len; i++) {
        buf_addc(out, thought[i]);
        if (thought[i] == '\n')
            buf_adds(out, MARK);
    }
}

bool quote_view(struct buf *out, const struct buf *thought, const struct buf *text, bool keep)
{
    size_t before = out->len;
    if (keep || !text->len)
        quote_add(out, buf_str(thought), thought->len);
    bool quoted = out->len > before;
    if (quoted && text->len)
        buf_adds(out, "\n\n");
    buf_add(out, text->data, text->len);
    return quoted;
}

const char *quote_skip(const char *text)
{
    while (*text == *MARK) {
        const char *end = strchr(text, '\n');
        if (!end)
            return "";
        text = end + 1;
    }
    return *text == '\n' ? text + 1 : text;
}
