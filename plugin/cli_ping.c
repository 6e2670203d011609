#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "plugin/adapter.h"
#include "plugin/base/json.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"
#include "plugin/base/remark.h"
#include "plugin/cli.h"
#include "plugin/daemon.h"
#include "plugin/model/completion.h"

#define ACCOUNT "account"
#define ANSWER_MS 10000             /* for an account, and for the daemon */
#define READY_BYTES_MAX (1024U * 1024)
#define URL_BYTES_MAX 512U

struct ping {
    const struct config *config;
    struct loop *loop;
    struct http_client *http;
    struct model_client *models;
    struct contact *contacts; /* in the order of their lines */
    size_t left;              /* to be heard of; one more while they are begun */
    bool failed;

    struct http_call *call;   /* to the daemon: about the accounts that it is the platform of, and what it remarks */
    bool asking;              /* it has not answered yet: nothing is told before */
    char *base_url;           /* of the daemon */
    struct buf ready;         /* its answer */
};

/* One model or account. */
struct contact {
    struct contact *prev, *next;
    struct ping *p;
    const char *what, *name;
    bool over, told;
    char *reason;            /* once it is over; NULL: ok */
    struct remark *remarks;
    bool at_daemon;          /* which is asked about it */
    struct adapter a;        /* of an account that can be pinged; else zeroed */
    struct timer patience;
};

static struct contact *contact_new(struct ping *p, const char *what, const char *name)
{
    struct contact *c = mem_alloc(sizeof(*c));
    c->p = p;
    c->what = what;
    c->name = name;
    DL_APPEND(p->contacts, c);
    p->left++;
    return c;
}

static void print(const struct contact *c)
{
    const struct remark *r;
    printf("%s %s: %s", c->what, c->name, c->reason ? c->reason : "ok");
    DL_FOREACH(c->remarks, r)
        printf("; %s", r->text);
    putchar('\n');
}

/* Those that are over, as far as no line before them is missing. */
static void tell(struct ping *p)
{
    struct contact *c;
    if (p->asking)
        return;
    DL_FOREACH(p->contacts, c) {
        if (!c->over)
            break;
        if (!c->told)
            print(c);
        c->told = true;
    }
    fflush(stdout);
}

/* reason NULL: ok. */
static void heard(struct contact *c, const char *reason)
{
    if (c->over)
        return;
    c->over = true;
    c->reason = mem_dup(reason);
    timer_cancel(&c->patience);
    tell(c->p);
    c->p->failed |= reason != NULL;
    if (--c->p->left == 0)
        loop_stop(c->p->loop);
}

/* --- models --- */
static void on_model(void *arg, const struct err *e)
{
    heard(arg, e->code ? e->text : NULL);
}

static void ping_models(struct ping *p)
{
    for (size_t i = 0; i < p->config->n_models; i++) {
        const struct model_conf *m = &p->config->models[i];
        model_ping(p->models, m, on_model, contact_new(p, "model", m->name));
    }
}

/* --- accounts with a platform of their own --- */
static void on_online(void *host, struct adapter *a)
{
    (void)a;
    heard(host, NULL);
}

static void on_down(void *host, struct adapter *a, const struct err *e, bool retry)
{
    (void)a;
    (void)retry;
    heard(host, e->text);
}

static void on_stopped(void *host, struct adapter *a)
{
    (void)host;
    (void)a;
}

static void on_remark(void *host, struct adapter *a, const char *what, const char *text)
{
    struct contact *c = host;
    (void)a;
    remark_set(&c->remarks, what, text);
}

static void on_patience_over(void *arg)
{
    heard(arg, "no answer");
}

static void ping_account(struct contact *c, const struct account_conf *conf, const struct adapter_ops *ops)
{
    static const struct adapter_host host = { .online = on_online, .down = on_down, .stopped = on_stopped,
                                               .remark = on_remark };
    struct err e = ERR_INIT;
    c->a = (struct adapter) {
        .ops = ops,
        .conf = conf,
        .loop = c->p->loop,
        .http = c->p->http,
        .priv = mem_alloc(ops->size),
        .host = &host,
        .host_arg = c,
    };
    timer_init(&c->patience, c->p->loop, on_patience_over, c);
    if (ops->init(&c->a, &e)) {
        heard(c, e.text);
        return;
    }
    timer_set(&c->patience, ANSWER_MS);
    ops->ping(&c->a);
}

static void contact_free(struct contact *c)
{
    timer_cancel(&c->patience);
    if (c->a.ops)
        c->a.ops->fini(&c->a);
    free(c->a.priv);
    remark_free_all(&c->remarks);
    free(c->reason);
    free(c);
}

/* --- what the daemon knows --- */
static void heard_at_daemon(struct ping *p, const char *reason)
{
    struct contact *c;
    DL_FOREACH(p->contacts, c)
        if (c->at_daemon)
            heard(c, reason);
}

static void heard_from_daemon(struct contact *c, const cJSON *accounts)
{
    const cJSON *account;
    cJSON_ArrayForEach(account, accounts) {
        const char *name = json_str(account, "name"), *reason = json_str(account, "reason");
        if (!name || strcmp(name, c->name) != 0)
            continue;
        heard(c, json_bool(account, "ok", false) ? NULL : reason ? reason : "not online");
        return;
    }
    heard(c, "the running daemon has no such account: has it read this configuration?");
}

/* It sees more than a single contact does. */
static void take_remarks(struct ping *p, const cJSON *account)
{
    const char *name = json_str(account, "name");
    const cJSON *remark;
    struct contact *c;
    DL_FOREACH(p->contacts, c) {
        if (!name || strcmp(c->what, ACCOUNT) != 0 || strcmp(c->name, name) != 0)
            continue;
        cJSON_ArrayForEach(remark, json_get(account, "remarks"))
            if (cJSON_IsString(remark) && !remark_find(c->remarks, remark->valuestring))
                remark_set(&c->remarks, remark->valuestring, remark->valuestring);
    }
}

static void daemon_heard(struct ping *p)
{
    p->asking = false;
    tell(p);
    if (--p->left == 0)
        loop_stop(p->loop);
}

static bool on_ready_body(void *arg, const char *data, size_t len)
{
    struct ping *p = arg;
    return buf_add(&p->ready, data, len) == ERR_OK;
}

static void on_ready_done(void *arg, const struct http_reply *reply, const struct err *e)
{
    struct ping *p = arg;
    struct contact *c;
    struct err why;
    (void)reply;
    p->call = NULL;
    cJSON *ready = e->code ? NULL : json_parse(buf_str(&p->ready), p->ready.len);
    const cJSON *accounts = json_get(ready, "accounts"), *account;
    cJSON_ArrayForEach(account, accounts)
        take_remarks(p, account);
    if (e->code)
        err_set(&why, e->code, "no daemon answers at %s (%s): start it with `warbler run`", p->base_url, e->text);
    else
        err_set(&why, ERR_PROTO, "what answers at %s is not warbler", p->base_url);
    if (accounts) {
        DL_FOREACH(p->contacts, c)
            if (c->at_daemon)
                heard_from_daemon(c, accounts);
    } else {
        heard_at_daemon(p, why.text);
    }
    cJSON_Delete(ready);
    daemon_heard(p);
}

static char *base_url(const struct config *c)
{
    const char *address = c->listen.address;
    struct buf url;
    buf_init(&url, URL_BYTES_MAX);
    if (strcmp(address, "0.0.0.0") == 0)
        address = "127.0.0.1";
    else if (strcmp(address, "::") == 0)
        address = "::1";
    buf_addf(&url, strchr(address, ':') ? "http://[%s]:%d" : "http://%s:%d", address, (int)c->listen.port);
    return buf_take(&url);
}

static void ask_daemon(struct ping *p)
{
    static const struct http_handler handler = { .body = on_ready_body, .done = on_ready_done };
    struct err e = ERR_INIT;
    struct buf url;
    buf_init(&url, URL_BYTES_MAX);
    p->base_url = base_url(p->config);
    buf_addf(&url, "%s/readyz", p->base_url);
    struct http_request request = {
        .method = "GET",
        .url = buf_str(&url),
        .connect_timeout_ms = ANSWER_MS,
        .first_byte_timeout_ms = ANSWER_MS,
        .idle_timeout_ms = ANSWER_MS,
        .max_response_bytes = READY_BYTES_MAX,
    };
    p->asking = true;
    p->left++;
    p->call = http_start(p->http, &request, &handler, p, &e);
    if (!p->call) {
        heard_at_daemon(p, e.text);
        daemon_heard(p);
    }
    buf_free(&url);
}

static void ping_accounts(struct ping *p)
{
    bool needed = false;
    if (p->config->listen.port)
        ask_daemon(p);
    for (size_t i = 0; i < p->config->n_accounts; i++) {
        const struct account_conf *conf = &p->config->accounts[i];
        const struct adapter_ops *ops = adapter_find(conf->adapter);
        if (!conf->enabled)
            continue;
        struct contact *c = contact_new(p, ACCOUNT, conf->name);
        c->at_daemon = !ops->ping;
        needed |= c->at_daemon;
        if (ops->ping)
            ping_account(c, conf, ops);
    }
    if (needed && !p->config->listen.port)
        heard_at_daemon(p, "the daemon cannot be found: its listen.port is 0, any free one");
}

/* --- the whole --- */
static void contact_all(struct ping *p)
{
    p->left = 1;
    ping_accounts(p);
    ping_models(p);
    if (--p->left)
        loop_run(p->loop);
}

static int ping(const struct cli_command *self, const struct config *config)
{
    struct ping p = { .config = config };
    struct contact *c, *next;
    struct err e = ERR_INIT;
    int status = EXIT_START;
    log_setup(LOG_ERROR, false);
    buf_init(&p.ready, READY_BYTES_MAX);
    if (loop_new(0, &p.loop, &e) || http_client_new(p.loop, &p.http, &e) ||
        model_client_new(p.loop, p.http, &p.models, &e)) {
        fprintf(stderr, "warbler %s: %s\n", self->name, e.text);
    } else {
        contact_all(&p);
        status = p.failed ? EXIT_CONFIG : 0;
    }
    DL_FOREACH_SAFE(p.contacts, c, next)
        contact_free(c);
    http_cancel(&p.call);
    model_client_free(&p.models);
    http_client_free(&p.http);
    loop_free(&p.loop);
    buf_free(&p.ready);
    free(p.base_url);
    return status;
}

int cli_ping(const struct cli_command *self, int argc, char **argv)
{
    const char *file = NULL;
    const struct cli_option options[] = { CLI_CONFIG(&file) };
    int at = cli_options(self, options, 1, argc, argv);
    if (at < 0)
        return cli_status(at);
    struct config *c = daemon_config(config_default_file(file));
    int status = c ? ping(self, c) : EXIT_CONFIG;
    config_unref(&c);
    return status;
}
