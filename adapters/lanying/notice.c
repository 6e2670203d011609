#include "adapters/lanying/notice.h"

#include <inttypes.h>

#include "adapters/lanying/lanying.h"
#include "plugin/base/json.h"
#include "plugin/base/log.h"

#define WAITING 0 /* status of a request that nobody decided */

/* --- accepting --- */

static void on_accepted(void *arg, const struct api_answer *r)
{
    struct lanying *ly = arg;

    if (failed(&r->e))
        log_warn("lanying", "%s: %s", lanying_name(ly), r->e.text);
}

static void befriend(struct lanying *ly, uint64_t uid)
{
    struct buf path;

    if (!lanying_conf(ly)->auto_accept_friend || !address_allowed(&lanying_conf(ly)->users, uid))
        return;
    buf_init(&path, API_PATH_BYTES_MAX);
    buf_addf(&path, "/roster/accept?user_id=%" PRIu64, uid);
    ly_api_post(ly, buf_str(&path), NULL, 0, on_accepted);
    buf_free(&path);
}

static void join(struct lanying *ly, uint64_t group, uint64_t inviter)
{
    const struct lanying_conf *conf = lanying_conf(ly);
    struct buf body;

    if (!conf->auto_accept_invite || !address_allowed(&conf->groups, group) || !address_allowed(&conf->users, inviter))
        return;
    buf_init(&body, API_BODY_BYTES_MAX);
    buf_addf(&body, "{\"approval\":true,\"group_id\":%" PRIu64 ",\"user_id\":%" PRIu64 "}", group, inviter);
    ly_api_post(ly, "/group/invite/handle", buf_str(&body), 0, on_accepted);
    buf_free(&body);
}

/* --- as they come --- */

static void forget_name(struct lanying *ly, uint64_t group)
{
    struct chat *c = chats_find(ly, group);

    if (c)
        c->name_known = c->name_told = false;
}

static void take_group(struct lanying *ly, const struct event *ev)
{
    struct chat *c;

    switch (ev->notice) {
    case GROUP_INVITED:
        if (ev->names_bot)
            join(ly, ev->to, ev->from);
        break;
    case GROUP_CREATED:
    case GROUP_JOINED:
    case GROUP_APPLY_ACCEPTED:
    case GROUP_INVITE_ACCEPTED:
        if (ev->names_bot || ev->from == ly->session.uid)
            chats_get(ly, ev->to, true);
        break;
    case GROUP_DESTROYED:
    case GROUP_LEAVED:
    case GROUP_KICKED:
    case GROUP_BLOCKED:
        c = chats_find(ly, ev->to);
        if (c && (ev->names_bot || ev->notice == GROUP_DESTROYED)) {
            log_info("lanying", "%s: the bot is no longer in group %" PRIu64, lanying_name(ly), ev->to);
            c->active_ms = 0; /* not looked into after the next login */
            chats_write_soon(ly);
        }
        break;
    case GROUP_INFO_UPDATED:
        forget_name(ly, ev->to);
        break;
    default:
        break;
    }
}

static void take_roster(struct lanying *ly, const struct event *ev)
{
    if (ev->notice == ROSTER_APPLIED && ev->from != ly->session.uid)
        befriend(ly, ev->from);
    else if (ev->notice == ROSTER_INFO_UPDATED)
        roster_forget(ly, ev->from);
}

/* What waited while the bot was away and is older than its login: that the
 * login succeeded shows that it is over. Only of what waited, for the clocks of
 * server and bot may differ. */
static bool is_over(struct lanying *ly, const struct event *ev)
{
    const struct chat *system = chats_find(ly, 0);

    return system && system->catching_up && ev->time_ms < ly->session.login_ms;
}

void notice_take(struct lanying *ly, struct event *ev)
{
    int notice = ev->notice;
    enum event_kind kind = ev->kind;

    if (!ly_intake_seen(ly, ev->id)) {
        ly_intake_note(ly, ev->id);
        if (kind == EVENT_GROUP)
            take_group(ly, ev);
        else if (kind == EVENT_ROSTER)
            take_roster(ly, ev);
        else
            kind = is_over(ly, ev) ? EVENT_OTHER : EVENT_USER;
    } else {
        kind = EVENT_OTHER;
    }
    event_free(ev);
    if (kind == EVENT_USER)
        session_noticed(ly, notice);
}

/* --- those that came while the bot was away --- */

static void on_requests(void *arg, const struct api_answer *r)
{
    struct lanying *ly = arg;
    const cJSON *item;

    cJSON_ArrayForEach(item, r->data)
        if (json_int(item, "status", -1) == WAITING && ly_json_get_id(item, "user_id") != 0)
            befriend(ly, ly_json_get_id(item, "user_id"));
}

static void on_invitations(void *arg, const struct api_answer *r)
{
    struct lanying *ly = arg;
    const cJSON *item;

    cJSON_ArrayForEach(item, r->data)
        if (json_int(item, "status", -1) == WAITING && ly_json_get_id(item, "group_id") != 0)
            join(ly, ly_json_get_id(item, "group_id"), ly_json_get_id(item, "inviter_id"));
}

void notice_online(struct lanying *ly)
{
    if (lanying_conf(ly)->auto_accept_friend)
        ly_api_get(ly, "/roster/apply/list", 0, on_requests);
    if (lanying_conf(ly)->auto_accept_invite)
        ly_api_get(ly, "/group/invitation_list", 0, on_invitations);
}
