/* tests/cli_test.c  The real program: plain questions, bad input, and the
 * commands for engineers, stories and the cache. */
#include <sys/stat.h>

#include <jansson.h>

#include "src/cli.h"
#include "src/cli_options.h"
#include "src/storyfile.h"

#include "tests/program.h"

/* --- plain questions --- */

static void
it_tells_about_itself(void **state)
{
    struct result r = run("--version");

    assert_status(&r, 0);
    assert_int_equal(strncmp(r.out, "jielong ", 8), 0);
    assert_string_equal(r.err, "");
    done(&r);
    r = run("--help");
    assert_status(&r, 0);
    assert_non_null(strstr(r.out, "Examples:"));
    assert_non_null(strstr(r.out, "--temperature"));
    assert_non_null(strstr(r.out, "export STORY.jl"));
    done(&r);
    r = run("--help|--lang|zh");
    assert_status(&r, 0);
    assert_non_null(strstr(r.out, "例子："));
    done(&r);
    setenv("LANG", "zh_CN.UTF-8", 1);
    r = run("-h");
    assert_non_null(strstr(r.out, "例子："));
    done(&r);
    r = run("--paths");
    assert_status(&r, 0);
    assert_non_null(strstr(r.out, dir));
    assert_non_null(strstr(r.out, "themes"));
    done(&r);
    r = run("--version|export");
    assert_status(&r, 0);
    assert_int_equal(strncmp(r.out, "jielong ", 8), 0);
    done(&r);
    r = run("--lang|en|--help|export");
    assert_status(&r, 0);
    assert_non_null(strstr(r.out, "jielong export STORY.jl"));
    done(&r);
    r = run("export|--help");
    assert_status(&r, 0);
    assert_non_null(strstr(r.out, "export"));
    done(&r);
}

/* --- bad input: status, and a piece of the sentence in both languages --- */

static const struct {
    const char *args;
    int status;
    const char *en, *zh;
} bad[] = {
    { "--tmep|1", 2, "did you mean --temp?", "是不是 --temp？" },
    { "--tempersture=1", 2, "did you mean --temperature?", "--temperature" },
    { "--xyzzyxyzzy", 2, "no option --xyzzyxyzzy", "没有 --xyzzyxyzzy" },
    { "-Z", 2, "no option -Z", "没有 -Z" },
    { "--temp", 2, "--temp needs a value", "--temp 后面要有一个值" },
    { "-n", 2, "-n needs a value", "-n 后面要有一个值" },
    { "--json=yes", 2, "--json takes no value", "--json 不带值" },
    { "-p|x|--temp|9", 2, "temperature", "这个值不合适" },
    { "-p|x|--top-p|half", 2, "half", "half" },
    { "-p|x|--seed|-1", 2, "seed", "seed" },
    { "-p|x|--stop-at|end", 2, "end", "end" },
    { "-p|x|--order|top-k,sideways", 2, "sideways", "sideways" },
    { "-p|x|-n|0", 2, "length", "length" },
    { "-p|x|-k|0", 2, "from 1 to 1000", "1 到 1000" },
    { "-p|x|-k|many", 2, "\"many\"", "“many”" },
    { "-p|x|story.jl", 2, "one of the two", "只能选一样" },
    { "a.jl|b.jl", 2, "one story at a time", "一次只开一个故事" },
    { "exprot|a.jl", 2, "did you mean export?", "是不是 export？" },
    { "--color|red|-p|x", 2, "--color is one of", "--color 只能是" },
    { "--ambiwidth|3|-p|x", 2, "auto, 1, 2", "auto, 1, 2" },
    { "a.jl", 3, "needs a terminal", "页面需要终端" },
    { "", 3, "no terminal for the page", "没有终端可以打开页面" },
    { "a.jl|--json", 2, "--json goes with -p", "--json 要与 -p" },
    { "-p|x|-m|/no/such/model", 3, "/no/such/model", "模型写不了" },
    { "-p|x|-m|no-such-name", 3, "no-such-name", "no-such-name" },
    { "-p|x|-m|$D", 3, "the model cannot write", "模型写不了" },
    { "-p|x|-m|$D/empty.safetensors", 3, "empty", "empty" },
    { "export", 2, "export which story?", "导出哪个故事？" },
    { "export|-x|a.jl", 2, "no option -x", "没有 -x" },
    { "export|a.jl|-o", 2, "-o needs a value", "-o 后面要有一个值" },
    { "export|a.jl|-o|a.pdf", 2, "neither in .txt nor in .md", "既不是 .txt" },
    { "export|a.jl|b.jl", 2, "one story at a time", "一次只开一个故事" },
    { "--lang=en|--json|replay|$D/missing.jl", 4, "missing.jl", "missing.jl" },
    { "-m|x|replay|--vocab=y|$D/missing.jl", 4, "missing.jl", "missing.jl" },
    { "--json|--temp|1|replay|a.jl", 2, "replay has no option --temp",
      "replay 没有 --temp" },
    { "-t1|cache|clear", 2, "clear and the name of one model", "cache" },
    { "--lang|fr|replay|a.jl", 2, "--lang is one of", "--lang is one of" },
    { "-p|export|-k|0", 2, "from 1 to 1000", "1 到 1000" },
    { "export|$D/missing.jl", 4, "missing.jl", "打不开这个故事" },
    { "export|$D/prose.jl", 4, "prose.jl", "打不开这个故事" },
};

static void
assert_one_sentence(const struct result *r, const char *args, int status,
                    const char *piece)
{
    const char *end = strchr(r->err, '\n');

    if (r->status != status)
        fail_msg("%s: exit status %d, not %d: %s", args, r->status, status,
                 r->err);
    if (strncmp(r->err, "jielong: ", 9) || !end || end[1])
        fail_msg("%s: not one sentence: %s", args, r->err);
    if (!strstr(r->err, piece))
        fail_msg("%s: no \"%s\" in: %s", args, piece, r->err);
    if (*r->out)
        fail_msg("%s: wrote to stdout: %s", args, r->out);
}

static void
bad_input_is_told_in_one_sentence(void **state)
{
    put_file("empty.safetensors", "", 0);
    put_file("prose.jl", "no story\n", 9);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct result r;

        setenv("LANG", "en_US.UTF-8", 1);
        r = run(bad[i].args);
        assert_one_sentence(&r, bad[i].args, bad[i].status, bad[i].en);
        done(&r);
        setenv("LANG", "zh_CN.UTF-8", 1);
        r = run(bad[i].args);
        assert_one_sentence(&r, bad[i].args, bad[i].status, bad[i].zh);
        done(&r);
    }
}

static void
no_model_at_all_is_told(void **state)
{
    struct result r;

    setenv("JIELONG_DATA", dir, 1);
    r = run("-p|x");
    assert_one_sentence(&r, "-p x", 3, "-m MODEL");
    done(&r);
}

static void
any_locale_does(void **state)
{
    struct result r;

    setenv("LC_ALL", "POSIX", 1);
    r = run("--lang|zh|--tmep");
    assert_one_sentence(&r, "--lang zh --tmep", 2, "没有 --tmep 这个选项");
    done(&r);
    setenv("LC_ALL", "xx_YY.nothing", 1);
    r = run("--tmep");
    assert_one_sentence(&r, "--tmep", 2, "there is no option");
    done(&r);
}

/* --- engineers --- */

static void
a_model_is_converted_and_measured(void **state)
{
    struct result r = run("convert|--shape|2x64x4x300|$D/m.gguf|--type|q4_0");
    json_t *told;

    assert_status(&r, 0);
    assert_int_equal(r.n_out, 0);
    done(&r);
    r = run("convert|$D/m.gguf|$D/m.gguf");
    assert_status(&r, 2);
    assert_non_null(strstr(r.err, "--force"));
    done(&r);
    r = run("bench|$D/m.gguf|--type|int4|--threads|1|--rounds|1|--json");
    assert_status(&r, 0);
    told = json_loads(r.out, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(told, "type")),
                        "int4");
    assert_true(json_number_value(json_array_get(
                    json_object_get(told, "decode"), 0)) > 0);
    assert_true(json_number_value(json_array_get(
                    json_object_get(told, "late_share"), 0)) > 0);
    assert_true(json_integer_value(json_object_get(told, "peak_bytes")) >
                json_integer_value(json_object_get(told, "weight_bytes")));
    json_decref(told);
    done(&r);
    r = run("bench|--shape|2x64x5x300");
    assert_status(&r, 2);
    assert_non_null(strstr(r.err, "there is no shape"));
    done(&r);
}

/* --- stories --- */

/* A story of one writer's step; NAME.jl in the folder. */
static char *
make_story(const char *name, const char *text)
{
    struct storyfile_options opt = { .create = true };
    struct story_op op = { .type = OP_EDIT, .s = text, .len = strlen(text) };
    struct err err = { 0 };
    char *path = inside(name);
    struct storyfile *f = storyfile_open(path, &opt, &err);

    if (!f)
        fail_msg("%s", err.msg);
    assert_true(story_apply(storyfile_story(f), &op, &err));
    storyfile_close(f);
    return path;
}

static void
assert_file(const char *name, const char *want)
{
    char *path = inside(name), *have;
    struct err err = { 0 };
    size_t len;

    if (!file_read(path, 1 << 20, &have, &len, &err))
        fail_msg("%s", err.msg);
    assert_string_equal(have, want);
    free(have);
    free(path);
}

static void
a_story_comes_out_again(void **state)
{
    char *path = make_story("渡口.jl", "渡口的灯灭了。\n他等的人没有来。");
    struct result r = run("export|$D/渡口.jl");

    assert_status(&r, 0);
    assert_string_equal(r.err, "");
    assert_string_equal(r.out, "渡口的灯灭了。\n他等的人没有来。");
    done(&r);
    r = run("export|$D/渡口.jl|-o|$D/a.txt");
    assert_status(&r, 0);
    assert_string_equal(r.out, "");
    assert_file("a.txt", "渡口的灯灭了。\n他等的人没有来。");
    done(&r);
    r = run("export|-o|$D/a.md|$D/渡口.jl");
    assert_status(&r, 0);
    done(&r);
    {
        char *md = inside("a.md"), *text;
        size_t len;

        assert_true(file_read(md, 1 << 20, &text, &len, NULL));
        assert_non_null(strstr(text, "渡口的灯灭了。"));
        assert_non_null(strstr(text, "\n\n他等的人没有来。"));
        free(text);
        free(md);
    }
    r = run("export|$D/渡口.jl|-o|$D/no/such/folder/a.txt");
    assert_status(&r, 1);
    assert_non_null(strstr(r.err, "cannot be written"));
    done(&r);
    free(path);
}

static void
a_torn_story_is_exported_and_told(void **state)
{
    char *path = make_story("s.jl", "渡口");
    struct stat before, after;
    struct result r;
    FILE *f = fopen(path, "a");

    assert_non_null(f);
    fputs("{\"n\":99,\"t\":\"ed", f);
    fclose(f);
    assert_int_equal(stat(path, &before), 0);
    r = run("export|$D/s.jl");
    assert_status(&r, 0);
    assert_string_equal(r.out, "渡口");
    assert_int_equal(strncmp(r.err, "jielong: ", 9), 0);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_size, after.st_size); /* never by reading */
    done(&r);
    free(path);
}

/* What a name on the command line means. */
static void
assert_choice(const char *name, int status, const char *story,
              const char *import_from)
{
    struct page_request page = { 0 };
    int got = cli_choose_story(name, &page);

    if (got != status)
        fail_msg("%s: status %d, not %d", name ? name : "(none)", got, status);
    if (!story != !page.story || (story && strcmp(page.story, story)))
        fail_msg("%s: story %s", name, page.story ? page.story : "(none)");
    if (!import_from != !page.import_from ||
        (import_from && strcmp(page.import_from, import_from)))
        fail_msg("%s: imports %s", name,
                 page.import_from ? page.import_from : "nothing");
    free(page.story);
    free(page.import_from);
    free(page.note);
}

static void
a_name_means_a_story(void **state)
{
    assert_int_equal(chdir(dir), 0);
    assert_choice("new.jl", EXIT_OK, "new.jl", NULL);
    assert_choice("渡口", EXIT_OK, "渡口.jl", NULL);
    assert_choice("missing.txt", EXIT_STORY, NULL, NULL);
    assert_choice("", EXIT_USAGE, NULL, NULL);
    assert_choice(".", EXIT_STORY, NULL, NULL);
    put_file("a.txt", "text\n", 5);
    assert_choice("a.txt", EXIT_OK, "a.jl", "a.txt");
    put_file("b.md", "odd \xE4 bytes", 11);
    assert_choice("b.md", EXIT_OK, "b.jl", "b.md");
    put_file("c.notes", "text", 4);
    assert_choice("c.notes", EXIT_OK, "c.notes.jl", "c.notes");
    put_file("d.txt", "nul \0 byte", 10);
    assert_choice("d.txt", EXIT_STORY, NULL, NULL);
    free(make_story("e.jl", "x"));
    put_file("e.txt", "text\n", 5);
    assert_choice("e.txt", EXIT_OK, "e.jl", NULL); /* never written over */
    assert_choice("e", EXIT_OK, "e.jl", NULL);
    assert_int_equal(rename("e.jl", "renamed"), 0);
    assert_choice("renamed", EXIT_OK, "renamed", NULL);
}

static void
the_cache_is_listed_and_cleared(void **state)
{
    char *cache = inside("cache"), *text = inside("config");
    struct result r;

    setenv("XDG_CACHE_HOME", cache, 1);
    setenv("JIELONG_CONFIG", text, 1);
    put_file("config", "cache = 3G\n", 11);
    r = run("cache|--lang|en");
    assert_status(&r, EXIT_OK);
    assert_non_null(strstr(r.out, "at most 3.00 GB"));
    done(&r);
    put_file("config", "cache = off\n", 12);
    r = run("cache|--lang|en");
    assert_non_null(strstr(r.out, "switched off"));
    done(&r);
    r = run("cache|clear");
    assert_status(&r, EXIT_OK);
    done(&r);
    r = run("cache|clear|no-such-model");
    assert_status(&r, EXIT_FAILED);
    assert_non_null(strstr(r.err, "no-such-model"));
    assert_true(r.n_out == 0);
    done(&r);
    r = run("cache|clean");
    assert_status(&r, EXIT_USAGE);
    done(&r);
    r = run("cache|clear|one|two");
    assert_status(&r, EXIT_USAGE);
    done(&r);
    unsetenv("JIELONG_CONFIG");
    unsetenv("XDG_CACHE_HOME");
    free(text);
    free(cache);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_tells_about_itself),
        TEST(bad_input_is_told_in_one_sentence),
        TEST(no_model_at_all_is_told),
        TEST(any_locale_does),
        TEST(a_model_is_converted_and_measured),
        TEST(a_story_comes_out_again),
        TEST(a_torn_story_is_exported_and_told),
        TEST(a_name_means_a_story),
        TEST(the_cache_is_listed_and_cleared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
