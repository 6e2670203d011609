#include "plugin/model/endpoint.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/base/clock.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"
#include "plugin/base/metric.h"
#include "plugin/model/policy.h"
#include "plugin/model/retry.h"

#define AREA "model"
#define PRINT_BYTES_MAX (1024U * 1024)
#define ANSWERS_AVERAGED 8 /* how slowly answer_tokens follows */
#define UNTIL_TOLD (-1)    /* a wait that another request's end is the end of */

/* --- keys --- */

int endpoint_keys(const struct model_conf *m)
{
    return m->keys.n > 0 ? (int)m->keys.n : 1;
}

const struct secret *endpoint_key(const struct model_conf *m, int i)
{
    if (m->keys.n > 0)
        return &m->keys.v[i];
    return secret_empty(&m->api_key) ? NULL : &m->api_key;
}

/* --- figures --- */

int endpoint_keys_resting(const struct endpoint *ep)
{
    int n = 0;
    for (int i = 0; i < ep->keys.n; i++)
        n += keyring_state(&ep->keys, i, clock_mono_ms()) == ERR_RATE;
    return n;
}

int endpoint_keys_dead(const struct endpoint *ep)
{
    int n = 0;
    for (int i = 0; i < ep->keys.n; i++)
        n += ep->keys.keys[i].why != ERR_OK;
    return n;
}

static void publish(const struct endpoint *ep)
{
    if (ep->detached)
        return;
    metric_model_set(METRIC_MODEL_BREAKER, ep->name, ep->breaker.state);
    metric_model_set(METRIC_MODEL_RUNNING, ep->name, ep->running);
    metric_model_set(METRIC_MODEL_WAITING, ep->name, (int64_t)ep->line.n);
    metric_model_set(METRIC_MODEL_KEYS_RESTING, ep->name, endpoint_keys_resting(ep));
    metric_model_set(METRIC_MODEL_KEYS_DEAD, ep->name, endpoint_keys_dead(ep));
}

/* --- life --- */

static void add_part(struct buf *b, const char *text)
{
    buf_add(b, text ? text : "", text ? strlen(text) + 1 : 1);
}

static void add_server(struct buf *b, const struct model_conf *m)
{
    add_part(b, m->practice ? "practice" : m->base_url);
    add_part(b, m->model);
}

static void fingerprint(char print[65], const struct model_conf *m)
{
    struct buf b;
    buf_init(&b, PRINT_BYTES_MAX);
    add_server(&b, m);
    for (int i = 0; i < endpoint_keys(m); i++)
        add_part(&b, endpoint_key(m, i) ? secret_reveal(endpoint_key(m, i)) : NULL);
    sha256_hex(print, buf_str(&b), b.len);
    if (b.data)
        explicit_bzero(b.data, b.cap);
    buf_free(&b);
}

static void on_timer(void *arg);

static struct endpoint *endpoint_new(struct model_client *client, const struct model_conf *m, const char *print)
{
    struct endpoint *ep = mem_alloc(sizeof *ep);
    int64_t now = clock_mono_ms();
    ep->client = client;
    ep->loop = client->loop;
    ep->name = mem_dup(m->name);
    memcpy(ep->print, print, sizeof ep->print);
    ep->answer_tokens = ENDPOINT_ANSWER_TOKENS;
    keyring_init(&ep->keys, endpoint_keys(m));
    breaker_init(&ep->breaker);
    bucket_init(&ep->requests, m->requests_per_minute, now);
    bucket_init(&ep->tokens, m->tokens_per_minute, now);
    waitline_init(&ep->line, ENDPOINT_WAITING_MAX, ENDPOINT_FLOW_WAITING_MAX);
    timer_init(&ep->timer, client->loop, on_timer, ep);
    HASH_ADD_KEYPTR(hh, client->endpoints, ep->name, strlen(ep->name), ep);
    return ep;
}

static void endpoint_free(void *p)
{
    struct endpoint *ep = p;
    keyring_fini(&ep->keys);
    waitline_fini(&ep->line);
    free(ep->name);
    free(ep);
}

static void retire(struct endpoint *ep)
{
    timer_cancel(&ep->timer);
    loop_free_later(ep->loop, ep, endpoint_free); /* its own timer may be on the stack */
}

static void detach(struct endpoint *ep)
{
    HASH_DEL(ep->client->endpoints, ep);
    ep->detached = true;
    if (ep->refs == 0)
        retire(ep);
}

struct endpoint *endpoint_get(struct model_client *client, const struct model_conf *m)
{
    int64_t now = clock_mono_ms();
    struct endpoint *ep;
    char print[65];
    fingerprint(print, m);
    HASH_FIND_STR(client->endpoints, m->name, ep);
    if (ep && strcmp(ep->print, print) != 0) {
        detach(ep);
        ep = NULL;
    }
    if (!ep)
        ep = endpoint_new(client, m, print);
    ep->max_concurrent = m->max_concurrent;
    if (ep->requests.per_minute != m->requests_per_minute)
        bucket_resize(&ep->requests, m->requests_per_minute, now);
    if (ep->tokens.per_minute != m->tokens_per_minute)
        bucket_resize(&ep->tokens, m->tokens_per_minute, now);
    ep->refs++;
    return ep;
}

void endpoint_put(struct endpoint **ep)
{
    struct endpoint *e = *ep;
    *ep = NULL;
    if (e && --e->refs == 0 && e->detached)
        retire(e);
}

void endpoint_free_all(struct model_client *client)
{
    struct endpoint *ep, *tmp;
    HASH_ITER(hh, client->endpoints, ep, tmp)
        detach(ep);
}

/* --- may it be asked? --- */

static int64_t longer(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t appetite(const struct endpoint *ep, const struct endpoint_place *p)
{
    return calibrate_expect(&ep->calibration, p->tokens) + (p->model->max_tokens > 0 ? p->model->max_tokens : ep->answer_tokens);
}

/* Others may be asked instead, but if there are none it may be forced. */
static bool avoid(struct endpoint_place *p, struct err *why, enum err_code code, const struct endpoint *ep, const char *text, int64_t ms)
{
    p->avoided = true;
    err_set(why, code, "model %s: not asked: %s (%" PRId64 " s to go)", ep->name, text, (ms + 999) / 1000);
    return false;
}

/* False: not now, and not soon enough. *wait_ms: until it may; 0 now. */
static bool gate(const struct endpoint *ep, struct endpoint_place *p, int64_t *wait_ms, struct err *why)
{
    int64_t now = clock_mono_ms();
    int64_t key = keyring_wait_ms(&ep->keys, now);
    int64_t limit = longer(bucket_wait_ms(&ep->requests, 1, now), bucket_wait_ms(&ep->tokens, appetite(ep, p), now));
    p->avoided = false;
    if (!p->force && !breaker_allows(&ep->breaker, now))
        return avoid(p, why, ep->trouble, ep, "its server fails again and again", breaker_wait_ms(&ep->breaker, now));
    if (!p->force && key > p->model->retry_ceiling)
        return avoid(p, why, ERR_RATE, ep, "every key is over its limit", key);
    if (limit > ENDPOINT_WAIT_MAX_MS) {
        err_set(why, ERR_RATE, "model %s: not asked: its limits leave no room for %" PRId64 " s", ep->name, limit / 1000);
        return false;
    }
    if (key > p->model->retry_ceiling)
        key = 0; /* forced */
    *wait_ms = ep->max_concurrent > 0 && ep->running >= ep->max_concurrent ? UNTIL_TOLD : longer(key, limit);
    return true;
}

static bool take(struct endpoint *ep, struct endpoint_place *p, struct err *why)
{
    int64_t now = clock_mono_ms();
    p->key = p->force ? keyring_pick_any(&ep->keys, now) : keyring_pick(&ep->keys, now);
    p->avoided = p->key < 0;
    if (p->avoided) {
        err_set(why, keyring_why(&ep->keys, now), "model %s: not asked: no key that its server takes", ep->name);
        return false;
    }
    p->ticketed = breaker_allows(&ep->breaker, now);
    if (p->ticketed)
        p->ticket = breaker_begin(&ep->breaker, now);
    p->taken = appetite(ep, p);
    bucket_take(&ep->requests, 1, now);
    bucket_take(&ep->tokens, p->taken, now);
    ep->running++;
    metric_model_add(METRIC_MODEL_ASKED, ep->name, 1);
    publish(ep);
    return true;
}

/* --- the line --- */

/* When a key has rested enough, for the figures. */
static int64_t first_rested_ms(const struct endpoint *ep)
{
    int64_t now = clock_mono_ms(), first = UNTIL_TOLD;
    for (int i = 0; i < ep->keys.n; i++) {
        int64_t ms = ep->keys.keys[i].until_ms - now;
        if (keyring_state(&ep->keys, i, now) == ERR_RATE && (first < 0 || ms < first))
            first = ms;
    }
    return first;
}

static void arm(struct endpoint *ep, int64_t line_ms)
{
    int64_t ms = first_rested_ms(ep);
    if (line_ms >= 0 && (ms < 0 || line_ms < ms))
        ms = line_ms;
    if (ms >= 0)
        timer_set(&ep->timer, ms);
    else
        timer_cancel(&ep->timer);
}

/* Lets go who may. Those that are refused hear it too: others may answer them. */
static void step(struct endpoint *ep)
{
    int64_t wait_ms = 0;
    for (struct waiter *w; (w = waitline_first(&ep->line)) != NULL;) {
        struct endpoint_place *p = (struct endpoint_place *)w; /* its first member */
        struct err why = ERR_INIT;
        bool well = gate(ep, p, &wait_ms, &why);
        if (well && wait_ms != 0)
            break;
        waitline_next(&ep->line);
        if (well)
            take(ep, p, &why);
        p->go(p->arg, why.code ? &why : NULL);
    }
    arm(ep, ep->line.n > 0 ? wait_ms : UNTIL_TOLD);
    publish(ep);
}

static void on_timer(void *arg)
{
    struct endpoint *ep = arg;
    ep->refs++; /* who is told may be the last to hold it */
    step(ep);
    endpoint_put(&ep);
}

/* Not at once: who waits is called from the loop only. */
static void step_soon(struct endpoint *ep)
{
    if (ep->line.n > 0)
        timer_set(&ep->timer, 0);
    else
        arm(ep, UNTIL_TOLD);
    publish(ep);
}

enum endpoint_answer endpoint_ask(struct endpoint *ep, struct endpoint_place *p, const char *flow, struct err *why)
{
    int64_t wait_ms;
    if (!gate(ep, p, &wait_ms, why))
        return ENDPOINT_NO;
    if (wait_ms == 0 && ep->line.n == 0)
        return take(ep, p, why) ? ENDPOINT_GO : ENDPOINT_NO;
    if (!waitline_join(&ep->line, &p->waiter, flow ? flow : "")) {
        err_set(why, ERR_OVERLOAD, "model %s: not asked: %zu wait already", ep->name, ep->line.n);
        return ENDPOINT_NO;
    }
    if (ep->line.n == 1)
        arm(ep, wait_ms);
    publish(ep);
    return ENDPOINT_WAIT;
}

void endpoint_leave(struct endpoint *ep, struct endpoint_place *p)
{
    if (!waitline_waits(&p->waiter))
        return;
    waitline_leave(&ep->line, &p->waiter);
    step_soon(ep);
}

/* --- what came of it --- */

static void leave_work(struct endpoint *ep)
{
    assert(ep->running > 0);
    ep->running--;
    step_soon(ep);
}

static void told_well(struct endpoint *ep, const struct endpoint_place *p)
{
    bool closed = p->ticketed && breaker_good(&ep->breaker, p->ticket);
    if (!p->ticketed && ep->breaker.state != BREAKER_CLOSED) { /* asked for want of others, and it works */
        breaker_init(&ep->breaker);
        closed = true;
    }
    if (closed)
        log_info(AREA, "model %s: its server answers again", ep->name);
}

static void told_ill(struct endpoint *ep, const struct endpoint_place *p, enum err_code code)
{
    int64_t now = clock_mono_ms();
    ep->trouble = code;
    if (p->ticketed && breaker_bad(&ep->breaker, p->ticket, now))
        log_warn(AREA, "model %s: its server fails again and again (%s): not asked for %" PRId64 " s", ep->name,
                 err_name(code), breaker_wait_ms(&ep->breaker, now) / 1000);
}

void endpoint_good(struct endpoint *ep, struct endpoint_place *p, int64_t tokens)
{
    keyring_good(&ep->keys, p->key);
    told_well(ep, p);
    bucket_settle(&ep->tokens, p->taken, tokens, clock_mono_ms());
    leave_work(ep);
}

static void bad_key(struct endpoint *ep, int key, const struct err *e, int64_t rest_ms)
{
    int64_t now = clock_mono_ms();
    const struct policy *policy = policy_of(e->code);
    if (rest_ms < 0)
        rest_ms = ep->keys.n > 1 ? ENDPOINT_KEY_REST_MS : RETRY_FIRST_MS;
    if (policy->key == KEY_COOL)
        keyring_cool(&ep->keys, key, now + rest_ms, now);
    else if (policy->key == KEY_KILL && keyring_kill(&ep->keys, key, e->code, now))
        log_error(AREA, "%s: key %d of %d is not used any more", e->text, key + 1, ep->keys.n);
}

/* Did its server say so, and not we ourselves? */
static bool is_said(enum err_code code)
{
    return code != ERR_INVALID && code != ERR_TOO_LARGE && code != ERR_INTERNAL && code != ERR_CANCELLED;
}

void endpoint_bad(struct endpoint *ep, struct endpoint_place *p, const struct failure *f, int64_t rest_ms,
                  int64_t tokens)
{
    enum err_code code = f->err.code;
    int64_t now = clock_mono_ms();
    ep->last_error = code;
    ep->last_error_ms = clock_wall_ms();
    metric_model_error(ep->name, code);
    if (policy_of(code)->trips)
        told_ill(ep, p, code);
    else if (is_said(code))
        told_well(ep, p);
    else if (p->ticketed)
        breaker_abandon(&ep->breaker, p->ticket, now);
    bad_key(ep, p->key, &f->err, rest_ms);
    bucket_settle(&ep->tokens, p->taken, tokens, now);
    leave_work(ep);
}

void endpoint_abandon(struct endpoint *ep, struct endpoint_place *p)
{
    if (p->ticketed)
        breaker_abandon(&ep->breaker, p->ticket, clock_mono_ms());
    leave_work(ep);
}

void endpoint_answered(struct endpoint *ep, int64_t tokens)
{
    ep->answer_tokens += (tokens - ep->answer_tokens) / ANSWERS_AVERAGED;
}

/* --- lessons --- */

/* What they hold for, which is no secret: they are written to the disk. */
static void learned_from(char print[65], const struct model_conf *m)
{
    static const char *const apis[] = {"chat", "completions", "azure", "practice"};
    struct buf b;
    buf_init(&b, PRINT_BYTES_MAX);
    add_server(&b, m);
    add_part(&b, apis[m->api]);
    sha256_hex(print, buf_str(&b), b.len);
    buf_free(&b);
}

void endpoint_learned(const struct endpoint *ep, const struct model_conf *m)
{
    struct model_client *client = ep->client;
    struct buf text;
    char print[65];
    buf_init(&text, ERR_TEXT_BYTES);
    quirk_describe(&text, &ep->quirks, m);
    log_info(AREA, "model %s: learned from a refusal: %s", ep->name, buf_str(&text));
    buf_free(&text);
    if (!client->learned || ep->detached)
        return;
    buf_init(&text, sizeof print + QUIRK_TEXT_BYTES_MAX);
    learned_from(print, m);
    buf_addf(&text, "%s ", print);
    quirk_write(&text, &ep->quirks);
    client->learned(client->learned_arg, m, buf_str(&text));
    buf_free(&text);
}

void endpoint_recall(struct endpoint *ep, const struct model_conf *m, const char *lessons)
{
    char print[65];
    learned_from(print, m);
    size_t len = strlen(print);
    if (strncmp(lessons, print, len) == 0 && lessons[len] == ' ')
        quirk_read(&ep->quirks, lessons + len + 1);
}

bool endpoint_tell(struct endpoint *ep)
{
    int64_t now = clock_mono_ms();
    if (ep->told_ms != 0 && now - ep->told_ms < ENDPOINT_TELL_MS)
        return false;
    ep->told_ms = now;
    return true;
}
