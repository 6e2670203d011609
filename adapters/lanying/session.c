#include "adapters/lanying/session.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/lanying/lanying.h"
#include "plugin/base/clock.h"
#include "plugin/base/json.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"

#define FACT_BYTES_MAX 16384U
#define KEY_BYTES 192
#define FOUND_BYTES_MAX 65536U
#define FRESH_TOKEN_MS 60000       /* a token that is refused within this time is no old one */
#define SECONDS_END INT64_C(100000000000) /* larger: milliseconds. As seconds: the year 5138 */
#define LIFETIME_END INT64_C(1000000000)  /* smaller: not a time but a length, in seconds */
#define FIRST_DEVICE 1000000000U
#define DEVICE_SPREAD 2097152U
#define PERCENT_LATE 10            /* of a short-lived token's time */

static const char *const default_dns[] = { "https://dns.lanyingim.com", "https://dns.maximtop.com" };

static void find(struct lanying *ly);
static void enter(struct lanying *ly);
static void keep(struct lanying *ly);
static void go_online(struct lanying *ly);
static void connect(struct lanying *ly);
static void next_transport(struct lanying *ly);

static const char *state_name(enum session_state state)
{
    static const char *const names[] = { "down",    "recalling", "finding",  "entering", "keeping",
                                         "linking", "greeting",  "online", "leaving" };
    return names[state];
}

static void set_state(struct lanying *ly, enum session_state state)
{
    struct session *s = &ly->session;

    log_debug("lanying", "%s: %s -> %s", lanying_name(ly), state_name(s->state), state_name(state));
    s->state = state;
    timer_cancel(&s->patience);
}

static bool over_websocket(const struct lanying *ly)
{
    return lanying_conf(ly)->mode == MODE_WEBSOCKET;
}

/* --- down --- */

static void disconnect(struct lanying *ly)
{
    struct session *s = &ly->session;

    if (s->state == SESSION_ONLINE)
        lanying_carrier(ly)->offline(ly);
    ly_link_free(&s->link);
    ly_api_cancel(&s->call);
    timer_cancel(&s->renewal);
    ly_sync_offline(ly);
    posting_offline(ly);
}

void session_down(struct lanying *ly, const struct err *e, bool retry)
{
    struct session *s = &ly->session;
    struct err why = *e;

    if (s->state == SESSION_DOWN || s->state == SESSION_LEAVING)
        return;
    disconnect(ly);
    set_state(ly, SESSION_DOWN);
    s->told = false;
    adapter_down(ly->a, &why, retry);
}

static void fail(struct lanying *ly, enum err_code code, bool retry, const char *text)
{
    struct err e;

    err_set(&e, code, "%s", text);
    session_down(ly, &e, retry);
}

/* The login goes on anew, from the token; the host need not know. */
static void relogin(struct lanying *ly)
{
    disconnect(ly);
    set_state(ly, SESSION_FINDING);
    enter(ly);
}

static void on_patience_over(void *arg)
{
    struct lanying *ly = arg;

    if (ly->session.state == SESSION_FINDING) {
        find(ly); /* later, as the server asked */
    } else {
        next_transport(ly);
        fail(ly, ERR_TIMEOUT, true, "the server does not answer the login");
    }
}

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
    buf_addf(out, "{\"uid\":\"%" PRIu64 "\",\"device\":%" PRIu32 ",\"salt\":\"%" PRIu64 "\",\"guid\":", s->uid, s->device, s->salt);
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

static void write_fact(struct lanying *ly, void (*done)(void *arg, const struct err *e))
{
    char key[KEY_BYTES];
    struct buf fact;

    fact_key(ly, key);
    buf_init(&fact, FACT_BYTES_MAX);
    print_fact(&ly->session, &fact);
    adapter_keep(ly->a, key, buf_str(&fact), 0, done, ly);
    buf_free(&fact);
}

static void on_written(void *arg, const struct err *e)
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
    find(ly);
}

/* --- servers --- */

/* After all of them failed: perhaps the app has moved. */
static void forget_servers(struct lanying *ly)
{
    const struct lanying_conf *conf = lanying_conf(ly);

    if (!conf->api_endpoint || (!conf->ws_url && over_websocket(ly)))
        places_fini(&ly->places);
}

static bool servers_known(const struct lanying *ly)
{
    return places_api(&ly->places) && (places_ws(&ly->places) || !over_websocket(ly));
}

static size_t dns_count(const struct lanying *ly)
{
    return lanying_conf(ly)->dns_url ? 1 : sizeof default_dns / sizeof *default_dns + ly->places.dns.n;
}

static const char *dns_server(const struct lanying *ly, size_t i)
{
    const size_t n = sizeof default_dns / sizeof *default_dns;

    if (lanying_conf(ly)->dns_url)
        return lanying_conf(ly)->dns_url;
    return i < n ? default_dns[i] : ly->places.dns.v[i - n];
}

static void ask_dns(struct lanying *ly);

static void found_key(const struct lanying *ly, char key[KEY_BYTES])
{
    snprintf(key, KEY_BYTES, "places/%s", lanying_conf(ly)->app_id);
}

/* What is configured counts more than what discovery says. */
static void use_places(struct lanying *ly, struct places *found)
{
    const struct lanying_conf *conf = lanying_conf(ly);

    if (conf->api_endpoint || conf->ws_url) {
        struct places fixed;
        const char *ws = conf->ws_url ? conf->ws_url : places_ws(found);
        places_set(&fixed, conf->api_endpoint ? conf->api_endpoint : places_api(found), ws);
        places_fini(found);
        *found = fixed;
    }
    places_fini(&ly->places);
    ly->places = *found;
    enter(ly);
}

static void keep_found(struct lanying *ly, const cJSON *data)
{
    char *text = cJSON_PrintUnformatted(data), key[KEY_BYTES];

    found_key(ly, key);
    if (text && strlen(text) <= FOUND_BYTES_MAX && !ly->session.pinging)
        adapter_keep(ly->a, key, text, 0, on_written, ly);
    cJSON_free(text);
}

static void on_found_recalled(void *arg, const char *value, int64_t expires_ms, const struct err *e)
{
    struct lanying *ly = arg;
    struct places found;
    cJSON *data;

    (void)expires_ms;
    if (ly->session.state != SESSION_FINDING)
        return;
    data = failed(e) || !value ? NULL : ly_json_parse(value, strlen(value));
    if (data && places_read(&found, data, NULL) == ERR_OK) {
        log_warn("lanying", "%s: %s; using the servers of an earlier time", lanying_name(ly), ly->session.why.text);
        use_places(ly, &found);
    } else {
        session_down(ly, &ly->session.why, true);
    }
    cJSON_Delete(data);
}

static void dns_failed(struct lanying *ly, const struct err *e)
{
    struct session *s = &ly->session;
    char key[KEY_BYTES];

    s->why = *e;
    if (++s->dns_tried < dns_count(ly)) {
        ask_dns(ly);
    } else if (s->pinging) {
        session_down(ly, e, true);
    } else {
        found_key(ly, key);
        adapter_recall(ly->a, key, on_found_recalled, ly);
    }
}

static void on_found(void *arg, const struct api_answer *r)
{
    struct lanying *ly = arg;
    struct places found;
    struct err e = r->e;

    ly->session.call = NULL;
    if (ly_api_unreachable(r)) {
        err_prefix(&e, "discovery at %s", dns_server(ly, ly->session.dns_tried));
        dns_failed(ly, &e);
    } else if (failed(&e)) {
        err_prefix(&e, "discovery for app_id \"%s\"", lanying_conf(ly)->app_id);
        session_down(ly, &e, e.code == ERR_RATE);
    } else if (places_read(&found, r->data, &e) != ERR_OK) {
        if (e.code == ERR_AUTH)
            session_down(ly, &e, false);
        else
            dns_failed(ly, &e);
    } else {
        keep_found(ly, r->data);
        use_places(ly, &found);
    }
}

static void ask_dns(struct lanying *ly)
{
    const char *server = dns_server(ly, ly->session.dns_tried);
    struct buf url;

    buf_init(&url, API_PATH_BYTES_MAX);
    places_url(&url, server, lanying_conf(ly)->app_id);
    ly->session.call = ly_api_start(&ly->api, &(struct api_ask){ .method = "GET", .base = buf_str(&url), .path = "" }, on_found, ly);
    buf_free(&url);
}

static void find(struct lanying *ly)
{
    const struct lanying_conf *conf = lanying_conf(ly);
    struct places fixed;

    set_state(ly, SESSION_FINDING);
    ly->session.dns_tried = 0;
    if (servers_known(ly)) {
        enter(ly);
    } else if (conf->api_endpoint && (conf->ws_url || !over_websocket(ly))) {
        places_set(&fixed, conf->api_endpoint, conf->ws_url);
        use_places(ly, &fixed);
    } else {
        ask_dns(ly);
    }
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

/* Early, but not so early that a short-lived token would be renewed all the time. */
static int64_t renewal_ms(const struct session *s)
{
    int64_t left = s->token_end_ms - clock_wall_ms();
    int64_t early = left / 100 * PERCENT_LATE;

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
            forget_servers(ly);
            session_down(ly, &s->why, true);
        }
    } else if (failed(&r->e)) {
        entry_refused(ly, &r->e);
    } else if (!has_token(r->data)) {
        fail(ly, ERR_PROTO, true, "the answer to the login holds no token");
    } else {
        take_token(ly, r->data);
        keep(ly);
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
        fail(ly, ERR_AUTH, false, "nobody in the app has this username");
    } else {
        ly->session.uid = ly->api.bot = uid;
        keep(ly);
    }
}

static void identify(struct lanying *ly)
{
    const struct lanying_conf *conf = lanying_conf(ly);
    struct buf path;

    if (conf->user_id > 0 && !ly->session.pinging) {
        ly->session.uid = ly->api.bot = (uint64_t)conf->user_id;
        keep(ly);
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
    ly->session.call = ly_api_start(&ly->api, &(struct api_ask){ .method = "GET", .path = buf_str(&path), .as = API_ADMIN },
                                 on_identified, ly);
    buf_free(&path);
}

static void enter(struct lanying *ly)
{
    struct session *s = &ly->session;

    set_state(ly, SESSION_ENTERING);
    if (lanying_conf(ly)->mode == MODE_WEBHOOK && (lanying_conf(ly)->user_id > 0 || secret_empty(&lanying_conf(ly)->password))) {
        identify(ly);
    } else if (token_usable(s) && !s->pinging) {
        ly->api.bot = s->uid;
        keep(ly);
    } else {
        s->call = ask_token(ly, on_entered);
    }
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
    write_fact(ly, on_written);
    timer_cancel(&s->renewal);
    if (s->token_end_ms)
        timer_set(&s->renewal, renewal_ms(s));
    ly_api_token_renewed(&ly->api, &r->e);
    posting_pump(ly);
}

static void renew(void *arg)
{
    struct lanying *ly = arg;

    if (session_online(&ly->session) && !ly->session.call)
        ly->session.call = ask_token(ly, on_renewed);
}

bool session_token_over(struct lanying *ly)
{
    renew(ly);
    return session_online(&ly->session) && ly->session.call;
}

/* --- the guid goes to disk before the server hears of it --- */

static void on_chats_loaded(struct lanying *ly, const struct err *e)
{
    if (ly->session.state != SESSION_KEEPING)
        return;
    if (failed(e))
        session_down(ly, e, true);
    else if (over_websocket(ly))
        connect(ly);
    else
        go_online(ly);
}

static void on_kept(void *arg, const struct err *e)
{
    struct lanying *ly = arg;

    if (ly->session.state != SESSION_KEEPING)
        return;
    if (failed(e) || ly->session.pinging)
        on_chats_loaded(ly, e);
    else
        chats_load(ly, on_chats_loaded);
}

static uint64_t random_below(uint64_t n)
{
    return (uint64_t)(random_unit() * (double)n);
}

/* The form of the vendor's client. */
static void make_guid(struct session *s, uint32_t device)
{
    snprintf(s->guid, sizeof s->guid, "%" PRIu64 "_%" PRIu64, s->uid, random_below(INT32_MAX));
    s->device = device;
}

static void keep(struct lanying *ly)
{
    struct session *s = &ly->session;

    set_state(ly, SESSION_KEEPING);
    if (!s->guid[0])
        make_guid(s, FIRST_DEVICE + (uint32_t)random_below(DEVICE_SPREAD));
    while (s->salt == 0)
        s->salt = random_below(UINT64_C(1) << 53);
    if (s->pinging)
        on_kept(ly, NULL);
    else
        write_fact(ly, on_kept);
}

/* --- the long connection --- */

static void next_transport(struct lanying *ly)
{
    struct session *s = &ly->session;

    if (lanying_conf(ly)->transport == TRANSPORT_AUTO)
        s->transport = s->transport == LY_SOCKETIO ? LY_RAW : LY_SOCKETIO;
}

/* The other transport, then the next server. */
static void link_failed(struct lanying *ly, const struct err *e)
{
    struct session *s = &ly->session;
    bool other = lanying_conf(ly)->transport == TRANSPORT_AUTO && !s->other_tried;

    s->why = *e;
    err_prefix(&s->why, "%s", places_ws(&ly->places));
    next_transport(ly);
    s->other_tried = other;
    if (other || places_next_ws(&ly->places)) {
        connect(ly);
    } else {
        forget_servers(ly);
        session_down(ly, &s->why, true);
    }
}

static void on_ready(void *arg)
{
    struct lanying *ly = arg;
    struct session *s = &ly->session;
    const struct wire_self self = { s->uid, s->device };
    struct buf frame;

    if (s->pinging) {
        go_online(ly);
        return;
    }
    set_state(ly, SESSION_GREETING);
    buf_init(&frame, LY_FRAME_BYTES_MAX);
    wire_login(&frame, &self, secret_reveal(&s->token), s->guid);
    ly_link_send(s->link, &frame);
    buf_free(&frame);
    timer_set(&s->patience, SESSION_GREET_MS);
}

static void on_link_closed(void *arg, const struct err *e, bool was_ready)
{
    struct lanying *ly = arg;
    struct session *s = &ly->session;
    struct err why = *e;

    ly_link_free(&s->link);
    if (s->state == SESSION_LEAVING) {
        defer_set(&s->stopped);
    } else if (!was_ready) {
        link_failed(ly, &why);
    } else {
        err_prefix(&why, "connection to %s", places_ws(&ly->places));
        if (s->state == SESSION_GREETING)
            next_transport(ly);
        session_down(ly, &why, true);
    }
}

static void on_greeted(struct lanying *ly, struct ly_bytes payload);

static void on_frame(void *arg, struct ly_bytes bytes)
{
    struct lanying *ly = arg;
    struct ly_frame frame;
    struct err e;

    if (ly_read(&ly_frame_type, &frame, bytes, &e) != ERR_OK) {
        log_warn("lanying", "%s: %s; it is dropped", lanying_name(ly), e.text);
    } else if (frame.compress != 0 || frame.encrypt != 0) {
        log_warn("lanying", "%s: a frame that is compressed or encrypted (%u, %u) is dropped", lanying_name(ly), frame.compress,
                 frame.encrypt);
    } else if (ly->session.state == SESSION_GREETING && frame.command == LY_PROVISION) {
        on_greeted(ly, frame.payload);
    } else if (session_online(&ly->session)) {
        websocket_frame(ly, &frame);
    }
}

static void connect(struct lanying *ly)
{
    static const struct ly_link_handler handler = { on_ready, on_frame, on_link_closed };
    struct session *s = &ly->session;
    int wanted = lanying_conf(ly)->transport;
    struct err e = ERR_INIT;

    set_state(ly, SESSION_LINKING);
    if (wanted != TRANSPORT_AUTO)
        s->transport = wanted == TRANSPORT_RAW ? LY_RAW : LY_SOCKETIO;
    s->link = ly_link_new(ly->a->loop, places_ws(&ly->places), s->transport, &handler, ly, &e);
    if (!s->link)
        session_down(ly, &e, false);
}

/* --- the answer to the login --- */

static bool wants_login(const struct ly_status *status)
{
    static const char text[] = "you must login first";

    return status->code == LY_CODE_INVALID_TOKEN || status->code == LY_CODE_PUBLIC_KEY_CHANGED ||
           (status->code == LY_CODE_UNAUTHORIZED && status->reason.len >= sizeof text - 1 &&
            memmem(status->reason.p, status->reason.len, text, sizeof text - 1));
}

/* Trying again cannot help; and what can. */
static const char *hopeless(uint32_t code)
{
    switch (code) {
    case LY_CODE_USER_FROZEN:
        return "the user is frozen: see the vendor's console";
    case LY_CODE_TOO_MANY_DEVICES:
        return "the user has too many devices: remove some (GET /user/device/list, POST /user/kick)";
    case LY_CODE_INVALID_LICENSE:
        return "the app's licence is invalid: see the vendor's console";
    case LY_CODE_LICENSE_LIMIT:
        return "the limit of the app's licence is reached: see the vendor's console";
    case LY_CODE_APP_FROZEN:
        return "the app is frozen: see the vendor's console";
    default:
        return NULL;
    }
}

static void drop_token(struct session *s)
{
    secret_clear(&s->token);
    s->token_end_ms = 0;
}

bool session_is_status_ours(const struct ly_status *status)
{
    return wants_login(status) || status->code == LY_CODE_DEVICE_GUID_CONFLICT ||
           (status->code != LY_CODE_TOO_MANY_DEVICES && hopeless(status->code));
}

/* A token that has just been made and is refused is not the reason: no hurry then. */
static void token_refused(struct lanying *ly, const struct err *why)
{
    struct session *s = &ly->session;
    bool fresh = s->token_at_ms != 0 && clock_mono_ms() - s->token_at_ms < FRESH_TOKEN_MS;

    drop_token(s);
    if (fresh)
        session_down(ly, why, true);
    else
        relogin(ly);
}

void session_refused(struct lanying *ly, const struct ly_status *status)
{
    struct session *s = &ly->session;
    struct err e;

    err_set(&e, ERR_AUTH, "the server refuses the login with status %u%s%.*s", status->code, status->reason.len ? ": " : "",
            (int)status->reason.len, status->reason.len ? status->reason.p : "");
    if (hopeless(status->code)) {
        err_set(&e, ERR_AUTH, "%s", hopeless(status->code));
        session_down(ly, &e, false);
    } else if (wants_login(status)) {
        token_refused(ly, &e);
    } else if (status->code == LY_CODE_DEVICE_GUID_CONFLICT && !s->device_new) {
        s->device_new = true;
        make_guid(s, 0);
        relogin(ly);
    } else {
        session_down(ly, &e, true);
    }
}

static void on_greeted(struct lanying *ly, struct ly_bytes payload)
{
    struct session *s = &ly->session;
    struct ly_provision p;
    struct err e;

    if (ly_read(&ly_provision_type, &p, payload, &e) != ERR_OK) {
        session_down(ly, &e, true);
    } else if (p.status.code != LY_CODE_OK && (p.has & LY_HAS(1))) {
        session_refused(ly, &p.status);
    } else if (p.xid.uid != 0 && p.xid.uid != s->uid) {
        fail(ly, ERR_PROTO, true, "the server greets somebody else");
    } else {
        if (p.xid.device != 0 && p.xid.device != s->device) {
            s->device = p.xid.device;
            write_fact(ly, on_written);
        }
        go_online(ly);
    }
}

/* --- online --- */

static void go_online(struct lanying *ly)
{
    struct session *s = &ly->session;
    bool told = s->told;

    s->other_tried = s->device_new = false;
    s->told = true;
    if (s->pinging) {
        disconnect(ly);
        set_state(ly, SESSION_DOWN);
        adapter_online(ly->a);
        return;
    }
    set_state(ly, SESSION_ONLINE);
    if (s->token_end_ms && s->token_at_ms)
        timer_set(&s->renewal, renewal_ms(s));
    else if (s->token_end_ms)
        timer_set(&s->renewal, s->token_end_ms - clock_wall_ms() - SESSION_RENEW_MS);
    roster_joined(ly);
    ly_sync_online(ly);
    lanying_carrier(ly)->online(ly);
    posting_pump(ly);
    if (!told)
        adapter_online(ly->a);
    adapter_remark(ly->a, "traffic", NULL);
}

void session_noticed(struct lanying *ly, int notice)
{
    struct session *s = &ly->session;

    switch (notice) {
    case USER_KICK_BY_SAME_DEVICE:
        /* The next start, by a person, comes as another device. */
        s->guid[0] = '\0';
        s->device = 0;
        write_fact(ly, on_written);
        fail(ly, ERR_AUTH, false, "another program logged in as this very device; if it is not a copy of this bot's data, "
                                  "change the password");
        break;
    case USER_PASSWORD_CHANGED:
    case USER_FROZEN:
    case USER_REMOVED:
    case USER_KICKED_BY_OTHER_DEVICE:
    case USER_DEVICE_REMOVED:
        drop_token(s);
        s->guid[0] = '\0';
        s->device = 0;
        write_fact(ly, on_written);
        fail(ly, ERR_AUTH, false,
             notice == USER_PASSWORD_CHANGED         ? "the password was changed"
             : notice == USER_FROZEN                 ? "the user was frozen"
             : notice == USER_REMOVED                ? "the user was removed"
             : notice == USER_KICKED_BY_OTHER_DEVICE ? "the bot was logged out by an administrator or another device"
                                                     : "the bot's device was removed");
        break;
    case USER_CLUSTER_CHANGED:
    case USER_DNS_UPDATE:
        drop_token(s);
        disconnect(ly);
        places_fini(&ly->places);
        set_state(ly, SESSION_FINDING);
        timer_set(&s->patience, SESSION_DNS_MOVE_MS);
        break;
    case USER_TRAFFIC_LIMIT_EXCEEDED:
        log_warn("lanying", "%s: the app's traffic limit is exceeded", lanying_name(ly));
        adapter_remark(ly->a, "traffic", "the app's traffic limit is exceeded: see the vendor's console");
        break;
    default:
        break;
    }
}

/* --- start and stop --- */

static void on_begin(void *arg)
{
    struct lanying *ly = arg;
    struct session *s = &ly->session;
    char key[KEY_BYTES];

    if (s->state != SESSION_DOWN)
        return;
    set_state(ly, SESSION_RECALLING);
    if (s->recalled || s->pinging) {
        find(ly);
    } else {
        fact_key(ly, key);
        adapter_recall(ly->a, key, on_recalled, ly);
    }
}

static void on_stopped(void *arg)
{
    struct lanying *ly = arg;

    disconnect(ly);
    set_state(ly, SESSION_DOWN);
    adapter_stopped(ly->a);
}

void session_init(struct lanying *ly)
{
    struct session *s = &ly->session;

    ly_api_init(&ly->api, ly);
    timer_init(&s->patience, ly->a->loop, on_patience_over, ly);
    timer_init(&s->renewal, ly->a->loop, renew, ly);
    defer_init(&s->begin, ly->a->loop, on_begin, ly);
    defer_init(&s->stopped, ly->a->loop, on_stopped, ly);
}

void session_start(struct lanying *ly, bool ping)
{
    ly->session.pinging = ping;
    defer_set(&ly->session.begin);
}

void session_stop(struct lanying *ly)
{
    struct session *s = &ly->session;
    bool linked = s->link && session_online(s);

    if (session_online(s))
        chats_write_now(ly);
    if (linked)
        ly_link_leave(s->link);
    else
        defer_set(&s->stopped);
    defer_cancel(&s->begin);
    set_state(ly, SESSION_LEAVING);
    ly_sync_offline(ly);
}

void session_fini(struct lanying *ly)
{
    struct session *s = &ly->session;

    ly_link_free(&s->link);
    ly_api_fini(&ly->api);
    places_fini(&ly->places);
    timer_cancel(&s->patience);
    timer_cancel(&s->renewal);
    defer_cancel(&s->begin);
    defer_cancel(&s->stopped);
    secret_clear(&s->token);
}
