/* Lanying: an account that stops while something of it is due. */
#include "tests/unit/net_util.h"

#include <stdlib.h>

#include "adapters/lanying/lanying.h"
#include "plugin/adapter.h"
#include "plugin/base/clock.h"

extern const struct adapter_ops adapter_lanying;

struct world {
    struct loop *loop;
    struct lanying_conf settings;
    struct account_conf conf;
    struct adapter a;
    struct lanying *ly;
    bool stopped;
};

static void on_stopped(void *arg, struct adapter *a)
{
    struct world *w = arg;

    (void)a;
    w->stopped = true;
}

static void world_init(struct world *w, enum mode mode)
{
    static const struct adapter_host host = { .stopped = on_stopped };
    static char app[] = "app", user[] = "bot", name[] = "ly";
    struct err e = ERR_INIT;

    *w = (struct world){ .loop = net_loop_new(), .settings = { .app_id = app, .username = user, .mode = mode } };
    secret_set(&w->settings.password, "password", 8);
    w->conf = (struct account_conf){ .name = name, .settings = &w->settings };
    w->ly = calloc(1, sizeof *w->ly);
    assert_non_null(w->ly);
    w->a = (struct adapter){ .ops = &adapter_lanying, .conf = &w->conf, .loop = w->loop, .priv = w->ly, .host = &host, .host_arg = w };
    assert_int_equal(adapter_lanying.init(&w->a, &e), ERR_OK);
}

static void world_fini(struct world *w)
{
    adapter_lanying.fini(&w->a);
    free(w->ly);
    secret_clear(&w->settings.password);
    loop_free(&w->loop);
}

/* A heartbeat goes out over the link; the timer comes before the deferred end. */
static void nothing_is_due_any_more(void **state)
{
    static const enum mode modes[] = { MODE_WEBSOCKET, MODE_POLL };
    struct world w;

    (void)state;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        world_init(&w, modes[i]);
        w.ly->session.state = SESSION_ONLINE;
        w.ly->beat.asked_ms = clock_mono_ms() - BEAT_MS;
        timer_set(modes[i] == MODE_WEBSOCKET ? &w.ly->beat.timer : &w.ly->poll, 0);
        timer_set(&w.ly->session.renewal, 0);
        adapter_lanying.stop(&w.a);
        assert_false(w.stopped); /* not before it returns */
        net_until(w.loop, &w.stopped);
        assert_null(w.ly->api.calls);
        world_fini(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(nothing_is_due_any_more) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
