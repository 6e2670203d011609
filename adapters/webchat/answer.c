/* What a POST /chat waits for: its message's acceptance, then the answer. */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "adapters/webchat/call.h"
#include "plugin/base/clock.h"
#include "plugin/base/mem.h"
#include "plugin/web/web.h"

/* --- to the client --- */

static void begin_stream(struct call *p)
{
    if (!p->begun)
        web_begin(p->req, 200, "text/event-stream", "X-Accel-Buffering: no\r\n");
    p->begun = true;
}

/* What the client sees becomes text. A client that reads too slowly to take it
 * is left as it is: the next event brings all that it lacks. */
static void show(struct call *p, const char *text, size_t len)
{
    size_t old = p->shown.len;
    bool grew = len >= old && memcmp(buf_str(&p->shown), text, old) == 0;
    struct buf event;

    if (grew && len == old)
        return;
    begin_stream(p);
    buf_init(&event, FRAME_OUT_BYTES_MAX);
    if (grew)
        put_event_delta(&event, text + old, len - old);
    else
        put_event_replace(&event, text, len);
    if (!buf_error(&event) && http_in_write(p->req, buf_str(&event), event.len) == ERR_OK) {
        buf_cut(&p->shown, grew ? old : 0);
        buf_add(&p->shown, text + p->shown.len, len - p->shown.len);
    }
    buf_free(&event);
}

static void end_stream(struct call *p, const struct answer_body *a)
{
    struct buf event;

    show(p, a->reply, a->reply_len);
    begin_stream(p);
    buf_init(&event, FRAME_OUT_BYTES_MAX);
    put_event_done(&event, a);
    http_in_write(p->req, buf_str(&event), event.len);
    http_in_end(p->req);
    buf_free(&event);
}

static void reply(struct call *p, struct answer_body *a)
{
    struct buf body;

    a->conversation = p->conversation;
    if (p->stream) {
        end_stream(p, a);
    } else {
        buf_init(&body, FRAME_OUT_BYTES_MAX);
        put_answer_body(&body, a);
        web_reply(p->req, 200, WEB_JSON, NULL, buf_str(&body), body.len);
        buf_free(&body);
    }
    call_end(p);
}

/* The bot decided to say nothing. */
static void reply_silence(struct call *p)
{
    struct answer_body none = { .reply = "", .finish = "cancelled" };

    reply(p, &none);
}

/* 0: trying again cannot help. */
static int retry_status(enum err_code code)
{
    switch (code) {
    case ERR_RATE:
        return 429;
    case ERR_OVERLOAD:
    case ERR_NET:
    case ERR_TIMEOUT:
    case ERR_SERVER:
    case ERR_PROTO:
        return 503;
    default:
        return 0;
    }
}

static bool is_failure(const struct msg_out *m)
{
    return m->notice && m->finish && strcmp(m->finish, "error") == 0;
}

static void finish(struct call *p, const struct msg_out *m)
{
    struct answer_body a = {
        .reply = m->text,
        .reply_len = m->len,
        .finish = m->finish,
        .usage = m->usage,
        .notice = m->notice,
    };
    int status = is_failure(m) ? retry_status(m->error) : 0;
    char *text;

    if (status == 0 || p->begun) {
        reply(p, &a);
        return;
    }
    text = mem_dupn(m->text, m->len);
    call_error(p, status, true, err_name(m->error), text);
    free(text);
}

/* --- events --- */

static bool answers(const struct msg_out *m, const struct call *p)
{
    if (m->reply_seq == p->seq)
        return true;
    for (size_t i = 0; m->answers && m->answers[i]; i++)
        if (strcmp(m->answers[i], p->message_id) == 0)
            return true;
    return false;
}

/* A conversation is answered in order. So the end of a later message's turn,
 * which a command's result is not, means that this one is passed over: its bot
 * answers only the latest. */
static bool passes_over(const struct msg_out *m, const struct call *p)
{
    return m->done && m->reply_seq > p->seq && (!m->notice || is_failure(m));
}

void call_events(struct room *r, const struct msg_out *m)
{
    struct call *p, *next;

    DL_FOREACH_SAFE2(r->calls, p, next, room_next)
    {
        if (p->seq == 0 || p->settled || p->asking)
            continue;
        if (answers(m, p)) {
            if (m->done)
                finish(p, m);
            else if (p->stream)
                show(p, m->text, m->len);
        } else if (passes_over(m, p)) {
            reply_silence(p);
        }
    }
}

/* --- what the host says --- */

void call_accepted(struct call *p, const struct msg_accepted *r, const struct err *e)
{
    struct refusal why;

    p->pending = NULL;
    if (failed(e)) {
        why = webchat_refusal(e); /* counted by the host */
        call_error(p, why.status, why.status == 503, why.code, why.text);
        return;
    }
    p->seq = r->seq;
    if (!r->to_answer) {
        reply_silence(p);
    } else if (r->duplicate && r->settled) {
        p->settled = true;
        defer_set(&p->w->later);
    }
}

static void on_answer(void *arg, const struct msg_page *page, const struct err *e)
{
    struct call *p = arg;
    struct answer_body a = { 0 };

    p->asking = false;
    if (!p->req) {
        call_end(p);
    } else if (failed(e)) {
        call_error(p, 503, true, "full", "The stored answer cannot be read now.");
    } else if (page->n == 0) {
        reply_silence(p);
    } else {
        a.reply = page->msgs[0].text;
        a.reply_len = strlen(a.reply);
        a.finish = page->msgs[0].finish;
        a.usage = page->msgs[0].usage;
        a.notice = page->msgs[0].notice;
        reply(p, &a);
    }
}

void call_look_up(struct webchat *w)
{
    struct call *p;

    DL_FOREACH(w->calls, p)
    {
        if (!p->settled)
            continue;
        p->settled = false;
        p->asking = true;
        adapter_answer(w->a, p->id.chat, NULL, p->seq, on_answer, p);
    }
}

void call_beat(void *call)
{
    struct call *p = call;

    if (clock_mono_ms() >= p->deadline_ms) {
        call_error(p, 503, true, "timeout", "There is no answer yet. Ask again with the same Idempotency-Key.");
        return;
    }
    if (p->stream) {
        begin_stream(p);
        http_in_write(p->req, ":\n\n", 3);
    }
    timer_set(&p->beat, CALL_BEAT_MS);
}
