/* dns.h: host names to addresses, in a thread of its own because the system's
 * look-up blocks. One at a time, in the order asked for; no cache of ours. */
#ifndef WARBLER_NET_DNS_H
#define WARBLER_NET_DNS_H

#include <netinet/in.h>
#include <stddef.h>

#include "plugin/base/err.h"
#include "plugin/net/loop.h"

#define DNS_ADDRESSES_MAX 8

struct dns_query;

struct dns_answer {
    size_t count; /* 0: e says why */
    char address[DNS_ADDRESSES_MAX][INET6_ADDRSTRLEN]; /* numeric, best first */
    struct err e; /* ERR_OK or ERR_NET */
};

/* done() is called once from the loop, unless the query is cancelled; the query
 * is gone when it returns. A numeric address answers itself. */
struct dns_query *dns_resolve(struct loop *loop, const char *host,
                              void (*done)(void *arg, const struct dns_answer *answer), void *arg);
void dns_cancel(struct dns_query **query); /* NULL-safe */

/* For the loop: the resolver behind all its queries. dns_free() waits for no
 * look-up; queries that still run end without a word. */
struct dns *dns_new(struct loop *loop);
void dns_free(struct dns **dns);

#endif
