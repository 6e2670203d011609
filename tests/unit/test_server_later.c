/* server*.c: requests that are answered later, in pieces or not at all, and the
 * deadlines. */
#include <string.h>

#include "plugin/base/clock.h"
#include "plugin/net/server.h"
#include "tests/unit/net_util.h"

#define MAX_BODY 1000
#define TIMEOUT_MS 3000

static struct loop *loop;
static struct server *server;
static struct http_in *kept;
static int gones;

static void hello(void *arg, struct http_in *req)
{
    (void)arg;
    http_in_reply(req, 200, "text/plain", NULL, "root", 4);
}

static void on_gone(void *arg)
{
    (void)arg;
    gones++;
    kept = NULL;
}

static void keep(void *arg, struct http_in *req)
{
    (void)arg;
    kept = req;
    http_in_keep(req, on_gone, NULL);
}

static int set_up(void **state)
{
    const struct server_config conf = {"127.0.0.1", 0, MAX_BODY, TIMEOUT_MS};
    struct err e = ERR_INIT;

    (void)state;
    loop = net_loop_new();
    assert_int_equal(server_new(loop, &conf, &server, &e), ERR_OK);
    server_route(server, "GET", "/", hello, NULL);
    server_route(server, "GET", "/keep", keep, NULL);
    server_route(server, "POST", "/keep", keep, NULL);
    kept = NULL;
    gones = 0;
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

/* --- requests that are kept --- */
static void until_kept(struct tcp *r)
{
    for (int i = 0; i < 1000 && !kept; i++)
        loop_turn(r->loop, false);
    assert_non_null(kept);
}

static void test_answer_later(void **state)
{
    struct tcp r;

    (void)state;
    open_tcp(&r);
    tcp_says(&r, "GET /keep HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    until_kept(&r);
    net_sleeps(loop);
    assert_int_equal(r.in.len, 0); /* the second waits behind the first */
    http_in_reply(kept, 200, "text/plain", NULL, "later", 5);
    tcp_until(&r, "later");
    tcp_until(&r, "root");
    tcp_close(&r);
    net_turns(loop, 3);
    assert_int_equal(gones, 0);
}

static void test_stream(void **state)
{
    struct tcp r;

    (void)state;
    open_tcp(&r);
    tcp_says(&r, "GET /keep HTTP/1.1\r\nHost: a\r\n\r\n");
    until_kept(&r);
    http_in_begin(kept, 200, "text/event-stream", "Cache-Control: no-store\r\n");
    tcp_until(&r, "\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_int_equal(http_in_write(kept, "0123456789abcdef", 16), ERR_OK);
    tcp_until(&r, "\r\n\r\n10\r\n0123456789abcdef\r\n");
    assert_int_equal(http_in_write(kept, "", 0), ERR_OK); /* not the end */
    assert_int_equal(http_in_write(kept, "x", 1), ERR_OK);
    http_in_end(kept);
    tcp_until(&r, "\r\n1\r\nx\r\n0\r\n\r\n");
    tcp_says(&r, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    tcp_until(&r, "root");
    tcp_close(&r);
}

static void test_stream_to_http_1_0(void **state)
{
    struct tcp r;

    (void)state;
    open_tcp(&r);
    tcp_says(&r, "GET /keep HTTP/1.0\r\n\r\n");
    until_kept(&r);
    http_in_begin(kept, 200, "text/plain", NULL);
    assert_int_equal(http_in_write(kept, "as is", 5), ERR_OK);
    http_in_end(kept);
    tcp_until_eof(&r);
    assert_null(strstr(r.in.data, "chunked"));
    assert_string_equal(strstr(r.in.data, "\r\n\r\n"), "\r\n\r\nas is");
    tcp_close(&r);
}

static void test_stream_to_head(void **state)
{
    struct tcp r;

    (void)state;
    open_tcp(&r);
    tcp_says(&r, "HEAD /keep HTTP/1.1\r\nHost: a\r\n\r\n");
    until_kept(&r);
    http_in_begin(kept, 200, "text/plain", NULL);
    assert_int_equal(http_in_write(kept, "body", 4), ERR_OK);
    http_in_end(kept);
    tcp_says(&r, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    tcp_until(&r, "root");
    assert_null(strstr(r.in.data, "body"));
    tcp_close(&r);
}

static void test_peer_goes_while_kept(void **state)
{
    static const char *const requests[] = {
        "GET /keep HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /keep HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody",
    };
    struct tcp r;

    (void)state;
    for (int i = 0; i < 2; i++) {
        kept = NULL;
        open_tcp(&r);
        tcp_says(&r, requests[i]);
        until_kept(&r);
        tcp_close(&r);
        net_turns(loop, 5);
        assert_int_equal(gones, i + 1);
    }
}

static void test_peer_goes_in_mid_stream(void **state)
{
    static char chunk[1000];
    struct tcp r;

    (void)state;
    open_tcp(&r);
    tcp_says(&r, "GET /keep HTTP/1.1\r\nHost: a\r\n\r\n");
    until_kept(&r);
    http_in_begin(kept, 200, "text/plain", NULL);
    tcp_until(&r, "\r\n\r\n");
    tcp_close(&r);
    for (int i = 0; i < 10 && kept; i++) { /* writing to nobody calls nothing back by itself */
        struct http_in *req = kept;

        http_in_write(req, chunk, sizeof chunk);
        assert_int_equal(gones, 0);
        loop_turn(loop, false);
    }
    assert_int_equal(gones, 1);
}

static void test_ended_for_nobody(void **state)
{
    struct tcp r;

    (void)state;
    open_tcp(&r);
    tcp_says(&r, "GET /keep HTTP/1.1\r\nHost: a\r\n\r\n");
    until_kept(&r);
    http_in_begin(kept, 200, "text/plain", NULL);
    tcp_close(&r);
    http_in_write(kept, "x", 1);
    http_in_write(kept, "x", 1);
    http_in_end(kept); /* done with it: nobody is told any more */
    net_turns(loop, 5);
    assert_int_equal(gones, 0);
}

static void test_peer_that_does_not_read(void **state)
{
    static char chunk[64 * 1024];
    struct tcp r;
    enum err_code code = ERR_OK;

    (void)state;
    open_tcp(&r);
    tcp_says(&r, "GET /keep HTTP/1.1\r\nHost: a\r\n\r\n");
    until_kept(&r);
    watch_set(r.watch, 0);
    http_in_begin(kept, 200, "text/plain", NULL);
    for (int i = 0; i < 1000 && code == ERR_OK; i++) {
        code = http_in_write(kept, chunk, sizeof chunk);
        loop_turn(loop, false);
    }
    assert_int_equal(code, ERR_TOO_LARGE);
    net_sleeps(loop);
    tcp_close(&r);
    net_turns(loop, 5);
    assert_int_equal(gones, 1);
}

static void test_server_goes_while_kept(void **state)
{
    struct tcp r;

    (void)state;
    open_tcp(&r);
    tcp_says(&r, "GET /keep HTTP/1.1\r\nHost: a\r\n\r\n");
    until_kept(&r);
    server_free(&server);
    assert_int_equal(gones, 0); /* no callbacks after */
    tcp_until_eof(&r);
    tcp_close(&r);
}

/* --- deadlines, under the virtual clock --- */
static void test_slow_requests(void **state)
{
    static const struct {
        const char *sent, *answer;
    } cases[] = {
        {"", ""}, /* idle: closed without a word */
        {"GET / HT", "HTTP/1.1 408 Request Timeout\r\n"},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc", "HTTP/1.1 408 Request Timeout\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tcp r;

        open_tcp(&r);
        tcp_says(&r, cases[i].sent);
        net_turns(loop, 5);
        clock_test_advance(TIMEOUT_MS - 1);
        net_turns(loop, 5);
        assert_false(r.eof);
        clock_test_advance(1);
        while (!r.eof)
            loop_turn(loop, false);
        assert_memory_equal(buf_str(&r.in), cases[i].answer, strlen(cases[i].answer));
        tcp_close(&r);
    }
}

static void test_trickle_does_not_help(void **state)
{
    struct tcp r;

    (void)state;
    open_tcp(&r);
    for (int i = 0; i < 10; i++) {
        tcp_says(&r, "x");
        net_turns(loop, 3);
        clock_test_advance(TIMEOUT_MS / 5);
        net_turns(loop, 3);
    }
    assert_true(r.eof);
    tcp_close(&r);
}

static void test_time_starts_over_after_an_answer(void **state)
{
    struct tcp r;

    (void)state;
    open_tcp(&r);
    for (int i = 0; i < 3; i++) {
        clock_test_advance(TIMEOUT_MS - 1);
        buf_reset(&r.in);
        tcp_says(&r, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        for (int n = 0; n < 100 && r.in.len == 0; n++)
            loop_turn(loop, false);
        assert_false(r.eof);
    }
    tcp_close(&r);
}

static void test_kept_request_has_no_deadline(void **state)
{
    struct tcp r;

    (void)state;
    open_tcp(&r);
    tcp_says(&r, "GET /keep HTTP/1.1\r\nHost: a\r\n\r\n");
    until_kept(&r);
    clock_test_advance(100 * TIMEOUT_MS);
    net_turns(loop, 5);
    assert_false(r.eof);
    http_in_reply(kept, 200, NULL, NULL, "at last", 7);
    for (int n = 0; n < 100 && r.in.len == 0; n++)
        loop_turn(loop, false);
    assert_non_null(strstr(buf_str(&r.in), "at last"));
    tcp_close(&r);
}

static void test_answer_that_is_not_read(void **state)
{
    static char body[4 * 1024 * 1024];
    struct tcp r;

    (void)state;
    open_tcp(&r);
    tcp_says(&r, "GET /keep HTTP/1.1\r\nHost: a\r\n\r\n");
    until_kept(&r);
    watch_set(r.watch, 0);
    http_in_reply(kept, 200, "text/plain", NULL, body, sizeof body);
    net_turns(loop, 10);
    clock_test_advance(TIMEOUT_MS - 1);
    net_turns(loop, 5);
    watch_set(r.watch, WATCH_READ); /* it takes some: the time starts over */
    while (r.in.len == 0)
        loop_turn(loop, false);
    watch_set(r.watch, 0);
    net_turns(loop, 10);
    clock_test_advance(TIMEOUT_MS - 1);
    net_turns(loop, 5);
    clock_test_advance(1);
    net_turns(loop, 5);
    watch_set(r.watch, WATCH_READ);
    while (!r.eof)
        loop_turn(loop, false);
    assert_true(r.in.len < sizeof body);
    tcp_close(&r);
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest real[] = {
        T(test_answer_later),
        T(test_stream),
        T(test_stream_to_http_1_0),
        T(test_stream_to_head),
        T(test_peer_goes_while_kept),
        T(test_peer_goes_in_mid_stream),
        T(test_ended_for_nobody),
        T(test_peer_that_does_not_read),
        T(test_server_goes_while_kept),
    };
    const struct CMUnitTest frozen[] = {
        T(test_slow_requests),
        T(test_trickle_does_not_help),
        T(test_time_starts_over_after_an_answer),
        T(test_kept_request_has_no_deadline),
        T(test_answer_that_is_not_read),
    };
    int failed = cmocka_run_group_tests(real, NULL, NULL);

    clock_test_freeze(1000);
    return failed + cmocka_run_group_tests(frozen, NULL, NULL);
}
