#include "adapters/matrix/mention.h"

#include <string.h>

#include "plugin/base/buf.h"
#include "plugin/base/json.h"
#include "plugin/base/utf8.h"

#define FOLD_GROWTH 18U /* bytes that folding makes of one, at most */

/* --- by identifier --- */

static bool listed(const cJSON *mentions, const char *user)
{
    const cJSON *users = json_get(mentions, "user_ids"), *item = NULL;
    if (!cJSON_IsArray(users))
        return false;
    cJSON_ArrayForEach(item, users) {
        const char *id = cJSON_GetStringValue(item);
        if (id && strcmp(id, user) == 0)
            return true;
    }
    return false;
}

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One character of an identifier, which links may write as %XX. */
static char unescaped(const char **s)
{
    int high = **s == '%' ? hex((*s)[1]) : -1, low = high >= 0 ? hex((*s)[2]) : -1;
    if (low < 0)
        return *(*s)++;
    *s += 3;
    return (char)(high << 4 | low);
}

/* Does the identifier stand at s, and end there? A full stop behind it may end
 * a sentence; one before a letter goes on with the server's name. */
static bool id_at(const char *s, const char *id)
{
    for (; *id; id++)
        if (!*s || unescaped(&s) != *id)
            return false;
    if (*s == '.' || *s == ':' || *s == '-')
        s++;
    return !is_alnum(*s) && *s != '%';
}

static bool any_at(const char *text, const char *front, const char *id)
{
    size_t n = strlen(front);
    for (const char *at = text; *at && (at = strstr(at, front)); at++)
        if (id_at(at + n, id))
            return true;
    return false;
}

static bool linked(const char *text, const char *user)
{
    return any_at(text, "matrix.to/#/", user) || any_at(text, "matrix:u/", user + 1);
}

/* Behind what a reply quotes: the links in it are of whom it answers. */
static const char *own_html(const cJSON *content)
{
    static const char end[] = "</mx-reply>";
    const char *html = json_str(content, "formatted_body");
    if (!html || !strstr(html, "<mx-reply"))
        return html;
    html = strstr(html, end);
    return html ? html + strlen(end) : NULL;
}

/* --- by name --- */

static bool in_word(const char *text, size_t len, size_t at)
{
    return at < len && utf8_in_word(utf8_next(text, len, &at));
}

static bool in_word_before(const char *text, size_t len, size_t at)
{
    if (at == 0)
        return false;
    do
        at--;
    while (at > 0 && ((unsigned char)text[at] & 0xC0) == 0x80);
    return in_word(text, len, at);
}

static bool starts(const char *text, const char *front)
{
    return strncmp(text, front, strlen(front)) == 0;
}

/* "@name:server" is somebody's identifier, and was compared as a whole. */
static bool goes_on(const char *end)
{
    return *end == ':' && is_alnum(end[1]);
}

/* "Name: …", as people have called each other since IRC. */
static bool calls(const char *text, const char *name)
{
    text += strspn(text, " \t\n");
    bool marked = *text == '@';
    if (!starts(text + marked, name))
        return false;
    text += marked + strlen(name);
    return (*text == ':' || *text == ',') && !(marked && goes_on(text)); /* folding makes these of the wide ones */
}

static bool named_in(const struct buf *text, const char *name, bool bare)
{
    const char *start = buf_str(text);
    size_t n = strlen(name);
    for (const char *at = start; (at = strstr(at, name)); at++) {
        size_t from = (size_t)(at - start);
        bool marked = from > 0 && at[-1] == '@';
        if (marked ? goes_on(at + n) : !bare)
            continue;
        if (!in_word(start, text->len, from + n) && !in_word_before(start, text->len, from - marked))
            return true;
    }
    return false;
}

static bool named(const struct buf *folded, const char *name, size_t len, bool asked)
{
    struct buf want;
    buf_init(&want, FOLD_GROWTH * EVENT_ID_BYTES_MAX);
    utf8_fold(&want, name, len);
    bool bare = !asked && utf8_points(buf_str(&want), want.len) > 1; /* one letter is in every text */
    bool found = want.len > 0 && (calls(buf_str(folded), want.data) || named_in(folded, want.data, bare));
    buf_free(&want);
    return found;
}

static bool called(const struct event *ev, const char *user, const char *name, bool asked)
{
    struct buf folded;
    size_t localpart = strcspn(user + 1, ":");
    buf_init(&folded, FOLD_GROWTH * (size_t)MENTION_TEXT_BYTES_MAX);
    utf8_fold(&folded, ev->text, utf8_cut(ev->text, ev->len, MENTION_TEXT_BYTES_MAX));
    bool found = (name && named(&folded, name, strlen(name), asked)) || named(&folded, user + 1, localpart, asked);
    buf_free(&folded);
    return found;
}

bool mention_of(const struct event *ev, const char *user, const char *name)
{
    const cJSON *mentions = json_get(ev->content, "m.mentions");
    const char *html = own_html(ev->content);
    return listed(mentions, user) || linked(ev->text, user) || (html && linked(html, user)) ||
           any_at(ev->text, "@", user + 1) || called(ev, user, name, mentions != NULL);
}
