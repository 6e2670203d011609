/* merge: the body of a model server's answer on standard input, the message that
 * we make of it as a line of JSON on standard output. For comparison with what
 * the official SDK makes of the same bytes.
 *   usage: merge stream|whole */
#include <stdio.h>
#include <string.h>

#include "plugin/base/buf.h"
#include "plugin/base/json.h"
#include "plugin/model/delta.h"
#include "plugin/net/sse.h"

#define BODY_BYTES_MAX (16U * 1024 * 1024)
#define TEXT_BYTES_MAX (1024U * 1024)

struct merge {
    struct delta delta;
    struct failure failure;
    struct buf text;
    enum err_code code;
};

static void show(struct merge *m)
{
    size_t len;
    bool anew;
    const char *text = delta_show(&m->delta, &len, &anew);
    if (anew)
        buf_reset(&m->text);
    buf_add(&m->text, text, len);
}

static bool on_event(void *arg, const struct sse_event *ev)
{
    struct merge *m = arg;
    m->code = delta_event(&m->delta, ev->type, ev->data, ev->len, &m->failure);
    show(m);
    return m->code == ERR_OK && !m->delta.done;
}

static void read_stream(struct merge *m, const struct buf *body)
{
    struct sse sse;
    sse_init(&sse, on_event, m);
    if (sse_feed(&sse, body->data, body->len) == ERR_OK)
        sse_end(&sse);
    sse_fini(&sse);
}

static void print_calls(struct buf *out, const struct delta *d)
{
    buf_adds(out, "[");
    for (size_t i = 0; i < d->n_calls; i++) {
        buf_adds(out, i ? ",{\"id\":" : "{\"id\":");
        json_quote(out, d->calls[i].id);
        buf_adds(out, ",\"name\":");
        json_quote(out, d->calls[i].name);
        buf_adds(out, ",\"arguments\":");
        json_quote(out, buf_str(&d->calls[i].arguments));
        buf_adds(out, "}");
    }
    buf_adds(out, "]");
}

static void print(struct merge *m)
{
    struct buf out;
    const struct usage *u = &m->delta.usage;
    buf_init(&out, BODY_BYTES_MAX);
    buf_adds(&out, "{\"error\":");
    if (m->code == ERR_OK)
        buf_adds(&out, "null");
    else
        json_quote(&out, err_name(m->code));
    buf_adds(&out, ",\"text\":");
    json_quote(&out, buf_str(&m->text));
    buf_adds(&out, ",\"calls\":");
    print_calls(&out, &m->delta);
    buf_addf(&out, ",\"finish\":\"%s\"", finish_name(m->delta.finish));
    if (u->known)
        buf_addf(&out, ",\"usage\":[%lld,%lld,%lld]", (long long)u->prompt_tokens, (long long)u->completion_tokens,
                 (long long)u->total_tokens);
    else
        buf_adds(&out, ",\"usage\":null");
    buf_adds(&out, "}");
    puts(buf_str(&out));
    buf_free(&out);
}

int main(int argc, char **argv)
{
    struct merge m = { .failure = { .retry_after_ms = -1 } };
    struct buf body;
    char piece[65536];
    size_t n;
    if (argc != 2 || (strcmp(argv[1], "stream") != 0 && strcmp(argv[1], "whole") != 0)) {
        fputs("usage: merge stream|whole < BODY\n", stderr);
        return 1;
    }
    buf_init(&body, BODY_BYTES_MAX);
    while ((n = fread(piece, 1, sizeof(piece), stdin)) > 0)
        buf_add(&body, piece, n);
    buf_init(&m.text, TEXT_BYTES_MAX);
    delta_init(&m.delta, TEXT_BYTES_MAX);
    if (strcmp(argv[1], "stream") == 0)
        read_stream(&m, &body);
    else
        m.code = delta_whole(&m.delta, buf_str(&body), body.len, &m.failure);
    if (m.code == ERR_OK)
        m.code = delta_end(&m.delta, &m.failure);
    show(&m);
    print(&m);
    delta_fini(&m.delta);
    buf_free(&m.text);
    buf_free(&body);
    return 0;
}
