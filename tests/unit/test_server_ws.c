/* server_ws.c, ws_conn.c: the server's WebSockets down to the frame. */
#include <stdio.h>
#include <string.h>

#include "plugin/base/clock.h"
#include "plugin/net/server.h"
#include "tests/unit/net_util.h"

#define MAX_MESSAGE 2000
#define MAX_QUEUE 10000
#define PING_MS 10000
#define HANGUP_MS 15000
#define WS_PATIENCE_MS 5000 /* with a peer that is to be closed */

static struct loop *loop;
static struct server *server;
static char ws_route[] = "route";
static char seen_origin[64];

struct peer {
    struct ws *ws;
    int opened, closed, code, drained, messages;
    bool binary, ended;
    int wanted; /* messages */
    bool enough;
    enum err_code reason;
    size_t last_len;
    char last[MAX_MESSAGE + 1];
};

static struct peer peer; /* one at a time */
static int refuse_with;

static int ws_check(void *arg, const struct http_in *upgrade)
{
    (void)arg;
    snprintf(seen_origin, sizeof seen_origin, "%s", http_in_header(upgrade, "origin") ? http_in_header(upgrade, "origin") : "");
    return refuse_with;
}

static void *ws_opened(void *arg, struct ws *ws, const struct http_in *upgrade)
{
    assert_ptr_equal(arg, ws_route);
    assert_string_equal(http_in_path(upgrade), "/ws");
    assert_string_equal(ws_peer(ws), "127.0.0.1");
    peer.ws = ws;
    peer.opened++;
    return &peer;
}

static void ws_message(void *conn, const char *data, size_t len, bool binary)
{
    struct peer *p = conn;

    assert_ptr_equal(p, &peer);
    assert_true(len <= MAX_MESSAGE);
    p->enough = ++p->messages == p->wanted;
    p->binary = binary;
    p->last_len = len;
    memcpy(p->last, data, len);
    p->last[len] = '\0';
    if (len == 4 && memcmp(data, "echo", 4) == 0)
        assert_int_equal(ws_send(p->ws, data, len), ERR_OK);
    if (len == 3 && memcmp(data, "bye", 3) == 0)
        ws_close(p->ws, 4000, "as you wish");
}

static void ws_drained(void *conn)
{
    ((struct peer *)conn)->drained++;
}

static void ws_closed(void *conn, int code, const struct err *e)
{
    struct peer *p = conn;

    assert_ptr_equal(p, &peer);
    p->closed++;
    p->code = code;
    p->reason = e->code;
    p->ended = true;
    p->ws = NULL;
}

static const struct ws_handler ws_handler = {
    .check = ws_check, .open = ws_opened, .message = ws_message, .drained = ws_drained, .closed = ws_closed,
};

static int set_up(void **state)
{
    const struct server_config conf = {"127.0.0.1", 0, 1000, 3000};
    const struct ws_limits limits = {MAX_MESSAGE, MAX_QUEUE, PING_MS, HANGUP_MS};
    struct err e = ERR_INIT;

    (void)state;
    loop = net_loop_new();
    assert_int_equal(server_new(loop, &conf, &server, &e), ERR_OK);
    server_ws_route(server, "/ws", &ws_handler, &limits, ws_route);
    refuse_with = 0;
    peer = (struct peer){0};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    server_free(&server);
    loop_turn(loop, false);
    loop_free(&loop);
    return 0;
}

static void open_tcp(struct tcp *r)
{
    tcp_open(r, loop, server_port(server));
}

/* Sends a request, expects an answer that begins with `expected`. */
static void ask(const char *request, const char *expected)
{
    struct tcp r;

    open_tcp(&r);
    tcp_says(&r, request);
    tcp_until(&r, "\r\n\r\n");
    if (strncmp(buf_str(&r.in), expected, strlen(expected)) != 0)
        fail_msg("%s\n=>\n%s", request, buf_str(&r.in));
    tcp_close(&r);
}

#define WS_KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define UPGRADE                                                                                  \
    "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"               \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " WS_KEY "\r\n"

#define FIN 0x80
#define TEXT 1
#define BINARY 2
#define CLOSE 8
#define PING 9
#define PONG 10

static void ws_shake(struct tcp *r)
{
    open_tcp(r);
    tcp_says(r, UPGRADE "\r\n");
    tcp_until(r, "\r\n\r\n");
    assert_memory_equal(r->in.data, "HTTP/1.1 101 ", 13);
    assert_int_equal(peer.opened, 1);
    buf_reset(&r->in);
}

static void frame_head(struct tcp *r, int first, size_t len)
{
    unsigned char head[14] = {(unsigned char)first};
    size_t n = 2;

    if (len < 126) {
        head[1] = (unsigned char)(0x80 | len);
    } else if (len < 65536) {
        head[1] = 0x80 | 126;
        head[2] = (unsigned char)(len >> 8);
        head[3] = (unsigned char)len;
        n = 4;
    } else {
        head[1] = 0x80 | 127;
        for (int i = 0; i < 8; i++)
            head[2 + i] = (unsigned char)((uint64_t)len >> (56 - 8 * i));
        n = 10;
    }
    tcp_send(r, head, n + 4); /* the mask is zero */
}

static void send_frame(struct tcp *r, int first, const char *data, size_t len)
{
    frame_head(r, first, len);
    tcp_send(r, data, len);
}

static void until_messages(int n)
{
    peer.wanted = n;
    peer.enough = peer.messages == n;
    net_until(loop, &peer.enough);
}

static void until_closed(struct tcp *r, int code)
{
    tcp_until_bytes(r, 4);
    assert_int_equal((unsigned char)r->in.data[0], FIN | CLOSE);
    assert_int_equal((unsigned char)r->in.data[2] << 8 | (unsigned char)r->in.data[3], code);
    send_frame(r, FIN | CLOSE, r->in.data + 2, 2);
    net_until(loop, &peer.ended);
    assert_int_equal(peer.closed, 1);
    assert_int_equal(peer.code, code);
}

static void test_ws_handshakes(void **state)
{
    static const char base[] = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
    static const struct {
        const char *headers, *begins;
    } cases[] = {
        {"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " WS_KEY "\r\n", "HTTP/1.1 101 "},
        {"Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: " WS_KEY "\r\n", "HTTP/1.1 426 "},
        {"Sec-WebSocket-Key: " WS_KEY "\r\n", "HTTP/1.1 426 "},
        {"Sec-WebSocket-Version: 13\r\n", "HTTP/1.1 400 "},
        {"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " WS_KEY "\r\nContent-Length: 1\r\n", "HTTP/1.1 400 "},
        {"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n", "HTTP/1.1 400 "},
        {"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\xff\r\n", "HTTP/1.1 400 "},
    };
    char request[512];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(request, sizeof request, "%s%s\r\nx", base, cases[i].headers);
        ask(request, cases[i].begins);
    }
}

static void test_ws_selects_nothing(void **state)
{
    struct tcp r;

    (void)state;
    open_tcp(&r);
    tcp_says(&r, UPGRADE "Sec-WebSocket-Protocol: chat, ws, superchat\r\n"
                         "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nOrigin: http://x\r\n\r\n");
    tcp_until(&r, "\r\n\r\n");
    assert_memory_equal(r.in.data, "HTTP/1.1 101 ", 13);
    assert_non_null(strstr(r.in.data, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_null(strstr(r.in.data, "Protocol:"));
    assert_null(strstr(r.in.data, "Extensions:"));
    assert_string_equal(seen_origin, "http://x");
    tcp_close(&r);
}

static void test_ws_refused_by_its_owner(void **state)
{
    (void)state;
    refuse_with = 403;
    ask(UPGRADE "\r\n", "HTTP/1.1 403 Forbidden\r\n");
    assert_int_equal(peer.opened, 0);
    assert_int_equal(peer.closed, 0);
}

static void test_ws_messages(void **state)
{
    struct tcp r;

    (void)state;
    ws_shake(&r);
    send_frame(&r, FIN | TEXT, "echo", 4);
    tcp_until_bytes(&r, 6);
    assert_memory_equal(r.in.data, "\x81\x04" "echo", 6);
    assert_int_equal(peer.drained, 1);
    send_frame(&r, FIN | BINARY, "\xff\x00\x01", 3);
    until_messages(2);
    assert_true(peer.binary);
    assert_int_equal(peer.last_len, 3);
    send_frame(&r, FIN | TEXT, "", 0);
    until_messages(3);
    assert_false(peer.binary);
    assert_int_equal(peer.last_len, 0);
    send_frame(&r, TEXT, "one ", 4); /* fragments, with a ping between */
    send_frame(&r, 0, "two ", 4);
    send_frame(&r, FIN | PING, "hi", 2);
    send_frame(&r, 0, "", 0);
    send_frame(&r, FIN, "three", 5);
    until_messages(4);
    assert_string_equal(peer.last, "one two three");
    tcp_until(&r, "\x8a\x02hi");
    tcp_close(&r);
    net_until(loop, &peer.ended);
    assert_int_equal(peer.code, 0);
    assert_int_equal(peer.reason, ERR_NET);
}

/* The first frame in one packet with the request. */
static void test_ws_frame_behind_the_upgrade(void **state)
{
    const char both[] = UPGRADE "\r\n\x81\x84\0\0\0\0echo";
    struct tcp r;

    (void)state;
    open_tcp(&r);
    tcp_send(&r, both, sizeof both - 1);
    tcp_until(&r, "\x81\x04" "echo");
    assert_int_equal(peer.opened, 1);
    tcp_close(&r);
}

static void test_ws_utf8(void **state)
{
    static const struct {
        const char *text;
        bool good;
    } cases[] = {
        {"\xE4\xBD\xA0", true}, {"\xE4\xBD", false}, {"\xFF", false}, {"\xED\xA0\x80", false}, {"a\xC0\x80", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tcp r;

        peer = (struct peer){0};
        ws_shake(&r);
        send_frame(&r, TEXT, cases[i].text, 1); /* split inside a character */
        send_frame(&r, FIN, cases[i].text + 1, strlen(cases[i].text) - 1);
        if (cases[i].good)
            until_messages(1);
        else
            until_closed(&r, WS_CLOSE_BAD_DATA);
        assert_int_equal(peer.messages, cases[i].good);
        tcp_close(&r);
        net_until(loop, &peer.ended);
    }
}

static void test_ws_message_limit(void **state)
{
    static char data[MAX_MESSAGE + 1];
    struct tcp r;

    (void)state;
    memset(data, 'm', sizeof data);
    ws_shake(&r);
    send_frame(&r, FIN | TEXT, data, MAX_MESSAGE);
    until_messages(1);
    assert_int_equal(peer.last_len, MAX_MESSAGE);
    send_frame(&r, FIN | TEXT, data, MAX_MESSAGE + 1);
    until_closed(&r, WS_CLOSE_TOO_LARGE);
    assert_int_equal(peer.messages, 1);
    tcp_close(&r);
}

static void test_ws_message_limit_over_fragments(void **state)
{
    static char data[MAX_MESSAGE];
    struct tcp r;

    (void)state;
    memset(data, 'm', sizeof data);
    ws_shake(&r);
    send_frame(&r, TEXT, data, MAX_MESSAGE - 1);
    send_frame(&r, 0, data, 1);
    net_turns(loop, 5);
    send_frame(&r, FIN, data, 1);
    until_closed(&r, WS_CLOSE_TOO_LARGE);
    assert_int_equal(peer.messages, 0);
    tcp_close(&r);
}

/* Refused by the length that its head announces, before the payload came. */
static void test_ws_announced_size(void **state)
{
    struct tcp r;

    (void)state;
    ws_shake(&r);
    frame_head(&r, FIN | TEXT, (size_t)1 << 40);
    tcp_send(&r, "x", 1);
    until_closed(&r, WS_CLOSE_TOO_LARGE);
    tcp_close(&r);
}

static void test_ws_nonsense(void **state)
{
    static const char *const frames[] = {
        "\x83\x80\0\0\0\0", /* reserved opcode */
        "\xC1\x80\0\0\0\0", /* reserved bit */
        "\x80\x80\0\0\0\0", /* continues nothing */
        "\x09\x80\0\0\0\0", /* fragmented ping */
    };

    (void)state;
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        struct tcp r;

        peer = (struct peer){0};
        ws_shake(&r);
        tcp_send(&r, frames[i], 6);
        tcp_until(&r, "\x03\xea"); /* 1002 */
        tcp_close(&r);
        net_until(loop, &peer.ended);
        assert_int_equal(peer.messages, 0);
        assert_int_equal(peer.closed, 1);
    }
}

static void test_ws_close_by_peer(void **state)
{
    struct tcp r;

    (void)state;
    ws_shake(&r);
    send_frame(&r, FIN | CLOSE, "\x0f\xa2tired", 7); /* 4002 */
    net_until(loop, &peer.ended);
    assert_int_equal(peer.code, 4002);
    assert_int_equal(peer.reason, ERR_OK);
    tcp_until(&r, "\x0f\xa2");
    tcp_close(&r);
}

static void test_ws_close_by_us(void **state)
{
    struct tcp r;

    (void)state;
    ws_shake(&r);
    assert_int_equal(ws_send(peer.ws, "last words", 10), ERR_OK);
    ws_close(peer.ws, 4001, "enough");
    ws_close(peer.ws, 4009, "not this one");
    assert_int_equal(ws_send(peer.ws, "x", 1), ERR_NET);
    assert_int_equal(peer.closed, 0); /* never from inside */
    tcp_until(&r, "\x81\x0alast words\x88\x08\x0f\xa1" "enough");
    send_frame(&r, FIN | TEXT, "too late", 8);
    send_frame(&r, FIN | CLOSE, "\x0f\xa1", 2);
    net_until(loop, &peer.ended);
    assert_int_equal(peer.code, 4001);
    assert_int_equal(peer.messages, 0);
    tcp_close(&r);
}

static void test_ws_close_from_its_callback(void **state)
{
    struct tcp r;

    (void)state;
    ws_shake(&r);
    send_frame(&r, FIN | TEXT, "bye", 3);
    tcp_until(&r, "\x0f\xa0" "as you wish");
    send_frame(&r, FIN | CLOSE, "\x0f\xa0", 2);
    net_until(loop, &peer.ended);
    assert_int_equal(peer.code, 4000);
    tcp_close(&r);
}

static void test_ws_queue_limit(void **state)
{
    static char data[MAX_QUEUE + 1];
    static char big[1000];
    struct tcp r;
    int sent = 0;
    enum err_code code;

    (void)state;
    ws_shake(&r);
    assert_int_equal(ws_send(peer.ws, data, MAX_QUEUE + 1), ERR_TOO_LARGE);
    assert_int_equal(ws_send(peer.ws, data, MAX_QUEUE - 1), ERR_OK);
    assert_int_equal(ws_queued(peer.ws), MAX_QUEUE - 1);
    assert_int_equal(ws_send(peer.ws, data, 2), ERR_BUSY);
    assert_int_equal(ws_send(peer.ws, data, 1), ERR_OK);
    assert_int_equal(ws_queued(peer.ws), MAX_QUEUE);
    tcp_until_bytes(&r, 4 + MAX_QUEUE - 1 + 2 + 1);
    assert_int_equal(ws_queued(peer.ws), 0);
    assert_true(peer.drained >= 1);
    watch_set(r.watch, 0); /* now it does not read */
    do {
        code = ws_send(peer.ws, big, sizeof big);
        sent += code == ERR_OK;
        loop_turn(loop, false);
    } while (code == ERR_OK && sent < 100000);
    assert_int_equal(code, ERR_BUSY);
    peer.drained = 0;
    buf_reset(&r.in);
    watch_set(r.watch, WATCH_READ);
    tcp_until_bytes(&r, (size_t)sent * (4 + sizeof big));
    assert_true(peer.drained >= 1);
    assert_int_equal(r.in.len, (size_t)sent * (4 + sizeof big));
    tcp_close(&r);
}

static void test_ws_server_goes(void **state)
{
    struct tcp r;

    (void)state;
    ws_shake(&r);
    server_free(&server);
    tcp_until_eof(&r);
    assert_memory_equal(r.in.data, "\x88\x02\x03\xe9", 4); /* 1001 */
    assert_int_equal(peer.closed, 0); /* no callbacks after */
    tcp_close(&r);
}

static void test_ws_pings(void **state)
{
    struct tcp r;

    (void)state;
    ws_shake(&r);
    for (int i = 0; i < 3; i++) {
        buf_reset(&r.in);
        clock_test_advance(PING_MS - 1);
        net_turns(loop, 5);
        assert_int_equal(r.in.len, 0);
        clock_test_advance(1);
        tcp_until_bytes(&r, 3);
        assert_memory_equal(r.in.data, "\x89\x01", 2);
        send_frame(&r, FIN | PONG, r.in.data + 2, 1);
        net_turns(loop, 5);
    }
    assert_int_equal(peer.closed, 0);
    tcp_close(&r);
}

static void test_ws_hangs_up_on_silence(void **state)
{
    struct tcp r;

    (void)state;
    ws_shake(&r);
    clock_test_advance(PING_MS);
    net_turns(loop, 5);
    clock_test_advance(HANGUP_MS - PING_MS - 1);
    net_turns(loop, 5);
    assert_int_equal(peer.closed, 0);
    clock_test_advance(1);
    net_turns(loop, 5);
    assert_int_equal(peer.closed, 1);
    assert_int_equal(peer.code, 0);
    assert_int_equal(peer.reason, ERR_TIMEOUT);
    while (!r.eof)
        loop_turn(loop, false);
    tcp_close(&r);
}

/* Fills the queue of a peer that does not read for now; returns how many bytes it was promised. */
static size_t fill_queue(struct tcp *r)
{
    static char big[1000];
    size_t bytes = 0;

    watch_set(r->watch, 0);
    while (ws_send(peer.ws, big, sizeof big) == ERR_OK) {
        bytes += 4 + sizeof big;
        loop_turn(loop, false);
    }
    return bytes;
}

static void test_ws_close_behind_a_full_queue(void **state)
{
    struct tcp r;
    size_t bytes;

    (void)state;
    ws_shake(&r);
    bytes = fill_queue(&r);
    ws_close(peer.ws, 4001, "");
    net_turns(loop, 10);
    watch_set(r.watch, WATCH_READ);
    tcp_until_bytes(&r, bytes + 4);
    assert_int_equal(r.in.len, bytes + 4);
    assert_memory_equal(r.in.data + bytes, "\x88\x02\x0f\xa1", 4);
    send_frame(&r, FIN | CLOSE, "\x0f\xa1", 2);
    net_until(loop, &peer.ended);
    assert_int_equal(peer.code, 4001);
    tcp_close(&r);
}

/* Waiting for a peer must not keep the loop busy. */
static void test_ws_full_queue_lets_the_loop_sleep(void **state)
{
    struct tcp r;

    (void)state;
    ws_shake(&r);
    net_sleeps(loop);
    fill_queue(&r);
    net_sleeps(loop);
    tcp_close(&r);
    net_until(loop, &peer.ended);
}

/* Closed by us while it reads nothing: not for ever. */
static void test_ws_close_to_a_peer_that_does_not_read(void **state)
{
    struct tcp r;

    (void)state;
    ws_shake(&r);
    fill_queue(&r);
    ws_close(peer.ws, 4001, "");
    net_turns(loop, 10);
    assert_int_equal(peer.closed, 0);
    clock_test_advance(WS_PATIENCE_MS);
    net_turns(loop, 10);
    assert_int_equal(peer.closed, 1);
    assert_int_equal(peer.code, 4001);
    tcp_close(&r);
}

#define CONNECTIONS 300

static void test_many_websockets(void **state)
{
    static struct tcp r[CONNECTIONS];

    (void)state;
    for (int i = 0; i < CONNECTIONS; i++) {
        peer = (struct peer){0};
        ws_shake(&r[i]);
    }
    for (int i = 0; i < CONNECTIONS; i++)
        tcp_close(&r[i]);
    peer.ended = false;
    while (peer.closed < CONNECTIONS) {
        net_until(loop, &peer.ended);
        peer.ended = false;
    }
    assert_int_equal(peer.closed, CONNECTIONS);
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest real[] = {
        T(test_ws_handshakes),
        T(test_ws_selects_nothing),
        T(test_ws_refused_by_its_owner),
        T(test_ws_messages),
        T(test_ws_frame_behind_the_upgrade),
        T(test_ws_utf8),
        T(test_ws_message_limit),
        T(test_ws_message_limit_over_fragments),
        T(test_ws_announced_size),
        T(test_ws_nonsense),
        T(test_ws_close_by_peer),
        T(test_ws_close_by_us),
        T(test_ws_close_from_its_callback),
        T(test_ws_queue_limit),
        T(test_ws_close_behind_a_full_queue),
        T(test_ws_full_queue_lets_the_loop_sleep),
        T(test_ws_server_goes),
        T(test_many_websockets),
    };
    const struct CMUnitTest frozen[] = {
        T(test_ws_pings),
        T(test_ws_hangs_up_on_silence),
        T(test_ws_close_to_a_peer_that_does_not_read),
    };
    int failed = cmocka_run_group_tests(real, NULL, NULL);

    clock_test_freeze(1000);
    return failed + cmocka_run_group_tests(frozen, NULL, NULL);
}
