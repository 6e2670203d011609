/* posting.h: what the bot does, until the server confirmed it. lanying.md,
 * sections 9, 10 and 16.
 *
 * A post lives through lost connections: it is sent again, under the same id,
 * as soon as the account is online and it is sure that it has not arrived. Per
 * conversation posts go in their order, but not one after the other. */
#ifndef WARBLER_LANYING_POSTING_H
#define WARBLER_LANYING_POSTING_H

#include <stdbool.h>
#include <stdint.h>

#include "adapters/lanying/codec.h"
#include "adapters/lanying/wire.h"
#include "plugin/base/err.h"
#include "plugin/base/table.h"
#include "plugin/net/loop.h"

#define POSTING_AT_ONCE_MAX 64
#define POSTING_LATE_MS 8000     /* without an answer, though others came: it is looked for, or sent again */
#define POSTING_ANSWER_MS 20000  /* nothing at all was heard: the connection is dead */
#define POSTING_PAUSE_MS 1000    /* after "too often"; doubles */
#define POSTING_PAUSE_MAX_MS 60000
#define POSTING_FOUND_MAX 1024   /* own messages found by looking back, remembered */

struct lanying;
struct api_call;
struct event;

/* A message of our own that the server has, confirmed or found by looking back. */
struct own {
    UT_hash_handle hh;  /* by client_id; in the order of finding */
    uint64_t client_id, mid;
    uint64_t text_hash; /* text_hash() of what it says */
    bool finished;      /* and says for good */
    int seq;            /* ext.ai.seq of its newest stage that is known */
    int64_t said_ms;    /* wall clock: when it was said, if an earlier run may have gone on from there; 0: none did */
};

struct parcel_result {
    struct err e;           /* ERR_OK: it is there */
    uint32_t code;          /* enum ly_code of a refusal; 0 */
    uint64_t server_mid;    /* 0: the server saw it before, and cannot be asked which it was */
    const struct own *found; /* it was there already, perhaps with another text; or NULL */
};
typedef void parcel_fn(void *arg, const struct parcel_result *r);

struct parcel {
    UT_hash_handle hh;     /* by o.id; in their order */
    struct outgoing o;     /* text and ext are owned */
    bool sent;
    bool repeat;           /* the server saw it before: a look will tell its server id */
    bool passing;          /* of no use later: dropped with the connection */
    int64_t sent_ms;
    struct api_call *call; /* over HTTP */
    struct lanying *ly;
    parcel_fn *fn;           /* NULL: nobody waits */
    void *arg;
};

struct posting {
    struct parcel *all;
    unsigned under_way;
    unsigned at_once; /* so many may be; 1 after the server said "too often", and one more with each that it takes */
    int64_t pause_ms, not_before_ms;
    uint64_t last_id;
    struct timer timer;
    struct defer pump;
    struct own *found;
};

void posting_init(struct lanying *ly);
void posting_fini(struct lanying *ly);
void posting_offline(struct lanying *ly);
void posting_pump(struct lanying *ly); /* something may go now */

/* The server takes all that is sent: there is room for what can be left out. */
bool posting_is_free(const struct lanying *ly);

/* Copies what o points to. o->id 0: a fresh one; group and time are filled in. fn comes from the loop, once,
 * unless the waiting is given up. */
struct parcel *posting_add(struct lanying *ly, const struct outgoing *o, parcel_fn *fn, void *arg);
void posting_give_up(struct parcel **p); /* NULL-safe: nobody waits any more, but it goes all the same */

/* The id for a transaction of the host's: the same whenever it is asked for,
 * and at least 2^52, where fresh ones never are. */
uint64_t posting_id_of(const struct lanying *ly, const char *txn);
uint64_t posting_known(struct lanying *ly, uint64_t client_id); /* what the server calls it; 0: not known here */
/* Whether it is there and says just this, for good. */
bool posting_says(const struct lanying *ly, uint64_t mid, const char *text, size_t len);
uint64_t text_hash(const char *text, size_t len);
/* The ext.ai.seq that no stage of it is above, though an earlier run sent some of them. */
int posting_seq(const struct lanying *ly, uint64_t mid);

/* From a carrier: the server's answer to a post, enum ly_code. */
void posting_answered(struct lanying *ly, struct parcel *p, uint32_t code, const char *reason, size_t reason_len,
                      uint64_t server_mid);
struct parcel *posting_find(struct lanying *ly, uint64_t id);
/* It could not leave now (full), or it is not known whether it arrived (doubt). */
void posting_again(struct lanying *ly, struct parcel *p, bool doubt);

/* From sync: an own message was found; a look back is over; does one wait for such a look? */
void posting_found(struct lanying *ly, const struct event *ev);
void posting_looked(struct lanying *ly, uint64_t chat);
bool posting_waits(const struct lanying *ly, uint64_t chat);

#endif
