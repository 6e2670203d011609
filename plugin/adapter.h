/* adapter.h: THE contract between the bot and a platform.
 *
 * An adapter speaks one platform's protocol for one account: it turns platform
 * events into struct msg_in, and struct msg_out into platform calls. It knows
 * nothing of models, prompts or history; the host knows nothing of the
 * platform. An adapter exports one symbol, `const struct adapter_ops
 * adapter_NAME`; the Makefile's ADAPTERS makes the registry.
 *
 * Rules, for both sides:
 *  - Loop thread only.
 *  - A down-call (host to adapter, through ops) never up-calls before it returns.
 *  - Strings are borrowed for the call; whoever needs them longer copies.
 *  - Every accepted send or edit completes exactly once, with adapter_sent() or
 *    adapter_send_failed(), unless the account is stopped before.
 *  - Reconnecting and back-off belong to the host: the adapter says why it is
 *    down and whether trying again can help, and the host calls start() again.
 *    Callbacks of a dead connection must be told apart by `generation`, which
 *    grows with every start().
 *  - A failed init() leaves an object on which fini() is legal. */
#ifndef WARBLER_ADAPTER_H
#define WARBLER_ADAPTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "plugin/base/err.h"
#include "plugin/net/http.h"
#include "plugin/net/loop.h"
#include "plugin/net/server.h"

#define ADAPTER_ABI 2U

/* What a platform can do; a bit that is not set means that the op is NULL. */
enum adapter_caps {
    ADAPTER_EDIT = 1,        /* a sent message can be changed: ops->edit */
    ADAPTER_TYPING = 2,      /* ops->typing */
    ADAPTER_IDEMPOTENT = 4,  /* the platform drops a repeat of the same msg_out.txn */
    ADAPTER_STORED = 8,      /* our own store is the platform: what is on disk is delivered; no outbox */
    ADAPTER_FETCH = 16,      /* ops->fetch: can look whether a reply is there */
    ADAPTER_REMOVE = 32,     /* a sent message can be taken back: ops->remove */
};
enum adapter_markup { MARKUP_MARKDOWN, MARKUP_PLAIN };
enum text_unit { UNIT_BYTES, UNIT_POINTS };

struct adapter_facts {
    unsigned caps;
    enum adapter_markup markup;
    size_t text_limit; /* of one message, in text_unit; 0: none. See adapter_text_limit() */
    enum text_unit text_unit;
    int64_t edit_interval_ms; /* no more often than this per message */
};

struct adapter;

/* What a room calls itself; `channels` may match it, prompts may name it. */
struct chat_about {
    const char *name, *topic;   /* NULL: none */
    const char *const *aliases; /* NULL-terminated, or NULL */
};
/* What a message asks of its own answer, on platforms where programs send for
 * people. The host does what the bot's `wishes` allows and ignores the rest. */
struct msg_wish {
    const char *preset;   /* name of a preset, or NULL */
    const char *prompt;   /* more for the system prompt, or NULL */
    int max_tokens;       /* 0: as configured; never more than configured */
    bool reset;           /* forget the conversation first */
    bool silent;          /* keep it, do not answer */
    bool answer;          /* answer though nobody addressed the bot */
};

#define CHAT_ID_BYTES_MAX 255U /* of a chat, and of a thread in it: no platform's are longer */

/* A message from a person. */
struct msg_in {
    const char *chat;        /* the platform's name of the room or conversation; not empty */
    const char *thread;      /* NULL: none */
    const char *id;          /* unique per chat and sender; a repeat of it is the same message */
    const char *sender;      /* stable key of the person within the account */
    const char *sender_name; /* how people see them; cleaned by the host */
    const char *text;        /* valid UTF-8 is made by the host */
    size_t len;
    const char *reply_to;    /* id of the message it replies to, or NULL */
    const char *quoted;      /* text of the message that reply_to names, if the platform tells; or NULL */
    const char *quoted_name; /* who wrote it, or NULL */
    const char *edits;       /* id of the sender's earlier message that this one replaces, or NULL; in the thread of that */
    const struct chat_about *about; /* NULL: nothing new */
    const struct msg_wish *wish;    /* NULL: none */
    const char *lang;        /* the person's language if the platform tells: "en", "zh-CN"; or NULL */
    const char *position;    /* stream position that this message brings the account to, or NULL */
    int64_t time_ms;         /* wall clock of the platform, or 0: now */
    bool direct;             /* a private conversation with the bot */
    bool mentioned;          /* the platform itself says that the bot was mentioned */
    bool reply_to_bot;       /* the platform itself says that reply_to is the bot's; ids that the host gave it knows */
    bool context_only;       /* never answered: from another bot, or too old */
    void *token;             /* the adapter's own, handed back by accepted() */
};

/* What became of a msg_in; the account may acknowledge to the platform now. */
struct msg_accepted {
    int64_t seq;         /* its place in the conversation; a duplicate's is the first one's */
    bool duplicate;      /* seen before, nothing new was written */
    bool settled;        /* a duplicate whose outcome is decided: adapter_answer() finds it */
    bool to_answer;      /* an answer or notice will follow, or did */
};

/* A message from the bot. Where our store is the platform (ADAPTER_STORED),
 * partial text comes in a send and edits with handle 0. Elsewhere a message has a
 * handle and is sent whole; or, with ADAPTER_EDIT and one of ADAPTER_IDEMPOTENT
 * and ADAPTER_FETCH, it may grow:
 *  - a send with done false; adapter_sent() must tell platform_id, also for a
 *    repeat that the platform drops, else it cannot grow nor be edited;
 *  - edits with handle 0, which nobody waits for: one that comes too early for the
 *    platform, or fails, is left out;
 *  - an edit with done and a handle, again after a crash: it makes the text what it is.
 * Events of one message must take effect in the order of the calls: the last
 * edit waits for one that is on its way. Whatever platform_id adapter_sent() tells
 * for an edit or a removal is not kept. */
struct msg_out {
    int64_t handle;       /* for adapter_sent(), adapter_send_failed(); 0: nobody waits */
    const char *chat, *thread;
    const char *id;       /* the host's id of this message: stable over restarts, unique in the chat. Where ADAPTER_STORED
                             "m", a number, "a" */
    const char *platform_id; /* what adapter_sent() said for the send, for edit and remove; NULL if not known */
    const char *txn;      /* transaction id of this very event; stable over restarts, but of partial edits */
    const char *text;     /* Markdown or plain, as the facts ask; whole text, also in edits */
    size_t len;
    int64_t seq;          /* place of this event in the conversation */
    bool first;           /* no event of this id was sent by this process */
    bool done;            /* the last event of this message */
    bool notice;          /* an error notice or a command's result, not a model's answer */
    const char *reply_to; /* id of the message that it answers */
    int64_t reply_seq;    /* its seq */
    const char *const *answers; /* NULL, or the ids of all messages answered at once, NULL-terminated */
    const char *finish;   /* with done: finish reason, "error" for an error notice, "stop" for a command's result */
    const char *usage;    /* with done: JSON object or NULL */
    enum err_code error;  /* with done and finish "error": why */
};

struct adapter_ops {
    unsigned abi;     /* ADAPTER_ABI */
    const char *name; /* as in `adapter = "…"` */
    size_t size;      /* bytes of private data; the host allocates them, zeroed: adapter->priv */
    const struct setting *settings; /* the account's own settings; filled into conf->settings */
    size_t settings_size;
    struct adapter_facts facts;

    enum err_code (*init)(struct adapter *a, struct err *e); /* once; routes are added here */
    void (*start)(struct adapter *a); /* connect; adapter_online() or adapter_down() follows from the loop */
    /* The host took the message (e NULL), or refused it: ERR_BUSY (queue full),
     * ERR_FULL (disk), ERR_IO, ERR_INVALID. Exactly once per adapter_message(). */
    void (*accepted)(struct adapter *a, const struct msg_in *m, const struct msg_accepted *r, const struct err *e);
    /* A message that had to_answer will not be answered after all (newest-wins
     * queue, /stop). May be NULL. */
    void (*silent)(struct adapter *a, const char *chat, const char *thread, int64_t seq);
    void (*send)(struct adapter *a, const struct msg_out *m); /* first event of a message */
    void (*edit)(struct adapter *a, const struct msg_out *m); /* it grew, or is final */
    void (*typing)(struct adapter *a, const char *chat, const char *thread, bool on);
    void (*fetch)(struct adapter *a, const struct msg_out *m); /* is it there? adapter_sent(), which tells where, or
                                                                  adapter_send_failed(ERR_NOT_FOUND) */
    void (*remove)(struct adapter *a, const struct msg_out *m); /* take platform_id back; completes as a send does */
    /* `warbler ping`, after init() and instead of start(): contact the platform
     * once, taking and sending nothing. adapter_online() or adapter_down()
     * follows from the loop, once, perhaps after adapter_remark(), and no other
     * up-call or service. NULL where the platform is the daemon itself, which is
     * asked how the account is. */
    void (*ping)(struct adapter *a);
    /* Prints what the platform's administrator must install to let this account
     * in (`warbler matrix-registration`); NULL: nothing of the kind. Before init(). */
    enum err_code (*registration)(const struct account_conf *conf, struct buf *out, struct err *e);
    void (*stop)(struct adapter *a); /* leave in good order; adapter_stopped() follows from the loop. NULL: nothing to do */
    void (*fini)(struct adapter *a); /* free what priv holds; no callbacks after */
};

/* One account, alive. The adapter reads all of it and writes priv and, in init(), text_limit. */
struct adapter {
    const struct adapter_ops *ops;
    const struct account_conf *conf; /* may be replaced by an equal one when the configuration is read again */
    struct loop *loop;
    struct http_client *http;
    struct server *server;  /* the daemon's own listener: routes; NULL where there is none (`warbler ping`) */
    void *priv;
    size_t text_limit; /* as the account's settings want it, in the facts' unit; 0: as the facts say */
    unsigned generation;
    const struct adapter_host *host; /* private: the host's side */
    void *host_arg;                  /* private */
};

/* --- up-calls --- */
void adapter_online(struct adapter *a);
/* Down, and why; retry false: trying again cannot help (bad credentials). */
void adapter_down(struct adapter *a, const struct err *e, bool retry);
void adapter_stopped(struct adapter *a);
void adapter_message(struct adapter *a, const struct msg_in *m); /* accepted() follows from the loop */
/* A person took a message back: what is not answered yet will not be, and an answer under way stops.
 * Here and in adapter_reaction() thread NULL is also for a platform that does not say in which thread it was. */
void adapter_withdrawn(struct adapter *a, const char *chat, const char *thread, const char *id, const char *sender);
/* A person marked the bot's message `platform_id`. */
enum reaction { REACTION_RETRY, REACTION_REMOVE };
void adapter_reaction(struct adapter *a, const char *chat, const char *thread, const char *platform_id,
                      const char *sender, enum reaction what);
/* Something that the operator should know though the account works; /readyz, /status and `warbler ping` tell it.
 * Same `what` again replaces; text NULL takes it back. */
void adapter_remark(struct adapter *a, const char *what, const char *text);
void adapter_sent(struct adapter *a, int64_t handle, const char *platform_id);
void adapter_send_failed(struct adapter *a, int64_t handle, const struct err *e, bool retry, int64_t retry_after_ms);

/* --- services of the host --- */
/* One finished message of a conversation. */
struct msg_past {
    int64_t seq, time_ms, reply_seq;
    bool from_bot, notice;
    const char *id;     /* people's: the sender's own id; else the host's id */
    const char *sender; /* people's key, or NULL */
    const char *name, *text, *reply_to; /* reply_to: as in msg_out and msg_in */
    const char *const *answers; /* as in msg_out */
    const char *finish, *usage;
};
/* A page of a conversation, and how it stands at this moment: everything
 * finished so far that is behind `after` is in the pages, everything later
 * comes through send/edit/accepted. */
struct msg_page {
    const struct msg_past *msgs; /* ascending seq */
    size_t n;
    bool more;               /* ask again with after = the last seq */
    int64_t last;            /* newest event's seq */
    const struct msg_out *running; /* the answer being made, with its text so far and seq; or NULL */
    const char *bot;         /* the bot's name here, "" if none speaks */
};
typedef void adapter_page_fn(void *arg, const struct msg_page *page, const struct err *e);
/* after < 0: no messages, only how it stands. The call-back comes from the loop, unless the account stops. */
void adapter_history(struct adapter *a, const char *chat, const char *thread, int64_t after, int limit,
                     adapter_page_fn *fn, void *arg);
/* The answer to the message with this seq: a page of one, or of none. */
void adapter_answer(struct adapter *a, const char *chat, const char *thread, int64_t seq, adapter_page_fn *fn, void *arg);

/* Small facts that the account keeps on disk, its stream position (STORE_KEY_POSITION)
 * among them; see store_kv_put, store_kv_get. */
void adapter_keep(struct adapter *a, const char *key, const char *value, int64_t expires_ms,
                  void (*done)(void *arg, const struct err *e), void *arg);
void adapter_recall(struct adapter *a, const char *key,
                    void (*done)(void *arg, const char *value, int64_t expires_ms, const struct err *e), void *arg);

/* --- the host's side: what the up-calls and services above call. daemon.c
 * installs it; tests install their own. Same meaning, same arguments. --- */
struct adapter_host {
    void (*online)(void *host, struct adapter *a);
    void (*down)(void *host, struct adapter *a, const struct err *e, bool retry);
    void (*stopped)(void *host, struct adapter *a);
    void (*message)(void *host, struct adapter *a, const struct msg_in *m);
    void (*withdrawn)(void *host, struct adapter *a, const char *chat, const char *thread, const char *id, const char *sender);
    void (*reaction)(void *host, struct adapter *a, const char *chat, const char *thread, const char *platform_id,
                     const char *sender, enum reaction what);
    void (*remark)(void *host, struct adapter *a, const char *what, const char *text);
    void (*sent)(void *host, struct adapter *a, int64_t handle, const char *platform_id);
    void (*send_failed)(void *host, struct adapter *a, int64_t handle, const struct err *e, bool retry, int64_t retry_after_ms);
    void (*history)(void *host, struct adapter *a, const char *chat, const char *thread, int64_t after, int limit,
                    adapter_page_fn *fn, void *arg);
    void (*answer)(void *host, struct adapter *a, const char *chat, const char *thread, int64_t seq, adapter_page_fn *fn,
                   void *arg);
    void (*keep)(void *host, struct adapter *a, const char *key, const char *value, int64_t expires_ms,
                 void (*done)(void *arg, const struct err *e), void *arg);
    void (*recall)(void *host, struct adapter *a, const char *key,
                   void (*done)(void *arg, const char *value, int64_t expires_ms, const struct err *e), void *arg);
};

/* --- registry: generated from the Makefile's ADAPTERS, ends with NULL --- */
extern const struct adapter_ops *const adapter_registry[];
const struct adapter_ops *adapter_find(const char *name); /* NULL: no such adapter */
size_t adapter_text_limit(const struct adapter *a); /* of one message there */

#endif
