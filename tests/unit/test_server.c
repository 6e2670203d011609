/* server*.c: HTTP as clients of every kind speak it, with the limits at their
 * edges. Answers that take their time are in test_server_later.c, WebSockets in
 * test_server_ws.c. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "plugin/net/http1.h"
#include "plugin/net/server.h"
#include "tests/unit/net_util.h"

#define MAX_BODY 1000
#define ROOMY_BODY 3000
#define ROOMY_BODY 3000
#define TIMEOUT_MS 3000

static struct loop *loop;
static struct server *server;

/* --- routes --- */
static char root[] = "root", files[] = "files", deep[] = "deep", exact[] = "exact", six[] = "six";
static char seen_path[256], seen_query[256], seen_peer[64], seen_header[256];

static void note(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%s", text ? text : "(none)");
}

static void hello(void *arg, struct http_in *req)
{
    note(seen_path, sizeof seen_path, http_in_path(req));
    note(seen_query, sizeof seen_query, http_in_query(req));
    note(seen_peer, sizeof seen_peer, http_in_peer(req));
    note(seen_header, sizeof seen_header, http_in_header(req, "authorization"));
    http_in_reply(req, 200, "text/plain", "X-Mine: 1\r\n", arg, strlen(arg));
}

static void echo(void *arg, struct http_in *req)
{
    size_t len;
    const char *body = http_in_body(req, &len);

    (void)arg;
    http_in_reply(req, 200, "application/octet-stream", NULL, body, len);
}

static void empty(void *arg, struct http_in *req)
{
    (void)arg;
    http_in_reply(req, 204, NULL, NULL, NULL, 0);
}

static char large[4 * 1024 * 1024];

static void send_large(void *arg, struct http_in *req)
{
    (void)arg;
    http_in_reply(req, 200, "text/plain", NULL, large, sizeof large);
}

static int set_up(void **state)
{
    const struct server_config conf = {"127.0.0.1", 0, MAX_BODY, TIMEOUT_MS};
    static const struct ws_handler no_handler = {0};
    const struct ws_limits limits = {0};
    struct err e = ERR_INIT;

    (void)state;
    loop = net_loop_new();
    assert_int_equal(server_new(loop, &conf, &server, &e), ERR_OK);
    server_route(server, "GET", "/", hello, root);
    server_route(server, "POST", "/echo", echo, NULL);
    server_route(server, "PUT", "/echo", echo, NULL);
    server_route(server, "PUT", "/roomy", echo, NULL);
    server_route_body(server, "/roomy", ROOMY_BODY);
    server_route(server, "GET", "/empty", empty, NULL);
    server_route(server, "GET", "/large", send_large, NULL);
    server_route_prefix(server, "GET", "/files/", hello, files);
    server_route_prefix(server, "GET", "/files/deep/", hello, deep);
    server_route(server, "GET", "/files/exact", hello, exact);
    server_ws_route(server, "/ws", &no_handler, &limits, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    server_free(&server);
    assert_null(server);
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

/* --- listening --- */
static void test_port_in_use(void **state)
{
    struct server_config conf = {"127.0.0.1", server_port(server), MAX_BODY, TIMEOUT_MS};
    struct server *other = NULL;
    struct err e = ERR_INIT;
    char port[16];

    (void)state;
    assert_true(server_port(server) > 0);
    assert_int_equal(server_new(loop, &conf, &other, &e), ERR_IO);
    assert_null(other);
    snprintf(port, sizeof port, "%d", conf.port);
    assert_non_null(strstr(e.text, "127.0.0.1"));
    assert_non_null(strstr(e.text, port));
    assert_non_null(strstr(e.text, "in use"));
    assert_non_null(strstr(e.text, "set another port")); /* what to do about it */
}

static void test_bad_address(void **state)
{
    struct server_config conf = {"300.1.2.3", 0, MAX_BODY, TIMEOUT_MS};
    struct server *other = NULL;
    struct err e = ERR_INIT;

    (void)state;
    assert_int_equal(server_new(loop, &conf, &other, &e), ERR_IO);
    conf.address = "192.0.2.1"; /* RFC 5737: nobody's */
    assert_int_equal(server_new(loop, &conf, &other, &e), ERR_IO);
    assert_non_null(strstr(e.text, "192.0.2.1"));
}

static void test_ipv6(void **state)
{
    struct server_config conf = {"::1", 0, MAX_BODY, TIMEOUT_MS};
    struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct server *v6 = NULL;
    struct err e = ERR_INIT;
    char answer[512] = "";
    int fd;

    (void)state;
    if (server_new(loop, &conf, &v6, &e) != ERR_OK)
        skip(); /* a machine without IPv6 */
    server_route(v6, "GET", "/", hello, six);
    fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sa.sin6_port = htons((uint16_t)server_port(v6));
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_true(send(fd, "GET / HTTP/1.0\r\n\r\n", 18, 0) == 18);
    while (recv(fd, answer, sizeof answer - 1, MSG_DONTWAIT) < 0 && errno == EAGAIN)
        loop_turn(loop, false);
    assert_non_null(strstr(answer, "200 OK"));
    assert_string_equal(seen_peer, "::1");
    close(fd);
    server_free(&v6);
}

static void test_stop_listening(void **state)
{
    struct tcp r;
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons((uint16_t)server_port(server))};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    open_tcp(&r);
    net_turns(loop, 2);
    server_stop_listening(server);
    server_stop_listening(server);
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), -1);
    assert_int_equal(errno, ECONNREFUSED);
    close(fd);
    tcp_says(&r, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); /* what is open stays open */
    tcp_until(&r, "root");
    tcp_close(&r);
}

/* Without descriptors connections wait, and come in when there are some again. */
/* valgrind keeps descriptors for itself above the limit that it shows us, so a
 * connection too many is accepted all the same, and then dropped by valgrind. */
static bool under_valgrind(void)
{
    const char *preload = getenv("LD_PRELOAD");

    return preload && strstr(preload, "vgpreload");
}

static void test_out_of_descriptors(void **state)
{
    static int spare[1 << 16];
    int n = 0, fd;
    struct tcp r;

    (void)state;
    if (under_valgrind())
        skip();
    while (n < (1 << 16) && (fd = dup(STDIN_FILENO)) >= 0)
        spare[n++] = fd;
    assert_true(n > 0 && n < (1 << 16));
    close(spare[--n]);
    open_tcp(&r); /* takes the last one */
    tcp_says(&r, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    net_turns(loop, 20);
    assert_int_equal(r.in.len, 0);
    while (n > 0)
        close(spare[--n]);
    tcp_until(&r, "root");
    tcp_close(&r);
}

/* --- requests --- */
static void test_answers(void **state)
{
    static const struct {
        const char *request, *begins;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\n"},
        {"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\n"},
        {"GET /nope HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 404 Not Found\r\n"},
        {"GET /fil HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 404 Not Found\r\n"},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 405 Method Not Allowed\r\n"},
        {"OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 405 Method Not Allowed\r\n"},
        {"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 405 Method Not Allowed\r\n"},
        {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
        {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", "HTTP/1.1 505 "},
        {"POST /echo HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 411 "},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", "HTTP/1.1 411 "},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", "HTTP/1.1 400 "},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n", "HTTP/1.1 413 "},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: money\r\n\r\n", "HTTP/1.1 417 "},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n", "HTTP/1.1 100 Continue\r\n"},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\nx", "HTTP/1.1 200 OK\r\n"},
        {"GET /empty HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 204 No Content\r\n"},
        {"GET /ws HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 426 Upgrade Required\r\n"},
        /* a wish for another protocol is one that may be ignored */
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
         "HTTP/1.1 200 OK\r\n"},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "HTTP/1.1 200 OK\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ask(cases[i].request, cases[i].begins);
}

/* One path may take larger bodies than the others. */
static void test_roomy_route(void **state)
{
    struct tcp r;
    char request[ROOMY_BODY + 128];
    int n = snprintf(request, sizeof request, "PUT /roomy HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", ROOMY_BODY);

    (void)state;
    memset(request + n, 'r', ROOMY_BODY);
    request[n + ROOMY_BODY] = '\0';
    open_tcp(&r);
    tcp_says(&r, request);
    tcp_until(&r, "HTTP/1.1 200 OK\r\n");
    tcp_until(&r, "rrrr");
    tcp_says(&r, "PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n");
    tcp_until(&r, "HTTP/1.1 413 ");
    tcp_close(&r);
    snprintf(request, sizeof request, "PUT /roomy HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", ROOMY_BODY + 1);
    ask(request, "HTTP/1.1 413 ");
}

static void test_routes(void **state)
{
    static const struct {
        const char *path, *answer;
    } cases[] = {
        {"/", "root"},           {"/files/", "files"},      {"/files/a/b", "files"}, {"/files/deep/x", "deep"},
        {"/files/exact", "exact"}, {"/files/exactly", "files"}, {"/%66iles/%65xact", "exact"},
    };
    char request[256];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tcp r;

        open_tcp(&r);
        snprintf(request, sizeof request, "GET %s?q=%%31 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\n\r\n", cases[i].path);
        tcp_says(&r, request);
        tcp_until(&r, "\r\n\r\n");
        tcp_until(&r, cases[i].answer);
        assert_string_equal(seen_query, "q=%31");
        assert_string_equal(seen_header, "Bearer x");
        assert_string_equal(seen_peer, "127.0.0.1");
        tcp_close(&r);
    }
}

static void test_what_an_answer_says(void **state)
{
    struct tcp r;

    (void)state;
    open_tcp(&r);
    tcp_says(&r, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    tcp_until(&r, "root");
    assert_non_null(strstr(r.in.data, "\r\nContent-Type: text/plain\r\n"));
    assert_non_null(strstr(r.in.data, "\r\nContent-Length: 4\r\n"));
    assert_non_null(strstr(r.in.data, "\r\nX-Mine: 1\r\n"));
    assert_non_null(strstr(r.in.data, " GMT\r\n"));
    assert_null(strstr(r.in.data, "Connection: close"));
    tcp_close(&r);
}

static void test_error_is_json(void **state)
{
    struct tcp r;

    (void)state;
    open_tcp(&r);
    tcp_says(&r, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    tcp_until(&r, "{\"error\":{\"code\":\"method_not_allowed\",\"message\":\"");
    assert_non_null(strstr(r.in.data, "\r\nAllow: GET, HEAD\r\n"));
    assert_non_null(strstr(r.in.data, "\r\nContent-Type: application/json\r\n"));
    tcp_close(&r);
    open_tcp(&r);
    tcp_says(&r, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
    tcp_until(&r, "\r\nAllow: POST, PUT\r\n");
    tcp_close(&r);
}

static void test_head(void **state)
{
    struct tcp r;

    (void)state;
    open_tcp(&r);
    tcp_says(&r, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\nHEAD /nope HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    tcp_until_eof(&r);
    assert_non_null(strstr(r.in.data, "\r\nContent-Length: 4\r\n"));
    assert_null(strstr(r.in.data, "root"));
    assert_non_null(strstr(r.in.data, "404 Not Found"));
    assert_null(strstr(r.in.data, "{"));
    tcp_close(&r);
}

static void test_keep_alive_and_pipelining(void **state)
{
    struct tcp r;
    const char *at;

    (void)state;
    open_tcp(&r);
    for (int i = 0; i < 3; i++) {
        buf_reset(&r.in);
        tcp_says(&r, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        tcp_until(&r, "root");
    }
    buf_reset(&r.in);
    tcp_says(&r, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nfirst"
                 "GET /nope HTTP/1.1\r\nHost: a\r\n\r\n"
                 "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 6\r\n\r\nsecond"
                 "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); /* too late */
    tcp_until_eof(&r);
    at = strstr(r.in.data, "first");
    assert_non_null(at);
    at = strstr(at, "404 Not Found");
    assert_non_null(at);
    at = strstr(at, "Connection: close\r\n");
    assert_non_null(at);
    at = strstr(at, "second");
    assert_non_null(at);
    assert_string_equal(at, "second");
    tcp_close(&r);
}

static void test_http_1_0_closes(void **state)
{
    struct tcp r;

    (void)state;
    open_tcp(&r);
    tcp_says(&r, "GET / HTTP/1.0\r\n\r\n");
    tcp_until_eof(&r);
    assert_non_null(strstr(r.in.data, "root"));
    tcp_close(&r);
}

static void test_request_in_single_bytes(void **state)
{
    const char *request = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    struct tcp r;

    (void)state;
    open_tcp(&r);
    for (const char *c = request; *c; c++) {
        tcp_send(&r, c, 1);
        net_turns(loop, 2);
    }
    tcp_until(&r, "\r\n\r\nabc");
    tcp_close(&r);
}

static void test_body_limit(void **state)
{
    static char request[MAX_BODY + 200];
    struct tcp r;
    int n = snprintf(request, sizeof request, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", MAX_BODY);

    (void)state;
    memset(request + n, 'b', MAX_BODY);
    open_tcp(&r);
    tcp_send(&r, request, (size_t)n + MAX_BODY);
    tcp_until(&r, "\r\n\r\nbbb");
    tcp_close(&r);
    assert_int_equal(snprintf(request, sizeof request, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", MAX_BODY + 1), n);
    open_tcp(&r);
    tcp_send(&r, request, (size_t)n); /* and never the body */
    tcp_until(&r, "413 Content Too Large");
    tcp_until_eof(&r);
    assert_false(r.reset);
    tcp_close(&r);
}

/* The answer must not be lost to a reset because the body came nevertheless. */
static void test_refused_body_is_swallowed(void **state)
{
    static char body[1024 * 1024];
    struct tcp r;

    (void)state;
    open_tcp(&r);
    tcp_says(&r, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n");
    tcp_send(&r, body, sizeof body);
    tcp_until(&r, "413 Content Too Large");
    tcp_close(&r);
}

static void head_of(struct tcp *r, size_t size)
{
    static char request[HTTP1_HEAD_BYTES_MAX + 100];
    int n = snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: a\r\nA: ");

    memset(request + n, 'x', size - (size_t)n - 4);
    memcpy(request + size - 4, "\r\n\r\n", 4);
    open_tcp(r);
    tcp_send(r, request, size);
    tcp_until(r, "\r\n\r\n");
}

static void test_head_limit(void **state)
{
    struct tcp r;

    (void)state;
    head_of(&r, HTTP1_HEAD_BYTES_MAX);
    assert_non_null(strstr(r.in.data, "200 OK"));
    tcp_close(&r);
    head_of(&r, HTTP1_HEAD_BYTES_MAX + 1);
    assert_non_null(strstr(r.in.data, "431 Request Header Fields Too Large"));
    tcp_until_eof(&r);
    tcp_close(&r);
}

static void test_endless_head(void **state)
{
    static char junk[2 * HTTP1_HEAD_BYTES_MAX];
    struct tcp r;

    (void)state;
    memset(junk, 'x', sizeof junk);
    open_tcp(&r);
    tcp_send(&r, junk, sizeof junk);
    tcp_until(&r, "431 ");
    tcp_close(&r);
}

static void test_large_answer(void **state)
{
    struct tcp r;
    const char *body;

    (void)state;
    memset(large, 'L', sizeof large);
    open_tcp(&r);
    tcp_says(&r, "GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    tcp_until_eof(&r);
    body = strstr(r.in.data, "\r\n\r\n");
    assert_non_null(body);
    assert_int_equal(r.in.len - (size_t)(body + 4 - r.in.data), sizeof large);
    assert_memory_equal(body + 4, large, sizeof large);
    tcp_close(&r);
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_port_in_use),
        T(test_bad_address),
        T(test_ipv6),
        T(test_stop_listening),
        T(test_out_of_descriptors),
        T(test_answers),
        T(test_roomy_route),
        T(test_routes),
        T(test_what_an_answer_says),
        T(test_error_is_json),
        T(test_head),
        T(test_keep_alive_and_pipelining),
        T(test_http_1_0_closes),
        T(test_request_in_single_bytes),
        T(test_body_limit),
        T(test_refused_body_is_swallowed),
        T(test_head_limit),
        T(test_endless_head),
        T(test_large_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
