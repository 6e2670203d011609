/* Any bytes as the usage of an answer: whole and as an event of a stream they
 * must count the same, and nothing is ever negative. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/model/delta.h"

#define ANSWER_BYTES_MAX (1024U * 1024)
#define TEXT_BYTES_MAX 65536U
#define COUNT_MAX (INT64_C(1) << 54) /* a sum of two that JSON can carry exactly */

static void check_count(int64_t n)
{
    assert(n >= 0 && n <= COUNT_MAX);
}

static void check_usage(const struct usage *u)
{
    check_count(u->prompt_tokens);
    check_count(u->completion_tokens);
    check_count(u->total_tokens);
    check_count(u->cached_tokens);
    check_count(u->reasoning_tokens);
    assert(u->known || (u->prompt_tokens == 0 && u->completion_tokens == 0 && u->total_tokens == 0));
}

static void answer_with(struct buf *out, const uint8_t *usage, size_t len)
{
    buf_init(out, ANSWER_BYTES_MAX);
    buf_adds(out, "{\"choices\":[{\"index\":0,\"message\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}],\"usage\":");
    buf_add(out, usage, len);
    buf_adds(out, "}");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct delta whole, event;
    struct failure f = FAILURE_INIT;
    struct buf answer;
    answer_with(&answer, data, size);
    delta_init(&whole, TEXT_BYTES_MAX);
    delta_init(&event, TEXT_BYTES_MAX);
    enum err_code code = delta_whole(&whole, buf_str(&answer), answer.len, &f);
    delta_event(&event, "", buf_str(&answer), answer.len, &f);
    check_usage(&whole.usage);
    check_usage(&event.usage);
    if (code == ERR_OK) {
        assert(whole.usage.known == event.usage.known);
        assert(whole.usage.total_tokens == event.usage.total_tokens);
        assert(whole.usage.prompt_tokens == event.usage.prompt_tokens);
    }
    delta_fini(&whole);
    delta_fini(&event);
    buf_free(&answer);
    return 0;
}
