#include "adapters/matrix/sync.h"

#include <stdlib.h>
#include <string.h>

#include "adapters/matrix/invite.h"
#include "adapters/matrix/matrix.h"
#include "adapters/matrix/secrecy.h"
#include "plugin/base/json.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"
#include "plugin/base/secret.h"

#define FILTER_BYTES_MAX 2048U
#define STATE_TYPES                                                                                              \
    "\"m.room.create\",\"m.room.name\",\"m.room.topic\",\"m.room.canonical_alias\",\"m.room.power_levels\","     \
    "\"m.room.encryption\",\"m.room.tombstone\",\"m.room.member\""
#define MESSAGE_TYPES "\"m.room.message\",\"m.room.encrypted\",\"m.room.redaction\",\"m.reaction\""

static void step(struct matrix *m, enum sync_state state);

static void fail(struct matrix *m, const struct err *e, bool retry)
{
    m->sync.state = SYNC_IDLE;
    matrix_down(m, e, retry);
}

/* --- asking --- */

/* Only what a bot needs; of the members those who speak, each time anew, because
 * what the server remembers of having told us we may have forgotten. */
static void add_filter(struct buf *path, const struct sync *s, bool snapshot)
{
    struct buf filter;

    buf_init(&filter, FILTER_BYTES_MAX);
    buf_adds(&filter, "{\"presence\":{\"types\":[]},\"account_data\":{\"types\":[\"m.direct\"]},\"room\":{"
                      "\"account_data\":{\"types\":[]},\"ephemeral\":{\"types\":[]},\"state\":{"
                      "\"lazy_load_members\":true,\"include_redundant_members\":true,\"types\":[" STATE_TYPES "]},"
                      "\"timeline\":{\"lazy_load_members\":true,");
    if (snapshot)
        buf_adds(&filter, "\"limit\":1,\"types\":[]}}}");
    else
        buf_addf(&filter, "\"limit\":%d,\"types\":[" MESSAGE_TYPES "," STATE_TYPES "]}}}",
                 s->small ? TIMELINE_EVENTS_SMALL : TIMELINE_EVENTS);
    api_path(path, "/_matrix/client/v3/sync?filter=%", buf_str(&filter));
    buf_free(&filter);
}

static void ask(struct matrix *m, bool snapshot, api_done *done)
{
    struct sync *s = &m->sync;
    int wait = s->missed ? 0 : SYNC_POLL_MS;
    struct buf path;

    buf_init(&path, API_PATH_BYTES_MAX);
    add_filter(&path, s, snapshot);
    if (snapshot) /* which nobody waits for; but a server keeps what it said to the same request for a while */
        buf_addf(&path, "&timeout=%d", (int)(random_unit() * SYNC_POLL_MS));
    else
        buf_addf(&path, "&timeout=%d", wait);
    if (!snapshot)
        api_path(&path, "&since=%", s->since);
    struct api_request req = {
        .method = "GET",
        .path = buf_str(&path),
        .answer_ms = wait && !snapshot ? wait + SYNC_GRACE_MS : SYNC_LONG_MS,
        .max_bytes = SYNC_BYTES_MAX,
    };
    s->call = api_start(&m->api, &req, done, m);
    buf_free(&path);
}

/* --- what an answer says of a room --- */

static void note_state(struct room *r, const cJSON *events)
{
    const cJSON *json;

    cJSON_ArrayForEach(json, events)
    {
        struct err e = ERR_INIT;
        struct event ev;

        if (!event_read(&ev, json, &e) && ev.state_key)
            room_state(r, &ev);
        event_fini(&ev);
    }
}

static void note_summary(struct room *r, const cJSON *summary)
{
    room_counts(r, json_int(summary, "m.joined_member_count", -1), json_int(summary, "m.invited_member_count", -1));
}

/* How the timeline of a room we came into divides: what was said before we were
 * invited is not for us. Events before this one are only state. */
static size_t beginning(const struct matrix *m, const cJSON *events, bool *found)
{
    const cJSON *json;
    size_t at = 0, begin = 0;
    bool invited = false;

    *found = false;
    cJSON_ArrayForEach(json, events)
    {
        at++;
        if (!intake_is_coming(json, m->user) || invited)
            continue;
        *found = true;
        begin = at;
        invited = strcmp(json_str(json_get(json, "content"), "membership"), "invite") == 0;
    }
    return begin;
}

static size_t count_messages(const struct matrix *m, const cJSON *events)
{
    const cJSON *json;
    size_t n = 0;

    cJSON_ArrayForEach(json, events)
    n += intake_is_message(json, m->user);
    return n;
}

/* Takes the events out of the timeline. */
static void take_timeline(struct batch *b, struct room *r, cJSON *timeline, bool missed, bool came)
{
    struct matrix *m = r->m;
    cJSON *events = cJSON_GetObjectItemCaseSensitive(timeline, "events");
    size_t max = (size_t)matrix_conf(m)->catch_up.max_messages, messages = count_messages(m, events), at = 0;
    bool limited = json_bool(timeline, "limited", false), found = false;
    size_t begin = came ? beginning(m, events, &found) : 0;

    if (limited && !found) {
        struct intake_gap gap = {
            .from = json_str(timeline, "prev_batch"),
            .to = came ? NULL : m->sync.since,
            .joined = came,
            .later = messages,
        };
        intake_gap(b, r, &gap);
    }
    while (cJSON_IsArray(events) && events->child) {
        cJSON *json = cJSON_DetachItemViaPointer(events, events->child);
        bool few = (!missed && !limited) || messages <= max; /* behind this one */

        messages -= intake_is_message(json, m->user);
        intake_event(b, r, json, at++ < begin ? WORTH_STATE : few ? WORTH_ANSWER : WORTH_CONTEXT);
    }
}

static bool has_creation(const cJSON *events)
{
    const cJSON *json;

    cJSON_ArrayForEach(json, events)
    {
        const char *type = json_str(json, "type");

        if (type && strcmp(type, "m.room.create") == 0)
            return true;
    }
    return false;
}

/* A room is told from its creation on only when we came into it since the last
 * answer: what we know of it ourselves may be younger than our position. */
static bool is_new(const struct room *r, const cJSON *json)
{
    return !r->member || has_creation(json_get(json_get(json, "state"), "events")) ||
           has_creation(json_get(json_get(json, "timeline"), "events"));
}

static void take_joined(struct batch *b, struct matrix *m, cJSON *rooms, bool missed)
{
    for (cJSON *json = rooms ? rooms->child : NULL; json; json = json->next) {
        struct room *r;

        if (!event_id_ok(json->string, '!'))
            continue;
        r = room_get(m, json->string);
        bool came = is_new(r, json);
        r->member = true;
        r->mute &= !came;
        note_state(r, json_get(json_get(json, "state"), "events"));
        note_summary(r, json_get(json, "summary"));
        if (b)
            take_timeline(b, r, cJSON_GetObjectItemCaseSensitive(json, "timeline"), missed, came);
        invite_look_around(m, r);
    }
}

static void take_left(struct matrix *m, const cJSON *rooms)
{
    for (const cJSON *json = rooms ? rooms->child : NULL; json; json = json->next) {
        struct room *r = room_find(m, json->string);

        if (!r || !r->member)
            continue;
        r->member = false;
        r->mute = false;
        log_info(matrix_area(m), "no longer in %s", room_label(r));
    }
}

static void take_invitations(struct matrix *m, const cJSON *rooms)
{
    for (const cJSON *json = rooms ? rooms->child : NULL; json; json = json->next)
        invite_heard(m, json->string, json_get(json_get(json, "invite_state"), "events"));
}

static void take_account_data(struct matrix *m, const cJSON *events)
{
    const cJSON *json;

    cJSON_ArrayForEach(json, events)
    {
        const char *type = json_str(json, "type");

        if (type && strcmp(type, "m.direct") == 0)
            room_direct_list(m, json_get(json, "content"));
    }
}

/* b NULL: a snapshot, of which only the state counts. */
static void take(struct matrix *m, cJSON *json, struct batch *b, bool missed)
{
    cJSON *rooms = cJSON_GetObjectItemCaseSensitive(json, "rooms");

    take_joined(b, m, cJSON_GetObjectItemCaseSensitive(rooms, "join"), missed);
    take_left(m, json_get(rooms, "leave"));
    if (!m->pinging)
        take_invitations(m, json_get(rooms, "invite"));
    invite_follow_all(m);
    take_account_data(m, json_get(json_get(json, "account_data"), "events"));
    secrecy_changed(m);
    room_remark_mute(m);
}

/* --- answers --- */

static void move_to(struct matrix *m, const char *next_batch)
{
    free(m->sync.since);
    m->sync.since = mem_dup(next_batch);
}

/* True: the call failed and what follows is decided. */
static bool refused(struct matrix *m, struct api_reply *r)
{
    struct sync *s = &m->sync;

    s->call = NULL;
    if (!r->err.code && !json_str(r->json, "next_batch"))
        err_set(&r->err, ERR_PROTO, "the answer to /sync has no next_batch");
    if (!r->err.code)
        return false;
    if (m->pinging && matrix_conf(m)->mode == MODE_APPSERVICE) {
        matrix_online(m); /* which does not need /sync */
    } else if (r->err.code == ERR_TOO_LARGE && !s->small && s->state == SYNC_POLLING) {
        s->small = true;
        step(m, SYNC_POLLING);
    } else if (r->err.code == ERR_AUTH && !r->outdated) {
        s->state = SYNC_IDLE;
        matrix_unauthorized(m, r);
    } else {
        err_prefix(&r->err, "/sync");
        fail(m, &r->err, true);
    }
    return true;
}

static void on_poll(void *arg, struct api_reply *r)
{
    struct matrix *m = arg;
    struct sync *s = &m->sync;
    size_t bytes = r->bytes;

    if (r->err.code == ERR_PARAM && !s->found_again) {
        log_warn(matrix_area(m), "the server does not know the position in its stream (%s): looking at each room",
                 r->err.text);
        s->call = NULL;
        s->lost = s->found_again = true;
        step(m, SYNC_SNAPSHOT);
        return;
    }
    if (refused(m, r))
        return;
    cJSON *json = api_reply_take(r);
    const char *next = json_str(json, "next_batch");
    bool missed = s->missed;
    struct batch *b = intake_open(m, next, missed, NULL, NULL);
    s->small = s->missed = s->found_again = false;
    take(m, json, b, missed);
    move_to(m, next);
    intake_close(b);
    cJSON_Delete(json);
    if (bytes > SYNC_LARGE_BYTES)
        mem_give_back();
    if (m->intake.items > 0)
        timer_set(&s->pause, SYNC_BREATH_MS);
    else
        step(m, SYNC_POLLING);
}

/* The position was lost: what each room said since we came is looked through, within the bounds of catch_up; the host knows what it had. */
static void look_at_all(struct matrix *m, const char *position)
{
    struct batch *b = intake_open(m, position, true, NULL, NULL);
    const struct intake_gap gap = { .joined = true, .began = true };

    for (struct room *r = m->rooms; r; r = r->hh.next)
        if (r->member)
            intake_gap(b, r, &gap);
    intake_close(b);
}

static void on_first_kept(void *arg, const struct err *e)
{
    struct matrix *m = arg;

    if (m->sync.state != SYNC_KEEPING)
        return;
    if (e->code) {
        fail(m, e, true);
        return;
    }
    step(m, SYNC_POLLING);
}

static void on_snapshot(void *arg, struct api_reply *r)
{
    struct matrix *m = arg;
    struct sync *s = &m->sync;
    const char *next = json_str(r->json, "next_batch");
    size_t bytes = r->bytes;

    if (refused(m, r))
        return;
    cJSON *json = api_reply_take(r);
    s->has_snapshot = true;
    take(m, json, NULL, false);
    if (m->pinging) {
        cJSON_Delete(json);
        matrix_online(m);
        return;
    }
    if (s->lost)
        look_at_all(m, next);
    if (!s->since) {
        s->state = SYNC_KEEPING;
        adapter_keep(m->a, FACT_POSITION, next, 0, on_first_kept, m);
    }
    if (!s->since || s->lost)
        move_to(m, next);
    s->lost = false;
    cJSON_Delete(json);
    if (bytes > SYNC_LARGE_BYTES)
        mem_give_back();
    matrix_online(m);
    if (s->state != SYNC_KEEPING)
        step(m, SYNC_POLLING);
}

static void on_position(void *arg, const char *value, int64_t expires_ms, const struct err *e)
{
    struct matrix *m = arg;

    (void)expires_ms;
    if (m->sync.state != SYNC_RECALLING)
        return;
    if (e->code) {
        fail(m, e, true);
        return;
    }
    m->sync.recalled = true;
    m->sync.since = mem_dup(value);
    step(m, SYNC_SNAPSHOT);
}

/* --- in order --- */

static void poll(struct matrix *m)
{
    if (intake_full(m))
        timer_set(&m->sync.pause, SYNC_FULL_PAUSE_MS);
    else
        ask(m, false, on_poll);
}

static void on_pause(void *arg)
{
    poll(arg);
}

static void step(struct matrix *m, enum sync_state state)
{
    m->sync.state = state;
    switch (state) {
    case SYNC_RECALLING:
        adapter_recall(m->a, FACT_POSITION, on_position, m);
        break;
    case SYNC_SNAPSHOT:
        ask(m, true, on_snapshot);
        break;
    case SYNC_POLLING:
        poll(m);
        break;
    case SYNC_IDLE:
    case SYNC_KEEPING:
        break;
    }
}

void sync_init(struct matrix *m)
{
    timer_init(&m->sync.pause, m->a->loop, on_pause, m);
}

void sync_start(struct matrix *m)
{
    struct sync *s = &m->sync;

    sync_stop(m);
    s->missed = true;
    if (!s->recalled && !m->pinging) {
        step(m, SYNC_RECALLING);
    } else if (!s->has_snapshot) {
        step(m, SYNC_SNAPSHOT);
    } else {
        matrix_online(m);
        step(m, SYNC_POLLING);
    }
}

void sync_stop(struct matrix *m)
{
    api_cancel(&m->sync.call);
    timer_cancel(&m->sync.pause);
    m->sync.state = SYNC_IDLE;
}

void sync_fini(struct matrix *m)
{
    sync_stop(m);
    free(m->sync.since);
}
