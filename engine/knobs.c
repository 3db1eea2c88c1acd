/* engine/knobs.c  The knobs, as rows.
 *
 * Nothing outside this file knows how a knob is stored: parse, format, step
 * and fraction work from the row (kind, range, step, offset). Invariant: a
 * struct knobs that was filled by knobs_default() and changed by these
 * functions always holds values within their ranges.
 *
 * Numbers are stepped on the grid of the row's step and rounded to six
 * decimals, so that ten steps of 0.05 from 0.9 print as 1.4 and parse back to
 * the same double.
 */
#include "engine/knobs.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/unicode.h"

#define N_(s) (s) /* marks a msgid; those who show it translate it */

#define AT(member) offsetof(struct knobs, member)

static const char *const stop_at_names[] = { N_("sentence"), N_("paragraph"),
                                             N_("length"), N_("never"), NULL };

static const char *const top_p_rule_names[] = { N_("inclusive"),
                                                N_("exclusive"), NULL };

static const uint8_t default_order[STAGE_COUNT] = { STAGE_REPEAT, STAGE_TOP_K,
                                                    STAGE_TOP_P, STAGE_MIN_P,
                                                    STAGE_TEMP };

static const struct {
    const char *name, *alias;
} stage_names[STAGE_COUNT] = {
    [STAGE_NONE] = { "none", NULL },
    [STAGE_MASK] = { "mask", NULL },
    [STAGE_REPEAT] = { "repeat", "penalties" },
    [STAGE_TOP_K] = { "top-k", "top_k" },
    [STAGE_TOP_P] = { "top-p", "top_p" },
    [STAGE_MIN_P] = { "min-p", "min_p" },
    [STAGE_TEMP] = { "temp", "temperature" },
};

/* A table laid by hand. */
/* clang-format off */
const struct knob_row knob_rows[KNOB_COUNT] = {
    [KNOB_TEMP] = {
        .id = KNOB_TEMP, .kind = KNOB_REAL,
        .name = "temperature", .alias = "temp",
        .letter = 't', .label = N_("temperature"), .unit = "",
        .min = 0, .max = 5, .step = 0.05, .inf = true,
        .neutral = 1, .def = 0.9, .stage = STAGE_TEMP,
        .help = N_("low is careful, high is bold; 0 always takes the "
                   "likeliest, inf takes any that is left"),
        .offset = AT(temp) },
    [KNOB_TOP_K] = {
        .id = KNOB_TOP_K, .kind = KNOB_INT,
        .name = "top-k",
        .label = N_("top-k"), .unit = "",
        .min = 0, .max = 1000000, .step = 1,
        .neutral = 0, .def = 40, .stage = STAGE_TOP_K,
        .help = N_("choose among the k likeliest; 0 is off"),
        .offset = AT(top_k) },
    [KNOB_TOP_P] = {
        .id = KNOB_TOP_P, .kind = KNOB_REAL,
        .name = "top-p",
        .label = N_("top-p"), .unit = "",
        .min = 0, .max = 1, .step = 0.01,
        .neutral = 1, .def = 0.95, .stage = STAGE_TOP_P,
        .help = N_("the likeliest that together reach this probability; "
                   "1 is off"),
        .offset = AT(top_p) },
    [KNOB_TOP_P_RULE] = {
        .id = KNOB_TOP_P_RULE, .kind = KNOB_CHOICE,
        .name = "top-p-rule",
        .label = N_("top-p rule"), .unit = "",
        .min = 0, .max = TOP_P_EXCLUSIVE, .step = 1,
        .neutral = NAN, .def = TOP_P_INCLUSIVE, .choices = top_p_rule_names,
        .stage = STAGE_TOP_P,
        .help = N_("whether the one that crosses top-p stays (inclusive) or "
                   "goes (exclusive, as in gpt2-ml's demo)"),
        .offset = AT(top_p_rule) },
    [KNOB_MIN_P] = {
        .id = KNOB_MIN_P, .kind = KNOB_REAL,
        .name = "min-p",
        .label = N_("min-p"), .unit = "",
        .min = 0, .max = 1, .step = 0.01,
        .neutral = 0, .def = 0.05, .stage = STAGE_MIN_P,
        .help = N_("drop what is less likely than this share of the "
                   "likeliest; 0 is off"),
        .offset = AT(min_p) },
    [KNOB_REPEAT] = {
        .id = KNOB_REPEAT, .kind = KNOB_REAL,
        .name = "repeat", .alias = "repeat-penalty",
        .label = N_("repeat penalty"), .unit = "",
        .min = 1, .max = 2, .step = 0.01,
        .neutral = 1, .def = 1.05, .stage = STAGE_REPEAT,
        .help = N_("makes what was written lately less likely; 1 is off"),
        .offset = AT(repeat) },
    [KNOB_REPEAT_RANGE] = {
        .id = KNOB_REPEAT_RANGE, .kind = KNOB_INT,
        .name = "repeat-range",
        .label = N_("penalty range"), .unit = N_("tokens"),
        .min = 0, .max = 65536, .step = 16,
        .neutral = NAN, .def = 256, .stage = STAGE_REPEAT,
        .help = N_("how far back the penalties look; 0 switches them off"),
        .offset = AT(repeat_range) },
    [KNOB_FREQUENCY] = {
        .id = KNOB_FREQUENCY, .kind = KNOB_REAL,
        .name = "frequency", .alias = "frequency-penalty",
        .label = N_("frequency penalty"), .unit = "",
        .min = -2, .max = 2, .step = 0.05,
        .neutral = 0, .def = 0, .stage = STAGE_REPEAT,
        .help = N_("taken off once for every time it was written"),
        .offset = AT(frequency) },
    [KNOB_PRESENCE] = {
        .id = KNOB_PRESENCE, .kind = KNOB_REAL,
        .name = "presence", .alias = "presence-penalty",
        .label = N_("presence penalty"), .unit = "",
        .min = -2, .max = 2, .step = 0.05,
        .neutral = 0, .def = 0, .stage = STAGE_REPEAT,
        .help = N_("taken off once from whatever was written"),
        .offset = AT(presence) },
    [KNOB_LENGTH] = {
        .id = KNOB_LENGTH, .kind = KNOB_INT,
        .name = "length", .letter = 'n',
        .label = N_("length"), .unit = N_("tokens"),
        .min = 1, .max = 100000, .step = 10,
        .neutral = NAN, .def = 80,
        .help = N_("how much the model writes at a time"),
        .offset = AT(length) },
    [KNOB_MIN_LENGTH] = {
        .id = KNOB_MIN_LENGTH, .kind = KNOB_INT,
        .name = "min-length",
        .label = N_("least length"), .unit = N_("tokens"),
        .min = 0, .max = 100000, .step = 10,
        .neutral = 0, .def = 0,
        .help = N_("the model cannot end the text itself before so much; "
                   "0: not before its first sentence is done"),
        .offset = AT(min_length) },
    [KNOB_STOP_AT] = {
        .id = KNOB_STOP_AT, .kind = KNOB_CHOICE,
        .name = "stop-at",
        .label = N_("stop at"), .unit = "",
        .min = 0, .max = STOP_AT_NEVER, .step = 1,
        .neutral = NAN, .def = STOP_AT_SENTENCE, .choices = stop_at_names,
        .help = N_("after the length, write on to the end of the sentence "
                   "or paragraph, or stop right there, or not at all"),
        .offset = AT(stop_at) },
    [KNOB_CANDIDATES] = {
        .id = KNOB_CANDIDATES, .kind = KNOB_INT,
        .name = "candidates",
        .label = N_("candidates"), .unit = "",
        .min = 1, .max = 9, .step = 1,
        .neutral = NAN, .def = 3,
        .help = N_("how many continuations Shift-Tab asks for at once"),
        .offset = AT(candidates) },
    [KNOB_SEED] = {
        .id = KNOB_SEED, .kind = KNOB_SEED64,
        .name = "seed",
        .label = N_("seed"), .unit = "",
        .min = 0, .max = 18446744073709551615.0, .step = 1,
        .neutral = NAN,
        .help = N_("the same seed writes the same text; random: another "
                   "one each time"),
        .offset = AT(seed) },
    [KNOB_ORDER] = {
        .id = KNOB_ORDER, .kind = KNOB_STAGES,
        .name = "order",
        .label = N_("order"), .unit = "",
        .neutral = NAN,
        .help = N_("in which order the knobs work on the probabilities"),
        .offset = AT(order) },
    [KNOB_BIAS] = {
        .id = KNOB_BIAS, .kind = KNOB_STRING,
        .name = "bias", .alias = "logit-bias",
        .label = N_("bias"), .unit = "",
        .neutral = NAN,
        .help = N_("words made likelier or less likely: word=1.5, "
                   "word=-inf bans, id:17=2"),
        .offset = AT(bias) },
    [KNOB_STOP] = {
        .id = KNOB_STOP, .kind = KNOB_STRING,
        .name = "stop", .alias = "stop-string",
        .label = N_("stop words"), .unit = "",
        .neutral = NAN,
        .help = N_("the model ends where it would write one of these; "
                   "|| between them, \\n for a line break"),
        .offset = AT(stop) },
};
/* clang-format on */

/* --- reading and writing a member through its row --- */

static double *
real_at(struct knobs *k, const struct knob_row *row)
{
    return (double *)((char *)k + row->offset);
}

static int64_t *
int_at(struct knobs *k, const struct knob_row *row)
{
    return (int64_t *)((char *)k + row->offset);
}

static double
number_of(const struct knobs *k, const struct knob_row *row)
{
    const char *p = (const char *)k + row->offset;

    return row->kind == KNOB_REAL ? *(const double *)p
                                  : (double)*(const int64_t *)p;
}

void
knobs_default(struct knobs *k)
{
    memset(k, 0, sizeof *k);
    for (int i = 0; i < KNOB_COUNT; i++)
        knob_reset(k, &knob_rows[i]);
}

void
knob_reset(struct knobs *k, const struct knob_row *row)
{
    switch (row->kind) {
    case KNOB_REAL: *real_at(k, row) = row->def; break;
    case KNOB_INT:
    case KNOB_CHOICE: *int_at(k, row) = (int64_t)row->def; break;
    case KNOB_SEED64: k->seed_random = true; break;
    case KNOB_STAGES: memcpy(k->order, default_order, sizeof k->order); break;
    case KNOB_STRING: *((char *)k + row->offset) = '\0'; break;
    }
}

static bool
knob_equal(const struct knobs *a, const struct knobs *b,
           const struct knob_row *row)
{
    switch (row->kind) {
    case KNOB_REAL:
    case KNOB_INT:
    case KNOB_CHOICE: return number_of(a, row) == number_of(b, row);
    case KNOB_SEED64:
        return a->seed_random == b->seed_random &&
               (a->seed_random || a->seed == b->seed);
    case KNOB_STAGES: return !memcmp(a->order, b->order, sizeof a->order);
    case KNOB_STRING:
        return !strcmp((const char *)a + row->offset,
                       (const char *)b + row->offset);
    }
    return false;
}

bool
knobs_equal(const struct knobs *a, const struct knobs *b)
{
    for (int i = 0; i < KNOB_COUNT; i++)
        if (!knob_equal(a, b, &knob_rows[i]))
            return false;
    return true;
}

/* --- names --- */

static char
fold(char c)
{
    return c == '_' ? '-' : (char)tolower((unsigned char)c);
}

static bool
name_is(const char *a, const char *b)
{
    if (!a || !b)
        return false;
    while (*a && fold(*a) == fold(*b))
        a++, b++;
    return fold(*a) == fold(*b);
}

const struct knob_row *
knob_find(const char *name)
{
    for (int i = 0; i < KNOB_COUNT; i++)
        if (name_is(knob_rows[i].name, name) ||
            name_is(knob_rows[i].alias, name))
            return &knob_rows[i];
    return NULL;
}

/* Edits (insert, remove, replace, swap of neighbours) between two names;
 * optimal string alignment. */
static int
distance(const char *a, const char *b)
{
    enum { LEN = 32 };
    int d[LEN + 1][LEN + 1];
    int n = (int)strlen(a), m = (int)strlen(b);

    if (n > LEN || m > LEN)
        return LEN;
    for (int i = 0; i <= n; i++)
        d[i][0] = i;
    for (int j = 0; j <= m; j++)
        d[0][j] = j;
    for (int i = 1; i <= n; i++) {
        for (int j = 1; j <= m; j++) {
            int same = fold(a[i - 1]) == fold(b[j - 1]);
            int best = d[i - 1][j - 1] + !same;

            if (d[i - 1][j] + 1 < best)
                best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best)
                best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) &&
                fold(a[i - 2]) == fold(b[j - 1]) && d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    }
    return d[n][m];
}

/* How far `name` is from what was meant; a beginning ("freq") is near. */
static int
farness(const char *known, const char *name)
{
    size_t n = strlen(name), i = 0;

    while (i < n && known[i] && fold(known[i]) == fold(name[i]))
        i++;
    if (i == n && n >= 3)
        return 1;
    return distance(known, name);
}

const char *
knob_nearest(const char *name)
{
    const char *best = NULL;
    int least = (int)strlen(name) / 3 + 1; /* further is another word */

    for (int i = 0; i < KNOB_COUNT; i++) {
        const char *known[2] = { knob_rows[i].name, knob_rows[i].alias };

        for (int j = 0; j < 2; j++) {
            int far = known[j] ? farness(known[j], name) : least + 1;

            if (far < least || (far == least && !best)) {
                least = far;
                best = known[j];
            }
        }
    }
    return best;
}

const char *
knob_stage_name(enum knob_stage stage)
{
    return (unsigned)stage < STAGE_COUNT ? stage_names[stage].name : "none";
}

/* --- parsing --- */

/* `text` without white space at its ends, into buf; false when too long. */
static bool
trimmed(const char *text, char *buf, size_t cap)
{
    size_t len;

    while (isspace((unsigned char)*text))
        text++;
    len = strlen(text);
    while (len && isspace((unsigned char)text[len - 1]))
        len--;
    if (len >= cap)
        return false;
    memcpy(buf, text, len);
    buf[len] = '\0';
    return true;
}

static bool
refuse_number(const struct knob_row *row, const char *text, struct err *err)
{
    return err_set(err, ERR_USAGE,
                   "%s: \"%.60s\" is not %s from %.15g to %.15g%s", row->name,
                   text, row->kind == KNOB_INT ? "a whole number" : "a number",
                   row->min, row->max, row->inf ? ", or inf" : "");
}

/* A decimal number and nothing else: strtod alone would take "0x1p3",
 * "nan" and what stands behind a number. */
static bool
plain_number(const char *s, double *out)
{
    char *end;

    if (!*s || strspn(s, "0123456789+-.eE") != strlen(s))
        return false;
    *out = strtod(s, &end);
    return *end == '\0' && isfinite(*out);
}

static bool
is_infinity(const char *s)
{
    return name_is("inf", s) || name_is("infinity", s) || !strcmp(s, "∞");
}

static bool
parse_real(struct knobs *k, const struct knob_row *row, const char *text,
           struct err *err)
{
    char s[64];
    double v;

    if (!trimmed(text, s, sizeof s))
        return refuse_number(row, text, err);
    if (row->inf && is_infinity(s))
        v = INFINITY;
    else if (!plain_number(s, &v) || v < row->min || v > row->max)
        return refuse_number(row, text, err);
    *real_at(k, row) = v + 0.0; /* no minus zero */
    return true;
}

static bool
parse_int(struct knobs *k, const struct knob_row *row, const char *text,
          struct err *err)
{
    char s[64];
    double v;

    if (!trimmed(text, s, sizeof s) || !plain_number(s, &v) || v < row->min ||
        v > row->max || v != floor(v))
        return refuse_number(row, text, err);
    *int_at(k, row) = (int64_t)v;
    return true;
}

static bool
parse_choice(struct knobs *k, const struct knob_row *row, const char *text,
             struct err *err)
{
    char s[64], list[128] = "";

    for (int i = 0; row->choices[i]; i++) {
        if (trimmed(text, s, sizeof s) && name_is(row->choices[i], s)) {
            *int_at(k, row) = i;
            return true;
        }
        strncat(list, i ? ", " : "", sizeof list - strlen(list) - 1);
        strncat(list, row->choices[i], sizeof list - strlen(list) - 1);
    }
    return err_set(err, ERR_USAGE, "%s: \"%.60s\" is none of %s", row->name,
                   text, list);
}

static bool
parse_seed(struct knobs *k, const struct knob_row *row, const char *text,
           struct err *err)
{
    char s[64], *end;
    unsigned long long v;

    if (!trimmed(text, s, sizeof s))
        s[0] = '\0';
    if (name_is("random", s)) {
        k->seed_random = true;
        return true;
    }
    errno = 0;
    v = isdigit((unsigned char)s[0]) ? strtoull(s, &end, 10) : (end = s, 0);
    if (end == s || *end || errno)
        return err_set(err, ERR_USAGE,
                       "%s: \"%.60s\" is neither \"random\" nor a whole "
                       "number from 0 to 18446744073709551615",
                       row->name, text);
    k->seed = v;
    k->seed_random = false;
    return true;
}

static enum knob_stage
find_stage(const char *name)
{
    for (int i = STAGE_REPEAT; i < STAGE_COUNT; i++)
        if (name_is(stage_names[i].name, name) ||
            name_is(stage_names[i].alias, name))
            return (enum knob_stage)i;
    return STAGE_NONE;
}

static bool
order_has(const uint8_t *order, int n, int stage)
{
    return n && memchr(order, stage, (size_t)n);
}

/* Stages that the list leaves out follow in their usual order, so that a list
 * written before a stage existed stays good. */
static bool
parse_order(struct knobs *k, const struct knob_row *row, const char *text,
            struct err *err)
{
    uint8_t order[STAGE_COUNT] = { 0 };
    int n = 0;
    char part[64];

    for (const char *p = text; p;) {
        const char *comma = strchr(p, ',');
        size_t len = comma ? (size_t)(comma - p) : strlen(p);
        char raw[64];
        enum knob_stage st;

        snprintf(raw, sizeof raw, "%.*s", (int)(len < 63 ? len : 63), p);
        trimmed(raw, part, sizeof part);
        st = find_stage(part);
        if (st == STAGE_NONE)
            return err_set(err, ERR_USAGE,
                           "%s: \"%s\" is no stage; the stages are repeat, "
                           "top-k, top-p, min-p, temp",
                           row->name, part);
        if (order_has(order, n, st))
            return err_set(err, ERR_USAGE, "%s: \"%s\" is named twice",
                           row->name, part);
        order[n++] = (uint8_t)st;
        p = comma ? comma + 1 : NULL;
    }
    for (int i = 0; default_order[i]; i++)
        if (!order_has(order, n, default_order[i]))
            order[n++] = default_order[i];
    memcpy(k->order, order, sizeof order);
    return true;
}

/* One "TEXT=NUMBER" or "id:N=NUMBER" of the bias knob. */
static bool
bias_item(const char *s, size_t len, struct knob_bias *out)
{
    size_t eq = len;
    char num[64];

    while (len && isspace((unsigned char)*s))
        s++, len--;
    for (eq = len; eq > 0 && s[eq - 1] != '=';)
        eq--;
    if (eq < 2 || len - eq >= sizeof num)
        return false;
    snprintf(num, sizeof num, "%.*s", (int)(len - eq), s + eq);
    trimmed(num, num, sizeof num);
    if (num[0] == '-' && is_infinity(num + 1))
        out->add = -INFINITY;
    else if (!plain_number(num, &out->add) || fabs(out->add) > 1000)
        return false;
    out->text = s;
    out->len = eq - 1;
    out->id = -1;
    if (out->len > 3 && !memcmp(s, "id:", 3)) {
        char *end;
        long id = isdigit((unsigned char)s[3]) ? strtol(s + 3, &end, 10) : -1;

        if (id < 0 || end != s + out->len || id > INT32_MAX)
            return false;
        out->id = (int)id;
    }
    return true;
}

bool
knob_bias_next(const char **at, struct knob_bias *out)
{
    const char *p = *at;
    size_t len;

    p += strspn(p, ", \t");
    if (!*p)
        return false;
    len = strcspn(p, ",");
    *at = p + len;
    if (bias_item(p, len, out))
        return true;
    out->text = p;
    out->len = len;
    out->id = -1;
    out->add = NAN;
    return true;
}

static bool
parse_string(struct knobs *k, const struct knob_row *row, const char *text,
             struct err *err)
{
    size_t len = strlen(text);
    struct knob_bias b;

    if (len >= KNOB_TEXT_MAX)
        return err_set(err, ERR_USAGE,
                       "%s: the text is %zu bytes long; at most %d fit",
                       row->name, len, KNOB_TEXT_MAX - 1);
    if (!uni_valid(text, len))
        return err_set(err, ERR_USAGE, "%s: the text is not valid UTF-8",
                       row->name);
    if (row->id == KNOB_BIAS) {
        for (const char *p = text; knob_bias_next(&p, &b);)
            if (isnan(b.add))
                return err_set(err, ERR_USAGE,
                               "%s: \"%.*s\" is not of the form word=1.5, "
                               "word=-inf or id:17=2",
                               row->name, (int)(b.len < 60 ? b.len : 60),
                               b.text);
    }
    memcpy((char *)k + row->offset, text, len + 1);
    return true;
}

bool
knob_parse(struct knobs *k, const struct knob_row *row, const char *text,
           struct err *err)
{
    switch (row->kind) {
    case KNOB_REAL: return parse_real(k, row, text, err);
    case KNOB_INT: return parse_int(k, row, text, err);
    case KNOB_CHOICE: return parse_choice(k, row, text, err);
    case KNOB_SEED64: return parse_seed(k, row, text, err);
    case KNOB_STAGES: return parse_order(k, row, text, err);
    case KNOB_STRING: return parse_string(k, row, text, err);
    }
    return false;
}

/* --- formatting --- */

/* The shortest decimal that reads back as v. */
static int
format_real(double v, char *buf, size_t cap)
{
    char s[40];

    if (isinf(v))
        return snprintf(buf, cap, "inf");
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(s, sizeof s, "%.*g", digits, v);
        if (strtod(s, NULL) == v)
            break;
    }
    return snprintf(buf, cap, "%s", s);
}

static int
format_order(const uint8_t *order, char *buf, size_t cap)
{
    char s[128] = "";

    for (int i = 0; i < STAGE_COUNT && order[i]; i++) {
        strcat(s, i ? "," : "");
        strcat(s, knob_stage_name(order[i]));
    }
    return snprintf(buf, cap, "%s", s);
}

int
knob_format(const struct knobs *k, const struct knob_row *row, char *buf,
            size_t cap)
{
    switch (row->kind) {
    case KNOB_REAL: return format_real(number_of(k, row), buf, cap);
    case KNOB_INT: return snprintf(buf, cap, "%.0f", number_of(k, row));
    case KNOB_CHOICE:
        return snprintf(buf, cap, "%s", row->choices[(int)number_of(k, row)]);
    case KNOB_SEED64:
        if (k->seed_random)
            return snprintf(buf, cap, "random");
        return snprintf(buf, cap, "%llu", (unsigned long long)k->seed);
    case KNOB_STAGES: return format_order(k->order, buf, cap);
    case KNOB_STRING:
        return snprintf(buf, cap, "%s", (const char *)k + row->offset);
    }
    return 0;
}

/* --- turning --- */

/* v moved by n places on the grid of step; a value between two places goes
 * to the next one first. */
static double
grid_step(double v, double step, int n)
{
    double at = v / step;

    at = n > 0 ? floor(at + 1e-6) : ceil(at - 1e-6);
    return round((at + n) * step * 1e6) / 1e6 + 0.0;
}

static double
stepped(const struct knob_row *row, double v, int n)
{
    if (isinf(v)) {
        if (n >= 0)
            return v;
        v = row->max;
        n++;
    } else if (n > 0 && v >= row->max) {
        return row->inf ? INFINITY : v;
    }
    v = n ? grid_step(v, row->step, n) : v;
    return v < row->min ? row->min : v > row->max ? row->max : v;
}

static bool
step_order(struct knobs *k, int n)
{
    /* Two orders are in use: temperature last, or first. */
    static const uint8_t temp_first[STAGE_COUNT] = { STAGE_TEMP, STAGE_REPEAT,
                                                     STAGE_TOP_K, STAGE_TOP_P,
                                                     STAGE_MIN_P };
    bool first = !memcmp(k->order, temp_first, sizeof k->order);

    if (n)
        memcpy(k->order, first ? default_order : temp_first, sizeof k->order);
    return n != 0;
}

bool
knob_step(struct knobs *k, const struct knob_row *row, int n)
{
    double v, w;
    int n_choices = 0;

    switch (row->kind) {
    case KNOB_REAL:
        v = number_of(k, row);
        w = stepped(row, v, n);
        *real_at(k, row) = w;
        return v != w;
    case KNOB_INT:
        v = number_of(k, row);
        w = stepped(row, v, n);
        *int_at(k, row) = (int64_t)w;
        return v != w;
    case KNOB_CHOICE:
        while (row->choices[n_choices])
            n_choices++;
        v = number_of(k, row);
        w = ((int)v + n % n_choices + n_choices) % n_choices;
        *int_at(k, row) = (int64_t)w;
        return v != w;
    case KNOB_SEED64:
        if (n)
            k->seed_random = !k->seed_random;
        return n != 0;
    case KNOB_STAGES: return step_order(k, n);
    case KNOB_STRING: return false;
    }
    return false;
}

double
knob_fraction(const struct knobs *k, const struct knob_row *row)
{
    double v;

    if (row->kind != KNOB_REAL && row->kind != KNOB_INT)
        return -1;
    v = number_of(k, row);
    if (v >= row->max)
        return 1;
    /* A range of many steps is shown by its logarithm: 40 of a million. */
    if ((row->max - row->min) / row->step > 2000)
        return log1p(v - row->min) / log1p(row->max - row->min);
    return (v - row->min) / (row->max - row->min);
}
