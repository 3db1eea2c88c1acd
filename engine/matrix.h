/* engine/matrix.h  A weight matrix in the type it runs in.
 *
 * All stand in tiles of 16 rows, so that one vector holds one input's weights
 * for 16 outputs and nothing has to be summed across a vector; rows and inputs
 * beyond the matrix are zeros:
 *
 *   f32   [tile][input][16 rows]
 *   bf16  [tile][input pair][16 rows][2]: the upper halves of f32, rounded
 *         to the nearest, ties to even
 *   int8  [tile][block of 32 inputs]: 16 scales (f16), then
 *         [8][16 rows][4 inputs] bytes q + 128; w = scale q, -127 <= q <= 127
 *   int4  [tile][block of 32 inputs]: 16 scales (f16), then [4][16][4] bytes:
 *         the low half is input 4 i + j, the high half input 16 + 4 i + j;
 *         w = scale (nibble - 8)
 *
 * A block's numbers are those of GGUF's Q8_0 and Q4_0 (ggml-common.h of ggml),
 * so a file in these types is taken over without loss.
 */
#ifndef JIELONG_MATRIX_H
#define JIELONG_MATRIX_H

#include <stdbool.h>
#include <stddef.h>

enum weight_type { WT_F32, WT_BF16, WT_INT8, WT_INT4, WT_COUNT };

/* Another number for every other order of the numbers or rounding of them:
 * what was kept on the disk is then converted again (engine/cache.h). */
#define MATRIX_LAYOUT 1
#define MATRIX_TILE   16 /* rows */
#define MATRIX_BLOCK  32 /* inputs that share a scale */

/* "f32", "bf16", "int8", "int4" */
const char *weight_type_name(enum weight_type t);
/* false: no type has this name. */
bool weight_type_find(const char *name, enum weight_type *t);

struct matrix {
    enum weight_type type;
    int n_out, n_in;
    void *data; /* borrowed; 64-byte aligned */
};

/* Bytes of one tile, and of the whole. */
size_t matrix_tile_bytes(enum weight_type t, int n_in);
size_t matrix_bytes(enum weight_type t, int n_out, int n_in);

/* Writes rows i0 .. i0+rows-1, inputs k0 .. k0+n-1 of the matrix from f32:
 * w[r * rs + k * cs] for row i0 + r and input k0 + k. k0 is a multiple of 32,
 * and n too unless the row ends there. Finite numbers. Different rows and
 * blocks may be written by several threads. Where it was never written, data
 * has to be zero, and is then no weight of any row. */
void matrix_write(const struct matrix *m, size_t i0, size_t rows, size_t k0,
                  size_t n, const float *w, size_t rs, size_t cs);
/* Row i as f32: out[n_in]. */
void matrix_row(const struct matrix *m, size_t i, float *out);

/* Block b (inputs 32 b ..) of row i of int8 or int4, as it is kept: its scale
 * (f16) and q[32]; w = scale q. */
void matrix_block(const struct matrix *m, size_t i, size_t b,
                  unsigned short *scale, signed char q[MATRIX_BLOCK]);

/* The upper half of an f32, rounded to the nearest, ties to even; the largest
 * finite number where that would be an infinity. */
unsigned short bf16_from_float(float f);
/* f16 as it stands in a block, and back (nearest, ties to even; too large
 * ones become the largest). */
float half_to_float(unsigned short h);
unsigned short half_from_float(float f);

#endif
