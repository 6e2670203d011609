#include "adapters/lanying/wire.h"

#include <inttypes.h>

#include "plugin/base/json.h"

#define OS_TYPE_WEB 6
#define SDK_VERSION "2.0.0"
#define DEVICE_INFO "Web"

/* --- frames --- */

/* Zeros are written, as the vendor's client does: else an UNREAD frame would
 * be empty. */
static void put_frame(struct buf *out, enum ly_command command, const struct ly_type *type, const void *msg)
{
    struct ly_frame frame = { .has = LY_HAS(1) | LY_HAS(2) | LY_HAS(3), .command = command };
    struct buf payload;

    buf_init(&payload, LY_FRAME_BYTES_MAX);
    if (type) {
        ly_write(type, msg, &payload);
        frame.payload = (struct ly_bytes){ payload.data, payload.len };
        frame.has |= LY_HAS(4);
    }
    ly_write(&ly_frame_type, &frame, out);
    buf_free(&payload);
}

void wire_login(struct buf *out, const struct wire_self *self, const char *token, const char *guid)
{
    const struct ly_provision p = {
        .has = LY_HAS(2) | LY_HAS(6) | LY_HAS(7) | LY_HAS(8) | LY_HAS(10) | LY_HAS(13),
        .xid = ly_xid_of(self->uid, self->device),
        .token = ly_bytes_of(token),
        .os_type = OS_TYPE_WEB,
        .sdk_vsn = ly_bytes_of(SDK_VERSION),
        .device_guid = ly_bytes_of(guid),
        .device_info = ly_bytes_of(DEVICE_INFO),
    };

    put_frame(out, LY_PROVISION, &ly_provision_type, &p);
}

void wire_unread(struct buf *out)
{
    put_frame(out, LY_UNREAD, NULL, NULL);
}

void wire_pull(struct buf *out, uint64_t chat, uint64_t key)
{
    const struct ly_sync_ul pull = {
        .has = LY_HAS(1) | (key ? LY_HAS(2) : 0),
        .xid = ly_xid_of(chat, 0),
        .key = key,
    };

    put_frame(out, LY_SYNC, &ly_sync_ul_type, &pull);
}

void wire_history(struct buf *out, uint64_t chat, uint64_t from_mid, int32_t n)
{
    const struct ly_sync_ul history = {
        .has = LY_HAS(1) | LY_HAS(2) | LY_HAS(4) | LY_HAS(5),
        .xid = ly_xid_of(chat, 0),
        .key = from_mid,
        .is_full_sync = 1,
        .full_sync_num = n,
    };

    put_frame(out, LY_SYNC, &ly_sync_ul_type, &history);
}

/* How a deed looks, on the long connection and over HTTP. */
struct form {
    enum ly_oper oper;
    enum ly_ctype ctype;
    int content_type;  /* section 17.1 */
    bool dated;        /* carries the time */
    bool names_chat;   /* the operation names the conversation */
    bool passing;      /* of no use to who is not there now */
};

static const struct form forms[] = {
    [DEED_SAY] = { .dated = true },
    [DEED_APPEND] = { .oper = LY_OPER_APPEND, .content_type = 11, .passing = true },
    [DEED_REPLACE] = { .oper = LY_OPER_REPLACE, .content_type = 12 },
    [DEED_RECALL] = { .oper = LY_OPER_RECALL, .ctype = LY_COMMAND, .content_type = 10, .names_chat = true },
    [DEED_READ_ACK] = { .oper = LY_OPER_READ_ACK, .ctype = LY_COMMAND, .content_type = 9 },
    [DEED_TYPING] = { .passing = true },
};

static struct ly_body body_of(const struct outgoing *o)
{
    const struct form *form = &forms[o->deed];
    struct ly_body body = {
        .has = LY_HAS(1) | LY_HAS(4) | LY_HAS(5) | LY_HAS(6) | (o->ext.len ? LY_HAS(9) : 0),
        .type = form->oper ? LY_BODY_OPER : o->group ? LY_BODY_GROUPCHAT : LY_BODY_CHAT,
        .content = o->text,
        .ctype = form->ctype,
        .oper = { .has = LY_HAS(1) | LY_HAS(2), .type = form->oper, .mid = o->mid },
        .ext = o->ext,
    };

    if (form->names_chat) {
        body.oper.has |= LY_HAS(3);
        body.oper.xid = ly_xid_of(o->chat, 0);
    }
    if (o->deed == DEED_REPLACE) {
        body.has |= LY_HAS(7);
        body.config = ly_bytes_of("{}");
    }
    if (o->deed == DEED_TYPING) {
        body.has |= LY_HAS(10);
        body.qos = LY_AT_MOST_ONCE;
    }
    return body;
}

void wire_send(struct buf *out, const struct wire_self *self, const struct outgoing *o)
{
    const struct ly_body body = body_of(o);
    struct ly_sync_ul send = {
        .has = LY_HAS(3),
        .meta = {
            .has = LY_HAS(1) | LY_HAS(2) | LY_HAS(3) | (forms[o->deed].dated ? LY_HAS(4) : 0) | LY_HAS(5) | LY_HAS(6),
            .id = o->id,
            .from = ly_xid_of(self->uid, self->device),
            .to = ly_xid_of(o->chat, 0),
            .timestamp = (uint64_t)o->time_ms,
            .ns = LY_NS_MESSAGE,
        },
    };
    struct buf payload;

    buf_init(&payload, LY_FRAME_BYTES_MAX);
    ly_write(&ly_body_type, &body, &payload);
    send.meta.payload = (struct ly_bytes){ payload.data, payload.len };
    put_frame(out, LY_SYNC, &ly_sync_ul_type, &send);
    buf_free(&payload);
}

/* --- over HTTP --- */

void wire_body(struct buf *out, const struct wire_self *self, const struct outgoing *o)
{
    const struct form *form = &forms[o->deed];

    buf_addf(out, "{\"type\":%d,\"from_user_id\":%" PRIu64 ",\"targets\":[%" PRIu64 "],\"content_type\":%d", o->group ? 2 : 1,
             self->uid, o->chat, form->content_type);
    buf_adds(out, ",\"content\":");
    json_quoten(out, o->text.len > 0 ? o->text.p : "", o->text.len);
    if (o->ext.len > 0) {
        buf_adds(out, ",\"ext\":");
        json_quoten(out, o->ext.p, o->ext.len);
    }
    if (o->mid != 0)
        buf_addf(out, ",\"related_mid\":%" PRIu64, o->mid);
    if (form->passing)
        buf_adds(out, ",\"online_only\":true");
    if (o->id != 0)
        buf_addf(out, ",\"transaction_id\":%" PRIu64, o->id);
    buf_addc(out, '}');
}
