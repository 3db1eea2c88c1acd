/* Lines of NAME.jl: every op comes back as it was, to the bit. */
#include "src/record.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/crc32c.h"

static struct knobs now;

/* Writes op, reads it back; the line stays in *line (free). A record points
 * into itself, so r stays where it is. */
static void
there_and_back(const struct story_op *op, char **line, struct record *r)
{
    struct bytes b = { 0 };
    knobs_default(&now);
    record_write(op, &b);
    assert_int_equal(b.s[b.n - 1], '\n');
    assert_null(memchr(b.s, '\n', b.n - 1));
    if (!record_read(b.s, b.n - 1, &now, r))
        fail_msg("not read back: %s", b.s);
    assert_int_equal(r->op.type, op->type);
    assert_int_equal(r->op.n, op->n);
    if (line)
        *line = b.s;
    else
        free(b.s);
}

static void
text_of_all_kinds(void **state)
{
    const struct {
        const char *s;
        size_t len;
        bool plain;
    } t[] = {
        { "", 0, true },
        { "大雪\n下了\t\"三\\天\"\x01\x7F", 26, true },
        { "a\0b", 3, true },
        { "\xFF", 1, false },
        { "\xE5\xA4", 2, false },
        { "ab\xF0\x28", 4, false },
        { "\xED\xA0\x80", 3, false }, /* a surrogate */
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        char *line;
        struct story_op op = { .type = OP_EDIT,
                               .n = 7,
                               .p = 3,
                               .at = 5,
                               .del = 2,
                               .s = t[i].s,
                               .len = t[i].len,
                               .who = i % 2 ? TEXT_IMPORT : TEXT_ME,
                               .w = 1700000000123 };
        struct record r;
        there_and_back(&op, &line, &r);
        assert_int_equal(r.op.p, 3);
        assert_int_equal(r.op.at, 5);
        assert_int_equal(r.op.del, 2);
        assert_int_equal(r.op.w, op.w);
        assert_int_equal(r.op.who, op.who);
        assert_int_equal(r.op.len, t[i].len);
        assert_memory_equal(r.op.s, t[i].s, t[i].len);
        assert_int_equal(strstr(line, "\"x\":") == NULL, t[i].plain);
        record_finish(&r);
        free(line);
    }
}

static void
form_of_a_line(void **state)
{
    char *line, want[200];
    struct story_op op = {
        .type = OP_ADD, .n = 12, .of = 9, .at = 3, .s = "雪", .len = 3
    };
    struct record r;
    there_and_back(&op, &line, &r);
    const char *body = "{\"n\":12,\"t\":\"add\",\"of\":9,\"at\":3,\"del\":0,"
                       "\"s\":\"雪\"";
    snprintf(want, sizeof want, "%s,\"c\":\"%08x\"}\n", body,
             crc32c(0, body, strlen(body)));
    assert_string_equal(line, want);
    record_finish(&r);
    free(line);
}

static void
tokens(void **state)
{
    const float v[] = { -0.3f, -1.0f / 3, -1e-30f, 0, -INFINITY, -88.123456f };
    struct op_token tok[6];
    const uint32_t len[] = { 3, 0, 0, 2, 0, 1 };
    for (int i = 0; i < 6; i++)
        tok[i] = (struct op_token){ i * 4000, v[i], v[5 - i] };
    struct story_op op = { .type = OP_TOK,
                           .n = 1,
                           .of = 2,
                           .tok = tok,
                           .tok_len = len,
                           .n_tok = 6,
                           .s = "雪abc",
                           .len = 6 };
    char *line;
    struct record r;
    there_and_back(&op, &line, &r);
    assert_int_equal(r.op.n_tok, 6);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(r.op.tok[i].id, tok[i].id);
        assert_true(r.op.tok[i].lp == tok[i].lp);
        assert_true(r.op.tok[i].q == tok[i].q);
        assert_int_equal(r.op.tok_len[i], len[i]);
    }
    assert_non_null(strstr(line, "-0.3,")); /* no digits more than needed */
    assert_non_null(strstr(line, "\"-inf\""));
    record_finish(&r);
    free(line);
    op.n_tok = 1;
    op.len = 3;
    there_and_back(&op, &line, &r);
    assert_null(strstr(line, "\"l\":"));
    assert_null(r.op.tok_len);
    record_finish(&r);
    free(line);
}

static void
run_and_end(void **state)
{
    const uint64_t seeds[] = { 0, 1, 9007199254740993, 18446744073709551615u };
    for (int i = 0; i < 4; i++) {
        struct story_op op = { .type = OP_RUN,
                               .n = 5,
                               .p = 4,
                               .at = 100,
                               .m = 2,
                               .k = 3,
                               .seed = seeds[i],
                               .run = 7,
                               .br = 1,
                               .i0 = 20,
                               .win = 50,
                               .w = 9,
                               .cont = i % 2,
                               .aside = i > 1 };
        struct record r;
        there_and_back(&op, NULL, &r);
        assert_true(r.op.seed == seeds[i]);
        assert_int_equal(r.op.p, 4);
        assert_int_equal(r.op.at, 100);
        assert_int_equal(r.op.m, 2);
        assert_int_equal(r.op.k, 3);
        assert_int_equal(r.op.run, 7);
        assert_int_equal(r.op.br, 1);
        assert_int_equal(r.op.i0, 20);
        assert_int_equal(r.op.win, 50);
        assert_int_equal(r.op.w, 9);
        assert_int_equal(r.op.cont, i % 2);
        assert_int_equal(r.op.aside, i > 1);
        record_finish(&r);
    }
    for (int why = GEN_WHY_LENGTH; why < GEN_WHY_COUNT; why++) {
        struct story_op op = { .type = OP_END,
                               .n = 6,
                               .of = 5,
                               .why = (enum gen_why)why,
                               .tail = { 0xE5, 0x0A, 0, 0 },
                               .n_tail = (size_t)why % 3 };
        struct record r;
        there_and_back(&op, NULL, &r);
        assert_int_equal(r.op.why, why);
        assert_int_equal(r.op.n_tail, why % 3);
        assert_memory_equal(r.op.tail, op.tail, op.n_tail);
        record_finish(&r);
    }
}

static void
knob_tables(void **state)
{
    struct knobs k, before;
    struct err err;
    knobs_default(&k);
    k.temp = INFINITY;
    k.top_p = 0.123;
    k.seed_random = false;
    k.seed = 18446744073709551615u;
    assert_true(knob_parse(&k, &knob_rows[KNOB_STOP_AT], "never", &err));
    strcpy(k.stop, "完\"||\\n");
    char *line;
    struct story_op op = { .type = OP_KNOBS, .n = 1, .k = 4, .set = &k };
    struct record r;
    there_and_back(&op, &line, &r);
    assert_int_equal(r.op.k, 4);
    assert_true(knobs_equal(r.op.set, &k));
    assert_non_null(strstr(line, "\"temperature\":\"inf\""));
    assert_non_null(strstr(line, "\"top-p\":0.123,"));
    record_finish(&r);
    free(line);

    knobs_default(&before);
    k = before;
    k.temp = 1.15;
    op = (struct story_op){ .type = OP_KNOB,
                            .n = 2,
                            .set = &k,
                            .before = &before,
                            .has_of = true,
                            .of = 9,
                            .i = 10 };
    there_and_back(&op, &line, &r);
    assert_true(knobs_equal(r.op.set, &k));
    assert_true(r.op.has_of);
    assert_int_equal(r.op.of, 9);
    assert_int_equal(r.op.i, 10);
    assert_non_null(strstr(line, "\"set\":{\"temperature\":1.15}"));
    record_finish(&r);
    free(line);
}

static void
the_others(void **state)
{
    struct story_op op = { .type = OP_HEAD_LINE,
                           .v = 1,
                           .min = 1,
                           .app = "a",
                           .id = "b",
                           .s = "渡口",
                           .len = 6,
                           .w = 77 };
    struct record r;
    there_and_back(&op, NULL, &r);
    assert_int_equal(r.op.v, 1);
    assert_int_equal(r.op.min, 1);
    assert_string_equal(r.op.s, "渡口");
    assert_string_equal(r.op.id, "b");
    assert_int_equal(r.op.w, 77);
    record_finish(&r);
    op = (struct story_op){ .type = OP_MODEL,
                            .n = 1,
                            .m = 1,
                            .name = "n",
                            .sha = "s",
                            .cfg = "c",
                            .tok_hash = "t",
                            .num = "u" };
    there_and_back(&op, NULL, &r);
    assert_int_equal(r.op.m, 1);
    assert_string_equal(r.op.name, "n");
    assert_string_equal(r.op.sha, "s");
    assert_string_equal(r.op.cfg, "c");
    assert_string_equal(r.op.tok_hash, "t");
    assert_string_equal(r.op.num, "u");
    record_finish(&r);
    op = (struct story_op){ .type = OP_WIN, .n = 2, .of = 1, .i = 4, .at = 8 };
    there_and_back(&op, NULL, &r);
    assert_int_equal(r.op.of, 1);
    assert_int_equal(r.op.i, 4);
    assert_int_equal(r.op.at, 8);
    record_finish(&r);
    op = (struct story_op){ .type = OP_HEAD, .n = 3, .to = 2 };
    there_and_back(&op, NULL, &r);
    assert_int_equal(r.op.to, 2);
    record_finish(&r);
    for (int t = OP_MARK; t <= OP_NOTE; t++) {
        op = (struct story_op){
            .type = (enum op_type)t, .n = 4, .s = "记", .len = 3, .to = 40
        };
        there_and_back(&op, NULL, &r);
        assert_int_equal(r.op.len, 3);
        if (t != OP_TITLE)
            assert_int_equal(r.op.to, 40);
        record_finish(&r);
    }
}

/* A line with its right sum. */
static bool
reads(const char *body)
{
    char line[400];
    struct record r;
    int n = snprintf(line, sizeof line, "%s,\"c\":\"%08x\"}", body,
                     crc32c(0, body, strlen(body)));
    knobs_default(&now);
    bool ok = record_read(line, (size_t)n, &now, &r);
    if (ok)
        record_finish(&r);
    return ok;
}

static void
what_is_no_record(void **state)
{
    struct record r;
    const char *not_json[] = {
        "",
        "x",
        "{}",
        "{\"n\":1,\"t\":\"add\"}",
        "{\"n\":1,\"t\":\"add\",\"c\":\"00000000\"}",
        ",\"c\":\"00000000\"}",
        "{\"n\":,\"c\":\"0000000g\"}",
    };
    knobs_default(&now);
    for (size_t i = 0; i < sizeof not_json / sizeof *not_json; i++)
        assert_false(record_read(not_json[i], strlen(not_json[i]), &now, &r));
    assert_true(reads("{\"n\":1,\"t\":\"head\",\"to\":0"));
    assert_true(reads("{\"n\":1,\"t\":\"tomorrow\",\"x\":[{}]"));
    assert_false(reads("{\"n\":1,\"t\":\"head\",\"to\":-1"));
    assert_false(reads("{\"n\":1,\"t\":\"head\",\"to\":\"0\""));
    assert_false(reads("{\"n\":1,\"t\":\"head\",\"to\":1.5"));
    assert_false(reads("{\"n\":1,\"t\":\"head\",\"to\":99999999999999999999"));
    assert_false(reads("{\"n\":-1,\"t\":\"head\",\"to\":1"));
    assert_false(reads("{\"n\":9007199254740993,\"t\":\"head\""));
    assert_false(reads("{\"n\":1,\"t\":7"));
    assert_false(reads("{\"n\":1,\"t\":\"head\",\"n\":2"));
    assert_false(reads("{\"n\":1,\"t\":\"head\",\"to\":[1"));
    assert_false(reads("{\"n\":1,\"t\":\"add\",\"x\":\"a\""));
    assert_false(reads("{\"n\":1,\"t\":\"add\",\"x\":\"a=aa\""));
    assert_false(reads("{\"n\":1,\"t\":\"add\",\"s\":4"));
    assert_false(reads("{\"n\":1,\"t\":\"tok\",\"i\":[\"a\"]"));
    assert_false(reads("{\"n\":1,\"t\":\"tok\",\"i\":[1,2],\"l\":[1,-1]"));
    assert_false(reads("{\"n\":1,\"t\":\"knobs\",\"set\":3"));
    assert_false(reads("{\"n\":1,\"t\":\"run\",\"seed\":\"12x\""));
    /* A knob of tomorrow and one out of range leave the others alone. */
    assert_true(reads("{\"n\":1,\"t\":\"knobs\",\"set\":{\"warp\":9,"
                      "\"temperature\":99}"));
}

static void
salvage(void **state)
{
    struct bytes b = { 0 };
    struct story_op op = {
        .type = OP_NOTE, .n = 1, .s = "{\"n\":1,\"c\":\"", .len = 11
    };
    size_t at = 0, from, to;
    bytes_add(&b, "{\"n\":0,\"t\":\"ad", 14); /* torn, */
    size_t one = b.n;
    record_write(&op, &b); /* whole, */
    b.n--;
    size_t junk = b.n;
    bytes_add(&b, "\0\0}", 3); /* junk, */
    size_t two = b.n;
    record_write(&op, &b); /* whole. */
    b.n--;
    assert_true(record_salvage(b.s, b.n, &at, &from, &to));
    assert_int_equal(from, one);
    assert_int_equal(to, junk);
    assert_true(record_salvage(b.s, b.n, &at, &from, &to));
    assert_int_equal(from, two);
    assert_int_equal(to, b.n);
    assert_false(record_salvage(b.s, b.n, &at, &from, &to));
    free(b.s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_of_all_kinds),
        cmocka_unit_test(form_of_a_line),
        cmocka_unit_test(tokens),
        cmocka_unit_test(run_and_end),
        cmocka_unit_test(knob_tables),
        cmocka_unit_test(the_others),
        cmocka_unit_test(what_is_no_record),
        cmocka_unit_test(salvage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
