#include "plugin/web/coding.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#define BLANKS " \t"
#define WEIGHT_MAX 1000 /* weights are in thousandths */
#define WEIGHT_DIGITS_MAX 3
#define UNNAMED (-1)

/* "0.25", of n characters. RFC 9110 12.4.2; 0 for anything else. */
static int parse_weight(const char *s, size_t n)
{
    int weight, unit = WEIGHT_MAX;

    if (n == 0 || n > 2 + WEIGHT_DIGITS_MAX || (s[0] != '0' && s[0] != '1') || (n > 1 && s[1] != '.'))
        return 0;
    weight = (s[0] - '0') * unit;
    for (size_t i = 2; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return 0;
        unit /= 10;
        weight += (s[i] - '0') * unit;
    }
    return weight <= WEIGHT_MAX ? weight : 0;
}

/* What stands behind the name of one entry: nothing, or ";q=0.25" with blanks. */
static int entry_weight(const char *s, const char *end)
{
    s += strspn(s, BLANKS);
    if (s == end)
        return WEIGHT_MAX;
    if (*s != ';')
        return 0;
    s++;
    s += strspn(s, BLANKS);
    if (strncasecmp(s, "q=", 2) != 0)
        return 0;
    s += 2;
    while (end > s && strchr(BLANKS, end[-1]))
        end--;
    return parse_weight(s, (size_t)(end - s));
}

/* What the list says of this name; UNNAMED if nothing. */
static int weight_of(const char *list, const char *name)
{
    size_t len = strlen(name);

    while (*list) {
        const char *end;
        size_t n;

        list += strspn(list, BLANKS ",");
        end = list + strcspn(list, ",");
        n = strcspn(list, BLANKS ",;");
        if (n == len && strncasecmp(list, name, len) == 0)
            return entry_weight(list + n, end);
        list = end;
    }
    return UNNAMED;
}

bool coding_accepted(const char *accept, const char *coding)
{
    int weight;

    if (!accept)
        return false;
    weight = weight_of(accept, coding);
    if (weight == UNNAMED)
        weight = weight_of(accept, "*");
    return weight > 0 && weight >= weight_of(accept, "identity");
}
