/* access.h: which requests the web chat serves at all: whose page they come
 * from (Origin), under which name they reached us (Host), and with which token.
 * RFC 6454 (origins), RFC 9110 section 7.2 (Host). Pure but for access_ok(). */
#ifndef WARBLER_WEBCHAT_ACCESS_H
#define WARBLER_WEBCHAT_ACCESS_H

#include <stdbool.h>

#include "config/schema.h"
#include "plugin/net/server.h"

/* An entry of `origins`: "https://example.org", "http://10.0.0.1:8080", or "*". */
bool access_origin_valid(const char *entry);

/* True for 127.0.0.0/8, ::1 and "localhost". */
bool access_loopback(const char *address);

/* A page of another site must not reach a listener on loopback by a name that
 * its owner points here (DNS rebinding). So on loopback the Host must be a name
 * of loopback, the listener's address, or that of an entry of `origins`. */
bool access_host_ok(const char *host, const char *listen_address, const struct strings *origins);

/* A missing Origin is no browser's. A present one must be our own, that is name
 * the Host of the request, or be in `origins`. */
bool access_origin_ok(const char *origin, const char *host, const struct strings *origins);

/* Both of the above for this request. */
bool access_ok(const struct http_in *req, const char *listen_address, const struct strings *origins);

/* The token of an Authorization header that is one of `tokens`, or NULL. Takes
 * the same time whichever it is. */
const char *access_token(const char *authorization, const struct secrets *tokens);

/* Whom a connection counts for: the peer, or whom a proxy on this machine names. */
#define ACCESS_ADDRESS_SIZE 64
void access_address(const struct http_in *req, char out[ACCESS_ADDRESS_SIZE]);

#endif
