/* scripted.h: a loopback server that answers HTTP requests with given bytes, in
 * given portions, and then closes, keeps silent or keeps the connection. On the
 * test's own loop. */
#ifndef WARBLER_TESTS_SCRIPTED_H
#define WARBLER_TESTS_SCRIPTED_H

#include "plugin/base/buf.h"
#include "plugin/net/loop.h"

enum after { AFTER_CLOSE, AFTER_KEEP, AFTER_RESET };

struct script {
    const char *answer;
    size_t len;      /* 0: strlen(answer) */
    size_t portion;  /* bytes per turn of the loop; 0: all at once */
    enum after after;
};

struct scripted;

/* The n-th request gets scripts[n]; all later ones the last. scripts must live on. */
struct scripted *scripted_new(struct loop *loop, const struct script *scripts, size_t n);
void scripted_free(struct scripted *s);
int scripted_port(const struct scripted *s);
int scripted_requests(const struct scripted *s);    /* complete ones so far */
int scripted_connections(const struct scripted *s); /* accepted so far */
int scripted_open(const struct scripted *s);        /* of them, how many are open */
const char *scripted_last(const struct scripted *s); /* the last request, head and body */

#endif
