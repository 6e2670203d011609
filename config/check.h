/* check.h: what a configuration needs beyond its single settings: names that
 * are unique, references that lead somewhere, rules that can apply. */
#ifndef WARBLER_CONFIG_CHECK_H
#define WARBLER_CONFIG_CHECK_H

#include <libconfig.h>

#include "config/config.h"
#include "config/problem.h"

/* Resolves the references and the derived fields of c, which was read from
 * root, and reports what does not fit together. Parts of c may be missing
 * where reading them failed. */
void check_config(struct config *c, const config_setting_t *root, struct problems *problems);

#endif
