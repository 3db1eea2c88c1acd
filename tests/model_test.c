/* tests/model_test.c  From a path to logits, and who a model is.
 *
 * The logits beside the tiny models come from a float64 forward pass in
 * Python (tools/make_tiny_models.py). The models of the shared folder, saved
 * and computed by the original libraries, are tried where they are at hand.
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

#include "tests/originals.h"

static const int IDS[] = { 4, 17, 60, 0, 23, 8, 8, 41, 5, 33, 12, 59 };
#define N_IDS (sizeof IDS / sizeof *IDS)

static const struct model_options no_vocab = { .no_vocab_needed = true };

/* --- logits --- */

static void
logits_of_all_forms(void **state)
{
    static const struct {
        const char *path, *want;
    } rows[] = {
        { "f32", "tied" },    { "f16", "tied" },   { "bf16", "tied" },
        { "masks", "tied" },  { "linear", "tied" }, { "shards", "tied" },
        { "untied", "untied" },
    };
    struct model *m;
    char file[64];
    size_t i;

    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        m = must_open(tiny(rows[i].path), &no_vocab);
        snprintf(file, sizeof file, "%s.logits", rows[i].want);
        assert_true(difference(m, IDS, N_IDS, tiny(file), 0) < 2e-5);
        model_close(m);
    }
}

/* The numbers of the configuration reach the arithmetic; and the measure
 * sees a mistake: the plain model is far from these logits. */
static void
configuration_reaches_the_arithmetic(void **state)
{
    static const char config[] =
        "{\"n_head\": 4, \"activation_function\": \"gelu\","
        "\"layer_norm_epsilon\": 1e-3,"
        "\"scale_attn_by_inverse_layer_idx\": true}";
    char *dir = scratch_make();
    struct model *m;

    scratch_link(dir, "model.safetensors", "f32/model.safetensors");
    scratch_put(dir, "config.json", config, sizeof config - 1);
    m = must_open(dir, &no_vocab);
    assert_true(difference(m, IDS, N_IDS, tiny("variant.logits"), 0) < 2e-5);
    model_close(m);
    m = must_open(tiny("f32"), &no_vocab);
    assert_true(difference(m, IDS, N_IDS, tiny("variant.logits"), 0) > 1e-2);
    model_close(m);
    scratch_remove(dir);
}

static size_t
read_ids(const char *file, int *ids, size_t cap)
{
    size_t n = 0, len;
    char *text, *p, *end;

    must_read(file, &text, &len);
    for (p = text; n < cap; p = end) {
        long v = strtol(p, &end, 10);

        if (end == p)
            break;
        ids[n++] = (int)v;
    }
    free(text);
    return n;
}

static void
greedy_to_the_last_position(void **state)
{
    static const char *const rows[][2] = { { "bf16", "tied.greedy" },
                                           { "untied", "untied.greedy" } };
    int want[64], got[64];
    struct err err = { 0 };
    struct model *m;
    size_t i, n;

    for (i = 0; i < 2; i++) {
        n = read_ids(tiny(rows[i][1]), want, 64);
        assert_int_equal(n, 25);
        m = must_open(tiny(rows[i][0]), &no_vocab);
        assert_true(model_greedy(m, IDS, N_IDS, got, n - N_IDS, &err));
        assert_memory_equal(got, want + N_IDS, sizeof(int) * (n - N_IDS));
        assert_false(model_greedy(m, IDS, N_IDS, got, n - N_IDS + 1, &err));
        assert_int_equal(err.kind, ERR_USAGE);
        model_close(m);
    }
}

static bool
stop_at_two(void *ud, size_t i, const float *logits)
{
    return ++*(int *)ud < 2;
}

static void
ids_are_checked(void **state)
{
    static const int bad[] = { 1, 61 }, worse[] = { -1 };
    int many[25] = { 0 }, n = 0, out;
    struct err err = { 0 };
    struct model *m = must_open(tiny("f32"), &no_vocab);

    assert_false(model_logits(m, bad, 2, stop_at_two, &n, &err));
    assert_int_equal(err.kind, ERR_USAGE);
    assert_non_null(strstr(err.msg, "61"));
    assert_false(model_logits(m, worse, 1, stop_at_two, &n, &err));
    assert_false(model_logits(m, many, 25, stop_at_two, &n, &err));
    assert_non_null(strstr(err.msg, "24"));
    assert_false(model_logits(m, many, 0, stop_at_two, &n, &err));
    assert_int_equal(n, 0);
    assert_true(model_logits(m, many, 24, stop_at_two, &n, &err));
    assert_int_equal(n, 2);
    assert_false(model_greedy(m, bad, 2, &out, 1, &err));
    assert_false(model_greedy(m, many, 24, &out, SIZE_MAX, &err));
    assert_true(model_greedy(m, many, 24, &out, 1, &err));
    assert_true(model_greedy(m, many, 24, &out, 0, &err));
    model_close(m);
}

/* --- what is told of a model --- */

static void
description(void **state)
{
    struct model *m = must_open(tiny("f32/"), NULL);
    const struct model_info *i = model_info(m);

    assert_string_equal(i->name, "f32");
    assert_string_equal(i->network, "gpt2");
    assert_string_equal(i->type, "f32");
    assert_int_equal(i->n_vocab, 61);
    assert_int_equal(i->n_pos, 24);
    assert_int_equal(i->n_embd, 16);
    assert_int_equal(i->n_layer, 3);
    assert_int_equal(i->n_head, 2);
    assert_int_equal(i->n_ff, 40);
    assert_int_equal(i->n_params, 61 * 16 + 24 * 16 + 3 * 2488 + 32);
    assert_true(i->weight_bytes >= 4 * i->n_params);
    assert_true(i->tied && i->has_vocab && i->char_like);
    assert_non_null(model_vocab(m));
    assert_int_equal(vocab_size(model_vocab(m)), 57);
    assert_int_equal(strlen(model_tok_hash(m)), 64);
    assert_string_equal(model_arithmetic(m), "strict/1/f32");
    assert_null(model_note(m, -1));
    model_close(m);
}

static void
names(void **state)
{
    struct model *m;

    m = must_open(tiny("f16/model.safetensors"), &no_vocab);
    assert_string_equal(model_info(m)->name, "model.safetensors");
    assert_false(model_info(m)->has_vocab);
    assert_null(model_vocab(m));
    assert_string_equal(model_tok_hash(m), "");
    model_close(m);
    assert_int_equal(chdir(tiny("f16")), 0);
    m = must_open(".", &no_vocab);
    assert_string_equal(model_info(m)->name, "f16");
    model_close(m);
    m = must_open("../bf16/.", &no_vocab);
    assert_string_equal(model_info(m)->name, "bf16");
    model_close(m);
    assert_int_equal(chdir("/"), 0);
}

static void
vocabularies(void **state)
{
    struct model_options opt = { .vocab = tiny("f32") };
    char *dir = scratch_make(), *text, *more;
    struct err err = { 0 };
    struct model *m;
    size_t len;

    assert_null(model_open(tiny("f16"), NULL, &err)); /* there is none */
    assert_int_equal(err.kind, ERR_MODEL);
    assert_non_null(strstr(err.msg, "no vocabulary"));
    m = must_open(tiny("f16"), &opt); /* another's */
    assert_true(model_info(m)->has_vocab);
    model_close(m);
    scratch_link(dir, "model.safetensors", "f32/model.safetensors");
    scratch_link(dir, "config.json", "f32/config.json");
    must_read(tiny("f32/vocab.txt"), &text, &len);
    more = xasprintf("%s\nw1\nw2\nw3\nw4\n", text);
    scratch_put(dir, "vocab.txt", more, strlen(more)); /* 61 and one blank */
    assert_null(model_open(dir, NULL, &err));
    assert_int_equal(err.kind, ERR_MODEL);
    assert_non_null(strstr(err.msg, "does not belong to this model"));
    assert_non_null(strstr(err.msg, dir));
    assert_null(model_open(dir, &no_vocab, &err)); /* there, but wrong */
    free(more);
    more = xasprintf("%sw1\nw2\nw3\nw4\n", text);
    scratch_put(dir, "vocab.txt", more, strlen(more));
    model_close(must_open(dir, NULL));
    free(more);
    free(text);
    scratch_remove(dir);
}

static bool
never(void *ud, size_t done, size_t total)
{
    ++*(int *)ud;
    return false;
}

static void
loading_is_cancelled(void **state)
{
    int calls = 0;
    struct model_options opt = { .progress = never, .ud = &calls,
                                 .no_vocab_needed = true };
    struct err err = { 0 };

    assert_null(model_open(tiny("f16"), &opt, &err));
    assert_int_equal(err.kind, ERR_CANCELLED);
    assert_int_equal(calls, 1);
}

/* --- hashes --- */

static void
sha256sum(const char *path, char hex[65])
{
    char *cmd = xasprintf("sha256sum '%s'", path);
    FILE *f = popen(cmd, "r");

    assert_int_equal(fread(hex, 1, 64, f), 64);
    hex[64] = '\0';
    pclose(f);
    free(cmd);
}

static void
hashes_and_their_cache(void **state)
{
    char *dir = scratch_make(), *cache, hex[65], *text, *all;
    const atomic_bool stop = true;
    struct model_hashes a, b, c;
    struct err err = { 0 };
    struct model *m;
    size_t len, n;
    char *path = xasprintf("%s/model.safetensors", dir);

    setenv("XDG_CACHE_HOME", dir, 1);
    cache = xasprintf("%s/jielong/sha", dir);
    must_read(tiny("f32/model.safetensors"), &all, &n);
    scratch_put(dir, "model.safetensors", all, n);
    scratch_link(dir, "config.json", "f32/config.json");
    scratch_link(dir, "vocab.txt", "f32/vocab.txt");
    m = must_open(dir, NULL);
    /* Nobody waits for it: it ends, and half a sum is not remembered. */
    assert_false(model_hash(m, &a, &stop, &err));
    assert_int_equal(err.kind, ERR_CANCELLED);
    assert_int_equal(access(cache, F_OK), -1);
    assert_true(model_hash(m, &a, NULL, &err));
    sha256sum(path, hex);
    assert_string_equal(a.weights, hex);
    sha256sum(tiny("f32/config.json"), hex);
    assert_string_equal(a.config, hex);
    assert_string_equal(a.tokenizer, model_tok_hash(m));
    /* The second time the cache answers: it is believed even when it lies. */
    must_read(cache, &text, &len);
    assert_int_equal(len, 130);
    assert_memory_equal(text + 65, a.weights, 64);
    memset(text + 65, 'a', 64);
    must_write(cache, text, len);
    assert_true(model_hash(m, &b, &stop, &err));
    assert_int_equal(strspn(b.weights, "a"), 64);
    /* A damaged cache is no cache. */
    must_write(cache, text, len - 7);
    assert_true(model_hash(m, &b, NULL, &err));
    assert_string_equal(b.weights, a.weights);
    model_close(m);
    free(text);
    /* Another file under the same name is another key. */
    all[n - 4] ^= 1;
    unlink(path);
    scratch_put(dir, "model.safetensors", all, n);
    m = must_open(dir, NULL);
    assert_true(model_hash(m, &c, NULL, &err));
    assert_string_not_equal(c.weights, a.weights);
    assert_string_equal(c.config, a.config);
    must_read(cache, &text, &len);
    assert_int_equal(len, 260);
    free(text);
    /* Nowhere to keep it: it is computed. */
    setenv("XDG_CACHE_HOME", "/proc/no/such", 1);
    assert_true(model_hash(m, &b, NULL, &err));
    assert_string_equal(b.weights, c.weights);
    model_close(m);
    unsetenv("XDG_CACHE_HOME");
    free(all);
    free(path);
    free(cache);
    scratch_remove(dir);
}

/* --- the shared folder --- */

static void
check_case(const char *dir, const char *name)
{
    char *path = xasprintf("%s/%s/case.json", dir, name), *file;
    json_t *c = json_load_file(path, 0, NULL);
    int *ids, *greedy;
    size_t n, n_new;
    double worst, allowed;
    struct model *m;

    assert_non_null(c);
    n = json_ids(json_object_get(c, "ids"), &ids);
    n_new = json_ids(json_object_get(c, "greedy"), &greedy);
    allowed = json_number_value(json_object_get(c, "tolerance"));
    if (allowed == 0)
        allowed = 2e-5;
    free(path);
    path = xasprintf("%s/%s", dir, name);
    m = must_open(path, NULL);
    file = xasprintf("%s/logits.f32", path);
    worst = difference(m, ids, n, file,
                       (size_t)json_integer_value(
                           json_object_get(c, "logits_from")));
    if (!(worst <= allowed))
        fail_msg("%s: logits differ by %g", name, worst);
    must_continue(m, name, ids, n, greedy, n_new);
    print_message("# %-26s %.2g, %zu ids\n", name, worst, n_new);
    model_close(m);
    free(greedy);
    free(ids);
    free(file);
    free(path);
    json_decref(c);
}

static int
is_case(const struct dirent *e)
{
    return e->d_name[0] >= '0' && e->d_name[0] <= '9';
}

static void
original_models(void **state)
{
    char *dir = shared("original/hf");
    struct dirent **v;
    int n, i;

    n = scandir(dir, &v, is_case, alphasort);
    assert_true(n > 0);
    for (i = 0; i < n; i++) {
        check_case(dir, v[i]->d_name);
        free(v[i]);
    }
    assert_true(n >= 40);
    free(v);
    free(dir);
}

/* Copies links to all files of the sound model, then spoils one. */
static void
spoil(const char *from, const char *to, const json_t *c)
{
    char *base = xasprintf("%s/base", from);
    const char *as = json_string_value(json_object_get(c, "as"));
    const char *file = json_string_value(json_object_get(c, "file"));
    json_t *without = json_object_get(c, "without");
    struct dirent **v;
    size_t k;
    int n = scandir(base, &v, NULL, alphasort), i;

    assert_true(n > 0);
    for (i = 0; i < n; i++) {
        bool left_out = v[i]->d_name[0] == '.' ||
            (as && strcmp(v[i]->d_name, as) == 0);

        for (k = 0; k < json_array_size(without); k++)
            left_out |= strcmp(v[i]->d_name, json_string_value(json_array_get(
                                                 without, k))) == 0;
        if (!left_out) {
            char *a = xasprintf("%s/%s", base, v[i]->d_name);
            char *b = xasprintf("%s/%s", to, v[i]->d_name);

            assert_int_equal(symlink(a, b), 0);
            free(a);
            free(b);
        }
        free(v[i]);
    }
    free(v);
    if (file) {
        char *a = xasprintf("%s/%s", from, file);
        char *b = xasprintf("%s/%s", to, as);

        assert_int_equal(symlink(a, b), 0);
        free(a);
        free(b);
    }
    free(base);
}

static void
original_broken_files(void **state)
{
    char *dir = shared("original/hf/bad"), *path, *to;
    const char *name, *expect;
    json_t *cases, *c;
    struct model *m;
    struct err err;
    int n = 0;

    path = xasprintf("%s/cases.json", dir);
    cases = json_load_file(path, 0, NULL);
    assert_non_null(cases);
    json_object_foreach (cases, name, c) {
        to = scratch_make();
        spoil(dir, to, c);
        memset(&err, 0, sizeof err);
        m = model_open(to, NULL, &err);
        expect = json_string_value(json_object_get(c, "expect"));
        check_expectation(name, expect, to, m, &err);
        model_close(m);
        scratch_remove(to);
        n++;
    }
    assert_true(n > 50);
    json_decref(cases);
    free(path);
    free(dir);
}

/* Trained and other models as people published them. */
static void
real_models(void **state)
{
    static const struct {
        const char *name;
        bool opens;
    } rows[] = {
        { "capp-gpt-safetensors", true },
        { "tiny-gpt2-sshleifer", true },
        { "tiny-llm-cicd-random/v100", true },
        { "aitextgen-math", true },
        { "aitextgen-tarot", true },
        { "slm4096-minGPT", false },
        { "gpt-by-hand-nanogpt", false },
    };
    char *dir = shared("real"), *path;
    int id = 0, got[24];
    struct model *m;
    struct err err;
    size_t i;

    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        path = xasprintf("%s/%s", dir, rows[i].name);
        memset(&err, 0, sizeof err);
        m = model_open(path, &no_vocab, &err);
        print_message("# %s: %s\n", rows[i].name, m ? "opened" : err.msg);
        if (rows[i].opens) {
            assert_non_null(m);
            assert_true(model_greedy(m, &id, 1, got, 24, &err));
        } else if (!m) {
            assert_int_equal(err_exit_status(err.kind), 3);
        }
        model_close(m);
        free(path);
    }
    free(dir);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_of_all_forms),
        cmocka_unit_test(configuration_reaches_the_arithmetic),
        cmocka_unit_test(greedy_to_the_last_position),
        cmocka_unit_test(ids_are_checked),
        cmocka_unit_test(description),
        cmocka_unit_test(names),
        cmocka_unit_test(vocabularies),
        cmocka_unit_test(loading_is_cancelled),
        cmocka_unit_test(hashes_and_their_cache),
        cmocka_unit_test(original_models),
        cmocka_unit_test(original_broken_files),
        cmocka_unit_test(real_models),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
