/* Versions of a text against a plain array of bytes. */
#include "src/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint32_t rng = 1;

static uint32_t
rnd(uint32_t n)
{
    rng = rng * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)rng * n) >> 32);
}

static void
assert_text(const struct text *t, const char *want, size_t len)
{
    assert_int_equal(text_len(t), len);
    char *s = text_dup(t, 0, len);
    assert_memory_equal(s, want, len);
    free(s);
}

struct model { /* the plain array, with who wrote each byte */
    char s[40000];
    size_t len;
};

static void
model_insert(struct model *m, size_t at, const char *s, size_t len)
{
    memmove(m->s + at + len, m->s + at, m->len - at);
    memcpy(m->s + at, s, len);
    m->len += len;
}

static void
model_delete(struct model *m, size_t at, size_t len)
{
    memmove(m->s + at, m->s + at + len, m->len - at - len);
    m->len -= len;
}

static void
compare_lines(const struct text *t, const struct model *m)
{
    size_t lines = 0, at = rnd((uint32_t)m->len + 1), line = 0;
    size_t start = at, end = at;
    for (size_t i = 0; i < m->len; i++) {
        lines += m->s[i] == '\n';
        line += i < at && m->s[i] == '\n';
    }
    while (start > 0 && m->s[start - 1] != '\n')
        start--;
    while (end < m->len && m->s[end] != '\n')
        end++;
    assert_int_equal(text_lines(t), lines);
    assert_int_equal(text_line_of(t, at), line);
    assert_int_equal(text_line_start(t, at), start);
    assert_int_equal(text_line_end(t, at), end);
    assert_int_equal(text_line_at(t, line), start);
    assert_int_equal(text_line_at(t, lines + 1), TEXT_NONE);
}

static void
random_edits(void **state)
{
    struct text_store *st = text_store_new();
    struct text *t = text_empty(st), *kept = NULL;
    static struct model m, old;
    for (int i = 0; i < 100000; i++) {
        struct text *next;
        if (m.len > 30000 || (m.len && rnd(5) < 2)) {
            size_t at = rnd((uint32_t)m.len);
            size_t max = m.len - at, len = rnd(m.len > 30000 ? 5000 : 8);
            if (len > max)
                len = max;
            next = text_delete(t, at, len);
            model_delete(&m, at, len);
        } else {
            char s[64];
            size_t at = rnd((uint32_t)m.len + 1), len = 1 + rnd(40);
            for (size_t k = 0; k < len; k++)
                s[k] = rnd(9) ? (char)('a' + rnd(26)) : '\n';
            next = text_insert(t, at, s, len, TEXT_ME, 1 + rnd(3));
            model_insert(&m, at, s, len);
        }
        text_unref(t);
        t = next;
        if (i % 500 == 0) {
            assert_text(t, m.s, m.len);
            compare_lines(t, &m);
            if (kept) /* an old version has not moved */
                assert_text(kept, old.s, old.len);
            text_unref(kept);
            kept = text_ref(t);
            old = m;
        }
    }
    assert_text(t, m.s, m.len);
    text_unref(kept);
    text_unref(t);
    text_store_free(st);
}

struct seen {
    size_t n, n_tok, len;
    int32_t ids[64];
    char s[256];
};

static bool
see(void *ud, const struct text_span *sp)
{
    struct seen *v = ud;
    size_t sum = 0;
    v->n++;
    assert_int_equal(sp->tok_exact, sp->n_tok > 0);
    for (size_t i = 0; i < sp->n_tok; i++) {
        v->ids[v->n_tok++] = sp->tok[i].id;
        sum += sp->tok[i].len;
    }
    if (sp->n_tok)
        assert_int_equal(sum, sp->len);
    memcpy(v->s + v->len, sp->s, sp->len);
    v->len += sp->len;
    return true;
}

static void
tokens_survive_cuts(void **state)
{
    struct text_store *st = text_store_new();
    struct text *t0 = text_empty(st);
    /* 中(7) 国(two tokens 8 9) abc(10) d(11), then one that completes none. */
    const struct text_token tok[] = {
        { 7, -1, -1, 3 },  { 8, -1, -1, 0 },  { 9, -1, -1, 3 },
        { 10, -1, -1, 3 }, { 11, -1, -1, 1 }, { 12, -1, -1, 0 },
    };
    struct text *t = text_insert_tokens(t0, 0, "中国abcd", 10, tok, 6, 1, 5);
    struct seen v = { 0 };
    text_spans(t, 0, 10, see, &v);
    assert_int_equal(v.n, 1);
    assert_int_equal(v.n_tok, 5);

    struct text *u = text_insert(t, 7, "|", 1, TEXT_ME, 6); /* in "abc" */
    v = (struct seen){ 0 };
    text_spans(u, 0, 11, see, &v);
    assert_memory_equal(v.s, "中国a|bcd", 11);
    assert_int_equal(v.n_tok, 4); /* only 10 is gone */
    assert_int_equal(v.ids[2], 9);
    assert_int_equal(v.ids[3], 11);
    text_unref(u);

    u = text_delete(t, 4, 1); /* in the character of two tokens */
    v = (struct seen){ 0 };
    text_spans(u, 0, 9, see, &v);
    assert_int_equal(v.n_tok, 3);
    assert_int_equal(v.ids[0], 7);
    assert_int_equal(v.ids[1], 10);
    text_unref(u);

    v = (struct seen){ 0 }; /* clipped like a cut */
    text_spans(t, 3, 8, see, &v);
    assert_int_equal(v.len, 5);
    assert_int_equal(v.n_tok, 2);
    assert_int_equal(v.ids[0], 8);
    text_unref(t);
    text_unref(t0);
    text_store_free(st);
}

static bool
count_span(void *ud, const struct text_span *sp)
{
    ++*(size_t *)ud;
    assert_int_equal(sp->n_tok, 300);
    return true;
}

static void
run_is_one_span(void **state)
{
    struct text_store *st = text_store_new();
    struct text *t = text_empty(st);
    for (int i = 0; i < 300; i++) {
        struct text_token tok = { i, -1, -1, 3 };
        struct text *n =
            text_insert_tokens(t, text_len(t), "字", 3, &tok, 1, 1, 5);
        text_unref(t);
        t = n;
    }
    size_t n = 0;
    text_spans(t, 0, text_len(t), count_span, &n);
    assert_int_equal(n, 1);
    text_unref(t);
    text_store_free(st);
}

static void
long_text(void **state)
{
    struct text_store *st = text_store_new();
    size_t len = 3000000;
    char *s = malloc(len);
    for (size_t i = 0; i < len; i += 3)
        memcpy(s + i, "水", 3);
    struct text *e = text_empty(st);
    struct text *t = text_insert(e, 0, s, len, TEXT_IMPORT, 1);
    assert_text(t, s, len);
    struct text *kept[1000]; /* a thousand versions share nearly all of it */
    for (int i = 0; i < 1000; i++) {
        kept[i] = text_insert(t, 3 * rnd(1000000), "火", 3, TEXT_ME, 2);
        assert_int_equal(text_len(kept[i]), len + 3);
    }
    assert_true(text_store_memory(st) < 8000000);
    for (int i = 0; i < 1000; i++)
        text_unref(kept[i]);
    assert_int_equal(text_next(t, 1500000), 1500003);
    assert_int_equal(text_prev(t, 1500000), 1499997);
    assert_int_equal(text_find(t, 0, "火", 3, false), TEXT_NONE);
    text_unref(t);
    text_unref(e);
    text_store_free(st);
    free(s);
}

static void
graphemes(void **state)
{
    struct text_store *st = text_store_new();
    struct text *e = text_empty(st);
    /* e + acute, family emoji, CRLF, a lone bad byte, a flag, 好 */
    const char *s = "e\xCC\x81"
                    "\xF0\x9F\x91\xA8\xE2\x80\x8D\xF0\x9F\x91\xA7"
                    "\r\n"
                    "\xFF"
                    "\xF0\x9F\x87\xA8\xF0\x9F\x87\xB3"
                    "好";
    const size_t stops[] = { 0, 3, 14, 16, 17, 25, 28 };
    struct text *t = text_insert(e, 0, s, strlen(s), TEXT_ME, 1);
    for (size_t i = 0; i + 1 < sizeof stops / sizeof *stops; i++) {
        assert_int_equal(text_next(t, stops[i]), stops[i + 1]);
        assert_int_equal(text_prev(t, stops[i + 1]), stops[i]);
    }
    assert_int_equal(text_prev(t, 0), 0);
    assert_int_equal(text_next(t, 28), 28);
    text_unref(t);
    /* One cluster longer than any buffer read at first. */
    char zalgo[1 + 2 * 5000 + 1] = "a";
    for (int i = 0; i < 5000; i++)
        memcpy(zalgo + 1 + 2 * i, "\xCC\x81", 2);
    zalgo[10001] = 'b';
    t = text_insert(e, 0, zalgo, sizeof zalgo, TEXT_ME, 1);
    assert_int_equal(text_next(t, 0), 10001);
    assert_int_equal(text_prev(t, 10001), 0);
    text_unref(t);
    text_unref(e);
    text_store_free(st);
}

static void
find(void **state)
{
    struct text_store *st = text_store_new();
    struct text *t = text_empty(st);
    const char *parts[] = { "The Ri", "ver 渡", "口 the river", "" };
    for (int i = 0; *parts[i]; i++) {
        struct text *n = text_insert(t, text_len(t), parts[i], strlen(parts[i]),
                                     TEXT_ME, (uint64_t)i);
        text_unref(t);
        t = n;
    }
    assert_int_equal(text_find(t, 0, "rIVER", 5, false), 4);
    assert_int_equal(text_find(t, 5, "river", 5, false), 21);
    assert_int_equal(text_find(t, 22, "river", 5, false), TEXT_NONE);
    assert_int_equal(text_find(t, 26, "river", 5, true), 21);
    assert_int_equal(text_find(t, 21, "river", 5, true), 4);
    assert_int_equal(text_find(t, 4, "river", 5, true), TEXT_NONE);
    assert_int_equal(text_find(t, 0, "渡口", 6, false), 10);
    assert_int_equal(text_find(t, 0, "", 0, false), TEXT_NONE);
    text_unref(t);
    text_store_free(st);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_edits),
        cmocka_unit_test(tokens_survive_cuts),
        cmocka_unit_test(run_is_one_span),
        cmocka_unit_test(long_text),
        cmocka_unit_test(graphemes),
        cmocka_unit_test(find),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
