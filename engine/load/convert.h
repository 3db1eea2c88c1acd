/* engine/load/convert.h  Numbers of a file to f32. Inside the loader only. */
#ifndef JIELONG_CONVERT_H
#define JIELONG_CONVERT_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/load/load.h"

/* n elements from src (any alignment, little-endian) to out. false when one
 * is not finite as f32: *bad then tells which (the first). t must be one of
 * F64 F32 F16 BF16. */
bool convert_f32(enum dtype t, const void *src, size_t n, float *out,
                 size_t *bad);
/* The same for F16 without special instructions (for tests). */
bool convert_f16_plain(const void *src, size_t n, float *out, size_t *bad);

#endif
