/* chunk.h: the event of a stream that nearly all events are, read without
 * building a tree of it: one choice, a piece of text or none, and otherwise
 * nothing but plain values. It costs a twentieth of json_parse() and delta.c's
 * way through the tree, and says no to everything else, malformed JSON too: what
 * it takes means the same as it would there. */
#ifndef WARBLER_MODEL_CHUNK_H
#define WARBLER_MODEL_CHUNK_H

#include <stdbool.h>
#include <stddef.h>

#include "plugin/base/buf.h"

#define CHUNK_MOLD_BYTES 512U

/* A string between its quotes, still escaped; empty: null or "" or not there (then s is NULL). */
struct chunk_string {
    const char *s;
    size_t len;
};

struct chunk {
    struct chunk_string id, service_tier, finish; /* without a backslash */
    struct chunk_string content;                  /* with single-character escapes at most */
    unsigned lists, deltas;                       /* private: how often that member stood there */
};

/* False: read it as any JSON. */
bool chunk_read(struct chunk *c, const char *text, size_t len);

/* What stands around the content of an event, which mostly stays the same while
 * a stream lasts. Zeroed: of none yet. */
struct chunk_mold {
    char text[CHUNK_MOLD_BYTES];
    size_t before, after; /* bytes of text, one behind the other */
};

/* Keeps what is around the content of c, which chunk_read() read from the text,
 * if it fits and the content is all that it says. */
void chunk_cast(struct chunk_mold *m, const struct chunk *c, const char *text, size_t len);
/* True: the event differs from that one in its content only. */
bool chunk_fits(const struct chunk_mold *m, const char *text, size_t len, struct chunk *c);
void chunk_content(const struct chunk *c, struct buf *out); /* appends it, unescaped */

#endif
