/* engine/model_parts.h  The inside of a struct model: for model*.c only. */
#ifndef JIELONG_MODEL_PARTS_H
#define JIELONG_MODEL_PARTS_H

#include "engine/load/plan.h"
#include "engine/model.h"

struct gpt2;

struct kept { /* converted weights and the disk */
    int64_t limit;      /* of the cache in bytes; CACHE_OFF: none */
    char recipe[65];    /* SHA-256 of what was made of them, and how */
    bool found;         /* the block came from the disk */
};

struct model { /* constant after model_open() */
    struct model_info info;
    struct gpt2 *net;
    struct vocab *vocab; /* NULL: none */
    struct model_config config;
    char arithmetic[160];        /* of a run, with the type of the weights */
    struct notes notes;          /* ours, then the vocabulary's */
    struct weights_source files; /* open still: the hash reads them */
    struct kept kept;
    struct model_hashes early; /* model_early() */
};

/* What names the weight files without reading them: hex of the SHA-256 of
 * device, inode, size and time of each. */
bool model_files_key(const struct weights_source *files, char key[65]);
/* The SHA-256 of weight files with that key, where it is remembered. */
bool model_hash_known(const char *key, char hex[65]);

/* Fills in early (model_hash.c), before the weights are read. */
void model_look_early(struct model *m);

/* Finds, or prepares to keep, the block of this plan in this type
 * (model_keep.c). For fill_watch.kept; ud is the model. */
void model_keep_prepare(struct model *m, const struct plan *p,
                        enum weight_type type, int64_t limit);
float *model_keep_find(void *ud, size_t bytes);

#endif
