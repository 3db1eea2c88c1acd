/* engine/load/plan.h  Which tensor of the file becomes which part of GPT-2.
 *
 * A plan is made from names, shapes and the configuration alone, before any
 * weight is read and any memory is asked for; after it nothing about the file
 * can be wrong any more but the numbers themselves. plan_gpt2() knows the
 * names of Hugging Face's GPT2LMHeadModel and OpenAIGPTLMHeadModel (also as
 * torch and nanoGPT write them); names_translate() brings the others to it.
 */
#ifndef JIELONG_PLAN_H
#define JIELONG_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/gpt2.h"
#include "engine/load/load.h"

#define PLAN_NONE ((size_t)-1) /* no tensor: zeros */

enum plan_slot { /* the parts of a layer, in their order in memory */
                 SLOT_LN1_G,
                 SLOT_LN1_B,
                 SLOT_QKV_W,
                 SLOT_QKV_B,
                 SLOT_O_W,
                 SLOT_O_B,
                 SLOT_LN2_G,
                 SLOT_LN2_B,
                 SLOT_FC_W,
                 SLOT_FC_B,
                 SLOT_PROJ_W,
                 SLOT_PROJ_B,
                 SLOT_COUNT,
                 /* parts of a file that make one of ours: q, k and v one below the other */
                 SLOT_Q_W = SLOT_COUNT,
                 SLOT_K_W,
                 SLOT_V_W,
                 SLOT_Q_B,
                 SLOT_K_B,
                 SLOT_V_B,
                 SLOT_FILE_COUNT
};

struct notes { /* things to tell a person once */
    char **v;
    size_t n, cap;
};
void notes_add(struct notes *n, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void notes_free(struct notes *n);

struct plan {
    enum network net;
    int V, P, D, L, H, F; /* P: rows of wpe */
    int P_used;           /* positions that may be used: min(P, n_ctx) */
    bool linear;          /* matrices stand [n_out][n_in] in the file */
    bool lacks_biases;    /* and biases may be missing (nanoGPT) */
    size_t wte, wpe, lnf_g, lnf_b;    /* lnf: PLAN_NONE in NET_GPT1 */
    size_t head;                      /* PLAN_NONE: tied to wte */
    size_t head_b;                    /* PLAN_NONE: none, or all zeros */
    size_t (*layer)[SLOT_FILE_COUNT]; /* [L], owned */
};

/* Makes the plan or says what the file lacks. The source's data is read only
 * where two tensors claim one place. Ends in plan_free(), after failure too. */
bool plan_gpt2(struct plan *p, const struct weights_source *s,
               const struct model_config *c, struct notes *notes,
               struct err *err);
void plan_free(struct plan *p);
/* Rows and columns [n_out][n_in] of a layer's part; cols 1 for vectors. */
void plan_shape(const struct plan *p, enum plan_slot slot, size_t *rows,
                size_t *cols);

#endif
