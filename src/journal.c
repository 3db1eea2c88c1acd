/* src/journal.c  The file that only grows.
 *
 * Three stretches of bytes: what is known to be on the disk can be read back
 * from the file; the `tail`, written but perhaps not yet synced, is kept in
 * memory too, since after a failed sync Linux may have forgotten it and says
 * so only once (Rebello et al., "Can applications recover from fsync
 * failures?", ATC 2020); `pending` waits to be written. So a whole new copy can
 * be made at any time: when a sync failed, and when someone else has changed,
 * replaced or removed the file.
 *
 * Invariant: the file is `size` bytes long, its last tail.n of them are the
 * tail's, and crc32c() of those before is tail_sum. A write that did not go
 * through wholly leaves a file that ends with a whole line, or the next write
 * begins with a line break.
 */
#include "src/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/crc32c.h"
#include "engine/base/file.h"
#include "engine/base/mem.h"

#include "src/journal_disk.h"

#define FILE_MAX ((size_t)1 << 40)
#define RESERVE  262144 /* bytes of disk held ready for the last seconds */

struct renewal { /* after a failed sync: a fresh file on its way to the disk */
    int fd;      /* -1: none */
    char *path;
    char *target;    /* the name it will take; symbolic links followed */
    size_t size;     /* bytes in it */
    size_t old_size; /* of the old file when the copy was made */
    uint32_t sum;
    time_t tried;
};

struct journal {
    struct journal_options opt;
    char *path;
    int fd; /* -1: not made yet */
    bool writable, made;
    dev_t dev;
    ino_t ino;
    mode_t mode;
    size_t size, reserved;
    bool line_open; /* the file does not end with a line break */
    struct bytes pending, tail;
    size_t sent; /* bytes of pending that the writer thread is at */
    uint32_t tail_sum;
    struct disk *disk;
    struct renewal renewal;
    int error;
    bool sync_failed, slow;
    enum journal_event event;
};

/* --- opening --- */

static void
remember_file(struct journal *j, const struct stat *st)
{
    j->dev = st->st_dev;
    j->ino = st->st_ino;
    j->mode = (st->st_mode & 0666) | 0600; /* of copies */
}

static enum journal_open
lock_file(int fd)
{
    struct flock lk = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    if (fcntl(fd, F_OFD_SETLK, &lk) == 0)
        return JOURNAL_OPEN;
    return errno == EAGAIN || errno == EACCES ? JOURNAL_HELD : JOURNAL_NO_LOCKS;
}

/* Opens for writing with the lock, or for reading, and says which. */
static int
open_file(const char *path, bool read_only, enum journal_open *how)
{
    struct stat at_path, opened;
    *how = JOURNAL_NO_WRITE;
    for (int tries = 0; !read_only && tries < 10; tries++) {
        int fd = disk_open(path, O_RDWR | O_APPEND | O_NONBLOCK, 0);
        if (fd < 0)
            break;
        *how = lock_file(fd);
        /* Renamed over while we waited? Then this is not the file. */
        if (*how != JOURNAL_OPEN || stat(path, &at_path) != 0 ||
            fstat(fd, &opened) != 0 ||
            (at_path.st_dev == opened.st_dev &&
             at_path.st_ino == opened.st_ino))
            return fd;
        close(fd);
        *how = JOURNAL_HELD; /* someone replaces it all the time */
    }
    if (!read_only && *how == JOURNAL_NO_WRITE && errno == ENOENT)
        *how = JOURNAL_NEW;
    return disk_open(path, O_RDONLY | O_NONBLOCK, 0);
}

struct journal *
journal_open(const char *path, const struct journal_options *opt,
             enum journal_open *how, char **data, size_t *len, struct err *err)
{
    struct stat st;
    int fd = open_file(path, opt->read_only, how);
    *data = NULL;
    *len = 0;
    if (fd < 0 && *how != JOURNAL_NEW) {
        *how = JOURNAL_NO_READ;
        err_errno(err, ERR_STORY, errno, "%s", path);
        return NULL;
    }
    if (fd >= 0 && (!file_read_fd(fd, path, FILE_MAX, data, len, err) ||
                    fstat(fd, &st) != 0)) {
        *how = JOURNAL_NO_READ;
        close(fd);
        return NULL;
    }
    struct journal *j = xcalloc(1, sizeof *j);
    j->opt = *opt;
    j->path = xstrdup(path);
    j->fd = fd;
    j->renewal.fd = -1;
    j->mode = 0666;
    j->writable = *how == JOURNAL_OPEN || *how == JOURNAL_NEW;
    if (fd >= 0) {
        remember_file(j, &st);
        j->size = *len;
        j->tail_sum = crc32c(0, *data, *len);
        j->line_open = *len && (*data)[*len - 1] != '\n';
    }
    return j;
}

/* --- a copy of everything --- */

static size_t
tail_from(const struct journal *j)
{
    return j->size - j->tail.n;
}

/* Bytes [0, tail_from) of the file as they were written; false when they can
 * no longer be read. */
static bool
read_back(const struct journal *j, struct bytes *out)
{
    size_t n = tail_from(j), got = 0;
    if (!n)
        return true;
    out->s = mem_grow(out->s, &out->cap, n + 1, 1);
    while (got < n) {
        ssize_t r = pread(j->fd, out->s + got, n - got, (off_t)got);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return false;
        got += (size_t)r;
    }
    out->n = n;
    return crc32c(0, out->s, n) == j->tail_sum;
}

/* All lines so far. *all: the pending ones are among them. */
static void
whole_copy(const struct journal *j, struct bytes *out, bool *all)
{
    *all = false;
    if (read_back(j, out)) {
        bytes_add(out, j->tail.s, j->tail.n);
        if (j->line_open && out->n)
            bytes_add(out, "\n", 1);
        return;
    }
    out->n = 0;
    *all = true;
    j->opt.snapshot(j->opt.ud, out);
}

/* A new file at path with b in it, locked; -1 and errno. */
static int
make_file(const struct journal *j, const char *path, const struct bytes *b)
{
    int fd = disk_open(path, O_RDWR | O_APPEND | O_CREAT | O_EXCL, j->mode);
    size_t done = 0;
    if (fd < 0)
        return -1;
    lock_file(fd); /* nobody else knows this name yet */
    if (j->fd >= 0 && fchmod(fd, j->mode) != 0)
        errno = 0; /* the mask's mode will do */
    while (done < b->n) {
        ssize_t n = disk_write_now(fd, b->s + done, b->n - done);
        if (n <= 0) {
            int e = n < 0 ? errno : ENOSPC;
            close(fd);
            unlink(path);
            errno = e;
            return -1;
        }
        done += (size_t)n;
    }
    return fd;
}

static void
drop_pending(struct journal *j, size_t n)
{
    j->pending.n -= n;
    if (j->pending.n)
        memmove(j->pending.s, j->pending.s + n, j->pending.n);
}

/* From now on the journal is fd at path with b in it; eats fd and b->s. */
static void
go_on_in(struct journal *j, int fd, const char *path, struct bytes *b)
{
    struct stat st;
    char *own = xstrdup(path);
    if (fstat(fd, &st) == 0)
        remember_file(j, &st);
    if (j->fd >= 0 && j->disk)
        disk_close(j->disk, j->fd);
    else if (j->fd >= 0)
        close(j->fd);
    free(j->path);
    free(j->tail.s);
    j->path = own;
    j->fd = fd;
    j->size = b->n;
    j->tail = *b;
    j->tail_sum = 0;
    j->line_open = false;
    j->reserved = 0;
    j->writable = true;
    j->sync_failed = false;
    if (!j->disk)
        j->disk = disk_start();
    disk_wrote(j->disk, fd, j->size, j->path);
}

static void
forget_renewal(struct renewal *r)
{
    free(r->path);
    free(r->target);
    r->path = r->target = NULL;
    r->fd = -1;
}

static void
drop_renewal(struct journal *j)
{
    struct renewal *r = &j->renewal;
    if (r->fd < 0)
        return;
    disk_close(j->disk, r->fd);
    unlink(r->path);
    forget_renewal(r);
}

bool
journal_move(struct journal *j, const char *path)
{
    struct bytes b = { 0 };
    bool all;
    if (j->sent) {
        errno = EBUSY;
        return false;
    }
    drop_renewal(j);
    whole_copy(j, &b, &all);
    int fd = make_file(j, path, &b);
    if (fd < 0) {
        int e = errno;
        free(b.s);
        errno = e;
        return false;
    }
    if (all)
        j->pending.n = 0;
    go_on_in(j, fd, path, &b);
    return true;
}

/* --- others at our file --- */

enum identity { OURS, GONE, CHANGED };

static enum identity
identity(const struct journal *j)
{
    struct stat here, opened;
    if (fstat(j->fd, &opened) != 0)
        return OURS; /* the write will tell */
    if (stat(j->path, &here) != 0)
        return errno == ENOENT ? GONE : OURS;
    if (here.st_dev != j->dev || here.st_ino != j->ino)
        return CHANGED;
    return (size_t)opened.st_size == j->size ? OURS : CHANGED;
}

bool
journal_foreign(const struct journal *j)
{
    return j->fd >= 0 && j->writable && !j->sent && identity(j) != OURS;
}

/* NAME.conflict-20260131-093000, with a number if that exists. */
static bool
move_aside(struct journal *j)
{
    char when[32];
    time_t now = time(NULL);
    struct tm tm;
    localtime_r(&now, &tm);
    strftime(when, sizeof when, "%Y%m%d-%H%M%S", &tm);
    for (int i = 1; i < 1000; i++) {
        char *path = i == 1 ? xasprintf("%s.conflict-%s", j->path, when)
                            : xasprintf("%s.conflict-%s-%d", j->path, when, i);
        bool ok = journal_move(j, path);
        free(path);
        if (ok || errno != EEXIST)
            return ok;
    }
    return false;
}

static bool
divert(struct journal *j, enum identity who)
{
    if (who == GONE) {
        char *path = xstrdup(j->path);
        bool ok = journal_move(j, path);
        free(path);
        if (ok)
            j->event = JOURNAL_REMADE;
        if (ok || errno != EEXIST)
            return ok;
    }
    if (!move_aside(j))
        return false;
    j->event = JOURNAL_DIVERTED;
    return true;
}

/* --- after a failed sync --- */

static void
begin_renewal(struct journal *j)
{
    struct renewal *r = &j->renewal;
    struct bytes b = { 0 };
    struct timespec now;
    bool all;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec == r->tried)
        return;
    r->tried = now.tv_sec;
    whole_copy(j, &b, &all);
    r->target = realpath(j->path, NULL);
    if (!r->target)
        r->target = xstrdup(j->path);
    r->path = xasprintf("%s.fresh-%d", r->target, (int)getpid());
    unlink(r->path); /* of ours, given up a second ago */
    r->fd = make_file(j, r->path, &b);
    if (r->fd < 0) {
        forget_renewal(r);
    } else {
        if (all)
            j->pending.n = 0;
        r->size = b.n;
        r->old_size = j->size;
        r->sum = crc32c(0, b.s, b.n);
        disk_wrote(j->disk, r->fd, r->size, r->path);
        disk_commit(j->disk);
    }
    free(b.s);
}

/* The fresh file is on the disk: what came since, then it takes the name. */
static void
end_renewal(struct journal *j)
{
    struct renewal *r = &j->renewal;
    size_t since = j->size - r->old_size;
    const char *s = j->tail.s + j->tail.n - since;
    struct stat st;
    if ((since && disk_write_now(r->fd, s, since) != (ssize_t)since) ||
        disk_rename(r->path, r->target) != 0) {
        j->error = errno;
        drop_renewal(j);
        return;
    }
    disk_close(j->disk, j->fd);
    j->fd = r->fd;
    if (fstat(j->fd, &st) == 0)
        remember_file(j, &st);
    memmove(j->tail.s, s, since);
    j->tail.n = since;
    j->size = r->size + since;
    j->tail_sum = r->sum;
    j->reserved = 0;
    j->sync_failed = false;
    j->event = JOURNAL_RENEWED;
    forget_renewal(r);
    disk_wrote(j->disk, j->fd, j->size, j->path);
}

/* --- writing --- */

/* What the thread has done: the tail that is safe need not be kept. */
static void
look_at_disk(struct journal *j)
{
    int error;
    if (!j->disk || j->fd < 0)
        return;
    size_t synced = disk_synced(j->disk, &error);
    if (error) {
        j->error = error;
        j->sync_failed = true;
        drop_renewal(j);
    }
    if (j->renewal.fd >= 0) {
        if (synced >= j->renewal.size)
            end_renewal(j);
    } else if (j->sync_failed) {
        begin_renewal(j);
    } else if (synced > tail_from(j)) {
        size_t n = synced - tail_from(j);
        j->tail_sum = crc32c(j->tail_sum, j->tail.s, n);
        j->tail.n -= n;
        memmove(j->tail.s, j->tail.s + n, j->tail.n);
    }
}

static void
wrote(struct journal *j, size_t n)
{
    bytes_add(&j->tail, j->pending.s, n);
    j->size += n;
    if (j->renewal.fd < 0 && !j->sync_failed)
        disk_wrote(j->disk, j->fd, j->size, j->made ? j->path : NULL);
    j->made = false;
}

/* A write of len bytes of pending came back; false: it did not get through. */
static bool
write_came_back(struct journal *j, size_t len, ssize_t done, int error)
{
    j->sent = 0;
    if (done == (ssize_t)len) {
        wrote(j, len);
        drop_pending(j, len);
        return true;
    }
    size_t n = done > 0 ? (size_t)done : 0, lines = n;
    while (lines && j->pending.s[lines - 1] != '\n')
        lines--;
    j->error = done < 0 ? error : ENOSPC;
    j->line_open = true;
    if (n && (n == lines || disk_truncate(j->fd, j->size + lines) == 0))
        n = lines;
    if (n)
        wrote(j, n);
    drop_pending(j, lines);
    return false;
}

/* Makes the file, or finds that someone else did. */
static bool
create(struct journal *j)
{
    struct stat st;
    j->fd = disk_open(j->path, O_RDWR | O_APPEND | O_CREAT | O_EXCL, j->mode);
    if (j->fd < 0 && errno == EEXIST)
        return divert(j, CHANGED);
    if (j->fd < 0)
        return false;
    lock_file(j->fd);
    if (fstat(j->fd, &st) == 0)
        remember_file(j, &st);
    j->made = true;
    return true;
}

/* The file is there, is ours, and there is room kept in it. */
static bool
ready(struct journal *j)
{
    enum identity who;
    if (!j->disk)
        j->disk = disk_start();
    if (j->fd < 0 && !create(j))
        return false;
    if ((who = identity(j)) != OURS && !divert(j, who))
        return false;
    if (j->pending.n && j->size + j->pending.n > j->reserved) {
        disk_reserve(j->fd, j->size, j->pending.n + RESERVE);
        j->reserved = j->size + j->pending.n + RESERVE;
    }
    return true;
}

bool
journal_flush(struct journal *j)
{
    ssize_t done;
    int error;
    j->slow = false;
    if (!j->writable)
        return !j->pending.n;
    if (j->sent) { /* the writer is, or was, still at it */
        j->slow = disk_write_answer(j->disk, &done, &error) == DISK_LATE;
        if (j->slow)
            return false;
        write_came_back(j, j->sent, done, error);
    }
    look_at_disk(j);
    for (int tries = 0; j->pending.n && tries < 2; tries++) {
        if (!ready(j)) {
            j->error = errno;
            return false;
        }
        if (j->line_open && j->pending.n && j->pending.s[0] != '\n') {
            bytes_add(&j->pending, "\n", 1);
            memmove(j->pending.s + 1, j->pending.s, j->pending.n - 1);
            j->pending.s[0] = '\n';
        }
        j->line_open = false;
        size_t len = j->pending.n;
        if (!len)
            break;
        j->sent = len;
        if (disk_write(j->disk, j->fd, j->pending.s, len, &done, &error) ==
            DISK_LATE) {
            j->slow = true;
            return false;
        }
        if (write_came_back(j, len, done, error))
            break;
        if (done <= 0)
            break;
    }
    if (!j->pending.n && !j->sync_failed)
        j->error = 0;
    return !j->pending.n;
}

void
journal_append(struct journal *j, const char *s, size_t len)
{
    bytes_add(&j->pending, s, len);
    journal_flush(j);
}

void
journal_commit(struct journal *j)
{
    if (j->disk)
        disk_commit(j->disk);
}

enum journal_state
journal_state(const struct journal *j)
{
    if (j->slow)
        return JOURNAL_SLOW;
    return j->pending.n || j->sync_failed ? JOURNAL_WAITING : JOURNAL_FINE;
}

int
journal_error(const struct journal *j)
{
    return j->error;
}

bool
journal_dirty(const struct journal *j)
{
    return j->pending.n || j->tail.n;
}

const char *
journal_path(const struct journal *j)
{
    return j->path;
}

enum journal_event
journal_event(struct journal *j)
{
    enum journal_event e = j->event;
    j->event = JOURNAL_QUIET;
    return e;
}

/* --- the end --- */

void
journal_close(struct journal *j)
{
    if (!j)
        return;
    if (j->disk) {
        journal_flush(j);
        for (int i = 0; i < 40 && j->sync_failed; i++) { /* two seconds */
            usleep(50000);
            journal_flush(j);
        }
        if (j->reserved > j->size && j->fd >= 0 && !j->sent)
            disk_truncate(j->fd, j->size); /* give the reserve back */
        disk_stop(j->disk);
    }
    if (j->renewal.fd >= 0) {
        close(j->renewal.fd);
        unlink(j->renewal.path);
        forget_renewal(&j->renewal);
    }
    if (j->fd >= 0)
        close(j->fd);
    free(j->path);
    free(j->pending.s);
    free(j->tail.s);
    free(j);
}

void
journal_emergency(struct journal *j)
{
    if (j->fd < 0 || !j->writable)
        return;
    if (j->pending.n && !j->sent) {
        size_t n = j->pending.n;
        if (j->line_open && write(j->fd, "\n", 1) != 1)
            return;
        if (write(j->fd, j->pending.s, n) == (ssize_t)n)
            j->pending.n = 0;
    }
    fdatasync(j->fd);
}
