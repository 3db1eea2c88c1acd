/* tests/det_test.c  The strict arithmetic: the same tokens give the same
 * logits, to the last bit of every row, however they came to be read.
 *
 * A story is a list of ids; what it should give is said by one thread that
 * reads it token by token. Then the same ids are read by 1 to 8 threads, the
 * prompt cut into pieces of 1, 7, 64 or all, in company of up to 7 other
 * lanes, with a window read ahead beside them, from a fresh session in the
 * middle (a story that was closed and opened again), and after an edit that
 * was taken back. All rows are compared. At last every instruction set that
 * this processor has runs in a process of its own, and the SHA-256 of all its
 * logits must be the one of the others.
 *
 * The suite runs a thinned-out set; JIELONG_DET=full runs all combinations of
 * 20 stories of 512 tokens (minutes), JIELONG_DET=7 those of story 7 alone.
 * Each says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/sha256.h"
#include "engine/kernels/kernels.h"
#include "engine/session.h"
#include "tests/random_gpt2.h"

enum { STORY_MAX = 512, LANES = 8 };

/* More than 256 inputs in one layer (a sum in two runs), odd sizes, 9 pages
 * of 64 positions. */
static const struct shape shape = { 93, 530, 64, 2, 4, 300, false };

struct plan {
    const char *name;
    int first, n_stories, n_tokens;
    int threads[6], pieces[6], lanes[9]; /* ended by 0; piece -1: all */
    int n_resumes;
};
static const struct plan thin = {
    "thinned out", 0, 2, 150, { 1, 3 }, { 7, 64, -1 }, { 2, 5 }, 2
};
static const struct plan full = {
    "all ways", 0, 20, 512, { 1, 2, 3, 4, 8 }, { 1, 7, 64, -1 },
    { 1, 2, 3, 4, 5, 6, 7, 8 }, 10
};

struct story {
    int ids[STORY_MAX];
    int n;
    float *want; /* [n][V] */
};

static const struct plan *
plan(void)
{
    static struct plan one;
    const char *v = getenv("JIELONG_DET");

    if (!v || !*v)
        return &thin;
    if (!strcmp(v, "full"))
        return &full;
    one = full;
    one.first = atoi(v);
    one.n_stories = 1;
    return &one;
}

static struct gpt2 *
network(enum weight_type type)
{
    struct gpt2 *g = random_gpt2(&shape, 0.6f, 21);

    if (type != WT_F32)
        retype_gpt2(g, type);
    return g;
}

static struct session *
open_session(const struct gpt2 *g, int threads)
{
    struct session_options opt = { .n_threads = threads };
    struct err err = { 0 };
    struct session *s = session_new_gpt2(g, &opt, &err);

    if (!s) {
        fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
    return s;
}

static void
must(bool ok)
{
    if (!ok) {
        fprintf(stderr, "the session failed\n");
        exit(1);
    }
}

static void
make_ids(struct story *y, int which, int n)
{
    uint64_t seed = 1000u + (unsigned)which;

    y->n = n;
    for (int i = 0; i < n; i++)
        y->ids[i] = (int)(random_next(&seed) % (unsigned)shape.V);
}

static const float *
row_of(const struct story *y, int i)
{
    return y->want + (size_t)i * (size_t)shape.V;
}

/* One thread, token by token. */
static void
tell(struct story *y, const struct gpt2 *g)
{
    size_t V = (size_t)shape.V;
    struct session *s = open_session(g, 1);
    struct err err;

    y->want = xcalloc((size_t)y->n * V, sizeof *y->want);
    for (int i = 0; i < y->n; i++) {
        must(i ? session_step(s, y->ids[i], &err)
               : session_sync(s, y->ids, 1, &err));
        memcpy(y->want + (size_t)i * V, session_logits(s), V * sizeof(float));
    }
    session_free(s);
}

/* --- one way to read it --- */

struct way {
    const char *name; /* of the case, for a failure */
    enum weight_type type;
    int threads, piece, lanes, at;
};

static void
compare(const struct way *w, const struct story *y, int i, const float *got)
{
    const float *want = row_of(y, i);

    if (!memcmp(want, got, (size_t)shape.V * sizeof *got))
        return;
    for (int v = 0; v < shape.V; v++)
        if (memcmp(&want[v], &got[v], sizeof *got))
            fail_msg("%s, %s, %d threads, pieces of %d, %d lanes, from %d: "
                     "logit %d after token %d is %a, not %a",
                     w->name, weight_type_name(w->type), w->threads, w->piece,
                     w->lanes, w->at, v, i, (double)got[v], (double)want[v]);
}

/* The first n tokens in pieces; the row after each. */
static void
read_in_pieces(const struct way *w, struct session *s, const struct story *y,
               int n)
{
    int piece = w->piece < 0 ? n : w->piece;
    struct err err;

    for (int at = 0; at < n;) {
        at = at + piece < n ? at + piece : n;
        must(session_sync(s, y->ids, (size_t)at, &err));
        compare(w, y, at - 1, session_logits(s));
    }
}

struct rows {
    const struct way *w;
    const struct story *y;
};

static bool
compare_row(void *ud, size_t i, const float *logits)
{
    const struct rows *r = ud;

    compare(r->w, r->y, (int)i, logits);
    return true;
}

/* Every row of a prompt that is read as one. */
static void
read_whole(struct way w, struct session *s, const struct story *y)
{
    struct rows r = { &w, y };
    struct err err;

    w.name = "all rows";
    must(session_all_logits(s, y->ids, (size_t)y->n, compare_row, &r, &err));
}

static void
step_on(const struct way *w, struct session *s, const struct story *y, int upto)
{
    struct err err;

    for (int i = (int)session_n(s); i < upto; i++) {
        must(session_step(s, y->ids[i], &err));
        compare(w, y, i, session_logits(s));
    }
}

/* A story that was closed after `at` tokens and opened again. */
static void
resume(struct way w, const struct gpt2 *g, const struct story *y)
{
    struct session *s = open_session(g, w.threads);

    w.name = "resumed";
    read_in_pieces(&w, s, y, w.at);
    step_on(&w, s, y, w.at + 20 < y->n ? w.at + 20 : y->n);
    session_free(s);
}

/* Another token in the middle and what followed it, then as it was. */
static void
edit_and_return(struct way w, struct session *s, const struct story *y)
{
    int other[STORY_MAX];
    struct err err;

    w.name = "edited and taken back";
    memcpy(other, y->ids, sizeof other);
    other[w.at] = (other[w.at] + 1) % shape.V;
    must(session_sync(s, other, (size_t)y->n, &err));
    must(session_sync(s, y->ids, (size_t)w.at, &err));
    compare(&w, y, w.at - 1, session_logits(s));
    read_in_pieces(&w, s, y, y->n);
}

/* Lane j of n goes on with the story (even j) or with other tokens. Beside
 * lane 0 the story's beginning is read ahead as its next window. */
static void
in_company(struct way w, struct session *s, const struct story *y)
{
    struct session_token t[LANES];
    uint64_t seed = 7;
    struct err err;
    int half = y->n / 2;

    w.name = "in company";
    must(session_sync(s, y->ids, (size_t)half, &err));
    must(session_fork(s, w.lanes, &err));
    for (int i = half; i < y->n; i++) {
        for (int j = 0; j < w.lanes; j++)
            t[j] = (struct session_token){
                .lane = j,
                .id = j % 2 ? (int)(random_next(&seed) % (unsigned)shape.V)
                            : y->ids[i],
                .next = j ? NULL : y->ids + 1,
                .n_next = j ? 0 : (size_t)half,
                .n_rows = j ? 0 : 3,
            };
        must(session_step_lanes(s, t, w.lanes, &err));
        for (int j = 0; j < w.lanes; j += 2)
            compare(&w, y, i, session_lane_logits(s, j));
    }
    must(session_sync(s, y->ids, (size_t)half, &err));
    compare(&w, y, half - 1, session_logits(s));
}

/* --- all ways --- */

static void
every_way(struct way w, const struct gpt2 *g, const struct story *y)
{
    const struct plan *p = plan();
    struct session *s = open_session(g, w.threads);

    for (int k = 0; p->pieces[k]; k++) {
        struct session *fresh = open_session(g, w.threads);

        w.piece = p->pieces[k];
        w.name = "in pieces";
        read_in_pieces(&w, fresh, y, y->n);
        for (int r = 1; r <= p->n_resumes; r++) {
            w.at = y->n * r / (p->n_resumes + 1);
            resume(w, g, y);
            edit_and_return(w, fresh, y);
        }
        w.at = 0;
        session_free(fresh);
    }
    for (int k = 0; p->lanes[k]; k++) {
        w.lanes = p->lanes[k];
        in_company(w, s, y);
    }
    read_whole(w, s, y);
    session_free(s);
}

static void
check_type(enum weight_type type)
{
    const struct plan *p = plan();
    struct gpt2 *g = network(type);
    struct story y;

    for (int i = 0; i < p->n_stories; i++) {
        make_ids(&y, p->first + i, p->n_tokens);
        tell(&y, g);
        for (int t = 0; p->threads[t]; t++)
            every_way((struct way){ .type = type, .threads = p->threads[t] }, g,
                      &y);
        free(y.want);
    }
    gpt2_free(g);
}

static void
f32_is_read_alike(void **state)
{
    check_type(WT_F32);
}

static void
bf16_is_read_alike(void **state)
{
    check_type(WT_BF16);
}

static void
int8_is_read_alike(void **state)
{
    check_type(WT_INT8);
}

static void
int4_is_read_alike(void **state)
{
    check_type(WT_INT4);
}

/* --- instruction sets --- */

/* The SHA-256 of all logits of the thinned-out stories, a line for each type:
 * what "strict/1" means. Whoever changes the order of a sum changes these, and
 * with them the number: stories written before can then be replayed by the
 * version that wrote them alone. */
static const char strict_1[] =
    "f32 b76132c2d826cfd7e5679c80a7e89d3fcc06c7b671da3204feb6d0790827b819\n"
    "bf16 1cd29442c8d5859011a5fb1b3dbec2ba5f14eae6e7e19cab11680feeeb80e308\n"
    "int8 eadef5281056bb98e1231b70c424f068e2bbfaccf6f921f349a846b58f76e96a\n"
    "int4 e6337f8c7ab8eba419cbd9d282e207ea559538b349785215d618f383ccd206a8\n";

/* In a process of its own: these lines. */
static int
print_sums(void)
{
    for (int type = WT_F32; type < WT_COUNT; type++) {
        struct gpt2 *g = network((enum weight_type)type);
        struct sha256 *sum = sha256_new();
        struct story y;
        char hex[65];

        for (int i = 0; i < thin.n_stories; i++) {
            make_ids(&y, i, thin.n_tokens);
            tell(&y, g);
            sha256_add(sum, y.want,
                       (size_t)y.n * (size_t)shape.V * sizeof(float));
            free(y.want);
        }
        sha256_finish(sum, hex);
        printf("%s %s\n", weight_type_name((enum weight_type)type), hex);
        gpt2_free(g);
    }
    return 0;
}

static char *self;

static void
sums_on(const char *level, char out[1024])
{
    char *command = xasprintf("JIELONG_CPU=%s '%s' --sums", level, self);
    FILE *in = popen(command, "r");
    size_t n;

    assert_non_null(in);
    n = fread(out, 1, 1023, in);
    out[n] = '\0';
    assert_int_equal(pclose(in), 0);
    free(command);
}

static void
every_instruction_set_gives_the_same(void **state)
{
    const struct kernels *k;
    char first[1024], other[1024];
    int n = 0;

    sums_on("generic", first);
    if (strcmp(first, strict_1) != 0)
        fail_msg("strict/1 gave\n%snow it gives\n%s", strict_1, first);
    for (; (k = kernels_get(n)); n++) {
        sums_on(k->name, other);
        if (strcmp(first, other) != 0)
            fail_msg("generic gives\n%s%s gives\n%s", first, k->name, other);
        print_message("# %s gives what generic does\n", k->name);
    }
    if (n == 1)
        print_message("# this processor has no other level: SKIPPED\n");
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f32_is_read_alike),
        cmocka_unit_test(bf16_is_read_alike),
        cmocka_unit_test(int8_is_read_alike),
        cmocka_unit_test(int4_is_read_alike),
        cmocka_unit_test(every_instruction_set_gives_the_same),
    };

    if (argc > 1 && !strcmp(argv[1], "--sums"))
        return print_sums();
    self = argv[0];
    print_message("# %s, %d stories of %d tokens from story %d (JIELONG_DET="
                  "full: all ways, %d of %d)\n",
                  plan()->name, plan()->n_stories, plan()->n_tokens,
                  plan()->first, full.n_stories, full.n_tokens);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
