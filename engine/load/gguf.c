/* engine/load/gguf.c  Header, metadata and tensor list of a GGUF file.
 *
 * Most of the memory faults found in readers of this format come from counts
 * that were believed before they were compared with the bytes that remain, or
 * from sums that wrapped. So here: a count is at most what is left divided by
 * the least a record needs; the header is read in growing pieces, never more
 * than the file has; every size is a checked product.
 */
#include "engine/load/gguf.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/base/file.h"
#include "engine/base/mem.h"
#include "engine/load/quant.h"

#define KEYS_MAX   4096
#define STRING_MAX (1u << 20)
#define HEADER_MAX (256u << 20)

enum value_type {
    V_U8,
    V_I8,
    V_U16,
    V_I16,
    V_U32,
    V_I32,
    V_F32,
    V_BOOL,
    V_STRING,
    V_ARRAY,
    V_U64,
    V_I64,
    V_F64,
    V_COUNT
};

static const unsigned char value_size[V_COUNT] = { 1, 1, 2,  2, 4, 4, 4,
                                                   1, 8, 12, 8, 8, 8 };

struct gguf {
    const char *name;
    struct err *err;
    uint32_t file;
    uint64_t size; /* of the file */
    struct rd r;   /* over what was read of it */
    struct tensor_table *table;
    struct meta *meta;
    uint32_t version;
    uint64_t alignment;
    size_t first;     /* our first row of the table */
    const char **key; /* for duplicates */
    size_t *key_len;
    size_t n_key;
};

static bool
refuse(struct gguf *g, const char *what)
{
    return err_set(g->err, ERR_MODEL, "%s: byte %zu: %s", g->name, g->r.pos,
                   what);
}

static const char *
get_string(struct gguf *g, size_t max, size_t *len)
{
    uint64_t n = rd_u64(&g->r);
    const char *s;

    if (n > max || n > rd_left(&g->r)) {
        refuse(g, "a text that is longer than the file or than any should be");
        return NULL;
    }
    s = (const char *)rd_bytes(&g->r, (size_t)n);
    *len = (size_t)n;
    return s;
}

static bool
is_real(uint32_t type)
{
    return type == V_F32 || type == V_F64;
}

/* Steps over arrays of arrays, which nothing of ours reads. */
static bool
skip_array(struct gguf *g, int depth)
{
    uint32_t type = rd_u32(&g->r);
    uint64_t n = rd_u64(&g->r), i;
    size_t len;

    if (type >= V_COUNT || depth > 4 || n > rd_left(&g->r) / value_size[type])
        return refuse(g, "an array that cannot be");
    if (type != V_ARRAY && type != V_STRING)
        return rd_skip(&g->r, (size_t)n * value_size[type]);
    for (i = 0; i < n; i++)
        if (type == V_ARRAY ? !skip_array(g, depth + 1)
                            : !get_string(g, STRING_MAX, &len))
            return rd_ok(&g->r) ? false : refuse(g, "an array beyond the end");
    return true;
}

static bool
is_signed(uint32_t type)
{
    return type == V_I8 || type == V_I16 || type == V_I32 || type == V_I64;
}

/* What somebody here asks for; all else is only stepped over. */
static bool
is_wanted(const char *key, size_t len)
{
    static const char *const heads[] = { "general.", "gpt2.", "tokenizer.",
                                         "split." };
    size_t i, n;

    for (i = 0; i < sizeof heads / sizeof *heads; i++) {
        n = strlen(heads[i]);
        if (len > n && memcmp(key, heads[i], n) == 0)
            return true;
    }
    return false;
}

static bool
get_texts(struct gguf *g, const char *key, size_t len, uint64_t n)
{
    bool wanted = is_wanted(key, len);
    const char *s;
    size_t s_len;

    if (wanted)
        meta_begin(g->meta, key, len, META_TEXT, n);
    for (; n > 0; n--) {
        s = get_string(g, STRING_MAX, &s_len);
        if (!s)
            return false;
        if (wanted)
            meta_put_text(g->meta, s, s_len);
    }
    return true;
}

/* The items of a value: n of them fit into what is left. */
static bool
get_items(struct gguf *g, const char *key, size_t len, uint32_t type,
          uint64_t n)
{
    const void *items;

    if (type == V_STRING)
        return get_texts(g, key, len, n);
    items = rd_bytes(&g->r, (size_t)n * value_size[type]);
    if (!items)
        return refuse(g, "the file ends in its metadata");
    if (is_wanted(key, len))
        meta_put_list(g->meta, key, len, is_real(type) ? META_REAL : META_INT,
                      value_size[type], is_signed(type), n, items);
    return true;
}

static bool
known_key(struct gguf *g, const char *key, size_t len)
{
    size_t i;

    for (i = 0; i < g->n_key; i++)
        if (g->key_len[i] == len && memcmp(g->key[i], key, len) == 0)
            return true;
    g->key[g->n_key] = key;
    g->key_len[g->n_key++] = len;
    return false;
}

static bool
get_pair(struct gguf *g)
{
    size_t len;
    const char *key = get_string(g, 65535, &len);
    uint32_t type;
    uint64_t n;

    if (!key)
        return false;
    if (len == 0 || memchr(key, '\0', len))
        return refuse(g, "a key that is empty or holds a NUL");
    if (known_key(g, key, len))
        return refuse(g, "the same key twice");
    type = rd_u32(&g->r);
    if (!rd_ok(&g->r) || type >= V_COUNT)
        return refuse(g, "a value of an unknown type");
    if (len == 17 && memcmp(key, "general.alignment", 17) == 0) {
        if (type != V_U32)
            return refuse(g, "general.alignment is no u32");
        g->alignment = rd_u32(&g->r);
        if (g->alignment < 1 || g->alignment > 65536 ||
            (g->alignment & (g->alignment - 1)) != 0)
            return refuse(g,
                          "general.alignment is no power of two up to 65536");
        return true;
    }
    if (type != V_ARRAY)
        return value_size[type] <= rd_left(&g->r)
                   ? get_items(g, key, len, type, 1)
                   : refuse(g, "the file ends in its metadata");
    type = rd_u32(&g->r);
    if (type == V_ARRAY) { /* nested: over it, from its start */
        rd_seek(&g->r, g->r.pos - 4);
        return skip_array(g, 1);
    }
    n = rd_u64(&g->r);
    if (!rd_ok(&g->r) || type >= V_COUNT ||
        n > rd_left(&g->r) / value_size[type])
        return refuse(g, "an array with more items than the file has room for");
    return get_items(g, key, len, type, n);
}

/* Names of ggml's types (enum ggml_type of ggml.h), for those that are not
 * read; NULL: taken back, or of a later time. */
static const char *
type_name(uint32_t type)
{
    static const char *const names[] = {
        [4] = "Q4_2",        [5] = "Q4_3",        [9] = "Q8_1",
        [15] = "Q8_K",       [16] = "IQ2_XXS",    [17] = "IQ2_XS",
        [18] = "IQ3_XXS",    [19] = "IQ1_S",      [21] = "IQ3_S",
        [22] = "IQ2_S",      [29] = "IQ1_M",      [31] = "Q4_0_4_4",
        [32] = "Q4_0_4_8",   [33] = "Q4_0_8_8",   [34] = "TQ1_0",
        [35] = "TQ2_0",      [36] = "IQ4_NL_4_4", [37] = "IQ4_NL_4_8",
        [38] = "IQ4_NL_8_8", [39] = "MXFP4",      [40] = "NVFP4",
    };

    return type < sizeof names / sizeof *names ? names[type] : NULL;
}

static bool
refuse_type(struct gguf *g, const char *tensor, size_t len, uint32_t type)
{
    const char *name = type_name(type);

    return err_set(g->err, ERR_MODEL,
                   "%s: byte %zu: tensor %.*s is of the type %s%s%u%s, which "
                   "is not supported (F32 F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 "
                   "Q2_K..Q6_K IQ4_NL IQ4_XS are): take the model in one of "
                   "those",
                   g->name, g->r.pos, (int)len, tensor, name ? name : "",
                   name ? " (" : "number ", type, name ? ")" : "");
}

static bool
set_type(struct gguf *g, struct tensor_entry *e, const char *name, size_t len,
         uint32_t type)
{
    const struct quant_row *q = quant_find(type);
    size_t n, rows;

    if (!rd_product(e->dim, e->rank, &n))
        return refuse(g, "a tensor whose size overflows");
    switch (type) {
    case GGML_F32: e->dtype = DT_F32; break;
    case GGML_F16: e->dtype = DT_F16; break;
    case GGML_BF16: e->dtype = DT_BF16; break;
    case 28: e->dtype = DT_F64; break;
    case 24: e->dtype = DT_I8; break;
    case 25: e->dtype = DT_I16; break;
    case 26: e->dtype = DT_I32; break;
    case 27: e->dtype = DT_I64; break;
    default:
        if (!q)
            return refuse_type(g, name, len, type);
        e->dtype = DT_BLOCKS;
        e->quant = type;
        if (e->dim[e->rank - 1] % q->elems != 0)
            return refuse(g, "a tensor whose rows are no whole blocks");
        rows = n / q->elems;
        if (!rd_mul(rows, q->bytes, &n))
            return refuse(g, "a tensor whose size overflows");
        e->bytes = n;
        return true;
    }
    if (!rd_mul(n, dtype_size(e->dtype), &n))
        return refuse(g, "a tensor whose size overflows");
    e->bytes = n;
    return true;
}

static bool
get_tensor(struct gguf *g)
{
    struct tensor_entry e = { .file = g->file };
    size_t len, step = 1;
    const char *name = get_string(g, 63, &len);
    uint32_t i, type;
    uint64_t dim[4];

    if (!name)
        return false;
    e.rank = rd_u32(&g->r);
    if (len == 0 || memchr(name, '\0', len) || e.rank < 1 || e.rank > 4)
        return refuse(g,
                      "a tensor without a name or of more than 4 dimensions");
    for (i = 0; i < e.rank; i++)
        dim[i] = rd_u64(&g->r);
    type = rd_u32(&g->r);
    e.offset = rd_u64(&g->r); /* from the data's start, which comes later */
    if (!rd_ok(&g->r))
        return refuse(g, "the file ends in its list of tensors");
    for (i = 0; i < e.rank; i++) {
        if (dim[i] < 1 || dim[i] > INT32_MAX)
            return refuse(g, "a tensor with a dimension of 0 or above 2^31");
        e.dim[e.rank - 1 - i] = dim[i];
    }
    if (!set_type(g, &e, name, len, type))
        return false;
    for (i = e.rank; i-- > 0;) {
        e.stride[i] = step;
        step *= (size_t)e.dim[i];
    }
    return tensor_table_add(g->table, name, len, &e, g->err);
}

static int
by_offset(const void *a, const void *b)
{
    const struct tensor_entry *x = *(struct tensor_entry *const *)a;
    const struct tensor_entry *y = *(struct tensor_entry *const *)b;

    return (x->offset > y->offset) - (x->offset < y->offset);
}

static int
by_name(const void *a, const void *b, void *names)
{
    const struct tensor_entry *x = *(struct tensor_entry *const *)a;
    const struct tensor_entry *y = *(struct tensor_entry *const *)b;

    return strcmp((char *)names + x->name, (char *)names + y->name);
}

static bool
no_name_twice(struct gguf *g, struct tensor_entry **order, size_t n)
{
    size_t i;

    qsort_r(order, n, sizeof *order, by_name, g->table->names);
    for (i = 1; i < n; i++)
        if (by_name(&order[i - 1], &order[i], g->table->names) == 0)
            return err_set(g->err, ERR_MODEL, "%s: tensor %s stands twice",
                           g->name, g->table->names + order[i]->name);
    return true;
}

/* Data starts at the next multiple of the alignment; no two tensors share. */
static bool
place_tensors(struct gguf *g)
{
    uint64_t data = (g->r.pos + g->alignment - 1) & ~(g->alignment - 1);
    size_t n = g->table->n - g->first, i;
    struct tensor_entry **order = xcalloc(n + 1, sizeof *order), *e;
    bool ok = true;

    for (i = 0; ok && i < n; i++) {
        e = order[i] = &g->table->v[g->first + i];
        if (e->offset % g->alignment != 0)
            ok = err_set(g->err, ERR_MODEL,
                         "%s: %s does not start at a multiple of %llu", g->name,
                         tensor_name(g->table, g->first + i),
                         (unsigned long long)g->alignment);
        else if (__builtin_add_overflow(e->offset, data, &e->offset) ||
                 e->offset > g->size || e->bytes > g->size - e->offset)
            ok = err_set(g->err, ERR_MODEL,
                         "%s: %s reaches beyond the end of the file (%llu "
                         "bytes); it is cut off, download it again",
                         g->name, tensor_name(g->table, g->first + i),
                         (unsigned long long)g->size);
    }
    ok = ok && no_name_twice(g, order, n);
    if (ok)
        qsort(order, n, sizeof *order, by_offset);
    for (i = 1; ok && i < n; i++)
        if (order[i]->offset < order[i - 1]->offset + order[i - 1]->bytes)
            ok = err_set(g->err, ERR_MODEL, "%s: two tensors share bytes",
                         g->name);
    free(order);
    return ok;
}

static bool
get_header(struct gguf *g)
{
    uint64_t tensors, keys, i;

    if (rd_u32(&g->r) != 0x46554747)
        return refuse(g, "not a GGUF file");
    g->version = rd_u32(&g->r);
    if (g->version == 0x02000000 || g->version == 0x03000000)
        return refuse(g, "a big-endian GGUF file");
    if (g->version != 2 && g->version != 3)
        return err_set(g->err, ERR_MODEL,
                       "%s: GGUF version %u (2 and 3 are known); convert the "
                       "model again with a current converter",
                       g->name, g->version);
    tensors = rd_u64(&g->r);
    keys = rd_u64(&g->r);
    if (keys > KEYS_MAX || keys > rd_left(&g->r) / 13)
        return refuse(g, "more metadata than the file has room for");
    if (tensors > 65536 || tensors > rd_left(&g->r) / 32)
        return refuse(g, "more tensors than the file has room for");
    meta_begin(g->meta, META_GGUF, strlen(META_GGUF), META_INT, 1);
    meta_put_int(g->meta, g->version);
    g->key = xcalloc((size_t)keys + 1, sizeof *g->key);
    g->key_len = xcalloc((size_t)keys + 1, sizeof *g->key_len);
    for (i = 0; i < keys; i++)
        if (!get_pair(g))
            return false;
    for (i = 0; i < tensors; i++)
        if (!get_tensor(g))
            return false;
    if (meta_int(g->meta, "split.count", 1) > 1)
        return err_set(g->err, ERR_MODEL,
                       "%s: one of %lld parts of a model: join them first "
                       "(gguf-split --merge FIRST-PART WHOLE.gguf)",
                       g->name, (long long)meta_int(g->meta, "split.count", 1));
    return place_tensors(g);
}

/* The header's length is not written anywhere: read a piece, and four times
 * as much when it was not enough. */
bool
gguf_read(int fd, uint32_t file, const char *name, struct tensor_table *t,
          struct meta *meta, struct err *err)
{
    struct gguf g = {
        .name = name, .err = err, .file = file, .table = t, .meta = meta
    };
    struct stat st;
    size_t want, n_before = t->n, names_before = t->names_len;
    char *buf = NULL;
    bool ok = false;

    if (fstat(fd, &st) != 0 || st.st_size < 24)
        return err_set(err, ERR_MODEL, "%s: too short for a GGUF file", name);
    g.size = (uint64_t)st.st_size;
    for (want = 1 << 20;; want *= 4) {
        if (want > g.size)
            want = (size_t)g.size;
        free(buf);
        buf = xmalloc(want);
        if (!file_pread(fd, buf, want, 0, name, err))
            break;
        rd_init(&g.r, buf, want);
        g.alignment = 32;
        g.first = n_before;
        g.n_key = 0;
        t->n = n_before;
        t->names_len = names_before;
        meta->len = 0;
        ok = get_header(&g);
        free(g.key);
        free(g.key_len);
        g.key = NULL;
        g.key_len = NULL;
        /* A refusal within a piece may only be the piece's end. */
        if (ok || want == g.size || want >= HEADER_MAX)
            break;
    }
    free(buf);
    return ok;
}
