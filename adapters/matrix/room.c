#include "adapters/matrix/room.h"

#include <stdlib.h>
#include <string.h>

#include "adapters/matrix/matrix.h"
#include "plugin/base/json.h"
#include "plugin/base/mem.h"

#define ROOMS_NAMED 3U /* in a remark; the others are counted */
#define REMARK_BYTES_MAX 1024U

struct room *room_find(const struct matrix *m, const char *id)
{
    struct room *r = NULL;

    if (id)
        HASH_FIND_STR(m->rooms, id, r);
    return r;
}

struct room *room_get(struct matrix *m, const char *id)
{
    struct room *r = room_find(m, id);

    if (r)
        return r;
    r = mem_alloc(sizeof *r);
    r->m = m;
    r->id = mem_dup(id);
    r->joined = r->invited = -1;
    HASH_ADD_KEYPTR(hh, m->rooms, r->id, strlen(r->id), r);
    return r;
}

static void free_aliases(struct room *r)
{
    for (char **alias = r->aliases; alias && *alias; alias++)
        free(*alias);
    free(r->aliases);
    r->aliases = NULL;
}

static void person_free(struct room *r, struct person *p)
{
    HASH_DEL(r->people, p);
    free(p->user);
    free(p->name);
    free(p);
}

static void room_free(struct room *r)
{
    while (r->people)
        person_free(r, r->people);
    free_aliases(r);
    free(r->successor);
    free(r->replaced_by);
    free(r->topic);
    free(r->name);
    free(r->id);
    free(r);
}

void room_free_all(struct matrix *m)
{
    struct room *r, *next;

    HASH_ITER(hh, m->rooms, r, next)
    {
        HASH_DEL(m->rooms, r);
        room_free(r);
    }
}

/* --- what it is called --- */

static bool same(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

static void set_text(struct room *r, char **where, const char *text)
{
    if (same(*where, text))
        return;
    free(*where);
    *where = *text ? mem_dup(text) : NULL;
    r->about_due = true;
}

static void set_aliases(struct room *r, const char *const *aliases)
{
    size_t n = 0;

    while (aliases[n])
        n++;
    free_aliases(r);
    r->aliases = mem_array(n + 1, sizeof *r->aliases);
    for (size_t i = 0; i < n; i++)
        r->aliases[i] = mem_dup(aliases[i]);
    r->about_due = true;
}

bool room_about(struct room *r, struct chat_about *about)
{
    if (!r->about_due)
        return false;
    *about = (struct chat_about){ r->name, r->topic, (const char *const *)r->aliases };
    return true;
}

const char *room_label(const struct room *r)
{
    return r->name ? r->name : r->id;
}

unsigned room_list(const struct matrix *m, bool (*is)(const struct room *r), struct buf *out)
{
    unsigned n = 0;

    for (const struct room *r = m->rooms; r; r = r->hh.next)
        if (r->member && is(r) && n++ < ROOMS_NAMED)
            buf_addf(out, "%s%.100s", n > 1 ? ", " : "", room_label(r));
    if (n > ROOMS_NAMED)
        buf_addf(out, " and %u more", n - ROOMS_NAMED);
    return n;
}

static bool is_mute(const struct room *r)
{
    return r->mute && !r->successor; /* of a room that was replaced nobody expects it */
}

void room_remark_mute(struct matrix *m)
{
    struct buf text;

    buf_init(&text, REMARK_BYTES_MAX);
    buf_adds(&text, "may not speak in: ");
    adapter_remark(m->a, "mute", room_list(m, is_mute, &text) > 0 ? buf_str(&text) : NULL);
    buf_free(&text);
}

/* --- who is there --- */

void room_note_person(struct room *r, const char *user, const char *name)
{
    struct person *p;

    HASH_FIND_STR(r->people, user, p);
    if (p) {
        free(p->name);
        p->name = mem_dup(name);
        return;
    }
    if (HASH_COUNT(r->people) >= ROOM_NAMES_MAX)
        person_free(r, r->people);
    p = mem_alloc(sizeof *p);
    p->user = mem_dup(user);
    p->name = mem_dup(name);
    HASH_ADD_KEYPTR(hh, r->people, p->user, strlen(p->user), p);
}

const char *room_person(const struct room *r, const char *user)
{
    struct person *p;

    HASH_FIND_STR(r->people, user, p);
    return p ? p->name : NULL;
}

void room_counts(struct room *r, int64_t joined, int64_t invited)
{
    if (joined >= 0)
        r->joined = joined;
    if (invited >= 0)
        r->invited = invited;
}

static void note_member(struct room *r, const struct event *ev)
{
    if (strcmp(ev->state_key, r->m->user) == 0) {
        r->member = ev->member == MEMBER_JOIN;
        return;
    }
    if (ev->member == MEMBER_JOIN)
        room_note_person(r, ev->state_key, ev->text);
}

/* Our own word on it comes whole, each time that it changes. */
void room_direct_list(struct matrix *m, const cJSON *content)
{
    struct room *r, *next;
    const cJSON *person, *id;

    HASH_ITER(hh, m->rooms, r, next)
    r->listed_direct = false;
    cJSON_ArrayForEach(person, content)
        cJSON_ArrayForEach(id, person)
            if (event_id_ok(cJSON_GetStringValue(id), '!'))
                room_get(m, cJSON_GetStringValue(id))->listed_direct = true;
}

bool room_direct(const struct room *r)
{
    int64_t people = r->joined < 0 ? -1 : r->joined + (r->invited > 0 ? r->invited : 0);

    return r->listed_direct || (people >= 0 && people <= 2);
}

/* --- what it allows --- */

void room_state(struct room *r, const struct event *ev)
{
    switch (ev->kind) {
    case EVENT_NAME:
        set_text(r, &r->name, ev->text);
        break;
    case EVENT_TOPIC:
        set_text(r, &r->topic, ev->text);
        break;
    case EVENT_ALIASES:
        set_aliases(r, ev->aliases);
        break;
    case EVENT_MEMBER:
        note_member(r, ev);
        break;
    case EVENT_ENCRYPTION:
        r->encrypted = true;
        break;
    case EVENT_POWER:
        r->mute = !event_may_send(ev, r->m->user, "m.room.message");
        break;
    case EVENT_TOMBSTONE:
        free(r->successor);
        free(r->replaced_by);
        r->successor = mem_dup(ev->successor);
        r->replaced_by = mem_dup(ev->sender);
        r->followed = false;
        break;
    case EVENT_CREATE:
        r->space = ev->space;
        break;
    default:
        break;
    }
}
