/* engine/base/crc32c.h  CRC-32C (Castagnoli, reflected 0x82F63B78, initial
 * value and final xor 0xFFFFFFFF). "123456789" gives 0xe3069283. SSE4.2 where
 * the CPU has it, a table elsewhere. Any thread. */
#ifndef JIELONG_CRC32C_H
#define JIELONG_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* crc of `prev`'s bytes followed by these; start with prev = 0. */
uint32_t crc32c(uint32_t prev, const void *p, size_t len);
/* The same without the instruction: what other machines run (for tests). */
uint32_t crc32c_by_table(uint32_t prev, const void *p, size_t len);
/* Three sums at once, as fast as memory is read: of the first and the second
 * len / 24 * 8 bytes, and of what is left. */
void crc32c_thirds(const void *p, size_t len, uint32_t sum[3]);

#endif
