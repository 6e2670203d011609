#include "plugin/model/layout.h"

#include <string.h>

/* A conversation that begins with an answer gets this before it. */
#define FIRST_USER_MESSAGE "…"

struct span {
    const char *s; /* NULL: not there */
    size_t len;
};

struct message {
    struct span raw;
    struct span role, name, content; /* without quotes, still escaped; raw only, if role is not there */
};

struct cursor {
    const char *at, *end;
};

/* --- reading --- */

static bool skip(struct cursor *c, const char *text)
{
    size_t len = strlen(text);
    if ((size_t)(c->end - c->at) < len || memcmp(c->at, text, len) != 0)
        return false;
    c->at += len;
    return true;
}

/* Up to the quote that ends a string; at stands behind the one that begins it. */
static bool read_string(struct cursor *c, struct span *s)
{
    const char *quote = c->at;
    while ((quote = memchr(quote, '"', (size_t)(c->end - quote))) != NULL) {
        const char *back = quote;
        while (back > c->at && back[-1] == '\\')
            back--;
        if ((quote - back) % 2 == 0) {
            *s = (struct span){c->at, (size_t)(quote - c->at)};
            c->at = quote + 1;
            return true;
        }
        quote++;
    }
    return false;
}

/* {"role":"…","name":"…","content":"…"} */
static bool read_known(struct cursor *c, struct message *m)
{
    return skip(c, "{\"role\":\"") && read_string(c, &m->role) &&
           (!skip(c, ",\"name\":\"") || read_string(c, &m->name)) && skip(c, ",\"content\":\"") &&
           read_string(c, &m->content) && skip(c, "}");
}

/* Any JSON value that something follows. */
static void skip_value(struct cursor *c)
{
    struct span string;
    int depth = 0;
    while (c->at < c->end) {
        char ch = *c->at;
        if (depth == 0 && (ch == ',' || ch == ']'))
            return;
        depth += (ch == '{' || ch == '[') - (ch == '}' || ch == ']');
        c->at++;
        if (ch == '"' && !read_string(c, &string))
            c->at = c->end;
    }
}

static bool next(struct cursor *c, struct message *m)
{
    while (c->at < c->end && strchr(" \t\r\n[,", *c->at))
        c->at++;
    if (c->at == c->end || *c->at == ']')
        return false;
    const char *begin = c->at;
    *m = (struct message){.raw = {NULL, 0}};
    if (!read_known(c, m)) {
        *m = (struct message){.raw = {NULL, 0}};
        c->at = begin;
        skip_value(c);
    }
    m->raw = (struct span){begin, (size_t)(c->at - begin)};
    return true;
}

static struct cursor over(const char *array, size_t len)
{
    return (struct cursor){array, array + len};
}

static bool same(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || (a.s && b.s && memcmp(a.s, b.s, a.len) == 0));
}

/* --- writing --- */

struct writer {
    struct buf *out;
    const struct layout *l;
    size_t begin;
    struct span last; /* role of the message that was written last, if more may be joined to it */
};

static const char message_end[] = "\"}";

static struct span text(const char *s)
{
    return (struct span){s, strlen(s)};
}

static void separate(struct writer *w)
{
    if (w->out->len > w->begin)
        buf_addc(w->out, ',');
    w->last.s = NULL;
}

static void write_message(struct writer *w, struct span role, struct span name, struct span content)
{
    separate(w);
    buf_adds(w->out, "{\"role\":\"");
    buf_add(w->out, role.s, role.len);
    if (name.s) {
        buf_adds(w->out, "\",\"name\":\"");
        buf_add(w->out, name.s, name.len);
    }
    buf_adds(w->out, "\",\"content\":\"");
    buf_add(w->out, content.s, content.len);
    buf_adds(w->out, message_end);
    w->last = role;
}

static void copy_message(struct writer *w, const struct message *m)
{
    separate(w);
    buf_add(w->out, m->raw.s, m->raw.len);
    w->last = m->role;
}

static void join_message(struct writer *w, const struct message *m)
{
    buf_cut(w->out, w->out->len - strlen(message_end));
    buf_adds(w->out, "\\n");
    buf_add(w->out, m->content.s, m->content.len);
    buf_adds(w->out, message_end);
}

/* The speaker of m and of everything that will be joined to it. */
static struct span common_name(const struct writer *w, const struct message *m, struct cursor rest)
{
    struct message follower;
    struct span none = {NULL, 0};
    if (!w->l->names)
        return none;
    while (w->l->merge && next(&rest, &follower) && follower.role.s && same(follower.role, m->role))
        if (!same(follower.name, m->name))
            return none;
    return m->name;
}

static void add_message(struct writer *w, const struct message *m, struct cursor rest)
{
    if (m->role.s && w->l->merge && w->last.s && same(w->last, m->role))
        join_message(w, m);
    else if (!m->name.s)
        copy_message(w, m);
    else
        write_message(w, m->role, common_name(w, m, rest), m->content);
}

static void add_system(struct writer *w)
{
    static const char *const names[] = {"system", "developer", "user"};
    if (*w->l->system)
        write_message(w, text(names[w->l->role]), (struct span){NULL, 0}, text(w->l->system));
}

static void begin_with_person(struct writer *w, const struct message *first)
{
    bool answer = first->role.s && same(first->role, text("assistant"));
    if (!w->l->merge || !answer || (w->last.s && same(w->last, text("user"))))
        return;
    write_message(w, text("user"), (struct span){NULL, 0}, text(FIRST_USER_MESSAGE));
}

static void add_all(struct writer *w, struct cursor c, bool first)
{
    for (struct message m; next(&c, &m); first = false) {
        if (first)
            begin_with_person(w, &m);
        add_message(w, &m, c);
    }
}

enum err_code layout_write(struct buf *out, const struct layout *l)
{
    buf_addc(out, '[');
    struct writer w = {.out = out, .l = l, .begin = out->len};
    add_system(&w);
    add_all(&w, over(l->messages, l->messages_len), true);
    if (l->more)
        add_all(&w, over(l->more, strlen(l->more)), false);
    return buf_addc(out, ']');
}
