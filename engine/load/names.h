/* engine/load/names.h  Names of other families of files, as Hugging Face's. */
#ifndef JIELONG_NAMES_H
#define JIELONG_NAMES_H

#include "engine/load/load.h"

/* Renames, in place, the tensors of OpenAI's TF1 checkpoints, gpt2-ml's and
 * GGUF; matrices [1, n_in, n_out] lose their first dimension. Names that no
 * family knows stay as they are. */
bool names_translate(struct tensor_table *t, struct err *err);
/* What the file calls the tensor that is `name` here, for messages; into buf,
 * or name itself. */
const char *names_in_file(const struct tensor_table *t, const char *name,
                          char *buf, size_t cap);

#endif
