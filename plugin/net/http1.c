#include "plugin/net/http1.h"

#include <string.h>
#include <strings.h>

#include "plugin/base/utf8.h"

#define LENGTH_DIGITS_MAX 15 /* of a Content-Length: no overflow, and far above every limit */

struct kept {
    const char *name;
    bool list; /* may be repeated */
};

static const struct kept kept[HTTP1_HEADERS] = {
    [HTTP1_ACCEPT] = {"accept", true},
    [HTTP1_ACCEPT_ENCODING] = {"accept-encoding", true},
    [HTTP1_ACCEPT_LANGUAGE] = {"accept-language", true},
    [HTTP1_AUTHORIZATION] = {"authorization", false},
    [HTTP1_CONTENT_TYPE] = {"content-type", false},
    [HTTP1_EXPECT] = {"expect", false},
    [HTTP1_HOST] = {"host", false},
    [HTTP1_IDEMPOTENCY_KEY] = {"idempotency-key", false},
    [HTTP1_IF_NONE_MATCH] = {"if-none-match", true},
    [HTTP1_ORIGIN] = {"origin", false},
    [HTTP1_SIGNATURE] = {"signature", false},
    [HTTP1_WS_KEY] = {"sec-websocket-key", false},
    [HTTP1_WS_VERSION] = {"sec-websocket-version", false},
    [HTTP1_X_FORWARDED_FOR] = {"x-forwarded-for", true},
    [HTTP1_USER_AGENT] = {"user-agent", true},
};

/* What the Connection and Upgrade headers said so far. */
struct wishes {
    bool close, upgrade, websocket;
};

enum http1_header http1_header_id(const char *name, size_t len)
{
    size_t i = 0;

    while (i < HTTP1_HEADERS && (strlen(kept[i].name) != len || strncasecmp(kept[i].name, name, len) != 0))
        i++;
    return (enum http1_header)i;
}

size_t http1_head_length(const char *data, size_t len, size_t from)
{
    const char *end;

    from = from > 3 ? from - 3 : 0; /* it may have come in two pieces */
    if (len < from)
        return 0;
    end = memmem(data + from, len - from, "\r\n\r\n", 4);
    return end ? (size_t)(end - data) + 4 : 0;
}

static bool is_token_char(unsigned char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static size_t token_length(const char *s)
{
    size_t n = 0;

    while (is_token_char((unsigned char)s[n]))
        n++;
    return n;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place. False for a bad escape or a NUL. */
static bool percent_decode(char *s)
{
    char *out = s;

    for (; *s; s++) {
        int hi, lo;

        if (*s != '%') {
            *out++ = *s;
            continue;
        }
        hi = hex_digit(s[1]);
        lo = hi < 0 ? -1 : hex_digit(s[2]);
        if (lo < 0 || (hi == 0 && lo == 0))
            return false;
        *out++ = (char)(hi << 4 | lo);
        s += 2;
    }
    *out = '\0';
    return true;
}

static bool parse_target(struct http1 *r, char *target)
{
    char *query;

    for (const char *c = target; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7F)
            return false;
    if (strncasecmp(target, "http://", 7) == 0) { /* RFC 9112 3.2.2: as for a proxy */
        target = strchr(target + 7, '/');
        if (!target)
            return false;
    }
    if (target[0] != '/')
        return false;
    target[strcspn(target, "#")] = '\0';
    query = strchr(target, '?');
    r->query = "";
    if (query) {
        *query = '\0';
        r->query = query + 1;
    }
    r->path = target;
    return percent_decode(target) && utf8_valid(target, strlen(target));
}

static int parse_request_line(struct http1 *r, char *line)
{
    size_t method_len = token_length(line);
    char *target, *version;

    if (method_len == 0 || line[method_len] != ' ')
        return 400;
    line[method_len] = '\0';
    r->method = line;
    target = line + method_len + 1;
    version = strchr(target, ' ');
    if (!version)
        return 400;
    *version++ = '\0';
    if (strncmp(version, "HTTP/", 5) != 0)
        return 400;
    if (strcmp(version, "HTTP/1.1") != 0 && strcmp(version, "HTTP/1.0") != 0)
        return 505;
    r->minor = version[7] - '0';
    return parse_target(r, target) ? 0 : 400;
}

/* A comma-separated list of tokens. */
static bool list_has(const char *list, const char *token)
{
    size_t len = strlen(token);

    while (*list) {
        size_t n;

        list += strspn(list, " \t,");
        n = strcspn(list, " \t,");
        if (n == len && strncasecmp(list, token, len) == 0)
            return true;
        list += n;
    }
    return false;
}

static bool parse_length(struct http1 *r, const char *value)
{
    size_t digits = strspn(value, "0123456789");

    if (r->has_length || digits == 0 || digits > LENGTH_DIGITS_MAX || value[digits])
        return false;
    r->has_length = true;
    for (size_t i = 0; i < digits; i++)
        r->length = r->length * 10 + (size_t)(value[i] - '0');
    return true;
}

static bool keep(struct http1 *r, enum http1_header id, const char *value)
{
    if (r->header[id] && !kept[id].list)
        return false;
    r->header[id] = value;
    return true;
}

static bool name_is(const char *name, const char *line, size_t len)
{
    return strlen(name) == len && strncasecmp(name, line, len) == 0;
}

static bool take_header(struct http1 *r, struct wishes *w, const char *name, size_t len, const char *value)
{
    enum http1_header id = http1_header_id(name, len);

    if (id != HTTP1_HEADERS)
        return keep(r, id, value);
    if (name_is("content-length", name, len))
        return parse_length(r, value);
    if (name_is("transfer-encoding", name, len))
        r->has_encoding = true;
    if (name_is("connection", name, len)) {
        w->close |= list_has(value, "close");
        w->upgrade |= list_has(value, "upgrade");
    }
    if (name_is("upgrade", name, len))
        w->websocket |= list_has(value, "websocket");
    return true;
}

/* The value of "name: value" without the blanks around it; NULL if a character is not allowed. */
static char *trim_value(char *value)
{
    char *end = value + strlen(value);

    for (const char *c = value; *c; c++)
        if (((unsigned char)*c < ' ' && *c != '\t') || *c == 0x7F)
            return NULL;
    value += strspn(value, " \t");
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *end = '\0';
    return value;
}

static bool parse_line(struct http1 *r, struct wishes *w, char *line)
{
    size_t len = token_length(line);
    char *value;

    if (len == 0 || line[len] != ':')
        return false;
    value = trim_value(line + len + 1);
    return value && take_header(r, w, line, len, value);
}

static int check(struct http1 *r, const struct wishes *w)
{
    if (r->minor == 1 && !r->header[HTTP1_HOST])
        return 400;
    if (r->has_encoding && (r->has_length || r->minor == 0)) /* RFC 9112 6.1: smuggling */
        return 400;
    r->keep_alive = r->minor == 1 && !w->close;
    r->upgrade_ws = r->minor == 1 && w->upgrade && w->websocket;
    return 0;
}

/* The next line of the head, NUL in place of its CRLF; NULL after the last. */
static char *next_line(char **rest)
{
    char *line = *rest, *end = strstr(line, "\r\n");

    if (!end || end == line)
        return NULL;
    *end = '\0';
    *rest = end + 2;
    return line;
}

int http1_parse(struct http1 *r, char *text, size_t len)
{
    struct wishes w = {0};
    char *line;
    int status;

    *r = (struct http1){0};
    if (strlen(text) != len) /* a NUL inside */
        return 400;
    line = next_line(&text);
    status = line ? parse_request_line(r, line) : 400;
    if (status != 0)
        return status;
    for (int n = 0; (line = next_line(&text)); n++) {
        if (n == HTTP1_LINES_MAX)
            return 431;
        if (!parse_line(r, &w, line))
            return 400;
    }
    return check(r, &w);
}
