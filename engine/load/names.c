/* engine/load/names.c  Three families of names, one table each.
 *
 * OpenAI: src/model.py of openai/gpt-2. gpt2-ml: train/modeling.py of
 * imcaspar/gpt2-ml, whose two norms of a layer stand before the MLP (our ln_2)
 * and after it (our ln_1), and whose norm of the embedding is our ln_f: the
 * network says where they act. GGUF: gguf-py/gguf/constants.py of ggml.
 */
#include "engine/load/names.h"

#include <stdio.h>
#include <string.h>

struct name_row {
    const char *from, *to; /* '#': the number of the layer */
};

static const struct name_row names[] = {
    /* OpenAI */
    { "model/wte", "wte.weight" },
    { "model/wpe", "wpe.weight" },
    { "model/ln_f/g", "ln_f.weight" },
    { "model/ln_f/b", "ln_f.bias" },
    { "model/h#/ln_1/g", "h.#.ln_1.weight" },
    { "model/h#/ln_1/b", "h.#.ln_1.bias" },
    { "model/h#/ln_2/g", "h.#.ln_2.weight" },
    { "model/h#/ln_2/b", "h.#.ln_2.bias" },
    { "model/h#/attn/c_attn/w", "h.#.attn.c_attn.weight" },
    { "model/h#/attn/c_attn/b", "h.#.attn.c_attn.bias" },
    { "model/h#/attn/c_proj/w", "h.#.attn.c_proj.weight" },
    { "model/h#/attn/c_proj/b", "h.#.attn.c_proj.bias" },
    { "model/h#/mlp/c_fc/w", "h.#.mlp.c_fc.weight" },
    { "model/h#/mlp/c_fc/b", "h.#.mlp.c_fc.bias" },
    { "model/h#/mlp/c_proj/w", "h.#.mlp.c_proj.weight" },
    { "model/h#/mlp/c_proj/b", "h.#.mlp.c_proj.bias" },
    /* gpt2-ml */
    { "newslm/embeddings/word_embed", "newslm.wte.weight" },
    { "newslm/embeddings/pos_embed", "wpe.weight" },
    { "newslm/embeddings/LayerNorm_embed_norm/gamma", "ln_f.weight" },
    { "newslm/embeddings/LayerNorm_embed_norm/beta", "ln_f.bias" },
    { "newslm/layer#/query_layer/kernel", "h.#.attn.q.weight" },
    { "newslm/layer#/query_layer/bias", "h.#.attn.q.bias" },
    { "newslm/layer#/key_layer/kernel", "h.#.attn.k.weight" },
    { "newslm/layer#/key_layer/bias", "h.#.attn.k.bias" },
    { "newslm/layer#/value_layer/kernel", "h.#.attn.v.weight" },
    { "newslm/layer#/value_layer/bias", "h.#.attn.v.bias" },
    { "newslm/layer#/context_projection_layer/kernel",
      "h.#.attn.c_proj.weight" },
    { "newslm/layer#/context_projection_layer/bias", "h.#.attn.c_proj.bias" },
    { "newslm/layer#/LayerNorm_mlp_ln0/gamma", "h.#.ln_2.weight" },
    { "newslm/layer#/LayerNorm_mlp_ln0/beta", "h.#.ln_2.bias" },
    { "newslm/layer#/intermediate/kernel", "h.#.mlp.c_fc.weight" },
    { "newslm/layer#/intermediate/bias", "h.#.mlp.c_fc.bias" },
    { "newslm/layer#/output/kernel", "h.#.mlp.c_proj.weight" },
    { "newslm/layer#/output/bias", "h.#.mlp.c_proj.bias" },
    { "newslm/layer#/LayerNorm_mlp_ln1/gamma", "h.#.ln_1.weight" },
    { "newslm/layer#/LayerNorm_mlp_ln1/beta", "h.#.ln_1.bias" },
    /* GGUF */
    { "token_embd.weight", "wte.weight" },
    { "position_embd.weight", "wpe.weight" },
    { "output_norm.weight", "ln_f.weight" },
    { "output_norm.bias", "ln_f.bias" },
    { "output.weight", "lm_head.weight" },
    { "output.bias", "lm_head.bias" },
    { "blk.#.attn_norm.weight", "h.#.ln_1.weight" },
    { "blk.#.attn_norm.bias", "h.#.ln_1.bias" },
    { "blk.#.attn_qkv.weight", "h.#.attn.c_attn.weight" },
    { "blk.#.attn_qkv.bias", "h.#.attn.c_attn.bias" },
    { "blk.#.attn_output.weight", "h.#.attn.c_proj.weight" },
    { "blk.#.attn_output.bias", "h.#.attn.c_proj.bias" },
    { "blk.#.ffn_norm.weight", "h.#.ln_2.weight" },
    { "blk.#.ffn_norm.bias", "h.#.ln_2.bias" },
    { "blk.#.ffn_up.weight", "h.#.mlp.c_fc.weight" },
    { "blk.#.ffn_up.bias", "h.#.mlp.c_fc.bias" },
    { "blk.#.ffn_down.weight", "h.#.mlp.c_proj.weight" },
    { "blk.#.ffn_down.bias", "h.#.mlp.c_proj.bias" },
};

/* Does the name fit the pattern? *layer gets what stands at '#'. */
static bool
fits(const char *name, const char *pattern, unsigned *layer)
{
    unsigned v;
    int digits;

    for (; *pattern; pattern++) {
        if (*pattern != '#') {
            if (*name++ != *pattern)
                return false;
            continue;
        }
        for (v = 0, digits = 0; *name >= '0' && *name <= '9' && digits < 6;
             name++, digits++)
            v = 10 * v + (unsigned)(*name - '0');
        if (digits == 0)
            return false;
        *layer = v;
    }
    return *name == '\0';
}

static void
fill_in(const char *pattern, unsigned layer, int digits, char *out, size_t cap)
{
    const char *hash = strchr(pattern, '#');

    if (hash)
        snprintf(out, cap, "%.*s%0*u%s", (int)(hash - pattern), pattern, digits,
                 layer, hash + 1);
    else
        snprintf(out, cap, "%s", pattern);
}

/* OpenAI's convolutions of width 1: [1, n_in, n_out]. */
static void
squeeze(struct tensor_entry *e)
{
    uint32_t i;

    while (e->rank > 2 && e->dim[0] == 1) {
        e->rank--;
        for (i = 0; i < e->rank; i++) {
            e->dim[i] = e->dim[i + 1];
            e->stride[i] = e->stride[i + 1];
        }
        e->dim[e->rank] = e->stride[e->rank] = 0;
    }
}

static enum name_family
family_of(const struct name_row *r)
{
    return strncmp(r->from, "model/", 6) == 0    ? NAMES_OPENAI
           : strncmp(r->from, "newslm/", 7) == 0 ? NAMES_GPT2_ML
                                                 : NAMES_GGUF;
}

const char *
names_in_file(const struct tensor_table *t, const char *name, char *buf,
              size_t cap)
{
    unsigned layer = 0;
    size_t k;

    for (k = 0; k < sizeof names / sizeof *names; k++)
        if (family_of(&names[k]) == t->family &&
            fits(name, names[k].to, &layer)) {
            /* gpt2-ml writes layer07 */
            fill_in(names[k].from, layer, t->family == NAMES_GPT2_ML ? 2 : 1,
                    buf, cap);
            return buf;
        }
    return name;
}

/* The row that a name fits, or NULL. */
static const struct name_row *
find_row(const char *name, unsigned *layer)
{
    size_t k;

    for (k = 0; k < sizeof names / sizeof *names; k++)
        if (fits(name, names[k].from, layer))
            return &names[k];
    return NULL;
}

bool
names_translate(struct tensor_table *t, struct err *err)
{
    struct tensor_table out;
    const struct name_row *row;
    size_t i;
    unsigned layer = 0;
    char name[LOAD_NAME_MAX + 1];
    const char *old;

    /* Most files need nothing: a second table is made for those that do. */
    for (i = 0; i < t->n && !find_row(tensor_name(t, i), &layer); i++)
        ;
    if (i == t->n)
        return true;
    tensor_table_init(&out);
    out.family = family_of(find_row(tensor_name(t, i), &layer));
    for (i = 0; i < t->n; i++) {
        struct tensor_entry e = t->v[i];

        old = tensor_name(t, i);
        row = find_row(old, &layer);
        if (row) {
            fill_in(row->to, layer, 1, name, sizeof name);
            squeeze(&e);
            old = name;
        }
        if (!tensor_table_add(&out, old, strlen(old), &e, err)) {
            tensor_table_free(&out);
            return false;
        }
    }
    tensor_table_free(t);
    *t = out;
    return true;
}
