#include "tests/bench/model.h"

#include <stdlib.h>
#include <string.h>

/* What warbler sends in the benchmark; run configures the same. */
#define BEFORE "{\"model\":\"practice\",\"messages\":[{\"role\":\"system\",\"content\":\"You are a helpful assistant.\"}"
#define BEHIND "],\"stream\":true,\"stream_options\":{\"include_usage\":true}}"

#define STATUS_OK "HTTP/1.1 200 "
#define LAST_CHUNK "\r\n0\r\n\r\n" /* not part of any event: JSON has no bare CR */

static void add_message(struct bytes *messages, const char *role, struct span text)
{
    bytes_addf(messages, ",{\"role\":\"%s\",\"content\":\"%.*s\"}", role, (int)text.len, text.data);
}

void model_add_user(struct bytes *messages, struct span text)
{
    add_message(messages, "user", text);
}

void model_add_assistant(struct bytes *messages, struct span text)
{
    add_message(messages, "assistant", text);
}

void model_ask(struct end *e, struct span messages)
{
    bytes_addf(&e->out,
               "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
               "Accept: text/event-stream\r\nContent-Length: %zu\r\n\r\n",
               strlen(BEFORE) + messages.len + strlen(BEHIND));
    bytes_add(&e->out, BEFORE, strlen(BEFORE));
    bytes_add(&e->out, messages.data, messages.len);
    bytes_add(&e->out, BEHIND, strlen(BEHIND));
    end_flush(e);
}

/* The chunks' contents, moved together at the beginning of the body. */
static struct span join_chunks(char *body)
{
    char *to = body, *from = body;
    for (;;) {
        char *data;
        size_t len = strtoul(from, &data, 16);
        if (len == 0)
            return (struct span){ body, (size_t)(to - body) };
        data += 2;
        memmove(to, data, len);
        to += len;
        from = data + len + 2;
    }
}

bool model_take_answer(struct bytes *in, struct bytes *text)
{
    size_t tail = strlen(LAST_CHUNK);
    if (in->len < tail || memcmp(in->data + in->len - tail, LAST_CHUNK, tail) != 0)
        return false;
    struct span head = { in->data, in->len }, body = span_find(head, "\r\n\r\n");
    if (head.len < strlen(STATUS_OK) || memcmp(head.data, STATUS_OK, strlen(STATUS_OK)) != 0)
        die("the model answers %.*s", (int)(body.data - head.data), head.data);
    struct span events = join_chunks(in->data + (body.data - head.data) + 4), piece;
    while ((piece = json_string(events, "content")).data) {
        bytes_add(text, piece.data, piece.len);
        events.len -= (size_t)(piece.data + piece.len - events.data);
        events.data = piece.data + piece.len;
    }
    in->len = 0;
    return true;
}
