/* Lines: pictures of the rules, then random texts and random edits against
 * laying everything out anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/unicode.h"
#include "ui/grid.h"
#include "ui/wrap.h"

static uint32_t seed = 7;

static unsigned
rnd(unsigned n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static struct text_store *store;

static struct text *
text_of(const char *s, size_t n)
{
    struct text *empty = text_empty(store), *t;

    if (n == 0)
        return empty;
    t = text_insert(empty, 0, s, n, TEXT_ME, 1);
    text_unref(empty);
    return t;
}

/* The lines of s, joined by '|' (soft) or '/' (hard). */
static void
check_lines(int measure, const char *s, const char *want)
{
    struct text *t = text_of(s, strlen(s));
    struct wrap *w = wrap_new(measure);
    char got[2000];
    size_t n = 0;
    struct wrap_line l;

    assert_true(wrap_set(w, t, measure));
    for (size_t i = 0; wrap_get(w, i, &l); i++) {
        n += text_read(t, l.at, got + n, l.len);
        got[n++] = l.hard ? '/' : '|';
    }
    got[n] = '\0';
    assert_string_equal(got, want);
    wrap_free(w);
    text_unref(t);
}

static void
test_rules(void **state)
{
    /* anywhere between ideographs; the end of the text is hard */
    check_lines(8, "一二三四五六七", "一二三四|五六七/");
    check_lines(8, "", "/");
    check_lines(8, "一\n\n二\n", "一//二//");
    check_lines(8, "一二三四\n五", "一二三四/五/");
    /* a mark that overflows hangs; two do not */
    check_lines(8, "一二三四，五六", "一二三四，|五六/");
    check_lines(8, "一二三四。", "一二三四。/");
    check_lines(8, "一二三四？！五", "一二三|四？！五/");
    check_lines(8, "一二三四。」五", "一二三|四。」五/");
    check_lines(8, "a一二三，四", "a一二三，|四/");
    /* what closes never starts a line, what opens never ends one */
    check_lines(8, "一二三四）五", "一二三|四）五/");
    check_lines(8, "一二三《四五》", "一二三|《四五》/");
    check_lines(8, "一二三四”五", "一二三|四”五/");
    check_lines(8, "一二三ab“四五", "一二三ab|“四五/");
    check_lines(8, "他说道：“不迟”", "他说道：|“不迟”/");
    /* …… and —— stay whole and with what is before them */
    check_lines(8, "一二三四——五六七", "一二三|四——五六|七/");
    check_lines(9, "一二三四……五", "一二三|四……五/");
    check_lines(8, "一二三——四", "一二三——|四/");
    /* words and numbers whole, unless longer than a line */
    check_lines(10, "hello world", "hello |world/");
    check_lines(10, "一二三hello", "一二三|hello/");
    check_lines(10, "don’t don’t", "don’t |don’t/");
    check_lines(8, "abcdefghijkl", "abcdefgh|ijkl/");
    check_lines(8, "abcdefgh！？", "abcdefg|h！？/");
    check_lines(8, "值为3.1415", "值为|3.1415/");
    /* blanks hang; an indent stays */
    check_lines(8, "一二三四  五", "一二三四  |五/");
    check_lines(8, "　　一二三", "　　一二|三/");
    check_lines(8, "一二三四　五", "一二三四　|五/");
    /* a middle dot, ～ and ％ do not start a line */
    check_lines(8, "一二三四·五", "一二三|四·五/");
    check_lines(8, "一二三四～五", "一二三|四～五/");
    check_lines(8, "一二三四％五", "一二三|四％五/");
    /* clusters whole; placeholders as wide as they are drawn */
    check_lines(8, "一二三e\xCC\x81一二", "一二三e\xCC\x81|一二/");
    check_lines(8, "一二\xE4三", "一二\xE4|三/");
    check_lines(8, "一\u202E二", "一\u202E|二/");
    check_lines(8, "\xFF\xFF\xFF", "\xFF\xFF|\xFF/");
    /* ambiguous characters as ideographs */
    check_lines(8, "①②③④⑤⑥⑦⑧⑨", "①②③④⑤⑥⑦⑧|⑨/");
}

static void
test_ambiguous(void **state)
{
    uni_set_ambiguous(2);
    check_lines(8, "“一二”三", "“一二”|三/");
    check_lines(8, "一二……三", "一二……|三/");
    uni_set_ambiguous(1);
}

static void
test_columns(void **state)
{
    const char *s = "一二三四，五e\xCC\x81六\n七";
    struct text *t = text_of(s, strlen(s));
    struct wrap *w = wrap_new(8);

    wrap_set(w, t, 8);
    assert_int_equal(wrap_lines(w), 3);
    assert_int_equal(wrap_line_of(w, 0), 0);
    assert_int_equal(wrap_line_of(w, 14), 0);
    assert_int_equal(wrap_line_of(w, 15), 1); /* a soft break: the next */
    assert_int_equal(wrap_line_of(w, 24), 1); /* at the '\n' */
    assert_int_equal(wrap_line_of(w, 25), 2);
    assert_int_equal(wrap_line_of(w, 999), 2);
    assert_int_equal(wrap_col_of(w, 0, 0), 0);
    assert_int_equal(wrap_col_of(w, 0, 12), 8);
    assert_int_equal(wrap_col_of(w, 0, 15), 10);
    assert_int_equal(wrap_col_of(w, 1, 21), 3);
    assert_int_equal(wrap_col_of(w, 1, 19), 2); /* inside é */
    assert_int_equal(wrap_at_col(w, 0, 0), 0);
    assert_int_equal(wrap_at_col(w, 0, 3), 3);   /* the right half of 二 */
    assert_int_equal(wrap_at_col(w, 0, 99), 12); /* before the mark */
    assert_int_equal(wrap_at_col(w, 1, 2), 18);
    assert_int_equal(wrap_at_col(w, 1, 3), 21);
    assert_int_equal(wrap_at_col(w, 1, 99), 24);
    assert_int_equal(wrap_at_col(w, 2, 99), 28);
    wrap_free(w);
    text_unref(t);
}

static void
test_blanks_end(void **state)
{
    char s[400];
    struct text *t;
    struct wrap *w = wrap_new(8);

    memset(s, ' ', sizeof s);
    t = text_of(s, sizeof s);
    wrap_set(w, t, 8);
    assert_int_equal(wrap_lines(w), sizeof s / 16);
    assert_int_equal(wrap_col_of(w, 0, 15), 10);
    wrap_free(w);
    text_unref(t);
}

/* --- random texts --- */

static const char *const bits[] = { "渡",
                                    "口",
                                    "的",
                                    "灯",
                                    "是",
                                    "雨",
                                    "，",
                                    "。",
                                    "？",
                                    "！",
                                    "“",
                                    "”",
                                    "‘",
                                    "’",
                                    "……",
                                    "——",
                                    "《",
                                    "》",
                                    "（",
                                    "）",
                                    "、",
                                    "：",
                                    " ",
                                    "　",
                                    "the",
                                    "a",
                                    "don’t",
                                    "boatman",
                                    "3.14",
                                    "·",
                                    "①",
                                    "é",
                                    "e\xCC\x81",
                                    "👩\u200D🌾",
                                    "\u202E",
                                    "\xE4",
                                    "\xFF",
                                    "\t",
                                    "-",
                                    "\"",
                                    "internationalisation",
                                    "한",
                                    "～",
                                    "％",
                                    "\n",
                                    "\n",
                                    "\r\n",
                                    "\xF0\x9F\x87\xA8",
                                    "\xEF\xB8\x8F" };

enum { N_BITS = sizeof bits / sizeof *bits };

static size_t
random_text(char *s, unsigned n_bits, unsigned kinds)
{
    size_t n = 0;

    while (n_bits--) {
        const char *b = bits[rnd(kinds)];

        memcpy(s + n, b, strlen(b));
        n += strlen(b);
    }
    return n;
}

static int
shown_cols(const char *s, size_t n)
{
    while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\t'))
        n--;
    while (n > 2 && memcmp(s + n - 3, "　", 3) == 0)
        n -= 3;
    if (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\t'))
        return shown_cols(s, n);
    return grid_text_cols(s, n);
}

static bool
starts_with_one_of(const char *s, size_t n, const char *const *list)
{
    for (; *list; list++)
        if (n >= strlen(*list) && memcmp(s, *list, strlen(*list)) == 0)
            return true;
    return false;
}

static bool
ends_with_one_of(const char *s, size_t n, const char *const *list)
{
    for (; *list; list++) {
        size_t k = strlen(*list);

        if (n >= k && memcmp(s + n - k, *list, k) == 0)
            return true;
    }
    return false;
}

static const char *const closing[] = { "，", "。", "？", "！", "”",  "’",
                                       "…",  "—",  "》", "）", "、", "：",
                                       "·",  "～", "％", NULL };
static const char *const opening[] = { "“", "‘", "《", "（", NULL };
static const char *const hanging[] = {
    "，", "。", "？", "！", "、", "：", NULL
};

/* Could a line of the text s[0..n) have ended anywhere between two clusters
 * without breaking a rule? Then a forbidden start has no excuse. */
static bool
has_a_way_out(const char *s, size_t n)
{
    int cols;

    for (size_t i = grid_cluster(s, n, &cols); i < n;) {
        if (!starts_with_one_of(s + i, n - i, closing) &&
            !ends_with_one_of(s, i, opening) && s[i] != ' ' && s[i] != '\t' &&
            !starts_with_one_of(s + i, n - i,
                                (const char *const[]){ "　", "\"", NULL }))
            return true;
        i += grid_cluster(s + i, n - i, &cols);
    }
    return false;
}

static void
check_layout(const struct wrap *w, const char *s, size_t n, int measure)
{
    struct wrap_line l;
    size_t at = 0, count = wrap_lines(w);

    for (size_t i = 0; i < count; i++) {
        const char *line;
        int cols, one;

        assert_true(wrap_get(w, i, &l));
        assert_int_equal(l.at, at); /* the lines together are the text */
        line = s + l.at;
        at += l.len;
        if (l.hard && at < n)
            assert_int_equal(s[at++], '\n');
        assert_null(memchr(line, '\n', l.len));
        assert_int_equal(wrap_line_of(w, l.at), i);
        cols = shown_cols(line, l.len);
        if (cols > measure) {
            size_t m = l.len;

            while (m > 0 && (line[m - 1] == ' ' || line[m - 1] == '\t' ||
                             (m > 2 && !memcmp(line + m - 3, "　", 3))))
                m -= line[m - 1] == ' ' || line[m - 1] == '\t' ? 1 : 3;
            if (!(cols <= measure + 2 && ends_with_one_of(line, m, hanging))) {
                if (grid_cluster(line, l.len, &one) != m)
                    fail_msg("too wide %d > %d: %.*s$ ", cols, measure,
                             (int)l.len, line);
            }
        }
        if (i > 0 && l.at > 0 && s[l.at - 1] != '\n') {
            struct wrap_line b;

            wrap_get(w, i - 1, &b);
            if (starts_with_one_of(line, l.len, closing) ||
                ends_with_one_of(s, l.at, opening)) {
                if (has_a_way_out(s + b.at, l.at - b.at))
                    fail_msg("%d %.*s$", measure, (int)(l.at - b.at + l.len),
                             s + b.at);
            }
        }
    }
    assert_int_equal(at, n);
}

static void
check_same(const struct wrap *a, const struct wrap *b)
{
    struct wrap_line x, y;

    assert_int_equal(wrap_lines(a), wrap_lines(b));
    for (size_t i = 0; wrap_get(a, i, &x); i++) {
        assert_true(wrap_get(b, i, &y));
        assert_int_equal(x.at, y.at);
        assert_int_equal(x.len, y.len);
        assert_int_equal(x.hard, y.hard);
    }
}

/* One random edit of s and t. */
static struct text *
random_edit(struct text *t, char *s, size_t *n, struct wrap *w)
{
    char ins[400];
    size_t at = rnd((unsigned)*n + 1), del = 0, k = 0;
    struct text *cut = t, *next;

    if (rnd(3) && *n > 0) {
        del = rnd(rnd(4) ? 6 : 60);
        if (del > *n - at)
            del = *n - at;
    }
    if (rnd(3))
        k = random_text(ins, rnd(rnd(4) ? 3 : 14), N_BITS);
    if (del)
        cut = text_delete(t, at, del);
    next = k ? text_insert(cut, at, ins, k, TEXT_ME, 2) : text_ref(cut);
    memmove(s + at + k, s + at + del, *n - at - del);
    memcpy(s + at, ins, k);
    *n = *n - del + k;
    wrap_edit(w, next, at, del, k);
    if (cut != t)
        text_unref(cut);
    text_unref(t);
    return next;
}

static void
test_edits(void **state)
{
    static char s[60000];

    for (int round = 0; round < 60; round++) {
        int measure = 8 + (int)rnd(30);
        unsigned kinds = rnd(2) ? N_BITS : 24 + rnd(N_BITS - 24);
        size_t n = random_text(s, rnd(600), kinds);
        struct text *t = text_of(s, n);
        struct wrap *w = wrap_new(measure), *full = wrap_new(measure);

        uni_set_ambiguous(round % 2 + 1);
        assert_true(wrap_set(w, t, measure));
        check_layout(w, s, n, measure);
        for (int k = 0; k < 40; k++) {
            t = random_edit(t, s, &n, w);
            while (!wrap_work(w, 100))
                ;
            assert_true(wrap_set(full, t, measure));
            check_same(w, full);
        }
        check_layout(w, s, n, measure);
        wrap_free(w);
        wrap_free(full);
        text_unref(t);
    }
    uni_set_ambiguous(1);
}

/* Where old and new breaks never meet, an edit leaves a seam; edits before,
 * in and behind several seams end as a full layout does. */
static void
test_seams(void **state)
{
    enum { CHARS = 60000 };
    size_t n = CHARS * 3, at;
    char *s = malloc(n + 60000);
    struct wrap *w = wrap_new(33), *full = wrap_new(33);
    struct text *t;

    for (int i = 0; i < CHARS; i++)
        memcpy(s + 3 * i, "渡", 3);
    t = text_of(s, n);
    while (!wrap_work(w, 1000) || wrap_done(w) < n)
        if (wrap_done(w) == 0)
            wrap_set(w, t, 33);
    for (int k = 0; k < 60; k++) {
        struct text *next;
        struct wrap_line l;

        at = rnd((unsigned)n / 3) * 3;
        next = text_insert(t, at, "a", 1, TEXT_ME, 2);
        memmove(s + at + 1, s + at, n - at);
        s[at] = 'a';
        n++;
        wrap_edit(w, next, at, 0, 1);
        text_unref(t);
        t = next;
        /* whole lines everywhere, right ones around the edit */
        assert_true(wrap_get(w, wrap_line_of(w, at), &l));
        assert_true(l.at <= at && at <= l.at + l.len);
        check_layout(w, s, n, 33);
        if (rnd(3) == 0)
            wrap_work(w, 5000);
        if (rnd(4) == 0)
            t = random_edit(t, s, &n, w);
    }
    assert_false(wrap_work(w, 0));
    while (!wrap_work(w, 20000))
        assert_true(wrap_done(w) < n);
    assert_int_equal(wrap_done(w), n);
    wrap_set(full, t, 33);
    while (!wrap_work(full, 1 << 20))
        ;
    check_same(w, full);
    wrap_free(w);
    wrap_free(full);
    text_unref(t);
    free(s);
}

/* Edits while the first layout is still under way. */
static void
test_unfinished(void **state)
{
    static char s[1 << 20];
    size_t n;
    struct text *t;
    struct wrap *w = wrap_new(20), *full = wrap_new(20);

    do
        n = random_text(s, 100000, N_BITS);
    while (n < 200000);
    t = text_of(s, n);
    assert_false(wrap_set(w, t, 20));
    assert_true(wrap_done(w) > 0 && wrap_done(w) < n);
    for (int k = 0; k < 40; k++) {
        t = random_edit(t, s, &n, w);
        wrap_work(w, 2000);
    }
    while (!wrap_work(w, 10000))
        ;
    wrap_set(full, t, 20);
    while (!wrap_work(full, 10000))
        ;
    check_same(w, full);
    check_layout(w, s, n, 20);
    wrap_free(w);
    wrap_free(full);
    text_unref(t);
}

static int
setup(void **state)
{
    store = text_store_new();
    return 0;
}

static int
teardown(void **state)
{
    text_store_free(store);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),      cmocka_unit_test(test_ambiguous),
        cmocka_unit_test(test_columns),    cmocka_unit_test(test_blanks_end),
        cmocka_unit_test(test_edits),      cmocka_unit_test(test_seams),
        cmocka_unit_test(test_unfinished),
    };

    return cmocka_run_group_tests_name("wrap", tests, setup, teardown);
}
