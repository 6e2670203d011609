#include "plugin/base/clock.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

static atomic_bool frozen;
static _Atomic int64_t frozen_mono_us, frozen_wall_ms;

static int64_t now_us(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_mono_us(void)
{
    return atomic_load(&frozen) ? atomic_load(&frozen_mono_us) : now_us(CLOCK_MONOTONIC);
}

int64_t clock_mono_ms(void)
{
    return clock_mono_us() / 1000;
}

int64_t clock_wall_ms(void)
{
    return atomic_load(&frozen) ? atomic_load(&frozen_wall_ms) : now_us(CLOCK_REALTIME) / 1000;
}

void clock_test_freeze(int64_t wall_ms)
{
    /* The times first: who sees the flag must see them too. */
    atomic_store(&frozen_mono_us, clock_mono_us());
    atomic_store(&frozen_wall_ms, wall_ms);
    atomic_store(&frozen, true);
}

void clock_test_advance(int64_t ms)
{
    atomic_fetch_add(&frozen_mono_us, ms * 1000);
    atomic_fetch_add(&frozen_wall_ms, ms);
}
