/* The HTTP API in place of the long connection: what was said in a
 * conversation, what is unread, and sending. lanying.md, section 17. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/lanying/lanying.h"
#include "adapters/lanying/notice.h"
#include "plugin/base/json.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"

#define PAGE_MAX 1000 /* messages read of one page */

/* --- looking back --- */

static int newest_first(const void *a, const void *b)
{
    const struct event *x = *(struct event *const *)a, *y = *(struct event *const *)b;

    if (x->time_ms != y->time_ms)
        return x->time_ms < y->time_ms ? 1 : -1;
    return x->id < y->id ? 1 : x->id > y->id ? -1 : 0;
}

static void take_page(struct lanying *ly, struct chat *c, const cJSON *messages)
{
    struct event **page = mem_array(PAGE_MAX, sizeof *page), *ev;
    const cJSON *item;
    size_t n = 0;

    cJSON_ArrayForEach(item, messages) {
        ev = n < PAGE_MAX ? event_from_past(item, ly->session.uid, c->group) : NULL;
        if (ev)
            page[n++] = ev;
    }
    qsort(page, n, sizeof *page, newest_first);
    if (n > 0 && c->past_newest == 0)
        c->past_newest = page[0]->id;
    for (size_t i = 0; i < n; i++)
        ly_sync_past(ly, c, page[i]);
    free(page);
}

static void on_past(void *arg, const struct api_answer *r)
{
    struct lanying *ly = arg;
    struct chat *c = chats_find(ly, r->tag);
    const cJSON *messages = json_get(cJSON_IsObject(r->data) ? r->data : r->root, "messages");

    if (!c || !c->asked)
        return;
    if (ly_api_unreachable(r)) {
        session_down(ly, &r->e, true);
        return;
    }
    if (r->e.code != ERR_OK) {
        ly_sync_failed(ly, c, r->e.text);
        return;
    }
    take_page(ly, c, messages ? messages : r->data);
    c->past_next = ly_json_get_id(r->data, "next_msg_id");
    ly_sync_looked(ly, c, json_bool(r->data, "is_last", c->past_next == 0));
}

static void rest_look(struct lanying *ly, struct chat *c, uint64_t from)
{
    struct buf path;

    if (from == 0)
        c->past_newest = c->past_next = 0;
    buf_init(&path, API_PATH_BYTES_MAX);
    buf_addf(&path, "/message/conversation?opposite_id=%" PRIu64 "&msg_id_start=%" PRIu64 "&limit=%d", c->id,
             c->past_next ? c->past_next : from, SYNC_PAGE);
    ly_api_get(ly, buf_str(&path), c->id, on_past);
    buf_free(&path);
}

/* --- sending --- */

static void on_sent(void *arg, const struct api_answer *r)
{
    struct lanying *ly = arg;
    struct parcel *p = posting_find(ly, r->tag);
    uint64_t mid = ly_json_id(cJSON_GetArrayItem(json_get(r->root, "msg_ids"), 0));

    if (!p || !p->call)
        return;
    p->call = NULL;
    if (r->e.code == ERR_OK)
        posting_answered(ly, p, LY_CODE_OK, NULL, 0, mid);
    else if (r->e.code == ERR_RATE || r->code == LY_CODE_RATE_LIMIT_EXCEEDED)
        posting_answered(ly, p, LY_CODE_RATE_LIMIT_EXCEEDED, NULL, 0, 0);
    else if (ly_api_unreachable(r))
        posting_again(ly, p, true);
    else if (ly_api_token_refused(r) && lanying_as(ly) == API_BOT)
        posting_again(ly, p, false); /* with the new token */
    else if (ly_api_token_refused(r))
        session_down(ly, &r->e, false);
    else
        posting_answered(ly, p, LY_CODE_FAIL, r->e.text, strlen(r->e.text), 0);
}

static void rest_transmit(struct lanying *ly, struct parcel *p)
{
    const struct wire_self self = { ly->session.uid, 0 };
    struct api_ask ask = { .method = "POST", .path = "/message/send", .tag = p->o.id };
    struct buf body;

    buf_init(&body, API_BODY_BYTES_MAX);
    wire_body(&body, &self, &p->o);
    ask.body = buf_str(&body);
    ask.as = lanying_as(ly) == API_BOT ? API_BOT : API_ADMIN; /* who speaks stands in the body */
    p->call = ly_api_start(&ly->api, &ask, on_sent, ly);
    buf_free(&body);
}

/* --- asking for what is new --- */

static void on_unread(void *arg, const struct api_answer *r)
{
    struct lanying *ly = arg;
    const cJSON *item;

    if (!session_online(&ly->session))
        return;
    if (ly_api_unreachable(r)) {
        session_down(ly, &r->e, true);
        return;
    }
    cJSON_ArrayForEach(item, r->data) {
        uint64_t id = ly_json_get_id(json_get(item, "conversation_id"), "uid");
        if (id != 0)
            ly_sync_unread(ly, id, chats_is_group(ly, id), json_int(item, "num", 0));
    }
    timer_set(&ly->poll, lanying_conf(ly)->poll_interval);
}

static void ask_unread(void *arg)
{
    struct lanying *ly = arg;

    ly_api_get(ly, "/message/unread", 0, on_unread);
}

static void on_acknowledged(void *arg, const struct api_answer *r)
{
    struct lanying *ly = arg;

    if (r->e.code != ERR_OK)
        log_info("lanying", "%s: %s", lanying_name(ly), r->e.text);
}

/* Also of what was of no interest, or it would be unread for ever. */
static void poll_read(struct lanying *ly, struct chat *c)
{
    uint64_t mid = c->past_newest;
    struct buf path;

    if (mid == 0)
        return;
    c->past_newest = 0;
    buf_init(&path, API_PATH_BYTES_MAX);
    buf_addf(&path, "/message/ack?conversation_id=%" PRIu64 "&msg_id=%" PRIu64 "&device_sn=0", c->id, mid);
    ly_api_get(ly, buf_str(&path), 0, on_acknowledged);
    buf_free(&path);
}

/* --- life --- */

static void poll_online(struct lanying *ly)
{
    notice_online(ly);
    ask_unread(ly);
}

static void poll_offline(struct lanying *ly)
{
    timer_cancel(&ly->poll);
}

static void webhook_online(struct lanying *ly)
{
    notice_online(ly);
    webhook_go_on(ly);
}

static void webhook_offline(struct lanying *ly)
{
    (void)ly; /* nothing is under way but calls, whose answers come to nobody */
}

void rest_init(struct lanying *ly)
{
    timer_init(&ly->poll, ly->a->loop, ask_unread, ly);
}

void rest_fini(struct lanying *ly)
{
    timer_cancel(&ly->poll);
}

const struct carrier carrier_poll = {
    .online = poll_online,
    .offline = poll_offline,
    .look = rest_look,
    .transmit = rest_transmit,
    .read = poll_read,
};

const struct carrier carrier_webhook = {
    .online = webhook_online,
    .offline = webhook_offline,
    .look = rest_look,
    .transmit = rest_transmit,
};
