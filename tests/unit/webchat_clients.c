#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "plugin/base/json.h"
#include "plugin/base/mem.h"
#include "tests/unit/webchat_world.h"

#define FRAMES_BYTES_MAX (64U * 1024 * 1024)
#define TEXT_BYTES_MAX (1U * 1024 * 1024)

/* --- WebSocket --- */

static void *on_open(void *arg, struct ws *ws, const struct http_in *upgrade)
{
    struct client *c = arg;

    (void)upgrade;
    c->ws = ws;
    c->open = true;
    return c;
}

static void on_frame(void *conn, const char *data, size_t len, bool binary)
{
    struct client *c = conn;

    assert_false(binary);
    buf_add(&c->frames, data, len);
    buf_addc(&c->frames, '\0');
    assert_int_equal(buf_error(&c->frames), ERR_OK);
}

static void on_closed(void *conn, int code, const struct err *e)
{
    struct client *c = conn;

    (void)e;
    c->ws = NULL;
    c->closed = true;
    c->code = code;
}

static bool is_settled(void *arg)
{
    const struct client *c = arg;

    return c->open || c->closed;
}

struct client *client_open(struct world *w, const char *origin)
{
    static const struct ws_handler handler = { .open = on_open, .message = on_frame, .closed = on_closed };
    const struct ws_limits limits = { .max_message_bytes = TEXT_BYTES_MAX * 4, .max_queue_bytes = TEXT_BYTES_MAX * 4,
                                      .ping_ms = 3600000, .hangup_ms = 7200000 };
    struct client *c = mem_alloc(sizeof *c);
    struct err e = ERR_INIT;
    char url[64];

    snprintf(url, sizeof url, "ws://127.0.0.1:%d/chat/ws", server_port(w->server));
    c->w = w;
    buf_init(&c->frames, FRAMES_BYTES_MAX);
    c->ws = ws_connect(w->loop, &(struct ws_connect){ .url = url, .origin = origin, .connect_timeout_ms = 5000 },
                       &handler, &limits, c, &e);
    assert_non_null(c->ws);
    world_until(w, is_settled, c, "a connection");
    return c;
}

void client_free(struct client **client)
{
    struct client *c = *client;

    ws_abort(&c->ws);
    buf_free(&c->frames);
    free(c->visitor);
    free(c);
    *client = NULL;
}

static __attribute__((format(printf, 1, 0))) char *formatted(const char *fmt, va_list args)
{
    va_list again;
    char *text;
    int len;

    va_copy(again, args);
    len = vsnprintf(NULL, 0, fmt, args);
    text = mem_alloc((size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, fmt, again);
    va_end(again);
    return text;
}

void client_say(struct client *c, const char *fmt, ...)
{
    char *text;
    va_list args;

    va_start(args, fmt);
    text = formatted(fmt, args);
    va_end(args);
    assert_non_null(c->ws);
    assert_int_equal(ws_send(c->ws, text, strlen(text)), ERR_OK);
    free(text);
}

static bool has_frame(void *arg)
{
    const struct client *c = arg;

    return c->read < c->frames.len || c->closed;
}

const char *client_next(struct client *c)
{
    const char *frame;

    world_until(c->w, has_frame, c, "a frame");
    if (c->read >= c->frames.len)
        fail_msg("closed with %d instead of a frame", c->code);
    frame = c->frames.data + c->read;
    c->read += strlen(frame) + 1;
    return frame;
}

void client_expect(struct client *c, const char *fmt, ...)
{
    char *want;
    va_list args;

    va_start(args, fmt);
    want = formatted(fmt, args);
    va_end(args);
    assert_string_equal(client_next(c), want);
    free(want);
}

/* Whatever was on its way comes before the answer to nonsense. */
void client_expect_nothing(struct client *c)
{
    world_turns(c->w, 20);
    client_say(c, "nonsense");
    client_expect(c, "{\"type\":\"error\",\"code\":\"bad_frame\",\"text\":\"this is not JSON\"}");
}

static bool is_closed(void *arg)
{
    return ((struct client *)arg)->closed;
}

void client_expect_close(struct client *c, int code)
{
    world_until(c->w, is_closed, c, "the end of a connection");
    assert_int_equal(c->code, code);
}

static cJSON *next_json(struct client *c, const char *type)
{
    const char *frame = client_next(c);
    cJSON *tree = json_parse(frame, strlen(frame));

    if (!tree || !json_str(tree, "type") || strcmp(json_str(tree, "type"), type) != 0)
        fail_msg("%s instead of %s", frame, type);
    return tree;
}

void client_hello(struct client *c, const char *members)
{
    cJSON *welcome;

    client_say(c, "{\"type\":\"hello\"%s}", members);
    welcome = next_json(c, "welcome");
    free(c->visitor);
    c->visitor = mem_dup(json_str(welcome, "visitor"));
    c->last = json_int(welcome, "last", -1);
    assert_string_equal(json_str(welcome, "bot"), "warbler");
    assert_true(identity_plausible(c->visitor, IDENTITY_VISITOR));
    identity_of(&c->id, IDENTITY_VISITOR, c->w->account.name, c->visitor);
    cJSON_Delete(welcome);
}

struct client *client_new(struct world *w, const char *visitor, const char *members)
{
    struct client *c = client_open(w, NULL);
    char all[512];

    snprintf(all, sizeof all, visitor ? ",\"visitor\":\"%s\"%s" : "%s%s", visitor ? visitor : "", members);
    client_hello(c, all);
    return c;
}

int64_t client_message(struct client *c, const char *id, const char *text)
{
    int64_t seq;
    cJSON *ack;

    client_say(c, "{\"type\":\"message\",\"id\":\"%s\",\"text\":\"%s\"}", id, text);
    ack = next_json(c, "ack");
    assert_string_equal(json_str(ack, "id"), id);
    seq = json_int(ack, "seq", -1);
    cJSON_Delete(ack);
    return seq;
}

/* --- HTTP --- */

static void peer_send(struct peer *r, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(r->fd, data, len, MSG_NOSIGNAL);

        if (n > 0) {
            data += n;
            len -= (size_t)n;
        } else {
            assert_int_equal(errno, EAGAIN);
        }
        world_turns(r->w, 1);
    }
}

struct peer *peer_open(struct world *w, const char *head, const char *body)
{
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)server_port(w->server)) };
    struct peer *r = mem_alloc(sizeof *r);
    int little = 4096; /* so that it does not take much to be a slow reader */
    struct buf text;

    inet_pton(AF_INET, "127.0.0.1", &sa.sin_addr);
    r->w = w;
    buf_init(&r->in, FRAMES_BYTES_MAX);
    r->fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(r->fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
    assert_int_equal(connect(r->fd, (struct sockaddr *)&sa, sizeof sa), 0);
    buf_init(&text, TEXT_BYTES_MAX);
    buf_adds(&text, head);
    if (!strstr(head, "Host:"))
        buf_adds(&text, "Host: localhost\r\n");
    if (!strstr(head, "Connection:"))
        buf_adds(&text, "Connection: close\r\n");
    if (body)
        buf_addf(&text, "Content-Length: %zu\r\n", strlen(body));
    buf_addf(&text, "\r\n%s", body ? body : "");
    assert_int_equal(buf_error(&text), ERR_OK);
    peer_send(r, text.data, text.len);
    buf_free(&text);
    return r;
}

struct peer *peer_ws(struct world *w, const char *headers)
{
    char head[1024];

    snprintf(head, sizeof head,
             "GET /chat/ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s",
             headers);
    return peer_open(w, head, NULL);
}

/* RFC 6455 section 5.2; a mask of zeros is one, too. */
void peer_frame(struct peer *r, int opcode, const char *data, size_t len)
{
    unsigned char head[8] = { (unsigned char)(0x80 | opcode), (unsigned char)(0x80 | (len < 126 ? len : 126)) };
    size_t head_len = 2;

    if (len >= 126) {
        head[head_len++] = (unsigned char)(len >> 8);
        head[head_len++] = (unsigned char)len;
    }
    peer_send(r, (const char *)head, head_len + 4);
    peer_send(r, data, len);
}

void peer_say(struct peer *r, const char *text)
{
    peer_frame(r, 1, text, strlen(text));
}

static void peer_read(struct peer *r)
{
    char part[65536];
    ssize_t n;

    if (r->eof)
        return;
    n = recv(r->fd, part, sizeof part, MSG_DONTWAIT);
    if (n > 0) {
        buf_add(&r->in, part, (size_t)n);
        r->w->arrived += (uint64_t)n;
    }
    r->eof = n == 0;
}

struct wanted {
    struct peer *r;
    const char *part;
    size_t searched; /* bytes that hold no beginning of it */
};

static bool has_part(void *arg)
{
    struct wanted *wanted = arg;
    const struct buf *in = &wanted->r->in;
    size_t len = strlen(wanted->part);

    peer_read(wanted->r);
    if (memmem(buf_str(in) + wanted->searched, in->len - wanted->searched, wanted->part, len))
        return true;
    wanted->searched = in->len < len ? 0 : in->len - len + 1;
    return false;
}

const char *peer_until(struct peer *r, const char *part)
{
    world_until(r->w, has_part, &(struct wanted){ .r = r, .part = part }, part);
    return buf_str(&r->in);
}

static bool at_end(void *arg)
{
    struct peer *r = arg;

    peer_read(r);
    return r->eof;
}

const char *peer_all(struct peer *r)
{
    world_until(r->w, at_end, r, "the end of an answer");
    return buf_str(&r->in);
}

const char *peer_body(struct peer *r)
{
    const char *end = strstr(peer_all(r), "\r\n\r\n");

    return end ? end + 4 : "";
}

int peer_status(struct peer *r)
{
    const char *head = peer_until(r, "\r\n\r\n");

    assert_int_equal(strncmp(head, "HTTP/1.1 ", 9), 0);
    return (int)strtol(head + 9, NULL, 10);
}

void peer_free(struct peer **peer)
{
    close((*peer)->fd);
    buf_free(&(*peer)->in);
    free(*peer);
    *peer = NULL;
}
