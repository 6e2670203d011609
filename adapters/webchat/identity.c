#include "adapters/webchat/identity.h"

#include <stdio.h>
#include <string.h>

#include "plugin/base/buf.h"
#include "plugin/base/secret.h"

#define HASHED_BYTES_MAX 65536U /* a plausible secret, an account's name, a token, a key of 64 bytes: far below */
#define KEY_DIGITS 32

/* SHA-256 over the parts. Each is followed by its NUL, so that ("ab", "c") and
 * ("a", "bc") differ. */
static void hash(char out[65], const char *purpose, const char *a, const char *b, const char *c)
{
    const char *parts[] = { purpose, a, b, c };
    struct buf text;

    buf_init(&text, HASHED_BYTES_MAX);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i])
            buf_add(&text, parts[i], strlen(parts[i]) + 1);
    sha256_hex(out, buf_str(&text), text.len);
    buf_free(&text);
}

void identity_secret(char out[IDENTITY_SECRET_SIZE], enum identity_kind kind)
{
    out[0] = (char)kind;
    random_hex(out + 1, IDENTITY_SECRET_BYTES);
}

bool identity_plausible(const char *secret, enum identity_kind kind)
{
    return secret[0] == (char)kind && strspn(secret + 1, "0123456789abcdef") == 2 * IDENTITY_SECRET_BYTES &&
           strlen(secret) == IDENTITY_SECRET_SIZE - 1;
}

void identity_of(struct identity *id, enum identity_kind kind, const char *account, const char *secret)
{
    char digest[65];

    hash(digest, "sender", account, secret, NULL);
    snprintf(id->sender, sizeof id->sender, "%.*s", KEY_DIGITS, digest);
    hash(digest, "chat", account, secret, NULL);
    snprintf(id->chat, sizeof id->chat, "~%.*s", KEY_DIGITS, digest);
    sha256_hex(digest, secret, strlen(secret));
    snprintf(id->fact, sizeof id->fact, "%s/%s", kind == IDENTITY_VISITOR ? "visitor" : "conversation", digest);
}

void identity_derive(char out[IDENTITY_SECRET_SIZE], const char *nonce, const char *token, const char *key)
{
    char digest[65];

    hash(digest, nonce, token, key, NULL);
    snprintf(out, IDENTITY_SECRET_SIZE, "%c%.*s", IDENTITY_CONVERSATION, 2 * IDENTITY_SECRET_BYTES, digest);
}

void identity_nonce_fact(char out[IDENTITY_FACT_SIZE], const char *token, const char *key)
{
    char digest[65];

    hash(digest, "idempotency", token, key, NULL);
    snprintf(out, IDENTITY_FACT_SIZE, "idempotency/%s", digest);
}

void identity_guest(char out[IDENTITY_GUEST_SIZE], const char *sender)
{
    snprintf(out, IDENTITY_GUEST_SIZE, "guest-%.4s", sender);
}
