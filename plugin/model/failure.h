/* failure.h: what a model server means when it does not answer. Turns status
 * and body of every known shape (chat-completions reference, section 6) into
 * one err_code, which decides, and a line for the log. Pure. */
#ifndef WARBLER_MODEL_FAILURE_H
#define WARBLER_MODEL_FAILURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin/base/err.h"
#include "plugin/base/json.h"

#define FAILURE_BODY_BYTES_MAX 65536U /* of an error's body; the rest says nothing new */

#define FAILURE_PARAM_BYTES 64U
#define FAILURE_MESSAGE_BYTES 512U

struct failure {
    struct err err;         /* the text has no secrets; see failure_hide() for the key that we know */
    long status;            /* HTTP's, or the one that an error inside a good answer claims; 0: none */
    int64_t retry_after_ms; /* as far as the body says so; -1: not */
    int64_t context_max, context_used; /* tokens, of ERR_CONTEXT; -1: not said */
    char param[FAILURE_PARAM_BYTES];   /* the member that it blames, "messages.0.name"; "" if it names none */
    char message[FAILURE_MESSAGE_BYTES]; /* the beginning of what the server wrote, unmasked: to be
                                            looked at (quirk.h), never shown or logged */
};

#define FAILURE_INIT {.retry_after_ms = -1, .context_max = -1, .context_used = -1}

/* An answer with a status that is not 2xx. */
void failure_read(struct failure *f, long status, const char *body, size_t len);

/* True if root, which came with a good status or inside a stream, is an error
 * and not an answer; then *f says which. Else *f is untouched. */
bool failure_find(struct failure *f, const cJSON *root);

/* Text inside a stream that its server calls an error but that is no JSON. */
void failure_plain(struct failure *f, const char *text, size_t len);

/* Appends text as one printable line in which whatever looks like a key, a
 * token or a password in a URL is replaced by SECRET_PRINTED. */
void failure_mask(struct buf *out, const char *text, size_t len);

/* Replaces the secret itself in e->text, also one that was cut at the end.
 * Secrets shorter than 4 bytes are left: they would blank out words. */
void failure_hide(struct err *e, const char *secret);

#endif
