/* Any bytes as the head of a request. What is accepted keeps the promises of
 * http1.h, and its end is found alike however the bytes arrive. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/base/utf8.h"
#include "plugin/net/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t length_bytewise(const char *text, size_t len)
{
    size_t n = 0;

    for (size_t have = 1; have <= len && n == 0; have++)
        n = http1_head_length(text, have, have - 1);
    return n;
}

static void check(const struct http1 *r, const char *text, size_t len)
{
    assert(r->method[0] && r->path[0] == '/' && r->query);
    assert(utf8_valid(r->path, strlen(r->path)));
    assert(r->minor == 0 || r->header[HTTP1_HOST]);
    assert(!r->has_encoding || !r->has_length);
    assert(r->has_length || r->length == 0);
    for (size_t i = 0; i < HTTP1_HEADERS; i++)
        assert(!r->header[i] || (r->header[i] >= text && r->header[i] < text + len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t n = http1_head_length((const char *)data, size, 0);
    struct http1 r;
    char *text;
    int status;

    if (size <= 4096)
        assert(length_bytewise((const char *)data, size) == n);
    if (n == 0)
        return 0;
    text = malloc(n + 1);
    assert(text);
    memcpy(text, data, n);
    text[n] = '\0';
    status = http1_parse(&r, text, n);
    assert(status == 0 || status == 400 || status == 431 || status == 505);
    if (status == 0)
        check(&r, text, n);
    free(text);
    return 0;
}
