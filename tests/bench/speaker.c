/* speaker: a model that costs as little as one can. It speaks Chat Completions
 * over plain HTTP with sockets and epoll alone, so that the machine's time goes to
 * what is measured, and answers each question with the word that the question
 * ends with and MODEL_TAIL: MODEL_TOKENS tokens, an event each.
 *   usage: speaker TOKEN_MS
 * 0: all tokens at once, in one write; else one every TOKEN_MS. Prints its port
 * and runs until it is killed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "tests/bench/model.h"
#include "tests/bench/wire.h"

#define EVENTS_MAX 256
#define WORD_BYTES 64U

#define EVENT "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"practice\","
#define DELTA "\"choices\":[{\"index\":0,\"delta\":{%s\"content\":\"%s\"},\"finish_reason\":null}]}\n\n"
#define LAST "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define USAGE "\"choices\":[],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":20,\"total_tokens\":120}}\n\n"
#define DONE "data: [DONE]\n\n"

static const char *const tail[] = { MODEL_TAIL_TOKENS };

struct caller {
    struct end end;
    char word[WORD_BYTES];
    unsigned said;       /* tokens of the answer that is being given */
    int64_t due_ns;      /* when the next one leaves; 0: none is */
    struct caller *next; /* in the queue: all wait equally long, so it is in order */
};

static int64_t token_ns;
static struct caller *first, **last = &first;

/* --- speaking --- */
static void say(struct caller *c, const char *event)
{
    bytes_addf(&c->end.out, "%zx\r\n%s\r\n", strlen(event), event);
}

static void say_token(struct caller *c)
{
    char event[512];
    bool begins = c->said == 0;
    snprintf(event, sizeof event, EVENT DELTA, begins ? "\"role\":\"assistant\"," : "",
             begins ? c->word : tail[c->said - 1]);
    say(c, event);
    c->said++;
}

static void end_answer(struct caller *c)
{
    say(c, EVENT LAST);
    say(c, EVENT USAGE);
    say(c, DONE);
    bytes_addf(&c->end.out, "0\r\n\r\n");
    c->due_ns = 0;
}

static void speak_later(struct caller *c, int64_t now)
{
    c->due_ns = now + token_ns;
    c->next = NULL;
    *last = c;
    last = &c->next;
}

static void speak_on(struct caller *c, int64_t now)
{
    do
        say_token(c);
    while (token_ns == 0 && c->said < MODEL_TOKENS);
    if (c->said == MODEL_TOKENS)
        end_answer(c);
    else
        speak_later(c, now);
    end_flush(&c->end);
}

static void speak_all_due(void)
{
    int64_t now = now_ns();
    while (first && first->due_ns <= now) {
        struct caller *c = first;
        first = c->next;
        if (!first)
            last = &first;
        speak_on(c, now);
    }
}

/* --- listening --- */
/* The word that the newest message ends with. */
static void note_word(struct caller *c, struct span body)
{
    static const char user[] = "\"role\":\"user\",\"content\":\"";
    struct span at = span_find(body, user), text = { 0 };
    for (; at.data; at = span_find((struct span){ at.data + 1, at.len - 1 }, user))
        text = json_string(at, "content");
    const char *end = text.data + text.len, *word = end;
    while (word > text.data && word[-1] != ' ')
        word--;
    if (word == end || (size_t)(end - word) >= WORD_BYTES)
        die("a question that ends with no fitting word: %.*s", (int)body.len, body.data);
    snprintf(c->word, sizeof c->word, "%.*s", (int)(end - word), word);
}

static void begin_answer(struct caller *c, struct span body)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    if (c->due_ns)
        die("a question in the midst of an answer");
    note_word(c, body);
    c->said = 0;
    bytes_add(&c->end.out, head, strlen(head));
    if (token_ns)
        speak_later(c, now_ns());
    else
        speak_on(c, 0);
}

/* The request that stands first, if all of it is there: its size. */
static size_t take_request(struct caller *c)
{
    static const char length[] = "\r\nContent-Length: ", end[] = "\r\n\r\n";
    struct span all = { c->end.in.data, c->end.in.len }, body = span_find(all, end);
    if (!body.data)
        return 0;
    struct span size = span_find((struct span){ all.data, (size_t)(body.data - all.data) }, length);
    if (!size.data)
        die("a request without a length: %.*s", (int)all.len, all.data);
    size_t len = strtoul(size.data + strlen(length), NULL, 10), head = (size_t)(body.data - all.data) + strlen(end);
    if (all.len < head + len)
        return 0;
    begin_answer(c, (struct span){ all.data + head, len });
    return head + len;
}

static void unqueue(const struct caller *c)
{
    struct caller **at = &first;
    while (*at && *at != c)
        at = &(*at)->next;
    if (!*at)
        return;
    *at = c->next;
    for (last = &first; *last;)
        last = &(*last)->next;
}

static void listen_to(struct caller *c)
{
    size_t size;
    bool open = end_read(&c->end);
    while (open && (size = take_request(c)) > 0)
        bytes_drop(&c->end.in, size);
    if (open)
        return;
    if (c->due_ns)
        unqueue(c);
    end_close(&c->end);
    free(c);
}

static void accept_all(int listener, int poller)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        end_accepted(&((struct caller *)calloc(1, sizeof(struct caller)))->end, poller, fd);
}

static int wait_ms(void)
{
    int64_t left = first ? first->due_ns - now_ns() : 0;
    return !first ? -1 : left <= 0 ? 0 : (int)((left + 999999) / 1000000);
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS_MAX];
    struct end listener;
    int port, poller = epoll_create1(EPOLL_CLOEXEC);
    if (argc != 2)
        die("usage: speaker TOKEN_MS");
    token_ns = strtol(argv[1], NULL, 10) * 1000000L;
    allow_many_files();
    end_accepted(&listener, poller, listen_loopback(&port));
    printf("%d\n", port);
    fflush(stdout);
    for (;;) {
        int n = epoll_wait(poller, events, EVENTS_MAX, wait_ms());
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == &listener) {
                accept_all(listener.fd, poller);
                continue;
            }
            struct caller *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT)
                end_flush(&c->end);
            if (events[i].events & ~(uint32_t)EPOLLOUT)
                listen_to(c);
        }
        speak_all_due();
    }
}
