/* tests/hostile_test.c  Files made to cost: small, and full of promises.
 *
 * Whatever a file says of itself, finding out costs at most twice its size
 * and 16 MiB of memory, in the child that reads it as in this process.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/crc32c.h"
#include "engine/base/mem.h"
#include "engine/tokenizer.h"

#include "tests/loading.h"
#include "tests/memory_of.h"
#include "tests/tiny_models.h"

struct bytes {
    char *p;
    size_t len, cap;
};

static void
put(struct bytes *b, const void *p, size_t len)
{
    b->p = mem_grow(b->p, &b->cap, b->len + len + 1, 1);
    memcpy(b->p + b->len, p, len);
    b->len += len;
}

static void
put_u32(struct bytes *b, uint32_t v)
{
    put(b, &v, 4);
}

static void
put_u64(struct bytes *b, uint64_t v)
{
    put(b, &v, 8);
}

static void
put_byte(struct bytes *b, int c, size_t n)
{
    b->p = mem_grow(b->p, &b->cap, b->len + n + 1, 1);
    memset(b->p + b->len, c, n);
    b->len += n;
}

static void
put_varint(struct bytes *b, uint64_t v)
{
    for (; v > 127; v >>= 7)
        put_byte(b, (int)(v & 127) | 128, 1);
    put_byte(b, (int)v, 1);
}

/* dir/name of these bytes, which are freed; returns how many there were. */
static size_t
save(const char *dir, const char *name, struct bytes *b)
{
    size_t len = b->len;

    scratch_put(dir, name, b->p, len);
    free(b->p);
    *b = (struct bytes){ 0 };
    return len;
}

static void
open_weights(const char *path)
{
    struct notes notes = { 0 };
    struct err err;

    load(path, &notes, &err);
    notes_free(&notes);
}

static void
open_vocab(const char *path)
{
    struct err err = { 0 };

    vocab_close(vocab_open(path, &err));
}

static void
costs_little(void (*try)(const char *), const char *path, size_t size)
{
    long kb;

    if (WATCHED_MEMORY) {
        print_message("# SKIPPED: the sanitizer's own memory would count\n");
        return;
    }
    kb = memory_of(try, path);
    print_message("# %zu KB cost %ld KB\n", size / 1024, kb);
    assert_in_range(kb, 0, 2 * size / 1024 + 16 * 1024);
}

/* --- GGUF --- */

static void
put_text(struct bytes *b, const char *s)
{
    put_u64(b, strlen(s));
    put(b, s, strlen(s));
}

/* Numbers of one byte each, under a key that is read and one that is not. */
static void
lists_of_numbers(void **state)
{
    static const char *const keys[] = { "tokenizer.ggml.token_type", "other" };
    const size_t n = 8000000;

    for (size_t i = 0; i < 2; i++) {
        char *dir = scratch_make();
        struct bytes b = { 0 };

        put(&b, "GGUF\3\0\0\0", 8);
        put_u64(&b, 0);
        put_u64(&b, 2);
        put_text(&b, "general.architecture");
        put_u32(&b, 8);
        put_text(&b, "gpt2");
        put_text(&b, keys[i]);
        put_u32(&b, 9);
        put_u32(&b, 0);
        put_u64(&b, n);
        put_byte(&b, 1, n);
        costs_little(open_weights, dir, save(dir, "m.gguf", &b));
        must_refuse(dir, "", "no GPT-2");
        scratch_remove(dir);
    }
}

/* --- TensorFlow --- */

/* What follows the contents of a block: its type and the masked checksum. */
static void
end_block(struct bytes *b, size_t from, int type)
{
    uint32_t c;

    put_byte(b, type, 1);
    c = crc32c(0, b->p + from, b->len - from);
    put_u32(b, ((c >> 15) | (c << 17)) + 0xa282ead8u);
}

/* A packed block of zeros that holds no entry, only restart points. */
static void
put_hollow_block(struct bytes *b, size_t unpacked)
{
    size_t from = b->len, left = unpacked - 5;

    put_varint(b, unpacked);
    put(b, "\0", 2); /* one zero as it is, then copies of it */
    for (; left >= 64; left -= 64)
        put(b, "\xFE\1", 3);
    assert_int_equal(left, 59);
    put(b, "\xEA\1", 3); /* 59 */
    put_byte(b, 3 << 2, 1);
    put_u32(b, (uint32_t)(unpacked - 4) / 4);
    end_block(b, from, 1);
}

/* An index that names one block so many times. */
static size_t
put_index(const char *dir, size_t unpacked, size_t times)
{
    struct bytes b = { 0 };
    size_t block, from;

    put_hollow_block(&b, unpacked);
    block = b.len - 5;
    from = b.len;
    for (size_t i = 0; i < times; i++) {
        struct bytes h = { 0 };

        put_varint(&h, 0);
        put_varint(&h, block);
        put_varint(&b, 0);
        put_varint(&b, 4);
        put_varint(&b, h.len);
        put_byte(&b, (int)(i >> 8), 1);
        put_byte(&b, (int)i, 1);
        put(&b, "xx", 2);
        put(&b, h.p, h.len);
        free(h.p);
    }
    put_u32(&b, 0);
    put_u32(&b, 1);
    end_block(&b, from, 0);
    unpacked = b.len;
    put_varint(&b, 0);
    put_varint(&b, 0);
    put_varint(&b, from);
    put_varint(&b, unpacked - from - 5);
    put_byte(&b, 0, unpacked + 40 - b.len);
    put(&b, "\x57\xfb\x80\x8b\x24\x75\x47\xdb", 8);
    return save(dir, "m.index", &b);
}

static void
blocks_that_swell(void **state)
{
    char *dir = scratch_make();

    /* one block for all: 20000 times a megabyte */
    put_index(dir, 1 << 20, 20000);
    must_refuse(dir, "m.index", "one twice");
    put_index(dir, 64 << 20, 1);
    must_refuse(dir, "m.index", "hides more");
    costs_little(open_weights, dir, put_index(dir, 64 << 20, 1));
    costs_little(open_weights, dir, put_index(dir, 12 << 20, 1));
    scratch_remove(dir);
}

/* --- torch --- */

/* A zip with one stored member; its checksum is that of no bytes. */
static size_t
put_zip(const char *dir, struct bytes *pickle)
{
    static const char name[] = "a/data.pkl";
    struct bytes b = { 0 };
    size_t n = pickle->len, at;

    put(&b, "PK\3\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 18);
    put_u32(&b, (uint32_t)n);
    put_u32(&b, (uint32_t)n);
    put(&b, "\12\0\0\0", 4);
    put(&b, name, 10);
    put(&b, pickle->p, n);
    free(pickle->p);
    at = b.len;
    put(&b, "PK\1\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
    put_u32(&b, (uint32_t)n);
    put_u32(&b, (uint32_t)n);
    put(&b, "\12\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 18);
    put(&b, name, 10);
    n = b.len - at;
    put(&b, "PK\5\6\0\0\0\0\1\0\1\0", 12);
    put_u32(&b, (uint32_t)n);
    put_u32(&b, (uint32_t)at);
    put(&b, "\0", 2);
    return save(dir, "pytorch_model.bin", &b);
}

static void
pickles_that_swell(void **state)
{
    /* an opcode, so many times */
    static const struct {
        const char *op;
        size_t len, times;
    } rows[] = {
        { "]", 1, 3000000 },            /* lists */
        { "}", 1, 3000000 },            /* dicts */
        { "(", 1, 3000000 },            /* marks */
        { "](]e", 4, 1000000 },         /* lists in lists */
        { ")q\0h\0h\0\x86", 7, 50000 }, /* pairs of the same */
        { "]r\xff\xff\xff\x7f", 6, 1 }, /* a far memo */
    };
    char *dir = scratch_make();

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bytes b = { 0 };

        put(&b, "\x80\2", 2);
        for (size_t k = 0; k < rows[i].times; k++)
            put(&b, rows[i].op, rows[i].len);
        put(&b, ".", 1);
        costs_little(open_weights, dir, put_zip(dir, &b));
        must_refuse(dir, "pytorch_model.bin", "pickle");
    }
    scratch_remove(dir);
}

/* _rebuild_tensor_v2 of storage "0", a view of stride 0 and these sizes. */
static void
put_view(struct bytes *b, const char *name, uint32_t rows, uint32_t cols)
{
    static const char head[] =
        "ctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storage"
        "ctorch\nFloatStorage\nX\1\0\0\0"
        "0X\3\0\0\0cpuK\1tQK\0(";

    put(b, "X", 1);
    put_u32(b, (uint32_t)strlen(name));
    put(b, name, strlen(name));
    put(b, head, sizeof head - 1);
    put(b, "J", 1);
    put_u32(b, rows);
    if (cols) {
        put(b, "J", 1);
        put_u32(b, cols);
    }
    put(b, cols ? "t(K\0K\0t" : "t(K\0t", cols ? 7 : 5);
    put(b,
        "\x89Nt"
        "R",
        4);
}

/* A torch zip of two members: the pickle, and a storage of one number. */
static void
put_zip_of_one_number(const char *dir, const struct bytes *pickle)
{
    static const char *const names[] = { "a/data.pkl", "a/data/0" };
    const char *const data[] = { pickle->p, "\0\0\200\77" };
    const size_t len[] = { pickle->len, 4 };
    size_t at[2], from, n;
    struct bytes b = { 0 };

    for (int i = 0; i < 2; i++) {
        at[i] = b.len;
        put(&b, "PK\3\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 18);
        put_u32(&b, (uint32_t)len[i]);
        put_u32(&b, (uint32_t)len[i]);
        put_u32(&b, (uint32_t)strlen(names[i]));
        put(&b, names[i], strlen(names[i]));
        put(&b, data[i], len[i]);
    }
    from = b.len;
    for (int i = 0; i < 2; i++) {
        put(&b, "PK\1\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
        put_u32(&b, (uint32_t)len[i]);
        put_u32(&b, (uint32_t)len[i]);
        put_u32(&b, (uint32_t)strlen(names[i]));
        put(&b, "\0\0\0\0\0\0\0\0\0\0", 10);
        put_u32(&b, (uint32_t)at[i]);
        put(&b, names[i], strlen(names[i]));
    }
    n = b.len - from;
    put(&b, "PK\5\6\0\0\0\0\2\0\2\0", 12);
    put_u32(&b, (uint32_t)n);
    put_u32(&b, (uint32_t)from);
    put(&b, "\0", 2);
    save(dir, "pytorch_model.bin", &b);
}

/* One number, seen as a model of many gigabytes. */
static void
views_of_one_number(void **state)
{
    static const struct {
        const char *name;
        int rows, cols; /* of D = 4096 */
    } parts[] = {
        { "ln_1.weight", 1, 0 },        { "ln_1.bias", 1, 0 },
        { "attn.c_attn.weight", 1, 3 }, { "attn.c_attn.bias", 3, 0 },
        { "attn.c_proj.weight", 1, 1 }, { "attn.c_proj.bias", 1, 0 },
        { "ln_2.weight", 1, 0 },        { "ln_2.bias", 1, 0 },
        { "mlp.c_fc.weight", 1, 4 },    { "mlp.c_fc.bias", 4, 0 },
        { "mlp.c_proj.weight", 4, 1 },  { "mlp.c_proj.bias", 1, 0 },
    };
    const uint32_t D = 4096;
    char *dir = scratch_make();
    struct bytes b = { 0 };

    put(&b, "\x80\2}(", 4);
    put_view(&b, "wte.weight", 1 << 20, D);
    put_view(&b, "wpe.weight", 1024, D);
    put_view(&b, "ln_f.weight", D, 0);
    put_view(&b, "ln_f.bias", D, 0);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char *name = xasprintf("h.0.%s", parts[i].name);

        put_view(&b, name, (uint32_t)parts[i].rows * D,
                 (uint32_t)parts[i].cols * D);
        free(name);
    }
    put(&b, "u.", 2);
    put_zip_of_one_number(dir, &b);
    free(b.p);
    must_refuse(dir, "", "cannot hold them");
    scratch_remove(dir);
}

/* --- vocabularies --- */

static void
refuses_vocab(const char *dir, const char *why)
{
    struct err err = { 0 };

    assert_null(vocab_open(dir, &err));
    if (!strstr(err.msg, dir) || !strstr(err.msg, why))
        fail_msg("\"%s\" lacks \"%s\"", err.msg, why);
}

static void
empty_lines(void **state)
{
    char *dir = scratch_make();
    struct bytes b = { 0 };
    size_t size;

    put_byte(&b, '\n', 1000000);
    size = save(dir, "vocab.txt", &b);
    refuses_vocab(dir, "lines");
    costs_little(open_vocab, dir, size);
    scratch_remove(dir);
}

/* Numbers without tokens cost as much as tokens. */
static void
high_numbers(void **state)
{
    static const char json[] = "{\"a\":0,\"b\":1,\"ab\":500000}";
    char *dir = scratch_make();

    scratch_put(dir, "vocab.json", json, sizeof json - 1);
    scratch_put(dir, "merges.txt", "a b\n", 4);
    refuses_vocab(dir, "has number 500000");
    scratch_put(dir, "vocab.json", "{\"a\":0,\"b\":1,\"ab\":30000}", 24);
    open_vocab(dir);
    scratch_remove(dir);
}

/* Each merge of two long symbols makes a third that is in no vocabulary. */
static void
merges_of_nothing(void **state)
{
    char *dir = scratch_make();
    struct bytes b = { 0 };
    size_t size;

    scratch_put(dir, "vocab.json", "{\"a\":0,\"b\":1}", 13);
    for (int i = 0; i < 400; i++)
        for (int k = 0; k < 400; k++) {
            char line[32];

            put(&b, line, (size_t)sprintf(line, "a%03d b%03d\n", i, k));
        }
    size = save(dir, "merges.txt", &b);
    refuses_vocab(dir, "do not belong together");
    costs_little(open_vocab, dir, size);
    scratch_remove(dir);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_of_numbers),
        cmocka_unit_test(blocks_that_swell),
        cmocka_unit_test(pickles_that_swell),
        cmocka_unit_test(views_of_one_number),
        cmocka_unit_test(empty_lines),
        cmocka_unit_test(high_numbers),
        cmocka_unit_test(merges_of_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
