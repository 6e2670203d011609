/* Who the bot is, and its token: from disk, from the cloud, renewed. */
#include "adapters/lanying/session_steps.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "adapters/lanying/lanying.h"
#include "plugin/base/clock.h"
#include "plugin/base/json.h"
#include "plugin/base/log.h"

#define FACT_BYTES_MAX 16384U
#define KEY_BYTES 192
#define SECONDS_END INT64_C(100000000000) /* larger: milliseconds. As seconds: the year 5138 */
#define LIFETIME_END INT64_C(1000000000)  /* smaller: not a time but a length, in seconds */
#define PERCENT_LATE 10                   /* of a short-lived token's time */

/* --- what is on disk --- */

static void fact_key(const struct lanying *ly, char key[KEY_BYTES])
{
    const struct lanying_conf *conf = lanying_conf(ly);

    if (conf->username)
        snprintf(key, KEY_BYTES, "login/%s/%s", conf->app_id, conf->username);
    else
        snprintf(key, KEY_BYTES, "login/%s/#%" PRId64, conf->app_id, conf->user_id);
}

static void print_fact(const struct session *s, struct buf *out)
{
    buf_addf(out, "{\"uid\":\"%" PRIu64 "\",\"device\":%" PRIu32 ",\"salt\":\"%" PRIu64 "\",\"guid\":", s->uid, s->device,
             s->salt);
    json_quote(out, s->guid);
    if (!secret_empty(&s->token)) {
        buf_addf(out, ",\"end\":%" PRId64 ",\"token\":", s->token_end_ms);
        json_quote(out, secret_reveal(&s->token));
    }
    buf_addc(out, '}');
}

static void read_fact(struct session *s, const char *text)
{
    cJSON *fact = text ? ly_json_parse(text, strlen(text)) : NULL;
    const char *guid = json_str(fact, "guid"), *token = json_str(fact, "token");

    s->uid = ly_json_get_id(fact, "uid");
    s->device = (uint32_t)json_int(fact, "device", 0);
    s->salt = ly_json_get_id(fact, "salt");
    s->token_end_ms = json_int(fact, "end", 0);
    snprintf(s->guid, sizeof s->guid, "%s", guid ? guid : "");
    if (token)
        secret_set(&s->token, token, strlen(token));
    cJSON_Delete(fact);
}

void session_write_fact(struct lanying *ly, void (*done)(void *arg, const struct err *e))
{
    char key[KEY_BYTES];
    struct buf fact;

    fact_key(ly, key);
    buf_init(&fact, FACT_BYTES_MAX);
    print_fact(&ly->session, &fact);
    adapter_keep(ly->a, key, buf_str(&fact), 0, done, ly);
    buf_free(&fact);
}

void session_on_written(void *arg, const struct err *e)
{
    struct lanying *ly = arg;

    if (failed(e))
        log_warn("lanying", "%s: the login cannot be kept: %s", lanying_name(ly), e->text);
}

static void on_recalled(void *arg, const char *value, int64_t expires_ms, const struct err *e)
{
    struct lanying *ly = arg;
    struct session *s = &ly->session;

    (void)expires_ms;
    if (s->state != SESSION_RECALLING)
        return;
    if (failed(e)) {
        session_down(ly, e, true);
        return;
    }
    read_fact(s, value);
    s->recalled = true;
    session_find(ly);
}

void session_recall(struct lanying *ly)
{
    char key[KEY_BYTES];

    fact_key(ly, key);
    adapter_recall(ly->a, key, on_recalled, ly);
}

/* --- a token, and who we are --- */

static int64_t end_of(int64_t expire)
{
    if (expire <= 0)
        return 0;
    if (expire < LIFETIME_END)
        return clock_wall_ms() + expire * 1000;
    return expire < SECONDS_END ? expire * 1000 : expire;
}

/* Early, but not so early that a short-lived token would be renewed all the
 * time; nor one that is over by our clock, which may be wrong. */
int64_t session_renewal_ms(const struct session *s)
{
    int64_t left = s->token_end_ms - clock_wall_ms();
    int64_t early = left / 100 * PERCENT_LATE;

    if (left <= 0)
        return SESSION_RENEW_MS;
    return left - (early < SESSION_RENEW_MS ? early : SESSION_RENEW_MS);
}

static bool token_usable(const struct session *s)
{
    return !secret_empty(&s->token) && s->uid != 0 &&
           (s->token_end_ms == 0 || s->token_at_ms != 0 || s->token_end_ms - clock_wall_ms() > SESSION_RENEW_MS);
}

static void take_token(struct lanying *ly, const cJSON *data)
{
    struct session *s = &ly->session;
    const char *token = json_str(data, "token");
    uint64_t uid = ly_json_get_id(data, "user_id");

    if (uid != s->uid) {
        s->device = 0;
        s->guid[0] = '\0';
    }
    s->uid = ly->api.bot = uid;
    secret_set(&s->token, token, strlen(token));
    s->token_end_ms = end_of(json_int(data, "expire", 0));
    s->token_at_ms = clock_mono_ms();
}

static bool has_token(const cJSON *data)
{
    return json_str(data, "token") && *json_str(data, "token") && ly_json_get_id(data, "user_id") != 0;
}

static void on_entered(void *arg, const struct api_answer *r);

static struct api_call *ask_token(struct lanying *ly, api_fn *fn)
{
    const struct lanying_conf *conf = lanying_conf(ly);
    struct api_call *call;
    struct buf body;

    buf_init(&body, API_BODY_BYTES_MAX);
    if (conf->username) {
        buf_adds(&body, "{\"name\":");
        json_quote(&body, conf->username);
    } else {
        buf_addf(&body, "{\"user_id\":%" PRId64, conf->user_id);
    }
    buf_adds(&body, ",\"password\":");
    json_quote(&body, secret_reveal(&conf->password));
    buf_addc(&body, '}');
    call = ly_api_start(&ly->api,
                        &(struct api_ask){ .method = "POST", .path = conf->username ? "/token/user" : "/token/id",
                                           .body = buf_str(&body) },
                        fn, ly);
    if (body.data)
        explicit_bzero(body.data, body.len);
    buf_free(&body);
    return call;
}

static void entry_refused(struct lanying *ly, const struct err *e)
{
    const struct lanying_conf *conf = lanying_conf(ly);
    struct err why = *e;
    char id[LY_ID_BYTES];

    ly_id_print(id, (uint64_t)conf->user_id);
    err_prefix(&why, "no login as %s: check app_id, %s and password", conf->username ? conf->username : id,
               conf->username ? "username" : "user_id");
    session_down(ly, &why, e->code == ERR_RATE);
}

static void on_entered(void *arg, const struct api_answer *r)
{
    struct lanying *ly = arg;
    struct session *s = &ly->session;

    s->call = NULL;
    if (ly_api_unreachable(r)) {
        s->why = r->e;
        if (places_next_api(&ly->places)) {
            s->call = ask_token(ly, on_entered);
        } else {
            session_forget_servers(ly);
            session_down(ly, &s->why, true);
        }
    } else if (failed(&r->e)) {
        entry_refused(ly, &r->e);
    } else if (!has_token(r->data)) {
        session_fail(ly, ERR_PROTO, true, "the answer to the login holds no token");
    } else {
        take_token(ly, r->data);
        session_keep(ly);
    }
}

/* Webhook mode needs no password: the admin token is enough to learn who the bot is. */
static void on_identified(void *arg, const struct api_answer *r)
{
    struct lanying *ly = arg;
    uint64_t uid = ly_json_get_id(r->data, "user_id");

    ly->session.call = NULL;
    if (failed(&r->e)) {
        session_down(ly, &r->e, ly_api_unreachable(r) || r->e.code == ERR_RATE);
    } else if (uid == 0) {
        session_fail(ly, ERR_AUTH, false, "nobody in the app has this username");
    } else {
        ly->session.uid = ly->api.bot = uid;
        session_keep(ly);
    }
}

static void identify(struct lanying *ly)
{
    const struct lanying_conf *conf = lanying_conf(ly);
    struct buf path;

    if (conf->user_id > 0 && !ly->session.pinging) {
        ly->session.uid = ly->api.bot = (uint64_t)conf->user_id;
        session_keep(ly);
        return;
    }
    buf_init(&path, API_PATH_BYTES_MAX);
    if (conf->user_id > 0) {
        ly->api.bot = (uint64_t)conf->user_id;
        buf_adds(&path, "/user/profile");
    } else {
        ly->api.bot = 0;
        buf_adds(&path, "/roster/name?username=");
        places_encode(&path, conf->username);
    }
    ly->session.call = ly_api_get(ly, buf_str(&path), 0, on_identified);
    buf_free(&path);
}

void session_enter(struct lanying *ly)
{
    const struct lanying_conf *conf = lanying_conf(ly);
    struct session *s = &ly->session;

    session_set_state(ly, SESSION_ENTERING);
    if (conf->mode == MODE_WEBHOOK && (conf->user_id > 0 || secret_empty(&conf->password))) {
        identify(ly);
    } else if (token_usable(s) && !s->pinging) {
        ly->api.bot = s->uid;
        session_keep(ly);
    } else {
        s->call = ask_token(ly, on_entered);
    }
}

void session_drop_token(struct session *s)
{
    secret_clear(&s->token);
    s->token_end_ms = 0;
}

/* --- renewing --- */

static void on_renewed(void *arg, const struct api_answer *r)
{
    struct lanying *ly = arg;
    struct session *s = &ly->session;

    struct err e = r->e;

    s->call = NULL;
    if (!failed(&e) && !has_token(r->data))
        err_set(&e, ERR_PROTO, "the answer holds no token");
    if (failed(&e)) {
        log_warn("lanying", "%s: the token cannot be renewed: %s", lanying_name(ly), e.text);
        ly_api_token_renewed(&ly->api, &e);
        if (ly_api_unreachable(r) || e.code == ERR_PROTO)
            timer_set(&s->renewal, POSTING_PAUSE_MAX_MS);
        else
            entry_refused(ly, &e);
        return;
    }
    take_token(ly, r->data);
    session_write_fact(ly, session_on_written);
    timer_cancel(&s->renewal);
    if (s->token_end_ms)
        timer_set(&s->renewal, session_renewal_ms(s));
    ly_api_token_renewed(&ly->api, &r->e);
    posting_pump(ly);
}

void session_renew(void *arg)
{
    struct lanying *ly = arg;

    if (session_online(&ly->session) && !ly->session.call)
        ly->session.call = ask_token(ly, on_renewed);
}

bool session_token_over(struct lanying *ly)
{
    session_renew(ly);
    return session_online(&ly->session) && ly->session.call;
}
