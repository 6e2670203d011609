#include "plugin/net/lws_crowd.h"

#include <libwebsockets.h>
#include <stdlib.h>

#include "plugin/base/mem.h"
#include "plugin/net/loop.h"
#include "plugin/net/lws_host.h"
#include "plugin/net/ws_conn.h"

#define TICK_MS 1000 /* libwebsockets' own timeouts are seconds */

struct lws_crowd {
    struct lws_context *context;
    struct lws_vhost *vhost;
    struct lws_protocols protocols[2];
    void *adopting; /* while lws_crowd_adopt() runs */
    unsigned sockets;
    struct timer tick; /* while there are sockets */
    struct defer reap;
};

static int on_ws(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    struct lws_crowd *crowd = lws_context_user(lws_get_context(wsi));
    int rc;

    if (reason == LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED) {
        lws_set_opaque_user_data(wsi, crowd->adopting);
        crowd->sockets++;
    }
    rc = ws_on_lws(wsi, reason, user, in, len);
    if (reason == LWS_CALLBACK_WSI_DESTROY)
        crowd->sockets--;
    return rc;
}

static void service(void *arg)
{
    struct lws_crowd *crowd = arg;

    lws_service(crowd->context, -1);
}

static void on_tick(void *arg)
{
    struct lws_crowd *crowd = arg;

    service(crowd);
    if (crowd->sockets > 0)
        timer_set(&crowd->tick, TICK_MS);
}

struct lws_crowd *lws_crowd_new(struct loop *loop)
{
    struct lws_crowd *crowd = mem_alloc(sizeof *crowd);
    struct lws_context_creation_info info;

    crowd->protocols[0] =
        (struct lws_protocols){.name = WS_LWS_PROTOCOL, .callback = on_ws, .rx_buffer_size = WS_READ_BYTES};
    timer_init(&crowd->tick, loop, on_tick, crowd);
    defer_init(&crowd->reap, loop, service, crowd);
    lws_host_fill_info(&info, crowd->protocols, crowd);
    crowd->context = lws_create_context(&info);
    info.vhost_name = LWS_CROWD_HOST;
    if (crowd->context)
        crowd->vhost = lws_create_vhost(crowd->context, &info);
    if (!crowd->vhost)
        lws_crowd_free(&crowd);
    return crowd;
}

void lws_crowd_free(struct lws_crowd **crowd)
{
    struct lws_crowd *c = *crowd;

    if (!c)
        return;
    if (c->context)
        lws_context_destroy(c->context);
    timer_cancel(&c->tick);
    defer_cancel(&c->reap);
    free(c);
    *crowd = NULL;
}

void lws_crowd_adopt(struct lws_crowd *crowd, int fd, const char *bytes, size_t len, void *opaque)
{
    crowd->adopting = opaque;
    lws_adopt_socket_vhost_readbuf(crowd->vhost, fd, bytes, len);
    crowd->adopting = NULL;
    if (!timer_pending(&crowd->tick))
        timer_set(&crowd->tick, TICK_MS);
}

void lws_crowd_serve(struct lws_crowd *crowd, int fd, unsigned events)
{
    struct lws_pollfd p = {.fd = fd, .events = LWS_POLLIN | LWS_POLLOUT};

    if (events & WATCH_READ)
        p.revents |= LWS_POLLIN;
    if (events & WATCH_WRITE)
        p.revents |= LWS_POLLOUT;
    if (events == WATCH_ERROR)
        p.revents |= LWS_POLLHUP;
    lws_service_fd(crowd->context, &p);
}

void lws_crowd_reap(struct lws_crowd *crowd)
{
    defer_set(&crowd->reap);
}
