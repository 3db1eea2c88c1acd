/* tests/config_test.c  The config file: what it sets, what it warns about. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "src/config.h"

static void
read_text(struct config *c, const char *text)
{
    FILE *in = fmemopen((void *)(uintptr_t)text, strlen(text), "r");

    assert_non_null(in);
    config_init(c);
    config_read_stream(c, in, "config");
    fclose(in);
}

/* The one warning there is names its line and holds this. */
static void
assert_warns(const char *text, const char *line, const char *what)
{
    struct config c;

    read_text(&c, text);
    if (c.n_warnings != 1)
        fail_msg("%zu warnings for: %s", c.n_warnings, text);
    assert_null(c.warnings[1]);
    if (!strstr(c.warnings[0], line) || !strstr(c.warnings[0], what))
        fail_msg("\"%s\" holds not both \"%s\" and \"%s\"", c.warnings[0], line,
                 what);
    config_finish(&c);
}

static void
everything_is_read(void **state)
{
    struct config c;

    read_text(&c, "\xEF\xBB\xBF# mine\n"
                  "model = /models/大 模型\n"
                  "theme=paper\n"
                  "fast = yes\n"
                  "  ambiwidth : 2\r\n"
                  "lang = zh\n"
                  "color = 256\n"
                  "\n"
                  "[knobs]\n"
                  "temp = inf\n"
                  "  top_k = 7 ; a comment\n"
                  "stop-at = paragraph\n"
                  "seed = 18446744073709551615\n");
    assert_int_equal(c.n_warnings, 0);
    assert_null(c.warnings[0]);
    assert_string_equal(c.model, "/models/大 模型");
    assert_string_equal(c.theme, "paper");
    assert_string_equal(c.lang, "zh");
    assert_string_equal(c.color, "256");
    assert_int_equal(c.ambiwidth, 2);
    assert_true(c.fast);
    assert_true(c.knobs.temp > 1e300);
    assert_int_equal(c.knobs.top_k, 7);
    assert_int_equal(c.knobs.stop_at, STOP_AT_PARAGRAPH);
    assert_true(c.knobs.seed == UINT64_MAX && !c.knobs.seed_random);
    assert_true(c.knob_set[KNOB_TEMP] && c.knob_set[KNOB_TOP_K]);
    assert_false(c.knob_set[KNOB_TOP_P]);
    config_finish(&c);
}

static void
nothing_is_read_from_nothing(void **state)
{
    struct config c;
    struct knobs k;

    knobs_default(&k);
    config_init(&c);
    config_read_file(&c, "/nowhere/at/all");
    assert_int_equal(c.n_warnings, 0);
    assert_null(c.model);
    assert_false(c.fast);
    assert_true(knobs_equal(&c.knobs, &k));
    config_finish(&c);
}

static void
what_is_wrong_is_named_with_its_line(void **state)
{
    assert_warns("theme = ink\n\nthema = ink\n", "line 3", "thema");
    assert_warns("[knobs]\ntemp = 0.5\ntemp = 9\n", "line 3", "9");
    assert_warns("[knobs]\ntemperatur = 1\n", "line 2", "temperature");
    assert_warns("[knobs]\nzzzzzz = 1\n", "line 2", "zzzzzz");
    assert_warns("temp = 1\n", "line 1", "[knobs]");
    assert_warns("[colours]\nred = 1\n", "line 2", "colours");
    assert_warns("color = blue\n", "line 1", "blue");
    assert_warns("ambiwidth = 3\n", "line 1", "auto");
    assert_warns("lang = fr\n", "line 1", "fr");
    assert_warns("cache = 8\n", "line 1", "500M");
    assert_warns("fast = quite\n", "line 1", "yes, no");
    assert_warns("# a\nrubbish\n", "line 2", "NAME");
    assert_warns("[knobs\n", "line 1", "]");
}

static void
a_bad_value_changes_nothing(void **state)
{
    struct config c;

    read_text(&c, "theme = ink\n[knobs]\ntop-p = 0.5\ntop-p = 2\nx = 1\n"
                  "top-k = 3\n");
    assert_int_equal(c.n_warnings, 2);
    assert_true(c.knobs.top_p == 0.5);
    assert_int_equal(c.knobs.top_k, 3);
    config_finish(&c);
}

static void
a_long_line_is_named_and_left_out(void **state)
{
    char text[2000];
    struct config c;
    size_t n = (size_t)sprintf(text, "theme = ");

    memset(text + n, 'x', 1000);
    strcpy(text + n + 1000, "\nlang = en\nrubbish\n");
    read_text(&c, text);
    assert_int_equal(c.n_warnings, 2);
    assert_non_null(strstr(c.warnings[0], "line 1"));
    assert_non_null(strstr(c.warnings[1], "line 3"));
    assert_null(c.theme);
    assert_string_equal(c.lang, "en");
    config_finish(&c);
}

static void
any_bytes_are_survived(void **state)
{
    uint32_t seed = 1;

    for (int round = 0; round < 2000; round++) {
        static const char some[] = "[]=:;#\n\r\t kno bstemp0.9\xE4\xFF\"\\/";
        char text[64];
        struct config c;
        size_t n = 0;

        while (n < sizeof text - 1) {
            seed = seed * 1664525u + 1013904223u;
            text[n++] = some[(seed >> 16) % (sizeof some - 1)];
        }
        text[n] = '\0';
        read_text(&c, text);
        assert_null(c.warnings[c.n_warnings]);
        config_finish(&c);
    }
}

static void
a_home_path_is_opened_up(void **state)
{
    struct config c;

    setenv("HOME", "/home/me", 1);
    read_text(&c, "model = ~/models/x\n");
    assert_string_equal(c.model, "/home/me/models/x");
    config_finish(&c);
}

static void
a_folder_is_told(void **state)
{
    struct config c;

    config_init(&c);
    config_read_file(&c, "/tmp");
    assert_int_equal(c.n_warnings, 1);
    assert_non_null(strstr(c.warnings[0], "/tmp"));
    config_finish(&c);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_read),
        cmocka_unit_test(nothing_is_read_from_nothing),
        cmocka_unit_test(what_is_wrong_is_named_with_its_line),
        cmocka_unit_test(a_bad_value_changes_nothing),
        cmocka_unit_test(a_long_line_is_named_and_left_out),
        cmocka_unit_test(any_bytes_are_survived),
        cmocka_unit_test(a_home_path_is_opened_up),
        cmocka_unit_test(a_folder_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
