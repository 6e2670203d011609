#include "adapters/matrix/invite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "adapters/matrix/matrix.h"
#include "adapters/matrix/secrecy.h"
#include "adapters/matrix/words.h"
#include "plugin/base/json.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"

enum errand_kind { ERRAND_JOIN, ERRAND_DECLINE, ERRAND_LEAVE, ERRAND_FOLLOW };

/* One room that is to be joined or left. */
struct errand {
    struct errand *prev, *next;
    struct matrix *m;
    enum errand_kind kind;
    char *room, *who, *like;
    bool encrypted;
    unsigned tries;
    int64_t pause_ms;
    struct timer again;
    struct api_call *call;
};

static void run(void *arg);

static void errand_free(struct errand *e)
{
    DL_DELETE(e->m->errands, e);
    api_cancel(&e->call);
    timer_cancel(&e->again);
    free(e->room);
    free(e->who);
    free(e->like);
    free(e);
}

void invite_free_all(struct matrix *m)
{
    while (m->errands)
        errand_free(m->errands);
}

static struct errand *errand_new(struct matrix *m, enum errand_kind kind, const char *room, const char *who)
{
    struct errand *e;

    DL_FOREACH(m->errands, e)
    if (strcmp(e->room, room) == 0)
        return NULL; /* at it already */
    e = mem_alloc(sizeof *e);
    e->m = m;
    e->kind = kind;
    e->room = mem_dup(room);
    e->who = mem_dup(who);
    e->pause_ms = INVITE_PAUSE_MS;
    timer_init(&e->again, m->a->loop, run, e);
    DL_APPEND(m->errands, e);
    return e;
}

/* Whoever may invite may do so a thousand times. Oldest first: those that run are at the front. */
static void run_next(struct matrix *m)
{
    struct errand *e;
    unsigned running = 0;

    DL_FOREACH(m->errands, e)
    {
        if (running++ >= INVITES_RUNNING_MAX)
            return;
        if (e->tries == 0)
            run(e);
    }
}

/* --- being there --- */

static void greet(const struct errand *e)
{
    const char *greeting = matrix_conf(e->m)->greeting;
    char txn[300];
    struct note note = { .room = e->room, .text = greeting, .txn = txn };

    snprintf(txn, sizeof txn, "hello.%s", e->room);
    if (greeting)
        sender_note(&e->m->sender, &note);
}

static void joined(const struct errand *e)
{
    struct room *r = room_get(e->m, e->room);

    log_info(matrix_area(e->m), "joined %s, as %s asked", e->room, e->who);
    if (e->encrypted)
        secrecy_heard(e->m, r, e->who, e->like);
    else if (e->kind == ERRAND_JOIN)
        greet(e);
}

static void on_done(void *arg, struct api_reply *r)
{
    static const char *const what[] = { "join", "decline", "leave", "follow to" };
    struct errand *e = arg;
    struct matrix *m = e->m;

    e->call = NULL;
    if (r->retry && e->tries < INVITE_TRIES) {
        timer_set(&e->again, r->retry_after_ms > e->pause_ms ? r->retry_after_ms : e->pause_ms);
        e->pause_ms *= 2;
        return;
    }
    if (r->err.code)
        log_warn(matrix_area(e->m), "cannot %s %s (%s): %s", what[e->kind], e->room, e->who, r->err.text);
    else if (e->kind == ERRAND_JOIN || e->kind == ERRAND_FOLLOW)
        joined(e);
    else
        log_info(matrix_area(e->m), "%s %s (%s)", e->kind == ERRAND_DECLINE ? "declined the invitation to" : "left",
                 e->room, e->who);
    errand_free(e);
    run_next(m);
}

static void run(void *arg)
{
    struct errand *e = arg;
    bool join = e->kind == ERRAND_JOIN || e->kind == ERRAND_FOLLOW;
    const char *server = strchr(e->who, ':');
    struct buf path, body;

    e->tries++;
    buf_init(&path, API_PATH_BYTES_MAX);
    buf_init(&body, 4096);
    api_path(&path, join ? "/_matrix/client/v3/join/%" : "/_matrix/client/v3/rooms/%/leave", e->room);
    if (join && server) /* a room's id does not say where it is */
        api_path(&path, "?server_name=%&via=%", server + 1, server + 1);
    buf_addc(&body, '{');
    if (e->kind == ERRAND_DECLINE) {
        buf_adds(&body, "\"reason\":");
        json_quote(&body, words(WORDS_NOT_INVITED, e->like));
    }
    buf_addc(&body, '}');
    struct api_request req = {
        .method = "POST",
        .path = buf_str(&path),
        .body = &body,
        .answer_ms = join ? INVITE_JOIN_MS : 0,
    };
    e->call = api_start(&e->m->api, &req, on_done, e);
    buf_free(&body);
    buf_free(&path);
}

/* --- invitations --- */

struct invitation {
    const char *room, *who;
    char *alias, *like;
    bool encrypted;
};

static bool matches(const struct strings *patterns, const struct invitation *v)
{
    for (size_t i = 0; i < patterns->n; i++)
        if (config_glob(patterns->v[i], v->who) || config_glob(patterns->v[i], v->room) ||
            (v->alias && config_glob(patterns->v[i], v->alias)))
            return true;
    return false;
}

static void read_state(struct invitation *v, const struct matrix *m, const struct event *ev, const cJSON *json)
{
    if (ev->kind == EVENT_MEMBER && strcmp(ev->state_key, m->user) == 0 && ev->member == MEMBER_INVITE)
        v->who = json_str(json, "sender");
    if (ev->kind == EVENT_ALIASES && ev->aliases[0] && !v->alias)
        v->alias = mem_dup(ev->aliases[0]);
    if (ev->kind == EVENT_NAME && !v->like)
        v->like = mem_dup(ev->text);
    if (ev->kind == EVENT_MEMBER && ev->member == MEMBER_JOIN && !v->like)
        v->like = mem_dup(ev->text);
    v->encrypted |= ev->kind == EVENT_ENCRYPTION;
}

void invite_heard(struct matrix *m, const char *room, const cJSON *state)
{
    const struct matrix_conf *conf = matrix_conf(m);
    struct invitation v = { .room = room };
    const cJSON *json;

    cJSON_ArrayForEach(json, state)
    {
        struct err err = ERR_INIT;
        struct event ev;

        if (!event_read(&ev, json, &err))
            read_state(&v, m, &ev, json);
        event_fini(&ev);
    }
    if (v.who && event_id_ok(room, '!')) {
        bool welcome = matches(&conf->invite.allow, &v) && !matches(&conf->invite.deny, &v);
        struct errand *e = errand_new(m, welcome ? ERRAND_JOIN : ERRAND_DECLINE, room, v.who);

        if (e) {
            e->encrypted = v.encrypted;
            e->like = mem_dup(v.like);
            run_next(m);
        }
    }
    free(v.alias);
    free(v.like);
}

/* --- replaced and empty rooms --- */

static void follow(struct matrix *m, struct room *r)
{
    const struct room *next = room_find(m, r->successor);
    struct errand *e = next && next->member ? NULL : errand_new(m, ERRAND_FOLLOW, r->successor, r->replaced_by);

    r->followed = true;
    if (e)
        run_next(m);
}

void invite_follow_all(struct matrix *m)
{
    for (struct room *r = m->rooms; r && !m->pinging; r = r->hh.next)
        if (r->member && r->successor && !r->followed)
            follow(m, r);
}

void invite_look_around(struct matrix *m, struct room *r)
{
    struct errand *e;

    if (m->pinging || !matrix_conf(m)->leave_empty || !r->member || r->joined != 1 || r->invited > 0)
        return;
    e = errand_new(m, ERRAND_LEAVE, r->id, "nobody else is there");
    if (e)
        run_next(m);
}
