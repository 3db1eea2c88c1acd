/* A story file, damaged in every way: cut at every byte, every byte changed,
 * blocks of zeros, two tails in one file. Every undamaged record comes back,
 * the damage is told, the next append is readable. And what is not damaged
 * comes back exactly: the replayed tree is the live one. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/crc32c.h"
#include "engine/base/file.h"

#include "src/recover.h"
#include "src/storyfile.h"

#include "tests/story_folder.h"

static uint32_t rng = 3; /* JIELONG_TEST_SEED */

static uint32_t
rnd(uint32_t n)
{
    rng = rng * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)rng * n) >> 32);
}

static struct storyfile *
open_story(void)
{
    struct storyfile_options opt = { .create = true };
    struct err err;
    struct storyfile *f = storyfile_open(path, &opt, &err);
    if (!f)
        fail_msg("%s", err.msg);
    return f;
}

static void
apply(struct story *s, struct story_op op)
{
    struct err err;
    if (!story_apply(s, &op, &err))
        fail_msg("%s", err.msg);
}

static void
edit(struct story *s, size_t at, size_t del, const char *str)
{
    apply(s, (struct story_op){ .type = OP_EDIT,
                                .p = story_head(s),
                                .at = at,
                                .del = del,
                                .s = str,
                                .len = strlen(str) });
}

static void
add(struct story *s, size_t at, const char *str)
{
    apply(s, (struct story_op){ .type = OP_ADD,
                                .of = story_open_node(s),
                                .at = at,
                                .s = str,
                                .len = strlen(str) });
}

static void
tok_of(struct story *s, uint64_t of, int id, const char *str)
{
    struct op_token t[2] = { { id, -1.5f, -0.25f }, { id + 1, -2, -3 } };
    uint32_t len[2] = { 0, (uint32_t)strlen(str) };
    apply(s, (struct story_op){ .type = OP_TOK,
                                .of = of,
                                .tok = t,
                                .tok_len = len,
                                .n_tok = 2,
                                .s = str,
                                .len = len[1] });
}

static void
tok(struct story *s, int id, const char *str)
{
    tok_of(s, story_open_node(s), id, str);
}

static void
spill(const char *s, size_t len)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(s, 1, len, f), len);
    fclose(f);
}

static char *
slurp(size_t *len)
{
    char *s;
    struct err err;
    if (!file_read(path, 1 << 30, &s, len, &err))
        fail_msg("%s", err.msg);
    return s;
}

/* --- a small session in which every record brings a word of its own --- */

struct sample {
    char *s;
    size_t len;
    size_t line[64], n_lines; /* where each line begins; [n_lines]: len */
    char head[64][256];       /* the head's text after so many records */
};

static struct sample sample;

static void
session(struct story *s)
{
    struct knobs k = *story_knobs(s);
    struct story_op model = { .type = OP_MODEL,
                              .name = "m",
                              .sha = "aa",
                              .cfg = "bb",
                              .tok_hash = "cc",
                              .num = "dd" };
    apply(s, model);
    apply(s, (struct story_op){ .type = OP_TITLE, .s = "渡口", .len = 6 });
    edit(s, 0, 0, "甲");
    add(s, 3, "乙");
    add(s, 6, "丙");
    edit(s, 9, 0, "丁");
    apply(s, (struct story_op){ .type = OP_RUN,
                                .p = story_head(s),
                                .at = 12,
                                .m = 1,
                                .seed = 99,
                                .run = 1 });
    tok(s, 100, "戊");
    tok(s, 102, "己");
    k.temp = 1.2;
    apply(s, (struct story_op){ .type = OP_KNOB,
                                .set = &k,
                                .has_of = true,
                                .of = story_head(s),
                                .i = 4 });
    tok(s, 104, "庚");
    apply(s, (struct story_op){
                 .type = OP_WIN, .of = story_head(s), .i = 6, .at = 3 });
    apply(s, (struct story_op){
                 .type = OP_END, .of = story_head(s), .why = GEN_WHY_USER });
    edit(s, 21, 0, "\xFF");
    apply(s, (struct story_op){ .type = OP_HEAD, .to = story_undo_target(s) });
    edit(s, 21, 0, "辛");
    add(s, 24, "壬");
}

static const char *const words[] = { "甲", "乙", "丙", "丁", "戊",
                                     "己", "庚", "辛", "壬", "\xFF" };
#define N_WORDS 10

/* Texts of all nodes in one string (free). */
static char *
all_texts(const struct story *s)
{
    struct bytes b = { 0 };
    bytes_add(&b, "", 0);
    for (uint64_t n = 0; n < story_next_n(s); n++) {
        const struct text *t = story_node_text(s, n);
        char *str = t ? text_dup(t, 0, (size_t)-1) : NULL;
        if (str)
            bytes_add(&b, str, strlen(str));
        free(str);
    }
    return b.s;
}

static void
make_sample(void)
{
    struct storyfile *f = open_story();
    session(storyfile_story(f));
    storyfile_close(f);
    sample.s = slurp(&sample.len);
    for (size_t i = 0; i < sample.len; i++)
        if (!i || sample.s[i - 1] == '\n')
            sample.line[sample.n_lines++] = i;
    sample.line[sample.n_lines] = sample.len;
    for (size_t n = 0; n <= sample.n_lines; n++) {
        struct story *s = story_new();
        struct recovery r;
        const struct storyfile_options opt = { 0 };
        recover_story(s, sample.s, sample.line[n], &opt, &r);
        assert_int_equal(r.records, n);
        char *t = text_dup(story_text(s), 0, 255);
        strcpy(sample.head[n], t);
        free(t);
        recovery_finish(&r);
        story_free(s);
    }
    assert_string_equal(sample.head[sample.n_lines], "甲乙丙丁戊己庚辛壬");
}

static size_t
line_of(size_t at)
{
    size_t i = 0;
    while (i + 1 < sample.n_lines && sample.line[i + 1] <= at)
        i++;
    return i;
}

static bool
is_damage(const struct damage *d)
{
    return d->torn_tail || d->bad_lines || d->zero_bytes || d->gaps;
}

/* Which words lie in the lines [a, b]? */
static bool
word_in_lines(const char *word, size_t a, size_t b)
{
    size_t from = sample.line[a], to = sample.line[b + 1];
    return memmem(sample.s + from, to - from, word, strlen(word)) ||
           (*word == '\xFF' && memmem(sample.s + from, to - from, "\"x\":", 4));
}

/* Every word that does not lie in the damaged lines is in some version. */
static void
assert_words(const struct story *s, size_t a, size_t b)
{
    char *all = all_texts(s);
    for (int i = 0; i < N_WORDS; i++)
        if (!strstr(all, words[i]) && !word_in_lines(words[i], a, b))
            fail_msg("%s is lost, damage in lines %zu to %zu", words[i], a, b);
    free(all);
}

static void
cut_at_every_byte(void **state)
{
    for (size_t cut = 0; cut <= sample.len; cut++) {
        spill(sample.s, cut);
        size_t whole = 0;
        while (whole < sample.n_lines && sample.line[whole + 1] <= cut + 1)
            whole++; /* a line that lacks only its line break is whole */
        bool torn = whole < sample.n_lines && cut > sample.line[whole];
        struct storyfile *f = open_story();
        const struct damage *d = storyfile_damage(f);
        assert_int_equal(d->torn_tail, torn ? cut - sample.line[whole] : 0);
        assert_int_equal(storyfile_damage_text(f) != NULL, torn);
        char *t = text_dup(story_text(storyfile_story(f)), 0, (size_t)-1);
        assert_string_equal(t, sample.head[whole]);
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_size, cut); /* opening writes nothing */
        for (int i = 0; i < 3; i++)
            edit(storyfile_story(f), strlen(t) + 3 * (size_t)i, 0, "新");
        storyfile_close(f);
        f = open_story();
        char *u = text_dup(story_text(storyfile_story(f)), 0, (size_t)-1);
        assert_int_equal(strlen(u), strlen(t) + 9);
        assert_memory_equal(u, t, strlen(t));
        assert_string_equal(u + strlen(t), "新新新");
        if (storyfile_damage(f)->gaps)
            fail_msg("a gap after cutting at %zu", cut);
        storyfile_close(f);
        if (torn) { /* the torn bytes lie beside it */
            char side[300], *kept;
            size_t n;
            struct err err;
            snprintf(side, sizeof side, "%s.damaged-1", path);
            assert_true(file_read(side, 1 << 20, &kept, &n, &err));
            assert_int_equal(n, cut - sample.line[whole] + 1);
            assert_memory_equal(kept, sample.s + sample.line[whole],
                                cut - sample.line[whole]);
            free(kept);
            unlink(side);
        }
        free(t);
        free(u);
    }
}

static void
check_flipped(char *s, size_t at, char value)
{
    const struct storyfile_options opt = { 0 };
    char old = s[at];
    size_t line = line_of(at);
    bool is_end = at + 1 == sample.line[line + 1];
    if (value == old)
        return;
    s[at] = value;
    struct story *st = story_new();
    struct recovery r;
    recover_story(st, s, sample.len, &opt, &r);
    assert_true(r.is_story);
    /* A sum's digits may be of either case, a line may end with CR LF. */
    if (r.records < sample.n_lines || is_end) {
        assert_int_equal(r.records, sample.n_lines - !is_end);
        assert_true(is_damage(&r.damage));
        assert_true(r.bad.n > 0);
    }
    assert_words(st, line, line);
    recovery_finish(&r);
    story_free(st);
    s[at] = old;
}

static void
every_byte_flipped(void **state)
{
    char *s = malloc(sample.len);
    memcpy(s, sample.s, sample.len);
    for (size_t at = 0; at < sample.len; at++) {
        check_flipped(s, at, (char)(s[at] ^ 1));
        check_flipped(s, at, (char)(s[at] ^ 0x80));
        check_flipped(s, at, '\n');
        check_flipped(s, at, (char)rnd(256));
    }
    free(s);
}

static void
blocks_of_zeros(void **state)
{
    const struct storyfile_options opt = { 0 };
    char *s = malloc(sample.len + 4096);
    for (size_t size = 16; size <= 1024; size *= 2) {
        for (size_t at = 0; at < sample.len; at += size / 2) {
            size_t n = at + size > sample.len ? sample.len - at : size;
            memcpy(s, sample.s, sample.len);
            memset(s + at, 0, n);
            struct story *st = story_new();
            struct recovery r;
            recover_story(st, s, sample.len, &opt, &r);
            size_t a = line_of(at), b = line_of(at + n - 1);
            /* Only the line break of the first one may be hit. */
            size_t hit = b - a + 1 - (at + 1 == sample.line[a + 1]);
            assert_true(r.is_story);
            assert_int_equal(r.records, sample.n_lines - hit);
            assert_int_equal(r.damage.zero_bytes, n);
            assert_words(st, a, b);
            recovery_finish(&r);
            story_free(st);
        }
    }
    /* The file was made longer, its end never reached the disk. */
    memcpy(s, sample.s, sample.len);
    memset(s + sample.len, 0, 4096);
    spill(s, sample.len + 4096);
    struct storyfile *f = open_story();
    assert_int_equal(storyfile_damage(f)->zero_bytes, 4096);
    edit(storyfile_story(f), 0, 0, "新");
    storyfile_close(f);
    f = open_story();
    char *t = text_dup(story_text(storyfile_story(f)), 0, (size_t)-1);
    assert_string_equal(t, "新甲乙丙丁戊己庚辛壬");
    assert_int_equal(storyfile_damage(f)->gaps, 0);
    free(t);
    storyfile_close(f);
    /* Nothing of it did. */
    memset(s, 0, 100);
    spill(s, 100);
    f = open_story();
    assert_int_equal(storyfile_damage(f)->zero_bytes, 100);
    edit(storyfile_story(f), 0, 0, "新");
    storyfile_close(f);
    f = open_story();
    assert_int_equal(text_len(story_text(storyfile_story(f))), 3);
    storyfile_close(f);
    free(s);
}

/* Two programs that went on from the same file, and someone joined them. */
static void
two_tails(void **state)
{
    char *tail[2];
    size_t len[2];
    for (int i = 0; i < 2; i++) {
        spill(sample.s, sample.len);
        struct storyfile *f = open_story();
        edit(storyfile_story(f), 27, 0, i ? "二" : "一");
        add(storyfile_story(f), 30, i ? "四" : "三");
        edit(storyfile_story(f), 33, 0, i ? "六" : "五");
        storyfile_close(f);
        tail[i] = slurp(&len[i]);
    }
    for (int broken = 0; broken < 2; broken++) {
        /* Broken: the first tail's last line lost its end. */
        size_t n = len[0] - (broken ? 9 : 0);
        char *both = malloc(n + len[1]);
        memcpy(both, tail[0], n);
        memcpy(both + n, tail[1] + sample.len, len[1] - sample.len);
        spill(both, n + len[1] - sample.len);
        free(both);
        struct storyfile *f = open_story();
        struct story *s = storyfile_story(f);
        assert_true(storyfile_damage(f)->gaps > 0);
        char *t = text_dup(story_text(s), 0, (size_t)-1);
        assert_string_equal(t, "甲乙丙丁戊己庚辛壬二四六");
        free(t);
        char *all = all_texts(s);
        assert_non_null(strstr(all, "壬一三"));
        assert_int_equal(strstr(all, "壬一三五") != NULL, !broken);
        free(all);
        edit(s, 36, 0, "新"); /* and goes on, also after the next opening */
        add(s, 39, "的");
        storyfile_close(f);
        f = open_story();
        s = storyfile_story(f);
        t = text_dup(story_text(s), 0, (size_t)-1);
        assert_string_equal(t, "甲乙丙丁戊己庚辛壬二四六新的");
        free(t);
        storyfile_close(f);
    }
    free(tail[0]);
    free(tail[1]);
}

/* The same lines twice, as after a write that was repeated: no harm. */
static void
repeated_lines(void **state)
{
    struct bytes b = { 0 };
    for (size_t i = 0; i < sample.n_lines; i++)
        for (int k = 0; k < 2; k++)
            bytes_add(&b, sample.s + sample.line[i],
                      sample.line[i + 1] - sample.line[i]);
    spill(b.s, b.n);
    free(b.s);
    struct storyfile *f = open_story();
    char *t = text_dup(story_text(storyfile_story(f)), 0, (size_t)-1);
    assert_string_equal(t, "甲乙丙丁戊己庚辛壬");
    assert_null(storyfile_damage_text(f));
    free(t);
    storyfile_close(f);
}

static void
same_damage_once(void **state)
{
    char side[300];
    struct stat st;
    for (int i = 1; i < 20; i++) { /* of the tests before */
        snprintf(side, sizeof side, "%s.damaged-%d", path, i);
        unlink(side);
    }
    spill(sample.s, sample.len - 5);
    for (int i = 0; i < 3; i++) {
        struct storyfile *f = open_story();
        assert_non_null(storyfile_damage_text(f));
        edit(storyfile_story(f), 0, 0, "新");
        storyfile_close(f);
    }
    snprintf(side, sizeof side, "%s.damaged-1", path);
    assert_int_equal(stat(side, &st), 0);
    snprintf(side, sizeof side, "%s.damaged-2", path);
    assert_int_equal(stat(side, &st), -1);
}

/* A line with one of its numbers changed and the right checksum. */
static void
add_wild_line(struct bytes *b, const char *line, size_t len)
{
    size_t digits[200], n = 0, body = len - 17; /* ,"c":"01234567"}\n */
    char *s = malloc(len + 8), *tail;
    for (size_t i = 0; i < body && n < 200; i++)
        if (line[i] >= '0' && line[i] <= '9' && !(i && line[i - 1] == '.'))
            digits[n++] = i;
    memcpy(s, line, body);
    if (n && rnd(3))
        s[digits[rnd((uint32_t)n)]] = (char)('1' + (int)rnd(9));
    tail = s + body;
    snprintf(tail, len + 8 - body, ",\"c\":\"%08x\"}", crc32c(0, s, body));
    bytes_add(b, s, body + 16);
    if (rnd(20))
        bytes_add(b, "\n", 1);
    free(s);
}

/* Records that are whole but make no sense together: lines left out, doubled,
 * moved, numbers changed. No crash; and the story that comes of it can be
 * gone on with: what is there after an edit is there after opening again. */
static void
wild_records(void **state)
{
    const struct storyfile_options opt = { 0 };
    for (int i = 0; i < 4000; i++) {
        struct bytes b = { 0 };
        size_t n = 1 + rnd(30);
        for (size_t k = 0; k < n; k++) {
            size_t l =
                rnd(3) ? k % sample.n_lines : rnd((uint32_t)sample.n_lines);
            if (rnd(8))
                add_wild_line(&b, sample.s + sample.line[l],
                              sample.line[l + 1] - sample.line[l]);
        }
        bytes_add(&b, "\n", 1);
        struct story *s = story_new(), *again = story_new();
        struct recovery r;
        recover_story(s, b.s, b.n, &opt, &r);
        recovery_finish(&r);
        struct story_op op = {
            .type = OP_EDIT, .p = story_head(s), .s = "新", .len = 3
        };
        struct err err;
        assert_true(story_apply(s, &op, &err));
        record_write(&op, &b);
        op = (struct story_op){
            .type = OP_ADD, .of = op.n, .s = "的", .len = 3
        };
        assert_true(story_apply(s, &op, &err));
        record_write(&op, &b);
        recover_story(again, b.s, b.n, &opt, &r);
        char *t = all_texts(s), *u = all_texts(again);
        assert_string_equal(t, u);
        assert_int_equal(story_head(s), story_head(again));
        free(t);
        free(u);
        recovery_finish(&r);
        story_free(s);
        story_free(again);
        free(b.s);
    }
}

/* --- the replayed tree is the live one --- */

/* Runs beside the head: opened, growing, ended, or taken. */
static void
random_aside(struct story *s, const char *str)
{
    uint64_t r = story_next_n(s) - 1 - rnd(5);
    struct node_info info;
    if (r < story_next_n(s) && story_node(s, r, &info) && info.open &&
        info.kind == NODE_RUN) {
        switch (rnd(8)) {
        case 0:
            apply(s, (struct story_op){
                         .type = OP_END, .of = r, .why = GEN_WHY_LENGTH });
            return;
        case 1: apply(s, (struct story_op){ .type = OP_HEAD, .to = r }); return;
        default: tok_of(s, r, (int)rnd(20000), str); return;
        }
    }
    struct story_op op = { .type = OP_RUN,
                           .p = story_head(s),
                           .at = text_len(story_text(s)),
                           .seed = rng,
                           .run = story_runs(s) + 1,
                           .aside = true };
    for (op.br = 0; op.br < 3; op.br++)
        apply(s, op);
}

static void
random_op(struct story *s)
{
    size_t len = text_len(story_text(s));
    uint64_t h = story_head(s), open = story_open_node(s);
    struct node_info info = { 0 };
    char str[12];
    size_t n = rnd(sizeof str);
    for (size_t i = 0; i < n; i++)
        str[i] = (char)(rnd(30) ? 'a' + (int)rnd(26) : (int)rnd(256));
    str[n < sizeof str ? n : n - 1] = '\0';
    n = strlen(str);
    if (open)
        story_node(s, open, &info);
    size_t at = rnd((uint32_t)len + 1);
    struct err err;
    switch (rnd(16)) {
    case 13:
    case 14:
    case 15:
        for (uint32_t k = rnd(6); k > 0; k--)
            random_aside(s, str);
        break;
    case 0:
    case 1:
        apply(s,
              (struct story_op){ .type = OP_HEAD, .to = story_undo_target(s) });
        break;
    case 2:
        apply(s,
              (struct story_op){ .type = OP_HEAD, .to = story_redo_target(s) });
        break;
    case 3: { /* a run; a retry when there is one */
        struct story_op op = { .type = OP_RUN,
                               .p = h,
                               .at = len,
                               .seed = rng,
                               .win = at,
                               .run = story_runs(s) + 1 };
        story_node(s, h, &info);
        if (info.kind == NODE_RUN && rnd(2)) {
            op.p = info.parent;
            op.at = info.at;
            op.br = 1;
        }
        story_apply(s, &op, &err); /* may fall inside a character */
        break;
    }
    case 4: {
        struct knobs k = *story_knobs(s);
        k.top_k = rnd(100);
        k.temp = rnd(6) ? rnd(500) / 100.0 : (double)INFINITY;
        apply(s, (struct story_op){ .type = rnd(2) ? OP_KNOB : OP_KNOBS,
                                    .set = &k });
        break;
    }
    case 5:
        if (open && info.kind == NODE_RUN)
            apply(s, (struct story_op){ .type = rnd(2) ? OP_END : OP_WIN,
                                        .of = open,
                                        .at = 0,
                                        .why = GEN_WHY_STOP });
        break;
    case 6: {
        struct story_op op = { .type = OP_TITLE + (int)rnd(2),
                               .s = str,
                               .len = n };
        apply(s, op);
        break;
    }
    default:
        if (open && info.kind == NODE_RUN) {
            tok(s, (int)rnd(20000), rnd(5) ? str : "");
        } else if (open && rnd(4)) {
            size_t del = rnd(4) && len - at ? 0 : (len - at) % 5;
            struct story_op op = { .type = OP_ADD,
                                   .of = open,
                                   .at = at,
                                   .del = del,
                                   .s = str,
                                   .len = n };
            story_apply(s, &op, &err); /* may fall inside a character */
        } else {
            size_t del = len > 3000 ? len - at : (len - at) % 7;
            struct story_op op = { .type = OP_EDIT,
                                   .p = h,
                                   .at = at,
                                   .del = del,
                                   .s = str,
                                   .len = n,
                                   .w = 1 + rnd(1000) };
            story_apply(s, &op, &err);
        }
    }
}

static void
assert_same_node(const struct story *a, const struct story *b, uint64_t n)
{
    struct node_info x, y;
    bool there = story_node(a, n, &x);
    assert_int_equal(story_node(b, n, &y), there);
    if (!there)
        return;
    x.open = y.open = false;
    assert_int_equal(x.parent, y.parent);
    assert_int_equal(x.kind, y.kind);
    assert_int_equal(x.at, y.at);
    assert_int_equal(x.del, y.del);
    assert_int_equal(x.len, y.len);
    assert_int_equal(x.n_tok, y.n_tok);
    assert_int_equal(x.seed, y.seed);
    assert_int_equal(x.run, y.run);
    assert_int_equal(x.br, y.br);
    assert_int_equal(x.win, y.win);
    assert_int_equal(x.why, y.why);
    assert_int_equal(x.w, y.w);
    assert_false(y.orphan);
    const struct text *t = story_node_text(a, n), *u = story_node_text(b, n);
    size_t len = text_len(t);
    assert_int_equal(len, text_len(u));
    char *s = text_dup(t, 0, len), *v = text_dup(u, 0, len);
    assert_memory_equal(s, v, len);
    free(s);
    free(v);
}

struct spans {
    uint64_t bytes;
    uint64_t sum;
};

/* The same for a text in few spans or in many. */
static bool
sum_span(void *ud, const struct text_span *sp)
{
    struct spans *x = ud;
    size_t at = sp->at;
    for (size_t i = 0; i < sp->n_tok; at += sp->tok[i++].len)
        x->sum = (x->sum + (uint64_t)sp->tok[i].id * at) * 31 + sp->tok[i].len +
                 (uint64_t)(sp->tok[i].lp * -8);
    for (size_t i = 0; i < sp->len; i++)
        x->bytes += (sp->node * 31 + sp->who + 1) * (sp->at + i);
    return true;
}

static void
assert_same_story(const struct story *a, const struct story *b)
{
    assert_int_equal(story_head(a), story_head(b));
    assert_int_equal(story_undo_target(a), story_undo_target(b));
    assert_int_equal(story_runs(a), story_runs(b));
    assert_int_equal(story_window(a, 99999), story_window(b, 99999));
    assert_string_equal(story_title(a), story_title(b));
    assert_true(knobs_equal(story_knobs(a), story_knobs(b)));
    for (uint64_t n = 0; n < story_next_n(a); n++)
        assert_same_node(a, b, n);
    struct spans x = { 0 }, y = { 0 };
    text_spans(story_text(a), 0, (size_t)-1, sum_span, &x);
    text_spans(story_text(b), 0, (size_t)-1, sum_span, &y);
    assert_int_equal(x.sum, y.sum);
    assert_int_equal(x.bytes, y.bytes);
}

static void
replay_is_live(void **state)
{
    unlink(path);
    struct storyfile *f = open_story();
    struct story *s = storyfile_story(f);
    for (int i = 0; i < 10000; i++)
        random_op(s);
    size_t len;
    char *data = slurp(&len);
    const struct storyfile_options opt = { 0 };
    struct story *again = story_new();
    struct recovery r;
    recover_story(again, data, len, &opt, &r);
    assert_false(is_damage(&r.damage));
    assert_same_story(s, again);
    assert_int_equal(story_next_n(again), story_next_n(s));
    assert_int_equal(story_redo_target(again), story_redo_target(s));
    recovery_finish(&r);
    story_free(again);
    free(data);
    storyfile_close(f);
}

/* Someone writes over the file: all of the story is written again from
 * memory, to another one. */
static void
written_over(void **state)
{
    unlink(path);
    char *home = strdup(path);
    struct storyfile *f = open_story();
    struct story *s = storyfile_story(f);
    session(s);
    for (int i = 0; i < 3000; i++)
        random_op(s);
    for (int i = 0; i < 3000 && storyfile_dirty(f); i++) {
        storyfile_commit(f); /* what is synced is no longer kept in memory */
        usleep(2000);
        storyfile_tick(f, i);
    }
    assert_false(storyfile_dirty(f));
    spill("theirs", 6);
    for (int i = 0; i < 100; i++)
        random_op(s);
    apply(s, (struct story_op){ .type = OP_HEAD, .to = story_head(s) });
    assert_int_equal(storyfile_state(f), STORYFILE_ELSEWHERE);
    strcpy(path, storyfile_path(f));
    assert_string_not_equal(path, home);
    size_t len;
    char *data = slurp(&len);
    const struct storyfile_options opt = { 0 };
    struct story *again = story_new();
    struct recovery r;
    recover_story(again, data, len, &opt, &r);
    assert_false(is_damage(&r.damage));
    assert_same_story(s, again);
    assert_int_equal(story_model_find(again, "aa", "bb", "cc", "dd"), 1);
    recovery_finish(&r);
    story_free(again);
    free(data);
    storyfile_close(f);
    strcpy(path, home);
    data = slurp(&len); /* and theirs is left alone */
    assert_int_equal(len, 6);
    free(data);
    free(home);
    unlink(path);
}

/* Files of every format version ever released stay readable. Once per
 * version, JIELONG_WRITE_GOLDEN=FILE lets this program write one. */
static void
golden_files(void **state)
{
    const char *data = getenv("JIELONG_TEST_DATA");
    char file[512];
    struct storyfile_options opt = { .read_only = true };
    struct err err;
    if (!data)
        data = "tests/data";
    snprintf(file, sizeof file, "%s/stories/v1.jl", data);
    struct storyfile *f = storyfile_open(file, &opt, &err);
    if (!f)
        fail_msg("%s", err.msg);
    struct story *s = storyfile_story(f);
    assert_null(storyfile_damage_text(f));
    char *t = text_dup(story_text(s), 0, (size_t)-1);
    assert_string_equal(t, "甲乙丙丁戊己庚辛壬");
    free(t);
    assert_string_equal(story_title(s), "渡口");
    assert_int_equal(story_model_find(s, "aa", "bb", "cc", "dd"), 1);
    assert_true(story_knobs(s)->temp == 1.2);
    struct prompt_span *sp;
    int *ids;
    assert_int_equal(story_prompt(s, 0, 27, &sp, &ids), 3);
    assert_int_equal(sp[1].n_ids, 6);
    assert_int_equal(sp[1].ids[5], 105);
    free(sp);
    free(ids);
    storyfile_close(f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_at_every_byte),
        cmocka_unit_test(every_byte_flipped),
        cmocka_unit_test(blocks_of_zeros),
        cmocka_unit_test(two_tails),
        cmocka_unit_test(repeated_lines),
        cmocka_unit_test(same_damage_once),
        cmocka_unit_test(wild_records),
        cmocka_unit_test(replay_is_live),
        cmocka_unit_test(written_over),
        cmocka_unit_test(golden_files),
    };
    if (getenv("JIELONG_TEST_SEED"))
        rng = (uint32_t)strtoul(getenv("JIELONG_TEST_SEED"), NULL, 10);
    setup(NULL);
    make_sample();
    if (getenv("JIELONG_WRITE_GOLDEN")) {
        strcpy(path, getenv("JIELONG_WRITE_GOLDEN"));
        spill(sample.s, sample.len);
        return 0;
    }
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    free(sample.s);
    return teardown(NULL) || rc;
}
