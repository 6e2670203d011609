/* person.h: names of people for model servers. A pseudonym is the same for one
 * person at all times, and tells nobody who that is: it is made with a random
 * salt that never leaves the store. Private to chat/. */
#ifndef WARBLER_CHAT_PERSON_H
#define WARBLER_CHAT_PERSON_H

#include <stdbool.h>

#define PERSON_SALT_DIGITS 64
#define PERSON_DIGITS 32

struct chat;

/* Reads the salt from the store, or makes one. Once; the store keeps the order
 * of calls, so it is there before any message. */
void person_begin(struct chat *core);

/* False: there is no salt (yet), so no pseudonym either. */
bool person_of(char out[PERSON_DIGITS + 1], const struct chat *core, const char *account, const char *sender);

#endif
