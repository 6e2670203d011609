/* cli_chat_link.h: the client's side of a web chat (CONTRACTS, section 4), over
 * connections that come and go.
 *
 * What is sent is kept until the server acknowledges or refuses it, and sent
 * again, under the same id, when the connection comes back; what was missed
 * meanwhile is asked for. The link tells what happened and shows nothing. */
#ifndef WARBLER_CLI_CHAT_LINK_H
#define WARBLER_CLI_CHAT_LINK_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "plugin/base/err.h"
#include "plugin/net/loop.h"

#define LINK_WELCOME_MS 15000    /* from the try to connect until welcome */
#define LINK_AGAIN_MIN_MS 500    /* pause before the next try; doubles */
#define LINK_AGAIN_MAX_MS 15000
#define LINK_CALM_MS 5000        /* after so long a connection the pauses begin anew */
#define LINK_UNACKED_MAX 16      /* more than these a server does not hold either */

struct link_conf {
    const char *url; /* ws:// or wss:// */
    const char *name, *room, *lang;
    const char *visitor; /* who we were; NULL: somebody new */
};

struct link_welcome {
    const char *visitor, *room, *bot; /* never NULL; the visitor is new where the server did not know ours */
    bool again; /* not the first one */
};

/* A message, or how it stands now. Strings and replied live for the call. */
struct link_message {
    const char *id, *text;
    const char *from;     /* NULL in an edit: as the message's */
    bool bot, done, notice;
    const char *reply_to; /* in an edit NULL, as replied */
    const cJSON *replied; /* ids of all, if several were answered */
};
/* Is it, as its first event says, an answer to our message? */
bool link_answers(const struct link_message *m, const char *our_id);

struct link_loss {
    bool reached;       /* there had been a WebSocket */
    int code;           /* it closed with; 0: broke, or never was */
    const char *reason; /* in English; never NULL */
};

struct link_handler {
    void (*welcome)(void *arg, const struct link_welcome *w);
    void (*message)(void *arg, const struct link_message *m);
    void (*acked)(void *arg); /* a message of ours was accepted; may be NULL */
    /* Our message was not accepted; it may be sent again, as a new one. */
    void (*refused)(void *arg, const char *id, const char *code, const char *text);
    void (*typing)(void *arg, const char *from, bool on); /* the bot is "bot" */
    void (*lost)(void *arg, const struct link_loss *loss); /* the next try follows, unless link_close() is called */
    /* The server will never serve this hello; there are no more tries. */
    void (*denied)(void *arg, const char *text);
};

struct chat_link;

/* NULL and *e if the URL is not one. Strings are copied. */
struct chat_link *link_new(struct loop *loop, const struct link_conf *conf, const struct link_handler *handler,
                           void *arg, struct err *e);
/* text must be valid UTF-8, not empty. Returns the message's id, valid until it
 * is acknowledged or refused; NULL if LINK_UNACKED_MAX are under way. */
const char *link_send(struct chat_link *l, const char *text);
bool link_idle(const struct chat_link *l); /* nothing waits for its acknowledgement */
void link_close(struct chat_link *l);      /* no callbacks follow */
void link_free(struct chat_link **l);      /* NULL-safe; not from inside a callback */

int64_t link_pause_ms(unsigned failures, double dice); /* before try number `failures`, from 0; dice in [0,1). Pure. */

#endif
