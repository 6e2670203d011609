/* Any bytes as a model's answer: as a stream, whole and split in two, and as
 * one piece of JSON. The first three bytes choose the limit and the split. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/base/utf8.h"
#include "plugin/model/delta.h"
#include "plugin/net/sse.h"

#define SEEN_MAX (16U * 1024 * 1024)

struct run {
    struct delta d;
    struct failure f;
    struct buf seen; /* what a receiver holds */
    enum err_code code;
};

static void run_init(struct run *r, size_t text_max)
{
    memset(r, 0, sizeof *r);
    delta_init(&r->d, text_max);
    r->d.thought.kept = true;
    buf_init(&r->seen, SEEN_MAX);
}

static void run_fini(struct run *r)
{
    delta_fini(&r->d);
    buf_free(&r->seen);
}

static void show(struct run *r)
{
    size_t len;
    bool anew;
    const char *text = delta_show(&r->d, &len, &anew);
    assert(utf8_valid(text, len) && !memchr(text, '\0', len));
    if (anew)
        buf_reset(&r->seen);
    buf_add(&r->seen, text, len);
    text = thought_show(&r->d.thought, &len);
    assert(utf8_valid(text, len) && !memchr(text, '\0', len));
    assert(!r->d.thought.text.failed && r->d.thought.text.len <= THOUGHT_BYTES_MAX);
}

static bool on_event(void *arg, const struct sse_event *ev)
{
    struct run *r = arg;
    if (r->code == ERR_OK)
        r->code = delta_event(&r->d, ev->type, ev->data, ev->len, &r->f);
    show(r);
    return r->code == ERR_OK;
}

static bool is_object(const struct buf *text)
{
    cJSON *tree = json_parse(text->data, text->len);
    bool is = cJSON_IsObject(tree);
    cJSON_Delete(tree);
    return is;
}

static void check_end(struct run *r, size_t text_max)
{
    if (r->code == ERR_OK)
        r->code = delta_end(&r->d, &r->f);
    show(r);
    assert(r->d.text.len <= text_max && r->d.n_calls <= DELTA_TOOL_CALLS_MAX);
    if (r->code != ERR_OK) {
        assert(r->f.err.code == r->code && utf8_valid(r->f.err.text, strlen(r->f.err.text)));
        return;
    }
    assert(r->d.text.len > 0 || r->d.n_calls > 0);
    assert(r->seen.len == r->d.text.len && strcmp(buf_str(&r->seen), buf_str(&r->d.text)) == 0);
    for (size_t i = 0; i < r->d.n_calls; i++)
        assert(r->d.calls[i].id && r->d.calls[i].name && is_object(&r->d.calls[i].arguments));
}

static void run_stream(struct run *r, size_t text_max, const char *data, size_t len, size_t split)
{
    struct sse sse;
    run_init(r, text_max);
    sse_init(&sse, on_event, r);
    if (sse_feed(&sse, data, split) == ERR_OK && sse_feed(&sse, data + split, len - split) == ERR_OK)
        sse_end(&sse);
    sse_fini(&sse);
    check_end(r, text_max);
}

static void check_split(const char *data, size_t len, size_t text_max, size_t split)
{
    struct run a, b;
    run_stream(&a, text_max, data, len, 0);
    run_stream(&b, text_max, data, len, split);
    assert(a.code == b.code && a.d.n_calls == b.d.n_calls && a.d.finish == b.d.finish);
    assert(strcmp(buf_str(&a.seen), buf_str(&b.seen)) == 0);
    run_fini(&a);
    run_fini(&b);
}

static void check_whole(const char *data, size_t len, size_t text_max)
{
    struct run r;
    run_init(&r, text_max);
    r.code = delta_whole(&r.d, data, len, &r.f);
    check_end(&r, text_max);
    run_fini(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    size_t text_max = data[0] < 128 ? data[0] + 1U : 65536U;
    const char *text = (const char *)data + 3;
    size_t len = size - 3, split = (data[1] * 256U + data[2]) % (len + 1);
    check_split(text, len, text_max, split);
    check_whole(text, len, text_max);
    return 0;
}
