/* Any bytes as a stream: whole and in pieces they must give the same events.
 * The first byte chooses the pieces. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/net/sse.h"

#define RECORD_BYTES_MAX (64U * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool note(void *arg, const struct sse_event *ev)
{
    struct buf *record = arg;

    assert(ev->data[ev->len] == '\0');
    buf_adds(record, ev->type);
    buf_addc(record, '|');
    buf_add(record, ev->data, ev->len);
    buf_addc(record, ';');
    return true;
}

static enum err_code play(struct buf *record, const char *text, size_t len, size_t piece)
{
    struct sse s;
    enum err_code code = ERR_OK;

    buf_init(record, RECORD_BYTES_MAX);
    sse_init(&s, note, record);
    for (size_t at = 0; at < len && code == ERR_OK; at += piece)
        code = sse_feed(&s, text + at, piece < len - at ? piece : len - at);
    if (code == ERR_OK)
        code = sse_end(&s);
    sse_fini(&s);
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole, pieces;
    enum err_code code;

    if (size < 2)
        return 0;
    code = play(&whole, (const char *)data + 1, size - 1, size - 1);
    assert(play(&pieces, (const char *)data + 1, size - 1, 1 + data[0] % 16) == code);
    if (whole.len != pieces.len || memcmp(buf_str(&whole), buf_str(&pieces), whole.len) != 0)
        abort();
    buf_free(&whole);
    buf_free(&pieces);
    return 0;
}
