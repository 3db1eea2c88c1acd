/* tests/prompt_test.c  Text and exact ids become the window's tokens; the
 * window moves by rule. With the two small vocabularies of the tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/philox.h"
#include "engine/prompt.h"

static struct vocab *bpe, *box;

static struct vocab *
open_vocab(const char *below)
{
    const char *data = getenv("JIELONG_TEST_DATA");
    struct err err = { 0 };
    struct vocab *v;
    char path[4096];

    snprintf(path, sizeof path, "%s/%s", data ? data : "tests/data", below);
    v = vocab_open(path, &err);
    if (!v || !vocab_choose_profile(v, "gpt2", vocab_size(v), -1, -1, &err)) {
        fprintf(stderr, "# %s\n", err.msg);
        return NULL;
    }
    return v;
}

static int
open_both(void **state)
{
    bpe = open_vocab("vocab/bpe");
    box = open_vocab("../../models/jielong-zh");
    return bpe && box ? 0 : -1;
}

static int
close_both(void **state)
{
    vocab_close(bpe);
    vocab_close(box);
    return 0;
}

static struct prompt_span
span(const char *text, const int *ids, size_t n, const char *tok)
{
    struct prompt_span s = { text, strlen(text), ids, n, tok };

    return s;
}

static void
set(struct prompt *p, const struct prompt_span *s, size_t n, size_t story)
{
    struct err err = { 0 };
    bool moved;

    if (!prompt_set(p, s, n, story, &moved, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(moved, p->win > 0);
}

static void
exact_ids_are_kept_and_foreign_ones_are_not(void **state)
{
    const char *hash = vocab_hash(bpe);
    /* "The" letter by letter: no encoder would write it so */
    const int letters[] = { 51, 71, 68 }, wild[] = { 51, 1 << 30, 68 };
    struct prompt_span s[3] = { span("I ", NULL, 0, NULL) };
    struct prompt p;
    struct tok_ids plain = { 0 };
    size_t n_text;

    prompt_init(&p, bpe, hash, 64);
    s[1] = span("The", letters, 3, hash);
    s[2] = span(" end", NULL, 0, NULL);
    set(&p, s, 3, 5);
    assert_true(p.tok.n >= 5);
    assert_non_null(
        memmem(p.tok.v, p.tok.n * sizeof(int), letters, sizeof letters));
    assert_true(vocab_encode_prompt(bpe, "I The end", 9, &plain, NULL));
    n_text = p.tok.n;
    s[1].tok = "another tokenizer";
    set(&p, s, 3, 5);
    assert_int_equal(p.tok.n, plain.n);
    assert_memory_equal(p.tok.v, plain.v, plain.n * sizeof(int));
    assert_true(n_text != plain.n);
    s[1].tok = hash;
    s[1].ids = wild; /* out of range: the text is used */
    set(&p, s, 3, 5);
    assert_int_equal(p.tok.n, plain.n);
    prompt_finish(&p);
    free(plain.v);
}

static void
begin_stands_at_the_head_of_a_document(void **state)
{
    const struct profile *f = vocab_profile(box);
    struct prompt_span s = span("渡口\n", NULL, 0, NULL);
    struct prompt p;

    prompt_init(&p, box, vocab_hash(box), 64);
    set(&p, &s, 1, 0);
    assert_int_equal(p.tok.n, 4);
    assert_int_equal(p.tok.v[0], f->begin);
    assert_int_equal(p.tok.v[3], f->newline);
    set(&p, &s, 1, 1); /* in mid-story */
    assert_int_equal(p.tok.n, 3);
    assert_false(f->head_always);
    prompt_finish(&p);
}

static void
a_boundary_is_sought_in_its_order(void **state)
{
    static const struct {
        const char *text, *rest;
    } v[] = {
        /* P = 16: four tokens go, and the next four are searched */
        { "一二三四。六\n八九十一二三四五六七", "八九十一二三四五六七" },
        { "一二三四五。”八九十一二三四五六七", "八九十一二三四五六七" },
        { "一二三四五六七八九十一二三四五六七", "五六七八九十一二三四五六七" },
        { "一二三四五\n\n\n九十一二三四五六七八", "九十一二三四五六七八" },
        /* far too long: at most 12 stay, and the next third is searched */
        { "五六七八九十一二三四五六七八。九\n十一二三四五六七",
          "十一二三四五六七" },
        { "一二三四五六七八九十一二三四五六七八九十一二三四",
          "三四五六七八九十一二三四" },
    };
    struct prompt p;

    prompt_init(&p, box, vocab_hash(box), 16);
    for (size_t i = 0; i < sizeof v / sizeof v[0]; i++) {
        struct prompt_span s = span(v[i].text, NULL, 0, NULL);

        set(&p, &s, 1, 100 * (i + 1));
        assert_string_equal(strndupa(p.text + p.win, p.len - p.win), v[i].rest);
        assert_int_equal(prompt_window(&p),
                         100 * (i + 1) + s.len - strlen(v[i].rest));
    }
    prompt_finish(&p);
}

static uint32_t dice_at;

static uint32_t
dice(uint32_t n)
{
    return (uint32_t)(philox_draw(11, dice_at++, 0, 0, PHILOX_OTHER) * n);
}

/* Random pages: words, line breaks, ill-formed bytes; some spans with ids. */
static void
random_page(const struct vocab *v, char *buf, struct prompt_span *spans,
            size_t n)
{
    static const char *const bits[] = { "渡口", "。",      "\n",   " the",
                                        "x ",   "！」",    "\xff", "他走了",
                                        "3.14", "\xe4\xb8" };
    size_t len = 0;

    for (size_t i = 0; i < n; i++) {
        struct prompt_span *s = &spans[i];
        size_t from = len;
        int *ids = NULL;

        for (uint32_t k = dice(20); k > 0; k--)
            len += (size_t)sprintf(buf + len, "%s", bits[dice(10)]);
        *s = (struct prompt_span){ .text = buf + from, .len = len - from };
        if (dice(2) ||
            !vocab_encode(v, buf + from, len - from, 0, &ids, &s->n_ids, NULL))
            continue;
        s->ids = ids;
        s->tok = vocab_hash(v);
    }
}

static void
check_window(const struct prompt *p)
{
    assert_true(p->win <= p->len);
    assert_true(p->tok.n <= (size_t)p->P);
    for (size_t i = 0; i < p->tok.n; i++)
        assert_in_range(p->tok.v[i], 0, vocab_size(p->vocab) - 1);
}

/* Whatever comes: never more than P tokens, the start never goes back in a
 * run, and it moves only when it must. */
static void
random_walks_stay_within_the_window(void **state)
{
    static char buf[8192];
    static const int sizes[] = { 1, 2, 7, 32, 100 };

    for (uint32_t round = 0; round < 120; round++) {
        const struct vocab *v = round % 2 ? bpe : box;
        struct prompt_span spans[12];
        struct prompt p;
        bool moved;

        random_page(v, buf, spans, 12);
        prompt_init(&p, v, vocab_hash(v), sizes[round % 5]);
        set(&p, spans, 12, round % 3 * 10);
        check_window(&p);
        for (int i = 0; i < 150; i++) {
            size_t win = p.win, n = p.tok.n;

            prompt_next(&p, NULL); /* at any time, of anything */
            prompt_add(&p, 60 + i % 30, i % 3 ? "渡" : "", i % 3 ? 3 : 0);
            assert_true(prompt_fit(&p, &moved, NULL));
            check_window(&p);
            assert_true(p.win >= win);
            assert_int_equal(moved, n + 1 > (size_t)p.P);
        }
        prompt_finish(&p);
        for (size_t i = 0; i < 12; i++)
            free((int *)spans[i].ids);
    }
}

/* A copy has the same next window, and goes its own way. */
static void
check_copy(const struct prompt *p)
{
    struct prompt copy;
    size_t n = p->tok.n;

    prompt_init(&copy, box, vocab_hash(box), p->P);
    prompt_copy(&copy, p);
    prompt_add(&copy, 77, "x", 1);
    assert_int_equal(copy.tok.n, n + 1);
    assert_int_equal(copy.next.n, p->next.n + 1);
    assert_memory_equal(copy.tok.v, p->tok.v, n * sizeof(int));
    assert_int_equal(p->tok.n, n);
    prompt_finish(&copy);
}

/* The next window is the same for all who come to this one: while the run
 * goes on, and for a request that goes on with it at any token. Its tokens
 * are those that the move leaves. */
static void
the_next_window_is_known_early(void **state)
{
    static const char *const words[] = { "渡口的", "老人", "说", "，", "。",
                                         "\n" };
    static char text[8192];
    static int ids[1000];

    for (uint32_t round = 0; round < 20; round++) {
        struct prompt_span s[2] = { span("那天晚上，渡口的老人没有回家。\n"
                                         "他坐在河边，等着船。",
                                         NULL, 0, NULL) };
        size_t len = 0, n = 0, known = 0;
        struct prompt p, again;
        bool moved = false;

        prompt_init(&p, box, vocab_hash(box), 64);
        prompt_init(&again, box, vocab_hash(box), 64);
        set(&p, s, 1, 0);
        while (!moved) {
            const char *word = words[dice(6)];
            const struct tok_ids *next;
            struct tok_ids t = { 0 };

            assert_true(
                vocab_encode_prompt(box, word, strlen(word), &t, NULL));
            for (size_t i = 0; i < t.n; i++) {
                size_t bytes = strlen(word) / t.n;

                ids[n++] = t.v[i];
                memcpy(text + len, word + i * bytes, bytes + 1);
                prompt_add(&p, t.v[i], text + len, bytes);
                len += bytes;
                text[len] = '\0';
            }
            free(t.v);
            assert_true(prompt_fit(&p, &moved, NULL));
            if (moved)
                break;
            next = prompt_next(&p, NULL);
            assert_int_equal(next != NULL, p.tok.n >= 48);
            if (!next)
                continue;
            assert_true(!known || known == p.next_win);
            known = p.next_win;
            s[1] = span(text, ids, n, vocab_hash(box));
            set(&again, s, 2, 0);
            assert_non_null(prompt_next(&again, NULL));
            assert_int_equal(again.next_win, known);
            assert_int_equal(again.next.n, next->n);
            assert_memory_equal(again.next.v, next->v,
                                next->n * sizeof *next->v);
            check_copy(&p);
        }
        assert_int_equal(p.win, known);
        assert_true(p.tok.n >= 30 && p.tok.n <= 52);
        s[1] = span(text, ids, n, vocab_hash(box));
        prompt_finish(&again); /* and with nothing remembered */
        prompt_init(&again, box, vocab_hash(box), 64);
        set(&again, s, 2, 0);
        assert_int_equal(again.win, known);
        prompt_finish(&p);
        prompt_finish(&again);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_ids_are_kept_and_foreign_ones_are_not),
        cmocka_unit_test(begin_stands_at_the_head_of_a_document),
        cmocka_unit_test(a_boundary_is_sought_in_its_order),
        cmocka_unit_test(random_walks_stay_within_the_window),
        cmocka_unit_test(the_next_window_is_known_early),
    };

    return cmocka_run_group_tests_name("prompt", tests, open_both, close_both);
}
