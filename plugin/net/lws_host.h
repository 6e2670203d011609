/* lws_host.h: the process's one libwebsockets context, which hosts the loop.
 * Private to plugin/net. */
#ifndef WARBLER_NET_LWS_HOST_H
#define WARBLER_NET_LWS_HOST_H

#include <stdbool.h>
#include <stddef.h>

#include "plugin/base/err.h"

struct lws_host;
struct lws_context;
struct lws_vhost;

/* fd_limit: as loop_new(). fd is watched for reading: readable(arg). */
enum err_code lws_host_new(int fd_limit, int fd, void (*readable)(void *arg), void *arg, struct lws_host **host_r,
                           struct err *e);
void lws_host_free(struct lws_host **host);

/* One pass: waits for an event if wait is set, then calls back for all there are. */
void lws_host_service(struct lws_host *host, bool wait);

#define LWS_HOST_NAME "plain" /* of the virtual host without TLS */

struct lws_context *lws_host_context(const struct lws_host *host);
struct lws_vhost *lws_host_vhost(const struct lws_host *host); /* without TLS */

/* Hands over a connection together with what was already read from it; opaque
 * becomes the wsi's user data before anything is called back. False: closed. */
bool lws_host_adopt(struct lws_host *host, int fd, const char *bytes, size_t len, void *opaque);

/* The virtual host for wss clients that trust ca_file; made at the first call,
 * because OpenSSL costs memory. NULL and *e if the file is no good. */
struct lws_vhost *lws_host_tls_vhost(struct lws_host *host, const char *ca_file, struct err *e);

#endif
