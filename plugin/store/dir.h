/* dir.h: the store's directory: made, locked, and named in errors. */
#ifndef WARBLER_STORE_DIR_H
#define WARBLER_STORE_DIR_H

#include "plugin/base/err.h"

char *dir_path(const char *dir, const char *name); /* the caller frees */
enum err_code dir_make(const char *dir, struct err *e);       /* 0700, if missing */
enum err_code dir_make_file(const char *path, struct err *e); /* empty, 0600, if missing */

/* One daemon per directory: ERR_BUSY if another holds the lock. */
enum err_code dir_lock(const char *dir, int *fd_r, struct err *e);
void dir_unlock(int *fd); /* legal on -1 */

/* "cannot write PATH: …", with the owners where that is the likely reason. */
enum err_code dir_not_writable(const char *path, int error, struct err *e);

#endif
