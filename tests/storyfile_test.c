/* A story and its file: what is written comes back; what others do to the
 * file, the disk or the rights on it loses nothing. */
#include "src/storyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/crc32c.h"
#include "engine/base/file.h"

#include "src/journal.h"

static char dir[64];

static char *
in_dir(const char *name)
{
    static char path[4][256];
    static int i;
    char *p = path[i++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    return p;
}

static void
remove_tree(const char *path)
{
    char cmd[300];
    snprintf(cmd, sizeof cmd, "chmod -R u+w '%s' && rm -rf '%s'", path, path);
    assert_int_equal(system(cmd), 0);
}

static int
setup(void **state)
{
    strcpy(dir, "/tmp/jielong-test-XXXXXX");
    assert_non_null(mkdtemp(dir));
    setenv("XDG_STATE_HOME", in_dir("state"), 1);
    return 0;
}

static int
teardown(void **state)
{
    journal_fault_hook(NULL, NULL);
    remove_tree(dir);
    return 0;
}

static struct storyfile *
open_story(const char *path)
{
    struct storyfile_options opt = { .create = true };
    struct err err;
    struct storyfile *f = storyfile_open(path, &opt, &err);
    if (!f)
        fail_msg("%s", err.msg);
    return f;
}

static void
type(struct storyfile *f, const char *s)
{
    struct story *st = storyfile_story(f);
    struct story_op op = { .type = OP_EDIT,
                           .p = story_head(st),
                           .at = text_len(story_text(st)),
                           .s = s,
                           .len = strlen(s) };
    struct err err;
    if (!story_apply(st, &op, &err))
        fail_msg("%s", err.msg);
}

static void
assert_story(struct storyfile *f, const char *want)
{
    char *got = text_dup(story_text(storyfile_story(f)), 0, (size_t)-1);
    assert_string_equal(got, want);
    free(got);
}

static void
assert_reopens(const char *path, const char *want)
{
    struct storyfile *f = open_story(path);
    assert_null(storyfile_damage_text(f));
    assert_story(f, want);
    storyfile_close(f);
}

static char *
slurp(const char *path, size_t *len)
{
    char *s;
    struct err err;
    if (!file_read(path, 1 << 30, &s, len, &err))
        fail_msg("%s", err.msg);
    return s;
}

static void
spill(const char *path, const char *s, size_t len)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(s, 1, len, f), len);
    fclose(f);
}

static bool
exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static void
round_trip(void **state)
{
    char *path = in_dir("a.jl");
    struct storyfile *f = open_story(path);
    assert_int_equal(storyfile_state(f), STORYFILE_OK);
    assert_string_equal(storyfile_message(f), "");
    assert_false(exists(path)); /* opening writes nothing */
    type(f, "大雪下了");
    assert_true(exists(path));
    type(f, "\xFF\xFE\"\\\n"); /* not UTF-8 */
    storyfile_close(f);
    f = open_story(path);
    assert_story(f, "大雪下了\xFF\xFE\"\\\n");
    assert_null(storyfile_damage_text(f));
    type(f, "三天");
    storyfile_close(f);
    assert_reopens(path, "大雪下了\xFF\xFE\"\\\n三天");
    size_t n;
    char *s = slurp(path, &n);
    assert_memory_equal(s, "{\"n\":0,\"t\":\"jl\",\"v\":1,\"min\":1,", 30);
    assert_non_null(strstr(s, "\"s\":\"大雪下了\",\"who\":\"me\""));
    free(s);
}

static void
empty_files(void **state)
{
    char *path = in_dir("e.jl");
    for (int i = 0; i < 2; i++) {
        spill(path, "\n", (size_t)i);
        struct storyfile *f = open_story(path);
        assert_story(f, "");
        type(f, "x");
        storyfile_close(f);
        assert_reopens(path, "x");
        unlink(path);
    }
}

static void
no_story(void **state)
{
    const char *texts[] = { "Dear diary,\ntoday\n", "{\"a\":1}\n", "\xFF\xD8\0",
                            "{\"n\":1,\"t\":\"edit\"}\n" };
    const size_t lens[] = { 18, 8, 3, 19 };
    char *path = in_dir("n.jl");
    struct storyfile_options opt = { .create = true };
    for (int i = 0; i < 4; i++) {
        struct err err = { 0 };
        spill(path, texts[i], lens[i]);
        assert_null(storyfile_open(path, &opt, &err));
        assert_int_equal(err.kind, ERR_STORY);
        assert_non_null(strstr(err.msg, "n.jl is not a story file"));
        size_t n;
        char *s = slurp(path, &n);
        assert_int_equal(n, lens[i]);
        assert_memory_equal(s, texts[i], n);
        free(s);
    }
    struct err err = { 0 };
    assert_null(storyfile_open(dir, &opt, &err)); /* a folder */
    assert_int_equal(err.kind, ERR_STORY);
    assert_int_equal(mkfifo(in_dir("fifo"), 0600), 0);
    assert_null(storyfile_open(in_dir("fifo"), &opt, &err));
    assert_int_equal(err.kind, ERR_STORY);
    assert_null(storyfile_open(in_dir("no/such.jl"), &opt, &err));
    assert_int_equal(err.kind, ERR_STORY);
    opt.create = false;
    assert_null(storyfile_open(in_dir("missing.jl"), &opt, &err));
    assert_int_equal(err.kind, ERR_STORY);
}

static void
import_long(void **state)
{
    size_t len = 3000000;
    char *text = malloc(len + 1), *path = in_dir("i.jl");
    for (size_t i = 0; i < len; i += 3)
        memcpy(text + i, i % 300 ? "水" : "\n\n\n", 3);
    text[len] = '\0';
    struct storyfile *f = open_story(path);
    struct err err;
    assert_true(storyfile_import(f, text, len, &err));
    assert_false(storyfile_import(f, text, len, &err));
    assert_int_equal(story_undo_target(storyfile_story(f)), 0);
    storyfile_close(f);
    assert_reopens(path, text);
    free(text);
}

/* What Windows adds goes; everything else stays as it is. */
static void
import_from_windows(void **state)
{
    static const struct {
        const char *from, *to;
    } row[] = { { "\xEF\xBB\xBF甲\r\n乙\r\n", "甲\n乙\n" },
                { "甲\r\r\n\xFF\r\n丙\r", "甲\r\n\xFF\n丙\r" },
                { "甲\r\n乙\n", "甲\r\n乙\n" },
                { "甲\xEF\xBB\xBF", "甲\xEF\xBB\xBF" },
                { "\r", "\r" },
                { "\n\r\n", "\n\r\n" },
                { "\xEF\xBB\xBF", "" } };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char name[16];
        snprintf(name, sizeof name, "w%zu.jl", i);
        struct storyfile *f = open_story(in_dir(name));
        struct err err;
        assert_true(
            storyfile_import(f, row[i].from, strlen(row[i].from), &err));
        assert_story(f, row[i].to);
        storyfile_close(f);
    }
}

static void
second_instance(void **state)
{
    char *path = in_dir("l.jl");
    struct storyfile *a = open_story(path);
    type(a, "one");
    struct storyfile *b = open_story(path);
    assert_int_equal(storyfile_state(b), STORYFILE_READ_ONLY);
    assert_non_null(strstr(storyfile_message(b), "another"));
    assert_story(b, "one");
    struct story_op op = { .type = OP_EDIT, .s = "x", .len = 1 };
    struct err err;
    assert_false(story_apply(storyfile_story(b), &op, &err));
    storyfile_close(b);
    /* A child holds it and is killed: the lock goes with it. */
    storyfile_close(a);
    int told[2];
    char c;
    assert_int_equal(pipe(told), 0);
    pid_t pid = fork();
    if (pid == 0) {
        a = open_story(path);
        if (write(told[1], "x", 1) == 1)
            pause();
        _exit(0);
    }
    assert_int_equal(read(told[0], &c, 1), 1);
    b = open_story(path);
    assert_int_equal(storyfile_state(b), STORYFILE_READ_ONLY);
    storyfile_close(b);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(told[0]);
    close(told[1]);
    b = open_story(path);
    assert_int_equal(storyfile_state(b), STORYFILE_OK);
    storyfile_close(b);
}

/* The only file in dir whose name begins so. */
static char *
find_file(const char *name)
{
    char cmd[300], *out = calloc(1, 300);
    snprintf(cmd, sizeof cmd, "ls %s/%s* 2>/dev/null", dir, name);
    FILE *p = popen(cmd, "r");
    if (fgets(out, 299, p))
        out[strcspn(out, "\n")] = '\0';
    pclose(p);
    return out;
}

static void
others_at_the_file(void **state)
{
    for (int how = 0; how < 5; how++) {
        char name[32];
        snprintf(name, sizeof name, "o%d.jl", how);
        char *path = in_dir(name);
        struct storyfile *f = open_story(path);
        type(f, "甲");
        type(f, "乙");
        size_t n;
        char *s = slurp(path, &n);
        switch (how) {
        case 0: /* another file takes the name */
            spill(in_dir("other"), "theirs\n", 7);
            assert_int_equal(rename(in_dir("other"), path), 0);
            break;
        case 1: /* lines appended */
            spill(in_dir("more"), s, n);
            int fd = open(path, O_WRONLY | O_APPEND);
            assert_int_equal(write(fd, "theirs\n", 7), 7);
            close(fd);
            break;
        case 2: /* written over in place */
            spill(path, "theirs, all of it\n", 18);
            break;
        case 3: /* cut short */ assert_int_equal(truncate(path, 10), 0); break;
        case 4: /* removed */ unlink(path); break;
        }
        free(s);
        storyfile_tick(f, 0);
        assert_true(storyfile_message(f)[0]);
        type(f, "丙");
        type(f, "丁");
        char *now = strdup(storyfile_path(f));
        assert_true(storyfile_message(f)[0]);
        storyfile_close(f);
        if (how == 4) {
            assert_string_equal(now, path);
        } else {
            snprintf(name, sizeof name, "o%d.jl.conflict-", how);
            char *found = find_file(name);
            assert_string_equal(found, now);
            free(found);
        }
        assert_reopens(now, "甲乙丙丁");
        free(now);
    }
}

struct faults {
    enum journal_call call;
    int error, from, to, n;
    size_t room; /* WRITE: bytes that still fit; 0: no limit */
    bool limited;
};

static int
fault(void *ud, enum journal_call call, size_t *len)
{
    struct faults *f = ud;
    if (call != f->call)
        return 0;
    if (f->limited) {
        if (!f->room)
            return f->error;
        if (*len > f->room)
            *len = f->room;
        f->room -= *len;
        return 0;
    }
    f->n++;
    return f->n >= f->from && f->n < f->to ? f->error : 0;
}

static void
full_disk(void **state)
{
    /* Whatever fits, the file is whole lines and goes on when there is room. */
    for (size_t room = 0; room < 400; room += 7) {
        char *path = in_dir("f.jl");
        struct faults x = { .call = JOURNAL_CALL_WRITE,
                            .error = ENOSPC,
                            .room = room,
                            .limited = true };
        struct storyfile *f = open_story(path);
        journal_fault_hook(fault, &x);
        type(f, "甲");
        type(f, "乙");
        type(f, "丙");
        if (room < 300) {
            assert_int_equal(storyfile_state(f), STORYFILE_FAILING);
            assert_non_null(strstr(storyfile_message(f), strerror(ENOSPC)));
            assert_true(storyfile_dirty(f));
        }
        assert_story(f, "甲乙丙");
        struct storyfile_options ro = { .read_only = true };
        struct err err;
        if (exists(path)) { /* what is there is whole */
            struct storyfile *g = storyfile_open(path, &ro, &err);
            assert_non_null(g);
            assert_null(storyfile_damage_text(g));
            storyfile_close(g);
        }
        x.limited = false;
        storyfile_tick(f, 1000);
        assert_int_equal(storyfile_state(f), STORYFILE_OK);
        assert_string_equal(storyfile_message(f), "");
        type(f, "丁");
        journal_fault_hook(NULL, NULL);
        storyfile_close(f);
        assert_reopens(path, "甲乙丙丁");
        unlink(path);
    }
}

/* Neither the write nor taking back half of it works. */
static int
fault_cut_and_stuck(void *ud, enum journal_call call, size_t *len)
{
    int *left = ud;
    if (call == JOURNAL_CALL_TRUNCATE)
        return EIO;
    if (call != JOURNAL_CALL_WRITE)
        return 0;
    if (*left <= 0)
        return ENOSPC;
    if (*len > (size_t)*left)
        *len = (size_t)*left;
    *left -= (int)*len;
    return 0;
}

static void
half_a_line_stays(void **state)
{
    for (int left = 150; left < 400; left += 11) {
        char *path = in_dir("h.jl");
        struct storyfile *f = open_story(path);
        int n = left;
        journal_fault_hook(fault_cut_and_stuck, &n);
        type(f, "甲");
        type(f, "乙");
        type(f, "丙");
        journal_fault_hook(NULL, NULL);
        storyfile_tick(f, 1000);
        assert_int_equal(storyfile_state(f), STORYFILE_OK);
        storyfile_close(f);
        f = open_story(path);
        assert_story(f, "甲乙丙");
        assert_int_equal(storyfile_damage(f)->gaps, 0);
        storyfile_close(f);
        unlink(path);
    }
}

static void
file_size_limit(void **state)
{
    char *path = in_dir("r.jl");
    pid_t pid = fork();
    if (pid == 0) {
        struct storyfile *f = open_story(path);
        struct rlimit lim;
        getrlimit(RLIMIT_FSIZE, &lim);
        lim.rlim_cur = 1500;
        setrlimit(RLIMIT_FSIZE, &lim);
        for (int i = 0; i < 50; i++)
            type(f, "字");
        if (storyfile_state(f) != STORYFILE_FAILING)
            _exit(1);
        lim.rlim_cur = lim.rlim_max;
        setrlimit(RLIMIT_FSIZE, &lim);
        storyfile_tick(f, 1000);
        if (storyfile_state(f) != STORYFILE_OK)
            _exit(2);
        storyfile_close(f);
        _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    struct storyfile *f = open_story(path);
    assert_null(storyfile_damage_text(f));
    assert_int_equal(text_len(story_text(storyfile_story(f))), 150);
    storyfile_close(f);
}

static void
wait_till(struct storyfile *f, bool (*there)(struct storyfile *f))
{
    for (int i = 0; i < 3000 && !there(f); i++) {
        storyfile_commit(f);
        usleep(2000);
        storyfile_tick(f, i);
    }
    assert_true(there(f));
}

static bool
all_is_synced(struct storyfile *f)
{
    return storyfile_state(f) == STORYFILE_OK && !storyfile_dirty(f);
}

static bool
is_failing(struct storyfile *f)
{
    return storyfile_state(f) == STORYFILE_FAILING;
}

static void
sync_error(void **state)
{
    char *path = in_dir("s.jl");
    struct stat before, after;
    spill(in_dir("target"), "", 0); /* through a symbolic link, which stays */
    assert_int_equal(chmod(in_dir("target"), 0640), 0);
    assert_int_equal(symlink("target", path), 0);
    struct storyfile *f = open_story(path);
    type(f, "甲");
    wait_till(f, all_is_synced);
    assert_int_equal(stat(path, &before), 0);
    struct faults x = {
        .call = JOURNAL_CALL_SYNC, .error = EIO, .from = 1, .to = 2
    };
    journal_fault_hook(fault, &x);
    type(f, "乙");
    wait_till(f, is_failing);
    type(f, "丙");
    wait_till(f, all_is_synced);
    type(f, "丁");
    wait_till(f, all_is_synced);
    assert_true(storyfile_message(f)[0]);
    assert_int_equal(stat(path, &after), 0);
    assert_true(before.st_ino != after.st_ino); /* a fresh file */
    assert_int_equal(after.st_mode & 0777, 0640);
    assert_int_equal(lstat(path, &after), 0);
    assert_true(S_ISLNK(after.st_mode));
    char *left = find_file("s.jl.fresh");
    assert_string_equal(left, "");
    free(left);
    journal_fault_hook(NULL, NULL);
    struct storyfile *g = open_story(path); /* and it is locked */
    assert_int_equal(storyfile_state(g), STORYFILE_READ_ONLY);
    storyfile_close(g);
    storyfile_close(f);
    assert_reopens(path, "甲乙丙丁");
}

static int gate[2];

static int
hang(void *ud, enum journal_call call, size_t *len)
{
    char c;
    if (call == JOURNAL_CALL_SYNC || (call == JOURNAL_CALL_WRITE && ud))
        return read(gate[0], &c, 1) == 1 ? 0 : EIO;
    return 0;
}

static void
stuck_disk(void **state)
{
    char *path = in_dir("d.jl");
    assert_int_equal(pipe(gate), 0);
    struct storyfile *f = open_story(path);
    type(f, "甲");
    journal_fault_hook(hang, &gate);
    storyfile_commit(f);
    usleep(50000); /* the syncer hangs; writes would too */
    type(f, "乙"); /* returns all the same, or the test never ends */
    type(f, "丙");
    assert_int_equal(storyfile_state(f), STORYFILE_FAILING);
    storyfile_tick(f, 0);
    assert_int_equal(storyfile_state(f), STORYFILE_FAILING);
    assert_int_equal(write(gate[1], "xxxxxxxx", 8), 8);
    journal_fault_hook(NULL, NULL);
    wait_till(f, all_is_synced);
    close(gate[0]);
    close(gate[1]);
    storyfile_close(f);
    assert_reopens(path, "甲乙丙");
}

static bool
holds(struct storyfile *f, const char *want)
{
    char *got = text_dup(story_text(storyfile_story(f)), 0, (size_t)-1);
    bool same = !strcmp(got, want);
    free(got);
    return same;
}

/* 0, or the number of the step that went wrong; in a child. */
static int
without_rights(const char *path, const char *fresh)
{
    if (mkdir(in_dir("ro"), 0755) != 0)
        return 97;
    struct storyfile *f = open_story(path);
    type(f, "甲");
    storyfile_close(f);
    chmod(path, 0444);
    if (chmod(in_dir("ro"), 0555) != 0)
        return 98;
    f = open_story(path); /* a file that may not be written */
    if (storyfile_state(f) != STORYFILE_ELSEWHERE)
        return 1;
    type(f, "乙");
    if (!strstr(storyfile_path(f), "/state/jielong/recover/p-"))
        return 2;
    storyfile_close(f);
    f = open_story(path); /* and is found again */
    if (storyfile_state(f) != STORYFILE_ELSEWHERE || !*storyfile_message(f) ||
        !holds(f, "甲乙"))
        return 3;
    type(f, "丙");
    storyfile_close(f);
    f = open_story(path);
    if (!holds(f, "甲乙丙"))
        return 4;
    storyfile_close(f);
    f = open_story(fresh); /* a new one in a folder that is read-only */
    type(f, "丁");
    if (storyfile_state(f) != STORYFILE_ELSEWHERE)
        return 5;
    storyfile_close(f);
    f = open_story(fresh);
    if (!holds(f, "丁"))
        return 6;
    storyfile_close(f);
    if (exists(fresh))
        return 7;
    /* It may be written again: the story that went on is mentioned. */
    if (chmod(in_dir("ro"), 0755) != 0 || chmod(path, 0644) != 0)
        return 97;
    f = open_story(path);
    if (storyfile_state(f) != STORYFILE_OK || !holds(f, "甲") ||
        !strstr(storyfile_damage_text(f), "/state/jielong/recover/p-"))
        return 8;
    storyfile_close(f);
    return 0;
}

static void
no_rights(void **state)
{
    /* As nobody, since rights do not bind root. */
    char path[256], fresh[256];
    strcpy(path, in_dir("ro/p.jl"));
    strcpy(fresh, in_dir("ro/new.jl"));
    assert_int_equal(mkdir(in_dir("state"), 0777), 0);
    assert_int_equal(chmod(dir, 0777), 0);
    assert_int_equal(chmod(in_dir("state"), 0777), 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)
                  ? 99
                  : without_rights(path, fresh));
    int status;
    waitpid(pid, &status, 0);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 99) {
        print_message("SKIPPED: cannot become another user here\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void
newer_format(void **state)
{
    char *path = in_dir("v.jl");
    struct bytes b = { 0 };
    struct story_op jl = {
        .type = OP_HEAD_LINE, .v = 9, .min = 9, .app = "jielong 9", .id = "x"
    };
    struct story_op ed = { .type = OP_EDIT, .n = 1, .s = "text", .len = 4 };
    record_write(&jl, &b);
    record_write(&ed, &b);
    spill(path, b.s, b.n);
    free(b.s);
    struct storyfile *f = open_story(path);
    assert_int_equal(storyfile_state(f), STORYFILE_READ_ONLY);
    assert_non_null(strstr(storyfile_message(f), "newer"));
    assert_story(f, "text");
    storyfile_close(f);
}

static void
unknown_records_stay(void **state)
{
    char *path = in_dir("u.jl");
    struct storyfile *f = open_story(path);
    type(f, "甲");
    storyfile_close(f);
    /* A record of a type of tomorrow, and one with a member of tomorrow. */
    size_t n, m;
    char *s = slurp(path, &n);
    spill(path, s, n);
    FILE *out = fopen(path, "ab");
    const char *sing = "{\"n\":2,\"t\":\"sing\",\"la\":[1,{\"s\":2}]";
    fprintf(out, "%s,\"c\":\"%08x\"}\n", sing, crc32c(0, sing, strlen(sing)));
    fclose(out);
    free(s);
    f = open_story(path);
    assert_null(storyfile_damage_text(f));
    type(f, "乙");
    storyfile_close(f);
    s = slurp(path, &m);
    assert_non_null(strstr(s, "\"t\":\"sing\",\"la\":[1,{\"s\":2}]"));
    free(s);
    f = open_story(path);
    assert_story(f, "甲乙");
    storyfile_close(f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(empty_files),
        cmocka_unit_test(no_story),
        cmocka_unit_test(import_long),
        cmocka_unit_test(import_from_windows),
        cmocka_unit_test(second_instance),
        cmocka_unit_test(others_at_the_file),
        cmocka_unit_test(full_disk),
        cmocka_unit_test(half_a_line_stays),
        cmocka_unit_test(file_size_limit),
        cmocka_unit_test(sync_error),
        cmocka_unit_test(stuck_disk),
        cmocka_unit_test(no_rights),
        cmocka_unit_test(newer_format),
        cmocka_unit_test(unknown_records_stay),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
