/* engine/load/shards.h  model.safetensors.index.json: which tensor is in
 * which file. Inside the loader only. */
#ifndef JIELONG_SHARDS_H
#define JIELONG_SHARDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"

struct shard_row {
    char *name; /* of the tensor */
    uint32_t file;
    bool taken;
};

struct shards {
    struct shard_row *v; /* sorted by name after shards_read */
    size_t n, cap;
    char **files; /* plain names, each once, in order of appearance */
    size_t n_files, files_cap;
};

/* File names must be plain: nothing leads out of the folder. */
bool shards_read(struct shards *sh, const char *path, struct err *err);
void shards_free(struct shards *sh);
/* Does the index put this tensor into this file? Marks it as found. */
bool shards_take(struct shards *sh, const char *name, uint32_t file);
/* A tensor that was not taken, or NULL; borrowed. */
const char *shards_missing(const struct shards *sh);

#endif
