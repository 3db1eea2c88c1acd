/* engine/cache.c  The folder of converted weights: what is in it, what goes. */
#include "engine/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/file.h"
#include "engine/base/mem.h"
#include "engine/load/cache_file.h"

#define SUFFIX    ".weights"
#define NEW       ".new-" /* what a file is called till it is whole */
#define NEW_OLD   3600    /* seconds after which nobody writes to it any more */
#define FREE_MIN  ((uint64_t)2 << 30)
#define FREE_PART 20 /* of the disk stays free */

/* --- places and sizes --- */

char *
cache_place(const char *what)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");

    if (xdg && xdg[0] == '/')
        return xasprintf("%s/jielong/%s", xdg, what);
    return home && home[0] == '/'
               ? xasprintf("%s/.cache/jielong/%s", home, what)
               : NULL;
}

char *
cache_folder(void)
{
    return cache_place("weights");
}

char *
cache_path(const char *folder, const char *key)
{
    return xasprintf("%s/%s" SUFFIX, folder, key);
}

bool
cache_parse_limit(const char *text, int64_t *limit)
{
    static const char units[] = "KMGT";
    const char *unit;
    char *end;
    double v;

    if (strcmp(text, "auto") == 0 || strcmp(text, "off") == 0) {
        *limit = text[0] == 'a' ? CACHE_DEFAULT : CACHE_OFF;
        return true;
    }
    if (text[0] < '0' || text[0] > '9')
        return false;
    v = strtod(text, &end);
    unit = *end ? strchr(units, *end >= 'a' ? *end - 'a' + 'A' : *end) : NULL;
    if (!unit || end[1])
        return false;
    for (const char *u = units; u <= unit; u++)
        v *= 1000;
    if (!(v < 1e18))
        return false;
    *limit = v < 1 ? CACHE_OFF : (int64_t)v;
    return true;
}

bool
cache_is_worth(const char *type, uint64_t bytes)
{
    uint64_t least = strcmp(type, "int4") == 0   ? 4
                     : strcmp(type, "int8") == 0 ? 16
                                                 : 256;

    return bytes >= least << 20;
}

/* --- the list --- */

static bool
is_ours(const char *name)
{
    return strspn(name, "0123456789abcdef") == 64 &&
           strcmp(name + 64, SUFFIX) == 0;
}

static void
add_row(struct cache_rows *r, const char *folder, const char *name)
{
    char *path = xasprintf("%s/%s", folder, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct cache_head h;
    struct cache_row *row;
    struct stat st;

    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        if (fd >= 0)
            close(fd);
        free(path);
        return;
    }
    r->v = mem_grow(r->v, &r->cap, r->n + 1, sizeof *r->v);
    row = &r->v[r->n++];
    *row = (struct cache_row){ .path = path,
                               .bytes = (uint64_t)st.st_blocks * 512,
                               .used = st.st_mtim.tv_sec };
    r->bytes += row->bytes;
    if (cache_file_head(fd, &h) == CACHE_GOOD) {
        memcpy(row->name, h.name, sizeof row->name);
        memcpy(row->type, h.type, sizeof row->type);
    }
    close(fd);
}

static int
by_use(const void *a, const void *b)
{
    const struct cache_row *x = a, *y = b;

    return x->used != y->used ? (x->used < y->used) - (x->used > y->used)
                              : strcmp(x->path, y->path);
}

void
cache_list(struct cache_rows *r, const char *folder)
{
    DIR *d = folder ? opendir(folder) : NULL;
    struct dirent *e;

    memset(r, 0, sizeof *r);
    while (d && (e = readdir(d)))
        if (is_ours(e->d_name))
            add_row(r, folder, e->d_name);
    if (d)
        closedir(d);
    if (r->n > 1)
        qsort(r->v, r->n, sizeof *r->v, by_use);
}

void
cache_rows_free(struct cache_rows *r)
{
    for (size_t i = 0; i < r->n; i++)
        free(r->v[i].path);
    free(r->v);
    memset(r, 0, sizeof *r);
}

/* --- removing --- */

/* What a program that was killed left half written; any age, or only old. */
static void
remove_halves(const char *folder, bool any)
{
    DIR *d = opendir(folder);
    struct dirent *e;
    struct stat st;

    while (d && (e = readdir(d))) {
        if (strncmp(e->d_name, NEW, strlen(NEW)) != 0 ||
            fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(st.st_mode))
            continue;
        if (any || time(NULL) - st.st_mtim.tv_sec > NEW_OLD)
            unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d)
        closedir(d);
}

bool
cache_clear(const char *folder, const char *name, size_t *n, uint64_t *bytes,
            struct err *err)
{
    struct cache_rows r;
    bool ok = true;

    *n = 0;
    *bytes = 0;
    cache_list(&r, folder);
    for (size_t i = 0; i < r.n; i++) {
        if (name && strcmp(name, r.v[i].name) != 0)
            continue;
        if (unlink(r.v[i].path) != 0 && errno != ENOENT) {
            ok = err_errno(err, ERR_FAILED, errno, "%s cannot be removed",
                           r.v[i].path);
            continue;
        }
        *bytes += r.v[i].bytes;
        ++*n;
    }
    if (!name && folder)
        remove_halves(folder, true);
    cache_rows_free(&r);
    return ok;
}

/* --- keeping --- */

/* Bytes that a new file may take while the disk keeps its share. */
static uint64_t
room_on_disk(const char *folder)
{
    struct statvfs v;
    uint64_t all, available, spare;

    if (statvfs(folder, &v) != 0)
        return 0;
    all = (uint64_t)v.f_blocks * v.f_frsize;
    available = (uint64_t)v.f_bavail * v.f_frsize;
    spare = all / FREE_PART > FREE_MIN ? all / FREE_PART : FREE_MIN;
    return available > spare ? available - spare : 0;
}

/* Removes what was not used for longest till `bytes` more fit; nothing when
 * they would not fit even then. */
static bool
make_room(const char *folder, uint64_t bytes, uint64_t limit)
{
    uint64_t room = room_on_disk(folder), freed = 0;
    struct cache_rows r;
    bool ok;

    cache_list(&r, folder);
    ok = bytes <= limit && (bytes <= room || bytes - room <= r.bytes);
    for (size_t i = r.n;
         ok && i-- > 0 &&
         (r.bytes - freed + bytes > limit || bytes > room + freed);)
        if (unlink(r.v[i].path) == 0)
            freed += r.v[i].bytes;
    ok = ok && r.bytes - freed + bytes <= limit && bytes <= room + freed;
    cache_rows_free(&r);
    return ok;
}

static bool
is_there(const char *path, const struct cache_head *h)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct cache_head old;
    bool ok;

    if (fd < 0)
        return false;
    ok = cache_file_head(fd, &old) == CACHE_GOOD &&
         strcmp(old.key, h->key) == 0 && old.bytes == h->bytes;
    close(fd);
    return ok;
}

/* Under another name first; whoever renames last wins, all are the same. */
static bool
write_file(const char *folder, const char *path, const struct cache_head *h,
           const void *block, const atomic_bool *stop)
{
    char *beside = xasprintf("%s/" NEW "XXXXXX", folder);
    int fd = mkostemp(beside, O_CLOEXEC);
    bool ok = false;

    if (fd >= 0) {
        ok = cache_file_write(fd, h, block, stop);
        ok = close(fd) == 0 && ok && rename(beside, path) == 0;
        if (!ok)
            unlink(beside);
    }
    free(beside);
    return ok;
}

bool
cache_keep(const char *folder, int64_t limit, const struct cache_head *h,
           const void *block, const atomic_bool *stop)
{
    char *path = cache_path(folder, h->key);
    bool ok = is_there(path, h);

    if (!ok && file_make_dirs(folder, NULL)) {
        unlink(path); /* one that is no good */
        remove_halves(folder, false);
        ok = make_room(folder, cache_file_size(h->bytes), (uint64_t)limit) &&
             write_file(folder, path, h, block, stop);
    }
    free(path);
    return ok;
}
