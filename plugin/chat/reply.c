#include "plugin/chat/reply.h"

#include <stdbool.h>
#include <string.h>

#include "plugin/base/buf.h"
#include "plugin/base/utf8.h"

#define FENCE_LINE_BYTES_MAX 24U /* of an opening line that is repeated; a longer one is repeated without its label */
#define FENCE_CLOSE "\n```"
#define MORE "…"

struct fence {
    bool open;
    char line[FENCE_LINE_BYTES_MAX + 1];
};

/* Bytes of the longest front of text that has at most limit units. */
static size_t fit(const char *text, size_t len, size_t limit, enum text_unit unit)
{
    if (unit == UNIT_BYTES)
        return len <= limit ? len : utf8_cut(text, len, limit);
    size_t i = 0;
    while (i < len && limit--)
        utf8_next(text, len, &i);
    return i == len ? len : utf8_cut(text, len, i);
}

static bool ends_sentence(const char *text, size_t at)
{
    static const char *const wide[] = { "。", "！", "？", "；" };
    for (size_t i = 0; i < sizeof(wide) / sizeof(wide[0]); i++)
        if (at >= 3 && memcmp(text + at - 3, wide[i], 3) == 0)
            return true;
    return at >= 2 && text[at - 1] == ' ' && strchr(".!?;:", text[at - 2]);
}

/* A border in the first half of what fits would waste too much of a message. */
static size_t best_border(const char *text, size_t max)
{
    size_t line = 0, sentence = 0, word = 0, floor = max / 2;
    for (size_t at = max; at > floor; at--) {
        if (at >= 2 && text[at - 1] == '\n' && text[at - 2] == '\n')
            return at;
        if (!line && text[at - 1] == '\n')
            line = at;
        if (!sentence && ends_sentence(text, at))
            sentence = at;
        if (!word && text[at - 1] == ' ')
            word = at;
    }
    return line ? line : sentence ? sentence : word ? word : max;
}

static void follow_fences(struct fence *f, const char *text, size_t len)
{
    for (size_t at = 0; at < len;) {
        const char *eol = memchr(text + at, '\n', len - at);
        size_t n = eol ? (size_t)(eol - text) - at : len - at;
        if (n >= 3 && memcmp(text + at, "```", 3) == 0) {
            f->open = !f->open;
            size_t keep = n <= FENCE_LINE_BYTES_MAX ? n : 3;
            memcpy(f->line, text + at, keep);
            f->line[keep] = '\0';
        }
        at += n + 1;
    }
}

static size_t trimmed(const char *text, size_t len)
{
    while (len && (text[len - 1] == '\n' || text[len - 1] == ' '))
        len--;
    return len;
}

size_t reply_split(const char *text, size_t len, size_t limit, enum text_unit unit,
                   void (*fn)(void *arg, const char *part, size_t len), void *arg)
{
    struct fence fence = { .open = false };
    size_t parts = 0, spare = strlen(FENCE_CLOSE) + strlen(MORE);
    if (limit && limit < REPLY_LIMIT_MIN)
        limit = REPLY_LIMIT_MIN;
    while (len) {
        struct buf part;
        buf_init(&part, SIZE_MAX / 2);
        if (fence.open)
            buf_addf(&part, "%s\n", fence.line);
        size_t room = limit ? limit - part.len - spare : len;
        size_t n = fit(text, len, room, unit);
        if (n < len)
            n = best_border(text, n);
        if (n == 0) /* one grapheme longer than a whole message: nobody can read it, cut it by code points */
            utf8_next(text, len, &n);
        follow_fences(&fence, text, n);
        buf_add(&part, text, trimmed(text, n));
        text += n;
        len -= n;
        if (fence.open && len)
            buf_adds(&part, FENCE_CLOSE);
        if (++parts == REPLY_PARTS_MAX && len) {
            buf_adds(&part, MORE);
            len = 0;
        }
        fn(arg, buf_str(&part), part.len);
        buf_free(&part);
    }
    return parts;
}
