/* tests/bpe_test.c  Byte-level BPE: ids, bytes back, faults, long input.
 *
 * Ids come from tests/data/make_vocab.py, a slow rewrite of GPT-2's encoder
 * in Python.
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

#include "engine/base/unicode.h"
#include "engine/tokenizer.h"

#include "tests/jsonl.h"
#include "tests/vocab_folder.h"


/* Tokens as "a|b|c". */
static const char *
shown(const struct vocab *v, const char *s, int flags)
{
    static char buf[4096];
    struct err err = { 0 };
    size_t n, used = 0;
    int *ids;

    if (!vocab_encode(v, s, strlen(s), flags, &ids, &n, &err))
        fail_msg("%s", err.msg);
    buf[0] = '\0';
    for (size_t i = 0; i < n && used < sizeof buf - 64; i++) {
        if (i > 0)
            buf[used++] = '|';
        vocab_show(v, ids[i], buf + used, 64);
        used += strlen(buf + used);
    }
    free(ids);
    return buf;
}

/* The tokens' bytes, one after the other, are the text's. */
static void
check_bytes(const struct vocab *v, const char *s, size_t len)
{
    struct err err = { 0 };
    size_t n, at = 0;
    int *ids;

    if (!vocab_encode(v, s, len, 0, &ids, &n, &err))
        fail_msg("%s", err.msg);
    for (size_t i = 0; i < n; i++) {
        size_t k;
        const char *t = vocab_bytes(v, ids[i], &k);

        assert_true(k <= len - at);
        assert_memory_equal(t, s + at, k);
        at += k;
    }
    assert_int_equal(at, len);
    free(ids);
}

static void
check_round_trip(const struct vocab *v, const char *s, size_t len)
{
    struct err err = { 0 };
    size_t n, back_len;
    int *ids;
    char *back;

    assert_true(vocab_encode(v, s, len, 0, &ids, &n, &err));
    assert_true(vocab_decode(v, ids, n, &back, &back_len, &err));
    assert_int_equal(back_len, len);
    assert_memory_equal(back, s, len);
    free(ids);
    free(back);
}

/* --- against the reference --- */

static void
test_rows(void **state)
{
    static struct ids want;
    struct vocab *v = open_data("bpe");
    struct lines l;
    char *path = xasprintf("%s/vocab/rows.jsonl", data);
    size_t n, rows = 0;

    assert_string_equal(vocab_kind(v), "bpe");
    assert_true(lines_open(&l, path));
    for (; lines_next(&l, &n); rows++) {
        struct err err = { 0 };
        size_t len, n_ids;
        char *s = get_text(l.buf, n, "t", &len);
        int *ids;

        get_ids(&want, l.buf, n, "bpe");
        assert_true(vocab_encode(v, s, len, 0, &ids, &n_ids, &err));
        if (n_ids != want.n || memcmp(ids, want.v, n_ids * sizeof *ids))
            fail_msg("%s", l.buf);
        free(ids);
        check_round_trip(v, s, len);
        free(s);
    }
    assert_true(rows > 250);
    lines_close(&l);
    free(path);
    vocab_close(v);
}

/* Every character of Unicode once, in one text. */
static void
test_every_character(void **state)
{
    struct vocab *v = open_data("bpe");
    char *all = xmalloc(0x110000 * 4);
    size_t len = 0;

    for (uint32_t cp = 0; cp <= 0x10FFFF; cp++)
        if (cp < 0xD800 || cp > 0xDFFF)
            len += uni_encode(cp, all + len);
    check_round_trip(v, all, len);
    free(all);
    vocab_close(v);
}

/* Bytes that are no UTF-8: nothing is lost, and pieces are cut at them. */
static void
test_invalid(void **state)
{
    struct vocab *v = open_data("bpe");
    uint32_t seed = 3;

    for (int round = 0; round < 2000; round++) {
        char s[40];

        for (size_t i = 0; i < sizeof s; i++) {
            seed = seed * 1664525u + 1013904223u;
            s[i] = (char)(seed >> 16 & (round & 1 ? 0xFF : 0xBF));
        }
        check_bytes(v, s, (size_t)round % sizeof s);
    }
    check_bytes(v, "\xE4\xB8", 2);
    assert_string_equal(shown(v, "\xFF\xFE", 0), "<FF>|<FE>");
    vocab_close(v);
}

/* --- added tokens --- */

static void
test_added(void **state)
{
    struct vocab *v = open_data("bytelevel.json");

    /* add_prefix_space holds for each piece between added tokens */
    assert_string_equal(shown(v, "x", 0), shown(v, " x", 0));
    assert_string_equal(shown(v, "a<|endoftext|>b", VOCAB_SPECIAL),
                        " a|<|endoftext|>| b");
    /* <user> swallows white space on both sides */
    assert_string_equal(shown(v, "a  <user> \n b", VOCAB_SPECIAL),
                        " a|<user>| b");
    /* boat must stand alone */
    assert_string_equal(shown(v, "boat", VOCAB_SPECIAL), "boat");
    assert_null(strstr(shown(v, "boats", VOCAB_SPECIAL), "boat"));
    assert_null(strstr(shown(v, "船boat", VOCAB_SPECIAL), "boat"));
    assert_null(strstr(shown(v, "<user>", 0), "<user>"));
    assert_string_equal(shown(v, "", VOCAB_SPECIAL), "");
    vocab_close(v);
}

/* --- files --- */

static void
test_small_files(void **state)
{
    struct vocab *v;

    /* no header: the first line is a merge; CR and empty lines are skipped;
     * a hole in the numbers is one */
    write_text("vocab.json", "{\"a\":0,\"b\":1,\"ab\":2,\"\\u0120\":3,"
                             "\"\\u0120ab\":5,\"<|endoftext|>\":6,\"abab\":7}");
    write_text("merges.txt", "a b\r\n\r\n\xC4\xA0 ab\r\nab ab\n");
    v = open_folder();
    assert_int_equal(vocab_size(v), 8);
    assert_string_equal(shown(v, "ab ab", 0), "ab| ab");
    assert_string_equal(shown(v, "ababab", 0), "abab|ab");
    assert_string_equal(shown(v, "<|endoftext|>", VOCAB_SPECIAL),
                        "<|endoftext|>");
    vocab_close(v);
    write_text("tokenizer_config.json", "{\"add_prefix_space\": true}");
    v = open_folder();
    assert_string_equal(shown(v, "ab", 0), " ab");
    vocab_close(v);
}

static void
test_openai_names(void **state)
{
    struct vocab *v;
    struct err err = { 0 };
    char *path = xasprintf("%s/vocab.bpe", folder);

    write_text("encoder.json", "{\"a\":0,\"b\":1,\"ab\":2}");
    write_text("vocab.bpe", "#version: 0.2\na b\n");
    v = open_folder();
    assert_string_equal(shown(v, "aab", 0), "a|ab");
    vocab_close(v);
    v = vocab_open(path, &err); /* by one of the files */
    assert_non_null(v);
    vocab_close(v);
    free(path);
}

/* A merge whose result is no token falls back to bytes; a byte without a
 * token is an error unless there is an unknown token. */
static void
test_damaged(void **state)
{
    struct vocab *v;
    struct err err = { 0 };
    size_t n;
    int *ids;

    write_text("vocab.json", "{\"a\":0,\"b\":1,\"c\":2,\"abc\":3}");
    write_text("merges.txt", "a b\nab c\n");
    v = open_folder();
    assert_string_equal(shown(v, "abc", 0), "abc"); /* through "ab" */
    assert_string_equal(shown(v, "ab", 0), "a|b");
    assert_false(vocab_encode(v, "ax", 2, 0, &ids, &n, &err));
    assert_non_null(strstr(err.msg, "0x78"));
    vocab_close(v);
    write_text("vocab.json", "{\"a\":0,\"b\":1,\"<|endoftext|>\":2}");
    v = open_folder();
    assert_string_equal(shown(v, "ax", 0), "a|<|endoftext|>");
    vocab_close(v);
}

static void
test_bad_files(void **state)
{
    static const struct {
        const char *vocab, *merges, *a, *b;
    } row[] = {
        { "{\"a\":0}", NULL, "merges.txt", "missing" },
        { NULL, "a b\n", "vocab.json", "missing" },
        { "{\"a\":0,\"b\":1}", "a b\na\n", "merges.txt", "line 2" },
        { "{\"a\":0,\"b\":1}", "#version: 0.2\na b\na  b\n", "merges.txt",
          "line 3" },
        { "{\"a\":0,\"b\":1}", "a \n", "merges.txt", "line 1" },
        { "{\"a\":0,\"b\":1}", "中 国\n", "merges.txt", "line 1" },
        { "{\"a\":0,\"b\":1}", "a \xFF\n", "merges.txt", "line 1" },
        { "{\"a\":0,\"b\":1}", "", "merges.txt", "no merges" },
        { "{\"a\":0,\"b\":0}", "a b\n", "vocab.json", "number 0" },
        { "{\"a\":-1}", "a b\n", "vocab.json", "-1" },
        { "{\"a\":99999999}", "a b\n", "vocab.json", "99999999" },
        { "{\"a\":1.5}", "a b\n", "vocab.json", "\"a\"" },
        { "{\"a\":0", "a b\n", "vocab.json", "byte" },
        { "{}", "a b\n", "vocab.json", "empty" },
        { "[]", "a b\n", "vocab.json", "object" },
        { "", "a b\n", "vocab.json", "" },
    };

    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        empty_folder(NULL);
        if (row[i].vocab)
            write_text("vocab.json", row[i].vocab);
        if (row[i].merges)
            write_text("merges.txt", row[i].merges);
        refused(row[i].a, row[i].b);
    }
}

#define LEVEL "\"pre_tokenizer\":{\"type\":\"ByteLevel\"}"
#define SMALL "\"vocab\":{\"a\":0,\"b\":1,\"ab\":2}"

static void
test_bad_json(void **state)
{
    static const char *const row[][2] = {
        { "{\"model\":{\"type\":\"BPE\"," SMALL ",\"merges\":[\"a b\"]}}",
          "ByteLevel" },
        { "{" LEVEL ",\"model\":{\"type\":\"BPE\"," SMALL
          ",\"merges\":[\"ab\"]}}",
          "merge 0" },
        { "{" LEVEL ",\"model\":{\"type\":\"BPE\"," SMALL
          ",\"merges\":[\"a b\",[\"a\"]]}}",
          "merge 1" },
        { "{" LEVEL ",\"model\":{\"type\":\"BPE\"," SMALL "}}", "merges" },
        { "{" LEVEL ",\"model\":{\"type\":\"BPE\"," SMALL
          ",\"merges\":[],\"end_of_word_suffix\":\"</w>\"}}",
          "</w>" },
        { "{" LEVEL ",\"model\":{\"type\":\"BPE\"," SMALL
          ",\"merges\":[],\"byte_fallback\":true}}",
          "byte_fallback" },
        { "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":["
          "{\"type\":\"Digits\"},{\"type\":\"ByteLevel\"}]},\"model\":{"
          "\"type\":\"BPE\"," SMALL ",\"merges\":[]}}",
          "Digits" },
        { "{" LEVEL ",\"added_tokens\":[{\"id\":900000,\"content\":\"x\"}],"
          "\"model\":{\"type\":\"BPE\"," SMALL ",\"merges\":[\"a b\"]}}",
          "900000" },
        { "{" LEVEL ",\"added_tokens\":[{\"content\":\"x\"}],"
          "\"model\":{\"type\":\"BPE\"," SMALL ",\"merges\":[\"a b\"]}}",
          "added_tokens" },
    };

    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        write_text("tokenizer.json", row[i][0]);
        refused("tokenizer.json", row[i][1]);
    }
    write_text("tokenizer.json", /* members in any order are read */
               "{\"model\":{\"merges\":[[\"a\",\"b\"]]," SMALL "}," LEVEL "}");
    vocab_close(open_folder());
}

/* --- long input --- */

static void
test_long(void **state)
{
    struct vocab *v = open_data("bpe");
    size_t len = 200000;
    char *s = xmalloc(len);
    static const char *const runs[] = { "a", "the", " ",    "\n",      "人",
                                        "1", "'",   "\xFF", "\xE4\xB8" };
    uint32_t seed = 5;

    for (size_t i = 0; i < len; i++) {
        seed = seed * 1664525u + 1013904223u;
        s[i] = (char)('a' + (seed >> 16) % 26);
    }
    check_round_trip(v, s, len);
    for (size_t r = 0; r < sizeof runs / sizeof *runs; r++) {
        size_t k = strlen(runs[r]);

        for (size_t i = 0; i < len; i++)
            s[i] = runs[r][i % k];
        check_bytes(v, s, len);
    }
    free(s);
    vocab_close(v);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_every_character),
        cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_added),
        cmocka_unit_test_setup(test_small_files, empty_folder),
        cmocka_unit_test_setup(test_openai_names, empty_folder),
        cmocka_unit_test_setup(test_damaged, empty_folder),
        cmocka_unit_test_setup(test_bad_files, empty_folder),
        cmocka_unit_test_setup(test_bad_json, empty_folder),
        cmocka_unit_test(test_long),
    };

    data = getenv("JIELONG_TEST_DATA");
    if (!data)
        data = "tests/data";
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
