/* json.h: typed, tolerant reading over cJSON, and locale-independent writing
 * into a struct buf.
 *
 * Reading: a getter on a missing or mistyped member gives its fallback; pointers
 * point into the tree and die with it, so copy at the codec's border. cJSON
 * refuses lone surrogate escapes, which real model servers send (a pair split
 * over two deltas): json_parse turns them into their 3-byte WTF-8 form first,
 * and json_join puts the halves together again. */
#ifndef WARBLER_BASE_JSON_H
#define WARBLER_BASE_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin/base/buf.h"

#define JSON_DEPTH_MAX 64 /* levels of nesting accepted */

/* NULL if it is not one complete JSON value (trailing blanks allowed), is
 * nested deeper than JSON_DEPTH_MAX, or contains NUL (\u0000 is accepted and
 * becomes nothing). Free with cJSON_Delete. */
cJSON *json_parse(const char *text, size_t len);

/* The same, but what is nested too deep is null, instead of making all of it
 * unreadable: for answers of which strangers wrote a part. */
cJSON *json_parse_pruned(const char *text, size_t len);

const cJSON *json_get(const cJSON *obj, const char *key);    /* case-sensitive; NULL-safe; JSON null gives NULL */
const char *json_str(const cJSON *obj, const char *key);     /* NULL if absent or not a string */
bool json_bool(const cJSON *obj, const char *key, bool fallback);
int64_t json_int(const cJSON *obj, const char *key, int64_t fallback); /* integral and |n| < 2^53, else fallback */

/* Where the member stands in the text of an object that json_parse() took, for
 * what must be kept as it was written. False: it is no object, or has none. */
bool json_member(const char *text, size_t len, const char *key, const char **at_r, size_t *len_r);

/* Appends s escaped for a JSON string, without quotes. Input that is not valid
 * UTF-8 is cleaned to U+FFFD on the way. */
enum err_code json_escape(struct buf *out, const char *s, size_t len);
enum err_code json_quote(struct buf *out, const char *s); /* with quotes; NULL writes null */
enum err_code json_quoten(struct buf *out, const char *s, size_t len);
enum err_code json_double(struct buf *out, double d); /* shortest form that reads back equal; NaN, infinity: null */

/* Appends WTF-8 to valid UTF-8 in out, keeping a trailing high surrogate in
 * *pending (0: none) until the next call brings its other half. What stays
 * alone becomes U+FFFD. NUL is dropped. Call with len 0 at the end of a text. */
enum err_code json_join(struct buf *out, uint32_t *pending, const char *wtf8, size_t len);

#endif
