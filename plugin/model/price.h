/* price.h: what an answer costs, by the configuration's list `prices`
 * (chat-completions reference, section 12). Whole numbers only: money is
 * counted in 10^-12 of its currency, and what would be more than an int64_t
 * can hold stays at its end. Pure. */
#ifndef WARBLER_MODEL_PRICE_H
#define WARBLER_MODEL_PRICE_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "plugin/model/completion.h"

#define PRICE_SERVER_CURRENCY "USD" /* of a cost that a server names, unless `prices` has another for its model */

struct money {
    int64_t amount;       /* of 10^-12 */
    const char *currency; /* the configuration's, or static */
};

/* The entry for m at that time, or NULL: of those that have begun, the one with
 * the longest pattern that matches, and of these the newest. */
const struct price_conf *price_find(const struct config *c, const struct model_conf *m, int64_t wall_ms);

/* What u came to with m. tier: the service tier that answered; "" or NULL: the
 * usual one. False: neither the server nor `prices` says, and *cost_r is untouched. */
bool price_cost(const struct config *c, const struct model_conf *m, const struct usage *u, const char *tier,
                int64_t wall_ms, struct money *cost_r);

#endif
