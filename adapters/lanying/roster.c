#include "adapters/lanying/roster.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/lanying/lanying.h"
#include "plugin/base/clock.h"
#include "plugin/base/json.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"

/* A name is looked for in the group first, then among all people. */
enum stage { STAGE_GROUP, STAGE_ALL, STAGE_KNOWN };

#define KEY_BYTES (2 * LY_ID_BYTES)

struct person {
    UT_hash_handle hh;
    char key[KEY_BYTES]; /* group and uid; group 0: outside of all */
    uint64_t group, uid;
    enum stage stage;
    bool asked; /* in the call that runs */
    int64_t at_ms;
    char *name;
};

/* --- people --- */

static void make_key(char key[KEY_BYTES], uint64_t group, uint64_t uid)
{
    snprintf(key, KEY_BYTES, "%" PRIu64 " %" PRIu64, group, uid);
}

static struct person *find(struct lanying *ly, uint64_t group, uint64_t uid)
{
    char key[KEY_BYTES];
    struct person *p;

    make_key(key, group, uid);
    HASH_FIND_STR(ly->roster.people, key, p);
    return p;
}

static void forget(struct lanying *ly, struct person *p)
{
    HASH_DEL(ly->roster.people, p);
    free(p->name);
    free(p);
}

static struct person *add(struct lanying *ly, uint64_t group, uint64_t uid)
{
    struct person *p = mem_alloc(sizeof *p);

    while (HASH_COUNT(ly->roster.people) >= ROSTER_NAMES_MAX)
        forget(ly, ly->roster.people);
    p->group = group;
    p->uid = uid;
    make_key(p->key, group, uid);
    p->stage = group ? STAGE_GROUP : STAGE_ALL;
    p->at_ms = clock_mono_ms();
    HASH_ADD_STR(ly->roster.people, key, p);
    return p;
}

void roster_forget(struct lanying *ly, uint64_t uid)
{
    struct person *p, *next;

    HASH_ITER(hh, ly->roster.people, p, next)
        if (p->uid == uid)
            forget(ly, p);
}

static void settle(struct person *p, const char *name)
{
    if (name && *name && strlen(name) <= ROSTER_NAME_BYTES_MAX) {
        free(p->name);
        p->name = mem_dup(name);
    }
    p->stage = STAGE_KNOWN;
    p->at_ms = clock_mono_ms();
}

static const char *name_in(const cJSON *item)
{
    static const char *const keys[] = { "display_name", "alias", "nick_name", "username" };

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *name = json_str(item, keys[i]);
        if (name && *name)
            return name;
    }
    return NULL;
}

static void on_people(void *arg, const struct api_answer *r)
{
    struct lanying *ly = arg;
    struct roster *roster = &ly->roster;
    struct person *p, *next;
    const cJSON *item;

    roster->people_call = NULL;
    cJSON_ArrayForEach(item, r->data) {
        HASH_ITER(hh, roster->people, p, next)
            if (p->asked && p->uid == ly_json_get_id(item, "user_id") && name_in(item))
                settle(p, name_in(item));
    }
    HASH_ITER(hh, roster->people, p, next) {
        if (p->asked && p->stage == STAGE_GROUP)
            p->stage = STAGE_ALL;
        else if (p->asked && p->stage == STAGE_ALL)
            settle(p, NULL);
        p->asked = false;
    }
    if (failed(&r->e))
        log_info("lanying", "%s: names are not known: %s", lanying_name(ly), r->e.text);
    defer_set(&roster->next);
    ly_intake_named(ly);
}

static size_t put_people(struct lanying *ly, enum stage stage, uint64_t group, struct buf *body)
{
    struct person *p, *next;
    size_t n = 0;

    HASH_ITER(hh, ly->roster.people, p, next) {
        if (p->stage != stage || (stage == STAGE_GROUP && p->group != group) || n == ROSTER_ASK_MAX)
            continue;
        buf_addf(body, "%s%" PRIu64, n++ ? "," : "", p->uid);
        p->asked = true;
    }
    buf_adds(body, "]}");
    return n;
}

static void ask_people(struct lanying *ly)
{
    struct person *p = ly->roster.people;
    struct buf body;

    while (p && p->stage == STAGE_KNOWN)
        p = p->hh.next;
    if (!p || ly->roster.people_call)
        return;
    buf_init(&body, API_BODY_BYTES_MAX);
    if (p->stage == STAGE_GROUP)
        buf_addf(&body, "{\"group_id\":%" PRIu64 ",\"user_list\":[", p->group);
    else
        buf_adds(&body, "{\"list\":[");
    put_people(ly, p->stage, p->group, &body);
    ly->roster.people_call = ly_api_post(ly, p->stage == STAGE_GROUP ? "/group/members/display_name" : "/roster/list",
                                         buf_str(&body), 0, on_people);
    buf_free(&body);
}

/* Several messages that come at once share a call. */
static void on_next(void *arg)
{
    ask_people(arg);
}

static void wait_a_little(struct roster *roster)
{
    if (!timer_pending(&roster->patience))
        timer_set(&roster->patience, ROSTER_WAIT_MS);
}

bool roster_person(struct lanying *ly, uint64_t group, uint64_t uid, const char **name_r)
{
    struct person *p = find(ly, group, uid);
    int64_t age = p ? clock_mono_ms() - p->at_ms : 0;

    *name_r = p ? p->name : NULL;
    if (p && p->stage == STAGE_KNOWN && age < ROSTER_FRESH_MS)
        return true;
    if (p && p->stage != STAGE_KNOWN && age >= ROSTER_WAIT_MS)
        return true;
    if (!p)
        p = add(ly, group, uid);
    if (p->stage == STAGE_KNOWN) { /* it may have changed; the old one will do meanwhile */
        p->stage = group ? STAGE_GROUP : STAGE_ALL;
        p->at_ms = clock_mono_ms() - ROSTER_WAIT_MS;
    }
    defer_set(&ly->roster.next);
    wait_a_little(&ly->roster);
    return clock_mono_ms() - p->at_ms >= ROSTER_WAIT_MS;
}

/* --- groups --- */

static void on_group(void *arg, const struct api_answer *r)
{
    struct lanying *ly = arg;
    struct chat *c = chats_find(ly, ly->roster.group);
    const char *name = failed(&r->e) ? NULL : json_str(cJSON_GetArrayItem(r->data, 0), "name");

    ly->roster.group_call = NULL;
    if (c) {
        c->name_known = true;
        if (name && *name && strlen(name) <= ROSTER_NAME_BYTES_MAX) {
            free(c->name);
            c->name = mem_dup(name);
        }
    }
    ly_intake_named(ly);
}

static void on_patience_over(void *arg)
{
    struct lanying *ly = arg;

    if (ly->roster.group_call) {
        ly_api_cancel(&ly->roster.group_call);
        struct chat *c = chats_find(ly, ly->roster.group);
        if (c)
            c->name_known = true;
    }
    ly_intake_named(ly);
}

bool roster_group(struct lanying *ly, struct chat *c)
{
    struct roster *roster = &ly->roster;
    struct buf body;

    if (c->name_known)
        return true;
    wait_a_little(roster);
    if (roster->group_call)
        return false;
    roster->group = c->id;
    buf_init(&body, API_BODY_BYTES_MAX);
    buf_addf(&body, "{\"group_list\":[%" PRIu64 "]}", c->id);
    roster->group_call = ly_api_post(ly, "/group/info/batch", buf_str(&body), 0, on_group);
    buf_free(&body);
    return false;
}

static void on_joined(void *arg, const struct api_answer *r)
{
    struct lanying *ly = arg;
    const cJSON *item;
    int n = 0;

    ly->roster.joined_call = NULL;
    if (failed(&r->e))
        log_info("lanying", "%s: which groups the bot is in is not known: %s", lanying_name(ly), r->e.text);
    cJSON_ArrayForEach(item, r->data)
        if (ly_json_id(item) != 0 && n++ < ROSTER_JOINED_MAX)
            chats_get(ly, ly_json_id(item), true);
}

void roster_joined(struct lanying *ly)
{
    if (!ly->roster.joined_call)
        ly->roster.joined_call = ly_api_get(ly, "/group/user_joined", 0, on_joined);
}

/* --- life --- */

void roster_init(struct lanying *ly)
{
    timer_init(&ly->roster.patience, ly->a->loop, on_patience_over, ly);
    defer_init(&ly->roster.next, ly->a->loop, on_next, ly);
}

void roster_fini(struct lanying *ly)
{
    while (ly->roster.people)
        forget(ly, ly->roster.people);
    timer_cancel(&ly->roster.patience);
    defer_cancel(&ly->roster.next);
}
