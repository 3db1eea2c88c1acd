/* engine/base/philox.h  Philox4x32-10, a counter-based random function.
 * Salmon, Moraes, Dror, Shaw: "Parallel Random Numbers: As Easy as 1, 2, 3",
 * SC11. No state: the same key and counter give the same four words on every
 * machine. Any thread. */
#ifndef JIELONG_PHILOX_H
#define JIELONG_PHILOX_H

#include <stdint.h>

enum philox_stream { PHILOX_TOKEN = 0, PHILOX_XTC = 1, PHILOX_OTHER = 2 };

void philox4x32(const uint32_t ctr[4], const uint32_t key[2], uint32_t out[4]);

/* The draw (doc/sampling.md): key = seed (low word first), counter =
 * { i, run, br, stream }; a number in [0, 1) with 53 bits from the first two
 * words: ((out[1] << 32 | out[0]) >> 11) * 2^-53. */
double philox_draw(uint64_t seed, uint32_t i, uint32_t run, uint32_t br,
                   enum philox_stream stream);

#endif
