/* What people take back or mark after they said it (chat.h). */
#include <string.h>
#include <utlist.h>

#include "plugin/base/log.h"
#include "plugin/chat/core.h"
#include "plugin/chat/ending.h"
#include "plugin/chat/turn.h"

static bool is_message(const struct question *q, const char *sender, const char *id)
{
    return q->sender && strcmp(q->sender, sender) == 0 && strcmp(q->id, id) == 0;
}

void chat_withdrawn(struct chat *core, struct adapter *a, const char *chat, const char *thread, const char *id,
                    const char *sender)
{
    struct channel *ch = channel_get(core, a, chat, thread);
    struct question *q, *tmp, *list = NULL;
    DL_FOREACH_SAFE(ch->queue, q, tmp)
        if (is_message(q, sender, id)) {
            channel_dequeue(ch, q);
            DL_APPEND(list, q);
        }
    if (list)
        ending_silent(ch, list);
    if (ch->turn && turn_has_question(ch->turn, sender, id))
        turn_cancel(ch->turn);
}

void chat_reaction(struct chat *core, struct adapter *a, const char *chat, const char *thread, const char *platform_id,
                   const char *sender, enum reaction what)
{
    struct channel *ch = channel_get(core, a, chat, thread);
    log_debug("chat", "%s: %s marked message %s with %d", ch->name, sender, platform_id, (int)what);
}
