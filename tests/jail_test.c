/* tests/jail_test.c  The walls around the parsers, tried from inside.
 *
 * The child does what a captured parser would try: reach files, the network,
 * other processes, its debugger, memory that may be executed. Which walls the
 * kernel offers differs; what depends on one that is not there is left out
 * aloud.
 */
#include "engine/load/jail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/mem.h"
#include "engine/load/texts.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#    define SANITIZED 1
#elif defined(__has_feature)
#    if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#        define SANITIZED 1
#    endif
#endif

enum { TRIES_MAX = 32 };

struct tried {
    char name[24];
    int worked;
};

struct report {
    struct tried v[TRIES_MAX];
    size_t n;
};

static void
note(struct report *r, const char *name, bool worked)
{
    snprintf(r->v[r->n].name, sizeof r->v->name, "%s", name);
    r->v[r->n++].worked = worked;
}

static void
answer(struct jail_answer *out, const void *p, size_t len)
{
    out->p = mem_grow(out->p, &out->cap, out->len + len, 1);
    memcpy(out->p + out->len, p, len);
    out->len += len;
}

/* A process that was made anyway must not run the tests a second time. */
static bool
can_fork(void)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    return pid > 0;
}

static bool
can_exec(void)
{
    char *const argv[] = { (char *)(uintptr_t) "/bin/true", NULL };

    execv(argv[0], argv); /* returns only where it failed */
    return false;
}

static bool
can_connect(void)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = 1 };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0)
        return false;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connect(fd, (struct sockaddr *)&to, sizeof to);
    return true; /* a socket is too much already */
}

/* fd: the kept descriptor and one that was not. */
static struct report
try_everything(const int fd[2])
{
    struct report r = { .n = 0 };
    char byte;
    void *p;

    note(&r, "open", open("/etc/hostname", O_RDONLY) >= 0);
    note(&r, "open itself", open("/proc/self/mem", O_RDWR) >= 0);
    note(&r, "create",
         open("/tmp/jielong-jail", O_WRONLY | O_CREAT, 0600) >= 0);
    note(&r, "mkdir", mkdir("/tmp/jielong-jail.d", 0700) == 0);
    note(&r, "unlink", unlink("/tmp/jielong-jail-none") == 0);
    note(&r, "connect", can_connect());
    note(&r, "socketpair",
         socketpair(AF_UNIX, SOCK_STREAM, 0, (int[2]){ 0 }) == 0);
    note(&r, "pipe", pipe((int[2]){ 0 }) == 0);
    note(&r, "dup", dup(fd[0]) >= 0);
    note(&r, "fork", can_fork());
    note(&r, "exec", can_exec());
    note(&r, "kill", kill(getppid(), 0) == 0);
    note(&r, "ptrace", ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) == 0);
    p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    note(&r, "memory to execute", p != MAP_FAILED);
    p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
             -1, 0);
    note(&r, "made executable",
         p != MAP_FAILED && mprotect(p, 4096, PROT_READ | PROT_EXEC) == 0);
    note(&r, "write to the file", write(fd[0], "x", 1) == 1);
    note(&r, "other descriptors", pread(fd[1], &byte, 1, 0) == 1);
    note(&r, "stdout",
         fcntl(STDOUT_FILENO, F_GETFD) >= 0 &&
             write(STDOUT_FILENO, "", 0) == 0);
    /* and what must work */
    note(&r, "=read", pread(fd[0], &byte, 1, 0) == 1);
    note(&r, "=memory", (p = malloc(1 << 22)) != NULL);
    free(p);
    return r;
}

static bool
try_all(void *ud, struct jail_answer *out, struct err *err)
{
    struct report r = try_everything(ud);

    answer(out, &r, sizeof r);
    return true;
}

/* The same where a parser of config.json or of a vocabulary would stand, which
 * knows its files by path. */
static bool
try_all_by_path(const struct texts *t, void *ud, struct meta *out,
                struct err *err)
{
    const int *other = ud, fd[2] = { t->v[0].fd, *other };
    struct report r = try_everything(fd);
    size_t len;
    char *text;

    note(&r, "open by path", open(t->v[0].path, O_RDONLY) >= 0);
    note(&r, "not asked for",
         texts_read(t, "/proc/self/status", 1 << 20, &text, &len, err));
    note(&r, "=read by path",
         texts_read(t, t->v[0].path, (size_t)64 << 20, &text, &len, err));
    meta_begin(out, "report", 6, META_TEXT, 1);
    meta_put_text(out, &r, sizeof r);
    return true;
}

/* What stands against it where the kernel has less than all. */
static bool
needs_seccomp(const char *name)
{
    static const char *const only[] = { "connect",
                                        "fork",
                                        "exec",
                                        "kill",
                                        "ptrace",
                                        "memory to execute",
                                        "made executable",
                                        "unlink" };

    for (size_t i = 0; i < sizeof only / sizeof *only; i++)
        if (strcmp(name, only[i]) == 0)
            return true;
    return false;
}

static void
all_failed(const struct report *r)
{
    unsigned walls = jail_walls();

    print_message("# walls: no new privileges %s, Landlock %s, seccomp %s\n",
                  walls & JAIL_PRIVILEGES ? "yes" : "NO",
                  walls & JAIL_LANDLOCK ? "yes" : "NO",
                  walls & JAIL_SECCOMP ? "yes" : "NO");
    assert_true(walls & JAIL_PRIVILEGES);
    assert_true(r->n > 18);
    for (size_t i = 0; i < r->n; i++) {
        const char *name = r->v[i].name;
        bool must = name[0] == '=';

        if (!must && r->v[i].worked && needs_seccomp(name) &&
            !(walls & JAIL_SECCOMP)) {
            print_message("# SKIPPED: %s: this kernel has no seccomp\n", name);
            continue;
        }
        if (!must && r->v[i].worked)
            fail_msg("inside the jail: %s", name);
        if (must && !r->v[i].worked)
            fail_msg("inside the jail fails: %s", name);
    }
    assert_int_equal(access("/tmp/jielong-jail", F_OK), -1);
}

static void
walls_stand(void **state)
{
    struct err err = { 0 };
    struct report r;
    int fd[2];
    char *out;
    size_t len;

    fd[0] = open("/proc/self/exe", O_RDONLY);
    fd[1] = open("/proc/self/exe", O_RDONLY);
    assert_true(fd[0] >= 0 && fd[1] >= 0);
    assert_true(jail_run(try_all, fd, fd, 1, 1 << 20, &out, &len, &err));
    assert_int_equal(len, sizeof r);
    memcpy(&r, out, sizeof r);
    mem_big_free(out);
    all_failed(&r);
    close(fd[0]);
    close(fd[1]);
}

static void
walls_stand_around_texts(void **state)
{
    struct texts t = { 0 };
    struct err err = { 0 };
    struct meta m;
    struct meta_list l;
    struct report r;
    const char *s;
    size_t len;
    int other = open("/proc/self/exe", O_RDONLY);

    texts_add(&t, "/proc/self/exe");
    texts_add(&t, "/no/such/file");
    assert_int_equal(t.n, 1);
    assert_true(other >= 0);
    assert_true(texts_parse(&t, try_all_by_path, &other, "it", &m, &err));
    assert_true(meta_find(&m, "report", META_TEXT, &l));
    assert_true(meta_next_text(&l, &s, &len));
    assert_int_equal(len, sizeof r);
    memcpy(&r, s, sizeof r);
    all_failed(&r);
    texts_answer_free(&m);
    texts_close(&t);
    close(other);
}

/* --- a parser that goes wrong is a message --- */

static volatile int *volatile nowhere;

static bool
crashes(void *ud, struct jail_answer *out, struct err *err)
{
    *nowhere = 1;
    return true;
}

static bool
exits(void *ud, struct jail_answer *out, struct err *err)
{
    _exit(0);
}

#ifndef SANITIZED
static bool
eats_memory(void *ud, struct jail_answer *out, struct err *err)
{
    static void *volatile last;

    for (int i = 0; i < 1000; i++)
        last = xmalloc((size_t)64 << 20);
    return last != NULL;
}
#endif

static bool
says_too_much(void *ud, struct jail_answer *out, struct err *err)
{
    char big[4096] = { 0 };

    answer(out, big, sizeof big);
    return true;
}

static bool
refuses(void *ud, struct jail_answer *out, struct err *err)
{
    return err_set(err, ERR_MODEL, "byte 17: not so");
}

static void
must_fail(jail_fn fn, const char *says)
{
    struct err err = { 0 };
    char *out;
    size_t len;

    assert_false(jail_run(fn, NULL, NULL, 0, 1024, &out, &len, &err));
    assert_null(out);
    assert_int_equal(err.kind, ERR_MODEL);
    if (!strstr(err.msg, says))
        fail_msg("%s", err.msg);
}

static void
a_bad_end_is_told(void **state)
{
    must_fail(crashes, "made its reader stop");
    must_fail(exits, "made its reader stop");
    must_fail(says_too_much, "more than any model has");
    must_fail(refuses, "byte 17: not so");
#ifdef SANITIZED
    print_message("# SKIPPED: memory has no limit under sanitizers\n");
#else
    must_fail(eats_memory, "made its reader stop");
#endif
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
    assert_int_equal(errno, ECHILD);
}

static bool
crashes_on_text(const struct texts *t, void *ud, struct meta *out,
                struct err *err)
{
    *nowhere = 1;
    return true;
}

static bool
refuses_text(const struct texts *t, void *ud, struct meta *out, struct err *err)
{
    meta_begin(out, "half", 4, META_INT, 3);
    return err_set(err, ERR_MEMORY, "line 3: not so");
}

/* Its own words and kind; where it has none, whose reader it was. */
static void
a_bad_end_of_texts_is_told(void **state)
{
    struct texts t = { 0 };
    struct err err = { 0 };
    struct meta m;

    assert_false(texts_parse(&t, refuses_text, NULL, "it", &m, &err));
    assert_string_equal(err.msg, "line 3: not so");
    assert_int_equal(err.kind, ERR_MEMORY);
    assert_false(texts_parse(&t, crashes_on_text, NULL, "it", &m, &err));
    assert_int_equal(err.kind, ERR_MODEL);
    assert_non_null(strstr(err.msg, "it: the file made its reader stop"));
    assert_null(m.p);
    texts_close(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walls_stand),
        cmocka_unit_test(walls_stand_around_texts),
        cmocka_unit_test(a_bad_end_is_told),
        cmocka_unit_test(a_bad_end_of_texts_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
