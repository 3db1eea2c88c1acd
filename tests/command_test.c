/* The tables agree with each other; moves by word and clause; pastes. */
#include "ui/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/text.h"

#include "ui/keys.h"
#include "ui/ui_state.h"

static void
bindings_name_commands_and_keys(void **state)
{
    for (size_t i = 0; i < n_key_bindings; i++) {
        const struct binding *b = &key_bindings[i];
        struct key k;
        char name[64];

        if (!command_find(b->command))
            fail_msg("%s: no command %s", b->key, b->command);
        if (!key_parse(b->key, &k))
            fail_msg("%s is no key", b->key);
        key_name(&k, name, sizeof name);
        assert_string_equal(name, b->key);
    }
}

static bool
meet(enum key_where a, enum key_where b)
{
    return a == b || a == WHERE_ANY || b == WHERE_ANY;
}

static void
no_key_is_bound_twice(void **state)
{
    for (size_t i = 0; i < n_key_bindings; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(key_bindings[i].key, key_bindings[j].key) == 0 &&
                meet(key_bindings[i].where, key_bindings[j].where))
                fail_msg("%s is bound to %s and to %s", key_bindings[i].key,
                         key_bindings[i].command, key_bindings[j].command);
}

static void
every_command_can_be_reached_and_explained(void **state)
{
    for (size_t i = 0; i < n_commands; i++) {
        bool bound = false;

        for (size_t j = 0; j < n_key_bindings; j++)
            bound |= strcmp(key_bindings[j].command, commands[i].name) == 0;
        if (!bound)
            fail_msg("no key for %s", commands[i].name);
        assert_non_null(commands[i].help);
        assert_true(strlen(commands[i].help) > 3);
        assert_ptr_equal(command_find(commands[i].name), &commands[i]);
    }
    assert_null(command_find("no-such-command"));
}

/* Ctrl-C must never quit, and letters must stay letters. */
static void
keys_that_must_stay(void **state)
{
    struct key k;

    key_parse("Ctrl-C", &k);
    assert_string_equal(keys_lookup(WHERE_PAGE, &k), "stop");
    key_parse("Tab", &k);
    assert_string_equal(keys_lookup(WHERE_PAGE, &k), "continue");
    assert_null(keys_lookup(WHERE_PROMPT, &k));
    k = (struct key){ .code = KEY_TEXT, .s = "q", .len = 1 };
    assert_null(keys_lookup(WHERE_PAGE, &k));
}

/* --- moves; '|' in a string marks where the caret may stop --- */

static struct text *
text_of(struct text_store *st, const char *marked, size_t stops[32],
        size_t *n_stops)
{
    char plain[512];
    size_t n = 0;
    struct text *empty = text_empty(st), *t;

    *n_stops = 0;
    for (const char *p = marked; *p; p++) {
        if (*p == '|')
            stops[(*n_stops)++] = n;
        else
            plain[n++] = *p;
    }
    t = text_insert(empty, 0, plain, n, TEXT_ME, 1);
    text_unref(empty);
    return t;
}

static void
check_stops(const char *marked,
            size_t (*move)(const struct text *, size_t, int))
{
    struct text_store *st = text_store_new();
    size_t stops[32], n;
    struct text *t = text_of(st, marked, stops, &n);
    size_t at = 0;

    for (size_t i = 1; i < n; i++) {
        at = move(t, at, 1);
        if (at != stops[i])
            fail_msg("%s: forward to %zu, not %zu", marked, at, stops[i]);
    }
    assert_int_equal(move(t, text_len(t), 1), text_len(t));
    at = text_len(t);
    for (size_t i = n - 1; i-- > 0;) {
        at = move(t, at, -1);
        if (at != stops[i])
            fail_msg("%s: back to %zu, not %zu", marked, at, stops[i]);
    }
    assert_int_equal(move(t, 0, -1), 0);
    text_unref(t);
    text_store_free(st);
}

static void
words(void **state)
{
    check_stops("|一|个|字|", move_word);
    check_stops("|ABC123|字|", move_word);
    check_stops("|don't|", move_word);
    check_stops("||", move_word);
}

static void
clauses(void **state)
{
    check_stops("|渡口的灯，|是酉时灭的。|他等着|", move_clause);
    check_stops("|“你迟了三十年。”|老船工说。|", move_clause);
    check_stops("|数字……|还是\n|在等|", move_clause);
}

static void
pastes_keep_text_and_drop_controls(void **state)
{
    static const struct {
        const char *in;
        size_t len;
        const char *out;
    } rows[] = {
        { "a\r\nb\rc\nd", 8, "a\nb\nc\nd" },
        { "\x1b[31mred\x1b[0m", 12, "[31mred[0m" },
        { "a\tb\x07\x08\x7f", 6, "a\tb" },
        { "a\0b", 3, "ab" },
        { "\xff\xe4\xb8", 3, "\xff\xe4\xb8" },
        { "\r\r\n", 3, "\n\n" },
        { "", 0, "" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t n;
        char *s = paste_clean(rows[i].in, rows[i].len, &n);

        assert_int_equal(n, strlen(rows[i].out));
        assert_memory_equal(s, rows[i].out, n);
        free(s);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bindings_name_commands_and_keys),
        cmocka_unit_test(no_key_is_bound_twice),
        cmocka_unit_test(every_command_can_be_reached_and_explained),
        cmocka_unit_test(keys_that_must_stay),
        cmocka_unit_test(words),
        cmocka_unit_test(clauses),
        cmocka_unit_test(pastes_keep_text_and_drop_controls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
