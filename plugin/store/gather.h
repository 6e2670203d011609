/* gather.h: SQLite's file layer with one difference: what is written to the log
 * is kept until SQLite asks for it to be synced, and then leaves with one write.
 *
 * SQLite writes a log page by page, each with its header apart, so a commit of
 * thirty messages is two hundred system calls. Nothing reads the log in between:
 * its index, by which other connections find the pages, names them after the
 * sync only. Before anything else is done with the file, or when more is kept
 * than is worth it, what is kept is written. A write that fails is told by the
 * call that caused it, in the end by the sync, and the commit fails. */
#ifndef WARBLER_STORE_GATHER_H
#define WARBLER_STORE_GATHER_H

struct gather;

/* Over the default layer of this moment. NULL: SQLite is out of memory. */
struct gather *gather_new(void);
void gather_free(struct gather **g); /* after the connection is closed; NULL-safe */
const char *gather_name(const struct gather *g); /* for sqlite3_open_v2() */

#endif
