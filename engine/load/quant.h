/* engine/load/quant.h  The block formats of GGUF, unpacked to f32.
 * Source: docs/gguf.md of ggml and the struct definitions of ggml-common.h;
 * every format is checked against values of the gguf Python package. */
#ifndef JIELONG_QUANT_H
#define JIELONG_QUANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers are those of the file. */
enum ggml_type {
    GGML_F32 = 0,
    GGML_F16 = 1,
    GGML_Q4_0 = 2,
    GGML_Q4_1 = 3,
    GGML_Q5_0 = 6,
    GGML_Q5_1 = 7,
    GGML_Q8_0 = 8,
    GGML_Q2_K = 10,
    GGML_Q3_K = 11,
    GGML_Q4_K = 12,
    GGML_Q5_K = 13,
    GGML_Q6_K = 14,
    GGML_IQ4_NL = 20,
    GGML_IQ4_XS = 23,
    GGML_BF16 = 30
};

struct quant_row {
    uint32_t type;
    const char *name;
    unsigned elems;                                         /* of a block */
    unsigned bytes;                                         /* of a block */
    void (*unpack)(const unsigned char *block, float *out); /* elems floats */
};

/* NULL: not a block format that is known (the plain types are none). */
const struct quant_row *quant_find(uint32_t type);

#endif
