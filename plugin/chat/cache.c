#include "plugin/chat/cache.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "plugin/base/mem.h"
#include "plugin/base/metric.h"
#include "plugin/base/secret.h"
#include "plugin/base/table.h"

#define KEY_LEN (CACHE_KEY_BYTES - 1)
#define SHARE_BYTES 32 /* of an entry in the hash table's buckets and in the allocator's own bookkeeping */

struct answer {
    UT_hash_handle hh;          /* keeps the order in which they were put: the oldest first */
    struct answer *prev, *next; /* least recently used first */
    int64_t put_ms;
    size_t bytes;
    char key[CACHE_KEY_BYTES];
    char text[];
};
_Static_assert(sizeof(struct answer) + 1 + SHARE_BYTES <= CACHE_ENTRY_BYTES, "max_bytes is what it says");

struct cache {
    int64_t ttl_ms;
    size_t max_bytes, bytes;
    struct answer *by_key, *lru;
};

struct cache *cache_new(int64_t ttl_ms, size_t max_bytes)
{
    struct cache *c = mem_alloc(sizeof(*c));
    c->ttl_ms = ttl_ms;
    c->max_bytes = max_bytes;
    return c;
}

static void drop(struct cache *c, struct answer *a)
{
    HASH_DEL(c->by_key, a);
    DL_DELETE(c->lru, a);
    c->bytes -= a->bytes;
    metric_add(METRIC_CACHE_BYTES, -(int64_t)a->bytes);
    metric_add(METRIC_CACHE_ENTRIES, -1);
    free(a);
}

void cache_free(struct cache **c)
{
    while (*c && (*c)->lru)
        drop(*c, (*c)->lru);
    free(*c);
    *c = NULL;
}

static struct answer *find(struct cache *c, const char *key)
{
    struct answer *a;
    HASH_FIND(hh, c->by_key, key, KEY_LEN, a);
    return a;
}

static void drop_old(struct cache *c, int64_t now_ms)
{
    while (c->by_key && now_ms - c->by_key->put_ms >= c->ttl_ms)
        drop(c, c->by_key);
}

const char *cache_get(struct cache *c, const char *key, int64_t now_ms)
{
    drop_old(c, now_ms);
    struct answer *a = find(c, key);
    metric_add(a ? METRIC_CACHE_HITS : METRIC_CACHE_MISSES, 1);
    if (!a)
        return NULL;
    DL_DELETE(c->lru, a);
    DL_APPEND(c->lru, a);
    return a->text;
}

void cache_put(struct cache *c, const char *key, const char *text, size_t len, int64_t now_ms)
{
    drop_old(c, now_ms);
    struct answer *a = find(c, key);
    if (a)
        drop(c, a);
    if (len > CACHE_TEXT_BYTES_MAX || CACHE_ENTRY_BYTES + len > c->max_bytes)
        return;
    a = mem_alloc(sizeof(*a) + len + 1);
    a->put_ms = now_ms;
    a->bytes = CACHE_ENTRY_BYTES + len;
    memcpy(a->key, key, KEY_LEN);
    memcpy(a->text, text, len);
    while (c->bytes + a->bytes > c->max_bytes)
        drop(c, c->lru);
    HASH_ADD_KEYPTR(hh, c->by_key, a->key, KEY_LEN, a);
    DL_APPEND(c->lru, a);
    c->bytes += a->bytes;
    metric_add(METRIC_CACHE_BYTES, (int64_t)a->bytes);
    metric_add(METRIC_CACHE_ENTRIES, 1);
}

/* A hash of hashes: where one part ends and the next begins cannot be argued. */
void cache_key(char out[CACHE_KEY_BYTES], const char *bot, const struct model_conf *model, const struct buf *system,
               const struct buf *messages)
{
    const char *kind = model->practice ? "practice" : "real"; /* hangs on a key, which no digest shows */
    const struct {
        const char *data;
        size_t len;
    } parts[] = {
        { bot, strlen(bot) },
        { model->digest, strlen(model->digest) },
        { kind, strlen(kind) },
        { system->data, system->len },
        { messages->data, messages->len },
    };
    enum { PARTS = sizeof(parts) / sizeof(parts[0]) };
    char hashes[PARTS * KEY_LEN + 1];
    for (size_t i = 0; i < PARTS; i++)
        sha256_hex(hashes + i * KEY_LEN, parts[i].data, parts[i].len);
    sha256_hex(out, hashes, PARTS * KEY_LEN);
}

/* --- of all bots --- */
struct caches {
    struct config *config;
    struct cache **v; /* for each of its bots; NULL where nothing is remembered */
};

struct caches *caches_new(void)
{
    return mem_alloc(sizeof(struct caches));
}

static void forget(struct caches *all)
{
    for (size_t i = 0; all->config && i < all->config->n_bots; i++)
        cache_free(&all->v[i]);
    free(all->v);
    config_unref(&all->config);
}

void caches_free(struct caches **all)
{
    if (*all)
        forget(*all);
    free(*all);
    *all = NULL;
}

/* Where the bot's cache is; NULL: there is no such bot. */
static struct cache **place(const struct caches *all, const char *bot)
{
    const struct bot_conf *conf = all->config ? config_bot(all->config, bot) : NULL;
    return conf ? &all->v[conf - all->config->bots] : NULL;
}

static struct cache *kept(const struct caches *all, const struct bot_conf *bot)
{
    struct cache **at = place(all, bot->name), *cache;
    if (!at || !config_bot_equal(config_bot(all->config, bot->name), bot))
        return NULL;
    cache = *at;
    *at = NULL;
    return cache;
}

void caches_reload(struct caches *all, struct config *config)
{
    struct cache **v = mem_array(config->n_bots, sizeof(struct cache *));
    for (size_t i = 0; i < config->n_bots; i++) {
        const struct bot_conf *bot = &config->bots[i];
        v[i] = kept(all, bot);
        if (!v[i] && bot->answer_cache.ttl > 0)
            v[i] = cache_new(bot->answer_cache.ttl, (size_t)bot->answer_cache.max_bytes);
    }
    config_ref(config); /* may be the one that is let go */
    forget(all);
    all->config = config;
    all->v = v;
}

struct cache *caches_find(const struct caches *all, const char *bot)
{
    struct cache **at = place(all, bot);
    return at ? *at : NULL;
}
