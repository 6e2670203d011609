#include "adapters/lanying/places.h"

#include <stdlib.h>
#include <string.h>

#include "plugin/base/json.h"
#include "plugin/base/mem.h"

#define HOST_BYTES_MAX 256U
#define APP_DNS "/v2/app_dns"

/* --- reading --- */

static void add(struct strings *list, char *s)
{
    if (!s || list->n == PLACES_HOSTS_MAX) {
        free(s);
        return;
    }
    list->v = mem_resize(list->v, list->n + 1, sizeof *list->v);
    list->v[list->n++] = s;
}

static char *url_of(const cJSON *server)
{
    const char *protocol = json_str(server, "protocol"), *host = json_str(server, "host");
    struct buf url;

    if (!host || !*host || strlen(host) > HOST_BYTES_MAX || strpbrk(host, " /?#@\r\n"))
        return NULL;
    if (!protocol || (strcmp(protocol, "http") != 0 && strcmp(protocol, "ws") != 0))
        protocol = "https";
    buf_init(&url, 2 * HOST_BYTES_MAX);
    buf_addf(&url, "%s://%s", strcmp(protocol, "ws") == 0 ? "http" : protocol, host);
    return buf_take(&url);
}

static void read_servers(struct strings *list, const cJSON *servers)
{
    const cJSON *server;

    cJSON_ArrayForEach(server, servers)
        add(list, url_of(server));
}

static void read_clusters(struct places *p, const cJSON *clusters)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, clusters) {
        struct cluster *c = &p->clusters[p->n];
        if (p->n == PLACES_CLUSTERS_MAX)
            break;
        read_servers(&c->api, json_get(item, "ratel"));
        read_servers(&c->ws, json_get(item, "webim"));
        if (c->ws.n == 0)
            read_servers(&c->ws, json_get(item, "ws"));
        if (c->api.n > 0 || c->ws.n > 0)
            p->n++;
    }
}

static const cJSON *own_group(const cJSON *dns_list)
{
    const cJSON *group;

    cJSON_ArrayForEach(group, dns_list)
        if (json_int(group, "group_level", -1) == 0)
            return group;
    return NULL;
}

static void read_dns(struct places *p, const cJSON *list)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, list) {
        const char *domain = json_str(item, "domain");
        struct buf url;
        if (!domain || !*domain || strlen(domain) > HOST_BYTES_MAX || strpbrk(domain, " \r\n"))
            continue;
        buf_init(&url, 2 * HOST_BYTES_MAX);
        buf_addf(&url, "%s%s", strstr(domain, "://") ? "" : "https://", domain);
        add(&p->dns, buf_take(&url));
    }
}

static bool is_stopped(const char *status)
{
    return status && (strcmp(status, "banned") == 0 || strcmp(status, "frozen") == 0 || strcmp(status, "revoked") == 0);
}

enum err_code places_read(struct places *p, const cJSON *data, struct err *e)
{
    const char *status = json_str(data, "app_status");

    memset(p, 0, sizeof *p);
    if (is_stopped(status))
        return err_set(e, ERR_AUTH, "the app is %s: see the vendor's console", status);
    read_clusters(p, json_get(own_group(json_get(data, "dns_list")), "clusters"));
    read_dns(p, json_get(data, "dns_server_list"));
    if (p->n > 0)
        return ERR_OK;
    places_fini(p);
    return err_set(e, ERR_PROTO, "discovery names no server for this app");
}

void places_set(struct places *p, const char *api, const char *ws)
{
    memset(p, 0, sizeof *p);
    p->n = 1;
    add(&p->clusters[0].api, mem_dup(api));
    add(&p->clusters[0].ws, mem_dup(ws));
}

static void forget(struct strings *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->v[i]);
    free(list->v);
    *list = (struct strings){ NULL, 0 };
}

void places_fini(struct places *p)
{
    for (size_t i = 0; i < PLACES_CLUSTERS_MAX; i++) {
        forget(&p->clusters[i].api);
        forget(&p->clusters[i].ws);
    }
    forget(&p->dns);
    memset(p, 0, sizeof *p);
}

/* --- in use --- */

static const char *at(const struct strings *list, size_t i)
{
    return i < list->n ? list->v[i] : NULL;
}

const char *places_api(const struct places *p)
{
    return p->cluster < p->n ? at(&p->clusters[p->cluster].api, p->api) : NULL;
}

const char *places_ws(const struct places *p)
{
    return p->cluster < p->n ? at(&p->clusters[p->cluster].ws, p->ws) : NULL;
}

static bool next_cluster(struct places *p)
{
    p->api = p->ws = 0;
    if (p->cluster + 1 < p->n) {
        p->cluster++;
        return true;
    }
    p->cluster = 0;
    return false;
}

bool places_next_api(struct places *p)
{
    if (p->cluster < p->n && p->api + 1 < p->clusters[p->cluster].api.n) {
        p->api++;
        return true;
    }
    return next_cluster(p);
}

bool places_next_ws(struct places *p)
{
    if (p->cluster < p->n && p->ws + 1 < p->clusters[p->cluster].ws.n) {
        p->ws++;
        return true;
    }
    return next_cluster(p);
}

/* --- asking --- */

void places_encode(struct buf *out, const char *s)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~";

    for (; *s; s++)
        if (strchr(plain, *s))
            buf_addc(out, *s);
        else
            buf_addf(out, "%%%02X", (unsigned char)*s);
}

enum err_code places_url(struct buf *out, const char *base, const char *app_id)
{
    const char *host = strstr(base, "://"), *path = host ? strchr(host + 3, '/') : NULL;
    size_t len = strcspn(base, "?#");

    if (!host)
        return ERR_INVALID;
    if (!path || strspn(path, "/") == len - (size_t)(path - base)) {
        buf_add(out, base, path ? (size_t)(path - base) : len);
        buf_adds(out, APP_DNS);
    } else {
        buf_add(out, base, len);
    }
    buf_adds(out, base[len] == '?' ? base + len : "?");
    buf_adds(out, base[len] == '?' ? "&app_id=" : "app_id=");
    places_encode(out, app_id);
    buf_adds(out, "&source=sdk");
    return buf_error(out);
}
