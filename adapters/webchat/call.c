#include "adapters/webchat/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <utlist.h>

#include "adapters/webchat/access.h"
#include "adapters/webchat/opening.h"
#include "plugin/base/clock.h"
#include "plugin/base/mem.h"
#include "plugin/base/metric.h"
#include "plugin/base/utf8.h"
#include "plugin/web/web.h"

#define KEY_BYTES_MAX 64 /* of an Idempotency-Key that is a message's id as it stands */
#define ID_BYTES 16      /* of the id of a message without one */

/* --- the end --- */

static void call_free(void *arg)
{
    struct call *p = arg;

    free(p->name);
    free(p->text);
    buf_free(&p->shown);
    free(p);
}

static void call_forget(struct call *p)
{
    DL_DELETE(p->w->calls, p);
    loop_free_later(p->w->a->loop, p, call_free);
}

/* req is answered or gone. Also for what call_end() left because the host was asked. */
static void call_release(struct call *p)
{
    p->req = NULL;
    timer_cancel(&p->beat);
    opening_leave(p);
    room_leave_call(p);
    if (p->pending)
        p->pending->call = NULL;
    p->pending = NULL;
    p->settled = false;
}

void call_end(struct call *p)
{
    struct webchat *w = p->w;

    if (p->req) {
        call_release(p);
        limits_close(&w->limits, &p->address);
    }
    if (!p->asking)
        call_forget(p);
    webchat_left(w);
}

void call_error(struct call *p, int status, bool retry, const char *code, const char *text)
{
    char headers[64];

    if (p->begun) {
        http_in_end(p->req); /* without {"done":true}: the client sees that it is cut */
    } else {
        snprintf(headers, sizeof headers, "Retry-After: %d\r\n", CALL_RETRY_S);
        web_error(p->req, status, retry ? headers : NULL, code, text);
    }
    call_end(p);
}

void call_stop_all(struct webchat *w)
{
    struct call *p, *next;

    DL_FOREACH_SAFE(w->calls, p, next)
    if (p->req)
        call_error(p, 503, true, "busy", "The service is restarting.");
}

void call_free_all(struct webchat *w)
{
    struct call *p, *next;

    call_stop_all(w);
    DL_FOREACH_SAFE(w->calls, p, next)
    call_forget(p);
}

static void on_gone(void *arg)
{
    call_end(arg);
}

/* --- into the conversation --- */

void call_not_opened(struct call *p, const struct err *e)
{
    struct refusal why = webchat_refusal(e);

    if (e->code == ERR_NOT_FOUND)
        call_error(p, 404, false, "not_found", "There is no such conversation.");
    else
        call_error(p, why.status, why.status == 503, why.code, why.text);
}

static void rate_error(struct call *p, int64_t wait_ms)
{
    char headers[64];

    metric_add(METRIC_MESSAGES_REFUSED, 1);
    snprintf(headers, sizeof headers, "Retry-After: %lld\r\n", (long long)((wait_ms + 999) / 1000));
    web_error(p->req, 429, headers, "rate", "Too many messages in a minute. Wait a little.");
    call_end(p);
}

void call_opened(struct call *p, const char *conversation, const struct identity *id)
{
    int64_t wait_ms = limits_speak(&p->w->limits, webchat_conf(p->w)->messages_per_minute, id->sender, clock_mono_us());
    char guest[IDENTITY_GUEST_SIZE];
    struct msg_in m = {
        .chat = id->chat,
        .id = p->message_id,
        .sender = id->sender,
        .sender_name = p->name ? p->name : guest,
        .text = p->text,
        .len = strlen(p->text),
        .lang = p->lang[0] ? p->lang : NULL,
        .direct = true,
    };

    if (wait_ms > 0) {
        rate_error(p, wait_ms);
        return;
    }
    memcpy(p->conversation, conversation, IDENTITY_SECRET_SIZE);
    p->id = *id;
    identity_guest(guest, id->sender);
    room_join_call(p, p->w, id->chat);
    p->pending = webchat_say(p->w, &m, NULL, p);
    free(p->text);
    p->text = NULL;
}

/* --- the request --- */

/* Without tokens the endpoint is there only for trying things out on one's own
 * machine. */
static bool enabled(const struct webchat *w)
{
    const struct webchat_conf *conf = webchat_conf(w);

    return conf->tokens.n > 0 || (conf->demo && access_loopback(server_address(w->a->server)));
}

/* NULL: refused and answered. Else whose request it is: a token, or "". */
static const char *admit(const struct webchat *w, struct http_in *req)
{
    const struct webchat_conf *conf = webchat_conf(w);
    const char *token = "";

    if (!enabled(w)) {
        web_error(req, 404, NULL, "not_found", "There is no such page.");
        return NULL;
    }
    if (!access_ok(req, server_address(w->a->server), &conf->origins)) {
        web_error(req, 403, NULL, "forbidden", "Requests from this site, or to this host name, are not served.");
        return NULL;
    }
    if (conf->tokens.n > 0) {
        token = access_token(http_in_header(req, "authorization"), &conf->tokens);
        if (!token)
            web_error(req, 401, "WWW-Authenticate: Bearer\r\n", "unauthorized", "A valid token is needed.");
    }
    return token;
}

/* A long or odd key is hashed: it has to be a message's id. */
static void message_id(char out[65], const char *key)
{
    size_t len = key ? strlen(key) : 0;

    if (len == 0)
        random_hex(out, ID_BYTES);
    else if (len <= KEY_BYTES_MAX && utf8_valid(key, len))
        memcpy(out, key, len + 1);
    else
        sha256_hex(out, key, len);
}

/* The first tag of Accept-Language; its order is that of preference nearly always. */
static void language(char out[LANG_BYTES_MAX + 1], const char *accept)
{
    size_t len = accept ? strcspn(accept, ",; ") : 0;

    if (len > 0 && len <= LANG_BYTES_MAX && accept[0] != '*')
        snprintf(out, LANG_BYTES_MAX + 1, "%.*s", (int)len, accept);
}

static struct call *call_new(struct webchat *w, struct http_in *req, const struct question_body *q, const char *key)
{
    struct call *p = mem_alloc(sizeof *p);
    const char *accept = http_in_header(req, "accept");

    p->w = w;
    p->req = req;
    p->address = limits_open(&w->limits, NULL);
    p->stream = accept && strstr(accept, "text/event-stream");
    p->name = mem_dup(q->name);
    p->text = mem_dup(q->message);
    message_id(p->message_id, key);
    language(p->lang, http_in_header(req, "accept-language"));
    buf_init(&p->shown, FRAME_OUT_BYTES_MAX);
    p->deadline_ms = clock_mono_ms() + CALL_WAIT_MS;
    timer_init(&p->beat, w->a->loop, call_beat, p);
    timer_set(&p->beat, CALL_BEAT_MS);
    DL_APPEND(w->calls, p);
    http_in_keep(req, on_gone, p);
    return p;
}

/* False: refused and answered. */
static bool acceptable(struct webchat *w, struct http_in *req, const struct question_body *q)
{
    const struct webchat_conf *conf = webchat_conf(w);

    if (conf->max_message_bytes > 0 && strlen(q->message) > (size_t)conf->max_message_bytes) {
        metric_add(METRIC_MESSAGES_REFUSED, 1);
        web_error(req, 413, NULL, "too_long", "The message is too long.");
    } else if (q->conversation && !identity_plausible(q->conversation, IDENTITY_CONVERSATION)) {
        web_error(req, 404, NULL, "not_found", "There is no such conversation.");
    } else if (!w->running || limits_check(&w->limits, conf->max_connections, 0, NULL) != 0) {
        metric_add(METRIC_MESSAGES_REFUSED, 1);
        web_error(req, 503, "Retry-After: 1\r\n", "busy", "Too many requests are waiting for their answers.");
    } else {
        return true;
    }
    return false;
}

static void on_post(void *arg, struct http_in *req)
{
    struct webchat *w = arg;
    struct question_body q;
    const char *token, *body, *key;
    size_t len;

    token = admit(w, req);
    if (!token)
        return;
    body = http_in_body(req, &len);
    key = http_in_header(req, "idempotency-key");
    if (key && key[0] == '\0')
        key = NULL;
    if (question_read(&q, body, len) != ERR_OK)
        web_error(req, 400, NULL, "bad_request", q.why);
    else if (acceptable(w, req, &q))
        opening_start(w, call_new(w, req, &q, key), q.conversation, token, key);
    question_fini(&q);
}

void call_routes(struct webchat *w, struct server *server)
{
    server_route(server, "POST", "/chat", on_post, w);
}
