/* The screen as pictures: candidates as cards below the page. */
#include "tests/screen.h"

#define OPENING "雨又落下来了，落在江心，落在伞上。他把铜钱翻过来，背面刻着一个"

/* clang-format off */
static const char *const texts[3] = {
    "“数”字。他这才想起，铜钱不是钱，是她走那年给他的船资，他一直没有舍得花。",
    "“名”字，却只刻了一半。剩下的一半，大约在对岸，在另一个人的手心里，也是热的。",
    "小小的“三”。再摸，是“四”；再摸，已经是“三十”。它自己在数，一刻也没有停过。"
};
/* clang-format on */

/* All lanes write their texts, a character each at a time. */
static void
lanes_write(struct screen *s, const char *const *text, int n)
{
    size_t at[9] = { 0 };

    for (bool more = true; more;) {
        more = false;
        for (int i = 0; i < n; i++) {
            size_t left = strlen(text[i] + at[i]), step;
            char one[8] = { 0 };

            if (!left)
                continue;
            step = uni_grapheme(text[i] + at[i], left);
            memcpy(one, text[i] + at[i], step);
            fake_lane(s->gen, i, one);
            at[i] += step;
            more = true;
        }
        s->ui.now += 5;
        turn_poll(s->ui.turn, s->ui.now);
    }
    screen_draw(s);
}

/* A story with an opening, and three lanes that have written their texts. */
static void
open_three(struct screen *s, int cols, int rows)
{
    screen_open(s, cols, rows);
    paste(s, OPENING);
    press(s, "Shift-Tab");
    lanes_write(s, texts, 3);
}

static void
all_end(struct screen *s)
{
    fake_end(s->gen, GEN_WHY_SENTENCE);
    poll_turn(s);
}

static void
assert_taken(struct screen *s, int i)
{
    char *want = xasprintf("%s%s", OPENING, texts[i]);

    assert_story(s, want);
    assert_int_equal(s->ui.focus, FOCUS_PAGE);
    free(want);
}

/* --- pictures --- */

static void
three_side_by_side(void **state)
{
    struct screen s;

    open_three(&s, 80, 24);
    assert_row(
        &s, 0,
        "    雨又落下来了，落在江心，落在伞上。他把铜钱翻过来，背面刻着一个");
    assert_row_has(&s, 12, "╌ Candidates S-Tab ╌╌╌");
    assert_row_has(&s, 12, " ╎ batch 1 ╌╌");
    assert_row(&s, 13,
               " ❯1  mean 0.37  37 chars… ╎ 2  mean 0.37  39 chars… ╎ 3  mean "
               "0.37  40 chars…");
    assert_row(&s, 14,
               "  “数”字。他这才想起，铜  ╎ “名”字，却只刻了一半。  ╎ 小小的“"
               "三”。再摸，是");
    assert_row(&s, 15,
               "  钱不是钱，是她走那年给  ╎ 剩下的一半，大约在对岸，╎ “四”；再"
               "摸，已经是“三");
    assert_row(&s, 16,
               "  他的船资，他一直没有舍  ╎ 在另一个人的手心里，也  ╎ 十”。它自"
               "己在数，一刻");
    assert_row(&s, 17,
               "  得花。                  ╎ 是热的。                ╎ 也没有停"
               "过。");
    assert_row_has(&s, 22, " Panel › Candidates  writing");
    assert_row_has(&s, 22, "3 versions follow");
    assert_row_has(&s, 23, " 1-9 or arrows+Enter take one");
    assert_row_has(&s, 23, "Esc none");
    assert_caret(&s, 4 + 62, 0); /* where they would go on */
    assert_int_equal(grid_at(&s.g, 2, 14)->style, STYLE_MODEL);
    assert_int_equal(grid_at(&s.g, 28, 14)->style, STYLE_GHOST);
    all_end(&s);
    assert_row_has(&s, 13, " ❯1  mean 0.37  37 chars  ╎ 2");
    assert_row_has(&s, 22, "3 to choose from");
    press(&s, "Right");
    assert_row_has(&s, 13, "  1  mean 0.37  37 chars  ╎❯2  mean");
    assert_int_equal(grid_at(&s.g, 28, 14)->style, STYLE_MODEL);
    press(&s, "Left Left");
    assert_row_has(&s, 13, "╎❯3  mean");
    screen_close(&s);
}

static void
one_below_the_other_in_a_small_window(void **state)
{
    struct screen s;

    open_three(&s, 40, 12);
    assert_row(&s, 1, "    他把铜钱翻过来，背面刻着一个");
    assert_row_has(&s, 3, "╌ Candidates ╌╌╌");
    assert_row_has(&s, 3, " 1/3  0.37  37… ╌╌");
    assert_row(&s, 4, "❯1 “数”字。他这才想起，铜钱不是钱，是");
    assert_row(&s, 5, "   她走那年给他的船资，他一直没有舍得");
    assert_row(&s, 6, "   花。");
    assert_row(&s, 8, " 2 “名”字，却只刻了一半。剩下的一半，");
    assert_row(&s, 9, " 3 小小的“三”。再摸，是“四”；再摸，已");
    press(&s, "Down");
    assert_row(&s, 4, " 1 “数”字。他这才想起，铜钱不是钱，是");
    assert_row(&s, 5, "❯2 “名”字，却只刻了一半。剩下的一半，");
    assert_row(&s, 7, "   是热的。");
    assert_row(&s, 9, " 3 小小的“三”。再摸，是“四”；再摸，已");
    press(&s, "Enter");
    assert_taken(&s, 1);
    screen_close(&s);
    open_three(&s, 40, 8); /* room for one of them */
    assert_row(&s, 4, "❯1 她走那年给他的船资，他一直没有舍得");
    assert_row(&s, 5, "   花。");
    press(&s, "PgUp");
    assert_row(&s, 4, "❯1 “数”字。他这才想起，铜钱不是钱，是");
    press(&s, "Up");
    assert_row(&s, 5, "   停过。");
    screen_close(&s);
}

static void
every_size_holds(void **state)
{
    const char *nine[9];
    struct screen s;

    for (int i = 0; i < 9; i++)
        nine[i] = texts[i % 3];
    for (int n = 1; n <= 9; n++) {
        struct knobs k;

        screen_open(&s, 80, 24);
        paste(&s, OPENING);
        k = *turn_knobs(s.ui.turn);
        k.candidates = n;
        turn_set_knobs(s.ui.turn, &k);
        press(&s, "F4");
        lanes_write(&s, nine, n);
        for (int cols = 38; cols < 150; cols += 3) {
            for (int rows = 7; rows < 30; rows += 2) {
                char mark[] = "❯1";
                bool seen = cols < 40 || rows < 8;

                s.ui.cols = cols;
                s.ui.rows = rows;
                press(&s, "Right");
                mark[3] = (char)('1' + s.ui.cards.row);
                for (int y = 0; y < rows && !seen; y++)
                    seen = row_has(&s, y, mark);
                if (!seen)
                    fail_msg("%s of %d is not seen at %dx%d", mark, n, cols,
                             rows);
            }
        }
        screen_close(&s);
    }
}

static void
a_long_one_shows_its_end(void **state)
{
    const char *many[3] = { "一二三四五六七八九十一二三四五六七八九十一二三四"
                            "五六七八九十一二三四五六七八九十一二三四五六七八"
                            "九十一二三四五六七八九十一二三四五六七八九十一二"
                            "三四五六七八九十一二三四五六七八九十终",
                            "短", "也短" };
    struct screen s;

    screen_open(&s, 80, 24);
    paste(&s, OPENING);
    press(&s, "Shift-Tab");
    lanes_write(&s, many, 3);
    assert_row_has(&s, 13, " ❯1  0.37  91…  ‹1");
    assert_row_has(&s, 14, "  二三四五六七八九十一二  ╎ 短");
    assert_row_has(&s, 21, "终");
    press(&s, "Up");
    assert_row_has(&s, 13, " ❯1  0.37  91…  1›");
    assert_row_has(&s, 14, "  一二三四五六七八九十一  ╎ 短");
    press(&s, "Up");
    assert_row_has(&s, 14, "  一二三四五六七八九十一  ╎ 短");
    press(&s, "PgDn");
    assert_row_has(&s, 21, "终");
    screen_close(&s);
}

/* --- keys --- */

static void
a_digit_takes_one_and_undo_gives_it_back(void **state)
{
    struct screen s;

    open_three(&s, 80, 24);
    all_end(&s);
    type(&s, "4"); /* there are three */
    assert_row_has(&s, 23, "There are 3 to choose from");
    assert_story(&s, OPENING);
    type(&s, "2");
    assert_taken(&s, 1);
    assert_row_has(&s, 22, "version 2/3");
    assert_row(&s, 13, "");
    press(&s, "Ctrl-Z");
    assert_story(&s, OPENING);
    press(&s, "Ctrl-Y");
    assert_taken(&s, 1);
    press(&s, "Alt-Left");
    assert_taken(&s, 0);
    press(&s, "Ctrl-Z Shift-Tab"); /* others */
    assert_int_equal(s.gen->req.n_lanes, 3);
    type(&s, "1");
    assert_row_has(&s, 23, "Nothing is written there yet");
    fake_lane(s.gen, 2, "又");
    fake_end(s.gen, GEN_WHY_EOS);
    poll_turn(&s);
    assert_row_has(&s, 13, "❯1  nothing");
    type(&s, "３"); /* as an input method types it */
    assert_story(&s, OPENING "又");
    screen_close(&s);
}

static void
again_deals_another_batch(void **state)
{
    struct screen s;

    open_three(&s, 80, 24);
    press(&s, "Right Shift-Tab");
    assert_row_has(&s, 12, "batch 2");
    assert_row_has(&s, 13, " ❯1  …");
    assert_int_equal(s.gen->req.br, 3);
    assert_row_has(&s, 22, "3 versions follow");
    fake_lane(s.gen, 0, "又");
    poll_turn(&s);
    assert_row_has(&s, 14, "  又");
    assert_row_has(&s, 22, "4 versions follow");
    press(&s, "Enter");
    assert_story(&s, OPENING "又");
    assert_row_has(&s, 22, "version 4/4");
    assert_row_has(&s, 22, " Page › writing");
    fake_lane(s.gen, 0, "是"); /* it goes on in the page */
    fake_lane(s.gen, 1, "不");
    poll_turn(&s);
    assert_story(&s, OPENING "又是");
    screen_close(&s);
}

static void
tab_takes_one_and_goes_on(void **state)
{
    struct screen s;

    open_three(&s, 80, 24);
    all_end(&s);
    press(&s, "Right Tab");
    assert_taken(&s, 1);
    assert_int_equal(s.gen->req.n_lanes, 1);
    assert_int_equal(s.gen->req.run, 2);
    fake_token(s.gen, "他");
    poll_turn(&s);
    press(&s, "Esc Ctrl-Z");
    assert_taken(&s, 1);
    screen_close(&s);
}

static void
typing_goes_to_the_page(void **state)
{
    struct screen s;

    open_three(&s, 80, 24);
    type(&s, "三");
    assert_story(&s, OPENING "三");
    assert_row(&s, 13, "");
    assert_row_has(&s, 22, " Page › your turn");
    press(&s, "Ctrl-Z Shift-Tab");
    lanes_write(&s, texts, 3);
    press(&s, "Backspace");
    assert_int_equal(turn_n_candidates(s.ui.turn), 0);
    press(&s, "Ctrl-Z Shift-Tab");
    paste(&s, "贴");
    assert_story(&s, OPENING "贴");
    screen_close(&s);
}

static void
esc_stops_them_then_leaves_them(void **state)
{
    struct screen s;

    open_three(&s, 80, 24);
    press(&s, "Esc");
    assert_row_has(&s, 22, " Panel › Candidates  3 to choose from");
    assert_row_has(&s, 13, " ❯1  mean 0.37  37 chars  ╎");
    press(&s, "Esc");
    assert_row(&s, 13, "");
    assert_row_has(&s, 23, "All are kept: Ctrl-Y goes to one");
    assert_row_has(&s, 22, "3 versions follow");
    assert_story(&s, OPENING);
    press(&s, "Ctrl-Y");
    assert_taken(&s, 2);
    press(&s, "Alt-Left Alt-Left");
    assert_taken(&s, 0);
    screen_close(&s);
}

static void
a_panel_may_open_over_them(void **state)
{
    struct screen s;

    open_three(&s, 80, 24);
    press(&s, "Ctrl-T");
    assert_row_has(&s, 12, "Knobs ^T");
    press(&s, "Right"); /* the temperature, for all of them */
    assert_int_equal(s.gen->knobs_serial, 1);
    press(&s, "Ctrl-T");
    assert_row_has(&s, 12, "Candidates S-Tab");
    press(&s, "F1");
    assert_row_has(&s, 0, "Keys");
    press(&s, "F1 Ctrl-F");
    assert_row(&s, 13, "");
    press(&s, "Esc Esc"); /* the model, then the prompt */
    assert_row_has(&s, 12, "Candidates S-Tab");
    press(&s, "3");
    assert_taken(&s, 2);
    screen_close(&s);
}

static void
what_failed_is_told(void **state)
{
    struct gen_event ev = { .type = GEN_FAILED };
    struct screen s;

    screen_open(&s, 80, 24);
    paste(&s, OPENING);
    press(&s, "Shift-Tab");
    ev.serial = s.gen->serial;
    err_set(&ev.u.err, ERR_MODEL, "no finite logit is left");
    fake_push(s.gen, ev);
    fake_end(s.gen, GEN_WHY_ERROR);
    poll_turn(&s);
    assert_row_has(&s, 23, "no finite logit is left");
    assert_row_has(&s, 22, " Page › stopped by an error");
    assert_story(&s, OPENING);
    screen_close(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_side_by_side),
        cmocka_unit_test(one_below_the_other_in_a_small_window),
        cmocka_unit_test(every_size_holds),
        cmocka_unit_test(a_long_one_shows_its_end),
        cmocka_unit_test(a_digit_takes_one_and_undo_gives_it_back),
        cmocka_unit_test(again_deals_another_batch),
        cmocka_unit_test(tab_takes_one_and_goes_on),
        cmocka_unit_test(typing_goes_to_the_page),
        cmocka_unit_test(esc_stops_them_then_leaves_them),
        cmocka_unit_test(a_panel_may_open_over_them),
        cmocka_unit_test(what_failed_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
