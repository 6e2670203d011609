#include "config/glob.h"

#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "plugin/base/mem.h"
#include "plugin/base/utf8.h"

#define UTF8_BYTES_MAX 4 /* of one character */

static uint32_t next(const char **s)
{
    size_t i = 0;
    uint32_t point = utf8_next(*s, strnlen(*s, UTF8_BYTES_MAX), &i);

    *s += i;
    return point;
}

/* Behind the ] that ends the class at *open, or NULL: then [ is a plain letter. */
static const char *class_end(const char *open)
{
    const char *first = open + 1 + (open[1] == '!'), *end;

    end = *first ? strchr(first + 1, ']') : NULL;
    return end ? end + 1 : NULL;
}

static bool in_class(const char *open, const char *end, uint32_t point)
{
    bool negated = open[1] == '!', found = false;
    const char *c = open + 1 + negated;

    while (c < end - 1) {
        uint32_t low = next(&c), high = low;

        if (c[0] == '-' && c + 1 < end - 1) {
            c++;
            high = next(&c);
        }
        found |= point >= low && point <= high;
    }
    return found != negated;
}

/* One character of the text against the pattern's first item, which is no *.
 * Both move on if they match. */
static bool match_one(const char **pattern, const char **text)
{
    const char *p = *pattern, *end = *p == '[' ? class_end(p) : NULL;
    uint32_t point;

    if (!*p || !**text)
        return false;
    point = next(text);
    if (end) {
        *pattern = end;
        return in_class(p, end, point);
    }
    return next(pattern) == point || *p == '?';
}

/* Only the last * is ever tried again, so the work is bounded by the product
 * of both lengths. */
bool config_glob(const char *pattern, const char *text)
{
    const char *star = NULL, *retry = NULL;

    while (*text) {
        const char *p = pattern, *t = text;

        if (*p == '*') {
            star = ++pattern;
            retry = text;
        } else if (match_one(&p, &t)) {
            pattern = p;
            text = t;
        } else if (star) {
            next(&retry);
            pattern = star;
            text = retry;
        } else {
            return false;
        }
    }
    return pattern[strspn(pattern, "*")] == '\0';
}

bool glob_matches_channel(const char *pattern, const char *channel)
{
    char *name = mem_dup(channel), *slash;
    bool found = config_glob(pattern, name);

    while (!found && (slash = strrchr(name, '/'))) {
        *slash = '\0';
        found = config_glob(pattern, name);
    }
    free(name);
    return found;
}

bool glob_matches_any(const char *pattern, const char *const *names)
{
    for (; *names; names++)
        if (glob_matches_channel(pattern, *names))
            return true;
    return false;
}

bool glob_covers(const char *earlier, const char *later)
{
    size_t fixed = strcspn(earlier, "*?[");

    if (strcmp(earlier, later) == 0)
        return true;
    if (!strpbrk(later, "*?["))
        return glob_matches_channel(earlier, later);
    /* With a fixed beginning and then anything, only later's beginning counts. */
    return strcmp(earlier + fixed, "*") == 0 && strncmp(earlier, later, fixed) == 0;
}

bool glob_reaches_account(const char *pattern, const char *account)
{
    struct buf name;
    const char *text;
    bool reaches = true;

    buf_init(&name, strlen(account) + 1);
    buf_adds(&name, account);
    buf_addc(&name, ':');
    /* What follows the colon can be anything, and a * swallows what is left before it. */
    for (text = buf_str(&name); reaches && *text && *pattern != '*';)
        reaches = match_one(&pattern, &text);
    buf_free(&name);
    return reaches;
}
