/* tests/generate_test.c  The real program continues a text (-p, --json). */
#include <jansson.h>

#include "tests/program.h"

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

/* Kept weights that someone cut off are made again, which is said once. */
static void
damaged_weights_are_told(void **state)
{
    static const char args[] =
        "--type|int4|-p|渡口|-n|4|--seed|1|--stop-at|length";
    char *cut = xasprintf("truncate -s -100 %s/.cache/jielong/weights/*",
                          dir);
    struct result first, r;

    unsetenv("XDG_CACHE_HOME");
    first = run(args);
    assert_status(&first, 0);
    assert_string_equal(first.err, "");
    if (system(cut) != 0) {
        fprintf(stderr, "SKIP: no weights were kept; is the disk full?\n");
        skip();
    }
    for (int i = 0; i < 2; i++) {
        r = run(args);
        assert_status(&r, 0);
        assert_string_equal(r.out, first.out);
        assert_int_equal(strstr(r.err, "is damaged") != NULL, i == 0);
        done(&r);
    }
    done(&first);
    free(cut);
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

int
main(void)
{
    const struct CMUnitTest tests[] = {
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
        TEST(damaged_weights_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
