/* tests/json_test.c  The pull reader: every token, every refusal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/json.h"

/* Walks the whole text and writes its events as letters: {}[] for the levels,
 * k s i n t f 0 for keys and scalars, . at the end, ! for an error. The text
 * is copied to a block of exactly its size, so that ASan sees its end. */
static const char *
shape(const char *text, size_t len, int depth, struct err *err)
{
    static const char letter[] = ".!{}[]ksintf0";
    static char out[4096];
    char *copy = malloc(len ? len : 1);
    enum json_type t;
    struct json j;
    size_t n = 0;

    memcpy(copy, text, len);
    json_init(&j, copy, len, depth, err);
    do {
        t = json_next(&j);
        out[n++] = letter[t];
    } while (t != JSON_END && t != JSON_ERROR && n < sizeof out - 1);
    assert_int_equal(json_next(&j), t);
    out[n] = '\0';
    free(copy);
    return out;
}

static void
good_texts(void **state)
{
    static const struct {
        const char *text, *shape;
    } rows[] = {
        { "{}", "{}." },
        { " [ ] \r\n\t", "[]." },
        { "[1,-0,2.5,1e3,1E-2,-7]", "[iinnni]." },
        { "{\"a\":{\"b\":[true,false,null]},\"c\":\"\"}", "{k{k[tf0]}ks}." },
        { "\"x\"", "s." },
        { "17", "i." },
        { "9223372036854775807", "i." },
        { "-9223372036854775808", "i." },
        { "9223372036854775808", "n." },
        { "1000000000000000019884624838656", "n." },
        { "[[],{},[[]]]", "[[]{}[[]]]." },
        { "\"\\u0000\\ud83d\\ude00\\\\\"", "s." },
    };
    struct err err = { 0 };
    size_t i;

    for (i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(shape(rows[i].text, strlen(rows[i].text), 0, &err),
                            rows[i].shape);
    assert_int_equal(err.kind, ERR_NONE);
}

static void
bad_texts(void **state)
{
    static const char *rows[] = {
        "",
        " ",
        "{",
        "[",
        "}",
        "]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{a:1}",
        "{\"a\" 1}",
        "{1:2}",
        "{\"a\":1]",
        "[1}",
        "01",
        "-",
        "+1",
        ".5",
        "1.",
        "1e",
        "1e+",
        "0x10",
        "NaN",
        "Infinity",
        "tru",
        "nul",
        "True",
        "'a'",
        "\"",
        "\"a",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "\"a\nb\"",
        "\"a\x01\"",
        "\"\xC0\xAF\"",
        "\"\xED\xA0\x80\"",
        "\"\xF4\x90\x80\x80\"",
        "\"\xE4\xBD\"",
        "\"\x80\"",
        "\xEF\xBB\xBF{}",
        "1 2",
        "{} {}",
        "[1]//x",
        "1e999",
        "\"\\ud83d\\u\"",
        "\"\\u\"",
    };
    struct err err;
    size_t i;

    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *s;

        memset(&err, 0, sizeof err);
        s = shape(rows[i], strlen(rows[i]), 0, &err);
        if (s[strlen(s) - 1] != '!')
            fail_msg("accepted: %s", rows[i]);
        assert_int_equal(err.kind, ERR_FAILED);
        assert_non_null(strstr(err.msg, "byte"));
    }
    shape("[\0]", 3, 0, &err);
    assert_int_equal(err.kind, ERR_FAILED);
}

/* Cut anywhere, a text is refused, and never read beyond its end. */
static void
truncated_texts(void **state)
{
    static const char text[] =
        "{\"k\\u4f60\":[1.5e3,\"\\ud83d\\ude00\xE4\xBD\xA0\",true],\"z\":null}";
    size_t n;

    for (n = 0; n < sizeof text - 1; n++) {
        const char *s = shape(text, n, 0, NULL);

        assert_int_equal(s[strlen(s) - 1], '!');
    }
    assert_string_equal(shape(text, n, 0, NULL), "{k[nst]k0}.");
}

static void
depth_is_limited(void **state)
{
    char text[400];
    struct err err = { 0 };
    int n;

    for (n = 1; n <= 70; n++) {
        const char *s;

        memset(text, '[', (size_t)n);
        memset(text + n, ']', (size_t)n);
        s = shape(text, (size_t)(2 * n), 0, &err);
        assert_int_equal(s[strlen(s) - 1] == '.', n <= 16);
        s = shape(text, (size_t)(2 * n), 1000, &err);
        assert_int_equal(s[strlen(s) - 1] == '.', n <= JSON_DEPTH_MAX);
    }
    assert_non_null(strstr(err.msg, "deep"));
}

static void
values(void **state)
{
    static const char text[] = "[-12, 1.5, \"a\\n\\u4f60\\ud83d\\ude00/\\/\"]";
    struct json j;
    char buf[32], *s;
    size_t len;

    json_init(&j, text, sizeof text - 1, 0, NULL);
    assert_int_equal(json_next(&j), JSON_ARRAY);
    assert_int_equal(json_next(&j), JSON_INT);
    assert_true(j.i == -12 && j.d == -12.0);
    assert_int_equal(j.at, 1);
    assert_int_equal(json_next(&j), JSON_NUMBER);
    assert_true(j.d == 1.5);
    assert_int_equal(j.at, 6);
    assert_int_equal(json_next(&j), JSON_STRING);
    len = json_text(&j, buf, sizeof buf);
    assert_int_equal(len, 11);
    assert_string_equal(buf, "a\n\xE4\xBD\xA0\xF0\x9F\x98\x80//");
    assert_true(json_text(&j, buf, 11) == (size_t)-1);
    assert_int_equal(json_text(&j, buf, 12), 11);
    s = json_dup(&j, &len);
    assert_int_equal(len, 11);
    assert_true(json_is(&j, s));
    assert_false(json_is(&j, "a"));
    assert_false(json_is(&j, ""));
    free(s);
    json_init(&j, "9223372036854775808", 19, 0, NULL);
    assert_int_equal(json_next(&j), JSON_NUMBER);
    assert_true(j.d == 9223372036854775808.0);
    json_init(&j, "-9223372036854775808", 20, 0, NULL);
    assert_int_equal(json_next(&j), JSON_INT);
    assert_true(j.i == INT64_MIN);
}

static void
skipping(void **state)
{
    static const char text[] =
        "{\"a\":{\"x\":[1,{\"y\":2}]},\"b\":[],\"c\":3,\"d\":\"e\",\"f\":7}";
    struct json j;

    json_init(&j, text, sizeof text - 1, 0, NULL);
    assert_int_equal(json_next(&j), JSON_OBJECT);
    while (json_next(&j) == JSON_KEY && !json_is(&j, "f")) {
        if (json_is(&j, "b")) /* both ways of asking */
            assert_int_equal(json_next(&j), JSON_ARRAY);
        assert_true(json_skip(&j));
    }
    assert_int_equal(json_next(&j), JSON_INT);
    assert_int_equal(j.i, 7);
    assert_int_equal(json_next(&j), JSON_OBJECT_END);
    assert_int_equal(json_next(&j), JSON_END);
    json_init(&j, "{\"a\":[1,", 8, 0, NULL);
    json_next(&j);
    json_next(&j);
    assert_false(json_skip(&j));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_texts),      cmocka_unit_test(bad_texts),
        cmocka_unit_test(truncated_texts), cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(values),          cmocka_unit_test(skipping),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
