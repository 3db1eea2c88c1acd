/* tests/models_test.c  The list of models, choosing one in the page, and that
 * nothing but `get` ever opens a socket (R43).
 *
 * The last is proved from outside: the program runs under a filter that kills
 * it the moment it asks for a socket of the internet (seccomp), which needs
 * no rights and holds for all its threads. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cmocka.h>
#include <jansson.h>

#include "engine/base/file.h"
#include "engine/base/mem.h"
#include "engine/model.h"
#include "src/models.h"
#include "tests/pty.h"
#include "tests/tiny_models.h"

static char *dir, *self;

/* --- a home with models --- */

static void
copy_model(const char *from, const char *name)
{
    static const char *const files[] = { "config.json", "model.safetensors",
                                         "vocab.txt" };
    char *to = xasprintf("%s/data/jielong/models/%s", dir, name);

    assert_true(file_make_dirs(to, NULL));
    for (size_t i = 0; i < 3; i++) {
        char *path = xasprintf("%s/%s", tiny(from), files[i]), *text;
        size_t len;

        must_read(path, &text, &len);
        scratch_put(to, files[i], text, len);
        free(text);
        free(path);
    }
    free(to);
}

static void
put_in(const char *model, const char *file, const char *text)
{
    char *to = xasprintf("%s/data/jielong/models/%s", dir, model);

    assert_true(file_make_dirs(to, NULL));
    scratch_put(to, file, text, strlen(text));
    free(to);
}

static int
setup(void **state)
{
    char *path;

    dir = scratch_make();
    copy_model("f32", "tiny");
    put_in("tiny", "README.md",
           "---\nlanguage: zh\nlicense: mit\n---\nHello\n");
    copy_model("f32", "torn");
    path = xasprintf("%s/data/jielong/models/torn/model.safetensors", dir);
    assert_int_equal(truncate(path, 20000), 0);
    free(path);
    put_in("empty", "config.json", "{}");
    put_in(".incoming-x", "config.json", "{}");
    put_in("evil", "README.md", "---\nlicense: \033[2Jmit\n---\n");
    path = xasprintf("%s/data/jielong/models/tiny.sha256", dir);
    must_write(path, "", 0);
    free(path);
    path = xasprintf("%s/data", dir);
    setenv("XDG_DATA_HOME", path, 1);
    free(path);
    path = xasprintf("%s/config", dir);
    setenv("JIELONG_CONFIG", path, 1);
    free(path);
    return 0;
}

static int
teardown(void **state)
{
    scratch_remove(dir);
    return 0;
}

static const struct model_row *
find_row(const struct model_rows *r, const char *name)
{
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->v[i].name, name) == 0)
            return &r->v[i];
    return NULL;
}

/* --- the list --- */

static void
test_list(void **state)
{
    const struct model_row *t;
    struct model_rows r;

    models_list(&r, "tiny");
    t = find_row(&r, "tiny");
    assert_non_null(t);
    assert_true(t->ok && t->is_default && !t->in_box);
    assert_string_equal(t->licence, "mit");
    assert_string_equal(t->peek.info.network, "gpt2");
    assert_string_equal(t->peek.info.type, "f32");
    assert_string_equal(t->peek.vocab_kind, "wordpiece");
    assert_int_equal(t->peek.file_bytes, 38616);
    assert_string_equal(models_params_text(9640, (char[16]){ 0 }, 16), "9.6 k");
    assert_string_equal(models_params_text(6541312, (char[16]){ 0 }, 16),
                        "6.5 M");
    assert_string_equal(models_params_text(1557611200, (char[16]){ 0 }, 16),
                        "1.6 B");
    t = find_row(&r, "torn");
    assert_non_null(t);
    assert_false(t->ok || t->is_default);
    assert_non_null(strstr(t->err.msg, "model.safetensors"));
    t = find_row(&r, "empty");
    assert_non_null(t);
    assert_false(t->ok);
    assert_null(find_row(&r, ".incoming-x"));
    assert_null(find_row(&r, "tiny.sha256"));
    t = find_row(&r, "evil");
    assert_non_null(t);
    assert_string_equal(t->licence, "");
    t = find_row(&r, "jielong-zh");
    assert_non_null(t);
    assert_true(t->ok && t->in_box && !t->is_default);
    models_free(&r);
}

static void
test_default(void **state)
{
    struct model_rows r;

    models_list(&r, NULL);
    assert_true(find_row(&r, "jielong-zh")->is_default);
    models_free(&r);
    models_list(&r, tiny("bf16")); /* lies elsewhere, and has no vocabulary */
    assert_true(r.v[r.n - 1].is_default);
    assert_string_equal(r.v[r.n - 1].path, tiny("bf16"));
    assert_false(r.v[r.n - 1].ok);
    models_free(&r);
}

/* What the heads tell is what loading finds. */
static void
test_peek_agrees(void **state)
{
    static const char *const names[] = { "f32", "../../../models/jielong-zh" };

    for (size_t i = 0; i < 2; i++) {
        struct err err = { 0 };
        struct model *m = model_open(tiny(names[i]), NULL, &err);
        struct model_peek p;

        assert_non_null(m);
        assert_true(model_peek(tiny(names[i]), &p, &err));
        assert_int_equal(p.info.n_params, model_info(m)->n_params);
        assert_int_equal(p.info.n_vocab, model_info(m)->n_vocab);
        assert_int_equal(p.info.n_layer, model_info(m)->n_layer);
        assert_int_equal(p.info.n_pos, model_info(m)->n_pos);
        assert_int_equal(p.info.tied, model_info(m)->tied);
        assert_int_equal(p.vocab_size, vocab_size(model_vocab(m)));
        model_close(m);
    }
}

/* --- the program --- */

/* stdout of the program with these words; *status its exit status. */
static char *
output(const char *words, int *status)
{
    char *cmd = xasprintf("'%s' %s 2>&1 </dev/null",
                          getenv("JIELONG_TEST_PROGRAM"), words);
    char *text = xcalloc(1, 65536);
    FILE *f = popen(cmd, "r");
    size_t n = f ? fread(text, 1, 65535, f) : 0;

    text[n] = '\0';
    *status = f ? WEXITSTATUS(pclose(f)) : -1;
    free(cmd);
    return text;
}

static void
test_command(void **state)
{
    int status, rows = 0;
    char *text = output("models --lang en", &status), *line, *rest;

    assert_int_equal(status, 0);
    assert_non_null(strstr(text, "* jielong-zh"));
    assert_non_null(strstr(text, "  tiny"));
    assert_non_null(strstr(text, "broken: "));
    assert_null(strchr(text, '\033'));
    free(text);
    text = output("models --lang en --json", &status);
    assert_int_equal(status, 0);
    for (rest = text; (line = strsep(&rest, "\n")) && *line; rows++) {
        json_t *o = json_loads(line, 0, NULL);

        assert_non_null(o);
        assert_true(json_is_string(json_object_get(o, "name")));
        assert_int_equal(json_is_true(json_object_get(o, "ok")),
                         json_object_get(o, "error") == NULL);
        json_decref(o);
    }
    assert_int_equal(rows, 5);
    free(text);
    text = output("models --lang en --wrong", &status);
    assert_int_equal(status, 2);
    free(text);
    text = output("-m tiny -p a -n 3 --lang en", &status);
    assert_int_equal(status, 0);
    free(text);
}

/* --- choosing one in the page --- */

#define ARROW_DOWN "\033[B"
#define ARROW_UP   "\033[A"
#define F12        "\033[24~"
#define ALT_M      "\033m"
#define QUIT       "\021"

static struct pty *
start_page(const char *story, bool walled)
{
    const char *argv[16] = { 0 }, *env[] = { "LANG=C.UTF-8", NULL };
    int n = 0;

    if (walled) {
        argv[n++] = self;
        argv[n++] = "--walled";
    }
    argv[n++] = getenv("JIELONG_TEST_PROGRAM");
    argv[n++] = story;
    argv[n++] = "--seed=7"; /* every time the same runs */
    if (walled) { /* a run that goes in no circles, so it lasts */
        argv[n++] = "-n5000";
        argv[n++] = "--stop-at=never";
        argv[n++] = "--temp=1.5";
        argv[n++] = "--top-k=1000";
        argv[n++] = "--top-p=1";
        argv[n++] = "--min-p=0";
    }
    return pty_start(argv, 100, 24, env);
}

/* Waits till the story has n runs that ended. A tiny model's run may begin and
 * end between two frames, so the screen cannot be asked. */
static void
ended(struct pty *p, const char *story, int n)
{
    for (int ms = 0, have = 0; have < n; ms += 20, have = 0) {
        char *text;
        size_t len;

        if (ms > PTY_DEADLINE_MS)
            fail_msg("no run number %d ended", n);
        pty_pump(p, 20);
        /* Not there yet, or written to in this very moment: once more. */
        if (!file_read(story, (size_t)64 << 20, &text, &len, NULL))
            continue;
        for (char *at = text; (at = strstr(at, "\"t\":\"end\"")); at++)
            have++;
        free(text);
        if (have >= n)
            return;
    }
}

static void
sees(struct pty *p, const char *text)
{
    char *screen;

    if (pty_wait_text(p, text))
        return;
    screen = pty_screen(p);
    fail_msg("no \"%s\" on the screen:\n%s", text, screen);
}

/* Rows are: empty, evil, tiny, torn, jielong-zh (which writes first). */
static void
test_choose(void **state)
{
    char *story = xasprintf("%s/ferry.jl", dir), *text;
    struct pty *p = start_page(story, false);
    size_t len;

    sees(p, "Page ›");
    assert_true(pty_send(p, "ab"));
    assert_true(pty_send(p, "\t"));
    ended(p, story, 1);
    assert_true(pty_send(p, F12));
    sees(p, "Models F12");
    sees(p, "❯5 * jielong-zh");
    sees(p, "broken:");
    assert_true(pty_send(p, ARROW_UP "\r")); /* torn: the old one stays */
    sees(p, "stays as it was");
    sees(p, "5 * jielong-zh");
    assert_true(pty_send(p, "3"));
    sees(p, "❯3   tiny");
    assert_true(pty_send(p, "\r"));
    sees(p, "From now on tiny writes");
    assert_true(pty_send(p, ALT_M));
    sees(p, "❯3 * tiny");
    assert_true(pty_send(p, F12));
    assert_true(pty_wait_gone(p, "Models F12"));
    assert_true(pty_send(p, "cd"));
    assert_true(pty_send(p, "\t"));
    ended(p, story, 2);
    assert_true(pty_send(p, QUIT));
    assert_int_equal(pty_end(p), 0);
    pty_free(p);

    must_read(story, &text, &len);
    assert_non_null(strstr(text, "\"name\":\"jielong-zh\""));
    assert_non_null(strstr(text, "\"name\":\"tiny\""));
    assert_true(strstr(text, "\"name\":\"jielong-zh\"") <
                strstr(text, "\"name\":\"tiny\""));
    assert_non_null(strstr(text, "\"t\":\"run\""));
    assert_non_null(strstr(text, "\"m\":2,"));
    free(text);
    free(story);
}

/* --- walls --- */

/* Kills whoever asks for an internet socket; all else goes on as it is. */
static bool
wall(void)
{
    struct sock_filter f[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_socket, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                 offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog prog = { sizeof f / sizeof *f, f };

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0;
}

#define NO_WALL 97

/* Runs the program behind the wall; 128 + SIGSYS: it ran against it. */
static int
walled(const char *const words[], const char *in)
{
    const char *argv[16] = { self, "--walled", getenv("JIELONG_TEST_PROGRAM") };
    int pipes[2], status;
    pid_t pid;

    for (int i = 0; words[i]; i++)
        argv[3 + i] = words[i];
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);

        dup2(pipes[0], 0);
        dup2(null, 1);
        dup2(null, 2);
        execv(self, (char **)(uintptr_t)argv);
        _exit(98);
    }
    close(pipes[0]);
    file_write_all(pipes[1], in, strlen(in), NULL);
    close(pipes[1]);
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void
test_no_network(void **state)
{
    static const struct {
        const char *words[9], *in;
        int status;
    } rows[] = {
        { { "get", "--yes", "o/tiny" }, "", 128 + SIGSYS },
        { { "--help" }, "", 0 },
        { { "--paths" }, "", 0 },
        { { "models" }, "", 0 },
        { { "get" }, "", 0 },
        { { "get", "gpt2" }, "", 2 },
        { { "-p", "a", "-n", "3" }, "", 0 },
        { { "-m", "tiny", "-n", "3", "--json" }, "a\n", 0 },
        { { "-m", "gpt2-that-is-missing", "-p", "a" }, "", 3 },
        { { "tokens", "-m", "tiny" }, "a\n", 0 },
        { { "logits", "-m", "tiny", "--ids", "1,2" }, "", 0 },
    };

    setenv("HF_ENDPOINT", "https://127.0.0.1:1", 1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int got = walled(rows[i].words, rows[i].in);

        if (got == NO_WALL) {
            print_message("SKIPPED LOUDLY: this kernel has no seccomp filters: "
                          "that nothing opens a socket is not proved here\n");
            skip();
        }
        if (got != rows[i].status)
            fail_msg("%s %s: %d", rows[i].words[0],
                     rows[i].words[1] ? rows[i].words[1] : "", got);
    }
}

static void
test_page_no_network(void **state)
{
    char *story = xasprintf("%s/walled.jl", dir);
    struct pty *p = start_page(story, true);

    if (!pty_wait_text(p, "Page ›")) {
        int status = pty_end(p);

        pty_free(p);
        free(story);
        assert_int_equal(status, NO_WALL);
        print_message("SKIPPED LOUDLY: no seccomp filters here\n");
        skip();
    }
    assert_true(pty_send(p, "ab\t"));
    sees(p, "writing ");
    assert_true(pty_send(p, F12)); /* in the middle of a run */
    sees(p, "Models F12");
    assert_true(pty_send(p, "3\r"));
    sees(p, "From now on tiny writes");
    assert_true(pty_send(p, "\t"));
    ended(p, story, 2);
    assert_true(pty_send(p, QUIT));
    assert_int_equal(pty_end(p), 0);
    pty_free(p);
    free(story);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_default),
        cmocka_unit_test(test_peek_agrees),
        cmocka_unit_test(test_command),
        cmocka_unit_test(test_choose),
        cmocka_unit_test(test_no_network),
        cmocka_unit_test(test_page_no_network),
    };

    if (argc > 2 && strcmp(argv[1], "--walled") == 0) {
        if (!wall())
            return NO_WALL;
        execv(argv[2], argv + 2);
        return 98;
    }
    signal(SIGPIPE, SIG_IGN);
    self = realpath("/proc/self/exe", NULL);
    return cmocka_run_group_tests(tests, setup, teardown);
}
