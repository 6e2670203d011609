#include "adapters/lanying/status.h"

#include <stdlib.h>

#include "adapters/lanying/lanying.h"
#include "plugin/base/mem.h"

static const char line[] = "⏳ 正在处理… Working on it…";

/* One conversation that has a line, or will have. */
struct status {
    UT_hash_handle hh; /* by chat */
    struct lanying *ly;
    uint64_t chat;
    unsigned answers; /* being made */
    struct parcel *post; /* the line's */
    uint64_t mid;
};

static void forget(struct status *s)
{
    HASH_DEL(s->ly->statuses.all, s);
    posting_give_up(&s->post);
    free(s);
}

void statuses_fini(struct lanying *ly)
{
    while (ly->statuses.all)
        forget(ly->statuses.all);
}

static void take_back(struct lanying *ly, uint64_t chat, uint64_t mid)
{
    const struct outgoing o = { .deed = DEED_RECALL, .chat = chat, .mid = mid };

    posting_add(ly, &o, NULL, NULL);
}

static void settle(struct status *s)
{
    if (s->answers > 0 || s->post)
        return;
    if (s->mid != 0)
        take_back(s->ly, s->chat, s->mid);
    forget(s);
}

static void on_posted(void *arg, const struct parcel_result *r)
{
    struct status *s = arg;

    s->post = NULL;
    s->mid = r->server_mid;
    settle(s);
}

static struct status *find(struct lanying *ly, uint64_t chat)
{
    struct status *s;

    HASH_FIND(hh, ly->statuses.all, &chat, sizeof chat, s);
    return s;
}

static struct status *status_new(struct lanying *ly, uint64_t chat)
{
    struct status *s = mem_alloc(sizeof *s);
    const struct outgoing o = { .deed = DEED_SAY, .chat = chat, .text = ly_bytes_of(line), .ext = ly_bytes_of(EXT_STATUS) };

    s->ly = ly;
    s->chat = chat;
    HASH_ADD(hh, ly->statuses.all, chat, sizeof s->chat, s);
    s->post = posting_add(ly, &o, on_posted, s);
    return s;
}

void status_work(struct lanying *ly, uint64_t chat, bool on)
{
    struct status *s = find(ly, chat);

    if (on && !s && session_online(&ly->session) && posting_is_free(ly))
        s = status_new(ly, chat);
    if (!s)
        return;
    if (on)
        s->answers++;
    else if (s->answers > 0)
        s->answers--;
    settle(s);
}

void status_found(struct lanying *ly, const struct event *ev)
{
    if (!find(ly, ev->to))
        take_back(ly, ev->to, ev->id);
}
