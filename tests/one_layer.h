/* tests/one_layer.h  The file of a GPT-2 of one layer. Include after
 * cmocka.h. */
#ifndef JIELONG_TESTS_ONE_LAYER_H
#define JIELONG_TESTS_ONE_LAYER_H

#include <stdlib.h>

#include "engine/base/mem.h"

/* The header of a safetensors file with V tokens, P positions and width D, all
 * in `dtype`, a type of two bytes, without a gap: *bytes of data follow it.
 * Given. */
static inline char *
one_layer_header(size_t V, size_t P, size_t D, const char *dtype, size_t *bytes)
{
    const struct {
        const char *name;
        size_t rows, cols; /* cols 0: a vector */
    } parts[] = {
        { "wte.weight", V, D },
        { "wpe.weight", P, D },
        { "ln_f.weight", D, 0 },
        { "ln_f.bias", D, 0 },
        { "h.0.ln_1.weight", D, 0 },
        { "h.0.ln_1.bias", D, 0 },
        { "h.0.attn.c_attn.weight", D, 3 * D },
        { "h.0.attn.c_attn.bias", 3 * D, 0 },
        { "h.0.attn.c_proj.weight", D, D },
        { "h.0.attn.c_proj.bias", D, 0 },
        { "h.0.ln_2.weight", D, 0 },
        { "h.0.ln_2.bias", D, 0 },
        { "h.0.mlp.c_fc.weight", D, 4 * D },
        { "h.0.mlp.c_fc.bias", 4 * D, 0 },
        { "h.0.mlp.c_proj.weight", 4 * D, D },
        { "h.0.mlp.c_proj.bias", D, 0 },
    };
    const size_t n = sizeof parts / sizeof *parts;
    char *text = xstrdup("{");

    *bytes = 0;
    for (size_t i = 0; i < n; i++) {
        size_t rows = parts[i].rows, cols = parts[i].cols;
        size_t size = 2 * rows * (cols ? cols : 1);
        char *shape =
            cols ? xasprintf("%zu,%zu", rows, cols) : xasprintf("%zu", rows);
        char *more = xasprintf("%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],"
                               "\"data_offsets\":[%zu,%zu]}%c",
                               text, parts[i].name, dtype, shape, *bytes,
                               *bytes + size, i + 1 < n ? ',' : '}');

        free(shape);
        free(text);
        text = more;
        *bytes += size;
    }
    return text;
}

#endif
