/* engine/model_peek.c  A model told by its heads: names, shapes, vocabulary.
 *
 * The checks are those of model_open() without the weights (so a list cannot
 * call good what opening would refuse); what opening does not keep, the types
 * and counts of tensors, is read from the heads once more.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/load/quant.h"
#include "engine/model_parts.h"

#define LOOK_AT 64 /* tensors */

static const char *
type_name(const struct tensor_entry *e)
{
    const struct quant_row *q =
        e->dtype == DT_BLOCKS ? quant_find(e->quant) : NULL;

    return q ? q->name : dtype_name(e->dtype);
}

/* The type that takes most of the bytes of the matrices; which types there
 * are the first of them tell. */
static void
find_type(const struct tensor_table *t, char *type, size_t cap)
{
    uint64_t most = 0;

    for (size_t i = 0; i < t->n && i < LOOK_AT; i++) {
        const char *name = type_name(&t->v[i]);
        uint64_t sum = 0;

        for (size_t k = 0; k < t->n && t->v[i].rank > 1; k++)
            if (strcmp(type_name(&t->v[k]), name) == 0)
                sum += t->v[k].bytes;
        if (sum > most) {
            most = sum;
            snprintf(type, cap, "%s", name);
        }
    }
    for (char *c = type; *c; c++)
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
}

/* Of the network itself: V D + P D, per layer 4 D^2 + 2 D F + 9 D + F, ln_f,
 * and a head of its own. */
static size_t
count_params(const struct model_info *i)
{
    size_t V = (size_t)i->n_vocab, P = (size_t)i->n_pos, D = (size_t)i->n_embd;
    size_t L = (size_t)i->n_layer, F = (size_t)i->n_ff;
    bool ln_f = strcmp(i->network, "openai-gpt") != 0;

    return V * D * (i->tied ? 1 : 2) + P * D + (ln_f ? 2 * D : 0) +
           L * (4 * D * D + 2 * D * F + 9 * D + F);
}

bool
model_peek(const char *path, struct model_peek *out, struct err *err)
{
    struct model_options opt = { .vocab_only = true };
    struct weights_source files;
    struct model *m;
    struct stat st;
    bool ok;

    memset(out, 0, sizeof *out);
    m = model_open(path, &opt, err);
    if (!m)
        return false;
    out->info = m->info;
    out->info.n_params = count_params(&m->info);
    if (m->vocab) {
        snprintf(out->vocab_kind, sizeof out->vocab_kind, "%s",
                 vocab_kind(m->vocab));
        out->vocab_size = vocab_size(m->vocab);
    }
    for (size_t i = 0; i < m->files.n_files; i++)
        if (fstat(m->files.fds[i], &st) == 0)
            out->file_bytes += (uint64_t)st.st_size;
    model_close(m);

    ok = weights_open(&files, path, err);
    if (ok)
        find_type(&files.table, out->info.type, sizeof out->info.type);
    weights_close(&files);
    return ok;
}
