/* core.h: struct chat itself; private to chat/. */
#ifndef WARBLER_CHAT_CORE_H
#define WARBLER_CHAT_CORE_H

#include "plugin/chat/cache.h"
#include "plugin/chat/channel.h"
#include "plugin/chat/chat.h"
#include "plugin/chat/person.h"
#include "plugin/chat/trigger.h"

/* Work that waits for the store on behalf of an account: a message on its way
 * in, a page of history. Listed, so that an account can be forgotten and
 * everything is freed at the end. Embedded first in its owner. */
struct pending {
    struct pending *prev, *next;
    struct adapter *adapter; /* NULL: the account is gone, finish without it */
    void (*free_fn)(struct pending *p);
};

struct chat {
    struct chat_env env;
    struct config *config;
    struct keywords **keywords; /* per bot of config, by index */
    size_t n_keywords;
    struct caches *caches;
    struct channel *by_name;    /* uthash */
    struct channel *lru;        /* head: least recently used */
    size_t n_channels;
    struct channel *ready;      /* channels with questions that wait for a free place */
    unsigned running;           /* turns */
    unsigned crowd;             /* the most that ran at once since the last rest */
    struct timer rest;
    bool draining;
    unsigned commits;           /* writes under way, of all channels */
    int64_t complained_ms;      /* when the log last heard of a message that could not be written */
    struct pending *pending;
    struct outbox *outbox;
    char person_salt[PERSON_SALT_DIGITS + 1]; /* "": not known */
    struct vocabularies *vocabularies;
    struct limits *limits;
};

void pending_add(struct chat *core, struct pending *p, struct adapter *a, void (*free_fn)(struct pending *p));
void pending_done(struct chat *core, struct pending *p); /* unlists and frees */

#endif
