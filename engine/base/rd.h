/* engine/base/rd.h  The one reader for bytes that others wrote.
 *
 * A bounded cursor over a range in memory. Every get compares with the bytes
 * that remain before it touches anything; the first failure sticks, later
 * gets return zero, and the caller asks once with rd_ok(). All multi-byte
 * numbers are little-endian. Products and sums of sizes go through
 * rd_mul/rd_add. Every parser of a foreign format uses this and nothing else.
 */
#ifndef JIELONG_RD_H
#define JIELONG_RD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rd {
    const unsigned char *p; /* borrowed from the caller for the rd's life */
    size_t len;             /* bytes in the range */
    size_t pos;             /* next byte; pos <= len always */
    bool bad;               /* a get went beyond the end */
};

void rd_init(struct rd *r, const void *p, size_t len);
bool rd_ok(const struct rd *r);
size_t rd_left(const struct rd *r);
uint8_t rd_u8(struct rd *r);
uint16_t rd_u16(struct rd *r);
uint32_t rd_u32(struct rd *r);
uint64_t rd_u64(struct rd *r);
/* A pointer to n bytes, borrowed; NULL when fewer remain. */
const unsigned char *rd_bytes(struct rd *r, size_t n);
bool rd_skip(struct rd *r, size_t n);
bool rd_seek(struct rd *r, size_t pos);
/* Protobuf/LevelDB varint, at most 10 bytes. */
uint64_t rd_varint(struct rd *r);

/* false on overflow; *out is then untouched. */
bool rd_mul(size_t a, size_t b, size_t *out);
bool rd_add(size_t a, size_t b, size_t *out);
/* Product of n dimensions (1 for n = 0), dimensions up to 2^31-1 each. */
bool rd_product(const uint64_t *dims, size_t n, size_t *out);

#endif
