/* engine/load/cache_file.h  One file of converted weights. Inside the engine.
 *
 * All numbers little-endian:
 *
 *   0    "JLWEIGHT"              8   u32 version, u32 CRC-32C of [16, 4096)
 *   16   u64 bytes of the block  24  u64 0
 *   32   key, 64 hex digits      96  type, 8 bytes, NUL after it
 *   104  name of the model, 128 bytes, NUL after it; zeros up to 4096
 *   2 MB the block, then zeros up to a multiple of 64, then for each 4 MB of
 *        the block three u32, CRC-32C of its thirds (crc32c_thirds), then
 *        the u32 CRC-32C of all these
 *
 * The block begins at 2 MB and is written 4 MB at a time, so that the kernel
 * holds it in pages of 2 MB and maps them as such. The gap is a hole and takes
 * no room. A file is written beside its place and renamed, never changed.
 */
#ifndef JIELONG_CACHE_FILE_H
#define JIELONG_CACHE_FILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"

struct cache_head {
    char key[65]; /* what it was made of and how: hex */
    char type[8];
    char name[128];      /* of the model, made safe for a terminal */
    uint64_t bytes;      /* of the block */
    uint64_t file_bytes; /* of the file, the hole aside */
};

enum cache_state {
    CACHE_GOOD,
    CACHE_ABSENT,  /* no such file, or not to be read */
    CACHE_OTHER,   /* of another version of the program */
    CACHE_DAMAGED, /* cut off, changed, or no such file at all */
};

/* The head of an open file, without the checks of the block. */
enum cache_state cache_file_head(int fd, struct cache_head *out);

/* Maps the block (mem_big_free) and checks all of it with all processors.
 * NULL: *state says why. Any thread but one that a writer waits for. */
float *cache_file_map(const char *path, const char *key, uint64_t bytes,
                      enum cache_state *state);

/* Bytes on the disk of a file with such a block. */
uint64_t cache_file_size(uint64_t bytes);

/* Writes h and the block to fd, a new empty file. *stop (may be NULL) is
 * looked at every 4 MB. Nothing waits for the disk: a file that a power cut
 * left half is found out by its checks. false: errno, ECANCELED for *stop. */
bool cache_file_write(int fd, const struct cache_head *h, const void *block,
                      const atomic_bool *stop);

#endif
