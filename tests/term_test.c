/* The terminal: a small program on term.c in a pseudo-terminal, and what an
 * emulator that knows nothing of us makes of it. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/unicode.h"

#include "tests/pty.h"
#include "tests/term_scene.h"

static struct pty *
start(int cols, int rows, const char *const env[], const char *arg,
      const char *arg2)
{
    const char *argv[] = { getenv("JIELONG_TEST_DRAW"), arg, arg ? arg2 : NULL,
                           NULL };

    if (!argv[0])
        argv[0] = "tests/term_draw";
    return pty_start(argv, cols, rows, env);
}

static struct pty *
start_ready(int cols, int rows)
{
    struct pty *p = start(cols, rows, NULL, NULL, NULL);

    assert_true(pty_wait_text(p, "ready;"));
    return p;
}

static void
quit(struct pty *p)
{
    pty_send(p, "q");
    assert_int_equal(pty_end(p), 0);
    pty_free(p);
}

/* --- what may be in the output --- */

/* Walks over all output: UTF-8 of safe characters, and the few sequences that
 * a frame is made of. Says where something else stands. */
static void
check_output(const struct pty *p)
{
    size_t n, i = 0;
    const char *s = pty_log(p, &n);
    uint32_t cp;

    while (i < n) {
        size_t from = i, len = uni_decode(s + i, n - i, &cp);

        i += len;
        if (cp >= 0x20 && cp != 0x7F) {
            if (cp == UNI_BAD || !uni_is_safe(cp))
                fail_msg("byte %zu: U+%04X in the output", from, cp);
            continue;
        }
        if (cp == '\r' || cp == '\n' || cp == '\b')
            continue; /* ncurses moves the cursor with these */
        if (cp != 0x1B || i >= n)
            fail_msg("byte %zu: control %02X in the output", from, cp);
        if (s[i] == '(' && i + 1 < n && s[i + 1] == 'B') {
            i += 2;
            continue;
        }
        if (s[i] != '[') {
            fail_msg("byte %zu: ESC %02X in the output", from, s[i]);
            continue;
        }
        for (i++; i < n && strchr("0123456789;?", s[i]); i++)
            ;
        if (i < n && !strchr("HJKmhlABCDGXdnrt", s[i]))
            fail_msg("byte %zu: CSI ... %c in the output", from, s[i]);
        i++;
    }
}

/* --- the screen is the grid --- */

static void
check_screen(const struct pty *p, const struct grid *g, unsigned scene)
{
    for (int y = 0; y < g->rows; y++) {
        char *want = grid_row_text(g, y), *got = pty_row(p, y);

        if (strcmp(want, got) != 0)
            fail_msg("scene %u row %d:\nwant %s\ngot  %s", scene, y, want, got);
        free(want);
        free(got);
        for (int x = 0; x < g->cols; x++)
            if (g->cell[y * g->cols + x].width == 2)
                assert_int_equal(pty_cell_width(p, x, y), 2);
    }
}

static void
check_caret(const struct pty *p, int cx, int cy)
{
    int x, y;
    bool visible;

    pty_cursor(p, &x, &y, &visible);
    assert_true(visible);
    assert_int_equal(x, cx);
    assert_int_equal(y, cy);
}

/* Steps through scenes; after every frame the emulator shows the grid and its
 * cursor stands, visible, at the caret. */
static void
walk_scenes(struct pty *p, struct grid *g, unsigned from, unsigned to)
{
    int cx, cy, before;

    for (unsigned n = from; n <= to; n++) {
        before = pty_frames(p);
        scene_draw(g, n, &cx, &cy);
        pty_send(p, "n");
        assert_true(pty_wait_frames(p, before + 1));
        check_screen(p, g, n);
        check_caret(p, cx, cy);
        assert_int_equal(pty_frames(p), before + 1);
    }
}

static void
test_scenes(void **state)
{
    static const int size[][2] = { { 80, 24 }, { 140, 45 }, { 9, 3 } };

    for (int k = 0; k < 3; k++) {
        struct pty *p = start_ready(size[k][0], size[k][1]);
        struct grid g;
        int cx, cy;

        grid_init(&g, size[k][0], size[k][1]);
        scene_draw(&g, 0, &cx, &cy);
        grid_clear(&g, STYLE_TEXT);
        /* the program's own lines are there until scene 8 clears them */
        for (unsigned n = 1; n <= 8; n++) {
            int before = pty_frames(p);

            scene_draw(&g, n, &cx, &cy);
            pty_send(p, "n");
            assert_true(pty_wait_frames(p, before + 1));
            check_caret(p, cx, cy);
        }
        check_screen(p, &g, 8);
        walk_scenes(p, &g, 9, 60);
        check_output(p);
        grid_finish(&g);
        quit(p);
    }
}

/* Some five thousand strings full of escapes, C1 and direction controls, torn
 * characters: none of it comes out as a control. */
static void
test_evil(void **state)
{
    struct pty *p = start_ready(140, 45);
    int before = pty_frames(p);

    for (int i = 0; i < 120; i++) {
        pty_send(p, "n");
        pty_pump(p, 0);
    }
    assert_true(pty_wait_frames(p, before + 120));
    check_output(p);
    quit(p);
}

/* Nothing changed, nothing is sent; a redraw sends all again. */
static void
test_same(void **state)
{
    struct pty *p = start_ready(60, 10);
    struct grid g;
    int cx, cy;
    size_t had, has;

    grid_init(&g, 60, 10);
    for (unsigned n = 1; n <= 8; n++)
        scene_draw(&g, n, &cx, &cy);
    pty_send(p, "nnnnnnnn");
    assert_true(pty_wait_text(p, "#8 "));
    pty_quiet(p, 100);
    pty_log(p, &had);
    pty_send(p, "uuu");
    pty_quiet(p, 200);
    pty_log(p, &has);
    assert_int_equal(has, had);
    /* after a commit of an input method only the caret's row */
    pty_send(p, "渡");
    assert_true(pty_wait_frames(p, pty_frames(p) + 1));
    check_screen(p, &g, 8);
    check_caret(p, cx, cy);
    pty_log(p, &has);
    assert_in_range(has - had, 20, 60 * 4 + 60);
    had = has;
    pty_send(p, "r");
    assert_true(pty_wait_frames(p, pty_frames(p) + 1));
    check_screen(p, &g, 8);
    check_caret(p, cx, cy);
    pty_log(p, &has);
    assert_true(has - had > 200);
    grid_finish(&g);
    quit(p);
}

/* --- frames --- */

/* Each frame was one call of write(2), beside the two that open the screen
 * and ask for a width. */
static void
test_one_write(void **state)
{
    struct pty *p = start_ready(80, 24);
    long writes = 0, frames = 0;
    int y;
    char *row;

    for (int i = 0; i < 20; i++) {
        int before = pty_frames(p);

        pty_send(p, "n");
        assert_true(pty_wait_frames(p, before + 1));
    }
    pty_quiet(p, 50);
    quit(p);
    p = start_ready(80, 24);
    for (int i = 0; i < 20; i++) {
        char key[2] = { (char)('A' + i), 0 }, want[20];

        pty_send(p, key);
        snprintf(want, sizeof want, "key %s;", key);
        assert_true(pty_wait_text(p, want));
    }
    y = pty_find(p, "writes ", NULL);
    assert_true(y >= 0);
    row = pty_row(p, y);
    assert_int_equal(sscanf(row, "writes %ld frames %ld", &writes, &frames), 2);
    assert_true(frames >= 20);
    assert_int_equal(writes, frames + 2);
    free(row);
    quit(p);
}

static void
test_widths(void **state)
{
    struct pty *p = start_ready(80, 24);

    assert_true(pty_wait_text(p, "amb 1;")); /* the emulator has said so */
    quit(p);
    p = start(80, 24, NULL, "-amb", "2");
    assert_true(pty_wait_text(p, "amb 2;"));
    quit(p);
}

/* A terminal that does not answer, or answers when nobody waits any more. */
static void
test_mute(void **state)
{
    struct pty *p = start(80, 24, NULL, NULL, NULL);

    pty_mute(p);
    assert_true(pty_wait_text(p, "amb 1;"));
    pty_send(p, "\033[2;3R");
    pty_send(p, "A");
    assert_true(pty_wait_text(p, "key A;"));
    assert_false(pty_shows(p, "key R;"));
    pty_send(p, "r"); /* asked again, in vain: the late answer holds */
    assert_true(pty_wait_text(p, "amb 2;"));
    quit(p);
}

/* Keys that come while the answer is waited for are keys. */
static void
test_typed_ahead(void **state)
{
    struct pty *p = start(80, 24, NULL, NULL, NULL);

    pty_mute(p);
    pty_send(p, "\033[1;5C");
    assert_true(pty_wait_text(p, "key Ctrl-Right;"));
    quit(p);
}

/* --- keys and pastes --- */

static void
test_keys(void **state)
{
    static const struct {
        const char *bytes, *shown;
    } row[] = { { "\033[1;3D", "key Alt-Left;" }, { "\003", "key Ctrl-C;" },
                { "\032", "key Ctrl-Z;" },        { "\021", "key Ctrl-Q;" },
                { "\r", "key Enter;" },           { "\n", "key Ctrl-J;" },
                { "渡口", "key 渡口;" },          { "\033", "key Esc;" },
                { "\033OP", "key F1;" } };
    struct pty *p = start_ready(80, 24);

    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        pty_send(p, row[i].bytes);
        assert_true(pty_wait_text(p, row[i].shown));
    }
    check_output(p);
    quit(p);
}

static void
test_paste(void **state)
{
    enum { SIZE = 10 << 20 };
    struct pty *p = start_ready(80, 24);
    char *s = malloc(SIZE), want[60];
    unsigned sum = 0;

    for (size_t i = 0; i < SIZE; i++) {
        s[i] = (char)(i * 31 + i / 7);
        sum = sum * 31 + (unsigned char)s[i];
    }
    assert_true(pty_send(p, "\033[200~"));
    assert_true(pty_send_bytes(p, s, SIZE));
    assert_true(pty_send(p, "\033[201~"));
    snprintf(want, sizeof want, "paste %d %u;", SIZE, sum);
    assert_true(pty_wait_text(p, want));
    pty_send(p, "A");
    assert_true(pty_wait_text(p, "key A;"));
    pty_send(p, "\033[200~without an end");
    assert_true(pty_wait_text(p, "paste 14 "));
    free(s);
    quit(p);
}

/* --- looks --- */

static void
look_of(struct pty *p, const char *s, struct pty_look *l)
{
    int x = 0, y = pty_find(p, s, &x);

    assert_true(y >= 0);
    pty_look(p, x, y, l);
}

static void
test_colors(void **state)
{
    struct theme ink;
    struct pty_look l;
    struct pty *p = start_ready(80, 24);

    theme_default(&ink);
    look_of(p, "writes", &l);
    assert_int_equal(l.fg,
                     0x1000000 + theme_rgb_to_256(ink.look[STYLE_MODEL].fg));
    assert_int_equal(l.bg, -1);
    quit(p);

    p = start(80, 24, NULL, "-true", NULL);
    assert_true(pty_wait_text(p, "ready;"));
    look_of(p, "writes", &l);
    assert_int_equal(l.fg, ink.look[STYLE_MODEL].fg);
    look_of(p, "ready", &l);
    assert_int_equal(l.bg, ink.look[STYLE_STATUS].bg);
    pty_send(p, "t");
    pty_send(p, "A");
    assert_true(pty_wait_text(p, "key A;"));
    look_of(p, "writes", &l);
    assert_int_equal(l.fg, 0x123456);
    quit(p);

    p = start(80, 24, NULL, "-16", NULL);
    assert_true(pty_wait_text(p, "ready;"));
    look_of(p, "writes", &l);
    assert_int_equal(l.fg, 0x1000000 + ink.look[STYLE_MODEL].fg16);
    quit(p);

    p = start(80, 24, NULL, "-none", NULL);
    assert_true(pty_wait_text(p, "ready;"));
    look_of(p, "writes", &l);
    assert_int_equal(l.fg, -1);
    look_of(p, "ready", &l);
    assert_true(l.reverse);
    assert_int_equal(l.bg, -1);
    quit(p);
}

/* --- sizes --- */

static void
test_resize(void **state)
{
    struct pty *p = start_ready(80, 24);
    uint32_t rnd = 5;
    char want[40];

    for (int i = 0; i < 300; i++) {
        pty_resize(p, 1 + (int)scene_rnd(&rnd, i % 10 ? 150 : 1000),
                   1 + (int)scene_rnd(&rnd, i % 10 ? 50 : 1000));
        if (i % 7 == 0)
            pty_pump(p, 5);
        if (i % 11 == 0)
            pty_send(p, "n");
    }
    pty_resize(p, 1, 1);
    pty_pump(p, 50);
    pty_resize(p, 100, 30);
    pty_send(p, "r");
    pty_quiet(p, 200);
    quit(p);

    p = start_ready(80, 24);
    pty_resize(p, 100, 30);
    snprintf(want, sizeof want, "size 100x30");
    assert_true(pty_wait_text(p, want));
    pty_resize(p, 50, 10);
    assert_true(pty_wait_text(p, "size 50x10"));
    quit(p);
}

/* --- the way out --- */

static bool
modes_equal(const struct termios *a, const struct termios *b)
{
    return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag &&
           a->c_cflag == b->c_cflag && a->c_lflag == b->c_lflag &&
           memcmp(a->c_cc, b->c_cc, sizeof a->c_cc) == 0;
}

/* Runs the program under a shell, so that the terminal outlives it. */
static struct pty *
start_in_shell(struct termios *before)
{
    char cmd[4200];
    const char *draw = getenv("JIELONG_TEST_DRAW");
    const char *const argv[] = { "/bin/sh", "-c", cmd, NULL };
    struct pty *p;

    snprintf(cmd, sizeof cmd,
             "echo before; read x; '%s'; echo \"after $?\"; read x",
             draw ? draw : "tests/term_draw");
    p = pty_start(argv, 80, 24, NULL);
    assert_true(pty_wait_text(p, "before"));
    assert_true(pty_modes(p, before));
    pty_send(p, "\n");
    assert_true(pty_wait_text(p, "ready;"));
    return p;
}

static void
check_restored(struct pty *p, const struct termios *before, const char *after)
{
    struct termios now;
    bool visible;
    int x, y;

    assert_true(pty_wait_text(p, after));
    assert_true(pty_modes(p, &now));
    assert_true(modes_equal(before, &now));
    assert_false(pty_alternate(p));
    assert_true(pty_shows(p, "before")); /* the screen that was there */
    assert_false(pty_shows(p, "ready;"));
    pty_cursor(p, &x, &y, &visible);
    assert_true(visible);
    pty_send(p, "\n");
    assert_int_equal(pty_end(p), 0);
    pty_free(p);
}

/* The program in the foreground of the shell: its only child. */
static pid_t
child_of(pid_t shell)
{
    char path[80];
    int pid = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)shell,
             (int)shell);
    f = fopen(path, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%d", &pid), 1);
    fclose(f);
    return pid;
}

static void
test_restored(void **state)
{
    struct termios before, raw;
    struct pty *p = start_in_shell(&before);

    assert_true(pty_alternate(p));
    assert_true(pty_modes(p, &raw));
    assert_false(raw.c_lflag & (ICANON | ECHO | ISIG));
    pty_send(p, "q");
    check_restored(p, &before, "after 0");

    p = start_in_shell(&before);
    kill(child_of(pty_pid(p)), SIGTERM);
    check_restored(p, &before, "after 143");

    p = start_in_shell(&before);
    pty_send(p, "x"); /* abort() */
    check_restored(p, &before, "after 134");
}

/* Under a shell with job control, as a writer has it. */
static void
test_suspend(void **state)
{
    char cmd[4200];
    const char *draw = getenv("JIELONG_TEST_DRAW");
    const char *const argv[] = { "/bin/sh", "-c", cmd, NULL };
    struct termios before, now;
    struct pty *p;

    snprintf(cmd, sizeof cmd,
             "set -m; echo before; read x; '%s'; echo stopped $?; read x; "
             "fg >/dev/null; echo after $?; read x",
             draw ? draw : "tests/term_draw");
    p = pty_start(argv, 80, 24, NULL);
    assert_true(pty_wait_text(p, "before"));
    assert_true(pty_modes(p, &before));
    pty_send(p, "\n");
    assert_true(pty_wait_text(p, "ready;"));
    pty_send(p, "z");
    assert_true(pty_wait_text(p, "stopped"));
    assert_true(pty_modes(p, &now));
    assert_true(modes_equal(&before, &now));
    assert_false(pty_alternate(p));
    assert_true(pty_shows(p, "before"));
    pty_send(p, "\n");
    assert_true(pty_wait_text(p, "back;"));
    assert_true(pty_alternate(p));
    assert_true(pty_shows(p, "writes"));
    pty_send(p, "A");
    assert_true(pty_wait_text(p, "key A;"));
    pty_send(p, "q");
    check_restored(p, &before, "after 0");
}

/* The terminal is closed under it (SIGHUP is ignored by term_draw): it ends by
 * itself, idle as in the midst of its work. */
static void
test_dead(void **state)
{
    for (int busy = 0; busy < 2; busy++) {
        struct pty *p = start_ready(80, 24);
        int end;

        for (int i = 0; busy && i < 300; i++)
            pty_send(p, "n");
        pty_hang_up(p);
        end = pty_end(p);
        assert_true(end == 7 || end == 8);
        pty_free(p);
    }
}

/* --- who is refused --- */

static void
test_refused(void **state)
{
    static const char *const unknown[] = { "TERM=no-such-terminal", NULL };
    static const char *const dumb[] = { "TERM=dumb", NULL };
    static const char *const no_utf8[] = { "LC_ALL=C", NULL };
    static const struct {
        const char *const *env;
        const char *said;
    } row[] = { { unknown, "TERM=no-such-terminal: " },
                { dumb, "TERM=dumb: " },
                { no_utf8, "no UTF-8 locale: " } };

    for (int i = 0; i < 3; i++) {
        struct pty *p = start(80, 24, row[i].env, NULL, NULL);
        struct termios tio;

        assert_int_equal(pty_end(p), 3);
        assert_true(pty_wait_text(p, row[i].said));
        assert_false(pty_alternate(p));
        if (pty_modes(p, &tio))
            assert_true(tio.c_lflag & ICANON);
        pty_free(p);
    }
}

/* terminfo names no size for the console of Linux; we know it ourselves. */
static void
test_console(void **state)
{
    static const char *const env[] = { "TERM=linux", NULL };
    struct pty *p = start(60, 20, env, NULL, NULL);

    assert_true(pty_wait_frames(p, 1));
    pty_free(p);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_console),   cmocka_unit_test(test_scenes),
        cmocka_unit_test(test_evil),      cmocka_unit_test(test_same),
        cmocka_unit_test(test_one_write), cmocka_unit_test(test_widths),
        cmocka_unit_test(test_mute),      cmocka_unit_test(test_typed_ahead),
        cmocka_unit_test(test_keys),      cmocka_unit_test(test_paste),
        cmocka_unit_test(test_colors),    cmocka_unit_test(test_resize),
        cmocka_unit_test(test_restored),  cmocka_unit_test(test_suspend),
        cmocka_unit_test(test_dead),      cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests_name("term", tests, NULL, NULL);
}
