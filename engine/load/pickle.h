/* engine/load/pickle.h  A data-only reader of pickles that hold tensors.
 *
 * A stack machine over plain values (Python's Lib/pickletools.py describes
 * the opcodes). It never calls anything: the few globals that torch.save
 * writes are names with a meaning here, and every other name is refused as
 * soon as the pickle wants to do something with it. Values live in flat
 * arrays and are named by index; nothing recurses over them, since a memo may
 * make cycles. All sizes are bounded by the length of the input. One owner.
 */
#ifndef JIELONG_PICKLE_H
#define JIELONG_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"
#include "engine/base/rd.h"
#include "engine/load/load.h"

#define PICKLE_NONE UINT32_MAX /* no value */

enum pickle_type {
    PK_NONE,
    PK_BOOL,
    PK_INT,
    PK_FLOAT,
    PK_STR,
    PK_TUPLE,
    PK_LIST,
    PK_DICT,
    PK_GLOBAL,  /* one of the names that are known */
    PK_OPAQUE,  /* a name that is not: s, len; only carried about */
    PK_STORAGE, /* i: index into storages */
    PK_TENSOR   /* i: index into tensors */
};

struct pickle_value {
    uint8_t type; /* enum pickle_type */
    uint8_t global;
    uint32_t n;     /* TUPLE, LIST, DICT: how many; STR, OPAQUE: bytes */
    uint32_t first; /* TUPLE: index into items; LIST, DICT: first cell */
    uint32_t last;  /* LIST, DICT: last cell */
    union {
        int64_t i;
        double d;
        const char *s; /* borrowed from the input */
    } u;
};

struct pickle_cell { /* of a list or dict, in order */
    uint32_t key, value, next;
};

struct pickle_storage {
    const char *key; /* borrowed from the input */
    uint32_t key_len;
    enum dtype dtype;
    uint64_t numel; /* of the root storage */
    uint64_t view;  /* elements from the root storage's start */
    uint64_t view_numel;
};

struct pickle_tensor {
    uint32_t storage;
    uint32_t rank;
    uint64_t offset; /* elements */
    uint64_t dim[LOAD_RANK_MAX], stride[LOAD_RANK_MAX];
};

struct pickle {
    struct pickle_value *value;
    size_t n_value, cap_value;
    uint32_t *item;
    size_t n_item, cap_item;
    struct pickle_cell *cell;
    size_t n_cell, cap_cell;
    struct pickle_storage *storage;
    size_t n_storage, cap_storage;
    struct pickle_tensor *tensor;
    size_t n_tensor, cap_tensor;
    uint32_t *stack;
    size_t n_stack, cap_stack;
    uint32_t *mark;
    size_t n_mark, cap_mark;
    uint32_t *memo;
    size_t n_memo, cap_memo;
};

void pickle_init(struct pickle *p);
void pickle_free(struct pickle *p);

/* Reads one pickle from r (which then stands behind its STOP). *root gets the
 * index of its value. Values of earlier pickles of the same struct stay; the
 * memo starts anew. `name` is for the message, which gives the offset. */
bool pickle_read(struct pickle *p, struct rd *r, const char *name,
                 uint32_t *root, struct err *err);

/* The value under a string key of a dict, PICKLE_NONE when there is none. */
uint32_t pickle_get(const struct pickle *p, uint32_t dict, const char *key);
bool pickle_is_str(const struct pickle *p, uint32_t v, const char *s);

#endif
