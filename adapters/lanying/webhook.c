/* Callbacks of the cloud to the daemon's own listener. lanying.md, section 17.3.
 *
 * A callback is answered when its message is in the journal, which takes a few
 * milliseconds; if it takes longer, it is refused, so that it comes again. */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "adapters/lanying/lanying.h"
#include "plugin/base/json.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"

#define ANSWER_MS 4000
#define EARLY_MAX 64 /* callbacks that wait for the account to be online */

struct callback {
    struct callback *prev, *next;
    struct lanying *ly;
    struct http_in *req; /* NULL: it is answered, or its peer is gone */
    bool early;          /* its event is not made yet */
    struct timer patience;
};

static void reply(struct http_in *req, int status)
{
    http_in_reply(req, status, "text/plain", NULL, "", 0);
}

static void answer(struct callback *cb, int status)
{
    struct http_in *req = cb->req;

    cb->req = NULL;
    timer_cancel(&cb->patience);
    if (req)
        reply(req, status);
}

static void forget(struct callback *cb)
{
    DL_DELETE(cb->ly->callbacks, cb);
    timer_cancel(&cb->patience);
    loop_free_later(cb->ly->a->loop, cb, free);
}

void webhook_through(struct callback *cb)
{
    answer(cb, 200);
    forget(cb);
}

static void on_patience_over(void *arg)
{
    struct callback *cb = arg;

    answer(cb, 503);
    if (cb->early)
        forget(cb);
}

static void on_gone(void *arg)
{
    struct callback *cb = arg;

    cb->req = NULL;
    timer_cancel(&cb->patience);
    if (cb->early)
        forget(cb);
}

static struct callback *callback_new(struct lanying *ly, struct http_in *req)
{
    struct callback *cb = mem_alloc(sizeof *cb);

    cb->ly = ly;
    cb->req = req;
    timer_init(&cb->patience, ly->a->loop, on_patience_over, cb);
    timer_set(&cb->patience, ANSWER_MS);
    DL_APPEND(ly->callbacks, cb);
    http_in_keep(req, on_gone, cb);
    return cb;
}

static bool is_signed(const struct lanying *ly, const struct http_in *req)
{
    const char *signature = http_in_header(req, "signature");

    return signature && secret_equal(&lanying_conf(ly)->callback_signature, signature, strlen(signature));
}

static struct event *read_body(struct lanying *ly, const struct http_in *req)
{
    size_t len;
    const char *text = http_in_body(req, &len), *app;
    cJSON *body = ly_json_parse(text, len);
    struct event *ev = body ? event_from_callback(body, ly->session.uid, &app) : NULL;

    if (ev && strcmp(app, lanying_conf(ly)->app_id) != 0) {
        event_free(ev);
        ev = NULL;
    }
    cJSON_Delete(body);
    return ev;
}

static void take(struct callback *cb)
{
    struct lanying *ly = cb->ly;
    struct event *ev = read_body(ly, cb->req);

    cb->early = false;
    if (!ev) {
        log_warn("lanying", "%s: a callback that is none of this app's messages", lanying_name(ly));
        answer(cb, 400);
        forget(cb);
        return;
    }
    ev->callback = cb;
    ly_sync_event(ly, ev);
}

static size_t count_early(const struct lanying *ly)
{
    const struct callback *cb;
    size_t n = 0;

    DL_FOREACH(ly->callbacks, cb)
        n += cb->early;
    return n;
}

static void on_callback(void *arg, struct http_in *req)
{
    struct lanying *ly = arg;
    bool online = session_online(&ly->session);
    struct callback *cb;

    if (!is_signed(ly, req)) {
        log_warn("lanying", "%s: a callback with a wrong signature from %s", lanying_name(ly), http_in_peer(req));
        reply(req, 403);
    } else if (!online && count_early(ly) >= EARLY_MAX) {
        reply(req, 503);
    } else {
        cb = callback_new(ly, req);
        cb->early = !online;
        if (online)
            take(cb);
    }
}

void webhook_go_on(struct lanying *ly)
{
    struct callback *cb, *next;

    DL_FOREACH_SAFE(ly->callbacks, cb, next)
        if (cb->early)
            take(cb);
}

/* Accounts that have their route: one path has room for one. */
static struct lanying *listening;

static bool is_taken(const char *path)
{
    const struct lanying *ly;

    LL_FOREACH2(listening, ly, next_listening)
        if (strcmp(lanying_conf(ly)->webhook_path, path) == 0)
            return true;
    return false;
}

enum err_code webhook_init(struct lanying *ly, struct err *e)
{
    const struct lanying_conf *conf = lanying_conf(ly);

    if (conf->mode != MODE_WEBHOOK || !ly->a->server)
        return ERR_OK;
    if (conf->webhook_path[0] != '/')
        return err_set(e, ERR_INVALID, "webhook_path must begin with /");
    if (is_taken(conf->webhook_path))
        return err_set(e, ERR_EXISTS, "another account takes its callbacks at %s: give each a webhook_path of its own",
                       conf->webhook_path);
    LL_PREPEND2(listening, ly, next_listening);
    ly->listens = true;
    server_route(ly->a->server, "POST", conf->webhook_path, on_callback, ly);
    return ERR_OK;
}

void webhook_fini(struct lanying *ly)
{
    struct callback *cb, *next;

    if (ly->listens) {
        server_unroute(ly->a->server, ly);
        LL_DELETE2(listening, ly, next_listening);
    }
    DL_FOREACH_SAFE(ly->callbacks, cb, next) {
        answer(cb, 503);
        forget(cb);
    }
}
