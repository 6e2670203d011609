#include "adapters/matrix/look.h"

#include <stdlib.h>
#include <string.h>

#include "adapters/matrix/event.h"
#include "adapters/matrix/matrix.h"
#include "plugin/base/json.h"
#include "plugin/base/mem.h"

static struct api_call *ask(struct matrix *m, const struct buf *path, api_done *done, void *arg)
{
    struct api_request req = { .method = "GET", .path = buf_str(path), .answer_ms = LOOK_MS };

    return api_start(&m->api, &req, done, arg);
}

struct api_call *look_event(struct matrix *m, const char *room, const char *id, api_done *done, void *arg)
{
    struct api_call *call;
    struct buf path;

    buf_init(&path, API_PATH_BYTES_MAX);
    api_path(&path, "/_matrix/client/v3/rooms/%/event/%", room, id);
    call = ask(m, &path, done, arg);
    buf_free(&path);
    return call;
}

/* An event that is noted without a text will not be asked for again. */
const struct recent_event *look_event_heard(const struct room *room, const char *id, const struct api_reply *r)
{
    struct matrix *m = room->m;
    struct recent_event *found = NULL;
    struct err e = ERR_INIT;
    struct event ev;

    if (r->err.code)
        return NULL;
    if (!event_read(&ev, r->json, &e)) {
        bool own = strcmp(ev.sender, m->user) == 0; /* whom it answered cannot be seen */
        const char *talk = intake_talk(room, own ? NULL : ev.sender, ev.thread);

        found = recent_note(&m->recent, id, ev.sender, ev.thread, ev.text, ev.len);
        free(found->talk);
        found->talk = mem_dup(talk);
    }
    event_fini(&ev);
    return found;
}

struct api_call *look_person(struct matrix *m, const struct room *room, const char *user, api_done *done, void *arg)
{
    struct api_call *call;
    struct buf path;

    buf_init(&path, API_PATH_BYTES_MAX);
    api_path(&path, "/_matrix/client/v3/rooms/%/state/m.room.member/%", room->id, user);
    call = ask(m, &path, done, arg);
    buf_free(&path);
    return call;
}

/* Content only: there is no event around it that event.c could read. Whoever
 * cannot be asked for has no name for now. */
void look_person_heard(struct room *room, const char *user, const struct api_reply *r)
{
    const char *name = json_str(r->json, "displayname");

    room_note_person(room, user, !r->err.code && name ? name : "");
}
