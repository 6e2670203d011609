/* bucket.h: so much per minute. A bucket that fills evenly and holds one minute;
 * requests take from it what they will probably need, and settle when they
 * know. It may run into debt, but by no more than one minute. Integers only. Pure. */
#ifndef WARBLER_MODEL_BUCKET_H
#define WARBLER_MODEL_BUCKET_H

#include <stdint.h>

#define BUCKET_PER_MINUTE_MAX INT64_C(1000000000000) /* configured limits are cut to this */

struct bucket {
    int64_t per_minute; /* 0: no limit of ours */
    int64_t level;      /* in 60,000ths, so that a millisecond adds a whole number */
    int64_t then_ms;    /* when it had that level */
};

void bucket_init(struct bucket *b, int64_t per_minute, int64_t now_ms); /* full; per_minute <= 0: no limit */
/* Another limit after a reload: what was taken stays taken. */
void bucket_resize(struct bucket *b, int64_t per_minute, int64_t now_ms);

/* Until amount may be taken: 0 now. More than a minute's worth counts as a
 * minute's worth: it waits for the full bucket instead of for ever. */
int64_t bucket_wait_ms(const struct bucket *b, int64_t amount, int64_t now_ms);
void bucket_take(struct bucket *b, int64_t amount, int64_t now_ms); /* goes into debt if it must */
void bucket_settle(struct bucket *b, int64_t taken, int64_t real, int64_t now_ms); /* real 0: gives all back */

int64_t bucket_level(const struct bucket *b, int64_t now_ms); /* may be negative */

#endif
