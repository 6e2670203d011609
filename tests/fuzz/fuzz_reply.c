/* Any text as an answer that is too long for one message, and as what a model
 * thought. The first two bytes choose the limit and its unit. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/base/utf8.h"
#include "plugin/chat/quote.h"
#include "plugin/chat/reply.h"

#define INPUT_BYTES_MAX (64U * 1024)

struct seen {
    size_t limit, n, bytes;
    enum text_unit unit;
};

static void note(void *arg, const char *part, size_t len)
{
    struct seen *s = arg;

    assert(utf8_valid(part, len));
    assert(s->limit == 0 || (s->unit == UNIT_BYTES ? len : utf8_points(part, len)) <= s->limit);
    s->bytes += len;
    s->n++;
}

static void check_split(const char *text, size_t len, size_t limit, enum text_unit unit)
{
    struct seen s = { .limit = limit, .unit = unit };
    size_t n = reply_split(text, len, limit, unit, note, &s);

    assert(n == s.n && n <= REPLY_PARTS_MAX);
    assert(limit > 0 || (n <= 1 && s.bytes <= len));
}

static void check_quote(const char *text, size_t len)
{
    struct buf out, thought, answer;

    buf_init(&out, QUOTE_BYTES_MAX);
    quote_add(&out, text, len);
    assert(!buf_error(&out) && utf8_valid(buf_str(&out), out.len));
    assert(out.len == 0 || buf_str(&out)[out.len - 1] != '\n');
    buf_free(&out);

    buf_init(&out, QUOTE_BYTES_MAX + len + 2);
    buf_init(&thought, len);
    buf_init(&answer, len);
    buf_add(&thought, text, len);
    buf_adds(&answer, len > 3 ? "yes" : "");
    bool thoughts = quote_view(&out, &thought, &answer, true);
    assert(!buf_error(&out) && (!thoughts || answer.len == 0 || strcmp(quote_skip(buf_str(&out)), "yes") == 0));
    buf_free(&out);
    buf_free(&thought);
    buf_free(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf clean;

    if (size < 2 || size > INPUT_BYTES_MAX)
        return 0;
    size_t limit = data[0] == 0 ? 0 : REPLY_LIMIT_MIN + data[0] * 4U;
    buf_init(&clean, 3 * size);
    utf8_clean(&clean, (const char *)data + 2, size - 2);
    check_split(buf_str(&clean), clean.len, limit, data[1] & 1 ? UNIT_BYTES : UNIT_POINTS);
    check_quote(buf_str(&clean), clean.len);
    buf_free(&clean);
    return 0;
}
