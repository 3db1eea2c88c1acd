/* engine/load/safetensors.c  The safetensors container.
 *
 * u64 N, N bytes of JSON, then data to the end of the file. The JSON is an
 * object: tensor name -> { dtype, shape, data_offsets: [begin, end] }, offsets
 * counted from the end of the JSON. Sorted by begin, the tensors must cover
 * the data without hole or overlap, and each must be as long as its shape
 * says: then no number of this file can lead anyone astray later. The text is
 * walked twice, first to count, so that memory is asked for once, and for what
 * is there. The first letter of the header must be '{' (so says the format).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/base/file.h"
#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/base/rd.h"
#include "engine/load/load.h"

#define HEADER_MAX  100000000u
#define INTEGER_MAX ((int64_t)1 << 53)

static const struct {
    const char *name;
    enum dtype type;
} known[] = {
    { "F32", DT_F32 },   { "F16", DT_F16 }, { "BF16", DT_BF16 },
    { "F64", DT_F64 },   { "I64", DT_I64 }, { "I32", DT_I32 },
    { "I16", DT_I16 },   { "I8", DT_I8 },   { "U64", DT_U64 },
    { "U32", DT_U32 },   { "U16", DT_U16 }, { "U8", DT_U8 },
    { "BOOL", DT_BOOL },
};

static bool
bad_tensor(const struct json *key, struct err *err, const char *what)
{
    char *name = json_dup(key, NULL);

    err_set(err, ERR_MODEL, "tensor %s %s", name, what);
    free(name);
    return false;
}

static bool
read_integer(struct json *j, uint64_t *out)
{
    if (json_next(j) != JSON_INT || j->i < 0 || j->i > INTEGER_MAX)
        return false;
    *out = (uint64_t)j->i;
    return true;
}

static bool
read_shape(struct json *j, struct tensor_entry *e)
{
    if (json_next(j) != JSON_ARRAY)
        return false;
    for (;;) {
        if (json_next(j) == JSON_ARRAY_END)
            return true;
        if (j->type != JSON_INT || j->i < 0 || j->i > INTEGER_MAX ||
            e->rank == LOAD_RANK_MAX)
            return false;
        e->dim[e->rank++] = (uint64_t)j->i;
    }
}

static bool
read_offsets(struct json *j, struct tensor_entry *e)
{
    uint64_t end;

    if (json_next(j) != JSON_ARRAY || !read_integer(j, &e->offset) ||
        !read_integer(j, &end) || json_next(j) != JSON_ARRAY_END ||
        end < e->offset)
        return false;
    e->bytes = end - e->offset;
    return true;
}

static bool
read_dtype(struct json *j, struct tensor_entry *e)
{
    size_t i;

    if (json_next(j) != JSON_STRING)
        return false;
    e->dtype = DT_OTHER;
    for (i = 0; i < sizeof known / sizeof *known; i++)
        if (json_is(j, known[i].name))
            e->dtype = known[i].type;
    return true;
}

/* Row-major strides and the check of shape against length. */
static bool
check_size(struct tensor_entry *e)
{
    size_t n, bytes, k, size = dtype_size(e->dtype);

    if (!rd_product(e->dim, e->rank, &n))
        return false;
    if (size && (!rd_mul(n, size, &bytes) || bytes != e->bytes))
        return false;
    for (n = 1, k = e->rank; k-- > 0;) {
        e->stride[k] = n;
        if (!rd_mul(n, (size_t)e->dim[k], &n))
            return false;
    }
    return true;
}

/* The object after a tensor's name. */
static bool
read_tensor(struct json *j, const struct json *key, struct tensor_entry *e,
            struct err *err)
{
    static const struct {
        const char *name;
        bool (*read)(struct json *j, struct tensor_entry *e);
        const char *what;
    } fields[] = {
        { "dtype", read_dtype, "has a dtype that is no text" },
        { "shape", read_shape, "has a shape that is no list of sizes" },
        { "data_offsets", read_offsets,
          "has data_offsets that are no begin and end" },
    };
    unsigned seen = 0;
    size_t i;

    memset(e, 0, sizeof *e);
    if (json_next(j) != JSON_OBJECT)
        return bad_tensor(key, err, "is not described by an object");
    while (json_next(j) == JSON_KEY) {
        for (i = 0; i < 3 && !json_is(j, fields[i].name); i++)
            ;
        if (i == 3) {
            if (!json_skip(j))
                return false;
            continue;
        }
        if (seen & 1u << i)
            return bad_tensor(key, err, "has the same field twice");
        seen |= 1u << i;
        if (!fields[i].read(j, e))
            return j->type == JSON_ERROR ? false
                                         : bad_tensor(key, err, fields[i].what);
    }
    if (j->type == JSON_ERROR)
        return false;
    if (seen != 7)
        return bad_tensor(key, err, "lacks dtype, shape or data_offsets");
    if (!check_size(e))
        return bad_tensor(key, err,
                          "has a shape that its data_offsets do not fit");
    return true;
}

/* "__metadata__": texts under names, of no use to us but part of the form. */
static bool
skip_metadata(struct json *j, struct err *err)
{
    enum json_type t = json_next(j);

    if (t == JSON_NULL)
        return true;
    if (t == JSON_OBJECT) {
        while ((t = json_next(j)) == JSON_KEY)
            if ((t = json_next(j)) != JSON_STRING)
                break;
        if (t == JSON_OBJECT_END)
            return true;
    }
    if (t == JSON_ERROR)
        return false;
    return err_set(err, ERR_MODEL, "__metadata__ is not an object of texts");
}

struct tally { /* what a header holds */
    size_t tensors, names; /* bytes of all names */
};

/* One tensor more, or, with t NULL, only counted. */
static bool
add_tensor(struct tensor_table *t, const struct json *key,
           const struct tensor_entry *e, struct tally *tally, struct err *err)
{
    char name[LOAD_NAME_MAX + 1];
    size_t len = json_text(key, name, sizeof name);

    if (len == (size_t)-1)
        return err_set(err, ERR_MODEL,
                       "a tensor's name is longer than %d "
                       "bytes",
                       LOAD_NAME_MAX);
    tally->tensors++;
    tally->names += len;
    return !t || tensor_table_add(t, name, len, e, err);
}

/* Walks the header and counts its tensors; adds them where t is given. */
static bool
walk(const char *text, size_t len, struct tensor_table *t, uint32_t file,
     struct tally *tally, struct err *err)
{
    struct tensor_entry e;
    struct json j, key;
    bool metadata = false;

    *tally = (struct tally){ 0 };
    json_init(&j, text, len, 16, err);
    if (json_next(&j) != JSON_OBJECT)
        return j.type == JSON_ERROR
                   ? false
                   : err_set(err, ERR_MODEL, "the header is not an object");
    while (json_next(&j) == JSON_KEY) {
        key = j;
        if (json_is(&j, "__metadata__")) {
            if (metadata)
                return err_set(err, ERR_MODEL, "__metadata__ stands twice");
            metadata = true;
            if (!skip_metadata(&j, err))
                return false;
            continue;
        }
        if (tally->tensors == LOAD_TENSOR_MAX)
            return err_set(err, ERR_MODEL, "more than %d tensors",
                           LOAD_TENSOR_MAX);
        if (!read_tensor(&j, &key, &e, err))
            return false;
        e.file = file;
        if (!add_tensor(t, &key, &e, tally, err))
            return false;
    }
    return j.type != JSON_ERROR && json_next(&j) == JSON_END;
}

static int
by_name(const void *a, const void *b, void *table)
{
    return strcmp(tensor_name(table, *(const uint32_t *)a),
                  tensor_name(table, *(const uint32_t *)b));
}

static int
by_offset(const void *a, const void *b, void *table)
{
    const struct tensor_table *t = table;
    const struct tensor_entry *x = &t->v[*(const uint32_t *)a];
    const struct tensor_entry *y = &t->v[*(const uint32_t *)b];

    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

static bool
check_names(struct tensor_table *t, uint32_t *order, size_t n, struct err *err)
{
    size_t i;

    qsort_r(order, n, sizeof *order, by_name, t);
    for (i = 1; i < n; i++)
        if (strcmp(tensor_name(t, order[i - 1]), tensor_name(t, order[i])) == 0)
            return err_set(err, ERR_MODEL, "tensor %s stands twice",
                           tensor_name(t, order[i]));
    return true;
}

/* No hole, no overlap, nothing before, nothing after. */
static bool
check_cover(struct tensor_table *t, uint32_t *order, size_t n, uint64_t data,
            struct err *err)
{
    uint64_t end = 0, reach = 0;
    const struct tensor_entry *e;
    size_t i;

    qsort_r(order, n, sizeof *order, by_offset, t);
    for (i = 0; i < n; i++) {
        e = &t->v[order[i]];
        if (e->offset + e->bytes > reach)
            reach = e->offset + e->bytes;
    }
    for (i = 0; i < n; i++) {
        e = &t->v[order[i]];
        if (e->offset != end)
            return err_set(err, ERR_MODEL,
                           "tensor %s begins at byte %" PRIu64
                           " of the data, %s byte %" PRIu64,
                           tensor_name(t, order[i]), e->offset,
                           e->offset < end
                               ? "inside the one before it, which ends at"
                               : "leaving a hole after",
                           end);
        end += e->bytes;
    }
    if (reach > data)
        return err_set(err, ERR_MODEL,
                       "the file is %" PRIu64 " bytes short: "
                       "it was cut off, fetch it again",
                       reach - data);
    if (reach < data)
        return err_set(err, ERR_MODEL,
                       "%" PRIu64 " bytes follow the last "
                       "tensor: the file is damaged, fetch it again",
                       data - reach);
    return true;
}

/* Puts the entries in the order of their data, with one spare entry: entry i
 * of the result is the old entry order[i]; order is used up. */
static void
sort_entries(struct tensor_entry *v, uint32_t *order, size_t from, size_t n)
{
    struct tensor_entry spare;
    size_t i, k, next;

    for (i = 0; i < n; i++) {
        spare = v[from + i];
        for (k = i; order[k] != from + k; k = next) {
            next = order[k] - from;
            order[k] = (uint32_t)(from + k);
            if (next == i) {
                v[from + k] = spare;
                break;
            }
            v[from + k] = v[from + next];
        }
    }
}

/* Checks the n entries of this file, the last of the table. */
static bool
check_entries(struct tensor_table *t, size_t n, uint64_t data, uint64_t begin,
              struct err *err)
{
    uint32_t *order = xreallocarray(NULL, n, sizeof *order);
    size_t from = t->n - n, i;
    bool ok;

    for (i = 0; i < n; i++)
        order[i] = (uint32_t)(from + i);
    ok = check_names(t, order, n, err) && check_cover(t, order, n, data, err);
    if (ok) {
        sort_entries(t->v, order, from, n);
        for (i = from; i < t->n; i++)
            t->v[i].offset += begin;
    }
    free(order);
    return ok;
}

/* The header's text, given, and how many bytes of data follow it. */
static char *
read_header(int fd, const char *name, size_t *len, uint64_t *data,
            struct err *err)
{
    unsigned char head[8];
    struct stat st;
    struct rd r;
    uint64_t n;
    char *text;

    if (fstat(fd, &st) != 0) {
        err_errno(err, ERR_MODEL, errno, "cannot be read");
        return NULL;
    }
    if (st.st_size < 8) {
        err_set(err, ERR_MODEL,
                "%jd bytes are no safetensors file, fetch it "
                "again",
                (intmax_t)st.st_size);
        return NULL;
    }
    if (!file_pread(fd, head, 8, 0, name, err))
        return NULL;
    rd_init(&r, head, 8);
    n = rd_u64(&r);
    if (n > HEADER_MAX || n > (uint64_t)st.st_size - 8) {
        err_set(err, ERR_MODEL,
                "the header claims %" PRIu64 " bytes, the "
                "file has %jd: it was cut off or is no safetensors file",
                n, (intmax_t)st.st_size);
        return NULL;
    }
    text = malloc((size_t)n + 1);
    if (!text) {
        err_set(err, ERR_MEMORY, "no memory for a header of %" PRIu64 " bytes",
                n);
        return NULL;
    }
    *len = (size_t)n;
    *data = (uint64_t)st.st_size - 8 - n;
    if (!file_pread(fd, text, *len, 8, name, err)) {
        free(text);
        return NULL;
    }
    return text;
}

bool
safetensors_read(int fd, uint32_t file, const char *name,
                 struct tensor_table *t, struct err *err)
{
    uint64_t data = 0;
    struct tally tally = { 0 };
    size_t len = 0;
    char *text = read_header(fd, name, &len, &data, err);
    bool ok = text != NULL;

    if (ok && (len == 0 || text[0] != '{'))
        ok = err_set(err, ERR_MODEL, "the header does not begin with '{'");
    ok = ok && walk(text, len, NULL, file, &tally, err);
    if (ok) {
        tensor_table_reserve(t, tally.tensors, tally.names);
        ok = walk(text, len, t, file, &tally, err);
    }
    free(text);
    ok = ok && check_entries(t, tally.tensors, data, 8 + len, err);
    if (!ok && err) {
        if (err->kind != ERR_MEMORY)
            err->kind = ERR_MODEL;
        err_wrap(err, "%s", name);
    }
    return ok;
}
