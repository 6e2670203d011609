#include "plugin/model/attempt.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/base/mem.h"
#include "plugin/model/delta.h"
#include "plugin/model/practice_call.h"
#include "plugin/model/tokens.h"
#include "plugin/net/sse.h"

/* An answer that is complete while its connection is not: how long the end of
 * the body is waited for, so that the connection can serve again; and how long
 * the usage and [DONE] are, after a finish reason. */
#define DONE_LINGER_MS 50
#define FINISH_LINGER_MS 2000
#define REQUEST_OTHER_BYTES 1024U /* of a request beside its conversation, mostly */
#define FOREVER_MS (24 * 3600 * 1000) /* where no deadline is configured */

/* What the body turned out to be. Content types cannot be trusted. */
enum shape { SHAPE_UNKNOWN, SHAPE_REFUSAL, SHAPE_JSON, SHAPE_HTML, SHAPE_STREAM };

struct attempt {
    struct model_client *client;
    const struct model_conf *model;
    const struct secret *key;
    const struct attempt_handler *handler;
    void *arg;
    const struct transport *transport;
    struct http_call *http;
    struct practice_call *practice;
    struct timer timer; /* it could not begin; or enough waited for the end of a complete answer */
    struct buf request, body;
    struct http_reply reply;
    enum shape shape;
    struct sse sse;
    struct delta delta;
    struct failure failure;
    bool failed; /* it could not begin, or an event said so: see failure */
    bool over;   /* freed at the end of the loop's turn; no callback any more */
};

/* Where the bytes of an answer come from. Both call the same http_handler. */
struct transport {
    enum err_code (*start)(struct attempt *a, struct err *e);
    void (*cancel)(struct attempt *a); /* legal when nothing runs */
};

static bool is_space(char c)
{
    return isspace((unsigned char)c);
}

static bool is_good(long status)
{
    return status >= 200 && status < 300;
}

/* --- life --- */

static void attempt_free(void *p)
{
    struct attempt *a = p;
    buf_free(&a->request);
    buf_free(&a->body);
    sse_fini(&a->sse);
    delta_fini(&a->delta);
    free(a);
}

/* From here on nothing is called back. The memory stays until the end of the
 * loop's turn: a callback of ours may be on the stack. */
static void release(struct attempt *a)
{
    if (a->over)
        return;
    a->over = true;
    timer_cancel(&a->timer);
    a->transport->cancel(a);
    loop_free_later(a->client->loop, a, attempt_free);
}

void attempt_cancel(struct attempt **a)
{
    if (*a)
        release(*a);
    *a = NULL;
}

static void finish(struct attempt *a)
{
    struct attempt_end end = {
        .failure = &a->failure,
        .reply = &a->reply,
        .finish = a->delta.finish,
        .usage = &a->delta.usage,
        .usage_json = a->delta.usage_json.len ? buf_str(&a->delta.usage_json) : NULL,
        .service_tier = a->delta.service_tier,
        .id = a->reply.request_id[0] ? a->reply.request_id : a->delta.id,
        .text_tokens = tokens_estimate(buf_str(&a->delta.text), a->delta.text.len),
        .text = buf_str(&a->delta.text),
        .text_len = a->delta.text.len,
        .refused = a->delta.refused,
    };
    if (a->failure.err.code != ERR_OK) {
        failure_hide(&a->failure.err, a->key ? secret_reveal(a->key) : NULL);
        err_prefix(&a->failure.err, "model %s", a->model->name);
    }
    release(a);
    a->handler->done(a->arg, &end);
}

/* --- text --- */

/* Hands out what may be shown now. False if the receiver cancelled. */
static bool give_text(struct attempt *a)
{
    size_t len;
    bool anew;
    const char *text = delta_show(&a->delta, &len, &anew);
    if (len > 0 || anew)
        a->handler->text(a->arg, text, len, anew);
    if (a->over || !a->handler->reasoning)
        return !a->over;
    text = thought_show(&a->delta.thought, &len); /* may be the text that was taken back */
    if (len > 0)
        a->handler->reasoning(a->arg, text, len);
    return !a->over;
}

/* --- what it came to --- */

static enum err_code end_of_stream(struct attempt *a)
{
    if (!a->failed)
        sse_end(&a->sse);
    return a->failed ? a->failure.err.code : delta_end(&a->delta, &a->failure);
}

/* It began like JSON: an answer in one piece, also where a stream was asked
 * for; or a stream of bare lines. */
static enum err_code end_of_json(struct attempt *a)
{
    enum err_code code = delta_whole(&a->delta, buf_str(&a->body), a->body.len, &a->failure);
    if (code == ERR_OK)
        return delta_end(&a->delta, &a->failure);
    if (code != ERR_PROTO)
        return code;
    sse_feed(&a->sse, a->body.data, a->body.len);
    return end_of_stream(a);
}

static enum err_code end_of_page(struct attempt *a)
{
    failure_plain(&a->failure, buf_str(&a->body), a->body.len);
    a->failure.err.code = ERR_PROTO;
    return err_prefix(&a->failure.err, "HTTP %ld with a page that is no answer", a->reply.status);
}

/* The connection ended well, or was ended by us. */
static enum err_code judge_body(struct attempt *a)
{
    if (a->reply.status && !is_good(a->reply.status)) {
        failure_read(&a->failure, a->reply.status, buf_str(&a->body), a->body.len);
        return a->failure.err.code;
    }
    switch (a->shape) {
    case SHAPE_JSON:
        return end_of_json(a);
    case SHAPE_HTML:
        return end_of_page(a);
    case SHAPE_STREAM:
        return end_of_stream(a);
    default:
        return err_set(&a->failure.err, ERR_PROTO, "an empty body");
    }
}

/* The connection broke: only what is complete without its rest counts. */
static enum err_code judge_broken(struct attempt *a, const struct err *e)
{
    if (a->reply.status && !is_good(a->reply.status))
        return judge_body(a);
    if (e->code == ERR_TOO_LARGE && a->delta.text.len > 0) {
        a->delta.finished = true;
        a->delta.finish = FINISH_LENGTH;
    }
    if (a->delta.finished || a->delta.done)
        return delta_end(&a->delta, &a->failure);
    a->failure.err = *e;
    return e->code;
}

/* Tools are for later: an answer that only calls some says nothing to anybody. */
static void want_text(struct attempt *a, enum err_code code)
{
    if (code != ERR_OK)
        return;
    a->failure.err = (struct err)ERR_INIT; /* of what was tried first to read it */
    if (a->delta.text.len == 0)
        err_set(&a->failure.err, ERR_EMPTY, "only tool calls, and there are no tools");
}

/* e: how the call ended; NULL: we ended it. */
static void conclude(struct attempt *a, const struct err *e)
{
    timer_cancel(&a->timer);
    bool broken = e && e->code != ERR_OK;
    want_text(a, broken ? judge_broken(a, e) : judge_body(a));
    if (give_text(a))
        finish(a);
}

static void on_timer(void *arg)
{
    struct attempt *a = arg;
    a->transport->cancel(a);
    if (a->failed)
        finish(a);
    else
        conclude(a, NULL);
}

/* --- the body --- */

static bool on_event(void *arg, const struct sse_event *ev)
{
    struct attempt *a = arg;
    a->failed = delta_event(&a->delta, ev->type, ev->data, ev->len, &a->failure) != ERR_OK;
    return !a->failed && !a->delta.done && !a->delta.full;
}

/* Errors can be longer than is worth keeping. */
static void keep_body(struct attempt *a, const char *data, size_t len)
{
    size_t room = a->body.max - a->body.len;
    buf_add(&a->body, data, len < room ? len : room);
}

static enum shape shape_of(const struct attempt *a, char first)
{
    if (!is_good(a->reply.status))
        return SHAPE_REFUSAL;
    if (first == '{' || first == '[')
        return SHAPE_JSON;
    return first == '<' ? SHAPE_HTML : SHAPE_STREAM;
}

/* The first byte that is no blank decides; blanks keep slow answers alive. */
static void look_at(struct attempt *a, const char *data, size_t len)
{
    size_t i = 0;
    while (i < len && is_space(data[i]))
        i++;
    if (i == len)
        return;
    a->shape = shape_of(a, data[i]);
    bool whole = a->shape == SHAPE_JSON;
    buf_init(&a->body, whole ? COMPLETION_RESPONSE_BYTES_MAX : FAILURE_BODY_BYTES_MAX);
}

/* Stops reading when there is nothing more to learn. */
static bool after_events(struct attempt *a)
{
    if (!give_text(a))
        return false;
    if (a->failed || a->delta.full) {
        a->transport->cancel(a);
        conclude(a, NULL);
        return false;
    }
    if (a->delta.done || a->delta.finished)
        timer_set(&a->timer, a->delta.done ? DONE_LINGER_MS : FINISH_LINGER_MS);
    return true;
}

static void on_head(void *arg, const struct http_reply *reply)
{
    struct attempt *a = arg;
    a->reply = *reply;
}

static bool on_body(void *arg, const char *data, size_t len)
{
    struct attempt *a = arg;
    if (a->shape == SHAPE_UNKNOWN)
        look_at(a, data, len);
    if (a->shape == SHAPE_UNKNOWN || a->delta.done)
        return true;
    if (a->shape != SHAPE_STREAM) {
        keep_body(a, data, len);
        return true;
    }
    if (sse_feed(&a->sse, data, len) == ERR_TOO_LARGE) {
        a->failed = true;
        err_set(&a->failure.err, ERR_PROTO, "a line of the stream is too long");
    }
    return after_events(a);
}

static void on_done(void *arg, const struct http_reply *reply, const struct err *e)
{
    struct attempt *a = arg;
    a->http = NULL;
    a->practice = NULL;
    a->reply = *reply;
    conclude(a, e);
}

static const struct http_handler reading = {on_head, on_body, on_done};

/* --- transports --- */

static int64_t deadline(int64_t configured_ms)
{
    return configured_ms > 0 ? configured_ms : FOREVER_MS;
}

struct http_request attempt_http(const struct model_conf *m, const char *method, const struct buf *url,
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

static enum err_code http_begin(struct attempt *a, struct err *e)
{
    const struct model_conf *m = a->model;
    struct request_headers headers;
    struct buf url;
    buf_init(&url, REQUEST_URL_BYTES_MAX);
    request_url(&url, m);
    request_headers_init(&headers, m, a->key, m->stream);
    struct http_request req = attempt_http(m, "POST", &url, &headers);
    req.body = buf_str(&a->request);
    req.body_len = a->request.len;
    a->http = http_start(a->client->http, &req, &reading, a, e);
    request_headers_fini(&headers);
    buf_free(&url);
    return a->http ? ERR_OK : e->code;
}

static void http_stop(struct attempt *a)
{
    http_cancel(&a->http);
}

static enum err_code practice_begin(struct attempt *a, struct err *e)
{
    struct practice_reply reply;
    (void)e; /* a rule cannot fail */
    practice_answer(&a->client->practice, &a->model->practice_knobs, buf_str(&a->request), a->request.len, &reply);
    a->practice = practice_call_start(a->client->loop, &reply, &reading, a);
    return ERR_OK;
}

static void practice_stop(struct attempt *a)
{
    practice_call_cancel(&a->practice);
}

static const struct transport over_http = {http_begin, http_stop};
static const struct transport in_process = {practice_begin, practice_stop};

/* --- beginning --- */

struct attempt *attempt_start(struct model_client *client, const struct attempt_request *req,
                              const struct attempt_handler *handler, void *arg)
{
    struct attempt *a = mem_alloc(sizeof *a);
    struct err *e = &a->failure.err;
    *a = (struct attempt){
        .client = client,
        .model = req->model,
        .key = req->key,
        .handler = handler,
        .arg = arg,
        .transport = req->model->practice ? &in_process : &over_http,
        .reply = {.limits = RATELIMIT_INIT},
        .failure = FAILURE_INIT,
    };
    buf_init(&a->request, REQUEST_BYTES_MAX);
    sse_init(&a->sse, on_event, a);
    delta_init(&a->delta, COMPLETION_TEXT_BYTES_MAX);
    a->delta.thought.kept = handler->reasoning && req->model->show_reasoning != SHOW_REASONING_NO;
    timer_init(&a->timer, client->loop, on_timer, a);
    buf_expect(&a->request, req->parts->messages_len + REQUEST_OTHER_BYTES);
    if (request_body(&a->request, req->model, req->quirks, req->parts) != ERR_OK)
        err_set(e, ERR_TOO_LARGE, "the request is over %u bytes", REQUEST_BYTES_MAX);
    else
        a->transport->start(a, e);
    a->failed = e->code != ERR_OK;
    if (a->failed)
        timer_set(&a->timer, 0);
    return a;
}
