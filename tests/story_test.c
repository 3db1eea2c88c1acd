/* The story in memory: steps, versions, tokens, windows. */
#include "src/story.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint32_t rng = 7;

static uint32_t
rnd(uint32_t n)
{
    rng = rng * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)rng * n) >> 32);
}

static uint64_t
apply(struct story *s, struct story_op op)
{
    struct err err;
    if (!story_apply(s, &op, &err))
        fail_msg("%s", err.msg);
    return op.n;
}

static bool
refused(struct story *s, struct story_op op)
{
    struct err err = { 0 };
    uint64_t n = story_next_n(s);
    bool ok = story_apply(s, &op, &err);
    assert_int_equal(story_next_n(s), n + ok);
    return !ok && err.kind == ERR_STORY && err.msg[0];
}

static uint64_t
edit(struct story *s, size_t at, size_t del, const char *str)
{
    return apply(s, (struct story_op){ .type = OP_EDIT,
                                       .p = story_head(s),
                                       .at = at,
                                       .del = del,
                                       .s = str,
                                       .len = strlen(str) });
}

static void
add(struct story *s, size_t at, size_t del, const char *str)
{
    apply(s, (struct story_op){ .type = OP_ADD,
                                .of = story_open_node(s),
                                .at = at,
                                .del = del,
                                .s = str,
                                .len = strlen(str) });
}

static void
head(struct story *s, uint64_t to)
{
    apply(s, (struct story_op){ .type = OP_HEAD, .to = to });
}

static uint64_t
run(struct story *s, uint64_t p, size_t at, uint32_t m)
{
    return apply(s, (struct story_op){ .type = OP_RUN,
                                       .p = p,
                                       .at = at,
                                       .m = m,
                                       .seed = 1,
                                       .run = story_runs(s) + 1 });
}

static uint64_t
run_aside(struct story *s, uint64_t p, size_t at, uint32_t br)
{
    return apply(s, (struct story_op){ .type = OP_RUN,
                                       .p = p,
                                       .at = at,
                                       .seed = 1,
                                       .run = 1,
                                       .br = br,
                                       .aside = true });
}

static void
tok_of(struct story *s, uint64_t of, int id, const char *str)
{
    struct op_token t = { id, -1.5f, -0.5f };
    uint32_t len = (uint32_t)strlen(str);
    apply(s, (struct story_op){ .type = OP_TOK,
                                .of = of,
                                .tok = &t,
                                .tok_len = &len,
                                .n_tok = 1,
                                .s = str,
                                .len = len });
}

static void
tok(struct story *s, int id, const char *str)
{
    tok_of(s, story_open_node(s), id, str);
}

static void
end(struct story *s, enum gen_why why)
{
    apply(s, (struct story_op){
                 .type = OP_END, .of = story_open_node(s), .why = why });
}

static void
assert_text(const struct story *s, const char *want)
{
    char *got = text_dup(story_text(s), 0, (size_t)-1);
    assert_string_equal(got, want);
    free(got);
}

static void
steps(void **state)
{
    struct story *s = story_new();
    assert_int_equal(story_undo_target(s), 0);
    assert_int_equal(story_redo_target(s), 0);
    uint64_t a = edit(s, 0, 0, "雪");
    add(s, 3, 0, "夜");
    add(s, 6, 0, "x");
    add(s, 6, 1, "");
    assert_text(s, "雪夜");
    uint64_t b = edit(s, 6, 0, "。");
    assert_int_equal(story_undo_target(s), a);
    head(s, a);
    assert_text(s, "雪夜");
    assert_int_equal(story_open_node(s), 0);
    assert_int_equal(story_redo_target(s), b);
    uint64_t c = edit(s, 0, 3, "月");
    assert_text(s, "月夜");
    head(s, a);
    assert_int_equal(story_redo_target(s), c);
    head(s, b); /* across branches: redo follows where one has been */
    head(s, a);
    assert_int_equal(story_redo_target(s), b);
    head(s, 0);
    assert_text(s, "");
    assert_int_equal(story_redo_target(s), a);
    uint64_t sib[4];
    size_t self;
    assert_int_equal(story_siblings(s, c, sib, 4, &self), 2);
    assert_int_equal(self, 1);
    assert_int_equal(sib[0], b);
    struct node_info info;
    assert_true(story_node(s, c, &info));
    assert_int_equal(info.parent, a);
    assert_int_equal(info.at, 0);
    assert_int_equal(info.del, 3);
    assert_int_equal(info.len, 3);
    assert_false(story_node(s, 999, &info));
    story_free(s);
}

static void
runs(void **state)
{
    struct story *s = story_new();
    struct story_op model = { .type = OP_MODEL,
                              .name = "m",
                              .sha = "1",
                              .cfg = "2",
                              .tok_hash = "abc",
                              .num = "n" };
    struct err err;
    assert_true(story_apply(s, &model, &err));
    assert_int_equal(model.m, 1);
    assert_int_equal(story_model_find(s, "1", "2", "abc", "n"), 1);
    assert_int_equal(story_model_find(s, "1", "2", "abd", "n"), 0);
    uint64_t a = edit(s, 0, 0, "从前有");
    uint64_t r = run(s, a, 9, 1);
    assert_int_equal(story_open_node(s), r);
    tok(s, 5, "山");
    tok(s, 6, ""); /* half of a character */
    tok(s, 7, "庙");
    tok(s, 8, "");
    end(s, GEN_WHY_LENGTH);
    edit(s, 15, 0, "里");
    assert_text(s, "从前有山庙里");

    struct prompt_span *sp;
    int *ids;
    size_t n = story_prompt(s, 0, 18, &sp, &ids);
    assert_int_equal(n, 3);
    assert_null(sp[0].ids);
    assert_string_equal(sp[1].tok, "abc");
    assert_int_equal(sp[1].n_ids, 3); /* the one that waits is not text */
    assert_int_equal(sp[1].ids[2], 7);
    assert_memory_equal(sp[1].text, "山庙", 6);
    assert_int_equal(sp[2].len, 3);
    free(sp);
    free(ids);
    n = story_prompt(s, 12, 15, &sp, &ids);
    assert_int_equal(n, 1);
    assert_int_equal(sp[0].n_ids, 2);
    assert_int_equal(sp[0].ids[0], 6);
    free(sp);
    free(ids);

    uint64_t r2 = run(s, a, 9, 1); /* retry: a sibling, under another parent */
    assert_text(s, "从前有");
    tok(s, 9, "海");
    assert_text(s, "从前有海");
    size_t self;
    assert_int_equal(story_siblings(s, r2, NULL, 0, &self), 2);
    assert_int_equal(self, 1);
    struct node_info info;
    story_node(s, r, &info);
    assert_int_equal(info.kind, NODE_RUN);
    assert_int_equal(info.n_tok, 4);
    assert_int_equal(info.why, GEN_WHY_LENGTH);
    story_node(s, r2, &info);
    assert_true(info.open);
    assert_int_equal(info.run, 2);
    story_free(s);
}

static void
refusals(void **state)
{
    struct story *s = story_new();
    uint64_t a = edit(s, 0, 0, "山水");
    struct op_token t = { 1, 0, 0 };
    uint32_t two = 2;
    assert_true(refused(s, (struct story_op){ .type = OP_EDIT, .p = 77 }));
    assert_true(
        refused(s, (struct story_op){ .type = OP_EDIT, .p = a, .at = 7 }));
    assert_true(refused(s, (struct story_op){
                               .type = OP_EDIT, .p = a, .at = 3, .del = 4 }));
    assert_true(
        refused(s, (struct story_op){
                       .type = OP_EDIT, .p = a, .at = 3, .del = (size_t)-1 }));
    assert_true(
        refused(s, (struct story_op){ .type = OP_EDIT, .p = a, .at = 1 }));
    assert_true(refused(s, (struct story_op){
                               .type = OP_EDIT, .p = a, .at = 0, .del = 5 }));
    assert_true(refused(s, (struct story_op){ .type = OP_ADD, .of = 0 }));
    assert_true(
        refused(s, (struct story_op){ .type = OP_ADD, .of = a, .at = 9 }));
    assert_true(refused(s, (struct story_op){ .type = OP_ADD, .of = a, .at = 1,
                                              .s = "x", .len = 1 }));
    assert_true(
        refused(s, (struct story_op){ .type = OP_ADD, .of = a, .del = 2 }));
    assert_true(
        refused(s, (struct story_op){
                       .type = OP_TOK, .of = a, .tok = &t, .n_tok = 1 }));
    assert_true(
        refused(s, (struct story_op){ .type = OP_RUN, .p = a, .m = 3 }));
    assert_true(refused(s, (struct story_op){ .type = OP_HEAD, .to = 5 }));
    assert_true(refused(s, (struct story_op){ .type = OP_END, .of = 5 }));
    assert_true(refused(s, (struct story_op){ .type = OP_WIN, .of = a }));
    assert_true(refused(s, (struct story_op){ .type = OP_KNOB }));
    assert_true(refused(s, (struct story_op){ .type = OP_KNOBS }));
    assert_true(refused(s, (struct story_op){ .type = OP_OTHER }));
    assert_true(refused(s, (struct story_op){ .type = OP_HEAD_LINE }));
    assert_true(refused(s, (struct story_op){ .type = OP_MARK, .to = 5 }));
    uint64_t r = run(s, a, 6, 0);
    assert_true(refused(s, (struct story_op){ .type = OP_ADD, .of = r }));
    assert_true(refused(s, (struct story_op){ .type = OP_TOK,
                                              .of = r,
                                              .tok = &t,
                                              .tok_len = &two,
                                              .n_tok = 1,
                                              .s = "a",
                                              .len = 1 }));
    assert_true(
        refused(s, (struct story_op){ .type = OP_WIN, .of = r, .at = 7 }));
    end(s, GEN_WHY_USER);
    assert_true(
        refused(s, (struct story_op){
                       .type = OP_TOK, .of = r, .tok = &t, .n_tok = 1 }));
    assert_text(s, "山水");
    story_free(s);
}

static void
window_moves_along(void **state)
{
    struct story *s = story_new();
    edit(s, 0, 0, "aaaa bbbb cccc");
    assert_int_equal(story_window(s, 14), 0);
    uint64_t r = apply(s, (struct story_op){ .type = OP_RUN,
                                             .p = story_head(s),
                                             .at = 14,
                                             .win = 5,
                                             .run = 1 });
    tok(s, 1, "dd");
    assert_int_equal(story_window(s, 16), 5);
    apply(s, (struct story_op){ .type = OP_WIN, .of = r, .i = 1, .at = 10 });
    tok(s, 2, "ee");
    end(s, GEN_WHY_USER);
    assert_int_equal(story_window(s, 18), 10);
    edit(s, 0, 0, "xx");
    assert_int_equal(story_window(s, 20), 12);
    edit(s, 1, 3, "");
    assert_int_equal(story_window(s, 17), 9);
    edit(s, 4, 8, ""); /* over the window's start */
    assert_int_equal(story_window(s, 9), 4);
    assert_int_equal(story_window(s, 2), 2);
    head(s, r);
    assert_int_equal(story_window(s, 18), 10);
    struct node_info info;
    story_node(s, r, &info);
    assert_int_equal(info.win, 5);
    story_free(s);
}

static void
positions_shift(void **state)
{
    struct story *s = story_new();
    edit(s, 0, 0, "abcdef");
    struct story_op op = { .type = OP_EDIT,
                           .p = story_head(s),
                           .at = 2,
                           .del = 2,
                           .s = "XYZ",
                           .len = 3 };
    struct err err;
    assert_true(story_apply(s, &op, &err)); /* abXYZef */
    assert_int_equal(story_shift(&op, 1, false), 1);
    assert_int_equal(story_shift(&op, 2, false), 2);
    assert_int_equal(story_shift(&op, 3, true), 2);
    assert_int_equal(story_shift(&op, 4, false), 5);
    assert_int_equal(story_shift(&op, 6, false), 7);
    op = (struct story_op){
        .type = OP_ADD, .of = story_open_node(s), .at = 5, .s = "!!", .len = 2
    };
    assert_true(story_apply(s, &op, &err)); /* abXYZ!!ef */
    assert_int_equal(story_shift(&op, 5, true), 5);
    assert_int_equal(story_shift(&op, 5, false), 7);
    op = (struct story_op){ .type = OP_HEAD, .to = story_undo_target(s) };
    assert_true(story_apply(s, &op, &err));
    assert_int_equal(op.change.at, 2);
    assert_int_equal(op.change.del, 5);
    assert_int_equal(op.change.len, 2);
    assert_int_equal(story_shift(&op, 9, false), 6);
    story_free(s);
}

struct told {
    int n;
    uint64_t last;
    enum op_type type[64];
    size_t bytes;
};

static void
listen(void *ud, const struct story_op *op)
{
    struct told *t = ud;
    if (t->n < 64)
        t->type[t->n] = op->type;
    t->n++;
    assert_true(op->n > t->last);
    t->last = op->n;
    t->bytes += op->len;
    assert_true(op->len <= STORY_TEXT_MAX);
}

static void
long_texts_are_parted(void **state)
{
    struct story *s = story_new();
    struct told told = { 0 };
    story_on_op(s, listen, &told);
    size_t len = 3 * 200000 + 1;
    char *big = malloc(len);
    big[0] = 'a';
    for (size_t i = 1; i < len; i += 3)
        memcpy(big + i, "水", 3);
    struct story_op op = { .type = OP_EDIT, .p = 0, .s = big, .len = len };
    struct err err;
    assert_true(story_apply(s, &op, &err));
    assert_int_equal(op.n, 1);
    assert_int_equal(op.change.len, len);
    assert_int_equal(told.n, 5);
    assert_int_equal(told.type[0], OP_EDIT);
    assert_int_equal(told.type[4], OP_ADD);
    assert_int_equal(told.bytes, len);
    char *got = text_dup(story_text(s), 0, len);
    assert_memory_equal(got, big, len);
    free(got);
    free(big);
    assert_int_equal(story_undo_target(s), 0);
    story_free(s);
}

/* What an op says it changed is what changed. */
static void
compare_change(void *ud, const struct story_op *op)
{
    char **old = ud;
    struct story *s = *(struct story **)(old + 1);
    const struct op_change *c = &op->change;
    char *now = text_dup(story_text(s), 0, (size_t)-1);
    size_t len = strlen(*old);
    assert_true(c->at + c->del <= len);
    assert_int_equal(strlen(now), len - c->del + c->len);
    assert_memory_equal(now, *old, c->at);
    assert_string_equal(now + c->at + c->len, *old + c->at + c->del);
    free(*old);
    *old = now;
}

static void
assert_node(const struct story *s, uint64_t node, const char *want, bool open)
{
    char *got = text_dup(story_node_text(s, node), 0, (size_t)-1);
    struct node_info info;
    assert_string_equal(got, want);
    assert_true(story_node(s, node, &info));
    assert_true(info.open == open);
    free(got);
}

/* Three runs grow beside the writer; one of them becomes where he stands. */
static void
runs_aside(void **state)
{
    struct story *s = story_new();
    uint64_t p = edit(s, 0, 0, "ab"), r[3];
    for (uint32_t i = 0; i < 3; i++)
        r[i] = run_aside(s, p, 1, i);
    assert_int_equal(story_open_node(s), 0); /* p is closed */
    assert_int_equal(story_children(s, p), 3);
    for (int i = 0; i < 3; i++)
        tok_of(s, r[i], i, "x");
    tok_of(s, r[1], 7, "雪");
    tok_of(s, r[0], 7, "y");
    assert_text(s, "ab");
    assert_true(story_head(s) == p);
    apply(s, (struct story_op){
                 .type = OP_END, .of = r[2], .why = GEN_WHY_LENGTH });
    assert_true(refused(s, (struct story_op){ .type = OP_END, .of = r[2] }));
    assert_node(s, r[0], "axyb", true);
    assert_node(s, r[1], "ax雪b", true);
    assert_node(s, r[2], "axb", false);
    head(s, r[1]); /* it goes on; the other one cannot any more */
    assert_true(story_open_node(s) == r[1]);
    assert_node(s, r[0], "axyb", false);
    tok_of(s, r[1], 8, "!");
    assert_text(s, "ax雪!b");
    head(s, p);
    assert_text(s, "ab");
    assert_int_equal(story_open_node(s), 0);
    assert_true(story_redo_target(s) == r[1]);
    story_free(s);
}

static void
an_edit_closes_runs_aside(void **state)
{
    struct story *s = story_new();
    uint64_t p = edit(s, 0, 0, "ab"), r = run_aside(s, p, 2, 0), q;
    tok_of(s, r, 1, "c");
    q = edit(s, 2, 0, "!");
    assert_node(s, r, "abc", false);
    assert_node(s, q, "ab!", true);
    assert_text(s, "ab!");
    story_free(s);
}

/* Random steps; every node's text is kept as a string and must come back,
 * whatever has been made since and however deep it lies. */
static void
every_version_stays(void **state)
{
    enum { N = 3000, MAX = 4000 };
    struct story *s = story_new();
    char **texts = calloc(N * 8, sizeof *texts);
    texts[0] = strdup("");
    struct {
        char *old;
        struct story *s;
    } told = { strdup(""), s };
    story_on_op(s, compare_change, &told);
    for (int i = 0; i < N; i++) {
        uint64_t h = story_head(s);
        size_t len = text_len(story_text(s));
        uint32_t what = rnd(20);
        char str[8] = "abcdefg";
        str[rnd(8)] = '\0';
        if (what < 3) {
            head(s, story_undo_target(s));
        } else if (what < 5) {
            head(s, story_redo_target(s));
        } else if (what < 6) {
            uint64_t to = rnd((uint32_t)story_next_n(s));
            head(s, texts[to] ? to : 0);
        } else if (what < 8) {
            run(s, h, rnd((uint32_t)len + 1), 0);
            for (uint32_t k = rnd(5); k > 0; k--)
                tok(s, 3, str);
            if (rnd(2))
                end(s, GEN_WHY_USER);
        } else if (what < 9) {
            uint64_t r[2] = { run_aside(s, h, rnd((uint32_t)len + 1), 0),
                              run_aside(s, h, rnd((uint32_t)len + 1), 1) };
            for (uint32_t k = rnd(6); k > 0; k--)
                tok_of(s, r[rnd(2)], 3, str);
            for (int k = 0; k < 2; k++)
                texts[r[k]] = text_dup(story_node_text(s, r[k]), 0, (size_t)-1);
            if (rnd(2)) {
                head(s, r[1]);
                tok(s, 4, str);
            }
        } else if (what < 14 && story_open_node(s)) {
            struct node_info info;
            story_node(s, story_open_node(s), &info);
            size_t at = rnd((uint32_t)len + 1);
            if (info.kind == NODE_EDIT)
                add(s, at, rnd((uint32_t)(len - at) + 1) % 4, str);
        } else {
            size_t at = rnd((uint32_t)len + 1);
            edit(s, at,
                 len > MAX ? len - at : rnd((uint32_t)(len - at) + 1) % 9, str);
        }
        h = story_head(s);
        free(texts[h]);
        texts[h] = text_dup(story_text(s), 0, (size_t)-1);
    }
    for (uint64_t n = 0; n < story_next_n(s); n++) {
        if (!texts[n])
            continue;
        const struct text *t = story_node_text(s, n);
        char *got = text_dup(t, 0, (size_t)-1);
        assert_string_equal(got, texts[n]);
        free(got);
        free(texts[n]);
    }
    free(texts);
    free(told.old);
    story_free(s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps),
        cmocka_unit_test(runs),
        cmocka_unit_test(refusals),
        cmocka_unit_test(window_moves_along),
        cmocka_unit_test(positions_shift),
        cmocka_unit_test(long_texts_are_parted),
        cmocka_unit_test(runs_aside),
        cmocka_unit_test(an_edit_closes_runs_aside),
        cmocka_unit_test(every_version_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
