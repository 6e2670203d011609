#include "plugin/model/practice_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "plugin/base/mem.h"
#include "plugin/model/practice_call.h"
#include "plugin/net/server.h"

#define REQUEST_TIMEOUT_MS 60000
#define REPLY_BYTES_MAX (16U * 1024 * 1024)
#define HEADER_BYTES 48
#define JSON_TYPE "application/json"

struct practice_server {
    struct loop *loop;
    struct server *http;
    struct practice_conf knobs;
    struct practice practice;
    struct buf out; /* of answers in one piece; its memory is kept for the next */
    struct answer *answers;
};

/* One that takes its time. */
struct answer {
    struct practice_server *server;
    struct http_in *req;
    struct practice_call *call;
    struct http_reply head;
    bool stream;
    struct answer *next, *prev;
};

static void drop(struct answer *a)
{
    practice_call_cancel(&a->call);
    DL_DELETE(a->server->answers, a);
    loop_free_later(a->server->loop, a, free);
}

static void on_gone(void *arg)
{
    drop(arg);
}

static void reply_whole(struct http_in *req, int status, int64_t retry_after_ms, const char *body, size_t len)
{
    char header[HEADER_BYTES] = "";
    if (retry_after_ms >= 0)
        snprintf(header, sizeof header, "Retry-After: %lld\r\n", (long long)((retry_after_ms + 999) / 1000));
    http_in_reply(req, status, JSON_TYPE, header[0] ? header : NULL, body, len);
}

static void on_head(void *arg, const struct http_reply *head)
{
    struct answer *a = arg;
    a->head = *head;
    if (a->stream)
        http_in_begin(a->req, (int)head->status, "text/event-stream", "Cache-Control: no-cache\r\n");
}

/* What is not a stream comes in one piece. */
static bool on_body(void *arg, const char *data, size_t len)
{
    struct answer *a = arg;
    if (a->stream)
        return http_in_write(a->req, data, len) == ERR_OK;
    reply_whole(a->req, (int)a->head.status, a->head.limits.retry_after_ms, data, len);
    return true;
}

static void on_done(void *arg, const struct http_reply *head, const struct err *e)
{
    struct answer *a = arg;
    (void)head;
    (void)e; /* whoever does not read gets no more */
    if (a->stream)
        http_in_end(a->req);
    drop(a);
}

static void answer_slowly(struct practice_server *s, struct http_in *req, struct practice_reply *reply)
{
    static const struct http_handler handler = {on_head, on_body, on_done};
    struct answer *a = mem_alloc(sizeof *a);
    *a = (struct answer){.server = s, .req = req, .stream = reply->stream};
    DL_APPEND(s->answers, a);
    http_in_keep(req, on_gone, a);
    a->call = practice_call_start(s->loop, reply, &handler, a);
}

static void on_completion(void *arg, struct http_in *req)
{
    struct practice_server *s = arg;
    struct practice_reply reply;
    size_t len;
    const char *body = http_in_body(req, &len);
    practice_answer(&s->practice, &s->knobs, body, len, &reply);
    if (reply.stream || reply.delay_ms > 0) {
        answer_slowly(s, req, &reply);
        return;
    }
    buf_reset(&s->out);
    practice_next(&reply, &s->out);
    reply_whole(req, reply.status, reply.retry_after_ms, buf_str(&s->out), s->out.len);
    practice_reply_fini(&reply);
}

static void on_models(void *arg, struct http_in *req)
{
    struct practice_server *s = arg;
    buf_reset(&s->out);
    practice_models(&s->out);
    http_in_reply(req, 200, JSON_TYPE, NULL, buf_str(&s->out), s->out.len);
}

enum err_code practice_server_new(struct loop *loop, const struct practice_server_config *conf,
                                  struct practice_server **server_r, struct err *e)
{
    struct server_config http = {
        .address = conf->address,
        .port = conf->port,
        .max_body_bytes = PRACTICE_BODY_BYTES_MAX,
        .request_timeout_ms = REQUEST_TIMEOUT_MS,
    };
    struct practice_server *s = mem_alloc(sizeof *s);
    *s = (struct practice_server){.loop = loop, .knobs = conf->knobs};
    buf_init(&s->out, REPLY_BYTES_MAX);
    practice_init(&s->practice, conf->seed);
    enum err_code code = server_new(loop, &http, &s->http, e);
    if (code != ERR_OK) {
        free(s);
        return code;
    }
    server_route(s->http, "POST", "/v1/chat/completions", on_completion, s);
    server_route(s->http, "GET", "/v1/models", on_models, s);
    *server_r = s;
    return ERR_OK;
}

void practice_server_free(struct practice_server **server)
{
    struct practice_server *s = *server;
    if (!s)
        return;
    while (s->answers)
        drop(s->answers);
    server_free(&s->http);
    buf_free(&s->out);
    free(s);
    *server = NULL;
}

int practice_server_port(const struct practice_server *server)
{
    return server_port(server->http);
}
