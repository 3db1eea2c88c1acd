/* engine/load/load.h  A weights file is a list of named tensors.
 *
 * A loader takes open descriptors and gives a flat table (no pointers inside,
 * so that a child process can run it later); tensor data is read from the
 * descriptor by offset afterwards, never mapped. One row in load.c per
 * format; doc/models.md describes them.
 */
#ifndef JIELONG_LOAD_H
#define JIELONG_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"
#include "engine/load/meta.h"

#define LOAD_RANK_MAX   8
#define LOAD_NAME_MAX   1024
#define LOAD_TENSOR_MAX 100000

enum dtype {
    DT_NONE,
    DT_F64,
    DT_F32,
    DT_F16,
    DT_BF16,
    DT_I64,
    DT_I32,
    DT_I16,
    DT_I8,
    DT_U64,
    DT_U32,
    DT_U16,
    DT_U8,
    DT_BOOL,
    DT_BLOCKS, /* quantised: which way says tensor_entry.quant */
    DT_OTHER   /* known to exist, not readable: refused only if needed */
};
size_t dtype_size(enum dtype t); /* bytes per element; 0: BLOCKS, OTHER */
const char *dtype_name(enum dtype t);

struct tensor_entry {
    uint32_t name; /* offset of the NUL-terminated name in names */
    uint32_t file; /* which descriptor */
    enum dtype dtype;
    uint32_t quant; /* BLOCKS: number of the block format (quant.h) */
    uint32_t rank;
    uint64_t dim[LOAD_RANK_MAX];
    /* In elements; row-major contiguous unless a format says otherwise. */
    uint64_t stride[LOAD_RANK_MAX];
    uint64_t offset; /* of the first element, in bytes, from file start */
    uint64_t bytes;  /* span of the data in the file */
};

enum name_family { /* whose names a file has; names.c */
                   NAMES_HF,
                   NAMES_OPENAI,
                   NAMES_GPT2_ML,
                   NAMES_GGUF
};

struct tensor_table {
    struct tensor_entry *v; /* in file order */
    size_t n, cap;
    enum name_family family; /* before names_translate() */
    char *names; /* all names, NUL between */
    size_t names_len, names_cap;
};

void tensor_table_init(struct tensor_table *t);
void tensor_table_free(struct tensor_table *t);
const char *tensor_name(const struct tensor_table *t, size_t i);
/* Copies the entry and the name (len bytes without a NUL inside, at most
 * LOAD_NAME_MAX); e->name is set. ERR_MODEL beyond LOAD_TENSOR_MAX. */
bool tensor_table_add(struct tensor_table *t, const char *name, size_t len,
                      const struct tensor_entry *e, struct err *err);
/* Room for n entries more whose names have so many bytes, before adding. */
void tensor_table_reserve(struct tensor_table *t, size_t n, size_t names);
/* Elements of a tensor; entries of a table always have a product that fits. */
size_t tensor_count(const struct tensor_entry *e);
/* "[2, 3]", for messages; into buf, which is returned. */
const char *tensor_shape(const struct tensor_entry *e, char *buf, size_t cap);

/* Reads the header of one safetensors file
 * (github.com/huggingface/safetensors, "Format") and adds its
 * tensors with file number `file`. */
bool safetensors_read(int fd, uint32_t file, const char *name,
                      struct tensor_table *t, struct err *err);

/* --- what model.c works with --- */

struct weights_source { /* an opened model folder or file */
    char *dir;          /* folder that holds config.json and the tokenizer */
    char **files;       /* paths of the weight files */
    int *fds;
    size_t n_files;
    struct tensor_table table; /* names as in the file */
    struct meta meta;          /* what the file says about itself (GGUF) */
    size_t n_unlisted; /* tensors in shards that the index does not name */
};

/* Recognises the path (a weights file, an index of shards, or a folder with
 * one of them; doc/models.md gives the order), opens, reads the headers.
 * Everything ends in weights_close(), after failure too. */
bool weights_open(struct weights_source *s, const char *path, struct err *err);
void weights_close(struct weights_source *s);

/* Reads tensor i as f32, row-major, into out[n elements]; NaN or infinity:
 * err that names tensor and element. */
bool weights_read_f32(const struct weights_source *s, size_t i, float *out,
                      struct err *err);
/* The same, transposed while reading: file [r][c] to out[c][r]. Rank 2. */
bool weights_read_f32_t(const struct weights_source *s, size_t i, float *out,
                        struct err *err);
/* A piece of either, so that threads can share a tensor: rows [from, to) out of
 * weights_rows(); out is the place of the whole tensor. */
size_t weights_rows(const struct weights_source *s, size_t i);
bool weights_read_rows(const struct weights_source *s, size_t i, size_t from,
                       size_t to, bool transposed, float *out, struct err *err);
/* Tells the kernel that these rows will be read soon. */
void weights_announce(const struct weights_source *s, size_t i, size_t from,
                      size_t to);
/* The same rows as they stand in the file, out being the place of `from`. */
bool weights_read_piece(const struct weights_source *s, size_t i, size_t from,
                        size_t to, float *out, struct err *err);
/* Do two tensors hold the same numbers? Shapes are compared too. */
bool weights_equal(const struct weights_source *s, size_t i, size_t j,
                   bool *equal, struct err *err);

/* --- config.json and generation_config.json --- */

enum activation {
    ACT_GELU_TANH,
    ACT_GELU_ERF,
    ACT_QUICK_GELU,
    ACT_RELU,
    ACT_TANH,
    ACT_SILU
};

struct model_config {
    bool present;
    const char *from; /* what says it, for messages */
    int64_t n_head, n_embd, n_layer, n_positions, n_ctx, n_inner, vocab_size;
    /* -1 where absent or null */
    enum activation act;
    double ln_eps;
    bool scale_attn, scale_by_layer, tie; /* defaults true, false, true */
    int64_t bos, eos;                     /* -1 absent; the first of a list */
};
/* A missing config.json is allowed (present = false, defaults).
 * generation_config.json beside it overrides bos and eos. Numbers are checked
 * for sense here and against the tensors in plan.c. */
bool config_read(const char *dir, struct model_config *c, struct err *err);
/* The parser of it, which config_read() runs in a jail. */
struct texts;
bool config_parse(const struct texts *t, const char *dir,
                  struct model_config *c, struct err *err);
/* What a GGUF file's metadata says takes the place of it; other files have
 * no such metadata and change nothing. */
bool config_from_meta(const struct meta *m, struct model_config *c,
                      struct err *err);

#endif
