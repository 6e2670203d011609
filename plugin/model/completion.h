/* completion.h: one answer of a model, whatever it takes to get it.
 *
 * Chat Completions (reference, sections 1 to 7), streamed or not. Builds the
 * request, watches the deadlines, retries what is worth it with back-off, and
 * yields events. Nobody above knows about HTTP; nothing here knows channels. */
#ifndef WARBLER_MODEL_COMPLETION_H
#define WARBLER_MODEL_COMPLETION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "plugin/base/err.h"
#include "plugin/net/http.h"
#include "plugin/net/loop.h"

struct model_client;
struct completion;

#define COMPLETION_TEXT_BYTES_MAX (256U * 1024)      /* an answer longer than this ends as FINISH_LENGTH */
#define COMPLETION_RESPONSE_BYTES_MAX (16U * 1024 * 1024)

enum finish_reason { FINISH_STOP, FINISH_LENGTH, FINISH_CONTENT_FILTER, FINISH_TOOL_CALLS, FINISH_CANCELLED, FINISH_ERROR };
const char *finish_name(enum finish_reason f); /* "stop", "length", "content_filter", "tool_calls", "cancelled", "error" */

struct usage {
    int64_t prompt_tokens, completion_tokens, total_tokens, cached_tokens, reasoning_tokens;
    bool known; /* the server said so; else all 0 */
};

struct completion_result {
    enum finish_reason finish;
    struct usage usage;
    char request_id[80]; /* the server's (x-request-id, else the answer's id), "" if none */
    int attempts;        /* requests made, at least 1 */
};

struct completion_handler {
    /* More of the answer: whole, valid UTF-8 sequences. */
    void (*text)(void *arg, const char *delta, size_t len);
    /* The attempt broke and is repeated: forget the text so far. May be NULL if text is. */
    void (*restart)(void *arg);
    /* Exactly once unless cancelled; the completion is gone when it returns. An
     * error says why there is no (complete) answer; the text given so far then
     * is what came. finish FINISH_ERROR iff e->code != ERR_OK. */
    void (*done)(void *arg, const struct completion_result *r, const struct err *e);
};

struct completion_request {
    const struct model_conf *model; /* must live until done */
    const char *system;             /* content of the system message, JSON-escaped without quotes; "" or NULL: none */
    const char *messages;           /* the rest: a JSON array; both are borrowed until done or cancelled */
    size_t messages_len;
};

enum err_code model_client_new(struct loop *loop, struct http_client *http, struct model_client **client_r, struct err *e);
void model_client_free(struct model_client **client); /* cancels what is running */

/* Never NULL; events come from the loop, never from inside this call. */
struct completion *completion_start(struct model_client *client, const struct completion_request *req,
                                    const struct completion_handler *handler, void *arg);
void completion_cancel(struct completion **c); /* NULL-safe; no callback follows; legal inside its own callbacks */

/* Asks the server for its list of models (GET /models): `warbler ping`. */
void model_ping(struct model_client *client, const struct model_conf *model,
                void (*done)(void *arg, const struct err *e), void *arg);

#endif
