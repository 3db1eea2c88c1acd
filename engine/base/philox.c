/* engine/base/philox.c  Philox4x32-10 in its plain form.
 *
 * Ten rounds of two 32 x 32 -> 64 bit products, the key bumped by two odd
 * constants (golden ratio, sqrt(3) - 1) between rounds; from section 4.3 of
 * the SC11 paper. Tested with the known-answer vectors of Random123.
 */
#include "engine/base/philox.h"

enum { ROUNDS = 10 };

static const uint32_t mul0 = 0xD2511F53u, mul1 = 0xCD9E8D57u;
static const uint32_t bump0 = 0x9E3779B9u, bump1 = 0xBB67AE85u;

void
philox4x32(const uint32_t ctr[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = ctr[0], c1 = ctr[1], c2 = ctr[2], c3 = ctr[3];
    uint32_t k0 = key[0], k1 = key[1];

    for (int r = 0; r < ROUNDS; r++) {
        uint64_t p0 = (uint64_t)mul0 * c0;
        uint64_t p1 = (uint64_t)mul1 * c2;

        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += bump0;
        k1 += bump1;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

double
philox_draw(uint64_t seed, uint32_t i, uint32_t run, uint32_t br,
            enum philox_stream stream)
{
    const uint32_t ctr[4] = { i, run, br, (uint32_t)stream };
    const uint32_t key[2] = { (uint32_t)seed, (uint32_t)(seed >> 32) };
    uint32_t out[4];
    uint64_t bits;

    philox4x32(ctr, key, out);
    bits = (uint64_t)out[1] << 32 | out[0];
    return (double)(bits >> 11) * 0x1p-53;
}
