#include "plugin/chat/revise.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "plugin/base/clock.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"
#include "plugin/base/metric.h"
#include "plugin/chat/command.h"
#include "plugin/chat/ending.h"
#include "plugin/chat/outbox.h"
#include "plugin/chat/turn.h"

/* --- asking for another answer --- */
struct again {
    struct pending link;
    struct channel *ch;
    int64_t seq, limit;
};

static void free_again(struct pending *link)
{
    free(link);
}

static void asked_again(void *arg, const struct store_msg *m, const struct err *e)
{
    struct again *g = arg;
    struct channel *ch = g->ch;
    ch->commits--;
    ch->core->commits--;
    if (e->code)
        log_error("chat", "cannot write that an answer of %s is to be made anew: %s", ch->name, e->text);
    if (m) {
        channel_limit_written(ch, g->limit);
        channel_event_out(ch, g->seq);
        channel_enqueue(ch, question_new(m));
        turn_next(ch);
    }
    if (ch->turn)
        turn_kick(ch->turn);
    channel_unref(ch);
    pending_done(ch->core, &g->link);
}

static void ask_again(struct channel *ch, int64_t question, int64_t fresh_ms)
{
    struct again *g = mem_alloc(sizeof(*g));
    g->ch = ch;
    g->seq = channel_next_seq(ch);
    g->limit = channel_limit_for(ch, g->seq);
    pending_add(ch->core, &g->link, NULL, free_again);
    channel_ref(ch);
    ch->commits++;
    ch->core->commits++;
    struct store_again in = { .channel_id = ch->row.id, .question = question, .seq = g->seq, .fresh_ms = fresh_ms,
                              .seq_limit = g->limit };
    store_again(ch->core->env.store, &in, asked_again, g);
}

/* --- edits --- */
int64_t revise_fresh_ms(struct channel *ch)
{
    bool may = channel_bot(ch) && !ch->row.muted && outbox_can_edit(ch->facts);
    return may ? clock_wall_ms() - EDIT_FRESH_MS : INT64_MAX;
}

static void set_question(struct question *q, const char *text)
{
    free(q->text);
    q->text = mem_dup(text);
}

static void set_history(struct channel *ch, const struct store_msg *m)
{
    const struct bot_conf *bot = channel_bot(ch);
    struct entry *e = history_find(&ch->history, m->seq);
    if (e)
        history_replace(&ch->history, e, m, bot && bot->names && !ch->direct ? m->name : NULL);
}

void revise_edited(struct channel *ch, const struct store_msg *row, const struct store_accepted *r)
{
    const struct store_msg *m = r->edited;
    struct question *q;
    set_history(ch, m);
    DL_SEARCH_SCALAR(ch->queue, q, seq, m->seq);
    if (q) {
        set_question(q, m->text);
        return;
    }
    q = ch->turn ? turn_question(ch->turn, m->seq) : NULL;
    if (q)
        set_question(q, m->text);
    if (turn_of(ch, m->seq)) {
        if (!turn_start_over(ch, m->seq)) /* it was complete, and is about to be written */
            ask_again(ch, m->seq, revise_fresh_ms(ch));
    } else if (r->again) {
        struct store_msg again = *row;
        again.flags |= STORE_AGAIN;
        again.answer = r->again;
        if (!again.wish)
            again.wish = m->wish;
        channel_enqueue(ch, question_new(&again));
        turn_next(ch);
    }
}

/* --- what is taken back, and marked --- */
struct change {
    struct pending link;
    struct chat *core;
    enum reaction what;
    char *sender, *id;
    struct waiter wait;
    struct channel *ch;
    struct store_posted posted; /* without its text */
};

static void free_change(struct pending *link)
{
    struct change *c = (struct change *)link;
    free(c->sender);
    free(c->id);
    free(c);
}

static struct change *change_new(struct chat *core, struct adapter *a, const char *sender)
{
    struct change *c = mem_alloc(sizeof(*c));
    c->core = core;
    c->sender = mem_dup(sender);
    pending_add(core, &c->link, a, free_change);
    return c;
}

static void forget_entry(struct channel *ch, int64_t seq)
{
    struct entry *e = seq ? history_find(&ch->history, seq) : NULL;
    if (e)
        history_drop(&ch->history, e);
}

static void leave_queue(struct channel *ch, int64_t seq)
{
    struct question *q, *tmp;
    DL_FOREACH_SAFE(ch->queue, q, tmp)
        if (q->seq == seq) {
            metric_add(METRIC_TURNS_SILENT, 1);
            question_free(channel_dequeue(ch, q));
        }
}

static void withdrawn(void *arg, const struct store_withdrawn *w, const struct err *e)
{
    struct change *c = arg;
    struct channel *ch = NULL;
    if (e->code)
        log_error("chat", "cannot write that a message was taken back: %s", e->text);
    if (w->channel)
        HASH_FIND_STR(c->core->by_name, w->channel, ch);
    if (ch && ch->state == CHANNEL_READY) {
        leave_queue(ch, w->seq);
        turn_withdraw(ch, w->seq);
        forget_entry(ch, w->seq);
        forget_entry(ch, w->answer);
        if (w->pending && ch->adapter && ch->adapter->ops->silent)
            ch->adapter->ops->silent(ch->adapter, ch->chat, ch->thread, w->seq);
    }
    if (w->channel)
        outbox_look_again(c->core);
    pending_done(c->core, &c->link);
}

static void write_withdrawal(struct change *c, const char *account, const char *channel)
{
    store_withdraw(c->core->env.store, account, channel, c->sender, c->id, withdrawn, c);
}

/* What is said in a channel that is being read is on its way to the store now. */
static void withdraw_behind(struct waiter *w, const struct err *e)
{
    struct change *c = (struct change *)((char *)w - offsetof(struct change, wait));
    (void)e; /* unreadable or not, it is written */
    write_withdrawal(c, c->ch->account, c->ch->name);
    channel_unref(c->ch);
}

void chat_withdrawn(struct chat *core, struct adapter *a, const char *chat, const char *thread, const char *id,
                    const char *sender)
{
    struct buf name;
    struct change *c = change_new(core, a, sender);
    c->id = mem_dup(id);
    channel_name(&name, a, chat, thread);
    HASH_FIND_STR(core->by_name, buf_str(&name), c->ch);
    if (c->ch) {
        c->wait.fn = withdraw_behind;
        channel_ref(c->ch);
        channel_when_ready(c->ch, &c->wait);
    } else {
        write_withdrawal(c, a->conf->name, buf_str(&name));
    }
    buf_free(&name);
}

/* --- marks --- */
static void taken_back(void *arg, const struct err *e)
{
    struct change *c = arg;
    struct channel *ch = c->ch;
    struct entry *q;
    if (e->code) {
        log_error("chat", "cannot write that an answer of %s is taken back: %s", ch->name, e->text);
    } else {
        DL_FOREACH(ch->history.head, q)
            if (q->kind == STORE_PERSON && (q->turn == c->posted.turn || q->seq == c->posted.question))
                q->noticed = true;
        forget_entry(ch, c->posted.answer);
        outbox_look_again(c->core);
    }
    channel_unref(ch);
    pending_done(c->core, &c->link);
}

static void finish_change(struct change *c)
{
    channel_unref(c->ch);
    pending_done(c->core, &c->link);
}

/* Of an answer that is being made, or will be again. */
static void stop(struct channel *ch, int64_t lead)
{
    struct question *q, *list = NULL;
    if (turn_of(ch, lead)) {
        turn_drop(ch->turn);
        return;
    }
    DL_SEARCH_SCALAR(ch->queue, q, seq, lead);
    if (q) {
        channel_dequeue(ch, q);
        DL_APPEND(list, q);
        ending_silent(ch, list);
    }
}

static void take_back(struct change *c)
{
    struct channel *ch = c->ch;
    if (!(ch->facts->caps & ADAPTER_REMOVE)) {
        finish_change(c);
    } else if (c->posted.answer) {
        store_take_back(c->core->env.store, ch->row.id, c->posted.answer, taken_back, c);
    } else {
        stop(ch, c->posted.turn);
        finish_change(c);
    }
}

/* The bot's answer belongs to whoever asked for it. */
static void marked(struct waiter *w, const struct err *e)
{
    struct change *c = (struct change *)((char *)w - offsetof(struct change, wait));
    struct channel *ch = c->ch;
    const struct bot_conf *bot = e->code ? NULL : channel_bot(ch);
    bool may = bot && !c->core->draining && (c->posted.asked || command_is_allowed(ch, bot, c->sender));
    if (may && c->what == REACTION_REMOVE) {
        take_back(c);
        return;
    }
    if (may && c->posted.answer && !ch->row.muted)
        ask_again(ch, c->posted.question, 0);
    else if (may && !ch->row.muted)
        turn_start_over(ch, c->posted.turn);
    finish_change(c);
}

static void found(void *arg, const struct store_posted *p, const struct err *e)
{
    struct change *c = arg;
    if (e->code)
        log_error("chat", "cannot find out which message was marked: %s", e->text);
    if (!p->channel || !c->link.adapter) {
        pending_done(c->core, &c->link);
        return;
    }
    c->posted = *p;
    c->posted.channel = NULL;
    c->ch = channel_get_named(c->core, c->link.adapter, p->channel);
    c->wait.fn = marked;
    channel_ref(c->ch);
    channel_when_ready(c->ch, &c->wait);
}

void chat_reaction(struct chat *core, struct adapter *a, const char *chat, const char *thread, const char *platform_id,
                   const char *sender, enum reaction what)
{
    struct buf name;
    struct change *c = change_new(core, a, sender);
    c->what = what;
    channel_name(&name, a, chat, thread);
    store_posted(core->env.store, a->conf->name, buf_str(&name), platform_id, sender, found, c);
    buf_free(&name);
}
