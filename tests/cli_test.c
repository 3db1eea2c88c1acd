/* tests/cli_test.c  The real program, driven through pipes. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "engine/base/file.h"
#include "engine/base/mem.h"
#include "src/cli.h"
#include "src/cli_options.h"
#include "src/storyfile.h"

/* --- running it --- */

struct child {
    pid_t pid;
    int in, out, err;
};

struct result {
    char *out, *err;
    size_t n_out, n_err;
    int status; /* exit status, or 128 + signal */
};

static char dir[64];

static const char *
program(void)
{
    const char *p = getenv("JIELONG_TEST_PROGRAM");

    assert_non_null(p);
    return p;
}

/* args: words separated by '|'; "$D" at the start of a word is the folder of
 * this test. */
static void
split_args(const char *args, char **argv)
{
    char *copy = xstrdup(args), *rest = copy, *word;
    size_t n = 0;

    argv[n++] = xstrdup("jielong");
    while (*args && (word = strsep(&rest, "|")) && n < 31)
        argv[n++] = strncmp(word, "$D", 2) ? xstrdup(word)
                                           : xasprintf("%s%s", dir, word + 2);
    argv[n] = NULL;
    free(copy);
}

static struct child
start(const char *args, const char *out_file)
{
    int in[2], out[2], err[2];
    struct child c;
    char *argv[32];

    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(err, O_CLOEXEC), 0);
    split_args(args, argv);
    c.pid = fork();
    if (c.pid == 0) {
        int to = out_file ? open(out_file, O_WRONLY) : out[1];

        dup2(in[0], 0);
        dup2(to, 1);
        dup2(err[1], 2);
        execv(program(), argv);
        _exit(99);
    }
    for (size_t i = 0; argv[i]; i++)
        free(argv[i]);
    close(in[0]);
    close(out[1]);
    close(err[1]);
    c.in = in[1];
    c.out = out[0];
    c.err = err[0];
    return c;
}

static size_t
slurp(int fd, char **text)
{
    size_t len = 0, cap = 0;
    ssize_t n;

    *text = NULL;
    do {
        *text = mem_grow(*text, &cap, len + 4096, 1);
        n = read(fd, *text + len, 4095);
        len += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    (*text)[len] = '\0';
    close(fd);
    return len;
}

static int
wait_for(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static struct result
run_with(const char *args, const char *in, size_t n_in)
{
    struct child c = start(args, NULL);
    struct result r;
    size_t done;

    file_write_all(c.in, in, n_in, &done);
    close(c.in);
    r.n_out = slurp(c.out, &r.out); /* what it says on stderr is short */
    r.n_err = slurp(c.err, &r.err);
    r.status = wait_for(c.pid);
    return r;
}

static struct result
run(const char *args)
{
    return run_with(args, "", 0);
}

static void
done(struct result *r)
{
    free(r->out);
    free(r->err);
}

static void
assert_status(const struct result *r, int status)
{
    if (r->status != status)
        fail_msg("exit status %d, not %d; it said: %s", r->status, status,
                 r->err);
}

static char *
inside(const char *name)
{
    return xasprintf("%s/%s", dir, name);
}

static void
put_file(const char *name, const char *text, size_t len)
{
    char *path = inside(name);
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fwrite(text, 1, len, f);
    fclose(f);
    free(path);
}

static int
setup(void **state)
{
    static const char *const unset[] = {
        "JIELONG_CONFIG", "JIELONG_DATA",   "XDG_CONFIG_HOME", "LC_ALL",
        "XDG_DATA_HOME",  "XDG_STATE_HOME", "LC_MESSAGES",     "LANG",
        "LANGUAGE",       "NO_COLOR",
    };

    for (size_t i = 0; i < sizeof unset / sizeof *unset; i++)
        unsetenv(unset[i]);
    strcpy(dir, "/tmp/jielong-cli-XXXXXX");
    assert_non_null(mkdtemp(dir));
    setenv("HOME", dir, 1);
    setenv("LANG", "en_US.UTF-8", 1);
    signal(SIGPIPE, SIG_IGN);
    return 0;
}

static int
teardown(void **state)
{
    char command[96];

    assert_int_equal(chdir("/"), 0);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

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

/* --- continuing a text --- */

static json_t *
parse(const char *line, size_t len)
{
    json_error_t err;
    json_t *o = json_loadb(line, len, 0, &err);

    if (!o)
        fail_msg("no JSON (%s): %.*s", err.text, (int)len, line);
    return o;
}

static const char *
text_of(json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));

    if (!s)
        fail_msg("no text \"%s\"", name);
    return s;
}

/* The only object of a --json run. */
static json_t *
run_json(const char *args, const char *in, size_t n_in)
{
    struct result r = run_with(args, in, n_in);
    json_t *o;

    assert_status(&r, 0);
    assert_string_equal(r.err, "");
    assert_true(r.n_out > 0 && r.out[r.n_out - 1] == '\n');
    o = parse(r.out, r.n_out);
    done(&r);
    return o;
}

static void
the_same_seed_writes_the_same(void **state)
{
    struct result a = run("-p|渡口的灯灭了，|-n|12|--seed|7");
    struct result b = run("-p|渡口的灯灭了，|-n|12|--seed|7");
    struct result c = run("-p|渡口的灯灭了，|-n|12|--seed|8");
    struct result e = run("-p|渡口的灯灭了，|-n|12|--seed|7|--echo");

    assert_status(&a, 0);
    assert_string_equal(a.err, "");
    assert_true(a.n_out > 12);
    assert_true(a.out[a.n_out - 1] == '\n');
    assert_string_equal(a.out, b.out);
    assert_string_not_equal(a.out, c.out);
    assert_int_equal(strncmp(e.out, "渡口的灯灭了，", 21), 0);
    assert_string_equal(e.out + 21, a.out);
    done(&a);
    done(&b);
    done(&c);
    done(&e);
}

static void
json_says_everything(void **state)
{
    json_t *o =
        run_json("-p|渡口|-n|10|--seed|7|--json|-t|0.5|--stop-at|length", "",
                 0);
    size_t n = json_array_size(json_object_get(o, "tokens"));
    json_t *knobs = json_object_get(o, "knobs");
    json_t *model = json_object_get(o, "model");

    assert_string_equal(text_of(o, "prompt"), "渡口");
    assert_string_not_equal(text_of(o, "text"), "");
    assert_true(n >= 1 && n <= 10);
    assert_int_equal(json_array_size(json_object_get(o, "logprobs")), n);
    assert_int_equal(json_array_size(json_object_get(o, "logprobs_after")), n);
    assert_true(json_real_value(
                    json_array_get(json_object_get(o, "logprobs"), 0)) <= 0);
    assert_int_equal(json_integer_value(json_object_get(o, "seed")), 7);
    assert_true(json_real_value(json_object_get(knobs, "temperature")) == 0.5);
    assert_int_equal(json_integer_value(json_object_get(knobs, "length")), 10);
    assert_int_equal(strlen(text_of(model, "sha256")), 64);
    assert_int_equal(strlen(text_of(model, "tokenizer")), 64);
    assert_string_not_equal(text_of(model, "name"), "");
    assert_string_not_equal(text_of(model, "arithmetic"), "");
    if (n == 10)
        assert_string_equal(text_of(o, "stop"), "length");
    json_decref(o);
}

/* What was computed in the fast arithmetic says so, and in which type. */
static void
fast_runs_are_labelled(void **state)
{
    json_t *plain = run_json("-p|渡口|-n|2|--seed|7|--json", "", 0);
    json_t *fast =
        run_json("-p|渡口|-n|2|--seed|7|--json|--fast|--type|int8", "", 0);
    const char *usual = text_of(json_object_get(plain, "model"), "arithmetic");
    const char *quick = text_of(json_object_get(fast, "model"), "arithmetic");

    assert_string_equal(usual, "strict/1/f32");
    assert_int_equal(strncmp(quick, "fast/", 5), 0);
    assert_non_null(strstr(quick, "/int8"));
    json_decref(plain);
    json_decref(fast);
}

static void
plain_and_json_agree(void **state)
{
    json_t *o = run_json("-p|渡口|-n|8|--seed|7|--json", "", 0);
    struct result r = run("-p|渡口|-n|8|--seed|7");
    size_t n = strlen(text_of(o, "text"));

    assert_status(&r, 0);
    assert_true(r.n_out >= n);
    assert_memory_equal(r.out, text_of(o, "text"), n);
    done(&r);
    json_decref(o);
}

static void
samples_differ(void **state)
{
    struct result r = run("-p|渡口的灯灭了，|-n|12|-k|3|--seed|7|--json");
    json_t *o[3];
    char *line = r.out;

    assert_status(&r, 0);
    for (int i = 0; i < 3; i++) {
        char *end = strchr(line, '\n');

        assert_non_null(end);
        o[i] = parse(line, (size_t)(end - line));
        assert_int_equal(json_integer_value(json_object_get(o[i], "br")), i);
        assert_int_equal(json_integer_value(json_object_get(o[i], "run")), 1);
        line = end + 1;
    }
    assert_int_equal(*line, '\0');
    assert_string_not_equal(text_of(o[0], "text"), text_of(o[1], "text"));
    assert_string_not_equal(text_of(o[1], "text"), text_of(o[2], "text"));
    assert_string_not_equal(text_of(o[0], "text"), text_of(o[2], "text"));
    done(&r);
    r = run("-p|渡口的灯灭了，|-n|12|--seed|7|--json"); /* the first alone */
    json_decref(o[1]);
    o[1] = parse(r.out, r.n_out);
    assert_string_equal(text_of(o[0], "text"), text_of(o[1], "text"));
    for (int i = 0; i < 3; i++)
        json_decref(o[i]);
    done(&r);
}

/* More than run at once, of different lengths: they come out in their order,
 * and the first ones are the same however many there are. */
static void
many_samples_come_in_order(void **state)
{
    struct result few = run("-p|渡口的灯灭了，|-n|3|-k|5|--seed|7|--json");
    struct result r = run("-p|渡口的灯灭了，|-n|3|-k|67|--seed|7|--json");
    struct result text = run("-p|渡口的灯灭了，|-n|3|-k|67|--seed|7");
    char *line = r.out, *plain = text.out;

    assert_status(&r, 0);
    assert_status(&text, 0);
    assert_memory_equal(r.out, few.out, few.n_out);
    for (int i = 0; i < 67; i++) {
        size_t len = strcspn(line, "\n");
        json_t *o = parse(line, len);
        const char *want = text_of(o, "text");

        assert_int_equal(json_integer_value(json_object_get(o, "br")), i);
        assert_int_equal(strncmp(plain, want, strlen(want)), 0);
        plain += strlen(want);
        plain += *plain == '\n';
        line += len + 1;
        json_decref(o);
    }
    assert_int_equal(*line, '\0');
    assert_int_equal(*plain, '\0');
    done(&few);
    done(&r);
    done(&text);
}

static void
one_line_break_of_stdin_is_dropped(void **state)
{
    static const struct {
        const char *in, *prompt;
    } rows[] = {
        { "渡口", "渡口" },       { "渡口\n", "渡口" },
        { "渡口\r\n", "渡口" },   { "渡口\n\n", "渡口\n" },
        { "渡\n口\n", "渡\n口" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *o =
            run_json("--json|-n|2|--seed|1", rows[i].in, strlen(rows[i].in));

        assert_string_equal(text_of(o, "prompt"), rows[i].prompt);
        json_decref(o);
    }
}

static void
ill_formed_text_is_no_obstacle(void **state)
{
    struct result r = run_with("-n|3|--echo|--seed|1", "a\xE4\xB8z\xFF", 5);
    json_t *o;

    assert_status(&r, 0);
    assert_memory_equal(r.out, "a\xE4\xB8z\xFF", 5); /* byte for byte */
    done(&r);
    o = run_json("--json|-n|2|--seed|1", "a\xE4\xB8z\xFF", 5);
    assert_string_equal(text_of(o, "prompt_x"), "YeS4ev8=");
    json_decref(o);
}

static void
an_empty_prompt_begins_a_text(void **state)
{
    struct result r = run("-p||-n|4|--seed|3");

    assert_status(&r, 0);
    assert_true(r.n_out > 1);
    done(&r);
}

static void
a_stop_string_ends_it(void **state)
{
    json_t *o = run_json("-p|渡口的灯灭了，|-n|300|--seed|7|--json|--stop|的|"
                         "--stop|。|--stop-at|never",
                         "", 0);

    assert_string_equal(text_of(o, "stop"), "stop");
    assert_null(strstr(text_of(o, "text"), "的"));
    assert_null(strstr(text_of(o, "text"), "。"));
    json_decref(o);
}

static void
config_and_options_set_knobs(void **state)
{
    json_t *o, *knobs;
    struct result r;

    put_file("config", "[knobs]\ntemp = 0.3\ntop-k = 5\ncoulour = 1\n", 42);
    {
        char *path = inside("config");

        setenv("JIELONG_CONFIG", path, 1);
        free(path);
    }
    r = run("-p|x|-n|2|--json|--top-k|9|--seed|1");
    assert_status(&r, 0);
    assert_non_null(strstr(r.err, "line 4"));
    assert_non_null(strstr(r.err, "coulour"));
    o = parse(r.out, r.n_out);
    knobs = json_object_get(o, "knobs");
    assert_true(json_real_value(json_object_get(knobs, "temperature")) == 0.3);
    assert_int_equal(json_integer_value(json_object_get(knobs, "top-k")), 9);
    json_decref(o);
    done(&r);
}

static void
a_closed_pipe_is_quiet(void **state)
{
    struct child c = start("-p|渡口|-n|2000|--stop-at|never", NULL);
    char some[3], *err;

    close(c.in);
    assert_int_equal(read(c.out, some, sizeof some), sizeof some);
    close(c.out);
    assert_int_equal(slurp(c.err, &err), 0);
    assert_int_equal(wait_for(c.pid), 128 + SIGPIPE);
    free(err);
}

static void
an_interrupt_leaves_what_was_written(void **state)
{
    struct child c = start("-p|渡口|-n|100000|--stop-at|never", NULL);
    char some[3], *out, *err;

    close(c.in);
    assert_int_equal(read(c.out, some, sizeof some), sizeof some);
    assert_int_equal(kill(c.pid, SIGINT), 0);
    assert_true(slurp(c.out, &out) > 0);
    assert_int_equal(slurp(c.err, &err), 0);
    assert_int_equal(wait_for(c.pid), 130);
    assert_int_equal(out[strlen(out) - 1], '\n');
    free(out);
    free(err);
}

static void
a_full_disk_is_told(void **state)
{
    static const char *const args[] = { "-p|渡口|-n|3", "--help" };

    for (size_t i = 0; i < 2; i++) {
        struct child c = start(args[i], "/dev/full");
        char *err;

        close(c.in);
        close(c.out);
        slurp(c.err, &err);
        assert_int_equal(wait_for(c.pid), 1);
        assert_non_null(strstr(err, "cannot be written"));
        free(err);
    }
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

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_tells_about_itself),
        TEST(bad_input_is_told_in_one_sentence),
        TEST(no_model_at_all_is_told),
        TEST(any_locale_does),
        TEST(the_same_seed_writes_the_same),
        TEST(json_says_everything),
        TEST(fast_runs_are_labelled),
        TEST(plain_and_json_agree),
        TEST(samples_differ),
        TEST(many_samples_come_in_order),
        TEST(one_line_break_of_stdin_is_dropped),
        TEST(ill_formed_text_is_no_obstacle),
        TEST(an_empty_prompt_begins_a_text),
        TEST(a_stop_string_ends_it),
        TEST(config_and_options_set_knobs),
        TEST(a_closed_pipe_is_quiet),
        TEST(an_interrupt_leaves_what_was_written),
        TEST(a_full_disk_is_told),
        TEST(a_model_is_converted_and_measured),
        TEST(a_story_comes_out_again),
        TEST(a_torn_story_is_exported_and_told),
        TEST(a_name_means_a_story),
        TEST(the_cache_is_listed_and_cleared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
