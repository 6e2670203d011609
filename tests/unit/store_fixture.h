/* store_fixture.h: a store in a directory of its own, and every call of it as
 * one that waits. Results live until the fixture ends. */
#ifndef WARBLER_TESTS_STORE_FIXTURE_H
#define WARBLER_TESTS_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plugin/base/arena.h"
#include "plugin/store/store.h"

struct fixture {
    char top[64]; /* the temporary directory */
    char dir[80]; /* data_dir in it */
    struct loop *loop;
    struct store *store;
    struct arena *arena;
    /* what the last call of each kind told */
    bool waiting;
    struct err err;
    struct store_accepted accepted;
    struct store_channel channel;
    struct store_msg *msgs;
    struct store_out *outs;
    struct store_pending *pendings;
    struct store_item *items;
    struct store_usage_sum *sums;
    struct store_count *counts;
    size_t n;
    struct store_withdrawn withdrawn; /* without its text */
    const char *value;
    int64_t expires_ms;
    bool flag; /* more, changed */
};

int fx_setup(void **state);    /* with an open store */
int fx_setup_shut(void **state); /* with a loop and a directory only */
int fx_teardown(void **state);
void fx_open(struct fixture *f);
void fx_reopen(struct fixture *f);
void fx_wait(struct fixture *f); /* turns the loop until the call set waiting = false */
char *fx_path(struct fixture *f, const char *name); /* in the data directory */
/* Runs SQL on the file behind the store's back; gives the first value as text, or NULL. */
const char *fx_sql(struct fixture *f, const char *sql);

/* Channel "web:CHAT" of account "web". */
struct store_msg fx_person(int64_t seq, const char *sender, const char *id);
enum err_code fx_accept_msg(struct fixture *f, const char *chat, const struct store_msg *m);
int64_t fx_accept_ok(struct fixture *f, const char *chat, int64_t seq); /* from "ann", id "m<seq>"; the channel's id */
enum err_code fx_turn_of(struct fixture *f, int64_t channel, int64_t lead, const int64_t *seqs, size_t n,
                      const int64_t *drop, size_t n_drop);
enum err_code fx_finish_full(struct fixture *f, const struct store_finish *in);
enum err_code fx_finish_with(struct fixture *f, int64_t channel, int64_t lead, enum store_outcome outcome, int64_t answer);
enum err_code fx_finish_parts(struct fixture *f, int64_t channel, int64_t lead, enum store_outcome outcome, int64_t answer,
                           size_t n_parts); /* "txn<lead>-<i>", "part <i>" */
enum err_code fx_out_open(struct fixture *f, const struct store_open *in); /* outs: its row; flag: it is fresh */
enum err_code fx_withdraw(struct fixture *f, const char *chat, const char *sender, const char *id);
enum err_code fx_out_list(struct fixture *f, int64_t after, int limit);
enum err_code fx_load(struct fixture *f, const char *chat, int n);
enum err_code fx_history(struct fixture *f, int64_t channel, int64_t after, int limit);
enum err_code fx_answer_to(struct fixture *f, int64_t channel, int64_t seq);
enum err_code fx_pending(struct fixture *f);
enum err_code fx_channel_put(struct fixture *f, const struct store_channel *c);
enum err_code fx_kv_put(struct fixture *f, const char *key, const char *value, int64_t expires_ms);
enum err_code fx_kv_get(struct fixture *f, const char *key);
enum err_code fx_prune(struct fixture *f, int64_t before_ms);
enum err_code fx_counts(struct fixture *f, int64_t now_ms);
enum err_code fx_usage_add(struct fixture *f, const struct store_usage *u);
enum err_code fx_usage_sum(struct fixture *f, enum store_usage_by by, int64_t since_ms, int64_t until_ms);
enum err_code fx_usage_prune(struct fixture *f, int64_t before_ms);
enum err_code fx_beat(struct fixture *f);
enum err_code fx_queue_list(struct fixture *f, int limit);
typedef void row_call(struct store *s, int64_t id, void (*done)(void *arg, const struct err *e), void *arg);
enum err_code fx_on_row(struct fixture *f, row_call *call, int64_t id); /* store_out_try, store_queue_* */
enum err_code fx_out_sent(struct fixture *f, int64_t id, const char *platform_id);
enum err_code fx_out_dead(struct fixture *f, int64_t id, const char *reason);

#endif
