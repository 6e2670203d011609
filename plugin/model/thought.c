#include "plugin/model/thought.h"

#include <string.h>

#include "plugin/base/utf8.h"

#define OVERHANG_BYTES 16U   /* no character is longer, so what a cut through one leaves is cut off again */
#define TAKEN_BYTES_MAX (16U * 1024 * 1024) /* of one message, before it is cut */

void thought_init(struct thought *t)
{
    *t = (struct thought){.shown = 0};
    /* U+FFFD is longer than the byte for which it stands. */
    buf_init(&t->piece, 3 * (THOUGHT_BYTES_MAX + OVERHANG_BYTES));
    buf_init(&t->text, THOUGHT_BYTES_MAX + t->piece.max);
}

void thought_fini(struct thought *t)
{
    buf_free(&t->text);
    buf_free(&t->piece);
}

void thought_add(struct thought *t, const char *wtf8, size_t len)
{
    size_t room = THOUGHT_BYTES_MAX > t->text.len ? THOUGHT_BYTES_MAX - t->text.len : 0;
    if (!t->kept || len == 0 || room == 0)
        return;
    buf_reset(&t->piece);
    json_join(&t->piece, &t->pending, wtf8, len < room + OVERHANG_BYTES ? len : room + OVERHANG_BYTES);
    /* A CR at the end would become a line break, and its LF in the next piece another. */
    size_t n = t->piece.len;
    while (n > 0 && t->piece.data[n - 1] == '\r')
        n--;
    utf8_clean(&t->text, buf_str(&t->piece), n);
    if (t->text.len <= THOUGHT_BYTES_MAX)
        return;
    size_t cut = utf8_cut(t->text.data, t->text.len, THOUGHT_BYTES_MAX);
    buf_cut(&t->text, cut > t->shown ? cut : t->shown);
    t->kept = false;
}

/* --- spellings --- */

static void add_string(struct buf *out, const cJSON *value)
{
    if (cJSON_IsString(value))
        buf_adds(out, value->valuestring);
}

/* OpenRouter: [{"type":"reasoning.text","text":…},{"type":"reasoning.summary","summary":…}]; what is encrypted has neither. */
static void add_details(struct buf *out, const cJSON *details)
{
    const cJSON *detail;
    if (!cJSON_IsArray(details))
        return;
    cJSON_ArrayForEach(detail, details) {
        const cJSON *text = json_get(detail, "text");
        add_string(out, text ? text : json_get(detail, "summary"));
    }
}

/* Mistral: {"type":"thinking","thinking":"…" or [{"type":"text","text":…}]}. */
static void add_parts(struct buf *out, const cJSON *content)
{
    const cJSON *part, *inner;
    if (!cJSON_IsArray(content))
        return;
    cJSON_ArrayForEach(part, content) {
        const char *type = json_str(part, "type");
        const cJSON *thinking = json_get(part, "thinking");
        if (!type || (strcmp(type, "thinking") != 0 && strcmp(type, "reasoning") != 0))
            continue;
        add_string(out, thinking ? thinking : json_get(part, "text"));
        if (cJSON_IsArray(thinking))
            cJSON_ArrayForEach(inner, thinking)
                add_string(out, json_get(inner, "text"));
    }
}

/* Servers send the same text under two names: only one counts. */
static void flatten(struct buf *out, const cJSON *message)
{
    add_string(out, json_get(message, "reasoning_content"));
    if (out->len == 0)
        add_string(out, json_get(message, "reasoning"));
    if (out->len == 0)
        add_details(out, json_get(message, "reasoning_details"));
    if (out->len == 0)
        add_parts(out, json_get(message, "content"));
}

void thought_take(struct thought *t, const cJSON *message, bool whole)
{
    struct buf taken;
    if (!t->kept)
        return;
    buf_init(&taken, TAKEN_BYTES_MAX);
    flatten(&taken, message);
    size_t known = whole && t->seen_bytes < taken.len ? t->seen_bytes : whole ? taken.len : 0;
    t->seen_bytes += taken.len - known;
    thought_add(t, buf_str(&taken) + known, taken.len - known);
    buf_free(&taken);
}

const char *thought_show(struct thought *t, size_t *len_r)
{
    size_t from = t->shown;
    *len_r = t->text.len - from;
    t->shown = t->text.len;
    return buf_str(&t->text) + from;
}
