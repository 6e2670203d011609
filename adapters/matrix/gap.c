#include "adapters/matrix/gap.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "adapters/matrix/matrix.h"
#include "plugin/base/json.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"

#define EVENTS_MAX 4096U /* kept of one gap */

struct gap {
    struct gap *prev, *next;
    struct matrix *m;
    struct room *room;
    struct item *item;
    const struct intake_gap *what; /* the item's */
    struct api_call *call;
    struct timer again;
    int64_t pause_ms;
    char *from;
    bool running;          /* else it waits in line */
    bool small;            /* pages of GAP_PAGE_EVENTS_SMALL */
    unsigned tries;        /* of this page, that failed while the homeserver was there */
    unsigned pages;
    size_t bytes;          /* of all pages, about */
    size_t messages;       /* kept, of those that are messages */
    struct found found[EVENTS_MAX]; /* newest first */
    size_t n;
};

static void ask(void *arg);

static size_t to_answer(const struct gap *g)
{
    size_t max = (size_t)matrix_conf(g->m)->catch_up.max_messages;

    return max > g->what->later ? max - g->what->later : 0;
}

static void reverse(struct found *v, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        struct found other = v[i];

        v[i] = v[n - 1 - i];
        v[n - 1 - i] = other;
    }
}

/* A page and all that is kept of a gap are large, and after a long pause each room has one. */
static void run_next(struct gaps *gaps)
{
    struct gap *g;

    DL_SEARCH_SCALAR(gaps->all, g, running, false);
    if (!g || gaps->running >= GAPS_RUNNING_MAX)
        return;
    g->running = true;
    gaps->running++;
    ask(g);
}

static void stand_back(struct gap *g)
{
    DL_DELETE(g->m->gaps.all, g);
    g->m->gaps.running -= g->running;
    g->running = false;
}

static void end(struct gap *g)
{
    struct gaps *gaps = &g->m->gaps;

    log_debug(matrix_area(g->m), "%s: %zu events were left out of the stream; %u pages of them looked at",
              room_label(g->room), g->n, g->pages);
    reverse(g->found, g->n);
    size_t n = g->n;
    g->n = 0; /* they are the intake's */
    intake_filled(g->item, g->found, n);
    run_next(gaps);
}

/* --- a page --- */

/* From before the account's first start. */
static bool is_before_us(const struct gap *g, const cJSON *event)
{
    return json_int(event, "origin_server_ts", 0) < g->m->began_ms;
}

/* True: that is enough. Takes the event. */
static bool keep(struct gap *g, cJSON *event)
{
    bool message = intake_is_message(event, g->m->user);

    if ((g->what->joined && intake_is_coming(event, g->m->user)) || (g->what->began && is_before_us(g, event))) {
        cJSON_Delete(event);
        return true;
    }
    if (json_str(event, "state_key") || (message && g->messages >= to_answer(g) + INTAKE_CONTEXT_MAX)) {
        cJSON_Delete(event);
        return message;
    }
    g->found[g->n++] = (struct found){
        .json = event,
        .context = g->messages >= to_answer(g) || intake_too_old(g->m, event, true),
    };
    g->messages += message;
    return g->n == EVENTS_MAX;
}

static void note_people(struct gap *g, const cJSON *state)
{
    const cJSON *json;

    cJSON_ArrayForEach(json, state)
    {
        struct err e = ERR_INIT;
        struct event ev;

        if (!event_read(&ev, json, &e) && ev.kind == EVENT_MEMBER && ev.member == MEMBER_JOIN)
            room_note_person(g->room, ev.state_key, ev.text);
        event_fini(&ev);
    }
}

/* False: there may be more before it. */
static bool take_page(struct gap *g, cJSON *page)
{
    cJSON *chunk = cJSON_GetObjectItemCaseSensitive(page, "chunk");
    const char *next = json_str(page, "end");
    bool enough = false;

    note_people(g, json_get(page, "state"));
    while (cJSON_IsArray(chunk) && chunk->child && !enough)
        enough = keep(g, cJSON_DetachItemViaPointer(chunk, chunk->child));
    if (!next || (g->from && strcmp(next, g->from) == 0))
        return true;
    free(g->from);
    g->from = mem_dup(next);
    return enough || ++g->pages >= GAP_PAGES_MAX || g->bytes >= GAP_BYTES_MAX;
}

static void failed(struct gap *g, const struct api_reply *r)
{
    g->tries += g->m->running;
    if (r->err.code == ERR_TOO_LARGE && !g->small) {
        g->small = true;
        ask(g);
    } else if (r->retry && g->tries < GAP_TRIES_MAX) {
        timer_set(&g->again, r->retry_after_ms > g->pause_ms ? r->retry_after_ms : g->pause_ms);
        g->pause_ms = g->pause_ms * 2 < GAP_RETRY_MAX_MS ? g->pause_ms * 2 : GAP_RETRY_MAX_MS;
    } else {
        log_warn(matrix_area(g->m), "%s: what the stream left out cannot be read: %s", room_label(g->room),
                 r->err.text);
        end(g);
    }
}

static void on_page(void *arg, struct api_reply *r)
{
    struct gap *g = arg;
    cJSON *page;

    g->call = NULL;
    if (r->err.code) {
        failed(g, r);
        return;
    }
    g->pause_ms = GAP_RETRY_MS;
    g->tries = 0;
    g->bytes += r->bytes;
    page = api_reply_take(r);
    bool over = take_page(g, page);
    cJSON_Delete(page);
    if (over)
        end(g);
    else
        ask(g);
}

/* --- asking --- */

/* Members only where our own joining is looked for: in a large room they are most of it. */
static const char *filter(const struct gap *g)
{
    return g->what->joined ? "{\"lazy_load_members\":true,\"types\":[\"m.room.message\",\"m.room.encrypted\","
                             "\"m.room.redaction\",\"m.reaction\",\"m.room.member\"]}"
                           : "{\"lazy_load_members\":true,\"types\":[\"m.room.message\",\"m.room.encrypted\","
                             "\"m.room.redaction\",\"m.reaction\"]}";
}

static void ask(void *arg)
{
    struct gap *g = arg;
    struct buf path;

    buf_init(&path, API_PATH_BYTES_MAX);
    api_path(&path, "/_matrix/client/v3/rooms/%/messages?dir=b&filter=%", g->room->id, filter(g));
    buf_addf(&path, "&limit=%d", g->small ? GAP_PAGE_EVENTS_SMALL : GAP_PAGE_EVENTS);
    if (g->from)
        api_path(&path, "&from=%", g->from);
    if (g->what->to)
        api_path(&path, "&to=%", g->what->to);
    struct api_request req = { .method = "GET", .path = buf_str(&path), .max_bytes = GAP_PAGE_BYTES_MAX };
    g->call = api_start(&g->m->api, &req, on_page, g);
    buf_free(&path);
}

struct gap *gap_start(struct matrix *m, struct room *r, const struct intake_gap *what, struct item *item)
{
    struct gap *g = mem_alloc(sizeof *g);

    g->m = m;
    g->room = r;
    g->item = item;
    g->what = what;
    g->from = mem_dup(what->from);
    g->pause_ms = GAP_RETRY_MS;
    timer_init(&g->again, m->a->loop, ask, g);
    DL_APPEND(m->gaps.all, g);
    run_next(&m->gaps);
    return g;
}

void gap_free(struct gap **gap)
{
    struct gap *g = *gap;

    if (!g)
        return;
    stand_back(g);
    api_cancel(&g->call);
    timer_cancel(&g->again);
    for (size_t i = 0; i < g->n; i++)
        cJSON_Delete(g->found[i].json);
    free(g->from);
    free(g);
    *gap = NULL;
}
