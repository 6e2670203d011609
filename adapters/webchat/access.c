#include "adapters/webchat/access.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define AUTHORITY_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]"

/* The part behind "scheme://", or NULL. */
static const char *authority(const char *origin)
{
    const char *colon = strstr(origin, "://");

    return colon ? colon + 3 : NULL;
}

bool access_origin_valid(const char *entry)
{
    const char *host = authority(entry);

    if (strcmp(entry, "*") == 0)
        return true;
    return host && (strncmp(entry, "http://", 7) == 0 || strncmp(entry, "https://", 8) == 0) && *host &&
           host[strspn(host, AUTHORITY_CHARS)] == '\0';
}

static bool same(const char *name, size_t len, const char *other)
{
    return strlen(other) == len && strncasecmp(name, other, len) == 0;
}

static bool loopback(const char *name, size_t len)
{
    return same(name, len, "localhost") || same(name, len, "::1") ||
           (len > 4 && strncmp(name, "127.", 4) == 0 && strspn(name, "0123456789.") >= len);
}

bool access_loopback(const char *address)
{
    return loopback(address, strlen(address));
}

/* Host without its port and, for IPv6, without brackets. */
static const char *host_name(const char *host, size_t *len_r)
{
    if (*host == '[') {
        *len_r = strcspn(host + 1, "]");
        return host + 1;
    }
    *len_r = strcspn(host, ":");
    return host;
}

static bool host_configured(const char *host, const struct strings *origins)
{
    for (size_t i = 0; i < origins->n; i++) {
        const char *own = authority(origins->v[i]);

        if (strcmp(origins->v[i], "*") == 0 || (own && strcasecmp(own, host) == 0))
            return true;
    }
    return false;
}

bool access_host_ok(const char *host, const char *listen_address, const struct strings *origins)
{
    const char *name;
    size_t len;

    if (!access_loopback(listen_address))
        return true;
    if (!host)
        return false;
    name = host_name(host, &len);
    return loopback(name, len) || same(name, len, listen_address) || host_configured(host, origins);
}

bool access_origin_ok(const char *origin, const char *host, const struct strings *origins)
{
    const char *own;

    if (!origin)
        return true;
    own = authority(origin);
    if (own && host && strcasecmp(own, host) == 0)
        return true;
    for (size_t i = 0; i < origins->n; i++)
        if (strcmp(origins->v[i], "*") == 0 || strcasecmp(origins->v[i], origin) == 0)
            return true;
    return false;
}

bool access_ok(const struct http_in *req, const char *listen_address, const struct strings *origins)
{
    const char *host = http_in_header(req, "host");

    return access_host_ok(host, listen_address, origins) &&
           access_origin_ok(http_in_header(req, "origin"), host, origins);
}

const char *access_token(const char *authorization, const struct secrets *tokens)
{
    const char *found = NULL, *token;

    if (!authorization || strncasecmp(authorization, "Bearer ", 7) != 0)
        return NULL;
    token = authorization + 7;
    token += strspn(token, " ");
    for (size_t i = 0; i < tokens->n; i++)
        if (secret_equal(&tokens->v[i], token, strlen(token)))
            found = token;
    return *token ? found : NULL;
}

/* A proxy appends whom it serves, so the last entry is the one that ours wrote. */
void access_address(const struct http_in *req, char out[ACCESS_ADDRESS_SIZE])
{
    const char *peer = http_in_peer(req), *forwarded = http_in_header(req, "x-forwarded-for"), *last;

    if (forwarded && access_loopback(peer)) {
        last = strrchr(forwarded, ',');
        last = last ? last + 1 : forwarded;
        last += strspn(last, " ");
        if (*last)
            peer = last;
    }
    snprintf(out, ACCESS_ADDRESS_SIZE, "%s", peer);
}
