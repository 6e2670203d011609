/* Any bytes: as JSON text to parse, as text to escape, as deltas to join, and
 * as the bits of a number to write. */
#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/base/json.h"
#include "plugin/base/utf8.h"

#define WRITTEN_MAX 6 /* bytes out per byte in, at most: an escape */

static unsigned depth_of(const cJSON *tree)
{
    unsigned deepest = 0;
    for (const cJSON *child = tree ? tree->child : NULL; child; child = child->next) {
        unsigned depth = depth_of(child);
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest + (cJSON_IsArray(tree) || cJSON_IsObject(tree));
}

static void check_getters(const cJSON *tree)
{
    for (const cJSON *child = tree->child; child; child = child->next) {
        if (!child->string)
            continue;
        const cJSON *item = json_get(tree, child->string);
        assert(!item || !cJSON_IsNull(item));
        int64_t n = json_int(tree, child->string, 0);
        assert(n > -(INT64_C(1) << 53) && n < INT64_C(1) << 53);
        json_bool(tree, child->string, false);
        const char *s = json_str(tree, child->string);
        assert(!s || cJSON_IsString(item));
    }
}

/* It reads what json_parse reads, to the same tree, and more. */
static void check_pruned(const char *text, size_t len, const cJSON *tree)
{
    cJSON *pruned = json_parse_pruned(text, len);
    assert(pruned || !tree);
    assert(!pruned || depth_of(pruned) <= JSON_DEPTH_MAX);
    char *one = tree ? cJSON_PrintUnformatted(tree) : NULL, *other = tree ? cJSON_PrintUnformatted(pruned) : NULL;
    assert(!tree || strcmp(one, other) == 0);
    free(one);
    free(other);
    cJSON_Delete(pruned);
}

static void check_parse(const char *text, size_t len)
{
    cJSON *tree = json_parse(text, len);
    check_pruned(text, len, tree);
    if (!tree)
        return;
    assert(depth_of(tree) <= JSON_DEPTH_MAX);
    assert(!memchr(text, '\0', len));
    check_getters(tree);
    cJSON_Delete(tree);
}

/* What is written reads back: the same if it was valid, else cleaned. */
static void check_escape(const char *s, size_t len)
{
    struct buf b;
    buf_init(&b, WRITTEN_MAX * len + 2);
    assert(json_quoten(&b, s, len) == ERR_OK);
    assert(utf8_valid(b.data, b.len));
    cJSON *tree = json_parse(b.data, b.len);
    const char *back = cJSON_GetStringValue(tree);
    assert(back && utf8_valid(back, strlen(back)));
    if (utf8_valid(s, len) && !memchr(s, '\0', len))
        assert(strlen(back) == len && memcmp(back, s, len) == 0);
    cJSON_Delete(tree);
    buf_free(&b);
}

static void join(struct buf *out, uint32_t *pending, const char *s, size_t len)
{
    if (len > 0)
        assert(json_join(out, pending, s, len) == ERR_OK);
    assert(utf8_valid(buf_str(out), out->len));
    assert(*pending == 0 || (*pending >= 0xD800 && *pending <= 0xDBFF));
}

/* Wherever a text is split between two characters, joining gives the same. */
static void check_join(const char *s, size_t len)
{
    struct buf whole, parts;
    uint32_t pending = 0;
    buf_init(&whole, 3 * len);
    buf_init(&parts, 3 * len);
    join(&whole, &pending, s, len);
    json_join(&whole, &pending, "", 0);
    size_t split = len / 2;
    while (split < len && ((unsigned char)s[split] & 0xC0) == 0x80)
        split++;
    join(&parts, &pending, s, split);
    join(&parts, &pending, s + split, len - split);
    json_join(&parts, &pending, "", 0);
    assert(pending == 0 && whole.len == parts.len && strcmp(buf_str(&whole), buf_str(&parts)) == 0);
    assert(strlen(buf_str(&whole)) == whole.len && utf8_valid(buf_str(&whole), whole.len));
    buf_free(&whole);
    buf_free(&parts);
}

static void check_number(const uint8_t *data, size_t size)
{
    double d;
    if (size < sizeof d)
        return;
    memcpy(&d, data, sizeof d);
    struct buf b;
    buf_init(&b, 24);
    assert(json_double(&b, d) == ERR_OK);
    cJSON *tree = json_parse(b.data, b.len);
    assert(isfinite(d) ? cJSON_GetNumberValue(tree) == d : cJSON_IsNull(tree));
    cJSON_Delete(tree);
    buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *s = (const char *)data;
    check_parse(s, size);
    check_escape(s, size);
    check_join(s, size);
    check_number(data, size);
    return 0;
}
