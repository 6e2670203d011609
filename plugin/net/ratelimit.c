#include "plugin/net/ratelimit.h"

#include <curl/curl.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define EPOCH_S_MIN INT64_C(1000000000) /* 2001: larger numbers are points in time, not spans */
#define EPOCH_MS_MIN (EPOCH_S_MIN * 1000)
#define DATE_S_MAX INT64_C(253402300799) /* the end of the year 9999 */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int64_t at_most(int64_t n, int64_t limit)
{
    return n < limit ? n : limit;
}

/* --- durations --- */

/* Reads digits and a fraction; NULL if there are none. Thousandths of the number. */
static const char *number(const char *s, int64_t *thousandths_r)
{
    int64_t n = 0;
    int decimals = -1; /* no point yet */
    if (!is_digit(*s))
        return NULL;
    for (; is_digit(*s) || (*s == '.' && decimals < 0); s++) {
        if (*s == '.') {
            decimals = 0;
        } else if (decimals < 3) {
            n = n > RATELIMIT_COUNT_MAX ? n : n * 10 + (*s - '0');
            decimals += decimals >= 0;
        }
    }
    for (decimals = decimals < 0 ? 0 : decimals; decimals < 3; decimals++)
        n *= 10;
    *thousandths_r = n;
    return s;
}

struct unit {
    const char *name;
    double ms;
};

/* The unit at *s, perhaps behind a blank, and *s moved behind it; NULL if there is none. */
static const struct unit *unit_at(const char **s)
{
    static const struct unit units[] = {
        {"ns", 1e-6},   {"us", 1e-3},     {"\xC2\xB5s", 1e-3}, {"ms", 1},          {"s", 1e3},
        {"m", 6e4},     {"h", 36e5},      {"d", 864e5},        {"milliseconds", 1}, {"seconds", 1e3},
        {"second", 1e3}, {"minutes", 6e4}, {"minute", 6e4},    {"hours", 36e5},    {"hour", 36e5},
        {"days", 864e5}, {"day", 864e5},
    };
    const char *at = *s + (**s == ' ');
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        size_t len = strlen(units[i].name);
        if (strncasecmp(at, units[i].name, len) == 0 && !is_letter(at[len])) {
            *s = at + len;
            return &units[i];
        }
    }
    return NULL;
}

/* As ratelimit_duration_ms(); *end_r is where it ends. */
static int64_t duration(const char *text, double default_ms, const char **end_r)
{
    double total = 0;
    int64_t thousandths;
    const char *s = text, *behind;
    while ((behind = number(s, &thousandths)) != NULL) {
        s = behind;
        const struct unit *unit = unit_at(&s);
        total += (double)thousandths * (unit ? unit->ms : default_ms) / 1000;
        if (!unit)
            break;
    }
    *end_r = s;
    if (s == text)
        return -1;
    return total < (double)RATELIMIT_MAX_MS ? (int64_t)total : RATELIMIT_MAX_MS;
}

int64_t ratelimit_duration_ms(const char *text)
{
    const char *end;
    return duration(text, 1000, &end);
}

/* value is nothing else; -1: it is. */
static int64_t whole_duration(const char *value, double default_ms)
{
    const char *end;
    int64_t ms = duration(value, default_ms, &end);
    return *end ? -1 : ms;
}

/* --- points in time --- */

static int64_t until(int64_t then_ms, int64_t now_ms)
{
    if (then_ms <= now_ms)
        return 0;
    return at_most(then_ms - now_ms, RATELIMIT_MAX_MS);
}

static int two_digits(const char *s)
{
    return (s[0] - '0') * 10 + (s[1] - '0');
}

/* Whether s begins as shape does, where d is any digit. */
static bool has_shape(const char *s, const char *shape)
{
    for (; *shape; s++, shape++)
        if (*shape == 'd' ? !is_digit(*s) : *s != *shape)
            return false;
    return true;
}

/* "Z", "+01:00": minutes before UTC; false: neither. */
static bool parse_zone(const char *s, int *minutes_r)
{
    *minutes_r = 0;
    if (strcmp(s, "Z") == 0)
        return true;
    if ((*s != '+' && *s != '-') || !has_shape(s + 1, "dd:dd") || s[6])
        return false;
    *minutes_r = (two_digits(s + 1) * 60 + two_digits(s + 4)) * (*s == '-' ? -1 : 1);
    return true;
}

/* "2026-11-21T09:05:00Z", also with a fraction or an offset; -1: none. */
static int64_t parse_rfc3339(const char *s)
{
    int minutes;
    if (!has_shape(s, "dddd-dd-ddTdd:dd:dd"))
        return -1;
    struct tm tm = {
        .tm_year = two_digits(s) * 100 + two_digits(s + 2) - 1900,
        .tm_mon = two_digits(s + 5) - 1,
        .tm_mday = two_digits(s + 8),
        .tm_hour = two_digits(s + 11),
        .tm_min = two_digits(s + 14),
        .tm_sec = two_digits(s + 17),
    };
    s += strlen("dddd-dd-ddTdd:dd:dd");
    if (*s == '.')
        for (s++; is_digit(*s);)
            s++;
    return parse_zone(s, &minutes) ? ((int64_t)timegm(&tm) - (int64_t)minutes * 60) * 1000 : -1;
}

/* --- values --- */

/* Seconds, or a date with its weekday in front. */
static int64_t parse_retry_after(const char *value, int64_t wall_ms)
{
    int64_t date_s = is_letter(*value) ? curl_getdate(value, NULL) : -1;
    if (date_s == -1)
        return whole_duration(value, 1000);
    return until(at_most(date_s, DATE_S_MAX) * 1000, wall_ms); /* libcurl takes years of ten digits */
}

static int64_t parse_reset(const char *value, int64_t wall_ms)
{
    int64_t then = parse_rfc3339(value), thousandths;
    if (then >= 0)
        return until(then, wall_ms);
    const char *end = number(value, &thousandths);
    if (end && !*end && thousandths >= EPOCH_S_MIN * 1000)
        return until(thousandths / 1000 >= EPOCH_MS_MIN ? thousandths / 1000 : thousandths, wall_ms);
    return whole_duration(value, 1000);
}

/* "5000", "5000.0", "5000, 5000;w=60". */
static int64_t parse_count(const char *value)
{
    int64_t thousandths;
    const char *end = number(value, &thousandths);
    if (!end || (*end && !strchr(",; ", *end)))
        return -1;
    return at_most(thousandths / 1000, RATELIMIT_COUNT_MAX);
}

/* --- names --- */

/* Whether name is begin, and then *rest_r what follows. */
static bool begins(const char *name, const char *begin, const char **rest_r)
{
    size_t len = strlen(begin);
    *rest_r = name + len;
    return strncasecmp(name, begin, len) == 0;
}

static struct ratelimit_window *window_named(struct ratelimit *r, const char *name)
{
    if (strcasecmp(name, "tokens") == 0)
        return &r->tokens;
    return strcasecmp(name, "requests") == 0 || !*name ? &r->requests : NULL;
}

static bool set_field(struct ratelimit_window *w, const char *field, const char *value, int64_t wall_ms)
{
    if (!w)
        return false;
    if (strcasecmp(field, "limit") == 0)
        w->limit = parse_count(value);
    else if (strcasecmp(field, "remaining") == 0)
        w->remaining = parse_count(value);
    else if (strcasecmp(field, "reset") == 0)
        w->reset_ms = parse_reset(value, wall_ms);
    else
        return false;
    return true;
}

/* x-ratelimit-FIELD-WINDOW, x-ratelimit-FIELD, anthropic-ratelimit-WINDOW-FIELD. */
static bool window_header(struct ratelimit *r, const char *name, const char *value, int64_t wall_ms)
{
    const char *rest;
    bool window_first = begins(name, "anthropic-ratelimit-", &rest);
    char head[16];
    if (!window_first && !begins(name, "x-ratelimit-", &rest))
        return false;
    size_t len = strcspn(rest, "-");
    if (len >= sizeof head)
        return false;
    memcpy(head, rest, len);
    head[len] = '\0';
    const char *tail = rest + len + (rest[len] == '-');
    if (window_first)
        return set_field(*head ? window_named(r, head) : NULL, tail, value, wall_ms);
    return set_field(window_named(r, tail), head, value, wall_ms);
}

static void take_delay(struct ratelimit *r, int rank, int64_t ms)
{
    if (ms < 0 || rank < r->rank)
        return;
    r->rank = rank;
    r->retry_after_ms = ms;
}

bool ratelimit_header(struct ratelimit *r, const char *name, const char *value, int64_t wall_ms)
{
    if (strcasecmp(name, "retry-after-ms") == 0)
        take_delay(r, 3, whole_duration(value, 1));
    else if (strcasecmp(name, "retry-after") == 0)
        take_delay(r, 2, parse_retry_after(value, wall_ms));
    else if (strcasecmp(name, "x-ms-retry-after-ms") == 0)
        take_delay(r, 1, whole_duration(value, 1));
    else if (strcasecmp(name, "x-should-retry") == 0)
        r->should_retry = strcasecmp(value, "true") == 0 ? 1 : strcasecmp(value, "false") == 0 ? 0 : -1;
    else
        return window_header(r, name, value, wall_ms);
    return true;
}

static int64_t pause(const struct ratelimit_window *w)
{
    return w->remaining == 0 ? w->reset_ms : -1;
}

int64_t ratelimit_pause_ms(const struct ratelimit *r)
{
    int64_t requests = pause(&r->requests), tokens = pause(&r->tokens);
    return requests > tokens ? requests : tokens;
}
