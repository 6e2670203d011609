#include "plugin/chat/channel.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "plugin/base/clock.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"
#include "plugin/base/metric.h"
#include "plugin/chat/command.h"
#include "plugin/chat/core.h"
#include "plugin/chat/room.h"
#include "plugin/chat/summary.h"
#include "plugin/chat/turn.h"

#define EVICT_LOOKS 8          /* channels looked at per eviction: the front of the list may be busy */
#define LOAD_MESSAGES_SILENT 1 /* history of a channel that no bot serves */

struct question *question_new(const struct store_msg *m)
{
    struct question *q = mem_alloc(sizeof(*q));
    q->seq = m->seq;
    q->turn = m->turn;
    q->accepted_ms = clock_mono_ms();
    q->command = m->flags & STORE_COMMAND;
    q->again = q->retry = m->flags & STORE_AGAIN;
    q->replaces = q->again ? m->answer : 0;
    q->reply_to = mem_dup(q->again ? m->reply_to : m->id);
    q->id = mem_dup(m->id);
    q->sender = mem_dup(m->sender);
    q->name = mem_dup(m->name);
    q->lang = mem_dup(m->lang);
    q->text = mem_dup(m->text);
    q->wish = mem_dup(m->wish);
    return q;
}

void question_free(struct question *q)
{
    free(q->id);
    free(q->sender);
    free(q->name);
    free(q->lang);
    free(q->text);
    free(q->wish);
    free(q->reply_to);
    free(q);
}

static void channel_free(struct channel *ch)
{
    struct chat *core = ch->core;
    struct question *q, *tmp;
    DL_FOREACH_SAFE(ch->queue, q, tmp)
        question_free(channel_dequeue(ch, q));
    HASH_DEL(core->by_name, ch);
    DL_DELETE(core->lru, ch);
    if (ch->in_ready)
        DL_DELETE2(core->ready, ch, ready_prev, ready_next);
    core->n_channels--;
    metric_set(METRIC_CHANNELS_LOADED, (int64_t)core->n_channels);
    history_clear(&ch->history);
    free((char *)ch->row.model);
    free((char *)ch->row.prompt);
    free((char *)ch->row.summary);
    free((char *)ch->row.pins);
    summary_free(ch);
    free(ch->calibrated_for);
    room_fini(&ch->room);
    room_names_free(&ch->names);
    free((char *)ch->row.preset);
    free(ch->account);
    free(ch->name);
    free(ch->chat);
    free(ch->thread);
    free(ch);
}

void channel_enqueue(struct channel *ch, struct question *q)
{
    DL_APPEND(ch->queue, q);
    ch->n_queue++;
    metric_add(METRIC_TURNS_WAITING, 1);
}

void channel_put_back(struct channel *ch, struct question *list)
{
    struct question *q;
    DL_FOREACH(list, q) {
        ch->n_queue++;
        metric_add(METRIC_TURNS_WAITING, 1);
    }
    DL_CONCAT(list, ch->queue);
    ch->queue = list;
}

struct question *channel_dequeue(struct channel *ch, struct question *q)
{
    DL_DELETE(ch->queue, q);
    ch->n_queue--;
    metric_add(METRIC_TURNS_WAITING, -1);
    return q;
}

static bool is_idle(const struct channel *ch)
{
    return ch->state == CHANNEL_READY && !ch->refs && !ch->turn && !ch->queue && !ch->in_ready && !summary_running(ch);
}

static void evict(struct chat *core)
{
    struct channel *ch, *tmp;
    int looks = EVICT_LOOKS;
    DL_FOREACH_SAFE(core->lru, ch, tmp) {
        if (core->n_channels <= CHANNELS_IDLE_MAX || looks-- == 0)
            return;
        if (is_idle(ch))
            channel_free(ch);
    }
}

void channel_ref(struct channel *ch)
{
    ch->refs++;
}

void channel_unref(struct channel *ch)
{
    ch->refs--;
}

bool channel_forget(struct chat *core, const char *name)
{
    struct channel *ch;
    HASH_FIND_STR(core->by_name, name, ch);
    if (ch && !is_idle(ch))
        return false;
    if (ch)
        channel_free(ch);
    return true;
}

void channel_free_all(struct chat *core)
{
    struct channel *ch, *tmp;
    HASH_ITER(hh, core->by_name, ch, tmp) {
        if (ch->turn)
            turn_abandon(ch->turn);
        channel_free(ch);
    }
}

/* --- rules --- */
static const struct keywords *bot_keywords(const struct chat *core, const struct bot_conf *bot)
{
    return core->keywords[bot - core->config->bots];
}

const struct channel_rule *channel_rule(struct channel *ch)
{
    if (ch->rule_of != ch->core->config) {
        ch->rule_of = ch->core->config;
        ch->rule = config_rule_of(ch->rule_of, channel_names(ch));
        ch->keywords = ch->rule && ch->rule->bot_ref ? bot_keywords(ch->core, ch->rule->bot_ref) : NULL;
    }
    return ch->rule;
}

const struct bot_conf *channel_bot(struct channel *ch)
{
    const struct channel_rule *rule = channel_rule(ch);
    return rule ? rule->bot_ref : NULL;
}

const char *const *channel_names(const struct channel *ch)
{
    return (const char *const *)ch->names;
}

static void take_room(struct channel *ch, const struct store_room *room)
{
    room_fini(&ch->room);
    room_copy(&ch->room, room);
    room_names_free(&ch->names);
    ch->names = room_names(ch->name, &ch->room);
    ch->rule_of = NULL;
}

void channel_set_room(struct channel *ch, const struct store_room *room)
{
    struct channel *other, *tmp;
    ch->room_kept = false;
    HASH_ITER(hh, ch->core->by_name, other, tmp)
        if (strcmp(other->chat, ch->chat) == 0 && strcmp(other->account, ch->account) == 0)
            take_room(other, room);
}

/* --- loading --- */
static bool in_summary(const struct channel *ch, const struct store_msg *m)
{
    return (m->kind == STORE_PERSON ? m->seq : m->turn) <= ch->row.summary_seq;
}

static void take_rows(struct channel *ch, const struct store_loaded *r)
{
    const struct bot_conf *bot = channel_bot(ch);
    for (size_t i = 0; i < r->n; i++) {
        const struct store_msg *m = &r->msgs[i];
        bool pending = m->kind == STORE_PERSON && m->outcome == STORE_PENDING;
        if (m->kind == STORE_PERSON && ch->lang < 0)
            ch->lang = (int)language_of(m->lang, m->text);
        ch->direct |= (m->flags & STORE_DIRECT) != 0;
        if (pending) {
            channel_enqueue(ch, question_new(m));
            metric_add(METRIC_TURNS_RESUMED, 1);
        }
        if (m->kind == STORE_NOTICE || m->flags & (STORE_NO_PROMPT | STORE_COMMAND))
            continue;
        if ((m->seq > ch->row.reset_seq && !in_summary(ch, m)) || pending)
            history_add(&ch->history, m, bot && bot->names && !ch->direct ? m->name : NULL);
    }
    /* The page may begin in the middle of a turn. */
    while (ch->history.head && ch->history.head->kind != STORE_PERSON)
        history_drop(&ch->history, ch->history.head);
}

static void tell_waiters(struct channel *ch, const struct err *e)
{
    struct waiter *w;
    channel_ref(ch); /* a waiter may finish its work at once */
    while ((w = ch->waiters)) {
        DL_DELETE(ch->waiters, w);
        w->fn(w, e);
    }
    channel_unref(ch);
}

/* What an earlier run left unanswered, as it came then: a command finds the
 * turns under way that were begun before it. The first answer may have been shown
 * in part, so that it goes on as an edit; which everybody here will understand
 * only if it runs before anybody was told how the conversation stands. */
static void resume(struct channel *ch)
{
    struct question *q, *tmp, *left = NULL;
    ch->state = CHANNEL_READY;
    while ((q = ch->queue)) {
        channel_dequeue(ch, q);
        DL_APPEND(left, q);
    }
    DL_FOREACH_SAFE(left, q, tmp) {
        DL_DELETE(left, q);
        q->seen = true;
        if (q->command) {
            turn_next(ch);
            command_run(ch, q);
        } else {
            channel_enqueue(ch, q);
        }
    }
    turn_next(ch);
    DL_FOREACH(ch->queue, q)
        q->seen = false;
}

static int messages_needed(struct channel *ch)
{
    const struct bot_conf *bot = channel_bot(ch);
    return bot ? (int)bot->history_messages : LOAD_MESSAGES_SILENT;
}

static void load(struct channel *ch);

static void loaded(void *arg, const struct store_loaded *r, const struct err *e)
{
    struct channel *ch = arg;
    channel_unref(ch);
    if (e->code) {
        log_error("chat", "cannot read channel %s: %s", ch->name, e->text);
        tell_waiters(ch, e);
        channel_free(ch);
        return;
    }
    ch->room_kept = true;
    take_room(ch, &r->room);
    if (messages_needed(ch) > ch->loaded) { /* by its other names it has a bot */
        load(ch);
        return;
    }
    ch->row = r->channel;
    ch->row.model = mem_dup(r->channel.model);
    ch->row.prompt = mem_dup(r->channel.prompt);
    ch->row.summary = mem_dup(r->channel.summary);
    ch->row.pins = mem_dup(r->channel.pins);
    ch->row.preset = mem_dup(r->channel.preset);
    ch->seq = ch->out = ch->row.seq_limit;
    take_rows(ch, r);
    tell_waiters(ch, e);
    resume(ch);
}

static void load(struct channel *ch)
{
    ch->loaded = messages_needed(ch);
    channel_ref(ch);
    store_load(ch->core->env.store, ch->account, ch->name, ch->loaded, loaded, ch);
}

static struct channel *channel_new(struct chat *core, struct adapter *a, const char *chat, const char *thread,
                                   const char *name)
{
    struct channel *ch = mem_alloc(sizeof(*ch));
    ch->core = core;
    ch->account = mem_dup(a->conf->name);
    ch->name = mem_dup(name);
    ch->chat = mem_dup(chat);
    ch->thread = mem_dup(thread);
    ch->adapter = a;
    ch->facts = &a->ops->facts;
    ch->state = CHANNEL_LOADING;
    ch->lang = -1;
    ch->names = room_names(name, &ch->room);
    HASH_ADD_KEYPTR(hh, core->by_name, ch->name, strlen(ch->name), ch);
    DL_APPEND(core->lru, ch);
    core->n_channels++;
    metric_set(METRIC_CHANNELS_LOADED, (int64_t)core->n_channels);
    load(ch);
    return ch;
}

/* --- names --- */
void channel_add_escaped(struct buf *out, const char *chat)
{
    for (; *chat; chat++)
        if (*chat == '/' || *chat == '%')
            buf_addf(out, "%%%02X", (unsigned)*chat);
        else
            buf_addc(out, *chat);
}

static char *unescaped(const char *s, size_t len)
{
    struct buf out;
    buf_init(&out, CHANNEL_NAME_BYTES_MAX);
    for (size_t i = 0; i < len; i++)
        if (len - i > 2 && (memcmp(s + i, "%2F", 3) == 0 || memcmp(s + i, "%25", 3) == 0)) {
            buf_addc(&out, s[i + 2] == 'F' ? '/' : '%');
            i += 2;
        } else {
            buf_addc(&out, s[i]);
        }
    return buf_take(&out);
}

struct adapter *channel_adapter(struct channel *ch)
{
    const struct chat_env *env = &ch->core->env;
    if (!ch->adapter)
        ch->adapter = env->find(env->arg, ch->account);
    if (ch->adapter)
        ch->facts = &ch->adapter->ops->facts;
    return ch->adapter;
}

void channel_name(struct buf *out, const struct adapter *a, const char *chat, const char *thread)
{
    buf_init(out, CHANNEL_NAME_BYTES_MAX);
    buf_addf(out, "%s:", a->conf->name);
    channel_add_escaped(out, chat);
    if (thread)
        buf_addf(out, "/%s", thread);
}

struct channel *channel_get(struct chat *core, struct adapter *a, const char *chat, const char *thread)
{
    struct buf name;
    struct channel *ch;
    channel_name(&name, a, chat, thread);
    HASH_FIND_STR(core->by_name, buf_str(&name), ch);
    if (ch) {
        DL_DELETE(core->lru, ch);
        DL_APPEND(core->lru, ch);
        ch->adapter = a;
        ch->facts = &a->ops->facts;
    } else {
        evict(core);
        ch = channel_new(core, a, chat, thread, buf_str(&name));
    }
    buf_free(&name);
    return ch;
}

void channel_name_split(const char *name, char **chat_r, const char **thread_r)
{
    const char *rest = strchr(name, ':') + 1, *slash = strchr(rest, '/');
    *chat_r = unescaped(rest, slash ? (size_t)(slash - rest) : strlen(rest));
    *thread_r = slash ? slash + 1 : NULL;
}

struct channel *channel_get_named(struct chat *core, struct adapter *a, const char *name)
{
    char *chat;
    const char *thread;
    channel_name_split(name, &chat, &thread);
    struct channel *ch = channel_get(core, a, chat, thread);
    free(chat);
    return ch;
}

void channel_when_ready(struct channel *ch, struct waiter *w)
{
    static const struct err none = ERR_INIT;
    if (ch->state == CHANNEL_READY)
        w->fn(w, &none);
    else
        DL_APPEND(ch->waiters, w);
}

/* --- numbers --- */
int64_t channel_next_seq(struct channel *ch)
{
    return ch->seq += 2;
}

void channel_event_out(struct channel *ch, int64_t seq)
{
    if (seq > ch->out)
        ch->out = seq;
}

int64_t channel_limit_for(const struct channel *ch, int64_t seq)
{
    return seq + SEQ_RESERVE / 2 > ch->row.seq_limit ? seq + SEQ_RESERVE : 0;
}

void channel_limit_written(struct channel *ch, int64_t limit)
{
    if (limit > ch->row.seq_limit)
        ch->row.seq_limit = limit;
}

static void reserved(void *arg, const struct err *e)
{
    struct channel *ch = arg;
    channel_unref(ch);
    if (e->code == ERR_OK)
        channel_limit_written(ch, ch->reserving);
    ch->reserving = 0;
    if (ch->turn)
        turn_kick(ch->turn);
}

bool channel_has_seq(struct channel *ch)
{
    if (ch->seq + 2 <= ch->row.seq_limit)
        return true;
    if (!ch->reserving && ch->row.id) {
        struct store_channel row = ch->row;
        row.seq_limit = ch->seq + SEQ_RESERVE;
        ch->reserving = row.seq_limit;
        channel_ref(ch);
        store_channel_put(ch->core->env.store, &row, reserved, ch);
    }
    return false;
}

static void saved(void *arg, const struct err *e)
{
    struct channel *ch = arg;
    channel_unref(ch);
    if (e->code)
        log_error("chat", "cannot write the settings of channel %s: %s", ch->name, e->text);
}

void channel_save(struct channel *ch)
{
    channel_ref(ch);
    store_channel_put(ch->core->env.store, &ch->row, saved, ch);
}

enum language channel_language(const struct channel *ch, const struct question *q)
{
    const struct channel_rule *rule = ch->rule;
    if (rule && rule->bot_ref && rule->bot_ref->language)
        return language_of(rule->bot_ref->language, NULL);
    if (q)
        return language_of(q->lang, q->text);
    return ch->lang < 0 ? LANG_EN : (enum language)ch->lang;
}
