/* cache.h: answers given before, for the same request again.
 *
 * Only a bot whose `answer_cache` has a ttl remembers answers, each bot its own,
 * in memory alone. What may be remembered at all is turn.c's to say: nothing
 * here knows what a request means. An answer is forgotten when it is ttl old,
 * however often it was used; when room is needed, the one that was not used for
 * longest goes. Counts itself in the metrics. Time is monotonic milliseconds and
 * an argument. Private to chat/. */
#ifndef WARBLER_CHAT_CACHE_H
#define WARBLER_CHAT_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "plugin/base/buf.h"

#define CACHE_TEXT_BYTES_MAX (32U * 1024) /* a longer answer is not remembered */
#define CACHE_ENTRY_BYTES 224U            /* that an answer takes beside its text, of the bot's max_bytes */
#define CACHE_KEY_BYTES 65

/* --- of one bot --- */
struct cache;

struct cache *cache_new(int64_t ttl_ms, size_t max_bytes);
void cache_free(struct cache **c); /* NULL-safe */

/* The answer, NULL if there is none. Borrowed until the next call. */
const char *cache_get(struct cache *c, const char *key, int64_t now_ms);
/* Takes the place of what stood under the key, also if it is too long itself. */
void cache_put(struct cache *c, const char *key, const char *text, size_t len, int64_t now_ms);

/* Of all that decides an answer: equal keys, equal requests. system and
 * messages as in struct completion_request. */
void cache_key(char out[CACHE_KEY_BYTES], const char *bot, const struct model_conf *model, const struct buf *system,
               const struct buf *messages);

/* --- of all bots --- */
struct caches;

struct caches *caches_new(void);
void caches_free(struct caches **all); /* NULL-safe */
/* A bot whose settings are what they were keeps what it remembers. */
void caches_reload(struct caches *all, struct config *config);
struct cache *caches_find(const struct caches *all, const char *bot); /* NULL: it remembers nothing */

#endif
