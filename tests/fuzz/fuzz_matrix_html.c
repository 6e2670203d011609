/* Any bytes as Markdown: the HTML is read again by a small parser that knows
 * nothing of how it was made, only what Matrix allows; and whatever the text,
 * the content around it is one JSON object that is not too large. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "adapters/matrix/content.h"
#include "adapters/matrix/html.h"
#include "plugin/base/json.h"
#include "plugin/base/utf8.h"

#define CLIENT_DEPTH_MAX 100 /* of what the specification lets clients show */

static const char *const tags[] = {
    "p",  "h1",  "h2",   "h3",    "h4",    "h5", "h6", "blockquote", "ul", "ol",     "li",
    "em", "strong", "del", "code", "pre", "a",  "table", "thead", "tbody", "tr", "th", "td",
};
enum { TAGS = sizeof tags / sizeof tags[0] };

struct reader {
    const char *at, *end;
    int open[CLIENT_DEPTH_MAX]; /* indices in tags */
    size_t depth;
};

static bool take(struct reader *r, const char *s)
{
    size_t n = strlen(s);

    if ((size_t)(r->end - r->at) < n || memcmp(r->at, s, n) != 0)
        return false;
    r->at += n;
    return true;
}

static void must_take(struct reader *r, const char *s)
{
    bool taken = take(r, s);

    assert(taken);
}

static int tag_number(const char *name)
{
    for (int i = 0; i < TAGS; i++)
        if (strcmp(tags[i], name) == 0)
            return i;
    return -1;
}

static bool is_open(const struct reader *r, const char *name)
{
    for (size_t i = 0; i < r->depth; i++)
        if (r->open[i] == tag_number(name))
            return true;
    return false;
}

static bool within(const struct reader *r, const char *name)
{
    return r->depth > 0 && r->open[r->depth - 1] == tag_number(name);
}

/* The longest tag that stands here. */
static int take_name(struct reader *r)
{
    size_t n = strspn(r->at, "abcdefghijklmnopqrstuvwxyz123456");
    char name[16] = "";

    assert(n < sizeof name);
    memcpy(name, r->at, n);
    r->at += n;
    int tag = tag_number(name);
    assert(tag >= 0);
    return tag;
}

static void take_reference(struct reader *r)
{
    size_t n = strspn(r->at + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");

    assert(*r->at == '&' && n > 0 && r->at[1 + n] == ';');
    r->at += n + 2;
}

static void take_value(struct reader *r)
{
    while (*r->at != '"') {
        assert(r->at < r->end && (unsigned char)*r->at > ' ' && *r->at != '<' && *r->at != '>' && *r->at != '\'');
        if (*r->at == '&')
            take_reference(r);
        else
            r->at++;
    }
    r->at++;
}

static bool starts_with_scheme(const char *s)
{
    static const char *const schemes[] = { "https:", "http:", "ftp:", "mailto:", "magnet:" };

    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (strncasecmp(s, schemes[i], strlen(schemes[i])) == 0)
            return true;
    return false;
}

static void take_attributes(struct reader *r, const char *tag)
{
    if (strcmp(tag, "a") == 0) {
        must_take(r, " href=\"");
        assert(starts_with_scheme(r->at));
        take_value(r);
    } else if (strcmp(tag, "code") == 0 && take(r, " class=\"language-")) {
        assert(*r->at != '"');
        take_value(r);
    } else if (strcmp(tag, "ol") == 0 && take(r, " start=\"")) {
        assert(strspn(r->at, "0123456789") > 0);
        take_value(r);
    }
    must_take(r, ">");
}

/* Where HTML itself would move or close something. */
static void check_place(const struct reader *r, const char *tag)
{
    bool row = strcmp(tag, "tr") == 0, cell = strcmp(tag, "td") == 0 || strcmp(tag, "th") == 0;
    bool part = strcmp(tag, "thead") == 0 || strcmp(tag, "tbody") == 0;

    assert(strcmp(tag, "li") != 0 || within(r, "ul") || within(r, "ol"));
    assert(!part || within(r, "table"));
    assert(!row || within(r, "thead") || within(r, "tbody"));
    assert(!cell || within(r, "tr"));
    assert(strcmp(tag, "a") != 0 || !is_open(r, "a"));
    assert(!is_open(r, "p") || strchr("esdca", tag[0])); /* em, strong, del, code, a */
    assert(!is_open(r, "code"));
}

static void take_tag(struct reader *r)
{
    if (take(r, "<br>"))
        return;
    if (take(r, "<hr>")) {
        assert(!is_open(r, "p"));
        return;
    }
    if (take(r, "</")) {
        assert(r->depth > 0);
        int tag = take_name(r);
        assert(r->open[--r->depth] == tag);
        must_take(r, ">");
        return;
    }
    must_take(r, "<");
    int tag = take_name(r);
    check_place(r, tags[tag]);
    take_attributes(r, tags[tag]);
    assert(r->depth < CLIENT_DEPTH_MAX);
    r->open[r->depth++] = tag;
}

static void check_html(const char *html, size_t len)
{
    struct reader r = { .at = html, .end = html + len };
    struct buf clean;

    buf_init(&clean, len);
    assert(utf8_clean(&clean, html, len) == ERR_OK && clean.len == len);
    buf_free(&clean);
    while (r.at < r.end) {
        assert(*r.at != '>' && *r.at != '"');
        if (*r.at == '<')
            take_tag(&r);
        else if (*r.at == '&')
            take_reference(&r);
        else
            r.at++;
    }
    assert(r.depth == 0);
}

static void check_content(const char *text, size_t len)
{
    const struct content cases[] = {
        { .text = text, .len = len, .reply_to = "$q", .mention = "@a:b" },
        { .text = text, .len = len, .thread = "$t", .notice = true },
        { .text = text, .len = len, .edits = "$a", .mention = "@a:b" },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf out;
        buf_init(&out, CONTENT_BYTES_MAX);
        enum err_code code = content_write(&out, &cases[i]);
        assert(code == ERR_OK || 3 * len > CONTENT_TEXT_BYTES_MAX); /* a bad byte becomes three */
        cJSON *tree = code ? NULL : json_parse(out.data, out.len);
        const char *html = json_str(tree, "formatted_body");
        assert(code || (json_str(tree, "body") && utf8_valid(out.data, out.len)));
        if (html)
            check_html(html, strlen(html));
        cJSON_Delete(tree);
        buf_free(&out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf out;
    bool plain;

    buf_init(&out, 8 * 1024 * 1024);
    if (html_write(&out, (const char *)data, size, &plain) == ERR_OK)
        check_html(buf_str(&out), out.len);
    buf_free(&out);
    check_content((const char *)data, size);
    return 0;
}
