/* engine/load/read.c  Tensor data from the descriptor to f32.
 *
 * The file is read in pieces that stay in the second-level cache, converted
 * there, and only then written where the numbers shall lie: straight, or
 * transposed in tiles whose rows are whole cache lines. A tensor may be
 * strided (a torch view): it is then gathered element by element.
 */
#include <fcntl.h>
#include <string.h>

#include "engine/base/file.h"
#include "engine/base/mem.h"
#include "engine/base/rd.h"
#include "engine/load/convert.h"
#include "engine/load/load.h"
#include "engine/load/names.h"
#include "engine/load/quant.h"

#define PIECE_BYTES ((size_t)256 << 10) /* of the file, read at once */
#define TILE        16                  /* floats in a cache line */
#define RUN         4096                /* elements compared at once */

static const char *
tensor_label(const struct weights_source *s, size_t i, char *buf, size_t cap)
{
    return names_in_file(&s->table, tensor_name(&s->table, i), buf, cap);
}

static bool
bad_number(const struct weights_source *s, size_t i, size_t at, struct err *err)
{
    char buf[LOAD_NAME_MAX + 1];

    return err_set(err, ERR_MODEL,
                   "%s: tensor %s holds NaN or infinity "
                   "(element %zu): the file is damaged",
                   s->files[s->table.v[i].file],
                   tensor_label(s, i, buf, sizeof buf), at);
}

static bool
is_readable(const struct weights_source *s, size_t i, struct err *err)
{
    const struct tensor_entry *e = &s->table.v[i];
    char buf[LOAD_NAME_MAX + 1];

    if (e->dtype == DT_BLOCKS || e->dtype == DT_F64 || e->dtype == DT_F32 ||
        e->dtype == DT_F16 || e->dtype == DT_BF16)
        return true;
    return err_set(err, ERR_MODEL,
                   "%s: tensor %s is stored as %s, weights "
                   "must be F32, F16, BF16 or F64",
                   s->files[e->file], tensor_label(s, i, buf, sizeof buf),
                   dtype_name(e->dtype));
}

/* One element, or one block of elements. */
static void
unit(const struct tensor_entry *e, size_t *elems, size_t *bytes)
{
    const struct quant_row *q =
        e->dtype == DT_BLOCKS ? quant_find(e->quant) : NULL;

    *elems = q ? q->elems : 1;
    *bytes = q ? q->bytes : dtype_size(e->dtype);
}

static bool
convert(const struct tensor_entry *e, const unsigned char *raw, size_t n,
        float *out, size_t *bad)
{
    const struct quant_row *q;
    size_t i;

    if (e->dtype != DT_BLOCKS)
        return convert_f32(e->dtype, raw, n, out, bad);
    q = quant_find(e->quant);
    for (i = 0; i < n / q->elems; i++)
        q->unpack(raw + i * q->bytes, out + i * q->elems);
    return convert_f32(DT_F32, out, n, out, bad);
}

static bool
is_contiguous(const struct tensor_entry *e)
{
    uint64_t n = 1;
    uint32_t k;

    for (k = e->rank; k-- > 0;) {
        if (e->dim[k] != 1 && e->stride[k] != n)
            return false;
        n *= e->dim[k];
    }
    return true;
}

/* Elements [from, from + n) of the tensor in row-major order, from < count.
 * raw has room for n elements in the file's type; for F32 it may be out.
 * from and n are whole blocks where the type has blocks. */
static bool
read_run(const struct weights_source *s, size_t i, size_t from, size_t n,
         unsigned char *raw, float *out, struct err *err)
{
    const struct tensor_entry *e = &s->table.v[i];
    size_t elems, bytes, bad;

    unit(e, &elems, &bytes);
    if (!file_pread(s->fds[e->file], raw, n / elems * bytes,
                    (size_t)e->offset + from / elems * bytes, s->files[e->file],
                    err)) {
        if (err)
            err->kind = ERR_MODEL;
        return false;
    }
    return convert(e, raw, n, out, &bad) || bad_number(s, i, from + bad, err);
}

/* The whole span of a strided tensor, then its elements one by one. */
static bool
read_strided(const struct weights_source *s, size_t i, float *out,
             struct err *err)
{
    const struct tensor_entry *e = &s->table.v[i];
    size_t n = tensor_count(e), size = dtype_size(e->dtype), k, bad, at;
    size_t index[LOAD_RANK_MAX] = { 0 };
    unsigned char *raw = mem_big((size_t)e->bytes, 1, "a strided tensor", err);
    uint32_t d;
    bool ok = raw != NULL;

    ok = ok && file_pread(s->fds[e->file], raw, (size_t)e->bytes,
                          (size_t)e->offset, s->files[e->file], err);
    for (k = 0; ok && k < n; k++) {
        for (at = 0, d = 0; d < e->rank; d++)
            at += index[d] * (size_t)e->stride[d];
        if (!convert_f32(e->dtype, raw + at * size, 1, out + k, &bad))
            ok = bad_number(s, i, k, err);
        for (d = e->rank; d-- > 0 && ++index[d] == e->dim[d];)
            index[d] = 0;
    }
    mem_big_free(raw);
    return ok;
}

/* in [rows][cols] to out[c * stride + r]. */
static void
transpose(const float *in, size_t rows, size_t cols, float *out, size_t stride)
{
    size_t r0, c0, r, c, rn, cn;

    for (r0 = 0; r0 < rows; r0 += TILE) {
        rn = rows - r0 < TILE ? rows - r0 : TILE;
        for (c0 = 0; c0 < cols; c0 += TILE) {
            cn = cols - c0 < TILE ? cols - c0 : TILE;
            for (c = c0; c < c0 + cn; c++)
                for (r = r0; r < r0 + rn; r++)
                    out[c * stride + r] = in[r * cols + c];
        }
    }
}

/* Elements [from, to) of the row-major order to out, where `from` goes. */
static bool
read_straight(const struct weights_source *s, size_t i, size_t from, size_t to,
              float *out, struct err *err)
{
    const struct tensor_entry *e = &s->table.v[i];
    size_t step, m, elems, bytes;
    unsigned char *raw = e->dtype == DT_F32 ? NULL : xmalloc(PIECE_BYTES);
    bool ok = true;

    unit(e, &elems, &bytes);
    step = PIECE_BYTES / bytes * elems;
    for (; ok && from < to; from += m) {
        m = to - from < step ? to - from : step;
        ok =
            read_run(s, i, from, m, raw ? raw : (unsigned char *)out, out, err);
        out += m;
    }
    free(raw);
    return ok;
}

/* Rows [from, to) of a matrix to columns of out. */
static bool
read_turned(const struct weights_source *s, size_t i, size_t from, size_t to,
            float *out, struct err *err)
{
    const struct tensor_entry *e = &s->table.v[i];
    size_t rows = (size_t)e->dim[0], cols = (size_t)e->dim[1], m, step;
    size_t elems, bytes;
    unsigned char *raw;
    float *block;
    bool ok;

    unit(e, &elems, &bytes);
    /* A multiple of the tile where the rows are short enough. */
    step = PIECE_BYTES / (cols / elems * bytes);
    step = step < TILE ? TILE : step / TILE * TILE;
    step = step < to - from ? step : to - from;
    block = mem_big(step * cols, sizeof *block, "a piece of a matrix", err);
    raw = e->dtype == DT_F32 ? (unsigned char *)block
                             : mem_big(step * (cols / elems), bytes,
                                       "a piece of a matrix", err);
    ok = raw && block;
    for (; ok && from < to; from += m) {
        m = to - from < step ? to - from : step;
        ok = read_run(s, i, from * cols, m * cols, raw, block, err);
        if (ok)
            transpose(block, m, cols, out + from, rows);
    }
    if (e->dtype != DT_F32)
        mem_big_free(raw);
    mem_big_free(block);
    return ok;
}

/* A matrix whose file holds the transposed one without gaps: what torch's
 * .t() leaves, so that reading it transposed is reading it straight. */
static bool
is_turned(const struct tensor_entry *e)
{
    return e->rank == 2 && e->dtype != DT_BLOCKS && !is_contiguous(e) &&
           e->stride[0] == 1 && e->stride[1] == e->dim[0];
}

size_t
weights_rows(const struct weights_source *s, size_t i)
{
    const struct tensor_entry *e = &s->table.v[i];

    /* Strided ones are read in one go: their rows overlap in the file. */
    return e->rank > 0 && is_contiguous(e) ? (size_t)e->dim[0] : 1;
}

/* Piece by piece: of a longer one the kernel takes the beginning only. */
void
weights_announce(const struct weights_source *s, size_t i, size_t from,
                 size_t to)
{
    const struct tensor_entry *e = &s->table.v[i];
    uint64_t row = e->bytes / weights_rows(s, i);
    uint64_t at = e->offset + from * row, end = e->offset + to * row;

    for (; at < end; at += PIECE_BYTES)
        posix_fadvise(s->fds[e->file], (off_t)at,
                      (off_t)(end - at < PIECE_BYTES ? end - at : PIECE_BYTES),
                      POSIX_FADV_WILLNEED);
}

bool
weights_read_rows(const struct weights_source *s, size_t i, size_t from,
                  size_t to, bool transposed, float *out, struct err *err)
{
    const struct tensor_entry *e = &s->table.v[i];
    size_t n = tensor_count(e), cols;
    float *block;
    bool ok;

    if (!is_readable(s, i, err))
        return false;
    if (n == 0 || from == to)
        return true;
    if (is_contiguous(e)) {
        cols = n / weights_rows(s, i);
        return transposed ? read_turned(s, i, from, to, out, err)
                          : read_straight(s, i, from * cols, to * cols,
                                          out + from * cols, err);
    }
    if (!transposed)
        return read_strided(s, i, out, err);
    if (is_turned(e))
        return read_straight(s, i, 0, n, out, err);
    block = mem_big(n, sizeof *block, "a matrix", err);
    ok = block && read_strided(s, i, block, err);
    if (ok)
        transpose(block, (size_t)e->dim[0], (size_t)e->dim[1], out,
                  (size_t)e->dim[0]);
    mem_big_free(block);
    return ok;
}

bool
weights_read_piece(const struct weights_source *s, size_t i, size_t from,
                   size_t to, float *out, struct err *err)
{
    const struct tensor_entry *e = &s->table.v[i];
    size_t n = tensor_count(e), cols;

    if (!is_contiguous(e)) /* one row only, see weights_rows() */
        return weights_read_rows(s, i, from, to, false, out, err);
    cols = n ? n / weights_rows(s, i) : 0;
    return is_readable(s, i, err) &&
           (from == to ||
            read_straight(s, i, from * cols, to * cols, out, err));
}

bool
weights_read_f32(const struct weights_source *s, size_t i, float *out,
                 struct err *err)
{
    return weights_read_rows(s, i, 0, weights_rows(s, i), false, out, err);
}

bool
weights_read_f32_t(const struct weights_source *s, size_t i, float *out,
                   struct err *err)
{
    return weights_read_rows(s, i, 0, weights_rows(s, i), true, out, err);
}

/* Strided or quantised ones: both unpacked. */
static bool
equal_whole(const struct weights_source *s, size_t i, size_t j, bool *equal,
            struct err *err)
{
    size_t n = tensor_count(&s->table.v[i]);
    float *x = mem_big(2 * n, sizeof *x, "two tensors", err);
    bool ok = x && weights_read_f32(s, i, x, err) &&
              weights_read_f32(s, j, x + n, err);

    *equal = ok && memcmp(x, x + n, n * sizeof *x) == 0;
    mem_big_free(x);
    return ok;
}

bool
weights_equal(const struct weights_source *s, size_t i, size_t j, bool *equal,
              struct err *err)
{
    const struct tensor_entry *a = &s->table.v[i], *b = &s->table.v[j];
    size_t n = tensor_count(a), from, m;
    unsigned char raw[8 * RUN];
    float x[RUN], y[RUN];

    *equal = a->rank == b->rank && memcmp(a->dim, b->dim, sizeof a->dim) == 0;
    if (!*equal ||
        (a->file == b->file && a->offset == b->offset && a->dtype == b->dtype &&
         memcmp(a->stride, b->stride, sizeof a->stride) == 0))
        return true;
    if (!is_readable(s, i, err) || !is_readable(s, j, err))
        return false;
    if (!is_contiguous(a) || !is_contiguous(b) || a->dtype == DT_BLOCKS ||
        b->dtype == DT_BLOCKS)
        return equal_whole(s, i, j, equal, err);
    for (from = 0; *equal && from < n; from += m) {
        m = n - from < RUN ? n - from : RUN;
        if (!read_run(s, i, from, m, raw, x, err) ||
            !read_run(s, j, from, m, raw, y, err))
            return false;
        *equal = memcmp(x, y, m * sizeof *x) == 0;
    }
    return true;
}
