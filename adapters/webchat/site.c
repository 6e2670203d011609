/* The pages: the chat at /, the widget that sites embed, and a demo of it. */
#include <stdlib.h>
#include <string.h>

#include "adapters/webchat/access.h"
#include "adapters/webchat/pages.h"
#include "adapters/webchat/webchat.h"
#include "plugin/base/buf.h"
#include "plugin/web/coding.h"
#include "plugin/web/web.h"

#define PAGE_HEADERS_BYTES_MAX 4096U /* the server takes 8 KiB for the whole head of an answer */
#define ASSETS "/assets/"

/* A page may have changed with the program, so browsers ask each time; mostly
 * the answer is 304. */
#define FRESH "Cache-Control: no-cache\r\n"

/* Sites that embed the widget load it from here, also those that isolate
 * themselves (HTML, cross-origin isolation). */
#define SHARED "Cross-Origin-Resource-Policy: cross-origin\r\n"

enum err_code site_init(struct webchat *w, struct err *e)
{
    const struct strings *origins = &webchat_conf(w)->origins;
    struct buf headers;

    buf_init(&headers, PAGE_HEADERS_BYTES_MAX);
    buf_adds(&headers, "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "
                       "img-src 'self' data:; connect-src 'self'; frame-src 'self'; base-uri 'none'; "
                       "form-action 'none'; frame-ancestors 'self'");
    for (size_t i = 0; i < origins->n; i++) {
        if (!access_origin_valid(origins->v[i])) {
            buf_free(&headers);
            return err_set(e, ERR_INVALID, "origins: \"%s\" is not like \"https://www.example.org\"", origins->v[i]);
        }
        buf_addc(&headers, ' ');
        buf_adds(&headers, origins->v[i]);
    }
    buf_adds(&headers, "\r\n" FRESH);
    if (buf_error(&headers))
        return err_set(e, ERR_TOO_LARGE, "origins: together they are over %u bytes", PAGE_HEADERS_BYTES_MAX);
    w->page_headers = buf_take(&headers);
    return ERR_OK;
}

static const struct page *page_find(const char *name)
{
    for (const struct page *p = webchat_pages; p->name; p++)
        if (strcmp(p->name, name) == 0)
            return p;
    return NULL;
}

/* If-None-Match has a list of tags, or "*". */
static bool unchanged(const struct http_in *req, const struct page_form *form)
{
    const char *seen = http_in_header(req, "if-none-match");

    return seen && (strcmp(seen, "*") == 0 || strstr(seen, form->etag));
}

static void send_form(struct http_in *req, const char *type, const struct page_form *form, const char *headers)
{
    if (unchanged(req, form))
        web_reply(req, 304, NULL, headers, NULL, 0);
    else
        web_reply(req, 200, type, headers, (const char *)form->data, form->len);
}

static void serve(struct http_in *req, const char *name, const char *headers)
{
    const struct page *page = page_find(name);
    bool packed;
    struct buf all;

    if (!page) {
        web_error(req, 404, NULL, "not_found", "There is no such page.");
        return;
    }
    packed = page->gzip.len > 0 && coding_accepted(http_in_header(req, "accept-encoding"), "gzip");
    buf_init(&all, PAGE_HEADERS_BYTES_MAX + 256);
    buf_adds(&all, headers);
    buf_addf(&all, "ETag: %s\r\n", packed ? page->gzip.etag : page->plain.etag);
    if (page->gzip.len > 0)
        buf_adds(&all, "Vary: Accept-Encoding\r\n");
    if (packed)
        buf_adds(&all, "Content-Encoding: gzip\r\n");
    send_form(req, page->type, packed ? &page->gzip : &page->plain, buf_str(&all));
    buf_free(&all);
}

static bool refused(const struct webchat *w, struct http_in *req)
{
    if (access_host_ok(http_in_header(req, "host"), server_address(w->a->server), &webchat_conf(w)->origins))
        return false;
    web_error(req, 403, NULL, "forbidden", "This host name is not served.");
    return true;
}

static void on_chat(void *arg, struct http_in *req)
{
    const struct webchat *w = arg;

    if (!refused(w, req))
        serve(req, "index.html", w->page_headers);
}

static void on_demo(void *arg, struct http_in *req)
{
    const struct webchat *w = arg;

    if (!refused(w, req))
        serve(req, "demo.html", w->page_headers);
}

static void on_widget(void *arg, struct http_in *req)
{
    if (!refused(arg, req))
        serve(req, "widget.js", FRESH SHARED);
}

/* The pages lie among the assets, so these carry the pages' policy too. */
static void on_asset(void *arg, struct http_in *req)
{
    const struct webchat *w = arg;

    if (!refused(w, req))
        serve(req, http_in_path(req) + strlen(ASSETS), w->page_headers);
}

void site_routes(struct webchat *w, struct server *server)
{
    server_route(server, "GET", "/", on_chat, w);
    server_route(server, "GET", "/demo", on_demo, w);
    server_route(server, "GET", "/widget.js", on_widget, w);
    server_route_prefix(server, "GET", ASSETS, on_asset, w);
}
