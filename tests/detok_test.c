/* tests/detok_test.c  Ids back to text, streamed and whole. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
/* clang-format on */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/unicode.h"
#include "engine/tokenizer.h"

#include "tests/jsonl.h"
#include "tests/vocab_folder.h"


static uint32_t seed = 11;

static uint32_t
next_random(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

/* Tokens by name, separated by spaces, to text; "before" stands in front. */
static const char *
joined(const struct vocab *v, const char *before, const char *tokens)
{
    static char buf[1024];
    struct detok *d = detok_new(v, before, strlen(before));
    char *copy = xstrdup(tokens), *save = NULL, *out = NULL;
    size_t len = 0, cap = 0;

    for (char *t = strtok_r(copy, " ", &save); t;
         t = strtok_r(NULL, " ", &save)) {
        int id = vocab_lookup(v, t);

        if (id < 0)
            fail_msg("no token %s", t);
        detok_add(d, id, &out, &len, &cap);
    }
    detok_flush(d, &out, &len, &cap);
    assert_true(len < sizeof buf);
    memcpy(buf, out ? out : "", len);
    buf[len] = '\0';
    free(copy);
    free(out);
    detok_free(d);
    return buf;
}

/* --- WordPiece: where spaces stood --- */

static void
test_examples(void **state)
{
    static const char *const row[][2] = {
        { "don ' t", "don't" },
        { "3 . 1 ##4", "3.14" },
        { "1 , 0 ##0 ##0", "1,000" },
        { "今 天 iphone ##12 人", "今天iphone12人" },
        { "iphone 1 ##2 n 人", "iphone 12 n人" },
        { "1 - 2 不", "1-2不" },
        { "http : / / www . e . com / a 人 the fog",
          "http://www.e.com/a人the fog" },
        { "he said : \" it \" is 1 ##2 : 3 ##0 , no ( it ) was 5 % fog",
          "he said: \"it\" is 12:30, no (it) was 5% fog" },
        { "[CLS] 人 [SEP] [UNK] [unused1] 心", "人心" },
        { "a ! the ? boat", "a! the? boat" },
        { "n . e . the", "n.e. the" },
        { "人 。 the fog ， the", "人。the fog，the" },
    };
    struct vocab *v = open_data("lower");

    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        assert_string_equal(joined(v, "", row[i][0]), row[i][1]);
    vocab_close(v);
}

static void
test_prompt(void **state)
{
    struct vocab *v = open_data("lower");

    assert_string_equal(joined(v, "", "the fog"), "the fog");
    assert_string_equal(joined(v, "The", "fog"), " fog");
    assert_string_equal(joined(v, "The ", "fog"), "fog");
    assert_string_equal(joined(v, "The\n", "fog"), "fog");
    assert_string_equal(joined(v, "雾", "fog"), "fog");
    assert_string_equal(joined(v, "fog", "人"), "人");
    assert_string_equal(joined(v, "iPhone", "##12"), "12");
    assert_string_equal(joined(v, "don'", "t"), "t");
    assert_string_equal(joined(v, "he said: \"", "no \" he"), "no\" he");
    assert_string_equal(joined(v, "3.", "1 ##4"), "14");
    assert_string_equal(joined(v, "1,", "0 ##0 ##0"), "000");
    assert_string_equal(joined(v, "well,", "no"), " no");
    assert_string_equal(joined(v, "me@", "e . com fog"), "e.com fog");
    assert_string_equal(joined(v, "www", ". e . com"), ".e.com");
    assert_string_equal(joined(v, "\xFF", "fog"), " fog");
    vocab_close(v);
}

/* Jamo are put together again, across tokens, and none is lost. */
static void
test_hangul(void **state)
{
    struct vocab *v = open_data("lower");
    struct detok *d = detok_new(v, "", 0);
    char *out = NULL;
    size_t len = 0, cap = 0;
    unsigned char tail[4];

    assert_string_equal(
        joined(v, "", "\u1112 ##\u1161 ##\u11ab ##\u1100 ##\u116e ##\u11a8"),
        "한국");
    assert_string_equal(joined(v, "", "\u1112 ##\u1161 人"), "하人");
    assert_string_equal(joined(v, "", "\u1112 the"), "\u1112 the");
    assert_string_equal(joined(v, "", "\u1161 ##\u11ab"), "\u1161\u11ab");
    detok_add(d, vocab_lookup(v, "\u1112"), &out, &len, &cap);
    detok_add(d, vocab_lookup(v, "##\u1161"), &out, &len, &cap);
    assert_int_equal(len, 0); /* may still get a final */
    assert_int_equal(detok_tail(d, tail), 3);
    assert_memory_equal(tail, "하", 3);
    detok_flush(d, &out, &len, &cap);
    assert_int_equal(len, 3);
    assert_memory_equal(out, "하", 3);
    assert_int_equal(detok_tail(d, tail), 0);
    free(out);
    detok_free(d);
    vocab_close(v);
    v = open_data("cased"); /* does not take syllables apart: as they are */
    assert_string_equal(joined(v, "", "\u1112 ##\u1161"), "\u1112\u1161");
    vocab_close(v);
}

/* --- properties --- */

/* Ids of a random text that has no [UNK] in it. */
static bool
random_ids(const struct vocab *v, int **ids, size_t *n)
{
    static const char *const set[] = {
        "the ",   "fog", " ", "人", "心。", "“",   "”",   "，", "'",
        "\"",     ".",   ",", ":",  "/",    "(",   ")",   "12", "3",
        "iphone", "a",   "t", "s ", "$",    "com", "www", "@",  "http://",
        "\n",     "!",   "?", "%",  "-",    "——",  "é",   "한", "か",
        "THE",    "ing", "n", ";",  "#",    "[",   "]",   "of"
    };
    struct err err = { 0 };
    char s[512];
    size_t len = 0, count = 1 + next_random(24);
    int unk = vocab_lookup(v, "[UNK]");

    for (size_t i = 0; i < count; i++) {
        const char *t = set[next_random(sizeof set / sizeof *set)];

        memcpy(s + len, t, strlen(t));
        len += strlen(t);
    }
    assert_true(vocab_encode(v, s, len, 0, ids, n, &err));
    for (size_t i = 0; i < *n; i++)
        if ((*ids)[i] == unk) {
            free(*ids);
            return false;
        }
    return true;
}

/* tok(detok(tok(s))) == tok(s) */
static void
test_inverse(void **state)
{
    struct vocab *v = open_data("lower");
    int tried = 0;

    for (int round = 0; round < 6000; round++) {
        struct err err = { 0 };
        int *ids, *again;
        size_t n, m, len;
        char *text;

        if (!random_ids(v, &ids, &n))
            continue;
        assert_true(vocab_decode(v, ids, n, &text, &len, &err));
        assert_true(vocab_encode(v, text, len, 0, &again, &m, &err));
        if (n != m || memcmp(ids, again, n * sizeof *ids) != 0)
            fail_msg("not the same again: %s", text);
        free(ids);
        free(again);
        free(text);
        tried++;
    }
    assert_true(tried > 3000);
    vocab_close(v);
}

/* The same text whether the first part came as tokens or as a prompt. */
static void
test_every_split(void **state)
{
    struct vocab *v = open_data("lower");

    for (int round = 0; round < 400; round++) {
        struct err err = { 0 };
        int *ids;
        size_t n, len;
        char *whole;

        if (!random_ids(v, &ids, &n))
            continue;
        assert_true(vocab_decode(v, ids, n, &whole, &len, &err));
        for (size_t cut = 1; cut < n; cut++) {
            char *head, *out = NULL;
            size_t head_len, out_len = 0, cap = 0;
            unsigned char tail[4];
            struct detok *d, *first = detok_new(v, "", 0);

            for (size_t i = 0; i < cut; i++)
                detok_add(first, ids[i], &out, &out_len, &cap);
            if (detok_tail(first, tail) > 0) { /* a syllable in two */
                free(out);
                detok_free(first);
                continue;
            }
            detok_free(first);
            assert_true(vocab_decode(v, ids, cut, &head, &head_len, &err));
            assert_int_equal(head_len, out_len); /* append-only */
            assert_memory_equal(head, whole, head_len);
            d = detok_new(v, head, head_len);
            for (size_t i = cut; i < n; i++)
                detok_add(d, ids[i], &out, &out_len, &cap);
            detok_flush(d, &out, &out_len, &cap);
            if (out_len != len || memcmp(out, whole, len) != 0)
                fail_msg("cut at %zu: \"%s\" is not \"%.*s\"", cut, whole,
                         (int)out_len, out);
            detok_free(d);
            free(head);
            free(out);
        }
        free(ids);
        free(whole);
    }
    vocab_close(v);
}

/* --- byte-level --- */

static void
test_bytes(void **state)
{
    struct vocab *v = open_data("bpe");
    struct err err = { 0 };
    int ids[4], eot = vocab_lookup(v, "<|endoftext|>");
    char *out = NULL, *text;
    size_t len = 0, cap = 0, n;
    unsigned char tail[4];
    struct detok *d = detok_new(v, "", 0);

    ids[0] = vocab_lookup(v, "\xE5");
    ids[1] = vocab_lookup(v, "\x93");
    ids[2] = vocab_lookup(v, "\x88");
    ids[3] = vocab_lookup(v, "a");
    assert_true(ids[0] > 0 && ids[1] > 0 && ids[2] > 0 && ids[3] > 0);
    detok_add(d, ids[0], &out, &len, &cap);
    detok_add(d, ids[1], &out, &len, &cap);
    assert_int_equal(len, 0);
    assert_int_equal(detok_tail(d, tail), 2);
    assert_memory_equal(tail, "\xE5\x93", 2);
    detok_add(d, eot, &out, &len, &cap); /* specials give nothing */
    assert_int_equal(len, 0);
    detok_add(d, ids[2], &out, &len, &cap);
    assert_int_equal(len, 3);
    assert_memory_equal(out, "哈", 3);
    detok_add(d, ids[0], &out, &len, &cap);
    detok_add(d, ids[3], &out, &len, &cap); /* E5 can be nothing now */
    assert_int_equal(len, 7);
    assert_memory_equal(out + 3,
                        "\xEF\xBF\xBD"
                        "a",
                        4);
    detok_free(d);
    free(out);

    assert_true(vocab_decode(v, ids, 2, &text, &n, &err));
    assert_int_equal(n, 3); /* an unfinished end, shown as one */
    assert_memory_equal(text, "\xEF\xBF\xBD", 3);
    free(text);
    ids[0] = vocab_size(v);
    assert_false(vocab_decode(v, ids, 1, &text, &n, &err));
    assert_int_equal(err.kind, ERR_USAGE);
    vocab_close(v);
}

/* The space that a prompt's end leaves out of the ids comes back with the
 * first token, and is not written twice. */
static void
test_space_at_the_end(void **state)
{
    struct vocab *v = open_data("bpe");
    struct err err = { 0 };
    struct tok_ids a = { 0 }, b = { 0 };
    char *out = NULL;
    size_t len = 0, cap = 0;
    struct detok *d;

    assert_true(vocab_leaves_space(v, "the ", 4));
    assert_false(vocab_leaves_space(v, "the  ", 5));
    assert_false(vocab_leaves_space(v, "the\n ", 5));
    assert_false(vocab_leaves_space(v, " ", 1));
    assert_true(vocab_encode_prompt(v, "the ", 4, &a, &err));
    assert_true(vocab_encode_prompt(v, "the", 3, &b, &err));
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.v, b.v, a.n * sizeof *a.v);
    free(a.v);
    free(b.v);
    for (int with = 0; with < 2; with++) {
        d = detok_new(v, with ? "the " : "the", with ? 4 : 3);
        len = 0;
        detok_add(d, vocab_lookup(v, " "), &out, &len, &cap);
        detok_add(d, vocab_lookup(v, " "), &out, &len, &cap);
        assert_int_equal(len, with ? 1 : 2); /* only the first */
        detok_free(d);
    }
    free(out);
    vocab_close(v);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),         cmocka_unit_test(test_prompt),
        cmocka_unit_test(test_hangul),           cmocka_unit_test(test_inverse),
        cmocka_unit_test(test_every_split),      cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_space_at_the_end),
    };

    data = getenv("JIELONG_TEST_DATA");
    if (!data)
        data = "tests/data";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
