/* http.h: HTTP client over libcurl, on the loop.
 *
 * Not here: retries, JSON, SSE. Names are resolved by libcurl's own resolver
 * thread. A call's callbacks come from the loop, never from inside
 * http_start(); after http_cancel() there are none. Redirects are not followed
 * (a key must not travel to another host). */
#ifndef WARBLER_NET_HTTP_H
#define WARBLER_NET_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin/base/err.h"
#include "plugin/net/loop.h"
#include "plugin/net/ratelimit.h"

struct http_client;
struct http_call;

enum err_code http_client_new(struct loop *loop, struct http_client **client_r, struct err *e);
void http_client_free(struct http_client **client); /* cancels what is running, without callbacks */

struct http_request {
    const char *method;          /* "GET", "POST" */
    const char *url;
    const char *const *headers;  /* "Name: value", NULL-terminated; may be NULL; copied */
    const char *body;            /* borrowed until done or cancelled; NULL: none */
    size_t body_len;
    const char *proxy;           /* NULL: none, and the environment's is ignored */
    const char *ca_file;         /* NULL: the system's bundle */
    int64_t connect_timeout_ms;
    int64_t first_byte_timeout_ms; /* from start to the first byte of the body */
    int64_t idle_timeout_ms;     /* without a byte, once the first came */
    size_t max_response_bytes;   /* more ends the call with ERR_TOO_LARGE */
};

struct http_reply {
    long status;             /* 0 if none came */
    struct ratelimit limits; /* begin with RATELIMIT_INIT */
    bool reused;             /* the connection had served before */
    char request_id[64];     /* x-request-id, for the log and the server's people; "" if none */
};

struct http_handler {
    /* Status and headers are there. May be NULL. */
    void (*head)(void *arg, const struct http_reply *reply);
    /* Part of the body. Return false to stop the call: done() follows with ERR_CANCELLED. */
    bool (*body)(void *arg, const char *data, size_t len);
    /* Exactly once, unless cancelled. e->code is ERR_OK for any complete answer,
     * whatever its status; ERR_NET, ERR_TIMEOUT, ERR_TOO_LARGE, ERR_CANCELLED.
     * The call is gone when it returns. */
    void (*done)(void *arg, const struct http_reply *reply, const struct err *e);
};

/* NULL and *e for a URL or option that can never work. The request struct may
 * be a local; all but body is copied. */
struct http_call *http_start(struct http_client *client, const struct http_request *req,
                             const struct http_handler *handler, void *arg, struct err *e);
void http_cancel(struct http_call **call); /* NULL-safe; legal inside the call's own callbacks */

unsigned http_active(const struct http_client *client); /* calls running: metrics */

#endif
