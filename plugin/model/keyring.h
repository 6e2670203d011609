/* keyring.h: the keys of one model. Requests take turns with them; a key that
 * is over its limit rests, one that the server refuses is taken out. Knows the
 * keys by index only, so that nothing here could print one. Pure.
 *
 * A key that was taken out may be good again: money was paid in, or a proxy had
 * a bad minute. While nothing else is left it is handed out for a single
 * request from time to time, less often each time it fails. */
#ifndef WARBLER_MODEL_KEYRING_H
#define WARBLER_MODEL_KEYRING_H

#include <stdbool.h>
#include <stdint.h>

#include "plugin/base/err.h"

#define KEYRING_PROBE_FIRST_MS 60000           /* a key rests that long before it is tried again, */
#define KEYRING_PROBE_MAX_MS (60 * 60 * 1000)  /* doubled up to here with each failure */
#define KEYRING_COOL_MAX_MS (24 * 3600 * 1000) /* no server can make a key rest for longer */

struct keyring_key {
    int64_t until_ms;  /* rests until then; or, if dead, is tried again then */
    int64_t pause_ms;  /* of a dead one, before the next trial */
    bool tried;        /* a dead one: a request is out with it */
    enum err_code why; /* ERR_OK: alive */
};

struct keyring {
    struct keyring_key *keys;
    int n, next;
};

/* n >= 1: a server without keys has one, the empty one. */
void keyring_init(struct keyring *k, int n);
void keyring_fini(struct keyring *k); /* legal on a zeroed struct */

/* The key for one request, in turns; -1: none may be used now. */
int keyring_pick(struct keyring *k, int64_t now_ms);

/* The same where any key is better than none: if all rest or are dead, the one
 * whose time is up first, and rather one that is alive. Never -1. */
int keyring_pick_any(struct keyring *k, int64_t now_ms);

/* What came of a request with key i. */
void keyring_good(struct keyring *k, int i); /* alive again if it was dead; a rest goes on */
/* The server took the key, but not now. Never shortens a rest. */
void keyring_cool(struct keyring *k, int i, int64_t until_ms, int64_t now_ms);
/* why: ERR_AUTH, ERR_QUOTA. True if the key was alive: worth a line in the log. */
bool keyring_kill(struct keyring *k, int i, enum err_code why, int64_t now_ms);

/* ERR_OK: usable; ERR_RATE: rests; else why it was taken out. */
enum err_code keyring_state(const struct keyring *k, int i, int64_t now_ms);
/* Why keyring_pick() gives none: ERR_RATE if one only rests, else what killed the
 * first; ERR_OK if there is one. */
enum err_code keyring_why(const struct keyring *k, int64_t now_ms);
/* Until keyring_pick() gives a key that is alive: 0 at once, -1 never. */
int64_t keyring_wait_ms(const struct keyring *k, int64_t now_ms);

#endif
