/* structured.h: an answer in the form that response_format asks for.
 *
 * Servers keep to it by force, by good will, or not at all, and some refuse the
 * member. So the answer is always checked, and asked for in up to three ways,
 * each simpler than the one before (chat-completions reference, section 13): as
 * configured; as json_object; in words alone. On each rung an answer that does
 * not fit is asked for once more, with what was wrong about it. Pure. */
#ifndef WARBLER_MODEL_STRUCTURED_H
#define WARBLER_MODEL_STRUCTURED_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "plugin/base/buf.h"
#include "plugin/base/json.h"
#include "plugin/model/quirk.h"

struct structured {
    enum quirk_format format; /* the rung; for struct request_parts */
    struct buf more;          /* what is said after a wrong answer; for struct request_parts, unless empty */
    struct buf text;          /* the good answer, as the model wrote it */

    const struct model_conf *conf; /* private, as all below */
    cJSON *root;
    const cJSON *schema;
    bool complained;
};

/* Does this model's answer have a form to keep to? */
bool structured_wanted(const struct model_conf *conf);

/* conf must be wanted and live as long as s. learned: the highest rung that the
 * server takes. */
void structured_init(struct structured *s, const struct model_conf *conf, enum quirk_format learned);
void structured_fini(struct structured *s); /* legal on a zeroed struct */

/* Judges an answer. GOOD: s->text is it, without what stood around it. AGAIN:
 * ask once more, with s->format and s->more. BAD: this model cannot. */
enum structured_verdict { STRUCTURED_GOOD, STRUCTURED_AGAIN, STRUCTURED_BAD };
enum structured_verdict structured_judge(struct structured *s, const char *answer, size_t len);

/* Appends to a system prompt, JSON-escaped, what has to be said in words on this
 * rung; nothing where the request itself says it. */
void structured_instruct(struct buf *out, const struct model_conf *conf, enum quirk_format format);

/* The JSON value in a text: all of it, or what a fence or the first { and its
 * matching } enclose. NULL: there is none. *begin_r, *len_r: where it stands. */
cJSON *structured_extract(const char *text, size_t len, const char **begin_r, size_t *len_r);

#endif
