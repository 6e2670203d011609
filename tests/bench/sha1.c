#include "tests/bench/sha1.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define BLOCK_BYTES 64U
#define BLOCKS 2U /* key, GUID, the end mark and the length: 69 bytes */
#define DIGEST_BYTES 20U
#define ROUNDS 80U

static uint32_t rotate(uint32_t x, unsigned bits)
{
    return x << bits | x >> (32 - bits);
}

static void expand(uint32_t w[ROUNDS], const unsigned char *block)
{
    for (unsigned i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 | (uint32_t)block[4 * i + 2] << 8 |
               block[4 * i + 3];
    for (unsigned i = 16; i < ROUNDS; i++)
        w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
}

static void add_block(uint32_t h[5], const unsigned char *block)
{
    uint32_t w[ROUNDS], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    expand(w, block);
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint32_t f = i < 20   ? ((b & c) | (~b & d)) + 0x5A827999U
                     : i < 40 ? (b ^ c ^ d) + 0x6ED9EBA1U
                     : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8F1BBCDCU
                              : (b ^ c ^ d) + 0xCA62C1D6U;
        uint32_t next = rotate(a, 5) + f + e + w[i];
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    h[0] += a;
    h[1] += b;
    h[2] += c;
    h[3] += d;
    h[4] += e;
}

/* RFC 4648; 20 bytes make 27 digits and one '='. */
static void base64(const unsigned char *digest, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned char in[DIGEST_BYTES + 1] = { 0 };
    memcpy(in, digest, DIGEST_BYTES);
    for (size_t i = 0; i < sizeof in; i += 3) {
        *out++ = digits[in[i] >> 2];
        *out++ = digits[(in[i] & 3) << 4 | in[i + 1] >> 4];
        *out++ = digits[(in[i + 1] & 15) << 2 | in[i + 2] >> 6];
        *out++ = digits[in[i + 2] & 63];
    }
    out[-1] = '=';
    *out = '\0';
}

void websocket_accept(const char *key, char *accept_r)
{
    unsigned char text[BLOCKS * BLOCK_BYTES] = { 0 }, digest[DIGEST_BYTES];
    uint32_t h[5] = { 0x67452301U, 0xEFCDAB89U, 0x98BADCFEU, 0x10325476U, 0xC3D2E1F0U };
    size_t len = WEBSOCKET_KEY_BYTES + strlen(GUID);
    memcpy(text, key, WEBSOCKET_KEY_BYTES);
    memcpy(text + WEBSOCKET_KEY_BYTES, GUID, strlen(GUID));
    text[len] = 0x80;
    text[sizeof text - 2] = (unsigned char)(8 * len >> 8);
    text[sizeof text - 1] = (unsigned char)(8 * len);
    for (unsigned i = 0; i < BLOCKS; i++)
        add_block(h, text + i * BLOCK_BYTES);
    for (unsigned i = 0; i < DIGEST_BYTES; i++)
        digest[i] = (unsigned char)(h[i / 4] >> (24 - 8 * (i % 4)));
    base64(digest, accept_r);
}
