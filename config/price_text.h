/* price_text.h: amounts, factors, hours and dates as they are written in the
 * list `prices`. The checks of the settings and the one who calculates
 * (plugin/model/price.c) read them by the same functions. Pure. */
#ifndef WARBLER_CONFIG_PRICE_TEXT_H
#define WARBLER_CONFIG_PRICE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MONEY_PLACES 12 /* money is counted in 10^-12 of its currency */
#define FACTOR_PLACES 6
#define FACTOR_ONE 1000000
#define FACTOR_MAX (1000 * FACTOR_ONE)

struct price_hours {
    int from, to;   /* minutes of the day; to <= from: over midnight. to itself is outside */
    int east;       /* minutes that the clock is ahead of UTC */
    int64_t factor; /* of FACTOR_ONE */
};

bool price_text_amount(const char *text, int64_t *amount_r);             /* "2.50"; exactly */
bool price_text_tier(const char *text, size_t *name_r, int64_t *factor_r); /* "flex=0.5"; length of the name */
bool price_text_hours(const char *text, struct price_hours *hours_r);    /* "00:30-08:30+08:00=0.5" */
bool price_text_date(const char *text, int64_t *ms_r);                   /* "2026-08-01": that midnight, UTC */

#endif
