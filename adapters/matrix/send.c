#include "adapters/matrix/send.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "adapters/matrix/content.h"
#include "adapters/matrix/look.h"
#include "adapters/matrix/matrix.h"
#include "adapters/matrix/words.h"
#include "plugin/base/clock.h"
#include "plugin/base/json.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"
#include "plugin/base/secret.h"

#define KEY_BYTES_MAX 2048U
#define TXN_BYTES 160
#define PARTIAL_PAUSE_MS 5000 /* after text that was refused, though more of it came meanwhile */

enum out_state {
    OUT_PLACING,  /* whom does it answer, and in which thread? */
    OUT_SENDING,
    OUT_CHECKING, /* a process before this one may have sent it with another text */
    OUT_EDITING,
    OUT_RESTING,  /* until there is more, or until it may be said */
};

/* Somebody who waits for a text to be there. */
struct waiter {
    struct waiter *next;
    int64_t handle;
    uint64_t version;
};

/* A message. What it shall say grows by versions; `shown` is what the room has. */
struct out {
    UT_hash_handle hh;
    char *key;
    struct sender *s;
    enum out_state state;
    char *chat, *talk, *id, *txn, *reply_to;
    int64_t reply_seq;
    char *root, *person;        /* thread and addressee; placed */
    bool placed, resumed;
    char *event;                /* its event, once there is one */
    char *text;
    size_t len;
    bool notice, done;
    uint64_t version, calling, shown;
    struct waiter *waiters;
    struct api_call *call;
    struct timer timer;
    int64_t next_ms;            /* no partial edit before */
    bool final_counted;
    bool taken_back;            /* nothing more of it is said */
    unsigned tries;             /* of a word of our own */
    void (*told)(struct matrix *m, const char *room, bool ok);
};

static void step(struct out *o);

/* --- life --- */

static void count_final(struct out *o, bool waits)
{
    if (waits && !o->final_counted)
        o->s->finals++;
    else if (!waits && o->final_counted)
        o->s->finals--;
    o->final_counted = waits;
}

static void out_free(struct out *o)
{
    struct waiter *w, *next;

    count_final(o, false);
    HASH_DEL(o->s->outs, o);
    LL_FOREACH_SAFE(o->waiters, w, next)
    free(w);
    api_cancel(&o->call);
    timer_cancel(&o->timer);
    free(o->key);
    free(o->chat);
    free(o->talk);
    free(o->id);
    free(o->txn);
    free(o->reply_to);
    free(o->root);
    free(o->person);
    free(o->event);
    free(o->text);
    free(o);
}

static void settle(struct out *o);
static void tell_sent(struct out *o, uint64_t version);

static void on_timer(void *arg)
{
    struct out *o = arg;

    if (o->taken_back) {
        tell_sent(o, o->version);
        out_free(o);
    } else if (o->shown == o->version)
        settle(o);
    else
        step(o);
}

static struct out *out_get(struct sender *s, const char *chat, const char *talk, const char *id)
{
    struct out *o;
    struct buf key;

    buf_init(&key, KEY_BYTES_MAX);
    buf_addf(&key, "%s\n%s\n%s", chat, talk ? talk : "", id);
    HASH_FIND_STR(s->outs, buf_str(&key), o);
    if (!o) {
        o = mem_alloc(sizeof *o);
        o->s = s;
        o->key = mem_dup(buf_str(&key));
        o->state = OUT_RESTING;
        o->chat = mem_dup(chat);
        o->talk = mem_dup(talk);
        o->id = mem_dup(id);
        timer_init(&o->timer, s->m->a->loop, on_timer, o);
        HASH_ADD_KEYPTR(hh, s->outs, o->key, strlen(o->key), o);
    }
    buf_free(&key);
    return o;
}

/* --- those who wait --- */

static void tell_sent(struct out *o, uint64_t version)
{
    struct waiter *w, *next;

    LL_FOREACH_SAFE(o->waiters, w, next)
    {
        if (w->version > version)
            continue;
        LL_DELETE(o->waiters, w);
        adapter_sent(o->s->m->a, w->handle, o->event);
        free(w);
    }
}

static void tell_failed(struct out *o, uint64_t version, const struct api_reply *r)
{
    struct waiter *w, *next;

    LL_FOREACH_SAFE(o->waiters, w, next)
    {
        if (w->version > version)
            continue;
        LL_DELETE(o->waiters, w);
        adapter_send_failed(o->s->m->a, w->handle, &r->err, r->retry || r->err.code == ERR_AUTH,
                            r->retry_after_ms > 0 ? r->retry_after_ms : 0);
        free(w);
    }
}

/* --- the pace --- */

static void slow_down(struct sender *s, int64_t wait_ms)
{
    int64_t wait = wait_ms > 0 ? wait_ms : s->interval_ms;
    int64_t slower = s->interval_ms * 2 > wait ? s->interval_ms * 2 : wait;

    s->limited_until_ms = clock_mono_ms() + wait;
    s->interval_ms = slower < EDIT_INTERVAL_MAX_MS ? slower : EDIT_INTERVAL_MAX_MS;
}

static void speed_up(struct sender *s)
{
    int64_t base = matrix_conf(s->m)->edit_interval_ms, faster = s->interval_ms - s->interval_ms / 10;

    s->interval_ms = faster > base ? faster : base;
}

/* How long what is wanted has to wait. */
static int64_t pause_ms(const struct out *o)
{
    int64_t due = o->s->limited_until_ms;

    if (!o->done && o->event && o->next_ms > due)
        due = o->next_ms;
    if (!o->done && o->event && o->s->finals > 0 && clock_mono_ms() + o->s->interval_ms > due)
        due = clock_mono_ms() + o->s->interval_ms;
    return due - clock_mono_ms();
}

/* --- what the server says --- */

static void finished(struct out *o)
{
    if (o->event)
        recent_note(&o->s->m->recent, o->event, NULL, NULL, o->text, o->len);
    if (o->told)
        o->told(o->s->m, o->chat, true);
    out_free(o);
}

/* It cannot be said now, and perhaps never. */
static void unsaid(struct out *o, struct api_reply *r)
{
    struct matrix *m = o->s->m;
    struct room *room = room_find(m, o->chat);
    bool own = o->tries > 0;

    if (strcmp(r->errcode, "M_FORBIDDEN") == 0 && room) {
        room->mute = true;
        room_remark_mute(m);
    }
    if (r->err.code == ERR_AUTH)
        matrix_unauthorized(m, r);
    if (!own) {
        log_debug(matrix_area(m), "%s: %s is not sent: %s", o->chat, o->txn, r->err.text);
        tell_failed(o, o->calling, r);
        if (o->done && o->version == o->calling)
            out_free(o); /* whoever waited sends it again, with all that it says */
        else
            timer_set(&o->timer, PARTIAL_PAUSE_MS);
    } else if (r->retry && o->tries < NOTE_TRIES) {
        o->tries++;
        timer_set(&o->timer, NOTE_PAUSE_MS);
    } else {
        log_warn(matrix_area(m), "%s: cannot say \"%.40s…\": %s", o->chat, o->text, r->err.text);
        if (o->told)
            o->told(m, o->chat, false);
        out_free(o);
    }
}

/* True: it was said. */
static bool said(struct out *o, struct api_reply *r)
{
    o->call = NULL;
    o->state = OUT_RESTING;
    if (!r->err.code)
        return true;
    if (r->err.code == ERR_RATE) {
        slow_down(o->s, r->retry_after_ms);
        step(o);
    } else {
        unsaid(o, r);
    }
    return false;
}

static void settle(struct out *o)
{
    count_final(o, false);
    tell_sent(o, o->shown);
    if (o->done && o->shown == o->version)
        finished(o);
    else
        step(o);
}

/* --- replacing it --- */

static void write_content(const struct out *o, struct buf *body, bool edit)
{
    const struct matrix *m = o->s->m;
    struct content c = {
        .text = o->text,
        .len = o->len,
        .notice = o->notice || matrix_conf(m)->msgtype == MSGTYPE_NOTICE,
        .reply_to = o->reply_to,
        .thread = o->root,
        .falling_back = o->root != NULL,
        .mention = o->person,
        .edits = edit ? o->event : NULL,
    };

    buf_init(body, CONTENT_BYTES_MAX + 1);
    content_write(body, &c);
}

static void put(struct out *o, const char *txn, bool edit, api_done *done)
{
    struct buf path, body;

    write_content(o, &body, edit);
    buf_init(&path, API_PATH_BYTES_MAX);
    api_path(&path, "/_matrix/client/v3/rooms/%/send/m.room.message/%", o->chat, txn);
    struct api_request req = { .method = "PUT", .path = buf_str(&path), .body = &body };
    o->calling = o->version;
    o->call = api_start(&o->s->m->api, &req, done, o);
    buf_free(&path);
    buf_free(&body);
}

static void on_edited(void *arg, struct api_reply *r)
{
    struct out *o = arg;

    if (!said(o, r))
        return;
    speed_up(o->s);
    o->shown = o->calling;
    settle(o);
}

static void edit(struct out *o)
{
    struct sender *s = o->s;
    char txn[TXN_BYTES];

    snprintf(txn, sizeof txn, "%s.%" PRIu64, s->boot, ++s->edits);
    o->state = OUT_EDITING;
    o->next_ms = clock_mono_ms() + s->interval_ms;
    put(o, txn, true, on_edited);
}

/* --- saying it --- */

/* The same transaction gave the same event, but what does that say? */
static void on_checked(void *arg, struct api_reply *r)
{
    struct out *o = arg;
    const char *body = json_str(json_get(r->json, "content"), "body");
    bool replaced = json_get(json_get(json_get(r->json, "unsigned"), "m.relations"), "m.replace");

    o->call = NULL;
    o->state = OUT_RESTING;
    if (!r->err.code && !replaced && body && strlen(body) == o->len && memcmp(body, o->text, o->len) == 0)
        o->shown = o->version;
    if (o->shown == o->version)
        settle(o);
    else
        step(o);
}

static void check(struct out *o)
{
    o->state = OUT_CHECKING;
    o->resumed = false;
    o->call = look_event(o->s->m, o->chat, o->event, on_checked, o);
}

static void on_sent(void *arg, struct api_reply *r)
{
    struct out *o = arg;
    struct matrix *m = o->s->m;
    const char *event = json_str(r->json, "event_id");
    struct recent_event *noted;

    if (!r->err.code && !event_id_ok(event, '$'))
        err_set(&r->err, ERR_PROTO, "the answer names no event");
    if (!said(o, r))
        return;
    o->event = mem_dup(event);
    noted = recent_note(&m->recent, event, m->user, o->root, o->text, o->len);
    free(noted->talk);
    noted->talk = mem_dup(o->talk);
    free(noted->person);
    noted->person = mem_dup(o->person);
    o->next_ms = clock_mono_ms() + o->s->interval_ms;
    if (o->resumed && o->done) {
        check(o);
    } else {
        o->shown = o->calling;
        settle(o);
    }
}

static void send_first(struct out *o)
{
    char txn[TXN_BYTES];

    snprintf(txn, sizeof txn, "%s.%.120s", o->s->m->salt, o->txn);
    o->state = OUT_SENDING;
    put(o, txn, false, on_sent);
}

/* --- its place --- */

/* Only the first part of a long answer says what it answers; the others follow it into its thread. */
static const char *place_of(const struct out *o)
{
    for (size_t i = 0; i < PLACES; i++) {
        const struct place *p = &o->s->places[i];

        if (p->chat && p->seq == o->reply_seq && strcmp(p->chat, o->chat) == 0)
            return p->root;
    }
    return NULL;
}

static void note_place(struct out *o)
{
    struct place *p = &o->s->places[o->s->next_place++ % PLACES];

    free(p->chat);
    free(p->root);
    *p = (struct place){ .chat = mem_dup(o->chat), .root = mem_dup(o->root), .seq = o->reply_seq };
}

static void place(struct out *o)
{
    const struct matrix *m = o->s->m;
    const struct recent_event *asked = recent_find(&m->recent, o->reply_to);

    o->placed = true;
    o->resumed = !asked || !asked->asked;
    if (!o->root && o->talk && o->talk[0] == '$')
        o->root = mem_dup(o->talk);
    if (!o->reply_to && !o->root)
        o->root = mem_dup(place_of(o));
    if (!asked)
        return;
    if (!o->root)
        o->root = mem_dup(asked->thread);
    note_place(o);
    if (asked->sender && strcmp(asked->sender, m->user) != 0)
        o->person = mem_dup(asked->sender);
}

static void on_looked(void *arg, struct api_reply *r)
{
    struct out *o = arg;

    o->call = NULL;
    o->state = OUT_RESTING;
    look_event_heard(room_get(o->s->m, o->chat), o->reply_to, r);
    place(o);
    step(o);
}

/* Where we may not speak, only what somebody waits for is tried: they want to hear what becomes of it. */
static bool is_in_vain(const struct out *o)
{
    const struct room *r = room_find(o->s->m, o->chat);

    return !o->waiters && !o->tries && r && r->mute;
}

/* The one place where it moves on. */
static void step(struct out *o)
{
    struct matrix *m = o->s->m;
    int64_t pause = pause_ms(o);

    if (o->call || o->taken_back || o->shown == o->version || is_in_vain(o))
        return;
    if (!o->placed && o->reply_to && !recent_find(&m->recent, o->reply_to)) {
        o->state = OUT_PLACING;
        o->call = look_event(m, o->chat, o->reply_to, on_looked, o);
        return;
    }
    if (!o->placed)
        place(o);
    if (pause > 0) {
        count_final(o, o->done);
        timer_set(&o->timer, pause);
    } else if (o->event) {
        edit(o);
    } else {
        send_first(o);
    }
}

/* --- from the host --- */

/* What is there already, or on its way, is not said again: people would see
 * that a message was edited, and not how. */
static void want(struct out *o, const char *text, size_t len, bool done, bool notice)
{
    bool same = o->text && o->notice == notice && o->len == len && memcmp(o->text, text, len) == 0;

    if (!same) {
        free(o->text);
        o->text = mem_dupn(text, len);
        o->len = len;
    }
    if (same && o->call && o->calling == o->version)
        o->calling++;
    if (same && !o->call && o->shown == o->version) {
        o->shown++;
        timer_set(&o->timer, 0);
    }
    o->version++;
    o->done = done;
    o->notice = notice;
}

static void keep_old(char **where, const char *value)
{
    if (!*where)
        *where = mem_dup(value);
}

void sender_say(struct sender *s, const struct msg_out *m)
{
    struct out *o = out_get(s, m->chat, m->thread, m->id);

    keep_old(&o->txn, m->txn);
    keep_old(&o->event, m->platform_id);
    keep_old(&o->reply_to, m->reply_to);
    o->reply_seq = m->reply_seq;
    want(o, m->text, m->len, m->done, m->notice);
    if (m->handle) {
        struct waiter *w = mem_alloc(sizeof *w);

        w->handle = m->handle;
        w->version = o->version;
        LL_APPEND(o->waiters, w);
    }
    step(o);
}

void sender_note(struct sender *s, const struct note *note)
{
    struct out *o = out_get(s, note->room, NULL, note->txn);

    if (o->txn)
        return; /* it is on its way */
    o->txn = mem_dup(note->txn);
    o->reply_to = mem_dup(note->reply_to);
    o->root = mem_dup(note->thread);
    o->placed = true;
    o->tries = 1;
    o->told = note->told;
    want(o, note->text, strlen(note->text), true, true);
    step(o);
}

void sender_too_busy(struct sender *s, const struct room *r, const struct event *ev)
{
    char txn[TXN_BYTES];
    struct note note = {
        .room = r->id,
        .thread = ev->thread,
        .reply_to = ev->id,
        .text = words(WORDS_BUSY, ev->text),
        .txn = txn,
    };

    snprintf(txn, sizeof txn, "busy.%.100s", ev->id);
    sender_note(s, &note);
}

/* --- taking it back --- */

struct removal {
    struct removal *prev, *next;
    struct sender *s;
    int64_t handle;
    char *event;
    struct api_call *call;
};

static void removal_free(struct removal *v)
{
    DL_DELETE(v->s->removals, v);
    api_cancel(&v->call);
    free(v->event);
    free(v);
}

static void on_removed(void *arg, struct api_reply *r)
{
    struct removal *v = arg;
    struct adapter *a = v->s->m->a;

    v->call = NULL;
    if (v->handle && !r->err.code)
        adapter_sent(a, v->handle, v->event);
    else if (v->handle)
        adapter_send_failed(a, v->handle, &r->err, r->retry, r->retry_after_ms > 0 ? r->retry_after_ms : 0);
    removal_free(v);
}

static void stop_saying(struct sender *s, const char *event)
{
    struct out *o, *next;

    HASH_ITER(hh, s->outs, o, next)
    {
        if (!o->event || strcmp(o->event, event) != 0)
            continue;
        api_cancel(&o->call);
        o->taken_back = true;
        timer_set(&o->timer, 0);
    }
}

void sender_remove(struct sender *s, const struct msg_out *m)
{
    struct removal *v = mem_alloc(sizeof *v);
    struct buf path;

    if (m->platform_id)
        stop_saying(s, m->platform_id);

    v->s = s;
    v->handle = m->handle;
    v->event = mem_dup(m->platform_id ? m->platform_id : "");
    DL_APPEND(s->removals, v);
    buf_init(&path, API_PATH_BYTES_MAX);
    api_path(&path, "/_matrix/client/v3/rooms/%/redact/%/%", m->chat, v->event, v->event);
    struct api_request req = { .method = "PUT", .path = buf_str(&path) };
    v->call = api_start(&s->m->api, &req, on_removed, v);
    buf_free(&path);
}

/* --- the whole --- */

void sender_init(struct sender *s, struct matrix *m)
{
    s->m = m;
    s->interval_ms = matrix_conf(m)->edit_interval_ms;
    random_hex(s->boot, 8);
}

void sender_fini(struct sender *s)
{
    while (s->outs)
        out_free(s->outs);
    while (s->removals)
        removal_free(s->removals);
    for (size_t i = 0; i < PLACES; i++) {
        free(s->places[i].chat);
        free(s->places[i].root);
    }
}
