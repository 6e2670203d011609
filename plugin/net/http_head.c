#include "plugin/net/http_head.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "plugin/base/clock.h"

#define LINE_BYTES_MAX 1024 /* longer ones are none that we look at */

void http_head_init(struct http_head *head)
{
    *head = (struct http_head){.reply = {.limits = RATELIMIT_INIT}};
}

/* Cuts line into name and value, in place; false if it is no header. */
static bool split(char *line, char **value_r)
{
    char *colon = strchr(line, ':'), *end = line + strcspn(line, "\r\n");

    if (!colon || colon > end)
        return false;
    *colon = '\0';
    *value_r = colon + 1 + strspn(colon + 1, " \t");
    while (end > *value_r && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *end = '\0';
    return true;
}

static void take_header(struct http_reply *reply, const char *name, const char *value)
{
    if (strcasecmp(name, "x-request-id") == 0 && strlen(value) < sizeof reply->request_id)
        snprintf(reply->request_id, sizeof reply->request_id, "%s", value);
    else
        ratelimit_header(&reply->limits, name, value, clock_wall_ms());
}

static void take_line(struct http_head *head, char *line)
{
    char *value;

    if (strncmp(line, "HTTP/", 5) == 0) { /* each answer starts over: 100 may come before the real one */
        http_head_init(head);
        head->reply.status = strtol(line + strcspn(line, " "), NULL, 10);
    } else if (line[0] == '\r' || line[0] == '\n') {
        head->ended = head->reply.status >= 200;
    } else if (split(line, &value)) {
        take_header(&head->reply, line, value);
    }
}

void http_head_line(struct http_head *head, const char *line, size_t len)
{
    char text[LINE_BYTES_MAX];

    if (head->ended || len >= sizeof text)
        return;
    memcpy(text, line, len);
    text[len] = '\0';
    take_line(head, text);
}
