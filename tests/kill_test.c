/* Killed at every instant: a child runs a scripted session and is killed by
 * SIGKILL right before its n-th system call that changes a file, for every n;
 * the same with the call half done. After each op it tells its parent, as the
 * screen would show it. The parent opens the file: nothing shown is lost. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "src/journal.h"
#include "src/storyfile.h"

#include "tests/story_folder.h"


static void
clear(void)
{
    char cmd[128];
    snprintf(cmd, sizeof cmd, "rm -rf '%s'/*", dir);
    assert_int_equal(system(cmd), 0);
}

/* --- the child --- */

struct fate {
    int at;              /* of which call */
    bool half;           /* a write of half its bytes goes through before */
    int sync_fails;      /* which sync reports an error; 0: none */
    atomic_int n, syncs; /* two threads call */
};

static int
fate(void *ud, enum journal_call call, size_t *len)
{
    struct fate *f = ud;
    if (++f->n == f->at) {
        if (!f->half || call != JOURNAL_CALL_WRITE)
            raise(SIGKILL);
        *len /= 2;
        return 0;
    }
    if (f->half && f->n > f->at)
        raise(SIGKILL);
    if (call == JOURNAL_CALL_SYNC && ++f->syncs == f->sync_fails)
        return EIO;
    return 0;
}

struct shown {
    int fd;
    struct story *s;
};

/* Watches after the journal: what it tells has been painted. */
static void
show(void *ud, const struct story_op *op)
{
    struct shown *x = ud;
    char buf[600];
    size_t n = text_read(story_text(x->s), 0, buf + 2, sizeof buf - 2);
    buf[0] = (char)(n & 255);
    buf[1] = (char)(n >> 8);
    if (write(x->fd, buf, n + 2) != (ssize_t)(n + 2))
        _exit(3);
}

static void
apply(struct story *s, struct story_op op)
{
    struct err err;
    if (!story_apply(s, &op, &err))
        _exit(4);
}

static void
session(struct storyfile *f, struct fate *x)
{
    struct story *s = storyfile_story(f);
    struct op_token t = { 5, -1, -1 };
    uint32_t len = 3;
    for (int i = 0; i < 4; i++) {
        size_t at = text_len(story_text(s));
        apply(s, (struct story_op){ .type = OP_EDIT,
                                    .p = story_head(s),
                                    .at = at,
                                    .s = "雪",
                                    .len = 3 });
        apply(s, (struct story_op){ .type = OP_ADD,
                                    .of = story_head(s),
                                    .at = at + 3,
                                    .s = "夜",
                                    .len = 3 });
        storyfile_commit(f);
        apply(s,
              (struct story_op){
                  .type = OP_RUN, .p = story_head(s), .at = at + 6, .run = 1 });
        for (int k = 0; k < 3; k++)
            apply(s, (struct story_op){ .type = OP_TOK,
                                        .of = story_head(s),
                                        .tok = &t,
                                        .tok_len = &len,
                                        .n_tok = 1,
                                        .s = "风",
                                        .len = 3 });
        apply(s, (struct story_op){ .type = OP_END,
                                    .of = story_head(s),
                                    .why = GEN_WHY_USER });
        storyfile_commit(f);
        if (x->sync_fails) /* the syncer's turn */
            for (int k = 0; k < 5; k++) {
                usleep(500);
                storyfile_tick(f, 0);
            }
        apply(s,
              (struct story_op){ .type = OP_HEAD, .to = story_undo_target(s) });
        apply(s,
              (struct story_op){ .type = OP_HEAD, .to = story_redo_target(s) });
    }
}

/* Exits 0 when it came to the end alive. */
static void
child(struct fate *x, int fd)
{
    struct storyfile_options opt = { .create = true };
    struct err err;
    journal_fault_hook(fate, x);
    struct storyfile *f = storyfile_open(path, &opt, &err);
    if (!f)
        _exit(2);
    struct shown w = { fd, storyfile_story(f) };
    story_on_op(storyfile_story(f), show, &w);
    session(f, x);
    storyfile_close(f);
    _exit(0);
}

/* --- the parent --- */

/* Runs a session with this fate; true when it was not killed. The last text
 * it showed is left in shown. */
static bool
run(struct fate x, char shown[600])
{
    int p[2], status;
    unsigned char head[2];
    assert_int_equal(pipe(p), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(p[0]);
        child(&x, p[1]);
    }
    close(p[1]);
    shown[0] = '\0';
    while (read(p[0], head, 2) == 2) {
        size_t n = head[0] | (size_t)head[1] << 8, got = 0;
        while (got < n) {
            ssize_t r = read(p[0], shown + got, n - got);
            assert_true(r > 0);
            got += (size_t)r;
        }
        shown[n] = '\0';
    }
    close(p[0]);
    waitpid(pid, &status, 0);
    if (WIFEXITED(status))
        assert_int_equal(WEXITSTATUS(status), 0);
    else
        assert_int_equal(WTERMSIG(status), SIGKILL);
    return WIFEXITED(status);
}

/* Is all that was shown in the file, with one op more at most? */
static void
assert_kept(const char *shown, int at)
{
    struct storyfile_options opt = { .create = true };
    struct err err;
    struct storyfile *f = storyfile_open(path, &opt, &err);
    if (!f)
        fail_msg("killed at call %d: %s", at, err.msg);
    if (storyfile_state(f) != STORYFILE_OK)
        fail_msg("killed at call %d: %s", at, storyfile_message(f));
    struct story *s = storyfile_story(f);
    if (storyfile_damage(f)->gaps || storyfile_damage(f)->bad_lines)
        fail_msg("killed at call %d: %s", at, storyfile_damage_text(f));
    char *t = text_dup(story_text(s), 0, (size_t)-1);
    bool kept = !strcmp(t, shown);
    /* Written, and killed before it was told. */
    for (uint64_t n = story_next_n(s); !kept && n-- > 0;) {
        const struct text *v = story_node_text(s, n);
        char *u = v ? text_dup(v, 0, (size_t)-1) : NULL;
        kept = u && !strncmp(u, shown, strlen(shown));
        free(u);
    }
    if (!kept)
        fail_msg("killed at call %d: \"%s\" was shown, \"%s\" is there", at,
                 shown, t);
    free(t);
    /* And it goes on. */
    size_t len = text_len(story_text(s));
    apply(s, (struct story_op){ .type = OP_EDIT,
                                .p = story_head(s),
                                .at = len,
                                .s = "完",
                                .len = 3 });
    storyfile_close(f);
    f = storyfile_open(path, &opt, &err);
    assert_non_null(f);
    assert_int_equal(text_len(story_text(storyfile_story(f))), len + 3);
    storyfile_close(f);
    clear();
}

static void
sweep(bool half, int sync_fails)
{
    char shown[600];
    int at = 1;
    bool alive = false;
    for (; !alive && at < 2000; at++) {
        struct fate x = { .at = at, .half = half, .sync_fails = sync_fails };
        alive = run(x, shown);
        assert_kept(shown, at);
    }
    assert_true(alive);
    assert_true(at > 30); /* it was killed that often */
}

static void
killed_at_every_call(void **state)
{
    sweep(false, 0);
}

static void
killed_with_half_a_write(void **state)
{
    sweep(true, 0);
}

static void
killed_while_renewing(void **state)
{
    sweep(false, 1);
    sweep(false, 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_at_every_call),
        cmocka_unit_test(killed_with_half_a_write),
        cmocka_unit_test(killed_while_renewing),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
