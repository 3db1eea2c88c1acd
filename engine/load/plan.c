/* engine/load/plan.c  From names and shapes to a plan.
 *
 * Names first lose the prefixes that wrappers put in front (DataParallel,
 * torch.compile, GPT2Model inside GPT2LMHeadModel), then each finds its row in
 * a table. Shapes give all sizes; the configuration gives the number of heads
 * and is otherwise only compared.
 */
#include "engine/load/plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/base/mem.h"
#include "engine/load/names.h"

#define SIZE_LIMIT  ((uint64_t)1 << 24) /* any one of V, P, D, F */
#define NAMES_SHOWN 10

/* --- notes --- */

void
notes_add(struct notes *n, const char *fmt, ...)
{
    struct err tidy = { 0 };
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    err_set(&tidy, ERR_MODEL, "%s", text); /* made safe to show */
    n->v = mem_grow(n->v, &n->cap, n->n + 1, sizeof *n->v);
    n->v[n->n++] = xstrdup(tidy.msg);
}

void
notes_free(struct notes *n)
{
    size_t i;

    for (i = 0; i < n->n; i++)
        free(n->v[i]);
    free(n->v);
    memset(n, 0, sizeof *n);
}

/* --- names --- */

/* Sizes by letter: D width, 3 = 3D, F width of the MLP; rows then columns as
 * [n_out][n_in]; 1 column: a vector. */
static const struct slot_row {
    const char *name;
    char rows, cols;
} slots[SLOT_FILE_COUNT] = {
    [SLOT_LN1_G] = { "ln_1.weight", 'D', '1' },
    [SLOT_LN1_B] = { "ln_1.bias", 'D', '1' },
    [SLOT_QKV_W] = { "attn.c_attn.weight", '3', 'D' },
    [SLOT_QKV_B] = { "attn.c_attn.bias", '3', '1' },
    [SLOT_O_W] = { "attn.c_proj.weight", 'D', 'D' },
    [SLOT_O_B] = { "attn.c_proj.bias", 'D', '1' },
    [SLOT_LN2_G] = { "ln_2.weight", 'D', '1' },
    [SLOT_LN2_B] = { "ln_2.bias", 'D', '1' },
    [SLOT_FC_W] = { "mlp.c_fc.weight", 'F', 'D' },
    [SLOT_FC_B] = { "mlp.c_fc.bias", 'F', '1' },
    [SLOT_PROJ_W] = { "mlp.c_proj.weight", 'D', 'F' },
    [SLOT_PROJ_B] = { "mlp.c_proj.bias", 'D', '1' },
    [SLOT_Q_W] = { "attn.q.weight", 'D', 'D' },
    [SLOT_K_W] = { "attn.k.weight", 'D', 'D' },
    [SLOT_V_W] = { "attn.v.weight", 'D', 'D' },
    [SLOT_Q_B] = { "attn.q.bias", 'D', '1' },
    [SLOT_K_B] = { "attn.k.bias", 'D', '1' },
    [SLOT_V_B] = { "attn.v.bias", 'D', '1' },
};

/* Buffers and heads of other tasks; rank -1: any. */
static const struct {
    const char *name;
    int rank;
    bool in_layer, prefix;
} ignored[] = {
    { "attn.bias", 4, true, false }, /* the causal mask */
    { "attn.masked_bias", -1, true, false },
    { "position_ids", -1, false, false },
    { "multiple_choice_head.", -1, false, true },
    { "score.", -1, false, true },
    { "value_head.", -1, false, true },
    { "v_head.", -1, false, true },
};

/* Parts of names that mean: not this kind of file. */
static const struct {
    const char *part, *refusal;
} refused[] = {
    { ".crossattention.", "this is the decoder of an encoder-decoder model" },
    { ".ln_cross_attn.", "this is the decoder of an encoder-decoder model" },
    { ".lora_", "this is an adapter without its base model, merge the two" },
    { ".qweight", "the weights are quantised (GPTQ), use the original" },
    { ".SCB", "the weights are quantised (bitsandbytes), use the original" },
    { ".absmax", "the weights are quantised (bitsandbytes), use the "
                 "original" },
};

/* Other networks, by a name they have. */
static const struct {
    const char *name, *refusal;
} strangers[] = {
    { "gpt/embeddings/word_embeddings",
      "this is a bert4keras model, which is not supported" },
    { "embedding.word.embedding.weight",
      "this is a raw UER-py checkpoint, use its Hugging Face form" },
    { "word_embeddings.weight", "this is a raw Megatron checkpoint (CPM), "
                                "often only a part of one, use its Hugging "
                                "Face form" },
};

static const char *
after(const char *s, const char *prefix)
{
    size_t n = strlen(prefix);

    return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

/* Is this the beginning of a name inside GPT2Model? */
static bool
is_inner(const char *s)
{
    static const char *const parts[] = {
        "wte.", "wpe.", "h.", "ln_f.", "tokens_embed.", "positions_embed."
    };
    size_t i;

    for (i = 0; i < sizeof parts / sizeof *parts; i++)
        if (after(s, parts[i]))
            return true;
    return false;
}

/* The name without wrappers; a part of it, or a text of our own. */
static const char *
plain_name(const char *s)
{
    static const char *const wrappers[] = { "module.", "_orig_mod.", "model.",
                                            "base_model.", "gpt2." };
    const char *t;
    size_t i = 0;

    while (i < sizeof wrappers / sizeof *wrappers) {
        t = after(s, wrappers[i++]);
        if (!t && (t = after(s, "transformer.")) && !is_inner(t))
            t = NULL;
        if (t) {
            s = t;
            i = 0;
        }
    }
    return strcmp(s, "lm_head.decoder.weight") == 0 ? "lm_head.weight" : s;
}

/* "h.12.rest" to 12 and "rest"; false when it is no such name. */
static bool
layer_name(const char *s, size_t *layer, const char **rest)
{
    const char *p = after(s, "h.");
    size_t v = 0, digits = 0;

    if (!p)
        return false;
    for (; *p >= '0' && *p <= '9' && digits < 6; p++, digits++)
        v = 10 * v + (size_t)(*p - '0');
    if (digits == 0 || *p != '.' || (digits > 1 && p[-(int)digits] == '0'))
        return false;
    *layer = v;
    *rest = p + 1;
    return true;
}

static bool
is_ignored(const char *name, bool in_layer, uint32_t rank)
{
    size_t i;

    for (i = 0; i < sizeof ignored / sizeof *ignored; i++)
        if (ignored[i].in_layer == in_layer &&
            (ignored[i].rank < 0 || (uint32_t)ignored[i].rank == rank) &&
            (ignored[i].prefix ? after(name, ignored[i].name) != NULL
                               : strcmp(name, ignored[i].name) == 0))
            return true;
    return false;
}

static int
slot_find(const char *rest)
{
    int k;

    for (k = 0; k < SLOT_FILE_COUNT; k++)
        if (strcmp(rest, slots[k].name) == 0)
            return k;
    return -1;
}

/* --- collecting --- */

struct collect {
    struct plan *p;
    const struct weights_source *s;
    struct notes *notes;
    size_t head_bias;
    size_t n_unknown, unknown; /* how many, and the first */
    struct err *err;
};

/* Puts tensor i into a place; two names for one place must agree. */
static bool
place(struct collect *c, size_t *where, size_t i)
{
    bool equal;

    if (*where == PLAN_NONE) {
        *where = i;
        return true;
    }
    if (!weights_equal(c->s, *where, i, &equal, c->err))
        return false;
    return equal || err_set(c->err, ERR_MODEL,
                            "tensors %s and %s are the same part of "
                            "the model with different contents",
                            tensor_name(&c->s->table, *where),
                            tensor_name(&c->s->table, i));
}

static bool
collect_one(struct collect *c, size_t i)
{
    const char *name = plain_name(tensor_name(&c->s->table, i)), *rest;
    const struct {
        const char *name;
        size_t *where;
    } top[] = {
        { "wte.weight", &c->p->wte },
        { "wpe.weight", &c->p->wpe },
        { "newslm.wte.weight", &c->p->wte },
        { "tokens_embed.weight", &c->p->wte },
        { "positions_embed.weight", &c->p->wpe },
        { "ln_f.weight", &c->p->lnf_g },
        { "ln_f.bias", &c->p->lnf_b },
        { "lm_head.weight", &c->p->head },
        { "lm_head.bias", &c->head_bias },
    };
    bool in_layer;
    size_t layer, k;
    int slot;

    for (k = 0; k < sizeof refused / sizeof *refused; k++)
        if (strstr(name, refused[k].part))
            return err_set(c->err, ERR_MODEL, "%s (tensor %s)",
                           refused[k].refusal, name);
    for (k = 0; k < sizeof top / sizeof *top; k++)
        if (strcmp(name, top[k].name) == 0)
            return place(c, top[k].where, i);
    in_layer = layer_name(name, &layer, &rest);
    if (is_ignored(in_layer ? rest : name, in_layer, c->s->table.v[i].rank))
        return true;
    slot = in_layer ? slot_find(rest) : -1;
    if (slot >= 0 && layer < (size_t)c->p->L)
        return place(c, &c->p->layer[layer][slot], i);
    if (c->n_unknown++ == 0)
        c->unknown = i;
    return true;
}

/* How many layers the names speak of; 0 on names that cannot be. */
static bool
count_layers(struct plan *p, const struct weights_source *s, struct err *err)
{
    size_t i, layer, most = 0;
    const char *rest;

    for (i = 0; i < s->table.n; i++)
        if (layer_name(plain_name(tensor_name(&s->table, i)), &layer, &rest) &&
            slot_find(rest) >= 0 && layer + 1 > most)
            most = layer + 1;
    if (most == 0)
        return err_set(err, ERR_MODEL, "the file holds no layers (h.0. ...)");
    if (most > s->table.n) /* each layer has a dozen tensors */
        return err_set(err, ERR_MODEL,
                       "the file names layer %zu but not all "
                       "before it",
                       most - 1);
    p->L = (int)most;
    return true;
}

static bool
need(const struct weights_source *s, size_t i, const char *name,
     struct err *err)
{
    char buf[LOAD_NAME_MAX + 1];

    return i != PLAN_NONE ||
           err_set(err, ERR_MODEL, "tensor %s is missing",
                   names_in_file(&s->table, name, buf, sizeof buf));
}

/* The network, by the name of its embedding; and what no GPT has. */
static bool
find_network(struct plan *p, const struct weights_source *s, struct err *err)
{
    static const char *const wte[] = {
        [NET_GPT2] = "wte.weight",
        [NET_GROVER] = "newslm.wte.weight",
        [NET_GPT1] = "tokens_embed.weight",
    };
    char list[400] = "";
    bool found = false, ln_f = false;
    size_t i, k, n;

    for (i = 0; i < s->table.n; i++) {
        const char *name = plain_name(tensor_name(&s->table, i));

        for (k = 0; k < sizeof wte / sizeof *wte; k++)
            if (strcmp(name, wte[k]) == 0) {
                p->net = (enum network)k;
                found = true;
            }
        ln_f |= strcmp(name, "ln_f.weight") == 0;
        for (k = 0; k < sizeof strangers / sizeof *strangers; k++)
            if (strcmp(name, strangers[k].name) == 0)
                return err_set(err, ERR_MODEL, "%s", strangers[k].refusal);
        for (k = 0; k < sizeof refused / sizeof *refused; k++)
            if (strstr(name, refused[k].part))
                return err_set(err, ERR_MODEL, "%s (tensor %s)",
                               refused[k].refusal, name);
    }
    if (found && ln_f && p->net == NET_GPT1)
        return err_set(err, ERR_MODEL,
                       "tensor ln_f.weight does not belong into the first GPT "
                       "(tokens_embed.weight): the file mixes two networks");
    if (found && (ln_f || p->net == NET_GPT1))
        return true;
    if (found || ln_f)
        return need(s, PLAN_NONE,
                    found                              ? "ln_f.weight"
                    : s->table.family == NAMES_GPT2_ML ? wte[NET_GROVER]
                                                       : wte[NET_GPT2],
                    err);
    for (i = 0; i < s->table.n && i < NAMES_SHOWN; i++) {
        n = strlen(list);
        snprintf(list + n, sizeof list - n, "%s%.30s", i ? ", " : "",
                 tensor_name(&s->table, i));
    }
    return err_set(err, ERR_MODEL, "this is no GPT-2: its tensors are %s%s",
                   s->table.n ? list : "none",
                   s->table.n > NAMES_SHOWN ? ", ..." : "");
}

/* --- shapes --- */

static size_t
letter_size(const struct plan *p, char letter)
{
    switch (letter) {
    case 'D': return (size_t)p->D;
    case '3': return 3 * (size_t)p->D;
    case 'F': return (size_t)p->F;
    default: return 1;
    }
}

void
plan_shape(const struct plan *p, enum plan_slot slot, size_t *rows,
           size_t *cols)
{
    *rows = letter_size(p, slots[slot].rows);
    *cols = letter_size(p, slots[slot].cols);
}

/* The file's own name of a tensor, for messages. */
static const char *
label(const struct weights_source *s, size_t i, char buf[LOAD_NAME_MAX + 1])
{
    return names_in_file(&s->table, tensor_name(&s->table, i), buf,
                         LOAD_NAME_MAX + 1);
}

/* Has tensor i this shape? cols 0: a vector. */
static bool
has_shape(const struct weights_source *s, size_t i, size_t rows, size_t cols,
          struct err *err)
{
    const struct tensor_entry *e = &s->table.v[i];
    char have[200], want[64], name[LOAD_NAME_MAX + 1];

    if (e->rank == (cols ? 2u : 1u) && e->dim[0] == rows &&
        (!cols || e->dim[1] == cols))
        return true;
    if (cols)
        snprintf(want, sizeof want, "[%zu, %zu]", rows, cols);
    else
        snprintf(want, sizeof want, "[%zu]", rows);
    return err_set(err, ERR_MODEL, "tensor %s has the shape %s instead of %s",
                   label(s, i, name), tensor_shape(e, have, sizeof have), want);
}

/* Rank 2 and no size absurd. */
static bool
is_matrix(const struct weights_source *s, size_t i, struct err *err)
{
    const struct tensor_entry *e = &s->table.v[i];
    char shape[200], name[LOAD_NAME_MAX + 1];

    if (e->rank == 2 && e->dim[0] > 0 && e->dim[1] > 0 &&
        e->dim[0] <= SIZE_LIMIT && e->dim[1] <= SIZE_LIMIT)
        return true;
    return err_set(err, ERR_MODEL,
                   "tensor %s has the shape %s, which cannot "
                   "be",
                   label(s, i, name), tensor_shape(e, shape, sizeof shape));
}

/* V, P, D from the embeddings; F and the layout from the first layer. */
static bool
find_sizes(struct plan *p, const struct weights_source *s, struct err *err)
{
    const struct tensor_entry *v = s->table.v, *qkv, *fc;
    enum plan_slot first = p->net == NET_GROVER ? SLOT_Q_W : SLOT_QKV_W;
    size_t D;

    if (!need(s, p->wpe, "wpe.weight", err) ||
        !need(s, p->layer[0][first],
              first == SLOT_Q_W ? "h.0.attn.q.weight"
                                : "h.0.attn.c_attn.weight",
              err) ||
        !need(s, p->layer[0][SLOT_FC_W], "h.0.mlp.c_fc.weight", err) ||
        !is_matrix(s, p->wte, err) || !is_matrix(s, p->wpe, err) ||
        !is_matrix(s, p->layer[0][first], err) ||
        !is_matrix(s, p->layer[0][SLOT_FC_W], err))
        return false;
    p->V = (int)v[p->wte].dim[0];
    p->D = (int)v[p->wte].dim[1];
    p->P = (int)v[p->wpe].dim[0];
    D = (size_t)p->D;
    qkv = &v[p->layer[0][first]];
    fc = &v[p->layer[0][SLOT_FC_W]];
    p->linear = first == SLOT_QKV_W && qkv->dim[0] == 3 * D && qkv->dim[1] == D;
    p->lacks_biases = p->linear && !meta_has(&s->meta, META_GGUF);
    p->F = (int)fc->dim[p->linear ? 0 : 1];
    return has_shape(s, p->wpe, (size_t)p->P, D, err);
}

/* nn.Linear files (nanoGPT) may lack biases: of the norms, or all of them. */
static bool
may_lack(const struct plan *p, bool any_bias, enum plan_slot slot)
{
    if (!p->lacks_biases)
        return false;
    if (slot == SLOT_LN1_B || slot == SLOT_LN2_B)
        return true;
    return !any_bias && slots[slot].cols == '1' && slot != SLOT_LN1_G &&
           slot != SLOT_LN2_G;
}

/* Is this part of ours put together from, or a part of, others here? */
static bool
is_absent_here(const struct plan *p, enum plan_slot slot)
{
    bool fused = slot == SLOT_QKV_W || slot == SLOT_QKV_B;

    return p->net == NET_GROVER ? fused : slot >= SLOT_COUNT;
}

static bool
check_layers(const struct plan *p, const struct weights_source *s,
             struct err *err)
{
    size_t l, i, rows, cols, t;
    bool any_bias = false, ok;
    char name[64];
    int k;

    for (l = 0; l < (size_t)p->L; l++)
        any_bias |= p->layer[l][SLOT_QKV_B] != PLAN_NONE ||
                    p->layer[l][SLOT_FC_B] != PLAN_NONE;
    for (l = 0; l < (size_t)p->L; l++)
        for (k = 0; k < SLOT_FILE_COUNT; k++) {
            i = p->layer[l][k];
            if (is_absent_here(p, (enum plan_slot)k) && i == PLAN_NONE)
                continue;
            if (is_absent_here(p, (enum plan_slot)k))
                return err_set(err, ERR_MODEL,
                               "tensor h.%zu.%s does not "
                               "belong into this network",
                               l, slots[k].name);
            if (i == PLAN_NONE && may_lack(p, any_bias, (enum plan_slot)k))
                continue;
            snprintf(name, sizeof name, "h.%zu.%s", l, slots[k].name);
            if (!need(s, i, name, err))
                return false;
            plan_shape(p, (enum plan_slot)k, &rows, &cols);
            if (slots[k].cols != '1' && !p->linear) {
                t = rows;
                rows = cols;
                cols = t;
            }
            ok = has_shape(s, i, rows, slots[k].cols == '1' ? 0 : cols, err);
            if (!ok)
                return false;
        }
    return true;
}

/* --- the head --- */

static bool
is_all_zero(const struct weights_source *s, size_t i, bool *zero,
            struct err *err)
{
    size_t n = tensor_count(&s->table.v[i]), k;
    float *v = mem_big(n, sizeof *v, "lm_head.bias", err);
    bool ok = v && weights_read_f32(s, i, v, err);

    *zero = true;
    for (k = 0; ok && k < n; k++)
        *zero &= v[k] == 0;
    mem_big_free(v);
    return ok;
}

static bool
check_head(struct collect *c, const struct model_config *cfg)
{
    struct plan *p = c->p;
    bool equal, zero;

    if (c->head_bias != PLAN_NONE) {
        if (!has_shape(c->s, c->head_bias, (size_t)p->V, 0, c->err) ||
            !is_all_zero(c->s, c->head_bias, &zero, c->err))
            return false;
        if (!zero)
            p->head_b = c->head_bias;
    }
    if (p->head == PLAN_NONE) {
        if (cfg->present && !cfg->tie)
            notes_add(c->notes,
                      "config.json says that the output matrix is "
                      "one of its own, but the file has none: the embedding "
                      "is used");
        return true;
    }
    if (!has_shape(c->s, p->head, (size_t)p->V, (size_t)p->D, c->err) ||
        !weights_equal(c->s, p->wte, p->head, &equal, c->err))
        return false;
    if (equal)
        p->head = PLAN_NONE;
    else if (cfg->tie)
        notes_add(c->notes, "the file has an output matrix of its own: it is "
                            "used, although config.json does not say so");
    return true;
}

/* --- the configuration --- */

static bool
check_config(struct plan *p, const struct model_config *c, struct notes *n,
             struct err *err)
{
    if (c->n_embd >= 0 && c->n_embd != p->D)
        return err_set(err, ERR_MODEL,
                       "%s says n_embd %lld, the "
                       "weights are %d wide: it belongs to another model",
                       c->from, (long long)c->n_embd, p->D);
    if (c->n_layer > p->L)
        return err_set(err, ERR_MODEL,
                       "%s says %lld layers, the "
                       "file holds %d: it is incomplete",
                       c->from, (long long)c->n_layer, p->L);
    if (c->n_layer >= 0 && c->n_layer < p->L)
        notes_add(n,
                  "%s says %lld layers, the file holds %d: all "
                  "are used",
                  c->from, (long long)c->n_layer, p->L);
    if (c->vocab_size >= 0 && (c->vocab_size > (int64_t)p->V + 64 ||
                               c->vocab_size < (int64_t)p->V - 64))
        notes_add(n,
                  "%s says %lld tokens, the weights have %d rows: "
                  "the rows count",
                  c->from, (long long)c->vocab_size, p->V);
    if (c->n_inner >= 0 && c->n_inner != p->F)
        notes_add(n,
                  "%s says n_inner %lld, the weights have %d: "
                  "the weights count",
                  c->from, (long long)c->n_inner, p->F);
    p->P_used = c->n_ctx >= 0 && c->n_ctx < p->P ? (int)c->n_ctx : p->P;
    if (c->n_head >= 0) {
        if (c->n_head > p->D || p->D % c->n_head != 0)
            return err_set(err, ERR_MODEL,
                           "%s says %lld heads, "
                           "which do not divide the width %d",
                           c->from, (long long)c->n_head, p->D);
        p->H = (int)c->n_head;
        return true;
    }
    if (p->net == NET_GROVER && p->D < 64) {
        p->H = 1;
        return true;
    }
    if (p->D % 64 != 0)
        return err_set(err, ERR_MODEL,
                       "the number of heads is nowhere said "
                       "(n_head in config.json) and cannot be guessed for "
                       "the width %d",
                       p->D);
    p->H = p->D / 64;
    notes_add(n,
              "config.json does not say how many heads there are: %d are "
              "taken, as in every GPT-2 of OpenAI",
              p->H);
    return true;
}

static bool
collect_all(struct collect *c)
{
    struct plan *p = c->p;
    size_t i, k;

    if (!find_network(p, c->s, c->err) || !count_layers(p, c->s, c->err))
        return false;
    p->layer = xcalloc((size_t)p->L, sizeof *p->layer);
    for (i = 0; i < (size_t)p->L; i++)
        for (k = 0; k < SLOT_FILE_COUNT; k++)
            p->layer[i][k] = PLAN_NONE;
    for (i = 0; i < c->s->table.n; i++)
        if (!collect_one(c, i))
            return false;
    return true;
}

/* A view with a stride of 0, or one storage under many names, can promise any
 * number of weights in a few bytes. The smallest type, Q2_K, has a third of a
 * byte for each; what is far beyond the bytes of the files is no model. */
static bool
check_worth(const struct plan *p, const struct weights_source *s,
            struct err *err)
{
    double D = p->D, F = p->F, bytes = 0;
    double n = (double)p->V * D * (p->head == PLAN_NONE ? 1 : 2) +
               (double)p->P * D + (double)p->L * (4 * D * D + 2 * D * F);
    struct stat st;

    for (size_t i = 0; i < s->n_files; i++)
        bytes += fstat(s->fds[i], &st) == 0 ? (double)st.st_size : 0;
    if (n <= 4 * bytes + 1e6)
        return true;
    return err_set(err, ERR_MODEL,
                   "the file promises %.0f million weights, and its %.0f "
                   "bytes cannot hold them: the same numbers stand for many",
                   n / 1e6, bytes);
}

bool
plan_gpt2(struct plan *p, const struct weights_source *s,
          const struct model_config *cfg, struct notes *notes, struct err *err)
{
    struct collect c = {
        .p = p, .s = s, .notes = notes, .err = err, .head_bias = PLAN_NONE
    };

    memset(p, 0, sizeof *p);
    p->wte = p->wpe = p->lnf_g = p->lnf_b = p->head = p->head_b = PLAN_NONE;
    if (!collect_all(&c) || !find_sizes(p, s, err) || !check_layers(p, s, err))
        return false;
    if (p->lnf_g != PLAN_NONE && !has_shape(s, p->lnf_g, (size_t)p->D, 0, err))
        return false;
    if (p->lnf_b == PLAN_NONE && !p->lacks_biases && p->net != NET_GPT1)
        return need(s, p->lnf_b, "ln_f.bias", err);
    if (p->lnf_b != PLAN_NONE && !has_shape(s, p->lnf_b, (size_t)p->D, 0, err))
        return false;
    if (!check_config(p, cfg, notes, err) || !check_worth(p, s, err) ||
        !check_head(&c, cfg))
        return false;
    if (c.n_unknown > 0)
        notes_add(notes,
                  "%zu tensors are not part of GPT-2 and were left "
                  "out (%s%s)",
                  c.n_unknown, tensor_name(&s->table, c.unknown),
                  c.n_unknown > 1 ? ", ..." : "");
    if (s->n_unlisted > 0)
        notes_add(notes, "%zu tensors are not in the index and were left out",
                  s->n_unlisted);
    return true;
}

void
plan_free(struct plan *p)
{
    free(p->layer);
    p->layer = NULL;
}
