/* lanying.h: one account of Lanying IM, as the files of this folder share it.
 *
 *   lanying.c   ops and settings
 *   session.c   from nothing to online, and down again, in steps: servers.c,
 *               entry.c (who the bot is, its token), greeting.c (the login)
 *   sync.c      what is to be fetched, in which order: notices, pulls, looks back
 *   websocket.c, rest.c, webhook.c   the three ways to the server
 *   intake.c    events to the host, one conversation's in their order; who speaks
 *   notice.c    system notices: friend requests, groups, kicks
 *   posting.c   what the bot does, until the server confirmed it
 *   answer.c    one answer from its first part to its complete text
 *   status.c    the line that says that one is being made
 *   chats.c, roster.c   conversations and positions; names
 *   api.c, link.c       HTTP calls; one WebSocket
 *
 * Below these, all pure: codec, wire, socketio, event, ext, address, places, ids. */
#ifndef WARBLER_LANYING_LANYING_H
#define WARBLER_LANYING_LANYING_H

#include <stdbool.h>
#include <stdint.h>

#include "adapters/lanying/address.h"
#include "adapters/lanying/answer.h"
#include "adapters/lanying/api.h"
#include "adapters/lanying/chats.h"
#include "adapters/lanying/ids.h"
#include "adapters/lanying/intake.h"
#include "adapters/lanying/link.h"
#include "adapters/lanying/places.h"
#include "adapters/lanying/posting.h"
#include "adapters/lanying/roster.h"
#include "adapters/lanying/session.h"
#include "adapters/lanying/status.h"
#include "adapters/lanying/sync.h"
#include "plugin/adapter.h"

#define BEAT_MS 50000         /* between two heartbeats */
#define BEAT_SILENCE_MS 20000 /* nothing at all heard after one: the connection is dead */

enum mode { MODE_WEBSOCKET, MODE_WEBHOOK, MODE_POLL };
enum transport { TRANSPORT_AUTO, TRANSPORT_SOCKETIO, TRANSPORT_RAW };
enum group_context { GROUP_CONTEXT_ALL, GROUP_CONTEXT_MENTION };

struct lanying_conf {
    char *app_id, *username;
    int64_t user_id;
    struct secret password;
    int mode, transport; /* enums above */
    char *dns_url, *api_endpoint, *ws_url;
    struct secret admin_token, callback_signature;
    char *webhook_path;
    int64_t poll_interval; /* ms */
    bool auto_accept_friend, auto_accept_invite;
    int64_t stream_interval; /* seconds */
    int64_t text_max;        /* characters */
    bool mention_all;
    bool status_line;
    int group_context;
    struct address_list users, groups;
    struct {
        int64_t max_age, max_messages;
    } catch_up;
};

struct lanying {
    struct adapter *a; /* NULL until init() */
    struct places places;
    struct api api;
    struct session session;
    struct chats chats;
    struct sync sync;
    struct intake intake;
    struct roster roster;
    struct posting posting;
    struct answers answers;
    struct statuses statuses;
    struct {
        struct timer timer;
        int64_t asked_ms, heard_ms;
    } beat; /* websocket.c */
    struct timer poll;          /* rest.c */
    struct callback *callbacks; /* webhook.c */
    struct lanying *next_listening;
    bool listens;
};

static inline const struct lanying_conf *lanying_conf(const struct lanying *ly)
{
    return ly->a->conf->settings;
}

static inline const char *lanying_name(const struct lanying *ly)
{
    return ly->a->conf->name;
}

static inline bool failed(const struct err *e)
{
    return e && e->code != ERR_OK;
}

/* The three ways to the server. They are asked while the account is online
 * only; what they bring goes to sync_*() and posting_*(). */
struct carrier {
    void (*online)(struct lanying *ly);  /* just now: ask what is new */
    void (*offline)(struct lanying *ly); /* forget what was asked; NULL-safe to call when not online */
    /* A page of what is new in a conversation, and, newest first and from
     * before `from` (0: the newest), of what was said in it. */
    void (*pull)(struct lanying *ly, struct chat *c, uint64_t key); /* NULL: this way knows only the past */
    void (*look)(struct lanying *ly, struct chat *c, uint64_t from);
    void (*transmit)(struct lanying *ly, struct parcel *p); /* posting_answered() follows, or the connection breaks */
    /* All that was found in a conversation is on disk. NULL: read receipts do, as for people. */
    void (*read)(struct lanying *ly, struct chat *c);
};
extern const struct carrier carrier_websocket, carrier_webhook, carrier_poll;

/* As much of a text of the server's as an error may show: nothing of one that repeats a secret. */
int lanying_shown(const struct lanying *ly, const char *text, size_t len);
enum api_as lanying_as(const struct lanying *ly); /* whose token calls carry */
const struct carrier *lanying_carrier(const struct lanying *ly);
void websocket_init(struct lanying *ly);
void websocket_fini(struct lanying *ly);
void websocket_frame(struct lanying *ly, const struct ly_frame *frame); /* while online */
void rest_init(struct lanying *ly);
void rest_fini(struct lanying *ly);
enum err_code webhook_init(struct lanying *ly, struct err *e);
void webhook_fini(struct lanying *ly);
void webhook_go_on(struct lanying *ly); /* online: what came too early is taken */
void webhook_through(struct callback *cb); /* its event is in the journal, or of no interest */

#endif
