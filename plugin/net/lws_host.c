#include "plugin/net/lws_host.h"

#include <errno.h>
#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "plugin/base/log.h"
#include "plugin/base/mem.h"
#include "plugin/net/ca.h"
#include "plugin/net/ws_conn.h"

/* libwebsockets keeps 16 bytes per descriptor the process may open, touched when
 * the first WebSocket comes: a limit of a million, as containers have it, would
 * cost 16 MB. Enough for the web chat's own limit of 10,000, and for what answers them. */
#define FDS_UNASKED_MAX 16384
#define CLIENTS_MAX 1000 /* WebSockets to others at a time, and no more poll entries */
#define FDS_OWN 32 /* log, store, poller, TLS: beside what the caller counts */

/* Ours are armed by the deadlines of loop timers; this only has to be longer. */
#define LWS_TIMEOUT_S 30

const struct lws_retry_bo lws_host_no_pings = {0};

struct tls_vhost {
    char *ca_file;
    struct lws_vhost *vhost;
    struct tls_vhost *next;
};

struct lws_host {
    struct lws_context *context;
    struct lws_vhost *vhost;
    struct tls_vhost *tls; /* one per CA file in use */
    void (*readable)(void *arg);
    void *arg;
    struct lws_protocols protocols[3];
};

/* What libwebsockets calls an error is often a peer's fault or no fault at all,
 * and what matters comes back to us as a result or a callback. */
static void lws_says(int level, const char *line)
{
    (void)level;
    log_debug("lws", "%.*s", (int)strcspn(line, "\n"), line);
}

static int on_poller(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    struct lws_host *host = lws_context_user(lws_get_context(wsi));

    (void)user;
    (void)in;
    (void)len;
    if (reason == LWS_CALLBACK_RAW_RX_FILE)
        host->readable(host->arg);
    return 0;
}

/* The soft limit is what libwebsockets sizes its tables by. */
static enum err_code set_fd_limit(int fd_limit, struct err *e)
{
    struct rlimit lim;
    rlim_t want;

    if (getrlimit(RLIMIT_NOFILE, &lim) != 0)
        return err_set(e, ERR_IO, "open files limit: %s", strerror(errno));
    if (fd_limit > 0)
        want = (rlim_t)fd_limit + FDS_OWN;
    else
        want = lim.rlim_max < FDS_UNASKED_MAX ? lim.rlim_max : FDS_UNASKED_MAX;
    if (want > lim.rlim_max) {
        log_info("loop", "open files: %llu wanted, the system allows %llu", (unsigned long long)want,
                 (unsigned long long)lim.rlim_max);
        want = lim.rlim_max;
    }
    lim.rlim_cur = want;
    if (setrlimit(RLIMIT_NOFILE, &lim) != 0)
        return err_set(e, ERR_IO, "open files limit: %s", strerror(errno));
    return ERR_OK;
}

void lws_host_fill_info(struct lws_context_creation_info *info, const struct lws_protocols *protocols, void *user)
{
    *info = (struct lws_context_creation_info){0};
    info->port = CONTEXT_PORT_NO_LISTEN_SERVER;
    info->protocols = protocols;
    info->user = user;
    info->http_proxy_address = ""; /* or it would take the environment's */
    info->timeout_secs = LWS_TIMEOUT_S;
    info->retry_and_idle_policy = &lws_host_no_pings;
    info->options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS |
                    LWS_SERVER_OPTION_JUST_USE_RAW_ORIGIN;
}

static enum err_code adopt(struct lws_host *host, int fd, struct err *e)
{
    lws_sock_file_fd_type file = {.filefd = dup(fd)}; /* libwebsockets closes its descriptors */

    if (file.filefd < 0)
        return err_set(e, ERR_IO, "event loop: %s", strerror(errno));
    if (!lws_adopt_descriptor_vhost(host->vhost, LWS_ADOPT_RAW_FILE_DESC, file, "poller", NULL)) {
        close(file.filefd);
        return err_set(e, ERR_IO, "event loop: libwebsockets refused the poller");
    }
    return ERR_OK;
}

static enum err_code create(struct lws_host *host, struct err *e)
{
    struct lws_context_creation_info info;

    lws_host_fill_info(&info, host->protocols, host);
    info.fd_limit_per_thread = CLIENTS_MAX;
    info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
    host->context = lws_create_context(&info);
    if (!host->context)
        return err_set(e, ERR_IO, "event loop: no libwebsockets context");
    info.vhost_name = "plain";
    info.options &= ~(uint64_t)LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT; /* on a vhost this means TLS */
    host->vhost = lws_create_vhost(host->context, &info);
    if (!host->vhost)
        return err_set(e, ERR_IO, "event loop: no libwebsockets vhost");
    return ERR_OK;
}

enum err_code lws_host_new(int fd_limit, int fd, void (*readable)(void *arg), void *arg, struct lws_host **host_r,
                           struct err *e)
{
    struct lws_host *host;

    if (set_fd_limit(fd_limit, e) != ERR_OK)
        return ERR_IO;
    lws_set_log_level(LLL_ERR | LLL_WARN | LLL_NOTICE, lws_says);
    host = mem_alloc(sizeof *host);
    host->readable = readable;
    host->arg = arg;
    host->protocols[0] =
        (struct lws_protocols){.name = WS_LWS_PROTOCOL, .callback = ws_on_lws, .rx_buffer_size = WS_READ_BYTES};
    host->protocols[1] = (struct lws_protocols){.name = "poller", .callback = on_poller};
    if (create(host, e) != ERR_OK || adopt(host, fd, e) != ERR_OK) {
        lws_host_free(&host);
        return ERR_IO;
    }
    *host_r = host;
    return ERR_OK;
}

void lws_host_free(struct lws_host **host)
{
    struct lws_host *h = *host;

    if (!h)
        return;
    if (h->context)
        lws_context_destroy(h->context);
    while (h->tls) {
        struct tls_vhost *next = h->tls->next;

        free(h->tls->ca_file);
        free(h->tls);
        h->tls = next;
    }
    free(h);
    *host = NULL;
}

void lws_host_service(struct lws_host *host, bool wait)
{
    lws_service(host->context, wait ? 0 : -1);
}

struct lws_context *lws_host_context(const struct lws_host *host)
{
    return host->context;
}

struct lws_vhost *lws_host_vhost(const struct lws_host *host)
{
    return host->vhost;
}

struct lws_vhost *lws_host_tls_vhost(struct lws_host *host, const char *ca_file, struct err *e)
{
    struct lws_context_creation_info info;
    struct tls_vhost *tls;

    if (!ca_file)
        ca_file = ca_bundle();
    for (tls = host->tls; tls; tls = tls->next)
        if (strcmp(tls->ca_file, ca_file) == 0)
            return tls->vhost;
    if (access(ca_file, R_OK) != 0) {
        err_set(e, ERR_INVALID, "%s: %s", ca_file, strerror(errno));
        return NULL;
    }
    tls = mem_alloc(sizeof *tls);
    tls->ca_file = mem_dup(ca_file);
    lws_host_fill_info(&info, host->protocols, host);
    info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
    info.port = CONTEXT_PORT_NO_LISTEN;
    info.vhost_name = tls->ca_file;
    info.client_ssl_ca_filepath = tls->ca_file;
    tls->vhost = lws_create_vhost(host->context, &info);
    if (!tls->vhost) {
        err_set(e, ERR_INVALID, "%s: no usable certificates", ca_file);
        free(tls->ca_file);
        free(tls);
        return NULL;
    }
    tls->next = host->tls;
    host->tls = tls;
    return tls->vhost;
}
