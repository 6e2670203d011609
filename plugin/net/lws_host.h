/* lws_host.h: the libwebsockets context whose poll hosts the loop, and with it
 * the WebSockets that we open to others. Private to plugin/net. */
#ifndef WARBLER_NET_LWS_HOST_H
#define WARBLER_NET_LWS_HOST_H

#include <stdbool.h>

#include "plugin/base/err.h"

struct lws_host;
struct lws_context;
struct lws_vhost;
struct lws_protocols;
struct lws_context_creation_info;

/* fd_limit: as loop_new(). fd is watched for reading: readable(arg). */
enum err_code lws_host_new(int fd_limit, int fd, void (*readable)(void *arg), void *arg, struct lws_host **host_r,
                           struct err *e);
void lws_host_free(struct lws_host **host);

/* One pass: waits for an event if wait is set, then calls back for all there are. */
void lws_host_service(struct lws_host *host, bool wait);

struct lws_context *lws_host_context(const struct lws_host *host);
struct lws_vhost *lws_host_vhost(const struct lws_host *host); /* without TLS */

/* The virtual host for wss clients that trust ca_file; made at the first call,
 * because OpenSSL costs memory. NULL and *e if the file is no good. */
struct lws_vhost *lws_host_tls_vhost(struct lws_host *host, const char *ca_file, struct err *e);

/* For libwebsockets to leave pings to us: its own cost a walk through all
 * connections for each. */
extern const struct lws_retry_bo lws_host_no_pings;

/* What all our contexts and virtual hosts have in common: nothing listens, and
 * the system's certificates are not loaded. */
void lws_host_fill_info(struct lws_context_creation_info *info, const struct lws_protocols *protocols, void *user);

#endif
