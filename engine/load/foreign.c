/* engine/load/foreign.c  Across the jail's pipe and back into a table.
 *
 * The answer is four lengths and then the bytes of entries, names and meta as
 * they lie in memory: both sides are the same program.
 */
#include "engine/load/foreign.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/base/mem.h"
#include "engine/load/jail.h"
#include "engine/load/quant.h"

#define ANSWER_MAX ((size_t)512 << 20)

struct task {
    foreign_reader *read;
    int fd;
    uint32_t file;
    const char *name;
};

struct lengths {
    uint64_t n, names, meta;
};

static void
put(struct jail_answer *a, const void *p, size_t len)
{
    a->p = mem_grow(a->p, &a->cap, a->len + len, 1);
    if (len)
        memcpy(a->p + a->len, p, len);
    a->len += len;
}

/* In the child. */
static bool
parse(void *ud, struct jail_answer *out, struct err *err)
{
    const struct task *x = ud;
    struct tensor_table t;
    struct meta meta = { 0 };
    struct lengths n;

    tensor_table_init(&t);
    if (!x->read(x->fd, x->file, x->name, &t, &meta, err))
        return false;
    n = (struct lengths){ t.n, t.names_len, meta.len };
    put(out, &n, sizeof n);
    put(out, t.v, t.n * sizeof *t.v);
    put(out, t.names, t.names_len);
    put(out, meta.p, meta.len);
    return true;
}

/* Bytes of the elements that rank, dimensions and strides reach. */
static bool
span(const struct tensor_entry *e, uint64_t *bytes)
{
    const struct quant_row *q;
    uint64_t last = 0, step;
    size_t n;
    uint32_t i;

    if (e->rank > LOAD_RANK_MAX || !rd_product(e->dim, e->rank, &n))
        return false;
    if (e->dtype == DT_BLOCKS) {
        q = quant_find(e->quant);
        if (!q || e->rank == 0 || e->dim[e->rank - 1] % q->elems != 0)
            return false;
        return !__builtin_mul_overflow((uint64_t)n / q->elems,
                                       (uint64_t)q->bytes, bytes);
    }
    for (i = 0; i < e->rank; i++)
        if (e->dim[i] > 0 &&
            (__builtin_mul_overflow(e->dim[i] - 1, e->stride[i], &step) ||
             __builtin_add_overflow(last, step, &last)))
            return false;
    if (n == 0) {
        *bytes = 0;
        return true;
    }
    return !__builtin_add_overflow(last, 1, &last) &&
           !__builtin_mul_overflow(last, (uint64_t)dtype_size(e->dtype), bytes);
}

bool
tensor_inside(const struct tensor_entry *e, uint64_t size)
{
    return e->offset <= size && e->bytes <= size - e->offset;
}

static bool
is_sane(const struct tensor_entry *e, const char *names, uint64_t names_len,
        uint32_t file, uint64_t size)
{
    uint64_t bytes;

    return e->dtype > DT_NONE && e->dtype <= DT_OTHER && e->name < names_len &&
           memchr(names + e->name, '\0', (size_t)(names_len - e->name)) &&
           span(e, &bytes) && bytes == e->bytes && e->file >= file &&
           (e->file > file || tensor_inside(e, size));
}

/* What the child says is bytes from outside, too. */
static bool
take(const char *p, size_t len, const struct task *x, uint64_t size,
     struct tensor_table *t, struct meta *meta, struct err *err)
{
    struct lengths n;
    struct tensor_entry e;
    const char *names;
    uint64_t i, entries;

    if (len < sizeof n)
        goto bad;
    memcpy(&n, p, sizeof n);
    p += sizeof n;
    len -= sizeof n;
    if (n.n > LOAD_TENSOR_MAX || n.names > len || n.meta > len)
        goto bad;
    entries = n.n * sizeof e;
    if (entries + n.names + n.meta != len)
        goto bad;
    names = p + entries;
    for (i = 0; i < n.n; i++) {
        memcpy(&e, p + i * sizeof e, sizeof e);
        if (!is_sane(&e, names, n.names, x->file, size))
            goto bad;
        if (!tensor_table_add(t, names + e.name, strlen(names + e.name), &e,
                              err))
            return false;
    }
    meta->p = mem_grow(meta->p, &meta->cap, meta->len + n.meta + 1, 1);
    memcpy(meta->p + meta->len, names + n.names, (size_t)n.meta);
    meta->len += n.meta;
    return true;
bad:
    return err_set(err, ERR_MODEL, "%s: its reader gave an impossible answer",
                   x->name);
}

bool
foreign_read(foreign_reader *read, int fd, uint32_t file, const char *name,
             struct tensor_table *t, struct meta *meta, struct err *err)
{
    struct task x = { read, fd, file, name };
    struct stat st;
    char *answer;
    size_t len;
    bool ok;

    if (fstat(fd, &st) != 0)
        return err_set(err, ERR_MODEL, "%s cannot be read", name);
    if (!jail_run(parse, &x, &fd, 1, ANSWER_MAX, &answer, &len, err))
        return false;
    ok = take(answer, len, &x, (uint64_t)st.st_size, t, meta, err);
    mem_big_free(answer);
    return ok;
}
