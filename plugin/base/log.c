#include "plugin/base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "plugin/base/clock.h"
#include "plugin/base/utf8.h"

#define CUT_MARK "\xE2\x80\xA6" /* … */
#define JSON_END "\"}"
#define AREA_BYTES 64 /* of an area's name, at most */
#define RENDERED_BYTES 8 /* of one character */

enum format { FORMAT_TEXT, FORMAT_JOURNAL, FORMAT_JSON };

static _Atomic enum log_level max_level = LOG_INFO;
static _Atomic enum format format = FORMAT_TEXT;

/* A line under construction; what does not fit below limit is not added. */
struct line {
    char data[LOG_LINE_BYTES];
    size_t len, limit;
};

/* Programs started from a terminal inherit the variable too, so it must name
 * the very file that standard error is; systemd.exec(5), JOURNAL_STREAM. */
static bool to_journal(void)
{
    const char *named = getenv("JOURNAL_STREAM");
    struct stat st;
    char own[64];
    if (!named || fstat(STDERR_FILENO, &st) != 0)
        return false;
    snprintf(own, sizeof own, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    return strcmp(own, named) == 0;
}

void log_setup(enum log_level level, bool json)
{
    atomic_store(&format, json ? FORMAT_JSON : to_journal() ? FORMAT_JOURNAL : FORMAT_TEXT);
    atomic_store(&max_level, level);
}

bool log_enabled(enum log_level level)
{
    return level <= atomic_load_explicit(&max_level, memory_order_relaxed);
}

static bool line_add(struct line *l, const char *s, size_t len)
{
    if (len > l->limit - l->len)
        return false;
    memcpy(l->data + l->len, s, len);
    l->len += len;
    return true;
}

__attribute__((format(printf, 2, 3))) static void line_addf(struct line *l, const char *fmt, ...)
{
    char text[128];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    line_add(l, text, strlen(text));
}

/* Controls, and what reorders or breaks a line on a terminal. */
static bool unsafe(uint32_t cp)
{
    return cp < 0x20 || (cp >= 0x7F && cp < 0xA0) || (cp >= 0x2028 && cp <= 0x202E) || (cp >= 0x2066 && cp <= 0x2069);
}

/* Writes one character as it stands in a line, both forms alike but for quote
 * and backslash. Returns its bytes. */
static size_t render(char out[RENDERED_BYTES], const char *s, size_t len, bool ill_formed, uint32_t cp, bool json)
{
    if (unsafe(cp))
        return (size_t)(cp == '\n' ? snprintf(out, RENDERED_BYTES, "\\n")
                                   : snprintf(out, RENDERED_BYTES, "\\u%04" PRIx32, cp & 0xFFFF));
    if (ill_formed) {
        s = "\xEF\xBF\xBD"; /* U+FFFD */
        len = 3;
    }
    size_t n = 0;
    if (json && (cp == '"' || cp == '\\'))
        out[n++] = '\\';
    memcpy(out + n, s, len);
    return n + len;
}

/* Adds s escaped and returns how many bytes of s fitted. */
static size_t add_escaped(struct line *l, const char *s, size_t len, bool json)
{
    size_t i = 0;
    while (i < len) {
        char out[RENDERED_BYTES];
        size_t next = i;
        uint32_t cp = utf8_next(s, len, &next);
        bool ill_formed = cp > 0x7F && next == i + 1;
        if (!line_add(l, out, render(out, s + i, next - i, ill_formed, cp, json)))
            break;
        i = next;
    }
    return i;
}

/* Adds s, or as much of it as fits and the mark of a cut. */
static void add_text(struct line *l, const char *s, size_t len, bool json)
{
    size_t start = l->len, limit = l->limit;
    size_t fitted = add_escaped(l, s, len, json);
    if (fitted == len)
        return;
    l->len = start;
    l->limit = limit - strlen(CUT_MARK);
    fitted = add_escaped(l, s, len, json);
    l->len = start;
    add_escaped(l, s, utf8_cut(s, len, fitted), json);
    l->limit = limit;
    line_add(l, CUT_MARK, strlen(CUT_MARK));
}

static void add_time(struct line *l)
{
    int64_t ms = clock_wall_ms();
    time_t seconds = (time_t)(ms / 1000);
    struct tm t;
    gmtime_r(&seconds, &t);
    line_addf(l, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min,
              t.tm_sec, (int)(ms % 1000));
}

static void add_head(struct line *l, enum format form, enum log_level level, const char *area)
{
    static const struct {
        const char *name;
        int priority; /* syslog(3) */
    } levels[] = {[LOG_ERROR] = {"error", 3}, [LOG_WARN] = {"warn", 4}, [LOG_INFO] = {"info", 6}, [LOG_DEBUG] = {"debug", 7}};
    switch (form) {
    case FORMAT_JOURNAL:
        line_addf(l, "<%d>", levels[level].priority);
        break;
    case FORMAT_TEXT:
        add_time(l);
        line_addf(l, " %-5s ", levels[level].name);
        break;
    case FORMAT_JSON:
        line_addf(l, "{\"time\":\"");
        add_time(l);
        line_addf(l, "\",\"level\":\"%s\",\"area\":\"", levels[level].name);
        break;
    }
    size_t limit = l->limit;
    l->limit = l->len + AREA_BYTES;
    add_text(l, area, strlen(area), form == FORMAT_JSON);
    l->limit = limit;
    line_addf(l, form == FORMAT_JSON ? "\",\"text\":\"" : ": ");
}

/* One call, so that lines of several threads and processes do not mix. */
static void emit(const struct line *l)
{
    while (write(STDERR_FILENO, l->data, l->len) < 0 && errno == EINTR) {
    }
}

void log_write(enum log_level level, const char *area, const char *fmt, ...)
{
    if (!log_enabled(level))
        return;
    int saved = errno; /* a caller may log first and look at errno afterwards; fmt may hold %m */
    char text[LOG_LINE_BYTES + 1];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);

    enum format form = atomic_load(&format);
    const char *end = form == FORMAT_JSON ? JSON_END "\n" : "\n";
    struct line l = {.limit = sizeof l.data - strlen(end)};
    add_head(&l, form, level, area);
    add_text(&l, text, strlen(text), form == FORMAT_JSON);
    l.limit = sizeof l.data;
    line_add(&l, end, strlen(end));
    emit(&l);
    errno = saved;
}
