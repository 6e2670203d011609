#include "plugin/daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plugin/adapter.h"
#include "plugin/base/clock.h"
#include "plugin/base/json.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"
#include "plugin/base/metric.h"
#include "plugin/chat/chat.h"
#include "plugin/notify.h"
#include "plugin/sandbox.h"
#include "plugin/store/dir.h"
#include "plugin/supervisor.h"
#include "plugin/web/web.h"

#define BODY_BYTES_MAX (1024U * 1024)    /* of an HTTP request */
#define REQUEST_TIMEOUT_MS 15000
#define DESCRIPTORS_MAX 16352            /* connections, mostly; with the loop's own what the systemd unit allows */
#define BEAT_MS 10000                    /* between proofs that the store writes */
#define DRAIN_CHECK_MS 10                /* between looks whether the last answer is out */
#define PRUNE_MS (60LL * 60 * 1000)
#define DAY_MS (24LL * 60 * 60 * 1000)

struct daemon {
    const char *file;
    struct config *config;
    struct loop *loop;
    struct store *store;
    struct http_client *http;
    struct model_client *models;
    struct server *server;
    struct web web;
    struct chat *chat;
    struct supervisor *accounts;
    struct timer beat, prune, drain;
    struct err store_err;     /* how the store fails, if it does */
    int64_t store_since_ms, drain_until_ms;
    bool complained;          /* the log knows that it failed, and not yet that it writes again */
    bool stopping;
    bool fenced;              /* in, as to the files it can read */
};

/* --- configuration --- */
const struct config_adapter *daemon_adapters(void)
{
    static struct config_adapter *list;
    if (list)
        return list;
    size_t n = 0;
    while (adapter_registry[n])
        n++;
    list = mem_array(n + 1, sizeof(*list));
    for (size_t i = 0; i < n; i++)
        list[i] = (struct config_adapter){ adapter_registry[i]->name, adapter_registry[i]->settings,
                                           adapter_registry[i]->settings_size };
    return list;
}

struct config *daemon_config(const char *file)
{
    struct config_report report;
    config_report_init(&report);
    struct config *config = config_load(file, daemon_adapters(), &report);
    fputs(buf_str(&report.warnings), stderr);
    fputs(buf_str(&report.errors), stderr);
    config_report_fini(&report);
    return config;
}

/* --- the adapters' host: accounts go to the supervisor, the rest to the chat --- */
static void host_online(void *host, struct adapter *a)
{
    struct daemon *d = host;
    supervisor_on_online(d->accounts, a);
    chat_online(d->chat, a);
}

static void host_down(void *host, struct adapter *a, const struct err *e, bool retry)
{
    struct daemon *d = host;
    supervisor_on_down(d->accounts, a, e, retry);
}

static void host_stopped(void *host, struct adapter *a)
{
    struct daemon *d = host;
    supervisor_on_stopped(d->accounts, a);
}

static void host_message(void *host, struct adapter *a, const struct msg_in *m)
{
    struct daemon *d = host;
    chat_message(d->chat, a, m);
}

static void host_withdrawn(void *host, struct adapter *a, const char *chat, const char *thread, const char *id,
                           const char *sender)
{
    struct daemon *d = host;
    chat_withdrawn(d->chat, a, chat, thread, id, sender);
}

static void host_reaction(void *host, struct adapter *a, const char *chat, const char *thread, const char *platform_id,
                          const char *sender, enum reaction what)
{
    struct daemon *d = host;
    chat_reaction(d->chat, a, chat, thread, platform_id, sender, what);
}

static void host_remark(void *host, struct adapter *a, const char *what, const char *text)
{
    struct daemon *d = host;
    supervisor_on_remark(d->accounts, a, what, text);
}

static void host_sent(void *host, struct adapter *a, int64_t handle, const char *platform_id)
{
    struct daemon *d = host;
    chat_sent(d->chat, a, handle, platform_id);
}

static void host_send_failed(void *host, struct adapter *a, int64_t handle, const struct err *e, bool retry,
                             int64_t retry_after_ms)
{
    struct daemon *d = host;
    chat_send_failed(d->chat, a, handle, e, retry, retry_after_ms);
}

static void host_history(void *host, struct adapter *a, const char *chat, const char *thread, int64_t after, int limit,
                         adapter_page_fn *fn, void *arg)
{
    struct daemon *d = host;
    chat_history(d->chat, a, chat, thread, after, limit, fn, arg);
}

static void host_answer(void *host, struct adapter *a, const char *chat, const char *thread, int64_t seq,
                        adapter_page_fn *fn, void *arg)
{
    struct daemon *d = host;
    chat_answer(d->chat, a, chat, thread, seq, fn, arg);
}

static void host_keep(void *host, struct adapter *a, const char *key, const char *value, int64_t expires_ms,
                      void (*done)(void *arg, const struct err *e), void *arg)
{
    struct daemon *d = host;
    chat_keep(d->chat, a, key, value, expires_ms, done, arg);
}

static void host_recall(void *host, struct adapter *a, const char *key,
                        void (*done)(void *arg, const char *value, int64_t expires_ms, const struct err *e), void *arg)
{
    struct daemon *d = host;
    chat_recall(d->chat, a, key, done, arg);
}

static const struct adapter_host HOST = {
    .online = host_online,
    .down = host_down,
    .stopped = host_stopped,
    .message = host_message,
    .withdrawn = host_withdrawn,
    .reaction = host_reaction,
    .remark = host_remark,
    .sent = host_sent,
    .send_failed = host_send_failed,
    .history = host_history,
    .answer = host_answer,
    .keep = host_keep,
    .recall = host_recall,
};

static struct adapter *find_account(void *arg, const char *account)
{
    struct daemon *d = arg;
    return supervisor_find(d->accounts, account);
}

static bool account_online(void *arg, const struct adapter *a)
{
    struct daemon *d = arg;
    return supervisor_online(d->accounts, a);
}

static const struct remark *account_remarks(void *arg, const struct adapter *a)
{
    struct daemon *d = arg;
    return supervisor_remarks(d->accounts, a);
}

static void account_gone(void *arg, struct adapter *a)
{
    struct daemon *d = arg;
    chat_forget(d->chat, a);
}

/* --- health --- */
static bool ready(void *arg, struct buf *json)
{
    struct daemon *d = arg;
    bool store_ok = d->store_err.code == ERR_OK;
    buf_addf(json, "{\"store\":{\"ok\":%s", store_ok ? "true" : "false");
    if (!store_ok) {
        buf_addf(json, ",\"down_ms\":%lld,\"reason\":", (long long)(clock_mono_ms() - d->store_since_ms));
        json_quote(json, d->store_err.text);
    }
    buf_adds(json, "},\"accounts\":[");
    bool accounts_ok = supervisor_report(d->accounts, json);
    bool ok = store_ok && accounts_ok && !d->stopping;
    buf_addf(json, "],\"stopping\":%s,\"ready\":%s}", d->stopping ? "true" : "false", ok ? "true" : "false");
    return ok;
}

/* Where small writes fit on the disk and large ones do not, this comes with
 * each; the log hears of the end from a beat only. */
static void store_changed(void *arg, const struct err *e)
{
    struct daemon *d = arg;
    if (e->code && !d->store_err.code)
        d->store_since_ms = clock_mono_ms();
    if (e->code && !d->complained) {
        d->complained = true;
        log_error("store", "%s; no messages are taken until it writes again", e->text);
    }
    d->store_err = *e;
}

/* The watchdog is fed from here: this runs only if the loop turns and the
 * store's worker did what it was asked. A full disk is no reason to be killed:
 * a restart would not make room. */
static void beaten(void *arg, bool changed, const struct err *e)
{
    struct daemon *d = arg;
    if (!e->code && d->complained) {
        d->complained = false;
        log_info("store", "writes again");
    }
    if (!e->code || e->code == ERR_FULL)
        notify_watchdog();
    if (changed && !d->stopping)
        chat_look_again(d->chat);
}

static void beat(void *arg)
{
    struct daemon *d = arg;
    int64_t watchdog = notify_watchdog_ms();
    timer_set(&d->beat, watchdog && watchdog / 3 < BEAT_MS ? watchdog / 3 : BEAT_MS);
    store_beat(d->store, beaten, d);
}

static int64_t days_ago(int64_t days) /* 0: nothing is that old */
{
    return days ? clock_wall_ms() - days * DAY_MS : 0;
}

static void usage_pruned(void *arg, bool more, const struct err *e)
{
    struct daemon *d = arg;
    if (e->code)
        log_warn("store", "cannot drop old records of usage: %s", e->text);
    timer_set(&d->prune, more ? DRAIN_CHECK_MS : PRUNE_MS);
}

static void pruned(void *arg, bool more, const struct err *e)
{
    struct daemon *d = arg;
    if (e->code)
        log_warn("store", "cannot drop old messages: %s", e->text);
    if (more)
        timer_set(&d->prune, DRAIN_CHECK_MS);
    else
        store_usage_prune(d->store, days_ago(d->config->usage_days), usage_pruned, d);
}

static void prune(void *arg)
{
    struct daemon *d = arg;
    store_prune(d->store, days_ago(d->config->history_days), pruned, d);
}

/* --- the end --- */
static void accounts_left(void *arg)
{
    struct daemon *d = arg;
    loop_stop(d->loop);
}

static void check_drained(void *arg)
{
    struct daemon *d = arg;
    if (chat_busy(d->chat) && clock_mono_ms() < d->drain_until_ms) {
        timer_set(&d->drain, DRAIN_CHECK_MS);
        return;
    }
    chat_park(d->chat);
    supervisor_stop(d->accounts, accounts_left, d);
}

static void stop(struct daemon *d)
{
    if (d->stopping)
        _exit(0); /* everything accepted is on disk; what runs is taken up at the next start */
    d->stopping = true;
    log_info("daemon", "stopping; running answers have %lld s, a second signal ends them at once",
             (long long)(d->config->shutdown_timeout / 1000));
    notify_stopping();
    server_stop_listening(d->server);
    chat_drain(d->chat);
    d->drain_until_ms = clock_mono_ms() + d->config->shutdown_timeout;
    timer_set(&d->drain, 0);
}

/* --- reading the configuration again --- */
static bool same_base(const struct config *a, const struct config *b)
{
    return strcmp(a->data_dir, b->data_dir) == 0 && strcmp(a->listen.address, b->listen.address) == 0 &&
           a->listen.port == b->listen.port && a->sandbox == b->sandbox;
}

static void reload(struct daemon *d)
{
    struct config_report report;
    config_report_init(&report);
    notify_reloading();
    struct config *config = config_load(d->file, daemon_adapters(), &report);
    if (!config) {
        log_error("config", "%zu errors; the old configuration stays:", report.n_errors);
        bool kept_out = d->fenced && strstr(buf_str(&report.errors), strerror(EACCES));
        for (char *save, *line = strtok_r(report.errors.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
            log_error("config", "%s", line);
        if (kept_out)
            log_error("config", "a running bot can read new files only in the folders of those it was started with; a "
                      "restart lets it read others");
    } else {
        if (!same_base(config, d->config))
            log_warn("config", "data_dir, listen and sandbox take effect with the next start only");
        log_setup((enum log_level)config->log.level, config->log.format);
        config_unref(&d->config);
        d->config = config;
        chat_reload(d->chat, config);
        supervisor_apply(d->accounts, config, NULL);
        log_info("config", "%s was read again", d->file);
    }
    notify_ready("running");
    config_report_fini(&report);
}

static void on_signal(void *arg, int signo)
{
    struct daemon *d = arg;
    if (signo != SIGHUP)
        stop(d);
    else if (!d->stopping)
        reload(d);
}

/* --- the beginning --- */
static void print_address(const struct daemon *d)
{
    const char *address = d->config->listen.address;
    bool any = strcmp(address, "0.0.0.0") == 0 || strcmp(address, "::") == 0;
    bool six = strchr(address, ':') != NULL && !any;
    log_info("daemon", "Warbler %s is ready: open http://%s%s%s:%d/", WARBLER_VERSION, six ? "[" : "",
             any ? "localhost" : address, six ? "]" : "", server_port(d->server));
    for (size_t i = 0; i < d->config->n_models; i++)
        if (d->config->models[i].practice)
            log_info("model", "\"%s\" is the practice model, which only plays at answering; give it an API key to "
                     "connect a real one (README, \"Connect a real model\")", d->config->models[i].name);
}

/* True if it is up. */
static bool fence(const char *what, enum err_code code, const struct err *e)
{
    if (code)
        log_warn("sandbox", "%s: %s are in reach of whoever takes this process over", e->text, what);
    return code == ERR_OK;
}

/* Before the first thread. */
static void fence_files(struct daemon *d)
{
    struct err e = ERR_INIT;
    struct sandbox s = {
        .data_dir = d->config->data_dir,
        .files = (const char *const *)d->config->files.v,
        .n_files = d->config->files.n,
        .port = (int)d->config->listen.port,
    };
    if (d->config->sandbox)
        d->fenced = fence("all files of its user", sandbox_files(&s, &e), &e);
    else
        log_warn("sandbox", "SWITCHED OFF by sandbox = false: all that its user may do is in reach of whoever takes this "
                 "process over");
}

/* When all that only a beginning needs is done. */
static void fence_calls(const struct daemon *d)
{
    struct err e = ERR_INIT;
    if (d->config->sandbox && fence("all system calls", sandbox_calls(&e), &e) && d->fenced)
        log_info("sandbox", "files and system calls that the bot does not need are out of its reach");
}

static enum err_code make(struct daemon *d, struct err *e)
{
    static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
    struct server_config listen = {
        .address = d->config->listen.address,
        .port = (int)d->config->listen.port,
        .max_body_bytes = BODY_BYTES_MAX,
        .request_timeout_ms = REQUEST_TIMEOUT_MS,
    };
    if (dir_make(d->config->data_dir, e))
        return e->code;
    fence_files(d);
    if (loop_new(DESCRIPTORS_MAX, &d->loop, e) || loop_signals(d->loop, signals, 3, on_signal, d, e) ||
        store_open(d->loop, d->config->data_dir, true, &d->store, e) || http_client_new(d->loop, &d->http, e) ||
        model_client_new(d->loop, d->http, &d->models, e) || server_new(d->loop, &listen, &d->server, e))
        return e->code;
    struct chat_env chat = { d->loop, d->store, d->models, d->config, find_account, account_online, account_remarks, d };
    struct supervisor_env accounts = { d->loop, d->http, d->server, &HOST, d, account_gone, d };
    store_watch(d->store, store_changed, d);
    d->chat = chat_new(&chat);
    d->accounts = supervisor_new(&accounts);
    d->web = (struct web){ ready, d };
    web_routes(d->server, &d->web);
    timer_init(&d->beat, d->loop, beat, d);
    timer_init(&d->prune, d->loop, prune, d);
    timer_init(&d->drain, d->loop, check_drained, d);
    return supervisor_apply(d->accounts, d->config, e);
}

/* In reverse. The store goes before those who wait for its answers. */
static void unmake(struct daemon *d)
{
    timer_cancel(&d->beat);
    timer_cancel(&d->prune);
    timer_cancel(&d->drain);
    store_close(&d->store);
    supervisor_free(&d->accounts);
    chat_free(&d->chat);
    server_free(&d->server);
    model_client_free(&d->models);
    http_client_free(&d->http);
    loop_free(&d->loop);
    config_unref(&d->config);
}

int daemon_run(const char *file)
{
    struct daemon d = { .file = file };
    struct err e = ERR_INIT;
    umask(077); /* nobody else reads what people said */
    d.config = daemon_config(file);
    if (!d.config)
        return EXIT_CONFIG;
    log_setup((enum log_level)d.config->log.level, d.config->log.format);
    if (geteuid() == 0)
        log_info("daemon", "runs as root, of which a bot has no need: better an ordinary user, as in the systemd unit");
    if (make(&d, &e)) {
        log_error("daemon", "%s", e.text);
        unmake(&d);
        return EXIT_START;
    }
    fence_calls(&d);
    chat_resume(d.chat);
    beat(&d);
    prune(&d);
    print_address(&d);
    notify_ready("running");
    loop_run(d.loop);
    unmake(&d);
    log_info("daemon", "stopped");
    return 0;
}
