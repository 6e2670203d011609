#include "adapters/matrix/appservice.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "adapters/matrix/invite.h"
#include "adapters/matrix/matrix.h"
#include "adapters/matrix/secrecy.h"
#include "plugin/base/json.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"
#include "plugin/net/server.h"

#define TRANSACTIONS "/_matrix/app/v1/transactions/"
#define USERS "/_matrix/app/v1/users/"
#define ROOMS "/_matrix/app/v1/rooms/"
#define PING "/_matrix/app/v1/ping"
#define JSON "application/json"
#define BEARER "Bearer "
#define REMARK "homeserver" /* that it does not reach us */

/* A transaction on its way to disk. */
struct push {
    struct push *prev, *next;
    struct matrix *m;
    char *id;
    struct http_in *req; /* NULL: the homeserver hung up, and will send it again */
};

/* Homeservers know fixed paths, so one listener has room for one account. */
static bool listener_taken;

/* --- answers --- */

static void answer(struct http_in *req, int status, const char *errcode)
{
    struct buf body;

    buf_init(&body, 256);
    if (errcode)
        buf_addf(&body, "{\"errcode\":\"%s\"}", errcode);
    else
        buf_adds(&body, "{}");
    http_in_reply(req, status, JSON, NULL, buf_str(&body), body.len);
    buf_free(&body);
}

/* False: refused, and answered. */
static bool is_homeserver(const struct matrix *m, struct http_in *req)
{
    const char *auth = http_in_header(req, "authorization");
    bool bearer = auth && strncmp(auth, BEARER, strlen(BEARER)) == 0;
    const char *token = bearer ? auth + strlen(BEARER) : "";

    if (bearer && secret_equal(&matrix_conf(m)->appservice.hs_token, token, strlen(token)))
        return true;
    answer(req, bearer ? 403 : 401, bearer ? "M_FORBIDDEN" : "M_MISSING_TOKEN");
    return false;
}

/* --- transactions --- */

static void push_free(struct push *p)
{
    DL_DELETE(p->m->appservice.pushes, p);
    free(p->id);
    free(p);
}

static void on_gone(void *arg)
{
    struct push *p = arg;

    p->req = NULL;
}

static void on_taken(void *arg)
{
    struct push *p = arg;
    struct appservice *as = &p->m->appservice;

    free(as->last);
    as->last = mem_dup(p->id);
    if (p->req)
        answer(p->req, 200, NULL);
    push_free(p);
}

static void note_ourselves(struct matrix *m, struct room *r, const cJSON *event)
{
    const char *membership = json_str(json_get(event, "content"), "membership");

    if (!membership)
        return;
    r->member = strcmp(membership, "join") == 0;
    if (strcmp(membership, "invite") != 0)
        return;
    cJSON *state = cJSON_CreateArray();
    const cJSON *other;
    cJSON_ArrayForEach(other, json_get(json_get(event, "unsigned"), "invite_room_state"))
        cJSON_AddItemToArray(state, cJSON_Duplicate(other, true));
    cJSON_AddItemToArray(state, cJSON_Duplicate(event, true));
    invite_heard(m, r->id, state);
    cJSON_Delete(state);
}

static void take_event(struct batch *b, struct matrix *m, cJSON *event)
{
    const char *room = json_str(event, "room_id"), *type = json_str(event, "type"), *who = json_str(event, "state_key");
    struct room *r;

    if (!event_id_ok(room, '!') || !type) {
        cJSON_Delete(event);
        return;
    }
    r = room_get(m, room);
    if (who && strcmp(type, "m.room.member") == 0) {
        if (strcmp(who, m->user) == 0)
            note_ourselves(m, r, event);
        r->surveyed = false; /* who is there is counted anew before the next message */
    }
    intake_event(b, r, event, WORTH_ANSWER);
}

static void take(struct push *p, cJSON *json)
{
    struct matrix *m = p->m;
    cJSON *events = cJSON_GetObjectItemCaseSensitive(json, "events");
    /* What waited for us while we were away looks like anything else: its age tells. */
    struct batch *b = intake_open(m, p->id, true, on_taken, p);

    while (cJSON_IsArray(events) && events->child)
        take_event(b, m, cJSON_DetachItemViaPointer(events, events->child));
    intake_close(b);
}

static struct push *push_of(struct appservice *as, const char *id)
{
    struct push *p;

    DL_FOREACH(as->pushes, p)
    if (strcmp(p->id, id) == 0)
        return p;
    return NULL;
}

static void begin(struct matrix *m, struct http_in *req, const char *id, cJSON *json)
{
    struct appservice *as = &m->appservice;
    struct push *p = push_of(as, id);

    if (p) { /* the homeserver lost patience and asks again */
        if (p->req)
            answer(p->req, 503, "M_UNKNOWN");
        p->req = req;
        http_in_keep(req, on_gone, p);
        return;
    }
    p = mem_alloc(sizeof *p);
    p->m = m;
    p->id = mem_dup(id);
    p->req = req;
    DL_APPEND(as->pushes, p);
    http_in_keep(req, on_gone, p);
    take(p, json);
}

static void on_transaction(void *arg, struct http_in *req)
{
    struct matrix *m = arg;
    struct appservice *as = &m->appservice;
    const char *id = http_in_path(req) + strlen(TRANSACTIONS);
    size_t len, n;
    struct push *p;

    if (!is_homeserver(m, req))
        return;
    DL_COUNT(as->pushes, p, n);
    if (!as->open || n >= PUSHES_MAX) {
        answer(req, 503, "M_UNKNOWN");
        return;
    }
    if (as->last && strcmp(as->last, id) == 0) {
        answer(req, 200, NULL);
        return;
    }
    const char *body = http_in_body(req, &len);
    cJSON *json = *id && strlen(id) <= PUSH_ID_BYTES_MAX ? json_parse_pruned(body, len) : NULL;
    if (cJSON_IsArray(json_get(json, "events")))
        begin(m, req, id, json);
    else
        answer(req, 400, "M_NOT_JSON");
    cJSON_Delete(json);
}

/* --- queries --- */

static void on_user(void *arg, struct http_in *req)
{
    const struct matrix *m = arg;
    const char *user = http_in_path(req) + strlen(USERS);
    bool ours = m->user && strcmp(user, m->user) == 0;

    if (is_homeserver(m, req))
        answer(req, ours ? 200 : 404, ours ? NULL : "M_NOT_FOUND");
}

static void on_room(void *arg, struct http_in *req)
{
    if (is_homeserver(arg, req))
        answer(req, 404, "M_NOT_FOUND");
}

static void on_ping(void *arg, struct http_in *req)
{
    if (is_homeserver(arg, req))
        answer(req, 200, NULL);
}

/* --- does it reach us? --- */

static void look(void *arg);

/* ERR_OK, or why the homeserver does not reach us, or we do not reach it. */
static void judge_reach(const struct matrix *m, struct api_reply *r)
{
    const char *url = matrix_conf(m)->appservice.url;

    if (strcmp(r->errcode, "M_UNRECOGNIZED") == 0) /* an older homeserver, which has no such call */
        r->err = (struct err)ERR_INIT;
    else if (strcmp(r->errcode, "M_URL_NOT_SET") == 0)
        err_set(&r->err, ERR_PARAM, "the homeserver's registration file has no url");
    else if (strcmp(r->errcode, "M_FORBIDDEN") == 0)
        err_set(&r->err, ERR_PARAM, "the homeserver knows no application service \"%s\" with this as_token",
                matrix_conf(m)->appservice.id);
    else if (r->err.code && r->status)
        err_prefix(&r->err, "the homeserver does not reach the bot (it should at %s)", url);
}

static void ask_reach(struct matrix *m, api_done *done)
{
    struct buf path;

    buf_init(&path, API_PATH_BYTES_MAX);
    api_path(&path, "/_matrix/client/v1/appservice/%/ping", matrix_conf(m)->appservice.id);
    m->appservice.call = api_start(&m->api, &(struct api_request){ .method = "POST", .path = buf_str(&path) }, done, m);
    buf_free(&path);
}

static void on_looked(void *arg, struct api_reply *r)
{
    struct matrix *m = arg;

    m->appservice.call = NULL;
    if (!r->status || r->err.code == ERR_AUTH) {
        matrix_down(m, &r->err, r->status == 0);
        return;
    }
    judge_reach(m, r);
    adapter_remark(m->a, REMARK, r->err.code ? r->err.text : NULL);
    timer_set(&m->appservice.again, REACH_MS);
}

/* Nothing else tells that the homeserver is gone: we only wait for it. */
static void look(void *arg)
{
    ask_reach(arg, on_looked);
}

static void on_pinged(void *arg, struct api_reply *r)
{
    struct matrix *m = arg;

    m->appservice.call = NULL;
    judge_reach(m, r);
    m->appservice.ping_done(m, &r->err);
}

void appservice_ping(struct matrix *m, void (*done)(struct matrix *m, const struct err *e))
{
    m->appservice.ping_done = done;
    ask_reach(m, on_pinged);
}

/* --- life --- */

enum err_code appservice_init(struct matrix *m, struct err *e)
{
    const struct matrix_conf *conf = matrix_conf(m);
    struct server *server = m->a->server;

    timer_init(&m->appservice.again, m->a->loop, look, m);
    if (secret_empty(&conf->appservice.hs_token) || secret_empty(&conf->access_token) || !conf->user)
        return err_set(e, ERR_INVALID, "mode = \"appservice\" needs access_token (the as_token), user and "
                                       "appservice.hs_token");
    if (!server)
        return ERR_OK;
    if (listener_taken)
        return err_set(e, ERR_EXISTS, "there is an application service already, and one listener has room for one");
    listener_taken = m->appservice.listening = true;
    server_route_prefix(server, "PUT", TRANSACTIONS, on_transaction, m);
    server_route_body(server, TRANSACTIONS, PUSH_BODY_BYTES_MAX);
    server_route_prefix(server, "GET", USERS, on_user, m);
    server_route_prefix(server, "GET", ROOMS, on_room, m);
    server_route(server, "POST", PING, on_ping, m);
    return ERR_OK;
}

static void open_doors(struct matrix *m)
{
    m->appservice.open = true;
    matrix_online(m);
    look(m);
}

static void on_position(void *arg, const char *value, int64_t expires_ms, const struct err *e)
{
    struct matrix *m = arg;

    (void)expires_ms;
    if (!m->running || m->appservice.recalled)
        return;
    if (e->code) {
        matrix_down(m, e, true);
        return;
    }
    m->appservice.recalled = true;
    m->appservice.last = mem_dup(value);
    open_doors(m);
}

void appservice_start(struct matrix *m)
{
    if (m->appservice.recalled)
        open_doors(m);
    else
        adapter_recall(m->a, FACT_POSITION, on_position, m);
}

void appservice_stop(struct matrix *m)
{
    struct push *p;

    m->appservice.open = false;
    timer_cancel(&m->appservice.again);
    api_cancel(&m->appservice.call);
    DL_FOREACH(m->appservice.pushes, p)
    {
        if (p->req)
            answer(p->req, 503, "M_UNKNOWN");
        p->req = NULL;
    }
}

void appservice_fini(struct matrix *m)
{
    appservice_stop(m);
    if (m->appservice.listening) {
        server_unroute(m->a->server, m);
        listener_taken = m->appservice.listening = false;
    }
    while (m->appservice.pushes)
        push_free(m->appservice.pushes);
    free(m->appservice.last);
}

/* --- registration --- */

/* JSON strings are YAML strings. */
static void add_line(struct buf *out, const char *name, const char *value)
{
    buf_addf(out, "%s: ", name);
    json_quote(out, value);
    buf_addc(out, '\n');
}

enum err_code appservice_registration(const struct account_conf *account, struct buf *out, struct err *e)
{
    const struct matrix_conf *conf = account->settings;
    bool whole = !secret_empty(&conf->appservice.hs_token) && !secret_empty(&conf->access_token) && conf->user;
    struct buf users;

    if (conf->mode != MODE_APPSERVICE || !whole)
        return err_set(e, ERR_INVALID, "account \"%s\" is no application service: that needs mode = \"appservice\", "
                       "access_token, user and appservice.hs_token", account->name);
    buf_init(&users, 1024);
    buf_addc(&users, '@');
    for (const char *c = conf->user; *c; c++)
        buf_addf(&users, strchr(".+*?()[]{}|^$\\", *c) ? "\\%c" : "%c", *c);
    buf_adds(&users, ":.*");
    add_line(out, "id", conf->appservice.id);
    add_line(out, "url", conf->appservice.url);
    add_line(out, "as_token", secret_reveal(&conf->access_token));
    add_line(out, "hs_token", secret_reveal(&conf->appservice.hs_token));
    add_line(out, "sender_localpart", conf->user);
    buf_adds(out, "rate_limited: false\nnamespaces:\n  users:\n    - exclusive: true\n      regex: ");
    json_quote(out, buf_str(&users));
    buf_adds(out, "\n  aliases: []\n  rooms: []\n");
    buf_free(&users);
    return buf_error(out);
}
