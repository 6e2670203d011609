#include "plugin/model/keyring.h"

#include <stdlib.h>

#include "plugin/base/mem.h"

void keyring_init(struct keyring *k, int n)
{
    *k = (struct keyring){.keys = mem_array((size_t)n, sizeof *k->keys), .n = n};
}

void keyring_fini(struct keyring *k)
{
    free(k->keys);
    *k = (struct keyring){.n = 0};
}

static bool rests(const struct keyring_key *key, int64_t now_ms)
{
    return key->until_ms > now_ms;
}

/* The next one in turn that is (not) dead and has rested enough; -1: none. */
static int find(const struct keyring *k, bool dead, int64_t now_ms)
{
    for (int n = 0; n < k->n; n++) {
        int i = (k->next + n) % k->n;
        if ((k->keys[i].why != ERR_OK) == dead && !rests(&k->keys[i], now_ms))
            return i;
    }
    return -1;
}

static bool all_dead(const struct keyring *k)
{
    for (int i = 0; i < k->n; i++)
        if (k->keys[i].why == ERR_OK)
            return false;
    return true;
}

int keyring_pick(struct keyring *k, int64_t now_ms)
{
    int i = find(k, false, now_ms);
    if (i < 0 && all_dead(k)) {
        i = find(k, true, now_ms);
        if (i >= 0) {
            k->keys[i].tried = true;
            k->keys[i].until_ms = now_ms + k->keys[i].pause_ms; /* for the others; and should nothing come of it */
        }
    }
    if (i >= 0)
        k->next = (i + 1) % k->n;
    return i;
}

static bool is_better(const struct keyring_key *a, const struct keyring_key *b)
{
    if ((a->why == ERR_OK) != (b->why == ERR_OK))
        return a->why == ERR_OK;
    return a->until_ms < b->until_ms;
}

int keyring_pick_any(struct keyring *k, int64_t now_ms)
{
    int best = keyring_pick(k, now_ms);
    if (best >= 0)
        return best;
    best = 0;
    for (int i = 1; i < k->n; i++)
        if (is_better(&k->keys[i], &k->keys[best]))
            best = i;
    return best;
}

void keyring_good(struct keyring *k, int i)
{
    if (k->keys[i].why != ERR_OK)
        k->keys[i] = (struct keyring_key){.until_ms = 0};
}

void keyring_cool(struct keyring *k, int i, int64_t until_ms, int64_t now_ms)
{
    struct keyring_key *key = &k->keys[i];
    keyring_good(k, i);
    if (until_ms > now_ms + KEYRING_COOL_MAX_MS)
        until_ms = now_ms + KEYRING_COOL_MAX_MS;
    if (until_ms > key->until_ms)
        key->until_ms = until_ms;
}

/* Requests that were out together fail together: only the first of them kills,
 * and only that of a trial makes the next one wait longer. */
bool keyring_kill(struct keyring *k, int i, enum err_code why, int64_t now_ms)
{
    struct keyring_key *key = &k->keys[i];
    bool alive = key->why == ERR_OK;
    if (!alive && !key->tried)
        return false;
    int64_t pause = alive ? KEYRING_PROBE_FIRST_MS : key->pause_ms * 2;
    if (pause > KEYRING_PROBE_MAX_MS)
        pause = KEYRING_PROBE_MAX_MS;
    *key = (struct keyring_key){.until_ms = now_ms + pause, .pause_ms = pause, .why = why};
    return alive;
}

enum err_code keyring_state(const struct keyring *k, int i, int64_t now_ms)
{
    const struct keyring_key *key = &k->keys[i];
    if (key->why != ERR_OK)
        return key->why;
    return rests(key, now_ms) ? ERR_RATE : ERR_OK;
}

enum err_code keyring_why(const struct keyring *k, int64_t now_ms)
{
    if (find(k, false, now_ms) >= 0)
        return ERR_OK;
    return all_dead(k) ? k->keys[0].why : ERR_RATE;
}

int64_t keyring_wait_ms(const struct keyring *k, int64_t now_ms)
{
    int64_t wait = -1;
    for (int i = 0; i < k->n; i++) {
        const struct keyring_key *key = &k->keys[i];
        int64_t ms = rests(key, now_ms) ? key->until_ms - now_ms : 0;
        if (key->why == ERR_OK && (wait < 0 || ms < wait))
            wait = ms;
    }
    return wait;
}
