/* tests/sampler_test.c  The chain against tests/data/sampler.txt (computed by
 * an independent script) and, one by one, what shipped samplers got wrong. */
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/philox.h"
#include "engine/sampler.h"

enum { MAX_V = 64 };

/* All knobs at their neutral values. */
static struct knobs
neutral(void)
{
    struct knobs k;

    knobs_default(&k);
    k.temp = 1;
    k.top_k = 0;
    k.top_p = 1;
    k.min_p = 0;
    k.repeat = 1;
    k.frequency = k.presence = 0;
    return k;
}

static struct knobs
with(const char *name, const char *value)
{
    struct knobs k = neutral();
    struct err err;

    if (!knob_parse(&k, knob_find(name), value, &err))
        fail_msg("%s", err.msg);
    return k;
}

static void
set(struct knobs *k, const char *name, const char *value)
{
    struct err err;

    if (!knob_parse(k, knob_find(name), value, &err))
        fail_msg("%s", err.msg);
}

static struct drawn
draw_at(struct sampler *s, const float *l, const struct knobs *k, uint32_t i)
{
    struct draw at = { .seed = 99, .i = i, .run = 1, .br = 0 };
    struct drawn d = { 0 };
    struct err err = { 0 };

    if (!sampler_draw(s, l, k, NULL, 0, -1, &at, &d, &err))
        fail_msg("%s", err.msg);
    return d;
}

/* Ids left after the chain, by falling lp. */
static int
kept(struct sampler *s, const float *l, int V, const struct knobs *k,
     const int *hist, size_t n_hist, int *ids)
{
    struct candidate c[MAX_V];
    double entropy;
    int n_kept, n = 0;
    size_t m = sampler_peek(s, l, k, hist, n_hist, -1, c, (size_t)V, &entropy,
                            &n_kept);

    for (size_t i = 0; i < m; i++)
        if (c[i].cut == STAGE_NONE)
            ids[n++] = c[i].id;
    assert_int_equal(n, n_kept);
    return n;
}

/* --- the recorded cases --- */

static float rows[8][MAX_V];
static int n_row, hist[64], n_hist;
static bool exempt[MAX_V];

static void
read_line_of_ids(char *p, const char *what)
{
    for (char *t = strtok(p, " \n"); t; t = strtok(NULL, " \n")) {
        if (!strcmp(what, "history"))
            hist[n_hist++] = atoi(t);
        else
            exempt[atoi(t)] = true;
    }
}

static void
read_row(char *p)
{
    int r = (int)strtol(p, &p, 10);

    for (n_row = 0; *p && *p != '\n'; n_row++)
        rows[r][n_row] = strtof(p, &p);
}

static void
check_case(struct sampler *s, char *line)
{
    struct knobs k = neutral();
    struct draw at;
    struct drawn d;
    struct err err;
    struct candidate c[MAX_V];
    int row, ban, id, n, used, n_kept;
    float *l;
    double entropy, want_bits = 0;
    size_t m;
    char *p = line, *whole = strdup(line);

    row = (int)strtol(p, &p, 10);
    ban = (int)strtol(p, &p, 10);
    for (p = strtok(p, " "); strcmp(p, "|") != 0; p = strtok(NULL, " ")) {
        char *eq = strchr(p, '=');

        *eq = '\0';
        set(&k, p, eq + 1);
    }
    p = strtok(NULL, "");
    assert_int_equal(sscanf(p, "%" SCNu64 " %u %u %u | %d %d |%n", &at.seed,
                            &at.i, &at.run, &at.br, &id, &n, &used),
                     6);
    p += used;
    l = rows[row];
    if (!sampler_draw(s, l, &k, hist, (size_t)n_hist, ban, &at, &d, &err))
        fail_msg("%s: %s", whole, err.msg);
    if (d.id != id || d.n_kept != n)
        fail_msg("%s: drew %d of %d", whole, d.id, d.n_kept);
    m = sampler_peek(s, l, &k, hist, (size_t)n_hist, ban, c, MAX_V, &entropy,
                     &n_kept);
    assert_int_equal(n_kept, n);
    for (int i = 0; i < n; i++) {
        float lp, q;
        size_t j = 0;

        assert_int_equal(sscanf(p, " %d:%f:%f%n", &id, &lp, &q, &used), 3);
        p += used;
        while (j < m && c[j].id != id)
            j++;
        if (j == m || c[j].cut != STAGE_NONE)
            fail_msg("%s: %d was cut", whole, id);
        if (fabsf(c[j].lp - lp) > 2e-5f || fabs(exp(c[j].q) - exp(q)) > 1e-6)
            fail_msg("%s: %d has %.8g %.8g", whole, id, c[j].lp, c[j].q);
        if (id == d.id) {
            assert_true(d.lp == c[j].lp);
            assert_true(fabsf(d.q - c[j].q) < 1e-6f);
        }
        want_bits -= exp(q) > 0 ? exp(q) * q / log(2) : 0;
    }
    assert_true(fabs(entropy - want_bits) < 1e-4);
    free(whole);
}

static void
agrees_with_the_script(void **state)
{
    static char line[16384];
    const char *dir = getenv("JIELONG_TEST_DATA");
    struct sampler *s = NULL;
    char path[4096];
    int n = 0;
    FILE *f;

    snprintf(path, sizeof path, "%s/sampler.txt", dir ? dir : "tests/data");
    f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        char *rest = strchr(line, ' ') + 1;

        if (!strncmp(line, "row ", 4)) {
            read_row(rest);
        } else if (!strncmp(line, "history ", 8)) {
            read_line_of_ids(rest, "history");
        } else if (!strncmp(line, "exempt ", 7)) {
            read_line_of_ids(rest, "exempt");
            s = sampler_new(n_row);
            sampler_exempt(s, exempt, MAX_V);
        } else if (!strncmp(line, "case ", 5)) {
            check_case(s, rest);
            n++;
        }
    }
    fclose(f);
    sampler_free(s);
    assert_true(n > 120);
}

/* --- one by one --- */

static void
neutral_is_the_plain_softmax(void **state)
{
    enum { V = 40 };
    struct sampler *s = sampler_new(V);
    struct knobs k = neutral();
    struct candidate c[V];
    float l[V];
    double entropy;
    int n_kept;

    for (int i = 0; i < V; i++)
        l[i] = (float)(philox_draw(1, (uint32_t)i, 0, 0, 0) * 20 - 10);
    sampler_peek(s, l, &k, NULL, 0, -1, c, V, &entropy, &n_kept);
    assert_int_equal(n_kept, V);
    for (int i = 0; i < V; i++)
        assert_true(fabsf(c[i].lp - c[i].q) < 2e-6f);
    sampler_free(s);
}

static void
neutral_knobs_change_no_bit(void **state)
{
    /* Each knob alone at its neutral value, in any place, gives the same
     * bits as none at all: compared through q of every token. */
    static const char *const orders[] = { "repeat,top-k,top-p,min-p,temp",
                                          "temp,min-p,top-p,top-k,repeat",
                                          "top-p,temp,repeat,min-p,top-k" };
    enum { V = 40 };
    struct sampler *s = sampler_new(V);
    struct candidate a[V], b[V];
    int history[] = { 1, 2, 3, 3 };
    float l[V];
    double entropy;
    int n_kept;

    for (int i = 0; i < V; i++)
        l[i] = (float)(philox_draw(2, (uint32_t)i, 0, 0, 0) * 20 - 10);
    for (size_t o = 0; o < 3; o++) {
        struct knobs k = with("order", orders[o]);
        struct drawn d;

        k.top_k = V; /* all of them: neutral too */
        sampler_peek(s, l, &k, history, 4, -1, o ? b : a, V, &entropy, &n_kept);
        if (o)
            assert_memory_equal(a, b, sizeof a);
        d = draw_at(s, l, &k, 3);
        assert_true(d.n_kept == V);
    }
    sampler_free(s);
}

static void
ties_go_to_the_lower_id(void **state)
{
    static const float l[6] = { 0, 2, 1, 2, -0.0f, 2 };
    struct sampler *s = sampler_new(6);
    struct knobs k = with("temperature", "0");
    int ids[6];

    assert_int_equal(draw_at(s, l, &k, 0).id, 1);
    k = with("top-k", "2"); /* exactly two, though three tie */
    assert_int_equal(kept(s, l, 6, &k, NULL, 0, ids), 2);
    assert_true(ids[0] == 1 && ids[1] == 3);
    k = with("top-k", "5"); /* zero and minus zero tie */
    assert_int_equal(kept(s, l, 6, &k, NULL, 0, ids), 5);
    assert_int_equal(ids[4], 0);
    sampler_free(s);
}

/* gpt2-ml keeps candidate i where the sum up to and with it stays below P,
 * and always the first. */
static void
top_p_may_drop_the_crossing_token(void **state)
{
    static const float l[] = { -1.6094379f, -0.6931472f, -1.2039728f };
    static const struct {
        const char *p;
        int n;
    } want[] = { { "0.1", 1 },  { "0.49", 1 }, { "0.51", 1 }, { "0.79", 1 },
                 { "0.81", 2 }, { "0.99", 2 }, { "1", 3 } };
    struct sampler *s = sampler_new(3);
    int ids[3];

    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        struct knobs k = with("top-p", want[i].p);

        set(&k, "top-p-rule", "exclusive");
        assert_int_equal(kept(s, l, 3, &k, NULL, 0, ids), want[i].n);
        assert_int_equal(ids[0], 1);
    }
    sampler_free(s);
}

static void
top_p_keeps_the_crossing_token(void **state)
{
    float l[4];
    struct sampler *s = sampler_new(4);
    struct knobs k;
    int ids[4];
    static const struct {
        const char *p;
        int n;
    } want[] = { { "0", 1 },    { "0.4", 1 },  { "0.6", 2 }, { "0.79", 2 },
                 { "0.81", 3 }, { "0.99", 4 }, { "1", 4 } };

    l[0] = logf(0.5f);
    l[1] = logf(0.3f);
    l[2] = logf(0.15f);
    l[3] = logf(0.05f);
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        k = with("top-p", want[i].p);
        assert_int_equal(kept(s, l, 4, &k, NULL, 0, ids), want[i].n);
    }
    sampler_free(s);
}

static void
min_p_is_against_the_largest(void **state)
{
    static const float l[5] = { 3, 3, 3, 1, -50 };
    struct sampler *s = sampler_new(5);
    struct knobs k = with("min-p", "1");
    int ids[5];

    assert_int_equal(kept(s, l, 5, &k, NULL, 0, ids), 3);
    k = with("min-p", "0.13"); /* e^-2 = 0.135 */
    assert_int_equal(kept(s, l, 5, &k, NULL, 0, ids), 4);
    k = with("min-p", "0.14");
    assert_int_equal(kept(s, l, 5, &k, NULL, 0, ids), 3);
    sampler_free(s);
}

/* A penalty that divides negative logits would reward repetition; one that
 * counts occurrences would punish twice. */
static void
repetition_always_punishes_and_once(void **state)
{
    static const float l[3] = { 2, -2, -2 };
    static const int once[] = { 0, 1 }, often[] = { 0, 1, 1, 0, 1 };
    struct sampler *s = sampler_new(3);
    struct knobs k = with("repeat", "2");
    struct candidate a[3], b[3];
    double entropy;
    int n;

    sampler_peek(s, l, &k, once, 2, -1, a, 3, &entropy, &n);
    sampler_peek(s, l, &k, often, 5, -1, b, 3, &entropy, &n);
    assert_memory_equal(a, b, sizeof a);
    /* logits 1, -4, -2 */
    assert_true(fabsf(a[0].q - a[2].q - 3) < 1e-5f);
    assert_true(fabsf(a[1].q - a[2].q - -2) < 1e-5f);
    sampler_free(s);
}

static void
penalties_obey_range_and_exempt_set(void **state)
{
    static const float l[3] = { 1, 1, 1 };
    static const int history[] = { 0, 2, 1, 1 };
    static const bool free_of[3] = { false, false, true };
    struct sampler *s = sampler_new(3);
    struct knobs k = with("frequency", "0.5");
    struct candidate c[3];
    double entropy;
    int n;

    k.presence = 0.25;
    k.repeat_range = 3; /* 2, 1, 1 */
    sampler_exempt(s, free_of, 3);
    sampler_peek(s, l, &k, history, 4, -1, c, 3, &entropy, &n);
    assert_true(c[0].q == c[2].q); /* out of range; exempt */
    assert_true(fabsf(c[0].q - c[1].q - 1.25f) < 1e-6f); /* 2 * .5 + .25 */
    k.repeat_range = 0;
    sampler_peek(s, l, &k, history, 4, -1, c, 3, &entropy, &n);
    assert_true(c[0].q == c[1].q);
    sampler_free(s);
}

static void
order_matters(void **state)
{
    static const float l[4] = { 4, 3, 1, 0 };
    static const int history[] = { 0 };
    struct sampler *s = sampler_new(4);
    struct knobs k = neutral();
    int ids[4];

    /* Hot before top-p: the tail comes in. */
    k.temp = 3;
    k.top_p = 0.65;
    set(&k, "order", "top-p,temp");
    assert_int_equal(kept(s, l, 4, &k, NULL, 0, ids), 1);
    set(&k, "order", "temp,top-p");
    assert_int_equal(kept(s, l, 4, &k, NULL, 0, ids), 2);
    /* The punished favourite falls out of a later top-k, not of an earlier
     * one. */
    k = neutral();
    k.top_k = 2;
    k.repeat = 2;
    k.presence = 1.5;
    set(&k, "order", "repeat,top-k");
    kept(s, l, 4, &k, history, 1, ids);
    assert_true(ids[0] == 1 && ids[1] == 2);
    set(&k, "order", "top-k,repeat");
    kept(s, l, 4, &k, history, 1, ids);
    assert_true(ids[0] == 0 && ids[1] == 1);
    sampler_free(s);
}

/* The tutorial's "random among the top k": also with temperature first the k
 * likeliest stay, not the k lowest ids. */
static void
infinite_temperature_is_uniform_over_what_is_left(void **state)
{
    static const char *const orders[] = { "top-k,temp", "temp,top-k" };
    static const float l[8] = { -3, 0, 9, 1, 2, -1, 8, -2 };
    enum { N = 30000 };
    struct sampler *s = sampler_new(8);

    for (int o = 0; o < 2; o++) {
        struct knobs k = with("temperature", "inf");
        int count[8] = { 0 };
        double chi2 = 0;

        k.top_k = 3;
        set(&k, "order", orders[o]);
        for (uint32_t i = 0; i < N; i++) {
            struct drawn d = draw_at(s, l, &k, i);

            count[d.id]++;
            assert_true(fabsf(d.q - logf(1 / 3.0f)) < 1e-6f);
        }
        assert_int_equal(count[2] + count[4] + count[6], N);
        for (int i = 2; i <= 6; i += 2)
            chi2 += pow(count[i] - N / 3.0, 2) / (N / 3.0);
        assert_true(chi2 < 18.4); /* 2 degrees of freedom, p = 1e-4 */
    }
    sampler_free(s);
}

static void
draws_follow_the_distribution(void **state)
{
    enum { V = 12, N = 100000 };
    struct sampler *s = sampler_new(V);
    struct knobs k = with("temperature", "0.8");
    struct candidate c[V];
    int count[V] = { 0 }, n_kept;
    double entropy, chi2 = 0;
    float l[V];

    for (int i = 0; i < V; i++)
        l[i] = (float)(philox_draw(5, (uint32_t)i, 0, 0, 0) * 4);
    sampler_peek(s, l, &k, NULL, 0, -1, c, V, &entropy, &n_kept);
    for (uint32_t i = 0; i < N; i++)
        count[draw_at(s, l, &k, i).id]++;
    for (int i = 0; i < V; i++) {
        double want = N * exp(c[i].q);

        chi2 += pow(count[c[i].id] - want, 2) / want;
    }
    assert_true(chi2 < 37.4); /* 11 degrees of freedom, p = 1e-4 */
    sampler_free(s);
}

static void
renumbering_the_vocabulary_renumbers_the_draw(void **state)
{
    enum { V = 500 };
    struct sampler *s = sampler_new(V);
    struct knobs k;
    float a[V], b[V];

    for (int i = 0; i < V; i++)
        a[i] = (float)(philox_draw(3, (uint32_t)i, 0, 0, 0) * 12);
    for (int i = 0; i < V; i++)
        b[(i * 7 + 3) % V] = a[i];
    knobs_default(&k);
    for (uint32_t i = 0; i < 300; i++) {
        struct drawn x, y;

        k.top_k = i % 3 ? 0 : 40;
        k.top_p = i % 2 ? 0.9 : 1;
        x = draw_at(s, a, &k, i);
        y = draw_at(s, b, &k, i);
        assert_int_equal((x.id * 7 + 3) % V, y.id);
        assert_int_equal(x.n_kept, y.n_kept);
    }
    sampler_free(s);
}

static void
banned_and_broken_logits_are_never_drawn(void **state)
{
    enum { V = 9 };
    static const int bans[] = { 0, 100, -5 }, bias_ids[] = { 1 };
    static const float bias[] = { -INFINITY };
    float l[V] = { 50, 50, NAN, INFINITY, -INFINITY, 50, 1, 0, -3.4e38f };
    static const char *const temps[] = { "0", "0.05", "1", "5", "inf" };
    struct sampler *s = sampler_new(V);

    sampler_ban(s, bans, 3);
    sampler_bias(s, bias_ids, bias, 1);
    for (int t = 0; t < 5; t++) {
        struct knobs k = with("temperature", temps[t]);

        k.repeat = 1.5;
        for (uint32_t i = 0; i < 2000; i++) {
            struct draw at = { .seed = 4, .i = i };
            struct drawn d;
            struct err err;
            int history[] = { 8, 8, 6, 0, 77, -1 };

            assert_true(sampler_draw(s, l, &k, history, 6, 5, &at, &d, &err));
            assert_true(d.id >= 6 && d.id <= 8);
            assert_true(isfinite(d.lp) && isfinite(d.q));
        }
    }
    sampler_free(s);
}

static void
nothing_left_is_an_error(void **state)
{
    float l[3] = { -INFINITY, NAN, 1 };
    static const int ban[] = { 2 };
    struct sampler *s = sampler_new(3);
    struct knobs k = neutral();
    struct draw at = { 0 };
    struct drawn d;
    struct candidate c[3];
    struct err err = { 0 };
    double entropy;
    int n_kept;

    assert_true(sampler_draw(s, l, &k, NULL, 0, -1, &at, &d, &err));
    sampler_ban(s, ban, 1);
    assert_false(sampler_draw(s, l, &k, NULL, 0, -1, &at, &d, &err));
    assert_int_equal(err.kind, ERR_FAILED);
    assert_int_equal(sampler_peek(s, l, &k, NULL, 0, -1, c, 3, &entropy,
                                  &n_kept),
                     1);
    assert_int_equal(n_kept, 0);
    assert_int_equal(c[0].cut, STAGE_MASK);
    sampler_free(s);
}

static void
peek_names_the_knob_that_cut(void **state)
{
    static const float l[6] = { 5, 4.9f, 4, 3, 2, 4.8f };
    static const int ban[] = { 5 };
    struct sampler *s = sampler_new(6);
    struct knobs k = with("top-k", "4");
    struct candidate c[6];
    double entropy, sum = 0;
    int n_kept;

    k.top_p = 0.9;
    k.min_p = 0.5;
    sampler_ban(s, ban, 1);
    assert_int_equal(sampler_peek(s, l, &k, NULL, 0, -1, c, 6, &entropy,
                                  &n_kept),
                     6);
    assert_int_equal(n_kept, 2);
    assert_int_equal(c[0].cut, STAGE_NONE);
    assert_int_equal(c[1].cut, STAGE_NONE);
    assert_int_equal(c[2].id, 5);
    assert_int_equal(c[2].cut, STAGE_MASK);
    assert_int_equal(c[3].cut, STAGE_MIN_P); /* id 2, p/p1 = 0.37 */
    assert_int_equal(c[4].cut, STAGE_TOP_P); /* id 3 */
    assert_int_equal(c[5].cut, STAGE_TOP_K); /* id 4 */
    for (int i = 0; i < 6; i++)
        sum += exp(c[i].q);
    assert_true(fabs(sum - 1) < 1e-6);
    sampler_free(s);
}

static void
bias_acts_and_a_phrase_only_when_due(void **state)
{
    static const float l[4] = { 1, 1, 1, 1 };
    static const int id[] = { 2 }, phrase[] = { 0, 1, 3 };
    static const float add[] = { 2 };
    static const int before[] = { 3, 0, 1 }, other[] = { 1, 0 };
    struct sampler *s = sampler_new(4);
    struct knobs k = neutral();
    struct candidate c[4];
    double entropy;
    int n_kept;

    sampler_bias(s, id, add, 1);
    sampler_bias_phrase(s, phrase, 3, -INFINITY);
    sampler_peek(s, l, &k, other, 2, -1, c, 4, &entropy, &n_kept);
    assert_int_equal(n_kept, 4);
    assert_true(fabsf(c[2].q - c[0].q - 2) < 1e-6f);
    sampler_peek(s, l, &k, before, 3, -1, c, 4, &entropy, &n_kept);
    assert_int_equal(n_kept, 3);
    assert_int_equal(c[3].cut, STAGE_MASK);
    sampler_bias(s, NULL, NULL, 0); /* replaces all */
    sampler_peek(s, l, &k, before, 3, -1, c, 4, &entropy, &n_kept);
    assert_int_equal(n_kept, 4);
    assert_true(c[2].q == c[0].q);
    sampler_free(s);
}

/* Large rows go through selection and growing sorts: the same as a full
 * sort would give. */
static void
large_rows_are_sorted_as_far_as_needed(void **state)
{
    enum { V = 20000 };
    struct sampler *s = sampler_new(V);
    float *l = malloc(V * sizeof *l);
    struct knobs k = neutral();
    struct candidate *c = malloc(V * sizeof *c);
    double entropy;
    int n_kept;

    for (int i = 0; i < V; i++) /* many ties */
        l[i] = floorf((float)philox_draw(8, (uint32_t)i, 0, 0, 0) * 3000) / 300;
    assert_int_equal(sampler_peek(s, l, &k, NULL, 0, -1, c, V, &entropy,
                                  &n_kept),
                     V);
    for (int i = 1; i < V; i++)
        assert_true(c[i - 1].lp > c[i].lp ||
                    (c[i - 1].lp == c[i].lp && c[i - 1].id < c[i].id));
    for (uint32_t i = 0; i < 40; i++) {
        struct drawn d = draw_at(s, l, &k, i);
        double sum = 0;
        int at = 0;

        while (at < V - 1 && (sum += exp(c[at].q)) <= d.u)
            at++;
        assert_true(abs(c[at].id - d.id) == 0 ||
                    fabs(sum - d.u) < 1e-6); /* on a border */
        set(&k, "top-k", i % 2 ? "777" : "1");
        d = draw_at(s, l, &k, i);
        assert_int_equal(d.n_kept, i % 2 ? 777 : 1);
        k.top_k = 0;
    }
    free(c);
    free(l);
    sampler_free(s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_script),
        cmocka_unit_test(neutral_is_the_plain_softmax),
        cmocka_unit_test(top_p_may_drop_the_crossing_token),
        cmocka_unit_test(neutral_knobs_change_no_bit),
        cmocka_unit_test(ties_go_to_the_lower_id),
        cmocka_unit_test(top_p_keeps_the_crossing_token),
        cmocka_unit_test(min_p_is_against_the_largest),
        cmocka_unit_test(repetition_always_punishes_and_once),
        cmocka_unit_test(penalties_obey_range_and_exempt_set),
        cmocka_unit_test(order_matters),
        cmocka_unit_test(infinite_temperature_is_uniform_over_what_is_left),
        cmocka_unit_test(draws_follow_the_distribution),
        cmocka_unit_test(renumbering_the_vocabulary_renumbers_the_draw),
        cmocka_unit_test(banned_and_broken_logits_are_never_drawn),
        cmocka_unit_test(nothing_left_is_an_error),
        cmocka_unit_test(peek_names_the_knob_that_cut),
        cmocka_unit_test(bias_acts_and_a_phrase_only_when_due),
        cmocka_unit_test(large_rows_are_sorted_as_far_as_needed),
    };

    return cmocka_run_group_tests_name("sampler", tests, NULL, NULL);
}
