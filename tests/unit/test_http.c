/* http.c against a server that answers from a script: what is sent, what is
 * told of the answer, the deadlines, and what may be done from callbacks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <utlist.h>

#include "plugin/base/clock.h"
#include "plugin/base/mem.h"
#include "plugin/net/http.h"
#include "tests/unit/net_util.h"

#define MAX_RESPONSE 1000
#define CONNECT_MS 5000
#define FIRST_BYTE_MS 8000
#define IDLE_MS 3000

static struct loop *loop;
static struct http_client *client;
static struct script script;

struct caller {
    struct http_call *call;
    struct buf body;
    int heads, dones;
    long head_status;
    bool finished;
    bool got_body;
    struct http_reply reply;
    struct err e;
    /* what to do */
    bool cancel_in_head, cancel_in_body, stop_in_body, cancel_in_done;
    struct caller *cancels, *starts;
};

static void start(struct caller *c, const char *method, const char *path, const char *body);

static void on_head(void *arg, const struct http_reply *reply)
{
    struct caller *c = arg;

    c->heads++;
    c->head_status = reply->status;
    if (c->cancel_in_head)
        http_cancel(&c->call);
}

static bool on_body(void *arg, const char *data, size_t len)
{
    struct caller *c = arg;

    buf_add(&c->body, data, len);
    c->got_body = true;
    if (c->cancels)
        http_cancel(&c->cancels->call);
    if (c->cancel_in_body)
        http_cancel(&c->call);
    return !c->stop_in_body;
}

static void on_done(void *arg, const struct http_reply *reply, const struct err *e)
{
    struct caller *c = arg;

    c->dones++;
    c->reply = *reply;
    c->e = *e;
    c->finished = true;
    if (c->cancel_in_done)
        http_cancel(&c->call);
    c->call = NULL;
    if (c->starts)
        start(c->starts, "GET", "/next", NULL);
}

static const struct http_handler handler = {on_head, on_body, on_done};

static void start_at(struct caller *c, const char *method, const char *url, const char *body)
{
    static const char *const headers[] = {"Authorization: Bearer k", "X-Empty;", NULL};
    const struct http_request req = {
        .method = method,
        .url = url,
        .headers = headers,
        .body = body,
        .body_len = body ? strlen(body) : 0,
        .connect_timeout_ms = CONNECT_MS,
        .first_byte_timeout_ms = FIRST_BYTE_MS,
        .idle_timeout_ms = IDLE_MS,
        .max_response_bytes = MAX_RESPONSE,
    };
    struct err e = ERR_INIT;

    buf_init(&c->body, MAX_RESPONSE);
    c->call = http_start(client, &req, &handler, c, &e);
    if (!c->call)
        fail_msg("%s", e.text);
    assert_int_equal(c->heads + c->dones, 0); /* nothing from inside */
}

static void start(struct caller *c, const char *method, const char *path, const char *body)
{
    char url[256];

    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", script.port, path);
    start_at(c, method, url, body);
}

static void end(struct caller *c)
{
    http_cancel(&c->call);
    buf_free(&c->body);
}

static void serve(const struct step *steps)
{
    script_start(&script, loop, steps);
}

static int set_up(void **state)
{
    struct err e = ERR_INIT;

    (void)state;
    loop = net_loop_new();
    assert_int_equal(http_client_new(loop, &client, &e), ERR_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    script_stop(&script);
    http_client_free(&client);
    assert_null(client);
    loop_turn(loop, false);
    loop_free(&loop);
    return 0;
}

/* --- plain calls --- */
static void test_get(void **state)
{
    const struct step steps[] = {{.reply = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"}};
    struct caller c = {0};

    (void)state;
    serve(steps);
    start(&c, "GET", "/a?b=c", NULL);
    assert_int_equal(http_active(client), 1);
    net_until(loop, &c.finished);
    assert_int_equal(http_active(client), 0);
    assert_int_equal(c.e.code, ERR_OK);
    assert_int_equal(c.heads, 1);
    assert_int_equal(c.head_status, 200);
    assert_int_equal(c.reply.status, 200);
    assert_int_equal(c.reply.limits.retry_after_ms, -1);
    assert_false(c.reply.reused);
    assert_string_equal(buf_str(&c.body), "hello");
    assert_memory_equal(script.got.data, "GET /a?b=c HTTP/1.1\r\n", 21);
    assert_non_null(strstr(script.got.data, "\r\nAccept-Encoding: identity\r\n"));
    assert_non_null(strstr(script.got.data, "\r\nAuthorization: Bearer k\r\n"));
    end(&c);
}

static void test_post(void **state)
{
    const struct step steps[] = {{.reply = "HTTP/1.1 400 Bad\r\nContent-Length: 2\r\n\r\nno"}};
    static char body[2000];
    struct caller c = {0};

    (void)state;
    memset(body, 'p', sizeof body - 1);
    serve(steps);
    start(&c, "POST", "/", body);
    net_until(loop, &c.finished);
    assert_int_equal(c.e.code, ERR_OK); /* any complete answer */
    assert_int_equal(c.reply.status, 400);
    assert_non_null(strstr(script.got.data, "\r\nContent-Length: 1999\r\n"));
    assert_null(strstr(script.got.data, "Expect:"));
    assert_non_null(strstr(script.got.data, "\r\n\r\nppp"));
    end(&c);
}

static void test_other_methods(void **state)
{
    const struct step steps[] = {
        {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
        {.reply = "HTTP/1.1 204 No Content\r\n\r\n"},
        {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"},
        {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
    };
    static const struct {
        const char *method, *body, *sent;
    } calls[] = {
        {"PUT", "x", "PUT / HTTP/1.1\r\n"},
        {"DELETE", NULL, "DELETE / HTTP/1.1\r\n"},
        {"HEAD", NULL, "HEAD / HTTP/1.1\r\n"},
        {"POST", NULL, "POST / HTTP/1.1\r\n"},
    };

    (void)state;
    serve(steps);
    for (int i = 0; i < 4; i++) {
        struct caller c = {0};

        buf_reset(&script.got);
        start(&c, calls[i].method, "/", calls[i].body);
        net_until(loop, &c.finished);
        assert_int_equal(c.e.code, ERR_OK);
        assert_memory_equal(script.got.data, calls[i].sent, strlen(calls[i].sent));
        end(&c);
    }
}

static void test_redirects_are_not_followed(void **state)
{
    const struct step steps[] = {
        {.reply = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/steal\r\nContent-Length: 0\r\n\r\n"}};
    struct caller c = {0};

    (void)state;
    serve(steps);
    start(&c, "GET", "/", NULL);
    net_until(loop, &c.finished);
    assert_int_equal(c.reply.status, 302);
    assert_int_equal(script.connections, 1);
    end(&c);
}

static void test_interim_answers(void **state)
{
    const struct step steps[] = {
        {.reply = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\n"
                  "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"}};
    struct caller c = {0};

    (void)state;
    serve(steps);
    start(&c, "GET", "/", NULL);
    net_until(loop, &c.finished);
    assert_int_equal(c.heads, 1);
    assert_int_equal(c.head_status, 200);
    assert_int_equal(c.reply.limits.retry_after_ms, -1);
    end(&c);
}

static void test_chunks_and_trailers(void **state)
{
    const struct step steps[] = {{.reply = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Retry-After\r\n\r\n"
                                           "3\r\nabc\r\n2\r\nde\r\n0\r\nRetry-After: 5\r\n\r\n"}};
    struct caller c = {0};

    (void)state;
    serve(steps);
    start(&c, "GET", "/", NULL);
    net_until(loop, &c.finished);
    assert_string_equal(buf_str(&c.body), "abcde");
    assert_int_equal(c.heads, 1);
    assert_int_equal(c.reply.limits.retry_after_ms, -1);
    end(&c);
}

static void test_retry_after(void **state)
{
    static const struct {
        const char *headers;
        int64_t ms;
    } cases[] = {
        {"Retry-After: 7\r\n", 7000},
        {"retry-after:7\r\n", 7000},
        {"Retry-After: 1.25 \r\n", 1250},
        {"Retry-After: 0\r\n", 0},
        {"Retry-After: .5\r\n", -1},
        {"Retry-After: -1\r\n", -1},
        {"Retry-After: soon\r\n", -1},
        {"Retry-After:\r\n", -1},
        {"Retry-After: 9999999999999\r\n", RATELIMIT_MAX_MS},
        {"Retry-After: Thu, 01 Jan 1970 00:00:00 GMT\r\n", 0},
        {"retry-after-ms: 250\r\nRetry-After: 9\r\n", 250},
        {"Retry-After: 9\r\nretry-after-ms: 250.7\r\n", 250},
        {"Retry-After: 9\r\nretry-after-ms: x\r\n", 9000},
        {"x-ms-retry-after-ms: 80\r\n", 80},
        {"X-Retry-After: 9\r\n", -1},
    };
    char reply[256];
    const struct step steps[] = {{.reply = reply, .close = true}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct caller c = {0};

        snprintf(reply, sizeof reply, "HTTP/1.1 429 Slow\r\n%sContent-Length: 0\r\nConnection: close\r\n\r\n", cases[i].headers);
        serve(steps);
        start(&c, "GET", "/", NULL);
        net_until(loop, &c.finished);
        if (c.reply.limits.retry_after_ms != cases[i].ms)
            fail_msg("%s=> %lld", cases[i].headers, (long long)c.reply.limits.retry_after_ms);
        end(&c);
        script_stop(&script);
    }
    serve(steps);
}

/* --- failures --- */
static void test_response_limit(void **state)
{
    static char reply[MAX_RESPONSE + 200];
    const struct step steps[] = {{.reply = reply, .close = true}};

    (void)state;
    for (int more = 0; more <= 1; more++) {
        struct caller c = {0};
        int n = snprintf(reply, sizeof reply, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");

        memset(reply + n, 'r', MAX_RESPONSE + more);
        reply[n + MAX_RESPONSE + more] = '\0';
        serve(steps);
        start(&c, "GET", "/", NULL);
        net_until(loop, &c.finished);
        assert_int_equal(c.e.code, more ? ERR_TOO_LARGE : ERR_OK);
        assert_int_equal(c.dones, 1);
        end(&c);
        script_stop(&script);
    }
    serve(steps);
}

static void test_broken_connections(void **state)
{
    static const struct step cases[] = {
        {.reply = "", .close = true},
        {.reply = "", .reset = true},
        {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", .close = true},
        {.reply = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", .close = true},
        {.reply = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", .close = true},
        {.reply = "nonsense\r\n\r\n", .close = true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct caller c = {0};

        serve(&cases[i]);
        start(&c, "GET", "/", NULL);
        net_until(loop, &c.finished);
        assert_int_equal(c.e.code, ERR_NET);
        assert_true(c.e.text[0] != '\0');
        assert_int_equal(c.dones, 1);
        assert_int_equal(script.connections, 1); /* it was fresh: asked once */
        end(&c);
        script_stop(&script);
    }
    serve(cases);
}

static void test_refused_and_unknown(void **state)
{
    const struct step steps[] = {{0}};
    struct caller refused = {0}, unknown = {0};
    char url[64];

    (void)state;
    serve(steps);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", script.port);
    script_stop(&script); /* now nobody listens there */
    start_at(&refused, "GET", url, NULL);
    start_at(&unknown, "GET", "http://no-such-host.invalid/", NULL);
    net_until(loop, &refused.finished);
    net_until(loop, &unknown.finished);
    assert_int_equal(refused.e.code, ERR_NET);
    assert_int_equal(refused.reply.status, 0);
    assert_int_equal(unknown.e.code, ERR_NET);
    end(&refused);
    end(&unknown);
    serve(steps);
}

static void test_bad_urls(void **state)
{
    static const char *const urls[] = {"", "/path", "ftp://a/", "file:///etc/passwd", "http://", "http://a b/", "http://[::1", "http://a:99999/"};
    const struct step steps[] = {{0}};

    (void)state;
    serve(steps);
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        struct http_request req = {.method = "GET", .url = urls[i]};
        struct err e = ERR_INIT;

        assert_null(http_start(client, &req, &handler, NULL, &e));
        assert_int_equal(e.code, ERR_INVALID);
    }
    assert_int_equal(http_active(client), 0);
}

static void test_environment_proxy_is_ignored(void **state)
{
    const struct step steps[] = {{.reply = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}};
    struct caller c = {0};

    (void)state;
    setenv("http_proxy", "http://127.0.0.1:9/", 1);
    serve(steps);
    start(&c, "GET", "/", NULL);
    net_until(loop, &c.finished);
    unsetenv("http_proxy");
    assert_int_equal(c.e.code, ERR_OK);
    end(&c);
}

static void test_proxy(void **state)
{
    const struct step steps[] = {{.reply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"}};
    char proxy[64];
    struct http_request req = {.method = "GET", .url = "http://example.invalid/x", .proxy = proxy, .max_response_bytes = 100,
                               .connect_timeout_ms = CONNECT_MS, .first_byte_timeout_ms = FIRST_BYTE_MS, .idle_timeout_ms = IDLE_MS};
    struct caller c = {0};
    struct err e = ERR_INIT;

    (void)state;
    serve(steps);
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%d", script.port);
    buf_init(&c.body, 100);
    c.call = http_start(client, &req, &handler, &c, &e);
    net_until(loop, &c.finished);
    assert_int_equal(c.e.code, ERR_OK);
    assert_memory_equal(script.got.data, "GET http://example.invalid/x HTTP/1.1\r\n", 39);
    end(&c);
}

/* --- connections --- */
static void test_reuse(void **state)
{
    const struct step steps[] = {{.reply = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
                                 {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}};
    struct caller a = {0}, b = {0};

    (void)state;
    serve(steps);
    a.starts = &b; /* what done() starts finds the connection free */
    start(&a, "GET", "/", NULL);
    net_until(loop, &b.finished);
    assert_int_equal(b.e.code, ERR_OK);
    assert_true(b.reply.reused);
    assert_int_equal(script.connections, 1);
    end(&a);
    end(&b);
}

/* The server closes an idle connection just when the next request goes out. */
static void test_reused_connection_that_died(void **state)
{
    static const struct step deaths[] = {{.reply = "", .close = true}, {.reply = "", .reset = true}};

    (void)state;
    for (int i = 0; i < 2; i++) {
        const struct step steps[] = {{.reply = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
                                     deaths[i],
                                     {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain"}};
        struct caller a = {0}, b = {0};

        serve(steps);
        start(&a, "POST", "/", "one");
        net_until(loop, &a.finished);
        start(&b, "POST", "/", "two");
        net_until(loop, &b.finished);
        assert_int_equal(b.e.code, ERR_OK);
        assert_string_equal(buf_str(&b.body), "again");
        assert_false(b.reply.reused);
        assert_int_equal(script.connections, 2);
        assert_int_equal(b.dones, 1);
        end(&a);
        end(&b);
        script_stop(&script);
    }
    serve(deaths);
}

#define CHAIN 20

/* llama-server does so after each stream, and says nothing of it. */
static void test_server_that_closes_after_each_answer(void **state)
{
    struct step steps[CHAIN];
    struct caller callers[CHAIN] = {0};

    (void)state;
    for (size_t i = 0; i < CHAIN; i++) {
        steps[i] = (struct step){.reply = "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nok", .close = true};
        if (i + 1 < CHAIN)
            callers[i].starts = &callers[i + 1]; /* while the end of the connection is on its way */
    }
    serve(steps);
    start(&callers[0], "GET", "/", NULL);
    net_until(loop, &callers[CHAIN - 1].finished);
    for (size_t i = 0; i < CHAIN; i++) {
        assert_int_equal(callers[i].e.code, ERR_OK);
        assert_int_equal(callers[i].dones, 1);
        assert_string_equal(buf_str(&callers[i].body), "ok");
        end(&callers[i]);
    }
    assert_int_equal(script.next, CHAIN);
}

/* More kept connections than libcurl tries by itself: all die of the next request. */
static void test_pool_of_dying_connections(void **state)
{
    enum { KEPT = 10, LIBCURL_TRIES = 6 };
    struct step steps[KEPT + LIBCURL_TRIES + 1];
    struct caller callers[KEPT + 1] = {0};
    size_t n = 0;

    (void)state;
    for (size_t i = 0; i < KEPT; i++)
        steps[n++] = (struct step){.reply = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"};
    for (size_t i = 0; i < LIBCURL_TRIES; i++)
        steps[n++] = (struct step){.reply = "", .close = true};
    steps[n++] = (struct step){.reply = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain"};
    serve(steps);
    for (size_t i = 0; i < KEPT; i++)
        start(&callers[i], "GET", "/", NULL);
    for (size_t i = 0; i < KEPT; i++)
        net_until(loop, &callers[i].finished);
    assert_in_range(script.connections, LIBCURL_TRIES + 1, KEPT);
    start(&callers[KEPT], "POST", "/", "body");
    net_until(loop, &callers[KEPT].finished);
    assert_int_equal(callers[KEPT].e.code, ERR_OK);
    assert_string_equal(buf_str(&callers[KEPT].body), "again");
    assert_int_equal(callers[KEPT].dones, 1);
    for (size_t i = 0; i <= KEPT; i++)
        end(&callers[i]);
}

static void test_only_once_more(void **state)
{
    const struct step steps[] = {{.reply = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
                                 {.reply = "", .close = true},
                                 {.reply = "", .close = true},
                                 {.reply = "", .close = true}};
    struct caller a = {0}, b = {0};

    (void)state;
    serve(steps);
    start(&a, "GET", "/", NULL);
    net_until(loop, &a.finished);
    start(&b, "GET", "/", NULL);
    net_until(loop, &b.finished);
    assert_int_equal(b.e.code, ERR_NET);
    assert_int_equal(script.connections, 2);
    end(&a);
    end(&b);
}

static void test_not_again_after_the_first_byte(void **state)
{
    const struct step steps[] = {{.reply = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
                                 {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", .close = true},
                                 {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}};
    struct caller a = {0}, b = {0};

    (void)state;
    serve(steps);
    start(&a, "GET", "/", NULL);
    net_until(loop, &a.finished);
    start(&b, "GET", "/", NULL);
    net_until(loop, &b.finished);
    assert_int_equal(b.e.code, ERR_NET);
    assert_int_equal(b.heads, 1);
    assert_int_equal(script.connections, 1);
    end(&a);
    end(&b);
}

#define CALLS 100

static void test_many_at_once(void **state)
{
    static struct step steps[CALLS];
    static struct caller c[CALLS];

    (void)state;
    for (int i = 0; i < CALLS; i++)
        steps[i].reply = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
    serve(steps);
    for (int i = 0; i < CALLS; i++)
        start(&c[i], "GET", "/", NULL);
    assert_int_equal(http_active(client), CALLS);
    for (int i = 0; i < CALLS; i++) {
        net_until(loop, &c[i].finished);
        assert_int_equal(c[i].e.code, ERR_OK);
        end(&c[i]);
    }
}

/* --- connections that are kept --- */
#define CROWD 200
#define ROUNDS 5
#define KEPT_MAX 1024
#define KEPT_S 60

static int64_t skipped_s; /* of libcurl's time */

/* libcurl reads the clock itself. This one stands before the C library's. */
int clock_gettime(clockid_t id, struct timespec *t)
{
    int rc = (int)syscall(SYS_clock_gettime, id, t);

    t->tv_sec += skipped_s;
    return rc;
}

static unsigned open_connections(void)
{
    struct script_conn *c;
    unsigned n;

    net_turns(loop, 5); /* what was closed is seen */
    DL_COUNT(script.conns, c, n);
    return n;
}

static void answer_all(struct step *steps, size_t n)
{
    for (size_t i = 0; i < n; i++)
        steps[i] = (struct step){.reply = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"};
    serve(steps);
}

/* All at the same time. */
static void call_crowd(unsigned n)
{
    struct caller *crowd = mem_array(n, sizeof *crowd);

    for (unsigned i = 0; i < n; i++)
        start(&crowd[i], "GET", "/", NULL);
    while (http_active(client) > 0)
        loop_turn(loop, true);
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(crowd[i].e.code, ERR_OK);
        end(&crowd[i]);
    }
    free(crowd);
}

static void test_crowd_keeps_its_connections(void **state)
{
    static struct step steps[ROUNDS * CROWD + 1];

    (void)state;
    answer_all(steps, ROUNDS * CROWD + 1);
    for (int i = 0; i < ROUNDS; i++)
        call_crowd(CROWD);
    assert_in_range(script.connections, CROWD / 2, CROWD);
    assert_int_equal(open_connections(), script.connections);
    /* After the crowd one call now and then: it keeps its own one only. */
    skipped_s += KEPT_S + 1;
    call_crowd(1);
    assert_in_range(script.connections, 1, CROWD + 1);
    assert_int_equal(open_connections(), 1);
}

static void test_calm_closes_them(void **state)
{
    static struct step steps[2 * CROWD + 1];
    struct caller last = {0};
    unsigned before;

    (void)state;
    answer_all(steps, 2 * CROWD + 1);
    call_crowd(CROWD);
    clock_test_advance(KEPT_S * 1000 - 1);
    assert_int_equal(open_connections(), script.connections);
    start(&last, "GET", "/", NULL); /* it starts over */
    clock_test_advance(1);
    net_turns(loop, 5);
    while (!last.finished)
        loop_turn(loop, false);
    end(&last);
    clock_test_advance(KEPT_S * 1000 - 1);
    assert_int_equal(open_connections(), script.connections);
    clock_test_advance(1);
    assert_int_equal(open_connections(), 0);
    before = script.connections;
    assert_in_range(before, CROWD / 2, CROWD);
    call_crowd(CROWD);
    assert_int_equal(open_connections(), script.connections - before);
}

static void test_connections_kept_are_limited(void **state)
{
    static struct step steps[KEPT_MAX + 10];
    struct rlimit files;

    (void)state;
    answer_all(steps, KEPT_MAX + 10);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    if (files.rlim_cur < 3 * KEPT_MAX)
        skip();
    call_crowd(KEPT_MAX + 10);
    assert_in_range(script.connections, KEPT_MAX + 1, KEPT_MAX + 10);
    assert_int_equal(open_connections(), KEPT_MAX);
}

/* --- ends from the owner's side --- */
static void test_cancel(void **state)
{
    const struct step steps[] = {{.reply = NULL}};
    struct caller c = {0}, early = {0};
    struct http_call *none = NULL;

    (void)state;
    serve(steps);
    http_cancel(&none);
    start(&early, "GET", "/", NULL);
    http_cancel(&early.call);
    assert_null(early.call);
    start(&c, "GET", "/", NULL);
    while (script.got.len == 0)
        loop_turn(loop, true);
    net_sleeps(loop);
    http_cancel(&c.call);
    assert_int_equal(http_active(client), 0);
    net_turns(loop, 10);
    assert_int_equal(c.dones + early.dones, 0);
    assert_null(script.conns); /* the server sees that nobody waits */
    end(&c);
    end(&early);
}

static void test_ends_from_callbacks(void **state)
{
    const struct step steps[] = {{.reply = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"}};

    (void)state;
    for (int what = 0; what < 4; what++) {
        struct caller c = {.cancel_in_head = what == 0, .cancel_in_body = what == 1, .stop_in_body = what == 2,
                           .cancel_in_done = what == 3};

        serve(steps);
        start(&c, "GET", "/", NULL);
        while (c.call)
            loop_turn(loop, true);
        net_turns(loop, 5);
        assert_int_equal(c.dones, what >= 2);
        assert_int_equal(c.got_body, what >= 1);
        if (what == 2)
            assert_int_equal(c.e.code, ERR_CANCELLED);
        assert_int_equal(http_active(client), 0);
        end(&c);
        script_stop(&script);
    }
    serve(steps);
}

static void test_one_cancels_the_other(void **state)
{
    const struct step steps[] = {{.reply = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"},
                                 {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"}};
    struct caller a = {0}, b = {0};

    (void)state;
    a.cancels = &b;
    b.cancels = &a;
    serve(steps);
    start(&a, "GET", "/", NULL);
    start(&b, "GET", "/", NULL);
    while (http_active(client) > 0)
        loop_turn(loop, true);
    assert_int_equal(a.got_body + b.got_body, 1);
    end(&a);
    end(&b);
}

static void test_client_goes_first(void **state)
{
    const struct step steps[] = {{.reply = NULL}, {.reply = NULL}};
    struct caller a = {0}, b = {0};
    struct err e = ERR_INIT;

    (void)state;
    serve(steps);
    start(&a, "GET", "/", NULL);
    start(&b, "POST", "/", "body");
    net_turns(loop, 5);
    http_client_free(&client);
    a.call = b.call = NULL;
    net_turns(loop, 5);
    assert_int_equal(a.dones + b.dones, 0);
    assert_int_equal(http_client_new(loop, &client, &e), ERR_OK);
    end(&a);
    end(&b);
}

/* --- deadlines, under the virtual clock --- */
static void until_got(void)
{
    while (script.got.len == 0)
        loop_turn(loop, false);
}

static void test_first_byte_deadline(void **state)
{
    const struct step steps[] = {{.reply = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"}}; /* headers do not count */
    struct caller c = {0};

    (void)state;
    serve(steps);
    start(&c, "GET", "/", NULL);
    until_got();
    while (c.heads == 0)
        loop_turn(loop, false);
    clock_test_advance(FIRST_BYTE_MS - 1);
    net_turns(loop, 3);
    assert_int_equal(c.dones, 0);
    clock_test_advance(1);
    net_turns(loop, 3);
    assert_int_equal(c.dones, 1);
    assert_int_equal(c.e.code, ERR_TIMEOUT);
    assert_int_equal(c.reply.status, 200);
    end(&c);
}

static void test_idle_deadline(void **state)
{
    const struct step steps[] = {{.reply = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\na"}};
    struct caller c = {0};

    (void)state;
    serve(steps);
    start(&c, "GET", "/", NULL);
    while (!c.got_body)
        loop_turn(loop, false);
    for (int i = 0; i < 3; i++) { /* each byte starts it over */
        clock_test_advance(IDLE_MS - 1);
        net_turns(loop, 3);
        c.got_body = false;
        script_says(&script, "b");
        while (!c.got_body)
            loop_turn(loop, false);
    }
    assert_int_equal(c.dones, 0);
    clock_test_advance(IDLE_MS - 1);
    net_turns(loop, 3);
    assert_int_equal(c.dones, 0);
    clock_test_advance(1);
    net_turns(loop, 3);
    assert_int_equal(c.dones, 1);
    assert_int_equal(c.e.code, ERR_TIMEOUT);
    assert_string_equal(buf_str(&c.body), "abbb");
    end(&c);
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest real[] = {
        T(test_get),
        T(test_post),
        T(test_other_methods),
        T(test_redirects_are_not_followed),
        T(test_interim_answers),
        T(test_chunks_and_trailers),
        T(test_retry_after),
        T(test_response_limit),
        T(test_broken_connections),
        T(test_refused_and_unknown),
        T(test_bad_urls),
        T(test_environment_proxy_is_ignored),
        T(test_proxy),
        T(test_reuse),
        T(test_reused_connection_that_died),
        T(test_server_that_closes_after_each_answer),
        T(test_pool_of_dying_connections),
        T(test_only_once_more),
        T(test_not_again_after_the_first_byte),
        T(test_many_at_once),
        T(test_connections_kept_are_limited),
        T(test_cancel),
        T(test_ends_from_callbacks),
        T(test_one_cancels_the_other),
        T(test_client_goes_first),
    };
    const struct CMUnitTest frozen[] = {
        T(test_first_byte_deadline),
        T(test_idle_deadline),
        T(test_crowd_keeps_its_connections),
        T(test_calm_closes_them),
    };
    int failed = cmocka_run_group_tests(real, NULL, NULL);

    clock_test_freeze(1700000000000);
    return failed + cmocka_run_group_tests(frozen, NULL, NULL);
}
