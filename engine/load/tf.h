/* engine/load/tf.h  TensorFlow checkpoints of format V2 (tensor bundles). */
#ifndef JIELONG_TF_H
#define JIELONG_TF_H

#include "engine/load/foreign.h"

/* Reads PREFIX.index: every tensor of a known type goes to the table with
 * file number `file` + its shard, offset and bytes unchecked against the
 * shard (whoever opens the shards does that). *n_shards: how many data files
 * there must be. */
bool tf_index_read(int fd, uint32_t file, const char *name,
                   struct tensor_table *t, uint32_t *n_shards, struct err *err);

/* The same as a reader for foreign_read(): data file k of the checkpoint has
 * the number `file` + 1 + k, and meta gets their count as "tf.files". */
foreign_reader tf_read;

/* *out given (free). false: not Snappy, damaged, or longer than max. */
bool snappy_unpack(const void *p, size_t len, size_t max, char **out,
                   size_t *out_len);

#endif
