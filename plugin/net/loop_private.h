/* loop_private.h: what the loop keeps for others in plugin/net. */
#ifndef WARBLER_NET_LOOP_PRIVATE_H
#define WARBLER_NET_LOOP_PRIVATE_H

struct loop;

struct lws_host *loop_lws(struct loop *loop);
struct dns *loop_dns(struct loop *loop); /* started at the first call */

#endif
