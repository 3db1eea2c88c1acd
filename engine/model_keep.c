/* engine/model_keep.c  Which converted weights are these? The key of the cache.
 *
 * A block is decided by the bytes of the weight files (their SHA-256), by
 * which of them go where (the plan), by the type, and by the layout of this
 * program. The SHA-256 is remembered by model_hash.c, so that a second start
 * does not read the files at all; as long as it is not known, the weights are
 * converted, and kept when it is.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/mem.h"
#include "engine/base/sha256.h"
#include "engine/cache.h"
#include "engine/gpt2.h"
#include "engine/load/cache_file.h"
#include "engine/model_parts.h"

/* --- the recipe --- */

static void
add_number(struct sha256 *s, uint64_t v)
{
    unsigned char b[8];

    for (int i = 0; i < 8; i++)
        b[i] = (unsigned char)(v >> 8 * i);
    sha256_add(s, b, sizeof b);
}

/* Where a part's numbers stand, and as what. */
static void
add_part(struct sha256 *s, const struct tensor_table *t, size_t i)
{
    const struct tensor_entry *e;

    add_number(s, i == PLAN_NONE);
    if (i == PLAN_NONE)
        return;
    e = &t->v[i];
    add_number(s, e->file);
    add_number(s, e->offset);
    add_number(s, e->dtype);
    add_number(s, e->quant);
    add_number(s, e->rank);
    for (uint32_t k = 0; k < e->rank; k++) {
        add_number(s, e->dim[k]);
        add_number(s, e->stride[k]);
    }
}

static void
make_recipe(const struct plan *p, const struct tensor_table *t,
            enum weight_type type, char hex[65])
{
    const uint64_t numbers[] = {
        MATRIX_LAYOUT,  type,           p->net,         (uint64_t)p->V,
        (uint64_t)p->P, (uint64_t)p->D, (uint64_t)p->L, (uint64_t)p->F,
        (uint64_t)p->H, p->linear,
    };
    struct sha256 *s = sha256_new();

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        add_number(s, numbers[i]);
    add_part(s, t, p->wte);
    add_part(s, t, p->wpe);
    add_part(s, t, p->lnf_g);
    add_part(s, t, p->lnf_b);
    add_part(s, t, p->head);
    add_part(s, t, p->head_b);
    for (int l = 0; l < p->L; l++)
        for (int k = 0; k < SLOT_FILE_COUNT; k++)
            add_part(s, t, p->layer[l][k]);
    sha256_finish(s, hex);
}

static void
make_key(const char *weights, const char *recipe, char key[65])
{
    struct sha256 *s = sha256_new();

    sha256_add(s, weights, strlen(weights));
    sha256_add(s, recipe, strlen(recipe));
    sha256_finish(s, key);
}

/* --- finding and keeping --- */

void
model_keep_prepare(struct model *m, const struct plan *p, enum weight_type type,
                   int64_t limit)
{
    struct kept *k = &m->kept;

    k->limit = limit == CACHE_DEFAULT ? CACHE_LIMIT : limit;
    make_recipe(p, &m->files.table, type, k->recipe);
    snprintf(m->info.type, sizeof m->info.type, "%s", weight_type_name(type));
}

float *
model_keep_find(void *ud, size_t bytes)
{
    struct model *m = ud;
    struct kept *k = &m->kept;
    char weights[65], key[65], *folder, *path;
    enum cache_state state;
    float *block = NULL;

    if (k->limit < 0 || !cache_is_worth(m->info.type, bytes) ||
        !model_hash_known(m->early.weights, weights) || !(folder = cache_folder()))
        return NULL;
    make_key(weights, k->recipe, key);
    path = cache_path(folder, key);
    block = cache_file_map(path, key, bytes, &state);
    k->found = block != NULL;
    if (state == CACHE_OTHER || state == CACHE_DAMAGED) {
        unlink(path); /* or model_keep() would find it there */
        notes_add(&m->notes,
                  state == CACHE_OTHER
                      ? "%s was written by another version of the program: "
                        "the weights are converted again"
                      : "%s is damaged: the weights are converted again",
                  path);
    }
    free(path);
    free(folder);
    return block;
}

bool
model_keep(const struct model *m, const struct model_hashes *h,
           const atomic_bool *stop)
{
    const struct kept *k = &m->kept;
    struct cache_head head = { .bytes = m->info.weight_bytes };
    char now[65], *folder;
    bool ok;

    /* Files that changed since they were read have another hash by now. */
    if (!m->net || k->limit < 0 || k->found || !h->weights[0] ||
        !cache_is_worth(m->info.type, head.bytes) ||
        !model_files_key(&m->files, now) || strcmp(now, m->early.weights) != 0 ||
        !(folder = cache_folder()))
        return false;
    make_key(h->weights, k->recipe, head.key);
    snprintf(head.name, sizeof head.name, "%s", m->info.name);
    snprintf(head.type, sizeof head.type, "%s", m->info.type);
    ok = cache_keep(folder, k->limit, &head, m->net->block, stop);
    free(folder);
    return ok;
}
