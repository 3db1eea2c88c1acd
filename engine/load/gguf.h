/* engine/load/gguf.h  GGUF, versions 2 and 3 (docs/gguf.md of ggml). */
#ifndef JIELONG_GGUF_H
#define JIELONG_GGUF_H

#include "engine/load/load.h"
#include "engine/load/meta.h"

/* Reads the header of one file: tensors to the table (dimensions reversed to
 * row-major), the metadata to meta, where the same key keeps its name. */
bool gguf_read(int fd, uint32_t file, const char *name, struct tensor_table *t,
               struct meta *meta, struct err *err);

#endif
