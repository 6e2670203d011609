#include "plugin/chat/prompt.h"

#include <string.h>

#include "plugin/base/json.h"

static const char *variable(const char *at, size_t *len_r, const struct prompt_vars *v)
{
    const struct {
        const char *name, *value;
    } table[] = {
        { "{date}", v->date },
        { "{channel}", v->channel },
        { "{bot}", v->bot },
        { "{language}", v->language },
        { "{{", "{" },
        { "}}", "}" },
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        *len_r = strlen(table[i].name);
        if (strncmp(at, table[i].name, *len_r) == 0)
            return table[i].value;
    }
    return NULL;
}

enum err_code prompt_expand(struct buf *out, const char *text, const struct prompt_vars *vars)
{
    while (*text) {
        size_t len = strcspn(text, "{}");
        buf_add(out, text, len);
        text += len;
        if (!*text)
            break;
        const char *value = variable(text, &len, vars);
        if (value) {
            buf_adds(out, value);
            text += len;
        } else {
            buf_addc(out, *text++);
        }
    }
    return buf_error(out);
}

static bool in_prompt(const struct entry *e, int64_t lead)
{
    if (e->kind == STORE_PERSON && e->turn && e->turn == lead)
        return true;
    return !e->pending && !e->noticed;
}

enum err_code prompt_build(struct buf *out, const struct history *h, const struct entry *from, int64_t lead,
                           size_t *tokens_r)
{
    *tokens_r = 0;
    buf_addc(out, '[');
    enum store_kind open = 0; /* the role of the message that is not closed yet */
    for (const struct entry *e = from ? from : h->head; e; e = e->next) {
        if (e->kind == STORE_PERSON ? e->seq > lead : e->turn >= lead)
            break;
        if (!in_prompt(e, lead))
            continue;
        if (e->kind == open) {
            buf_adds(out, "\\n");
        } else {
            buf_adds(out, open ? "\"}," : "");
            buf_addf(out, "{\"role\":\"%s\",\"content\":\"", e->kind == STORE_PERSON ? "user" : "assistant");
            open = e->kind;
        }
        buf_add(out, e->json, e->len);
        *tokens_r += e->tokens;
    }
    buf_adds(out, open ? "\"}]" : "]");
    return buf_error(out);
}
