/* attempt.h: one request to one model with one key, over HTTP or to the practice
 * model in the process: bytes in, text out. What it came to is judged here;
 * what is done about that is not (completion.h). Private to model/. */
#ifndef WARBLER_MODEL_ATTEMPT_H
#define WARBLER_MODEL_ATTEMPT_H

#include "plugin/model/client.h"
#include "plugin/model/failure.h"
#include "plugin/model/quirk.h"
#include "plugin/model/request.h"

struct attempt;

struct attempt_request {
    const struct model_conf *model;    /* must live until the end, and its key with it */
    const struct secret *key;          /* NULL: none */
    const struct quirks *quirks;       /* this and the parts are read at once */
    const struct request_parts *parts;
};

/* Borrowed until done() returns. */
struct attempt_end {
    const struct failure *failure; /* err.code is ERR_OK if it is an answer; else the text says why, without the key */
    const struct http_reply *reply;
    enum finish_reason finish;
    const struct usage *usage;
    const char *usage_json;        /* as the server wrote it; NULL: it did not */
    const char *service_tier;      /* "" if not said */
    const char *id;                /* the server's name of the request, "" if none */
    size_t text_tokens;            /* of the text that was given, estimated */
    const char *text;              /* all of it */
    size_t text_len;
    bool refused;                  /* it is a refusal */
};

struct attempt_handler {
    /* More of the answer: whole, valid UTF-8 sequences. anew: what was given
     * before is replaced by what comes from here on; then len may be 0. */
    void (*text)(void *arg, const char *text, size_t len, bool anew);
    /* More of what the model thinks before it answers, where show_reasoning
     * wants it. May be NULL: nobody does. */
    void (*reasoning)(void *arg, const char *text, size_t len);
    /* Exactly once unless cancelled; the attempt is gone when it returns. */
    void (*done)(void *arg, const struct attempt_end *end);
};

/* Never NULL; events come from the loop, never from inside this call. */
struct attempt *attempt_start(struct model_client *client, const struct attempt_request *req,
                              const struct attempt_handler *handler, void *arg);
void attempt_cancel(struct attempt **a); /* NULL-safe; no callback follows; legal inside its own callbacks */

/* What the configuration says of every request to a model. The URL and headers
 * are borrowed. */
struct http_request attempt_http(const struct model_conf *m, const char *method, const struct buf *url,
                                 const struct request_headers *headers);

#endif
