/* coding.h: which content codings a client takes. RFC 9110 12.5.3. Pure. */
#ifndef WARBLER_WEB_CODING_H
#define WARBLER_WEB_CODING_H

#include <stdbool.h>

/* Whether an answer in this coding ("gzip") is welcome to whoever sent this
 * Accept-Encoding, and no less than a plain one. accept may be NULL: who says
 * nothing gets the plain one. An entry with a malformed weight is refused. */
bool coding_accepted(const char *accept, const char *coding);

#endif
