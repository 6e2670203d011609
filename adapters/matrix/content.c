#include "adapters/matrix/content.h"

#include <string.h>

#include "adapters/matrix/html.h"
#include "plugin/base/json.h"
#include "plugin/base/utf8.h"

#define HTML_BYTES_MAX CONTENT_BYTES_MAX /* more would not fit anyway */
#define FALLBACK_BYTES_MAX 1024U         /* of a text that only clients without edits show, if it has to be short */

/* What is left out so that the rest fits, the least needed first. */
enum form { WHOLE, SHORT_FALLBACK, WITHOUT_HTML, FORMS };

struct parts {
    const struct content *c;
    struct buf text; /* clean */
    struct buf html; /* empty: the text says it all */
};

static void put_body(struct buf *out, const struct parts *p, enum form form)
{
    buf_adds(out, "\"msgtype\":");
    json_quote(out, p->c->notice ? "m.notice" : "m.text");
    buf_adds(out, ",\"body\":");
    json_quoten(out, buf_str(&p->text), p->text.len);
    if (p->html.len > 0 && form != WITHOUT_HTML) {
        buf_adds(out, ",\"format\":\"org.matrix.custom.html\",\"formatted_body\":");
        json_quoten(out, p->html.data, p->html.len);
    }
}

/* Always there, so that no client looks for names in the text. */
static void put_mentions(struct buf *out, const char *user)
{
    buf_adds(out, ",\"m.mentions\":{");
    if (user) {
        buf_adds(out, "\"user_ids\":[");
        json_quote(out, user);
        buf_addc(out, ']');
    }
    buf_addc(out, '}');
}

static void put_event(struct buf *out, const char *id)
{
    buf_adds(out, "{\"event_id\":");
    json_quote(out, id);
    buf_addc(out, '}');
}

static void put_relation(struct buf *out, const struct content *c)
{
    if (!c->reply_to && !c->thread)
        return;
    buf_adds(out, ",\"m.relates_to\":{");
    if (c->thread) {
        buf_adds(out, "\"rel_type\":\"m.thread\",\"event_id\":");
        json_quote(out, c->thread);
        buf_addf(out, ",\"is_falling_back\":%s,", c->falling_back || !c->reply_to ? "true" : "false");
    }
    buf_adds(out, "\"m.in_reply_to\":");
    put_event(out, c->reply_to ? c->reply_to : c->thread);
    buf_addc(out, '}');
}

static void put_message(struct buf *out, const struct parts *p, enum form form)
{
    buf_addc(out, '{');
    put_body(out, p, form);
    put_mentions(out, p->c->mention);
    put_relation(out, p->c);
    buf_addc(out, '}');
}

/* The outer text is for clients that know no edits; the mentions there are those
 * that the edit adds, none. */
static void put_edit(struct buf *out, const struct parts *p, enum form form)
{
    bool cut = form != WHOLE && p->text.len > FALLBACK_BYTES_MAX;
    size_t len = cut ? utf8_cut(p->text.data, p->text.len, FALLBACK_BYTES_MAX) : p->text.len;
    buf_adds(out, "{\"msgtype\":");
    json_quote(out, p->c->notice ? "m.notice" : "m.text");
    buf_adds(out, ",\"body\":\"* ");
    json_escape(out, buf_str(&p->text), len);
    buf_adds(out, cut ? "…\"" : "\"");
    put_mentions(out, NULL);
    buf_adds(out, ",\"m.new_content\":{");
    put_body(out, p, form);
    put_mentions(out, p->c->mention);
    buf_adds(out, "},\"m.relates_to\":{\"rel_type\":\"m.replace\",\"event_id\":");
    json_quote(out, p->c->edits);
    buf_adds(out, "}}");
}

static enum err_code put_fitting(struct buf *out, const struct parts *p)
{
    struct buf json;
    buf_init(&json, CONTENT_BYTES_MAX);
    for (enum form form = WHOLE; form < FORMS; form++) {
        buf_free(&json); /* clears that the form before did not fit */
        if (p->c->edits)
            put_edit(&json, p, form);
        else
            put_message(&json, p, form);
        if (!buf_error(&json))
            break;
    }
    enum err_code code = buf_error(&json);
    if (!code)
        code = buf_add(out, json.data, json.len);
    buf_free(&json);
    return code;
}

enum err_code content_write(struct buf *out, const struct content *c)
{
    struct parts p = { .c = c };
    bool plain = false;
    buf_init(&p.text, CONTENT_TEXT_BYTES_MAX);
    buf_init(&p.html, HTML_BYTES_MAX);
    enum err_code code = utf8_clean(&p.text, c->text, c->len);
    if (!code && (html_write(&p.html, buf_str(&p.text), p.text.len, &plain) || plain))
        buf_free(&p.html);
    if (!code)
        code = put_fitting(out, &p);
    buf_free(&p.text);
    buf_free(&p.html);
    return code;
}
