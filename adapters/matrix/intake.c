#include "adapters/matrix/intake.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "adapters/matrix/backlog.h"
#include "adapters/matrix/gap.h"
#include "adapters/matrix/invite.h"
#include "adapters/matrix/look.h"
#include "adapters/matrix/matrix.h"
#include "adapters/matrix/mention.h"
#include "adapters/matrix/secrecy.h"
#include "adapters/matrix/sign.h"
#include "adapters/matrix/survey.h"
#include "plugin/base/clock.h"
#include "plugin/base/json.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"

struct batch {
    struct batch *prev, *next;
    struct matrix *m;
    char *position;    /* or NULL */
    size_t left;       /* items, and one more while it is open */
    bool missed;
    bool busy;         /* there was something in it */
    bool on_disk;      /* its position came with a message */
    void (*done)(void *arg);
    void *arg;
};

/* An event, or a gap: the token of its msg_in. */
struct item {
    struct item *prev, *next;
    struct batch *batch;
    struct room *room;
    cJSON *json;          /* NULL: a gap */
    struct event ev;
    bool read;            /* ev is */
    bool context, old;
    bool too_busy;        /* context only because the room's queue was full for too long */
    bool carries;         /* the batch's position is written with it */
    bool looked_event, looked_person;
    unsigned asked;       /* in vain about its room */
    int64_t tried_ms;     /* first try to hand it over, monotonic; 0: none yet */
    struct api_call *call;
    struct intake_gap left_out;
    struct gap *gap;
};

static void lane_step(void *arg);

/* --- batches --- */

void intake_keep(struct matrix *m)
{
    struct intake *in = &m->intake;

    timer_cancel(&in->keep);
    if (!in->reached || (in->kept && strcmp(in->reached, in->kept) == 0))
        return;
    free(in->kept);
    in->kept = mem_dup(in->reached);
    adapter_keep(m->a, FACT_POSITION, in->kept, 0, NULL, NULL);
}

static void on_keep(void *arg)
{
    intake_keep(arg);
}

static void reach(struct batch *b)
{
    struct intake *in = &b->m->intake;

    free(in->reached);
    in->reached = mem_dup(b->position);
    if (b->on_disk) {
        free(in->kept);
        in->kept = mem_dup(b->position);
    } else if (b->busy) {
        intake_keep(b->m);
    } else if (!timer_pending(&in->keep)) {
        timer_set(&in->keep, KEEP_MS);
    }
}

static void settle(struct matrix *m)
{
    struct batch *b;

    while ((b = m->intake.batches) && b->left == 0) {
        DL_DELETE(m->intake.batches, b);
        if (b->position)
            reach(b);
        if (b->done)
            b->done(b->arg);
        free(b->position);
        free(b);
    }
}

struct batch *intake_open(struct matrix *m, const char *position, bool missed, void (*done)(void *arg), void *arg)
{
    struct batch *b = mem_alloc(sizeof *b);

    b->m = m;
    b->position = mem_dup(position);
    b->missed = missed;
    b->done = done;
    b->arg = arg;
    b->left = 1;
    DL_APPEND(m->intake.batches, b);
    return b;
}

void intake_close(struct batch *b)
{
    b->left--;
    settle(b->m);
}

bool intake_full(const struct matrix *m)
{
    return m->intake.items >= INTAKE_ITEMS_MAX;
}

/* --- items --- */

static struct lane *lane_of(struct room *r)
{
    struct lane *lane = r->lane;

    if (lane)
        return lane;
    lane = r->lane = mem_alloc(sizeof *lane);
    lane->room = r;
    timer_init(&lane->again, r->m->a->loop, lane_step, lane);
    defer_init(&lane->step, r->m->a->loop, lane_step, lane);
    return lane;
}

static struct item *item_new(struct batch *b, struct room *r, cJSON *json)
{
    struct item *i = mem_alloc(sizeof *i);

    i->batch = b;
    i->room = r;
    i->json = json;
    b->left++;
    b->m->intake.items++;
    return i;
}

static void item_free(struct item *i)
{
    api_cancel(&i->call);
    gap_free(&i->gap);
    free((char *)i->left_out.from);
    free((char *)i->left_out.to);
    if (i->read)
        event_fini(&i->ev);
    cJSON_Delete(i->json);
    free(i);
}

/* The lane goes on with the next one. */
static void item_done(struct item *i)
{
    struct matrix *m = i->batch->m;
    struct lane *lane = i->room->lane;

    DL_DELETE(lane->items, i);
    lane->waiting = false;
    i->batch->left--;
    m->intake.items--;
    item_free(i);
    settle(m);
}

static void append(struct batch *b, struct item *i)
{
    struct lane *lane = lane_of(i->room);

    b->busy = true;
    DL_APPEND(lane->items, i);
    defer_set(&lane->step);
}

void intake_event(struct batch *b, struct room *r, cJSON *json, enum intake_worth worth)
{
    struct item *i = item_new(b, r, json);

    i->old = worth == WORTH_STATE;
    i->context = worth == WORTH_CONTEXT || intake_too_old(b->m, json, b->missed);
    append(b, i);
}

void intake_gap(struct batch *b, struct room *r, const struct intake_gap *gap)
{
    struct item *i = item_new(b, r, NULL);

    i->left_out = *gap;
    i->left_out.from = mem_dup(gap->from);
    i->left_out.to = mem_dup(gap->to);
    append(b, i);
}

void intake_filled(struct item *gap, struct found *events, size_t n)
{
    struct lane *lane = gap->room->lane;

    for (size_t k = 0; k < n; k++) {
        struct item *i = item_new(gap->batch, gap->room, events[k].json);

        i->context = events[k].context;
        DL_PREPEND_ELEM(lane->items, gap, i);
    }
    item_done(gap);
    defer_set(&lane->step);
}

/* --- what an event is worth --- */

bool intake_is_message(const cJSON *json, const char *user)
{
    const char *type = json_str(json, "type"), *sender = json_str(json, "sender");

    return type && sender && (strcmp(type, "m.room.message") == 0 || strcmp(type, "m.room.encrypted") == 0) &&
           strcmp(sender, user) != 0;
}

bool intake_is_coming(const cJSON *json, const char *user)
{
    const char *type = json_str(json, "type"), *who = json_str(json, "state_key");
    const char *membership = json_str(json_get(json, "content"), "membership");
    const char *before = json_str(json_get(json_get(json, "unsigned"), "prev_content"), "membership");

    if (!type || !who || !membership || strcmp(type, "m.room.member") != 0 || strcmp(who, user) != 0)
        return false;
    return strcmp(membership, "invite") == 0 ||
           (strcmp(membership, "join") == 0 && !(before && strcmp(before, "join") == 0)); /* else only a new name */
}

static int64_t age_of(const cJSON *json)
{
    int64_t sent = json_int(json, "origin_server_ts", 0);

    return json_int(json_get(json, "unsigned"), "age", sent ? clock_wall_ms() - sent : 0);
}

bool intake_is_missed(const struct matrix *m, const cJSON *json)
{
    return age_of(json) > clock_mono_ms() - m->started_ms;
}

bool intake_too_old(const struct matrix *m, const cJSON *json, bool missed)
{
    int64_t max = matrix_conf(m)->catch_up.max_age;

    if (!missed && max < LIVE_AGE_MS)
        max = LIVE_AGE_MS;
    return age_of(json) > max && intake_is_missed(m, json);
}

static bool is_own(const struct item *i)
{
    return strcmp(i->ev.sender, i->batch->m->user) == 0;
}

static bool is_message(const struct event *ev)
{
    return ev->kind == EVENT_TEXT || ev->kind == EVENT_NOTICE || ev->kind == EVENT_EMOTE || ev->kind == EVENT_MEDIA;
}

/* --- a message to the host --- */

const char *intake_talk(const struct room *r, const char *sender, const char *thread)
{
    switch ((enum matrix_scope)matrix_conf(r->m)->thread) {
    case SCOPE_ROOM:
        return NULL;
    case SCOPE_PERSON:
        return room_direct(r) ? NULL : sender;
    case SCOPE_FOLLOW:
    case SCOPE_THREAD:
    default:
        return thread;
    }
}

static const char *conversation(const struct item *i, bool mentioned)
{
    const struct matrix *m = i->batch->m;
    const struct event *ev = &i->ev;
    const struct recent_event *edited = recent_find(&m->recent, ev->edits);

    if (edited)
        return edited->talk;
    if (matrix_conf(m)->thread == SCOPE_THREAD && !ev->thread && (mentioned || room_direct(i->room)))
        return ev->id;
    return intake_talk(i->room, ev->sender, ev->thread);
}

static const char *name_of(const struct room *r, const char *user)
{
    const char *name = room_person(r, user);

    return name && *name ? name : NULL;
}

/* "@alice:example.org" is alice to those who do not know a better name. */
static char *shown_name(const struct room *r, const char *user)
{
    const char *name = name_of(r, user);

    return name ? mem_dup(name) : mem_dupn(user + 1, strcspn(user + 1, ":"));
}

/* Nothing of this batch or an older one is behind it. */
static bool ends_batch(const struct item *i)
{
    const struct batch *b = i->batch;

    return b->position && b->left == 1 && b->m->intake.batches == b;
}

static char *said(const struct event *ev)
{
    struct buf text;

    if (ev->kind == EVENT_TEXT || ev->kind == EVENT_NOTICE)
        return mem_dup(ev->text);
    buf_init(&text, EVENT_TEXT_BYTES_MAX + 8);
    if (ev->kind == EVENT_EMOTE)
        buf_addf(&text, "* %s", ev->text);
    else
        buf_adds(&text, ev->len > 0 ? ev->text : ev->file ? ev->file : "");
    return buf_take(&text);
}

static void hand_over(struct item *i)
{
    struct matrix *m = i->batch->m;
    const struct event *ev = &i->ev;
    bool mentioned = mention_of(ev, m->user, m->name);
    char *name = shown_name(i->room, ev->sender);
    char *text = said(ev);
    /* First, because it may be for one of the others to make room. */
    struct recent_event *noted = recent_note(&m->recent, ev->id, ev->sender, ev->thread, text, strlen(text));
    const struct recent_event *quoted = recent_find(&m->recent, ev->reply_to);
    const char *talk = conversation(i, mentioned);

    if (talk && !noted->talk)
        noted->talk = mem_dup(talk);
    if (recent_find(&m->recent, ev->edits))
        recent_note(&m->recent, ev->edits, NULL, NULL, text, strlen(text));
    if (i->tried_ms == 0)
        i->tried_ms = clock_mono_ms();
    i->room->lane->waiting = true;
    i->carries = ends_batch(i);
    struct chat_about about;
    const char *quoted_by = quoted ? quoted->sender : NULL;
    char *quoted_name = quoted_by ? shown_name(i->room, quoted_by) : NULL;
    struct msg_in in = {
        .chat = i->room->id,
        .thread = talk,
        .id = ev->id,
        .sender = ev->sender,
        .sender_name = name,
        .text = text,
        .len = strlen(text),
        .reply_to = ev->reply_to,
        .quoted = quoted && quoted->text && *quoted->text ? quoted->text : NULL,
        .quoted_name = quoted_name,
        .edits = ev->edits,
        .about = room_about(i->room, &about) ? &about : NULL,
        .position = i->carries ? i->batch->position : NULL,
        .time_ms = ev->time_ms,
        .direct = room_direct(i->room),
        .mentioned = mentioned,
        .reply_to_bot = quoted_by && strcmp(quoted_by, m->user) == 0,
        .context_only = i->context || i->room->mute || (ev->kind == EVENT_MEDIA && ev->len == 0),
        .token = i,
    };
    adapter_message(m->a, &in);
    free(quoted_name);
    free(text);
    free(name);
}

/* The event that it is about. */
static const char *referred(const struct event *ev)
{
    if (ev->kind == EVENT_REACTION)
        return ev->target;
    return ev->edits ? ev->edits : ev->reply_to;
}

static void on_event(void *arg, struct api_reply *r)
{
    struct item *i = arg;
    struct lane *lane = i->room->lane;

    i->call = NULL;
    i->looked_event = true;
    look_event_heard(i->room, referred(&i->ev), r);
    lane->waiting = false;
    defer_set(&lane->step);
}

static void on_person(void *arg, struct api_reply *r)
{
    struct item *i = arg;
    struct lane *lane = i->room->lane;

    i->call = NULL;
    i->looked_person = true;
    look_person_heard(i->room, i->ev.sender, r);
    lane->waiting = false;
    defer_set(&lane->step);
}

/* False: it waits for what it refers to. */
static bool refers(struct item *i)
{
    struct matrix *m = i->batch->m;
    const char *id = referred(&i->ev);
    const struct recent_event *known = recent_find(&m->recent, id);

    if (!id || i->context || i->looked_event || (known && (known->text || i->ev.edits)))
        return true;
    i->call = look_event(m, i->room->id, id, on_event, i);
    i->room->lane->waiting = true;
    return false;
}

/* True: a question about the room has no answer yet, and is asked again in a
 * moment. A message is not lost because the homeserver is away; one whose room
 * it can never tell of must not hold up all others. */
static bool asks_again(struct item *i, const struct api_reply *r)
{
    struct lane *lane = i->room->lane;

    i->call = NULL;
    lane->waiting = false;
    i->asked += i->batch->m->running;
    if (r->retry && i->asked < LANE_ASKS_MAX) {
        timer_set(&lane->again, LANE_PAUSE_MS);
        return true;
    }
    i->asked = 0;
    defer_set(&lane->step);
    return false;
}

static void on_survey(void *arg, struct api_reply *r)
{
    struct item *i = arg;

    if (!asks_again(i, r))
        survey_heard(i->room, r);
}

static void on_backlog(void *arg, struct api_reply *r)
{
    struct item *i = arg;

    if (!asks_again(i, r))
        backlog_heard(i->room, r);
}

static void waits_for(struct item *i, struct api_call *call)
{
    i->call = call;
    i->room->lane->waiting = true;
}

/* False: it waits to hear what the room is like. */
static bool placed(struct item *i)
{
    struct matrix *m = i->batch->m;

    if (matrix_conf(m)->mode == MODE_SYNC || i->room->surveyed)
        return true;
    waits_for(i, survey_start(m, i->room, on_survey, i));
    return false;
}

/* False: it waits to hear how many were missed after it. /sync is counted when it comes. */
static bool counted(struct item *i)
{
    struct matrix *m = i->batch->m;

    if (matrix_conf(m)->mode == MODE_SYNC || i->context || !intake_is_missed(m, i->json))
        return true;
    if (!backlog_known(i->room)) {
        waits_for(i, backlog_start(m, i->room, on_backlog, i));
        return false;
    }
    i->context = backlog_too_long(i->room, &i->ev);
    return true;
}

/* False: it waits for its sender's name. */
static bool named(struct item *i)
{
    if (i->context || i->looked_person || room_person(i->room, i->ev.sender))
        return true;
    i->call = look_person(i->batch->m, i->room, i->ev.sender, on_person, i);
    i->room->lane->waiting = true;
    return false;
}

/* --- what became of it --- */

static bool out_of_patience(const struct item *i)
{
    int64_t patience = LANE_PATIENCE_MS;

    if (matrix_conf(i->batch->m)->mode == MODE_APPSERVICE)
        patience = LANE_PATIENCE_PUSHED_MS;
    else if (i->batch->missed)
        patience = LANE_PATIENCE_MISSED_MS;
    return clock_mono_ms() - i->tried_ms >= patience;
}

static void refused(struct item *i, const struct err *e)
{
    struct lane *lane = i->room->lane;

    lane->waiting = false;
    if (e->code != ERR_BUSY && e->code != ERR_FULL && e->code != ERR_IO) {
        log_warn(matrix_area(i->batch->m), "%s: a message of %s is not taken: %s", room_label(i->room),
                 i->ev.sender, e->text);
        i->old = true; /* as if it were not there */
        defer_set(&lane->step);
        return;
    }
    if (e->code == ERR_BUSY && !i->context && out_of_patience(i))
        i->context = i->too_busy = true;
    timer_set(&lane->again, LANE_PAUSE_MS);
}

/* Called by the host: what follows comes from the loop. */
void intake_accepted(struct matrix *m, struct item *i, const struct msg_accepted *r, const struct err *e)
{
    struct recent_event *noted;

    if (e && e->code) {
        refused(i, e);
        return;
    }
    i->room->about_due = false;
    noted = recent_find(&m->recent, i->ev.id);
    if (noted && r->to_answer && !r->duplicate)
        noted->asked = true;
    if (i->too_busy && !r->duplicate)
        sender_too_busy(&m->sender, i->room, &i->ev);
    i->batch->on_disk |= i->carries;
    sign_read(m, i->room, i->ev.id);
    i->old = true;
    i->room->lane->waiting = false;
    defer_set(&i->room->lane->step);
}

/* --- other events --- */

/* What is taken back is told under the name of who wrote it, whoever took it. */
static void on_redaction(const struct item *i)
{
    const struct matrix *m = i->batch->m;
    const struct recent_event *what = recent_find(&m->recent, i->ev.target);

    if (i->ev.target)
        adapter_withdrawn(m->a, i->room->id, what ? what->talk : NULL, i->ev.target,
                          what && what->sender ? what->sender : i->ev.sender);
}

static void on_reaction(const struct item *i)
{
    const struct matrix *m = i->batch->m;
    const struct recent_event *what = recent_find(&m->recent, i->ev.target);

    if (i->context || i->ev.mark == MARK_NONE || !matrix_conf(m)->reactions || !what || !what->sender || strcmp(what->sender, m->user) != 0)
        return;
    adapter_reaction(m->a, i->room->id, what->talk, i->ev.target, i->ev.sender,
                     i->ev.mark == MARK_RETRY ? REACTION_RETRY : REACTION_REMOVE);
}

static void on_encrypted(struct item *i)
{
    if (!i->context)
        secrecy_heard(i->batch->m, i->room, i->ev.sender, NULL);
}

static void on_state(struct item *i)
{
    struct matrix *m = i->batch->m;

    room_state(i->room, &i->ev);
    if (i->ev.kind == EVENT_TOMBSTONE)
        invite_follow_all(m);
    else if (i->ev.kind == EVENT_POWER)
        room_remark_mute(m);
    else if (i->ev.kind == EVENT_ENCRYPTION)
        secrecy_changed(m);
}

/* Does it matter at once what the room is like after it? */
static bool moves_us(const struct item *i)
{
    bool leaves = i->ev.kind == EVENT_MEMBER && (i->ev.member == MEMBER_LEAVE || i->ev.member == MEMBER_BAN);

    return i->ev.kind == EVENT_TOMBSTONE || (leaves && matrix_conf(i->batch->m)->leave_empty);
}

/* True: done with. */
static bool process(struct item *i)
{
    struct matrix *m = i->batch->m;
    struct err e = ERR_INIT;

    if (!i->read) {
        i->read = true;
        if (event_read(&i->ev, i->json, &e)) {
            log_debug(matrix_area(m), "%s: %s", room_label(i->room), e.text);
            return true;
        }
    }
    if (i->ev.state_key)
        on_state(i);
    if (i->old || (i->ev.state_key && !moves_us(i)) || !i->ev.id)
        return true;
    if (!placed(i))
        return false;
    if (!i->room->member || i->ev.state_key)
        return true;
    if (is_own(i)) {
        if (!i->ev.edits)
            recent_note(&m->recent, i->ev.id, i->ev.sender, i->ev.thread, NULL, 0);
        return true;
    }
    if (i->ev.kind == EVENT_ENCRYPTED)
        on_encrypted(i);
    else if (i->ev.kind == EVENT_REDACTION)
        on_redaction(i);
    else if (i->ev.kind == EVENT_REACTION && !refers(i))
        return false;
    else if (i->ev.kind == EVENT_REACTION)
        on_reaction(i);
    if (!is_message(&i->ev) || (i->ev.kind == EVENT_NOTICE && !matrix_conf(m)->notices))
        return true;
    if (counted(i) && refers(i) && named(i))
        hand_over(i);
    return false;
}

static void lane_step(void *arg)
{
    struct lane *lane = arg;
    struct item *i;

    while ((i = lane->items) && !lane->waiting && !timer_pending(&lane->again)) {
        if (i->json) {
            if (!process(i))
                return;
            item_done(i);
        } else {
            lane->waiting = true;
            i->gap = gap_start(i->batch->m, i->room, &i->left_out, i);
        }
    }
}

/* --- the whole --- */

void intake_init(struct matrix *m)
{
    timer_init(&m->intake.keep, m->a->loop, on_keep, m);
}

static void lane_free(struct room *r)
{
    struct lane *lane = r->lane;
    struct item *i, *next;

    if (!lane)
        return;
    DL_FOREACH_SAFE(lane->items, i, next)
    item_free(i);
    timer_cancel(&lane->again);
    defer_cancel(&lane->step);
    free(lane);
    r->lane = NULL;
}

void intake_fini(struct matrix *m)
{
    struct room *r, *next_room;
    struct batch *b, *next;

    HASH_ITER(hh, m->rooms, r, next_room)
    lane_free(r);
    DL_FOREACH_SAFE(m->intake.batches, b, next)
    {
        free(b->position);
        free(b);
    }
    m->intake.batches = NULL;
    timer_cancel(&m->intake.keep);
    free(m->intake.reached);
    free(m->intake.kept);
}
