/* login.h: from the settings to a session: is it a homeserver, with which token
 * do we speak to it, and who are we there? Client-server API: "Client
 * authentication". The token of a login by password is kept with its device,
 * so that a restart is no new device; an application service's token is
 * configured. */
#ifndef WARBLER_MATRIX_LOGIN_H
#define WARBLER_MATRIX_LOGIN_H

#include <stdbool.h>

#include "plugin/base/err.h"

struct matrix;
struct api_call;

enum login_state {
    LOGIN_IDLE,
    LOGIN_SESSION,  /* what was kept */
    LOGIN_ORIGIN,
    LOGIN_VERSIONS, /* is it a homeserver? */
    LOGIN_PASSWORD,
    LOGIN_KEEPING,
    LOGIN_REGISTER, /* an application service's own user, once */
    LOGIN_WHOAMI,
    LOGIN_PROFILE,
};

struct login {
    enum login_state state;
    struct api_call *call;
    char *device;  /* of a login by password, NULL: the server makes one */
    bool recalled; /* what was kept is here */
    bool fresh;    /* the password was used in this try */
};

void login_start(struct matrix *m); /* matrix_logged_in() or matrix_down() follows from the loop */
void login_stop(struct matrix *m);
void login_fini(struct matrix *m);

/* A call was refused for its token. True: the password gives another one;
 * log in again. False: *e says why nothing can be done. */
bool login_again(struct matrix *m, bool soft_logout, struct err *e);

#endif
