/* http1.c: what a request's head may look like, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/base/buf.h"
#include "plugin/net/http1.h"

#define HOST "Host: a\r\n"

static char text[HTTP1_HEAD_BYTES_MAX * 2];

static int parse(struct http1 *r, const char *head)
{
    size_t len = strlen(head);

    assert_int_equal(http1_head_length(head, len, 0), len);
    memcpy(text, head, len + 1);
    return http1_parse(r, text, len);
}

static void test_request_lines(void **state)
{
    static const struct {
        const char *line;
        int status;
        const char *path, *query;
    } cases[] = {
        {"GET / HTTP/1.1", 0, "/", ""},
        {"GET /a?b=c&d HTTP/1.1", 0, "/a", "b=c&d"},
        {"GET /? HTTP/1.1", 0, "/", ""},
        {"GET /a?b?c HTTP/1.1", 0, "/a", "b?c"},
        {"GET /a%20b%2Fc?x=%20 HTTP/1.1", 0, "/a b/c", "x=%20"},
        {"GET /%e4%bd%a0 HTTP/1.1", 0, "/\xE4\xBD\xA0", ""},
        {"GET /a+b HTTP/1.1", 0, "/a+b", ""},
        {"GET /../x HTTP/1.1", 0, "/../x", ""}, /* paths are names of routes, not of files */
        {"GET /#part HTTP/1.1", 0, "/", ""},
        {"GET http://host:80/a?b HTTP/1.1", 0, "/a", "b"},
        {"DELETE /a HTTP/1.1", 0, "/a", ""},
        {"M-SEARCH /a HTTP/1.1", 0, "/a", ""},
        {"GET /%ff HTTP/1.1", 400, NULL, NULL}, /* not UTF-8 */
        {"GET /%00 HTTP/1.1", 400, NULL, NULL},
        {"GET /% HTTP/1.1", 400, NULL, NULL},
        {"GET /%4 HTTP/1.1", 400, NULL, NULL},
        {"GET /%4g HTTP/1.1", 400, NULL, NULL},
        {"GET * HTTP/1.1", 400, NULL, NULL},
        {"GET a HTTP/1.1", 400, NULL, NULL},
        {"GET http://host HTTP/1.1", 400, NULL, NULL},
        {"CONNECT a:80 HTTP/1.1", 400, NULL, NULL},
        {"GET /a\tb HTTP/1.1", 400, NULL, NULL},
        {"GET /a b HTTP/1.1", 400, NULL, NULL},
        {"GET  / HTTP/1.1", 400, NULL, NULL},
        {"GET /", 400, NULL, NULL},
        {"GET", 400, NULL, NULL},
        {" GET / HTTP/1.1", 400, NULL, NULL},
        {"G{T / HTTP/1.1", 400, NULL, NULL},
        {"GET / http/1.1", 400, NULL, NULL},
        {"GET / HTTP/1.1 ", 505, NULL, NULL},
        {"GET / HTTP/1.2", 505, NULL, NULL},
        {"GET / HTTP/2.0", 505, NULL, NULL},
        {"PRI * HTTP/2.0", 505, NULL, NULL},
        {"\x16\x03\x01", 400, NULL, NULL}, /* TLS at the wrong port */
    };
    char head[256];
    struct http1 r;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(head, sizeof head, "%s\r\n" HOST "\r\n", cases[i].line);
        if (parse(&r, head) != cases[i].status)
            fail_msg("%s: not %d", cases[i].line, cases[i].status);
        if (cases[i].path) {
            assert_string_equal(r.path, cases[i].path);
            assert_string_equal(r.query, cases[i].query);
        }
    }
}

static void test_headers(void **state)
{
    static const struct {
        const char *headers;
        int status;
    } cases[] = {
        {HOST, 0},
        {"hOsT:a\r\n", 0},
        {"Host:\r\n", 0},
        {"", 400}, /* no host in HTTP/1.1 */
        {HOST HOST, 400},
        {HOST "A: b\r\n c\r\n", 400}, /* folded */
        {HOST "A : b\r\n", 400},      /* would be a name with a blank for some */
        {HOST ": b\r\n", 400},
        {HOST "A\r\n", 400},
        {HOST "A: b\x01\r\n", 400},
        {HOST "A: b\rc\r\n", 400},
        {HOST "A: b\nC: d\r\n", 400},
        {HOST "A: b\x7f\r\n", 400},
        {HOST "A: \xe4\r\n", 0}, /* obs-text */
        {HOST "Content-Length: 0\r\n", 0},
        {HOST "Content-Length: 999999999999999\r\n", 0},
        {HOST "Content-Length: 1000000000000000\r\n", 400},
        {HOST "Content-Length: -1\r\n", 400},
        {HOST "Content-Length: +1\r\n", 400},
        {HOST "Content-Length: 1 1\r\n", 400},
        {HOST "Content-Length: 0x1\r\n", 400},
        {HOST "Content-Length: 1, 1\r\n", 400},
        {HOST "Content-Length:\r\n", 400},
        {HOST "Content-Length: 1\r\nContent-Length: 1\r\n", 400},
        {HOST "Transfer-Encoding: chunked\r\n", 0},
        {HOST "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n", 400},
        {HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", 400},
        {HOST "Authorization: a\r\nAuthorization: b\r\n", 400},
        {HOST "Accept: a\r\nAccept: b\r\n", 0},
    };
    char head[512];
    struct http1 r;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(head, sizeof head, "GET / HTTP/1.1\r\n%s\r\n", cases[i].headers);
        if (parse(&r, head) != cases[i].status)
            fail_msg("%s: not %d", cases[i].headers, cases[i].status);
    }
}

static void test_what_is_kept(void **state)
{
    struct http1 r;

    (void)state;
    assert_int_equal(parse(&r, "POST /x HTTP/1.1\r\nHost: h\r\nAUTHORIZATION: \t Bearer t \t\r\nAccept: a\r\nAccept: b\r\n"
                               "X-Forwarded-For: 1\r\nContent-Length: 12\r\nX-Other: y\r\nUser-Agent:u\r\n\r\n"),
                     0);
    assert_string_equal(r.method, "POST");
    assert_int_equal(r.minor, 1);
    assert_true(r.has_length);
    assert_int_equal(r.length, 12);
    assert_string_equal(r.header[http1_header_id("authorization", 13)], "Bearer t");
    assert_string_equal(r.header[HTTP1_ACCEPT], "b");
    assert_string_equal(r.header[HTTP1_X_FORWARDED_FOR], "1");
    assert_string_equal(r.header[HTTP1_USER_AGENT], "u");
    assert_null(r.header[HTTP1_ORIGIN]);
    assert_int_equal(http1_header_id("x-other", 7), HTTP1_HEADERS);
    assert_int_equal(http1_header_id("", 0), HTTP1_HEADERS);
}

static void test_connection(void **state)
{
    static const struct {
        const char *version, *headers;
        bool keep_alive, upgrade;
    } cases[] = {
        {"1.1", "", true, false},
        {"1.1", "Connection: close\r\n", false, false},
        {"1.1", "Connection: CLOSE\r\n", false, false},
        {"1.1", "Connection: keep-alive\r\n", true, false},
        {"1.1", "Connection: foo,\tclose ,bar\r\n", false, false},
        {"1.1", "Connection: closed\r\n", true, false},
        {"1.0", "", false, false},
        {"1.0", "Connection: keep-alive\r\n", false, false},
        {"1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\n", true, true},
        {"1.1", "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n", true, true},
        {"1.1", "Connection: keep-alive\r\nConnection: upgrade\r\nUpgrade: h2c, websocket\r\n", true, true},
        {"1.1", "Upgrade: websocket\r\n", true, false},
        {"1.1", "Connection: upgrade\r\n", true, false},
        {"1.1", "Connection: upgrade\r\nUpgrade: h2c\r\n", true, false},
        {"1.0", "Connection: Upgrade\r\nUpgrade: websocket\r\n", false, false},
    };
    char head[256];
    struct http1 r;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(head, sizeof head, "GET / HTTP/%s\r\n" HOST "%s\r\n", cases[i].version, cases[i].headers);
        assert_int_equal(parse(&r, head), 0);
        assert_int_equal(r.keep_alive, cases[i].keep_alive);
        assert_int_equal(r.upgrade_ws, cases[i].upgrade);
    }
}

static void test_number_of_lines(void **state)
{
    struct http1 r;

    (void)state;
    for (int lines = HTTP1_LINES_MAX; lines <= HTTP1_LINES_MAX + 1; lines++) {
        struct buf b;

        buf_init(&b, sizeof text - 1);
        buf_adds(&b, "GET / HTTP/1.1\r\n" HOST);
        for (int i = 1; i < lines; i++)
            buf_adds(&b, "A: b\r\n");
        buf_adds(&b, "\r\n");
        assert_int_equal(parse(&r, b.data), lines > HTTP1_LINES_MAX ? 431 : 0);
        buf_free(&b);
    }
}

static void test_nul(void **state)
{
    char head[] = "GET / HTTP/1.1\r\nHost: a\r\nA: \0\r\n\r\n";
    struct http1 r;

    (void)state;
    assert_int_equal(http1_parse(&r, head, sizeof head - 1), 400);
}

static void test_head_length(void **state)
{
    const char head[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET";
    size_t whole = strlen(head) - 3;

    (void)state;
    for (size_t have = 0; have < sizeof head; have++)
        for (size_t from = 0; from < have && from < whole; from++)
            assert_int_equal(http1_head_length(head, have, from), have < whole ? 0 : whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_lines), cmocka_unit_test(test_headers),
        cmocka_unit_test(test_what_is_kept),  cmocka_unit_test(test_connection),
        cmocka_unit_test(test_number_of_lines), cmocka_unit_test(test_nul),
        cmocka_unit_test(test_head_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
