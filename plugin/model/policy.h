/* policy.h: what each failure of a request to a model leads to. One table, which
 * is the only place that decides it; what people read is in chat/notice.c. */
#ifndef WARBLER_MODEL_POLICY_H
#define WARBLER_MODEL_POLICY_H

#include <stdbool.h>

#include "plugin/base/err.h"
#include "plugin/base/log.h"

enum policy_key { KEY_KEEP, KEY_COOL, KEY_KILL };

struct policy {
    bool again;          /* the same key and model, after a pause */
    bool next_key;       /* another key of the model, at once */
    bool next_model;     /* the next model, once the above are used up */
    bool trips;          /* counts for the breaker: the server is not well */
    enum policy_key key; /* what becomes of the key */
    enum log_level log;  /* of the line about the answer that failed for it */
};

const struct policy *policy_of(enum err_code code); /* never NULL */

#endif
