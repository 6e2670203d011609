#include "plugin/model/retry.h"

#include "plugin/model/policy.h"

void retry_init(struct retry *r, int64_t retries, int64_t ceiling_ms)
{
    *r = (struct retry){.left = retries, .ceiling_ms = ceiling_ms};
}

int64_t retry_backoff_ms(int n, double chance)
{
    int64_t ms = RETRY_FIRST_MS;
    for (; n > 0 && ms < RETRY_MAX_MS; n--)
        ms *= 2;
    return (int64_t)((double)ms * (1 - RETRY_JITTER * chance));
}

int64_t retry_next(struct retry *r, enum err_code code, int64_t after_ms, double chance)
{
    if (r->left <= 0 || !policy_of(code)->again || after_ms > r->ceiling_ms)
        return RETRY_GIVE_UP;
    if (code == ERR_EMPTY && r->empty_seen)
        return RETRY_GIVE_UP;
    r->empty_seen |= code == ERR_EMPTY;
    r->left--;
    int64_t backoff_ms = retry_backoff_ms(r->made++, chance);
    return after_ms >= 0 ? after_ms : backoff_ms;
}
