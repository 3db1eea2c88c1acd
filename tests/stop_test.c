/* tests/stop_test.c  Where a run ends: sentences, paragraphs, stop strings
 * over token borders, loops. Every case feeds tokens and shows what reaches
 * the page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/gen.h"

/* Feeds the tokens (NULL ends) as a generator does; page[] gets the text that
 * was painted. Returns why it ended, NONE when the tokens ran out. */
static enum gen_why
feed(const struct knobs *k, int64_t left, const char *before,
     const char *const *tok, char *page)
{
    struct stopper s;
    enum gen_why why = GEN_WHY_NONE;
    size_t front = 0;

    *page = '\0';
    stopper_init(&s, k, left, before, strlen(before));
    for (size_t i = 0; tok[i] && why == GEN_WHY_NONE; i++) {
        struct stop_verdict v = stopper_add(&s, tok[i], strlen(tok[i]));

        assert_true(front + v.settled <= i + 1);
        for (size_t j = 0; j < v.settled; j++)
            strcat(page, tok[front++]);
        if (v.cut) {
            assert_true(v.why == GEN_WHY_STOP && v.cut < strlen(tok[front]));
            strncat(page, tok[front], v.cut);
        }
        why = v.why;
    }
    stopper_finish(&s);
    return why;
}

static void
check(const struct knobs *k, int64_t left, const char *const *tok,
      enum gen_why why, const char *want)
{
    char page[4096];
    enum gen_why got = feed(k, left, "", tok, page);

    assert_string_equal(page, want);
    assert_string_equal(gen_why_name(got), gen_why_name(why));
}

#define TOK(...) ((const char *const[]){ __VA_ARGS__, NULL })

static struct knobs
stop_at(enum stop_at at)
{
    struct knobs k;

    knobs_default(&k);
    k.stop_at = at;
    return k;
}

static struct knobs
stop_string(const char *text)
{
    struct knobs k = stop_at(STOP_AT_NEVER);

    assert_true(strlen(text) < sizeof k.stop);
    strcpy(k.stop, text);
    return k;
}

static void
names_go_both_ways(void **state)
{
    for (int i = 0; i < GEN_WHY_COUNT; i++)
        assert_int_equal(gen_why_find(gen_why_name((enum gen_why)i)), i);
    assert_int_equal(gen_why_find("because"), GEN_WHY_NONE);
}

static void
length_is_exact(void **state)
{
    struct knobs k = stop_at(STOP_AT_LENGTH);

    check(&k, 3, TOK("他", "走", "了", "很", "远"), GEN_WHY_LENGTH, "他走了");
    check(&k, 3, TOK("他", "。", "”", "”"), GEN_WHY_LENGTH, "他。”");
    check(&k, 9, TOK("他"), GEN_WHY_NONE, "他");
}

static void
sentence_goes_on_to_its_end(void **state)
{
    struct knobs k = stop_at(STOP_AT_SENTENCE);

    check(&k, 1, TOK("他", "走", "了", "。", "他"), GEN_WHY_SENTENCE,
          "他走了。");
    check(&k, 2, TOK("好", "。", "他"), GEN_WHY_SENTENCE, "好。");
    /* an end before the length does not end the run */
    check(&k, 4, TOK("好", "。", "他", "走", "了", "！", "我"),
          GEN_WHY_SENTENCE, "好。他走了！");
}

static void
what_closes_belongs_to_the_sentence(void **state)
{
    struct knobs k = stop_at(STOP_AT_SENTENCE);

    check(&k, 1, TOK("走", "。", "”", "他"), GEN_WHY_SENTENCE, "走。”");
    check(&k, 1, TOK("走", "！", "」", "』", "他"), GEN_WHY_SENTENCE,
          "走！」』");
    check(&k, 1, TOK("走", "？", "！", "）", "”", "“"), GEN_WHY_SENTENCE,
          "走？！）”");
    check(&k, 1, TOK("走", "…", "…", "他"), GEN_WHY_SENTENCE, "走……");
    check(&k, 1, TOK("走", "。", "“"), GEN_WHY_SENTENCE, "走。");
}

static void
plain_quotes_close_when_open(void **state)
{
    struct knobs k = stop_at(STOP_AT_SENTENCE);
    char page[64];

    check(&k, 4, TOK("\"", "走", "。", "\"", "\""), GEN_WHY_SENTENCE,
          "\"走。\"");
    check(&k, 1, TOK("走", "。", "\"", "来"), GEN_WHY_SENTENCE, "走。");
    /* opened by the writer, in the same line */
    feed(&k, 1, "他说：\"快", TOK("走", "。", "\"", "来"), page);
    assert_string_equal(page, "走。\"");
    feed(&k, 1, "他说：\"快\n", TOK("走", "。", "\"", "来"), page);
    assert_string_equal(page, "走。");
}

static void
dot_ends_before_white_space_only(void **state)
{
    struct knobs k = stop_at(STOP_AT_SENTENCE);

    check(&k, 1, TOK("It", " is", " 3", ".", "14", ".", " So"),
          GEN_WHY_SENTENCE, "It is 3.14.");
    check(&k, 1, TOK("He", " left", ".", ")", " So"), GEN_WHY_SENTENCE,
          "He left.)");
    check(&k, 1, TOK("So", "...", " it"), GEN_WHY_SENTENCE, "So...");
}

static void
line_break_ends_a_sentence(void **state)
{
    struct knobs k = stop_at(STOP_AT_SENTENCE);

    check(&k, 1, TOK("床前", "明月光", "\n", "疑"), GEN_WHY_SENTENCE,
          "床前明月光");
    check(&k, 2, TOK("光", "\n", "”"), GEN_WHY_SENTENCE, "光\n");
}

static void
twenty_tokens_more_at_most(void **state)
{
    static const char *const words[] = { "一", "二", "三", "四", "五",
                                         "六", "七", "八", "九", "十" };
    struct knobs k = stop_at(STOP_AT_SENTENCE);
    const char *tok[64] = { NULL };
    char want[256] = "", page[4096];

    for (int i = 0; i < 40; i++) {
        /* no two stretches alike, so that no loop is seen */
        tok[i] = words[(i * i / 3 + i / 7) % 10];
        if (i < 5 + STOP_EXTRA_MAX)
            strcat(want, tok[i]);
    }
    assert_int_equal(feed(&k, 5, "", tok, page), GEN_WHY_LENGTH);
    assert_string_equal(page, want);
    tok[4 + STOP_EXTRA_MAX] = "。";
    assert_int_equal(feed(&k, 5, "", tok, page), GEN_WHY_SENTENCE);
}

static void
paragraph_and_never(void **state)
{
    struct knobs k = stop_at(STOP_AT_PARAGRAPH);

    check(&k, 1, TOK("走", "。", "他", "来", "。", "\n", "我"),
          GEN_WHY_PARAGRAPH, "走。他来。");
    check(&k, 2, TOK("走", "\n", "他"), GEN_WHY_PARAGRAPH, "走\n");
    k = stop_at(STOP_AT_NEVER);
    check(&k, 1, TOK("走", "。", "\n", "他"), GEN_WHY_NONE, "走。\n他");
}

static void
an_unfinished_character_waits_at_the_end(void **state)
{
    struct knobs k = stop_at(STOP_AT_SENTENCE);

    /* three byte tokens, the last one completes the character */
    check(&k, 1, TOK("走", "。", "", "", "”", "他"), GEN_WHY_SENTENCE, "走。”");
    check(&k, 1, TOK("走", "。", "", "", "他"), GEN_WHY_SENTENCE, "走。");
    k = stop_at(STOP_AT_LENGTH);
    check(&k, 2, TOK("走", "", "他"), GEN_WHY_LENGTH, "走");
}

static void
stop_strings_never_reach_the_page(void **state)
{
    struct knobs k = stop_string("全文完");

    check(&k, 9, TOK("好", "全", "文", "完", "了"), GEN_WHY_STOP, "好");
    check(&k, 9, TOK("好", "全", "文", "没", "完"), GEN_WHY_NONE, "好全文没完");
    check(&k, 9, TOK("好", "全", "文", "全", "文", "完"), GEN_WHY_STOP,
          "好全文");
    check(&k, 9, TOK("好全", "文", "完"), GEN_WHY_STOP, "好");
    check(&k, 9, TOK("好全文完了"), GEN_WHY_STOP, "好");
    check(&k, 9, TOK("全文完"), GEN_WHY_STOP, "");
    /* what may be a beginning is held back until it is none */
    check(&k, 9, TOK("好", "全", "文"), GEN_WHY_NONE, "好");
    check(&k, 9, TOK("好", "", "全文", "", "完"), GEN_WHY_STOP, "好");
}

static void
several_stop_strings_and_line_breaks(void **state)
{
    struct knobs k = stop_string("\\n\\n||ab\\\\||b|c||||x");

    check(&k, 99, TOK("一", "\n", "二", "\n", "\n", "三"), GEN_WHY_STOP,
          "一\n二");
    check(&k, 99, TOK("a", "b", "\\"), GEN_WHY_STOP, "");
    check(&k, 99, TOK("a", "b", "|", "c"), GEN_WHY_STOP, "a");
    check(&k, 99, TOK("a", "b", "c", "x"), GEN_WHY_STOP, "abc");
    k = stop_string("||");
    check(&k, 99, TOK("a", "||"), GEN_WHY_NONE, "a||");
}

static void
held_text_belongs_to_the_story_when_the_length_ends(void **state)
{
    struct knobs k = stop_string("完了没");

    k.stop_at = STOP_AT_LENGTH;
    check(&k, 3, TOK("好", "完", "了", "没"), GEN_WHY_LENGTH, "好完了");
    k.stop_at = STOP_AT_SENTENCE;
    strcpy(k.stop, "。完");
    check(&k, 1, TOK("好", "。", "他"), GEN_WHY_SENTENCE, "好。");
    check(&k, 9, TOK("好", "。", "完"), GEN_WHY_STOP, "好");
}

/* After so many tokens of "他走了。" with length 8, `left` at the start. */
static bool
may_end_after(int64_t min, int64_t left, int n)
{
    struct knobs k = stop_at(STOP_AT_NEVER);
    struct stopper s;
    bool may;

    k.length = 8;
    k.min_length = min;
    stopper_init(&s, &k, left, "", 0);
    for (int i = 0; i < n; i++)
        stopper_add(&s, "他走了。", strlen("他走了。"));
    may = stopper_may_end(&s);
    stopper_finish(&s);
    return may;
}

static void
end_of_text_waits_for_its_length(void **state)
{
    assert_false(may_end_after(0, 8, 0)); /* no sentence yet */
    assert_true(may_end_after(0, 8, 1));
    assert_false(may_end_after(2, 8, 1));
    assert_true(may_end_after(2, 8, 2));
    assert_true(may_end_after(7, 2, 1)); /* a run that had written 6 */
    assert_false(may_end_after(8, 2, 1));
}

static void
first_sentence_is_known(void **state)
{
    static const struct {
        const char *text;
        bool done;
    } v[] = { { "他走了", false }, { "他走了。", true }, { "3.14", false },
              { "A. B", true },    { "题目\n", true },   { "A.", false } };
    struct knobs k = stop_at(STOP_AT_NEVER);

    for (size_t i = 0; i < sizeof v / sizeof v[0]; i++) {
        struct stopper s;

        stopper_init(&s, &k, 99, "前面。", strlen("前面。"));
        stopper_add(&s, v[i].text, strlen(v[i].text));
        assert_int_equal(s.sentence_done, v[i].done);
        stopper_finish(&s);
    }
}

static void
loops_are_seen(void **state)
{
    struct knobs k = stop_at(STOP_AT_NEVER);

    check(&k, 99, TOK("哈", "哈", "哈", "哈", "哈", "哈", "哈"), GEN_WHY_LOOP,
          "哈哈哈哈哈哈");
    check(&k, 99, TOK("我", "散步", "散步", "散步", "散步"), GEN_WHY_LOOP,
          "我散步散步散步");
    check(&k, 99, TOK("我和你。", "我和你。", "我和他。"), GEN_WHY_NONE,
          "我和你。我和你。我和他。");
    check(&k, 99, TOK("我和你。\n", "我和你。\n", "我和你。\n", "好"),
          GEN_WHY_LOOP, "我和你。\n我和你。\n我和你。\n");
    check(&k, 99, TOK("……", "……", "好"), GEN_WHY_NONE, "…………好");
}

static void
the_longest_loop_is_64_characters(void **state)
{
    struct knobs k = stop_at(STOP_AT_NEVER);

    for (int period = 64; period <= 65; period++) {
        const char *tok[4] = { NULL };
        char page[4096], part[512] = "";

        for (int i = 0; i < period; i++) {
            char c[4] = { (char)0xE4, (char)(0x80 + i / 64),
                          (char)(0x80 + i % 64), 0 };

            c[1] = (char)(0xB8 + i / 64);
            strcat(part, c);
        }
        tok[0] = tok[1] = tok[2] = part;
        assert_int_equal(feed(&k, 9, "", tok, page),
                         period == 64 ? GEN_WHY_LOOP : GEN_WHY_NONE);
    }
}

static void
knobs_turned_in_mid_run(void **state)
{
    struct knobs k = stop_at(STOP_AT_LENGTH);
    struct stopper s;
    struct stop_verdict v;

    k.length = 10;
    stopper_init(&s, &k, 2, "", 0); /* a run that has written 8 before */
    v = stopper_add(&s, "一", 3);
    assert_int_equal(v.why, GEN_WHY_NONE);
    k.length = 12;
    stopper_knobs(&s, &k);
    for (int i = 0; i < 2; i++) {
        v = stopper_add(&s, i ? "三" : "二", 3);
        assert_int_equal(v.why, GEN_WHY_NONE);
        assert_int_equal(v.settled, 1);
    }
    v = stopper_add(&s, "四", 3);
    assert_int_equal(v.why, GEN_WHY_LENGTH);
    k.length = 4; /* shorter than what is written: at the next token */
    stopper_knobs(&s, &k);
    v = stopper_add(&s, "五", 3);
    assert_int_equal(v.why, GEN_WHY_LENGTH);
    stopper_finish(&s);
}

static void
ill_formed_bytes_are_text_too(void **state)
{
    struct knobs k = stop_at(STOP_AT_SENTENCE);

    check(&k, 1, TOK("\xff\xe4", "\xb8", "。", "\xff"), GEN_WHY_SENTENCE,
          "\xff\xe4\xb8。");
    k = stop_at(STOP_AT_NEVER);
    check(&k, 9, TOK("\xff\xfe\xfd\xfc\xfb\xfa\xf9"), GEN_WHY_NONE,
          "\xff\xfe\xfd\xfc\xfb\xfa\xf9");
    check(&k, 9, TOK("\xff\xff\xff\xff\xff\xff"), GEN_WHY_LOOP,
          "\xff\xff\xff\xff\xff\xff");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_go_both_ways),
        cmocka_unit_test(length_is_exact),
        cmocka_unit_test(sentence_goes_on_to_its_end),
        cmocka_unit_test(what_closes_belongs_to_the_sentence),
        cmocka_unit_test(plain_quotes_close_when_open),
        cmocka_unit_test(dot_ends_before_white_space_only),
        cmocka_unit_test(line_break_ends_a_sentence),
        cmocka_unit_test(twenty_tokens_more_at_most),
        cmocka_unit_test(paragraph_and_never),
        cmocka_unit_test(an_unfinished_character_waits_at_the_end),
        cmocka_unit_test(stop_strings_never_reach_the_page),
        cmocka_unit_test(several_stop_strings_and_line_breaks),
        cmocka_unit_test(held_text_belongs_to_the_story_when_the_length_ends),
        cmocka_unit_test(end_of_text_waits_for_its_length),
        cmocka_unit_test(first_sentence_is_known),
        cmocka_unit_test(loops_are_seen),
        cmocka_unit_test(the_longest_loop_is_64_characters),
        cmocka_unit_test(knobs_turned_in_mid_run),
        cmocka_unit_test(ill_formed_bytes_are_text_too),
    };

    return cmocka_run_group_tests_name("stop", tests, NULL, NULL);
}
