/* schema.h: settings as data. One table per group says for each setting its
 * name, type, range, default, place in the C struct and its sentence in the
 * manual; parsing, checking, `check --defaults`, warbler.conf(5) and the
 * "did you mean" are loops over these tables. Adapters bring a table of their
 * own for what only they know (adapter.h). */
#ifndef WARBLER_CONFIG_SCHEMA_H
#define WARBLER_CONFIG_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin/base/secret.h"

enum setting_type {
    SETTING_BOOL,     /* bool */
    SETTING_INT,      /* int64_t, min..max */
    SETTING_FLOAT,    /* double, min..max; NaN where not configured and there is no default */
    SETTING_STRING,   /* char *; NULL where not configured and there is no default. min..max bytes.
                         "env:NAME" or "env:NAME|fallback" takes the environment's value */
    SETTING_SECRET,   /* struct secret: "env:NAME", "file:PATH", "cred:NAME" or literal */
    SETTING_DURATION, /* int64_t milliseconds, from "30s", "5m", "1h", "2d", "250ms"; "0" is none */
    SETTING_PATH,     /* char *, made absolute against the file's folder */
    SETTING_ENUM,     /* int: index into choices */
    SETTING_STRINGS,  /* struct strings: ( "a", "b" ); with choices: each must be one of them */
    SETTING_SECRETS,  /* struct secrets */
    SETTING_JSON,     /* char *: text of a JSON object, checked */
    SETTING_GROUP,    /* a nested group; `group` says its table, at offset inside the same struct */
};

struct strings {
    char **v; /* n strings */
    size_t n;
};

struct secrets {
    struct secret *v;
    size_t n;
};

struct setting {
    const char *name;
    enum setting_type type;
    size_t offset;              /* into the group's struct */
    bool required;
    double min, max;            /* both 0: no limits */
    const char *fallback;       /* default, as written in the file: "30s", "0.7", "true", "(\"direct\")"; NULL: none */
    const char *const *choices; /* NULL-terminated */
    const struct setting *group;
    const char *help;           /* one or two plain sentences, for the manual and the sample file */
};
#define SETTING_END { .name = NULL }

#endif
