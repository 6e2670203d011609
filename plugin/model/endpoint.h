/* endpoint.h: what is known of one configured model from one request to the
 * next: which of its keys work, whether its server is well, what it refuses,
 * how much may be asked of it, and who waits for that. Private to model/.
 *
 * Kept by the model's name in the client, across reloads. A model that has
 * another server, server's name or key after a reload starts afresh; requests
 * that are still out keep what they began with. */
#ifndef WARBLER_MODEL_ENDPOINT_H
#define WARBLER_MODEL_ENDPOINT_H


#include "plugin/base/table.h"
#include "plugin/model/breaker.h"
#include "plugin/model/bucket.h"
#include "plugin/model/calibrate.h"
#include "plugin/model/client.h"
#include "plugin/model/keyring.h"
#include "plugin/model/quirk.h"
#include "plugin/model/waitline.h"

#define ENDPOINT_WAITING_MAX 10000     /* requests in one line */
#define ENDPOINT_FLOW_WAITING_MAX 100  /* of one flow */
#define ENDPOINT_WAIT_MAX_MS 120000    /* in line; whoever waits longer is told so */
#define ENDPOINT_KEY_REST_MS 10000     /* of a limited key where there are others, if the server does not say */
#define ENDPOINT_TELL_MS 60000
#define ENDPOINT_ANSWER_TOKENS 256     /* that an answer is taken to have before there was one */

struct endpoint {
    struct model_client *client; /* private, but for the fields that say otherwise */
    struct loop *loop;           /* which outlives the client */
    char *name;
    char print[65];              /* of what makes it another one */
    int refs;
    bool detached;               /* another one has its name now */
    struct keyring keys;         /* may be read, as all of these */
    struct breaker breaker;
    struct quirks quirks;        /* may be changed, as this: */
    struct calibration calibration;
    struct bucket requests, tokens;
    int64_t max_concurrent, running;
    struct waitline line;
    enum err_code last_error;    /* ERR_OK: never */
    int64_t last_error_ms;       /* wall time */
    enum err_code trouble;       /* why the breaker counts failures */
    int64_t answer_tokens;       /* that an answer has, about */
    int64_t told_ms;             /* when it was last told in the log that others are asked instead */
    struct timer timer;          /* the line may move, or a key has rested enough */
    UT_hash_handle hh;
};

/* One request's place: in line, then at work. Zeroed before its first use. */
struct endpoint_place {
    struct waiter waiter;        /* private but for what endpoint_ask() reads */
    /* set before endpoint_ask(): */
    const struct model_conf *model;
    size_t tokens;               /* of the request, estimated */
    bool force;                  /* there is nobody else to ask: whatever its breaker and its keys say */
    void (*go)(void *arg, const struct err *refused); /* after ENDPOINT_WAIT; NULL: at work now */
    void *arg;
    bool avoided;                /* the answer: refused, but force would help */
    /* while at work: */
    int key;                     /* may be read */
    uint32_t ticket;
    bool ticketed;
    int64_t taken;               /* tokens */
};

/* How a model's keys are counted: a server that wants none has one, NULL. */
int endpoint_keys(const struct model_conf *m);
const struct secret *endpoint_key(const struct model_conf *m, int i);

struct endpoint *endpoint_get(struct model_client *client, const struct model_conf *m); /* a reference */
void endpoint_put(struct endpoint **ep);
void endpoint_free_all(struct model_client *client); /* without references */

enum endpoint_answer {
    ENDPOINT_GO,   /* at work: end it with good, bad or abandon */
    ENDPOINT_WAIT, /* in line: go() is called from the loop, unless endpoint_leave() */
    ENDPOINT_NO,   /* *why says why not now */
};
enum endpoint_answer endpoint_ask(struct endpoint *ep, struct endpoint_place *p, const char *flow, struct err *why);
void endpoint_leave(struct endpoint *ep, struct endpoint_place *p); /* legal if it does not wait */

/* What a request at work came to. tokens: that it used, as far as is known. */
void endpoint_good(struct endpoint *ep, struct endpoint_place *p, int64_t tokens);
/* rest_ms: how long the server wants not to be asked; -1: it did not say. */
void endpoint_bad(struct endpoint *ep, struct endpoint_place *p, const struct failure *f, int64_t rest_ms,
                  int64_t tokens);
void endpoint_abandon(struct endpoint *ep, struct endpoint_place *p); /* cancelled: says nothing */
void endpoint_answered(struct endpoint *ep, int64_t tokens);         /* what answers have, for what the next may */

/* Its quirks have changed: tells the log, and whoever keeps them. m: of the request. */
void endpoint_learned(const struct endpoint *ep, const struct model_conf *m);
void endpoint_recall(struct endpoint *ep, const struct model_conf *m, const char *lessons); /* model_recall() */

/* Is it time for another line in the log about its failing? Once in ENDPOINT_TELL_MS. */
bool endpoint_tell(struct endpoint *ep);

int endpoint_keys_resting(const struct endpoint *ep);
int endpoint_keys_dead(const struct endpoint *ep);

#endif
