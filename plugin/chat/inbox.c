#include "plugin/chat/inbox.h"

#include <stdlib.h>
#include <string.h>

#include "plugin/base/arena.h"
#include "plugin/base/clock.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"
#include "plugin/base/metric.h"
#include "plugin/base/secret.h"
#include "plugin/base/utf8.h"
#include "plugin/chat/command.h"
#include "plugin/chat/ending.h"
#include "plugin/chat/revise.h"
#include "plugin/chat/room.h"
#include "plugin/chat/summary.h"
#include "plugin/chat/turn.h"
#include "plugin/chat/wish.h"

#define NAME_BYTES_MAX 1024U
#define ID_BYTES_MAX 512U
#define QUOTED_BYTES_MAX 8192U /* kept of a quoted text; the model sees less of it */
#define COMPLAIN_AGAIN_MS 60000

/* A message on its way in. */
struct inbound {
    struct pending link;
    struct waiter wait;
    struct defer refuse;
    struct chat *core;
    struct channel *ch; /* NULL once refused */
    struct arena *arena;
    struct msg_in m;    /* strings in the arena */
    struct store_room room; /* of m.about, which is gone */
    bool has_room;
    struct msg_wish wish; /* what m.wish points to; texts in the arena */
    char *wanted;       /* of it, what the bot allows */
    struct err why;     /* of a refusal */
    int64_t limit;      /* of the numbers, that this commit raises */
    struct store_msg row;
};

static void free_inbound(struct pending *link)
{
    struct inbound *in = (struct inbound *)link;
    defer_cancel(&in->refuse);
    room_fini(&in->room);
    free(in->wanted);
    arena_free(&in->arena);
    free(in);
}

static void tell(struct inbound *in, const struct msg_accepted *r, const struct err *e)
{
    struct adapter *a = in->link.adapter;
    if (a)
        a->ops->accepted(a, &in->m, r, e);
}

static void refuse_now(void *arg)
{
    struct inbound *in = arg;
    metric_add(METRIC_MESSAGES_REFUSED, 1);
    tell(in, NULL, &in->why);
    pending_done(in->core, &in->link);
}

static void refuse(struct inbound *in, const struct err *why)
{
    in->why = *why;
    defer_set(&in->refuse);
}

/* --- what is it? --- */
struct verdict {
    bool command, for_bot, context;
    const char *preset; /* called by the text */
    size_t skip;
};

static bool was_called(struct channel *ch, const struct msg_in *m, size_t *skip_r)
{
    struct trigger_in in = {
        .bot = channel_bot(ch),
        .keywords = ch->keywords,
        .triggers = ch->rule->triggers,
        .text = m->text,
        .len = m->len,
        .direct = m->direct,
        .mentioned = m->mentioned,
        .reply_to_bot = m->reply_to_bot || is_answer_id(m->reply_to),
        .dice = ch->rule->triggers & TRIGGER_CHANCE ? random_unit() : 1,
    };
    return trigger_match(&in, skip_r) != 0;
}

/* What programs that send for people say about it. */
static void judge_wish(const struct channel *ch, const struct msg_wish *wish, struct verdict *v)
{
    unsigned may = ch->rule->bot_ref->wishes;
    if (wish->answer && may & WISH_ANSWER)
        v->for_bot = !ch->row.muted;
    if (wish->silent && may & WISH_SILENT)
        v->for_bot = false;
    v->context |= v->for_bot || (wish->silent && may & WISH_SILENT);
}

static struct verdict judge(struct channel *ch, const struct msg_in *m)
{
    struct verdict v = { 0 };
    const struct bot_conf *bot = channel_bot(ch);
    const char *args = "";
    if (!bot || m->context_only) {
        v.context = bot && bot->context;
        return v;
    }
    enum command command = command_parse(bot, m->text, &args);
    v.preset = command_preset(bot, m->text, &args);
    v.command = command != COMMAND_NONE && !(v.preset && *args);
    if (v.command)
        v.for_bot = !ch->row.muted || command_is_admin(command);
    else if (v.preset)
        v.for_bot = !ch->row.muted;
    else
        v.for_bot = was_called(ch, m, &v.skip) && !ch->row.muted;
    if (v.preset && *args)
        v.skip = (size_t)(args - m->text);
    v.context = bot->context || v.for_bot;
    if (m->wish && !v.command)
        judge_wish(ch, m->wish, &v);
    if (m->edits) /* whether that is answered was decided */
        v.command = v.for_bot = v.context = false;
    return v;
}

static void fill_row(struct inbound *in, const struct verdict *v)
{
    const struct msg_in *m = &in->m;
    in->row = (struct store_msg){
        .seq = channel_next_seq(in->ch),
        .time_ms = m->time_ms ? m->time_ms : clock_wall_ms(),
        .kind = STORE_PERSON,
        .outcome = v->for_bot ? STORE_PENDING : STORE_SILENT,
        .flags = (v->for_bot ? STORE_ADDRESSED : 0) | (v->command ? STORE_COMMAND | STORE_NO_PROMPT : 0) |
                 (v->context ? 0 : STORE_NO_PROMPT) | (m->direct ? STORE_DIRECT : 0),
        .id = m->id,
        .sender = m->sender,
        .name = m->sender_name,
        .reply_to = m->edits ? m->edits : m->reply_to,
        .lang = m->lang,
        .text = m->text + v->skip,
        .quoted = m->quoted,
        .quoted_name = m->quoted_name,
        .wish = in->wanted,
    };
}

/* --- on disk --- */

/* Talk that nobody answers must not pile up in memory. */
static void forget_talk(struct channel *ch, const struct bot_conf *bot, int64_t seq)
{
    summary_trim(ch, bot, (size_t)bot->history_tokens, ch->queue ? ch->queue->seq : seq);
    summary_next(ch);
}

static void take_new(struct inbound *in)
{
    struct channel *ch = in->ch;
    const struct bot_conf *bot = channel_bot(ch);
    metric_add(METRIC_MESSAGES_IN, 1);
    if (ch->lang < 0)
        ch->lang = (int)language_of(in->m.lang, in->m.text);
    if (!(in->row.flags & STORE_NO_PROMPT))
        history_add(&ch->history, &in->row, bot && bot->names && !ch->direct ? in->row.name : NULL);
    if (!bot || !(in->row.flags & STORE_ADDRESSED)) {
        metric_add(METRIC_TURNS_SILENT, 1);
        if (bot)
            forget_talk(ch, bot, in->row.seq);
        return;
    }
    struct question *q = question_new(&in->row);
    if (q->command) {
        command_run(ch, q);
        return;
    }
    if (bot->interrupt && ch->turn && turn_has_sender(ch->turn, q->sender))
        turn_cancel(ch->turn);
    channel_enqueue(ch, q);
    turn_next(ch);
}

static void take_edit(struct inbound *in, const struct store_accepted *r)
{
    metric_add(METRIC_MESSAGES_IN, 1);
    if (!r->again)
        metric_add(METRIC_TURNS_SILENT, 1);
    if (r->edited)
        revise_edited(in->ch, &in->row, r);
}

/* A full disk refuses every message; the log need not have a line for each. */
static void complain(struct inbound *in, const struct err *e)
{
    int64_t now = clock_mono_ms();
    if (in->core->complained_ms && now - in->core->complained_ms < COMPLAIN_AGAIN_MS)
        return;
    in->core->complained_ms = now;
    log_error("chat", "cannot write a message of channel %s: %s", in->ch->name, e->text);
}

static void stored(void *arg, const struct store_accepted *r, const struct err *e)
{
    struct inbound *in = arg;
    struct channel *ch = in->ch;
    ch->commits--;
    in->core->commits--;
    if (e->code) {
        complain(in, e);
        metric_add(METRIC_MESSAGES_REFUSED, 1);
        tell(in, NULL, e);
    } else {
        struct msg_accepted accepted = {
            .seq = r->seq,
            .duplicate = r->duplicate,
            .settled = r->duplicate && r->outcome != STORE_PENDING,
            .to_answer = r->duplicate ? r->outcome != STORE_SILENT && r->outcome != STORE_WITHDRAWN
                                      : (in->row.flags & STORE_ADDRESSED) || r->again,
        };
        ch->row.id = r->channel_id;
        ch->room_kept = true;
        channel_limit_written(ch, in->limit);
        if (!r->duplicate)
            channel_event_out(ch, r->seq);
        tell(in, &accepted, NULL);
        if (r->duplicate)
            metric_add(METRIC_MESSAGES_DUP, 1);
        else if (in->m.edits)
            take_edit(in, r);
        else
            take_new(in);
    }
    if (ch->turn)
        turn_kick(ch->turn);
    channel_unref(ch);
    pending_done(in->core, &in->link);
}

static void write_down(struct inbound *in)
{
    struct channel *ch = in->ch;
    struct verdict v = judge(ch, &in->m);
    if (channel_bot(ch) && (v.for_bot || in->m.edits))
        in->wanted = wish_write(in->m.wish, channel_bot(ch), v.preset);
    fill_row(in, &v);
    in->limit = channel_limit_for(ch, in->row.seq);
    struct store_accept accept = {
        .account = ch->account,
        .channel = ch->name,
        .channel_id = ch->row.id,
        .msg = in->row,
        .seq_limit = in->limit,
        .position = in->m.position,
        .room = ch->room_kept ? NULL : &ch->room,
        .edits = in->m.edits,
        .fresh_ms = in->m.context_only ? INT64_MAX : revise_fresh_ms(ch),
    };
    ch->commits++;
    in->core->commits++;
    store_accept(in->core->env.store, &accept, stored, in);
}

/* The channel is there. A full queue is said before anything is promised. */
static void ready(struct waiter *w, const struct err *e)
{
    struct inbound *in = (struct inbound *)((char *)w - offsetof(struct inbound, wait));
    struct err why = *e;
    if (!e->code && in->m.direct)
        in->ch->direct = true;
    if (!e->code && in->has_room && !room_equal(&in->room, &in->ch->room))
        channel_set_room(in->ch, &in->room);
    const struct bot_conf *bot = e->code ? NULL : channel_bot(in->ch);
    if (bot && !in->m.context_only && in->ch->n_queue >= (size_t)bot->queue_max)
        err_set(&why, ERR_BUSY, "%zu messages wait for an answer in channel %s already", in->ch->n_queue, in->ch->name);
    if (why.code) {
        channel_unref(in->ch);
        in->ch = NULL;
        refuse(in, &why);
    } else {
        write_down(in);
    }
}

/* --- from the adapter --- */
static const char *cleaned(struct arena *arena, const char *s, size_t len, size_t *len_r)
{
    struct buf b;
    buf_init(&b, MESSAGE_TEXT_BYTES_MAX * 3U); /* a bad byte becomes three */
    utf8_clean(&b, s, len);
    const char *copy = arena_dupn(arena, buf_str(&b), b.len);
    if (len_r)
        *len_r = b.len;
    buf_free(&b);
    return copy;
}

static void copy_message(struct inbound *in, const struct msg_in *m)
{
    struct arena *arena = in->arena;
    in->m = *m;
    in->m.chat = arena_dup(arena, m->chat);
    in->m.thread = arena_dup(arena, m->thread);
    in->m.id = arena_dup(arena, m->id);
    in->m.sender = arena_dup(arena, m->sender);
    in->m.sender_name = m->sender_name ? cleaned(arena, m->sender_name, strlen(m->sender_name), NULL) : NULL;
    in->m.text = cleaned(arena, m->text, m->len, &in->m.len);
    in->m.reply_to = arena_dup(arena, m->reply_to);
    in->m.quoted = m->quoted ? cleaned(arena, m->quoted, strnlen(m->quoted, QUOTED_BYTES_MAX), NULL) : NULL;
    in->m.quoted_name = m->quoted_name ? cleaned(arena, m->quoted_name, strnlen(m->quoted_name, NAME_BYTES_MAX), NULL) : NULL;
    in->m.edits = arena_dup(arena, m->edits);
    in->m.lang = arena_dup(arena, m->lang);
    in->m.position = arena_dup(arena, m->position);
    in->has_room = m->about != NULL;
    if (m->about)
        room_read(&in->room, m->about);
    in->m.about = NULL;
    if (m->wish) {
        in->wish = *m->wish;
        in->wish.preset = arena_dup(arena, m->wish->preset);
        in->wish.prompt = arena_dup(arena, m->wish->prompt);
        in->m.wish = &in->wish;
    }
}

static bool too_long(const char *s, size_t max)
{
    return s && strlen(s) > max;
}

static enum err_code check(const struct chat *core, const struct msg_in *m, struct err *e)
{
    if (m->len > MESSAGE_TEXT_BYTES_MAX)
        return err_set(e, ERR_TOO_LARGE, "a message of %zu bytes; at most %u are taken", m->len, MESSAGE_TEXT_BYTES_MAX);
    if (too_long(m->id, ID_BYTES_MAX) || too_long(m->chat, CHAT_ID_BYTES_MAX) || too_long(m->thread, CHAT_ID_BYTES_MAX) ||
        too_long(m->edits, ID_BYTES_MAX) || too_long(m->sender_name, NAME_BYTES_MAX))
        return err_set(e, ERR_INVALID, "a message whose id, room, thread or sender's name is too long");
    if (core->draining)
        return err_set(e, ERR_BUSY, "the bot is stopping");
    return ERR_OK;
}

void inbox_take(struct chat *core, struct adapter *a, const struct msg_in *m)
{
    struct err e = ERR_INIT;
    struct inbound *in = mem_alloc(sizeof(*in));
    in->core = core;
    in->arena = arena_new();
    in->m = *m;
    defer_init(&in->refuse, core->env.loop, refuse_now, in);
    pending_add(core, &in->link, a, free_inbound);
    if (check(core, m, &e)) {
        in->m.text = "";
        in->m.len = 0;
        in->m.id = arena_dupn(in->arena, m->id, strnlen(m->id, ID_BYTES_MAX));
        in->m.chat = arena_dupn(in->arena, m->chat, strnlen(m->chat, CHAT_ID_BYTES_MAX));
        in->m.sender = arena_dup(in->arena, m->sender);
        in->m.thread = in->m.sender_name = in->m.reply_to = in->m.lang = in->m.position = NULL;
        in->m.quoted = in->m.quoted_name = in->m.edits = NULL;
        in->m.about = NULL;
        in->m.wish = NULL;
        refuse(in, &e);
        return;
    }
    copy_message(in, m);
    in->ch = channel_get(core, a, in->m.chat, in->m.thread);
    channel_ref(in->ch);
    in->wait.fn = ready;
    channel_when_ready(in->ch, &in->wait);
}
