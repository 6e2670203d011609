/* `warbler ping` of models: completion.h, model_ping(). */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "plugin/base/mem.h"
#include "plugin/model/attempt.h"
#include "plugin/model/endpoint.h"

/* One model: all its keys are tried at once. */
struct ping {
    struct model_client *client;
    const struct model_conf *model;
    void (*done)(void *arg, const struct err *e);
    void *arg;
    struct key_ping *keys;
    int n, left;
    struct timer timer;
    struct err e; /* of the keys that failed, one behind the other; the code is the first one's */
    struct ping *next, *prev;
};

struct key_ping {
    struct ping *ping;
    struct http_call *http;
    struct buf body;
    struct err e;
};

static void ping_free(void *p)
{
    struct ping *ping = p;
    for (int i = 0; i < ping->n; i++)
        buf_free(&ping->keys[i].body);
    free(ping->keys);
    free(ping);
}

static void ping_release(struct ping *p)
{
    for (int i = 0; i < p->n; i++)
        http_cancel(&p->keys[i].http);
    timer_cancel(&p->timer);
    DL_DELETE(p->client->pings, p);
    loop_free_later(p->client->loop, p, ping_free);
}

void ping_end_all(struct model_client *client)
{
    while (client->pings)
        ping_release(client->pings);
}

static void add_failure(struct ping *p, int i)
{
    struct err *e = &p->keys[i].e;
    const struct secret *key = endpoint_key(p->model, i);
    if (e->code == ERR_OK)
        return;
    failure_hide(e, key ? secret_reveal(key) : NULL);
    if (p->n > 1)
        err_prefix(e, "key %d of %d", i + 1, p->n);
    if (p->e.code == ERR_OK)
        p->e = *e;
    else
        err_set(&p->e, p->e.code, "%s; %s", p->e.text, e->text);
}

static void ping_finish(void *arg)
{
    struct ping *p = arg;
    for (int i = 0; i < p->n; i++)
        add_failure(p, i);
    ping_release(p);
    p->done(p->arg, &p->e);
}

static bool on_body(void *arg, const char *data, size_t len)
{
    struct key_ping *k = arg;
    size_t room = k->body.max - k->body.len;
    buf_add(&k->body, data, len < room ? len : room);
    return true;
}

static void judge(struct key_ping *k, long status)
{
    struct failure f = FAILURE_INIT;
    const char *body = buf_str(&k->body), *begin = body + strspn(body, " \t\r\n");
    if (status < 200 || status >= 300) {
        failure_read(&f, status, body, k->body.len);
        k->e = f.err;
    } else if (*begin != '{' && *begin != '[') {
        err_set(&k->e, ERR_PROTO, "HTTP %ld, but not a list of models: is base_url right?", status);
    }
}

static void on_done(void *arg, const struct http_reply *reply, const struct err *e)
{
    struct key_ping *k = arg;
    k->http = NULL;
    if (e->code == ERR_OK)
        judge(k, reply->status);
    else
        k->e = *e;
    if (--k->ping->left == 0)
        ping_finish(k->ping);
}

static void ping_key(struct ping *p, int i)
{
    static const struct http_handler handler = {NULL, on_body, on_done};
    const struct model_conf *m = p->model;
    struct key_ping *k = &p->keys[i];
    struct request_headers headers;
    struct buf url;
    k->ping = p;
    buf_init(&k->body, FAILURE_BODY_BYTES_MAX);
    buf_init(&url, REQUEST_URL_BYTES_MAX);
    request_models_url(&url, m);
    request_headers_init(&headers, m, endpoint_key(m, i), false);
    struct http_request req = attempt_http(m, "GET", &url, &headers);
    k->http = http_start(p->client->http, &req, &handler, k, &k->e);
    p->left += k->http != NULL;
    request_headers_fini(&headers);
    buf_free(&url);
}

void model_ping(struct model_client *client, const struct model_conf *model,
                void (*done)(void *arg, const struct err *e), void *arg)
{
    struct ping *p = mem_alloc(sizeof *p);
    *p = (struct ping){.client = client, .model = model, .done = done, .arg = arg};
    timer_init(&p->timer, client->loop, ping_finish, p);
    DL_APPEND(client->pings, p);
    if (!model->practice) {
        p->n = endpoint_keys(model);
        p->keys = mem_array((size_t)p->n, sizeof *p->keys);
    }
    for (int i = 0; i < p->n; i++)
        ping_key(p, i);
    if (p->left == 0) /* the practice model is always there; or the URL cannot work */
        timer_set(&p->timer, 0);
}
