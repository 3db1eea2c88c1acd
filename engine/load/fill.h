/* engine/load/fill.h  The plan carried out: weights in memory. Inside the
 * engine only. */
#ifndef JIELONG_FILL_H
#define JIELONG_FILL_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/load/plan.h"
#include "engine/matrix.h"

struct gpt2;

struct fill_watch { /* called on the calling thread only; false: cancel */
    bool (*progress)(void *ud, size_t done, size_t total); /* bytes; or NULL */
    void *ud;
    /* A finished block of so many bytes that was kept from an earlier time,
     * given (mem_big_free), or NULL; may itself be NULL. */
    float *(*kept)(void *kept_ud, size_t bytes);
    void *kept_ud;
};

/* The matrices in the running type, made from the file's rows piece by piece:
 * there is never a second copy of a whole matrix, but of a strided one.
 * Given (gpt2_free), or NULL and err: ERR_MEMORY before anything was asked
 * for when the machine has not enough left, ERR_CANCELLED, or ERR_MODEL for
 * a number that is none. *n_params counts the model's own parameters. */
struct gpt2 *fill_gpt2(const struct plan *p, const struct weights_source *s,
                       const struct model_config *c,
                       enum weight_type type, const struct fill_watch *watch,
                       size_t *n_params, struct err *err);

struct pool;
/* Threads for reading and checking: more than eight only queue up at the
 * memory. many false: the caller alone. For pool_free(). */
struct pool *fill_pool(bool many);

#endif
