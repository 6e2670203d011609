/* answer.h: one answer, from its first part to its complete text. lanying.md,
 * section 11.
 *
 * A text that grows is held back until there is enough of it, then said, then
 * added to, and replaced by its complete form at the end; one that is complete
 * before that is said at once. What people see is always the complete text in
 * the end, whatever was lost on the way. */
#ifndef WARBLER_LANYING_ANSWER_H
#define WARBLER_LANYING_ANSWER_H

#include <stdint.h>

#include "plugin/adapter.h"
#include "plugin/base/table.h"

#define ANSWER_FIRST_CHARS 10 /* fewer are not worth a first part */
#define ANSWER_STEP_MS 1000   /* no part sooner after the last one */

struct lanying;
struct answer;

struct answers {
    struct answer *all;
};

void answers_init(struct lanying *ly);
void answers_fini(struct lanying *ly);
void answer_say(struct lanying *ly, const struct msg_out *m);    /* ops->send */
void answer_edit(struct lanying *ly, const struct msg_out *m);   /* ops->edit */
void answer_remove(struct lanying *ly, const struct msg_out *m); /* ops->remove */

#endif
