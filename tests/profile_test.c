/* tests/profile_test.c  How a family is fed: found, banned, prompts. */
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


static struct vocab *
open_path(const char *path)
{
    struct err err = { 0 };
    struct vocab *v = vocab_open(path, &err);

    if (!v)
        fail_msg("%s", err.msg);
    return v;
}

static const struct profile *
choose(struct vocab *v, const char *network, int rows, int bos, int eos)
{
    struct err err = { 0 };

    if (!vocab_choose_profile(v, network, rows, bos, eos, &err))
        fail_msg("%s", err.msg);
    return vocab_profile(v);
}

static bool
banned(const struct profile *p, int id)
{
    for (size_t i = 0; i < p->n_ban; i++)
        if (p->ban[i] == id)
            return true;
    return false;
}

/* Prompt's ids as "5 7 9". */
static const char *
prompt(const struct vocab *v, const char *s)
{
    static char buf[1024];
    struct tok_ids ids = { 0 };
    struct err err = { 0 };
    size_t used = 0;

    assert_true(vocab_encode_prompt(v, s, strlen(s), &ids, &err));
    buf[0] = '\0';
    for (size_t i = 0; i < ids.n; i++)
        used += (size_t)snprintf(buf + used, sizeof buf - used, "%s%d",
                                 i ? " " : "", ids.v[i]);
    free(ids.v);
    return buf;
}

static const char *
plain(const struct vocab *v, const char *s)
{
    static char buf[1024];
    struct err err = { 0 };
    size_t used = 0, n;
    int *ids;

    assert_true(vocab_encode(v, s, strlen(s), 0, &ids, &n, &err));
    buf[0] = '\0';
    for (size_t i = 0; i < n; i++)
        used += (size_t)snprintf(buf + used, sizeof buf - used, "%s%d",
                                 i ? " " : "", ids[i]);
    free(ids);
    return buf;
}

/* --- the model in the box --- */

static void
test_box(void **state)
{
    char *path = xasprintf("%s/../../models/jielong-zh", data);
    struct vocab *v = open_path(path);
    const struct profile *p;
    char *text, want[64];
    struct err err = { 0 };
    int ids[3];
    size_t len;

    p = choose(v, "gpt2", vocab_size(v), 4, 2);
    assert_string_equal(p->name, "jielong");
    assert_int_equal(p->begin, vocab_lookup(v, "[MASK]"));
    assert_int_equal(p->newline, vocab_lookup(v, "[SEP]"));
    assert_int_equal(p->end, vocab_lookup(v, "[CLS]"));
    assert_false(p->head_always || p->lower || p->newline_text);
    assert_true(banned(p, p->begin) && banned(p, 0) && banned(p, 1));
    assert_true(banned(p, vocab_lookup(v, "[unused1]")));
    assert_false(banned(p, p->newline) || banned(p, p->end));
    assert_false(banned(p, vocab_lookup(v, "的")));
    assert_true(vocab_exempt(v)[vocab_lookup(v, "的")]);
    assert_true(vocab_exempt(v)[vocab_lookup(v, "，")]);
    assert_true(vocab_exempt(v)[vocab_lookup(v, "7")]);
    assert_true(vocab_exempt(v)[p->newline]);
    assert_false(vocab_exempt(v)[vocab_lookup(v, "船")]);
    assert_false(vocab_exempt(v)[vocab_lookup(v, "a")]);
    snprintf(want, sizeof want, "%d %d %d %d", vocab_lookup(v, "船"),
             p->newline, p->newline, vocab_lookup(v, "A"));
    assert_string_equal(prompt(v, "船\n\r\nA"), want);
    /* as transformers made them for the model's card */
    assert_string_equal(prompt(v, "从前有一座山，山里有座庙，"),
                        "325 669 2557 208 1751 1589 137 1589 5790 2557 1751 "
                        "1743 137");
    ids[0] = vocab_lookup(v, "船");
    ids[1] = p->newline;
    ids[2] = p->end;
    assert_true(vocab_decode(v, ids, 3, &text, &len, &err));
    assert_string_equal(text, "船\n");
    free(text);
    vocab_close(v);
    free(path);
}

/* --- found in this order --- */

static void
test_families(void **state)
{
    struct vocab *v = open_data("lower");
    int n = vocab_size(v), cls = vocab_lookup(v, "[CLS]");
    int sep = vocab_lookup(v, "[SEP]"), mask = vocab_lookup(v, "[MASK]");
    const struct profile *p = choose(v, "grover", n + 3, 50256, 50256);

    assert_string_equal(p->name, "gpt2-ml");
    assert_true(p->begin < 0 && p->newline < 0 && p->end < 0);
    assert_true(banned(p, cls) && banned(p, sep) && banned(p, mask));
    assert_true(banned(p, n) && banned(p, n + 2)); /* rows without token */
    assert_int_equal(p->ban[p->n_ban - 1], n + 2);
    vocab_close(v);

    v = open_data("bpe");
    p = choose(v, "gpt2", vocab_size(v), 0, 0);
    assert_string_equal(p->name, "openai");
    assert_true(p->newline_text && p->newline < 0);
    assert_int_equal(p->end, 0);
    assert_false(banned(p, 0));
    assert_true(vocab_exempt(v)[vocab_lookup(v, "\n")]);
    vocab_close(v);
}

#define BERT "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n"
#define MORE "[unused1]\na\nb\n人\n-\n\"\n.\n<S>\n我\n"

static void
test_bert_families(void **state)
{
    struct vocab *v;
    const struct profile *p;

    write_text("vocab.txt", "[PAD]\n[unused1]\n[unused2]\n[unused3]\n"
                            "[unused4]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n");
    v = open_path(folder);
    p = choose(v, "gpt2", 10, 50256, 50256); /* out of range: absent */
    assert_string_equal(p->name, "uer");
    assert_int_equal(p->begin, 6);
    assert_int_equal(p->end, 7);
    assert_true(p->head_always && !p->soft && p->newline < 0);
    assert_true(banned(p, 6) && !banned(p, 7));
    p = choose(v, "gpt2", 10, 6, 7);
    assert_string_equal(p->name, "uer");
    p = choose(v, "gpt2", 10, 8, 6); /* GPT2-Chinese */
    assert_string_equal(p->name, "gpt2-chinese");
    assert_true(p->begin == 8 && p->newline == 7 && p->end == 6);
    assert_true(!banned(p, 6) && !banned(p, 7) && banned(p, 8));
    p = choose(v, "gpt2", 10, 9, 9); /* none of the families' */
    assert_string_equal(p->name, "config");
    assert_true(p->begin == 9 && p->end == 9);
    vocab_close(v);

    write_text("vocab.txt", "[CLS]\n[PAD]\n[SEP]\n[UNK]\na\n[speaker1]\n"
                            "[speaker2]\n");
    v = open_path(folder);
    p = choose(v, "gpt2", 7, -1, -1);
    assert_string_equal(p->name, "cdial");
    assert_true(p->begin == 0 && p->end == 2 && banned(p, 5));
    vocab_close(v);
}

static void
test_jielong_object(void **state)
{
    struct vocab *v;
    struct err err = { 0 };
    const struct profile *p;

    write_text("vocab.txt", BERT MORE);
    write_text("tokenizer_config.json",
               "{\"jielong\":{\"begin\":\"[CLS]\",\"end\":\"<S>\",\"head\":"
               "\"always\",\"soft\":false,\"mood\":{\"new\":1}}}");
    v = open_path(folder);
    p = choose(v, "grover", 20, -1, -1); /* goes before the families */
    assert_string_equal(p->name, "jielong");
    assert_true(p->begin == 2 && p->newline < 0 && p->end == 12);
    assert_true(p->head_always && !p->soft && !banned(p, 12));
    vocab_close(v);
    write_text("tokenizer_config.json", "{\"jielong\":{\"begin\":\"[GO]\"}}");
    v = open_path(folder);
    assert_false(vocab_choose_profile(v, "gpt2", 20, -1, -1, &err));
    assert_int_equal(err.kind, ERR_MODEL);
    assert_non_null(strstr(err.msg, "jielong.begin"));
    assert_non_null(strstr(err.msg, "[GO]"));
    vocab_close(v);
}

/* --- vocabulary and matrix --- */

static void
test_rows(void **state)
{
    struct vocab *v;
    struct err err = { 0 };
    const struct profile *p;

    write_text("vocab.txt", BERT MORE);
    write_text("added_tokens.json", "{\"[HL]\":14,\"[EOS]\":15}");
    v = open_path(folder);
    assert_int_equal(vocab_size(v), 16);
    assert_false(vocab_choose_profile(v, "gpt2", 13, -1, -1, &err));
    assert_non_null(strstr(err.msg, "14 tokens"));
    assert_non_null(strstr(err.msg, "13 rows"));
    p = choose(v, "gpt2", 15, -1, 15); /* [EOS] has no row: forgotten */
    assert_int_equal(vocab_size(v), 15);
    assert_int_equal(vocab_lookup(v, "[EOS]"), -1);
    assert_int_equal(vocab_lookup(v, "[HL]"), 14);
    assert_int_not_equal(p->end, 15);
    assert_non_null(strstr(vocab_note(v, 0), "1 added"));
    vocab_close(v);
}

/* --- prompts only --- */

/* add_prefix_space: one in front of the text, none in front of each span. */
static void
test_prefix_space(void **state)
{
    struct vocab *v = open_data("bytelevel.json");
    struct tok_ids out = { 0 };
    struct err err = { 0 };
    size_t n;

    out.v = malloc(sizeof *out.v);
    out.v[0] = choose(v, "gpt2", vocab_size(v), -1, -1)->begin;
    out.n = out.cap = 1;
    assert_true(vocab_encode_prompt(v, "x", 1, &out, &err));
    n = out.n;
    assert_true(vocab_encode_prompt(v, "x", 1, &out, &err));
    assert_int_equal(out.n, n + 1);
    assert_int_equal(out.v[n], vocab_lookup(v, "x"));
    assert_int_not_equal(out.v[1], vocab_lookup(v, "x"));
    free(out.v);
    vocab_close(v);
}

static void
test_soft(void **state)
{
    struct vocab *v;

    write_text("vocab.txt", BERT MORE);
    v = open_path(folder);
    choose(v, "grover", 14, -1, -1);
    assert_string_equal(plain(v, "“a”"), "1 6 1");
    assert_string_equal(prompt(v, "“a”"), "10 6 10");
    assert_string_equal(prompt(v, "a——b—"), "6 9 7 9"); /* —— is one - */
    assert_string_equal(prompt(v, "a———"), "6 9 9");
    assert_string_equal(prompt(v, "人…"), "8 11 11 11");
    assert_string_equal(prompt(v, "ａ－ｂ"), "6 9 7");
    assert_string_equal(prompt(v, "‘！"), "1 1"); /* no ' and no ! here */
    vocab_close(v);
    v = open_path(folder);
    choose(v, "gpt2", 14, 2, 3); /* uer learned [UNK] there */
    assert_string_equal(vocab_profile(v)->name, "uer");
    assert_string_equal(prompt(v, "“a”"), "1 6 1");
    vocab_close(v);
}

static void
test_lower(void **state)
{
    struct vocab *v;

    write_text("vocab.txt", BERT MORE);
    write_text("tokenizer_config.json", "{\"do_lower_case\":false}");
    v = open_path(folder);
    assert_true(choose(v, "gpt2", 14, -1, -1)->lower);
    assert_string_equal(plain(v, "A a"), "1 6"); /* to the letter */
    assert_string_equal(prompt(v, "A á"), "6 6");
    assert_non_null(strstr(vocab_note(v, 0), "lower"));
    vocab_close(v);
    write_text("vocab.txt", BERT MORE "Z\n");
    v = open_path(folder);
    assert_false(choose(v, "gpt2", 15, -1, -1)->lower);
    assert_string_equal(prompt(v, "Z z"), "14 1");
    assert_null(vocab_note(v, 0));
    vocab_close(v);
}

static void
test_newlines(void **state)
{
    struct vocab *v;

    write_text("vocab.txt", BERT MORE);
    v = open_path(folder);
    choose(v, "gpt2", 14, 4, 2);
    assert_string_equal(prompt(v, "\n人\n\na\r\n"), "3 8 3 3 6 3");
    assert_string_equal(prompt(v, ""), "");
    choose(v, "gpt2", 14, 2, 3); /* no newline: joined with nothing */
    assert_string_equal(prompt(v, "\n人\n\na b\r\n"), "8 6 7");
    /* special tokens cannot be typed */
    assert_int_equal(strncmp(prompt(v, "[SEP]"), "3", 2) == 0, 0);
    vocab_close(v);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_box),
        cmocka_unit_test(test_families),
        cmocka_unit_test_setup(test_bert_families, empty_folder),
        cmocka_unit_test_setup(test_jielong_object, empty_folder),
        cmocka_unit_test_setup(test_rows, empty_folder),
        cmocka_unit_test(test_prefix_space),
        cmocka_unit_test_setup(test_soft, empty_folder),
        cmocka_unit_test_setup(test_lower, empty_folder),
        cmocka_unit_test_setup(test_newlines, empty_folder),
    };

    data = getenv("JIELONG_TEST_DATA");
    if (!data)
        data = "tests/data";
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
