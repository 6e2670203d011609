/* cache.c: what decides an answer, time and room at their edges, who goes
 * first, and what a new configuration leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/tables.h"
#include "plugin/base/mem.h"
#include "plugin/base/metric.h"
#include "plugin/chat/cache.h"

#define TTL_MS 1000
#define START_MS 5000
#define ROOM(entries, text_bytes) ((entries) * CACHE_ENTRY_BYTES + (text_bytes))

static struct cache *c;
static char keys[4][CACHE_KEY_BYTES];

static int set_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++)
        snprintf(keys[i], sizeof keys[i], "%064zu", i);
    return 0;
}

/* Whatever a test did: nothing is left, and nothing is counted that is not there. */
static int tear_down(void **state)
{
    (void)state;
    cache_free(&c);
    assert_null(c);
    cache_free(&c);
    assert_int_equal(metric_get(METRIC_CACHE_ENTRIES), 0);
    assert_int_equal(metric_get(METRIC_CACHE_BYTES), 0);
    return 0;
}

static void put(int key, const char *text, int64_t now_ms)
{
    cache_put(c, keys[key], text, strlen(text), now_ms);
}

static void assert_has(int key, const char *text, int64_t now_ms)
{
    const char *got = cache_get(c, keys[key], now_ms);
    assert_non_null(got);
    assert_string_equal(got, text);
}

static void assert_lacks(int key, int64_t now_ms)
{
    assert_null(cache_get(c, keys[key], now_ms));
}

static void assert_takes(int64_t entries, int64_t text_bytes)
{
    assert_int_equal(metric_get(METRIC_CACHE_ENTRIES), entries);
    assert_int_equal(metric_get(METRIC_CACHE_BYTES), entries * CACHE_ENTRY_BYTES + text_bytes);
}

/* --- time --- */
static void test_time(void **state)
{
    (void)state;
    c = cache_new(TTL_MS, ROOM(4, 4));
    put(0, "a", START_MS);
    assert_has(0, "a", START_MS);
    assert_has(0, "a", START_MS + TTL_MS - 1); /* being used keeps nothing alive */
    assert_lacks(0, START_MS + TTL_MS);
    assert_takes(0, 0);
    assert_lacks(0, START_MS);
}

static void test_time_starts_anew(void **state)
{
    (void)state;
    c = cache_new(TTL_MS, ROOM(4, 4));
    put(0, "a", START_MS);
    put(1, "b", START_MS + 1);
    put(0, "c", START_MS + 2);
    assert_takes(2, 2);
    assert_lacks(1, START_MS + TTL_MS + 1);
    assert_has(0, "c", START_MS + TTL_MS + 1);
    assert_lacks(0, START_MS + TTL_MS + 2);
}

/* What is too old takes no room, even if nobody asks for it. */
static void test_old_ones_go_first(void **state)
{
    (void)state;
    c = cache_new(TTL_MS, ROOM(2, 2));
    put(0, "a", START_MS);
    put(1, "b", START_MS + 1);
    assert_has(0, "a", START_MS + 2); /* so 1 was not used for longer */
    put(2, "c", START_MS + TTL_MS);
    assert_has(1, "b", START_MS + TTL_MS);
    assert_has(2, "c", START_MS + TTL_MS);
    put(3, "d", START_MS + 2 * TTL_MS);
    assert_takes(1, 1);
}

/* --- room --- */
static void test_room(void **state)
{
    (void)state;
    static const struct {
        size_t max_bytes;
        int64_t entries, text_bytes;
    } cases[] = {
        { ROOM(2, 5), 2, 5 },
        { ROOM(2, 5) - 1, 1, 3 }, /* "bb" took the place of "aaa", and "ccc" its own */
        { ROOM(1, 3), 1, 3 },
        { ROOM(1, 3) - 1, 1, 2 },
        { ROOM(1, 2) - 1, 0, 0 },
        { 0, 0, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        c = cache_new(TTL_MS, cases[i].max_bytes);
        put(0, "aaa", START_MS);
        put(1, "bb", START_MS);
        put(2, "ccc", START_MS);
        if (metric_get(METRIC_CACHE_ENTRIES) != cases[i].entries)
            fail_msg("case %zu: %ld entries", i, (long)metric_get(METRIC_CACHE_ENTRIES));
        assert_takes(cases[i].entries, cases[i].text_bytes);
        cache_free(&c);
        assert_takes(0, 0);
    }
}

static void test_least_recently_used_goes(void **state)
{
    (void)state;
    c = cache_new(TTL_MS, ROOM(3, 3));
    put(0, "a", START_MS);
    put(1, "b", START_MS);
    put(2, "c", START_MS);
    assert_has(0, "a", START_MS);
    put(3, "d", START_MS);
    assert_lacks(1, START_MS);
    put(2, "C", START_MS); /* used as well */
    put(1, "b", START_MS);
    assert_lacks(0, START_MS);
    assert_has(3, "d", START_MS);
    assert_has(2, "C", START_MS);
    assert_has(1, "b", START_MS);
    put(0, "aa", START_MS); /* needs the room of two */
    assert_lacks(3, START_MS);
    assert_lacks(2, START_MS);
    assert_takes(2, 3);
}

static void test_long_texts(void **state)
{
    (void)state;
    char *text = mem_alloc(CACHE_TEXT_BYTES_MAX + 2);
    memset(text, 'x', CACHE_TEXT_BYTES_MAX + 1);
    c = cache_new(TTL_MS, ROOM(2, 2 * CACHE_TEXT_BYTES_MAX));
    cache_put(c, keys[0], text, CACHE_TEXT_BYTES_MAX, START_MS);
    assert_int_equal(strlen(cache_get(c, keys[0], START_MS)), CACHE_TEXT_BYTES_MAX);
    put(1, "other", START_MS);
    cache_put(c, keys[0], text, CACHE_TEXT_BYTES_MAX + 1, START_MS); /* the old answer does not hold any more */
    assert_lacks(0, START_MS);
    assert_has(1, "other", START_MS);
    cache_free(&c);

    c = cache_new(TTL_MS, ROOM(1, 3));
    put(0, "abc", START_MS);
    put(1, "abcd", START_MS); /* what cannot fit pushes nobody out */
    assert_has(0, "abc", START_MS);
    put(0, "abcd", START_MS);
    assert_lacks(0, START_MS);
    free(text);
}

/* Many of them, against a plain model: an array in the order of use. */
static void test_against_a_list(void **state)
{
    (void)state;
    enum { KEYS = 50, ROUNDS = 5000, KEPT = 20 };
    int used[KEPT] = { 0 }, n = 0;
    unsigned dice = 1;
    c = cache_new(TTL_MS, ROOM(KEPT, KEPT));
    for (int round = 0; round < ROUNDS; round++) {
        char key[CACHE_KEY_BYTES];
        dice = dice * 1103515245 + 12345;
        int i, wanted = (int)(dice >> 16) % KEYS;
        snprintf(key, sizeof key, "%064d", wanted);
        for (i = 0; i < n && used[i] != wanted; i++)
            ;
        const char *got = cache_get(c, key, START_MS);
        assert_int_equal(got != NULL, i < n);
        if (got)
            assert_int_equal(got[0], 'A' + wanted);
        else
            cache_put(c, key, (char[]){ (char)('A' + wanted) }, 1, START_MS);
        if (!got && n == KEPT)
            i = 0;
        else if (!got)
            n++;
        memmove(used + i, used + i + 1, (size_t)(n - i - 1) * sizeof *used);
        used[n - 1] = wanted;
    }
    assert_takes(KEPT, KEPT);
}

static void test_metrics(void **state)
{
    (void)state;
    int64_t hits = metric_get(METRIC_CACHE_HITS), misses = metric_get(METRIC_CACHE_MISSES);
    c = cache_new(TTL_MS, ROOM(1, 1));
    assert_lacks(0, START_MS);
    put(0, "a", START_MS);
    assert_has(0, "a", START_MS);
    assert_has(0, "a", START_MS);
    assert_lacks(1, START_MS);
    assert_lacks(0, START_MS + TTL_MS);
    assert_int_equal(metric_get(METRIC_CACHE_HITS) - hits, 2);
    assert_int_equal(metric_get(METRIC_CACHE_MISSES) - misses, 3);
}

/* --- the key --- */
static void test_key(void **state)
{
    (void)state;
    static const struct {
        const char *bot, *digest, *system, *messages;
        bool practice;
    } cases[] = {
        { "bo", "m", "Be kind.", "[1]", false },
        { "b", "m", "Be kind.", "[1]", false },
        { "bo", "n", "Be kind.", "[1]", false },
        { "bo", "m", "Be brief.", "[1]", false },
        { "bo", "m", "Be kind.", "[2]", false },
        { "bo", "m", "Be kind.", "[1]", true },
        { "bom", "", "Be kind.", "[1]", false },
        { "bo", "m", "Be kind.[", "1]", false },
        { "bo", "m", "", "Be kind.[1]", false },
        { "bo", "mBe kind.", "", "[1]", false },
    };
    enum { CASES = sizeof cases / sizeof *cases };
    char key[CASES][CACHE_KEY_BYTES], again[CACHE_KEY_BYTES];
    for (size_t i = 0; i < CASES; i++) {
        struct model_conf model = { .practice = cases[i].practice };
        struct buf system, messages;
        snprintf(model.digest, sizeof model.digest, "%s", cases[i].digest);
        buf_init(&system, 100);
        buf_init(&messages, 100);
        buf_adds(&system, cases[i].system);
        buf_adds(&messages, cases[i].messages);
        cache_key(key[i], cases[i].bot, &model, &system, &messages);
        cache_key(again, cases[i].bot, &model, &system, &messages);
        assert_int_equal(strlen(key[i]), CACHE_KEY_BYTES - 1);
        assert_string_equal(key[i], again);
        for (size_t j = 0; j < i; j++)
            if (strcmp(key[i], key[j]) == 0)
                fail_msg("%zu and %zu", i, j);
        buf_free(&system);
        buf_free(&messages);
    }
}

/* --- of all bots --- */
struct plan {
    const char *bot;
    int64_t ttl, history_messages;
};

static struct config *make_config(const struct plan *bots, size_t n)
{
    struct config *config = mem_alloc(sizeof *config);
    config->refs = 1;
    config->bots = mem_array(n, sizeof *config->bots);
    config->n_bots = n;
    for (size_t i = 0; i < n; i++) {
        struct bot_conf *bot = &config->bots[i];
        schema_defaults(bot_settings, bot);
        assert_int_equal(bot->answer_cache.ttl, 0);
        assert_int_equal(bot->answer_cache.max_bytes, 1048576);
        bot->name = mem_dup(bots[i].bot);
        bot->answer_cache.ttl = bots[i].ttl;
        bot->history_messages = bots[i].history_messages;
    }
    return config;
}

static void reload(struct caches *all, const struct plan *bots, size_t n)
{
    struct config *config = make_config(bots, n);
    caches_reload(all, config);
    config_unref(&config);
}

static bool knows(const struct caches *all, const char *bot)
{
    struct cache *cache = caches_find(all, bot);
    return cache && cache_get(cache, keys[0], START_MS);
}

static void test_reload(void **state)
{
    (void)state;
    struct caches *all = caches_new();
    assert_null(caches_find(all, "a"));
    reload(all, (struct plan[]){ { "a", TTL_MS, 40 }, { "off", 0, 40 }, { "b", TTL_MS, 40 }, { "gone", TTL_MS, 40 } }, 4);
    assert_null(caches_find(all, "off"));
    assert_null(caches_find(all, "unknown"));
    cache_put(caches_find(all, "a"), keys[0], "of a", 4, START_MS);
    assert_false(knows(all, "b"));
    cache_put(caches_find(all, "b"), keys[0], "of b", 4, START_MS);
    cache_put(caches_find(all, "gone"), keys[0], "old", 3, START_MS);
    assert_string_equal(cache_get(caches_find(all, "a"), keys[0], START_MS), "of a");

    /* In another order, and any setting counts. */
    reload(all, (struct plan[]){ { "new", TTL_MS, 40 }, { "b", TTL_MS, 40 }, { "a", TTL_MS, 41 } }, 3);
    assert_string_equal(cache_get(caches_find(all, "b"), keys[0], START_MS), "of b");
    assert_false(knows(all, "a") || knows(all, "new"));
    assert_null(caches_find(all, "gone"));
    assert_takes(1, 4);

    reload(all, (struct plan[]){ { "b", 0, 40 } }, 1);
    assert_null(caches_find(all, "b"));
    assert_takes(0, 0);
    reload(all, (struct plan[]){ { "b", TTL_MS, 40 } }, 1);
    assert_false(knows(all, "b"));
    cache_put(caches_find(all, "b"), keys[0], "of b", 4, START_MS);
    caches_free(&all);
    assert_null(all);
    caches_free(&all);
}

/* The same object again, whose only other owner has let go of it. */
static void test_reload_of_the_same(void **state)
{
    (void)state;
    struct caches *all = caches_new();
    struct config *config = make_config((struct plan[]){ { "a", TTL_MS, 40 } }, 1), *same = config;
    caches_reload(all, config);
    config_unref(&config);
    cache_put(caches_find(all, "a"), keys[0], "a", 1, START_MS);
    caches_reload(all, same);
    assert_true(knows(all, "a"));
    caches_free(&all);
}

int main(void)
{
#define T(f) cmocka_unit_test_teardown(f, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_time),  T(test_time_starts_anew), T(test_old_ones_go_first), T(test_room),
        T(test_least_recently_used_goes), T(test_long_texts), T(test_against_a_list), T(test_metrics),
        T(test_key), T(test_reload), T(test_reload_of_the_same),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
