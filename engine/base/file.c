/* engine/base/file.c  Whole files in, whole files out.
 *
 * file_replace() has two ways. The usual one makes a new file beside the old
 * one and renames it over: at every instant there is one whole file. A file
 * with several names (hard links), or one whose owner we may not give to a
 * new file, must keep its inode: then the new text is first laid beside it,
 * and only when that stands on the disk is the old one rewritten; should that
 * fail halfway, the text beside it stays and the message names it.
 */
#include "engine/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/mem.h"

#define LINKS_MAX 40
#define TRIES_MAX 1000

/* --- reading --- */

bool
file_read_fd(int fd, const char *name, size_t max, char **data, size_t *len,
             struct err *err)
{
    struct stat st;
    size_t n = 0, cap;
    ssize_t got;
    char *p;

    if (fstat(fd, &st) != 0)
        return err_errno(err, ERR_FAILED, errno, "%s cannot be read", name);
    if (S_ISDIR(st.st_mode))
        return err_set(err, ERR_FAILED, "%s is a folder, not a file", name);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_FAILED, "%s is not a regular file", name);
    if ((uintmax_t)st.st_size > max)
        return err_set(err, ERR_FAILED,
                       "%s has %ju bytes, more than the %zu allowed here", name,
                       (uintmax_t)st.st_size, max);
    cap = (size_t)st.st_size + 1; /* one more: has it grown meanwhile? */
    p = malloc(cap + 1);
    if (!p)
        return err_set(err, ERR_MEMORY, "%s: no memory for %zu bytes", name,
                       cap);
    while (n < cap) {
        got = pread(fd, p + n, cap - n, (off_t)n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            err_errno(err, ERR_FAILED, errno, "%s cannot be read", name);
            free(p);
            return false;
        }
        if (got == 0)
            break;
        n += (size_t)got;
    }
    if (n == cap) {
        free(p);
        return err_set(err, ERR_FAILED, "%s grows while it is read", name);
    }
    p[n] = '\0';
    *data = p;
    *len = n;
    return true;
}

bool
file_read(const char *path, size_t max, char **data, size_t *len,
          struct err *err)
{
    /* O_NONBLOCK: opening a FIFO must not wait for a writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    bool ok;

    if (fd < 0)
        return err_errno(err, ERR_FAILED, errno, "%s cannot be opened", path);
    ok = file_read_fd(fd, path, max, data, len, err);
    close(fd);
    return ok;
}

bool
file_pread(int fd, void *buf, size_t len, size_t offset, const char *name,
           struct err *err)
{
    char *p = buf;
    ssize_t got;

    while (len > 0) {
        got = pread(fd, p, len, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(err, ERR_FAILED, errno,
                             "%s cannot be read at byte %zu", name, offset);
        if (got == 0)
            return err_set(err, ERR_FAILED,
                           "%s ends at byte %zu, where %zu "
                           "more were expected",
                           name, offset, len);
        p += got;
        offset += (size_t)got;
        len -= (size_t)got;
    }
    return true;
}

/* --- writing --- */

bool
file_write_all(int fd, const void *data, size_t len, size_t *done)
{
    const char *p = data;
    size_t n = 0;
    ssize_t got;
    bool ok = true;

    while (n < len) {
        got = write(fd, p + n, len - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            if (got == 0)
                errno = EIO;
            ok = false;
            break;
        }
        n += (size_t)got;
    }
    if (done)
        *done = n;
    return ok;
}

/* Where a path leads once all symbolic links at its end are followed, the
 * last of which may lead to a file yet to be made. Given; NULL: errno. */
static char *
follow_links(const char *path)
{
    char *p = xstrdup(path), *next, target[PATH_MAX];
    const char *slash;
    ssize_t n;
    int i;

    for (i = 0; i < LINKS_MAX; i++) {
        n = readlink(p, target, sizeof target - 1);
        if (n < 0)
            return p; /* no link, or nothing there */
        target[n] = '\0';
        slash = strrchr(p, '/');
        if (target[0] == '/' || !slash)
            next = xstrdup(target);
        else
            next = xasprintf("%.*s/%s", (int)(slash - p), p, target);
        free(p);
        p = next;
    }
    free(p);
    errno = ELOOP;
    return NULL;
}

const char *
file_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

char *
file_folder(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return xstrdup(".");
    return slash == path ? xstrdup("/")
                         : xstrndup(path, (size_t)(slash - path));
}

static void
sync_folder(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0) { /* some file systems refuse; the rename stands anyway */
        fsync(fd);
        close(fd);
    }
}

/* A new empty file in dir; *name is given. -1: errno. */
static int
make_beside(const char *dir, char **name)
{
    int fd = -1, i;

    for (i = 0; i < TRIES_MAX; i++) {
        *name = xasprintf("%s/.jielong-%ld-%d", dir, (long)getpid(), i);
        fd = open(*name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                  0666);
        if (fd >= 0)
            return fd;
        free(*name);
        *name = NULL;
        if (errno != EEXIST)
            break;
    }
    return -1;
}

static bool
write_new(int fd, const void *data, size_t len, bool sync)
{
    return file_write_all(fd, data, len, NULL) && (!sync || fsync(fd) == 0);
}

static bool
rewrite_in_place(const char *path, const void *data, size_t len, bool sync)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK), e;
    bool ok;

    if (fd < 0)
        return false;
    ok = file_write_all(fd, data, len, NULL) &&
         ftruncate(fd, (off_t)len) == 0 && (!sync || fsync(fd) == 0);
    e = errno;
    close(fd);
    errno = e;
    return ok;
}

/* path is no link; old is NULL when there is no file yet. */
static bool
replace(const char *path, const struct stat *old, const void *data, size_t len,
        bool sync, struct err *err)
{
    char *dir = file_folder(path), *tmp = NULL;
    bool ok = false, keep_inode;
    int fd = make_beside(dir, &tmp);

    if (fd < 0) {
        err_errno(err, ERR_FAILED, errno, "%s cannot be written", path);
        goto out;
    }
    keep_inode = old && old->st_nlink > 1;
    if (old && fchown(fd, old->st_uid, old->st_gid) != 0 &&
        (old->st_uid != geteuid() || fchown(fd, (uid_t)-1, old->st_gid) != 0))
        keep_inode = true;
    if (old && fchmod(fd, old->st_mode & 07777) != 0)
        keep_inode = true;
    if (!write_new(fd, data, len, sync)) {
        err_errno(err, ERR_FAILED, errno,
                  "%s cannot be written (the old one is untouched)", path);
        goto out;
    }
    if (!keep_inode) {
        if (rename(tmp, path) != 0) {
            err_errno(err, ERR_FAILED, errno, "%s cannot be replaced", path);
            goto out;
        }
        if (sync)
            sync_folder(dir);
        ok = true;
        free(tmp);
        tmp = NULL;
    } else if (rewrite_in_place(path, data, len, sync)) {
        ok = true;
    } else {
        int e = errno;

        if (e == EACCES || e == EROFS || e == EPERM || e == ETXTBSY) {
            err_errno(err, ERR_FAILED, e, "%s cannot be written", path);
        } else {
            err_errno(err, ERR_FAILED, e,
                      "%s cannot be rewritten whole (its "
                      "new text is in %s)",
                      path, tmp);
            free(tmp);
            tmp = NULL;
        }
    }
out:
    if (fd >= 0)
        close(fd);
    if (tmp) {
        unlink(tmp);
        free(tmp);
    }
    free(dir);
    return ok;
}

static bool
replace_any(const char *path, const void *data, size_t len, bool sync,
            struct err *err)
{
    char *real = follow_links(path);
    struct stat st;
    bool ok;

    if (!real)
        return err_errno(err, ERR_FAILED, errno, "%s cannot be written", path);
    if (stat(real, &st) != 0) {
        if (errno == ENOENT)
            ok = replace(real, NULL, data, len, sync, err);
        else
            ok =
                err_errno(err, ERR_FAILED, errno, "%s cannot be written", real);
    } else if (!S_ISREG(st.st_mode)) {
        ok = err_set(err, ERR_FAILED, "%s is %s and is not written over", real,
                     S_ISDIR(st.st_mode) ? "a folder"
                                         : "a pipe, a device or a socket");
    } else {
        ok = replace(real, &st, data, len, sync, err);
    }
    free(real);
    return ok;
}

bool
file_replace(const char *path, const void *data, size_t len, struct err *err)
{
    return replace_any(path, data, len, true, err);
}

bool
file_replace_lazily(const char *path, const void *data, size_t len,
                    struct err *err)
{
    return replace_any(path, data, len, false, err);
}

bool
file_make_dirs(const char *path, struct err *err)
{
    char *p = xstrdup(path);
    size_t i, len = strlen(p);
    struct stat st;
    bool ok = true;
    char c;
    int e;

    for (i = 1; ok && i <= len; i++) {
        if (p[i] != '/' && p[i] != '\0')
            continue;
        c = p[i];
        p[i] = '\0';
        e = mkdir(p, 0700) == 0 ? 0 : errno;
        if (stat(p, &st) != 0)
            ok = err_errno(err, ERR_FAILED, e ? e : errno,
                           "the folder %s cannot be made", p);
        else if (!S_ISDIR(st.st_mode))
            ok = err_set(err, ERR_FAILED,
                         "%s is in the way: it is not a folder", p);
        p[i] = c;
    }
    free(p);
    return ok;
}
