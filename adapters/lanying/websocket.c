/* The long connection, once its login is through: frames to events, requests
 * to frames, and the heartbeat. lanying.md, sections 8, 9 and 15. */
#include <inttypes.h>

#include "adapters/lanying/lanying.h"
#include "adapters/lanying/notice.h"
#include "plugin/base/clock.h"
#include "plugin/base/log.h"

static void send(struct lanying *ly, struct buf *frame)
{
    ly_link_send(ly->session.link, frame); /* what does not leave is asked for again */
    buf_free(frame);
}

/* --- the heartbeat: a list of what is unread, which repairs lost notices --- */

static void beat(struct lanying *ly)
{
    struct buf frame;

    buf_init(&frame, LY_FRAME_BYTES_MAX);
    wire_unread(&frame);
    send(ly, &frame);
    ly->beat.asked_ms = clock_mono_ms();
    timer_set(&ly->beat.timer, BEAT_SILENCE_MS);
}

static void on_beat(void *arg)
{
    struct lanying *ly = arg;
    struct err e;
    int64_t since = clock_mono_ms() - ly->beat.asked_ms;

    if (since >= BEAT_MS) {
        beat(ly);
    } else if (ly->beat.heard_ms < ly->beat.asked_ms) {
        err_set(&e, ERR_TIMEOUT, "nothing was heard for %d s after a heartbeat", BEAT_SILENCE_MS / 1000);
        session_down(ly, &e, true);
    } else {
        timer_set(&ly->beat.timer, BEAT_MS - since);
    }
}

void websocket_init(struct lanying *ly)
{
    timer_init(&ly->beat.timer, ly->a->loop, on_beat, ly);
}

void websocket_fini(struct lanying *ly)
{
    timer_cancel(&ly->beat.timer);
}

static void websocket_online(struct lanying *ly)
{
    beat(ly);
    notice_online(ly);
}

static void websocket_offline(struct lanying *ly)
{
    timer_cancel(&ly->beat.timer);
}

/* --- requests --- */

static void websocket_pull(struct lanying *ly, struct chat *c, uint64_t key)
{
    struct buf frame;

    buf_init(&frame, LY_FRAME_BYTES_MAX);
    wire_pull(&frame, c->id, key);
    send(ly, &frame);
}

static void websocket_look(struct lanying *ly, struct chat *c, uint64_t from)
{
    struct buf frame;

    buf_init(&frame, LY_FRAME_BYTES_MAX);
    wire_history(&frame, c->id, from, SYNC_PAGE);
    send(ly, &frame);
}

static void websocket_transmit(struct lanying *ly, struct parcel *p)
{
    const struct wire_self self = { ly->session.uid, ly->session.device };
    struct buf frame;
    enum err_code code;

    buf_init(&frame, LY_FRAME_BYTES_MAX);
    wire_send(&frame, &self, &p->o);
    code = ly_link_send(ly->session.link, &frame);
    buf_free(&frame);
    if (code == ERR_TOO_LARGE)
        posting_answered(ly, p, LY_CODE_INVALID_PARAMETER, "it is too long", 14, 0);
    else if (code != ERR_OK)
        posting_again(ly, p, false);
}

/* --- frames --- */

/* has: of the message with the status, its field 1. None is a good one; one without a code is an unknown failure. */
static bool is_fine(uint32_t has, const struct ly_status *status)
{
    return !(has & LY_HAS(1)) || status->code == LY_CODE_OK;
}

/* False: the whole login is refused, and the session over. */
static bool check_status(struct lanying *ly, uint32_t has, const struct ly_status *status)
{
    if (is_fine(has, status) || !session_is_status_ours(status))
        return true;
    session_refused(ly, status);
    return false;
}

static void on_unread(struct lanying *ly, const struct ly_unread_dl *dl)
{
    struct ly_unread one;
    size_t at = 0;

    if (!check_status(ly, dl->has, &dl->status) || !is_fine(dl->has, &dl->status))
        return;
    while (ly_next(&ly_unread_type, &dl->unread, &at, &one))
        ly_sync_unread(ly, one.xid.uid, one.type == LY_CONVERSATION_GROUP, one.n);
    ly_sync_unread_end(ly);
}

/* The conversation that an answer is about; NULL: none that we asked about.
 * Where it does not say so, its messages do, or it is the system's, whose
 * number is 0. */
static struct chat *chat_of(struct lanying *ly, const struct ly_sync_dl *dl)
{
    struct ly_meta meta;
    struct chat *c;
    size_t at = 0;

    if ((dl->has & LY_HAS(4)) || !ly_next(&ly_meta_type, &dl->metas, &at, &meta))
        return chats_find(ly, dl->xid.uid);
    c = chats_find(ly, meta.to.uid);
    return c && c->group ? c : chats_find(ly, meta.from.uid == ly->session.uid ? meta.to.uid : meta.from.uid);
}

static struct event *read_event(struct lanying *ly, const struct ly_meta *meta)
{
    struct err e;
    struct event *ev = event_from_meta(meta, ly->session.uid, &e);

    if (!ev)
        log_warn("lanying", "%s: message %" PRIu64 ": %s; it is dropped", lanying_name(ly), meta->id, e.text);
    return ev;
}

static void on_past(struct lanying *ly, const struct ly_sync_dl *dl)
{
    struct chat *c = chat_of(ly, dl);
    uint64_t from = c ? c->past_from : 0;
    struct event *ev;
    struct ly_meta meta;
    size_t at = 0;

    if (!c)
        return;
    while (ly_next(&ly_meta_type, &dl->metas, &at, &meta)) {
        ev = read_event(ly, &meta);
        if (ev)
            ly_sync_past(ly, c, ev);
    }
    ly_sync_looked(ly, c, c->past_from == from); /* pages may be shorter than asked for: the last one holds nothing more */
}

static void on_page(struct lanying *ly, const struct ly_sync_dl *dl)
{
    struct event *ev;
    struct ly_meta meta;
    struct chat *c;
    size_t at = 0;

    while (ly_next(&ly_meta_type, &dl->metas, &at, &meta)) {
        ev = read_event(ly, &meta);
        if (ev)
            ly_sync_event(ly, ev);
        if (!session_online(&ly->session)) /* it was a notice that ended the login */
            return;
    }
    c = chat_of(ly, dl);
    if (c)
        ly_sync_pulled(ly, c, dl->next_key);
}

static void on_sync(struct lanying *ly, const struct ly_sync_dl *dl)
{
    struct parcel *p = dl->client_mid ? posting_find(ly, dl->client_mid) : NULL;
    bool fine = is_fine(dl->has, &dl->status);
    struct chat *c;

    if (!check_status(ly, dl->has, &dl->status))
        return;
    if (dl->client_mid != 0 && !dl->is_full_sync) {
        if (p && p->sent)
            posting_answered(ly, p, fine ? LY_CODE_OK : dl->status.code, dl->status.reason.p, dl->status.reason.len,
                             dl->server_mid);
    } else if (!fine) {
        c = chat_of(ly, dl);
        if (c)
            ly_sync_failed(ly, c, "the server refuses it");
    } else if (dl->is_full_sync) {
        on_past(ly, dl);
    } else {
        on_page(ly, dl);
    }
}

void websocket_frame(struct lanying *ly, const struct ly_frame *frame)
{
    union {
        struct ly_unread_dl unread;
        struct ly_sync_dl sync;
        struct ly_xid notice;
        struct ly_provision login;
    } in;
    struct err e = ERR_INIT;

    ly->beat.heard_ms = clock_mono_ms();
    switch (frame->command) {
    case LY_UNREAD:
        if (ly_read(&ly_unread_dl_type, &in.unread, frame->payload, &e) == ERR_OK)
            on_unread(ly, &in.unread);
        break;
    case LY_SYNC:
        if (ly_read(&ly_sync_dl_type, &in.sync, frame->payload, &e) == ERR_OK)
            on_sync(ly, &in.sync);
        break;
    case LY_NOTICE:
        if (ly_read_notice(&in.notice, frame->payload, &e) == ERR_OK)
            ly_sync_notice(ly, in.notice.uid);
        break;
    case LY_PROVISION: /* the login is taken back, or confirmed once more */
        if (ly_read(&ly_provision_type, &in.login, frame->payload, &e) == ERR_OK)
            check_status(ly, in.login.has, &in.login.status);
        break;
    default:
        log_debug("lanying", "%s: a frame of command %u", lanying_name(ly), frame->command);
    }
    if (failed(&e))
        log_warn("lanying", "%s: %s; it is dropped", lanying_name(ly), e.text);
}

const struct carrier carrier_websocket = {
    .online = websocket_online,
    .offline = websocket_offline,
    .pull = websocket_pull,
    .look = websocket_look,
    .transmit = websocket_transmit,
};
