/* engine/base/mem.c  Small memory ends the program, large memory says no.
 *
 * Large blocks are mapped, so that they come zeroed without being touched and
 * lie on 2 MB boundaries: a pass over all weights then misses the TLB a
 * thousand times less often. A header of 64 bytes before the block remembers
 * how it was made. Under AddressSanitizer all blocks come from the heap, where
 * it can watch their ends.
 */
#include "engine/base/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define BIG_HEADER 64
#define HUGE_PAGE  ((size_t)2 << 20)

#ifndef __has_feature
#    define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#    define MAP_FROM ((size_t)1 << 36) /* beyond it the heap would abort */
#else
#    define MAP_FROM HUGE_PAGE /* blocks from this size on are mapped */
#endif

struct big {   /* before a large block */
    void *map; /* NULL: from the heap */
    size_t map_len;
};

static void (*failure_hook)(void);

void
mem_on_failure(void (*hook)(void))
{
    failure_hook = hook;
}

void
mem_fail(void)
{
    static const char text[] = "jielong: out of memory\n";
    ssize_t ignored;

    if (failure_hook)
        failure_hook();
    ignored = write(STDERR_FILENO, text, sizeof text - 1);
    (void)ignored;
    _exit(1);
}

void *
xmalloc(size_t size)
{
    void *p = malloc(size ? size : 1);

    if (!p)
        mem_fail();
    return p;
}

void *
xcalloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size ? size : 1);

    if (!p)
        mem_fail();
    return p;
}

void *
xrealloc(void *p, size_t size)
{
    p = realloc(p, size ? size : 1);
    if (!p)
        mem_fail();
    return p;
}

void *
xreallocarray(void *p, size_t n, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(n, size, &bytes))
        mem_fail();
    return xrealloc(p, bytes);
}

char *
xstrdup(const char *s)
{
    return xstrndup(s, strlen(s));
}

char *
xstrndup(const char *s, size_t n)
{
    size_t len = strnlen(s, n);
    char *p = xmalloc(len + 1);

    memcpy(p, s, len);
    p[len] = '\0';
    return p;
}

char *
xasprintf(const char *fmt, ...)
{
    va_list ap;
    char *p;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&p, fmt, ap);
    va_end(ap);
    if (n < 0)
        mem_fail();
    return p;
}

static size_t
whole_pages(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    return (bytes + page - 1) / page * page;
}

/* len bytes (whole pages), zeroed, from a 2 MB boundary on; NULL: errno. */
static unsigned char *
map_aligned(size_t len)
{
    unsigned char *p, *q;

    p = mmap(NULL, len + HUGE_PAGE, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    q = (unsigned char *)(((uintptr_t)p + HUGE_PAGE - 1) &
                          ~(uintptr_t)(HUGE_PAGE - 1));
    if (q > p)
        munmap(p, (size_t)(q - p));
    if (q < p + HUGE_PAGE)
        munmap(q + len, (size_t)(p + HUGE_PAGE - q));
    return q;
}

/* A zeroed mapping whose block begins 64 bytes after a 2 MB boundary. */
static unsigned char *
map_big(size_t bytes)
{
    size_t len = whole_pages(BIG_HEADER + bytes);
    unsigned char *q = map_aligned(len);

    if (!q)
        return NULL;
    madvise(q, len, MADV_HUGEPAGE);
    *(struct big *)q = (struct big){ .map = q, .map_len = len };
    return q + BIG_HEADER;
}

void *
mem_big_map(int fd, size_t at, size_t bytes, const char *what, struct err *err)
{
    size_t len = whole_pages(at + bytes);
    unsigned char *q = map_aligned(len);

    if (q && mmap(q, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd,
                  0) == MAP_FAILED) {
        int e = errno;

        munmap(q, len);
        errno = e;
        q = NULL;
    }
    if (!q) {
        err_errno(err, ERR_MEMORY, errno, "%s cannot be mapped", what);
        return NULL;
    }
    madvise(q, len, MADV_HUGEPAGE);
    /* The page becomes our own copy; the file stays as it is. */
    *(struct big *)(q + at - BIG_HEADER) =
        (struct big){ .map = q, .map_len = len };
    mprotect(q, len, PROT_READ);
    return q + at;
}

void *
mem_big(size_t n, size_t size, const char *what, struct err *err)
{
    unsigned char *p = NULL;
    size_t bytes;

    if (__builtin_mul_overflow(n, size, &bytes) || bytes > SIZE_MAX / 4) {
        err_set(err, ERR_MEMORY,
                "%s: %zu elements of %zu bytes are more "
                "than any memory holds",
                what, n, size);
        return NULL;
    }
    if (bytes >= MAP_FROM) {
        p = map_big(bytes);
    } else {
        size_t all = (BIG_HEADER + bytes + 63) / 64 * 64;

        p = aligned_alloc(64, all);
        if (p) {
            memset(p, 0, all);
            p += BIG_HEADER;
        }
    }
    if (!p)
        err_set(err, ERR_MEMORY,
                "%s needs %zu bytes of memory, which the "
                "system does not give",
                what, bytes);
    return p;
}

void
mem_big_free(void *p)
{
    struct big *b;

    if (!p)
        return;
    b = (struct big *)((unsigned char *)p - BIG_HEADER);
    if (b->map)
        munmap(b->map, b->map_len);
    else
        free(b);
}

void *
mem_grow(void *p, size_t *cap, size_t need, size_t size)
{
    size_t n = *cap;

    if (need <= n)
        return p;
    if (n > SIZE_MAX / 2)
        mem_fail();
    n = n ? 2 * n : 8;
    if (n < need)
        n = need;
    p = xreallocarray(p, n, size);
    *cap = n;
    return p;
}

/* --- how much there is --- */

/* The number behind `name` in a file of lines "name number", the first number
 * of all when name is "". */
static bool
read_number(const char *path, const char *name, uint64_t *out)
{
    FILE *f = fopen(path, "re");
    char line[256];
    size_t n = strlen(name);
    bool ok = false;

    while (f && !ok && fgets(line, sizeof line, f))
        ok = strncmp(line, name, n) == 0 &&
             sscanf(line + n, "%" SCNu64, out) == 1;
    if (f)
        fclose(f);
    return ok;
}

/* What RLIMIT_AS leaves. */
static uint64_t
left_of_addresses(void)
{
    uint64_t pages, used;
    struct rlimit r;

    if (getrlimit(RLIMIT_AS, &r) != 0 || r.rlim_cur == RLIM_INFINITY ||
        !read_number("/proc/self/statm", "", &pages))
        return UINT64_MAX;
    used = pages * (uint64_t)sysconf(_SC_PAGESIZE);
    return r.rlim_cur > used ? r.rlim_cur - used : 0;
}

/* What the limit of one control group leaves; what it has read from files and
 * not used lately could be given back. */
static uint64_t
left_of_group(const char *group, bool v2)
{
    static const char *const names[2][3] = {
        { "memory.limit_in_bytes", "memory.usage_in_bytes",
          "total_inactive_file " },
        { "memory.max", "memory.current", "inactive_file " },
    };
    char path[600];
    uint64_t max, used, files = 0;
    bool ok;

    snprintf(path, sizeof path, "%s/%s", group, names[v2][0]);
    ok = read_number(path, "", &max); /* not for the word "max" */
    snprintf(path, sizeof path, "%s/%s", group, names[v2][1]);
    if (!ok || !read_number(path, "", &used))
        return UINT64_MAX;
    snprintf(path, sizeof path, "%s/memory.stat", group);
    read_number(path, names[v2][2], &files);
    used -= files < used ? files : used;
    return max > used ? max - used : 0;
}

/* What the limits of the control group at `name` and of those above leave. */
static uint64_t
left_of_groups(const char *root, char *name, bool v2)
{
    uint64_t least = UINT64_MAX;

    for (char *end = name + strlen(name); end; end = strrchr(name, '/')) {
        char group[512];
        uint64_t left;

        *end = '\0';
        snprintf(group, sizeof group, "%s%s", root, name);
        left = left_of_group(group, v2);
        least = left < least ? left : least;
    }
    return least;
}

/* cgroups(7): a line of /proc/self/cgroup is number:controllers:group, with no
 * controllers for version 2. */
static uint64_t
left_of_all_groups(void)
{
    FILE *f = fopen("/proc/self/cgroup", "re");
    uint64_t least = UINT64_MAX;
    char line[400];

    while (f && fgets(line, sizeof line, f)) {
        char *kind = strchr(line, ':');
        char *name = kind ? strchr(kind + 1, ':') : NULL;
        uint64_t left;
        bool v2;

        if (!name)
            continue;
        v2 = name == kind + 1;
        if (!v2 && strncmp(kind, ":memory:", 8) != 0)
            continue;
        name++;
        name[strcspn(name, "\n")] = '\0';
        left = left_of_groups(v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory",
                              name, v2);
        least = left < least ? left : least;
    }
    if (f)
        fclose(f);
    return least;
}

uint64_t
mem_available(void)
{
    uint64_t kb, least, other;

    if (!read_number("/proc/meminfo", "MemAvailable:", &kb))
        return 0;
    least = kb * 1024;
    other = left_of_addresses();
    least = other < least ? other : least;
    other = left_of_all_groups();
    least = other < least ? other : least;
    return least ? least : 1; /* 0 would be: unknown */
}
