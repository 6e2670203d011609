/* lws_crowd.h: libwebsockets for the many sockets of a server. Private to
 * plugin/net.
 *
 * libwebsockets' own poll looks at every socket in every turn, which takes a
 * millisecond with 10,000 of them. So these have a context that does not poll:
 * each socket is a watch of the loop, its owner hands over what is ready, and
 * libwebsockets' timeouts are looked after once a second. */
#ifndef WARBLER_NET_LWS_CROWD_H
#define WARBLER_NET_LWS_CROWD_H

#include <stddef.h>

struct lws_crowd;
struct lws_vhost;
struct loop;

struct lws_crowd *lws_crowd_new(struct loop *loop); /* NULL if libwebsockets refuses */
void lws_crowd_free(struct lws_crowd **crowd);

#define LWS_CROWD_HOST "crowd" /* what the Host of adopted requests must be */

/* Takes a connection together with what was already read from it: an upgrade,
 * and perhaps frames. opaque becomes the wsi's user data before anything is
 * called back. Closes fd if it cannot: then nobody is called. */
void lws_crowd_adopt(struct lws_crowd *crowd, int fd, const char *bytes, size_t len, void *opaque);

/* The watch of that socket reported these events. */
void lws_crowd_serve(struct lws_crowd *crowd, int fd, unsigned events);

/* Something was told to close (LWS_TO_KILL_ASYNC): it does at the end of the turn. */
void lws_crowd_reap(struct lws_crowd *crowd);

#endif
