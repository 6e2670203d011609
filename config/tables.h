/* tables.h: the settings of the file, as data. What config.h's structs hold,
 * these tables say how to fill. */
#ifndef WARBLER_CONFIG_TABLES_H
#define WARBLER_CONFIG_TABLES_H

#include "config/schema.h"

extern const struct setting config_settings[];  /* the whole file; into struct config */
extern const struct setting model_settings[];   /* into struct model_conf */
extern const struct setting bot_settings[];     /* into struct bot_conf */
extern const struct setting account_settings[]; /* what every account has; into struct account_conf */
extern const struct setting channel_settings[]; /* into struct channel_rule */
extern const struct setting price_settings[];   /* into struct price_conf */
extern const struct setting limit_settings[];   /* into struct limit_conf */

/* Names of the bits of enum trigger_kind, in their order; NULL-terminated. */
extern const char *const trigger_names[];
extern const char *const wish_names[]; /* the same of enum wish_kind */

#endif
