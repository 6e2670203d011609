/* html.h: Markdown to the HTML that Matrix allows in messages. Pure.
 * Client-server API: "m.room.message msgtypes", org.matrix.custom.html. */
#ifndef WARBLER_MATRIX_HTML_H
#define WARBLER_MATRIX_HTML_H

#include <stdbool.h>
#include <stddef.h>

#include "plugin/base/buf.h"

#define HTML_DEPTH_MAX 64U      /* of nested tags; what is deeper keeps its text only. Clients stop at 100 */
#define HTML_LANG_BYTES_MAX 32U /* of a code block's language; a longer one is left out */

/* Appends HTML made of tags that Matrix allows, well-formed whatever the
 * Markdown (CommonMark with tables, strike-through and task lists; line breaks
 * are kept, and emphasis works beside Chinese punctuation). Raw HTML is text,
 * but for <br>; an image is a link; a link with another scheme than http, https,
 * ftp, mailto or magnet is its text. Bare addresses are left to the clients,
 * which all find them. Control characters vanish.
 * *plain_r: paragraphs of plain text, which a client shows no worse without HTML.
 * ERR_TOO_LARGE: it went over out's maximum. ERR_INTERNAL: no memory; what was
 * appended is not whole. */
enum err_code html_write(struct buf *out, const char *markdown, size_t len, bool *plain_r);

#endif
