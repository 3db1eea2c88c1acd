/* engine/base/crc32c.c  Eight bytes a step, by instruction or by table.
 *
 * The table form is "slicing by 8" (Kounavis, Berry: "A Systematic Approach
 * to Building High Performance Software-based CRC Generators", 2005): table k
 * holds the effect of a byte that stands k bytes before the end of a step.
 */
#include "engine/base/crc32c.h"

#include <pthread.h>
#include <string.h>
#if defined(__x86_64__)
#    include <nmmintrin.h>
#endif

#define POLYNOMIAL 0x82F63B78u /* reflected */

static uint32_t table[8][256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void
table_fill(void)
{
    uint32_t c;
    int i, k;

    for (i = 0; i < 256; i++) {
        c = (uint32_t)i;
        for (k = 0; k < 8; k++)
            c = c & 1 ? c >> 1 ^ POLYNOMIAL : c >> 1;
        table[0][i] = c;
    }
    for (k = 1; k < 8; k++)
        for (i = 0; i < 256; i++) {
            c = table[k - 1][i];
            table[k][i] = c >> 8 ^ table[0][c & 0xFF];
        }
}

uint32_t
crc32c_by_table(uint32_t prev, const void *data, size_t len)
{
    const unsigned char *p = data;
    uint32_t c = ~prev;

    pthread_once(&table_once, table_fill);
    for (; len >= 8; len -= 8, p += 8) {
        c ^= (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
             (uint32_t)p[3] << 24;
        c = table[7][c & 0xFF] ^ table[6][c >> 8 & 0xFF] ^
            table[5][c >> 16 & 0xFF] ^ table[4][c >> 24] ^ table[3][p[4]] ^
            table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
    }
    for (; len > 0; len--, p++)
        c = c >> 8 ^ table[0][(c ^ *p) & 0xFF];
    return ~c;
}

#if defined(__x86_64__)
static uint32_t __attribute__((target("sse4.2")))
by_instruction(uint32_t prev, const void *data, size_t len)
{
    const unsigned char *p = data;
    uint64_t c = (uint32_t)~prev, v;

    for (; len >= 8; len -= 8, p += 8) {
        memcpy(&v, p, 8);
        c = _mm_crc32_u64(c, v);
    }
    for (; len > 0; len--, p++)
        c = _mm_crc32_u8((uint32_t)c, *p);
    return ~(uint32_t)c;
}

/* The instruction takes three cycles, and a new one may begin in each: three
 * streams go as fast as one. All of n bytes, a multiple of eight. */
static void __attribute__((target("sse4.2")))
three_streams(const unsigned char *p, size_t n, uint32_t sum[3])
{
    uint64_t a = UINT32_MAX, b = UINT32_MAX, c = UINT32_MAX, v;

    for (size_t i = 0; i < n; i += 8) {
        memcpy(&v, p + i, 8);
        a = _mm_crc32_u64(a, v);
        memcpy(&v, p + n + i, 8);
        b = _mm_crc32_u64(b, v);
        memcpy(&v, p + 2 * n + i, 8);
        c = _mm_crc32_u64(c, v);
    }
    sum[0] = ~(uint32_t)a;
    sum[1] = ~(uint32_t)b;
    sum[2] = ~(uint32_t)c;
}
#endif

uint32_t
crc32c(uint32_t prev, const void *p, size_t len)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return by_instruction(prev, p, len);
#endif
    return crc32c_by_table(prev, p, len);
}

void
crc32c_thirds(const void *data, size_t len, uint32_t sum[3])
{
    const unsigned char *p = data;
    size_t n = len / 24 * 8;

#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) {
        three_streams(p, n, sum);
        sum[2] = by_instruction(sum[2], p + 3 * n, len - 3 * n);
        return;
    }
#endif
    sum[0] = crc32c_by_table(0, p, n);
    sum[1] = crc32c_by_table(0, p + n, n);
    sum[2] = crc32c_by_table(0, p + 2 * n, len - 2 * n);
}
