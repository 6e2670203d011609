/* remark.h: what an operator should know though the account works: an
 * adapter's remarks (adapter_remark()), one for each `what`, in the order in
 * which they came. */
#ifndef WARBLER_BASE_REMARK_H
#define WARBLER_BASE_REMARK_H

#include <stdbool.h>

#include "plugin/base/buf.h"

#define REMARKS_MAX 64U        /* of one account; from the next on they are not kept */
#define REMARK_BYTES_MAX 1024U /* of a text; a longer one is cut */

struct remark {
    struct remark *prev, *next;
    char *what, *text;
};

/* Sets, replaces, or, with text NULL, takes away. *list begins as NULL. True if that is news. */
bool remark_set(struct remark **list, const char *what, const char *text);
void remark_free_all(struct remark **list);
const struct remark *remark_find(const struct remark *list, const char *text); /* NULL: nothing says this */
/* Appends ,"remarks":["…"], or nothing where there are none. */
void remark_report(const struct remark *list, struct buf *json);

#endif
