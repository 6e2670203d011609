#include "adapters/matrix/html.h"

#include <md4c.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "plugin/base/mem.h"
#include "plugin/base/utf8.h"

/* Without bare addresses and raw HTML, which are also where md4c is slow on
 * hostile texts. */
#define DIALECT (MD_FLAG_TABLES | MD_FLAG_STRIKETHROUGH | MD_FLAG_TASKLISTS | MD_FLAG_NOHTML)

/* Levels that a table or a list brings with it. */
#define DEPTH_INSIDE 4U

/* Stands in the text while md4c reads it, to whom it is a letter. As it is a
 * noncharacter, no text that is meant for others has it. */
#define SEPARATOR "\xEF\xB7\x90"
#define SEPARATOR_BYTES 3U

#define LINK "<a href=\""
#define LINK_END "\">"

#define REPLACEMENT 0xFFFDU
#define POINT_MAX 0x10FFFFU

#define SPAN_TYPES (MD_SPAN_U + 1)

struct writer {
    struct buf *out;
    unsigned depth;  /* of blocks that md4c has entered */
    unsigned hidden; /* depth from which on blocks have no tags, 0: all have */

    /* Spans of the current block that are open, and how many are without tags
     * inside of these. md4c 0.4.8 at times leaves a span that it never entered,
     * or the other way round. */
    MD_SPANTYPE open[HTML_DEPTH_MAX];
    unsigned n_open;
    unsigned n_untagged[SPAN_TYPES];
    size_t link;     /* where the open link begins in out, if in_link */
    bool in_link;

    bool marked;     /* there was more than paragraphs */
    size_t ink;      /* bytes of plain text, without blanks */
};

/* --- texts --- */

static bool is_separator(const char *s, size_t len)
{
    return len >= SEPARATOR_BYTES && memcmp(s, SEPARATOR, SEPARATOR_BYTES) == 0;
}

static void put_escaped(struct buf *out, const char *s, size_t len)
{
    static const char *const table[256] = {
        ['&'] = "&amp;", ['<'] = "&lt;", ['>'] = "&gt;", ['"'] = "&quot;", [0xEF] = "\xEF",
    };
    for (size_t i = 0; i < len; i++) {
        size_t from = i;
        while (i < len && !table[(unsigned char)s[i]])
            i++;
        buf_add(out, s + from, i - from);
        if (is_separator(s + i, len - i))
            i += SEPARATOR_BYTES - 1;
        else if (i < len)
            buf_adds(out, table[(unsigned char)s[i]]);
    }
}

/* For an address: what may not stand in one as %XX, too. */
static void put_address(struct buf *out, const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        size_t from = i;
        while (i < len && (unsigned char)s[i] > ' ' && !strchr("\"'<>\\^`{|}\x7F", s[i]))
            i++;
        put_escaped(out, s + from, i - from);
        if (i < len)
            buf_addf(out, "%%%02X", (unsigned char)s[i]);
    }
}

typedef void put_fn(struct buf *out, const char *s, size_t len);

/* The character that a number names; what is none, and controls, as U+FFFD. */
static uint32_t numbered(const char *s, size_t len)
{
    bool hex = len > 0 && (s[0] | 0x20) == 'x';
    uint32_t cp = 0;
    for (size_t i = hex; i < len && cp <= POINT_MAX; i++) {
        uint32_t digit = s[i] <= '9' ? (uint32_t)(s[i] - '0') : (uint32_t)((s[i] | 0x20) - 'a' + 10);
        cp = cp * (hex ? 16 : 10) + digit;
    }
    bool control = (cp < ' ' && cp != '\n' && cp != '\t') || (cp >= 0x7F && cp < 0xA0);
    return control || (cp >= 0xD800 && cp <= 0xDFFF) || cp > POINT_MAX ? REPLACEMENT : cp;
}

/* "&name;" means in our HTML what it means in Markdown; "&#…;" may mean anything. */
static void put_entity(struct buf *out, const char *s, size_t len, put_fn *put)
{
    struct buf character;
    if (s[1] != '#') {
        buf_add(out, s, len);
        return;
    }
    buf_init(&character, 4);
    utf8_put(&character, numbered(s + 2, len - 3));
    put(out, buf_str(&character), character.len);
    buf_free(&character);
}

/* Bytes of a "<br>" at s, in one of its spellings, or 0. */
static size_t line_break(const char *s, size_t len)
{
    size_t i = 3;
    if (len < 4 || strncasecmp(s, "<br", 3) != 0)
        return 0;
    while (i < len && s[i] == ' ')
        i++;
    i += i < len && s[i] == '/';
    return i < len && s[i] == '>' ? i + 1 : 0;
}

static size_t ink_of(const char *s, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++)
        n += s[i] != ' ' && s[i] != '\t' && s[i] != '\n';
    return n;
}

static void put_text(struct writer *w, const char *s, size_t len)
{
    w->ink += ink_of(s, len);
    while (len > 0) {
        const char *angle = memchr(s, '<', len);
        size_t n = angle ? (size_t)(angle - s) : len, br = angle ? line_break(angle, len - n) : 0;
        n += angle && !br; /* an angle that is just one */
        put_escaped(w->out, s, n);
        if (br)
            buf_adds(w->out, "<br>");
        w->marked |= br > 0;
        s += n + br;
        len -= n + br;
    }
}

static void put_attribute(struct buf *out, const MD_ATTRIBUTE *a, put_fn *put)
{
    for (size_t i = 0; a->substr_offsets && a->substr_offsets[i] < a->size; i++) {
        const char *s = a->text + a->substr_offsets[i];
        size_t len = a->substr_offsets[i + 1] - a->substr_offsets[i];
        if (a->substr_types[i] == MD_TEXT_ENTITY)
            put_entity(out, s, len, put);
        else
            put(out, s, len);
    }
}

/* --- spans --- */

static const char *span_tag(MD_SPANTYPE type)
{
    switch (type) {
    case MD_SPAN_EM:
        return "em";
    case MD_SPAN_STRONG:
        return "strong";
    case MD_SPAN_DEL:
        return "del";
    case MD_SPAN_CODE:
        return "code";
    default:
        return NULL;
    }
}

static bool is_link(MD_SPANTYPE type)
{
    return type == MD_SPAN_A || type == MD_SPAN_IMG;
}

/* The scheme has to stand there as it is, not as entities that become one. */
static bool may_link(const MD_ATTRIBUTE *address)
{
    static const char *const schemes[] = { "https:", "http:", "ftp:", "mailto:", "magnet:" };
    if (!address->substr_offsets || address->size == 0 || address->substr_types[0] != MD_TEXT_NORMAL)
        return false;
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        size_t n = strlen(schemes[i]);
        if (address->substr_offsets[1] > n && strncasecmp(address->text, schemes[i], n) == 0)
            return true;
    }
    return false;
}

/* Matrix shows images of its own servers only, so one of the web's is a link,
 * and its text within a link. */
static bool open_link(struct writer *w, MD_SPANTYPE type, const void *detail)
{
    const MD_ATTRIBUTE *address =
        type == MD_SPAN_IMG ? &((const MD_SPAN_IMG_DETAIL *)detail)->src : &((const MD_SPAN_A_DETAIL *)detail)->href;
    if (w->in_link || !may_link(address))
        return false;
    w->in_link = true;
    w->link = w->out->len;
    buf_adds(w->out, LINK);
    put_attribute(w->out, address, put_address);
    buf_adds(w->out, LINK_END);
    return true;
}

/* A link without a text shows its address: nobody could click on it otherwise. */
static void close_link(struct writer *w)
{
    size_t from = w->link + strlen(LINK), end = w->out->len - strlen(LINK_END);
    if (!buf_error(w->out) && memcmp(w->out->data + end, LINK_END, strlen(LINK_END)) == 0) {
        char *address = mem_dupn(w->out->data + from, end - from);
        buf_adds(w->out, address);
        free(address);
    }
    buf_adds(w->out, "</a>");
    w->in_link = false;
}

static void close_spans(struct writer *w, unsigned n_stay)
{
    while (w->n_open > n_stay) {
        MD_SPANTYPE type = w->open[--w->n_open];
        if (is_link(type))
            close_link(w);
        else
            buf_addf(w->out, "</%s>", span_tag(type));
    }
    if (n_stay == 0)
        memset(w->n_untagged, 0, sizeof w->n_untagged);
}

static int enter_span(MD_SPANTYPE type, void *detail, void *arg)
{
    struct writer *w = arg;
    bool tagged = !w->hidden && w->depth + w->n_open < HTML_DEPTH_MAX;
    w->marked = true;
    if (tagged && is_link(type))
        tagged = open_link(w, type, detail);
    else if (tagged)
        buf_addf(w->out, "<%s>", span_tag(type));
    if (tagged)
        w->open[w->n_open++] = type;
    else
        w->n_untagged[type]++;
    return buf_error(w->out) != ERR_OK;
}

static int leave_span(MD_SPANTYPE type, void *detail, void *arg)
{
    struct writer *w = arg;
    unsigned n = w->n_open;
    (void)detail;
    if (w->n_untagged[type] > 0) {
        w->n_untagged[type]--;
        return 0;
    }
    while (n > 0 && w->open[n - 1] != type)
        n--;
    if (n > 0)
        close_spans(w, n - 1);
    return buf_error(w->out) != ERR_OK;
}

/* --- blocks --- */

static const char *block_tag(MD_BLOCKTYPE type, const void *detail)
{
    static const char *const headings[] = { "h1", "h2", "h3", "h4", "h5", "h6" };
    switch (type) {
    case MD_BLOCK_QUOTE:
        return "blockquote";
    case MD_BLOCK_UL:
        return "ul";
    case MD_BLOCK_OL:
        return "ol";
    case MD_BLOCK_LI:
        return "li";
    case MD_BLOCK_H:
        return headings[((const MD_BLOCK_H_DETAIL *)detail)->level - 1];
    case MD_BLOCK_P:
        return "p";
    case MD_BLOCK_TABLE:
        return "table";
    case MD_BLOCK_THEAD:
        return "thead";
    case MD_BLOCK_TBODY:
        return "tbody";
    case MD_BLOCK_TR:
        return "tr";
    case MD_BLOCK_TH:
        return "th";
    case MD_BLOCK_TD:
        return "td";
    default:
        return NULL;
    }
}

static bool is_language(const MD_ATTRIBUTE *a)
{
    if (a->size == 0 || a->size > HTML_LANG_BYTES_MAX)
        return false;
    for (size_t i = 0; i < a->size; i++) {
        char c = a->text[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && !memchr("+-._#", c, 5))
            return false;
    }
    return true;
}

static void open_code(struct buf *out, const MD_BLOCK_CODE_DETAIL *code)
{
    buf_adds(out, "<pre><code");
    if (is_language(&code->lang))
        buf_addf(out, " class=\"language-%.*s\"", (int)code->lang.size, code->lang.text);
    buf_addc(out, '>');
}

static void open_block(struct buf *out, MD_BLOCKTYPE type, const void *detail)
{
    const char *tag = block_tag(type, detail);
    unsigned start = type == MD_BLOCK_OL ? ((const MD_BLOCK_OL_DETAIL *)detail)->start : 1;
    const MD_BLOCK_LI_DETAIL *item = type == MD_BLOCK_LI ? detail : NULL;
    if (type == MD_BLOCK_HR)
        buf_adds(out, "<hr>");
    else if (type == MD_BLOCK_CODE)
        open_code(out, detail);
    else if (start != 1)
        buf_addf(out, "<ol start=\"%u\">", start);
    else if (tag)
        buf_addf(out, "<%s>", tag);
    if (item && item->is_task)
        buf_adds(out, item->task_mark == ' ' ? "☐ " : "☑ ");
}

static int enter_block(MD_BLOCKTYPE type, void *detail, void *arg)
{
    struct writer *w = arg;
    bool holds_blocks = type == MD_BLOCK_QUOTE || type == MD_BLOCK_UL || type == MD_BLOCK_OL || type == MD_BLOCK_TABLE;
    w->marked |= type != MD_BLOCK_DOC && type != MD_BLOCK_P;
    close_spans(w, 0);
    w->depth++;
    if (holds_blocks && !w->hidden && w->depth > HTML_DEPTH_MAX - DEPTH_INSIDE)
        w->hidden = w->depth;
    if (!w->hidden)
        open_block(w->out, type, detail);
    return buf_error(w->out) != ERR_OK;
}

static int leave_block(MD_BLOCKTYPE type, void *detail, void *arg)
{
    struct writer *w = arg;
    const char *tag = block_tag(type, detail);
    close_spans(w, 0);
    if (w->hidden)
        buf_addc(w->out, '\n'); /* keeps what was two blocks from being one word */
    else if (type == MD_BLOCK_CODE)
        buf_adds(w->out, "</code></pre>");
    else if (tag)
        buf_addf(w->out, "</%s>", tag);
    if (w->hidden == w->depth)
        w->hidden = 0;
    w->depth--;
    return buf_error(w->out) != ERR_OK;
}

/* --- all of it --- */

static int add_text(MD_TEXTTYPE type, const MD_CHAR *s, MD_SIZE len, void *arg)
{
    struct writer *w = arg;
    switch (type) {
    case MD_TEXT_BR:
    case MD_TEXT_SOFTBR: /* people and models mean it, in a chat */
        buf_adds(w->out, "<br>");
        break;
    case MD_TEXT_ENTITY:
        put_entity(w->out, s, len, put_escaped);
        break;
    case MD_TEXT_CODE:
        put_escaped(w->out, s, len);
        break;
    default:
        put_text(w, s, len);
        break;
    }
    return buf_error(w->out) != ERR_OK;
}

/* --- marks beside Chinese, Japanese and Korean --- */

static bool is_blank(uint32_t cp)
{
    return cp == ' ' || cp == '\t' || cp == '\n' || cp == 0x3000;
}

static bool is_cjk(uint32_t cp)
{
    return (cp >= 0x1100 && cp <= 0x11FF) || (cp >= 0x2E80 && cp <= 0x9FFF) || (cp >= 0xA960 && cp <= 0xA97F) ||
           (cp >= 0xAC00 && cp <= 0xD7FF) || (cp >= 0xF900 && cp <= 0xFAFF) || (cp >= 0xFE30 && cp <= 0xFE4F) ||
           (cp >= 0xFF00 && cp <= 0xFFEF) || (cp >= 0x20000 && cp <= 0x3FFFF);
}

/* CommonMark takes a mark between punctuation and a letter for half a mark, as
 * blanks would stand beside it in the languages that it was made for. */
static bool needs_parting(uint32_t before, uint32_t after)
{
    return before != '\\' && !is_blank(before) && !is_blank(after) && (is_cjk(before) || is_cjk(after));
}

/* Copies text with separators around the runs of marks that need them, so that
 * they may open and close like those between letters. */
static void part_runs(struct buf *out, const char *s, size_t len)
{
    uint32_t before = '\n';
    for (size_t i = 0; i < len;) {
        size_t from = i, to;
        uint32_t cp = utf8_next(s, len, &i);
        if (cp == '*') {
            while (i < len && s[i] == '*')
                i++;
            to = i;
            bool parted = needs_parting(before, to < len ? utf8_next(s, len, &to) : '\n');
            buf_add(out, SEPARATOR, parted ? SEPARATOR_BYTES : 0);
            buf_add(out, s + from, i - from);
            buf_add(out, SEPARATOR, parted ? SEPARATOR_BYTES : 0);
        } else {
            buf_add(out, s + from, i - from);
        }
        before = cp;
    }
}

enum err_code html_write(struct buf *out, const char *markdown, size_t len, bool *plain_r)
{
    static const MD_PARSER parser = {
        .flags = DIALECT,
        .enter_block = enter_block,
        .leave_block = leave_block,
        .enter_span = enter_span,
        .leave_span = leave_span,
        .text = add_text,
    };
    struct writer w = { .out = out };
    struct buf clean, parted;
    buf_init(&clean, 3 * len);                           /* a bad byte becomes three */
    buf_init(&parted, 3 * len + 2 * SEPARATOR_BYTES * len); /* every mark may be parted */
    utf8_clean(&clean, markdown, len);
    part_runs(&parted, buf_str(&clean), clean.len);
    int refused = md_parse(buf_str(&parted), (MD_SIZE)parted.len, &parser, &w);
    *plain_r = !w.marked && w.ink == ink_of(buf_str(&parted), parted.len);
    buf_free(&clean);
    buf_free(&parted);
    return refused && !buf_error(out) ? ERR_INTERNAL : buf_error(out);
}
