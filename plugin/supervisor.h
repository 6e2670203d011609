/* supervisor.h: keeps the accounts online.
 *
 * Makes an adapter for every enabled account, starts it, and starts it again
 * when it goes down: first within RECONNECT_FIRST_MS, doubling with jitter up
 * to RECONNECT_MAX_MS, from the beginning again after RECONNECT_CALM_MS online.
 * Follows the configuration: new accounts come, lost ones go, changed ones are
 * made anew. Loop thread only. */
#ifndef WARBLER_SUPERVISOR_H
#define WARBLER_SUPERVISOR_H

#include <stdbool.h>

#include "config/config.h"
#include "plugin/adapter.h"
#include "plugin/base/buf.h"

#define RECONNECT_FIRST_MS 1000 /* at most; jitter takes up to half of every pause */
#define RECONNECT_MAX_MS 60000
#define RECONNECT_CALM_MS 10000
#define STOP_TIMEOUT_MS 3000 /* for an adapter to leave in good order */

struct remark;
struct supervisor;

struct supervisor_env {
    struct loop *loop;
    struct http_client *http;
    struct server *server;
    const struct adapter_host *host; /* handed to the adapters; online, down and stopped must end here */
    void *host_arg;
    void (*gone)(void *arg, struct adapter *a); /* about to be freed */
    void *arg;
};

struct supervisor *supervisor_new(const struct supervisor_env *env);
/* Makes the accounts what the configuration says. ERR_OK, or the first account
 * that could not be set up (the others are). */
enum err_code supervisor_apply(struct supervisor *s, struct config *config, struct err *e);
/* Stops every account; done(arg) follows from the loop when all have left or STOP_TIMEOUT_MS is over. */
void supervisor_stop(struct supervisor *s, void (*done)(void *arg), void *arg);
void supervisor_free(struct supervisor **s);

struct adapter *supervisor_find(struct supervisor *s, const char *account); /* NULL: none, or it is leaving */
bool supervisor_online(const struct supervisor *s, const struct adapter *a);
const struct remark *supervisor_remarks(const struct supervisor *s, const struct adapter *a);

/* For the adapters' host. */
void supervisor_on_online(struct supervisor *s, struct adapter *a);
void supervisor_on_down(struct supervisor *s, struct adapter *a, const struct err *e, bool retry);
void supervisor_on_stopped(struct supervisor *s, struct adapter *a);
void supervisor_on_remark(struct supervisor *s, struct adapter *a, const char *what, const char *text);

/* Appends {"name":…,"ok":…,"since":…,"reason":…,"remarks":[…]} per account, comma between;
 * returns whether all are online. */
bool supervisor_report(const struct supervisor *s, struct buf *json);

/* The pause before try number `failures` (from 0), with dice in [0,1). Pure. */
int64_t reconnect_pause_ms(unsigned failures, double dice);

#endif
