#include "adapters/matrix/backlog.h"

#include "adapters/matrix/matrix.h"
#include "plugin/base/json.h"

#define FILTER_BYTES_MAX 512U
#define LIVE_EVENTS 20 /* looked at beyond those: what was said since the start comes first */

static int limit(const struct matrix *m)
{
    return (int)matrix_conf(m)->catch_up.max_messages + LIVE_EVENTS;
}

struct api_call *backlog_start(struct matrix *m, struct room *r, api_done *done, void *arg)
{
    struct api_call *call;
    struct buf filter, path;

    buf_init(&filter, FILTER_BYTES_MAX);
    buf_init(&path, API_PATH_BYTES_MAX);
    buf_adds(&filter, "{\"types\":[\"m.room.message\",\"m.room.encrypted\"],\"not_senders\":[");
    json_quote(&filter, m->user);
    buf_adds(&filter, "]}");
    api_path(&path, "/_matrix/client/v3/rooms/%/messages?dir=b&filter=%", r->id, buf_str(&filter));
    buf_addf(&path, "&limit=%d", limit(m));
    struct api_request req = { .method = "GET", .path = buf_str(&path), .max_bytes = BACKLOG_BYTES_MAX };
    call = api_start(&m->api, &req, done, arg);
    buf_free(&filter);
    buf_free(&path);
    return call;
}

/* Newest first. Whatever is older than what was looked at is too long ago as well. */
void backlog_heard(struct room *r, const struct api_reply *reply)
{
    int64_t max = matrix_conf(r->m)->catch_up.max_messages, missed = 0;
    const cJSON *chunk = max > 0 && !reply->err.code ? json_get(reply->json, "chunk") : NULL, *json;
    int left = limit(r->m);

    r->counted_ms = r->m->started_ms;
    r->answer_from_ms = max > 0 ? 0 : INT64_MAX;
    cJSON_ArrayForEach(json, chunk)
    {
        missed += intake_is_missed(r->m, json);
        left--;
        if (missed == max || left == 0) {
            r->answer_from_ms = json_int(json, "origin_server_ts", 0);
            return;
        }
    }
}

bool backlog_known(const struct room *r)
{
    return r->counted_ms == r->m->started_ms;
}

bool backlog_too_long(const struct room *r, const struct event *ev)
{
    return ev->time_ms < r->answer_from_ms;
}
