/* Bytes to keys: every form, split at every byte, torn, late, pasted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ui/term_keys.h"

const struct binding key_bindings[1]; /* not looked at here */
const size_t n_key_bindings;

/* The keys of s as "Name Name ...", fed in pieces of `piece` bytes. */
static void
read_keys(const char *s, size_t len, size_t piece, char *out, size_t cap)
{
    struct key_input in;
    struct key k;
    size_t n = 0;
    int64_t now = 1000;

    key_input_init(&in);
    out[0] = '\0';
    for (size_t i = 0; i < len || now < 1010;) {
        size_t part = len - i < piece ? len - i : piece;

        if (i < len)
            key_input_feed(&in, s + i, part, now);
        else
            now += 5000;
        i += part;
        while (key_input_next(&in, &k, now, i >= len)) {
            char name[60];

            if (key_name(&k, name, sizeof name) == 0 || k.code == KEY_PASTE)
                snprintf(name, sizeof name, "%s%.*s",
                         k.code == KEY_PASTE ? "Paste:" : "", (int)k.len,
                         k.s);
            n += (size_t)snprintf(out + n, cap - n, "%s%s", n ? " " : "",
                                  name);
            now += 5000; /* lone escapes in a row */
        }
    }
    key_input_finish(&in);
}

static void
check(const char *s, const char *want)
{
    char got[500];

    for (size_t piece = 1; piece <= strlen(s); piece++) {
        read_keys(s, strlen(s), piece, got, sizeof got);
        if (strcmp(got, want) != 0)
            fail_msg("pieces of %zu: \"%s\", not \"%s\"", piece, got, want);
    }
}

static void
test_plain(void **state)
{
    char got[100];

    check("a b", "a Space b");
    check("\t\r\n\b\177", "Tab Enter Ctrl-J Backspace Backspace");
    check("\001\032\034\035\036\037", "Ctrl-A Ctrl-Z Ctrl-\\ Ctrl-] Ctrl-^ "
                                      "Ctrl-_");
    check("中", "中");
    check("a中b", "a 中 b");
    read_keys("\0", 1, 1, got, sizeof got);
    assert_string_equal(got, "Ctrl-@");
    /* an input method's commit is one key when it comes in one piece */
    read_keys("雨点敲着", 12, 12, got, sizeof got);
    assert_string_equal(got, "雨点敲着");
    read_keys("雨点敲着", 12, 5, got, sizeof got);
    assert_string_equal(got, "雨 点敲 着");
}

static void
test_sequences(void **state)
{
    check("\033[A\033[B\033[C\033[D", "Up Down Right Left");
    check("\033OA\033OB\033OC\033OD", "Up Down Right Left");
    check("\033[H\033[F\033OH\033OF\033[1~\033[4~\033[7~\033[8~",
          "Home End Home End Home End Home End");
    check("\033[2~\033[3~\033[5~\033[6~", "Ins Del PgUp PgDn");
    check("\033OP\033OQ\033OR\033OS\033[15~\033[17~\033[21~\033[23~\033[24~",
          "F1 F2 F3 F4 F5 F6 F10 F11 F12");
    check("\033[[A\033[[E\033[11~\033[14~", "F1 F5 F1 F4");
    check("\033[Z", "Shift-Tab");
    check("\033[1;5C\033[1;3D\033[1;2A\033[1;6H", "Ctrl-Right Alt-Left "
                                                "Shift-Up Ctrl-Shift-Home");
    check("\033[3;5~\033[5;2~\033[15;2~", "Ctrl-Del Shift-PgUp Shift-F5");
    check("\033[1;2P\033[1;2R", "Shift-F1 Shift-F3");
    check("\033[a\033Od\033[5^", "Shift-Up Ctrl-Left Ctrl-PgUp");
    check("\033[I\033[O", "FocusIn FocusOut");
}

static void
test_alt(void **state)
{
    check("\033b\033B", "Alt-B Alt-B");
    check("\033中", "Alt-中");
    check("\033\r\033\177\033 ", "Alt-Enter Alt-Backspace Alt-Space");
    check("\033\033[D", "Alt-Left");
    check("\033\002", "Ctrl-Alt-B");
}

static void
test_csi_u(void **state)
{
    check("\033[13;5u\033[27;5;13~\033[13;3u", "Ctrl-Enter Ctrl-Enter "
                                               "Alt-Enter");
    check("\033[114;5u\033[27;5;114~", "Ctrl-R Ctrl-R");
    check("\033[97;2u\033[9;2u\033[27u\033[127u", "A Shift-Tab Esc Backspace");
    check("\033[20013u", "中");
    check("\033[97;1:3u\033[97;1:1u", "a"); /* the release is no key */
    check("\033[57400u\033[1114112u\033[55296u", ""); /* no characters */
}

/* What is not for us is dropped whole and never becomes text. */
static void
test_unknown(void **state)
{
    check("\033[?62;22c\033[>0;10;1c\033[?2026;2$y\033[99~\033[1;1~x",
          "Home x");
    check("\033[5;3Rx", "x"); /* a position report that nobody waits for */
    check("\033[<0;3;4M\033[201~x", "x");
    check("\033[12345678901234567890;5Cx", "Ctrl-Right x");
    check("\033[;;;;;;;;;;Ax", "Up x");
    check("\033[3\003x", "Ctrl-C x"); /* broken off by a key */
    check("\033O\001x", "Ctrl-A x");
}

/* A slow line tears characters: the rest is waited for from when the first
 * part is what stands in front, however long the keys before it took. */
static void
test_torn(void **state)
{
    struct key_input in;
    struct key k;

    key_input_init(&in);
    key_input_feed(&in, "\033[A\xE4\xB8", 5, 1000);
    assert_true(key_input_next(&in, &k, 5000, true));
    assert_int_equal(k.code, KEY_UP_ARROW);
    assert_false(key_input_next(&in, &k, 5900, true));
    assert_int_equal(key_input_timeout(&in, 5900), 100);
    key_input_feed(&in, "\xAD", 1, 5950);
    assert_true(key_input_next(&in, &k, 5950, false));
    assert_int_equal(k.len, 3);
    assert_memory_equal(k.s, "中", 3);
    /* what never comes: its bytes, as they are */
    key_input_feed(&in, "\xE4", 1, 6000);
    assert_false(key_input_next(&in, &k, 6999, true));
    assert_true(key_input_next(&in, &k, 7000, true));
    assert_int_equal(k.len, 1);
    key_input_finish(&in);
}

static void
test_late(void **state)
{
    check("\033", "Esc");
    check("\033\033", "Esc Esc");
    check("\033O", "Alt-O");
    check("\033[", "");
    check("\033[1;", "");
    check("\xE4\xB8", "\xE4 \xB8");
    check("\xFFx", "\xFF x");
}

static void
test_time(void **state)
{
    struct key_input in;
    struct key k;

    key_input_init(&in);
    assert_int_equal(key_input_timeout(&in, 0), -1);
    key_input_feed(&in, "\033", 1, 100);
    assert_false(key_input_next(&in, &k, 100, true));
    assert_int_equal(key_input_timeout(&in, 100), 25);
    assert_int_equal(key_input_timeout(&in, 110), 15);
    assert_false(key_input_next(&in, &k, 124, true));
    assert_false(key_input_next(&in, &k, 200, false));
    assert_int_equal(key_input_timeout(&in, 200), 0);
    assert_true(key_input_next(&in, &k, 200, true));
    assert_int_equal(k.code, KEY_ESC);
    assert_int_equal(key_input_timeout(&in, 200), -1);
    key_input_finish(&in);
}

static void
test_paste(void **state)
{
    check("\033[200~a\033[31m\n\001b\033[201~c", "Paste:a\033[31m\n\001b c");
    check("\033[200~\033[201~c", "c");
    check("x\033[200~一\xFF\033[200~二\033[201~", "x Paste:一\xFF\033[200~二");
    /* the end never comes, or half of it */
    check("\033[200~abc", "Paste:abc");
    check("\033[200~abc\033[20", "Paste:abc");
    check("\033[200~", "");
    check("\033[200~abc\033[201~\033[201~d", "Paste:abc d");
}

static void
test_big_paste(void **state)
{
    enum { SIZE = 10 << 20, PIECE = 4095 };
    struct key_input in;
    struct key k;
    char *s = malloc(SIZE);
    size_t got = 0, pieces = 0;

    key_input_init(&in);
    for (size_t i = 0; i < SIZE; i++)
        s[i] = (char)(i * 7);
    key_input_feed(&in, "\033[200~", 6, 0);
    for (size_t i = 0; i < SIZE; i += PIECE) {
        key_input_feed(&in, s + i, SIZE - i < PIECE ? SIZE - i : PIECE, 0);
        assert_false(key_input_next(&in, &k, 0, true));
    }
    key_input_feed(&in, "\033[201~x", 7, 0);
    assert_true(key_input_next(&in, &k, 0, true));
    assert_int_equal(k.code, KEY_PASTE);
    assert_int_equal(k.len, SIZE);
    assert_memory_equal(k.s, s, SIZE);
    assert_true(key_input_next(&in, &k, 0, true));
    assert_memory_equal(k.s, "x", 1);
    /* without an end: pieces of 64 MiB, nothing lost */
    key_input_feed(&in, "\033[200~", 6, 0);
    for (int i = 0; i < 20; i++) {
        key_input_feed(&in, s, SIZE, 0);
        if (key_input_next(&in, &k, 0, true)) {
            got += k.len;
            pieces++;
            assert_memory_equal(k.s + k.len - 1, s + SIZE - 1, 1);
        }
    }
    assert_int_equal(pieces, 2);
    assert_true(key_input_next(&in, &k, 2000, true));
    assert_int_equal(got + k.len, (size_t)20 * SIZE);
    assert_false(key_input_next(&in, &k, 2000, true));
    key_input_finish(&in);
    free(s);
}

static void
test_report(void **state)
{
    struct key_input in;
    struct key k;
    int row = 0, col = 0;

    key_input_init(&in);
    key_input_feed(&in, "a\033[2;3", 6, 0);
    assert_false(key_input_take_report(&in, &row, &col));
    key_input_feed(&in, "Rb", 2, 0);
    assert_true(key_input_take_report(&in, &row, &col));
    assert_int_equal(row, 2);
    assert_int_equal(col, 3);
    assert_true(key_input_next(&in, &k, 0, false));
    assert_memory_equal(k.s, "a", 1);
    assert_true(key_input_next(&in, &k, 0, false));
    assert_memory_equal(k.s, "b", 1);
    assert_false(key_input_next(&in, &k, 0, false));
    /* too late: told, but no key */
    key_input_feed(&in, "\033[2;2R", 6, 0);
    assert_false(key_input_next(&in, &k, 0, false));
    assert_true(in.reported);
    assert_int_equal(in.report_col, 2);
    key_input_finish(&in);
}

/* Any bytes: no crash, no loop, nothing waits for ever. */
static void
test_random(void **state)
{
    static const char *const bit[] = { "\033", "[", "O", "1", ";", "5", "~",
                                       "A", "u", "中", "\xE4", "200~", "201~",
                                       "\033[20", "R", ":", "\001", "x" };
    uint32_t seed = 3;
    struct key_input in;
    struct key k;
    int64_t now = 0;
    size_t keys = 0;

    key_input_init(&in);
    for (int i = 0; i < 200000; i++) {
        const char *b;

        seed = seed * 1664525u + 1013904223u;
        b = bit[(seed >> 8) % (sizeof bit / sizeof *bit)];
        key_input_feed(&in, b, strlen(b), now);
        if (seed >> 30 == 0)
            now += (seed >> 24) & 31;
        while (key_input_next(&in, &k, now, true)) {
            keys++;
            assert_true(k.code > KEY_NONE && k.code <= KEY_FOCUS_IN);
            if (k.code == KEY_TEXT)
                assert_true(k.len > 0 && (unsigned char)*k.s >= 0x20);
        }
        if (key_input_timeout(&in, now) >= 0 && (seed & 0xF00) == 0) {
            now += 2000;
            while (key_input_next(&in, &k, now, true))
                keys++;
            if (in.at < in.len)
                now += 2000;
        }
    }
    assert_true(keys > 1000);
    for (int i = 0; i < 10; i++)
        while (key_input_next(&in, &k, now += 2000, true))
            ;
    assert_int_equal(key_input_timeout(&in, now), -1);
    key_input_finish(&in);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),   cmocka_unit_test(test_sequences),
        cmocka_unit_test(test_alt),     cmocka_unit_test(test_csi_u),
        cmocka_unit_test(test_unknown), cmocka_unit_test(test_late),
        cmocka_unit_test(test_torn),
        cmocka_unit_test(test_time),    cmocka_unit_test(test_paste),
        cmocka_unit_test(test_big_paste), cmocka_unit_test(test_report),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests_name("term_keys", tests, NULL, NULL);
}
