/* content.h: what the bot says, as content of an m.room.message event: text and
 * HTML, and to what it relates. Pure. Client-server API: "Rich replies",
 * "Threading", "Event replacements", "User and room mentions". */
#ifndef WARBLER_MATRIX_CONTENT_H
#define WARBLER_MATRIX_CONTENT_H

#include <stdbool.h>
#include <stddef.h>

#include "plugin/base/buf.h"

/* Servers refuse events over 65536 bytes, together with what they add: names of
 * room and sender, hashes, signatures, pointers to other events. */
#define CONTENT_BYTES_MAX (60U * 1024)

/* Markdown of one message, the platform's text_limit: any text up to here makes
 * a content within CONTENT_BYTES_MAX, also as an edit. */
#define CONTENT_TEXT_BYTES_MAX (26U * 1024)

/* Identifiers have at most EVENT_ID_BYTES_MAX bytes (event.h). */
struct content {
    const char *text; /* Markdown */
    size_t len;
    bool notice;          /* m.notice, else m.text */
    const char *reply_to; /* event answered, or NULL */
    const char *thread;   /* first event of the thread, or NULL */
    bool falling_back;    /* reply_to stands only for clients that know no threads */
    const char *mention;  /* user whom it addresses, or NULL */
    const char *edits;    /* event that this replaces, or NULL; its reply and thread stay as they were */
};

/* Appends the content as a JSON object of at most CONTENT_BYTES_MAX bytes. Its
 * body is the Markdown, as the specification suggests; HTML stands beside it
 * where it shows more. If all of that does not fit, first what only clients
 * read that know no edits is made short, then the HTML is left out. An edit
 * notifies nobody again. ERR_TOO_LARGE: the text is over CONTENT_TEXT_BYTES_MAX. */
enum err_code content_write(struct buf *out, const struct content *c);

#endif
