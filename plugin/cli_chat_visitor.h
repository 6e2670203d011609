/* cli_chat_visitor.h: who we were in a web chat the last time, so that `warbler
 * chat` goes on with the conversation. One line per address in
 * $XDG_STATE_HOME/warbler/visitor (~/.local/state), readable by its owner only:
 * whoever holds a visitor's id is that visitor. */
#ifndef WARBLER_CLI_CHAT_VISITOR_H
#define WARBLER_CLI_CHAT_VISITOR_H

#include "plugin/base/err.h"

#define VISITORS_BYTES_MAX (64U * 1024) /* beyond that the oldest are forgotten */

char *visitor_load(const char *url); /* NULL: nobody, or not readable; the caller frees */
/* ERR_IO with a text that names the file; ERR_NOT_FOUND if there is no home. */
enum err_code visitor_save(const char *url, const char *visitor, struct err *e);

#endif
