/* tests/get_test.c  `jielong get` against a hub of this machine that fails in
 * every way (https_server.py): by the real program, and fetch_file() alone
 * where hundreds of connections are needed. Nothing leaves the loopback. */
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
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/file.h"
#include "engine/base/mem.h"
#include "engine/base/sha256.h"
#include "src/fetch.h"
#include "src/pins.h"
#include "tests/pty.h"
#include "tests/tiny_models.h"

#define VICTIM "model.safetensors"

static struct {
    pid_t pid;
    int in;                          /* closed: it ends */
    int good, expired, other, alone; /* ports */
} server;
static char *dir, *ca, *log_path, *good_bytes;
static size_t n_good;
static int serial;

/* --- the server --- */

static char *
beside_data(const char *name)
{
    return xasprintf("%s/%s", getenv("JIELONG_TEST_DATA"), name);
}

static int
start_server(void **state)
{
    int in[2], out[2];
    char line[128] = "", *script = beside_data("../https_server.py");
    char *tls = beside_data("tls"), *path;
    ssize_t n = 0;

    dir = scratch_make();
    log_path = xasprintf("%s/log", dir);
    ca = beside_data("tls/ca.pem");
    path = xasprintf("%s/" VICTIM, tiny("f32"));
    must_read(path, &good_bytes, &n_good);
    free(path);
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)
        return -1;
    server.pid = fork();
    if (server.pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        execlp("python3", "python3", script, tls, tiny("f32"), log_path,
               (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    server.in = in[1];
    for (size_t at = 0; at < sizeof line - 1 && !strchr(line, '\n');
         at += (size_t)n)
        if ((n = read(out[0], line + at, sizeof line - 1 - at)) <= 0)
            break;
    close(out[0]);
    free(script);
    free(tls);
    if (n <= 0 || sscanf(line, "%d %d %d %d", &server.good, &server.expired,
                         &server.other, &server.alone) != 4) {
        print_error("tests/https_server.py did not start (python3 with ssl "
                    "is needed)\n");
        return -1;
    }
    return 0;
}

static int
stop_server(void **state)
{
    close(server.in);
    waitpid(server.pid, NULL, 0);
    scratch_remove(dir);
    free(log_path);
    free(ca);
    free(good_bytes);
    return 0;
}

/* --- the program --- */

struct result {
    int status;
    char err[16384];
};

struct setup { /* of one run; NULL and 0 mean the usual */
    const char *fault, *endpoint, *ca, *args[6], *token, *home;
    int port;
    rlim_t limit; /* of the length of a file */
};

/* A folder of its own for each run that names none. */
static char *
new_home(void)
{
    return xasprintf("%s/home-%d", dir, ++serial);
}

static void
child(const struct setup *s, const char *home, int err)
{
    const char *argv[12] = { "jielong", "get", "--lang", "en" };
    char *endpoint;
    int n = 4, null = open("/dev/null", O_RDWR);

    for (int i = 0; i < 6 && s->args[i]; i++)
        argv[n++] = s->args[i];
    if (n == 4) {
        argv[n++] = "--yes";
        argv[n++] = "o/tiny";
    }
    endpoint = s->endpoint
                   ? xstrdup(s->endpoint)
                   : xasprintf("https://localhost:%d/%s%s.%d",
                               s->port ? s->port : server.good, s->fault,
                               strchr(s->fault, '.') ? "" : ".0", getpid());
    setenv("HF_ENDPOINT", endpoint, 1);
    setenv("XDG_DATA_HOME", home, 1);
    setenv("JIELONG_STALL_SECONDS", "1", 1);
    setenv("JIELONG_RETRY_MS", "1", 1);
    setenv("NO_PROXY", "*", 1);
    setenv("CURL_CA_BUNDLE", s->ca ? s->ca : ca, 1);
    unsetenv("SSL_CERT_FILE");
    unsetenv("HF_TOKEN");
    if (s->token)
        setenv("HF_TOKEN", s->token, 1);
    if (s->limit)
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){ s->limit, s->limit });
    dup2(null, 0);
    dup2(null, 1);
    dup2(err, 2);
    execv(getenv("JIELONG_TEST_PROGRAM"), (char **)(uintptr_t)argv);
    _exit(99);
}

static pid_t
start(const struct setup *s, const char *home, int *out)
{
    int err[2];
    pid_t pid;

    assert_int_equal(pipe2(err, O_CLOEXEC), 0);
    pid = fork();
    if (pid == 0)
        child(s, home, err[1]);
    close(err[1]);
    *out = err[0];
    return pid;
}

static struct result
finish(pid_t pid, int fd)
{
    struct result r = { 0 };
    size_t len = 0;
    ssize_t n;
    int status;

    while ((n = read(fd, r.err + len, sizeof r.err - 1 - len)) > 0)
        len += (size_t)n;
    close(fd);
    waitpid(pid, &status, 0);
    r.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return r;
}

static struct result
run(struct setup s)
{
    char *home = s.home ? xstrdup(s.home) : new_home();
    int fd;
    pid_t pid = start(&s, home, &fd);
    struct result r = finish(pid, fd);

    free(home);
    return r;
}

/* The file of the model in this home; false when it is not there. */
static bool
read_home(const char *home, const char *rest, char **text, size_t *len)
{
    char *path = xasprintf("%s/jielong/models/%s", home, rest);
    bool ok = access(path, F_OK) == 0 &&
              file_read(path, (size_t)64 << 20, text, len, NULL);

    free(path);
    return ok;
}

static bool
has(const char *home, const char *rest)
{
    char *text;
    size_t len;
    bool there = read_home(home, rest, &text, &len);

    if (there)
        free(text);
    return there;
}

static void
assert_whole(const char *home)
{
    char *text;
    size_t len;

    assert_true(read_home(home, "tiny/" VICTIM, &text, &len));
    assert_int_equal(len, n_good);
    assert_memory_equal(text, good_bytes, len);
    free(text);
    assert_true(has(home, "tiny/config.json"));
    assert_true(has(home, "tiny/vocab.txt"));
    assert_true(has(home, "tiny.sha256"));
    assert_false(has(home, "tiny/" VICTIM ".part"));
    assert_false(has(home, "tiny/" VICTIM ".part.json"));
    assert_false(has(home, ".incoming-tiny/" VICTIM));
}

/* --- it arrives --- */

static const struct {
    const char *fault, *said; /* said NULL: anything */
} arrives[] = {
    { "none", "tiny is here" },
    { "drop1.0", NULL }, /* broken before the first byte */
    { "drop1.1", NULL },
    { "drop1.20000", NULL },
    { "drop.9000", NULL },       /* again and again */
    { "cutoff.700", NULL },      /* no length told, cut short */
    { "wrongrange.9000", NULL }, /* R42: starts again */
    { "otheretag.9000", NULL },
    { "norange.9000", NULL },
    { "weak.9000", NULL },
    { "full.9000", NULL },
    { "swapback.9000", NULL },
    { "busy", NULL },
    { "hops.10", NULL },
    { "cross", NULL },
    { "cross.500", NULL },
    { "bare", "not told" }, /* a hub that tells no sizes and no sums */
};

static void
test_arrives(void **state)
{
    for (size_t i = 0; i < sizeof arrives / sizeof *arrives; i++) {
        char *home = new_home();
        struct result r =
            run((struct setup){ .fault = arrives[i].fault, .home = home });

        if (r.status != 0)
            fail_msg("%s: %d: %s", arrives[i].fault, r.status, r.err);
        if (arrives[i].said && !strstr(r.err, arrives[i].said))
            fail_msg("%s: %s", arrives[i].fault, r.err);
        assert_non_null(strstr(r.err, "licence: mit"));
        assert_non_null(strstr(r.err, strcmp(arrives[i].fault, "bare")
                                          ? "100 %"
                                          : "not told"));
        assert_whole(home);
        free(home);
    }
}

/* --- it does not --- */

static const struct {
    const char *fault;
    int status;
    const char *said;
} fails[] = {
    { "short.7", 1, "one of them is wrong" },
    { "long.7", 1, "one of them is wrong" },
    { "longer.7", 1, "the server sends more than the" },
    { "endless", 1, "more than" },
    { "unasked.9", 1, "does not send the part" },
    { "liar.9000", 1, "does not send the part" },
    { "dead.9000", 1, "run the same command again" },
    { "stall.9000", 1, "run the same command again" },
    { "swap.9000", 1, "did not arrive as the hub has it" },
    { "flip", 1, "did not arrive as the hub has it" },
    { "gzip", 1, "compresses" },
    { "code.404", 1, "(404)" },
    { "code.403", 1, "HF_TOKEN" },
    { "code.401", 1, "HF_TOKEN" },
    { "code.500", 1, "answers 500" },
    { "status.404", 1, "(404)" },
    { "status.401", 1, "refuses (401)" },
    { "status.403", 1, "refuses (403)" },
    { "nolist", 1, "no list of files" },
    { "noweights", 3, "no weights" },
    { "huge", 1, "has room for" },
    { "loop", 1, "redirects more than 10 times" },
    { "hops.11", 1, "redirects more than 10 times" },
    { "plain", 1, "which is not https" },
    { "file", 1, "which is not https" },
    { "nowhere", 1, "without saying where" },
};

static void
test_fails(void **state)
{
    for (size_t i = 0; i < sizeof fails / sizeof *fails; i++) {
        char *home = new_home();
        struct result r =
            run((struct setup){ .fault = fails[i].fault, .home = home });

        if (r.status != fails[i].status || !strstr(r.err, fails[i].said))
            fail_msg("%s: %d: %s", fails[i].fault, r.status, r.err);
        assert_false(has(home, "tiny/config.json"));
        assert_false(has(home, "tiny.sha256"));
        assert_false(has(home, ".incoming-tiny/" VICTIM));
        free(home);
    }
}

/* --- going on --- */

static char *
endpoint(const char *fault)
{
    return xasprintf("https://localhost:%d/%s.%d", server.good, fault,
                     ++serial);
}

/* What a broken try left is not asked for again. */
static void
test_same_command_goes_on(void **state)
{
    char *home = new_home(), *at = endpoint("stall.9000"), *log, *text;
    struct setup s = { .endpoint = at, .home = home };
    size_t len;

    assert_int_equal(run(s).status, 1);
    assert_true(read_home(home, ".incoming-tiny/" VICTIM ".part", &text, &len));
    assert_int_equal(len, 9000);
    free(text);
    assert_true(has(home, ".incoming-tiny/" VICTIM ".part.json"));
    assert_true(has(home, ".incoming-tiny/config.json"));
    assert_int_equal(run(s).status, 0);
    assert_whole(home);
    must_read(log_path, &log, &len);
    assert_non_null(strstr(log, "\"range\": \"bytes=9000-\""));
    free(log);
    free(home);
    free(at);
}

/* The program, halted by its server where 9000 bytes of VICTIM are kept; path:
 * of these. */
static pid_t
start_halted(const struct setup *s, const char *home, const char *path,
             struct stat *st, int *fd)
{
    pid_t pid = start(s, home, fd);

    while (stat(path, st) != 0 || st->st_size < 9000) {
        assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
        nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
    }
    return pid;
}

/* Ctrl-C: 130, the part stays, the same command ends it. */
static void
test_interrupted(void **state)
{
    char *home = new_home(), *at = endpoint("stall.9000"), *path;
    struct setup s = { .endpoint = at, .home = home };
    struct result r;
    struct stat st = { 0 };
    pid_t pid;
    int fd;

    path = xasprintf("%s/jielong/models/.incoming-tiny/" VICTIM ".part", home);
    pid = start_halted(&s, home, path, &st, &fd);
    kill(pid, SIGINT);
    r = finish(pid, fd);
    assert_int_equal(r.status, 130);
    assert_non_null(strstr(r.err, "goes on from here"));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 9000);
    assert_int_equal(run(s).status, 0);
    assert_whole(home);
    free(path);
    free(home);
    free(at);
}

/* A second command for the same model leaves the first one alone. */
static void
test_two_at_once(void **state)
{
    char *home = new_home(), *at = endpoint("stall.9000"), *path;
    struct setup s = { .endpoint = at, .home = home };
    struct result r;
    struct stat st = { 0 };
    pid_t pid;
    int fd;

    path = xasprintf("%s/jielong/models/.incoming-tiny/" VICTIM ".part", home);
    pid = start_halted(&s, home, path, &st, &fd);
    r = run(s);
    assert_int_equal(r.status, 1);
    assert_non_null(strstr(r.err, "another jielong is downloading tiny"));
    kill(pid, SIGTERM);
    assert_int_equal(finish(pid, fd).status, 128 + SIGTERM);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 9000);
    assert_int_equal(run(s).status, 0);
    assert_whole(home);
    free(path);
    free(home);
    free(at);
}

/* No room in mid-file is a message; with room the same command goes on. */
static void
test_no_room(void **state)
{
    char *home = new_home(), *at = endpoint("none.0"), *text;
    struct setup s = { .endpoint = at, .home = home, .limit = 10000 };
    struct result r = run(s);
    size_t len;

    assert_int_equal(r.status, 1);
    assert_non_null(strstr(r.err, VICTIM ".part cannot be written"));
    assert_false(has(home, "tiny/config.json"));
    assert_true(read_home(home, ".incoming-tiny/" VICTIM ".part", &text, &len));
    assert_int_equal(len, 10000);
    free(text);
    s.limit = 0;
    assert_int_equal(run(s).status, 0);
    assert_whole(home);
    free(home);
    free(at);
}

/* A part of another file, or none the note knows of, is not gone on from. */
static void
test_foreign_part(void **state)
{
    static const char *const notes[] = {
        "", "{}", "[", "{\"url\":1}", "{\"url\":\"https://x/\",\"etag\":\"y\"}",
    };

    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++) {
        char *home = new_home();
        char *in = xasprintf("%s/jielong/models/.incoming-tiny", home);

        assert_true(file_make_dirs(in, NULL));
        scratch_put(in, VICTIM ".part", "rubbish", 7);
        scratch_put(in, VICTIM ".part.json", notes[i], strlen(notes[i]));
        scratch_put(in, "config.json", "{}", 2);
        scratch_put(in, "stranger", "x", 1);
        assert_int_equal(
            run((struct setup){ .fault = "none", .home = home }).status, 0);
        assert_whole(home);
        assert_false(has(home, "tiny/stranger"));
        free(in);
        free(home);
    }
}

/* --- who may be trusted --- */

static void
test_certificates(void **state)
{
    const struct {
        int port;
        const char *ca;
    } rows[] = {
        { server.expired, NULL },
        { server.other, NULL },
        { server.alone, NULL },
        { server.good, "/etc/ssl/certs/ca-certificates.crt" },
        { server.good, "/dev/null" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct result r = run((struct setup){
            .fault = "none", .port = rows[i].port, .ca = rows[i].ca });

        if (r.status != 1 || (!strstr(r.err, "is not trusted") &&
                              !strstr(r.err, "cannot be read")))
            fail_msg("%zu: %d: %s", i, r.status, r.err);
    }
}

static void
test_only_https(void **state)
{
    char *at = xasprintf("http://localhost:%d/none", server.good);
    struct result r = run((struct setup){ .endpoint = at });

    assert_int_equal(r.status, 2);
    assert_non_null(strstr(r.err, "only https"));
    r = run((struct setup){ .endpoint = "file:///etc" });
    assert_int_equal(r.status, 2);
    r = run((struct setup){ .endpoint = "https://me:word@localhost/" });
    assert_int_equal(r.status, 2);
    assert_null(strstr(r.err, "me:"));
    free(at);
}

/* The token goes to the endpoint and nowhere else. */
static void
test_token(void **state)
{
    char *log, *line, *rest;
    int at_home = 0, away = 0;
    size_t len;

    assert_int_equal(truncate(log_path, 0), 0);
    assert_int_equal(
        run((struct setup){ .fault = "cross", .token = "s3cret" }).status, 0);
    must_read(log_path, &log, &len);
    rest = log;
    while ((line = strsep(&rest, "\n")))
        if (strstr(line, "\"host\": \"localhost")) {
            at_home++;
            assert_non_null(strstr(line, "Bearer s3cret"));
        } else if (strstr(line, "\"host\": \"127.0.0.1")) {
            away++;
            assert_null(strstr(line, "s3cret"));
        }
    assert_int_equal(at_home, 4); /* the list and three files */
    assert_int_equal(away, 1);
    free(log);
}

/* --- what was first seen --- */

static void
test_again_and_repair(void **state)
{
    char *home = new_home(), *path;
    struct setup s = { .fault = "none", .home = home };
    struct result r;

    assert_int_equal(run(s).status, 0);
    r = run(s);
    assert_int_equal(r.status, 0);
    assert_non_null(strstr(r.err, "here already"));
    path = xasprintf("%s/jielong/models/tiny/" VICTIM, home);
    must_write(path, "broken", 6);
    s.fault = "flip"; /* what does not arrive leaves the old as it is */
    assert_int_equal(run(s).status, 1);
    assert_true(has(home, "tiny/" VICTIM));
    s.fault = "none";
    assert_int_equal(run(s).status, 0);
    assert_whole(home);
    free(path);
    free(home);
}

static void
test_changed_later(void **state)
{
    char *home = new_home(), *path;
    struct setup s = { .fault = "changed.0", .home = home };
    struct result r;

    assert_int_equal(run(s).status, 0);
    s.fault = "changed.1"; /* no sums in this list: it is seen by the pin */
    r = run(s);
    assert_int_equal(r.status, 1);
    assert_non_null(strstr(r.err, "not what it was"));
    assert_non_null(strstr(r.err, "tiny.sha256"));
    assert_whole(home);
    path = xasprintf("%s/jielong/models/tiny.sha256", home);
    unlink(path);
    r = run(s); /* now it is nobody's */
    assert_int_equal(r.status, 1);
    assert_non_null(strstr(r.err, "--as"));
    s.args[0] = "--yes";
    s.args[1] = "o/tiny";
    s.args[2] = "--as=mine";
    assert_int_equal(run(s).status, 0);
    assert_true(has(home, "mine/config.json"));
    assert_true(has(home, "mine.sha256"));
    free(path);
    free(home);
}

/* --- words --- */

static void
test_words(void **state)
{
    const struct {
        const char *args[4];
        const char *said;
    } rows[] = {
        { { "o/tiny" }, "no terminal to ask" },
        { { "gpt2" }, "no terminal to ask" },
        { { "--yes", "nothing-known" }, "no model is known" },
        { { "--yes", "../../etc" }, "no model is known" },
        { { "--yes", "o/.." }, "no model is known" },
        { { "--yes", "o/a/b" }, "no model is known" },
        { { "--yes", "-x", "o/tiny" }, "get has no option -x" },
        { { "--yes", "o/tiny", "o/other" }, "one model at a time" },
        { { "--yes", "o/tiny", "--as", "../x" }, "cannot be a model's name" },
        { { "--yes", "o/tiny", "--as" }, "needs a value" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct setup s = { .fault = "none" };
        struct result r;

        memcpy(s.args, rows[i].args, sizeof rows[i].args);
        r = run(s);
        if (r.status != 2 || !strstr(r.err, rows[i].said))
            fail_msg("%zu: %d: %s", i, r.status, r.err);
    }
}

/* --- on a terminal --- */

static struct pty *
on_terminal(const char *home, const char *at)
{
    const char *argv[] = {
        getenv("JIELONG_TEST_PROGRAM"), "get", "--lang", "en", "o/tiny", NULL
    };
    char *data = xasprintf("XDG_DATA_HOME=%s", home);
    char *hub = xasprintf("HF_ENDPOINT=%s", at);
    char *trust = xasprintf("SSL_CERT_FILE=%s", ca);
    const char *env[] = { data,       hub,          trust, "CURL_CA_BUNDLE",
                          "HF_TOKEN", "NO_PROXY=*", NULL };
    struct pty *p = pty_start(argv, 100, 24, env);

    free(data);
    free(hub);
    free(trust);
    return p;
}

static void
test_terminal(void **state)
{
    char *home = new_home(), *at = endpoint("stall.9000");
    struct pty *p = on_terminal(home, at);

    assert_true(pty_wait_text(p, "Download it? [y/N]"));
    assert_true(pty_shows(p, "licence: mit"));
    assert_true(pty_shows(p, "39.1 kB"));
    assert_true(pty_send(p, "n\n"));
    assert_true(pty_wait_text(p, "nothing was downloaded"));
    assert_int_equal(pty_end(p), 1);
    pty_free(p);
    assert_false(has(home, ".incoming-tiny/config.json"));

    p = on_terminal(home, at);
    assert_true(pty_wait_text(p, "[y/N]"));
    assert_true(pty_send(p, "y\n"));
    assert_true(pty_wait_text(p, " 24 % ▐▐▐▐░"));
    assert_true(pty_send(p, "\003"));
    assert_true(pty_wait_text(p, "goes on from here"));
    assert_int_equal(pty_end(p), 130);
    pty_free(p);

    p = on_terminal(home, at);
    assert_true(pty_wait_text(p, "[y/N]"));
    assert_true(pty_send(p, "y\n"));
    assert_true(pty_wait_text(p, "jielong -m tiny"));
    assert_int_equal(pty_end(p), 0);
    pty_free(p);
    assert_whole(home);
    free(at);
    free(home);
}

/* --- by the function itself --- */

static bool
fetch_at(struct fetch *f, const char *fault, const char *to, uint64_t size,
         struct err *err)
{
    struct fetch_want w = { .dir = to, .name = VICTIM, .size = size };
    char *url, sum[65];
    bool ok;

    url = xasprintf("https://localhost:%d/%s.%d/o/tiny/resolve/x/" VICTIM,
                    server.good, fault, getpid());
    ok = fetch_file(f, url, &w, sum, err);
    free(url);
    return ok;
}

/* R42: the connection breaks at each of 500 places. */
static void
test_every_place(void **state)
{
    char *home = xasprintf("https://localhost:%d/", server.good);
    struct fetch_options o = { .home = home,
                               .ca_file = ca,
                               .stall_seconds = 20 };
    struct err err = { 0 };
    struct fetch *f = fetch_new(&o, &err);

    assert_non_null(f);
    for (size_t i = 0; i < 500; i++) {
        char *to = xasprintf("%s/at-%zu", dir, i);
        char *fault = xasprintf("drop1.%zu", i * n_good / 499);
        char *path = xasprintf("%s/" VICTIM, to), *text;
        size_t len;

        assert_true(file_make_dirs(to, NULL));
        if (!fetch_at(f, fault, to, n_good, &err))
            fail_msg("%s: %s", fault, err.msg);
        must_read(path, &text, &len);
        assert_int_equal(len, n_good);
        assert_memory_equal(text, good_bytes, len);
        free(text);
        free(path);
        free(fault);
        free(to);
    }
    fetch_free(f);
    free(home);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_arrives),
        cmocka_unit_test(test_fails),
        cmocka_unit_test(test_same_command_goes_on),
        cmocka_unit_test(test_interrupted),
        cmocka_unit_test(test_two_at_once),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_foreign_part),
        cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_only_https),
        cmocka_unit_test(test_token),
        cmocka_unit_test(test_again_and_repair),
        cmocka_unit_test(test_changed_later),
        cmocka_unit_test(test_terminal),
        cmocka_unit_test(test_every_place),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
