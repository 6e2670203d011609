#include "plugin/model/completion.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "plugin/base/log.h"
#include "plugin/base/mem.h"
#include "plugin/base/metric.h"
#include "plugin/base/secret.h"
#include "plugin/model/delta.h"
#include "plugin/model/failure.h"
#include "plugin/model/practice_call.h"
#include "plugin/model/request.h"
#include "plugin/model/retry.h"
#include "plugin/net/sse.h"

#define AREA "model"

/* An answer that is complete while its connection is not: how long the end of
 * the body is waited for, so that the connection can serve again; and how long
 * the usage and [DONE] are, after a finish reason. */
#define DONE_LINGER_MS 50
#define FINISH_LINGER_MS 2000
#define FOREVER_MS (24 * 3600 * 1000) /* where no deadline is configured */

struct model_client {
    struct loop *loop;
    struct http_client *http;
    struct completion *completions;
    struct ping *pings;
    struct practice practice;
};

enum state {
    STATE_WAITING, /* timer: the next attempt begins */
    STATE_RUNNING, /* a request is under way */
    STATE_ENDING,  /* timer: enough waited for the end of a complete answer */
    STATE_OVER,    /* freed at the end of the loop's turn; no callback any more */
};

/* What the body turned out to be. Content types cannot be trusted. */
enum shape { SHAPE_UNKNOWN, SHAPE_REFUSAL, SHAPE_JSON, SHAPE_HTML, SHAPE_STREAM };

struct completion {
    struct model_client *client;
    const struct model_conf *model;
    struct request_parts parts;
    struct completion_handler handler;
    void *arg;
    enum state state;
    struct timer timer;
    struct retry retry;
    int attempts;
    bool shown; /* the handler holds text */
    bool stale; /* of an attempt before this one */

    /* of one attempt */
    const struct transport *transport;
    struct http_call *http;
    struct practice_call *practice;
    struct buf request, body;
    struct http_reply reply;
    enum shape shape;
    struct sse sse;
    struct delta delta;
    struct failure failure;
    bool failed; /* an event said so: see failure */

    struct completion *next, *prev;
};

/* Where the bytes of an answer come from. Both call the same http_handler. */
struct transport {
    enum err_code (*start)(struct completion *c, struct err *e);
    void (*cancel)(struct completion *c); /* legal when nothing runs */
};

static void conclude(struct completion *c, const struct err *e);

static bool is_space(char c)
{
    return isspace((unsigned char)c);
}

static bool is_good(long status)
{
    return status >= 200 && status < 300;
}

static void set_state(struct completion *c, enum state state)
{
    static const char *const names[] = {"waiting", "running", "ending", "over"};
    if (c->state != state)
        log_debug(AREA, "%s: %s -> %s", c->model->name, names[c->state], names[state]);
    c->state = state;
}

/* --- life --- */

static void attempt_fini(struct completion *c)
{
    c->transport->cancel(c);
    buf_free(&c->request);
    buf_free(&c->body);
    sse_fini(&c->sse);
    delta_fini(&c->delta);
}

static void completion_free(void *p)
{
    struct completion *c = p;
    attempt_fini(c);
    free(c);
}

/* From here on nothing is called back. The memory stays until the end of the
 * loop's turn: a callback of ours may be on the stack. */
static void release(struct completion *c)
{
    if (c->state == STATE_OVER)
        return;
    set_state(c, STATE_OVER);
    timer_cancel(&c->timer);
    c->transport->cancel(c);
    DL_DELETE(c->client->completions, c);
    loop_free_later(c->client->loop, c, completion_free);
}

void completion_cancel(struct completion **c)
{
    if (*c)
        release(*c);
    *c = NULL;
}

static void finish(struct completion *c, enum err_code code)
{
    struct completion_result r = {
        .finish = code == ERR_OK ? c->delta.finish : FINISH_ERROR,
        .usage = c->delta.usage,
        .attempts = c->attempts,
    };
    struct err e = ERR_INIT;
    snprintf(r.request_id, sizeof r.request_id, "%s", c->reply.request_id[0] ? c->reply.request_id : c->delta.id);
    if (code != ERR_OK)
        e = c->failure.err;
    release(c);
    metric_add(METRIC_TOKENS_PROMPT, r.usage.prompt_tokens);
    metric_add(METRIC_TOKENS_COMPLETION, r.usage.completion_tokens);
    c->handler.done(c->arg, &r, &e);
}

/* --- text --- */

/* Hands out what may be shown now. False if the receiver cancelled. */
static bool give_text(struct completion *c)
{
    size_t len;
    bool anew;
    const char *text = delta_show(&c->delta, &len, &anew);
    if (!c->handler.text || (len == 0 && !anew))
        return true;
    if (c->shown && (anew || c->stale))
        c->handler.restart(c->arg);
    c->stale = false;
    c->shown = true;
    if (len > 0 && c->state != STATE_OVER)
        c->handler.text(c->arg, text, len);
    return c->state != STATE_OVER;
}

/* --- the body --- */

static bool on_event(void *arg, const struct sse_event *ev)
{
    struct completion *c = arg;
    c->failed = delta_event(&c->delta, ev->type, ev->data, ev->len, &c->failure) != ERR_OK;
    return !c->failed && !c->delta.done && !c->delta.full;
}

/* Errors can be longer than is worth keeping. */
static void keep_body(struct completion *c, const char *data, size_t len)
{
    size_t room = c->body.max - c->body.len;
    buf_add(&c->body, data, len < room ? len : room);
}

static enum shape shape_of(const struct completion *c, char first)
{
    if (!is_good(c->reply.status))
        return SHAPE_REFUSAL;
    if (first == '{' || first == '[')
        return SHAPE_JSON;
    return first == '<' ? SHAPE_HTML : SHAPE_STREAM;
}

/* The first byte that is no blank decides; blanks keep slow answers alive. */
static void look_at(struct completion *c, const char *data, size_t len)
{
    size_t i = 0;
    while (i < len && is_space(data[i]))
        i++;
    if (i == len)
        return;
    c->shape = shape_of(c, data[i]);
    bool whole = c->shape == SHAPE_JSON;
    buf_init(&c->body, whole ? COMPLETION_RESPONSE_BYTES_MAX : FAILURE_BODY_BYTES_MAX);
}

/* Stops reading when there is nothing more to learn. */
static bool after_events(struct completion *c)
{
    if (!give_text(c))
        return false;
    if (c->failed || c->delta.full) {
        c->transport->cancel(c);
        conclude(c, NULL);
        return false;
    }
    if (c->delta.done || c->delta.finished) {
        set_state(c, STATE_ENDING);
        timer_set(&c->timer, c->delta.done ? DONE_LINGER_MS : FINISH_LINGER_MS);
    }
    return true;
}

static void on_head(void *arg, const struct http_reply *reply)
{
    struct completion *c = arg;
    c->reply = *reply;
}

static bool on_body(void *arg, const char *data, size_t len)
{
    struct completion *c = arg;
    if (c->shape == SHAPE_UNKNOWN)
        look_at(c, data, len);
    if (c->shape == SHAPE_UNKNOWN || c->delta.done)
        return true;
    if (c->shape != SHAPE_STREAM) {
        keep_body(c, data, len);
        return true;
    }
    if (sse_feed(&c->sse, data, len) == ERR_TOO_LARGE) {
        c->failed = true;
        err_set(&c->failure.err, ERR_PROTO, "a line of the stream is too long");
    }
    return after_events(c);
}

static void on_done(void *arg, const struct http_reply *reply, const struct err *e)
{
    struct completion *c = arg;
    c->http = NULL;
    c->practice = NULL;
    c->reply = *reply;
    conclude(c, e);
}

static const struct http_handler reading = {on_head, on_body, on_done};

/* --- transports --- */

static int64_t deadline(int64_t configured_ms)
{
    return configured_ms > 0 ? configured_ms : FOREVER_MS;
}

/* What the configuration says of every request to this model. */
static struct http_request request_to(const struct model_conf *m, const char *method, const struct buf *url,
                                      const struct request_headers *headers)
{
    return (struct http_request){
        .method = method,
        .url = buf_str(url),
        .headers = headers->lines,
        .proxy = m->proxy,
        .ca_file = m->ca_file,
        .connect_timeout_ms = deadline(m->connect_timeout),
        .first_byte_timeout_ms = deadline(m->first_byte_timeout),
        .idle_timeout_ms = deadline(m->idle_timeout),
        .max_response_bytes = COMPLETION_RESPONSE_BYTES_MAX,
    };
}

static enum err_code http_begin(struct completion *c, struct err *e)
{
    const struct model_conf *m = c->model;
    struct request_headers headers;
    struct buf url;
    buf_init(&url, REQUEST_URL_BYTES_MAX);
    request_url(&url, m->base_url, "/chat/completions");
    request_headers_init(&headers, m, &m->api_key, m->stream);
    struct http_request req = request_to(m, "POST", &url, &headers);
    req.body = buf_str(&c->request);
    req.body_len = c->request.len;
    c->http = http_start(c->client->http, &req, &reading, c, e);
    request_headers_fini(&headers);
    buf_free(&url);
    return c->http ? ERR_OK : e->code;
}

static void http_stop(struct completion *c)
{
    http_cancel(&c->http);
}

static enum err_code practice_begin(struct completion *c, struct err *e)
{
    struct practice_reply reply;
    (void)e; /* a rule cannot fail */
    practice_answer(&c->client->practice, &c->model->practice_knobs, buf_str(&c->request), c->request.len, &reply);
    c->practice = practice_call_start(c->client->loop, &reply, &reading, c);
    return ERR_OK;
}

static void practice_stop(struct completion *c)
{
    practice_call_cancel(&c->practice);
}

static const struct transport over_http = {http_begin, http_stop};
static const struct transport in_process = {practice_begin, practice_stop};

/* --- attempts --- */

static void attempt_init(struct completion *c)
{
    buf_init(&c->request, REQUEST_BYTES_MAX);
    buf_init(&c->body, 0);
    sse_init(&c->sse, on_event, c);
    delta_init(&c->delta, COMPLETION_TEXT_BYTES_MAX);
    c->reply = (struct http_reply){.limits = RATELIMIT_INIT};
    c->failure = (struct failure)FAILURE_INIT;
    c->shape = SHAPE_UNKNOWN;
    c->failed = false;
    c->stale = c->shown;
}

static void pause_for(struct completion *c, int64_t ms)
{
    set_state(c, STATE_WAITING);
    timer_set(&c->timer, ms);
}

static int64_t pause_asked(const struct completion *c)
{
    return c->reply.limits.retry_after_ms >= 0 ? c->reply.limits.retry_after_ms : c->failure.retry_after_ms;
}

static void fail(struct completion *c)
{
    struct err *e = &c->failure.err;
    metric_add(METRIC_MODEL_ERRORS, 1);
    failure_hide(e, secret_reveal(&c->model->api_key));
    err_prefix(e, "model %s", c->model->name);
    int64_t ms = retry_next(&c->retry, e->code, pause_asked(c), random_unit());
    if (ms == RETRY_GIVE_UP) {
        finish(c, e->code);
        return;
    }
    log_debug(AREA, "attempt %d failed, again in %lld ms: %s", c->attempts, (long long)ms, e->text);
    metric_add(METRIC_MODEL_RETRIES, 1);
    pause_for(c, ms);
}

static void attempt(struct completion *c)
{
    attempt_fini(c);
    attempt_init(c);
    set_state(c, STATE_RUNNING);
    c->attempts++;
    metric_add(METRIC_MODEL_REQUESTS, 1);
    struct err *e = &c->failure.err;
    if (request_body(&c->request, c->model, NULL, &c->parts) != ERR_OK)
        err_set(e, ERR_TOO_LARGE, "the request is over %u bytes", REQUEST_BYTES_MAX);
    else
        c->transport->start(c, e);
    if (e->code != ERR_OK)
        fail(c);
}

static void on_timer(void *arg)
{
    struct completion *c = arg;
    if (c->state == STATE_WAITING) {
        attempt(c);
        return;
    }
    c->transport->cancel(c);
    conclude(c, NULL);
}

/* --- what an attempt came to --- */

static enum err_code end_of_stream(struct completion *c)
{
    if (!c->failed)
        sse_end(&c->sse);
    return c->failed ? c->failure.err.code : delta_end(&c->delta, &c->failure);
}

/* It began like JSON: an answer in one piece, also where a stream was asked
 * for; or a stream of bare lines. */
static enum err_code end_of_json(struct completion *c)
{
    enum err_code code = delta_whole(&c->delta, buf_str(&c->body), c->body.len, &c->failure);
    if (code == ERR_OK)
        return delta_end(&c->delta, &c->failure);
    if (code != ERR_PROTO)
        return code;
    sse_feed(&c->sse, c->body.data, c->body.len);
    return end_of_stream(c);
}

static enum err_code end_of_page(struct completion *c)
{
    failure_plain(&c->failure, buf_str(&c->body), c->body.len);
    c->failure.err.code = ERR_PROTO;
    return err_prefix(&c->failure.err, "HTTP %ld with a page that is no answer", c->reply.status);
}

/* The connection ended well, or was ended by us. */
static enum err_code judge_body(struct completion *c)
{
    if (c->reply.status && !is_good(c->reply.status)) {
        failure_read(&c->failure, c->reply.status, buf_str(&c->body), c->body.len);
        return c->failure.err.code;
    }
    switch (c->shape) {
    case SHAPE_JSON:
        return end_of_json(c);
    case SHAPE_HTML:
        return end_of_page(c);
    case SHAPE_STREAM:
        return end_of_stream(c);
    default:
        return err_set(&c->failure.err, ERR_PROTO, "an empty body");
    }
}

/* The connection broke: only what is complete without its rest counts. */
static enum err_code judge_broken(struct completion *c, const struct err *e)
{
    if (c->reply.status && !is_good(c->reply.status))
        return judge_body(c);
    if (e->code == ERR_TOO_LARGE && c->delta.text.len > 0) {
        c->delta.finished = true;
        c->delta.finish = FINISH_LENGTH;
    }
    if (c->delta.finished || c->delta.done)
        return delta_end(&c->delta, &c->failure);
    c->failure.err = *e;
    return e->code;
}

/* Tools are for later: an answer that only calls some says nothing to anybody. */
static enum err_code want_text(struct completion *c, enum err_code code)
{
    if (code != ERR_OK || c->delta.text.len > 0)
        return code;
    return err_set(&c->failure.err, ERR_EMPTY, "only tool calls, and there are no tools");
}

/* e: how the call ended; NULL: we ended it. */
static void conclude(struct completion *c, const struct err *e)
{
    timer_cancel(&c->timer);
    bool broken = e && e->code != ERR_OK;
    enum err_code code = want_text(c, broken ? judge_broken(c, e) : judge_body(c));
    if (!give_text(c))
        return;
    if (code == ERR_OK)
        finish(c, code);
    else
        fail(c);
}

/* --- ping --- */

struct ping {
    struct model_client *client;
    const struct model_conf *model;
    void (*done)(void *arg, const struct err *e);
    void *arg;
    struct http_call *http;
    struct buf body;
    struct timer timer;
    struct err e;
    struct ping *next, *prev;
};

static void ping_free(void *p)
{
    struct ping *ping = p;
    buf_free(&ping->body);
    free(ping);
}

static void ping_release(struct ping *p)
{
    http_cancel(&p->http);
    timer_cancel(&p->timer);
    DL_DELETE(p->client->pings, p);
    loop_free_later(p->client->loop, p, ping_free);
}

static void ping_finish(void *arg)
{
    struct ping *p = arg;
    failure_hide(&p->e, secret_reveal(&p->model->api_key));
    ping_release(p);
    p->done(p->arg, &p->e);
}

static bool on_ping_body(void *arg, const char *data, size_t len)
{
    struct ping *p = arg;
    size_t room = p->body.max - p->body.len;
    buf_add(&p->body, data, len < room ? len : room);
    return true;
}

static void judge_ping(struct ping *p, long status)
{
    struct failure f = FAILURE_INIT;
    const char *body = buf_str(&p->body);
    if (!is_good(status)) {
        failure_read(&f, status, body, p->body.len);
        p->e = f.err;
    } else if (body[strspn(body, " \t\r\n")] != '{' && body[strspn(body, " \t\r\n")] != '[') {
        err_set(&p->e, ERR_PROTO, "HTTP %ld, but not a list of models: is base_url right?", status);
    }
}

static void on_ping_done(void *arg, const struct http_reply *reply, const struct err *e)
{
    struct ping *p = arg;
    p->http = NULL;
    if (e->code == ERR_OK)
        judge_ping(p, reply->status);
    else
        p->e = *e;
    ping_finish(p);
}

static void ping_begin(struct ping *p)
{
    static const struct http_handler ping_handler = {NULL, on_ping_body, on_ping_done};
    const struct model_conf *m = p->model;
    struct request_headers headers;
    struct buf url;
    buf_init(&url, REQUEST_URL_BYTES_MAX);
    request_url(&url, m->base_url, "/models");
    request_headers_init(&headers, m, &m->api_key, false);
    struct http_request req = request_to(m, "GET", &url, &headers);
    p->http = http_start(p->client->http, &req, &ping_handler, p, &p->e);
    request_headers_fini(&headers);
    buf_free(&url);
}

void model_ping(struct model_client *client, const struct model_conf *model,
                void (*done)(void *arg, const struct err *e), void *arg)
{
    struct ping *p = mem_alloc(sizeof *p);
    *p = (struct ping){.client = client, .model = model, .done = done, .arg = arg};
    buf_init(&p->body, FAILURE_BODY_BYTES_MAX);
    timer_init(&p->timer, client->loop, ping_finish, p);
    DL_APPEND(client->pings, p);
    if (!model->practice)
        ping_begin(p);
    if (!p->http) /* the practice model is always there; or the URL cannot work */
        timer_set(&p->timer, 0);
}

/* --- the client --- */

enum err_code model_client_new(struct loop *loop, struct http_client *http, struct model_client **client_r, struct err *e)
{
    struct model_client *client = mem_alloc(sizeof *client);
    (void)e;
    *client = (struct model_client){.loop = loop, .http = http};
    practice_init(&client->practice, 0);
    *client_r = client;
    return ERR_OK;
}

void model_client_free(struct model_client **client)
{
    struct model_client *m = *client;
    if (!m)
        return;
    while (m->completions)
        release(m->completions);
    while (m->pings)
        ping_release(m->pings);
    free(m);
    *client = NULL;
}

struct completion *completion_start(struct model_client *client, const struct completion_request *req,
                                    const struct completion_handler *handler, void *arg)
{
    struct completion *c = mem_alloc(sizeof *c);
    *c = (struct completion){
        .client = client,
        .model = req->model,
        .parts = {.system = req->system, .messages = req->messages, .messages_len = req->messages_len},
        .handler = *handler,
        .arg = arg,
        .transport = req->model->practice ? &in_process : &over_http,
    };
    attempt_init(c);
    retry_init(&c->retry, req->model->retries, req->model->retry_ceiling);
    timer_init(&c->timer, client->loop, on_timer, c);
    DL_APPEND(client->completions, c);
    pause_for(c, 0);
    return c;
}
