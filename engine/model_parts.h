/* engine/model_parts.h  The inside of a struct model: for model*.c only. */
#ifndef JIELONG_MODEL_PARTS_H
#define JIELONG_MODEL_PARTS_H

#include "engine/load/plan.h"
#include "engine/model.h"

struct gpt2;

struct model { /* constant after model_open() */
    struct model_info info;
    struct gpt2 *net;
    struct vocab *vocab; /* NULL: none */
    struct model_config config;
    char arithmetic[160];        /* of a run, with the type of the weights */
    struct notes notes;          /* ours, then the vocabulary's */
    struct weights_source files; /* open still: the hash reads them */
};

#endif
