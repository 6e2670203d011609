/* html.h: what the bot says, as content of m.room.message: Markdown to the HTML
 * that Matrix allows, and the relations around it. Pure. Client-server API:
 * "m.room.message msgtypes", "Rich replies", "Threading", "Event replacements",
 * "User and room mentions". */
#ifndef WARBLER_MATRIX_HTML_H
#define WARBLER_MATRIX_HTML_H

#include <stdbool.h>
#include <stddef.h>

#include "plugin/base/buf.h"

/* Servers refuse events over 65536 bytes, with what they add themselves: the
 * room's and the sender's names, hashes, signatures, pointers to other events. */
#define CONTENT_BYTES_MAX (60U * 1024)

/* Markdown of one message, the platform's text_limit: any text up to here makes
 * a content within CONTENT_BYTES_MAX, also as an edit. */
#define CONTENT_TEXT_BYTES_MAX (26U * 1024)

#define HTML_DEPTH_MAX 48U /* of nested tags; what is deeper keeps its text. Clients stop at 100 */

/* Appends HTML made of the tags that Matrix allows, well-formed whatever the
 * Markdown (CommonMark with tables, strike-through, task lists and bare web
 * addresses). Raw HTML becomes text, an image a link, a link with another
 * scheme than http, https, ftp, mailto or magnet its text. *plain_r (may be
 * NULL): it is nothing but paragraphs of plain text, so a client shows the text
 * itself just as well. ERR_TOO_LARGE: it went over out's maximum. */
enum err_code html_write(struct buf *out, const char *markdown, size_t len, bool *plain_r);

struct content {
    const char *text; /* Markdown */
    size_t len;
    bool notice;            /* m.notice, else m.text */
    const char *reply_to;   /* event answered, or NULL */
    const char *thread;     /* first event of the thread, or NULL */
    bool falling_back;      /* reply_to stands only for clients that know no threads */
    const char *mention;    /* user whom it addresses, or NULL */
    const char *edits;      /* event that this replaces, or NULL; then reply_to and thread stay as they were */
};

/* Appends the content as a JSON object of at most CONTENT_BYTES_MAX bytes. The
 * body is the Markdown itself, as the specification suggests; where body and
 * HTML do not fit together, the parts that only old clients read are left out
 * first, then the HTML. An edit notifies nobody again. ERR_TOO_LARGE: the text
 * is over CONTENT_TEXT_BYTES_MAX. */
enum err_code content_write(struct buf *out, const struct content *c);

#endif
