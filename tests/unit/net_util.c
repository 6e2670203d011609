#include "tests/unit/net_util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "plugin/base/mem.h"

#define NAP_MS 30
#define SCRIPT_BACKLOG 4096 /* as many as a test opens at once: one too many would wait for a second */
#define KEPT_BYTES (64U * 1024 * 1024)

struct loop *net_loop_new(void)
{
    struct loop *loop;
    struct err e = ERR_INIT;

    if (loop_new(0, &loop, &e) != ERR_OK)
        fail_msg("%s", e.text);
    return loop;
}

static void give_up(void *arg)
{
    *(bool *)arg = true;
}

void net_until(struct loop *loop, const bool *done)
{
    struct timer patience;
    bool late = false;

    timer_init(&patience, loop, give_up, &late);
    timer_set(&patience, NET_PATIENCE_MS);
    while (!*done && !late)
        loop_turn(loop, true);
    timer_cancel(&patience);
    if (!*done)
        fail_msg("waited in vain");
}

void net_turns(struct loop *loop, int n)
{
    while (n-- > 0)
        loop_turn(loop, false);
}

void net_sleeps(struct loop *loop)
{
    struct timer nap;
    bool over = false;
    uint64_t before;

    net_turns(loop, 10); /* what is under way may end */
    before = loop_turns(loop);
    timer_init(&nap, loop, give_up, &over);
    timer_set(&nap, NAP_MS);
    while (!over)
        loop_turn(loop, true);
    assert_true(loop_turns(loop) - before < 10);
}

/* --- a client's socket --- */
static struct sockaddr_in loopback(int port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return sa;
}

static void on_tcp(void *arg, unsigned events)
{
    struct tcp *r = arg;
    char data[65536];
    ssize_t n = recv(r->fd, data, sizeof data, MSG_DONTWAIT);

    (void)events;
    if (n > 0) {
        buf_add(&r->in, data, (size_t)n);
        return;
    }
    if (n < 0 && errno == EAGAIN)
        return;
    r->eof = true;
    r->reset = n < 0;
    watch_free(&r->watch);
}

void tcp_open(struct tcp *r, struct loop *loop, int port)
{
    struct sockaddr_in sa = loopback(port);
    int on = 1;

    *r = (struct tcp){.loop = loop};
    buf_init(&r->in, KEPT_BYTES);
    r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(r->fd >= 0);
    assert_int_equal(connect(r->fd, (struct sockaddr *)&sa, sizeof sa), 0);
    setsockopt(r->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    r->watch = watch_new(loop, r->fd, WATCH_READ, on_tcp, r);
    assert_non_null(r->watch);
}

void tcp_close(struct tcp *r)
{
    watch_free(&r->watch);
    close(r->fd);
    buf_free(&r->in);
}

void tcp_send(struct tcp *r, const void *data, size_t len)
{
    const char *p = data;

    while (len > 0) {
        ssize_t n = send(r->fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno != EAGAIN)
            return; /* the other side had enough: the test looks at what it said */
        if (n > 0) {
            p += n;
            len -= (size_t)n;
        }
        loop_turn(r->loop, false);
    }
}

void tcp_says(struct tcp *r, const char *text)
{
    tcp_send(r, text, strlen(text));
}

static bool has(const struct tcp *r, const char *part, size_t len)
{
    if (!part)
        return r->in.len >= len;
    return r->in.len > 0 && memmem(r->in.data, r->in.len, part, strlen(part));
}

static void tcp_wait(struct tcp *r, const char *part, size_t len)
{
    struct timer patience;
    bool late = false;

    timer_init(&patience, r->loop, give_up, &late);
    timer_set(&patience, NET_PATIENCE_MS);
    while (!has(r, part, len) && !late && !r->eof)
        loop_turn(r->loop, true);
    timer_cancel(&patience);
    if (!has(r, part, len))
        fail_msg("did not come: %s; but: %.300s", part ? part : "as much", buf_str(&r->in));
}

void tcp_until(struct tcp *r, const char *part)
{
    tcp_wait(r, part, 0);
}

void tcp_until_bytes(struct tcp *r, size_t len)
{
    tcp_wait(r, NULL, len);
}

void tcp_until_eof(struct tcp *r)
{
    net_until(r->loop, &r->eof);
}

/* --- a server --- */
static void end_conn(struct script_conn *c, bool reset)
{
    struct linger cut = {.l_onoff = 1, .l_linger = 0};

    if (reset)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &cut, sizeof cut);
    watch_free(&c->watch);
    close(c->fd);
    DL_DELETE(c->script->conns, c);
    loop_free_later(c->script->loop, c, free);
}

static void on_script_conn(void *arg, unsigned events)
{
    struct script_conn *c = arg;
    struct script *s = c->script;
    const struct step *step;
    char data[65536];
    ssize_t n = recv(c->fd, data, sizeof data, MSG_DONTWAIT);

    (void)events;
    if (n <= 0) {
        end_conn(c, false);
        return;
    }
    buf_add(&s->got, data, (size_t)n);
    if (!memmem(data, (size_t)n, "\r\n\r\n", 4))
        return; /* the tests' requests come in one piece, or their bodies in later ones */
    step = &s->steps[s->next++];
    if (step->reply)
        assert_int_equal(send(c->fd, step->reply, strlen(step->reply), MSG_NOSIGNAL), strlen(step->reply));
    if (step->close || step->reset)
        end_conn(c, step->reset);
}

static void on_script_listen(void *arg, unsigned events)
{
    struct script *s = arg;
    struct script_conn *c = mem_alloc(sizeof *c);

    (void)events;
    c->script = s;
    c->fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
    assert_true(c->fd >= 0);
    c->watch = watch_new(s->loop, c->fd, WATCH_READ, on_script_conn, c);
    DL_APPEND(s->conns, c);
    s->connections++;
}

void script_start(struct script *s, struct loop *loop, const struct step *steps)
{
    struct sockaddr_in sa = loopback(0);
    socklen_t len = sizeof sa;

    *s = (struct script){.loop = loop, .steps = steps};
    buf_init(&s->got, KEPT_BYTES);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(listen(s->fd, SCRIPT_BACKLOG), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&sa, &len), 0);
    s->port = ntohs(sa.sin_port);
    s->watch = watch_new(loop, s->fd, WATCH_READ, on_script_listen, s);
}

void script_says(struct script *s, const char *text)
{
    assert_int_equal(send(s->conns->prev->fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

void script_stop(struct script *s)
{
    while (s->conns)
        end_conn(s->conns, false);
    watch_free(&s->watch);
    close(s->fd);
    buf_free(&s->got);
}
