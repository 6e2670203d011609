#include "plugin/model/structured.h"

#include <string.h>

#include "plugin/model/completion.h"
#include "plugin/model/schema_check.h"

#define OPENINGS_MAX 16               /* braces at which a value is looked for */
#define MORE_BYTES_MAX (2U * 1024 * 1024) /* an answer of COMPLETION_TEXT_BYTES_MAX, all of it escaped */

static bool is_word(const char *format, const char *word)
{
    return strcmp(format, word) == 0;
}

/* The type that is asked for; tree: the parsed setting, NULL if it is a word. */
static const char *type_of(const struct model_conf *conf, const cJSON *tree)
{
    const char *type = tree ? json_str(tree, "type") : conf->response_format;
    return type ? type : "text";
}

static cJSON *parsed(const struct model_conf *conf)
{
    const char *format = conf->response_format;
    return *format == '{' ? json_parse(format, strlen(format)) : NULL;
}

static const cJSON *schema_of(const cJSON *tree)
{
    return json_get(json_get(tree, "json_schema"), "schema");
}

bool structured_wanted(const struct model_conf *conf)
{
    if (!conf->response_format || !*conf->response_format)
        return false;
    cJSON *tree = parsed(conf);
    bool wanted = !is_word(type_of(conf, tree), "text");
    cJSON_Delete(tree);
    return wanted;
}

void structured_init(struct structured *s, const struct model_conf *conf, enum quirk_format learned)
{
    *s = (struct structured){.conf = conf, .format = learned, .root = parsed(conf)};
    s->schema = schema_of(s->root);
    if (conf->api == MODEL_API_COMPLETIONS)
        s->format = FORMAT_NONE;
    buf_init(&s->more, MORE_BYTES_MAX);
    buf_init(&s->text, COMPLETION_TEXT_BYTES_MAX);
}

void structured_fini(struct structured *s)
{
    cJSON_Delete(s->root);
    buf_free(&s->more);
    buf_free(&s->text);
    s->root = NULL;
    s->schema = NULL;
}

/* --- finding the value --- */

/* Behind the bracket that closes the one at s; NULL: none does. */
static const char *matching(const char *s, const char *end)
{
    int depth = 0;
    bool inside = false;
    for (; s < end; s++) {
        if (inside) {
            inside = *s != '"';
            s += *s == '\\';
        } else if (*s == '"') {
            inside = true;
        } else if (*s == '{' || *s == '[') {
            depth++;
        } else if ((*s == '}' || *s == ']') && --depth == 0) {
            return s + 1;
        }
    }
    return NULL;
}

static cJSON *value_at(const char *begin, const char *end, const char **begin_r, size_t *len_r)
{
    cJSON *value = json_parse(begin, (size_t)(end - begin));
    if (value) {
        *begin_r = begin;
        *len_r = (size_t)(end - begin);
    }
    return value;
}

cJSON *structured_extract(const char *text, size_t len, const char **begin_r, size_t *len_r)
{
    const char *end = text + len, *at = text;
    while (at < end && strchr(" \t\r\n", *at))
        at++;
    while (end > at && strchr(" \t\r\n", end[-1]))
        end--;
    cJSON *value = value_at(at, end, begin_r, len_r);
    for (int i = 0; !value && i < OPENINGS_MAX; i++, at++) {
        at = memchr(at, '{', (size_t)(end - at));
        if (!at)
            return NULL;
        const char *close = matching(at, end);
        if (close)
            value = value_at(at, close, begin_r, len_r);
    }
    return value;
}

/* --- judging --- */

static bool fits(const struct structured *s, const cJSON *value, struct buf *complaint)
{
    if (s->schema)
        return schema_fits(s->schema, value, complaint);
    if (cJSON_IsObject(value))
        return true;
    buf_adds(complaint, "the value must be of type \"object\"");
    return false;
}

/* The wrong answer, and what is wrong with it. */
static void answer_back(struct structured *s, const char *answer, size_t len, const char *complaint)
{
    buf_adds(&s->more, "[{\"role\":\"assistant\",\"content\":\"");
    json_escape(&s->more, answer, len);
    buf_adds(&s->more, "\"},{\"role\":\"user\",\"content\":\"");
    json_escape(&s->more, complaint, strlen(complaint));
    buf_adds(&s->more, "\"}]");
}

static enum structured_verdict step_down(struct structured *s)
{
    bool object = !s->schema; /* then the middle rung is the first */
    s->complained = false;
    if (s->format == FORMAT_NONE)
        return STRUCTURED_BAD;
    s->format = s->format == FORMAT_CONFIGURED && !object ? FORMAT_JSON_OBJECT : FORMAT_NONE;
    return STRUCTURED_AGAIN;
}

enum structured_verdict structured_judge(struct structured *s, const char *answer, size_t len)
{
    struct buf complaint;
    const char *begin;
    size_t n;
    bool good = false;
    cJSON *value = structured_extract(answer, len, &begin, &n);
    buf_init(&complaint, SCHEMA_COMPLAINT_BYTES + 256);
    buf_adds(&complaint, "That is not what was asked for: ");
    if (value) {
        struct buf what;
        buf_init(&what, SCHEMA_COMPLAINT_BYTES);
        good = fits(s, value, &what);
        buf_adds(&complaint, buf_str(&what));
        buf_free(&what);
    } else {
        buf_adds(&complaint, "there is no complete JSON value in it");
    }
    buf_adds(&complaint, ". Answer again, with the corrected JSON and nothing else.");
    cJSON_Delete(value);
    buf_reset(&s->more);
    enum structured_verdict verdict = STRUCTURED_GOOD;
    if (good) {
        buf_add(&s->text, begin, n);
    } else if (s->complained) {
        verdict = step_down(s);
    } else {
        answer_back(s, answer, len, buf_str(&complaint));
        s->complained = true;
        verdict = STRUCTURED_AGAIN;
    }
    buf_free(&complaint);
    return verdict;
}

/* --- in words --- */

void structured_instruct(struct buf *out, const struct model_conf *conf, enum quirk_format format)
{
    static const char any[] = "Answer with one JSON object and nothing else: no explanation, no code fence.";
    static const char form[] = "Answer with one JSON value that conforms to the following JSON Schema and nothing else: "
                               "no explanation, no code fence.\\n";
    cJSON *tree = parsed(conf);
    const cJSON *schema = schema_of(tree);
    bool said = format == FORMAT_CONFIGURED && is_word(type_of(conf, tree), "json_schema");
    if (!said && out->len > 0)
        buf_adds(out, "\\n\\n");
    if (!said && schema) {
        char *text = cJSON_PrintUnformatted(schema);
        buf_adds(out, form);
        json_escape(out, text ? text : "", text ? strlen(text) : 0);
        cJSON_free(text);
    } else if (!said) {
        buf_adds(out, any);
    }
    cJSON_Delete(tree);
}
