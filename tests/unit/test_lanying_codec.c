/* XSYNC: every vector is read and written again byte for byte, in both
 * spellings; what the bot itself says is what the vendor's encoder wrote; and
 * what no encoder writes is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "adapters/lanying/codec.h"
#include "adapters/lanying/socketio.h"
#include "adapters/lanying/wire.h"
#include "plugin/base/json.h"

#define VECTORS "tests/data/lanying-vectors.json"
#define VECTORS_BYTES_MAX (1024U * 1024)
#define ITEMS_MAX 16
#define BOT UINT64_C(6597450563888)
#define USER UINT64_C(6597450563889)
#define GROUP UINT64_C(6597450570001)
#define MID UINT64_C(987654321098765432)
#define CLOCK INT64_C(1700000000123)

static cJSON *vectors;

static int load(void **state)
{
    static char text[VECTORS_BYTES_MAX];
    FILE *f = fopen(VECTORS, "rb");
    size_t len;

    (void)state;
    assert_non_null(f);
    len = fread(text, 1, sizeof text, f);
    fclose(f);
    vectors = json_parse(text, len);
    return vectors ? 0 : -1;
}

static int unload(void **state)
{
    (void)state;
    cJSON_Delete(vectors);
    return 0;
}

static const cJSON *vector(const char *name)
{
    const cJSON *v;

    cJSON_ArrayForEach(v, json_get(vectors, "vectors"))
        if (strcmp(json_str(v, "name"), name) == 0)
            return v;
    fail_msg("there is no vector %s", name);
    return NULL;
}

static void unhex(struct buf *out, const char *hex)
{
    unsigned byte;

    buf_init(out, VECTORS_BYTES_MAX);
    for (; hex[0] && hex[1]; hex += 2) {
        assert_int_equal(sscanf(hex, "%2x", &byte), 1);
        buf_addc(out, (char)byte);
    }
}

static void assert_hex(const char *name, const struct buf *got, const char *want)
{
    struct buf bytes;

    unhex(&bytes, want);
    if (got->len != bytes.len || memcmp(buf_str(got), buf_str(&bytes), got->len) != 0) {
        fprintf(stderr, "want %s\ngot  ", want);
        for (size_t i = 0; i < got->len; i++)
            fprintf(stderr, "%02x", (unsigned char)got->data[i]);
        fail_msg("%s is not what it should be", name);
    }
    buf_free(&bytes);
}

/* --- there and back --- */

/* What a payload may hold, by direction and command. */
union payload {
    struct ly_provision provision;
    struct ly_unread_dl unread;
    struct ly_notice notice;
    struct ly_xid xid;
    struct ly_sync_ul ul;
    struct ly_sync_dl dl;
};

static const struct ly_type *type_of(const struct ly_frame *f, bool up)
{
    switch (f->command) {
    case LY_UNREAD:
        return &ly_unread_dl_type;
    case LY_SYNC:
        return up ? &ly_sync_ul_type : &ly_sync_dl_type;
    case LY_NOTICE:
        return f->payload.p[0] == 0x0a ? &ly_notice_type : &ly_xid_type;
    default:
        return &ly_provision_type;
    }
}

static const struct ly_type *meta_payload_type(const struct ly_meta *m)
{
    switch (m->ns) {
    case LY_NS_MESSAGE:
        return &ly_body_type;
    case LY_NS_GROUP:
        return &ly_group_notice_type;
    case LY_NS_ROSTER:
        return &ly_roster_notice_type;
    default:
        return &ly_user_notice_type;
    }
}

static size_t collect(const struct ly_type *type, struct ly_list *list, void *items, size_t size)
{
    size_t at = 0, n = 0;

    while (n < ITEMS_MAX && ly_next(type, list, &at, (char *)items + n * size))
        n++;
    assert_int_equal(n, list->n);
    list->items = items;
    return n;
}

/* The message within a meta, written again. */
static void rewrite_meta(struct ly_meta *m, struct buf *out)
{
    union {
        struct ly_body body;
        struct ly_group_notice group;
        struct ly_roster_notice roster;
        struct ly_user_notice user;
    } in;
    struct ly_xid to[ITEMS_MAX];
    const struct ly_type *type = meta_payload_type(m);

    assert_int_equal(ly_read(type, &in, m->payload, NULL), ERR_OK);
    if (m->ns == LY_NS_GROUP)
        collect(&ly_xid_type, &in.group.to, to, sizeof *to);
    if (m->ns == LY_NS_ROSTER)
        collect(&ly_xid_type, &in.roster.to, to, sizeof *to);
    ly_write(type, &in, out);
    m->payload = (struct ly_bytes){ out->data, out->len };
}

static void there_and_back(const char *name, const char *hex, bool up)
{
    struct buf bytes, again, payload, bodies[ITEMS_MAX] = { { 0 } };
    struct ly_unread unread[ITEMS_MAX];
    struct ly_meta metas[ITEMS_MAX];
    struct ly_frame f;
    union payload p;
    size_t n = 0;

    unhex(&bytes, hex);
    buf_init(&again, LY_FRAME_BYTES_MAX);
    buf_init(&payload, LY_FRAME_BYTES_MAX);
    for (size_t i = 0; i < ITEMS_MAX; i++)
        buf_init(&bodies[i], LY_FRAME_BYTES_MAX);
    assert_int_equal(ly_read(&ly_frame_type, &f, (struct ly_bytes){ bytes.data, bytes.len }, NULL), ERR_OK);
    if (f.has & LY_HAS(4)) {
        const struct ly_type *type = type_of(&f, up);
        assert_int_equal(ly_read(type, &p, f.payload, NULL), ERR_OK);
        if (type == &ly_unread_dl_type)
            collect(&ly_unread_type, &p.unread.unread, unread, sizeof *unread);
        if (type == &ly_sync_dl_type)
            n = collect(&ly_meta_type, &p.dl.metas, metas, sizeof *metas);
        for (size_t i = 0; i < n; i++)
            rewrite_meta(&metas[i], &bodies[i]);
        if (type == &ly_sync_ul_type && p.ul.has & LY_HAS(3))
            rewrite_meta(&p.ul.meta, &bodies[0]);
        ly_write(type, &p, &payload);
        f.payload = (struct ly_bytes){ payload.data, payload.len };
    }
    ly_write(&ly_frame_type, &f, &again);
    assert_hex(name, &again, hex);
    for (size_t i = 0; i < ITEMS_MAX; i++)
        buf_free(&bodies[i]);
    buf_free(&payload);
    buf_free(&again);
    buf_free(&bytes);
}

static void every_vector_in_both_spellings(void **state)
{
    const cJSON *v;
    int n = 0;

    (void)state;
    cJSON_ArrayForEach(v, json_get(vectors, "vectors")) {
        bool up = strcmp(json_str(v, "direction"), "C>S") == 0;
        there_and_back(json_str(v, "name"), json_str(v, "frame_hex"), up);
        there_and_back(json_str(v, "name"), json_str(v, "frame_hex_zero_omitted"), up);
        n++;
    }
    assert_int_equal(n, 32);
}

static void every_vector_over_socketio(void **state)
{
    const cJSON *v;

    (void)state;
    cJSON_ArrayForEach(v, json_get(vectors, "vectors")) {
        const char *text = json_str(v, "socketio_text");
        struct socketio s = { 0 };
        struct ly_bytes frame;
        struct buf binary, got;

        assert_string_equal(text, SOCKETIO_FRAME);
        unhex(&binary, json_str(v, "socketio_binary_hex"));
        assert_int_equal(socketio_text(&s, text, strlen(text)), SOCKETIO_NOTHING);
        assert_int_equal(socketio_binary(&s, binary.data, binary.len, &frame), ERR_OK);
        buf_init(&got, LY_FRAME_BYTES_MAX);
        buf_add(&got, frame.p, frame.len);
        assert_hex(json_str(v, "name"), &got, json_str(v, "frame_hex"));
        buf_free(&binary);
        buf_free(&got);
    }
}

/* --- what the bot says --- */

static const struct wire_self self = { BOT, 7 };

static void assert_vector(const char *name, struct buf *got)
{
    assert_hex(name, got, json_str(vector(name), "frame_hex"));
    buf_reset(got);
}

static void frames_of_the_bot(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, LY_FRAME_BYTES_MAX);
    wire_login(&out, &(struct wire_self){ BOT, 1001069999 }, "TOKEN-abc", "6597450563888_1073741824");
    assert_vector("provision_request_first", &out);
    wire_login(&out, &self, "TOKEN-abc", "6597450563888_1073741824");
    assert_vector("provision_request_known_device", &out);
    wire_unread(&out);
    assert_vector("unread_request", &out);
    wire_pull(&out, USER, 0);
    assert_vector("sync_pull_first", &out);
    wire_pull(&out, USER, MID);
    assert_vector("sync_pull_next", &out);
    wire_history(&out, USER, 0, 20);
    assert_vector("sync_history", &out);
    buf_free(&out);
}

static void deeds_of_the_bot(void **state)
{
    const struct {
        const char *name;
        struct outgoing o;
        const char *text, *ext;
    } cases[] = {
        { "send_chat_text", { .deed = DEED_SAY, .id = CLOCK, .chat = USER }, "你好 bot", "{\"ai\":{\"role\":\"ai\",\"ai_generate\":false}}" },
        { "send_chat_text_minimal", { .deed = DEED_SAY, .id = CLOCK, .chat = USER }, "hi", NULL },
        { "send_group_text", { .deed = DEED_SAY, .id = CLOCK, .chat = GROUP, .group = true }, "hello group", NULL },
        { "send_typing", { .deed = DEED_TYPING, .id = CLOCK, .chat = USER }, NULL, "{\"input_status\":\"typing\"}" },
        { "read_ack", { .deed = DEED_READ_ACK, .id = CLOCK + 128, .chat = USER, .mid = MID }, NULL, NULL },
        { "append_content", { .deed = DEED_APPEND, .id = CLOCK * 1000 + 128, .chat = USER, .mid = MID }, " more", NULL },
        { "replace_content", { .deed = DEED_REPLACE, .id = CLOCK * 1000 + 128, .chat = USER, .mid = MID }, "final text",
          "{\"ai\":{\"stream\":true,\"finish\":true,\"seq\":3}}" },
        { "recall", { .deed = DEED_RECALL, .id = CLOCK * 1000 + 128, .chat = USER, .mid = MID }, NULL, NULL },
    };
    struct buf out;

    (void)state;
    buf_init(&out, LY_FRAME_BYTES_MAX);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct outgoing o = cases[i].o;
        o.text = ly_bytes_of(cases[i].text);
        o.ext = ly_bytes_of(cases[i].ext);
        o.time_ms = CLOCK;
        wire_send(&out, &self, &o);
        assert_vector(cases[i].name, &out);
    }
    buf_free(&out);
}

static void bodies_of_the_bot(void **state)
{
    const struct {
        struct outgoing o;
        const char *text, *ext, *want;
    } cases[] = {
        { { .deed = DEED_SAY, .id = 9, .chat = USER }, "hi \"", "{\"ai\":{\"role\":\"ai\"}}",
          "{\"type\":1,\"from_user_id\":6597450563888,\"targets\":[6597450563889],\"content_type\":0,"
          "\"content\":\"hi \\\"\",\"ext\":\"{\\\"ai\\\":{\\\"role\\\":\\\"ai\\\"}}\",\"transaction_id\":9}" },
        { { .deed = DEED_APPEND, .id = 10, .chat = GROUP, .group = true, .mid = UINT64_MAX }, " more", NULL,
          "{\"type\":2,\"from_user_id\":6597450563888,\"targets\":[6597450570001],\"content_type\":11,"
          "\"content\":\" more\",\"related_mid\":18446744073709551615,\"online_only\":true,\"transaction_id\":10}" },
        { { .deed = DEED_READ_ACK, .id = 0, .chat = USER, .mid = MID }, NULL, NULL,
          "{\"type\":1,\"from_user_id\":6597450563888,\"targets\":[6597450563889],\"content_type\":9,"
          "\"content\":\"\",\"related_mid\":987654321098765432}" },
    };
    struct buf out;

    (void)state;
    buf_init(&out, LY_FRAME_BYTES_MAX);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct outgoing o = cases[i].o;
        o.text = ly_bytes_of(cases[i].text);
        o.ext = ly_bytes_of(cases[i].ext);
        wire_body(&out, &self, &o);
        assert_string_equal(buf_str(&out), cases[i].want);
        buf_reset(&out);
    }
    buf_free(&out);
}

/* --- edges --- */

static struct ly_bytes bytes(const char *s, size_t len)
{
    return (struct ly_bytes){ s, len };
}
#define BYTES(s) bytes(s, sizeof(s) - 1)

static void malformed_frames(void **state)
{
    const struct {
        struct ly_bytes in;
        const char *why;
    } cases[] = {
        { BYTES("\x08"), "in the middle of a number" },
        { BYTES("\x08\x80"), "in the middle of a number" },
        { BYTES("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "more than 64 bits" }, /* 11 bytes */
        { BYTES("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), "more than 64 bits" },
        { BYTES("\x22\x01"), "longer than the message" },
        { BYTES("\x22\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "longer than the message" },
        { BYTES("\x0a\x00"), "another wire type" },
        { BYTES("\x20\x00"), "another wire type" },
        { BYTES("\x09\0\0\0\0\0\0\0\0"), "another wire type" },
        { BYTES("\x13"), "unknown wire type" }, /* a group begins */
        { BYTES("\x14"), "unknown wire type" },
        { BYTES("\x00\x00"), "impossible number" },
        { BYTES("\x79\0\0\0\0\0\0\0"), "longer than the message" }, /* fixed64 of an unknown field */
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = ERR_INIT;
        struct ly_frame f;
        assert_int_equal(ly_read(&ly_frame_type, &f, cases[i].in, &e), ERR_PROTO);
        if (!strstr(e.text, cases[i].why))
            fail_msg("case %zu: \"%s\" does not say \"%s\"", i, e.text, cases[i].why);
    }
}

static void unknown_fields_are_skipped(void **state)
{
    struct ly_bytes in = BYTES("\x31\1\2\3\4\5\6\7\x08\x35\1\2\3\4\x7a\x03xyz\x80\x7d\x05\x18\x01\x18\x02");
    struct ly_frame f;

    (void)state;
    assert_int_equal(ly_read(&ly_frame_type, &f, in, NULL), ERR_OK);
    assert_int_equal(f.command, LY_NOTICE); /* the last one counts */
    assert_int_equal(f.has, LY_HAS(3));
}

static void numbers_at_their_ends(void **state)
{
    static const uint64_t ids[] = { 0, 1, 127, 128, UINT32_MAX, (UINT64_C(1) << 53) + 1, UINT64_MAX };
    static const int32_t nums[] = { 0, 20, -1, INT32_MAX, INT32_MIN };
    struct ly_sync_ul in = { .has = LY_HAS(2) | LY_HAS(5) }, out;
    struct buf b;

    (void)state;
    buf_init(&b, 64);
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        in.key = ids[i];
        in.full_sync_num = nums[i % 5];
        buf_reset(&b);
        ly_write(&ly_sync_ul_type, &in, &b);
        assert_int_equal(ly_read(&ly_sync_ul_type, &out, bytes(b.data, b.len), NULL), ERR_OK);
        assert_true(out.key == in.key && out.full_sync_num == in.full_sync_num);
    }
    buf_free(&b);
}

static void a_bad_item_spoils_its_list(void **state)
{
    struct ly_sync_dl dl;

    (void)state;
    assert_int_equal(ly_read(&ly_sync_dl_type, &dl, BYTES("\x12\x02\x08\x01\x12\x02\x08\x80"), NULL), ERR_PROTO);
    assert_int_equal(ly_read(&ly_sync_dl_type, &dl, BYTES("\x12\x02\x08\x01\x12\x02\x08\x02"), NULL), ERR_OK);
    assert_int_equal(dl.metas.n, 2);
}

static void notices_in_three_forms(void **state)
{
    const struct {
        struct ly_bytes in;
        uint64_t uid;
    } cases[] = {
        { BYTES("\x0a\x08\x08\xb1\x82\xca\xb5\x81\xc0\x01"), USER },
        { BYTES("\x08\xb1\x82\xca\xb5\x81\xc0\x01"), USER },
        { { NULL, 0 }, 0 },
        { BYTES("\x0a\x00"), 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ly_xid xid;
        assert_int_equal(ly_read_notice(&xid, cases[i].in, NULL), ERR_OK);
        assert_true(xid.uid == cases[i].uid);
    }
}

static void socketio_texts(void **state)
{
    const struct {
        const char *text;
        enum socketio_event want;
        int64_t ping_ms, timeout_ms;
    } cases[] = {
        { "0{\"sid\":\"x\",\"upgrades\":[],\"pingInterval\":300,\"pingTimeout\":200}", SOCKETIO_OPENED, 300, 200 },
        { "0{\"pingInterval\":-1,\"pingTimeout\":1e9}", SOCKETIO_OPENED, SOCKETIO_PING_MS, SOCKETIO_TIMEOUT_MS },
        { "0nonsense", SOCKETIO_OPENED, SOCKETIO_PING_MS, SOCKETIO_TIMEOUT_MS },
        { "40", SOCKETIO_CONNECTED, 0, 0 },
        { "3", SOCKETIO_PONGED, 0, 0 },
        { "2", SOCKETIO_PINGED, 0, 0 },
        { "41", SOCKETIO_LEFT, 0, 0 },
        { "1", SOCKETIO_LEFT, 0, 0 },
        { "44{\"message\":\"no\"}", SOCKETIO_REFUSED, 0, 0 },
        { "6", SOCKETIO_NOTHING, 0, 0 },
        { "42[\"hello\"]", SOCKETIO_NOTHING, 0, 0 },
        { "", SOCKETIO_NOTHING, 0, 0 },
        { "4", SOCKETIO_NOTHING, 0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct socketio s = { 0 };
        assert_int_equal(socketio_text(&s, cases[i].text, strlen(cases[i].text)), cases[i].want);
        assert_int_equal(s.ping_ms, cases[i].ping_ms);
        assert_int_equal(s.timeout_ms, cases[i].timeout_ms);
    }
}

static void socketio_attachments(void **state)
{
    const char *other = "452-[\"other\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]";
    struct socketio s = { 0 };
    struct ly_bytes frame;

    (void)state;
    assert_int_equal(socketio_binary(&s, "\4x", 2, &frame), ERR_PROTO); /* nothing announced it */
    socketio_text(&s, other, strlen(other));
    assert_int_equal(socketio_binary(&s, "\4x", 2, &frame), ERR_NOT_FOUND);
    socketio_text(&s, "3", 1);
    assert_int_equal(socketio_binary(&s, "\4x", 2, &frame), ERR_NOT_FOUND);
    socketio_text(&s, SOCKETIO_FRAME, strlen(SOCKETIO_FRAME));
    assert_int_equal(socketio_binary(&s, "\5x", 2, &frame), ERR_PROTO);
    socketio_text(&s, "451-/x,7[\"frame\",{}]", 20);
    assert_int_equal(socketio_binary(&s, "\4x", 2, &frame), ERR_OK);
    assert_int_equal(frame.len, 1);
    assert_int_equal(socketio_binary(&s, "\4x", 2, &frame), ERR_PROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_vector_in_both_spellings), cmocka_unit_test(every_vector_over_socketio),
        cmocka_unit_test(frames_of_the_bot),              cmocka_unit_test(deeds_of_the_bot),
        cmocka_unit_test(bodies_of_the_bot),              cmocka_unit_test(malformed_frames),
        cmocka_unit_test(unknown_fields_are_skipped),     cmocka_unit_test(numbers_at_their_ends),
        cmocka_unit_test(a_bad_item_spoils_its_list),     cmocka_unit_test(notices_in_three_forms),
        cmocka_unit_test(socketio_texts),                 cmocka_unit_test(socketio_attachments),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
