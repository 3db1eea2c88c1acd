/* engine/sampler.c  The chain from logits to a token.
 *
 * A candidate is one 64-bit key: its logit above (turned so that a larger
 * logit is a smaller number), its id below. So keys in rising order are
 * candidates by logit descending, then id ascending, and there are no equals.
 * The keys are sorted only as far as a stage or the draw has to look:
 * sort_first() selects the next few hundred (Floyd and Rivest, CACM 18:3,
 * algorithm 489) and sorts those alone; a vocabulary is never sorted whole
 * unless the knobs leave it whole and the die falls into its last corner.
 *
 * Logits are f32, sums of probabilities f64 in a fixed order, exponential and
 * logarithm our own (base/fmath.h): the same logits give the same token and
 * the same numbers whatever the machine and its C library. That holds for the
 * order of what is not yet sorted too, over which total_weight() sums: so the
 * pivots of key_select() come from the same functions. A stage that is set
 * to its neutral value touches nothing. At least one candidate always stays.
 *
 * A further sampler is one function and one row in stages[].
 */
#include "engine/sampler.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "engine/base/fmath.h"
#include "engine/base/mem.h"
#include "engine/base/philox.h"

#define INV_LN2 0x1.71547652b82fep+0 /* bits in a nat */

enum { FIRST_LOOK = 64 }; /* candidates sorted at the first look */

struct phrase {
    int *ids;
    size_t n;
    float add;
};

struct sampler {
    int V;
    bool *ban;          /* [V] */
    const bool *exempt; /* [n_exempt], borrowed */
    size_t n_exempt;
    struct phrase *bias;
    size_t n_bias, cap_bias;
    /* of the row in hand */
    float *raw;    /* [V] logits after bans and bias */
    uint64_t *key; /* [V] candidates */
    int n;         /* how many are left */
    int n_sorted;  /* the first ones, in order, before all the rest */
    bool flat;     /* temperature is infinite: every logit counts as 0 */
    int *count;    /* [V] occurrences in the range of the penalties */
    bool *alive;   /* [V] scratch of the flat draw and of peek */
};

/* --- keys --- */

static uint64_t
key_make(float l, int id)
{
    uint32_t u;

    l += 0.0f; /* minus zero is zero: a tie */
    memcpy(&u, &l, sizeof u);
    u = u & 0x80000000u ? u : ~u & 0x7FFFFFFFu;
    return (uint64_t)u << 32 | (uint32_t)id;
}

static float
key_logit(uint64_t key)
{
    uint32_t u = (uint32_t)(key >> 32);
    float l;

    u = u & 0x80000000u ? u : ~u & 0x7FFFFFFFu;
    memcpy(&l, &u, sizeof l);
    return l;
}

static int
key_id(uint64_t key)
{
    return (int)(uint32_t)key;
}

/* --- numbers --- */

static bool
finite_bits(float l)
{
    uint32_t u;

    memcpy(&u, &l, sizeof u);
    return (u & 0x7F800000u) != 0x7F800000u;
}

static float
clamped(double l)
{
    return l > FLT_MAX ? FLT_MAX : l < -FLT_MAX ? -FLT_MAX : (float)l;
}

/* Natural log of the sum of e^l over the finite l of row[V]; the largest one
 * must be given. Eight sums in a fixed order. */
static double
log_sum_exp(const float *row, int V, float max)
{
    double sum[8] = { 0 }, total = 0;
    float e[8];

    for (int i = 0; i < V; i += 8) {
        for (int j = 0; j < 8; j++) {
            float l = i + j < V ? row[i + j] : -INFINITY;

            e[j] = fm_exp_neg(finite_bits(l) ? l - max : -INFINITY);
        }
        for (int j = 0; j < 8; j++)
            sum[j] += (double)e[j];
    }
    for (int j = 0; j < 8; j++)
        total += sum[j];
    return (double)max + fm_log(total);
}

static bool
largest(const float *row, int V, float *max)
{
    bool any = false;

    for (int i = 0; i < V; i++) {
        if (finite_bits(row[i]) && (!any || row[i] > *max)) {
            *max = row[i];
            any = true;
        }
    }
    return any;
}

/* --- order, as far as it is needed --- */

static void
key_swap(uint64_t *a, uint64_t *b)
{
    uint64_t t = *a;

    *a = *b;
    *b = t;
}

/* Puts the k-th smallest of a[left..right] at a[k], smaller ones before it,
 * larger ones behind. All keys differ. */
static void
key_select(uint64_t *a, long left, long right, long k)
{
    while (right > left) {
        long i = left, j = right;
        uint64_t t;

        if (right - left > 600) { /* a sample gives a pivot next to k */
            double n = (double)(right - left + 1), m = (double)(k - left + 1);
            double z = fm_log(n), s = 0.5 * fm_exp(2 * z / 3);
            double sd = 0.5 * sqrt(z * s * (n - s) / n) * (m < n / 2 ? -1 : 1);
            double lo = (double)k - m * s / n + sd;
            double hi = (double)k + (n - m) * s / n + sd;

            key_select(a, lo > (double)left ? (long)lo : left,
                       hi < (double)right ? (long)hi : right, k);
        }
        t = a[k];
        key_swap(&a[left], &a[k]);
        if (a[right] > t)
            key_swap(&a[right], &a[left]);
        while (i < j) {
            key_swap(&a[i++], &a[j--]);
            while (a[i] < t)
                i++;
            while (a[j] > t)
                j--;
        }
        if (a[left] == t)
            key_swap(&a[left], &a[j]);
        else
            key_swap(&a[++j], &a[right]);
        if (j <= k)
            left = j + 1;
        if (k <= j)
            right = j - 1;
    }
}

static int
by_key(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* Sees to it that at least the first `want` candidates (or all) are in
 * order. */
static void
sort_first(struct sampler *s, int want)
{
    if (want > s->n)
        want = s->n;
    if (want <= s->n_sorted)
        return;
    if (want < s->n)
        key_select(s->key, s->n_sorted, s->n - 1, want - 1);
    qsort(s->key + s->n_sorted, (size_t)(want - s->n_sorted), sizeof *s->key,
          by_key);
    s->n_sorted = want;
}

/* Sorts on by a growing stretch so that candidate i is in order. */
static void
sort_up_to(struct sampler *s, int i)
{
    if (i >= s->n_sorted)
        sort_first(s,
                   s->n_sorted < FIRST_LOOK / 4 ? FIRST_LOOK : s->n_sorted * 4);
}

static void
keep_first(struct sampler *s, int n)
{
    assert(n >= 1);
    sort_first(s, n);
    s->n = s->n_sorted = n;
}

static float
value(const struct sampler *s, int i)
{
    return s->flat ? 0.0f : key_logit(s->key[i]);
}

/* Relative weight of a candidate; the likeliest has 1. */
static double
weight(const struct sampler *s, int i, float max)
{
    return (double)fm_exp_neg(value(s, i) - max);
}

static float
top_value(struct sampler *s)
{
    sort_up_to(s, 0);
    return value(s, 0);
}

static double
total_weight(const struct sampler *s, float max)
{
    double sum[4] = { 0 };
    int i = 0;

    if (s->flat)
        return s->n;
    for (; i + 4 <= s->n; i += 4)
        for (int j = 0; j < 4; j++)
            sum[j] += (double)fm_exp_neg(key_logit(s->key[i + j]) - max);
    for (; i < s->n; i++)
        sum[0] += (double)fm_exp_neg(key_logit(s->key[i]) - max);
    return sum[0] + sum[1] + sum[2] + sum[3];
}

/* --- the stages --- */

/* CTRL (arXiv 1909.05858) with the sign minded, and OpenAI's frequency and
 * presence penalties: once per token that occurs, not once per occurrence. */
static float
penalised(const struct knobs *k, float l, int n)
{
    double v = l;

    if (k->repeat != 1)
        v = v > 0 ? v / k->repeat : v * k->repeat;
    v -= n * k->frequency + k->presence;
    return clamped(v);
}

static void
stage_repeat(struct sampler *s, const struct knobs *k)
{
    if (k->repeat == 1 && k->frequency == 0 && k->presence == 0)
        return;
    for (int i = 0; i < s->n; i++) {
        int id = key_id(s->key[i]), n = s->count[id];

        if (n)
            s->key[i] = key_make(penalised(k, value(s, i), n), id);
        else if (s->flat)
            s->key[i] = key_make(0, id);
    }
    s->flat = false;
    s->n_sorted = 0;
}

static void
stage_top_k(struct sampler *s, const struct knobs *k)
{
    if (k->top_k > 0 && k->top_k < s->n)
        keep_first(s, (int)k->top_k);
}

/* The smallest prefix that reaches P; the candidate that crosses it stays
 * (arXiv 1904.09751), or goes unless it is the first (gpt2-ml). */
static void
stage_top_p(struct sampler *s, const struct knobs *k)
{
    float max;
    double need, sum = 0;

    if (k->top_p >= 1)
        return;
    max = top_value(s);
    need = k->top_p * total_weight(s, max);
    for (int i = 0; i < s->n; i++) {
        sort_up_to(s, i);
        sum += weight(s, i, max);
        if (sum >= need) {
            keep_first(s,
                       k->top_p_rule == TOP_P_EXCLUSIVE && i > 0 ? i : i + 1);
            return;
        }
    }
}

/* p >= m * p1, which is l >= l1 + ln m (arXiv 2407.01082). */
static void
stage_min_p(struct sampler *s, const struct knobs *k)
{
    double least;
    float max;
    int kept = 0;

    if (k->min_p <= 0 || s->flat)
        return;
    max = top_value(s);
    least = (double)max + fm_log(k->min_p);
    for (int i = 0; i < s->n; i++)
        if ((double)key_logit(s->key[i]) >= least)
            s->key[kept++] = s->key[i];
    if (s->n_sorted > kept)
        s->n_sorted = kept;
    s->n = kept;
}

/* Infinity is the limit of large temperatures: all that is left is equally
 * likely, while the order of the candidates stays for a later top-k. */
static void
stage_temp(struct sampler *s, const struct knobs *k)
{
    if (k->temp == 0) {
        keep_first(s, 1);
    } else if (isinf(k->temp)) {
        s->flat = true;
    } else if (k->temp != 1 && !s->flat) {
        /* Division by a positive number keeps the order, but may make
         * equals of neighbours: they are then by id. */
        for (int i = 0; i < s->n; i++)
            s->key[i] = key_make(clamped(key_logit(s->key[i]) / k->temp),
                                 key_id(s->key[i]));
        s->n_sorted = 0;
    }
}

static void (*const stages[STAGE_COUNT])(struct sampler *,
                                         const struct knobs *) = {
    [STAGE_REPEAT] = stage_repeat, [STAGE_TOP_K] = stage_top_k,
    [STAGE_TOP_P] = stage_top_p,   [STAGE_MIN_P] = stage_min_p,
    [STAGE_TEMP] = stage_temp,
};

/* --- a row --- */

struct sampler *
sampler_new(int n_vocab)
{
    struct sampler *s = xcalloc(1, sizeof *s);
    size_t V = (size_t)n_vocab;

    assert(n_vocab > 0);
    s->V = n_vocab;
    s->ban = xcalloc(V, sizeof *s->ban);
    s->raw = xcalloc(V, sizeof *s->raw);
    s->key = xcalloc(V, sizeof *s->key);
    s->count = xcalloc(V, sizeof *s->count);
    s->alive = xcalloc(V, sizeof *s->alive);
    return s;
}

static void
forget_bias(struct sampler *s)
{
    for (size_t i = 0; i < s->n_bias; i++)
        free(s->bias[i].ids);
    s->n_bias = 0;
}

void
sampler_free(struct sampler *s)
{
    if (!s)
        return;
    forget_bias(s);
    free(s->bias);
    free(s->ban);
    free(s->raw);
    free(s->key);
    free(s->count);
    free(s->alive);
    free(s);
}

static bool
has_id(const struct sampler *s, int id)
{
    return id >= 0 && id < s->V;
}

void
sampler_ban(struct sampler *s, const int *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (has_id(s, ids[i]))
            s->ban[ids[i]] = true;
}

void
sampler_exempt(struct sampler *s, const bool *exempt, size_t n)
{
    s->exempt = exempt;
    s->n_exempt = exempt ? n : 0;
}

void
sampler_bias_phrase(struct sampler *s, const int *ids, size_t n, float add)
{
    struct phrase *p;

    if (!n || !has_id(s, ids[n - 1]))
        return;
    if (s->n_bias == s->cap_bias)
        s->bias =
            mem_grow(s->bias, &s->cap_bias, s->n_bias + 1, sizeof *s->bias);
    p = &s->bias[s->n_bias++];
    p->ids = xreallocarray(NULL, n, sizeof *p->ids);
    memcpy(p->ids, ids, n * sizeof *p->ids);
    p->n = n;
    p->add = add;
}

void
sampler_bias(struct sampler *s, const int *ids, const float *add, size_t n)
{
    forget_bias(s);
    for (size_t i = 0; i < n; i++)
        sampler_bias_phrase(s, &ids[i], 1, add[i]);
}

/* Is all of the phrase but its last token what was written last? */
static bool
phrase_is_due(const struct phrase *p, const int *history, size_t n)
{
    size_t lead = p->n - 1;

    return lead <= n && (!lead || !memcmp(p->ids, history + n - lead,
                                          lead * sizeof *p->ids));
}

/* Bans and bias, then every finite logit becomes a candidate. */
static void
start_row(struct sampler *s, const float *logits, const int *history,
          size_t n_history, int extra_ban)
{
    memcpy(s->raw, logits, (size_t)s->V * sizeof *s->raw);
    for (size_t i = 0; i < s->n_bias; i++) {
        const struct phrase *p = &s->bias[i];

        if (phrase_is_due(p, history, n_history))
            s->raw[p->ids[p->n - 1]] += p->add;
    }
    if (has_id(s, extra_ban))
        s->raw[extra_ban] = -INFINITY;
    s->n = 0;
    for (int i = 0; i < s->V; i++) {
        s->key[s->n] = key_make(s->raw[i], i);
        s->n += finite_bits(s->raw[i]) && !s->ban[i];
    }
    s->n_sorted = 0;
    s->flat = false;
}

/* Adds `by` for every token in the range of the penalties; called again with
 * `clear` it leaves the table of zeros that it found. */
static void
count_history(struct sampler *s, const struct knobs *k, const int *history,
              size_t n_history, bool clear)
{
    size_t range = (size_t)k->repeat_range;

    if (range > n_history)
        range = n_history;
    for (size_t i = n_history - range; i < n_history; i++) {
        int id = history[i];

        if (!has_id(s, id))
            continue;
        if (clear || ((size_t)id < s->n_exempt && s->exempt[id]))
            s->count[id] = 0;
        else
            s->count[id]++;
    }
}

/* Which candidates on the list are gone since the last stage? */
static void
note_cut(struct sampler *s, enum knob_stage stage, struct candidate *list,
         size_t n)
{
    if (!n)
        return;
    memset(s->alive, 0, (size_t)s->V * sizeof *s->alive);
    for (int i = 0; i < s->n; i++)
        s->alive[key_id(s->key[i])] = true;
    for (size_t i = 0; i < n; i++)
        if (list[i].cut == STAGE_NONE && !s->alive[list[i].id])
            list[i].cut = stage;
}

static void
run_chain(struct sampler *s, const struct knobs *k, const int *history,
          size_t n_history, struct candidate *list, size_t n_list)
{
    count_history(s, k, history, n_history, false);
    for (int i = 0; i < STAGE_COUNT && k->order[i]; i++) {
        enum knob_stage st = (enum knob_stage)k->order[i];

        if (st < STAGE_COUNT && stages[st]) {
            stages[st](s, k);
            note_cut(s, st, list, n_list);
        }
    }
    count_history(s, k, history, n_history, true);
}

/* The candidate in whose part of [0, total) the die falls, by falling
 * probability. */
static int
pick(struct sampler *s, double u, double total, float max)
{
    double sum = 0;
    int last = 0;

    for (int i = 0; i < s->n; i++) {
        double w;

        sort_up_to(s, i);
        w = weight(s, i, max);
        if (w > 0)
            last = i;
        sum += w;
        if (u * total < sum)
            return i;
    }
    return last; /* the sums were rounded differently */
}

/* All are equally likely: the order is by id alone. */
static int
pick_flat(struct sampler *s, double u)
{
    int at = (int)(u * s->n), id = 0;

    memset(s->alive, 0, (size_t)s->V * sizeof *s->alive);
    for (int i = 0; i < s->n; i++)
        s->alive[key_id(s->key[i])] = true;
    for (;; id++)
        if (s->alive[id] && at-- == 0)
            return id;
}

bool
sampler_draw(struct sampler *s, const float *logits, const struct knobs *k,
             const int *history, size_t n_history, int extra_ban,
             const struct draw *at, struct drawn *out, struct err *err)
{
    float raw_max = 0, max;
    double total;

    start_row(s, logits, history, n_history, extra_ban);
    if (!s->n || !largest(logits, s->V, &raw_max))
        return err_set(err, ERR_FAILED,
                       "the model gave no usable probabilities for the next "
                       "token: its weights are damaged, or the knob bias "
                       "bans every token");
    run_chain(s, k, history, n_history, NULL, 0);
    out->u = philox_draw(at->seed, at->i, at->run, at->br, PHILOX_TOKEN);
    out->n_kept = s->n;
    max = top_value(s);
    total = total_weight(s, max);
    if (s->flat) {
        out->id = pick_flat(s, out->u);
        out->q = (float)-fm_log(total);
    } else {
        int i = pick(s, out->u, total, max);

        out->id = key_id(s->key[i]);
        out->q = (float)((double)(value(s, i) - max) - fm_log(total));
    }
    out->lp =
        (float)((double)logits[out->id] - log_sum_exp(logits, s->V, raw_max));
    return true;
}

/* --- the lens --- */

/* The n likeliest by the plain softmax; returns how many there are. */
static size_t
list_likeliest(struct sampler *s, const float *logits, struct candidate *out,
               size_t n)
{
    float max = 0;
    double lse;

    s->n = s->n_sorted = 0;
    s->flat = false;
    for (int i = 0; i < s->V; i++)
        if (finite_bits(logits[i]))
            s->key[s->n++] = key_make(logits[i], i);
    if (n > (size_t)s->n)
        n = (size_t)s->n;
    if (!n || !largest(logits, s->V, &max))
        return 0;
    lse = log_sum_exp(logits, s->V, max);
    sort_first(s, (int)n);
    for (size_t i = 0; i < n; i++) {
        out[i].id = key_id(s->key[i]);
        out[i].lp = (float)((double)key_logit(s->key[i]) - lse);
        out[i].q = -INFINITY;
        out[i].cut = STAGE_NONE;
    }
    return n;
}

size_t
sampler_peek(struct sampler *s, const float *logits, const struct knobs *k,
             const int *history, size_t n_history, int extra_ban,
             struct candidate *out, size_t n, double *entropy, int *n_kept)
{
    float max;
    double total, bits = 0;

    n = list_likeliest(s, logits, out, n);
    start_row(s, logits, history, n_history, extra_ban);
    note_cut(s, STAGE_MASK, out, n);
    *n_kept = s->n;
    *entropy = 0;
    if (!s->n)
        return n;
    run_chain(s, k, history, n_history, out, n);
    max = top_value(s);
    total = total_weight(s, max);
    for (int i = 0; i < s->n; i++) {
        double p = weight(s, i, max) / total;
        int id = key_id(s->key[i]);

        bits -= p > 0 ? p * fm_log(p) * INV_LN2 : 0;
        for (size_t j = 0; j < n; j++)
            if (out[j].id == id)
                out[j].q = (float)((double)(value(s, i) - max) - fm_log(total));
    }
    *n_kept = s->n;
    *entropy = bits;
    return n;
}
