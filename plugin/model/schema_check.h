/* schema_check.h: does a JSON value fit a JSON Schema?
 *
 * As much of the language as models are given: type, enum, const, required,
 * properties, additionalProperties, items, minItems, maxItems, minLength,
 * maxLength, minimum, maximum, anyOf, boolean schemas, and $ref into the schema
 * itself. Other keywords are ignored. Both sides may be hostile: depth and work
 * are bounded, and what goes over a bound does not fit. Pure. */
#ifndef WARBLER_MODEL_SCHEMA_CHECK_H
#define WARBLER_MODEL_SCHEMA_CHECK_H

#include <stdbool.h>

#include "plugin/base/buf.h"
#include "plugin/base/json.h"

#define SCHEMA_DEPTH_MAX 64         /* schemas inside each other, $ref counted */
#define SCHEMA_STEPS_MAX 2000000    /* members and characters looked at */
#define SCHEMA_COMPLAINT_BYTES 1024 /* a longer one is cut */

/* complaint: appended to if the value does not fit, "/a/0 must be a string";
 * born with SCHEMA_COMPLAINT_BYTES or more. */
bool schema_fits(const cJSON *schema, const cJSON *value, struct buf *complaint);

#endif
