#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include "plugin/base/clock.h"
#include "plugin/base/json.h"
#include "plugin/base/mem.h"
#include "plugin/net/server_conn.h"

#define HEAD_BYTES_MAX 8192 /* of an answer: the routes' own headers are few */
#define FAIL_HEADERS_BYTES_MAX 1024 /* of the error pages, Allow and its kind included */

struct reason {
    int status;
    const char *phrase; /* RFC 9110 15 */
    const char *code;   /* of the error JSON; NULL: never sent by the server itself */
};

static const struct reason reasons[] = {
    {200, "OK", NULL},
    {201, "Created", NULL},
    {202, "Accepted", NULL},
    {204, "No Content", NULL},
    {301, "Moved Permanently", NULL},
    {302, "Found", NULL},
    {304, "Not Modified", NULL},
    {400, "Bad Request", "bad_request"},
    {401, "Unauthorized", "unauthorized"},
    {403, "Forbidden", "forbidden"},
    {404, "Not Found", "not_found"},
    {405, "Method Not Allowed", "method_not_allowed"},
    {408, "Request Timeout", "timeout"},
    {409, "Conflict", NULL},
    {411, "Length Required", "length_required"},
    {413, "Content Too Large", "too_large"},
    {415, "Unsupported Media Type", NULL},
    {417, "Expectation Failed", "expectation_failed"},
    {422, "Unprocessable Content", NULL},
    {426, "Upgrade Required", "upgrade_required"},
    {429, "Too Many Requests", "rate"},
    {431, "Request Header Fields Too Large", "headers_too_large"},
    {500, "Internal Server Error", "internal"},
    {501, "Not Implemented", "not_implemented"},
    {502, "Bad Gateway", NULL},
    {503, "Service Unavailable", "unavailable"},
    {505, "HTTP Version Not Supported", "http_version"},
};

static const struct reason *find_reason(int status)
{
    static const struct reason other = {0, "Status", "error"};

    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].status == status)
            return &reasons[i];
    return &other;
}

/* RFC 9110 5.6.7, in English whatever the locale. */
static void add_date(struct buf *b)
{
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t now = (time_t)(clock_wall_ms() / 1000);
    struct tm tm;

    gmtime_r(&now, &tm);
    buf_addf(b, "Date: %.3s, %02d %.3s %d %02d:%02d:%02d GMT\r\n", days + 3 * tm.tm_wday, tm.tm_mday,
             months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void add_head(struct buf *b, const struct http_conn *c, int status, const char *content_type,
                     const char *headers)
{
    buf_addf(b, "HTTP/1.1 %d %s\r\n", status, find_reason(status)->phrase);
    add_date(b);
    if (content_type)
        buf_addf(b, "Content-Type: %s\r\n", content_type);
    if (c->close_after)
        buf_adds(b, "Connection: close\r\n");
    if (headers)
        buf_adds(b, headers);
    assert(buf_error(b) == ERR_OK);
}

static bool has_no_body(int status)
{
    return status < 200 || status == 204 || status == 304;
}

/* --- bytes out --- */
bool conn_flush(struct http_conn *c)
{
    while (c->out_sent < c->out.len) {
        ssize_t n = send(c->fd, c->out.data + c->out_sent, c->out.len - c->out_sent, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN;
        c->out_sent += (size_t)n;
    }
    c->out_sent = 0;
    buf_free(&c->out);
    return true;
}

/* Writes first, and copies only what the socket did not take. */
static void put(struct http_conn *c, struct iovec *iov, size_t count)
{
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = count};
    ssize_t sent = 0;
    size_t skip;

    if (c->broken)
        return;
    if (c->out.len == 0)
        sent = sendmsg(c->fd, &msg, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        c->broken = true;
        return;
    }
    skip = sent > 0 ? (size_t)sent : 0;
    for (size_t i = 0; i < count; i++) {
        size_t gone = skip < iov[i].iov_len ? skip : iov[i].iov_len;

        if (gone < iov[i].iov_len) /* an empty piece may have no address to add to */
            buf_add(&c->out, (const char *)iov[i].iov_base + gone, iov[i].iov_len - gone);
        skip -= gone;
    }
}

static struct iovec piece(const void *data, size_t len)
{
    return (struct iovec){(void *)(uintptr_t)data, len};
}

/* --- answers --- */
static void put_whole(struct http_conn *c, const struct buf *head, const char *body, size_t len)
{
    struct iovec iov[2] = {piece(head->data, head->len), piece(body, len)};

    put(c, iov, 2);
}

void http_in_reply(struct http_in *req, int status, const char *content_type, const char *headers, const char *body,
                   size_t len)
{
    struct http_conn *c = req->conn;
    struct buf head;

    buf_init(&head, HEAD_BYTES_MAX);
    add_head(&head, c, status, content_type, headers);
    if (!has_no_body(status))
        buf_addf(&head, "Content-Length: %zu\r\n", len);
    buf_adds(&head, "\r\n");
    put_whole(c, &head, body, req->is_head || has_no_body(status) ? 0 : len);
    buf_free(&head);
    conn_answered(c);
}

void http_in_begin(struct http_in *req, int status, const char *content_type, const char *headers)
{
    struct http_conn *c = req->conn;
    struct buf head;

    req->begun = true;
    req->no_body = req->is_head || has_no_body(status);
    req->chunked = req->head.minor == 1 && !has_no_body(status);
    c->close_after |= req->head.minor == 0; /* there the end of the connection is the end of the body */
    buf_init(&head, HEAD_BYTES_MAX);
    add_head(&head, c, status, content_type, headers);
    if (req->chunked)
        buf_adds(&head, "Transfer-Encoding: chunked\r\n");
    buf_adds(&head, "\r\n");
    put_whole(c, &head, NULL, 0);
    buf_free(&head);
    conn_watch(c);
}

enum err_code http_in_write(struct http_in *req, const char *data, size_t len)
{
    struct http_conn *c = req->conn;
    struct buf size;
    struct iovec iov[3];

    if (c->broken)
        return ERR_NET;
    if (len == 0 || req->no_body) /* an empty chunk would be the end */
        return ERR_OK;
    if (c->out.len - c->out_sent + len > HTTP_OUT_BYTES_MAX)
        return ERR_TOO_LARGE;
    buf_init(&size, 32);
    if (req->chunked)
        buf_addf(&size, "%zx\r\n", len);
    iov[0] = piece(size.data, size.len);
    iov[1] = piece(data, len);
    iov[2] = piece("\r\n", req->chunked ? 2 : 0);
    put(c, iov, 3);
    buf_free(&size);
    conn_watch(c);
    return c->broken ? ERR_NET : ERR_OK;
}

void http_in_end(struct http_in *req)
{
    struct iovec last = piece("0\r\n\r\n", 5);

    if (req->chunked && !req->no_body)
        put(req->conn, &last, 1);
    conn_answered(req->conn);
}

/* --- the server's own answers --- */
static void error_json(struct buf *b, int status)
{
    const struct reason *r = find_reason(status);

    buf_init(b, 256);
    buf_adds(b, "{\"error\":{\"code\":");
    json_quote(b, r->code ? r->code : "error");
    buf_adds(b, ",\"message\":");
    json_quote(b, r->phrase);
    buf_adds(b, "}}\n");
}

void http_in_fail(struct http_in *req, int status, const char *headers)
{
    struct buf body, all;

    error_json(&body, status);
    buf_init(&all, FAIL_HEADERS_BYTES_MAX);
    buf_adds(&all, "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nCache-Control: no-store\r\n");
    if (headers)
        buf_adds(&all, headers);
    http_in_reply(req, status, "application/json", buf_str(&all), body.data, body.len);
    buf_free(&all);
    buf_free(&body);
}

void conn_refuse(struct http_conn *c, int status)
{
    if (!c->req) {
        c->req = mem_alloc(sizeof *c->req);
        c->req->conn = c;
        c->req->head.minor = 1;
    }
    c->req->head.length = 0; /* its body is not going to be read */
    c->state = CONN_ROUTE;
    c->close_after = true;
    http_in_fail(c->req, status, NULL);
}
