#include "adapters/lanying/sync.h"

#include <inttypes.h>
#include <string.h>
#include <utlist.h>

#include "adapters/lanying/lanying.h"
#include "adapters/lanying/notice.h"
#include "plugin/base/clock.h"
#include "plugin/base/log.h"

/* Answered or not, messages of one conversation come in this order on their
 * server; small differences of its clocks do not matter. */
#define CLOCK_SLACK_MS 5000

static int64_t max_messages(const struct lanying *ly)
{
    return lanying_conf(ly)->catch_up.max_messages;
}

static bool too_old(const struct lanying *ly, int64_t time_ms)
{
    return time_ms > 0 && clock_wall_ms() - time_ms > lanying_conf(ly)->catch_up.max_age;
}

/* --- the queue --- */

static void enqueue(struct lanying *ly, struct chat *c, bool front)
{
    bool due = c->pull_due || c->look_due;

    if (c->queued || !session_online(&ly->session) || (c->task == TASK_NONE && !due))
        return;
    c->queued = true;
    if (front)
        DL_PREPEND2(ly->sync.queue, c, queue_prev, queue_next);
    else
        DL_APPEND2(ly->sync.queue, c, queue_prev, queue_next);
    defer_set(&ly->sync.step);
}

static void enqueue_if_free(struct lanying *ly, struct chat *c)
{
    if (c->task == TASK_NONE)
        enqueue(ly, c, false);
}

static void end_task(struct lanying *ly, struct chat *c)
{
    if (c->task == TASK_NONE)
        return;
    c->task = TASK_NONE;
    c->asked = false;
    ly->sync.at_work--;
    if (!c->pull_due)
        c->catching_up = false;
    enqueue(ly, c, false);
    defer_set(&ly->sync.step);
}

/* --- asking --- */

static void ask(struct lanying *ly, struct chat *c)
{
    const struct carrier *carrier = lanying_carrier(ly);

    c->asked = true;
    c->asked_ms = clock_mono_ms();
    ly->sync.allowance -= 1;
    if (!timer_pending(&ly->sync.again))
        timer_set(&ly->sync.again, SYNC_AGAIN_MS);
    if (c->task == TASK_LOOK)
        carrier->look(ly, c, c->past_from);
    else
        carrier->pull(ly, c, c->key);
}

/* False: it has to be on disk first. */
static bool is_kept(struct lanying *ly, struct chat *c)
{
    if (c->kept || c->id == 0)
        return true;
    if (c->active_ms == 0)
        chats_used(ly, c);
    chats_write_now(ly);
    return false;
}

/* Back first, so that messages come in their order; but a server that cannot
 * look back keeps nobody waiting for what is new. */
static enum chat_task choose(const struct chat *c, bool can_pull)
{
    if (!can_pull)
        return TASK_LOOK;
    return c->look_due && !(c->pull_due && c->failures > 0) ? TASK_LOOK : TASK_PULL;
}

static void begin(struct lanying *ly, struct chat *c)
{
    bool can_pull = lanying_carrier(ly)->pull != NULL;

    if (c->task == TASK_NONE) {
        if (!is_kept(ly, c))
            return;
        c->task = choose(c, can_pull);
        ly->sync.at_work++;
        if (c->task == TASK_LOOK)
            c->look_due = false;
        if (c->task == TASK_PULL || !can_pull)
            c->pull_due = false;
        c->key = c->past_from = 0;
        c->past_over = false;
        c->pages = 0;
    }
    ask(ly, c);
}

static void refill(struct sync *s)
{
    int64_t now = clock_mono_ms();

    s->allowance += (double)(now - s->allowance_ms) * SYNC_PER_SECOND / 1000.0;
    if (s->allowance > SYNC_PER_SECOND)
        s->allowance = SYNC_PER_SECOND;
    s->allowance_ms = now;
}

/* The next that may begin or go on; those at work come before new ones. */
static struct chat *next_in_queue(const struct sync *s)
{
    struct chat *c;

    for (c = s->queue; c; c = c->queue_next)
        if (c->task != TASK_NONE || s->at_work < SYNC_AT_ONCE_MAX)
            return c;
    return NULL;
}

static void on_step(void *arg)
{
    struct lanying *ly = arg;
    struct sync *s = &ly->sync;
    struct chat *c;

    if (!session_online(&ly->session))
        return;
    refill(s);
    while ((c = next_in_queue(s)) && s->allowance >= 1) {
        DL_DELETE2(s->queue, c, queue_prev, queue_next);
        c->queued = false;
        begin(ly, c);
    }
    if (next_in_queue(s))
        timer_set(&s->pace, 1000 / SYNC_PER_SECOND);
}

static void on_pace(void *arg)
{
    on_step(arg);
}

/* What failed, and what nobody answered. */
static void on_again(void *arg)
{
    struct lanying *ly = arg;
    int64_t now = clock_mono_ms();
    bool more = false;

    for (struct chat *c = ly->chats.all; c; c = c->hh.next) {
        if (c->asked && now - c->asked_ms >= SYNC_ANSWER_MS)
            ly_sync_failed(ly, c, "no answer");
        else
            enqueue_if_free(ly, c);
        more |= c->task != TASK_NONE || c->queued || c->pull_due || c->look_due;
    }
    if (more)
        timer_set(&ly->sync.again, SYNC_AGAIN_MS);
}

void ly_sync_failed(struct lanying *ly, struct chat *c, const char *why)
{
    bool again = c->failures + 1 < SYNC_TRIES;

    if (!c->asked)
        return;
    log_warn("lanying", "%s: conversation %" PRIu64 ": %s%s", lanying_name(ly), c->id, why, again ? "; asking again" : "");
    c->failures = again ? c->failures + 1 : 0;
    c->look_due = c->pull_due = false;
    end_task(ly, c);
    /* Later; and the server may count as delivered what did not come. */
    c->look_due = again && c->id != 0;
    c->pull_due = again;
    if (again)
        return;
    c->doubt = false; /* nobody can tell: what waits goes under the same id, which makes it one */
    posting_looked(ly, c->id);
}

void ly_sync_kept(struct lanying *ly)
{
    for (struct chat *c = ly->chats.all; c; c = c->hh.next)
        if (c->kept)
            enqueue_if_free(ly, c);
}

/* --- a page is through --- */

static void page_done(struct lanying *ly, struct chat *c)
{
    if (c->key != 0)
        enqueue(ly, c, true);
    else
        end_task(ly, c);
}

void ly_sync_drained(struct lanying *ly, struct chat *c)
{
    if (c->task != TASK_NONE && !c->asked && !c->queued)
        page_done(ly, c);
}

/* --- pulls --- */

void ly_sync_pulled(struct lanying *ly, struct chat *c, uint64_t next_key)
{
    if (c->task == TASK_LOOK) { /* unasked: the look comes before what is left */
        c->pull_due |= next_key != 0;
        return;
    }
    if (c->task == TASK_NONE && next_key == 0)
        return; /* unasked, and complete */
    if (c->task == TASK_NONE) {
        c->task = TASK_PULL;
        ly->sync.at_work++;
    }
    c->asked = false;
    if (!c->look_due)
        c->failures = 0;
    c->key = next_key;
    if (!c->in)
        page_done(ly, c);
}

static void mark_late(struct lanying *ly, struct chat *c, struct event *ev)
{
    if (!c->catching_up)
        return;
    ev->late = c->late > 0 || too_old(ly, ev->time_ms);
    if (c->late > 0)
        c->late--;
}

void ly_sync_event(struct lanying *ly, struct event *ev)
{
    uint64_t bot = ly->session.uid, id = event_chat(ev, bot, chats_is_group, ly);
    struct chat *c;

    if (ev->kind == EVENT_GROUP || ev->kind == EVENT_ROSTER || ev->kind == EVENT_USER) {
        notice_take(ly, ev);
    } else if (id == 0 || id == bot) {
        ly_intake_drop(ev);
    } else {
        c = chats_get(ly, id, ev->group);
        if (ev->from == bot)
            posting_found(ly, ev);
        mark_late(ly, c, ev);
        ly_intake_add(ly, c, ev);
    }
}

void ly_sync_unread(struct lanying *ly, uint64_t chat, bool group, int64_t n)
{
    struct chat *c;

    if (n <= 0)
        return;
    c = chats_get(ly, chat, group);
    if (ly->sync.first) {
        c->catching_up = true;
        c->late = n > max_messages(ly) ? n - max_messages(ly) : 0;
    }
    c->pull_due = true;
    c->unread = (size_t)n;
    enqueue_if_free(ly, c);
}

void ly_sync_unread_end(struct lanying *ly)
{
    ly->sync.first = false;
}

void ly_sync_notice(struct lanying *ly, uint64_t chat)
{
    struct chat *c = chats_get(ly, chat, false);

    c->pull_due = true;
    enqueue_if_free(ly, c);
}

/* --- looks back --- */

void ly_sync_look(struct lanying *ly, struct chat *c)
{
    c->look_due = true;
    enqueue_if_free(ly, c);
}

static bool is_before(const struct event *ev, int64_t ms)
{
    return ev->time_ms > 0 && ev->time_ms + CLOCK_SLACK_MS < ms;
}

/* What comes from here on, older and older, is in the journal, or was settled
 * before this bot knew the conversation. While nothing of it is known to be in
 * the journal, active_ms is when that began: of what is younger, an answer of
 * ours says nothing, for it may stand behind a message that a process which
 * died never took, and the server has counted that one as read. */
static bool reaches_known(const struct lanying *ly, const struct chat *c, const struct event *ev)
{
    if (c->at != 0)
        return ev->id == c->at || is_before(ev, c->at_ms);
    if (too_old(ly, ev->time_ms))
        return true;
    if (ev->time_ms > 0 && !is_before(ev, c->active_ms))
        return false;
    return ev->from == ly->session.uid || (c->unread > 0 && c->n_past >= c->unread);
}

void ly_sync_past(struct lanying *ly, struct chat *c, struct event *ev)
{
    if (c->task != TASK_LOOK || ev->id == c->past_from) { /* some servers begin with the message asked from */
        event_free(ev);
        return;
    }
    c->past_from = ev->id;
    c->group |= ev->group;
    c->past_over |= reaches_known(ly, c, ev);
    if (ev->from == ly->session.uid)
        posting_found(ly, ev);
    if (c->past_over || event_why_not(ev, ly->session.uid) || ly_intake_seen(ly, ev->id)) {
        event_free(ev);
        return;
    }
    ev->history = true;
    c->n_past++;
    DL_APPEND(c->past, ev);
}

static bool looks_on(const struct lanying *ly, const struct chat *c)
{
    size_t most = (size_t)max_messages(ly) + SYNC_LATE_PAGES * SYNC_PAGE;

    if (!c->past_over && c->n_past < most)
        return true;
    return c->pages < SYNC_OWN_PAGES && posting_waits(ly, c->id);
}

/* Oldest first; of the newest, those that are young enough are answered. */
static void take_past(struct lanying *ly, struct chat *c)
{
    struct event *ev;

    while (c->past) {
        ev = c->past->prev; /* utlist: the head's prev is the tail */
        DL_DELETE(c->past, ev);
        ev->late = c->n_past > (size_t)max_messages(ly) || too_old(ly, ev->time_ms);
        c->n_past--;
        ly_intake_add(ly, c, ev);
    }
}

void ly_sync_looked(struct lanying *ly, struct chat *c, bool last)
{
    if (c->task != TASK_LOOK || !c->asked)
        return;
    c->asked = false;
    c->failures = 0;
    c->pages++;
    if (!last && c->past_from != 0 && looks_on(ly, c)) {
        enqueue(ly, c, true);
        return;
    }
    c->doubt = false;
    c->key = 0;
    take_past(ly, c);
    posting_looked(ly, c->id);
    if (!c->in)
        end_task(ly, c);
}

/* --- life --- */

static void forget_past(struct chat *c)
{
    struct event *ev, *next;

    DL_FOREACH_SAFE(c->past, ev, next) {
        DL_DELETE(c->past, ev);
        event_free(ev);
    }
    c->n_past = 0;
}

/* Those used last come first: their people are waiting. */
void ly_sync_online(struct lanying *ly)
{
    struct sync *s = &ly->sync;

    s->first = true;
    s->allowance = SYNC_PER_SECOND;
    s->allowance_ms = clock_mono_ms();
    for (struct chat *c = ly->chats.all; c; c = c->hh.next) {
        c->look_due = c->id != 0 && c->kept && !too_old(ly, c->active_ms);
        c->catching_up = c->look_due;
        enqueue(ly, c, true);
    }
}

void ly_sync_offline(struct lanying *ly)
{
    struct sync *s = &ly->sync;

    timer_cancel(&s->pace);
    timer_cancel(&s->again);
    defer_cancel(&s->step);
    s->queue = NULL;
    s->at_work = 0;
    for (struct chat *c = ly->chats.all; c; c = c->hh.next) {
        c->task = TASK_NONE;
        c->asked = c->queued = false;
        forget_past(c);
    }
}

void ly_sync_init(struct lanying *ly)
{
    timer_init(&ly->sync.pace, ly->a->loop, on_pace, ly);
    timer_init(&ly->sync.again, ly->a->loop, on_again, ly);
    defer_init(&ly->sync.step, ly->a->loop, on_step, ly);
}

void ly_sync_fini(struct lanying *ly)
{
    ly_sync_offline(ly);
}
