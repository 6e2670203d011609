#include "adapters/webchat/limits.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/base/mem.h"
#include "plugin/base/table.h"

#define MINUTE_US INT64_C(60000000)
#define EXPIRED_PER_CALL 2 /* more than one, so that the table shrinks while it is used */

struct address {
    UT_hash_handle hh;
    size_t connections;
    char name[];
};

/* GCRA: one time stamp per visitor instead of a bucket and when it was filled. */
struct speaker {
    UT_hash_handle hh;
    int64_t full_us; /* when the allowance will be whole again */
    char key[];
};

static void speaker_forget(struct limits *l, struct speaker *s)
{
    HASH_DEL(l->speakers, s);
    free(s);
}

void limits_fini(struct limits *l)
{
    struct address *a, *next_address;
    struct speaker *s, *next_speaker;

    HASH_ITER(hh, l->addresses, a, next_address)
    {
        HASH_DEL(l->addresses, a);
        free(a);
    }
    HASH_ITER(hh, l->speakers, s, next_speaker)
    speaker_forget(l, s);
    l->connections = 0;
}

static struct address *address_find(const struct limits *l, const char *name)
{
    struct address *a;

    HASH_FIND_STR(l->addresses, name, a);
    return a;
}

int limits_check(const struct limits *l, int64_t max, int64_t max_per_address, const char *address)
{
    const struct address *a = address ? address_find(l, address) : NULL;

    if (max > 0 && l->connections >= (size_t)max)
        return 503;
    if (max_per_address > 0 && a && a->connections >= (size_t)max_per_address)
        return 429;
    return 0;
}

struct address *limits_open(struct limits *l, const char *address)
{
    struct address *a;
    size_t size;

    l->connections++;
    if (!address)
        return NULL;
    a = address_find(l, address);
    if (!a) {
        size = strlen(address) + 1;
        a = mem_alloc(sizeof *a + size);
        memcpy(a->name, address, size);
        HASH_ADD_STR(l->addresses, name, a);
    }
    a->connections++;
    return a;
}

void limits_close(struct limits *l, struct address **address)
{
    struct address *a = *address;

    assert(l->connections > 0);
    l->connections--;
    *address = NULL;
    if (a && --a->connections == 0) {
        HASH_DEL(l->addresses, a);
        free(a);
    }
}

/* The table is in the order of the last message, so those to forget are in front. */
static void forget_some(struct limits *l, int64_t now_us)
{
    for (int i = 0; i < EXPIRED_PER_CALL && l->speakers && l->speakers->full_us <= now_us; i++)
        speaker_forget(l, l->speakers);
    while (HASH_COUNT(l->speakers) >= LIMITS_VISITORS_MAX)
        speaker_forget(l, l->speakers);
}

int64_t limits_speak(struct limits *l, int64_t per_minute, const char *sender, int64_t now_us)
{
    struct speaker *s;
    int64_t step, wait;

    if (per_minute <= 0)
        return 0;
    step = MINUTE_US / per_minute;
    HASH_FIND_STR(l->speakers, sender, s);
    if (!s) {
        forget_some(l, now_us);
        s = mem_alloc(sizeof *s + strlen(sender) + 1);
        memcpy(s->key, sender, strlen(sender) + 1);
    } else {
        wait = s->full_us - (per_minute - 1) * step - now_us;
        if (wait > 0)
            return (wait + 999) / 1000;
        HASH_DEL(l->speakers, s);
    }
    s->full_us = (s->full_us > now_us ? s->full_us : now_us) + step;
    HASH_ADD_STR(l->speakers, key, s);
    return 0;
}
