/* cli_chat.h: what the files of `warbler chat` share: cli_chat.c reads the
 * options, cli_chat_talk.c talks with a person at a terminal, cli_chat_pipe.c
 * answers a pipe. */
#ifndef WARBLER_CLI_CHAT_H
#define WARBLER_CLI_CHAT_H

#include "plugin/base/buf.h"
#include "plugin/chat/notice.h"
#include "plugin/cli_chat_link.h"

#define CHAT_URL "ws://127.0.0.1:8080/chat/ws"
#define CHAT_URL_BYTES_MAX 2048U

struct chat_conf {
    const char *url; /* complete */
    const char *name, *room; /* or NULL */
    bool fresh;              /* as a new visitor */
    int64_t wait_ms;         /* in a pipe: for the bot to begin */
    enum language lang;      /* of our own words */
};

/* Both run a loop of their own until the end and return the exit status. */
int chat_talk(const struct chat_conf *conf);
int chat_pipe(const struct chat_conf *conf);

/* --- what both need --- */
/* The address that people know, http://HOST:PORT/, is good too: the web chat's
 * own is made of it. ERR_INVALID if it is none of http, https, ws, wss. Pure. */
enum err_code chat_url(struct buf *out, const char *given);
/* As the environment's LC_ALL, LC_MESSAGES, LANG say, the first that is set. */
enum language chat_language(void);
struct link_conf chat_link_conf(const struct chat_conf *conf, const char *visitor);

enum chat_text {
    CHAT_HELLO,        /* URL */
    CHAT_HELLO_BOT,    /* URL, bot */
    CHAT_NO_BOT,
    CHAT_NEW_VISITOR,
    CHAT_NOT_REMEMBERED, /* reason */
    CHAT_LOST,         /* reason */
    CHAT_RESTARTING,
    CHAT_AGAIN,
    CHAT_REFUSED,      /* URL, reason */
    CHAT_REFUSED_WAIT, /* URL, reason */
    CHAT_GONE,         /* URL, reason */
    CHAT_DENIED,       /* reason */
    CHAT_TOO_LONG,
    CHAT_NOT_SENT,     /* reason */
    CHAT_RATE,
    CHAT_BUSY,
    CHAT_FULL,
    CHAT_TOO_MANY,
    CHAT_NO_ANSWER,    /* line */
    CHAT_WRITING,      /* bot */
    CHAT_STARTS_OVER,
    CHAT_YOU,
    CHAT_BOT,
    CHAT_TEXT_COUNT
};
/* Appends the sentence with a and b in its places. */
void chat_text(struct buf *out, enum chat_text id, enum language lang, const char *a, const char *b);
/* To standard error, behind the program's name. */
void chat_complain(const struct chat_conf *conf, enum chat_text id, const char *a, const char *b);
/* Says why there is not even a try to connect. Returns the exit status. */
int chat_no_start(const struct chat_conf *conf, const struct err *e);
/* Which sentence says why a message was not accepted. */
enum chat_text chat_refusal(const char *code);

#endif
