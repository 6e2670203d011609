#include "plugin/net/http_head.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "plugin/base/clock.h"

#define LINE_BYTES_MAX 1024 /* longer ones are none that we look at */
#define VALUE_BYTES_MAX 64
#define DELAY_DIGITS_MAX 12

void http_head_init(struct http_head *head)
{
    *head = (struct http_head){.reply = {.retry_after_ms = -1}};
}

/* Seconds, perhaps with a fraction, as milliseconds times scale / 1000; -1: no number. */
static int64_t parse_delay(const char *s, int64_t scale)
{
    int64_t n = 0;
    int digits = 0;

    for (; *s >= '0' && *s <= '9'; s++, digits++) {
        if (digits == DELAY_DIGITS_MAX)
            return -1;
        n = n * 10 + (*s - '0');
    }
    if (digits == 0)
        return -1;
    n *= scale;
    if (*s == '.')
        for (s++; *s >= '0' && *s <= '9'; s++) {
            scale /= 10;
            n += (*s - '0') * scale;
        }
    return *s ? -1 : n;
}

static int64_t parse_retry_after(const char *value)
{
    int64_t ms = parse_delay(value, 1000);
    time_t date;

    if (ms >= 0)
        return ms;
    date = curl_getdate(value, NULL);
    if (date == (time_t)-1)
        return -1;
    ms = (int64_t)date * 1000 - clock_wall_ms();
    return ms > 0 ? ms : 0;
}

/* Copies the value of the header called name; false if line is another. */
static bool header_value(const char *line, const char *name, char *value, size_t size)
{
    size_t len = strlen(name), n;

    if (strncasecmp(line, name, len) != 0 || line[len] != ':')
        return false;
    line += len + 1;
    line += strspn(line, " \t");
    n = strcspn(line, "\r\n");
    while (n > 0 && (line[n - 1] == ' ' || line[n - 1] == '\t'))
        n--;
    if (n >= size)
        return false;
    memcpy(value, line, n);
    value[n] = '\0';
    return true;
}

static void take_line(struct http_head *head, const char *line)
{
    char value[VALUE_BYTES_MAX];
    int64_t ms;

    if (strncmp(line, "HTTP/", 5) == 0) { /* each answer starts over: 100 may come before the real one */
        http_head_init(head);
        head->reply.status = strtol(line + strcspn(line, " "), NULL, 10);
    } else if (line[0] == '\r' || line[0] == '\n') {
        head->ended = head->reply.status >= 200;
    } else if (header_value(line, "retry-after-ms", value, sizeof value)) {
        ms = parse_delay(value, 1);
        head->said_ms = ms >= 0;
        if (head->said_ms)
            head->reply.retry_after_ms = ms;
    } else if (!head->said_ms && header_value(line, "retry-after", value, sizeof value)) {
        head->reply.retry_after_ms = parse_retry_after(value);
    } else if (header_value(line, "x-request-id", value, sizeof value)) {
        snprintf(head->reply.request_id, sizeof head->reply.request_id, "%s", value);
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
