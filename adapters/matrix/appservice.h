/* appservice.h: the stream of events as the homeserver pushes it, for an account
 * with mode = "appservice". A transaction is answered when all of it is on disk;
 * one that comes again is known by its id. Application service API: "Homeserver
 * -> Application Service API". */
#ifndef WARBLER_MATRIX_APPSERVICE_H
#define WARBLER_MATRIX_APPSERVICE_H

#include <stdbool.h>

#include "plugin/adapter.h"

#define PUSH_BODY_BYTES_MAX (8U * 1024 * 1024) /* a hundred events of the largest size */
#define PUSH_ID_BYTES_MAX 255U
#define PUSHES_MAX 16U      /* transactions at work; a homeserver sends one after the other */
#define REACH_MS 60000      /* between two looks whether the homeserver is there and reaches us */

struct matrix;
struct api_call;
struct push;

struct appservice {
    struct push *pushes;
    bool listening;    /* has its routes */
    bool open;         /* takes transactions */
    bool recalled;     /* the newest transaction of the last process */
    char *last;        /* the newest transaction that is done, or NULL */
    struct api_call *call;
    struct timer again;
    void (*ping_done)(struct matrix *m, const struct err *e);
};

enum err_code appservice_init(struct matrix *m, struct err *e); /* routes; ERR_EXISTS: another account has them */
void appservice_start(struct matrix *m); /* matrix_online() follows from the loop, or matrix_down() at any time */
void appservice_stop(struct matrix *m);
void appservice_fini(struct matrix *m);

/* For `warbler ping`: can the homeserver reach the daemon? */
void appservice_ping(struct matrix *m, void (*done)(struct matrix *m, const struct err *e));

/* Appends the registration file, YAML. */
enum err_code appservice_registration(const struct account_conf *account, struct buf *out, struct err *e);

#endif
