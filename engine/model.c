/* engine/model.c  Opening a model: weights, configuration, tokenizer.
 *
 * The order is that of certainty: names and shapes first (nothing is
 * allocated by a number that a file merely claims), then the tokenizer, which
 * must fit the rows of the matrix, and only then the weights.
 */
#include "engine/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/mem.h"
#include "engine/cache.h"
#include "engine/gpt2.h"
#include "engine/kernels/kernels.h"
#include "engine/load/fill.h"
#include "engine/load/quant.h"
#include "engine/model_parts.h"
#include "engine/ops.h"
#include "engine/session.h"
#include "engine/vocab.h"

/* --- the name --- */

/* "." and ".." have no name of their own. */
static bool
is_nameless(const char *path, size_t n)
{
    return n == 0 || (path[n - 1] == '.' &&
                      (n == 1 || path[n - 2] == '/' ||
                       (path[n - 2] == '.' && (n == 2 || path[n - 3] == '/'))));
}

/* The last part of the path; a link keeps the name it was given by. */
static void
name_from_path(const char *path, char *name, size_t cap)
{
    size_t n = strlen(path), i;
    char *real = NULL;

    while (n > 1 && path[n - 1] == '/')
        n--;
    if (is_nameless(path, n) && (real = realpath(path, NULL))) {
        path = real;
        n = strlen(path);
    }
    for (i = n; i > 0 && path[i - 1] != '/'; i--)
        ;
    snprintf(name, cap, "%.*s", (int)(n - i), path + i);
    free(real);
}

/* --- the tokenizer --- */

static const char *const network_names[] = {
    [NET_GPT2] = "gpt2",
    [NET_GROVER] = "grover",
    [NET_GPT1] = "openai-gpt",
};

static bool
holds_vocabulary(const char *dir)
{
    static const char *const files[] = {
        "vocab.txt",
        "vocab.json",
        "merges.txt",
        "encoder.json",
        "vocab.bpe",
        "tokenizer.json",
        "aitextgen.tokenizer.json",
    };
    size_t i;

    for (i = 0; i < sizeof files / sizeof *files; i++) {
        char *path = xasprintf("%s/%s", dir, files[i]);
        bool there = access(path, F_OK) == 0;

        free(path);
        if (there)
            return true;
    }
    return false;
}

/* gpt2-ml's checkpoints come without a vocabulary, there are two of them, and
 * the wrong one makes nonsense without any error: so the numbers must fit. */
static const char *
wanted_by_grover(int V)
{
    if (V == 8021)
        return "clue-vocab.txt of the gpt2-ml repository (8021 tokens)";
    if (V == 21128 || V == 21130)
        return "vocab.txt of bert-base-chinese (21128 tokens)";
    return "the vocab.txt that it was trained with";
}

static struct vocab *
open_for_grover(const char *path, int V, struct err *err)
{
    struct err why = { 0 };
    struct vocab *v;
    struct stat st;

    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        v = vocab_open_sized(path, V, &why);
    else
        v = vocab_open(path, &why);
    if (v && vocab_size(v) <= V && V - vocab_size(v) <= 64)
        return v;
    if (v)
        err_set(&why, ERR_MODEL, "%s has %d tokens, but the model has %d rows",
                path, vocab_size(v), V);
    vocab_close(v);
    err_set(err, ERR_MODEL,
            "%.400s; this model needs %s: put it beside the checkpoint or "
            "name it with --vocab",
            why.msg, wanted_by_grover(V));
    return NULL;
}

/* From where it was asked for, else out of the weights file, else beside it. */
static struct vocab *
find_vocabulary(const struct model *m, const char *asked, const char *network,
                int V, struct err *err)
{
    const char *from = asked ? asked : m->files.dir;

    if (strcmp(network, "grover") == 0)
        return open_for_grover(from, V, err);
    if (asked)
        return vocab_open(asked, err);
    if (vocab_in_meta(&m->files.meta))
        return vocab_from_meta(&m->files.meta, m->files.files[0], err);
    if (holds_vocabulary(from))
        return vocab_open(from, err);
    err_set(err, ERR_MODEL,
            "%s has no vocabulary beside the weights: put vocab.txt, or "
            "vocab.json and merges.txt, or tokenizer.json there",
            from);
    return NULL;
}

/* Who asks for logits can do without it. A folder may hold none, or another
 * program's; but one inside the weights file that is broken means that the
 * file is. */
static bool
goes_without(struct model *m, const struct model_options *opt,
             const struct err *why)
{
    if (!opt || !opt->no_vocab_needed)
        return false;
    if (!opt->vocab && why->kind != ERR_FAILED && vocab_in_meta(&m->files.meta))
        return false;
    if (opt->vocab || vocab_in_meta(&m->files.meta) ||
        holds_vocabulary(m->files.dir))
        notes_add(&m->notes, "the tokenizer is left out: %s", why->msg);
    return true;
}

static int
id_in_range(int64_t id, int V)
{
    return id >= 0 && id < V ? (int)id : -1;
}

static bool
open_vocabulary(struct model *m, const struct model_options *opt,
                const char *network, int V, struct err *err)
{
    const char *asked = opt ? opt->vocab : NULL;
    struct err why = { 0 };

    m->vocab = find_vocabulary(m, asked, network, V, &why);
    if (!m->vocab) {
        if (goes_without(m, opt, &why))
            return true;
        if (err)
            *err = why;
        return false;
    }
    if (opt && opt->profile && !vocab_set_family(m->vocab, opt->profile, err))
        return false;
    return vocab_choose_profile(m->vocab, network, V,
                                id_in_range(m->config.bos, V),
                                id_in_range(m->config.eos, V), err) ||
           err_wrap(err, "%s", asked ? asked : m->files.dir);
}

/* --- the running type --- */

/* Of f32: up to here a model that was not made smaller runs without rounding. */
#define SMALL_BYTES 200e6

static enum weight_type
natural_type(const struct model *m, const struct plan *p)
{
    double D = p->D, F = p->F, V = p->V;
    double n = V * D * (p->head == PLAN_NONE ? 1 : 2) + (double)p->P * D +
               (double)p->L * (4 * D * D + 2 * D * F);
    const struct tensor_entry *e =
        p->L ? &m->files.table.v[p->layer[0][SLOT_FC_W]] : NULL;

    if (e && e->dtype == DT_BF16)
        return WT_BF16;
    if (e && e->dtype == DT_BLOCKS && e->quant == GGML_Q4_0)
        return WT_INT4;
    if (e && e->dtype == DT_BLOCKS && e->quant == GGML_Q8_0)
        return WT_INT8;
    return 4 * n <= SMALL_BYTES ? WT_F32 : WT_INT8;
}

static bool
choose_type(const struct model *m, const struct plan *p, const char *asked,
            enum weight_type *type, struct err *err)
{
    *type = WT_F32;
    if (!asked || weight_type_find(asked, type))
        return true;
    if (strcmp(asked, "auto") != 0)
        return err_set(err, ERR_USAGE,
                       "there is no type \"%.40s\": take f32, bf16, int8, int4 or "
                       "auto",
                       asked);
    *type = natural_type(m, p);
    return true;
}

/* --- opening --- */

static void
describe(struct model *m, const struct plan *p, size_t n_params)
{
    struct model_info *i = &m->info;

    strcpy(i->network, network_names[p->net]);
    strcpy(i->type, weight_type_name(m->net ? m->net->type : WT_F32));
    snprintf(m->arithmetic, sizeof m->arithmetic, "%s/%s",
             ops_arithmetic(i->fast), i->type);
    i->n_vocab = p->V;
    i->n_pos = p->P_used;
    i->n_embd = p->D;
    i->n_layer = p->L;
    i->n_head = p->H;
    i->n_ff = p->F;
    i->n_params = n_params;
    i->weight_bytes = m->net ? m->net->n_block * sizeof(float) : 0;
    i->from_cache = m->kept.found;
    i->tied = p->head == PLAN_NONE;
    i->has_vocab = m->vocab != NULL;
    i->char_like = m->vocab && strcmp(vocab_kind(m->vocab), "wordpiece") == 0;
}

static bool
open_all(struct model *m, const char *path, const struct model_options *opt,
         struct plan *p, struct err *err)
{
    struct fill_watch watch = {
        .progress = opt ? opt->progress : NULL,
        .ud = opt ? opt->ud : NULL,
        .kept = model_keep_find,
        .kept_ud = m,
    };
    enum weight_type type = WT_F32;
    size_t n_params = 0;
    const char *note;
    int i;

    if (!kernels_check(err) || !weights_open(&m->files, path, err) ||
        !config_read(m->files.dir, &m->config, err))
        return false;
    if (!config_from_meta(&m->files.meta, &m->config, err))
        return err_wrap(err, "%s", path);
    if (!plan_gpt2(p, &m->files, &m->config, &m->notes, err))
        return err_wrap(err, "%s", path);
    if (!open_vocabulary(m, opt, network_names[p->net], p->V, err))
        return false;
    model_look_early(m);
    if (!opt || !opt->vocab_only) {
        if (!choose_type(m, p, opt ? opt->type : NULL, &type, err))
            return false;
        model_keep_prepare(m, p, type, opt ? opt->cache_limit : CACHE_DEFAULT);
        m->net = fill_gpt2(p, &m->files, &m->config, type, &watch, &n_params,
                           err);
        if (!m->net)
            return false;
    }
    for (i = 0; m->vocab && (note = vocab_note(m->vocab, i)); i++)
        notes_add(&m->notes, "%s", note);
    describe(m, p, n_params);
    return true;
}

struct model *
model_open(const char *path, const struct model_options *opt, struct err *err)
{
    struct model *m = xcalloc(1, sizeof *m);
    struct plan p = { 0 };
    bool ok;

    name_from_path(path, m->info.name, sizeof m->info.name);
    m->info.fast = opt && opt->fast;
    ok = open_all(m, path, opt, &p, err);
    plan_free(&p);
    tensor_table_free(&m->files.table);
    if (ok)
        return m;
    if (err && err->kind == ERR_FAILED)
        err->kind = ERR_MODEL;
    model_close(m);
    return NULL;
}

void
model_close(struct model *m)
{
    if (!m)
        return;
    gpt2_free(m->net);
    vocab_close(m->vocab);
    weights_close(&m->files);
    notes_free(&m->notes);
    free(m);
}

const struct model_info *
model_info(const struct model *m)
{
    return &m->info;
}

const char *
model_note(const struct model *m, int i)
{
    return i >= 0 && (size_t)i < m->notes.n ? m->notes.v[i] : NULL;
}

const struct vocab *
model_vocab(const struct model *m)
{
    return m->vocab;
}

const struct gpt2 *
model_gpt2(const struct model *m)
{
    return m->net;
}

const char *
model_tok_hash(const struct model *m)
{
    return m->vocab ? vocab_hash(m->vocab) : "";
}

const char *
model_arithmetic(const struct model *m)
{
    return m->arithmetic;
}

/* --- running it for engineers --- */

static bool
check_ids(const struct model *m, const int *ids, size_t n, size_t n_all,
          struct err *err)
{
    size_t i;

    if (n == 0)
        return err_set(err, ERR_USAGE, "no ids were given");
    if (n_all > (size_t)m->info.n_pos)
        return err_set(err, ERR_USAGE,
                       "%zu positions are needed, this model "
                       "has %d",
                       n_all, m->info.n_pos);
    for (i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= m->info.n_vocab)
            return err_set(err, ERR_USAGE,
                           "id %d is not in the model: its "
                           "ids are 0 to %d",
                           ids[i], m->info.n_vocab - 1);
    return true;
}

bool
model_logits(const struct model *m, const int *ids, size_t n,
             bool (*row)(void *ud, size_t i, const float *logits), void *ud,
             struct err *err)
{
    struct session_options opt = { 0 };
    struct session *s;
    bool ok;

    if (!check_ids(m, ids, n, n, err))
        return false;
    s = session_new(m, &opt, err);
    if (!s)
        return false;
    ok = session_all_logits(s, ids, n, row, ud, err);
    session_free(s);
    return ok;
}

static int
argmax(const float *v, int first, int n)
{
    int best = first, i;

    for (i = first + 1; i < n; i++)
        if (v[i] > v[best])
            best = i;
    return best;
}

bool
model_greedy(const struct model *m, const int *ids, size_t n, int *out,
             size_t n_new, struct err *err)
{
    struct session_options opt = { 0 };
    struct session *s;
    size_t i;
    bool ok;

    if (n_new == 0)
        return true;
    if (n_new > (size_t)m->info.n_pos ||
        !check_ids(m, ids, n, n + n_new - 1, err))
        return n_new <= (size_t)m->info.n_pos
                   ? false
                   : err_set(err, ERR_USAGE,
                             "%zu new ids are more than this model "
                             "has positions (%d)",
                             n_new, m->info.n_pos);
    s = session_new(m, &opt, err);
    if (!s)
        return false;
    ok = session_sync(s, ids, n, err);
    for (i = 0; ok; i++) {
        /* gpt2-ml never writes id 0: its own code masks it. */
        out[i] = argmax(session_logits(s), m->net->net == NET_GROVER,
                        m->info.n_vocab);
        if (i + 1 == n_new)
            break;
        ok = session_step(s, out[i], err);
    }
    session_free(s);
    return ok;
}
