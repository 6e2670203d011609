/* load: people who chat, many at once, each asking again as soon as the last
 * answer is there; and the same people asking the model itself.
 *   usage: load chat PORT CONVERSATIONS
 *          load model PORT CONVERSATIONS
 *          load stream PORT CONVERSATIONS
 * Opens them all at once, has one question answered in each, and prints "ready".
 * A line "go MILLISECONDS" on standard input lets all of them ask for so long;
 * then one line says what it came to: MESSAGES NANOSECONDS P50_NS P99_NS. Ends
 * with its input, after a last look whether anything came that should not.
 *
 * "stream": answers of STREAM_POINTS characters, which are watched while they grow;
 * the first of each are of all lengths up to that, so that from then on always a
 * few end and begin. The numbers then are the pauses between two growths of one
 * answer: ANSWERS NANOSECONDS P99_NS LONGEST_NS.
 *
 * Every question has a word of its own that the answer must consist of (#echo of
 * the practice model). A wrong, second or missing answer ends with status 1. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "tests/bench/model.h"
#include "tests/bench/wire.h"

#define ANSWER_TIMEOUT_MS 20000
#define QUIET_MS 100          /* nothing came for so long: nothing more comes */
#define WORD_BYTES 32U
#define EVENTS_MAX 256
#define STREAM_POINTS 1000

enum state { CLOSED, UPGRADING, GREETING, ASKING, ACKNOWLEDGED, SATISFIED };

struct person {
    struct end end;
    enum state state;
    unsigned number, asked;
    size_t points;           /* characters of the answer that is streamed */
    char word[WORD_BYTES]; /* and the message's id */
    int64_t asked_ns;
    size_t shown;            /* bytes of the answer so far */
    int64_t grown_ns;        /* when that became so many; 0: nothing is shown */
};

static struct {
    bool model;               /* asked directly */
    bool stream;
    int poller, port;
    struct person *people;
    unsigned n, ready;
    int64_t until_ns;         /* who has an answer before asks again */
    unsigned waiting;         /* for an answer */
    size_t answers;           /* since "go" */
    int64_t *times;           /* of what is measured */
    size_t n_times, room;
} load;

static const char *const state_names[] = { "closed", "upgrading", "greeting", "asking", "acknowledged", "satisfied" };

static void wrong(const struct person *p, const char *what, struct span got)
{
    die("conversation %u, %s \"%s\": %s: %.*s", p->number, state_names[p->state], p->word, what, (int)got.len,
        got.data ? got.data : "");
}

/* --- asking --- */
static void ask(struct person *p)
{
    char text[2 * WORD_BYTES], frame[sizeof text + 2 * WORD_BYTES];
    snprintf(p->word, sizeof p->word, "w%ux%ux%d", p->number, ++p->asked, getpid());
    if (load.stream && load.until_ns > 0) {
        p->points = p->points ? STREAM_POINTS : 1 + (size_t)STREAM_POINTS * p->number / load.n;
        snprintf(text, sizeof text, "#len %zu", p->points);
    } else {
        snprintf(text, sizeof text, "#echo %s", p->word);
    }
    p->state = ASKING;
    p->asked_ns = now_ns();
    load.waiting++;
    if (load.model) {
        struct bytes messages = { 0 };
        model_add_user(&messages, span_of(text));
        model_ask(&p->end, (struct span){ messages.data, messages.len });
        bytes_free(&messages);
        return;
    }
    int len = snprintf(frame, sizeof frame, "{\"type\":\"message\",\"id\":\"%s\",\"text\":\"%s\"}", p->word, text);
    ws_add(&p->end.out, true, frame, (size_t)len);
    end_flush(&p->end);
}

static void note_time(int64_t ns)
{
    if (load.n_times == load.room) {
        load.room = load.room ? 2 * load.room : 4096;
        load.times = realloc(load.times, load.room * sizeof *load.times);
        if (!load.times)
            die("out of memory");
    }
    load.times[load.n_times++] = ns;
}

static void open_one(unsigned number)
{
    static const char upgrade[] = "GET /chat/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                                  "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: " WS_KEY "\r\n\r\n";
    struct person *p = &load.people[number];
    p->number = number;
    end_connect(&p->end, load.poller, load.port);
    if (load.model) {
        ask(p);
        return;
    }
    p->state = UPGRADING;
    bytes_add(&p->end.out, upgrade, strlen(upgrade)); /* goes when the socket is connected */
}

/* What is streamed is the beginning of one text, so that its length is what can be checked. */
static bool is_streamed(const struct person *p, struct span text)
{
    return load.stream && load.until_ns > 0 && text.len >= p->points;
}

static void answered(struct person *p, struct span text)
{
    if (!is_streamed(p, text) && !span_is(text, p->word))
        wrong(p, "another answer", text);
    int64_t now = now_ns();
    p->state = SATISFIED;
    p->grown_ns = 0;
    load.waiting--;
    if (load.until_ns > 0) {
        load.answers++;
        if (!load.stream)
            note_time(now - p->asked_ns);
    } else {
        load.ready++;
    }
    if (now < load.until_ns)
        ask(p);
}

/* --- what comes --- */
static void grown(struct person *p, struct span text)
{
    int64_t now = now_ns();
    if (p->grown_ns && text.len < p->shown)
        wrong(p, "the answer shrinks", text);
    if (p->grown_ns)
        note_time(now - p->grown_ns);
    p->shown = text.len;
    p->grown_ns = now;
}

static void on_answer(struct person *p, struct span frame)
{
    if (p->state != ACKNOWLEDGED)
        wrong(p, "an answer to nothing", frame);
    struct span to = json_string(frame, "reply_to");
    if (to.data && !span_is(to, p->word))
        wrong(p, "an answer to another message", frame);
    struct span text = json_string(frame, "text");
    if (load.stream && load.until_ns > 0)
        grown(p, text);
    if (span_find(frame, "\"done\":true").data)
        answered(p, text);
}

static void on_frame(struct person *p, struct span frame)
{
    struct span type = json_string(frame, "type");
    if (span_is(type, "message") || span_is(type, "edit")) {
        on_answer(p, frame);
    } else if (span_is(type, "welcome") && p->state == GREETING) {
        ask(p);
    } else if (span_is(type, "ack") && p->state == ASKING && span_is(json_string(frame, "id"), p->word)) {
        p->state = ACKNOWLEDGED;
    } else if (!span_is(type, "typing")) {
        wrong(p, "unexpected", frame);
    }
}

static void on_upgraded(struct person *p, const struct bytes *head)
{
    static const char hello[] = "{\"type\":\"hello\"}";
    struct span answer = { head->data, head->len };
    if (span_find(answer, "HTTP/1.1 101 ").data != head->data)
        wrong(p, "no WebSocket", answer);
    p->state = GREETING;
    ws_add(&p->end.out, true, hello, strlen(hello));
    end_flush(&p->end);
}

static void read_chat(struct person *p)
{
    struct bytes head = { 0 };
    struct span frame;
    size_t size;
    if (p->state == UPGRADING && take_head(&p->end.in, &head))
        on_upgraded(p, &head);
    bytes_free(&head);
    while (p->state != UPGRADING) {
        if (ws_take_ping(&p->end.in, &p->end.out)) {
            end_flush(&p->end);
        } else if ((size = ws_peek(&p->end.in, &frame)) > 0) {
            on_frame(p, frame);
            bytes_drop(&p->end.in, size);
        } else {
            break;
        }
    }
}

static void read_model(struct person *p)
{
    struct bytes text = { 0 };
    if (model_take_answer(&p->end.in, &text))
        answered(p, (struct span){ text.data, text.len });
    bytes_free(&text);
}

/* False: nothing came for that long. */
static bool turn(int timeout_ms)
{
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_wait(load.poller, events, EVENTS_MAX, timeout_ms);
    for (int i = 0; i < n; i++) {
        struct person *p = events[i].data.ptr;
        if (events[i].events & EPOLLOUT)
            end_flush(&p->end);
        if (!(events[i].events & ~(uint32_t)EPOLLOUT))
            continue;
        if (!end_read(&p->end))
            wrong(p, "the connection was closed", (struct span){ 0 });
        if (load.model)
            read_model(p);
        else
            read_chat(p);
    }
    return n != 0;
}

static void turn_or_die(void)
{
    if (!turn(ANSWER_TIMEOUT_MS))
        die("%u of %u conversations got no answer within %d ms",
            load.ready < load.n ? load.n - load.ready : load.waiting, load.n, ANSWER_TIMEOUT_MS);
}

/* --- the measured while --- */
static int by_size(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static long long percentile(unsigned percent)
{
    return load.times[(load.n_times - 1) * percent / 100];
}

static void measure(int64_t milliseconds)
{
    int64_t begin = now_ns();
    load.answers = load.n_times = 0;
    load.until_ns = begin + milliseconds * 1000000;
    for (unsigned i = 0; i < load.n; i++)
        ask(&load.people[i]);
    while (load.waiting > 0)
        turn_or_die();
    int64_t took = now_ns() - begin;
    if (load.n_times == 0)
        die("nothing could be measured");
    qsort(load.times, load.n_times, sizeof *load.times, by_size);
    printf("%zu %lld %lld %lld\n", load.answers, (long long)took, percentile(load.stream ? 99 : 50),
           percentile(load.stream ? 100 : 99));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    char line[64];
    if (argc != 4)
        die("usage: load chat|model|stream PORT CONVERSATIONS");
    load.model = strcmp(argv[1], "model") == 0;
    load.stream = strcmp(argv[1], "stream") == 0;
    load.port = (int)strtol(argv[2], NULL, 10);
    load.n = (unsigned)strtoul(argv[3], NULL, 10);
    load.people = calloc(load.n, sizeof *load.people);
    load.poller = epoll_create1(EPOLL_CLOEXEC);
    allow_many_files();
    for (unsigned i = 0; i < load.n; i++)
        open_one(i);
    while (load.ready < load.n)
        turn_or_die();
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin))
        if (strncmp(line, "go ", 3) == 0)
            measure(strtoll(line + 3, NULL, 10));
    while (turn(QUIET_MS))
        ;
    for (unsigned i = 0; i < load.n; i++)
        end_close(&load.people[i].end);
    return 0;
}
