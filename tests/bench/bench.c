/* tests/bench/bench.c  How fast the network runs, as shares of what the
 * machine can do.
 *
 *     jielong_bench [--shape small|box|medium|xl|L,D,H,F,V] [--model DIR]
 *                   [--type f32|bf16|int8|int4] [--threads 1,2] [--rounds N] [--json] [--goals]
 *
 * Random weights of a shape, or a real model. Every round measures the limits
 * and the program one after the other, and a share is taken inside its round:
 * on a machine with neighbours only that is worth anything. Told are the
 * median round and the best and worst one.
 *
 *   read     GB/s of summing up the weights' own memory (the read limit)
 *   sgemm    GFLOP/s of OpenBLAS, its own threads, as it comes, on 512 tokens
 *   decode   tokens/s from position 20 on, and from 900 (or P - 100) on;
 *            share: weights, head and cache read a second, of `read`
 *   16       tokens/s of a prompt's 16 tokens; share: of `read`, each weight
 *            read once for all
 *   prefill  tokens/s of 512 tokens (or P); share: multiply-adds of all
 *            matrices a second, of `sgemm`
 *   load     --model: seconds to open it and have the first row of logits
 *
 * --goals: exit status 1 when two threads miss what the project promises for
 * the small shape: 0.85 of the read limit, 0.60 of sgemm. with_membw.sh runs
 * this program between two runs of an independent measure of the read limit.
 */
#include <cblas.h>
#include <getopt.h>
#include <stdint.h>
#include <sys/resource.h>
#include <time.h>

#include "engine/base/pool.h"
#include "engine/kernels/kernels.h"
#include "engine/model.h"
#include "engine/session.h"

#include "tests/random_gpt2.h"

#define ROUNDS_MAX   100
#define DECODE_GOAL  0.85
#define PREFILL_GOAL 0.60

enum {
    READ,
    SGEMM,
    EARLY,
    LATE,
    GROUP,
    PREFILL,
    EARLY_SHARE,
    LATE_SHARE,
    GROUP_SHARE,
    PREFILL_SHARE,
    N_FIGURES
};

static const struct {
    const char *name, *unit;
} figures[N_FIGURES] = {
    [READ] = { "read limit", "GB/s" },
    [SGEMM] = { "OpenBLAS sgemm", "GFLOP/s" },
    [EARLY] = { "decode early", "tok/s" },
    [LATE] = { "decode late", "tok/s" },
    [GROUP] = { "16 tokens at once", "tok/s" },
    [PREFILL] = { "prefill", "tok/s" },
    [EARLY_SHARE] = { "decode early / read limit", "" },
    [LATE_SHARE] = { "decode late / read limit", "" },
    [GROUP_SHARE] = { "16 tokens / read limit", "" },
    [PREFILL_SHARE] = { "prefill / sgemm", "" },
};

struct bench {
    const struct gpt2 *g;
    struct pool *pool; /* reads */
    int n_threads, n_rounds, late_at, n_prefill;
    double v[N_FIGURES][ROUNDS_MAX];
};

static double
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* --- limits --- */

#define READ_CHUNK ((size_t)1 << 16) /* floats */

struct read_job {
    const float *p;
    size_t n;
    uint64_t sum[POOL_THREADS_MAX][8];
};

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
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
    struct read_job *j = ud;
    size_t at = (size_t)chunk * READ_CHUNK;
    size_t n = j->n - at < READ_CHUNK ? j->n - at : READ_CHUNK;

    j->sum[thread][0] +=
        sum_words((const uint64_t *)(const void *)(j->p + at), n / 2);
}

static double
measure_read(const struct bench *b)
{
    struct read_job j = { .p = b->g->block, .n = b->g->n_block };
    int n = (int)((j.n + READ_CHUNK - 1) / READ_CHUNK);
    double best = 1e9;

    for (int r = 0; r < 8; r++) {
        double t = now();

        pool_run(b->pool, n, read_chunk, &j);
        t = now() - t;
        best = t < best ? t : best;
    }
    return (double)j.n * sizeof(float) / best / 1e9;
}

/* The shapes of the four matrices of a layer, weighted as they occur. */
static double
measure_sgemm(const struct bench *b)
{
    const struct gpt2 *g = b->g;
    const struct {
        int out, in;
    } m[] = {
        { 3 * g->D, g->D }, { g->D, g->D }, { g->F, g->D }, { g->D, g->F }
    };
    int T = b->n_prefill, wide = g->F > 3 * g->D ? g->F : 3 * g->D;
    float *x = xcalloc((size_t)T * (size_t)wide, sizeof *x);
    float *y = xcalloc((size_t)T * (size_t)wide, sizeof *y);
    float *w = xcalloc((size_t)wide * (size_t)g->D, sizeof *w);
    double flop = 0, best = 1e9;

    for (size_t i = 0; i < (size_t)T * (size_t)wide; i++)
        x[i] = (float)(i % 13) * 0.01f;
    for (size_t i = 0; i < (size_t)wide * (size_t)g->D; i++)
        w[i] = (float)(i % 7) * 0.01f;
    openblas_set_num_threads(b->n_threads);
    /* Long enough for its threads to start and to find a processor. */
    for (double start = now(); now() - start < 0.15;) {
        double t = now();

        flop = 0;
        for (int i = 0; i < 4; i++) {
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, T, m[i].out,
                        m[i].in, 1, x, m[i].in, w, m[i].in, 0, y, m[i].out);
            flop += 2.0 * T * m[i].out * m[i].in;
        }
        t = now() - t;
        best = t < best ? t : best;
    }
    openblas_set_num_threads(1);
    /* Its threads spin for a tenth of a second; not beside what comes next. */
    nanosleep(&(struct timespec){ .tv_nsec = 200000000 }, NULL);
    free(x);
    free(y);
    free(w);
    return flop / best / 1e9;
}

/* --- the program --- */

static double
block_floats(const struct gpt2 *g)
{
    return (double)g->L *
           (4.0 * g->D * g->D + 2.0 * g->D * g->F + 9.0 * g->D + g->F);
}

static double
token_bytes(const struct gpt2 *g, int at)
{
    const struct gpt2_layer *l = g->layer;
    double layer = 0, cache = 8.0 * g->L * g->D * at;

    for (int i = 0; i < (g->L ? 4 : 0); i++) {
        const struct matrix *m =
            (const struct matrix *[]){ &l->qkv, &l->o, &l->fc, &l->proj }[i];

        layer += (double)matrix_bytes(m->type, m->n_out, m->n_in);
    }
    return g->L * (layer + 4 * (9.0 * g->D + g->F)) + cache +
           (double)matrix_bytes(g->head.type, g->V, g->D);
}

static double
prompt_flop(const struct gpt2 *g, int T)
{
    return 2.0 * T * block_floats(g) + 2.0 * g->V * g->D +
           2.0 * g->L * g->D * (double)T * T;
}

static void
must(bool ok, const struct err *err)
{
    if (ok)
        return;
    fprintf(stderr, "jielong_bench: %s\n", err->msg);
    exit(1);
}

/* Tokens/s of n steps after `at` tokens. */
static double
measure_decode(const struct bench *b, struct session *s, const int *ids, int at,
               int n)
{
    struct err err = { 0 };
    double t;

    must(session_sync(s, ids, (size_t)at, &err), &err);
    for (int i = 0; i < 4; i++) /* wake everything */
        must(session_step(s, ids[at + i], &err), &err);
    t = now();
    for (int i = 4; i < 4 + n; i++)
        must(session_step(s, ids[at + i], &err), &err);
    return n / (now() - t);
}

/* Tokens/s of passes of 16 tokens. */
static double
measure_group(const struct bench *b, struct session *s, const int *ids)
{
    struct err err = { 0 };
    double best = 1e9;

    for (int r = 0; r < 4; r++) {
        double t;

        must(session_sync(s, ids, 20, &err), &err);
        t = now();
        must(session_sync(s, ids, 36, &err), &err);
        t = now() - t;
        best = t < best ? t : best;
    }
    return 16 / best;
}

static double
measure_prefill(const struct bench *b, struct session *s, int *ids)
{
    struct err err = { 0 };
    double t = 1e9;

    for (int r = 0; r < 2; r++) {
        double t0;

        ids[0] = (ids[0] + 1) % b->g->V; /* nothing of it is cached */
        t0 = now();
        must(session_sync(s, ids, (size_t)b->n_prefill, &err), &err);
        t0 = now() - t0;
        t = t0 < t ? t0 : t;
    }
    return b->n_prefill / t;
}

static void
measure_round(struct bench *b, struct session *s, int *ids, int r)
{
    const struct gpt2 *g = b->g;
    int n = g->L * g->D > 6000 ? 32 : 64;

    b->v[READ][r] = measure_read(b);
    b->v[EARLY][r] = measure_decode(b, s, ids, 20, n);
    b->v[LATE][r] = measure_decode(b, s, ids, b->late_at, n);
    b->v[GROUP][r] = measure_group(b, s, ids);
    b->v[SGEMM][r] = measure_sgemm(b);
    b->v[PREFILL][r] = measure_prefill(b, s, ids);
    b->v[EARLY_SHARE][r] =
        b->v[EARLY][r] * token_bytes(g, 20 + n / 2) / 1e9 / b->v[READ][r];
    b->v[LATE_SHARE][r] = b->v[LATE][r] * token_bytes(g, b->late_at + n / 2) /
                          1e9 / b->v[READ][r];
    b->v[GROUP_SHARE][r] =
        b->v[GROUP][r] / 16 * token_bytes(g, 20) / 1e9 / b->v[READ][r];
    b->v[PREFILL_SHARE][r] = b->v[PREFILL][r] / b->n_prefill *
                             prompt_flop(g, b->n_prefill) / 1e9 /
                             b->v[SGEMM][r];
}

static int
by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static long
peak_kb(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return u.ru_maxrss;
}

static void
tell(struct bench *b, size_t session_size, bool json)
{
    double beside =
        (double)peak_kb() / 1e3 -
        (double)(b->g->n_block * sizeof(float) + kv_bytes(b->g)) / 1e6;

    if (json)
        printf("{\"threads\":%d,\"type\":\"%s\",\"level\":\"%s\"", b->n_threads,
               weight_type_name(b->g->type), kernels_best()->name);
    else
        printf("%s, %d thread%s, %s, %d rounds: median (worst .. best)\n",
               weight_type_name(b->g->type), b->n_threads,
               b->n_threads > 1 ? "s" : "", kernels_best()->name, b->n_rounds);
    for (int f = 0; f < N_FIGURES; f++) {
        double *v = b->v[f];

        qsort(v, (size_t)b->n_rounds, sizeof *v, by_value);
        if (json)
            printf(",\"%s\":[%.4g,%.4g,%.4g]", figures[f].name,
                   v[b->n_rounds / 2], v[0], v[b->n_rounds - 1]);
        else
            printf("  %-26s %8.4g  (%.4g .. %.4g) %s\n", figures[f].name,
                   v[b->n_rounds / 2], v[0], v[b->n_rounds - 1],
                   figures[f].unit);
    }
    if (json)
        printf(",\"session bytes\":%zu,\"peak kB\":%ld}\n", session_size,
               peak_kb());
    else
        printf("  session %.1f MB, peak %.1f MB, beside weights and cache "
               "%.1f MB\n",
               (double)session_size / 1e6, (double)peak_kb() / 1e3, beside);
}

static void
bench_threads(struct bench *b, bool json)
{
    struct session_options opt = { .n_threads = b->n_threads };
    struct err err = { 0 };
    struct session *s = session_new_gpt2(b->g, &opt, &err);
    int *ids = xcalloc((size_t)b->g->P, sizeof *ids);
    uint64_t state = 1;

    must(s != NULL, &err);
    b->pool = pool_new(b->n_threads);
    for (int i = 0; i < b->g->P; i++)
        ids[i] = (int)(random_next(&state) % (uint64_t)b->g->V);
    for (int r = 0; r < b->n_rounds; r++)
        measure_round(b, s, ids, r);
    tell(b, session_bytes(s), json);
    pool_free(b->pool);
    session_free(s);
    free(ids);
}

/* The rounds are sorted by now. */
static bool
goals_reached(const struct bench *b)
{
    double decode = b->v[EARLY_SHARE][b->n_rounds / 2];
    double prefill = b->v[PREFILL_SHARE][b->n_rounds / 2];

    if (decode >= DECODE_GOAL && prefill >= PREFILL_GOAL)
        return true;
    fprintf(stderr,
            "jielong_bench: below the goals of %.2f (decode) and "
            "%.2f (prefill)\n",
            DECODE_GOAL, PREFILL_GOAL);
    return false;
}

static bool
parse_shape(const char *name, struct shape *s)
{
    static const struct {
        const char *name;
        struct shape shape;
    } known[] = {
        { "small", { 50257, 1024, 768, 12, 12, 3072, false } },
        { "box", { 6528, 512, 256, 6, 4, 1024, false } },
        { "xl", { 50257, 1024, 1600, 48, 25, 6400, false } },
        { "medium", { 50257, 1024, 1024, 24, 16, 4096, false } },
    };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i].name) == 0) {
            *s = known[i].shape;
            return true;
        }
    s->P = 1024;
    return sscanf(name, "%d,%d,%d,%d,%d", &s->L, &s->D, &s->H, &s->F, &s->V) ==
               5 &&
           s->L > 0 && s->D > 0 && s->H > 0 && s->D % s->H == 0 && s->F > 0 &&
           s->V > 0;
}

/* A real model: opened here, so that the time to the first row is known. */
static const struct gpt2 *
open_model(const char *path, const char *type, bool json)
{
    struct model_options opt = { .no_vocab_needed = true, .type = type };
    struct err err = { 0 };
    double t = now(), t2;
    struct model *m = model_open(path, &opt, &err);
    struct session *s;
    int ids[20];

    must(m != NULL, &err);
    t2 = now();
    s = session_new(m, NULL, &err);
    must(s != NULL, &err);
    for (int i = 0; i < 20; i++)
        ids[i] = i % model_info(m)->n_vocab;
    must(session_sync(s, ids, 20, &err), &err);
    if (json)
        printf("{\"load s\":%.4f,\"first row s\":%.4f}\n", t2 - t, now() - t);
    else
        printf("opened in %.1f ms, first row of 20 tokens after %.1f ms\n",
               1e3 * (t2 - t), 1e3 * (now() - t));
    session_free(s);
    return model_gpt2(m);
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {
        { "shape", required_argument, NULL, 's' },
        { "model", required_argument, NULL, 'm' },
        { "type", required_argument, NULL, 'T' },
        { "threads", required_argument, NULL, 't' },
        { "rounds", required_argument, NULL, 'r' },
        { "json", no_argument, NULL, 'j' },
        { "goals", no_argument, NULL, 'g' },
        { NULL, 0, NULL, 0 },
    };
    struct shape shape = { 50257, 1024, 768, 12, 12, 3072, false };
    const char *threads = "2,1", *model = NULL, *type_name = "f32";
    enum weight_type type = WT_F32;
    struct bench b = { .n_rounds = 5 };
    bool json = false, goals = false, reached = true;
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 's' && parse_shape(optarg, &shape))
            continue;
        if (c == 'm')
            model = optarg;
        else if (c == 'T' && weight_type_find(optarg, &type))
            type_name = optarg;
        else if (c == 't')
            threads = optarg;
        else if (c == 'r' && atoi(optarg) > 0 && atoi(optarg) <= ROUNDS_MAX)
            b.n_rounds = atoi(optarg);
        else if (c == 'j')
            json = true;
        else if (c == 'g')
            goals = true;
        else {
            fprintf(stderr, "usage: jielong_bench [--shape small|box|medium|xl|"
                            "L,D,H,F,V] [--type f32|bf16|int8|int4] [--model "
                            "DIR] [--threads 1,2] [--rounds N] "
                            "[--json] [--goals]\n");
            return 2;
        }
    }
    if (model) {
        b.g = open_model(model, type_name, json);
    } else {
        struct gpt2 *g = random_gpt2(&shape, 0.1f, 1);

        if (type != WT_F32)
            retype_gpt2(g, type);
        b.g = g;
    }
    b.late_at = b.g->P >= 1000 ? 900 : b.g->P - 100;
    b.n_prefill = b.g->P < 512 ? b.g->P : 512;
    for (const char *p = threads; *p; p += strcspn(p, ","), p += *p == ',') {
        b.n_threads = atoi(p);
        bench_threads(&b, json);
        fflush(stdout);
        if (goals && b.n_threads == 2)
            reached = goals_reached(&b);
    }
    return reached ? 0 : 1;
}
