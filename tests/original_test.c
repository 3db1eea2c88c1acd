/* tests/original_test.c  Against recordings of the original programs.
 *
 * gpt2-ml's and OpenAI's own code run in TensorFlow, and GGUF files computed
 * with gguf-py and transformers: logits, greedy ids, tokenizer ids, sampler
 * sets, and folders of broken files. All of it lies in the shared folder;
 * what the suite proves without it stands in forms_test.c and load_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>

#include "engine/sampler.h"

#include "tests/originals.h"

static const struct model_options no_vocab = { .no_vocab_needed = true };

static int
is_name(const struct dirent *e)
{
    return e->d_name[0] != '.' && strcmp(e->d_name, "bad") != 0;
}

/* Calls one(dir, name) for every folder in dir; returns how many. */
static int
each_folder(const char *dir, void (*one)(const char *dir, const char *name))
{
    struct dirent **v;
    int n = scandir(dir, &v, is_name, alphasort), done = 0;

    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        char *path = xasprintf("%s/%s/case.json", dir, v[i]->d_name);

        if (access(path, R_OK) == 0) {
            one(dir, v[i]->d_name);
            done++;
        }
        free(path);
        free(v[i]);
    }
    free(v);
    return done;
}

/* --- vocabularies --- */

static void
must_encode(const struct vocab *v, const json_t *text, const json_t *want)
{
    int *ids, *expected;
    struct err err = { 0 };
    size_t n, m = json_ids(want, &expected);

    if (!vocab_encode(v, json_string_value(text), json_string_length(text), 0,
                      &ids, &n, &err))
        fail_msg("%s", err.msg);
    if (n != m || memcmp(ids, expected, n * sizeof *ids) != 0)
        fail_msg("other ids: %.60s", json_string_value(text));
    free(ids);
    free(expected);
}

static size_t
check_lines(const char *file, const struct vocab *v)
{
    FILE *f = fopen(file, "r");
    char *line = NULL;
    size_t cap = 0, n = 0;

    assert_non_null(f);
    while (getline(&line, &cap, f) > 0) {
        json_t *j = json_loads(line, JSON_ALLOW_NUL, NULL);

        assert_non_null(j);
        if (n++ > 0) /* the first is a heading */
            must_encode(v, json_object_get(j, "text"),
                        json_object_get(j, "ids"));
        json_decref(j);
    }
    free(line);
    fclose(f);
    return n - 1;
}

static void
tokenizers_of_the_originals(void **state)
{
    static const struct {
        const char *list, *vocab, *profile;
    } rows[] = {
        { "clue", "clue-vocab.txt", "gpt2-ml" },
        { "bert", "bert-base-chinese-vocab.txt", "gpt2-ml" },
        { "openai", NULL, NULL },
    };
    char *dir = shared("original/tf/tokenizer"), *vocabs = shared("vocab");
    char *own = scratch_make();

    for (size_t i = 0; i < 3; i++) {
        char *file = xasprintf("%s/%s.jsonl", dir, rows[i].list), *path;
        struct err err = { 0 };
        struct vocab *v;

        if (rows[i].vocab) {
            path = xasprintf("%s/%s", vocabs, rows[i].vocab);
        } else { /* as they lie in OpenAI's folder */
            char *a = xasprintf("%s/gpt2-encoder.json", vocabs);
            char *b = xasprintf("%s/gpt2-vocab.bpe", vocabs);
            char *c = xasprintf("%s/encoder.json", own);
            char *d = xasprintf("%s/vocab.bpe", own);

            assert_int_equal(symlink(a, c), 0);
            assert_int_equal(symlink(b, d), 0);
            free(a);
            free(b);
            free(c);
            free(d);
            path = xstrdup(own);
        }
        v = vocab_open_as(path, rows[i].profile, &err);
        if (!v)
            fail_msg("%s", err.msg);
        assert_int_equal(check_lines(file, v), 620);
        vocab_close(v);
        free(file);
        free(path);
    }
    scratch_remove(own);
    free(vocabs);
    free(dir);
}

/* gpt2-ml's vocabulary is not in its checkpoints: found by its size in a
 * folder of many, and a wrong one refused with the name of the right one. */
static void
vocabulary_of_gpt2_ml(void **state)
{
    char *dir = shared("original/tf/grover"), *vocabs = shared("vocab");
    static const struct {
        const char *model, *right, *wrong, *named;
        int n;
    } rows[] = {
        { "clue-8021", "clue-vocab.txt", "bert-base-chinese-vocab.txt",
          "clue-vocab.txt of", 8021 },
        { "bert-21130", "bert-base-chinese-vocab.txt", "clue-vocab.txt",
          "bert-base-chinese", 21128 },
    };

    for (size_t i = 0; i < 2; i++) {
        char *path = xasprintf("%s/%s", dir, rows[i].model);
        char *right = xasprintf("%s/%s", vocabs, rows[i].right);
        char *wrong = xasprintf("%s/%s", vocabs, rows[i].wrong);
        struct model_options opt = { .vocab_only = true };
        const char *const good[] = { right, vocabs };
        const char *const bad[] = { NULL, wrong };

        for (size_t k = 0; k < 2; k++) {
            struct err err = { 0 };
            struct model *m;

            opt.vocab = good[k];
            m = must_open(path, &opt);
            assert_int_equal(vocab_size(model_vocab(m)), rows[i].n);
            model_close(m);
            opt.vocab = bad[k];
            assert_null(model_open(path, &opt, &err));
            assert_int_equal(err.kind, ERR_MODEL);
            assert_non_null(strstr(err.msg, rows[i].named));
        }
        model_close(must_open(path, &no_vocab));
        free(path);
        free(right);
        free(wrong);
    }
    free(vocabs);
    free(dir);
}

/* --- GGUF --- */

static void
gguf_case(const char *dir, const char *name)
{
    char *path = xasprintf("%s/%s", dir, name), *file, *data;
    json_t *c = must_load_json(path, "case.json"), *row;
    size_t V = (size_t)json_integer_value(json_object_get(c, "n_vocab")), i;
    double worst = 0;
    int *ids, *greedy;
    size_t len, n, n_new;
    struct model *m;

    file = xasprintf("%s/model.gguf", path);
    m = must_open(file, NULL);
    assert_int_equal(model_info(m)->n_vocab, V);
    free(file);
    file = xasprintf("%s/logits.f32", path);
    must_read(file, &data, &len);
    assert_int_equal(len, 2 * 40 * V * 4);
    json_array_foreach(json_object_get(c, "prompts"), i, row)
    {
        n = json_ids(row, &ids);
        assert_int_equal(n, 40);
        worst = fmax(worst,
                     difference_from(m, ids, n, (float *)data + i * n * V, 0));
        free(ids);
    }
    if (!(worst <= 2e-5))
        fail_msg("%s: logits differ by %g", name, worst);
    n = json_ids(json_object_get(c, "greedy_prompt"), &ids);
    n_new = json_ids(json_object_get(c, "greedy"), &greedy);
    assert_int_equal(n_new, 60);
    must_continue(m, name, ids, n, greedy, n_new);
    json_array_foreach(json_object_get(c, "strings"), i, row)
        must_encode(model_vocab(m), json_object_get(row, "t"),
                    json_object_get(row, "ids"));
    print_message("# gguf %-16s %.2g\n", name, worst);
    model_close(m);
    free(ids);
    free(greedy);
    free(data);
    free(file);
    free(path);
    json_decref(c);
}

static void
gguf_models(void **state)
{
    char *dir = shared("original/tok/gguf");

    assert_true(each_folder(dir, gguf_case) >= 17);
    free(dir);
}

static void
gguf_broken_files(void **state)
{
    char *dir = shared("original/tok/gguf/bad"), *path;
    json_t *cases = must_load_json(dir, "cases.json"), *c;
    const char *name;
    int n = 0;

    json_object_foreach(cases, name, c)
    {
        struct err err = { 0 };
        struct model *m;

        path = xasprintf("%s/%s", dir, name);
        m = model_open(path, NULL, &err);
        check_expectation(name, json_text_of(c, "expect"), path, m, &err);
        model_close(m);
        free(path);
        n++;
    }
    assert_true(n > 100);
    json_decref(cases);
    free(dir);
}

/* llama.cpp's vocabulary files have no weights at all. */
static void
gguf_vocabularies(void **state)
{
    static const char between[] = "\n__ggml_vocab_test__\n";
    char *dir = shared("vocab"), *path, *inp, *out, *a, *b;
    struct err err = { 0 };
    struct vocab *v;
    size_t len, n = 0;

    path = xasprintf("%s/ggml-vocab-gpt-2.gguf", dir);
    v = vocab_open(path, &err);
    if (!v)
        fail_msg("%s", err.msg);
    free(path);
    path = xasprintf("%s/ggml-vocab-gpt-2.gguf.inp", dir);
    must_read(path, &inp, &len);
    free(path);
    path = xasprintf("%s/ggml-vocab-gpt-2.gguf.out", dir);
    must_read(path, &out, &len);
    for (a = inp, b = out; *b; n++) {
        char *next = strstr(a, between), *p = b, *end;
        size_t a_len = next ? (size_t)(next - a) : strlen(a), k = 0, n_ids;
        int *ids;

        assert_true(vocab_encode(v, a, a_len, 0, &ids, &n_ids, &err));
        for (; *p && *p != '\n'; p = end) {
            long id = strtol(p, &end, 10);

            assert_true(end > p && k < n_ids);
            assert_int_equal(ids[k++], id);
            while (*end == ' ')
                end++;
        }
        assert_int_equal(k, n_ids);
        free(ids);
        b = *p ? p + 1 : p;
        if (!next)
            break;
        a = next + strlen(between);
    }
    assert_true(n > 30);
    vocab_close(v);
    free(path);
    path = xasprintf("%s/ggml-vocab-bert-bge.gguf", dir);
    v = vocab_open(path, &err);
    if (!v)
        fail_msg("%s", err.msg);
    assert_string_equal(vocab_kind(v), "wordpiece");
    assert_int_equal(vocab_size(v), 30522);
    vocab_close(v);
    free(path);
    free(inp);
    free(out);
    free(dir);
}

/* --- TensorFlow --- */

static void
tf_prompt(const struct model *m, const char *dir, const char *name,
          const json_t *p, double *worst)
{
    char *file = xasprintf("%s/%s", dir, json_text_of(p, "logits"));
    size_t rows = (size_t)json_integer_value(
        json_array_get(json_object_get(p, "shape"), 0));
    int *ids, *greedy;
    size_t n = json_ids(json_object_get(p, "ids"), &ids);
    size_t n_new = json_ids(json_object_get(p, "greedy"), &greedy);

    assert_true(n_new > 100 && rows <= n);
    *worst = fmax(*worst, difference(m, ids, n, file, n - rows));
    must_continue(m, name, ids, n, greedy, n_new);
    free(ids);
    free(greedy);
    free(file);
}

static void
tf_case(const char *dir, const char *name)
{
    char *path = xasprintf("%s/%s", dir, name), *from, *prefix;
    json_t *c = must_load_json(path, "case.json"), *own = c, *p;
    const char *same = json_text_of(c, "same_results_as");
    struct model *m[2];
    double worst = 0;
    size_t i;

    from = xasprintf("%s/%s", dir, same ? same : name);
    if (same)
        c = must_load_json(from, "case.json");
    prefix = xasprintf("%s/%s", path, json_text_of(own, "checkpoint"));
    m[0] = must_open(path, &no_vocab);   /* by the folder */
    m[1] = must_open(prefix, &no_vocab); /* by what the files share */
    assert_string_equal(model_info(m[0])->network,
                        json_text_of(own, "network"));
    json_array_foreach(json_object_get(c, "prompts"), i, p)
        tf_prompt(m[i % 2], from, name, p, &worst);
    assert_true(i >= 2);
    if (!(worst <= 5e-5))
        fail_msg("%s: logits differ by %g", name, worst);
    print_message("# tf %-16s %.2g\n", name, worst);
    model_close(m[0]);
    model_close(m[1]);
    if (same)
        json_decref(c);
    json_decref(own);
    free(prefix);
    free(from);
    free(path);
}

static void
tensorflow_models(void **state)
{
    char *grover = shared("original/tf/grover");
    char *openai = shared("original/tf/openai");

    assert_true(each_folder(grover, tf_case) >= 8);
    assert_true(each_folder(openai, tf_case) >= 2);
    free(grover);
    free(openai);
}

static void
tensorflow_broken_files(void **state)
{
    static const int ids[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 };
    char *dir = shared("original/tf/bad"), *path, *good;
    json_t *all = must_load_json(dir, "cases.json"), *c;
    size_t i;

    good = xasprintf("%s/logits.f32", dir);
    json_array_foreach(json_object_get(all, "cases"), i, c)
    {
        const char *expect = json_text_of(c, "expect");
        struct err err = { 0 };
        struct model *m;

        path = xasprintf("%s/%s", dir, json_text_of(c, "checkpoint"));
        m = model_open(path, &no_vocab, &err);
        check_expectation(json_text_of(c, "case"), expect, path, m, &err);
        if (m && strcmp(expect, "load") == 0)
            assert_true(difference(m, ids, 10, good, 0) <= 5e-5);
        model_close(m);
        free(path);
    }
    assert_true(i >= 70);
    json_decref(all);
    free(good);
    free(dir);
}

/* --- the sampler of gpt2-ml --- */

static bool
is_in(const int *ids, size_t n, int id)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] == id)
            return true;
    return false;
}

static void
check_set(struct sampler *s, const float *logits, size_t V,
          const struct knobs *k, const json_t *order, const char *what,
          const float *dist)
{
    struct candidate *c = xcalloc(V, sizeof *c);
    int *want, n_kept;
    size_t n = json_ids(order, &want), i;
    double entropy;

    assert_int_equal(sampler_peek(s, logits, k, NULL, 0, -1, c, V, &entropy,
                                  &n_kept),
                     V);
    if ((size_t)n_kept != n)
        fail_msg("%s: %d are kept, not %zu", what, n_kept, n);
    for (i = 0; i < V; i++) {
        assert_int_equal(c[i].cut == STAGE_NONE, is_in(want, n, c[i].id));
        if (dist)
            assert_true(fabs(exp((double)c[i].q) - (double)dist[c[i].id]) <
                        2e-6);
    }
    free(want);
    free(c);
}

static struct knobs
preset(const char *name)
{
    struct knobs k;

    knobs_default(&k);
    preset_apply(&k, preset_find(name));
    return k;
}

static void
sampler_of_gpt2_ml(void **state)
{
    static const int zero[] = { 0 };
    char *dir = shared("original/tf/sampler"), *file, *data, what[64];
    json_t *all = must_load_json(dir, "grover.json"), *c, *order;
    struct knobs k = preset("gpt2-ml");
    struct sampler *s = sampler_new(211), *plain = sampler_new(211);
    size_t i, r, len, checked = 0;
    const float *logits;

    sampler_ban(s, zero, 1);
    file = xasprintf("%s/logits.f32", dir);
    must_read(file, &data, &len);
    free(file);
    assert_int_equal(len, 15 * 211 * 4);
    logits = (const float *)data;
    json_array_foreach(json_object_get(all, "top_p"), i, c)
    {
        size_t row = (size_t)json_integer_value(json_object_get(c, "row"));
        double p = json_number_value(json_object_get(c, "p"));
        double margin = json_number_value(json_object_get(c, "margin"));
        char *dist = NULL;

        if (margin < 3e-6 && row < 9)
            continue; /* on the edge of a float32 sum */
        snprintf(what, sizeof what, "%.3g", p);
        file = xasprintf("%s/%s", dir,
                         json_text_of(json_object_get(all, "p_dists"), what));
        if (access(file, R_OK) == 0)
            must_read(file, &dist, &len);
        free(file);
        snprintf(what, sizeof what, "row %zu, p %g", row, p);
        k.top_p = p;
        check_set(s, logits + row * 211, 211, &k, json_object_get(c, "order"),
                  what, dist ? (const float *)dist + row * 211 : NULL);
        free(dist);
        checked++;
    }
    assert_true(checked > 90);
    k = preset("gpt2-ml");
    k.top_p = 1;
    json_array_foreach(json_object_get(all, "top_k"), i, c)
    {
        k.top_k = json_integer_value(json_object_get(c, "k"));
        json_array_foreach(json_object_get(c, "order"), r, order)
        {
            snprintf(what, sizeof what, "row %zu, k %lld", r,
                     (long long)k.top_k);
            check_set(plain, logits + r * 211, 211, &k, order, what, NULL);
        }
    }
    sampler_free(s);
    sampler_free(plain);
    json_decref(all);
    free(data);
    free(dir);
}

/* --- trained models --- */

static bool
take_row(void *ud, size_t i, const float *logits)
{
    memcpy(ud, logits, 6 * sizeof *logits);
    return true;
}

static void
trained_models(void **state)
{
    char *dir = shared("real"), *path;
    json_t *all = must_load_json(dir, "expected.json"), *c;
    const char *name;
    int n = 0;

    json_object_foreach(all, name, c)
    {
        const json_t *row = json_object_get(c, "logits0_after_endoftext");
        int zero = 0, *greedy;
        size_t n_new = json_ids(json_object_get(c, "greedy24_from_0"), &greedy);
        struct err err = { 0 };
        float got[6];
        struct model *m;

        path = xasprintf("%s/%s", dir, name);
        m = model_open(path, &no_vocab, &err);
        check_expectation(name, row ? "load" : "either", path, m, &err);
        if (m && row) {
            assert_true(model_logits(m, &zero, 1, take_row, got, &err));
            for (size_t i = 0; i < 6; i++)
                assert_true(fabs((double)got[i] -
                                 json_number_value(json_array_get(row, i))) <
                            1e-4);
            must_continue(m, name, &zero, 1, greedy, n_new);
            n++;
        }
        model_close(m);
        free(greedy);
        free(path);
    }
    assert_int_equal(n, 2);
    json_decref(all);
    free(dir);
}

/* OpenAI's own index files, without their data: all is understood, and the
 * file that is missing is named. */
static void
published_indexes(void **state)
{
    static const char *const names[] = { "124M", "355M",
                                         "gpt2simple-run1/model-1000" };
    char *dir = shared("real/tf1-index"), *path;

    for (size_t i = 0; i < 3; i++) {
        struct err err = { 0 };

        path = xasprintf("%s/%s", dir, names[i]);
        assert_null(model_open(path, &no_vocab, &err));
        print_message("# %s\n", err.msg + strlen(dir));
        assert_non_null(strstr(err.msg, ".data-00000-of-00001"));
        free(path);
    }
    free(dir);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokenizers_of_the_originals),
        cmocka_unit_test(vocabulary_of_gpt2_ml),
        cmocka_unit_test(gguf_models),
        cmocka_unit_test(gguf_broken_files),
        cmocka_unit_test(gguf_vocabularies),
        cmocka_unit_test(tensorflow_models),
        cmocka_unit_test(tensorflow_broken_files),
        cmocka_unit_test(sampler_of_gpt2_ml),
        cmocka_unit_test(trained_models),
        cmocka_unit_test(published_indexes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
