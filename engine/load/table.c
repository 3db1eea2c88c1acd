/* engine/load/table.c  The flat list of tensors that every loader fills. */
#include <stdio.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/rd.h"
#include "engine/load/load.h"

static const struct {
    const char *name;
    unsigned char size;
} dtypes[] = {
    [DT_NONE] = { "none", 0 },     [DT_F64] = { "F64", 8 },
    [DT_F32] = { "F32", 4 },       [DT_F16] = { "F16", 2 },
    [DT_BF16] = { "BF16", 2 },     [DT_I64] = { "I64", 8 },
    [DT_I32] = { "I32", 4 },       [DT_I16] = { "I16", 2 },
    [DT_I8] = { "I8", 1 },         [DT_U64] = { "U64", 8 },
    [DT_U32] = { "U32", 4 },       [DT_U16] = { "U16", 2 },
    [DT_U8] = { "U8", 1 },         [DT_BOOL] = { "BOOL", 1 },
    [DT_BLOCKS] = { "blocks", 0 }, [DT_OTHER] = { "an unknown type", 0 },
};

size_t
dtype_size(enum dtype t)
{
    return dtypes[t].size;
}

const char *
dtype_name(enum dtype t)
{
    return dtypes[t].name;
}

void
tensor_table_init(struct tensor_table *t)
{
    memset(t, 0, sizeof *t);
}

void
tensor_table_free(struct tensor_table *t)
{
    free(t->v);
    free(t->names);
    tensor_table_init(t);
}

const char *
tensor_name(const struct tensor_table *t, size_t i)
{
    return t->names + t->v[i].name;
}

void
tensor_table_reserve(struct tensor_table *t, size_t n, size_t names)
{
    if (t->n + n > t->cap) {
        t->cap = t->n + n;
        t->v = xreallocarray(t->v, t->cap, sizeof *t->v);
    }
    if (t->names_len + names + n > t->names_cap) {
        t->names_cap = t->names_len + names + n;
        t->names = xrealloc(t->names, t->names_cap);
    }
}

bool
tensor_table_add(struct tensor_table *t, const char *name, size_t len,
                 const struct tensor_entry *e, struct err *err)
{
    if (t->n == LOAD_TENSOR_MAX)
        return err_set(err, ERR_MODEL, "more than %d tensors", LOAD_TENSOR_MAX);
    if (len > LOAD_NAME_MAX || memchr(name, '\0', len))
        return err_set(err, ERR_MODEL,
                       "a tensor's name is longer than %d "
                       "bytes or holds a zero byte",
                       LOAD_NAME_MAX);
    t->v = mem_grow(t->v, &t->cap, t->n + 1, sizeof *t->v);
    t->names = mem_grow(t->names, &t->names_cap, t->names_len + len + 1, 1);
    t->v[t->n] = *e;
    t->v[t->n].name = (uint32_t)t->names_len;
    memcpy(t->names + t->names_len, name, len);
    t->names[t->names_len + len] = '\0';
    t->names_len += len + 1;
    t->n++;
    return true;
}

size_t
tensor_count(const struct tensor_entry *e)
{
    size_t n = 0;

    rd_product(e->dim, e->rank, &n);
    return n;
}

const char *
tensor_shape(const struct tensor_entry *e, char *buf, size_t cap)
{
    size_t n = 0;
    uint32_t k;

    snprintf(buf, cap, "[");
    for (k = 0; k < e->rank; k++) {
        n = strlen(buf);
        snprintf(buf + n, cap - n, "%s%llu", k ? ", " : "",
                 (unsigned long long)e->dim[k]);
    }
    n = strlen(buf);
    snprintf(buf + n, cap - n, "]");
    return buf;
}
