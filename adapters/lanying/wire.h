/* wire.h: what the bot says, as frames and as bodies of HTTP calls. Pure.
 * lanying.md, sections 7 to 10 and 17.1. */
#ifndef WARBLER_LANYING_WIRE_H
#define WARBLER_LANYING_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "adapters/lanying/codec.h"

enum deed {
    DEED_SAY,
    DEED_APPEND,   /* text to message `mid` */
    DEED_REPLACE,  /* its text and ext */
    DEED_RECALL,   /* message `mid` */
    DEED_READ_ACK, /* `chat` is its sender, also in groups */
    DEED_TYPING,   /* ext says whether it begins or ends */
};

/* One thing that the bot does in a conversation. */
struct outgoing {
    enum deed deed;
    uint64_t id;   /* the client's own, 1 to 2^53 */
    uint64_t chat; /* a user, or a group */
    bool group;
    uint64_t mid;
    struct ly_bytes text, ext;
    int64_t time_ms;
};

/* The bot, as the server knows it. */
struct wire_self {
    uint64_t uid;
    uint32_t device;
};

void wire_login(struct buf *out, const struct wire_self *self, const char *token, const char *guid);
void wire_unread(struct buf *out); /* also the heartbeat */
void wire_pull(struct buf *out, uint64_t chat, uint64_t key); /* key 0: from the server's own position */
void wire_history(struct buf *out, uint64_t chat, uint64_t from_mid, int32_t n); /* newest first; from_mid 0: the newest */
void wire_send(struct buf *out, const struct wire_self *self, const struct outgoing *o);

/* Body of POST /message/send. */
void wire_body(struct buf *out, const struct wire_self *self, const struct outgoing *o);

#endif
