/* Any lines as the events of a stream: what chunk.c takes must mean the same when
 * it is read as any JSON, which one more member makes of it. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/model/chunk.h"
#include "plugin/model/delta.h"

#define TEXT_MAX 65536U

/* The line, or if chunk.c takes it, the same with a member that it leaves to others. */
static void add_other(struct buf *out, const char *line, size_t len)
{
    struct chunk c;
    size_t end = len;
    if (!chunk_read(&c, line, len)) {
        buf_add(out, line, len);
        return;
    }
    while (line[--end] != '}')
        ;
    buf_add(out, line, end);
    buf_adds(out, ",\"other\":{}}");
    assert(!chunk_read(&c, out->data, out->len));
}

static void compare(const struct delta *a, const struct delta *b)
{
    assert(a->text.len == b->text.len && strcmp(buf_str(&a->text), buf_str(&b->text)) == 0);
    assert(strcmp(a->id, b->id) == 0 && strcmp(a->service_tier, b->service_tier) == 0 && strcmp(a->fault, b->fault) == 0);
    assert(a->finished == b->finished && a->finish == b->finish && a->refused == b->refused && a->n_calls == b->n_calls);
}

static void feed_line(struct delta *a, struct delta *b, const char *line, size_t len)
{
    struct failure fa = FAILURE_INIT, fb = FAILURE_INIT;
    struct buf plain, other;
    buf_init(&plain, len + 64);
    buf_init(&other, len + 64);
    buf_add(&plain, line, len);
    add_other(&other, buf_str(&plain), len);
    enum err_code code = delta_event(a, "", buf_str(&plain), plain.len, &fa);
    assert(code == delta_event(b, "", buf_str(&other), other.len, &fb));
    buf_free(&plain);
    buf_free(&other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct delta a, b;
    delta_init(&a, TEXT_MAX);
    delta_init(&b, TEXT_MAX);
    a.thought.kept = b.thought.kept = true;
    for (size_t at = 0; at < size;) {
        const uint8_t *lf = memchr(data + at, '\n', size - at);
        size_t len = (lf ? (size_t)(lf - data) : size) - at;
        feed_line(&a, &b, (const char *)data + at, len);
        compare(&a, &b);
        at += len + 1;
    }
    delta_fini(&a);
    delta_fini(&b);
    return 0;
}
