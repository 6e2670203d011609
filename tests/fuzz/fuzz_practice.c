/* Any bytes as a request to the practice model. What it answers must be
 * readable by the code that reads any server. The first byte sets the knobs. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/base/utf8.h"
#include "plugin/model/delta.h"
#include "plugin/model/practice.h"
#include "plugin/net/sse.h"

#define OUT_MAX (64U * 1024 * 1024)

static bool on_event(void *arg, const struct sse_event *ev)
{
    struct failure f;
    assert(delta_event(arg, ev->type, ev->data, ev->len, &f) == ERR_OK);
    return true;
}

static void read_answer(struct delta *d, const struct practice_reply *r, const struct buf *out)
{
    struct failure f = {.retry_after_ms = -1};
    struct sse sse;
    if (r->stream) {
        sse_init(&sse, on_event, d);
        assert(sse_feed(&sse, out->data, out->len) == ERR_OK && sse_end(&sse) == ERR_OK);
        sse_fini(&sse);
    } else if (!r->cut) {
        assert(delta_whole(d, out->data, out->len, &f) == ERR_OK);
    }
    enum err_code code = delta_end(d, &f);
    assert(code == ERR_OK || code == ERR_EMPTY || (code == ERR_NET && r->cut));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct practice_conf knobs = {
        .chunk_chars = data[0] % 8,
        .length_chars = data[0] & 8 ? data[0] : 0,
        .fail_rate = data[0] & 16 ? 0.5 : 0,
    };
    struct practice p;
    struct practice_reply r;
    struct delta d;
    struct buf out;
    practice_init(&p, data[0]);
    buf_init(&out, OUT_MAX);
    delta_init(&d, OUT_MAX);
    practice_answer(&p, &knobs, (const char *)data + 1, size - 1, &r);
    while (practice_next(&r, &out))
        continue;
    assert(buf_error(&out) == ERR_OK && (out.len == 0 || r.cut || utf8_valid(out.data, out.len)));
    if (r.status == 200)
        read_answer(&d, &r, &out);
    practice_reply_fini(&r);
    delta_fini(&d);
    buf_free(&out);
    return 0;
}
