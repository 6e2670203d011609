/* disk_vfs.h: SQLite's file layer over a disk that can be full, can fail to
 * sync, and can lose power, or that fails at any operation there is. One for
 * the process; callable from every thread. Nothing is really synced: what a
 * power cut would leave is kept in memory. */
#ifndef WARBLER_TESTS_DISK_VFS_H
#define WARBLER_TESTS_DISK_VFS_H

#include <stdbool.h>

void disk_install(void); /* connections opened from now on use it */
void disk_remove(void);  /* all of them must be closed */

void disk_hold(bool hold); /* no sync ends meanwhile */

/* Each n-th event and all after it fail, until set anew; -1: none. */
void disk_fill_at(int write);
void disk_break_at(int sync);
int disk_writes(void); /* since disk_fill_at */
int disk_syncs(void);  /* since disk_break_at */

/* The n-th operation of any kind fails, counted from 0 since this call; with
 * for_good all after it do. Of a write DISK_TEARS leaves the first half on disk;
 * with DISK_LIES nothing fails, and nothing is synced that says it is. -1: none. */
enum disk_fault { DISK_IS_FULL, DISK_FAILS, DISK_TEARS, DISK_LIES };
void disk_fail_at(enum disk_fault fault, int operation, bool for_good);
int disk_operations(void);       /* since disk_fail_at */
const char *disk_failed(void);   /* what failed first; NULL: nothing did */

/* What the disk holds if the power fails now: copies the files of the directory
 * as they were when they were last synced, with a random part of the sectors
 * that were written since. */
void disk_power_cut(const char *from_dir, const char *to_dir, unsigned seed);

#endif
