/* sha1.h: the answer to a WebSocket handshake (RFC 6455 section 4.2.2, RFC
 * 3174), for the floor that has no library to make it. */
#ifndef WARBLER_BENCH_SHA1_H
#define WARBLER_BENCH_SHA1_H

#define WEBSOCKET_KEY_BYTES 24U /* of a Sec-WebSocket-Key */
#define SHA1_BASE64_BYTES 29U   /* with the NUL */

void websocket_accept(const char *key, char *accept_r); /* key: its WEBSOCKET_KEY_BYTES are there; no NUL needed */

#endif
