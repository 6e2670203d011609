/* Any bytes: as a frame of the Lanying cloud and all that may stand in it, as
 * what Socket.IO wraps around frames, and as every JSON text that comes from
 * there: ext, config, callbacks, pages of history, discovery answers. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/lanying/address.h"
#include "adapters/lanying/event.h"
#include "adapters/lanying/ext.h"
#include "adapters/lanying/ids.h"
#include "adapters/lanying/link.h"
#include "adapters/lanying/places.h"
#include "adapters/lanying/socketio.h"
#include "adapters/lanying/wire.h"
#include "plugin/base/json.h"

#define BOT UINT64_C(6597450563888)
#define MESSAGE_BYTES_MAX 1024 /* of the structs of codec.h */

/* What was read is written in at most as many bytes, and reads as the same. */
static void check_again(const struct ly_type *type, const void *msg, size_t size)
{
    _Alignas(max_align_t) char again[MESSAGE_BYTES_MAX];
    struct buf out, twice;

    assert(size <= sizeof again);
    buf_init(&out, LY_FRAME_BYTES_MAX);
    buf_init(&twice, LY_FRAME_BYTES_MAX);
    ly_write(type, msg, &out);
    assert(!buf_error(&out));
    assert(ly_read(type, again, (struct ly_bytes){ out.data, out.len }, NULL) == ERR_OK);
    ly_write(type, again, &twice);
    assert(out.len == twice.len && (out.len == 0 || memcmp(out.data, twice.data, out.len) == 0));
    buf_free(&out);
    buf_free(&twice);
}

static bool is_group(void *arg, uint64_t id)
{
    (void)arg;
    return id & 1;
}

static void check_event(struct event *ev)
{
    if (!ev)
        return;
    assert(!ev->text || strlen(ev->text) <= ev->len);
    assert(ev->len <= EVENT_TEXT_BYTES_MAX);
    assert(address_mentions(ev->text ? ev->text : "", ev->text ? ev->len : 0) <= ev->len);
    event_chat(ev, BOT, is_group, NULL);
    event_why_not(ev, BOT);
    event_free(ev);
}

static void check_sync(struct ly_bytes payload)
{
    struct ly_sync_dl dl;
    struct ly_meta meta;
    size_t at = 0, n = 0;

    if (ly_read(&ly_sync_dl_type, &dl, payload, NULL) != ERR_OK)
        return;
    while (ly_next(&ly_meta_type, &dl.metas, &at, &meta)) {
        check_again(&ly_meta_type, &meta, sizeof meta);
        check_event(event_from_meta(&meta, BOT, NULL));
        n++;
    }
    assert(n == dl.metas.n);
}

static void check_unread(struct ly_bytes payload)
{
    struct ly_unread_dl dl;
    struct ly_unread one;
    size_t at = 0, n = 0;

    if (ly_read(&ly_unread_dl_type, &dl, payload, NULL) != ERR_OK)
        return;
    while (ly_next(&ly_unread_type, &dl.unread, &at, &one))
        n++;
    assert(n == dl.unread.n);
}

static void check_frame(struct ly_bytes bytes)
{
    struct ly_provision p;
    struct ly_sync_ul ul;
    struct ly_frame f;
    struct ly_xid xid;

    if (ly_read(&ly_frame_type, &f, bytes, NULL) != ERR_OK)
        return;
    check_again(&ly_frame_type, &f, sizeof f);
    check_sync(f.payload);
    check_unread(f.payload);
    ly_read_notice(&xid, f.payload, NULL);
    if (ly_read(&ly_provision_type, &p, f.payload, NULL) == ERR_OK)
        check_again(&ly_provision_type, &p, sizeof p);
    if (ly_read(&ly_sync_ul_type, &ul, f.payload, NULL) == ERR_OK)
        check_again(&ly_sync_ul_type, &ul, sizeof ul);
}

/* Lines are messages, alternately text and binary as their first byte says. */
static void check_socketio(const char *data, size_t len)
{
    struct socketio s = { 0 };
    struct ly_bytes frame;

    for (size_t at = 0; at < len;) {
        const char *eol = memchr(data + at, '\n', len - at);
        size_t n = eol ? (size_t)(eol - data) - at : len - at;
        if (n > 0 && data[at] == SOCKETIO_MARK) {
            if (socketio_binary(&s, data + at, n, &frame) == ERR_OK)
                check_frame(frame);
        } else {
            socketio_text(&s, data + at, n);
        }
        assert(s.ping_ms >= 0 && s.ping_ms <= SOCKETIO_TIME_MAX_MS && s.timeout_ms <= SOCKETIO_TIME_MAX_MS);
        at += n + 1;
    }
}

static void check_texts(const char *text, size_t len)
{
    struct config_said config;
    struct ext ext;

    ext_read(&ext, text, len);
    assert(!ext.wish.prompt || strlen(ext.wish.prompt) <= EXT_PROMPT_BYTES_MAX);
    assert(ext.wish.max_tokens >= 0);
    ext_fini(&ext);
    config_said_read(&config, text, len, BOT);
    assert(!config.nickname || strlen(config.nickname) <= EXT_NAME_BYTES_MAX);
    config_said_fini(&config);
    assert(address_mentions(text, len) <= len);
}

static void check_places(const cJSON *tree)
{
    struct places p;
    struct err e;

    if (places_read(&p, tree, &e) != ERR_OK)
        return;
    for (int i = 0; i < PLACES_CLUSTERS_MAX * PLACES_HOSTS_MAX && places_next_ws(&p); i++)
        assert(p.cluster < p.n);
    places_fini(&p);
}

static void check_json(const char *text, size_t len)
{
    cJSON *tree = ly_json_parse(text, len);
    const cJSON *item;
    const char *app;

    check_event(event_from_callback(tree, BOT, &app));
    cJSON_ArrayForEach(item, tree)
        check_event(event_from_past(item, BOT, true));
    check_places(tree);
    cJSON_Delete(tree);
}

static void check_write(const char *text, size_t len)
{
    const struct wire_self self = { BOT, 7 };
    struct outgoing o = { .deed = DEED_SAY, .id = 1, .chat = 2, .text = { text, len }, .ext = { text, len } };
    struct buf out;
    cJSON *tree;

    buf_init(&out, LY_FRAME_BYTES_MAX);
    wire_body(&out, &self, &o);
    tree = json_parse(buf_str(&out), out.len);
    assert(buf_error(&out) || (tree && json_str(tree, "content")));
    cJSON_Delete(tree);
    buf_reset(&out);
    wire_send(&out, &self, &o);
    check_frame((struct ly_bytes){ out.data, out.len });
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    struct buf url;

    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    check_frame((struct ly_bytes){ text, size });
    check_socketio(text, size);
    check_texts(text, size);
    check_json(text, size);
    check_write(text, size);
    buf_init(&url, LINK_URL_BYTES_MAX);
    ly_link_url(&url, text, LY_SOCKETIO);
    buf_free(&url);
    free(text);
    return 0;
}
