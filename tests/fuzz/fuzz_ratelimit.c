/* Any bytes as the head of an answer, and what they say of delays and limits. The
 * first byte chooses what failed. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/model/retry.h"
#include "plugin/net/http_head.h"

#define CEILING_MS 60000

static void check_window(const struct ratelimit_window *w)
{
    assert(w->limit >= -1 && w->limit <= RATELIMIT_COUNT_MAX);
    assert(w->remaining >= -1 && w->remaining <= RATELIMIT_COUNT_MAX);
    assert(w->reset_ms >= -1 && w->reset_ms <= RATELIMIT_MAX_MS);
}

static void check_limits(const struct ratelimit *r)
{
    int64_t pause = ratelimit_pause_ms(r);
    assert(r->retry_after_ms >= -1 && r->retry_after_ms <= RATELIMIT_MAX_MS);
    assert(r->should_retry >= -1 && r->should_retry <= 1);
    check_window(&r->requests);
    check_window(&r->tokens);
    assert(pause == -1 || pause == r->requests.reset_ms || pause == r->tokens.reset_ms);
}

static void check_retry(enum err_code code, int64_t after_ms)
{
    struct retry r;
    int made = 0;
    retry_init(&r, 3, CEILING_MS);
    for (int64_t ms; (ms = retry_next(&r, code, after_ms, 0.5)) != RETRY_GIVE_UP; made++)
        assert(ms >= 0 && ms <= CEILING_MS && (after_ms < 0 || ms == after_ms));
    assert(made <= 3);
}

static void read_head(struct http_head *head, const char *data, size_t len)
{
    http_head_init(head);
    while (len > 0) {
        const char *end = memchr(data, '\n', len);
        size_t n = end ? (size_t)(end - data) + 1 : len;
        char *line = malloc(n); /* exactly, so that nothing behind it is read */
        memcpy(line, data, n);
        http_head_line(head, line, n);
        free(line);
        data += n;
        len -= n;
    }
}

static void check_duration(const char *data, size_t len)
{
    char *text = strndup(data, len);
    int64_t ms = ratelimit_duration_ms(text);
    assert(ms >= -1 && ms <= RATELIMIT_MAX_MS);
    assert((ms >= 0) == (*text >= '0' && *text <= '9'));
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_head head;
    if (size < 1)
        return 0;
    const char *text = (const char *)data + 1;
    read_head(&head, text, size - 1);
    assert(strlen(head.reply.request_id) < sizeof head.reply.request_id);
    check_limits(&head.reply.limits);
    check_retry((enum err_code)(data[0] % ERR_COUNT), head.reply.limits.retry_after_ms);
    check_duration(text, size - 1);
    return 0;
}
