/* Cells: pictures of rows, and the invariant under random drawing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/unicode.h"
#include "ui/grid.h"

static uint32_t seed = 1;

static unsigned
rnd(unsigned n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

/* No half glyphs, nothing that could control a terminal. */
static void
check_grid(const struct grid *g)
{
    for (int y = 0; y < g->rows; y++)
        for (int x = 0; x < g->cols; x++) {
            const struct cell *c = g->cell + y * g->cols + x;

            if (c->width == 0) {
                assert_true(x > 0 && c[-1].width == 2);
                continue;
            }
            assert_true(c->width == 1 || c->width == 2);
            if (c->width == 2)
                assert_true(x + 1 < g->cols && c[1].width == 0);
            assert_true(uni_is_safe(c->cp));
            assert_int_equal(uni_width(c->cp), c->width);
            for (int i = 0; i < CELL_MARKS && c->mark[i]; i++) {
                assert_true(uni_is_safe(c->mark[i]));
                assert_int_equal(uni_width(c->mark[i]), 0);
            }
            assert_true(c->style < STYLE_COUNT);
        }
}

static void
check_row(struct grid *g, int y, const char *want)
{
    char *s = grid_row_text(g, y);

    assert_string_equal(s, want);
    free(s);
    check_grid(g);
}

static int
draw(struct grid *g, int x, int end, const char *s)
{
    return grid_text(g, x, 0, end, s, strlen(s), STYLE_TEXT);
}

static void
test_text(void **state)
{
    struct grid g;

    grid_init(&g, 12, 2);
    assert_int_equal(draw(&g, 0, 12, "雨a落b"), 6);
    check_row(&g, 0, "雨a落b");
    /* clipped at an edge that would cut a glyph */
    grid_clear(&g, STYLE_TEXT);
    assert_int_equal(draw(&g, 1, 6, "雨落在江"), 6);
    check_row(&g, 0, " 雨落");
    assert_int_equal(draw(&g, 11, 12, "中"), 12);
    check_row(&g, 0, " 雨落");
    /* one row only, and never outside */
    assert_int_equal(grid_text(&g, 3, 5, 12, "x", 1, STYLE_TEXT), 3);
    assert_int_equal(grid_text(&g, -3, 0, 12, "x", 1, STYLE_TEXT), -3);
    grid_at(&g, 99, 99)->cp = 'x';
    check_row(&g, 1, "");
    grid_finish(&g);
}

static void
test_halves(void **state)
{
    struct grid g;

    grid_init(&g, 8, 1);
    draw(&g, 0, 8, "中文字符");
    draw(&g, 3, 4, "X"); /* the right half of 文 */
    check_row(&g, 0, "中 X字符");
    draw(&g, 4, 5, "Y"); /* the left half of 字 */
    check_row(&g, 0, "中 XY 符");
    draw(&g, 0, 8, "中文字符");
    draw(&g, 1, 3, "江"); /* across two */
    check_row(&g, 0, " 江 字符");
    grid_fill(&g, 5, 0, 2, STYLE_BAR);
    check_row(&g, 0, " 江");
    assert_int_equal(grid_at(&g, 5, 0)->style, STYLE_BAR);
    assert_int_equal(grid_at(&g, 4, 0)->style, STYLE_TEXT);
    grid_finish(&g);
}

static void
test_clusters(void **state)
{
    static const struct {
        const char *s, *shown;
        int cols;
    } row[] = {
        { "e\xCC\x81x", "e\xCC\x81x", 2 },             /* é, a mark */
        { "\xCC\x81", " \xCC\x81", 1 },                /* without a base */
        { "❤\xEF\xB8\x8F!", "❤!", 2 },                 /* VS16 dropped */
        { "👩\u200D🌾.", "👩.", 3 },                      /* joined: first */
        { "👍🏽.", "👍.", 3 },                      /* skin tone */
        { "🇨🇳", "🇨🇳", 2 },                             /* a flag */
        { "a\u202Eb", "a<202E>b", 8 },                 /* bidi */
        { "a\u200Db", "a<200D>b", 8 },                 /* hidden */
        { "a\U000E0041\U000E0042", "a<E0041+1>", 10 }, /* tags */
        { "\xEF\xBB\xBFx", "<FEFF>x", 7 },             /* BOM */
        { "\x1B[31m", "<001B>[31m", 10 },              /* escape */
        { "\x9B", "<9B>", 4 },                         /* C1 byte */
        { "\xC2\x9B", "<009B>", 6 },                   /* C1 character */
        { "\xE4\xB8", "<E4><B8>", 8 },                 /* a torn 中 */
        { "\t.", "    .", 5 },
        { "\r\n", "<000D>", 0 /* set below */ },
        { "\xEE\x80\x80", "<E000>", 6 }, /* private use */
        { "\xF3\xB0\x80\x80", "<F0000>", 7 },
    };
    struct grid g;

    grid_init(&g, 40, 1);
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        int cols = row[i].cols, got = 0;
        size_t n = strlen(row[i].s), at = 0;

        if (cols == 0)
            continue;
        grid_clear(&g, STYLE_TEXT);
        assert_int_equal(draw(&g, 0, 40, row[i].s), cols);
        check_row(&g, 0, row[i].shown);
        assert_int_equal(grid_text_cols(row[i].s, n), cols);
        while (at < n) {
            int c;

            at += grid_cluster(row[i].s + at, n - at, &c);
            got += c;
        }
        assert_int_equal(got, cols);
    }
    draw(&g, 0, 40, "a\u202E");
    assert_int_equal(grid_at(&g, 1, 0)->style, STYLE_ODD);
    assert_int_equal(grid_at(&g, 0, 0)->style, STYLE_TEXT);
    grid_finish(&g);
}

static void
test_ambiguous(void **state)
{
    assert_int_equal(grid_text_cols("“…”", 9), 3);
    uni_set_ambiguous(2);
    assert_int_equal(grid_text_cols("“…”", 9), 6);
    uni_set_ambiguous(1);
}

static void
test_bar(void **state)
{
    struct grid g;
    int full = 0;

    grid_init(&g, 12, 1);
    grid_bar(&g, 1, 0, 10, 0.5, STYLE_BAR, STYLE_BAR_REST);
    for (int x = 0; x < 12; x++)
        full += grid_at(&g, x, 0)->style == STYLE_BAR;
    assert_int_equal(full, 5);
    assert_int_equal(grid_at(&g, 6, 0)->style, STYLE_BAR_REST);
    assert_int_equal(grid_at(&g, 11, 0)->style, STYLE_TEXT);
    grid_bar(&g, 0, 0, 12, 1e9, STYLE_BAR, STYLE_BAR_REST);
    assert_int_equal(grid_at(&g, 11, 0)->style, STYLE_BAR);
    grid_bar(&g, 0, 0, 12, -1, STYLE_BAR, STYLE_BAR_REST);
    assert_int_equal(grid_at(&g, 0, 0)->style, STYLE_BAR_REST);
    grid_finish(&g);
}

/* Any bytes, any place: the invariant holds, and the columns measured are the
 * columns drawn. */
static void
test_random(void **state)
{
    static const char *const bit[] = { "中",     "a",  "“",       "\xCC\x81",
                                       "\u200D", "👩",  "\x1B]0;", "\xE4",
                                       "ｱ",      "한", "🇨🇳",      "\u202E",
                                       "\t",     "é",  "\u0903" };
    struct grid g;
    char s[200];

    grid_init(&g, 1, 1);
    for (int round = 0; round < 4000; round++) {
        size_t n = 0;
        int x, end, to;

        if (round % 50 == 0)
            grid_resize(&g, 1 + (int)rnd(40), 1 + (int)rnd(3));
        uni_set_ambiguous(round % 2 + 1);
        if (round % 50 == 0 || round % 50 == 1)
            grid_clear(&g, STYLE_TEXT);
        for (unsigned k = rnd(12); k > 0; k--) {
            const char *b = bit[rnd(sizeof bit / sizeof *bit)];

            memcpy(s + n, b, strlen(b));
            n += strlen(b);
            if (rnd(6) == 0)
                s[n++] = (char)rnd(256);
        }
        if (round % 50 > 0 && round % 2 == 0)
            continue; /* one width of “ within one grid */
        x = (int)rnd((unsigned)g.cols);
        end = (int)rnd((unsigned)g.cols + 4);
        to = grid_text(&g, x, (int)rnd((unsigned)g.rows), end, s, n,
                       STYLE_MODEL);
        if (end > g.cols)
            end = g.cols;
        if (x < end) {
            int want = x + grid_text_cols(s, n);

            assert_true(to <= end);
            if (want <= end)
                assert_int_equal(to, want);
        }
        if (rnd(4) == 0)
            grid_fill(&g, (int)rnd(40) - 5, (int)rnd(3), (int)rnd(20),
                      STYLE_BAR);
        if (round % 2)
            check_grid(&g);
    }
    uni_set_ambiguous(1);
    grid_finish(&g);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),     cmocka_unit_test(test_halves),
        cmocka_unit_test(test_clusters), cmocka_unit_test(test_ambiguous),
        cmocka_unit_test(test_bar),      cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests_name("grid", tests, NULL, NULL);
}
