/* completion.h: one answer of a model, whatever it takes to get it.
 *
 * Chat Completions (reference, sections 1 to 7), streamed or not. A request
 * that fails is made again after a pause, with another key, or to another model,
 * as policy.h says; a model that stays silent gets a rival. Nobody above knows
 * about HTTP; nothing here knows channels. */
#ifndef WARBLER_MODEL_COMPLETION_H
#define WARBLER_MODEL_COMPLETION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "plugin/base/err.h"
#include "plugin/net/http.h"
#include "plugin/net/loop.h"

struct calibration;
struct request_tuning;
struct model_client;
struct completion;

#define COMPLETION_TEXT_BYTES_MAX (256U * 1024)      /* an answer longer than this ends as FINISH_LENGTH */
#define COMPLETION_RESPONSE_BYTES_MAX (16U * 1024 * 1024)
#define COMPLETION_MODELS_MAX 16                     /* that one answer is asked of; more fallbacks are not */

enum finish_reason { FINISH_STOP, FINISH_LENGTH, FINISH_CONTENT_FILTER, FINISH_TOOL_CALLS, FINISH_CANCELLED, FINISH_ERROR };
const char *finish_name(enum finish_reason f); /* "stop", "length", "content_filter", "tool_calls", "cancelled", "error" */

struct usage {
    int64_t prompt_tokens, completion_tokens, total_tokens, cached_tokens, reasoning_tokens;
    bool known; /* the server said so; else all 0 */
    int64_t cache_write_tokens;
    int64_t cost;    /* in 10^-12, as the server said it; see price.h */
    bool cost_known;
};

struct completion_request {
    const struct model_conf *model; /* asked first; then its `fallback`s in order, and theirs */
    struct config *config;          /* where those are found; a reference is kept until done. NULL: only `model`, which
                                       must live until done */
    const char *flow;               /* whose request: flows wait fairly for each other (the channel's name); NULL: "" */
    const char *person;             /* stable pseudonym of who asks, NULL: none */
    const char *system;             /* content of the system message, JSON-escaped without quotes; "" or NULL: none */
    const char *messages;           /* the rest: a JSON array. All texts are borrowed until done, cancelled or shorten() */
    size_t messages_len;
    const struct request_tuning *tuning; /* request.h; NULL: none. Borrowed as the texts are */
    size_t tokens;                  /* all of it by our own count, with `model`'s vocabulary if it has one, uncalibrated */
    struct calibration *own;        /* of the conversation with `model`, to be read and taught; NULL: none. Borrowed as the
                                       texts are */
};

/* What it refers to is borrowed until done() returns. */
struct completion_result {
    enum finish_reason finish;
    struct usage usage;             /* of the answer alone; wasted() told of everything else */
    struct usage estimated;         /* the same as we expect it, for where the server does not say; never `known` */
    const char *usage_json;         /* as the server wrote it; NULL: it did not */
    const struct model_conf *model; /* who answered, or failed last */
    char service_tier[16];          /* the one really used; "" if not said */
    char request_id[80];            /* the server's (x-request-id, else the answer's id), "" if none */
    int attempts;                   /* requests made; 0 if none could be */
    bool hedged;                    /* another model was asked too */
    int64_t again_ms;               /* how long the server that failed last wants to be left alone; -1: it did not say */
};

struct completion_handler {
    /* More of the answer: whole, valid UTF-8 sequences. */
    void (*text)(void *arg, const char *delta, size_t len);
    /* More of what the model thinks before it answers, where its show_reasoning
     * wants that seen; keep: also after the answer came. May be NULL: nobody does. */
    void (*reasoning)(void *arg, const char *delta, size_t len, bool keep);
    /* The attempt broke and is repeated: forget the text and reasoning so far. Comes right
     * before the first text of the next one. May be NULL if text and reasoning are. */
    void (*restart)(void *arg);
    /* It does not fit the model: lay it out again within max_tokens (by our own
     * count, as req->tokens is), by changing messages, messages_len and tokens
     * of req. False: it cannot be shorter. May be NULL. */
    bool (*shorten)(void *arg, struct completion_request *req, size_t max_tokens);
    /* Exactly once unless cancelled; the completion is gone when it returns. An
     * error says why there is no (complete) answer; the text given so far then
     * is what came. finish FINISH_ERROR iff e->code != ERR_OK. */
    void (*done)(void *arg, const struct completion_result *r, const struct err *e);
    /* A request cost tokens and is not the answer: it broke after text had come,
     * was not of the form asked for, or lost to a rival. *r as for done(), of this
     * request; nothing may be cancelled from here. May be NULL. */
    void (*wasted)(void *arg, const struct completion_result *r);
};

enum err_code model_client_new(struct loop *loop, struct http_client *http, struct model_client **client_r, struct err *e);
void model_client_free(struct model_client **client); /* cancels what is running */

/* Never NULL; events come from the loop, never from inside this call. */
struct completion *completion_start(struct model_client *client, const struct completion_request *req,
                                    const struct completion_handler *handler, void *arg);
/* Whose server is at work on it, so that it costs something even if it is
 * cancelled now; NULL: nobody's, it waits. *spoke_r: what came last is from there. */
const struct model_conf *completion_asked(const struct completion *c, bool *spoke_r);
void completion_cancel(struct completion **c); /* NULL-safe; no callback follows; legal inside its own callbacks */

/* Asks the server for its list of models (GET /models), with each key:
 * `warbler ping`. A failure names the key by its number. */
void model_ping(struct model_client *client, const struct model_conf *model,
                void (*done)(void *arg, const struct err *e), void *arg);

/* So many tokens, as req->tokens counts them, fit into the model beside the
 * answer, as far as is known by now; SIZE_MAX: nothing is. own: of the conversation, or NULL. */
size_t model_budget(const struct model_client *client, const struct model_conf *model, const struct calibration *own);

/* What a model's refusals taught, as a text that can be kept over restarts:
 * learned() hears all of it whenever there is more. A text that was made with
 * another server or model under that name teaches nothing. */
void model_client_watch(struct model_client *client,
                        void (*learned)(void *arg, const struct model_conf *model, const char *lessons), void *arg);
void model_recall(struct model_client *client, const struct model_conf *model, const char *lessons);

/* How a model does, for /status. */
struct model_state {
    bool avoided;              /* its server kept failing: the next model is asked instead */
    int64_t avoided_ms;        /* for so long; 0: it is being tried again */
    int keys, keys_resting, keys_dead;
    int64_t running, waiting;  /* requests */
    enum err_code last_error;  /* of one request; ERR_OK: none so far */
    int64_t last_error_ms;     /* how long ago */
};
/* False, and *s zeroed: it was never asked. */
bool model_state(const struct model_client *client, const char *name, struct model_state *s);

#endif
