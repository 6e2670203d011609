/* The web chat's pages, and which requests are served at all; the listener's own routes. CONTRACTS, section 5. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "adapters/webchat/pages.h"
#include "plugin/base/clock.h"
#include "plugin/base/metric.h"
#include "tests/unit/webchat_calls.h"

static struct world *w;

static int setup(void **state)
{
    (void)state;
    w = world_new(calls_tokens);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    calls_world_free(&w);
    return 0;
}

static void again_with(void (*tweak)(struct webchat_conf *conf))
{
    calls_world_free(&w);
    w = world_new(tweak);
}

static char *embedding_site;

static void embedded(struct webchat_conf *conf)
{
    static char shop[] = "https://shop.example";

    embedding_site = shop;
    conf->origins = (struct strings){ &embedding_site, 1 };
}

static struct peer *get(const char *path, const char *headers)
{
    char head[512];

    snprintf(head, sizeof head, "GET %s HTTP/1.1\r\n%s", path, headers);
    return peer_open(w, head, NULL);
}

static void pages(void **state)
{
    (void)state;
    const char *paths[] = { "/", "/demo", "/widget.js", "/assets/chat.js" };
    char headers[128];

    again_with(embedded);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct peer *r = get(paths[i], "");
        const char *all = peer_all(r), *etag = strstr(all, "ETag: ");

        assert_int_equal(peer_status(r), 200);
        assert_non_null(strstr(all, "X-Content-Type-Options: nosniff\r\n"));
        assert_non_null(strstr(all, "Referrer-Policy: no-referrer\r\n"));
        assert_non_null(strstr(all, "Cache-Control: no-cache\r\n"));
        assert_null(strstr(all, "no-store"));
        if (i < 2)
            assert_non_null(strstr(all, "frame-ancestors 'self' https://shop.example\r\n"));
        if (i == 2)
            assert_non_null(strstr(all, "Cross-Origin-Resource-Policy: cross-origin\r\n"));
        assert_non_null(etag);
        snprintf(headers, sizeof headers, "If-None-Match: \"x\", %.*s\r\n", (int)strcspn(etag + 6, "\r"), etag + 6);
        peer_free(&r);
        r = get(paths[i], headers);
        assert_int_equal(peer_status(r), 304);
        assert_string_equal(peer_body(r), "");
        peer_free(&r);
        r = get(paths[i], "Host: evil.example\r\n");
        peer_expect_error(r, 403, "forbidden");
        r = get(paths[i], "Host: shop.example\r\n"); /* a proxy passes it on */
        assert_int_equal(peer_status(r), 200);
        peer_free(&r);
    }
    peer_expect_error(get("/assets/no.js", ""), 404, "not_found");
    peer_expect_error(get("/assets/../chat.js", ""), 404, "not_found");
}

/* The value of a header that must be there, up to its line's end; in a buffer of the next call's too. */
static const char *value(const char *all, const char *name)
{
    static char text[2][64];
    static unsigned turn;
    const char *at = strstr(all, name);

    assert_non_null(at);
    at += strlen(name);
    turn++;
    snprintf(text[turn % 2], sizeof text[0], "%.*s", (int)strcspn(at, "\r"), at);
    return text[turn % 2];
}

static void two_forms(void **state)
{
    (void)state;
    const struct page *page = webchat_pages;
    char path[64], headers[256];
    struct peer *plain, *packed;

    for (; strcmp(page->name, "chat.js") != 0; page++)
        assert_non_null(page->name);
    snprintf(path, sizeof path, "/assets/%s", page->name);
    assert_true(page->gzip.len > 0 && page->gzip.len < page->plain.len);
    plain = get(path, "");
    packed = get(path, "Accept-Encoding: br, gzip\r\n");
    assert_null(strstr(peer_all(plain), "Content-Encoding"));
    assert_string_equal(value(peer_all(packed), "Content-Encoding: "), "gzip");
    assert_string_equal(value(peer_all(plain), "Vary: "), "Accept-Encoding");
    assert_string_equal(value(peer_all(packed), "Vary: "), "Accept-Encoding");
    assert_string_equal(value(peer_all(packed), "Content-Type: "), page->type);
    assert_string_not_equal(value(peer_all(plain), "ETag: "), value(peer_all(packed), "ETag: "));
    snprintf(headers, sizeof headers, "Content-Length: %zu\r\n", page->plain.len);
    assert_non_null(strstr(peer_all(plain), headers));
    assert_memory_equal(peer_body(plain), page->plain.data, page->plain.len);
    snprintf(headers, sizeof headers, "Content-Length: %zu\r\n", page->gzip.len);
    assert_non_null(strstr(peer_all(packed), headers));
    assert_memory_equal(peer_body(packed), page->gzip.data, page->gzip.len);
    peer_free(&plain);

    /* What was seen of one form says nothing about the other. */
    snprintf(headers, sizeof headers, "If-None-Match: %s\r\n", value(peer_all(packed), "ETag: "));
    peer_free(&packed);
    plain = get(path, headers);
    assert_int_equal(peer_status(plain), 200);
    peer_free(&plain);
    snprintf(headers, sizeof headers, "If-None-Match: W/%s\r\nAccept-Encoding: gzip\r\n", page->gzip.etag);
    packed = get(path, headers);
    assert_int_equal(peer_status(packed), 304);
    assert_string_equal(value(peer_all(packed), "ETag: "), page->gzip.etag);
    assert_string_equal(value(peer_all(packed), "Vary: "), "Accept-Encoding");
    peer_free(&packed);
}

static void origins_of_websockets(void **state)
{
    (void)state;
    const struct {
        const char *headers;
        int status;
    } cases[] = {
        { "", 101 },
        { "Origin: http://localhost\r\n", 101 },
        { "Origin: https://shop.example\r\n", 101 },
        { "Host: shop.example\r\nOrigin: https://shop.example\r\n", 101 },
        { "Origin: https://evil.example\r\n", 403 },
        { "Origin: null\r\n", 403 },
        { "Host: evil.example\r\n", 403 },
        { "Host: evil.example\r\nOrigin: http://evil.example\r\n", 403 },
    };

    again_with(embedded);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct peer *r = peer_ws(w, cases[i].headers);

        if (peer_status(r) != cases[i].status)
            fail_msg("%s: %d", cases[i].headers, peer_status(r));
        peer_free(&r);
    }
}

static void health(void **state)
{
    (void)state;
    int64_t served = metric_get(METRIC_HTTP_REQUESTS);
    struct peer *r = get("/healthz", "");

    assert_int_equal(peer_status(r), 200);
    peer_free(&r);
    r = get("/readyz", "");
    assert_int_equal(peer_status(r), 200);
    assert_string_equal(peer_body(r), "{\"ready\":true}\n");
    peer_free(&r);
    w->web.arg = w;
    r = get("/readyz", "");
    assert_int_equal(peer_status(r), 503);
    assert_string_equal(peer_body(r), "{\"ready\":false}\n");
    peer_free(&r);
    r = get("/metrics", "");
    assert_int_equal(peer_status(r), 200);
    assert_non_null(strstr(peer_all(r), "text/plain; version=0.0.4"));
    assert_non_null(strstr(peer_all(r), "warbler_http_requests_total"));
    assert_non_null(strstr(peer_all(r), "Cache-Control: no-store\r\n"));
    peer_free(&r);
    assert_int_equal(metric_get(METRIC_HTTP_REQUESTS), served + 4);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pages),
        TEST(two_forms),
        TEST(origins_of_websockets),
        TEST(health),
    };

    clock_test_freeze(INT64_C(1800000000000));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
