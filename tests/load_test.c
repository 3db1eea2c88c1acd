/* tests/load_test.c  Weight files, good in many ways and bad in many more.
 *
 * The good ones were written by tools/make_tiny_models.py and must all give
 * the same bits. The bad ones are made here, by editing the first good one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>
#include <malloc.h>
#include <math.h>

#include "engine/gpt2.h"
#include "engine/load/convert.h"
#include "engine/load/fill.h"
#include "engine/load/load.h"
#include "engine/load/plan.h"
#include "tests/loading.h"
#include "tests/memory_of.h"
#include "tests/tiny_models.h"

/* --- what is good --- */

static void
all_forms_give_the_same_bits(void **state)
{
    static const char *const forms[] = { "f16", "bf16", "masks", "linear",
                                         "shards", "f32/model.safetensors",
                                         "shards/model.safetensors.index.json" };
    struct notes notes = { 0 };
    struct gpt2 *a = must_load(tiny("f32"), &notes), *b;
    size_t i;

    assert_int_equal(a->V, 61);
    assert_int_equal(a->P, 24);
    assert_int_equal(a->D, 16);
    assert_int_equal(a->L, 3);
    assert_int_equal(a->H, 2);
    assert_int_equal(a->F, 40);
    assert_ptr_equal(a->head.data, a->wte.data);
    assert_int_equal((uintptr_t)a->layer[1].fc.data % 64, 0);
    assert_int_equal(notes.n, 0);
    for (i = 0; i < sizeof forms / sizeof *forms; i++) {
        b = must_load(tiny(forms[i]), &notes);
        assert_int_equal(a->n_block, b->n_block);
        assert_ptr_equal(b->head.data, b->wte.data);
        if (memcmp(a->block, b->block, a->n_block * sizeof(float)) != 0)
            fail_msg("%s differs", forms[i]);
        gpt2_free(b);
    }
    gpt2_free(a);
    notes_free(&notes);
}

/* The numbers stand where the file's layout says, turned round. */
static void
matrices_are_turned(void **state)
{
    struct notes notes = { 0 };
    struct gpt2 *g = must_load(tiny("f32"), &notes);
    struct err err = { 0 };
    struct weights_source s;
    float v[16 * 48];
    float row[16];
    size_t i, r, c;

    assert_true(weights_open(&s, tiny("f32"), &err));
    for (i = 0; strcmp(tensor_name(&s.table, i), "h.1.attn.c_attn.weight"); i++)
        assert_true(i + 1 < s.table.n);
    assert_true(weights_read_f32(&s, i, v, &err));
    for (c = 0; c < 48; c++) {
        matrix_row(&g->layer[1].qkv, c, row);
        for (r = 0; r < 16; r++)
            assert_true(v[48 * r + c] == row[r]);
    }
    assert_true(v[1] != v[48]);
    weights_close(&s);
    gpt2_free(g);
}

static void
an_output_matrix_of_its_own(void **state)
{
    struct notes notes = { 0 };
    struct gpt2 *g = must_load(tiny("untied"), &notes);

    assert_ptr_not_equal(g->head.data, g->wte.data);
    assert_memory_not_equal(g->head.data, g->wte.data, sizeof(float) * 61 * 16);
    assert_int_equal(notes.n, 0);
    gpt2_free(g);
}

static void
extra_tensors_are_told(void **state)
{
    struct notes notes = { 0 };
    struct gpt2 *g = must_load(tiny("shards"), &notes);

    assert_int_equal(notes.n, 1);
    assert_non_null(strstr(notes.v[0], "not in the index"));
    gpt2_free(g);
    notes_free(&notes);
}

/* A folder in a folder, as archives have it; a name without its folder. */
static void
other_paths_to_the_same(void **state)
{
    char *dir = scratch_make(), *sub = xasprintf("%s/inner", dir);
    struct notes notes = { 0 };

    assert_int_equal(mkdir(sub, 0700), 0);
    scratch_link(sub, "model.safetensors", "f32/model.safetensors");
    scratch_link(sub, "config.json", "f32/config.json");
    scratch_put(dir, "README.md", "x", 1);
    gpt2_free(must_load(dir, &notes));
    assert_int_equal(chdir(sub), 0);
    gpt2_free(must_load(".", &notes));
    gpt2_free(must_load("model.safetensors", &notes));
    assert_int_equal(chdir("/"), 0);
    scratch_remove(dir);
    free(sub);
}

/* --- conversion --- */

static void
every_half_number(void **state)
{
    static uint16_t h[65536];
    static float f[65536], g[65536];
    size_t i, bad = 0, n = 0;
    double want;

    for (i = 0; i < 65536; i++)
        if ((i & 0x7C00) != 0x7C00)
            h[n++] = (uint16_t)i;
    assert_true(convert_f32(DT_F16, h, n, f, &bad));
    assert_true(convert_f16_plain(h, n, g, &bad));
    assert_memory_equal(f, g, n * sizeof *f);
    for (i = 0; i < n; i++) {
        int e = h[i] >> 10 & 31, m = h[i] & 1023;

        want = e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);
        assert_true(f[i] == (h[i] & 0x8000 ? -want : want));
        assert_int_equal(signbit(f[i]) != 0, h[i] >> 15);
    }
}

static void
bad_numbers_are_found(void **state)
{
    static const uint16_t half[] = { 0x7C00, 0xFC00, 0x7E00, 0x7C01 };
    static const uint16_t brain[] = { 0x7F80, 0xFF80, 0x7FC0, 0x7F81 };
    unsigned char src[8 * 600];
    float out[600], f;
    double d;
    size_t at, k, bad;

    for (at = 0; at < 600; at += at < 20 || at > 570 ? 1 : 97)
        for (k = 0; k < 4; k++) {
            memset(src, 0, sizeof src);
            memcpy(src + 2 * at, &half[k], 2);
            bad = 9999;
            assert_false(convert_f32(DT_F16, src, 600, out, &bad));
            assert_int_equal(bad, at);
            bad = 9999;
            assert_false(convert_f16_plain(src, 600, out, &bad));
            assert_int_equal(bad, at);
            memcpy(src + 2 * at, &brain[k], 2);
            assert_false(convert_f32(DT_BF16, src, 600, out, &bad));
            assert_int_equal(bad, at);
            memset(src, 0, sizeof src);
            f = k & 1 ? -INFINITY : NAN;
            memcpy(src + 4 * at, &f, 4);
            assert_false(convert_f32(DT_F32, src, 600, out, &bad));
            assert_int_equal(bad, at);
            memset(src, 0, sizeof src);
            d = k & 1 ? 1e39 : NAN; /* more than f32 can hold */
            memcpy(src + 8 * at, &d, 8);
            assert_false(convert_f32(DT_F64, src, 600, out, &bad));
            assert_int_equal(bad, at);
        }
    assert_false(convert_f32(DT_I32, src, 1, out, &bad));
}

/* --- what is bad --- */

struct base { /* the good file, taken apart */
    char *all, *header;
    const char *data;
    size_t len, header_len, data_len;
};

static void
base_open(struct base *b)
{
    uint64_t n;

    must_read(tiny("f32/model.safetensors"), &b->all, &b->len);
    memcpy(&n, b->all, 8);
    b->header_len = (size_t)n;
    b->header = xstrndup(b->all + 8, b->header_len);
    b->data = b->all + 8 + n;
    b->data_len = b->len - 8 - b->header_len;
}

static void
base_close(struct base *b)
{
    free(b->all);
    free(b->header);
}

#define WTE "\"wte.weight\":{\"dtype\":\"F32\",\"shape\":[61,16]," \
            "\"data_offsets\":[0,3904]}"
#define WPE "\"wpe.weight\":{\"dtype\":\"F32\",\"shape\":[24,16]," \
            "\"data_offsets\":[3904,5440]}"

static void
lying_headers(void **state)
{
    static const struct {
        const char *from, *to, *why;
    } rows[] = {
        { "[0,3904]", "[64,3904]", "wte.weight" },
        { "[0,3904]", "[0,3840]", "wte.weight" },
        { "[61,16],\"data_offsets\":[0,3904]",
          "[60,16],\"data_offsets\":[0,3840]", "leaving a hole" },
        { "[61,16],\"data_offsets\":[0,3904]",
          "[62,16],\"data_offsets\":[0,3968]", "inside the one before" },
        { "[3904,5440]", "[3904,5439]", "data_offsets do not fit" },
        { "[3904,5440]", "[5440,3904]", "no begin and end" },
        { "[3904,5440]", "[3904,-1]", "no begin and end" },
        { "[3904,5440]", "[-3904,5440]", "no begin and end" },
        { "[3904,5440]", "[3904.0,5440]", "no begin and end" },
        { "[3904,5440]", "[3904,5440,5440]", "no begin and end" },
        { "[3904,5440]", "[3904]", "no begin and end" },
        { "[3904,5440]", "[18446744073709551600,0]", "no begin and end" },
        { "[3904,5440]", "[9007199254740993,9007199254742529]",
          "no begin and end" },
        { "[24,16]", "[4294967296,4294967296]", "do not fit" },
        { "[24,16]", "[2147483647,2147483647,2147483647]", "do not fit" },
        { "[24,16]", "[9223372036854775808]", "no list of sizes" },
        { "[24,16]", "[-24,-16]", "no list of sizes" },
        { "[24,16]", "[24,\"16\"]", "no list of sizes" },
        { "[24,16]", "[1,1,1,1,1,1,1,24,16]", "no list of sizes" },
        { "[24,16]", "384", "no list of sizes" },
        { "[24,16]", "[0,16]", "do not fit" },
        { "\"dtype\":\"F32\"", "\"dtype\":\"F31\"", "stored as" },
        { "\"dtype\":\"F32\"", "\"dtype\":\"I32\"", "stored as I32" },
        { "\"dtype\":\"F32\"", "\"dtype\":7", "no text" },
        { "\"dtype\":\"F32\",", "", "lacks dtype" },
        { "\"shape\":[61,16],", "", "lacks dtype, shape" },
        { ",\"data_offsets\":[0,3904]", "", "lacks dtype, shape" },
        { "\"dtype\":\"F32\",", "\"dtype\":\"F32\",\"dtype\":\"F32\",",
          "same field twice" },
        { WPE, WPE "," WTE, "wte.weight stands twice" },
        { "\"wpe.weight\"", "\"w\\u0074e.weight\"", "wte.weight stands twice" },
        { "\"wpe.weight\"", "\"w\\u0000pe.weight\"", "zero byte" },
        { "\"wpe.weight\"", "\"w\xFFpe.weight\"", "UTF-8" },
        { WTE, "\"wte.weight\":7", "not described by an object" },
        { "{\"format\":\"pt\"}", "{\"format\":7}", "__metadata__" },
        { "{\"format\":\"pt\"}", "[]", "__metadata__" },
        { "{\"format\":\"pt\"},", "{},\"__metadata__\":{},",
          "__metadata__ stands twice" },
        { "{\"__metadata__\"", "\xEF\xBB\xBF{\"__metadata__\"",
          "does not begin with '{'" },
        { "{\"__metadata__\"", " {\"__metadata__\"",
          "does not begin with '{'" },
        { "{\"__metadata__\"", "[{\"__metadata__\"",
          "does not begin with '{'" },
        { "{\"format\":\"pt\"}", "{\"format\":\"pt\",}", "JSON" },
        { "{\"format\":\"pt\"}",
          "{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]}",
          "__metadata__" },
        { "\"shape\":[61,16]",
          "\"x\":[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]],"
          "\"shape\":[61,16]", "deep" },
    };
    char *dir = scratch_make(), *text;
    struct base b;
    size_t i;

    base_open(&b);
    scratch_link(dir, "config.json", "f32/config.json");
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        text = replaced(b.header, rows[i].from, rows[i].to);
        assert_non_null(text);
        scratch_safetensors(dir, text, strlen(text), b.data, b.data_len);
        must_refuse(dir, strstr(rows[i].why, "stored as")
                             ? "model.safetensors" : dir, rows[i].why);
        free(text);
    }
    base_close(&b);
    scratch_remove(dir);
}

/* Sound containers whose tensors are not a whole GPT-2. */
static void
wrong_tensors(void **state)
{
    static const struct {
        const char *from, *to, *why;
    } rows[] = {
        { "\"h.1.mlp.c_fc.bias\"", "\"h.1.mlp.c_fc.bios\"",
          "tensor h.1.mlp.c_fc.bias is missing" },
        { "\"wpe.weight\"", "\"wqe.weight\"", "wpe.weight is missing" },
        { "\"wte.weight\"", "\"wue.weight\"", "wte.weight is missing" },
        { "\"ln_f.weight\"", "\"ln_g.weight\"", "ln_f.weight is missing" },
        { "\"ln_f.bias\"", "\"ln_g.bias\"", "ln_f.bias is missing" },
        { "\"h.0.ln_1.bias\"", "\"h.0.ln_3.bias\"", "h.0.ln_1.bias is miss" },
        { "\"h.2.ln_1.weight\"", "\"h.3.ln_1.weight\"", "h.2.ln_1.weight" },
        { "\"h.2.ln_1.weight\"", "\"h.99999.ln_1.weight\"", "layer 99999" },
        { "\"h.2.ln_1.weight\"", "\"h.02.ln_1.weight\"", "h.2.ln_1.weight" },
        { "\"shape\":[24,16]", "\"shape\":[16,24]",
          "wpe.weight has the shape [16, 24] instead of [16, 16]" },
        { "\"shape\":[24,16]", "\"shape\":[24,16,1]", "cannot be" },
        { "\"shape\":[61,16]", "\"shape\":[976]", "cannot be" },
        { "\"shape\":[16,48]", "\"shape\":[32,24]", "c_attn.weight has the" },
        { "\"shape\":[16,16]", "\"shape\":[8,32]", "c_proj.weight has the" },
        { "\"shape\":[16,40]", "\"shape\":[20,32]", "c_fc.weight has the" },
        { "\"shape\":[48]", "\"shape\":[3,16]", "c_attn.bias has the" },
        { "\"h.2.ln_1.weight\"", "\"h.0.crossattention.x\"",
          "encoder-decoder" },
        { "\"h.2.ln_1.weight\"", "\"h.0.attn.c_attn.qweight\"", "quantised" },
        { "\"h.2.ln_1.weight\"", "\"h.0.attn.c_attn.lora_A.weight\"",
          "adapter" },
        { "\"wte.weight\"", "\"tokens_embed.weight\"", "first GPT" },
        { "\"wpe.weight\"", "\"word_embeddings.weight\"", "Megatron" },
        { "\"wpe.weight\"", "\"module.wte.weight\"",
          "same part of the model with different contents" },
    };
    char *dir = scratch_make(), *text;
    struct base b;
    size_t i;

    base_open(&b);
    scratch_link(dir, "config.json", "f32/config.json");
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        text = replaced(b.header, rows[i].from, rows[i].to);
        assert_non_null(text);
        scratch_safetensors(dir, text, strlen(text), b.data, b.data_len);
        must_refuse(dir, "", rows[i].why);
        free(text);
    }
    scratch_safetensors(dir, "{}", 2, "", 0);
    must_refuse(dir, "", "no GPT-2");
    text = xstrdup("{\"a.b\":{\"dtype\":\"F32\",\"shape\":[],"
                   "\"data_offsets\":[0,4]}}");
    scratch_safetensors(dir, text, strlen(text), b.data, 4);
    must_refuse(dir, "", "its tensors are a.b");
    free(text);
    base_close(&b);
    scratch_remove(dir);
}

/* Two names for one tensor are no fault when the contents agree. */
static void
equal_doubles_are_accepted(void **state)
{
    char *dir = scratch_make(), *more, *text, *data;
    struct notes notes = { 0 };
    struct base b;
    struct gpt2 *g;

    base_open(&b);
    more = xasprintf("{\"transformer.wte.weight\":{\"dtype\":\"F32\",\"shape\":"
                     "[61,16],\"data_offsets\":[%zu,%zu]},", b.data_len,
                     b.data_len + 3904);
    text = replaced(b.header, "{", more);
    data = xmalloc(b.data_len + 3904);
    memcpy(data, b.data, b.data_len);
    memcpy(data + b.data_len, b.data, 3904);
    scratch_safetensors(dir, text, strlen(text), data, b.data_len + 3904);
    scratch_link(dir, "config.json", "f32/config.json");
    g = must_load(dir, &notes);
    gpt2_free(g);
    free(more);
    free(text);
    free(data);
    base_close(&b);
    scratch_remove(dir);
}

static void
cut_files(void **state)
{
    char *dir = scratch_make();
    struct base b;
    size_t n;

    base_open(&b);
    scratch_link(dir, "config.json", "f32/config.json");
    for (n = 0; n < b.len; n += n < 64 || n > b.len - 8 ? 1 : 211) {
        scratch_put(dir, "model.safetensors", b.all, n);
        must_refuse(dir, dir, n == 0 ? "empty" : "");
    }
    scratch_put(dir, "model.safetensors", b.all, b.len - 100);
    must_refuse(dir, dir, "100 bytes short");
    b.all = xrealloc(b.all, b.len + 9);
    memset(b.all + b.len, 0, 9);
    scratch_put(dir, "model.safetensors", b.all, b.len + 9);
    must_refuse(dir, dir, "9 bytes follow");
    base_close(&b);
    scratch_remove(dir);
}

static void
lying_header_lengths(void **state)
{
    static const uint64_t rows[] = { 0, 1, 7, (uint64_t)1 << 40,
                                     (uint64_t)1 << 63, UINT64_MAX,
                                     UINT64_MAX - 7, 100000001 };
    char *dir = scratch_make();
    struct base b;
    size_t i;

    base_open(&b);
    scratch_link(dir, "config.json", "f32/config.json");
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        memcpy(b.all, &rows[i], 8);
        scratch_put(dir, "model.safetensors", b.all, b.len);
        must_refuse(dir, dir, "");
    }
    base_close(&b);
    scratch_remove(dir);
}

/* Any one byte of the header changed: refused or loaded, never worse. */
static void
spoiled_headers(void **state)
{
    char *dir = scratch_make();
    struct base b;
    size_t i;

    base_open(&b);
    scratch_link(dir, "config.json", "f32/config.json");
    for (i = 0; i < 8 + b.header_len; i += 3) {
        struct notes notes = { 0 };
        struct err err;
        char old = b.all[i];

        b.all[i] ^= (char)(1 << i % 7);
        scratch_put(dir, "model.safetensors", b.all, b.len);
        gpt2_free(load(dir, &notes, &err));
        notes_free(&notes);
        b.all[i] = old;
    }
    base_close(&b);
    scratch_remove(dir);
}

static void
numbers_that_are_none(void **state)
{
    static const float bad[] = { NAN, INFINITY, -INFINITY };
    char *dir = scratch_make();
    struct base b;
    size_t i;

    base_open(&b);
    scratch_link(dir, "config.json", "f32/config.json");
    for (i = 0; i < 3; i++) {
        struct base spoiled = b;

        spoiled.all = xmalloc(b.len);
        memcpy(spoiled.all, b.all, b.len);
        memcpy(spoiled.all + b.len - 4, &bad[i], 4);
        scratch_put(dir, "model.safetensors", spoiled.all, b.len);
        must_refuse(dir, "model.safetensors",
                    "ln_f.bias holds NaN or infinity (element 15)");
        memcpy(spoiled.all + b.len - 4, b.all, 4);
        memcpy(spoiled.all + 8 + b.header_len + 4 * 100, &bad[i], 4);
        scratch_put(dir, "model.safetensors", spoiled.all, b.len);
        must_refuse(dir, "model.safetensors", "wte.weight holds NaN");
        free(spoiled.all);
    }
    base_close(&b);
    scratch_remove(dir);
}

static void
files_of_other_kinds(void **state)
{
    static const struct {
        const char *name, *bytes;
        size_t len;
        const char *why;
    } rows[] = {
        { "model.safetensors",
          "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
          64, "git-lfs pointer" },
        { "model.safetensors", "<!DOCTYPE html>\n<html>", 22, "web page" },
        { "model.safetensors", "\n <HTML><head></head></HTML>", 26,
          "web page" },
        { "model.safetensors", "hello, I am a text", 18, "claims" },
        { "model.gguf", "GGUF\3\0\0\0", 8, "too short for a GGUF" },
        { "pytorch_model.bin", "PK\3\4abcdef", 10, "too short" },
        { "pytorch_model.bin", "PK\3\4abcdefghijklmnopqrst", 24,
          "end of its zip" },
        { "pytorch_model.bin",
          "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e.",
          16, "more or less than one value" },
        { "tf_model.h5", "\x89HDF\r\n\x1a\n", 8, "put model.safetensors" },
        { "model.bin", "lmgg1234", 8, "before GGUF" },
        { "model.ckpt.index", "x\x57\xfb\x80\x8b\x24\x75\x47\xdb", 9,
          "too short" },
        { "weights.bin", "what is this", 12, "no model file" },
        { "adapter_model.safetensors", "", 0, "empty" },
        { "model-00001-of-00002.safetensors", "", 0, "index" },
        { "flax_model.msgpack", "x", 1, "not supported" },
        { "optimizer.pt", "PK\3\4", 4, "holds no model" },
        { "notes.txt", "x", 1, "holds no model" },
    };
    char *dir, *file;
    size_t i;

    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        dir = scratch_make();
        scratch_put(dir, rows[i].name, rows[i].bytes, rows[i].len);
        must_refuse(dir, dir, rows[i].why);
        file = xasprintf("%s/%s", dir, rows[i].name);
        if (strstr(rows[i].name, ".bin") || strstr(rows[i].name, ".gguf"))
            must_refuse(file, file, rows[i].why);
        free(file);
        scratch_remove(dir);
    }
}

/* One letter of a tensor's name: the pickle stays a good one. */
static void
a_pickle_has_its_checksum(void **state)
{
    char *dir = scratch_make(), *data, *name;
    size_t len;

    must_read(tiny("zip/pytorch_model.bin"), &data, &len);
    name = memmem(data, len, "attn.c_attn", 11);
    assert_non_null(name);
    name[0] = 'b';
    scratch_put(dir, "pytorch_model.bin", data, len);
    must_refuse(dir, "pytorch_model.bin", "checksum");
    free(data);
    scratch_remove(dir);
}

static void
folders_that_do_not_do(void **state)
{
    char *dir = scratch_make(), *path;

    must_refuse("/nonexistent/model", "/nonexistent/model", "no such file");
    must_refuse(dir, dir, "holds no model");
    scratch_link(dir, "a.safetensors", "f32/model.safetensors");
    scratch_link(dir, "b.safetensors", "f16/model.safetensors");
    must_refuse(dir, dir, "several models");
    path = xasprintf("%s/b.safetensors", dir);
    unlink(path);
    free(path);
    path = xasprintf("%s/adapter_model.safetensors", dir);
    scratch_link(dir, "adapter_model.safetensors", "f32/model.safetensors");
    must_refuse(path, path, "adapter");
    unlink(path);
    free(path);
    path = xasprintf("%s/model.safetensors", dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    must_refuse(dir, dir, "regular file");
    free(path);
    scratch_remove(dir);
}

static void
bad_indexes(void **state)
{
    static const struct {
        const char *from, *to, *why;
    } rows[] = {
        { "model-00001-of-00003", "../model-00001-of-00003", "out of the" },
        { "model-00001-of-00003", "/etc/model-00001-of-00003", "out of the" },
        { "model-00001-of-00003.safetensors", "..", "out of the" },
        { "model-00001-of-00003.safetensors", "", "out of the" },
        { "model-00001-of-00003", "x\\\\y", "out of the" },
        { "model-00001-of-00003", "model-00009-of-00003", "cannot be opened" },
        { "\"transformer.wte.weight\"", "\"transformer.wxe.weight\"",
          "wxe.weight is not in the file" },
        { "\"model-00001-of-00003.safetensors\"", "7", "has no file name" },
        { "\"transformer.wpe.weight\"", "\"transformer.wte.weight\"",
          "stands twice" },
        { "\"weight_map\"", "\"weight_mop\"", "no weight_map" },
        { "\"weight_map\": {", "\"weight_map\": [{", "not an object" },
        { "{", "[{", "not a JSON object" },
        { "{", "", "JSON" },
        { "model-00001-of-00003", "model-00002-of-00003", "not in the file" },
    };
    char *dir = scratch_make(), *text, *index, name[64];
    size_t i, len;

    must_read(tiny("shards/model.safetensors.index.json"), &index, &len);
    scratch_link(dir, "config.json", "shards/config.json");
    for (i = 1; i <= 3; i++) {
        char what[80];

        snprintf(name, sizeof name, "model-%05zu-of-00003.safetensors", i);
        snprintf(what, sizeof what, "shards/%s", name);
        scratch_link(dir, name, what);
    }
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        text = replaced(index, rows[i].from, rows[i].to);
        assert_non_null(text);
        scratch_put(dir, "model.safetensors.index.json", text, strlen(text));
        must_refuse(dir, dir, rows[i].why);
        free(text);
    }
    for (i = 0; i < len - 2; i += 97) {
        scratch_put(dir, "model.safetensors.index.json", index, i);
        must_refuse(dir, dir, "");
    }
    free(index);
    scratch_remove(dir);
}

/* --- progress and memory --- */

static void
try_it(const char *path)
{
    struct notes notes = { 0 };
    struct err err;

    load(path, &notes, &err);
}

static long
memory_of_opening(const char *path)
{
    long kb = memory_of(try_it, path);

    print_message("# opening took %ld KB\n", kb);
    return kb;
}

/* As many tensors as are allowed, and a header that is one long text: twice
 * the file and 16 MiB are enough before a file has proved itself. */
static void
memory_before_trust(void **state)
{
    size_t n = 99999, i, len = 8u << 20;
    char *dir, *text, *p;
    long allowed;

    skip_if_memory_is_watched();
    dir = scratch_make();
    p = text = xmalloc(80 * n);
    for (i = 0; i < n; i++)
        p += sprintf(p,
                     "%c\"h.%zu.ln_1.weight\":{\"dtype\":\"F32\",\"shape\":"
                     "[0],\"data_offsets\":[0,0]}",
                     i ? ',' : '{', i);
    *p++ = '}';
    scratch_safetensors(dir, text, (size_t)(p - text), "", 0);
    must_refuse(dir, "", "no GPT-2");
    allowed = (long)(2 * (size_t)(p - text) / 1024) + 16 * 1024;
    assert_in_range(memory_of_opening(dir), 0, allowed);
    free(text);
    text = xmalloc(len);
    memset(text, 'x', len);
    memcpy(text, "{\"", 2);
    scratch_safetensors(dir, text, len, "", 0);
    assert_in_range(memory_of_opening(dir), 0, 2 * 8192 + 16 * 1024);
    free(text);
    scratch_remove(dir);
}

struct watch {
    size_t calls, done, total, stop_at;
};

static bool
watch_progress(void *ud, size_t done, size_t total)
{
    struct watch *w = ud;

    assert_true(done <= total);
    w->done = done;
    w->total = total;
    return ++w->calls != w->stop_at;
}

static void
progress_and_cancel(void **state)
{
    struct weights_source s;
    struct model_config c;
    struct notes notes = { 0 };
    struct plan p;
    struct err err = { 0 };
    struct watch w = { 0 };
    struct fill_watch watch = { .progress = watch_progress, .ud = &w };
    struct gpt2 *g;
    size_t n;

    assert_true(weights_open(&s, tiny("f32"), &err));
    assert_true(config_read(s.dir, &c, &err));
    assert_true(plan_gpt2(&p, &s, &c, &notes, &err));
    g = fill_gpt2(&p, &s, &c, WT_F32, &watch, &n, &err);
    assert_non_null(g);
    assert_int_equal(n, 61 * 16 + 24 * 16 + 3 * 2488 + 32);
    assert_int_equal(w.total, 4 * n);
    assert_int_equal(w.done, w.total);
    gpt2_free(g);
    w = (struct watch){ .stop_at = 3 };
    assert_null(fill_gpt2(&p, &s, &c, WT_F32, &watch, &n, &err));
    assert_int_equal(err.kind, ERR_CANCELLED);
    assert_int_equal(w.calls, 3);
    plan_free(&p);
    weights_close(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_forms_give_the_same_bits),
        cmocka_unit_test(matrices_are_turned),
        cmocka_unit_test(an_output_matrix_of_its_own),
        cmocka_unit_test(extra_tensors_are_told),
        cmocka_unit_test(other_paths_to_the_same),
        cmocka_unit_test(every_half_number),
        cmocka_unit_test(bad_numbers_are_found),
        cmocka_unit_test(lying_headers),
        cmocka_unit_test(wrong_tensors),
        cmocka_unit_test(equal_doubles_are_accepted),
        cmocka_unit_test(cut_files),
        cmocka_unit_test(lying_header_lengths),
        cmocka_unit_test(spoiled_headers),
        cmocka_unit_test(numbers_that_are_none),
        cmocka_unit_test(files_of_other_kinds),
        cmocka_unit_test(a_pickle_has_its_checksum),
        cmocka_unit_test(folders_that_do_not_do),
        cmocka_unit_test(bad_indexes),
        cmocka_unit_test(memory_before_trust),
        cmocka_unit_test(progress_and_cancel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
