#include "plugin/supervisor.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <utlist.h>

#include "plugin/base/clock.h"
#include "plugin/base/json.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"
#include "plugin/base/metric.h"
#include "plugin/base/secret.h"
#include "plugin/base/remark.h"

enum account_state {
    ACCOUNT_FAILED,     /* cannot be helped by trying again */
    ACCOUNT_WAITING,    /* for the next try */
    ACCOUNT_CONNECTING,
    ACCOUNT_ONLINE,
    ACCOUNT_STOPPING,
    ACCOUNT_LEFT,       /* to be freed */
};

struct account {
    struct account *prev, *next;
    struct adapter a; /* a.conf lives in config */
    struct config *config;
    struct supervisor *s;
    enum account_state state;
    struct err why;
    int64_t since_wall_ms, online_mono_ms;
    unsigned failures;
    struct remark *remarks;
    struct timer timer; /* next start, or the end of patience while stopping */
};

struct supervisor {
    struct supervisor_env env;
    struct account *accounts;
    struct config *config; /* what the accounts shall be like */
    bool stopping;
    void (*stopped)(void *arg);
    void *stopped_arg;
    struct defer reap;
};

static const char *state_name(enum account_state state)
{
    static const char *const names[] = { "failed", "waiting", "connecting", "online", "stopping", "left" };
    return names[state];
}

static void set_state(struct account *acc, enum account_state state)
{
    if (acc->state == state)
        return;
    if (state == ACCOUNT_ONLINE)
        metric_add(METRIC_ADAPTERS_ONLINE, 1);
    else if (acc->state == ACCOUNT_ONLINE)
        metric_add(METRIC_ADAPTERS_ONLINE, -1);
    log_debug("account", "%s: %s -> %s", acc->a.conf->name, state_name(acc->state), state_name(state));
    acc->state = state;
    acc->since_wall_ms = clock_wall_ms();
}

int64_t reconnect_pause_ms(unsigned failures, double dice)
{
    int64_t pause = RECONNECT_FIRST_MS;
    while (failures-- && pause < RECONNECT_MAX_MS)
        pause *= 2;
    if (pause > RECONNECT_MAX_MS)
        pause = RECONNECT_MAX_MS;
    return pause - (int64_t)(dice * 0.5 * (double)pause);
}

static void start(struct account *acc)
{
    acc->a.generation++;
    set_state(acc, ACCOUNT_CONNECTING);
    acc->a.ops->start(&acc->a);
}

static void leave(struct account *acc)
{
    timer_cancel(&acc->timer);
    set_state(acc, ACCOUNT_LEFT);
    defer_set(&acc->s->reap);
}

static void on_timer(void *arg)
{
    struct account *acc = arg;
    if (acc->state == ACCOUNT_STOPPING) {
        log_warn("account", "%s did not leave in good order within %d ms", acc->a.conf->name, STOP_TIMEOUT_MS);
        leave(acc);
    } else {
        metric_add(METRIC_ADAPTER_RECONNECTS, 1);
        start(acc);
    }
}

/* --- coming and going --- */
static void stop_account(struct account *acc)
{
    if (acc->state >= ACCOUNT_STOPPING)
        return;
    bool connected = acc->state == ACCOUNT_CONNECTING || acc->state == ACCOUNT_ONLINE;
    timer_cancel(&acc->timer);
    if (!connected || !acc->a.ops->stop) {
        leave(acc);
        return;
    }
    set_state(acc, ACCOUNT_STOPPING);
    timer_set(&acc->timer, STOP_TIMEOUT_MS);
    acc->a.ops->stop(&acc->a);
}

static void account_free(struct account *acc)
{
    struct supervisor *s = acc->s;
    s->env.gone(s->env.arg, &acc->a);
    acc->a.ops->fini(&acc->a);
    timer_cancel(&acc->timer);
    remark_free_all(&acc->remarks);
    DL_DELETE(s->accounts, acc);
    free(acc->a.priv);
    config_unref(&acc->config);
    free(acc);
}

static enum err_code add_account(struct supervisor *s, const struct account_conf *conf, struct err *e)
{
    struct account *acc = mem_alloc(sizeof(*acc));
    acc->s = s;
    acc->config = config_ref(s->config);
    acc->since_wall_ms = clock_wall_ms();
    acc->a = (struct adapter){
        .ops = adapter_find(conf->adapter),
        .conf = conf,
        .loop = s->env.loop,
        .http = s->env.http,
        .server = s->env.server,
        .host = s->env.host,
        .host_arg = s->env.host_arg,
    };
    acc->a.priv = mem_alloc(acc->a.ops->size);
    timer_init(&acc->timer, s->env.loop, on_timer, acc);
    DL_APPEND(s->accounts, acc);
    if (acc->a.ops->init(&acc->a, &acc->why)) {
        acc->state = ACCOUNT_FAILED;
        log_error("account", "%s: %s", conf->name, acc->why.text);
        return err_set(e, acc->why.code, "account \"%s\": %s", conf->name, acc->why.text);
    }
    acc->state = ACCOUNT_WAITING;
    start(acc);
    return ERR_OK;
}

static struct account *by_name(struct supervisor *s, const char *name)
{
    struct account *acc;
    DL_FOREACH(s->accounts, acc)
        if (acc->state < ACCOUNT_STOPPING && strcmp(acc->a.conf->name, name) == 0)
            return acc;
    return NULL;
}

/* A changed account comes back only when the old one is gone: they may share routes and devices. */
static bool name_taken(struct supervisor *s, const char *name)
{
    struct account *acc;
    DL_FOREACH(s->accounts, acc)
        if (strcmp(acc->a.conf->name, name) == 0)
            return true;
    return false;
}

static enum err_code add_missing(struct supervisor *s, struct err *e)
{
    struct err first = ERR_INIT, any;
    for (size_t i = 0; i < s->config->n_accounts && !s->stopping; i++) {
        const struct account_conf *conf = &s->config->accounts[i];
        if (conf->enabled && !name_taken(s, conf->name) && add_account(s, conf, &any) && !first.code)
            first = any;
    }
    if (e)
        *e = first;
    return first.code;
}

static void reap(void *arg)
{
    struct supervisor *s = arg;
    struct account *acc, *tmp;
    DL_FOREACH_SAFE(s->accounts, acc, tmp)
        if (acc->state == ACCOUNT_LEFT)
            account_free(acc);
    if (!s->stopping)
        add_missing(s, NULL);
    else if (!s->accounts && s->stopped)
        s->stopped(s->stopped_arg);
}

enum err_code supervisor_apply(struct supervisor *s, struct config *config, struct err *e)
{
    struct account *acc;
    config_unref(&s->config);
    s->config = config_ref(config);
    DL_FOREACH(s->accounts, acc) {
        const struct account_conf *now = config_account(config, acc->a.conf->name);
        if (!now || !now->enabled || !config_account_equal(now, acc->a.conf))
            stop_account(acc);
    }
    return add_missing(s, e);
}

struct supervisor *supervisor_new(const struct supervisor_env *env)
{
    struct supervisor *s = mem_alloc(sizeof(*s));
    s->env = *env;
    defer_init(&s->reap, env->loop, reap, s);
    return s;
}

void supervisor_stop(struct supervisor *s, void (*done)(void *arg), void *arg)
{
    struct account *acc;
    s->stopping = true;
    s->stopped = done;
    s->stopped_arg = arg;
    DL_FOREACH(s->accounts, acc)
        stop_account(acc);
    defer_set(&s->reap);
}

void supervisor_free(struct supervisor **s_r)
{
    struct supervisor *s = *s_r;
    if (!s)
        return;
    while (s->accounts)
        account_free(s->accounts);
    defer_cancel(&s->reap);
    config_unref(&s->config);
    free(s);
    *s_r = NULL;
}

struct adapter *supervisor_find(struct supervisor *s, const char *account)
{
    struct account *acc = by_name(s, account);
    return acc ? &acc->a : NULL;
}

static struct account *owner(const struct adapter *a)
{
    return (struct account *)((char *)a - offsetof(struct account, a));
}

bool supervisor_online(const struct supervisor *s, const struct adapter *a)
{
    (void)s;
    return owner(a)->state == ACCOUNT_ONLINE;
}

const struct remark *supervisor_remarks(const struct supervisor *s, const struct adapter *a)
{
    (void)s;
    return owner(a)->remarks;
}

/* --- what the adapters say --- */
void supervisor_on_online(struct supervisor *s, struct adapter *a)
{
    struct account *acc = owner(a);
    (void)s;
    if (acc->state != ACCOUNT_CONNECTING)
        return;
    set_state(acc, ACCOUNT_ONLINE);
    acc->online_mono_ms = clock_mono_ms();
    log_info("account", "%s is online", a->conf->name);
}

void supervisor_on_down(struct supervisor *s, struct adapter *a, const struct err *e, bool retry)
{
    struct account *acc = owner(a);
    (void)s;
    if (acc->state != ACCOUNT_CONNECTING && acc->state != ACCOUNT_ONLINE)
        return;
    if (acc->state == ACCOUNT_ONLINE && clock_mono_ms() - acc->online_mono_ms >= RECONNECT_CALM_MS)
        acc->failures = 0;
    acc->why = *e;
    if (!retry) {
        set_state(acc, ACCOUNT_FAILED);
        log_error("account", "%s is down: %s; trying again cannot help, mend it and reload", a->conf->name, e->text);
        return;
    }
    int64_t pause = reconnect_pause_ms(acc->failures++, random_unit());
    set_state(acc, ACCOUNT_WAITING);
    timer_set(&acc->timer, pause);
    log_warn("account", "%s is down: %s; trying again in %.1f s", a->conf->name, e->text, (double)pause / 1000.0);
}

void supervisor_on_stopped(struct supervisor *s, struct adapter *a)
{
    struct account *acc = owner(a);
    (void)s;
    if (acc->state == ACCOUNT_STOPPING)
        leave(acc);
}

void supervisor_on_remark(struct supervisor *s, struct adapter *a, const char *what, const char *text)
{
    struct account *acc = owner(a);
    (void)s;
    if (remark_set(&acc->remarks, what, text) && text)
        log_warn("account", "%s: %s", a->conf->name, text);
}

static void add_time(struct buf *json, int64_t wall_ms)
{
    char text[32];
    time_t secs = (time_t)(wall_ms / 1000);
    struct tm tm;
    gmtime_r(&secs, &tm);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
    json_quote(json, text);
}

bool supervisor_report(const struct supervisor *s, struct buf *json)
{
    bool all = true;
    const struct account *acc;
    DL_FOREACH(s->accounts, acc) {
        bool online = acc->state == ACCOUNT_ONLINE;
        all &= online;
        buf_adds(json, acc == s->accounts ? "{\"name\":" : ",{\"name\":");
        json_quote(json, acc->a.conf->name);
        buf_addf(json, ",\"ok\":%s,\"state\":\"%s\",\"since\":", online ? "true" : "false", state_name(acc->state));
        add_time(json, acc->since_wall_ms);
        if (!online && acc->why.code) {
            buf_adds(json, ",\"reason\":");
            json_quote(json, acc->why.text);
        }
        remark_report(acc->remarks, json);
        buf_addc(json, '}');
    }
    return all;
}
