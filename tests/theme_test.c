/* Themes: the two that are shipped, broken ones, and colours made smaller. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ui/theme.h"

static void
test_shipped(void **state)
{
    struct theme ink, paper, built_in;
    struct err err;

    assert_true(theme_load(&ink, "ink", &err));
    assert_int_equal(err.kind, ERR_NONE);
    assert_true(theme_load(&paper, "paper", &err));
    assert_int_equal(err.kind, ERR_NONE);
    theme_default(&built_in);
    for (int i = 0; i < STYLE_COUNT; i++) {
        const struct style_look *a = &ink.look[i], *b = &built_in.look[i];

        if (a->fg != b->fg || a->bg != b->bg || a->fg16 != b->fg16 ||
            a->bg16 != b->bg16 || a->attr != b->attr || a->mono != b->mono)
            fail_msg("ink.theme and theme.c differ: %s", style_names[i]);
    }
    assert_string_equal(ink.name, "ink");
    /* the writer's own colour, in both; bold without colours */
    assert_int_equal(paper.look[STYLE_TEXT].fg, THEME_DEFAULT);
    assert_int_equal(paper.look[STYLE_TEXT].mono, ATTR_BOLD);
    assert_int_equal(paper.look[STYLE_MODEL].mono, 0);
    assert_int_not_equal(paper.look[STYLE_MODEL].fg, ink.look[STYLE_MODEL].fg);
}

static bool
load(const char *content, struct theme *t, struct err *err)
{
    char path[] = "/tmp/jielong-theme-XXXXXX";
    int fd = mkstemp(path);
    bool ok;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    close(fd);
    ok = theme_load(t, path, err);
    unlink(path);
    return ok;
}

static void
test_faults(void **state)
{
    struct theme t, def;
    struct err err;

    theme_default(&def);
    assert_true(load("[model]\nfg = #102030\nattr = italic, bold\n"
                     "[modle]\nfg = #ffffff\n"
                     "[hint]\ncolour = red\nfg = grey\nfg16 = 16\n",
                     &t, &err));
    assert_int_equal(err.kind, ERR_USAGE);
    assert_non_null(strstr(err.msg, "5: modle"));
    assert_non_null(strstr(err.msg, "7: colour"));
    assert_non_null(strstr(err.msg, "8: grey"));
    assert_int_equal(t.look[STYLE_MODEL].fg, 0x102030);
    assert_int_equal(t.look[STYLE_MODEL].fg16, 0); /* the nearest */
    assert_int_equal(t.look[STYLE_MODEL].attr, ATTR_BOLD | ATTR_ITALIC);
    assert_int_equal(t.look[STYLE_HINT].fg, def.look[STYLE_HINT].fg);
    assert_true(load("no ini at all\n", &t, &err));
    assert_int_equal(err.kind, ERR_USAGE);
    assert_true(load("", &t, &err));
    assert_int_equal(err.kind, ERR_NONE);
    assert_false(theme_load(&t, "no-such-theme", &err));
    assert_non_null(strstr(err.msg, "no-such-theme.theme"));
}

static void
test_colors(void **state)
{
    assert_int_equal(theme_rgb_to_256(0xFF0000), 196);
    assert_int_equal(theme_rgb_to_256(0xD7AF87), 180);
    assert_int_equal(theme_rgb_to_256(0x080808), 232);
    assert_int_equal(theme_rgb_to_256(0xFFFFFF), 231);
    assert_int_equal(theme_rgb_to_16(0xFF0000), 9);
    assert_int_equal(theme_rgb_to_16(0x000000), 0);
}

static void
test_depth(void **state)
{
    unsetenv("NO_COLOR");
    unsetenv("COLORTERM");
    assert_int_equal(theme_depth("auto", 256), COLOR_256);
    assert_int_equal(theme_depth(NULL, 8), COLOR_16);
    assert_int_equal(theme_depth("auto", 0), COLOR_NONE);
    assert_int_equal(theme_depth("off", 256), COLOR_NONE);
    assert_int_equal(theme_depth("16", 256), COLOR_16);
    setenv("COLORTERM", "truecolor", 1);
    assert_int_equal(theme_depth("auto", 256), COLOR_TRUE);
    setenv("NO_COLOR", "1", 1);
    assert_int_equal(theme_depth("auto", 256), COLOR_NONE);
    assert_int_equal(theme_depth("256", 256), COLOR_256);
    assert_int_equal(theme_depth("always", 256), COLOR_TRUE);
    setenv("NO_COLOR", "", 1);
    assert_int_equal(theme_depth("auto", 256), COLOR_TRUE);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shipped),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_colors),
        cmocka_unit_test(test_depth),
    };

    return cmocka_run_group_tests_name("theme", tests, NULL, NULL);
}
