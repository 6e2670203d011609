#include "plugin/base/secret.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "plugin/base/log.h"
#include "plugin/base/mem.h"

void secret_set(struct secret *s, const char *value, size_t len)
{
    /* Copied first: value may lie inside the old one. */
    size_t n = len ? strnlen(value, len) : 0;
    char *copy = n ? mem_dupn(value, n) : NULL;
    secret_clear(s);
    s->value = copy;
}

void secret_clear(struct secret *s)
{
    if (!s->value)
        return;
    explicit_bzero(s->value, strlen(s->value));
    free(s->value);
    s->value = NULL;
}

bool secret_empty(const struct secret *s)
{
    return !s->value;
}

const char *secret_reveal(const struct secret *s)
{
    return s->value ? s->value : "";
}

bool secret_equal(const struct secret *s, const char *candidate, size_t len)
{
    if (!s->value)
        return false;
    const volatile unsigned char *value = (const unsigned char *)s->value;
    unsigned different = 0;
    size_t at = 0; /* stays on the NUL once it is there */
    for (size_t i = 0; i < len; i++) {
        unsigned v = value[at];
        unsigned ended = (v - 1) >> 31; /* 1 if v is the NUL */
        different |= ended | (v ^ (unsigned char)candidate[i]);
        at += 1 - ended;
    }
    return (different | value[at]) == 0;
}

static void random_bytes(void *out, size_t n)
{
    unsigned char *p = out;
    while (n > 0) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            log_error("random", "the system gives no random numbers: %s", strerror(errno));
            abort();
        }
        p += got;
        n -= (size_t)got;
    }
}

static void hex(char *out, const unsigned char *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = '\0';
}

void random_hex(char *out, size_t n_bytes)
{
    /* The upper half of out holds the bytes: each is read before a digit lands on it. */
    unsigned char *bytes = (unsigned char *)out + n_bytes;
    random_bytes(bytes, n_bytes);
    hex(out, bytes, n_bytes);
}

double random_unit(void)
{
    uint64_t bits;
    random_bytes(&bits, sizeof bits);
    return (double)(bits >> 11) * 0x1p-53; /* as many bits as a double holds */
}

/* OpenSSL 3.0 goes on with a context that it could not make, and crashes. */
static bool has_context(void)
{
#if OPENSSL_VERSION_MAJOR >= 3
    return OSSL_LIB_CTX_get0_global_default() != NULL;
#else
    return true;
#endif
}

/* Finding it takes OpenSSL longer than hashing a line. */
static EVP_MD *sha256;

static void find_sha256(void)
{
    sha256 = has_context() ? EVP_MD_fetch(NULL, "SHA256", NULL) : NULL;
}

/* Who somebody is hangs on it: without a digest, all would be the same. */
void sha256_hex(char out[65], const void *data, size_t len)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    unsigned char digest[SHA256_DIGEST_LENGTH];
    pthread_once(&once, find_sha256);
    if (!sha256 || !EVP_Digest(data, len, digest, NULL, sha256, NULL))
        mem_out("OpenSSL");
    hex(out, digest, sizeof digest);
}
