#include "plugin/model/chunk.h"

#include <string.h>

#define NUMBER_CHARS_MAX 20 /* cJSON takes a few more */

struct cursor {
    const char *at, *end;
};

enum kind { KIND_STRING, KIND_NUMBER, KIND_WORD, KIND_NULL };

struct value {
    enum kind kind;
    struct chunk_string text;
    bool escaped;
};

/* --- pieces of JSON --- */
static void skip_blanks(struct cursor *c)
{
    while (c->at < c->end && *c->at == ' ')
        c->at++;
}

static bool take(struct cursor *c, char ch)
{
    skip_blanks(c);
    if (c->at == c->end || *c->at != ch)
        return false;
    c->at++;
    return true;
}

/* Up to a quote, a backslash or a control character. */
static const char *plain_end(const char *s, const char *end)
{
    while (s < end && *s != '"' && *s != '\\' && (unsigned char)*s >= ' ')
        s++;
    return s;
}

/* Up to what cannot be in a string any more. */
static void skip_string(struct cursor *c, bool *escaped_r)
{
    for (;;) {
        c->at = plain_end(c->at, c->end);
        if (c->end - c->at < 2 || *c->at != '\\' || !c->at[1] || !strchr("\"\\/bfnrt", c->at[1]))
            return;
        *escaped_r = true;
        c->at += 2;
    }
}

/* Behind the quote that begins it. */
static bool take_string(struct cursor *c, struct value *v)
{
    const char *begin = c->at;
    v->kind = KIND_STRING;
    skip_string(c, &v->escaped);
    v->text = (struct chunk_string){begin, (size_t)(c->at - begin)};
    return take(c, '"');
}

static bool take_number(struct cursor *c, struct value *v)
{
    const char *begin = c->at;
    c->at += *c->at == '-';
    const char *digits = c->at;
    while (c->at < c->end && *c->at >= '0' && *c->at <= '9')
        c->at++;
    v->kind = KIND_NUMBER;
    v->text = (struct chunk_string){begin, (size_t)(c->at - begin)};
    return c->at > digits && v->text.len <= NUMBER_CHARS_MAX;
}

static bool take_word(struct cursor *c, struct value *v)
{
    static const struct {
        const char *word;
        enum kind kind;
    } words[] = {{"null", KIND_NULL}, {"false", KIND_WORD}, {"true", KIND_WORD}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t len = strlen(words[i].word);
        if ((size_t)(c->end - c->at) >= len && memcmp(c->at, words[i].word, len) == 0) {
            v->kind = words[i].kind;
            c->at += len;
            return true;
        }
    }
    return false;
}

/* A plain value, and no fraction: those are rare. */
static bool take_plain(struct cursor *c, struct value *v)
{
    skip_blanks(c);
    *v = (struct value){.kind = KIND_NULL, .text = {c->at, 0}};
    if (c->at == c->end)
        return false;
    if (take(c, '"'))
        return take_string(c, v);
    return *c->at == '-' || (*c->at >= '0' && *c->at <= '9') ? take_number(c, v) : take_word(c, v);
}

/* --- objects --- */
typedef bool member_fn(struct cursor *c, struct chunk_string key, struct chunk *out);

static bool take_object(struct cursor *c, member_fn *member, struct chunk *out)
{
    struct value key = {.kind = KIND_NULL};
    if (!take(c, '{'))
        return false;
    if (take(c, '}'))
        return true;
    do {
        if (!take(c, '"') || !take_string(c, &key) || key.escaped || !take(c, ':') || !member(c, key.text, out))
            return false;
    } while (take(c, ','));
    return take(c, '}');
}

static bool is(struct chunk_string s, const char *name)
{
    return s.len == strlen(name) && memcmp(s.s, name, s.len) == 0;
}

/* Of two members of one name the first would count, so there may be no second. */
static bool keep(struct chunk_string *s, const struct value *v, bool may_escape)
{
    bool first = !s->s;
    *s = v->text; /* nothing of a null, but its place */
    return first && (v->kind == KIND_NULL || (v->kind == KIND_STRING && (may_escape || !v->escaped)));
}

static bool delta_member(struct cursor *c, struct chunk_string key, struct chunk *out)
{
    struct value v;
    if (!take_plain(c, &v))
        return false;
    if (is(key, "content"))
        return keep(&out->content, &v, true);
    return v.kind == KIND_NULL || is(key, "role");
}

static bool choice_member(struct cursor *c, struct chunk_string key, struct chunk *out)
{
    struct value v;
    if (is(key, "delta"))
        return !out->deltas++ && take_object(c, delta_member, out);
    if (!take_plain(c, &v))
        return false;
    if (is(key, "finish_reason"))
        return keep(&out->finish, &v, false);
    if (is(key, "index"))
        return v.kind == KIND_NUMBER && is(v.text, "0");
    return v.kind == KIND_NULL;
}

static bool root_member(struct cursor *c, struct chunk_string key, struct chunk *out)
{
    struct value v;
    if (is(key, "choices"))
        return !out->lists++ && take(c, '[') && take_object(c, choice_member, out) && take(c, ']');
    if (!take_plain(c, &v))
        return false;
    if (is(key, "id"))
        return keep(&out->id, &v, false);
    if (is(key, "service_tier"))
        return keep(&out->service_tier, &v, false) && (v.kind == KIND_NULL || v.text.len > 0);
    return v.kind == KIND_NULL || !is(key, "error");
}

bool chunk_read(struct chunk *c, const char *text, size_t len)
{
    struct cursor cursor = {text, text + len};
    *c = (struct chunk){.lists = 0};
    if (!take_object(&cursor, root_member, c) || c->deltas == 0)
        return false;
    skip_blanks(&cursor);
    return cursor.at == cursor.end;
}

void chunk_cast(struct chunk_mold *m, const struct chunk *c, const char *text, size_t len)
{
    size_t around = len - c->content.len;
    bool quoted = c->content.s && c->content.s[-1] == '"'; /* no null */
    if (!quoted || c->finish.len > 0 || around > sizeof m->text)
        return;
    m->before = (size_t)(c->content.s - text);
    m->after = around - m->before;
    memcpy(m->text, text, m->before);
    memcpy(m->text + m->before, text + len - m->after, m->after);
}

bool chunk_fits(const struct chunk_mold *m, const char *text, size_t len, struct chunk *c)
{
    bool escaped = false;
    if (!m->before || len < m->before + m->after || memcmp(text, m->text, m->before) != 0 ||
        memcmp(text + len - m->after, m->text + m->before, m->after) != 0)
        return false;
    struct cursor content = {text + m->before, text + len - m->after};
    *c = (struct chunk){.content = {content.at, (size_t)(content.end - content.at)}};
    skip_string(&content, &escaped);
    return content.at == content.end;
}

static char unescaped(char c)
{
    static const char names[] = "bfnrt", values[] = "\b\f\n\r\t";
    const char *at = strchr(names, c);
    return at ? values[at - names] : c;
}

void chunk_content(const struct chunk *c, struct buf *out)
{
    struct chunk_string rest = c->content;
    while (rest.len > 0) {
        const char *slash = memchr(rest.s, '\\', rest.len);
        size_t plain = slash ? (size_t)(slash - rest.s) : rest.len;
        buf_add(out, rest.s, plain);
        if (slash)
            buf_addc(out, unescaped(slash[1]));
        plain += slash ? 2 : 0;
        rest.s += plain;
        rest.len -= plain;
    }
}
