/* tests/convert_test.c  Models written as GGUF and opened again: the same
 * bits, the same tokens; and what is refused leaves nothing behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "engine/load/gguf_write.h"
#include "engine/load/load.h"
#include "engine/model_write.h"
#include "engine/vocab.h"

#include "tests/originals.h"

static char *dir; /* of the running test */

static const char *
at(const char *name)
{
    static char path[16][200];
    static int turn;

    turn = (turn + 1) % 16;
    snprintf(path[turn], sizeof *path, "%s/%s", dir, name);
    return path[turn];
}

static int
make_dir(void **state)
{
    dir = scratch_make();
    return 0;
}

static int
remove_dir(void **state)
{
    scratch_remove(dir);
    return 0;
}

static int
files_left(void)
{
    DIR *d = opendir(dir);
    int n = 0;

    while (readdir(d))
        n++;
    closedir(d);
    return n - 2;
}

/* A vocabulary of so many tokens, for models that have none. */
static void
make_vocab(int n)
{
    FILE *f = fopen(at("vocab.txt"), "w");

    assert_non_null(f);
    fputs("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n[unused1]\n##a\n##\n", f);
    for (int i = 8; i < n; i++)
        fprintf(f, "w%d\n", i);
    fclose(f);
}

struct row {
    float *v;
    size_t n;
};

static bool
take_row(void *ud, size_t i, const float *logits)
{
    struct row *r = ud;

    memcpy(r->v + i * r->n, logits, r->n * sizeof *logits);
    return true;
}

/* Logits of a few tokens of the model at path in a type. */
static struct row
logits_of(const char *path, const char *type)
{
    static const int ids[] = { 4, 17, 40, 0, 23, 8, 8 };
    struct model_options opt = { .no_vocab_needed = true, .type = type };
    struct model *m = must_open(path, &opt);
    struct row r = { .n = (size_t)model_info(m)->n_vocab };
    struct err err = { 0 };

    r.v = xcalloc(7 * r.n, sizeof *r.v);
    assert_true(model_logits(m, ids, 7, take_row, &r, &err));
    model_close(m);
    return r;
}

static void
must_be_same(const char *a, const char *b, const char *type)
{
    struct row x = logits_of(a, type), y = logits_of(b, type);

    assert_int_equal(x.n, y.n);
    if (memcmp(x.v, y.v, 7 * x.n * sizeof *x.v) != 0)
        fail_msg("%s and %s differ as %s", a, b, type);
    free(x.v);
    free(y.v);
}

static bool
write_as(const char *from, const char *to, const char *type, struct err *err)
{
    struct model_write_options opt = { .type = type, .vocab = at("vocab.txt") };

    memset(err, 0, sizeof *err);
    return model_write(from, to, &opt, err);
}

static void
f32_is_exact(void **state)
{
    static const char *const models[] = { "zip",    "legacy", "openai",
                                          "untied", "linear", "bf16",
                                          "shards", "masks" };
    struct err err;

    make_vocab(61);
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        unlink(at("m.gguf"));
        if (!write_as(tiny(models[i]), at("m.gguf"), "f32", &err))
            fail_msg("%s: %s", models[i], err.msg);
        must_be_same(tiny(models[i]), at("m.gguf"), "f32");
    }
    /* one GGUF to another: its vocabulary comes along */
    assert_true(model_write(tiny("gguf"), at("g.gguf"), NULL, &err));
    must_be_same(tiny("gguf"), at("g.gguf"), "f32");
    must_be_same(tiny("gguf"), at("g.gguf"), "int8");
}

static void
write_shape(const char *to, const char *type)
{
    struct model_write_options opt = { .type = type };
    struct model_shape s;
    struct err err = { 0 };

    assert_true(model_shape_find("2x64x4x300", &s, NULL));
    if (!model_write_random(&s, to, &opt, &err))
        fail_msg("%s", err.msg);
}

/* By itself a model runs in the type of its file. */
static void
must_run_as(const char *path, const char *type)
{
    struct model_options opt = { .type = "auto", .no_vocab_needed = true };
    struct err err = { 0 };
    struct model *m = model_open(path, &opt, &err);

    if (!m)
        fail_msg("%s", err.msg);
    assert_string_equal(model_info(m)->type, type);
    model_close(m);
}

/* A file of blocks holds the numbers that the original runs on. */
static void
types_hold_the_engines_numbers(void **state)
{
    static const struct {
        const char *file, *type;
    } rows[] = { { "bf16", "bf16" },
                 { "q8_0", "int8" },
                 { "q4_0", "int4" },
                 { "int4", "int4" } };
    struct err err = { 0 };

    write_shape(at("f32.gguf"), "f32");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct model_write_options opt = { .type = rows[i].file };

        if (!model_write(at("f32.gguf"), at(rows[i].file), &opt, &err))
            fail_msg("%s", err.msg);
        must_be_same(at("f32.gguf"), at(rows[i].file), rows[i].type);
        must_run_as(at(rows[i].file), rows[i].type);
        write_shape(at("r.gguf"), rows[i].file); /* without the way round */
        must_be_same(at("r.gguf"), at(rows[i].file), "f32");
        unlink(at("r.gguf"));
    }
}

static void
must_have(const struct weights_source *s, const char *name, uint32_t quant,
          enum dtype type, uint64_t rows, uint64_t cols)
{
    for (size_t i = 0; i < s->table.n; i++) {
        const struct tensor_entry *e = &s->table.v[i];

        if (strcmp(tensor_name(&s->table, i), name) != 0)
            continue;
        assert_int_equal(e->dtype, type);
        assert_int_equal(e->quant, quant);
        assert_int_equal(e->rank, rows ? 2 : 1);
        assert_int_equal(e->dim[0], rows ? rows : cols);
        assert_true(!rows || e->dim[1] == cols);
        return;
    }
    fail_msg("%s is not there", name);
}

static void
heads_say_what_the_format_wants(void **state)
{
    struct weights_source s;
    struct err err = { 0 };
    struct meta_list l;
    const char *text;
    size_t len;

    write_shape(at("m.gguf"), "q8_0");
    if (!weights_open(&s, at("m.gguf"), &err))
        fail_msg("%s", err.msg);
    assert_true(meta_find(&s.meta, "general.architecture", META_TEXT, &l));
    assert_true(meta_next_text(&l, &text, &len));
    assert_memory_equal(text, "gpt2", 4);
    assert_int_equal(meta_int(&s.meta, "general.file_type", -1), 7);
    assert_int_equal(meta_int(&s.meta, "gpt2.context_length", -1), 1024);
    assert_int_equal(meta_int(&s.meta, "gpt2.embedding_length", -1), 64);
    assert_int_equal(meta_int(&s.meta, "gpt2.feed_forward_length", -1), 256);
    assert_int_equal(meta_int(&s.meta, "gpt2.block_count", -1), 2);
    assert_int_equal(meta_int(&s.meta, "gpt2.attention.head_count", -1), 4);
    assert_true(meta_real(&s.meta, "gpt2.attention.layer_norm_epsilon", 0) ==
                (double)1e-5f);
    assert_int_equal(meta_int(&s.meta, "tokenizer.ggml.eos_token_id", -1), 299);
    assert_true(meta_find(&s.meta, "tokenizer.ggml.tokens", META_TEXT, &l));
    assert_int_equal(l.n, 300);
    /* names as load/names.c brings them to Hugging Face's */
    must_have(&s, "wte.weight", GGML_Q8_0, DT_BLOCKS, 300, 64);
    must_have(&s, "wpe.weight", 0, DT_F32, 1024, 64);
    must_have(&s, "h.1.attn.c_attn.weight", GGML_Q8_0, DT_BLOCKS, 192, 64);
    must_have(&s, "h.1.mlp.c_proj.weight", GGML_Q8_0, DT_BLOCKS, 64, 256);
    must_have(&s, "h.0.mlp.c_fc.bias", 0, DT_F32, 0, 256);
    must_have(&s, "ln_f.weight", 0, DT_F32, 0, 64);
    weights_close(&s);
}

/* --- vocabularies --- */

static const char *const texts[] = {
    "",
    "Into the w\xC3\xB8rld, \xE4\xB8\xAD\xE6\x96\x87\xEF\xBC\x8C"
    "\xE6\x88\x91\xE6\x9C\x89\xE4\xB8\x80\xE4\xB8\xAA\xE6\x9C\x8B\xE5\x8F\x8B",
    "Caf\xC3\xA9 ABC abc's don't  two   spaces\n\nlines\t12345 [MASK]x[SEP]",
    "\xE6\xB8\xA1\xE5\x8F\xA3\xE7\x9A\x84\xE8\x80\x81\xE4\xBA\xBA<|endoftext|>"
    "\xF0\x9F\x98\x80 ##ing [unused1] \xCE\xA3\xCE\xB1\xCF\x82 <user>",
};

static void
must_encode_alike(const struct vocab *a, const struct vocab *b)
{
    struct err err = { 0 };

    for (size_t i = 0; i < 2 * (sizeof texts / sizeof *texts); i++) {
        const char *t = texts[i / 2];
        int flags = i % 2 ? VOCAB_SPECIAL : 0, *x, *y;
        struct tok_ids p = { 0 }, q = { 0 };
        size_t n, m;

        assert_true(vocab_encode(a, t, strlen(t), flags, &x, &n, &err));
        assert_true(vocab_encode(b, t, strlen(t), flags, &y, &m, &err));
        assert_int_equal(n, m);
        assert_memory_equal(x, y, n * sizeof *x);
        assert_true(vocab_encode_prompt(a, t, strlen(t), &p, &err));
        assert_true(vocab_encode_prompt(b, t, strlen(t), &q, &err));
        assert_int_equal(p.n, q.n);
        assert_true(p.n == 0 || memcmp(p.v, q.v, p.n * sizeof *p.v) == 0);
        free(x), free(y), free(p.v), free(q.v);
    }
}

static void
must_decode_alike(const struct vocab *a, const struct vocab *b, int n)
{
    struct err err = { 0 };

    for (int id = 0; id < n; id++) {
        char x[200], y[200];
        int pair[2] = { n / 2, id };
        char *s, *t;
        size_t len, m;

        vocab_show(a, id, x, sizeof x);
        vocab_show(b, id, y, sizeof y);
        assert_string_equal(x, y);
        assert_true(vocab_decode(a, pair, 2, &s, &len, &err));
        assert_true(vocab_decode(b, pair, 2, &t, &m, &err));
        assert_int_equal(len, m);
        assert_memory_equal(s, t, len);
        free(s), free(t);
    }
}

static void
must_have_one_profile(const struct vocab *a, const struct vocab *b, int n_rows)
{
    const struct profile *p = vocab_profile(a), *q = vocab_profile(b);

    assert_string_equal(p->name, q->name);
    assert_int_equal(p->begin, q->begin);
    assert_int_equal(p->newline, q->newline);
    assert_int_equal(p->end, q->end);
    assert_int_equal(p->head_always, q->head_always);
    assert_int_equal(p->lower, q->lower);
    assert_int_equal(p->soft, q->soft);
    assert_int_equal(p->n_ban, q->n_ban);
    assert_memory_equal(p->ban, q->ban, p->n_ban * sizeof *p->ban);
    assert_int_equal(vocab_size(b), n_rows);
}

/* A file that holds a vocabulary and no weights. */
static struct vocab *
through_a_file(const struct vocab *v, int n_rows)
{
    struct gguf_out *o = gguf_out_new();
    FILE *f = fopen(at("v.gguf"), "w");
    struct err err = { 0 };
    struct vocab *again;

    gguf_put_text(o, "general.architecture", "gpt2");
    vocab_to_meta(v, n_rows, o);
    assert_true(gguf_write_head(o, fileno(f)));
    fclose(f);
    gguf_out_free(o);
    again = vocab_open(at("v.gguf"), &err);
    if (!again)
        fail_msg("%s", err.msg);
    return again;
}

static void
vocabularies_come_back(void **state)
{
    static const char *const names[] = {
        "vocab/bpe",
        "vocab/cased",
        "vocab/lower",
        "vocab/bytelevel.json",
        "vocab/wordpiece.json",
        "models/gguf/model.gguf",
    };
    struct err err = { 0 };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = xasprintf("%s/%s", getenv("JIELONG_TEST_DATA"), names[i]);
        struct vocab *v = vocab_open(path, &err), *again;
        int n = v ? vocab_size(v) : 0, bos, eos;

        if (!v)
            fail_msg("%s: %s", path, err.msg);
        assert_true(vocab_choose_profile(v, "gpt2", n + 3, -1, -1, &err));
        again = through_a_file(v, n + 3); /* three rows have no token */
        bos = vocab_profile(v)->begin;
        eos = vocab_profile(v)->end;
        assert_true(vocab_choose_profile(again, "gpt2", n + 3, bos, eos, &err));
        must_encode_alike(v, again);
        must_decode_alike(v, again, n);
        must_have_one_profile(v, again, n + 3);
        vocab_close(again);
        vocab_close(v);
        free(path);
    }
}

/* The "jielong" object of tokenizer_config.json, and its switches. */
static void
profiles_come_back(void **state)
{
    static const char config[] =
        "{\"do_lower_case\":false,\"strip_accents\":true,"
        "\"jielong\":{\"begin\":\"[MASK]\",\"newline\":\"w9\","
        "\"end\":\"w10\",\"head\":\"always\",\"lower\":true,\"soft\":false}}";
    struct err err = { 0 };
    struct vocab *v, *again;

    make_vocab(40);
    scratch_put(dir, "tokenizer_config.json", config, sizeof config - 1);
    v = vocab_open(dir, &err);
    assert_non_null(v);
    assert_true(vocab_choose_profile(v, "gpt2", 40, -1, -1, &err));
    again = through_a_file(v, 40);
    assert_true(vocab_choose_profile(again, "gpt2", 40, 4, 10, &err));
    must_encode_alike(v, again);
    must_have_one_profile(v, again, 40);
    assert_string_equal(vocab_profile(again)->name, "jielong");
    assert_int_equal(vocab_profile(again)->newline, 9);
    vocab_close(again);
    vocab_close(v);
}

/* --- refusals --- */

static void
refused(const char *from, const char *why, enum err_kind kind)
{
    struct err err;

    if (write_as(from, at("m.gguf"), "f32", &err))
        fail_msg("written, should say: %s", why);
    if (!strstr(err.msg, why))
        fail_msg("\"%s\" lacks \"%s\"", err.msg, why);
    assert_int_equal(err.kind, kind);
}

static void
what_cannot_be_written_is_told(void **state)
{
    static const char erf[] = "{\"n_head\":2,\"activation_function\":\"gelu\"}";
    struct err err;

    make_vocab(41);
    refused(tiny("grover"), "no architecture", ERR_MODEL);
    refused(tiny("gpt1"), "no architecture", ERR_MODEL);
    make_vocab(61);
    scratch_link(dir, "model.safetensors", "untied/model.safetensors");
    scratch_put(dir, "config.json", erf, sizeof erf - 1);
    refused(dir, "tanh form", ERR_MODEL);
    assert_int_equal(files_left(), 3); /* ours */
    assert_false(write_as(tiny("untied"), at("m.gguf"), "q5", &err));
    assert_non_null(strstr(err.msg, "no type \"q5"));
    assert_false(write_as(tiny("untied"), dir, "f32", &err));
    assert_non_null(strstr(err.msg, "no plain file"));
}

static void
a_file_that_is_there_stays(void **state)
{
    struct model_write_options opt = { .vocab = at("vocab.txt"),
                                       .force = true };
    struct err err;

    make_vocab(61);
    scratch_put(dir, "m.gguf", "mine", 4);
    refused(tiny("untied"), "--force", ERR_USAGE);
    assert_int_equal(files_left(), 2);
    assert_true(model_write(tiny("untied"), at("m.gguf"), &opt, &err));
    must_be_same(tiny("untied"), at("m.gguf"), "f32");
    assert_int_equal(files_left(), 2);
}

static bool
stop_half_way(void *ud, size_t done, size_t total)
{
    return done < total / 2;
}

static void
a_cancelled_file_is_gone(void **state)
{
    struct model_write_options opt = { .progress = stop_half_way };
    struct err err = { 0 };
    struct model_shape s;

    assert_true(model_shape_find("2x64x4x300", &s, NULL));
    assert_false(model_write_random(&s, at("m.gguf"), &opt, &err));
    assert_int_equal(err.kind, ERR_CANCELLED);
    assert_int_equal(files_left(), 0);
}

/* A full disk, played by a limit on the size of files. */
static void
a_failed_write_leaves_nothing(void **state)
{
    struct model_shape s;
    struct err err = { 0 };
    int status;
    pid_t pid;

    assert_true(model_shape_find("2x64x4x300", &s, NULL));
    pid = fork();
    if (pid == 0) {
        struct rlimit lim = { 100000, 100000 };

        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &lim);
        _exit(!model_write_random(&s, at("m.gguf"), NULL, &err) &&
                      strstr(err.msg, "cannot be written")
                  ? 0
                  : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(files_left(), 0);
}

static void
shapes(void **state)
{
    struct model_shape s;

    assert_true(model_shape_find("xl", &s, NULL));
    assert_int_equal(s.D, 1600);
    assert_true(model_shape_find("12x768x12x50257", &s, NULL));
    assert_int_equal(s.F, 3072);
    assert_false(model_shape_find("12x768x11x50257", &s, NULL));
    assert_false(model_shape_find("12x768x12x50257x", &s, NULL));
    assert_false(model_shape_find("12x768x12x20", &s, NULL));
    assert_false(model_shape_find("huge", &s, NULL));
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)
    const struct CMUnitTest tests[] = {
        TEST(f32_is_exact),
        TEST(types_hold_the_engines_numbers),
        TEST(heads_say_what_the_format_wants),
        TEST(vocabularies_come_back),
        TEST(profiles_come_back),
        TEST(what_cannot_be_written_is_told),
        TEST(a_file_that_is_there_stays),
        TEST(a_cancelled_file_is_gone),
        TEST(a_failed_write_leaves_nothing),
        TEST(shapes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
