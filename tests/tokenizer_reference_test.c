/* tests/tokenizer_reference_test.c  Our ids against recorded ids.
 *
 * The records were made by the original programs (transformers, tokenizers,
 * Google's and OpenAI's code) on thousands of strings and lie beside the
 * repository; without them everything here is skipped, loudly. All must be
 * equal but for what is named and counted in each test.
 */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
/* clang-format on */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/base/sha256.h"
#include "engine/base/unicode.h"
#include "engine/tokenizer.h"

#include "tests/jsonl.h"

static const char *shared;

static char *
fixture(const char *name)
{
    return xasprintf("%s/fixtures/%s", shared, name);
}

static bool
open_lines(struct lines *l, const char *name)
{
    char *path = fixture(name);
    bool ok = lines_open(l, path);

    free(path);
    return ok;
}

/* --- comparing --- */

static bool
encodes_to(const struct vocab *v, const char *s, size_t len, int flags,
           const struct ids *want)
{
    struct err err = { 0 };
    int *ids;
    size_t n;
    bool same;

    if (!vocab_encode(v, s, len, flags, &ids, &n, &err))
        fail_msg("%s", err.msg);
    same = n == want->n && memcmp(ids, want->v, n * sizeof *ids) == 0;
    free(ids);
    return same;
}

static void
tell(const char *where, const char *s, size_t len)
{
    print_message("# differs, %s: %.*s\n", where, (int)(len > 300 ? 300 : len),
                  s);
}

static struct vocab *
open_or_fail(struct vocab *v, const struct err *err)
{
    if (!v)
        fail_msg("%s", err->msg);
    return v;
}

static bool
missing(const char *name)
{
    char *path = fixture(name);
    FILE *f = fopen(path, "r");

    if (f)
        fclose(f);
    else
        print_message("# SKIPPED: %s is not here\n", path);
    free(path);
    return f == NULL;
}

/* --- BERT --- */

static struct ids want, fast, plain;

/* Rows with code points that Unicode 14 does not know are left out. Four
 * rows of a cased vocabulary spell a special token that comes together only
 * after deletions: transformers takes it, we do not, since nobody could have
 * meant it (with CDial one of the four is [UNK] either way). CDial's
 * vocabulary has no [MASK]; transformers invents number 13088 for it, one
 * past the matrix, and to us it is text. */
static void
bert(const char *vocab, const char *records, bool lower, size_t late,
     size_t no_mask)
{
    struct lines strings, rows;
    struct err err = { 0 };
    char *path = fixture(vocab), *conf;
    char name[] = "/tmp/jielong-test-XXXXXX";
    int fd = mkstemp(name);
    size_t a, b, n_late = 0, n_mask = 0, differ = 0, compared = 0;
    struct vocab *v;

    dprintf(fd, "{\"do_lower_case\": %s}", lower ? "true" : "false");
    conf = name;
    v = open_or_fail(wordpiece_open_file(path, conf, &err), &err);
    assert_true(open_lines(&strings, "original/tok/bert/strings.jsonl.xz"));
    assert_true(open_lines(&rows, records));
    while (lines_next(&strings, &a) && lines_next(&rows, &b)) {
        size_t n;
        char *s;

        if (get_flag(strings.buf, a, "cn"))
            continue;
        s = get_text(strings.buf, a, "t", &n);
        get_ids(&want, rows.buf, b, "slow");
        get_ids(&fast, rows.buf, b, "fast");
        get_ids(&plain, rows.buf, b, "plain");
        compared++;
        if (!encodes_to(v, s, n, VOCAB_SPECIAL, &want)) {
            bool mask = no_mask > 0 && memmem(s, n, "[MASK]", 6);

            n_mask += mask;
            n_late += !mask;
        }
        /* Without special tokens: "plain" is the fast tokenizer, so it can
         * be compared where slow and fast agree. */
        if (plain.there ? !fast.there && !encodes_to(v, s, n, 0, &plain)
                        : !fast.there && !encodes_to(v, s, n, 0, &want)) {
            differ++;
            tell(records, s, n);
        }
        free(s);
    }
    lines_close(&strings);
    lines_close(&rows);
    assert_true(compared > 4500);
    assert_int_equal(differ, 0);
    assert_int_equal(n_late, late);
    assert_int_equal(n_mask, no_mask);
    vocab_close(v);
    remove(name);
    free(path);
}

static void
test_bert(void **state)
{
    static const struct {
        const char *vocab, *records;
        bool lower;
        size_t late, no_mask;
    } row[] = {
        { "vocab/bert-base-chinese-vocab.txt", "bert-zh-lower", true, 0, 0 },
        { "vocab/bert-base-chinese-vocab.txt", "bert-zh-cased", false, 4, 0 },
        { "vocab/clue-vocab.txt", "clue-lower", true, 0, 0 },
        { "vocab/clue-vocab.txt", "clue-cased", false, 4, 0 },
        { "vocab/bert-large-cased-wwm-vocab.txt", "wwm-cased-lower", true, 0,
          0 },
        { "vocab/bert-large-cased-wwm-vocab.txt", "wwm-cased-cased", false, 4,
          0 },
        { "vocab/cdial-vocab.txt", "cdial-lower", true, 0, 26 },
        { "vocab/cdial-vocab.txt", "cdial-cased", false, 3, 26 },
    };

    if (missing("original/tok/bert/strings.jsonl.xz"))
        skip();
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char *name = xasprintf("original/tok/bert/%s.jsonl.xz", row[i].records);

        bert(row[i].vocab, name, row[i].lower, row[i].late, row[i].no_mask);
        free(name);
    }
}

/* Google's tokenization.py, which gpt2-ml uses: reached by the profile. */
static void
google(const char *vocab, const char *records)
{
    struct lines rows;
    struct err err = { 0 };
    char *path = fixture(vocab);
    size_t n, differ = 0, compared = 0;
    struct vocab *v = open_or_fail(wordpiece_open_file(path, NULL, &err), &err);

    assert_true(vocab_choose_profile(v, "grover", vocab_size(v), -1, -1, &err));
    assert_true(open_lines(&rows, records));
    lines_next(&rows, &n); /* the heading */
    while (lines_next(&rows, &n)) {
        size_t len;
        char *s = get_text(rows.buf, n, "text", &len);

        assert_non_null(s);
        get_ids(&want, rows.buf, n, "ids");
        compared++;
        if (!encodes_to(v, s, len, 0, &want)) {
            differ++;
            tell(records, rows.buf, n);
        }
        free(s);
    }
    lines_close(&rows);
    assert_true(compared > 600);
    assert_int_equal(differ, 0);
    vocab_close(v);
    free(path);
}

static void
test_google(void **state)
{
    if (missing("original/tf/tokenizer/clue.jsonl"))
        skip();
    google("vocab/clue-vocab.txt", "original/tf/tokenizer/clue.jsonl");
    google("vocab/bert-base-chinese-vocab.txt",
           "original/tf/tokenizer/bert.jsonl");
}

/* --- GPT-2 --- */

static struct vocab *
open_gpt2(void)
{
    struct err err = { 0 };
    char *a = fixture("vocab/gpt2-hf-vocab.json");
    char *b = fixture("vocab/gpt2-hf-merges.txt");
    struct vocab *v = open_or_fail(bpe_open_files(a, b, &err), &err);

    free(a);
    free(b);
    return v;
}

static void
test_gpt2(void **state)
{
    struct lines strings, rows;
    size_t a, b, differ = 0, compared = 0, specials = 0;
    struct vocab *v;

    if (missing("original/tok/gpt2/strings.jsonl.xz"))
        skip();
    v = open_gpt2();
    assert_true(open_lines(&strings, "original/tok/gpt2/strings.jsonl.xz"));
    assert_true(open_lines(&rows, "original/tok/gpt2/ids.jsonl.xz"));
    while (lines_next(&strings, &a) && lines_next(&rows, &b)) {
        size_t n;
        char *s;

        if (get_flag(strings.buf, a, "cn"))
            continue;
        s = get_text(strings.buf, a, "t", &n);
        get_ids(&want, rows.buf, b, "slow");
        get_ids(&plain, rows.buf, b, "plain");
        compared++;
        specials += plain.there;
        if (!encodes_to(v, s, n, VOCAB_SPECIAL, &want) ||
            !encodes_to(v, s, n, 0, plain.there ? &plain : &want)) {
            differ++;
            tell("gpt2", strings.buf, a);
        }
        free(s);
    }
    lines_close(&strings);
    lines_close(&rows);
    assert_true(compared > 4500 && specials > 50);
    assert_int_equal(differ, 0);
    vocab_close(v);
}

/* OpenAI's own files and records: encoder.json and vocab.bpe. */
static void
test_openai(void **state)
{
    struct lines rows;
    struct err err = { 0 };
    size_t n, differ = 0, compared = 0;
    char *a, *b;
    struct vocab *v;

    if (missing("original/tf/tokenizer/openai.jsonl"))
        skip();
    a = fixture("vocab/gpt2-encoder.json");
    b = fixture("vocab/gpt2-vocab.bpe");
    v = open_or_fail(bpe_open_files(a, b, &err), &err);
    assert_true(open_lines(&rows, "original/tf/tokenizer/openai.jsonl"));
    lines_next(&rows, &n);
    while (lines_next(&rows, &n)) {
        size_t len, back_len;
        char *s = get_text(rows.buf, n, "text", &len), *back;

        get_ids(&want, rows.buf, n, "ids");
        compared++;
        if (!encodes_to(v, s, len, 0, &want)) {
            differ++;
            tell("openai", rows.buf, n);
        }
        assert_true(vocab_decode(v, want.v, want.n, &back, &back_len, &err));
        assert_int_equal(back_len, len);
        assert_memory_equal(back, s, len);
        free(back);
        free(s);
    }
    lines_close(&rows);
    assert_true(compared > 500);
    assert_int_equal(differ, 0);
    vocab_close(v);
    free(a);
    free(b);
}

static size_t
unhex(const char *s, size_t n, char *out)
{
    for (size_t i = 0; i + 1 < n; i += 2) {
        char two[3] = { s[i], s[i + 1], 0 };

        out[i / 2] = (char)strtol(two, NULL, 16);
    }
    return n / 2;
}

static void
test_invalid_utf8(void **state)
{
    struct lines rows;
    size_t n, differ = 0, compared = 0;
    struct vocab *v;
    static char bytes[65536];

    if (missing("original/tok/gpt2/invalid_utf8.jsonl"))
        skip();
    v = open_gpt2();
    assert_true(open_lines(&rows, "original/tok/gpt2/invalid_utf8.jsonl"));
    while (lines_next(&rows, &n)) {
        size_t hex_len, len, at = 0;
        char *hex = get_text(rows.buf, n, "hex", &hex_len);

        len = unhex(hex, hex_len, bytes);
        get_ids(&want, rows.buf, n, "split");
        compared++;
        if (!encodes_to(v, bytes, len, 0, &want)) {
            differ++;
            tell("invalid", rows.buf, n);
        }
        for (size_t i = 0; i < want.n; i++) { /* nothing is lost */
            size_t k;
            const char *t = vocab_bytes(v, want.v[i], &k);

            assert_memory_equal(bytes + at, t, k);
            at += k;
        }
        assert_int_equal(at, len);
        free(hex);
    }
    lines_close(&rows);
    assert_int_equal(compared, 500);
    assert_int_equal(differ, 0);
    vocab_close(v);
}

/* "emit": what each id completed; "tail": bytes pending at the end. */
static void
test_incremental(void **state)
{
    struct lines rows;
    size_t n, differ = 0, compared = 0;
    struct vocab *v;

    if (missing("original/tok/gpt2/incremental.jsonl.xz"))
        skip();
    v = open_gpt2();
    assert_true(open_lines(&rows, "original/tok/gpt2/incremental.jsonl.xz"));
    while (lines_next(&rows, &n)) {
        struct detok *d = detok_new(v, "", 0);
        struct json j;
        char *out = NULL, *tail, bytes[8];
        unsigned char rest[4];
        size_t len = 0, cap = 0, tail_len;
        bool same = true;

        get_ids(&want, rows.buf, n, "ids");
        assert_true(find_member(&j, rows.buf, n, "emit"));
        for (size_t i = 0; i < want.n; i++) {
            char *text;
            size_t text_len;

            assert_int_equal(json_next(&j), JSON_STRING);
            text = json_dup(&j, &text_len);
            len = 0;
            detok_add(d, want.v[i], &out, &len, &cap);
            same &= len == text_len && memcmp(out ? out : "", text, len) == 0;
            free(text);
        }
        tail = get_text(rows.buf, n, "tail", &tail_len);
        tail_len = unhex(tail, tail_len, bytes);
        same &= detok_tail(d, rest) == tail_len &&
                memcmp(rest, bytes, tail_len) == 0;
        compared++;
        if (!same) {
            differ++;
            tell("incremental", rows.buf, n);
        }
        free(tail);
        free(out);
        detok_free(d);
    }
    lines_close(&rows);
    assert_int_equal(compared, 300);
    assert_int_equal(differ, 0);
    vocab_close(v);
}

/* Long inputs that quadratic tokenizers choke on: count and SHA-256. */
static void
one_long(const struct vocab *v, const char *row, size_t row_len)
{
    struct json j;
    struct err err = { 0 };
    char *text = NULL, sum[65], *want_sum, *name;
    size_t len = 0, n, k;
    int *ids;
    struct sha256 *sha = sha256_new();

    name = get_text(row, row_len, "file", &k);
    if (name) {
        char *path = xasprintf("original/tok/gpt2/%s", name);
        struct lines l;
        size_t got;

        assert_true(open_lines(&l, path));
        text = xmalloc(1 << 20);
        while ((got = fread(text + len, 1, (1 << 20) - len, l.f)) > 0)
            len += got;
        lines_close(&l);
        free(path);
    } else {
        size_t one_len, then_len;
        char *one = get_text(row, row_len, "repeat", &one_len);
        char *then = get_text(row, row_len, "then", &then_len);

        assert_true(find_member(&j, row, row_len, "times"));
        text = xmalloc((size_t)j.i * one_len + then_len + 1);
        for (int64_t i = 0; i < j.i; i++, len += one_len)
            memcpy(text + len, one, one_len);
        memcpy(text + len, then, then_len);
        len += then_len;
        free(one);
        free(then);
    }
    assert_true(vocab_encode(v, text, len, 0, &ids, &n, &err));
    assert_true(find_member(&j, row, row_len, "count"));
    assert_int_equal(n, j.i);
    for (size_t i = 0; i < n; i++) {
        unsigned char le[4] = { (unsigned char)ids[i],
                                (unsigned char)(ids[i] >> 8),
                                (unsigned char)(ids[i] >> 16),
                                (unsigned char)(ids[i] >> 24) };
        sha256_add(sha, le, 4);
    }
    sha256_finish(sha, sum);
    want_sum = get_text(row, row_len, "sha256", &k);
    assert_string_equal(sum, want_sum);
    free(want_sum);
    free(ids);
    free(text);
    free(name);
}

static void
test_long(void **state)
{
    struct lines l;
    struct json j;
    char *all;
    size_t len;
    int n = 0;
    struct vocab *v;

    if (missing("original/tok/gpt2/long.json"))
        skip();
    v = open_gpt2();
    assert_true(open_lines(&l, "original/tok/gpt2/long.json"));
    all = xmalloc(1 << 20);
    len = fread(all, 1, 1 << 20, l.f);
    lines_close(&l);
    json_init(&j, all, len, 0, NULL);
    assert_int_equal(json_next(&j), JSON_ARRAY);
    while (json_next(&j) == JSON_OBJECT) {
        size_t at = j.at;

        assert_true(json_skip(&j));
        one_long(v, all + at, j.pos - at);
        n++;
    }
    assert_true(n >= 8);
    free(all);
    vocab_close(v);
}

/* --- tokenizer.json --- */

static void
test_tokenizer_json(void **state)
{
    static const char *const names[] = { "bytelevel-added", "bertwordpiece",
                                         "bytelevel-pairs" };

    if (missing("original/tok/tokenizer_json/bertwordpiece.json"))
        skip();
    for (size_t i = 0; i < 3; i++) {
        char *base = xasprintf("original/tok/tokenizer_json/%s", names[i]);
        char *rel = xasprintf("%s.json", base), *path = fixture(rel);
        char *rows_name = xasprintf("%s.jsonl", base);
        struct err err = { 0 };
        struct vocab *v = open_or_fail(vocab_open(path, &err), &err);
        struct lines rows;
        size_t n, differ = 0, compared = 0;

        assert_true(open_lines(&rows, rows_name));
        while (lines_next(&rows, &n)) {
            size_t len;
            char *s = get_text(rows.buf, n, "t", &len);

            if (!s)
                s = get_text(rows.buf, n, "text", &len);
            assert_non_null(s);
            get_ids(&want, rows.buf, n, "ids");
            get_ids(&plain, rows.buf, n, "plain");
            compared++;
            if (!encodes_to(v, s, len, VOCAB_SPECIAL, &want) ||
                !encodes_to(v, s, len, 0, plain.there ? &plain : &want)) {
                differ++;
                tell(names[i], rows.buf, n);
            }
            free(s);
        }
        lines_close(&rows);
        assert_int_equal(compared, 60);
        assert_int_equal(differ, 0);
        vocab_close(v);
        free(base);
        free(rel);
        free(path);
        free(rows_name);
    }
}

/* --- the 56 strings of the format notes --- */

/* The recorded text of one string has a final sigma, which its ids have
 * not: the record is wrong there, and counted. */

struct golden {
    struct vocab *bert, *clue, *gpt2;
    size_t n, slow, sigma, google, bytes, detok;
};

static void
golden_row(struct golden *g, const char *row, size_t len)
{
    size_t n, text_len, d_len;
    char *text = get_text(row, len, "text", &n);
    char *d = get_text(row, len, "jielong_detok", &d_len), *ours;
    struct err err = { 0 };

    get_ids(&want, row, len, "bertzh_hf_slow_ids");
    if (!encodes_to(g->bert, text, n, VOCAB_SPECIAL, &want)) {
        g->slow++;
        tell("golden bert", row, len);
    }
    get_ids(&want, row, len, "clue_gpt2ml_ids");
    if (!encodes_to(g->clue, text, n, 0, &want)) {
        g->google++;
        tell("golden clue", row, len);
    }
    get_ids(&want, row, len, "gpt2_ids");
    if (!encodes_to(g->gpt2, text, n, VOCAB_SPECIAL, &want)) {
        g->bytes++;
        tell("golden gpt2", row, len);
    }
    get_ids(&want, row, len, "bertzh_hf_slow_ids");
    assert_true(vocab_decode(g->bert, want.v, want.n, &ours, &text_len, &err));
    if (text_len != d_len || memcmp(ours, d, d_len) != 0) {
        g->detok++;
        g->sigma += strstr(d, "ς") != NULL;
        print_message("# golden detok: want %s, have %s\n", d, ours);
    }
    g->n++;
    free(ours);
    free(d);
    free(text);
}

static void
test_golden(void **state)
{
    struct golden g = { 0 };
    struct err err = { 0 };
    struct json j;
    char *a, *b, *all,
        *path = xasprintf("%s/reference/formats/golden_tokenizer.json", shared);
    FILE *f = fopen(path, "r");
    size_t len;

    free(path);
    if (!f || missing("vocab/clue-vocab.txt"))
        skip();
    a = fixture("vocab/bert-base-chinese-vocab.txt");
    b = fixture("vocab/clue-vocab.txt");
    g.bert = open_or_fail(wordpiece_open_file(a, NULL, &err), &err);
    g.clue = open_or_fail(wordpiece_open_file(b, NULL, &err), &err);
    g.gpt2 = open_gpt2();
    assert_true(vocab_choose_profile(g.clue, "grover", vocab_size(g.clue), -1,
                                     -1, &err));
    all = xmalloc(1 << 22);
    len = fread(all, 1, 1 << 22, f);
    fclose(f);
    json_init(&j, all, len, 0, NULL);
    assert_int_equal(json_next(&j), JSON_ARRAY);
    while (json_next(&j) == JSON_OBJECT) {
        size_t at = j.at;

        assert_true(json_skip(&j));
        golden_row(&g, all + at, j.pos - at);
    }
    assert_int_equal(g.n, 56);
    assert_int_equal(g.slow, 0);
    assert_int_equal(g.google, 0);
    assert_int_equal(g.bytes, 0);
    assert_int_equal(g.detok, 1);
    assert_int_equal(g.sigma, 1);
    vocab_close(g.bert);
    vocab_close(g.clue);
    vocab_close(g.gpt2);
    free(all);
    free(a);
    free(b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bert),
        cmocka_unit_test(test_google),
        cmocka_unit_test(test_gpt2),
        cmocka_unit_test(test_openai),
        cmocka_unit_test(test_invalid_utf8),
        cmocka_unit_test(test_incremental),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_tokenizer_json),
        cmocka_unit_test(test_golden),
    };

    shared = getenv("JIELONG_TEST_SHARED");
    if (!shared)
        shared = "../shared";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
