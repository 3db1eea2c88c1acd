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

uint64_t
mem_available(void)
{
    FILE *f = fopen("/proc/meminfo", "re");
    char line[128];
    uint64_t kb = 0;

    if (!f)
        return 0;
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %" SCNu64, &kb) == 1)
            break;
    fclose(f);
    return kb * 1024;
}
