#include "plugin/net/http.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "plugin/base/buf.h"
#include "plugin/base/clock.h"
#include "plugin/base/mem.h"
#include "plugin/net/http_head.h"
#include "plugin/net/http_options.h"

#define CONNECTIONS_KEPT 1024     /* in use and idle; over this, one closes when its call ends */
#define HANDLES_KEPT 32           /* easy handles: 6 KB each */
#define STREAMS_PER_CONNECTION 100L
#define INPUT_KEPT_BYTES 2048     /* a call's input buffer may stay this large between two events */

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

    struct http_head head;
    bool head_told;
    struct buf input; /* body that was not passed on yet */
    size_t received;  /* bytes of body in all */
    size_t max_response_bytes;
    bool too_large;
    bool finished; /* by libcurl, with result */
    CURLcode result;
    bool retried;

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
    struct timer calm;       /* HTTP_IDLE_S after the last call */
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
    if (--client->active == 0)
        timer_set(&client->calm, HTTP_IDLE_S * 1000);
    loop_free_later(client->loop, call, free);
}

/* Released first, so that what done() starts can have the connection. */
static void finish(struct http_call *call, const struct err *e)
{
    struct http_reply reply = call->head.reply;

    release(call);
    call->handler->done(call->arg, &reply, e);
}

static void stop(struct http_call *call, enum err_code code, const char *text)
{
    struct err e = ERR_INIT;

    err_set(&e, code, "%s", text);
    finish(call, &e);
}

/* Otherwise nobody would hear of the call before its deadline. */
static void hand_to_libcurl(struct http_call *call)
{
    if (curl_multi_add_handle(call->client->multi, call->easy) == CURLM_OUT_OF_MEMORY)
        mem_out("libcurl");
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

    return dropped && !call->retried && call->head.reply.status == 0 && was_reused(call);
}

static void resend(struct http_call *call)
{
    call->retried = true;
    call->finished = false;
    curl_multi_remove_handle(call->client->multi, call->easy);
    curl_easy_setopt(call->easy, CURLOPT_FRESH_CONNECT, 1L);
    hand_to_libcurl(call);
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
    if (call->head.ended && !call->head_told) {
        call->head_told = true;
        call->head.reply.reused = was_reused(call);
        if (call->handler->head)
            call->handler->head(call->arg, &call->head.reply);
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
    if (!call->input.cap)
        buf_expect(&call->input, INPUT_KEPT_BYTES - 1);
    buf_add(&call->input, data, n);
    set_ready(call);
    return n;
}

static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
    struct http_call *call = arg;

    n *= size;
    http_head_line(&call->head, data, n);
    if (call->head.ended)
        set_ready(call);
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
static CURLM *multi_new(struct http_client *client)
{
    CURLM *multi = curl_multi_init();

    if (!multi)
        return NULL;
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_multi_socket);
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_multi_timer);
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, client);
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, CONNECTIONS_KEPT);
    curl_multi_setopt(multi, CURLMOPT_MAX_CONCURRENT_STREAMS, STREAMS_PER_CONNECTION);
    return multi;
}

/* libcurl looks for connections that were idle too long only when a call
 * begins. When none does, its whole handle goes, and all of them with it. */
static void on_calm(void *arg)
{
    struct http_client *client = arg;
    CURLM *fresh;

    if (client->calls)
        return;
    fresh = multi_new(client);
    if (!fresh)
        return;
    curl_multi_cleanup(client->multi);
    timer_cancel(&client->timer);
    client->multi = fresh;
    mem_give_back();
}

enum err_code http_client_new(struct loop *loop, struct http_client **client_r, struct err *e)
{
    struct http_client *client;

    *client_r = NULL;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        return err_set(e, ERR_INTERNAL, "libcurl does not start");
    client = mem_alloc(sizeof *client);
    client->loop = loop;
    client->multi = multi_new(client);
    if (!client->multi) {
        free(client);
        curl_global_cleanup();
        return err_set(e, ERR_INTERNAL, "libcurl does not start");
    }
    timer_init(&client->timer, loop, on_timer, client);
    timer_init(&client->calm, loop, on_calm, client);
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
    timer_cancel(&c->calm);
    curl_global_cleanup();
    free(c);
    *client = NULL;
}

unsigned http_active(const struct http_client *client)
{
    return client->active;
}

/* --- start of a call --- */
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
        mem_out("libcurl");
    return easy;
}

struct http_call *http_start(struct http_client *client, const struct http_request *req,
                             const struct http_handler *handler, void *arg, struct err *e)
{
    struct http_call *call;

    if (http_check_url(req->url, e) != ERR_OK)
        return NULL;
    call = mem_alloc(sizeof *call);
    call->client = client;
    call->handler = handler;
    call->arg = arg;
    http_head_init(&call->head);
    call->max_response_bytes = req->max_response_bytes;
    call->first_byte_timeout_ms = req->first_byte_timeout_ms;
    call->idle_timeout_ms = req->idle_timeout_ms;
    buf_init(&call->input, req->max_response_bytes);
    timer_init(&call->deadline, client->loop, on_deadline, call);
    call->easy = take_handle(client);
    call->headers = http_set_options(call->easy, req);
    set_callbacks(call);
    DL_APPEND(client->calls, call);
    client->active++;
    timer_set(&call->deadline, req->first_byte_timeout_ms);
    hand_to_libcurl(call); /* only arms its timer: nothing happens before the next turn */
    return call;
}

void http_cancel(struct http_call **call)
{
    if (*call && !(*call)->dead)
        release(*call);
    *call = NULL;
}
