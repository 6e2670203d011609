/* quirk.h: what a model's refusals taught us about the parameters it takes
 * (chat-completions reference, sections 2 and 7). Learned once per model from a
 * 400 or 422 and kept, so that only one request is spent on it. Pure.
 *
 * Strict on purpose: a parameter is given up only if the refusal names it as the
 * culprit, in `param` or in quotes beside words that refuse it. A message that
 * merely mentions a word teaches nothing. */
#ifndef WARBLER_MODEL_QUIRK_H
#define WARBLER_MODEL_QUIRK_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "plugin/base/buf.h"
#include "plugin/model/failure.h"

#define QUIRK_TEXT_BYTES_MAX 1024U /* of quirk_write() */

enum quirk_format { FORMAT_CONFIGURED, FORMAT_JSON_OBJECT, FORMAT_NONE }; /* of response_format */

struct quirks { /* zeroed: nothing learned */
    uint32_t dropped;          /* bits of the members below; ask quirk_drops() */
    uint8_t fields_refused;    /* bits of enum max_tokens_field */
    uint8_t roles_refused;     /* bits of enum system_role */
    enum quirk_format format;
    bool no_names;             /* no `name` in messages */
    bool alternate;            /* user and assistant must take turns: merge what stands together */
};

/* Learns from a failure, whatever it is. True: something new, so that the request
 * is worth building anew and sending at once; it ends, for nothing is new twice.
 * A status of 500 is looked at for chat templates that refuse the roles. */
bool quirk_learn(struct quirks *q, const struct model_conf *m, const struct failure *f);

/* What to do about it. q may be NULL: nothing was learned. */
bool quirk_drops(const struct quirks *q, const char *member); /* leave this top-level member out */
enum max_tokens_field quirk_max_tokens_field(const struct quirks *q, const struct model_conf *m);
enum system_role quirk_system_role(const struct quirks *q, const struct model_conf *m);
enum quirk_format quirk_format(const struct quirks *q);
bool quirk_no_names(const struct quirks *q);
bool quirk_alternate(const struct quirks *q);

/* Appends what was learned, to be kept: words, "" if nothing. quirk_read() adds
 * them to what q has learned; words that it does not know are for another version. */
void quirk_write(struct buf *out, const struct quirks *q);
void quirk_read(struct quirks *q, const char *text);

/* Appends what was learned, for the log: "max_completion_tokens,
 * no temperature, role user"; "" if nothing. */
void quirk_describe(struct buf *out, const struct quirks *q, const struct model_conf *m);

#endif
