#include "plugin/net/ws.h"

#include <curl/curl.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/base/clock.h"
#include "plugin/base/mem.h"
#include "plugin/net/dns.h"
#include "plugin/net/loop_private.h"
#include "plugin/net/lws_host.h"
#include "plugin/net/ws_conn.h"

#define HOST_BYTES_MAX 300 /* 253 of a name (RFC 1035), brackets and port */

/* What is needed until the WebSocket is open. */
struct ws_connecting {
    char *name;      /* to look up */
    char *host;      /* for Host and SNI: name, and port unless it is the scheme's own */
    char *path;      /* with the query */
    int port;
    bool tls;
    char *subprotocol, *origin, *ca_file;
    int64_t give_up_ms; /* on the monotonic clock */
    struct dns_query *query;
    struct dns_answer addresses;
    size_t tried;
    bool reached; /* the server answered at this address: the others would say the same */
    const char *distrust; /* why its certificate is no good; NULL: no complaint */
    struct defer next_try;
};

void ws_connecting_free(struct ws *ws)
{
    struct ws_connecting *c = ws->connecting;

    if (!c)
        return;
    dns_cancel(&c->query);
    defer_cancel(&c->next_try);
    free(c->name);
    free(c->host);
    free(c->path);
    free(c->subprotocol);
    free(c->origin);
    free(c->ca_file);
    free(c);
    ws->connecting = NULL;
}

/* --- the URL --- */
static void check_memory(CURLUcode rc)
{
    if (rc == CURLUE_OUT_OF_MEMORY)
        mem_out("libcurl");
}

static char *take_part(CURLU *u, CURLUPart part, unsigned flags)
{
    char *value = NULL, *copy;
    CURLUcode rc = curl_url_get(u, part, &value, flags);

    check_memory(rc);
    if (rc != CURLUE_OK)
        return NULL;
    copy = mem_dup(value);
    curl_free(value);
    return copy;
}

static void strip_brackets(char *host)
{
    size_t len = strlen(host);

    if (len < 2 || host[0] != '[' || host[len - 1] != ']')
        return;
    memmove(host, host + 1, len - 2);
    host[len - 2] = '\0';
}

static char *join(const char *a, char between, const char *b)
{
    struct buf buf;

    buf_init(&buf, SIZE_MAX);
    buf_adds(&buf, a);
    if (b) {
        buf_addc(&buf, between);
        buf_adds(&buf, b);
    }
    return buf_take(&buf);
}

static enum err_code take_url(struct ws_connecting *c, CURLU *u, struct err *e)
{
    char *scheme = take_part(u, CURLUPART_SCHEME, 0), *path = take_part(u, CURLUPART_PATH, 0);
    char *query = take_part(u, CURLUPART_QUERY, 0), *port = take_part(u, CURLUPART_PORT, 0);
    bool plain = scheme && strcmp(scheme, "ws") == 0;

    c->tls = scheme && strcmp(scheme, "wss") == 0;
    c->name = take_part(u, CURLUPART_HOST, 0);
    c->port = port ? (int)strtol(port, NULL, 10) : c->tls ? 443 : 80;
    if (c->name) {
        c->host = join(c->name, ':', port);
        strip_brackets(c->name);
    }
    c->path = join(path ? path : "/", '?', query);
    free(scheme);
    free(path);
    free(query);
    free(port);
    if (!plain && !c->tls)
        return err_set(e, ERR_INVALID, "URL: neither ws nor wss");
    if (!c->name || strlen(c->host) > HOST_BYTES_MAX)
        return err_set(e, ERR_INVALID, "URL: bad host");
    return ERR_OK;
}

static enum err_code parse_url(struct ws_connecting *c, const char *url, struct err *e)
{
    CURLU *u = curl_url();
    CURLUcode rc = u ? curl_url_set(u, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) : CURLUE_OUT_OF_MEMORY;
    enum err_code code;

    check_memory(rc);
    if (rc == CURLUE_OK)
        code = take_url(c, u, e);
    else
        code = err_set(e, ERR_INVALID, "URL: %s", curl_url_strerror(rc));
    curl_url_cleanup(u);
    return code;
}

/* --- connecting --- */
static bool start_try(struct ws *ws, const char *address, struct err *e)
{
    struct ws_connecting *c = ws->connecting;
    struct lws_host *host = loop_lws(ws->loop);
    struct lws_client_connect_info info = {0};
    struct lws *wsi;

    info.vhost = c->tls ? lws_host_tls_vhost(host, c->ca_file, e) : lws_host_vhost(host);
    if (!info.vhost)
        return false;
    defer_cancel(&c->next_try);
    c->distrust = NULL;
    memcpy(ws->peer, address, strlen(address) + 1);
    info.context = lws_host_context(host);
    info.address = address;
    info.port = c->port;
    info.host = c->host;
    info.path = c->path;
    info.origin = c->origin;
    info.protocol = c->subprotocol;
    info.local_protocol_name = WS_LWS_PROTOCOL;
    info.alpn = "http/1.1";
    info.ssl_connection = (c->tls ? LCCSCF_USE_SSL : 0) | LCCSCF_HTTP_NO_FOLLOW_REDIRECT;
    info.ietf_version_or_minus_one = -1;
    info.opaque_user_data = ws;
    info.retry_and_idle_policy = &lws_host_no_pings;
    wsi = lws_client_connect_via_info(&info);
    if (ws->state == WS_DEAD || c->next_try.pending) /* it failed, and called back before it returned */
        return true;
    ws->wsi = wsi;
    if (!wsi)
        err_set(e, ERR_NET, "%s: cannot connect", address);
    return wsi != NULL;
}

/* An address that swallows packets must leave time for the others. */
static void set_patience(struct ws *ws)
{
    struct ws_connecting *c = ws->connecting;
    int64_t left = c->give_up_ms - clock_mono_ms();
    int64_t addresses = (int64_t)(c->addresses.count - c->tried) + 1;

    timer_set(&ws->timer, left / addresses);
}

static void try_next(void *arg)
{
    struct ws *ws = arg;
    struct ws_connecting *c = ws->connecting;
    struct err e = c->addresses.e;

    while (c->tried < c->addresses.count)
        if (start_try(ws, c->addresses.address[c->tried++], &e)) {
            if (ws->state == WS_CONNECTING)
                set_patience(ws);
            return;
        }
    ws_gone(ws, 0, &e);
}

bool ws_try_again(struct ws *ws)
{
    struct ws_connecting *c = ws->connecting;

    if (!c || c->reached || c->tried >= c->addresses.count)
        return false;
    defer_set(&c->next_try);
    return true;
}

void ws_reached(struct ws *ws)
{
    if (ws->connecting)
        ws->connecting->reached = true;
}

void ws_distrusts(struct ws *ws, void *x509_store_ctx)
{
    if (ws->connecting)
        ws->connecting->distrust = X509_verify_cert_error_string(X509_STORE_CTX_get_error(x509_store_ctx));
}

void ws_refused(struct ws *ws, const char *why, size_t len)
{
    static const char handshake[] = "HS: "; /* libwebsockets' own: somebody is there, and not what was expected */
    const char *distrust = ws->connecting ? ws->connecting->distrust : NULL;
    struct err e = ERR_INIT;

    if (ws_try_again(ws))
        return;
    if (distrust)
        err_set(&e, ERR_NET, "certificate: %s", distrust);
    else if (why && len >= sizeof handshake - 1 && memcmp(why, handshake, sizeof handshake - 1) == 0)
        err_set(&e, ERR_NET, "the server refuses the WebSocket (%.*s)", (int)len, why);
    else if (why)
        err_set(&e, ERR_NET, "%.*s", (int)len, why);
    else
        err_set(&e, ERR_NET, "refused");
    ws_gone(ws, 0, &e);
}

static void on_addresses(void *arg, const struct dns_answer *answer)
{
    struct ws *ws = arg;

    ws->connecting->query = NULL;
    ws->connecting->addresses = *answer;
    try_next(ws);
}

struct ws *ws_connect(struct loop *loop, const struct ws_connect *conf, const struct ws_handler *handler,
                      const struct ws_limits *limits, void *arg, struct err *e)
{
    struct ws_connecting *c = mem_alloc(sizeof *c);
    struct ws *ws = ws_new(loop, handler, limits, arg);

    ws->connecting = c;
    defer_init(&c->next_try, loop, try_next, ws);
    if (parse_url(c, conf->url, e) != ERR_OK) {
        ws_drop(ws, 0);
        return NULL;
    }
    c->subprotocol = mem_dup(conf->subprotocol);
    c->origin = mem_dup(conf->origin);
    c->ca_file = mem_dup(conf->ca_file);
    c->give_up_ms = clock_mono_ms() + conf->connect_timeout_ms;
    timer_set(&ws->timer, conf->connect_timeout_ms);
    c->query = dns_resolve(loop, c->name, on_addresses, ws);
    return ws;
}

void ws_abort(struct ws **ws)
{
    if (*ws)
        ws_drop(*ws, 0);
    *ws = NULL;
}
