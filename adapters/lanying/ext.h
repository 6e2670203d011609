/* ext.h: the two JSON texts that travel with a message: `ext` of the
 * applications and `config` of the platform. Pure. lanying.md, sections 11, 12.
 *
 * Both are written by whoever sends, so everything in them may be missing, of
 * another type, or huge; what cannot be read counts as not said. */
#ifndef WARBLER_LANYING_EXT_H
#define WARBLER_LANYING_EXT_H

#include <stdbool.h>
#include <stdint.h>

#include "adapters/lanying/ids.h"
#include "plugin/adapter.h"
#include "plugin/base/buf.h"

#define EXT_BYTES_MAX 65536U       /* of ext or config as it comes; longer ones are not read */
#define EXT_PROMPT_BYTES_MAX 16384U /* of ai.prompt_ext, as one text */
#define EXT_NAME_BYTES_MAX 256U    /* of a nickname or preset */
#define EXT_FEEDBACK_BYTES_MAX 1024U /* of ai.feedback */

/* What `ext` says. */
struct ext {
    bool by_ai;         /* another program answers: never answer that */
    bool typing;        /* no message, somebody types or stopped */
    bool control;       /* ClawChat's machine traffic, section 19 */
    bool finish;        /* an AI's message, and complete */
    int seq;            /* its number among the stages of that message; 0: not said */
    uint64_t client_id; /* our own client id, if we wrote it; 0 */
    bool status;        /* our own line that an answer is being made */
    char *feedback;     /* JSON that the answer repeats; owned, NULL if it is not said */
    bool wishes;        /* something is in wish */
    struct msg_wish wish; /* its strings are owned */
};
void ext_read(struct ext *x, const char *json, size_t len);
void ext_fini(struct ext *x); /* legal on a zeroed struct */

/* What `config` says. */
struct config_said {
    bool mentions_bot, mentions_all;
    bool wants_ack; /* in a group: whose read receipts are wanted is listed */
    char *nickname; /* of the sender; owned, NULL if it is not said */
};
void config_said_read(struct config_said *c, const char *json, size_t len, uint64_t bot);
void config_said_fini(struct config_said *c);

/* `ext` of the bot's own messages. */
struct ext_out {
    bool stream;          /* one of several that make up one message */
    bool finish;          /* the last of them */
    int64_t interval_s;   /* with stream: between two of them */
    int seq;              /* with stream: 1, 2, 3 */
    const char *reason;   /* with finish: the model's finish reason, or NULL */
    const char *question; /* id of the message that is answered, or NULL */
    const char *error;    /* name of an error code: this is an error notice; or NULL */
    const char *error_text;
    const char *feedback; /* JSON, or NULL */
    uint64_t client_id;   /* 0: none; finds the message again in the history */
};
void ext_write(struct buf *out, const struct ext_out *x);

#define EXT_TYPING "{\"input_status\":\"typing\"}"
#define EXT_STATUS "{\"ai\":{\"role\":\"ai\",\"stream\":false,\"finish\":true,\"is_debug_msg\":true}," \
                   "\"warbler\":{\"status\":true}}"
#define EXT_TYPED "{\"input_status\":\"nothing\"}"

#endif
