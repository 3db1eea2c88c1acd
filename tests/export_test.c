/* The current branch as text and as Markdown. */
#include "src/export.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct story *
story_of(const char *title, const char *text, size_t len)
{
    struct story *s = story_new();
    struct story_op op = { .type = OP_EDIT, .s = text, .len = len };
    struct err err;
    assert_true(story_apply(s, &op, &err));
    op =
        (struct story_op){ .type = OP_TITLE, .s = title, .len = strlen(title) };
    assert_true(story_apply(s, &op, &err));
    return s;
}

static void
assert_export(enum export_format f, const char *title, const char *text,
              const char *want)
{
    struct story *s = story_of(title, text, strlen(text));
    size_t len;
    char *got = export_story(s, f, &len);
    assert_string_equal(got, want);
    assert_int_equal(len, strlen(want));
    free(got);
    story_free(s);
}

static void
text_is_the_text(void **state)
{
    struct story *s = story_of("t", "雪\0\xFF\r\n", 7);
    size_t len;
    char *got = export_story(s, EXPORT_TXT, &len);
    assert_int_equal(len, 7);
    assert_memory_equal(got, "雪\0\xFF\r\n", 7);
    free(got);
    story_free(s);
    assert_export(EXPORT_TXT, "", "", "");
}

static void
markdown(void **state)
{
    assert_export(EXPORT_MD, "", "", "");
    assert_export(EXPORT_MD, "渡口", "雪夜。\n\n\n  他来了。\n",
                  "# 渡口\n\n雪夜。\n\n&nbsp;&nbsp;他来了。\n");
    assert_export(EXPORT_MD, "a*b", "*a* _b_ `c` [d](e) <f> &amp; \\g",
                  "# a\\*b\n\n\\*a\\* \\_b\\_ \\`c\\` \\[d\\](e) \\<f\\> "
                  "\\&amp; \\\\g\n");
    assert_export(EXPORT_MD, "",
                  "# no heading\n- no list\n+ nor\n1. nor\n"
                  "23) nor\n=== rule\n> quote\n1 one",
                  "\\# no heading\n\n\\- no list\n\n\\+ nor\n\n1\\. nor\n\n"
                  "23\\) nor\n\n\\=== rule\n\n\\> quote\n\n1 one\n");
    assert_export(EXPORT_MD, "", "\t\xE3\x80\x80缩进\r\n尾",
                  "&emsp;\xE3\x80\x80缩进\n\n尾\n");
}

static void
only_the_branch(void **state)
{
    struct story *s = story_of("", "甲", 3);
    struct err err;
    struct story_op op = { .type = OP_EDIT, .p = 0, .s = "乙", .len = 3 };
    assert_true(story_apply(s, &op, &err));
    size_t len;
    char *got = export_story(s, EXPORT_TXT, &len);
    assert_string_equal(got, "乙");
    free(got);
    story_free(s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_the_text),
        cmocka_unit_test(markdown),
        cmocka_unit_test(only_the_branch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
