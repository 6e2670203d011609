#include "plugin/net/http.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <utlist.h>

#include "plugin/base/buf.h"
#include "plugin/base/clock.h"
#include "plugin/base/mem.h"
#include "plugin/net/ca.h"

#define CONNECTIONS_KEPT 64       /* idle ones, for reuse */
#define HANDLES_KEPT 32           /* easy handles: 6 KB each */
#define STREAMS_PER_CONNECTION 100L
#define READ_BYTES 16384L
#define INPUT_KEPT_BYTES 2048     /* a call's input buffer may stay this large between two events */
#define HEADER_LINE_BYTES 1024    /* longer ones are none that we look at */
#define RETRY_AFTER_DIGITS_MAX 12

/* Nothing of the owner's is called from inside libcurl: it forbids most of its
 * functions there, and an owner that starts or cancels calls needs them. What
 * libcurl hands out is kept in the call, and passed on when libcurl returned. */
struct http_call {
    struct http_client *client;
    CURL *easy;
    struct curl_slist *headers;
    const struct http_handler *handler;
    void *arg;
    bool dead; /* freed at the end of the turn */

    struct http_reply reply;
    bool head_ended, head_told;
    struct buf input; /* body that was not passed on yet */
    size_t received;  /* bytes of body in all */
    size_t max_response_bytes;
    bool too_large;
    bool finished; /* by libcurl, with result */
    CURLcode result;
    bool retried;
    bool said_ms; /* retry-after-ms came: it goes before Retry-After */

    struct timer deadline;
    int64_t first_byte_timeout_ms, idle_timeout_ms;
    int64_t last_byte_ms;

    struct http_call *next, *prev; /* client->calls */
    bool ready;                    /* in client->ready: there is something to pass on */
    struct http_call *ready_next, *ready_prev;
    char error[CURL_ERROR_SIZE];
};

struct http_client {
    struct loop *loop;
    CURLM *multi;
    struct timer timer;      /* libcurl's one */
    struct http_call *calls; /* all that run */
    struct http_call *ready;
    unsigned active;
    CURL *spare[HANDLES_KEPT];
    unsigned spares;
};

/* A socket of libcurl's. */
struct sock {
    struct http_client *client;
    curl_socket_t fd;
    struct watch *watch;
};

/* --- end of a call --- */
static void free_call(void *p)
{
    free(p);
}

static void set_ready(struct http_call *call)
{
    if (call->ready)
        return;
    call->ready = true;
    DL_APPEND2(call->client->ready, call, ready_prev, ready_next);
}

static void unset_ready(struct http_call *call)
{
    if (!call->ready)
        return;
    call->ready = false;
    DL_DELETE2(call->client->ready, call, ready_prev, ready_next);
}

static void recycle(struct http_client *client, CURL *easy)
{
    if (client->spares == HANDLES_KEPT) {
        curl_easy_cleanup(easy);
        return;
    }
    curl_easy_reset(easy);
    client->spare[client->spares++] = easy;
}

static void release(struct http_call *call)
{
    struct http_client *client = call->client;

    call->dead = true;
    unset_ready(call);
    timer_cancel(&call->deadline);
    curl_multi_remove_handle(client->multi, call->easy);
    recycle(client, call->easy);
    curl_slist_free_all(call->headers);
    buf_free(&call->input);
    DL_DELETE(client->calls, call);
    client->active--;
    loop_free_later(client->loop, call, free_call);
}

/* Released first, so that what done() starts can have the connection. */
static void finish(struct http_call *call, const struct err *e)
{
    struct http_reply reply = call->reply;

    release(call);
    call->handler->done(call->arg, &reply, e);
}

static void stop(struct http_call *call, enum err_code code, const char *text)
{
    struct err e = ERR_INIT;

    err_set(&e, code, "%s", text);
    finish(call, &e);
}

static bool was_reused(const struct http_call *call)
{
    long made = 0;

    curl_easy_getinfo(call->easy, CURLINFO_NUM_CONNECTS, &made);
    return made == 0;
}

/* Servers close idle connections, some right after an answer without a word:
 * what was sent on one that died meanwhile was never looked at. */
static bool may_resend(const struct http_call *call)
{
    bool dropped = call->result == CURLE_SEND_ERROR || call->result == CURLE_RECV_ERROR ||
                   call->result == CURLE_GOT_NOTHING || call->result == CURLE_HTTP2;

    return dropped && !call->retried && call->reply.status == 0 && was_reused(call);
}

static void resend(struct http_call *call)
{
    call->retried = true;
    call->finished = false;
    curl_multi_remove_handle(call->client->multi, call->easy);
    curl_easy_setopt(call->easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_multi_add_handle(call->client->multi, call->easy);
}

static void conclude(struct http_call *call)
{
    struct err e = ERR_INIT;
    const char *why = call->error[0] ? call->error : curl_easy_strerror(call->result);

    if (call->result != CURLE_OK && may_resend(call)) {
        resend(call);
        return;
    }
    if (call->too_large)
        err_set(&e, ERR_TOO_LARGE, "answer over %zu bytes", call->max_response_bytes);
    else if (call->result == CURLE_OPERATION_TIMEDOUT)
        err_set(&e, ERR_TIMEOUT, "%s", why);
    else if (call->result != CURLE_OK)
        err_set(&e, ERR_NET, "%s", why);
    finish(call, &e);
}

/* --- passing on --- */
/* False if the call is gone. */
static bool pass_body(struct http_call *call)
{
    struct buf data = call->input; /* the handler may end the call */
    bool go_on;

    buf_init(&call->input, call->max_response_bytes);
    go_on = call->handler->body(call->arg, data.data, data.len);
    if (call->dead || !go_on || data.cap > INPUT_KEPT_BYTES) {
        buf_free(&data);
    } else {
        buf_reset(&data);
        call->input = data;
    }
    if (!call->dead && !go_on)
        stop(call, ERR_CANCELLED, "stopped");
    return !call->dead;
}

static void pass_one(struct http_call *call)
{
    if (call->head_ended && !call->head_told) {
        call->head_told = true;
        call->reply.reused = was_reused(call);
        if (call->handler->head)
            call->handler->head(call->arg, &call->reply);
    }
    if (call->dead || (call->input.len > 0 && !pass_body(call)))
        return;
    if (call->finished)
        conclude(call);
}

/* After each visit to libcurl. */
static void pass_on(struct http_client *client)
{
    CURLMsg *msg;
    int left;

    while ((msg = curl_multi_info_read(client->multi, &left))) {
        struct http_call *call = NULL;

        if (msg->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &call);
        call->finished = true;
        call->result = msg->data.result;
        set_ready(call);
    }
    while (client->ready) {
        struct http_call *call = client->ready;

        unset_ready(call);
        pass_one(call);
    }
}

/* --- deadlines --- */
static void on_deadline(void *arg)
{
    struct http_call *call = arg;
    int64_t silent = clock_mono_ms() - call->last_byte_ms;
    struct err e = ERR_INIT;

    if (call->received > 0 && silent < call->idle_timeout_ms) {
        timer_set(&call->deadline, call->idle_timeout_ms - silent);
        return;
    }
    if (call->received > 0)
        err_set(&e, ERR_TIMEOUT, "no byte for %lld ms", (long long)call->idle_timeout_ms);
    else
        err_set(&e, ERR_TIMEOUT, "no answer within %lld ms", (long long)call->first_byte_timeout_ms);
    finish(call, &e);
}

static void note_bytes(struct http_call *call, size_t n)
{
    bool first = call->received == 0;

    call->received += n;
    call->last_byte_ms = clock_mono_ms();
    if (first) /* later ones are seen when the timer goes off: cheaper than setting it for each */
        timer_set(&call->deadline, call->idle_timeout_ms);
}

/* --- what libcurl calls --- */
static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
    struct http_call *call = arg;

    n *= size;
    if (n > call->max_response_bytes - call->received) {
        call->too_large = true;
        return CURL_WRITEFUNC_ERROR;
    }
    note_bytes(call, n);
    buf_add(&call->input, data, n);
    set_ready(call);
    return n;
}

/* Seconds, perhaps with a fraction, as milliseconds times scale / 1000; -1: no number. */
static int64_t parse_delay(const char *s, int64_t scale)
{
    int64_t n = 0;
    int digits = 0;

    for (; *s >= '0' && *s <= '9'; s++, digits++) {
        if (digits == RETRY_AFTER_DIGITS_MAX)
            return -1;
        n = n * 10 + (*s - '0');
    }
    if (digits == 0)
        return -1;
    n *= scale;
    if (*s == '.')
        for (s++; *s >= '0' && *s <= '9'; s++) {
            scale /= 10;
            n += (*s - '0') * scale;
        }
    return *s ? -1 : n;
}

static int64_t parse_retry_after(const char *value)
{
    int64_t ms = parse_delay(value, 1000);
    time_t date;

    if (ms >= 0)
        return ms;
    date = curl_getdate(value, NULL);
    if (date == (time_t)-1)
        return -1;
    ms = (int64_t)date * 1000 - clock_wall_ms();
    return ms > 0 ? ms : 0;
}

/* Copies the value of the header called name; false if line is another. */
static bool header_value(const char *line, const char *name, char *value, size_t size)
{
    size_t len = strlen(name), n;

    if (strncasecmp(line, name, len) != 0 || line[len] != ':')
        return false;
    line += len + 1;
    line += strspn(line, " \t");
    n = strcspn(line, "\r\n");
    while (n > 0 && (line[n - 1] == ' ' || line[n - 1] == '\t'))
        n--;
    if (n >= size)
        return false;
    memcpy(value, line, n);
    value[n] = '\0';
    return true;
}

static void take_header(struct http_call *call, const char *line)
{
    char value[64];
    int64_t ms;

    if (strncmp(line, "HTTP/", 5) == 0) { /* each answer starts over: 100 may come before the real one */
        call->reply = (struct http_reply){ .retry_after_ms = -1 };
        call->reply.status = strtol(line + strcspn(line, " "), NULL, 10);
        call->said_ms = false;
    } else if (line[0] == '\r' || line[0] == '\n') {
        call->head_ended = call->reply.status >= 200;
        set_ready(call);
    } else if (header_value(line, "retry-after-ms", value, sizeof value)) {
        ms = parse_delay(value, 1);
        call->said_ms = ms >= 0;
        if (call->said_ms)
            call->reply.retry_after_ms = ms;
    } else if (!call->said_ms && header_value(line, "retry-after", value, sizeof value)) {
        call->reply.retry_after_ms = parse_retry_after(value);
    }
}

static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
    struct http_call *call = arg;
    char line[HEADER_LINE_BYTES];

    n *= size;
    if (call->head_ended || n >= sizeof line) /* trailers, and what we never look at */
        return n;
    memcpy(line, data, n);
    line[n] = '\0';
    take_header(call, line);
    return n;
}

static void on_socket(void *arg, unsigned events)
{
    struct sock *sock = arg;
    struct http_client *client = sock->client;
    int mask = 0, running;

    if (events & WATCH_READ)
        mask |= CURL_CSELECT_IN;
    if (events & WATCH_WRITE)
        mask |= CURL_CSELECT_OUT;
    if (events & WATCH_ERROR)
        mask |= CURL_CSELECT_ERR;
    curl_multi_socket_action(client->multi, sock->fd, mask, &running);
    pass_on(client);
}

static void on_timer(void *arg)
{
    struct http_client *client = arg;
    int running;

    curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    pass_on(client);
}

static int on_multi_timer(CURLM *multi, long ms, void *arg)
{
    struct http_client *client = arg;

    (void)multi;
    if (ms < 0)
        timer_cancel(&client->timer);
    else
        timer_set(&client->timer, ms);
    return 0;
}

static int on_multi_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *sock_arg)
{
    struct http_client *client = arg;
    struct sock *sock = sock_arg;
    unsigned events = 0;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (sock) {
            watch_free(&sock->watch);
            loop_free_later(client->loop, sock, free);
            curl_multi_assign(client->multi, fd, NULL);
        }
        return 0;
    }
    if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
        events |= WATCH_READ;
    if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
        events |= WATCH_WRITE;
    if (sock) {
        watch_set(sock->watch, events);
        return 0;
    }
    sock = mem_alloc(sizeof *sock);
    sock->client = client;
    sock->fd = fd;
    sock->watch = watch_new(client->loop, fd, events, on_socket, sock);
    if (!sock->watch) {
        free(sock);
        return -1;
    }
    curl_multi_assign(client->multi, fd, sock);
    return 0;
}

/* --- life of the client --- */
enum err_code http_client_new(struct loop *loop, struct http_client **client_r, struct err *e)
{
    struct http_client *client;

    *client_r = NULL;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        return err_set(e, ERR_INTERNAL, "libcurl does not start");
    client = mem_alloc(sizeof *client);
    client->loop = loop;
    client->multi = curl_multi_init();
    if (!client->multi) {
        free(client);
        curl_global_cleanup();
        return err_set(e, ERR_INTERNAL, "libcurl does not start");
    }
    timer_init(&client->timer, loop, on_timer, client);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_multi_socket);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_multi_timer);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, CONNECTIONS_KEPT);
    curl_multi_setopt(client->multi, CURLMOPT_MAX_CONCURRENT_STREAMS, STREAMS_PER_CONNECTION);
    *client_r = client;
    return ERR_OK;
}

void http_client_free(struct http_client **client)
{
    struct http_client *c = *client;

    if (!c)
        return;
    while (c->calls)
        release(c->calls);
    while (c->spares > 0)
        curl_easy_cleanup(c->spare[--c->spares]);
    curl_multi_cleanup(c->multi);
    timer_cancel(&c->timer);
    curl_global_cleanup();
    free(c);
    *client = NULL;
}

unsigned http_active(const struct http_client *client)
{
    return client->active;
}

/* --- start of a call --- */
static enum err_code check_url(const char *url, struct err *e)
{
    CURLU *u = curl_url();
    char *scheme = NULL;
    CURLUcode rc = curl_url_set(u, CURLUPART_URL, url, 0);
    enum err_code code = ERR_OK;

    if (rc == CURLUE_OK)
        rc = curl_url_get(u, CURLUPART_SCHEME, &scheme, 0);
    if (rc != CURLUE_OK)
        code = err_set(e, ERR_INVALID, "URL: %s", curl_url_strerror(rc));
    else if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
        code = err_set(e, ERR_INVALID, "URL: neither http nor https");
    curl_free(scheme);
    curl_url_cleanup(u);
    return code;
}

static void add_header(struct http_call *call, const char *line)
{
    struct curl_slist *list = curl_slist_append(call->headers, line);

    if (!list)
        abort();
    call->headers = list;
}

static void set_method(struct http_call *call, const struct http_request *req)
{
    CURL *easy = call->easy;

    if (strcmp(req->method, "HEAD") == 0) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        return;
    }
    if (req->body || strcmp(req->method, "POST") == 0) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, req->body ? req->body : "");
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(req->body ? req->body_len : 0));
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, req->method);
}

static void set_headers(struct http_call *call, const struct http_request *req)
{
    for (size_t i = 0; req->headers && req->headers[i]; i++)
        add_header(call, req->headers[i]);
    add_header(call, "Accept-Encoding: identity"); /* proxies hold back a compressed stream */
    add_header(call, "Expect:");                   /* no round trip before the body */
    curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers);
}

static void set_trust(CURL *easy, const char *ca_file)
{
    if (!ca_file)
        ca_file = ca_bundle();
    if (ca_file[0]) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file);
        curl_easy_setopt(easy, CURLOPT_PROXY_CAINFO, ca_file);
    }
    /* With a directory as well, libcurl would parse the bundle anew for each
     * connection: 20 ms in which nothing else happens. */
    curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(easy, CURLOPT_PROXY_CAPATH, NULL);
}

static void set_connection(CURL *easy, const struct http_request *req)
{
    curl_easy_setopt(easy, CURLOPT_URL, req->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_PROXY, req->proxy ? req->proxy : ""); /* "": not the environment's either */
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L); /* rather a stream of a connection being made than another one */
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)req->connect_timeout_ms);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, READ_BYTES);
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, READ_BYTES);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "warbler");
    set_trust(easy, req->ca_file);
}

static void set_callbacks(struct http_call *call)
{
    curl_easy_setopt(call->easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(call->easy, CURLOPT_ERRORBUFFER, call->error);
    curl_easy_setopt(call->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(call->easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(call->easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(call->easy, CURLOPT_HEADERDATA, call);
}

static CURL *take_handle(struct http_client *client)
{
    CURL *easy = client->spares > 0 ? client->spare[--client->spares] : curl_easy_init();

    if (!easy)
        abort();
    return easy;
}

struct http_call *http_start(struct http_client *client, const struct http_request *req,
                             const struct http_handler *handler, void *arg, struct err *e)
{
    struct http_call *call;

    if (check_url(req->url, e) != ERR_OK)
        return NULL;
    call = mem_alloc(sizeof *call);
    call->client = client;
    call->handler = handler;
    call->arg = arg;
    call->reply.retry_after_ms = -1;
    call->max_response_bytes = req->max_response_bytes;
    call->first_byte_timeout_ms = req->first_byte_timeout_ms;
    call->idle_timeout_ms = req->idle_timeout_ms;
    buf_init(&call->input, req->max_response_bytes);
    timer_init(&call->deadline, client->loop, on_deadline, call);
    call->easy = take_handle(client);
    set_connection(call->easy, req);
    set_method(call, req);
    set_headers(call, req);
    set_callbacks(call);
    DL_APPEND(client->calls, call);
    client->active++;
    timer_set(&call->deadline, req->first_byte_timeout_ms);
    curl_multi_add_handle(client->multi, call->easy); /* only arms its timer: nothing happens before the next turn */
    return call;
}

void http_cancel(struct http_call **call)
{
    if (*call && !(*call)->dead)
        release(*call);
    *call = NULL;
}
