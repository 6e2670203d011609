#include "adapters/lanying/session.h"

#include <inttypes.h>
#include <stdio.h>

#include "adapters/lanying/lanying.h"
#include "adapters/lanying/session_steps.h"
#include "plugin/base/clock.h"
#include "plugin/base/log.h"

#define FIRST_DEVICE 1000000000U
#define DEVICE_SPREAD 2097152U

static const char *state_name(enum session_state state)
{
    static const char *const names[] = { "down",    "recalling", "finding",  "entering", "keeping",
                                         "linking", "greeting",  "online", "leaving" };
    return names[state];
}

void session_set_state(struct lanying *ly, enum session_state state)
{
    struct session *s = &ly->session;

    log_debug("lanying", "%s: %s -> %s", lanying_name(ly), state_name(s->state), state_name(state));
    s->state = state;
    timer_cancel(&s->patience);
}

bool session_over_websocket(const struct lanying *ly)
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
    session_set_state(ly, SESSION_DOWN);
    s->told = false;
    adapter_down(ly->a, &why, retry);
}

void session_fail(struct lanying *ly, enum err_code code, bool retry, const char *text)
{
    struct err e;

    err_set(&e, code, "%s", text);
    session_down(ly, &e, retry);
}

/* The login goes on anew, from the token; the host need not know. */
void session_relogin(struct lanying *ly)
{
    disconnect(ly);
    session_set_state(ly, SESSION_FINDING);
    session_enter(ly);
}

static void on_patience_over(void *arg)
{
    struct lanying *ly = arg;

    if (ly->session.state == SESSION_FINDING) {
        session_find(ly); /* later, as the server asked */
    } else {
        session_next_way(ly);
        session_fail(ly, ERR_TIMEOUT, true, "the server does not answer the login");
    }
}

/* --- the guid goes to disk before the server hears of it --- */

static void on_chats_loaded(struct lanying *ly, const struct err *e)
{
    if (ly->session.state != SESSION_KEEPING)
        return;
    if (failed(e))
        session_down(ly, e, true);
    else if (session_over_websocket(ly))
        session_connect(ly);
    else
        session_go_online(ly);
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
void session_make_guid(struct session *s, uint32_t device)
{
    snprintf(s->guid, sizeof s->guid, "%" PRIu64 "_%" PRIu64, s->uid, random_below(INT32_MAX));
    s->device = device;
}

void session_keep(struct lanying *ly)
{
    struct session *s = &ly->session;

    session_set_state(ly, SESSION_KEEPING);
    if (!s->guid[0])
        session_make_guid(s, FIRST_DEVICE + (uint32_t)random_below(DEVICE_SPREAD));
    while (s->salt == 0)
        s->salt = random_below(UINT64_C(1) << 53);
    if (s->pinging)
        on_kept(ly, NULL);
    else
        session_write_fact(ly, on_kept);
}

/* --- online --- */

void session_go_online(struct lanying *ly)
{
    struct session *s = &ly->session;
    bool told = s->told;

    s->other_tried = s->device_new = false;
    s->told = true;
    s->login_ms = clock_wall_ms();
    if (s->pinging) {
        disconnect(ly);
        session_set_state(ly, SESSION_DOWN);
        adapter_online(ly->a);
        return;
    }
    session_set_state(ly, SESSION_ONLINE);
    if (s->token_end_ms && s->token_at_ms)
        timer_set(&s->renewal, session_renewal_ms(s));
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

/* Why the login is over, and comes back only by the operator's wish; NULL: it is not over. */
static const char *why_over(int notice)
{
    switch (notice) {
    case USER_KICK_BY_SAME_DEVICE:
        return "another program logged in as this very device; if it is not a copy of this bot's data, change the password";
    case USER_PASSWORD_CHANGED:
        return "the password was changed";
    case USER_FROZEN:
        return "the user was frozen";
    case USER_REMOVED:
        return "the user was removed";
    case USER_KICKED_BY_OTHER_DEVICE:
        return "the bot was logged out by an administrator or another device";
    case USER_DEVICE_REMOVED:
        return "the bot's device was removed";
    default:
        return NULL;
    }
}

static void move(struct lanying *ly)
{
    session_drop_token(&ly->session);
    disconnect(ly);
    places_fini(&ly->places);
    session_set_state(ly, SESSION_FINDING);
    timer_set(&ly->session.patience, SESSION_DNS_MOVE_MS);
}

void session_noticed(struct lanying *ly, int notice)
{
    if (why_over(notice)) {
        if (notice != USER_KICK_BY_SAME_DEVICE)
            session_drop_token(&ly->session);
        session_make_guid(&ly->session, 0); /* the next login comes as another device */
        session_write_fact(ly, session_on_written);
        session_fail(ly, ERR_AUTH, false, why_over(notice));
    } else if (notice == USER_CLUSTER_CHANGED || notice == USER_DNS_UPDATE) {
        move(ly);
    } else if (notice == USER_TRAFFIC_LIMIT_EXCEEDED) {
        adapter_remark(ly->a, "traffic", "the app's traffic limit is exceeded: see the vendor's console");
    }
}

/* --- start and stop --- */

static void on_begin(void *arg)
{
    struct lanying *ly = arg;
    struct session *s = &ly->session;

    if (s->state != SESSION_DOWN)
        return;
    s->device_new = false;
    session_set_state(ly, SESSION_RECALLING);
    if (s->recalled || s->pinging)
        session_find(ly);
    else
        session_recall(ly);
}

static void on_stopped(void *arg)
{
    struct lanying *ly = arg;

    disconnect(ly);
    session_set_state(ly, SESSION_DOWN);
    adapter_stopped(ly->a);
}

void session_init(struct lanying *ly)
{
    struct session *s = &ly->session;

    ly_api_init(&ly->api, ly);
    timer_init(&s->patience, ly->a->loop, on_patience_over, ly);
    timer_init(&s->renewal, ly->a->loop, session_renew, ly);
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

    if (session_online(s)) {
        chats_write_now(ly);
        lanying_carrier(ly)->offline(ly); /* its timers must not find the link gone */
    }
    timer_cancel(&s->renewal);
    if (linked)
        ly_link_leave(s->link);
    else
        defer_set(&s->stopped);
    defer_cancel(&s->begin);
    session_set_state(ly, SESSION_LEAVING);
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
