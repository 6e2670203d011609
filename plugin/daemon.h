/* daemon.h: wiring and life cycle of `warbler run`. The one place that knows
 * all parts: it makes them from the bottom up, hands them to each other, and
 * takes them down again in the reverse order. */
#ifndef WARBLER_DAEMON_H
#define WARBLER_DAEMON_H

#include "config/config.h"

#define EXIT_CONFIG 1   /* configuration or usage wrong */
#define EXIT_START 2    /* port taken, store unusable */
#define EXIT_INTERNAL 3

/* Runs until SIGTERM or SIGINT. Returns the exit status. */
int daemon_run(const char *file);

/* The registry, as config_load() wants it; lives as long as the program. */
const struct config_adapter *daemon_adapters(void);

/* Reads the configuration; prints every error and warning to standard error. NULL: there were errors. */
struct config *daemon_config(const char *file);

#endif
