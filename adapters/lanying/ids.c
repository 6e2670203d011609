#include "adapters/lanying/ids.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "plugin/base/buf.h"
#include "plugin/base/json.h"

#define EXACT_DIGITS 15 /* of integers that a double holds, whatever they are */
#define EXACT_MAX 9007199254740992.0 /* 2^53 */

bool ly_id_parse(const char *s, uint64_t *id_r)
{
    uint64_t id = 0;
    size_t len = s ? strlen(s) : 0;

    if (len == 0 || strspn(s, "0123456789") != len)
        return false;
    for (const char *p = s; *p; p++) {
        unsigned digit = (unsigned)(*p - '0');
        if (id > (UINT64_MAX - digit) / 10)
            return false;
        id = id * 10 + digit;
    }
    *id_r = id;
    return true;
}

void ly_id_print(char out[LY_ID_BYTES], uint64_t id)
{
    snprintf(out, LY_ID_BYTES, "%" PRIu64, id);
}

/* --- JSON --- */

/* Bytes of the string that begins at s, with its quotes as far as they are there. */
static size_t string_length(const char *s, size_t len)
{
    size_t n = 1;

    while (n < len && s[n] != '"')
        n += s[n] == '\\' ? 2 : 1;
    return n < len ? n + 1 : len;
}

static size_t number_length(const char *s, size_t len)
{
    size_t n = 0;

    while (n < len && s[n] && strchr("+-.0123456789eE", s[n]))
        n++;
    return n;
}

static bool is_long_integer(const char *s, size_t len)
{
    size_t n = 0;

    while (n < len && s[n] >= '0' && s[n] <= '9')
        n++;
    return n == len && n > EXACT_DIGITS;
}

static void quote_long(struct buf *out, const char *text, size_t len)
{
    size_t n;

    for (size_t at = 0; at < len; at += n) {
        char c = text[at];
        bool number = c == '-' || (c >= '0' && c <= '9');

        n = c == '"' ? string_length(text + at, len - at) : number ? number_length(text + at, len - at) : 1;
        if (number && is_long_integer(text + at, n)) {
            buf_addc(out, '"');
            buf_add(out, text + at, n);
            buf_addc(out, '"');
        } else {
            buf_add(out, text + at, n);
        }
    }
}

cJSON *ly_json_parse(const char *text, size_t len)
{
    struct buf quoted;
    cJSON *tree;

    buf_init(&quoted, len + 2 * (len / EXACT_DIGITS) + 1);
    quote_long(&quoted, text, len);
    tree = json_parse(buf_str(&quoted), quoted.len);
    buf_free(&quoted);
    return tree;
}

uint64_t ly_json_id(const cJSON *item)
{
    uint64_t id;

    if (cJSON_IsString(item))
        return ly_id_parse(item->valuestring, &id) ? id : 0;
    if (cJSON_IsNumber(item) && item->valuedouble > 0 && item->valuedouble < EXACT_MAX)
        return (uint64_t)item->valuedouble;
    return 0;
}

uint64_t ly_json_get_id(const cJSON *obj, const char *key)
{
    return ly_json_id(json_get(obj, key));
}
