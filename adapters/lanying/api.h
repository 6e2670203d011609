/* api.h: calls to the HTTP API: headers, tokens, the envelope around every
 * answer, and the next server after failures. lanying.md, section 3.
 *
 * An answer comes from the loop, once, unless the call is cancelled. */
#ifndef WARBLER_LANYING_API_H
#define WARBLER_LANYING_API_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "plugin/base/err.h"

#define API_CONNECT_MS 10000
#define API_ANSWER_MS 20000
#define API_ANSWER_BYTES_MAX (2U * 1024 * 1024)
#define API_BODY_BYTES_MAX (1024U * 1024)
#define API_PATH_BYTES_MAX 2048U
#define API_FAILURES_MAX 5 /* in a row, before the next server is asked */

enum { /* codes in the envelope; business errors come with HTTP status 200 */
    API_CODE_OK = 200,
    API_CODE_TOKEN_OVER = 402,
    API_CODE_NO_TOKEN = 10003,
    API_CODE_BAD_TOKEN = 10008,
    API_CODE_NO_APP = 40000,
};

enum api_as {
    API_ANYONE,
    API_BOT,           /* a call whose token is over goes again with a new one */
    API_ADMIN_FOR_BOT, /* as the bot, with the administrator's token */
    API_ADMIN,
};

struct lanying;
struct api_call;

struct api {
    struct lanying *ly;
    uint64_t bot; /* whom the admin token acts for; 0: not known */
    struct api_call *calls;
    unsigned failures;
};

struct api_ask {
    const char *method;
    const char *base; /* NULL: the API server in use */
    const char *path; /* with its query */
    const char *body; /* copied; NULL: none */
    enum api_as as;
    uint64_t tag;     /* given back with the answer */
};

struct api_answer {
    struct err e;       /* ERR_OK: code is 200. ERR_NET, ERR_TIMEOUT, ERR_SERVER, ERR_PROTO: nobody to talk to there */
    int64_t code;       /* of the envelope; 0: there is none */
    const cJSON *root;  /* the envelope; borrowed; may be NULL */
    const cJSON *data;  /* NULL in case of error */
    uint64_t tag;
};
typedef void api_fn(void *arg, const struct api_answer *r);

void ly_api_init(struct api *api, struct lanying *ly);
void ly_api_fini(struct api *api); /* cancels what runs */
/* Returns a handle that is valid until fn was called. */
struct api_call *ly_api_start(struct api *api, const struct api_ask *ask, api_fn *fn, void *arg);
/* With the account's own token, and the account as fn's arg. */
struct api_call *ly_api_get(struct lanying *ly, const char *path, uint64_t tag, api_fn *fn);
struct api_call *ly_api_post(struct lanying *ly, const char *path, const char *body, uint64_t tag, api_fn *fn);
void ly_api_token_renewed(struct api *api, const struct err *e); /* or could not be */
void ly_api_cancel(struct api_call **call); /* NULL-safe */

bool ly_api_unreachable(const struct api_answer *r); /* another server may know better */
bool ly_api_token_refused(const struct api_answer *r);

#endif
