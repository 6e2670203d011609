/* The web chat's pages, and which requests are served at all; the listener's own routes. CONTRACTS, section 5. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

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
        TEST(origins_of_websockets),
        TEST(health),
    };

    clock_test_freeze(INT64_C(1800000000000));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
