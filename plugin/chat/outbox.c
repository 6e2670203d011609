#include "plugin/chat/outbox.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/base/clock.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"
#include "plugin/base/metric.h"
#include "plugin/base/table.h"
#include "plugin/base/utf8.h"
#include "plugin/chat/core.h"
#include "plugin/chat/reply.h"
#include "plugin/chat/turn.h"

#define TXN_BYTES 128
#define CUT_SPARE_BYTES 64 /* that a cut may add: the end of a code fence */

enum part_state {
    PART_WAITING,  /* for its turn, its time, its account, or the answer's end */
    PART_LOOKING,  /* in doubt: the adapter looks whether it is there */
    PART_NOTING,   /* the attempt is being written down */
    PART_SENDING,
    PART_CHANGING, /* it is there, and being edited or removed */
    PART_SETTLING, /* its end is being written down */
};

struct part {
    UT_hash_handle hh;  /* by id; iteration is in the order of the ids */
    int64_t id;         /* of the row, and the handle that the adapter gets */
    enum store_out_kind kind;
    enum part_state state;
    struct outbox *box;
    char *account, *channel, *txn, *text, *platform_id, *reply_to, *finish, *usage;
    int64_t turn, answer;
    int index, n;
    bool notice, doubt;
    bool tried;         /* a send or edit of it may have reached the platform */
    bool whole;         /* and had the final text */
    bool wanted;        /* of an open one: there is text to send */
    bool refused;       /* of an open one: the platform does not take it; its final text is tried once more */
    bool anew;          /* the message that is there cannot be changed: sent once more, as another one */
    bool seen;          /* the adapter knows its id */
    bool lost;          /* the row says something else by now: to be read again once the adapter is done */
    struct adapter *adapter; /* while it is looking, sending or changing */
    int64_t not_before_ms, backoff_ms;
};

struct outbox {
    struct chat *core;
    struct part *parts;
    size_t n_open;   /* of parts: rows of answers that grow */
    int64_t after;   /* rows up to this id are here or gone */
    bool listing, again;
    struct timer timer;
    struct defer pump;
};

static void set_text(char **field, const char *value)
{
    free(*field);
    *field = mem_dup(value);
}

static void count_parts(const struct outbox *box)
{
    metric_set(METRIC_OUTBOX_PARTS, (int64_t)(HASH_COUNT(box->parts) - box->n_open));
}

static void set_kind(struct part *p, enum store_out_kind kind)
{
    p->box->n_open -= p->kind == STORE_OUT_OPEN;
    p->kind = kind;
    p->box->n_open += p->kind == STORE_OUT_OPEN;
    count_parts(p->box);
}

static void part_free(struct part *p)
{
    struct outbox *box = p->box;
    set_kind(p, STORE_OUT_SEND);
    HASH_DEL(box->parts, p);
    free(p->account);
    free(p->channel);
    free(p->txn);
    free(p->text);
    free(p->platform_id);
    free(p->reply_to);
    free(p->finish);
    free(p->usage);
    free(p);
    count_parts(box);
}

static struct part *part_find(struct outbox *box, int64_t id)
{
    struct part *p;
    HASH_FIND(hh, box->parts, &id, sizeof(id), p);
    return p;
}

static struct part *find_open(const struct channel *ch, int64_t lead)
{
    for (struct part *p = ch->core->outbox->parts; p; p = p->hh.next)
        if (p->kind == STORE_OUT_OPEN && p->turn == lead && strcmp(p->channel, ch->name) == 0)
            return p;
    return NULL;
}

/* --- reading the rows --- */
static int by_id(const struct part *a, const struct part *b)
{
    return (a->id > b->id) - (a->id < b->id);
}

static struct part *part_new(struct outbox *box, const struct store_out *row)
{
    struct part *p = mem_alloc(sizeof(*p));
    p->id = row->id;
    p->box = box;
    p->account = mem_dup(row->account);
    p->channel = mem_dup(row->channel);
    p->txn = mem_dup(row->txn);
    p->text = mem_dup(row->text);
    p->platform_id = mem_dup(row->platform_id);
    p->reply_to = mem_dup(row->reply_to);
    p->finish = mem_dup(row->finish);
    p->usage = mem_dup(row->usage);
    p->turn = row->turn;
    p->answer = row->answer;
    p->index = row->part;
    p->n = row->n_parts;
    p->notice = row->notice;
    p->doubt = row->attempts > 0;
    p->tried = row->kind != STORE_OUT_SEND; /* by an earlier run, for all we know */
    p->backoff_ms = OUTBOX_BACKOFF_MIN_MS;
    HASH_ADD_INORDER(hh, box->parts, id, sizeof(p->id), p, by_id);
    set_kind(p, row->kind);
    return p;
}

static void listed(void *arg, const struct store_out *outs, size_t n, const struct err *e)
{
    struct outbox *box = arg;
    box->listing = false;
    if (e->code) {
        log_error("outbox", "cannot read what is to be sent: %s; trying again", e->text);
        timer_set(&box->timer, STORE_RETRY_MS);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (!part_find(box, outs[i].id))
            part_new(box, &outs[i]);
        box->after = outs[i].id;
    }
    if (n || box->again)
        outbox_kick(box->core);
}

void outbox_kick(struct chat *core)
{
    struct outbox *box = core->outbox;
    defer_set(&box->pump);
    box->again = box->listing;
    if (box->listing || HASH_COUNT(box->parts) - box->n_open >= OUTBOX_PARTS_MAX)
        return;
    box->listing = true;
    store_out_list(core->env.store, box->after, OUTBOX_PARTS_MAX, listed, box);
}

void outbox_look_again(struct chat *core)
{
    core->outbox->after = 0;
    outbox_kick(core);
}

static void read_again(struct part *p)
{
    struct chat *core = p->box->core;
    part_free(p);
    outbox_look_again(core);
}

/* --- the end of a part --- */
/* What is to remove it may have waited for its name. */
static void name_removal(const struct part *p)
{
    for (struct part *r = p->box->parts; r; r = r->hh.next)
        if (r->kind == STORE_OUT_REMOVE && !r->platform_id && p->answer && r->answer == p->answer && r->index == p->index &&
            strcmp(r->channel, p->channel) == 0)
            set_text(&r->platform_id, p->platform_id);
}

static void settled(void *arg, const struct err *e)
{
    struct part *p = arg;
    struct outbox *box = p->box;
    name_removal(p);
    if (e->code) /* stays in the store; the next start settles it again */
        log_error("outbox", "cannot write what became of %s in %s: %s", p->txn, p->channel, e->text);
    part_free(p);
    outbox_kick(box->core);
}

static void settle(struct part *p, const char *platform_id)
{
    p->state = PART_SETTLING;
    p->adapter = NULL;
    if (platform_id && !p->platform_id)
        set_text(&p->platform_id, platform_id);
    store_out_sent(p->box->core->env.store, p->id, platform_id, settled, p);
}

static void give_up(struct part *p, const char *reason)
{
    log_error("outbox", "%s: part %d of the answer to message %" PRId64 " is kept for `warbler queue`: %s", p->channel,
              p->index + 1, p->turn, reason);
    metric_add(METRIC_TURNS_DEAD, 1);
    p->state = PART_SETTLING;
    p->adapter = NULL;
    store_out_dead(p->box->core->env.store, p->id, reason, settled, p);
}

static const char *why(const struct err *e)
{
    return *e->text ? e->text : "it did not say why";
}

/* What is there stays as it is; what people are to read comes in a message of its own. */
static void send_anew(struct part *p)
{
    free(p->platform_id);
    p->platform_id = NULL;
    p->anew = true;
    p->tried = p->doubt = false;
    p->state = PART_WAITING;
}

static void refused(struct part *p, const struct err *e)
{
    char reason[ERR_TEXT_BYTES + 80];
    if (p->kind == STORE_OUT_OPEN) {
        log_warn("outbox", "%s: the platform refused the beginning of an answer: %s", p->channel, why(e));
        p->refused = true;
        p->wanted = false;
        p->state = PART_WAITING;
    } else if (p->kind == STORE_OUT_REMOVE) {
        log_warn("outbox", "%s: a message stays that was to be taken back; the platform refused: %s", p->channel, why(e));
        settle(p, NULL);
    } else if (p->state == PART_CHANGING) {
        log_warn("outbox", "%s: the platform refused to edit a message: %s; it is sent anew", p->channel, why(e));
        send_anew(p);
    } else {
        snprintf(reason, sizeof(reason), "the platform refused it: %s; mend that and retry, or drop it", why(e));
        give_up(p, reason);
    }
}

/* --- what the adapter says --- */
static void kick_turn(const struct part *p)
{
    struct channel *ch;
    HASH_FIND_STR(p->box->core->by_name, p->channel, ch);
    if (ch && ch->turn)
        turn_kick(ch->turn);
}

static void named(void *arg, const struct err *e)
{
    (void)arg; /* lost, the message's name is learned again after a crash */
    if (e->code)
        log_warn("outbox", "cannot write where a message is: %s", e->text);
}

/* It is there: under that name, or, where NULL, under one that nobody knows. */
static void arrived(struct part *p, const char *platform_id)
{
    bool whole = p->kind == STORE_OUT_SEND || (p->kind == STORE_OUT_EDIT && p->whole);
    if (whole || (!platform_id && p->kind == STORE_OUT_REMOVE)) {
        settle(p, platform_id);
        return;
    }
    p->state = PART_WAITING;
    p->wanted = false;
    if (platform_id) {
        set_text(&p->platform_id, platform_id);
        store_out_named(p->box->core->env.store, p->id, platform_id, named, NULL);
    }
    if (p->lost) {
        read_again(p);
    } else if (platform_id) {
        kick_turn(p);
    } else if (p->kind == STORE_OUT_OPEN) {
        p->refused = true;
    } else {
        send_anew(p);
    }
}

static bool is_with_adapter(const struct part *p)
{
    return p->state == PART_SENDING || p->state == PART_LOOKING || p->state == PART_CHANGING;
}

void outbox_sent(struct chat *core, int64_t handle, const char *platform_id)
{
    struct part *p = part_find(core->outbox, handle);
    if (!p || !is_with_adapter(p))
        return;
    p->adapter = NULL;
    if (p->state == PART_CHANGING)
        settle(p, NULL);
    else
        arrived(p, platform_id);
    defer_set(&core->outbox->pump);
}

static void again_later(struct part *p, int64_t retry_after_ms)
{
    int64_t wait = retry_after_ms > p->backoff_ms ? retry_after_ms : p->backoff_ms;
    p->backoff_ms = p->backoff_ms * 2 < OUTBOX_BACKOFF_MAX_MS ? p->backoff_ms * 2 : OUTBOX_BACKOFF_MAX_MS;
    p->not_before_ms = clock_mono_ms() + wait;
    p->state = PART_WAITING;
}

void outbox_failed(struct chat *core, int64_t handle, const struct err *e, bool retry, int64_t retry_after_ms)
{
    struct part *p = part_find(core->outbox, handle);
    if (!p || !is_with_adapter(p))
        return;
    p->adapter = NULL;
    if (p->lost) {
        read_again(p);
    } else if (p->state == PART_LOOKING && e->code == ERR_NOT_FOUND) {
        p->doubt = p->tried = false;
        p->state = PART_WAITING;
    } else if (!retry) {
        refused(p, e);
    } else {
        again_later(p, retry_after_ms);
    }
    defer_set(&core->outbox->pump);
}

/* --- to the adapter --- */
static void keep_first(void *arg, const char *part, size_t len)
{
    struct buf *first = arg;
    if (!first->len)
        buf_add(first, part, len);
}

/* As much of text as one message takes. */
static void cut(struct buf *out, const struct adapter *a, const char *text)
{
    enum text_unit unit = a->ops->facts.text_unit;
    size_t limit = adapter_text_limit(a), len = strlen(text), units = unit == UNIT_BYTES ? len : utf8_points(text, len);
    buf_init(out, len + CUT_SPARE_BYTES);
    if (limit && units > limit)
        reply_split(text, len, limit, unit, keep_first, out);
    else
        buf_add(out, text, len);
}

/* The end of an answer that was stopped, in a message that cannot be taken back. */
static const char *last_words(const struct part *p)
{
    struct channel *ch;
    HASH_FIND_STR(p->box->core->by_name, p->channel, ch);
    return notice_text(NOTICE_STOPPED, ch ? channel_language(ch, NULL) : LANG_EN);
}

typedef void part_op(struct adapter *a, const struct msg_out *m);

/* mark: what sets the transaction apart from others of the same message. */
static void call(struct part *p, struct adapter *a, part_op *op, const char *mark, const char *text, int64_t handle)
{
    char txn[TXN_BYTES], *chat;
    const char *thread;
    struct buf body;
    bool final = p->kind != STORE_OUT_OPEN;
    snprintf(txn, sizeof(txn), "%s%s%s", p->txn, p->anew ? "n" : "", mark);
    channel_name_split(p->channel, &chat, &thread);
    cut(&body, a, text);
    struct msg_out m = {
        .handle = handle,
        .chat = chat,
        .thread = thread,
        .id = p->txn,
        .platform_id = p->platform_id,
        .txn = txn,
        .text = buf_str(&body),
        .len = body.len,
        .first = !p->seen,
        .done = final,
        .notice = p->notice,
        .reply_to = p->index == 0 ? p->reply_to : NULL,
        .reply_seq = p->turn,
        .finish = final ? p->finish : NULL,
        .usage = final ? p->usage : NULL,
    };
    p->seen = p->tried = true;
    if (handle)
        p->adapter = a;
    op(a, &m);
    buf_free(&body);
    free(chat);
}

static void hand_over(struct part *p, struct adapter *a, enum part_state state, part_op *op)
{
    p->whole = p->kind == STORE_OUT_EDIT && (p->whole || !p->tried);
    p->state = state;
    call(p, a, op, "", p->kind == STORE_OUT_REMOVE ? last_words(p) : p->text, p->id);
}

static void change(struct part *p, struct adapter *a, part_op *op, const char *mark, const char *text)
{
    p->state = PART_CHANGING;
    call(p, a, op, mark, text, p->id);
}

static struct adapter *open_account(const struct part *p)
{
    const struct chat_env *env = &p->box->core->env;
    struct adapter *a = env->find(env->arg, p->account);
    return a && env->online(env->arg, a) ? a : NULL;
}

/* An answer that grows stands in nobody's way. */
static bool is_at_rest(const struct part *p)
{
    return p->kind == STORE_OUT_OPEN && p->state == PART_WAITING && !p->wanted;
}

static void noted(void *arg, const struct err *e)
{
    struct part *p = arg;
    struct adapter *a = open_account(p);
    p->state = PART_WAITING;
    if (p->lost) {
        read_again(p);
    } else if (is_at_rest(p)) { /* held since: the rest of its text is being written down as if nothing had left */
        defer_set(&p->box->pump);
    } else if (e->code || !a) {
        p->not_before_ms = clock_mono_ms() + STORE_RETRY_MS;
        defer_set(&p->box->pump);
    } else {
        hand_over(p, a, PART_SENDING, a->ops->send);
    }
}

/* Not there, or nobody knows where. */
static void start_sending(struct part *p, struct adapter *a)
{
    unsigned caps = a->ops->facts.caps;
    if (caps & ADAPTER_IDEMPOTENT) {
        hand_over(p, a, PART_SENDING, a->ops->send);
    } else if (p->doubt && caps & ADAPTER_FETCH) {
        hand_over(p, a, PART_LOOKING, a->ops->fetch);
    } else if (p->doubt && a->conf->on_doubt == ON_DOUBT_DROP) {
        give_up(p, "it may have been sent before a crash, and the platform cannot tell (on_doubt = \"drop\"): "
                   "look there, then drop it if it arrived, else retry");
    } else {
        if (p->doubt)
            log_warn("outbox", "%s: sending %s again; it may be there twice (on_doubt = \"resend\")", p->channel, p->txn);
        p->doubt = false;
        p->state = PART_NOTING;
        store_out_try(p->box->core->env.store, p->id, noted, p);
    }
}

static void start_changing(struct part *p, struct adapter *a)
{
    unsigned caps = a->ops->facts.caps;
    if (p->kind == STORE_OUT_REMOVE && caps & ADAPTER_REMOVE)
        change(p, a, a->ops->remove, "r", "");
    else if (caps & ADAPTER_EDIT)
        change(p, a, a->ops->edit, "e", p->kind == STORE_OUT_REMOVE ? last_words(p) : p->text);
    else if (p->kind == STORE_OUT_REMOVE)
        settle(p, NULL);
    else
        send_anew(p);
}

static void start(struct part *p, struct adapter *a)
{
    if (!(a->ops->facts.caps & ADAPTER_IDEMPOTENT) && !p->doubt && p->state == PART_WAITING && !p->seen)
        p->tried = false; /* an attempt would have been written down */
    if (p->platform_id)
        start_changing(p, a);
    else if (p->kind == STORE_OUT_REMOVE && (p->answer || !p->tried))
        settle(p, NULL); /* never was there */
    else
        start_sending(p, a);
}

/* The first part of each conversation is the one that may go. */
static bool is_first(const struct outbox *box, const struct part *part)
{
    for (const struct part *p = box->parts; p && p != part; p = p->hh.next)
        if (!is_at_rest(p) && strcmp(p->channel, part->channel) == 0)
            return false;
    return true;
}

static void pump(void *arg)
{
    struct outbox *box = arg;
    int64_t now = clock_mono_ms(), soonest = INT64_MAX;
    struct part *p, *tmp;
    HASH_ITER(hh, box->parts, p, tmp) {
        bool may_go = p->state == PART_WAITING && !is_at_rest(p) && is_first(box, p);
        struct adapter *a = may_go ? open_account(p) : NULL;
        if (!a)
            continue;
        if (p->not_before_ms <= now)
            start(p, a);
        else if (p->not_before_ms < soonest)
            soonest = p->not_before_ms;
    }
    if (soonest != INT64_MAX)
        timer_set(&box->timer, soonest - now);
}

static void on_timer(void *arg)
{
    struct outbox *box = arg;
    outbox_kick(box->core);
}

/* --- an answer that grows --- */
bool outbox_can_edit(const struct adapter_facts *f)
{
    return f->caps & ADAPTER_EDIT && !(f->caps & ADAPTER_STORED);
}

bool outbox_can_grow(const struct adapter_facts *f)
{
    return outbox_can_edit(f) && f->caps & (ADAPTER_IDEMPOTENT | ADAPTER_FETCH);
}

static void opened(void *arg, const struct store_out *o, bool fresh, const struct err *e)
{
    struct outbox *box = arg;
    if (e->code) {
        log_debug("outbox", "an answer will be shown when it is complete: %s", e->text);
        return;
    }
    struct part *p = part_find(box, o->id);
    if (!p)
        p = part_new(box, o);
    if (fresh)
        p->tried = false;
    kick_turn(p);
}

void outbox_open(struct channel *ch, int64_t lead, int64_t adopts)
{
    char txn[TXN_BYTES];
    snprintf(txn, sizeof(txn), "w%" PRId64 "-%" PRId64 "-0", ch->row.id, channel_next_seq(ch));
    struct store_open in = { .channel_id = ch->row.id, .lead = lead, .txn = txn, .adopts = adopts };
    store_out_open(ch->core->env.store, &in, opened, ch->core->outbox);
}

bool outbox_show(struct channel *ch, int64_t lead, const struct buf *text)
{
    char mark[32];
    struct part *p = find_open(ch, lead);
    if (!p || p->refused || p->state != PART_WAITING || strcmp(p->text, buf_str(text)) == 0)
        return false;
    if (!p->platform_id) {
        set_text(&p->text, buf_str(text));
        p->wanted = true;
        defer_set(&p->box->pump);
        return true;
    }
    struct adapter *a = open_account(p);
    if (!a)
        return false;
    snprintf(mark, sizeof(mark), ".%" PRId64, channel_next_seq(ch));
    set_text(&p->text, buf_str(text));
    call(p, a, a->ops->edit, mark, p->text, 0);
    return true;
}

bool outbox_is_seen(const struct channel *ch, int64_t lead)
{
    const struct part *p = find_open(ch, lead);
    return p && p->tried;
}

bool outbox_hold(struct channel *ch, int64_t lead, bool fresh)
{
    struct part *p = find_open(ch, lead);
    if (p)
        p->wanted = false;
    return p ? !p->tried : fresh;
}

void outbox_close(struct channel *ch, int64_t lead, const struct outbox_final *f)
{
    struct part *p = find_open(ch, lead);
    if (!p)
        return;
    if (f->n_parts == 0) {
        outbox_lost(ch, lead);
        return;
    }
    p->answer = f->answer;
    p->n = (int)f->n_parts;
    p->notice = f->notice;
    set_text(&p->text, f->text);
    set_text(&p->finish, f->finish);
    set_text(&p->usage, f->usage);
    set_text(&p->reply_to, f->reply_to);
    if (f->fresh)
        set_text(&p->platform_id, NULL);
    set_kind(p, f->fresh ? STORE_OUT_SEND : STORE_OUT_EDIT);
    defer_set(&p->box->pump);
}

void outbox_lost(struct channel *ch, int64_t lead)
{
    struct part *p = find_open(ch, lead);
    if (!p)
        return;
    if (p->state != PART_WAITING)
        p->lost = true;
    else if (!p->tried)
        settle(p, NULL);
    else
        read_again(p);
}

/* What was on its way through this account is in doubt, until the account is back. */
void outbox_forget(struct chat *core, const struct adapter *a)
{
    struct part *p, *tmp;
    HASH_ITER(hh, core->outbox->parts, p, tmp)
        if (p->adapter == a) {
            p->adapter = NULL;
            p->doubt = true;
            p->state = PART_WAITING;
            if (p->lost)
                read_again(p);
        }
}

struct outbox *outbox_new(struct chat *core)
{
    struct outbox *box = mem_alloc(sizeof(*box));
    box->core = core;
    timer_init(&box->timer, core->env.loop, on_timer, box);
    defer_init(&box->pump, core->env.loop, pump, box);
    return box;
}

void outbox_free(struct outbox **box_r)
{
    struct outbox *box = *box_r;
    if (!box)
        return;
    struct part *p, *tmp;
    HASH_ITER(hh, box->parts, p, tmp)
        part_free(p);
    timer_cancel(&box->timer);
    defer_cancel(&box->pump);
    free(box);
    *box_r = NULL;
}
