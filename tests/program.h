/* tests/program.h  Runs the real program through pipes, each test in a folder
 * of its own (setup, teardown). Texts and descriptors of a run are the
 * caller's: done(), close(). */
#ifndef JIELONG_TESTS_PROGRAM_H
#define JIELONG_TESTS_PROGRAM_H

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/file.h"
#include "engine/base/mem.h"

struct child {
    pid_t pid;
    int in, out, err;
};

struct result {
    char *out, *err;
    size_t n_out, n_err;
    int status; /* exit status, or 128 + signal */
};

static char dir[64]; /* of this test */

static inline const char *
program(void)
{
    const char *p = getenv("JIELONG_TEST_PROGRAM");

    assert_non_null(p);
    return p;
}

/* args: words separated by '|'; "$D" at the start of a word is the folder of
 * this test. */
static inline void
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

/* out_file: opened for what it prints, or NULL: c.out. */
static inline struct child
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

/* All there is to read, ended by a zero and given; closes fd. */
static inline size_t
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

/* Exit status, or 128 + signal. */
static inline int
wait_for(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static inline struct result
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

static inline struct result
run(const char *args)
{
    return run_with(args, "", 0);
}

static inline void
done(struct result *r)
{
    free(r->out);
    free(r->err);
}

static inline void
assert_status(const struct result *r, int status)
{
    if (r->status != status)
        fail_msg("exit status %d, not %d; it said: %s", r->status, status,
                 r->err);
}

/* A path in the folder; given. */
static inline char *
inside(const char *name)
{
    return xasprintf("%s/%s", dir, name);
}

static inline void
put_file(const char *name, const char *text, size_t len)
{
    char *path = inside(name);
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fwrite(text, 1, len, f);
    fclose(f);
    free(path);
}

static inline int
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

static inline int
teardown(void **state)
{
    char command[96];

    assert_int_equal(chdir("/"), 0);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

#endif
