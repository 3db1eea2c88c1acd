/* tests/unicode_test.c  Decoding, properties, widths, graphemes, counting. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
/* clang-format on */

#include "engine/base/unicode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- UTF-8 --- */

static void
test_every_scalar(void **state)
{
    for (uint32_t cp = 0; cp <= 0x10FFFF; cp++) {
        char s[8] = { 0 };
        uint32_t back;
        size_t n;

        if (cp >= 0xD800 && cp <= 0xDFFF)
            continue;
        n = uni_encode(cp, s);
        assert_int_equal(uni_decode(s, n, &back), n);
        assert_int_equal(back, cp);
        assert_int_equal(uni_prev(s, n), 0);
        assert_int_equal(uni_whole(s, n), n);
        for (size_t cut = 1; cut < n; cut++) { /* a cut one may still grow */
            assert_int_equal(uni_decode(s, cut, &back), 1);
            assert_int_equal(back, UNI_BAD);
            assert_int_equal(uni_whole(s, cut), 0);
        }
    }
}

static void
test_ill_formed(void **state)
{
    static const char *const bad[] = {
        "\x80",
        "\xBF",
        "\xC0\x80",
        "\xC1\xBF",
        "\xE0\x80\x80",
        "\xE0\x9F\xBF",
        "\xED\xA0\x80",
        "\xED\xBF\xBF",
        "\xF0\x8F\xBF\xBF",
        "\xF4\x90\x80\x80",
        "\xF5\x80\x80\x80",
        "\xFF",
        "\xFE",
        "\xC3(",
        "\xE4\xB8(",
    };
    uint32_t cp;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(uni_decode(bad[i], strlen(bad[i]), &cp), 1);
        assert_int_equal(cp, UNI_BAD);
        assert_false(uni_valid(bad[i], strlen(bad[i])));
    }
    assert_int_equal(uni_whole("\xED\xA0", 2), 2); /* can never be one */
    assert_int_equal(uni_whole("\xF4\x90", 2), 2);
    assert_int_equal(uni_whole("ab\xF0\x9F\x98", 5), 2);
    assert_int_equal(uni_whole("ab\x80\x80\x80\x80", 6), 6);
}

/* Backwards stops at the same places as forwards, for any bytes. */
static void
test_both_ways(void **state)
{
    static const unsigned char set[] = { 'a',  0x80, 0xBF, 0xC3, 0xE4, 0xE0,
                                         0xED, 0xA0, 0xF0, 0x9F, 0xF4, 0xB8 };
    uint32_t seed = 7;

    for (int round = 0; round < 20000; round++) {
        char s[12];
        size_t ends[13], n = 0, at;
        uint32_t cp;

        for (size_t i = 0; i < sizeof s; i++) {
            seed = seed * 1664525u + 1013904223u;
            s[i] = (char)set[(seed >> 16) % sizeof set];
        }
        for (at = 0; at < sizeof s;) {
            ends[n++] = at;
            at += uni_decode(s + at, sizeof s - at, &cp);
        }
        for (at = sizeof s; n-- > 0;) {
            size_t p = uni_prev(s, at);

            assert_int_equal(p, ends[n]);
            at = p;
        }
    }
}

/* --- properties --- */

static size_t
count(bool (*is)(uint32_t))
{
    size_t n = 0;

    for (uint32_t cp = 0; cp <= 0x10FFFF; cp++)
        n += is(cp);
    return n;
}

/* Counts of Unicode 15.0 (UnicodeData.txt, PropList.txt). */
static void
test_counts(void **state)
{
    assert_int_equal(count(uni_is_mn), 1985);
    assert_int_equal(count(uni_is_punctuation), 842);
    assert_int_equal(count(uni_is_zs), 17);
    assert_int_equal(count(uni_is_white), 25);
    assert_int_equal(count(uni_is_letter), 136104);
    assert_int_equal(count(uni_is_number), 1831);
    assert_int_equal(count(uni_is_mark), 2450);
    assert_false(uni_is_letter(UNI_BAD) || uni_is_mark(UNI_BAD) ||
                 uni_is_punctuation(UNI_BAD) || uni_is_white(UNI_BAD));
}

static void
test_properties(void **state)
{
    uint32_t out[18];

    assert_string_equal(uni_category('A'), "Lu");
    assert_string_equal(uni_category(0x4E00), "Lo");
    assert_string_equal(uni_category(0x378), "Cn");
    assert_string_equal(uni_category(0xE000), "Co");
    assert_string_equal(uni_category(0xD800), "Cs");
    assert_string_equal(uni_category(UNI_BAD), "Cn");
    assert_int_equal(uni_lower('Q'), 'q');
    assert_int_equal(uni_lower(0x391), 0x3B1);
    assert_int_equal(uni_lower(0x10400), 0x10428);
    assert_int_equal(uni_lower(0x4E00), 0x4E00);
    assert_int_equal(uni_nfd(0xE9, out), 2);
    assert_true(out[0] == 'e' && out[1] == 0x301);
    assert_int_equal(uni_nfd(0xD55C, out), 3); /* 한 */
    assert_true(out[0] == 0x1112 && out[1] == 0x1161 && out[2] == 0x11AB);
    assert_int_equal(uni_nfd(0xF900, out), 1);
    assert_int_equal(out[0], 0x8C48);
    assert_int_equal(uni_nfd(0xFF21, out), 1); /* no compatibility */
    assert_int_equal(out[0], 0xFF21);
    assert_int_equal(uni_ccc(0x301), 230);
    assert_int_equal(uni_ccc(0x323), 220);
    assert_int_equal(uni_ccc('a'), 0);
    assert_true(uni_is_han(0x9FFF) && uni_is_han(0x2B81F));
    assert_false(uni_is_han(0x3007) || uni_is_han(0x2CEB0));
}

/* --- widths --- */

static void
test_widths(void **state)
{
    static const struct {
        uint32_t cp;
        int cols;
    } row[] = {
        { 'a', 1 },      { 0xE9, 1 },    { 0x4E2D, 2 },     { 0x3000, 2 },
        { 0x3002, 2 },   { 0xFF0C, 2 },  { 0xFF71, 1 },     { 0xAC00, 2 },
        { 0x1F600, 2 },  { 0x2705, 2 },  { 0x2764, 1 },     { 0x301, 0 },
        { 0xFE0F, 0 },   { 0x20DD, 0 },  { 0x1160 + 1, 0 }, { 0x20000, 2 },
        { 0x3FFFD, -1 }, { '\n', -1 },   { 0x1B, -1 },      { 0x7F, -1 },
        { 0x9B, -1 },    { 0x200B, -1 }, { 0x200D, -1 },    { 0x202E, -1 },
        { 0x2066, -1 },  { 0x2028, -1 }, { 0xFEFF, -1 },    { 0xAD, -1 },
        { 0xE0041, -1 }, { 0xE000, -1 }, { 0xD800, -1 },    { 0x378, -1 },
        { 0xFFFF, -1 },  { 0x3164, -1 }, { UNI_BAD, -1 },   { 0xFFFD, 1 },
    };

    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        if (uni_width(row[i].cp) != row[i].cols)
            fail_msg("U+%04X: %d columns", row[i].cp, uni_width(row[i].cp));
        assert_int_equal(uni_is_safe(row[i].cp), row[i].cols >= 0);
    }
}

static void
test_ambiguous(void **state)
{
    static const uint32_t cps[] = { 0x201C, 0x2026, 0x2014, 0x2103, 0xD7,
                                    0x2605, 0x2192, 0x3B1,  0x416 };

    for (int cols = 1; cols <= 2; cols++) {
        uni_set_ambiguous(cols);
        for (size_t i = 0; i < sizeof cps / sizeof *cps; i++)
            assert_int_equal(uni_width(cps[i]), cols);
        assert_int_equal(uni_width('a'), 1);
        assert_int_equal(uni_width(0x301), 0); /* a mark, though ambiguous */
        assert_int_equal(uni_width(0xE000), -1);
    }
    uni_set_ambiguous(1);
}

/* --- graphemes --- */

/* Clusters of s as bytes each, "3 1 25". */
static const char *
clusters(const char *s)
{
    static char buf[256];
    size_t len = strlen(s), used = 0;

    buf[0] = '\0';
    for (size_t i = 0; i < len;) {
        size_t n = uni_grapheme(s + i, len - i);

        used += (size_t)snprintf(buf + used, sizeof buf - used, "%s%zu",
                                 i ? " " : "", n);
        i += n;
    }
    return buf;
}

static void
test_graphemes(void **state)
{
    assert_string_equal(clusters("人a。"), "3 1 3");
    assert_string_equal(clusters("e\u0301x"), "3 1");
    assert_string_equal(clusters("a\r\n\nb"), "1 2 1 1");
    assert_string_equal(clusters("\u0301\u0301"), "4");
    assert_string_equal(clusters("👩‍🌾人"), "11 3");
    assert_string_equal(clusters("❤️a"), "6 1");
    assert_string_equal(clusters("🇨🇳🇯🇵"), "8 8");
    assert_string_equal(clusters("\u1100\u1161\u11a8"), "9"); /* three Jamo */
    assert_string_equal(clusters("か\u3099が"), "6 3");
    assert_string_equal(clusters("人\u0301"), "5");
    assert_string_equal(clusters("#️⃣1"), "7 1");
    assert_string_equal(clusters("a\xE4\xB8z\x80"), "1 1 1 1 1");
    assert_string_equal(clusters("\n\u0301"), "1 2");
    assert_int_equal(uni_grapheme("", 0), 0);
}

static void
test_grapheme_width(void **state)
{
    assert_int_equal(uni_grapheme_width("人", 3), 2);
    assert_int_equal(uni_grapheme_width("e\u0301", 3), 1);
    assert_int_equal(uni_grapheme_width("👩‍🌾", 11), 2);
    assert_int_equal(uni_grapheme_width("\u0301", 2), 1);
    assert_int_equal(uni_grapheme_width("\n", 1), 1);
    assert_int_equal(uni_grapheme_width("\xFF", 1), 1);
}

/* All samples of the Unicode database, where that is installed. */
static void
test_grapheme_samples(void **state)
{
    static const char path[] = "/usr/share/unicode/auxiliary/"
                               "GraphemeBreakTest.txt";
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t cap = 0;
    int n = 0;

    if (!f) {
        print_message("# SKIPPED: %s is not here\n", path);
        skip();
    }
    while (getline(&line, &cap, f) > 0) {
        char s[256], *word, *save = NULL;
        bool end[257] = { false };
        size_t len = 0;

        line[strcspn(line, "#\n")] = '\0';
        for (word = strtok_r(line, " \t", &save); word;
             word = strtok_r(NULL, " \t", &save)) {
            if (strcmp(word, "÷") == 0)
                end[len] = true;
            else if (strcmp(word, "×") != 0)
                len += uni_encode((uint32_t)strtoul(word, NULL, 16), s + len);
        }
        if (len == 0 || !uni_valid(s, len)) /* surrogates are no text */
            continue;
        for (size_t i = 0; i < len;) {
            size_t k = uni_grapheme(s + i, len - i);

            for (size_t j = i + 1; j < i + k; j++)
                assert_false(end[j]);
            i += k;
            assert_true(end[i]);
        }
        n++;
    }
    free(line);
    fclose(f);
    assert_true(n > 500);
}

/* --- counting --- */

static size_t
words(const char *s)
{
    return uni_count_words(s, strlen(s));
}

static void
test_count(void **state)
{
    assert_int_equal(words(""), 0);
    assert_int_equal(words("渡口的老人说，今天的船不会来了。"), 14);
    assert_int_equal(words("“…——”！"), 0);
    assert_int_equal(words("don't well-known 3.14 12:30"), 4);
    assert_int_equal(words("end.Start a,b"), 4);
    assert_int_equal(words("我用iPhone 12写字"), 6);
    assert_int_equal(words("カタカナ 한국 々〇"), 8);
    assert_int_equal(words("cafe\u0301 a\xFF"
                           "b"),
                     3);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_scalar),
        cmocka_unit_test(test_ill_formed),
        cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_properties),
        cmocka_unit_test(test_widths),
        cmocka_unit_test(test_ambiguous),
        cmocka_unit_test(test_graphemes),
        cmocka_unit_test(test_grapheme_width),
        cmocka_unit_test(test_grapheme_samples),
        cmocka_unit_test(test_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
