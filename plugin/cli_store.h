/* cli_store.h: a look into the store for commands, beside a daemon that may be
 * running. */
#ifndef WARBLER_CLI_STORE_H
#define WARBLER_CLI_STORE_H

#include "config/config.h"
#include "plugin/store/store.h"

/* ERR_NOT_FOUND: there is none yet, and none is made. Else as store_open(). */
enum err_code cli_store_open(struct loop *loop, const struct config *c, struct store **store_r, struct err *e);

#endif
