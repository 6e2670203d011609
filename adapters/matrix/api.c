#include "adapters/matrix/api.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "plugin/base/clock.h"
#include "plugin/base/json.h"
#include "plugin/base/mem.h"

#define HEADER_BYTES_MAX 8192U

struct api_call {
    struct api_call *prev, *next;
    struct api *api;
    struct http_call *http;
    char *body;
    struct buf answer;
    api_done *done;
    void *arg;
    cJSON *json;
    unsigned token_no;
    struct err unsent; /* why it could not even be begun */
    struct defer late;
};

void api_init(struct api *api, struct loop *loop, struct http_client *http, const char *base)
{
    *api = (struct api){ .loop = loop, .http = http, .base = base };
}

void api_token(struct api *api, const char *token)
{
    secret_set(&api->token, token, strlen(token));
    api->token_no++;
}

static void call_free(struct api_call *call)
{
    http_cancel(&call->http);
    defer_cancel(&call->late);
    DL_DELETE(call->api->calls, call);
    buf_free(&call->answer);
    cJSON_Delete(call->json);
    free(call->body);
    free(call);
}

void api_fini(struct api *api)
{
    while (api->calls)
        call_free(api->calls);
    secret_clear(&api->token);
}

void api_cancel(struct api_call **call)
{
    if (*call)
        call_free(*call);
    *call = NULL;
}

/* --- the answer --- */

static enum err_code code_of(long status)
{
    if (status / 100 == 2)
        return ERR_OK;
    switch (status) {
    case 401:
        return ERR_AUTH;
    case 404:
        return ERR_NOT_FOUND;
    case 429:
        return ERR_RATE;
    default:
        return status >= 500 ? ERR_SERVER : ERR_PARAM;
    }
}

static bool passes(enum err_code code)
{
    return code == ERR_NET || code == ERR_TIMEOUT || code == ERR_RATE || code == ERR_SERVER || code == ERR_PROTO;
}

/* A server says in its JSON what is wrong; a proxy before it says so in HTML. */
static void judge(struct api_reply *r)
{
    const char *errcode = json_str(r->json, "errcode"), *text = json_str(r->json, "error");
    int64_t wait = json_int(r->json, "retry_after_ms", -1);
    enum err_code code = code_of(r->status);
    bool is_json = cJSON_IsObject(r->json) || cJSON_IsArray(r->json);

    if (errcode)
        snprintf(r->errcode, sizeof r->errcode, "%s", errcode);
    r->soft_logout = json_bool(r->json, "soft_logout", false);
    if (wait > r->retry_after_ms)
        r->retry_after_ms = wait;
    if (!is_json && (code == ERR_OK || code == ERR_NOT_FOUND || code == ERR_PARAM))
        err_set(&r->err, ERR_PROTO, "the answer is no JSON of a homeserver (status %ld)", r->status);
    else if (code != ERR_OK)
        err_set(&r->err, code, "status %ld%s%s%s%.200s", r->status, *r->errcode ? " " : "", r->errcode,
                text ? ": " : "", text ? text : "");
}

static bool on_body(void *arg, const char *data, size_t len)
{
    struct api_call *call = arg;

    return buf_add(&call->answer, data, len) == ERR_OK;
}

static void on_done(void *arg, const struct http_reply *http, const struct err *e)
{
    struct api_call *call = arg;
    struct api_reply r = { .status = http->status, .retry_after_ms = http->limits.retry_after_ms, .err = *e };

    call->http = NULL;
    if (!e->code) {
        call->json = json_parse_pruned(buf_str(&call->answer), call->answer.len);
        r.json = call->json;
        r.bytes = call->answer.len;
        buf_free(&call->answer);
        judge(&r);
    }
    r.retry = passes(r.err.code);
    r.outdated = call->token_no != call->api->token_no;
    if (r.err.code == ERR_RATE && r.retry_after_ms > 0)
        call->api->limited_until_ms = clock_mono_ms() + r.retry_after_ms;
    /* Out of the list, so that whoever cancels all calls in done() does not meet this one. */
    DL_DELETE(call->api->calls, call);
    call->done(call->arg, &r);
    if (r.json)
        cJSON_Delete((cJSON *)r.json);
    buf_free(&call->answer);
    free(call->body);
    free(call);
}

cJSON *api_reply_take(struct api_reply *reply)
{
    cJSON *json = (cJSON *)reply->json;

    reply->json = NULL;
    return json;
}

/* --- the request --- */

static void add_encoded(struct buf *out, const char *s)
{
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~", c);

        if (plain)
            buf_addc(out, *s);
        else
            buf_addf(out, "%%%02X", c);
    }
}

void api_path(struct buf *out, const char *pattern, ...)
{
    va_list args;

    va_start(args, pattern);
    for (; *pattern; pattern++) {
        if (*pattern == '%')
            add_encoded(out, va_arg(args, const char *));
        else
            buf_addc(out, *pattern);
    }
    va_end(args);
}

static void add_url(struct buf *out, const char *base, const char *path)
{
    size_t len = strlen(base);

    while (len > 0 && base[len - 1] == '/')
        len--;
    buf_add(out, base, len);
    buf_adds(out, path);
}

static void on_unsent(void *arg)
{
    struct api_call *call = arg;

    on_done(call, &(struct http_reply){ .limits = RATELIMIT_INIT }, &call->unsent);
}

static void send_request(struct api_call *call, const struct api_request *req)
{
    static const struct http_handler handler = { .body = on_body, .done = on_done };
    const struct api *api = call->api;
    struct buf url, auth;
    const char *headers[] = { "Content-Type: application/json", NULL, NULL };

    buf_init(&url, API_PATH_BYTES_MAX);
    buf_init(&auth, HEADER_BYTES_MAX);
    add_url(&url, api->base, req->path);
    if (!req->anonymous && !secret_empty(&api->token)) {
        buf_addf(&auth, "Authorization: Bearer %s", secret_reveal(&api->token));
        headers[1] = buf_str(&auth);
    }
    struct http_request http = {
        .method = req->method,
        .url = buf_str(&url),
        .headers = headers,
        .body = call->body,
        .body_len = call->body ? strlen(call->body) : 0,
        .ca_file = api->ca_file,
        .proxy = api->proxy,
        .connect_timeout_ms = API_CONNECT_MS,
        .first_byte_timeout_ms = req->answer_ms ? req->answer_ms : API_ANSWER_MS,
        .idle_timeout_ms = API_IDLE_MS,
        .max_response_bytes = call->answer.max,
    };
    call->http = http_start(api->http, &http, &handler, call, &call->unsent);
    buf_free(&url);
    if (auth.data)
        explicit_bzero(auth.data, auth.len);
    buf_free(&auth);
}

struct api_call *api_start(struct api *api, const struct api_request *req, api_done *done, void *arg)
{
    struct api_call *call = mem_alloc(sizeof *call);

    call->api = api;
    call->token_no = api->token_no;
    call->done = done;
    call->arg = arg;
    buf_init(&call->answer, req->max_bytes ? req->max_bytes : API_REPLY_BYTES);
    defer_init(&call->late, api->loop, on_unsent, call);
    if (strcmp(req->method, "GET") != 0)
        call->body = mem_dup(req->body ? buf_str(req->body) : "{}");
    DL_APPEND(api->calls, call);
    send_request(call, req);
    if (!call->http)
        defer_set(&call->late);
    return call;
}
