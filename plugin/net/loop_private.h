/* loop_private.h: what the loop keeps for others in plugin/net. */
#ifndef WARBLER_NET_LOOP_PRIVATE_H
#define WARBLER_NET_LOOP_PRIVATE_H

struct loop;

struct lws_host *loop_lws(struct loop *loop);
/* Made at the first call. */
struct lws_crowd *loop_crowd(struct loop *loop); /* NULL if libwebsockets refuses */
struct dns *loop_dns(struct loop *loop);

#endif
