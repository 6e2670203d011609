#include "plugin/model/retry.h"

#include <string.h>

#define DURATION_MAX_MS ((int64_t)365 * 24 * 3600 * 1000) /* longer is as good as never */

void retry_init(struct retry *r, int64_t retries, int64_t ceiling_ms)
{
    *r = (struct retry){.left = retries, .ceiling_ms = ceiling_ms};
}

bool retry_worth(enum err_code code)
{
    switch (code) {
    case ERR_NET:
    case ERR_TIMEOUT:
    case ERR_RATE:
    case ERR_OVERLOAD:
    case ERR_SERVER:
    case ERR_PROTO:
    case ERR_EMPTY:
        return true;
    default:
        return false;
    }
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
    if (r->left <= 0 || !retry_worth(code) || after_ms > r->ceiling_ms)
        return RETRY_GIVE_UP;
    if (code == ERR_EMPTY && r->empty_seen)
        return RETRY_GIVE_UP;
    r->empty_seen |= code == ERR_EMPTY;
    r->left--;
    int64_t backoff_ms = retry_backoff_ms(r->made++, chance);
    return after_ms >= 0 ? after_ms : backoff_ms;
}

/* Reads digits and a fraction; NULL if there are none. Thousandths of the number. */
static const char *number(const char *s, int64_t *thousandths_r)
{
    int64_t n = 0;
    int decimals = -1; /* no point yet */
    if (*s < '0' || *s > '9')
        return NULL;
    for (; (*s >= '0' && *s <= '9') || (*s == '.' && decimals < 0); s++) {
        if (*s == '.') {
            decimals = 0;
        } else if (decimals < 3) {
            n = n > DURATION_MAX_MS ? n : n * 10 + (*s - '0');
            decimals += decimals >= 0;
        }
    }
    for (decimals = decimals < 0 ? 0 : decimals; decimals < 3; decimals++)
        n *= 10;
    *thousandths_r = n;
    return s;
}

/* The unit at *s in milliseconds, and *s moved behind it; 0 if there is none. */
static int64_t unit_ms(const char **s)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        size_t len = strlen(units[i].name);
        if (strncmp(*s, units[i].name, len) == 0) {
            *s += len;
            return units[i].ms;
        }
    }
    return 0;
}

int64_t retry_duration_ms(const char *text)
{
    int64_t total = 0, thousandths;
    const char *s = number(text, &thousandths);
    if (!s)
        return -1;
    do {
        int64_t unit = unit_ms(&s);
        if (thousandths > DURATION_MAX_MS)
            return DURATION_MAX_MS;
        total += thousandths * (unit ? unit : 1000) / 1000;
        if (!unit || total > DURATION_MAX_MS)
            break;
    } while ((s = number(s, &thousandths)) != NULL);
    return total < DURATION_MAX_MS ? total : DURATION_MAX_MS;
}
