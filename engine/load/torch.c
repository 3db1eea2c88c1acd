/* engine/load/torch.c  What torch.save leaves: the zip form (torch >= 1.6)
 * and the legacy form before it.
 *
 * Formats: torch/serialization.py and caffe2/serialize/inline_container.cc of
 * PyTorch; APPNOTE.TXT of PKWARE for the zip. Both hold one pickle that says
 * which tensor is which strided view of which storage; the storages are raw
 * bytes. Strides are honoured: converters store transposed views, and reading
 * those as contiguous gives a model that loads and babbles.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/base/file.h"
#include "engine/base/mem.h"
#include "engine/base/rd.h"
#include "engine/load/foreign.h"
#include "engine/load/pickle.h"

#define ENTRIES_MAX   100000
#define DIRECTORY_MAX (64u << 20)
#define PICKLE_MAX    (64u << 20)

struct entry {        /* of the zip's central directory */
    const char *name; /* borrowed from the directory's bytes */
    uint32_t len;
    uint16_t method, flags;
    uint32_t crc;
    uint64_t size, csize, header;
};

struct place { /* where a storage's bytes lie in the file */
    uint64_t offset, bytes;
};

struct torch {
    int fd;
    uint32_t file;
    const char *name;
    uint64_t size;
    struct err *err;
    /* zip */
    char *dir;
    struct entry *entry;
    size_t n_entry, cap_entry;
    const char *prefix; /* of data.pkl's name, with the '/' */
    size_t prefix_len;
    /* both */
    char *bytes; /* the pickle(s) */
    struct pickle pickle;
    struct place *place; /* per storage of the pickle */
};

static bool
refuse(struct torch *t, const char *what)
{
    err_set(t->err, ERR_MODEL, "%s: %s", t->name, what);
    return false;
}

static bool
read_at(struct torch *t, uint64_t offset, size_t len, char **out)
{
    *out = NULL;
    if (offset > t->size || len > t->size - offset)
        return refuse(t, "the zip points beyond its end; the file is cut off "
                         "or damaged, download it again");
    *out = xmalloc(len + 1);
    (*out)[len] = '\0';
    if (file_pread(t->fd, *out, len, offset, t->name, t->err))
        return true;
    free(*out);
    *out = NULL;
    return false;
}

/* --- zip --- */

/* Takes the 64-bit values that a central entry's extra field holds in the
 * order size, compressed size, offset, each only where the entry has ones. */
static bool
zip64_extra(struct entry *e, const unsigned char *extra, size_t len)
{
    struct rd r, f;
    uint16_t id, n;

    rd_init(&r, extra, len);
    while (rd_left(&r) >= 4) {
        id = rd_u16(&r);
        n = rd_u16(&r);
        if (n > rd_left(&r))
            return false;
        rd_init(&f, r.p + r.pos, n);
        rd_skip(&r, n);
        if (id != 1)
            continue;
        if (e->size == UINT32_MAX)
            e->size = rd_u64(&f);
        if (e->csize == UINT32_MAX)
            e->csize = rd_u64(&f);
        if (e->header == UINT32_MAX)
            e->header = rd_u64(&f);
        return rd_ok(&f);
    }
    return true;
}

static int
entry_cmp(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    size_t n = x->len < y->len ? x->len : y->len;
    int c = memcmp(x->name, y->name, n);

    return c ? c : (x->len > y->len) - (x->len < y->len);
}

static const struct entry *
entry_find(const struct torch *t, const char *name, size_t len)
{
    struct entry key = { .name = name, .len = (uint32_t)len };

    return bsearch(&key, t->entry, t->n_entry, sizeof key, entry_cmp);
}

static bool
read_directory(struct torch *t, uint64_t offset, uint64_t size, uint64_t n)
{
    struct rd r;
    uint64_t i;
    uint16_t name_len, extra_len, comment_len;
    const unsigned char *p;

    if (n > ENTRIES_MAX || size > DIRECTORY_MAX || n > size / 46)
        return refuse(t, "a zip directory that cannot be one of torch's");
    if (!read_at(t, offset, (size_t)size, &t->dir))
        return false;
    rd_init(&r, t->dir, (size_t)size);
    t->entry = xcalloc(n ? n : 1, sizeof *t->entry);
    for (i = 0; i < n; i++) {
        struct entry *e = &t->entry[t->n_entry];

        if (rd_u32(&r) != 0x02014b50)
            return refuse(t, "a zip directory with a damaged entry");
        rd_skip(&r, 4);
        e->flags = rd_u16(&r);
        e->method = rd_u16(&r);
        rd_skip(&r, 4);
        e->crc = rd_u32(&r);
        e->csize = rd_u32(&r);
        e->size = rd_u32(&r);
        name_len = rd_u16(&r);
        extra_len = rd_u16(&r);
        comment_len = rd_u16(&r);
        rd_skip(&r, 8);
        e->header = rd_u32(&r);
        e->name = (const char *)rd_bytes(&r, name_len);
        e->len = name_len;
        p = rd_bytes(&r, extra_len);
        rd_skip(&r, comment_len);
        if (!rd_ok(&r) || !zip64_extra(e, p, extra_len))
            return refuse(t, "a zip directory with a damaged entry");
        t->n_entry++;
    }
    qsort(t->entry, t->n_entry, sizeof *t->entry, entry_cmp);
    for (i = 1; i < t->n_entry; i++)
        if (entry_cmp(&t->entry[i - 1], &t->entry[i]) == 0)
            return err_set(t->err, ERR_MODEL, "%s: two zip entries named %.*s",
                           t->name, (int)t->entry[i].len, t->entry[i].name);
    return true;
}

/* The end record is searched backwards: a comment may follow it. */
static bool
find_directory(struct torch *t)
{
    size_t tail = t->size < 65557 + 20 ? (size_t)t->size : 65557 + 20, i;
    char *buf, *rec;
    struct rd r;
    uint64_t n = 0, size = 0, offset = 0, at64;
    bool found = false, ok = true;

    if (!read_at(t, t->size - tail, tail, &buf))
        return false;
    for (i = tail < 22 ? 0 : tail - 22 + 1; i-- > 0 && !found;) {
        if (memcmp(buf + i, "PK\5\6", 4) != 0)
            continue;
        rd_init(&r, buf + i, tail - i);
        rd_skip(&r, 10);
        n = rd_u16(&r);
        size = rd_u32(&r);
        offset = rd_u32(&r);
        if (rd_u16(&r) == rd_left(&r) && rd_ok(&r)) {
            found = true;
            break;
        }
    }
    if (found && i >= 20 && memcmp(buf + i - 20, "PK\6\7", 4) == 0) {
        rd_init(&r, buf + i - 20, 20);
        rd_skip(&r, 8);
        at64 = rd_u64(&r);
        ok = read_at(t, at64, 56, &rec);
        if (ok) {
            rd_init(&r, rec, 56);
            ok = rd_u32(&r) == 0x06064b50;
            rd_skip(&r, 28);
            n = rd_u64(&r);
            size = rd_u64(&r);
            offset = rd_u64(&r);
            free(rec);
            if (!ok)
                refuse(t, "a zip whose 64-bit end record is damaged");
        }
    }
    free(buf);
    if (!found)
        return refuse(t, "a torch file without the end of its zip: it is cut "
                         "off, download it again");
    return ok && read_directory(t, offset, size, n);
}

/* Where an entry's bytes start: only its local header knows. */
static bool
entry_place(struct torch *t, const struct entry *e, struct place *out)
{
    char *h;
    struct rd r;
    uint16_t name_len, extra_len;
    bool ok;

    if (e->method != 0 || e->csize != e->size)
        return refuse(t, "a zip with compressed entries: somebody packed it "
                         "again, torch never compresses");
    if (e->flags & 1)
        return refuse(t, "an encrypted zip");
    if (!read_at(t, e->header, 30, &h))
        return false;
    rd_init(&r, h, 30);
    ok = rd_u32(&r) == 0x04034b50;
    rd_skip(&r, 22);
    name_len = rd_u16(&r);
    extra_len = rd_u16(&r);
    free(h);
    if (!ok)
        return refuse(t, "a zip entry without its local header");
    if (__builtin_add_overflow(e->header, 30u + name_len + extra_len,
                               &out->offset) ||
        out->offset > t->size || e->size > t->size - out->offset)
        return err_set(t->err, ERR_MODEL,
                       "%s: zip entry %.*s lies beyond the "
                       "end of the file",
                       t->name, (int)e->len, e->name);
    out->bytes = e->size;
    return true;
}

static const struct entry *
find_pickle(struct torch *t)
{
    const struct entry *found = NULL;
    size_t i;

    for (i = 0; i < t->n_entry; i++) {
        const struct entry *e = &t->entry[i];
        bool is = e->len >= 8 &&
                  memcmp(e->name + e->len - 8, "data.pkl", 8) == 0 &&
                  (e->len == 8 || e->name[e->len - 9] == '/');

        if (is && found) {
            refuse(t, "a zip with two data.pkl");
            return NULL;
        }
        if (is)
            found = e;
    }
    if (!found) {
        refuse(t, "a zip without data.pkl: no torch weights (if it is a packed "
                  "folder, unpack it first)");
        return NULL;
    }
    t->prefix = found->name;
    t->prefix_len = found->len - 8;
    return found;
}

static const struct entry *
find_member(const struct torch *t, const char *what, size_t len)
{
    char name[1200];

    if (t->prefix_len + len >= sizeof name)
        return NULL;
    memcpy(name, t->prefix, t->prefix_len);
    memcpy(name + t->prefix_len, what, len);
    return entry_find(t, name, t->prefix_len + len);
}

static bool
check_byte_order(struct torch *t)
{
    const struct entry *e = find_member(t, "byteorder", 9);
    struct place p;
    char *s;
    bool big;

    if (find_member(t, "constants.pkl", 13))
        return refuse(t, "a TorchScript program, not weights; save the model's "
                         "state_dict() instead");
    if (!e || e->size > 16)
        return true;
    if (!entry_place(t, e, &p) || !read_at(t, p.offset, p.bytes, &s))
        return false;
    big = strcmp(s, "big") == 0;
    free(s);
    return big ? refuse(t, "big-endian weights") : true;
}

static bool
zip_storages(struct torch *t)
{
    const struct pickle *p = &t->pickle;
    size_t i;
    char what[96];
    const struct entry *e;

    for (i = 0; i < p->n_storage; i++) {
        const struct pickle_storage *s = &p->storage[i];
        int n =
            snprintf(what, sizeof what, "data/%.*s", (int)s->key_len, s->key);

        e = n < (int)sizeof what ? find_member(t, what, (size_t)n) : NULL;
        if (!e)
            return err_set(t->err, ERR_MODEL,
                           "%s: storage %.60s is missing from the zip", t->name,
                           what);
        if (!entry_place(t, e, &t->place[i]))
            return false;
    }
    return true;
}

/* CRC-32 as zip files have it (reflected 0xEDB88320), half a byte a step: a
 * pickle is short. */
static uint32_t
zip_crc(const char *p, size_t len)
{
    uint32_t table[16], c = UINT32_MAX;

    for (uint32_t i = 0; i < 16; i++) {
        table[i] = i;
        for (int k = 0; k < 4; k++)
            table[i] = table[i] & 1 ? table[i] >> 1 ^ 0xEDB88320u
                                    : table[i] >> 1;
    }
    for (; len > 0; len--, p++) {
        c ^= (unsigned char)*p;
        c = c >> 4 ^ table[c & 15];
        c = c >> 4 ^ table[c & 15];
    }
    return ~c;
}

static bool
read_zip(struct torch *t, uint32_t *root)
{
    const struct entry *e;
    struct place p;
    struct rd r;

    if (!find_directory(t) || !(e = find_pickle(t)) || !check_byte_order(t) ||
        !entry_place(t, e, &p))
        return false;
    if (p.bytes > PICKLE_MAX)
        return refuse(t, "a data.pkl of more than 64 MiB");
    if (!read_at(t, p.offset, (size_t)p.bytes, &t->bytes))
        return false;
    /* torch can be told to leave the sums out (set_crc32_options). */
    if (e->crc != 0 && e->crc != zip_crc(t->bytes, (size_t)p.bytes))
        return refuse(t, "data.pkl does not have its checksum: the file is "
                         "damaged, download it again");
    rd_init(&r, t->bytes, (size_t)p.bytes);
    if (!pickle_read(&t->pickle, &r, t->name, root, t->err))
        return false;
    t->place = xcalloc(t->pickle.n_storage + 1, sizeof *t->place);
    return zip_storages(t);
}

/* --- legacy --- */

static const unsigned char legacy_magic[15] = { 0x80, 0x02, 0x8a, 0x0a, 0x6c,
                                                0xfc, 0x9c, 0x46, 0xf9, 0x20,
                                                0x6a, 0xa8, 0x50, 0x19, 0x2e };

static int
key_cmp(const char *a, uint32_t al, const char *b, uint32_t bl)
{
    int c = memcmp(a, b, al < bl ? al : bl);

    return c ? c : (al > bl) - (al < bl);
}

struct by_key {
    const struct pickle_storage *s;
    size_t i;
};

static int
by_key_cmp(const void *a, const void *b)
{
    const struct pickle_storage *x = ((const struct by_key *)a)->s;
    const struct pickle_storage *y = ((const struct by_key *)b)->s;

    return key_cmp(x->key, x->key_len, y->key, y->key_len);
}

/* One storage of the list: i64 count, then that many elements. Every storage
 * of the pickle with this key gets the place. */
static bool
legacy_storage(struct torch *t, const struct by_key *index, size_t n,
               const struct pickle_value *key, uint64_t *pos)
{
    struct pickle_storage want = { .key = key->u.s, .key_len = key->n };
    struct by_key k = { .s = &want };
    const struct by_key *hit = bsearch(&k, index, n, sizeof k, by_key_cmp);
    unsigned char head[8];
    struct rd r;
    uint64_t numel, bytes;

    if (!hit)
        return err_set(t->err, ERR_MODEL,
                       "%s: lists storage %.*s, which no tensor uses", t->name,
                       (int)(key->n > 40 ? 40 : key->n), key->u.s);
    if (t->size - *pos < 8 ||
        !file_pread(t->fd, head, 8, *pos, t->name, t->err))
        return refuse(t, "the file ends inside its storages: it is cut off, "
                         "download it again");
    rd_init(&r, head, 8);
    numel = rd_u64(&r);
    *pos += 8;
    if (numel != hit->s->numel ||
        __builtin_mul_overflow(numel, dtype_size(hit->s->dtype), &bytes) ||
        bytes > t->size - *pos)
        return err_set(t->err, ERR_MODEL,
                       "%s: storage %.*s should have %llu elements, and the "
                       "file has room for %llu bytes; it is cut off or "
                       "damaged",
                       t->name, (int)(key->n > 40 ? 40 : key->n), key->u.s,
                       (unsigned long long)hit->s->numel,
                       (unsigned long long)(t->size - *pos));
    while (hit > index && by_key_cmp(hit - 1, &k) == 0)
        hit--;
    for (; hit < index + n && by_key_cmp(hit, &k) == 0; hit++)
        t->place[hit->i] = (struct place){ *pos, bytes };
    *pos += bytes;
    return true;
}

static bool
legacy_storages(struct torch *t, uint32_t keys, uint64_t pos)
{
    const struct pickle *p = &t->pickle;
    const struct pickle_value *list = &p->value[keys], *key;
    struct by_key *index;
    size_t i;
    uint32_t c;
    bool ok = true;

    if (list->type != PK_LIST)
        return refuse(t, "the list of storages is no list");
    index = xcalloc(p->n_storage + 1, sizeof *index);
    for (i = 0; i < p->n_storage; i++)
        index[i] = (struct by_key){ &p->storage[i], i };
    qsort(index, p->n_storage, sizeof *index, by_key_cmp);
    for (c = list->n ? list->first : PICKLE_NONE; ok && c != PICKLE_NONE;
         c = p->cell[c].next) {
        key = &p->value[p->cell[c].value];
        ok = key->type == PK_STR
                 ? legacy_storage(t, index, p->n_storage, key, &pos)
                 : refuse(t, "a storage whose key is no text");
    }
    for (i = 0; ok && i < p->n_storage; i++)
        if (t->place[i].offset == 0)
            ok =
                err_set(t->err, ERR_MODEL, "%s: storage %.*s is not listed",
                        t->name, (int)p->storage[i].key_len, p->storage[i].key);
    free(index);
    return ok;
}

static bool
read_legacy(struct torch *t, uint32_t *root)
{
    size_t len = t->size < PICKLE_MAX ? (size_t)t->size : PICKLE_MAX;
    struct rd r;
    uint32_t v, info, keys, little;

    if (!read_at(t, 0, len, &t->bytes))
        return false;
    rd_init(&r, t->bytes, len);
    rd_skip(&r, sizeof legacy_magic);
    if (!pickle_read(&t->pickle, &r, t->name, &v, t->err))
        return false;
    if (t->pickle.value[v].type != PK_INT || t->pickle.value[v].u.i != 1001)
        return refuse(t, "a torch file of an unknown protocol (1001 is known)");
    if (!pickle_read(&t->pickle, &r, t->name, &info, t->err))
        return false;
    little = pickle_get(&t->pickle, info, "little_endian");
    if (little != PICKLE_NONE && t->pickle.value[little].type == PK_BOOL &&
        !t->pickle.value[little].u.i)
        return refuse(t, "big-endian weights");
    if (!pickle_read(&t->pickle, &r, t->name, root, t->err) ||
        !pickle_read(&t->pickle, &r, t->name, &keys, t->err))
        return false;
    t->place = xcalloc(t->pickle.n_storage + 1, sizeof *t->place);
    return legacy_storages(t, keys, r.pos);
}

/* --- tensors --- */

static size_t
count_tensors(const struct pickle *p, uint32_t dict)
{
    size_t n = 0;
    uint32_t c;

    if (p->value[dict].type != PK_DICT || p->value[dict].n == 0)
        return 0;
    for (c = p->value[dict].first; c != PICKLE_NONE; c = p->cell[c].next)
        n += p->value[p->cell[c].value].type == PK_TENSOR;
    return n;
}

/* A checkpoint may wrap the state dict: { 'state_dict': ..., 'epoch': 3 }. */
static uint32_t
unwrap(const struct pickle *p, uint32_t root)
{
    static const char *const keys[] = { "state_dict", "model",
                                        "model_state_dict", "net" };
    uint32_t found = PICKLE_NONE, v;
    size_t i;

    if (count_tensors(p, root) > 0)
        return root;
    for (i = 0; i < sizeof keys / sizeof *keys; i++) {
        v = pickle_get(p, root, keys[i]);
        if (v == PICKLE_NONE || count_tensors(p, v) == 0)
            continue;
        if (found != PICKLE_NONE)
            return root;
        found = v;
    }
    return found != PICKLE_NONE ? found : root;
}

static bool
add_tensor(struct torch *t, struct tensor_table *table,
           const struct pickle_value *name, uint64_t index)
{
    const struct pickle_tensor *x = &t->pickle.tensor[index];
    const struct pickle_storage *s = &t->pickle.storage[x->storage];
    const struct place *place = &t->place[x->storage];
    struct tensor_entry e = { .file = t->file,
                              .dtype = s->dtype,
                              .rank = x->rank };
    uint64_t last = 0, es = dtype_size(s->dtype), need;
    uint32_t i;
    bool empty = false;

    if (__builtin_mul_overflow(s->numel, es, &need) || need > place->bytes)
        return err_set(t->err, ERR_MODEL,
                       "%s: storage %.*s holds %llu bytes, its tensors need "
                       "%llu; the file is damaged",
                       t->name, (int)(s->key_len > 40 ? 40 : s->key_len),
                       s->key, (unsigned long long)place->bytes,
                       (unsigned long long)need);
    for (i = 0; i < x->rank; i++) {
        e.dim[i] = x->dim[i];
        e.stride[i] = x->stride[i];
        empty |= x->dim[i] == 0;
        last += x->dim[i] ? (x->dim[i] - 1) * x->stride[i] : 0;
    }
    /* In bounds: pickle.c compared view + reach with the storage. */
    e.offset = place->offset + (s->view + x->offset) * es;
    e.bytes = empty ? 0 : (last + 1) * es;
    return tensor_table_add(table, name->u.s, name->n, &e, t->err);
}

static bool
add_tensors(struct torch *t, struct tensor_table *table, uint32_t root)
{
    const struct pickle *p = &t->pickle;
    const struct pickle_value *key, *value;
    uint32_t dict = unwrap(p, root), c;

    if (count_tensors(p, dict) == 0)
        return refuse(t, "holds no tensors by name; it is no state_dict()");
    for (c = p->value[dict].first; c != PICKLE_NONE; c = p->cell[c].next) {
        key = &p->value[p->cell[c].key];
        value = &p->value[p->cell[c].value];
        if (value->type != PK_TENSOR || key->type != PK_STR)
            continue;
        if (!add_tensor(t, table, key, (uint64_t)value->u.i))
            return false;
    }
    return true;
}

bool
torch_read(int fd, uint32_t file, const char *name, struct tensor_table *table,
           struct meta *meta, struct err *err)
{
    struct torch t = { .fd = fd, .file = file, .name = name, .err = err };
    struct stat st;
    unsigned char head[16] = { 0 };
    uint32_t root = 0;
    bool ok;

    if (fstat(fd, &st) != 0 || st.st_size < 16)
        return refuse(&t, "too short for a torch file");
    t.size = (uint64_t)st.st_size;
    pickle_init(&t.pickle);
    ok = file_pread(fd, head, sizeof head, 0, name, err);
    if (ok && memcmp(head, "PK\3\4", 4) == 0)
        ok = read_zip(&t, &root);
    else if (ok && memcmp(head, legacy_magic, sizeof legacy_magic) == 0)
        ok = read_legacy(&t, &root);
    else if (ok)
        ok = refuse(&t, "not a torch file");
    ok = ok && add_tensors(&t, table, root);
    pickle_free(&t.pickle);
    free(t.place);
    free(t.bytes);
    free(t.entry);
    free(t.dir);
    return ok;
}
