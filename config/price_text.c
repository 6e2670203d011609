#include "config/price_text.h"

#include <string.h>
#include <time.h>

#include "plugin/base/decimal.h"

#define DAY_MINUTES (24 * 60)
#define EAST_MAX_MINUTES (14 * 60)

bool price_text_amount(const char *text, int64_t *amount_r)
{
    return !strpbrk(text, "eE") && decimal_read(text, strlen(text), MONEY_PLACES, amount_r) == DECIMAL_EXACT;
}

static bool read_factor(const char *text, int64_t *factor_r)
{
    return !strpbrk(text, "eE") && decimal_read(text, strlen(text), FACTOR_PLACES, factor_r) == DECIMAL_EXACT &&
           *factor_r <= FACTOR_MAX;
}

bool price_text_tier(const char *text, size_t *name_r, int64_t *factor_r)
{
    *name_r = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    return *name_r > 0 && text[*name_r] == '=' && read_factor(text + *name_r + 1, factor_r);
}

/* n digits at *text, which moves behind them. */
static bool take_digits(const char **text, int n, int *value_r)
{
    *value_r = 0;
    for (; n > 0; n--, (*text)++) {
        if (**text < '0' || **text > '9')
            return false;
        *value_r = *value_r * 10 + (**text - '0');
    }
    return true;
}

static bool take_char(const char **text, char c)
{
    if (**text != c)
        return false;
    ++*text;
    return true;
}

/* "08:30" */
static bool take_time(const char **text, int *minutes_r)
{
    int hour, minute;
    if (!take_digits(text, 2, &hour) || !take_char(text, ':') || !take_digits(text, 2, &minute) || minute > 59)
        return false;
    *minutes_r = hour * 60 + minute;
    return *minutes_r <= DAY_MINUTES;
}

bool price_text_hours(const char *text, struct price_hours *hours_r)
{
    struct price_hours h = { 0 };
    bool west;
    if (!take_time(&text, &h.from) || !take_char(&text, '-') || !take_time(&text, &h.to) || h.from == h.to)
        return false;
    west = *text == '-';
    if (take_char(&text, '+') || take_char(&text, '-')) {
        if (!take_time(&text, &h.east) || h.east > EAST_MAX_MINUTES)
            return false;
        h.east = west ? -h.east : h.east;
    }
    if (!take_char(&text, '=') || !read_factor(text, &h.factor))
        return false;
    *hours_r = h;
    return true;
}

bool price_text_date(const char *text, int64_t *ms_r)
{
    struct tm tm = { 0 };
    if (!take_digits(&text, 4, &tm.tm_year) || !take_char(&text, '-') || !take_digits(&text, 2, &tm.tm_mon) ||
        !take_char(&text, '-') || !take_digits(&text, 2, &tm.tm_mday) || *text)
        return false;
    int year = tm.tm_year -= 1900, month = tm.tm_mon -= 1, day = tm.tm_mday;
    *ms_r = (int64_t)timegm(&tm) * 1000; /* turns 30 February into another day */
    return tm.tm_year == year && tm.tm_mon == month && tm.tm_mday == day;
}
