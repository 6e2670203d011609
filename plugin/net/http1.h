/* http1.h: the head of an HTTP/1 request. RFC 9112, strictly: what two servers
 * could read differently is refused. Pure. */
#ifndef WARBLER_NET_HTTP1_H
#define WARBLER_NET_HTTP1_H

#include <stdbool.h>
#include <stddef.h>

#define HTTP1_HEAD_BYTES_MAX 16384
#define HTTP1_LINES_MAX 100 /* header lines */

enum http1_header {
    HTTP1_ACCEPT,
    HTTP1_ACCEPT_ENCODING,
    HTTP1_ACCEPT_LANGUAGE,
    HTTP1_AUTHORIZATION,
    HTTP1_CONTENT_TYPE,
    HTTP1_EXPECT,
    HTTP1_HOST,
    HTTP1_IDEMPOTENCY_KEY,
    HTTP1_IF_NONE_MATCH,
    HTTP1_ORIGIN,
    HTTP1_SIGNATURE,
    HTTP1_WS_KEY,
    HTTP1_WS_VERSION,
    HTTP1_X_FORWARDED_FOR,
    HTTP1_USER_AGENT,
    HTTP1_HEADERS
};

struct http1 {
    const char *method;
    const char *path;  /* decoded, without the query; valid UTF-8 without NUL */
    const char *query; /* raw; "" if none */
    const char *header[HTTP1_HEADERS]; /* NULL: absent. A repeated list counts with its last line */
    int minor;           /* of the version: HTTP/1.minor */
    bool keep_alive;     /* version and Connection taken together */
    bool upgrade_ws;     /* both Connection and Upgrade ask for a WebSocket */
    bool has_length;     /* there was a Content-Length */
    size_t length;       /* of the body, in bytes */
    bool has_encoding;   /* there was a Transfer-Encoding */
};

/* Length of the head that data begins with, including the empty line; 0 if it
 * is not complete. The first `from` bytes are known not to hold its end. */
size_t http1_head_length(const char *data, size_t len, size_t from);

/* Takes apart a head in place: text holds len bytes up to and including the
 * empty line, and a NUL. What is found points into text. Returns 0, or the
 * status to refuse with: 400, 431, 505. */
int http1_parse(struct http1 *r, char *text, size_t len);

/* The header called name (lower case); HTTP1_HEADERS if it is not kept. */
enum http1_header http1_header_id(const char *name, size_t len);

#endif
