/* engine/model_write.h  A model written as one GGUF file. A door of the
 * engine.
 *
 * Architecture gpt2 of GGUF version 3, as llama.cpp reads it (names of
 * tensors and metadata: gguf-py's constants.py, conversion/gpt2.py of
 * llama.cpp). Matrices and the embedding are in the type asked for, all else
 * in F32. The blocks of Q8_0 and Q4_0 hold the very numbers the engine would
 * run on (matrix.h), so a model opened from the file gives the same bits as
 * its original in that type. On the calling thread; pool threads help.
 */
#ifndef JIELONG_MODEL_WRITE_H
#define JIELONG_MODEL_WRITE_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/err.h"

/* Sizes of a network: vocabulary rows, positions, width, layers, heads, width
 * of the MLP. */
struct model_shape {
    int V, P, D, L, H, F;
};
/* "small", "medium", "large", "xl" (GPT-2's), "box", or LxDxHxV such as
 * "12x768x12x50257" (1024 positions, F = 4 D). ERR_USAGE: no such shape, or
 * no sizes a network can have (H divides D, D <= 65536, V >= 300). */
bool model_shape_find(const char *name, struct model_shape *s, struct err *err);

struct model_write_options {
    const char *type;  /* f32 f16 bf16 q8_0 q4_0, or int8 int4 for the last
                        * two; NULL: f32 */
    const char *vocab; /* as model_options.vocab */
    bool force;        /* a file that is there may be replaced */
    /* Bytes written so far, on the calling thread; false cancels
     * (ERR_CANCELLED). May be NULL. */
    bool (*progress)(void *ud, size_t done, size_t total);
    /* Something a person should know about the file; may be NULL. */
    void (*note)(void *ud, const char *what);
    void *ud;
};

/* false: no type has this name. */
bool model_write_type(const char *name);

/* Writes the model at `from` (whatever model_open() takes) to `to`: a new
 * file beside it first, which takes its place when it is whole and synced.
 * ERR_MODEL for a network that GGUF's gpt2 cannot be (Grover, the first GPT,
 * other activations) and whatever model_open() refuses, ERR_USAGE when `to` is
 * there and not to be replaced, ERR_FAILED when it cannot be written, with the
 * reason. opt may be NULL. */
bool model_write(const char *from, const char *to,
                 const struct model_write_options *opt, struct err *err);
/* The same for random weights of a shape, always the same ones, with a
 * byte-level vocabulary that means nothing: for measurements. */
bool model_write_random(const struct model_shape *s, const char *to,
                        const struct model_write_options *opt, struct err *err);
/* Into an open file, from its beginning. name: for messages. */
bool model_write_random_fd(const struct model_shape *s, int fd,
                           const char *name,
                           const struct model_write_options *opt,
                           struct err *err);

#endif
