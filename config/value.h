/* value.h: one value of the file into one field of a C struct. Groups and
 * lists of groups are read.h's. */
#ifndef WARBLER_CONFIG_VALUE_H
#define WARBLER_CONFIG_VALUE_H

#include "config/read.h"

/* False: the problem was reported and the field was left alone. */
bool value_take(struct reader *r, const struct setting *s, const config_setting_t *found, void *field);

/* The table's default into a zeroed field; without one: NaN, INT64_MIN, or zero. */
void value_default(struct reader *r, const struct setting *s, void *field);

/* Reports that found is not of the setting's type. Always false. */
bool value_wrong_type(struct reader *r, const struct setting *s, const config_setting_t *found);

/* Number of entries, if found is a list and not too long. */
bool value_entries(struct reader *r, const struct setting *s, const config_setting_t *found, size_t *n_r);

#endif
