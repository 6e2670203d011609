/* Any bytes: as a frame of a client, as the body of POST /chat, and as every
 * text that the server puts into frames of its own. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/webchat/access.h"
#include "adapters/webchat/codec.h"
#include "adapters/webchat/identity.h"
#include "plugin/base/json.h"
#include "plugin/base/utf8.h"

static void check_label(const char *s)
{
    assert(!s || (utf8_valid(s, strlen(s)) && utf8_points(s, strlen(s)) <= NAME_POINTS_MAX && *s));
}

static void check_read(const char *text, size_t len)
{
    struct question_body q;
    struct frame f;

    if (frame_read(&f, text, len) == ERR_OK) {
        assert(f.type != FRAME_NONE && !f.why);
        assert(f.type != FRAME_MESSAGE || (f.id && f.text[0]));
        assert(f.last >= -1);
        check_label(f.room);
        check_label(f.name);
        check_label(f.id);
        check_label(f.reply_to);
    } else {
        assert(f.why);
    }
    frame_fini(&f);
    assert((question_read(&q, text, len) == ERR_OK) == !q.why);
    question_fini(&q);
}

/* Whatever stands in it, a frame is one JSON object, and valid UTF-8. */
static void check_frame(struct buf *out)
{
    cJSON *tree = json_parse(buf_str(out), out->len);

    assert(!buf_error(out) && tree && json_str(tree, "type"));
    assert(utf8_valid(out->data, out->len));
    cJSON_Delete(tree);
    buf_reset(out);
}

static void check_write(const char *text, size_t len)
{
    const char *ids[] = { text, text, NULL };
    struct msg_out answer = { .id = text, .text = text, .len = len, .reply_to = text, .answers = ids };
    struct msg_in said = { .sender_name = text, .text = text, .len = len };
    struct msg_past past = { .id = text, .sender = text, .name = text, .text = text };
    struct buf out;

    buf_init(&out, FRAME_OUT_BYTES_MAX);
    put_welcome(&out, text, text, text, 1);
    check_frame(&out);
    put_answer(&out, &answer);
    check_frame(&out);
    put_edit(&out, &answer);
    check_frame(&out);
    put_said(&out, &said, 1);
    check_frame(&out);
    put_past(&out, &past, text);
    check_frame(&out);
    put_error(&out, text, text, text);
    check_frame(&out);
    buf_free(&out);
}

static void check_headers(const char *text)
{
    char shop[] = "https://shop.example", *sites[] = { shop };
    const struct strings origins = { sites, 1 };

    access_host_ok(text, "127.0.0.1", &origins);
    access_origin_ok(text, text, &origins);
    access_origin_valid(text);
    assert(!access_token(text, &(struct secrets){ 0 }));
    identity_plausible(text, IDENTITY_VISITOR);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    memcpy(text, data, size);
    text[size] = '\0';
    check_read(text, size);
    check_write(text, size);
    check_headers(text);
    free(text);
    return 0;
}
