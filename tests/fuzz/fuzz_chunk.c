/* Any bytes as one event of a stream: what chunk.c takes must mean the same when
 * it is read as any JSON, which one more member makes of it. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/model/chunk.h"
#include "plugin/model/delta.h"

#define TEXT_MAX 65536U

static enum err_code read_event(struct delta *d, const struct buf *text)
{
    struct failure f = FAILURE_INIT;
    delta_init(d, TEXT_MAX);
    d->thought.kept = true;
    return delta_event(d, "", text->data, text->len, &f);
}

static void compare(const struct buf *plain, const struct buf *other)
{
    struct delta a, b;
    assert(read_event(&a, plain) == ERR_OK && read_event(&b, other) == ERR_OK);
    assert(a.text.len == b.text.len && strcmp(buf_str(&a.text), buf_str(&b.text)) == 0);
    assert(strcmp(a.id, b.id) == 0 && strcmp(a.service_tier, b.service_tier) == 0 && strcmp(a.fault, b.fault) == 0);
    assert(a.finished == b.finished && a.finish == b.finish && a.refused == b.refused && a.n_calls == b.n_calls);
    delta_fini(&a);
    delta_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct chunk c;
    struct buf plain, other;
    size_t end = size;
    buf_init(&plain, size + 64);
    buf_init(&other, size + 64);
    buf_add(&plain, data, size);
    if (size > 0 && chunk_read(&c, plain.data, plain.len)) {
        while (data[--end] != '}')
            ;
        buf_add(&other, data, end);
        buf_adds(&other, ",\"other\":{}}");
        assert(!chunk_read(&c, other.data, other.len));
        compare(&plain, &other);
    }
    buf_free(&plain);
    buf_free(&other);
    return 0;
}
