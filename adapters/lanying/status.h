/* status.h: the line that says that an answer is being made: a message of its
 * own, which goes when the answer comes. Only where the account wants it. */
#ifndef WARBLER_LANYING_STATUS_H
#define WARBLER_LANYING_STATUS_H

#include <stdbool.h>
#include <stdint.h>

struct lanying;
struct event;

struct statuses {
    struct status *all;
};

void statuses_fini(struct lanying *ly);
void status_work(struct lanying *ly, uint64_t chat, bool on); /* an answer begins or ends there; counted */
void status_found(struct lanying *ly, const struct event *ev); /* a line in the past: an earlier run's goes */

#endif
