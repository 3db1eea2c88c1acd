/* src/journal_disk.h  Inside the journal: the system calls, and the two
 * threads that wait for the disk so that main does not.
 *
 * The syncer calls fdatasync a second after the first unsynced write, or at
 * once when asked. The writer takes over a write(2) only while a sync is under
 * way, since a write may then wait as long as the sync does.
 */
#ifndef JIELONG_JOURNAL_DISK_H
#define JIELONG_JOURNAL_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct disk;

/* All calls of the journal that change files go through these; -1 and errno
 * as the call itself, or as the fault hook says. */
int disk_open(const char *path, int flags, mode_t mode);
ssize_t disk_write_now(int fd, const char *s, size_t len);
int disk_sync(int fd, bool whole);
int disk_truncate(int fd, size_t len);
int disk_rename(const char *from, const char *to);
void disk_reserve(int fd, size_t at, size_t len);
void disk_sync_folder(const char *path); /* of the file at path */

struct disk *disk_start(void);
/* Lets the syncer finish what there is, for a few seconds; a thread that hangs
 * in the kernel is left behind. */
void disk_stop(struct disk *d);

/* fd has been written up to `size`; a fresh file's folder is synced too (path
 * borrowed till the next sync is through or another fd is told of). */
void disk_wrote(struct disk *d, int fd, size_t size, const char *fresh_path);
void disk_commit(struct disk *d);
/* How far fd is known to be on the disk; *error gets the errno of a failed
 * sync, after which the syncer leaves that fd alone. */
size_t disk_synced(struct disk *d, int *error);
/* Closes fd, or lets the syncer do it if it is just at it. */
void disk_close(struct disk *d, int fd);

enum disk_answer { DISK_DONE, DISK_LATE };
/* One write(2) of a copy of s; *done as write's result, *error its errno. LATE
 * when it takes too long: ask again with disk_write_answer(). */
enum disk_answer disk_write(struct disk *d, int fd, const char *s, size_t len,
                            ssize_t *done, int *error);
enum disk_answer disk_write_answer(struct disk *d, ssize_t *done, int *error);

#endif
