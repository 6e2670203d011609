/* template.h: a conversation as one text, for servers that complete text
 * (chat-completions reference, section 9).
 *
 * A model follows a conversation only in the form in which it was trained, so
 * there is a template per family of models, "plain" for models without one, and
 * "custom". The text's own tokens and role labels are all that tells who speaks;
 * so in what people write (and in all other contents) each of them gets a blank
 * before its last character, which no model takes for the token: nobody can
 * write <|im_end|> and go on as the system. Pure. */
#ifndef WARBLER_MODEL_TEMPLATE_H
#define WARBLER_MODEL_TEMPLATE_H

#include <stddef.h>

#include "config/config.h"
#include "plugin/base/buf.h"
#include "plugin/base/json.h"

#define TEMPLATE_STOPS_MAX 4U        /* as many as servers take */
#define TEMPLATE_STOP_BYTES_MAX 128U /* of one */

struct template;

/* The template of conf's name; never NULL. */
const struct template *template_of(const struct model_conf *conf);

/* Appends the prompt: system (NULL or "": none), the messages of the JSON array,
 * and what makes the model answer. What is no message is left out. ERR_TOO_LARGE. */
enum err_code template_render(struct buf *out, const struct model_conf *conf, const char *system, const cJSON *messages);

/* Where the answer ends at the latest: conf's own stops, then the template's.
 * Fills stops, each NUL-terminated, and returns how many. */
size_t template_stops(const struct model_conf *conf, char stops[TEMPLATE_STOPS_MAX][TEMPLATE_STOP_BYTES_MAX]);

#endif
