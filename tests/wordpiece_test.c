/* tests/wordpiece_test.c  Text to ids by BERT's rules.
 *
 * Ids come from tests/data/make_vocab.py, a slow rewrite of the originals in
 * Python; files with faults are written here.
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
#include <unistd.h>

#include "engine/tokenizer.h"

#include "tests/jsonl.h"
#include "tests/vocab_folder.h"


/* Ids as "5 7 9". */
static const char *
shown(const struct vocab *v, const char *s, int flags)
{
    static char buf[4096];
    struct err err = { 0 };
    size_t n, used = 0;
    int *ids;

    assert_true(vocab_encode(v, s, strlen(s), flags, &ids, &n, &err));
    buf[0] = '\0';
    for (size_t i = 0; i < n && used < sizeof buf - 16; i++)
        used += (size_t)snprintf(buf + used, sizeof buf - used, "%s%d",
                                 i ? " " : "", ids[i]);
    free(ids);
    return buf;
}

/* --- against the reference --- */

static void
compare_rows(const struct vocab *v, const char *column)
{
    static struct ids want;
    struct lines l;
    char *path = xasprintf("%s/vocab/rows.jsonl", data);
    size_t n, rows = 0;

    assert_true(lines_open(&l, path));
    for (; lines_next(&l, &n); rows++) {
        struct err err = { 0 };
        size_t len, n_ids;
        char *s = get_text(l.buf, n, "t", &len);
        int *ids;

        get_ids(&want, l.buf, n, column);
        assert_true(want.there);
        assert_true(vocab_encode(v, s, len, 0, &ids, &n_ids, &err));
        if (n_ids != want.n || memcmp(ids, want.v, n_ids * sizeof *ids))
            fail_msg("%s: %s", column, l.buf);
        free(ids);
        free(s);
    }
    assert_true(rows > 250);
    lines_close(&l);
    free(path);
}

static void
test_lower(void **state)
{
    struct vocab *v = open_data("lower");

    assert_string_equal(vocab_kind(v), "wordpiece");
    compare_rows(v, "lower");
    vocab_close(v);
}

static void
test_cased(void **state)
{
    struct vocab *v = open_data("cased");

    compare_rows(v, "cased");
    vocab_close(v);
}

static void
test_google(void **state)
{
    struct err err = { 0 };
    struct vocab *v = open_data("lower");

    assert_true(vocab_choose_profile(v, "grover", vocab_size(v), -1, -1, &err));
    compare_rows(v, "google");
    vocab_close(v);
}

static void
test_tokenizer_json(void **state)
{
    struct vocab *v = open_data("wordpiece.json"), *w = open_data("lower");
    int own = vocab_lookup(v, "ferry one");
    char *want;

    compare_rows(v, "lower");
    /* An added token with "normalized" is found in lower-cased text. */
    assert_int_equal(own, vocab_size(w));
    want = xasprintf("%d %d %d", vocab_lookup(v, "the"), own,
                     vocab_lookup(v, "boat"));
    assert_string_equal(shown(v, "The FERRY One boat", VOCAB_SPECIAL), want);
    assert_string_not_equal(shown(v, "The FERRY One boat", 0), want);
    free(want);
    vocab_close(v);
    vocab_close(w);
}

/* --- vocab.txt --- */

#define BASE "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n"

static void
test_line_ends(void **state)
{
    struct vocab *v;
    char hash[65];

    write_text("vocab.txt", BASE "a\nb\n人\n");
    v = open_folder();
    assert_int_equal(vocab_size(v), 8);
    assert_string_equal(shown(v, "a 人 b c", 0), "5 7 6 1");
    strcpy(hash, vocab_hash(v));
    assert_int_equal(strlen(hash), 64);
    vocab_close(v);

    write_text("vocab.txt", "\xEF\xBB\xBF[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\n"
                            "[MASK]\r\na\r\nb\r\n人");
    v = open_folder();
    assert_int_equal(vocab_size(v), 8);
    assert_string_equal(shown(v, "a 人 b [PAD]", VOCAB_SPECIAL), "5 7 6 0");
    assert_string_not_equal(vocab_hash(v), hash);
    vocab_close(v);
}

static void
test_odd_lines(void **state)
{
    struct vocab *v;
    char buf[16];
    size_t len;

    /* an empty line and U+2028 keep their numbers; blanks are not trimmed;
     * of two equal tokens the later is found, and that is told */
    write_text("vocab.txt", BASE "\n\u2028\na\n b\na\n");
    v = open_folder();
    assert_int_equal(vocab_size(v), 10);
    assert_string_equal(shown(v, "a b", 0), "9 1");
    assert_non_null(vocab_note(v, 0));
    assert_non_null(strstr(vocab_note(v, 0), "twice"));
    assert_null(vocab_note(v, 1));
    vocab_show(v, 7, buf, sizeof buf);
    assert_string_equal(buf, "a");
    vocab_bytes(v, 5, &len);
    assert_int_equal(len, 0);
    vocab_close(v);
}

static void
test_bad_vocab(void **state)
{
    write_bytes("vocab.txt", BASE "a\0b\n", sizeof BASE "a\0b\n" - 1);
    refused("vocab.txt", "line 6");
    write_text("vocab.txt", BASE "a\nb\xFF\n");
    refused("line 7", "UTF-8");
    write_text("vocab.txt", "");
    refused("vocab.txt", "empty");
    write_text("vocab.txt", "a\nb\n");
    refused("vocab.txt", "[UNK]");
    write_text("vocab.txt", "version https://git-lfs.github.com/spec/v1\n");
    refused("vocab.txt", "git lfs pull");
    write_text("vocab.txt", "<!DOCTYPE html>\n<html>");
    refused("vocab.txt", "web page");
    empty_folder(NULL);
    refused(folder, "vocab.txt");
}

/* --- settings --- */

static void
test_special_in_text(void **state)
{
    struct vocab *v = open_data("lower");

    assert_string_equal(shown(v, "[CLS]", VOCAB_SPECIAL), "2");
    assert_string_equal(shown(v, "人[SEP]心[X]", 0),
                        shown(v, "人[ sep ]心[x]", 0));
    assert_string_equal(shown(v, "[MASK][UNK]", VOCAB_SPECIAL), "4 1");
    /* not typed on purpose: never taken */
    assert_string_equal(shown(v, "[C\u00adLS]", VOCAB_SPECIAL),
                        shown(v, "[cls]", 0));
    vocab_close(v);
}

static void
test_config(void **state)
{
    struct vocab *v;

    write_text("vocab.txt", "<unk>\na\nb\ne\nA\né\n人\n##人\nna-me\nx\n-\n");
    write_text("tokenizer_config.json",
               "{\"do_lower_case\":true,\"strip_accents\":false,"
               "\"tokenize_chinese_chars\":false,\"never_split\":[\"na-me\"],"
               "\"unk_token\":{\"content\":\"<unk>\",\"lstrip\":false},"
               "\"model_max_length\":1e30,\"nested\":{\"a\":[1,{}]}}");
    write_text("added_tokens.json", "{\"[HL]\": 12, \"[EOS]\": 11}");
    v = open_folder();
    assert_int_equal(vocab_size(v), 13);
    assert_string_equal(shown(v, "A É", 0), "1 5");  /* lower, accent kept */
    assert_string_equal(shown(v, "人人", 0), "6 7"); /* one word */
    assert_string_equal(shown(v, "na-me x-x", 0), "8 9 10 9");
    assert_string_equal(shown(v, "a[HL]b[EOS]", VOCAB_SPECIAL), "1 12 2 11");
    vocab_close(v);

    write_text("tokenizer_config.json",
               "{\"do_lower_case\":false,\"strip_accents\":true,"
               "\"unk_token\":\"<unk>\"}");
    v = open_folder();
    assert_string_equal(shown(v, "A É é 人人", 0), "4 0 3 6 6");
    vocab_close(v);
}

static void
test_bad_config(void **state)
{
    write_text("vocab.txt", BASE "a\n");
    write_text("tokenizer_config.json", "{\"do_lower_case\": 3}");
    refused("tokenizer_config.json", "do_lower_case");
    write_text("tokenizer_config.json", "{\"do_lower_case\": true");
    refused("tokenizer_config.json", "byte");
    write_text("tokenizer_config.json", "[]");
    refused("tokenizer_config.json", "object");
    write_text("tokenizer_config.json",
               "{\"jielong\":{\"head\":\"sometimes\"}}");
    refused("tokenizer_config.json", "jielong.head");
    write_text("tokenizer_config.json", "{}");
    write_text("added_tokens.json", "{\"[X]\": 2000000000}");
    refused("[X]", "2000000000");
    write_text("added_tokens.json", "{\"[X]\": -1}");
    refused("added_tokens.json", "[X]");
}

static void
test_refused_json(void **state)
{
    static const struct {
        const char *text, *word;
    } row[] = {
        { "{\"model\":{\"type\":\"Unigram\",\"vocab\":[]}}", "Unigram" },
        { "{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"[UNK]\":0}},"
          "\"pre_tokenizer\":{\"type\":\"Metaspace\"}}",
          "Metaspace" },
        { "{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"[UNK]\":0}},"
          "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":["
          "{\"type\":\"NFKC\"}]}}",
          "NFKC" },
        { "{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"[UNK]\":0}}}",
          "BertPreTokenizer" },
        { "{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":0}},"
          "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"}}",
          "[UNK]" },
        { "{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":0,\"b\":0}},"
          "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"}}",
          "number 0" },
        { "{\"added_tokens\":[]}", "model" },
        { "{\"model\":", "byte" },
        { "{\"model\":{\"type\":\"WordPiece\"},"
          "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"}}",
          "vocab" },
    };

    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        write_text("tokenizer.json", row[i].text);
        refused("tokenizer.json", row[i].word);
    }
}

/* --- long input: everything ends, and soon --- */

static size_t
ids_of_run(const struct vocab *v, const char *one, size_t times)
{
    size_t k = strlen(one), n;
    char *s = xmalloc(k * times);
    struct err err = { 0 };
    int *ids;

    for (size_t i = 0; i < times; i++)
        memcpy(s + i * k, one, k);
    assert_true(vocab_encode(v, s, k * times, 0, &ids, &n, &err));
    free(ids);
    free(s);
    return n;
}

static void
test_long(void **state)
{
    struct vocab *v = open_data("lower");

    assert_int_equal(ids_of_run(v, "a", 200000), 1);
    assert_int_equal(ids_of_run(v, "É", 200000), 1);
    assert_int_equal(ids_of_run(v, "人", 200000), 200000);
    assert_int_equal(ids_of_run(v, "-", 200000), 200000);
    assert_int_equal(ids_of_run(v, "\u0301\u0323", 100000), 0);
    assert_int_equal(ids_of_run(v, "\u0ebc\u0f39", 100000), 0);
    assert_int_equal(ids_of_run(v, "\u302e\u0301", 100000), 1); /* Mc stays */
    assert_int_equal(ids_of_run(v, "\xFF", 200000), 0);
    assert_int_equal(ids_of_run(v, "the ", 50000), 50000);
    vocab_close(v);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lower),
        cmocka_unit_test(test_cased),
        cmocka_unit_test(test_google),
        cmocka_unit_test(test_tokenizer_json),
        cmocka_unit_test_setup(test_line_ends, empty_folder),
        cmocka_unit_test_setup(test_odd_lines, empty_folder),
        cmocka_unit_test_setup(test_bad_vocab, empty_folder),
        cmocka_unit_test(test_special_in_text),
        cmocka_unit_test_setup(test_config, empty_folder),
        cmocka_unit_test_setup(test_bad_config, empty_folder),
        cmocka_unit_test_setup(test_refused_json, empty_folder),
        cmocka_unit_test(test_long),
    };

    data = getenv("JIELONG_TEST_DATA");
    if (!data)
        data = "tests/data";
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
