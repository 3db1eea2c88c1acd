/* tests/vocab_flat_test.c  Vocabularies out of the jail: the same, or refused.
 *
 * What a captured parser could answer: every number and length of a real
 * answer is spoiled in turn. It must be refused or make a vocabulary that can
 * be used; sanitizers tell the rest.
 */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
/* clang-format on */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/load/texts.h"
#include "engine/vocab.h"

#include "tests/vocab_folder.h"
#include "tests/vocab_use.h"

/* What a reader in the jail makes of files of tests/data/vocab. */
static struct vocab *
read_data(const char *dir, size_t *n_files)
{
    struct texts t = { 0 };
    struct err err = { 0 };
    char *folder_of = xasprintf("%s/vocab/%s", data, dir);
    char *a = xasprintf("%s/vocab.txt", folder_of);
    char *b = xasprintf("%s/vocab.json", folder_of);
    char *c = xasprintf("%s/merges.txt", folder_of);
    char *conf = xasprintf("%s/tokenizer_config.json", folder_of);
    struct vocab *v;

    texts_add(&t, a);
    texts_add(&t, b);
    texts_add(&t, c);
    texts_add(&t, conf);
    v = texts_find(&t, a) ? wordpiece_read(&t, a, conf, &err)
                          : bpe_read(&t, b, c, &err);
    if (!v)
        fail_msg("%s", err.msg);
    *n_files = t.n;
    texts_close(&t);
    free(a);
    free(b);
    free(c);
    free(conf);
    free(folder_of);
    return v;
}

/* true: refused. */
static bool
is_refused(const struct meta *m, size_t n_files)
{
    struct err err = { 0 };
    struct vocab *v = vocab_from_flat(m, n_files, "spoiled", &err);

    if (v) {
        if (vocab_choose_profile(v, "gpt2", vocab_size(v) + 3, 0, 1, &err))
            vocab_use(v);
    } else {
        assert_int_equal(err.kind, ERR_MODEL);
        assert_string_equal(err.msg,
                            "spoiled: its reader gave an impossible answer");
    }
    vocab_close(v);
    return !v;
}

/* --- the same again --- */

static int
four_numbers(const void *a, const void *b)
{
    return memcmp(a, b, 16);
}

/* All records; merges stand in the order of a table, and need not be equal
 * but in number. */
static void
same_again(void **state)
{
    static const char *const dirs[] = { "bpe", "cased", "lower" };

    for (size_t i = 0; i < 3; i++) {
        size_t n_files, at = 0, at2 = 0, key_len, key_len2, len, len2;
        struct vocab *v = read_data(dirs[i], &n_files), *w;
        struct meta m = { 0 }, m2 = { 0 };
        const char *key, *key2, *r, *r2;
        struct err err = { 0 };

        vocab_to_flat(v, &m);
        w = vocab_from_flat(&m, n_files, dirs[i], &err);
        if (!w)
            fail_msg("%s", err.msg);
        vocab_to_flat(w, &m2);
        while (meta_next_record(&m, &at, &key, &key_len, &r, &len)) {
            assert_true(
                meta_next_record(&m2, &at2, &key2, &key_len2, &r2, &len2));
            assert_int_equal(len, len2);
            if (key_len == 6 && memcmp(key, "merges", 6) == 0) {
                size_t head = 4 + key_len + 9;

                qsort((char *)(uintptr_t)r + head, (len - head) / 16, 16,
                      four_numbers);
                qsort((char *)(uintptr_t)r2 + head, (len - head) / 16, 16,
                      four_numbers);
            }
            if (memcmp(r, r2, len) != 0)
                fail_msg("%s: %.*s differs", dirs[i], (int)key_len, key);
        }
        assert_int_equal(at2, m2.len);
        assert_true(at > 1000);
        meta_free(&m);
        meta_free(&m2);
        vocab_close(v);
        vocab_close(w);
    }
}

/* --- lies --- */

enum { VALUES = 9 }; /* of a record: behind its key, form and count */

static void
put_i64(char *at, int64_t v)
{
    memcpy(at, &v, sizeof v); /* these tests run where the program does */
}

/* No number of its own may be out of its range. */
static void
numbers_out_of_range(void **state)
{
    static const int64_t lies[] = { -2, INT64_MAX, (int64_t)1 << 32 };
    static const char *const dirs[] = { "bpe", "cased" };
    int tried = 0;

    for (size_t i = 0; i < 2; i++) {
        size_t n_files, at = 0, key_len, len;
        struct vocab *v = read_data(dirs[i], &n_files);
        struct meta m = { 0 };
        const char *key, *r;

        vocab_to_flat(v, &m);
        vocab_close(v);
        assert_false(is_refused(&m, n_files));
        while (meta_next_record(&m, &at, &key, &key_len, &r, &len)) {
            char *value = m.p + (r - m.p) + 4 + key_len + VALUES, was[8];

            if (r[4 + key_len] != META_INT || len < 4 + key_len + VALUES + 8)
                continue;
            memcpy(was, value, 8);
            for (size_t k = 0; k < 3; k++, tried++) {
                put_i64(value, lies[k]);
                if (!is_refused(&m, n_files))
                    fail_msg("%s: %.*s may be %lld", dirs[i], (int)key_len, key,
                             (long long)lies[k]);
            }
            memcpy(value, was, 8);
        }
        meta_free(&m);
    }
    assert_true(tried > 100);
}

static char *
record_of(struct meta *m, const char *name, size_t *values)
{
    size_t at = 0, key_len, len;
    const char *key, *r;

    while (meta_next_record(m, &at, &key, &key_len, &r, &len))
        if (key_len == strlen(name) && memcmp(key, name, key_len) == 0) {
            *values = len - 4 - key_len - VALUES;
            return m->p + (r - m->p) + 4 + key_len + VALUES;
        }
    fail_msg("no record %s", name);
    return NULL;
}

/* Merges name symbols that are there, and what both become together. */
static void
merges_of_nothing(void **state)
{
    static const int32_t lies[] = { -1, INT32_MAX, 1 << 28, 1000000 };
    size_t n_files, size;
    struct vocab *v = read_data("bpe", &n_files);
    struct meta m = { 0 };
    char *p;
    int32_t was;

    vocab_to_flat(v, &m);
    vocab_close(v);
    p = record_of(&m, "merges", &size);
    assert_true(size > 16 * 20);
    for (size_t i = 0; i < 3; i++)
        for (size_t k = 0; k < 4; k++) {
            memcpy(&was, p + 16 * 7 + 4 * i, 4);
            memcpy(p + 16 * 7 + 4 * i, &lies[k], 4);
            assert_true(is_refused(&m, n_files));
            memcpy(p + 16 * 7 + 4 * i, &was, 4);
        }
    memcpy(p + 16 * 7 + 8, p + 16 * 8 + 8, 4); /* another one's token */
    assert_true(is_refused(&m, n_files));
    meta_free(&m);
}

/* Special tokens by number, where the number is one but no token's. */
static void
ids_without_tokens(void **state)
{
    static const char *const keys[] = { "unk",  "pad", "cls", "sep",
                                        "mask", "bos", "eos", "n_base" };
    static const char *const dirs[] = { "bpe", "lower" };

    for (size_t i = 0; i < 2; i++) {
        size_t n_files, size;
        struct vocab *v = read_data(dirs[i], &n_files);
        struct meta m = { 0 };

        vocab_to_flat(v, &m);
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
            char *p = record_of(&m, keys[k], &size), was[8];

            assert_int_equal(size, 8);
            memcpy(was, p, 8);
            put_i64(p, vocab_size(v) + (k == 7));
            assert_true(is_refused(&m, n_files));
            memcpy(p, was, 8);
        }
        vocab_close(v);
        meta_free(&m);
    }
}

/* Anything else: a byte here and there, and ends too early. */
static void
bytes_spoiled(void **state)
{
    static const char *const dirs[] = { "bpe", "cased" };
    size_t refused_ones = 0, tried = 0;

    for (size_t i = 0; i < 2; i++) {
        size_t n_files;
        struct vocab *v = read_data(dirs[i], &n_files);
        struct meta m = { 0 }, cut;

        vocab_to_flat(v, &m);
        vocab_close(v);
        for (size_t at = 0; at < m.len; at += at < 1500 ? 17 : m.len / 60) {
            char was = m.p[at];

            for (int bit = 1; bit <= 128; bit <<= 7) {
                m.p[at] = (char)(was ^ bit);
                refused_ones += is_refused(&m, n_files);
                tried++;
            }
            m.p[at] = was;
            cut = m;
            cut.len = at;
            assert_true(is_refused(&cut, n_files));
        }
        meta_free(&m);
    }
    assert_true(refused_ones > tried / 4);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_again),
        cmocka_unit_test(numbers_out_of_range),
        cmocka_unit_test(merges_of_nothing),
        cmocka_unit_test(ids_without_tokens),
        cmocka_unit_test(bytes_spoiled),
    };

    data = getenv("JIELONG_TEST_DATA");
    if (!data) {
        print_message("1..0 # SKIP JIELONG_TEST_DATA is not set\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
