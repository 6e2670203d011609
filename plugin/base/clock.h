/* clock.h: the time, and the one place where tests move it.
 *
 * Monotonic milliseconds for timers, wall milliseconds since 1970 for what is
 * stored or shown. After clock_test_freeze both stand still and move only by
 * clock_test_advance. Readable from every thread. */
#ifndef WARBLER_BASE_CLOCK_H
#define WARBLER_BASE_CLOCK_H

#include <stdint.h>

int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);
int64_t clock_wall_ms(void);

void clock_test_freeze(int64_t wall_ms);
void clock_test_advance(int64_t ms);

#endif
