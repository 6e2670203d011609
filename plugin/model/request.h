/* request.h: what is sent to a model server (chat-completions reference,
 * sections 1 and 2). Only what is configured is sent: strict servers refuse
 * members that they do not know. Pure. */
#ifndef WARBLER_MODEL_REQUEST_H
#define WARBLER_MODEL_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "plugin/base/buf.h"
#include "plugin/model/quirk.h"

#define REQUEST_BYTES_MAX (8U * 1024 * 1024)
#define REQUEST_URL_BYTES_MAX 4096U
#define REQUEST_HEADERS_BYTES_MAX 65536U /* servers refuse more */

/* Where the configuration does not say. */
#define REQUEST_COMPLETIONS_MAX_TOKENS 1024
#define REQUEST_AZURE_API_VERSION "2024-10-21"

/* What one answer wants otherwise than the model's configuration. */
struct request_tuning {
    double temperature, top_p, frequency_penalty, presence_penalty; /* NaN: as configured */
    int64_t max_tokens;  /* 0: as configured */
    int64_t most_tokens; /* and no more than this; 0: no matter */
};

/* What one request says, whichever model it goes to. Borrowed. */
struct request_parts {
    const char *system;   /* content of the system message, JSON-escaped, without quotes; "" or NULL: none */
    const char *messages; /* the rest: a JSON array, each message by itself; layout.h */
    size_t messages_len;
    const char *person;   /* stable pseudonym of who asks; NULL: none */
    const char *flow;     /* the conversation's name; NULL: none */
    enum quirk_format format; /* how the form of the answer is asked for; structured.h */
    const char *more;     /* messages behind the others, a JSON array; NULL: none */
    const struct request_tuning *tuning; /* NULL: none */
};

/* Appends the body; the members of conf->extra come last and replace ours.
 * quirks: what the model was seen to refuse; NULL: nothing. ERR_TOO_LARGE. */
enum err_code request_body(struct buf *out, const struct model_conf *conf, const struct quirks *quirks,
                           const struct request_parts *parts);

/* Appends the address that answers, as conf->api has it. */
enum err_code request_url(struct buf *out, const struct model_conf *conf);

/* Appends the address of the server's list of models. */
enum err_code request_models_url(struct buf *out, const struct model_conf *conf);

/* "Name: value" lines, NULL-terminated, for struct http_request. A header of
 * the configuration replaces ours of the same name. key: the one of conf's that
 * is used now; NULL or empty: none. */
struct request_headers {
    const char **lines; /* private memory; holds the key */
    size_t n;
    struct buf text;
};
void request_headers_init(struct request_headers *h, const struct model_conf *conf, const struct secret *key,
                          bool stream);
void request_headers_fini(struct request_headers *h); /* wipes; legal on a zeroed struct */

#endif
