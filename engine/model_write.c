/* engine/model_write.c  See model_write.h.
 *
 * The file's parts are listed first (name, type, sizes, where the numbers come
 * from); so its size is known before a byte is written, and the disk is asked
 * for all of it at once. Then part after part: a piece of rows as f32, packed
 * by all processors, written.
 */
#include "engine/model_write.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "engine/base/file.h"
#include "engine/base/mem.h"
#include "engine/base/philox.h"
#include "engine/base/pool.h"
#include "engine/load/gguf_write.h"
#include "engine/load/plan.h"
#include "engine/matrix.h"
#include "engine/model.h"
#include "engine/vocab.h"

#define PIECE_FLOATS ((size_t)1 << 22) /* read, packed and written at once */
#define SEED         20190214u         /* of random weights */

/* --- types --- */

static const struct type_row {
    const char *name, *same; /* ours, where it is another */
    enum ggml_type type;
    enum weight_type weights; /* whose numbers the blocks are */
    uint32_t file_type;       /* general.file_type */
} types[] = {
    { "f32", NULL, GGML_F32, WT_F32, 0 },
    { "f16", NULL, GGML_F16, WT_F32, 1 },
    { "bf16", NULL, GGML_BF16, WT_BF16, 32 },
    { "q8_0", "int8", GGML_Q8_0, WT_INT8, 7 },
    { "q4_0", "int4", GGML_Q4_0, WT_INT4, 2 },
};

static const struct type_row *
find_type(const char *name)
{
    if (!name)
        return &types[0];
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(name, types[i].name) == 0 ||
            (types[i].same && strcmp(name, types[i].same) == 0))
            return &types[i];
    return NULL;
}

bool
model_write_type(const char *name)
{
    return find_type(name) != NULL;
}

/* --- the parts --- */

struct part {
    char name[40];
    size_t rows, cols; /* rows 0: a vector */
    enum ggml_type type;
    size_t tensor;     /* of the source; PLAN_NONE: zeros */
    bool transposed;   /* it stands [cols][rows] there */
    float mean, reach; /* random numbers: mean +- reach */
};

struct writer {
    const struct model_write_options *opt;
    const struct type_row *type;
    const struct weights_source *s; /* NULL: random numbers */
    const char *name;               /* of the file, for messages */
    struct gguf_out *out;
    struct part *part;
    size_t n, cap;
    size_t n_odd; /* matrices whose rows are no whole blocks */
    int fd;
    uint64_t done, total; /* bytes */
    struct pool *pool;
};

static struct part *
add_part(struct writer *w, size_t tensor, size_t rows, size_t cols,
         const char *name)
{
    struct part *p;

    w->part = mem_grow(w->part, &w->cap, w->n + 1, sizeof *w->part);
    p = &w->part[w->n++];
    *p = (struct part){
        .rows = rows, .cols = cols, .tensor = tensor, .type = GGML_F32
    };
    snprintf(p->name, sizeof p->name, "%s", name);
    return p;
}

static void
add_matrix(struct writer *w, size_t tensor, size_t rows, size_t cols,
           bool transposed, const char *name)
{
    struct part *p = add_part(w, tensor, rows, cols, name);
    bool blocks = w->type->weights >= WT_INT8;

    p->transposed = transposed;
    p->reach = 0.0346f; /* a deviation of 0.02 */
    if (!blocks || cols % MATRIX_BLOCK == 0)
        p->type = w->type->type;
    else
        w->n_odd++;
}

/* Names of blk.N in the order of the format's own files. */
static const struct {
    enum plan_slot slot;
    const char *name;
} layer_parts[] = {
    { SLOT_LN1_G, "attn_norm.weight" }, { SLOT_LN1_B, "attn_norm.bias" },
    { SLOT_QKV_W, "attn_qkv.weight" },  { SLOT_QKV_B, "attn_qkv.bias" },
    { SLOT_O_W, "attn_output.weight" }, { SLOT_O_B, "attn_output.bias" },
    { SLOT_LN2_G, "ffn_norm.weight" },  { SLOT_LN2_B, "ffn_norm.bias" },
    { SLOT_FC_W, "ffn_up.weight" },     { SLOT_FC_B, "ffn_up.bias" },
    { SLOT_PROJ_W, "ffn_down.weight" }, { SLOT_PROJ_B, "ffn_down.bias" },
};

static void
list_layer(struct writer *w, const struct plan *p, size_t layer)
{
    char name[40];
    size_t rows, cols;

    for (size_t k = 0; k < sizeof layer_parts / sizeof *layer_parts; k++) {
        enum plan_slot slot = layer_parts[k].slot;
        size_t tensor = p->layer ? p->layer[layer][slot] : 0;

        plan_shape(p, slot, &rows, &cols);
        snprintf(name, sizeof name, "blk.%zu.%s", layer, layer_parts[k].name);
        if (cols > 1)
            add_matrix(w, tensor, rows, cols, !p->linear, name);
        else
            add_part(w, tensor, 0, rows, name)->mean =
                slot == SLOT_LN1_G || slot == SLOT_LN2_G;
    }
}

static void
list_parts(struct writer *w, const struct plan *p)
{
    size_t V = (size_t)p->V, D = (size_t)p->D;

    add_matrix(w, p->wte, V, D, false, "token_embd.weight");
    add_part(w, p->wpe, (size_t)p->P_used, D, "position_embd.weight")->reach =
        0.0173f;
    for (size_t i = 0; i < (size_t)p->L; i++)
        list_layer(w, p, i);
    add_part(w, p->lnf_g, 0, D, "output_norm.weight")->mean = 1;
    add_part(w, p->lnf_b, 0, D, "output_norm.bias");
    if (p->head != PLAN_NONE)
        add_matrix(w, p->head, V, D, false, "output.weight");
    if (p->head_b != PLAN_NONE)
        add_part(w, p->head_b, 0, V, "output.bias");
}

/* --- numbers --- */

struct random_job {
    const struct part *p;
    uint32_t stream;
    uint64_t first; /* element */
    float *out;
    size_t n;
};

#define RANDOM_CHUNK ((size_t)1 << 16) /* a multiple of 4 */

static void
fill_chunk(void *ud, int chunk, int thread)
{
    const struct random_job *j = ud;
    size_t from = (size_t)chunk * RANDOM_CHUNK;
    size_t to = j->n - from < RANDOM_CHUNK ? j->n : from + RANDOM_CHUNK;
    const uint32_t key[2] = { SEED, j->stream };
    uint32_t r[4];

    for (size_t i = from; i < to; i++) {
        uint64_t at = j->first + i;

        if (i == from || at % 4 == 0)
            philox4x32((uint32_t[]){ (uint32_t)(at / 4),
                                     (uint32_t)(at / 4 >> 32), 0, 0 },
                       key, r);
        j->out[i] =
            j->p->mean + j->p->reach * ((float)(r[at % 4] >> 8) * 0x1p-23f - 1);
    }
}

/* Rows [from, to) of part p as f32; of a transposed one all. */
static bool
get_rows(struct writer *w, const struct part *p, size_t from, size_t to,
         float *out, struct err *err)
{
    struct random_job j = {
        .p = p,
        .stream = (uint32_t)(p - w->part),
        .first = (uint64_t)from * p->cols,
        .out = out,
        .n = (to - from) * p->cols,
    };

    if (!w->s) {
        pool_run(w->pool, (int)((j.n + RANDOM_CHUNK - 1) / RANDOM_CHUNK),
                 fill_chunk, &j);
        return true;
    }
    if (p->tensor == PLAN_NONE) {
        memset(out, 0, j.n * sizeof *out);
        return true;
    }
    if (p->transposed)
        return weights_read_f32_t(w->s, p->tensor, out, err);
    return p->rows ? weights_read_piece(w->s, p->tensor, from, to, out, err)
                   : weights_read_f32(w->s, p->tensor, out, err);
}

/* Rows that are read at once. */
static size_t
step_of(const struct writer *w, const struct part *p)
{
    size_t rows = p->rows ? p->rows : 1, step = PIECE_FLOATS / p->cols;

    if (w->s && p->tensor != PLAN_NONE &&
        (p->transposed || !p->rows || weights_rows(w->s, p->tensor) == 1))
        return rows;
    step = step < MATRIX_TILE ? MATRIX_TILE : step / MATRIX_TILE * MATRIX_TILE;
    return step < rows ? step : rows;
}

/* --- packing --- */

struct pack_job {
    const struct type_row *t;
    enum ggml_type type;
    const float *w;
    size_t rows, cols, row_bytes;
    unsigned char *out;
    unsigned char *tile[POOL_THREADS_MAX]; /* one for each thread */
};

static void
pack_blocks(const struct pack_job *j, size_t from, size_t n, int thread)
{
    struct matrix m = { .type = j->t->weights,
                        .n_out = (int)n,
                        .n_in = (int)j->cols,
                        .data = j->tile[thread] };
    signed char q[MATRIX_BLOCK];
    unsigned short scale;

    matrix_write(&m, 0, n, 0, j->cols, j->w + from * j->cols, j->cols, 1);
    for (size_t r = 0; r < n; r++) {
        unsigned char *out = j->out + (from + r) * j->row_bytes;

        for (size_t b = 0; b < j->cols / MATRIX_BLOCK; b++) {
            matrix_block(&m, r, b, &scale, q);
            *out++ = (unsigned char)scale;
            *out++ = (unsigned char)(scale >> 8);
            if (j->type == GGML_Q8_0) {
                memcpy(out, q, MATRIX_BLOCK);
                out += MATRIX_BLOCK;
                continue;
            }
            for (int k = 0; k < MATRIX_BLOCK / 2; k++)
                *out++ = (unsigned char)((q[k] + 8) |
                                         (q[k + MATRIX_BLOCK / 2] + 8) << 4);
        }
    }
}

static void
pack_plain(const struct pack_job *j, size_t from, size_t n)
{
    const float *w = j->w + from * j->cols;
    unsigned char *out = j->out + from * j->row_bytes;

    for (size_t i = 0; i < n * j->cols; i++) {
        unsigned short h =
            j->type == GGML_F16 ? half_from_float(w[i]) : bf16_from_float(w[i]);
        *out++ = (unsigned char)h;
        *out++ = (unsigned char)(h >> 8);
    }
}

static void
pack_chunk(void *ud, int chunk, int thread)
{
    const struct pack_job *j = ud;
    size_t from = (size_t)chunk * MATRIX_TILE;
    size_t n = j->rows - from < MATRIX_TILE ? j->rows - from : MATRIX_TILE;

    if (j->type == GGML_F32)
        memcpy(j->out + from * j->row_bytes, j->w + from * j->cols,
               n * j->row_bytes);
    else if (j->type == GGML_F16 || j->type == GGML_BF16)
        pack_plain(j, from, n);
    else
        pack_blocks(j, from, n, thread);
}

/* f16 ends at 65504, and a weight beyond that would become another. */
static bool
fits_f16(const struct writer *w, const struct part *p, const float *v, size_t n,
         struct err *err)
{
    if (p->type != GGML_F16)
        return true;
    for (size_t i = 0; i < n; i++)
        if (fabsf(v[i]) > 65504)
            return err_set(err, ERR_MODEL,
                           "%s: %s holds %g, which is too large for f16: take "
                           "bf16 or f32",
                           w->name, p->name, (double)v[i]);
    return true;
}

/* --- writing --- */

static bool
disk_fault(const struct writer *w, int e, struct err *err)
{
    struct statvfs v;

    if (e != ENOSPC || fstatvfs(w->fd, &v) != 0)
        return err_errno(err, ERR_FAILED, e, "%s cannot be written", w->name);
    return err_set(err, ERR_FAILED,
                   "%s: the disk is full: the file takes %llu MB, %llu MB are "
                   "free",
                   w->name, (unsigned long long)(w->total / 1000000),
                   (unsigned long long)v.f_bavail * v.f_frsize / 1000000);
}

static bool
tell_progress(struct writer *w, struct err *err)
{
    const struct model_write_options *o = w->opt;

    return !o->progress ||
           o->progress(o->ud, (size_t)w->done, (size_t)w->total) ||
           err_set(err, ERR_CANCELLED, "writing %s was cancelled", w->name);
}

static bool
write_piece(struct writer *w, const struct part *p, struct pack_job *j,
            size_t from, size_t to, float *in, struct err *err)
{
    size_t bytes;

    j->rows = to - from;
    if (!get_rows(w, p, from, to, in, err) ||
        !fits_f16(w, p, in, j->rows * p->cols, err))
        return false;
    j->w = in;
    pool_run(w->pool, (int)((j->rows + MATRIX_TILE - 1) / MATRIX_TILE),
             pack_chunk, j);
    bytes = j->rows * j->row_bytes;
    if (!gguf_write_data(w->out, w->fd, j->out, bytes))
        return disk_fault(w, errno, err);
    w->done += bytes;
    return tell_progress(w, err);
}

static bool
write_part(struct writer *w, const struct part *p, struct err *err)
{
    size_t rows = p->rows ? p->rows : 1, step = step_of(w, p), to;
    size_t row_bytes = gguf_row_bytes(p->type, p->cols);
    size_t tile = matrix_bytes(w->type->weights, MATRIX_TILE, (int)p->cols);
    size_t n_tiles = (size_t)pool_threads(w->pool);
    struct pack_job j = {
        .t = w->type,
        .type = p->type,
        .cols = p->cols,
        .row_bytes = row_bytes,
    };
    size_t n_in = step * p->cols;
    unsigned char *tiles = NULL;
    float *in;
    bool ok;

    /* Read in one go, it may have more rows than are used (wpe). */
    if (w->s && p->tensor != PLAN_NONE && step == rows &&
        tensor_count(&w->s->table.v[p->tensor]) > n_in)
        n_in = tensor_count(&w->s->table.v[p->tensor]);
    in = mem_big(n_in, sizeof *in, "a piece of a matrix", err);

    j.out = in ? mem_big(step, row_bytes, "a piece of a matrix", err) : NULL;
    tiles = j.out ? mem_big(n_tiles, tile, "a tile", err) : NULL;
    ok = tiles != NULL;
    for (size_t i = 0; ok && i < n_tiles; i++)
        j.tile[i] = tiles + i * tile;
    for (size_t from = 0; ok && from < rows; from = to) {
        to = rows - from > step ? from + step : rows;
        ok = write_piece(w, p, &j, from, to, in, err);
    }
    mem_big_free(tiles);
    mem_big_free(j.out);
    mem_big_free(in);
    return ok;
}

static bool
write_file(struct writer *w, struct err *err)
{
    bool ok = true;

    for (size_t i = 0; i < w->n; i++)
        gguf_put_tensor(w->out, w->part[i].name, w->part[i].type,
                        w->part[i].rows, w->part[i].cols);
    w->total = gguf_file_bytes(w->out);
    /* All of it now, rather than a full disk at the end; where a file system
     * cannot, it comes as it comes. */
    if (fallocate(w->fd, 0, 0, (off_t)w->total) != 0 && errno == ENOSPC)
        return disk_fault(w, ENOSPC, err);
    if (!gguf_write_head(w->out, w->fd))
        return disk_fault(w, errno, err);
    w->pool = pool_new(0);
    for (size_t i = 0; ok && i < w->n; i++)
        ok = write_part(w, &w->part[i], err);
    pool_free(w->pool);
    return ok;
}

/* --- a file that is there when it is whole --- */

static bool
may_take_place(const char *to, bool force, struct err *err)
{
    struct stat st;

    if (lstat(to, &st) != 0)
        return errno == ENOENT ||
               err_errno(err, ERR_FAILED, errno, "%s cannot be written", to);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_USAGE,
                       "%s is there and is no plain file: name another", to);
    return force || err_set(err, ERR_USAGE,
                            "%s is there already: name another file, or "
                            "replace it with --force",
                            to);
}

static bool
write_in_place(struct writer *w, const char *to, struct err *err)
{
    char *tmp = xasprintf("%s.part-%ld", to, (long)getpid());
    bool ok;

    w->name = to;
    w->fd = -1;
    ok = may_take_place(to, w->opt->force, err);
    if (ok) {
        w->fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        ok = w->fd >= 0 ||
             err_errno(err, ERR_FAILED, errno, "%s cannot be written", to);
    }
    if (w->fd >= 0) {
        ok = write_file(w, err) &&
             (fsync(w->fd) == 0 || disk_fault(w, errno, err)) &&
             may_take_place(to, w->opt->force, err) &&
             (rename(tmp, to) == 0 ||
              err_errno(err, ERR_FAILED, errno, "%s cannot be written", to));
        close(w->fd);
        if (!ok)
            unlink(tmp);
    }
    free(tmp);
    return ok;
}

/* --- metadata --- */

static void
put_network(struct writer *w, const char *name, const struct plan *p,
            double eps)
{
    struct gguf_out *o = w->out;

    gguf_put_text(o, "general.architecture", "gpt2");
    gguf_put_text(o, "general.type", "model");
    gguf_put_text(o, "general.name", name);
    gguf_put_u32(o, "general.file_type", w->type->file_type);
    gguf_put_u32(o, "general.quantization_version", 2);
    gguf_put_u32(o, "gpt2.context_length", (uint32_t)p->P_used);
    gguf_put_u32(o, "gpt2.embedding_length", (uint32_t)p->D);
    gguf_put_u32(o, "gpt2.feed_forward_length", (uint32_t)p->F);
    gguf_put_u32(o, "gpt2.block_count", (uint32_t)p->L);
    gguf_put_u32(o, "gpt2.attention.head_count", (uint32_t)p->H);
    gguf_put_f32(o, "gpt2.attention.layer_norm_epsilon", (float)eps);
}

static bool
begin(struct writer *w, const struct model_write_options *opt, struct err *err)
{
    static const struct model_write_options none;

    *w = (struct writer){ .opt = opt ? opt : &none };
    w->type = find_type(w->opt->type);
    if (!w->type)
        return err_set(err, ERR_USAGE,
                       "there is no type \"%.40s\": take f32, f16, bf16, q8_0 or "
                       "q4_0",
                       w->opt->type);
    w->out = gguf_out_new();
    return true;
}

static void
end(struct writer *w)
{
    gguf_out_free(w->out);
    free(w->part);
}

static void
tell(const struct writer *w, const char *what)
{
    if (w->opt->note)
        w->opt->note(w->opt->ud, what);
}

static void
tell_notes(const struct writer *w, const struct vocab *v)
{
    char text[200];
    size_t twice = vocab_count_twice(v);

    if (w->n_odd > 0) {
        snprintf(text, sizeof text,
                 "%zu matrices stay f32: their rows are no multiples of %d",
                 w->n_odd, MATRIX_BLOCK);
        tell(w, text);
    }
    if (twice > 0) {
        snprintf(text, sizeof text,
                 "%zu tokens of the vocabulary stand there twice: llama.cpp "
                 "refuses such a file, jielong does not",
                 twice);
        tell(w, text);
    }
    if (strcmp(vocab_kind(v), "wordpiece") == 0)
        tell(w, "the vocabulary is WordPiece: llama.cpp puts the separator "
                "behind every prompt unless special tokens are turned off "
                "there, and knows no token for line breaks");
}

/* --- a model --- */

static bool
is_expressible(const struct plan *p, const struct model_config *c,
               struct err *err)
{
    if (p->net != NET_GPT2)
        return err_set(err, ERR_MODEL,
                       "GGUF has no architecture for this network (%s): only "
                       "GPT-2 can be converted",
                       p->net == NET_GROVER ? "gpt2-ml, Grover"
                                            : "the first GPT");
    if (c->act != ACT_GELU_TANH)
        return err_set(err, ERR_MODEL,
                       "GGUF's gpt2 always has the tanh form of gelu, and "
                       "this model another activation: it would compute "
                       "something else");
    if (!c->scale_attn || c->scale_by_layer)
        return err_set(err, ERR_MODEL,
                       "GGUF's gpt2 always divides attention by the root of "
                       "a head's width alone, and this model does not: it "
                       "would compute something else");
    return true;
}

static bool
write_opened(struct writer *w, const struct model *m,
             const struct weights_source *s, const char *to, struct err *err)
{
    struct notes notes = { 0 };
    struct model_config c;
    struct plan p = { 0 };
    bool ok = config_read(s->dir, &c, err) &&
              config_from_meta(&s->meta, &c, err) &&
              plan_gpt2(&p, s, &c, &notes, err) && is_expressible(&p, &c, err);

    if (ok) {
        w->s = s;
        list_parts(w, &p);
        put_network(w, model_info(m)->name, &p, c.ln_eps);
        vocab_to_meta(model_vocab(m), p.V, w->out);
        ok = write_in_place(w, to, err);
    }
    if (ok)
        tell_notes(w, model_vocab(m));
    plan_free(&p);
    notes_free(&notes);
    return ok;
}

bool
model_write(const char *from, const char *to,
            const struct model_write_options *opt, struct err *err)
{
    struct model_options how = { .vocab = opt ? opt->vocab : NULL,
                                 .vocab_only = true };
    struct weights_source s = { 0 };
    struct writer w;
    struct model *m = NULL;
    bool ok = begin(&w, opt, err) && may_take_place(to, w.opt->force, err);

    if (ok)
        m = model_open(from, &how, err);
    ok = m != NULL;
    if (ok) {
        ok = weights_open(&s, from, err) && write_opened(&w, m, &s, to, err);
        weights_close(&s);
    }
    model_close(m);
    end(&w);
    return ok;
}

/* --- random weights --- */

static bool
find_shape(const char *name, struct model_shape *s)
{
    static const struct {
        const char *name;
        struct model_shape shape;
    } known[] = {
        { "small", { 50257, 1024, 768, 12, 12, 3072 } },
        { "medium", { 50257, 1024, 1024, 24, 16, 4096 } },
        { "large", { 50257, 1024, 1280, 36, 20, 5120 } },
        { "xl", { 50257, 1024, 1600, 48, 25, 6400 } },
        { "box", { 6528, 512, 256, 6, 4, 1024 } },
    };
    int used = 0;

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i].name) == 0) {
            *s = known[i].shape;
            return true;
        }
    if (sscanf(name, "%dx%dx%dx%d%n", &s->L, &s->D, &s->H, &s->V, &used) != 4 ||
        name[used] != '\0')
        return false;
    s->P = 1024;
    s->F = 4 * s->D;
    return s->L > 0 && s->L <= 1000 && s->D > 0 && s->D <= 65536 && s->H > 0 &&
           s->D % s->H == 0 && s->V >= 300 && s->V <= VOCAB_MAX_TOKENS;
}

bool
model_shape_find(const char *name, struct model_shape *s, struct err *err)
{
    return find_shape(name, s) ||
           err_set(err, ERR_USAGE,
                   "there is no shape %.40s: take small, medium, large, xl, "
                   "box or LAYERSxWIDTHxHEADSxTOKENS such as 12x768x12x50257",
                   name);
}

static void
describe_random(struct writer *w, const struct model_shape *s)
{
    char name[80];
    struct plan p = {
        .net = NET_GPT2,
        .V = s->V,
        .P = s->P,
        .P_used = s->P,
        .D = s->D,
        .L = s->L,
        .H = s->H,
        .F = s->F,
        .linear = true,
        .head = PLAN_NONE,
        .head_b = PLAN_NONE,
    };

    snprintf(name, sizeof name, "random %dx%dx%dx%d", s->L, s->D, s->H, s->V);
    list_parts(w, &p);
    put_network(w, name, &p, 1e-5);
    vocab_stand_in(s->V, w->out);
}

bool
model_write_random(const struct model_shape *s, const char *to,
                   const struct model_write_options *opt, struct err *err)
{
    struct writer w;
    bool ok = begin(&w, opt, err);

    if (ok) {
        describe_random(&w, s);
        ok = write_in_place(&w, to, err);
    }
    end(&w);
    return ok;
}

bool
model_write_random_fd(const struct model_shape *s, int fd, const char *name,
                      const struct model_write_options *opt, struct err *err)
{
    struct writer w;
    bool ok = begin(&w, opt, err);

    if (ok) {
        describe_random(&w, s);
        w.fd = fd;
        w.name = name;
        ok = write_file(&w, err);
    }
    end(&w);
    return ok;
}
