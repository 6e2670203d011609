/* ws.c, ws_conn.c: the client's WebSockets, against our own server and against
 * one that answers from a script. */
#include <stdio.h>
#include <string.h>

#include "plugin/base/clock.h"
#include "plugin/net/ws.h"
#include "tests/unit/net_util.h"

#define MAX_MESSAGE 100000
#define MAX_QUEUE 200000
#define CONNECT_MS 5000
#define PING_MS 10000
#define HANGUP_MS 15000

static const struct ws_limits limits = {MAX_MESSAGE, MAX_QUEUE, PING_MS, HANGUP_MS};

static struct loop *loop;
static struct server *server;

/* One side of a connection. */
struct side {
    struct ws *ws;
    int opened, closed, code, messages;
    bool is_open, ended, got;
    struct err e;
    size_t last_len;
    bool binary;
    char last[64];
    char header[64]; /* server: Origin */
    bool echoes, aborts_in_open, aborts_in_message, closes_in_message;
};

static struct side them; /* the server's */
static struct ws_limits ours;

static void on_message(void *conn, const char *data, size_t len, bool binary)
{
    struct side *s = conn;

    s->messages++;
    s->got = true;
    s->binary = binary;
    s->last_len = len;
    snprintf(s->last, sizeof s->last, "%.*s", (int)len, data);
    if (s->echoes)
        assert_int_equal(binary ? ws_send_binary(s->ws, data, len) : ws_send(s->ws, data, len), ERR_OK);
    if (s->closes_in_message)
        ws_close(s->ws, 4003, "heard");
    if (s->aborts_in_message)
        ws_abort(&s->ws);
}

static void on_closed(void *conn, int code, const struct err *e)
{
    struct side *s = conn;

    s->closed++;
    s->code = code;
    s->e = *e;
    s->ended = true;
    s->ws = NULL;
}

static void *on_accept(void *arg, struct ws *ws, const struct http_in *upgrade)
{
    struct side *s = arg;
    const char *origin = http_in_header(upgrade, "origin");

    s->ws = ws;
    s->opened++;
    s->is_open = true;
    snprintf(s->header, sizeof s->header, "%s", origin ? origin : "");
    return s;
}

static void *on_open(void *arg, struct ws *ws, const struct http_in *upgrade)
{
    struct side *s = arg;

    assert_null(upgrade);
    assert_ptr_equal(s->ws, ws);
    s->opened++;
    s->is_open = true;
    if (s->aborts_in_open)
        ws_abort(&s->ws);
    return s;
}

static const struct ws_handler accepts = {.open = on_accept, .message = on_message, .closed = on_closed};
static const struct ws_handler connects = {.open = on_open, .message = on_message, .closed = on_closed};

static int set_up(void **state)
{
    const struct server_config conf = {"127.0.0.1", 0, 1000, 3000};
    struct err e = ERR_INIT;

    (void)state;
    loop = net_loop_new();
    assert_int_equal(server_new(loop, &conf, &server, &e), ERR_OK);
    them = (struct side){0};
    ours = limits;
    server_ws_route(server, "/ws", &accepts, &limits, &them);
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

static void connect_url(struct side *s, const char *url, const char *subprotocol, const char *origin)
{
    const struct ws_connect conf = {
        .url = url, .subprotocol = subprotocol, .origin = origin, .connect_timeout_ms = CONNECT_MS};
    struct err e = ERR_INIT;

    s->ws = ws_connect(loop, &conf, &connects, &ours, s, &e);
    if (!s->ws)
        fail_msg("%s: %s", url, e.text);
    assert_int_equal(s->opened + s->closed, 0); /* never from inside */
}

static void connect_to(struct side *s, const char *host, int port, const char *path)
{
    char url[256];

    snprintf(url, sizeof url, "ws://%s:%d%s", host, port, path);
    connect_url(s, url, NULL, NULL);
}

static void connect_here(struct side *s)
{
    connect_to(s, "127.0.0.1", server_port(server), "/ws");
    net_until(loop, &s->is_open);
    assert_true(them.is_open);
}

/* --- opening --- */
static void test_talk(void **state)
{
    struct side us = {0};

    (void)state;
    them.echoes = true;
    connect_here(&us);
    net_sleeps(loop);
    assert_string_equal(ws_peer(us.ws), "127.0.0.1");
    assert_int_equal(ws_send(us.ws, "hello \xE4\xBD\xA0", 9), ERR_OK);
    net_until(loop, &us.got);
    assert_string_equal(us.last, "hello \xE4\xBD\xA0");
    assert_string_equal(them.last, us.last);
    us.got = false;
    assert_int_equal(ws_send(us.ws, "", 0), ERR_OK);
    net_until(loop, &us.got);
    assert_int_equal(us.last_len, 0);
    us.got = false;
    assert_int_equal(ws_send_binary(us.ws, "\x08\xff\x00", 3), ERR_OK);
    net_until(loop, &us.got);
    assert_true(us.binary && them.binary);
    assert_int_equal(us.last_len, 3);
    ws_close(us.ws, 4001, "bye");
    net_until(loop, &us.ended);
    net_until(loop, &them.ended);
    assert_int_equal(us.code, 4001);
    assert_int_equal(them.code, 4001);
    assert_int_equal(us.closed + them.closed, 2);
}

static void test_large_messages(void **state)
{
    static char data[MAX_MESSAGE];
    struct side us = {0};

    (void)state;
    memset(data, 'd', sizeof data);
    them.echoes = true;
    connect_here(&us);
    for (size_t len = 1; len <= MAX_MESSAGE; len *= 10) { /* all lengths of a frame's head */
        us.got = false;
        assert_int_equal(ws_send(us.ws, data, len), ERR_OK);
        net_until(loop, &us.got);
        assert_int_equal(us.last_len, len);
        assert_int_equal(them.last_len, len);
    }
    ws_abort(&us.ws);
    net_until(loop, &them.ended);
    assert_int_equal(them.code, 0);
    assert_int_equal(us.closed, 0);
}

static void test_name_with_more_addresses(void **state)
{
    struct side us = {0};

    (void)state;
    connect_to(&us, "localhost", server_port(server), "/ws"); /* ::1 may come first, and nobody listens there */
    net_until(loop, &us.is_open);
    assert_int_equal(them.opened, 1);
    ws_abort(&us.ws);
}

static void test_what_is_asked(void **state)
{
    const struct step steps[] = {{.reply = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", .close = true}};
    struct script script;
    struct side us = {0};
    char url[128], host[64];

    (void)state;
    script_start(&script, loop, steps);
    snprintf(url, sizeof url, "ws://localhost:%d/a/b?c=d%%20e", script.port);
    snprintf(host, sizeof host, "\r\nHost: localhost:%d\r\n", script.port);
    connect_url(&us, url, "chat.v2", "https://there.example");
    net_until(loop, &us.ended);
    assert_memory_equal(script.got.data, "GET /a/b?c=d%20e HTTP/1.1\r\n", 27);
    assert_non_null(strcasestr(script.got.data, host));
    assert_non_null(strcasestr(script.got.data, "\r\nSec-WebSocket-Protocol: chat.v2\r\n"));
    assert_non_null(strcasestr(script.got.data, "\r\nOrigin: https://there.example\r\n"));
    assert_null(strcasestr(script.got.data, "Sec-WebSocket-Extensions"));
    assert_int_equal(us.code, 0);
    assert_int_equal(us.e.code, ERR_NET);
    assert_int_equal(us.opened, 0);
    assert_int_equal(us.closed, 1);
    assert_int_equal(script.connections, 1); /* the server has spoken: its other addresses are not tried */
    script_stop(&script);
}

static void test_origin_arrives(void **state)
{
    struct side us = {0};
    char url[128];

    (void)state;
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/ws", server_port(server));
    connect_url(&us, url, "any", "https://o.example");
    net_until(loop, &us.is_open);
    assert_string_equal(them.header, "https://o.example");
    ws_abort(&us.ws);
}

static void test_bad_urls(void **state)
{
    static const char *const urls[] = {"", "/ws", "http://a/", "ws://", "ws://a b/", "ws://a/b c", "ws://[::1", "ws://a:99999/"};

    (void)state;
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        const struct ws_connect conf = {.url = urls[i], .connect_timeout_ms = CONNECT_MS};
        struct err e = ERR_INIT;

        assert_null(ws_connect(loop, &conf, &connects, &limits, NULL, &e));
        assert_int_equal(e.code, ERR_INVALID);
    }
}

/* --- failing --- */
static void test_refused(void **state)
{
    struct side us = {0};
    int port = server_port(server);

    (void)state;
    server_stop_listening(server);
    connect_to(&us, "127.0.0.1", port, "/ws");
    net_until(loop, &us.ended);
    assert_int_equal(us.e.code, ERR_NET);
    assert_true(us.e.text[0] != '\0');
    assert_int_equal(us.closed, 1);
}

static void test_unknown_name(void **state)
{
    struct side us = {0};

    (void)state;
    connect_url(&us, "ws://no-such-host.invalid/", NULL, NULL);
    net_until(loop, &us.ended);
    assert_int_equal(us.e.code, ERR_NET);
    assert_non_null(strstr(us.e.text, "no-such-host.invalid"));
}

static void test_no_certificates(void **state)
{
    const struct ws_connect conf = {
        .url = "wss://127.0.0.1:1/", .ca_file = "/nonexistent/ca.pem", .connect_timeout_ms = CONNECT_MS};
    struct side us = {0};
    struct err e = ERR_INIT;

    (void)state;
    us.ws = ws_connect(loop, &conf, &connects, &limits, &us, &e);
    assert_non_null(us.ws);
    net_until(loop, &us.ended);
    assert_non_null(strstr(us.e.text, "/nonexistent/ca.pem"));
}

static void test_answers_that_are_no_upgrade(void **state)
{
    static const struct step cases[] = {
        {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
        {.reply = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"},
        {.reply = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"},
        {.reply = "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: wrong\r\n\r\n"},
        {.reply = "SSH-2.0-OpenSSH\r\n", .close = true},
        {.reply = "", .close = true},
        {.reply = "", .reset = true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct script script;
        struct side us = {0};

        script_start(&script, loop, &cases[i]);
        connect_to(&us, "127.0.0.1", script.port, "/");
        net_until(loop, &us.ended);
        assert_int_equal(us.opened, 0);
        assert_int_equal(us.closed, 1);
        assert_int_equal(us.code, 0);
        assert_int_equal(us.e.code, ERR_NET);
        assert_int_equal(script.connections, 1);
        script_stop(&script);
    }
}

/* --- ending --- */
static void test_server_closes(void **state)
{
    struct side us = {0};

    (void)state;
    connect_here(&us);
    ws_close(them.ws, 4002, "enough");
    net_until(loop, &us.ended);
    net_until(loop, &them.ended);
    assert_int_equal(us.code, 4002);
    assert_int_equal(us.e.code, ERR_OK);
    assert_int_equal(them.code, 4002);
}

static void test_server_goes(void **state)
{
    struct side us = {0};

    (void)state;
    connect_here(&us);
    server_free(&server);
    net_until(loop, &us.ended);
    assert_int_equal(us.code, WS_CLOSE_GOING_AWAY);
}

static void test_close_in_message(void **state)
{
    struct side us = {.closes_in_message = true};

    (void)state;
    connect_here(&us);
    assert_int_equal(ws_send(them.ws, "x", 1), ERR_OK);
    net_until(loop, &us.ended);
    net_until(loop, &them.ended);
    assert_int_equal(them.code, 4003);
}

static void test_bad_messages(void **state)
{
    static char data[MAX_QUEUE]; /* all of it: much follows that nobody reads, so our close may not arrive */
    static const struct {
        const char *text;
        size_t len;
        int code;
    } cases[] = {{"\xFF\xFE", 2, WS_CLOSE_BAD_DATA}, {data, 1001, WS_CLOSE_TOO_LARGE}, {data, sizeof data, WS_CLOSE_TOO_LARGE}};

    (void)state;
    memset(data, 'd', sizeof data);
    ours.max_message_bytes = 1000;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct side us = {0};

        them = (struct side){0};
        connect_here(&us);
        assert_int_equal(ws_send(them.ws, cases[i].text, cases[i].len), ERR_OK);
        net_until(loop, &us.ended);
        net_until(loop, &them.ended);
        assert_int_equal(us.code, cases[i].code);
        assert_true(them.code == cases[i].code || cases[i].len == sizeof data);
        assert_int_equal(us.messages, 0);
    }
}

/* Gives up after every number of turns, so in every state. */
static void test_abort_at_any_time(void **state)
{
    struct ws *none = NULL;

    (void)state;
    ws_abort(&none);
    for (int turns = 0; turns < 40; turns++) {
        struct side us = {0};

        connect_to(&us, turns % 2 ? "127.0.0.1" : "localhost", server_port(server), "/ws");
        net_turns(loop, turns / 2);
        ws_abort(&us.ws);
        assert_null(us.ws);
        net_turns(loop, 5);
        assert_int_equal(us.closed, 0);
    }
}

static void test_abort_in_callbacks(void **state)
{
    struct side opening = {.aborts_in_open = true}, talking = {.aborts_in_message = true};

    (void)state;
    connect_to(&opening, "127.0.0.1", server_port(server), "/ws");
    net_until(loop, &opening.is_open);
    net_until(loop, &them.ended);
    them = (struct side){0};
    connect_here(&talking);
    assert_int_equal(ws_send(them.ws, "x", 1), ERR_OK);
    assert_int_equal(ws_send(them.ws, "y", 1), ERR_OK);
    net_until(loop, &talking.got);
    net_until(loop, &them.ended);
    assert_int_equal(talking.messages, 1);
    assert_int_equal(opening.closed + talking.closed, 0);
}

/* --- deadlines, under the virtual clock --- */
static void test_connect_deadline(void **state)
{
    const struct step steps[] = {{.reply = NULL}, {.reply = NULL}};
    struct script script;
    struct side us = {0};

    (void)state;
    script_start(&script, loop, steps);
    connect_to(&us, "127.0.0.1", script.port, "/");
    while (script.got.len == 0)
        loop_turn(loop, false);
    clock_test_advance(CONNECT_MS - 1);
    net_turns(loop, 3);
    assert_int_equal(us.closed, 0);
    clock_test_advance(1);
    net_turns(loop, 3);
    assert_int_equal(us.closed, 1);
    assert_int_equal(us.code, 0);
    assert_int_equal(us.e.code, ERR_TIMEOUT);
    script_stop(&script);
}

static void test_pings_keep_it_open(void **state)
{
    struct side us = {0};

    (void)state;
    connect_here(&us);
    for (int i = 0; i < 5; i++) {
        clock_test_advance(PING_MS);
        net_turns(loop, 20);
    }
    assert_int_equal(us.closed + them.closed, 0);
    ws_abort(&us.ws);
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest real[] = {
        T(test_talk),
        T(test_large_messages),
        T(test_name_with_more_addresses),
        T(test_what_is_asked),
        T(test_origin_arrives),
        T(test_bad_urls),
        T(test_refused),
        T(test_unknown_name),
        T(test_no_certificates),
        T(test_answers_that_are_no_upgrade),
        T(test_server_closes),
        T(test_server_goes),
        T(test_close_in_message),
        T(test_bad_messages),
        T(test_abort_at_any_time),
        T(test_abort_in_callbacks),
    };
    const struct CMUnitTest frozen[] = {
        T(test_connect_deadline),
        T(test_pings_keep_it_open),
    };
    int failed = cmocka_run_group_tests(real, NULL, NULL);

    clock_test_freeze(1000);
    return failed + cmocka_run_group_tests(frozen, NULL, NULL);
}
