/* places.h: where an app lives: its clusters, each with HTTP and
 * long-connection servers, as discovery tells; and which of them is used now.
 * Pure. lanying.md, section 2. */
#ifndef WARBLER_LANYING_PLACES_H
#define WARBLER_LANYING_PLACES_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "config/schema.h"
#include "plugin/base/buf.h"
#include "plugin/base/err.h"

#define PLACES_CLUSTERS_MAX 16
#define PLACES_HOSTS_MAX 16 /* of one kind in one cluster */

struct cluster {
    struct strings api; /* "https://host" */
    struct strings ws;  /* as they stand there, or as configured */
};

struct places {
    struct cluster clusters[PLACES_CLUSTERS_MAX];
    size_t n;
    size_t cluster, api, ws; /* in use; api and ws within the cluster */
    struct strings dns;      /* discovery servers that the answer names, "https://…" */
};

/* From `data` of a discovery answer. ERR_AUTH: the app is frozen, banned or
 * revoked; ERR_PROTO: there is no server in it. */
enum err_code places_read(struct places *p, const cJSON *data, struct err *e);
/* One cluster of one server each; either may be NULL. */
void places_set(struct places *p, const char *api, const char *ws);
void places_fini(struct places *p); /* legal on a zeroed struct */

const char *places_api(const struct places *p); /* NULL: none known */
const char *places_ws(const struct places *p);
/* The next server, of the next cluster after the last one. False: all were
 * tried, and it is the first one's turn again. */
bool places_next_api(struct places *p);
bool places_next_ws(struct places *p);

void places_encode(struct buf *out, const char *s); /* for a query */
/* The URL to ask a discovery server with: base is its root, or the whole of it without a query. */
enum err_code places_url(struct buf *out, const char *base, const char *app_id);

#endif
