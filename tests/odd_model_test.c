/* tests/odd_model_test.c  Models as people have them: under other names,
 * packed, in parts, half fetched. Each opens, or is refused in words that
 * name the file and say what to do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/mem.h"
#include "engine/model.h"

#include "tests/loading.h"
#include "tests/tiny_models.h"

/* --- TensorFlow --- */

/* An index under a name that says nothing of data files: nothing may be read
 * from files that were never opened. */
static void
an_index_by_another_name(void **state)
{
    static const char *const names[] = { "foo.bin", "model.safetensors" };
    static const char list[] =
        "{\"weight_map\":{\"model/wte\":\"model-00001-of-00001.safetensors\"}}";

    for (size_t i = 0; i < 2; i++) {
        char *dir = scratch_make(), *file;

        scratch_link(dir, names[i], "openai/model.ckpt.index");
        file = xasprintf("%s/%s", dir, names[i]);
        must_refuse(dir, file, "NAME.index");
        must_refuse(file, file, "NAME.index");
        free(file);
        scratch_remove(dir);
    }
    for (size_t i = 0; i < 2; i++) { /* in the place of a shard */
        static const char *const to[] = { "model-00001-of-00001.safetensors",
                                          "x.index" };
        char *dir = scratch_make(), *text = xstrdup(list), *at;

        if (i == 1) {
            at = strstr(text, "model-0");
            memcpy(at, "x.index\"}}", sizeof "x.index\"}}");
        }
        scratch_link(dir, to[i], "openai/model.ckpt.index");
        scratch_put(dir, "model.safetensors.index.json", text, strlen(text));
        must_refuse(dir, to[i], "NAME.index");
        free(text);
        scratch_remove(dir);
    }
}

static void
a_checkpoint_in_pieces(void **state)
{
    static const char data[] = "model.ckpt-7.data-00000-of-00001";
    static const char cut[60] = { 0, 0, 6, 8, 1, 0x1a, 2, 8, 1 };
    char *dir = scratch_make(), *file;

    scratch_link(dir, data, "grover/model.ckpt-7.data-00000-of-00001");
    must_refuse(dir, "model.ckpt-7.index", "is missing: it says what lies");
    /* an index that lost its end says so, not that nobody knows it */
    scratch_put(dir, "model.ckpt-7.index", cut, sizeof cut);
    file = xasprintf("%s/model.ckpt-7.index", dir);
    must_refuse(dir, file, "not the index of a TensorFlow checkpoint");
    free(file);
    scratch_remove(dir);
}

static void
the_note_of_a_checkpoint(void **state)
{
    struct notes notes = { 0 };

    gpt2_free(must_load(tiny("openai/checkpoint"), &notes));
    notes_free(&notes);
}

/* --- parts --- */

static void
parts_without_their_list(void **state)
{
    static const struct {
        const char *name, *why;
    } rows[] = {
        { "model-00001-of-00002.safetensors", "model.safetensors.index.json" },
        { "pytorch_model-00001-of-00002.bin", "pytorch_model.bin.index.json" },
        { "m-00001-of-00002.gguf", "gguf-split --merge" },
    };

    for (size_t i = 0; i < 3; i++) {
        char *dir = scratch_make(), *file;

        scratch_put(dir, rows[i].name, "x", 1);
        must_refuse(dir, rows[i].name, rows[i].why);
        file = xasprintf("%s/%s", dir, rows[i].name);
        must_refuse(file, file,
                    i == 2 ? rows[i].why : "name the folder instead");
        free(file);
        scratch_remove(dir);
    }
}

/* --- archives --- */

/* An unpacked archive is a folder in a folder; macOS puts another beside. */
static void
an_unpacked_archive(void **state)
{
    char *dir = scratch_make(), *inner = xasprintf("%s/gpt2-zh", dir);
    char *other = xasprintf("%s/__MACOSX", dir);
    struct notes notes = { 0 };

    assert_int_equal(mkdir(inner, 0700), 0);
    scratch_link(inner, "config.json", "f32/config.json");
    scratch_link(inner, "model.safetensors", "f32/model.safetensors");
    gpt2_free(must_load(dir, &notes));
    assert_int_equal(mkdir(other, 0700), 0);
    gpt2_free(must_load(dir, &notes));
    notes_free(&notes);
    free(inner);
    free(other);
    scratch_remove(dir);
}

/* A corpus that a training program left beside the weights. */
static void
a_corpus_beside_the_model(void **state)
{
    char *dir = scratch_make();
    struct notes notes = { 0 };

    scratch_put(dir, "train.bin", "\1\0\2\0\3\0", 6);
    must_refuse(dir, "train.bin", "no model file");
    scratch_put(dir, "val.bin", "\1\0\2\0\3\0", 6);
    scratch_link(dir, "ckpt.pt", "zip/pytorch_model.bin");
    scratch_link(dir, "config.json", "zip/config.json");
    gpt2_free(must_load(dir, &notes));
    scratch_link(dir, "more.pt", "legacy/pytorch_model.bin");
    must_refuse(dir, dir, "several models (ckpt.pt, more.pt");
    notes_free(&notes);
    scratch_remove(dir);
}

/* --- an output with a bias of its own --- */

struct last_row {
    float v[256];
    size_t n;
};

static bool
keep_row(void *ud, size_t i, const float *logits)
{
    struct last_row *r = ud;

    memcpy(r->v, logits, r->n * sizeof *logits);
    return true;
}

static void
logits_of(const char *path, struct last_row *r)
{
    static const struct model_options opt = { .no_vocab_needed = true };
    static const int ids[] = { 3, 1, 4, 1, 5 };
    struct err err = { 0 };
    struct model *m = model_open(path, &opt, &err);

    if (!m)
        fail_msg("%s", err.msg);
    r->n = (size_t)model_info(m)->n_vocab;
    assert_in_range(r->n, 1, 256);
    assert_true(model_logits(m, ids, 5, keep_row, r, &err));
    model_close(m);
}

/* The tiny model with lm_head.bias[i] = i * by. */
static char *
with_bias(size_t V, float by)
{
    char *dir = scratch_make(), *all, *data, *head;
    size_t len, n, n_data;
    float bias[256];

    must_read(tiny("f32/model.safetensors"), &all, &len);
    n = *(unsigned char *)all + 256u * (unsigned char)all[1];
    for (size_t i = 2; i < 8; i++)
        assert_int_equal(all[i], 0);
    n_data = len - 8 - n;
    data = xmalloc(n_data + sizeof bias);
    memcpy(data, all + 8 + n, n_data);
    for (size_t i = 0; i < V; i++)
        bias[i] = (float)i * by;
    memcpy(data + n_data, bias, 4 * V);
    while (all[8 + n - 1] != '}')
        n--;
    head = xasprintf("%.*s,\"lm_head.bias\":{\"dtype\":\"F32\",\"shape\":[%zu],"
                     "\"data_offsets\":[%zu,%zu]}}",
                     (int)n - 1, all + 8, V, n_data, n_data + 4 * V);
    scratch_safetensors(dir, head, strlen(head), data, n_data + 4 * V);
    scratch_link(dir, "config.json", "f32/config.json");
    free(head);
    free(data);
    free(all);
    return dir;
}

static void
an_output_with_a_bias(void **state)
{
    struct last_row plain, other;
    char *dir;

    logits_of(tiny("f32"), &plain);
    dir = with_bias(plain.n, 0); /* all zeros: as if it were not there */
    logits_of(dir, &other);
    assert_memory_equal(plain.v, other.v, plain.n * sizeof *plain.v);
    scratch_remove(dir);
    dir = with_bias(plain.n, 0.25f);
    logits_of(dir, &other);
    for (size_t i = 0; i < plain.n; i++)
        assert_true(fabsf(other.v[i] - plain.v[i] - 0.25f * (float)i) < 1e-5f);
    scratch_remove(dir);
}

/* --- what is refused is named as the file names it --- */

/* Does model_open() refuse it, naming the file, in these words? */
static void
model_refused(const char *path, const char *why)
{
    static const struct model_options opt = { .no_vocab_needed = true };
    struct err err = { 0 };
    struct model *m = model_open(path, &opt, &err);

    if (m)
        fail_msg("accepted, should say: %s", why);
    if (!strstr(err.msg, path) || !strstr(err.msg, why))
        fail_msg("\"%s\" lacks \"%s\" or \"%s\"", err.msg, path, why);
}

/* The tiny GGUF with the bytes after `at` (and skip more) changed. */
static void
gguf_with(const char *at, size_t skip, const void *bytes, size_t n,
          const char *why)
{
    char *dir = scratch_make(), *file = xasprintf("%s/m.gguf", dir), *all, *p;
    size_t len;

    must_read(tiny("gguf/model.gguf"), &all, &len);
    p = memmem(all, len, at, strlen(at));
    assert_non_null(p);
    memcpy(p + skip, bytes, n);
    scratch_put(dir, "m.gguf", all, len);
    model_refused(file, why);
    free(all);
    free(file);
    scratch_remove(dir);
}

/* As Windows' editor saves it. */
static void
a_mark_before_the_configuration(void **state)
{
    char *dir = scratch_make(), *text, *marked;
    size_t len;

    must_read(tiny("f32/config.json"), &text, &len);
    marked = xasprintf("\xEF\xBB\xBF%s", text);
    scratch_put(dir, "config.json", marked, len + 3);
    scratch_link(dir, "model.safetensors", "f32/model.safetensors");
    model_refused(dir, "byte order mark");
    free(marked);
    free(text);
    scratch_remove(dir);
}

static void
gguf_is_refused_in_its_names(void **state)
{
    static const char up[] = "blk.0.ffn_up.weight";
    static const struct {
        uint32_t type;
        const char *why;
    } types[] = {
        { 39, "tensor blk.0.ffn_up.weight is of the type MXFP4 (39)" },
        { 16, "IQ2_XXS (16)" },
        { 36, "IQ4_NL_4_4 (36)" },
        { 77, "number 77" },
    };
    static const float nan[] = { NAN };
    char *all, *name;
    size_t len;

    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        gguf_with(up, sizeof up - 1 + 4 + 16, &types[i].type, 4, types[i].why);
    gguf_with(up, 11, "x", 1, "tensor blk.0.ffn_up.weight is missing");
    gguf_with("general.architecture", 3, "x", 1, "general.architecture");
    gguf_with("gpt2.attention.head_count", 25, "\6\0\0", 4,
              "gpt2.attention.head_count must be a whole number");
    gguf_with("gpt2.attention.head_count", 29, "\5\0\0", 4,
              "its metadata says 5 heads");
    /* the last bytes of the file are some tensor's */
    must_read(tiny("gguf/model.gguf"), &all, &len);
    name = scratch_make();
    memcpy(all + len - 4, nan, 4);
    scratch_put(name, "m.gguf", all, len);
    model_refused(name, "holds NaN or infinity");
    free(all);
    scratch_remove(name);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_index_by_another_name),
        cmocka_unit_test(a_checkpoint_in_pieces),
        cmocka_unit_test(the_note_of_a_checkpoint),
        cmocka_unit_test(parts_without_their_list),
        cmocka_unit_test(an_unpacked_archive),
        cmocka_unit_test(a_corpus_beside_the_model),
        cmocka_unit_test(an_output_with_a_bias),
        cmocka_unit_test(a_mark_before_the_configuration),
        cmocka_unit_test(gguf_is_refused_in_its_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
