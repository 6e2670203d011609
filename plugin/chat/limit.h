/* limit.h: what people may take of the models: messages, tokens and money in a
 * period, by the configuration's list `limits`. An answer is reserved before the
 * model is asked and settled to the truth afterwards, so that answers under way
 * at the same time do not go over a limit together. Private to chat/.
 *
 * A day and a month are the local calendar's; a minute and an hour begin with
 * the first answer in them. A message counts for the period in which it was
 * asked, tokens and money for that in which they were taken. What was used
 * survives a restart (limit_counts, limit_load), what is reserved does not need
 * to. An answer that would be over a limit all by itself is let through while
 * something of the limit is left and no other is under way. */
#ifndef WARBLER_CHAT_LIMIT_H
#define WARBLER_CHAT_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "plugin/model/price.h"
#include "plugin/store/store.h"

#define LIMIT_ANSWER_TOKENS 1000 /* reserved for an answer whose model has no max_tokens */

struct limits; /* the counters */
struct limit_hold;

struct limits *limits_new(void);
void limits_free(struct limits **l); /* after the last hold; NULL-safe */
void limits_load(struct limits *l, const struct store_count *counts, size_t n);

struct limit_ask {
    const struct config *config;
    const char *account, *channel;
    const char *const *names;       /* other names of the channel that match may go by; end with NULL. NULL: none */
    const char *person;             /* NULL: limits per person do not apply */
    const struct model_conf *model;
    int64_t messages;               /* that the answer counts for: 1; 0: it is not for people */
    int64_t prompt_tokens;          /* estimated */
    int64_t now_ms;                 /* wall clock */
};

struct limit_stop {
    const struct limit_conf *limit; /* which is used up */
    bool by_messages;               /* else by tokens or money */
    int64_t again_ms;               /* when its next period begins; 0: as soon as answers under way are done */
};

/* Limits are looked at in their order in the file. One that is used up and has
 * a degrade_to changes ask->model, once, and the next one decides; the first
 * without ends it: false, nothing is reserved, and *stop_r says which. The hold
 * refers to the configuration. */
bool limit_reserve(struct limits *l, struct limit_ask *ask, struct limit_hold **hold_r, struct limit_stop *stop_r);

/* What a request of it really took; the estimate stays reserved. cost NULL: not known. */
void limit_take(struct limit_hold *h, int64_t tokens, const struct money *cost, int64_t now_ms);
/* It is done, and counts as a message: the estimate goes. Once. */
void limit_settle(struct limit_hold *h, int64_t now_ms);
/* How the counters that h touched stand now, for the commit; texts are theirs. */
size_t limit_count(const struct limit_hold *h);
void limit_counts(const struct limit_hold *h, struct store_count *counts_r);
/* Gives back what was not settled. NULL-safe. */
void limit_release(struct limit_hold **h);

/* What is left of the limits of this one person. */
struct limit_left {
    const struct limit_conf *limit;
    int64_t messages, tokens; /* where the limit has them */
    int money_percent;
};
void limit_each_left(const struct limits *l, const struct limit_ask *ask,
                     void (*fn)(void *arg, const struct limit_left *left), void *arg);

#endif
