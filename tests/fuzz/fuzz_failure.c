/* Any bytes as the body of an error, with secrets in it that must not come out,
 * and what it teaches of the model's parameters. The first byte chooses the status. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/base/utf8.h"
#include "plugin/model/failure.h"
#include "plugin/model/quirk.h"

#define LESSONS_MAX 8 /* of one message */

static const long statuses[] = {300, 400, 401, 403, 404, 413, 422, 429, 500, 501, 502, 503, 529, 599};

static void check(const struct failure *f)
{
    size_t len = strlen(f->err.text);
    assert(f->err.code > ERR_OK && f->err.code < ERR_COUNT);
    assert(len > 0 && len < ERR_TEXT_BYTES && utf8_valid(f->err.text, len));
    for (size_t i = 0; i < len; i++)
        assert((unsigned char)f->err.text[i] >= ' ' && f->err.text[i] != 0x7F);
    assert(f->retry_after_ms >= -1 && f->context_max >= -1 && f->context_used >= -1);
    assert(strlen(f->param) < sizeof f->param && utf8_valid(f->param, strlen(f->param)));
    assert(strlen(f->message) < sizeof f->message && utf8_valid(f->message, strlen(f->message)));
}

/* Asking again ends, whatever the server says each time. */
static void check_lessons(const struct failure *f)
{
    static const struct model_conf m = {.max_tokens = 1};
    struct quirks q = {.dropped = 0};
    struct buf text;
    int lessons = 0;
    while (lessons < LESSONS_MAX && quirk_learn(&q, &m, f))
        lessons++;
    assert(lessons < LESSONS_MAX);
    buf_init(&text, 4096);
    quirk_describe(&text, &q, &m);
    assert(buf_error(&text) == ERR_OK && (text.len > 0) == (lessons > 0));
    buf_free(&text);
}

/* A key that stands alone does not get through, whatever is around it. */
static void check_mask(const char *text, size_t len)
{
    static const char key[] = " sk-Abcdefgh12345 ", secret[] = "Abcdefgh12345";
    struct buf in, out;
    buf_init(&in, 2 * len + sizeof key);
    buf_init(&out, 3 * (2 * len + sizeof key));
    buf_add(&in, text, len);
    buf_adds(&in, key);
    buf_add(&in, text, len);
    failure_mask(&out, in.data, in.len);
    assert(buf_error(&out) == ERR_OK && utf8_valid(out.data, out.len));
    assert(memmem(text, len, secret, strlen(secret)) || !memmem(out.data, out.len, secret, strlen(secret)));
    buf_free(&in);
    buf_free(&out);
}

static void check_hide(struct err *e)
{
    char secret[9] = "";
    size_t len = strlen(e->text), n = len < 8 ? len : 8;
    memcpy(secret, e->text + (len - n) / 2, n);
    failure_hide(e, secret);
    assert(n < 4 || !strstr(e->text, secret));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct failure f = FAILURE_INIT;
    if (size < 1)
        return 0;
    const char *body = (const char *)data + 1;
    size_t len = size - 1;
    failure_read(&f, statuses[data[0] % (sizeof statuses / sizeof *statuses)], body, len);
    check(&f);
    check_lessons(&f);
    check_hide(&f.err);
    failure_plain(&f, body, len);
    check(&f);
    cJSON *root = json_parse(body, len);
    if (failure_find(&f, root))
        check(&f);
    cJSON_Delete(root);
    check_mask(body, len);
    return 0;
}
