#include "adapters/matrix/recent.h"

#include <stdlib.h>
#include <string.h>

#include "plugin/base/mem.h"
#include "plugin/base/utf8.h"

static void forget(struct recent *r, struct recent_event *e)
{
    HASH_DEL(r->events, e);
    free(e->id);
    free(e->sender);
    free(e->thread);
    free(e->talk);
    free(e->text);
    free(e->person);
    free(e);
}

struct recent_event *recent_find(const struct recent *r, const char *id)
{
    struct recent_event *e = NULL;

    if (id)
        HASH_FIND_STR(r->events, id, e);
    return e;
}

static void replace(char **where, const char *s, size_t len)
{
    if (!s)
        return;
    free(*where);
    *where = mem_dupn(s, len);
}

struct recent_event *recent_note(struct recent *r, const char *id, const char *sender, const char *thread,
                                 const char *text, size_t len)
{
    struct recent_event *e = recent_find(r, id);

    if (!e) {
        if (HASH_COUNT(r->events) >= RECENT_MAX)
            forget(r, r->events);
        e = mem_alloc(sizeof *e);
        e->id = mem_dup(id);
        HASH_ADD_KEYPTR(hh, r->events, e->id, strlen(e->id), e);
    }
    replace(&e->sender, sender, sender ? strlen(sender) : 0);
    replace(&e->thread, thread, thread ? strlen(thread) : 0);
    replace(&e->text, text, len <= RECENT_TEXT_BYTES_MAX ? len : utf8_cut(text, len, RECENT_TEXT_BYTES_MAX));
    return e;
}

void recent_fini(struct recent *r)
{
    while (r->events)
        forget(r, r->events);
}
