/* The screen as pictures: the page, its panels and its rows at the bottom. */
#include <locale.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/screen.h"

/* --- the page --- */

static void
an_empty_page_helps_and_vanishes(void **state)
{
    struct screen s;

    screen_open(&s, 80, 24);
    assert_row(&s, 0, "");
    assert_row_has(&s, 2, "    Write the opening of a story here;");
    assert_row_has(&s, 3, "    Esc stops it. F1 shows every key.");
    assert_caret(&s, 4, 0);
    assert_row_has(&s, 22, " Page › your turn   ferry");
    assert_row_has(&s, 22, "0 words");
    assert_row_has(&s, 23,
                   " Tab write on  S-Tab candidates  Esc stop  ^R again");
    assert_row_has(&s, 23, "F1 help");
    type(&s, "渡");
    assert_row(&s, 0, "    渡");
    assert_row(&s, 2, "");
    assert_caret(&s, 6, 0);
    assert_story(&s, "渡");
    screen_close(&s);
}

#define OPENING                                                                                                    \
    "　　渡口的灯是酉时灭的。老船工把篙横在膝上，听雨点敲着乌篷，像有人在数一" \
    "串永远数不完的铜钱。他等的人没有来。"

static void
long_lines_break_by_the_rules(void **state)
{
    struct screen s;

    screen_open(&s, 80, 24);
    paste(&s, OPENING);
    assert_row(&s, 0,
               "    　　渡口的灯是酉时灭的。老船工把篙横在膝上，听雨点敲着乌"
               "篷，像有人在数一");
    assert_row(&s, 1, "    串永远数不完的铜钱。他等的人没有来。");
    assert_caret(&s, 4 + 36, 1);
    press(&s, "Home");
    assert_caret(&s, 4, 1);
    press(&s, "Up");
    assert_caret(&s, 4, 0);
    press(&s, "End");
    assert_caret(&s, 4 + 70, 0); /* before the last character of the line */
    press(&s, "Down");
    assert_caret(&s, 4 + 36, 1); /* the goal column is kept ... */
    press(&s, "Up");
    assert_caret(&s, 4 + 70, 0);
    screen_close(&s);
}

/* In mono a mark tells the model's lines from the writer's. */
static void
the_models_lines_are_marked(void **state)
{
    struct screen s;

    screen_open(&s, 80, 24);
    type(&s, "雨停了。\n");
    press(&s, "Tab");
    assert_row_has(&s, 22, "Page › reading");
    model_writes(&s, "江面起了雾。");
    assert_row(&s, 0, "    雨停了。");
    assert_row(&s, 1, "  ╎ 江面起了雾。");
    assert_caret(&s, 4 + 12, 1); /* it rides along */
    assert_row_has(&s, 22, "Page › writing");
    assert_int_equal(grid_at(&s.g, 4, 0)->style, STYLE_TEXT);
    assert_int_equal(grid_at(&s.g, 4, 1)->style, STYLE_MODEL);
    press(&s, "Esc");
    poll_turn(&s);
    assert_row_has(&s, 22, "Page › stopped by you");
    assert_row_has(&s, 23, "stopped by you  6 chars  seed");
    press(&s, "Ctrl-Z");
    assert_story(&s, "雨停了。\n");
    press(&s, "Ctrl-Y");
    assert_story(&s, "雨停了。\n江面起了雾。");
    type(&s, "雾"); /* how it ended is no news any more */
    assert_row_has(&s, 22, "Page › your turn");
    screen_close(&s);
}

static void
text_after_the_pen_is_told(void **state)
{
    struct screen s;

    screen_open(&s, 80, 24);
    type(&s, "前后");
    press(&s, "Left Tab");
    model_writes(&s, "中");
    assert_row_has(&s, 22, "what follows is unseen");
    assert_row(&s, 0, "  ╎ 前中后");
    screen_close(&s);
}

/* The rule stands exactly where the window starts, also inside a line. */
static void
the_horizon_is_where_the_window_starts(void **state)
{
    struct screen s;
    size_t at = strlen("第一段。\n");

    screen_open(&s, 80, 24);
    paste(&s, "第一段。\n第二段在此，后半句。");
    press(&s, "Tab");
    model_writes(&s, "甲");
    assert_row(&s, 1, "  ╎ 第二段在此，后半句。甲");
    fake_window(s.gen, at);
    model_writes(&s, "乙");
    assert_row(&s, 0, "    第一段。");
    assert_row_has(&s, 1, "    ╌╌╌╌");
    assert_row_has(&s, 1, " the model no longer sees what is above ");
    assert_row(&s, 2, "  ╎ 第二段在此，后半句。甲乙");
    assert_int_equal(grid_at(&s.g, 4, 0)->style, STYLE_UNSEEN);
    assert_int_equal(grid_at(&s.g, 4, 2)->style, STYLE_TEXT);
    assert_caret(&s, 4 + 24, 2);

    fake_window(s.gen, at + strlen("第二段在此，"));
    model_writes(&s, "丙");
    assert_row(&s, 1, "    第二段在此，");
    assert_row_has(&s, 2, "╌╌╌");
    assert_row(&s, 3, "  ╎             后半句。甲乙丙");
    assert_int_equal(grid_at(&s.g, 4, 1)->style, STYLE_UNSEEN);
    assert_caret(&s, 4 + 26, 3);
    press(&s, "Home"); /* the line's start lies above the rule */
    assert_caret(&s, 4, 1);
    screen_close(&s);
}

/* The caret keeps three lines of distance and never stands on the last. */
static void
the_view_follows_the_caret(void **state)
{
    struct screen s;

    screen_open(&s, 80, 24);
    for (int i = 0; i < 100; i++) {
        char line[32];

        snprintf(line, sizeof line, "第%d行\n", i);
        type(&s, line);
        assert_true(s.cy <= 22 - 1 - 3);
    }
    assert_int_equal(s.cy, 18);
    press(&s, "Ctrl-Home");
    assert_caret(&s, 4, 0);
    assert_row(&s, 0, "    第0行");
    for (int i = 0; i < 60; i++) {
        press(&s, "Down");
        assert_true(s.cy <= 18);
    }
    for (int i = 0; i < 30; i++) {
        press(&s, "Up");
        assert_true(s.cy >= 3);
    }
    assert_int_equal(s.cy, 3);
    press(&s, "PgDn");
    assert_row_has(&s, s.cy, "第50行");
    screen_close(&s);
}

static void
tokens_elsewhere_do_not_move_the_view(void **state)
{
    struct screen s;

    screen_open(&s, 80, 24);
    for (int i = 0; i < 60; i++)
        type(&s, "一行\n");
    press(&s, "Tab");
    model_writes(&s, "甲乙");
    press(&s, "Ctrl-Home");
    assert_row(&s, 0, "    一行");
    assert_caret(&s, 4, 0);
    for (int i = 0; i < 50; i++)
        model_writes(&s, "丙\n");
    assert_row(&s, 0, "    一行");
    assert_caret(&s, 4, 0);
    screen_close(&s);
}

/* --- windows of any size --- */

static void
narrow_rows_leave_out_the_least(void **state)
{
    struct screen s;

    screen_open(&s, 60, 20);
    type(&s, "字");
    press(&s, "Tab");
    model_writes(&s, "词");
    assert_row_has(&s, 18, "Page › writing");
    s.ui.cols = 40;
    screen_draw(&s);
    assert_row_has(&s, 18, "Page › writing");
    assert_row_has(&s, 19, "F1 help");
    s.ui.cols = 39;
    screen_draw(&s);
    assert_row(&s, 0, "Window too small (the text is safe)");
    screen_close(&s);
}

static void
every_size_is_safe(void **state)
{
    struct screen s;

    screen_open(&s, 80, 24);
    paste(&s, OPENING "\n" OPENING "\xff\xe4 e\xcc\x81 \xe2\x80\xae end\n");
    press(&s, "Tab");
    model_writes(&s, "雾。");
    fake_window(s.gen, 3);
    model_writes(&s, "船");
    press(&s, "Ctrl-T");
    for (int cols = 1; cols <= 130; cols += cols < 45 ? 1 : 17)
        for (int rows = 1; rows <= 40; rows += rows < 20 ? 1 : 7) {
            s.ui.cols = cols;
            s.ui.rows = rows;
            screen_draw(&s);
            assert_true(s.cx >= 0 && s.cx < cols);
            assert_true(s.cy >= 0 && s.cy < rows);
            press(&s, "F1 Down F1 Ctrl-T Ctrl-F");
            type(&s, "雾");
            press(&s, "Esc Esc");
        }
    assert_int_equal(s.ui.cols, s.g.cols);
    screen_close(&s);
}

/* --- panels and prompts --- */

static void
knobs_turn_live(void **state)
{
    struct screen s;

    screen_open(&s, 80, 24);
    type(&s, "雨");
    press(&s, "Tab");
    model_writes(&s, "落");
    press(&s, "Ctrl-T");
    assert_row_has(&s, 12, "╌ Knobs ^T ╌╌╌");
    assert_row_has(&s, 13, "❯1 temperature");
    assert_row_has(&s, 13, "0.9");
    assert_row_has(&s, 21, "Preset");
    assert_row_has(&s, 22, " Panel › knobs");
    assert_row_has(&s, 23, "Esc back");
    press(&s, "Right Right");
    assert_true(turn_knobs(s.ui.turn)->temp > 0.99);
    assert_true(s.gen->knobs.temp > 0.99); /* reached the running request */
    press(&s, "Shift-Left");
    assert_true(turn_knobs(s.ui.turn)->temp < 0.51);
    press(&s, "Backspace");
    assert_true(turn_knobs(s.ui.turn)->temp > 0.89);
    press(&s, "Down Enter");
    assert_row_has(&s, 21, " top-k: 40");
    press(&s, "Ctrl-U");
    type(&s, "１２"); /* an input method's digits */
    press(&s, "Enter");
    assert_int_equal(turn_knobs(s.ui.turn)->top_k, 12);
    press(&s, "Enter Ctrl-U");
    type(&s, "many");
    press(&s, "Enter");
    assert_row_has(&s, 23, "top-k");
    assert_int_equal(turn_knobs(s.ui.turn)->top_k, 12);
    press(&s, "Ctrl-U Esc"); /* the run stops first */
    assert_false(ui_running(&s.ui));
    press(&s, "Esc Esc");
    assert_int_equal(s.ui.focus, FOCUS_PAGE);
    assert_story(&s, "雨落");
    screen_close(&s);
}

static void
presets_set_several_knobs(void **state)
{
    struct screen s;

    screen_open(&s, 100, 30);
    press(&s, "Ctrl-T");
    type(&s, "9");
    assert_row_has(&s, 27,
                   "calm ╎ normal ╎ wild ╎ greedy ╎ tutorial ╎ gpt2-ml ╎ own");
    press(&s, "Right");
    assert_int_equal(turn_knobs(s.ui.turn)->top_k, 0);
    assert_true(turn_knobs(s.ui.turn)->temp > 1.09);
    press(&s, "Left Left");
    assert_int_equal(turn_knobs(s.ui.turn)->top_k, 20);
    assert_story(&s, "");
    for (int i = 0; i < 6; i++)
        press(&s, "Down"); /* the knobs behind the first nine */
    screen_draw(&s);
    assert_false(row_has(&s, 19, "temperature"));
    screen_close(&s);
}

static void
find_shows_and_goes_there(void **state)
{
    struct screen s;

    screen_open(&s, 80, 24);
    paste(&s, "灯灭了。\n");
    for (int i = 0; i < 60; i++)
        paste(&s, "空行\n");
    paste(&s, "灯亮了。");
    press(&s, "Ctrl-Home Ctrl-F");
    assert_row_has(&s, 21, " Find:");
    assert_row_has(&s, 22, " Prompt ›");
    type(&s, "灯");
    assert_int_equal(grid_at(&s.g, 4, 0)->style, STYLE_FOUND);
    assert_int_equal(s.cy, 21);
    type(&s, "亮");
    assert_true(row_has(&s, 17, "灯亮了。"));
    assert_int_equal(grid_at(&s.g, 4, 17)->style, STYLE_FOUND);
    press(&s, "Backspace"); /* the search starts at the caret again */
    assert_int_equal(grid_at(&s.g, 4, 0)->style, STYLE_FOUND);
    press(&s, "F3");
    assert_true(row_has(&s, 17, "灯亮了。"));
    press(&s, "F3");
    assert_int_equal(grid_at(&s.g, 4, 0)->style, STYLE_FOUND);
    assert_row_has(&s, 23, "from the start");
    press(&s, "Up");
    assert_true(row_has(&s, 17, "灯亮了。"));
    press(&s, "Esc");
    assert_int_equal(turn_caret(s.ui.turn), text_len(ui_text(&s.ui)) - 12);
    press(&s, "Ctrl-F");
    type(&s, "没有的字");
    assert_row_has(&s, 23, "Not found: 没有的字");
    press(&s, "Esc");
    screen_close(&s);
}

static void
help_is_written_from_the_tables(void **state)
{
    struct screen s;
    bool tab = false, knob = false;

    screen_open(&s, 80, 24);
    press(&s, "F1");
    for (int page = 0; page < 8; page++) {
        for (int y = 0; y < 22; y++) {
            tab |= row_has(&s, y, "Tab  Alt-Enter") &&
                   row_has(&s, y, "the model writes on from the caret");
            knob |= row_has(&s, y, "--top-k");
        }
        press(&s, "PgDn");
    }
    assert_true(tab);
    assert_true(knob);
    type(&s, "x");
    assert_story(&s, "");
    press(&s, "Esc");
    assert_row_has(&s, 2, "Write the opening");
    screen_close(&s);
}

static void
chords_are_not_typed(void **state)
{
    struct screen s;

    screen_open(&s, 80, 24);
    type(&s, "one two");
    press(&s, "Alt-B");
    assert_caret(&s, 4 + 4, 0);
    press(&s, "Alt-X Alt-F Ctrl-V F12 Shift-Tab Ins");
    assert_caret(&s, 4 + 7, 0);
    press(&s, "Ctrl-F Alt-X Ctrl-Z Tab");
    assert_row_has(&s, 21, " Find:");
    assert_int_equal(s.ui.ask.len, 0);
    press(&s, "Esc");
    assert_story(&s, "one two");
    screen_close(&s);
}

static void
every_match_is_passed(void **state)
{
    struct screen s;

    screen_open(&s, 80, 24);
    paste(&s, "雨雨雨");
    press(&s, "Ctrl-F");
    type(&s, "雨");
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(s.ui.layout.found, (9 - 3 * i) % 9);
        press(&s, "Up");
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(s.ui.layout.found, (6 + 3 * i) % 9);
        press(&s, "Enter");
    }
    screen_close(&s);
}

static void
nothing_to_stop_is_said_and_quits_nothing(void **state)
{
    struct screen s;

    screen_open(&s, 80, 24);
    press(&s, "Ctrl-C");
    assert_row_has(&s, 23, "Nothing to stop");
    assert_false(s.ui.quit);
    press(&s, "Ctrl-R");
    assert_false(s.ui.quit);
    press(&s, "Ctrl-Q");
    assert_true(s.ui.quit);
    screen_close(&s);
}

static void
long_messages_take_rows(void **state)
{
    struct screen s;

    screen_open(&s, 60, 20);
    ui_say(&s.ui, SAY_WARN,
           "the model cannot be opened: /home/someone/models/big/"
           "model.safetensors: the header says that tensor h.0.attn.c_attn."
           "weight ends behind the end of the file");
    screen_draw(&s);
    assert_row_has(&s, 17, "the model cannot be opened");
    assert_row_has(&s, 19, "of the file");
    assert_row_has(&s, 16, "Page ›");
    press(&s, "Left");
    assert_row_has(&s, 19, "F1 help");
    screen_close(&s);
}

static void
retry_keeps_the_old_version(void **state)
{
    struct screen s;

    screen_open(&s, 80, 24);
    type(&s, "雨");
    press(&s, "Tab");
    model_writes(&s, "停");
    press(&s, "Ctrl-R");
    poll_turn(&s);
    model_writes(&s, "落");
    assert_story(&s, "雨落");
    assert_row_has(&s, 22, "version 2/2");
    press(&s, "Alt-Left");
    assert_story(&s, "雨停");
    assert_row_has(&s, 22, "version 1/2");
    press(&s, "F8");
    assert_story(&s, "雨落");
    screen_close(&s);
}

/* --- files --- */

static void
another_story_can_be_opened(void **state)
{
    struct screen s;
    char other[128];

    screen_open(&s, 80, 24);
    snprintf(other, sizeof other, "%s/bridge.jl", s.dir);
    type(&s, "渡口");
    press(&s, "Ctrl-O");
    assert_row_has(&s, 21, s.dir);
    type(&s, "bridge");
    press(&s, "Enter");
    assert_row_has(&s, 22, "Page ›");
    assert_row_has(&s, 22, "bridge");
    assert_story(&s, "");
    type(&s, "桥");
    press(&s, "Ctrl-O");
    type(&s, "f");
    press(&s, "Tab"); /* completes the name */
    assert_row_has(&s, 21, "ferry.jl");
    press(&s, "Enter");
    assert_row_has(&s, 22, "ferry");
    assert_story(&s, "渡口");
    press(&s, "Ctrl-O Tab");
    assert_row_has(&s, 23, "bridge.jl  ferry.jl");
    press(&s, "Esc Ctrl-O Ctrl-U");
    type(&s, s.dir);
    press(&s, "Enter");
    assert_row_has(&s, 22, "is a folder");
    press(&s, "Esc");
    assert_story(&s, "渡口");
    unlink(other);
    screen_close(&s);
}

static void
a_text_becomes_a_story_beside_it(void **state)
{
    struct screen s;
    char path[128], story[128];
    FILE *f;

    screen_open(&s, 80, 24);
    snprintf(path, sizeof path, "%s/old.txt", s.dir);
    snprintf(story, sizeof story, "%s/old.jl", s.dir);
    f = fopen(path, "w");
    fputs("旧稿一行\n\xff", f);
    fclose(f);
    press(&s, "Ctrl-O");
    type(&s, "old.txt");
    press(&s, "Enter");
    assert_story(&s, "旧稿一行\n\xff");
    assert_row_has(&s, 0, "    旧稿一行");
    assert_row_has(&s, 1, "    <FF>");
    assert_int_equal(grid_at(&s.g, 4, 0)->style, STYLE_IMPORT);
    assert_row_has(&s, 22, "old");
    unlink(path);
    unlink(story);
    screen_close(&s);
}

/* A full disk: the text stays, the row turns red, quitting asks. */
static void
a_failing_disk_is_told_and_loses_nothing(void **state)
{
    struct rlimit old, small;
    struct screen s;

    screen_open(&s, 80, 24);
    signal(SIGXFSZ, SIG_IGN);
    type(&s, "甲");
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = 16;
    setrlimit(RLIMIT_FSIZE, &small);
    type(&s, "乙");
    for (int i = 0; i < 50; i++) {
        s.ui.now += 1000;
        storyfile_tick(s.ui.file, s.ui.now);
    }
    type(&s, "丙");
    assert_story(&s, "甲乙丙");
    assert_int_equal(storyfile_state(s.ui.file), STORYFILE_FAILING);
    assert_int_equal(grid_at(&s.g, 10, 22)->style, STYLE_STATUS_WARN);
    assert_row_has(&s, 22, "not saved (");
    press(&s, "Ctrl-Q");
    assert_false(s.ui.quit);
    assert_row_has(&s, 21, "Not all is on disk. Leave all the same? (y/n):");
    press(&s, "Esc Ctrl-Q");
    type(&s, "n");
    press(&s, "Enter");
    assert_false(s.ui.quit);
    press(&s, "Ctrl-Q");
    type(&s, "ｙ"); /* typed with an input method on */
    press(&s, "Enter");
    assert_true(s.ui.quit);
    setrlimit(RLIMIT_FSIZE, &old);
    s.ui.now += 2000;
    storyfile_tick(s.ui.file, s.ui.now);
    assert_int_equal(storyfile_state(s.ui.file), STORYFILE_OK);
    screen_close(&s);
}

/* --- what the layout keeps --- */

static unsigned rnd_state = 7;

static unsigned
rnd(unsigned n)
{
    rnd_state = rnd_state * 1664525u + 1013904223u;
    return (rnd_state >> 8) % n;
}

static void
differences_are_found(void **state)
{
    static const char *const parts[] = { "我", "戒", "a",    "b",
                                         "\n", "，", "\xff", "字" };
    struct text_store *st = text_store_new();

    for (int round = 0; round < 300; round++) {
        struct text *a = text_empty(st), *b, *c, *next;
        size_t at, del, ins;
        char *x, *y;

        for (unsigned i = rnd(20); i > 0; i--) {
            const char *p = parts[rnd(8)];

            next = text_insert(a, text_len(a), p, strlen(p), TEXT_ME, 1);
            text_unref(a);
            a = next;
        }
        at = rnd((unsigned)text_len(a) + 1);
        b = text_delete(a, at, rnd((unsigned)(text_len(a) - at) + 1));
        c = text_insert(b, at, "我字", rnd(2) ? 6 : 3, TEXT_ME, 1);
        layout_diff(a, c, &at, &del, &ins);
        x = text_dup(a, 0, text_len(a));
        y = text_dup(c, 0, text_len(c));
        assert_int_equal(text_len(a) - del + ins, text_len(c));
        assert_memory_equal(x, y, at);
        assert_memory_equal(x + at + del, y + at + ins, text_len(a) - at - del);
        free(x);
        free(y);
        text_unref(a);
        text_unref(b);
        text_unref(c);
    }
    text_store_free(st);
}

static void
words_are_counted_as_they_change(void **state)
{
    static const char *const parts[] = { "字", "ab", " ",     "，",
                                         "c",  "\n", "don't", "。" };
    struct screen s;

    screen_open(&s, 80, 24);
    for (int i = 0; i < 600; i++) {
        char *all;

        switch (rnd(6)) {
        case 0: press(&s, "Backspace"); break;
        case 1: press(&s, rnd(2) ? "Left" : "Ctrl-Home"); break;
        case 2: press(&s, rnd(2) ? "Ctrl-Z" : "Ctrl-Y"); break;
        case 3: press(&s, rnd(8) ? "Ctrl-End" : "Ctrl-K"); break;
        default: type(&s, parts[rnd(8)]); break;
        }
        s.ui.now += rnd(2) ? 2000 : 0;
        all = story_string(&s);
        assert_int_equal(s.ui.layout.words, uni_count_words(all, strlen(all)));
        free(all);
    }
    screen_close(&s);
}

/* After any sequence of keys the lines are those of a fresh layout. */
static void
lines_are_those_of_a_fresh_layout(void **state)
{
    struct screen s;
    struct wrap_line have, want;
    struct wrap *w;

    screen_open(&s, 60, 24);
    for (int i = 0; i < 200; i++) {
        switch (rnd(5)) {
        case 0: paste(&s, OPENING); break;
        case 1: press(&s, rnd(2) ? "Up Left" : "Ctrl-Home Right"); break;
        case 2: press(&s, rnd(3) ? "Ctrl-Z" : "Ctrl-W"); break;
        case 3: press(&s, rnd(8) ? "Enter" : "Ctrl-End"); break;
        default: type(&s, "“船”"); break;
        }
        layout_work(&s.ui.layout, 1 << 20);
    }
    w = wrap_new(s.ui.layout.measure);
    while (!wrap_set(w, ui_text(&s.ui), s.ui.layout.measure) &&
           !wrap_work(w, 1 << 20))
        ;
    assert_int_equal(wrap_lines(w), wrap_lines(s.ui.layout.wrap));
    for (size_t i = 0; i < wrap_lines(w); i++) {
        assert_true(wrap_get(w, i, &want));
        assert_true(wrap_get(s.ui.layout.wrap, i, &have));
        assert_int_equal(have.at, want.at);
        assert_int_equal(have.len, want.len);
    }
    wrap_free(w);
    screen_close(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_page_helps_and_vanishes),
        cmocka_unit_test(long_lines_break_by_the_rules),
        cmocka_unit_test(the_models_lines_are_marked),
        cmocka_unit_test(text_after_the_pen_is_told),
        cmocka_unit_test(the_horizon_is_where_the_window_starts),
        cmocka_unit_test(the_view_follows_the_caret),
        cmocka_unit_test(tokens_elsewhere_do_not_move_the_view),
        cmocka_unit_test(narrow_rows_leave_out_the_least),
        cmocka_unit_test(every_size_is_safe),
        cmocka_unit_test(knobs_turn_live),
        cmocka_unit_test(presets_set_several_knobs),
        cmocka_unit_test(find_shows_and_goes_there),
        cmocka_unit_test(help_is_written_from_the_tables),
        cmocka_unit_test(chords_are_not_typed),
        cmocka_unit_test(every_match_is_passed),
        cmocka_unit_test(nothing_to_stop_is_said_and_quits_nothing),
        cmocka_unit_test(long_messages_take_rows),
        cmocka_unit_test(retry_keeps_the_old_version),
        cmocka_unit_test(another_story_can_be_opened),
        cmocka_unit_test(a_text_becomes_a_story_beside_it),
        cmocka_unit_test(a_failing_disk_is_told_and_loses_nothing),
        cmocka_unit_test(differences_are_found),
        cmocka_unit_test(words_are_counted_as_they_change),
        cmocka_unit_test(lines_are_those_of_a_fresh_layout),
    };
    char state_home[] = "/tmp/jielong-state-XXXXXX", noted[64];
    int failed;

    setlocale(LC_CTYPE, "C.UTF-8");
    assert_non_null(mkdtemp(state_home)); /* where the last story is noted */
    setenv("XDG_STATE_HOME", state_home, 1);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    snprintf(noted, sizeof noted, "rm -rf %s", state_home);
    return system(noted) == 0 ? failed : 1;
}
