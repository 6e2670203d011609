/* disk_vfs.h: SQLite's file layer over a disk that can be full, can fail to
 * sync, and can lose power. One for the process; callable from every thread. */
#ifndef WARBLER_TESTS_DISK_VFS_H
#define WARBLER_TESTS_DISK_VFS_H

void disk_install(void); /* connections opened from now on use it */
void disk_remove(void);  /* all of them must be closed */

/* Each n-th event and all after it fail, until set anew; -1: none. */
void disk_fill_at(int write);
void disk_break_at(int sync);
int disk_writes(void); /* since disk_fill_at */
int disk_syncs(void);  /* since disk_break_at */

/* What the disk holds if the power fails now: copies the files of the directory
 * as they were when they were last synced, with a random part of the sectors
 * that were written since. */
void disk_power_cut(const char *from_dir, const char *to_dir, unsigned seed);

#endif
