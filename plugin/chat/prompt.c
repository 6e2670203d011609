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
        { "{room}", v->room },
        { "{topic}", v->topic },
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

void prompt_front(struct buf *out, const char *pins, const char *summary)
{
    if (pins)
        buf_addf(out, "[Pinned by the people of this conversation, to be remembered:\n%s]", pins);
    if (pins && summary)
        buf_addc(out, '\n');
    if (summary)
        buf_addf(out, "[Summary of the conversation so far: %s]", summary);
}

static void add_message(struct buf *out, const struct entry *e)
{
    bool person = e->kind == STORE_PERSON;
    if (e->name)
        buf_addf(out, "{\"role\":\"%s\",\"name\":\"%s\",\"content\":\"", person ? "user" : "assistant", e->name);
    else
        buf_adds(out, person ? "{\"role\":\"user\",\"content\":\"" : "{\"role\":\"assistant\",\"content\":\"");
    buf_add(out, e->json, e->len);
    buf_adds(out, "\"}");
}

enum err_code prompt_build(struct buf *out, const char *front, const struct history *h, const struct entry *from,
                           int64_t lead, size_t *tokens_r)
{
    *tokens_r = 0;
    buf_addc(out, '[');
    size_t begin = out->len;
    if (*front)
        buf_addf(out, "{\"role\":\"user\",\"content\":\"%s\"}", front);
    for (const struct entry *e = from ? from : h->head; e; e = e->next) {
        if (e->kind == STORE_PERSON ? e->seq > lead : e->turn >= lead)
            break;
        if (!in_prompt(e, lead))
            continue;
        if (out->len > begin)
            buf_addc(out, ',');
        add_message(out, e);
        *tokens_r += e->tokens;
    }
    return buf_addc(out, ']');
}

/* Compares what will be sent, so that whatever else finds its way in there counts. */
bool prompt_is_only(const struct buf *messages, const struct entry *question)
{
    static const char head[] = "[{\"role\":\"user\",\"content\":\"", tail[] = "\"}]";
    const size_t n_head = sizeof(head) - 1, n_tail = sizeof(tail) - 1;
    if (!question || question->name || messages->len != n_head + question->len + n_tail)
        return false;
    const char *at = messages->data;
    return memcmp(at, head, n_head) == 0 && memcmp(at + n_head, question->json, question->len) == 0 &&
           memcmp(at + n_head + question->len, tail, n_tail) == 0;
}
