/* chat.h: the bot's core: from a platform's message to the answer's last event.
 *
 * inbox accepts, channel keeps the conversation, turn makes the answer, outbox
 * delivers it. It meets platforms only through adapter.h: daemon.c installs the
 * functions below as the adapters' host. Loop thread only. */
#ifndef WARBLER_CHAT_CHAT_H
#define WARBLER_CHAT_CHAT_H

#include "config/config.h"
#include "plugin/adapter.h"
#include "plugin/model/completion.h"
#include "plugin/store/store.h"

#define TURNS_RUNNING_MAX 1024U             /* answers made at the same time; more wait their turn */
#define MESSAGE_TEXT_BYTES_MAX (256U * 1024) /* of a person's message, whatever the platform allows */
#define RESUME_TRIES_MAX 10                 /* starts that found the same message unanswered; then it is a dead letter */
#define STORE_RETRY_MS 1000                 /* between tries to write an answer to a store that fails */

struct chat;

struct chat_env {
    struct loop *loop;
    struct store *store;
    struct model_client *models;
    struct config *config; /* a reference is taken */
    struct adapter *(*find)(void *arg, const char *account); /* NULL: no such account now */
    bool (*online)(void *arg, const struct adapter *a); /* may messages be sent through it now? */
    const struct remark *(*remarks)(void *arg, const struct adapter *a); /* base/remark.h; NULL: there are none, or nobody knows */
    void *arg;
};

struct chat *chat_new(const struct chat_env *env);
void chat_free(struct chat **core); /* the store must be closed before: its callbacks point here */

void chat_reload(struct chat *core, struct config *config);
/* Takes up what an earlier run left: unanswered messages, unsent parts. Once,
 * when the accounts are made. */
void chat_resume(struct chat *core);
/* Takes up what `warbler queue` gave back. */
void chat_look_again(struct chat *core);
/* Starts no more turns. */
void chat_drain(struct chat *core);
bool chat_busy(const struct chat *core); /* answers running, commits under way */
/* Gives up running turns without an outcome: they are taken up at the next start. */
void chat_park(struct chat *core);
/* The account is about to be freed. */
void chat_forget(struct chat *core, struct adapter *a);

/* The account came online: what waits for it is sent. */
void chat_online(struct chat *core, struct adapter *a);

/* --- the adapters' host --- */
void chat_message(struct chat *core, struct adapter *a, const struct msg_in *m);
void chat_withdrawn(struct chat *core, struct adapter *a, const char *chat, const char *thread, const char *id,
                    const char *sender);
void chat_reaction(struct chat *core, struct adapter *a, const char *chat, const char *thread, const char *platform_id,
                   const char *sender, enum reaction what);
void chat_history(struct chat *core, struct adapter *a, const char *chat, const char *thread, int64_t after, int limit,
                  adapter_page_fn *fn, void *arg);
void chat_answer(struct chat *core, struct adapter *a, const char *chat, const char *thread, int64_t seq,
                 adapter_page_fn *fn, void *arg);
void chat_keep(struct chat *core, struct adapter *a, const char *key, const char *value, int64_t expires_ms,
               void (*done)(void *arg, const struct err *e), void *arg);
void chat_recall(struct chat *core, struct adapter *a, const char *key,
                 void (*done)(void *arg, const char *value, int64_t expires_ms, const struct err *e), void *arg);
void chat_sent(struct chat *core, struct adapter *a, int64_t handle, const char *platform_id);
void chat_send_failed(struct chat *core, struct adapter *a, int64_t handle, const struct err *e, bool retry,
                      int64_t retry_after_ms);

#endif
