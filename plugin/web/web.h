/* web.h: what every answer of the daemon's HTTP listener has in common, and
 * the listener's own three routes: GET /healthz, /readyz, /metrics (CONTRACTS,
 * section 5). It knows nothing of chat; adapters add routes of their own and
 * answer through the functions below. */
#ifndef WARBLER_WEB_WEB_H
#define WARBLER_WEB_WEB_H

#include <stdbool.h>
#include <stddef.h>

#include "plugin/base/buf.h"
#include "plugin/net/server.h"

#define WEB_JSON "application/json"
#define WEB_READY_BYTES_MAX (256U * 1024)
#define WEB_METRICS_BYTES_MAX (256U * 1024)

struct web {
    /* Appends a JSON object that says how things stand, and returns whether all is well. */
    bool (*ready)(void *arg, struct buf *json);
    void *arg;
};

/* Adds the three routes. *web must live as long as the server. */
void web_routes(struct server *server, const struct web *web);

/* As http_in_reply() and http_in_begin(), with the headers that all answers
 * carry, and counted. Answers are not to be stored, unless headers say so with
 * a Cache-Control of their own. */
void web_reply(struct http_in *req, int status, const char *content_type, const char *headers, const char *body,
               size_t len);
void web_begin(struct http_in *req, int status, const char *content_type, const char *headers);

/* {"error":{"code":"…","message":"…"}} */
void web_error(struct http_in *req, int status, const char *headers, const char *code, const char *message);

#endif
