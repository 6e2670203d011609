/* describe.h: a setting in words, for messages and for the manual. */
#ifndef WARBLER_CONFIG_DESCRIBE_H
#define WARBLER_CONFIG_DESCRIBE_H

#include <libconfig.h>
#include <stdbool.h>

#include "config/schema.h"
#include "plugin/base/buf.h"

#define DESCRIBE_BYTES_MAX 8192 /* room that a buffer for these functions needs */

bool describe_is_text(enum setting_type type);          /* is written in quotes */
const char *describe_type(enum setting_type type);      /* "a whole number" */
void describe_value(struct buf *out, const struct setting *s, const char *value); /* as written in the file: quotes where needed */
void describe_line(struct buf *out, const struct setting *s); /* `port = 8080;` with the example, the default or a typical value */
void describe_range(struct buf *out, const struct setting *s);   /* "0 to 65535", "0 to 1h"; nothing if there are no limits */
void describe_limit(struct buf *out, enum setting_type type, double value); /* one end of a range */
void describe_choices(struct buf *out, const struct setting *s); /* `"text" or "json"`; nothing if there are none */
void describe_duration(struct buf *out, int64_t ms);             /* "90s", "2m" */
void describe_found(struct buf *out, const config_setting_t *found); /* `the text "abc"`, "the number 5"; not for secrets */
const char *describe_found_kind(const config_setting_t *found);      /* "a text", "a number": shows no value */

#endif
