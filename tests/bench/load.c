/* load: people who chat, many at once; and the same people asking the model
 * itself.
 *   usage: load chat|model|stream PORT CONVERSATIONS [VISITOR]
 * Opens them, has one question answered in each, and prints "ready". Then each
 * line on standard input is done and answered by one line:
 *   go MILLISECONDS AT_ONCE   who has an answer asks again, as long as no more
 *                             than AT_ONCE wait: what comes of it is the most
 *                             that can be answered
 *   rate PER_S MILLISECONDS   a question leaves at each tick of a clock, whether
 *                             the last ones are answered or not; where the
 *                             conversation is busy it waits, and its time
 *                             counts from the tick
 *   who                       the secret of the first visitor, to be the fourth
 *                             argument of another run
 * MESSAGES NANOSECONDS P50_NS P99_NS P999_NS is the answer to the first two. Ends
 * with its input, after a last look whether anything came that should not.
 *
 * "stream": answers of STREAM_POINTS characters by the practice model, which are
 * watched while they grow; the first of each are of all lengths up to that, so
 * that from then on always a few end and begin. The times then are the pauses
 * between two growths of one answer: ANSWERS NANOSECONDS P99_NS LONGEST_NS.
 *
 * Every question has a word of its own that its answer must consist of, with
 * MODEL_TAIL behind it. A wrong, second or missing answer ends with status 1. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "tests/bench/model.h"
#include "tests/bench/wire.h"

#define ANSWER_TIMEOUT_MS 20000
#define QUIET_MS 100          /* nothing came for so long: nothing more comes */
#define WORD_BYTES 32U
#define EVENTS_MAX 256
#define STREAM_POINTS 1000
#define OPENING_MAX 256U      /* at a time */
#define TICK_MIN_NS 200000    /* the clock ticks no faster; then some questions leave together */
#define VISITOR_BYTES 80U

enum state { CLOSED, UPGRADING, GREETING, ASKING, ACKNOWLEDGED, SATISFIED };

struct person {
    struct end end;
    enum state state;
    unsigned number, asked;
    size_t points;           /* characters of the answer that is streamed */
    char word[WORD_BYTES]; /* and the message's id */
    int64_t asked_ns;        /* or when it should have been */
    struct bytes due;        /* ticks of the questions that wait for the last answer */
    size_t shown;            /* bytes of the answer so far */
    int64_t grown_ns;        /* when that became so many; 0: nothing is shown */
};

static struct {
    bool model;               /* asked directly */
    bool stream;
    int poller, port;
    struct person *people;
    unsigned n, opened, ready;
    const char *visitor;      /* that the first one is; NULL: a new one */
    char first_visitor[VISITOR_BYTES];
    int64_t until_ns;         /* no question is asked after this */
    unsigned waiting;         /* for an answer */
    unsigned at_once, next;   /* closed loop: so many may wait; who asks next */
    int ticker;               /* open loop: a timerfd; 0: closed */
    int64_t begin_ns, n_ticks;
    int64_t rate;             /* questions per second */
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
static bool measuring(void)
{
    return load.until_ns > 0;
}

static void ask(struct person *p, int64_t now)
{
    char text[2 * WORD_BYTES], frame[sizeof text + 2 * WORD_BYTES];
    snprintf(p->word, sizeof p->word, "w%ux%ux%d", p->number, ++p->asked, getpid());
    if (load.stream && measuring()) {
        p->points = p->points ? STREAM_POINTS : 1 + (size_t)STREAM_POINTS * p->number / load.n;
        snprintf(text, sizeof text, "#len %zu", p->points);
    } else {
        snprintf(text, sizeof text, "#echo %s", p->word);
    }
    p->state = ASKING;
    p->asked_ns = now;
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

static void open_one(void)
{
    static const char upgrade[] = "GET /chat/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                                  "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: " WS_KEY "\r\n\r\n";
    struct person *p = &load.people[load.opened];
    p->number = load.opened++;
    end_connect(&p->end, load.poller, load.port);
    if (load.model) {
        ask(p, now_ns());
        return;
    }
    p->state = UPGRADING;
    bytes_add(&p->end.out, upgrade, strlen(upgrade)); /* goes when the socket is connected */
}

/* What is streamed is the beginning of one text, so that its length is what can be checked. */
static bool is_streamed(const struct person *p, struct span text)
{
    return load.stream && measuring() && text.len >= p->points;
}

static bool is_right(const struct person *p, struct span text)
{
    size_t word = strlen(p->word), tail = load.stream ? 0 : strlen(MODEL_TAIL);
    return text.len == word + tail && memcmp(text.data, p->word, word) == 0 &&
           memcmp(text.data + word, MODEL_TAIL, tail) == 0;
}

/* Closed loop: the next in turn that has its answer. */
static void ask_next(int64_t now)
{
    for (unsigned looked = 0; now < load.until_ns && load.waiting < load.at_once && looked < load.n; looked++) {
        struct person *p = &load.people[load.next++ % load.n];
        if (p->state == SATISFIED)
            ask(p, now);
    }
}

/* Open loop: the oldest question that waited for this answer. */
static void ask_due(struct person *p)
{
    int64_t tick;
    if (p->due.len == 0)
        return;
    memcpy(&tick, p->due.data, sizeof tick);
    bytes_drop(&p->due, sizeof tick);
    ask(p, tick);
}

static void answered(struct person *p, struct span text)
{
    if (!is_streamed(p, text) && !is_right(p, text))
        wrong(p, "another answer", text);
    int64_t now = now_ns();
    p->state = SATISFIED;
    p->grown_ns = 0;
    load.waiting--;
    if (!measuring()) {
        load.ready++;
        return;
    }
    load.answers++;
    if (!load.stream)
        note_time(now - p->asked_ns);
    if (load.ticker)
        ask_due(p);
    else
        ask_next(now);
}

/* --- the clock of the open loop --- */
static void on_tick(int64_t tick)
{
    struct person *p = &load.people[load.next++ % load.n];
    if (p->state == SATISFIED)
        ask(p, tick);
    else
        bytes_add(&p->due, &tick, sizeof tick);
}

static void run_clock(void)
{
    uint64_t expired;
    int64_t now = now_ns(), tick;
    if (read(load.ticker, &expired, sizeof expired) < 0)
        return;
    while ((tick = load.begin_ns + load.n_ticks * 1000000000 / load.rate) <= now && tick < load.until_ns) {
        load.n_ticks++;
        on_tick(tick);
    }
}

static void start_clock(void)
{
    int64_t ns = 1000000000 / load.rate > TICK_MIN_NS ? 1000000000 / load.rate : TICK_MIN_NS;
    struct itimerspec every = { { ns / 1000000000, ns % 1000000000 }, { 0, 1 } };
    struct epoll_event watch = { .events = EPOLLIN, .data.ptr = &load };
    load.ticker = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    load.n_ticks = 0;
    timerfd_settime(load.ticker, 0, &every, NULL);
    epoll_ctl(load.poller, EPOLL_CTL_ADD, load.ticker, &watch);
}

static void stop_clock(void)
{
    close(load.ticker);
    load.ticker = 0;
}

static bool clock_runs(void)
{
    return load.ticker && load.begin_ns + load.n_ticks * 1000000000 / load.rate < load.until_ns;
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
    if (load.stream && measuring())
        grown(p, text);
    if (span_find(frame, "\"done\":true").data)
        answered(p, text);
}

static void note_visitor(const struct person *p, struct span visitor)
{
    if (p->number == 0)
        snprintf(load.first_visitor, sizeof load.first_visitor, "%.*s", (int)visitor.len, visitor.data);
}

static void on_frame(struct person *p, struct span frame)
{
    struct span type = json_string(frame, "type");
    if (span_is(type, "message") || span_is(type, "edit")) {
        on_answer(p, frame);
    } else if (span_is(type, "welcome") && p->state == GREETING) {
        note_visitor(p, json_string(frame, "visitor"));
        ask(p, now_ns());
    } else if (span_is(type, "ack") && p->state == ASKING && span_is(json_string(frame, "id"), p->word)) {
        p->state = ACKNOWLEDGED;
    } else if (!span_is(type, "typing")) {
        wrong(p, "unexpected", frame);
    }
}

static void on_upgraded(struct person *p, const struct bytes *head)
{
    char hello[64 + VISITOR_BYTES] = "{\"type\":\"hello\"}";
    struct span answer = { head->data, head->len };
    if (span_find(answer, "HTTP/1.1 101 ").data != head->data)
        wrong(p, "no WebSocket", answer);
    p->state = GREETING;
    if (load.visitor && p->number == 0)
        snprintf(hello, sizeof hello, "{\"type\":\"hello\",\"visitor\":\"%s\"}", load.visitor);
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
        if (events[i].data.ptr == &load) {
            run_clock();
            continue;
        }
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

static long long percentile(unsigned per_thousand)
{
    return load.times[(load.n_times - 1) * per_thousand / 1000];
}

static void print_times(int64_t took)
{
    if (load.n_times == 0)
        die("nothing could be measured");
    qsort(load.times, load.n_times, sizeof *load.times, by_size);
    if (load.stream)
        printf("%zu %lld %lld %lld\n", load.answers, (long long)took, percentile(990), percentile(1000));
    else
        printf("%zu %lld %lld %lld %lld\n", load.answers, (long long)took, percentile(500), percentile(990),
               percentile(999));
    fflush(stdout);
}

static void begin(int64_t milliseconds)
{
    load.answers = load.n_times = 0;
    load.begin_ns = now_ns();
    load.until_ns = load.begin_ns + milliseconds * 1000000;
}

static void measure_most(int64_t milliseconds, unsigned at_once)
{
    begin(milliseconds);
    load.at_once = at_once;
    ask_next(load.begin_ns);
    while (load.waiting > 0)
        turn_or_die();
    print_times(now_ns() - load.begin_ns);
}

static void measure_at(int64_t per_s, int64_t milliseconds)
{
    begin(milliseconds);
    load.rate = per_s;
    start_clock();
    while (clock_runs() || load.waiting > 0)
        turn_or_die();
    stop_clock();
    print_times(now_ns() - load.begin_ns);
}

static void obey(const char *line)
{
    char *rest;
    if (strncmp(line, "go ", 3) == 0) {
        int64_t milliseconds = strtoll(line + 3, &rest, 10);
        measure_most(milliseconds, (unsigned)strtoul(rest, NULL, 10));
    } else if (strncmp(line, "rate ", 5) == 0) {
        int64_t per_s = strtoll(line + 5, &rest, 10);
        measure_at(per_s, strtoll(rest, NULL, 10));
    } else {
        puts(load.first_visitor);
        fflush(stdout);
    }
}

static void open_all(void)
{
    while (load.ready < load.n) {
        while (load.opened < load.n && load.opened < load.ready + OPENING_MAX)
            open_one();
        turn_or_die();
    }
}

int main(int argc, char **argv)
{
    char line[64];
    if (argc != 4 && argc != 5)
        die("usage: load chat|model|stream PORT CONVERSATIONS [VISITOR]");
    load.model = strcmp(argv[1], "model") == 0;
    load.stream = strcmp(argv[1], "stream") == 0;
    load.port = (int)strtol(argv[2], NULL, 10);
    load.n = (unsigned)strtoul(argv[3], NULL, 10);
    load.visitor = argv[4];
    load.people = calloc(load.n, sizeof *load.people);
    load.poller = epoll_create1(EPOLL_CLOEXEC);
    allow_many_files();
    open_all();
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin))
        obey(line);
    while (turn(QUIET_MS))
        ;
    for (unsigned i = 0; i < load.n; i++) {
        end_close(&load.people[i].end);
        bytes_free(&load.people[i].due);
    }
    return 0;
}
