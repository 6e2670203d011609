#include "adapters/lanying/api.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "adapters/lanying/ids.h"
#include "adapters/lanying/lanying.h"
#include "plugin/base/json.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"

#define HEADERS_MAX 6
#define HEADER_BYTES_MAX 8192U
#define HTTP_OK 200

struct api_call {
    struct api_call *prev, *next;
    struct api *api;
    struct http_call *http; /* NULL: it could not be started */
    struct defer unstarted;
    struct err why;
    bool own_server;
    bool parked;    /* until there is a new token */
    bool once_more; /* it was */
    int64_t token_at_ms; /* of the token that it carried */
    uint64_t tag;
    char *method, *path;
    enum api_as as;
    char *what; /* "POST /token/user", for the log */
    char *body;
    struct buf answer;
    api_fn *fn;
    void *arg;
};

void ly_api_init(struct api *api, struct lanying *ly)
{
    *api = (struct api){ .ly = ly };
}

static void forget(void *p)
{
    struct api_call *c = p;

    buf_free(&c->answer);
    free(c->what);
    free(c->method);
    free(c->path);
    free(c->body);
    free(c);
}

void ly_api_cancel(struct api_call **call)
{
    struct api_call *c = *call;

    *call = NULL;
    if (!c)
        return;
    http_cancel(&c->http);
    defer_cancel(&c->unstarted);
    DL_DELETE(c->api->calls, c);
    loop_free_later(c->api->ly->a->loop, c, forget);
}

void ly_api_fini(struct api *api)
{
    while (api->calls) {
        struct api_call *c = api->calls;
        ly_api_cancel(&c);
    }
}

/* --- the answer --- */

/* What people who set this up most often meet, in words. */
static const char *meaning(int64_t code)
{
    static const struct {
        int64_t code;
        const char *text;
    } known[] = {
        { API_CODE_TOKEN_OVER, "the token is no longer valid" },
        { 10000, "there is no such user" },
        { 10002, "bad parameter" },
        { API_CODE_NO_TOKEN, "the access token is missing" },
        { API_CODE_BAD_TOKEN, "the access token is invalid" },
        { 10010, "no permission" },
        { 20001, "there is no such group" },
        { 20002, "not a member of the group" },
        { 30021, "the licence is invalid" },
        { 30022, "the licence has expired" },
        { 30023, "the licence's limit is exceeded" },
        { API_CODE_NO_APP, "there is no app with this app_id" },
    };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].code == code)
            return known[i].text;
    return NULL;
}

static enum err_code kind_of(int64_t code)
{
    if (code == 429)
        return ERR_RATE;
    if (code >= 500 && code < 600)
        return ERR_SERVER;
    if (code == API_CODE_TOKEN_OVER || code == API_CODE_NO_TOKEN || code == API_CODE_BAD_TOKEN || code == 401)
        return ERR_AUTH;
    return ERR_PARAM;
}

static void judge(const struct api_call *c, struct api_answer *r, long status)
{
    const char *text = json_str(r->root, "message"), *known;
    int shown = lanying_shown(c->api->ly, text, text ? strlen(text) : 0);

    r->code = json_int(r->root, "code", 0);
    if (r->code == 0 && status != HTTP_OK)
        err_set(&r->e, kind_of(status) == ERR_PARAM ? ERR_PROTO : kind_of(status), "%s: HTTP %ld", c->what, status);
    else if (r->code == 0)
        err_set(&r->e, ERR_PROTO, "%s: the answer is not one of Lanying's API", c->what);
    else if (r->code != API_CODE_OK) {
        known = meaning(r->code);
        err_set(&r->e, kind_of(r->code), "%s: %s%s%.*s (code %lld)", c->what, known ? known : "refused", shown ? ": " : "",
                shown, shown ? text : "", (long long)r->code);
    }
}

bool ly_api_unreachable(const struct api_answer *r)
{
    return r->e.code == ERR_NET || r->e.code == ERR_TIMEOUT || r->e.code == ERR_SERVER || r->e.code == ERR_PROTO ||
           r->e.code == ERR_TOO_LARGE;
}

bool ly_api_token_refused(const struct api_answer *r)
{
    return r->code == API_CODE_TOKEN_OVER || r->code == API_CODE_NO_TOKEN || r->code == API_CODE_BAD_TOKEN;
}

static void count_failures(struct api *api, const struct api_answer *r)
{
    api->failures = ly_api_unreachable(r) ? api->failures + 1 : 0;
    if (api->failures < API_FAILURES_MAX)
        return;
    api->failures = 0;
    places_next_api(&api->ly->places);
    log_info("lanying", "%s: the API server failed %d times in a row, asking %s", lanying_name(api->ly), API_FAILURES_MAX,
             places_api(&api->ly->places));
}

static void answered(struct api_call *c, struct api_answer *r)
{
    api_fn *fn = c->fn;
    void *arg = c->arg;

    c->http = NULL;
    r->tag = c->tag;
    ly_api_cancel(&c);
    fn(arg, r);
}

static void try(struct api_call *c, const char *base);

/* True: the call waits for a new token. */
static bool park(struct api_call *c, const struct api_answer *r)
{
    struct lanying *ly = c->api->ly;

    if (c->as != API_BOT || !ly_api_token_refused(r) || c->once_more)
        return false;
    c->http = NULL;
    c->once_more = true;
    buf_reset(&c->answer);
    if (c->token_at_ms != ly->session.token_at_ms) { /* others met with it before */
        try(c, places_api(&ly->places));
        return true;
    }
    c->parked = session_token_over(ly);
    return c->parked;
}

static bool on_body(void *arg, const char *data, size_t len)
{
    struct api_call *c = arg;

    return buf_add(&c->answer, data, len) == ERR_OK;
}

static void on_done(void *arg, const struct http_reply *reply, const struct err *e)
{
    struct api_call *c = arg;
    struct api_answer r = { .e = *e };
    cJSON *root = NULL;

    if (e->code == ERR_OK) {
        root = ly_json_parse(buf_str(&c->answer), c->answer.len);
        r.root = root;
        judge(c, &r, reply->status);
        r.data = r.e.code ? NULL : json_get(root, "data");
    } else {
        err_prefix(&r.e, "%s", c->what);
    }
    if (c->own_server)
        count_failures(c->api, &r);
    if (!park(c, &r))
        answered(c, &r);
    cJSON_Delete(root);
}

static void on_unstarted(void *arg)
{
    struct api_call *c = arg;
    struct api_answer r = { .e = c->why };

    answered(c, &r);
}

/* --- asking --- */

struct headers {
    struct buf text[HEADERS_MAX];
    const char *v[HEADERS_MAX + 1];
    size_t n;
};

static void add_header(struct headers *h, const char *name, const char *value)
{
    struct buf *text = &h->text[h->n];

    if (!value || !*value || strpbrk(value, "\r\n"))
        return;
    buf_init(text, HEADER_BYTES_MAX);
    buf_addf(text, "%s: %s", name, value);
    if (!buf_error(text))
        h->v[h->n++] = buf_str(text);
}

static void make_headers(struct headers *h, const struct api *api, enum api_as as)
{
    char bot[LY_ID_BYTES];

    memset(h, 0, sizeof *h);
    add_header(h, "app_id", lanying_conf(api->ly)->app_id);
    add_header(h, "Content-Type", "application/json");
    if (as == API_BOT)
        add_header(h, "access-token", secret_reveal(&api->ly->session.token));
    if (as == API_ADMIN || as == API_ADMIN_FOR_BOT)
        add_header(h, "access-token", secret_reveal(&lanying_conf(api->ly)->admin_token));
    ly_id_print(bot, api->bot);
    if (as == API_ADMIN_FOR_BOT && api->bot != 0)
        add_header(h, "user_id", bot);
}

static void free_headers(struct headers *h)
{
    for (size_t i = 0; i < HEADERS_MAX; i++)
        buf_free(&h->text[i]);
}

/* Without the slashes at its end: paths begin with one. */
static size_t trimmed(const char *base)
{
    size_t len = strlen(base);

    while (len > 0 && base[len - 1] == '/')
        len--;
    return len;
}

static void start(struct api_call *c, const char *base)
{
    static const struct http_handler handler = { .body = on_body, .done = on_done };
    struct headers headers;
    struct buf url;

    buf_init(&url, API_PATH_BYTES_MAX);
    buf_addf(&url, "%.*s%s", (int)trimmed(base), base, c->path);
    make_headers(&headers, c->api, c->as);
    c->token_at_ms = c->api->ly->session.token_at_ms;
    c->http = http_start(c->api->ly->a->http,
                         &(struct http_request){
                             .method = c->method,
                             .url = buf_str(&url),
                             .headers = headers.v,
                             .body = c->body,
                             .body_len = c->body ? strlen(c->body) : 0,
                             .connect_timeout_ms = API_CONNECT_MS,
                             .first_byte_timeout_ms = API_ANSWER_MS,
                             .idle_timeout_ms = API_ANSWER_MS,
                             .max_response_bytes = API_ANSWER_BYTES_MAX,
                         },
                         &handler, c, &c->why);
    free_headers(&headers);
    buf_free(&url);
}

/* Without an address, or with one that is none, the answer follows all the same. */
static void try(struct api_call *c, const char *base)
{
    c->parked = false;
    if (base)
        start(c, base);
    else
        err_set(&c->why, ERR_NET, "%s: no API server is known", c->what);
    if (!c->http)
        defer_set(&c->unstarted);
}

void ly_api_token_renewed(struct api *api, const struct err *e)
{
    struct api_call *c;

    DL_FOREACH(api->calls, c) {
        if (!c->parked)
            continue;
        c->parked = false;
        c->why = *e;
        if (e->code == ERR_OK)
            try(c, places_api(&api->ly->places));
        else
            defer_set(&c->unstarted);
    }
}

static char *name_of(const struct api_ask *ask)
{
    const char *path = !*ask->path && ask->base ? ask->base : ask->path;
    struct buf what;

    buf_init(&what, API_PATH_BYTES_MAX);
    buf_addf(&what, "%s %.*s", ask->method, (int)strcspn(path, "?"), path);
    return buf_error(&what) ? mem_dup(ask->method) : buf_take(&what);
}

struct api_call *ly_api_start(struct api *api, const struct api_ask *ask, api_fn *fn, void *arg)
{
    struct api_call *c = mem_alloc(sizeof *c);

    c->api = api;
    c->own_server = !ask->base;
    c->tag = ask->tag;
    c->as = ask->as;
    c->what = name_of(ask);
    c->method = mem_dup(ask->method);
    c->path = mem_dup(ask->path);
    c->body = mem_dup(ask->body);
    c->fn = fn;
    c->arg = arg;
    buf_init(&c->answer, API_ANSWER_BYTES_MAX);
    defer_init(&c->unstarted, api->ly->a->loop, on_unstarted, c);
    DL_APPEND(api->calls, c);
    try(c, ask->base ? ask->base : places_api(&api->ly->places));
    return c;
}

struct api_call *ly_api_get(struct lanying *ly, const char *path, uint64_t tag, api_fn *fn)
{
    const struct api_ask ask = { .method = "GET", .path = path, .as = lanying_as(ly), .tag = tag };

    return ly_api_start(&ly->api, &ask, fn, ly);
}

struct api_call *ly_api_post(struct lanying *ly, const char *path, const char *body, uint64_t tag, api_fn *fn)
{
    const struct api_ask ask = { .method = "POST", .path = path, .body = body, .as = lanying_as(ly), .tag = tag };

    return ly_api_start(&ly->api, &ask, fn, ly);
}
