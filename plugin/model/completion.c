#include "plugin/model/completion.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "plugin/base/clock.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"
#include "plugin/base/metric.h"
#include "plugin/base/secret.h"
#include "plugin/model/attempt.h"
#include "plugin/model/endpoint.h"
#include "plugin/model/policy.h"
#include "plugin/model/request.h"
#include "plugin/model/retry.h"
#include "plugin/model/structured.h"

#define AREA "model"
#define LESSONS_MAX 8 /* refused parameters that one answer may stumble over, per model */

enum leg_state {
    LEG_OFF,
    LEG_PAUSING, /* timer: it asks (again) */
    LEG_WAITING, /* in the line of its model; timer: long enough */
    LEG_ASKING,  /* a request is under way */
};

/* A model that may be asked. */
struct choice {
    const struct model_conf *model;
    struct endpoint *ep;
    bool avoided; /* it was not asked because it would probably fail, or was cut off for a rival: better than nobody */
};

/* The asking of one model after the other until one answers. */
struct leg {
    struct completion *c;
    enum leg_state state;
    struct choice *choice; /* who is asked */
    struct retry retry;
    int keys_tried, lessons;
    struct endpoint_place place;
    struct attempt *attempt;
    struct structured form; /* of the answer, if formed: it is shown when it is known to have it */
    bool formed;
    bool spoke; /* the attempt gave text or reasoning */
    struct timer timer;
};

struct completion {
    struct model_client *client;
    struct completion_request req;
    struct completion_handler handler;
    void *arg;
    struct choice choices[COMPLETION_MODELS_MAX];
    int n_choices, next;
    struct leg first, rival; /* the rival: asked too because the first stays silent */
    struct timer hedge;
    int64_t failed_ms; /* when the first request failed; 0: none did */
    struct err e;      /* why there is no answer, so far */
    struct choice *failed;
    int64_t again_ms;  /* what the last failure said of that; -1: nothing */
    int attempts;
    bool shown;        /* the handler holds text */
    bool shortened, hedged, over;
    bool forced;       /* those who were avoided are asked all the same */
    struct completion *next_one, *prev_one;
};

/* --- life --- */

static void set_state(struct leg *l, enum leg_state state)
{
    static const char *const names[] = {"off", "pausing", "waiting", "asking"};
    if (l->state != state)
        log_debug(AREA, "%s: %s -> %s", l->choice->model->name, names[l->state], names[state]);
    l->state = state;
}

static void stop(struct leg *l)
{
    timer_cancel(&l->timer);
    if (l->state == LEG_OFF)
        return;
    if (l->state == LEG_ASKING)
        endpoint_abandon(l->choice->ep, &l->place);
    else
        endpoint_leave(l->choice->ep, &l->place);
    attempt_cancel(&l->attempt);
    set_state(l, LEG_OFF);
}

static void completion_free(void *p)
{
    struct completion *c = p;
    structured_fini(&c->first.form);
    structured_fini(&c->rival.form);
    config_unref(&c->req.config);
    free(c);
}

/* From here on nothing is called back. The memory stays until the end of the
 * loop's turn: a callback of ours may be on the stack. */
static void release(struct completion *c)
{
    if (c->over)
        return;
    c->over = true;
    stop(&c->first);
    stop(&c->rival);
    timer_cancel(&c->hedge);
    for (int i = 0; i < c->n_choices; i++)
        endpoint_put(&c->choices[i].ep);
    DL_DELETE2(c->client->completions, c, prev_one, next_one);
    loop_free_later(c->client->loop, c, completion_free);
}

const struct model_conf *completion_asked(const struct completion *c, bool *spoke_r)
{
    const struct leg *first = &c->first, *rival = &c->rival;
    const struct leg *l = rival->state == LEG_ASKING && (rival->spoke || first->state != LEG_ASKING) ? rival : first;
    *spoke_r = l->state == LEG_ASKING && l->spoke;
    return l->state == LEG_ASKING ? l->choice->model : NULL;
}

void completion_cancel(struct completion **c)
{
    if (*c)
        release(*c);
    *c = NULL;
}

void completion_end_all(struct model_client *client)
{
    while (client->completions)
        release(client->completions);
}

static struct leg *other(struct leg *l)
{
    return l == &l->c->first ? &l->c->rival : &l->c->first;
}

/* --- the end --- */

/* What the conversation has learned of the model that it is with; NULL: nothing of this one. */
static struct calibration *own_of(const struct completion *c, const struct choice *choice)
{
    return choice->model == c->req.model ? c->req.own : NULL;
}

/* What a request took. end NULL: it was cut off before it said anything. */
static void account(struct completion_result *r, const struct completion *c, const struct choice *choice,
                    const struct attempt_end *end)
{
    struct calibration known = calibrate_joined(&choice->ep->calibration, own_of(c, choice));
    r->estimated.prompt_tokens = calibrate_expect(&known, c->req.tokens);
    r->estimated.completion_tokens = end ? (int64_t)end->text_tokens : 0;
    r->estimated.total_tokens = r->estimated.prompt_tokens + r->estimated.completion_tokens;
    if (end) {
        r->usage = *end->usage;
        r->usage_json = end->usage_json;
        snprintf(r->service_tier, sizeof r->service_tier, "%s", end->service_tier);
    }
    metric_add(METRIC_TOKENS_PROMPT, r->usage.prompt_tokens);
    metric_add(METRIC_TOKENS_COMPLETION, r->usage.completion_tokens);
}

static void waste(const struct completion *c, const struct choice *choice, const struct attempt_end *end)
{
    struct completion_result r = {.finish = FINISH_ERROR, .model = choice->model};
    if (end && !end->usage->known && end->text_tokens == 0)
        return;
    account(&r, c, choice, end);
    if (c->handler.wasted)
        c->handler.wasted(c->arg, &r);
}

/* end: of the last attempt; NULL: none was made. */
static void finish(struct completion *c, const struct choice *choice, const struct attempt_end *end, const struct err *e)
{
    struct completion_result r = {
        .finish = FINISH_ERROR,
        .model = choice->model,
        .attempts = c->attempts,
        .hedged = c->hedged,
        .again_ms = e->code == ERR_OK ? -1 : c->again_ms,
    };
    if (end)
        snprintf(r.request_id, sizeof r.request_id, "%s", end->id);
    if (end && e->code == ERR_OK) {
        r.finish = end->finish;
        account(&r, c, choice, end);
    }
    release(c);
    c->handler.done(c->arg, &r, e);
}

/* --- asking --- */

static void ask(struct leg *l);
static void move_on(struct leg *l, const struct attempt_end *end);

static void pause_for(struct leg *l, int64_t ms)
{
    set_state(l, LEG_PAUSING);
    timer_set(&l->timer, ms);
}

static void aim(struct leg *l, struct choice *choice)
{
    const struct model_conf *m = choice->model;
    if (l->choice == choice)
        return;
    l->choice = choice;
    l->keys_tried = l->lessons = 0;
    l->place.model = m;
    structured_fini(&l->form);
    l->form = (struct structured){.format = FORMAT_CONFIGURED};
    l->formed = structured_wanted(m);
    if (l->formed)
        structured_init(&l->form, m, quirk_format(&choice->ep->quirks));
    retry_init(&l->retry, m->retries, m->retry_ceiling);
}

/* What is known of the model's context is no surprise any more. */
static void fit(struct leg *l)
{
    struct completion *c = l->c;
    const struct model_conf *m = l->choice->model;
    struct calibration known = calibrate_joined(&l->choice->ep->calibration, own_of(c, l->choice));
    size_t budget = calibrate_budget(&known, m->context_tokens, m->max_tokens);
    if (c->req.tokens > budget && c->handler.shorten)
        c->handler.shorten(c->arg, &c->req, budget);
}

static void on_text(void *arg, const char *text, size_t len, bool anew);
static void on_reasoning(void *arg, const char *text, size_t len);
static void on_done(void *arg, const struct attempt_end *end);

static void begin(struct leg *l)
{
    static const struct attempt_handler handler = {on_text, on_reasoning, on_done}, silent = {on_text, NULL, on_done};
    struct completion *c = l->c;
    const struct request_parts parts = {
        .system = c->req.system,
        .messages = c->req.messages,
        .messages_len = c->req.messages_len,
        .person = c->req.person,
        .flow = c->req.flow,
        .tuning = c->req.tuning,
        .format = l->form.format,
        .more = l->form.more.len ? buf_str(&l->form.more) : NULL,
    };
    const struct attempt_request req = {
        .model = l->choice->model,
        .key = endpoint_key(l->choice->model, l->place.key),
        .quirks = &l->choice->ep->quirks,
        .parts = &parts,
    };
    timer_cancel(&l->timer);
    set_state(l, LEG_ASKING);
    l->spoke = false;
    c->attempts++;
    metric_add(METRIC_MODEL_REQUESTS, 1);
    l->attempt = attempt_start(c->client, &req, c->handler.reasoning ? &handler : &silent, l);
}

/* A refusal of our own is not told over what a server said. */
static void note_refusal(struct leg *l, const struct err *why)
{
    struct completion *c = l->c;
    set_state(l, LEG_OFF);
    log_debug(AREA, "%s", why->text);
    l->choice->avoided |= l->place.avoided;
    if (c->attempts > 0)
        return;
    c->e = *why;
    c->failed = l->choice;
}

static void on_turn(void *arg, const struct err *refused)
{
    struct leg *l = arg;
    timer_cancel(&l->timer);
    if (!refused) {
        begin(l);
        return;
    }
    note_refusal(l, refused);
    move_on(l, NULL);
}

/* False: it cannot be asked now. */
static bool try(struct leg *l)
{
    struct err why = ERR_INIT;
    fit(l);
    if (l->c->over)
        return true;
    l->place.tokens = l->c->req.tokens;
    l->place.force = l->c->forced;
    switch (endpoint_ask(l->choice->ep, &l->place, l->c->req.flow, &why)) {
    case ENDPOINT_GO:
        begin(l);
        return true;
    case ENDPOINT_WAIT:
        set_state(l, LEG_WAITING);
        timer_set(&l->timer, ENDPOINT_WAIT_MAX_MS);
        return true;
    default:
        note_refusal(l, &why);
        return false;
    }
}

static void ask(struct leg *l)
{
    if (!try(l))
        move_on(l, NULL);
}

/* Those who were only avoided are asked all the same. False: there is none. */
static bool force(struct completion *c)
{
    bool any = false;
    for (int i = 0; i < c->n_choices; i++)
        any |= c->choices[i].avoided;
    c->forced |= any;
    c->next = any ? 0 : c->n_choices;
    return any;
}

/* The next model that can be asked. */
static bool try_next(struct leg *l)
{
    struct completion *c = l->c;
    do {
        while (c->next < c->n_choices) {
            struct choice *choice = &c->choices[c->next++];
            if (c->forced && !choice->avoided)
                continue;
            choice->avoided = false;
            aim(l, choice);
            if (try(l))
                return true;
        }
    } while (other(l)->state == LEG_OFF && !c->forced && force(c));
    return false;
}

/* The leg's model does not answer. end: as in finish(). */
static void move_on(struct leg *l, const struct attempt_end *end)
{
    struct completion *c = l->c;
    const struct choice *from = l->choice;
    if (!try_next(l)) {
        if (other(l)->state == LEG_OFF)
            finish(c, c->failed, end, &c->e);
        return;
    }
    if (c->over || l->choice == from)
        return;
    metric_model_add(METRIC_MODEL_FALLBACKS, from->model->name, 1);
    log_write(endpoint_tell(from->ep) ? LOG_WARN : LOG_DEBUG, AREA, "%s does not answer (%s), asking %s instead",
              from->model->name, c->e.text, l->choice->model->name);
}

static void on_timer(void *arg)
{
    struct leg *l = arg;
    struct err why = ERR_INIT;
    if (l->state == LEG_PAUSING) {
        ask(l);
        return;
    }
    endpoint_leave(l->choice->ep, &l->place);
    err_set(&why, ERR_OVERLOAD, "model %s: not asked: waited %d s for its limits", l->choice->model->name,
            ENDPOINT_WAIT_MAX_MS / 1000);
    note_refusal(l, &why);
    move_on(l, NULL);
}

/* --- a rival --- */

static void on_silence(void *arg)
{
    struct completion *c = arg;
    const struct choice *silent = c->first.choice;
    if (c->first.spoke || c->next == c->n_choices || !try_next(&c->rival) || c->over)
        return;
    c->hedged = true;
    log_debug(AREA, "model %s is silent: asking %s too", silent->model->name, c->rival.choice->model->name);
    metric_model_add(METRIC_MODEL_HEDGES, silent->model->name, 1);
}

static void win(struct leg *l)
{
    struct leg *loser = other(l);
    timer_cancel(&l->c->hedge);
    if (loser->state == LEG_OFF)
        return;
    log_debug(AREA, "model %s speaks first: %s is not waited for", l->choice->model->name, loser->choice->model->name);
    metric_model_add(METRIC_MODEL_HEDGES_LOST, loser->choice->model->name, 1);
    if (loser->state == LEG_ASKING)
        waste(l->c, loser->choice, NULL);
    stop(loser);
    loser->choice->avoided = true;
}

/* --- what an attempt gives --- */

static void on_text(void *arg, const char *text, size_t len, bool anew)
{
    struct leg *l = arg;
    struct completion *c = l->c;
    bool again = c->shown && (anew || !l->spoke);
    win(l);
    l->spoke = true;
    if (!c->handler.text || l->formed)
        return;
    if (again)
        c->handler.restart(c->arg);
    c->shown = true;
    if (len > 0 && !c->over)
        c->handler.text(c->arg, text, len);
}

/* Two models that think at once are not shown: their thoughts would be mixed. */
static void on_reasoning(void *arg, const char *text, size_t len)
{
    struct leg *l = arg;
    struct completion *c = l->c;
    bool again = c->shown && !l->spoke;
    l->spoke = true;
    if (other(l)->state != LEG_OFF)
        return;
    if (again)
        c->handler.restart(c->arg);
    c->shown = true;
    if (!c->over)
        c->handler.reasoning(c->arg, text, len, l->choice->model->show_reasoning == SHOW_REASONING_QUOTE);
}

/* Tokens that it cost, as far as is known. */
static int64_t spent(const struct completion *c, const struct attempt_end *end)
{
    bool answered = end->failure->err.code == ERR_OK || end->text_tokens > 0;
    if (end->usage->known)
        return end->usage->total_tokens;
    return answered ? (int64_t)(c->req.tokens + end->text_tokens) : 0;
}

/* A request is counted as its first model counts; what that comes to with a
 * model of another vocabulary says nothing of how well we count for it. */
static bool counted_alike(const struct model_conf *a, const struct model_conf *b)
{
    const char *of_a = a->vocabulary ? a->vocabulary : "", *of_b = b->vocabulary ? b->vocabulary : "";
    return strcmp(of_a, of_b) == 0;
}

static void learn(struct leg *l, const struct attempt_end *end)
{
    struct endpoint *ep = l->choice->ep;
    struct calibration *own = own_of(l->c, l->choice);
    int64_t answer = end->usage->known ? end->usage->completion_tokens : (int64_t)end->text_tokens;
    if (end->usage->known && !l->form.more.len && counted_alike(l->choice->model, l->c->req.model)) {
        calibrate_learn(&ep->calibration, l->c->req.tokens, end->usage->prompt_tokens);
        if (own)
            calibrate_learn(own, l->c->req.tokens, end->usage->prompt_tokens);
    }
    endpoint_answered(ep, answer);
}

/* The whole answer at once. False if the receiver cancelled. */
static bool give(struct completion *c, const char *text, size_t len)
{
    if (!c->handler.text)
        return true;
    if (c->shown)
        c->handler.restart(c->arg);
    c->shown = true;
    if (!c->over)
        c->handler.text(c->arg, text, len);
    return !c->over;
}

/* The model cannot give an answer of that form. */
static void miss(struct leg *l, const struct attempt_end *end)
{
    struct completion *c = l->c;
    metric_add(METRIC_MODEL_ERRORS, 1);
    waste(c, l->choice, end);
    err_set(&c->e, ERR_PROTO, "model %s: the answer is not of the form that response_format asks for",
            l->choice->model->name);
    c->failed = l->choice;
    c->again_ms = -1;
    move_on(l, end);
}

/* True if it is the answer of the form that was asked for, and was given. What
 * a filter or a limit cut is not worth asking again. */
static bool settle(struct leg *l, const struct attempt_end *end)
{
    struct completion *c = l->c;
    if (end->finish == FINISH_CONTENT_FILTER)
        return true;
    if (end->refused)
        return give(c, end->text, end->text_len);
    enum structured_verdict verdict = structured_judge(&l->form, end->text, end->text_len);
    if (verdict == STRUCTURED_GOOD)
        return give(c, buf_str(&l->form.text), l->form.text.len);
    if (verdict == STRUCTURED_AGAIN && end->finish != FINISH_LENGTH) {
        log_debug(AREA, "model %s: the answer is not of the form that was asked for: again", l->choice->model->name);
        waste(c, l->choice, end);
        ask(l);
    } else {
        miss(l, end);
    }
    return false;
}

static void succeed(struct leg *l, const struct attempt_end *end)
{
    static const struct err fine = ERR_INIT;
    win(l);
    endpoint_good(l->choice->ep, &l->place, spent(l->c, end));
    learn(l, end);
    set_state(l, LEG_OFF);
    if (!l->formed || settle(l, end))
        finish(l->c, l->choice, end, &fine);
}

/* How long the server wants to be left alone; -1: it did not say. */
static int64_t pause_asked(const struct attempt_end *end)
{
    const struct ratelimit *limits = &end->reply->limits;
    if (limits->retry_after_ms >= 0)
        return limits->retry_after_ms;
    if (end->failure->retry_after_ms >= 0)
        return end->failure->retry_after_ms;
    return end->failure->err.code == ERR_RATE ? ratelimit_pause_ms(limits) : -1;
}

static int64_t said(int64_t tokens)
{
    return tokens > 0 ? tokens : 0;
}

/* --- what is done about a failure; each true if the leg goes on --- */

/* The server named a parameter that it does not take: asked again without. */
static bool adapt(struct leg *l, const struct attempt_end *end)
{
    struct endpoint *ep = l->choice->ep;
    struct model_conf sent = *l->choice->model;
    if (l->c->req.tuning && sent.max_tokens == 0)
        sent.max_tokens = l->c->req.tuning->max_tokens + l->c->req.tuning->most_tokens;
    if (l->lessons == LESSONS_MAX || !quirk_learn(&ep->quirks, &sent, end->failure))
        return false;
    l->lessons++;
    endpoint_learned(ep, l->choice->model);
    ask(l);
    return true;
}

/* Too long: asked again with less, once. */
static bool shorten(struct leg *l, const struct attempt_end *end)
{
    struct completion *c = l->c;
    struct calibration *known = &l->choice->ep->calibration, *own = own_of(c, l->choice);
    const struct failure *f = end->failure;
    int64_t context = l->choice->model->context_tokens, max_output = l->choice->model->max_tokens;
    if (f->err.code != ERR_CONTEXT)
        return false;
    calibrate_overflow(known, c->req.tokens, said(f->context_used), said(f->context_max), context,
                       max_output);
    if (own)
        own->ratio = 0; /* it was wrong, so that the model's holds until the next answer */
    if (c->shortened || !c->handler.shorten)
        return false;
    c->shortened = true;
    if (!c->handler.shorten(c->arg, &c->req, calibrate_budget(known, context, max_output)))
        return c->over;
    if (!c->over)
        ask(l);
    return true;
}

/* With another key, at once. */
static bool turn_key(struct leg *l, const struct policy *policy)
{
    const struct keyring *keys = &l->choice->ep->keys;
    if (!policy->next_key || ++l->keys_tried >= keys->n || keyring_wait_ms(keys, clock_mono_ms()) != 0)
        return false;
    ask(l);
    return true;
}

static bool repeat(struct leg *l, const struct attempt_end *end)
{
    struct completion *c = l->c;
    enum err_code code = end->failure->err.code;
    int should_retry = end->reply->limits.should_retry;
    int64_t asked = pause_asked(end), since = clock_mono_ms() - c->failed_ms;
    if (should_retry == 0)
        return false;
    if (should_retry == 1 && code != ERR_QUOTA && !policy_of(code)->again) /* used up stays used up */
        code = ERR_OVERLOAD; /* which is asked again */
    int64_t ms = retry_next(&l->retry, code, asked, random_unit());
    if (ms == RETRY_GIVE_UP || since + ms > l->choice->model->retry_budget)
        return false;
    log_debug(AREA, "attempt %d failed, again in %" PRId64 " ms: %s", c->attempts, ms, end->failure->err.text);
    metric_add(METRIC_MODEL_RETRIES, 1);
    metric_model_add(METRIC_MODEL_AGAIN, l->choice->model->name, 1);
    pause_for(l, ms);
    return true;
}

static void fail(struct leg *l, const struct attempt_end *end)
{
    struct completion *c = l->c;
    const struct policy *policy = policy_of(end->failure->err.code);
    metric_add(METRIC_MODEL_ERRORS, 1);
    endpoint_bad(l->choice->ep, &l->place, end->failure, pause_asked(end), spent(c, end));
    waste(c, l->choice, end);
    c->e = end->failure->err;
    c->failed = l->choice;
    c->again_ms = pause_asked(end);
    if (c->failed_ms == 0)
        c->failed_ms = clock_mono_ms();
    set_state(l, LEG_OFF);
    if (adapt(l, end) || shorten(l, end) || turn_key(l, policy) || repeat(l, end))
        return;
    log_debug(AREA, "attempt %d failed: %s", c->attempts, end->failure->err.text);
    if (policy->next_model)
        move_on(l, end);
    else if (other(l)->state == LEG_OFF)
        finish(c, l->choice, end, &c->e);
}

static void on_done(void *arg, const struct attempt_end *end)
{
    struct leg *l = arg;
    l->attempt = NULL;
    if (end->failure->err.code == ERR_OK)
        succeed(l, end);
    else
        fail(l, end);
}

/* --- the beginning --- */

static bool chosen(const struct completion *c, const struct model_conf *m)
{
    for (int i = 0; i < c->n_choices; i++)
        if (c->choices[i].model == m)
            return true;
    return false;
}

static void choose(struct completion *c, const struct model_conf *m)
{
    if (!m || chosen(c, m) || c->n_choices == COMPLETION_MODELS_MAX)
        return;
    c->choices[c->n_choices++] = (struct choice){.model = m, .ep = endpoint_get(c->client, m)};
}

/* The model, its fallbacks, theirs. */
static void choose_all(struct completion *c)
{
    choose(c, c->req.model);
    for (int i = 0; i < c->n_choices && c->req.config; i++)
        for (size_t n = 0; n < c->choices[i].model->fallback.n; n++)
            choose(c, config_model(c->req.config, c->choices[i].model->fallback.v[n]));
}

static void leg_init(struct leg *l, struct completion *c)
{
    l->c = c;
    l->place.go = on_turn;
    l->place.arg = l;
    timer_init(&l->timer, c->client->loop, on_timer, l);
}

struct completion *completion_start(struct model_client *client, const struct completion_request *req,
                                    const struct completion_handler *handler, void *arg)
{
    struct completion *c = mem_alloc(sizeof *c);
    c->client = client;
    c->req = *req;
    c->handler = *handler;
    c->arg = arg;
    c->again_ms = -1;
    if (req->config)
        c->req.config = config_ref(req->config);
    choose_all(c);
    leg_init(&c->first, c);
    leg_init(&c->rival, c);
    timer_init(&c->hedge, client->loop, on_silence, c);
    DL_APPEND2(client->completions, c, prev_one, next_one);
    aim(&c->first, &c->choices[c->next++]);
    c->failed = c->first.choice;
    pause_for(&c->first, 0);
    if (req->model->hedge_after > 0 && c->n_choices > 1)
        timer_set(&c->hedge, req->model->hedge_after);
    return c;
}
