/* tests/paths_test.c  Where things are, and which language is spoken. */
#include <langinfo.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/mem.h"
#include "src/i18n.h"
#include "src/paths.h"

static char dir[64];

static void
assert_path(char *have, const char *want)
{
    assert_non_null(have);
    assert_string_equal(have, want);
    free(have);
}

static char *
inside(const char *name)
{
    return xasprintf("%s/%s", dir, name);
}

static void
touch(const char *name)
{
    char *path = inside(name);
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fclose(f);
    free(path);
}

static void
make(const char *name)
{
    char *path = inside(name);

    assert_int_equal(mkdir(path, 0700), 0);
    free(path);
}

static int
setup(void **state)
{
    static const char *const unset[] = { "JIELONG_CONFIG",  "JIELONG_DATA",
                                         "XDG_CONFIG_HOME", "XDG_DATA_HOME",
                                         "XDG_STATE_HOME",  "XDG_CACHE_HOME" };

    for (size_t i = 0; i < sizeof unset / sizeof *unset; i++)
        unsetenv(unset[i]);
    strcpy(dir, "/tmp/jielong-paths-XXXXXX");
    assert_non_null(mkdtemp(dir));
    setenv("HOME", dir, 1);
    return 0;
}

static int
teardown(void **state)
{
    char command[96];

    snprintf(command, sizeof command, "rm -r %s", dir);
    return system(command);
}

static void
homes_follow_xdg(void **state)
{
    char *want = inside(".config/jielong/config");

    assert_path(paths_config_file(), want);
    free(want);
    want = inside(".local/share/jielong");
    assert_path(paths_data_home(), want);
    free(want);
    setenv("XDG_STATE_HOME", "/s", 1);
    assert_path(paths_state_home(), "/s/jielong");
    setenv("XDG_STATE_HOME", "relative", 1); /* not valid: as if not set */
    want = inside(".local/state/jielong");
    assert_path(paths_state_home(), want);
    free(want);
    setenv("XDG_CACHE_HOME", "", 1);
    want = inside(".cache/jielong");
    assert_path(paths_cache_home(), want);
    free(want);
    setenv("JIELONG_CONFIG", "/c/mine", 1);
    assert_path(paths_config_file(), "/c/mine");
}

static void
the_build_tree_uses_the_source_tree(void **state)
{
    char *models = paths_shared("models"), *locale = paths_shared("locale");
    char *config = xasprintf("%s/jielong-zh/config.json", models);
    char *model = paths_default_model();

    assert_int_equal(access(config, R_OK), 0);
    assert_non_null(model);
    assert_non_null(strstr(locale, "/po"));
    assert_int_equal(strncmp(model, models, strlen(models)), 0);
    free(config);
    free(models);
    free(locale);
    free(model);
}

static void
the_default_model_is_the_first_by_name(void **state)
{
    char *want = inside("models/b");

    setenv("JIELONG_DATA", dir, 1);
    assert_null(paths_default_model());
    make("models");
    make("models/a"); /* no config.json: no model */
    make("models/c");
    make("models/b");
    touch("models/b/config.json");
    touch("models/c/config.json");
    assert_path(paths_default_model(), want);
    free(want);
}

static void
a_model_is_found_by_name(void **state)
{
    char *own = inside(".local/share/jielong/models/mine");
    char *shipped = inside("models/theirs");

    setenv("JIELONG_DATA", dir, 1);
    make("models");
    make("models/theirs");
    make(".local");
    make(".local/share");
    make(".local/share/jielong");
    make(".local/share/jielong/models");
    make(".local/share/jielong/models/mine");
    assert_path(paths_find_model("mine"), own);
    assert_path(paths_find_model("theirs"), shipped);
    assert_path(paths_find_model(shipped), shipped);
    assert_path(paths_find_model("nobody's"), "nobody's");
    assert_path(paths_find_model("/no/such"), "/no/such");
    free(own);
    free(shipped);
}

static void
a_new_story_takes_the_first_free_number(void **state)
{
    struct err err = { 0 };
    time_t now = time(NULL);
    char day[16], name[64], *first = paths_new_story(&err), *second;
    FILE *f;

    assert_non_null(first);
    strftime(day, sizeof day, "%Y-%m-%d", localtime(&now));
    snprintf(name, sizeof name, "stories/%s-1.jl", day);
    assert_non_null(strstr(first, name));
    assert_path(paths_new_story(&err), first); /* nothing was made yet */
    f = fopen(first, "w");
    assert_non_null(f);
    fclose(f);
    second = paths_new_story(&err);
    assert_non_null(strstr(second, "-2.jl"));
    free(first);
    free(second);
}

static void
no_place_for_stories_is_told(void **state)
{
    struct err err = { 0 };

    touch("file");
    setenv("XDG_DATA_HOME", dir, 1);
    touch("jielong");
    assert_null(paths_new_story(&err));
    assert_string_not_equal(err.msg, "");
}

static void
the_last_story_is_remembered(void **state)
{
    char *story = inside("渡 口\n.jl");

    assert_null(paths_last_story());
    touch("渡 口\n.jl");
    paths_remember_story(story);
    assert_path(paths_last_story(), story);
    assert_int_equal(chdir(dir), 0);
    touch("x.jl");
    paths_remember_story("x.jl"); /* remembered as an absolute path */
    assert_int_equal(chdir("/"), 0);
    free(story);
    story = inside("x.jl");
    assert_path(paths_last_story(), story);
    assert_int_equal(unlink(story), 0);
    assert_null(paths_last_story());
    free(story);
}

/* --- languages --- */

static void
clear_locale(void)
{
    unsetenv("LC_ALL");
    unsetenv("LC_MESSAGES");
    unsetenv("LC_CTYPE");
    unsetenv("LANG");
    unsetenv("LANGUAGE");
}

static void
the_language_is_read_by_hand(void **state)
{
    clear_locale();
    assert_true(i18n_init(NULL));
    assert_string_equal(i18n_lang(), "en");
    setenv("LANG", "zh_TW.UTF-8", 1);
    assert_true(i18n_init(NULL));
    assert_string_equal(i18n_lang(), "zh_CN");
    setenv("LC_MESSAGES", "C.UTF-8", 1);
    assert_true(i18n_init(NULL));
    assert_string_equal(i18n_lang(), "en");
    setenv("LC_ALL", "zh_CN.GB18030", 1); /* language yes, character set no */
    assert_true(i18n_init(NULL));
    assert_string_equal(i18n_lang(), "zh_CN");
    assert_string_equal(nl_langinfo(CODESET), "UTF-8");
    assert_true(i18n_init("en"));
    assert_string_equal(i18n_lang(), "en");
    setenv("LC_ALL", "POSIX", 1);
    assert_true(i18n_init(NULL));
    assert_string_equal(nl_langinfo(CODESET), "UTF-8");
    assert_string_equal(setlocale(LC_NUMERIC, NULL), "C");
}

static void
messages_come_in_the_language(void **state)
{
    clear_locale();
    assert_true(i18n_init("zh"));
    assert_string_equal(_("Examples:"), "例子：");
    assert_true(i18n_init("en"));
    assert_string_equal(_("Examples:"), "Examples:");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(homes_follow_xdg),
        TEST(the_build_tree_uses_the_source_tree),
        TEST(the_default_model_is_the_first_by_name),
        TEST(a_model_is_found_by_name),
        TEST(a_new_story_takes_the_first_free_number),
        TEST(no_place_for_stories_is_told),
        TEST(the_last_story_is_remembered),
        TEST(the_language_is_read_by_hand),
        TEST(messages_come_in_the_language),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
