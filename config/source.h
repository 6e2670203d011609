/* source.h: where a value comes from if it does not stand in the file:
 * the environment, another file, or systemd's credentials. */
#ifndef WARBLER_CONFIG_SOURCE_H
#define WARBLER_CONFIG_SOURCE_H

#include <stdbool.h>

#include "config/schema.h"
#include "plugin/base/err.h"
#include "plugin/base/secret.h"

#define SECRET_BYTES_MAX 8192 /* of a key file, without the newline at its end */

/* text is "env:NAME", "file:PATH" (relative to folder), "cred:NAME" or the
 * secret itself. ERR_NOT_FOUND: the variable of env:NAME is unset or empty;
 * ERR_INVALID, ERR_IO, ERR_TOO_LARGE: everything else. *out is empty then. */
enum err_code source_secret(const char *text, const char *folder, struct secret *out, struct err *e);

/* The path in "file:PATH", absolute; NULL: text is of another kind. The caller frees. */
char *source_secret_file(const char *text, const char *folder);

bool source_is_literal(const char *secret_text); /* the secret itself stands in the file */

/* "env:NAME" or "env:NAME|fallback": the variable's value, or the fallback if
 * it is unset or empty; other text as it is. NULL and *e if there is neither.
 * The caller frees. */
char *source_string(const char *text, struct err *e);

/* An absolute path; folder is absolute and has no ".." in it. The caller frees. */
char *source_path(const char *path, const char *folder);

/* The path of a file that libconfig names as the source of a setting: some
 * versions leave out the folder. The caller frees. */
char *source_included(const char *file, const char *folder);

/* Adds a copy of path. files may be NULL: nobody wants to know. */
void source_note(struct strings *files, const char *path);

#endif
