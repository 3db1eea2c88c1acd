/* tests/forms_test.c  Models that are no safetensors of GPT-2, made small.
 *
 * tools/make_foreign_models.py wrote them from the formats' descriptions:
 * torch's two forms (views, a shared storage, mixed types, masks),
 * TensorFlow checkpoints (Snappy, two shards, an optimizer's slots), GGUF
 * with two kinds of blocks, and the networks of gpt2-ml and GPT-1. Their
 * logits come from a float64 forward pass in Python.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/tokenizer.h"

#include "tests/originals.h"

static const int IDS[] = { 4, 17, 60, 0, 23, 8, 8, 41, 5, 33, 12, 59 };
static const int BLOCK_IDS[] = { 7, 40, 1, 13, 22, 22, 9, 30, 2, 17 };
#define N_IDS   (sizeof IDS / sizeof *IDS)
#define N_BLOCK (sizeof BLOCK_IDS / sizeof *BLOCK_IDS)

static const struct model_options no_vocab = { .no_vocab_needed = true };

static void
logits_of_all_forms(void **state)
{
    static const struct {
        const char *path, *want, *network;
        bool block;
    } rows[] = {
        { "zip", "tied", "gpt2", false },
        { "zip/pytorch_model.bin", "tied", "gpt2", false },
        { "legacy", "tied", "gpt2", false },
        { "openai", "tied", "gpt2", false },
        { "openai/model.ckpt", "tied", "gpt2", false },
        { "openai/model.ckpt.index", "tied", "gpt2", false },
        { "openai/model.ckpt.data-00001-of-00002", "tied", "gpt2", false },
        { "gguf", "gguf", "gpt2", false },
        { "grover", "grover", "grover", true },
        { "grover/model.ckpt-7", "grover", "grover", true },
        { "gpt1", "gpt1", "openai-gpt", true },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const int *ids = rows[i].block ? BLOCK_IDS : IDS;
        size_t n = rows[i].block ? N_BLOCK : N_IDS;
        struct model *m = must_open(tiny(rows[i].path), &no_vocab);
        char file[64];
        double worst;

        snprintf(file, sizeof file, "%s.logits", rows[i].want);
        worst = difference(m, ids, n, tiny(file), 0);
        if (!(worst < 2e-5))
            fail_msg("%s: logits differ by %g", rows[i].path, worst);
        assert_string_equal(model_info(m)->network, rows[i].network);
        model_close(m);
    }
}

/* The other gelu, the MLP's residual normalised or not, a last norm too
 * many, two norms swapped: the measure sees each of them. */
static void
mistakes_would_be_seen(void **state)
{
    static const char *const nets[] = { "grover", "gpt1" };

    for (size_t i = 0; i < 2; i++) {
        struct model *m = must_open(tiny(nets[i]), &no_vocab);
        size_t V = (size_t)model_info(m)->n_vocab, len;
        char file[64], *data;

        snprintf(file, sizeof file, "%s.mistakes", nets[i]);
        must_read(tiny(file), &data, &len);
        assert_int_equal(len, 4 * N_BLOCK * V * 4);
        for (size_t k = 0; k < 4; k++)
            assert_true(difference_from(m, BLOCK_IDS, N_BLOCK,
                                        (float *)data + k * N_BLOCK * V,
                                        0) > 2e-4);
        free(data);
        model_close(m);
    }
}

static void
gpt2_ml_never_continues_with_zero(void **state)
{
    struct model *m = must_open(tiny("grover"), &no_vocab);
    struct err err = { 0 };
    int got[20];

    assert_true(model_greedy(m, BLOCK_IDS, N_BLOCK, got, 20, &err));
    for (int i = 0; i < 20; i++)
        assert_true(got[i] > 0);
    model_close(m);
}

/* --- vocabularies --- */

static void
must_be(const struct vocab *v, const char *text, const int *want, size_t n)
{
    struct err err = { 0 };
    size_t got_n;
    int *got;

    assert_true(vocab_encode(v, text, strlen(text), 0, &got, &got_n, &err));
    assert_int_equal(got_n, n);
    assert_memory_equal(got, want, n * sizeof *want);
    free(got);
}

static bool
banned(const struct vocab *v, int id)
{
    const struct profile *p = vocab_profile(v);

    for (size_t i = 0; i < p->n_ban; i++)
        if (p->ban[i] == id)
            return true;
    return false;
}

static void
gguf_carries_its_vocabulary(void **state)
{
    static const int want[] = { 41, 78, 84, 79, 259, 221, 263 };
    struct model *m = must_open(tiny("gguf"), NULL);
    const struct vocab *v = model_vocab(m);
    struct err err = { 0 };
    struct vocab *own;
    char shown[32];

    assert_string_equal(vocab_kind(v), "bpe");
    assert_int_equal(vocab_size(v), 300);
    must_be(v, "Into the \xE4\xB8\xAD", want, 7);
    vocab_show(v, 289, shown, sizeof shown);
    assert_string_equal(shown, "<user>");
    assert_int_equal(vocab_profile(v)->end, 0);
    for (int i = 290; i < 300; i++)
        assert_true(banned(v, i)); /* [PADn] fills the rows */
    assert_false(banned(v, 1));
    own = vocab_open(tiny("gguf/model.gguf"), &err); /* the weights unread */
    assert_non_null(own);
    must_be(own, "Into the \xE4\xB8\xAD", want, 7);
    assert_string_equal(vocab_hash(own), model_tok_hash(m));
    assert_int_equal(strlen(model_tok_hash(m)), 64);
    vocab_close(own);
    model_close(m);
}

/* One edit of the file's bytes; lengths are kept, so all else stays. */
static void
gguf_vocabularies_are_refused(void **state)
{
    static const struct {
        const char *from, *to, *says;
        size_t len;
    } rows[] = {
        { "t h", "tqh", "merge 0", 3 },
        { "ggml.merges", "ggml.mergez", "needs tokenizer.ggml.merges", 11 },
        { "ggml.tokens", "ggml.mokens", "no vocabulary", 11 },
        { "ggml.model\x08", "ggml.modex\x08", "of this kind", 10 },
        { "gpt-2", "llama", "cut as \"llama\"", 5 },
        { "<user>", "\xFFuser>", "token 289 is not UTF-8", 6 },
        { "ggml.tokens\x09\0\0\0\x08", "ggml.tokens\x09\0\0\0\x01", NULL, 16 },
    };
    char *all;
    size_t len;

    must_read(tiny("gguf/model.gguf"), &all, &len);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *dir = scratch_make(), *copy = xmalloc(len), *at;
        struct err err = { 0 };
        char *path = xasprintf("%s/model.gguf", dir);

        memcpy(copy, all, len);
        at = memmem(copy, len, rows[i].from, rows[i].len);
        assert_non_null(at);
        memcpy(at, rows[i].to, rows[i].len);
        must_write(path, copy, len);
        assert_null(model_open(path, NULL, &err));
        assert_int_equal(err.kind, ERR_MODEL);
        if (rows[i].says && !strstr(err.msg, rows[i].says))
            fail_msg("%s", err.msg);
        free(path);
        free(copy);
        scratch_remove(dir);
    }
    free(all);
}

static void
openai_folders_are_whole(void **state)
{
    static const int want[] = { 31, 26, 33, 28, 31, 13 };
    struct model *m = must_open(tiny("openai"), NULL);
    const struct vocab *v = model_vocab(m);

    must_be(v, "the in,then", want, 6);
    assert_int_equal(vocab_profile(v)->end, 34);
    assert_true(banned(v, 60));                 /* rows without a token */
    assert_int_equal(model_info(m)->n_head, 2); /* of hparams.json */
    model_close(m);
}

/* gpt2-ml: no token begins, [PAD] and all specials are banned, the text is
 * cut as tokenization.py does. */
static void
gpt2_ml_profile(void **state)
{
    static const char list[] =
        "[PAD]\nA\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n<S>\n"
        "<T>\n\xE4\xB8\xAD\nab\n##c\n##\xCF\x82\n\xCF\x83";
    static const int want[] = { 9, 10, 8, 2, 2, 2 }, sigma[] = { 12, 9, 11 };
    char *dir = scratch_make(), *text, *p;
    struct model_options opt = { 0 };
    struct err err = { 0 };
    const struct profile *prof;
    struct model *m;
    size_t n = 0;

    text = p = xmalloc(4096);
    p += sprintf(p, "%s\n", list);
    for (int i = 13; i < 39; i++)
        p += sprintf(p, "w%d\n", i);
    scratch_put(dir, "some-vocab.txt", text, (size_t)(p - text));
    opt.vocab = dir; /* 39 tokens for 41 rows: found by that */
    m = must_open(tiny("grover"), &opt);
    prof = vocab_profile(model_vocab(m));
    assert_string_equal(prof->name, "gpt2-ml");
    assert_int_equal(prof->begin, -1);
    assert_int_equal(prof->end, -1);
    for (int i = 0; i < 41; i++) {
        bool must = i == 0 || (i >= 2 && i <= 7) || i >= 39;

        assert_int_equal(banned(model_vocab(m), i), must);
        n += must;
    }
    assert_int_equal(prof->n_ban, n);
    must_be(model_vocab(m), "ABc\xE4\xB8\xAD[CLS]", want, 6);
    must_be(model_vocab(m), "\xCE\xA3 ab\xCE\xA3", sigma, 3);
    model_close(m);
    p += sprintf(p, "x\ny\nz\n"); /* 42 tokens: too many */
    scratch_put(dir, "some-vocab.txt", text, (size_t)(p - text));
    assert_null(model_open(tiny("grover"), &opt, &err));
    assert_non_null(strstr(err.msg, "--vocab"));
    opt.vocab = NULL; /* none beside it */
    assert_null(model_open(tiny("grover"), &opt, &err));
    assert_non_null(strstr(err.msg, "put it beside the checkpoint"));
    free(text);
    scratch_remove(dir);
}

static void
profiles_by_name(void **state)
{
    static const char list[] = "[CLS]\n[PAD]\n[SEP]\n[UNK]\na\nb\nab\n"
                               "\xE4\xB8\xAD\n1\n[speaker1]\n[speaker2]\n";
    static const int one[] = { 4, 5, 7, 8, 8 }, word[] = { 6 };
    char *dir = scratch_make();
    struct err err = { 0 };
    struct vocab *v;
    char *text;
    size_t len;

    scratch_put(dir, "vocab.txt", list, sizeof list - 1);
    v = vocab_open_as(dir, "cdial", &err);
    assert_non_null(v);
    must_be(v,
            "ab \xE4\xB8\xAD"
            "11\n",
            one, 5);
    assert_true(vocab_decode(v, one, 5, &text, &len, &err));
    assert_string_equal(text, "ab\xE4\xB8\xAD"
                              "11");
    free(text);
    vocab_close(v);
    v = vocab_open_as(dir, NULL, &err);
    assert_non_null(v);
    must_be(v, "ab", word, 1);
    vocab_close(v);
    assert_null(vocab_open_as(dir, "no-such", &err));
    assert_int_equal(err.kind, ERR_USAGE);
    assert_non_null(strstr(err.msg, "gpt2-ml"));
    scratch_remove(dir);
}

/* They are searched one after the other: so many would be a hang. */
static void
added_tokens_have_a_limit(void **state)
{
    static const char vocab[] = "{\"a\":0,\"b\":1}", merges[] = "a b\n";
    char *dir = scratch_make(), *text = xmalloc(1 << 20), *p = text;
    struct err err = { 0 };

    p += sprintf(p, "{\"x0\":2");
    for (int i = 1; i < 16385; i++)
        p += sprintf(p, ",\"x%d\":%d", i, i + 2);
    p += sprintf(p, "}");
    scratch_put(dir, "vocab.json", vocab, sizeof vocab - 1);
    scratch_put(dir, "merges.txt", merges, sizeof merges - 1);
    scratch_put(dir, "added_tokens.json", text, (size_t)(p - text));
    assert_null(vocab_open(dir, &err));
    if (!strstr(err.msg, "added tokens"))
        fail_msg("%s", err.msg);
    free(text);
    scratch_remove(dir);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_of_all_forms),
        cmocka_unit_test(mistakes_would_be_seen),
        cmocka_unit_test(gpt2_ml_never_continues_with_zero),
        cmocka_unit_test(gguf_carries_its_vocabulary),
        cmocka_unit_test(gguf_vocabularies_are_refused),
        cmocka_unit_test(openai_folders_are_whole),
        cmocka_unit_test(gpt2_ml_profile),
        cmocka_unit_test(profiles_by_name),
        cmocka_unit_test(added_tokens_have_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
