/* engine/load/cache_file.c  Converted weights to a file and back.
 *
 * The way back is a mapping: nothing is copied, no fresh page has to be
 * cleared, and two programs share one copy. Checking reads every byte once,
 * which the first pass of the network would have had to fetch from the kernel
 * anyway; with three streams of CRC-32C in each thread it goes at the speed
 * of memory.
 */
#include "engine/load/cache_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/crc32c.h"
#include "engine/base/file.h"
#include "engine/base/mem.h"
#include "engine/base/pool.h"
#include "engine/base/rd.h"
#include "engine/base/unicode.h"
#include "engine/load/fill.h"

#define MAGIC   "JLWEIGHT"
#define VERSION 1
#define HEAD    4096
#define DATA_AT ((size_t)2 << 20)
#define CHUNK   ((size_t)4 << 20)
#define AHEAD   8 /* chunks that a cold disk is asked for in advance */

#define KEY_AT  32
#define TYPE_AT 96
#define NAME_AT 104

/* --- sizes --- */

static size_t
count_chunks(uint64_t bytes)
{
    return (size_t)((bytes + CHUNK - 1) / CHUNK);
}

/* Where the sums stand; false: no block of this size can be. */
static bool
sums_at(uint64_t bytes, size_t *at, size_t *end)
{
    size_t n = count_chunks(bytes);

    return bytes > 0 && bytes < SIZE_MAX / 4 && n <= POOL_CHUNKS_MAX &&
           rd_add(DATA_AT, (size_t)((bytes + 63) / 64 * 64), at) &&
           rd_add(*at, 12 * n + 4, end);
}

uint64_t
cache_file_size(uint64_t bytes)
{
    size_t at, end;

    return sums_at(bytes, &at, &end) ? end - DATA_AT + HEAD : UINT64_MAX;
}

static size_t
chunk_bytes(uint64_t bytes, size_t i)
{
    uint64_t left = bytes - i * CHUNK;

    return left < CHUNK ? (size_t)left : CHUNK;
}

/* --- the head --- */

static void
put32(unsigned char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(v >> 8 * i);
}

static void
put64(unsigned char *p, uint64_t v)
{
    put32(p, (uint32_t)v);
    put32(p + 4, (uint32_t)(v >> 32));
}

static void
make_head(const struct cache_head *h, unsigned char head[HEAD])
{
    memset(head, 0, HEAD);
    memcpy(head, MAGIC, 8);
    put32(head + 8, VERSION);
    put64(head + 16, h->bytes);
    memcpy(head + KEY_AT, h->key, 64);
    memcpy(head + TYPE_AT, h->type, strnlen(h->type, sizeof h->type - 1));
    memcpy(head + NAME_AT, h->name, strnlen(h->name, sizeof h->name - 1));
    put32(head + 12, crc32c(0, head + 16, HEAD - 16));
}

/* A name that a terminal has nothing to obey in. */
static void
make_plain(char *s)
{
    bool utf8 = uni_valid(s, strlen(s));

    for (; *s; s++)
        if ((unsigned char)*s < ' ' || *s == 0x7f ||
            (!utf8 && (unsigned char)*s >= 0x80))
            *s = '?';
}

static bool
read_all(int fd, void *p, size_t n, size_t at)
{
    return file_pread(fd, p, n, at, "", NULL);
}

enum cache_state
cache_file_head(int fd, struct cache_head *out)
{
    unsigned char head[HEAD];
    size_t at, end;
    struct stat st;
    struct rd r;
    uint32_t version, sum;

    memset(out, 0, sizeof *out);
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
        !read_all(fd, head, HEAD, 0) || memcmp(head, MAGIC, 8) != 0)
        return CACHE_DAMAGED;
    rd_init(&r, head, HEAD);
    rd_skip(&r, 8);
    version = rd_u32(&r);
    sum = rd_u32(&r);
    if (version != VERSION)
        return CACHE_OTHER;
    if (sum != crc32c(0, head + 16, HEAD - 16))
        return CACHE_DAMAGED;
    out->bytes = rd_u64(&r);
    memcpy(out->key, head + KEY_AT, 64);
    memcpy(out->type, head + TYPE_AT, sizeof out->type - 1);
    memcpy(out->name, head + NAME_AT, sizeof out->name - 1);
    make_plain(out->type);
    make_plain(out->name);
    out->file_bytes = cache_file_size(out->bytes);
    return sums_at(out->bytes, &at, &end) && (uint64_t)st.st_size == end
               ? CACHE_GOOD
               : CACHE_DAMAGED;
}

/* --- the way back --- */

struct check {
    int fd;
    const unsigned char *block, *sums;
    uint64_t bytes;
    size_t n;
    atomic_bool bad;
};

/* What is not in memory yet is asked for before it is touched: a fault alone
 * brings little at a time. */
static void
fetch(const struct check *c, size_t i)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), n;
    unsigned char there[CHUNK / 4096 + 1];

    if (i >= c->n)
        return;
    n = chunk_bytes(c->bytes, i);
    if (page < 4096 ||
        mincore((void *)(uintptr_t)(c->block + i * CHUNK), n, there) != 0)
        return;
    if (!(there[0] & 1) || !(there[(n - 1) / page] & 1))
        for (size_t at = 0; at < n; at += (size_t)256 << 10)
            posix_fadvise(c->fd, (off_t)(DATA_AT + i * CHUNK + at), 256 << 10,
                          POSIX_FADV_WILLNEED);
}

static void
check_chunk(void *ud, int chunk, int thread)
{
    struct check *c = ud;
    size_t i = (size_t)chunk;
    uint32_t sum[3];
    struct rd r;

    (void)thread;
    if (atomic_load(&c->bad))
        return;
    fetch(c, i + AHEAD);
    crc32c_thirds(c->block + i * CHUNK, chunk_bytes(c->bytes, i), sum);
    rd_init(&r, c->sums + 12 * i, 12);
    for (int k = 0; k < 3; k++)
        if (rd_u32(&r) != sum[k])
            atomic_store(&c->bad, true);
}

static bool
sums_fit(const unsigned char *sums, size_t n)
{
    struct rd r;

    rd_init(&r, sums + 12 * n, 4);
    return rd_u32(&r) == crc32c(0, sums, 12 * n);
}

static bool
is_whole(int fd, const float *block, uint64_t bytes)
{
    struct check c = { .fd = fd,
                       .block = (const unsigned char *)block,
                       .bytes = bytes,
                       .n = count_chunks(bytes) };
    size_t at, end;
    unsigned char *sums;
    struct pool *pool;
    bool ok;

    if (!sums_at(bytes, &at, &end))
        return false;
    c.sums = sums = xmalloc(end - at);
    ok = read_all(fd, sums, end - at, at) && sums_fit(sums, c.n);
    if (ok) {
        pool = fill_pool(c.n > 1);
        for (size_t i = 0; i < AHEAD; i++)
            fetch(&c, i);
        pool_run(pool, (int)c.n, check_chunk, &c);
        pool_free(pool);
        ok = !atomic_load(&c.bad);
    }
    free(sums);
    return ok;
}

static float *
map_checked(int fd, const char *key, uint64_t bytes, enum cache_state *state)
{
    struct cache_head h;
    float *block = NULL;

    *state = cache_file_head(fd, &h);
    if (*state != CACHE_GOOD)
        return NULL;
    if (strcmp(h.key, key) != 0 || h.bytes != bytes)
        *state = CACHE_DAMAGED;
    else if (!(block = mem_big_map(fd, DATA_AT, (size_t)bytes, "", NULL)))
        *state = CACHE_ABSENT;
    else if (!is_whole(fd, block, bytes))
        *state = CACHE_DAMAGED;
    if (*state == CACHE_GOOD)
        return block;
    mem_big_free(block);
    return NULL;
}

float *
cache_file_map(const char *path, const char *key, uint64_t bytes,
               enum cache_state *state)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    float *block;

    *state = CACHE_ABSENT;
    if (fd < 0)
        return NULL;
    block = map_checked(fd, key, bytes, state);
    if (block)
        futimens(fd, NULL); /* used last: now */
    close(fd);
    return block;
}

/* --- the way there --- */

static bool
write_at(int fd, const void *p, size_t n, size_t at)
{
    return lseek(fd, (off_t)at, SEEK_SET) >= 0 &&
           file_write_all(fd, p, n, NULL);
}

static bool
write_block(int fd, const struct cache_head *h, const unsigned char *block,
            unsigned char *sums, const atomic_bool *stop)
{
    uint32_t sum[3];

    for (size_t i = 0; i < count_chunks(h->bytes); i++) {
        size_t n = chunk_bytes(h->bytes, i);

        if (stop && atomic_load(stop)) {
            errno = ECANCELED;
            return false;
        }
        crc32c_thirds(block + i * CHUNK, n, sum);
        for (int k = 0; k < 3; k++)
            put32(sums + 12 * i + 4 * (size_t)k, sum[k]);
        if (!write_at(fd, block + i * CHUNK, n, DATA_AT + i * CHUNK))
            return false;
    }
    return true;
}

bool
cache_file_write(int fd, const struct cache_head *h, const void *block,
                 const atomic_bool *stop)
{
    unsigned char head[HEAD], *sums;
    size_t n = count_chunks(h->bytes), at, end;
    bool ok;

    if (!sums_at(h->bytes, &at, &end)) {
        errno = EFBIG;
        return false;
    }
    /* A disk that is too full says so now; who cannot tell is believed. */
    if (fallocate(fd, 0, (off_t)DATA_AT, (off_t)(end - DATA_AT)) != 0 &&
        errno == ENOSPC)
        return false;
    make_head(h, head);
    sums = xcalloc(12 * n + 4, 1);
    ok = write_block(fd, h, block, sums, stop);
    put32(sums + 12 * n, crc32c(0, sums, 12 * n));
    ok =
        ok && write_at(fd, sums, 12 * n + 4, at) && write_at(fd, head, HEAD, 0);
    free(sums);
    return ok;
}
