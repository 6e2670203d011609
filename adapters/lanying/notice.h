/* notice.h: what the system tells: friend requests, groups, logins. lanying.md,
 * section 14. */
#ifndef WARBLER_LANYING_NOTICE_H
#define WARBLER_LANYING_NOTICE_H

#include "adapters/lanying/event.h"

struct lanying;

void notice_take(struct lanying *ly, struct event *ev); /* takes it; the session may be over when it returns */
void notice_online(struct lanying *ly); /* accepts what was asked while the bot was away, where that is configured */

#endif
