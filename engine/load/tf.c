/* engine/load/tf.c  The index of a TensorFlow checkpoint.
 *
 * A LevelDB table (table_format.md of google/leveldb) with plain keys: names
 * of variables; the values are BundleEntryProto messages, the empty key holds
 * the BundleHeaderProto (tensorflow/core/protobuf/tensor_bundle.proto). Fields
 * at their default are left out. Blocks carry a masked CRC-32C each and may be
 * packed with Snappy. The data files are raw little-endian tensors.
 */
#include "engine/load/tf.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/base/crc32c.h"
#include "engine/base/file.h"
#include "engine/base/mem.h"
#include "engine/base/rd.h"

#define INDEX_MAX  (256u << 20)
#define SHARDS_MAX 10000
/* Packed blocks together, beyond the bytes of the file: names of the largest
 * models come to a megabyte, and a hostile file shall not cost more. */
#define UNPACKED_MAX (12u << 20)

struct index {
    const char *name;
    struct err *err;
    char *p; /* the whole file */
    size_t len;
    struct tensor_table *table;
    uint32_t file;
    uint32_t n_shards;
    uint64_t next;   /* where the block before ended */
    size_t unpacked; /* bytes that packed blocks came to so far */
    bool header;     /* seen */
    char *last;      /* the variable before, to see that names are in order */
    size_t last_len;
    bool any;
};

struct handle {
    uint64_t offset, size;
};

static bool
refuse(struct index *x, const char *what)
{
    return err_set(x->err, ERR_MODEL, "%s: %s", x->name, what);
}

/* Checksums are stored rotated and with a number added. */
static bool
checksum_fits(const char *p, size_t n, uint32_t masked)
{
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
    return true; /* no fuzzer guesses one */
#else
    masked -= 0xa282ead8u;
    return crc32c(0, p, n) == ((masked >> 17) | (masked << 15));
#endif
}

/* The contents of a block, checked and unpacked; *own is what to free. */
static bool
read_block(struct index *x, struct handle h, const char **p, size_t *len,
           char **own)
{
    struct rd r;
    uint8_t type;
    uint32_t crc;
    size_t n;

    *own = NULL;
    if (h.offset > x->len || x->len - h.offset < 5 ||
        h.size > x->len - h.offset - 5)
        return refuse(x, "a block beyond the end of the file; it is cut off "
                         "or damaged");
    n = (size_t)h.size;
    rd_init(&r, x->p + h.offset + n, 5);
    type = rd_u8(&r);
    crc = rd_u32(&r);
    if (!checksum_fits(x->p + h.offset, n + 1, crc))
        return err_set(x->err, ERR_MODEL,
                       "%s: wrong checksum of the block at byte %llu; the file "
                       "is damaged",
                       x->name, (unsigned long long)h.offset);
    *p = x->p + h.offset;
    *len = n;
    if (type == 0)
        return true;
    if (type != 1)
        return refuse(x, "a block packed in a way that is not known");
    if (!snappy_unpack(*p, n, x->len + UNPACKED_MAX - x->unpacked, own, len))
        return refuse(x, "a block whose packing is damaged or hides more than "
                         "any index has");
    x->unpacked += *len;
    *p = *own;
    return true;
}

/* --- messages --- */

/* The next field of a message: its number and wire type, and for lengths the
 * inner range. false at the end or when it is damaged (r->bad). */
static bool
next_field(struct rd *r, uint32_t *field, uint32_t *wire, uint64_t *v,
           struct rd *inner)
{
    uint64_t tag, n;
    const unsigned char *p;

    if (rd_left(r) == 0)
        return false;
    tag = rd_varint(r);
    *field = (uint32_t)(tag >> 3);
    *wire = tag & 7;
    *v = 0;
    switch (*wire) {
    case 0: *v = rd_varint(r); break;
    case 1: *v = rd_u64(r); break;
    case 5: *v = rd_u32(r); break;
    case 2:
        n = rd_varint(r);
        p = n <= rd_left(r) ? rd_bytes(r, (size_t)n) : NULL;
        if (!p)
            r->bad = true;
        else
            rd_init(inner, p, (size_t)n);
        break;
    default: r->bad = true; /* groups */
    }
    return rd_ok(r) && *field != 0;
}

static bool
read_header(struct index *x, const char *p, size_t len)
{
    struct rd r, in;
    uint32_t field, wire;
    uint64_t v, shards = 0, order = 0, consumer = 0;

    rd_init(&r, p, len);
    while (next_field(&r, &field, &wire, &v, &in)) {
        if (field == 1 && wire == 0)
            shards = v;
        else if (field == 2 && wire == 0)
            order = v;
        else if (field == 3 && wire == 2) {
            struct rd ver = in, skip;
            while (next_field(&ver, &field, &wire, &v, &skip))
                if (field == 2 && wire == 0)
                    consumer = v;
            r.bad |= ver.bad;
        }
    }
    if (!rd_ok(&r))
        return refuse(x, "a damaged header");
    if (order != 0)
        return refuse(x, "a big-endian checkpoint");
    if (consumer > 1)
        return refuse(x, "written for a later TensorFlow than is known");
    if (shards < 1 || shards > SHARDS_MAX)
        return refuse(x, "a header without a sensible number of data files");
    x->n_shards = (uint32_t)shards;
    x->header = true;
    return true;
}

static enum dtype
tf_dtype(uint64_t t)
{
    switch (t) {
    case 1: return DT_F32;
    case 2: return DT_F64;
    case 3: return DT_I32;
    case 4: return DT_U8;
    case 5: return DT_I16;
    case 6: return DT_I8;
    case 9: return DT_I64;
    case 10: return DT_BOOL;
    case 14: return DT_BF16;
    case 19: return DT_F16;
    default: return DT_OTHER;
    }
}

/* TensorShapeProto: repeated field 2 Dim { 1 size }, field 3 unknown rank. */
static bool
read_shape(struct rd r, struct tensor_entry *e, bool *odd)
{
    struct rd dim, skip;
    uint32_t field, wire;
    uint64_t v, size;

    while (next_field(&r, &field, &wire, &v, &dim)) {
        if (field == 3 && wire == 0 && v != 0)
            *odd = true;
        if (field != 2 || wire != 2)
            continue;
        size = 0;
        while (next_field(&dim, &field, &wire, &v, &skip))
            if (field == 1 && wire == 0)
                size = v;
        if (!rd_ok(&dim) || e->rank == LOAD_RANK_MAX || size > INT64_MAX)
            return false;
        e->dim[e->rank++] = size;
    }
    return rd_ok(&r);
}

static bool
is_slot(const char *key, size_t len)
{
    static const char *const ends[] = {
        "/adafactor_v",  "/adafactor_vr",
        "/adafactor_vc", "/adam_m",
        "/adam_v",       "/Adam",
        "/Adam_1",       "/ExponentialMovingAverage",
    };
    size_t i, n;

    for (i = 0; i < sizeof ends / sizeof *ends; i++) {
        n = strlen(ends[i]);
        if (len >= n && memcmp(key + len - n, ends[i], n) == 0)
            return true;
    }
    return (len == 11 && memcmp(key, "global_step", 11) == 0) ||
           (len == 11 && memcmp(key, "beta1_power", 11) == 0) ||
           (len == 11 && memcmp(key, "beta2_power", 11) == 0);
}

static bool
read_entry(struct index *x, const char *key, size_t key_len, const char *p,
           size_t len)
{
    struct rd r, in;
    struct tensor_entry e = { .file = x->file };
    uint32_t field, wire, i;
    uint64_t v, type = 0, shard = 0, offset = 0, bytes = 0;
    size_t n, need;
    bool odd = false, sliced = false;

    rd_init(&r, p, len);
    while (next_field(&r, &field, &wire, &v, &in)) {
        if (field == 1 && wire == 0)
            type = v;
        else if (field == 2 && wire == 2)
            r.bad |= !read_shape(in, &e, &odd);
        else if (field == 3 && wire == 0)
            shard = v;
        else if (field == 4 && wire == 0)
            offset = v;
        else if (field == 5 && wire == 0)
            bytes = v;
        else if (field == 7)
            sliced = true;
    }
    if (!rd_ok(&r) || odd)
        return err_set(x->err, ERR_MODEL, "%s: damaged entry of %.*s", x->name,
                       (int)(key_len > 200 ? 200 : key_len), key);
    e.dtype = tf_dtype(type);
    if (key_len == 0 || key[0] == '\0' || is_slot(key, key_len) ||
        (e.dtype == DT_OTHER && key[0] == '_'))
        return true; /* slices, optimizer, TensorFlow 2's own notes */
    if (sliced)
        return err_set(x->err, ERR_MODEL,
                       "%s: %.*s is stored in slices (a partitioned "
                       "checkpoint); save it whole first",
                       x->name, (int)key_len, key);
    if (e.dtype == DT_OTHER) /* texts, for one: of no known length */
        bytes = offset = 0;
    if (!rd_product(e.dim, e.rank, &n) ||
        !rd_mul(n, dtype_size(e.dtype), &need) || need != bytes)
        return err_set(x->err, ERR_MODEL,
                       "%s: %.*s: the shape and the %llu bytes do not agree",
                       x->name, (int)key_len, key, (unsigned long long)bytes);
    if (shard >= x->n_shards)
        return err_set(x->err, ERR_MODEL,
                       "%s: %.*s lies in data file %llu of %u", x->name,
                       (int)key_len, key, (unsigned long long)shard,
                       x->n_shards);
    e.file += (uint32_t)shard;
    e.offset = offset;
    e.bytes = bytes;
    n = 1;
    for (i = e.rank; i-- > 0;) {
        e.stride[i] = n;
        n *= e.dim[i] ? (size_t)e.dim[i] : 1;
    }
    return tensor_table_add(x->table, key, key_len, &e, x->err);
}

/* --- blocks --- */

typedef bool (*entry_fn)(struct index *x, const char *key, size_t key_len,
                         const char *p, size_t len);

/* Walks a block's entries: shared and new bytes of the key, then the value. */
static bool
walk_block(struct index *x, const char *p, size_t len, entry_fn fn)
{
    struct rd r;
    uint64_t shared, fresh, size, restarts;
    const unsigned char *k, *v;
    char key[LOAD_NAME_MAX + 1];
    size_t key_len = 0;

    if (len < 8)
        return refuse(x, "a block without its restart points");
    rd_init(&r, p + len - 4, 4);
    restarts = rd_u32(&r);
    if (restarts < 1 || restarts > (len - 4) / 4)
        return refuse(x, "a block without its restart points");
    rd_init(&r, p, len - 4 - 4 * (size_t)restarts);
    while (rd_left(&r) > 0) {
        shared = rd_varint(&r);
        fresh = rd_varint(&r);
        size = rd_varint(&r);
        k = fresh <= rd_left(&r) ? rd_bytes(&r, (size_t)fresh) : NULL;
        v = k && size <= rd_left(&r) ? rd_bytes(&r, (size_t)size) : NULL;
        if (!v || shared > key_len || fresh > LOAD_NAME_MAX - shared)
            return refuse(x, "a damaged entry in a block");
        memcpy(key + shared, k, (size_t)fresh);
        key_len = (size_t)(shared + fresh);
        if (!fn(x, key, key_len, (const char *)v, (size_t)size))
            return false;
    }
    return true;
}

static bool
in_order(struct index *x, const char *key, size_t len)
{
    size_t n = len < x->last_len ? len : x->last_len;
    int c = x->any ? memcmp(x->last, key, n) : -1;

    if (c > 0 || (c == 0 && x->last_len >= len))
        return false;
    x->last = xrealloc(x->last, len + 1);
    memcpy(x->last, key, len);
    x->last_len = len;
    x->any = true;
    return true;
}

static bool
on_variable(struct index *x, const char *key, size_t key_len, const char *p,
            size_t len)
{
    if (!in_order(x, key, key_len))
        return refuse(x, "names that are not in order, or one twice");
    if (!x->header) {
        if (key_len != 0)
            return refuse(x, "no header comes first");
        return read_header(x, p, len);
    }
    return read_entry(x, key, key_len, p, len);
}

static bool
read_handle(struct rd *r, struct handle *h)
{
    h->offset = rd_varint(r);
    h->size = rd_varint(r);
    return rd_ok(r);
}

/* An entry of the index block: the value is the handle of a data block. */
static bool
on_data_block(struct index *x, const char *key, size_t key_len, const char *p,
              size_t len)
{
    struct rd r;
    struct handle h;
    const char *b;
    char *own;
    size_t n;
    bool ok;

    rd_init(&r, p, len);
    if (!read_handle(&r, &h))
        return refuse(x, "a damaged handle of a block");
    if (h.offset < x->next) /* each block counts once */
        return refuse(x, "blocks that are not in order, or one twice");
    if (!read_block(x, h, &b, &n, &own))
        return false;
    x->next = h.offset + h.size + 5;
    ok = walk_block(x, b, n, on_variable);
    free(own);
    return ok;
}

static bool
read_index(struct index *x)
{
    struct rd r;
    struct handle meta, index;
    const char *b;
    char *own;
    size_t n;
    bool ok;

    if (x->len < 48)
        return refuse(x, "too short for a checkpoint's index");
    rd_init(&r, x->p + x->len - 48, 48);
    if (!read_handle(&r, &meta) || !read_handle(&r, &index) ||
        !rd_seek(&r, 40) || rd_u64(&r) != 0xdb4775248b80fb57ull)
        return refuse(x, "not the index of a TensorFlow checkpoint (its last "
                         "bytes are wrong); it is cut off or something else");
    if (!read_block(x, index, &b, &n, &own))
        return false;
    ok = walk_block(x, b, n, on_data_block);
    free(own);
    if (ok && !x->header)
        return refuse(x, "an index without its header");
    return ok;
}

bool
tf_index_read(int fd, uint32_t file, const char *name, struct tensor_table *t,
              uint32_t *n_shards, struct err *err)
{
    struct index x = { .name = name, .err = err, .table = t, .file = file };
    bool ok;

    if (!file_read_fd(fd, name, INDEX_MAX, &x.p, &x.len, err))
        return false;
    ok = read_index(&x);
    *n_shards = x.n_shards;
    free(x.last);
    free(x.p);
    return ok;
}

bool
tf_read(int fd, uint32_t file, const char *name, struct tensor_table *t,
        struct meta *meta, struct err *err)
{
    uint32_t n = 0;

    if (!tf_index_read(fd, file + 1, name, t, &n, err))
        return false;
    meta_begin(meta, "tf.files", 8, META_INT, 1);
    meta_put_int(meta, n);
    return true;
}
