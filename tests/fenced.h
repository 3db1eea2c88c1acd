/* tests/fenced.h  Memory between two pages that nothing may touch. */
#ifndef JIELONG_TESTS_FENCED_H
#define JIELONG_TESTS_FENCED_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct fenced {
    void *p; /* n bytes, zero */
    unsigned char *map;
    size_t n, size; /* of the pages in the middle */
};

/* The n bytes begin right behind the one fence, or end right before the
 * other; what is left of their pages is filled with 0xa5. */
static inline struct fenced
fence(size_t n, bool at_end)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct fenced f = { .n = n, .size = (n + page) / page * page };

    f.map = mmap(NULL, f.size + 2 * page, PROT_NONE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (f.map == MAP_FAILED ||
        mprotect(f.map + page, f.size, PROT_READ | PROT_WRITE) != 0)
        abort();
    memset(f.map + page, 0xa5, f.size);
    f.p = f.map + page + (at_end ? f.size - n : 0);
    memset(f.p, 0, n);
    return f;
}

/* false: something beside the n bytes was written. */
static inline bool
unfence(struct fenced *f)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const unsigned char *p = f->map + page;
    size_t at = (size_t)((unsigned char *)f->p - p), i = 0;

    while (i < f->size && ((i >= at && i < at + f->n) || p[i] == 0xa5))
        i++;
    munmap(f->map, f->size + 2 * page);
    return i == f->size;
}

#endif
