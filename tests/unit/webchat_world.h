/* webchat_world.h: a web chat account that is alive, for tests: a real loop and
 * server, clients of both kinds, and a host made of arrays.
 *
 * The host works like the real one where it matters: a message gets its number
 * at once, everything that the store would do is a job, jobs run in order, one
 * turn of the loop later at the earliest, and pause() holds them back. */
#ifndef WARBLER_TESTS_WEBCHAT_WORLD_H
#define WARBLER_TESTS_WEBCHAT_WORLD_H

#include "adapters/webchat/identity.h"
#include "adapters/webchat/webchat.h"
#include "plugin/base/buf.h"
#include "plugin/net/ws.h"
#include "plugin/web/web.h"

#define WORLD_MESSAGES_MAX 2000
#define WORLD_FACTS_MAX 256

struct world_message {
    char *chat, *id, *sender, *name, *text, *reply_to, *finish, *usage;
    struct msg_past past; /* points to the above */
};

struct world_fact {
    char *key, *value;
    int64_t expires_ms;
};

struct job;

struct world {
    struct loop *loop;
    struct server *server;
    struct web web;
    struct adapter a;
    struct account_conf account;
    struct webchat_conf conf;
    /* the host */
    struct job *jobs;
    struct defer work;
    bool paused;
    struct err refuse;       /* of the next jobs, unless ERR_OK */
    bool silent;             /* messages are not to be answered */
    int page_limit;          /* messages per page, 0: as asked */
    int64_t seq;             /* one count for all chats: gaps are fine */
    struct world_message messages[WORLD_MESSAGES_MAX];
    size_t n_messages;
    struct world_fact facts[WORLD_FACTS_MAX];
    size_t n_facts, n_keeps; /* keeps: calls so far */
    struct msg_out running;  /* id NULL: none; the test's own strings */
    struct msg_in last;      /* what the adapter passed up last; chat, sender, … point into messages */
    unsigned online, stopped, jobs_done;
    uint64_t arrived; /* bytes that peers have read */
    int64_t sent_handle;
    char sent_id[80];
};

/* conf begins as the settings' defaults, with open_rooms; tweak may be NULL. */
struct world *world_new(void (*tweak)(struct webchat_conf *conf));
void world_free(struct world **w);

void world_turns(struct world *w, int n); /* of the loop, without waiting */
/* Turns until done(arg); fails the test when no peer has read anything for half a minute, however long the whole takes. */
void world_until(struct world *w, bool (*done)(void *arg), void *arg, const char *what);
void world_pause(struct world *w);
void world_resume(struct world *w);
void world_step(struct world *w); /* one job, while paused */

/* webchat_host.c */
extern const struct adapter_host world_host;
void world_work(void *world);
void world_host_fini(struct world *w);

/* An event of the bot: an edit if it was sent before. reply_seq 0: the newest message of the chat. */
struct world_event {
    const char *chat, *id, *text;
    int64_t reply_seq, handle;
    bool edit, done, notice;
    const char *finish, *usage;
    const char *const *answers;
    enum err_code error;
};
int64_t world_bot(struct world *w, const struct world_event *e); /* its seq */
/* A message that was there before. Returns its seq. */
int64_t world_past(struct world *w, const char *chat, const char *id, const char *sender, const char *text);

/* --- WebSocket clients --- */
struct client {
    struct world *w;
    struct ws *ws; /* NULL: closed */
    struct buf frames; /* each followed by NUL */
    size_t read;
    bool open, closed;
    int code;     /* it was closed with */
    char *visitor;
    int64_t last; /* of its welcome */
    struct identity id;
};
struct client *client_open(struct world *w, const char *origin); /* returns when it is open, or refused: closed */
void client_free(struct client **c);
void client_say(struct client *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *client_next(struct client *c);    /* waits for a frame; valid until the next call */
void client_expect(struct client *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void client_expect_nothing(struct client *c); /* after hello: all that came until now was read */
void client_expect_close(struct client *c, int code);
/* Says hello with these members (",…" or "") and reads the welcome. */
void client_hello(struct client *c, const char *members);
/* open and hello; visitor NULL: a new one. */
struct client *client_new(struct world *w, const char *visitor, const char *members);
/* Sends a message and reads its ack. Returns its seq. */
int64_t client_message(struct client *c, const char *id, const char *text);

/* --- HTTP clients, byte by byte --- */
struct peer {
    struct world *w;
    int fd;
    struct buf in;
    bool eof;
};
/* head: request line and headers, each with CRLF; Host and Connection: close are added where absent. */
struct peer *peer_open(struct world *w, const char *head, const char *body);
/* A WebSocket whose client reads only when it is told to. */
struct peer *peer_ws(struct world *w, const char *headers);
void peer_frame(struct peer *r, int opcode, const char *data, size_t len); /* at most 125 bytes, or of 126 to 65535 */
void peer_say(struct peer *r, const char *text);
const char *peer_until(struct peer *r, const char *part); /* turns until it came; all that came */
const char *peer_all(struct peer *r);                     /* turns until the end */
const char *peer_body(struct peer *r);                    /* the same, without head */
int peer_status(struct peer *r);
void peer_free(struct peer **r);

#endif
