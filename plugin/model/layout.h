/* layout.h: the messages of a request as one model wants them.
 *
 * chat/ writes each message by itself, with its speaker; models differ in what
 * they take of that, and several may be asked for one answer. Messages of the
 * form that chat/ writes are read without being parsed,
 *     {"role":"user","name":"N","content":"C"}   (name only where there is one)
 * and everything else in the array is copied as it is. Pure. */
#ifndef WARBLER_MODEL_LAYOUT_H
#define WARBLER_MODEL_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "plugin/base/buf.h"

struct layout {
    enum system_role role; /* of the system message */
    bool names;            /* keep names */
    bool merge;            /* join neighbours of one role, and begin with a person's message */
    const char *system;    /* content of the system message, JSON-escaped; "": none */
    const char *messages;  /* a JSON array */
    size_t messages_len;
    const char *more;      /* a JSON array of what follows; NULL: nothing */
};

/* Appends the JSON array. ERR_TOO_LARGE. */
enum err_code layout_write(struct buf *out, const struct layout *l);

#endif
