/* chat_world.h: the bot's core with all below it, for tests: real loop, store,
 * configuration and practice model; the platform is a table in memory. One
 * account "web" with adapter "fake", one bot "bo". */
#ifndef WARBLER_TESTS_CHAT_WORLD_H
#define WARBLER_TESTS_CHAT_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plugin/adapter.h"
#include "plugin/base/remark.h"
#include "plugin/chat/chat.h"
#include "plugin/model/completion.h"
#include "plugin/net/http.h"
#include "plugin/net/loop.h"
#include "plugin/store/store.h"

#define TURNS_MAX 200000 /* of the loop, before a test that waits for something gives up */
#define EVENTS_MAX 512

#define STORED (ADAPTER_EDIT | ADAPTER_STORED | ADAPTER_IDEMPOTENT)

/* What an adapter was told. */
struct event {
    char kind[12]; /* "ack", "dup", "refused", "first", "edit", "final", "silent", "fetch", "remove" */
    char *id, *txn, *text, *reply_to, *finish;
    int64_t handle, seq, reply_seq;
    size_t answers; /* messages that it names, if several were answered at once */
    bool notice;
    enum err_code error;
};

/* A message on the platform. */
struct posting {
    char *id, *txn, *chat, *text, *reply_to;
    int edits;
    bool done, removed;
};

struct chat_world {
    char dir[64], file[96];
    struct loop *loop;
    struct store *store;
    struct http_client *http;
    struct model_client *models;
    struct config *config;
    struct chat *chat;
    struct adapter account;
    struct adapter_ops ops;
    bool online, gone;     /* gone: there is no such account */
    struct remark *remarks;
    struct event events[EVENTS_MAX];
    size_t n;
    /* a platform that is not our own store; what is posted there outlives the bot */
    struct posting postings[EVENTS_MAX];
    size_t n_postings;
    bool deaf;             /* nothing arrives there */
    bool hold;             /* nothing is confirmed or refused */
    bool nameless;         /* a repeat is dropped without telling where the first one is */
    bool no_edits;         /* the last edit of a message fails for good */
    enum err_code refuse;  /* sends fail with this ... */
    bool refuse_for_good;  /* ... for ever, or until it is cleared */
    struct due {
        int64_t handle;
        char *platform_id;
    } due[EVENTS_MAX];     /* to be confirmed or refused */
    size_t n_due;
    struct defer confirm;
};

struct setup {
    const char *model;    /* NULL: "p" */
    const char *bot;      /* more settings of the bot */
    const char *on_doubt; /* NULL: "drop" */
    unsigned caps;
    const char *file;     /* more settings of the whole file */
    const char *channels; /* rules; NULL: all to the bot */
};

struct chat_world *chat_world_new(const struct setup *s);
void chat_world_free(struct chat_world *w);
void configure(struct chat_world *w, const struct setup *s); /* for the next restart */
/* As if the bot was killed and started again: running turns are given up, what is on disk stays. */
void restart(struct chat_world *w);
void forget_events(struct chat_world *w);

/* --- acting and looking --- */
void say_as(struct chat_world *w, const char *chat, const char *sender, const char *id, const char *text, bool direct);
void say(struct chat_world *w, const char *id, const char *text); /* alice, alone with the bot in "c" */
size_t count(const struct chat_world *w, const char *kind);
void wait_for(struct chat_world *w, const char *kind, size_t n); /* exactly so many events of this kind */
const struct event *nth(const struct chat_world *w, const char *kind, size_t n);
void assert_rising(const struct chat_world *w); /* every event's number is higher than that of the event before */
void settle(struct chat_world *w); /* turns the loop until nothing is under way */
void wait_for_rows(struct chat_world *w, int n); /* in the outbox */
void deliver_all(struct chat_world *w); /* turns the loop until nothing is under way, and the outbox is empty */
void assert_dead(struct chat_world *w, const char *reason); /* there is one dead letter, and this is why */

#endif
