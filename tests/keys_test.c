/* Names of keys there and back, bindings, full-width forms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ui/keys.h"

/* The program's table is in command.c; this test brings its own. */
const struct binding key_bindings[] = {
    { WHERE_PAGE, "Ctrl-T", "knobs" },    { WHERE_PANEL, "Ctrl-T", "leave" },
    { WHERE_ANY, "F2", "knobs" },         { WHERE_ANY, "Ctrl-L", "redraw" },
    { WHERE_PAGE, "Alt-B", "word-back" }, { WHERE_PANEL, "1", "first" },
};
const size_t n_key_bindings = sizeof key_bindings / sizeof *key_bindings;

static void
test_names(void **state)
{
    static const char *const all[] = {
        "Ctrl-R",     "Ctrl-_",   "Ctrl-@",
        "Ctrl-\\",    "Tab",      "Shift-Tab",
        "Enter",      "Esc",      "Backspace",
        "Del",        "Ins",      "Up",
        "F1",         "F12",      "Shift-F5",
        "Ctrl-Home",  "Alt-Left", "Shift-Up",
        "Alt-B",      "Space",    "Ctrl-Enter",
        "a",          "中",       "Alt-Space",
        "-",          "Alt--",    "Ctrl-Alt-Shift-PgDn",
        "Ctrl-Alt-K",
    };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct key k;
        char name[40];

        if (!key_parse(all[i], &k))
            fail_msg("%s is not understood", all[i]);
        assert_int_equal(key_name(&k, name, sizeof name), strlen(all[i]));
        assert_string_equal(name, all[i]);
    }
}

static void
test_nameless(void **state)
{
    static const char *const bad[] = { "",        "Ctrl-", "F0",   "F13", "Fx",
                                       "Hyper-A", "ab",    "\x1B", "\xE4" };
    struct key k = { .code = KEY_TEXT, .s = "ab", .len = 2 };
    char name[40];

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(key_parse(bad[i], &k));
    k = (struct key){ .code = KEY_TEXT, .s = "ab", .len = 2 };
    assert_int_equal(key_name(&k, name, sizeof name), 0);
    assert_string_equal(name, "");
    k = (struct key){ .code = KEY_NONE };
    assert_int_equal(key_name(&k, name, sizeof name), 0);
    /* Ctrl written with or without the modifier is the same key */
    k = (struct key){ .code = KEY_CTRL, .ch = 'R', .mods = MOD_CTRL };
    key_name(&k, name, sizeof name);
    assert_string_equal(name, "Ctrl-R");
}

static const char *
bound(enum key_where where, const char *name)
{
    struct key k;

    assert_true(key_parse(name, &k));
    return keys_lookup(where, &k);
}

static void
test_lookup(void **state)
{
    struct key k = { .code = KEY_TEXT, .s = "b", .len = 1, .mods = MOD_ALT };

    assert_string_equal(bound(WHERE_PAGE, "Ctrl-T"), "knobs");
    assert_string_equal(bound(WHERE_PANEL, "Ctrl-T"), "leave");
    assert_null(bound(WHERE_PROMPT, "Ctrl-T"));
    assert_string_equal(bound(WHERE_PROMPT, "F2"), "knobs");
    assert_string_equal(bound(WHERE_PANEL, "1"), "first");
    assert_null(bound(WHERE_PAGE, "1"));
    assert_string_equal(keys_lookup(WHERE_PAGE, &k), "word-back");
    assert_string_equal(keys_for(WHERE_PAGE, "knobs"), "Ctrl-T");
    assert_string_equal(keys_for(WHERE_PANEL, "knobs"), "F2");
    assert_string_equal(keys_for(WHERE_PAGE, "dance"), "");
}

static void
test_fold(void **state)
{
    char s[] = "ａ１？：／、。【￥】　中“\xE4x";
    size_t n = keys_fold_wide(s, strlen(s));

    s[n] = '\0';
    assert_string_equal(s, "a1?://.[$] 中“\xE4x");
    assert_int_equal(keys_fold_wide(s, 0), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_nameless),
        cmocka_unit_test(test_lookup),
        cmocka_unit_test(test_fold),
    };

    return cmocka_run_group_tests_name("keys", tests, NULL, NULL);
}
