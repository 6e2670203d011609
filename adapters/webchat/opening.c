#include "adapters/webchat/opening.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "adapters/webchat/identity.h"
#include "adapters/webchat/call.h"
#include "plugin/base/mem.h"
#include "plugin/base/secret.h"

#define NONCE_BYTES 16

/* Requests with the same key that come at the same time share one of these, or
 * each would begin a conversation. It goes on when they have all left, as the
 * host's call-back needs it. */
struct opening {
    struct opening *prev, *next;
    struct webchat *w;
    struct call *calls; /* by opening_prev, opening_next */
    struct identity id;
    char conversation[IDENTITY_SECRET_SIZE];
    char nonce_fact[IDENTITY_FACT_SIZE]; /* "": there is no key */
    char nonce[2 * NONCE_BYTES + 1];
    char *token, *key;
};

static void opening_free(void *p)
{
    struct opening *o = p;

    free(o->token);
    free(o->key);
    free(o);
}

void opening_leave(struct call *p)
{
    if (p->opening)
        DL_DELETE2(p->opening->calls, p, opening_prev, opening_next);
    p->opening = NULL;
}

static void finish(struct opening *o, const struct err *e)
{
    struct call *p;

    while ((p = o->calls)) {
        opening_leave(p);
        if (failed(e))
            call_not_opened(p, e);
        else
            call_opened(p, o->conversation, &o->id);
    }
    DL_DELETE(o->w->openings, o);
    loop_free_later(o->w->a->loop, o, opening_free);
}

void opening_free_all(struct webchat *w)
{
    struct opening *o, *next;
    struct call *p;

    DL_FOREACH_SAFE(w->openings, o, next)
    {
        while ((p = o->calls))
            opening_leave(p);
        opening_free(o);
    }
    w->openings = NULL;
}

static void named(struct opening *o, const char *conversation)
{
    memcpy(o->conversation, conversation, IDENTITY_SECRET_SIZE);
    identity_of(&o->id, IDENTITY_CONVERSATION, o->w->a->conf->name, o->conversation);
}

/* --- one that was given out --- */

static void on_recalled(void *arg, const char *value, int64_t expires_ms, const struct err *e)
{
    struct opening *o = arg;
    struct err unknown;

    if (!failed(e) && !value) {
        err_set(&unknown, ERR_NOT_FOUND, "unknown conversation");
        e = &unknown;
    }
    if (!failed(e))
        webchat_refresh(o->w, o->id.fact, expires_ms);
    finish(o, e);
}

/* --- a new one. The nonce is written last: where it is found, the conversation is there too. --- */

static void on_nonce_kept(void *arg, const struct err *e)
{
    finish(arg, e);
}

static void on_kept(void *arg, const struct err *e)
{
    struct opening *o = arg;

    if (failed(e) || o->nonce_fact[0] == '\0')
        finish(o, e);
    else
        adapter_keep(o->w->a, o->nonce_fact, o->nonce, webchat_expiry(), on_nonce_kept, o);
}

static void keep(struct opening *o, const char *conversation)
{
    named(o, conversation);
    adapter_keep(o->w->a, o->id.fact, "1", webchat_expiry(), on_kept, o);
}

static void on_nonce_recalled(void *arg, const char *value, int64_t expires_ms, const struct err *e)
{
    struct opening *o = arg;
    char conversation[IDENTITY_SECRET_SIZE];

    (void)expires_ms;
    if (failed(e) && e->code != ERR_NOT_FOUND) {
        finish(o, e);
        return;
    }
    if (!value)
        random_hex(o->nonce, NONCE_BYTES);
    identity_derive(conversation, value ? value : o->nonce, o->token, o->key);
    if (!value) {
        keep(o, conversation);
        return;
    }
    named(o, conversation);
    finish(o, NULL);
}

static struct opening *under_way(struct webchat *w, const char *nonce_fact)
{
    struct opening *o;

    DL_FOREACH(w->openings, o)
    if (strcmp(o->nonce_fact, nonce_fact) == 0)
        return o;
    return NULL;
}

static struct opening *opening_new(struct webchat *w)
{
    struct opening *o = mem_alloc(sizeof *o);

    o->w = w;
    DL_APPEND(w->openings, o);
    return o;
}

static void join(struct opening *o, struct call *p)
{
    p->opening = o;
    DL_APPEND2(o->calls, p, opening_prev, opening_next);
}

static void start_keyed(struct webchat *w, struct call *p, const char *token, const char *key)
{
    char fact[IDENTITY_FACT_SIZE];
    struct opening *o;

    identity_nonce_fact(fact, token, key);
    o = under_way(w, fact);
    if (o) {
        join(o, p);
        return;
    }
    o = opening_new(w);
    memcpy(o->nonce_fact, fact, sizeof fact);
    o->token = mem_dup(token);
    o->key = mem_dup(key);
    join(o, p);
    adapter_recall(w->a, o->nonce_fact, on_nonce_recalled, o);
}

void opening_start(struct webchat *w, struct call *p, const char *conversation, const char *token, const char *key)
{
    char fresh[IDENTITY_SECRET_SIZE];
    struct opening *o;

    if (!conversation && key) {
        start_keyed(w, p, token, key);
        return;
    }
    o = opening_new(w);
    join(o, p);
    if (conversation) {
        named(o, conversation);
        adapter_recall(w->a, o->id.fact, on_recalled, o);
    } else {
        identity_secret(fresh, IDENTITY_CONVERSATION);
        keep(o, fresh);
    }
}
