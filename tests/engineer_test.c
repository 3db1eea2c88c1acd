/* tests/engineer_test.c  `tokens` and `logits` as a program would use them.
 *
 * Each call runs in a child with files for stdin, stdout and stderr; what a
 * closed pipe does is tried with a real one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>


#include "src/cli_parts.h"

#include "tests/tiny_models.h"

#define ARGS_MAX 16

struct result {
    int status;
    char *out, *err;
    size_t n_out;
};

static char *scratch;

static int
make_scratch(void **state)
{
    scratch = scratch_make();
    return 0;
}

static int
remove_scratch(void **state)
{
    scratch_remove(scratch);
    return 0;
}

static void
redirect(const char *name, int flags, int to)
{
    char *path = xasprintf("%s/%s", scratch, name);
    int fd = open(path, flags, 0600);

    if (fd < 0 || dup2(fd, to) < 0)
        _exit(99);
    free(path);
}

/* "tokens", "check" or "logits" and what follows it, up to NULL. */
static struct result
run(const char *in, size_t n_in, ...)
{
    char *argv[ARGS_MAX + 1], *path;
    struct result r = { 0 };
    int argc = 0, status;
    size_t len;
    va_list ap;
    pid_t pid;

    va_start(ap, n_in);
    while ((argv[argc] = va_arg(ap, char *)))
        assert_true(++argc < ARGS_MAX);
    va_end(ap);
    scratch_put(scratch, "in", in, n_in);
    pid = fork();
    if (pid == 0) {
        redirect("in", O_RDONLY, STDIN_FILENO);
        redirect("out", O_WRONLY | O_CREAT | O_TRUNC, STDOUT_FILENO);
        redirect("err", O_WRONLY | O_CREAT | O_TRUNC, STDERR_FILENO);
        status = strcmp(argv[0], "tokens") == 0  ? cli_tokens(argc, argv)
                 : strcmp(argv[0], "check") == 0 ? cli_check(argc, argv)
                                                 : cli_logits(argc, argv);
        fflush(NULL);
        _exit(status);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    r.status = WEXITSTATUS(status);
    path = xasprintf("%s/out", scratch);
    must_read(path, &r.out, &r.n_out);
    free(path);
    path = xasprintf("%s/err", scratch);
    must_read(path, &r.err, &len);
    free(path);
    return r;
}

static void
done(struct result *r)
{
    free(r->out);
    free(r->err);
}

/* stdout is exactly this, and nothing was said. */
static void
expect(struct result r, const char *out)
{
    if (r.status != 0)
        fail_msg("%s", r.err);
    assert_string_equal(r.out, out);
    assert_string_equal(r.err, "");
    done(&r);
}

static void
refuse(struct result r, int status, const char *why)
{
    assert_int_equal(r.status, status);
    assert_string_equal(r.out, "");
    if (!strstr(r.err, why))
        fail_msg("\"%s\" lacks \"%s\"", r.err, why);
    assert_ptr_equal(strchr(r.err, '\n'), r.err + strlen(r.err) - 1);
    done(&r);
}

#define IN(s) s, sizeof s - 1

static void
lines_to_ids(void **state)
{
    const char *v = tiny("f32");

    /* 的 一 是 are 9 10 11; "abc" is ab ##c; 0 1 5 6: [PAD] [UNK] ， 。 */
    expect(run(IN("的一，是。\nabc Q\n"), "tokens", "-m", v, NULL),
           "9 10 5 11 6\n7 8 1\n");
    expect(run(IN("的"), "tokens", "--vocab", v, NULL), "9\n");
    expect(run(IN(""), "tokens", "--vocab", v, NULL), "");
    expect(run(IN("\n\n的\n\n"), "tokens", "--vocab", v, NULL), "\n\n9\n\n");
    expect(run(IN("[SEP]的\n"), "tokens", "--vocab", v, "--special", NULL),
           "3 9\n");
    expect(run(IN("[SEP]的\n"), "tokens", "--model", v, NULL), "1 1 1 9\n");
}

static void
json_lines_to_ids(void **state)
{
    const char *v = tiny("f32");

    expect(run(IN("\"的\\n\\u4e00\"\n\"\"\n\n \"，\" \n\"一\""), "tokens",
               "--json", "--vocab", v, NULL),
           "[9,10]\n[]\n\n[5]\n[10]\n");
}

static void
ids_to_lines(void **state)
{
    const char *v = tiny("f32");

    expect(run(IN("9 10 5\n\n 7,8\n"), "tokens", "--decode", "--vocab", v,
               NULL),
           "的一，\n\nabc\n");
    expect(run(IN("[9, 10]\n[]\n[7,8]"), "tokens", "--decode", "--json",
               "--vocab", v, NULL),
           "\"的一\"\n\"\"\n\"abc\"\n");
}

/* There and back through both, for many lines and for one very long one. */
static void
many_and_long_lines(void **state)
{
    size_t n = 40000, i;
    char *in = xmalloc(3 * 100001), *want = xmalloc(4 * 100001);
    char *p = in, *q = want;
    struct result r;

    for (i = 0; i < n; i++) {
        p += sprintf(p, i % 2 ? "的\n" : "是\n");
        q += sprintf(q, i % 2 ? "9\n" : "11\n");
    }
    expect(run(in, (size_t)(p - in), "tokens", "--vocab", tiny("f32"), NULL),
           want);
    for (i = 0, p = in, q = want; i < 100000; i++) {
        memcpy(p, "的", 3);
        p += 3;
        q += sprintf(q, i ? " 9" : "9");
    }
    strcpy(q, "\n");
    expect(run(in, (size_t)(p - in), "tokens", "--vocab", tiny("f32"), NULL),
           want);
    r = run(want, (size_t)(q - want), "tokens", "--decode", "--vocab",
            tiny("f32"), NULL);
    assert_int_equal(r.n_out, (size_t)(p - in) + 1);
    assert_memory_equal(r.out, in, (size_t)(p - in));
    done(&r);
    free(in);
    free(want);
}

static void
wrong_lines(void **state)
{
    const char *v = tiny("f32");

    refuse(run(IN("x\n"), "tokens", "--decode", "--vocab", v, NULL), 2,
           "line 1");
    refuse(run(IN("99\n"), "tokens", "--decode", "--vocab", v, NULL), 2, "99");
    refuse(run(IN("-1\n"), "tokens", "--decode", "--vocab", v, NULL), 2, "-1");
    refuse(run(IN("99999999999999999999\n"), "tokens", "--decode", "--vocab", v,
               NULL),
           2, "line 1");
    refuse(run(IN("的\n"), "tokens", "--json", "--vocab", v, NULL), 2,
           "line 1");
    refuse(run(IN("[1]\n"), "tokens", "--json", "--vocab", v, NULL), 2,
           "JSON string");
    refuse(run(IN("\"a\" 1\n"), "tokens", "--json", "--vocab", v, NULL), 2,
           "line 1");
    refuse(run(IN("[1.5]\n"), "tokens", "--decode", "--json", "--vocab", v,
               NULL),
           2, "JSON array");
    refuse(run(IN("[1] 2\n"), "tokens", "--decode", "--json", "--vocab", v,
               NULL),
           2, "line 1");
}

static void
wrong_options(void **state)
{
    const char *v = tiny("f32");

    refuse(run(IN(""), "tokens", NULL), 2, "--vocab");
    refuse(run(IN(""), "tokens", "-m", NULL), 2, "--model");
    refuse(run(IN(""), "tokens", "--vocab", v, "--tokens", NULL), 2,
           "--tokens");
    refuse(run(IN(""), "tokens", "--vocab", "/no/such", NULL), 3, "/no/such");
    refuse(run(IN(""), "tokens", "-m", "/no/such", NULL), 3, "/no/such");
    refuse(run(IN(""), "tokens", "-m", tiny("f16"), NULL), 3, "vocabulary");
    refuse(run(IN(""), "logits", "-m", v, NULL), 2, "--ids");
    refuse(run(IN(""), "logits", "--ids", "1", NULL), 2, "-m");
    refuse(run(IN(""), "logits", "-m", v, "--ids", "", NULL), 2, "--ids");
    refuse(run(IN(""), "logits", "-m", v, "--ids", "1,x", NULL), 2, "x");
    refuse(run(IN(""), "logits", "-m", v, "--ids", "1,61", NULL), 2, "61");
    refuse(run(IN(""), "logits", "-m", v, "--ids", "-1", NULL), 2, "-1");
    refuse(run(IN(""), "logits", "-m", v, "--ids", "4294967297", NULL), 2,
           "4294967297");
    refuse(run(IN(""), "logits", "-m", v, "--ids", "1", "--greedy", "0", NULL),
           2, "--greedy");
    refuse(run(IN(""), "logits", "-m", v, "--ids", "1", "--greedy", "25", NULL),
           2, "24");
    refuse(run(IN(""), "logits", "-m", v, "--ids", "1", "--greedy",
               "99999999999999999999", NULL),
           2, "--greedy");
    refuse(run(IN(""), "logits", "-m", "/no/such", "--ids", "1", NULL), 3,
           "/no/such");
}

static void
logits_are_written(void **state)
{
    static const char ids[] = "4,17,60,0,23,8,8,41,5,33,12,59";
    struct result r, s;
    const float *got;
    char *want;
    size_t len, i;

    must_read(tiny("tied.logits"), &want, &len);
    r = run(IN(""), "logits", "-m", tiny("f16"), "--ids", ids, NULL);
    assert_int_equal(r.status, 0);
    assert_string_equal(r.err, "");
    assert_int_equal(r.n_out, len);
    got = (const float *)r.out;
    for (i = 0; i < len / 4; i++)
        assert_true(got[i] - ((const float *)want)[i] < 2e-5f &&
                    ((const float *)want)[i] - got[i] < 2e-5f);
    s = run(IN(""), "logits", "--model=bf16", "--ids=4 17", NULL);
    assert_int_equal(s.status, 3); /* no model of that name is installed */
    done(&s);
    done(&r);
    free(want);
    must_read(tiny("untied.greedy"), &want, &len);
    r = run(IN(""), "logits", "-m", tiny("untied"), "--ids", ids, "--greedy",
            "13", NULL);
    assert_string_equal(r.out, want + strlen("4 17 60 0 23 8 8 41 5 33 12 "
                                             "59 "));
    done(&r);
    free(want);
}

/* Other numbers than f32's, and by name only. */
static void
logits_in_a_type(void **state)
{
    struct result a, b;

    a = run(IN(""), "logits", "-m", tiny("f16"), "--ids", "4,17", NULL);
    b = run(IN(""), "logits", "-m", tiny("f16"), "--ids", "4,17", "--type",
            "int8", NULL);
    assert_int_equal(b.status, 0);
    assert_int_equal(a.n_out, b.n_out);
    assert_memory_not_equal(a.out, b.out, a.n_out);
    done(&a);
    done(&b);
    refuse(run(IN(""), "logits", "-m", tiny("f16"), "--ids", "4", "--type",
               "int3", NULL),
           2, "int3");
}

/* What check finds for the model in the box. */
static void
types_are_checked(void **state)
{
    char box[1100];
    struct result r;
    double mean, most, lost;
    const char *row;

    snprintf(box, sizeof box, "%s/../../models/jielong-zh",
             getenv("JIELONG_TEST_DATA"));
    r = run(IN(""), "check", box, "--type", "int8", NULL);
    assert_int_equal(r.status, 0);
    row = strstr(r.out, "\nf32 ");
    assert_non_null(row);
    assert_int_equal(
        sscanf(row, "\nf32 %*f MB %lf %lf %lf", &mean, &most, &lost), 3);
    assert_true(mean == 0 && most == 0 && lost == 0);
    row = strstr(r.out, "\nint8 ");
    assert_non_null(row);
    assert_int_equal(
        sscanf(row, "\nint8 %*f MB %lf %lf %lf", &mean, &most, &lost), 3);
    assert_true(mean > 0.005 && mean < 0.035);
    assert_true(most < 0.5 && lost > -0.005 && lost < 0.005);
    done(&r);
    r = run(IN("春天来了。"), "check", box, "--type=bf16", "-", NULL);
    assert_int_equal(r.status, 0);
    assert_non_null(strstr(r.out, "\nbf16 "));
    assert_null(strstr(r.out, "int8"));
    done(&r);
    refuse(run(IN(""), "check", box, "-", NULL), 1, "standard input");
    refuse(run(IN(""), "check", box, "--type", "auto", NULL), 2, "auto");
    refuse(run(IN(""), "check", NULL), 2, "model");
    refuse(run(IN(""), "check", "/no/such", NULL), 3, "/no/such");
}

/* A line is answered when it has come, not when all have; and when nobody
 * reads any more, the program ends without a word. */
static void
a_pipe_at_both_ends(void **state)
{
    int in[2], out[2], err[2], status;
    char buf[64] = { 0 };
    pid_t pid;

    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);
    assert_int_equal(pipe(err), 0);
    pid = fork();
    if (pid == 0) {
        char *argv[] = { (char *)"tokens", (char *)"--vocab",
                         (char *)tiny("f32"), NULL };

        signal(SIGPIPE, SIG_IGN);
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        dup2(err[1], STDERR_FILENO);
        close(in[1]);
        close(out[0]);
        _exit(cli_tokens(3, argv));
    }
    close(in[0]);
    close(out[1]);
    close(err[1]);
    assert_int_equal(write(in[1], "的\n是", 7), 7);
    assert_int_equal(read(out[0], buf, sizeof buf), 2);
    assert_string_equal(buf, "9\n");
    close(out[0]);
    assert_int_equal(write(in[1], "\n", 1), 1);
    close(in[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(read(err[0], buf, sizeof buf), 0);
    close(err[0]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_to_ids),
        cmocka_unit_test(json_lines_to_ids),
        cmocka_unit_test(ids_to_lines),
        cmocka_unit_test(many_and_long_lines),
        cmocka_unit_test(wrong_lines),
        cmocka_unit_test(wrong_options),
        cmocka_unit_test(logits_are_written),
        cmocka_unit_test(logits_in_a_type),
        cmocka_unit_test(types_are_checked),
        cmocka_unit_test(a_pipe_at_both_ends),
    };

    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
