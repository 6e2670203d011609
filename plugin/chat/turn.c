#include "plugin/chat/turn.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <utlist.h>

#include "plugin/base/clock.h"
#include "plugin/base/json.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"
#include "plugin/base/metric.h"
#include "plugin/chat/cache.h"
#include "plugin/chat/core.h"
#include "plugin/chat/ending.h"
#include "plugin/chat/outbox.h"
#include "plugin/chat/prompt.h"
#include "plugin/chat/quote.h"
#include "plugin/chat/room.h"
#include "plugin/chat/summary.h"
#include "plugin/chat/wish.h"
#include "plugin/model/policy.h"
#include "plugin/model/thought.h"
#include "plugin/model/tokens.h"
#include "plugin/model/vocabularies.h"

/* A growing answer is sent whole with each edit, so edits get rarer as it
 * grows: every 64 bytes of text stretch the pause by a millisecond, which
 * bounds what one reader gets at 64 KB a second. */
#define EDIT_BYTES_PER_MS 64
#define LENGTH_MARK "…"
#define VIEW_BYTES_MAX (COMPLETION_TEXT_BYTES_MAX + QUOTE_BYTES_MAX + 2)
#define NOTICE_BYTES_MAX 4096
#define TYPING_AFTER_MS 150 /* an answer that comes at once needs no "is typing" before it */
#define USAGE_BYTES 320

#define CROWD_TURNS 64 /* at once: their memory is worth giving back */
#define REST_MS 500    /* without a turn, before it is */

enum turn_state { TURN_BINDING, TURN_ASKING, TURN_STREAMING, TURN_STORING };

struct turn {
    struct channel *ch;
    enum turn_state state;
    struct config *config;       /* of the time when it began; holds bot and model */
    const struct bot_conf *bot;
    const struct model_conf *model;
    struct question *questions;  /* what is answered, ascending seq; the last one leads */
    struct question *lead;
    const char **answers;        /* their ids, borrowed, NULL-terminated; NULL if there is only one */
    int64_t ask;                 /* leads the questions of the prompt; another than lead with /retry */
    struct wish wish;            /* of the lead */
    const struct preset_conf *preset; /* NULL: none */
    struct request_tuning tuning;
    bool tuned;
    int64_t supersedes;          /* seq of an older answer that leaves the prompt; 0: none */
    struct buf system, front, messages; /* of the request; front: prompt_front() */
    size_t fixed_tokens;         /* of system and front, which are never trimmed */
    char key[CACHE_KEY_BYTES];   /* of the request, if its answer may be given again; else "" */
    const struct entry *from;    /* the first that the request shows; NULL: all */
    char person[PERSON_DIGITS + 1]; /* who asks, for the model's server */
    struct completion *completion;
    struct bill *bill;           /* from ASKING on; then the ending's */
    struct buf text;             /* of the answer so far */
    struct buf thought, view;    /* what the model thinks; what people see, if that is more than the text */
    bool keep_thought;           /* above the answer */
    int64_t first_text_ms, next_edit_ms;
    bool shown;                  /* events of it have left, where they need no outbox */
    bool opened;                 /* a row of the outbox was asked for */
    bool restarted, cancelled, typing;
    char id[ANSWER_ID_BYTES];
    struct defer flush;
    struct timer timer;          /* next try to bind; then "is typing"; then the next edit */
};

static const char *state_name(enum turn_state s)
{
    static const char *const names[] = { "binding", "asking", "streaming", "storing" };
    return names[s];
}

static void set_state(struct turn *t, enum turn_state s)
{
    log_debug("turn", "%s message %" PRId64 ": %s -> %s", t->ch->name, t->lead->seq, state_name(t->state), state_name(s));
    t->state = s;
}

static void typing(struct turn *t, bool on)
{
    struct adapter *a = t->ch->adapter;
    if (t->typing == on)
        return;
    t->typing = on;
    if (a && a->ops->typing)
        a->ops->typing(a, t->ch->chat, t->ch->thread, on);
}

static void free_questions(struct question **list)
{
    struct question *q, *tmp;
    DL_FOREACH_SAFE(*list, q, tmp) {
        DL_DELETE(*list, q);
        question_free(q);
    }
}

static void turn_free(struct turn *t)
{
    struct chat *core = t->ch->core;
    t->ch->turn = NULL;
    completion_cancel(&t->completion);
    timer_cancel(&t->timer);
    defer_cancel(&t->flush);
    free(t->answers);
    wish_fini(&t->wish);
    free_questions(&t->questions);
    buf_free(&t->system);
    buf_free(&t->front);
    buf_free(&t->messages);
    buf_free(&t->text);
    buf_free(&t->thought);
    buf_free(&t->view);
    bill_free(&t->bill);
    config_unref(&t->config);
    free(t);
    core->running--;
    metric_set(METRIC_TURNS_RUNNING, core->running);
    if (core->running == 0 && core->crowd >= CROWD_TURNS)
        timer_set(&core->rest, REST_MS);
}

bool turn_is_storing(const struct turn *t)
{
    return t->state == TURN_STORING;
}

void turn_abandon(struct turn *t)
{
    turn_free(t);
}

/* --- the end --- */
static void update_history(struct channel *ch, const struct turn *t, const struct ending *end)
{
    struct question *q;
    DL_FOREACH(t->questions, q) {
        struct entry *e = history_find(&ch->history, q->seq);
        if (!e)
            continue;
        e->turn = t->lead->seq;
        e->pending = false;
        e->noticed = end->outcome != STORE_ANSWERED;
    }
    if (end->outcome != STORE_ANSWERED)
        return;
    struct entry *e, *old = history_find(&ch->history, end->supersedes);
    DL_FOREACH(ch->history.head, e)
        if (e->kind == STORE_PERSON && e->turn == t->ask)
            e->noticed = false;
    if (old)
        history_drop(&ch->history, old);
    struct store_msg answer = {
        .seq = end->seq, .kind = STORE_BOT, .flags = end->flags, .turn = t->lead->seq, .text = end->text
    };
    history_add(&ch->history, &answer, NULL);
}

static void next_ready(struct chat *core)
{
    struct channel *ch = core->ready;
    if (!ch || core->running >= TURNS_RUNNING_MAX)
        return;
    DL_DELETE2(core->ready, ch, ready_prev, ready_next);
    ch->in_ready = false;
    turn_next(ch);
}

static void ended(void *arg, const struct ending *end)
{
    struct turn *t = arg;
    struct channel *ch = t->ch;
    if (!end->dropped)
        update_history(ch, t, end);
    turn_free(t);
    turn_next(ch);
    summary_next(ch);
    next_ready(ch->core);
}

/* The answer whose message this one takes over, where messages can be edited. */
static int64_t adopts(const struct turn *t)
{
    return t->lead->again && outbox_can_edit(t->ch->facts) ? t->supersedes : 0;
}

static struct ending *end_turn(struct turn *t, enum store_outcome outcome, const char *finish)
{
    completion_cancel(&t->completion);
    timer_cancel(&t->timer);
    defer_cancel(&t->flush);
    typing(t, false);
    set_state(t, TURN_STORING);
    struct ending *end = ending_new(t->ch, t->lead->seq, t->lead->reply_to);
    ending_answers(end, t->questions);
    end->outcome = outcome;
    end->notice = outcome == STORE_NOTICED;
    end->shown = t->shown;
    end->finish = finish;
    end->supersedes = t->supersedes;
    end->adopts = adopts(t);
    end->fresh = t->opened && t->lead->turn == 0; /* a row binds its question on disk */
    end->accepted_ms = t->lead->accepted_ms;
    end->bill = t->bill;
    t->bill = NULL;
    end->done = ended;
    end->arg = t;
    return end;
}

static void end_with_notice(struct turn *t, const char *text, const char *finish, const struct err *why)
{
    struct ending *end = end_turn(t, STORE_NOTICED, finish);
    end->text = mem_dup(text);
    if (why) {
        end->error = why->code;
        end->reason = mem_dup(why->text);
    }
    ending_start(end);
}

/* again_ms: as for notice_error(). */
static void end_without_answer(struct turn *t, enum finish_reason finish, const struct err *why, int64_t again_ms)
{
    struct buf notice;
    buf_init(&notice, NOTICE_BYTES_MAX);
    notice_error(&notice, why->code, again_ms, channel_language(t->ch, t->lead));
    end_with_notice(t, buf_str(&notice), finish_name(finish), why);
    buf_free(&notice);
}

/* The text so far with `mark` behind it. */
static void end_with_text(struct turn *t, const char *finish, const char *mark, const char *usage)
{
    struct ending *end = end_turn(t, STORE_ANSWERED, finish);
    struct buf text;
    buf_init(&text, VIEW_BYTES_MAX + 1024);
    bool quoted = quote_view(&text, &t->thought, &t->text, t->keep_thought);
    buf_adds(&text, mark);
    end->flags = (strcmp(finish, "stop") == 0 ? 0 : STORE_CUT) | (quoted ? STORE_QUOTED : 0);
    end->text = buf_take(&text);
    end->usage = mem_dup(usage);
    ending_start(end);
}

/* The completion is still there, so that it can tell whom it has asked. */
static void end_cancelled(struct turn *t)
{
    metric_add(METRIC_TURNS_CANCELLED, 1);
    if (t->bill)
        bill_settle_cancelled(t->bill, t->completion, &t->text);
    if (t->text.len && !t->restarted)
        end_with_text(t, finish_name(FINISH_CANCELLED), "", NULL);
    else
        end_with_notice(t, notice_text(NOTICE_STOPPED, channel_language(t->ch, t->lead)), finish_name(FINISH_CANCELLED),
                        NULL);
}

void turn_cancel(struct turn *t)
{
    t->cancelled = true;
    if (t->state == TURN_ASKING || t->state == TURN_STREAMING)
        end_cancelled(t);
}

/* --- showing the answer while it grows --- */
enum sight { SIGHT_NONE, SIGHT_STORED, SIGHT_OUTBOX };

static enum sight sight(const struct turn *t)
{
    const unsigned stored = ADAPTER_EDIT | ADAPTER_STORED;
    if (!t->bot->stream || !channel_adapter(t->ch))
        return SIGHT_NONE;
    if ((t->ch->facts->caps & stored) == stored)
        return SIGHT_STORED;
    return outbox_can_grow(t->ch->facts) ? SIGHT_OUTBOX : SIGHT_NONE;
}

static bool is_seen(const struct turn *t)
{
    return t->shown || (t->opened && outbox_is_seen(t->ch, t->lead->seq));
}

/* The row of the outbox, without which nothing is shown. */
static void open_row(struct turn *t)
{
    if (t->opened || sight(t) != SIGHT_OUTBOX || !channel_has_seq(t->ch))
        return;
    t->opened = true;
    outbox_open(t->ch, t->lead->seq, adopts(t));
}

static const struct buf *view(struct turn *t)
{
    if (!t->thought.len || (t->text.len && !t->keep_thought))
        return &t->text;
    buf_reset(&t->view);
    quote_view(&t->view, &t->thought, &t->text, t->keep_thought);
    return &t->view;
}

static void fill(struct turn *t, struct msg_out *m)
{
    const struct buf *text = view(t);
    *m = (struct msg_out){
        .chat = t->ch->chat,
        .thread = t->ch->thread,
        .id = t->id,
        .txn = t->id,
        .text = buf_str(text),
        .len = text->len,
        .first = !t->shown,
        .reply_to = t->lead->reply_to,
        .reply_seq = t->lead->seq,
        .answers = t->answers,
    };
}

/* Events of a channel leave in the order of their numbers. A write under way
 * has its number already, so partial text waits until it is out. */
static bool show_stored(struct turn *t)
{
    struct adapter *a = t->ch->adapter;
    struct msg_out m;
    if (t->ch->commits)
        return false;
    fill(t, &m);
    m.seq = channel_next_seq(t->ch);
    channel_event_out(t->ch, m.seq);
    t->shown = true;
    if (m.first)
        a->ops->send(a, &m);
    else
        a->ops->edit(a, &m);
    return true;
}

static bool show(struct turn *t)
{
    switch (sight(t)) {
    case SIGHT_STORED: return show_stored(t);
    case SIGHT_OUTBOX: return outbox_show(t->ch, t->lead->seq, view(t));
    default: return false;
    }
}

static void flush(void *arg)
{
    struct turn *t = arg;
    int64_t now = clock_mono_ms();
    open_row(t);
    if (t->state != TURN_STREAMING || sight(t) == SIGHT_NONE || !view(t)->len || t->restarted || !channel_has_seq(t->ch))
        return;
    if (now < t->next_edit_ms)
        timer_set(&t->timer, t->next_edit_ms - now);
    else if (show(t))
        t->next_edit_ms = now + t->ch->facts->edit_interval_ms + (int64_t)view(t)->len / EDIT_BYTES_PER_MS;
}

void turn_kick(struct turn *t)
{
    if (t->state == TURN_STREAMING)
        defer_set(&t->flush);
}

bool turn_shown(const struct channel *ch, struct msg_out *m)
{
    if (!ch->turn || !ch->turn->shown)
        return false;
    fill(ch->turn, m);
    m->seq = ch->out + 1; /* channel_next_seq() keeps it free */
    m->first = false;
    return true;
}

/* --- the model's events --- */
static void begin_streaming(struct turn *t)
{
    if (t->state == TURN_ASKING) {
        set_state(t, TURN_STREAMING);
        t->first_text_ms = clock_mono_ms();
        metric_seconds(METRIC_FIRST_TOKEN, (double)(t->first_text_ms - t->lead->accepted_ms) / 1000.0);
    }
    t->restarted = false;
    defer_set(&t->flush);
}

static void on_text(void *arg, const char *delta, size_t len)
{
    struct turn *t = arg;
    begin_streaming(t);
    buf_add(&t->text, delta, len);
}

static void on_reasoning(void *arg, const char *delta, size_t len, bool keep)
{
    struct turn *t = arg;
    begin_streaming(t);
    t->keep_thought = keep;
    buf_add(&t->thought, delta, len);
}

static void on_restart(void *arg)
{
    struct turn *t = arg;
    buf_reset(&t->text);
    buf_reset(&t->thought);
    t->restarted = true; /* what is shown stays until there is something better */
}

static void format_usage(const struct usage *u, char *out, size_t cap)
{
    snprintf(out, cap,
             "{\"prompt_tokens\":%" PRId64 ",\"completion_tokens\":%" PRId64 ",\"total_tokens\":%" PRId64
             ",\"prompt_tokens_details\":{\"cached_tokens\":%" PRId64
             "},\"completion_tokens_details\":{\"reasoning_tokens\":%" PRId64 "}}",
             u->prompt_tokens, u->completion_tokens, u->total_tokens, u->cached_tokens, u->reasoning_tokens);
}

/* Another model's answer is for a time of need only. */
static void remember(const struct turn *t, const struct completion_result *r)
{
    struct cache *cache = *t->key ? caches_find(t->ch->core->caches, t->bot->name) : NULL;
    if (cache && r->finish == FINISH_STOP && r->model == t->model)
        cache_put(cache, t->key, t->text.data, t->text.len, clock_mono_ms());
}

static void on_failure(struct turn *t, const struct err *e, int64_t again_ms)
{
    log_write(policy_of(e->code)->log, "turn", "%s: no answer: %s: %s", t->ch->name, err_name(e->code), e->text);
    if (is_seen(t) && t->text.len && !t->restarted) {
        char mark[256];
        snprintf(mark, sizeof(mark), "\n\n%s", notice_text(NOTICE_INTERRUPTED, channel_language(t->ch, t->lead)));
        end_with_text(t, finish_name(FINISH_ERROR), mark, NULL);
    } else {
        end_without_answer(t, FINISH_ERROR, e, again_ms);
    }
}

static void on_wasted(void *arg, const struct completion_result *r)
{
    struct turn *t = arg;
    bill_add(t->bill, r);
}

static void on_done(void *arg, const struct completion_result *r, const struct err *e)
{
    static const struct err filtered = { ERR_CONTENT, "the model's content filter refused to answer" };
    static const struct err empty = { ERR_EMPTY, "the model finished without an answer" };
    struct turn *t = arg;
    char usage[USAGE_BYTES] = "";
    t->completion = NULL;
    bill_settle(t->bill, r);
    if (r->usage.known)
        format_usage(&r->usage, usage, sizeof(usage));
    if (e->code) {
        on_failure(t, e, r->again_ms);
    } else if (r->finish == FINISH_CONTENT_FILTER) {
        end_without_answer(t, r->finish, &filtered, -1);
    } else if (!t->text.len) {
        end_without_answer(t, FINISH_ERROR, &empty, -1);
    } else {
        remember(t, r);
        end_with_text(t, finish_name(r->finish), r->finish == FINISH_LENGTH ? LENGTH_MARK : "", *usage ? usage : NULL);
    }
}

/* --- the beginning --- */
static void date_now(char out[64])
{
    time_t now = (time_t)(clock_wall_ms() / 1000);
    struct tm tm;
    localtime_r(&now, &tm);
    strftime(out, 64, "%Y-%m-%d (%A)", &tm);
}

static void expand_system(const struct turn *t, struct buf *out)
{
    struct channel *ch = t->ch;
    const struct channel_rule *rule = channel_rule(ch);
    const char *text = t->preset && t->preset->system_prompt ? t->preset->system_prompt
                       : ch->row.prompt                      ? ch->row.prompt
                       : rule && rule->system_prompt         ? rule->system_prompt
                                                             : t->bot->system_prompt;
    char date[64], *title = room_title(&ch->room);
    const char *chat = ch->direct ? "private chat" : ch->chat;
    date_now(date);
    struct prompt_vars vars = {
        .date = date,
        .channel = chat,
        .bot = t->bot->name,
        .language = language_name(channel_language(ch, NULL)),
        .room = title ? title : chat,
        .topic = ch->room.topic ? ch->room.topic : "",
    };
    prompt_expand(out, text ? text : "", &vars);
    if (t->wish.prompt)
        buf_addf(out, "%s%s", out->len ? "\n\n" : "", t->wish.prompt);
    free(title);
}

/* Another model counts otherwise, and so do we with another vocabulary. */
static void count_for_model(struct turn *t)
{
    struct channel *ch = t->ch;
    bool changed = history_count_by(&ch->history, vocabularies_get(ch->core->vocabularies, t->model->vocabulary));
    if (!changed && ch->calibrated_for && strcmp(ch->calibrated_for, t->model->name) == 0)
        return;
    ch->calibration = (struct calibration){ 0 };
    free(ch->calibrated_for);
    ch->calibrated_for = mem_dup(t->model->name);
}

/* Both parts stand before what is trimmed, and are never trimmed themselves. */
static void write_fixed(struct turn *t)
{
    const struct store_channel *row = &t->ch->row;
    const struct vocabulary *v = t->ch->history.vocabulary;
    struct buf system, front;
    buf_init(&system, PROMPT_BYTES_MAX);
    buf_init(&front, PROMPT_BYTES_MAX);
    expand_system(t, &system);
    prompt_front(&front, row->pins, row->summary);
    buf_reset(&t->system);
    buf_reset(&t->front);
    json_escape(&t->system, buf_str(&system), system.len);
    json_escape(&t->front, buf_str(&front), front.len);
    t->fixed_tokens = tokens_count(v, buf_str(&system), system.len) + tokens_count(v, buf_str(&front), front.len) +
                      2 * TOKENS_PER_MESSAGE;
    buf_free(&system);
    buf_free(&front);
}

/* What the history may have: as much as the bot is to remember, if the model takes it. */
static size_t history_budget(const struct turn *t)
{
    size_t budget = model_budget(t->ch->core->env.models, t->model, &t->ch->calibration);
    size_t wanted = (size_t)t->bot->history_tokens;
    size_t left = budget > t->fixed_tokens ? budget - t->fixed_tokens : 0;
    return left < wanted ? left : wanted;
}

static void lay_out(struct turn *t, struct completion_request *req)
{
    size_t tokens;
    buf_reset(&t->messages);
    buf_expect(&t->messages, t->ch->history.bytes);
    prompt_build(&t->messages, buf_str(&t->front), &t->ch->history, t->from, t->ask, &tokens);
    req->messages = buf_str(&t->messages);
    req->messages_len = t->messages.len;
    req->tokens = t->fixed_tokens + tokens;
}

/* The model takes less than the bot remembers: whole turns are left out of this
 * request, the oldest first. */
static bool on_too_long(void *arg, struct completion_request *req, size_t max_tokens)
{
    struct turn *t = arg;
    size_t room = max_tokens > t->fixed_tokens ? max_tokens - t->fixed_tokens : 0;
    const struct entry *from = history_within(&t->ch->history, room, t->ask);
    size_t before = req->tokens;
    if (from == (t->from ? t->from : t->ch->history.head))
        return false;
    t->from = from;
    lay_out(t, req);
    log_debug("turn", "%s message %" PRId64 ": about %zu tokens instead of %zu", t->ch->name, t->lead->seq, req->tokens,
              before);
    return req->tokens < before;
}

static void lay_out_for_model(struct turn *t, struct completion_request *req)
{
    count_for_model(t);
    write_fixed(t);
    summary_trim(t->ch, t->bot, history_budget(t), t->ask);
    lay_out(t, req);
    req->model = t->model;
    req->system = buf_str(&t->system);
}

/* False: a limit is used up, and the turn over. */
static bool reserve(struct turn *t, size_t prompt_tokens)
{
    struct notice_limit limit;
    struct buf notice;
    struct err why;
    t->bill = bill_new(t->ch, t->config, t->bot, t->lead);
    if (bill_reserve(t->bill, &t->model, prompt_tokens, &limit))
        return true;
    metric_add(METRIC_TURNS_LIMITED, 1);
    buf_init(&notice, NOTICE_BYTES_MAX);
    notice_limit(&notice, &limit, channel_language(t->ch, t->lead));
    err_set(&why, ERR_RATE, "a limit of the people here is used up");
    end_with_notice(t, buf_str(&notice), finish_name(FINISH_ERROR), &why);
    buf_free(&notice);
    return false;
}

/* From what the bot remembers, if it may. A /retry asks anew, and what it gets takes the old answer's place. */
static bool answer_again(struct turn *t)
{
    static const struct usage nothing;
    struct cache *cache = caches_find(t->ch->core->caches, t->bot->name);
    if (!cache || t->answers || t->tuned || !prompt_is_only(&t->messages, history_find(&t->ch->history, t->ask)))
        return false;
    cache_key(t->key, t->bot->name, t->model, &t->system, &t->messages);
    const char *text = t->lead->retry ? NULL : cache_get(cache, t->key, clock_mono_ms());
    if (!text)
        return false;
    log_debug("turn", "%s message %" PRId64 ": answered from the cache, as %" PRId64 " others", t->ch->name,
              t->lead->seq, metric_get(METRIC_CACHE_HITS) - 1);
    char usage[USAGE_BYTES];
    format_usage(&nothing, usage, sizeof(usage));
    buf_adds(&t->text, text);
    end_with_text(t, finish_name(FINISH_STOP), "", usage);
    return true;
}

static void drop(struct turn *t);
static void dissolve(struct turn *t);

static void ask(struct turn *t)
{
    static const struct completion_handler handler = { on_text,     on_reasoning, on_restart,
                                                         on_too_long, on_done,      on_wasted };
    struct channel *ch = t->ch;
    struct completion_request req = {
        .config = t->config,
        .flow = ch->name,
        .own = &ch->calibration,
        .tuning = t->tuned ? &t->tuning : NULL,
    };
    if (t->lead->sender && person_of(t->person, ch->core, ch->account, t->lead->sender))
        req.person = t->person;
    lay_out_for_model(t, &req);
    if (buf_error(&t->system) || buf_error(&t->messages)) {
        struct err why;
        err_set(&why, ERR_TOO_LARGE, "the request to the model would be over %u bytes", PROMPT_BYTES_MAX);
        end_without_answer(t, FINISH_ERROR, &why, -1);
        return;
    }
    if (answer_again(t) || !reserve(t, req.tokens))
        return;
    if (req.model != t->model) {
        t->key[0] = '\0'; /* was made for the other model */
        lay_out_for_model(t, &req);
    }
    set_state(t, TURN_ASKING);
    timer_set(&t->timer, TYPING_AFTER_MS);
    open_row(t);
    t->completion = completion_start(ch->core->env.models, &req, &handler, t);
}

static void bind(struct turn *t);

static void bound(void *arg, const struct err *e)
{
    struct channel *ch = arg;
    struct turn *t = ch->turn;
    channel_unref(ch);
    ch->core->commits--;
    if (!t || t->state != TURN_BINDING)
        return;
    if (e->code) {
        log_error("chat", "cannot write which messages of %s are answered together: %s; trying again", ch->name, e->text);
        timer_set(&t->timer, STORE_RETRY_MS);
        return;
    }
    struct question *q;
    DL_SEARCH_SCALAR(t->questions, q, withdrawn, true);
    if (q)
        dissolve(t);
    else if (t->cancelled)
        end_cancelled(t);
    else
        ask(t);
}

static void bind(struct turn *t)
{
    struct question *q;
    size_t n;
    DL_COUNT(t->questions, q, n);
    int64_t *seqs = mem_array(n, sizeof(*seqs));
    n = 0;
    DL_FOREACH(t->questions, q)
        seqs[n++] = q->seq;
    channel_ref(t->ch);
    t->ch->core->commits++;
    store_turn(t->ch->core->env.store, t->ch->row.id, t->lead->seq, seqs, n, NULL, 0, bound, t->ch);
    free(seqs);
}

static void on_timer(void *arg)
{
    struct turn *t = arg;
    if (t->state == TURN_BINDING) {
        bind(t);
        return;
    }
    if (!t->shown)
        typing(t, true);
    turn_kick(t);
}

static const char **question_ids(struct question *list)
{
    struct question *q;
    size_t n;
    DL_COUNT(list, q, n);
    if (n < 2)
        return NULL;
    const char **ids = mem_array(n + 1, sizeof(*ids));
    n = 0;
    DL_FOREACH(list, q)
        ids[n++] = q->id;
    return ids;
}

static void take(struct channel *ch, struct question *q, struct question **list)
{
    channel_dequeue(ch, q);
    DL_APPEND(*list, q);
}

/* Takes from the queue what this turn answers, as the bot's policy says. What
 * an earlier run bound together stays together; a /retry stands alone, and so
 * does what wishes for something. */
static void choose(struct turn *t)
{
    struct channel *ch = t->ch;
    struct question *head = ch->queue, *dropped = NULL, *q, *tmp;
    int64_t turn = head->turn;
    bool alone = head->retry || head->wish || head->seen; /* seen, and bound to no other: that is how it was asked before */
    enum queue_policy policy = turn ? QUEUE_MERGE : alone ? QUEUE_EACH : (enum queue_policy)t->bot->queue;
    take(ch, head, &t->questions);
    DL_FOREACH_SAFE(ch->queue, q, tmp) {
        if (policy == QUEUE_EACH || q->retry || q->turn != turn || (q->wish && !turn))
            break;
        if (policy == QUEUE_LATEST) {
            DL_CONCAT(dropped, t->questions);
            t->questions = NULL;
        }
        take(ch, q, &t->questions);
    }
    if (dropped)
        ending_silent(ch, dropped);
    t->lead = t->questions->prev; /* utlist: the head's prev is the tail */
    t->ask = t->lead->seq;
    t->answers = question_ids(t->questions);
}

/* Entries carry the turn that they belong to, so that prompt and trimming see it whole. */
static void mark_entries(struct turn *t)
{
    struct question *q;
    DL_FOREACH(t->questions, q) {
        struct entry *e = history_find(&t->ch->history, q->seq);
        if (e)
            e->turn = t->lead->seq;
    }
}

/* The last question that has its outcome, and the answer to it that is to be replaced. */
static bool find_retry(struct turn *t)
{
    struct entry *e, *last = NULL;
    DL_FOREACH(t->ch->history.head, e) {
        if (e->kind == STORE_PERSON && e->turn && !e->pending) {
            last = e;
            t->supersedes = 0;
        } else if (e->kind == STORE_BOT && last) {
            t->supersedes = e->seq;
        }
    }
    if (last)
        t->ask = last->turn;
    if (t->lead->again)
        t->supersedes = t->lead->replaces; /* which a notice may be, and those are in no history */
    return last != NULL;
}

static struct turn *turn_new(struct channel *ch, const struct bot_conf *bot)
{
    struct chat *core = ch->core;
    const struct channel_rule *rule = channel_rule(ch);
    const struct model_conf *own = ch->row.model ? config_model(core->config, ch->row.model) : NULL;
    struct turn *t = mem_alloc(sizeof(*t));
    t->ch = ch;
    t->config = config_ref(core->config);
    t->bot = bot;
    t->model = own ? own : rule->model_ref;
    buf_init(&t->system, PROMPT_BYTES_MAX);
    buf_init(&t->front, PROMPT_BYTES_MAX);
    buf_init(&t->messages, PROMPT_BYTES_MAX);
    buf_init(&t->text, COMPLETION_TEXT_BYTES_MAX);
    buf_init(&t->thought, THOUGHT_BYTES_MAX);
    buf_init(&t->view, VIEW_BYTES_MAX);
    defer_init(&t->flush, core->env.loop, flush, t);
    timer_init(&t->timer, core->env.loop, on_timer, t);
    ch->turn = t;
    core->running++;
    if (core->crowd < core->running)
        core->crowd = core->running;
    metric_set(METRIC_TURNS_RUNNING, core->running);
    return t;
}

/* Everything before the question, but what waits for its own answer. */
static void forget_before(struct channel *ch, int64_t seq)
{
    struct entry *e, *next;
    for (e = ch->history.head; e && history_place(e) < seq; e = next) {
        next = e->next;
        if (!e->pending)
            history_drop(&ch->history, e);
    }
    summary_forget(ch);
    free((char *)ch->row.pins);
    ch->row.pins = NULL;
    ch->row.reset_seq = seq - 1;
    channel_save(ch);
}

static void grant(struct turn *t)
{
    struct channel *ch = t->ch;
    wish_read(&t->wish, t->lead->wish);
    if (t->wish.reset && !t->lead->again && ch->row.reset_seq < t->lead->seq - 1)
        forget_before(ch, t->lead->seq);
    t->preset = wish_preset(&t->wish, t->bot, ch->row.preset);
    if (t->preset && t->preset->model_ref)
        t->model = t->preset->model_ref;
    t->tuned = wish_tuning(&t->wish, t->preset, &t->tuning);
}

static void begin(struct channel *ch, const struct bot_conf *bot)
{
    struct turn *t = turn_new(ch, bot);
    choose(t);
    grant(t);
    answer_id(t->id, t->lead->seq);
    mark_entries(t);
    t->shown = t->questions->seen && sight(t) == SIGHT_STORED;
    if (t->lead->retry && !find_retry(t)) {
        if (t->lead->again)
            drop(t);
        else
            end_with_notice(t, notice_text(NOTICE_RETRY_NOTHING, channel_language(ch, t->lead)), finish_name(FINISH_STOP),
                            NULL);
    } else if (t->questions->next) {
        t->state = TURN_BINDING;
        bind(t);
    } else {
        ask(t);
    }
}

bool turn_cancel_all(struct channel *ch, int64_t seq)
{
    struct question *q, *tmp, *list = NULL;
    bool any = ch->turn && ch->turn->state != TURN_STORING;
    DL_FOREACH_SAFE(ch->queue, q, tmp)
        if (q->seq < seq)
            take(ch, q, &list);
    any |= list != NULL;
    if (list)
        ending_silent(ch, list);
    if (ch->turn)
        turn_cancel(ch->turn);
    return any;
}

bool turn_has_sender(const struct turn *t, const char *sender)
{
    struct question *q;
    DL_FOREACH(t->questions, q)
        if (q->sender && strcmp(q->sender, sender) == 0)
            return true;
    return false;
}

struct question *turn_question(const struct turn *t, int64_t seq)
{
    struct question *q;
    DL_SEARCH_SCALAR(t->questions, q, seq, seq);
    return q;
}

struct turn *turn_of(const struct channel *ch, int64_t seq)
{
    struct turn *t = ch->turn;
    if (!t)
        return NULL;
    const struct entry *e = history_find(&t->ch->history, seq);
    bool again = t->lead->again && e && e->turn == t->ask;
    return again || turn_question(t, seq) ? t : NULL;
}

/* --- when people change their minds --- */
static void paid(void *arg, const struct err *e)
{
    (void)arg;
    if (e->code)
        log_error("chat", "cannot write down what an answer cost that nobody wanted: %s", e->text);
}

/* What was asked for in vain has its price all the same. */
static void stop_asking(struct turn *t)
{
    if (t->bill) {
        bill_settle_cancelled(t->bill, t->completion, &t->text);
        struct store_bill rows = bill_rows(t->bill);
        bill_written(t->bill);
        if (rows.n_usage)
            store_bill_add(t->ch->core->env.store, &rows, paid, NULL);
        bill_free(&t->bill);
    }
    completion_cancel(&t->completion);
    timer_cancel(&t->timer);
    defer_cancel(&t->flush);
}

bool turn_start_over(struct channel *ch, int64_t seq)
{
    struct turn *t = turn_of(ch, seq);
    if (!t || t->state == TURN_STORING)
        return false;
    if (t->state == TURN_BINDING)
        return true;
    bool seen = is_seen(t);
    stop_asking(t);
    buf_reset(&t->text);
    buf_reset(&t->thought);
    t->restarted = seen;
    t->from = NULL;
    t->key[0] = '\0';
    ask(t);
    return true;
}

/* Those that were not taken back are asked again. */
static void dissolve(struct turn *t)
{
    struct channel *ch = t->ch;
    struct question *q, *tmp, *others = NULL;
    stop_asking(t);
    typing(t, false);
    metric_add(METRIC_TURNS_CANCELLED, 1);
    outbox_lost(ch, t->lead->seq);
    DL_FOREACH_SAFE(t->questions, q, tmp)
        if (!q->withdrawn) {
            struct entry *e = history_find(&ch->history, q->seq);
            if (e)
                e->turn = q->seq;
            q->turn = 0;
            DL_DELETE(t->questions, q);
            DL_APPEND(others, q);
        }
    turn_free(t);
    channel_put_back(ch, others);
    turn_next(ch);
    next_ready(ch->core);
}

void turn_withdraw(struct channel *ch, int64_t seq)
{
    struct turn *t = turn_of(ch, seq);
    if (!t || t->state == TURN_STORING)
        return;
    struct question *q = turn_question(t, seq);
    (q ? q : t->lead)->withdrawn = true;
    if (t->state != TURN_BINDING) /* else that comes to an end first */
        dissolve(t);
}

static void drop(struct turn *t)
{
    struct channel *ch = t->ch;
    struct question *list = t->questions;
    t->questions = NULL;
    typing(t, false);
    turn_free(t);
    ending_silent(ch, list);
    turn_next(ch);
    next_ready(ch->core);
}

bool turn_drop(struct turn *t)
{
    if (t->state == TURN_STORING || t->state == TURN_BINDING)
        return false;
    stop_asking(t);
    metric_add(METRIC_TURNS_CANCELLED, 1);
    drop(t);
    return true;
}

void turn_next(struct channel *ch)
{
    struct chat *core = ch->core;
    if (ch->turn || !ch->queue || ch->state != CHANNEL_READY || core->draining || ch->in_ready)
        return;
    if (core->running >= TURNS_RUNNING_MAX) {
        DL_APPEND2(core->ready, ch, ready_prev, ready_next);
        ch->in_ready = true;
        return;
    }
    const struct bot_conf *bot = channel_bot(ch);
    if (bot)
        begin(ch, bot);
    else /* the configuration changed while they waited */
        turn_cancel_all(ch, INT64_MAX);
}
