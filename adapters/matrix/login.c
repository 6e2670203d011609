#include "adapters/matrix/login.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/matrix/event.h"
#include "adapters/matrix/matrix.h"
#include "plugin/base/clock.h"
#include "plugin/base/json.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"

#define BODY_BYTES_MAX 8192U
#define SALT_BYTES 8
#define DEVICE_NAME "Warbler"

static void step(struct matrix *m, enum login_state state);
static void on_versions(void *arg, struct api_reply *r);

static void fail(struct matrix *m, const struct err *e, bool retry)
{
    m->login.state = LOGIN_IDLE;
    matrix_down(m, e, retry);
}

static bool by_password(const struct matrix *m)
{
    return matrix_conf(m)->mode == MODE_SYNC && !secret_empty(&matrix_conf(m)->password);
}

/* --- what was kept --- */

static bool same(const cJSON *json, const char *key, const char *value)
{
    const char *s = json_str(json, key);

    return s && strcmp(s, value) == 0;
}

/* A session of another user or server is none of ours. */
static void take_session(struct matrix *m, const cJSON *json)
{
    const struct matrix_conf *conf = matrix_conf(m);
    const char *token = json_str(json, "token");

    if (!same(json, "homeserver", conf->homeserver) || !same(json, "login", conf->user))
        return;
    m->login.device = mem_dup(json_str(json, "device"));
    if (token)
        api_token(&m->api, token);
}

static void on_session(void *arg, const char *value, int64_t expires_ms, const struct err *e)
{
    struct matrix *m = arg;
    cJSON *json = value ? json_parse(value, strlen(value)) : NULL;

    (void)expires_ms;
    if (m->login.state != LOGIN_SESSION)
        return;
    if (e->code)
        fail(m, e, true);
    else if (by_password(m))
        take_session(m, json);
    cJSON_Delete(json);
    if (!e->code)
        step(m, LOGIN_ORIGIN);
}

static void on_origin_kept(void *arg, const struct err *e)
{
    struct matrix *m = arg;

    if (m->login.state != LOGIN_ORIGIN)
        return;
    if (e->code) {
        fail(m, e, true);
        return;
    }
    m->login.recalled = true;
    step(m, LOGIN_VERSIONS);
}

static void make_origin(struct matrix *m)
{
    char salt[2 * SALT_BYTES + 1];
    struct buf fact;

    random_hex(salt, SALT_BYTES);
    free(m->salt);
    m->salt = mem_dup(salt);
    m->began_ms = clock_wall_ms();
    buf_init(&fact, BODY_BYTES_MAX);
    buf_addf(&fact, "{\"began\":%" PRId64 ",\"salt\":\"%s\"}", m->began_ms, salt);
    adapter_keep(m->a, FACT_ORIGIN, buf_str(&fact), 0, on_origin_kept, m);
    buf_free(&fact);
}

static void on_origin(void *arg, const char *value, int64_t expires_ms, const struct err *e)
{
    struct matrix *m = arg;
    cJSON *json = value ? json_parse(value, strlen(value)) : NULL;
    const char *salt = json_str(json, "salt");

    (void)expires_ms;
    if (m->login.state != LOGIN_ORIGIN) {
        cJSON_Delete(json);
        return;
    }
    if (e->code) {
        fail(m, e, true);
    } else if (!salt) {
        make_origin(m);
    } else {
        free(m->salt);
        m->salt = mem_dup(salt);
        m->began_ms = json_int(json, "began", 0);
        m->login.recalled = true;
        step(m, LOGIN_VERSIONS);
    }
    cJSON_Delete(json);
}

/* --- calls --- */

static void call(struct matrix *m, const char *method, const char *path, const struct buf *body, api_done *done)
{
    struct api_request req = { .method = method, .path = path, .body = body };

    m->login.call = api_start(&m->api, &req, done, m);
}

/* A server may refuse a bad token even where none is needed, and then it looks like no homeserver. */
static void ask_versions(struct matrix *m)
{
    struct api_request req = { .method = "GET", .path = "/_matrix/client/versions", .anonymous = true };

    m->login.call = api_start(&m->api, &req, on_versions, m);
}

static void on_versions(void *arg, struct api_reply *r)
{
    struct matrix *m = arg;
    const char *url = matrix_conf(m)->homeserver;
    struct err e = r->err;

    m->login.call = NULL;
    if (!r->err.code && !cJSON_IsArray(json_get(r->json, "versions")))
        err_set(&e, ERR_PROTO, "the answer is no list of versions");
    if (!e.code) {
        step(m, secret_empty(&m->api.token) ? LOGIN_PASSWORD : LOGIN_REGISTER);
        return;
    }
    if (e.code == ERR_NOT_FOUND || e.code == ERR_PROTO)
        err_prefix(&e, "what answers at %s is no Matrix homeserver (homeserver must be the URL that clients talk to; "
                   "https://DOMAIN/.well-known/matrix/client names it)", url);
    else
        err_prefix(&e, "%s", url);
    fail(m, &e, true);
}

static void on_session_kept(void *arg, const struct err *e)
{
    struct matrix *m = arg;

    if (m->login.state != LOGIN_KEEPING)
        return;
    if (e->code)
        fail(m, e, true);
    else
        step(m, LOGIN_WHOAMI);
}

static void keep_session(struct matrix *m)
{
    const struct matrix_conf *conf = matrix_conf(m);
    struct buf fact;

    if (m->pinging) {
        step(m, LOGIN_WHOAMI);
        return;
    }
    m->login.state = LOGIN_KEEPING;
    buf_init(&fact, BODY_BYTES_MAX);
    buf_adds(&fact, "{\"homeserver\":");
    json_quote(&fact, conf->homeserver);
    buf_adds(&fact, ",\"login\":");
    json_quote(&fact, conf->user);
    buf_adds(&fact, ",\"device\":");
    json_quote(&fact, m->login.device);
    if (!secret_empty(&m->api.token)) {
        buf_adds(&fact, ",\"token\":");
        json_quote(&fact, secret_reveal(&m->api.token));
    }
    buf_addc(&fact, '}');
    adapter_keep(m->a, FACT_SESSION, buf_str(&fact), 0, on_session_kept, m);
    buf_free(&fact);
}

static void on_password(void *arg, struct api_reply *r)
{
    struct matrix *m = arg;
    const char *token = json_str(r->json, "access_token"), *device = json_str(r->json, "device_id");
    struct err e = r->err;

    m->login.call = NULL;
    if (!token || !device) {
        if (!e.code)
            err_set(&e, ERR_PROTO, "the answer has no access_token and device_id");
        if (e.code == ERR_RATE && r->retry_after_ms > 0)
            err_prefix(&e, "the homeserver takes no more log-ins for %" PRId64 " s", (r->retry_after_ms + 999) / 1000);
        else
            err_prefix(&e, strcmp(r->errcode, "M_FORBIDDEN") == 0 ? "user or password is wrong" : "log-in");
        fail(m, &e, r->retry);
        return;
    }
    m->login.fresh = true;
    free(m->login.device);
    m->login.device = mem_dup(device);
    api_token(&m->api, token);
    keep_session(m);
}

static void log_in(struct matrix *m)
{
    const struct matrix_conf *conf = matrix_conf(m);
    struct err e = ERR_INIT;
    struct buf body;

    if (!by_password(m)) {
        err_set(&e, ERR_AUTH, "there is neither an access_token nor a user and password");
        fail(m, &e, false);
        return;
    }
    buf_init(&body, BODY_BYTES_MAX);
    buf_adds(&body, "{\"type\":\"m.login.password\",\"identifier\":{\"type\":\"m.id.user\",\"user\":");
    json_quote(&body, conf->user);
    buf_adds(&body, "},\"password\":");
    json_quote(&body, secret_reveal(&conf->password));
    if (m->login.device) {
        buf_adds(&body, ",\"device_id\":");
        json_quote(&body, m->login.device);
    }
    buf_adds(&body, ",\"initial_device_display_name\":\"" DEVICE_NAME "\"}");
    call(m, "POST", "/_matrix/client/v3/login", &body, on_password);
    explicit_bzero(body.data, body.len);
    buf_free(&body);
}

/* The registration file names the user, but only this makes it. */
static void on_registered(void *arg, struct api_reply *r)
{
    struct matrix *m = arg;
    struct err e = r->err;

    m->login.call = NULL;
    if (!e.code || strcmp(r->errcode, "M_USER_IN_USE") == 0) {
        step(m, LOGIN_WHOAMI);
        return;
    }
    err_prefix(&e, "registering the application service's user (does the homeserver have the registration file?)");
    fail(m, &e, r->retry);
}

static void register_user(struct matrix *m)
{
    struct buf body;

    if (matrix_conf(m)->mode != MODE_APPSERVICE || m->pinging) {
        step(m, LOGIN_WHOAMI);
        return;
    }
    buf_init(&body, BODY_BYTES_MAX);
    buf_adds(&body, "{\"type\":\"m.login.application_service\",\"inhibit_login\":true,\"username\":");
    json_quote(&body, matrix_conf(m)->user);
    buf_addc(&body, '}');
    call(m, "POST", "/_matrix/client/v3/register", &body, on_registered);
    buf_free(&body);
}

static void on_whoami(void *arg, struct api_reply *r)
{
    struct matrix *m = arg;
    const char *user = json_str(r->json, "user_id");
    struct err e = r->err;

    m->login.call = NULL;
    if (e.code == ERR_AUTH && login_again(m, r->soft_logout, &e)) {
        step(m, LOGIN_PASSWORD);
        return;
    }
    if (!e.code && !event_id_ok(user, '@'))
        err_set(&e, ERR_PROTO, "whoami names no user");
    if (e.code) {
        fail(m, &e, r->retry && e.code != ERR_AUTH);
        return;
    }
    free(m->user);
    m->user = mem_dup(user);
    step(m, LOGIN_PROFILE);
}

static void on_profile(void *arg, struct api_reply *r)
{
    struct matrix *m = arg;
    const char *name = json_str(r->json, "displayname");

    m->login.call = NULL;
    if (r->err.code && r->retry) {
        fail(m, &r->err, true);
        return;
    }
    free(m->name);
    m->name = name && *name ? mem_dup(name) : NULL;
    m->login.state = LOGIN_IDLE;
    m->login.fresh = false;
    log_debug(matrix_area(m), "logged in as %s", m->user);
    matrix_logged_in(m);
}

static void ask_profile(struct matrix *m)
{
    struct buf path;

    buf_init(&path, API_PATH_BYTES_MAX);
    api_path(&path, "/_matrix/client/v3/profile/%/displayname", m->user);
    call(m, "GET", buf_str(&path), NULL, on_profile);
    buf_free(&path);
}

/* --- in order --- */

static void step(struct matrix *m, enum login_state state)
{
    m->login.state = state;
    switch (state) {
    case LOGIN_SESSION:
        adapter_recall(m->a, FACT_SESSION, on_session, m);
        break;
    case LOGIN_ORIGIN:
        adapter_recall(m->a, FACT_ORIGIN, on_origin, m);
        break;
    case LOGIN_VERSIONS:
        ask_versions(m);
        break;
    case LOGIN_PASSWORD:
        log_in(m);
        break;
    case LOGIN_REGISTER:
        register_user(m);
        break;
    case LOGIN_WHOAMI:
        call(m, "GET", "/_matrix/client/v3/account/whoami", NULL, on_whoami);
        break;
    case LOGIN_PROFILE:
        ask_profile(m);
        break;
    case LOGIN_IDLE:
    case LOGIN_KEEPING:
        break;
    }
}

void login_start(struct matrix *m)
{
    const struct secret *token = &matrix_conf(m)->access_token;

    login_stop(m);
    m->login.fresh = false;
    if (!secret_empty(token))
        api_token(&m->api, secret_reveal(token));
    step(m, m->login.recalled || m->pinging ? LOGIN_VERSIONS : LOGIN_SESSION);
}

void login_stop(struct matrix *m)
{
    api_cancel(&m->login.call);
    m->login.state = LOGIN_IDLE;
}

void login_fini(struct matrix *m)
{
    login_stop(m);
    free(m->login.device);
}

/* A device that was deleted may be made again under its old id. */
bool login_again(struct matrix *m, bool soft_logout, struct err *e)
{
    if (by_password(m) && !m->login.fresh) {
        log_info(matrix_area(m), "the server ended the session%s; logging in again",
                 soft_logout ? " (soft logout)" : "");
        api_token(&m->api, "");
        return true;
    }
    err_prefix(e, matrix_conf(m)->mode == MODE_APPSERVICE ? "the homeserver does not know this as_token"
               : soft_logout ? "the access token ran out" : "the access token is not valid");
    return false;
}
