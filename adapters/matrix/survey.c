#include "adapters/matrix/survey.h"

#include <string.h>

#include "adapters/matrix/invite.h"
#include "adapters/matrix/matrix.h"
#include "adapters/matrix/secrecy.h"

struct api_call *survey_start(struct matrix *m, struct room *r, api_done *done, void *arg)
{
    struct api_call *call;
    struct buf path;

    buf_init(&path, API_PATH_BYTES_MAX);
    api_path(&path, "/_matrix/client/v3/rooms/%/state", r->id);
    struct api_request req = { .method = "GET", .path = buf_str(&path), .max_bytes = SURVEY_BYTES_MAX };
    call = api_start(&m->api, &req, done, arg);
    buf_free(&path);
    return call;
}

void survey_heard(struct room *r, const struct api_reply *reply)
{
    int64_t joined = 0, invited = 0;
    const cJSON *json;

    r->surveyed = true;
    if (reply->err.code) {
        r->member = reply->err.code == ERR_TOO_LARGE || reply->retry;
        return;
    }
    cJSON_ArrayForEach(json, reply->json)
    {
        struct err e = ERR_INIT;
        struct event ev;

        if (!event_read(&ev, json, &e) && ev.state_key) {
            room_state(r, &ev);
            joined += ev.kind == EVENT_MEMBER && ev.member == MEMBER_JOIN;
            invited += ev.kind == EVENT_MEMBER && ev.member == MEMBER_INVITE;
        }
        event_fini(&ev);
    }
    room_counts(r, joined, invited);
    secrecy_changed(r->m);
    room_remark_mute(r->m);
    invite_follow_all(r->m);
    invite_look_around(r->m, r);
}
