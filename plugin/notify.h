/* notify.h: tells systemd how we are (sd_notify(3), over NOTIFY_SOCKET), in the
 * few lines that it takes, instead of linking libsystemd. Elsewhere, and
 * without the variable, nothing happens. */
#ifndef WARBLER_NOTIFY_H
#define WARBLER_NOTIFY_H

#include <stdint.h>

void notify_ready(const char *status);
void notify_reloading(void);
void notify_stopping(void);
void notify_watchdog(void);
int64_t notify_watchdog_ms(void); /* from WATCHDOG_USEC, WATCHDOG_PID; 0: no watchdog */

#endif
