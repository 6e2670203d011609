#include "adapters/lanying/codec.h"

#include <string.h>

#define VARINT_BYTES_MAX 10
#define ITEM_BYTES_MAX 256 /* of the structs that lists hold */

enum wire { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };
enum kind { KIND_U32, KIND_U64, KIND_S32, KIND_BYTES, KIND_MESSAGE, KIND_LIST };

struct field {
    unsigned char number;
    unsigned char kind; /* enum kind */
    unsigned short offset;
    const struct ly_type *type; /* of a message, or of a list's items */
};

struct ly_type {
    const char *name;
    size_t size;
    const struct field *fields; /* ascending numbers; the last one is 0 */
};

/* --- the messages, as in section 6 --- */

#define U32(n, member) { n, KIND_U32, offsetof(TAG, member), NULL }
#define U64(n, member) { n, KIND_U64, offsetof(TAG, member), NULL }
#define S32(n, member) { n, KIND_S32, offsetof(TAG, member), NULL }
#define BYTES(n, member) { n, KIND_BYTES, offsetof(TAG, member), NULL }
#define MESSAGE(n, member, of) { n, KIND_MESSAGE, offsetof(TAG, member), &(of) }
#define LIST(n, member, of) { n, KIND_LIST, offsetof(TAG, member), &(of) }
#define END { 0, 0, 0, NULL }
#define TYPE(of) const struct ly_type ly_##of##_type = { #of, sizeof(TAG), of##_fields }

#define TAG struct ly_xid
static const struct field xid_fields[] = { U64(1, uid), U32(2, device), END };
TYPE(xid);
#undef TAG

#define TAG struct ly_status
static const struct field status_fields[] = { U32(1, code), BYTES(2, reason), END };
TYPE(status);
#undef TAG

#define TAG struct ly_frame
static const struct field frame_fields[] = {
    U32(1, vsn), U32(2, compress), U32(3, command), BYTES(4, payload), U32(5, encrypt), END,
};
TYPE(frame);
#undef TAG

#define TAG struct ly_provision
static const struct field provision_fields[] = {
    MESSAGE(1, status, ly_status_type), MESSAGE(2, xid, ly_xid_type), BYTES(6, token), U32(7, os_type),
    BYTES(8, sdk_vsn), BYTES(10, device_guid), BYTES(13, device_info), END,
};
TYPE(provision);
#undef TAG

#define TAG struct ly_unread
static const struct field unread_fields[] = { MESSAGE(1, xid, ly_xid_type), U32(2, n), U32(3, type), END };
TYPE(unread);
#undef TAG

#define TAG struct ly_unread_dl
static const struct field unread_dl_fields[] = {
    MESSAGE(1, status, ly_status_type), LIST(2, unread, ly_unread_type), END,
};
TYPE(unread_dl);
#undef TAG

#define TAG struct ly_notice
static const struct field notice_fields[] = { MESSAGE(1, xid, ly_xid_type), END };
TYPE(notice);
#undef TAG

#define TAG struct ly_oper_body
static const struct field oper_fields[] = { U32(1, type), U64(2, mid), MESSAGE(3, xid, ly_xid_type), END };
TYPE(oper);
#undef TAG

#define TAG struct ly_body
static const struct field body_fields[] = {
    U32(1, type), BYTES(4, content), U32(5, ctype), MESSAGE(6, oper, ly_oper_type), BYTES(7, config),
    BYTES(8, attachment), BYTES(9, ext), U32(10, qos), BYTES(11, sender), U32(12, is_system),
    U64(15, edit_timestamp), END,
};
TYPE(body);
#undef TAG

#define TAG struct ly_meta
static const struct field meta_fields[] = {
    U64(1, id), MESSAGE(2, from, ly_xid_type), MESSAGE(3, to, ly_xid_type), U64(4, timestamp), U32(5, ns),
    BYTES(6, payload), END,
};
TYPE(meta);
#undef TAG

#define TAG struct ly_sync_ul
static const struct field sync_ul_fields[] = {
    MESSAGE(1, xid, ly_xid_type), U64(2, key), MESSAGE(3, meta, ly_meta_type), U32(4, is_full_sync),
    S32(5, full_sync_num), END,
};
TYPE(sync_ul);
#undef TAG

#define TAG struct ly_sync_dl
static const struct field sync_dl_fields[] = {
    MESSAGE(1, status, ly_status_type), LIST(2, metas, ly_meta_type), U64(3, next_key), MESSAGE(4, xid, ly_xid_type),
    U64(5, client_mid), U64(6, server_mid), U64(7, server_time), U32(8, is_full_sync), U32(10, is_eager_sync),
    U64(11, edit_timestamp), END,
};
TYPE(sync_dl);
#undef TAG

#define TAG struct ly_group_notice
static const struct field group_notice_fields[] = {
    U32(1, type), MESSAGE(2, gid, ly_xid_type), MESSAGE(3, from, ly_xid_type), LIST(4, to, ly_xid_type),
    BYTES(5, content), END,
};
TYPE(group_notice);
#undef TAG

#define TAG struct ly_roster_notice
static const struct field roster_notice_fields[] = {
    U32(1, type), MESSAGE(2, from, ly_xid_type), LIST(3, to, ly_xid_type), BYTES(4, content), END,
};
TYPE(roster_notice);
#undef TAG

#define TAG struct ly_user_notice
static const struct field user_notice_fields[] = { U32(1, type), BYTES(2, content), END };
TYPE(user_notice);
#undef TAG

/* --- reading --- */

/* What is left of a message. */
struct reader {
    const unsigned char *p, *end;
};

struct token {
    unsigned number;
    enum wire wire;
    uint64_t value;        /* of a varint */
    struct ly_bytes bytes; /* of what has a length */
};

static struct reader reader_of(struct ly_bytes in)
{
    const unsigned char *p = (const unsigned char *)in.p;

    return (struct reader){ p, p ? p + in.len : p };
}

static const char *read_varint(struct reader *r, uint64_t *value_r)
{
    uint64_t value = 0;

    for (int i = 0; i < VARINT_BYTES_MAX; i++) {
        if (r->p == r->end)
            return "ends in the middle of a number";
        unsigned char byte = *r->p++;
        if (i == VARINT_BYTES_MAX - 1 && byte > 1)
            break;
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (!(byte & 0x80)) {
            *value_r = value;
            return NULL;
        }
    }
    return "has a number of more than 64 bits";
}

static const char *take(struct reader *r, uint64_t len, struct ly_bytes *bytes_r)
{
    if (len > (uint64_t)(r->end - r->p))
        return "has a field that is longer than the message";
    *bytes_r = (struct ly_bytes){ (const char *)r->p, (size_t)len };
    r->p += len;
    return NULL;
}

/* NULL, or what is wrong. */
static const char *read_token(struct reader *r, struct token *t)
{
    uint64_t key, len = 0;
    const char *why = read_varint(r, &key);

    if (why)
        return why;
    if (key >> 3 == 0 || key >> 32 != 0)
        return "has a field with an impossible number";
    t->number = (unsigned)(key >> 3);
    t->wire = (enum wire)(key & 7);
    switch (t->wire) {
    case WIRE_VARINT:
        return read_varint(r, &t->value);
    case WIRE_FIXED64:
        return take(r, 8, &t->bytes);
    case WIRE_FIXED32:
        return take(r, 4, &t->bytes);
    case WIRE_BYTES:
        why = read_varint(r, &len);
        return why ? why : take(r, len, &t->bytes);
    }
    return "has a field of an unknown wire type";
}

static const struct field *find_field(const struct ly_type *type, unsigned number)
{
    const struct field *f = type->fields;

    while (f->number != 0 && f->number < number)
        f++;
    return f->number == number && number != 0 ? f : NULL;
}

static enum wire wire_of(const struct field *f)
{
    return f->kind == KIND_U32 || f->kind == KIND_U64 || f->kind == KIND_S32 ? WIRE_VARINT : WIRE_BYTES;
}

static int32_t unzigzag(uint64_t v)
{
    uint32_t n = (uint32_t)v;

    return (int32_t)((n >> 1) ^ (0U - (n & 1)));
}

static void *member_of(void *msg, const struct field *f)
{
    return (char *)msg + f->offset;
}

/* The struct types all begin with it. */
static uint32_t *has_of(void *msg)
{
    return msg;
}

static enum err_code check_item(const struct ly_type *type, struct ly_bytes in, struct err *e);

static enum err_code store(const struct field *f, const struct token *t, struct ly_bytes whole, void *msg, struct err *e)
{
    void *to = member_of(msg, f);
    struct ly_list *list;

    *has_of(msg) |= LY_HAS(f->number);
    switch ((enum kind)f->kind) {
    case KIND_U32:
        *(uint32_t *)to = (uint32_t)t->value;
        break;
    case KIND_U64:
        *(uint64_t *)to = t->value;
        break;
    case KIND_S32:
        *(int32_t *)to = unzigzag(t->value);
        break;
    case KIND_BYTES:
        *(struct ly_bytes *)to = t->bytes;
        break;
    case KIND_MESSAGE:
        return ly_read(f->type, to, t->bytes, e);
    case KIND_LIST:
        list = to;
        list->n++;
        list->in = whole;
        list->number = f->number;
        return check_item(f->type, t->bytes, e);
    }
    return ERR_OK;
}

enum err_code ly_read(const struct ly_type *type, void *out, struct ly_bytes in, struct err *e)
{
    struct reader r = reader_of(in);

    memset(out, 0, type->size);
    while (r.p < r.end) {
        struct token t = { 0 };
        const char *why = read_token(&r, &t);
        const struct field *f = why ? NULL : find_field(type, t.number);

        if (!why && f && t.wire != wire_of(f))
            why = "has a field of another wire type than it should";
        if (why)
            return err_set(e, ERR_PROTO, "a malformed frame: %s %s", type->name, why);
        if (f && store(f, &t, in, out, e) != ERR_OK)
            return e ? e->code : ERR_PROTO;
    }
    return ERR_OK;
}

static enum err_code check_item(const struct ly_type *type, struct ly_bytes in, struct err *e)
{
    _Alignas(max_align_t) char scratch[ITEM_BYTES_MAX];

    _Static_assert(sizeof(struct ly_meta) <= ITEM_BYTES_MAX && sizeof(struct ly_unread) <= ITEM_BYTES_MAX, "too small");
    return ly_read(type, scratch, in, e);
}

bool ly_next(const struct ly_type *type, const struct ly_list *list, size_t *at, void *out)
{
    struct reader r = reader_of(list->in);
    struct token t;

    if (r.p)
        r.p += *at;
    while (r.p < r.end && !read_token(&r, &t)) {
        *at = (size_t)((const char *)r.p - list->in.p);
        if (t.number == list->number && t.wire == WIRE_BYTES)
            return ly_read(type, out, t.bytes, NULL) == ERR_OK;
    }
    return false;
}

enum err_code ly_read_notice(struct ly_xid *out, struct ly_bytes payload, struct err *e)
{
    struct ly_notice nested;

    if (payload.len == 0 || payload.p[0] != 0x0a)
        return ly_read(&ly_xid_type, out, payload, e);
    if (ly_read(&ly_notice_type, &nested, payload, e) != ERR_OK)
        return ERR_PROTO;
    *out = nested.xid;
    return ERR_OK;
}

/* --- writing --- */

/* A message's length stands before it, so it is written twice: first to be
 * counted, with no buffer. */
struct sink {
    struct buf *out;
    size_t n;
};

static void write_message(const struct ly_type *type, const void *msg, struct sink *to);

static void put(struct sink *to, const void *data, size_t len)
{
    to->n += len;
    if (to->out)
        buf_add(to->out, data, len);
}

static void put_varint(struct sink *to, uint64_t v)
{
    unsigned char bytes[VARINT_BYTES_MAX];
    size_t n = 0;

    while (v >= 0x80) {
        bytes[n++] = (unsigned char)(v | 0x80);
        v >>= 7;
    }
    bytes[n++] = (unsigned char)v;
    put(to, bytes, n);
}

static uint64_t zigzag(int32_t n)
{
    return ((uint32_t)n << 1) ^ (n < 0 ? UINT32_MAX : 0);
}

static void put_key(struct sink *to, const struct field *f)
{
    put_varint(to, (uint64_t)f->number << 3 | wire_of(f));
}

static void put_message(struct sink *to, const struct field *f, const void *msg)
{
    struct sink count = { NULL, 0 };

    write_message(f->type, msg, &count);
    put_key(to, f);
    put_varint(to, count.n);
    write_message(f->type, msg, to);
}

static void put_list(struct sink *to, const struct field *f, const struct ly_list *list)
{
    for (size_t i = 0; list->items && i < list->n; i++)
        put_message(to, f, (const char *)list->items + i * f->type->size);
}

static void put_bytes(struct sink *to, const struct field *f, const struct ly_bytes *bytes)
{
    put_key(to, f);
    put_varint(to, bytes->len);
    put(to, bytes->p, bytes->len);
}

static void put_number(struct sink *to, const struct field *f, uint64_t v)
{
    put_key(to, f);
    put_varint(to, v);
}

static void put_field(struct sink *to, const struct field *f, const void *at)
{
    switch ((enum kind)f->kind) {
    case KIND_U32:
        put_number(to, f, *(const uint32_t *)at);
        break;
    case KIND_U64:
        put_number(to, f, *(const uint64_t *)at);
        break;
    case KIND_S32:
        put_number(to, f, zigzag(*(const int32_t *)at));
        break;
    case KIND_BYTES:
        put_bytes(to, f, at);
        break;
    case KIND_MESSAGE:
        put_message(to, f, at);
        break;
    case KIND_LIST:
        put_list(to, f, at);
        break;
    }
}

static void write_message(const struct ly_type *type, const void *msg, struct sink *to)
{
    const uint32_t *has = msg;

    for (const struct field *f = type->fields; f->number != 0; f++)
        if (*has & LY_HAS(f->number))
            put_field(to, f, (const char *)msg + f->offset);
}

void ly_write(const struct ly_type *type, const void *msg, struct buf *out)
{
    struct sink to = { out, 0 };

    write_message(type, msg, &to);
}

/* --- small ones --- */

struct ly_xid ly_xid_of(uint64_t uid, uint32_t device)
{
    return (struct ly_xid){ .has = LY_HAS(1) | LY_HAS(2), .uid = uid, .device = device };
}

struct ly_bytes ly_bytes_of(const char *s)
{
    return (struct ly_bytes){ s, s ? strlen(s) : 0 };
}
