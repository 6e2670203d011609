#include "adapters/lanying/intake.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "adapters/lanying/lanying.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"

static void on_pump(void *arg);
static void on_retry(void *arg);

void ly_intake_init(struct lanying *ly)
{
    defer_init(&ly->intake.pump, ly->a->loop, on_pump, ly);
    timer_init(&ly->intake.retry, ly->a->loop, on_retry, ly);
}

void ly_intake_fini(struct lanying *ly)
{
    for (size_t i = 0; i < INTAKE_TEXTS; i++) {
        free(ly->intake.recent[i].text);
        free(ly->intake.recent[i].feedback);
    }
    timer_cancel(&ly->intake.retry);
    defer_cancel(&ly->intake.pump);
}

/* --- what was seen --- */

bool ly_intake_seen(const struct lanying *ly, uint64_t id)
{
    for (size_t i = 0; i < INTAKE_SEEN; i++)
        if (ly->intake.seen[i] == id)
            return id != 0;
    return false;
}

void ly_intake_note(struct lanying *ly, uint64_t id)
{
    struct intake *in = &ly->intake;

    in->seen[in->next] = id;
    in->next = (in->next + 1) % INTAKE_SEEN;
}

static struct recent *recent_find(struct lanying *ly, uint64_t id)
{
    for (size_t i = 0; i < INTAKE_TEXTS; i++)
        if (ly->intake.recent[i].id == id)
            return &ly->intake.recent[i];
    return NULL;
}

const char *ly_intake_feedback(struct lanying *ly, uint64_t id)
{
    const struct recent *r = recent_find(ly, id);

    return r ? r->feedback : NULL;
}

static void remember(struct lanying *ly, uint64_t id, struct event *ev)
{
    struct intake *in = &ly->intake;
    struct recent *r = recent_find(ly, id);

    if (!r) {
        r = &in->recent[in->next_recent];
        in->next_recent = (in->next_recent + 1) % INTAKE_TEXTS;
    }
    free(r->text);
    free(r->feedback);
    r->id = id;
    r->edit_ms = ev->edit_ms;
    r->text = ev->len <= INTAKE_TEXT_BYTES_MAX ? mem_dupn(ev->text, ev->len) : NULL;
    r->feedback = mem_dup(ev->ext.feedback);
}

/* --- edits --- */

/* The whole new text in place of what was added. False: it is an old edit, or
 * of a text that nobody remembers. */
static bool make_whole(struct lanying *ly, struct event *ev)
{
    struct recent *r = recent_find(ly, ev->target);
    struct buf whole;

    if (r && ev->edit_ms < r->edit_ms)
        return false;
    if (ev->kind == EVENT_REPLACED)
        return true;
    if (!r || !r->text)
        return false;
    buf_init(&whole, EVENT_TEXT_BYTES_MAX);
    buf_adds(&whole, r->text);
    buf_add(&whole, ev->text, ev->len);
    if (buf_error(&whole))
        return false;
    ev->len = whole.len;
    free(ev->text);
    ev->text = buf_take(&whole);
    ev->kind = EVENT_REPLACED;
    return true;
}

/* --- to the host --- */

static void chat_name(const struct chat *c, char out[LY_ID_BYTES])
{
    ly_id_print(out, c->id);
}

/* With contexts by person, everybody in a group has a conversation of their own. */
static bool by_person(const struct lanying *ly, const struct chat *c)
{
    return c->group && lanying_conf(ly)->group_context == GROUP_CONTEXT_MENTION;
}

static bool is_addressed(const struct lanying *ly, const struct event *ev)
{
    return ev->config.mentions_bot || (ev->config.mentions_all && lanying_conf(ly)->mention_all);
}

static bool names_known(struct lanying *ly, struct chat *c, const struct event *ev, const char **name_r)
{
    *name_r = ev->config.nickname;
    if (!c->group)
        return true;
    return roster_group(ly, c) && (*name_r || roster_person(ly, c->id, ev->from, name_r));
}

static void hand_over(struct lanying *ly, struct chat *c, struct event *ev, const char *name)
{
    const struct chat_about about = { .name = c->name };
    bool addressed = c->group && is_addressed(ly, ev);
    size_t skip = addressed ? address_mentions(ev->text, ev->len) : 0;
    char chat[LY_ID_BYTES], id[LY_ID_BYTES], sender[LY_ID_BYTES], target[LY_ID_BYTES];
    struct msg_in m = {
        .chat = chat,
        .thread = by_person(ly, c) ? sender : NULL,
        .id = id,
        .sender = sender,
        .sender_name = name ? name : c->group ? sender : NULL,
        .text = ev->text + skip,
        .len = ev->len - skip,
        .edits = ev->kind == EVENT_REPLACED ? target : NULL,
        .about = c->name && !c->name_told ? &about : NULL,
        .wish = ev->ext.wishes ? &ev->ext.wish : NULL,
        .time_ms = ev->time_ms,
        .direct = !c->group,
        .mentioned = addressed,
        .context_only = ev->late,
        .token = c,
    };

    chat_name(c, chat);
    ly_id_print(id, ev->id);
    ly_id_print(sender, ev->from);
    ly_id_print(target, ev->target);
    c->with_host = true;
    c->name_told |= m.about != NULL;
    adapter_message(ly->a, &m);
}

static void withdraw(struct lanying *ly, const struct chat *c, const struct event *ev)
{
    char chat[LY_ID_BYTES], id[LY_ID_BYTES], sender[LY_ID_BYTES];

    chat_name(c, chat);
    ly_id_print(id, ev->target);
    ly_id_print(sender, ev->from);
    adapter_withdrawn(ly->a, chat, by_person(ly, c) ? sender : NULL, id, sender);
}

void ly_intake_drop(struct event *ev)
{
    if (ev->callback)
        webhook_through(ev->callback);
    event_free(ev);
}

/* The first event in line is through: in the journal, or of no use. */
static void pop(struct lanying *ly, struct chat *c)
{
    struct event *ev = c->in;

    DL_DELETE(c->in, ev);
    chats_moved(ly, c, ev);
    ly_intake_drop(ev);
}

/* False: it waits for a name. */
static bool offer(struct lanying *ly, struct chat *c)
{
    struct event *ev = c->in;
    const char *name;

    if (ev->kind == EVENT_RECALLED) {
        withdraw(ly, c, ev);
        pop(ly, c);
    } else if (ev->kind != EVENT_SAID && !make_whole(ly, ev)) {
        pop(ly, c);
    } else if (names_known(ly, c, ev, &name)) {
        hand_over(ly, c, ev, name);
    } else {
        return false;
    }
    return true;
}

static void pump(struct lanying *ly, struct chat *c)
{
    while (c->in && !c->with_host)
        if (!offer(ly, c))
            return;
    if (!c->in && lanying_carrier(ly)->read)
        lanying_carrier(ly)->read(ly, c);
    if (!c->in)
        ly_sync_drained(ly, c);
}

/* accepted() is a down-call: what follows from it has to wait until it returned. */
static void pump_later(struct lanying *ly, struct chat *c)
{
    if (!c->ready)
        DL_APPEND2(ly->intake.ready, c, ready_prev, ready_next);
    c->ready = true;
    defer_set(&ly->intake.pump);
}

static void on_pump(void *arg)
{
    struct lanying *ly = arg;
    struct chat *c;

    while ((c = ly->intake.ready)) {
        DL_DELETE2(ly->intake.ready, c, ready_prev, ready_next);
        c->ready = false;
        pump(ly, c);
    }
}

static bool is_heard(const struct lanying *ly, const struct chat *c, const struct event *ev)
{
    const struct lanying_conf *conf = lanying_conf(ly);

    if (!address_allowed(&conf->users, ev->from) || (c->group && !address_allowed(&conf->groups, c->id)))
        return false;
    return ev->kind != EVENT_SAID || !by_person(ly, c) || is_addressed(ly, ev);
}

bool ly_intake_add(struct lanying *ly, struct chat *c, struct event *ev)
{
    const char *why = event_why_not(ev, ly->session.uid);

    if (!why && ly_intake_seen(ly, ev->id))
        why = "a repeat";
    if (!why && !is_heard(ly, c, ev))
        why = "not to be listened to";
    if (why) {
        log_debug("lanying", "%s: message %" PRIu64 " is passed over: %s", lanying_name(ly), ev->id, why);
        ly_intake_drop(ev);
        return false;
    }
    ly_intake_note(ly, ev->id);
    DL_APPEND(c->in, ev);
    pump(ly, c);
    return true;
}

/* --- what became of it --- */

static void acknowledge(struct lanying *ly, const struct chat *c, const struct event *ev)
{
    const struct outgoing ack = { .deed = DEED_READ_ACK, .chat = ev->from, .mid = ev->id };

    if (ev->kind != EVENT_SAID || (c->group && !ev->config.wants_ack))
        return;
    posting_add(ly, &ack, NULL, NULL);
}

static void on_retry(void *arg)
{
    ly_intake_named(arg);
}

/* Trying again can help: the disk, or the queue of the conversation, is full. */
static bool may_pass(const struct err *e)
{
    return e->code != ERR_INVALID && e->code != ERR_TOO_LARGE;
}

void ly_intake_accepted(struct lanying *ly, const struct msg_in *m, const struct msg_accepted *r, const struct err *e)
{
    struct chat *c = m->token;
    struct event *ev = c->in;

    c->with_host = false;
    if (failed(e) && may_pass(e)) {
        timer_set(&ly->intake.retry, INTAKE_RETRY_MS);
        return;
    }
    if (failed(e)) {
        log_warn("lanying", "%s: message %" PRIu64 " is not taken: %s", lanying_name(ly), ev->id, e->text);
    } else {
        remember(ly, ev->kind == EVENT_SAID ? ev->id : ev->target, ev);
        if (!lanying_carrier(ly)->read && (!r->duplicate || !ev->history))
            acknowledge(ly, c, ev);
    }
    pop(ly, c);
    pump_later(ly, c);
}

void ly_intake_named(struct lanying *ly)
{
    struct chat *c, *next;

    HASH_ITER(hh, ly->chats.all, c, next)
        if (c->in)
            pump(ly, c);
}
