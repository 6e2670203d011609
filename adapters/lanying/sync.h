/* sync.h: what is to be fetched, and in which order. lanying.md, sections 8,
 * 15 and 21a.
 *
 * Each conversation does one thing at a time: look back after its own position
 * (after a login, and where something of ours is in doubt), then pull what the
 * server calls new. The next page is asked for when the last one is in the
 * journal, so that memory is bounded by a page per conversation at work. */
#ifndef WARBLER_LANYING_SYNC_H
#define WARBLER_LANYING_SYNC_H

#include "adapters/lanying/chats.h"

#define SYNC_AT_ONCE_MAX 16   /* conversations at work */
#define SYNC_PER_SECOND 20    /* requests, as the vendor's client */
#define SYNC_ANSWER_MS 10000  /* for a page */
#define SYNC_AGAIN_MS 5000    /* before what failed is asked again */
#define SYNC_TRIES 3          /* then not before there is news of the conversation, or a login */
#define SYNC_PAGE 20          /* messages of a look back asked for at once */
#define SYNC_OWN_PAGES 3      /* looked through for own messages that are in doubt */
#define SYNC_LATE_PAGES 2     /* looked through for context, beyond what is answered */

struct sync {
    struct chat *queue;
    unsigned at_work;
    double allowance; /* requests that may go now */
    int64_t allowance_ms;
    bool first;       /* the next list of unread ones is the first since the login */
    struct timer pace, again;
    struct defer step;
};

void ly_sync_init(struct lanying *ly);
void ly_sync_fini(struct lanying *ly);
void ly_sync_online(struct lanying *ly);
void ly_sync_offline(struct lanying *ly);

/* From a carrier. An event is handed over for good. */
void ly_sync_unread(struct lanying *ly, uint64_t chat, bool group, int64_t n); /* one of the list */
void ly_sync_unread_end(struct lanying *ly);
void ly_sync_notice(struct lanying *ly, uint64_t chat);
void ly_sync_event(struct lanying *ly, struct event *ev); /* of a pull, or unasked */
void ly_sync_pulled(struct lanying *ly, struct chat *c, uint64_t next_key); /* the page's events are through */
void ly_sync_past(struct lanying *ly, struct chat *c, struct event *ev);    /* of a look, newest first */
void ly_sync_looked(struct lanying *ly, struct chat *c, bool last);         /* the page's events are through */
void ly_sync_failed(struct lanying *ly, struct chat *c, const char *why);   /* the page did not come; it is asked for again */

/* From the others of this folder. */
void ly_sync_look(struct lanying *ly, struct chat *c);    /* something of ours is in doubt there */
void ly_sync_kept(struct lanying *ly);                    /* new conversations are on disk */
void ly_sync_drained(struct lanying *ly, struct chat *c); /* its events are in the journal */

#endif
