#include "plugin/web/web.h"

#include <string.h>

#include "plugin/base/json.h"
#include "plugin/base/metric.h"

#define HEADERS_BYTES_MAX 8192U
#define ERROR_BYTES_MAX (512U * 1024)

static const char *common_headers(struct buf *out, const char *headers)
{
    metric_add(METRIC_HTTP_REQUESTS, 1);
    buf_init(out, HEADERS_BYTES_MAX);
    buf_adds(out, "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n");
    if (!headers || !strstr(headers, "Cache-Control:"))
        buf_adds(out, "Cache-Control: no-store\r\n");
    if (headers)
        buf_adds(out, headers);
    return buf_str(out);
}

void web_reply(struct http_in *req, int status, const char *content_type, const char *headers, const char *body,
               size_t len)
{
    struct buf all;

    http_in_reply(req, status, content_type, common_headers(&all, headers), body, len);
    buf_free(&all);
}

void web_begin(struct http_in *req, int status, const char *content_type, const char *headers)
{
    struct buf all;

    http_in_begin(req, status, content_type, common_headers(&all, headers));
    buf_free(&all);
}

void web_error(struct http_in *req, int status, const char *headers, const char *code, const char *message)
{
    struct buf body;

    buf_init(&body, ERROR_BYTES_MAX);
    buf_adds(&body, "{\"error\":{\"code\":");
    json_quote(&body, code);
    buf_adds(&body, ",\"message\":");
    json_quote(&body, message);
    buf_adds(&body, "}}\n");
    web_reply(req, status, WEB_JSON, headers, buf_str(&body), body.len);
    buf_free(&body);
}

static void healthz(void *arg, struct http_in *req)
{
    (void)arg;
    web_reply(req, 200, "text/plain", NULL, "ok\n", 3);
}

static void readyz(void *arg, struct http_in *req)
{
    const struct web *web = arg;
    struct buf body;
    bool ready;

    buf_init(&body, WEB_READY_BYTES_MAX);
    ready = web->ready(web->arg, &body);
    buf_addc(&body, '\n');
    web_reply(req, ready ? 200 : 503, WEB_JSON, NULL, buf_str(&body), body.len);
    buf_free(&body);
}

static void metrics(void *arg, struct http_in *req)
{
    struct buf body;

    (void)arg;
    buf_init(&body, WEB_METRICS_BYTES_MAX);
    metric_print(&body);
    web_reply(req, 200, "text/plain; version=0.0.4; charset=utf-8", NULL, buf_str(&body), body.len);
    buf_free(&body);
}

void web_routes(struct server *server, const struct web *web)
{
    server_route(server, "GET", "/healthz", healthz, NULL);
    server_route(server, "GET", "/readyz", readyz, (void *)web);
    server_route(server, "GET", "/metrics", metrics, NULL);
}
