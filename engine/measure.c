/* engine/measure.c  See measure.h. */
#include "engine/measure.h"

#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "engine/base/mem.h"
#include "engine/base/philox.h"
#include "engine/base/pool.h"
#include "engine/gpt2.h"
#include "engine/model.h"
#include "engine/session.h"

#define EARLY_AT 20 /* tokens before decoding begins */
#define SHORT    16
#define LANES_AT 64  /* tokens that the samples have in common */
#define WAKE     4   /* steps before the clock starts */
#define STEPS    64  /* at most, */
#define ENOUGH_S 1.0 /* and after so many seconds no more, */
#define LEAST    12  /* but so many steps at least */

static const struct {
    const char *name, *unit;
} rows[MEASURE_COUNT] = {
    [MEASURE_READ] = { "read", "GB/s" },
    [MEASURE_DECODE] = { "decode", "tok/s" },
    [MEASURE_LATE] = { "late", "tok/s" },
    [MEASURE_SHORT] = { "short", "tok/s" },
    [MEASURE_PREFILL] = { "prefill", "tok/s" },
    [MEASURE_LANES3] = { "lanes3", "tok/s" },
    [MEASURE_LANES10] = { "lanes10", "tok/s" },
};

struct bench {
    const struct model *m;
    const struct model_info *info;
    const struct measure_options *opt;
    struct session *s;
    int *ids; /* [P] */
    int late_at, n_prefill;
    size_t read_bytes; /* of the weights, by one token */
    size_t kv_row;     /* bytes of keys and values of one position */
    struct measure_result *out;
    struct pool *pool; /* reads */
    uint64_t *memory;  /* to be read */
    size_t n_words;
    size_t peak_at_first; /* of the process, before that */
    uint64_t sum[POOL_THREADS_MAX]
                [8]; /* kept, so that reading is not skipped */
    double value[MEASURE_COUNT][MEASURE_ROUNDS_MAX];
    double share[MEASURE_COUNT][MEASURE_ROUNDS_MAX];
};

/* --- names --- */

const char *
measure_name(enum measure_what w)
{
    return rows[w].name;
}

const char *
measure_unit(enum measure_what w)
{
    return rows[w].unit;
}

bool
measure_parse(const char *list, unsigned *set)
{
    *set = 0;
    while (*list) {
        size_t n = strcspn(list, ",");
        int w = 0;

        while (w < MEASURE_COUNT && (strlen(rows[w].name) != n ||
                                     strncmp(rows[w].name, list, n) != 0))
            w++;
        if (w == MEASURE_COUNT)
            return false;
        *set |= 1u << w;
        list += n;
        list += *list == ',';
    }
    return *set != 0;
}

static bool
wanted(const struct bench *b, enum measure_what w)
{
    return b->opt->set == 0 || b->opt->set & 1u << w;
}

static double
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* --- the read limit --- */

#define READ_WORDS ((size_t)1 << 15) /* of a chunk */
#define READ_MAX   ((size_t)1 << 30) /* bytes: far beyond any cache */

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
static uint64_t
sum_words(const uint64_t *p, size_t n)
{
    uint64_t s[64] = { 0 }, all = 0;

    for (size_t i = 0; i + 64 <= n; i += 64)
        for (int j = 0; j < 64; j++)
            s[j] += p[i + (size_t)j];
    for (int j = 0; j < 64; j++)
        all += s[j];
    return all;
}

static void
read_chunk(void *ud, int chunk, int thread)
{
    struct bench *b = ud;

    b->sum[thread][0] +=
        sum_words(b->memory + (size_t)chunk * READ_WORDS, READ_WORDS);
}

/* Memory of its own, as much as the weights: how much of it a cache keeps
 * decides what can be reached. */
static bool
make_memory(struct bench *b, struct err *err)
{
    size_t bytes = b->read_bytes < READ_MAX ? b->read_bytes : READ_MAX;

    b->n_words = (bytes / 8 / READ_WORDS + 1) * READ_WORDS;
    b->memory = mem_big(b->n_words, 8, "the read limit", err);
    if (b->memory)
        memset(b->memory, 1, b->n_words * 8); /* no shared page of zeros */
    b->pool = pool_new(b->opt->n_threads);
    return b->memory != NULL;
}

static double
measure_read(struct bench *b)
{
    double best = 1e9;

    for (int r = 0; r < 8; r++) {
        double t = now();

        pool_run(b->pool, (int)(b->n_words / READ_WORDS), read_chunk, b);
        t = now() - t;
        best = t < best ? t : best;
    }
    return (double)b->n_words * 8 / best / 1e9;
}

/* --- the program --- */

/* Steps after `at` tokens; *mid: the position in the middle of them. */
static bool
measure_decode(struct bench *b, int at, double *v, int *mid, struct err *err)
{
    int i, end = at + WAKE + STEPS;
    double start, t = 0;

    end = end < b->info->n_pos ? end : b->info->n_pos;
    if (!session_sync(b->s, b->ids, (size_t)at, err))
        return false;
    for (i = at; i < at + WAKE; i++)
        if (!session_step(b->s, b->ids[i], err))
            return false;
    start = now();
    while (i < end && (t < ENOUGH_S || i < at + WAKE + LEAST)) {
        if (!session_step(b->s, b->ids[i++], err))
            return false;
        t = now() - start;
    }
    *v = (i - at - WAKE) / t;
    *mid = (i + at + WAKE) / 2;
    return true;
}

static bool
measure_short(struct bench *b, double *v, struct err *err)
{
    double best = 1e9;

    for (int r = 0; r < 4; r++) {
        double t;

        if (!session_sync(b->s, b->ids, EARLY_AT, err))
            return false;
        t = now();
        if (!session_sync(b->s, b->ids, EARLY_AT + SHORT, err))
            return false;
        t = now() - t;
        best = t < best ? t : best;
    }
    *v = SHORT / best;
    return true;
}

static bool
measure_prefill(struct bench *b, double *v, struct err *err)
{
    double best = 1e9;

    for (int r = 0; r < 2 && best > 0.2 * r; r++) {
        double t;

        b->ids[0] = (b->ids[0] + 1) % b->info->n_vocab; /* nothing is cached */
        t = now();
        if (!session_sync(b->s, b->ids, (size_t)b->n_prefill, err))
            return false;
        t = now() - t;
        best = t < best ? t : best;
    }
    *v = b->n_prefill / best;
    return true;
}

/* One token more for each lane. */
static bool
step_lanes(struct bench *b, int n, int i, struct err *err)
{
    struct session_token t[SESSION_LANES_MAX];

    for (int k = 0; k < n; k++)
        t[k] = (struct session_token){
            .lane = k, .id = b->ids[(LANES_AT + i * n + k) % b->info->n_pos]
        };
    return session_step_lanes(b->s, t, n, err);
}

static bool
measure_lanes(struct bench *b, int n, double *v, struct err *err)
{
    double start, t = 0;
    int i;

    if (!session_sync(b->s, b->ids, LANES_AT, err) ||
        !session_fork(b->s, n, err))
        return false;
    for (i = 0; i < WAKE; i++)
        if (!step_lanes(b, n, i, err))
            return false;
    start = now();
    while (i < WAKE + STEPS / 2 && (t < ENOUGH_S || i < WAKE + LEAST)) {
        if (!step_lanes(b, n, i++, err))
            return false;
        t = now() - start;
    }
    *v = (i - WAKE) * n / t;
    return true;
}

/* --- a round --- */

static bool
go_on(const struct bench *b, struct err *err)
{
    if (!b->opt->stop || !b->opt->stop(b->opt->ud))
        return true;
    return err_set(err, ERR_CANCELLED, "measuring was stopped");
}

static size_t
peak_bytes(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (size_t)u.ru_maxrss * 1024;
}

static double
token_bytes(const struct bench *b, int at)
{
    return (double)b->read_bytes + (double)b->kv_row * at;
}

/* Steps between two looks at the limit: the machine's neighbours come and go
 * within seconds. */
static bool
run_decode(struct bench *b, enum measure_what w, int r, struct err *err)
{
    double limit = b->memory ? measure_read(b) : 0;
    int at = w == MEASURE_DECODE ? EARLY_AT : b->late_at, mid;

    if (!measure_decode(b, at, &b->value[w][r], &mid, err))
        return false;
    if (b->memory) {
        limit = (limit + measure_read(b)) / 2;
        b->share[w][r] = b->value[w][r] * token_bytes(b, mid) / 1e9 / limit;
        b->value[MEASURE_READ][r] = limit;
    }
    return go_on(b, err);
}

static bool
run_short(struct bench *b, int r, struct err *err)
{
    if (!measure_short(b, &b->value[MEASURE_SHORT][r], err))
        return false;
    if (b->memory)
        b->share[MEASURE_SHORT][r] = b->value[MEASURE_SHORT][r] / SHORT *
                                     token_bytes(b, EARLY_AT) / 1e9 /
                                     measure_read(b);
    return true;
}

static bool
run_steps(struct bench *b, int r, struct err *err)
{
    return go_on(b, err) &&
           (!wanted(b, MEASURE_DECODE) ||
            run_decode(b, MEASURE_DECODE, r, err)) &&
           (!wanted(b, MEASURE_SHORT) || run_short(b, r, err)) &&
           (!wanted(b, MEASURE_PREFILL) ||
            measure_prefill(b, &b->value[MEASURE_PREFILL][r], err)) &&
           go_on(b, err) &&
           (!wanted(b, MEASURE_LATE) || run_decode(b, MEASURE_LATE, r, err));
}

static bool
run_round(struct bench *b, int r, struct err *err)
{
    size_t after;

    if (r == 0 && wanted(b, MEASURE_READ) && !make_memory(b, err))
        return false;
    if (b->memory)
        b->value[MEASURE_READ][r] = measure_read(b);
    if (!run_steps(b, r, err))
        return false;
    after = peak_bytes() - b->n_words * 8;
    if (r == 0) /* what the limit is measured on is not the program's */
        b->out->peak_bytes =
            b->peak_at_first > after ? b->peak_at_first : after;
    if (wanted(b, MEASURE_LANES3) &&
        !measure_lanes(b, 3, &b->value[MEASURE_LANES3][r], err))
        return false;
    return !wanted(b, MEASURE_LANES10) ||
           measure_lanes(b, 10, &b->value[MEASURE_LANES10][r], err);
}

/* --- all of it --- */

static int
by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static struct measure_figure
sum_up(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, by_value);
    return (struct measure_figure){ v[n / 2], v[0], v[n - 1] };
}

/* What one token reads: all but the positions, and an embedding beside the
 * output matrix. */
static void
find_bytes(struct bench *b)
{
    const struct model_info *i = b->info;
    size_t D = (size_t)i->n_embd, V = (size_t)i->n_vocab;
    size_t L = (size_t)i->n_layer, P = (size_t)i->n_pos;
    size_t plain = 4 * P * D, matrices = i->weight_bytes - plain;
    double all = (double)V * (double)D * (i->tied ? 1 : 2) +
                 (double)L * (4.0 * (double)D * (double)D +
                              2.0 * (double)D * (double)i->n_ff);

    b->read_bytes = matrices;
    if (!i->tied)
        b->read_bytes -=
            (size_t)((double)matrices * ((double)V * (double)D / all));
    b->out->read_bytes = b->read_bytes;
    b->out->kv_bytes = gpt2_kv_bytes(model_gpt2(b->m));
    b->kv_row = b->out->kv_bytes / P;
}

static bool
begin(struct bench *b, struct err *err)
{
    struct session_options so = { .n_threads = b->opt->n_threads };
    const uint32_t key[2] = { 1, 0 };
    double t;

    b->info = model_info(b->m);
    if (b->info->n_pos < 128)
        return err_set(err, ERR_MODEL,
                       "a model of %d positions is too short to be measured",
                       b->info->n_pos);
    b->late_at = b->info->n_pos >= 1000 ? 900 : b->info->n_pos - 100;
    b->n_prefill = b->info->n_pos < 512 ? b->info->n_pos : 512;
    find_bytes(b);
    b->ids = xcalloc((size_t)b->info->n_pos, sizeof *b->ids);
    for (uint32_t i = 0; i < (uint32_t)b->info->n_pos; i++) {
        uint32_t r[4];

        philox4x32((uint32_t[]){ i, 0, 0, PHILOX_OTHER }, key, r);
        b->ids[i] = (int)(r[0] % (uint32_t)b->info->n_vocab);
    }
    t = now();
    b->s = session_new(b->m, &so, err);
    if (!b->s || !session_sync(b->s, b->ids, EARLY_AT, err))
        return false;
    b->out->first_s = now() - t;
    b->peak_at_first = peak_bytes();
    return true;
}

bool
measure_model(const struct model *m, const struct measure_options *opt,
              struct measure_result *out, struct err *err)
{
    struct bench *b = xcalloc(1, sizeof *b);
    bool ok;

    memset(out, 0, sizeof *out);
    b->m = m;
    b->opt = opt;
    b->out = out;
    ok = begin(b, err);
    for (int r = 0; ok && r < opt->n_rounds; r++)
        ok = run_round(b, r, err);
    for (int w = 0; ok && w < MEASURE_COUNT; w++) {
        out->figure[w] = sum_up(b->value[w], opt->n_rounds);
        out->share[w] = sum_up(b->share[w], opt->n_rounds);
    }
    out->rounds = opt->n_rounds;
    out->session_bytes = b->s ? session_bytes(b->s) : 0;
    session_free(b->s);
    pool_free(b->pool);
    mem_big_free(b->memory);
    free(b->ids);
    free(b);
    return ok;
}
