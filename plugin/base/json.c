#include "plugin/base/json.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/base/mem.h"
#include "plugin/base/utf8.h"

#define REPLACEMENT 0xFFFDU
#define ESCAPE_CHARS 6U      /* of "\uXXXX" */
#define INT_EXACT_MAX 0x1p53 /* from here on a double skips integers */
#define DOUBLE_TEXT_BYTES 40 /* "%.17g" needs 24, a locale's decimal point a few more */

/* cJSON says of a document for which it gets no memory what it says of one that
 * is malformed, and those are dropped: with it, a person's message. And it prints
 * without the member that it could not make. */
__attribute__((constructor)) static void give_memory(void)
{
    cJSON_Hooks hooks = {.malloc_fn = mem_alloc, .free_fn = free};
    cJSON_InitHooks(&hooks);
}

static bool is_high(uint32_t cp)
{
    return cp >= 0xD800 && cp <= 0xDBFF;
}

static bool is_low(uint32_t cp)
{
    return cp >= 0xDC00 && cp <= 0xDFFF;
}

static uint32_t pair(uint32_t high, uint32_t low)
{
    return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
}

/* --- reading --- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* True if "\uXXXX" stands at s; *unit_r is its value. */
static bool unit_escape(const char *s, size_t len, uint32_t *unit_r)
{
    if (len < ESCAPE_CHARS || s[0] != '\\' || s[1] != 'u')
        return false;
    uint32_t unit = 0;
    for (size_t i = 2; i < ESCAPE_CHARS; i++) {
        int digit = hex_digit(s[i]);
        if (digit < 0)
            return false;
        unit = unit << 4 | (uint32_t)digit;
    }
    *unit_r = unit;
    return true;
}

/* Characters of the escape that begins with the backslash at s, 0 if it is
 * malformed. *odd_r is set if cJSON would not take it: a NUL or a lone
 * surrogate, which is *unit_r. */
static size_t escape_chars(const char *s, size_t len, bool *odd_r, uint32_t *unit_r)
{
    uint32_t low;
    *odd_r = false;
    if (len < 2)
        return 0;
    if (s[1] != 'u')
        return 2;
    if (!unit_escape(s, len, unit_r))
        return 0; /* cJSON takes "\u12g4" for a NUL */
    if (is_high(*unit_r) && unit_escape(s + ESCAPE_CHARS, len - ESCAPE_CHARS, &low) && is_low(low))
        return 2 * ESCAPE_CHARS;
    *odd_r = *unit_r == 0 || is_high(*unit_r) || is_low(*unit_r);
    return ESCAPE_CHARS;
}

/* Returns the index of the closing quote, or len if the string is malformed;
 * sets *odd_r if an escape inside needs rewrite(). */
static size_t skip_string(const char *s, size_t len, size_t i, bool *odd_r)
{
    while (i < len && s[i] != '"') {
        if (s[i] != '\\') {
            i++;
            continue;
        }
        bool odd;
        uint32_t unit;
        size_t n = escape_chars(s + i, len - i, &odd, &unit);
        if (n == 0)
            return len;
        *odd_r |= odd;
        i += n;
    }
    return i;
}

/* Looks at the nesting without recursion, before cJSON recurses. */
static bool acceptable(const char *s, size_t len, bool *odd_r, bool *deep_r)
{
    size_t depth = 0;
    if (memchr(s, '\0', len))
        return false;
    for (size_t i = 0; i < len; i++) {
        switch (s[i]) {
        case '"':
            i = skip_string(s, len, i + 1, odd_r);
            if (i == len)
                return false;
            break;
        case '{':
        case '[':
            *deep_r |= ++depth > JSON_DEPTH_MAX;
            break;
        case '}':
        case ']':
            if (depth-- == 0)
                return false;
            break;
        case '\\': /* rewrite() does not look where strings begin and end */
            return false;
        default:
            break;
        }
    }
    return true;
}

/* Appends s with lone surrogate escapes as WTF-8 and NUL escapes removed. */
static void rewrite(struct buf *out, const char *s, size_t len)
{
    for (size_t i = 0; i < len;) {
        const char *slash = memchr(s + i, '\\', len - i);
        size_t n = slash ? (size_t)(slash - s) - i : len - i;
        buf_add(out, s + i, n);
        i += n;
        if (!slash)
            break;
        bool odd;
        uint32_t unit;
        n = escape_chars(s + i, len - i, &odd, &unit);
        if (!odd)
            buf_add(out, s + i, n);
        else if (unit != 0)
            utf8_put(out, unit);
        i += n;
    }
}

static bool only_blanks(const char *s, const char *end)
{
    while (s < end && (*s == ' ' || *s == '\t' || *s == '\n' || *s == '\r'))
        s++;
    return s == end;
}

static cJSON *parse_whole(const char *text, size_t len)
{
    const char *end = NULL;
    cJSON *tree = cJSON_ParseWithLengthOpts(text, len, &end, 0);
    if (tree && !only_blanks(end, text + len)) {
        cJSON_Delete(tree);
        tree = NULL;
    }
    return tree;
}

/* Appends s, which is acceptable(), with null for what is nested too deep. */
static void prune(struct buf *out, const char *s, size_t len)
{
    size_t depth = 0, from = 0;
    bool odd = false;
    for (size_t i = 0; i < len; i++) {
        switch (s[i]) {
        case '"':
            i = skip_string(s, len, i + 1, &odd);
            break;
        case '{':
        case '[':
            if (depth++ == JSON_DEPTH_MAX) {
                buf_add(out, s + from, i - from);
                buf_adds(out, "null");
            }
            break;
        case '}':
        case ']':
            if (--depth == JSON_DEPTH_MAX)
                from = i + 1;
            break;
        default:
            break;
        }
    }
    if (depth <= JSON_DEPTH_MAX) /* else it is not whole */
        buf_add(out, s + from, len - from);
}

static cJSON *parse_odd(const char *text, size_t len)
{
    struct buf copy;
    buf_init(&copy, len); /* a rewritten escape is shorter than it was */
    rewrite(&copy, text, len);
    cJSON *tree = parse_whole(buf_str(&copy), copy.len);
    buf_free(&copy);
    return tree;
}

static cJSON *parse_deep(const char *text, size_t len, bool odd)
{
    struct buf copy;
    buf_init(&copy, 2 * len); /* "[]" becomes "null" */
    prune(&copy, text, len);
    cJSON *tree = odd ? parse_odd(buf_str(&copy), copy.len) : parse_whole(buf_str(&copy), copy.len);
    buf_free(&copy);
    return tree;
}

cJSON *json_parse(const char *text, size_t len)
{
    bool odd = false, deep = false;
    if (len == 0 || !acceptable(text, len, &odd, &deep) || deep)
        return NULL;
    return odd ? parse_odd(text, len) : parse_whole(text, len);
}

cJSON *json_parse_pruned(const char *text, size_t len)
{
    bool odd = false, deep = false;
    if (len == 0 || !acceptable(text, len, &odd, &deep))
        return NULL;
    return deep ? parse_deep(text, len, odd) : odd ? parse_odd(text, len) : parse_whole(text, len);
}

const cJSON *json_get(const cJSON *obj, const char *key)
{
    if (!cJSON_IsObject(obj))
        return NULL;
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(obj, key);
    return cJSON_IsNull(item) ? NULL : item;
}

const char *json_str(const cJSON *obj, const char *key)
{
    return cJSON_GetStringValue(json_get(obj, key));
}

bool json_bool(const cJSON *obj, const char *key, bool fallback)
{
    const cJSON *item = json_get(obj, key);
    return cJSON_IsBool(item) ? cJSON_IsTrue(item) : fallback;
}

int64_t json_int(const cJSON *obj, const char *key, int64_t fallback)
{
    const cJSON *item = json_get(obj, key);
    if (!cJSON_IsNumber(item))
        return fallback;
    double d = item->valuedouble;
    if (!(fabs(d) < INT_EXACT_MAX) || d != (double)(int64_t)d)
        return fallback;
    return (int64_t)d;
}

/* --- members as they are written --- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static size_t skip_blanks(const char *s, size_t len, size_t i)
{
    while (i < len && is_blank(s[i]))
        i++;
    return i;
}

/* Returns the index behind the value at i, or len if it does not end. */
static size_t skip_value(const char *s, size_t len, size_t i)
{
    size_t depth = 0;
    bool odd = false;
    for (; i < len; i++) {
        bool closes = s[i] == '}' || s[i] == ']';
        if (depth == 0 && (closes || s[i] == ',' || is_blank(s[i])))
            return i;
        if (s[i] == '"')
            i = skip_string(s, len, i + 1, &odd);
        else if (s[i] == '{' || s[i] == '[')
            depth++;
        depth -= closes;
        if (depth == 0 && i < len && (closes || s[i] == '"'))
            return i + 1;
    }
    return len;
}

bool json_member(const char *text, size_t len, const char *key, const char **at_r, size_t *len_r)
{
    size_t i = skip_blanks(text, len, 0), key_len = strlen(key);
    bool odd = false;
    for (char before = '{'; i < len && text[i] == before; before = ',') {
        size_t name = skip_blanks(text, len, i + 1) + 1;
        if (name > len || text[name - 1] != '"')
            return false;
        size_t end = skip_string(text, len, name, &odd);
        size_t value = skip_blanks(text, len, end + 1); /* at the colon */
        if (value >= len || text[value] != ':')
            return false;
        value = skip_blanks(text, len, value + 1);
        i = skip_value(text, len, value);
        if (end - name == key_len && memcmp(text + name, key, key_len) == 0) {
            *at_r = text + value;
            *len_r = i - value;
            return i < len;
        }
        i = skip_blanks(text, len, i);
    }
    return false;
}

/* --- writing --- */

static void escape_one(struct buf *out, unsigned char c)
{
    static const char digits[] = "0123456789abcdef";
    static const char letters[128] = {
        ['"'] = '"', ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't',
    };
    char escaped[ESCAPE_CHARS] = {'\\', letters[c]};
    if (letters[c]) {
        buf_add(out, escaped, 2);
        return;
    }
    memcpy(escaped + 1, "u00", 3);
    escaped[4] = digits[c >> 4];
    escaped[5] = digits[c & 15];
    buf_add(out, escaped, sizeof escaped);
}

enum err_code json_escape(struct buf *out, const char *s, size_t len)
{
    static const bool stop[256] = {[0 ... 31] = 1, ['"'] = 1, ['\\'] = 1};
    for (size_t i = 0; i < len; i++) {
        size_t n = utf8_span(s + i, len - i, stop);
        buf_add(out, s + i, n);
        i += n;
        if (i == len)
            break;
        unsigned char c = (unsigned char)s[i];
        if (stop[c])
            escape_one(out, c);
        else
            utf8_put(out, REPLACEMENT);
    }
    return buf_error(out);
}

enum err_code json_quote(struct buf *out, const char *s)
{
    return s ? json_quoten(out, s, strlen(s)) : buf_adds(out, "null");
}

enum err_code json_quoten(struct buf *out, const char *s, size_t len)
{
    buf_addc(out, '"');
    json_escape(out, s, len);
    return buf_addc(out, '"');
}

/* Copies text with the locale's decimal point, of whatever length, as '.'. */
static enum err_code add_plain_number(struct buf *out, const char *text)
{
    static const char number_chars[] = "0123456789+-e";
    size_t whole = strspn(text, number_chars);
    buf_add(out, text, whole);
    const char *point = text + whole;
    if (*point) {
        buf_addc(out, '.');
        buf_adds(out, point + strcspn(point, number_chars));
    }
    return buf_error(out);
}

enum err_code json_double(struct buf *out, double d)
{
    char text[DOUBLE_TEXT_BYTES];
    if (!isfinite(d))
        return buf_adds(out, "null");
    /* 15 digits are exact for any normal number that has no more than those;
     * subnormal ones have fewer digits to give. */
    int precision = fabs(d) < DBL_MIN ? 1 : 15;
    for (; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*g", precision, d);
        if (strtod(text, NULL) == d)
            break;
    }
    return add_plain_number(out, text);
}

/* --- joining halves of surrogate pairs --- */

/* True if a surrogate in WTF-8 form stands at s. */
static bool surrogate_at(const char *s, size_t len, uint32_t *unit_r)
{
    const unsigned char *p = (const unsigned char *)s;
    if (len < 3 || p[0] != 0xED || p[1] < 0xA0 || p[1] > 0xBF || (p[2] & 0xC0) != 0x80)
        return false;
    *unit_r = 0xD000U | (p[1] & 0x3FU) << 6 | (p[2] & 0x3FU);
    return true;
}

static void flush_pending(struct buf *out, uint32_t *pending)
{
    if (*pending)
        utf8_put(out, REPLACEMENT);
    *pending = 0;
}

static void join_surrogate(struct buf *out, uint32_t *pending, uint32_t unit)
{
    if (is_low(unit)) {
        utf8_put(out, *pending ? pair(*pending, unit) : REPLACEMENT);
        *pending = 0;
    } else {
        flush_pending(out, pending);
        *pending = unit;
    }
}

enum err_code json_join(struct buf *out, uint32_t *pending, const char *wtf8, size_t len)
{
    static const bool stop[256] = {[0] = 1};
    if (len == 0)
        flush_pending(out, pending);
    for (size_t i = 0; i < len;) {
        uint32_t unit;
        size_t n = utf8_span(wtf8 + i, len - i, stop);
        if (n > 0) {
            flush_pending(out, pending);
            buf_add(out, wtf8 + i, n);
        } else if (surrogate_at(wtf8 + i, len - i, &unit)) {
            join_surrogate(out, pending, unit);
            n = 3;
        } else {
            if (wtf8[i] != '\0') {
                flush_pending(out, pending);
                utf8_put(out, REPLACEMENT);
            }
            n = 1;
        }
        i += n;
    }
    return buf_error(out);
}
