/* session_steps.h: the steps of a login, as session.c, servers.c, entry.c and
 * greeting.c call each other. Each step ends with the next one, or with
 * session_down(). Private to them. */
#ifndef WARBLER_LANYING_SESSION_STEPS_H
#define WARBLER_LANYING_SESSION_STEPS_H

#include "adapters/lanying/session.h"

/* In this order. */
void session_recall(struct lanying *ly);  /* entry.c: what is on disk */
void session_find(struct lanying *ly);    /* servers.c */
void session_enter(struct lanying *ly);   /* entry.c: a token, and who we are */
void session_keep(struct lanying *ly);    /* session.c: what the next step tells goes to disk first */
void session_connect(struct lanying *ly); /* greeting.c: a WebSocket, and the login on it */
void session_go_online(struct lanying *ly); /* session.c */

/* session.c */
void session_set_state(struct lanying *ly, enum session_state state);
void session_fail(struct lanying *ly, enum err_code code, bool retry, const char *text);
void session_relogin(struct lanying *ly); /* from the token on; the host need not know */
bool session_over_websocket(const struct lanying *ly);
void session_make_guid(struct session *s, uint32_t device);

/* entry.c */
void session_write_fact(struct lanying *ly, void (*done)(void *arg, const struct err *e));
void session_on_written(void *arg, const struct err *e); /* for it, where nobody waits */
void session_drop_token(struct session *s);
void session_renew(void *arg);
int64_t session_renewal_ms(const struct session *s); /* from now on */

/* servers.c, greeting.c */
void session_forget_servers(struct lanying *ly); /* all of them failed: perhaps the app has moved */
/* For the next connection: the other transport, then the next server. False: all were tried. */
bool session_next_way(struct lanying *ly);

#endif
