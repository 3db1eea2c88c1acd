/* tests/knobs_test.c  The table of knobs: every row parses what it prints,
 * steps on its grid, refuses what is out of range and says so. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/knobs.h"

static const struct knob_row *
row(enum knob_id id)
{
    return &knob_rows[id];
}

static const char *
shown(const struct knobs *k, enum knob_id id)
{
    static char buf[KNOB_TEXT_MAX];

    knob_format(k, row(id), buf, sizeof buf);
    return buf;
}

static void
parses(struct knobs *k, enum knob_id id, const char *text)
{
    struct err err = { 0 };

    if (!knob_parse(k, row(id), text, &err))
        fail_msg("%s: %s", text, err.msg);
}

/* Refused, the message names the knob, and *k stays as it was. */
static void
refuses(enum knob_id id, const char *text)
{
    struct knobs k, before;
    struct err err = { 0 };

    knobs_default(&k);
    before = k;
    if (knob_parse(&k, row(id), text, &err))
        fail_msg("%s takes \"%s\"", row(id)->name, text);
    assert_int_equal(err.kind, ERR_USAGE);
    assert_non_null(strstr(err.msg, row(id)->name));
    assert_true(knobs_equal(&k, &before));
}

static void
defaults_are_the_decided_ones(void **state)
{
    struct knobs k;

    knobs_default(&k);
    assert_string_equal(shown(&k, KNOB_TEMP), "0.9");
    assert_string_equal(shown(&k, KNOB_TOP_K), "40");
    assert_string_equal(shown(&k, KNOB_TOP_P), "0.95");
    assert_string_equal(shown(&k, KNOB_TOP_P_RULE), "inclusive");
    assert_string_equal(shown(&k, KNOB_MIN_P), "0.05");
    assert_string_equal(shown(&k, KNOB_REPEAT), "1.05");
    assert_string_equal(shown(&k, KNOB_REPEAT_RANGE), "256");
    assert_string_equal(shown(&k, KNOB_FREQUENCY), "0");
    assert_string_equal(shown(&k, KNOB_PRESENCE), "0");
    assert_string_equal(shown(&k, KNOB_LENGTH), "80");
    assert_string_equal(shown(&k, KNOB_STOP_AT), "sentence");
    assert_string_equal(shown(&k, KNOB_SEED), "random");
    assert_string_equal(shown(&k, KNOB_ORDER), "repeat,top-k,top-p,min-p,temp");
    assert_string_equal(shown(&k, KNOB_BIAS), "");
    assert_string_equal(shown(&k, KNOB_STOP), "");
}

static void
rows_are_whole(void **state)
{
    for (int i = 0; i < KNOB_COUNT; i++) {
        const struct knob_row *r = row(i);

        assert_int_equal(r->id, i);
        assert_true(r->name && r->label && r->unit && r->help);
        assert_true(*r->label && *r->help);
        assert_ptr_equal(knob_find(r->name), r);
        if (r->alias)
            assert_ptr_equal(knob_find(r->alias), r);
        for (int j = 0; j < i; j++)
            assert_true(!r->letter || r->letter != row(j)->letter);
    }
}

static void
what_is_printed_parses_back(void **state)
{
    static const struct {
        enum knob_id id;
        const char *text;
    } v[] = {
        { KNOB_TEMP, "0" },
        { KNOB_TEMP, "5" },
        { KNOB_TEMP, "inf" },
        { KNOB_TEMP, "0.1234567890123" },
        { KNOB_TOP_K, "6528" },
        { KNOB_TOP_P, "0.333" },
        { KNOB_FREQUENCY, "-1.5" },
        { KNOB_LENGTH, "100000" },
        { KNOB_STOP_AT, "never" },
        { KNOB_STOP_AT, "paragraph" },
        { KNOB_SEED, "18446744073709551615" },
        { KNOB_SEED, "0" },
        { KNOB_SEED, "random" },
        { KNOB_ORDER, "temp,repeat,min-p,top-k,top-p" },
        { KNOB_BIAS, "的=-2, id:17=1.5, 渡口=-inf" },
        { KNOB_STOP, "\\n\\n||全文完" },
    };

    for (size_t i = 0; i < sizeof v / sizeof v[0]; i++) {
        struct knobs a, b;
        char buf[KNOB_TEXT_MAX];

        knobs_default(&a);
        knobs_default(&b);
        parses(&a, v[i].id, v[i].text);
        knob_format(&a, row(v[i].id), buf, sizeof buf);
        assert_string_equal(buf, v[i].text);
        parses(&b, v[i].id, buf);
        assert_true(knobs_equal(&a, &b));
    }
}

static void
format_tells_the_length_it_needs(void **state)
{
    struct knobs k;
    char buf[4];

    knobs_default(&k);
    assert_int_equal(knob_format(&k, row(KNOB_ORDER), buf, sizeof buf), 29);
    assert_string_equal(buf, "rep");
}

static void
parse_is_forgiving_about_form(void **state)
{
    struct knobs k;

    knobs_default(&k);
    parses(&k, KNOB_TEMP, " 1e-1 ");
    assert_true(k.temp == 0.1);
    parses(&k, KNOB_TEMP, "∞");
    assert_true(isinf(k.temp));
    parses(&k, KNOB_TEMP, "-0");
    assert_false(signbit(k.temp));
    parses(&k, KNOB_STOP_AT, "Paragraph");
    assert_int_equal(k.stop_at, STOP_AT_PARAGRAPH);
    parses(&k, KNOB_ORDER, "temperature, top_k");
    assert_string_equal(shown(&k, KNOB_ORDER), "temp,top-k,repeat,top-p,min-p");
}

static void
what_is_out_of_range_is_refused(void **state)
{
    refuses(KNOB_TEMP, "-0.1");
    refuses(KNOB_TEMP, "5.01");
    refuses(KNOB_TEMP, "nan");
    refuses(KNOB_TEMP, "-inf");
    refuses(KNOB_TEMP, "");
    refuses(KNOB_TEMP, "warm");
    refuses(KNOB_TEMP, "0x1");
    refuses(KNOB_TEMP, "1 2");
    refuses(KNOB_TEMP, "1e999");
    refuses(KNOB_TOP_P, "inf");
    refuses(KNOB_TOP_P, "1.0001");
    refuses(KNOB_TOP_K, "-1");
    refuses(KNOB_TOP_K, "2.5");
    refuses(KNOB_TOP_K, "99999999999999999999");
    refuses(KNOB_LENGTH, "0");
    refuses(KNOB_STOP_AT, "word");
    refuses(KNOB_SEED, "-1");
    refuses(KNOB_SEED, "18446744073709551616");
    refuses(KNOB_SEED, "12x");
    refuses(KNOB_SEED, "");
    refuses(KNOB_ORDER, "");
    refuses(KNOB_ORDER, "temp,temp");
    refuses(KNOB_ORDER, "temp,mask");
    refuses(KNOB_ORDER, "temp,,top-k");
    refuses(KNOB_BIAS, "的");
    refuses(KNOB_BIAS, "=2");
    refuses(KNOB_BIAS, "的=many");
    refuses(KNOB_BIAS, "的=inf");
    refuses(KNOB_BIAS, "id:x=2");
    refuses(KNOB_STOP, "\xe4\xb8");
}

static void
long_text_is_refused_whole(void **state)
{
    char text[KNOB_TEXT_MAX + 1];

    memset(text, 'a', sizeof text);
    text[KNOB_TEXT_MAX] = '\0';
    refuses(KNOB_STOP, text);
    text[KNOB_TEXT_MAX - 1] = '\0';
    {
        struct knobs k;

        knobs_default(&k);
        parses(&k, KNOB_STOP, text);
        assert_string_equal(k.stop, text);
    }
}

static void
names_are_found_and_guessed(void **state)
{
    assert_ptr_equal(knob_find("top_p"), row(KNOB_TOP_P));
    assert_ptr_equal(knob_find("Temp"), row(KNOB_TEMP));
    assert_null(knob_find("top"));
    assert_null(knob_find(""));
    assert_string_equal(knob_nearest("temprature"), "temperature");
    assert_string_equal(knob_nearest("topk"), "top-k");
    assert_string_equal(knob_nearest("lenght"), "length");
    assert_string_equal(knob_nearest("freq"), "frequency");
    assert_string_equal(knob_nearest("sede"), "seed");
    assert_null(knob_nearest("xylophone"));
    assert_null(knob_nearest(""));
}

static void
steps_stay_on_the_grid(void **state)
{
    struct knobs k;

    knobs_default(&k);
    assert_true(knob_step(&k, row(KNOB_TEMP), 10));
    assert_string_equal(shown(&k, KNOB_TEMP), "1.4");
    for (int i = 0; i < 28; i++)
        knob_step(&k, row(KNOB_TEMP), -1);
    assert_true(k.temp == 0);
    assert_false(knob_step(&k, row(KNOB_TEMP), -1));
    parses(&k, KNOB_TEMP, "0.93");
    knob_step(&k, row(KNOB_TEMP), 1);
    assert_string_equal(shown(&k, KNOB_TEMP), "0.95");
    parses(&k, KNOB_TEMP, "0.93");
    knob_step(&k, row(KNOB_TEMP), -1);
    assert_string_equal(shown(&k, KNOB_TEMP), "0.9");
    parses(&k, KNOB_LENGTH, "1");
    knob_step(&k, row(KNOB_LENGTH), 1);
    assert_int_equal(k.length, 10);
    knob_step(&k, row(KNOB_LENGTH), -1);
    assert_int_equal(k.length, 1);
    assert_false(knob_step(&k, row(KNOB_LENGTH), -1));
}

static void
infinity_stands_above_the_highest(void **state)
{
    struct knobs k;

    knobs_default(&k);
    parses(&k, KNOB_TEMP, "4.95");
    assert_true(knob_step(&k, row(KNOB_TEMP), 10));
    assert_true(k.temp == 5);
    assert_true(knob_step(&k, row(KNOB_TEMP), 1));
    assert_true(isinf(k.temp));
    assert_false(knob_step(&k, row(KNOB_TEMP), 1));
    assert_true(knob_step(&k, row(KNOB_TEMP), -1));
    assert_true(k.temp == 5);
    parses(&k, KNOB_TOP_P, "1");
    assert_false(knob_step(&k, row(KNOB_TOP_P), 1));
}

static void
choices_wrap_and_seed_locks(void **state)
{
    struct knobs k;

    knobs_default(&k);
    assert_true(knob_step(&k, row(KNOB_STOP_AT), -1));
    assert_int_equal(k.stop_at, STOP_AT_NEVER);
    assert_true(knob_step(&k, row(KNOB_STOP_AT), 2));
    assert_int_equal(k.stop_at, STOP_AT_PARAGRAPH);
    k.seed = 77; /* of the last run */
    assert_true(knob_step(&k, row(KNOB_SEED), 1));
    assert_string_equal(shown(&k, KNOB_SEED), "77");
    assert_true(knob_step(&k, row(KNOB_SEED), -1));
    assert_string_equal(shown(&k, KNOB_SEED), "random");
    assert_true(knob_step(&k, row(KNOB_ORDER), 1));
    assert_string_equal(shown(&k, KNOB_ORDER), "temp,repeat,top-k,top-p,min-p");
    assert_true(knob_step(&k, row(KNOB_ORDER), 1));
    assert_string_equal(shown(&k, KNOB_ORDER), "repeat,top-k,top-p,min-p,temp");
    knob_reset(&k, row(KNOB_STOP_AT));
    assert_int_equal(k.stop_at, STOP_AT_SENTENCE);
}

static void
equality_is_of_values(void **state)
{
    struct knobs a, b;

    knobs_default(&a);
    knobs_default(&b);
    b.seed = 5; /* not looked at while random */
    assert_true(knobs_equal(&a, &b));
    strcpy(a.stop, "ab");
    strcpy(b.stop, "ab");
    b.stop[100] = 'x'; /* behind the end */
    assert_true(knobs_equal(&a, &b));
    b.min_p = 0.06;
    assert_false(knobs_equal(&a, &b));
}

static void
fraction_is_a_bar(void **state)
{
    struct knobs k;

    knobs_default(&k);
    for (int i = 0; i < KNOB_COUNT; i++) {
        double f = knob_fraction(&k, row(i));

        if (row(i)->kind == KNOB_REAL || row(i)->kind == KNOB_INT)
            assert_true(f >= 0 && f <= 1);
        else
            assert_true(f == -1);
    }
    assert_true(knob_fraction(&k, row(KNOB_TOP_P)) == 0.95);
    assert_true(knob_fraction(&k, row(KNOB_TOP_K)) > 0.2);
    parses(&k, KNOB_TEMP, "inf");
    assert_true(knob_fraction(&k, row(KNOB_TEMP)) == 1);
}

static void
presets_are_rows(void **state)
{
    struct knobs k, want;

    for (int i = 0; i < n_presets; i++) {
        const struct preset_row *p = &preset_rows[i];

        assert_ptr_equal(preset_find(p->name), p);
        if (p->alias)
            assert_ptr_equal(preset_find(p->alias), p);
        knobs_default(&k);
        parses(&k, KNOB_FREQUENCY, "1"); /* a knob of the chain goes back */
        parses(&k, KNOB_LENGTH, "17");   /* another stays */
        preset_apply(&k, p);
        assert_int_equal(preset_of(&k), i);
        assert_string_equal(shown(&k, KNOB_FREQUENCY), "0");
        assert_string_equal(shown(&k, KNOB_LENGTH), "17");
    }
    knobs_default(&k);
    knobs_default(&want);
    preset_apply(&k, preset_find("常"));
    assert_true(knobs_equal(&k, &want));
    preset_apply(&k, preset_find("教程"));
    assert_string_equal(shown(&k, KNOB_TEMP), "inf");
    assert_string_equal(shown(&k, KNOB_TOP_K), "10");
    assert_string_equal(shown(&k, KNOB_TOP_P), "1");
    assert_string_equal(shown(&k, KNOB_MIN_P), "0");
    assert_string_equal(shown(&k, KNOB_REPEAT), "1");
    preset_apply(&k, preset_find("gpt2-ml"));
    assert_string_equal(shown(&k, KNOB_TEMP), "1");
    assert_string_equal(shown(&k, KNOB_TOP_K), "0");
    assert_string_equal(shown(&k, KNOB_TOP_P), "0.95");
    assert_string_equal(shown(&k, KNOB_TOP_P_RULE), "exclusive");
    assert_string_equal(shown(&k, KNOB_MIN_LENGTH), "1024");
    preset_apply(&k, preset_find("normal"));
    assert_string_equal(shown(&k, KNOB_MIN_LENGTH), "0");
    preset_apply(&k, preset_find("gpt2-ml"));
    parses(&k, KNOB_TEMP, "0.77");
    assert_int_equal(preset_of(&k), -1);
    assert_null(preset_find("no such"));
}

static void
bias_items_come_one_by_one(void **state)
{
    const char *p = "的=-2, id:17=1.5,渡口=-inf,=,a=b=3";
    struct knob_bias b;

    assert_true(knob_bias_next(&p, &b));
    assert_memory_equal(b.text, "的", b.len);
    assert_true(b.id == -1 && b.add == -2);
    assert_true(knob_bias_next(&p, &b));
    assert_true(b.id == 17 && b.add == 1.5);
    assert_true(knob_bias_next(&p, &b));
    assert_int_equal(b.len, strlen("渡口"));
    assert_true(isinf(b.add) && b.add < 0);
    assert_true(knob_bias_next(&p, &b));
    assert_true(isnan(b.add));
    assert_true(knob_bias_next(&p, &b));
    assert_int_equal(b.len, 3); /* the last '=' divides */
    assert_false(knob_bias_next(&p, &b));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_the_decided_ones),
        cmocka_unit_test(rows_are_whole),
        cmocka_unit_test(what_is_printed_parses_back),
        cmocka_unit_test(format_tells_the_length_it_needs),
        cmocka_unit_test(parse_is_forgiving_about_form),
        cmocka_unit_test(what_is_out_of_range_is_refused),
        cmocka_unit_test(long_text_is_refused_whole),
        cmocka_unit_test(names_are_found_and_guessed),
        cmocka_unit_test(steps_stay_on_the_grid),
        cmocka_unit_test(infinity_stands_above_the_highest),
        cmocka_unit_test(choices_wrap_and_seed_locks),
        cmocka_unit_test(equality_is_of_values),
        cmocka_unit_test(fraction_is_a_bar),
        cmocka_unit_test(presets_are_rows),
        cmocka_unit_test(bias_items_come_one_by_one),
    };

    return cmocka_run_group_tests_name("knobs", tests, NULL, NULL);
}
