/* floor: what the journey of a message costs at the very least. The web chat's
 * protocol on one side, the model's on the other, with sockets and epoll alone:
 * no library, no disk, no limits, no second thread. It does what the benchmark
 * asks of it and no more, so Warbler is measured against it, not replaced by it.
 *   usage: floor MODEL_PORT
 * Prints its own port and runs until it is killed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "tests/bench/model.h"
#include "tests/bench/sha1.h"
#include "tests/bench/wire.h"

#define HISTORY_MESSAGES 40U /* as history_messages of a bot */
#define VISITOR_BYTES 16U
#define ID_BYTES 65U
#define EVENTS_MAX 256

/* What epoll gives back is a pointer to one of these. */
struct side {
    struct end end;
    void (*readable)(struct side *s);
};

struct chat {
    struct side side;
    bool open;                /* the handshake is done */
    char id[ID_BYTES];        /* of the message that is being answered */
    long seq;
    struct model *model;      /* that answers; the next frame waits for it */
    struct bytes history;     /* messages as the model is shown them */
    size_t sizes[HISTORY_MESSAGES];
    unsigned first, n;        /* a ring */
};

struct model {
    struct side side;
    struct chat *chat; /* NULL: idle, or the person has gone */
    struct model *next_idle;
};

static int poller, model_port;
static struct model *idle;

static void next_frame(struct chat *c);

/* --- history --- */
static void forget_oldest(struct chat *c)
{
    bytes_drop(&c->history, c->sizes[c->first]);
    c->first = (c->first + 1) % HISTORY_MESSAGES;
    c->n--;
}

static void remember(struct chat *c, void (*add)(struct bytes *, struct span), struct span text)
{
    if (c->n == HISTORY_MESSAGES)
        forget_oldest(c);
    size_t before = c->history.len;
    add(&c->history, text);
    c->sizes[(c->first + c->n++) % HISTORY_MESSAGES] = c->history.len - before;
}

/* --- the model's side --- */
static void answer(struct chat *c, struct span text)
{
    struct bytes frame = { 0 };
    remember(c, model_add_assistant, text);
    long asked = c->seq++;
    bytes_addf(&frame,
               "{\"type\":\"message\",\"seq\":%ld,\"id\":\"m%ld\",\"from\":\"bot\",\"text\":\"%.*s\",\"done\":true,"
               "\"reply_to\":\"%s\",\"reply_seq\":%ld}",
               c->seq, asked, (int)text.len, text.data, c->id, asked);
    ws_add(&c->side.end.out, false, frame.data, frame.len);
    end_flush(&c->side.end);
    bytes_free(&frame);
}

static void on_model(struct side *s)
{
    struct model *m = (struct model *)s;
    struct chat *c = m->chat;
    struct bytes text = { 0 };
    if (!end_read(&s->end))
        die("the model has closed the connection");
    if (!model_take_answer(&s->end.in, &text))
        return;
    m->chat = NULL;
    m->next_idle = idle;
    idle = m;
    if (c) {
        c->model = NULL;
        answer(c, (struct span){ text.data, text.len });
        next_frame(c);
    }
    bytes_free(&text);
}

static struct model *some_model(void)
{
    struct model *m = idle;
    if (m) {
        idle = m->next_idle;
        return m;
    }
    m = calloc(1, sizeof *m);
    m->side.readable = on_model;
    end_connect(&m->side.end, poller, model_port);
    return m;
}

/* --- the person's side --- */
static void say(struct chat *c, const struct bytes *frame)
{
    ws_add(&c->side.end.out, false, frame->data, frame->len);
    end_flush(&c->side.end);
}

static void welcome(struct chat *c)
{
    unsigned char secret[VISITOR_BYTES];
    struct bytes frame = { 0 };
    if (getrandom(secret, sizeof secret, 0) != sizeof secret)
        die("getrandom: %s", strerror(errno));
    bytes_addf(&frame, "{\"type\":\"welcome\",\"visitor\":\"v");
    for (size_t i = 0; i < sizeof secret; i++)
        bytes_addf(&frame, "%02x", secret[i]);
    bytes_addf(&frame, "\",\"room\":\"\",\"bot\":\"floor\",\"last\":%ld}", c->seq);
    say(c, &frame);
    bytes_free(&frame);
}

static void ask(struct chat *c, struct span frame)
{
    struct span id = json_string(frame, "id");
    struct bytes ack = { 0 };
    if (!id.data || id.len >= ID_BYTES)
        die("a message without a fitting id: %.*s", (int)frame.len, frame.data);
    memcpy(c->id, id.data, id.len);
    c->id[id.len] = '\0';
    bytes_addf(&ack, "{\"type\":\"ack\",\"id\":\"%s\",\"seq\":%ld}", c->id, ++c->seq);
    say(c, &ack);
    bytes_free(&ack);
    remember(c, model_add_user, json_string(frame, "text"));
    c->model = some_model();
    c->model->chat = c;
    model_ask(&c->model->side.end, (struct span){ c->history.data, c->history.len });
}

/* One after the other: what comes while the model answers waits where it is. */
static void next_frame(struct chat *c)
{
    struct span frame;
    size_t size;
    while (!c->model && (size = ws_peek(&c->side.end.in, &frame)) > 0) {
        struct span type = json_string(frame, "type");
        if (span_is(type, "hello"))
            welcome(c);
        else if (span_is(type, "message"))
            ask(c, frame);
        bytes_drop(&c->side.end.in, size);
    }
}

static void shake_hands(struct chat *c)
{
    struct bytes head = { 0 };
    char accept[SHA1_BASE64_BYTES];
    if (take_head(&c->side.end.in, &head)) {
        struct span key = span_find((struct span){ head.data, head.len }, "Sec-WebSocket-Key: ");
        if (!key.data)
            die("an upgrade without a key");
        websocket_accept(key.data + strlen("Sec-WebSocket-Key: "), accept);
        bytes_addf(&c->side.end.out,
                   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   "Sec-WebSocket-Accept: %s\r\n\r\n",
                   accept);
        end_flush(&c->side.end);
        c->open = true;
    }
    bytes_free(&head);
}

static void on_chat(struct side *s)
{
    struct chat *c = (struct chat *)s;
    if (!end_read(&s->end)) {
        if (c->model)
            c->model->chat = NULL;
        end_close(&s->end);
        bytes_free(&c->history);
        free(c);
        return;
    }
    if (!c->open)
        shake_hands(c);
    if (c->open)
        next_frame(c);
}

static void on_listener(struct side *s)
{
    int fd;
    while ((fd = accept4(s->end.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct chat *c = calloc(1, sizeof *c);
        c->side.readable = on_chat;
        end_accepted(&c->side.end, poller, fd);
    }
}

static void serve(void)
{
    struct epoll_event events[EVENTS_MAX];
    for (;;) {
        int n = epoll_wait(poller, events, EVENTS_MAX, -1);
        for (int i = 0; i < n; i++) {
            struct side *s = events[i].data.ptr;
            if (events[i].events & EPOLLOUT)
                end_flush(&s->end);
            if (events[i].events & ~(uint32_t)EPOLLOUT)
                s->readable(s);
        }
    }
}

int main(int argc, char **argv)
{
    static struct side listener = { .readable = on_listener };
    int port;
    if (argc != 2)
        die("usage: floor MODEL_PORT");
    model_port = (int)strtol(argv[1], NULL, 10);
    poller = epoll_create1(EPOLL_CLOEXEC);
    allow_many_files();
    end_accepted(&listener.end, poller, listen_loopback(&port));
    printf("%d\n", port);
    fflush(stdout);
    serve();
}
