/* address.h: whom a message is for, as far as its text and its sender tell.
 * Pure. */
#ifndef WARBLER_LANYING_ADDRESS_H
#define WARBLER_LANYING_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/schema.h"

/* Bytes of the leading run of "@word" and white space; all of the text counts
 * as words if nothing else is in it, and then it is 0. */
size_t address_mentions(const char *text, size_t len);

/* Whom the account listens to: patterns over ids. Not over names, which people
 * give themselves. */
struct address_list {
    struct strings allow, deny;
};
bool address_allowed(const struct address_list *list, uint64_t id);

#endif
