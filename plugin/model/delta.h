/* delta.h: the pieces of an answer put together into one message. Takes the
 * events of a stream, or a whole answer, in all the shapes of the chat-
 * completions reference, sections 4 and 5. Pure.
 *
 * The text is what people may see: reasoning, also a leading <think> block, goes
 * into `thought`; halves of surrogate pairs are joined; control characters are
 * gone. A refusal is an answer. Tool calls are kept as they are to be echoed. */
#ifndef WARBLER_MODEL_DELTA_H
#define WARBLER_MODEL_DELTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin/base/buf.h"
#include "plugin/base/json.h"
#include "plugin/model/chunk.h"
#include "plugin/model/completion.h"
#include "plugin/model/failure.h"
#include "plugin/model/thought.h"

#define DELTA_TOOL_CALLS_MAX 64               /* calls of one answer; more are dropped */
#define DELTA_ARGUMENTS_BYTES_MAX (256U * 1024) /* of all calls together; a call over it is dropped */
#define DELTA_USAGE_BYTES_MAX 4096              /* of the usage as the server wrote it; a longer one is not kept */
#define DELTA_EXTRA_BYTES_MAX (64U * 1024)      /* of all unknown members, printed; more are dropped */

struct tool_call {
    char *id, *name;       /* set after delta_end(): the server's, else "call_<n>" */
    struct buf arguments;  /* after delta_end() the text of a JSON object */
    cJSON *extra;          /* unknown members, to be echoed (Gemini's signatures); NULL: none */
    int64_t index;         /* private, as all below */
    uint32_t pending;
    bool over;
};

struct delta {
    struct buf text;
    struct thought thought;    /* set thought.kept after delta_init() to keep it */
    struct tool_call *calls;
    size_t n_calls;
    enum finish_reason finish; /* if `finished` */
    struct usage usage;
    struct buf usage_json;     /* as the server wrote it; empty if it did not */
    char service_tier[16];     /* that answered, "" if it does not say */
    char id[80];               /* the answer's, "" if it has none */
    bool finished;             /* a finish reason came, or the text is full */
    bool done;                 /* [DONE] came, or it was a whole answer */
    bool refused;              /* the text is a refusal, at least in part */
    bool full;                 /* the text was cut at its limit: read no further */

    size_t text_max; /* private, as all below */
    struct buf flat, piece;
    size_t shown, scanned;
    size_t arguments_bytes, extra_bytes;
    uint64_t seen_hash;
    size_t seen_bytes;
    uint32_t pending;
    int lead;
    size_t matched;
    bool stripped, completing, anew;
    char fault[32];
    struct chunk_mold mold;
};

void delta_init(struct delta *d, size_t text_max_bytes);
void delta_fini(struct delta *d); /* legal on a zeroed struct */

/* One event of a stream. ERR_OK, or the failure that it announces or is. */
enum err_code delta_event(struct delta *d, const char *type, const char *data, size_t len, struct failure *f);

/* An answer in one piece. ERR_PROTO also if it is not JSON at all: then nothing
 * was changed, and it may still be a stream of bare lines. */
enum err_code delta_whole(struct delta *d, const char *body, size_t len, struct failure *f);

/* What came since the last call and may be shown: whole characters. *anew_r:
 * forget what was shown before, this is the text from its beginning. */
const char *delta_show(struct delta *d, size_t *len_r, bool *anew_r);

/* The end of the answer, after the last event; delta_show() may have more. ERR_OK:
 * there is text or a tool call, and `finish` says how it ended. ERR_NET: it
 * broke off. ERR_EMPTY, ERR_CONTENT: it ended without an answer. ERR_SERVER:
 * the server says that it failed on the way. */
enum err_code delta_end(struct delta *d, struct failure *f);

#endif
