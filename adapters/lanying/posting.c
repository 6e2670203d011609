#include "adapters/lanying/posting.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/lanying/lanying.h"
#include "plugin/base/clock.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"

#define TXN_BYTES_MAX 512U
#define SEQ_LOST 10000 /* above any stage's of a message that nobody remembers */
#define ID_BIT (UINT64_C(1) << 52) /* set in ids made from transactions; ms * 1000 reaches it in the year 2112 */

/* --- ids --- */

uint64_t posting_id_of(const struct lanying *ly, const char *txn)
{
    char hex[65], text[TXN_BYTES_MAX];
    int len = snprintf(text, sizeof text, "%" PRIu64 ":%s", ly->session.salt, txn);

    sha256_hex(hex, text, (size_t)len < sizeof text ? (size_t)len : sizeof text - 1);
    hex[13] = '\0'; /* 52 bits */
    return ID_BIT | strtoull(hex, NULL, 16);
}

static uint64_t fresh_id(struct posting *posting)
{
    uint64_t id = (uint64_t)clock_wall_ms() * 1000;

    posting->last_id = id > posting->last_id ? id : posting->last_id + 1;
    return posting->last_id;
}

/* FNV-1a: tells texts apart that nobody made to look alike. */
uint64_t text_hash(const char *text, size_t len)
{
    uint64_t h = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)text[i]) * UINT64_C(1099511628211);
    return h;
}

/* --- life of a post --- */

struct parcel *posting_find(struct lanying *ly, uint64_t id)
{
    struct parcel *p;

    HASH_FIND(hh, ly->posting.all, &id, sizeof id, p);
    return p;
}

static struct ly_bytes copy(struct ly_bytes b)
{
    return (struct ly_bytes){ b.len ? mem_dupn(b.p, b.len) : NULL, b.len };
}

static void forget(struct lanying *ly, struct parcel *p)
{
    HASH_DEL(ly->posting.all, p);
    ly->posting.under_way -= p->sent;
    ly_api_cancel(&p->call);
    free((char *)p->o.text.p);
    free((char *)p->o.ext.p);
    free(p);
}

static void complete(struct lanying *ly, struct parcel *p, const struct parcel_result *r)
{
    parcel_fn *fn = p->fn;
    void *arg = p->arg;

    if (failed(&r->e) && p->o.deed != DEED_TYPING && p->o.deed != DEED_READ_ACK)
        log_warn("lanying", "%s: %s", lanying_name(ly), r->e.text);
    forget(ly, p);
    defer_set(&ly->posting.pump);
    if (fn)
        fn(arg, r);
}

struct parcel *posting_add(struct lanying *ly, const struct outgoing *o, parcel_fn *fn, void *arg)
{
    struct parcel *p = mem_alloc(sizeof *p);

    p->ly = ly;
    p->o = *o;
    p->o.id = o->id ? o->id : fresh_id(&ly->posting);
    p->o.time_ms = clock_wall_ms();
    p->o.text = copy(o->text);
    p->o.ext = copy(o->ext);
    p->passing = o->deed == DEED_TYPING;
    p->fn = fn;
    p->arg = arg;
    HASH_ADD(hh, ly->posting.all, o.id, sizeof p->o.id, p);
    defer_set(&ly->posting.pump);
    return p;
}

bool posting_is_free(const struct lanying *ly)
{
    return ly->posting.at_once == POSTING_AT_ONCE_MAX;
}

void posting_give_up(struct parcel **p)
{
    if (*p)
        (*p)->fn = NULL;
    *p = NULL;
}

/* --- what may be there already --- */

static struct own *own_find(struct lanying *ly, uint64_t client_id)
{
    struct own *own;

    HASH_FIND(hh, ly->posting.found, &client_id, sizeof client_id, own);
    return own;
}

static void own_forget(struct lanying *ly, struct own *own)
{
    HASH_DEL(ly->posting.found, own);
    free(own);
}

static struct own *own_add(struct lanying *ly, uint64_t client_id)
{
    struct own *own = mem_alloc(sizeof *own);

    while (HASH_COUNT(ly->posting.found) >= POSTING_FOUND_MAX)
        own_forget(ly, ly->posting.found);
    own->client_id = client_id;
    HASH_ADD(hh, ly->posting.found, client_id, sizeof own->client_id, own);
    return own;
}

uint64_t posting_known(struct lanying *ly, uint64_t client_id)
{
    const struct own *own = own_find(ly, client_id);

    return own ? own->mid : 0;
}

static struct own *own_by_mid(const struct lanying *ly, uint64_t mid)
{
    struct own *own = ly->posting.found;

    while (own && own->mid != mid)
        own = own->hh.next;
    return own;
}

bool posting_says(const struct lanying *ly, uint64_t mid, const char *text, size_t len)
{
    const struct own *own = own_by_mid(ly, mid);

    return own && own->finished && own->text_hash == text_hash(text, len);
}

/* Stages are a second apart, so their number tells how long it grew, at most. */
int posting_seq(const struct lanying *ly, uint64_t mid)
{
    const struct own *own = own_by_mid(ly, mid);
    int64_t grown_s = own && own->said_ms ? (clock_wall_ms() - own->said_ms) / ANSWER_STEP_MS + 2 : 0;

    if (!own)
        return SEQ_LOST;
    return grown_s > own->seq && grown_s < INT_MAX / 2 ? (int)grown_s : own->seq;
}

static void own_set(struct own *own, const char *text, size_t len, const struct ext *ext)
{
    own->text_hash = text_hash(text, len);
    own->finished = ext->finish;
    own->seq = ext->seq;
}

static struct own *remember(struct lanying *ly, uint64_t client_id, uint64_t mid)
{
    struct own *own = own_find(ly, client_id);

    if (!own)
        own = own_add(ly, client_id);
    own->mid = mid;
    return own;
}

/* What the server has confirmed of ours. */
static void remember_confirmed(struct lanying *ly, const struct parcel *p, uint64_t server_mid)
{
    bool said = p->o.deed == DEED_SAY;
    struct own *own = said && server_mid ? remember(ly, p->o.id, server_mid) : said ? NULL : own_by_mid(ly, p->o.mid);
    struct ext ext;

    if (!own)
        return;
    ext_read(&ext, p->o.ext.p, p->o.ext.len);
    ext.finish &= p->o.deed != DEED_APPEND;
    own_set(own, p->o.text.p, p->o.text.len, &ext);
    own->said_ms = 0;
    ext_fini(&ext);
}

static void complete_found(struct lanying *ly, struct parcel *p, const struct own *own)
{
    complete(ly, p, &(struct parcel_result){ .server_mid = own->mid, .found = own });
}

void posting_found(struct lanying *ly, const struct event *ev)
{
    struct parcel *p;
    struct own *own;

    if (ev->kind == EVENT_SAID && ev->ext.status)
        status_found(ly, ev);
    if (ev->kind != EVENT_SAID || ev->ext.client_id == 0)
        return;
    own = remember(ly, ev->ext.client_id, ev->id);
    own_set(own, ev->text, ev->len, &ev->ext);
    own->said_ms = ev->time_ms;
    p = posting_find(ly, ev->ext.client_id);
    if (p && p->o.deed == DEED_SAY && (!p->sent || p->repeat))
        complete_found(ly, p, own);
}

/* A post that the server knows, but did not say as what, is not in what was looked at. */
void posting_looked(struct lanying *ly, uint64_t chat)
{
    struct parcel *p, *next;

    HASH_ITER(hh, ly->posting.all, p, next)
        if (p->o.chat == chat && p->repeat)
            complete(ly, p, &(struct parcel_result){ .server_mid = 0 });
    defer_set(&ly->posting.pump);
}

bool posting_waits(const struct lanying *ly, uint64_t chat)
{
    for (const struct parcel *p = ly->posting.all; p; p = p->hh.next)
        if (p->o.chat == chat && p->o.deed == DEED_SAY && (!p->sent || p->repeat))
            return true;
    return false;
}

/* --- sending --- */

/* True: something of ours may have arrived there, which a look back will tell. */
static bool must_look_first(struct lanying *ly, const struct parcel *p)
{
    struct chat *c = p->o.deed == DEED_SAY ? chats_find(ly, p->o.chat) : NULL;

    if (!c || !c->doubt)
        return false;
    if (c->task != TASK_LOOK && !c->look_due)
        ly_sync_look(ly, c);
    return true;
}

static void transmit(struct lanying *ly, struct parcel *p)
{
    p->o.group = chats_is_group(ly, p->o.chat); /* known by now, at the latest */
    p->sent = true;
    p->sent_ms = clock_mono_ms();
    ly->posting.under_way++;
    lanying_carrier(ly)->transmit(ly, p);
}

static void offer(struct lanying *ly, struct parcel *p)
{
    const struct own *own = p->o.deed == DEED_SAY ? own_find(ly, p->o.id) : NULL;

    if (own)
        complete_found(ly, p, own);
    else if (!must_look_first(ly, p))
        transmit(ly, p);
}

/* When to look after what was sent: late answers, then dead connections. */
static void watch(struct lanying *ly)
{
    struct posting *posting = &ly->posting;
    int64_t now = clock_mono_ms(), soonest = INT64_MAX, due;

    for (const struct parcel *p = posting->all; p; p = p->hh.next) {
        if (!p->sent || p->call)
            continue;
        due = p->sent_ms + (now < p->sent_ms + POSTING_LATE_MS ? POSTING_LATE_MS : POSTING_ANSWER_MS);
        if (due < soonest)
            soonest = due;
    }
    if (posting->not_before_ms > now && posting->not_before_ms < soonest)
        soonest = posting->not_before_ms;
    if (soonest != INT64_MAX)
        timer_set(&posting->timer, soonest > now ? soonest - now : 0);
}

static void on_pump(void *arg)
{
    struct lanying *ly = arg;
    struct posting *posting = &ly->posting;
    struct parcel *p, *next;

    if (!session_online(&ly->session))
        return;
    if (clock_mono_ms() >= posting->not_before_ms) {
        HASH_ITER(hh, posting->all, p, next) {
            if (posting->under_way >= posting->at_once || posting->not_before_ms > clock_mono_ms())
                break;
            if (!p->sent && !p->repeat)
                offer(ly, p);
            if (!session_online(&ly->session))
                return;
        }
    }
    watch(ly);
}

static void take_back(struct lanying *ly, struct parcel *p);
static void doubt(struct lanying *ly, const struct parcel *p);

/* The connection lives, so this answer was lost; or the message was. */
static void answer_lost(struct lanying *ly, struct parcel *p)
{
    if (p->passing || p->o.deed == DEED_READ_ACK) {
        forget(ly, p);
    } else {
        doubt(ly, p);
        take_back(ly, p);
    }
}

static void on_timer(void *arg)
{
    struct lanying *ly = arg;
    struct parcel *p, *next;
    struct err e;
    int64_t now = clock_mono_ms();

    HASH_ITER(hh, ly->posting.all, p, next) {
        if (!p->sent || p->call || now - p->sent_ms < POSTING_LATE_MS)
            continue;
        if (ly->beat.heard_ms > p->sent_ms) {
            answer_lost(ly, p);
        } else if (now - p->sent_ms >= POSTING_ANSWER_MS) {
            err_set(&e, ERR_TIMEOUT, "nothing was heard for %d s after a message", POSTING_ANSWER_MS / 1000);
            session_down(ly, &e, true);
            return;
        }
    }
    on_pump(ly);
}

void posting_pump(struct lanying *ly)
{
    defer_set(&ly->posting.pump);
}

static void take_back(struct lanying *ly, struct parcel *p)
{
    ly->posting.under_way -= p->sent;
    p->sent = p->repeat = false;
    ly_api_cancel(&p->call);
}

static void doubt(struct lanying *ly, const struct parcel *p)
{
    struct chat *c = p->o.deed == DEED_SAY && p->sent ? chats_find(ly, p->o.chat) : NULL;

    if (c)
        c->doubt = true;
}

void posting_again(struct lanying *ly, struct parcel *p, bool in_doubt)
{
    struct posting *posting = &ly->posting;

    if (in_doubt)
        doubt(ly, p);
    take_back(ly, p);
    posting->not_before_ms = clock_mono_ms() + POSTING_PAUSE_MS;
    defer_set(&posting->pump);
}

void posting_offline(struct lanying *ly)
{
    struct parcel *p, *next;

    HASH_ITER(hh, ly->posting.all, p, next) {
        if (p->passing) {
            forget(ly, p);
        } else {
            doubt(ly, p);
            take_back(ly, p);
        }
    }
    timer_cancel(&ly->posting.timer);
}

/* --- the answer --- */

/* A failure with this word in its reason is one of blocked words, section 9. */
static bool is_censored(uint32_t code, const char *reason, size_t len)
{
    static const char word[] = "antispam";

    return code == LY_CODE_FAIL && reason && memmem(reason, len, word, sizeof word - 1);
}

static enum err_code kind_of(uint32_t code)
{
    switch (code) {
    case LY_CODE_WORD_CENSORED:
        return ERR_CONTENT;
    case LY_CODE_USER_BANNED:
    case LY_CODE_UNAUTHORIZED:
        return ERR_AUTH;
    case LY_CODE_UNKNOWN:
        return ERR_SERVER;
    default:
        return ERR_PARAM;
    }
}

static void pause_posting(struct lanying *ly, struct parcel *p)
{
    struct posting *posting = &ly->posting;
    int64_t now = clock_mono_ms();

    if (p->passing)
        forget(ly, p);
    else
        take_back(ly, p);
    posting->at_once = 1;
    if (now < posting->not_before_ms) /* one of those that left together */
        return;
    posting->pause_ms = posting->pause_ms == 0 ? POSTING_PAUSE_MS : 2 * posting->pause_ms;
    if (posting->pause_ms > POSTING_PAUSE_MAX_MS)
        posting->pause_ms = POSTING_PAUSE_MAX_MS;
    posting->not_before_ms = now + posting->pause_ms;
    log_debug("lanying", "%s: sent too often, pausing for %.0f s", lanying_name(ly), (double)posting->pause_ms / 1000.0);
    defer_set(&posting->pump);
}

static void confirm(struct lanying *ly, struct parcel *p, uint64_t server_mid)
{
    struct chat *c = chats_find(ly, p->o.chat);

    ly->posting.pause_ms = 0;
    if (ly->posting.at_once < POSTING_AT_ONCE_MAX)
        ly->posting.at_once++;
    if (p->o.deed == DEED_SAY && server_mid == 0 && c) {
        ly->posting.under_way -= p->sent; /* what follows is not the server's to answer */
        p->sent = false;
        p->repeat = true;
        ly_sync_look(ly, c);
        return;
    }
    remember_confirmed(ly, p, server_mid);
    complete(ly, p, &(struct parcel_result){ .server_mid = server_mid });
}

void posting_answered(struct lanying *ly, struct parcel *p, uint32_t code, const char *reason, size_t reason_len,
                      uint64_t server_mid)
{
    struct parcel_result r = { .code = is_censored(code, reason, reason_len) ? LY_CODE_WORD_CENSORED : code };
    int shown;

    if (code == LY_CODE_OK) {
        confirm(ly, p, server_mid);
    } else if (code == LY_CODE_RATE_LIMIT_EXCEEDED) {
        pause_posting(ly, p);
    } else {
        shown = lanying_shown(ly, reason, reason_len);
        err_set(&r.e, kind_of(r.code), "the server refuses a message to %" PRIu64 " with status %u%s%.*s", p->o.chat, code,
                shown ? ": " : "", shown, shown ? reason : "");
        complete(ly, p, &r);
    }
}

/* --- life --- */

void posting_init(struct lanying *ly)
{
    ly->posting.at_once = POSTING_AT_ONCE_MAX;
    timer_init(&ly->posting.timer, ly->a->loop, on_timer, ly);
    defer_init(&ly->posting.pump, ly->a->loop, on_pump, ly);
}

void posting_fini(struct lanying *ly)
{
    while (ly->posting.all)
        forget(ly, ly->posting.all);
    while (ly->posting.found)
        own_forget(ly, ly->posting.found);
    timer_cancel(&ly->posting.timer);
    defer_cancel(&ly->posting.pump);
}
