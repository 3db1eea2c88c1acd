/* engine/base/file.h  Whole files and atomic replacement. Any thread. */
#ifndef JIELONG_FILE_H
#define JIELONG_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/err.h"

/* Reads the whole of fd (from offset 0) into new memory with a NUL after it;
 * given to the caller (free). Refuses more than max bytes and anything that
 * is not a regular file; `name` is for the message. */
bool file_read_fd(int fd, const char *name, size_t max, char **data,
                  size_t *len, struct err *err);
bool file_read(const char *path, size_t max, char **data, size_t *len,
               struct err *err);

/* Reads exactly len bytes at offset; retries EINTR and short reads. */
bool file_pread(int fd, void *buf, size_t len, size_t offset, const char *name,
                struct err *err);

/* Writes all of data to path in one go that either happens or does not:
 * temporary file in the same folder, fsync, rename, fsync of the folder.
 * Keeps mode, owner and the target of a symbolic link; a file with further
 * hard links is rewritten in place; a FIFO or device is refused. */
bool file_replace(const char *path, const void *data, size_t len,
                  struct err *err);

/* The same without waiting for the disk: after a power cut the file may be the
 * old one, the new one or empty. For what can be found out again. */
bool file_replace_lazily(const char *path, const void *data, size_t len,
                         struct err *err);

/* The folder a path lies in: all before its last '/', "/" or "."; given. */
char *file_folder(const char *path);
/* Its last part, all after its last '/'; a piece of path. */
const char *file_name(const char *path);

/* mkdir -p, mode 0700 for what is made. */
bool file_make_dirs(const char *path, struct err *err);

/* write(2) until all is out; false with errno set on the first failure,
 * *done tells how many bytes went. */
bool file_write_all(int fd, const void *p, size_t len, size_t *done);

#endif
