/* schema.h: settings as data. One table per group says for each setting its
 * name, type, range, default, place in the C struct and its sentence in the
 * manual; parsing, checking, `check --defaults`, warbler.conf(5) and the
 * "did you mean" are loops over these tables. Adapters bring a table of their
 * own for what only they know (adapter.h).
 *
 * A setting whose place in the struct is a pointer, an array or a secret owns
 * what it points to: schema_free() releases it. */
#ifndef WARBLER_CONFIG_SCHEMA_H
#define WARBLER_CONFIG_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin/base/err.h"
#include "plugin/base/secret.h"

enum setting_type {
    SETTING_BOOL,     /* bool */
    SETTING_INT,      /* int64_t, min..max; INT64_MIN where not configured and there is no default */
    SETTING_FLOAT,    /* double, min..max; NaN where not configured and there is no default */
    SETTING_STRING,   /* char *; NULL where not configured and there is no default. min..max bytes.
                         "env:NAME" or "env:NAME|fallback" takes the environment's value. With choices: one of them */
    SETTING_SECRET,   /* struct secret: "env:NAME", "file:PATH", "cred:NAME" or literal */
    SETTING_DURATION, /* int64_t milliseconds, from "30s", "5m", "1h", "2d", "250ms"; "0" is none */
    SETTING_PATH,     /* char *, made absolute against the file's folder; env: as in SETTING_STRING */
    SETTING_ENUM,     /* int: index into choices */
    SETTING_STRINGS,  /* struct strings: ( "a", "b" ), min..max entries; with choices: each must be one of them */
    SETTING_SECRETS,  /* struct secrets, min..max entries */
    SETTING_JSON,     /* char *: text of a JSON object, checked */
    SETTING_GROUP,    /* a nested group; `group` says its table, whose offsets count from this one's */
    SETTING_LIST,     /* T *v; size_t n; side by side at offset: a list of groups, each read by `group` into a T of
                         item_size bytes. Required: at least one */
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
    bool required;              /* must be in the file, and not empty */
    bool shown;                 /* stands in the sample file without a #, with its example */
    bool open;                  /* SETTING_LIST: each entry has settings of another table too */
    size_t offset;              /* into the group's struct */
    double min, max;            /* both 0: no limits */
    const char *fallback;       /* default: as written in the file, "0.7", "true", "(\"direct\")", but without the
                                   outer quotes where the type is written as a string: "30s"; NULL: none */
    const char *example;        /* written like fallback; for the manual and for messages. NULL: fallback, or one of the type */
    const char *const *choices; /* NULL-terminated; an enum has a fallback or is required */
    const struct setting *group;
    const char *help;           /* one or two plain sentences, for the manual and the sample file */

    /* What type and range cannot say, of each string, path, or entry of
     * strings, and JSON text, unless it is empty; sets *e to what is wrong, to
     * be read behind the name: "must…". */
    enum err_code (*check)(const char *value, struct err *e);

    const char *excuse;         /* SETTING_SECRET: a bool of the same group; if true, the variable of env:NAME may be unset */
    const char *item;           /* SETTING_LIST: what one entry is called, "model" */
    size_t item_size;
};
#define SETTING_END { .name = NULL }

/* Checks for `check`. */
enum err_code check_url(const char *value, struct err *e);     /* http:// or https:// with a host, no blanks */
enum err_code check_pattern(const char *value, struct err *e); /* compiles as PCRE2 with PCRE2_UTF | PCRE2_UCP */
enum err_code check_glob(const char *value, struct err *e);    /* every [ has its ] */
enum err_code check_header(const char *value, struct err *e);  /* "Name: value", and not one that the program sets */
enum err_code check_file(const char *value, struct err *e);    /* a file that can be read now */

/* Fills the zeroed struct at out as a file does that says nothing; what is
 * required and has no default stays empty. */
void schema_defaults(const struct setting *table, void *out);

/* Releases what the settings own, wipes secrets and leaves a struct of zero
 * pointers. The struct itself stays the caller's. Legal on a zeroed struct. */
void schema_free(const struct setting *table, void *settings);

/* The same values everywhere. */
bool schema_equal(const struct setting *table, const void *a, const void *b);

/* SHA-256 as hex over all values but secrets: other values, another digest. */
void schema_digest(const struct setting *table, const void *settings, char out[65]);

#endif
