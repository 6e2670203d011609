#include "plugin/cli_store.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

enum err_code cli_store_open(struct loop *loop, const struct config *c, struct store **store_r, struct err *e)
{
    struct buf file;
    buf_init(&file, PATH_MAX);
    buf_addf(&file, "%s/warbler.db", c->data_dir);
    bool missing = access(buf_str(&file), F_OK) != 0 && errno == ENOENT;
    buf_free(&file);
    if (missing)
        return err_set(e, ERR_NOT_FOUND, "%s holds no store yet", c->data_dir);
    return store_open(loop, c->data_dir, false, store_r, e);
}
