#include "adapters/matrix/sign.h"

#include <stdlib.h>
#include <string.h>

#include "adapters/matrix/matrix.h"
#include "plugin/base/mem.h"

struct sign {
    struct matrix *m;
    struct room *room;
    unsigned typing;       /* conversations of the room in which an answer is made */
    bool told_typing;      /* what the server knows, or is being told */
    struct api_call *typing_call;
    struct timer renew;
    char *read;            /* newest event that is to be marked, or NULL */
    struct timer read_soon;
    struct api_call *read_call;
};

static void tell_typing(struct sign *s);
static void tell_read(struct sign *s);

static void on_renew(void *arg)
{
    struct sign *s = arg;

    s->told_typing = false;
    tell_typing(s);
}

static void on_read_soon(void *arg)
{
    tell_read(arg);
}

static struct sign *sign_of(struct matrix *m, struct room *r)
{
    struct sign *s = r->sign;

    if (s)
        return s;
    s = r->sign = mem_alloc(sizeof *s);
    s->m = m;
    s->room = r;
    timer_init(&s->renew, m->a->loop, on_renew, s);
    timer_init(&s->read_soon, m->a->loop, on_read_soon, s);
    return s;
}

/* --- typing --- */

/* A sign that was not told is no harm: the next one, or TYPING_MS, sets it right. */
static void on_typing_told(void *arg, struct api_reply *r)
{
    struct sign *s = arg;

    (void)r;
    s->typing_call = NULL;
    tell_typing(s);
}

static void tell_typing(struct sign *s)
{
    bool on = s->typing > 0;
    struct buf path, body;

    if (s->typing_call || s->told_typing == on)
        return;
    s->told_typing = on;
    buf_init(&path, API_PATH_BYTES_MAX);
    buf_init(&body, 64);
    api_path(&path, "/_matrix/client/v3/rooms/%/typing/%", s->room->id, s->m->user);
    if (on)
        buf_addf(&body, "{\"typing\":true,\"timeout\":%d}", TYPING_MS);
    else
        buf_adds(&body, "{\"typing\":false}");
    struct api_request req = { .method = "PUT", .path = buf_str(&path), .body = &body };
    s->typing_call = api_start(&s->m->api, &req, on_typing_told, s);
    buf_free(&body);
    buf_free(&path);
    if (on)
        timer_set(&s->renew, TYPING_RENEW_MS);
    else
        timer_cancel(&s->renew);
}

void sign_typing(struct matrix *m, struct room *r, bool on)
{
    struct sign *s = sign_of(m, r);

    if (on)
        s->typing++;
    else if (s->typing > 0)
        s->typing--;
    tell_typing(s);
}

bool sign_leave(struct matrix *m)
{
    for (struct room *r = m->rooms; r; r = r->hh.next) {
        if (!r->sign)
            continue;
        r->sign->typing = 0;
        tell_typing(r->sign);
    }
    return sign_busy(m);
}

bool sign_busy(const struct matrix *m)
{
    for (const struct room *r = m->rooms; r; r = r->hh.next)
        if (r->sign && r->sign->typing_call)
            return true;
    return false;
}

/* --- read --- */

static void on_read_told(void *arg, struct api_reply *r)
{
    struct sign *s = arg;

    (void)r;
    s->read_call = NULL;
    tell_read(s);
}

static void tell_read(struct sign *s)
{
    struct buf path;

    if (s->read_call || !s->read)
        return;
    buf_init(&path, API_PATH_BYTES_MAX);
    api_path(&path, "/_matrix/client/v3/rooms/%/receipt/m.read/%", s->room->id, s->read);
    struct api_request req = { .method = "POST", .path = buf_str(&path) };
    s->read_call = api_start(&s->m->api, &req, on_read_told, s);
    buf_free(&path);
    free(s->read);
    s->read = NULL;
}

void sign_read(struct matrix *m, struct room *r, const char *event)
{
    struct sign *s = sign_of(m, r);

    free(s->read);
    s->read = mem_dup(event);
    if (!timer_pending(&s->read_soon))
        timer_set(&s->read_soon, READ_PAUSE_MS);
}

void sign_free_all(struct matrix *m)
{
    for (struct room *r = m->rooms; r; r = r->hh.next) {
        struct sign *s = r->sign;

        if (!s)
            continue;
        api_cancel(&s->typing_call);
        api_cancel(&s->read_call);
        timer_cancel(&s->renew);
        timer_cancel(&s->read_soon);
        free(s->read);
        free(s);
        r->sign = NULL;
    }
}
