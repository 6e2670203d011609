#include "adapters/lanying/address.h"

#include "adapters/lanying/ids.h"
#include "plugin/adapter.h"
#include "plugin/base/utf8.h"

/* White space, and the invisible characters with which clients end a mention. */
static bool is_blank(uint32_t cp)
{
    return cp == ' ' || (cp >= '\t' && cp <= '\r') || cp == 0xa0 || (cp >= 0x2000 && cp <= 0x200d) || cp == 0x2060 ||
           cp == 0x3000;
}

static size_t skip_blanks(const char *text, size_t len, size_t at)
{
    for (size_t next = at; next < len; at = next)
        if (!is_blank(utf8_next(text, len, &next)))
            break;
    return at;
}

static size_t skip_word(const char *text, size_t len, size_t at)
{
    for (size_t next = at; next < len; at = next)
        if (is_blank(utf8_next(text, len, &next)))
            break;
    return at;
}

size_t address_mentions(const char *text, size_t len)
{
    size_t at = skip_blanks(text, len, 0);

    while (at < len && text[at] == '@')
        at = skip_blanks(text, len, skip_word(text, len, at));
    return at < len ? at : 0;
}

static bool matches(const struct strings *patterns, const char *id)
{
    for (size_t i = 0; i < patterns->n; i++)
        if (config_glob(patterns->v[i], id))
            return true;
    return false;
}

bool address_allowed(const struct address_list *list, uint64_t id)
{
    char digits[LY_ID_BYTES];

    ly_id_print(digits, id);
    return matches(&list->allow, digits) && !matches(&list->deny, digits);
}
