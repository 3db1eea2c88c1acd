/* tests/base_test.c  Messages, memory, files, sums. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/crc32c.h"
#include "engine/base/err.h"
#include "engine/base/file.h"
#include "engine/base/mem.h"
#include "engine/base/sha256.h"

/* --- err --- */

static void
messages_travel_up(void **state)
{
    struct err e = { 0 };

    assert_false(err_set(&e, ERR_MODEL, "tensor %s at %d", "wte", 7));
    assert_false(err_wrap(&e, "%s", "model.safetensors"));
    assert_string_equal(e.msg, "model.safetensors: tensor wte at 7");
    assert_int_equal(e.kind, ERR_MODEL);
    err_errno(&e, ERR_STORY, ENOENT, "%s cannot be opened", "a.jl");
    assert_string_equal(e.msg, "a.jl cannot be opened: "
                               "No such file or directory");
    assert_int_equal(e.kind, ERR_STORY);
    err_set(&e, ERR_MODEL, "again: %s", e.msg);
    assert_string_equal(e.msg, "again: a.jl cannot be opened: "
                               "No such file or directory");
    assert_false(err_set(NULL, ERR_FAILED, "x"));
    assert_false(err_wrap(NULL, "x"));
    assert_false(err_errno(NULL, ERR_FAILED, EIO, "x"));
}

static void
messages_are_safe_to_show(void **state)
{
    struct err e = { 0 };
    size_t i;
    char longer[4000];

    err_set(&e, ERR_MODEL,
            "a\x1b[31m\nb\x7f\xff\xC2\x9B\xE2\x80\xAE"
            "\xE6\x8E\xA5z");
    assert_string_equal(e.msg, "a?[31m?b????\xE6\x8E\xA5z");
    for (i = 0; i + 3 < sizeof longer; i += 3)
        memcpy(longer + i, "\xE9\xBE\x99", 3);
    longer[i] = '\0';
    err_set(&e, ERR_MODEL, "%s", longer);
    assert_int_equal(strlen(e.msg), (sizeof e.msg - 1) / 3 * 3);
    assert_int_equal((unsigned char)e.msg[strlen(e.msg) - 1], 0x99);
    err_wrap(&e, "%s", longer);
    assert_int_equal(strlen(e.msg), (sizeof e.msg - 1) / 3 * 3);
}

static void
exit_statuses(void **state)
{
    assert_int_equal(err_exit_status(ERR_NONE), 0);
    assert_int_equal(err_exit_status(ERR_FAILED), 1);
    assert_int_equal(err_exit_status(ERR_USAGE), 2);
    assert_int_equal(err_exit_status(ERR_MODEL), 3);
    assert_int_equal(err_exit_status(ERR_MEMORY), 3);
    assert_int_equal(err_exit_status(ERR_STORY), 4);
    assert_int_equal(err_exit_status(ERR_CANCELLED), 130);
}

/* --- mem --- */

static void
large_blocks(void **state)
{
    static const size_t sizes[] = {
        0, 1, 63, 64, 4096, (2 << 20) - 64, 2 << 20, (5 << 20) + 3
    };
    struct err e = { 0 };
    size_t i, k;

    for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *p = mem_big(sizes[i], 1, "a block", &e);

        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 64, 0);
        for (k = 0; k < sizes[i]; k += k + 17 < sizes[i] ? 17 : 1)
            assert_int_equal(p[k], 0);
        memset(p, 0xAB, sizes[i]);
        mem_big_free(p);
    }
    mem_big_free(NULL);
    assert_int_equal(e.kind, ERR_NONE);
}

static void
impossible_blocks_are_refused(void **state)
{
    struct err e = { 0 };

    assert_null(mem_big(SIZE_MAX / 2, 4, "the weights", &e));
    assert_int_equal(e.kind, ERR_MEMORY);
    assert_non_null(strstr(e.msg, "the weights"));
    e.msg[0] = '\0';
    assert_null(mem_big((size_t)1 << 60, 1, "the cache", &e));
    assert_int_equal(e.kind, ERR_MEMORY);
    assert_non_null(strstr(e.msg, "the cache"));
    assert_non_null(strstr(e.msg, "1152921504606846976"));
}

static void
arrays_grow(void **state)
{
    size_t cap = 0, i;
    int *v = NULL;

    for (i = 0; i < 1000; i++) {
        v = mem_grow(v, &cap, i + 1, sizeof *v);
        assert_true(cap > i);
        v[i] = (int)i;
    }
    v = mem_grow(v, &cap, 5000, sizeof *v);
    assert_true(cap >= 5000);
    for (i = 0; i < 1000; i++)
        assert_int_equal(v[i], i);
    free(v);
}

static void
say_goodbye(void)
{
    (void)!write(STDOUT_FILENO, "hook\n", 5);
}

static void
small_memory_gone_ends_in_order(void **state)
{
    int fd[2], status;
    char said[16] = { 0 };
    pid_t pid;

    assert_int_equal(pipe(fd), 0);
    pid = fork();
    if (pid == 0) {
        size_t cap = SIZE_MAX / 2 + 1;

        dup2(fd[1], STDOUT_FILENO);
        close(STDERR_FILENO);
        mem_on_failure(say_goodbye);
        mem_grow(NULL, &cap, SIZE_MAX, 1);
        _exit(77);
    }
    close(fd[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    assert_int_equal(read(fd[0], said, sizeof said), 5);
    assert_string_equal(said, "hook\n");
    close(fd[0]);
}

static void
strings(void **state)
{
    char *s = xasprintf("%d-%s", 7, "x"), *t = xstrndup(s, 2);

    assert_string_equal(s, "7-x");
    assert_string_equal(t, "7-");
    free(s);
    free(t);
    t = xstrndup("ab", 99);
    assert_string_equal(t, "ab");
    free(t);
}

/* --- sums --- */

static void
crc32c_vectors(void **state)
{
    unsigned char b[32];
    static unsigned char big[5000];
    size_t i, n;

    /* RFC 3720, B.4 */
    memset(b, 0, 32);
    assert_int_equal(crc32c(0, b, 32), 0x8a9136aa);
    memset(b, 0xFF, 32);
    assert_int_equal(crc32c(0, b, 32), 0x62a8ab43);
    for (i = 0; i < 32; i++)
        b[i] = (unsigned char)i;
    assert_int_equal(crc32c(0, b, 32), 0x46dd794e);
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c_by_table(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c(0, "", 0), 0);
    for (i = 0; i < sizeof big; i++)
        big[i] = (unsigned char)(i * i >> 3 ^ i);
    for (n = 0; n < sizeof big; n += 37) {
        uint32_t all = crc32c(0, big, n);

        assert_int_equal(crc32c_by_table(0, big, n), all);
        assert_int_equal(crc32c(crc32c(0, big, n / 3), big + n / 3, n - n / 3),
                         all);
        assert_int_equal(crc32c_by_table(crc32c(0, big, n / 3), big + n / 3,
                                         n - n / 3),
                         all);
    }
}

static void
sha256_vectors(void **state)
{
    struct sha256 *s = sha256_new();
    char hex[65];

    sha256_add(s, "ab", 2);
    sha256_add(s, "", 0);
    sha256_add(s, "c", 1);
    sha256_finish(s, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223"
                             "b00361a396177a9cb410ff61f20015ad");
    sha256_finish(sha256_new(), hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb924"
                             "27ae41e4649b934ca495991b7852b855");
}

/* --- file --- */

static char dir[] = "/tmp/jielong-base-XXXXXX";

static const char *
at(const char *name)
{
    static char path[4][256];
    static int turn;

    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof *path, "%s/%s", dir, name);
    return path[turn];
}

static void
expect(const char *name, const char *text)
{
    struct err e = { 0 };
    char *p;
    size_t n;

    if (!file_read(at(name), 100, &p, &n, &e))
        fail_msg("%s", e.msg);
    assert_int_equal(n, strlen(text));
    assert_string_equal(p, text);
    free(p);
}

static int
files_in_folder(void)
{
    char *cmd = xasprintf("ls -A '%s' | wc -l", dir), out[16] = "";
    FILE *f = popen(cmd, "r");

    assert_non_null(fgets(out, sizeof out, f));
    pclose(f);
    free(cmd);
    return atoi(out);
}

static int
make_folder(void **state)
{
    return mkdtemp(dir) ? 0 : -1;
}

static int
remove_folder(void **state)
{
    char *cmd = xasprintf("rm -rf '%s'", dir);
    int rc = system(cmd);

    free(cmd);
    return rc;
}

static void
reading(void **state)
{
    struct err e = { 0 };
    char *p, buf[8];
    size_t n;
    int fd;

    assert_true(file_replace(at("r"), "hello", 5, &e));
    expect("r", "hello");
    assert_false(file_read(at("r"), 4, &p, &n, &e));
    assert_non_null(strstr(e.msg, "/r "));
    assert_false(file_read(at("none"), 4, &p, &n, &e));
    assert_non_null(strstr(e.msg, "No such file"));
    assert_false(file_read(dir, 4, &p, &n, &e));
    assert_non_null(strstr(e.msg, "folder"));
    assert_int_equal(mkfifo(at("fifo"), 0600), 0);
    assert_false(file_read(at("fifo"), 4, &p, &n, &e)); /* does not hang */
    assert_non_null(strstr(e.msg, "regular"));
    fd = open(at("r"), O_RDONLY);
    assert_true(file_pread(fd, buf, 3, 2, "r", &e));
    assert_memory_equal(buf, "llo", 3);
    assert_false(file_pread(fd, buf, 4, 2, "r", &e));
    assert_non_null(strstr(e.msg, "byte 5"));
    close(fd);
    unlink(at("fifo"));
    unlink(at("r"));
}

static void
replacing_keeps_what_a_file_is(void **state)
{
    struct err e = { 0 };
    struct stat a, b;

    /* mode, and a new inode */
    assert_true(file_replace_lazily(at("m"), "0", 1, &e));
    expect("m", "0");
    assert_true(file_replace_lazily(at("m"), "one", 3, &e));
    expect("m", "one");
    assert_int_equal(chmod(at("m"), 0640), 0);
    assert_int_equal(stat(at("m"), &a), 0);
    assert_true(file_replace(at("m"), "two!", 4, &e));
    assert_int_equal(stat(at("m"), &b), 0);
    assert_int_equal(b.st_mode & 07777, 0640);
    assert_int_not_equal(a.st_ino, b.st_ino);
    expect("m", "two!");
    /* symbolic links, relative, in a row, and to nothing yet */
    assert_int_equal(symlink("m", at("l1")), 0);
    assert_int_equal(symlink(at("l1"), at("l2")), 0);
    assert_true(file_replace(at("l2"), "three", 5, &e));
    expect("m", "three");
    assert_int_equal(lstat(at("l2"), &a), 0);
    assert_true(S_ISLNK(a.st_mode));
    assert_int_equal(symlink("new", at("l3")), 0);
    assert_true(file_replace(at("l3"), "four", 4, &e));
    expect("new", "four");
    assert_int_equal(symlink("loop", at("loop")), 0);
    assert_false(file_replace(at("loop"), "x", 1, &e));
    /* hard links */
    assert_int_equal(link(at("m"), at("h")), 0);
    assert_int_equal(stat(at("m"), &a), 0);
    assert_true(file_replace(at("h"), "5", 1, &e));
    expect("m", "5");
    assert_int_equal(stat(at("m"), &b), 0);
    assert_int_equal(a.st_ino, b.st_ino);
    /* not files */
    assert_int_equal(mkfifo(at("fifo"), 0600), 0);
    assert_false(file_replace(at("fifo"), "x", 1, &e));
    assert_int_equal(stat(at("fifo"), &a), 0);
    assert_true(S_ISFIFO(a.st_mode));
    assert_false(file_replace(dir, "x", 1, &e));
    assert_false(file_replace(at("no/such"), "x", 1, &e));
    /* m h new fifo l1 l2 l3 loop: nothing else was left behind */
    assert_int_equal(files_in_folder(), 8);
}

/* A full disk, played by a limit on the size of files: the old text stays. */
static void
a_failed_write_changes_nothing(void **state)
{
    static char big[20000];
    struct err e = { 0 };
    int status;
    pid_t pid;

    assert_true(file_replace(at("old"), "precious", 8, &e));
    pid = fork();
    if (pid == 0) {
        struct rlimit lim = { 4096, 4096 };

        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &lim);
        _exit(!file_replace(at("old"), big, sizeof big, &e) &&
                      strstr(e.msg, "untouched")
                  ? 0
                  : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    expect("old", "precious");
    assert_int_equal(files_in_folder(), 9);
}

static void
folders_are_made(void **state)
{
    struct err e = { 0 };
    struct stat st;

    assert_true(file_make_dirs(at("a/b//c/"), &e));
    assert_true(file_make_dirs(at("a/b/c"), &e));
    assert_int_equal(stat(at("a/b/c"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_false(file_make_dirs(at("m/x"), &e));
    assert_non_null(strstr(e.msg, "not a folder"));
}

static void
writing_tells_how_far(void **state)
{
    size_t done = 99;
    int fd = open("/dev/full", O_WRONLY);

    if (fd < 0)
        skip();
    assert_false(file_write_all(fd, "abc", 3, &done));
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(done, 0);
    close(fd);
}

/* A limit of this process is no less a limit than the machine's memory. */
static void
limits_leave_less(void **state)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        FILE *f = fopen("/proc/self/statm", "re");
        unsigned long pages = 0;
        struct rlimit r;

        if (!f || fscanf(f, "%lu", &pages) != 1)
            _exit(1);
        fclose(f);
        r.rlim_cur = r.rlim_max = pages * 4096 + (64 << 20);
        if (setrlimit(RLIMIT_AS, &r) != 0)
            _exit(2);
        _exit(mem_available() <= 64 << 20 && mem_available() > 0 ? 0 : 3);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(mem_available() > 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_travel_up),
        cmocka_unit_test(messages_are_safe_to_show),
        cmocka_unit_test(exit_statuses),
        cmocka_unit_test(large_blocks),
        cmocka_unit_test(impossible_blocks_are_refused),
        cmocka_unit_test(arrays_grow),
        cmocka_unit_test(small_memory_gone_ends_in_order),
        cmocka_unit_test(strings),
        cmocka_unit_test(crc32c_vectors),
        cmocka_unit_test(sha256_vectors),
        cmocka_unit_test(reading),
        cmocka_unit_test(replacing_keeps_what_a_file_is),
        cmocka_unit_test(a_failed_write_changes_nothing),
        cmocka_unit_test(folders_are_made),
        cmocka_unit_test(writing_tells_how_far),
        cmocka_unit_test(limits_leave_less),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
