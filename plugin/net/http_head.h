/* http_head.h: what the head of an answer says, line by line. Private to
 * plugin/net. */
#ifndef WARBLER_NET_HTTP_HEAD_H
#define WARBLER_NET_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>

#include "plugin/net/http.h"

struct http_head {
    struct http_reply reply;
    bool ended; /* what follows is the body, or trailers */
};

void http_head_init(struct http_head *head);
/* One line with its end. Answers that are not the last (1xx) are forgotten. */
void http_head_line(struct http_head *head, const char *line, size_t len);

#endif
