/* src/journal_disk.c  System calls of the journal and the threads that wait
 * for the disk. One mutex guards what main and the threads share.
 */
#include "src/journal_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/mem.h"

#include "src/journal.h"

#define SYNC_EVERY_MS 1000
#define LATE_MS       100
#define STOP_MS       3000

/* --- system calls --- */

static pthread_mutex_t fault_lock = PTHREAD_MUTEX_INITIALIZER;
static journal_fault_fn fault;
static void *fault_ud;

void
journal_fault_hook(journal_fault_fn fn, void *ud)
{
    pthread_mutex_lock(&fault_lock);
    fault = fn;
    fault_ud = ud;
    pthread_mutex_unlock(&fault_lock);
}

static bool
faulty(enum journal_call call, size_t *len)
{
    pthread_mutex_lock(&fault_lock);
    journal_fault_fn fn = fault;
    void *ud = fault_ud;
    pthread_mutex_unlock(&fault_lock);
    int e = fn ? fn(ud, call, len) : 0;
    if (e)
        errno = e;
    return e != 0;
}

int
disk_open(const char *path, int flags, mode_t mode)
{
    size_t len = 0;
    if ((flags & O_CREAT) && faulty(JOURNAL_CALL_OPEN, &len))
        return -1;
    return open(path, flags | O_CLOEXEC | O_NOCTTY, mode);
}

ssize_t
disk_write_now(int fd, const char *s, size_t len)
{
    ssize_t n;
    if (faulty(JOURNAL_CALL_WRITE, &len))
        return -1;
    do
        n = write(fd, s, len);
    while (n < 0 && errno == EINTR);
    return n;
}

int
disk_sync(int fd, bool whole)
{
    size_t len = 0;
    if (faulty(JOURNAL_CALL_SYNC, &len))
        return -1;
    return whole ? fsync(fd) : fdatasync(fd);
}

int
disk_truncate(int fd, size_t len)
{
    if (faulty(JOURNAL_CALL_TRUNCATE, &len))
        return -1;
    return ftruncate(fd, (off_t)len);
}

int
disk_rename(const char *from, const char *to)
{
    size_t len = 0;
    if (faulty(JOURNAL_CALL_RENAME, &len))
        return -1;
    return rename(from, to);
}

void
disk_reserve(int fd, size_t at, size_t len)
{
    if (faulty(JOURNAL_CALL_RESERVE, &len))
        return;
    /* Where this is not supported there is no reserve; the write tells. */
    if (fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)len) != 0)
        return;
}

void
disk_sync_folder(const char *path)
{
    char *copy = xstrdup(path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        /* Not every file system can sync a folder; nothing more to do then. */
        if (fsync(fd) != 0)
            errno = 0;
        close(fd);
    }
    free(copy);
}

/* --- the threads --- */

struct disk {
    pthread_mutex_t lock;
    pthread_cond_t to_syncer, to_writer, to_main;
    pthread_t syncer, writer;
    bool stop, syncer_gone, writer_gone;
    /* syncing */
    int fd;
    size_t wrote, synced; /* bytes of fd */
    char *fresh;          /* its path until its folder was synced */
    bool commit, syncing;
    int error;
    int close_later; /* -1: nothing */
    /* writing */
    int write_fd;
    char *write_s;
    size_t write_len;
    ssize_t write_done;
    int write_error;
    bool write_asked, write_ready;
};

static void
in_ms(struct timespec *ts, long ms)
{
    clock_gettime(CLOCK_MONOTONIC, ts);
    ts->tv_nsec += ms % 1000 * 1000000;
    ts->tv_sec += ms / 1000 + ts->tv_nsec / 1000000000;
    ts->tv_nsec %= 1000000000;
}

/* Sync of what has been written; called and returns with the lock held. */
static void
sync_once(struct disk *d)
{
    int fd = d->fd, rc, e;
    size_t upto = d->wrote;
    char *fresh = d->fresh;
    d->fresh = NULL;
    d->commit = false;
    d->syncing = true;
    pthread_mutex_unlock(&d->lock);
    rc = disk_sync(fd, fresh != NULL);
    e = errno;
    if (rc == 0 && fresh)
        disk_sync_folder(fresh);
    free(fresh);
    pthread_mutex_lock(&d->lock);
    d->syncing = false;
    if (d->fd == fd && rc == 0)
        d->synced = upto;
    else if (d->fd == fd)
        d->error = e ? e : EIO;
    if (d->close_later >= 0)
        close(d->close_later);
    d->close_later = -1;
    pthread_cond_broadcast(&d->to_main);
}

static void *
syncer_main(void *arg)
{
    struct disk *d = arg;
    struct timespec due;
    bool waits = false; /* for `due` */
    pthread_mutex_lock(&d->lock);
    for (;;) {
        bool dirty = d->fd >= 0 && d->wrote > d->synced && !d->error;
        if (dirty && (d->commit || d->stop)) {
            sync_once(d);
            waits = false;
        } else if (d->stop) {
            break;
        } else if (!dirty) {
            waits = d->commit = false;
            pthread_cond_wait(&d->to_syncer, &d->lock);
        } else if (!waits) {
            in_ms(&due, SYNC_EVERY_MS);
            waits = true;
        } else if (pthread_cond_timedwait(&d->to_syncer, &d->lock, &due) ==
                   ETIMEDOUT) {
            sync_once(d);
            waits = false;
        }
    }
    d->syncer_gone = true;
    pthread_cond_broadcast(&d->to_main);
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

static void *
writer_main(void *arg)
{
    struct disk *d = arg;
    pthread_mutex_lock(&d->lock);
    while (!d->stop || d->write_asked) {
        if (!d->write_asked) {
            pthread_cond_wait(&d->to_writer, &d->lock);
            continue;
        }
        pthread_mutex_unlock(&d->lock);
        ssize_t n = disk_write_now(d->write_fd, d->write_s, d->write_len);
        int e = errno;
        pthread_mutex_lock(&d->lock);
        d->write_done = n;
        d->write_error = e;
        d->write_asked = false;
        d->write_ready = true;
        pthread_cond_broadcast(&d->to_main);
    }
    d->writer_gone = true;
    pthread_cond_broadcast(&d->to_main);
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

static void
cond_init(pthread_cond_t *c)
{
    pthread_condattr_t a;
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(c, &a);
    pthread_condattr_destroy(&a);
}

struct disk *
disk_start(void)
{
    struct disk *d = xcalloc(1, sizeof *d);
    sigset_t all, old;
    d->fd = d->close_later = -1;
    pthread_mutex_init(&d->lock, NULL);
    cond_init(&d->to_syncer);
    cond_init(&d->to_writer);
    cond_init(&d->to_main);
    sigfillset(&all); /* signals are main's */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    d->syncer_gone = pthread_create(&d->syncer, NULL, syncer_main, d) != 0;
    d->writer_gone = pthread_create(&d->writer, NULL, writer_main, d) != 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return d;
}

void
disk_stop(struct disk *d)
{
    struct timespec due;
    in_ms(&due, STOP_MS);
    pthread_mutex_lock(&d->lock);
    bool syncer = !d->syncer_gone, writer = !d->writer_gone;
    d->stop = true;
    pthread_cond_broadcast(&d->to_syncer);
    pthread_cond_broadcast(&d->to_writer);
    while (!d->syncer_gone || !d->writer_gone)
        if (pthread_cond_timedwait(&d->to_main, &d->lock, &due) == ETIMEDOUT)
            break;
    bool gone = d->syncer_gone && d->writer_gone;
    pthread_mutex_unlock(&d->lock);
    if (!gone) {
        pthread_detach(d->syncer);
        pthread_detach(d->writer);
        return; /* they still use d */
    }
    if (syncer)
        pthread_join(d->syncer, NULL);
    if (writer)
        pthread_join(d->writer, NULL);
    pthread_cond_destroy(&d->to_syncer);
    pthread_cond_destroy(&d->to_writer);
    pthread_cond_destroy(&d->to_main);
    pthread_mutex_destroy(&d->lock);
    free(d->fresh);
    free(d->write_s);
    free(d);
}

void
disk_wrote(struct disk *d, int fd, size_t size, const char *fresh_path)
{
    pthread_mutex_lock(&d->lock);
    if (d->fd != fd) {
        d->fd = fd;
        d->synced = 0;
        d->error = 0;
        free(d->fresh);
        d->fresh = NULL;
    }
    if (fresh_path) {
        free(d->fresh);
        d->fresh = xstrdup(fresh_path);
    }
    d->wrote = size;
    pthread_cond_signal(&d->to_syncer);
    pthread_mutex_unlock(&d->lock);
}

void
disk_commit(struct disk *d)
{
    pthread_mutex_lock(&d->lock);
    d->commit = true;
    pthread_cond_signal(&d->to_syncer);
    pthread_mutex_unlock(&d->lock);
}

size_t
disk_synced(struct disk *d, int *error)
{
    pthread_mutex_lock(&d->lock);
    size_t n = d->synced;
    *error = d->error;
    pthread_mutex_unlock(&d->lock);
    return n;
}

void
disk_close(struct disk *d, int fd)
{
    pthread_mutex_lock(&d->lock);
    if (d->syncing && d->fd == fd)
        d->close_later = fd;
    else
        close(fd);
    if (d->fd == fd)
        d->fd = -1;
    pthread_mutex_unlock(&d->lock);
}

static enum disk_answer
take_answer(struct disk *d, ssize_t *done, int *error)
{
    if (!d->write_ready)
        return DISK_LATE;
    d->write_ready = false;
    *done = d->write_done;
    *error = d->write_error;
    free(d->write_s);
    d->write_s = NULL;
    return DISK_DONE;
}

enum disk_answer
disk_write(struct disk *d, int fd, const char *s, size_t len, ssize_t *done,
           int *error)
{
    pthread_mutex_lock(&d->lock);
    if (!d->syncing || d->writer_gone) {
        pthread_mutex_unlock(&d->lock);
        *done = disk_write_now(fd, s, len);
        *error = errno;
        return DISK_DONE;
    }
    struct timespec due;
    in_ms(&due, LATE_MS);
    d->write_s = xmalloc(len);
    memcpy(d->write_s, s, len);
    d->write_len = len;
    d->write_fd = fd;
    d->write_asked = true;
    pthread_cond_signal(&d->to_writer);
    while (!d->write_ready)
        if (pthread_cond_timedwait(&d->to_main, &d->lock, &due) == ETIMEDOUT)
            break;
    enum disk_answer a = take_answer(d, done, error);
    pthread_mutex_unlock(&d->lock);
    return a;
}

enum disk_answer
disk_write_answer(struct disk *d, ssize_t *done, int *error)
{
    pthread_mutex_lock(&d->lock);
    enum disk_answer a = take_answer(d, done, error);
    pthread_mutex_unlock(&d->lock);
    return a;
}
