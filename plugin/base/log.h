/* log.h: one line per event to standard error, as text or JSON.
 *
 * Level info writes no line per message; what happens per message is debug.
 * Lines are safe: control characters are escaped, a line is cut at
 * LOG_LINE_BYTES. Callable from every thread. When standard error is the
 * systemd journal (JOURNAL_STREAM names it), text lines carry the "<N>"
 * priority prefix and no time stamp. */
#ifndef WARBLER_BASE_LOG_H
#define WARBLER_BASE_LOG_H

#include <stdbool.h>

#define LOG_LINE_BYTES 2048

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_setup(enum log_level level, bool json);
bool log_enabled(enum log_level level);

/* area: the module or account that speaks, e.g. "store", "web". */
void log_write(enum log_level level, const char *area, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(area, ...) log_write(LOG_ERROR, area, __VA_ARGS__)
#define log_warn(area, ...) log_write(LOG_WARN, area, __VA_ARGS__)
#define log_info(area, ...) log_write(LOG_INFO, area, __VA_ARGS__)
#define log_debug(area, ...)                                  \
    do {                                                      \
        if (log_enabled(LOG_DEBUG))                           \
            log_write(LOG_DEBUG, area, __VA_ARGS__);          \
    } while (0)

#endif
