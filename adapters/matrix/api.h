/* api.h: one call of the client-server API: URL, token, deadline, JSON, and
 * what the server's errors mean. Knows no endpoint and repeats nothing.
 * Client-server API: "Standard error response", "Rate limiting". */
#ifndef WARBLER_MATRIX_API_H
#define WARBLER_MATRIX_API_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin/base/buf.h"
#include "plugin/base/err.h"
#include "plugin/base/secret.h"
#include "plugin/net/http.h"

#define API_CONNECT_MS 10000
#define API_ANSWER_MS 30000       /* for the first byte of an answer */
#define API_IDLE_MS 20000         /* between two bytes of it */
#define API_REPLY_BYTES (256U * 1024)
#define API_PATH_BYTES_MAX 8192U
#define API_ERRCODE_BYTES 64

struct api_call;

/* The way to one homeserver. */
struct api {
    struct loop *loop;
    struct http_client *http;
    const char *base;       /* homeserver's URL, borrowed; a / at its end is not used */
    const char *ca_file;    /* borrowed, or NULL */
    const char *proxy;      /* borrowed, or NULL */
    struct secret token;    /* set by api_token(); empty: calls carry none */
    unsigned token_no;      /* counts them */
    struct api_call *calls; /* running */
    int64_t limited_until_ms; /* the newest "too many requests" asks to wait so long, monotonic */
};

void api_init(struct api *api, struct loop *loop, struct http_client *http, const char *base); /* no token yet */
void api_token(struct api *api, const char *token); /* for calls from now on; "": none */
void api_fini(struct api *api); /* cancels all calls, without callbacks */

struct api_request {
    const char *method;
    const char *path;        /* from api_path(), with its query */
    const struct buf *body;  /* JSON, copied; NULL: {}; not of a GET */
    int64_t answer_ms;       /* 0: API_ANSWER_MS */
    size_t max_bytes;        /* of the answer; 0: API_REPLY_BYTES */
    bool anonymous;          /* carries no token */
};

struct api_reply {
    long status;                     /* 0: there was no answer */
    const cJSON *json;               /* the answer, also of an error; NULL: no JSON */
    char errcode[API_ERRCODE_BYTES]; /* "M_FORBIDDEN"; "" if there was none */
    size_t bytes;                    /* of the answer */
    bool soft_logout;
    bool outdated;                   /* the call carried another token than those that are made now */
    int64_t retry_after_ms;          /* -1: not said */
    struct err err; /* ERR_OK: a 2xx with an object or array. ERR_AUTH: the token is not (any longer) good. ERR_RATE.
                       ERR_NOT_FOUND: 404. ERR_PARAM: any other 4xx. ERR_SERVER: 5xx. ERR_PROTO: not JSON.
                       ERR_NET, ERR_TIMEOUT, ERR_TOO_LARGE */
    bool retry;     /* the same call may succeed later */
};

/* done() comes once, from the loop, unless the call is cancelled. It may take
 * nothing out of the reply but by copying, except with api_reply_take(). */
typedef void api_done(void *arg, struct api_reply *reply);
struct api_call *api_start(struct api *api, const struct api_request *req, api_done *done, void *arg);
void api_cancel(struct api_call **call); /* NULL-safe; legal inside done() of another call */

cJSON *api_reply_take(struct api_reply *reply); /* the tree is the caller's from now on; NULL if there is none */

/* Appends a path: each % of the pattern is the next argument, percent-encoded.
 * `api_path(&b, "/_matrix/client/v3/rooms/%/leave", room)` */
void api_path(struct buf *out, const char *pattern, ...);

#endif
