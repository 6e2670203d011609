#include "tests/unit/webchat_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <time.h>

#include "plugin/base/mem.h"

#define PATIENCE_S 30

static bool always_ready(void *arg, struct buf *json)
{
    buf_adds(json, arg ? "{\"ready\":false}" : "{\"ready\":true}");
    return !arg;
}

struct world *world_new(void (*tweak)(struct webchat_conf *conf))
{
    struct world *w = mem_alloc(sizeof *w);
    struct server_config sc = { .address = "127.0.0.1", .max_body_bytes = 65536, .request_timeout_ms = 60000 };
    struct err e = ERR_INIT;
    static char name[] = "web";

    w->conf = (struct webchat_conf){ .max_connections = 10000, .max_connections_per_address = 32,
                                     .messages_per_minute = 30, .max_message_bytes = 16384,
                                     .max_frame_bytes = 65536, .open_rooms = true };
    if (tweak)
        tweak(&w->conf);
    assert_int_equal(loop_new(0, &w->loop, &e), ERR_OK);
    assert_int_equal(server_new(w->loop, &sc, &w->server, &e), ERR_OK);
    defer_init(&w->work, w->loop, world_work, w);
    w->web = (struct web){ .ready = always_ready };
    web_routes(w->server, &w->web);
    w->account = (struct account_conf){ .name = name, .settings = &w->conf };
    w->a = (struct adapter){ .ops = adapter_find("webchat"), .conf = &w->account, .loop = w->loop,
                             .server = w->server, .host = &world_host, .host_arg = w };
    w->a.priv = mem_alloc(w->a.ops->size);
    if (w->a.ops->init(&w->a, &e) != ERR_OK)
        fail_msg("%s", e.text);
    w->a.ops->start(&w->a);
    assert_int_equal(w->online, 0); /* not from inside */
    world_turns(w, 2);
    assert_int_equal(w->online, 1);
    return w;
}

void world_free(struct world **world)
{
    struct world *w = *world;

    w->a.ops->fini(&w->a);
    free(w->a.priv);
    defer_cancel(&w->work);
    server_free(&w->server);
    loop_free(&w->loop);
    world_host_fini(w);
    free(w);
    *world = NULL;
}

void world_turns(struct world *w, int n)
{
    while (n-- > 0)
        loop_turn(w->loop, false);
}

static int64_t real_s(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec;
}

void world_until(struct world *w, bool (*done)(void *arg), void *arg, const char *what)
{
    int64_t end = real_s() + PATIENCE_S + 1;
    uint64_t arrived = w->arrived;

    while (!done(arg)) {
        loop_turn(w->loop, false);
        if (w->arrived != arrived) {
            arrived = w->arrived;
            end = real_s() + PATIENCE_S + 1;
        }
        if (real_s() >= end)
            fail_msg("waited in vain for %s", what);
    }
}

void world_pause(struct world *w)
{
    w->paused = true;
}

void world_resume(struct world *w)
{
    w->paused = false;
    defer_set(&w->work);
}

