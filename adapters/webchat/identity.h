/* identity.h: from the secrets that clients hold to the names that the host
 * sees. Only hashes leave this module, so neither the store nor a log can give
 * a visitor away. Pure. */
#ifndef WARBLER_WEBCHAT_IDENTITY_H
#define WARBLER_WEBCHAT_IDENTITY_H

#include <stdbool.h>

#define IDENTITY_SECRET_BYTES 16 /* 128 random bits */
#define IDENTITY_SECRET_SIZE (2 + 2 * IDENTITY_SECRET_BYTES)
#define IDENTITY_FACT_SIZE 80

enum identity_kind { IDENTITY_VISITOR = 'v', IDENTITY_CONVERSATION = 'c' };

struct identity {
    char sender[33];               /* key of the person within the account */
    char chat[34];                 /* "~…": the private conversation */
    char fact[IDENTITY_FACT_SIZE]; /* under this key the account notes that it gave the secret out */
};

void identity_secret(char out[IDENTITY_SECRET_SIZE], enum identity_kind kind); /* a new one: "v…" or "c…" */
/* False: not a secret that identity_secret() can have made. */
bool identity_plausible(const char *secret, enum identity_kind kind);
void identity_of(struct identity *id, enum identity_kind kind, const char *account, const char *secret);

/* The secret of a conversation that was begun with an idempotency key: the
 * same three give the same one. nonce is random and kept on disk, where alone
 * it gives nothing away. */
void identity_derive(char out[IDENTITY_SECRET_SIZE], const char *nonce, const char *token, const char *key);
/* Where that nonce is kept. */
void identity_nonce_fact(char out[IDENTITY_FACT_SIZE], const char *token, const char *key);

/* "guest-" and four digits of the sender's key: what the nameless are called. */
#define IDENTITY_GUEST_SIZE 11
void identity_guest(char out[IDENTITY_GUEST_SIZE], const char *sender);

#endif
